//! Service-specific credentials of users: a user name and a password, or an API key, for one
//! service alone. AWS: `CreateServiceSpecificCredential`, `ListServiceSpecificCredentials`,
//! `UpdateServiceSpecificCredential`, `ResetServiceSpecificCredential`,
//! `DeleteServiceSpecificCredential`.
//!
//! **Invariants.** The secret is stored sealed, and leaves in the answers to
//! `CreateServiceSpecificCredential` and `ResetServiceSpecificCredential` only. What has expired
//! is told by the time of who asks.
//!
//! **Must not know:** what the services do.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::{Constraint, Entropy, Secret, Timestamp, UniqueIdKind, UserName, fold};
use policy::ContextValue;
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRing, Listing, Noun, Outcome, Page, Quota, Reply,
    access_key::Status,
    authorize::{demand, demand_named},
    entity::{Entity, arn},
    field::SERVICE_CREDENTIAL,
    state::Writes,
    user,
    user_credential::{self, UserCredential},
};

const MS_PER_DAY: u64 = 86_400_000;

/// A service that has credentials of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// AWS: `codecommit.amazonaws.com`.
    CodeCommit,
    /// AWS: `cassandra.amazonaws.com`.
    Keyspaces,
    /// AWS: `bedrock.amazonaws.com`.
    Bedrock,
    /// AWS: `logs.amazonaws.com`.
    Logs,
}

impl Service {
    /// AWS's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CodeCommit => "codecommit.amazonaws.com",
            Self::Keyspaces => "cassandra.amazonaws.com",
            Self::Bedrock => "bedrock.amazonaws.com",
            Self::Logs => "logs.amazonaws.com",
        }
    }

    fn of(name: &str) -> Result<Self, Error> {
        [Self::CodeCommit, Self::Keyspaces, Self::Bedrock, Self::Logs]
            .into_iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| Error::NoSuchEntity { noun: Noun::Service, name: name.to_owned() })
    }

    /// Whether its credentials are API keys, which may expire, and not names with passwords.
    fn has_api_keys(self) -> bool {
        matches!(self, Self::Bedrock | Self::Logs)
    }
}

/// For how long a credential can be used: 1 to 36600 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeDays(u32);

impl AgeDays {
    /// The least number of days.
    pub const MIN: i64 = 1;
    /// The greatest.
    pub const MAX: i64 = 36_600;

    /// Checks a number of days.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn new(days: i64) -> Result<Self, Constraint> {
        if days < Self::MIN {
            return Err(Constraint::MinValue(Self::MIN));
        }
        match u32::try_from(days) {
            Ok(days) if i64::from(days) <= Self::MAX => Ok(Self(days)),
            Ok(_) | Err(_) => Err(Constraint::MaxValue(Self::MAX)),
        }
    }
}

/// AWS: `CreateServiceSpecificCredential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateServiceCredential {
    /// Whose.
    pub user: UserName,
    /// The service's name, whatever it looks like.
    pub service: String,
    /// When an API key expires; never if it is `None`.
    pub age: Option<AgeDays>,
}

/// Whose credentials are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// A user's; `None` for the caller's.
    One(Option<UserName>),
    /// All users'.
    All,
}

/// AWS: `ListServiceSpecificCredentials`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListServiceCredentials {
    /// Whose.
    pub owners: Owners,
    /// For which service; for any if it is `None`.
    pub service: Option<String>,
    /// Which part.
    pub page: Page,
}

/// AWS: `UpdateServiceSpecificCredential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateServiceCredential {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The credential's id.
    pub id: String,
    /// What it shall be.
    pub status: Status,
}

/// AWS: `ResetServiceSpecificCredential`, `DeleteServiceSpecificCredential`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneServiceCredential {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// The credential's id.
    pub id: String,
}

/// Whether a credential can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceCredentialStatus {
    /// As it was set; a contested one is inactive.
    Set(Status),
    /// It has expired.
    Expired,
}

impl ServiceCredentialStatus {
    /// AWS's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Set(status) => status.word(),
            Self::Expired => "Expired",
        }
    }
}

/// A credential as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCredential {
    /// Whose.
    pub user: UserName,
    /// Its id.
    pub id: String,
    /// The service's name.
    pub service: String,
    /// What the service knows it by.
    pub name: ServiceName,
    /// Whether it can be used.
    pub status: ServiceCredentialStatus,
    /// When it was created.
    pub created: Timestamp,
    /// When it expires.
    pub expires: Option<Timestamp>,
}

/// What a service knows a credential by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceName {
    /// A user name that goes with a password.
    UserName(String),
    /// The public part of an API key.
    Alias(String),
}

/// A credential that was just made or reset, with the only copy of its secret that is ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewServiceCredential {
    /// What is shown later too.
    pub credential: ServiceCredential,
    /// The password or API key.
    pub secret: Secret<String>,
}

fn credential(owner: Entity, id: &str) -> UserCredential<'_, v1::ServiceCredential> {
    UserCredential { field: &SERVICE_CREDENTIAL, noun: Noun::ServiceCredential, owner, id }
}

fn show(
    identity: &Identity,
    now: Timestamp,
    owner: Entity,
    id: &str,
    record: &v1::ServiceCredential,
) -> ServiceCredential {
    let v1::ServiceCredential { created_ms, service, name, expires_ms, secret: _ } = record;
    let api_key = Service::of(service).is_ok_and(Service::has_api_keys);
    let expires = (*expires_ms > 0).then(|| Timestamp::from_ms(*expires_ms));
    ServiceCredential {
        user: identity.face(owner).typed_name(),
        id: id.to_owned(),
        service: service.clone(),
        name: match api_key {
            true => ServiceName::Alias(name.clone()),
            false => ServiceName::UserName(name.clone()),
        },
        status: match expires {
            Some(expires) if expires <= now => ServiceCredentialStatus::Expired,
            Some(_) | None => ServiceCredentialStatus::Set(credential(owner, id).status(identity)),
        },
        created: Timestamp::from_ms(*created_ms),
        expires,
    }
}

/// A fresh secret: a password of 60 characters, or an API key that names its alias.
fn fresh_secret(entropy: &Entropy, service: Service, name: &str) -> Secret<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let random = entropy.text("service-secret", ALPHABET, 59);
    Secret::new(match service.has_api_keys() {
        true => format!("ABSK{}", STANDARD.encode(format!("{name}:{random}"))),
        false => format!("{random}="),
    })
}

fn seal(
    keys: &KeyRing,
    entropy: &Entropy,
    owner: Entity,
    id: &str,
    secret: &Secret<String>,
) -> Result<v1::Sealed, Error> {
    let aad = format!("{}|{}|{id}|service_secret", owner.account, owner.id);
    let sealed = keys.seal(&aad, secret.expose().as_bytes(), entropy, "service-secret-nonce");
    sealed.ok_or(Error::NoDataKey)
}

/// The name of a user's next credential for a service: `bob-at-123456789012`, or `bob+1-at-…` if
/// that is taken.
fn fresh_name(user: &str, owner: Entity, taken: &[&v1::ServiceCredential]) -> String {
    let mut number = 0;
    loop {
        let suffix = if number == 0 { String::new() } else { format!("+{number}") };
        let name = format!("{user}{suffix}-at-{}", owner.account);
        if taken.iter().all(|other| other.name != name) {
            return name;
        }
        number += 1;
    }
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateServiceCredential { user, service, age }: &CreateServiceCredential,
) -> Result<Outcome, Error> {
    let action = "iam:CreateServiceSpecificCredential";
    let known = |value: String| ContextValue::Known(vec![value]);
    let mut extra =
        vec![("iam:ServiceSpecificCredentialServiceName".to_owned(), known(service.clone()))];
    if let Some(AgeDays(days)) = age {
        extra.push(("iam:ServiceSpecificCredentialAgeDays".to_owned(), known(days.to_string())));
    }
    demand_named(identity, ctx, action, user, extra)?;
    let owner = identity.must_find(ctx.caller.account, user)?;
    let service = Service::of(service)?;
    if age.is_some() && !service.has_api_keys() {
        return Err(Error::NoExpiry { service: service.name().to_owned() });
    }
    let all = user_credential::all(identity, &SERVICE_CREDENTIAL, owner);
    let same: Vec<&v1::ServiceCredential> = all
        .iter()
        .flat_map(|(_, other)| other.may())
        .filter(|other| other.service == service.name())
        .collect();
    Quota::ServiceCredentialsPerUser.allow(same.len() + 1)?;
    let id = user_credential::fresh_id("ACCA", 17, ctx.entropy, "service-credential-id");
    let name = fresh_name(&identity.face(owner).name, owner, &same);
    let secret = fresh_secret(ctx.entropy, service, &name);
    let expires_ms =
        age.map_or(0, |AgeDays(days)| ctx.now.plus_ms(u64::from(days) * MS_PER_DAY).ms());
    let record = v1::ServiceCredential {
        created_ms: ctx.now.ms(),
        service: service.name().to_owned(),
        name,
        expires_ms,
        secret: Some(seal(ctx.keys, ctx.entropy, owner, &id, &secret)?),
    };
    let mut writes = Writes::new(owner.account);
    credential(owner, &id).put(identity, &mut writes, &record);
    let shown = ServiceCredential {
        status: ServiceCredentialStatus::Set(Status::Active),
        ..show(identity, ctx.now, owner, &id, &record)
    };
    let new = NewServiceCredential { credential: shown, secret };
    Ok(Outcome::written(writes, Reply::CreateServiceSpecificCredential(new)))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListServiceCredentials { owners, service, page }: &ListServiceCredentials,
) -> Result<Listing<ServiceCredential>, Error> {
    let action = "iam:ListServiceSpecificCredentials";
    let account = ctx.caller.account;
    let owners: Vec<Entity> = match owners {
        Owners::One(user) => vec![user::named_or_own(identity, ctx, action, user.as_ref())?],
        Owners::All => {
            let everybody = arn(account, UniqueIdKind::User, "/", "*");
            demand(identity, ctx, action, everybody.as_str(), &Vec::new())?;
            let users = identity.index().heads(account, UniqueIdKind::User);
            users.map(|id| Entity { account, id }).collect()
        }
    };
    let service = service.as_deref().map(Service::of).transpose()?;
    let of_owner = |owner: Entity| {
        let fold = fold(&identity.face(owner).name);
        let all = user_credential::all(identity, &SERVICE_CREDENTIAL, owner).into_iter();
        all.filter_map(move |(id, record)| {
            // What this version cannot read has no service to show.
            let shown = show(identity, ctx.now, owner, &id, record.shown()?);
            Some((format!("{fold} {} {id}", owner.id), shown))
        })
    };
    let wanted = |(_, shown): &(String, ServiceCredential)| {
        service.is_none_or(|service| shown.service == service.name())
    };
    Ok(page.cut(owners.into_iter().flat_map(of_owner).filter(wanted)))
}

pub(crate) fn update(
    identity: &Identity,
    ctx: &Ctx<'_>,
    UpdateServiceCredential { user, id, status }: &UpdateServiceCredential,
) -> Result<Outcome, Error> {
    let action = "iam:UpdateServiceSpecificCredential";
    let owner = user::named_or_own(identity, ctx, action, user.as_ref())?;
    Ok(Outcome::written(credential(owner, id).switch(identity, *status)?, Reply::Done))
}

/// A new secret settles which of two that were made at once is right; one that may be deleted stays
/// so.
pub(crate) fn reset(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneServiceCredential { user, id }: &OneServiceCredential,
) -> Result<Outcome, Error> {
    let action = "iam:ResetServiceSpecificCredential";
    let owner = user::named_or_own(identity, ctx, action, user.as_ref())?;
    let before = credential(owner, id).kept(identity)?;
    let service = Service::of(&before.service)?;
    let secret = fresh_secret(ctx.entropy, service, &before.name);
    let sealed = seal(ctx.keys, ctx.entropy, owner, id, &secret)?;
    let record = v1::ServiceCredential { secret: Some(sealed), ..before };
    let mut writes = Writes::new(owner.account);
    writes.put_of(&SERVICE_CREDENTIAL, owner.id, id, &record);
    writes.reassert_head(identity, owner.id);
    let shown = ServiceCredential {
        status: match show(identity, ctx.now, owner, id, &record).status {
            ServiceCredentialStatus::Expired => ServiceCredentialStatus::Expired,
            ServiceCredentialStatus::Set(_) => {
                ServiceCredentialStatus::Set(credential(owner, id).switched(identity))
            }
        },
        ..show(identity, ctx.now, owner, id, &record)
    };
    let new = NewServiceCredential { credential: shown, secret };
    Ok(Outcome::written(writes, Reply::ResetServiceSpecificCredential(new)))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneServiceCredential { user, id }: &OneServiceCredential,
) -> Result<Outcome, Error> {
    let action = "iam:DeleteServiceSpecificCredential";
    let owner = user::named_or_own(identity, ctx, action, user.as_ref())?;
    Ok(Outcome::written(credential(owner, id).delete(identity)?, Reply::Done))
}
