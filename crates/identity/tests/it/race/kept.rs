//! Policies that are kept prepared while a history's transactions arrive.

use std::{collections::BTreeMap, sync::Arc};

use identity::{Caller, CheckRequest, Identity, Prepared, check, verdict};
use model::{Timestamp, UniqueId, UniqueIdKind};
use policy::Verdict;

use super::{
    plan::Plan,
    world::{Race, World},
};

const ACTIONS: [&str; 3] = ["s3:GetObject", "s3:PutObject", "ec2:RunInstances"];

/// What came of a history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Came {
    /// Sets that stood after a transaction.
    pub(crate) stood: u64,
    /// Sets that did not.
    pub(crate) fell: u64,
    /// Verdicts that sets which fell would have given, and the state does not.
    pub(crate) changed: u64,
}

impl Came {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { stood, fell, changed } = other;
        self.stood += stood;
        self.fell += fell;
        self.changed += changed;
    }
}

/// Runs a history, and compares at one node after each transaction.
pub(crate) fn run(world: &World, plan: &Plan, node: usize) -> Came {
    let race = world.race(plan);
    let mut kept = Kept { world, plan, sets: BTreeMap::new(), came: Came::default() };
    let mut identity = race.before.clone();
    kept.compare(&race, &identity);
    let log = &race.logs[node];
    for (at, transaction) in log.iter().enumerate() {
        if at == log.len() / 2 {
            kept.compare_joined(&race, identity.clone());
        }
        identity.apply(transaction).unwrap();
        kept.compare(&race, &identity);
    }
    if let Some((names, _)) = race.decisions() {
        identity.set_names(Arc::new(names));
        kept.compare(&race, &identity);
    }
    identity.collect(&race.barrier).unwrap();
    kept.compare(&race, &identity);
    kept.came
}

struct Kept<'a> {
    world: &'a World,
    plan: &'a Plan,
    sets: BTreeMap<UniqueId, Arc<Prepared>>,
    came: Came,
}

impl Kept<'_> {
    /// What stands once a snapshot of all was joined; that is forgotten again.
    fn compare_joined(&mut self, race: &Race, mut identity: Identity) {
        let (sets, came) = (self.sets.clone(), self.came);
        identity.join(race.merged.state().clone(), race.merged.keep()).unwrap();
        self.compare(race, &identity);
        (self.sets, self.came) = (sets, came);
    }

    fn compare(&mut self, race: &Race, identity: &Identity) {
        let acts = |id: &&UniqueId| {
            [Some(UniqueIdKind::User), Some(UniqueIdKind::Role)].contains(&id.kind())
        };
        for id in race.names.keys().filter(acts) {
            let prepare = |caller: &Caller| Prepared::new(identity, caller).map(Arc::new);
            if let Some(kept) = self.sets.get(id) {
                let earlier = |_: &Caller| Some(Arc::clone(kept));
                let asked = ACTIONS.iter().map(|action| {
                    let fresh = self.verdict(identity, *id, action, prepare);
                    let request = request(*id, action);
                    let oracle = check(identity, &self.world.accounts, now(), &request);
                    assert_eq!(fresh, oracle.ok().map(|decision| decision.verdict));
                    u64::from(self.verdict(identity, *id, action, earlier) != fresh)
                });
                let differ: u64 = asked.sum();
                if kept.stands(identity) {
                    assert_eq!(differ, 0, "{id} stands: {}", self.plan);
                    self.came.stood += 1;
                    continue;
                }
                self.came.fell += 1;
                self.came.changed += differ;
            }
            let keep = |caller: &Caller| {
                let prepared = prepare(caller)?;
                self.sets.insert(*id, Arc::clone(&prepared));
                Some(prepared)
            };
            let request = request(*id, "s3:GetObject");
            let _gone = verdict(identity, &self.world.accounts, now(), &request, keep);
        }
    }

    /// By prepared policies; they say what the state's do, if they were prepared of it.
    fn verdict(
        &self,
        identity: &Identity,
        id: UniqueId,
        action: &str,
        prepared: impl FnOnce(&Caller) -> Option<Arc<Prepared>>,
    ) -> Option<Verdict> {
        let request = request(id, action);
        verdict(identity, &self.world.accounts, now(), &request, prepared).ok()
    }
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn request(id: UniqueId, action: &str) -> CheckRequest {
    CheckRequest {
        principal: id.to_string(),
        action: action.to_owned(),
        resource: "arn:aws:s3:::bucket/object".to_owned(),
        context: Vec::new(),
    }
}
