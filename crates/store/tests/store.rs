//! The store on a real disk: what is acknowledged is there, and damage is seen.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers too")]

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
    sync::{Arc, Mutex, mpsc},
};

use store::{Batch, Error, Op, QUEUE_MAX, Store, StoreHandle, StoreIdentity, TRIM_RECORDS_MAX};
use tempfile::TempDir;

#[test]
fn what_is_written_is_there_after_reopening() {
    let dir = temp();
    let store = create(&dir);
    for size in [0, 1, 6130, 6131, 6132, 12_300, 100_000] {
        let lsn = store.last_lsn() + 1;
        let entry = Op::RaftAppend(vec![(lsn, vec![1; size]), (lsn + 1, vec![2; size])]);
        let truncated = Op::RaftTruncate { from: lsn + 1 };
        let batch = vec![append(lsn, vec![lsn as u8; size]), entry, truncated, vote(&[3; 9])];
        store.submit_and_wait(batch).unwrap();
    }
    store.submit_and_wait(vote(&vec![4; 20_000])).unwrap();
    store.submit_and_wait(vote(b"short")).unwrap();
    store.submit_and_wait(Op::RaftPurge { upto: 2 }).unwrap();
    let seen = contents(&store);
    assert_eq!((store.first_lsn(), store.last_lsn(), store.raft_last_index()), (1, 7, Some(7)));
    assert_eq!(
        seen.0.iter().map(Vec::len).collect::<Vec<_>>(),
        [0, 1, 6130, 6131, 6132, 12_300, 100_000]
    );
    assert_eq!(seen.1.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert_eq!(seen.2.as_deref(), Some(&b"short"[..]));
    store.close().unwrap();
    let store = Store::open_expecting(dir.path(), &identity(1)).unwrap();
    assert_eq!(contents(&store), seen);
    assert_eq!(*store.identity(), identity(1));
    assert_eq!(store.raft_log_range(4..=5).unwrap().len(), 2);
    assert_eq!(store.raft_meta("none").unwrap(), None);
}

#[test]
fn reads_keep_to_their_limits() {
    let dir = temp();
    let store = create(&dir);
    let records = (1..=5).map(|lsn| (lsn, vec![0; 10].into())).collect();
    store.submit_and_wait(Op::Append(records)).unwrap();
    let read = |from, records, bytes| {
        let found = store.read_log(from, records, bytes).unwrap();
        found.into_iter().map(|(lsn, _)| lsn).collect::<Vec<_>>()
    };
    assert_eq!(read(2, 2, 1000), [2, 3]);
    assert_eq!(read(2, 9, 20), [2, 3]);
    assert_eq!(read(2, 9, 21), [2, 3, 4]);
    assert_eq!(read(2, 9, 0), [2]);
    assert_eq!(read(2, 0, 9), [0; 0]);
    assert_eq!(read(6, 9, 9), [0; 0]);
    assert_eq!(read(0, 9, 1000), [1, 2, 3, 4, 5]);
}

#[test]
fn trimming_keeps_the_chain_and_stops_at_its_limit() {
    let dir = temp();
    let store = create(&dir);
    let last = TRIM_RECORDS_MAX + 2;
    let records = (1..=last).map(|lsn| (lsn, lsn.to_be_bytes().into())).collect();
    store.submit_and_wait(Op::Append(records)).unwrap();
    store.submit_and_wait(Op::TrimLog { upto: u64::MAX }).unwrap();
    assert_eq!(store.first_lsn(), 1, "what is in no snapshot stays");
    snapshot(&store, TRIM_RECORDS_MAX + 1, b"");
    store.submit_and_wait(Op::TrimLog { upto: u64::MAX }).unwrap();
    assert_eq!(store.first_lsn(), TRIM_RECORDS_MAX + 1);
    store.submit_and_wait(Op::TrimLog { upto: TRIM_RECORDS_MAX + 1 }).unwrap();
    assert_eq!(store.first_lsn(), last);
    let refused = store.read_log(1, 1, 1);
    assert!(matches!(refused, Err(Error::Trimmed { first }) if first == last), "{refused:?}");
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(contents(&store).0, [last.to_be_bytes().to_vec()]);
    // All may go; numbers go on.
    store.submit_and_wait(append(last + 1, vec![1])).unwrap();
    snapshot(&store, last + 1, b"");
    snapshot(&store, last + 1, b"again");
    assert_eq!(store.snapshots().len(), 2);
    store.submit_and_wait(Op::TrimLog { upto: u64::MAX }).unwrap();
    assert_eq!(store.first_lsn(), last, "the older snapshot needs what follows it");
    store.submit_and_wait(append(last + 2, vec![1])).unwrap();
    snapshot(&store, last + 2, b"");
    store.submit_and_wait(Op::TrimLog { upto: u64::MAX }).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.first_lsn(), store.last_lsn()), (last + 2, last + 2));
    store.submit_and_wait(append(last + 3, vec![1])).unwrap();
    snapshot(&store, last + 3, b"");
    snapshot(&store, last + 3, b"");
    store.put_snapshot_aside(last + 2).unwrap();
    store.submit_and_wait(Op::TrimLog { upto: u64::MAX }).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((store.first_lsn(), store.last_lsn()), (last + 4, last + 3));
    assert_eq!(contents(&store).0.len(), 0);
    store.submit_and_wait(append(last + 4, vec![2])).unwrap();
    assert_eq!(contents(&store).0, [[2]]);
}

#[test]
fn what_waits_together_shares_a_sync_and_is_answered_in_order() {
    let dir = temp();
    let store = create(&dir);
    let release = stall(&store);
    let (commits, syncs) = (store.stats().commits, store.stats().syncs);
    let answers = Arc::new(Mutex::new(Vec::new()));
    for lsn in 1..=50_u64 {
        let (answers, handle) = (Arc::clone(&answers), store.handle());
        let done = Box::new(move |result: Result<store::Committed, Error>| {
            let committed = result.unwrap();
            // Synced, and visible, before it is told.
            assert!(handle.stats().syncs > syncs && handle.last_lsn() == 50);
            answers.lock().unwrap().push((lsn, committed.commit));
        });
        store.submit(append(lsn, vec![7]), done);
    }
    assert_eq!(store.last_lsn(), 0);
    release.send(()).unwrap();
    store.submit_and_wait(Batch::default()).unwrap();
    let answers = answers.lock().unwrap().clone();
    assert_eq!(answers, (1..=50).map(|lsn| (lsn, commits + 1)).collect::<Vec<_>>());
}

#[test]
fn every_commit_has_a_sync_of_its_own() {
    let dir = temp();
    let store = create(&dir);
    for lsn in 1..=20 {
        let committed = store.submit_and_wait(append(lsn, vec![0; 8])).unwrap();
        assert_eq!(committed.last_lsn, lsn);
        assert!(store.stats().syncs >= committed.commit);
    }
}

#[test]
fn the_queue_is_refused_one_past_its_limit() {
    let dir = temp();
    let store = create(&dir);
    let release = stall(&store);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..=QUEUE_MAX {
        let sender = sender.clone();
        store.submit(Batch::default(), Box::new(move |result| sender.send(result).unwrap()));
    }
    assert!(matches!(receiver.try_recv(), Ok(Err(Error::Busy))));
    release.send(()).unwrap();
    drop(sender);
    let answers: Vec<_> = receiver.iter().collect();
    assert_eq!(answers.len(), QUEUE_MAX);
    assert!(answers.iter().all(Result::is_ok));
    assert!(!store.poisoned());
}

#[test]
fn a_number_out_of_order_poisons_the_store_and_changes_nothing() {
    for wrong in [append(1, vec![9]), append(3, vec![9]), entry(7), entry(9)] {
        let dir = temp();
        let store = create(&dir);
        store.submit_and_wait(vec![append(1, vec![1]), entry(6), entry(7)]).unwrap();
        let seen = contents(&store);
        let batch = vec![append(2, vec![2]), wrong.clone()];
        let batch = if matches!(wrong, Op::Append(_)) { vec![wrong] } else { batch };
        let refused = store.submit_and_wait(batch).unwrap_err();
        let Error::Poisoned(cause) = refused else { panic!("{refused}") };
        assert!(matches!(*cause, Error::NotNext { .. }), "{cause}");
        assert!(store.poisoned());
        let later = store.submit_and_wait(append(2, vec![2]));
        assert!(matches!(later, Err(Error::Poisoned(_))));
        assert!(store.close().is_err());
        assert_eq!(contents(&Store::open(dir.path()).unwrap()), seen);
    }
}

#[test]
fn raft_goes_on_anywhere_after_its_log_is_emptied() {
    let dir = temp();
    let store = create(&dir);
    store.submit_and_wait(vec![entry(0), entry(1), Op::RaftPurge { upto: 900 }]).unwrap();
    assert_eq!(store.raft_last_index(), None);
    store.submit_and_wait(vec![entry(901), entry(902)]).unwrap();
    store.submit_and_wait(vec![Op::RaftTruncate { from: 0 }, entry(44)]).unwrap();
    store.close().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.raft_log_range(..).unwrap(), [(44, vec![44; 3])]);
    assert_eq!(store.raft_last_index(), Some(44));
}

#[test]
fn a_directory_is_one_stores_and_one_nodes() {
    let dir = temp();
    assert_eq!(Store::identity_of(dir.path()).unwrap(), None);
    assert!(matches!(Store::open(dir.path()), Err(Error::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let store = create(&dir);
    assert!(matches!(Store::open(dir.path()), Err(Error::InUse { .. })));
    assert!(matches!(Store::create(dir.path(), identity(1)), Err(Error::InUse { .. })));
    let handle = store.handle();
    store.close().unwrap();
    assert!(matches!(handle.submit_and_wait(Batch::default()), Err(Error::Closed)));
    assert!(matches!(handle.read_log(1, 1, 1), Err(Error::Closed)));
    assert!(matches!(Store::create(dir.path(), identity(1)), Err(Error::Exists { .. })));
    assert_eq!(Store::identity_of(dir.path()).unwrap(), Some(identity(1)));
    let error = Store::open_expecting(dir.path(), &identity(2)).err().unwrap().to_string();
    assert_eq!(
        error,
        "the data directory belongs to node 1 of cluster `test`, not to node 2 of cluster `test`"
    );
    Store::open(dir.path()).unwrap();
}

#[test]
fn another_format_is_named() {
    let dir = temp();
    create(&dir).close().unwrap();
    let path = dir.path().join("MANIFEST");
    let text = fs::read_to_string(&path).unwrap().replace("format 1", "format 9");
    fs::write(path, text).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, Error::WrongFormat { ref found, supported: 1 } if found == "9"));
}

#[test]
fn only_the_owner_may_read() {
    let dir = temp();
    let path = dir.path().join("below");
    let store = Store::create(&path, identity(1)).unwrap();
    store.submit_and_wait(append(1, vec![1])).unwrap();
    store.close().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
    }
}

#[test]
fn an_unfinished_snapshot_is_removed() {
    let dir = temp();
    let store = create(&dir);
    store.submit_and_wait(append(1, vec![1])).unwrap();
    store.close().unwrap();
    let generating = dir.path().join("snap.00000000FFFFFFFF.generating");
    fs::write(&generating, b"half").unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(contents(&store).0, [[1]]);
    assert!(!generating.exists());
}

#[test]
fn an_older_database_is_refused_by_either_mark() {
    let raft_only: fn(u64) -> Op = |_| vote(b"2");
    let appends: fn(u64) -> Op = |lsn| append(lsn, vec![1]);
    let cases = [
        (appends, "transactions 11 to 20 were acknowledged and are missing"),
        (raft_only, "commits up to 20 were acknowledged and the last of them are missing"),
    ];
    for (write, what) in cases {
        for kept in ["MARK", "MANIFEST"] {
            let (dir, older, mixed) = (temp(), temp(), temp());
            let store = create(&dir);
            (1..=10).for_each(|lsn| _ = store.submit_and_wait(append(lsn, vec![0])).unwrap());
            store.close().unwrap();
            copy(dir.path(), older.path());
            let store = Store::open(dir.path()).unwrap();
            (11..=20).for_each(|lsn| _ = store.submit_and_wait(write(lsn)).unwrap());
            store.close().unwrap();
            copy(older.path(), mixed.path());
            fs::copy(dir.path().join(kept), mixed.path().join(kept)).unwrap();
            let error = Store::open(mixed.path()).err().unwrap().to_string();
            assert!(error.contains(what) && error.contains("new node id"), "{kept}: {error}");
        }
    }
}

#[test]
fn a_missing_file_is_damage() {
    for name in ["db", "MARK"] {
        let dir = temp();
        let store = create(&dir);
        store.submit_and_wait(append(1, vec![1])).unwrap();
        store.close().unwrap();
        fs::remove_file(dir.path().join(name)).unwrap();
        let error = Store::open(dir.path()).err().unwrap();
        assert!(matches!(error, Error::Damaged { .. }), "{name}: {error}");
    }
    let dir = temp();
    let store = create(&dir);
    store.submit_and_wait(append(1, vec![1])).unwrap();
    store.close().unwrap();
    fs::remove_file(dir.path().join("MANIFEST")).unwrap();
    let error = Store::create(dir.path(), identity(1)).err().unwrap();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn a_damaged_database_never_opens_with_less() {
    let dir = temp();
    let store = create(&dir);
    fill(&store, 300);
    let seen = contents(&store);
    store.close().unwrap();
    let length = fs::metadata(dir.path().join("db")).unwrap().len();
    let mut refused = 0;
    for cut in [1, 100, 4096, length / 5, length / 2] {
        refused += u32::from(damage(dir.path(), &seen, |db| db.set_len(length - cut).unwrap()));
    }
    for percent in [0, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99] {
        let at = length * percent / 100;
        refused += u32::from(damage(dir.path(), &seen, |db| {
            let mut bytes = [0; 16];
            db.read_exact_at(&mut bytes, at.min(length - 16)).unwrap();
            bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
            db.write_all_at(&bytes, at.min(length - 16)).unwrap();
        }));
    }
    // Flips in space that sled does not use are harmless; that all are would be a broken test.
    assert!(refused >= 5, "only {refused} of 20 were noticed");
}

type Contents = (Vec<Vec<u8>>, Vec<(u64, Vec<u8>)>, Option<Vec<u8>>);

fn snapshot(store: &StoreHandle, lsn: u64, bytes: &[u8]) {
    let mut writer = store.begin_snapshot(lsn).unwrap();
    writer.write(bytes).unwrap();
    store.commit_snapshot(writer).unwrap();
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn identity(node_id: u32) -> StoreIdentity {
    StoreIdentity { cluster_id: "test".into(), node_id }
}

fn create(dir: &TempDir) -> Store {
    Store::create(dir.path(), identity(1)).unwrap()
}

fn append(lsn: u64, bytes: Vec<u8>) -> Op {
    Op::Append(vec![(lsn, bytes.into())])
}

fn entry(index: u64) -> Op {
    Op::RaftAppend(vec![(index, vec![index as u8; 3])])
}

fn vote(bytes: &[u8]) -> Op {
    Op::RaftMeta { name: "vote".into(), value: bytes.to_vec() }
}

/// Everything in a store.
fn contents(store: &StoreHandle) -> Contents {
    let mut records = Vec::new();
    let mut next = store.first_lsn();
    store
        .replay(|lsn, bytes| {
            assert_eq!(lsn, next);
            next += 1;
            records.push(bytes.to_vec());
        })
        .unwrap();
    (records, store.raft_log_range(..).unwrap(), store.raft_meta("vote").unwrap())
}

/// Stops the committer in a `Done` until something is sent.
fn stall(store: &Store) -> mpsc::Sender<()> {
    let (started, is_started) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let done = Box::new(move |result: Result<store::Committed, Error>| {
        result.unwrap();
        started.send(()).unwrap();
        released.recv().unwrap();
    });
    store.submit(Batch::default(), done);
    is_started.recv().unwrap();
    release
}

/// The bytes of a record: a few hundred, at times several parts.
fn payload(lsn: u64) -> Vec<u8> {
    let length = if lsn.is_multiple_of(16) { 15_000 } else { 50 + lsn as usize * 37 % 400 };
    (0..length).map(|at| (at as u64 * 31 + lsn) as u8).collect()
}

fn fill(store: &Store, records: u64) {
    for lsn in 1..=records {
        let batch = vec![append(lsn, payload(lsn)), entry(lsn), vote(&lsn.to_be_bytes())];
        store.submit_and_wait(batch).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// Damages a copy of the directory; true if it is refused, else everything must be there.
fn damage(dir: &Path, seen: &Contents, spoil: impl FnOnce(&fs::File)) -> bool {
    let copied = temp();
    copy(dir, copied.path());
    let db = fs::OpenOptions::new().read(true).write(true).open(copied.path().join("db")).unwrap();
    spoil(&db);
    drop(db);
    match Store::open(copied.path()) {
        Ok(store) => {
            assert!(contents(&store) == *seen, "opened with other records than acknowledged");
            false
        }
        Err(error) => {
            assert!(matches!(error, Error::Damaged { .. }), "{error}: {error:?}");
            true
        }
    }
}
