//! The replicated state with its indexes, and how fields of it are read and written.
//!
//! **Invariants.** What changes the state changes its indexes, together. What the control plane
//! decides comes in beside them and is never replicated.
//!
//! **Must not know:** calls, callers.

use std::{collections::BTreeMap, sync::Arc};

use crdt::{
    ApplyError, Barrier, Dot, Doubter, Fate, Moment, Sibling, Slot, State, VersionVector, Write,
};
use model::{AccountId, Key, UniqueId, UniqueIdKind};
use wire::{
    Message,
    transaction::{Meta, Transaction},
    v1,
};

use crate::{
    Names, Read,
    changes::Changes,
    claims::{Renamed, Undecided},
    conflict::{ConflictEvent, Inbox},
    doubt::{Doubts, KeptError},
    entity::Entity,
    field::{ACCESS_KEY, DEFAULT_VERSION, Field, HEAD, NAME, PATH, POLICY_VERSION},
    index::{Index, Sides},
    read::read,
};

/// All accounts' identities: the replicated map, and what is derived from it.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    state: State<Meta>,
    doubts: Doubts,
    index: Index,
    inbox: Inbox,
    /// What the control plane has decided about names.
    names: Arc<Names>,
    undecided: Undecided,
    changes: Changes,
}

/// What keeps up with each slot as it changes.
struct Followers<'a> {
    index: &'a mut Index,
    undecided: &'a mut Undecided,
    changes: &'a mut Changes,
    renamed: &'a mut Renamed,
}

impl Identity {
    /// From a snapshot: a state, and what was kept with it of the transactions that were not
    /// stable. Nothing is decided about its names until [`Identity::set_names`] is called.
    ///
    /// # Errors
    /// When what was kept is malformed.
    pub fn restore(state: State<Meta>, kept: v1::Doubts) -> Result<Self, KeptError> {
        let doubts = Doubts::from_message(kept)?;
        Ok(Self { state, doubts, ..Self::default() }.reindexed())
    }

    /// What a snapshot of the state has to keep with it.
    pub fn keep(&self) -> v1::Doubts {
        self.doubts.to_message()
    }

    /// Joins what another node had applied, as its snapshot tells it.
    ///
    /// # Errors
    /// When what was kept is malformed; nothing changes then.
    pub fn join(&mut self, state: State<Meta>, kept: v1::Doubts) -> Result<(), KeptError> {
        let other = Doubts::from_message(kept)?;
        let (ours, theirs) = (self.state.vector().clone(), state.vector().clone());
        self.doubts.join(&other, &ours, &theirs);
        self.state.join(state);
        *self = self.reindexed();
        Ok(())
    }

    /// The same, that comes in the place of another: nothing that was derived of that stands.
    #[must_use]
    pub fn in_place_of(mut self, other: &Self) -> Self {
        self.changes = other.changes.renewed();
        self
    }

    /// The same, with its indexes derived anew.
    #[must_use]
    pub fn reindexed(&self) -> Self {
        let (state, mut doubts) = (self.state.clone(), self.doubts.clone());
        doubts.view_all(&state);
        let mut identity = Self { state, doubts, ..Self::default() };
        let mut index = Index::default();
        for (key, siblings) in identity.slots(&[]) {
            index.add(&key, siblings);
            index.forget_existences();
        }
        identity.index = index;
        let mut identity = identity.in_place_of(self);
        identity.scan_names();
        let _all_are_news = identity.keep_up_inbox();
        let _news_too = identity.set_names(Arc::clone(&self.names));
        identity
    }

    /// Applies a transaction. Tells which conflicts appeared by it, and which are gone.
    ///
    /// # Errors
    /// When it was applied before, or came before what it depends on; nothing changes then.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<Vec<ConflictEvent>, ApplyError> {
        self.state.admits(transaction)?;
        let mut renamed = Renamed::default();
        let stale = self.doubts.learn(&self.state, &self.index, transaction);
        self.leave_out(&stale, &mut renamed);
        let Self { state, index, undecided, changes, .. } = self;
        let mut followers = Followers { index, undecided, changes, renamed: &mut renamed };
        state.apply_observed(transaction, |moment, key, siblings| {
            if !stale.contains(key) {
                followers.follow(moment, key, siblings);
            }
        })?;
        self.view_again(stale, &mut renamed);
        self.keep_up_names(renamed);
        Ok(self.keep_up_inbox())
    }

    /// Takes slots out of the index, as they are to be read before they change.
    fn leave_out<'a>(
        &mut self,
        keys: impl IntoIterator<Item = &'a Box<[u8]>>,
        renamed: &mut Renamed,
    ) {
        let Self { state, doubts, index, inbox: _, names: _, undecided, changes } = self;
        let mut followers = Followers { index, undecided, changes, renamed };
        for key in keys {
            let siblings = doubts.view(key).map_or_else(|| state.get(key), Vec::as_slice);
            followers.follow(Moment::Before, key, siblings);
        }
    }

    /// Makes the views of slots anew, which the index does not have at the moment.
    fn view_again(&mut self, stale: impl IntoIterator<Item = Box<[u8]>>, renamed: &mut Renamed) {
        let Self { state, doubts, index, inbox: _, names: _, undecided, changes } = self;
        let mut followers = Followers { index, undecided, changes, renamed };
        for key in stale {
            let siblings = state.get(&key);
            doubts.look_again(&key, siblings);
            let siblings = doubts.view(&key).map_or(siblings, Vec::as_slice);
            if !siblings.is_empty() {
                followers.follow(Moment::After, &key, siblings);
            }
        }
    }

    /// Forgets what nobody needs once a barrier is agreed on: removals that stand alone, and all of
    /// an entity that is gone. Nothing reads otherwise afterwards. Tells which conflicts are gone
    /// with it; `None` if it is not to be done here and now, as [`State::collect`] has it.
    pub fn collect(&mut self, barrier: &Barrier) -> Option<Vec<ConflictEvent>> {
        if !self.state.is_due(barrier) {
            return None;
        }
        let mut renamed = Renamed::default();
        let stale = self.doubts.settle(&self.state, &barrier.stable);
        self.leave_out(&stale, &mut renamed);
        self.view_again(stale, &mut renamed);
        let Self { state, doubts, index, inbox: _, names: _, undecided, changes } = self;
        let mut followers = Followers { index, undecided, changes, renamed: &mut renamed };
        let mut forgotten = Vec::new();
        let fate = |key: &[u8]| fate(key, doubts.view(key).is_some());
        state.collect(barrier, fate, |moment, key, siblings| {
            let siblings = doubts.view(key).map_or(siblings, Vec::as_slice);
            followers.follow(moment, key, siblings);
            forgotten.push(Box::<[u8]>::from(key));
        });
        for key in forgotten {
            doubts.forget(&key);
        }
        self.keep_up_names(renamed);
        Some(self.keep_up_inbox())
    }

    /// Takes on slots as another replica had them when it had applied `at` ([`State::mend`]). Tells
    /// which conflicts appeared by it, and which are gone.
    pub fn mend(&mut self, at: &VersionVector, slots: Vec<Slot<Meta>>) -> Vec<ConflictEvent> {
        let mut renamed = Renamed::default();
        let keys: Vec<_> = slots.iter().map(|(key, _)| key.clone()).collect();
        self.leave_out(&keys, &mut renamed);
        self.state.mend(at, slots, |_, _, _| {});
        self.view_again(keys, &mut renamed);
        self.keep_up_names(renamed);
        self.keep_up_inbox()
    }

    /// Whether nothing that `vector` covers can become doubtful any more.
    pub fn is_settled(&self, vector: &VersionVector) -> bool {
        self.doubts.is_settled(vector)
    }

    /// What a snapshot holds of it.
    pub fn into_kept(self) -> (State<Meta>, v1::Doubts) {
        let kept = self.keep();
        (self.state, kept)
    }

    /// Keeps the replicated state as it is for whoever copies it ([`State::freeze`]).
    pub fn freeze(&mut self) {
        self.state.freeze();
    }

    /// Slots up to this key were copied ([`State::copied`]).
    pub fn copied(&mut self, upto: &[u8]) {
        self.state.copied(upto);
    }

    /// Nobody copies the replicated state any more ([`State::thaw`]).
    pub fn thaw(&mut self) {
        self.state.thaw();
    }

    pub(crate) fn keep_up_inbox(&mut self) -> Vec<ConflictEvent> {
        let touched = self.index.take_touched();
        if touched.is_empty() {
            return Vec::new();
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        let events = inbox.keep_up(self, touched);
        self.inbox = inbox;
        events
    }

    /// The open conflicts.
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// The replicated state.
    pub fn state(&self) -> &State<Meta> {
        &self.state
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn changes_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }

    pub(crate) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    pub(crate) fn names_mut(&mut self) -> &mut Arc<Names> {
        &mut self.names
    }

    pub(crate) fn undecided(&self) -> &Undecided {
        &self.undecided
    }

    pub(crate) fn undecided_mut(&mut self) -> &mut Undecided {
        &mut self.undecided
    }

    /// What a transaction that is not settled wrote.
    pub(crate) fn unsettled_writes(&self, dot: &Dot) -> Option<Vec<Write>> {
        let writes = self.doubts.keys(dot)?.map(|key| {
            let sibling = self.doubts.written(key, self.state.get(key), dot)?;
            Some(Write { key: key.into(), value: sibling.value.clone() })
        });
        writes.collect()
    }

    /// Who first doubts what a transaction wrote in a slot.
    pub(crate) fn doubter(&self, key: &[u8], dot: &Dot) -> Option<&Doubter<Meta>> {
        self.doubts.doubter(key, dot)
    }

    /// The sides of a slot, as they are to be read.
    pub(crate) fn slot(&self, key: &[u8]) -> &[Sibling<Meta>] {
        self.doubts.view(key).map_or_else(|| self.state.get(key), Vec::as_slice)
    }

    /// All slots whose key begins with `prefix`, as they are to be read, in order.
    pub(crate) fn slots(
        &self,
        prefix: &[u8],
    ) -> impl Iterator<Item = (Box<[u8]>, &[Sibling<Meta>])> {
        self.state.range(prefix).map(|(key, siblings)| {
            let siblings = self.doubts.view(&key).map_or(siblings, Vec::as_slice);
            (key, siblings)
        })
    }

    /// A field of an entity.
    pub(crate) fn read<M: Message + Default>(&self, field: &Field<M>, entity: Entity) -> Read<M> {
        self.read_of(field, entity, "")
    }

    /// One of an entity's fields that have a qualifier.
    pub(crate) fn read_of<M: Message + Default>(
        &self,
        field: &Field<M>,
        Entity { account, id }: Entity,
        qualifier: &str,
    ) -> Read<M> {
        read(self.slot(&field.key_of(account, id, qualifier)))
    }

    /// All of an entity's fields with this tag that may have a value, by qualifier.
    pub(crate) fn read_all<M: Message + Default>(
        &self,
        field: &Field<M>,
        Entity { account, id }: Entity,
    ) -> Vec<(Box<str>, Read<M>)> {
        self.slots(&Key::field_prefix(account, id, field.tag()))
            .filter_map(|(key, siblings)| {
                let qualifier = Key::from_bytes(&key).ok()?.field.qualifier;
                Some((qualifier, read(siblings)))
            })
            .filter(|(_, value)| value.is_possible())
            .collect()
    }

    /// The qualifiers of all an entity's fields with this tag that were ever written, removed ones
    /// included.
    pub(crate) fn qualifiers_ever<M>(
        &self,
        field: &Field<M>,
        Entity { account, id }: Entity,
    ) -> Vec<Box<str>> {
        self.slots(&Key::field_prefix(account, id, field.tag()))
            .filter_map(|(key, _)| Some(Key::from_bytes(&key).ok()?.field.qualifier))
            .collect()
    }

    /// All sides of a document, parsed.
    pub(crate) fn document(
        &self,
        field: &Field<wire::v1::Document>,
        Entity { account, id }: Entity,
        qualifier: &str,
    ) -> &[Option<Arc<crate::index::StoredDocument>>] {
        self.index.document(&field.key_of(account, id, qualifier))
    }

    /// All of an entity's documents with this tag that may exist, with their qualifiers.
    pub(crate) fn documents(
        &self,
        field: &Field<wire::v1::Document>,
        entity: Entity,
    ) -> Vec<(Box<str>, Sides)> {
        self.qualifiers_ever(field, entity)
            .into_iter()
            .map(|qualifier| {
                let sides = self.document(field, entity, &qualifier).to_vec();
                (qualifier, sides)
            })
            .filter(|(_, sides)| !sides.is_empty())
            .collect()
    }
}

impl Followers<'_> {
    /// A slot is about to change, or has changed.
    fn follow(&mut self, moment: Moment, key: &[u8], siblings: &[Sibling<Meta>]) {
        let Self { index, undecided, changes, renamed } = self;
        changes.note_slot(key);
        renamed.look(undecided, moment, key, siblings);
        match moment {
            Moment::Before => index.remove(key, siblings),
            Moment::After => index.add(key, siblings),
        }
    }
}

/// What becomes of a slot once what it held was removed, for ever unless that is doubted.
fn fate(key: &[u8], doubted: bool) -> Fate {
    if doubted {
        return Fate::Keep;
    }
    let Ok(Key { account, id, field }) = Key::from_bytes(key) else { return Fate::Forget };
    let is_key = id.kind() == Some(UniqueIdKind::AccessKey) && field.tag == ACCESS_KEY.tag();
    if field.tag == HEAD.tag() || is_key {
        // Every call that gives something to an entity re-asserts its head: with the head gone
        // beyond doubt, no such call can come.
        return Fate::ForgetAll { prefix: Key::entity_prefix(account, id).into() };
    }
    // AWS: a version's id is never given to another (CreatePolicyVersion).
    if field.tag == POLICY_VERSION.tag() { Fate::Keep } else { Fate::Forget }
}

/// The writes of one transaction, in the order of their keys.
pub(crate) struct Writes {
    account: AccountId,
    writes: BTreeMap<Box<[u8]>, Option<Arc<[u8]>>>,
}

impl Writes {
    pub(crate) fn new(account: AccountId) -> Self {
        Self { account, writes: BTreeMap::new() }
    }

    /// Sets a field.
    pub(crate) fn put<M: Message>(&mut self, field: &Field<M>, id: UniqueId, value: &M) {
        self.put_of(field, id, "", value);
    }

    /// Sets a field that has a qualifier.
    pub(crate) fn put_of<M: Message>(
        &mut self,
        field: &Field<M>,
        id: UniqueId,
        qualifier: &str,
        value: &M,
    ) {
        let key = field.key_of(self.account, id, qualifier);
        self.writes.insert(key, Some(value.encode_to_vec().into()));
    }

    /// Removes a field that has a qualifier, in a way that others can see.
    pub(crate) fn remove_of<M>(&mut self, field: &Field<M>, id: UniqueId, qualifier: &str) {
        self.writes.insert(field.key_of(self.account, id, qualifier), None);
    }

    /// Removes every field that an entity may have, but for its name, its path and the documents of
    /// a managed policy: when its head turns out to be contested, people must be able to address
    /// it, and its denies must still be known. Without a head nothing reads them.
    pub(crate) fn remove_entity(&mut self, identity: &Identity, id: UniqueId) {
        let kept = [NAME.tag(), PATH.tag(), POLICY_VERSION.tag(), DEFAULT_VERSION.tag()];
        for (key, siblings) in identity.slots(&Key::entity_prefix(self.account, id)) {
            let removed = Key::from_bytes(&key).is_ok_and(|key| !kept.contains(&key.field.tag));
            if removed && siblings.iter().any(|sibling| sibling.value.is_some()) {
                self.writes.insert(key, None);
            }
        }
    }

    /// Writes a field's bytes as they are: this call relies on them, and a concurrent removal must
    /// show as a contest (DESIGN §4). A field that is absent or contested has none to write.
    pub(crate) fn reassert_of<M>(
        &mut self,
        identity: &Identity,
        field: &Field<M>,
        id: UniqueId,
        qualifier: &str,
    ) {
        let key = field.key_of(self.account, id, qualifier);
        let mut values = identity.slot(&key).iter().map(|sibling| sibling.value.clone());
        if let Some(Some(first)) = values.next()
            && values.all(|value| value.as_ref() == Some(&first))
        {
            self.writes.insert(key, Some(first));
        }
    }

    /// Writes a field's bytes as one of its sides has them, or removes it.
    pub(crate) fn put_bytes(&mut self, key: &Key, value: Option<Arc<[u8]>>) {
        self.writes.insert(key.to_bytes(), value);
    }

    /// Re-asserts that an entity exists.
    pub(crate) fn reassert_head(&mut self, identity: &Identity, id: UniqueId) {
        self.reassert_of(identity, &HEAD, id, "");
    }

    /// The finished list.
    pub(crate) fn finish(self) -> Vec<crdt::Write> {
        self.writes.into_iter().map(|(key, value)| crdt::Write { key, value }).collect()
    }
}
