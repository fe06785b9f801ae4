//! Why a policy document is refused, in AWS's words, and where.
//!
//! **Invariants.** `Display` is the message of AWS's `MalformedPolicyDocument` error and nothing
//! else; what AWS leaves unsaid is in the variant's data.
//!
//! **Must not know:** how documents are read or evaluated.

use std::fmt;

use thiserror::Error;

/// A place in a document, both counted from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Position {
    /// The place of the byte at `offset`, or of the text's end if it has fewer bytes.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        Self { line, column: last.chars().count() + 1 }
    }
}

/// A policy document that is refused. AWS: error code `MalformedPolicyDocument`, status 400.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct ParseError {
    /// What is wrong.
    pub problem: Problem,
    position: Option<Position>,
}

impl ParseError {
    pub(crate) fn at(problem: Problem, text: &str, offset: usize) -> Self {
        Self { problem, position: Some(Position::of(text, offset)) }
    }

    pub(crate) fn whole(problem: Problem) -> Self {
        Self { problem, position: None }
    }

    /// Where it is wrong, if it is wrong in one place.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The line, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.position.map(|position| position.line)
    }

    /// The character in the line, counted from 1.
    pub fn column(&self) -> Option<usize> {
        self.position.map(|position| position.column)
    }
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not JSON, or nested deeper than [`crate::DEPTH_MAX`].
    Json,
    /// JSON, but no policy of the language this crate accepts.
    Syntax {
        /// What was wrong with it.
        flaw: Flaw,
        /// The element, operator or value it was wrong with.
        found: String,
    },
    /// More characters than [`model::limits::POLICY_DOCUMENT_CHARS_MAX`].
    TooLong,
    /// `Version` is neither `2012-10-17` nor `2008-10-17`.
    Version,
    /// A statement without `Action` or `NotAction`.
    NoActions,
    /// A statement without `Resource` or `NotResource`.
    NoResources,
    /// An action or condition key without a service before its colon.
    NoVendor,
    /// An action with several colons.
    Colons,
    /// A service name that is none.
    Vendor(String),
    /// An action name that is none.
    ActionName(String),
    /// A resource that is neither an ARN nor `*`.
    Resource(String),
    /// A resource's partition that AWS does not have.
    Partition {
        /// The partition.
        partition: String,
        /// The resource.
        resource: String,
    },
    /// A wildcard in the service of a resource.
    ResourceVendor,
    /// A region in an IAM resource.
    IamRegion(String),
    /// An IAM resource of no known kind.
    IamPath,
    /// Two statements have the same `Sid`.
    DuplicateSid,
    /// A `Sid` with other characters than letters and digits.
    Sid,
    /// A principal in an identity-based or session policy.
    Principal,
    /// A principal of a trust or resource policy that is none.
    InvalidPrincipal {
        /// `AWS`, `Service`, `Federated` or `CanonicalUser`.
        kind: String,
        /// The principal.
        value: String,
    },
    /// A trust or resource policy's statement without `Principal`.
    NoPrincipal,
    /// An element that this kind of document must not have.
    Prohibited(&'static str),
    /// An action in a trust policy that is not one of STS.
    TrustAction,
}

/// What AWS calls a syntax error, told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The same key twice in one object.
    DuplicateKey,
    /// An element the language does not have, or that is not supported.
    Element,
    /// An element that must be there.
    Missing,
    /// Two elements that exclude each other.
    Both,
    /// A value of the wrong JSON type.
    Type,
    /// A value that the element or operator does not take.
    Value,
    /// A condition operator the language does not have, or that is not supported.
    Operator,
    /// A policy variable that is not closed, not a key, or badly defaulted.
    Variable,
    /// A pattern longer than [`crate::PATTERN_CHARS_MAX`].
    Pattern,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::Resource(resource) => {
                return write!(f, "Resource {resource} must be in ARN format or \"*\".");
            }
            Self::Partition { partition, resource } => {
                return write!(
                    f,
                    "Partition \"{partition}\" is not valid for resource \"{resource}\"."
                );
            }
            Self::InvalidPrincipal { kind, value } => {
                return write!(f, "Invalid principal in policy: \"{kind}\":\"{value}\"");
            }
            Self::Vendor(vendor) => return write!(f, "Vendor {vendor} is not valid"),
            Self::IamRegion(resource) => {
                return write!(f, "IAM resource {resource} cannot contain region information.");
            }
            Self::Prohibited(element) => return write!(f, "Has prohibited field {element}"),
            Self::Json => "This policy contains invalid Json",
            Self::Syntax { flaw: _, found: _ } | Self::TooLong => "Syntax errors in policy.",
            Self::Version => "Policy document must be version 2012-10-17 or greater.",
            Self::NoActions => "Policy statement must contain actions.",
            Self::NoResources => "Policy statement must contain resources.",
            Self::NoVendor => {
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            }
            Self::Colons => "Actions/Condition can contain only one colon.",
            Self::ActionName(_) => "The policy failed legacy parsing",
            Self::ResourceVendor => {
                "Resource vendor must be fully qualified and cannot contain regexes."
            }
            Self::IamPath => {
                "IAM resource path must either be \"*\" or start with user/, federated-user/, \
                 role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, \
                 saml-provider/, oidc-provider/, report/, access-report/."
            }
            Self::DuplicateSid => "Statement IDs (SID) in a single policy must be unique.",
            Self::Sid => {
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
                 regular expression [0-9A-Za-z]*"
            }
            Self::Principal => "Policy document should not specify a principal.",
            Self::NoPrincipal => "Missing required field Principal",
            Self::TrustAction => "AssumeRole policy may only specify STS AssumeRole actions.",
        };
        f.write_str(fixed)
    }
}
