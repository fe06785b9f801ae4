//! Snapshots on a real disk: what has its name is whole, and what is not is not read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers too")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use store::{
    Error, Op, PIECE_BYTES, SNAPSHOTS_KEPT, SnapshotInfo, Store, StoreHandle, StoreIdentity,
};
use tempfile::TempDir;

#[test]
fn a_snapshot_reads_as_it_was_written() {
    for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 77] {
        let (dir, store) = filled(5);
        let bytes = sample(length);
        let info = write(&store, 3, &bytes);
        assert_eq!((info.lsn, info.bytes), (3, length as u64));
        assert_eq!(read(&store, &info).unwrap(), bytes);
        store.close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.snapshots(), [info]);
        assert_eq!(read(&store, &info).unwrap(), bytes);
        let mut reader = store.snapshot(&info.hash).unwrap();
        for at in [0, 1, length / 2, PIECE_BYTES.min(length), length, length + 1] {
            let piece = reader.read(at as u64).unwrap();
            assert!(bytes.get(at..).unwrap_or_default().starts_with(&piece));
            assert_eq!(piece.is_empty(), at >= length);
        }
    }
}

#[test]
fn the_newest_are_kept_and_one_that_goes_is_read_to_its_end() {
    let (dir, store) = filled(9);
    let oldest = write(&store, 1, &sample(200_000));
    let mut reader = store.snapshot(&oldest.hash).unwrap();
    assert_eq!(reader.read(0).unwrap().len(), PIECE_BYTES);
    for lsn in 2..=9 {
        write(&store, lsn, &lsn.to_be_bytes());
    }
    let kept: Vec<_> = store.snapshots().iter().map(|info| info.lsn).collect();
    assert_eq!(kept, [9, 8]);
    assert_eq!(files(dir.path()).len(), SNAPSHOTS_KEPT);
    assert!(store.snapshot(&oldest.hash).is_none());
    let mut bytes: Vec<u8> = Vec::new();
    reader
        .read_all(|piece| {
            bytes.extend(piece);
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(bytes, sample(200_000));
}

#[test]
fn what_was_not_finished_is_gone_and_what_is_dropped_leaves_nothing() {
    let (dir, store) = filled(5);
    let mut writer = store.begin_snapshot(4).unwrap();
    writer.write(&sample(100_000)).unwrap();
    let torn = files(dir.path());
    assert!(torn.iter().all(|path| path.extension().unwrap() == "new") && torn.len() == 1);
    let bytes = fs::read(&torn[0]).unwrap();
    drop(writer);
    assert_eq!(files(dir.path()).len(), 0);
    fs::write(&torn[0], bytes).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.snapshots().is_empty() && files(dir.path()).is_empty());
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let (dir, store) = filled(5);
    let content = sample(PIECE_BYTES + 40);
    write(&store, 3, &content);
    store.close().unwrap();
    let path = files(dir.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let good = match store.snapshots().as_slice() {
            [] => false,
            [info] => read(&store, info).is_ok(),
            _ => panic!("there is one"),
        };
        assert!(!good, "{what}");
        store.close().unwrap();
        files(dir.path()).iter().for_each(|path| fs::remove_file(path).unwrap());
    };
    // Every field, and a few bytes of the content.
    let ends =
        (0..60).chain(PIECE_BYTES - 3..PIECE_BYTES + 80).chain(whole.len() - 60..whole.len());
    for at in ends.clone().step_by(7) {
        refused(&whole[..at], &format!("cut at {at}"));
    }
    for at in ends.step_by(3) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        refused(&flipped, &format!("flipped at {at}"));
    }
    refused(&[&whole[..], b"more"].concat(), "surplus");
    fs::write(&path, &whole).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(read(&store, &store.snapshots()[0]).unwrap(), content);
}

#[test]
fn a_log_must_go_on_from_its_snapshot() {
    let (dir, store) = filled(5);
    write(&store, 3, b"three");
    store.submit_and_wait(Op::TrimLog { upto: 5 }).unwrap();
    assert_eq!(store.first_lsn(), 4);
    store.close().unwrap();
    let path = files(dir.path()).remove(0);
    let three = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        open(dir.path()),
        "the log begins at transaction 4, and there is no snapshot of those before"
    );
    // Another log's.
    let (other_dir, other) = filled(2);
    other.submit_and_wait(Op::Append(vec![(3, Arc::from(*b"other"))])).unwrap();
    write(&other, 3, b"three");
    fs::copy(files(other_dir.path()).remove(0), &path).unwrap();
    assert_eq!(open(dir.path()), "the snapshot at transaction 3 is of another log");
    // One that has more than the log.
    let (longer_dir, longer) = filled(9);
    write(&longer, 7, b"seven");
    fs::write(&path, three).unwrap();
    let seven = files(longer_dir.path()).remove(0);
    let beside = path.with_file_name(seven.file_name().unwrap());
    fs::copy(seven, &beside).unwrap();
    assert_eq!(open(dir.path()), "transactions 6 to 7 are in a snapshot and missing in the log");
    fs::remove_file(beside).unwrap();
    assert_eq!(Store::open(dir.path()).unwrap().snapshots().len(), 1);
}

#[test]
fn one_that_the_log_does_not_reach_back_to_is_removed() {
    let (dir, store) = filled(5);
    write(&store, 2, b"two");
    let two = files(dir.path()).remove(0);
    let bytes = fs::read(&two).unwrap();
    write(&store, 4, b"four");
    write(&store, 5, b"five");
    store.submit_and_wait(Op::TrimLog { upto: 4 }).unwrap();
    store.close().unwrap();
    fs::write(&two, bytes).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.snapshots().iter().map(|info| info.lsn).collect::<Vec<_>>(), [5, 4]);
    assert!(!two.exists());
    assert!(store.begin_snapshot(3).is_err() && store.begin_snapshot(6).is_err());
    assert!(store.begin_snapshot(4).is_ok() && store.begin_snapshot(5).is_ok());
}

#[test]
fn a_peer_s_snapshot_grows_is_checked_and_goes() {
    let (dir, store) = filled(1);
    let (content, other) = (sample(600_000), sample(10));
    let (hash, bytes) = (sha256(&content), content.len() as u64);
    assert_eq!(store.write_incoming(&hash, bytes, 0, &content[..400_000]).unwrap(), 400_000);
    assert!(store.write_incoming(&hash, bytes, 400_001, b"x").is_err(), "a hole");
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let there = store::Incoming { hash, bytes, written: 400_000 };
    assert_eq!(store.incoming().unwrap(), [there]);
    let read = || {
        let mut read: Vec<u8> = Vec::new();
        let whole = store.read_incoming(&hash, |piece| {
            read.extend(piece);
            Ok::<_, Error>(())
        });
        whole.map(|()| read)
    };
    assert!(matches!(read(), Err(Error::Damaged { .. })), "cut off");
    let rest = &content[300_000..];
    assert_eq!(store.write_incoming(&hash, bytes, 300_000, rest).unwrap(), bytes);
    assert!(store.write_incoming(&hash, bytes, bytes, b"x").is_err(), "surplus");
    store.sync_incoming(&hash, bytes).unwrap();
    assert_eq!(read().unwrap(), content);
    store.write_incoming(&hash, bytes, 70_000, b"flip").unwrap();
    assert!(matches!(read(), Err(Error::Damaged { .. })), "changed");
    store.write_incoming(&sha256(&other), 10, 0, &other).unwrap();
    store.keep_incoming(&[sha256(&other)]).unwrap();
    assert_eq!(store.incoming().unwrap().len(), 1);
    assert!(matches!(read(), Err(Error::Damaged { .. })), "gone");
}

fn sha256(bytes: &[u8]) -> store::SnapshotHash {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

fn filled(last: u64) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { cluster_id: "test".into(), node_id: 1 };
    let store = Store::create(dir.path(), identity).unwrap();
    let records = (1..=last).map(|lsn| (lsn, lsn.to_be_bytes().into())).collect();
    store.submit_and_wait(Op::Append(records)).unwrap();
    (dir, store)
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn write(store: &StoreHandle, lsn: u64, bytes: &[u8]) -> SnapshotInfo {
    let mut writer = store.begin_snapshot(lsn).unwrap();
    bytes.chunks(50_000).for_each(|piece| writer.write(piece).unwrap());
    store.commit_snapshot(writer).unwrap()
}

fn read(store: &StoreHandle, info: &SnapshotInfo) -> Result<Vec<u8>, Error> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut reader = store.snapshot(&info.hash).unwrap();
    reader.read_all(|piece| {
        bytes.extend(piece);
        Ok::<_, Error>(())
    })?;
    Ok(bytes)
}

/// Why a directory does not open.
fn open(dir: &Path) -> String {
    match Store::open(dir) {
        Err(Error::Damaged { what, .. }) => what,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it opens"),
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("snapshots")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
