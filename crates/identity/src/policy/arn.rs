//! How managed policies are named.
//!
//! **Invariants.** An ARN names a policy of one account, or one of [`policy::managed`].
//!
//! **Must not know:** versions.

use std::{fmt, str::FromStr};

use model::{AccountId, Arn, ArnError, PolicyName, UniqueId, UniqueIdKind};
use sha2::{Digest, Sha256};

use crate::{Error, Identity, Noun, effective::PolicyRef};

/// The ARN of a managed policy: `arn:aws:iam::ACCOUNT:policy/PATH/NAME`, account `aws` for AWS's
/// own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyArn(Arn);

impl FromStr for PolicyArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let arn: Arn = text.parse()?;
        let account = arn.account() == "aws" || arn.account().parse::<AccountId>().is_ok();
        let service = arn.partition() == "aws" && arn.service() == "iam" && arn.region().is_empty();
        let name = arn.resource().strip_prefix("policy/").and_then(|rest| rest.rsplit('/').next());
        let named = name.is_some_and(|name| name.parse::<PolicyName>().is_ok());
        if account && service && named { Ok(Self(arn)) } else { Err(ArnError(text.to_owned())) }
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PolicyArn {
    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The policy, if it may exist and is the account's or AWS's.
    pub(crate) fn may_find(&self, identity: &Identity, account: AccountId) -> Option<PolicyRef> {
        if self.0.account() == "aws" {
            let mut all = policy::managed().iter();
            return all.find(|policy| policy.arn() == self.as_str()).map(PolicyRef::Managed);
        }
        if self.0.account().parse() != Ok(account) {
            return None;
        }
        let name = self.0.resource().rsplit('/').next()?;
        let rival = identity.find_rival(account, UniqueIdKind::Policy, name);
        let by_arn = || identity.find_by_arn(account, UniqueIdKind::Policy, name, &self.0);
        let found = rival.or_else(by_arn);
        found.map(PolicyRef::Customer)
    }

    /// The policy, if it must exist and has no rival.
    pub(crate) fn must_find(
        &self,
        identity: &Identity,
        account: AccountId,
        noun: Noun,
    ) -> Result<PolicyRef, Error> {
        let found = self.may_find(identity, account);
        let found = found.ok_or_else(|| Error::NoSuchEntity { noun, name: self.to_string() })?;
        if let PolicyRef::Customer(entity) = found {
            identity.must_be_meant(entity, noun, self.as_str())?;
        }
        Ok(found)
    }
}

/// The unique id of a policy of [`policy::managed`]: from its name, so that it is the same
/// everywhere.
pub(crate) fn managed_id(name: &str) -> UniqueId {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let hash = Sha256::digest(format!("arn:aws:iam::aws:policy/{name}"));
    let body: String = hash
        .iter()
        .take(17)
        .filter_map(|byte| BASE32.get(usize::from(byte % 32)))
        .map(|byte| char::from(*byte))
        .collect();
    let text = format!("{}{body}", UniqueIdKind::Policy.prefix());
    text.parse().expect("21 upper-case letters and digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_managed_policies_are_for_ever() {
        assert_eq!(managed_id("AdministratorAccess").as_str().len(), 21);
        expect_test::expect!["ANPA5IIMV5ODH3GDY4NK5"]
            .assert_eq(managed_id("AdministratorAccess").as_str());
    }

    #[test]
    fn arns_are_awss() {
        for ok in ["arn:aws:iam::aws:policy/A", "arn:aws:iam::123456789012:policy/a/b/C"] {
            assert!(ok.parse::<PolicyArn>().is_ok(), "{ok}");
        }
        for bad in [
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::1:policy/A",
            "arn:aws:s3::aws:policy/A",
            "arn:aws:iam::aws:user/A",
            "A",
        ] {
            assert!(bad.parse::<PolicyArn>().is_err(), "{bad}");
        }
    }
}
