//! Sessions. AWS STS: `GetCallerIdentity`, `AssumeRole`, `GetSessionToken`; and whose keys are,
//! `GetAccessKeyInfo`.
//!
//! **Invariants.** A session is in its token alone: any node that has the data key opens it, and
//! nothing is written but which code of an MFA device was used for it. What a role session may do
//! is what both the role's policies and the session's allow. A session dies with its principal, and
//! one of `GetSessionToken` is usable only while the access key is that asked for it. Whether a
//! role exists shows only to those whom it trusts.
//!
//! **Must not know:** how requests are signed.

use std::str::FromStr;

use model::{
    AccountId, Arn, Constraint, Credential, Entropy, Secret, SessionName, Timestamp, UniqueId,
    UniqueIdKind,
};
use policy::{
    ContextValue, Decision, Document, DocumentKind, Layer, Request, TrustCaller, TrustGrant,
    Verdict, evaluate_granted, evaluate_trust,
};
use wire::v1;

use crate::{
    Ctx, Error, Identity, KeyRing, Noun, Outcome, Principal, Quota, Reply,
    authorize::{Extra, context, decide, demand, denied, find_arn, request_tags, resource_tags},
    credential::{find_key, fresh_secret, seal_claims},
    effective::layers,
    entity::Entity,
    field::TRUST_POLICY,
    policy::PolicyArn,
    role::max_session_duration,
    second_factor::{self, SecondFactor, WithCode},
    tag::{self, Tag},
};

/// The longest session of a role that another role's session assumed, in seconds.
const CHAINED_SECS_MAX: u32 = 3600;

/// A duration in seconds within bounds that the call sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration<const MAX: u32>(u32);

impl<const MAX: u32> Duration<MAX> {
    /// From seconds.
    ///
    /// # Errors
    /// When it is less than 900 or more than the call takes.
    pub fn new(secs: i64) -> Result<Self, Constraint> {
        if secs < 900 {
            return Err(Constraint::MinValue(900));
        }
        let secs = u32::try_from(secs).ok().filter(|secs| *secs <= MAX);
        secs.map(Self).ok_or(Constraint::MaxValue(i64::from(MAX)))
    }

    /// In seconds.
    pub fn secs(self) -> u32 {
        self.0
    }
}

/// What a trust policy may ask for: 2–1224 of `[\w+=,.@:/-]`. AWS: `ExternalId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalId(String);

impl FromStr for ExternalId {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        if text.chars().count() < 2 {
            return Err(Constraint::MinLength(2));
        }
        if text.chars().count() > 1224 {
            return Err(Constraint::MaxLength(1224));
        }
        let ok = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        text.chars()
            .all(ok)
            .then(|| Self(text.to_owned()))
            .ok_or(Constraint::Pattern(r"[\w+=,.@:\/-]*"))
    }
}

/// AWS: `GetCallerIdentity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetCallerIdentity;

/// Who the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The unique id; the account of root, `AROA…:SESSION` of a role session.
    pub user_id: String,
    /// Its account.
    pub account: AccountId,
    /// Its ARN.
    pub arn: Arn,
}

/// AWS: `GetAccessKeyInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetAccessKeyInfo {
    /// The id of an access key, long-term or temporary, whatever it looks like.
    pub key_id: String,
}

/// AWS: `AssumeRole`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role.
    pub role_arn: Arn,
    /// The session's name.
    pub session_name: SessionName,
    /// How long it shall last; one hour if `None`.
    pub duration: Option<Duration<43_200>>,
    /// The text of a session policy.
    pub policy: Option<String>,
    /// Managed policies of the role's account that limit the session as well.
    pub policy_arns: Vec<PolicyArn>,
    /// Session tags.
    pub tags: Vec<Tag>,
    /// What the trust policy may ask for.
    pub external_id: Option<ExternalId>,
    /// Who the caller says it is; kept through chains of roles.
    pub source_identity: Option<SessionName>,
}

/// AWS: `GetSessionToken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSessionToken {
    /// How long it shall last; 12 h if `None`. The root user's lasts an hour at most.
    pub duration: Option<Duration<129_600>>,
}

/// Temporary credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `ASIA…`, which tells the account that asked for it.
    pub access_key_id: UniqueId,
    /// The key's secret.
    pub secret_access_key: Secret<String>,
    /// The token that goes with each request.
    pub session_token: Secret<String>,
    /// When they end.
    pub expires: Timestamp,
}

/// A role session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRole {
    /// Its credentials.
    pub credentials: Credentials,
    /// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: Arn,
    /// `AROA…:SESSION`.
    pub assumed_role_id: String,
    /// How full the session policies are, in per cent; `None` without any.
    pub packed_policy_size: Option<usize>,
    /// Who the caller says it is.
    pub source_identity: Option<String>,
}

/// AWS: `GetCallerIdentity` needs no permission, and cannot be denied.
pub(crate) fn caller_identity(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetCallerIdentity: &GetCallerIdentity,
) -> Result<CallerIdentity, Error> {
    ctx.caller.check_can_act(identity)?;
    Ok(CallerIdentity {
        user_id: ctx.caller.user_id(),
        account: ctx.caller.account,
        arn: ctx.caller.arn(identity),
    })
}

/// AWS: `GetSessionToken` needs no permission, but long-term credentials.
pub(crate) fn session_token(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &GetSessionToken,
) -> Result<Credentials, Error> {
    ctx.caller.check_can_act(identity)?;
    token(ctx, query, v1::SessionClaims::default())
}

/// The same with a second factor.
pub(crate) fn session_token_with_code(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &WithCode<GetSessionToken>,
) -> Result<Outcome, Error> {
    ctx.caller.check_can_act(identity)?;
    let (factor, writes) = SecondFactor::take(identity, ctx, command)?;
    let claims = v1::SessionClaims { mfa: Some(factor.to_claim()), ..Default::default() };
    let credentials = token(ctx, &command.call, claims)?;
    Ok(Outcome::written(writes, Reply::GetSessionToken(credentials)))
}

/// A session for long-term credentials, whose claims have what is proven besides.
fn token(
    ctx: &Ctx<'_>,
    GetSessionToken { duration }: &GetSessionToken,
    proven: v1::SessionClaims,
) -> Result<Credentials, Error> {
    let Credential::AccessKey(parent) = ctx.caller.credential else {
        let message = "Cannot call GetSessionToken with session credentials".to_owned();
        return Err(Error::AccessDenied { message: message.into() });
    };
    let secs = long_duration(ctx, *duration);
    let claims = v1::SessionClaims {
        principal: ctx.caller.unique_id().to_string(),
        parent_key: parent.to_string(),
        ..proven
    };
    issue(ctx, ctx.caller.account, secs, claims)
}

/// Of a session that long-term credentials ask for: 12 h unless it says otherwise, and an hour at
/// most for the root user. In seconds.
pub(crate) fn long_duration(ctx: &Ctx<'_>, duration: Option<Duration<129_600>>) -> u32 {
    let secs = duration.map_or(43_200, Duration::secs);
    match ctx.caller.principal {
        Principal::Root => secs.min(3600),
        Principal::User(_) | Principal::Role(_) => secs,
    }
}

/// AWS: `GetAccessKeyInfo`. Of a long-term key this cluster's state tells, of a temporary one its
/// id, since sessions are nowhere but in their tokens.
pub(crate) fn access_key_info(
    identity: &Identity,
    ctx: &Ctx<'_>,
    GetAccessKeyInfo { key_id }: &GetAccessKeyInfo,
) -> Result<AccountId, Error> {
    demand(identity, ctx, "sts:GetAccessKeyInfo", "*", &Extra::new())?;
    let known = || {
        let id: UniqueId = key_id.parse().ok()?;
        if let Some(account) = id.session_account() {
            return ctx.accounts.0.contains_key(&account).then_some(account);
        }
        find_key(identity, key_id).map(|key| key.account)
    };
    let missing = || Error::NoSuchEntity { noun: Noun::AccessKey, name: key_id.clone() };
    known().ok_or_else(missing)
}

/// Fills in account, key, secret and times, and seals.
pub(crate) fn issue(
    ctx: &Ctx<'_>,
    account: AccountId,
    secs: u32,
    claims: v1::SessionClaims,
) -> Result<Credentials, Error> {
    mint((ctx.now, ctx.entropy, ctx.keys), account, secs, claims)
}

/// [`issue`] for whoever there is no caller of.
pub(crate) fn mint(
    (now, entropy, keys): (Timestamp, &Entropy, &KeyRing),
    account: AccountId,
    secs: u32,
    claims: v1::SessionClaims,
) -> Result<Credentials, Error> {
    let id = UniqueId::session_key(account, entropy, "session-key-id");
    let secret = fresh_secret(entropy, "session-key-secret");
    let expires = now.plus_ms(u64::from(secs) * 1000);
    let claims = v1::SessionClaims {
        account: account.number(),
        access_key_id: id.to_string(),
        secret_access_key: secret.expose().clone().into_bytes(),
        issued_ms: now.ms(),
        expires_ms: expires.ms(),
        ..claims
    };
    let token = seal_claims(keys, entropy, &claims).ok_or(Error::NoDataKey)?;
    Ok(Credentials {
        access_key_id: id,
        secret_access_key: secret,
        session_token: Secret::new(token),
        expires,
    })
}

pub(crate) fn assume_role(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &AssumeRole,
) -> Result<AssumedRole, Error> {
    check_may_assume(identity, ctx)?;
    assume(identity, ctx, query, &Extra::new())
}

/// The same with a second factor, which the trust policy may ask for. AWS: the session itself does
/// not have it ("Secure API access with MFA").
pub(crate) fn assume_role_with_code(
    identity: &Identity,
    ctx: &Ctx<'_>,
    command: &WithCode<AssumeRole>,
) -> Result<Outcome, Error> {
    check_may_assume(identity, ctx)?;
    let (_, writes) = SecondFactor::take(identity, ctx, command)?;
    let assumed = assume(identity, ctx, &command.call, &second_factor::just_given())?;
    Ok(Outcome::written(writes, Reply::AssumeRole(assumed)))
}

fn check_may_assume(identity: &Identity, ctx: &Ctx<'_>) -> Result<(), Error> {
    ctx.caller.check_can_act(identity)?;
    if ctx.caller.principal == Principal::Root {
        let message = "Roles may not be assumed by root accounts.".to_owned();
        return Err(Error::AccessDenied { message: message.into() });
    }
    ctx.caller.check_may_call(identity, "sts:AssumeRole")
}

/// A role's session; conditions of who may have it see `factor` besides.
fn assume(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &AssumeRole,
    factor: &Extra,
) -> Result<AssumedRole, Error> {
    let role = permit(identity, ctx, query, factor)?;
    tag::check(&query.tags)?;
    let secs = duration(identity, ctx, query, role)?;
    let policy_chars = check_session_policy(query.policy.as_deref())?;
    let policy_ids = session_policies(identity, &query.policy_arns, role.account)?;
    let source_identity = source_identity(ctx, query);
    let name = identity.face(role).name;
    let session = query.session_name.as_str();
    let claims = v1::SessionClaims {
        principal: role.id.to_string(),
        session_name: session.to_owned(),
        policies: query.policy.iter().cloned().collect(),
        policy_arns: query.policy_arns.iter().map(ToString::to_string).collect(),
        policy_ids: policy_ids.iter().map(ToString::to_string).collect(),
        tags: session_tags(&query.tags),
        source_identity: source_identity.clone().unwrap_or_default(),
        assumed_by: ctx.caller.arn(identity).to_string(),
        ..Default::default()
    };
    Ok(AssumedRole {
        credentials: issue(ctx, role.account, secs, claims)?,
        arn: Arn::sts(role.account, format_args!("assumed-role/{name}/{session}")),
        assumed_role_id: format!("{}:{session}", role.id),
        packed_policy_size: policy_chars.map(|chars| chars * 100 / Quota::SessionPolicySize.max()),
        source_identity,
    })
}

fn duration(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &AssumeRole,
    role: Entity,
) -> Result<u32, Error> {
    let secs = query.duration.map_or(3600, Duration::secs);
    if let Principal::Role(_) = ctx.caller.principal
        && secs > CHAINED_SECS_MAX
    {
        return Err(Error::DurationExceedsChainingMax);
    }
    let max_secs = max_session_duration(identity, role).secs();
    if secs > max_secs {
        return Err(Error::DurationExceedsRoleMax { max_secs });
    }
    Ok(secs)
}

/// Tags as claims have them.
pub(crate) fn session_tags(tags: &[Tag]) -> Vec<v1::Tag> {
    let to_message =
        |Tag { key, value }: &Tag| v1::Tag { key: key.to_string(), value: value.to_string() };
    tags.iter().map(to_message).collect()
}

/// The unique ids of the managed policies that shall limit the session.
pub(crate) fn session_policies(
    identity: &Identity,
    arns: &[PolicyArn],
    account: AccountId,
) -> Result<Vec<UniqueId>, Error> {
    Quota::SessionPolicyArns.allow(arns.len())?;
    let find = |arn: &PolicyArn| arn.must_find(identity, account, Noun::AttachablePolicy);
    arns.iter().map(|arn| Ok(find(arn)?.id())).collect()
}

/// Reads the session policy; its characters, if there is one.
pub(crate) fn check_session_policy(policy: Option<&str>) -> Result<Option<usize>, Error> {
    let Some(text) = policy else { return Ok(None) };
    let chars = text.chars().count();
    Quota::SessionPolicySize.allow(chars)?;
    Document::parse(text, DocumentKind::Session)?;
    Ok(Some(chars))
}

/// A source identity, once set, stays through a chain of roles.
fn source_identity(ctx: &Ctx<'_>, query: &AssumeRole) -> Option<String> {
    let earlier = ctx.caller.session.as_ref().map(|session| session.source_identity.clone());
    let earlier = earlier.filter(|text| !text.is_empty());
    earlier.or_else(|| query.source_identity.as_ref().map(ToString::to_string))
}

/// Lets the caller assume the role, tag the session and set its source identity, or refuses in a
/// way that does not tell whether the role exists.
fn permit(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &AssumeRole,
    factor: &Extra,
) -> Result<Entity, Error> {
    let resource = query.role_arn.as_str();
    let role = find_arn(identity, &query.role_arn)
        .filter(|(entity, session)| {
            session.is_none()
                && entity.id.kind() == Some(UniqueIdKind::Role)
                && identity.can_act(*entity)
                && ctx.accounts.0.contains_key(&entity.account)
        })
        .map(|(entity, _)| entity);
    let mut actions = vec!["sts:AssumeRole"];
    if !query.tags.is_empty() {
        actions.push("sts:TagSession");
    }
    // AWS: a role takes the source identity of the session that assumes it, and its trust policy
    // must allow that as if the call set it.
    let source = source_identity(ctx, query);
    if source.is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    if let Some(wanted) = &query.source_identity
        && source.as_deref() != Some(wanted.as_str())
    {
        let asked = ("sts:SetSourceIdentity", resource);
        return Err(denied(identity, ctx, &untrusted(), asked, &Extra::new()));
    }
    let mut told = told(query, source);
    told.extend(factor.iter().cloned());
    for action in actions {
        permit_action(identity, ctx, (action, resource), role, &told)?;
    }
    let asked = ("sts:AssumeRole", resource);
    role.ok_or_else(|| denied(identity, ctx, &untrusted(), asked, &told))
}

/// The answer of a trust policy that names nobody.
fn untrusted() -> Decision {
    let verdict = Verdict::ImplicitDeny { layer: Layer::Trust };
    Decision { verdict, statements: Vec::new(), grant: None }
}

/// The call's own condition keys.
fn told(query: &AssumeRole, source: Option<String>) -> Extra {
    let mut extra = request_tags(&query.tags);
    let mut add = |key: &str, value: String| {
        extra.push((key.to_owned(), ContextValue::Known(vec![value])));
    };
    add("sts:RoleSessionName", query.session_name.to_string());
    if let Some(ExternalId(id)) = &query.external_id {
        add("sts:ExternalId", id.clone());
    }
    if let Some(source) = source {
        add("sts:SourceIdentity", source);
    }
    extra
}

/// The caller's own policies and the role's trust policy together. AWS: within one account, a trust
/// policy that names the caller itself is enough; one that names the account leaves it to the
/// account's policies; across accounts both must allow.
fn permit_action(
    identity: &Identity,
    ctx: &Ctx<'_>,
    (action, resource): (&str, &str),
    role: Option<Entity>,
    told: &Extra,
) -> Result<(), Error> {
    // A refusal does not tell the role's tags: it may be another account's.
    let mut extra = told.clone();
    extra.extend(role.into_iter().flat_map(|role| resource_tags(identity, role)));
    let own = decide(identity, ctx, action, resource, &extra);
    let asked = (action, resource);
    let refuse = |decision: &Decision| Err(denied(identity, ctx, decision, asked, told));
    if let Verdict::ExplicitDeny { .. } = own.verdict {
        return refuse(&own);
    }
    let trust = match role {
        Some(role) => trust(identity, ctx, (action, resource), role, &extra),
        None => untrusted(),
    };
    if !trust.is_allowed() {
        // Which of its statements said so is the role's account's to know.
        return refuse(&Decision { statements: Vec::new(), ..trust });
    }
    let same_account = role.is_some_and(|role| role.account == ctx.caller.account);
    if own.is_allowed() {
        return Ok(());
    }
    if same_account && trust.grant == Some(TrustGrant::Direct) {
        return direct(identity, ctx, (action, resource), &extra);
    }
    refuse(&own)
}

/// A trust policy that names the caller stands in for its identity policies, not for its
/// permissions boundary and its session's policies.
fn direct(
    identity: &Identity,
    ctx: &Ctx<'_>,
    (action, resource): (&str, &str),
    extra: &Extra,
) -> Result<(), Error> {
    let Some(layers) = layers(identity, ctx.caller) else { return Ok(()) };
    let context = context(identity, ctx, extra);
    let decision = evaluate_granted(&layers, &Request { action, resource, context: &context });
    if decision.is_allowed() {
        return Ok(());
    }
    Err(denied(identity, ctx, &decision, (action, resource), extra))
}

/// What the role's trust policy says.
fn trust(
    identity: &Identity,
    ctx: &Ctx<'_>,
    (action, resource): (&str, &str),
    role: Entity,
    extra: &Extra,
) -> Decision {
    let sides = identity.document(&TRUST_POLICY, role, "");
    // A policy that may have been removed trusts nobody.
    if sides.is_empty() || sides.iter().any(Option::is_none) {
        return untrusted();
    }
    let stored: Vec<_> = sides.iter().flatten().collect();
    let alternatives: Vec<_> = stored.iter().map(|stored| stored.document.clone()).collect();
    let bindings: Vec<(String, UniqueId)> = stored
        .iter()
        .flat_map(|stored| &stored.message.bindings)
        .filter_map(|binding| Some((binding.arn.clone(), binding.unique_id.parse().ok()?)))
        .collect();
    let mut arns = vec![ctx.caller.arn(identity).to_string()];
    if let Some(entity) = ctx.caller.entity() {
        arns.extend(identity.arns(entity).iter().map(ToString::to_string));
    }
    arns.dedup();
    let caller =
        TrustCaller { account: ctx.caller.account, arns, unique_id: ctx.caller.unique_id() };
    let context = context(identity, ctx, extra);
    let request = Request { action, resource, context: &context };
    evaluate_trust(&alternatives, &bindings, &caller, &request)
}
