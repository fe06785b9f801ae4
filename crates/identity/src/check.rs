//! May that principal do this? A question about any principal, as a policy enforcement point asks
//! it.
//!
//! **Invariants.** The answer is never wider than what the principal would meet: what a question
//! leaves open about a role's session is unknown, so that it may deny and cannot allow (DESIGN
//! §4). What is derived from the principal is not taken from the question.
//!
//! **Must not know:** who asks.

use std::sync::Arc;

use model::{AccountId, Arn, Credential, SessionName, Timestamp, UniqueId, UniqueIdKind, fold};
use policy::{
    Context, ContextValue, Decision, Explanation, Layer, Layers, Request, Verdict, evaluate,
};

use crate::{
    Accounts, Caller, Error, Identity, Noun, Prepared, Principal,
    authorize::{allowed, find_arn},
    effective::layers,
    principal::{ISSUED, insert_principal, insert_time, is_for_proven, is_for_temporary},
    second_factor::{self, Presence},
    web_identity::possible_keys,
};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRequest {
    /// The ARN of a user, a role, a role session or an account's root, or a unique id; a role
    /// session's is `AROA…:SESSION`.
    pub principal: String,
    /// `service:Action`.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
    /// Condition keys. Those that are derived from the principal are not taken from here.
    pub context: Vec<(String, Vec<String>)>,
}

/// Decides whether a principal may do an action on a resource, by its identity policies.
///
/// A **user** or **root** is asked about as one that signs with a long-term key, unless the
/// question gives `aws:TokenIssueTime`: then as a session of `GetSessionToken`, which calls nothing
/// of IAM unless the question says `aws:MultiFactorAuthPresent`.
///
/// A **role** acts in sessions only. Asked about by the role's ARN or unique id, the answer is what
/// a session may do that has neither session policies nor session tags. When the session was issued
/// (`aws:TokenIssueTime`) is what the question says, else unknown: a deny of older sessions then
/// applies to a question that does not say how old the session is. `aws:userid`, which has the
/// session's name in it, is unknown, and so is what an identity provider of the account may say of
/// whom the session is for, unless the question says it.
///
/// A **role session**, asked about by its ARN or user id, has session policies and tags that only
/// its token tells. They are unknown, as is its source identity unless the question says it. Since
/// a session policy could forbid anything, nothing is allowed: the answer is an explicit deny if
/// some policy denies or may deny, else an implicit one of [`Layer::Session`].
///
/// # Errors
/// [`Error::NoSuchEntity`] when the principal names nobody in these accounts.
pub fn check(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    request: &CheckRequest,
) -> Result<Decision, Error> {
    by_layers(identity, accounts, now, request, |decision| decision, evaluate)
}

/// The verdict of [`check`], by policies that `prepared` gives of the principal: those of this
/// state, or earlier ones that still stand; a principal for which it gives none may do nothing,
/// unless it is root. Within the same number of steps this decides more.
///
/// # Errors
/// As [`check`].
pub fn verdict(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    request: &CheckRequest,
    prepared: impl FnOnce(&Caller) -> Option<Arc<Prepared>>,
) -> Result<Verdict, Error> {
    let bare = |decision: Decision| decision.verdict;
    ask(identity, accounts, now, request, bare, |Asked { caller, session }, request| {
        let decided = prepared(caller)?.decide(request);
        Some(match (decided, session) {
            (Verdict::Allow, Some(_)) => Verdict::ImplicitDeny { layer: Layer::Session },
            (decided, _) => decided,
        })
    })
}

/// [`check`], and why the answer is what it is.
///
/// # Errors
/// As [`check`].
pub fn explain(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    request: &CheckRequest,
) -> Result<Explanation, Error> {
    by_layers(identity, accounts, now, request, Explanation::bare, policy::explain)
}

/// What `decide` makes of the principal's policies as they are.
fn by_layers<T>(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    request: &CheckRequest,
    bare: fn(Decision) -> T,
    decide: fn(&Layers, &Request<'_>) -> T,
) -> Result<T, Error> {
    ask(identity, accounts, now, request, bare, |Asked { caller, session }, request| {
        let mut layers = layers(identity, caller)?;
        // A layer without a source allows nothing.
        layers.session = session.is_some().then(Vec::new);
        Some(decide(&layers, request))
    })
}

/// What `decide` makes of a question, or `bare` of what no policy decides.
fn ask<T>(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    request: &CheckRequest,
    bare: fn(Decision) -> T,
    decide: impl FnOnce(&Asked, &Request<'_>) -> Option<T>,
) -> Result<T, Error> {
    let CheckRequest { principal, action, resource, context: given } = request;
    let asked = resolve(identity, accounts, principal)
        .ok_or_else(|| Error::NoSuchEntity { noun: Noun::Principal, name: principal.clone() })?;
    let Asked { caller, session } = &asked;
    let context = context_of(identity, now, caller, session.as_ref(), given);
    if let Some(decision) = precluded(identity, caller, &context, action) {
        return Ok(bare(decision));
    }
    let decided = decide(&asked, &Request { action, resource, context: &context });
    let undecided = || match caller.entity() {
        None => allowed(),
        Some(_) => implicit(Layer::Identity),
    };
    Ok(decided.unwrap_or_else(|| bare(undecided())))
}

/// The condition keys of a question about a principal.
pub(crate) fn context_of(
    identity: &Identity,
    now: Timestamp,
    caller: &Caller,
    session: Option<&SessionName>,
    given: &[(String, Vec<String>)],
) -> Context {
    let mut context = Context::new();
    insert_time(&mut context, now);
    for (key, values) in given {
        if !is_derived(key) {
            context.insert_many(key, values.clone());
        }
    }
    insert_principal(&mut context, identity, caller, now);
    match caller.principal {
        Principal::Role(id) => {
            insert_session(&mut context, id, session, now);
            // Whether an identity provider vouches for somebody, and what it says, is open as well.
            for key in possible_keys(identity, caller.account) {
                if context.get(&key).is_none() {
                    context.insert_unknown(&key);
                }
            }
        }
        Principal::Root | Principal::User(_) if context.get(ISSUED).is_some() => {
            second_factor::insert(&mut context, Presence::Absent, now);
        }
        Principal::Root | Principal::User(_) => {}
    }
    context
}

/// What no policy decides: a principal that must not act, and what a session of `GetSessionToken`
/// cannot call.
pub(crate) fn precluded(
    identity: &Identity,
    caller: &Caller,
    context: &Context,
    action: &str,
) -> Option<Decision> {
    if caller.check_can_act(identity).is_err() {
        return Some(implicit(Layer::Identity));
    }
    let temporary = match caller.principal {
        Principal::Root | Principal::User(_) => context.get(ISSUED).is_some(),
        Principal::Role(_) => false,
    };
    let proven = match context.get(second_factor::PRESENT) {
        Some(ContextValue::Known(values)) => *values == ["true"],
        Some(ContextValue::Unknown) | None => false,
    };
    let may = if proven { is_for_proven(action) } else { is_for_temporary(action) };
    (temporary && !may).then(|| implicit(Layer::Session))
}

fn implicit(layer: Layer) -> Decision {
    let verdict = Verdict::ImplicitDeny { layer };
    Decision { verdict, statements: Vec::new(), grant: None }
}

/// The condition keys of a role's session, as far as a question tells them.
fn insert_session(
    context: &mut Context,
    role: UniqueId,
    session: Option<&SessionName>,
    now: Timestamp,
) {
    let mut unless_given = vec![ISSUED];
    match session {
        Some(session) => {
            context.insert("aws:userid", format!("{role}:{session}"));
            context.insert_unknown_under("aws:PrincipalTag/");
            unless_given.push("aws:SourceIdentity");
        }
        None => context.insert_unknown("aws:userid"),
    }
    // Sessions are made without a second factor, unless the question knows better.
    second_factor::insert(context, Presence::Absent, now);
    for key in unless_given {
        if context.get(key).is_none() {
            context.insert_unknown(key);
        }
    }
}

/// Whether a condition key is the principal's, which the asker does not say.
fn is_derived(key: &str) -> bool {
    let key = fold(key);
    key.starts_with("aws:principal") || key == "aws:username" || key == "aws:userid"
}

/// The account that a principal's ARN or unique id belongs to, if it exists here.
pub fn principal_account(
    identity: &Identity,
    accounts: &Accounts,
    principal: &str,
) -> Option<AccountId> {
    resolve(identity, accounts, principal).map(|asked| asked.caller.account)
}

/// Who is asked about.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    /// Of a role's session its name; all that is known of it.
    pub(crate) session: Option<SessionName>,
}

/// Who is meant by an ARN or a unique id.
pub(crate) fn resolve(identity: &Identity, accounts: &Accounts, text: &str) -> Option<Asked> {
    let (account, principal, session) = if let Ok(arn) = text.parse::<Arn>() {
        let account: AccountId = arn.account().parse().ok()?;
        if arn == Arn::iam(account, "root") {
            (account, Principal::Root, None)
        } else {
            let (entity, session) = find_arn(identity, &arn)?;
            (account, principal_of(entity.id)?, session)
        }
    } else {
        let (id, session) = match text.split_once(':') {
            None => (text, None),
            Some((id, session)) => (id, Some(session.parse().ok()?)),
        };
        let id: UniqueId = id.parse().ok()?;
        if id.kind() == Some(UniqueIdKind::Root) {
            let account = accounts.0.keys().find(|account| UniqueId::root(**account) == id)?;
            (*account, Principal::Root, session)
        } else {
            (identity.index().account_of(id)?, principal_of(id)?, session)
        }
    };
    accounts.0.get(&account)?;
    match (principal, &session) {
        (Principal::Root | Principal::User(_), Some(_)) => return None,
        (Principal::Root | Principal::User(_), None) | (Principal::Role(_), _) => {}
    }
    let caller = Caller { account, principal, credential: Credential::Node(0), session: None };
    Some(Asked { caller, session })
}

pub(crate) fn principal_of(id: UniqueId) -> Option<Principal> {
    match id.kind()? {
        UniqueIdKind::User => Some(Principal::User(id)),
        UniqueIdKind::Role => Some(Principal::Role(id)),
        UniqueIdKind::Root
        | UniqueIdKind::Group
        | UniqueIdKind::Policy
        | UniqueIdKind::InstanceProfile
        | UniqueIdKind::ServerCertificate
        | UniqueIdKind::OidcProvider
        | UniqueIdKind::SamlProvider
        | UniqueIdKind::MfaDevice
        | UniqueIdKind::AccessKey
        | UniqueIdKind::SessionKey => None,
    }
}
