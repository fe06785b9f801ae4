//! The control plane, as one authority: what Raft would have agreed on, in its order.
//!
//! **Invariants.** The rules are the product's: every change is a command that `ControlState`
//! applies. A version is never changed afterwards.
//!
//! **Must not know:** which node has heard of which version.

use crdt::NodeId;
use node::{ControlState, Role};
use wire::v1::{self, control_command::Command, control_reply::Reply};

use crate::{host::CLUSTER, load::ACCOUNT};

/// All versions of the control state.
pub(crate) struct Authority {
    newest: ControlState,
    versions: Vec<v1::ControlState>,
    certificates: u64,
}

impl Authority {
    /// A cluster of one writer, the node with the id 1.
    pub(crate) fn new() -> Self {
        let mut authority =
            Self { newest: ControlState::default(), versions: Vec::new(), certificates: 0 };
        let data_key = v1::DataKey { id: 1, nonce: Vec::new(), sealed_key: Vec::new() };
        let key_ring =
            v1::KeyRing { data_keys: vec![data_key], token_mac_key: vec![7; 32], current: 1 };
        let first_node = Some(authority.entry(Role::Writer));
        authority.propose(Command::InitCluster(v1::InitCluster {
            cluster_id: CLUSTER.to_owned(),
            key_ring: Some(key_ring),
            ca_certificate: Vec::new(),
            ca_key: None,
            first_node,
        }));
        authority
            .propose(Command::CreateAccount(v1::CreateAccount { account: ACCOUNT, created_ms: 1 }));
        authority
    }

    fn entry(&mut self, role: Role) -> v1::RosterEntry {
        self.certificates += 1;
        v1::RosterEntry {
            role: role.to_message().into(),
            region: format!("r{}", self.certificates % 2),
            grpc_address: format!("host{}:1", self.certificates),
            certificate: format!("{:064x}", self.certificates),
            ..v1::RosterEntry::default()
        }
    }

    /// The newest state.
    pub(crate) fn newest(&self) -> &ControlState {
        &self.newest
    }

    /// How many versions there are; the newest is this minus one.
    pub(crate) fn count(&self) -> usize {
        self.versions.len()
    }

    /// A version.
    pub(crate) fn version(&self, version: usize) -> v1::ControlState {
        self.versions[version].clone()
    }

    pub(crate) fn activate(&mut self, node: NodeId) {
        self.propose(Command::ActivateNode(v1::ActivateNode { node: node.0 }));
    }

    pub(crate) fn remove(&mut self, node: NodeId) {
        self.propose(Command::RemoveNode(v1::RemoveNode { node: node.0 }));
    }

    /// Whether the rules took a barrier.
    pub(crate) fn advance(&mut self, advance: v1::AdvanceBarrier) -> bool {
        let before = self.newest.barrier().number;
        self.propose(Command::AdvanceBarrier(advance));
        self.newest.barrier().number > before
    }

    pub(crate) fn claim(&mut self, claim: v1::ClaimNames) {
        self.propose(Command::ClaimNames(claim));
    }

    /// Admits a node that is joining; its id.
    pub(crate) fn join(&mut self, role: Role) -> NodeId {
        let entry = self.entry(role);
        let token_hash = vec![u8::try_from(self.certificates % 256).unwrap_or_default(); 32];
        self.propose(Command::CreateJoinToken(v1::CreateJoinToken {
            hash: token_hash.clone(),
            role: role.to_message().into(),
            expires_ms: 9,
        }));
        let add = v1::AddNode { token_hash, entry: Some(entry), now_ms: 1 };
        match self.propose(Command::AddNode(add)) {
            Some(Reply::Added(entry)) => NodeId(entry.node),
            other => unreachable!("a fresh token admits: {other:?}"),
        }
    }

    /// What the rules refuse changes nothing.
    fn propose(&mut self, command: Command) -> Option<Reply> {
        let command = v1::ControlCommand { command: Some(command), request_id: Vec::new() };
        let reply = self.newest.apply(&command).reply;
        self.versions.push(self.newest.to_message());
        reply
    }
}
