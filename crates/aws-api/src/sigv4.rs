//! AWS Signature Version 4 in the `Authorization` header: verifying it, and signing.
//! AWS: "AWS Signature Version 4 for API requests", "Troubleshoot signed requests".
//!
//! **Invariants.** What is verified is the request as it was received: the canonical form is
//! computed once, from the raw path, query, headers and body. Exactly one way to authenticate is
//! accepted; what is ambiguous (a header or parameter given twice, credentials in the query) is
//! refused. `host` and every `x-amz-*` header are covered by the signature, and so is the body's
//! hash. Signatures are compared in constant time. No secret, token or signature shows in an error
//! or in `Debug`.
//!
//! **Must not know:** where secrets come from, HTTP libraries.

mod canonical;
mod error;

use std::fmt::Write;

use hmac::{Hmac, Mac};
use model::{Secret, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::canonical::{Headers, canonical_request};
pub use self::error::AuthError;
use crate::percent::decode;

/// How far a request's time may be from the verifier's, in seconds, both ways.
pub const SKEW_SECS_MAX: u64 = 5 * 60;
/// The services that the AWS API endpoint accepts in a credential's scope.
pub const API_SERVICES: &[&str] = &["iam", "sts"];
/// The services that Writ's own gRPC API accepts in a credential's scope.
pub const RPC_SERVICES: &[&str] = &["writ"];

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const ACCESS_KEY_ID_CHARS_MAX: usize = 128;
/// Headers that proxies may change or drop, and so never signed by [`sign`]. As botocore has them.
const NEVER_SIGNED: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];
/// Headers whose meaning is lost if they are given twice.
const ONCE: &[&str] = &[
    "authorization",
    "date",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
];

/// A request as it came in, or as it will be sent.
#[derive(Clone, Copy)]
pub struct HttpRequest<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path, escaped as on the wire.
    pub path: &'a str,
    /// What follows the path's `?`, escaped as on the wire, or empty.
    pub query: &'a str,
    /// Names in lower case, in the order of the wire. HTTP/2's `:authority` stands here as `host`.
    pub headers: &'a [(String, Vec<u8>)],
    /// The whole body.
    pub body: &'a [u8],
}

/// What a signature is scoped to, besides its day.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region: any text without a slash, or empty.
    pub region: &'a str,
    /// `iam`, `sts` or `writ`.
    pub service: &'a str,
}

/// What a client signs with.
#[derive(Clone, Copy, Debug)]
pub struct SigningCredentials<'a> {
    /// The access key's id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret_access_key: &'a Secret<String>,
    /// The session's token, for temporary credentials.
    pub session_token: Option<&'a Secret<String>>,
}

/// A key that signs for one day, region and service only; it does not lead back to the secret.
#[derive(Clone, Debug)]
pub struct SigningKey(Secret<[u8; 32]>);

impl SigningKey {
    /// Derives the key. `day` is `YYYYMMDD`.
    pub fn derive(secret: &Secret<String>, day: &str, scope: Scope<'_>) -> Self {
        let start = Secret::new([b"AWS4", secret.expose().as_bytes()].concat());
        let day = hmac(start.expose(), day.as_bytes());
        let region = hmac(day.expose(), scope.region.as_bytes());
        let service = hmac(region.expose(), scope.service.as_bytes());
        Self(hmac(service.expose(), TERMINATOR.as_bytes()))
    }

    /// A key that was derived elsewhere.
    pub fn from_bytes(bytes: Secret<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The key's bytes, to hand it to a replica.
    pub fn bytes(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    fn signature(&self, string_to_sign: &str) -> Secret<String> {
        Secret::new(hex(hmac(self.0.expose(), string_to_sign.as_bytes()).expose()))
    }
}

/// A request whose signature is well-formed and not yet verified: nothing in it may be trusted
/// before [`SignedRequest::verify`] said yes.
#[derive(Clone, Debug)]
pub struct SignedRequest {
    access_key_id: String,
    session_token: Option<Secret<String>>,
    date: Timestamp,
    region: String,
    service: &'static str,
    string_to_sign: String,
    signature: Secret<String>,
}

impl SignedRequest {
    /// Takes a request apart. `services` are those that the endpoint accepts, [`API_SERVICES`] or
    /// [`RPC_SERVICES`]; any region is accepted, because clients sign with whichever one they are
    /// configured for.
    pub fn parse(
        request: &HttpRequest<'_>,
        services: &'static [&'static str],
    ) -> Result<Self, AuthError> {
        refuse_query_authentication(request.query)?;
        let headers = Headers::new(request.headers);
        for name in ONCE {
            if headers.get(name).len() > 1 {
                return Err(AuthError::RepeatedHeader(name));
            }
        }
        let authorization = match headers.text("authorization") {
            None => return Err(AuthError::MissingAuthenticationToken),
            Some(header) => header.map_err(|_| AuthError::MalformedAuthorization)?,
        };
        let authorization = Authorization::parse(authorization, &headers)?;
        let date = request_date(&headers)?;
        let credential = Credential::parse(authorization.credential, date, services)?;
        check_signed_headers(&authorization.signed_headers, &headers)?;
        let session_token = headers
            .text("x-amz-security-token")
            .transpose()
            .map_err(|_| AuthError::InvalidClientTokenId)?
            .map(|token| Secret::new(token.trim().to_owned()));
        let hash = hex(&Sha256::digest(request.body));
        check_payload_hash(&headers, &hash)?;
        let canonical = canonical_request(request, &headers, &authorization.signed_headers, &hash)?;
        let scope = Scope { region: credential.region, service: credential.service };
        Ok(Self {
            access_key_id: credential.access_key_id.to_owned(),
            session_token,
            date,
            region: credential.region.to_owned(),
            service: credential.service,
            string_to_sign: string_to_sign(date, scope, &canonical),
            signature: Secret::new(authorization.signature.to_owned()),
        })
    }

    /// The access key that the request names.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The session token that it carries.
    pub fn session_token(&self) -> Option<&Secret<String>> {
        self.session_token.as_ref()
    }

    /// When it was signed, as it says.
    pub fn date(&self) -> Timestamp {
        self.date
    }

    /// The day of its scope, `YYYYMMDD`: that of [`SignedRequest::date`].
    pub fn day(&self) -> String {
        day(self.date)
    }

    /// The region and the service of its scope.
    pub fn scope(&self) -> Scope<'_> {
        Scope { region: &self.region, service: self.service }
    }

    /// What was signed; it holds no secret.
    pub fn string_to_sign(&self) -> &str {
        &self.string_to_sign
    }

    /// The key that must have signed it, if `secret` is the access key's.
    pub fn signing_key(&self, secret: &Secret<String>) -> SigningKey {
        SigningKey::derive(secret, &self.day(), self.scope())
    }

    /// Checks the time and the signature. `key` is the access key's, for this day and scope.
    pub fn verify(&self, key: &SigningKey, now: Timestamp) -> Result<(), AuthError> {
        let date = self.date;
        if date.secs() < minus_skew(now).secs() {
            return Err(AuthError::Expired { date, now });
        }
        if date.secs() > plus_skew(now).secs() {
            return Err(AuthError::NotYetCurrent { date, now });
        }
        let expected = key.signature(&self.string_to_sign);
        let (expected, given) = (expected.expose().as_bytes(), self.signature.expose().as_bytes());
        if bool::from(expected.ct_eq(given)) {
            Ok(())
        } else {
            Err(AuthError::SignatureDoesNotMatch)
        }
    }
}

/// Signs a request, as a client. `request.headers` must hold `host`; all of them are signed except
/// those that proxies change. Returns the headers to add, in place of any of the same names:
/// `x-amz-date`, `x-amz-security-token` for temporary credentials, and `authorization`.
/// Fails only if the query has a broken escape.
pub fn sign(
    request: &HttpRequest<'_>,
    credentials: SigningCredentials<'_>,
    scope: Scope<'_>,
    now: Timestamp,
) -> Result<Vec<(String, Vec<u8>)>, AuthError> {
    let mut added = vec![("x-amz-date".to_owned(), now.to_basic().into_bytes())];
    if let Some(token) = credentials.session_token {
        added.push(("x-amz-security-token".to_owned(), token.expose().clone().into_bytes()));
    }
    let replaced = ["authorization", "x-amz-date", "x-amz-security-token"];
    let kept = request.headers.iter().filter(|(name, _)| {
        !replaced.contains(&name.as_str()) && !NEVER_SIGNED.contains(&name.as_str())
    });
    let headers = Headers::new(kept.chain(&added));
    let signed: Vec<&str> = headers.names().collect();
    let hash = hex(&Sha256::digest(request.body));
    let canonical = canonical_request(request, &headers, &signed, &hash)?;
    let key = SigningKey::derive(credentials.secret_access_key, &day(now), scope);
    let signature = key.signature(&string_to_sign(now, scope, &canonical));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
        credentials.access_key_id,
        scope_text(now, scope),
        signed.join(";"),
        signature.expose()
    );
    added.push(("authorization".to_owned(), authorization.into_bytes()));
    Ok(added)
}

/// The parts of an `Authorization` header.
struct Authorization<'a> {
    credential: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str, headers: &Headers<'_>) -> Result<Self, AuthError> {
        let (algorithm, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if algorithm != ALGORITHM {
            return Err(AuthError::UnsupportedAlgorithm);
        }
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(AuthError::MalformedAuthorization)?;
            let part = match key {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(AuthError::MalformedAuthorization),
            };
            if part.replace(value).is_some() {
                return Err(AuthError::MalformedAuthorization);
            }
        }
        let mut missing = Vec::new();
        if credential.is_none_or(str::is_empty) {
            missing.push("Authorization header requires 'Credential' parameter.");
        }
        if signature.is_none_or(str::is_empty) {
            missing.push("Authorization header requires 'Signature' parameter.");
        }
        if signed_headers.is_none_or(str::is_empty) {
            missing.push("Authorization header requires 'SignedHeaders' parameter.");
        }
        if headers.get("x-amz-date").is_empty() && headers.get("date").is_empty() {
            missing.push(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header.",
            );
        }
        match (credential, signed_headers, signature) {
            (Some(credential), Some(signed_headers), Some(signature)) if missing.is_empty() => {
                let signed_headers = signed_headers.split(';').collect();
                Ok(Self { credential, signed_headers, signature })
            }
            _ => Err(AuthError::Incomplete(missing)),
        }
    }
}

/// The `Credential` of an `Authorization` header.
struct Credential<'a> {
    access_key_id: &'a str,
    region: &'a str,
    service: &'static str,
}

impl<'a> Credential<'a> {
    fn parse(
        text: &'a str,
        date: Timestamp,
        services: &'static [&'static str],
    ) -> Result<Self, AuthError> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(AuthError::MalformedCredential);
        let (access_key_id, scope_day, region) = (next()?, next()?, next()?);
        let (service, terminator) = (next()?, next()?);
        if parts.next().is_some() {
            return Err(AuthError::MalformedCredential);
        }
        if terminator != TERMINATOR {
            return Err(AuthError::ScopeTerminator);
        }
        if scope_day != day(date) {
            let (scope, date_text) = (scope_day.to_owned(), date.to_basic());
            return Err(AuthError::ScopeDate { scope, day: day(date), date: date_text });
        }
        let known = services.iter().find(|known| **known == service).copied();
        let expected = services.first().copied().unwrap_or_default();
        let service = known.ok_or(AuthError::ScopeService(expected))?;
        let is_id = (1..=ACCESS_KEY_ID_CHARS_MAX).contains(&access_key_id.len())
            && access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_id {
            return Err(AuthError::InvalidClientTokenId);
        }
        Ok(Self { access_key_id, region, service })
    }
}

/// `X-Amz-Date`, or `Date` without it.
fn request_date(headers: &Headers<'_>) -> Result<Timestamp, AuthError> {
    let basic = |text: &str| {
        (text.len() == "20260101T000000Z".len()).then(|| Timestamp::parse_iso8601(text))?
    };
    let date = if let Some(text) = headers.text("x-amz-date") {
        text.ok().and_then(|text| basic(text.trim()))
    } else {
        let text = headers.text("date").and_then(Result::ok).map(str::trim);
        text.and_then(|text| basic(text).or_else(|| parse_http_date(text)))
    };
    date.ok_or(AuthError::MalformedDate)
}

/// `Thu, 01 Jan 2026 00:00:00 GMT` (RFC 9110, 5.6.7). botocore writes the zone as `-0000`.
fn parse_http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split(' ').collect();
    let [_weekday, day, month, year, time, zone] = parts.try_into().ok()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_utc = ["GMT", "UTC", "+0000", "-0000"].contains(&zone);
    is_utc.then(|| Timestamp::parse_iso8601(&format!("{year}-{month:02}-{day}T{time}Z")))?
}

/// Only the header is read: a request with credentials in both places, or a query that a proxy
/// takes for a presigned one, must not pass for something that it is not.
fn refuse_query_authentication(query: &str) -> Result<(), AuthError> {
    const NAMES: [&str; 5] =
        ["x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid", "signature"];
    for pair in query.split('&') {
        let name = decode(pair.split('=').next().unwrap_or_default().as_bytes())?;
        if NAMES.iter().any(|refused| name.eq_ignore_ascii_case(refused.as_bytes())) {
            return Err(AuthError::QueryAuthentication);
        }
    }
    Ok(())
}

fn check_signed_headers(signed: &[&str], headers: &Headers<'_>) -> Result<(), AuthError> {
    let is_lower = |name: &&str| !name.is_empty() && !name.bytes().any(|b| b.is_ascii_uppercase());
    let ascends = signed.iter().zip(signed.iter().skip(1)).all(|(one, next)| one < next);
    if !ascends || !signed.iter().all(is_lower) {
        return Err(AuthError::SignedHeadersNotCanonical);
    }
    if signed.binary_search(&"host").is_err() {
        return Err(AuthError::HostNotSigned);
    }
    if let Some(name) = signed.iter().find(|name| headers.get(name).is_empty()) {
        return Err(AuthError::SignedHeaderMissing((*name).to_owned()));
    }
    let mut amz = headers.names().filter(|name| name.starts_with("x-amz-"));
    if let Some(name) = amz.find(|name| signed.binary_search(name).is_err()) {
        return Err(AuthError::HeaderNotSigned((*name).to_owned()));
    }
    Ok(())
}

fn check_payload_hash(headers: &Headers<'_>, hash: &str) -> Result<(), AuthError> {
    match headers.get("x-amz-content-sha256").first().map(|value| value.trim_ascii()) {
        None => Ok(()),
        Some(value) if value == hash.as_bytes() => Ok(()),
        Some(value) if value == b"UNSIGNED-PAYLOAD" || value.starts_with(b"STREAMING-") => {
            Err(AuthError::PayloadNotSigned)
        }
        Some(_) => Err(AuthError::PayloadHash),
    }
}

fn string_to_sign(date: Timestamp, scope: Scope<'_>, canonical: &[u8]) -> String {
    let hash = hex(&Sha256::digest(canonical));
    format!("{ALGORITHM}\n{}\n{}\n{hash}", date.to_basic(), scope_text(date, scope))
}

fn scope_text(date: Timestamp, Scope { region, service }: Scope<'_>) -> String {
    format!("{}/{region}/{service}/{TERMINATOR}", day(date))
}

fn day(date: Timestamp) -> String {
    date.to_basic().chars().take_while(|c| *c != 'T').collect()
}

fn minus_skew(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.secs().saturating_sub(SKEW_SECS_MAX))
}

fn plus_skew(now: Timestamp) -> Timestamp {
    Timestamp::from_secs(now.secs().saturating_add(SKEW_SECS_MAX))
}

fn hmac(key: &[u8], message: &[u8]) -> Secret<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    Secret::new(mac.finalize().into_bytes().into())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes whatever is written");
    }
    text
}

#[cfg(test)]
mod tests;
