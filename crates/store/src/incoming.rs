//! Snapshots of peers: files that grow as their bytes come in, and name what they will be.
//!
//! `snapshots/<SHA-256 of all bytes, 64 hex digits>-<how many>.peer` holds the bytes that are there
//! as they are.
//!
//! **Invariants.** Such a file is whole only if it has the length and the hash that its name says:
//! whoever reads it checks that. Whoever says it is whole has synced it, and its directory.
//!
//! **Must not know:** what the bytes mean, who the peer is.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{Error, SnapshotHash, engine, manifest::sync_directory};

const EXTENSION: &str = "peer";
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 << 10;
/// Bytes after which what was written is synced: a power cut loses no more.
const SYNC_BYTES: u64 = 16 << 20;

/// A peer's snapshot of which something is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The SHA-256 of the whole.
    pub hash: SnapshotHash,
    /// The length of the whole.
    pub bytes: u64,
    /// How much is here, from its beginning.
    pub written: u64,
}

fn path_of(dir: &Path, hash: &SnapshotHash, bytes: u64) -> PathBuf {
    let mut name = String::new();
    for byte in hash {
        write!(name, "{byte:02x}").expect("a string takes every text");
    }
    dir.join(format!("{name}-{bytes}.{EXTENSION}"))
}

fn parse(path: &Path) -> Option<(SnapshotHash, u64)> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let (hash, bytes) = path.file_stem()?.to_str()?.split_once('-')?;
    let half = |half: &str| u128::from_str_radix(half, 16).ok().map(u128::to_be_bytes);
    let (first, second) = hash.split_at_checked(32).filter(|_| hash.len() == 64)?;
    let hash = [half(first)?, half(second)?].concat().try_into().ok()?;
    Some((hash, bytes.parse().ok()?))
}

/// What is here of peers' snapshots.
pub(crate) fn list(dir: &Path) -> Result<Vec<Incoming>, Error> {
    let list = || {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Some((hash, bytes)) = parse(&entry.path()) {
                let written = entry.metadata()?.len().min(bytes);
                found.push(Incoming { hash, bytes, written });
            }
        }
        found.sort_unstable_by_key(|incoming| incoming.hash);
        Ok(found)
    };
    list().map_err(Error::io("looking for peers' snapshots"))
}

/// Writes a piece where it belongs: not behind a hole.
pub(crate) fn write(
    dir: &Path,
    (hash, bytes): (&SnapshotHash, u64),
    offset: u64,
    piece: &[u8],
) -> Result<u64, Error> {
    const DOING: &str = "writing a peer's snapshot";
    engine::check_free_space(dir)?;
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path_of(dir, hash, bytes))?;
        let upto = offset + piece.len() as u64;
        if offset > file.metadata()?.len() || upto > bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a piece behind a hole"));
        }
        file.write_all_at(piece, offset)?;
        if offset / SYNC_BYTES != upto / SYNC_BYTES {
            file.sync_data()?;
        }
        Ok(upto)
    };
    write().map_err(Error::io(DOING))
}

/// Makes a whole one durable; its bytes are not looked at.
pub(crate) fn sync(dir: &Path, hash: &SnapshotHash, bytes: u64) -> Result<(), Error> {
    let sync = || {
        File::open(path_of(dir, hash, bytes))?.sync_all()?;
        sync_directory(dir)
    };
    sync().map_err(Error::io("syncing a peer's snapshot"))
}

/// Gives all bytes, in order; what was given is good only if this does not fail.
pub(crate) fn read_all<E: From<Error>>(
    dir: &Path,
    hash: &SnapshotHash,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let doing = || Error::io("reading a peer's snapshot");
    let missing = || Error::damaged("a peer's snapshot that was joined is missing");
    let found = list(dir)?.into_iter().find(|incoming| incoming.hash == *hash);
    let Incoming { bytes, .. } = found.ok_or_else(missing)?;
    let mut file = File::open(path_of(dir, hash, bytes)).map_err(|error| doing()(error))?;
    let (mut hasher, mut left, mut buffer) = (Sha256::new(), bytes, vec![0; READ_BYTES]);
    loop {
        let read = file.read(&mut buffer).map_err(|error| doing()(error))?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        left = left.saturating_sub(read as u64);
        hasher.update(piece);
        each(piece)?;
    }
    let whole = left == 0 && SnapshotHash::from(hasher.finalize()) == *hash;
    let changed = || Error::damaged("a peer's snapshot is not what its name says");
    if whole { Ok(()) } else { Err(changed().into()) }
}

/// Removes all but those named.
pub(crate) fn keep(dir: &Path, hashes: &[SnapshotHash]) -> Result<(), Error> {
    for Incoming { hash, bytes, .. } in list(dir)? {
        if !hashes.contains(&hash) {
            let removed = fs::remove_file(path_of(dir, &hash, bytes));
            removed.map_err(Error::io("removing a peer's snapshot"))?;
        }
    }
    Ok(())
}
