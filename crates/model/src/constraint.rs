//! What a value must satisfy, as AWS words it.

use std::fmt;

/// A constraint of AWS's service model that a value failed to satisfy. Its `Display` is the tail of
/// AWS's `ValidationError` message: "Member must …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// At least this many characters.
    MinLength(usize),
    /// At most this many characters.
    MaxLength(usize),
    /// At least this number.
    MinValue(i64),
    /// At most this number.
    MaxValue(i64),
    /// This regular expression.
    Pattern(&'static str),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Present at all.
    NotNull,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinLength(n) => {
                write!(f, "Member must have length greater than or equal to {n}")
            }
            Self::MaxLength(n) => write!(f, "Member must have length less than or equal to {n}"),
            Self::MinValue(n) => write!(f, "Member must have value greater than or equal to {n}"),
            Self::MaxValue(n) => write!(f, "Member must have value less than or equal to {n}"),
            Self::Pattern(p) => write!(f, "Member must satisfy regular expression pattern: {p}"),
            Self::Enum(words) => {
                write!(f, "Member must satisfy enum value set: [{}]", words.join(", "))
            }
            Self::NotNull => write!(f, "Member must not be null"),
        }
    }
}
