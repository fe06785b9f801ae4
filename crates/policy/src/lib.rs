//! AWS policy documents: read, evaluated, and the decision explained.
//!
//! ```
//! use std::sync::Arc;
//! use policy::{Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, evaluate};
//!
//! let text = r#"{
//!     "Version": "2012-10-17",
//!     "Statement": {
//!         "Effect": "Allow",
//!         "Action": "s3:Get*",
//!         "Resource": "arn:aws:s3:::home/${aws:username}/*"
//!     }
//! }"#;
//! let document = Document::parse(text, DocumentKind::Identity)?;
//! let label = SourceLabel::Managed { arn: "arn:aws:iam::123456789012:policy/home".to_owned() };
//! let source = Source { label, certain: true, alternatives: vec![Arc::new(document)] };
//! let layers = Layers { identity: vec![source], ..Layers::default() };
//!
//! let mut context = Context::new();
//! context.insert("aws:username", "bob");
//! let ask = |resource| {
//!     let request = Request { action: "s3:GetObject", resource, context: &context };
//!     evaluate(&layers, &request).is_allowed()
//! };
//! assert!(ask("arn:aws:s3:::home/bob/notes"));
//! assert!(!ask("arn:aws:s3:::home/eve/notes"));
//! # Ok::<(), policy::ParseError>(())
//! ```
//!
//! **Invariants.** What is not supported is refused when it is read. What is contested or
//! unreadable at evaluation never allows and always denies (DESIGN §4). No input panics, and the
//! work for one is bounded: see [`DEPTH_MAX`], [`PATTERN_CHARS_MAX`], [`DECISION_STEPS_MAX`] and
//! [`model::limits::POLICY_DOCUMENT_CHARS_MAX`].
//!
//! **Must not know:** replication, storage, who is signed in.
#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod access;
mod block;
mod budget;
mod compiled;
mod condition;
mod context;
mod document;
mod error;
mod evaluate;
mod explain;
mod index;
mod json;
mod key;
mod lint;
mod managed;
mod matcher;
mod message;
mod name;
mod operand;
mod pattern;
mod principal;
mod resource;
mod statement;
mod survey;
mod trust;
mod truth;

pub use access::{Grant, examples, grants};
pub use budget::DECISION_STEPS_MAX;
pub use compiled::Compiled;
pub use context::{Context, ContextValue};
pub use document::{Document, DocumentKind};
pub use error::{Flaw, ParseError, Position, Problem};
pub use evaluate::{
    Decision, Layer, Layers, MatchedStatement, Outcome, Request, Source, SourceLabel, Step,
    Verdict, evaluate, evaluate_granted,
};
pub use explain::{Change, Explanation, NEAR_CHANGES_MAX, NEAR_MISSES_MAX, NearMiss, explain};
pub use lint::{Finding, Severity, lint};
pub use managed::{ManagedPolicy, managed};
pub use message::denial_message;
pub use pattern::PATTERN_CHARS_MAX;
pub use principal::Principal;
pub use resource::{CallerSession, ResourceLayer};
pub use statement::{Effect, Statement};
pub use trust::{TrustCaller, TrustGrant, evaluate_federated, evaluate_trust};

/// How deep a document's JSON may be nested; the language itself needs five levels.
pub const DEPTH_MAX: usize = 32;
