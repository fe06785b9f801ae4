//! The control plane: openraft behind a few methods.
//!
//! [`ControlPlane`] starts Raft on the node's store, takes commands wherever the leader is, and
//! shows the newest state. Raft's configuration follows the roster in that state by itself
//! (`members`).
//!
//! **Invariants.** A command that was answered is committed: a majority of the voters has it on
//! disk. openraft's types do not leave this module, its messages come and go only over mutual TLS
//! between nodes of the roster. A command without a request id is asked for again only if it was
//! surely not taken. One with a request id is asked for until it is answered: the machine applies
//! it once, whoever led when, and gives each copy the first answer.
//!
//! **Must not know:** what commands mean: [`ControlMachine`] is `node::control`'s.

mod codec;
mod disk;
mod log;
mod machine;
mod members;
mod network;
mod service;
mod types;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use openraft::{
    Config, ServerState, SnapshotPolicy, StorageHelper,
    error::{ClientWriteError, Fatal, InitializeError, RaftError},
};
use rpc::{client, tls::Identity, v1::raft_server::RaftServer};
use store::StoreHandle;
use thiserror::Error;
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::Instant,
};
use tonic::{Code, Request};
use wire::{Message as _, v1};

use self::{
    log::LogStore,
    machine::Machine,
    members::Configuration,
    network::{Network, limited},
    types::{Command, Raft, RaftId, RaftNode},
};
pub use self::{
    members::VOTERS_MAX,
    service::{Caller, Peers, RaftService},
    types::{ControlMachine, Malformed, Member, Part},
};

/// The longest encoded command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 64 << 10;

/// Entries in one message: with the longest commands it stays below rpc's limit.
const MESSAGE_ENTRIES_MAX: u64 = 48;
const SNAPSHOT_PIECE_BYTES: u64 = 2 << 20;
const SNAPSHOT_AFTER_ENTRIES: u64 = 5000;
const INSTALL_SNAPSHOT_TIMEOUT_MS: u64 = 5000;
/// How long one step of a change of Raft's configuration may take before it is looked at again.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a follower may look for the leader before it tries again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a leader that fell waits for the next one to settle what it wrote.
const FALLEN_LEADER_GRACE: Duration = Duration::from_secs(1);
/// How long to wait for news of the leader before a command is asked for again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// What a node answers that is asked to write and does not lead.
const NOT_LEADER: &str = "this node does not lead the control plane";

/// Raft's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between a leader's heartbeats, and the longest answer to one.
    pub heartbeat_ms: u64,
    /// How long a follower waits for its leader at least.
    pub election_ms: u64,
    /// How much longer each next voter waits. openraft 0.9 draws one election timeout per process:
    /// two that drew alike would split votes for ever, so voters' ranges are kept apart.
    pub election_step_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_ms: 300, election_ms: 1200, election_step_ms: 400 }
    }
}

/// What Raft needs to run on a node.
pub struct Start<M> {
    /// This node's id.
    pub node: u32,
    /// The cluster's id.
    pub cluster_id: String,
    /// The cluster's CA certificate, DER.
    pub ca_certificate: Vec<u8>,
    /// This node's certificate and key.
    pub identity: Identity,
    /// Where log, vote and snapshots are kept.
    pub store: StoreHandle,
    /// The machine in its first state.
    pub machine: M,
    /// Raft's clocks.
    pub timing: Timing,
}

/// Raft could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store's log, vote or snapshot cannot be read.
    #[error("the control plane's log cannot be read: {0}")]
    Store(#[from] io::Error),
    /// openraft refuses what it found, or its configuration.
    #[error("the control plane does not start: {0}")]
    Raft(String),
}

/// A command that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// No leader took it in time: it is not applied and will not be.
    #[error("the control plane has no leader")]
    NoLeader,
    /// A leader took it and did not say in time what became of it: it may be applied yet.
    #[error("the control plane did not confirm the command in time; it may still take effect")]
    Unknown,
    /// Raft is stopped on this node.
    #[error("the control plane is stopped on this node")]
    Stopped,
    /// The leader does not take this command from this node. It is not applied.
    #[error("the control plane's leader does not take this command from this node")]
    Forbidden,
    /// Over [`COMMAND_BYTES_MAX`].
    #[error("a command of {found} bytes, over the limit of {COMMAND_BYTES_MAX}")]
    TooLarge {
        /// Its length.
        found: usize,
    },
}

/// How Raft is doing, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The leader, if one is known.
    pub leader: Option<u32>,
    /// The term.
    pub term: u64,
    /// Nodes that vote, by id.
    pub voters: Vec<u32>,
    /// Nodes that only follow, by id.
    pub learners: Vec<u32>,
    /// This node's last entry.
    pub last_index: u64,
    /// The last entry that is in the state.
    pub applied_index: u64,
    /// False once Raft stopped; a node that did not ask for it must exit.
    pub running: bool,
}

/// Raft on this node.
#[derive(Clone)]
pub(crate) struct Local {
    raft: Raft,
}

impl Local {
    /// Whether this node leads, as far as it knows.
    fn leads(&self) -> bool {
        self.raft.metrics().borrow().state == ServerState::Leader
    }

    /// Writes a command if this node leads.
    async fn write(&self, command: Vec<u8>) -> Result<v1::ControlReply, ProposeError> {
        match self.raft.client_write(Command(command)).await {
            // An entry that this version cannot read is committed all the same.
            Ok(response) => v1::ControlReply::decode(response.data.0.as_slice())
                .map_err(|_| ProposeError::Unknown),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(ProposeError::NoLeader)
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_))) => {
                Err(ProposeError::Unknown)
            }
            Err(RaftError::Fatal(_)) => Err(ProposeError::Stopped),
        }
    }
}

/// Raft, and everything that keeps it going on this node.
pub struct ControlPlane<M> {
    me: RaftId,
    local: Local,
    network: Network,
    state: watch::Receiver<Arc<M>>,
    stop: watch::Sender<bool>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl<M: ControlMachine> ControlPlane<M> {
    /// Starts Raft with what the store has. A node that has nothing waits for a leader to add it,
    /// or for [`ControlPlane::bootstrap`].
    ///
    /// # Errors
    /// When the store cannot be read or holds what openraft refuses.
    pub async fn start(start: Start<M>) -> Result<Self, StartError> {
        let Start { node, cluster_id, ca_certificate, identity, store, machine, timing } = start;
        let me = RaftId::from(node);
        let (mut machine, state) = Machine::open(store.clone(), machine).await?;
        let mut log = LogStore::new(store);
        let known = StorageHelper::new(&mut log, &mut machine).get_membership().await;
        let known = known.map_err(|error| StartError::Raft(error.to_string()))?;
        let voters: Vec<RaftId> = known.effective().voter_ids().collect();
        let config = config(&cluster_id, timing, rank(me, &voters))?;
        let ca_pem = crate::pki::to_pem(&ca_certificate);
        let roster = state.clone();
        let addresses = Arc::new(move |id| {
            let members = roster.borrow().members();
            let member = members.into_iter().find(|member| RaftId::from(member.node) == id);
            member.map(|member| member.address)
        });
        let network = Network { me, cluster_id, ca_pem, identity, addresses };
        let raft = Raft::new(me, Arc::new(config), network.clone(), log, machine).await;
        let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
        let (stop, stopped) = watch::channel(false);
        let keeper = keep_members(raft.clone(), state.clone(), stopped);
        let keeper = Mutex::new(Some(tokio::spawn(keeper)));
        Ok(Self { me, local: Local { raft }, network, state, stop, keeper })
    }

    /// Makes this node the only voter of a new cluster; on a node that is in one, nothing.
    ///
    /// # Errors
    /// When Raft is stopped.
    pub async fn bootstrap(&self, address: &str) -> Result<(), ProposeError> {
        let node = RaftNode { address: address.to_owned() };
        match self.local.raft.initialize(BTreeMap::from([(self.me, node)])).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotInMembers(_)) | RaftError::Fatal(_)) => {
                Err(ProposeError::Stopped)
            }
        }
    }

    /// The service that other nodes call. `peers` knows the roster.
    pub fn service(&self, peers: Peers) -> RaftServer<RaftService> {
        RaftService::server(self.local.clone(), peers)
    }

    /// Has a command applied, here or by way of the leader, within `limit`.
    ///
    /// # Errors
    /// When it was not answered; [`ProposeError`] says whether it may still take effect.
    pub async fn propose(
        &self,
        command: &v1::ControlCommand,
        limit: Duration,
    ) -> Result<v1::ControlReply, ProposeError> {
        let bytes = command.encode_to_vec();
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLarge { found: bytes.len() });
        }
        let deadline = Instant::now() + limit;
        let mut metrics = self.local.raft.metrics();
        let mut unconfirmed = false;
        loop {
            let leader = metrics.borrow_and_update().current_leader;
            let asked = match leader {
                Some(leader) if leader == self.me => {
                    self.write_as_leader(bytes.clone(), deadline).await
                }
                Some(leader) => self.ask(leader, command, deadline).await,
                None => self.ask_around(command, deadline).await,
            };
            match asked {
                Err(ProposeError::NoLeader) => {}
                Err(ProposeError::Unknown) if !command.request_id.is_empty() => unconfirmed = true,
                answered => return answered,
            }
            // Whoever was asked does not lead, or does not say: an election tells more.
            let again = deadline.min(Instant::now() + ASK_AGAIN_AFTER);
            if let Ok(Err(_)) = tokio::time::timeout_at(again, metrics.changed()).await {
                return Err(ProposeError::Stopped);
            }
            if metrics.borrow().running_state.is_err() {
                return Err(ProposeError::Stopped);
            }
            if Instant::now() >= deadline {
                return Err(if unconfirmed {
                    ProposeError::Unknown
                } else {
                    ProposeError::NoLeader
                });
            }
        }
    }

    /// Writes a command here. A leader that falls while it waits may never be told: whoever leads
    /// next either commits the entry or replaces it, and may not reach this node.
    async fn write_as_leader(
        &self,
        command: Vec<u8>,
        deadline: Instant,
    ) -> Result<v1::ControlReply, ProposeError> {
        let mut metrics = self.local.raft.metrics();
        let fallen = async {
            let fell = metrics.wait_for(|metrics| metrics.current_leader != Some(self.me)).await;
            drop(fell);
            tokio::time::sleep(FALLEN_LEADER_GRACE).await;
        };
        tokio::select! {
            written = self.local.write(command) => written,
            () = fallen => Err(ProposeError::Unknown),
            () = tokio::time::sleep_until(deadline) => Err(ProposeError::Unknown),
        }
    }

    /// Asks every other node. Without this a node that nobody reaches (it restarted elsewhere)
    /// could not tell its address: it hears of no leader.
    async fn ask_around(
        &self,
        command: &v1::ControlCommand,
        deadline: Instant,
    ) -> Result<v1::ControlReply, ProposeError> {
        let others: Vec<RaftId> = {
            let metrics = self.local.raft.metrics();
            let metrics = metrics.borrow();
            let nodes = metrics.membership_config.nodes();
            nodes.map(|(id, _)| *id).filter(|id| *id != self.me).collect()
        };
        for other in others {
            match self.ask(other, command, deadline).await {
                Err(ProposeError::NoLeader) => {}
                answered => return answered,
            }
        }
        Err(ProposeError::NoLeader)
    }

    /// Asks another node, which should lead, to write a command.
    async fn ask(
        &self,
        leader: RaftId,
        command: &v1::ControlCommand,
        deadline: Instant,
    ) -> Result<v1::ControlReply, ProposeError> {
        let address = (self.network.addresses)(leader).or_else(|| {
            let metrics = self.local.raft.metrics();
            let metrics = metrics.borrow();
            let node = metrics.membership_config.membership().get_node(&leader);
            node.map(|node| node.address.clone())
        });
        let target = self.network.target(leader, address.ok_or(ProposeError::NoLeader)?);
        // Connected first: as long as nothing was sent, nothing can take effect.
        let connect_by = deadline.min(Instant::now() + CONNECT_TIMEOUT);
        let channel = tokio::time::timeout_at(connect_by, client::connect(&target)).await;
        let Ok(Ok(channel)) = channel else { return Err(ProposeError::NoLeader) };
        let request = Request::new(v1::ProposeRequest { command: Some(command.clone()) });
        let mut client = limited(channel);
        let mut metrics = self.local.raft.metrics();
        let fallen = async {
            let fell = metrics.wait_for(|metrics| metrics.current_leader != Some(leader)).await;
            drop(fell);
            tokio::time::sleep(FALLEN_LEADER_GRACE).await;
        };
        let answered = tokio::select! {
            answered = tokio::time::timeout_at(deadline, client.propose(request)) => answered,
            // Worth asking the next leader only if it can tell that it was asked before.
            () = fallen, if !command.request_id.is_empty() => return Err(ProposeError::Unknown),
        };
        match answered {
            Ok(Ok(reply)) => reply.into_inner().reply.ok_or(ProposeError::Unknown),
            Ok(Err(status)) if status.code() == Code::FailedPrecondition => {
                Err(ProposeError::NoLeader)
            }
            Ok(Err(status)) if status.code() == Code::PermissionDenied => {
                Err(ProposeError::Forbidden)
            }
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// The newest state that is applied on this node.
    pub fn watch(&self) -> watch::Receiver<Arc<M>> {
        self.state.clone()
    }

    /// The leader, if this node knows one.
    pub fn leader(&self) -> Option<u32> {
        self.metrics().leader
    }

    /// How Raft is doing.
    pub fn metrics(&self) -> Metrics {
        let metrics = self.local.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        // Ids are given out as 32 bits.
        let node = |id: RaftId| u32::try_from(id).unwrap_or_default();
        Metrics {
            leader: metrics.current_leader.map(node),
            term: metrics.current_term,
            voters: membership.voter_ids().map(node).collect(),
            learners: membership.learner_ids().map(node).collect(),
            last_index: metrics.last_log_index.unwrap_or_default(),
            applied_index: metrics.last_applied.map_or(0, |log_id| log_id.index),
            running: metrics.running_state.is_ok(),
        }
    }

    /// Waits until Raft stops on this node, and says why: after [`ControlPlane::shutdown`], or
    /// because the store failed. Raft does not start again in this process.
    pub async fn stopped(&self) -> String {
        let mut metrics = self.local.raft.metrics();
        match metrics.wait_for(|metrics| metrics.running_state.is_err()).await {
            Ok(metrics) => match &metrics.running_state {
                Err(fatal) => fatal.to_string(),
                Ok(()) => Fatal::<RaftId>::Stopped.to_string(),
            },
            Err(_) => Fatal::<RaftId>::Stopped.to_string(),
        }
    }

    /// Stops Raft on this node.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        if let Some(keeper) = self.keeper.lock().await.take()
            && let Err(error) = keeper.await
        {
            tracing::error!(%error, "the task that keeps raft's configuration failed");
        }
        if let Err(error) = self.local.raft.shutdown().await {
            tracing::error!(%error, "raft did not stop cleanly");
        }
    }
}

/// The place of a node among those who may stand for election: of a voter its rank, of a node that
/// is not one yet the one its id gives.
fn rank(me: RaftId, voters: &[RaftId]) -> u64 {
    let among = voters.iter().filter(|voter| **voter < me).count();
    let slots = RaftId::try_from(VOTERS_MAX).unwrap_or(1);
    let of_id = me.saturating_sub(1) % slots;
    if voters.contains(&me) { RaftId::try_from(among).unwrap_or(of_id) } else { of_id }
}

fn config(cluster_id: &str, timing: Timing, rank: u64) -> Result<Config, StartError> {
    let Timing { heartbeat_ms, election_ms, election_step_ms } = timing;
    let election_timeout_min = election_ms + rank * election_step_ms;
    let config = Config {
        cluster_name: cluster_id.to_owned(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min,
        election_timeout_max: election_timeout_min + election_step_ms / 2,
        install_snapshot_timeout: INSTALL_SNAPSHOT_TIMEOUT_MS,
        max_payload_entries: MESSAGE_ENTRIES_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_AFTER_ENTRIES),
        // Above the snapshots' distance, or a snapshot would not end the lag it is sent for.
        replication_lag_threshold: 2 * SNAPSHOT_AFTER_ENTRIES,
        snapshot_max_chunk_size: SNAPSHOT_PIECE_BYTES,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Raft(error.to_string()))
}

/// Brings Raft's configuration in line with the roster while this node leads.
async fn keep_members<M: ControlMachine>(
    raft: Raft,
    mut state: watch::Receiver<Arc<M>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut metrics = raft.metrics();
    loop {
        let roster = state.borrow_and_update().members();
        let configuration = configuration(&metrics.borrow_and_update());
        let step = configuration.and_then(|now| members::next_step(&roster, &now));
        if let Some(step) = step {
            tracing::info!(?step, "the control plane's members change");
            let taken = tokio::time::timeout(STEP_TIMEOUT, raft.change_membership(step, true));
            tokio::select! {
                _ = stopped.changed() => return,
                taken = taken => match taken {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "the change is tried again"),
                    Err(_) => tracing::debug!("the change takes long, it is looked at again"),
                },
            }
        }
        tokio::select! {
            _ = stopped.changed() => return,
            changed = metrics.changed() => if changed.is_err() { return },
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

/// Raft's configuration, if this node leads.
fn configuration(metrics: &openraft::RaftMetrics<RaftId, RaftNode>) -> Option<Configuration> {
    let replication = metrics.replication.as_ref()?;
    if metrics.state != ServerState::Leader {
        return None;
    }
    let membership = metrics.membership_config.membership();
    let matched = |(id, log_id): (&RaftId, &Option<openraft::LogId<RaftId>>)| {
        log_id.map(|log_id| (*id, log_id.index))
    };
    Some(Configuration {
        nodes: membership.nodes().map(|(id, node)| (*id, node.clone())).collect(),
        voters: membership.voter_ids().collect(),
        joint: membership.get_joint_config().len() > 1,
        matched: replication.iter().filter_map(matched).collect(),
        last_index: metrics.last_log_index.unwrap_or_default(),
    })
}

#[cfg(test)]
mod config_tests {
    use super::*;

    #[test]
    fn voters_election_timeouts_never_overlap() {
        let voters = [2, 3, 7, 8, 12];
        let mut end = 0;
        for voter in voters {
            let config = config("c", Timing::default(), rank(voter, &voters)).unwrap();
            assert!(config.election_timeout_min > end, "{voter}");
            end = config.election_timeout_max;
        }
        assert_eq!((rank(1, &[]), rank(5, &[]), rank(6, &[]), rank(0, &[])), (0, 4, 0, 0));
    }
}
