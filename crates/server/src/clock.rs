//! Time, for the shell to hand out.
//!
//! **Invariants.** [`Clock::now`] never runs backwards and never stands still, however the wall
//! clock jumps: deadlines and heartbeats depend on it. [`wall`] is what the machine believes, for
//! comparison with other machines' clocks.
//!
//! **Must not know:** what depends on it.

use std::time::{Instant, SystemTime};

use model::Timestamp;

/// The wall clock.
pub fn wall() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that follows the wall clock forwards only.
#[derive(Debug)]
pub struct Clock {
    shown: Timestamp,
    /// When `shown` was the time.
    at: Instant,
}

impl Clock {
    /// Starts with the wall clock.
    pub fn start() -> Self {
        Self { shown: wall(), at: Instant::now() }
    }

    /// The time.
    pub fn now(&mut self) -> Timestamp {
        self.advance(wall(), Instant::now())
    }

    fn advance(&mut self, wall: Timestamp, at: Instant) -> Timestamp {
        let elapsed = at.saturating_duration_since(self.at).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let steady = self.shown.plus_ms(elapsed);
        if elapsed > 0 || wall > steady {
            // Below a millisecond `at` stays, so that short calls add up.
            self.at = at;
            self.shown = steady.max(wall);
        }
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_follows_jumps_forwards_and_walks_through_jumps_back() {
        let start = Instant::now();
        let mut clock = Clock { shown: Timestamp::from_ms(1_000), at: start };
        let mut at = |wall, elapsed| {
            let wall = Timestamp::from_ms(wall);
            clock.advance(wall, start + Duration::from_millis(elapsed)).ms()
        };
        assert_eq!(at(1_010, 10), 1_010);
        assert_eq!(at(9_000, 20), 9_000);
        assert_eq!(at(1_030, 30), 9_010);
        assert_eq!(at(1_040, 40), 9_020);
    }
}
