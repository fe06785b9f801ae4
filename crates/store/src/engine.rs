//! sled, with what it takes to rely on it.
//!
//! One tree holds everything: sled's batches are atomic within a tree only, and one batch a commit
//! is what lets the state record vouch for all other records. Other hazards of 0.34.7 and their
//! cures: `flush` does not sync on Linux (own descriptor, `sync_data`); a crash while opening
//! leaves a `snap.*.generating` that is taken for a snapshot for ever after (removed first); a full
//! disk does the same (free space is checked); opening panics on some damage (`catch_unwind`);
//! space is reclaimed by the periodic flusher only (it stays on); values over a page go to files
//! that are never synced (`frame::PART_BYTES_MAX`).
//!
//! **Invariants.** Nothing in sled's API is called that is not guarded against panics where bytes
//! from the disk decide. `sync` returns only after the data is on the disk.
//!
//! **Must not know:** which records follow which.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::PermissionsExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error,
    frame::{self, State, Stem},
};

/// Bytes that must be free in the data directory for a store to be opened.
pub const FREE_BYTES_MIN: u64 = 64 << 20;

const TREE: &str = "records";
const DB_FILE: &str = "db";
const CACHE_BYTES: u64 = 32 << 20;
const FLUSH_EVERY_MS: u64 = 500;
const UNLOCK_WAIT_MAX: Duration = Duration::from_secs(5);
const UNLOCK_POLL: Duration = Duration::from_millis(5);

/// An open sled.
pub(crate) struct Engine {
    tree: sled::Tree,
    db: sled::Db,
    file: File,
    syncs: AtomicU64,
}

/// A record with its stem.
pub(crate) type Record = (Stem, Vec<u8>);

/// Runs what calls sled, so that its panics become errors.
pub(crate) fn guarded<T>(
    doing: &'static str,
    run: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Error::EnginePanic { doing, message: message.unwrap_or_default() })
    })
}

/// Whether the directory holds sled's file.
pub(crate) fn exists(dir: &Path) -> bool {
    dir.join(DB_FILE).exists()
}

/// Refuses a disk that is nearly full.
pub(crate) fn check_free_space(dir: &Path) -> Result<(), Error> {
    let stat = rustix::fs::statvfs(dir)
        .map_err(|errno| Error::io("reading the free space")(io::Error::from(errno)))?;
    enough(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn enough(free: u64) -> Result<(), Error> {
    if free < FREE_BYTES_MIN {
        return Err(Error::NoSpace { free, needed: FREE_BYTES_MIN });
    }
    Ok(())
}

/// Removes snapshots that sled had not finished. The one before is only removed after the new one
/// has its name, so nothing is lost.
pub(crate) fn remove_unfinished_snapshots(dir: &Path) -> Result<(), Error> {
    let remove = || {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                tracing::warn!(file = %name, "removing a snapshot that was not finished");
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    remove().map_err(Error::io("removing unfinished snapshots"))
}

/// Takes the files of the directory, which sled creates as the umask says, from all but the owner.
pub(crate) fn restrict(dir: &Path) -> Result<(), Error> {
    let restrict = || {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let set = entry.metadata().and_then(|metadata| {
                let mode = if metadata.is_dir() { 0o700 } else { 0o600 };
                if metadata.permissions().mode() & 0o777 == mode {
                    return Ok(());
                }
                fs::set_permissions(entry.path(), Permissions::from_mode(mode))
            });
            // sled removes and renames its snapshots meanwhile.
            set.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        }
        Ok(())
    };
    restrict().map_err(Error::io("restricting the data directory"))
}

/// Waits, for a limited time, until a sled that was closed in this process lets go of its file: its
/// threads may hold it a little longer than its `Db` lives. Nobody else has it: LOCK is ours.
fn wait_for_unlock(dir: &Path) -> Result<(), Error> {
    const DOING: &str = "waiting for the storage engine to let go of its file";
    let file = match File::open(dir.join(DB_FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(DOING)(error)),
    };
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if since.elapsed() < UNLOCK_WAIT_MAX => {
                thread::sleep(UNLOCK_POLL);
            }
            Err(error) => return Err(Error::io(DOING)(error.into())),
        }
    }
}

impl Engine {
    /// Opens the directory's sled, or creates one.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        const DOING: &str = "opening the storage engine";
        wait_for_unlock(dir)?;
        remove_unfinished_snapshots(dir)?;
        let (db, tree) = guarded(DOING, || {
            let config = sled::Config::new()
                .path(dir)
                .mode(sled::Mode::LowSpace)
                .cache_capacity(CACHE_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .use_compression(false);
            let db = config.open().map_err(Error::engine(DOING))?;
            let tree = db.open_tree(TREE).map_err(Error::engine(DOING))?;
            Ok((db, tree))
        })?;
        let file = File::open(dir.join(DB_FILE)).map_err(Error::io(DOING))?;
        restrict(dir)?;
        Ok(Self { tree, db, file, syncs: AtomicU64::new(0) })
    }

    /// Makes changes, all or none. They are durable after `sync`.
    pub(crate) fn apply(&self, batch: sled::Batch) -> Result<(), Error> {
        const DOING: &str = "writing to the storage engine";
        guarded(DOING, || self.tree.apply_batch(batch).map_err(Error::engine(DOING)))
    }

    /// Brings everything applied onto the disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        const DOING: &str = "syncing the storage engine";
        guarded(DOING, || self.db.flush().map_err(Error::engine(DOING)).map(|_| ()))?;
        self.file.sync_data().map_err(Error::io(DOING))?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Syncs of the file that succeeded since it was opened.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    /// One value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        const DOING: &str = "reading from the storage engine";
        guarded(DOING, || self.tree.get(key).map_err(Error::engine(DOING)))
    }

    /// The keys in a range, in order.
    pub(crate) fn keys(&self, range: std::ops::Range<Vec<u8>>) -> Result<Vec<sled::IVec>, Error> {
        const DOING: &str = "reading from the storage engine";
        guarded(DOING, || {
            let keys = self.tree.range(range).keys();
            keys.map(|key| key.map_err(Error::engine(DOING))).collect()
        })
    }

    /// Gives every key and value in order, until one is refused.
    pub(crate) fn walk(
        &self,
        range: std::ops::Range<Vec<u8>>,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const DOING: &str = "reading from the storage engine";
        guarded(DOING, || {
            for pair in self.tree.range(range) {
                let (key, value) = pair.map_err(Error::engine(DOING))?;
                each(&key, &value)?;
            }
            Ok(())
        })
    }

    /// The state record; `None` in a sled that was just created.
    pub(crate) fn state(&self) -> Result<Option<State>, Error> {
        let parse = |bytes: sled::IVec| {
            State::from_bytes(&bytes)
                .map_err(|error| Error::damaged(format!("the state record: {error}")))
        };
        self.get(&State::key())?.map(parse).transpose()
    }

    /// A record put together and checked; `None` if it has no parts.
    pub(crate) fn record(&self, stem: &Stem) -> Result<Option<Vec<u8>>, Error> {
        let mut assembler = Assembler::default();
        let mut found = None;
        self.walk(stem.parts(), |key, value| {
            if let Some((_, body)) = assembler.push(key, value)? {
                found = Some(body);
            }
            Ok(())
        })?;
        assembler.finish()?;
        Ok(found)
    }
}

/// Puts records together from their parts as they come by in key order.
#[derive(Default)]
pub(crate) struct Assembler {
    pending: Option<Pending>,
}

struct Pending {
    stem: Stem,
    frame: Vec<u8>,
    parts: u32,
    next: u32,
}

impl Assembler {
    /// Takes the next part; gives the record that it completes.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Record>, Error> {
        let (stem, part) =
            Stem::split(key).ok_or_else(|| Error::damaged("a key of no known form"))?;
        let pending = match self.pending.take() {
            None if part == 0 => {
                let parts = frame::part_count(value).map_err(|error| broken(&stem, &error))?;
                Pending { stem, frame: value.to_vec(), parts, next: 1 }
            }
            Some(mut pending) if pending.stem == stem && pending.next == part => {
                pending.frame.extend(value);
                pending.next += 1;
                pending
            }
            None => return Err(broken(&stem, &frame::FrameError::Length)),
            Some(pending) => return Err(broken(&pending.stem, &frame::FrameError::Length)),
        };
        if pending.next < pending.parts {
            self.pending = Some(pending);
            return Ok(None);
        }
        let Pending { stem, frame, .. } = pending;
        let body = frame::open(&stem, frame).map_err(|error| broken(&stem, &error))?;
        Ok(Some((stem, body)))
    }

    /// After the last part: nothing may be left half.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.pending {
            None => Ok(()),
            Some(pending) => Err(broken(&pending.stem, &frame::FrameError::Length)),
        }
    }
}

/// The error for a record that does not open.
pub(crate) fn broken(stem: &Stem, error: &frame::FrameError) -> Error {
    Error::damaged(format!("{stem}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_refused_one_byte_under_the_limit() {
        assert!(enough(FREE_BYTES_MIN).is_ok());
        let error = enough(FREE_BYTES_MIN - 1).unwrap_err();
        assert!(matches!(error, Error::NoSpace { free, .. } if free == FREE_BYTES_MIN - 1));
    }

    #[test]
    fn parts_that_are_missing_doubled_or_foreign_are_damage() {
        let stem = Stem::number(frame::Space::Transactions, 1);
        let parts = frame::seal(&stem, &[&[7; 3 * frame::PART_BYTES_MAX]]);
        let read = |order: &[usize]| {
            let mut assembler = Assembler::default();
            let mut records = 0;
            for at in order {
                let (key, value) = &parts[*at];
                records += usize::from(assembler.push(key, value)?.is_some());
            }
            assembler.finish().map(|()| records)
        };
        assert_eq!(read(&[0, 1, 2, 3]).unwrap(), 1);
        for order in [&[0, 1, 2][..], &[1, 2, 3], &[0, 2, 3], &[0, 1, 1, 2], &[0, 1, 2, 3, 3]] {
            assert!(matches!(read(order), Err(Error::Damaged { .. })), "{order:?}");
        }
        assert!(Assembler::default().push(b"\x09odd", b"").is_err());
    }
}
