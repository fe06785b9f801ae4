//! Whether a role's trust policy lets a caller assume the role. AWS: "IAM: how to use trust
//! policies".
//!
//! **Invariants.** A principal given by ARN stands for the unique id that the ARN was bound to when
//! the policy was saved. An ARN that is not bound, or bound to several ids by a contest, is granted
//! nothing; a `Deny` that may be about the caller still applies to it. Whom an identity provider
//! vouches for is allowed only by a principal that names the provider, and denied by `*` as well.
//!
//! **Must not know:** sessions, credentials.

use std::sync::Arc;

use model::{AccountId, UniqueId};

use crate::{
    Decision, Document, Effect, Layer, MatchedStatement, Principal, Request, SourceLabel, Verdict,
    budget::{Budget, DECISION_STEPS_MAX},
    truth::Truth,
};

/// Who wants to assume a role, or to use a resource that has a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustCaller {
    /// The caller's account.
    pub account: AccountId,
    /// The caller's ARNs: the user's; or the role's and its session's.
    pub arns: Vec<String>,
    /// The unique id of the user, role or root user.
    pub unique_id: UniqueId,
}

/// How a trust policy names the caller that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustGrant {
    /// By its account, or as anyone: its own identity policies must allow the action too.
    Account,
    /// By the caller's own ARN or unique id: within one account that is enough.
    Direct,
}

/// Decides whether whom an identity provider vouches for may do `request` to the role whose trust
/// policy is one of `alternatives`. The provider is named by its ARN, which is bound to nothing:
/// it says whose word is taken, and that stays the same if the provider is made again.
pub fn evaluate_federated(
    alternatives: &[Arc<Document>],
    provider_arn: &str,
    request: &Request<'_>,
) -> Decision {
    let names = |principal: &Principal| {
        let named = match principal {
            Principal::Federated(arn) => Truth::from(arn == provider_arn),
            Principal::Anyone => Truth::Unknown,
            Principal::Account(_)
            | Principal::Arn(_)
            | Principal::Session(_)
            | Principal::UniqueId(_)
            | Principal::Service(_)
            | Principal::Canonical(_) => Truth::False,
        };
        (named, TrustGrant::Direct)
    };
    decide(alternatives, names, request)
}

/// Decides whether `caller` may do `request` to the role whose trust policy is one of
/// `alternatives`. Every alternative must allow, any may deny. `bindings` are those of
/// [`Document::bind_principals`], of all alternatives together. The grant is the weakest that any
/// alternative gives.
///
/// Callers who are authenticated by an AWS service or an identity provider are no [`TrustCaller`]s;
/// principals of those kinds match none.
pub fn evaluate_trust(
    alternatives: &[Arc<Document>],
    bindings: &[(String, UniqueId)],
    caller: &TrustCaller,
    request: &Request<'_>,
) -> Decision {
    decide(alternatives, |principal| names(principal, bindings, caller), request)
}

/// Decides by whether a principal is whoever asks, and how directly it names them.
fn decide(
    alternatives: &[Arc<Document>],
    names: impl Fn(&Principal) -> (Truth, TrustGrant),
    request: &Request<'_>,
) -> Decision {
    let layer = Layer::Trust;
    let budget = Budget::new(DECISION_STEPS_MAX);
    let mut denies = Vec::new();
    for document in alternatives {
        for (index, statement) in document.statements().iter().enumerate() {
            let named = Truth::any(statement.principals().iter().map(|p| names(p).0));
            if statement.effect() == Effect::Deny
                && named.and(statement.applies(request, &budget)) != Truth::False
            {
                denies.push(matched(index, statement.sid(), Effect::Deny));
            }
        }
    }
    if !denies.is_empty() {
        return Decision::new(Verdict::ExplicitDeny { layer }, denies);
    }
    let strongest = |document: &Arc<Document>| {
        let mut best: Option<(TrustGrant, MatchedStatement)> = None;
        for (index, statement) in document.statements().iter().enumerate() {
            if statement.effect() != Effect::Allow
                || statement.applies(request, &budget) != Truth::True
            {
                continue;
            }
            let grants = statement.principals().iter().map(&names);
            let grant = grants.filter(|(named, _)| *named == Truth::True).map(|(_, g)| g).max();
            if let Some(grant) = grant
                && best.as_ref().is_none_or(|(other, _)| *other < grant)
            {
                best = Some((grant, matched(index, statement.sid(), Effect::Allow)));
            }
        }
        best
    };
    let found = alternatives.iter().map(strongest).collect::<Option<Vec<_>>>();
    let found = found.filter(|_| !budget.is_exhausted()).unwrap_or_default();
    let Some(grant) = found.iter().map(|(grant, _)| *grant).min() else {
        return Decision::new(Verdict::ImplicitDeny { layer }, Vec::new());
    };
    let statements = found.into_iter().map(|(_, statement)| statement).collect();
    Decision { verdict: Verdict::Allow, statements, grant: Some(grant) }
}

/// Whether a principal is the caller, and how directly it names it.
pub(crate) fn names(
    principal: &Principal,
    bindings: &[(String, UniqueId)],
    caller: &TrustCaller,
) -> (Truth, TrustGrant) {
    match principal {
        Principal::Anyone => (Truth::True, TrustGrant::Account),
        Principal::Account(account) => ((*account == caller.account).into(), TrustGrant::Account),
        Principal::UniqueId(id) => ((*id == caller.unique_id).into(), TrustGrant::Direct),
        Principal::Arn(arn) => (bound(arn, bindings, caller), TrustGrant::Direct),
        Principal::Session(arn) => {
            let same = Truth::from(caller.arns.contains(arn));
            (same.and(bound(arn, bindings, caller)), TrustGrant::Direct)
        }
        Principal::Service(_) | Principal::Federated(_) | Principal::Canonical(_) => {
            (Truth::False, TrustGrant::Direct)
        }
    }
}

/// Whether `arn` stands for the caller: unknown if its bindings differ, or if it has none and reads
/// like one of the caller's.
fn bound(arn: &str, bindings: &[(String, UniqueId)], caller: &TrustCaller) -> Truth {
    let mut ids = bindings.iter().filter(|(name, _)| name == arn).map(|(_, id)| id).peekable();
    if ids.peek().is_none() {
        let alike = caller.arns.iter().any(|own| own == arn);
        return if alike { Truth::Unknown } else { Truth::False };
    }
    let (mut is, mut is_not) = (false, false);
    for id in ids {
        is |= *id == caller.unique_id;
        is_not |= *id != caller.unique_id;
    }
    if is && is_not { Truth::Unknown } else { is.into() }
}

fn matched(index: usize, sid: Option<&str>, effect: Effect) -> MatchedStatement {
    MatchedStatement { label: SourceLabel::Trust, sid: sid.map(str::to_owned), index, effect }
}
