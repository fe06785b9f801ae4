//! The verification of everything in sled before the store is used.
//!
//! **Invariants.** A store passes only if its transactions are dense from the first to the last,
//! unchanged and in one chain, Raft's records are the ones the last commit left, and all that the
//! high-water marks vouch for is there. There is no "as far as it goes".
//!
//! **Must not know:** what to do about damage, other than what the error says.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Error,
    engine::{Assembler, Engine, Record, broken},
    frame::{self, ChainHash, Space, State, Stem},
    manifest::HighWater,
};

struct Walk<'a> {
    marks: &'a [HighWater],
    next_lsn: u64,
    hash: ChainHash,
    next_index: u64,
    digest: u128,
    wanted: &'a BTreeSet<u64>,
    chain: BTreeMap<u64, ChainHash>,
}

/// Reads every record and compares with the state record and the marks. Gives the chained hashes of
/// those wanted that the log reaches back to.
pub(crate) fn verify(
    engine: &Engine,
    marks: &[HighWater],
    wanted: &BTreeSet<u64>,
) -> Result<(State, BTreeMap<u64, ChainHash>), Error> {
    let state = engine.state()?.ok_or_else(|| Error::damaged(missing_since(0, marks)))?;
    for mark in marks {
        if state.commit < mark.commit || state.last_lsn < mark.lsn {
            return Err(Error::damaged(missing_since(state.last_lsn, marks)));
        }
    }
    let mut walk = Walk {
        marks,
        next_lsn: state.first_lsn,
        hash: state.base,
        next_index: state.raft.start,
        digest: 0,
        wanted,
        chain: BTreeMap::new(),
    };
    walk.compare_marks(state.first_lsn.saturating_sub(1))?;
    let mut assembler = Assembler::default();
    engine.walk(vec![]..vec![u8::MAX], |key, value| {
        match Space::of(key) {
            Some(Space::State) if key == State::key() => return Ok(()),
            Some(Space::RaftLog | Space::RaftMeta) => {
                walk.digest = walk.digest.wrapping_add(frame::digest_of(key, value));
            }
            Some(Space::Transactions | Space::State) | None => {}
        }
        match assembler.push(key, value)? {
            Some(record) => walk.record(key, &record),
            None => Ok(()),
        }
    })?;
    assembler.finish()?;
    walk.compare_state(&state)?;
    Ok((state, walk.chain))
}

impl Walk<'_> {
    fn record(&mut self, key: &[u8], (stem, body): &Record) -> Result<(), Error> {
        let number = stem.as_number().unwrap_or_default();
        match Space::of(key) {
            Some(Space::Transactions) => self.transaction(stem, number, body),
            Some(Space::RaftLog) if number == self.next_index => {
                self.next_index = number.saturating_add(1);
                Ok(())
            }
            Some(Space::RaftLog) => Err(Error::damaged(format!(
                "raft entry {} is missing, {number} is there",
                self.next_index
            ))),
            Some(Space::RaftMeta | Space::State) | None => Ok(()),
        }
    }

    fn transaction(&mut self, stem: &Stem, lsn: u64, body: &[u8]) -> Result<(), Error> {
        if lsn != self.next_lsn {
            let expected = self.next_lsn;
            return Err(Error::damaged(format!(
                "transaction {expected} is missing, {lsn} is there"
            )));
        }
        let (hash, bytes) = frame::split_transaction(body).map_err(|error| broken(stem, &error))?;
        if hash != frame::chain(&self.hash, bytes) {
            return Err(Error::damaged(format!(
                "transaction {lsn} does not follow the one before it"
            )));
        }
        self.hash = hash;
        self.next_lsn = lsn.saturating_add(1);
        self.compare_marks(lsn)
    }

    fn compare_marks(&mut self, lsn: u64) -> Result<(), Error> {
        if self.wanted.contains(&lsn) {
            self.chain.insert(lsn, self.hash);
        }
        if self.marks.iter().any(|mark| mark.lsn == lsn && mark.hash != self.hash) {
            return Err(Error::damaged(format!(
                "transaction {lsn} is not the one that was acknowledged"
            )));
        }
        Ok(())
    }

    fn compare_state(&self, state: &State) -> Result<(), Error> {
        let last = self.next_lsn.saturating_sub(1);
        if last != state.last_lsn {
            return Err(Error::damaged(format!(
                "the log ends at transaction {last}, its state record at {}",
                state.last_lsn
            )));
        }
        if self.hash != state.hash {
            return Err(Error::damaged("the log's last transaction is not the one committed"));
        }
        if self.next_index != state.raft.end || self.digest != state.raft_digest {
            return Err(Error::damaged("raft's records are not the ones committed last"));
        }
        Ok(())
    }
}

fn missing_since(last: u64, marks: &[HighWater]) -> String {
    let lsn = marks.iter().map(|mark| mark.lsn).max().unwrap_or_default();
    let commit = marks.iter().map(|mark| mark.commit).max().unwrap_or_default();
    if last < lsn {
        format!("transactions {} to {lsn} were acknowledged and are missing", last + 1)
    } else {
        format!("commits up to {commit} were acknowledged and the last of them are missing")
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::{Batch, Op, plan::Plan};

    /// Verifies a small store after `tamper`.
    fn check(tamper: impl FnOnce(&mut sled::Batch, &mut State), expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path()).unwrap();
        let state = write(&engine, b"three");
        let mark = HighWater::of(&state);
        let mut batch = sled::Batch::default();
        let mut tampered = state;
        tamper(&mut batch, &mut tampered);
        batch.insert(State::key(), tampered.to_bytes());
        engine.apply(batch).unwrap();
        expected.assert_eq(&match verify(&engine, &[mark], &BTreeSet::new()) {
            Ok((state, _)) => format!("{} transactions", state.last_lsn),
            Err(Error::Damaged { what, .. }) => what,
            Err(error) => panic!("{error}"),
        });
    }

    fn write(engine: &Engine, third: &[u8]) -> State {
        let records = [b"one", &b"two"[..], third];
        let records = (1..).zip(records).map(|(lsn, bytes)| (lsn, bytes.into())).collect();
        let entries = vec![(5, vec![5]), (6, vec![6])];
        let vote = Op::RaftMeta { name: "vote".into(), value: vec![7] };
        let ops = vec![Op::Append(records), Op::RaftAppend(entries), vote];
        let mut plan = Plan::new(engine, State::empty(), 0);
        plan.add(&Batch::from(ops)).unwrap();
        let (batch, state) = plan.finish().unwrap();
        engine.apply(batch).unwrap();
        state
    }

    fn transaction(lsn: u64) -> Stem {
        Stem::number(Space::Transactions, lsn)
    }

    /// Puts a record with a valid frame.
    fn put(batch: &mut sled::Batch, stem: &Stem, body: &[&[u8]]) {
        frame::seal(stem, body).into_iter().for_each(|(key, value)| batch.insert(key, value));
    }

    #[test]
    fn transactions_are_those_that_were_committed() {
        check(|_, _| {}, expect![["3 transactions"]]);
        let first = frame::chain(&[0; 16], b"one");
        let second = frame::chain(&first, b"two");
        let other = frame::chain(&first, b"owt");
        check(
            |batch, _| put(batch, &transaction(2), &[&second, b"owt"]),
            expect!["transaction 2 does not follow the one before it"],
        );
        check(
            |batch, _| put(batch, &transaction(2), &[&other, b"owt"]),
            expect!["transaction 3 does not follow the one before it"],
        );
        let last = frame::chain(&second, b"eerht");
        check(
            |batch, _| put(batch, &transaction(3), &[&last, b"eerht"]),
            expect!["transaction 3 is not the one that was acknowledged"],
        );
        check(
            |batch, state| {
                put(batch, &transaction(3), &[&last, b"eerht"]);
                state.hash = last;
            },
            expect!["transaction 3 is not the one that was acknowledged"],
        );
        check(
            |_, state| state.hash = last,
            expect!["the log's last transaction is not the one committed"],
        );
        check(
            |_, state| state.base = last,
            expect!["transaction 1 does not follow the one before it"],
        );
        check(
            |batch, _| put(batch, &transaction(3), &[b"short"]),
            expect!["transaction 3: a part is missing or has the wrong length"],
        );
    }

    #[test]
    fn transactions_are_dense_from_the_first_to_the_last() {
        check(
            |batch, _| batch.remove(transaction(1).part(0)),
            expect!["transaction 1 is missing, 2 is there"],
        );
        check(
            |batch, _| batch.remove(transaction(2).part(0)),
            expect!["transaction 2 is missing, 3 is there"],
        );
        check(
            |batch, _| batch.remove(transaction(3).part(0)),
            expect!["the log ends at transaction 2, its state record at 3"],
        );
        check(|_, state| state.first_lsn = 2, expect!["transaction 2 is missing, 1 is there"]);
        check(
            |_, state| state.last_lsn = 4,
            expect!["the log ends at transaction 3, its state record at 4"],
        );
        check(
            |_, state| state.last_lsn = 2,
            expect!["transactions 3 to 3 were acknowledged and are missing"],
        );
        check(
            |_, state| state.commit = 0,
            expect!["commits up to 1 were acknowledged and the last of them are missing"],
        );
    }

    #[test]
    fn raft_records_are_those_of_the_last_commit() {
        let entry = |index| Stem::number(Space::RaftLog, index);
        check(
            |batch, _| put(batch, &entry(6), &[&[9]]),
            expect!["raft's records are not the ones committed last"],
        );
        check(
            |batch, _| put(batch, &Stem::name("vote"), &[&[6]]),
            expect!["raft's records are not the ones committed last"],
        );
        check(
            |batch, _| put(batch, &Stem::name("more"), &[&[6]]),
            expect!["raft's records are not the ones committed last"],
        );
        check(
            |batch, _| batch.remove(Stem::name("vote").part(0)),
            expect!["raft's records are not the ones committed last"],
        );
        check(
            |batch, _| batch.remove(entry(5).part(0)),
            expect!["raft entry 5 is missing, 6 is there"],
        );
        check(
            |batch, _| batch.remove(entry(6).part(0)),
            expect!["raft's records are not the ones committed last"],
        );
        check(
            |_, state| state.raft = 5..6,
            expect!["raft's records are not the ones committed last"],
        );
    }

    #[test]
    fn what_is_of_no_known_form_is_damage() {
        check(|batch, _| batch.insert(b"odd", b""), expect!["a key of no known form"]);
        check(
            |batch, _| batch.insert(transaction(2).part(1), b""),
            expect!["transaction 2: a part is missing or has the wrong length"],
        );
        check(
            |batch, _| batch.insert(transaction(2).part(0), b"\x02\0\0\0\0"),
            expect!["transaction 2: it has format 2, which this release does not know"],
        );
        check(
            |batch, _| batch.insert(transaction(2).part(0), b""),
            expect!["transaction 2: a part is missing or has the wrong length"],
        );
        check(
            |batch, _| batch.insert(transaction(2).part(0), b"\x01\xff\xff\xff\xff"),
            expect!["transaction 2: a part is missing or has the wrong length"],
        );
    }

    #[test]
    fn another_log_of_the_same_length_is_not_the_acknowledged_one() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path()).unwrap();
        let state = write(&engine, b"three");
        let mark = |hash| HighWater { commit: 1, lsn: 3, hash };
        let wanted = BTreeSet::from([0, 2, 4]);
        let (found, chain) = verify(&engine, &[mark(state.hash)], &wanted).unwrap();
        let second = frame::chain(&frame::chain(&[0; 16], b"one"), b"two");
        assert_eq!((found, chain), (state.clone(), [(0, [0; 16]), (2, second)].into()));
        let marks = [mark(state.hash), mark([9; 16])];
        let error = verify(&engine, &marks, &wanted).unwrap_err().to_string();
        assert!(error.contains("transaction 3 is not the one that was acknowledged"), "{error}");
        let early = HighWater { commit: 0, lsn: 0, hash: [9; 16] };
        assert!(verify(&engine, &[early], &wanted).is_err());
    }
}
