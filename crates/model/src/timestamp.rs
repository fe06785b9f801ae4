//! Wall-clock time as a value, and its ISO 8601 form.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z. Shown to people and compared with request dates; it
/// never decides between concurrent writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// From whole seconds since the epoch.
    pub fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub fn ms(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This many milliseconds later.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Parses ISO 8601 UTC in the two forms AWS uses: `2026-01-02T03:04:05Z` and the basic
    /// `20260102T030405Z` of SigV4.
    pub fn parse_iso8601(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        if plain.len() != 16 || !plain.is_ascii() || !matches!(text.len(), 16 | 20) {
            return None;
        }
        if plain.get(8..9)? != "T" || plain.get(15..)? != "Z" {
            return None;
        }
        let field = |from: usize, to: usize| -> Option<u64> {
            let digits = plain.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let (year, month, day) = (field(0, 4)?, field(4, 6)?, field(6, 8)?);
        let (hour, minute, second) = (field(9, 11)?, field(11, 13)?, field(13, 15)?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days_from_civil(year, month, day)?;
        if civil_from_days(days) != (year, month, day) {
            return None;
        }
        let secs = days * 86_400 + hour * 3_600 + minute * 60 + second;
        Some(Self::from_secs(secs))
    }

    /// SigV4's basic form, `20260102T030405Z`.
    pub fn to_basic(self) -> String {
        self.to_string().replace(['-', ':'], "")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.secs() / 86_400);
        let time = self.secs() % 86_400;
        let (hour, minute, second) = (time / 3_600, time % 3_600 / 60, time % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Days since the epoch of a Gregorian date from 1970 on (Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms"). `None` before 1970 or for a month that is none.
fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted / 400, shifted % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era_days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + of_era_days).checked_sub(719_468)
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_parse_and_print_back() {
        for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2026-11-23T22:18:33Z"] {
            let time = Timestamp::parse_iso8601(text).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(Timestamp::parse_iso8601(&time.to_basic()), Some(time));
        }
        assert_eq!(Timestamp::from_secs(1_767_225_600).to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn dates_that_are_none_are_refused() {
        for text in [
            "",
            "2026-02-30T00:00:00Z",
            "20260101T240000Z",
            "20260101T0000001",
            "1969-12-31T00:00:00Z",
            "+0260101T000000Z",
        ] {
            assert_eq!(Timestamp::parse_iso8601(text), None, "{text}");
        }
    }
}
