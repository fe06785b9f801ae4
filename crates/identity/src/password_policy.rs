//! What an account's passwords must be like. AWS: `UpdateAccountPasswordPolicy`,
//! `GetAccountPasswordPolicy`, `DeleteAccountPasswordPolicy`.
//!
//! **Invariants.** A contested policy reads as the strictest of its sides, the default among them
//! if one is a removal: a password must satisfy all, and users may change theirs only if all say
//! so.
//!
//! **Must not know:** whose password it is.

use model::{AccountId, UniqueId};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Noun, Outcome, Read, Reply, authorize::demand, entity::Entity,
    field::PASSWORD_POLICY, state::Writes,
};

/// How many former passwords of a user are kept: AWS compares with no more.
pub(crate) const USED_PASSWORDS_MAX: usize = 24;

/// The greatest length in characters, whatever a policy says.
const LENGTH_MAX: u32 = 128;

/// An account's own policy. AWS: `UpdateAccountPasswordPolicy`, which replaces it as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The least number of characters, 6 to 128.
    pub minimum_length: u32,
    /// At least one of ``! @ # $ % ^ & * ( ) _ + - = [ ] { } | '``.
    pub require_symbols: bool,
    /// At least one of 0 to 9.
    pub require_numbers: bool,
    /// At least one of A to Z.
    pub require_uppercase: bool,
    /// At least one of a to z.
    pub require_lowercase: bool,
    /// Users may change their own password, whatever their policies allow, if none denies it.
    pub allow_users_to_change: bool,
    /// After how many days a password expires, 1 to 1095; `None` for never.
    pub max_age_days: Option<u32>,
    /// How many of the last passwords must not come again, 1 to 24; `None` for any may.
    pub reuse_prevention: Option<u32>,
    /// An expired password can only be set anew by an administrator.
    pub hard_expiry: bool,
}

/// AWS: `DeleteAccountPasswordPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletePasswordPolicy;

/// AWS: `GetAccountPasswordPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetPasswordPolicy;

/// What a password lacks, in the words of AWS's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordRule {
    /// At least this many characters.
    MinimumLength(u32),
    /// A symbol.
    Symbol,
    /// A digit.
    Number,
    /// An upper-case letter.
    Uppercase,
    /// A lower-case letter.
    Lowercase,
    /// Three of the four kinds of characters, if the account has no policy of its own.
    ThreeKinds,
    /// To be something else than the account's id or alias, if it has no policy of its own.
    AccountName,
    /// To be none of the last passwords.
    Unused,
}

/// Whether a character is of a kind.
type IsKind = fn(char) -> bool;

/// The rules that are in force: the account's, or the default ones, or both if that is contested.
pub(crate) struct Rules {
    own: Option<PasswordPolicy>,
    default: bool,
}

impl Rules {
    pub(crate) fn of(identity: &Identity, account: AccountId) -> Self {
        let read = identity.read(&PASSWORD_POLICY, owner(account));
        let default = match &read {
            Read::Absent => true,
            Read::Known(_) => false,
            Read::Contested(sides) => sides.iter().any(Option::is_none),
        };
        let own = read.may().map(from_message).reduce(strictest);
        Self { own, default }
    }

    /// Whether users may change their own password without a policy that allows it.
    pub(crate) fn let_users_change(&self) -> bool {
        !self.default && self.own.as_ref().is_some_and(|policy| policy.allow_users_to_change)
    }

    /// After how many days a password has to be changed.
    pub(crate) fn max_age_days(&self) -> Option<u32> {
        self.own.as_ref().and_then(|policy| policy.max_age_days)
    }

    /// How many of the last passwords must not come again.
    pub(crate) fn reuse_prevention(&self) -> usize {
        let last = self.own.as_ref().and_then(|policy| policy.reuse_prevention).unwrap_or(0);
        usize::try_from(last).unwrap_or(USED_PASSWORDS_MAX).min(USED_PASSWORDS_MAX)
    }

    /// Refuses a password that the rules refuse; `names` are the account's id and alias.
    pub(crate) fn check(&self, text: &str, names: &[String]) -> Result<(), Error> {
        let lacks = |rule| Err(Error::PasswordPolicyViolation { rule });
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let has = |kind: IsKind| text.chars().any(kind);
        let kinds: [(IsKind, PasswordRule); 4] = [
            (is_symbol, PasswordRule::Symbol),
            (|c| c.is_ascii_digit(), PasswordRule::Number),
            (|c| c.is_ascii_uppercase(), PasswordRule::Uppercase),
            (|c| c.is_ascii_lowercase(), PasswordRule::Lowercase),
        ];
        if self.default {
            if length < 8 {
                return lacks(PasswordRule::MinimumLength(8));
            }
            if kinds.iter().filter(|(kind, _)| has(*kind)).count() < 3 {
                return lacks(PasswordRule::ThreeKinds);
            }
            if names.iter().any(|name| name.eq_ignore_ascii_case(text)) {
                return lacks(PasswordRule::AccountName);
            }
        }
        let Some(policy) = &self.own else { return Ok(()) };
        if length < policy.minimum_length {
            return lacks(PasswordRule::MinimumLength(policy.minimum_length));
        }
        let required = [
            policy.require_symbols,
            policy.require_numbers,
            policy.require_uppercase,
            policy.require_lowercase,
        ];
        let missing =
            kinds.iter().zip(required).find(|((kind, _), required)| *required && !has(*kind));
        missing.map_or(Ok(()), |((_, rule), _)| lacks(*rule))
    }
}

/// AWS: "Setting an account password policy for IAM users", non-alphanumeric characters.
fn is_symbol(c: char) -> bool {
    "!@#$%^&*()_+-=[]{}|'".contains(c)
}

/// The account's fields belong to its root user.
fn owner(account: AccountId) -> Entity {
    Entity { account, id: UniqueId::root(account) }
}

pub(crate) fn from_message(message: &v1::PasswordPolicy) -> PasswordPolicy {
    let v1::PasswordPolicy {
        minimum_length,
        require_symbols,
        require_numbers,
        require_uppercase,
        require_lowercase,
        allow_users_to_change,
        max_age_days,
        reuse_prevention,
        hard_expiry,
    } = *message;
    PasswordPolicy {
        minimum_length: minimum_length.clamp(6, LENGTH_MAX),
        require_symbols,
        require_numbers,
        require_uppercase,
        require_lowercase,
        allow_users_to_change,
        max_age_days: (max_age_days > 0).then_some(max_age_days),
        reuse_prevention: (reuse_prevention > 0).then_some(reuse_prevention),
        hard_expiry,
    }
}

fn strictest(one: PasswordPolicy, other: PasswordPolicy) -> PasswordPolicy {
    let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
    PasswordPolicy {
        minimum_length: one.minimum_length.max(other.minimum_length),
        require_symbols: one.require_symbols || other.require_symbols,
        require_numbers: one.require_numbers || other.require_numbers,
        require_uppercase: one.require_uppercase || other.require_uppercase,
        require_lowercase: one.require_lowercase || other.require_lowercase,
        allow_users_to_change: one.allow_users_to_change && other.allow_users_to_change,
        max_age_days: least(one.max_age_days, other.max_age_days),
        reuse_prevention: one.reuse_prevention.max(other.reuse_prevention),
        hard_expiry: one.hard_expiry || other.hard_expiry,
    }
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    policy: &PasswordPolicy,
) -> Result<Outcome, Error> {
    demand(identity, ctx, "iam:UpdateAccountPasswordPolicy", "*", &Vec::new())?;
    let PasswordPolicy {
        minimum_length,
        require_symbols,
        require_numbers,
        require_uppercase,
        require_lowercase,
        allow_users_to_change,
        max_age_days,
        reuse_prevention,
        hard_expiry,
    } = *policy;
    let message = v1::PasswordPolicy {
        minimum_length,
        require_symbols,
        require_numbers,
        require_uppercase,
        require_lowercase,
        allow_users_to_change,
        max_age_days: max_age_days.unwrap_or(0),
        reuse_prevention: reuse_prevention.unwrap_or(0),
        hard_expiry,
    };
    let account = ctx.caller.account;
    let mut writes = Writes::new(account);
    writes.put(&PASSWORD_POLICY, UniqueId::root(account), &message);
    Ok(Outcome::written(writes, Reply::Done))
}

fn missing(account: AccountId) -> Error {
    Error::NoSuchEntity { noun: Noun::PasswordPolicy, name: account.to_string() }
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeletePasswordPolicy: &DeletePasswordPolicy,
) -> Result<Outcome, Error> {
    demand(identity, ctx, "iam:DeleteAccountPasswordPolicy", "*", &Vec::new())?;
    let account = ctx.caller.account;
    if !identity.read(&PASSWORD_POLICY, owner(account)).is_possible() {
        return Err(missing(account));
    }
    let mut writes = Writes::new(account);
    writes.remove_of(&PASSWORD_POLICY, UniqueId::root(account), "");
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetPasswordPolicy: &GetPasswordPolicy,
) -> Result<PasswordPolicy, Error> {
    demand(identity, ctx, "iam:GetAccountPasswordPolicy", "*", &Vec::new())?;
    let account = ctx.caller.account;
    Rules::of(identity, account).own.ok_or_else(|| missing(account))
}
