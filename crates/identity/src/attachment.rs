//! Which managed policies are attached to whom. AWS: `AttachUserPolicy` and its kin,
//! `ListEntitiesForPolicy`.
//!
//! **Invariants.** An attachment is a field of the principal. Attaching relies on principal and
//! policy, and re-asserts both. A contested attachment gives only the policy's denies; it is
//! listed, counts for the quota, and blocks the policy's deletion.
//!
//! **Must not know:** what a policy says.

use std::collections::BTreeSet;

use model::{AccountId, GroupName, RoleName, UniqueId, UniqueIdKind, UserName, fold};
use policy::ContextValue;
use wire::v1;

use crate::{
    Ctx, Error, Identity, Listing, Noun, Outcome, Page, PathPrefix, PolicyOwner, Reply,
    authorize::{Extra, demand, demand_named},
    boundary,
    effective::PolicyRef,
    entity::{Entity, page_key},
    field::{ATTACHMENT, HEAD},
    policy::PolicyArn,
    state::Writes,
};

/// Attaches or detaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge<N> {
    /// To or from whom.
    pub owner: N,
    /// Which policy.
    pub policy: PolicyArn,
}

/// Lists what is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAttached<N> {
    /// To whom.
    pub owner: N,
    /// The beginning of the policies' path.
    pub path_prefix: PathPrefix,
    /// Which part.
    pub page: Page,
}

/// An attached policy as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
}

/// AWS: `ListEntitiesForPolicy`, `EntityFilter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityFilter {
    /// Every kind.
    All,
    /// Users only.
    Users,
    /// Groups only.
    Groups,
    /// Roles only.
    Roles,
    /// Nothing that a policy is attached to.
    None,
}

/// AWS: `PolicyUsageFilter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyUsage {
    /// Either.
    #[default]
    Any,
    /// AWS: `PermissionsPolicy`: it is attached.
    Permissions,
    /// AWS: `PermissionsBoundary`.
    Boundary,
}

/// AWS: `ListEntitiesForPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntities {
    /// Which policy.
    pub policy: PolicyArn,
    /// Which kinds.
    pub filter: EntityFilter,
    /// What it is used for.
    pub usage: PolicyUsage,
    /// The beginning of the entities' path.
    pub path_prefix: PathPrefix,
    /// Which part of all three lists together.
    pub page: Page,
}

/// To whom a policy may be attached, or whose permissions boundary it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// Users.
    pub users: Vec<(UserName, UniqueId)>,
    /// Groups.
    pub groups: Vec<(GroupName, UniqueId)>,
    /// Roles.
    pub roles: Vec<(RoleName, UniqueId)>,
    /// The marker of the next page, if there is one.
    pub next: Option<String>,
}

/// The condition keys of attaching and detaching.
fn conditions<N: PolicyOwner>(
    identity: &Identity,
    account: AccountId,
    owner: &N,
    policy: &PolicyArn,
) -> Extra {
    let arn = ContextValue::Known(vec![policy.to_string()]);
    let mut extra = boundary::of_owner(identity, account, owner);
    extra.push(("iam:PolicyARN".to_owned(), arn));
    extra
}

pub(crate) fn attach<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Edge { owner, policy }: &Edge<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let action = format!("iam:Attach{}Policy", N::WORD);
    demand_named(identity, ctx, &action, owner, conditions(identity, account, owner, policy))?;
    let entity = identity.must_find(account, owner)?;
    let mut writes = Writes::new(account);
    // A policy of AWS has no head to re-assert.
    let id = policy.must_find(identity, account, Noun::AttachablePolicy)?.id();
    writes.reassert_head(identity, id);
    let attached = identity.read_all(&ATTACHMENT, entity);
    let others = attached.iter().filter(|(other, _)| **other != *id.as_str()).count();
    N::ATTACHED_QUOTA.allow(others + 1)?;
    writes.put_of(&ATTACHMENT, entity.id, id.as_str(), &v1::Edge {});
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn detach<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Edge { owner, policy }: &Edge<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let action = format!("iam:Detach{}Policy", N::WORD);
    demand_named(identity, ctx, &action, owner, conditions(identity, account, owner, policy))?;
    let entity = identity.may_find(account, owner)?;
    let id = policy.may_find(identity, account).map(|policy| policy.id());
    let attached = id.filter(|id| identity.read_of(&ATTACHMENT, entity, id.as_str()).is_possible());
    let missing = || Error::NoSuchEntity { noun: Noun::Attachment, name: policy.to_string() };
    let id = attached.ok_or_else(missing)?;
    let mut writes = Writes::new(account);
    writes.remove_of(&ATTACHMENT, entity.id, id.as_str());
    Ok(Outcome::written(writes, Reply::Done))
}

/// All policies that may be attached to an entity, with their paths.
pub(crate) fn all(identity: &Identity, owner: Entity) -> Vec<(String, (String, AttachedPolicy))> {
    identity
        .read_all(&ATTACHMENT, owner)
        .into_iter()
        .filter_map(|(id, _)| id.parse::<UniqueId>().ok())
        .map(|id| {
            let policy = PolicyRef::of(Entity { account: owner.account, id });
            let attached =
                AttachedPolicy { arn: policy.arn(identity), name: policy.name(identity) };
            let key = page_key(&fold(&attached.name), id);
            (key, (policy.path(identity), attached))
        })
        .collect()
}

pub(crate) fn list<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListAttached { owner, path_prefix, page }: &ListAttached<N>,
) -> Result<Listing<AttachedPolicy>, Error> {
    let action = format!("iam:ListAttached{}Policies", N::WORD);
    demand_named(identity, ctx, &action, owner, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, owner)?;
    Ok(page.cut(
        all(identity, entity)
            .into_iter()
            .filter(|(_, (path, _))| path_prefix.covers(path))
            .map(|(key, (_, attached))| (key, attached)),
    ))
}

pub(crate) fn list_entities(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListEntities { policy, filter, usage, path_prefix, page }: &ListEntities,
) -> Result<Entities, Error> {
    let account = ctx.caller.account;
    let extra = policy.tags(identity, account);
    demand(identity, ctx, "iam:ListEntitiesForPolicy", policy.as_str(), &extra)?;
    let missing = || Error::NoSuchEntity { noun: Noun::Policy, name: policy.to_string() };
    let id = policy.may_find(identity, account).ok_or_else(missing)?.id();
    let wanted = |kind: UniqueIdKind| match filter {
        EntityFilter::All => true,
        EntityFilter::None => false,
        EntityFilter::Users => kind == UniqueIdKind::User,
        EntityFilter::Groups => kind == UniqueIdKind::Group,
        EntityFilter::Roles => kind == UniqueIdKind::Role,
    };
    let attached = || identity.index().sources(account, id);
    let bounded = || identity.index().bounded(account, id);
    let users: BTreeSet<UniqueId> = match usage {
        PolicyUsage::Any => attached().chain(bounded()).collect(),
        PolicyUsage::Permissions => attached().collect(),
        PolicyUsage::Boundary => bounded().collect(),
    };
    let listing = page.cut(
        users
            .into_iter()
            .map(|id| Entity { account, id })
            .filter(|entity| identity.read(&HEAD, *entity).is_possible())
            .filter_map(|entity| Some((entity.id.kind()?, identity.face(entity))))
            .filter(|(kind, face)| wanted(*kind) && path_prefix.covers(&face.path))
            .map(|(kind, face)| {
                let key = page_key(&fold(&face.name), face.id);
                (format!("{} {key}", kind.prefix()), (kind, face))
            }),
    );
    let mut entities = Entities { next: listing.next, ..Entities::default() };
    for (kind, face) in listing.items {
        match kind {
            UniqueIdKind::User => entities.users.push((face.typed_name(), face.id)),
            UniqueIdKind::Group => entities.groups.push((face.typed_name(), face.id)),
            UniqueIdKind::Role => entities.roles.push((face.typed_name(), face.id)),
            UniqueIdKind::Root
            | UniqueIdKind::Policy
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::MfaDevice
            | UniqueIdKind::AccessKey
            | UniqueIdKind::SessionKey => {}
        }
    }
    Ok(entities)
}
