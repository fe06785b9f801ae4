//! That every crate is linted by the workspace's rules, and only the shell may relax clippy's.
//!
//! **Invariants.** A crate without `[lints] workspace = true` is a finding, and so is a
//! `clippy.toml` in a pure crate: one there would hide the root's ban on clocks and unordered maps.
//!
//! **Must not know:** which lints there are.

use crate::workspace::{Error, Workspace};

/// The crates that open, wait, read clocks or draw random bytes.
const SHELL: &[&str] = &["bench", "cli", "rpc", "server", "store", "xtask"];

/// Examines the manifests and looks for lint settings.
///
/// # Errors
/// When a manifest cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for name in workspace.crates()? {
        let directory = format!("crates/{name}");
        let manifest = workspace.text(&format!("{directory}/Cargo.toml"))?.unwrap_or_default();
        if !inherits(&manifest) {
            findings.push(format!("{directory}/Cargo.toml: without `[lints] workspace = true`"));
        }
        // Clippy reads either name.
        for file in ["clippy.toml", ".clippy.toml"] {
            if workspace.exists(&format!("{directory}/{file}")) && !SHELL.contains(&name.as_str()) {
                findings.push(format!("{directory}/{file}: only a shell crate may have one"));
            }
        }
    }
    Ok(findings)
}

/// Whether a manifest takes the workspace's lints.
fn inherits(manifest: &str) -> bool {
    manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != "[lints]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .any(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_keeps_the_workspaces_lints() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_manifest_inherits_only_in_its_lints_section() {
        assert!(inherits("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits("[package]\nname = \"a\"\n"));
        assert!(!inherits("[lints]\n\n[dependencies.model]\nworkspace = true\n"));
        assert!(!inherits("[lints]\nworkspace = false\n"));
    }
}
