//! Why a request is not authenticated, in AWS's words.
//! AWS: "Troubleshoot signed requests for AWS APIs", and the services' "Common errors".
//!
//! **Invariants.** No text holds a secret, a token or a signature.
//!
//! **Must not know:** how signatures are computed.

use model::Timestamp;
use thiserror::Error;

use super::{minus_skew, plus_skew};
use crate::{ApiError, percent::EscapeError};

/// Why a request is not authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// No `Authorization` header.
    #[error("Request is missing Authentication Token")]
    MissingAuthenticationToken,
    /// A signature or key in the query string.
    #[error(
        "Authentication in the query string is not supported: send an Authorization header instead"
    )]
    QueryAuthentication,
    /// Parts that the `Authorization` header or the request lacks, each as a sentence.
    #[error("{}", .0.join(" "))]
    Incomplete(Vec<&'static str>),
    /// Another algorithm, or another scheme.
    #[error("Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted")]
    UnsupportedAlgorithm,
    /// The header is not a list of `Credential=`, `SignedHeaders=` and `Signature=`, each once.
    #[error("Authorization header is not a list of distinct key=value pairs")]
    MalformedAuthorization,
    /// A header that must not be repeated is.
    #[error("The header '{0}' occurs more than once")]
    RepeatedHeader(&'static str),
    /// The request's date is none.
    #[error("Date must be in ISO-8601 'basic format'")]
    MalformedDate,
    /// The credential is not an access key id and a scope.
    #[error(
        "Credential must have exactly 5 slash-delimited elements, \
         e.g. keyid/date/region/service/term"
    )]
    MalformedCredential,
    /// The scope does not end in `aws4_request`.
    #[error("Credential should be scoped with a valid terminator: 'aws4_request'")]
    ScopeTerminator,
    /// The scope is for another day than the request.
    #[error(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
         '{scope}' != '{day}', from '{date}'."
    )]
    ScopeDate {
        /// The day in the scope.
        scope: String,
        /// The request's day.
        day: String,
        /// The request's date.
        date: String,
    },
    /// The scope is for another service.
    #[error("Credential should be scoped to correct service: '{0}'. ")]
    ScopeService(&'static str),
    /// The signed headers are not in lower case, sorted and distinct.
    #[error("SignedHeaders is not canonicalized.")]
    SignedHeadersNotCanonical,
    /// `host` is not signed.
    #[error("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")]
    HostNotSigned,
    /// A header that must be signed is not.
    #[error("There were headers present in the request which were not signed: {0}")]
    HeaderNotSigned(String),
    /// A signed header did not arrive.
    #[error("The signed header '{0}' is missing from the request")]
    SignedHeaderMissing(String),
    /// `UNSIGNED-PAYLOAD` or one of the streaming modes.
    #[error(
        "Unsigned and streaming payloads are not supported: \
         'x-amz-content-sha256' must be the hash of the body"
    )]
    PayloadNotSigned,
    /// The body is not the one that was hashed.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    PayloadHash,
    /// The query string has a broken escape.
    #[error("{0}")]
    MalformedQueryString(&'static str),
    /// The request is too old.
    #[error(
        "Signature expired: {} is now earlier than {} ({} - 5 min.)",
        .date.to_basic(), minus_skew(*.now).to_basic(), .now.to_basic()
    )]
    Expired {
        /// The request's date.
        date: Timestamp,
        /// The verifier's time.
        now: Timestamp,
    },
    /// The request is from the future.
    #[error(
        "Signature not yet current: {} is still later than {} ({} + 5 min.)",
        .date.to_basic(), plus_skew(*.now).to_basic(), .now.to_basic()
    )]
    NotYetCurrent {
        /// The request's date.
        date: Timestamp,
        /// The verifier's time.
        now: Timestamp,
    },
    /// The signature is another one.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    SignatureDoesNotMatch,
    /// No such access key, or a session token that does not belong to it.
    #[error("The security token included in the request is invalid.")]
    InvalidClientTokenId,
    /// The session is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        use AuthError as E;
        let message = error.to_string();
        match error {
            E::MissingAuthenticationToken | E::QueryAuthentication => {
                Self::missing_authentication_token(message)
            }
            E::Incomplete(_)
            | E::UnsupportedAlgorithm
            | E::MalformedAuthorization
            | E::RepeatedHeader(_)
            | E::MalformedDate
            | E::MalformedCredential => Self::incomplete_signature(message),
            E::ScopeTerminator
            | E::ScopeDate { .. }
            | E::ScopeService(_)
            | E::SignedHeadersNotCanonical
            | E::HostNotSigned
            | E::HeaderNotSigned(_)
            | E::SignedHeaderMissing(_)
            | E::PayloadNotSigned
            | E::PayloadHash
            | E::Expired { .. }
            | E::NotYetCurrent { .. }
            | E::SignatureDoesNotMatch => Self::signature_does_not_match(message),
            E::MalformedQueryString(_) => Self::malformed_query_string(message),
            E::InvalidClientTokenId => Self::invalid_client_token_id(message),
            E::ExpiredToken => Self::expired_token(message),
        }
    }
}

impl From<EscapeError> for AuthError {
    fn from(error: EscapeError) -> Self {
        Self::MalformedQueryString(match error {
            EscapeError::IllegalHex => "Illegal hex character in escape % pattern",
            EscapeError::Incomplete => "Incomplete trailing escape % sequence",
        })
    }
}
