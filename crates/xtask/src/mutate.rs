//! Do the tests notice when the product is broken? Each mutation is one small change that breaks a
//! promise, and names the tests that must fail with it.
//!
//! **Invariants.** The checkout is only read: mutations are made in a copy below Cargo's target
//! directory, one at a time, and taken back. A mutation is caught only if what it leaves compiles.
//!
//! **Must not know:** what a mutation breaks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use crate::mutations::MUTATIONS;
use crate::workspace::{Error, Workspace, cargo_program};

/// A change that breaks a promise.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// What is broken.
    pub name: &'static str,
    /// The file, relative to the root.
    pub file: &'static str,
    /// What stands in it, once.
    pub from: &'static str,
    /// What stands there instead.
    pub to: &'static str,
    /// The arguments of `cargo test` that name the tests which must fail.
    pub caught_by: &'static str,
}

impl Mutation {
    /// The file's text with the change; `None` unless what is replaced stands there once.
    fn applied(&self, text: &str) -> Option<String> {
        (text.matches(self.from).count() == 1).then(|| text.replace(self.from, self.to))
    }
}

/// Runs the mutations whose name holds `word`, and tells of each what came of it; how many were not
/// caught.
///
/// # Errors
/// When the copy cannot be made, or Cargo cannot be run.
pub fn run(workspace: &Workspace, word: &str, tell: &mut dyn FnMut(&str)) -> Result<usize, Error> {
    let copy = Copy::of(workspace)?;
    let chosen: Vec<&Mutation> =
        MUTATIONS.iter().filter(|mutation| mutation.name.contains(word)).collect();
    let mut failing = BTreeSet::new();
    for tests in chosen.iter().map(|mutation| mutation.caught_by).collect::<BTreeSet<_>>() {
        if !copy.test(tests, Until::Run)? {
            tell(&format!("FAILS UNCHANGED  cargo test {tests}"));
            failing.insert(tests);
        }
    }
    let mut survivors = 0;
    for mutation in &chosen {
        let verdict = if failing.contains(mutation.caught_by) {
            "NOT JUDGED"
        } else {
            copy.judge(workspace, mutation)?
        };
        survivors += usize::from(verdict != CAUGHT);
        tell(&format!("{verdict:<16} {}", mutation.name));
        if verdict != CAUGHT {
            tell(&format!("                 cargo test {}", mutation.caught_by));
        }
    }
    tell(&format!("{} mutations, {survivors} not caught", chosen.len()));
    Ok(survivors)
}

const CAUGHT: &str = "caught";

/// How far a test is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Compiled,
    Run,
}

/// A copy of the checkout.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Copies every tracked file; what a former copy left behind goes first.
    fn of(workspace: &Workspace) -> Result<Self, Error> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| workspace.root().join("target"), |path| workspace.root().join(path));
        let below = target.join("mutate");
        let copy = Self { root: below.join("tree"), target: below.join("target") };
        if copy.root.exists() {
            fs::remove_dir_all(&copy.root).map_err(|source| fault(&copy.root, source))?;
        }
        for path in workspace.tracked_files()? {
            let to = copy.root.join(&path);
            if let Some(directory) = to.parent() {
                fs::create_dir_all(directory).map_err(|source| fault(directory, source))?;
            }
            fs::copy(workspace.root().join(&path), &to).map_err(|source| fault(&to, source))?;
        }
        Ok(copy)
    }

    fn judge(&self, workspace: &Workspace, mutation: &Mutation) -> Result<&'static str, Error> {
        let text = workspace.text(mutation.file)?.unwrap_or_default();
        let Some(changed) = mutation.applied(&text) else { return Ok("DOES NOT APPLY") };
        self.write(mutation.file, &changed)?;
        let compiles = self.test(mutation.caught_by, Until::Compiled);
        let passes = self.test(mutation.caught_by, Until::Run);
        self.write(mutation.file, &text)?;
        Ok(match (compiles?, passes?) {
            (false, _) => "DOES NOT COMPILE",
            (true, true) => "NOT CAUGHT",
            (true, false) => CAUGHT,
        })
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Error> {
        let path = self.root.join(path);
        fs::write(&path, text).map_err(|source| fault(&path, source))
    }

    /// Whether the tests compile or pass.
    fn test(&self, tests: &str, until: Until) -> Result<bool, Error> {
        let program = cargo_program();
        let mut command = Command::new(&program);
        command.arg("test").arg("--quiet").args(tests.split_whitespace());
        if until == Until::Compiled {
            command.arg("--no-run");
        }
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        let output = command.stdin(Stdio::null()).output();
        let output = output.map_err(|source| Error::Start { program, source })?;
        Ok(output.status.success())
    }
}

fn fault(path: &Path, source: std::io::Error) -> Error {
    Error::Write { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_still_applies_and_has_a_name_of_its_own() {
        let workspace = Workspace::here();
        let mut names = BTreeSet::new();
        for mutation in MUTATIONS {
            let text = workspace.text(mutation.file).unwrap().unwrap();
            let changed = mutation.applied(&text);
            assert!(changed.is_some_and(|changed| changed != text), "{}", mutation.name);
            assert!(names.insert(mutation.name), "{}", mutation.name);
        }
    }

    #[test]
    fn what_is_replaced_must_stand_there_once() {
        let mutation = Mutation { name: "", file: "", from: "ab", to: "c", caught_by: "" };
        for (text, changed) in [("", None), ("xabx", Some("xcx")), ("abab", None)] {
            assert_eq!(mutation.applied(text).as_deref(), changed, "{text}");
        }
    }
}
