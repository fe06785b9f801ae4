//! Unique ids: how entities are known for ever, whatever they are called.
//! AWS: "IAM identifiers", unique ID prefixes.

use std::{fmt, str::FromStr};

use crate::{AccountId, Constraint, Entropy};

/// What kind of thing a unique id names, told by its first four characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UniqueIdKind {
    /// The account's root user.
    Root,
    /// An IAM user, `AIDA`.
    User,
    /// A group, `AGPA`.
    Group,
    /// A role, `AROA`.
    Role,
    /// A managed policy, `ANPA`.
    Policy,
    /// An instance profile, `AIPA`.
    InstanceProfile,
    /// A long-term access key, `AKIA`.
    AccessKey,
    /// A temporary access key, `ASIA`.
    SessionKey,
}

impl UniqueIdKind {
    /// The four characters.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Root => "ROOT",
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
            Self::Policy => "ANPA",
            Self::InstanceProfile => "AIPA",
            Self::AccessKey => "AKIA",
            Self::SessionKey => "ASIA",
        }
    }

    /// Keys have 16 characters after the prefix, everything else 17, as AWS's have.
    fn body_length(self) -> usize {
        match self {
            Self::AccessKey | Self::SessionKey => 16,
            Self::Root
            | Self::User
            | Self::Group
            | Self::Role
            | Self::Policy
            | Self::InstanceProfile => 17,
        }
    }
}

/// A unique id such as `AIDAQ3EGRIM6LD2W5YX7A`: 16 to 21 upper-case letters and digits, never
/// reused. Ids of a kind that this version does not know are kept as they are ([`UniqueId::kind`]
/// is `None`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueId {
    /// ASCII, padded with zeros.
    text: [u8; Self::LENGTH_MAX],
}

impl UniqueId {
    /// The greatest length in characters.
    pub const LENGTH_MAX: usize = 21;
    const LENGTH_MIN: usize = 16;
    /// The characters that ids are drawn from, five bits each.
    pub const BASE32: &'static [u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

    /// A fresh id: 80 or 85 random bits, so that nodes need not talk to avoid a collision.
    /// `label` keeps several ids of one request apart.
    pub fn generate(kind: UniqueIdKind, entropy: &Entropy, label: &str) -> Self {
        let body = entropy.text(label, Self::BASE32, kind.body_length());
        Self::from_parts(kind, &body)
    }

    /// The id of an account's root user. AWS shows the account id in its place.
    pub fn root(account: AccountId) -> Self {
        Self::from_parts(UniqueIdKind::Root, &format!("AAAAA{account}"))
    }

    fn from_parts(kind: UniqueIdKind, body: &str) -> Self {
        let mut text = [0; Self::LENGTH_MAX];
        for (to, from) in text.iter_mut().zip(kind.prefix().bytes().chain(body.bytes())) {
            *to = from;
        }
        Self { text }
    }

    /// The kind, or `None` for one that this version does not know.
    pub fn kind(&self) -> Option<UniqueIdKind> {
        use UniqueIdKind::{
            AccessKey, Group, InstanceProfile, Policy, Role, Root, SessionKey, User,
        };
        [Root, User, Group, Role, Policy, InstanceProfile, AccessKey, SessionKey]
            .into_iter()
            .find(|kind| self.as_str().starts_with(kind.prefix()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let end = self.text.iter().position(|byte| *byte == 0).unwrap_or(Self::LENGTH_MAX);
        let bytes = self.text.get(..end).unwrap_or_default();
        std::str::from_utf8(bytes).expect("only ASCII is ever put in")
    }

    /// The fixed-width form that keys contain.
    pub fn to_bytes(self) -> [u8; Self::LENGTH_MAX] {
        self.text
    }
}

impl FromStr for UniqueId {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        if text.len() < Self::LENGTH_MIN {
            return Err(Constraint::MinLength(Self::LENGTH_MIN));
        }
        if text.len() > Self::LENGTH_MAX {
            return Err(Constraint::MaxLength(Self::LENGTH_MAX));
        }
        if !text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return Err(Constraint::Pattern(r"[\w]+"));
        }
        let mut bytes = [0; Self::LENGTH_MAX];
        for (to, from) in bytes.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        Ok(Self { text: bytes })
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_have_awss_shape_and_parse_back() {
        let entropy = Entropy::new([7; 32]);
        for (kind, length) in [(UniqueIdKind::User, 21), (UniqueIdKind::AccessKey, 20)] {
            let id = UniqueId::generate(kind, &entropy, "x");
            assert_eq!(id.as_str().len(), length);
            assert_eq!(id.kind(), Some(kind));
            assert_eq!(id.as_str().parse(), Ok(id));
            assert_ne!(id, UniqueId::generate(kind, &entropy, "y"));
        }
        let root = UniqueId::root("123456789012".parse().unwrap());
        assert_eq!((root.as_str().len(), root.kind()), (21, Some(UniqueIdKind::Root)));
    }
}
