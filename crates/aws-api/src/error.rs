//! Refusals in AWS's words: a code, an HTTP status, a message, and whose fault it was.
//!
//! **Invariants.** A code has one status (AWS: "Common errors" and each operation's "Errors" in the
//! IAM and STS API references). No message holds a secret or a signature.
//!
//! **Must not know:** XML, HTTP libraries.

use std::fmt;

use crate::Service;

/// Who has to change something before a retry can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong.
    Sender,
    /// The service failed; the same request may succeed later.
    Receiver,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sender => "Sender",
            Self::Receiver => "Receiver",
        })
    }
}

/// One refusal, as the client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// AWS's error code, which SDKs turn into an exception's type.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Whose fault it was.
    pub fault: Fault,
    /// AWS's text.
    pub message: String,
    /// Of a denial: what `DecodeAuthorizationMessage` takes.
    pub encoded_message: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for ApiError {}

macro_rules! sender_errors {
    ($($(#[$doc:meta])* $name:ident: $code:literal $status:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(message: impl Into<String>) -> Self {
            Self::new($code, $status, Fault::Sender, message)
        }
    )*};
}

impl ApiError {
    fn new(code: &'static str, status: u16, fault: Fault, message: impl Into<String>) -> Self {
        Self { code, status, fault, message: message.into(), encoded_message: None }
    }

    sender_errors! {
        /// The named entity does not exist.
        no_such_entity: "NoSuchEntity" 404;
        /// An entity of that name exists.
        entity_already_exists: "EntityAlreadyExists" 409;
        /// The entity still has subordinate entities.
        delete_conflict: "DeleteConflict" 409;
        /// A quota would be exceeded.
        limit_exceeded: "LimitExceeded" 409;
        /// Several requests changed the entity at once, or it waits for the control plane.
        concurrent_modification: "ConcurrentModification" 409;
        /// The entity cannot change yet, such as a name that was deleted and created again.
        entity_temporarily_unmodifiable: "EntityTemporarilyUnmodifiable" 409;
        /// Only a service may change the entity.
        unmodifiable_entity: "UnmodifiableEntity" 400;
        /// A value that satisfies its constraint and is wrong all the same.
        invalid_input: "InvalidInput" 400;
        /// STS's counterpart of [`ApiError::invalid_input`].
        invalid_parameter_value: "InvalidParameterValue" 400;
        /// A policy document that does not parse.
        malformed_policy_document: "MalformedPolicyDocument" 400;
        /// A managed policy that cannot be attached.
        policy_not_attachable: "PolicyNotAttachable" 400;
        /// A password that the account's policy refuses.
        password_policy_violation: "PasswordPolicyViolation" 400;
        /// A public key that is malformed or otherwise invalid.
        invalid_public_key: "InvalidPublicKey" 400;
        /// A public key in a form that is not known.
        unrecognized_public_key_encoding: "UnrecognizedPublicKeyEncoding" 400;
        /// The user has the SSH public key already.
        duplicate_ssh_public_key: "DuplicateSSHPublicKey" 400;
        /// A certificate that does not parse.
        malformed_certificate: "MalformedCertificate" 400;
        /// A certificate that is not valid.
        invalid_certificate: "InvalidCertificate" 400;
        /// A private key that is not the certificate's.
        key_pair_mismatch: "KeyPairMismatch" 400;
        /// A user of the account has the certificate already.
        duplicate_certificate: "DuplicateCertificate" 409;
        /// The operation does not fit the caller's kind of user.
        invalid_user_type: "InvalidUserType" 400;
        /// Wrong MFA codes.
        invalid_authentication_code: "InvalidAuthenticationCode" 403;
        /// Nobody has asked for a credential report here.
        report_not_present: "ReportNotPresent" 410;
        /// The credential report is older than four hours.
        report_expired: "ReportExpired" 410;
        /// STS: a token of an identity provider that gives no session.
        invalid_identity_token: "InvalidIdentityToken" 400;
        /// STS: a token of an identity provider that is over.
        expired_web_identity_token: "ExpiredTokenException" 400;
        /// STS: an identity provider that cannot be asked.
        idp_communication_error: "IDPCommunicationError" 400;
        /// STS: what is to be decoded is no message.
        invalid_authorization_message: "InvalidAuthorizationMessageException" 400;
        /// STS: session policies and tags are too large together.
        packed_policy_too_large: "PackedPolicyTooLarge" 400;
        /// A value that fails its constraint.
        validation: "ValidationError" 400;
        /// The caller may not do this.
        access_denied: "AccessDenied" 403;
        /// A body or query that is not well-formed. AWS's page says 404, which waiters take for an
        /// entity that is yet to appear, so a broken request would be retried; hence 400.
        malformed_query_string: "MalformedQueryString" 400;
        /// No `Authorization` header.
        missing_authentication_token: "MissingAuthenticationToken" 403;
        /// An `Authorization` header that lacks parts.
        incomplete_signature: "IncompleteSignature" 400;
        /// No such access key, or a session token that is none.
        invalid_client_token_id: "InvalidClientTokenId" 403;
        /// A signature that does not fit the request, its scope or the time.
        signature_does_not_match: "SignatureDoesNotMatch" 403;
        /// A session that is over.
        expired_token: "ExpiredToken" 403;
    }

    /// A request without `Action`.
    pub fn missing_action() -> Self {
        Self::new(
            "MissingAction",
            400,
            Fault::Sender,
            "The request must contain the parameter Action.",
        )
    }

    /// An action that the version does not have.
    pub fn invalid_action(action: &str, version: &str) -> Self {
        Self::new(
            "InvalidAction",
            400,
            Fault::Sender,
            format!("Could not find operation {action} for version {version}"),
        )
    }

    /// A parameter that the action does not have. AWS's query services mostly ignore such a one;
    /// a newer client's restriction that is ignored widens access, so it is refused here, with
    /// the code and text of EC2.
    pub fn unknown_parameter(name: &str) -> Self {
        Self::new(
            "UnknownParameter",
            400,
            Fault::Sender,
            format!("The parameter {name} is not recognized"),
        )
    }

    /// Too many requests.
    pub fn throttling() -> Self {
        Self::new("Throttling", 400, Fault::Sender, "Rate exceeded")
    }

    /// The service failed. IAM and STS name it differently.
    pub fn service_failure(service: Service, message: impl Into<String>) -> Self {
        let code = match service {
            Service::Iam => "ServiceFailure",
            Service::Sts => "InternalFailure",
        };
        Self::new(code, 500, Fault::Receiver, message)
    }

    /// The node cannot answer this for now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new("ServiceUnavailable", 503, Fault::Receiver, message)
    }
}
