//! The words of the domain, as types that cannot be wrong: account ids, unique ids, names, paths,
//! ARNs, timestamps, entropy and secrets, and AWS's limits on them.
//!
//! **Invariants.** A value of a type here satisfies AWS's constraint for it; the only way to get
//! one is to parse it. Nothing here reads a clock or draws a random byte: both come in as values.
//!
//! **Must not know:** replication, policies' meaning, any wire or disk format.

mod account;
mod arn;
mod author;
mod constraint;
mod entropy;
mod key;
pub mod limits;
mod name;
mod secret;
mod timestamp;
mod unique_id;

pub use account::AccountId;
pub use arn::{Arn, ArnError};
pub use author::{Author, Credential};
pub use constraint::Constraint;
pub use entropy::Entropy;
pub use key::{Field, Key, KeyError};
pub use name::{
    AccountAlias, GroupName, InstanceProfileName, OidcProviderName, Path, PolicyName, PolicyPath,
    RoleName, SamlProviderName, ServerCertificateName, SessionName, TagKey, TagValue, UserName,
    VirtualMfaDeviceName, fold,
};
pub use secret::Secret;
pub use timestamp::Timestamp;
pub use unique_id::{UniqueId, UniqueIdKind};
