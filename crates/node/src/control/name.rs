//! Names: of those who claim a name the log's first has it, and keeps it until it gives it up.
//!
//! A write that names an entity takes effect at once; the node that made it has the name claimed
//! here. Who comes second has lost, however long its partition or wrong its clock, and is
//! quarantined until it is renamed or deleted.
//!
//! **Invariants.** A name has one holder. It is replaced only after its claim was released, by who
//! has seen that the write which the claim names was overwritten. A claim that lost stays lost.
//! A claim that is made again changes nothing. The table is bounded.
//!
//! **Must not know:** entities; who proposes has seen them.

use std::{collections::BTreeMap, sync::Arc};

use crdt::{Dot, NodeId, advance};
use identity::{Claim, Decision, NameKey, Names};
use model::{AccountId, UniqueId, UniqueIdKind, fold};
use wire::{
    transaction::{decode_vector, encode_vector},
    v1::{self, ControlRefusal},
};

use super::{Applied, ControlState, NodeState, Role, done};

/// Claims in one command, at most: as many of the longest names fit into one.
pub const NAME_CLAIMS_MAX: usize = 200;
/// The longest name, folded, in bytes. IAM's are shorter.
pub const NAME_BYTES_MAX: usize = 256;
/// Claims that are kept, at most. They are released when all nodes know of the names, so that only
/// those of the last seconds are there, or those since a node was lost.
pub const NAMES_MAX: usize = 20_000;

impl ControlState {
    pub(super) fn claim_names(&mut self, command: &v1::ClaimNames) -> Applied {
        let v1::ClaimNames { node, claims } = command;
        let claims = self.read_claims(*node, claims)?;
        if self.names.count() + claims.len() > NAMES_MAX {
            return Err(ControlRefusal::NamesFull);
        }
        let names = Arc::make_mut(&mut self.names);
        for (name, claim) in claims {
            names.decisions.entry(name).or_default().claim(claim);
        }
        done()
    }

    pub(super) fn release_names(&mut self, command: &v1::ReleaseNames) -> Applied {
        let v1::ReleaseNames { node, claims, settled } = command;
        let claims = self.read_claims(*node, claims)?;
        let settled = settled.as_ref().map(decode_vector).unwrap_or_default();
        if settled.iter().any(|dot| !self.roster.contains_key(dot.actor)) {
            return Err(ControlRefusal::Malformed);
        }
        let names = Arc::make_mut(&mut self.names);
        for (name, claim) in claims {
            if let Some(decision) = names.decisions.get_mut(&name) {
                decision.release(&claim);
                if *decision == Decision::default() {
                    names.decisions.remove(&name);
                }
            }
        }
        for dot in settled {
            advance(&mut names.settled, dot);
        }
        done()
    }

    /// What is decided about names.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    fn read_claims(
        &self,
        proposer: u32,
        claims: &[v1::NameClaim],
    ) -> Result<Vec<(NameKey, Claim)>, ControlRefusal> {
        let proposer = self.roster.get(&NodeId(proposer));
        let proposer = proposer.filter(|entry| entry.state != NodeState::Removed);
        if proposer.ok_or(ControlRefusal::NodeUnknown)?.role != Role::Writer {
            return Err(ControlRefusal::Malformed);
        }
        if claims.len() > NAME_CLAIMS_MAX {
            return Err(ControlRefusal::Malformed);
        }
        let claim = |message: &v1::NameClaim| {
            let (name, claim) = read_claim(message).ok_or(ControlRefusal::Malformed)?;
            if !self.roster.contains_key(&claim.dot.actor) {
                return Err(ControlRefusal::Malformed);
            }
            if !self.accounts.contains_key(&name.account) {
                return Err(ControlRefusal::AccountUnknown);
            }
            Ok((name, claim))
        };
        claims.iter().map(claim).collect()
    }
}

/// What an entity claims, of a command or a state.
fn read_claim(message: &v1::NameClaim) -> Option<(NameKey, Claim)> {
    let v1::NameClaim { account, name, id, dot } = message;
    let id: UniqueId = id.parse().ok()?;
    let kind = id.kind().filter(|kind| is_named(*kind))?;
    let dot = dot.filter(|dot| dot.node != 0 && dot.seq != 0)?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || fold(name) != *name {
        return None;
    }
    let account = AccountId::from_number(*account)?;
    let dot = Dot::new(NodeId(dot.node), dot.seq);
    Some((NameKey { account, kind, fold: name.as_str().into() }, Claim { id, dot }))
}

/// What an entity claims, as commands and states have it.
pub fn claim_message(name: &NameKey, claim: &Claim) -> v1::NameClaim {
    let NameKey { account, kind: _, fold } = name;
    let Claim { id, dot } = claim;
    v1::NameClaim {
        account: account.number(),
        name: fold.to_string(),
        id: id.to_string(),
        dot: Some(v1::Dot { node: dot.actor.0, seq: dot.counter }),
    }
}

fn is_named(kind: UniqueIdKind) -> bool {
    match kind {
        UniqueIdKind::User
        | UniqueIdKind::Group
        | UniqueIdKind::Role
        | UniqueIdKind::Policy
        | UniqueIdKind::InstanceProfile => true,
        UniqueIdKind::Root | UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => false,
    }
}

/// The rules for one name.
trait Decide {
    fn claim(&mut self, claim: Claim);
    fn release(&mut self, claim: &Claim);
}

impl Decide for Decision {
    fn claim(&mut self, claim: Claim) {
        match &mut self.holder {
            Some(holder) if holder.id == claim.id => renew(holder, claim),
            Some(_) => match self.lost.iter_mut().find(|lost| lost.id == claim.id) {
                Some(lost) => renew(lost, claim),
                None => self.lost.push(claim),
            },
            // It stays lost, until it is named anew.
            None if self.lost.contains(&claim) => {}
            None => {
                self.lost.retain(|lost| lost.id != claim.id);
                self.holder = Some(claim);
            }
        }
    }

    fn release(&mut self, claim: &Claim) {
        self.holder.take_if(|holder| holder == claim);
        self.lost.retain(|lost| lost != claim);
    }
}

/// Takes a newer write of the same entity. A copy of an older one that comes late must not take the
/// newer one's place.
fn renew(known: &mut Claim, claim: Claim) {
    let late = known.dot.actor == claim.dot.actor && claim.dot.counter < known.dot.counter;
    if !late {
        known.dot = claim.dot;
    }
}

pub(super) fn to_message(names: &Names) -> v1::Names {
    let Names { decisions, settled } = names;
    let mut message = v1::Names { settled: Some(encode_vector(settled)), ..v1::Names::default() };
    for (name, Decision { holder, lost }) in decisions {
        message.held.extend(holder.iter().map(|claim| claim_message(name, claim)));
        message.lost.extend(lost.iter().map(|claim| claim_message(name, claim)));
    }
    message
}

/// `None` when there are too many, one is malformed, or a name has two holders.
pub(super) fn from_message(message: &v1::Names) -> Option<Names> {
    let v1::Names { held, lost, settled } = message;
    if held.len() + lost.len() > NAMES_MAX {
        return None;
    }
    let mut decisions: BTreeMap<NameKey, Decision> = BTreeMap::new();
    for message in held {
        let (name, claim) = read_claim(message)?;
        let holder = &mut decisions.entry(name).or_default().holder;
        if holder.replace(claim).is_some() {
            return None;
        }
    }
    for message in lost {
        let (name, claim) = read_claim(message)?;
        let Decision { holder, lost } = decisions.entry(name).or_default();
        if holder.iter().chain(lost.iter()).any(|known| known.id == claim.id) {
            return None;
        }
        lost.push(claim);
    }
    Some(Names { decisions, settled: settled.as_ref().map(decode_vector).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use wire::v1::control_command::Command as C;

    use super::*;

    /// Writers 1 and 2, replica 3, the removed writer 4, and the accounts 1 and 2.
    fn cluster() -> ControlState {
        let mut state = ControlState::default();
        let writer = state.new_entry(&entry(v1::Role::Writer, "1"), NodeState::Active).unwrap();
        state.cluster_id = "c".to_owned();
        state.admit(writer);
        for (role, digit, node_state) in [
            (v1::Role::Writer, "2", NodeState::Active),
            (v1::Role::Replica, "3", NodeState::Active),
            (v1::Role::Writer, "4", NodeState::Removed),
        ] {
            let entry = state.new_entry(&entry(role, digit), node_state).unwrap();
            state.admit(entry);
        }
        for account in [1, 2] {
            state.create_account(&v1::CreateAccount { account, created_ms: 1 }).unwrap();
        }
        state
    }

    fn entry(role: v1::Role, digit: &str) -> v1::RosterEntry {
        v1::RosterEntry {
            role: role.into(),
            grpc_address: "host:1".to_owned(),
            certificate: digit.repeat(64),
            ..v1::RosterEntry::default()
        }
    }

    fn message(words: &[&str]) -> v1::NameClaim {
        let [account, name, id, dot] = words else { panic!("{words:?}") };
        let dot = dot
            .split_once('.')
            .map(|(node, seq)| v1::Dot { node: node.parse().unwrap(), seq: seq.parse().unwrap() });
        let id = if id.len() > 4 { (*id).to_owned() } else { format!("AIDA{id:A<17}") };
        v1::NameClaim { account: account.parse().unwrap(), name: (*name).to_owned(), id, dot }
    }

    /// `claim|release NODE ACCOUNT NAME ID NODE.SEQ, …`, one command a line; each answers a line.
    fn check(commands: &str, expected: Expect) {
        let mut state = cluster();
        let mut shown = String::new();
        for line in commands.lines().map(str::trim) {
            let (action, rest) = line.split_once(' ').unwrap();
            let (node, claims) = rest.split_once(' ').unwrap();
            let node = node.parse().unwrap();
            let claims =
                claims.split(", ").map(|claim| message(&claim.split(' ').collect::<Vec<_>>()));
            let claims = claims.collect();
            let before = state.clone();
            let command = match action {
                "claim" => C::ClaimNames(v1::ClaimNames { node, claims }),
                "release" => C::ReleaseNames(v1::ReleaseNames { node, claims, settled: None }),
                other => panic!("no command `{other}`"),
            };
            let reply = state.apply_once(Some(&command));
            shown += &match reply {
                Ok(_) => table(&state.names),
                Err(refusal) => {
                    assert_eq!(state, before, "a refused command changes nothing");
                    refusal.as_str_name().trim_start_matches("CONTROL_REFUSAL_").to_lowercase()
                }
            };
            shown += "\n";
            let decoded = ControlState::decode(&state.encode()).unwrap();
            assert_eq!(decoded, state);
            // Whoever asks again changes nothing.
            let once = state.clone();
            let _same = state.apply_once(Some(&command));
            assert_eq!(state, once, "{line}");
        }
        expected.assert_eq(&shown);
    }

    fn table(names: &Names) -> String {
        let claim = |Claim { id, dot }: &Claim| {
            let id = id.as_str().trim_start_matches("AIDA").trim_end_matches('A');
            format!("{id}@{}.{}", dot.actor, dot.counter)
        };
        let line = |(name, Decision { holder, lost }): (&NameKey, &Decision)| {
            let holder = holder.as_ref().map_or_else(|| "-".to_owned(), claim);
            let lost: Vec<String> = lost.iter().map(claim).collect();
            format!("{}/{}: {holder} [{}]", name.account.number(), name.fold, lost.join(" "))
        };
        names.decisions.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_logs_first_has_the_name_until_it_gives_it_up() {
        check(
            "claim 1 1 ada X 1.5
             claim 2 1 ada Y 2.1
             claim 1 1 ada X 1.5
             claim 2 1 ada Z 2.2, 2 ada Y 2.1
             release 1 1 ada Y 1.5
             release 1 1 ada X 1.4
             release 1 1 ada X 1.5
             claim 2 1 ada Y 2.1
             claim 2 1 ada W 2.9
             release 2 1 ada Y 2.1",
            expect![[r#"
                1/ada: X@1.5 []
                1/ada: X@1.5 [Y@2.1]
                1/ada: X@1.5 [Y@2.1]
                1/ada: X@1.5 [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: X@1.5 [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: X@1.5 [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: - [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: - [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: W@2.9 [Y@2.1 Z@2.2], 2/ada: Y@2.1 []
                1/ada: W@2.9 [Z@2.2], 2/ada: Y@2.1 []
            "#]],
        );
    }

    #[test]
    fn who_is_named_anew_claims_anew_and_late_copies_change_nothing() {
        check(
            "claim 1 1 ada X 1.5
             claim 2 1 ada X 1.8
             release 1 1 ada X 1.5
             claim 1 1 ada Y 2.3
             claim 1 1 ada Y 2.4
             release 1 1 ada X 1.8
             claim 1 1 ada Y 2.4
             claim 1 1 ada Y 2.7",
            expect![[r#"
                1/ada: X@1.5 []
                1/ada: X@1.8 []
                1/ada: X@1.8 []
                1/ada: X@1.8 [Y@2.3]
                1/ada: X@1.8 [Y@2.4]
                1/ada: - [Y@2.4]
                1/ada: - [Y@2.4]
                1/ada: Y@2.7 []
            "#]],
        );
        let mut state = cluster();
        for dot in ["1.5", "1.8", "1.5"] {
            let claims = vec![message(&["1", "ada", "X", dot])];
            state.claim_names(&v1::ClaimNames { node: 1, claims }).unwrap();
        }
        assert_eq!(table(&state.names), "1/ada: X@1.8 []");
    }

    #[test]
    fn kinds_do_not_share_names() {
        check(
            "claim 1 1 ada X 1.5, 1 ada AGPAAAAAAAAAAAAAAAAAA 1.6",
            expect![[r#"
                1/ada: X@1.5 [], 1/ada: AGP@1.6 []
            "#]],
        );
    }

    #[test]
    fn what_is_malformed_of_nobody_or_of_no_account_is_refused() {
        let long = "a".repeat(NAME_BYTES_MAX);
        check(
            &format!(
                "claim 3 1 ada X 1.5
                 claim 4 1 ada X 1.5
                 claim 9 1 ada X 1.5
                 release 4 1 ada X 1.5
                 claim 1 3 ada X 1.5
                 claim 1 1000000000000 ada X 1.5
                 claim 1 1 Ada X 1.5
                 claim 1 1  X 1.5
                 claim 1 1 {long}a X 1.5
                 claim 1 1 ada AKIAAAAAAAAAAAAAAAAA 1.5
                 claim 1 1 ada XXXXX 1.5
                 claim 1 1 ada X 1
                 claim 1 1 ada X 9.5
                 claim 1 1 ada X 1.0
                 claim 1 1 ada X 1.5, 3 ada X 1.5"
            ),
            expect![[r#"
                malformed
                node_unknown
                node_unknown
                node_unknown
                account_unknown
                malformed
                malformed
                malformed
                malformed
                malformed
                malformed
                malformed
                malformed
                malformed
                account_unknown
            "#]],
        );
        let mut state = cluster();
        let claims = vec![message(&["1", &long, "X", "1.5"])];
        state.claim_names(&v1::ClaimNames { node: 1, claims }).unwrap();
    }

    #[test]
    fn commands_and_the_table_are_bounded() {
        let mut state = cluster();
        let claims = |from: usize, count: usize| {
            let claims = (from..from + count)
                .map(|number| message(&["1", &number.to_string(), "X", "1.5"]))
                .collect();
            v1::ClaimNames { node: 1, claims }
        };
        let over = state.claim_names(&claims(0, NAME_CLAIMS_MAX + 1));
        assert_eq!(over, Err(ControlRefusal::Malformed));
        for batch in 0..NAMES_MAX / NAME_CLAIMS_MAX {
            state.claim_names(&claims(batch * NAME_CLAIMS_MAX, NAME_CLAIMS_MAX)).unwrap();
        }
        assert_eq!(state.names.count(), NAMES_MAX);
        assert_eq!(state.claim_names(&claims(NAMES_MAX, 1)), Err(ControlRefusal::NamesFull));
        let v1::ClaimNames { node, claims } = claims(7, 1);
        state.release_names(&v1::ReleaseNames { node, claims, settled: None }).unwrap();
        assert_eq!(ControlState::decode(&state.encode()).unwrap(), state);
        let mut message = state.to_message();
        let names = message.names.as_mut().unwrap();
        names.held.extend(
            names
                .held
                .first()
                .map(|first| v1::NameClaim { name: "more".to_owned(), ..first.clone() }),
        );
        assert!(ControlState::from_message(&message).is_ok());
        let names = message.names.as_mut().unwrap();
        names.held.extend(
            names
                .held
                .first()
                .map(|first| v1::NameClaim { name: "evenmore".to_owned(), ..first.clone() }),
        );
        assert!(ControlState::from_message(&message).is_err());
    }

    #[test]
    fn a_state_in_which_a_name_has_two_holders_is_refused() {
        let mut state = cluster();
        let claims = vec![message(&["1", "ada", "X", "1.5"]), message(&["1", "ada", "Y", "2.5"])];
        state.claim_names(&v1::ClaimNames { node: 1, claims }).unwrap();
        let message = state.to_message();
        let refused = |edit: &dyn Fn(&mut v1::Names)| {
            let mut message = message.clone();
            edit(message.names.as_mut().unwrap());
            assert!(ControlState::from_message(&message).is_err());
        };
        refused(&|names| names.held.extend(names.lost.clone()));
        refused(&|names| names.lost.extend(names.held.clone()));
        refused(&|names| names.lost.extend(names.lost.clone()));
        refused(&|names| names.held[0].name = "Ada".to_owned());
    }

    #[test]
    fn what_is_settled_only_grows() {
        let mut state = cluster();
        let settled = |dots: &[(u32, u64)]| {
            let dots = dots.iter().map(|(node, seq)| v1::Dot { node: *node, seq: *seq }).collect();
            let settled = Some(v1::VersionVector { dots });
            v1::ReleaseNames { node: 1, claims: Vec::new(), settled }
        };
        state.release_names(&settled(&[(1, 5), (4, 2)])).unwrap();
        state.release_names(&settled(&[(1, 3), (2, 7)])).unwrap();
        let seqs = [1, 2, 3, 4].map(|node| state.names.settled.get(&NodeId(node)));
        assert_eq!(seqs, [5, 7, 0, 2]);
        assert_eq!(state.release_names(&settled(&[(9, 1)])), Err(ControlRefusal::Malformed));
        assert_eq!(ControlState::decode(&state.encode()).unwrap(), state);
    }
}
