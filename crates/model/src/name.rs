//! Names, paths, aliases and tags. Patterns and lengths are those of AWS's service models.

use std::{fmt, str::FromStr};

use crate::Constraint;

/// The form in which text is compared without case: each character's lower case.
///
/// Names, tag keys and condition keys are all folded by this one rule, so that a tag's key and the
/// condition key `aws:ResourceTag/KEY` that speaks of it never differ in what they hold for equal.
/// AWS: names, tag keys and condition keys are case-insensitive; its pages say nothing of letters
/// beyond ASCII. The rule goes character by character: `fold(a + b) == fold(a) + fold(b)`, which
/// `str::to_lowercase` breaks at a final sigma, and a prefix before a key must not change the key.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Checks a length in characters.
fn length(text: &str, min: usize, max: usize) -> Result<(), Constraint> {
    let count = text.chars().count();
    if count < min {
        return Err(Constraint::MinLength(min));
    }
    if count > max {
        return Err(Constraint::MaxLength(max));
    }
    Ok(())
}

fn pattern(
    text: &str,
    pattern: &'static str,
    accepts: impl Fn(char) -> bool,
) -> Result<(), Constraint> {
    text.chars().all(accepts).then_some(()).ok_or(Constraint::Pattern(pattern))
}

/// `[\w+=,.@-]`, with `\w` in ASCII as AWS has it.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

fn check_name(text: &str, max: usize) -> Result<(), Constraint> {
    length(text, 1, max)?;
    pattern(text, r"[\w+=,.@-]+", is_name_char)
}

fn check_path(text: &str) -> Result<(), Constraint> {
    length(text, 1, 512)?;
    let bounded = text == "/" || (text.starts_with('/') && text.ends_with('/') && text.len() > 2);
    let printable = text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    let ok = bounded && printable;
    ok.then_some(()).ok_or(Constraint::Pattern(r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)"))
}

fn check_policy_path(text: &str) -> Result<(), Constraint> {
    length(text, 1, 512)?;
    let segment = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ".,+@=_-".contains(c))
    };
    let ok = text == "/"
        || text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'))
            .is_some_and(|inner| inner.split('/').all(segment));
    ok.then_some(()).ok_or(Constraint::Pattern(r"((/[A-Za-z0-9\.,\+@=_-]+)*)/"))
}

/// A URL after its `https://`. What could not stand in a condition key or an ARN is refused.
fn check_oidc_provider(text: &str) -> Result<(), Constraint> {
    length(text, 1, 247)?;
    let (authority, path) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let ok = host.split('.').all(label)
        && digits
        && port.parse::<u16>().is_ok()
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+,;=:@%/".contains(c))
        && path.split('/').all(|segment| !matches!(segment, "." | ".."));
    ok.then_some(()).ok_or(Constraint::Pattern(r"HOST(:PORT)?(/[A-Za-z0-9._~+,;=:@%/-]*)?"))
}

fn check_alias(text: &str) -> Result<(), Constraint> {
    const PATTERN: &str = "^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$";
    length(text, 3, 63)?;
    pattern(text, PATTERN, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')?;
    let account_id = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    let ok = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--") && !account_id;
    ok.then_some(()).ok_or(Constraint::Pattern(PATTERN))
}

fn check_session_name(text: &str) -> Result<(), Constraint> {
    length(text, 2, 64)?;
    pattern(text, r"[\w+=,.@-]*", is_name_char)
}

fn check_tag_key(text: &str) -> Result<(), Constraint> {
    length(text, 1, 128)?;
    pattern(text, r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+", is_tag_char)
}

fn check_tag_value(text: &str) -> Result<(), Constraint> {
    length(text, 0, 256)?;
    pattern(text, r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", is_tag_char)
}

macro_rules! text_types {
    ($($(#[$doc:meta])* $name:ident: $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The form that uniqueness is judged by: IAM's names are case-insensitive.
            pub fn fold(&self) -> String {
                fold(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Constraint;

            fn from_str(text: &str) -> Result<Self, Constraint> {
                let check: fn(&str) -> Result<(), Constraint> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_types! {
    /// A user's name: 1–128 of `[\w+=,.@-]`. A new name has at most 64, which who reads one
    /// checks; AWS takes more where a user is named that should exist.
    UserName: |text| check_name(text, 128);
    /// A group's name: 1–128 of `[\w+=,.@-]`.
    GroupName: |text| check_name(text, 128);
    /// A role's name: 1–64 of `[\w+=,.@-]`.
    RoleName: |text| check_name(text, 64);
    /// An instance profile's name: 1–128 of `[\w+=,.@-]`.
    InstanceProfileName: |text| check_name(text, 128);
    /// A server certificate's name: 1–128 of `[\w+=,.@-]`.
    ServerCertificateName: |text| check_name(text, 128);
    /// What an OpenID Connect provider is called: its URL without `https://`, at most 247
    /// characters, without user, query and fragment.
    OidcProviderName: check_oidc_provider;
    /// A SAML provider's name: 1–128 of `[\w._-]`.
    SamlProviderName: |text| {
        length(text, 1, 128)?;
        pattern(text, r"[\w._-]+", |c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    /// A virtual MFA device's name: 1–226 of `[\w+=,.@-]`, so that its serial number has at most
    /// 256 characters at the path `/`.
    VirtualMfaDeviceName: |text| check_name(text, 226);
    /// A managed or inline policy's name: 1–128 of `[\w+=,.@-]`.
    PolicyName: |text| check_name(text, 128);
    /// The path of a user, group or role: `/` or `/…/`, at most 512 printable ASCII characters.
    Path: check_path;
    /// The path of a managed policy, narrower than [`Path`].
    PolicyPath: check_policy_path;
    /// An account's alias: 3–63 lower-case letters, digits and single hyphens, not 12 digits.
    AccountAlias: check_alias;
    /// A role session's name: 2–64 of `[\w+=,.@-]`.
    SessionName: check_session_name;
    /// A tag's key: 1–128 letters, digits, spaces and `_.:/=+-@`.
    TagKey: check_tag_key;
    /// A tag's value: 0–256 of the same.
    TagValue: check_tag_value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    #[test]
    fn limits_hold_at_and_one_past() {
        assert!("a".repeat(64).parse::<RoleName>().is_ok());
        assert_eq!("a".repeat(65).parse::<RoleName>(), Err(Constraint::MaxLength(64)));
        assert!("a".repeat(128).parse::<UserName>().is_ok());
        refused::<UserName>(&[&"a".repeat(129)]);
        assert!("a".repeat(128).parse::<GroupName>().is_ok());
        refused::<GroupName>(&["", &"a".repeat(129)]);
        assert!("a".repeat(128).parse::<InstanceProfileName>().is_ok());
        refused::<InstanceProfileName>(&["", &"a".repeat(129), "a/b"]);
        assert!("a".repeat(128).parse::<ServerCertificateName>().is_ok());
        refused::<ServerCertificateName>(&["", &"a".repeat(129), "a/b"]);
        for ok in ["a", "idp.example.com", "a.b:8443/c", "a.b/c/", "AOPAQ3EGRIM6LD2W5YX7A"] {
            assert!(ok.parse::<OidcProviderName>().is_ok(), "{ok}");
        }
        let refusals = ["", "a..b", "a:0", "a:65536", "a:+1", "u@a", "a/../b", "a?b", "a#b", "a/$"];
        refused::<OidcProviderName>(&refusals);
        refused::<OidcProviderName>(&[&format!("a/{}", "b".repeat(246))]);
        assert!("a".repeat(128).parse::<SamlProviderName>().is_ok());
        refused::<SamlProviderName>(&["", &"a".repeat(129), "a+b"]);
        assert!("a".repeat(226).parse::<VirtualMfaDeviceName>().is_ok());
        refused::<VirtualMfaDeviceName>(&["", &"a".repeat(227), "a/b"]);
        let path = |n: usize| format!("/{}/", "p".repeat(n - 2));
        assert!(path(512).parse::<Path>().is_ok());
        refused::<Path>(&[&path(513)]);
    }

    #[test]
    fn shapes_are_awss() {
        refused::<UserName>(&["a b", "a/b", "ü", "a<b", "a\0"]);
        refused::<Path>(&["", "//", "a/", "/a", "/a b/"]);
        assert!("/a//b/".parse::<Path>().is_ok());
        refused::<PolicyPath>(&["//", "/a//b/", "/a!/"]);
        assert!("/a/b.c/".parse::<PolicyPath>().is_ok());
        refused::<AccountAlias>(&["ab", "-ab", "ab-", "a--b", "Abc", "123456789012"]);
        refused::<SessionName>(&["a", "a b"]);
        refused::<TagKey>(&["", "a\tb", "a*"]);
        assert!("Größe x:/=+-@".parse::<TagKey>().is_ok());
        assert!("".parse::<TagValue>().is_ok());
        assert_eq!("Bob".parse::<UserName>().unwrap().fold(), "bob");
    }

    #[test]
    fn folding_is_once_for_all_and_by_character() {
        for c in '\0'..=char::MAX {
            let folded = fold(&c.to_string());
            assert_eq!(fold(&folded), folded, "{c:?}");
            assert_eq!(fold(&format!("a{c}")), format!("a{folded}"), "{c:?}");
        }
        assert_eq!(fold("Größe"), fold("GRÖßE"));
    }
}
