//! SAML providers: identity providers that sign assertions. AWS: `CreateSAMLProvider` and its kin.
//!
//! **Invariants.** A provider is its metadata document, which names the provider's entity and has
//! the certificates that it signs with. Of documents that were set at once all are shown as a
//! conflict, and nothing can rely on any. A provider that was deleted and changed at once can only
//! be deleted: its document is gone.
//!
//! **Must not know:** assertions.

use model::{Arn, SamlProviderName, Timestamp, UniqueId, UniqueIdKind};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Noun, Outcome, Quota, Reply,
    authorize::{demand, request_tags},
    entity::{self, Entity, arn},
    field::SAML_METADATA,
    provider::ProviderArn,
    saml_metadata,
    state::Writes,
    tag::{self, Tag},
};

const KIND: UniqueIdKind = UniqueIdKind::SamlProvider;

/// The ARN of a SAML provider.
pub type SamlProviderArn = ProviderArn<SamlProviderName>;

/// A provider as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamlProvider {
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// Until when its metadata hold.
    pub expires: Timestamp,
    /// The metadata document; of contested ones that to show.
    pub metadata: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `CreateSAMLProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSamlProvider {
    /// Its name.
    pub name: SamlProviderName,
    /// The metadata document.
    pub metadata: String,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `UpdateSAMLProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSamlProvider {
    /// Which.
    pub arn: SamlProviderArn,
    /// The metadata document from now on; `None` leaves it. AWS has more to update.
    pub metadata: Option<String>,
}

/// AWS: `GetSAMLProvider`, `DeleteSAMLProvider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneSamlProvider {
    /// Which.
    pub arn: SamlProviderArn,
}

/// AWS: `ListSAMLProviders`, which has no pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSamlProviders;

fn show(identity: &Identity, entity: Entity) -> SamlProvider {
    let face = identity.face(entity);
    let metadata = identity.read(&SAML_METADATA, entity);
    let v1::SamlMetadata { text, expires_ms } = metadata.shown().cloned().unwrap_or_default();
    SamlProvider {
        arn: face.arn,
        created: face.created,
        expires: Timestamp::from_ms(expires_ms),
        metadata: text,
        tags: tag::of(identity, entity),
    }
}

fn put_metadata(writes: &mut Writes, id: UniqueId, text: &str) -> Result<Timestamp, Error> {
    Quota::SamlMetadataSize.allow(text.len())?;
    let expires = saml_metadata::parse(text).ok_or(Error::MalformedMetadata)?.expires;
    let metadata = v1::SamlMetadata { text: text.to_owned(), expires_ms: expires.ms() };
    writes.put(&SAML_METADATA, id, &metadata);
    Ok(expires)
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateSamlProvider { name, metadata, tags }: &CreateSamlProvider,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let arn = arn(account, KIND, "/", name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:CreateSAMLProvider", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagSAMLProvider", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    identity.name_is_free(account, (KIND, Noun::SamlProvider), name.as_str(), None)?;
    Quota::SamlProvidersPerAccount.allow(identity.count(account, KIND) + 1)?;
    let id = UniqueId::generate(KIND, ctx.entropy, "saml-provider-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), "/");
    let expires = put_metadata(&mut writes, id, metadata)?;
    tag::put(&mut writes, id, tags);
    let (metadata, tags) = (metadata.clone(), tags.clone());
    let provider = SamlProvider { arn, created: ctx.now, expires, metadata, tags };
    Ok(Outcome::written(writes, Reply::CreateSAMLProvider(provider)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneSamlProvider { arn }: &OneSamlProvider,
) -> Result<SamlProvider, Error> {
    arn.demand(identity, ctx, "iam:GetSAMLProvider", Vec::new())?;
    Ok(show(identity, arn.may_find(identity, ctx.caller.account)?))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListSamlProviders: &ListSamlProviders,
) -> Result<Vec<SamlProvider>, Error> {
    demand(identity, ctx, "iam:ListSAMLProviders", "*", &Vec::new())?;
    let all = identity.all(ctx.caller.account, KIND);
    Ok(all.map(|(_, provider)| show(identity, provider)).collect())
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateSamlProvider { arn, metadata }: &UpdateSamlProvider,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:UpdateSAMLProvider", Vec::new())?;
    let provider = arn.must_find(identity, ctx.caller.account)?;
    let mut writes = Writes::new(ctx.caller.account);
    if let Some(metadata) = metadata {
        put_metadata(&mut writes, provider.id, metadata)?;
    }
    writes.reassert_head(identity, provider.id);
    let arn = identity.face(provider).arn;
    Ok(Outcome::written(writes, Reply::UpdateSAMLProvider(arn)))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneSamlProvider { arn }: &OneSamlProvider,
) -> Result<Outcome, Error> {
    arn.demand(identity, ctx, "iam:DeleteSAMLProvider", Vec::new())?;
    let provider = arn.may_find(identity, ctx.caller.account)?;
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_entity(identity, provider.id);
    Ok(Outcome::written(writes, Reply::Done))
}
