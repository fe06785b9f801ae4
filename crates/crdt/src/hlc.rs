//! The hybrid logical clock: orders displays, decides nothing (Kulkarni et al., "Logical Physical
//! Clocks", 2014).

/// Milliseconds since the epoch and a counter. It never runs backwards at a node and is later than
/// everything the node has seen, however its wall clock jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(u64);

impl Hlc {
    const COUNTER_BITS: u32 = 16;
    /// What a peer's clock may be ahead, in milliseconds, before its time is not followed.
    const AHEAD_MS_MAX: u64 = 60_000;

    /// From its wire form: milliseconds shifted by 16 bits, plus the counter.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The wire form.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The milliseconds.
    pub fn ms(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }

    /// The time of a new event at a node whose wall clock says `now_ms`.
    #[must_use]
    pub fn tick(self, now_ms: u64) -> Self {
        Self((now_ms << Self::COUNTER_BITS).max(self.0.saturating_add(1)))
    }

    /// Having seen `other`. A time from too far in the future is not followed: it would drag every
    /// clock of the cluster with it.
    #[must_use]
    pub fn observe(self, other: Self, now_ms: u64) -> Self {
        let believable = other.ms() <= now_ms.saturating_add(Self::AHEAD_MS_MAX);
        if believable { self.max(other) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_runs_backwards_and_does_not_follow_the_far_future() {
        let first = Hlc::default().tick(1_000);
        let second = first.tick(10);
        assert!(second > first);
        assert!(second.observe(Hlc::default().tick(5_000), 1_000) > second);
        assert_eq!(second.observe(Hlc::default().tick(100_000_000), 1_000), second);
    }
}
