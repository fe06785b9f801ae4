//! The policies of a user or role, compiled once for many questions, for as long as they stand.
//!
//! **Invariants.** One that stands decides as the state's policies do. What it may rest on is all
//! in [`rests_on`]: a test changes everything at random and compares.
//!
//! **Must not know:** where it is kept, for how long.

use model::{AccountId, UniqueId};
use policy::{Compiled, Request, Verdict};

use crate::{
    Caller, Identity, boundary,
    changes::{Bucket, of_entity, of_name},
    effective::{PolicyRef, layers},
    entity::Entity,
    field::{ATTACHMENT, MEMBERSHIP},
};

/// The policies of a user or role that acts without a session's policies, prepared.
#[derive(Clone, Debug)]
pub struct Prepared {
    compiled: Compiled,
    /// Of its documents, which it may share with others.
    documents_bytes: usize,
    at: u64,
    /// `None` if they rest on more than can be told: these then stand for nobody.
    rests_on: Option<Box<[Bucket]>>,
}

/// Whose policies are prepared.
pub type PreparedOf = (AccountId, UniqueId);

impl Prepared {
    /// Those of a principal as they are; of root, which no policy limits, there are none. What its
    /// session says is not in them.
    pub fn new(identity: &Identity, caller: &Caller) -> Option<Self> {
        let entity = caller.entity()?;
        let alone = Caller { session: None, ..caller.clone() };
        let layers = layers(identity, &alone)?;
        let documents = layers.sources().flat_map(|source| &source.alternatives);
        let documents_bytes = documents.map(|one| one.compiled_bytes() + one.text().len()).sum();
        let (compiled, rests_on) = (Compiled::new(&layers), rests_on(identity, entity));
        Some(Self { compiled, documents_bytes, at: identity.changes().now(), rests_on })
    }

    /// Whether they may stand for more than one question.
    pub fn is_worth_keeping(&self) -> bool {
        self.rests_on.is_some()
    }

    /// Whether the state's policies of its principal are still these. That they are not may be
    /// said too often.
    pub fn stands(&self, identity: &Identity) -> bool {
        let buckets = self.rests_on.as_deref();
        buckets.is_some_and(|buckets| !identity.changes().any_after(self.at, buckets))
    }

    /// How many bytes it takes at most: what it shares with others counts in full.
    pub fn bytes(&self) -> usize {
        let rests_on = self.rests_on.as_deref().map_or(0, size_of_val);
        size_of::<Self>() + self.compiled.own_bytes() + self.documents_bytes + rests_on
    }

    /// What they come to.
    pub(crate) fn decide(&self, request: &Request<'_>) -> Verdict {
        self.compiled.decide(request)
    }
}

/// All that the policies of a principal are read from; `None` if a group or policy has a name that
/// others contend for.
///
/// INVARIANT: whatever [`layers`] reads is of an entity that is here. Whether a group or policy has
/// a rival rests on its names as well.
fn rests_on(identity: &Identity, principal: Entity) -> Option<Box<[Bucket]>> {
    let of_account = |id: &str| {
        let id = id.parse().ok()?;
        Some(Entity { account: principal.account, id })
    };
    let edges = |field, owner| {
        let read = identity.read_all(field, owner);
        read.into_iter().filter_map(move |(target, _)| of_account(&target))
    };
    let groups: Vec<Entity> = edges(&MEMBERSHIP, principal).collect();
    let owners = || groups.iter().copied().chain([principal]);
    let attached = owners().flat_map(|owner| edges(&ATTACHMENT, owner)).map(PolicyRef::of);
    let limits = boundary::may_limit(identity, principal).into_iter().flatten();
    let policies: Vec<Entity> =
        attached.chain(limits).filter_map(|policy| policy.customer()).collect();
    let mut buckets: Vec<Bucket> =
        owners().chain(policies.iter().copied()).map(of_entity).collect();
    for named in groups.iter().chain(&policies) {
        buckets.extend(identity.own_names(*named)?.iter().map(of_name));
    }
    buckets.sort_unstable();
    buckets.dedup();
    Some(buckets.into())
}
