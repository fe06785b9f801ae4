//! Patterns prepared for many matches: the literal beginning is compared as bytes, and only what
//! follows it is walked; runs between `*` are searched for as bytes too.
//!
//! **Invariants.** A matcher gives what its [`Pattern`] gives on a text in the pattern's case, and
//! allocates only if the pattern has variables.
//!
//! **Must not know:** statements, buckets.

use crate::{
    budget::{Budget, Scope},
    pattern::{Pattern, Rest},
    truth::Truth,
};

/// A prepared pattern.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    literal: Box<str>,
    tail: Tail,
}

impl Matcher {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let (literal, rest) = pattern.split_literal();
        let tail = match rest {
            Rest::Nothing => Tail::Nothing,
            Rest::Anything => Tail::Anything,
            Rest::Pattern(pattern) => match pattern.stars() {
                Some(text) => Tail::Stars(text.into()),
                None => Tail::Pattern(pattern),
            },
        };
        Self { literal: literal.into(), tail }
    }

    /// What every text that matches begins with, and how it goes on.
    pub(crate) fn into_parts(self) -> (Box<str>, Tail) {
        (self.literal, self.tail)
    }

    /// As [`Pattern::leaves_open`].
    pub(crate) fn leaves_open(&self, text: &str, scope: Scope<'_>) -> bool {
        match &self.tail {
            Tail::Nothing | Tail::Anything | Tail::Stars(_) => false,
            Tail::Pattern(pattern) => {
                text.starts_with(&*self.literal) && pattern.is_unresolved(scope)
            }
        }
    }

    /// Whether `text` matches, folded by the caller if the pattern ignores case.
    pub(crate) fn matches(&self, text: &str, scope: Scope<'_>) -> Truth {
        if !scope.budget.spend(1 + self.literal.len()) {
            return Truth::Unknown;
        }
        let after = text.strip_prefix(&*self.literal);
        after.map_or(Truth::False, |after| self.tail.matches(after, scope))
    }
}

/// How a text goes on after a pattern's literal beginning.
#[derive(Clone, Debug)]
pub(crate) enum Tail {
    /// The text must end here.
    Nothing,
    /// `*`
    Anything,
    /// Literals with `*` before, between and perhaps after them.
    Stars(Box<str>),
    Pattern(Pattern),
}

impl Tail {
    pub(crate) fn matches(&self, text: &str, scope: Scope<'_>) -> Truth {
        match self {
            Self::Nothing => text.is_empty().into(),
            Self::Anything => Truth::True,
            Self::Stars(pattern) => stars(pattern.as_bytes(), text.as_bytes(), scope.budget),
            Self::Pattern(pattern) => pattern.matches_folded(text, scope),
        }
    }
}

/// Whether `text` has the literals of `pattern` in order, the first at its beginning and the last
/// at its end. The first place at which one is found leaves the most for those after it. UTF-8
/// lets characters be found as bytes.
pub(crate) fn stars(pattern: &[u8], text: &[u8], budget: &Budget) -> Truth {
    let mut literals = pattern.split(|byte| *byte == b'*');
    let first = literals.next().unwrap_or_default();
    let last = literals.next_back().unwrap_or_default();
    let inner = text.strip_prefix(first).and_then(|text| text.strip_suffix(last));
    let Some(mut text) = inner else { return Truth::False };
    if !budget.spend(1 + first.len() + last.len()) {
        return Truth::Unknown;
    }
    for literal in literals {
        match after(text, literal, budget) {
            Some(after) => text = after,
            None if budget.is_exhausted() => return Truth::Unknown,
            None => return Truth::False,
        }
    }
    Truth::True
}

/// What follows the first `wanted` in `text`; nothing if it is not there or the budget ends.
fn after<'t>(mut text: &'t [u8], wanted: &[u8], budget: &Budget) -> Option<&'t [u8]> {
    let Some((first, others)) = wanted.split_first() else { return Some(text) };
    loop {
        let Some(at) = text.iter().position(|byte| byte == first) else {
            budget.spend(text.len());
            return None;
        };
        text = text.get(at + 1..)?;
        let same = others.iter().zip(text).take_while(|(one, other)| one == other).count();
        if !budget.spend(at + 1 + same) {
            return None;
        }
        if same == others.len() {
            return text.get(same..);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DECISION_STEPS_MAX, pattern::Reading};

    /// Every text of up to `length` characters of `alphabet`.
    fn words(alphabet: &[char], length: usize) -> Vec<String> {
        let mut last = vec![String::new()];
        let mut words = last.clone();
        for _ in 0..length {
            let longer = |word: &String| alphabet.iter().map(|c| format!("{word}{c}")).collect();
            last = last.iter().flat_map::<Vec<String>, _>(longer).collect();
            words.extend(last.clone());
        }
        words
    }

    #[test]
    fn a_matcher_gives_what_its_pattern_gives() {
        let context = Context::new();
        let reading = Reading { wildcards: true, variables: true, fold: false };
        let texts = words(&['a', 'b'], 6);
        for text in words(&['a', 'b', '*', '?'], 5) {
            let pattern = Pattern::parse(&text, reading).unwrap();
            let matcher = Matcher::new(&pattern);
            for text in &texts {
                let budget = Budget::new(DECISION_STEPS_MAX);
                let scope = Scope { context: &context, budget: &budget };
                let (expected, found) =
                    (pattern.matches(text, scope), matcher.matches(text, scope));
                assert_eq!(found, expected, "{pattern:?} {text}");
            }
        }
    }

    #[test]
    fn a_literal_is_searched_for_within_the_budget() {
        let (pattern, text) = (format!("*{}b*", "a".repeat(100)), "a".repeat(1_000));
        let search = |steps| {
            let budget = Budget::new(steps);
            (stars(pattern.as_bytes(), text.as_bytes(), &budget), budget.left())
        };
        let (found, left) = search(DECISION_STEPS_MAX);
        assert_eq!(found, Truth::False);
        let taken = DECISION_STEPS_MAX - left;
        assert!(taken > 90_000, "{taken} steps");
        assert_eq!((search(taken), search(taken - 1).0), ((Truth::False, 0), Truth::Unknown));
    }
}
