//! The workspace's own rules, as checks: what may depend on what, what the pure crates may reach,
//! how a file looks. Each check is a `#[test]` here, so `cargo test` is the whole truth;
//! `cargo xtask tidy` runs the same checks without building any other crate.
//!
//! `cargo xtask mutate` is no check of the sources but of the tests: do they notice a broken
//! product?
//!
//! **Invariants.** A check only reads. It is a pure function over names and texts, with tests that
//! show it can fail, and a thin part that gathers them from Cargo, git and the disk.
//!
//! **Must not know:** any other crate of the workspace, so that no broken crate can hide a finding.

pub mod edges;
pub mod files;
pub mod lints;
pub mod mutate;
mod mutations;
pub mod nouns;
pub mod purity;
pub mod words;
pub mod workspace;

pub use workspace::{Error, Workspace};

/// Runs every check and returns what they found, one line a finding; empty means tidy.
///
/// # Errors
/// When the workspace cannot be read, or Cargo or git cannot be asked about it.
pub fn tidy(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut findings = edges::check(workspace)?;
    findings.extend(purity::check(workspace)?);
    findings.extend(files::check(workspace)?);
    findings.extend(lints::check(workspace)?);
    findings.extend(words::check(workspace)?);
    findings.extend(nouns::check(workspace)?);
    Ok(findings)
}
