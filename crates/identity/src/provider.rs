//! Identity providers: what OpenID Connect and SAML providers have in common, their ARNs and tags.
//!
//! **Invariants.** A provider is named by its ARN, letter case included; the ARN of another account
//! names nothing. One that must not be relied on is named by its unique id as well, in an ARN.
//!
//! **Must not know:** what a provider vouches for.

use std::{fmt, str::FromStr};

use model::{AccountId, Arn, ArnError};

use crate::{
    Ctx, EntityName, Error, Identity, Listing, Outcome,
    authorize::{Extra, demand, demand_entity, request_tags, tag_keys},
    entity::{Entity, arn_word},
    tag::{self, AddTags, ListTags, RemoveTags, Tag},
};

/// The ARN of a provider, such as `arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderArn<N> {
    arn: Arn,
    account: AccountId,
    name: N,
}

impl<N: EntityName> FromStr for ProviderArn<N> {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let arn: Arn = text.parse()?;
        let is_iams = arn.partition() == "aws" && arn.service() == "iam" && arn.region().is_empty();
        let name = arn.resource().strip_prefix(arn_word(N::KIND));
        let name = name.and_then(|rest| rest.strip_prefix('/')?.parse().ok());
        match (arn.account().parse(), name) {
            (Ok(account), Some(name)) if is_iams => Ok(Self { arn, account, name }),
            _ => Err(ArnError(text.to_owned())),
        }
    }
}

impl<N> fmt::Display for ProviderArn<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arn.fmt(f)
    }
}

impl<N: EntityName> ProviderArn<N> {
    /// Authorizes an action on the provider.
    pub(crate) fn demand(
        &self,
        identity: &Identity,
        ctx: &Ctx<'_>,
        action: &str,
        extra: Extra,
    ) -> Result<(), Error> {
        match self.find(identity, ctx.caller.account) {
            Some(entity) => demand_entity(identity, ctx, action, entity, extra),
            None => demand(identity, ctx, action, self.arn.as_str(), &extra),
        }
    }

    fn find(&self, identity: &Identity, account: AccountId) -> Option<Entity> {
        if self.account != account {
            return None;
        }
        let name = self.name.to_string();
        let by_arn = || identity.find_by_arn(account, N::KIND, &name, &self.arn);
        identity.find_rival(account, N::KIND, &name).or_else(by_arn)
    }

    /// The provider, if it may exist and is the account's.
    pub(crate) fn may_find(
        &self,
        identity: &Identity,
        account: AccountId,
    ) -> Result<Entity, Error> {
        let missing = || Error::NoSuchEntity { noun: N::NOUN, name: self.to_string() };
        self.find(identity, account).ok_or_else(missing)
    }

    /// The provider, if it must exist and has no rival.
    pub(crate) fn must_find(
        &self,
        identity: &Identity,
        account: AccountId,
    ) -> Result<Entity, Error> {
        let entity = self.may_find(identity, account)?;
        identity.must_be_meant(entity, N::NOUN, self.arn.as_str())?;
        Ok(entity)
    }
}

pub(crate) fn tag<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    AddTags { owner, tags }: &AddTags<ProviderArn<N>>,
) -> Result<Outcome, Error> {
    owner.demand(identity, ctx, &format!("iam:Tag{}", N::WORD), request_tags(tags))?;
    let account = ctx.caller.account;
    tag::add_writes(identity, owner.must_find(identity, account)?, tags)
}

pub(crate) fn untag<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RemoveTags { owner, keys }: &RemoveTags<ProviderArn<N>>,
) -> Result<Outcome, Error> {
    let extra = tag_keys(keys.iter().map(ToString::to_string));
    owner.demand(identity, ctx, &format!("iam:Untag{}", N::WORD), extra)?;
    let account = ctx.caller.account;
    Ok(tag::remove_writes(owner.may_find(identity, account)?, keys))
}

pub(crate) fn list_tags<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListTags { owner, page }: &ListTags<ProviderArn<N>>,
) -> Result<Listing<Tag>, Error> {
    owner.demand(identity, ctx, &format!("iam:List{}Tags", N::WORD), Vec::new())?;
    let entity = owner.may_find(identity, ctx.caller.account)?;
    Ok(page.cut(tag::keyed(identity, entity)))
}
