//! The account as a whole: its alias, its summary, everything in it. AWS: `CreateAccountAlias`,
//! `GetAccountSummary`, `GetAccountAuthorizationDetails` and their kin.
//!
//! **Invariants.** An alias is unique among all accounts, so the control plane decides; what is
//! checked here only spares it hopeless proposals.
//!
//! **Must not know:** how the control plane decides.

use std::collections::BTreeMap;

use model::{AccountAlias, GroupName, UniqueIdKind, fold};

use crate::{
    ControlChange, Ctx, Error, Identity, Listing, Noun, Outcome, Page, Quota, Reply,
    attachment::{self, AttachedPolicy},
    authorize::demand,
    effective::PolicyRef,
    entity::{Entity, page_key},
    field::POLICY_VERSION,
    group::{self, Group},
    inline,
    instance_profile::{self, InstanceProfile},
    mfa_device,
    policy::{self as managed, Policy, PolicyVersion, managed_id},
    role::{self, Role},
    signing_certificate,
    user::{self, User},
};

/// AWS: `CreateAccountAlias`, `DeleteAccountAlias`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The alias.
    pub alias: AccountAlias,
}

/// AWS: `ListAccountAliases`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListAliases {
    /// Which part of the one there is.
    pub page: Page,
}

/// AWS: `GetAccountSummary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSummary;

/// AWS's `SummaryMap`: counts and quotas by their names.
pub type Summary = BTreeMap<&'static str, usize>;

/// A kind of entity in `GetAccountAuthorizationDetails`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DetailKind {
    /// AWS: `User`.
    User,
    /// AWS: `Group`.
    Group,
    /// AWS: `Role`.
    Role,
    /// AWS: `LocalManagedPolicy`.
    LocalPolicy,
    /// AWS: `AWSManagedPolicy`.
    AwsPolicy,
}

/// AWS: `GetAccountAuthorizationDetails`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetDetails {
    /// Which kinds; all if it is empty. Of AWS's own policies those in use.
    pub filter: Vec<DetailKind>,
    /// Which part of all lists together.
    pub page: Page,
}

/// A principal's policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policies {
    /// Name and text of each inline policy.
    pub inline: Vec<(String, String)>,
    /// The managed ones.
    pub attached: Vec<AttachedPolicy>,
}

/// A user with everything that decides on its access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDetail {
    /// The user.
    pub user: User,
    /// Its groups.
    pub groups: Vec<GroupName>,
    /// Its policies.
    pub policies: Policies,
}

/// A group with its policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetail {
    /// The group.
    pub group: Group,
    /// Its policies.
    pub policies: Policies,
}

/// A role with its policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleDetail {
    /// The role.
    pub role: Role,
    /// The instance profiles that it may be in.
    pub instance_profiles: Vec<InstanceProfile>,
    /// Its policies.
    pub policies: Policies,
}

/// A managed policy with its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDetail {
    /// The policy.
    pub policy: Policy,
    /// Its versions.
    pub versions: Vec<PolicyVersion>,
}

/// A part of everything in the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Users.
    pub users: Vec<UserDetail>,
    /// Groups.
    pub groups: Vec<GroupDetail>,
    /// Roles.
    pub roles: Vec<RoleDetail>,
    /// Managed policies.
    pub policies: Vec<PolicyDetail>,
    /// The marker of the next page, if there is one.
    pub next: Option<String>,
}

pub(crate) fn create_alias(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Alias { alias }: &Alias,
) -> Result<Outcome, Error> {
    demand(identity, ctx, "iam:CreateAccountAlias", "*", &Vec::new())?;
    let account = ctx.caller.account;
    let taken = |(other, info): (&_, &crate::AccountInfo)| {
        *other != account && info.alias.as_ref() == Some(alias)
    };
    if ctx.accounts.0.iter().any(taken) {
        let (noun, name) = (Noun::AccountAlias, alias.to_string());
        return Err(Error::EntityAlreadyExists { noun, name });
    }
    // AWS: a new alias replaces the old one.
    let change = ControlChange::SetAlias { account, alias: alias.clone() };
    Ok(Outcome::Control { change, reply: Reply::Done })
}

pub(crate) fn delete_alias(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Alias { alias }: &Alias,
) -> Result<Outcome, Error> {
    demand(identity, ctx, "iam:DeleteAccountAlias", "*", &Vec::new())?;
    let account = ctx.caller.account;
    if own_alias(ctx) != Some(alias) {
        let (noun, name) = (Noun::AccountAlias, alias.to_string());
        return Err(Error::NoSuchEntity { noun, name });
    }
    let change = ControlChange::RemoveAlias { account, alias: alias.clone() };
    Ok(Outcome::Control { change, reply: Reply::Done })
}

fn own_alias<'a>(ctx: &Ctx<'a>) -> Option<&'a AccountAlias> {
    ctx.accounts.0.get(&ctx.caller.account)?.alias.as_ref()
}

pub(crate) fn list_aliases(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListAliases { page }: &ListAliases,
) -> Result<Listing<AccountAlias>, Error> {
    demand(identity, ctx, "iam:ListAccountAliases", "*", &Vec::new())?;
    Ok(page.cut(own_alias(ctx).map(|alias| (alias.to_string(), alias.clone()))))
}

pub(crate) fn summary(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetSummary: &GetSummary,
) -> Result<Summary, Error> {
    demand(identity, ctx, "iam:GetAccountSummary", "*", &Vec::new())?;
    let account = ctx.caller.account;
    let count = |kind| identity.count(account, kind);
    let root = model::UniqueId::root(account);
    let root_keys = identity.index().sources(account, root).count();
    let root_certificates = signing_certificate::count(identity, Entity { account, id: root });
    let root = Entity { account, id: root };
    let root_has_mfa = mfa_device::of(identity, root)
        .any(|device| mfa_device::enabled_for(identity, device) == Some(root.id));
    let (devices, devices_in_use) = mfa_device::counts(identity, account);
    let versions = identity
        .all(account, UniqueIdKind::Policy)
        .map(|(_, policy)| identity.read_all(&POLICY_VERSION, policy).len())
        .sum();
    Ok(BTreeMap::from([
        ("AccessKeysPerUserQuota", Quota::AccessKeysPerUser.max()),
        ("AccountAccessKeysPresent", usize::from(root_keys > 0)),
        ("AccountMFAEnabled", usize::from(root_has_mfa)),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", usize::from(root_certificates > 0)),
        ("AssumeRolePolicySizeQuota", Quota::TrustPolicySize.max()),
        ("AttachedPoliciesPerGroupQuota", Quota::PoliciesPerGroup.max()),
        ("AttachedPoliciesPerRoleQuota", Quota::PoliciesPerRole.max()),
        ("AttachedPoliciesPerUserQuota", Quota::PoliciesPerUser.max()),
        ("GroupPolicySizeQuota", Quota::GroupInlineSize.max()),
        ("Groups", count(UniqueIdKind::Group)),
        ("GroupsPerUserQuota", Quota::GroupsPerUser.max()),
        ("GroupsQuota", Quota::GroupsPerAccount.max()),
        ("InstanceProfiles", count(UniqueIdKind::InstanceProfile)),
        ("InstanceProfilesQuota", Quota::InstanceProfilesPerAccount.max()),
        ("MFADevices", devices),
        ("MFADevicesInUse", devices_in_use),
        ("Policies", count(UniqueIdKind::Policy)),
        ("PoliciesQuota", Quota::PoliciesPerAccount.max()),
        ("PolicySizeQuota", Quota::PolicySize.max()),
        ("PolicyVersionsInUse", versions),
        ("Providers", count(UniqueIdKind::OidcProvider) + count(UniqueIdKind::SamlProvider)),
        ("RolePolicySizeQuota", Quota::RoleInlineSize.max()),
        ("Roles", count(UniqueIdKind::Role)),
        ("RolesQuota", Quota::RolesPerAccount.max()),
        ("ServerCertificates", count(UniqueIdKind::ServerCertificate)),
        ("ServerCertificatesQuota", Quota::ServerCertificatesPerAccount.max()),
        ("SigningCertificatesPerUserQuota", Quota::SigningCertificatesPerUser.max()),
        ("UserPolicySizeQuota", Quota::UserInlineSize.max()),
        ("Users", count(UniqueIdKind::User)),
        ("UsersQuota", Quota::UsersPerAccount.max()),
        ("VersionsPerPolicyQuota", Quota::VersionsPerPolicy.max()),
    ]))
}

fn policies(identity: &Identity, owner: Entity) -> Policies {
    let inline = inline::all(identity, owner).into_iter().map(|(_, policy)| policy).collect();
    let attached =
        attachment::all(identity, owner).into_iter().map(|(_, (_, policy))| policy).collect();
    Policies { inline, attached }
}

/// One entity of the account.
enum Detailed {
    Entity(Entity),
    Policy(PolicyRef),
}

pub(crate) fn details(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetDetails { filter, page }: &GetDetails,
) -> Result<Details, Error> {
    demand(identity, ctx, "iam:GetAccountAuthorizationDetails", "*", &Vec::new())?;
    let account = ctx.caller.account;
    let mut all: Vec<(String, Detailed)> = Vec::new();
    let wanted = |kind| filter.is_empty() || filter.contains(&kind);
    for (detail, kind) in [
        (DetailKind::User, UniqueIdKind::User),
        (DetailKind::Group, UniqueIdKind::Group),
        (DetailKind::Role, UniqueIdKind::Role),
    ] {
        if wanted(detail) {
            let entities = identity.all(account, kind);
            all.extend(entities.map(|(key, entity)| {
                (format!("{} {key}", kind.prefix()), Detailed::Entity(entity))
            }));
        }
    }
    let prefix = UniqueIdKind::Policy.prefix();
    if wanted(DetailKind::LocalPolicy) {
        let own = identity.all(account, UniqueIdKind::Policy);
        all.extend(own.map(|(key, entity)| {
            (format!("{prefix} {key}"), Detailed::Policy(PolicyRef::Customer(entity)))
        }));
    }
    if wanted(DetailKind::AwsPolicy) {
        for policy in ::policy::managed() {
            let id = managed_id(policy.name);
            let index = identity.index();
            if index.sources(account, id).chain(index.bounded(account, id)).next().is_some() {
                let key = format!("{prefix} {}", page_key(&fold(policy.name), id));
                all.push((key, Detailed::Policy(PolicyRef::Managed(policy))));
            }
        }
    }
    let listing = page.cut(all);
    let mut details = Details { next: listing.next, ..Details::default() };
    for item in listing.items {
        match item {
            Detailed::Entity(entity) => add_entity(identity, &mut details, entity),
            Detailed::Policy(policy) => details.policies.push(PolicyDetail {
                policy: managed::show(identity, account, policy),
                versions: managed::versions(identity, policy).into_iter().map(|v| v.1).collect(),
            }),
        }
    }
    Ok(details)
}

fn add_entity(identity: &Identity, details: &mut Details, entity: Entity) {
    let policies = policies(identity, entity);
    match entity.id.kind() {
        Some(UniqueIdKind::User) => {
            let groups = group::groups(identity, entity).into_iter();
            let groups = groups.map(|group| identity.face(group).typed_name()).collect();
            let user = user::show(identity, entity);
            details.users.push(UserDetail { user, groups, policies });
        }
        Some(UniqueIdKind::Group) => {
            details.groups.push(GroupDetail { group: group::show(identity, entity), policies });
        }
        Some(UniqueIdKind::Role) => {
            let profiles = instance_profile::of_role(identity, entity);
            let mut instance_profiles: Vec<InstanceProfile> =
                profiles.map(|profile| instance_profile::show(identity, profile)).collect();
            instance_profiles.sort_by_key(|profile| profile.name.fold());
            let role = role::show(identity, entity);
            details.roles.push(RoleDetail { role, instance_profiles, policies });
        }
        Some(
            UniqueIdKind::Root
            | UniqueIdKind::Policy
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::MfaDevice
            | UniqueIdKind::AccessKey
            | UniqueIdKind::SessionKey,
        )
        | None => {}
    }
}
