//! Tags of users, roles, instance profiles and managed policies. AWS: `TagUser` and its kin.
//!
//! **Invariants.** Keys are unique without case, within an entity and within a request. A contested
//! tag counts for the limit, and is unknown in conditions.
//!
//! **Must not know:** what a tag means.

use std::collections::BTreeSet;

use model::{AccountId, TagKey, TagValue};
use wire::v1;

use crate::{
    Ctx, EntityName, Error, Identity, Listing, Noun, Outcome, Page, Quota, Reply,
    authorize::{demand, demand_named, request_tags, resource_tags, tag_keys},
    effective::PolicyRef,
    entity::Entity,
    field::TAG,
    policy::{PolicyArn, changeable},
    state::Writes,
};

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Its key.
    pub key: TagKey,
    /// Its value.
    pub value: TagValue,
}

/// Sets tags of a user, role or instance profile, or (as `TagPolicy`) of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddTags<N> {
    /// Whose.
    pub owner: N,
    /// The tags.
    pub tags: Vec<Tag>,
}

/// Removes tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveTags<N> {
    /// Whose.
    pub owner: N,
    /// Their keys; those that are absent are passed over.
    pub keys: Vec<TagKey>,
}

/// Lists tags, by folded key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListTags<N> {
    /// Whose.
    pub owner: N,
    /// Which part.
    pub page: Page,
}

/// Refuses a request with one key twice, or with more tags than an entity may have.
pub(crate) fn check(tags: &[Tag]) -> Result<(), Error> {
    let keys: BTreeSet<String> = tags.iter().map(|tag| tag.key.fold()).collect();
    if keys.len() < tags.len() {
        return Err(Error::DuplicateTagKeys);
    }
    Quota::TagsPerEntity.allow(tags.len())
}

/// Writes tags of an entity.
pub(crate) fn put(writes: &mut Writes, id: model::UniqueId, tags: &[Tag]) {
    for Tag { key, value } in tags {
        let tag = v1::Tag { key: key.to_string(), value: value.to_string() };
        writes.put_of(&TAG, id, &key.fold(), &tag);
    }
}

/// All tags of an entity, by folded key; of a contested one the side to show.
pub(crate) fn of(identity: &Identity, entity: Entity) -> Vec<Tag> {
    keyed(identity, entity).into_iter().map(|(_, tag)| tag).collect()
}

pub(crate) fn keyed(identity: &Identity, entity: Entity) -> Vec<(String, Tag)> {
    identity
        .read_all(&TAG, entity)
        .into_iter()
        .filter_map(|(fold, tag)| {
            let tag = tag.shown()?;
            let tag = Tag { key: tag.key.parse().ok()?, value: tag.value.parse().ok()? };
            Some((fold.into(), tag))
        })
        .collect()
}

pub(crate) fn add_writes(
    identity: &Identity,
    entity: Entity,
    tags: &[Tag],
) -> Result<Outcome, Error> {
    check(tags)?;
    let mut keys: BTreeSet<Box<str>> =
        identity.read_all(&TAG, entity).into_iter().map(|(fold, _)| fold).collect();
    keys.extend(tags.iter().map(|tag| tag.key.fold().into()));
    Quota::TagsPerEntity.allow(keys.len())?;
    let mut writes = Writes::new(entity.account);
    put(&mut writes, entity.id, tags);
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn remove_writes(entity: Entity, keys: &[TagKey]) -> Outcome {
    let mut writes = Writes::new(entity.account);
    for key in keys {
        writes.remove_of(&TAG, entity.id, &key.fold());
    }
    Outcome::written(writes, Reply::Done)
}

/// `TagUser`, `TagRole`, `TagInstanceProfile`.
pub(crate) fn add<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    AddTags { owner, tags }: &AddTags<N>,
) -> Result<Outcome, Error> {
    let action = format!("iam:Tag{}", N::WORD);
    demand_named(identity, ctx, &action, owner, request_tags(tags))?;
    let entity = identity.must_find(ctx.caller.account, owner)?;
    add_writes(identity, entity, tags)
}

/// `UntagUser`, `UntagRole`, `UntagInstanceProfile`.
pub(crate) fn remove<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RemoveTags { owner, keys }: &RemoveTags<N>,
) -> Result<Outcome, Error> {
    let action = format!("iam:Untag{}", N::WORD);
    let extra = tag_keys(keys.iter().map(ToString::to_string));
    demand_named(identity, ctx, &action, owner, extra)?;
    let entity = identity.may_find(ctx.caller.account, owner)?;
    Ok(remove_writes(entity, keys))
}

/// `ListUserTags`, `ListRoleTags`, `ListInstanceProfileTags`.
pub(crate) fn list<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListTags { owner, page }: &ListTags<N>,
) -> Result<Listing<Tag>, Error> {
    let action = format!("iam:List{}Tags", N::WORD);
    demand_named(identity, ctx, &action, owner, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, owner)?;
    Ok(page.cut(keyed(identity, entity)))
}

/// `TagPolicy`.
pub(crate) fn add_to_policy(
    identity: &Identity,
    ctx: &Ctx<'_>,
    AddTags { owner, tags }: &AddTags<PolicyArn>,
) -> Result<Outcome, Error> {
    let mut extra = request_tags(tags);
    extra.extend(owner.tags(identity, ctx.caller.account));
    demand(identity, ctx, "iam:TagPolicy", owner.as_str(), &extra)?;
    let entity = changeable(identity, ctx, "iam:TagPolicy", owner)?;
    identity.must_be_meant(entity, Noun::Policy, owner.as_str())?;
    add_writes(identity, entity, tags)
}

/// `UntagPolicy`.
pub(crate) fn remove_from_policy(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RemoveTags { owner, keys }: &RemoveTags<PolicyArn>,
) -> Result<Outcome, Error> {
    let mut extra = tag_keys(keys.iter().map(ToString::to_string));
    extra.extend(owner.tags(identity, ctx.caller.account));
    demand(identity, ctx, "iam:UntagPolicy", owner.as_str(), &extra)?;
    let entity = changeable(identity, ctx, "iam:UntagPolicy", owner)?;
    Ok(remove_writes(entity, keys))
}

/// `ListPolicyTags`.
pub(crate) fn list_of_policy(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListTags { owner, page }: &ListTags<PolicyArn>,
) -> Result<Listing<Tag>, Error> {
    let extra = owner.tags(identity, ctx.caller.account);
    demand(identity, ctx, "iam:ListPolicyTags", owner.as_str(), &extra)?;
    let missing = || Error::NoSuchEntity { noun: Noun::Policy, name: owner.to_string() };
    match owner.may_find(identity, ctx.caller.account).ok_or_else(missing)? {
        PolicyRef::Managed(_) => Ok(page.cut(Vec::new())),
        PolicyRef::Customer(entity) => Ok(page.cut(keyed(identity, entity))),
    }
}

impl PolicyArn {
    /// The condition keys of the policy's tags.
    pub(crate) fn tags(&self, identity: &Identity, account: AccountId) -> crate::authorize::Extra {
        match self.may_find(identity, account) {
            Some(PolicyRef::Customer(entity)) => resource_tags(identity, entity),
            Some(PolicyRef::Managed(_)) | None => Vec::new(),
        }
    }
}
