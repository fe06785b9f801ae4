//! What happened in a run, in words, for whoever looks into a violation.
//!
//! **Invariants.** Listening changes nothing of a run. Only the newest [`LINES_MAX`] lines are
//! kept. What a node says again and again is told when it says something else.
//!
//! **Must not know:** what must hold.

use std::collections::{BTreeMap, VecDeque};

use wire::{
    transaction,
    v1::{self, frame::Frame as F},
};

use crate::fact::Fact;

/// Lines that are kept, at most.
pub const LINES_MAX: usize = 400;

/// The newest events of a run.
#[derive(Debug, Default)]
pub struct History {
    listens: bool,
    lines: VecDeque<String>,
    /// What each host last told each other in a heartbeat.
    told: BTreeMap<(usize, usize), v1::Heartbeat>,
}

impl History {
    /// One that keeps what it is told; the default one does not.
    pub fn listening() -> Self {
        Self { listens: true, ..Self::default() }
    }

    /// What it was told, the oldest first.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }

    pub(crate) fn note(&mut self, now_ms: u64, what: impl FnOnce() -> String) {
        if !self.listens {
            return;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{now_ms:>7} ms  {}", what()));
    }

    pub(crate) fn fact(&mut self, now_ms: u64, fact: &Fact<'_>) {
        if self.listens
            && let Some(what) = self.words(fact)
        {
            self.note(now_ms, || what);
        }
    }

    fn words(&mut self, fact: &Fact<'_>) -> Option<String> {
        Some(match fact {
            Fact::Started { at } => format!("host {at} starts"),
            Fact::Applied { at, transaction } => {
                let dot = &transaction.dot;
                let (action, deps) = (&transaction.meta.action, &transaction.deps);
                format!("host {at} applies {}.{} {action} after {deps}", dot.actor, dot.counter)
            }
            Fact::Joins { at, covers } => format!("host {at} joins a snapshot of {covers}"),
            Fact::Acknowledged { at, covers } => format!("host {at} acknowledges {covers}"),
            Fact::Delivered { from, to, session, frame } => {
                let what = self.frame_words(*from, *to, frame)?;
                format!("host {from} to host {to} on stream {session}: {what}")
            }
            Fact::WaitEnded { wait, clock_ms: _, outcome } => {
                let (at, scope, stage) = (wait.at, &wait.scope, wait.stage);
                format!("host {at} ends a wait for {} {scope:?} {stage:?}: {outcome:?}", wait.token)
            }
            Fact::Alarm { at, what } => format!("host {at} raises an alarm: {what}"),
            Fact::Healed { waits } => format!("every fault is over, {waits} waits are left"),
            Fact::Sent { .. } | Fact::Handled { .. } => return None,
        })
    }

    fn frame_words(&mut self, from: usize, to: usize, frame: &v1::Frame) -> Option<String> {
        Some(match frame.frame.as_ref()? {
            F::Hello(hello) => format!("hello, epoch {}", hello.epoch),
            F::Subscribe(subscribe) => {
                let (number, exclude) = (subscribe.generation, &subscribe.exclude);
                format!("subscribe {number}, without {exclude:?}")
            }
            F::Batch(batch) => {
                let dots =
                    batch.transactions.iter().map(|bytes| match transaction::decode(bytes) {
                        Ok(decoded) => format!("{}.{}", decoded.dot.actor, decoded.dot.counter),
                        Err(error) => error.to_string(),
                    });
                format!("batch {}", dots.collect::<Vec<_>>().join(" "))
            }
            F::Heartbeat(heartbeat) => {
                let news = v1::Heartbeat { hlc: 0, ..heartbeat.clone() };
                if self.told.get(&(from, to)) == Some(&news) {
                    return None;
                }
                let digest = heartbeat.digest.is_some();
                self.told.insert((from, to), news);
                let digest = if digest { "with" } else { "without" };
                format!("heartbeat with news, {digest} a digest")
            }
            F::Offer(snapshot) => format!("offer of a snapshot of {} bytes", snapshot.bytes),
            F::Fetch(fetch) => format!("fetch {} bytes from {}", fetch.length, fetch.offset),
            F::Piece(piece) => format!("{} bytes from {}", piece.bytes.len(), piece.offset),
            F::Compare(compare) => {
                let from = if compare.after.is_some() { "behind a key" } else { "from the first" };
                format!("comparison of slots {from}")
            }
            F::Part(part) => format!("part of {} bytes", part.slots.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_history_keeps_lines_and_only_the_newest() {
        let mut deaf = History::default();
        deaf.note(1, || unreachable!("nobody listens"));
        assert_eq!(deaf.into_lines(), Vec::<String>::new());
        let mut history = History::listening();
        for number in 0..=LINES_MAX as u64 {
            history.note(number, || number.to_string());
        }
        let lines = history.into_lines();
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(
            (lines[0].as_str(), lines[LINES_MAX - 1].as_str()),
            ("      1 ms  1", "    400 ms  400")
        );
    }
}
