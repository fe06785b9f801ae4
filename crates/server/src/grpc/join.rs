//! `Join`: a node that has a one-time token becomes a member.
//!
//! **Invariants.** Anybody may call, so nothing is signed, opened or proposed before the token is
//! found good in the state at hand; a bad one costs a bounded wait and is refused alike, and after
//! the same time, whatever is wrong with it. A signing request is checked before the token is
//! spent. A token admits one node, of the role it was made for; that is the control plane's to
//! decide.
//!
//! **Must not know:** what the node does next.

use std::{sync::Arc, time::Duration};

use model::Timestamp;
use node::control::{ADDRESS_BYTES_MAX, REGION_BYTES_MAX, TokenHash};
use rpc::v1::join_server::{Join, JoinServer};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tonic::{Request, Response, Status};
use wire::v1::{self, ControlRefusal, control_command::Command};

use super::{
    cluster::{TOKEN_PREFIX, command_status, token_hash},
    counted, stopping, too_long,
};
use crate::{
    app::App,
    clock,
    control::{self, CommandError, Rules},
    pki::{self, Authority, CERTIFICATE_REQUEST_BYTES_MAX},
};

/// The longest join token, in bytes: prefix, secret and fingerprint are 139.
const TOKEN_BYTES_MAX: usize = 256;
/// The longest message: every field at its limit, and some for their tags.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// How long this node may lag behind whoever made a token.
const LAG_MAX: Duration = Duration::from_secs(2);
/// Calls that wait for their token to become known, at most.
const WAITING_MAX: usize = 64;
/// Nodes that are admitted at a time, at most; others with a good token wait.
const ADMITTING_MAX: usize = 4;

/// The service.
pub struct Joins {
    app: Arc<App>,
    gate: Gate,
}

impl Joins {
    /// Of this node.
    pub fn server(app: Arc<App>) -> JoinServer<Self> {
        JoinServer::new(Self { app, gate: Gate::new(LAG_MAX) })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn admit(&self, request: v1::JoinRequest) -> Result<v1::JoinReply, Status> {
        let role = check_bounds(&request)?;
        if self.app.kek.is_none() {
            return Err(admits_nobody());
        }
        let v1::JoinRequest {
            token,
            region,
            grpc_address,
            aws_address,
            certificate_request,
            role: _,
        } = request;
        let secret = token.strip_prefix(TOKEN_PREFIX).unwrap_or(&token);
        let secret = secret.split('.').next().unwrap_or_default();
        let ticket = Ticket { hash: token_hash(secret), role };
        let _permit = self.gate.pass(self.app.control.watch(), &ticket).await?;
        let now = clock::wall();
        let authority = self.authority()?;
        let cluster_id = &self.app.home.cluster_id;
        // Signed for no node yet: it tells whether the request is good, and the key's fingerprint.
        let trial = authority.sign(&certificate_request, 0, cluster_id, now);
        let fingerprint = trial.and_then(|certificate| pki::fingerprint(&certificate));
        let fingerprint =
            fingerprint.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let entry = v1::RosterEntry {
            role: role.to_message().into(),
            region,
            grpc_address,
            aws_address,
            certificate: fingerprint.as_str().to_owned(),
            ..v1::RosterEntry::default()
        };
        let add =
            v1::AddNode { token_hash: ticket.hash.to_vec(), entry: Some(entry), now_ms: now.ms() };
        let added = control::propose(&self.app.control, Command::AddNode(add)).await;
        let added = added.map_err(|error| add_status(&error))?;
        let added = added.ok_or_else(|| Status::internal("the cluster gave the node no number"))?;
        let certificate = authority.sign(&certificate_request, added.node, cluster_id, now);
        let certificate = certificate.map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(node = added.node, region = added.region, "a node joins");
        let roster = self.app.core.peek(|node| {
            let present = node.control().present();
            present.map(node::RosterEntry::to_message).collect()
        });
        Ok(v1::JoinReply {
            cluster_id: cluster_id.clone(),
            node: added.node,
            certificate,
            ca_certificate: authority.certificate().to_vec(),
            roster: roster.map_err(stopping)?,
        })
    }

    fn authority(&self) -> Result<Authority, Status> {
        let kek = self.app.kek.as_ref();
        let kek = kek.ok_or_else(admits_nobody)?;
        let (certificate, key) = self
            .app
            .core
            .peek(|node| {
                let control = node.control();
                (control.ca_certificate().to_vec(), control.ca_key().cloned())
            })
            .map_err(stopping)?;
        let key = key.ok_or_else(|| Status::unavailable("this node has no cluster state yet"))?;
        let opened = kek.open_authority(&self.app.home.cluster_id, &certificate, &key);
        opened.map_err(|error| {
            tracing::error!(%error, "cannot open the certificate authority");
            Status::internal("this node cannot open the cluster's certificate authority")
        })
    }
}

fn admits_nobody() -> Status {
    Status::failed_precondition("replicas admit nobody: ask a writer")
}

/// The refusal of every bad token.
fn bad_token() -> Status {
    Status::permission_denied(
        "the join token is no good: it is unknown, was used, has expired or is for another role",
    )
}

fn add_status(error: &CommandError) -> Status {
    match error {
        CommandError::Refused(
            ControlRefusal::TokenUnknown | ControlRefusal::TokenExpired | ControlRefusal::TokenRole,
        ) => bad_token(),
        CommandError::Refused(_) | CommandError::Unanswered(_) => command_status(error),
    }
}

/// Refuses what is over a limit, before anything is done with it; gives the role.
fn check_bounds(request: &v1::JoinRequest) -> Result<node::Role, Status> {
    let v1::JoinRequest { token, role: _, region, grpc_address, aws_address, certificate_request } =
        request;
    let bounds = [
        ("token", token.len(), TOKEN_BYTES_MAX),
        ("region", region.len(), REGION_BYTES_MAX),
        ("grpc_address", grpc_address.len(), ADDRESS_BYTES_MAX),
        ("aws_address", aws_address.len(), ADDRESS_BYTES_MAX),
        ("certificate_request", certificate_request.len(), CERTIFICATE_REQUEST_BYTES_MAX),
    ];
    if let Some((field, _, max)) = bounds.into_iter().find(|(_, bytes, max)| bytes > max) {
        return Err(Status::invalid_argument(too_long(field, max)));
    }
    if grpc_address.is_empty() {
        return Err(Status::invalid_argument("`grpc_address` is empty"));
    }
    let role = node::Role::from_message(request.role());
    role.ok_or_else(|| Status::invalid_argument("a role is writer or replica"))
}

/// What a caller shows.
struct Ticket {
    hash: TokenHash,
    role: node::Role,
}

impl Ticket {
    fn is_good(&self, rules: &Rules, now: Timestamp) -> bool {
        rules.0.admits(&self.hash, self.role, now)
    }
}

/// Lets callers with a good token in, a few at a time.
struct Gate {
    lag_max: Duration,
    waiting: Semaphore,
    admitting: Semaphore,
}

impl Gate {
    fn new(lag_max: Duration) -> Self {
        Self {
            lag_max,
            waiting: Semaphore::new(WAITING_MAX),
            admitting: Semaphore::new(ADMITTING_MAX),
        }
    }

    /// Waits until the token is known to be good. Who holds a good one never queues behind others
    /// who do not.
    async fn pass(
        &self,
        mut state: watch::Receiver<Arc<Rules>>,
        ticket: &Ticket,
    ) -> Result<SemaphorePermit<'_>, Status> {
        let good = ticket.is_good(&state.borrow_and_update(), clock::wall());
        if !good {
            let _waiting = self.waiting.try_acquire().map_err(|_| {
                Status::resource_exhausted("too many callers wait for their join token, try again")
            })?;
            let arrives = async {
                state.wait_for(|rules| ticket.is_good(rules, clock::wall())).await.map(drop)
            };
            match tokio::time::timeout(self.lag_max, arrives).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Status::unavailable("the node is stopping")),
                Err(_) => return Err(bad_token()),
            }
        }
        let admitting = self.admitting.acquire().await;
        admitting.map_err(|_| Status::unavailable("the node is stopping"))
    }
}

#[tonic::async_trait]
impl Join for Joins {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        counted(&self.app, "Join", self.admit(request.into_inner())).await
    }
}

#[cfg(test)]
mod tests {
    use node::ControlState;
    use tonic::Code;

    use super::*;

    /// Long enough for what is sent to arrive, short enough to be waited out.
    const LAG: Duration = Duration::from_millis(20);

    fn request() -> v1::JoinRequest {
        v1::JoinRequest {
            token: "t".repeat(TOKEN_BYTES_MAX),
            role: v1::Role::Replica.into(),
            region: "r".repeat(REGION_BYTES_MAX),
            grpc_address: "g".repeat(ADDRESS_BYTES_MAX),
            aws_address: "a".repeat(ADDRESS_BYTES_MAX),
            certificate_request: vec![0x30; CERTIFICATE_REQUEST_BYTES_MAX],
        }
    }

    #[test]
    fn every_field_has_a_limit() {
        let refused = |edit: &dyn Fn(&mut v1::JoinRequest)| {
            let mut request = request();
            edit(&mut request);
            let status = check_bounds(&request).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        };
        assert_eq!(check_bounds(&request()).unwrap(), node::Role::Replica);
        assert!(wire::Message::encoded_len(&request()) <= MESSAGE_BYTES_MAX);
        refused(&|request| request.token.push('t'));
        refused(&|request| request.region.push('r'));
        refused(&|request| request.grpc_address.push('g'));
        refused(&|request| request.aws_address.push('a'));
        refused(&|request| request.certificate_request.push(0));
        refused(&|request| request.grpc_address.clear());
        refused(&|request| request.role = 0);
        refused(&|request| request.role = 99);
    }

    fn ticket(byte: u8, role: node::Role) -> Ticket {
        Ticket { hash: [byte; 32], role }
    }

    /// A state with these tokens of writers, by their hash's bytes and expiry.
    fn rules(tokens: &[(u8, u64)]) -> Arc<Rules> {
        let token = |(byte, expires_ms): &(u8, u64)| v1::CreateJoinToken {
            hash: vec![*byte; 32],
            role: v1::Role::Writer.into(),
            expires_ms: *expires_ms,
        };
        let state = v1::ControlState {
            join_tokens: tokens.iter().map(token).collect(),
            ..v1::ControlState::default()
        };
        Arc::new(Rules(ControlState::from_message(&state).unwrap()))
    }

    #[tokio::test]
    async fn bad_tokens_are_refused_alike_and_after_the_same_wait() {
        let gate = Gate::new(LAG);
        let (_state, watch) = watch::channel(rules(&[(1, 1), (2, u64::MAX)]));
        let bad = [
            ticket(1, node::Role::Writer),
            ticket(2, node::Role::Replica),
            ticket(3, node::Role::Writer),
        ];
        for ticket in bad {
            let started = tokio::time::Instant::now();
            let status = gate.pass(watch.clone(), &ticket).await.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied);
            assert_eq!(status.message(), bad_token().message());
            assert!(started.elapsed() >= LAG);
        }
        assert!(gate.pass(watch, &ticket(2, node::Role::Writer)).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_that_this_node_has_not_heard_of_yet_is_waited_for() {
        let gate = Gate::new(Duration::from_secs(60));
        let (state, watch) = watch::channel(rules(&[]));
        let ticket = ticket(1, node::Role::Writer);
        let (passed, ()) = tokio::join!(gate.pass(watch, &ticket), async {
            state.send_replace(rules(&[(2, u64::MAX)]));
            tokio::task::yield_now().await;
            state.send_replace(rules(&[(1, u64::MAX)]));
        });
        assert!(passed.is_ok());
    }

    #[tokio::test]
    async fn bad_tokens_wait_in_bounded_number_and_never_before_a_good_one() {
        let gate = Gate::new(LAG);
        let (_state, watch) = watch::channel(rules(&[(1, u64::MAX)]));
        let all = gate.waiting.acquire_many(u32::try_from(WAITING_MAX).unwrap()).await.unwrap();
        let status = gate.pass(watch.clone(), &ticket(2, node::Role::Writer)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let good = ticket(1, node::Role::Writer);
        let mut admitted = Vec::new();
        for _ in 0..ADMITTING_MAX {
            admitted.push(gate.pass(watch.clone(), &good).await.unwrap());
        }
        assert_eq!(gate.admitting.available_permits(), 0);
        drop(all);
        let status = gate.pass(watch, &ticket(2, node::Role::Writer)).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(gate.waiting.available_permits(), WAITING_MAX);
    }

    #[test]
    fn a_token_that_is_spent_meanwhile_is_refused_like_any_bad_one() {
        let refused = |refusal| add_status(&CommandError::Refused(refusal));
        for refusal in
            [ControlRefusal::TokenUnknown, ControlRefusal::TokenExpired, ControlRefusal::TokenRole]
        {
            assert_eq!(refused(refusal).message(), bad_token().message());
        }
        assert_eq!(refused(ControlRefusal::Malformed).code(), Code::FailedPrecondition);
    }
}
