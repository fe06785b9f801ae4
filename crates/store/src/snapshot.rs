//! Snapshots: files of our own beside sled, each the effect of the log up to some transaction.
//!
//! ```text
//! file    snapshots/<lsn, 20 digits>.snap; <…>.new while it is written
//! header  "writ snapshot\n" | version u8 = 1 | lsn u64 | chained hash [16] of it | check [8]
//! piece   length u32 | bytes | check [8]          PIECE_BYTES each, but for the last
//! end     0 u32 | bytes of all pieces u64 | SHA-256 of them [32] | check [8]
//! check   SHA-256(header before its check | number of the piece u64 | bytes), its first 8 bytes
//! ```
//!
//! **Invariants.** A snapshot has its name only once it is whole and on the disk. What is torn, cut
//! off or changed is refused when it is met, never read as far as it goes. A snapshot that its log
//! does not go on from is damage. The newest two are kept.
//!
//! **Must not know:** what the bytes mean.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, engine,
    frame::{ChainHash, State},
    manifest::sync_directory,
};

/// Bytes of a piece: what is read and checked at a time.
pub const PIECE_BYTES: usize = 64 << 10;
/// Snapshots that are kept.
pub const SNAPSHOTS_KEPT: usize = 2;

const DIR: &str = "snapshots";
const MAGIC: &[u8] = b"writ snapshot\n";
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 8;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 8 + 16 + CHECK_BYTES;
const END_BYTES: usize = 4 + 8 + 32 + CHECK_BYTES;
const FRAMED_BYTES: u64 = (4 + PIECE_BYTES + CHECK_BYTES) as u64;
/// Pieces after which the free space is looked at again.
const PIECES_PER_LOOK: u64 = 256;

/// Names the bytes of a snapshot: their SHA-256.
pub type SnapshotHash = [u8; 32];

/// A snapshot that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// It has the effect of every transaction up to this one.
    pub lsn: u64,
    /// Its length.
    pub bytes: u64,
    /// Names its bytes.
    pub hash: SnapshotHash,
}

/// The header, without its check: what ties the pieces to their file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    lsn: u64,
    chain: ChainHash,
}

impl Header {
    fn to_bytes(&self) -> Vec<u8> {
        let Self { lsn, chain } = self;
        [MAGIC, &[VERSION], &lsn.to_be_bytes(), chain].concat()
    }

    fn sealed(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes();
        bytes.extend(self.check(u64::MAX, &[]));
        bytes
    }

    fn check(&self, number: u64, bytes: &[u8]) -> [u8; CHECK_BYTES] {
        let mut hash = Sha256::new();
        hash.update(self.to_bytes());
        hash.update(number.to_be_bytes());
        hash.update(bytes);
        let digest = hash.finalize();
        std::array::from_fn(|at| digest[at])
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&[VERSION])?;
        let (lsn, rest) = rest.split_first_chunk()?;
        let chain = rest.first_chunk()?;
        let header = Self { lsn: u64::from_be_bytes(*lsn), chain: *chain };
        (header.sealed() == bytes).then_some(header)
    }
}

fn damaged(lsn: u64) -> Error {
    Error::damaged(format!("the snapshot at transaction {lsn} is not what was written"))
}

fn path_of(dir: &Path, lsn: u64) -> PathBuf {
    dir.join(format!("{lsn:020}.snap"))
}

/// The snapshots' directory.
#[derive(Debug)]
pub(crate) struct Snapshots {
    dir: PathBuf,
    /// Newest first.
    kept: Vec<(SnapshotInfo, Arc<File>)>,
}

/// A snapshot file as it was found, before its log was asked about it.
pub(crate) struct Found {
    header: Header,
    info: SnapshotInfo,
    file: Arc<File>,
}

impl Snapshots {
    /// Looks into the directory; what an interrupted write left is removed, and what is no whole
    /// snapshot is put aside.
    pub(crate) fn find(data_dir: &Path) -> Result<(PathBuf, Vec<Found>), Error> {
        const DOING: &str = "looking for snapshots";
        let dir = data_dir.join(DIR);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(Error::io(DOING))?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::io(DOING))? {
            let path = entry.map_err(Error::io(DOING))?.path();
            let named = |extension| path.extension().is_some_and(|found| found == extension);
            if named("new") {
                tracing::warn!(path = %path.display(), "removing what was not finished");
                fs::remove_file(&path).map_err(Error::io(DOING))?;
            } else if named("snap") {
                match Self::look(&path).map_err(Error::io(DOING))? {
                    Some(snapshot) => found.push(snapshot),
                    None => {
                        tracing::error!(path = %path.display(), "a damaged snapshot is put aside");
                        let aside = path.with_extension("damaged");
                        fs::rename(&path, aside).map_err(Error::io(DOING))?;
                    }
                }
            }
        }
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.info.lsn));
        Ok((dir, found))
    }

    /// What a file says it is; `None` if it is not whole.
    fn look(path: &Path) -> io::Result<Option<Found>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let Some(end_at) = length.checked_sub(END_BYTES as u64) else { return Ok(None) };
        let (mut header, mut end) = ([0; HEADER_BYTES], [0; END_BYTES]);
        if end_at < HEADER_BYTES as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut header, 0)?;
        file.read_exact_at(&mut end, end_at)?;
        let parse = || {
            let header = Header::parse(&header)?;
            let (fields, check) = end.split_last_chunk::<CHECK_BYTES>()?;
            let (zeros, fields) = fields.split_first_chunk::<4>()?;
            let (bytes, hash) = fields.split_first_chunk::<8>()?;
            let bytes = u64::from_be_bytes(*bytes);
            let pieces = bytes.div_ceil(PIECE_BYTES as u64);
            let framed =
                bytes.checked_add(pieces.checked_mul(FRAMED_BYTES - PIECE_BYTES as u64)?)?;
            let whole = *zeros == [0; 4]
                && framed.checked_add(HEADER_BYTES as u64)? == end_at
                && *check == header.check(pieces, fields)
                && path.file_stem()?.to_str()? == format!("{:020}", header.lsn);
            let hash = hash.try_into().ok()?;
            let info = SnapshotInfo { lsn: header.lsn, bytes, hash };
            whole.then_some((header, info))
        };
        let file = Arc::new(file);
        Ok(parse().map(|(header, info)| Found { header, info, file }))
    }

    /// The lsns whose chained hashes decide about what was found.
    pub(crate) fn lsns(found: &[Found]) -> impl Iterator<Item = u64> {
        found.iter().map(|found| found.header.lsn)
    }

    /// Keeps those of what was found that the log goes on from.
    pub(crate) fn connect(
        (dir, found): (PathBuf, Vec<Found>),
        state: &State,
        chain: &BTreeMap<u64, ChainHash>,
    ) -> Result<Self, Error> {
        let mut kept = Vec::new();
        for Found { header: Header { lsn, chain: hash }, info, file } in found {
            if lsn > state.last_lsn {
                return Err(Error::damaged(format!(
                    "transactions {} to {lsn} are in a snapshot and missing in the log",
                    state.last_lsn.saturating_add(1)
                )));
            }
            if lsn.saturating_add(1) < state.first_lsn {
                tracing::warn!(lsn, "removing a snapshot that the log does not reach back to");
                fs::remove_file(path_of(&dir, lsn)).map_err(Error::io("removing a snapshot"))?;
            } else if chain.get(&lsn) == Some(&hash) {
                kept.push((info, file));
            } else {
                let what = format!("the snapshot at transaction {lsn} is of another log");
                return Err(Error::damaged(what));
            }
        }
        let mut snapshots = Self { dir, kept };
        snapshots.drop_old()?;
        if state.first_lsn > 1 && snapshots.kept.is_empty() {
            return Err(Error::damaged(format!(
                "the log begins at transaction {}, and there is no snapshot of those before",
                state.first_lsn
            )));
        }
        Ok(snapshots)
    }

    /// Where they lie.
    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// How old the newest is.
    pub(crate) fn age(&self) -> Option<Duration> {
        let (_, file) = self.kept.first()?;
        file.metadata().ok()?.modified().ok()?.elapsed().ok()
    }

    /// Those that are kept, newest first.
    pub(crate) fn kept(&self) -> impl Iterator<Item = SnapshotInfo> {
        self.kept.iter().map(|(info, _)| *info)
    }

    /// The transactions up to this one are in every snapshot that is kept; 0 if none is.
    pub(crate) fn in_all(&self) -> u64 {
        self.kept.last().map_or(0, |(info, _)| info.lsn)
    }

    pub(crate) fn reader(&self, hash: &SnapshotHash) -> Option<SnapshotReader> {
        let (info, file) = self.kept.iter().find(|(info, _)| info.hash == *hash)?;
        Some(SnapshotReader { info: *info, file: Arc::clone(file), header: None })
    }

    /// Begins to write one.
    pub(crate) fn begin(&self, lsn: u64, chain: ChainHash) -> Result<SnapshotWriter, Error> {
        SnapshotWriter::create(&self.dir, Header { lsn, chain })
    }

    /// Gives a written one its name, and lets go of those that are too old.
    pub(crate) fn commit(&mut self, writer: SnapshotWriter) -> Result<SnapshotInfo, Error> {
        let (info, file) = writer.finish()?;
        self.kept.retain(|(kept, _)| kept.lsn != info.lsn);
        self.kept.push((info, Arc::new(file)));
        self.kept.sort_unstable_by_key(|(info, _)| std::cmp::Reverse(info.lsn));
        self.drop_old()?;
        Ok(info)
    }

    /// Puts one aside whose bytes turned out to be damaged.
    pub(crate) fn put_aside(&mut self, lsn: u64) -> Result<(), Error> {
        let path = path_of(&self.dir, lsn);
        let renamed = fs::rename(&path, path.with_extension("damaged"));
        renamed.map_err(Error::io("putting a damaged snapshot aside"))?;
        self.kept.retain(|(kept, _)| kept.lsn != lsn);
        Ok(())
    }

    /// Who still reads one that goes holds its file open.
    fn drop_old(&mut self) -> Result<(), Error> {
        while self.kept.len() > SNAPSHOTS_KEPT
            && let Some((info, _)) = self.kept.pop()
        {
            let removed = fs::remove_file(path_of(&self.dir, info.lsn));
            removed.map_err(Error::io("removing an old snapshot"))?;
        }
        Ok(())
    }
}

/// A snapshot that is being written; dropping it leaves nothing.
pub struct SnapshotWriter {
    dir: PathBuf,
    header: Header,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    waiting: Vec<u8>,
    pieces: u64,
    bytes: u64,
    hash: Sha256,
}

impl SnapshotWriter {
    fn create(dir: &Path, header: Header) -> Result<Self, Error> {
        const DOING: &str = "creating a snapshot";
        engine::check_free_space(dir)?;
        let temporary = path_of(dir, header.lsn).with_extension("new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut file = BufWriter::new(options.open(&temporary).map_err(Error::io(DOING))?);
        file.write_all(&header.sealed()).map_err(Error::io(DOING))?;
        Ok(Self {
            dir: dir.to_owned(),
            header,
            temporary,
            file: Some(file),
            waiting: Vec::with_capacity(2 * PIECE_BYTES),
            pieces: 0,
            bytes: 0,
            hash: Sha256::new(),
        })
    }

    /// Of what the snapshot is.
    pub fn lsn(&self) -> u64 {
        self.header.lsn
    }

    /// The next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.waiting.extend(bytes);
        while self.waiting.len() >= PIECE_BYTES {
            let rest = self.waiting.split_off(PIECE_BYTES);
            let piece = std::mem::replace(&mut self.waiting, rest);
            self.piece(&piece)?;
        }
        Ok(())
    }

    fn piece(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.pieces.is_multiple_of(PIECES_PER_LOOK) {
            // A full disk would damage sled.
            engine::check_free_space(&self.dir)?;
        }
        let check = self.header.check(self.pieces, piece);
        self.put(&[&(piece.len() as u32).to_be_bytes(), piece, &check])?;
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        self.pieces += 1;
        Ok(())
    }

    fn put(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let put = parts.iter().try_for_each(|part| file.write_all(part));
        put.map_err(Error::io("writing a snapshot"))
    }

    fn finish(mut self) -> Result<(SnapshotInfo, File), Error> {
        const DOING: &str = "finishing a snapshot";
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.piece(&waiting)?;
        }
        let hash: SnapshotHash = self.hash.clone().finalize().into();
        let fields = [&self.bytes.to_be_bytes()[..], &hash].concat();
        let check = self.header.check(self.pieces, &fields);
        self.put(&[&[0; 4], &fields, &check])?;
        let info = SnapshotInfo { lsn: self.header.lsn, bytes: self.bytes, hash };
        let Some(file) = self.file.take() else { return Err(damaged(info.lsn)) };
        let finish = |file: BufWriter<File>| {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&self.temporary, path_of(&self.dir, info.lsn))?;
            sync_directory(&self.dir)?;
            Ok(file)
        };
        Ok((info, finish(file).map_err(Error::io(DOING))?))
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // What is left of it goes at the next start.
            let _left = fs::remove_file(&self.temporary);
        }
    }
}

impl fmt::Debug for SnapshotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Reads a snapshot, also one that is not kept any more meanwhile.
#[derive(Clone, Debug)]
pub struct SnapshotReader {
    info: SnapshotInfo,
    file: Arc<File>,
    header: Option<Header>,
}

impl SnapshotReader {
    /// Of what.
    pub fn info(&self) -> SnapshotInfo {
        self.info
    }

    /// The bytes from `offset` to the end of their piece, checked; empty at the end.
    pub fn read(&mut self, offset: u64) -> Result<Vec<u8>, Error> {
        if offset >= self.info.bytes {
            return Ok(Vec::new());
        }
        let header = match self.header.take() {
            Some(header) => header,
            None => self.read_header()?,
        };
        let (number, skip) = (offset / PIECE_BYTES as u64, offset % PIECE_BYTES as u64);
        let length = (self.info.bytes - number * PIECE_BYTES as u64).min(PIECE_BYTES as u64);
        let mut framed = vec![0; length as usize + 4 + CHECK_BYTES];
        self.read_at(&mut framed, HEADER_BYTES as u64 + number * FRAMED_BYTES)?;
        let piece = framed.get(4..framed.len() - CHECK_BYTES).unwrap_or_default();
        let check = framed.get(framed.len() - CHECK_BYTES..).unwrap_or_default();
        let said = framed.first_chunk().map(|length| u32::from_be_bytes(*length));
        if said != Some(length as u32) || check != header.check(number, piece) {
            return Err(damaged(self.info.lsn));
        }
        let bytes = piece.get(skip as usize..).unwrap_or_default().to_vec();
        self.header = Some(header);
        Ok(bytes)
    }

    /// Gives all bytes, in order; what was given is good only if this does not fail.
    pub fn read_all<E: From<Error>>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut offset, mut hash) = (0, Sha256::new());
        while offset < self.info.bytes {
            let bytes = self.read(offset)?;
            hash.update(&bytes);
            offset += bytes.len() as u64;
            each(&bytes)?;
        }
        let whole = SnapshotHash::from(hash.finalize()) == self.info.hash;
        if whole { Ok(()) } else { Err(damaged(self.info.lsn).into()) }
    }

    fn read_header(&self) -> Result<Header, Error> {
        let mut header = [0; HEADER_BYTES];
        self.read_at(&mut header, 0)?;
        Header::parse(&header).ok_or_else(|| damaged(self.info.lsn))
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<(), Error> {
        self.file.read_exact_at(bytes, at).map_err(|error| {
            let cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
            if cut_off { damaged(self.info.lsn) } else { Error::io("reading a snapshot")(error) }
        })
    }
}
