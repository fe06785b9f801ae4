//! The control state as a message and as bytes, for Raft's snapshots.
//!
//! **Invariants.** Equal states give equal bytes: everything is written in the order of its key.
//! What decodes satisfies the invariants of the state.
//!
//! **Must not know:** where snapshots are kept.

use std::collections::{BTreeMap, BTreeSet};

use crdt::NodeId;
use identity::Names;
use model::{AccountId, Timestamp};
use thiserror::Error;
use wire::{Message, v1};

use super::{Account, ControlState, RosterEntry, answer::Answers, barrier, name};

/// Bytes or a message that are not a control state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ControlDecodeError {
    /// Not the protobuf message.
    #[error("not a control state message: {0}")]
    Protobuf(prost::DecodeError),
    /// A field is malformed or contradicts another.
    #[error("a control state whose `{0}` is malformed")]
    Field(&'static str),
}

impl ControlState {
    /// The bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        self.to_message().encode_to_vec()
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are not a control state.
    pub fn decode(bytes: &[u8]) -> Result<Self, ControlDecodeError> {
        let message = v1::ControlState::decode(bytes).map_err(ControlDecodeError::Protobuf)?;
        Self::from_message(&message)
    }

    /// The message.
    pub fn to_message(&self) -> v1::ControlState {
        let Self {
            cluster_id,
            epoch,
            next_node,
            roster,
            join_tokens,
            key_ring,
            ca_certificate,
            ca_key,
            accounts,
            first_account,
            answers,
            names,
            barrier,
        } = self;
        v1::ControlState {
            cluster_id: cluster_id.clone(),
            epoch: *epoch,
            next_node: *next_node,
            roster: roster.values().map(RosterEntry::to_message).collect(),
            join_tokens: join_tokens
                .iter()
                .map(|(hash, token)| v1::CreateJoinToken {
                    hash: hash.to_vec(),
                    role: token.role.to_message().into(),
                    expires_ms: token.expires.ms(),
                })
                .collect(),
            key_ring: Some(key_ring.clone()),
            ca_certificate: ca_certificate.clone(),
            ca_key: ca_key.clone(),
            accounts: accounts
                .iter()
                .map(|(id, account)| v1::Account {
                    account: id.number(),
                    created_ms: account.created.ms(),
                    alias: account.alias.as_ref().map_or_else(String::new, ToString::to_string),
                })
                .collect(),
            first_account: first_account.map(AccountId::number),
            answers: answers.to_message(),
            names: Some(name::to_message(names)),
            barrier: barrier::to_message(barrier),
        }
    }

    /// From the message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn from_message(message: &v1::ControlState) -> Result<Self, ControlDecodeError> {
        use ControlDecodeError::Field;
        let mut roster = BTreeMap::new();
        for entry in &message.roster {
            let entry = RosterEntry::from_message(entry).ok_or(Field("roster"))?;
            if entry.node == NodeId(0) || entry.node.0 >= message.next_node {
                return Err(Field("next_node"));
            }
            if roster.insert(entry.node, entry).is_some() {
                return Err(Field("roster"));
            }
        }
        let tokens = message.join_tokens.iter().map(Self::join_token);
        let mut accounts = BTreeMap::new();
        let mut aliases = BTreeSet::new();
        for v1::Account { account, created_ms, alias } in &message.accounts {
            let id = AccountId::from_number(*account).ok_or(Field("accounts"))?;
            if !alias.is_empty() && !aliases.insert(alias) {
                return Err(Field("accounts"));
            }
            let alias = match alias.as_str() {
                "" => None,
                text => Some(text.parse().map_err(|_| Field("accounts"))?),
            };
            let account = Account { created: Timestamp::from_ms(*created_ms), alias };
            if accounts.insert(id, account).is_some() {
                return Err(Field("accounts"));
            }
        }
        let first_account = match message.first_account {
            Some(number) => AccountId::from_number(number)
                .filter(|first| accounts.contains_key(first))
                .map(Some)
                .ok_or(Field("first_account"))?,
            // A state of before the field was written: it is read as it was then.
            None => {
                let first = accounts.iter().min_by_key(|(id, account)| (account.created, **id));
                first.map(|(id, _)| *id)
            }
        };
        let names =
            message.names.as_ref().map_or_else(|| Some(Names::default()), name::from_message);
        let names = names.ok_or(Field("names"))?;
        Ok(Self {
            cluster_id: message.cluster_id.clone(),
            epoch: message.epoch,
            next_node: message.next_node,
            roster,
            join_tokens: tokens.collect::<Option<_>>().ok_or(Field("join_tokens"))?,
            key_ring: message.key_ring.clone().unwrap_or_default(),
            ca_certificate: message.ca_certificate.clone(),
            ca_key: message.ca_key.clone(),
            accounts,
            first_account,
            answers: Answers::from_message(&message.answers).ok_or(Field("answers"))?,
            names: names.into(),
            barrier: barrier::from_message(message.barrier.as_ref()).ok_or(Field("barrier"))?,
        })
    }
}
