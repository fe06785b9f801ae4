//! The verification of everything in sled before the store is used.
//!
//! **Invariants.** A store passes only if its transactions are dense from the first to the last,
//! unchanged and in one chain, Raft's records are the ones the last commit left, and all that the
//! high-water marks vouch for is there. There is no "as far as it goes".
//!
//! **Must not know:** what to do about damage, other than what the error says.

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
}

/// Reads every record and compares with the state record and the marks.
pub(crate) fn verify(engine: &Engine, marks: &[HighWater]) -> Result<State, Error> {
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
    Ok(state)
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

    fn compare_marks(&self, lsn: u64) -> Result<(), Error> {
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
