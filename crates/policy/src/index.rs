//! The statements of a set of documents by what a request says (DESIGN §7). Statements with the
//! same action pattern are a group, found by the whole action if the pattern has no wildcard, else
//! by the service. Within a group lie candidates in order of the length and a fingerprint of their
//! resource's literal beginning, so that a resource is compared with few of them. A pattern that
//! begins with wildcards, as `arn:aws:s3:*:*:x-1*` does, is known by four bytes that it asks for
//! further on. What rules candidates out lies beside each other and apart from them: most of what a
//! decision takes is waiting for memory. What is compared in full is each document's own, and
//! shared by all sets that it is in.
//!
//! **Invariants.** Groups whose names share a number are found together, and each is then held
//! against the whole action.
//!
//! **Must not know:** layers, who is asking.

use std::{cmp::Reverse, ops::Range, sync::Arc};

use crate::{
    Effect,
    block::{
        Beginning, Block, Candidate, Entry, Marked, SEARCHED, Start, count, fingerprint,
        first_bytes,
    },
    budget::Scope,
    name::hash,
    truth::Truth,
};

/// Longer runs of candidates are searched by halves.
const RUN_SCANNED_MAX: usize = 8;
/// Longer resources are not searched for a pattern's bytes before it is walked.
const SEARCHED_BYTES_MAX: usize = 256;

/// A request as it is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Folded.
    action: &'a [u8],
    action_hash: u32,
    service_hash: Option<u32>,
    /// The first bytes of the action's name.
    first: u32,
    resource: &'a [u8],
    pub(crate) scope: Scope<'a>,
}

impl<'a> Asked<'a> {
    /// `action` is folded text.
    pub(crate) fn new(action: &'a [u8], resource: &'a str, scope: Scope<'a>) -> Self {
        let colon = action.iter().position(|byte| *byte == b':');
        let service = colon.and_then(|colon| action.get(..colon));
        let name = colon.and_then(|colon| action.get(colon + 1..));
        Self {
            action,
            action_hash: hash(action),
            service_hash: service.map(hash),
            first: name.map_or(0, first_bytes),
            resource: resource.as_bytes(),
            scope,
        }
    }
}

/// What a set is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whether it denies, else whether it allows.
    All,
    /// Whether it denies.
    Denials,
}

/// What a set comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Deny,
    Allow,
    Nothing,
}

/// The statements of one set.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    blocks: Box<[Arc<Block>]>,
    /// Open addressing by name. At most three of four are taken.
    slots: Box<[Slot]>,
    /// Those of one name beside each other; first come those for whatever action.
    groups: Box<[Group]>,
    /// How many groups have no name.
    nameless: usize,
    /// Whether any group denies.
    denies: bool,
    /// Of each run of a group's candidates its [`Run`] and their marks in order.
    marks: Box<[u32]>,
    candidates: Box<[Placed]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// The place of the name's first group plus one; zero if the slot is free.
    group: u32,
}

/// The statements with one action pattern.
#[derive(Clone, Debug)]
struct Group {
    start: Start,
    /// The document that has the pattern's text.
    block: u32,
    action: Beginning,
    /// Where the marks of its candidates begin.
    marks: u32,
    /// The first candidate; those that allow stand before those that deny.
    first: u32,
    allows: u32,
    denies: u32,
    /// How many groups have this name, at the first of them.
    count: u32,
}

/// Candidates with beginnings of one length: whether they are searched for, that length in fifteen
/// bits and their number in sixteen. Patterns are shorter than that; longer runs are split.
#[derive(Clone, Copy)]
struct Run(u32);

impl Run {
    const MAX: usize = 0xffff;

    fn new(head: u32, count: usize) -> Self {
        Self(head & SEARCHED | (head & !SEARCHED) << 16 | count as u32)
    }

    fn is_searched(self) -> bool {
        self.0 & SEARCHED != 0
    }

    fn length(self) -> usize {
        (self.0 >> 16 & 0x7fff) as usize
    }

    fn count(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// A candidate and its document.
#[derive(Clone, Copy, Debug)]
struct Placed {
    block: u32,
    candidate: Candidate,
}

impl Index {
    /// What the statements come to: a `Deny` that may apply, else, if that is asked for, an `Allow`
    /// that does.
    pub(crate) fn scan(&self, asked: &Asked<'_>, allows: Wanted) -> Found {
        if allows == Wanted::Denials && !self.denies {
            return Found::Nothing;
        }
        // All are looked for before any is looked at: the memory that they need is fetched at the
        // same time.
        let exact = self.named(asked.action_hash);
        let service = asked.service_hash.map_or(&[][..], |service| self.named(service));
        let nameless = self.groups.get(..self.nameless).unwrap_or_default();
        let mut wanted = allows;
        for group in exact.iter().chain(service).chain(nameless) {
            if !group.start.may_begin(asked.first) {
                continue;
            }
            if group.denies > 0 && self.counts(Effect::Deny, group, asked) {
                return Found::Deny;
            }
            if wanted == Wanted::All && group.allows > 0 && self.counts(Effect::Allow, group, asked)
            {
                if !self.denies {
                    return Found::Allow;
                }
                wanted = Wanted::Denials;
            }
        }
        if wanted == allows { Found::Nothing } else { Found::Allow }
    }

    /// Whether a statement of a group counts.
    fn counts(&self, effect: Effect, group: &Group, asked: &Asked<'_>) -> bool {
        let (least, skipped, count) = match effect {
            Effect::Deny => (Truth::Unknown, group.allows, group.denies),
            Effect::Allow => (Truth::True, 0, group.allows),
        };
        let scope = asked.scope;
        // What is not looked at for want of steps allows nothing, and may deny.
        if !scope.budget.spend(count as usize) {
            return effect == Effect::Deny;
        }
        let from = (group.first + skipped) as usize;
        let wanted = from..from + count as usize;
        // Marks rule out more than the action does, of which the beginning is known.
        self.any_like(group, wanted, asked.resource, |Placed { block, candidate }| {
            let (Some(pattern), Some(block)) = (self.block(group.block), self.block(*block)) else {
                // A place that is not there would be a bug here; that is no allow.
                return effect == Effect::Deny;
            };
            pattern.holds(group.action, asked.action, scope) >= least
                && block.applies(candidate, asked.resource, least, scope)
        })
    }

    fn block(&self, place: u32) -> Option<&Block> {
        self.blocks.get(place as usize).map(|block| &**block)
    }

    /// Whether `counts` says so of one of these candidates that its mark does not rule out.
    fn any_like(
        &self,
        group: &Group,
        wanted: Range<usize>,
        resource: &[u8],
        counts: impl Fn(&Placed) -> bool,
    ) -> bool {
        let mut marks = self.marks.get(group.marks as usize..).unwrap_or_default();
        let mut next = group.first as usize;
        let counts = |at: usize| self.candidates.get(at).is_some_and(&counts);
        while next < wanted.end
            && let Some((head, after)) = marks.split_first()
        {
            let run = Run(*head);
            let (first, count) = (next, run.count().min(after.len()));
            let (own, after) = after.split_at(count);
            (marks, next) = (after, first + count);
            if first < wanted.start {
                continue;
            }
            if run.is_searched() {
                let text = resource.get(run.length()..).unwrap_or_default();
                if (first..).zip(own).any(|(at, mark)| may_have(text, *mark) && counts(at)) {
                    return true;
                }
                continue;
            }
            let Some(mark) = fingerprint(resource, run.length()) else { continue };
            let long = own.len() > RUN_SCANNED_MAX;
            let from = if long { own.partition_point(|other| *other < mark) } else { 0 };
            let upto = (first..).zip(own).skip(from).take_while(|(_, other)| **other <= mark);
            if upto.into_iter().any(|(at, other)| *other == mark && counts(at)) {
                return true;
            }
        }
        false
    }

    fn named(&self, hash: u32) -> &[Group] {
        let Some(mask) = self.slots.len().checked_sub(1) else { return &[] };
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get(at)
            && let Some(place) = slot.group.checked_sub(1)
        {
            if slot.hash == hash {
                let groups = self.groups.get(place as usize..).unwrap_or_default();
                let count = groups.first().map_or(0, |first| first.count as usize);
                return groups.get(..count).unwrap_or_default();
            }
            at = (at + 1) & mask;
        }
        &[]
    }

    /// The bytes it takes beside the documents' own.
    pub(crate) fn bytes(&self) -> usize {
        let Self { blocks, slots, groups, nameless: _, denies: _, marks, candidates } = self;
        size_of_val(&**blocks)
            + size_of_val(&**slots)
            + size_of_val(&**groups)
            + size_of_val(&**marks)
            + size_of_val(&**candidates)
    }
}

/// Whether a text may have these four bytes.
fn may_have(text: &[u8], wanted: u32) -> bool {
    if text.len() > SEARCHED_BYTES_MAX {
        return true;
    }
    let words = text.windows(4).map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes));
    // Without an early end this takes many places at once.
    words.fold(false, |found, word| found | (word == wanted))
}

/// An index in the making.
#[derive(Default)]
pub(crate) struct Builder {
    blocks: Vec<Arc<Block>>,
    /// Each with the place of its block.
    entries: Vec<(u32, Entry)>,
}

impl Builder {
    /// Adds those entries of a document that are wanted.
    pub(crate) fn add(&mut self, block: &Arc<Block>, wanted: impl Fn(&Entry) -> bool) {
        let place = count(self.blocks.len());
        let wanted = block.entries().iter().filter(|entry| wanted(entry));
        self.entries.extend(wanted.map(|entry| (place, entry.clone())));
        if self.entries.last().is_some_and(|(last, _)| *last == place) {
            self.blocks.push(Arc::clone(block));
        }
    }

    pub(crate) fn build(self) -> Index {
        let Self { blocks, mut entries } = self;
        let pattern = |(place, entry): &(u32, Entry)| {
            let block: Option<&Arc<Block>> = blocks.get(*place as usize);
            block.and_then(|block| block.pattern(entry))
        };
        entries.sort_by(|one, other| {
            let by_name = one.1.name.cmp(&other.1.name);
            by_name.then_with(|| pattern(one).cmp(&pattern(other)))
        });
        // What is for all actions but some is a group of its own.
        let same = |one: &(u32, Entry), other: &(u32, Entry)| {
            one.1.name == other.1.name && pattern(one).is_some() && pattern(one) == pattern(other)
        };
        let (mut groups, mut marks) = (Vec::<Group>::new(), Vec::new());
        let (mut candidates, mut side) = (Vec::new(), Vec::new());
        let (mut nameless, mut denies, mut firsts) = (0, false, Vec::<(u32, usize)>::new());
        for group in entries.chunk_by(same) {
            let Some((place, first)) = group.first() else { continue };
            let (at, before) = (count(marks.len()), count(candidates.len()));
            for effect in [Effect::Allow, Effect::Deny] {
                side.clear();
                for (place, entry) in group.iter().filter(|(_, entry)| entry.effect == effect) {
                    let own = blocks.get(*place as usize).map(|block| block.candidates(entry));
                    let own = own.unwrap_or_default().iter();
                    side.extend(own.map(|marked| (*place, *marked)));
                }
                append(&mut marks, &mut candidates, &mut side);
            }
            let denied = count(side.len());
            let allowed = count(candidates.len()) - before - denied;
            denies |= denied > 0;
            match (first.name, firsts.last()) {
                (None, _) => nameless += 1,
                (Some(name), Some((last, at))) if *last == name => {
                    if let Some(first) = groups.get_mut(*at) {
                        first.count += 1;
                    }
                }
                (Some(name), _) => firsts.push((name, groups.len())),
            }
            groups.push(Group {
                start: first.start,
                block: *place,
                action: first.action,
                marks: at,
                first: before,
                allows: allowed,
                denies: denied,
                count: 1,
            });
        }
        Index {
            slots: slots(&firsts),
            blocks: blocks.into(),
            groups: groups.into(),
            nameless,
            denies,
            marks: marks.into(),
            candidates: candidates.into(),
        }
    }
}

fn slots(firsts: &[(u32, usize)]) -> Box<[Slot]> {
    let size = if firsts.is_empty() { 0 } else { (firsts.len() * 4 / 3 + 1).next_power_of_two() };
    let mut slots = vec![Slot::default(); size];
    for (hash, group) in firsts {
        let mut at = *hash as usize & (size - 1);
        while slots.get(at).is_some_and(|slot| slot.group != 0) {
            at = (at + 1) & (size - 1);
        }
        if let Some(free) = slots.get_mut(at) {
            *free = Slot { hash: *hash, group: count(*group) + 1 };
        }
    }
    slots.into()
}

/// Appends the candidates of a group's side in order: the longest beginnings first, which rule out
/// the most, and last what has to be searched for.
fn append(marks: &mut Vec<u32>, candidates: &mut Vec<Placed>, side: &mut [(u32, Marked)]) {
    side.sort_by_key(|(_, one)| (one.head & SEARCHED, Reverse(one.head), one.mark));
    let runs = side.chunk_by(|(_, one), (_, other)| one.head == other.head);
    for run in runs.flat_map(|run| run.chunks(Run::MAX)) {
        marks.extend(run.first().map(|(_, one)| Run::new(one.head, run.len()).0));
        marks.extend(run.iter().map(|(_, one)| one.mark));
        let placed =
            |(block, one): &(u32, Marked)| Placed { block: *block, candidate: one.candidate };
        candidates.extend(run.iter().map(placed));
    }
}
