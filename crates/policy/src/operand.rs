//! The typed values of conditions: numbers, dates and networks.
//!
//! **Invariants.** Parsing is exact: a number is compared as the decimal it was written as.
//!
//! **Must not know:** operators.

use std::{fmt, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::Timestamp;

/// Bytes, given as base64 in a policy as in a request. Text that encodes no bytes, or not in the
/// one canonical way, is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binary(Box<[u8]>);

impl Binary {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().map(|bytes| Self(bytes.into()))
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

/// One, as a [`Decimal`] holds it.
const ONE: i128 = 1_000_000_000;

/// A decimal number as a multiple of 10⁻⁹: up to 18 digits before the point and 9 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

impl Decimal {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let decimal = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !decimal(whole, 18) || !decimal(fraction, 9) {
            return None;
        }
        let padding = fraction.len()..9;
        let fraction = padding.fold(fraction.parse::<i128>().ok()?, |value, _| value * 10);
        let scaled = whole.parse::<i128>().ok()? * ONE + fraction;
        Some(Self(sign * scaled))
    }

    /// The number, the one below it and the one above it.
    pub(crate) fn around(&self) -> [String; 3] {
        [0, -ONE, ONE].map(|step| {
            let Self(value) = Self(self.0 + step);
            let sign = if value < 0 { "-" } else { "" };
            let (whole, fraction) = (value.abs() / ONE, value.abs() % ONE);
            let text = format!("{sign}{whole}.{fraction:09}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
    }
}

/// A point in time: ISO 8601 in UTC (`2026-01-02`, `2026-01-02T03:04Z`, with seconds, with a
/// fraction of up to 9 digits, of which milliseconds are kept) or seconds since the epoch.
pub(crate) fn parse_date(text: &str) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u64>().ok().filter(|secs| *secs < 1 << 40).map(Timestamp::from_secs);
    }
    match text.len() {
        10 => Timestamp::parse_iso8601(&format!("{text}T00:00:00Z")),
        17 => Timestamp::parse_iso8601(&format!("{}:00Z", text.strip_suffix('Z')?)),
        20 => Timestamp::parse_iso8601(text),
        _ => {
            let (whole, fraction) = text.strip_suffix('Z')?.split_once('.')?;
            let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
            if whole.len() != 19 || !(1..=9).contains(&fraction.len()) || !digits {
                return None;
            }
            let ms = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
            Some(Timestamp::parse_iso8601(&format!("{whole}Z"))?.plus_ms(ms))
        }
    }
}

/// An address range in CIDR notation; a lone address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            None => (text.parse().ok()?, None),
            Some((address, prefix)) => {
                let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
                (address.parse().ok()?, Some(digits.then(|| prefix.parse().ok())??))
            }
        };
        let bits = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// An address in the range.
    pub(crate) fn first(&self) -> IpAddr {
        self.address
    }

    /// Whether the address is in the range. An IPv4-mapped IPv6 address is the IPv4 one.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (own, other, bits) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u128::from(own.to_bits()), u128::from(other.to_bits()), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        // A shift by all 128 bits overflows: the empty prefix then contains every address.
        (own ^ other).checked_shr(bits - self.prefix).unwrap_or(0) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_compare_as_written() {
        let parse = Decimal::parse;
        assert!(parse("9007199254740993") > parse("9007199254740992"));
        assert_eq!(parse("1.50"), parse("+1.5"));
        assert!(parse("-2") < parse("-1.999999999"));
        assert!(parse(&"9".repeat(18)).is_some());
        for text in ["", "-", "1.", ".5", "1e3", "0x1", " 1", "1.0000000000", &"9".repeat(19)] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn dates_have_five_forms() {
        for text in [
            "2026-01-01",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.0004Z",
            "1767225600",
        ] {
            assert_eq!(parse_date(text), Some(Timestamp::from_secs(1_767_225_600)), "{text}");
        }
        assert_eq!(parse_date("2026-01-01T00:00:00.5Z").unwrap().ms(), 1_767_225_600_500);
        for text in ["", "yesterday", "2026-13-01", "2026-01-01T00:00:00+01:00", "-5"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/24", "::ffff:10.1.2.200", "10.1.3.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::/0", "::1", "1.2.3.4"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
        }
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/+8", "a"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
