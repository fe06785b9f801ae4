//! Kleene's three truth values, with which contested facts are carried through a condition.
//!
//! **Invariants.** `and`, `or` and `not` are monotone in knowledge: making an unknown input known
//! never turns a known result into the other one.
//!
//! **Must not know:** what is contested, or why.

/// False, unknown or true, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    False,
    Unknown,
    True,
}

impl Truth {
    /// Unknown in place of what is true, if something makes that doubtful.
    pub(crate) fn unless(self, doubtful: impl FnOnce() -> bool) -> Self {
        if self == Self::True && doubtful() { Self::Unknown } else { self }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        self.min(other)
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }

    /// True of all, and of none.
    pub(crate) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().min().unwrap_or(Self::True)
    }

    /// True of any.
    pub(crate) fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().max().unwrap_or(Self::False)
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}
