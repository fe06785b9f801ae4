//! A document prepared once for all principals that it applies to (DESIGN §7): its statements taken
//! apart into one entry for each of their action patterns and one candidate for each of their
//! resource patterns, with the texts, patterns and conditions that these refer to.
//!
//! **Invariants.** `and` and `or` of [`Truth`] distribute, so that a statement may be taken apart.
//! A mark only rules out: a beginning and a pattern are compared in full before anything counts.
//!
//! **Must not know:** layers, other documents, who is asking.

use std::ops::Range;

use crate::{
    Effect,
    budget::Scope,
    condition::Prepared,
    matcher::{Matcher, Tail, stars},
    name::{FACTOR, hash},
    pattern::Pattern,
    statement::{Actions, Resources, Statement},
    truth::Truth,
};

/// Up to so many resource patterns a statement is taken apart by resource.
const RESOURCES_SPLIT_MAX: usize = 4;
/// How many colons an ARN has before its sixth part.
const COLONS: usize = 5;

/// The text must end here.
const NOTHING: u32 = 0;
/// The text may go on as it likes.
const ANYTHING: u32 = 1;
/// The first number of a test.
const TESTS: u32 = 2;
/// No conditions.
const NONE: u32 = u32::MAX;
/// Set in the head of a mark that is bytes to search for, not a fingerprint.
pub(crate) const SEARCHED: u32 = 1 << 31;

/// A document's statements, prepared.
#[derive(Debug)]
pub(crate) struct Block {
    entries: Box<[Entry]>,
    candidates: Box<[Marked]>,
    conditions: Box<[Box<[Prepared]>]>,
    tests: Box<[Test]>,
    /// Action patterns, and the literal beginnings of resources.
    texts: Box<str>,
}

/// One statement by one of its action patterns.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The statement's place in the document.
    pub(crate) statement: u32,
    pub(crate) effect: Effect,
    /// The number of the whole action, or of the service if the pattern has wildcards; nothing if
    /// it may be of any service.
    pub(crate) name: Option<u32>,
    pub(crate) start: Start,
    pub(crate) action: Beginning,
    /// The whole pattern's length in the texts, from where its beginning stands; zero of an entry
    /// for all actions but some.
    pattern: u32,
    /// The statement's candidates.
    candidates: Range<u32>,
}

/// A literal beginning and what is asked of the text after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    text: u32,
    length: u32,
    after: u32,
}

/// The first four bytes of an action's name, as far as a pattern says them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start {
    bytes: u32,
    mask: u32,
}

impl Start {
    /// What follows the service in a literal; nothing in one without a service.
    fn new(literal: &str) -> Self {
        let name = literal.split_once(':').map_or("", |(_, name)| name);
        let mask = match name.len() {
            0 => 0,
            1 => 0xff,
            2 => 0xffff,
            3 => 0x00ff_ffff,
            _ => u32::MAX,
        };
        Self { bytes: first_bytes(name.as_bytes()), mask }
    }

    /// Whether an action's name that begins with these bytes may match.
    pub(crate) fn may_begin(self, bytes: u32) -> bool {
        (bytes ^ self.bytes) & self.mask == 0
    }
}

/// The first four bytes of a name, filled up with zeros.
pub(crate) fn first_bytes(name: &[u8]) -> u32 {
    match name.first_chunk::<4>() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => name.iter().rev().fold(0, |bytes, byte| bytes << 8 | u32::from(*byte)),
    }
}

/// One or all resource patterns of a statement, with its conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    resource: Beginning,
    /// The place of its conditions, or [`NONE`].
    conditions: u32,
}

/// A candidate with what its mark is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    pub(crate) head: u32,
    pub(crate) mark: u32,
    pub(crate) candidate: Candidate,
}

/// What is asked of an action or resource after its literal beginning.
#[derive(Clone, Debug)]
enum Test {
    Goes(Tail),
    Any(Box<[Matcher]>),
    AllBut(Box<[Matcher]>),
}

impl Test {
    /// `text` is valid UTF-8: the end of a text after a beginning that is.
    fn holds(&self, text: &[u8], scope: Scope<'_>) -> Truth {
        if let Self::Goes(Tail::Stars(pattern)) = self {
            return stars(pattern.as_bytes(), text, scope.budget);
        }
        // What is no text, which would be a bug here, is unknown: the narrow answer.
        let Ok(text) = std::str::from_utf8(text) else { return Truth::Unknown };
        let any =
            |matchers: &[Matcher]| Truth::any(matchers.iter().map(|m| m.matches(text, scope)));
        match self {
            Self::Goes(tail) => tail.matches(text, scope),
            Self::Any(matchers) => any(matchers),
            Self::AllBut(matchers) => {
                let open = || matchers.iter().any(|one| one.leaves_open(text, scope));
                any(matchers).not().unless(open)
            }
        }
    }
}

impl Block {
    pub(crate) fn new(statements: &[Statement]) -> Self {
        let mut draft = Draft::default();
        for (number, statement) in statements.iter().enumerate() {
            draft.add(number, statement);
        }
        let Draft { entries, candidates, conditions, tests, texts } = draft;
        Self {
            entries: entries.into(),
            candidates: candidates.into(),
            conditions: conditions.into(),
            tests: tests.into(),
            texts: texts.into(),
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The pattern that an entry is for; nothing if it is for all actions but some.
    pub(crate) fn pattern(&self, entry: &Entry) -> Option<&str> {
        let text = self.text(entry.action.text, entry.pattern)?;
        (!text.is_empty()).then_some(text)
    }

    pub(crate) fn candidates(&self, entry: &Entry) -> &[Marked] {
        let Range { start, end } = entry.candidates;
        self.candidates.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether a text begins so, and goes on as it must.
    pub(crate) fn holds(&self, beginning: Beginning, text: &[u8], scope: Scope<'_>) -> Truth {
        let Beginning { text: at, length, after } = beginning;
        let Some(literal) = self.text(at, length) else { return Truth::Unknown };
        if !scope.budget.spend(1 + literal.len()) {
            return Truth::Unknown;
        }
        let Some(rest) = text.strip_prefix(literal.as_bytes()) else { return Truth::False };
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

    /// Whether a candidate's resource fits and its conditions hold, at least as truly as asked.
    pub(crate) fn applies(
        &self,
        candidate: &Candidate,
        resource: &[u8],
        least: Truth,
        scope: Scope<'_>,
    ) -> bool {
        self.holds(candidate.resource, resource, scope) >= least
            && self.conditions_hold(candidate, scope) >= least
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

    fn text(&self, from: u32, length: u32) -> Option<&str> {
        let from = from as usize;
        self.texts.get(from..from + length as usize)
    }

    /// The bytes it takes beside what its patterns' variables take.
    pub(crate) fn bytes(&self) -> usize {
        let Self { entries, candidates, conditions, tests, texts } = self;
        let conditions = size_of_val(&**conditions)
            + conditions.iter().map(|each| size_of_val(&**each)).sum::<usize>();
        size_of_val(&**entries)
            + size_of_val(&**candidates)
            + conditions
            + size_of_val(&**tests)
            + texts.len()
    }
}

/// Of the last sixteen of the first `length` bytes, if there are so many; of fewer than eight it
/// says nothing.
pub(crate) fn fingerprint(text: &[u8], length: usize) -> Option<u32> {
    let text = text.get(..length)?;
    let Some((before, last)) = text.split_last_chunk::<8>() else { return Some(0) };
    let before = before.split_last_chunk::<8>().map_or(0, |(_, chunk)| u64::from_le_bytes(*chunk));
    let mixed = (u64::from_le_bytes(*last) ^ before.rotate_left(29)).wrapping_mul(FACTOR);
    Some((mixed >> 32) as u32)
}

/// The last four bytes of the last literal that is so long: every text that matches has them.
fn searched(tail: &Tail) -> Option<u32> {
    let Tail::Stars(pattern) = tail else { return None };
    let mut literals = pattern.as_bytes().rsplit(|byte| *byte == b'*');
    literals.find_map(|literal| literal.last_chunk::<4>()).map(|last| u32::from_le_bytes(*last))
}

/// A block in the making.
#[derive(Default)]
struct Draft {
    entries: Vec<Entry>,
    candidates: Vec<Marked>,
    conditions: Vec<Box<[Prepared]>>,
    tests: Vec<Test>,
    texts: String,
}

impl Draft {
    fn add(&mut self, number: usize, statement: &Statement) {
        let first = self.candidates.len();
        let conditions = if statement.conditions.is_empty() {
            NONE
        } else {
            self.conditions.push(Prepared::all(&statement.conditions));
            count(self.conditions.len() - 1)
        };
        match &statement.resources {
            Resources::All => self.candidate("", ANYTHING, None, conditions),
            Resources::Any(patterns) if patterns.len() <= RESOURCES_SPLIT_MAX => {
                for pattern in patterns {
                    let (literal, tail) = Matcher::new(pattern).into_parts();
                    let searched = searched(&tail);
                    let after = self.after(tail);
                    self.candidate(&literal, after, searched, conditions);
                }
            }
            Resources::Any(patterns) => {
                let after = self.push(Test::Any(matchers(patterns)));
                self.candidate("", after, None, conditions);
            }
            Resources::AllBut(patterns) => {
                let after = self.push(Test::AllBut(matchers(patterns)));
                self.candidate("", after, None, conditions);
            }
        }
        let candidates = count(first)..count(self.candidates.len());
        let (statement, effect, actions) = (count(number), statement.effect, &statement.actions);
        match actions {
            Actions::Any(patterns) => {
                for pattern in patterns {
                    let candidates = candidates.clone();
                    let entry = self.entry(pattern);
                    self.entries.push(Entry { statement, effect, candidates, ..entry });
                }
            }
            Actions::AllBut(patterns) => {
                let after = self.push(Test::AllBut(matchers(patterns)));
                let action = Beginning { text: 0, length: 0, after };
                let (name, start, pattern) = (None, Start::new(""), 0);
                let entry = Entry { statement, effect, name, start, action, pattern, candidates };
                self.entries.push(entry);
            }
        }
    }

    /// The entry of one action pattern, but for its statement.
    fn entry(&mut self, pattern: &Pattern) -> Entry {
        let (literal, tail) = Matcher::new(pattern).into_parts();
        let name = match &tail {
            Tail::Nothing => Some(hash(literal.as_bytes())),
            Tail::Anything | Tail::Stars(_) | Tail::Pattern(_) => {
                literal.split_once(':').map(|(service, _)| hash(service.as_bytes()))
            }
        };
        let whole = pattern.skeleton();
        let text = self.text(&whole);
        let after = self.after(tail);
        Entry {
            statement: 0,
            effect: Effect::Deny,
            name,
            start: Start::new(&literal),
            action: Beginning { text, length: count(literal.len()), after },
            pattern: count(whole.len()),
            candidates: 0..0,
        }
    }

    fn candidate(&mut self, literal: &str, after: u32, searched: Option<u32>, conditions: u32) {
        let resource = Beginning { text: self.text(literal), length: count(literal.len()), after };
        // A beginning with all five says more than what comes after it.
        let general = literal.bytes().filter(|byte| *byte == b':').count() < COLONS;
        let (head, mark) = match searched.filter(|_| general) {
            Some(mark) => (resource.length | SEARCHED, mark),
            None => {
                let mark = fingerprint(literal.as_bytes(), literal.len());
                (resource.length, mark.unwrap_or_default())
            }
        };
        self.candidates.push(Marked { head, mark, candidate: Candidate { resource, conditions } });
    }

    /// The number of what follows a literal beginning.
    fn after(&mut self, tail: Tail) -> u32 {
        match tail {
            Tail::Nothing => NOTHING,
            Tail::Anything => ANYTHING,
            Tail::Stars(_) | Tail::Pattern(_) => self.push(Test::Goes(tail)),
        }
    }

    fn push(&mut self, test: Test) -> u32 {
        self.tests.push(test);
        count(self.tests.len() - 1) + TESTS
    }

    fn text(&mut self, text: &str) -> u32 {
        self.texts.push_str(text);
        count(self.texts.len() - text.len())
    }
}

fn matchers(patterns: &[Pattern]) -> Box<[Matcher]> {
    patterns.iter().map(Matcher::new).collect()
}

pub(crate) fn count(count: usize) -> u32 {
    u32::try_from(count).expect("documents are bounded, and so many do not fit in memory")
}
