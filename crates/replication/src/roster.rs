//! Who takes part, as far as replication needs to know.
//!
//! **Invariants.** A node that was removed stays listed as removed: its transactions still arrive
//! by relay and are still authentic, its streams are refused.
//!
//! **Must not know:** addresses, certificates, how the roster came to be.

use std::collections::BTreeMap;

use crate::NodeId;

/// The members by id, at an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Grows with each change; 0 before the first roster is known.
    pub epoch: u64,
    /// Everybody who ever was a member.
    pub members: BTreeMap<NodeId, Member>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it may do.
    pub role: Role,
    /// Whether it takes part.
    pub state: MemberState,
    /// Where it stands.
    pub region: String,
}

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It makes transactions.
    Writer,
    /// It follows.
    Replica,
}

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Admitted, still catching up.
    Joining,
    /// Serving.
    Active,
    /// Gone for ever.
    Removed,
}

impl Roster {
    /// The members that are not removed.
    pub fn present(&self) -> impl Iterator<Item = (NodeId, &Member)> {
        self.members
            .iter()
            .filter(|(_, member)| member.state != MemberState::Removed)
            .map(|(node, member)| (*node, member))
    }

    /// Whether the node is a member that is not removed.
    pub fn has(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.state != MemberState::Removed)
    }

    /// Whether the node is or was a writer, so that a transaction may name it as its origin.
    pub fn is_origin(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(|member| member.role == Role::Writer)
    }
}
