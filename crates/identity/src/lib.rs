//! Users, groups, roles, policies, keys and sessions: what each IAM and STS call means.
//!
//! [`execute`] turns a [`Command`] into writes, [`query`] answers a [`Query`], [`check`] decides
//! for others. Each is a function of the state, the call and a [`Ctx`].
//!
//! **Invariants.** Equal state and context give equal results. A noun never merges anything: it
//! names its fields, says what a write re-asserts, and how a contested field reads (see
//! `field.rs`'s table). No race widens access (DESIGN §4). Indexes are derived, never replicated.
//!
//! **Must not know:** who sends transactions, AWS's forms and words; what dots are, but to show
//! people whose sides of a conflict they are.
//!
//! Start reading at [`execute`], then `user.rs`.
#![deny(clippy::indexing_slicing, clippy::string_slice)]

mod access;
pub mod access_key;
pub mod account;
pub mod attachment;
pub mod authorization_message;
mod authorize;
pub mod boundary;
mod certificate;
mod changes;
mod check;
mod claims;
mod command;
pub mod conflict;
mod credential;
pub mod credential_report;
mod doubt;
mod effective;
mod entity;
mod error;
pub mod federated_user;
mod field;
pub mod group;
mod index;
pub mod inline;
pub mod instance_profile;
pub mod key_use;
pub mod login_profile;
pub mod mfa_device;
mod names;
pub mod oidc_provider;
mod page;
mod password;
pub mod password_policy;
pub mod policy;
mod prepared;
mod principal;
mod private_key;
pub mod provider;
mod read;
pub mod role;
mod rsa_public_key;
mod saml_metadata;
pub mod saml_provider;
mod second_factor;
pub mod server_certificate;
pub mod service_credential;
pub mod signing_certificate;
pub mod simulate;
mod small_set;
pub mod ssh_public_key;
mod state;
pub mod sts;
pub mod tag;
mod totp;
pub mod user;
mod user_credential;
pub mod web_identity;

pub use access::{
    AccessChange, CHANGES_PER_PAGE_MAX, CompareAccess, EXAMPLES_MAX, Holder, NewVersion,
    PRINCIPALS_PER_PAGE_MAX, PolicyChange, PrincipalAccess, WhoCan, compare_access, what_can,
    who_can,
};
pub use access_key::{NewAccessKey, first_root_key, is_untouched};
pub use authorize::authorize;
pub use check::{CheckRequest, check, explain, principal_account, verdict};
pub use claims::{LostName, NameProposal, NameVerdict, NamesOf, Whose};
pub use command::{Command, ControlChange, Outcome, Query, Reply, execute, query};
pub use conflict::{Conflict, ConflictEvent, ConflictId, ConflictKind};
pub use credential::{
    FoundKey, KeyRing, SessionError, authenticate_key, find_key, open_claims, open_session,
    session_caller,
};
pub use doubt::KeptError;
pub use entity::{EntityName, ListByPath, PathPrefix, PolicyOwner, Rename};
pub use error::{Denial, Error, KeyRefusal, MfaRefusal, Noun, Obstacle, Quota, SimulationFault};
pub use names::{Claim, Decision, NAME_BYTES_MAX, NAME_CLAIMS_MAX, NameKey, Names};
pub use page::{Listing, Page};
pub use password::Password;
pub use prepared::{Prepared, PreparedOf};
pub use principal::{
    AccountInfo, Accounts, Caller, Ctx, Federation, Principal, RequestContext, Session,
};
pub use read::Read;
pub use second_factor::{SecondFactor, WithCode};
pub use state::Identity;
