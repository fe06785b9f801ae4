//! What the invariants are told.
//!
//! **Must not know:** which invariant listens to what.

use std::fmt;

use crdt::VersionVector;
use node::{ControlState, Scope, Stage, WaitOutcome};
use wire::{transaction::Transaction, v1};

use crate::host::Host;

/// A wait that a client began.
#[derive(Clone, Debug)]
pub struct Wait {
    /// Which host was asked.
    pub at: usize,
    /// What must be reached.
    pub token: VersionVector,
    /// By whom.
    pub scope: Scope,
    /// How far.
    pub stage: Stage,
    /// When it must end, by the host's clock, in milliseconds.
    pub deadline_ms: u64,
    /// The control state of the host when it was asked.
    pub control: ControlState,
}

/// Something has happened.
#[derive(Debug)]
pub enum Fact<'a> {
    /// A host started from its disk.
    Started {
        /// Which.
        at: usize,
    },
    /// A node applied a transaction and wants it written.
    Applied {
        /// Which host's.
        at: usize,
        /// What.
        transaction: &'a Transaction,
    },
    /// A node has joined a peer's snapshot.
    Joins {
        /// Which host's.
        at: usize,
        /// What the snapshot covers.
        covers: &'a VersionVector,
    },
    /// A client was told that its call is done.
    Acknowledged {
        /// By which host.
        at: usize,
        /// What its token covers.
        covers: &'a VersionVector,
    },
    /// A node sent a frame.
    Sent {
        /// From.
        from: usize,
        /// To.
        to: usize,
        /// On which stream.
        session: u64,
        /// What.
        frame: &'a v1::Frame,
    },
    /// A node was given a frame.
    Delivered {
        /// From.
        from: usize,
        /// To.
        to: usize,
        /// On which stream.
        session: u64,
        /// What.
        frame: &'a v1::Frame,
    },
    /// A node has handled an input.
    Handled {
        /// Which host's.
        at: usize,
    },
    /// A wait is over.
    WaitEnded {
        /// The wait.
        wait: &'a Wait,
        /// What the host's clock says, in milliseconds.
        clock_ms: u64,
        /// How it ended.
        outcome: &'a WaitOutcome,
    },
    /// A node says that something must never happen and did.
    Alarm {
        /// Which host's.
        at: usize,
        /// What.
        what: &'a str,
    },
    /// Every fault is over, and there was time enough to come right.
    Healed {
        /// Waits that have not ended.
        waits: usize,
    },
}

/// What the invariants see.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All hosts that ever were.
    pub hosts: &'a [Host],
    /// The control plane's newest state.
    pub control: &'a ControlState,
}

impl<'a> View<'a> {
    /// The hosts whose nodes were not removed, by index.
    pub fn present(self) -> impl Iterator<Item = (usize, &'a Host)> {
        let present = move |host: &Host| self.control.present().any(|entry| entry.node == host.id);
        self.hosts.iter().enumerate().filter(move |(_, host)| present(host))
    }
}

/// What was promised and is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The broken invariant.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
    /// When, in milliseconds from the beginning.
    pub at_ms: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, what, at_ms } = self;
        write!(f, "`{invariant}` is violated at {at_ms} ms: {what}")
    }
}
