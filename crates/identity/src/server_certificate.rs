//! Server certificates of an account, with their private keys. AWS: `UploadServerCertificate` and
//! its kin.
//!
//! **Invariants.** The private key belongs to the certificate, is stored sealed, and never shown.
//! The certificate was valid when it was uploaded. One that was deleted at one node while it was
//! used at another cannot come back: its key is gone.
//!
//! **Must not know:** which servers there are.

use model::{Arn, Path, Secret, ServerCertificateName, Timestamp, UniqueId, UniqueIdKind};
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRefusal, ListByPath, Listing, Noun, Outcome, Quota, Rename, Reply,
    authorize::{demand, demand_named, request_tags},
    certificate::Certificate,
    entity::{self, Entity, arn},
    field::SERVER_CERTIFICATE,
    private_key,
    state::Writes,
    tag::{self, Tag},
    user,
};

const KIND: UniqueIdKind = UniqueIdKind::ServerCertificate;

/// A server certificate as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: ServerCertificateName,
    /// Its path.
    pub path: Path,
    /// Its ARN.
    pub arn: Arn,
    /// When it was uploaded.
    pub uploaded: Timestamp,
    /// Until when it is valid.
    pub expires: Timestamp,
    /// The certificate, in PEM. Listings leave it out.
    pub body: String,
    /// Those of its issuers, in PEM, from the nearest on. Listings leave them out.
    pub chain: Option<String>,
    /// Its tags. Listings leave them out.
    pub tags: Vec<Tag>,
}

/// AWS: `UploadServerCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadServerCertificate {
    /// Its name.
    pub name: ServerCertificateName,
    /// Its path.
    pub path: Path,
    /// The certificate, in PEM.
    pub body: String,
    /// Its private key, in PEM, not encrypted.
    pub private_key: Secret<String>,
    /// Those of its issuers, in PEM, from the nearest on.
    pub chain: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetServerCertificate`, `DeleteServerCertificate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneServerCertificate {
    /// Its name.
    pub name: ServerCertificateName,
}

fn show(identity: &Identity, entity: Entity, record: &v1::ServerCertificate) -> ServerCertificate {
    let face = identity.face(entity);
    let v1::ServerCertificate { body, chain, expires_ms, private_key: _ } = record;
    ServerCertificate {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        arn: face.arn,
        uploaded: face.created,
        expires: Timestamp::from_ms(*expires_ms),
        body: body.clone(),
        chain: (!chain.is_empty()).then(|| chain.clone()),
        tags: tag::of(identity, entity),
    }
}

/// What a certificate is stored as, but for its private key.
fn check(
    now: Timestamp,
    UploadServerCertificate { body, private_key, chain, .. }: &UploadServerCertificate,
) -> Result<v1::ServerCertificate, KeyRefusal> {
    let parsed = Certificate::parse(body).ok_or(KeyRefusal::MalformedCertificate)?;
    let bits = private_key::public_bits(private_key).ok_or(KeyRefusal::MalformedPrivateKey)?;
    if bits != parsed.public_bits() {
        return Err(KeyRefusal::KeyPairMismatch);
    }
    let issuers = chain.as_ref().map(|chain| Certificate::parse_chain(chain));
    let issuers = issuers.unwrap_or(Some(Vec::new())).ok_or(KeyRefusal::MalformedChain)?;
    let mut below = &parsed;
    for issuer in &issuers {
        if !below.is_issued_by(issuer) {
            return Err(KeyRefusal::MalformedChain);
        }
        below = issuer;
    }
    if !parsed.is_valid_at(now) {
        return Err(KeyRefusal::OutdatedCertificate);
    }
    Ok(v1::ServerCertificate {
        body: body.trim().to_owned(),
        chain: chain.as_ref().map(|chain| chain.trim().to_owned()).unwrap_or_default(),
        expires_ms: parsed.expires().ms(),
        private_key: None,
    })
}

pub(crate) fn upload(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &UploadServerCertificate,
) -> Result<Outcome, Error> {
    let UploadServerCertificate { name, path, private_key, tags, .. } = command;
    let account = ctx.caller.account;
    let arn = arn(account, KIND, path.as_str(), name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:UploadServerCertificate", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagServerCertificate", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    let record = check(ctx.now, command).map_err(Error::Key)?;
    identity.name_is_free(account, (KIND, Noun::ServerCertificate), name.as_str(), None)?;
    Quota::ServerCertificatesPerAccount.allow(identity.count(account, KIND) + 1)?;
    let id = UniqueId::generate(KIND, ctx.entropy, "server-certificate-id");
    let aad = format!("{account}|{id}|server_certificate_private_key");
    let key = private_key.expose().trim().as_bytes();
    let sealed = ctx.keys.seal(&aad, key, ctx.entropy, "server-certificate-nonce");
    let record =
        v1::ServerCertificate { private_key: Some(sealed.ok_or(Error::NoDataKey)?), ..record };
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    writes.put(&SERVER_CERTIFICATE, id, &record);
    tag::put(&mut writes, id, tags);
    let shown = ServerCertificate {
        id,
        name: name.clone(),
        path: path.clone(),
        arn,
        uploaded: ctx.now,
        expires: Timestamp::from_ms(record.expires_ms),
        body: record.body,
        chain: (!record.chain.is_empty()).then_some(record.chain),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::UploadServerCertificate(shown)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneServerCertificate { name }: &OneServerCertificate,
) -> Result<ServerCertificate, Error> {
    demand_named(identity, ctx, "iam:GetServerCertificate", name, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, name)?;
    let read = identity.read(&SERVER_CERTIFICATE, entity);
    let (noun, name) = (Noun::ServerCertificate, name.to_string());
    let record = read.shown().ok_or(Error::ConcurrentModification { noun, name })?;
    Ok(show(identity, entity, record))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListByPath { path_prefix, page }: &ListByPath,
) -> Result<Listing<ServerCertificate>, Error> {
    let account = ctx.caller.account;
    let resource = arn(account, KIND, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListServerCertificates", resource.as_str(), &Vec::new())?;
    let shown = |entity| {
        let read = identity.read(&SERVER_CERTIFICATE, entity);
        show(identity, entity, read.shown().unwrap_or(&v1::ServerCertificate::default()))
    };
    let all = identity.all(account, KIND).map(|(key, entity)| (key, shown(entity)));
    Ok(page.cut(all.filter(|(_, one)| path_prefix.covers(one.path.as_str()))))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &Rename<ServerCertificateName>,
) -> Result<Outcome, Error> {
    user::rename(identity, ctx, "iam:UpdateServerCertificate", command)
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneServerCertificate { name }: &OneServerCertificate,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:DeleteServerCertificate", name, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, name)?;
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_entity(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}
