//! The roster: who belongs to the cluster, and how members come and go.
//!
//! **Invariants.** An entry is never deleted and its id never used again. A certificate belongs to
//! one present node. At least one writer is serving.
//!
//! **Must not know:** how a certificate is made or checked.

use crdt::NodeId;
use wire::v1::{self, ControlRefusal};

use super::{Applied, ControlState, done};

/// An address, at most, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// A region's name, at most, in bytes.
pub const REGION_BYTES_MAX: usize = 64;

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepts writes and may vote.
    Writer,
    /// It follows, and serves reads and checks.
    Replica,
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Admitted, catching up.
    Joining,
    /// Serving.
    Active,
    /// Gone for ever.
    Removed,
}

/// A node as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// Its id, never reused.
    pub node: NodeId,
    /// The epoch in which the entry last changed.
    pub epoch: u64,
    /// What it may do.
    pub role: Role,
    /// Whether it takes part.
    pub state: NodeState,
    /// Where it stands.
    pub region: String,
    /// Where other nodes and gRPC clients reach it, `host:port`.
    pub grpc_address: String,
    /// Where AWS clients reach it, `host:port`; empty if nowhere.
    pub aws_address: String,
    /// Hex SHA-256 of its certificate's subject public key info.
    pub certificate: String,
}

impl ControlState {
    /// The entry of a node, removed ones included.
    pub fn node(&self, node: NodeId) -> Option<&RosterEntry> {
        self.roster.get(&node)
    }

    /// The members that are not removed.
    pub fn present(&self) -> impl Iterator<Item = &RosterEntry> {
        self.roster.values().filter(|entry| entry.state != NodeState::Removed)
    }

    /// The writers that are serving.
    pub fn writers(&self) -> impl Iterator<Item = &RosterEntry> {
        self.roster
            .values()
            .filter(|entry| entry.role == Role::Writer && entry.state == NodeState::Active)
    }

    /// The present node with this certificate (hex SHA-256 of its subject public key info).
    pub fn by_certificate(&self, certificate: &str) -> Option<&RosterEntry> {
        self.present().find(|entry| entry.certificate == certificate)
    }

    /// Whether the certificate is of a node that was removed. No two nodes ever have the same.
    pub fn is_removed(&self, certificate: &str) -> bool {
        let of = |entry: &&RosterEntry| entry.certificate == certificate;
        self.by_certificate(certificate).is_none() && self.roster.values().find(of).is_some()
    }

    /// The next node's entry from what a proposer said of it; nothing is changed.
    pub(super) fn new_entry(
        &self,
        message: &v1::RosterEntry,
        state: NodeState,
    ) -> Result<RosterEntry, ControlRefusal> {
        let v1::RosterEntry {
            node: _,
            epoch: _,
            role: _,
            state: _,
            region,
            grpc_address,
            aws_address,
            certificate,
        } = message;
        let hex = certificate.len() == 64
            && certificate.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !hex
            || region.len() > REGION_BYTES_MAX
            || !are_addresses(grpc_address, aws_address)
            || self.by_certificate(certificate).is_some()
        {
            return Err(ControlRefusal::Malformed);
        }
        Ok(RosterEntry {
            node: NodeId(self.next_node.max(1)),
            epoch: self.epoch.checked_add(1).ok_or(ControlRefusal::Malformed)?,
            role: Role::from_message(message.role()).ok_or(ControlRefusal::Malformed)?,
            state,
            region: region.clone(),
            grpc_address: grpc_address.clone(),
            aws_address: aws_address.clone(),
            certificate: certificate.clone(),
        })
    }

    /// Adds an entry that [`Self::new_entry`] made of the state as it is.
    pub(super) fn admit(&mut self, entry: RosterEntry) -> v1::control_reply::Reply {
        let reply = v1::control_reply::Reply::Added(entry.to_message());
        self.epoch = entry.epoch;
        // INVARIANT: `add_node` refuses when the next id is the greatest, so that none is repeated.
        self.next_node = entry.node.0.saturating_add(1);
        self.roster.insert(entry.node, entry);
        reply
    }

    pub(super) fn activate_node(&mut self, node: NodeId) -> Applied {
        self.change(node, |entry| entry.state = NodeState::Active)
    }

    pub(super) fn update_node(&mut self, update: &v1::UpdateNode) -> Applied {
        let v1::UpdateNode { node, grpc_address, aws_address } = update;
        if !are_addresses(grpc_address, aws_address) {
            return Err(ControlRefusal::Malformed);
        }
        self.change(NodeId(*node), |entry| {
            entry.grpc_address.clone_from(grpc_address);
            entry.aws_address.clone_from(aws_address);
        })
    }

    pub(super) fn remove_node(&mut self, node: NodeId) -> Applied {
        if self.roster.get(&node).is_some_and(|entry| entry.state == NodeState::Removed) {
            return done();
        }
        // A writer that is joining does not count: it may lack what only the last one has.
        let last_writer = !self.writers().any(|entry| entry.node != node);
        if self.roster.contains_key(&node) && last_writer {
            return Err(ControlRefusal::LastWriter);
        }
        self.change(node, |entry| entry.state = NodeState::Removed)
    }

    /// Edits the entry of a present node; what changes nothing leaves the epoch.
    fn change(&mut self, node: NodeId, edit: impl FnOnce(&mut RosterEntry)) -> Applied {
        let epoch = self.epoch.checked_add(1).ok_or(ControlRefusal::Malformed)?;
        let entry = self
            .roster
            .get_mut(&node)
            .filter(|entry| entry.state != NodeState::Removed)
            .ok_or(ControlRefusal::NodeUnknown)?;
        let before = entry.clone();
        edit(entry);
        if *entry != before {
            entry.epoch = epoch;
            self.epoch = epoch;
        }
        done()
    }
}

fn are_addresses(grpc_address: &str, aws_address: &str) -> bool {
    !grpc_address.is_empty()
        && grpc_address.len() <= ADDRESS_BYTES_MAX
        && aws_address.len() <= ADDRESS_BYTES_MAX
}

impl Role {
    /// From its wire form, unless that is unspecified.
    pub fn from_message(role: v1::Role) -> Option<Self> {
        match role {
            v1::Role::Unspecified => None,
            v1::Role::Writer => Some(Self::Writer),
            v1::Role::Replica => Some(Self::Replica),
        }
    }

    /// The wire form.
    pub fn to_message(self) -> v1::Role {
        match self {
            Self::Writer => v1::Role::Writer,
            Self::Replica => v1::Role::Replica,
        }
    }
}

impl NodeState {
    fn from_message(state: v1::NodeState) -> Option<Self> {
        match state {
            v1::NodeState::Unspecified => None,
            v1::NodeState::Joining => Some(Self::Joining),
            v1::NodeState::Active => Some(Self::Active),
            v1::NodeState::Removed => Some(Self::Removed),
        }
    }

    fn to_message(self) -> v1::NodeState {
        match self {
            Self::Joining => v1::NodeState::Joining,
            Self::Active => v1::NodeState::Active,
            Self::Removed => v1::NodeState::Removed,
        }
    }
}

impl RosterEntry {
    /// From its wire form; `None` if role or state are unspecified.
    pub fn from_message(message: &v1::RosterEntry) -> Option<Self> {
        let v1::RosterEntry {
            node,
            epoch,
            role: _,
            state: _,
            region,
            grpc_address,
            aws_address,
            certificate,
        } = message.clone();
        Some(Self {
            node: NodeId(node),
            epoch,
            role: Role::from_message(message.role())?,
            state: NodeState::from_message(message.state())?,
            region,
            grpc_address,
            aws_address,
            certificate,
        })
    }

    /// The wire form.
    pub fn to_message(&self) -> v1::RosterEntry {
        let Self { node, epoch, role, state, region, grpc_address, aws_address, certificate } =
            self.clone();
        v1::RosterEntry {
            node: node.0,
            epoch,
            role: role.to_message().into(),
            state: state.to_message().into(),
            region,
            grpc_address,
            aws_address,
            certificate,
        }
    }
}
