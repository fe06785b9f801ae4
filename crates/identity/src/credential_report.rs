//! The credential report of an account: who has which credentials, as comma-separated values. AWS:
//! `GenerateCredentialReport`, `GetCredentialReport`.
//!
//! **Invariants.** A report is derived from the state and says nothing that nobody could ask for
//! otherwise; it holds no secret. What is contested reads as what cannot be used.
//!
//! **Must not know:** how long a report is kept, and where.

use std::fmt::Write as _;

use model::{Timestamp, UniqueId, UniqueIdKind};

use crate::{
    Ctx, Error, Identity,
    access_key::{self, Status},
    authorize::{Extra, demand},
    entity::Entity,
    field::{LOGIN_PROFILE, SIGNING_CERTIFICATE},
    key_use::{self, KeyUse},
    mfa_device,
    password_policy::Rules,
    signing_certificate, user_credential,
};

/// AWS's columns.
const COLUMNS: &str = "user,arn,user_creation_time,password_enabled,password_last_used,\
    password_last_changed,password_next_rotation,mfa_active,access_key_1_active,\
    access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,\
    access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,\
    access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,\
    cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";
/// How many keys and certificates have columns. A merge can bring more about.
const OF_EACH: usize = 2;

/// AWS's words: what does not apply, what is not known, and what the root user cannot have.
const NONE: &str = "N/A";
const UNKNOWN: &str = "no_information";
const NOT_SUPPORTED: &str = "not_supported";

const MS_PER_DAY: u64 = 86_400_000;

/// AWS: `GenerateCredentialReport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generate;

/// AWS: `GetCredentialReport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialReport {
    /// When it was made.
    pub made: Timestamp,
    /// Comma-separated values, a line an owner, those of columns' names first.
    pub text: String,
}

/// What `GenerateCredentialReport` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Generated {
    /// This was made.
    New(CredentialReport),
    /// One is there that is new enough. Whoever keeps reports says so.
    Kept,
}

/// What `GetCredentialReport` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// That the caller may have the account's report. Whoever keeps reports puts it in its place.
    Allowed,
    /// This.
    Kept(CredentialReport),
}

pub(crate) fn generate(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Generate: &Generate,
) -> Result<Generated, Error> {
    demand(identity, ctx, "iam:GenerateCredentialReport", "*", &Extra::new())?;
    Ok(Generated::New(CredentialReport { made: ctx.now, text: text(identity, ctx) }))
}

pub(crate) fn get(identity: &Identity, ctx: &Ctx<'_>, Get: &Get) -> Result<Report, Error> {
    demand(identity, ctx, "iam:GetCredentialReport", "*", &Extra::new())?;
    Ok(Report::Allowed)
}

fn text(identity: &Identity, ctx: &Ctx<'_>) -> String {
    let account = ctx.caller.account;
    let mut users: Vec<(String, Entity)> = identity.all(account, UniqueIdKind::User).collect();
    users.sort();
    let mut text = COLUMNS.to_owned();
    text.push('\n');
    add(&mut text, root(identity, ctx));
    let max_age_days = Rules::of(identity, account).max_age_days();
    for (_, user) in users {
        add(&mut text, self::user(identity, user, max_age_days));
    }
    text
}

/// Adds a line. A name may have a comma in it.
fn add(text: &mut String, values: Vec<String>) {
    for (at, value) in values.into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let quote = if value.contains([',', '"']) { "\"" } else { "" };
        let value = value.replace('"', "\"\"");
        write!(text, "{comma}{quote}{value}{quote}").expect("a string takes all");
    }
    text.push('\n');
}

fn root(identity: &Identity, ctx: &Ctx<'_>) -> Vec<String> {
    let account = ctx.caller.account;
    let created = ctx.accounts.0.get(&account).map(|account| account.created);
    let mut values = vec![
        "<root_account>".to_owned(),
        model::Arn::iam(account, "root").to_string(),
        date(created),
    ];
    values.extend([NOT_SUPPORTED; 4].map(str::to_owned));
    values.extend(credentials(identity, Entity { account, id: UniqueId::root(account) }));
    values
}

fn user(identity: &Identity, user: Entity, max_age_days: Option<u32>) -> Vec<String> {
    let face = identity.face(user);
    let mut values = vec![face.name, face.arn.to_string(), date(Some(face.created))];
    let password = identity.read(&LOGIN_PROFILE, user);
    values.extend(match password.must() {
        Some(password) => {
            let changed = Timestamp::from_ms(password.changed_ms);
            let next = max_age_days.map(|days| changed.plus_ms(u64::from(days) * MS_PER_DAY));
            ["true".to_owned(), UNKNOWN.to_owned(), date(Some(changed)), date(next)]
        }
        None => ["false", NONE, NONE, NONE].map(str::to_owned),
    });
    values.extend(credentials(identity, user));
    values
}

/// Whether an owner has a second factor, its access keys and its certificates.
fn credentials(identity: &Identity, owner: Entity) -> Vec<String> {
    let mut devices = mfa_device::of(identity, owner);
    let proven = devices.any(|one| mfa_device::enabled_for(identity, one) == Some(owner.id));
    let mut values = vec![proven.to_string()];
    let keys = keys(identity, owner);
    for at in 0..OF_EACH {
        values.extend(key(keys.get(at)));
    }
    let certificates = certificates(identity, owner);
    for at in 0..OF_EACH {
        let one = certificates.get(at);
        values.push(one.is_some_and(|(_, status)| *status == Status::Active).to_string());
        values.push(date(one.map(|(uploaded, _)| *uploaded)));
    }
    values
}

/// The keys that an owner may have, the oldest first.
fn keys(identity: &Identity, owner: Entity) -> Vec<(Timestamp, Status, Option<KeyUse>)> {
    let Entity { account, id } = owner;
    let one = |id| {
        let key = Entity { account, id };
        let (created, status) = access_key::state(identity, key);
        (created, id, status, key_use::last(identity, key))
    };
    let mut keys: Vec<_> = identity.index().sources(account, id).map(one).collect();
    keys.sort_by_key(|(created, id, ..)| (*created, *id));
    keys.into_iter().map(|(created, _, status, used)| (created, status, used)).collect()
}

fn key(key: Option<&(Timestamp, Status, Option<KeyUse>)>) -> [String; 5] {
    let Some((created, status, used)) = key else {
        return ["false", NONE, NONE, NONE, NONE].map(str::to_owned);
    };
    let some = |text: Option<&String>| {
        text.filter(|text| !text.is_empty()).map_or(NONE, String::as_str).to_owned()
    };
    [
        (*status == Status::Active).to_string(),
        date(Some(*created)),
        date(used.as_ref().map(|used| used.at)),
        some(used.as_ref().map(|used| &used.region)),
        some(used.as_ref().map(|used| &used.service)),
    ]
}

/// The signing certificates that an owner may have, the oldest first.
fn certificates(identity: &Identity, owner: Entity) -> Vec<(Timestamp, Status)> {
    let all = user_credential::all(identity, &SIGNING_CERTIFICATE, owner).into_iter();
    let mut certificates: Vec<_> = all
        .map(|(id, record)| {
            let uploaded = record.shown().map_or(0, |record| record.uploaded_ms);
            (uploaded, signing_certificate::status(identity, owner, &id))
        })
        .collect();
    certificates.sort_by_key(|(uploaded, _)| *uploaded);
    certificates.into_iter().map(|(ms, status)| (Timestamp::from_ms(ms), status)).collect()
}

/// A date as AWS's reports have it.
fn date(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NONE.to_owned(), |at| at.to_string().replace('Z', "+00:00"))
}
