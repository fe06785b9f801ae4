//! The gRPC services that clients and joining nodes call.
//!
//! **Invariants.** Every call is of somebody: a signature verified before the service is reached,
//! or a certificate of the roster; only `Join` takes a token instead. What a caller may do is
//! told by policies on `writ:` actions; what concerns the whole cluster only callers of the first
//! account, or whoever holds this writer's own certificate, may do. No answer, be it a refusal,
//! leaves before the state that it was derived from is durable.
//!
//! **Must not know:** how calls are signed.

mod access;
mod authorization;
mod cluster;
mod conflicts;
mod explanation;
mod join;
mod listener;
mod peer;
mod propagation;
mod reads;

use std::{sync::Arc, time::Instant};

use identity::{Caller, RequestContext};
use model::AccountId;
use node::{Node, NodeState};
use rpc::{peer::fingerprint, sigv4::AuthenticatedBy};
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

pub use self::{
    access::AccessQuestions,
    authorization::Authorizations,
    cluster::Clusters,
    conflicts::ConflictInbox,
    join::Joins,
    listener::{CONNECTIONS_MAX, incoming, of_somebody},
    peer::Peers,
    propagation::Propagations,
    reads::ReadCalls,
};
use crate::{
    api::REACH_WITHIN,
    app::{self, App},
    clock,
    core::{NotReached, Stopping},
    metrics,
};

/// Who makes a call.
enum Who {
    /// Somebody with an access key.
    Caller(Box<Caller>, RequestContext),
    /// Whoever holds this writer's own certificate: its operator.
    Own,
}

/// Who makes a call; other nodes have no business here.
fn who<T>(app: &App, request: &Request<T>) -> Result<Who, Status> {
    if let Some(AuthenticatedBy((caller, region))) =
        request.extensions().get::<AuthenticatedBy<(Caller, String)>>()
    {
        let context = RequestContext {
            source_ip: request.remote_addr().map(|address| address.ip()),
            secure_transport: true,
            region: region.clone(),
            user_agent: String::new(),
        };
        return Ok(Who::Caller(Box::new(caller.clone()), context));
    }
    let fingerprint =
        fingerprint(request).ok_or_else(|| Status::unauthenticated("sign the call with SigV4"))?;
    let member = app.member(&fingerprint).map_err(stopping)?;
    // A stolen replica must not be worth a cluster: only a writer's certificate stands for an
    // operator.
    let own = member.filter(|entry| {
        entry.node.0 == app.home.node
            && entry.role == node::Role::Writer
            && entry.state != NodeState::Removed
    });
    own.map(|_| Who::Own).ok_or_else(|| {
        Status::permission_denied("this call takes this writer's own certificate only")
    })
}

/// What an action of Writ's own concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    /// The caller's own account.
    Account,
    /// The whole cluster.
    Cluster,
}

/// Refuses who may not do an action. What allows it is durable.
async fn authorize(app: &App, who: &Who, action: &str, concern: Concern) -> Result<(), Status> {
    let resource = app.cluster_arn();
    let read = app.core.read(|node| authorized(node, who, action, &resource, concern));
    read.await.map_err(stopping)?.0
}

/// As [`authorize`], for whoever answers by a later read: what allows the action is durable only
/// once this lsn is.
async fn authorize_read(
    app: &App,
    who: &Who,
    action: &str,
    concern: Concern,
) -> Result<u64, Status> {
    let resource = app.cluster_arn();
    let look = app.core.look(|node| authorized(node, who, action, &resource, concern));
    let (authorized, seen) = look.map_err(stopping)?;
    if authorized.is_err() {
        app.core.durable(seen.lsn).await.map_err(stopping)?;
    }
    authorized.map(|()| seen.lsn)
}

/// The caller of what concerns an account alone: the operator's certificate is of none.
fn signed(who: &Who) -> Result<(&Caller, &RequestContext), Status> {
    match who {
        Who::Caller(caller, context) => Ok((caller, context)),
        Who::Own => Err(Status::unauthenticated("this is asked for with an access key")),
    }
}

/// Reads of its account for a caller that may do the action, from a state that covers its token.
async fn read_own<T>(
    app: &App,
    who: &Who,
    action: &str,
    token: &str,
    read: impl FnOnce(&Node, AccountId) -> T,
) -> Result<(T, String), Status> {
    let (caller, _) = signed(who)?;
    authorize_read(app, who, action, Concern::Account).await?;
    if !token.is_empty() {
        app.core.reached(token, REACH_WITHIN).await.map_err(not_reached)?;
    }
    app.core.read(|node| read(node, caller.account)).await.map_err(stopping)
}

fn authorized(
    node: &Node,
    who: &Who,
    action: &str,
    resource: &str,
    concern: Concern,
) -> Result<(), Status> {
    let Who::Caller(caller, context) = who else { return Ok(()) };
    if concern == Concern::Cluster && node.control().first_account() != Some(caller.account) {
        let message = "only callers of the cluster's first account may be given this action";
        return Err(Status::permission_denied(message));
    }
    app::authorize(node, caller, context, action, resource, clock::wall())
        .map_err(|error| refused(&error))
}

/// IAM's refusal as a status.
fn refused(error: &identity::Error) -> Status {
    let api = aws_api::error_of(error);
    let code = match api.status {
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::FailedPrecondition,
        500.. => Code::Internal,
        _ => Code::InvalidArgument,
    };
    Status::new(code, api.message)
}

/// The refusal of a field over its limit.
fn too_long(field: &str, bytes_max: usize) -> String {
    format!("`{field}` is over its limit of {bytes_max} bytes")
}

fn stopping(error: Stopping) -> Status {
    Status::unavailable(error.to_string())
}

fn not_reached(error: NotReached) -> Status {
    match error {
        NotReached::Token(error) => Status::invalid_argument(error.to_string()),
        NotReached::Behind { .. } | NotReached::Stopping(_) => {
            Status::unavailable(error.to_string())
        }
    }
}

/// Counts a call under its method.
async fn counted<T>(
    app: &Arc<App>,
    op: &'static str,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    let started = Instant::now();
    let span = tracing::info_span!("grpc", op, code = tracing::field::Empty);
    let result = call.instrument(span.clone()).await;
    let code = result.as_ref().map_or_else(|status| code_name(status.code()), |_| "ok");
    span.record("code", code);
    app.core.metrics().answered(metrics::Request { api: "grpc", op, code }, started.elapsed());
    result.map(Response::new)
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}
