//! SSH public keys of users. AWS: `UploadSSHPublicKey`, `GetSSHPublicKey`, `ListSSHPublicKeys`,
//! `UpdateSSHPublicKey`, `DeleteSSHPublicKey`.
//!
//! **Invariants.** A key is kept as it was given. No user has one key twice, unless it was uploaded
//! at two nodes at once.
//!
//! **Must not know:** who signs in with SSH.

use model::{Constraint, Timestamp, UserName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRefusal, Listing, Noun, Outcome, Page, Quota, Reply,
    access_key::Status,
    entity::Entity,
    field::SSH_PUBLIC_KEY,
    rsa_public_key::{KeyError, RsaPublicKey},
    state::Writes,
    user,
    user_credential::{self, UserCredential},
};

/// AWS: `UploadSSHPublicKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSshPublicKey {
    /// Whose.
    pub user: UserName,
    /// An RSA public key, as OpenSSH or PEM writes it.
    pub body: String,
}

/// The form of a key that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// OpenSSH's: `ssh-rsa …`.
    Ssh,
    /// A PEM block.
    Pem,
}

impl std::str::FromStr for Encoding {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text {
            "SSH" => Ok(Self::Ssh),
            "PEM" => Ok(Self::Pem),
            _ => Err(Constraint::Enum(&["SSH", "PEM"])),
        }
    }
}

/// AWS: `GetSSHPublicKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetSshPublicKey {
    /// Whose.
    pub user: UserName,
    /// The key's id.
    pub key_id: String,
    /// In which form.
    pub encoding: Encoding,
}

/// AWS: `ListSSHPublicKeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSshPublicKeys {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// Which part.
    pub page: Page,
}

/// AWS: `UpdateSSHPublicKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSshPublicKey {
    /// Whose.
    pub user: UserName,
    /// The key's id.
    pub key_id: String,
    /// What it shall be.
    pub status: Status,
}

/// AWS: `DeleteSSHPublicKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSshPublicKey {
    /// Whose.
    pub user: UserName,
    /// The key's id.
    pub key_id: String,
}

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKeyMetadata {
    /// Whose.
    pub user: UserName,
    /// Its id.
    pub id: String,
    /// Whether it may be used; a contested key is shown as inactive.
    pub status: Status,
    /// When it was uploaded.
    pub uploaded: Timestamp,
}

/// A key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshPublicKey {
    /// What is listed of it.
    pub metadata: SshPublicKeyMetadata,
    /// The MD5 of the key, in hexadecimal pairs.
    pub fingerprint: String,
    /// The key.
    pub body: String,
}

fn key(owner: Entity, id: &str) -> UserCredential<'_, v1::SshPublicKey> {
    UserCredential { field: &SSH_PUBLIC_KEY, noun: Noun::SshPublicKey, owner, id }
}

fn metadata(
    identity: &Identity,
    owner: Entity,
    id: &str,
    uploaded_ms: u64,
) -> SshPublicKeyMetadata {
    SshPublicKeyMetadata {
        user: identity.face(owner).typed_name(),
        id: id.to_owned(),
        status: key(owner, id).status(identity),
        uploaded: Timestamp::from_ms(uploaded_ms),
    }
}

pub(crate) fn upload(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UploadSshPublicKey { user, body }: &UploadSshPublicKey,
) -> Result<Outcome, Error> {
    let owner = user::named_or_own(identity, ctx, "iam:UploadSSHPublicKey", Some(user))?;
    identity.must_be_meant(owner, Noun::User, &identity.face(owner).name)?;
    let parsed = RsaPublicKey::parse(body).map_err(|error| match error {
        KeyError::Unrecognized => Error::Key(KeyRefusal::UnrecognizedPublicKeyEncoding),
        KeyError::Invalid => Error::Key(KeyRefusal::InvalidPublicKey),
    })?;
    let fingerprint = parsed.fingerprint().ok_or(Error::Key(KeyRefusal::InvalidPublicKey))?;
    let others = user_credential::all(identity, &SSH_PUBLIC_KEY, owner);
    let same = |other: &v1::SshPublicKey| other.fingerprint == fingerprint;
    if others.iter().any(|(_, other)| other.may().any(same)) {
        return Err(Error::Key(KeyRefusal::DuplicateSshPublicKey));
    }
    Quota::SshPublicKeysPerUser.allow(others.len() + 1)?;
    let id = user_credential::fresh_id("APKA", 16, ctx.entropy, "ssh-public-key-id");
    let uploaded_ms = ctx.now.ms();
    let body = body.trim().to_owned();
    let record = v1::SshPublicKey { uploaded_ms, body, fingerprint };
    let mut writes = Writes::new(owner.account);
    key(owner, &id).put(identity, &mut writes, &record);
    let metadata = SshPublicKeyMetadata {
        status: Status::Active,
        ..metadata(identity, owner, &id, uploaded_ms)
    };
    let v1::SshPublicKey { uploaded_ms: _, body, fingerprint } = record;
    let key = SshPublicKey { metadata, fingerprint, body };
    Ok(Outcome::written(writes, Reply::UploadSSHPublicKey(key)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetSshPublicKey { user, key_id, encoding }: &GetSshPublicKey,
) -> Result<SshPublicKey, Error> {
    let owner = user::named_or_own(identity, ctx, "iam:GetSSHPublicKey", Some(user))?;
    let v1::SshPublicKey { uploaded_ms, body, fingerprint } = key(owner, key_id).shown(identity)?;
    let parsed = RsaPublicKey::parse(&body)
        .map_err(|_| Error::Key(KeyRefusal::UnrecognizedPublicKeyEncoding))?;
    let body = match encoding {
        Encoding::Ssh => parsed.to_openssh(),
        Encoding::Pem => parsed.to_pem(),
    };
    let body = body.ok_or(Error::Key(KeyRefusal::UnrecognizedPublicKeyEncoding))?;
    Ok(SshPublicKey { metadata: metadata(identity, owner, key_id, uploaded_ms), fingerprint, body })
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListSshPublicKeys { user, page }: &ListSshPublicKeys,
) -> Result<Listing<SshPublicKeyMetadata>, Error> {
    let owner = user::named_or_own(identity, ctx, "iam:ListSSHPublicKeys", user.as_ref())?;
    let keys = user_credential::all(identity, &SSH_PUBLIC_KEY, owner).into_iter();
    Ok(page.cut(keys.map(|(id, record)| {
        let uploaded_ms = record.shown().map_or(0, |record| record.uploaded_ms);
        (id.to_string(), metadata(identity, owner, &id, uploaded_ms))
    })))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateSshPublicKey { user, key_id, status }: &UpdateSshPublicKey,
) -> Result<Outcome, Error> {
    let owner = user::named_or_own(identity, ctx, "iam:UpdateSSHPublicKey", Some(user))?;
    Ok(Outcome::written(key(owner, key_id).switch(identity, *status)?, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteSshPublicKey { user, key_id }: &DeleteSshPublicKey,
) -> Result<Outcome, Error> {
    let owner = user::named_or_own(identity, ctx, "iam:DeleteSSHPublicKey", Some(user))?;
    Ok(Outcome::written(key(owner, key_id).delete(identity)?, Reply::Done))
}
