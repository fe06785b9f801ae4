//! A process that is killed, at any moment, and what its store then has. A binary of its own: a
//! child shares its parent's locks until it runs its own program, so another test beside this one
//! would find its directory in use.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use store::{Batch, Error, Op, Store, StoreIdentity};

const CHILD_DIR: &str = "STORE_TEST_CHILD_DIR";
const ROUNDS: usize = 12;

/// The test starts itself as the process to be killed.
#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    if let Ok(dir) = std::env::var(CHILD_DIR) {
        return append_for_ever(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { cluster_id: "test".into(), node_id: 1 };
    Store::create(dir.path(), identity).unwrap().close().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_process_loses_nothing_it_acknowledged", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Every fourth one is killed while it opens, or soon after.
        acknowledged = kill_after(child, round % 4 * 50).max(acknowledged);
        let killed = tempfile::tempdir().unwrap();
        copy(dir.path(), killed.path());
        let last = check(Store::open(dir.path()).unwrap(), acknowledged);
        let length = fs::metadata(killed.path().join("db")).unwrap().len();
        for cut in [1, 100, length / 5] {
            let cut_short = tempfile::tempdir().unwrap();
            copy(killed.path(), cut_short.path());
            let db = fs::OpenOptions::new().write(true).open(cut_short.path().join("db")).unwrap();
            db.set_len(length - cut).unwrap();
            match Store::open(cut_short.path()) {
                // Only what was under way may be gone.
                Ok(store) => assert!(check(store, acknowledged) <= last),
                Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error:?}"),
            }
        }
    }
}

/// Everything up to what was acknowledged is there, and whole; the last number.
fn check(store: Store, acknowledged: u64) -> u64 {
    let last = store.last_lsn();
    assert!(last >= acknowledged, "{acknowledged} acknowledged, {last} there");
    let mut next = 1;
    store
        .replay(|lsn, bytes| {
            assert_eq!(lsn, next);
            assert!(*bytes == *payload(lsn), "transaction {lsn} differs");
            next += 1;
        })
        .unwrap();
    assert_eq!(next, last + 1);
    // A batch is whole: the vote is always the last transaction's.
    let vote = store.raft_meta("vote").unwrap();
    assert_eq!(vote, (last > 0).then(|| last.to_be_bytes().to_vec()));
    store.close().unwrap();
    last
}

/// The bytes of a record: a few hundred, at times several parts.
fn payload(lsn: u64) -> Vec<u8> {
    let length = if lsn.is_multiple_of(16) { 15_000 } else { 50 + lsn as usize * 37 % 400 };
    (0..length).map(|at| (at as u64 * 31 + lsn) as u8).collect()
}

/// What the process to be killed does: it prints every number that was acknowledged.
fn append_for_ever(dir: &Path) {
    let store = Store::open(dir).unwrap();
    for lsn in store.last_lsn() + 1.. {
        let done = move |result: Result<store::Committed, Error>| {
            result.unwrap();
            // Past the test's capture of what is printed, a whole line at once.
            let mut out = std::io::stdout();
            out.write_all(format!("\nacknowledged {lsn}\n").as_bytes()).unwrap();
        };
        let record = Op::Append(vec![(lsn, payload(lsn).into())]);
        let vote = Op::RaftMeta { name: "vote".into(), value: lsn.to_be_bytes().to_vec() };
        store.submit(vec![record, vote], Box::new(done));
        if lsn.is_multiple_of(5) {
            store.submit_and_wait(Batch::default()).unwrap();
        }
    }
}

/// Kills the child once it acknowledged so many records, with 0 at once; the last number.
fn kill_after(mut child: Child, records: usize) -> u64 {
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut last = 0;
    let mut count = 0;
    if records == 0 {
        child.kill().unwrap();
    }
    for line in out.lines() {
        if let Some(lsn) = line.unwrap().strip_prefix("acknowledged ") {
            last = lsn.parse().unwrap();
            count += 1;
            if count == records {
                child.kill().unwrap();
            }
        }
    }
    assert!(!child.wait().unwrap().success() && count >= records, "the child ended by itself");
    last
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
