//! Why nothing was measured.
//!
//! **Must not know:** what was to be measured.

use std::path::PathBuf;

use thiserror::Error;

/// What ends a run.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no program to measure.
    #[error("`{0}` is missing: run `cargo build --release`, or set WRIT_BIN")]
    NoProgram(PathBuf),
    /// `writ dev` ended or did not get ready.
    #[error("the cluster did not start; it printed:\n{0}")]
    NotStarted(String),
    /// No ports are left for a cluster.
    #[error("no block of free ports")]
    NoPorts,
    /// What the cluster says of itself cannot be read.
    #[error("`{0}` is not what was expected: {1}")]
    Description(PathBuf, String),
    /// A file or a socket failed.
    #[error("cannot {0}: {1}")]
    Io(&'static str, std::io::Error),
    /// The engine of the floor failed.
    #[error("the floor cannot be measured: {0}")]
    Sled(#[from] sled::Error),
    /// A thread or a task failed.
    #[error("a task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// An HTTP exchange broke.
    #[error("HTTP to a node failed: {0}")]
    Http(#[from] hyper::Error),
    /// A request could not be signed.
    #[error("cannot sign: {0}")]
    Sign(aws_api::sigv4::AuthError),
    /// A node refused what it should have done.
    #[error("a node answered {status}:\n{body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// An acknowledgement without a token cannot be waited for.
    #[error("a reply carries no consistency token")]
    NoToken,
    /// No gRPC connection.
    #[error(transparent)]
    Connect(#[from] rpc::client::ConnectError),
    /// A gRPC call failed.
    #[error("a call failed: {} ({})", .0.message(), .0.code())]
    Status(Box<tonic::Status>),
    /// A wait ended without its change being everywhere.
    #[error("a change did not propagate: {0}")]
    NotPropagated(String),
    /// The compiled policies and the interpreter decided differently.
    #[error("the engines disagree on request {request} at {statements} statements")]
    Disagreement {
        /// Its number in the row.
        request: usize,
        /// Of each principal.
        statements: u64,
    },
    /// A check was decided wrongly.
    #[error("a check that must be allowed was not")]
    WronglyDenied,
    /// The floor's server cannot be set up.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The floor's server failed.
    #[error("the floor's server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The history that is measured could not be made or taken in.
    #[error("the history: {0}")]
    History(String),
    /// What should have come about did not.
    #[error("waited too long: {0}")]
    TooLate(String),
    /// A store of records could not be used.
    #[error("the store: {0}")]
    Store(#[from] store::Error),
    /// `writ` refused an operator.
    #[error("`writ` ended with: {0}")]
    Operator(String),
    /// The report could not be written as JSON.
    #[error("cannot write the report: {0}")]
    Report(#[from] serde_json::Error),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}
