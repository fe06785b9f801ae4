//! Passwords and their hashes.
//!
//! **Invariants.** A password is kept only as an argon2id hash (RFC 9106), sealed. The salt is the
//! owner's unique id, which is random and never reused: one hash then tells whether any of the
//! owner's former passwords comes again. A hash is the same wherever it is computed.
//!
//! **Must not know:** what a password must be like, who may set one.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use model::{AccountId, Entropy, Secret, UniqueId};
use wire::v1;

use crate::KeyRing;

/// Memory, in KiB, and passes. OWASP, "Password Storage Cheat Sheet": 19 MiB, 2 passes, 1 lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const HASH_BYTES: usize = 32;

/// The hash of a password.
pub(crate) type Hash = Secret<[u8; HASH_BYTES]>;

/// A password that a call brings.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    text: Secret<String>,
    /// Its hash for this owner, if it was computed ahead.
    hashed: Option<(UniqueId, Hash)>,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Password {
    /// A password that was not hashed yet.
    pub fn new(text: Secret<String>) -> Self {
        Self { text, hashed: None }
    }

    pub(crate) fn text(&self) -> &str {
        self.text.expose()
    }

    /// Computes the hash for an owner ahead of the call: it takes some 20 ms and 19 MiB, which the
    /// task that carries out calls should not spend. A call computes what it does not find.
    pub fn hash_ahead(&mut self, owner: UniqueId) {
        self.hashed = Some((owner, compute(self.text(), owner)));
    }

    pub(crate) fn hash(&self, owner: UniqueId) -> Hash {
        match &self.hashed {
            Some((hashed_for, hash)) if *hashed_for == owner => hash.clone(),
            Some(_) | None => compute(self.text(), owner),
        }
    }
}

fn compute(text: &str, owner: UniqueId) -> Hash {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(HASH_BYTES));
    let params = params.expect("constants that argon2 takes");
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(text.as_bytes(), owner.as_str().as_bytes(), &mut hash)
        .expect("a salt of 16 to 21 bytes and a password of at most 128 characters are taken");
    Secret::new(hash)
}

/// What a password's hash is bound to.
fn aad(account: AccountId, owner: UniqueId) -> String {
    format!("{account}|{owner}|password")
}

/// Seals a hash. `None` if the ring lacks its current key. `label` names the nonce's entropy.
pub(crate) fn seal(
    keys: &KeyRing,
    (account, owner): (AccountId, UniqueId),
    hash: &Hash,
    entropy: &Entropy,
    label: &str,
) -> Option<v1::Sealed> {
    keys.seal(&aad(account, owner), hash.expose(), entropy, label)
}

/// Whether a sealed hash is this one. One that cannot be opened is not.
pub(crate) fn is(
    keys: &KeyRing,
    (account, owner): (AccountId, UniqueId),
    sealed: Option<&v1::Sealed>,
    hash: &Hash,
) -> bool {
    let opened = sealed.and_then(|sealed| keys.open(&aad(account, owner), sealed));
    let bytes = opened.and_then(|opened| <[u8; HASH_BYTES]>::try_from(&**opened.expose()).ok());
    bytes.is_some_and(|bytes| Secret::new(bytes) == *hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2ids_and_the_owners() {
        let owner: UniqueId = "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap();
        let other: UniqueId = "AIDAQ3EGRIM6LD2W5YX7B".parse().unwrap();
        let password = Password::new(Secret::new("correct horse".to_owned()));
        let hash = password.hash(owner);
        let hex: String = hash.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        // As argon2-cffi 25.1 computes it: argon2.low_level.hash_secret_raw(…, 2, 19456, 1, 32).
        expect_test::expect!["eb7a9029bab8038e9b351908823d4960bf0107b68ee006cfbbff57a13a739098"]
            .assert_eq(&hex);
        assert_ne!(hash, password.hash(other));
        let mut ahead = password.clone();
        ahead.hash_ahead(other);
        assert_eq!(ahead.hash(owner), hash);
        ahead.hash_ahead(owner);
        assert_eq!(ahead.hash(owner), hash);
        assert_eq!(format!("{ahead:?}"), "Password(…)");
    }

    #[test]
    fn a_sealed_hash_is_its_owners_alone() {
        let ring = KeyRing::new(vec![(1, [1; 32])], 1);
        let account: AccountId = "123456789012".parse().unwrap();
        let owner: UniqueId = "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap();
        let other: UniqueId = "AIDAQ3EGRIM6LD2W5YX7B".parse().unwrap();
        let hash: Hash = Secret::new([7; 32]);
        let sealed = seal(&ring, (account, owner), &hash, &Entropy::new([3; 32]), "n").unwrap();
        assert!(is(&ring, (account, owner), Some(&sealed), &hash));
        assert!(!is(&ring, (account, other), Some(&sealed), &hash));
        assert!(!is(&ring, (account, owner), Some(&sealed), &Secret::new([8; 32])));
        assert!(!is(&ring, (account, owner), None, &hash));
        assert!(!is(&KeyRing::default(), (account, owner), Some(&sealed), &hash));
    }
}
