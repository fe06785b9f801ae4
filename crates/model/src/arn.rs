//! Amazon resource names, as far as IAM and STS use them.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// `arn:partition:service:region:account:resource`, taken apart. No part is checked beyond its
/// presence: what a service accepts is its own business.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: String,
    colons: [usize; 5],
}

/// Text that is not an ARN.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not an ARN")]
pub struct ArnError(pub String);

impl Arn {
    /// An IAM resource: `arn:aws:iam::ACCOUNT:RESOURCE`. `account` is 12 digits or `aws`.
    pub fn iam(account: impl fmt::Display, resource: impl fmt::Display) -> Self {
        let text = format!("arn:aws:iam::{account}:{resource}");
        text.parse().expect("five colons stand in the format")
    }

    /// An STS resource: `arn:aws:sts::ACCOUNT:RESOURCE`.
    pub fn sts(account: impl fmt::Display, resource: impl fmt::Display) -> Self {
        let text = format!("arn:aws:sts::{account}:{resource}");
        text.parse().expect("five colons stand in the format")
    }

    fn part(&self, index: usize) -> &str {
        let from = if index == 0 { 0 } else { self.colons.get(index - 1).map_or(0, |at| at + 1) };
        let to = self.colons.get(index).copied().unwrap_or(self.text.len());
        self.text.get(from..to).unwrap_or_default()
    }

    /// `aws`.
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// `iam`, `sts`, `s3`…
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// The region, empty for global services.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// Twelve digits, `aws`, or empty.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// Everything after the fifth colon.
    pub fn resource(&self) -> &str {
        self.part(5)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let mut colons = [0; 5];
        let mut positions = text.match_indices(':').map(|(at, _)| at);
        for slot in &mut colons {
            *slot = positions.next().ok_or_else(|| ArnError(text.to_owned()))?;
        }
        if !text.starts_with("arn:") {
            return Err(ArnError(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), colons })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let arn: Arn = "arn:aws:s3:eu-1:1:a:b/c".parse().unwrap();
        let parts = (arn.partition(), arn.service(), arn.region(), arn.account(), arn.resource());
        assert_eq!(parts, ("aws", "s3", "eu-1", "1", "a:b/c"));
        assert!("arn:aws:s3".parse::<Arn>().is_err());
        assert_eq!(Arn::iam(7, "user/x").as_str(), "arn:aws:iam::7:user/x");
    }
}
