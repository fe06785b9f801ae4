//! One noun, one file name: what `identity` has a file for, `aws-api` has a file for.
//!
//! **Invariants.** Judged only once `aws-api` has a noun at all, so that `identity` can come first.
//!
//! **Must not know:** what a noun does.

use crate::workspace::{Error, Workspace};

/// The nouns clients see. The second name is AWS's for the service that speaks of the noun.
const NOUNS: &[&[&str]] = &[
    &["user"],
    &["group"],
    &["role"],
    &["policy"],
    &["access_key"],
    &["tag"],
    &["account"],
    &["session", "sts"],
];

/// Compares the two crates' files.
///
/// # Errors
/// When a directory cannot be listed.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let identity = workspace.rust_files("crates/identity/src")?;
    let aws_api = workspace.rust_files("crates/aws-api/src")?;
    Ok(missing(&identity, &aws_api))
}

fn missing(identity: &[String], aws_api: &[String]) -> Vec<String> {
    let has = |files: &[String], krate: &str, names: &[&str]| {
        names.iter().any(|name| files.contains(&format!("crates/{krate}/src/{name}.rs")))
    };
    if !NOUNS.iter().any(|names| has(aws_api, "aws-api", names)) {
        return Vec::new();
    }
    NOUNS
        .iter()
        .filter(|names| has(identity, "identity", names) && !has(aws_api, "aws-api", names))
        .map(|names| format!("identity has `{}`, aws-api has not", names.join("` or `")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_nouns(identity: &[&str], aws_api: &[&str], expected: Expect) {
        let files = |krate: &str, names: &[&str]| -> Vec<String> {
            names.iter().map(|name| format!("crates/{krate}/src/{name}.rs")).collect()
        };
        let findings = missing(&files("identity", identity), &files("aws-api", aws_api));
        expected.assert_eq(&findings.join("\n"));
    }

    #[test]
    fn every_noun_of_identity_is_in_aws_api() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_noun_that_aws_api_lacks_is_found_once_it_has_any() {
        check_nouns(&["user", "group"], &["lib"], expect![""]);
        check_nouns(&["user", "group"], &["user", "group"], expect![""]);
        check_nouns(
            &["user", "group"],
            &["user"],
            expect!["identity has `group`, aws-api has not"],
        );
        check_nouns(&["command"], &["user"], expect![""]);
    }

    #[test]
    fn sessions_may_go_by_the_services_name() {
        check_nouns(&["session"], &["sts"], expect![""]);
        check_nouns(
            &["session"],
            &["user"],
            expect!["identity has `session` or `sts`, aws-api has not"],
        );
    }
}
