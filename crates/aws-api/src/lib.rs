//! The AWS query protocol without the network: SigV4, form parameters in, XML out.
//!
//! **Invariants.** Every function here is a function of its arguments: time comes in as a value,
//! and nothing opens, waits or draws a random byte. Bytes from a client are refused with AWS's code
//! and text, never asserted. Secrets and signatures show in no error and no `Debug`.
//!
//! **Must not know:** tokio, sockets, HTTP libraries, replication, storage.
#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod access_key;
mod account;
mod attachment;
mod boundary;
mod call;
mod credential_report;
pub mod error;
pub mod form;
mod group;
mod inline;
mod instance_profile;
mod key_use;
mod login_profile;
mod mfa_device;
mod oidc_provider;
pub mod pagination;
mod password_policy;
mod percent;
mod policy;
mod provider;
mod refusal;
mod role;
mod saml_provider;
mod server_certificate;
mod service;
mod service_credential;
mod shape;
mod signing_certificate;
pub mod sigv4;
mod simulate;
mod ssh_public_key;
mod sts;
mod tag;
mod user;
mod web_identity;
pub mod xml;

pub use call::{Call, parse, render};
pub use error::{ApiError, Fault};
pub use refusal::error_of;
pub use service::Service;
pub use web_identity::is_unsigned;
