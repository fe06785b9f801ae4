//! A node's process: starts its parts in order, waits, stops them in the reverse order.
//!
//! **Invariants.** Ports are bound before anything is made, so that a port in use leaves no
//! trace. Nothing is listened to before the node has its log. When the store or Raft fails, any
//! part ends early or anything panics, the process ends with an error: it has nothing more to
//! promise.
//!
//! **Must not know:** what the parts do.

use std::{sync::Arc, time::Duration};

use node::{Input, Node};
use rpc::{
    MESSAGE_BYTES_MAX,
    sigv4::VerifyLayer,
    v1::{
        access_server::AccessServer, authorization_server::AuthorizationServer,
        cluster_server::ClusterServer, conflicts_server::ConflictsServer, peer_server::PeerServer,
        propagation_server::PropagationServer, reads_server::ReadsServer,
        replication_server::ReplicationServer,
    },
};
use store::{Store, StoreHandle};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tonic::{Request, Status, service::interceptor::InterceptedService};
use wire::v1::{self, control_command::Command};

use crate::{
    app::{self, App},
    attempts::Attempts,
    auth::Authenticator,
    aws_http::AwsHttp,
    bootstrap::{self, BootstrapError, Ready},
    config::{Config, Role},
    control::{self, CommandError, Rules},
    core, fence,
    grpc::{
        self, AccessQuestions, Authorizations, Clusters, ConflictInbox, Joins, Peers, Propagations,
        ReadCalls,
    },
    http, key_uses, membership,
    metrics::{Listener, Metrics},
    names,
    ops::{Condition, Ops},
    panics,
    parts::Parts,
    pki::KeyEncryptionKey,
    prepared::PreparedPolicies,
    raft::{ControlPlane, Start, StartError, Timing},
    removal,
    reports::Reports,
    scrub, snapshots, stability,
    stop::{self, Stop},
    streams::{self, Streams},
    web_identity::{TrustError, Verifier},
};

/// How long calls may take to finish once the process stops.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Why the process ends.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A port.
    #[error("cannot listen on {0}: {1}")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// Signals.
    #[error("cannot listen for signals: {0}")]
    Signal(std::io::Error),
    /// Who this node is.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// Whom issuers' hosts must be vouched for by.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The log.
    #[error("the node's log cannot be replayed: {0}")]
    Replay(String),
    /// The store failed while running.
    #[error("the store failed, nothing is acknowledged any more: {0}")]
    Store(store::Error),
    /// Raft does not start.
    #[error(transparent)]
    Raft(#[from] StartError),
    /// Raft stopped by itself.
    #[error("the control plane stopped: {0}")]
    RaftStopped(String),
    /// The new cluster's first command.
    #[error("the cluster cannot be initialized: {0}")]
    Init(CommandError),
    /// The key ring does not open.
    #[error("the cluster's keys do not open: {0}")]
    Keys(crate::pki::Error),
    /// gRPC.
    #[error("gRPC: {0}")]
    Grpc(tonic::transport::Error),
    /// The state in memory is not the one that was applied.
    #[error("the state in memory is damaged: what the disk holds is whole, start again from it")]
    Memory,
    /// A bug.
    #[error("a part of the server failed: {0}")]
    Task(tokio::task::JoinError),
    /// A part of the server ended that runs until it is told to stop.
    #[error("a part of the server ended early: {0}")]
    Ended(&'static str),
    /// A bug.
    #[error("a task of the server panicked")]
    Panicked,
}

struct Listeners {
    aws: TcpListener,
    grpc: TcpListener,
    ops: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, ServerError> {
        let bind = async |address| {
            TcpListener::bind(address).await.map_err(|error| ServerError::Listen(address, error))
        };
        let listen = &config.listen;
        let (aws, grpc) = (bind(listen.aws).await?, bind(listen.grpc).await?);
        Ok(Self { aws, grpc, ops: bind(listen.ops).await? })
    }
}

/// Runs a node until it is told to stop by SIGINT or SIGTERM.
///
/// # Errors
/// When it does not start, or cannot go on.
pub async fn run(config: Config) -> Result<(), ServerError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signal)?;
    bootstrap::check(&config)?;
    let verifier = Verifier::new(&config.web_identity)?;
    let listeners = Listeners::bind(&config).await?;
    let Ready { home, store, kek, init } = bootstrap::prepare(&config).await?;
    let metrics = Arc::new(Metrics::default());
    let node = replay(&home, &store)?;
    let (core, task) = core::new(node, store.handle(), Arc::clone(&metrics));
    let mut panics = panics::watch();
    let mut core_task = tokio::spawn(task.run());
    let control = Arc::new(start_raft(&home, store.handle()).await?);
    let saved = init.is_none();
    if let Some(init) = init {
        initialize(&control, &config, init).await?;
    }
    if !saved {
        home.save(&config.data_dir).map_err(BootstrapError::Home)?;
    }
    tracing::info!(node = home.node, cluster = home.cluster_id, "the node starts");
    let prepared = PreparedPolicies::new(config.checks.prepared_bytes_max, Arc::clone(&metrics));
    let app = Arc::new(App {
        core,
        control: Arc::clone(&control),
        home,
        kek,
        prepared,
        verifier,
        attempts: Attempts::default(),
        reports: Reports::default(),
    });
    let (stopper, stop) = stop::pair();
    let mut parts = Parts::default();
    spawn_parts(&mut parts, &app, &metrics, &config, listeners, store.handle(), &stop)?;
    let mut core_ended = None;
    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        result = &mut core_task => {
            core_ended = Some(flatten(result));
            Err(ServerError::Ended("the node's task"))
        }
        why = control.stopped() => Err(ServerError::RaftStopped(why)),
        error = parts.first_end() => Err(error),
        () = panics.any() => Err(ServerError::Panicked),
    };
    tracing::info!("the node stops");
    stopper.stop();
    let parts = parts.stopped(2 * DRAIN_WITHIN + http_drain()).await;
    control.shutdown().await;
    let core = match core_ended {
        Some(result) => result,
        None => {
            // It may have ended meanwhile, with an error that counts as well.
            let _ended = app.core.stop().await;
            flatten(core_task.await)
        }
    };
    let closed = close(store).await;
    outcome([core, ended, parts, closed], panics.happened())
}

/// Of all that went wrong the first counts: what fails first makes others end.
fn outcome(results: [Result<(), ServerError>; 4], panicked: bool) -> Result<(), ServerError> {
    results.into_iter().collect::<Result<(), _>>()?;
    if panicked { Err(ServerError::Panicked) } else { Ok(()) }
}

/// The listeners' own limit, with a margin.
fn http_drain() -> Duration {
    Duration::from_secs(6)
}

fn flatten(
    result: Result<Result<(), store::Error>, tokio::task::JoinError>,
) -> Result<(), ServerError> {
    result.map_err(ServerError::Task)?.map_err(ServerError::Store)
}

async fn close(store: Store) -> Result<(), ServerError> {
    flatten(tokio::task::spawn_blocking(move || store.close()).await)
}

/// A node with what its store holds.
pub(crate) fn replay(home: &crate::home::Home, store: &Store) -> Result<Node, ServerError> {
    let role = match home.role {
        Role::Writer => node::Role::Writer,
        Role::Replica => node::Role::Replica,
    };
    let mut node = Node::new(crdt::NodeId(home.node), home.cluster_id.clone(), role);
    let restored = snapshots::restore(&mut node, store);
    let replayed = restored.and_then(|()| snapshots::replay(&mut node, store));
    replayed.map_err(|error| ServerError::Replay(error.to_string()))?;
    Ok(node)
}

async fn start_raft(
    home: &crate::home::Home,
    store: StoreHandle,
) -> Result<ControlPlane<Rules>, ServerError> {
    let start = Start {
        node: home.node,
        cluster_id: home.cluster_id.clone(),
        ca_certificate: home.ca_der().map_err(BootstrapError::Home)?,
        identity: home.identity.clone(),
        store,
        machine: Rules::default(),
        timing: Timing::default(),
    };
    Ok(ControlPlane::start(start).await?)
}

async fn initialize(
    control: &ControlPlane<Rules>,
    config: &Config,
    init: v1::InitCluster,
) -> Result<(), ServerError> {
    let address = config.grpc_address();
    control.bootstrap(&address).await.map_err(|error| ServerError::Init(error.into()))?;
    control::propose(control, Command::InitCluster(init)).await.map_err(ServerError::Init)?;
    Ok(())
}

fn spawn_parts(
    parts: &mut Parts,
    app: &Arc<App>,
    metrics: &Arc<Metrics>,
    config: &Config,
    listeners: Listeners,
    store: StoreHandle,
    stop: &Stop,
) -> Result<(), ServerError> {
    let (uses, waiting) = key_uses::pair();
    let authenticator = Arc::new(Authenticator::new(Arc::clone(app), uses));
    parts.spawn("key uses", done(key_uses::note(Arc::clone(app), waiting, stop.clone())));
    parts.spawn("control feed", feed_control(Arc::clone(app), stop.clone()));
    parts.spawn("dialers", done(streams::dial_all(Arc::clone(app), stop.clone())));
    parts.spawn("activation", done(membership::activate(Arc::clone(app), stop.clone())));
    parts.spawn("stability", done(stability::agree(Arc::clone(app), stop.clone())));
    parts.spawn("names", done(names::claim(Arc::clone(app), stop.clone())));
    let addresses = (config.grpc_address(), config.aws_address());
    parts.spawn(
        "announcement",
        done(membership::announce(Arc::clone(app), addresses, stop.clone())),
    );
    if config.cluster.evict_after_s > 0 {
        let after = Duration::from_secs(config.cluster.evict_after_s);
        parts.spawn("eviction", done(removal::evict(Arc::clone(app), after, stop.clone())));
    }
    parts.spawn("membership", fence::ask(Arc::clone(app), stop.clone()));
    let taken = snapshots::take(app.core.clone(), store.clone(), config.snapshots, stop.clone());
    parts.spawn("snapshots", taken);
    let every = Duration::from_secs(config.snapshots.check_every_s);
    let scrubbed = scrub::scrub(app.core.clone(), store.clone(), every, stop.clone());
    parts.spawn("scrub", done(scrubbed));
    let data_dir = config.data_dir.clone();
    parts.spawn("fence", fence::remember(Arc::clone(app), data_dir, stop.clone()));
    let Listeners { aws, grpc, ops } = listeners;
    parts.spawn("gRPC listener", serve_grpc(grpc, app, Arc::clone(&authenticator), stop.clone())?);
    let limits = http::Limits::default();
    let open = |listener| metrics.connections.get_or_create_owned(&Listener { listener });
    let handler = Arc::new(AwsHttp::new(Arc::clone(app), authenticator, limits));
    parts.spawn("AWS listener", done(http::serve(aws, handler, limits, open("aws"), stop.clone())));
    let ops_handler = Arc::new(ops_handler(app, metrics, store));
    parts.spawn(
        "operations listener",
        done(http::serve(ops, ops_handler, limits, open("ops"), stop.clone())),
    );
    Ok(())
}

async fn done(part: impl Future<Output = ()>) -> Result<(), ServerError> {
    part.await;
    Ok(())
}

/// Tells the node each state that Raft agrees on, with its keys opened.
async fn feed_control(app: Arc<App>, mut stop: Stop) -> Result<(), ServerError> {
    let mut state = app.control.watch();
    loop {
        let message = {
            let rules = state.borrow_and_update();
            rules.0.to_message()
        };
        if !message.cluster_id.is_empty() {
            let data_keys = open_keys(app.kek.as_ref(), &message).map_err(ServerError::Keys)?;
            let input = Input::Control { state: Box::new(message), data_keys };
            if app.core.input(input).await.is_err() {
                // The node's task has ended: whoever awaits it tells why.
                stop.stopped().await;
                return Ok(());
            }
        }
        tokio::select! {
            () = stop.stopped() => return Ok(()),
            changed = state.changed() => if changed.is_err() {
                // Raft has stopped: whoever watches it tells why.
                stop.stopped().await;
                return Ok(());
            },
        }
    }
}

fn open_keys(
    kek: Option<&KeyEncryptionKey>,
    state: &v1::ControlState,
) -> Result<Vec<(u32, [u8; 32])>, crate::pki::Error> {
    let (Some(kek), Some(ring)) = (kek, &state.key_ring) else { return Ok(Vec::new()) };
    let open = |key: &v1::DataKey| {
        let opened = kek.open_data_key(&state.cluster_id, key)?;
        Ok((key.id, *opened.expose()))
    };
    ring.data_keys.iter().map(open).collect()
}

/// The gRPC listener, as a future to spawn.
fn serve_grpc(
    listener: TcpListener,
    app: &Arc<App>,
    authenticator: Arc<Authenticator>,
    mut stop: Stop,
) -> Result<impl Future<Output = Result<(), ServerError>> + Send + 'static, ServerError> {
    let peers = app::raft_peers(&app.core, &app.home);
    let own = || Arc::clone(app);
    let replication = ReplicationServer::new(Streams::new(own(), stop.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let router = rpc::tls::server(&app.home.identity, &app.home.ca_pem)
        .map_err(ServerError::Grpc)?
        .layer(VerifyLayer::new(authenticator))
        .add_service(known(app.control.service(peers)))
        .add_service(known(replication))
        .add_service(known(PeerServer::new(Peers::new(own()))))
        .add_service(Joins::server(own()))
        .add_service(known(AuthorizationServer::new(Authorizations::new(own()))))
        .add_service(known(AccessServer::new(AccessQuestions::new(own()))))
        .add_service(known(PropagationServer::new(Propagations::new(own()))))
        .add_service(known(ClusterServer::new(Clusters::new(own()))))
        .add_service(known(ConflictsServer::new(ConflictInbox::new(own()))))
        .add_service(known(ReadsServer::new(ReadCalls::new(own()))));
    let open = app.core.metrics().connections.get_or_create_owned(&Listener { listener: "grpc" });
    let incoming = grpc::incoming(listener, grpc::CONNECTIONS_MAX, open);
    Ok(async move {
        let mut until = stop.clone();
        let served = router.serve_with_incoming_shutdown(incoming, async move {
            until.stopped().await;
        });
        // Streams between nodes never end by themselves: after a while they are cut.
        let cut = async {
            stop.stopped().await;
            tokio::time::sleep(DRAIN_WITHIN).await;
        };
        tokio::select! {
            served = served => served.map_err(ServerError::Grpc),
            () = cut => Ok(()),
        }
    })
}

type Admission = fn(Request<()>) -> Result<Request<()>, Status>;

/// A service that only callers with a signature or a certificate reach.
fn known<S>(service: S) -> InterceptedService<S, Admission> {
    InterceptedService::new(service, grpc::of_somebody)
}

fn ops_handler(app: &Arc<App>, metrics: &Arc<Metrics>, store: StoreHandle) -> Ops {
    let readiness = {
        let app = Arc::clone(app);
        let store = store.clone();
        Box::new(move || conditions(&app, &store))
    };
    let refresh = {
        let app = Arc::clone(app);
        Box::new(move || refresh_gauges(&app, &store))
    };
    Ops::new(Arc::clone(metrics), readiness, refresh)
}

fn conditions(app: &App, store: &StoreHandle) -> Vec<Condition> {
    let missing = |missing: bool, why: &str| missing.then(|| why.to_owned());
    let poisoned = missing(store.poisoned(), "the store failed");
    let (control, member, state) = match app.core.peek(|node| {
        let own = node.control().node(node.id());
        let unknown = node.control().cluster_id().is_empty();
        (unknown, own.map(|entry| entry.state), node.fenced(), node.is_mending())
    }) {
        Err(stopping) => {
            let why = Some(stopping.to_string());
            (why.clone(), why.clone(), why)
        }
        Ok((unknown, state, fence, mending)) => {
            let member = match state {
                _ if fence.is_some() => fence.map(|fence| fence.to_string()),
                Some(node::NodeState::Active) => None,
                Some(node::NodeState::Joining) => Some("joining, not caught up".to_owned()),
                Some(node::NodeState::Removed) => Some("removed from the cluster".to_owned()),
                None => Some("not in the roster".to_owned()),
            };
            let control = missing(unknown, "the control plane's state has not arrived");
            (control, member, missing(mending, "other than most members', being mended"))
        }
    };
    vec![
        Condition { name: "store", missing: poisoned },
        Condition { name: "control", missing: control },
        Condition { name: "member", missing: member },
        Condition { name: "state", missing: state },
    ]
}

fn refresh_gauges(app: &App, store: &StoreHandle) {
    let metrics = app.core.metrics();
    app.core.refresh_gauges();
    metrics.log_first.set(store.first_lsn());
    if let Some(newest) = store.snapshots().first() {
        metrics.snapshot_lsn.set(newest.lsn);
        metrics.snapshot_bytes.set(newest.bytes);
        metrics.snapshot_age.set(store.snapshot_age().unwrap_or_default().as_secs_f64());
    }
    let raft = app.control.metrics();
    metrics.raft_term.set(raft.term);
    metrics.raft_leader.set(raft.leader.map_or(0, u64::from));
    metrics.raft_last.set(raft.last_index);
    metrics.raft_applied.set(raft.applied_index);
    metrics.raft_voters.set(u64::try_from(raft.voters.len()).unwrap_or(u64::MAX));
    let status = app.core.peek(|node| node.status(app.core.now())).unwrap_or_default();
    let others = status.into_iter().filter(|status| status.entry.node.0 != app.home.node);
    others.for_each(|status| refresh_peer(metrics, &status));
}

fn refresh_peer(metrics: &Metrics, status: &node::NodeStatus) {
    let peer = crate::metrics::Peer { peer: status.entry.node.0 };
    if status.entry.state == node::NodeState::Removed {
        metrics.lag.remove(&peer);
        metrics.connected.remove(&peer);
        metrics.silence.remove(&peer);
        metrics.diverged.remove(&peer);
        return;
    }
    let silence = Duration::from_millis(status.heard_ms).as_secs_f64();
    let diverged = status.digest == node::DigestState::Different;
    metrics.lag.get_or_create(&peer).set(status.lag);
    metrics.connected.get_or_create(&peer).set(u64::from(status.connected));
    metrics.silence.get_or_create(&peer).set(silence);
    metrics.diverged.get_or_create(&peer).set(u64::from(diverged));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_first_is_told_and_nothing_that_failed_is_a_success() {
        let told = |results, panicked| outcome(results, panicked).map_err(|e| e.to_string());
        let store = || Err(ServerError::Store(store::Error::Closed));
        let early = || Err(ServerError::Ended("dialers"));
        let text = |result: Result<(), ServerError>| result.map_err(|error| error.to_string());
        assert_eq!(told([Ok(()), Ok(()), Ok(()), Ok(())], false), Ok(()));
        assert_eq!(told([store(), early(), Ok(()), Ok(())], false), text(store()));
        assert_eq!(told([Ok(()), early(), Ok(()), store()], true), text(early()));
        assert_eq!(told([Ok(()), Ok(()), Ok(()), store()], false), text(store()));
        let panicked = Err("a task of the server panicked".to_owned());
        assert_eq!(told([Ok(()), Ok(()), Ok(()), Ok(())], true), panicked);
    }
}
