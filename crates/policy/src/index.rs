//! The statements of a set of policies by what a request says (DESIGN §7). Statements with the same
//! action pattern are a group, found by the whole action if the pattern has no wildcard, else by
//! the service. Within a group lie candidates in order of the length and the fingerprint of their
//! resource's literal beginning, so that a resource is compared with few of them.
//!
//! **Invariants.** `and` and `or` of [`Truth`] distribute, so that a statement may be taken apart
//! into one candidate for each of its action and resource patterns. A name, a beginning and a
//! pattern are compared in full before anything counts: a fingerprint only rules out.
//!
//! **Must not know:** layers, who is asking.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    Effect,
    budget::Scope,
    matcher::{Matcher, Tail},
    pattern::Pattern,
    statement::{Actions, Resources, Statement},
    truth::Truth,
};

/// Up to so many resource patterns a statement is taken apart by resource.
const RESOURCES_SPLIT_MAX: usize = 4;
/// Longer runs of candidates are searched by halves.
const RUN_SCANNED_MAX: usize = 8;

/// A request as it is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Folded.
    action: Name<'a>,
    service: Option<Name<'a>>,
    resource: &'a str,
    pub(crate) scope: Scope<'a>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(action: &'a str, resource: &'a str, scope: Scope<'a>) -> Self {
        let service = action.split_once(':').map(|(service, _)| Name::new(service));
        Self { action: Name::new(action), service, resource, scope }
    }
}

#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    hash: u32,
}

impl<'a> Name<'a> {
    /// The hash is the same on every node; what collides costs a comparison.
    fn new(text: &'a str) -> Self {
        let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
        let chunks = text.as_bytes().chunks_exact(8);
        let last = chunks.remainder().iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
        let all = chunks.fold(text.len() as u64, |hash, chunk| mix(hash, word(chunk)));
        Self { text, hash: (mix(all, last) >> 32) as u32 }
    }
}

/// Where a statement is: its document's place in the set, and its place in that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) document: u32,
    pub(crate) statement: u32,
}

impl Place {
    pub(crate) fn new(document: usize, statement: usize) -> Self {
        Self { document: number(document), statement: number(statement) }
    }
}

/// The statements of one set.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Open addressing by name. At most half are taken.
    slots: Box<[Slot]>,
    /// Those of one name beside each other; first come those for whatever action.
    groups: Box<[Group]>,
    /// How many groups have no name.
    nameless: usize,
    candidates: Box<[Candidate]>,
    tests: Box<[Test]>,
    /// The names, and the literal beginnings of actions and resources.
    texts: Box<str>,
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
    /// Where the pattern's literal beginning stands, which begins with the name.
    text: u32,
    name: u32,
    literal: u32,
    /// What follows that, as in [`Index::holds`].
    after: u32,
    /// How many groups have this name, at the first of them.
    count: u32,
    denies: Range<u32>,
    allows: Range<u32>,
}

/// One statement by one of its action patterns, and one or all of its resource patterns.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Of the resource's literal beginning, where that stands, and its length.
    fingerprint: u32,
    text: u32,
    literal: u32,
    /// What follows that, as in [`Index::holds`].
    after: u32,
    /// How many candidates have a beginning of this length, at the first of them.
    run: u32,
    /// The statement, if it has conditions.
    conditions: Option<Place>,
}

/// The text must end here.
const NOTHING: u32 = 0;
/// The text may go on as it likes.
const ANYTHING: u32 = 1;
/// The first number of a test.
const TESTS: u32 = 2;

/// What is asked of an action or resource after its literal beginning.
#[derive(Clone, Debug)]
enum Test {
    Goes(Tail),
    Any(Box<[Matcher]>),
    AllBut(Box<[Matcher]>),
}

impl Test {
    fn holds(&self, text: &str, scope: Scope<'_>) -> Truth {
        let any =
            |matchers: &[Matcher]| Truth::any(matchers.iter().map(|m| m.matches(text, scope)));
        match self {
            Self::Goes(tail) => tail.matches(text, scope),
            Self::Any(matchers) => any(matchers),
            Self::AllBut(matchers) => any(matchers).not(),
        }
    }
}

impl Index {
    /// Whether a statement of this effect counts: a `Deny` that may apply, an `Allow` that does.
    /// `conditions` tells whether those of a statement hold.
    pub(crate) fn finds(
        &self,
        effect: Effect,
        asked: &Asked<'_>,
        conditions: impl Fn(Place) -> Truth,
    ) -> bool {
        let least = match effect {
            Effect::Deny => Truth::Unknown,
            Effect::Allow => Truth::True,
        };
        let scope = asked.scope;
        let counts = |group: &Group| {
            let range = match effect {
                Effect::Deny => &group.denies,
                Effect::Allow => &group.allows,
            };
            if range.is_empty() {
                return false;
            }
            // What is not looked at for want of steps allows nothing, and may deny.
            if !scope.budget.spend(range.len()) {
                return effect == Effect::Deny;
            }
            let beginning = (group.text, group.literal);
            let action = self.holds(beginning, group.after, asked.action.text, scope);
            let candidates = self.candidates.get(range.start as usize..range.end as usize);
            action >= least
                && like(candidates.unwrap_or_default(), asked.resource).any(|candidate| {
                    let beginning = (candidate.text, candidate.literal);
                    let resource = self.holds(beginning, candidate.after, asked.resource, scope);
                    resource >= least && candidate.conditions.is_none_or(|c| conditions(c) >= least)
                })
        };
        let service = asked.service.map_or(&[][..], |service| self.named(service));
        let nameless = self.groups.get(..self.nameless).unwrap_or_default();
        self.named(asked.action).iter().any(counts)
            || service.iter().any(counts)
            || nameless.iter().any(counts)
    }

    /// Whether a text begins so, and goes on as `after` says.
    fn holds(&self, beginning: (u32, u32), after: u32, text: &str, scope: Scope<'_>) -> Truth {
        let Some(literal) = self.text(beginning) else { return Truth::Unknown };
        if !scope.budget.spend(1 + literal.len()) {
            return Truth::Unknown;
        }
        let Some(rest) = text.strip_prefix(literal) else { return Truth::False };
        match after {
            NOTHING => rest.is_empty().into(),
            ANYTHING => Truth::True,
            test => {
                let test = self.tests.get((test - TESTS) as usize);
                // A place that is not there would be a bug here; unknown is the narrow answer.
                test.map_or(Truth::Unknown, |test| test.holds(rest, scope))
            }
        }
    }

    fn text(&self, (from, length): (u32, u32)) -> Option<&str> {
        let from = from as usize;
        self.texts.get(from..from + length as usize)
    }

    fn named(&self, name: Name<'_>) -> &[Group] {
        let Some(mask) = self.slots.len().checked_sub(1) else { return &[] };
        let mut at = name.hash as usize & mask;
        while let Some(slot) = self.slots.get(at)
            && let Some(place) = slot.group.checked_sub(1)
        {
            let groups = self.groups.get(place as usize..).unwrap_or_default();
            if slot.hash == name.hash
                && let Some(first) = groups.first()
                && self.text((first.text, first.name)) == Some(name.text)
            {
                return groups.get(..first.count as usize).unwrap_or_default();
            }
            at = (at + 1) & mask;
        }
        &[]
    }
}

/// The candidates whose literal beginning has the resource's fingerprint.
fn like<'a>(
    mut candidates: &'a [Candidate],
    resource: &'a str,
) -> impl Iterator<Item = &'a Candidate> {
    let runs = std::iter::from_fn(move || {
        let first = candidates.first()?;
        let length = (first.run as usize).clamp(1, candidates.len());
        let (run, after) = candidates.split_at(length);
        candidates = after;
        let Some(wanted) = fingerprint(resource.as_bytes(), first.literal as usize) else {
            return Some((&[][..], 0));
        };
        let skipped = if run.len() > RUN_SCANNED_MAX {
            run.partition_point(|candidate| candidate.fingerprint < wanted)
        } else {
            0
        };
        Some((run.get(skipped..).unwrap_or_default(), wanted))
    });
    runs.flat_map(|(run, wanted)| {
        let upto = run.iter().take_while(move |candidate| candidate.fingerprint <= wanted);
        upto.filter(move |candidate| candidate.fingerprint == wanted)
    })
}

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Of the last sixteen of the first `length` bytes, if there are so many; of fewer than eight it
/// says nothing.
fn fingerprint(text: &[u8], length: usize) -> Option<u32> {
    let text = text.get(..length)?;
    let Some((before, last)) = text.split_last_chunk::<8>() else { return Some(0) };
    let before = before.split_last_chunk::<8>().map_or(0, |(_, chunk)| u64::from_le_bytes(*chunk));
    let mixed = (u64::from_le_bytes(*last) ^ before.rotate_left(29)).wrapping_mul(FACTOR);
    Some((mixed >> 32) as u32)
}

/// Eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// An index in the making.
#[derive(Default)]
pub(crate) struct Builder {
    /// By name and pattern.
    groups: BTreeMap<(String, String), Draft>,
    tests: Vec<Test>,
    texts: String,
}

/// A group in the making.
struct Draft {
    literal: Box<str>,
    after: u32,
    denies: Vec<Candidate>,
    allows: Vec<Candidate>,
}

impl Builder {
    pub(crate) fn add(&mut self, statement: &Statement, place: Place) {
        let conditions = (!statement.conditions.is_empty()).then_some(place);
        let candidates: Vec<Candidate> = self
            .resources(&statement.resources)
            .into_iter()
            .map(|candidate| Candidate { conditions, ..candidate })
            .collect();
        match &statement.actions {
            Actions::Any(patterns) => {
                for pattern in patterns {
                    let (literal, tail) = Matcher::new(pattern).into_parts();
                    let name = match &tail {
                        Tail::Nothing => &*literal,
                        Tail::Anything | Tail::Stars(_) | Tail::Pattern(_) => {
                            literal.split_once(':').map_or("", |(service, _)| service)
                        }
                    };
                    let key = (name.to_owned(), pattern.skeleton());
                    self.add_to(key, statement.effect, &candidates, |builder| {
                        (literal, builder.after(tail))
                    });
                }
            }
            Actions::AllBut(patterns) => {
                // No pattern of an action has this character.
                let key = (String::new(), format!("!{}", self.tests.len()));
                let test = Test::AllBut(matchers(patterns));
                self.add_to(key, statement.effect, &candidates, |builder| {
                    (Box::default(), builder.test(test))
                });
            }
        }
    }

    fn add_to(
        &mut self,
        key: (String, String),
        effect: Effect,
        candidates: &[Candidate],
        pattern: impl FnOnce(&mut Self) -> (Box<str>, u32),
    ) {
        if !self.groups.contains_key(&key) {
            let (literal, after) = pattern(self);
            let draft = Draft { literal, after, denies: Vec::new(), allows: Vec::new() };
            self.groups.insert(key.clone(), draft);
        }
        if let Some(draft) = self.groups.get_mut(&key) {
            match effect {
                Effect::Deny => draft.denies.extend(candidates),
                Effect::Allow => draft.allows.extend(candidates),
            }
        }
    }

    /// A candidate for each of a few patterns, or one for all.
    fn resources(&mut self, resources: &Resources) -> Vec<Candidate> {
        match resources {
            Resources::All => vec![self.candidate("", ANYTHING)],
            Resources::Any(patterns) if patterns.len() <= RESOURCES_SPLIT_MAX => {
                let each = |pattern: &Pattern| {
                    let (literal, tail) = Matcher::new(pattern).into_parts();
                    let after = self.after(tail);
                    self.candidate(&literal, after)
                };
                patterns.iter().map(each).collect()
            }
            Resources::Any(patterns) => {
                let after = self.test(Test::Any(matchers(patterns)));
                vec![self.candidate("", after)]
            }
            Resources::AllBut(patterns) => {
                let after = self.test(Test::AllBut(matchers(patterns)));
                vec![self.candidate("", after)]
            }
        }
    }

    fn candidate(&mut self, literal: &str, after: u32) -> Candidate {
        let fingerprint = fingerprint(literal.as_bytes(), literal.len()).unwrap_or_default();
        let text = push_text(&mut self.texts, literal);
        let literal = number(literal.len());
        Candidate { fingerprint, text, literal, after, run: 0, conditions: None }
    }

    fn after(&mut self, tail: Tail) -> u32 {
        match tail {
            Tail::Nothing => NOTHING,
            Tail::Anything => ANYTHING,
            Tail::Stars(_) | Tail::Pattern(_) => self.test(Test::Goes(tail)),
        }
    }

    fn test(&mut self, test: Test) -> u32 {
        self.tests.push(test);
        number(self.tests.len() - 1) + TESTS
    }

    pub(crate) fn build(self) -> Index {
        let Self { groups: drafts, tests, mut texts } = self;
        let (mut groups, mut candidates) = (Vec::<Group>::new(), Vec::new());
        let (mut nameless, mut firsts) = (0, Vec::<(String, usize)>::new());
        for ((name, _), Draft { literal, after, denies, allows }) in drafts {
            let at = groups.len();
            match firsts.last() {
                _ if name.is_empty() => nameless += 1,
                Some((last, first)) if *last == name => {
                    if let Some(first) = groups.get_mut(*first) {
                        first.count += 1;
                    }
                }
                Some(_) | None => firsts.push((name.clone(), at)),
            }
            groups.push(Group {
                text: push_text(&mut texts, &literal),
                name: number(name.len()),
                literal: number(literal.len()),
                after,
                count: 1,
                denies: append(&mut candidates, denies),
                allows: append(&mut candidates, allows),
            });
        }
        Index {
            slots: slots(&firsts),
            groups: groups.into(),
            nameless,
            candidates: candidates.into(),
            tests: tests.into(),
            texts: texts.into(),
        }
    }
}

fn slots(firsts: &[(String, usize)]) -> Box<[Slot]> {
    let size = if firsts.is_empty() { 0 } else { (firsts.len() * 2).next_power_of_two() };
    let mut slots = vec![Slot::default(); size];
    for (name, group) in firsts {
        let hash = Name::new(name).hash;
        let mut at = hash as usize & (size - 1);
        while slots.get(at).is_some_and(|slot| slot.group != 0) {
            at = (at + 1) & (size - 1);
        }
        if let Some(free) = slots.get_mut(at) {
            *free = Slot { hash, group: number(*group) + 1 };
        }
    }
    slots.into()
}

/// Appends a group's candidates in order, the longest beginnings first: they rule out the most.
fn append(all: &mut Vec<Candidate>, mut group: Vec<Candidate>) -> Range<u32> {
    let start = number(all.len());
    group.sort_by_key(|c| (std::cmp::Reverse(c.literal), c.fingerprint));
    for run in group.chunk_by_mut(|one, other| one.literal == other.literal) {
        let length = number(run.len());
        if let Some(first) = run.first_mut() {
            first.run = length;
        }
    }
    all.append(&mut group);
    start..number(all.len())
}

fn matchers(patterns: &[Pattern]) -> Box<[Matcher]> {
    patterns.iter().map(Matcher::new).collect()
}

fn push_text(texts: &mut String, text: &str) -> u32 {
    texts.push_str(text);
    number(texts.len() - text.len())
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("documents are bounded, and so many do not fit in memory")
}
