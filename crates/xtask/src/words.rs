//! Words that have no place in a tracked file: promises of later work, switched-off tests and
//! lints, paths of one machine, and history told in a comment.
//!
//! **Invariants.** The words stand here in two halves, so that this file passes its own check.
//!
//! **Must not know:** the grammar of any language beyond how a comment begins.

use crate::workspace::{Error, Workspace};

/// Where a word is banned.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In any file, where letters, digits or slashes do not make it part of something longer.
    Anywhere,
    /// In any file, where it begins a path.
    Path,
    /// In Rust files.
    Rust,
    /// After the mark that begins a comment, in any letter case.
    Comment,
}

const WORDS: &[(&str, &str, Place)] = &[
    ("FIX", "ME", Place::Anywhere),
    ("XX", "X", Place::Anywhere),
    ("/wo", "rk/", Place::Path),
    ("/ro", "ot/", Place::Path),
    ("to", "do!(", Place::Rust),
    ("unimple", "mented!(", Place::Rust),
    ("#[ig", "nore", Place::Rust),
    ("#[should", "_panic", Place::Rust),
    ("#[al", "low(", Place::Rust),
    ("#![al", "low(", Place::Rust),
    ("no lo", "nger", Place::Comment),
];

/// Searches every tracked file that is text.
///
/// # Errors
/// When git cannot list the files or one cannot be read.
pub fn check(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut findings = Vec::new();
    for path in workspace.tracked_files()? {
        if let Some(text) = workspace.text(&path)? {
            findings.extend(banned(&path, &text));
        }
    }
    Ok(findings)
}

fn banned(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (head, tail, place) in WORDS {
            let word = format!("{head}{tail}");
            let found = match place {
                Place::Anywhere => stands(line, &word, alone),
                Place::Path => stands(line, &word, begins),
                Place::Rust => path.ends_with(".rs") && line.contains(&word),
                Place::Comment => comment(path, line).to_lowercase().contains(&word),
            };
            if found {
                findings.push(format!("{path}:{}: `{word}`", at + 1));
            }
        }
    }
    findings
}

/// Whether `word` occurs in `line` with a fitting character, or none, before and after it.
fn stands(line: &str, word: &str, fits: fn(Option<char>, Option<char>) -> bool) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        fits(before.chars().next_back(), after.chars().next())
    })
}

fn alone(before: Option<char>, after: Option<char>) -> bool {
    let part = |near: Option<char>| near.is_some_and(|c| c.is_alphanumeric() || c == '/');
    !part(before) && !part(after)
}

fn begins(before: Option<char>, _after: Option<char>) -> bool {
    !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '}'))
}

/// What follows the mark that begins a comment; a mark inside a literal counts too.
fn comment<'line>(path: &str, line: &'line str) -> &'line str {
    let mark = match path.rsplit(['.', '/']).next() {
        Some("rs" | "proto" | "js" | "go") => "//",
        Some("py" | "sh" | "toml" | "yaml" | "yml" | "test" | "run" | "Dockerfile") => "#",
        Some(_) | None => return "",
    };
    line.split_once(mark).map_or("", |(_, comment)| comment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(number: usize) -> String {
        let (head, tail, _) = WORDS[number];
        format!("{head}{tail}")
    }

    fn found(path: &str, line: &str) -> bool {
        !banned(path, line).is_empty()
    }

    #[test]
    fn tracked_files_hold_no_banned_word() {
        assert_eq!(check(&Workspace::here()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_finding_names_file_line_and_word() {
        let text = format!("one\n# {} two\n", word(0));
        assert_eq!(banned("a.sh", &text), [format!("a.sh:2: `{}`", word(0))]);
    }

    #[test]
    fn promises_of_work_are_found_in_any_file_where_they_stand_alone() {
        for promise in [word(0), word(1)] {
            assert!(found("a.md", &format!("({promise}: later)")));
            assert!(!found("a.md", &format!("AKIA{promise}")));
            assert!(!found("a.md", &format!("{promise}9")));
        }
    }

    #[test]
    fn a_path_of_a_machine_is_found_where_a_path_begins() {
        for path in [word(2), word(3)] {
            assert!(found("a.md", &format!("see {path}x")));
            assert!(found("a.md", &path));
            assert!(!found("a.md", &format!("docs{path}x")));
        }
    }

    #[test]
    fn switched_off_tests_and_lints_are_found_in_rust_only() {
        for rust in (4..10).map(word) {
            assert!(found("a.rs", &format!("    {rust}")), "{rust}");
            assert!(!found("a.md", &rust), "{rust}");
        }
    }

    #[test]
    fn history_is_found_in_comments_only() {
        let history = word(10);
        assert!(found("a.rs", &format!("f(); // it {history} waits")));
        assert!(found("a.py", &format!("# {} so", history.to_uppercase())));
        assert!(found("test", &format!("# {history}")));
        assert!(!found("a.rs", &format!("\"{history}\"")));
        assert!(!found("a.md", &history));
    }
}
