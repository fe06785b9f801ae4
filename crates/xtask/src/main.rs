//! `cargo xtask`: the workspace's checks from the command line.
//!
//! **Invariants.** Exit code 0 means no finding, 1 findings, 2 that the checks could not be made.
//!
//! **Must not know:** the rules; those are the library's.

use std::io::Write;
use std::process::ExitCode;

use xtask::Workspace;

const USAGE: &str = "\
usage: cargo xtask tidy           check crate edges, purity, files, words and nouns
       cargo xtask mutate [WORD]  break a copy in known ways, of which the name holds WORD, and see
                                  whether the tests notice; takes some minutes";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy(),
        ["mutate"] => mutate(""),
        ["mutate", word] => mutate(word),
        ["help" | "--help" | "-h"] => say(&[USAGE.to_owned()], ExitCode::SUCCESS),
        _ => say(&[USAGE.to_owned()], ExitCode::from(2)),
    }
}

fn tidy() -> ExitCode {
    match xtask::tidy(&Workspace::here()) {
        Ok(findings) if findings.is_empty() => ExitCode::SUCCESS,
        Ok(findings) => say(&findings, ExitCode::from(1)),
        Err(error) => say(&[error.to_string()], ExitCode::from(2)),
    }
}

fn mutate(word: &str) -> ExitCode {
    let mut told = |line: &str| {
        say(&[line.to_owned()], ExitCode::SUCCESS);
    };
    match xtask::mutate::run(&Workspace::here(), word, &mut told) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => say(&[error.to_string()], ExitCode::from(2)),
    }
}

/// Prints `lines`; a reader that went away is no reason to report another result.
fn say(lines: &[String], code: ExitCode) -> ExitCode {
    let mut out = std::io::stdout().lock();
    for line in lines {
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    code
}
