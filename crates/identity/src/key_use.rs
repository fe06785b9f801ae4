//! When access keys were last used. AWS: `GetAccessKeyLastUsed`.
//!
//! **Invariants.** A node notes a use by its own right, and seldom: what is known may be as old as
//! `NOTED_EVERY_MS`, whatever a key does. Of uses that were noted at once the last holds; that a
//! key was deleted meanwhile stands.
//!
//! **Must not know:** how a key proves itself.

use model::{AccountId, Credential, Timestamp, UniqueId, UniqueIdKind, UserName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Noun, Outcome, Principal, Reply,
    authorize::{Extra, demand, demand_entity},
    credential::find_key,
    entity::{Entity, arn},
    field::{ACCESS_KEY, KEY_USE},
    state::Writes,
};

/// How old the use that is known of a key has to be before the next is noted: four hours. Who reads
/// with a key all day would else write all day.
const NOTED_EVERY_MS: u64 = 4 * 3_600_000;

/// Writ's own: a node notes that an access key was used with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKeyUse {
    /// The key, of the caller's account.
    pub key: UniqueId,
    /// The service that it signed for.
    pub service: String,
    /// The region; empty if it named none.
    pub region: String,
}

/// AWS: `GetAccessKeyLastUsed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetKeyLastUsed {
    /// The id of an access key, whatever it looks like.
    pub key_id: String,
}

/// A use of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// When.
    pub at: Timestamp,
    /// For which service.
    pub service: String,
    /// In which region; empty if it named none.
    pub region: String,
}

/// A key's last use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUsed {
    /// Whose key it is; `None` for the root user's.
    pub user: Option<UserName>,
    /// The last use that is known.
    pub used: Option<KeyUse>,
}

/// The last use of a key that is known.
pub(crate) fn last(identity: &Identity, key: Entity) -> Option<KeyUse> {
    let read = identity.read(&KEY_USE, key);
    let v1::KeyUse { used_ms, service, region } =
        read.may().max_by_key(|used| used.used_ms)?.clone();
    Some(KeyUse { at: Timestamp::from_ms(used_ms), service, region })
}

/// Whether a use at this time is to be noted. One that a wrong clock has put far ahead is no
/// reason not to.
pub fn is_due(identity: &Identity, account: AccountId, key: UniqueId, now: Timestamp) -> bool {
    let last = last(identity, Entity { account, id: key });
    last.is_none_or(|last| last.at.ms().abs_diff(now.ms()) >= NOTED_EVERY_MS)
}

pub(crate) fn note(
    identity: &Identity,
    ctx: &Ctx<'_>,
    NoteKeyUse { key, service, region }: &NoteKeyUse,
) -> Result<Outcome, Error> {
    let Credential::Node(_) = ctx.caller.credential else {
        let message = "Only nodes note uses of access keys".to_owned();
        return Err(Error::AccessDenied { message: message.into() });
    };
    let account = ctx.caller.account;
    let mut writes = Writes::new(account);
    let exists = identity.read(&ACCESS_KEY, Entity { account, id: *key }).must().is_some();
    if exists && is_due(identity, account, *key, ctx.now) {
        let (service, region) = (service.clone(), region.clone());
        writes.put(&KEY_USE, *key, &v1::KeyUse { used_ms: ctx.now.ms(), service, region });
    }
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetKeyLastUsed { key_id }: &GetKeyLastUsed,
) -> Result<LastUsed, Error> {
    const ACTION: &str = "iam:GetAccessKeyLastUsed";
    let account = ctx.caller.account;
    let found = find_key(identity, key_id).filter(|key| key.account == account);
    let Some(key) = found else {
        let nobody = arn(account, UniqueIdKind::User, "/", "*");
        demand(identity, ctx, ACTION, nobody.as_str(), &Extra::new())?;
        return Err(Error::NoSuchEntity { noun: Noun::AccessKey, name: key_id.clone() });
    };
    let user = match key.owner {
        Principal::User(id) => {
            let user = Entity { account, id };
            demand_entity(identity, ctx, ACTION, user, Extra::new())?;
            Some(identity.face(user).typed_name())
        }
        Principal::Root | Principal::Role(_) => {
            let root = model::Arn::iam(account, "root");
            demand(identity, ctx, ACTION, root.as_str(), &Extra::new())?;
            None
        }
    };
    Ok(LastUsed { user, used: last(identity, Entity { account, id: key.id }) })
}
