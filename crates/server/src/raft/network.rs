//! Raft's messages to other nodes, over mutual TLS.
//!
//! **Invariants.** A message reaches only the node it is for: the server is verified under that
//! node's name. Whatever fails on the way, openraft is told that the node is unreachable.
//!
//! **Must not know:** what messages mean.

use std::{sync::Arc, time::Duration};

use openraft::{
    RPCTypes, RaftNetwork, RaftNetworkFactory,
    error::{
        InstallSnapshotError, RPCError, RaftError, RemoteError, SnapshotMismatch, Timeout,
        Unreachable,
    },
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest,
        InstallSnapshotResponse, VoteRequest, VoteResponse,
    },
};
use rpc::{
    MESSAGE_BYTES_MAX,
    client::{self, ConnectError, ServerName, Target, Trust},
    tls::Identity,
    v1::raft_client::RaftClient,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use tonic::{Request, Status, transport::Channel};
use wire::v1::RaftMessage;

use super::{
    codec::{self, CodecError},
    types::{RaftId, RaftNode, TypeConfig},
};

/// The first wait after a node was unreachable; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

type Client = RaftClient<Channel>;
type Failed<E> = RPCError<RaftId, RaftNode, RaftError<RaftId, E>>;

/// Finds a node's address in the newest roster.
pub(crate) type Addresses = Arc<dyn Fn(RaftId) -> Option<String> + Send + Sync>;

/// What this node shows to others, and how it knows them.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) me: RaftId,
    pub(crate) cluster_id: String,
    pub(crate) ca_pem: String,
    pub(crate) identity: Identity,
    pub(crate) addresses: Addresses,
}

impl Network {
    pub(crate) fn target(&self, node: RaftId, address: String) -> Target {
        // Ids are given out as 32 bits; another one is no node's name.
        let node = u32::try_from(node).unwrap_or_default();
        Target {
            address,
            trust: Trust::Ca(self.ca_pem.clone()),
            name: ServerName::Node { node, cluster_id: self.cluster_id.clone() },
            identity: Some(self.identity.clone()),
        }
    }
}

/// A client with the limits both sides keep.
pub(crate) fn limited(channel: Channel) -> Client {
    RaftClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: RaftId, node: &RaftNode) -> Peer {
        let fallback = node.address.clone();
        Peer { network: self.clone(), target, fallback, connection: None }
    }
}

/// Another node.
pub(crate) struct Peer {
    network: Network,
    target: RaftId,
    /// Where it was when it was added to Raft's configuration.
    fallback: String,
    connection: Option<(String, Client)>,
}

/// What the receiver of a snapshot's piece answers.
#[derive(Serialize, Deserialize)]
pub(crate) enum SnapshotAnswer {
    Taken(InstallSnapshotResponse<RaftId>),
    Mismatch(SnapshotMismatch),
}

#[derive(Debug, Error)]
enum CallError {
    #[error("no answer in time")]
    Timeout,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Status(#[from] Status),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Peer {
    fn client(&mut self) -> Result<Client, ConnectError> {
        let address = (self.network.addresses)(self.target);
        let address = address.unwrap_or_else(|| self.fallback.clone());
        if let Some((at, client)) = &self.connection
            && *at == address
        {
            return Ok(client.clone());
        }
        let channel = client::connect_lazy(&self.network.target(self.target, address.clone()))?;
        let client = limited(channel);
        self.connection = Some((address, client.clone()));
        Ok(client)
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        method: RPCTypes,
        question: &Q,
        limit: Duration,
    ) -> Result<A, CallError> {
        let mut request = Request::new(RaftMessage { payload: codec::encode(question)? });
        request.set_timeout(limit);
        let mut client = self.client()?;
        let answer = async {
            match method {
                RPCTypes::Vote => client.vote(request).await,
                RPCTypes::AppendEntries => client.append_entries(request).await,
                RPCTypes::InstallSnapshot => client.install_snapshot(request).await,
            }
        };
        let answer =
            tokio::time::timeout(limit, answer).await.map_err(|_| CallError::Timeout)??;
        Ok(codec::decode(&answer.into_inner().payload)?)
    }

    fn failed<E: std::error::Error>(
        &self,
        error: &CallError,
        action: RPCTypes,
        limit: Duration,
    ) -> Failed<E> {
        match error {
            CallError::Timeout => RPCError::Timeout(Timeout {
                action,
                id: self.network.me,
                target: self.target,
                timeout: limit,
            }),
            CallError::Connect(_) | CallError::Status(_) | CallError::Codec(_) => {
                RPCError::Unreachable(Unreachable::new(error))
            }
        }
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RPCError<RaftId, RaftNode, RaftError<RaftId>>> {
        let (action, limit) = (RPCTypes::AppendEntries, option.hard_ttl());
        let answer = self.call(action, &rpc, limit).await;
        answer.map_err(|error| self.failed(&error, action, limit))
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<RaftId>, Failed<InstallSnapshotError>> {
        let (action, limit) = (RPCTypes::InstallSnapshot, option.hard_ttl());
        let answer = self.call(action, &rpc, limit).await;
        match answer.map_err(|error| self.failed(&error, action, limit))? {
            SnapshotAnswer::Taken(response) => Ok(response),
            SnapshotAnswer::Mismatch(mismatch) => {
                let mismatch = RaftError::APIError(InstallSnapshotError::from(mismatch));
                Err(RPCError::RemoteError(RemoteError::new(self.target, mismatch)))
            }
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<RaftId>,
        option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, RPCError<RaftId, RaftNode, RaftError<RaftId>>> {
        let (action, limit) = (RPCTypes::Vote, option.hard_ttl());
        let answer = self.call(action, &rpc, limit).await;
        answer.map_err(|error| self.failed(&error, action, limit))
    }

    fn backoff(&self) -> Backoff {
        let doubled = |wait: &Duration| Some(BACKOFF_MAX.min(*wait * 2));
        Backoff::new(std::iter::successors(Some(BACKOFF_FIRST), doubled))
    }
}
