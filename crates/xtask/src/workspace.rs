//! The checkout as the checks see it: its crates, its tracked files, and Cargo's word on both.
//!
//! **Invariants.** Paths are relative to the root and use `/`. Nothing is written.
//!
//! **Must not know:** any rule.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Why the workspace could not be examined. Not a finding: nothing was checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// Relative to the root.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of a copy could not be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Where.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// Its name.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A program ran and refused.
    #[error("`{program}` failed: {stderr}")]
    Refused {
        /// Its name and arguments.
        program: String,
        /// What it said.
        stderr: String,
    },
    /// Cargo's metadata is not what its documentation says.
    #[error("cannot understand cargo metadata: {what}")]
    Metadata {
        /// What was missing or wrong.
        what: String,
    },
}

/// A checkout of this repository.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout this program was built from.
    #[must_use]
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("crates/xtask lies two levels below the root");
        Self { root: root.to_owned() }
    }

    /// The names of the directories in `crates`, sorted.
    ///
    /// # Errors
    /// [`Error::Read`] when `crates` cannot be listed.
    pub fn crates(&self) -> Result<Vec<String>, Error> {
        let mut names: Vec<String> = self
            .list("crates")?
            .into_iter()
            .filter(|name| self.exists(&format!("crates/{name}/Cargo.toml")))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Every `.rs` file below `directory`, sorted; none if there is no such directory.
    ///
    /// # Errors
    /// [`Error::Read`] when a directory cannot be listed.
    pub fn rust_files(&self, directory: &str) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        let mut pending = vec![directory.to_owned()];
        while let Some(directory) = pending.pop() {
            for name in self.list(&directory)? {
                let path = format!("{directory}/{name}");
                if self.root.join(&path).is_dir() {
                    pending.push(path);
                } else if path.ends_with(".rs") {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every file that git tracks and that is on the disk, sorted.
    ///
    /// # Errors
    /// [`Error::Start`] or [`Error::Refused`] when git cannot tell.
    pub fn tracked_files(&self) -> Result<Vec<String>, Error> {
        // Without the setting, git refuses a checkout that belongs to another user, as the one
        // mounted into a container often does.
        let listed = self.run("git", &["-c", "safe.directory=*", "ls-files", "-z"])?;
        let present = |path: &&str| self.root.join(path).is_file();
        let mut files: Vec<String> =
            listed.split_terminator('\0').filter(present).map(str::to_owned).collect();
        files.sort();
        Ok(files)
    }

    /// The text of a file; `None` when its bytes are not text.
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be read.
    pub fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let bytes = std::fs::read(self.root.join(path))
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(String::from_utf8(bytes).ok())
    }

    /// Whether there is a file or directory at `path`.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// What `cargo ARGUMENTS` prints, run at the root.
    ///
    /// # Errors
    /// [`Error::Start`] or [`Error::Refused`].
    pub fn cargo(&self, arguments: &[&str]) -> Result<String, Error> {
        self.run(&cargo_program(), arguments)
    }

    /// Where the checkout is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.root)
            .output()
            .map_err(|source| Error::Start { program: program.to_owned(), source })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Refused {
            program: format!("{program} {}", arguments.join(" ")),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    fn list(&self, directory: &str) -> Result<Vec<String>, Error> {
        if !self.exists(directory) {
            return Ok(Vec::new());
        }
        let fault = |source| Error::Read { path: directory.to_owned(), source };
        let entries = std::fs::read_dir(self.root.join(directory)).map_err(fault)?;
        entries
            .map(|entry| Ok(entry.map_err(fault)?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// The very cargo that runs this program, whatever the path holds.
pub(crate) fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
