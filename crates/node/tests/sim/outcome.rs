//! What a run came to: it is let come to rest, and looked at.

use super::*;

impl World {
    /// Everything that is possible happens, for so long.
    pub(crate) fn settle(&mut self, for_ms: u64) {
        let end = self.now_ms + for_ms;
        while self.now_ms < end {
            for a in 0..SIZE {
                self.downs(a);
                for b in 0..SIZE {
                    self.connect(a, b);
                    self.deliver(a, b);
                }
                self.finish(a);
                if self.hosts[a].node.joined_behind(self.hosts[a].newest_lsn()) {
                    self.freeze(a);
                    self.snapshot(a, false);
                }
                if !self.hosts[a].unsynced.is_empty() || !self.hosts[a].held.is_empty() {
                    self.sync(a, usize::MAX);
                }
                if self.node(a).next_wakeup().is_some_and(|due| due <= self.clock(a)) {
                    self.handle(a, Input::Tick);
                }
            }
            self.now_ms += 2;
        }
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        for _ in 0..60 {
            self.settle(100);
            let first = self.hosts[0].node.vector();
            let same = self.hosts.iter().all(|host| host.node.vector() == first);
            let busy = self.hosts.iter().any(|host| !host.unsynced.is_empty());
            if same && !busy && self.waits.is_empty() {
                break;
            }
        }
        self.settle(500);
    }

    pub(crate) fn check(&self) {
        let first = self.hosts[0].node.identity().state();
        for (at, host) in self.hosts.iter().enumerate() {
            let state = host.node.identity().state();
            assert_eq!(state.vector(), first.vector(), "node {at} is behind");
            assert!(state.canonical_bytes() == first.canonical_bytes(), "node {at} differs");
            assert_eq!(state.digest(), first.digest());
            let restarted = host.restarted(at);
            let replayed = restarted.identity().state().canonical_bytes();
            assert_eq!(replayed, first.canonical_bytes());
            assert_eq!(restarted.vector(), host.node.vector());
            assert_eq!(restarted.applied_lsn(), host.node.applied_lsn());
            for peer in host.node.status(self.clock(at)) {
                assert_ne!(peer.digest, node::DigestState::Different);
            }
        }
        for covers in &self.acknowledged {
            assert!(dominates(first.vector(), covers), "{covers} was acknowledged and is lost");
        }
        assert!(self.waits.is_empty(), "a wait did not end");
        let batch = |alarm: &&String| !alarm.contains("a batch with not a transaction message");
        assert_eq!(self.alarms.iter().find(batch), None);
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn propagated(&self) -> usize {
        self.propagated
    }

    /// Snapshots that were taken, logs that were trimmed, snapshots of peers that were joined.
    pub(crate) fn snapshots(&self) -> [usize; 3] {
        [self.snapshots, self.trims, self.joins]
    }

    pub(crate) fn alarms(&self) -> &[String] {
        &self.alarms
    }

    pub(crate) fn sent(&self) -> Vec<v1::Frame> {
        self.sent.clone()
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }
}
