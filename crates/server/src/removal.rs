//! Nodes that are gone for long are removed; and a removal leaves voters that can agree.
//!
//! **Invariants.** Only the leader evicts, one node at a time, and only while it has watched
//! without a pause: a machine that slept must not take its peers for the sleepers. Silence is
//! measured by the monotonic clock.
//!
//! **Must not know:** what becomes of a node that was removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crdt::NodeId;
use model::Timestamp;
use node::NodeState;
use tokio::time::{Instant, MissedTickBehavior, interval};
use wire::v1::{self, control_command::Command};

use crate::{app::App, clock, control, core::Stopping, stop::Stop};

/// How often the members are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who has not looked for so long begins to watch anew.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Removes members that nothing was heard of for longer than `after`, while this node leads, until
/// told to stop.
pub async fn evict(app: Arc<App>, after: Duration, mut stop: Stop) {
    let mut watch = Watch::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            _ = ticks.tick() => {}
        }
        let Ok(gone) = gone(&app, &mut watch, after) else { return stop.stopped().await };
        if let Some(node) = gone {
            tokio::select! {
                () = stop.stopped() => return,
                () = remove(&app, node, after) => {}
            }
        }
    }
}

/// The member that was silent for longest, if that is longer than `after` and this node leads.
fn gone(app: &App, watch: &mut Watch, after: Duration) -> Result<Option<NodeId>, Stopping> {
    let now = app.core.now();
    let heard = app.core.peek(|node| {
        let others = node.status(now).into_iter().filter(|status| {
            status.entry.node != node.id() && status.entry.state != NodeState::Removed
        });
        others.map(|s| (s.entry.node, at(now, s.heard_ms))).collect::<Vec<_>>()
    })?;
    let silent = watch.look(Instant::now(), &heard);
    let leads = app.control.leader() == Some(app.home.node);
    let longest = silent.into_iter().max_by_key(|(_, silence)| *silence);
    Ok(longest.filter(|(_, silence)| leads && *silence > after).map(|(node, _)| node))
}

fn at(now: Timestamp, ago_ms: u64) -> Timestamp {
    Timestamp::from_ms(now.ms().saturating_sub(ago_ms))
}

async fn remove(app: &Arc<App>, node: NodeId, after: Duration) {
    match agree_without(app, node.0) {
        Ok(Ok(())) => {}
        Ok(Err(why)) => {
            return tracing::warn!(%node, %why, "a node is gone and cannot be removed");
        }
        Err(Stopping) => return,
    }
    let command = Command::RemoveNode(v1::RemoveNode { node: node.0 });
    match control::propose(&app.control, command).await {
        Ok(_) => tracing::warn!(%node, ?after, "a node was gone for too long and is removed"),
        Err(error) => tracing::warn!(%node, %error, "cannot remove a node that is gone"),
    }
}

/// Since when each member is silent, as far as this node has watched.
#[derive(Debug, Default)]
struct Watch {
    looked: Option<Instant>,
    /// When a member was last heard by the node's clock, and when that was first seen here.
    members: BTreeMap<NodeId, (Timestamp, Instant)>,
}

impl Watch {
    /// Takes down when each member was last heard of; for how long each has been silent.
    fn look(&mut self, now: Instant, heard: &[(NodeId, Timestamp)]) -> Vec<(NodeId, Duration)> {
        let last = self.looked.replace(now);
        if last.is_none_or(|last| now.duration_since(last) > PAUSE_MAX) {
            self.members.clear();
        }
        let mut members = BTreeMap::new();
        for (node, heard) in heard {
            let known = self.members.get(node).filter(|(before, _)| before == heard);
            members.insert(*node, known.copied().unwrap_or((*heard, now)));
        }
        self.members = members;
        let silent = self.members.iter();
        silent.map(|(node, (_, since))| (*node, now.duration_since(*since))).collect()
    }
}

/// Whether the voters agree on removing a node, and can agree on anything when it is gone; else
/// why not.
///
/// # Errors
/// When the node is stopping.
pub fn agree_without(app: &App, removed: u32) -> Result<Result<(), String>, Stopping> {
    let (me, voters) = (app.home.node, app.control.metrics().voters);
    let nodes = app.core.peek(|node| node.status(clock::wall()))?;
    let connected: BTreeSet<u32> = nodes
        .iter()
        .filter(|status| status.connected || status.entry.node.0 == me)
        .map(|status| status.entry.node.0)
        .collect();
    Ok(quorum_without(removed, &voters, &connected))
}

/// Whether the voters agree on removing a node, and can agree on anything when it is gone.
///
/// # Errors
/// When too few of them are connected, with their numbers.
fn quorum_without(removed: u32, voters: &[u32], connected: &BTreeSet<u32>) -> Result<(), String> {
    let missing = |of: &[u32]| {
        let missing: Vec<_> = of.iter().filter(|voter| !connected.contains(voter)).collect();
        let enough = 2 * missing.len() < of.len().max(1);
        let missing: Vec<_> = missing.into_iter().map(ToString::to_string).collect();
        (enough, missing.join(", "))
    };
    let (enough, away) = missing(voters);
    if !enough {
        return Err(format!(
            "too few of the {} voters are connected to agree on anything: node {away} is missing",
            voters.len()
        ));
    }
    let rest: Vec<u32> = voters.iter().filter(|voter| **voter != removed).copied().collect();
    let (enough, away) = missing(&rest);
    if voters.contains(&removed) && !enough {
        return Err(format!(
            "without node {removed} too few of the {} other voters are connected to agree on \
             anything: bring node {away} back, or remove it first",
            rest.len()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn silence_is_counted_only_while_somebody_watches() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let (a, b) = (NodeId(1), NodeId(2));
        let heard = |a_ms, b_ms| [(a, Timestamp::from_ms(a_ms)), (b, Timestamp::from_ms(b_ms))];
        let mut watch = Watch::default();
        let mut look = |seconds, heard: &[(NodeId, Timestamp)]| {
            let silent = watch.look(after(seconds), heard);
            silent.into_iter().map(|(_, silence)| silence.as_secs()).collect::<Vec<_>>()
        };
        // A clock that was set has no say: only whether it was heard of again.
        assert_eq!(look(0, &heard(90_000_000, 5)), [0, 0]);
        assert_eq!(look(4, &heard(90_000_000, 6)), [4, 0]);
        assert_eq!(look(8, &heard(90_000_000, 6)), [8, 4]);
        assert_eq!(look(13, &heard(90_000_000, 6)), [13, 9]);
        // Nobody looked for too long: whoever was silent meanwhile cannot be told.
        assert_eq!(look(19, &heard(90_000_000, 6)), [0, 0]);
        assert_eq!(look(20, &[(b, Timestamp::from_ms(6))]), [1]);
        assert_eq!(look(21, &heard(90_000_000, 6)), [0, 2]);
    }

    /// Removing a node from these voters, of whom these are connected.
    fn check(removed: u32, voters: &[u32], connected: &[u32], expected: Expect) {
        let connected = connected.iter().copied().collect();
        let verdict = quorum_without(removed, voters, &connected);
        expected.assert_eq(&verdict.map_or_else(|why| why, |()| "yes".to_owned()));
    }

    #[test]
    fn a_removal_leaves_voters_that_can_agree() {
        check(3, &[1, 2, 3], &[1, 2, 3], expect!["yes"]);
        check(3, &[1, 2, 3], &[1, 2], expect!["yes"]);
        check(
            3,
            &[1, 2, 3],
            &[1, 3],
            expect![
                "without node 3 too few of the 2 other voters are connected to agree on anything: bring node 2 back, or remove it first"
            ],
        );
        check(
            1,
            &[1, 2, 3],
            &[1, 3],
            expect![
                "without node 1 too few of the 2 other voters are connected to agree on anything: bring node 2 back, or remove it first"
            ],
        );
        check(
            3,
            &[1, 2, 3],
            &[1],
            expect![
                "too few of the 3 voters are connected to agree on anything: node 2, 3 is missing"
            ],
        );
        check(2, &[1, 2], &[1, 2], expect!["yes"]);
        check(
            2,
            &[1, 2],
            &[1],
            expect![
                "too few of the 2 voters are connected to agree on anything: node 2 is missing"
            ],
        );
        check(5, &[1, 2, 3, 4, 5], &[1, 2, 3], expect!["yes"]);
        check(5, &[1, 2, 3, 4, 5], &[1, 2, 3, 4], expect!["yes"]);
        check(9, &[1, 2, 3], &[1, 2], expect!["yes"]);
        check(9, &[1], &[1], expect!["yes"]);
    }
}
