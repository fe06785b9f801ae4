//! Roles and whom they trust. AWS: `CreateRole`, `UpdateAssumeRolePolicy` and their kin.
//!
//! **Invariants.** A trust policy binds the users and roles that it names by ARN to their unique
//! ids when it is saved, so that nobody inherits another's trust. A role that is deleted anywhere
//! is dead, and its sessions with it.
//!
//! **Must not know:** sessions.

use std::{fmt, str::FromStr};

use model::{Arn, Constraint, Path, RoleName, Timestamp, UniqueId, UniqueIdKind};
use policy::{Document, DocumentKind, Problem};
use wire::v1;

use crate::{
    Ctx, Error, Identity, ListByPath, Listing, Noun, Obstacle, Outcome, Quota, Reply,
    authorize::{demand, demand_named, find_arn, request_tags},
    boundary,
    entity::{self, Entity, arn},
    field::{DESCRIPTION, MAX_SESSION_DURATION, TRUST_POLICY},
    instance_profile,
    policy::PolicyArn,
    state::Writes,
    tag::{self, Tag},
    user,
};

/// What a role or policy is for: at most 1000 characters, no control characters but tab and line
/// ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description(String);

impl FromStr for Description {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        const PATTERN: &str = "[\\u0009\\u000A\\u000D\\u0020-\\u007E\\u00A1-\\u00FF]*";
        if text.chars().count() > 1000 {
            return Err(Constraint::MaxLength(1000));
        }
        let ok = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a1}'..='\u{ff}');
        text.chars().all(ok).then(|| Self(text.to_owned())).ok_or(Constraint::Pattern(PATTERN))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long a role's sessions may last: 3600 to 43200 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxSessionDuration(u32);

impl MaxSessionDuration {
    /// One hour, if a role says nothing.
    pub const DEFAULT: Self = Self(3600);

    /// From seconds.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn new(secs: i64) -> Result<Self, Constraint> {
        if secs < 3600 {
            return Err(Constraint::MinValue(3600));
        }
        let secs = u32::try_from(secs).ok().filter(|secs| *secs <= 43_200);
        secs.map(Self).ok_or(Constraint::MaxValue(43_200))
    }

    /// In seconds.
    pub fn secs(self) -> u32 {
        self.0
    }
}

/// A role as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: RoleName,
    /// Its path.
    pub path: Path,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// The text of its trust policy; of a contested one the side to show.
    pub trust_policy: String,
    /// What it is for.
    pub description: Option<String>,
    /// How long its sessions may last. `CreateRole` leaves it out of its answer.
    pub max_session_duration: MaxSessionDuration,
    /// The ARN of its permissions boundary; of contested ones that to show.
    /// `ListRoles` leaves it out.
    pub boundary: Option<String>,
    /// Its tags. `ListRoles` leaves them out of its answer.
    pub tags: Vec<Tag>,
}

/// AWS: `CreateRole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRole {
    /// Its name.
    pub name: RoleName,
    /// Its path.
    pub path: Path,
    /// The text of its trust policy.
    pub trust_policy: String,
    /// What it is for.
    pub description: Option<Description>,
    /// How long its sessions may last.
    pub max_session_duration: Option<MaxSessionDuration>,
    /// Which policy shall be its permissions boundary.
    pub boundary: Option<PolicyArn>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetRole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetRole {
    /// Its name.
    pub name: RoleName,
}

/// AWS: `UpdateRole`; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRole {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: Option<Description>,
    /// How long its sessions may last.
    pub max_session_duration: Option<MaxSessionDuration>,
}

/// AWS: `UpdateRoleDescription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRoleDescription {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: Description,
}

/// AWS: `UpdateAssumeRolePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateAssumeRolePolicy {
    /// Its name.
    pub name: RoleName,
    /// The text of its trust policy.
    pub trust_policy: String,
}

/// AWS: `DeleteRole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRole {
    /// Its name.
    pub name: RoleName,
}

/// A role as it is shown.
pub(crate) fn show(identity: &Identity, entity: Entity) -> Role {
    let face = identity.face(entity);
    let trust = identity.read(&TRUST_POLICY, entity);
    Role {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        arn: face.arn,
        created: face.created,
        trust_policy: trust.shown().map_or_else(String::new, |document| document.text.clone()),
        description: identity.read(&DESCRIPTION, entity).shown().map(|text| text.text.clone()),
        max_session_duration: max_session_duration(identity, entity),
        boundary: boundary::shown(identity, entity),
        tags: tag::of(identity, entity),
    }
}

/// Of a contested duration the least, the default for a side that has none.
pub(crate) fn max_session_duration(identity: &Identity, role: Entity) -> MaxSessionDuration {
    let read = |number: &v1::Number| {
        i64::try_from(number.number).ok().and_then(|secs| MaxSessionDuration::new(secs).ok())
    };
    let of = |side: Option<&v1::Number>| side.and_then(read).unwrap_or(MaxSessionDuration::DEFAULT);
    match identity.read(&MAX_SESSION_DURATION, role) {
        crate::Read::Absent => MaxSessionDuration::DEFAULT,
        crate::Read::Known(number) => of(Some(&number)),
        crate::Read::Contested(sides) => sides
            .iter()
            .map(|side| of(side.as_ref()))
            .min_by_key(|duration| duration.0)
            .unwrap_or(MaxSessionDuration::DEFAULT),
    }
}

/// Reads a trust policy and binds its principals, which must exist.
fn trust(identity: &Identity, ctx: &Ctx<'_>, text: &str) -> Result<v1::Document, Error> {
    let document = Document::parse(text, DocumentKind::Trust)?;
    Quota::TrustPolicySize.allow(document.chars())?;
    let resolve = |arn: &str| {
        let (entity, _) = find_arn(identity, &arn.parse().ok()?)?;
        identity.can_act(entity).then_some(entity.id)
    };
    let bound = document.bind_principals(resolve);
    let unbound = document
        .principals()
        .filter_map(policy::Principal::bindable_arn)
        .find(|arn| !bound.iter().any(|(other, _)| other == arn));
    if let Some(arn) = unbound {
        let problem = Problem::InvalidPrincipal { kind: "AWS".to_owned(), value: arn.to_owned() };
        return Err(Error::MalformedPolicyDocument { problem, position: None });
    }
    let binding = |(arn, id): (String, UniqueId)| v1::Binding { arn, unique_id: id.to_string() };
    Ok(v1::Document {
        text: text.to_owned(),
        created_ms: ctx.now.ms(),
        bindings: bound.into_iter().map(binding).collect(),
        name: String::new(),
    })
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &CreateRole,
) -> Result<Outcome, Error> {
    let CreateRole { name, path, trust_policy, description, max_session_duration, boundary, tags } =
        command;
    let account = ctx.caller.account;
    let kind = UniqueIdKind::Role;
    let arn = arn(account, kind, path.as_str(), name.as_str());
    let mut extra = request_tags(tags);
    extra.extend(boundary::of_new(boundary.as_ref()));
    demand(identity, ctx, "iam:CreateRole", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagRole", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    let trust = trust(identity, ctx, trust_policy)?;
    identity.name_is_free(account, (kind, Noun::Role), name.as_str(), None)?;
    Quota::RolesPerAccount.allow(identity.count(account, kind) + 1)?;
    let id = UniqueId::generate(kind, ctx.entropy, "role-id");
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    writes.put(&TRUST_POLICY, id, &trust);
    put_settings(&mut writes, id, description.as_ref(), *max_session_duration);
    tag::put(&mut writes, id, tags);
    if let Some(policy) = boundary {
        boundary::write(&mut writes, identity, account, id, policy)?;
    }
    let role = Role {
        id,
        name: name.clone(),
        path: path.clone(),
        arn,
        created: ctx.now,
        trust_policy: trust_policy.clone(),
        description: description.as_ref().map(ToString::to_string),
        max_session_duration: max_session_duration.unwrap_or(MaxSessionDuration::DEFAULT),
        boundary: boundary.as_ref().map(ToString::to_string),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreateRole(role)))
}

fn put_settings(
    writes: &mut Writes,
    id: UniqueId,
    description: Option<&Description>,
    duration: Option<MaxSessionDuration>,
) {
    if let Some(description) = description {
        writes.put(&DESCRIPTION, id, &v1::Text { text: description.to_string() });
    }
    if let Some(MaxSessionDuration(secs)) = duration {
        writes.put(&MAX_SESSION_DURATION, id, &v1::Number { number: secs.into() });
    }
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetRole { name }: &GetRole,
) -> Result<Role, Error> {
    demand_named(identity, ctx, "iam:GetRole", name, Vec::new())?;
    Ok(show(identity, identity.may_find(ctx.caller.account, name)?))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListByPath { path_prefix, page }: &ListByPath,
) -> Result<Listing<Role>, Error> {
    let account = ctx.caller.account;
    let resource = arn(account, UniqueIdKind::Role, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListRoles", resource.as_str(), &Vec::new())?;
    Ok(page.cut(
        identity
            .all(account, UniqueIdKind::Role)
            .map(|(key, entity)| (key, show(identity, entity)))
            .filter(|(_, role)| path_prefix.covers(role.path.as_str())),
    ))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateRole { name, description, max_session_duration }: &UpdateRole,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:UpdateRole", name, Vec::new())?;
    let role = identity.must_find(ctx.caller.account, name)?;
    let mut writes = Writes::new(ctx.caller.account);
    put_settings(&mut writes, role.id, description.as_ref(), *max_session_duration);
    writes.reassert_head(identity, role.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn update_description(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateRoleDescription { name, description }: &UpdateRoleDescription,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:UpdateRoleDescription", name, Vec::new())?;
    let entity = identity.must_find(ctx.caller.account, name)?;
    let mut writes = Writes::new(ctx.caller.account);
    put_settings(&mut writes, entity.id, Some(description), None);
    writes.reassert_head(identity, entity.id);
    let mut role = show(identity, entity);
    role.description = Some(description.to_string());
    Ok(Outcome::written(writes, Reply::UpdateRoleDescription(role)))
}

pub(crate) fn update_trust_policy(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateAssumeRolePolicy { name, trust_policy }: &UpdateAssumeRolePolicy,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:UpdateAssumeRolePolicy", name, Vec::new())?;
    let trust = trust(identity, ctx, trust_policy)?;
    let role = identity.must_find(ctx.caller.account, name)?;
    let mut writes = Writes::new(ctx.caller.account);
    writes.put(&TRUST_POLICY, role.id, &trust);
    writes.reassert_head(identity, role.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteRole { name }: &DeleteRole,
) -> Result<Outcome, Error> {
    demand_named(identity, ctx, "iam:DeleteRole", name, Vec::new())?;
    let role = identity.may_find(ctx.caller.account, name)?;
    user::check_policies(identity, role)?;
    if instance_profile::of_role(identity, role).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::InstanceProfiles });
    }
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_entity(identity, role.id);
    Ok(Outcome::written(writes, Reply::Done))
}
