//! How often somebody may try the code of an MFA device at this node.
//!
//! **Invariants.** A try counts before its code is looked at, so that tries at once do not slip
//! through. After `FREE` that failed in a row the next waits for longer and longer. What is kept
//! is bounded by `WATCHED_MAX`, and forgotten when the node stops.
//!
//! Each node counts for itself: who can reach all nodes has the tries of all.
//!
//! **Must not know:** which codes are right.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{AccountId, UniqueId};

/// Tries in a row that need not wait.
const FREE: u32 = 5;
/// How long the first that waits does; each after it twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// When tries that failed are forgotten, if none followed: else who waits had free ones again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How many users are watched at most.
const WATCHED_MAX: usize = 10_000;

/// Whose tries are counted: an account and a user or the root user in it.
pub type Who = (AccountId, UniqueId);

/// The tries of all.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<BTreeMap<Who, Failed>>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    tries: u32,
    last: Instant,
}

impl Failed {
    /// When the next may be.
    fn until(self) -> Instant {
        let Some(doublings) = self.tries.checked_sub(FREE) else { return self.last };
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings));
        self.last + wait.min(LONGEST_WAIT)
    }
}

impl Attempts {
    /// Counts a try, which has failed unless [`Attempts::succeeded`] is called.
    ///
    /// # Errors
    /// How long to wait, if it is too early.
    pub fn begin(&self, who: Who, now: Instant) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, failed| now < failed.last + FORGOTTEN_AFTER);
        let failed = all.get(&who).copied().unwrap_or(Failed { tries: 0, last: now });
        if let Some(wait) = failed.until().checked_duration_since(now).filter(|w| !w.is_zero()) {
            return Err(wait);
        }
        if all.len() >= WATCHED_MAX && !all.contains_key(&who) {
            return Err(FIRST_WAIT);
        }
        all.insert(who, Failed { tries: failed.tries + 1, last: now });
        Ok(())
    }

    /// A try was of no code: it does not count.
    pub fn was_none(&self, who: Who) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = all.get_mut(&who) {
            failed.tries = failed.tries.saturating_sub(1);
        }
    }

    /// A try was right.
    pub fn succeeded(&self, who: Who) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: u64) -> Who {
        let account = AccountId::from_number(number).unwrap();
        (account, UniqueId::root(account))
    }

    #[test]
    fn tries_that_fail_wait_for_longer_and_longer() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        let at = |secs: u64| start + Duration::from_secs(secs);
        for _ in 0..FREE {
            assert_eq!(attempts.begin(who(1), start), Ok(()));
        }
        let mut now = 0;
        for wait in [30, 60, 120, 240, 480] {
            let refused = attempts.begin(who(1), at(now));
            assert_eq!(refused, Err(Duration::from_secs(wait)), "{now}");
            assert!(attempts.begin(who(1), at(now + wait - 1)).is_err());
            now += wait;
            assert_eq!(attempts.begin(who(1), at(now)), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(attempts.begin(who(1), at(now)), Err(LONGEST_WAIT));
            now += LONGEST_WAIT.as_secs();
            assert_eq!(attempts.begin(who(1), at(now)), Ok(()), "it never waits for less again");
        }
        assert_eq!(attempts.begin(who(1), at(now)), Err(LONGEST_WAIT));
        attempts.was_none(who(1));
        assert_eq!(attempts.begin(who(1), at(now)), Err(LONGEST_WAIT));
        assert_eq!(attempts.begin(who(2), at(now)), Ok(()), "each counts alone");
        attempts.succeeded(who(1));
        assert_eq!(attempts.begin(who(1), at(now)), Ok(()));
    }

    #[test]
    fn what_was_no_try_does_not_count() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..3 * FREE {
            assert_eq!(attempts.begin(who(1), start), Ok(()));
            attempts.was_none(who(1));
        }
    }

    #[test]
    fn what_is_watched_is_bounded() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for number in 1..=WATCHED_MAX as u64 {
            assert_eq!(attempts.begin(who(number), start), Ok(()));
        }
        assert_eq!(attempts.begin(who(999_999), start), Err(FIRST_WAIT));
        assert_eq!(attempts.begin(who(1), start), Ok(()));
        let later = start + FORGOTTEN_AFTER;
        assert_eq!(attempts.begin(who(999_999), later), Ok(()));
    }
}
