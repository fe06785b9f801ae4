//! How a source file looks: it opens by saying what it is for, and fits in a head and on a screen.
//!
//! **Invariants.** Lengths count what comes before the inline test module: tests may be long, and
//! their data wide. Generated files are their generator's business.
//!
//! **Must not know:** what the code says.

use crate::workspace::{Error, Workspace};

/// Lines of a file before its tests.
const LINES_MAX: usize = 600;

/// Characters of a line.
const COLUMNS_MAX: usize = 100;

/// Examines every source file of every crate.
///
/// # Errors
/// When a directory or file cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for name in workspace.crates()? {
        for path in workspace.rust_files(&format!("crates/{name}/src"))? {
            if let Some(text) = workspace.text(&path)?.filter(|_| !excepted(&path)) {
                findings.extend(faults(&path, &text));
            }
        }
    }
    Ok(findings)
}

/// Whether the whole file is a test or comes from a generator.
fn excepted(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "generated" | "tests" | "tests.rs"))
}

fn faults(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{path}:1: does not open with `//!`"));
    }
    let lines = before_tests(text);
    if lines.len() > LINES_MAX {
        findings.push(format!("{path}: {} lines before its tests, over {LINES_MAX}", lines.len()));
    }
    for (at, line) in lines.iter().enumerate() {
        let columns = line.chars().count();
        // An address cannot be broken without breaking it.
        if columns > COLUMNS_MAX && !line.contains("://") {
            findings.push(format!("{path}:{}: {columns} columns, over {COLUMNS_MAX}", at + 1));
        }
    }
    findings
}

/// The lines before the first inline test module. A `#[cfg(test)]` on anything else ends nothing.
fn before_tests(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let end = (0..lines.len()).find(|at| {
        let mut rest = lines[at + 1..].iter().skip_while(|line| line.starts_with("#["));
        lines[*at] == "#[cfg(test)]"
            && rest.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    });
    lines[..end.unwrap_or(lines.len())].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check_file(text: &str, expected: Expect) {
        expected.assert_eq(&faults("a.rs", text).join("\n"));
    }

    fn file_of(lines: usize) -> String {
        format!("//! Purpose.\n{}", "const A: u8 = 0;\n".repeat(lines - 1))
    }

    #[test]
    fn every_file_opens_with_its_purpose_and_fits() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_file_without_its_purpose_is_found() {
        check_file("//! Purpose.\n", expect![""]);
        check_file("// Purpose.\n", expect!["a.rs:1: does not open with `//!`"]);
        check_file("", expect!["a.rs:1: does not open with `//!`"]);
    }

    #[test]
    fn a_file_has_at_most_600_lines_before_its_tests() {
        check_file(&file_of(600), expect![""]);
        check_file(&file_of(601), expect!["a.rs: 601 lines before its tests, over 600"]);
    }

    #[test]
    fn only_an_inline_test_module_ends_what_is_counted() {
        let tests = "x\n".repeat(9);
        check_file(&format!("{}#[cfg(test)]\nmod tests {{\n{tests}", file_of(600)), expect![""]);
        for start in ["#[cfg(test)]\nmod tests;\n", "#[cfg(test)]\nfn helper() {\n"] {
            let text = format!("{}{start}{tests}", file_of(600));
            check_file(&text, expect!["a.rs: 611 lines before its tests, over 600"]);
        }
    }

    #[test]
    fn a_line_has_at_most_100_characters_unless_it_holds_an_address() {
        let line = |length: usize| format!("//! {}\n", "ä".repeat(length - 4));
        check_file(&line(100), expect![""]);
        check_file(&line(101), expect!["a.rs:1: 101 columns, over 100"]);
        check_file(&format!("//! https://{}\n", "a".repeat(101)), expect![""]);
    }

    #[test]
    fn tests_and_generated_files_are_excepted_by_their_place() {
        for path in ["crates/a/src/generated/b.rs", "crates/a/src/tests.rs", "a/src/tests/b.rs"] {
            assert!(excepted(path), "{path}");
        }
        assert!(!excepted("crates/a/src/attests.rs"));
    }
}
