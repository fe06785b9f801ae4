//! Gaps: what peers have and this node lacks though time has passed.
//!
//! A connected origin that does not deliver is *suspect* for a while: it is not excluded from the
//! subscriptions at the others, so that its transactions come by relay.
//!
//! **Invariants.** Asking again backs off, so that a slow link is not made slower.
//!
//! **Must not know:** why an origin does not deliver.

use std::collections::BTreeMap;

use crdt::VersionVector;

use crate::{NodeId, Replication, join};

/// How long an origin may stand still before it is suspect.
const GAP_MS: u64 = 100;
/// How long an origin stays suspect.
const SUSPECT_MS: u64 = 2_000;
/// After how long without an advance everything is asked for again, at first and at most.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MS_MAX: u64 = 30_000;

#[derive(Debug, Default)]
pub(crate) struct Gaps {
    checked_ms: u64,
    gaps: BTreeMap<NodeId, Gap>,
    suspect_until_ms: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
struct Gap {
    applied: u64,
    since_ms: u64,
    again_ms: u64,
    wait_ms: u64,
}

impl Gaps {
    pub(crate) fn is_suspect(&self, node: NodeId) -> bool {
        self.suspect_until_ms.contains_key(&node)
    }
}

impl<P> Replication<P> {
    /// What somebody within reach has.
    fn within_reach(&self) -> VersionVector {
        let mut reach = self.early.reach();
        for (peer, stream) in &self.streams {
            if stream.epoch.is_some()
                && let Some(progress) = self.progress.get(peer)
            {
                join(&mut reach, &progress.durable);
            }
        }
        reach
    }

    pub(crate) fn check_gaps(&mut self) {
        let now_ms = self.now_ms;
        if now_ms.saturating_sub(self.gaps.checked_ms) < GAP_MS {
            return;
        }
        self.gaps.checked_ms = now_ms;
        let reach = self.within_reach();
        let applied = self.log.applied();
        self.gaps.gaps.retain(|node, gap| {
            let have = applied.get(node);
            have == gap.applied && have < reach.get(node)
        });
        let mut again = false;
        for dot in reach.iter().filter(|dot| dot.counter > applied.get(dot.actor)) {
            let origin = *dot.actor;
            let gap = self.gaps.gaps.entry(origin).or_insert(Gap {
                applied: applied.get(&origin),
                since_ms: now_ms,
                again_ms: now_ms.saturating_add(AGAIN_MS),
                wait_ms: AGAIN_MS,
            });
            if now_ms.saturating_sub(gap.since_ms) >= GAP_MS {
                let until = now_ms.saturating_add(SUSPECT_MS);
                self.gaps.suspect_until_ms.insert(origin, until);
            }
            if now_ms >= gap.again_ms {
                again = true;
                gap.wait_ms = (gap.wait_ms * 2).min(AGAIN_MS_MAX);
                gap.again_ms = now_ms.saturating_add(gap.wait_ms);
            }
        }
        self.gaps.suspect_until_ms.retain(|_, until| *until > now_ms);
        self.resubscribe_where_changed();
        if again {
            for peer in self.streams.keys().copied().collect::<Vec<_>>() {
                self.resubscribe(peer);
            }
        }
    }
}
