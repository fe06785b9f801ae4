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
    /// A server certificate, `ASCA`.
    ServerCertificate,
    /// An OpenID Connect provider, `AOPA`. AWS has no ids of providers.
    OidcProvider,
    /// A SAML provider, `ASPA`.
    SamlProvider,
    /// A virtual MFA device, `AMFA`. AWS has no such ids, and Writ shows them in conflicts only.
    MfaDevice,
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
            Self::ServerCertificate => "ASCA",
            Self::OidcProvider => "AOPA",
            Self::SamlProvider => "ASPA",
            Self::MfaDevice => "AMFA",
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
            | Self::InstanceProfile
            | Self::ServerCertificate
            | Self::OidcProvider
            | Self::SamlProvider
            | Self::MfaDevice => 17,
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

    /// A fresh id of a temporary access key. It tells its account, as AWS's do, so that whose it is
    /// can be said without a record of it: of the 80 bits after the prefix the first 48 hold a
    /// random bit, the account's number in 40 bits, and seven random ones.
    pub fn session_key(account: AccountId, entropy: &Entropy, label: &str) -> Self {
        let mut random = [0; 5];
        entropy.fill(label, &mut random);
        let random = random.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let (first, last) = (random >> 39, random & ((1 << 39) - 1));
        let bits = (first << 79) | (u128::from(account.number()) << 39) | last;
        let digit = |at: u32| Self::BASE32.get((bits >> (75 - 5 * at)) as usize % 32);
        let body: String = (0..16).filter_map(digit).copied().map(char::from).collect();
        Self::from_parts(UniqueIdKind::SessionKey, &body)
    }

    /// The account that the id of a temporary access key tells.
    pub fn session_account(&self) -> Option<AccountId> {
        if self.kind() != Some(UniqueIdKind::SessionKey) {
            return None;
        }
        let body = self.as_str().strip_prefix(UniqueIdKind::SessionKey.prefix())?;
        if body.len() != 16 {
            return None;
        }
        let bits = body.bytes().try_fold(0_u128, |bits, byte| {
            let digit = Self::BASE32.iter().position(|digit| *digit == byte)?;
            Some((bits << 5) | u128::try_from(digit).ok()?)
        })?;
        AccountId::from_number(u64::try_from((bits >> 39) & ((1 << 40) - 1)).ok()?)
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
            AccessKey, Group, InstanceProfile, MfaDevice, OidcProvider, Policy, Role, Root,
            SamlProvider, ServerCertificate, SessionKey, User,
        };
        let entities = [Root, User, Group, Role, Policy, InstanceProfile, ServerCertificate];
        let others = [OidcProvider, SamlProvider, MfaDevice, AccessKey, SessionKey];
        let mut kinds = entities.into_iter().chain(others);
        kinds.find(|kind| self.as_str().starts_with(kind.prefix()))
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
    fn a_temporary_key_tells_its_account_as_awss_do() {
        for number in [0, 1, 123_456_789_012, 999_999_999_999] {
            let account = AccountId::from_number(number).unwrap();
            for seed in [0, 7, 255] {
                let entropy = Entropy::new([seed; 32]);
                let id = UniqueId::session_key(account, &entropy, "x");
                assert_eq!(id.kind(), Some(UniqueIdKind::SessionKey));
                assert_eq!(id.as_str().parse(), Ok(id));
                assert_eq!(id.session_account(), Some(account), "{id}");
                assert_ne!(id, UniqueId::session_key(account, &entropy, "y"));
            }
        }
        // The example of AWS's pages.
        let example: UniqueId = "ASIAIOSFODNN7EXAMPLE".parse().unwrap();
        assert_eq!(example.session_account(), AccountId::from_number(581_039_954_779));
        for none in ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN1EXAMPLE", "ASIAIOSFODNN7EXAMP"] {
            assert_eq!(none.parse::<UniqueId>().unwrap().session_account(), None, "{none}");
        }
    }

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
