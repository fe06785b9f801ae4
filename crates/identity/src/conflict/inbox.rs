//! Which conflicts are open, kept up with every transaction.
//!
//! **Invariants.** What is open depends on the state alone, however it came to be; a test compares
//! the inbox that was kept up with one that is derived anew. Nothing is open that nobody can reach:
//! fields of what is deleted beyond doubt are not.
//!
//! **Must not know:** how a conflict is shown or settled.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AccountId, Key, UniqueId, UniqueIdKind, fold,
    limits::{ACCESS_KEYS_PER_USER_MAX, POLICY_VERSIONS_MAX},
};
use sha2::{Digest, Sha256};

use super::{Change, ConflictEvent, ConflictId, ConflictKind};
use crate::{
    Identity, NameKey,
    claims::Contenders,
    entity::Entity,
    field::{ACCESS_KEY, HEAD, NAME, POLICY_VERSION},
    index::{Touch, differ},
};

/// What a conflict is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The sides of a slot.
    Slot(Key),
    /// Entities of one name, or one whose name is another's.
    Rivals(AccountId, UniqueIdKind, String),
    /// A merge brought an owner of access keys, or a policy's versions, over their limit.
    Limit(AccountId, UniqueId),
}

impl Subject {
    fn account(&self) -> AccountId {
        match self {
            Self::Slot(key) => key.account,
            Self::Rivals(account, ..) | Self::Limit(account, _) => *account,
        }
    }
}

/// All open conflicts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inbox {
    open: BTreeMap<Subject, (ConflictId, ConflictKind)>,
    ids: BTreeMap<(AccountId, ConflictId), Subject>,
}

impl Inbox {
    /// An account's open conflicts.
    pub(crate) fn of(&self, account: AccountId) -> impl Iterator<Item = (ConflictId, &Subject)> {
        let ends = (account, ConflictId::LEAST)..=(account, ConflictId::GREATEST);
        self.ids.range(ends).map(|((_, id), subject)| (*id, subject))
    }

    /// What an open conflict of an account is about.
    pub(crate) fn find(&self, account: AccountId, id: ConflictId) -> Option<&Subject> {
        self.ids.get(&(account, id))
    }

    /// How many are open, by kind.
    pub(crate) fn count(&self) -> BTreeMap<ConflictKind, u64> {
        let mut counts = ConflictKind::ALL.map(|kind| (kind, 0)).into_iter().collect();
        for (_, kind) in self.open.values() {
            let count: &mut u64 = BTreeMap::entry(&mut counts, *kind).or_default();
            *count += 1;
        }
        counts
    }

    /// Looks again at what was touched.
    pub(crate) fn keep_up(
        &mut self,
        identity: &Identity,
        touched: Vec<Touch>,
    ) -> Vec<ConflictEvent> {
        let mut events = Vec::new();
        let subjects: BTreeSet<Subject> =
            touched.into_iter().flat_map(|touch| subjects(identity, touch)).collect();
        for subject in subjects {
            let account = subject.account();
            let after = open(identity, &subject);
            let before = self.open.get(&subject).copied();
            if before == after {
                continue;
            }
            if let Some((id, kind)) = before {
                self.ids.remove(&(account, id));
                self.open.remove(&subject);
                events.push(ConflictEvent { account, id, kind, change: Change::Gone });
            }
            if let Some((id, kind)) = after {
                self.ids.insert((account, id), subject.clone());
                self.open.insert(subject, (id, kind));
                events.push(ConflictEvent { account, id, kind, change: Change::Appeared });
            }
        }
        events
    }
}

fn subjects(identity: &Identity, touch: Touch) -> Vec<Subject> {
    let slot = |key: &[u8]| Key::from_bytes(key).ok().map(Subject::Slot);
    match touch {
        Touch::Slot(key) => slot(&key).into_iter().collect(),
        Touch::Name(account, kind, fold) => vec![Subject::Rivals(account, kind, fold)],
        Touch::Owner(account, id) => vec![Subject::Limit(account, id)],
        Touch::Existence { account, id, may: _, must: _ } => {
            let of_entity = Key::entity_prefix(account, id);
            let slots = identity.index().contested(&of_entity).filter_map(slot);
            let names = identity.read(&NAME, Entity { account, id });
            let rivals = id.kind().into_iter().flat_map(|kind| {
                let named = |name: &wire::v1::Text| fold(&name.text);
                let crowded = move |name: &String| {
                    identity.index().named(account, kind, name).nth(1).is_some()
                };
                let names = names.may().map(named).filter(crowded);
                names.map(move |name| Subject::Rivals(account, kind, name))
            });
            slots.chain(rivals).chain([Subject::Limit(account, id)]).collect()
        }
    }
}

/// Whether a subject is in conflict, and the conflict's id.
fn open(identity: &Identity, subject: &Subject) -> Option<(ConflictId, ConflictKind)> {
    match subject {
        Subject::Slot(key) => {
            let siblings = identity.slot(&key.to_bytes());
            if !differ(siblings) || !is_reachable(identity, key) {
                return None;
            }
            let mut hash = Hash::new("slot");
            hash.part(&key.to_bytes());
            for sibling in siblings {
                hash.part(&sibling.dot.actor.0.to_be_bytes());
                hash.part(&sibling.dot.counter.to_be_bytes());
            }
            Some((hash.finish(), ConflictKind::of(key.field.tag)))
        }
        Subject::Rivals(account, kind, fold) => {
            let name = NameKey { account: *account, kind: *kind, fold: fold.as_str().into() };
            let (what, conflict, all) = match identity.contenders(&name) {
                Contenders::None => return None,
                Contenders::Rivals(rivals) => ("rivals", ConflictKind::Rivals, rivals),
                Contenders::Quarantined { holder, lost } => {
                    let holder = holder.map(|id| Entity { account: *account, id });
                    let all = holder.into_iter().chain(lost).collect();
                    ("quarantined", ConflictKind::Quarantined, all)
                }
            };
            let mut hash = Hash::new(what);
            hash.part(fold.as_bytes());
            for Entity { account, id } in all {
                hash.part(&NAME.key(account, id));
            }
            Some((hash.finish(), conflict))
        }
        Subject::Limit(account, id) => {
            let keys = over_limit(identity, Entity { account: *account, id: *id });
            if keys.is_empty() {
                return None;
            }
            let mut hash = Hash::new("limit");
            hash.part(&Key::entity_prefix(*account, *id));
            for key in keys {
                hash.part(&key.to_bytes());
            }
            Some((hash.finish(), ConflictKind::OverLimit))
        }
    }
}

/// Whether what a slot belongs to may exist, so that somebody can read it or settle it.
fn is_reachable(identity: &Identity, key: &Key) -> bool {
    exists(identity, Entity { account: key.account, id: key.id })
}

fn exists(identity: &Identity, entity: Entity) -> bool {
    match entity.id.kind() {
        Some(UniqueIdKind::Root) | None => true,
        Some(UniqueIdKind::AccessKey | UniqueIdKind::SessionKey) => {
            identity.read(&ACCESS_KEY, entity).is_possible()
        }
        Some(
            UniqueIdKind::User
            | UniqueIdKind::Group
            | UniqueIdKind::Role
            | UniqueIdKind::Policy
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::MfaDevice,
        ) => identity.read(&HEAD, entity).is_possible(),
    }
}

/// The slots of an owner's access keys, or a policy's versions, if they are more than one may have.
pub(super) fn over_limit(identity: &Identity, owner: Entity) -> Vec<Key> {
    let Entity { account, id } = owner;
    let (keys, max): (Vec<Key>, usize) = match id.kind() {
        Some(UniqueIdKind::User | UniqueIdKind::Root) => {
            let sources = identity.index().sources(account, id);
            let keys = sources.map(|key| Key::new(account, key, ACCESS_KEY.tag(), ""));
            (keys.collect(), ACCESS_KEYS_PER_USER_MAX)
        }
        Some(UniqueIdKind::Policy) => {
            let versions = identity.read_all(&POLICY_VERSION, owner).into_iter();
            let keys =
                versions.map(|(version, _)| Key::new(account, id, POLICY_VERSION.tag(), &version));
            (keys.collect(), POLICY_VERSIONS_MAX)
        }
        Some(
            UniqueIdKind::Group
            | UniqueIdKind::Role
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::MfaDevice
            | UniqueIdKind::AccessKey
            | UniqueIdKind::SessionKey,
        )
        | None => return Vec::new(),
    };
    if keys.len() > max && exists(identity, owner) { keys } else { Vec::new() }
}

/// Hashes parts so that no two lists of parts give the same bytes.
struct Hash(Sha256);

impl Hash {
    fn new(what: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.part(what.as_bytes());
        hash
    }

    fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> ConflictId {
        ConflictId::from_hash(&self.0.finalize())
    }
}
