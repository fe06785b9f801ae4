//! Raft on real stores, and clusters of it over real TLS on loopback.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use expect_test::expect;
use model::Timestamp;
use openraft::{
    CommittedLeaderId, EntryPayload, RaftSnapshotBuilder, Vote,
    storage::{RaftLogReader, RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
    testing::{StoreBuilder, Suite},
};
use rpc::{
    client::{self, ServerName, Target, Trust},
    peer::Fingerprint,
    tls,
    v1::{
        raft_client::RaftClient,
        raft_server::{Raft, RaftServer},
    },
};
use store::{Store, StoreIdentity};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::{Code, Request, Response, Status, transport::server::TcpIncoming};
use wire::{
    Message as _,
    v1::{
        self, ControlCommand, ControlRefusal, ControlReply, ControlState, RaftMessage, RosterEntry,
        control_command::Command as C, control_reply::Reply as R,
    },
};

use super::{
    Caller, ControlMachine, ControlPlane, Malformed, Member, Metrics, Part, Peers, ProposeError,
    RaftService, Start, Timing,
    log::LogStore,
    machine::Machine,
    types::{Command, Entry, LogId, RaftId, SnapshotMeta, StorageError, TypeConfig},
};
use crate::{
    control::Rules,
    pki::{Authority, NodeKey, to_pem},
};

const CLUSTER: &str = "c1";
/// Long for a command, short for a test that waits until it is over.
const LIMIT: Duration = Duration::from_secs(30);
const TIMING: Timing = Timing { heartbeat_ms: 100, election_ms: 600, election_step_ms: 250 };

/// Keeps accounts, a roster and answers; everything else is refused.
#[derive(Clone, Debug, Default, PartialEq)]
struct Toy(ControlState);

impl ControlMachine for Toy {
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let refused = |why: ControlRefusal| R::Refused(why.into());
        let ControlCommand { command, request_id } = ControlCommand::decode(command).unwrap();
        let mut answers = self.0.answers.iter();
        let known = answers.find(|known| !request_id.is_empty() && known.request_id == request_id);
        if let Some(known) = known {
            return known.reply.as_ref().unwrap().encode_to_vec();
        }
        let reply = match command {
            Some(C::CreateAccount(new)) => {
                if self.0.accounts.iter().any(|account| account.account == new.account) {
                    refused(ControlRefusal::AccountExists)
                } else {
                    let account = v1::Account { account: new.account, ..v1::Account::default() };
                    self.0.accounts.push(account);
                    R::Done(v1::control_reply::Done {})
                }
            }
            Some(C::AddNode(v1::AddNode { entry: Some(entry), .. })) => {
                self.0.roster.push(entry.clone());
                R::Added(entry)
            }
            Some(C::UpdateNode(new)) => {
                for entry in self.0.roster.iter_mut().filter(|entry| entry.node == new.node) {
                    entry.grpc_address.clone_from(&new.grpc_address);
                }
                R::Done(v1::control_reply::Done {})
            }
            Some(C::RemoveNode(gone)) => {
                self.0.roster.retain(|entry| entry.node != gone.node);
                R::Done(v1::control_reply::Done {})
            }
            _ => refused(ControlRefusal::Malformed),
        };
        let reply = ControlReply { reply: Some(reply) };
        self.0.answers.push(v1::ControlAnswer { request_id, reply: Some(reply.clone()) });
        reply.encode_to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Malformed> {
        self.0 = ControlState::decode(state).map_err(|_| Malformed)?;
        Ok(())
    }

    fn members(&self) -> Vec<Member> {
        let member = |entry: &RosterEntry| Member {
            node: entry.node,
            address: entry.grpc_address.clone(),
            part: if entry.role() == v1::Role::Writer { Part::Voter } else { Part::Learner },
        };
        self.0.roster.iter().map(member).collect()
    }
}

fn store_identity(node: u32) -> StoreIdentity {
    StoreIdentity { cluster_id: CLUSTER.to_owned(), node_id: node }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine<Toy>, (Store, TempDir)> for Builder {
    async fn build(&self) -> Result<((Store, TempDir), LogStore, Machine<Toy>), StorageError> {
        let dir = TempDir::new().unwrap();
        let store = Store::create(&dir.path().join("data"), store_identity(1)).unwrap();
        let (machine, _) = Machine::open(store.handle(), Toy::default()).await.unwrap();
        let log = LogStore::new(store.handle());
        Ok(((store, dir), log, machine))
    }
}

#[test]
fn openrafts_own_storage_suite_passes() {
    Suite::test_all(Builder).unwrap();
}

/// A store as a crash at this moment would leave it: a copy of its files, opened by itself.
struct Crashed {
    log: LogStore,
    machine: Machine<Toy>,
    _store: Store,
    _dir: TempDir,
}

async fn crash(dir: &Path) -> Crashed {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let image = TempDir::new().unwrap();
    let path = image.path().join("data");
    copy(dir, &path);
    let store = Store::open_expecting(&path, &store_identity(1)).unwrap();
    let (machine, _) = Machine::open(store.handle(), Toy::default()).await.unwrap();
    Crashed { log: LogStore::new(store.handle()), machine, _store: store, _dir: image }
}

/// What a crash here leaves: vote, purged and last entry, the entries, what the snapshot covers.
async fn left(dir: &Path) -> String {
    let Crashed { mut log, mut machine, _store, _dir } = crash(dir).await;
    let vote = log.read_vote().await.unwrap();
    let state = log.get_log_state().await.unwrap();
    let entries = log.try_get_log_entries(..).await.unwrap();
    let indexes: Vec<_> = entries.iter().map(|entry| entry.log_id.to_string()).collect();
    let (applied, _) = machine.applied_state().await.unwrap();
    let shown = |id: Option<LogId>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!(
        "vote {} purged {} last {} entries [{}] applied {}\n",
        vote.map_or_else(|| "-".to_owned(), |vote| vote.to_string()),
        shown(state.last_purged_log_id),
        shown(state.last_log_id),
        indexes.join(" "),
        shown(applied),
    )
}

#[tokio::test]
async fn a_crash_after_any_step_keeps_vote_log_and_snapshot() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path().join("data");
    let store = Store::create(&dir, store_identity(1)).unwrap();
    let (mut machine, _) = Machine::open(store.handle(), Toy::default()).await.unwrap();
    let mut log = LogStore::new(store.handle());
    let log_id = |term, index| LogId::new(CommittedLeaderId::new(term, 1), index);
    let entry = |term, index| {
        let command = Command(create_account(index).encode_to_vec());
        Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(command) }
    };
    let mut shown = left(&dir).await;
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    shown += &left(&dir).await;
    log.blocking_append((0..6).map(|index| entry(3, index))).await.unwrap();
    shown += &left(&dir).await;
    log.truncate(log_id(3, 4)).await.unwrap();
    shown += &left(&dir).await;
    log.save_vote(&Vote::new_committed(5, 2)).await.unwrap();
    log.blocking_append((4..6).map(|index| entry(5, index))).await.unwrap();
    shown += &left(&dir).await;
    machine.apply([entry(3, 0), entry(3, 1), entry(3, 2)]).await.unwrap();
    let snapshot = machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    shown += &left(&dir).await;
    log.purge(log_id(3, 2)).await.unwrap();
    shown += &left(&dir).await;
    // A snapshot from a leader, past all of the log; then the log behind it goes.
    let meta = SnapshotMeta { last_log_id: Some(log_id(7, 20)), ..snapshot.meta };
    machine.install_snapshot(&meta, snapshot.snapshot).await.unwrap();
    shown += &left(&dir).await;
    log.purge(log_id(7, 20)).await.unwrap();
    shown += &left(&dir).await;
    log.blocking_append([entry(7, 21)]).await.unwrap();
    shown += &left(&dir).await;
    expect![[r#"
        vote - purged - last - entries [] applied -
        vote T3-N1:uncommitted purged - last - entries [] applied -
        vote T3-N1:uncommitted purged - last T3-N1-5 entries [T3-N1-0 T3-N1-1 T3-N1-2 T3-N1-3 T3-N1-4 T3-N1-5] applied -
        vote T3-N1:uncommitted purged - last T3-N1-3 entries [T3-N1-0 T3-N1-1 T3-N1-2 T3-N1-3] applied -
        vote T5-N2:committed purged - last T5-N1-5 entries [T3-N1-0 T3-N1-1 T3-N1-2 T3-N1-3 T5-N1-4 T5-N1-5] applied -
        vote T5-N2:committed purged - last T5-N1-5 entries [T3-N1-0 T3-N1-1 T3-N1-2 T3-N1-3 T5-N1-4 T5-N1-5] applied T3-N1-2
        vote T5-N2:committed purged T3-N1-2 last T5-N1-5 entries [T3-N1-3 T5-N1-4 T5-N1-5] applied T3-N1-2
        vote T5-N2:committed purged T3-N1-2 last T5-N1-5 entries [T3-N1-3 T5-N1-4 T5-N1-5] applied T7-N1-20
        vote T5-N2:committed purged T7-N1-20 last T7-N1-20 entries [] applied T7-N1-20
        vote T5-N2:committed purged T7-N1-20 last T7-N1-21 entries [T7-N1-21] applied T7-N1-20
    "#]].assert_eq(&shown);
    store.close().unwrap();
}

/// A control plane of one node, with the rules.
async fn with_rules(cluster: &Cluster) -> (Store, ControlPlane<Rules>) {
    let store = Store::create(&cluster.dir.path().join("rules"), store_identity(1)).unwrap();
    let plane = ControlPlane::start(Start {
        node: 1,
        cluster_id: CLUSTER.to_owned(),
        ca_certificate: cluster.authority.certificate().to_vec(),
        identity: cluster.identities[&1].clone(),
        store: store.handle(),
        machine: Rules::default(),
        timing: TIMING,
    });
    let plane = plane.await.unwrap();
    plane.bootstrap("host:1").await.unwrap();
    (store, plane)
}

fn rules_entry(number: u8) -> RosterEntry {
    RosterEntry {
        role: v1::Role::Writer.into(),
        grpc_address: format!("host:{number}"),
        certificate: format!("{number:064x}"),
        ..RosterEntry::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_at_once_one_has_the_token_and_one_the_alias() {
    let cluster = Cluster::new(1);
    let (store, plane) = with_rules(&cluster).await;
    let data_key = v1::DataKey { id: 1, nonce: vec![0; 12], sealed_key: vec![0; 48] };
    let key_ring =
        v1::KeyRing { data_keys: vec![data_key], token_mac_key: vec![5; 32], current: 1 };
    let init = v1::InitCluster {
        cluster_id: CLUSTER.to_owned(),
        key_ring: Some(key_ring),
        first_node: Some(rules_entry(1)),
        ..v1::InitCluster::default()
    };
    let token =
        v1::CreateJoinToken { hash: vec![9; 32], role: v1::Role::Writer.into(), expires_ms: 10 };
    let propose = async |command_: C| {
        let reply = plane.propose(&command(command_), LIMIT).await.unwrap();
        reply.reply.unwrap()
    };
    let began = propose(C::InitCluster(init)).await;
    assert!(matches!(began, R::Added(_)), "{began:?}");
    let accounts = [1, 2].map(|account| v1::CreateAccount { account, created_ms: 1 });
    for set_up in [C::CreateJoinToken(token)].into_iter().chain(accounts.map(C::CreateAccount)) {
        assert_eq!(Some(propose(set_up).await), done().unwrap().reply);
    }

    let add = |number| {
        let entry = Some(rules_entry(number));
        propose(C::AddNode(v1::AddNode { token_hash: vec![9; 32], entry, now_ms: 1 }))
    };
    let replies = tokio::join!(add(2), add(3));
    let (first, second) = replies;
    let refused = R::Refused(ControlRefusal::TokenUnknown.into());
    let one = [&first, &second].into_iter().filter(|reply| matches!(reply, R::Added(_))).count();
    assert_eq!(one, 1, "{first:?} {second:?}");
    assert!(first == refused || second == refused, "{first:?} {second:?}");

    let alias = |account| propose(C::SetAlias(v1::SetAlias { account, alias: "acme".to_owned() }));
    let (first, second) = tokio::join!(alias(1), alias(2));
    let refused = R::Refused(ControlRefusal::AliasTaken.into());
    let one = [&first, &second].into_iter().filter(|reply| matches!(reply, R::Done(_))).count();
    assert_eq!(one, 1, "{first:?} {second:?}");
    assert!(first == refused || second == refused, "{first:?} {second:?}");
    plane.shutdown().await;
    store.close().unwrap();
}

/// What the nodes of a test have in common.
struct Cluster {
    authority: Authority,
    dir: TempDir,
    /// The nodes' certificates.
    peers: Arc<StdMutex<BTreeMap<Fingerprint, Caller>>>,
    identities: BTreeMap<u32, tls::Identity>,
}

/// A node that runs.
struct Running {
    node: u32,
    address: String,
    plane: Arc<ControlPlane<Toy>>,
    store: Store,
    stop: oneshot::Sender<()>,
    /// How many answers to proposals are still to be lost on their way.
    lose: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

/// The service, some of whose answers to proposals are lost.
struct Lossy {
    inner: RaftService,
    lose: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Raft for Lossy {
    async fn append_entries(
        &self,
        request: Request<RaftMessage>,
    ) -> Result<Response<RaftMessage>, Status> {
        self.inner.append_entries(request).await
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.inner.vote(request).await
    }

    async fn install_snapshot(
        &self,
        request: Request<RaftMessage>,
    ) -> Result<Response<RaftMessage>, Status> {
        self.inner.install_snapshot(request).await
    }

    async fn propose(
        &self,
        request: Request<v1::ProposeRequest>,
    ) -> Result<Response<v1::ProposeReply>, Status> {
        let reply = self.inner.propose(request).await?;
        let left = |left: usize| left.checked_sub(1);
        match self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
            Ok(_) => Err(Status::unavailable("lost on the way")),
            Err(_) => Ok(reply),
        }
    }
}

fn command(command: C) -> ControlCommand {
    ControlCommand { command: Some(command), request_id: Vec::new() }
}

fn create_account(account: u64) -> ControlCommand {
    command(C::CreateAccount(v1::CreateAccount { account, created_ms: 1 }))
}

fn done() -> Result<ControlReply, ProposeError> {
    Ok(ControlReply { reply: Some(R::Done(v1::control_reply::Done {})) })
}

impl Cluster {
    fn new(nodes: u32) -> Self {
        let now = Timestamp::from_secs(1_795_000_000);
        let authority = Authority::create(CLUSTER, now).unwrap();
        let mut identities = BTreeMap::new();
        let mut peers = BTreeMap::new();
        for node in 1..=nodes {
            let key = NodeKey::create().unwrap();
            let request = key.request().unwrap();
            let certificate = authority.sign(&request, node, CLUSTER, now).unwrap();
            let caller = Caller { node, part: Part::Voter };
            peers.insert(Fingerprint::of_certificate(&certificate).unwrap(), caller);
            identities.insert(node, key.identity(&certificate, authority.certificate()));
        }
        let peers = Arc::new(StdMutex::new(peers));
        Self { authority, dir: TempDir::new().unwrap(), peers, identities }
    }

    /// Starts a node on its directory, on a free port.
    async fn start(&self, node: u32) -> Running {
        let dir = self.dir.path().join(node.to_string());
        let store = if dir.exists() {
            Store::open_expecting(&dir, &store_identity(node)).unwrap()
        } else {
            Store::create(&dir, store_identity(node)).unwrap()
        };
        let identity = self.identities[&node].clone();
        let plane = ControlPlane::start(Start {
            node,
            cluster_id: CLUSTER.to_owned(),
            ca_certificate: self.authority.certificate().to_vec(),
            identity: identity.clone(),
            store: store.handle(),
            machine: Toy::default(),
            timing: TIMING,
        });
        let plane = Arc::new(plane.await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let peers = Arc::clone(&self.peers);
        let peers = Peers {
            find: Arc::new(move |fingerprint| peers.lock().unwrap().get(fingerprint).copied()),
            may_propose: Arc::new(|_, command| match &command.command {
                Some(C::InitCluster(_)) => Err("no".to_owned()),
                _ => Ok(()),
            }),
        };
        let lose = Arc::new(AtomicUsize::new(0));
        let inner = RaftService::new(plane.local.clone(), peers);
        let service = RaftServer::new(Lossy { inner, lose: Arc::clone(&lose) });
        let ca_pem = to_pem(self.authority.certificate());
        let router = tls::server(&identity, &ca_pem).unwrap().add_service(service);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let incoming = TcpIncoming::from(listener);
            let serve = router.serve_with_incoming(incoming);
            // Connections are cut, as a killed process's are.
            tokio::select! {
                served = serve => served.unwrap(),
                _ = stopped => {}
            }
        });
        Running { node, address, plane, store, stop, lose, server }
    }

    /// Starts a node again and tells the others where it is.
    async fn restart(&self, node: u32) -> Running {
        let running = self.start(node).await;
        let update = command(C::UpdateNode(v1::UpdateNode {
            node,
            grpc_address: running.address.clone(),
            aws_address: String::new(),
        }));
        // Who led when it was killed believes for a moment that it still does.
        let mut told = Err(ProposeError::Unknown);
        while told == Err(ProposeError::Unknown) {
            told = running.plane.propose(&update, LIMIT).await;
        }
        assert_eq!(told, done());
        running
    }

    /// Nodes 1 to `nodes`, all voters.
    async fn form(&self, nodes: u32) -> Vec<Running> {
        let first = self.start(1).await;
        first.plane.bootstrap(&first.address).await.unwrap();
        let mut all = vec![first];
        all[0].join(&all[0], v1::Role::Writer).await;
        for node in 2..=nodes {
            let next = self.start(node).await;
            all[0].join(&next, v1::Role::Writer).await;
            all.push(next);
        }
        let voters: Vec<u32> = (1..=nodes).collect();
        for node in &all {
            node.until(|metrics| metrics.voters == voters && metrics.leader.is_some()).await;
        }
        all
    }
}

impl Running {
    /// Has another node in the roster.
    async fn join(&self, other: &Running, role: v1::Role) {
        let entry = RosterEntry {
            node: other.node,
            role: role.into(),
            grpc_address: other.address.clone(),
            ..RosterEntry::default()
        };
        let add = v1::AddNode { entry: Some(entry), ..v1::AddNode::default() };
        let reply = self.plane.propose(&command(C::AddNode(add)), LIMIT).await.unwrap();
        assert!(matches!(reply.reply, Some(R::Added(_))), "{reply:?}");
    }

    /// Waits until Raft here is so.
    async fn until(&self, is: impl Fn(&Metrics) -> bool) {
        let mut metrics = self.plane.local.raft.metrics();
        let wait = metrics.wait_for(|_| is(&self.plane.metrics()));
        let waited = tokio::time::timeout(LIMIT, wait).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "{:?}", self.plane.metrics());
    }

    /// Waits until the state here has these accounts.
    async fn until_accounts(&self, accounts: &[u64]) {
        let mut state = self.plane.watch();
        let has = |toy: &Arc<Toy>| toy.0.accounts.iter().map(|a| a.account).eq(accounts.to_vec());
        let waited = tokio::time::timeout(LIMIT, state.wait_for(has)).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "{:?}", self.plane.watch().borrow());
    }

    async fn kill(self) {
        assert!(self.stop.send(()).is_ok(), "the server stopped by itself");
        self.server.await.unwrap();
        self.plane.shutdown().await;
        self.store.close().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_survives_its_leader_and_keeps_its_state_on_disk() {
    let cluster = Cluster::new(3);
    let mut nodes = cluster.form(3).await;
    let leader = nodes[0].plane.leader().unwrap();
    let follower = nodes.iter().find(|node| node.node != leader).unwrap();
    assert_eq!(follower.plane.propose(&create_account(10), LIMIT).await, done());
    let refused = follower.plane.propose(&create_account(10), LIMIT).await.unwrap();
    assert_eq!(refused.reply, Some(R::Refused(ControlRefusal::AccountExists.into())));
    for node in &nodes {
        node.until_accounts(&[10]).await;
    }

    let at = nodes.iter().position(|node| node.node == leader).unwrap();
    nodes.remove(at).kill().await;
    assert_eq!(nodes[0].plane.propose(&create_account(11), LIMIT).await, done());
    for node in &nodes {
        node.until_accounts(&[10, 11]).await;
        node.until(|metrics| metrics.leader.is_some_and(|now| now != leader)).await;
    }

    let back = cluster.restart(leader).await;
    back.until_accounts(&[10, 11]).await;
    nodes.push(back);

    let last = nodes.remove(0);
    for node in nodes {
        node.kill().await;
    }
    let alone = last.plane.propose(&create_account(12), Duration::from_secs(1)).await;
    assert!(matches!(alone, Err(ProposeError::NoLeader | ProposeError::Unknown)), "{alone:?}");
    last.until_accounts(&[10, 11]).await;
    let last_node = last.node;
    last.kill().await;

    let again = cluster.start(last_node).await;
    again.until_accounts(&[10, 11]).await;
    again.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_far_behind_gets_a_snapshot_and_keeps_it() {
    let cluster = Cluster::new(2);
    let first = cluster.form(1).await.remove(0);
    for account in 0..20 {
        assert_eq!(first.plane.propose(&create_account(account), LIMIT).await, done());
    }
    let raft = &first.plane.local.raft;
    let index = first.plane.metrics().applied_index;
    raft.trigger().snapshot().await.unwrap();
    let taken = |metrics: &openraft::RaftMetrics<RaftId, _>| {
        metrics.snapshot.is_some_and(|log_id| log_id.index >= index)
    };
    raft.wait(Some(LIMIT)).metrics(taken, "the snapshot is taken").await.unwrap();
    raft.trigger().purge_log(index).await.unwrap();
    let purged = |metrics: &openraft::RaftMetrics<RaftId, _>| {
        metrics.purged.is_some_and(|log_id| log_id.index >= index)
    };
    raft.wait(Some(LIMIT)).metrics(purged, "the log is purged").await.unwrap();

    let accounts: Vec<u64> = (0..20).collect();
    let second = cluster.start(2).await;
    first.join(&second, v1::Role::Replica).await;
    second.until_accounts(&accounts).await;
    second.until(|metrics| metrics.learners == [2] && metrics.voters == [1]).await;
    let state = second.plane.watch().borrow().clone();
    second.kill().await;
    first.kill().await;

    let alone = cluster.start(2).await;
    alone.until_accounts(&accounts).await;
    assert_eq!(alone.plane.watch().borrow().0.accounts, state.0.accounts);
    alone.kill().await;
    let first = cluster.start(1).await;
    first.until_accounts(&accounts).await;
    first.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_the_roster_leaves_raft_even_if_it_leads() {
    let cluster = Cluster::new(3);
    let nodes = cluster.form(3).await;
    let remove = command(C::RemoveNode(v1::RemoveNode { node: 1 }));
    assert_eq!(nodes[1].plane.propose(&remove, LIMIT).await, done());
    for node in &nodes[1..] {
        node.until(|metrics| metrics.voters == [2, 3] && metrics.learners.is_empty()).await;
    }
    assert_eq!(nodes[2].plane.propose(&create_account(5), LIMIT).await, done());
    for node in nodes {
        node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_of_the_roster_are_heard() {
    let cluster = Cluster::new(2);
    let node = cluster.start(1).await;
    let ask = async |identity: Option<tls::Identity>| {
        let target = Target {
            address: node.address.clone(),
            trust: Trust::Ca(to_pem(cluster.authority.certificate())),
            name: ServerName::AnyNode,
            identity,
        };
        let channel = client::connect(&target).await.unwrap();
        let status = RaftClient::new(channel).vote(RaftMessage::default()).await.unwrap_err();
        status.code()
    };
    let second = cluster.identities[&2].clone();
    assert_eq!(ask(None).await, Code::Unauthenticated);
    assert_eq!(ask(Some(second.clone())).await, Code::InvalidArgument, "heard, and malformed");
    let part = |part| {
        let mut peers = cluster.peers.lock().unwrap();
        peers.values_mut().filter(|caller| caller.node == 2).for_each(|caller| caller.part = part);
    };
    part(Part::Learner);
    assert_eq!(ask(Some(second.clone())).await, Code::PermissionDenied, "a replica never leads");
    cluster.peers.lock().unwrap().retain(|_, caller| caller.node != 2);
    assert_eq!(ask(Some(second)).await, Code::Unauthenticated, "removed from the roster");
    node.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_over_the_limit_is_refused() {
    let cluster = Cluster::new(1);
    let node = cluster.form(1).await.remove(0);
    let alias = |characters: usize| {
        let alias = "a".repeat(characters);
        command(C::SetAlias(v1::SetAlias { account: 0, alias }))
    };
    let overhead = alias(60_000).encode_to_vec().len() - 60_000;
    let max = super::COMMAND_BYTES_MAX - overhead;
    assert!(node.plane.propose(&alias(max), LIMIT).await.is_ok());
    let refused = node.plane.propose(&alias(max + 1), LIMIT).await;
    assert_eq!(refused, Err(ProposeError::TooLarge { found: super::COMMAND_BYTES_MAX + 1 }));
    node.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_answer_is_lost_is_applied_once() {
    let cluster = Cluster::new(3);
    let mut nodes = cluster.form(3).await;
    let leader = nodes[0].plane.leader().unwrap();
    let leader = nodes.remove(nodes.iter().position(|node| node.node == leader).unwrap());
    let asked = |byte: u8, account: u64| ControlCommand {
        request_id: vec![byte; 16],
        ..create_account(account)
    };
    leader.lose.store(2, Ordering::SeqCst);
    assert_eq!(nodes[0].plane.propose(&asked(1, 10), LIMIT).await, done());
    assert_eq!(leader.lose.load(Ordering::SeqCst), 0, "the answer was lost twice");
    leader.lose.store(1, Ordering::SeqCst);
    let unnamed = nodes[0].plane.propose(&create_account(11), LIMIT).await;
    assert_eq!(unnamed, Err(ProposeError::Unknown), "asked once without a request id");

    leader.lose.store(usize::MAX, Ordering::SeqCst);
    let plane = Arc::clone(&nodes[0].plane);
    let proposed = tokio::spawn(async move { plane.propose(&asked(2, 12), LIMIT).await });
    nodes[1].until_accounts(&[10, 11, 12]).await;
    leader.kill().await;
    assert_eq!(proposed.await.unwrap(), done(), "the next leader knows what was answered");
    for node in &nodes {
        node.until_accounts(&[10, 11, 12]).await;
    }
    for node in nodes {
        node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_takes_only_what_the_caller_may_propose() {
    let cluster = Cluster::new(2);
    let nodes = cluster.form(2).await;
    let leader = nodes[0].plane.leader().unwrap();
    let follower = nodes.iter().find(|node| node.node != leader).unwrap();
    let init = command(C::InitCluster(v1::InitCluster::default()));
    let refused = follower.plane.propose(&init, LIMIT).await;
    assert_eq!(refused, Err(ProposeError::Forbidden));
    for node in nodes {
        node.kill().await;
    }
}
