//! `Cluster`: its state, and what changes it.
//!
//! **Invariants.** A join token is known to the cluster by its hash only; the token itself is
//! shown once. An account is given a root key while nothing was ever written to it, and not
//! again: a call that ended between the two steps of `CreateAccount` is made again to end it.
//!
//! **Must not know:** how Raft agrees.

use std::{fmt::Write as _, sync::Arc};

use identity::NewAccessKey;
use model::AccountId;
use node::{Answer, DigestState, Node, NodeStatus, Refusal, control::TokenHash};
use rpc::v1::cluster_server::Cluster;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Request, Response, Status};
use wire::{
    transaction::encode_vector,
    v1::{self, ControlRefusal, control_command::Command},
};

use super::{Concern, authorize, counted, stopping, who};
use crate::{
    app::App,
    clock,
    control::{self, CommandError},
    random, removal,
};

/// How long a join token is good for unless its maker says.
const TOKEN_VALID_MS: u64 = 3_600_000;
/// The longest that it may be good for.
const TOKEN_VALID_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// What every join token begins with, so that people and scanners know one.
pub(super) const TOKEN_PREFIX: &str = "writ-join-";

/// The service.
pub struct Clusters {
    app: Arc<App>,
}

impl Clusters {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Refuses who may not do it, then gives the message.
    async fn admit<T>(&self, request: Request<T>, action: &str) -> Result<T, Status> {
        let who = who(&self.app, &request)?;
        authorize(&self.app, &who, action, Concern::Cluster).await?;
        Ok(request.into_inner())
    }

    fn status(&self) -> Result<v1::GetStatusReply, Status> {
        let core = &self.app.core;
        let nodes = core.peek(|node| node.status(core.now())).map_err(stopping)?;
        let raft = self.app.control.metrics();
        Ok(v1::GetStatusReply {
            cluster_id: self.app.home.cluster_id.clone(),
            node: self.app.home.node,
            leader: raft.leader.unwrap_or_default(),
            term: raft.term,
            nodes: nodes.into_iter().map(node_status).collect(),
        })
    }

    async fn join_token(
        &self,
        request: v1::CreateJoinTokenRequest,
    ) -> Result<v1::CreateJoinTokenReply, Status> {
        let role = request.role();
        if role == v1::Role::Unspecified {
            return Err(Status::invalid_argument("a role is writer or replica"));
        }
        let valid_ms = match request.valid_ms {
            0 => TOKEN_VALID_MS,
            ms => ms.min(TOKEN_VALID_MS_MAX),
        };
        let secret = hex(&random::bytes::<32>());
        let create = v1::CreateJoinToken {
            hash: token_hash(&secret).to_vec(),
            role: role.into(),
            expires_ms: clock::wall().plus_ms(valid_ms).ms(),
        };
        self.propose(Command::CreateJoinToken(create)).await?;
        let ca = self.app.core.peek(|node| node.control().ca_certificate().to_vec());
        let fingerprint = rpc::tls::certificate_hash(&ca.map_err(stopping)?);
        Ok(v1::CreateJoinTokenReply { token: format!("{TOKEN_PREFIX}{secret}.{fingerprint}") })
    }

    async fn account(
        &self,
        request: v1::CreateAccountRequest,
    ) -> Result<v1::CreateAccountReply, Status> {
        let account: AccountId = request
            .account_id
            .parse()
            .map_err(|_| Status::invalid_argument("an account id has twelve digits"))?;
        let create =
            v1::CreateAccount { account: account.number(), created_ms: clock::wall().ms() };
        self.check_writer()?;
        let proposed =
            control::propose(&self.app.control, Command::CreateAccount(create)).await.map(drop);
        let made = made(proposed)?;
        self.known(account).await?;
        if made == Made::Before && !self.app.core.peek(Node::is_level).map_err(stopping)? {
            let message = "the account exists, and whether it has a key is known only when all \
                           writers are connected and this node has what they have";
            return Err(Status::unavailable(message));
        }
        let written = self.app.core.root_key(account, random::uuid()).await.map_err(stopping)?;
        let Answer { reply: NewAccessKey { id, secret, .. }, token, lsn: _ } =
            written.map_err(|refusal| root_key_status(&refusal))?;
        Ok(v1::CreateAccountReply {
            access_key_id: id.to_string(),
            secret_access_key: secret.expose().clone(),
            consistency_token: token,
        })
    }

    /// Waits until the node knows an account that Raft has agreed on.
    async fn known(&self, account: AccountId) -> Result<(), Status> {
        let mut changes = self.app.core.changes();
        let known = async {
            let knows = || self.app.core.peek(|node| node.accounts().0.contains_key(&account));
            while !knows()? {
                changes.changed().await?;
            }
            Ok(())
        };
        match tokio::time::timeout(control::PROPOSE_WITHIN, known).await {
            Ok(result) => result.map_err(stopping),
            Err(_) => Err(Status::unavailable("the account did not arrive at this node in time")),
        }
    }

    async fn remove(&self, node: u32) -> Result<(), Status> {
        let voters = removal::agree_without(&self.app, node).map_err(stopping)?;
        voters.map_err(Status::failed_precondition)?;
        let removed = self.propose(Command::RemoveNode(v1::RemoveNode { node })).await;
        removed.map_err(|status| {
            if status.code() == Code::NotFound {
                return Status::not_found(format!("there is no node {node} in the cluster"));
            }
            status
        })
    }

    /// A replica's proposal would be refused by the leader: better told at once, and by whom.
    fn check_writer(&self) -> Result<(), Status> {
        if self.app.kek.is_some() {
            return Ok(());
        }
        Err(Status::failed_precondition("replicas change nothing in the cluster: ask a writer"))
    }

    async fn propose(&self, command: Command) -> Result<(), Status> {
        self.check_writer()?;
        let proposed = control::propose(&self.app.control, command).await;
        proposed.map(drop).map_err(|error| command_status(&error))
    }
}

/// When an account was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Now,
    /// By an earlier call, which may have ended before the account had its root key.
    Before,
}

fn made(proposed: Result<(), CommandError>) -> Result<Made, Status> {
    match proposed {
        Ok(()) => Ok(Made::Now),
        Err(CommandError::Refused(ControlRefusal::AccountExists)) => Ok(Made::Before),
        Err(error) => Err(command_status(&error)),
    }
}

fn root_key_status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::AccountInUse(_) => Status::already_exists(refusal.to_string()),
        Refusal::Identity(_)
        | Refusal::NotAWriter { .. }
        | Refusal::NotReady
        | Refusal::Removed
        | Refusal::CutOff
        | Refusal::TooLarge
        | Refusal::NoAccount(_) => Status::failed_precondition(refusal.to_string()),
    }
}

/// A refused command as a status.
pub(super) fn command_status(error: &CommandError) -> Status {
    let text = error.to_string();
    match error {
        CommandError::Refused(ControlRefusal::NodeUnknown | ControlRefusal::AccountUnknown) => {
            Status::not_found(text)
        }
        CommandError::Refused(ControlRefusal::AccountExists) => Status::already_exists(text),
        CommandError::Refused(
            ControlRefusal::TokenUnknown | ControlRefusal::TokenExpired | ControlRefusal::TokenRole,
        ) => Status::permission_denied(text),
        CommandError::Refused(_) => Status::failed_precondition(text),
        CommandError::Unanswered(_) => Status::unavailable(text),
    }
}

/// By what the cluster knows a token.
pub(super) fn token_hash(secret: &str) -> TokenHash {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes any text");
        hex
    })
}

fn node_status(status: NodeStatus) -> v1::NodeStatus {
    let NodeStatus { entry, connected, visible, durable, heard_ms, lag, digest } = status;
    let digest = match digest {
        DigestState::Unknown => v1::node_status::DigestState::Unknown,
        DigestState::Equal => v1::node_status::DigestState::Equal,
        DigestState::Different => v1::node_status::DigestState::Different,
    };
    v1::NodeStatus {
        entry: Some(entry.to_message()),
        connected,
        visible: Some(encode_vector(&visible)),
        durable: Some(encode_vector(&durable)),
        heard_ms,
        lag,
        digest: digest.into(),
    }
}

#[tonic::async_trait]
impl Cluster for Clusters {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusReply>, Status> {
        counted(&self.app, "GetStatus", async {
            self.admit(request, "writ:GetClusterStatus").await?;
            self.status()
        })
        .await
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenReply>, Status> {
        counted(&self.app, "CreateJoinToken", async {
            self.join_token(self.admit(request, "writ:CreateJoinToken").await?).await
        })
        .await
    }

    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountReply>, Status> {
        counted(&self.app, "CreateAccount", async {
            self.account(self.admit(request, "writ:CreateAccount").await?).await
        })
        .await
    }

    async fn remove_node(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::RemoveNodeReply>, Status> {
        counted(&self.app, "RemoveNode", async {
            let v1::RemoveNodeRequest { node } = self.admit(request, "writ:RemoveNode").await?;
            self.remove(node).await?;
            Ok(v1::RemoveNodeReply {})
        })
        .await
    }
}
