//! Instance profiles: how a role is handed to machines. AWS: `CreateInstanceProfile`,
//! `AddRoleToInstanceProfile` and their kin.
//!
//! **Invariants.** That a role is in a profile is a field of the profile. Adding relies on both,
//! and re-asserts both. A profile has at most one role; roles that were added at once at two nodes
//! are all shown, and none can be added until all are taken out. Who puts a role into a profile
//! passes it to EC2, and needs leave for that.
//!
//! **Must not know:** what a role may do, how machines come by its credentials.

use model::{Arn, InstanceProfileName, Path, RoleName, Timestamp, UniqueId, UniqueIdKind};
use policy::ContextValue;
use wire::v1;

use crate::{
    Ctx, Error, Identity, ListByPath, Listing, Noun, Obstacle, Outcome, Page, Quota, Reply,
    authorize::{demand, demand_named, request_tags},
    entity::{self, Entity, arn, page_key},
    field::{HEAD, INSTANCE_PROFILE_ROLE},
    role::{self, Role},
    state::Writes,
    tag::{self, Tag},
};

/// AWS: the condition key that says whom a role is passed to, and the service that reads instance
/// profiles.
const PASSED_TO: (&str, &str) = ("iam:PassedToService", "ec2.amazonaws.com");

/// An instance profile as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceProfile {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: InstanceProfileName,
    /// Its path.
    pub path: Path,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// The roles that may be in it: at most one, unless several were added at once.
    pub roles: Vec<Role>,
    /// Its tags. Listings leave them out.
    pub tags: Vec<Tag>,
}

/// AWS: `CreateInstanceProfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateInstanceProfile {
    /// Its name.
    pub name: InstanceProfileName,
    /// Its path.
    pub path: Path,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetInstanceProfile`, `DeleteInstanceProfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneInstanceProfile {
    /// Its name.
    pub name: InstanceProfileName,
}

/// AWS: `AddRoleToInstanceProfile`, `RemoveRoleFromInstanceProfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleInProfile {
    /// The instance profile.
    pub profile: InstanceProfileName,
    /// The role.
    pub role: RoleName,
}

/// AWS: `ListInstanceProfilesForRole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListForRole {
    /// The role.
    pub role: RoleName,
    /// Which part.
    pub page: Page,
}

/// An instance profile as it is shown.
pub(crate) fn show(identity: &Identity, entity: Entity) -> InstanceProfile {
    let face = identity.face(entity);
    InstanceProfile {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        arn: face.arn,
        created: face.created,
        roles: roles(identity, entity).map(|role| role::show(identity, role)).collect(),
        tags: tag::of(identity, entity),
    }
}

/// The roles that may be in a profile.
fn roles(identity: &Identity, profile: Entity) -> impl Iterator<Item = Entity> {
    identity
        .read_all(&INSTANCE_PROFILE_ROLE, profile)
        .into_iter()
        .filter_map(|(id, _)| id.parse().ok())
        .map(move |id| Entity { account: profile.account, id })
        .filter(|role| identity.read(&HEAD, *role).is_possible())
}

/// The instance profiles that a role may be in.
pub(crate) fn of_role(identity: &Identity, role: Entity) -> impl Iterator<Item = Entity> {
    identity
        .index()
        .sources(role.account, role.id)
        .map(move |id| Entity { account: role.account, id })
        .filter(|profile| identity.read(&HEAD, *profile).is_possible())
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateInstanceProfile { name, path, tags }: &CreateInstanceProfile,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let kind = UniqueIdKind::InstanceProfile;
    let arn = arn(account, kind, path.as_str(), name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:CreateInstanceProfile", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagInstanceProfile", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    identity.name_is_free(account, (kind, Noun::InstanceProfile), name.as_str(), None)?;
    Quota::InstanceProfilesPerAccount.allow(identity.count(account, kind) + 1)?;
    let id = UniqueId::generate(kind, ctx.entropy, "instance-profile-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    tag::put(&mut writes, id, tags);
    let profile = InstanceProfile {
        id,
        name: name.clone(),
        path: path.clone(),
        arn,
        created: ctx.now,
        roles: Vec::new(),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreateInstanceProfile(profile)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneInstanceProfile { name }: &OneInstanceProfile,
) -> Result<InstanceProfile, Error> {
    demand_named(identity, ctx, "iam:GetInstanceProfile", name, Vec::new())?;
    Ok(show(identity, identity.may_find(ctx.caller.account, name)?))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListByPath { path_prefix, page }: &ListByPath,
) -> Result<Listing<InstanceProfile>, Error> {
    let (account, kind) = (ctx.caller.account, UniqueIdKind::InstanceProfile);
    let resource = arn(account, kind, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListInstanceProfiles", resource.as_str(), &Vec::new())?;
    Ok(page.cut(
        identity
            .all(account, kind)
            .map(|(key, entity)| (key, show(identity, entity)))
            .filter(|(_, profile)| path_prefix.covers(profile.path.as_str())),
    ))
}

pub(crate) fn list_for_role(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListForRole { role, page }: &ListForRole,
) -> Result<Listing<InstanceProfile>, Error> {
    demand_named(identity, ctx, "iam:ListInstanceProfilesForRole", role, Vec::new())?;
    let role = identity.may_find(ctx.caller.account, role)?;
    Ok(page.cut(of_role(identity, role).map(|entity| {
        let profile = show(identity, entity);
        (page_key(&profile.name.fold(), profile.id), profile)
    })))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneInstanceProfile { name }: &OneInstanceProfile,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:DeleteInstanceProfile", name, Vec::new())?;
    let profile = identity.may_find(ctx.caller.account, name)?;
    if roles(identity, profile).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::InstanceProfiles });
    }
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_entity(identity, profile.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// AWS: a profile that has a role takes no other, and not the same again.
pub(crate) fn add_role(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RoleInProfile { profile, role }: &RoleInProfile,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:AddRoleToInstanceProfile", profile, Vec::new())?;
    let (key, service) = PASSED_TO;
    let passed_to = vec![(key.to_owned(), ContextValue::Known(vec![service.to_owned()]))];
    demand_named(identity, ctx, "iam:PassRole", role, passed_to)?;
    let profile = identity.must_find(account, profile)?;
    let role = identity.must_find(account, role)?;
    Quota::RolesPerInstanceProfile.allow(roles(identity, profile).count() + 1)?;
    let mut writes = Writes::new(account);
    writes.put_of(&INSTANCE_PROFILE_ROLE, profile.id, role.id.as_str(), &v1::Edge {});
    writes.reassert_head(identity, profile.id);
    writes.reassert_head(identity, role.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn remove_role(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RoleInProfile { profile, role: name }: &RoleInProfile,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:RemoveRoleFromInstanceProfile", profile, Vec::new())?;
    let profile = identity.may_find(account, profile)?;
    let role = identity.may_find(account, name)?;
    if !identity.read_of(&INSTANCE_PROFILE_ROLE, profile, role.id.as_str()).is_possible() {
        let (noun, name) = (Noun::InstanceProfileRole, name.to_string());
        return Err(Error::NoSuchEntity { noun, name });
    }
    let mut writes = Writes::new(account);
    writes.remove_of(&INSTANCE_PROFILE_ROLE, profile.id, role.id.as_str());
    Ok(Outcome::written(writes, Reply::Done))
}
