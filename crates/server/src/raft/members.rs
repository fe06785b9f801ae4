//! Raft's configuration follows the roster.
//!
//! Only the leader changes it, one step at a time, and looks again after each: a step that stopped
//! half-way, or whose leader fell, is taken up by whoever leads next.
//!
//! **Invariants.** A node votes only after it has (nearly) all of the log, so that adding it stalls
//! nothing. There is always a voter, and never more than [`VOTERS_MAX`]. Without a roster nothing
//! is changed.
//!
//! **Must not know:** why a node is in the roster.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;

use super::types::{Member, Part, RaftId, RaftNode};

/// The most voters.
pub const VOTERS_MAX: usize = 5;
/// A learner that lacks at most this many entries may become a voter.
const LAG_MAX: u64 = 100;

/// Raft's configuration as it is, with how far each node has the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configuration {
    /// Nodes by id.
    pub(crate) nodes: BTreeMap<RaftId, RaftNode>,
    /// Those who vote.
    pub(crate) voters: BTreeSet<RaftId>,
    /// A change of voters stopped between its two entries.
    pub(crate) joint: bool,
    /// The last entry that each node is known to have.
    pub(crate) matched: BTreeMap<RaftId, u64>,
    /// The leader's last entry.
    pub(crate) last_index: u64,
}

/// The next step towards the roster; `None` when there is none to take.
pub(crate) fn next_step(
    roster: &[Member],
    now: &Configuration,
) -> Option<ChangeMembers<RaftId, RaftNode>> {
    let wanted: BTreeMap<RaftId, &Member> =
        roster.iter().map(|member| (RaftId::from(member.node), member)).collect();
    if wanted.is_empty() {
        return None;
    }
    let node = |member: &Member| RaftNode { address: member.address.clone() };
    let missing: BTreeMap<_, _> = wanted
        .iter()
        .filter(|(id, _)| !now.nodes.contains_key(*id))
        .map(|(id, member)| (*id, node(member)))
        .collect();
    if !missing.is_empty() {
        return Some(ChangeMembers::AddNodes(missing));
    }
    let moved: BTreeMap<_, _> = wanted
        .iter()
        .filter(|(id, member)| now.nodes.get(*id).is_some_and(|at| at.address != member.address))
        .map(|(id, member)| (*id, node(member)))
        .collect();
    if !moved.is_empty() {
        return Some(ChangeMembers::SetNodes(moved));
    }
    let voters = choose_voters(&wanted, now);
    if !voters.is_empty() && (now.joint || voters != now.voters) {
        return Some(ChangeMembers::ReplaceAllVoters(voters));
    }
    let gone: BTreeSet<_> = now
        .nodes
        .keys()
        .filter(|id| !wanted.contains_key(*id) && !now.voters.contains(*id))
        .copied()
        .collect();
    (!gone.is_empty()).then_some(ChangeMembers::RemoveNodes(gone))
}

/// Who votes already goes on, then those who have the log, by id.
fn choose_voters(wanted: &BTreeMap<RaftId, &Member>, now: &Configuration) -> BTreeSet<RaftId> {
    let may = |id: &RaftId| wanted.get(id).is_some_and(|member| member.part == Part::Voter);
    let ready = |id: &RaftId| {
        let matched = now.matched.get(id).copied();
        matched.is_some_and(|matched| matched.saturating_add(LAG_MAX) >= now.last_index)
    };
    let stay = now.voters.iter().filter(|id| may(id));
    let join = wanted.keys().filter(|id| may(id) && !now.voters.contains(id) && ready(id));
    stay.chain(join).take(VOTERS_MAX).copied().collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Members as `1v 2l`, the configuration as `1V 2@90`: voters in capitals, learners with the
    /// last entry they have, of 1000.
    fn check(roster: &str, now: &str, expected: Expect) {
        let number = |text: &str| text.trim_matches(char::is_alphabetic).parse().unwrap();
        let member = |word: &str| Member {
            node: number(word),
            address: format!("host-{}:1", number(word)),
            part: if word.ends_with('v') { Part::Voter } else { Part::Learner },
        };
        let roster: Vec<Member> = roster.split_whitespace().map(member).collect();
        let mut configuration = Configuration { last_index: 1000, ..Configuration::default() };
        for word in now.split_whitespace() {
            let (id, matched) = word.split_once('@').unwrap_or((word, "1000"));
            let node = RaftId::from(number(id));
            let address = format!("host-{node}:{}", if id.ends_with('m') { 2 } else { 1 });
            configuration.nodes.insert(node, RaftNode { address });
            configuration.matched.insert(node, matched.parse().unwrap());
            if id.ends_with('V') {
                configuration.voters.insert(node);
            }
        }
        let step = next_step(&roster, &configuration);
        expected.assert_eq(&step.map_or_else(|| "-".into(), |step| format!("{step:?}")));
    }

    #[test]
    fn steps() {
        check("", "1V", expect!["-"]);
        check("1v", "1V", expect!["-"]);
        check("1v 2v", "1V", expect![[r#"AddNodes({2: RaftNode { address: "host-2:1" }})"#]]);
        check("1v 2v", "1V 2@899", expect!["-"]);
        check("1v 2v", "1V 2@900", expect!["ReplaceAllVoters({1, 2})"]);
        check("1v 2l", "1V 2", expect!["-"]);
        check("1v 2v", "1V 2V", expect!["-"]);
        check("1v 2v 3v 4v 5v 6v", "1V 2V 3V 4V 6V 5", expect!["-"]);
        check("1v 2v 3v 4v 5v 6v", "1V 2V 3V 4V 5 6", expect!["ReplaceAllVoters({1, 2, 3, 4, 5})"]);
        check(
            "2v 3v 4v 5v 6v 7v",
            "1V 2V 3V 4V 6V 5 7",
            expect!["ReplaceAllVoters({2, 3, 4, 5, 6})"],
        );
        check("1v 3v", "1V 2V 3V", expect!["ReplaceAllVoters({1, 3})"]);
        check("1v 3v", "1V 2 3V", expect!["RemoveNodes({2})"]);
        check("1l", "1V", expect!["-"]);
        check("1v 2l", "1V 2m", expect![[r#"SetNodes({2: RaftNode { address: "host-2:1" }})"#]]);
    }

    #[test]
    fn a_change_that_stopped_half_way_is_taken_up() {
        let members = [Member { node: 1, address: "a".into(), part: Part::Voter }];
        let node = RaftNode { address: "a".into() };
        let now = Configuration {
            nodes: [(1, node.clone()), (2, node)].into(),
            voters: [1, 2].into(),
            joint: true,
            ..Configuration::default()
        };
        let step = next_step(&members, &now);
        assert_eq!(step, Some(ChangeMembers::ReplaceAllVoters([1].into())));
        let settled = Configuration { voters: [1].into(), nodes: now.nodes.clone(), ..now };
        let step = next_step(&members, &Configuration { joint: true, ..settled });
        assert_eq!(step, Some(ChangeMembers::ReplaceAllVoters([1].into())));
    }
}
