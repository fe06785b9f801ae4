//! `writ policy lint`: what is wrong with a policy in a file, before anybody sends it anywhere.
//!
//! **Invariants.** Nothing is asked of a node. An error or a security warning ends with 1.
//!
//! **Must not know:** what the linter looks for.

use std::{fmt::Write as _, io::Read as _, path::Path};

use ::policy::{DocumentKind, Finding, Severity, lint};

use crate::{
    Exit, Output,
    arguments::{Lint, Policy},
    exit::Error,
};

/// More bytes than any document has that is read.
const FILE_BYTES_MAX: u64 = 4 * model::limits::POLICY_DOCUMENT_CHARS_MAX as u64;

pub(crate) fn run(command: Policy, output: &mut Output<'_>) -> Result<Exit, Error> {
    let Policy::Lint(Lint { file, trust }) = command;
    let text = read(&file)?;
    let kind = if trust { DocumentKind::Trust } else { DocumentKind::Identity };
    let (text, exit) = render(&file, &lint(&text, kind));
    output.result(&text)?;
    Ok(exit)
}

/// The text of a file that is not too long to be a policy.
pub(crate) fn read(file: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let opened = std::fs::File::open(file);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => {
            let file = file.display();
            Err(Error::Usage(format!("`{file}` is over the limit of {FILE_BYTES_MAX} bytes")))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(Error::Usage(format!("cannot read `{}`: {error}", file.display()))),
    }
}

/// A line for each finding, as compilers write them.
fn render(file: &Path, findings: &[Finding]) -> (String, Exit) {
    let mut text = String::new();
    let mut exit = Exit::Ok;
    for Finding { severity, code, message, position } in findings {
        let at = position.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        writeln!(text, "{}{at}: {severity}: {message} [{code}]", file.display())
            .expect("a String takes any text");
        if *severity <= Severity::SecurityWarning {
            exit = Exit::Error;
        }
    }
    (text, exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linted(text: &str) -> (String, Exit) {
        render(Path::new("p.json"), &lint(text, DocumentKind::Identity))
    }

    #[test]
    fn findings_are_lines_and_only_the_grave_ones_fail() {
        let pass = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*",
"Resource":"*"}}"#;
        let (text, exit) = linted(pass);
        assert!(text.starts_with("p.json:2:1: security warning: iam:PassRole on every role "));
        assert!(text.ends_with(" [pass-role-with-star-in-resource]\n"), "{text}");
        assert_eq!(exit, Exit::Error);
        let twice = pass.replace(r#""iam:*""#, r#"["s3:*","s3:Get*"]"#);
        let (text, exit) = linted(&twice);
        assert_eq!(
            text,
            "p.json:1:72: suggestion: `s3:Get*` is part of `s3:*` [redundant-action]\n"
        );
        assert_eq!(exit, Exit::Ok);
        assert_eq!(linted("{").1, Exit::Error);
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("p.json");
        let max = usize::try_from(FILE_BYTES_MAX).unwrap();
        std::fs::write(&file, " ".repeat(max)).unwrap();
        assert_eq!(read(&file).unwrap().len(), max);
        std::fs::write(&file, " ".repeat(max + 1)).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("is over the limit of 524288 bytes"));
        assert!(read(directory.path()).is_err());
    }
}
