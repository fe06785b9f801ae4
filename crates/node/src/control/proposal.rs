//! Which node may have which command proposed by another.
//!
//! A writer forwards what its clients were authorized for, and the cluster believes it. A replica
//! holds no keys and takes no writes: its certificate is worth what it may say of itself.
//!
//! **Invariants.** Every command is decided by name. No node begins a cluster at another.
//!
//! **Must not know:** how a caller was recognized.

use crdt::NodeId;
use thiserror::Error;
use wire::v1::{self, control_command::Command};

use super::{NodeState, Role, RosterEntry};

/// Why a node may not propose a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProposalRefusal {
    /// The caller was removed.
    #[error("a removed node proposes nothing")]
    Removed,
    /// There is no command, or one that this version does not know.
    #[error("there is no command that this version knows")]
    Unknown,
    /// A cluster begins at its first node itself.
    #[error("no node may begin a cluster at another")]
    Begin,
    /// It is about another node than the caller.
    #[error("a node may say this of itself only")]
    AnotherNode,
    /// Only writers may.
    #[error("only writers may propose this")]
    WritersOnly,
}

/// Whether `caller` may have another node propose `command`.
///
/// # Errors
/// When it may not, and why.
pub fn may_propose(
    caller: &RosterEntry,
    command: &v1::ControlCommand,
) -> Result<(), ProposalRefusal> {
    if caller.state == NodeState::Removed {
        return Err(ProposalRefusal::Removed);
    }
    let own = |node: u32| {
        if NodeId(node) == caller.node { Ok(()) } else { Err(ProposalRefusal::AnotherNode) }
    };
    let writer = match caller.role {
        Role::Writer => Ok(()),
        Role::Replica => Err(ProposalRefusal::WritersOnly),
    };
    match command.command.as_ref().ok_or(ProposalRefusal::Unknown)? {
        Command::InitCluster(_) => Err(ProposalRefusal::Begin),
        // A leader that has just fallen may have seen that another node has caught up.
        Command::ActivateNode(activate) => writer.or_else(|_| own(activate.node)),
        Command::UpdateNode(update) => own(update.node),
        Command::ClaimNames(claim) => writer.and_then(|()| own(claim.node)),
        Command::AdvanceBarrier(_)
        | Command::CreateJoinToken(_)
        | Command::AddNode(_)
        | Command::RemoveNode(_)
        | Command::CreateAccount(_)
        | Command::SetAlias(_)
        | Command::RemoveAlias(_) => writer,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn commands() -> Vec<(&'static str, Option<Command>)> {
        let update = |node| v1::UpdateNode { node, ..v1::UpdateNode::default() };
        let claim = |node| v1::ClaimNames { node, ..v1::ClaimNames::default() };
        vec![
            ("none", None),
            ("init", Some(Command::InitCluster(v1::InitCluster::default()))),
            ("token", Some(Command::CreateJoinToken(v1::CreateJoinToken::default()))),
            ("add", Some(Command::AddNode(v1::AddNode::default()))),
            ("activate self", Some(Command::ActivateNode(v1::ActivateNode { node: 7 }))),
            ("activate other", Some(Command::ActivateNode(v1::ActivateNode { node: 8 }))),
            ("update self", Some(Command::UpdateNode(update(7)))),
            ("update other", Some(Command::UpdateNode(update(8)))),
            ("remove self", Some(Command::RemoveNode(v1::RemoveNode { node: 7 }))),
            ("remove other", Some(Command::RemoveNode(v1::RemoveNode { node: 8 }))),
            ("account", Some(Command::CreateAccount(v1::CreateAccount::default()))),
            ("alias", Some(Command::SetAlias(v1::SetAlias::default()))),
            ("unalias", Some(Command::RemoveAlias(v1::RemoveAlias::default()))),
            ("claim self", Some(Command::ClaimNames(claim(7)))),
            ("claim other", Some(Command::ClaimNames(claim(8)))),
            ("barrier", Some(Command::AdvanceBarrier(v1::AdvanceBarrier::default()))),
        ]
    }

    fn verdict(role: Role, state: NodeState, command: Option<Command>) -> &'static str {
        let caller = RosterEntry {
            node: NodeId(7),
            epoch: 1,
            role,
            state,
            region: String::new(),
            grpc_address: "host:1".to_owned(),
            aws_address: String::new(),
            certificate: String::new(),
        };
        let command = v1::ControlCommand { command, ..v1::ControlCommand::default() };
        match may_propose(&caller, &command) {
            Ok(()) => "yes",
            Err(ProposalRefusal::Removed) => "removed",
            Err(ProposalRefusal::Unknown) => "unknown",
            Err(ProposalRefusal::Begin) => "begin",
            Err(ProposalRefusal::AnotherNode) => "another",
            Err(ProposalRefusal::WritersOnly) => "writers",
        }
    }

    #[test]
    fn every_caller_and_command() {
        let mut table = String::new();
        for (name, command) in commands() {
            table += &format!("{name:15}");
            for role in [Role::Writer, Role::Replica] {
                for state in [NodeState::Joining, NodeState::Active, NodeState::Removed] {
                    table += &format!("{:8}", verdict(role, state, command.clone()));
                }
            }
            table = format!("{}\n", table.trim_end());
        }
        expect![[r#"
            none           unknown unknown removed unknown unknown removed
            init           begin   begin   removed begin   begin   removed
            token          yes     yes     removed writers writers removed
            add            yes     yes     removed writers writers removed
            activate self  yes     yes     removed yes     yes     removed
            activate other yes     yes     removed another another removed
            update self    yes     yes     removed yes     yes     removed
            update other   another another removed another another removed
            remove self    yes     yes     removed writers writers removed
            remove other   yes     yes     removed writers writers removed
            account        yes     yes     removed writers writers removed
            alias          yes     yes     removed writers writers removed
            unalias        yes     yes     removed writers writers removed
            claim self     yes     yes     removed writers writers removed
            claim other    another another removed writers writers removed
            barrier        yes     yes     removed writers writers removed
        "#]]
        .assert_eq(&table);
    }
}
