//! The operator's commands: `writ status`, `wait`, `check`, `access`, `policy`, `conflicts`,
//! `token`, `account`, `node`.
//!
//! **Invariants.** Results go to standard output, progress and errors to standard error; a
//! command's exit code is one of [`Exit`]. Secrets are shown only by the command that creates
//! them.
//!
//! **Must not know:** how a node works: it asks over gRPC, as any program can.

mod access;
mod admin;
mod arguments;
mod check;
mod conflicts;
pub mod context;
mod credentials;
mod duration;
mod environment;
mod exit;
mod node;
mod policy;
mod session;
mod status;
mod wait;

use std::io::Write;

pub use arguments::{Admin, Command, Common};
pub use environment::Environment;
pub use exit::{Error, Exit};
pub use session::CALL_WITHIN;
pub use status::{Known, known};

/// Where a command writes.
pub struct Output<'a> {
    /// Results.
    pub out: &'a mut (dyn Write + Send),
    /// Progress.
    pub progress: &'a mut (dyn Write + Send),
}

impl Output<'_> {
    fn result(&mut self, text: &str) -> Result<(), Error> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(Error::Output)
    }

    fn progress(&mut self, text: &str) -> Result<(), Error> {
        self.progress
            .write_all(text.as_bytes())
            .and_then(|()| self.progress.flush())
            .map_err(Error::Output)
    }
}

/// Runs a command.
///
/// # Errors
/// When it could not be done; [`Error::exit`] tells the exit code.
pub async fn run(
    command: Command,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    match command {
        Command::Status(arguments) => status::run(arguments, environment, output).await,
        Command::Wait(arguments) => wait::run(arguments, environment, output).await,
        Command::Check(arguments) => check::run(arguments, environment, output).await,
        Command::Policy(command) => policy::run(command, output),
        Command::Access(command) => access::run(command, environment, output).await,
        Command::Conflicts(command) => conflicts::run(command, environment, output).await,
        Command::Token(command) => admin::token(command, environment, output).await,
        Command::Account(command) => admin::account(command, environment, output).await,
        Command::Node(command) => admin::node(command, environment, output).await,
    }
}
