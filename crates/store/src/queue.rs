//! The submissions that wait for the committer.
//!
//! **Invariants.** At most `QUEUE_MAX` wait. They leave in the order they came. Every `Done` that
//! was taken in is handed out once; after closing or poisoning nothing is taken in.
//!
//! **Must not know:** what a commit does.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{Batch, Done, Error};

/// Submissions that may wait for the committer.
pub const QUEUE_MAX: usize = 1024;
/// Bytes of records after which a commit takes no further submission.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// One submission.
pub(crate) struct Submission {
    pub(crate) batch: Batch,
    pub(crate) bytes: usize,
    pub(crate) done: Done,
}

/// What the committer does next.
pub(crate) enum Next {
    /// Commit these together.
    Commit(Vec<Submission>),
    /// Nothing came within the time given.
    Idle,
    /// The queue is empty and nothing comes any more.
    Closed,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Submission>,
    closed: bool,
    poison: Option<Arc<Error>>,
}

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below leaves the contents whole, so a panic elsewhere spoils nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a submission in, or gives its `Done` back with the reason.
    pub(crate) fn push(&self, submission: Submission) -> Result<(), (Done, Error)> {
        let mut inner = self.lock();
        let refusal = match &inner.poison {
            Some(cause) => Some(Error::Poisoned(Arc::clone(cause))),
            None if inner.closed => Some(Error::Closed),
            None if inner.waiting.len() >= QUEUE_MAX => Some(Error::Busy),
            None => None,
        };
        if let Some(error) = refusal {
            return Err((submission.done, error));
        }
        inner.waiting.push_back(submission);
        self.changed.notify_all();
        Ok(())
    }

    /// All that waits, up to `COMMIT_BYTES_MAX`; waits for something to come.
    pub(crate) fn next(&self, idle_after: Option<Duration>) -> Next {
        let mut inner = self.lock();
        while inner.waiting.is_empty() {
            if inner.closed {
                return Next::Closed;
            }
            match idle_after {
                None => {
                    inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
                }
                Some(time) => {
                    let waited = self.changed.wait_timeout(inner, time);
                    let (guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    inner = guard;
                    if timeout.timed_out() && inner.waiting.is_empty() && !inner.closed {
                        return Next::Idle;
                    }
                }
            }
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < COMMIT_BYTES_MAX
            && let Some(submission) = inner.waiting.pop_front()
        {
            bytes += submission.bytes;
            taken.push(submission);
        }
        Next::Commit(taken)
    }

    /// Takes nothing in any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Takes nothing in any more, and gives back what waits.
    pub(crate) fn poison(&self, cause: Arc<Error>) -> Vec<Submission> {
        let mut inner = self.lock();
        inner.poison.get_or_insert(cause);
        inner.waiting.drain(..).collect()
    }

    /// Why the store failed, if it did.
    pub(crate) fn poisoned(&self) -> Option<Arc<Error>> {
        self.lock().poison.clone()
    }
}
