//! Answers that are remembered, so that a command asked for again is not applied again.
//!
//! A proposer whose leader dies between the commit and the reply cannot know what became of its
//! command. It asks again with the same request id.
//!
//! **Invariants.** A request id has one answer. The newest [`ANSWERS_MAX`] are kept, by the log's
//! order.
//!
//! **Must not know:** what was asked.

use std::collections::{BTreeSet, VecDeque};

use wire::v1;

/// Answers that are remembered, at most. A proposer asks again for seconds only, and commands are
/// few: the oldest are those that nobody asks for.
pub const ANSWERS_MAX: usize = 1_000;

/// What tells a command from another: 16 random bytes.
pub type RequestId = [u8; 16];

/// The remembered answers, the oldest first.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Answers(VecDeque<(RequestId, v1::ControlReply)>);

impl Answers {
    pub(super) fn get(&self, request: &RequestId) -> Option<&v1::ControlReply> {
        self.0.iter().find(|(known, _)| known == request).map(|(_, answer)| answer)
    }

    /// Keeps the answer of a request that has none.
    pub(super) fn remember(&mut self, request: RequestId, answer: v1::ControlReply) {
        if self.0.len() >= ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((request, answer));
    }

    pub(super) fn to_message(&self) -> Vec<v1::ControlAnswer> {
        let answer = |(request, reply): &(RequestId, v1::ControlReply)| v1::ControlAnswer {
            request_id: request.to_vec(),
            reply: Some(reply.clone()),
        };
        self.0.iter().map(answer).collect()
    }

    /// `None` when there are too many, an id is none or occurs twice, or an answer says nothing.
    pub(super) fn from_message(message: &[v1::ControlAnswer]) -> Option<Self> {
        if message.len() > ANSWERS_MAX {
            return None;
        }
        let mut known = BTreeSet::new();
        let answer = |v1::ControlAnswer { request_id, reply }: &v1::ControlAnswer| {
            let request = RequestId::try_from(request_id.as_slice()).ok()?;
            let reply = reply.clone().filter(|reply| reply.reply.is_some())?;
            known.insert(request).then_some((request, reply))
        };
        message.iter().map(answer).collect::<Option<_>>().map(Self)
    }
}
