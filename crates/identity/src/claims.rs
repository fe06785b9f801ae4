//! Names that are provisional, confirmed or lost, as this state and the control plane's decisions
//! have it together.
//!
//! Who has a name that the control plane has confirmed is its holder, and works whoever else has
//! it. All others who have it are quarantined, as is who lost it, until they are renamed or
//! deleted: they read as what must not be relied on. While nothing is decided, several who have one
//! name are rivals, and all of them read so.
//!
//! **Invariants.** Of what must exist, at most one entity of a name may act. The undecided claims
//! are those that a scan of the state finds; a test compares.
//!
//! **Must not know:** who proposes, how the control plane decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crdt::{Dot, Moment, NodeId, Sibling, VersionVector, covers};
use model::{AccountId, Key, UniqueId, UniqueIdKind, fold};
use wire::{Message as _, transaction::Meta, v1};

use crate::{
    Claim, ConflictEvent, Decision, Identity, NameKey, Names,
    entity::Entity,
    field::{HEAD, NAME},
    index::Touch,
    names::{NAME_BYTES_MAX, NAME_CLAIMS_MAX},
};

/// Writes of names about which nothing is decided, by dot.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Undecided(BTreeMap<NodeId, BTreeSet<(u64, AccountId, UniqueId)>>);

/// The names that a change touched.
#[derive(Debug, Default)]
pub(crate) struct Renamed {
    names: BTreeSet<NameKey>,
    entities: BTreeSet<Entity>,
    existed: BTreeSet<Entity>,
}

/// Whose claims to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of names that this node gave.
    Of(NodeId),
    /// Of names that any node gave.
    Anybodys,
}

/// What to tell the control plane about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameProposal {
    /// Of each name that is claimed, all who have it.
    pub claims: Vec<(NameKey, Claim)>,
    /// Claims of the table that were given up.
    pub released: Vec<(NameKey, Claim)>,
    /// Up to where all names are decided.
    pub settled: VersionVector,
}

/// Which names to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamesOf {
    /// That which this write gave.
    Write(Dot),
    /// All of an account, or of all accounts, that were given by writes that are covered.
    Account {
        /// Whose.
        account: Option<AccountId>,
        /// What covers the writes.
        upto: VersionVector,
    },
}

/// What is decided about names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameVerdict {
    /// Whoever has them keeps them.
    Confirmed,
    /// About some nothing is decided.
    Provisional,
    /// These are others'.
    Lost(Vec<LostName>),
}

/// Who is called what another is called by right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostName {
    /// The name.
    pub name: NameKey,
    /// Who lost it.
    pub id: UniqueId,
    /// Who has it; `None` if that one gave it up.
    pub holder: Option<UniqueId>,
}

impl std::fmt::Display for LostName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, id, holder } = self;
        write!(f, "the name `{}` of {id} is ", name.fold)?;
        match holder {
            Some(holder) => write!(f, "that of {holder}"),
            None => f.write_str("that of another, which is gone"),
        }
    }
}

impl NamesOf {
    fn asks(&self, account: AccountId, dot: Dot) -> bool {
        match self {
            Self::Write(write) => *write == dot,
            Self::Account { account: of, upto } => {
                of.is_none_or(|of| of == account) && covers(upto, &dot)
            }
        }
    }
}

/// Who has a name that is not beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contenders {
    /// Nobody but who may have it.
    None,
    /// Several, about whom nothing is decided: all of them.
    Rivals(Vec<Entity>),
    /// Those that lost it, and who has it instead, if it is known.
    Quarantined { holder: Option<UniqueId>, lost: Vec<Entity> },
}

impl Undecided {
    fn put(&mut self, entity: Entity, dot: Dot, undecided: bool) {
        let entry = (dot.counter, entity.account, entity.id);
        if undecided {
            self.0.entry(dot.actor).or_default().insert(entry);
        } else if let Some(of_node) = self.0.get_mut(&dot.actor) {
            of_node.remove(&entry);
            if of_node.is_empty() {
                self.0.remove(&dot.actor);
            }
        }
    }

    fn of(&self, node: NodeId) -> impl Iterator<Item = (u64, Entity)> {
        let entity = |(seq, account, id): &(u64, AccountId, UniqueId)| {
            (*seq, Entity { account: *account, id: *id })
        };
        self.0.get(&node).into_iter().flatten().map(entity)
    }

    fn has(&self, asked: &NamesOf) -> bool {
        let of_node = |node: NodeId| {
            self.of(node).any(|(seq, entity)| asked.asks(entity.account, Dot::new(node, seq)))
        };
        match asked {
            NamesOf::Write(Dot { actor, counter: _ }) => of_node(*actor),
            NamesOf::Account { .. } => self.0.keys().any(|node| of_node(*node)),
        }
    }

    fn all(&self) -> impl Iterator<Item = Entity> {
        self.0.keys().flat_map(|node| self.of(*node)).map(|(_, entity)| entity)
    }
}

impl Renamed {
    /// Looks at a slot before and after it changes.
    pub(crate) fn look(
        &mut self,
        undecided: &mut Undecided,
        moment: Moment,
        key: &[u8],
        siblings: &[Sibling<Meta>],
    ) {
        let Ok(Key { account, id, field }) = Key::from_bytes(key) else { return };
        let entity = Entity { account, id };
        if field.tag == NAME.tag() {
            for (name, dot) in names(entity, siblings) {
                if let Moment::Before = moment {
                    undecided.put(entity, dot, false);
                }
                self.names.insert(name);
            }
        } else if field.tag == HEAD.tag() {
            let exists = siblings.iter().any(|sibling| sibling.value.is_some());
            match moment {
                Moment::Before if exists => drop(self.existed.insert(entity)),
                Moment::After if self.existed.contains(&entity) != exists => {
                    self.entities.insert(entity);
                }
                Moment::Before | Moment::After => {}
            }
        }
    }
}

/// The names that a slot gives, with the writes.
fn names(entity: Entity, siblings: &[Sibling<Meta>]) -> Vec<(NameKey, Dot)> {
    let Entity { account, id } = entity;
    let Some(kind) = id.kind().filter(|kind| is_named(*kind)) else { return Vec::new() };
    let name = |sibling: &Sibling<Meta>| {
        let text = v1::Text::decode(sibling.value.as_deref()?).ok()?;
        Some((NameKey { account, kind, fold: fold(&text.text).into() }, sibling.dot))
    };
    siblings.iter().filter_map(name).collect()
}

fn is_named(kind: UniqueIdKind) -> bool {
    match kind {
        UniqueIdKind::User
        | UniqueIdKind::Group
        | UniqueIdKind::Role
        | UniqueIdKind::Policy
        | UniqueIdKind::InstanceProfile
        | UniqueIdKind::ServerCertificate
        | UniqueIdKind::OidcProvider
        | UniqueIdKind::SamlProvider
        | UniqueIdKind::MfaDevice => true,
        UniqueIdKind::Root | UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => false,
    }
}

impl Identity {
    /// Takes the control plane's newest decisions. Tells which conflicts appeared by them, and
    /// which are gone.
    pub fn set_names(&mut self, names: Arc<Names>) -> Vec<ConflictEvent> {
        let before = std::mem::replace(self.names_mut(), names);
        let Names { decisions, settled } = &*Arc::clone(self.names());
        let mut changed = changed(&before.decisions, decisions);
        for dot in settled.iter().filter(|dot| dot.counter > before.settled.get(dot.actor)) {
            let upto = self.undecided().of(*dot.actor);
            let upto: Vec<Entity> = upto
                .take_while(|(counter, _)| *counter <= dot.counter)
                .map(|(_, entity)| entity)
                .collect();
            changed.extend(upto.into_iter().flat_map(|entity| self.claims_of(entity).into_keys()));
        }
        for name in changed {
            self.changes_mut().note_name(&name);
            self.look_again(&name);
            self.index_mut().touch(Touch::Name(name.account, name.kind, name.fold.into()));
        }
        self.keep_up_inbox()
    }

    /// Keeps the undecided claims up with what a transaction changed.
    pub(crate) fn keep_up_names(&mut self, renamed: Renamed) {
        let Renamed { mut names, entities, existed: _ } = renamed;
        for entity in entities {
            let slot = self.slot(&NAME.key(entity.account, entity.id));
            names.extend(self::names(entity, slot).into_iter().map(|(name, _)| name));
        }
        for name in names {
            self.changes_mut().note_name(&name);
            self.look_again(&name);
            if self.names().decisions.contains_key(&name) {
                self.index_mut().touch(Touch::Name(name.account, name.kind, name.fold.into()));
            }
        }
    }

    /// Derives the undecided claims of a whole state.
    pub(crate) fn scan_names(&mut self) {
        *self.undecided_mut() = Undecided::default();
        let all: Vec<Entity> = self.index().all_heads().collect();
        for entity in all {
            self.look_again_at(entity);
        }
    }

    fn look_again(&mut self, name: &NameKey) {
        for entity in self.named(name) {
            self.look_again_at(entity);
        }
    }

    fn look_again_at(&mut self, entity: Entity) {
        let exists = self.read(&HEAD, entity).is_possible();
        let slot = self.slot(&NAME.key(entity.account, entity.id));
        let mut dots: BTreeMap<NameKey, Vec<Dot>> = BTreeMap::new();
        for (name, dot) in names(entity, slot) {
            dots.entry(name).or_default().push(dot);
        }
        for (name, dots) in dots {
            // What no call makes the control plane would refuse: it is never decided.
            let is_name = !name.fold.is_empty() && name.fold.len() <= NAME_BYTES_MAX;
            let undecided = exists && is_name && !self.is_decided(&name, entity.id, &dots);
            for dot in dots {
                self.undecided_mut().put(entity, dot, undecided);
            }
        }
    }

    /// The names that an entity may have, with the writes that gave them; none if it is gone.
    fn claims_of(&self, entity: Entity) -> BTreeMap<NameKey, Vec<Dot>> {
        let mut claims: BTreeMap<NameKey, Vec<Dot>> = BTreeMap::new();
        if self.read(&HEAD, entity).is_possible() {
            let slot = self.slot(&NAME.key(entity.account, entity.id));
            for (name, dot) in names(entity, slot) {
                claims.entry(name).or_default().push(dot);
            }
        }
        claims
    }

    fn named(&self, NameKey { account, kind, fold }: &NameKey) -> Vec<Entity> {
        let named = self.index().named(*account, *kind, fold);
        named.map(|id| Entity { account: *account, id }).collect()
    }

    /// Whoever may have a name and may exist, who must exist before who may, by the first write.
    fn live(&self, name: &NameKey) -> Vec<(Entity, Vec<Dot>)> {
        let dots = |entity| Some((entity, self.claims_of(entity).remove(name)?));
        let mut live: Vec<_> = self.named(name).into_iter().filter_map(dots).collect();
        live.sort_by_key(|(entity, dots)| {
            let first = dots.first().map(|dot| (dot.actor, dot.counter));
            (self.read(&HEAD, *entity).must().is_none(), first)
        });
        live
    }

    fn is_decided(&self, name: &NameKey, id: UniqueId, dots: &[Dot]) -> bool {
        match self.names().decisions.get(name) {
            Some(Decision { holder, lost: _ }) if holder.is_some_and(|h| h.id == id) => true,
            Some(decision) => has_lost(decision, id, dots),
            None => {
                let settled = |dot| covers(&self.names().settled, dot);
                dots.iter().any(settled) && self.unsaid_holder(name) == Some(id)
            }
        }
    }

    /// Who holds a name for good, if that is decided and it did not give it up.
    pub fn holder(&self, name: &NameKey) -> Option<UniqueId> {
        match self.names().decisions.get(name) {
            Some(Decision { holder: Some(Claim { id, dot }), lost: _ }) => {
                let entity = Entity { account: name.account, id: *id };
                let arrived = covers(self.state().vector(), dot);
                let holds = !arrived || self.claims_of(entity).contains_key(name);
                holds.then_some(*id)
            }
            Some(Decision { holder: None, lost: _ }) => None,
            None => self.unsaid_holder(name),
        }
    }

    /// Who holds a name that the table need not have. Of two (one was deleted, and came back by a
    /// call that raced the deletion) that which must exist.
    fn unsaid_holder(&self, name: &NameKey) -> Option<UniqueId> {
        let settled = &self.names().settled;
        if settled.is_empty() {
            return None;
        }
        let mut live = self.live(name);
        live.retain(|(_, dots)| dots.iter().any(|dot| covers(settled, dot)));
        let must = |entity: &Entity| self.read(&HEAD, *entity).must().is_some();
        match live.as_slice() {
            [] => None,
            [(one, _)] => Some(one.id),
            [(first, _), (second, _), ..] => (must(first) && !must(second)).then_some(first.id),
        }
    }

    /// Who has a name that others have too, or that was decided to be another's.
    pub(crate) fn contenders(&self, name: &NameKey) -> Contenders {
        let live = self.live(name);
        let decision = self.names().decisions.get(name);
        if live.len() < 2 && decision.is_none() {
            return Contenders::None;
        }
        let holder = self.holder(name);
        let all = live.iter().map(|(entity, _)| *entity);
        let lost: Vec<Entity> = match holder {
            Some(holder) => all.filter(|entity| entity.id != holder).collect(),
            None => {
                let lost = |(entity, dots): &&(Entity, Vec<Dot>)| {
                    decision.is_some_and(|decision| has_lost(decision, entity.id, dots))
                };
                live.iter().filter(lost).map(|(entity, _)| *entity).collect()
            }
        };
        if !lost.is_empty() {
            let rest = || live.iter().find(|(entity, _)| !lost.contains(entity));
            let holder = holder.or_else(|| rest().map(|(entity, _)| entity.id));
            return Contenders::Quarantined { holder, lost };
        }
        let certain = live.iter().any(|(entity, _)| self.read(&HEAD, *entity).must().is_some());
        if holder.is_none() && live.len() > 1 && certain {
            Contenders::Rivals(live.into_iter().map(|(entity, _)| entity).collect())
        } else {
            Contenders::None
        }
    }

    /// Whether an entity must not be relied on: it lost a name that it may have, or another that
    /// must exist, or must if nobody's right to make it is doubted, may have it too and nothing is
    /// decided.
    pub(crate) fn has_rival(&self, entity: Entity) -> bool {
        if entity.id.kind().is_none() {
            return true;
        }
        self.claims_of(entity).into_iter().any(|(name, dots)| {
            let decision = self.names().decisions.get(&name);
            let others = self.named(&name).into_iter().filter(|other| *other != entity);
            let others: Vec<Entity> = others.collect();
            if decision.is_none() && others.is_empty() {
                return false;
            }
            match self.holder(&name) {
                Some(holder) => holder != entity.id,
                None => {
                    let has_lost =
                        |id, dots: &[Dot]| decision.is_some_and(|d| has_lost(d, id, dots));
                    let in_the_way = |other: &Entity| {
                        let dots = self.claims_of(*other).remove(&name).unwrap_or_default();
                        self.was_made(*other) && !has_lost(other.id, &dots)
                    };
                    has_lost(entity.id, &dots) || others.iter().any(in_the_way)
                }
            }
        })
    }

    /// The names that an entity may have, if [`Self::has_rival`] rests on who has them and what is
    /// decided about them alone: each was given to it for good, or nobody else has it.
    pub(crate) fn own_names(&self, entity: Entity) -> Option<Vec<NameKey>> {
        entity.id.kind()?;
        let names: Vec<NameKey> = self.claims_of(entity).into_keys().collect();
        let is_own = |name: &NameKey| match self.names().decisions.get(name) {
            Some(Decision { holder, lost: _ }) => holder.is_some_and(|h| h.id == entity.id),
            None => self.named(name).iter().all(|other| *other == entity),
        };
        names.iter().all(is_own).then_some(names)
    }

    /// Whether a name is known to be another's than those that this state has.
    pub(crate) fn is_held_elsewhere(&self, name: &NameKey) -> bool {
        let held = |Claim { id: _, dot }: Claim| !covers(self.state().vector(), &dot);
        let decision = self.names().decisions.get(name);
        decision.and_then(|decision| decision.holder).is_some_and(held)
    }

    /// What to propose, if there is anything. `safe` is what a majority of the writers has on disk.
    /// Nothing else is claimed, or counts as given up: were it lost with the disks that have it, a
    /// name would be nobody's, or another's than that of who is called so everywhere. And nothing
    /// else is settled, since who lacks something of it may propose nothing.
    pub fn propose_names(&self, whose: Whose, safe: &VersionVector) -> Option<NameProposal> {
        let claims = match whose {
            Whose::Of(node) => {
                self.claims(self.undecided().of(node).map(|(_, entity)| entity), safe)
            }
            Whose::Anybodys => self.claims(self.undecided().all(), safe),
        };
        let released = match whose {
            Whose::Of(_) => Vec::new(),
            Whose::Anybodys => self.given_up(NAME_CLAIMS_MAX.saturating_sub(claims.len()), safe),
        };
        let settled = self.decided_upto(safe);
        let tidies = whose == Whose::Anybodys && self.names().count_settled(&settled) >= TIDY_FROM;
        let any = tidies || !claims.is_empty() || !released.is_empty();
        any.then_some(NameProposal { claims, released, settled })
    }

    /// What is decided about names. Names that were given up meanwhile are nobody's concern.
    pub fn name_verdict(&self, asked: &NamesOf) -> NameVerdict {
        if self.undecided().has(asked) {
            return NameVerdict::Provisional;
        }
        let mut lost = Vec::new();
        for (name, decision) in &self.names().decisions {
            let of_name = decision.lost.iter().filter(|claim| {
                let entity = Entity { account: name.account, id: claim.id };
                asked.asks(name.account, claim.dot) && self.claims_of(entity).contains_key(name)
            });
            let holder = self.holder(name);
            lost.extend(of_name.map(|claim| LostName { name: name.clone(), id: claim.id, holder }));
        }
        if lost.is_empty() { NameVerdict::Confirmed } else { NameVerdict::Lost(lost) }
    }

    /// Whoever may have a name and may exist, each with whether it may be relied on.
    pub fn bearers(&self, name: &NameKey) -> BTreeMap<UniqueId, bool> {
        let bearers = self.live(name).into_iter();
        bearers.map(|(entity, _)| (entity.id, self.can_act(entity))).collect()
    }

    /// How many names are undecided.
    pub fn provisional_names(&self) -> usize {
        self.undecided().0.values().map(BTreeSet::len).sum()
    }

    fn claims(
        &self,
        entities: impl Iterator<Item = Entity>,
        safe: &VersionVector,
    ) -> Vec<(NameKey, Claim)> {
        let (mut claims, mut done) = (Vec::new(), BTreeSet::new());
        for entity in entities {
            for (name, dots) in self.claims_of(entity) {
                if self.is_decided(&name, entity.id, &dots) || !done.insert(name.clone()) {
                    continue;
                }
                let live = self.live(&name);
                if !self.is_safe(&name, &live, safe) {
                    continue;
                }
                if claims.len() + live.len() > NAME_CLAIMS_MAX {
                    if claims.is_empty() {
                        continue;
                    }
                    return claims;
                }
                claims.extend(live.into_iter().filter_map(|(Entity { account: _, id }, dots)| {
                    Some((name.clone(), Claim { id, dot: *dots.first()? }))
                }));
            }
        }
        claims
    }

    /// Whether all is safe that says who has a name, and who has given it up.
    fn is_safe(&self, name: &NameKey, live: &[(Entity, Vec<Dot>)], safe: &VersionVector) -> bool {
        let is_live = |id| live.iter().any(|(entity, _)| entity.id == id);
        let decision = self.names().decisions.get(name);
        let claimed = decision.into_iter().flat_map(|d| d.holder.iter().chain(&d.lost));
        let claimed = claimed.map(|claim| Entity { account: name.account, id: claim.id });
        let gone = self.named(name).into_iter().chain(claimed);
        let mut gone = gone.filter(|entity| !is_live(entity.id));
        let mut dots = live.iter().flat_map(|(_, dots)| dots);
        dots.all(|dot| covers(safe, dot)) && gone.all(|entity| self.is_gone_safely(entity, safe))
    }

    /// Of what is not there at all, all is stable.
    fn is_gone_safely(&self, Entity { account, id }: Entity, safe: &VersionVector) -> bool {
        let slots = [HEAD.key(account, id), NAME.key(account, id)];
        let mut siblings = slots.iter().flat_map(|key| self.state().get(key));
        siblings.all(|sibling| covers(safe, &sibling.dot))
    }

    fn given_up(&self, max: usize, safe: &VersionVector) -> Vec<(NameKey, Claim)> {
        let all = self.names().decisions.iter().flat_map(|(name, Decision { holder, lost })| {
            holder.iter().chain(lost).map(move |claim| (name, *claim))
        });
        let given_up = all.filter(|(name, Claim { id, dot })| {
            let entity = Entity { account: name.account, id: *id };
            covers(self.state().vector(), dot)
                && !self.claims_of(entity).contains_key(name)
                && self.is_gone_safely(entity, safe)
        });
        given_up.take(max).map(|(name, claim)| (name.clone(), claim)).collect()
    }

    fn decided_upto(&self, safe: &VersionVector) -> VersionVector {
        let mut upto = self.state().vector().clone();
        upto.glb(safe);
        for (node, seq) in &mut upto.dots {
            if let Some((undecided, _)) = self.undecided().of(*node).next() {
                *seq = (*seq).min(undecided.saturating_sub(1));
            }
        }
        upto.dots.retain(|_, seq| *seq > 0);
        upto
    }
}

/// The table is told what is settled once so many of its names are.
const TIDY_FROM: usize = 256;

fn has_lost(decision: &Decision, id: UniqueId, dots: &[Dot]) -> bool {
    decision.lost.iter().any(|lost| lost.id == id && dots.contains(&lost.dot))
}

/// The names whose decisions differ.
fn changed(
    before: &BTreeMap<NameKey, Decision>,
    after: &BTreeMap<NameKey, Decision>,
) -> BTreeSet<NameKey> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let new = after.iter().filter(|(name, decision)| before.get(*name) != Some(*decision));
    gone.chain(new.map(|(name, _)| name)).cloned().collect()
}
