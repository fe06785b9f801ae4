//! Long-term access keys of users and of the root user. AWS: `CreateAccessKey` and its kin.
//!
//! **Invariants.** The secret leaves in the answer to `CreateAccessKey` only. A contested key does
//! not authenticate; it stays listed, and is deleted to settle the contest.
//!
//! **Must not know:** signatures.

use model::{
    AccountId, Constraint, Entropy, Key, Secret, Timestamp, UniqueId, UniqueIdKind, UserName,
};
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRing, Listing, Noun, Outcome, Page, Quota, Reply,
    credential::{fresh_secret, secret_aad},
    entity::{Entity, page_key},
    field::{ACCESS_KEY, ACCESS_KEY_STATUS},
    state::Writes,
    user_credential::{check_owner, owner, owner_name},
};

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It may not, until it is activated.
    Inactive,
}

impl Status {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
        }
    }
}

impl std::str::FromStr for Status {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text {
            "Active" => Ok(Self::Active),
            "Inactive" => Ok(Self::Inactive),
            _ => Err(Constraint::Enum(&["Active", "Inactive"])),
        }
    }
}

/// AWS: `CreateAccessKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateAccessKey {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
}

/// AWS: `ListAccessKeys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAccessKeys {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// Which part.
    pub page: Page,
}

/// AWS: `UpdateAccessKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateAccessKey {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The key's id, whatever it looks like: what is none is not found.
    pub key_id: String,
    /// What it shall be.
    pub status: Status,
}

/// AWS: `DeleteAccessKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteAccessKey {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The key's id.
    pub key_id: String,
}

/// A key that was just made, with the only copy of its secret that is ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccessKey {
    /// The user's name; `None` for the root user's key.
    pub user: Option<UserName>,
    /// The key's id.
    pub id: UniqueId,
    /// Its secret.
    pub secret: Secret<String>,
    /// Whether it may be used.
    pub status: Status,
    /// When it was created.
    pub created: Timestamp,
}

/// A key as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The user's name; `None` for the root user's key.
    pub user: Option<UserName>,
    /// The key's id.
    pub id: UniqueId,
    /// Whether it may be used; a contested key is shown as inactive, which is what it is.
    pub status: Status,
    /// When it was created.
    pub created: Timestamp,
}

/// The owner's key with this id, if it may exist.
fn key_of(identity: &Identity, owner: Entity, key_id: &str) -> Result<Entity, Error> {
    let missing = || Error::NoSuchEntity { noun: Noun::AccessKey, name: key_id.to_owned() };
    let id: UniqueId = key_id.parse().map_err(|_| missing())?;
    let Entity { account, id: owner } = owner;
    let owned = identity.index().sources(account, owner).any(|key| key == id);
    let is_key = id.kind() == Some(UniqueIdKind::AccessKey);
    if owned && is_key { Ok(Entity { account, id }) } else { Err(missing()) }
}

/// The writes of a new key.
fn write_new(
    writes: &mut Writes,
    (account, owner): (AccountId, UniqueId),
    entropy: &Entropy,
    keys: &KeyRing,
    now: Timestamp,
) -> Result<(UniqueId, Secret<String>), Error> {
    let id = UniqueId::generate(UniqueIdKind::AccessKey, entropy, "access-key-id");
    let secret = fresh_secret(entropy, "access-key-secret");
    let sealed = keys.seal(
        &secret_aad(account, id),
        secret.expose().as_bytes(),
        entropy,
        "access-key-nonce",
    );
    let sealed = sealed.ok_or(Error::NoDataKey)?;
    let record =
        v1::AccessKey { owner: owner.to_string(), created_ms: now.ms(), secret: Some(sealed) };
    writes.put(&ACCESS_KEY, id, &record);
    let status = v1::Text { text: Status::Active.word().to_owned() };
    writes.put(&ACCESS_KEY_STATUS, id, &status);
    Ok((id, secret))
}

/// Whether nothing was ever written to an account, as far as this state knows: what is removed
/// leaves a trace.
///
/// Only such an account may be given a root key by `CreateAccount`. An account whose root key was
/// deleted is not: who may create accounts would else be root of every account that keeps no root
/// key, as AWS recommends.
pub fn is_untouched(identity: &Identity, account: AccountId) -> bool {
    identity.state().range(&Key::account_prefix(account)).next().is_none()
}

/// The first key of an account's root user: what `CreateAccount` writes to the data plane.
///
/// # Errors
/// [`Error::NoDataKey`] when the ring has no current key.
pub fn first_root_key(
    account: AccountId,
    entropy: &Entropy,
    keys: &KeyRing,
    now: Timestamp,
) -> Result<(Vec<crdt::Write>, NewAccessKey), Error> {
    let mut writes = Writes::new(account);
    let owner = UniqueId::root(account);
    let (id, secret) = write_new(&mut writes, (account, owner), entropy, keys, now)?;
    let key = NewAccessKey { user: None, id, secret, status: Status::Active, created: now };
    Ok((writes.finish(), key))
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateAccessKey { user }: &CreateAccessKey,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let owner = owner(identity, ctx, "iam:CreateAccessKey", user.as_ref())?;
    check_owner(identity, owner)?;
    let mut writes = Writes::new(account);
    // Root has none.
    writes.reassert_head(identity, owner.id);
    let count = identity.index().sources(account, owner.id).count();
    Quota::AccessKeysPerUser.allow(count + 1)?;
    let (id, secret) = write_new(&mut writes, (account, owner.id), ctx.entropy, ctx.keys, ctx.now)?;
    let key = NewAccessKey {
        user: owner_name(identity, owner),
        id,
        secret,
        status: Status::Active,
        created: ctx.now,
    };
    Ok(Outcome::written(writes, Reply::CreateAccessKey(key)))
}

/// When a key was created, and whether it may be used.
pub(crate) fn state(identity: &Identity, key: Entity) -> (Timestamp, Status) {
    let record = identity.read(&ACCESS_KEY, key);
    let created = Timestamp::from_ms(record.shown().map_or(0, |record| record.created_ms));
    let status = identity.read(&ACCESS_KEY_STATUS, key);
    let active = record.must().is_some()
        && status.must().is_some_and(|status| status.text == Status::Active.word());
    (created, if active { Status::Active } else { Status::Inactive })
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListAccessKeys { user, page }: &ListAccessKeys,
) -> Result<Listing<AccessKey>, Error> {
    let account = ctx.caller.account;
    let owner = owner(identity, ctx, "iam:ListAccessKeys", user.as_ref())?;
    let name = owner_name(identity, owner);
    let show = |id| {
        let (created, status) = state(identity, Entity { account, id });
        (page_key("", id), AccessKey { user: name.clone(), id, status, created })
    };
    Ok(page.cut(identity.index().sources(account, owner.id).map(show)))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateAccessKey { user, key_id, status }: &UpdateAccessKey,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let owner = owner(identity, ctx, "iam:UpdateAccessKey", user.as_ref())?;
    let key = key_of(identity, owner, key_id)?;
    if identity.read(&ACCESS_KEY, key).must().is_none() {
        let (noun, name) = (Noun::AccessKey, key_id.clone());
        return Err(Error::ConcurrentModification { noun, name });
    }
    let mut writes = Writes::new(account);
    let text = status.word().to_owned();
    writes.put(&ACCESS_KEY_STATUS, key.id, &v1::Text { text });
    writes.reassert_of(identity, &ACCESS_KEY, key.id, "");
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteAccessKey { user, key_id }: &DeleteAccessKey,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let owner = owner(identity, ctx, "iam:DeleteAccessKey", user.as_ref())?;
    let key = key_of(identity, owner, key_id)?;
    let mut writes = Writes::new(account);
    writes.remove_entity(identity, key.id);
    Ok(Outcome::written(writes, Reply::Done))
}
