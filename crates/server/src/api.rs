//! One call of the AWS API, from an authenticated caller's form to XML: for the HTTP listener and
//! for gRPC's `Reads.Query`.
//!
//! **Invariants.** An answer is durable, and carries the token of the state it is from. What was
//! written and has not propagated in time is told as exactly that.
//!
//! **Must not know:** HTTP, signatures, what a command means.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_api::{ApiError, Call, Fault, Service, form::Form, sigv4::AuthError};
use crdt::NodeId;
use identity::{
    Caller, Command, Ctx, MfaRefusal, NameVerdict, NamesOf, Query, Reply, RequestContext,
    credential_report::{Generated, Report},
    web_identity::{self, AssumeRoleWithWebIdentity, Unsigned},
};
use model::AccountId;
use node::{Refusal, Scope, Stage, WaitOutcome};
use tokio::sync::Semaphore;
use wire::v1::ControlRefusal;

use crate::{
    app::App,
    auth::Unauthenticated,
    clock,
    control::{self, CommandError},
    core::{Execute, Executed, NotReached, Stopping, WaitRequest},
    metrics, names,
    raft::ProposeError,
    random,
    reports::NoReport,
    web_identity::Unverified,
};

/// How long a request waits for the state that its token asks for.
pub const REACH_WITHIN: Duration = Duration::from_secs(5);
/// How long a write waits until it has propagated, where the endpoint's prefix asks for it.
pub const PROPAGATE_WITHIN: Duration = Duration::from_secs(10);

/// One call.
pub struct Request {
    /// Who asks; `None` if nobody signed it.
    pub caller: Option<Caller>,
    /// From where, how.
    pub context: RequestContext,
    /// Its id.
    pub request_id: String,
    /// What.
    pub form: Form,
    /// The state to answer from, at least.
    pub token: Option<String>,
    /// What must have become of a write before it is answered.
    pub until: Until,
}

/// What must have become of a write before it is answered, besides that it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Until {
    /// Who must have it.
    pub visible: Option<Scope>,
    /// Whether the name that it gave must be confirmed.
    pub confirmed: bool,
}

/// What a call comes to.
pub struct Answer {
    /// The body.
    pub xml: String,
    /// The HTTP status.
    pub status: u16,
    /// The token of the state that it is from; empty if there is none.
    pub token: String,
    /// The action, if it is one.
    pub action: &'static str,
    /// `ok` or the error's code.
    pub code: &'static str,
}

/// A refusal, and the token of what was done all the same.
struct Refused {
    error: ApiError,
    token: Option<String>,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self { error, token: None }
    }
}

impl From<Stopping> for Refused {
    fn from(error: Stopping) -> Self {
        ApiError::service_unavailable(error.to_string()).into()
    }
}

/// Carries a call out.
pub async fn call(app: &Arc<App>, request: Request) -> Answer {
    let service = request.form.service().unwrap_or(Service::Iam);
    let request_id = request.request_id.clone();
    let parsed = aws_api::parse(service, &request.form);
    let action = parsed.as_ref().map_or("Unknown", |call| match call {
        Call::Command(command) => command.action(),
        Call::Query(query) => query.action(),
        Call::Federated(_) => "AssumeRoleWithWebIdentity",
    });
    let result = match parsed {
        Ok(parsed) => carry_out(app, request, parsed).await,
        Err(error) => Err(error.into()),
    };
    match result {
        Ok((reply, token)) => {
            let xml = aws_api::render(action, &reply, &request_id);
            Answer { xml, status: 200, token, action, code: "ok" }
        }
        Err(Refused { error, token }) => {
            refused(app, service, action, &error, token, &request_id).await
        }
    }
}

/// The answer to what is refused before anybody is known to ask.
pub async fn refuse(
    app: &Arc<App>,
    service: Service,
    error: &ApiError,
    request_id: &str,
) -> Answer {
    refused(app, service, "Unknown", error, None, request_id).await
}

async fn refused(
    app: &Arc<App>,
    service: Service,
    action: &'static str,
    error: &ApiError,
    token: Option<String>,
    request_id: &str,
) -> Answer {
    let token = match token {
        Some(token) => token,
        None => app.core.read(|_| ()).await.map(|((), token)| token).unwrap_or_default(),
    };
    let xml = aws_api::xml::error_response(service, error, request_id);
    Answer { xml, status: error.status, token, action, code: error.code }
}

async fn carry_out(
    app: &Arc<App>,
    request: Request,
    call: Call,
) -> Result<(Reply, String), Refused> {
    if let Some(token) = &request.token {
        app.core.reached(token, REACH_WITHIN).await.map_err(not_reached)?;
    }
    let caller = || {
        let missing = || ApiError::from(AuthError::MissingAuthenticationToken);
        request.caller.clone().ok_or_else(missing)
    };
    match call {
        Call::Federated(call) => federated(app, &request, &call).await,
        Call::Query(query) => {
            let caller = caller()?;
            answer(app, &request, &caller, &query).await
        }
        Call::Command(command) => {
            let Until { visible, confirmed } = request.until.clone();
            let caller = caller()?;
            let (reply, token) = write(app, request, caller, command).await?;
            if let Some(scope) = visible {
                propagated(app, scope, &token).await?;
            }
            if confirmed {
                self::confirmed(app, &token).await?;
            }
            Ok((reply, token))
        }
    }
}

fn not_reached(error: NotReached) -> ApiError {
    match error {
        NotReached::Token(error) => ApiError::invalid_input(error.to_string()),
        behind @ NotReached::Behind { .. } => ApiError::service_unavailable(behind.to_string()),
        NotReached::Stopping(error) => ApiError::service_unavailable(error.to_string()),
    }
}

/// Answers whoever a token is for: there is no caller.
async fn federated(
    app: &Arc<App>,
    request: &Request,
    call: &AssumeRoleWithWebIdentity,
) -> Result<(Reply, String), Refused> {
    // A node that is no serving member does not know who is trusted.
    if !app.serves()? {
        let not_serving = Unauthenticated::NotServing;
        return Err(ApiError::from(not_serving).into());
    }
    let token = app.verifier.verify(&app.core, call).await.map_err(|error| match error {
        Unverified::Refused(error) => aws_api::error_of(&error).into(),
        Unverified::Stopping(error) => Refused::from(error),
    })?;
    let entropy = random::entropy();
    let read = app.core.read(|node| {
        let unsigned = Unsigned {
            now: clock::wall(),
            entropy: &entropy,
            request: &request.context,
            keys: node.keys(),
            accounts: node.accounts(),
        };
        web_identity::assume(node.identity(), &unsigned, call, &token)
    });
    let (result, at) = read.await?;
    let session = result.map_err(|error| aws_api::error_of(&error))?;
    Ok((Reply::AssumeRoleWithWebIdentity(Box::new(session)), at))
}

async fn answer(
    app: &Arc<App>,
    request: &Request,
    caller: &Caller,
    query: &Query,
) -> Result<(Reply, String), Refused> {
    let entropy = random::entropy();
    let read = app.core.read(|node| {
        let ctx = Ctx {
            now: clock::wall(),
            entropy: &entropy,
            caller,
            request: &request.context,
            keys: node.keys(),
            accounts: node.accounts(),
        };
        identity::query(node.identity(), &ctx, query)
    });
    let (result, token) = read.await?;
    let reply = result.map_err(|error| aws_api::error_of(&error))?;
    Ok((with_report(app, caller.account, reply)?, token))
}

/// Keeps a credential report that was made, and puts that which is kept into the answer that is to
/// have it.
fn with_report(app: &App, account: AccountId, reply: Reply) -> Result<Reply, ApiError> {
    if let Reply::GenerateCredentialReport(Generated::New(report)) = &reply
        && !app.reports.keep(account, report.clone())
    {
        return Ok(Reply::GenerateCredentialReport(Generated::Kept));
    }
    if let Reply::GetCredentialReport(Report::Allowed) = &reply {
        let report = app.reports.get(account, clock::wall()).map_err(no_report)?;
        return Ok(Reply::GetCredentialReport(Report::Kept(report)));
    }
    Ok(reply)
}

fn no_report(why: NoReport) -> ApiError {
    match why {
        NoReport::NotPresent => ApiError::report_not_present(
            "No report is present. Use GenerateCredentialReport to make one at this node.",
        ),
        NoReport::Expired => ApiError::report_expired(
            "The report is older than four hours. Use GenerateCredentialReport to make a new one.",
        ),
    }
}

async fn write(
    app: &Arc<App>,
    request: Request,
    caller: Caller,
    command: Command,
) -> Result<(Reply, String), Refused> {
    let Request { context, request_id, .. } = request;
    let tries = brings_code(&command).then(|| (caller.account, caller.unique_id()));
    if let Some(who) = tries {
        app.attempts.begin(who, Instant::now()).map_err(too_many)?;
    }
    let command = hash_passwords(app, &caller, command).await?;
    let execute = Execute { caller, request: context, request_id, command };
    let executed = app.core.execute(execute).await?.map_err(|refusal| {
        let wrong = Refusal::Identity(identity::Error::Mfa(MfaRefusal::Code));
        if refusal != wrong {
            tries.into_iter().for_each(|who| app.attempts.was_none(who));
        }
        refusal_error(&refusal)
    })?;
    match executed {
        Executed::Done(node::Answer { reply, token, lsn: _ }) => {
            tries.into_iter().for_each(|who| app.attempts.succeeded(who));
            Ok((reply, token))
        }
        Executed::Propose { change, reply } => {
            let command = control::change_command(&change);
            control::propose(&app.control, command).await.map_err(|error| command_error(&error))?;
            let ((), token) = app.core.read(|_| ()).await?;
            Ok((reply, token))
        }
    }
}

/// Whether a command tries one code of an MFA device. Two codes in a row are not guessed.
fn brings_code(command: &Command) -> bool {
    matches!(command, Command::AssumeRole(_) | Command::GetSessionToken(_))
}

fn too_many(wait: Duration) -> ApiError {
    ApiError::access_denied(format!(
        "MultiFactorAuthentication failed too often. Try again in {} seconds.",
        wait.as_secs() + 1
    ))
}

/// Hashes the passwords that a command brings, away from the task that carries it out, one at a
/// time: each takes tens of milliseconds and mebibytes.
async fn hash_passwords(
    app: &Arc<App>,
    caller: &Caller,
    mut command: Command,
) -> Result<Command, Refused> {
    static HASHING: Semaphore = Semaphore::const_new(1);
    let owner = app.core.peek(|node| command.password_owner(node.identity(), caller))?;
    let Some(owner) = owner else { return Ok(command) };
    let _turn = HASHING.acquire().await.expect("nobody closes it");
    let hashed = tokio::task::spawn_blocking(move || {
        for password in command.passwords() {
            password.hash_ahead(owner);
        }
        command
    });
    hashed.await.map_err(|_| Stopping.into())
}

fn refusal_error(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Identity(error) => aws_api::error_of(error),
        Refusal::NotAWriter { writer } => {
            let writer =
                writer.as_ref().map(|writer| format!(": ask http://{}", writer.aws_address));
            let message = format!("{refusal}{}", writer.unwrap_or_default());
            // Of the sender: a client that tried again here would be refused again.
            ApiError {
                code: "NotAWriter",
                status: 400,
                fault: Fault::Sender,
                message,
                encoded_message: None,
            }
        }
        Refusal::NotReady | Refusal::Removed | Refusal::CutOff => {
            ApiError::service_unavailable(refusal.to_string())
        }
        Refusal::TooLarge => ApiError::limit_exceeded(refusal.to_string()),
        Refusal::NoAccount(_) => ApiError::no_such_entity(refusal.to_string()),
        Refusal::AccountInUse(_) => ApiError::entity_already_exists(refusal.to_string()),
    }
}

fn command_error(error: &CommandError) -> ApiError {
    match error {
        CommandError::Refused(ControlRefusal::AliasTaken) => {
            ApiError::entity_already_exists("The account alias already exists.")
        }
        CommandError::Refused(ControlRefusal::AliasUnknown) => {
            ApiError::no_such_entity("The account alias does not exist.")
        }
        CommandError::Refused(_) => ApiError::invalid_input(error.to_string()),
        CommandError::Unanswered(
            ProposeError::NoLeader
            | ProposeError::Unknown
            | ProposeError::Stopped
            | ProposeError::Forbidden
            | ProposeError::TooLarge { .. },
        ) => ApiError::service_unavailable(error.to_string()),
    }
}

/// Waits until a write is where it should be.
async fn propagated(app: &Arc<App>, scope: Scope, token: &str) -> Result<(), Refused> {
    let started = std::time::Instant::now();
    let vector = app.core.peek(|node| node.open_token(token))?;
    let vector = vector.map_err(|error| ApiError::service_unavailable(error.to_string()))?;
    let (stage, timeout) = (Stage::Visible, PROPAGATE_WITHIN);
    let wait = app.core.wait(WaitRequest { token: vector, scope, stage, timeout }).await?;
    let outcome = wait.outcome.await.map_err(|_| Stopping)?;
    let metrics = app.core.metrics();
    let result = outcome_name(&outcome);
    metrics.waits.get_or_create(&metrics::Outcome { result }).inc();
    let missing = match outcome {
        WaitOutcome::Propagated => {
            metrics.propagation.observe(started.elapsed().as_secs_f64());
            return Ok(());
        }
        WaitOutcome::TimedOut { missing } => {
            let missing = missing.iter().map(|node| format!("node {}: {}", node.node, node.why));
            missing.collect::<Vec<_>>().join("; ")
        }
        WaitOutcome::Unsatisfiable { reason } => reason,
    };
    let message = format!(
        "The change was made and is durable at this node, but has not reached every node that was \
         asked for: {missing}"
    );
    let (code, fault) = ("PropagationTimeout", Fault::Sender);
    let error = ApiError { code, status: 409, fault, message, encoded_message: None };
    Err(Refused { error, token: Some(token.to_owned()) })
}

/// Waits until the name that a write of this node gave is confirmed.
async fn confirmed(app: &Arc<App>, token: &str) -> Result<(), Refused> {
    let vector = app.core.peek(|node| node.open_token(token))?;
    let vector = vector.map_err(|error| ApiError::service_unavailable(error.to_string()))?;
    // The token is that of the state right after the write.
    let write = vector.dot(NodeId(app.home.node));
    let (code, what) = match names::decided(app, &NamesOf::Write(write), PROPAGATE_WITHIN).await? {
        NameVerdict::Confirmed => return Ok(()),
        NameVerdict::Provisional => {
            ("NameNotConfirmed", "its name is not confirmed yet: it stays provisional".to_owned())
        }
        NameVerdict::Lost(lost) => {
            let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
            let lost = lost.join("; ");
            ("NameLost", format!("{lost}: until it is renamed or deleted it is quarantined"))
        }
    };
    let message = format!("The change was made and is durable at this node, but {what}");
    let error =
        ApiError { code, status: 409, fault: Fault::Sender, message, encoded_message: None };
    Err(Refused { error, token: Some(token.to_owned()) })
}

/// How a wait ended, as metrics name it.
pub fn outcome_name(outcome: &WaitOutcome) -> &'static str {
    match outcome {
        WaitOutcome::Propagated => "propagated",
        WaitOutcome::TimedOut { .. } => "timed_out",
        WaitOutcome::Unsatisfiable { .. } => "unsatisfiable",
    }
}
