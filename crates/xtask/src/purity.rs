//! What the pure crates reach through their dependencies: nothing that opens, waits, reads a clock
//! or draws a random byte.
//!
//! **Invariants.** Judged is the graph that a crate alone is built with (`cargo tree -p`): features
//! that only the shell turns on do not count, and those a pure crate turns on do.
//!
//! **Must not know:** the edges inside the workspace; `edges` judges those.

use crate::workspace::{Error, Workspace};

const PURE: &[&str] =
    &["model", "crdt", "policy", "wire", "identity", "replication", "node", "aws-api"];

/// What makes a dependency impure: being linked at all, or one feature of it.
#[derive(Clone, Copy, Debug)]
enum Impure {
    Always,
    With(&'static str),
}

// `crdts` brings rand through its default features; the workspace turns those off, and this list
// is what notices if anyone turns them on again.
const IMPURE: &[(&str, Impure, &str)] = &[
    ("tokio", Impure::Always, "waits"),
    ("mio", Impure::Always, "waits"),
    ("tonic", Impure::Always, "opens sockets"),
    ("openraft", Impure::Always, "waits and reads clocks"),
    ("sled", Impure::Always, "opens files"),
    ("rand", Impure::Always, "draws random bytes"),
    ("getrandom", Impure::Always, "draws random bytes"),
    ("chrono", Impure::With("clock"), "reads a clock"),
    ("chrono", Impure::With("now"), "reads a clock"),
];

/// Examines what each pure crate links.
///
/// # Errors
/// When Cargo cannot resolve the workspace.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for name in PURE {
        // Procedural macros run in the compiler, so what they link is not in the crate.
        let tree = workspace.cargo(&[
            "tree",
            "--edges",
            "normal,no-proc-macro",
            "--package",
            name,
            "--prefix",
            "none",
            "--format",
            "{p}|{f}",
        ])?;
        findings.extend(impurities(name, &tree));
    }
    Ok(findings)
}

/// Finds the impure packages in lines such as `tokio v1.50.0|net,time (*)`.
fn impurities(name: &str, tree: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for line in tree.lines() {
        let (package, features) = line.rsplit_once('|').unwrap_or((line, ""));
        let package = package.split(' ').next().unwrap_or_default();
        let features: Vec<&str> = features.trim_end_matches(" (*)").split(',').collect();
        for (impure, when, why) in IMPURE.iter().filter(|(impure, _, _)| *impure == package) {
            findings.extend(match when {
                Impure::Always => Some(format!("crate `{name}` reaches `{impure}`, which {why}")),
                Impure::With(feature) => features.contains(feature).then(|| {
                    format!("crate `{name}` reaches `{impure}` with `{feature}`, which {why}")
                }),
            });
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_tree(tree: &str, expected: Expect) {
        expected.assert_eq(&impurities("heart", tree).join("\n"));
    }

    #[test]
    fn the_pure_crates_are_pure() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_trees_that_are_examined_hold_their_crate() {
        // Else an empty answer would pass for a pure one.
        let tree = Workspace::here().cargo(&["tree", "-p", "crdt", "--prefix", "none"]).unwrap();
        assert!(tree.lines().any(|line| line.starts_with("crdts v")), "{tree}");
    }

    #[test]
    fn what_waits_opens_or_draws_is_found_once() {
        check_tree(
            "heart v0.1.0 (/a|b)|\ntokio v1.50.0|net,time\ntokio v1.50.0|net,time (*)\nsled v0.34.7|",
            expect![[r#"
                crate `heart` reaches `sled`, which opens files
                crate `heart` reaches `tokio`, which waits"#]],
        );
    }

    #[test]
    fn a_name_that_only_begins_like_an_impure_one_passes() {
        check_tree("rand_core v0.6.4|\ntokio-util v0.7.0|\nserde v1.0.0|default,std", expect![""]);
    }

    #[test]
    fn a_feature_can_make_a_package_impure() {
        check_tree("chrono v0.4.0|alloc,std", expect![""]);
        check_tree(
            "chrono v0.4.0|alloc,clock (*)",
            expect!["crate `heart` reaches `chrono` with `clock`, which reads a clock"],
        );
    }
}
