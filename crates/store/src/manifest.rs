//! What is known about the store outside sled: MANIFEST (whose it is, its format, its high-water
//! mark) and MARK (the same high-water mark, after every commit).
//!
//! sled opens a shortened file as if the lost records had never been, so what it must have is kept
//! elsewhere. MANIFEST is replaced whole (temporary name, fsync, rename, fsync of the directory),
//! about once a second. MARK has two slots written in turn after each commit's sync and before its
//! acknowledgement, without a sync of their own: that survives a killed process and tells a
//! shortened log to the last acknowledged commit, and after a power cut MARK is at worst as old
//! as MANIFEST, which is written together with a sync of MARK. A sync of MARK for each commit would
//! double the syncs and buy only the detection, after a power cut, of a disk that lost what it
//! had confirmed as synced during the last second.
//!
//! **Invariants.** A mark never runs ahead of what is synced in sled. Both files carry a check.
//!
//! **Must not know:** sled, the records.

use std::{
    fmt::{self, Write as _},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

use sha2::{Digest, Sha256};

use crate::{
    Error,
    frame::{ChainHash, State},
};

/// The format of the data directory as a whole.
pub(crate) const FORMAT: u32 = 1;
/// Characters of a cluster id.
pub const CLUSTER_ID_CHARACTERS_MAX: usize = 128;

const MANIFEST: &str = "MANIFEST";
const MANIFEST_TEMPORARY: &str = "MANIFEST.new";
const MANIFEST_BYTES_MAX: u64 = 4096;
const MARK: &str = "MARK";

/// Whose data a directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The cluster: 1 to `CLUSTER_ID_CHARACTERS_MAX` visible ASCII characters.
    pub cluster_id: String,
    /// The node, a number that is never used again.
    pub node_id: u32,
}

impl fmt::Display for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster `{}`", self.node_id, self.cluster_id)
    }
}

impl StoreIdentity {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let visible = self.cluster_id.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (1..=CLUSTER_ID_CHARACTERS_MAX).contains(&self.cluster_id.len()) {
            Ok(())
        } else {
            Err(Error::InvalidIdentity { max: CLUSTER_ID_CHARACTERS_MAX })
        }
    }
}

/// What the store had at some moment, and so must have at every later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HighWater {
    /// Commits.
    pub(crate) commit: u64,
    /// The last transaction.
    pub(crate) lsn: u64,
    /// Its chained hash.
    pub(crate) hash: ChainHash,
}

impl HighWater {
    pub(crate) fn of(state: &State) -> Self {
        Self { commit: state.commit, lsn: state.last_lsn, hash: state.hash }
    }
}

/// MANIFEST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) identity: StoreIdentity,
    pub(crate) high_water: HighWater,
}

impl Manifest {
    fn to_text(&self) -> String {
        let Self { identity, high_water: HighWater { commit, lsn, hash } } = self;
        let StoreIdentity { cluster_id, node_id } = identity;
        let mut text = format!(
            "writ data directory\nformat {FORMAT}\ncluster {cluster_id}\nnode {node_id}\n\
             commit {commit}\nlsn {lsn}\nhash {}\n",
            hex(hash)
        );
        let check = hex(&Sha256::digest(&text));
        writeln!(text, "check {check}").expect("a string takes every text");
        text
    }

    fn from_text(text: &str) -> Result<Self, Error> {
        let damaged = || Error::damaged("MANIFEST is not what was written");
        // The format comes first: another format may differ in everything behind it.
        let mut lines = text.lines();
        if lines.next() != Some("writ data directory") {
            return Err(damaged());
        }
        let format = field(lines.next(), "format").ok_or_else(damaged)?;
        if format != FORMAT.to_string() {
            return Err(Error::WrongFormat { found: format.into(), supported: FORMAT });
        }
        let mut parsed = || {
            let cluster_id = field(lines.next(), "cluster")?.to_owned();
            let node_id = field(lines.next(), "node")?.parse().ok()?;
            let commit = field(lines.next(), "commit")?.parse().ok()?;
            let lsn = field(lines.next(), "lsn")?.parse().ok()?;
            let hash = unhex(field(lines.next(), "hash")?)?;
            let high_water = HighWater { commit, lsn, hash };
            Some(Self { identity: StoreIdentity { cluster_id, node_id }, high_water })
        };
        let manifest: Self = parsed().ok_or_else(damaged)?;
        // Writing is deterministic, so the check and any surplus are compared in one go.
        if manifest.to_text() == text { Ok(manifest) } else { Err(damaged()) }
    }

    /// Reads a directory's manifest; `None` if it has none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join(MANIFEST);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("reading MANIFEST")(error)),
        };
        if length > MANIFEST_BYTES_MAX {
            return Err(Error::damaged("MANIFEST is not what was written"));
        }
        let bytes = fs::read(&path).map_err(Error::io("reading MANIFEST"))?;
        Self::from_text(&String::from_utf8_lossy(&bytes)).map(Some)
    }

    /// Replaces a directory's manifest; durable on return.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        let temporary = dir.join(MANIFEST_TEMPORARY);
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, dir.join(MANIFEST))?;
            sync_directory(dir)
        };
        write().map_err(Error::io("writing MANIFEST"))
    }
}

/// Makes the directory's entries durable.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn field<'a>(line: Option<&'a str>, name: &str) -> Option<&'a str> {
    line?.strip_prefix(name)?.strip_prefix(' ')
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every text");
        text
    })
}

fn unhex(text: &str) -> Option<ChainHash> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

/// MARK: two slots of `version u8 | commit u64 | lsn u64 | hash [16] | check [8]`, on two pages, so
/// that a torn write of one leaves the other.
pub(crate) struct MarkFile(File);

impl MarkFile {
    const SLOT_BYTES: usize = 1 + 8 + 8 + 16 + 8;
    const SLOT_DISTANCE: u64 = 4096;
    const VERSION: u8 = 1;

    /// Creates the file with both slots at the mark; synced.
    pub(crate) fn create(dir: &Path, mark: &HighWater) -> Result<Self, Error> {
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(dir.join(MARK))?;
            file.set_len(2 * Self::SLOT_DISTANCE)?;
            for slot in 0..2 {
                file.write_all_at(&Self::slot(mark), slot * Self::SLOT_DISTANCE)?;
            }
            file.sync_all()?;
            Ok(Self(file))
        };
        open().map_err(Error::io("creating MARK"))
    }

    /// Opens the file and reads the newer mark.
    pub(crate) fn open(dir: &Path) -> Result<(Self, HighWater), Error> {
        let file = match OpenOptions::new().read(true).write(true).open(dir.join(MARK)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::damaged("MARK is missing"));
            }
            Err(error) => return Err(Error::io("opening MARK")(error)),
        };
        let read = |slot: u64| {
            let mut bytes = [0; Self::SLOT_BYTES];
            file.read_exact_at(&mut bytes, slot * Self::SLOT_DISTANCE).ok()?;
            Self::parse(&bytes)
        };
        let newest = read(0).into_iter().chain(read(1)).max_by_key(|mark| mark.commit);
        let mark = newest.ok_or_else(|| Error::damaged("no slot of MARK is readable"))?;
        Ok((Self(file), mark))
    }

    /// Writes the slot that does not hold the newest mark.
    pub(crate) fn write(&self, mark: &HighWater) -> Result<(), Error> {
        let at = mark.commit % 2 * Self::SLOT_DISTANCE;
        self.0.write_all_at(&Self::slot(mark), at).map_err(Error::io("writing MARK"))
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.0.sync_data().map_err(Error::io("syncing MARK"))
    }

    fn slot(mark: &HighWater) -> Vec<u8> {
        let HighWater { commit, lsn, hash } = mark;
        let mut bytes = vec![Self::VERSION];
        bytes.extend(commit.to_be_bytes());
        bytes.extend(lsn.to_be_bytes());
        bytes.extend(hash);
        let digest = Sha256::digest(&bytes);
        bytes.extend(&digest[..8]);
        bytes
    }

    fn parse(bytes: &[u8; Self::SLOT_BYTES]) -> Option<HighWater> {
        let (version, rest) = bytes.split_first()?;
        let (commit, rest) = rest.split_first_chunk()?;
        let (lsn, rest) = rest.split_first_chunk()?;
        let (hash, _) = rest.split_first_chunk()?;
        let (commit, lsn) = (u64::from_be_bytes(*commit), u64::from_be_bytes(*lsn));
        let mark = HighWater { commit, lsn, hash: *hash };
        (*version == Self::VERSION && Self::slot(&mark) == bytes).then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn manifest() -> Manifest {
        let identity = StoreIdentity { cluster_id: "writ-test".into(), node_id: 7 };
        Manifest { identity, high_water: HighWater { commit: 3, lsn: 12, hash: [0xab; 16] } }
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match Manifest::from_text(text) {
            Ok(read) => format!("{}, {:x?}", read.identity, read.high_water.hash[0]),
            Err(Error::Damaged { what, .. }) => format!("damaged: {what}"),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn a_manifest_reads_back_and_anything_else_is_refused() {
        let text = manifest().to_text();
        assert_eq!(Manifest::from_text(&text).unwrap(), manifest());
        check(&text, expect!["node 7 of cluster `writ-test`, ab"]);
        check("", expect!["damaged: MANIFEST is not what was written"]);
        check(
            &text.replace("node 7", "node 8"),
            expect!["damaged: MANIFEST is not what was written"],
        );
        check(&format!("{text}more\n"), expect!["damaged: MANIFEST is not what was written"]);
        check(
            "writ data directory\nformat 2\nall else differs",
            expect!["the data directory has format `2`, this release reads format `1`"],
        );
    }

    #[test]
    fn cluster_ids_are_visible_and_limited() {
        let valid = |id: &str| StoreIdentity { cluster_id: id.into(), node_id: 1 }.check().is_ok();
        assert!(valid("a") && valid(&"x".repeat(CLUSTER_ID_CHARACTERS_MAX)));
        assert!(!valid(&"x".repeat(CLUSTER_ID_CHARACTERS_MAX + 1)));
        assert!(!valid("") && !valid("a b") && !valid("a\nb") && !valid("ä"));
    }

    #[test]
    fn a_torn_slot_leaves_the_mark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let mark = |commit| HighWater { commit, lsn: commit * 2, hash: [commit as u8; 16] };
        let file = MarkFile::create(dir.path(), &mark(0)).unwrap();
        file.write(&mark(1)).unwrap();
        file.write(&mark(2)).unwrap();
        assert_eq!(MarkFile::open(dir.path()).unwrap().1, mark(2));
        file.0.write_all_at(&[0xff; 3], 9).unwrap();
        assert_eq!(MarkFile::open(dir.path()).unwrap().1, mark(1));
        file.0.write_all_at(&[0xff; 3], MarkFile::SLOT_DISTANCE + 9).unwrap();
        let error = MarkFile::open(dir.path()).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}
