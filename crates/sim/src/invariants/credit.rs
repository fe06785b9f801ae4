//! A slow peer costs no memory: what is sent to it and not on its disk is bounded.
//!
//! **Must not know:** how the sender counts.

use std::collections::{BTreeMap, VecDeque};

use crdt::{Dot, covers};
use replication::{BATCH_BYTES_MAX, READ_BYTES_MAX, WINDOW_BYTES_MAX};
use wire::{
    transaction::{self, TRANSACTION_BYTES_MAX, decode_vector},
    v1::{self, frame::Frame as F},
};

use super::Invariant;
use crate::fact::{Fact, View};

/// The window, and what one step may go beyond it: a batch or a read, and its last transaction.
const BYTES_MAX: usize = WINDOW_BYTES_MAX
    + TRANSACTION_BYTES_MAX
    + if READ_BYTES_MAX > BATCH_BYTES_MAX { READ_BYTES_MAX } else { BATCH_BYTES_MAX };

#[derive(Default)]
pub(super) struct Credit {
    ways: BTreeMap<(usize, usize), Way>,
}

#[derive(Default)]
struct Way {
    session: u64,
    unacked: VecDeque<(Dot, usize)>,
    bytes: usize,
}

impl Invariant for Credit {
    fn name(&self) -> &'static str {
        "credit is not exceeded"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Sent { from, to, session, frame } => self.sent(*from, *to, *session, frame),
            Fact::Delivered { from, to, session, frame } => {
                self.delivered(view, *from, *to, *session, frame);
                Ok(())
            }
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Handled { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. }
            | Fact::Healed { .. } => Ok(()),
        }
    }
}

impl Credit {
    fn sent(
        &mut self,
        from: usize,
        to: usize,
        session: u64,
        frame: &v1::Frame,
    ) -> Result<(), String> {
        let Some(F::Batch(batch)) = &frame.frame else { return Ok(()) };
        let way = self.ways.entry((from, to)).or_default();
        if way.session != session {
            *way = Way { session, ..Way::default() };
        }
        for bytes in &batch.transactions {
            let transaction = transaction::decode(bytes).map_err(|error| error.to_string())?;
            way.unacked.push_back((transaction.dot, bytes.len()));
            way.bytes += bytes.len();
        }
        if way.bytes > BYTES_MAX {
            return Err(format!("host {from} has sent host {to} {} bytes too early", way.bytes));
        }
        Ok(())
    }

    /// What a node was told by its peer frees its window.
    fn delivered(
        &mut self,
        view: View<'_>,
        from: usize,
        to: usize,
        session: u64,
        frame: &v1::Frame,
    ) {
        let Some(way) = self.ways.get_mut(&(to, from)).filter(|way| way.session == session) else {
            return;
        };
        match &frame.frame {
            Some(F::Heartbeat(heartbeat)) => {
                let peer = view.hosts[from].id.0;
                let own = heartbeat.progress.iter().find(|progress| progress.node == peer);
                let durable = own.and_then(|own| own.durable.as_ref()).map(decode_vector);
                let durable = durable.unwrap_or_default();
                while let Some((dot, bytes)) = way.unacked.front().copied() {
                    if !covers(&durable, &dot) {
                        break;
                    }
                    way.bytes -= bytes;
                    way.unacked.pop_front();
                }
            }
            // It says anew what it lacks: nothing is under way any more.
            Some(F::Subscribe(_)) => *way = Way { session, ..Way::default() },
            Some(
                F::Hello(_)
                | F::Batch(_)
                | F::Offer(_)
                | F::Fetch(_)
                | F::Piece(_)
                | F::Compare(_)
                | F::Part(_),
            )
            | None => {}
        }
    }
}
