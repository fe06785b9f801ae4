//! Users. AWS: `CreateUser`, `GetUser`, `ListUsers`, `UpdateUser`, `DeleteUser`.
//!
//! **Invariants.** A user is known by its unique id; a rename changes its ARN, and nothing else. A
//! user that is deleted anywhere is dead, whatever was concurrent.
//!
//! **Must not know:** keys' and policies' contents.

use model::{Arn, Path, Timestamp, UniqueId, UniqueIdKind, UserName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, ListByPath, Listing, Noun, Obstacle, Outcome, Principal, Quota, Rename,
    Reply,
    authorize::{demand, demand_entity, demand_named, request_tags, resource_tags},
    boundary,
    entity::{self, Entity, arn},
    field::{
        ATTACHMENT, INLINE_POLICY, LOGIN_PROFILE, MEMBERSHIP, NAME, PATH, SERVICE_CREDENTIAL,
        SIGNING_CERTIFICATE, SSH_PUBLIC_KEY,
    },
    mfa_device,
    policy::PolicyArn,
    state::Writes,
    tag::{self, Tag},
};

/// A user as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: UserName,
    /// Its path.
    pub path: Path,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// The ARN of its permissions boundary; of contested ones that to show.
    /// `ListUsers` leaves it out.
    pub boundary: Option<String>,
    /// Its tags. `ListUsers` leaves them out of its answer.
    pub tags: Vec<Tag>,
}

/// AWS: `CreateUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUser {
    /// Its name.
    pub name: UserName,
    /// Its path.
    pub path: Path,
    /// Which policy shall be its permissions boundary.
    pub boundary: Option<PolicyArn>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetUser {
    /// Its name; `None` for the caller itself.
    pub name: Option<UserName>,
}

/// What `GetUser` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GotUser {
    /// A user.
    User(User),
    /// The root user, which asked for itself. AWS shows the account as its id, and no name.
    Root {
        /// The account's ARN.
        arn: Arn,
        /// When the account was created.
        created: Timestamp,
    },
}

/// AWS: `DeleteUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteUser {
    /// Its name.
    pub name: UserName,
}

/// A user as it is shown.
pub(crate) fn show(identity: &Identity, entity: Entity) -> User {
    let face = identity.face(entity);
    User {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        boundary: boundary::shown(identity, entity),
        tags: tag::of(identity, entity),
        arn: face.arn,
        created: face.created,
    }
}

/// Authorizes the caller for an action on a user, itself if none is named, then finds it.
pub(crate) fn named_or_own(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    user: Option<&UserName>,
) -> Result<Entity, Error> {
    match (user, ctx.caller.principal) {
        (Some(name), _) => {
            demand_named(identity, ctx, action, name, Vec::new())?;
            identity.may_find(ctx.caller.account, name)
        }
        (None, Principal::User(id)) => {
            let entity = Entity { account: ctx.caller.account, id };
            demand_entity(identity, ctx, action, entity, Vec::new())?;
            Ok(entity)
        }
        (None, Principal::Root | Principal::Role(_)) => Err(Error::MustSpecifyUserName),
    }
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateUser { name, path, boundary, tags }: &CreateUser,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let kind = UniqueIdKind::User;
    let arn = arn(account, kind, path.as_str(), name.as_str());
    let mut extra = request_tags(tags);
    extra.extend(boundary::of_new(boundary.as_ref()));
    demand(identity, ctx, "iam:CreateUser", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagUser", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    identity.name_is_free(account, (kind, Noun::User), name.as_str(), None)?;
    Quota::UsersPerAccount.allow(identity.count(account, kind) + 1)?;
    let id = UniqueId::generate(kind, ctx.entropy, "user-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    tag::put(&mut writes, id, tags);
    if let Some(policy) = boundary {
        boundary::write(&mut writes, identity, account, id, policy)?;
    }
    let user = User {
        id,
        name: name.clone(),
        path: path.clone(),
        arn,
        created: ctx.now,
        boundary: boundary.as_ref().map(ToString::to_string),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreateUser(user)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetUser { name }: &GetUser,
) -> Result<GotUser, Error> {
    const ACTION: &str = "iam:GetUser";
    let entity = match (name, ctx.caller.principal) {
        (Some(name), _) => {
            demand_named(identity, ctx, ACTION, name, Vec::new())?;
            identity.may_find(ctx.caller.account, name)?
        }
        (None, Principal::Root) => {
            demand(identity, ctx, ACTION, ctx.caller.arn(identity).as_str(), &Vec::new())?;
            return Ok(got_root(ctx));
        }
        (None, Principal::User(id)) => {
            let entity = Entity { account: ctx.caller.account, id };
            demand_entity(identity, ctx, ACTION, entity, Vec::new())?;
            entity
        }
        (None, Principal::Role(_)) => return Err(Error::MustSpecifyUserName),
    };
    Ok(GotUser::User(show(identity, entity)))
}

/// The root user of the caller's account, as it is shown.
pub(crate) fn got_root(ctx: &Ctx<'_>) -> GotUser {
    let account = ctx.accounts.0.get(&ctx.caller.account);
    let created = account.map_or_else(Timestamp::default, |account| account.created);
    GotUser::Root { arn: Arn::iam(ctx.caller.account, "root"), created }
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListByPath { path_prefix, page }: &ListByPath,
) -> Result<Listing<User>, Error> {
    let account = ctx.caller.account;
    let resource = arn(account, UniqueIdKind::User, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListUsers", resource.as_str(), &Vec::new())?;
    Ok(page.cut(
        identity
            .all(account, UniqueIdKind::User)
            .map(|(key, entity)| (key, show(identity, entity)))
            .filter(|(_, user)| path_prefix.covers(user.path.as_str())),
    ))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &Rename<UserName>,
) -> Result<Outcome, Error> {
    rename(identity, ctx, "iam:UpdateUser", command)
}

/// `UpdateUser`, `UpdateGroup`: AWS asks for permission on the entity as it is and as it will be.
/// The tags go with it; with a contested path it will be at any of its paths.
pub(crate) fn rename<N: crate::EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    Rename { name, new_name, new_path }: &Rename<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, action, name, Vec::new())?;
    let found = identity.find(account, N::KIND, &name.to_string());
    let mut paths: Vec<String> = match (new_path, found) {
        (Some(path), _) => vec![path.to_string()],
        (None, Some(entity)) => {
            identity.read(&PATH, entity).may().map(|t| t.text.clone()).collect()
        }
        (None, None) => Vec::new(),
    };
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    let new_text = new_name.as_ref().unwrap_or(name).to_string();
    let tags = found.map_or_else(Vec::new, |entity| resource_tags(identity, entity));
    for path in paths {
        let target = arn(account, N::KIND, &path, &new_text);
        demand(identity, ctx, action, target.as_str(), &tags)?;
    }
    // A rename is a way out for rivals.
    let entity = identity.may_find(account, name)?;
    identity.must_exist(entity, N::NOUN, &name.to_string())?;
    let mut writes = Writes::new(account);
    if let Some(new_name) = new_name {
        let text = new_name.to_string();
        identity.name_is_free(account, (N::KIND, N::NOUN), &text, Some(entity))?;
        writes.put(&NAME, entity.id, &v1::Text { text });
    }
    if let Some(path) = new_path {
        writes.put(&PATH, entity.id, &v1::Text { text: path.to_string() });
    }
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteUser { name }: &DeleteUser,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    demand_named(identity, ctx, "iam:DeleteUser", name, Vec::new())?;
    let entity = identity.may_find(account, name)?;
    check_policies(identity, entity)?;
    if identity.index().sources(account, entity.id).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::AccessKeys });
    }
    if identity.read(&LOGIN_PROFILE, entity).is_possible() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::LoginProfile });
    }
    if mfa_device::of(identity, entity).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::MfaDevices });
    }
    if !identity.read_all(&SIGNING_CERTIFICATE, entity).is_empty() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::SigningCertificates });
    }
    if !identity.read_all(&SSH_PUBLIC_KEY, entity).is_empty()
        || !identity.read_all(&SERVICE_CREDENTIAL, entity).is_empty()
    {
        return Err(Error::DeleteConflict { obstacle: Obstacle::ReferencedObjects });
    }
    if !identity.read_all(&MEMBERSHIP, entity).is_empty() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::Memberships });
    }
    let mut writes = Writes::new(account);
    writes.remove_entity(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// Refuses to delete a user, group or role that may have policies, attached ones first as AWS does.
pub(crate) fn check_policies(identity: &Identity, entity: Entity) -> Result<(), Error> {
    if !identity.read_all(&ATTACHMENT, entity).is_empty() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::AttachedPolicies });
    }
    if !identity.read_all(&INLINE_POLICY, entity).is_empty() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::InlinePolicies });
    }
    Ok(())
}
