//! What a web identity token claims. OpenID Connect Core 1.0, section 2; RFC 7519.
//!
//! **Invariants.** A claim that is there in another form than it must have is refused, never passed
//! over: what it restricts nobody knows. Of several audiences none counts unless the token says to
//! whom it was issued.
//!
//! **Must not know:** signatures, who is trusted.

use model::{OidcProviderName, SessionName, TagKey, Timestamp};
use serde_json::{Map, Value};

use super::TokenRefusal;
use crate::{oidc_provider::Thumbprint, tag::Tag};

/// How far the issuer's clock may be ahead. Of a token's end nothing is added.
const AHEAD_MS_MAX: u64 = 300_000;
/// The longest subject, in characters. AWS: `webIdentitySubjectType`.
const SUBJECT_CHARS_MAX: usize = 255;
/// AWS: "Passing session tags using AssumeRoleWithWebIdentity".
const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";

/// What a token says of its subject. Nothing in it is to be believed before its signature is
/// verified ([`VerifiedToken`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    pub(super) issuer: OidcProviderName,
    pub(super) subject: String,
    pub(super) audiences: Vec<String>,
    /// To whom it was issued, if that is said.
    pub(super) authorized: Option<String>,
    pub(super) methods: Vec<String>,
    /// With whether the issuer knows that the address is the subject's.
    pub(super) email: Option<(String, bool)>,
    pub(super) tags: Vec<Tag>,
    pub(super) source_identity: Option<SessionName>,
    expires: Timestamp,
    /// Not before these.
    begins: Vec<Timestamp>,
}

/// Where the keys came from that a token was verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// From who runs the node: nobody was asked.
    Configured,
    /// From the issuer's host, which showed these certificates.
    Host(Vec<Thumbprint>),
}

/// A token whose signature was verified with a key of the issuer that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// What it says.
    pub claims: TokenClaims,
    /// Where the key came from.
    pub source: KeySource,
}

impl TokenClaims {
    /// Reads the payload of a token.
    ///
    /// # Errors
    /// When it is no JSON object, lacks a claim or has one in another form.
    pub fn parse(payload: &[u8]) -> Result<Self, TokenRefusal> {
        let claims: Map<String, Value> =
            serde_json::from_slice(payload).map_err(|_| TokenRefusal::NotAToken)?;
        let required =
            |name: &'static str| text(&claims, name)?.ok_or(TokenRefusal::MissingClaim { name });
        let issuer = required("iss")?;
        let name = issuer.strip_prefix("https://").and_then(|name| name.parse().ok());
        let missing = |name| TokenRefusal::MissingClaim { name };
        let subject = required("sub")?;
        if subject.is_empty() || subject.chars().count() > SUBJECT_CHARS_MAX {
            return Err(TokenRefusal::WrongClaim { name: "sub" });
        }
        let issued = moment(&claims, "iat")?.ok_or(missing("iat"))?;
        let (tags, source_identity) = (tags(&claims)?, text(&claims, SOURCE_IDENTITY)?);
        let source_identity = source_identity.map(|text| text.parse::<SessionName>()).transpose();
        Ok(Self {
            issuer: name.ok_or(TokenRefusal::NoProvider { issuer })?,
            subject,
            audiences: texts(&claims, "aud")?,
            authorized: text(&claims, "azp")?,
            methods: texts(&claims, "amr")?,
            email: text(&claims, "email")?.map(|email| (email, is_verified(&claims))),
            tags,
            source_identity: source_identity
                .map_err(|_| TokenRefusal::WrongClaim { name: SOURCE_IDENTITY })?,
            expires: moment(&claims, "exp")?.ok_or(missing("exp"))?,
            begins: moment(&claims, "nbf")?.into_iter().chain([issued]).collect(),
        })
    }

    /// What the provider that issued it must be called.
    pub fn issuer(&self) -> &OidcProviderName {
        &self.issuer
    }

    /// For whom it is: to whom it was issued, or else its one audience. It must be for a client of
    /// the provider besides: else a token for one service would do for another.
    pub(super) fn audience(&self, is_client: impl Fn(&str) -> bool) -> Option<&str> {
        let audience = match (&self.authorized, self.audiences.as_slice()) {
            (Some(authorized), _) => authorized,
            (None, [audience]) => audience,
            (None, _) => return None,
        };
        let is_meant = self.audiences.iter().any(|audience| is_client(audience));
        (is_meant && is_client(audience)).then_some(audience)
    }

    /// Refuses one that has ended, or has not begun.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), TokenRefusal> {
        if now >= self.expires {
            return Err(TokenRefusal::Expired { now, expired: self.expires });
        }
        match self.begins.iter().any(|begins| *begins > now.plus_ms(AHEAD_MS_MAX)) {
            true => Err(TokenRefusal::NotYet),
            false => Ok(()),
        }
    }
}

/// Whether the issuer knows that the address is the subject's. OpenID Connect Core 1.0, section
/// 5.1; some issuers write it as text.
fn is_verified(claims: &Map<String, Value>) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

fn text(claims: &Map<String, Value>, name: &'static str) -> Result<Option<String>, TokenRefusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenRefusal::WrongClaim { name }),
    }
}

/// One text, or a list of them.
fn texts(claims: &Map<String, Value>, name: &'static str) -> Result<Vec<String>, TokenRefusal> {
    let wrong = || TokenRefusal::WrongClaim { name };
    match claims.get(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(all)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
            all.iter().map(text).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Seconds since the epoch; fractions are passed over.
fn moment(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Timestamp>, TokenRefusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    // Whole numbers below 2^53 are exact as floating-point numbers.
    const SECS_MAX: f64 = 9e12;
    let secs = value.as_f64().filter(|secs| (0.0..SECS_MAX).contains(secs));
    let secs = secs.ok_or(TokenRefusal::WrongClaim { name })?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    Ok(Some(Timestamp::from_secs(secs as u64)))
}

/// Session tags: one object, or a claim each. Tags that should go on to other sessions are refused:
/// there is no such thing here, and a condition may rely on it.
fn tags(claims: &Map<String, Value>) -> Result<Vec<Tag>, TokenRefusal> {
    let wrong = || TokenRefusal::WrongClaim { name: TAGS };
    let mut flat: Vec<(&str, &Value)> = Vec::new();
    for (name, value) in claims {
        let Some(rest) = name.strip_prefix(TAGS) else { continue };
        match (rest, value) {
            ("", Value::Object(parts)) => {
                for (part, value) in parts {
                    match (part.as_str(), value) {
                        ("principal_tags", Value::Object(tags)) => {
                            flat.extend(tags.iter().map(|(key, value)| (key.as_str(), value)));
                        }
                        ("transitive_tag_keys", Value::Array(keys)) if keys.is_empty() => {}
                        _ => return Err(wrong()),
                    }
                }
            }
            ("/transitive_tag_keys", Value::Array(keys)) if keys.is_empty() => {}
            (rest, value) => {
                let key = rest.strip_prefix("/principal_tags/").ok_or_else(wrong)?;
                flat.push((key, value));
            }
        }
    }
    let tag = |(key, value): (&str, &Value)| {
        let value = match value.as_array().map(Vec::as_slice) {
            Some([one]) => one,
            Some(_) => return None,
            None => value,
        };
        let key: TagKey = key.parse().ok()?;
        Some(Tag { key, value: value.as_str()?.parse().ok()? })
    };
    flat.into_iter().map(|one| tag(one).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// A token's claims, with some replaced or, by `null`, left out.
    fn claims(changes: &str) -> String {
        let base = r#"{"iss":"https://idp.example.com/a","sub":"bob","aud":"web","exp":2,"iat":1}"#;
        let mut claims: Map<String, Value> = serde_json::from_str(base).unwrap();
        let changes: Map<String, Value> = serde_json::from_str(changes).unwrap();
        claims.extend(changes);
        claims.retain(|_, value| !value.is_null());
        serde_json::to_string(&claims).unwrap()
    }

    fn check(changes: &[&str], expected: Expect) {
        let line = |changes: &&str| match TokenClaims::parse(claims(changes).as_bytes()) {
            Ok(claims) => format!("{changes}: {claims:?}\n"),
            Err(refusal) => format!("{changes}: {refusal}\n"),
        };
        expected.assert_eq(&changes.iter().map(line).collect::<String>());
    }

    #[test]
    fn claims_are_read_in_all_their_forms() {
        check(
            &[
                "{}",
                r#"{"aud":["a","b"],"azp":"c","amr":["pwd"],"email":"e","nbf":1.5,"other":{}}"#,
                r#"{"https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]},
                   "transitive_tag_keys":[]},"https://aws.amazon.com/source_identity":"bo"}"#,
                r#"{"https://aws.amazon.com/tags/principal_tags/team":"a"}"#,
            ],
            expect![[r#"
                {}: TokenClaims { issuer: OidcProviderName("idp.example.com/a"), subject: "bob", audiences: ["web"], authorized: None, methods: [], email: None, tags: [], source_identity: None, expires: Timestamp(2000), begins: [Timestamp(1000)] }
                {"aud":["a","b"],"azp":"c","amr":["pwd"],"email":"e","nbf":1.5,"other":{}}: TokenClaims { issuer: OidcProviderName("idp.example.com/a"), subject: "bob", audiences: ["a", "b"], authorized: Some("c"), methods: ["pwd"], email: Some(("e", false)), tags: [], source_identity: None, expires: Timestamp(2000), begins: [Timestamp(1000), Timestamp(1000)] }
                {"https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]},
                                   "transitive_tag_keys":[]},"https://aws.amazon.com/source_identity":"bo"}: TokenClaims { issuer: OidcProviderName("idp.example.com/a"), subject: "bob", audiences: ["web"], authorized: None, methods: [], email: None, tags: [Tag { key: TagKey("team"), value: TagValue("a") }], source_identity: Some(SessionName("bo")), expires: Timestamp(2000), begins: [Timestamp(1000)] }
                {"https://aws.amazon.com/tags/principal_tags/team":"a"}: TokenClaims { issuer: OidcProviderName("idp.example.com/a"), subject: "bob", audiences: ["web"], authorized: None, methods: [], email: None, tags: [Tag { key: TagKey("team"), value: TagValue("a") }], source_identity: None, expires: Timestamp(2000), begins: [Timestamp(1000)] }
            "#]],
        );
    }

    #[test]
    fn what_is_missing_or_in_another_form_is_refused() {
        check(
            &[
                r#"{"iss":null}"#,
                r#"{"iss":"http://idp.example.com"}"#,
                r#"{"iss":"idp.example.com"}"#,
                r#"{"sub":null}"#,
                r#"{"sub":""}"#,
                r#"{"aud":1}"#,
                r#"{"aud":["a",1]}"#,
                r#"{"azp":[]}"#,
                r#"{"exp":null}"#,
                r#"{"exp":"2"}"#,
                r#"{"exp":-1}"#,
                r#"{"exp":1e300}"#,
                r#"{"iat":null}"#,
                r#"{"nbf":{}}"#,
                r#"{"amr":{}}"#,
                r#"{"https://aws.amazon.com/tags":[]}"#,
                r#"{"https://aws.amazon.com/tags":{"principal_tags":{"team":["a","b"]}}}"#,
                r#"{"https://aws.amazon.com/tags":{"transitive_tag_keys":["team"]}}"#,
                r#"{"https://aws.amazon.com/tags/transitive_tag_keys":["team"]}"#,
                r#"{"https://aws.amazon.com/source_identity":"a b"}"#,
            ],
            expect![[r#"
                {"iss":null}: it lacks the claim `iss`
                {"iss":"http://idp.example.com"}: `http://idp.example.com` is no provider of the role's account
                {"iss":"idp.example.com"}: `idp.example.com` is no provider of the role's account
                {"sub":null}: it lacks the claim `sub`
                {"sub":""}: its claim `sub` is malformed, or not supported
                {"aud":1}: its claim `aud` is malformed, or not supported
                {"aud":["a",1]}: its claim `aud` is malformed, or not supported
                {"azp":[]}: its claim `azp` is malformed, or not supported
                {"exp":null}: it lacks the claim `exp`
                {"exp":"2"}: its claim `exp` is malformed, or not supported
                {"exp":-1}: its claim `exp` is malformed, or not supported
                {"exp":1e300}: its claim `exp` is malformed, or not supported
                {"iat":null}: it lacks the claim `iat`
                {"nbf":{}}: its claim `nbf` is malformed, or not supported
                {"amr":{}}: its claim `amr` is malformed, or not supported
                {"https://aws.amazon.com/tags":[]}: its claim `https://aws.amazon.com/tags` is malformed, or not supported
                {"https://aws.amazon.com/tags":{"principal_tags":{"team":["a","b"]}}}: its claim `https://aws.amazon.com/tags` is malformed, or not supported
                {"https://aws.amazon.com/tags":{"transitive_tag_keys":["team"]}}: its claim `https://aws.amazon.com/tags` is malformed, or not supported
                {"https://aws.amazon.com/tags/transitive_tag_keys":["team"]}: its claim `https://aws.amazon.com/tags` is malformed, or not supported
                {"https://aws.amazon.com/source_identity":"a b"}: its claim `https://aws.amazon.com/source_identity` is malformed, or not supported
            "#]],
        );
        for none in ["", "[]", "1", "{", "\u{1}"] {
            assert_eq!(TokenClaims::parse(none.as_bytes()), Err(TokenRefusal::NotAToken), "{none}");
        }
    }

    #[test]
    fn a_token_is_for_whom_it_was_issued_to_or_for_its_one_audience() {
        for (changes, audience) in [
            ("{}", Some("web")),
            (r#"{"aud":["a"]}"#, Some("a")),
            (r#"{"aud":["a","b"]}"#, None),
            (r#"{"aud":["a","b"],"azp":"b"}"#, Some("b")),
            (r#"{"aud":"a","azp":"b"}"#, Some("b")),
            (r#"{"aud":null}"#, None),
            (r#"{"aud":"x","azp":"b"}"#, None),
            (r#"{"aud":["x","a"],"azp":"b"}"#, Some("b")),
            (r#"{"aud":"a","azp":"x"}"#, None),
            (r#"{"aud":null,"azp":"b"}"#, None),
            (r#"{"aud":[],"azp":"b"}"#, None),
        ] {
            let claims = TokenClaims::parse(claims(changes).as_bytes()).unwrap();
            let is_client = |client: &str| ["web", "a", "b"].contains(&client);
            assert_eq!(claims.audience(is_client), audience, "{changes}");
        }
    }

    #[test]
    fn a_token_is_good_from_its_beginning_to_before_its_end() {
        let claims = claims(r#"{"exp":2000,"iat":1000,"nbf":1001}"#);
        let claims = TokenClaims::parse(claims.as_bytes()).unwrap();
        let at = |secs| claims.check_time(Timestamp::from_secs(secs));
        assert_eq!(at(700), Err(TokenRefusal::NotYet));
        assert_eq!(at(701), Ok(()));
        assert_eq!(at(1999), Ok(()));
        let (now, expired) = (Timestamp::from_secs(2000), Timestamp::from_secs(2000));
        assert_eq!(at(2000), Err(TokenRefusal::Expired { now, expired }));
    }
}
