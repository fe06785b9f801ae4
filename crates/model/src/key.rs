//! Keys of the replicated map: `(AccountId, UniqueId, Field)`.

use std::fmt;

use thiserror::Error;

use crate::{AccountId, UniqueId};

/// A field of an entity: a number that `identity` gives a meaning, and for fields of which an
/// entity has many (tags, edges, inline policies) which one. Unknown numbers are kept and
/// replicated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// What it is. Numbers are for ever; see `identity::field`.
    pub tag: u16,
    /// Which one: a folded name or a unique id, empty for single fields.
    pub qualifier: Box<str>,
}

/// A key of the replicated map. Its encoded form sorts as the struct does, so all fields of an
/// entity, and all entities of a kind within an account, are neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The account.
    pub account: AccountId,
    /// The entity.
    pub id: UniqueId,
    /// The field.
    pub field: Field,
}

/// Bytes that are not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Shorter than the fixed part.
    #[error("a key of {0} bytes is shorter than its fixed part")]
    Short(usize),
    /// The account number has more than twelve digits.
    #[error("a key with an impossible account number")]
    Account,
    /// The unique id is not one.
    #[error("a key with a malformed unique id")]
    UniqueId,
    /// The qualifier is not UTF-8.
    #[error("a key whose qualifier is not text")]
    Qualifier,
}

impl Key {
    const ID_AT: usize = 8;
    const TAG_AT: usize = Self::ID_AT + UniqueId::LENGTH_MAX;
    const QUALIFIER_AT: usize = Self::TAG_AT + 2;

    /// The key of one field.
    pub fn new(account: AccountId, id: UniqueId, tag: u16, qualifier: &str) -> Self {
        Self { account, id, field: Field { tag, qualifier: qualifier.into() } }
    }

    /// The encoded form: account (8 bytes, big endian), unique id (21, zero padded), tag (2, big
    /// endian), qualifier.
    pub fn to_bytes(&self) -> Box<[u8]> {
        let mut bytes = Self::entity_prefix(self.account, self.id);
        bytes.extend(self.field.tag.to_be_bytes());
        bytes.extend(self.field.qualifier.as_bytes());
        bytes.into()
    }

    /// What all keys of an entity begin with.
    pub fn entity_prefix(account: AccountId, id: UniqueId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::QUALIFIER_AT + 24);
        bytes.extend(Self::account_prefix(account));
        bytes.extend(id.to_bytes());
        bytes
    }

    /// What the encoded form of a key tells of its entity, if it is long enough to be one.
    pub fn entity_part(bytes: &[u8]) -> Option<&[u8]> {
        bytes.get(..Self::TAG_AT)
    }

    /// What all keys of an account begin with.
    pub fn account_prefix(account: AccountId) -> [u8; Self::ID_AT] {
        account.number().to_be_bytes()
    }

    /// What all keys of an entity's fields with this tag begin with.
    pub fn field_prefix(account: AccountId, id: UniqueId, tag: u16) -> Vec<u8> {
        let mut bytes = Self::entity_prefix(account, id);
        bytes.extend(tag.to_be_bytes());
        bytes
    }

    /// Parses the encoded form.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let short = KeyError::Short(bytes.len());
        let (account, rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
        let (id, rest) = rest.split_first_chunk::<{ UniqueId::LENGTH_MAX }>().ok_or(short)?;
        let (tag, qualifier) = rest.split_first_chunk::<2>().ok_or(short)?;
        let account =
            AccountId::from_number(u64::from_be_bytes(*account)).ok_or(KeyError::Account)?;
        let end = id.iter().position(|b| *b == 0).unwrap_or(id.len());
        let (text, padding) = id.split_at(end);
        let text = std::str::from_utf8(text).map_err(|_| KeyError::UniqueId)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(KeyError::UniqueId);
        }
        let id = text.parse().map_err(|_| KeyError::UniqueId)?;
        let qualifier = std::str::from_utf8(qualifier).map_err(|_| KeyError::Qualifier)?;
        Ok(Self::new(account, id, u16::from_be_bytes(*tag), qualifier))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field { tag, qualifier } = &self.field;
        write!(f, "{}/{}/{tag}:{qualifier}", self.account, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entropy, UniqueIdKind};

    #[test]
    fn keys_parse_back_and_malformed_ones_are_refused() {
        let account = "000000000042".parse().unwrap();
        for kind in [UniqueIdKind::User, UniqueIdKind::AccessKey] {
            let id = UniqueId::generate(kind, &Entropy::new([1; 32]), "");
            let key = Key::new(account, id, 7, "größe");
            assert_eq!(Key::from_bytes(&key.to_bytes()), Ok(key.clone()));
            assert!(key.to_bytes().starts_with(&Key::field_prefix(account, id, 7)));
            let entity = Key::entity_prefix(account, id);
            assert_eq!(Key::entity_part(&key.to_bytes()), Some(&*entity));
        }
        assert_eq!(Key::from_bytes(&[0; 30]), Err(KeyError::Short(30)));
        assert_eq!(Key::from_bytes(&[0xff; 40]), Err(KeyError::Account));
        assert_eq!(Key::from_bytes(&[0; 40]), Err(KeyError::UniqueId));
    }
}
