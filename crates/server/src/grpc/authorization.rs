//! `Authorization`: may this principal do this?
//!
//! **Invariants.** A caller asks about principals of its own account. The answer is durable and
//! names the state it was decided on. What a check brings is bounded before it is looked at.
//!
//! **Must not know:** how decisions are made.

use std::{sync::Arc, time::Duration};

use identity::{Accounts, Caller, CheckRequest, Identity};
use node::Node;
use policy::{Decision, Effect, MatchedStatement, SourceLabel, Verdict};
use rpc::v1::authorization_server::Authorization;
use tonic::{Request, Response, Status};
use wire::v1;

use super::{
    Concern, Who, authorize_read, counted, explanation, not_reached, refused, stopping, too_long,
    who,
};
use crate::{api::REACH_WITHIN, app::App, clock, core::Seen, metrics, prepared::PreparedPolicies};

/// Checks in one batch, at most.
const CHECKS_MAX: usize = 1000;
/// The longest principal and the longest resource, in bytes. AWS: an ARN has at most 2048
/// characters.
const ARN_BYTES_MAX: usize = 2048;
/// The longest action, in bytes.
const ACTION_BYTES_MAX: usize = 256;
/// The longest condition key, in bytes.
const CONTEXT_KEY_BYTES_MAX: usize = 256;
/// The longest value of a condition key, in bytes.
const CONTEXT_VALUE_BYTES_MAX: usize = 2048;
/// Values of all condition keys together, at most; a key without one counts as one.
const CONTEXT_VALUES_MAX: usize = 200;
/// The longest a check may ask to wait.
const REACH_WITHIN_MAX: Duration = Duration::from_secs(60);

/// The service.
pub struct Authorizations {
    app: Arc<App>,
}

impl Authorizations {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Decides checks, each on a state that covers its token. They wait for the disk once.
    async fn checks(
        &self,
        who: &Who,
        checks: Vec<v1::CheckRequest>,
    ) -> Result<Vec<v1::CheckReply>, Status> {
        let core = &self.app.core;
        let mut lsn = authorize_read(&self.app, who, "writ:Check", Concern::Account).await?;
        if checks.iter().any(|check| check.explain) {
            // An explanation quotes policies and tags, which a verdict does not.
            lsn = authorize_read(&self.app, who, "writ:GetExplanation", Concern::Account).await?;
        }
        let mut replies = Vec::with_capacity(checks.len());
        for check in checks {
            let (decided, seen) = self.decide(who, check).await?;
            lsn = seen.lsn;
            match decided {
                Ok(reply) => {
                    replies.push(v1::CheckReply { consistency_token: seen.token, ..reply })
                }
                Err(refusal) => {
                    core.durable(lsn).await.map_err(stopping)?;
                    return Err(refusal);
                }
            }
            // A long batch must not keep a thread to itself.
            tokio::task::consume_budget().await;
        }
        core.durable(lsn).await.map_err(stopping)?;
        for reply in &replies {
            let decisions = &core.metrics().decisions;
            decisions.get_or_create(&metrics::Outcome { result: result(reply.verdict()) }).inc();
        }
        Ok(replies)
    }

    /// Decides one check; the answer may leave once what was seen is durable.
    async fn decide(
        &self,
        who: &Who,
        check: v1::CheckRequest,
    ) -> Result<(Result<v1::CheckReply, Status>, Seen), Status> {
        let core = &self.app.core;
        let v1::CheckRequest {
            principal,
            action,
            resource,
            context,
            consistency_token,
            wait_ms,
            explain,
            verdict_only,
        } = check;
        if !consistency_token.is_empty() {
            let limit = match wait_ms {
                0 => REACH_WITHIN,
                ms => Duration::from_millis(u64::from(ms)).min(REACH_WITHIN_MAX),
            };
            core.reached(&consistency_token, limit).await.map_err(not_reached)?;
        }
        let context = context.into_iter().map(|entry| (entry.key, entry.values)).collect();
        let request = CheckRequest { principal, action, resource, context };
        let told = match (explain, verdict_only) {
            (true, _) => Told::Explanation,
            (false, true) => Told::Verdict,
            (false, false) => Told::Statements,
        };
        core.look(|node| self.decide_on(node, who, &request, told)).map_err(stopping)
    }

    fn decide_on(
        &self,
        node: &Node,
        who: &Who,
        request: &CheckRequest,
        told: Told,
    ) -> Result<v1::CheckReply, Status> {
        let (identity, accounts) = (node.identity(), node.accounts());
        if let Who::Caller(caller, _) = who {
            let account = identity::principal_account(identity, accounts, &request.principal);
            if account.is_some_and(|account| account != caller.account) {
                // Told as what does not exist: else a caller could find out who is in other
                // accounts.
                let name = request.principal.clone();
                let missing =
                    identity::Error::NoSuchEntity { noun: identity::Noun::Principal, name };
                return Err(refused(&missing));
            }
        }
        let decided = decide(identity, accounts, request, told, &self.app.prepared);
        let reply = decided.map_err(|error| refused(&error))?;
        // The staleness is by the clock of the node's inputs.
        Ok(v1::CheckReply { staleness_ms: node.staleness_ms(self.app.core.now()), ..reply })
    }
}

/// What a check's answer tells.
#[derive(Clone, Copy)]
enum Told {
    Verdict,
    Statements,
    Explanation,
}

/// Refuses a check with a field that is over its limit; `of` names the check.
fn check_limits(of: &str, check: &v1::CheckRequest) -> Result<(), Status> {
    let v1::CheckRequest { principal, action, resource, context, explain, verdict_only, .. } =
        check;
    if *explain && *verdict_only {
        let message = format!("`{of}explain` and `{of}verdict_only` exclude each other");
        return Err(Status::invalid_argument(message));
    }
    question_limits(of, principal, action, resource, context)
}

/// Refuses a question with a field that is over its limit; `of` names the question.
pub(super) fn question_limits(
    of: &str,
    principal: &str,
    action: &str,
    resource: &str,
    context: &[v1::ContextEntry],
) -> Result<(), Status> {
    let within = |field: &str, text: &str, bytes_max: usize| {
        if text.len() <= bytes_max {
            return Ok(());
        }
        Err(Status::invalid_argument(too_long(&format!("{of}{field}"), bytes_max)))
    };
    within("principal", principal, ARN_BYTES_MAX)?;
    within("action", action, ACTION_BYTES_MAX)?;
    within("resource", resource, ARN_BYTES_MAX)?;
    let values = context.iter().map(|entry| entry.values.len().max(1));
    if values.sum::<usize>() > CONTEXT_VALUES_MAX {
        let message = format!("`{of}context` is over its limit of {CONTEXT_VALUES_MAX} values");
        return Err(Status::invalid_argument(message));
    }
    for v1::ContextEntry { key, values } in context {
        within("context.key", key, CONTEXT_KEY_BYTES_MAX)?;
        for value in values {
            within("context.values", value, CONTEXT_VALUE_BYTES_MAX)?;
        }
    }
    Ok(())
}

/// Refuses a batch that is too long, or has a check over its limits.
fn batch_limits(checks: &[v1::CheckRequest]) -> Result<(), Status> {
    if checks.len() > CHECKS_MAX {
        let message = format!("`checks` is over its limit of {CHECKS_MAX} checks");
        return Err(Status::invalid_argument(message));
    }
    let mut numbered = checks.iter().enumerate();
    numbered.try_for_each(|(number, check)| check_limits(&format!("checks[{number}]."), check))
}

/// Decides by the wall clock.
fn decide(
    identity: &Identity,
    accounts: &Accounts,
    request: &CheckRequest,
    told: Told,
    prepared: &PreparedPolicies,
) -> Result<v1::CheckReply, identity::Error> {
    let now = clock::wall();
    let (decision, explanation) = match told {
        Told::Verdict => {
            let of = |caller: &Caller| prepared.of(identity, caller);
            let decided = identity::verdict(identity, accounts, now, request, of)?;
            return Ok(v1::CheckReply { verdict: verdict(decided).into(), ..Default::default() });
        }
        Told::Statements => (identity::check(identity, accounts, now, request)?, None),
        Told::Explanation => {
            let explained = identity::explain(identity, accounts, now, request)?;
            let message = explanation::message(request, &explained);
            (explained.decision, Some(message))
        }
    };
    let Decision { verdict: decided, statements, grant: _ } = decision;
    Ok(v1::CheckReply {
        verdict: verdict(decided).into(),
        statements: statements.into_iter().map(statement).collect(),
        explanation,
        ..Default::default()
    })
}

fn result(verdict: v1::Verdict) -> &'static str {
    match verdict {
        v1::Verdict::Allow => "allow",
        v1::Verdict::ExplicitDeny => "explicit_deny",
        v1::Verdict::ImplicitDeny | v1::Verdict::Unspecified => "implicit_deny",
    }
}

pub(super) fn verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Allow => v1::Verdict::Allow,
        Verdict::ExplicitDeny { .. } => v1::Verdict::ExplicitDeny,
        Verdict::ImplicitDeny { .. } => v1::Verdict::ImplicitDeny,
    }
}

pub(super) fn policy_name(label: SourceLabel) -> String {
    match label {
        SourceLabel::Managed { arn } => arn,
        SourceLabel::Inline { owner_arn, name } => format!("{owner_arn}/inline/{name}"),
        SourceLabel::Session => "session".to_owned(),
        SourceLabel::Trust => "trust".to_owned(),
        SourceLabel::Resource => "resource".to_owned(),
        SourceLabel::Input { name } => name,
    }
}

pub(super) fn statement(statement: MatchedStatement) -> v1::Statement {
    let MatchedStatement { label, sid, index, effect } = statement;
    v1::Statement {
        policy: policy_name(label),
        sid: sid.unwrap_or_default(),
        index: u32::try_from(index).unwrap_or(u32::MAX),
        allows: effect == Effect::Allow,
    }
}

#[tonic::async_trait]
impl Authorization for Authorizations {
    async fn check(
        &self,
        request: Request<v1::CheckRequest>,
    ) -> Result<Response<v1::CheckReply>, Status> {
        counted(&self.app, "Check", async {
            let who = who(&self.app, &request)?;
            let check = request.into_inner();
            check_limits("", &check)?;
            let replies = self.checks(&who, vec![check]).await?;
            replies.into_iter().next().ok_or_else(|| Status::internal("a check has one answer"))
        })
        .await
    }

    async fn batch_check(
        &self,
        request: Request<v1::BatchCheckRequest>,
    ) -> Result<Response<v1::BatchCheckReply>, Status> {
        counted(&self.app, "BatchCheck", async {
            let who = who(&self.app, &request)?;
            let checks = request.into_inner().checks;
            batch_limits(&checks)?;
            Ok(v1::BatchCheckReply { replies: self.checks(&who, checks).await? })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of a check, or `ok`.
    fn check(change: impl FnOnce(&mut v1::CheckRequest), expected: &str) {
        let mut check = v1::CheckRequest::default();
        change(&mut check);
        assert_eq!(text(check_limits("", &check)), expected);
    }

    fn text(checked: Result<(), Status>) -> String {
        match checked {
            Ok(()) => "ok".to_owned(),
            Err(status) => {
                assert_eq!(status.code(), tonic::Code::InvalidArgument);
                status.message().to_owned()
            }
        }
    }

    /// Condition keys with so many values each.
    fn context(values: &[usize]) -> Vec<v1::ContextEntry> {
        let entry = |values: &usize| v1::ContextEntry {
            key: "k".to_owned(),
            values: vec!["v".to_owned(); *values],
        };
        values.iter().map(entry).collect()
    }

    #[test]
    fn each_field_of_a_check_is_refused_one_past_its_limit() {
        let a = |bytes| "a".repeat(bytes);
        let key = |bytes| vec![v1::ContextEntry { key: a(bytes), values: Vec::new() }];
        let value = |bytes| vec![v1::ContextEntry { key: a(1), values: vec![a(1), a(bytes)] }];
        check(|check| check.principal = a(2048), "ok");
        check(|check| check.principal = a(2049), "`principal` is over its limit of 2048 bytes");
        check(|check| check.action = a(256), "ok");
        check(|check| check.action = a(257), "`action` is over its limit of 256 bytes");
        check(|check| check.resource = a(2048), "ok");
        check(|check| check.resource = a(2049), "`resource` is over its limit of 2048 bytes");
        check(|check| check.context = key(256), "ok");
        check(|check| check.context = key(257), "`context.key` is over its limit of 256 bytes");
        check(|check| check.context = value(2048), "ok");
        check(
            |check| check.context = value(2049),
            "`context.values` is over its limit of 2048 bytes",
        );
        check(|check| check.context = context(&[100, 99, 0]), "ok");
        check(
            |check| check.context = context(&[100, 100, 0]),
            "`context` is over its limit of 200 values",
        );
        check(|check| check.context = context(&[200]), "ok");
        check(|check| check.context = context(&[201]), "`context` is over its limit of 200 values");
    }

    #[test]
    fn a_batch_is_refused_one_past_its_limit_and_names_the_check_that_is() {
        let mut checks = vec![v1::CheckRequest::default(); CHECKS_MAX];
        assert_eq!(text(batch_limits(&checks)), "ok");
        checks[7].action = "a".repeat(ACTION_BYTES_MAX + 1);
        assert_eq!(
            text(batch_limits(&checks)),
            "`checks[7].action` is over its limit of 256 bytes"
        );
        checks.push(v1::CheckRequest::default());
        assert_eq!(text(batch_limits(&checks)), "`checks` is over its limit of 1000 checks");
    }
}
