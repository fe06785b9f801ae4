//! Raft's messages from other nodes.
//!
//! **Invariants.** Only nodes of the roster are heard, and only as themselves: a leader's or
//! candidate's message must come with that node's certificate, and a node that never votes is
//! neither. A command is taken only from who may propose it. What openraft would assert of a
//! message is checked before it sees it.
//!
//! **Must not know:** the roster; the closures it is given do.

use std::sync::Arc;

use openraft::{
    Vote,
    error::{InstallSnapshotError, RaftError},
    raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest},
};
use rpc::{
    MESSAGE_BYTES_MAX,
    peer::{self, Fingerprint},
    v1::raft_server::{self, RaftServer},
};
use serde::Serialize;
use tonic::{Request, Response, Status};
use wire::{
    Message as _,
    v1::{ControlCommand, ProposeReply, ProposeRequest, RaftMessage},
};

use super::{
    COMMAND_BYTES_MAX, Local, NOT_LEADER, ProposeError, codec,
    machine::SNAPSHOT_BYTES_MAX,
    network::SnapshotAnswer,
    types::{LogId, Part, Raft, RaftId, TypeConfig},
};

/// A node of the roster that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its id.
    pub node: u32,
    /// How it takes part in Raft.
    pub part: Part,
}

type Find = dyn Fn(&Fingerprint) -> Option<Caller> + Send + Sync;
type MayPropose = dyn Fn(u32, &ControlCommand) -> Result<(), String> + Send + Sync;

/// What the roster says of callers.
#[derive(Clone)]
pub struct Peers {
    /// Finds the node that a certificate is of.
    pub find: Arc<Find>,
    /// Whether a node may propose a command, or why not.
    pub may_propose: Arc<MayPropose>,
}

/// The gRPC service.
pub struct RaftService {
    local: Local,
    peers: Peers,
}

impl RaftService {
    pub(crate) fn server(local: Local, peers: Peers) -> RaftServer<Self> {
        RaftServer::new(Self::new(local, peers)).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn new(local: Local, peers: Peers) -> Self {
        Self { local, peers }
    }

    fn raft(&self) -> &Raft {
        &self.local.raft
    }

    fn identify<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        peer::identify(request, |fingerprint| (self.peers.find)(fingerprint))
    }

    /// The caller, as a node that may lead: a stolen replica must not win an election.
    fn identify_voter<T>(&self, request: &Request<T>) -> Result<RaftId, Status> {
        let Caller { node, part } = self.identify(request)?;
        match part {
            Part::Voter => Ok(RaftId::from(node)),
            Part::Learner => Err(Status::permission_denied("a node that never votes never leads")),
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(message: &RaftMessage) -> Result<T, Status> {
    codec::decode(&message.payload).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn encode<T: Serialize>(answer: &T) -> Result<Response<RaftMessage>, Status> {
    let payload = codec::encode(answer).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Response::new(RaftMessage { payload }))
}

/// A vote is sent by the node it is for.
fn check_sender(sender: RaftId, vote: &Vote<RaftId>) -> Result<(), Status> {
    if vote.leader_id.voted_for() == Some(sender) {
        return Ok(());
    }
    Err(Status::permission_denied("a raft message in another node's name"))
}

fn check_entries(rpc: &AppendEntriesRequest<TypeConfig>) -> Result<(), Status> {
    let mut previous: Option<LogId> = rpc.prev_log_id;
    for entry in &rpc.entries {
        let follows = match previous {
            None => entry.log_id.index == 0,
            Some(previous) => {
                previous.index.checked_add(1) == Some(entry.log_id.index)
                    && previous.leader_id <= entry.log_id.leader_id
            }
        };
        if !follows || entry.log_id.index == u64::MAX {
            return Err(Status::invalid_argument("raft entries that do not follow each other"));
        }
        previous = Some(entry.log_id);
    }
    Ok(())
}

fn check_piece(rpc: &InstallSnapshotRequest<TypeConfig>) -> Result<(), Status> {
    let bytes = u64::try_from(rpc.data.len()).ok();
    let end = bytes.and_then(|bytes| rpc.offset.checked_add(bytes));
    if end.and_then(|end| usize::try_from(end).ok()).is_some_and(|end| end <= SNAPSHOT_BYTES_MAX) {
        return Ok(());
    }
    Err(Status::resource_exhausted(format!("a snapshot over {SNAPSHOT_BYTES_MAX} bytes")))
}

fn stopped(error: &dyn std::error::Error) -> Status {
    Status::unavailable(format!("raft does not run here: {error}"))
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    async fn append_entries(
        &self,
        request: Request<RaftMessage>,
    ) -> Result<Response<RaftMessage>, Status> {
        let sender = self.identify_voter(&request)?;
        let rpc: AppendEntriesRequest<TypeConfig> = decode(request.get_ref())?;
        check_sender(sender, &rpc.vote)?;
        check_entries(&rpc)?;
        encode(&self.raft().append_entries(rpc).await.map_err(|error| stopped(&error))?)
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        let sender = self.identify_voter(&request)?;
        let rpc: VoteRequest<RaftId> = decode(request.get_ref())?;
        check_sender(sender, &rpc.vote)?;
        encode(&self.raft().vote(rpc).await.map_err(|error| stopped(&error))?)
    }

    async fn install_snapshot(
        &self,
        request: Request<RaftMessage>,
    ) -> Result<Response<RaftMessage>, Status> {
        let sender = self.identify_voter(&request)?;
        let rpc: InstallSnapshotRequest<TypeConfig> = decode(request.get_ref())?;
        check_sender(sender, &rpc.vote)?;
        check_piece(&rpc)?;
        encode(&match self.raft().install_snapshot(rpc).await {
            Ok(response) => SnapshotAnswer::Taken(response),
            Err(RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch))) => {
                SnapshotAnswer::Mismatch(mismatch)
            }
            Err(RaftError::Fatal(fatal)) => return Err(stopped(&fatal)),
        })
    }

    async fn propose(
        &self,
        request: Request<ProposeRequest>,
    ) -> Result<Response<ProposeReply>, Status> {
        let caller = self.identify(&request)?;
        // Only a leader's roster is new enough to judge by.
        if !self.local.leads() {
            return Err(Status::failed_precondition(NOT_LEADER));
        }
        let command = request.into_inner().command.unwrap_or_default();
        if let Err(why) = (self.peers.may_propose)(caller.node, &command) {
            tracing::warn!(node = caller.node, why, "a proposal is refused");
            return Err(Status::permission_denied(why));
        }
        let command = command.encode_to_vec();
        if command.len() > COMMAND_BYTES_MAX {
            let message = format!("a command over the limit of {COMMAND_BYTES_MAX} bytes");
            return Err(Status::invalid_argument(message));
        }
        match self.local.write(command).await {
            Ok(reply) => Ok(Response::new(ProposeReply { reply: Some(reply) })),
            Err(ProposeError::NoLeader) => Err(Status::failed_precondition(NOT_LEADER)),
            Err(error @ (ProposeError::Unknown | ProposeError::Stopped)) => {
                Err(Status::unavailable(error.to_string()))
            }
            Err(error @ ProposeError::Forbidden) => {
                Err(Status::permission_denied(error.to_string()))
            }
            Err(error @ ProposeError::TooLarge { .. }) => {
                Err(Status::invalid_argument(error.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::{CommittedLeaderId, EntryPayload};

    use super::*;
    use crate::raft::types::Entry;

    #[test]
    fn entries_must_follow_what_they_say_they_follow() {
        let log_id = |(term, index)| LogId::new(CommittedLeaderId::new(term, 1), index);
        let check = |previous: Option<(u64, u64)>, entries: &[(u64, u64)]| {
            let entry =
                |at: &(u64, u64)| Entry { log_id: log_id(*at), payload: EntryPayload::Blank };
            let rpc = AppendEntriesRequest {
                vote: Vote::new_committed(9, 1),
                prev_log_id: previous.map(log_id),
                entries: entries.iter().map(entry).collect(),
                leader_commit: None,
            };
            check_entries(&rpc).is_ok()
        };
        assert!(check(None, &[(1, 0), (1, 1), (2, 2)]));
        assert!(check(Some((1, 4)), &[(1, 5)]));
        assert!(check(Some((1, u64::MAX)), &[]));
        assert!(!check(None, &[(1, 1)]), "the first has index 0");
        assert!(!check(Some((1, 4)), &[(1, 6)]), "a hole");
        assert!(!check(Some((1, 4)), &[(1, 5), (1, 5)]), "one twice");
        assert!(!check(Some((2, 4)), &[(1, 5)]), "an older term");
        assert!(!check(Some((1, u64::MAX)), &[(1, 0)]), "past the last index");
        assert!(!check(Some((1, u64::MAX - 1)), &[(1, u64::MAX)]), "the last index");
    }

    #[test]
    fn a_message_in_another_nodes_name_is_refused() {
        assert!(check_sender(2, &Vote::new(5, 2)).is_ok());
        assert!(check_sender(3, &Vote::new(5, 2)).is_err());
        assert!(check_sender(3, &Vote::new_committed(5, 2)).is_err());
    }

    #[test]
    fn snapshots_are_taken_up_to_their_limit() {
        let check = |offset: u64, bytes: usize| {
            let rpc = InstallSnapshotRequest {
                vote: Vote::new_committed(1, 1),
                meta: Default::default(),
                offset,
                data: vec![0; bytes],
                done: true,
            };
            check_piece(&rpc).is_ok()
        };
        let max = u64::try_from(SNAPSHOT_BYTES_MAX).unwrap();
        assert!(check(max - 1, 1) && check(max, 0));
        assert!(!check(max, 1) && !check(u64::MAX, 1));
    }
}
