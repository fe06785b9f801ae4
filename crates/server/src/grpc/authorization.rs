//! `Authorization`: may this principal do this?
//!
//! **Invariants.** A caller asks about principals of its own account. The answer is durable and
//! names the state it was decided on.
//!
//! **Must not know:** how decisions are made.

use std::{sync::Arc, time::Duration};

use identity::CheckRequest;
use node::Node;
use policy::{Decision, Effect, MatchedStatement, SourceLabel, Verdict};
use rpc::v1::authorization_server::Authorization;
use tonic::{Request, Response, Status};
use wire::v1;

use super::{Concern, Who, authorize, counted, not_reached, refused, stopping, who};
use crate::{app::App, clock, metrics};

/// Checks in one batch, at most.
const CHECKS_MAX: usize = 1000;
/// How long a check waits for the state of its token unless it says.
const REACH_WITHIN: Duration = Duration::from_secs(5);
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

    async fn check_one(
        &self,
        who: &Who,
        check: v1::CheckRequest,
    ) -> Result<v1::CheckReply, Status> {
        let v1::CheckRequest { principal, action, resource, context, consistency_token, wait_ms } =
            check;
        if !consistency_token.is_empty() {
            let limit = match wait_ms {
                0 => REACH_WITHIN,
                ms => Duration::from_millis(u64::from(ms)).min(REACH_WITHIN_MAX),
            };
            self.app.core.reached(&consistency_token, limit).await.map_err(not_reached)?;
        }
        let context = context.into_iter().map(|entry| (entry.key, entry.values)).collect();
        let request = CheckRequest { principal, action, resource, context };
        let read = self.app.core.read(|node| decide(node, who, &request));
        let (decided, token) = read.await.map_err(stopping)?;
        let (decision, staleness_ms) = decided?;
        let verdict = verdict(decision.verdict);
        let result = match verdict {
            v1::Verdict::Allow => "allow",
            v1::Verdict::ExplicitDeny => "explicit_deny",
            v1::Verdict::ImplicitDeny | v1::Verdict::Unspecified => "implicit_deny",
        };
        let decisions = &self.app.core.metrics().decisions;
        decisions.get_or_create(&metrics::Outcome { result }).inc();
        Ok(v1::CheckReply {
            verdict: verdict.into(),
            statements: decision.statements.into_iter().map(statement).collect(),
            consistency_token: token,
            staleness_ms,
        })
    }
}

fn decide(node: &Node, who: &Who, request: &CheckRequest) -> Result<(Decision, u64), Status> {
    let (identity, accounts, now) = (node.identity(), node.accounts(), clock::wall());
    if let Who::Caller(caller, _) = who {
        let account = identity::principal_account(identity, accounts, &request.principal);
        if account.is_some_and(|account| account != caller.account) {
            let message = "a caller asks about principals of its own account";
            return Err(Status::permission_denied(message));
        }
    }
    let decision = identity::check(identity, accounts, now, request);
    Ok((decision.map_err(|error| refused(&error))?, node.staleness_ms(now)))
}

fn verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Allow => v1::Verdict::Allow,
        Verdict::ExplicitDeny { .. } => v1::Verdict::ExplicitDeny,
        Verdict::ImplicitDeny { .. } => v1::Verdict::ImplicitDeny,
    }
}

fn statement(statement: MatchedStatement) -> v1::Statement {
    let MatchedStatement { label, sid, index, effect } = statement;
    let policy = match label {
        SourceLabel::Managed { arn } => arn,
        SourceLabel::Inline { owner_arn, name } => format!("{owner_arn}/inline/{name}"),
        SourceLabel::Session => "session".to_owned(),
        SourceLabel::Trust => "trust".to_owned(),
    };
    v1::Statement {
        policy,
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
            authorize(&self.app, &who, "writ:Check", Concern::Account)?;
            self.check_one(&who, request.into_inner()).await
        })
        .await
    }

    async fn batch_check(
        &self,
        request: Request<v1::BatchCheckRequest>,
    ) -> Result<Response<v1::BatchCheckReply>, Status> {
        counted(&self.app, "BatchCheck", async {
            let who = who(&self.app, &request)?;
            authorize(&self.app, &who, "writ:Check", Concern::Account)?;
            let checks = request.into_inner().checks;
            if checks.len() > CHECKS_MAX {
                let message = format!("a batch has at most {CHECKS_MAX} checks");
                return Err(Status::invalid_argument(message));
            }
            let mut replies = Vec::with_capacity(checks.len());
            for check in checks {
                replies.push(self.check_one(&who, check).await?);
            }
            Ok(v1::BatchCheckReply { replies })
        })
        .await
    }
}
