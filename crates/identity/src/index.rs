//! Derived indexes: names, reverse edges, the accounts of ids, parsed documents.
//!
//! **Invariants.** What a slot contributes depends on that slot alone, so the index of a state is
//! the sum over its slots, however they came to be; a test compares both ways. Everything that
//! *may* be is in it: a reader of the index asks the state whether it *must*.
//!
//! **Must not know:** calls, callers.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, LazyLock},
};

use crdt::Sibling;
use model::{
    AccountId, Key, UniqueId, UniqueIdKind, fold,
    limits::{ACCESS_KEYS_PER_USER_MAX, POLICY_VERSIONS_MAX},
};
use policy::{Document, DocumentKind};
use wire::{Message, transaction::Meta, v1};

use crate::{
    entity::Entity,
    field::{
        ACCESS_KEY, ATTACHMENT, BOUNDARY, HEAD, INLINE_POLICY, INSTANCE_PROFILE_ROLE, KEY_USE,
        MEMBERSHIP, MFA_COUNTER, MFA_OWNER, NAME, POLICY_VERSION, TRUST_POLICY, USED_PASSWORD,
    },
    read::read,
    small_set::SmallSet,
};

/// A policy document of the state, parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredDocument {
    /// Parsed; a document that this version cannot read is one that denies everything.
    pub(crate) document: Arc<Document>,
    /// As it is stored.
    pub(crate) message: v1::Document,
}

/// All sides of a document's slot; `None` is a removal.
pub(crate) type Sides = Vec<Option<Arc<StoredDocument>>>;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    names: BTreeMap<(AccountId, UniqueIdKind, String), SmallSet<UniqueId>>,
    heads: BTreeMap<(AccountId, UniqueIdKind), BTreeSet<UniqueId>>,
    /// Group to users, policy to principals, owner to access keys, role to instance profiles.
    sources: BTreeMap<(AccountId, UniqueId), SmallSet<UniqueId>>,
    /// Policy to the users and roles that it may limit.
    bounded: BTreeMap<(AccountId, UniqueId), SmallSet<UniqueId>>,
    /// User or root user to the MFA devices that may be enabled for it.
    devices: BTreeMap<(AccountId, UniqueId), SmallSet<UniqueId>>,
    accounts: BTreeMap<UniqueId, SmallSet<AccountId>>,
    documents: BTreeMap<Box<[u8]>, Sides>,
    /// The slots whose sides differ.
    contested: BTreeSet<Box<[u8]>>,
    /// What changed that conflicts come from, until it is taken.
    touched: Vec<Touch>,
}

/// A change of the index that a conflict may come from, or end with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Touch {
    /// A contested slot.
    Slot(Box<[u8]>),
    /// A name that several entities may have.
    Name(AccountId, UniqueIdKind, String),
    /// An owner of more access keys, or a policy of more versions, than one may have.
    Owner(AccountId, UniqueId),
    /// An entity or access key that may exist, or must.
    Existence { account: AccountId, id: UniqueId, may: bool, must: bool },
}

/// What a slot contributes, besides documents.
enum Entry {
    Name(AccountId, UniqueIdKind, String, UniqueId),
    Head(AccountId, UniqueIdKind, UniqueId),
    Source { account: AccountId, target: UniqueId, source: UniqueId },
    Bounded { account: AccountId, policy: UniqueId, owner: UniqueId },
    Device { account: AccountId, owner: UniqueId, device: UniqueId },
    Account(UniqueId, AccountId),
}

impl Index {
    /// Adds what a slot contributes.
    pub(crate) fn add(&mut self, key: &[u8], siblings: &[Sibling<Meta>]) {
        let Ok(parsed) = Key::from_bytes(key) else { return };
        self.touch_existence(&parsed, siblings);
        if is_contested(&parsed, siblings) {
            self.contested.insert(key.into());
            self.touched.push(Touch::Slot(key.into()));
        }
        for entry in entries(&parsed, siblings) {
            match entry {
                Entry::Name(account, kind, fold, id) => {
                    self.names.entry((account, kind, fold.clone())).or_default().insert(id);
                    self.touch_name(account, kind, fold);
                }
                Entry::Head(account, kind, id) => {
                    self.heads.entry((account, kind)).or_default().insert(id);
                }
                Entry::Source { account, target, source } => {
                    self.sources.entry((account, target)).or_default().insert(source);
                    self.touch_owner(account, target, source);
                }
                Entry::Bounded { account, policy, owner } => {
                    self.bounded.entry((account, policy)).or_default().insert(owner);
                }
                Entry::Device { account, owner, device } => {
                    self.devices.entry((account, owner)).or_default().insert(device);
                }
                Entry::Account(id, account) => {
                    self.accounts.entry(id).or_default().insert(account);
                }
            }
        }
        if let Some(kind) = document_kind(&parsed) {
            let sides = documents(kind, siblings);
            if sides.iter().any(Option::is_some) {
                self.documents.insert(key.into(), sides);
                self.touch_policy(&parsed);
            }
        }
    }

    /// Takes away what a slot contributes.
    pub(crate) fn remove(&mut self, key: &[u8], siblings: &[Sibling<Meta>]) {
        if siblings.is_empty() {
            return;
        }
        let Ok(parsed) = Key::from_bytes(key) else { return };
        if self.contested.remove(key) {
            self.touched.push(Touch::Slot(key.into()));
        }
        self.touch_existence(&parsed, siblings);
        self.touch_policy(&parsed);
        for entry in entries(&parsed, siblings) {
            match entry {
                Entry::Name(account, kind, fold, id) => {
                    self.touch_name(account, kind, fold.clone());
                    take(&mut self.names, (account, kind, fold), &id);
                }
                Entry::Head(account, kind, id) => {
                    if let Some(heads) = self.heads.get_mut(&(account, kind)) {
                        heads.remove(&id);
                        if heads.is_empty() {
                            self.heads.remove(&(account, kind));
                        }
                    }
                }
                Entry::Source { account, target, source } => {
                    self.touch_owner(account, target, source);
                    take(&mut self.sources, (account, target), &source);
                }
                Entry::Bounded { account, policy, owner } => {
                    take(&mut self.bounded, (account, policy), &owner);
                }
                Entry::Device { account, owner, device } => {
                    take(&mut self.devices, (account, owner), &device);
                }
                Entry::Account(id, account) => take(&mut self.accounts, id, &account),
            }
        }
        self.documents.remove(key);
    }

    /// Notes what a conflict may come from that no slot of this state shows.
    pub(crate) fn touch(&mut self, touch: Touch) {
        self.touched.push(touch);
    }

    /// What was touched since this was last called.
    pub(crate) fn take_touched(&mut self) -> Vec<Touch> {
        std::mem::take(&mut self.touched)
    }

    /// Forgets whose existence was touched: who then looks at all slots needs no hint.
    pub(crate) fn forget_existences(&mut self) {
        self.touched.retain(|touch| !matches!(touch, Touch::Existence { .. }));
    }

    /// A slot that is written as it was touches nothing: calls re-assert heads all the time.
    fn touch_existence(&mut self, key: &Key, siblings: &[Sibling<Meta>]) {
        if ![HEAD.tag(), ACCESS_KEY.tag()].contains(&key.field.tag) {
            return;
        }
        let may = siblings.iter().any(|sibling| sibling.value.is_some());
        let must = may && !differ(siblings);
        let touch = Touch::Existence { account: key.account, id: key.id, may, must };
        if self.touched.last() == Some(&touch) {
            self.touched.pop();
        } else {
            self.touched.push(touch);
        }
    }

    fn touch_name(&mut self, account: AccountId, kind: UniqueIdKind, fold: String) {
        if self.named(account, kind, &fold).nth(1).is_some() {
            self.touched.push(Touch::Name(account, kind, fold));
        }
    }

    fn touch_owner(&mut self, account: AccountId, target: UniqueId, source: UniqueId) {
        let is_key = source.kind() == Some(UniqueIdKind::AccessKey);
        if is_key && self.sources(account, target).nth(ACCESS_KEYS_PER_USER_MAX).is_some() {
            self.touched.push(Touch::Owner(account, target));
        }
    }

    fn touch_policy(&mut self, key: &Key) {
        if key.field.tag != POLICY_VERSION.tag() {
            return;
        }
        let prefix = Key::field_prefix(key.account, key.id, key.field.tag);
        let versions = self.documents.range::<[u8], _>(from(&prefix));
        let mut versions = versions.take_while(|(key, _)| key.starts_with(&prefix));
        if versions.nth(POLICY_VERSIONS_MAX).is_some() {
            self.touched.push(Touch::Owner(key.account, key.id));
        }
    }

    /// The contested slots whose key begins with `prefix`.
    pub(crate) fn contested(&self, prefix: &[u8]) -> impl Iterator<Item = &[u8]> {
        let prefix = prefix.to_vec();
        self.contested
            .range::<[u8], _>(from(&prefix))
            .map(|key| &**key)
            .take_while(move |key| key.starts_with(&prefix))
    }

    /// The entities that may have a name.
    pub(crate) fn named(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        fold: &str,
    ) -> impl Iterator<Item = UniqueId> {
        self.names
            .get(&(account, kind, fold.to_owned()))
            .into_iter()
            .flat_map(SmallSet::iter)
            .copied()
    }

    /// The entities of a kind that may exist.
    pub(crate) fn heads(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
    ) -> impl ExactSizeIterator<Item = UniqueId> {
        static NONE: BTreeSet<UniqueId> = BTreeSet::new();
        self.heads.get(&(account, kind)).unwrap_or(&NONE).iter().copied()
    }

    /// All entities that may exist.
    pub(crate) fn all_heads(&self) -> impl Iterator<Item = Entity> {
        self.heads.iter().flat_map(|((account, _), ids)| {
            ids.iter().map(|id| Entity { account: *account, id: *id })
        })
    }

    /// Whatever may have an edge to `target`: a group's users, a policy's principals, an owner's
    /// keys, a role's instance profiles.
    pub(crate) fn sources(
        &self,
        account: AccountId,
        target: UniqueId,
    ) -> impl Iterator<Item = UniqueId> {
        self.sources.get(&(account, target)).into_iter().flat_map(SmallSet::iter).copied()
    }

    /// The users and roles whose permissions boundary a policy may be.
    pub(crate) fn bounded(
        &self,
        account: AccountId,
        policy: UniqueId,
    ) -> impl Iterator<Item = UniqueId> {
        self.bounded.get(&(account, policy)).into_iter().flat_map(SmallSet::iter).copied()
    }

    /// The MFA devices that may be enabled for a user or the root user.
    pub(crate) fn devices(
        &self,
        account: AccountId,
        owner: UniqueId,
    ) -> impl Iterator<Item = UniqueId> {
        self.devices.get(&(account, owner)).into_iter().flat_map(SmallSet::iter).copied()
    }

    /// The account of an entity or access key; the least if peers gave it several.
    pub(crate) fn account_of(&self, id: UniqueId) -> Option<AccountId> {
        self.accounts.get(&id)?.iter().next().copied()
    }

    /// All sides of a document's slot.
    pub(crate) fn document(&self, key: &[u8]) -> &[Option<Arc<StoredDocument>>] {
        self.documents.get(key).map_or(&[], Vec::as_slice)
    }
}

/// The range of all keys that do not sort before `first`.
fn from(first: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(first), Bound::Unbounded)
}

/// Whether the sides of a slot differ.
pub(crate) fn differ(siblings: &[Sibling<Meta>]) -> bool {
    let Some((first, others)) = siblings.split_first() else { return false };
    others.iter().any(|other| other.value != first.value)
}

/// Whether people should know that the sides of a slot differ. A password that was used was used,
/// whoever forgot it meanwhile, and so was a code, or a key.
fn is_contested(key: &Key, siblings: &[Sibling<Meta>]) -> bool {
    ![USED_PASSWORD.tag(), MFA_COUNTER.tag(), KEY_USE.tag()].contains(&key.field.tag)
        && differ(siblings)
}

fn take<K: Ord, V: Ord>(map: &mut BTreeMap<K, SmallSet<V>>, key: K, value: &V) {
    if let Some(set) = map.get_mut(&key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(&key);
        }
    }
}

fn entries(key: &Key, siblings: &[Sibling<Meta>]) -> Vec<Entry> {
    let Key { account, id, field } = key;
    let (account, id, tag) = (*account, *id, field.tag);
    let possible = siblings.iter().any(|sibling| sibling.value.is_some());
    let Some(kind) = id.kind() else { return Vec::new() };
    let qualifier = || field.qualifier.parse::<UniqueId>().ok();
    if tag == NAME.tag() {
        let names = read::<v1::Text, _>(siblings);
        return names.may().map(|name| Entry::Name(account, kind, fold(&name.text), id)).collect();
    }
    if tag == ACCESS_KEY.tag() && kind == UniqueIdKind::AccessKey {
        let mut entries: Vec<Entry> = read::<v1::AccessKey, _>(siblings)
            .may()
            .filter_map(|key| key.owner.parse().ok())
            .map(|target| Entry::Source { account, target, source: id })
            .collect();
        if possible {
            entries.push(Entry::Account(id, account));
        }
        return entries;
    }
    if tag == BOUNDARY.tag() {
        return read::<v1::Text, _>(siblings)
            .may()
            .filter_map(|text| text.text.parse().ok())
            .map(|policy| Entry::Bounded { account, policy, owner: id })
            .collect();
    }
    if tag == MFA_OWNER.tag() {
        return read::<v1::Text, _>(siblings)
            .may()
            .filter_map(|text| text.text.parse().ok())
            .map(|owner| Entry::Device { account, owner, device: id })
            .collect();
    }
    if tag == HEAD.tag() && kind != UniqueIdKind::AccessKey && possible {
        return vec![Entry::Account(id, account), Entry::Head(account, kind, id)];
    }
    let edges = [MEMBERSHIP.tag(), ATTACHMENT.tag(), INSTANCE_PROFILE_ROLE.tag()];
    let entry = if edges.contains(&tag) {
        qualifier().map(|target| Entry::Source { account, target, source: id })
    } else {
        None
    };
    entry.filter(|_| possible).into_iter().collect()
}

fn document_kind(key: &Key) -> Option<DocumentKind> {
    let tag = key.field.tag;
    if tag == TRUST_POLICY.tag() {
        Some(DocumentKind::Trust)
    } else if tag == INLINE_POLICY.tag() || tag == POLICY_VERSION.tag() {
        Some(DocumentKind::Identity)
    } else {
        None
    }
}

fn documents(kind: DocumentKind, siblings: &[Sibling<Meta>]) -> Sides {
    let mut sides: Vec<Option<&[u8]>> = Vec::new();
    for sibling in siblings {
        let side = sibling.value.as_deref();
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    sides.into_iter().map(|side| side.map(|bytes| Arc::new(parse(kind, bytes)))).collect()
}

/// What cannot be read denies: a newer node may have written a restriction that this one cannot
/// see.
fn parse(kind: DocumentKind, bytes: &[u8]) -> StoredDocument {
    let message = v1::Document::decode(bytes).unwrap_or_default();
    let document = Document::parse(&message.text, kind).map_or_else(|_| deny_all(kind), Arc::new);
    StoredDocument { document, message }
}

/// The document that denies everything.
pub(crate) fn deny_all(kind: DocumentKind) -> Arc<Document> {
    const IDENTITY: &str = r#"{"Version":"2012-10-17","Statement":
        {"Effect":"Deny","Action":"*","Resource":"*"}}"#;
    const TRUST: &str = r#"{"Version":"2012-10-17","Statement":
        {"Effect":"Deny","Principal":"*","Action":"sts:*"}}"#;
    const RESOURCE: &str = r#"{"Version":"2012-10-17","Statement":
        {"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    static DENY_ALL: LazyLock<[Arc<Document>; 3]> = LazyLock::new(|| {
        [
            (IDENTITY, DocumentKind::Identity),
            (TRUST, DocumentKind::Trust),
            (RESOURCE, DocumentKind::Resource),
        ]
        .map(|(text, kind)| {
            Arc::new(Document::parse(text, kind).expect("a constant that a test parses"))
        })
    });
    let [identity, trust, resource] = &*DENY_ALL;
    match kind {
        DocumentKind::Identity | DocumentKind::Session => Arc::clone(identity),
        DocumentKind::Trust => Arc::clone(trust),
        DocumentKind::Resource => Arc::clone(resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_denies() {
        for kind in [
            DocumentKind::Identity,
            DocumentKind::Trust,
            DocumentKind::Session,
            DocumentKind::Resource,
        ] {
            let stored = parse(kind, b"\xff");
            let statements = stored.document.statements();
            assert!(statements.iter().all(|s| s.effect() == policy::Effect::Deny), "{kind:?}");
            assert_eq!(statements.len(), 1);
        }
    }
}
