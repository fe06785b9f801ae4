//! Names: of those who claim a name the log's first has it, and keeps it until it gives it up.
//!
//! A write that names an entity takes effect at once; its node then has the name claimed here. Who
//! comes second has lost, however long its partition or wrong its clock, and is quarantined until
//! it is renamed or deleted.
//!
//! A command says what its proposer has *seen*, and of each name that it claims all that have it
//! there. Who is in the table by a write that was seen, and is not listed, has been renamed or
//! deleted: the name is free for the next on the list. Nobody else gives a name up. So a name
//! passes on only where both are known, its giving up and its taking; a claim that comes late, of
//! one whose deletion others have seen already, cannot take it back from who has it. Somewhere the
//! first may still be in use, as anything that was deleted a moment ago may; and a call that races
//! the deletion may yet leave its existence contested. It is then the one without the name.
//!
//! The table would hold every name for ever. A proposer that has seen a vector, in which whoever
//! has a name by a write of it is in the table, *settles* it: an entry that only has a holder, by
//! such a write, goes, and from then on the table has it unsaid. It comes back as soon as somebody
//! else claims the name: only who has seen all that is settled may propose, and so lists the
//! holder.
//!
//! What is proposed a majority of the writers has on disk, the giving up of a name as much as its
//! taking, so that no claim outlives its entity, and nobody waits for what is settled and lost. Of
//! a node that was removed nothing stays settled that no member had.
//!
//! **Invariants.** A name has one holder. It is replaced only by who has seen that it gave the
//! name up. A claim that lost stays lost. A claim that is made again changes nothing. The table is
//! bounded.
//!
//! **Must not know:** entities; who proposes has seen them.

use std::{collections::BTreeMap, sync::Arc};

use crdt::{Dot, NodeId, VersionVector, advance, covers, dominates};
use identity::{Claim, Decision, NAME_BYTES_MAX, NAME_CLAIMS_MAX, NameKey, Names};
use model::{AccountId, UniqueId, UniqueIdKind, fold};
use wire::{
    transaction::{decode_vector, encode_vector},
    v1::{self, ControlRefusal},
};

use super::{Applied, ControlState, NodeState, Role, done};

/// Claims that are kept, at most. They go once they are settled, so that only those of the last
/// seconds are there, those that lost, and those of a time in which too few writers told what they
/// have. Names that find no room stay provisional.
pub const NAMES_MAX: usize = 20_000;

impl ControlState {
    pub(super) fn claim_names(&mut self, command: &v1::ClaimNames) -> Applied {
        let v1::ClaimNames { node, claims, released, seen, settled } = command;
        self.check_proposer(*node)?;
        if claims.len() + released.len() > NAME_CLAIMS_MAX {
            return Err(ControlRefusal::Malformed);
        }
        let (claims, released) = (self.read_claims(claims)?, self.read_claims(released)?);
        let seen = self.read_vector(seen.as_ref())?;
        let settled = self.read_vector(settled.as_ref())?;
        if !dominates(&seen, &settled) {
            return Err(ControlRefusal::Malformed);
        }
        if !dominates(&seen, &self.names.settled) {
            return Err(ControlRefusal::NamesBehind);
        }
        let mut names = (*self.names).clone();
        for (name, claim) in released {
            if let Some(decision) = names.decisions.get_mut(&name) {
                decision.release(&claim);
            }
        }
        let mut live: BTreeMap<NameKey, Vec<Claim>> = BTreeMap::new();
        for (name, claim) in claims {
            live.entry(name).or_default().push(claim);
        }
        for (name, live) in live {
            let decision =
                names.decisions.entry(name).or_insert_with(|| unsaid(&live, &names.settled));
            decision.decide(&live, &seen);
        }
        for dot in settled {
            advance(&mut names.settled, dot);
        }
        let Names { decisions, settled } = &mut names;
        decisions.retain(|_, decision| !decision.is_unsaid(settled));
        if names.count() > NAMES_MAX && names.count() > self.names.count() {
            return Err(ControlRefusal::NamesFull);
        }
        if names != *self.names {
            self.names = Arc::new(names);
        }
        done()
    }

    /// What is decided about names.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    fn check_proposer(&self, proposer: u32) -> Result<(), ControlRefusal> {
        let proposer = self.roster.get(&NodeId(proposer));
        let proposer = proposer.filter(|entry| entry.state != NodeState::Removed);
        if proposer.ok_or(ControlRefusal::NodeUnknown)?.role == Role::Writer {
            Ok(())
        } else {
            Err(ControlRefusal::Malformed)
        }
    }

    fn read_vector(
        &self,
        vector: Option<&v1::VersionVector>,
    ) -> Result<VersionVector, ControlRefusal> {
        let vector = vector.map(decode_vector).unwrap_or_default();
        let known = vector.dots.keys().all(|node| self.roster.contains_key(node));
        if known { Ok(vector) } else { Err(ControlRefusal::Malformed) }
    }

    fn read_claims(
        &self,
        claims: &[v1::NameClaim],
    ) -> Result<Vec<(NameKey, Claim)>, ControlRefusal> {
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

/// What the table has unsaid of a name that only these have. Of several whose names are settled
/// (one was deleted, and came back by a call that raced the deletion) none has it beforehand.
fn unsaid(live: &[Claim], settled: &VersionVector) -> Decision {
    let mut holders = live.iter().filter(|claim| covers(settled, &claim.dot));
    match (holders.next(), holders.next()) {
        (Some(holder), None) => Decision { holder: Some(*holder), lost: Vec::new() },
        (None | Some(_), _) => Decision::default(),
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
        | UniqueIdKind::InstanceProfile
        | UniqueIdKind::ServerCertificate
        | UniqueIdKind::OidcProvider
        | UniqueIdKind::SamlProvider
        | UniqueIdKind::MfaDevice => true,
        UniqueIdKind::Root | UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => false,
    }
}

/// The rules for one name.
trait Decide {
    /// These have the name in a state that covers `seen`.
    fn decide(&mut self, live: &[Claim], seen: &VersionVector);
    fn claim(&mut self, claim: Claim);
    fn release(&mut self, claim: &Claim);
    /// Whether it need not be said.
    fn is_unsaid(&self, settled: &VersionVector) -> bool;
}

impl Decide for Decision {
    fn decide(&mut self, live: &[Claim], seen: &VersionVector) {
        let gone = |known: &Claim| {
            covers(seen, &known.dot) && !live.iter().any(|claim| claim.id == known.id)
        };
        self.holder.take_if(|holder| gone(holder));
        self.lost.retain(|lost| !gone(lost));
        for claim in live {
            self.claim(*claim);
        }
    }

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

    fn is_unsaid(&self, settled: &VersionVector) -> bool {
        let Self { holder, lost } = self;
        lost.is_empty() && holder.is_none_or(|holder| covers(settled, &holder.dot))
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

    /// `ACCOUNT NAME ID NODE.SEQ`
    fn message(text: &str) -> v1::NameClaim {
        let words: Vec<&str> = text.split(' ').collect();
        let [account, name, id, dot] = words.as_slice() else { panic!("{words:?}") };
        let dot = dot
            .split_once('.')
            .map(|(node, seq)| v1::Dot { node: node.parse().unwrap(), seq: seq.parse().unwrap() });
        let id = if id.len() > 4 { (*id).to_owned() } else { format!("AIDA{id:A<17}") };
        v1::NameClaim { account: account.parse().unwrap(), name: (*name).to_owned(), id, dot }
    }

    fn vector(text: &str) -> Option<v1::VersionVector> {
        let dot = |text: &str| {
            let (node, seq) = text.split_once('.').unwrap();
            v1::Dot { node: node.parse().unwrap(), seq: seq.parse().unwrap() }
        };
        Some(v1::VersionVector {
            dots: text.split(' ').filter(|t| !t.is_empty()).map(dot).collect(),
        })
    }

    /// `NODE: claim CLAIM, … | release CLAIM, … | seen DOT … | settle DOT …`
    fn command(line: &str) -> v1::ClaimNames {
        let (node, rest) = line.split_once(": ").unwrap();
        let mut command =
            v1::ClaimNames { node: node.parse().unwrap(), ..v1::ClaimNames::default() };
        for part in rest.split(" | ") {
            let (word, rest) = part.split_once(' ').unwrap();
            match word {
                "claim" => command.claims = rest.split(", ").map(message).collect(),
                "release" => command.released = rest.split(", ").map(message).collect(),
                "seen" => command.seen = vector(rest),
                "settle" => command.settled = vector(rest),
                other => panic!("no `{other}`"),
            }
        }
        command
    }

    /// One command a line; each answers a line.
    fn check(commands: &str, expected: Expect) {
        let mut state = cluster();
        let mut shown = String::new();
        for line in commands.lines().map(str::trim) {
            let before = state.clone();
            let command = C::ClaimNames(command(line));
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
        let shown = names.decisions.iter().map(line).collect::<Vec<_>>().join(", ");
        let settled = names.settled.iter().map(|dot| format!(" {}.{}", dot.actor, dot.counter));
        let settled: String = settled.collect();
        if settled.is_empty() { shown } else { format!("{shown} settled{settled}") }
    }

    #[test]
    fn the_logs_first_has_the_name_and_who_lost_it_stays_lost() {
        check(
            "1: claim 1 ada X 1.5 | seen 1.5
             2: claim 1 ada Y 2.1 | seen 2.1
             1: claim 1 ada X 1.5 | seen 1.5
             2: claim 1 ada Z 2.2, 2 ada Y 2.1 | seen 2.2
             1: release 1 ada Y 1.5
             1: release 1 ada X 1.4
             1: release 1 ada X 1.5
             2: claim 1 ada Z 2.2 | seen 2.2 1.6
             2: claim 1 ada Z 2.2, 1 ada W 2.9 | seen 2.9
             2: release 1 ada Z 2.2",
            expect![[r#"
                1/ada: X@1.5 []
                1/ada: X@1.5 [Y@2.1]
                1/ada: X@1.5 [Y@2.1]
                1/ada: X@1.5 [Z@2.2], 2/ada: Y@2.1 []
                1/ada: X@1.5 [Z@2.2], 2/ada: Y@2.1 []
                1/ada: X@1.5 [Z@2.2], 2/ada: Y@2.1 []
                1/ada: - [Z@2.2], 2/ada: Y@2.1 []
                1/ada: - [Z@2.2], 2/ada: Y@2.1 []
                1/ada: W@2.9 [Z@2.2], 2/ada: Y@2.1 []
                1/ada: W@2.9 [], 2/ada: Y@2.1 []
            "#]],
        );
    }

    #[test]
    fn a_name_passes_on_only_by_who_has_seen_it_given_up() {
        check(
            // Y was made without having seen X: it lost, and what else Y's node sees is no matter.
            "1: claim 1 ada X 1.5 | seen 1.5
             2: claim 1 ada Y 2.1 | seen 2.1 1.4
             2: claim 1 ada Y 2.1, 1 ada X 1.5 | seen 2.1 1.5
             2: claim 1 ada Z 2.4, 1 ada Y 2.1 | seen 2.4 1.5
             1: claim 1 ada X 1.5 | seen 1.5",
            expect![[r#"
                1/ada: X@1.5 []
                1/ada: X@1.5 [Y@2.1]
                1/ada: X@1.5 [Y@2.1]
                1/ada: Z@2.4 [Y@2.1]
                1/ada: Z@2.4 [Y@2.1 X@1.5]
            "#]],
        );
    }

    #[test]
    fn who_is_named_anew_claims_anew_and_late_copies_change_nothing() {
        check(
            "1: claim 1 ada X 1.5 | seen 1.5
             2: claim 1 ada X 1.8 | seen 1.8
             1: release 1 ada X 1.5
             1: claim 1 ada Y 2.3 | seen 2.3
             1: claim 1 ada Y 2.4 | seen 2.4
             1: release 1 ada X 1.8
             1: claim 1 ada Y 2.4 | seen 2.4
             1: claim 1 ada Y 2.7 | seen 2.7",
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
            let line = format!("1: claim 1 ada X {dot} | seen {dot}");
            state.claim_names(&command(&line)).unwrap();
        }
        assert_eq!(table(&state.names), "1/ada: X@1.8 []");
    }

    #[test]
    fn what_is_settled_is_held_unsaid() {
        check(
            "1: claim 1 ada X 1.5, 1 bob V 1.6 | seen 1.6
             2: claim 1 ada Y 2.1 | seen 2.1
             1: seen 1.6 2.1 | settle 1.5 2.1
             1: seen 1.6 2.1 | settle 1.6
             2: claim 1 bob W 2.2 | seen 2.2 1.5
             2: claim 1 bob V 1.6, 1 bob W 2.2 | seen 2.2 1.6
             2: claim 1 bob V 1.6, 1 bob W 2.2 | seen 2.2 1.6 | settle 2.2
             1: claim 1 bob W 2.2 | seen 2.2 1.7
             1: claim 1 bob Z 1.8, 1 bob W 2.2 | seen 2.2 1.8
             1: release 1 bob W 2.2, 1 ada Y 2.1 | seen 2.4 1.8 | settle 1.8
             1: claim 1 ada X 1.5, 1 ada U 1.9 | seen 2.4 1.9
             1: claim 1 ada T 1.10, 1 ada U 1.9 | seen 2.4 1.10",
            expect![[r#"
                1/ada: X@1.5 [], 1/bob: V@1.6 []
                1/ada: X@1.5 [Y@2.1], 1/bob: V@1.6 []
                1/ada: X@1.5 [Y@2.1], 1/bob: V@1.6 [] settled 1.5 2.1
                1/ada: X@1.5 [Y@2.1] settled 1.6 2.1
                names_behind
                1/ada: X@1.5 [Y@2.1], 1/bob: V@1.6 [W@2.2] settled 1.6 2.1
                1/ada: X@1.5 [Y@2.1], 1/bob: V@1.6 [W@2.2] settled 1.6 2.2
                1/ada: X@1.5 [Y@2.1], 1/bob: - [W@2.2] settled 1.6 2.2
                1/ada: X@1.5 [Y@2.1], 1/bob: Z@1.8 [W@2.2] settled 1.6 2.2
                 settled 1.8 2.2
                1/ada: X@1.5 [U@1.9] settled 1.8 2.2
                1/ada: T@1.10 [U@1.9] settled 1.8 2.2
            "#]],
        );
    }

    #[test]
    fn of_two_that_are_settled_the_first_that_is_listed_has_the_name() {
        check(
            "1: seen 1.6 2.6 | settle 1.6 2.6
             1: claim 1 ada X 1.5, 1 ada Y 2.1 | seen 1.6 2.6",
            expect![[r#"
                 settled 1.6 2.6
                1/ada: X@1.5 [Y@2.1] settled 1.6 2.6
            "#]],
        );
    }

    #[test]
    fn kinds_do_not_share_names() {
        check(
            "1: claim 1 ada X 1.5, 1 ada AGPAAAAAAAAAAAAAAAAAA 1.6 | seen 1.6",
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
                "3: claim 1 ada X 1.5
                 4: claim 1 ada X 1.5
                 9: claim 1 ada X 1.5
                 4: release 1 ada X 1.5
                 1: claim 3 ada X 1.5
                 1: claim 1000000000000 ada X 1.5
                 1: claim 1 Ada X 1.5
                 1: claim 1  X 1.5
                 1: claim 1 {long}a X 1.5
                 1: claim 1 ada AKIAAAAAAAAAAAAAAAAA 1.5
                 1: claim 1 ada QQQQQ 1.5
                 1: claim 1 ada X 1
                 1: claim 1 ada X 9.5
                 1: claim 1 ada X 1.0
                 1: claim 1 ada X 1.5, 3 ada X 1.5
                 1: seen 9.1
                 1: seen 1.5 | settle 1.6"
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
                malformed
                malformed
            "#]],
        );
        let mut state = cluster();
        state.claim_names(&command(&format!("1: claim 1 {long} X 1.5 | seen 1.5"))).unwrap();
    }

    #[test]
    fn commands_and_the_table_are_bounded() {
        let mut state = cluster();
        let claims = |from: usize, count: usize| {
            let claim = |number| message(&format!("1 {number} X 1.5"));
            let claims = (from..from + count).map(claim).collect();
            v1::ClaimNames { node: 1, claims, seen: vector("1.5"), ..v1::ClaimNames::default() }
        };
        let over = state.claim_names(&claims(0, NAME_CLAIMS_MAX + 1));
        assert_eq!(over, Err(ControlRefusal::Malformed));
        for batch in 0..NAMES_MAX / NAME_CLAIMS_MAX {
            state.claim_names(&claims(batch * NAME_CLAIMS_MAX, NAME_CLAIMS_MAX)).unwrap();
        }
        assert_eq!(state.names.count(), NAMES_MAX);
        assert_eq!(state.claim_names(&claims(NAMES_MAX, 1)), Err(ControlRefusal::NamesFull));
        state.claim_names(&claims(7, 1)).unwrap();
        let v1::ClaimNames { claims: released, .. } = claims(7, 1);
        state.claim_names(&v1::ClaimNames { node: 1, released, ..Default::default() }).unwrap();
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
        state.claim_names(&command("1: claim 1 ada X 1.5, 1 ada Y 2.5 | seen 1.5 2.5")).unwrap();
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
        for line in ["1: seen 1.9 2.9 4.9 | settle 1.5 4.2", "1: seen 1.9 2.9 4.9 | settle 1.3 2.7"]
        {
            state.claim_names(&command(line)).unwrap();
        }
        let seqs = [1, 2, 3, 4].map(|node| state.names.settled.get(&NodeId(node)));
        assert_eq!(seqs, [5, 7, 0, 2]);
        assert_eq!(ControlState::decode(&state.encode()).unwrap(), state);
    }
}
