//! Federated users: sessions that a user hands to somebody whom IAM does not know. AWS STS:
//! `GetFederationToken`.
//!
//! **Invariants.** A federated user may do what its user's policies and the session's policies both
//! allow, and nothing if it was given none. It calls nothing of IAM, and of STS only
//! `GetCallerIdentity`. It ends with the user and with the access key that asked for it.
//!
//! **Must not know:** how requests are signed.

use std::{fmt, str::FromStr};

use model::{Arn, Constraint, Credential, SessionName};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Quota,
    authorize::{demand, request_tags},
    policy::PolicyArn,
    principal::federated_user_arn,
    sts::{
        Credentials, Duration, check_session_policy, issue, long_duration, session_policies,
        session_tags,
    },
    tag::{self, Tag},
};

/// The name of a federated user: 2–32 of `[\w+=,.@-]`. AWS: STS's `userNameType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedName(SessionName);

impl FromStr for FederatedName {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        if text.chars().count() > 32 {
            return Err(Constraint::MaxLength(32));
        }
        text.parse().map(Self)
    }
}

impl fmt::Display for FederatedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// AWS: `GetFederationToken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetFederationToken {
    /// What the federated user is called.
    pub name: FederatedName,
    /// How long the session shall last; 12 h if `None`. The root user's lasts an hour at most.
    pub duration: Option<Duration<129_600>>,
    /// The text of a session policy.
    pub policy: Option<String>,
    /// Managed policies of the account that limit the session as well.
    pub policy_arns: Vec<PolicyArn>,
    /// Session tags.
    pub tags: Vec<Tag>,
}

/// A federated user's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedUser {
    /// Its credentials.
    pub credentials: Credentials,
    /// `arn:aws:sts::ACCOUNT:federated-user/NAME`.
    pub arn: Arn,
    /// `ACCOUNT:NAME`.
    pub federated_user_id: String,
    /// How full the session policies are, in per cent; `None` without any.
    pub packed_policy_size: Option<usize>,
}

pub(crate) fn token(
    identity: &Identity,
    ctx: &Ctx<'_>,
    query: &GetFederationToken,
) -> Result<FederatedUser, Error> {
    let GetFederationToken { name, duration, policy, policy_arns, tags } = query;
    ctx.caller.check_can_act(identity)?;
    let Credential::AccessKey(key) = ctx.caller.credential else {
        let message = "Cannot call GetFederationToken with session credentials".to_owned();
        return Err(Error::AccessDenied { message: message.into() });
    };
    let (account, name) = (ctx.caller.account, name.to_string());
    let arn = federated_user_arn(account, &name);
    let extra = request_tags(tags);
    demand(identity, ctx, "sts:GetFederationToken", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "sts:TagSession", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    let chars = check_session_policy(policy.as_deref())?;
    let policy_ids = session_policies(identity, policy_arns, account)?;
    let packed_policy_size = packed_size(chars, policy_arns)?;
    let claims = v1::SessionClaims {
        principal: ctx.caller.unique_id().to_string(),
        session_name: name.clone(),
        policies: policy.iter().cloned().collect(),
        policy_arns: policy_arns.iter().map(ToString::to_string).collect(),
        policy_ids: policy_ids.iter().map(ToString::to_string).collect(),
        tags: session_tags(tags),
        federation_key: key.to_string(),
        ..v1::SessionClaims::default()
    };
    Ok(FederatedUser {
        credentials: issue(ctx, account, long_duration(ctx, *duration), claims)?,
        arn,
        federated_user_id: format!("{account}:{name}"),
        packed_policy_size,
    })
}

/// In per cent. AWS: the text of the session policy and the ARNs of managed ones are limited
/// together.
fn packed_size(policy_chars: Option<usize>, arns: &[PolicyArn]) -> Result<Option<usize>, Error> {
    if policy_chars.is_none() && arns.is_empty() {
        return Ok(None);
    }
    let arns: usize = arns.iter().map(|arn| arn.to_string().chars().count()).sum();
    let all = policy_chars.unwrap_or_default() + arns;
    Quota::SessionPolicySize.allow(all)?;
    Ok(Some(all * 100 / Quota::SessionPolicySize.max()))
}
