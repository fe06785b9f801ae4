//! Managed policies and their versions. AWS: `CreatePolicy`, `CreatePolicyVersion` and their kin.
//!
//! **Invariants.** A version's id is never given again: the next is one more than any ever seen.
//! When two nodes make one version at once, it is contested: both documents must allow, either may
//! deny. Setting a default re-asserts that version, deleting a version re-asserts the default. The
//! policies of [`policy::managed`] belong to every account and to no state; nobody changes them.
//!
//! **Must not know:** whom a policy is attached to, but for the count.

mod arn;

use std::str::FromStr;

use model::{
    AccountId, Arn, Constraint, PolicyName, PolicyPath, Timestamp, UniqueId, UniqueIdKind, fold,
};
use policy::{Decision, Document, DocumentKind, ManagedPolicy, Verdict};
use wire::v1;

pub use arn::PolicyArn;
pub(crate) use arn::managed_id;

use crate::{
    Ctx, Error, Identity, Listing, Noun, Obstacle, Outcome, Page, PathPrefix, Quota, Reply,
    attachment::PolicyUsage,
    authorize::{demand, denied, request_tags},
    effective::PolicyRef,
    entity::{self, Entity, arn, page_key},
    field::{DEFAULT_VERSION, DESCRIPTION, POLICY_VERSION},
    role::Description,
    state::Writes,
    tag::{self, Tag},
};

/// A version's id, `v1`, `v2`…
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionId(String);

impl VersionId {
    fn numbered(number: u64) -> Self {
        Self(format!("v{number}"))
    }

    /// The number, if it has no suffix.
    fn number(text: &str) -> Option<u64> {
        text.strip_prefix('v')?.parse().ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VersionId {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        let (number, suffix) = text.split_once('.').unwrap_or((text, ""));
        let digits = number.strip_prefix('v').is_some_and(|digits| {
            !digits.starts_with('0')
                && !digits.is_empty()
                && digits.bytes().all(|b| b.is_ascii_digit())
        });
        let ok = digits && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        ok.then(|| Self(text.to_owned()))
            .ok_or(Constraint::Pattern(r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?"))
    }
}

/// A managed policy as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its unique id.
    pub id: UniqueId,
    /// Its name.
    pub name: PolicyName,
    /// Its path.
    pub path: PolicyPath,
    /// Its ARN.
    pub arn: Arn,
    /// When it was created.
    pub created: Timestamp,
    /// When its newest version was created.
    pub updated: Timestamp,
    /// The version in effect; of a contested one the side to show.
    pub default_version: VersionId,
    /// To how many users, groups and roles of the account it may be attached.
    pub attachment_count: usize,
    /// Of how many users and roles of the account it may be the permissions boundary.
    pub boundary_count: usize,
    /// What it is for. `ListPolicies` leaves it out of its answer.
    pub description: Option<String>,
    /// Its tags. `ListPolicies` leaves them out of its answer.
    pub tags: Vec<Tag>,
}

/// A version as it is shown; of a contested one the side with the least dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its id.
    pub id: VersionId,
    /// Its text. `ListPolicyVersions` leaves it out of its answer.
    pub document: String,
    /// Whether it is shown as the default.
    pub is_default: bool,
    /// When it was created.
    pub created: Timestamp,
}

/// AWS: `CreatePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePolicy {
    /// Its name.
    pub name: PolicyName,
    /// Its path.
    pub path: PolicyPath,
    /// The text of its first version.
    pub document: String,
    /// What it is for; never changed afterwards.
    pub description: Option<Description>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `GetPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetPolicy {
    /// Which.
    pub arn: PolicyArn,
}

/// AWS: `DeletePolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletePolicy {
    /// Which.
    pub arn: PolicyArn,
}

/// AWS: `ListPolicies`, `Scope`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Both.
    #[default]
    All,
    /// Those that every account has.
    Aws,
    /// The account's own.
    Local,
}

/// AWS: `ListPolicies`, `OnlyAttached`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attached {
    /// Whether or not they are attached.
    #[default]
    Any,
    /// Only those that may be attached to something in the account.
    Only,
}

/// AWS: `ListPolicies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPolicies {
    /// Whose.
    pub scope: Scope,
    /// Attached ones only?
    pub attached: Attached,
    /// Used for what, if that matters.
    pub usage: PolicyUsage,
    /// The beginning of the path.
    pub path_prefix: PathPrefix,
    /// Which part.
    pub page: Page,
}

/// AWS: `CreatePolicyVersion`, `SetAsDefault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewVersion {
    /// In effect at once.
    Default,
    /// Only kept.
    Kept,
}

/// AWS: `CreatePolicyVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePolicyVersion {
    /// Which policy.
    pub arn: PolicyArn,
    /// The text.
    pub document: String,
    /// Whether it comes into effect.
    pub effect: NewVersion,
}

/// AWS: `GetPolicyVersion`, `DeletePolicyVersion`, `SetDefaultPolicyVersion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionOf {
    /// Which policy.
    pub arn: PolicyArn,
    /// Which version.
    pub version: VersionId,
}

/// AWS: `ListPolicyVersions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPolicyVersions {
    /// Which policy.
    pub arn: PolicyArn,
    /// Which part.
    pub page: Page,
}

/// A policy as it is shown to an account.
pub(crate) fn show(identity: &Identity, account: AccountId, policy: PolicyRef) -> Policy {
    match policy {
        PolicyRef::Managed(managed) => show_managed(identity, account, managed),
        PolicyRef::Customer(entity) => show_customer(identity, entity),
    }
}

fn show_managed(identity: &Identity, account: AccountId, managed: &ManagedPolicy) -> Policy {
    let id = managed_id(managed.name);
    Policy {
        id,
        name: managed.name.parse().expect("a constant of the crate `policy`"),
        path: managed.path.parse().expect("a constant of the crate `policy`"),
        arn: managed.arn().parse().expect("five colons stand in its format"),
        created: managed.created,
        updated: managed.updated,
        default_version: VersionId(managed.default_version.to_owned()),
        attachment_count: identity.index().sources(account, id).count(),
        boundary_count: identity.index().bounded(account, id).count(),
        description: Some(managed.description.to_owned()),
        tags: Vec::new(),
    }
}

fn show_customer(identity: &Identity, entity: Entity) -> Policy {
    let face = identity.face(entity);
    let default = identity.read(&DEFAULT_VERSION, entity);
    let default = default.shown().map_or_else(|| "v1".to_owned(), |text| text.text.clone());
    let versions = identity.read_all(&POLICY_VERSION, entity);
    let newest = versions.iter().flat_map(|(_, read)| read.may().map(|d| d.created_ms)).max();
    Policy {
        id: face.id,
        name: face.typed_name(),
        path: face.typed_path(),
        created: face.created,
        updated: newest.map_or(face.created, Timestamp::from_ms),
        default_version: VersionId(default),
        attachment_count: identity.index().sources(entity.account, entity.id).count(),
        boundary_count: identity.index().bounded(entity.account, entity.id).count(),
        description: identity.read(&DESCRIPTION, entity).shown().map(|text| text.text.clone()),
        tags: tag::of(identity, entity),
        arn: face.arn,
    }
}

/// All versions that may exist, by page key.
pub(crate) fn versions(identity: &Identity, policy: PolicyRef) -> Vec<(String, PolicyVersion)> {
    match policy {
        PolicyRef::Managed(managed) => {
            let version = PolicyVersion {
                id: VersionId(managed.default_version.to_owned()),
                document: managed.document.to_owned(),
                is_default: true,
                created: managed.updated,
            };
            vec![(String::new(), version)]
        }
        PolicyRef::Customer(entity) => {
            let default = identity.read(&DEFAULT_VERSION, entity);
            let show = |(id, read): (Box<str>, crate::Read<v1::Document>)| {
                let shown = read.shown().cloned().unwrap_or_default();
                let version = PolicyVersion {
                    id: VersionId(id.to_string()),
                    document: shown.text,
                    is_default: default.shown().is_some_and(|text| *text.text == *id),
                    created: Timestamp::from_ms(shown.created_ms),
                };
                // AWS lists the newest first; the key orders by descending number.
                let rank = u64::MAX - VersionId::number(&id).unwrap_or(0);
                (format!("{rank:020} {id}"), version)
            };
            identity.read_all(&POLICY_VERSION, entity).into_iter().map(show).collect()
        }
    }
}

fn document(ctx: &Ctx<'_>, text: &str) -> Result<v1::Document, Error> {
    let parsed = Document::parse(text, DocumentKind::Identity)?;
    Quota::PolicySize.allow(parsed.chars())?;
    Ok(v1::Document {
        text: text.to_owned(),
        created_ms: ctx.now.ms(),
        bindings: Vec::new(),
        name: String::new(),
    })
}

/// Authorizes a call on a policy, with the policy's tags as condition keys.
fn demand_policy(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    arn: &PolicyArn,
) -> Result<(), Error> {
    demand(identity, ctx, action, arn.as_str(), &arn.tags(identity, ctx.caller.account))
}

/// The account's own policy that a call wants to change. AWS denies everyone to change its own.
pub(crate) fn changeable(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    arn: &PolicyArn,
) -> Result<Entity, Error> {
    match arn.may_find(identity, ctx.caller.account) {
        Some(PolicyRef::Customer(entity)) => Ok(entity),
        Some(PolicyRef::Managed(_)) => {
            let bare = Decision { verdict: Verdict::Allow, statements: Vec::new(), grant: None };
            Err(denied(identity, ctx, &bare, (action, arn.as_str()), &Vec::new()))
        }
        None => Err(Error::NoSuchEntity { noun: Noun::Policy, name: arn.to_string() }),
    }
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreatePolicy { name, path, document: text, description, tags }: &CreatePolicy,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let kind = UniqueIdKind::Policy;
    let arn = arn(account, kind, path.as_str(), name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:CreatePolicy", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagPolicy", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    let first = document(ctx, text)?;
    identity.name_is_free(account, (kind, Noun::Policy), name.as_str(), None)?;
    Quota::PoliciesPerAccount.allow(identity.count(account, kind) + 1)?;
    let id = UniqueId::generate(kind, ctx.entropy, "policy-id");
    let version = VersionId::numbered(1);
    let mut writes = Writes::new(account);
    entity::create(&mut writes, id, ctx.now, name.as_str(), path.as_str());
    writes.put_of(&POLICY_VERSION, id, version.as_str(), &first);
    writes.put(&DEFAULT_VERSION, id, &v1::Text { text: version.0.clone() });
    if let Some(description) = description {
        writes.put(&DESCRIPTION, id, &v1::Text { text: description.to_string() });
    }
    tag::put(&mut writes, id, tags);
    let policy = Policy {
        id,
        name: name.clone(),
        path: path.clone(),
        arn,
        created: ctx.now,
        updated: ctx.now,
        default_version: version,
        attachment_count: 0,
        boundary_count: 0,
        description: description.as_ref().map(ToString::to_string),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreatePolicy(policy)))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetPolicy { arn }: &GetPolicy,
) -> Result<Policy, Error> {
    demand_policy(identity, ctx, "iam:GetPolicy", arn)?;
    let policy = shown(identity, ctx, arn)?;
    Ok(show(identity, ctx.caller.account, policy))
}

/// The policy of an ARN, to show.
fn shown(identity: &Identity, ctx: &Ctx<'_>, arn: &PolicyArn) -> Result<PolicyRef, Error> {
    let missing = || Error::NoSuchEntity { noun: Noun::Policy, name: arn.to_string() };
    arn.may_find(identity, ctx.caller.account).ok_or_else(missing)
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListPolicies { scope, attached, usage, path_prefix, page }: &ListPolicies,
) -> Result<Listing<Policy>, Error> {
    let account = ctx.caller.account;
    let resource = arn(account, UniqueIdKind::Policy, path_prefix.as_str(), "");
    demand(identity, ctx, "iam:ListPolicies", resource.as_str(), &Vec::new())?;
    let (aws, local) = match scope {
        Scope::All => (true, true),
        Scope::Aws => (true, false),
        Scope::Local => (false, true),
    };
    let managed = policy::managed().iter().filter(|_| aws).map(|managed| {
        let key = page_key(&fold(managed.name), managed_id(managed.name));
        (key, show_managed(identity, account, managed))
    });
    let own = identity
        .all(account, UniqueIdKind::Policy)
        .filter(|_| local)
        .map(|(key, entity)| (key, show_customer(identity, entity)));
    let wanted = |policy: &Policy| {
        let attached = match attached {
            Attached::Any => true,
            Attached::Only => policy.attachment_count > 0,
        };
        let used = match usage {
            PolicyUsage::Any => true,
            PolicyUsage::Permissions => policy.attachment_count > 0,
            PolicyUsage::Boundary => policy.boundary_count > 0,
        };
        attached && used && path_prefix.covers(policy.path.as_str())
    };
    Ok(page.cut(managed.chain(own).filter(|(_, policy)| wanted(policy))))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeletePolicy { arn }: &DeletePolicy,
) -> Result<Outcome, Error> {
    const ACTION: &str = "iam:DeletePolicy";
    demand_policy(identity, ctx, ACTION, arn)?;
    let account = ctx.caller.account;
    let entity = changeable(identity, ctx, ACTION, arn)?;
    let index = identity.index();
    if index.sources(account, entity.id).chain(index.bounded(account, entity.id)).next().is_some() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::Attachments });
    }
    if identity.read_all(&POLICY_VERSION, entity).len() > 1 {
        return Err(Error::DeleteConflict { obstacle: Obstacle::PolicyVersions });
    }
    let mut writes = Writes::new(account);
    writes.remove_entity(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn create_version(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreatePolicyVersion { arn, document: text, effect }: &CreatePolicyVersion,
) -> Result<Outcome, Error> {
    const ACTION: &str = "iam:CreatePolicyVersion";
    demand_policy(identity, ctx, ACTION, arn)?;
    let document = document(ctx, text)?;
    let entity = changeable(identity, ctx, ACTION, arn)?;
    identity.must_be_meant(entity, Noun::Policy, arn.as_str())?;
    Quota::VersionsPerPolicy.allow(identity.read_all(&POLICY_VERSION, entity).len() + 1)?;
    let ever = identity.qualifiers_ever(&POLICY_VERSION, entity);
    let last = ever.iter().filter_map(|id| VersionId::number(id)).max().unwrap_or(0);
    let id = VersionId::numbered(last.saturating_add(1));
    let mut writes = Writes::new(ctx.caller.account);
    writes.put_of(&POLICY_VERSION, entity.id, id.as_str(), &document);
    writes.reassert_head(identity, entity.id);
    if *effect == NewVersion::Default {
        writes.put(&DEFAULT_VERSION, entity.id, &v1::Text { text: id.0.clone() });
    }
    let version = PolicyVersion {
        id,
        document: text.clone(),
        is_default: *effect == NewVersion::Default,
        created: ctx.now,
    };
    Ok(Outcome::written(writes, Reply::CreatePolicyVersion(version)))
}

fn missing_version(VersionOf { arn, version }: &VersionOf) -> Error {
    let name = format!("{arn} version {}", version.as_str());
    Error::NoSuchEntity { noun: Noun::PolicyVersion, name }
}

pub(crate) fn get_version(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &VersionOf,
) -> Result<PolicyVersion, Error> {
    demand_policy(identity, ctx, "iam:GetPolicyVersion", &query.arn)?;
    let policy = shown(identity, ctx, &query.arn)?;
    let mut all = versions(identity, policy).into_iter().map(|(_, version)| version);
    all.find(|version| version.id == query.version).ok_or_else(|| missing_version(query))
}

pub(crate) fn list_versions(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListPolicyVersions { arn, page }: &ListPolicyVersions,
) -> Result<Listing<PolicyVersion>, Error> {
    demand_policy(identity, ctx, "iam:ListPolicyVersions", arn)?;
    let policy = shown(identity, ctx, arn)?;
    Ok(page.cut(versions(identity, policy)))
}

pub(crate) fn delete_version(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &VersionOf,
) -> Result<Outcome, Error> {
    const ACTION: &str = "iam:DeletePolicyVersion";
    let VersionOf { arn, version } = command;
    demand_policy(identity, ctx, ACTION, arn)?;
    let entity = changeable(identity, ctx, ACTION, arn)?;
    if !identity.read_of(&POLICY_VERSION, entity, version.as_str()).is_possible() {
        return Err(missing_version(command));
    }
    let default = identity.read(&DEFAULT_VERSION, entity);
    if default.may().any(|text| text.text == version.as_str()) {
        return Err(Error::DeleteConflict { obstacle: Obstacle::DefaultVersion });
    }
    let mut writes = Writes::new(ctx.caller.account);
    writes.remove_of(&POLICY_VERSION, entity.id, version.as_str());
    writes.reassert_of(identity, &DEFAULT_VERSION, entity.id, "");
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn set_default_version(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &VersionOf,
) -> Result<Outcome, Error> {
    const ACTION: &str = "iam:SetDefaultPolicyVersion";
    let VersionOf { arn, version } = command;
    demand_policy(identity, ctx, ACTION, arn)?;
    let entity = changeable(identity, ctx, ACTION, arn)?;
    identity.must_be_meant(entity, Noun::Policy, arn.as_str())?;
    let sides = identity.document(&POLICY_VERSION, entity, version.as_str());
    if sides.is_empty() {
        return Err(missing_version(command));
    }
    if sides.iter().any(Option::is_none) {
        let (noun, name) = (Noun::PolicyVersion, version.0.clone());
        return Err(Error::ConcurrentModification { noun, name });
    }
    let mut writes = Writes::new(ctx.caller.account);
    writes.put(&DEFAULT_VERSION, entity.id, &v1::Text { text: version.0.clone() });
    // A version that two nodes made at once stays contested: which text is meant, only a new one
    // says.
    writes.reassert_of(identity, &POLICY_VERSION, entity.id, version.as_str());
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ids_are_awss() {
        for ok in ["v1", "v10", "v3.n-2", "v3."] {
            assert!(ok.parse::<VersionId>().is_ok(), "{ok}");
        }
        for bad in ["", "v", "v0", "v01", "1", "v1.a_b", "v-1"] {
            assert!(bad.parse::<VersionId>().is_err(), "{bad}");
        }
    }
}
