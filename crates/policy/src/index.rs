//! The statements of a set of policies by what a request says (DESIGN §7). Statements with the same
//! action pattern are a group, found by the whole action if the pattern has no wildcard, else by
//! the service. Within a group lie candidates in order of the length and a fingerprint of their
//! resource's literal beginning, so that a resource is compared with few of them. A pattern that
//! begins with wildcards, as `arn:aws:s3:*:*:x-1*` does, is known by four bytes that it asks for
//! further on. What rules candidates out lies beside each other and apart from them: most of what a
//! decision takes is waiting for memory.
//!
//! **Invariants.** `and` and `or` of [`Truth`] distribute, so that a statement may be taken apart
//! into one candidate for each of its action and resource patterns. A name, a beginning and a
//! pattern are compared in full before anything counts: a mark only rules out.
//!
//! **Must not know:** layers, who is asking.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range, sync::Arc};

use crate::{
    Effect,
    budget::Scope,
    condition::Condition,
    matcher::{Matcher, Tail},
    pattern::Pattern,
    statement::{Actions, Resources, Statement},
    truth::Truth,
};

/// Up to so many resource patterns a statement is taken apart by resource.
const RESOURCES_SPLIT_MAX: usize = 4;
/// Longer runs of candidates are searched by halves.
const RUN_SCANNED_MAX: usize = 8;
/// Longer resources are not searched for a pattern's bytes before it is walked.
const SEARCHED_BYTES_MAX: usize = 256;
/// How many colons an ARN has before its sixth part.
const COLONS: usize = 5;

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

/// The statements of one set.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Open addressing by name. At most half are taken.
    slots: Box<[Slot]>,
    /// Those of one name beside each other; first come those for whatever action.
    groups: Box<[Group]>,
    /// How many groups have no name.
    nameless: usize,
    /// Of each run of a group's candidates: what it is and the length of the beginnings, how many
    /// candidates there are, and their marks in order.
    marks: Box<[u32]>,
    candidates: Box<[Candidate]>,
    conditions: Box<[Arc<[Condition]>]>,
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
    denies: Side,
    allows: Side,
}

/// A group's statements of one effect.
#[derive(Clone, Debug)]
struct Side {
    /// Where the marks of its candidates stand.
    marks: Range<u32>,
    /// The first candidate.
    first: u32,
    count: u32,
}

/// One statement by one of its action patterns, and one or all of its resource patterns.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// Where the resource's literal beginning stands, and its length.
    text: u32,
    literal: u32,
    /// What follows that, as in [`Index::holds`].
    after: u32,
    /// The place of its conditions, or [`NONE`].
    conditions: u32,
}

/// No conditions.
const NONE: u32 = u32::MAX;
/// Set in the head of a run whose marks are bytes to search for, not fingerprints.
const SEARCHED: u32 = 1 << 31;

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
    pub(crate) fn finds(&self, effect: Effect, asked: &Asked<'_>) -> bool {
        let least = match effect {
            Effect::Deny => Truth::Unknown,
            Effect::Allow => Truth::True,
        };
        let scope = asked.scope;
        let counts = |group: &Group| {
            let side = match effect {
                Effect::Deny => &group.denies,
                Effect::Allow => &group.allows,
            };
            if side.count == 0 {
                return false;
            }
            // What is not looked at for want of steps allows nothing, and may deny.
            if !scope.budget.spend(side.count as usize) {
                return effect == Effect::Deny;
            }
            let beginning = (group.text, group.literal);
            self.holds(beginning, group.after, asked.action.text, scope) >= least
                && self.any_like(side, asked.resource, |candidate| {
                    let beginning = (candidate.text, candidate.literal);
                    let resource = self.holds(beginning, candidate.after, asked.resource, scope);
                    resource >= least && self.conditions_hold(candidate, scope) >= least
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

    fn conditions_hold(&self, candidate: &Candidate, scope: Scope<'_>) -> Truth {
        if candidate.conditions == NONE {
            return Truth::True;
        }
        // A place that is not there would be a bug here; unknown is the narrow answer.
        self.conditions.get(candidate.conditions as usize).map_or(Truth::Unknown, |conditions| {
            Truth::all(conditions.iter().map(|condition| condition.holds(scope)))
        })
    }

    /// Whether `counts` says so of a candidate that its mark does not rule out.
    fn any_like(&self, side: &Side, resource: &str, counts: impl Fn(&Candidate) -> bool) -> bool {
        let resource = resource.as_bytes();
        let Range { start, end } = side.marks;
        let mut marks = self.marks.get(start as usize..end as usize).unwrap_or_default();
        let mut next = side.first as usize;
        let counts = |at: usize| self.candidates.get(at).is_some_and(&counts);
        while let Some(([head, count], after)) = marks.split_first_chunk::<2>() {
            let (first, count) = (next, (*count as usize).min(after.len()));
            let (run, after) = after.split_at(count);
            (marks, next) = (after, first + count);
            let length = (head & !SEARCHED) as usize;
            if head & SEARCHED != 0 {
                let text = resource.get(length..).unwrap_or_default();
                if (first..).zip(run).any(|(at, mark)| may_have(text, *mark) && counts(at)) {
                    return true;
                }
                continue;
            }
            let Some(wanted) = fingerprint(resource, length) else { continue };
            let long = run.len() > RUN_SCANNED_MAX;
            let from = if long { run.partition_point(|mark| *mark < wanted) } else { 0 };
            let upto = (first..).zip(run).skip(from).take_while(|(_, mark)| **mark <= wanted);
            if upto.into_iter().any(|(at, mark)| *mark == wanted && counts(at)) {
                return true;
            }
        }
        false
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

/// Whether a text may have these four bytes.
fn may_have(text: &[u8], wanted: u32) -> bool {
    if text.len() > SEARCHED_BYTES_MAX {
        return true;
    }
    let words = text.windows(4).map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes));
    // Without an early end this takes many places at once.
    words.fold(false, |found, word| found | (word == wanted))
}

/// The last four bytes of the last literal that is so long: every text that matches has them.
fn searched(tail: &Tail) -> Option<u32> {
    let Tail::Stars(pattern) = tail else { return None };
    let mut literals = pattern.as_bytes().rsplit(|byte| *byte == b'*');
    literals.find_map(|literal| literal.last_chunk::<4>()).map(|last| u32::from_le_bytes(*last))
}

/// Eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// An index in the making.
#[derive(Default)]
pub(crate) struct Builder {
    /// By name, and for patterns with wildcards by pattern.
    groups: BTreeMap<(String, String), Draft>,
    conditions: Vec<Arc<[Condition]>>,
    tests: Vec<Test>,
    texts: String,
}

/// A group in the making.
struct Draft {
    literal: Box<str>,
    after: u32,
    denies: Vec<Marked>,
    allows: Vec<Marked>,
}

/// A candidate with what its mark is.
#[derive(Clone, Copy)]
struct Marked {
    head: u32,
    mark: u32,
    candidate: Candidate,
}

impl Builder {
    pub(crate) fn add(&mut self, statement: &Statement) {
        let mut candidates = self.resources(&statement.resources);
        if !statement.conditions.is_empty() {
            let conditions = number(self.conditions.len());
            self.conditions.push(Arc::clone(&statement.conditions));
            candidates.iter_mut().for_each(|marked| marked.candidate.conditions = conditions);
        }
        match &statement.actions {
            Actions::Any(patterns) => {
                for pattern in patterns {
                    let (literal, tail) = Matcher::new(pattern).into_parts();
                    let key = match &tail {
                        Tail::Nothing => (literal.to_string(), String::new()),
                        Tail::Anything | Tail::Stars(_) | Tail::Pattern(_) => {
                            let service =
                                literal.split_once(':').map_or("", |(service, _)| service);
                            (service.to_owned(), pattern.skeleton())
                        }
                    };
                    let tests = &mut self.tests;
                    let draft = self
                        .groups
                        .entry(key)
                        .or_insert_with(|| Draft::new(literal, after(tests, tail)));
                    draft.add(statement.effect, &candidates);
                }
            }
            Actions::AllBut(patterns) => {
                // No pattern of an action has this character.
                let key = (String::new(), format!("!{}", self.tests.len()));
                let test = push(&mut self.tests, Test::AllBut(matchers(patterns)));
                let draft = self.groups.entry(key).or_insert(Draft::new(Box::default(), test));
                draft.add(statement.effect, &candidates);
            }
        }
    }

    /// A candidate for each of a few patterns, or one for all.
    fn resources(&mut self, resources: &Resources) -> Vec<Marked> {
        match resources {
            Resources::All => vec![self.candidate("", ANYTHING, None)],
            Resources::Any(patterns) if patterns.len() <= RESOURCES_SPLIT_MAX => {
                let each = |pattern: &Pattern| {
                    let (literal, tail) = Matcher::new(pattern).into_parts();
                    let searched = searched(&tail);
                    let after = after(&mut self.tests, tail);
                    self.candidate(&literal, after, searched)
                };
                patterns.iter().map(each).collect()
            }
            Resources::Any(patterns) => {
                let after = push(&mut self.tests, Test::Any(matchers(patterns)));
                vec![self.candidate("", after, None)]
            }
            Resources::AllBut(patterns) => {
                let after = push(&mut self.tests, Test::AllBut(matchers(patterns)));
                vec![self.candidate("", after, None)]
            }
        }
    }

    fn candidate(&mut self, literal: &str, after: u32, searched: Option<u32>) -> Marked {
        let text = push_text(&mut self.texts, literal);
        let length = number(literal.len());
        // A beginning with all five says more than what comes after it.
        let general = literal.bytes().filter(|byte| *byte == b':').count() < COLONS;
        let (head, mark) = match searched.filter(|_| general) {
            Some(mark) => (length | SEARCHED, mark),
            None => (length, fingerprint(literal.as_bytes(), literal.len()).unwrap_or_default()),
        };
        let candidate = Candidate { text, literal: length, after, conditions: NONE };
        Marked { head, mark, candidate }
    }

    pub(crate) fn build(self) -> Index {
        let Self { groups: drafts, conditions, tests, mut texts } = self;
        let (mut groups, mut marks, mut candidates) = (Vec::<Group>::new(), Vec::new(), Vec::new());
        let (mut nameless, mut firsts) = (0, Vec::<(String, usize)>::new());
        for ((name, _), Draft { literal, after, denies, allows }) in drafts {
            let at = groups.len();
            let text = push_text(&mut texts, &literal);
            let name_length = number(name.len());
            match firsts.last() {
                _ if name.is_empty() => nameless += 1,
                Some((last, first)) if *last == name => {
                    if let Some(first) = groups.get_mut(*first) {
                        first.count += 1;
                    }
                }
                Some(_) | None => firsts.push((name, at)),
            }
            groups.push(Group {
                text,
                name: name_length,
                literal: number(literal.len()),
                after,
                count: 1,
                denies: append(&mut marks, &mut candidates, denies),
                allows: append(&mut marks, &mut candidates, allows),
            });
        }
        Index {
            slots: slots(&firsts),
            groups: groups.into(),
            nameless,
            marks: marks.into(),
            candidates: candidates.into(),
            conditions: conditions.into(),
            tests: tests.into(),
            texts: texts.into(),
        }
    }
}

impl Draft {
    fn new(literal: Box<str>, after: u32) -> Self {
        Self { literal, after, denies: Vec::new(), allows: Vec::new() }
    }

    fn add(&mut self, effect: Effect, candidates: &[Marked]) {
        match effect {
            Effect::Deny => self.denies.extend(candidates),
            Effect::Allow => self.allows.extend(candidates),
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

/// Appends a group's candidates in order: the longest beginnings first, which rule out the most,
/// and last what has to be searched for.
fn append(marks: &mut Vec<u32>, candidates: &mut Vec<Candidate>, mut group: Vec<Marked>) -> Side {
    let (start, first) = (number(marks.len()), number(candidates.len()));
    group.sort_by_key(|one| (one.head & SEARCHED, Reverse(one.head), one.mark));
    for run in group.chunk_by(|one, other| one.head == other.head) {
        marks.extend(run.first().map(|one| one.head));
        marks.push(number(run.len()));
        marks.extend(run.iter().map(|one| one.mark));
        candidates.extend(run.iter().map(|one| one.candidate));
    }
    Side { marks: start..number(marks.len()), first, count: number(group.len()) }
}

/// The number of what follows a literal beginning.
fn after(tests: &mut Vec<Test>, tail: Tail) -> u32 {
    match tail {
        Tail::Nothing => NOTHING,
        Tail::Anything => ANYTHING,
        Tail::Stars(_) | Tail::Pattern(_) => push(tests, Test::Goes(tail)),
    }
}

fn push(tests: &mut Vec<Test>, test: Test) -> u32 {
    tests.push(test);
    number(tests.len() - 1) + TESTS
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
