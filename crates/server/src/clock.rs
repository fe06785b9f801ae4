//! Time, for the shell to hand out.
//!
//! **Invariants.** [`Clock::now`] never runs backwards and never stands still, however the wall
//! clock jumps: deadlines and heartbeats depend on it. [`wall`] is what the machine believes, for
//! comparison with other machines' clocks.
//!
//! **Must not know:** what depends on it.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use model::Timestamp;

/// The wall clock.
pub fn wall() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// What a clock looks at: the wall clock, and a clock that only elapses.
type Source = Box<dyn Fn() -> (Timestamp, Instant) + Send + Sync>;

/// A clock that follows the wall clock forwards only. What was timed by one is compared with it
/// only: the difference of two clocks is no duration.
pub struct Clock {
    source: Source,
    shown: Mutex<Shown>,
}

#[derive(Clone, Copy)]
struct Shown {
    time: Timestamp,
    /// When `time` was the time.
    at: Instant,
}

impl Clock {
    /// Starts with the wall clock.
    pub fn start() -> Self {
        Self::of(Box::new(|| (wall(), Instant::now())))
    }

    /// Starts with the time that `source` tells.
    pub(crate) fn of(source: Source) -> Self {
        let (time, at) = source();
        Self { source, shown: Mutex::new(Shown { time, at }) }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        // A panic under the lock leaves a time that was shown.
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Asked under the lock: later answers come from later looks.
        let (wall, at) = (self.source)();
        shown.advance(wall, at);
        shown.time
    }
}

impl Shown {
    fn advance(&mut self, wall: Timestamp, at: Instant) {
        let elapsed = at.saturating_duration_since(self.at).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let steady = self.time.plus_ms(elapsed);
        if elapsed > 0 || wall > steady {
            // Below a millisecond `at` stays, so that short calls add up.
            self.at = at;
            self.time = steady.max(wall);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;

    /// A clock that is set by hand, in milliseconds.
    #[derive(Clone)]
    pub(crate) struct Stepped(Arc<Mutex<(u64, Instant)>>);

    impl Stepped {
        pub(crate) fn at(wall_ms: u64) -> Self {
            Self(Arc::new(Mutex::new((wall_ms, Instant::now()))))
        }

        /// So much time elapses; then the wall clock shows this.
        pub(crate) fn step(&self, elapsed_ms: u64, wall_ms: u64) {
            let mut set = self.0.lock().unwrap();
            *set = (wall_ms, set.1 + Duration::from_millis(elapsed_ms));
        }

        pub(crate) fn clock(&self) -> Clock {
            let set = Arc::clone(&self.0);
            Clock::of(Box::new(move || {
                let (wall_ms, at) = *set.lock().unwrap();
                (Timestamp::from_ms(wall_ms), at)
            }))
        }
    }

    #[test]
    fn it_follows_jumps_forwards_and_walks_through_jumps_back() {
        let set = Stepped::at(1_000);
        let clock = set.clock();
        let at = |wall_ms| {
            set.step(10, wall_ms);
            clock.now().ms()
        };
        assert_eq!(at(1_010), 1_010);
        assert_eq!(at(9_000), 9_000);
        assert_eq!(at(1_030), 9_010);
        assert_eq!(at(1_040), 9_020);
    }
}
