//! Passwords of users. AWS: `CreateLoginProfile`, `GetLoginProfile`, `UpdateLoginProfile`,
//! `DeleteLoginProfile`, `ChangePassword`.
//!
//! **Invariants.** A password that is set satisfies the account's password policy. A contested
//! login profile does not authenticate: an administrator sets the password anew, or deletes it.
//! Passwords that a user had outlive its login profile, so that deleting that does not let them
//! come again.
//!
//! **Must not know:** how a password is hashed, how a user signs in.

use model::{Timestamp, UniqueId, UserName};
use policy::Verdict;
use wire::v1;

use crate::{
    Caller, Command, Ctx, EntityName, Error, Identity, Noun, Outcome, Principal, Reply,
    authorize::{decide, denied, resource_tags},
    entity::Entity,
    field::{LOGIN_PROFILE, USED_PASSWORD},
    password::{self, Hash, Password},
    password_policy::{PasswordRule, Rules, USED_PASSWORDS_MAX},
    state::Writes,
    user,
};

/// Whether a user must change its password when it signs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// It must.
    Required,
    /// It need not.
    #[default]
    NotRequired,
}

/// AWS: `CreateLoginProfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLoginProfile {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The password. AWS's model lets it be missing, for root users of member accounts only.
    pub password: Option<Password>,
    /// Whether it must be changed.
    pub reset: Reset,
}

/// AWS: `UpdateLoginProfile`; what is `None` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateLoginProfile {
    /// Whose.
    pub user: UserName,
    /// The new password.
    pub password: Option<Password>,
    /// Whether it must be changed.
    pub reset: Option<Reset>,
}

/// AWS: `GetLoginProfile`, `DeleteLoginProfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneLoginProfile {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
}

/// AWS: `ChangePassword`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangePassword {
    /// The password that the caller has.
    pub old: Password,
    /// The one that it shall have.
    pub new: Password,
}

/// A login profile as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginProfile {
    /// Whose.
    pub user: UserName,
    /// When it was created.
    pub created: Timestamp,
    /// Whether the password must be changed.
    pub reset: Reset,
}

impl Command {
    /// Whose passwords the command brings, as far as the state tells.
    pub fn password_owner(&self, identity: &Identity, caller: &Caller) -> Option<UniqueId> {
        let own = caller.entity().map(|entity| entity.id);
        let named = |name: &UserName| {
            let found = identity.find(caller.account, UserName::KIND, name.as_str());
            found.map(|entity| entity.id)
        };
        if let Self::CreateLoginProfile(create) = self {
            return create.user.as_ref().map_or(own, named);
        }
        if let Self::UpdateLoginProfile(update) = self {
            return named(&update.user);
        }
        if let Self::ChangePassword(_) = self {
            return own;
        }
        None
    }

    /// The passwords that the command brings, which a shell may hash ahead
    /// ([`Password::hash_ahead`]).
    pub fn passwords(&mut self) -> Vec<&mut Password> {
        if let Self::CreateLoginProfile(create) = self {
            return create.password.iter_mut().collect();
        }
        if let Self::UpdateLoginProfile(update) = self {
            return update.password.iter_mut().collect();
        }
        if let Self::ChangePassword(ChangePassword { old, new }) = self {
            return vec![old, new];
        }
        Vec::new()
    }
}

fn missing(identity: &Identity, user: Entity) -> Error {
    Error::NoSuchEntity { noun: Noun::LoginProfile, name: identity.face(user).name }
}

/// The login profile of a user, if it must exist.
fn profile(identity: &Identity, user: Entity) -> Result<v1::LoginProfile, Error> {
    let read = identity.read(&LOGIN_PROFILE, user);
    if !read.is_possible() {
        return Err(missing(identity, user));
    }
    let (noun, name) = (Noun::LoginProfile, identity.face(user).name);
    read.must().cloned().ok_or(Error::ConcurrentModification { noun, name })
}

/// Writes the password of a user, once it satisfies the account's policy.
fn set_password(
    writes: &mut Writes,
    identity: &Identity,
    ctx: &Ctx<'_>,
    user: Entity,
    password: &Password,
) -> Result<v1::LoginProfile, Error> {
    let rules = Rules::of(identity, user.account);
    let alias = ctx.accounts.0.get(&user.account).and_then(|info| info.alias.as_ref());
    let mut names = vec![user.account.to_string()];
    names.extend(alias.map(ToString::to_string));
    rules.check(password.text(), &names)?;
    let hash = password.hash(user.id);
    let mut used = identity.read_all(&USED_PASSWORD, user);
    // The qualifier orders as the time does.
    used.sort_by(|(left, _), (right, _)| right.cmp(left));
    let again = |(_, read): &(Box<str>, crate::Read<v1::UsedPassword>)| {
        read.may().any(|used| is_hash(ctx, user, used.hash.as_ref(), &hash))
    };
    if used.iter().take(rules.reuse_prevention()).any(again) {
        return Err(Error::PasswordPolicyViolation { rule: PasswordRule::Unused });
    }
    let owner = (user.account, user.id);
    let seal =
        |label| password::seal(ctx.keys, owner, &hash, ctx.entropy, label).ok_or(Error::NoDataKey);
    let kept = seal("used-password-nonce")?;
    let changed_ms = ctx.now.ms();
    let value = v1::UsedPassword { hash: Some(kept) };
    writes.put_of(&USED_PASSWORD, user.id, &format!("{changed_ms:020}"), &value);
    for (qualifier, _) in used.iter().skip(USED_PASSWORDS_MAX - 1) {
        writes.remove_of(&USED_PASSWORD, user.id, qualifier);
    }
    Ok(v1::LoginProfile {
        created_ms: changed_ms,
        changed_ms,
        reset_required: false,
        hash: Some(seal("password-nonce")?),
    })
}

fn is_hash(ctx: &Ctx<'_>, user: Entity, sealed: Option<&v1::Sealed>, hash: &Hash) -> bool {
    password::is(ctx.keys, (user.account, user.id), sealed, hash)
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateLoginProfile { user, password, reset }: &CreateLoginProfile,
) -> Result<Outcome, Error> {
    let user = user::named_or_own(identity, ctx, "iam:CreateLoginProfile", user.as_ref())?;
    let name = identity.face(user).name;
    identity.must_be_meant(user, Noun::User, &name)?;
    let password = password.as_ref().ok_or(Error::MustSpecifyPassword)?;
    if identity.read(&LOGIN_PROFILE, user).is_possible() {
        return Err(Error::EntityAlreadyExists { noun: Noun::LoginProfile, name });
    }
    let mut writes = Writes::new(user.account);
    let profile = set_password(&mut writes, identity, ctx, user, password)?;
    let profile = v1::LoginProfile { reset_required: *reset == Reset::Required, ..profile };
    writes.put(&LOGIN_PROFILE, user.id, &profile);
    writes.reassert_head(identity, user.id);
    Ok(Outcome::written(writes, Reply::CreateLoginProfile(show(identity, user, &profile))))
}

fn show(identity: &Identity, user: Entity, profile: &v1::LoginProfile) -> LoginProfile {
    LoginProfile {
        user: identity.face(user).typed_name(),
        created: Timestamp::from_ms(profile.created_ms),
        reset: if profile.reset_required { Reset::Required } else { Reset::NotRequired },
    }
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneLoginProfile { user }: &OneLoginProfile,
) -> Result<LoginProfile, Error> {
    let user = user::named_or_own(identity, ctx, "iam:GetLoginProfile", user.as_ref())?;
    let read = identity.read(&LOGIN_PROFILE, user);
    let shown = read.shown().ok_or_else(|| missing(identity, user))?;
    Ok(show(identity, user, shown))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateLoginProfile { user, password, reset }: &UpdateLoginProfile,
) -> Result<Outcome, Error> {
    let user = user::named_or_own(identity, ctx, "iam:UpdateLoginProfile", Some(user))?;
    identity.must_be_meant(user, Noun::User, &identity.face(user).name)?;
    let read = identity.read(&LOGIN_PROFILE, user);
    let shown = read.shown().ok_or_else(|| missing(identity, user))?;
    let mut writes = Writes::new(user.account);
    let mut changed = match password {
        // A new password settles a contest.
        Some(password) => v1::LoginProfile {
            created_ms: shown.created_ms,
            reset_required: shown.reset_required,
            ..set_password(&mut writes, identity, ctx, user, password)?
        },
        None => profile(identity, user)?,
    };
    if let Some(reset) = reset {
        changed.reset_required = *reset == Reset::Required;
    }
    writes.put(&LOGIN_PROFILE, user.id, &changed);
    writes.reassert_head(identity, user.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneLoginProfile { user }: &OneLoginProfile,
) -> Result<Outcome, Error> {
    let user = user::named_or_own(identity, ctx, "iam:DeleteLoginProfile", user.as_ref())?;
    if !identity.read(&LOGIN_PROFILE, user).is_possible() {
        return Err(missing(identity, user));
    }
    let mut writes = Writes::new(user.account);
    writes.remove_of(&LOGIN_PROFILE, user.id, "");
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn change_password(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ChangePassword { old, new }: &ChangePassword,
) -> Result<Outcome, Error> {
    let user = permit_change(identity, ctx)?;
    let before = profile(identity, user)?;
    if !is_hash(ctx, user, before.hash.as_ref(), &old.hash(user.id)) {
        return Err(Error::WrongPassword);
    }
    let mut writes = Writes::new(user.account);
    let after = v1::LoginProfile {
        created_ms: before.created_ms,
        ..set_password(&mut writes, identity, ctx, user, new)?
    };
    writes.put(&LOGIN_PROFILE, user.id, &after);
    writes.reassert_head(identity, user.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// Lets a user change its own password: if its policies allow that, or if they do not deny it and
/// the account's password policy lets users do so. AWS: "Permitting IAM users to change their own
/// passwords".
fn permit_change(identity: &Identity, ctx: &Ctx<'_>) -> Result<Entity, Error> {
    const ACTION: &str = "iam:ChangePassword";
    let Principal::User(id) = ctx.caller.principal else { return Err(Error::OnlyUsers) };
    ctx.caller.check_can_act(identity)?;
    ctx.caller.check_may_call(identity, ACTION)?;
    let user = Entity { account: ctx.caller.account, id };
    let let_users = Rules::of(identity, user.account).let_users_change();
    let extra = resource_tags(identity, user);
    for arn in identity.arns(user) {
        let decision = decide(identity, ctx, ACTION, arn.as_str(), &extra);
        let permitted = match decision.verdict {
            Verdict::Allow => true,
            Verdict::ImplicitDeny { .. } => let_users,
            Verdict::ExplicitDeny { .. } => false,
        };
        if !permitted {
            return Err(denied(identity, ctx, &decision, (ACTION, arn.as_str()), &extra));
        }
    }
    Ok(user)
}
