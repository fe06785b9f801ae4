//! OpenID Connect providers: whose tokens roles may trust. AWS: `CreateOpenIDConnectProvider` and
//! its kin.
//!
//! **Invariants.** A provider is called what its URL says after `https://`; that is what the `iss`
//! of its tokens must be. Each client id is a field of its own, so that two that are added at once
//! are both there; one that may have been removed is none. Thumbprints only narrow: of lists that
//! were set at once a host's certificates must satisfy each. A provider that was deleted and used
//! at once can only be deleted: how its thumbprints limited it is gone.
//!
//! **Must not know:** tokens, keys, how a host is reached.

use std::{fmt, str::FromStr};

use model::{Arn, Constraint, OidcProviderName, Timestamp, UniqueId, UniqueIdKind};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Noun, Outcome, Quota, Reply,
    authorize::{demand, request_tags},
    entity::{self, Entity, arn},
    field::{OIDC_CLIENT_ID, OIDC_THUMBPRINTS},
    provider::ProviderArn,
    state::Writes,
    tag::{self, Tag},
};

const KIND: UniqueIdKind = UniqueIdKind::OidcProvider;

/// The ARN of an OpenID Connect provider.
pub type OidcProviderArn = ProviderArn<OidcProviderName>;

/// Whom a token is for: 1–255 characters. AWS: `clientIDType`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(String);

impl FromStr for ClientId {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text.chars().count() {
            0 => Err(Constraint::MinLength(1)),
            1..=255 => Ok(Self(text.to_owned())),
            _ => Err(Constraint::MaxLength(255)),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-1 of a certificate: 40 hexadecimal digits, kept in lower case. AWS: `thumbprintType`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thumbprint(String);

impl FromStr for Thumbprint {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text.chars().count() {
            0..40 => Err(Constraint::MinLength(40)),
            40 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self(text.to_ascii_lowercase()))
            }
            40 => Err(Constraint::Pattern("[0-9A-Fa-f]+")),
            _ => Err(Constraint::MaxLength(40)),
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provider as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcProvider {
    /// Its unique id, which AWS does not show.
    pub id: UniqueId,
    /// Its URL without `https://`.
    pub name: OidcProviderName,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// All that may be client ids of it.
    pub client_ids: Vec<ClientId>,
    /// Of contested lists the one to show.
    pub thumbprints: Vec<Thumbprint>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `CreateOpenIDConnectProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateOidcProvider {
    /// Its URL without `https://`.
    pub name: OidcProviderName,
    /// Whom its tokens may be for.
    pub client_ids: Vec<ClientId>,
    /// One of these certificates its host must have; any, if there are none.
    pub thumbprints: Vec<Thumbprint>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetOpenIDConnectProvider`, `DeleteOpenIDConnectProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOidcProvider {
    /// Which.
    pub arn: OidcProviderArn,
}

/// AWS: `ListOpenIDConnectProviders`, which has no pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOidcProviders;

/// AWS: `AddClientIDToOpenIDConnectProvider`, `RemoveClientIDFromOpenIDConnectProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOf {
    /// Which provider.
    pub arn: OidcProviderArn,
    /// Whom its tokens may be for, or not any more.
    pub client_id: ClientId,
}

/// AWS: `UpdateOpenIDConnectProviderThumbprint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateThumbprints {
    /// Which provider.
    pub arn: OidcProviderArn,
    /// All its thumbprints from now on.
    pub thumbprints: Vec<Thumbprint>,
}

fn show(identity: &Identity, entity: Entity) -> OidcProvider {
    let face = identity.face(entity);
    let thumbprints = identity.read(&OIDC_THUMBPRINTS, entity);
    let thumbprints = thumbprints.shown().map_or(&[][..], |shown| &shown.sha1);
    OidcProvider {
        id: face.id,
        name: face.typed_name(),
        arn: face.arn,
        created: face.created,
        client_ids: may_be_clients(identity, entity).collect(),
        thumbprints: thumbprints.iter().filter_map(|text| text.parse().ok()).collect(),
        tags: tag::of(identity, entity),
    }
}

fn may_be_clients(identity: &Identity, provider: Entity) -> impl Iterator<Item = ClientId> {
    let all = identity.read_all(&OIDC_CLIENT_ID, provider).into_iter();
    all.filter_map(|(client_id, _)| client_id.parse().ok())
}

fn put_client(writes: &mut Writes, id: UniqueId, ClientId(client_id): &ClientId) {
    writes.put_of(&OIDC_CLIENT_ID, id, client_id, &v1::Edge {});
}

fn put_thumbprints(
    writes: &mut Writes,
    id: UniqueId,
    thumbprints: &[Thumbprint],
) -> Result<(), Error> {
    Quota::ThumbprintsPerOidcProvider.allow(thumbprints.len())?;
    let sha1 = thumbprints.iter().map(ToString::to_string).collect();
    writes.put(&OIDC_THUMBPRINTS, id, &v1::Thumbprints { sha1 });
    Ok(())
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateOidcProvider { name, client_ids, thumbprints, tags }: &CreateOidcProvider,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let arn = arn(account, KIND, "/", name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:CreateOpenIDConnectProvider", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagOpenIDConnectProvider", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    identity.name_is_free(account, (KIND, Noun::OidcProvider), name.as_str(), None)?;
    Quota::OidcProvidersPerAccount.allow(identity.count(account, KIND) + 1)?;
    let mut client_ids = client_ids.clone();
    client_ids.sort_unstable();
    client_ids.dedup();
    Quota::ClientIdsPerOidcProvider.allow(client_ids.len())?;
    let id = UniqueId::generate(KIND, ctx.entropy, "oidc-provider-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), "/");
    client_ids.iter().for_each(|client_id| put_client(&mut writes, id, client_id));
    put_thumbprints(&mut writes, id, thumbprints)?;
    tag::put(&mut writes, id, tags);
    let provider = OidcProvider {
        id,
        name: name.clone(),
        arn,
        created: ctx.now,
        client_ids,
        thumbprints: thumbprints.clone(),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreateOpenIDConnectProvider(provider)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneOidcProvider { arn }: &OneOidcProvider,
) -> Result<OidcProvider, Error> {
    arn.demand(identity, ctx, "iam:GetOpenIDConnectProvider", Vec::new())?;
    Ok(show(identity, arn.may_find(identity, ctx.caller.account)?))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListOidcProviders: &ListOidcProviders,
) -> Result<Vec<Arn>, Error> {
    demand(identity, ctx, "iam:ListOpenIDConnectProviders", "*", &Vec::new())?;
    let all = identity.all(ctx.caller.account, KIND);
    Ok(all.map(|(_, provider)| identity.face(provider).arn).collect())
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneOidcProvider { arn }: &OneOidcProvider,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:DeleteOpenIDConnectProvider", Vec::new())?;
    let provider = arn.may_find(identity, ctx.caller.account)?;
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_entity(identity, provider.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn update_thumbprints(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateThumbprints { arn, thumbprints }: &UpdateThumbprints,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:UpdateOpenIDConnectProviderThumbprint", Vec::new())?;
    let provider = arn.must_find(identity, ctx.caller.account)?;
    let mut writes = Writes::new(ctx.caller.account);
    put_thumbprints(&mut writes, provider.id, thumbprints)?;
    writes.reassert_head(identity, provider.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// AWS: a client id that the provider has already is no error.
pub(crate) fn add_client(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ClientOf { arn, client_id }: &ClientOf,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:AddClientIDToOpenIDConnectProvider", Vec::new())?;
    let provider = arn.must_find(identity, ctx.caller.account)?;
    let others = may_be_clients(identity, provider).filter(|other| other != client_id);
    Quota::ClientIdsPerOidcProvider.allow(others.count() + 1)?;
    let mut writes = Writes::new(ctx.caller.account);
    put_client(&mut writes, provider.id, client_id);
    writes.reassert_head(identity, provider.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// AWS: a client id that the provider does not have is no error. It is removed all the same, for
/// somebody may be adding it.
pub(crate) fn remove_client(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ClientOf { arn, client_id: ClientId(client_id) }: &ClientOf,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:RemoveClientIDFromOpenIDConnectProvider", Vec::new())?;
    let provider = arn.may_find(identity, ctx.caller.account)?;
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_of(&OIDC_CLIENT_ID, provider.id, client_id);
    Ok(Outcome::written(writes, Reply::Done))
}
