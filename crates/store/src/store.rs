//! The store: opening, submitting, reading, closing.
//!
//! **Invariants.** One store has a directory open at a time. Readers see no transaction that is not
//! on the disk, and no half of a commit.
//!
//! **Must not know:** what the records mean; any other node.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    ops::{Bound, Deref, Range, RangeBounds},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Batch, Committed, Done, Error, LogRecord, StoreIdentity,
    committer::Committer,
    engine::{self, Assembler, Engine, broken},
    frame::{self, Space, State, Stem},
    incoming::{self, Incoming},
    manifest::{HighWater, Manifest, MarkFile, sync_directory},
    plan::number_range,
    queue::{Queue, Submission},
    snapshot::{SnapshotHash, SnapshotInfo, SnapshotReader, SnapshotWriter, Snapshots},
    verify::verify,
};

const LOCK: &str = "LOCK";
/// Transactions that `replay` reads at a time.
const REPLAY_RECORDS: usize = 1024;
const REPLAY_BYTES: usize = 4 << 20;

/// What the committer, the store and its handles share.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    engine: RwLock<Option<Engine>>,
    published: RwLock<State>,
    snapshots: RwLock<Snapshots>,
}

impl Shared {
    /// Runs with the engine, beside other readers.
    pub(crate) fn with_engine<T>(
        &self,
        run: impl FnOnce(&Engine) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // A panic under the lock changes nothing in it.
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine.as_ref().map_or(Err(Error::Closed), run)
    }

    /// Runs with the engine and without readers, who would see half of a change.
    pub(crate) fn with_engine_changing<T>(
        &self,
        run: impl FnOnce(&Engine) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let engine = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        engine.as_ref().map_or(Err(Error::Closed), run)
    }

    /// Runs with the snapshots.
    pub(crate) fn with_snapshots<T>(&self, run: impl FnOnce(&Snapshots) -> T) -> T {
        run(&self.snapshots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn with_snapshots_changing<T>(&self, run: impl FnOnce(&mut Snapshots) -> T) -> T {
        run(&mut self.snapshots.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a commit visible.
    pub(crate) fn publish(&self, state: &State) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = state.clone();
    }

    fn state(&self) -> State {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts since the store was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Commits since the store was created.
    pub commits: u64,
    /// Syncs of sled's file since it was opened, 0 once closed.
    pub syncs: u64,
}

/// An open store. Dropping it closes it and logs a failure to; `close` tells it.
pub struct Store {
    handle: StoreHandle,
    identity: StoreIdentity,
    committer: Option<JoinHandle<Result<(), Error>>>,
    // Released after the engine is.
    lock: Option<File>,
}

/// Submits to a store and reads from it, from any thread; outlives it harmlessly. Blocking: called
/// from blocking threads only, except `submit`, `last_lsn`, `first_lsn`, `raft_last_index` and
/// `poisoned`.
#[derive(Clone)]
pub struct StoreHandle {
    shared: Arc<Shared>,
}

impl Deref for Store {
    type Target = StoreHandle;

    fn deref(&self) -> &StoreHandle {
        &self.handle
    }
}

impl Store {
    /// Creates a store in a directory that has none; the directory is created if missing. What an
    /// interrupted creation left is taken over.
    pub fn create(dir: &Path, identity: StoreIdentity) -> Result<Self, Error> {
        identity.check()?;
        let mut builder = DirBuilder::new();
        let built = builder.recursive(true).mode(0o700).create(dir);
        built.map_err(Error::io("creating the data directory"))?;
        let lock = lock(dir)?;
        if Manifest::read(dir)?.is_some() {
            return Err(Error::Exists { dir: dir.into() });
        }
        engine::check_free_space(dir)?;
        let engine = Engine::open(dir)?;
        if engine.state()?.is_some_and(|state| state.commit > 0) {
            return Err(Error::damaged("MANIFEST is missing beside records"));
        }
        let state = State::empty();
        let mut batch = sled::Batch::default();
        batch.insert(State::key(), state.to_bytes());
        engine.apply(batch)?;
        engine.sync()?;
        let high_water = HighWater::of(&state);
        MarkFile::create(dir, &high_water)?;
        // The manifest is last: a directory without one was not created.
        Manifest { identity: identity.clone(), high_water }.write(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent).map_err(Error::io("creating the data directory"))?;
        }
        Self::start(dir, lock, engine, identity)
    }

    /// Opens a store, after everything in it was verified.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Self::open_checked(dir, |_| Ok(()))
    }

    /// Opens a store if it is this node's; nothing in another's directory is touched.
    pub fn open_expecting(dir: &Path, expected: &StoreIdentity) -> Result<Self, Error> {
        Self::open_checked(dir, |found| {
            if found == expected {
                return Ok(());
            }
            Err(Error::WrongNode { expected: expected.clone(), found: found.clone() })
        })
    }

    fn open_checked(
        dir: &Path,
        check: impl FnOnce(&StoreIdentity) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let not_a_store = || Error::NotAStore { dir: dir.into() };
        // Without a manifest there is nothing to lock: no file is left in a foreign directory.
        check(&Manifest::read(dir)?.ok_or_else(not_a_store)?.identity)?;
        let lock = lock(dir)?;
        let manifest = Manifest::read(dir)?.ok_or_else(not_a_store)?;
        engine::check_free_space(dir)?;
        if !engine::exists(dir) {
            return Err(Error::damaged("the file `db` is missing"));
        }
        MarkFile::open(dir)?;
        let engine = Engine::open(dir).map_err(Error::into_damage)?;
        Self::start(dir, lock, engine, manifest.identity)
    }

    /// Whose store a directory holds, without opening it; `None` if there is none.
    pub fn identity_of(dir: &Path) -> Result<Option<StoreIdentity>, Error> {
        Ok(Manifest::read(dir)?.map(|manifest| manifest.identity))
    }

    fn start(
        dir: &Path,
        lock: File,
        engine: Engine,
        identity: StoreIdentity,
    ) -> Result<Self, Error> {
        let (mark_file, mark) = MarkFile::open(dir)?;
        let manifest = Manifest::read(dir)?.ok_or_else(|| Error::NotAStore { dir: dir.into() })?;
        let found = Snapshots::find(dir)?;
        let wanted = Snapshots::lsns(&found.1).collect();
        let verified = verify(&engine, &[mark, manifest.high_water], &wanted);
        let (state, chain) = verified.map_err(Error::into_damage)?;
        let snapshots = Snapshots::connect(found, &state, &chain)?;
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            engine: RwLock::new(Some(engine)),
            published: RwLock::new(state.clone()),
            snapshots: RwLock::new(snapshots),
        });
        // The first checkpoint covers what the marks of a killed process left behind.
        let committer = Committer::new(
            Arc::clone(&shared),
            dir.to_path_buf(),
            identity.clone(),
            mark_file,
            state,
        );
        let committer = thread::Builder::new()
            .name("store-committer".into())
            .spawn(move || committer.run())
            .map_err(Error::io("starting the committer"))?;
        let handle = StoreHandle { shared };
        Ok(Self { handle, identity, committer: Some(committer), lock: Some(lock) })
    }

    /// Whose store this is.
    pub fn identity(&self) -> &StoreIdentity {
        &self.identity
    }

    /// A handle for other threads.
    pub fn handle(&self) -> StoreHandle {
        self.handle.clone()
    }

    /// Commits what waits, writes the manifest and lets go of the directory. Handles that are left
    /// get `Error::Closed`.
    pub fn close(mut self) -> Result<(), Error> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), Error> {
        let Some(committer) = self.committer.take() else { return Ok(()) };
        self.shared.queue.close();
        let outcome = committer.join().unwrap_or_else(|_| {
            let message = "the committer panicked".into();
            Err(Error::EnginePanic { doing: "closing the store", message })
        });
        let engine = self.shared.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        let dropped = engine::guarded("closing the storage engine", || {
            drop(engine);
            Ok(())
        });
        self.lock = None;
        outcome.and(dropped)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::error!(%error, "the store did not close cleanly");
        }
    }
}

impl StoreHandle {
    /// Submits a batch; never blocks. `done` is called once: by the committer after the batch is on
    /// the disk, or with what went wrong. A refusal that changes nothing (`Busy` with `QUEUE_MAX`
    /// waiting, `Closed`, `Poisoned`, `TooLarge`) is told at once, on this thread. Whatever goes
    /// wrong later poisons the store.
    pub fn submit(&self, batch: impl Into<Batch>, done: Done) {
        let batch = batch.into();
        let pushed = match batch.measure() {
            Ok(bytes) => self.shared.queue.push(Submission { batch, bytes, done }),
            Err(error) => Err((done, error)),
        };
        if let Err((done, error)) = pushed {
            done(Err(error));
        }
    }

    /// Submits a batch and waits until it is on the disk. Never call it from a `Done`.
    pub fn submit_and_wait(&self, batch: impl Into<Batch>) -> Result<Committed, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(
            batch,
            Box::new(move |result| {
                // The receiver waits below, and a result nobody waits for is nobody's loss.
                drop(sender.send(result));
            }),
        );
        receiver.recv().unwrap_or(Err(Error::Closed))
    }

    /// Whether an earlier write failed; the process then has to exit.
    pub fn poisoned(&self) -> bool {
        self.shared.queue.poisoned().is_some()
    }

    /// The last transaction on the disk, 0 if there was none ever.
    pub fn last_lsn(&self) -> u64 {
        self.shared.state().last_lsn
    }

    /// The first transaction kept; `last_lsn() + 1` if none is.
    pub fn first_lsn(&self) -> u64 {
        self.shared.state().first_lsn
    }

    /// Counts, for metrics.
    pub fn stats(&self) -> Stats {
        let syncs = self.shared.with_engine(|engine| Ok(engine.syncs())).unwrap_or_default();
        Stats { commits: self.shared.state().commit, syncs }
    }

    /// Transactions from this one on: at most `records_max`, and no further one once `bytes_max` is
    /// reached (so at least one, if there is one and `records_max` is not 0). Each is checked.
    /// `Trimmed` if the first asked for is not kept.
    pub fn read_log(
        &self,
        from_lsn: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        self.shared.with_engine(|engine| {
            let mut found = Vec::new();
            let mut bytes = 0;
            let from_lsn = from_lsn.max(1);
            // A commit that was applied but not yet published may have trimmed further.
            let first = engine.state()?.map_or(0, |state| state.first_lsn);
            let last = self.shared.state().last_lsn;
            if from_lsn < first && first > 1 {
                return Err(Error::Trimmed { first });
            }
            for lsn in from_lsn..=last {
                if found.len() >= records_max || (bytes >= bytes_max && !found.is_empty()) {
                    break;
                }
                let stem = Stem::number(Space::Transactions, lsn);
                let missing = || broken(&stem, &frame::FrameError::Length);
                let body = engine.record(&stem)?.ok_or_else(missing)?;
                let (_, record) =
                    frame::split_transaction(&body).map_err(|error| broken(&stem, &error))?;
                bytes += record.len();
                found.push((lsn, Arc::from(record)));
            }
            Ok(found)
        })
    }

    /// Gives every transaction kept, in order.
    pub fn replay(&self, mut each: impl FnMut(u64, Arc<[u8]>)) -> Result<(), Error> {
        let mut next = self.first_lsn();
        loop {
            let records = self.read_log(next, REPLAY_RECORDS, REPLAY_BYTES)?;
            let Some((last, _)) = records.last() else { return Ok(()) };
            next = last.saturating_add(1);
            records.into_iter().for_each(|(lsn, bytes)| each(lsn, bytes));
        }
    }

    /// The snapshots that are kept, newest first.
    pub fn snapshots(&self) -> Vec<SnapshotInfo> {
        self.shared.with_snapshots(|snapshots| snapshots.kept().collect())
    }

    /// How long ago the newest snapshot was written, as the wall clock tells.
    pub fn snapshot_age(&self) -> Option<Duration> {
        self.shared.with_snapshots(Snapshots::age)
    }

    /// Reads a snapshot; `None` if there is none of that name any more.
    pub fn snapshot(&self, hash: &SnapshotHash) -> Option<SnapshotReader> {
        self.shared.with_snapshots(|snapshots| snapshots.reader(hash))
    }

    /// Begins a snapshot that has the effect of the log up to a transaction that is on the disk and
    /// in the log. One is written at a time.
    pub fn begin_snapshot(&self, lsn: u64) -> Result<SnapshotWriter, Error> {
        let chain = self.shared.with_engine(|engine| {
            let state = self.shared.state();
            if lsn.saturating_add(1) == state.first_lsn {
                return Ok(state.base);
            }
            let stem = Stem::number(Space::Transactions, lsn);
            let missing = || broken(&stem, &frame::FrameError::Length);
            let published = (lsn <= state.last_lsn).then_some(()).ok_or_else(missing);
            let body = published.and(engine.record(&stem)?.ok_or_else(missing))?;
            Ok(frame::split_transaction(&body).map_err(|error| broken(&stem, &error))?.0)
        })?;
        self.shared.with_snapshots(|snapshots| snapshots.begin(lsn, chain))
    }

    /// Keeps a written snapshot; it is on the disk on return. The oldest is let go of.
    pub fn commit_snapshot(&self, writer: SnapshotWriter) -> Result<SnapshotInfo, Error> {
        self.shared.with_snapshots_changing(|snapshots| snapshots.commit(writer))
    }

    /// What is here of peers' snapshots.
    pub fn incoming(&self) -> Result<Vec<Incoming>, Error> {
        incoming::list(&self.snapshots_dir())
    }

    /// Writes a piece of a peer's snapshot, named by the hash and the length of the whole, behind
    /// what is there of it. Everything before what this gives is written then.
    pub fn write_incoming(
        &self,
        hash: &SnapshotHash,
        bytes: u64,
        offset: u64,
        piece: &[u8],
    ) -> Result<u64, Error> {
        incoming::write(&self.snapshots_dir(), (hash, bytes), offset, piece)
    }

    /// Makes a peer's snapshot durable. What it holds is checked by `read_incoming`.
    pub fn sync_incoming(&self, hash: &SnapshotHash, bytes: u64) -> Result<(), Error> {
        incoming::sync(&self.snapshots_dir(), hash, bytes)
    }

    /// Gives all bytes of a peer's snapshot, in order; what was given is good only if this does not
    /// fail.
    pub fn read_incoming<E: From<Error>>(
        &self,
        hash: &SnapshotHash,
        each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        incoming::read_all(&self.snapshots_dir(), hash, each)
    }

    /// Removes all peers' snapshots but those named.
    pub fn keep_incoming(&self, hashes: &[SnapshotHash]) -> Result<(), Error> {
        incoming::keep(&self.snapshots_dir(), hashes)
    }

    fn snapshots_dir(&self) -> PathBuf {
        self.shared.with_snapshots(Snapshots::dir)
    }

    /// Puts a snapshot aside whose bytes turned out to be damaged.
    pub fn put_snapshot_aside(&self, lsn: u64) -> Result<(), Error> {
        self.shared.with_snapshots_changing(|snapshots| snapshots.put_aside(lsn))
    }

    /// The Raft entries in a range. They may be ahead of the disk by the commit under way: who
    /// must not see that waits for its `Done`, as openraft does.
    pub fn raft_log_range(
        &self,
        range: impl RangeBounds<u64>,
    ) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let Range { start, end } = bounds(&range);
        if start >= end {
            return Ok(Vec::new());
        }
        self.shared.with_engine(|engine| {
            let mut assembler = Assembler::default();
            let mut entries = Vec::new();
            engine.walk(number_range(Space::RaftLog, start..end), |key, value| {
                if let Some((stem, body)) = assembler.push(key, value)? {
                    entries.push((stem.as_number().unwrap_or_default(), body));
                }
                Ok(())
            })?;
            assembler.finish()?;
            Ok(entries)
        })
    }

    /// The index of the last Raft entry on the disk.
    pub fn raft_last_index(&self) -> Option<u64> {
        let raft = self.shared.state().raft;
        if raft.is_empty() { None } else { raft.end.checked_sub(1) }
    }

    /// A named value of Raft.
    pub fn raft_meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.shared.with_engine(|engine| engine.record(&Stem::name(name)))
    }
}

/// Raft entries have indexes below `u64::MAX`.
fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

fn lock(dir: &Path) -> Result<File, Error> {
    const DOING: &str = "locking the data directory";
    let path: PathBuf = dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(Error::io(DOING))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.into());
            Err(Error::InUse { dir })
        }
        Err(TryLockError::Error(error)) => Err(Error::io(DOING)(error)),
    }
}
