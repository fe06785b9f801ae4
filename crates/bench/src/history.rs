//! A history of many users, as the bytes that nodes keep and send.
//!
//! **Invariants.** Each user is made by real calls: created with a path and two tags, given an
//! access key, added to a group. The calls are made at one node, or at [`NODES`] nodes in turn,
//! each of which has seen everything before, so that every transaction carries a full version
//! vector.
//!
//! **Must not know:** what is measured.

use std::sync::Arc;

use crdt::{Dot, Hlc, NodeId, VersionVector, Write, advance};
use identity::{
    AccountInfo, Accounts, Caller, Command, Ctx, Identity, KeyRing, Outcome, Principal,
    RequestContext, access_key, group,
    tag::{AddTags, Tag},
    user,
};
use model::{AccountId, Credential, Entropy, GroupName, Path, Timestamp, UniqueId, UserName};
use wire::transaction::{self, Meta, Transaction};

use crate::error::Error;

/// Nodes that take part.
pub(crate) const NODES: u32 = 16;
const ACCOUNT: u64 = 123_456_789_012;
const GROUP: &str = "engineers";

/// Makes transactions, each after all before.
struct Author {
    account: AccountId,
    caller: Caller,
    request: RequestContext,
    keys: KeyRing,
    accounts: Accounts,
    vector: VersionVector,
    /// Where the calls are made; without, at all nodes in turn.
    node: Option<NodeId>,
    made: u64,
}

/// The encoded transactions of one group and `users` members, in causal order.
pub(crate) fn of_users(users: u64) -> Result<Vec<Arc<[u8]>>, Error> {
    of(Author::new(VersionVector::new(), None)?, users, 0)
}

/// The same, and as many changes of each user's tags, made at one node that has seen `vector`.
pub(crate) fn at_node(
    node: NodeId,
    vector: VersionVector,
    users: u64,
    changes: u64,
) -> Result<Vec<Arc<[u8]>>, Error> {
    of(Author::new(vector, Some(node))?, users, changes)
}

fn of(mut author: Author, users: u64, changes: u64) -> Result<Vec<Arc<[u8]>>, Error> {
    let mut log = Vec::new();
    let mut base = Identity::default();
    let name: GroupName = GROUP.parse().map_err(name_refused)?;
    let group = group::CreateGroup { name: name.clone(), path: path("/")? };
    log.push(author.call(&mut base, Command::CreateGroup(group))?);
    for number in 0..users {
        // No other user bears on these calls, and a state of one user is cheap to copy.
        let mut state = base.clone();
        let user: UserName = format!("user-{number:08}").parse().map_err(name_refused)?;
        let create = user::CreateUser {
            name: user.clone(),
            path: path("/engineering/")?,
            boundary: None,
            tags: vec![tag("team", "platform")?, tag("cost-center", &format!("cc-{number}"))?],
        };
        log.push(author.call(&mut state, Command::CreateUser(create))?);
        let key = access_key::CreateAccessKey { user: Some(user.clone()) };
        log.push(author.call(&mut state, Command::CreateAccessKey(key))?);
        let add = group::Membership { group: name.clone(), user: user.clone() };
        log.push(author.call(&mut state, Command::AddUserToGroup(add))?);
        for change in 0..changes {
            let tags = vec![tag("cost-center", &format!("cc-{change}"))?];
            let change = AddTags { owner: user.clone(), tags };
            log.push(author.call(&mut state, Command::TagUser(change))?);
        }
    }
    Ok(log)
}

fn path(text: &str) -> Result<Path, Error> {
    text.parse().map_err(name_refused)
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    let key = key.parse().map_err(name_refused)?;
    Ok(Tag { key, value: value.parse().map_err(name_refused)? })
}

fn name_refused(error: impl std::fmt::Display) -> Error {
    Error::History(error.to_string())
}

impl Author {
    fn new(vector: VersionVector, node: Option<NodeId>) -> Result<Self, Error> {
        let account = AccountId::from_number(ACCOUNT);
        let account = account.ok_or_else(|| Error::History("the account".to_owned()))?;
        let info = AccountInfo { created: Timestamp::from_ms(1), alias: None };
        Ok(Self {
            account,
            caller: Caller {
                account,
                principal: Principal::Root,
                credential: Credential::Node(1),
                session: None,
            },
            request: RequestContext::default(),
            keys: KeyRing::new(vec![(1, [3; 32])], 1),
            accounts: Accounts([(account, info)].into_iter().collect()),
            vector,
            node,
            made: 0,
        })
    }

    /// Calls, applies what the call writes to `state`, and gives the transaction of the history.
    fn call(&mut self, state: &mut Identity, command: Command) -> Result<Arc<[u8]>, Error> {
        self.made += 1;
        let now = Timestamp::from_ms(1_700_000_000_000 + self.made);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.made.to_be_bytes());
        let ctx = Ctx {
            now,
            entropy: &Entropy::new(seed),
            caller: &self.caller,
            request: &self.request,
            keys: &self.keys,
            accounts: &self.accounts,
        };
        let outcome = identity::execute(state, &ctx, &command);
        let Ok(Outcome::Write { writes, .. }) = outcome else {
            return Err(Error::History(format!("{} was refused", command.action())));
        };
        let meta = Arc::new(Meta {
            hlc: Hlc::default().tick(now.ms()),
            author: model::Author {
                principal: UniqueId::root(self.account),
                credential: Credential::Node(1),
            },
            request_id: format!("00000000-0000-4000-8000-{:012x}", self.made),
            action: command.action().to_owned(),
        });
        let local = next(state.state().vector().clone(), NodeId(1), &meta, writes.clone());
        let applied = state.apply(&local);
        applied.map_err(|error| Error::History(error.to_string()))?;
        let in_turn = u32::try_from(self.made % u64::from(NODES)).unwrap_or_default() + 1;
        let node = self.node.unwrap_or(NodeId(in_turn));
        let transaction = next(self.vector.clone(), node, &meta, writes);
        advance(&mut self.vector, transaction.dot);
        Ok(transaction::encode(&transaction))
    }
}

fn next(deps: VersionVector, node: NodeId, meta: &Arc<Meta>, writes: Vec<Write>) -> Transaction {
    let dot: Dot = deps.inc(node);
    Transaction { dot, deps, meta: Arc::clone(meta), writes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_replays_at_a_node_and_holds_its_users() {
        let log = of_users(20).unwrap();
        assert_eq!(log.len() as u64, 1 + 20 * 3);
        let mut node = node::Node::new(NodeId(99), "c".to_owned(), node::Role::Replica);
        for bytes in &log {
            node.replay(Arc::clone(bytes)).unwrap();
        }
        node.started(log.len() as u64).unwrap();
        assert_eq!(node.vector().iter().count(), NODES as usize);
    }

    #[test]
    fn a_history_goes_on_at_one_node_from_what_it_has_seen() {
        let before = of_users(2).unwrap();
        let mut node = node::Node::new(NodeId(99), "c".to_owned(), node::Role::Replica);
        for bytes in &before {
            node.replay(Arc::clone(bytes)).unwrap();
        }
        let log = at_node(NodeId(3), node.vector().clone(), 2, 5).unwrap();
        assert_eq!(log.len(), 1 + 2 * (3 + 5));
        let had = node.vector().get(&NodeId(3));
        for bytes in &log {
            node.replay(Arc::clone(bytes)).unwrap();
        }
        node.started((before.len() + log.len()) as u64).unwrap();
        assert_eq!(node.vector().get(&NodeId(3)), had + log.len() as u64);
    }
}
