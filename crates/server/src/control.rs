//! The control plane with its rules: Raft agrees on commands, [`node::control`] decides what they
//! mean.
//!
//! **Invariants.** Every node applies the same rules to the same commands. A refusal of the rules
//! is told apart from a command that nobody answered.
//!
//! **Must not know:** how Raft agrees, what the rules are.

use std::time::Duration;

use identity::ControlChange;
use node::ControlState;
use thiserror::Error;
use wire::{
    Message as _,
    v1::{self, ControlRefusal, control_command::Command, control_reply::Reply},
};

use crate::{
    raft::{ControlMachine, ControlPlane, Malformed, Member, Part, ProposeError},
    random,
};

/// How long a command may take.
pub const PROPOSE_WITHIN: Duration = Duration::from_secs(10);

/// The rules as Raft's machine.
#[derive(Clone, Debug, Default)]
pub struct Rules(pub ControlState);

impl ControlMachine for Rules {
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        // What does not decode is a command without a meaning, which the rules refuse.
        let command = v1::ControlCommand::decode(command).unwrap_or_default();
        self.0.apply(&command).encode_to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.encode()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Malformed> {
        self.0 = ControlState::decode(state).map_err(|_| Malformed)?;
        Ok(())
    }

    fn members(&self) -> Vec<Member> {
        let member = |entry: &node::RosterEntry| Member {
            node: entry.node.0,
            address: entry.grpc_address.clone(),
            part: part(entry.role),
        };
        self.0.present().map(member).collect()
    }
}

/// How a node of a role takes part in Raft.
pub fn part(role: node::Role) -> Part {
    match role {
        node::Role::Writer => Part::Voter,
        node::Role::Replica => Part::Learner,
    }
}

/// A command that had no effect, or may not have had any.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The rules say no.
    #[error("{}", refusal_text(*.0))]
    Refused(ControlRefusal),
    /// Raft does not answer.
    #[error(transparent)]
    Unanswered(#[from] ProposeError),
}

fn refusal_text(refusal: ControlRefusal) -> &'static str {
    match refusal {
        ControlRefusal::AlreadyInitialized => "the cluster is initialized already",
        ControlRefusal::TokenUnknown => "the join token is unknown, or was used before",
        ControlRefusal::TokenExpired => "the join token has expired",
        ControlRefusal::TokenRole => "the join token is for another role",
        ControlRefusal::NodeUnknown => "there is no such node",
        ControlRefusal::AccountExists => "the account exists already",
        ControlRefusal::AccountUnknown => "there is no such account",
        ControlRefusal::AliasTaken => "the alias is taken",
        ControlRefusal::AliasUnknown => "the account has no such alias",
        ControlRefusal::LastWriter => {
            "no serving writer would remain: activate another one before this one is removed"
        }
        ControlRefusal::NamesFull => "as many names wait to be settled as can",
        ControlRefusal::RosterChanged => "the roster has changed meanwhile",
        ControlRefusal::NamesBehind => "this node has not seen all whose names are settled",
        ControlRefusal::Malformed => "the cluster refuses what it was told",
        ControlRefusal::Unspecified => "the cluster refuses, for a reason that this version lacks",
    }
}

/// Has a command applied, once, whoever leads meanwhile.
///
/// # Errors
/// When the rules refuse it or nobody answered.
pub async fn propose(
    control: &ControlPlane<Rules>,
    command: Command,
) -> Result<Option<v1::RosterEntry>, CommandError> {
    ask(control, command, random::bytes::<16>().to_vec()).await
}

/// As [`propose`], for a command that changes nothing when it is applied again, and that is
/// proposed anew as long as it is needed: its answer takes no other's place among those that are
/// remembered.
///
/// # Errors
/// When the rules refuse it or nobody answered.
pub async fn propose_again(
    control: &ControlPlane<Rules>,
    command: Command,
) -> Result<Option<v1::RosterEntry>, CommandError> {
    ask(control, command, Vec::new()).await
}

async fn ask(
    control: &ControlPlane<Rules>,
    command: Command,
    request_id: Vec<u8>,
) -> Result<Option<v1::RosterEntry>, CommandError> {
    let command = v1::ControlCommand { command: Some(command), request_id };
    match control.propose(&command, PROPOSE_WITHIN).await?.reply {
        Some(Reply::Done(_)) => Ok(None),
        Some(Reply::Added(entry)) => Ok(Some(entry)),
        Some(Reply::Refused(refusal)) => {
            let refusal = ControlRefusal::try_from(refusal);
            Err(CommandError::Refused(refusal.unwrap_or(ControlRefusal::Unspecified)))
        }
        None => Err(CommandError::Refused(ControlRefusal::Unspecified)),
    }
}

/// A client's change as a command.
pub fn change_command(change: &ControlChange) -> Command {
    match change {
        ControlChange::SetAlias { account, alias } => {
            Command::SetAlias(v1::SetAlias { account: account.number(), alias: alias.to_string() })
        }
        ControlChange::RemoveAlias { account, alias } => Command::RemoveAlias(v1::RemoveAlias {
            account: account.number(),
            alias: alias.to_string(),
        }),
    }
}
