//! Credentials: the key ring, access keys, session tokens.
//!
//! **Invariants.** A secret is stored only sealed: AES-256-GCM-SIV (RFC 8452) under a data key,
//! bound by its associated data to the account, the key's id and the field. What is contested,
//! inactive or expired, or belongs to a principal that must not act, authenticates nobody.
//!
//! **Must not know:** signatures.

use std::sync::Arc;

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use model::{AccountId, Credential, Entropy, Secret, Timestamp, UniqueId, UniqueIdKind};
use policy::{Document, DocumentKind};
use thiserror::Error;
use wire::{Message, v1};

use crate::{
    Caller, Identity, Principal, Session,
    access_key::Status,
    entity::Entity,
    field::{ACCESS_KEY, ACCESS_KEY_STATUS},
    index::deny_all,
    principal::{FEDERATED_PROVIDER, Federation},
    second_factor::SecondFactor,
    tag::Tag,
};

/// The data keys that secrets are sealed under. Empty at a read replica.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<(u32, Secret<[u8; 32]>)>,
    current: u32,
}

impl KeyRing {
    /// The longest nonce's length in bytes.
    const NONCE_BYTES: usize = 12;

    /// A ring of unsealed data keys, by id; new secrets are sealed under `current`.
    pub fn new(keys: Vec<(u32, [u8; 32])>, current: u32) -> Self {
        let keys = keys.into_iter().map(|(id, key)| (id, Secret::new(key))).collect();
        Self { keys, current }
    }

    /// Whether it holds no key at all, as at a read replica.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn cipher(&self, id: u32) -> Option<Aes256GcmSiv> {
        let (_, key) = self.keys.iter().find(|(key, _)| *key == id)?;
        Some(Aes256GcmSiv::new(key.expose().into()))
    }

    /// Seals `plaintext` and binds it to `aad`. `label` names the nonce's part of the entropy.
    /// `None` if the ring lacks its current key.
    pub fn seal(
        &self,
        aad: &str,
        plaintext: &[u8],
        entropy: &Entropy,
        label: &str,
    ) -> Option<v1::Sealed> {
        let mut nonce = [0; Self::NONCE_BYTES];
        entropy.fill(label, &mut nonce);
        let payload = Payload { msg: plaintext, aad: aad.as_bytes() };
        let ciphertext =
            self.cipher(self.current)?.encrypt(Nonce::from_slice(&nonce), payload).ok()?;
        Some(v1::Sealed { data_key: self.current, nonce: nonce.to_vec(), ciphertext })
    }

    /// Opens what was sealed with this `aad`. `None` if it was not, or the ring lacks the key.
    pub fn open(&self, aad: &str, sealed: &v1::Sealed) -> Option<Secret<Vec<u8>>> {
        let v1::Sealed { data_key, nonce, ciphertext } = sealed;
        if nonce.len() != Self::NONCE_BYTES {
            return None;
        }
        let payload = Payload { msg: ciphertext, aad: aad.as_bytes() };
        let plaintext = self.cipher(*data_key)?.decrypt(Nonce::from_slice(nonce), payload).ok()?;
        Some(Secret::new(plaintext))
    }
}

/// What an access key's secret is bound to.
pub(crate) fn secret_aad(account: AccountId, key: UniqueId) -> String {
    format!("{account}|{key}|secret_access_key")
}

fn token_aad(key_id: &str) -> String {
    format!("session|{key_id}|claims")
}

/// A fresh secret access key: 40 characters, 240 bits.
pub(crate) fn fresh_secret(entropy: &Entropy, label: &str) -> Secret<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Secret::new(entropy.text(label, ALPHABET, 40))
}

/// A long-term access key as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundKey {
    /// Its account.
    pub account: AccountId,
    /// Its id.
    pub id: UniqueId,
    /// Whose it is.
    pub owner: Principal,
    /// Whether it authenticates: it is uncontested and active, and its owner can act.
    pub usable: bool,
    /// Its secret, sealed.
    pub sealed: v1::Sealed,
}

impl FoundKey {
    /// The caller that the key authenticates, if it is usable.
    pub fn caller(&self) -> Option<Caller> {
        self.usable.then_some(Caller {
            account: self.account,
            principal: self.owner,
            credential: Credential::AccessKey(self.id),
            session: None,
        })
    }
}

/// Finds a long-term access key that may exist. Of a contested one `usable` is false.
pub fn find_key(identity: &Identity, key_id: &str) -> Option<FoundKey> {
    let id: UniqueId = key_id.parse().ok()?;
    if id.kind() != Some(UniqueIdKind::AccessKey) {
        return None;
    }
    let account = identity.index().account_of(id)?;
    let entity = Entity { account, id };
    let record = identity.read(&ACCESS_KEY, entity);
    let shown = record.shown()?;
    let owner_id: UniqueId = shown.owner.parse().ok()?;
    let (owner, can_act) = match owner_id.kind()? {
        UniqueIdKind::Root => (Principal::Root, owner_id == UniqueId::root(account)),
        UniqueIdKind::User => {
            (Principal::User(owner_id), identity.can_act(Entity { account, id: owner_id }))
        }
        UniqueIdKind::Group
        | UniqueIdKind::Role
        | UniqueIdKind::Policy
        | UniqueIdKind::InstanceProfile
        | UniqueIdKind::ServerCertificate
        | UniqueIdKind::OidcProvider
        | UniqueIdKind::SamlProvider
        | UniqueIdKind::MfaDevice
        | UniqueIdKind::AccessKey
        | UniqueIdKind::SessionKey => return None,
    };
    let status = identity.read(&ACCESS_KEY_STATUS, entity);
    let active = status.must().is_some_and(|status| status.text == Status::Active.word());
    let usable = record.must().is_some() && active && can_act;
    Some(FoundKey { account, id, owner, usable, sealed: shown.secret.clone()? })
}

/// The caller and the secret of a usable long-term access key.
pub fn authenticate_key(
    identity: &Identity,
    keys: &KeyRing,
    key_id: &str,
) -> Option<(Caller, Secret<String>)> {
    let found = find_key(identity, key_id)?;
    let caller = found.caller()?;
    let secret = keys.open(&secret_aad(found.account, found.id), &found.sealed)?;
    let secret = String::from_utf8(secret.expose().clone()).ok()?;
    Some((caller, Secret::new(secret)))
}

/// Why a session token authenticates nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// It is no token of this cluster, or not that of the access key. AWS: `InvalidClientTokenId`.
    #[error("the session token is not valid")]
    Invalid,
    /// AWS: `ExpiredToken`.
    #[error("the session token has expired")]
    Expired,
    /// The access key that the session was made with is gone, inactive or contested. AWS:
    /// `InvalidClientTokenId`.
    #[error("the access key that the session was made with is gone or not active")]
    KeyGone,
    /// The user or role was deleted, even contestedly, or has a rival. AWS: `InvalidClientTokenId`.
    #[error("the session's principal is gone or contested")]
    PrincipalGone,
}

/// The session token of claims: their message, sealed, in base64.
pub(crate) fn seal_claims(
    keys: &KeyRing,
    entropy: &Entropy,
    claims: &v1::SessionClaims,
) -> Option<String> {
    let aad = token_aad(&claims.access_key_id);
    let sealed = keys.seal(&aad, &claims.encode_to_vec(), entropy, "session-token-nonce")?;
    Some(STANDARD.encode(sealed.encode_to_vec()))
}

/// Opens a session token: what it claims, if it belongs to the access key and has not expired.
///
/// # Errors
/// [`SessionError::Invalid`] and [`SessionError::Expired`].
pub fn open_claims(
    keys: &KeyRing,
    token: &str,
    key_id: &str,
    now: Timestamp,
) -> Result<v1::SessionClaims, SessionError> {
    let open = || {
        let sealed = v1::Sealed::decode(STANDARD.decode(token).ok()?.as_slice()).ok()?;
        let plaintext = keys.open(&token_aad(key_id), &sealed)?;
        v1::SessionClaims::decode(plaintext.expose().as_slice()).ok()
    };
    let claims = open().filter(|claims| claims.access_key_id == key_id);
    let claims = claims.ok_or(SessionError::Invalid)?;
    if now.ms() >= claims.expires_ms { Err(SessionError::Expired) } else { Ok(claims) }
}

/// The caller that opened claims are about, if its principal can act, the access key that the
/// session was made with can be used, and the session has not expired. A role made again under the
/// same name is another principal.
///
/// # Errors
/// Each [`SessionError`].
pub fn session_caller(
    identity: &Identity,
    claims: &v1::SessionClaims,
    now: Timestamp,
) -> Result<Caller, SessionError> {
    if now.ms() >= claims.expires_ms {
        return Err(SessionError::Expired);
    }
    let caller = read_claims(claims).ok_or(SessionError::Invalid)?;
    if !caller.has_usable_key(identity) && caller.entity().is_none_or(|e| identity.can_act(e)) {
        return Err(SessionError::KeyGone);
    }
    caller.check_can_act(identity).map_err(|_| SessionError::PrincipalGone)?;
    Ok(caller)
}

fn read_claims(claims: &v1::SessionClaims) -> Option<Caller> {
    let account = AccountId::from_number(claims.account)?;
    let id: UniqueId = claims.principal.parse().ok()?;
    let principal = match id.kind()? {
        UniqueIdKind::Root if id == UniqueId::root(account) => Principal::Root,
        UniqueIdKind::User => Principal::User(id),
        UniqueIdKind::Role => Principal::Role(id),
        UniqueIdKind::Root
        | UniqueIdKind::Group
        | UniqueIdKind::Policy
        | UniqueIdKind::InstanceProfile
        | UniqueIdKind::ServerCertificate
        | UniqueIdKind::OidcProvider
        | UniqueIdKind::SamlProvider
        | UniqueIdKind::MfaDevice
        | UniqueIdKind::AccessKey
        | UniqueIdKind::SessionKey => return None,
    };
    let issued = Timestamp::from_ms(claims.issued_ms);
    let parse = |text: &String| {
        let parsed = Document::parse(text, DocumentKind::Session);
        parsed.map_or_else(|_| deny_all(DocumentKind::Session), Arc::new)
    };
    let tag =
        |tag: &v1::Tag| Some(Tag { key: tag.key.parse().ok()?, value: tag.value.parse().ok()? });
    let policy_ids: Vec<UniqueId> =
        claims.policy_ids.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?;
    // A token of an older node names its policies by ARN only: whose they are is not known.
    if policy_ids.len() != claims.policy_arns.len() {
        return None;
    }
    let parent_key = match principal {
        // A federated user's is in a field of its own: who does not know of those takes it for
        // invalid, not for the user.
        Principal::Root | Principal::User(_) if !claims.session_name.is_empty() => {
            Some(claims.federation_key.parse().ok()?)
        }
        Principal::Root | Principal::User(_) => Some(claims.parent_key.parse().ok()?),
        Principal::Role(_) => None,
    };
    let federation = match (principal, claims.parent_key.as_str()) {
        (Principal::Role(_), FEDERATED_PROVIDER) => {
            let key = |one: &v1::SessionKey| (one.key.clone(), one.values.clone());
            let keys = claims.federated_keys.iter().map(key).collect();
            Some(Box::new(Federation { provider: claims.assumed_by.clone(), keys }))
        }
        (Principal::Role(_), "") | (Principal::Root | Principal::User(_), _) => None,
        (Principal::Role(_), _) => return None,
    };
    let second_factor = match &claims.mfa {
        Some(claim) => Some(SecondFactor::from_claim(claim)?),
        None => None,
    };
    let session = Session {
        name: claims.session_name.clone(),
        policies: claims.policies.iter().map(parse).collect(),
        policy_ids,
        parent_key,
        tags: claims.tags.iter().map(tag).collect::<Option<_>>()?,
        issued,
        expires: Timestamp::from_ms(claims.expires_ms),
        source_identity: claims.source_identity.clone(),
        second_factor,
        federation,
    };
    let key = claims.access_key_id.parse().ok()?;
    let credential = Credential::Session { key, issued };
    Some(Caller { account, principal, credential, session: Some(session) })
}

/// The caller and the secret of a session token.
///
/// # Errors
/// Each [`SessionError`].
pub fn open_session(
    identity: &Identity,
    keys: &KeyRing,
    token: &str,
    key_id: &str,
    now: Timestamp,
) -> Result<(Caller, Secret<String>), SessionError> {
    let claims = open_claims(keys, token, key_id, now)?;
    let caller = session_caller(identity, &claims, now)?;
    let secret = String::from_utf8(claims.secret_access_key).map_err(|_| SessionError::Invalid)?;
    Ok((caller, Secret::new(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_its_binding() {
        let ring = KeyRing::new(vec![(1, [1; 32]), (2, [2; 32])], 2);
        let sealed = ring.seal("a", b"secret", &Entropy::new([3; 32]), "n").unwrap();
        assert_eq!(sealed.data_key, 2);
        assert_eq!(ring.open("a", &sealed).unwrap().expose(), b"secret");
        assert!(ring.open("b", &sealed).is_none());
        assert!(KeyRing::new(vec![(2, [1; 32])], 2).open("a", &sealed).is_none());
        assert!(KeyRing::default().open("a", &sealed).is_none());
        let mut cut = sealed;
        cut.nonce.pop();
        assert!(ring.open("a", &cut).is_none());
        assert!(KeyRing::default().seal("a", b"", &Entropy::new([3; 32]), "n").is_none());
        assert_eq!(format!("{:?}", KeyRing::new(vec![(1, [7; 32])], 1)).matches('7').count(), 0);
    }
}
