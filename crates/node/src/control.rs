//! The control plane's rules: what each command of its log does to its state. Raft agrees on the
//! order of commands; this module alone decides what they mean.
//!
//! **Invariants.** [`ControlState::apply`] is total and deterministic: every node that applies the
//! same commands holds the same bytes. Node ids are never used twice; a join token admits one node;
//! an alias belongs to one account, a name to its first claimant until it gives it up; a request id
//! has one answer while it is remembered. The epoch grows with each change of the roster, never
//! otherwise.
//!
//! **Must not know:** Raft, clocks: the time in a command is the proposer's.
//!
//! Start reading at [`ControlState::apply`].

mod account;
mod answer;
mod barrier;
mod codec;
mod join;
mod name;
mod proposal;
mod roster;

use std::{collections::BTreeMap, fmt, sync::Arc};

use crdt::{Barrier, NodeId};
use identity::Names;
use model::{AccountAlias, AccountId, Timestamp};
use wire::v1::{self, ControlRefusal};

use self::answer::Answers;
pub use answer::{ANSWERS_MAX, RequestId};
pub use codec::ControlDecodeError;
pub use join::{JOIN_TOKENS_MAX, JoinToken, TokenHash};
pub use name::{NAMES_MAX, claim_message};
pub use proposal::{ProposalRefusal, may_propose};
pub use roster::{ADDRESS_BYTES_MAX, NodeState, REGION_BYTES_MAX, Role, RosterEntry};

/// The control plane's whole state.
#[derive(Clone, Default, PartialEq)]
pub struct ControlState {
    cluster_id: String,
    epoch: u64,
    next_node: u32,
    roster: BTreeMap<NodeId, RosterEntry>,
    join_tokens: BTreeMap<TokenHash, JoinToken>,
    key_ring: v1::KeyRing,
    ca_certificate: Vec<u8>,
    ca_key: Option<v1::Sealed>,
    accounts: BTreeMap<AccountId, Account>,
    first_account: Option<AccountId>,
    answers: Answers,
    names: Arc<Names>,
    barrier: Barrier,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// When it was created, by the proposer's clock.
    pub created: Timestamp,
    /// Its alias, unique in the cluster.
    pub alias: Option<AccountAlias>,
}

/// What a command answers, or why it changes nothing.
pub(crate) type Applied = Result<v1::control_reply::Reply, ControlRefusal>;

fn done() -> Applied {
    Ok(v1::control_reply::Reply::Done(v1::control_reply::Done {}))
}

fn reply(applied: Applied) -> v1::ControlReply {
    let reply = applied.unwrap_or_else(|refusal| v1::control_reply::Reply::Refused(refusal.into()));
    v1::ControlReply { reply: Some(reply) }
}

impl ControlState {
    /// Applies one command of the log. A refused command changes nothing. A command whose request
    /// id is remembered is not applied again: its answer is the first one, a refusal too, so that
    /// no copy that comes late does what its proposer was told is not done.
    pub fn apply(&mut self, command: &v1::ControlCommand) -> v1::ControlReply {
        let v1::ControlCommand { command, request_id } = command;
        if request_id.is_empty() {
            return reply(self.apply_once(command.as_ref()));
        }
        let Ok(request) = RequestId::try_from(request_id.as_slice()) else {
            return reply(Err(ControlRefusal::Malformed));
        };
        if let Some(answer) = self.answers.get(&request) {
            return answer.clone();
        }
        let answer = reply(self.apply_once(command.as_ref()));
        if !self.cluster_id.is_empty() {
            self.answers.remember(request, answer.clone());
        }
        answer
    }

    fn apply_once(&mut self, command: Option<&v1::control_command::Command>) -> Applied {
        use v1::control_command::Command as C;
        match command {
            Some(C::InitCluster(init)) => self.init_cluster(init),
            // Nothing else makes sense before there is a cluster, and what this version does not
            // know it refuses: commands wait for the cluster's feature level.
            _ if self.cluster_id.is_empty() => Err(ControlRefusal::Malformed),
            None => Err(ControlRefusal::Malformed),
            Some(C::CreateJoinToken(create)) => self.create_join_token(create),
            Some(C::AddNode(add)) => self.add_node(add),
            Some(C::ActivateNode(activate)) => self.activate_node(NodeId(activate.node)),
            Some(C::UpdateNode(update)) => self.update_node(update),
            Some(C::RemoveNode(remove)) => self.remove_node(NodeId(remove.node)),
            Some(C::CreateAccount(create)) => self.create_account(create),
            Some(C::SetAlias(set)) => self.set_alias(set.account, &set.alias),
            Some(C::RemoveAlias(remove)) => self.remove_alias(remove.account, &remove.alias),
            Some(C::ClaimNames(claim)) => self.claim_names(claim),
            Some(C::AdvanceBarrier(advance)) => self.advance_barrier(advance),
        }
    }

    fn init_cluster(&mut self, init: &v1::InitCluster) -> Applied {
        /// The least length of a MAC key, in bytes.
        const MAC_KEY_BYTES_MIN: usize = 16;
        let v1::InitCluster { cluster_id, key_ring, ca_certificate, ca_key, first_node } = init;
        if !self.cluster_id.is_empty() {
            return Err(ControlRefusal::AlreadyInitialized);
        }
        let key_ring = key_ring.as_ref().ok_or(ControlRefusal::Malformed)?;
        let first_node = first_node.as_ref().ok_or(ControlRefusal::Malformed)?;
        let current = key_ring.data_keys.iter().any(|key| key.id == key_ring.current);
        if cluster_id.is_empty() || !current || key_ring.token_mac_key.len() < MAC_KEY_BYTES_MIN {
            return Err(ControlRefusal::Malformed);
        }
        let first_node = self.new_entry(first_node, NodeState::Active)?;
        if first_node.role != Role::Writer {
            return Err(ControlRefusal::Malformed);
        }
        self.cluster_id.clone_from(cluster_id);
        self.key_ring.clone_from(key_ring);
        self.ca_certificate.clone_from(ca_certificate);
        self.ca_key.clone_from(ca_key);
        Ok(self.admit(first_node))
    }

    /// The cluster's id; empty before `InitCluster`.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The roster's epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The key ring; its data keys are sealed.
    pub fn key_ring(&self) -> &v1::KeyRing {
        &self.key_ring
    }

    /// The certificate of the cluster's authority, DER.
    pub fn ca_certificate(&self) -> &[u8] {
        &self.ca_certificate
    }

    /// The authority's private key, sealed.
    pub fn ca_key(&self) -> Option<&v1::Sealed> {
        self.ca_key.as_ref()
    }

    /// The accounts.
    pub fn accounts(&self) -> &BTreeMap<AccountId, Account> {
        &self.accounts
    }

    /// The account that the log created first, whatever the clocks said: its callers may be given
    /// actions on the whole cluster.
    pub fn first_account(&self) -> Option<AccountId> {
        self.first_account
    }

    /// Every node that ever was a member, by id.
    pub fn roster(&self) -> &BTreeMap<NodeId, RosterEntry> {
        &self.roster
    }
}

impl fmt::Debug for ControlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlState")
            .field("cluster_id", &self.cluster_id)
            .field("epoch", &self.epoch)
            .field("roster", &self.roster)
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
