//! What can go wrong with the store.
//!
//! **Invariants.** No message carries a record's bytes: they may hold secrets. Whatever happens
//! after a submission was accepted poisons the store; only `Busy`, `Closed`, `TooLarge` and
//! `Trimmed` leave it usable.
//!
//! **Must not know:** what the records mean.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::StoreIdentity;

/// A refusal or failure of the store.
#[derive(Clone, Debug, Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{doing}")]
    Io {
        /// What the store was doing.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// sled refused.
    #[error("{doing}")]
    Engine {
        /// What the store was doing.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: sled::Error,
    },
    /// sled panicked, which it does on some damaged files.
    #[error("{doing}: the storage engine panicked: {message}")]
    EnginePanic {
        /// What the store was doing.
        doing: &'static str,
        /// The panic's message.
        message: String,
    },
    /// Another process, or another part of this one, has the directory open.
    #[error("data directory `{}` is in use by another process", dir.display())]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory has no manifest.
    #[error("`{}` is not a data directory: it has no MANIFEST", dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
    },
    /// A store cannot be created over another.
    #[error("`{}` already holds a store", dir.display())]
    Exists {
        /// The data directory.
        dir: PathBuf,
    },
    /// Written by a release with another format.
    #[error("the data directory has format `{found}`, this release reads format `{supported}`")]
    WrongFormat {
        /// The format named by the manifest.
        found: String,
        /// The newest format this release reads.
        supported: u32,
    },
    /// The directory belongs to another node or cluster.
    #[error("the data directory belongs to {found}, not to {expected}")]
    WrongNode {
        /// Who was to open it.
        expected: StoreIdentity,
        /// Whose it is.
        found: StoreIdentity,
    },
    /// The cluster id cannot be kept in a manifest.
    #[error("a cluster id has 1 to {max} visible ASCII characters")]
    InvalidIdentity {
        /// The most characters.
        max: usize,
    },
    /// Too little room to open the store safely: sled damages itself when a disk fills up.
    #[error("{free} bytes are free in the data directory, at least {needed} are needed")]
    NoSpace {
        /// Free bytes.
        free: u64,
        /// The least that will do.
        needed: u64,
    },
    /// What is on the disk is not all that was acknowledged, or not what was written.
    #[error("the store is damaged: {what}; {hint}")]
    Damaged {
        /// What is missing or wrong.
        what: String,
        /// What the operator does about it.
        hint: &'static str,
    },
    /// `QUEUE_MAX` submissions are waiting; nothing was changed.
    #[error("too many writes are waiting for the disk")]
    Busy,
    /// The store was closed; nothing was changed.
    #[error("the store is closed")]
    Closed,
    /// An earlier write failed. Nothing is acknowledged any more; the process has to exit.
    #[error("the store failed earlier and acknowledges nothing any more")]
    Poisoned(#[source] Arc<Error>),
    /// A record does not continue its log.
    #[error("{log} record {found} does not follow: {expected} is next")]
    NotNext {
        /// Which log.
        log: &'static str,
        /// The number that continues it.
        expected: u64,
        /// The number given.
        found: u64,
    },
    /// Larger than the store takes; nothing was changed.
    #[error("a {what} of {found} bytes or items is over the limit of {max}")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// Its size.
        found: usize,
        /// The largest allowed.
        max: usize,
    },
    /// The records asked for were trimmed; a snapshot has their effect.
    #[error("the log begins at {first}")]
    Trimmed {
        /// The first record still there.
        first: u64,
    },
}

/// What to do about a damaged store: its node may have shown others what it has lost, so it
/// must not write under its old name again.
pub(crate) const REJOIN: &str = "keep the directory for review, start with an empty one and let \
                                 the node rejoin as a new node id";

impl Error {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source: Arc::new(source) }
    }

    pub(crate) fn engine(doing: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |source| Self::Engine { doing, source }
    }

    /// While a store is opened, an engine that fails or panics over its bytes has met damage; one
    /// that was refused by the operating system has not.
    pub(crate) fn into_damage(self) -> Self {
        let over_its_bytes = match &self {
            Self::EnginePanic { .. } => true,
            Self::Engine { source: sled::Error::Io(error), .. } => {
                matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
            }
            Self::Engine { .. } => true,
            Self::Io { .. }
            | Self::InUse { .. }
            | Self::NotAStore { .. }
            | Self::Exists { .. }
            | Self::WrongFormat { .. }
            | Self::WrongNode { .. }
            | Self::InvalidIdentity { .. }
            | Self::NoSpace { .. }
            | Self::Damaged { .. }
            | Self::Busy
            | Self::Closed
            | Self::Poisoned(_)
            | Self::NotNext { .. }
            | Self::TooLarge { .. }
            | Self::Trimmed { .. } => false,
        };
        if !over_its_bytes {
            return self;
        }
        let cause = std::error::Error::source(&self).map(|cause| format!(": {cause}"));
        Self::damaged(format!("{self}{}", cause.unwrap_or_default()))
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), hint: REJOIN }
    }
}
