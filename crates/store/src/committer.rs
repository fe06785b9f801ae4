//! The thread that owns all writing.
//!
//! **Invariants.** A `Done` hears of success only after its batch is applied, synced and marked.
//! Every `Done` is called once, in the order of submission. After the first failure nothing is
//! acknowledged and nothing written, not even a high-water mark.
//!
//! **Must not know:** where the directory's files are, other than through its parts.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Committed, Done, Error,
    engine::{Engine, guarded, restrict},
    frame::State,
    manifest::{HighWater, Manifest, MarkFile, StoreIdentity},
    plan::Plan,
    queue::{Next, Submission},
    store::Shared,
};

/// A manifest is written this long after the log moved, at the latest.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// Or after this many transactions.
const CHECKPOINT_RECORDS: u64 = 1000;

/// What the thread owns.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    dir: PathBuf,
    identity: StoreIdentity,
    mark_file: MarkFile,
    state: State,
    checkpoint: HighWater,
    checkpoint_at: Instant,
}

impl Committer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        dir: PathBuf,
        identity: StoreIdentity,
        mark_file: MarkFile,
        state: State,
    ) -> Self {
        let checkpoint = HighWater::of(&state);
        let checkpoint_at = Instant::now();
        Self { shared, dir, identity, mark_file, state, checkpoint, checkpoint_at }
    }

    /// Commits until the queue is closed and empty, or something fails, even by a bug here: nobody
    /// may wait for a thread that is gone.
    pub(crate) fn run(self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        guarded("committing", || self.run_unguarded()).inspect_err(|error| {
            tracing::error!(%error, "the store failed and acknowledges nothing any more");
            poison(&shared, error, Vec::new());
        })
    }

    fn run_unguarded(mut self) -> Result<(), Error> {
        loop {
            let idle_after = self.moved().then_some(CHECKPOINT_EVERY);
            let outcome = match self.shared.queue.next(idle_after) {
                Next::Closed => return self.close(),
                Next::Idle => self.write_checkpoint(),
                Next::Commit(submissions) => self.commit_all(submissions),
            };
            outcome?;
            if self.is_due() {
                self.write_checkpoint()?;
            }
        }
    }

    fn commit_all(&mut self, submissions: Vec<Submission>) -> Result<(), Error> {
        let (batches, dones): (Vec<_>, Vec<_>) =
            submissions.into_iter().map(|Submission { batch, done, .. }| (batch, done)).unzip();
        let committed = match self.commit(&batches) {
            Ok(committed) => committed,
            Err(error) => {
                poison(&self.shared, &error, dones);
                return Err(error);
            }
        };
        dones.into_iter().for_each(|done| call(done, Ok(committed)));
        Ok(())
    }

    fn commit(&mut self, batches: &[crate::Batch]) -> Result<Committed, Error> {
        let trim_upto_max = self.shared.with_snapshots(|snapshots| snapshots.in_all());
        let state = self.shared.with_engine_changing(|engine| {
            let mut plan = Plan::new(engine, self.state.clone(), trim_upto_max);
            batches.iter().try_for_each(|batch| plan.add(batch))?;
            let (batch, state) = plan.finish()?;
            engine.apply(batch)?;
            Ok(state)
        })?;
        self.shared.with_engine(Engine::sync)?;
        self.mark_file.write(&HighWater::of(&state))?;
        self.state = state;
        self.shared.publish(&self.state);
        Ok(Committed { commit: self.state.commit, last_lsn: self.state.last_lsn })
    }

    fn moved(&self) -> bool {
        self.checkpoint.commit != self.state.commit
    }

    fn is_due(&self) -> bool {
        let records = self.state.last_lsn - self.checkpoint.lsn;
        let elapsed = self.checkpoint_at.elapsed();
        self.moved() && (records >= CHECKPOINT_RECORDS || elapsed >= CHECKPOINT_EVERY)
    }

    fn write_checkpoint(&mut self) -> Result<(), Error> {
        let high_water = HighWater::of(&self.state);
        self.mark_file.sync()?;
        Manifest { identity: self.identity.clone(), high_water: high_water.clone() }
            .write(&self.dir)?;
        restrict(&self.dir)?;
        self.checkpoint = high_water;
        self.checkpoint_at = Instant::now();
        Ok(())
    }

    fn close(mut self) -> Result<(), Error> {
        if self.moved() { self.write_checkpoint() } else { Ok(()) }
    }
}

/// Poisons the queue before anyone hears of it: whoever asks then sees it.
fn poison(shared: &Shared, error: &Error, dones: Vec<Done>) {
    let cause = Arc::new(error.clone());
    let waiting = shared.queue.poison(Arc::clone(&cause));
    let waiting = waiting.into_iter().map(|submission| submission.done);
    for done in dones.into_iter().chain(waiting) {
        call(done, Err(Error::Poisoned(Arc::clone(&cause))));
    }
}

/// A caller's panic must not keep the others from hearing what became of their writes.
fn call(done: Done, result: Result<Committed, Error>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("the receiver of a commit's outcome panicked");
    }
}
