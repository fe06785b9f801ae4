//! Patterns prepared for many matches: the literal beginning is compared as bytes, and only what
//! follows it is walked.
//!
//! **Invariants.** A matcher gives what its [`Pattern`] gives on a text in the pattern's case, and
//! allocates only if the pattern has variables.
//!
//! **Must not know:** statements, buckets.

use crate::{
    budget::Scope,
    pattern::{Pattern, Rest},
    truth::Truth,
};

/// A prepared pattern.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    literal: Box<str>,
    rest: Rest,
}

impl Matcher {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let (literal, rest) = pattern.split_literal();
        Self { literal: literal.into(), rest }
    }

    /// What every text that matches begins with.
    pub(crate) fn literal(&self) -> &str {
        &self.literal
    }

    /// The only text that matches, if there is one.
    pub(crate) fn exact(&self) -> Option<&str> {
        match &self.rest {
            Rest::Nothing => Some(&self.literal),
            Rest::Anything | Rest::Pattern(_) => None,
        }
    }

    /// Whether `text` matches, folded by the caller if the pattern ignores case.
    pub(crate) fn matches(&self, text: &str, scope: Scope<'_>) -> Truth {
        if !scope.budget.spend(1 + self.literal.len()) {
            return Truth::Unknown;
        }
        let Some(after) = text.strip_prefix(&*self.literal) else { return Truth::False };
        match &self.rest {
            Rest::Nothing => after.is_empty().into(),
            Rest::Anything => Truth::True,
            Rest::Pattern(pattern) => pattern.matches_folded(after, scope),
        }
    }
}
