//! The policies of principals that were asked about, prepared, as many as there is room for.
//!
//! **Invariants.** What is given stands for the state that it is asked of. All that is kept takes
//! up no more than its room; what several share counts for each.
//!
//! **Must not know:** what is asked, what makes policies fall.

use std::sync::Arc;

use identity::{Caller, Identity, Prepared, PreparedOf};
use quick_cache::{Weighter, sync::Cache};

use crate::metrics::{Metrics, Outcome};

/// A guess, by which room for the table is made: principals with a few policies.
const BYTES_EACH: u64 = 8192;

/// Keeps prepared policies.
pub struct PreparedPolicies {
    sets: Cache<PreparedOf, Arc<Prepared>, Bytes>,
    metrics: Arc<Metrics>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<PreparedOf, Arc<Prepared>> for Bytes {
    fn weight(&self, _: &PreparedOf, prepared: &Arc<Prepared>) -> u64 {
        (size_of::<PreparedOf>() + prepared.bytes()) as u64
    }
}

impl PreparedPolicies {
    /// Keeps up to so many bytes of them.
    pub fn new(bytes_max: u64, metrics: Arc<Metrics>) -> Self {
        let items = usize::try_from(bytes_max / BYTES_EACH).unwrap_or(usize::MAX);
        Self { sets: Cache::with_weighter(items, bytes_max, Bytes), metrics }
    }

    /// Those of a principal; of root there are none.
    pub fn of(&self, identity: &Identity, caller: &Caller) -> Option<Arc<Prepared>> {
        let whose = (caller.account, caller.unique_id());
        let kept = self.sets.get(&whose).filter(|kept| kept.stands(identity));
        let count = |result| self.metrics.prepared.get_or_create(&Outcome { result }).inc();
        if kept.is_some() {
            count("kept");
            return kept;
        }
        let made = Arc::new(Prepared::new(identity, caller)?);
        if made.is_worth_keeping() {
            count("made");
            self.sets.insert(whose, Arc::clone(&made));
        } else {
            count("contested");
        }
        Some(made)
    }
}
