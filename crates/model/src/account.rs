//! Account ids: twelve decimal digits.

use std::{fmt, str::FromStr};

use crate::Constraint;

/// An AWS account id: exactly twelve decimal digits, leading zeros kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    /// One past the greatest account id.
    const END: u64 = 1_000_000_000_000;

    /// The account with this number, if it has at most twelve digits.
    pub fn from_number(number: u64) -> Option<Self> {
        (number < Self::END).then_some(Self(number))
    }

    /// The id as a number, as keys and messages carry it.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl FromStr for AccountId {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number.map(Self).ok_or(Constraint::Pattern(r"^\d{12}$"))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
