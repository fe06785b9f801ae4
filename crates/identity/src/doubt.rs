//! Doubted writes: those whose author's right to make them was changed by something concurrent.
//!
//! A call is authorized where it is made. A concurrent change of what its author's right rests on —
//! the access key, the MFA device of a session, the user or role, its policies and groups and what
//! they say — could have come first, and the call been refused. So the call is *doubted*: what it
//! wrote and what it overwrote both stand (`crdt::Past`), until somebody whose write is not doubted
//! settles it. Who relied on what a doubted call gave, without having heard of the doubt, is
//! doubted with it.
//!
//! **Invariants.** Who is doubted depends on the transactions that were applied, not on their
//! order. A change that only gives doubts nobody. What is settled is forgotten once no transaction
//! can come that has not heard of it.
//!
//! **Must not know:** what a call is about, how policies are evaluated.

mod keep;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
};

use crdt::{
    Dot, Doubter, Found, Name, NodeId, Past, Sibling, Siblings, State, VersionVector, Write, covers,
};
use model::{AccountId, Author, Credential, Key, UniqueId, UniqueIdKind};
use policy::{Document, DocumentKind, Effect};
use wire::{
    Message,
    transaction::{Meta, Transaction},
    v1,
};

pub use self::keep::KeptError;
use crate::{
    access_key::Status,
    field::{
        ACCESS_KEY, ACCESS_KEY_STATUS, ATTACHMENT, BOUNDARY, DEFAULT_VERSION, HEAD, INLINE_POLICY,
        MEMBERSHIP, MFA_OWNER, NAME, PATH, POLICY_VERSION, TAG,
    },
    index::Index,
};

fn name(dot: &Dot) -> Name {
    (dot.actor, dot.counter)
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts {
    past: Past<Meta>,
    /// The slots in which somebody's write is doubted, as they are to be read.
    views: BTreeMap<Box<[u8]>, Siblings<Meta>>,
    /// The transactions that something may still come to be concurrent with.
    unsettled: BTreeMap<Name, Unsettled>,
    /// By entity or access key: the unsettled transactions of those whose right rests on it.
    resting: BTreeSet<(UniqueId, Name)>,
    /// By entity or access key: the unsettled transactions that changed what a right rests on.
    changing: BTreeMap<(UniqueId, Name), Change>,
}

#[derive(Clone, Debug)]
struct Unsettled {
    keys: Keys,
    /// What its author's right rests on.
    rests: Vec<UniqueId>,
    /// Where it changed what somebody's right rests on.
    changes: Vec<UniqueId>,
    /// Whose right rests on what this one gave.
    leads: Vec<Name>,
    doubters: Vec<Doubter<Meta>>,
    meta: Arc<Meta>,
}

/// The keys that a transaction wrote, in one piece: there are as many as unsettled writes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keys(Box<[u8]>);

impl Keys {
    /// The bytes of a length.
    const LENGTH: usize = 4;

    fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut all = Vec::new();
        for key in keys {
            let length = u32::try_from(key.len()).expect("a transaction is shorter than 4 GiB");
            all.extend(length.to_be_bytes());
            all.extend(key);
        }
        Self(all.into())
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (length, keys) = rest.split_first_chunk::<{ Self::LENGTH }>()?;
            let (key, keys) = keys.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = keys;
            Some(key)
        })
    }
}

/// What a change does to a right that rests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// It gives, and takes nothing.
    Gives,
    /// It may take.
    MayTake,
}

impl Doubts {
    /// A slot as it is to be read, if some write in it is doubted.
    pub(crate) fn view(&self, key: &[u8]) -> Option<&Siblings<Meta>> {
        self.views.get(key)
    }

    /// The keys that a transaction wrote, if it is not settled.
    pub(crate) fn keys(&self, dot: &Dot) -> Option<impl Iterator<Item = &[u8]>> {
        self.unsettled.get(&name(dot)).map(|transaction| transaction.keys.iter())
    }

    /// What a transaction wrote in a slot, as long as it stands or its overwriter is not settled.
    pub(crate) fn written<'a>(
        &'a self,
        key: &[u8],
        siblings: &'a [Sibling<Meta>],
        dot: &Dot,
    ) -> Option<&'a Sibling<Meta>> {
        let mut all = siblings.iter().chain(self.past.gone(key));
        all.find(|sibling| sibling.dot == *dot)
    }

    /// Who first doubts what a transaction wrote in a slot.
    pub(crate) fn doubter(&self, key: &[u8], dot: &Dot) -> Option<&Doubter<Meta>> {
        self.past.doubters(key, dot).first()
    }

    /// Takes down a transaction before it is applied. Gives the slots whose views have to be made
    /// anew once it is.
    pub(crate) fn learn(
        &mut self,
        state: &State<Meta>,
        index: &Index,
        transaction: &Transaction,
    ) -> BTreeSet<Box<[u8]>> {
        let Transaction { dot, deps, meta, writes } = transaction;
        let mut stale = BTreeSet::new();
        let mut changes: BTreeMap<UniqueId, Change> = BTreeMap::new();
        for Write { key, value } in writes {
            let at = (*dot, deps);
            let (found, viewed) = self.past.record(key, state.get(key), at, value.as_ref());
            if viewed {
                stale.insert(key.clone());
            }
            if let Some((id, change)) = change(key, value.as_deref(), found) {
                let known = changes.entry(id).or_insert(change);
                *known = change.max(*known);
            }
        }
        let rests = self.rests(state, index, transaction);
        let (doubters, relied) = self.who_doubts(&rests, deps);
        let unsettled = Unsettled {
            keys: Keys::new(writes.iter().map(|write| &*write.key)),
            rests,
            changes: changes.keys().copied().collect(),
            leads: Vec::new(),
            doubters: Vec::new(),
            meta: Arc::clone(meta),
        };
        self.resting.extend(unsettled.rests.iter().map(|id| (*id, name(dot))));
        self.unsettled.insert(name(dot), unsettled);
        for leader in relied {
            if let Some(leader) = self.unsettled.get_mut(&leader) {
                leader.leads.push(name(dot));
            }
        }
        for doubter in &doubters {
            self.doubt(name(dot), doubter, &mut stale);
        }
        self.doubt_others(*dot, deps, meta, changes, &mut stale);
        stale
    }

    /// What a transaction's author's right rests on: the access key, the user or role, its groups,
    /// and all their policies, as the author found them. A node's own right rests on nothing. What
    /// enables an MFA device rests on it besides: had who had it before not lost it, it is refused.
    fn rests(
        &self,
        state: &State<Meta>,
        index: &Index,
        transaction: &Transaction,
    ) -> Vec<UniqueId> {
        let Transaction { deps, meta, writes, .. } = transaction;
        let Author { principal, credential } = &meta.author;
        let key = writes.first().and_then(|write| Key::from_bytes(&write.key).ok());
        let Some(Key { account, .. }) = key else { return Vec::new() };
        let mut rests = enabled_devices(writes);
        match credential {
            Credential::AccessKey(key) => rests.push(*key),
            // A session of a user ends with the access key that it was made with, and has its
            // second factor of an MFA device, which the token alone names.
            Credential::Session { .. } => {
                rests.extend(self.held_by(state, index, (account, *principal), deps));
            }
            Credential::Certificate(_) => {}
            Credential::Node(_) => return rests,
        }
        if principal.kind() == Some(UniqueIdKind::Root) {
            return rests;
        }
        let others = |tag: u16, id: UniqueId| {
            let prefix = Key::field_prefix(account, id, tag);
            let slots = state.range(&prefix).filter(|(key, siblings)| {
                let mut seen = self.past.seen(key, siblings, deps);
                seen.any(|sibling| sibling.value.is_some())
            });
            let other = |key: &[u8]| Key::from_bytes(key).ok()?.field.qualifier.parse().ok();
            slots.filter_map(|(key, _)| other(&key)).collect::<Vec<UniqueId>>()
        };
        let mut owners = vec![*principal];
        owners.extend(others(MEMBERSHIP.tag(), *principal));
        for owner in owners {
            rests.push(owner);
            rests.extend(others(ATTACHMENT.tag(), owner));
        }
        let boundary = BOUNDARY.key(account, *principal);
        let texts = self
            .past
            .seen(&boundary, state.get(&boundary), deps)
            .filter_map(|sibling| v1::Text::decode(sibling.value.as_deref()?).ok());
        rests.extend(texts.filter_map(|text| text.text.parse::<UniqueId>().ok()));
        rests.sort_unstable();
        rests.dedup();
        rests
    }

    /// The access keys and MFA devices that an owner had for who had applied just `deps`.
    fn held_by(
        &self,
        state: &State<Meta>,
        index: &Index,
        (account, owner): (AccountId, UniqueId),
        deps: &VersionVector,
    ) -> Vec<UniqueId> {
        // What was taken from the owner meanwhile is not in the index any more.
        let changed = self.changing.keys().map(|(id, _)| *id);
        let held = index.sources(account, owner).chain(index.devices(account, owner));
        let owner_in = |id: &UniqueId, value: &[u8]| match id.kind()? {
            UniqueIdKind::AccessKey => Some(v1::AccessKey::decode(value).ok()?.owner),
            UniqueIdKind::MfaDevice => Some(v1::Text::decode(value).ok()?.text),
            UniqueIdKind::Root
            | UniqueIdKind::User
            | UniqueIdKind::Group
            | UniqueIdKind::Role
            | UniqueIdKind::Policy
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::SessionKey => None,
        };
        let is_owners = |id: &UniqueId| {
            let key = match id.kind() {
                Some(UniqueIdKind::MfaDevice) => MFA_OWNER.key(account, *id),
                _ => ACCESS_KEY.key(account, *id),
            };
            let seen = self.past.seen(&key, state.get(&key), deps);
            seen.filter_map(|sibling| owner_in(id, sibling.value.as_deref()?))
                .any(|text| text == owner.as_str())
        };
        held.chain(changed).filter(is_owners).collect()
    }

    /// Who doubts a transaction whose right rests on these; and on whose gifts it relies.
    fn who_doubts(
        &self,
        rests: &[UniqueId],
        deps: &VersionVector,
    ) -> (Vec<Doubter<Meta>>, BTreeSet<Name>) {
        let (mut doubters, mut relied) = (Vec::new(), BTreeSet::new());
        let changes = rests.iter().flat_map(|id| self.changing.range(of(*id)));
        for ((_, (node, seq)), change) in changes {
            let dot = Dot::new(*node, *seq);
            let Some(other) = self.unsettled.get(&(*node, *seq)) else { continue };
            if !covers(deps, &dot) {
                if *change == Change::MayTake {
                    doubters.push(Doubter { dot, meta: Arc::clone(&other.meta) });
                }
            } else if !other.doubters.iter().any(|doubter| covers(deps, &doubter.dot)) {
                relied.insert((*node, *seq));
                doubters.extend(other.doubters.iter().cloned());
            }
        }
        (doubters, relied)
    }

    /// A transaction's changes make doubted whoever's right rests on them and has not heard of it.
    fn doubt_others(
        &mut self,
        dot: Dot,
        deps: &VersionVector,
        meta: &Arc<Meta>,
        changes: BTreeMap<UniqueId, Change>,
        stale: &mut BTreeSet<Box<[u8]>>,
    ) {
        let doubter = Doubter { dot, meta: Arc::clone(meta) };
        for (id, change) in changes {
            self.changing.insert((id, name(&dot)), change);
            if change == Change::Gives {
                continue;
            }
            let resting = self.resting.range(of(id)).map(|(_, other)| *other);
            let unheard: Vec<Name> = resting
                .filter(|other| *other != name(&dot) && deps.get(&other.0) < other.1)
                .collect();
            for other in unheard {
                self.doubt(other, &doubter, stale);
            }
        }
    }

    fn doubt(&mut self, dot: Name, doubter: &Doubter<Meta>, stale: &mut BTreeSet<Box<[u8]>>) {
        let mut names = vec![dot];
        while let Some(dot) = names.pop() {
            let Self { past, unsettled, .. } = self;
            let Some(transaction) = unsettled.get_mut(&dot) else { continue };
            if transaction.doubters.iter().any(|known| known.dot == doubter.dot) {
                continue;
            }
            transaction.doubters.push(doubter.clone());
            for key in transaction.keys.iter() {
                if past.doubt(key, &Dot::new(dot.0, dot.1), doubter) {
                    stale.insert(key.into());
                }
            }
            names.extend(&transaction.leads);
        }
    }

    /// Makes all views anew.
    pub(crate) fn view_all(&mut self, state: &State<Meta>) {
        let Self { past, views, .. } = self;
        let view = |key: &[u8]| Some((key.into(), past.view(key, state.get(key))?));
        *views = past.slots().filter_map(|(key, _)| view(key)).collect();
    }

    /// Makes a slot's view anew. `true` if it has one.
    pub(crate) fn look_again(&mut self, key: &[u8], siblings: &[Sibling<Meta>]) -> bool {
        match self.past.view(key, siblings) {
            Some(view) => {
                self.views.insert(key.into(), view);
                true
            }
            None => {
                self.views.remove(key);
                false
            }
        }
    }

    /// Whether nothing that `vector` covers is kept any more.
    pub(crate) fn is_settled(&self, vector: &VersionVector) -> bool {
        !self.unsettled.keys().any(|(node, seq)| covers(vector, &Dot::new(*node, *seq)))
    }

    /// Forgets what no transaction can come that has not heard of. Gives the slots whose views have
    /// to be made anew.
    pub(crate) fn settle(&mut self, state: &State<Meta>, stable: &VersionVector) -> Vec<Box<[u8]>> {
        let is_stable = |dot: &Dot| covers(stable, dot);
        let settled: Vec<Name> = self
            .unsettled
            .iter()
            .filter(|((node, seq), transaction)| {
                let Unsettled { doubters, .. } = transaction;
                is_stable(&Dot::new(*node, *seq)) && doubters.iter().all(|d| is_stable(&d.dot))
            })
            .map(|(name, _)| *name)
            .collect();
        for dot in settled {
            let Some(Unsettled { rests, changes, .. }) = self.unsettled.remove(&dot) else {
                continue;
            };
            for id in rests {
                self.resting.remove(&(id, dot));
            }
            for id in changes {
                self.changing.remove(&(id, dot));
            }
        }
        self.past.settle(stable, |key| state.get(key))
    }

    /// Forgets a slot that is forgotten.
    pub(crate) fn forget(&mut self, key: &[u8]) {
        self.past.forget(key);
        self.views.remove(key);
    }
}

/// The MFA devices that writes enable.
fn enabled_devices(writes: &[Write]) -> Vec<UniqueId> {
    let given = writes.iter().filter(|write| write.value.is_some());
    let keys = given.filter_map(|write| Key::from_bytes(&write.key).ok());
    keys.filter(|key| key.field.tag == MFA_OWNER.tag()).map(|key| key.id).collect()
}

/// All transactions of an entity or access key.
fn of(id: UniqueId) -> RangeInclusive<(UniqueId, Name)> {
    (id, (NodeId(0), 0))..=(id, (NodeId(u32::MAX), u64::MAX))
}

/// What a write changes that somebody's right may rest on.
fn change(key: &[u8], value: Option<&[u8]>, found: Found) -> Option<(UniqueId, Change)> {
    let Key { account: _, id, field } = Key::from_bytes(key).ok()?;
    let rested_on = [
        HEAD.tag(),
        NAME.tag(),
        PATH.tag(),
        TAG.tag(),
        INLINE_POLICY.tag(),
        MEMBERSHIP.tag(),
        ATTACHMENT.tag(),
        BOUNDARY.tag(),
        POLICY_VERSION.tag(),
        DEFAULT_VERSION.tag(),
        ACCESS_KEY.tag(),
        ACCESS_KEY_STATUS.tag(),
        MFA_OWNER.tag(),
    ];
    // Nobody's right rests on what an MFA device is tagged with.
    let of_device = [HEAD.tag(), MFA_OWNER.tag()];
    let is_device = id.kind() == Some(UniqueIdKind::MfaDevice);
    let counts = if is_device { of_device.contains(&field.tag) } else { true };
    if !rested_on.contains(&field.tag) || !counts {
        return None;
    }
    let change = match (value, found) {
        // Equal values are one. A removal of nothing takes what was given concurrently.
        (_, Found::Same) => return None,
        (Some(value), found) if gives(field.tag, value, found) => Change::Gives,
        (Some(_) | None, Found::Nothing | Found::Other) => Change::MayTake,
    };
    Some((id, change))
}

/// Whether a value only gives: whoever had a right before has it after.
fn gives(tag: u16, value: &[u8], found: Found) -> bool {
    let is_new = found == Found::Nothing;
    if [HEAD.tag(), ACCESS_KEY.tag(), MFA_OWNER.tag()].contains(&tag) {
        return is_new;
    }
    if tag == ACCESS_KEY_STATUS.tag() {
        let status = v1::Text::decode(value).ok().and_then(|text| text.text.parse().ok());
        return status == Some(Status::Active);
    }
    if tag == POLICY_VERSION.tag() {
        // It says nothing before it is the default.
        return is_new;
    }
    tag == INLINE_POLICY.tag() && is_new && denies_nothing(value)
}

fn denies_nothing(value: &[u8]) -> bool {
    let text = v1::Document::decode(value).unwrap_or_default().text;
    let document = Document::parse(&text, DocumentKind::Identity);
    document.is_ok_and(|document| {
        document.statements().iter().all(|statement| statement.effect() == Effect::Allow)
    })
}
