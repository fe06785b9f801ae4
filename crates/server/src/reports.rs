//! The credential reports that were asked for at this node.
//!
//! **Invariants.** An account has one report, which can be had for four hours and is made anew only
//! after that. Reports are derived: they are nowhere but in this node's memory, of which they take
//! at most `BYTES_MAX`; the oldest makes room.
//!
//! **Must not know:** what is in a report, who may have it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use identity::credential_report::CredentialReport;
use model::{AccountId, Timestamp};

/// How long a report can be had. AWS: four hours.
const KEPT_MS: u64 = 4 * 3_600_000;
/// The bytes of all reports.
const BYTES_MAX: usize = 64 << 20;

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReport {
    /// Nobody asked for one here.
    NotPresent,
    /// It is too old.
    Expired,
}

/// The reports of all accounts.
#[derive(Debug, Default)]
pub struct Reports(Mutex<BTreeMap<AccountId, CredentialReport>>);

impl Reports {
    /// Keeps a report that was made, unless there is one that is not too old: `false` then.
    pub fn keep(&self, account: AccountId, report: CredentialReport) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = report.made;
        if all.get(&account).is_some_and(|kept| is_new(kept, now)) {
            return false;
        }
        all.remove(&account);
        let room = BYTES_MAX.saturating_sub(report.text.len());
        while all.values().map(|kept| kept.text.len()).sum::<usize>() > room {
            let oldest = all.iter().min_by_key(|(_, kept)| kept.made).map(|(account, _)| *account);
            let Some(oldest) = oldest else { break };
            all.remove(&oldest);
        }
        all.insert(account, report);
        true
    }

    /// An account's report.
    ///
    /// # Errors
    /// Each [`NoReport`].
    pub fn get(&self, account: AccountId, now: Timestamp) -> Result<CredentialReport, NoReport> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.get(&account).ok_or(NoReport::NotPresent)?;
        if is_new(kept, now) { Ok(kept.clone()) } else { Err(NoReport::Expired) }
    }
}

fn is_new(kept: &CredentialReport, now: Timestamp) -> bool {
    now.ms().abs_diff(kept.made.ms()) < KEPT_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u64) -> AccountId {
        AccountId::from_number(number).unwrap()
    }

    fn report(made_ms: u64, bytes: usize) -> CredentialReport {
        CredentialReport { made: Timestamp::from_ms(made_ms), text: "x".repeat(bytes) }
    }

    #[test]
    fn a_report_is_kept_for_four_hours() {
        let reports = Reports::default();
        let get = |ms| reports.get(account(1), Timestamp::from_ms(ms));
        assert_eq!(get(0), Err(NoReport::NotPresent));
        assert!(reports.keep(account(1), report(1, 1)));
        assert!(!reports.keep(account(1), report(KEPT_MS, 2)));
        assert_eq!(get(KEPT_MS), Ok(report(1, 1)));
        assert_eq!(get(KEPT_MS + 1), Err(NoReport::Expired));
        assert!(reports.keep(account(1), report(KEPT_MS + 1, 2)));
        assert_eq!(get(KEPT_MS + 1), Ok(report(KEPT_MS + 1, 2)));
    }

    #[test]
    fn the_oldest_make_room() {
        let reports = Reports::default();
        let has = |number| reports.get(account(number), Timestamp::from_ms(9)).is_ok();
        assert!(reports.keep(account(1), report(2, BYTES_MAX / 2)));
        assert!(reports.keep(account(2), report(1, BYTES_MAX / 2)));
        assert!(reports.keep(account(3), report(3, 1)));
        assert!(has(1) && !has(2) && has(3));
    }
}
