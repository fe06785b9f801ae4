//! The principals that a trust policy names. AWS: "JSON policy elements: Principal".
//!
//! **Invariants.** An ARN here has no wildcard.
//!
//! **Must not know:** who calls.

use model::{AccountId, Arn, UniqueId, UniqueIdKind};

use crate::Problem;

/// One principal of a trust policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// `*`: everyone, as far as their own policies let them.
    Anyone,
    /// An account, by its id or its root user's ARN: whomever that account lets.
    Account(AccountId),
    /// A user or role, by ARN. It stands for the unique id that the ARN is bound to.
    Arn(String),
    /// One session of a role, by the ARN `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    Session(String),
    /// A user or role, by unique id.
    UniqueId(UniqueId),
    /// An AWS service, such as `ec2.amazonaws.com`.
    Service(String),
    /// An identity provider, by the ARN of its SAML or OIDC provider or by its host name.
    Federated(String),
    /// An account of S3 by its canonical user id; only a resource policy names one. None here has
    /// such an id.
    Canonical(String),
}

impl Principal {
    /// The ARN that must be bound to a unique id before it stands for anybody.
    pub fn bindable_arn(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) | Self::Session(arn) => Some(arn),
            Self::Anyone
            | Self::Account(_)
            | Self::UniqueId(_)
            | Self::Service(_)
            | Self::Federated(_)
            | Self::Canonical(_) => None,
        }
    }
}

/// Reads one value of `Principal`'s member `kind`.
pub(crate) fn parse(kind: &str, text: &str) -> Result<Principal, Problem> {
    let principal = match kind {
        "AWS" => aws(text),
        "Service" => host(text).then(|| Principal::Service(text.to_owned())),
        "Federated" => federated(text),
        "CanonicalUser" => canonical(text),
        _ => None,
    };
    let refusal = || Problem::InvalidPrincipal { kind: kind.to_owned(), value: text.to_owned() };
    principal.ok_or_else(refusal)
}

fn aws(text: &str) -> Option<Principal> {
    if text == "*" {
        return Some(Principal::Anyone);
    }
    if let Ok(account) = text.parse::<AccountId>() {
        return Some(Principal::Account(account));
    }
    if let Ok(id) = text.parse::<UniqueId>() {
        let principal = matches!(id.kind(), Some(UniqueIdKind::User | UniqueIdKind::Role));
        return principal.then_some(Principal::UniqueId(id));
    }
    let arn: Arn = plain_arn(text)?;
    let account: AccountId = arn.account().parse().ok()?;
    let kind = arn.resource().split('/').next()?;
    let names = arn.resource().split('/').skip(1);
    let named = names.clone().next().is_some() && names.clone().all(|name| !name.is_empty());
    match (arn.service(), kind) {
        ("iam", "root") if arn.resource() == "root" => Some(Principal::Account(account)),
        ("iam", "user" | "role") if named => Some(Principal::Arn(text.to_owned())),
        ("sts", "assumed-role") if named && names.count() == 2 => {
            Some(Principal::Session(text.to_owned()))
        }
        _ => None,
    }
}

/// AWS: 64 hexadecimal digits.
fn canonical(text: &str) -> Option<Principal> {
    let id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    id.then(|| Principal::Canonical(text.to_owned()))
}

fn federated(text: &str) -> Option<Principal> {
    let provider = match plain_arn(text) {
        Some(arn) => {
            let (kind, name) = arn.resource().split_once('/')?;
            let known = matches!(kind, "saml-provider" | "oidc-provider");
            arn.service() == "iam"
                && arn.account().parse::<AccountId>().is_ok()
                && known
                && !name.is_empty()
        }
        None => host(text),
    };
    provider.then(|| Principal::Federated(text.to_owned()))
}

/// A global ARN without wildcards and white space.
fn plain_arn(text: &str) -> Option<Arn> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'?'));
    let arn: Arn = text.parse().ok()?;
    let partition = matches!(arn.partition(), "aws" | "aws-cn" | "aws-us-gov");
    (plain && partition && arn.region().is_empty()).then_some(arn)
}

fn host(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(kind: &str, texts: &[&str], expect: Expect) {
        let line = |text: &&str| match parse(kind, text) {
            Ok(principal) => format!("{principal:?}\n"),
            Err(problem) => format!("{problem}\n"),
        };
        expect.assert_eq(&texts.iter().map(line).collect::<String>());
    }

    #[test]
    fn every_form_is_told_apart() {
        let texts = [
            "*",
            "123456789012",
            "arn:aws:iam::123456789012:root",
            "arn:aws:iam::123456789012:user/a/bob",
            "arn:aws:iam::123456789012:role/ops",
            "arn:aws:sts::123456789012:assumed-role/ops/bob",
            "AIDAQ3EGRIM6LD2W5YX7A",
            "AROAQ3EGRIM6LD2W5YX7A",
        ];
        let expected = expect![[r#"
            Anyone
            Account(123456789012)
            Account(123456789012)
            Arn("arn:aws:iam::123456789012:user/a/bob")
            Arn("arn:aws:iam::123456789012:role/ops")
            Session("arn:aws:sts::123456789012:assumed-role/ops/bob")
            UniqueId(AIDAQ3EGRIM6LD2W5YX7A)
            UniqueId(AROAQ3EGRIM6LD2W5YX7A)
        "#]];
        check("AWS", &texts, expected);
        let expected = expect![[r#"
            Service("ec2.amazonaws.com")
            Invalid principal in policy: "Service":"*"
            Invalid principal in policy: "Service":"ec2"
        "#]];
        check("Service", &["ec2.amazonaws.com", "*", "ec2"], expected);
        let texts =
            ["arn:aws:iam::123456789012:oidc-provider/a.b/c", "a.b", "arn:aws:iam::1:user/b"];
        let expected = expect![[r#"
            Federated("arn:aws:iam::123456789012:oidc-provider/a.b/c")
            Federated("a.b")
            Invalid principal in policy: "Federated":"arn:aws:iam::1:user/b"
        "#]];
        check("Federated", &texts, expected);
    }

    #[test]
    fn what_names_nobody_in_particular_is_refused() {
        for text in [
            "",
            "12345678901",
            "arn:aws:iam::123456789012:user/*",
            "arn:aws:iam::123456789012:user/",
            "arn:aws:iam::123456789012:user/a//b",
            "arn:aws:iam::123456789012:user",
            "arn:aws:iam::*:root",
            "arn:aws:iam::123456789012:root/x",
            "arn:aws:iam::123456789012:group/g",
            "arn:aws:iam:eu:123456789012:user/b",
            "arn:b:iam::123456789012:user/b",
            "arn:aws:sts::123456789012:assumed-role/ops",
            "arn:aws:sts::123456789012:assumed-role/ops/a/b",
            "arn:aws:sts::123456789012:federated-user/b",
            "AKIAQ3EGRIM6LD2W5YX7",
            "${aws:username}",
        ] {
            assert!(parse("AWS", text).is_err(), "{text}");
        }
        assert!(parse("CanonicalUser", "*").is_err());
    }
}
