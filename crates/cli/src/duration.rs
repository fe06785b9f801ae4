//! Durations as people type them.
//!
//! **Must not know:** what they are for.

use std::time::Duration;

/// Parses `500ms`, `10s`, `5m`, `1h`.
///
/// # Errors
/// What is expected, in words.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    // What a message's field holds.
    let ms = ms.filter(|ms| unit_ms > 0 && *ms > 0 && *ms <= u64::from(u32::MAX));
    ms.map(Duration::from_millis)
        .ok_or_else(|| "a number and a unit are expected: 500ms, 10s, 5m, 1h".to_owned())
}

/// As milliseconds in a message's field.
pub(crate) fn to_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_everything_else_refused() {
        for (text, ms) in [("1ms", 1), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
        assert!(parse("4294967295ms").is_ok());
        for text in ["", "10", "s", "0s", "-1s", "1.5s", "10 s", "1d", "4294967296ms"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
