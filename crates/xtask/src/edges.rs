//! The table of the edges between crates, compared with Cargo's graph.
//!
//! **Invariants.** A normal or build dependency between two crates of the workspace is in the table
//! or it is a finding. Dev-dependencies are free: tests may look from anywhere.
//!
//! **Must not know:** dependencies from outside the workspace; `purity` judges those.

use std::collections::BTreeSet;

use crate::workspace::{Error, Workspace};

/// What a crate may use of the workspace.
#[derive(Clone, Copy, Debug)]
enum May {
    Use(&'static [&'static str]),
    UseAnything,
}

/// The layers of the design, from the heart up. A new line or a new name in a line is a decision of
/// its own: it travels in a commit of its own, with its reason.
const TABLE: &[(&str, May)] = &[
    ("model", May::Use(&[])),
    ("crdt", May::Use(&[])),
    ("policy", May::Use(&["model"])),
    ("wire", May::Use(&["crdt", "model"])),
    ("identity", May::Use(&["crdt", "model", "policy", "wire"])),
    ("replication", May::Use(&["crdt"])),
    ("node", May::Use(&["crdt", "identity", "model", "policy", "replication", "wire"])),
    ("aws-api", May::Use(&["identity", "model", "policy"])),
    ("web-console", May::Use(&["identity", "model"])),
    ("store", May::Use(&["wire"])),
    ("rpc", May::Use(&["aws-api", "crdt", "identity", "model", "node", "policy", "wire"])),
    ("cli", May::Use(&["aws-api", "model", "policy", "rpc", "wire"])),
    ("sim", May::Use(&["crdt", "identity", "model", "node", "policy", "replication", "wire"])),
    ("server", May::UseAnything),
    ("bench", May::UseAnything),
    ("xtask", May::Use(&[])),
];

/// Compares the workspace's manifests with the table.
///
/// # Errors
/// When Cargo cannot describe the workspace.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let metadata = workspace.cargo(&["metadata", "--no-deps", "--format-version", "1"])?;
    Ok(compare(TABLE, &edges(&metadata)?))
}

/// A crate of the workspace, and those it uses to build and to run.
type Member = (String, BTreeSet<String>);

/// The workspace's crates and edges from the JSON of `cargo metadata --no-deps`.
fn edges(metadata: &str) -> Result<Vec<Member>, Error> {
    let wrong = |what: &str| Error::Metadata { what: what.to_owned() };
    let json: serde_json::Value =
        serde_json::from_str(metadata).map_err(|error| wrong(&error.to_string()))?;
    let packages = json["packages"].as_array().ok_or_else(|| wrong("no packages"))?;
    let mut members = Vec::new();
    for package in packages {
        let name = package["name"].as_str().ok_or_else(|| wrong("a package without a name"))?;
        let dependencies = package["dependencies"]
            .as_array()
            .ok_or_else(|| wrong("a package without dependencies"))?;
        let uses = dependencies
            .iter()
            .filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
            .collect();
        members.push((name.to_owned(), uses));
    }
    Ok(members)
}

fn compare(table: &[(&str, May)], members: &[Member]) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, uses) in members {
        match table.iter().find(|(row, _)| row == name) {
            None => findings.push(format!("crate `{name}` is not in the table of edges")),
            Some((_, May::UseAnything)) => {}
            Some((_, May::Use(allowed))) => findings.extend(
                uses.iter()
                    .filter(|used| !allowed.contains(&used.as_str()))
                    .map(|used| format!("crate `{name}` may not use `{used}`")),
            ),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// `manifests` is one crate a line: `name: used, used(build), used(dev), outside(crates.io)`.
    fn check_table(manifests: &str, expected: Expect) {
        let packages: Vec<String> = manifests.lines().map(package).collect();
        let metadata = format!(r#"{{"packages":[{}]}}"#, packages.join(","));
        let table =
            &[("low", May::Use(&[])), ("high", May::Use(&["low"])), ("top", May::UseAnything)];
        let findings = compare(table, &edges(&metadata).unwrap());
        expected.assert_eq(&findings.join("\n"));
    }

    fn package(line: &str) -> String {
        let (name, uses) = line.split_once(':').unwrap();
        let uses: Vec<String> = uses
            .split(',')
            .map(str::trim)
            .filter(|used| !used.is_empty())
            .map(dependency)
            .collect();
        format!(r#"{{"name":"{}","dependencies":[{}]}}"#, name.trim(), uses.join(","))
    }

    fn dependency(text: &str) -> String {
        let (name, mark) = text.trim_end_matches(')').split_once('(').unwrap_or((text, ""));
        match mark {
            "" => format!(r#"{{"name":"{name}","kind":null,"path":"/x/{name}"}}"#),
            "crates.io" => format!(r#"{{"name":"{name}","kind":null}}"#),
            kind => format!(r#"{{"name":"{name}","kind":"{kind}","path":"/x/{name}"}}"#),
        }
    }

    #[test]
    fn the_workspace_keeps_to_the_table() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_edge_in_the_table_passes_and_one_against_it_is_found() {
        check_table("high: low", expect![""]);
        check_table("low: high", expect!["crate `low` may not use `high`"]);
        check_table("low: high(build)", expect!["crate `low` may not use `high`"]);
        check_table("top: low, high", expect![""]);
    }

    #[test]
    fn dev_edges_and_crates_from_outside_are_not_judged() {
        check_table("low: high(dev), high(crates.io)", expect![""]);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        check_table("stray:", expect!["crate `stray` is not in the table of edges"]);
    }

    #[test]
    fn the_table_names_only_rows_and_has_no_way_round() {
        // A row may use only rows above it, so the table cannot hold a cycle.
        for (at, (name, may)) in TABLE.iter().enumerate() {
            let May::Use(allowed) = may else { continue };
            for used in *allowed {
                assert!(TABLE[..at].iter().any(|(row, _)| row == used), "{name} uses {used}");
            }
        }
    }

    #[test]
    fn metadata_that_is_not_metadata_is_refused() {
        for text in ["", "{}", r#"{"packages":[{}]}"#, r#"{"packages":[{"name":"x"}]}"#] {
            assert!(matches!(edges(text), Err(Error::Metadata { .. })), "{text}");
        }
    }
}
