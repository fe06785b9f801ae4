//! Groups and who is in them. AWS: `CreateGroup`, `GetGroup`, `AddUserToGroup` and their kin.
//!
//! **Invariants.** A membership is a field of the user. Adding relies on user and group, and
//! re-asserts both; a group that is deleted meanwhile gives its members only its denies.
//!
//! **Must not know:** policies' contents.

use model::{Arn, GroupName, Path, Timestamp, UniqueId, UniqueIdKind, UserName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, ListByPath, Listing, Noun, Obstacle, Outcome, Page, Quota, Rename, Reply,
    authorize::{demand, demand_named},
    entity::{self, Entity, arn, page_key},
    field::{HEAD, MEMBERSHIP},
    state::Writes,
    user::{self, User},
};

/// A group as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: GroupName,
    /// Its path.
    pub path: Path,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
}

/// AWS: `CreateGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateGroup {
    /// Its name.
    pub name: GroupName,
    /// Its path.
    pub path: Path,
}

/// AWS: `GetGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetGroup {
    /// Its name.
    pub name: GroupName,
    /// Which part of its users.
    pub page: Page,
}

/// A group and a part of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotGroup {
    /// The group.
    pub group: Group,
    /// The users who may be in it.
    pub users: Listing<User>,
}

/// AWS: `DeleteGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroup {
    /// Its name.
    pub name: GroupName,
}

/// AWS: `AddUserToGroup`, `RemoveUserFromGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupName,
    /// The user.
    pub user: UserName,
}

/// AWS: `ListGroupsForUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroupsForUser {
    /// The user.
    pub user: UserName,
    /// Which part.
    pub page: Page,
}

/// A group as it is shown.
pub(crate) fn show(identity: &Identity, entity: Entity) -> Group {
    let face = identity.face(entity);
    Group {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        arn: face.arn,
        created: face.created,
    }
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateGroup { name, path }: &CreateGroup,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let kind = UniqueIdKind::Group;
    let arn = arn(account, kind, path.as_str(), name.as_str());
    demand(identity, ctx, "iam:CreateGroup", arn.as_str(), &Vec::new())?;
    identity.name_is_free(account, (kind, Noun::Group), name.as_str(), None)?;
    Quota::GroupsPerAccount.allow(identity.count(account, kind) + 1)?;
    let id = UniqueId::generate(kind, ctx.entropy, "group-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    let group = Group { id, name: name.clone(), path: path.clone(), arn, created: ctx.now };
    Ok(Outcome::written(writes, Reply::CreateGroup(group)))
}

/// The users who may be in a group.
pub(crate) fn members(identity: &Identity, group: Entity) -> impl Iterator<Item = Entity> {
    identity
        .index()
        .sources(group.account, group.id)
        .map(move |id| Entity { account: group.account, id })
        .filter(|user| identity.read(&HEAD, *user).is_possible())
}

/// The groups that a user may be in.
pub(crate) fn groups(identity: &Identity, user: Entity) -> Vec<Entity> {
    identity
        .read_all(&MEMBERSHIP, user)
        .into_iter()
        .filter_map(|(id, _)| id.parse().ok())
        .map(|id| Entity { account: user.account, id })
        .filter(|group| identity.read(&HEAD, *group).is_possible())
        .collect()
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetGroup { name, page }: &GetGroup,
) -> Result<GotGroup, Error> {
    demand_named(identity, ctx, "iam:GetGroup", name, Vec::new())?;
    let group = identity.may_find(ctx.caller.account, name)?;
    let users = page.cut(members(identity, group).map(|entity| {
        let user = user::show(identity, entity);
        (page_key(&user.name.fold(), user.id), user)
    }));
    Ok(GotGroup { group: show(identity, group), users })
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListByPath { path_prefix, page }: &ListByPath,
) -> Result<Listing<Group>, Error> {
    let account = ctx.caller.account;
    let resource = arn(account, UniqueIdKind::Group, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListGroups", resource.as_str(), &Vec::new())?;
    Ok(page.cut(
        identity
            .all(account, UniqueIdKind::Group)
            .map(|(key, entity)| (key, show(identity, entity)))
            .filter(|(_, group)| path_prefix.covers(group.path.as_str())),
    ))
}

pub(crate) fn list_for_user(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListGroupsForUser { user, page }: &ListGroupsForUser,
) -> Result<Listing<Group>, Error> {
    demand_named(identity, ctx, "iam:ListGroupsForUser", user, Vec::new())?;
    let user = identity.may_find(ctx.caller.account, user)?;
    Ok(page.cut(groups(identity, user).into_iter().map(|entity| {
        let group = show(identity, entity);
        (page_key(&group.name.fold(), group.id), group)
    })))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &Rename<GroupName>,
) -> Result<Outcome, Error> {
    user::rename(identity, ctx, "iam:UpdateGroup", command)
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteGroup { name }: &DeleteGroup,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:DeleteGroup", name, Vec::new())?;
    let group = identity.may_find(account, name)?;
    user::check_policies(identity, group)?;
    if members(identity, group).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::Memberships });
    }
    let mut writes = Writes::new(account);
    writes.remove_entity(identity, group.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn add_user(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Membership { group, user }: &Membership,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:AddUserToGroup", group, Vec::new())?;
    let group = identity.must_find(account, group)?;
    let user = identity.must_find(account, user)?;
    let others = groups(identity, user).into_iter().filter(|other| *other != group).count();
    Quota::GroupsPerUser.allow(others + 1)?;
    let mut writes = Writes::new(account);
    writes.put_of(&MEMBERSHIP, user.id, group.id.as_str(), &v1::Edge {});
    writes.reassert_head(identity, user.id);
    writes.reassert_head(identity, group.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// AWS answers alike whether or not the user was a member; either way it is a removal others can
/// see.
pub(crate) fn remove_user(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Membership { group, user }: &Membership,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:RemoveUserFromGroup", group, Vec::new())?;
    let group = identity.may_find(account, group)?;
    let user = identity.may_find(account, user)?;
    let mut writes = Writes::new(account);
    writes.remove_of(&MEMBERSHIP, user.id, group.id.as_str());
    Ok(Outcome::written(writes, Reply::Done))
}
