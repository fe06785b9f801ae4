//! Every order of a history's operations that respects what each had seen, on one node.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use identity::{Error, Identity};
use model::UniqueId;

use super::{
    answers::Subjects,
    world::{Names, Race, World},
};

/// What comes of all orders.
pub(crate) struct Serial {
    /// The questions that every order allows.
    pub(crate) by_all: u64,
    /// What each state that some order ends in allows of what those before it did, with one of its
    /// orders.
    ends: Vec<(u64, Vec<String>)>,
}

impl Serial {
    /// An order that refuses one of these questions.
    pub(crate) fn example(&self, bits: u64) -> String {
        let refused = self.ends.iter().find(|(allowed, _)| bits & !allowed != 0);
        refused.map_or_else(String::new, |(_, order)| order.join("; "))
    }
}

struct Search<'a> {
    world: &'a World,
    race: &'a Race,
    subjects: &'a Subjects,
    /// Who has a name that others gave as well.
    holders: &'a BTreeSet<UniqueId>,
    /// Which operations were done or refused, and what state that led to. Equal values lead to
    /// equal futures, in whichever order they were written.
    reached: BTreeSet<(u64, u64)>,
    order: Vec<String>,
    found: Serial,
}

/// Does all operations in every order, but for those that refuse to name a holder.
pub(crate) fn every_order(
    world: &World,
    race: &Race,
    subjects: &Subjects,
    holders: &BTreeSet<UniqueId>,
) -> Serial {
    let mut search = Search {
        world,
        race,
        subjects,
        holders,
        reached: BTreeSet::new(),
        order: Vec::new(),
        found: Serial { by_all: subjects.all(), ends: Vec::new() },
    };
    search.go(0, race.before.clone(), race.names.clone());
    search.found
}

impl Search<'_> {
    fn go(&mut self, done: u64, identity: Identity, names: Names) {
        if !self.reached.insert((done, content(&identity))) {
            return;
        }
        let operations = &self.race.operations;
        if done.count_ones() as usize == operations.len() {
            let asked = self.found.by_all;
            let allowed = self.subjects.answers(self.world, &identity, asked);
            self.found.by_all = allowed;
            self.found.ends.push((allowed, self.order.clone()));
            return;
        }
        if self.found.by_all == 0 {
            return;
        }
        for (at, operation) in operations.iter().enumerate() {
            if done >> at & 1 == 1 || operation.seen & !done != 0 {
                continue;
            }
            let (mut identity, mut names) = (identity.clone(), names.clone());
            let outcome = self.world.serial(
                &mut identity,
                &mut names,
                (&operation.caller, &operation.words),
                operation.moment,
            );
            // Limits bound what is stored, not who may do what: a merge keeps what is over one.
            if let Err(Error::LimitExceeded { .. }) = outcome {
                continue;
            }
            // Whom a trust policy names must exist when it is saved, not after.
            if let Err(Error::MalformedPolicyDocument { .. }) = outcome {
                continue;
            }
            if let Err(error) = &outcome
                && self.world.refused_by_the_gone(&identity, error, operations)
            {
                continue;
            }
            if let Err(Error::EntityAlreadyExists { .. }) = outcome
                && operation.names().is_some_and(|id| self.holders.contains(&id))
            {
                continue;
            }
            let refused = if outcome.is_err() { " (refused)" } else { "" };
            self.order.push(format!("{}{refused}", operation.text));
            self.go(done | 1 << at, identity, names);
            self.order.pop();
        }
    }
}

/// All values of a state, without who wrote them when.
fn content(identity: &Identity) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, siblings) in identity.state().range(&[]) {
        key.hash(&mut hasher);
        for sibling in siblings {
            sibling.value.hash(&mut hasher);
        }
    }
    hasher.finish()
}
