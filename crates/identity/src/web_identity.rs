//! Sessions of whom an OpenID Connect provider vouches for. AWS STS: `AssumeRoleWithWebIdentity`.
//!
//! **Invariants.** Nobody calls: a token is all that is known of who asks. Its signature is
//! verified before, with a key of the issuer that it names; all else is decided here, in one state:
//! that the role's account has that issuer as a provider, which is beyond doubt and has no rival,
//! that the issuer's host had a certificate that each side of the thumbprints takes, that the token
//! is for a client id that the provider must have, that its time has come and is not over, and
//! what the role's trust policy says. Whether a role exists shows only to whom it trusts.
//!
//! **Must not know:** signatures, where keys come from.

mod token;

use model::{AccountId, Arn, Entropy, Secret, SessionName, Timestamp, UniqueIdKind};
use policy::{Context, ContextValue, Request, evaluate_federated};
use thiserror::Error as ThisError;
use wire::v1;

pub use self::token::{KeySource, TokenClaims, VerifiedToken};
use crate::{
    Accounts, Error, Identity, KeyRing, Quota, Read, RequestContext,
    authorize::{find_arn, request_tags, resource_tags},
    entity::Entity,
    field::{OIDC_CLIENT_ID, OIDC_THUMBPRINTS, TRUST_POLICY},
    policy::PolicyArn,
    principal::{FEDERATED_PROVIDER, request_context},
    role::max_session_duration,
    sts::{Credentials, Duration, check_session_policy, mint, session_policies, session_tags},
    tag,
};

/// Why a token gives no session.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum TokenRefusal {
    /// AWS: `InvalidIdentityToken`.
    #[error("it is no JSON web token")]
    NotAToken,
    /// AWS: `InvalidIdentityToken`.
    #[error("it lacks the claim `{name}`")]
    MissingClaim {
        /// The claim.
        name: &'static str,
    },
    /// AWS: `InvalidIdentityToken`.
    #[error("its claim `{name}` is malformed, or not supported")]
    WrongClaim {
        /// The claim.
        name: &'static str,
    },
    /// AWS: `InvalidIdentityToken`.
    #[error("`{issuer}` is no provider of the role's account")]
    NoProvider {
        /// Who issued the token, as it says itself.
        issuer: String,
    },
    /// AWS: `InvalidIdentityToken`: no key of the issuer's verifies it.
    #[error("no key of its issuer verifies it")]
    NoKey,
    /// AWS: `InvalidIdentityToken`: the issuer's host has no certificate that it must have.
    #[error("its issuer's host has another certificate")]
    Thumbprint,
    /// AWS: `InvalidIdentityToken`.
    #[error("it is for somebody else")]
    Audience,
    /// AWS: `InvalidIdentityToken`.
    #[error("it is not valid yet")]
    NotYet,
    /// AWS: `ExpiredTokenException`.
    #[error("it expired at {expired}, and it is {now}")]
    Expired {
        /// The time.
        now: Timestamp,
        /// When it expired.
        expired: Timestamp,
    },
    /// AWS: `IDPCommunicationError`.
    #[error("its issuer cannot be asked for keys")]
    Unreachable,
    /// AWS: `AccessDenied`.
    #[error("the role does not let it do {action}")]
    NotAuthorized {
        /// What the trust policy does not allow.
        action: &'static str,
    },
}

/// AWS: `AssumeRoleWithWebIdentity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRoleWithWebIdentity {
    /// The role.
    pub role_arn: Arn,
    /// The session's name.
    pub session_name: SessionName,
    /// Who vouches for whom, signed. Whoever verifies it makes it a [`VerifiedToken`].
    pub token: Secret<String>,
    /// How long the session shall last; one hour if `None`.
    pub duration: Option<Duration<43_200>>,
    /// The text of a session policy.
    pub policy: Option<String>,
    /// Managed policies of the role's account that limit the session as well.
    pub policy_arns: Vec<PolicyArn>,
}

/// A session of whom a provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentitySession {
    /// Its credentials.
    pub credentials: Credentials,
    /// For whom it is, as the token says.
    pub subject: String,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: Arn,
    /// `AROA…:SESSION`.
    pub assumed_role_id: String,
    /// How full the session policies are, in per cent; `None` without any.
    pub packed_policy_size: Option<usize>,
    /// The provider's ARN.
    pub provider: Arn,
    /// For which client the token was.
    pub audience: String,
    /// Who it says is behind the session.
    pub source_identity: Option<String>,
}

/// What a call takes that nobody signed: [`crate::Ctx`] without a caller.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    /// The time.
    pub now: Timestamp,
    /// All that is random in the call.
    pub entropy: &'a Entropy,
    /// The request.
    pub request: &'a RequestContext,
    /// Data keys; empty at a read replica.
    pub keys: &'a KeyRing,
    /// The control plane's part.
    pub accounts: &'a Accounts,
}

/// Whether a role's account has the issuer of a token as a provider: only then is the issuer to be
/// asked for keys. Nothing is decided by it: [`assume`] looks again.
///
/// # Errors
/// [`TokenRefusal::NoProvider`].
pub fn knows_issuer(
    identity: &Identity,
    accounts: &Accounts,
    role: &Arn,
    claims: &TokenClaims,
) -> Result<(), Error> {
    find_provider(identity, accounts, role, claims).map(|_| ()).map_err(Error::Token)
}

fn find_provider(
    identity: &Identity,
    accounts: &Accounts,
    role: &Arn,
    claims: &TokenClaims,
) -> Result<Entity, TokenRefusal> {
    let name = claims.issuer.as_str();
    let account: Option<AccountId> = role.account().parse().ok();
    let account = account.filter(|account| accounts.0.contains_key(account));
    let kind = UniqueIdKind::OidcProvider;
    // Of a URL the path has case, so that another spelling is another issuer.
    let found = account.and_then(|account| identity.find_by_spelling(account, kind, name));
    let found = found.filter(|provider| identity.can_act(*provider));
    found.ok_or_else(|| TokenRefusal::NoProvider { issuer: format!("https://{name}") })
}

/// Refuses keys of a host that has none of the certificates that a side of the thumbprints asks
/// for. A list that nobody can read is one that no host satisfies.
fn check_host(
    identity: &Identity,
    provider: Entity,
    source: &KeySource,
) -> Result<(), TokenRefusal> {
    let KeySource::Host(shown) = source else { return Ok(()) };
    let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    let satisfies = |v1::Thumbprints { sha1 }: &v1::Thumbprints| {
        sha1.is_empty() || sha1.iter().any(|one| shown.contains(one))
    };
    let satisfied = match identity.read(&OIDC_THUMBPRINTS, provider) {
        Read::Absent => false,
        Read::Known(list) => satisfies(&list),
        Read::Contested(sides) => sides.iter().all(|side| side.as_ref().is_some_and(satisfies)),
    };
    satisfied.then_some(()).ok_or(TokenRefusal::Thumbprint)
}

/// What conditions see of a subject, after the provider's name and a colon. AWS: "Available keys
/// for AWS OIDC federation".
const SUBJECT_KEYS: [&str; 6] = ["aud", "oaud", "azp", "sub", "amr", EMAIL];
const EMAIL: &str = "email";

/// The condition keys that a session of an account's role may have by an identity provider.
pub(crate) fn possible_keys(
    identity: &Identity,
    account: AccountId,
) -> impl Iterator<Item = String> {
    let providers = identity.all(account, UniqueIdKind::OidcProvider);
    let keys = providers.flat_map(|(_, provider)| {
        let name = identity.face(provider).name;
        SUBJECT_KEYS.map(|key| format!("{name}:{key}"))
    });
    keys.chain([FEDERATED_PROVIDER.to_owned()])
}

/// What the token says of its subject, as condition keys: with `azp`, `aud` is that, and `oaud` the
/// token's own. One without values is unknown.
fn subject_keys(claims: &TokenClaims, audience: &str) -> Vec<(String, Vec<String>)> {
    let TokenClaims { issuer, subject, audiences, authorized, methods, email, .. } = claims;
    let original = authorized.as_ref().map(|_| audiences.clone()).unwrap_or_default();
    // An address that its issuer does not know to be the subject's is nobody's in particular.
    let (verified, unverified) = match email {
        Some((email, true)) => (vec![email.clone()], false),
        Some((_, false)) => (Vec::new(), true),
        None => (Vec::new(), false),
    };
    let values = [
        vec![audience.to_owned()],
        original,
        authorized.iter().cloned().collect(),
        vec![subject.clone()],
        methods.clone(),
        verified,
    ];
    let keys = SUBJECT_KEYS.into_iter().zip(values);
    keys.filter(|(name, values)| !values.is_empty() || (unverified && *name == EMAIL))
        .map(|(name, values)| (format!("{issuer}:{name}"), values))
        .collect()
}

/// Carries out the call for a token that was verified.
///
/// # Errors
/// Each [`TokenRefusal`], and what is wrong with the session that is asked for.
pub fn assume(
    identity: &Identity,
    unsigned: &Unsigned<'_>,
    call: &AssumeRoleWithWebIdentity,
    VerifiedToken { claims, source }: &VerifiedToken,
) -> Result<WebIdentitySession, Error> {
    let Unsigned { now, entropy, request: _, keys, accounts } = *unsigned;
    let provider =
        find_provider(identity, accounts, &call.role_arn, claims).map_err(Error::Token)?;
    check_host(identity, provider, source).map_err(Error::Token)?;
    claims.check_time(now).map_err(Error::Token)?;
    let is_client = |id: &str| identity.read_of(&OIDC_CLIENT_ID, provider, id).must().is_some();
    let audience = claims.audience(is_client).ok_or(Error::Token(TokenRefusal::Audience))?;
    let subject_keys = subject_keys(claims, audience);
    let provider = identity.face(provider).arn;
    let role = permit(identity, unsigned, call, (claims, &provider, &subject_keys))?;
    tag::check(&claims.tags)?;
    let secs = call.duration.map_or(3600, Duration::secs);
    let max_secs = max_session_duration(identity, role).secs();
    if secs > max_secs {
        return Err(Error::DurationExceedsRoleMax { max_secs });
    }
    let policy_chars = check_session_policy(call.policy.as_deref())?;
    let policy_ids = session_policies(identity, &call.policy_arns, role.account)?;
    let (name, session) = (identity.face(role).name, call.session_name.as_str());
    let source_identity = claims.source_identity.as_ref().map(ToString::to_string);
    let to_message = |(key, values)| v1::SessionKey { key, values };
    let session_claims = v1::SessionClaims {
        principal: role.id.to_string(),
        session_name: session.to_owned(),
        policies: call.policy.iter().cloned().collect(),
        policy_arns: call.policy_arns.iter().map(ToString::to_string).collect(),
        policy_ids: policy_ids.iter().map(ToString::to_string).collect(),
        tags: session_tags(&claims.tags),
        source_identity: source_identity.clone().unwrap_or_default(),
        assumed_by: provider.to_string(),
        parent_key: FEDERATED_PROVIDER.to_owned(),
        federated_keys: subject_keys.into_iter().map(to_message).collect(),
        ..v1::SessionClaims::default()
    };
    Ok(WebIdentitySession {
        credentials: mint((now, entropy, keys), role.account, secs, session_claims)?,
        subject: claims.subject.clone(),
        arn: Arn::sts(role.account, format_args!("assumed-role/{name}/{session}")),
        assumed_role_id: format!("{}:{session}", role.id),
        packed_policy_size: policy_chars.map(|chars| chars * 100 / Quota::SessionPolicySize.max()),
        provider,
        audience: audience.to_owned(),
        source_identity,
    })
}

/// Asks the role's trust policy for all that the token brings. A role that there is not trusts
/// nobody.
fn permit(
    identity: &Identity,
    unsigned: &Unsigned<'_>,
    call: &AssumeRoleWithWebIdentity,
    (claims, provider, subject_keys): (&TokenClaims, &Arn, &[(String, Vec<String>)]),
) -> Result<Entity, Error> {
    let mut actions = vec!["sts:AssumeRoleWithWebIdentity"];
    if !claims.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if claims.source_identity.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    let refused = |action| Error::Token(TokenRefusal::NotAuthorized { action });
    let found = find_arn(identity, &call.role_arn).filter(|(role, session)| {
        session.is_none() && role.id.kind() == Some(UniqueIdKind::Role) && identity.can_act(*role)
    });
    let (role, _) = found.ok_or(refused("sts:AssumeRoleWithWebIdentity"))?;
    let sides = identity.document(&TRUST_POLICY, role, "");
    // A policy that may have been removed trusts nobody.
    let stored: Option<Vec<_>> = sides.iter().map(Option::as_ref).collect();
    let stored = stored.filter(|stored| !stored.is_empty());
    let stored = stored.ok_or(refused("sts:AssumeRoleWithWebIdentity"))?;
    let alternatives: Vec<_> = stored.iter().map(|stored| stored.document.clone()).collect();
    let mut context = request_context(unsigned.request, unsigned.now);
    let mut extra = request_tags(&claims.tags);
    extra.extend(resource_tags(identity, role));
    for (key, value) in extra {
        match value {
            ContextValue::Known(values) => context.insert_many(&key, values),
            ContextValue::Unknown => context.insert_unknown(&key),
        }
    }
    context.insert("sts:RoleSessionName", call.session_name.as_str());
    if let Some(source) = &claims.source_identity {
        context.insert("sts:SourceIdentity", source.as_str());
    }
    insert_federation(&mut context, provider.as_str(), subject_keys);
    for action in actions {
        let request = Request { action, resource: call.role_arn.as_str(), context: &context };
        if !evaluate_federated(&alternatives, provider.as_str(), &request).is_allowed() {
            return Err(refused(action));
        }
    }
    Ok(role)
}

/// The condition keys of whom a provider vouches for.
pub(crate) fn insert_federation(
    context: &mut Context,
    provider: &str,
    keys: &[(String, Vec<String>)],
) {
    context.insert(FEDERATED_PROVIDER, provider);
    for (key, values) in keys {
        if values.is_empty() {
            context.insert_unknown(key);
        } else {
            context.insert_many(key, values.clone());
        }
    }
}
