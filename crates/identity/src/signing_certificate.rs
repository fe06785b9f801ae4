//! Signing certificates of users and of the root user. AWS: `UploadSigningCertificate`,
//! `ListSigningCertificates`, `UpdateSigningCertificate`, `DeleteSigningCertificate`.
//!
//! **Invariants.** A certificate was valid when it was uploaded. Within an account nobody else has
//! it, unless it was uploaded at two nodes at once.
//!
//! **Must not know:** who signs with a certificate.

use model::{Timestamp, UniqueId, UniqueIdKind, UserName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRefusal, Listing, Noun, Outcome, Page, Quota, Reply,
    access_key::Status,
    certificate::Certificate,
    entity::Entity,
    field::SIGNING_CERTIFICATE,
    state::Writes,
    user_credential::{self, UserCredential, owner_name},
};

/// AWS: `UploadSigningCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSigningCertificate {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The certificate, in PEM.
    pub body: String,
}

/// AWS: `ListSigningCertificates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSigningCertificates {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// Which part.
    pub page: Page,
}

/// AWS: `UpdateSigningCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSigningCertificate {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The certificate's id.
    pub id: String,
    /// What it shall be.
    pub status: Status,
}

/// AWS: `DeleteSigningCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteSigningCertificate {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The certificate's id.
    pub id: String,
}

/// A certificate as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningCertificate {
    /// The user's name; `None` for the root user's certificate.
    pub user: Option<UserName>,
    /// Its id.
    pub id: String,
    /// The certificate, in PEM.
    pub body: String,
    /// Whether it may be used; a contested one is shown as inactive.
    pub status: Status,
    /// When it was uploaded.
    pub uploaded: Timestamp,
}

fn certificate(owner: Entity, id: &str) -> UserCredential<'_, v1::SigningCertificate> {
    UserCredential { field: &SIGNING_CERTIFICATE, noun: Noun::SigningCertificate, owner, id }
}

/// How many certificates an owner may have.
pub(crate) fn count(identity: &Identity, owner: Entity) -> usize {
    user_credential::all(identity, &SIGNING_CERTIFICATE, owner).len()
}

/// Whether a certificate of an owner may be used.
pub(crate) fn status(identity: &Identity, owner: Entity, id: &str) -> Status {
    certificate(owner, id).status(identity)
}

/// Whether anybody in the owner's account may have the certificate.
fn is_taken(identity: &Identity, owner: Entity, sha256: &[u8]) -> bool {
    let account = owner.account;
    let users = identity.index().heads(account, UniqueIdKind::User);
    users.chain([UniqueId::root(account)]).any(|id| {
        let all = user_credential::all(identity, &SIGNING_CERTIFICATE, Entity { account, id });
        all.iter().any(|(_, other)| other.may().any(|other| other.sha256 == sha256))
    })
}

pub(crate) fn upload(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UploadSigningCertificate { user, body }: &UploadSigningCertificate,
) -> Result<Outcome, Error> {
    let action = "iam:UploadSigningCertificate";
    let owner = user_credential::owner(identity, ctx, action, user.as_ref())?;
    user_credential::check_owner(identity, owner)?;
    let parsed = Certificate::parse(body).ok_or(Error::Key(KeyRefusal::MalformedCertificate))?;
    if !parsed.is_valid_at(ctx.now) {
        return Err(Error::Key(KeyRefusal::InvalidCertificate));
    }
    let sha256 = parsed.fingerprint().ok_or(Error::Key(KeyRefusal::MalformedCertificate))?;
    if is_taken(identity, owner, &sha256) {
        return Err(Error::Key(KeyRefusal::DuplicateCertificate));
    }
    Quota::SigningCertificatesPerUser.allow(count(identity, owner) + 1)?;
    let id = user_credential::fresh_id("", 32, ctx.entropy, "signing-certificate-id");
    let body = body.trim().to_owned();
    let record = v1::SigningCertificate { uploaded_ms: ctx.now.ms(), body, sha256 };
    let mut writes = Writes::new(owner.account);
    certificate(owner, &id).put(identity, &mut writes, &record);
    let shown =
        SigningCertificate { status: Status::Active, ..show(identity, owner, &id, Some(&record)) };
    Ok(Outcome::written(writes, Reply::UploadSigningCertificate(shown)))
}

fn show(
    identity: &Identity,
    owner: Entity,
    id: &str,
    record: Option<&v1::SigningCertificate>,
) -> SigningCertificate {
    SigningCertificate {
        user: owner_name(identity, owner),
        id: id.to_owned(),
        body: record.map(|record| record.body.clone()).unwrap_or_default(),
        status: certificate(owner, id).status(identity),
        uploaded: Timestamp::from_ms(record.map_or(0, |record| record.uploaded_ms)),
    }
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListSigningCertificates { user, page }: &ListSigningCertificates,
) -> Result<Listing<SigningCertificate>, Error> {
    let action = "iam:ListSigningCertificates";
    let owner = user_credential::owner(identity, ctx, action, user.as_ref())?;
    let all = user_credential::all(identity, &SIGNING_CERTIFICATE, owner).into_iter();
    Ok(page.cut(all.map(|(id, record)| {
        let shown = show(identity, owner, &id, record.shown());
        (id.into_string(), shown)
    })))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateSigningCertificate { user, id, status }: &UpdateSigningCertificate,
) -> Result<Outcome, Error> {
    let action = "iam:UpdateSigningCertificate";
    let owner = user_credential::owner(identity, ctx, action, user.as_ref())?;
    Ok(Outcome::written(certificate(owner, id).switch(identity, *status)?, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteSigningCertificate { user, id }: &DeleteSigningCertificate,
) -> Result<Outcome, Error> {
    let action = "iam:DeleteSigningCertificate";
    let owner = user_credential::owner(identity, ctx, action, user.as_ref())?;
    Ok(Outcome::written(certificate(owner, id).delete(identity)?, Reply::Done))
}
