//! How a command ends: its exit code, and the error it ends with.
//!
//! **Invariants.** The codes are for scripts and never change their meaning.
//!
//! **Must not know:** the commands.

use thiserror::Error;
use tonic::{Code, Status};

/// A command's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `check`: allowed; for `wait`: propagated.
    Ok,
    /// It failed.
    Error,
    /// It was called wrongly.
    Usage,
    /// `wait`: the change is not everywhere (in time).
    NotPropagated,
    /// `check`: denied.
    Denied,
    /// No node could be reached, or none can answer for now.
    Unavailable,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotPropagated => 3,
            Self::Denied => 4,
            Self::Unavailable => 7,
        }
    }
}

/// Why a command did not do what it should.
#[derive(Debug, Error)]
pub enum Error {
    /// The context, credentials or arguments do not suffice.
    #[error("{0}")]
    Usage(String),
    /// Nobody answered.
    #[error("no node answered: {0}")]
    Unreachable(String),
    /// A node refused.
    #[error("{}", status_text(.0))]
    Refused(Status),
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Output(std::io::Error),
}

impl Error {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Unreachable(_) => Exit::Unavailable,
            Self::Refused(status) if is_unavailable(status) => Exit::Unavailable,
            Self::Refused(_) | Self::Output(_) => Exit::Error,
        }
    }
}

/// Whether another node, or the same one later, may answer.
pub(crate) fn is_unavailable(status: &Status) -> bool {
    [Code::Unavailable, Code::DeadlineExceeded].contains(&status.code())
}

fn status_text(status: &Status) -> String {
    if status.message().is_empty() {
        return status.code().to_string();
    }
    status.message().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_an_error_and_an_outage_is_unavailable() {
        let exit = |status| Error::Refused(status).exit().code();
        assert_eq!(exit(Status::permission_denied("no")), 1);
        assert_eq!(exit(Status::unauthenticated("who?")), 1);
        assert_eq!(exit(Status::unavailable("later")), 7);
        assert_eq!(exit(Status::deadline_exceeded("late")), 7);
        assert_eq!(Error::Usage(String::new()).exit().code(), 2);
    }
}
