//! Votes about states, and the repair of a node that is outvoted: whom it asks, when it takes on
//! what it gets, when it asks again.

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use crdt::{Dot, NodeId, VersionVector};
    use replication::{
        Compare, Digest, DigestState, Effect, Frame, Heartbeat, Hello, Item, Member, MemberState,
        Mended, Part, Progress, Replication, Role, Roster, Snapshot, Subscribe,
    };

    const ME: NodeId = NodeId(1);
    const SECOND: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);

    type Machine = Replication<()>;

    fn machine(members: u32) -> Machine {
        let mut machine = Machine::new(ME, "c".into());
        let member =
            || Member { role: Role::Writer, state: MemberState::Active, region: String::new() };
        let members: BTreeMap<_, _> = (1..=members).map(|node| (NodeId(node), member())).collect();
        machine.set_roster(0, Roster { epoch: 1, members: members.clone() });
        for node in members.keys().filter(|node| **node != ME) {
            open(&mut machine, *node, 1);
        }
        machine
    }

    fn open(machine: &mut Machine, node: NodeId, session: u64) {
        machine.peer_up(0, node, session);
        let hello = Hello { cluster_id: "c".into(), node, epoch: 1 };
        machine.frame(0, node, session, Frame::Hello(hello));
    }

    fn vector(dots: &[(NodeId, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| Dot::new(*node, *seq)).collect()
    }

    fn digest(seq: u64, total: u8) -> Digest {
        Digest { at: vector(&[(SECOND, seq)]), collected: 0, total: [total; 16] }
    }

    fn tells(machine: &mut Machine, now_ms: u64, node: NodeId, digest: Digest) -> Vec<Effect<()>> {
        let progress = vec![(node, Progress::default())];
        let heartbeat = Heartbeat { progress, digest: Some(digest), hlc: 0 };
        machine.frame(now_ms, node, 1, Frame::Heartbeat(heartbeat))
    }

    fn alarms(effects: &[Effect<()>]) -> Vec<&str> {
        let mut found = Vec::new();
        for effect in effects {
            if let Effect::Alarm { what } = effect {
                found.push(what.as_str());
            }
        }
        found
    }

    /// Whom a comparison is asked of, and from where on.
    fn asked(effects: &[Effect<()>]) -> Option<(NodeId, Option<&[u8]>)> {
        effects.iter().find_map(|effect| {
            let Effect::Compare { peer, after, .. } = effect else { return None };
            Some((*peer, after.as_deref()))
        })
    }

    fn mends(effects: &[Effect<()>]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::Mend { .. }))
    }

    fn part(seq: u64) -> Frame<Item<()>> {
        Frame::Part(Part { at: vector(&[(SECOND, seq)]), bytes: [7].into() })
    }

    fn transaction(seq: u64) -> Frame<Item<()>> {
        let (dot, deps) = (Dot::new(SECOND, seq), vector(&[(SECOND, seq - 1)]));
        Frame::Batch(vec![Item { dot, deps, bytes: (*b"x").into(), payload: () }])
    }

    /// One of three, which the others have outvoted; it has asked the second.
    fn outvoted() -> Machine {
        let mut machine = machine(3);
        machine.note_digest(digest(0, 1));
        tells(&mut machine, 0, THIRD, digest(0, 2));
        let effects = tells(&mut machine, 0, SECOND, digest(0, 2));
        assert_eq!(asked(&effects), Some((SECOND, None)));
        machine
    }

    #[test]
    fn who_differs_from_most_is_outvoted_and_nobody_else() {
        let mut one_of_two = machine(2);
        one_of_two.note_digest(digest(1, 1));
        assert_eq!(alarms(&tells(&mut one_of_two, 0, SECOND, digest(1, 2))).len(), 1);
        assert_eq!(one_of_two.peer_status(SECOND).digest, DigestState::Different);
        assert!(!one_of_two.is_outvoted());

        let mut machine = machine(4);
        machine.note_digest(digest(1, 1));
        machine.note_digest(digest(2, 1));
        tells(&mut machine, 0, SECOND, digest(2, 2));
        tells(&mut machine, 0, THIRD, digest(1, 2));
        assert!(!machine.is_outvoted(), "of different moments");
        tells(&mut machine, 0, THIRD, digest(2, 2));
        assert!(!machine.is_outvoted(), "two of four are not most");
        tells(&mut machine, 0, NodeId(4), digest(2, 3));
        assert!(!machine.is_outvoted(), "all differ");
        let effects = tells(&mut machine, 0, NodeId(4), digest(2, 2));
        assert!(machine.is_outvoted());
        let text = "divergence: nodes [2, 3, 4] agree on another state \
                    than this node's, which answers nobody until it is mended";
        assert_eq!(alarms(&effects), [text]);
        // They go on, and it is not seen at the same moment as they.
        assert!(alarms(&tells(&mut machine, 0, NodeId(4), digest(3, 4))).is_empty());
        assert!(machine.is_outvoted());
        machine.note_digest(digest(4, 9));
        tells(&mut machine, 0, SECOND, digest(4, 9));
        assert!(machine.is_outvoted(), "one of four agrees");
        tells(&mut machine, 0, THIRD, digest(4, 9));
        assert!(!machine.is_outvoted());
    }

    #[test]
    fn a_replica_is_outvoted_by_most_writers_and_has_a_vote() {
        for (writers, outvoted) in [(2, true), (3, false)] {
            let mut replica = Machine::new(NodeId(9), "c".into());
            let member = |role| Member { role, state: MemberState::Active, region: String::new() };
            let mut members: BTreeMap<_, _> =
                (1..=writers).map(|node| (NodeId(node), member(Role::Writer))).collect();
            members.extend((6..=9).map(|node| (NodeId(node), member(Role::Replica))));
            replica.set_roster(0, Roster { epoch: 1, members });
            replica.note_digest(digest(1, 1));
            for node in [NodeId(1), SECOND] {
                open(&mut replica, node, 1);
                tells(&mut replica, 0, node, digest(1, 2));
            }
            assert_eq!(replica.is_outvoted(), outvoted);
        }
    }

    #[test]
    fn a_part_is_taken_on_once_all_that_it_has_was_applied() {
        let mut machine = outvoted();
        assert!(!mends(&machine.frame(0, SECOND, 1, part(2))));
        assert!(!mends(&machine.frame(0, SECOND, 1, transaction(1))));
        assert!(mends(&machine.frame(0, SECOND, 1, transaction(2))));
        assert!(!mends(&machine.tick(1)), "it is taken on once");
        let upto = Some(Box::<[u8]>::from(*b"k"));
        let (lsn, effects) = machine.mended(1, Mended::Equal { upto, whole: true });
        assert_eq!((lsn, asked(&effects)), (None, Some((SECOND, Some(&b"k"[..])))));
        assert!(mends(&machine.frame(1, SECOND, 1, part(2))));
        let (lsn, effects) = machine.mended(1, Mended::Again);
        assert_eq!((lsn, asked(&effects)), (None, None));
        assert_eq!(asked(&machine.tick(100)), None);
        assert_eq!(asked(&machine.tick(101)), Some((SECOND, Some(&b"k"[..]))));
        assert!(mends(&machine.frame(101, SECOND, 1, part(2))));
        let mended = Mended::Changed { upto: None, record: [1].into() };
        let (lsn, effects) = machine.mended(101, mended);
        assert_eq!((lsn, asked(&effects)), (Some(3), None));
        // What it said before was of another state.
        machine.note_digest(digest(0, 2));
        assert!(!machine.is_outvoted());
        assert_eq!(asked(&machine.tick(10_000)), None);
    }

    #[test]
    fn the_next_round_asks_another_and_later() {
        let mut machine = outvoted();
        assert!(!mends(&machine.frame(0, THIRD, 1, part(0))), "it was not asked");
        assert!(mends(&machine.frame(0, SECOND, 1, part(0))));
        machine.mended(0, Mended::Equal { upto: None, whole: false });
        assert_eq!(asked(&machine.tick(499)), None);
        assert_eq!(asked(&machine.tick(500)), Some((THIRD, None)));
        assert!(mends(&machine.frame(500, THIRD, 1, part(0))));
        let (_, effects) = machine.mended(500, Mended::Malformed);
        assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseStream { .. })));
        assert_eq!(asked(&machine.tick(1_499)), None);
        assert_eq!(asked(&machine.tick(1_500)), Some((SECOND, None)));
    }

    #[test]
    fn a_whole_round_that_finds_nothing_to_differ_ends_it() {
        for whole in [true, false] {
            let mut machine = outvoted();
            assert!(mends(&machine.frame(0, SECOND, 1, part(0))));
            let upto = Some(Box::<[u8]>::from(*b"k"));
            machine.mended(0, Mended::Equal { upto, whole });
            assert!(machine.is_outvoted());
            assert!(mends(&machine.frame(0, SECOND, 1, part(0))));
            machine.mended(0, Mended::Equal { upto: None, whole: true });
            assert_eq!(machine.is_outvoted(), !whole);
        }
    }

    #[test]
    fn who_cannot_be_compared_with_is_given_up() {
        let mut machine = outvoted();
        for now_ms in (0..=10_000).step_by(1_000) {
            for node in [SECOND, THIRD] {
                tells(&mut machine, now_ms, node, digest(0, 2));
            }
            machine.tick(now_ms);
            assert!(mends(&machine.frame(now_ms, SECOND, 1, part(0))), "{now_ms}");
            machine.mended(now_ms, Mended::Again);
        }
        assert_eq!(asked(&machine.tick(10_500)), Some((THIRD, None)));
    }

    #[test]
    fn a_roster_of_which_nobody_else_is_left_outvotes_nobody() {
        let mut machine = outvoted();
        let mut roster = Roster { epoch: 2, members: BTreeMap::new() };
        let member = |state| Member { role: Role::Writer, state, region: String::new() };
        roster.members.insert(ME, member(MemberState::Active));
        roster.members.insert(SECOND, member(MemberState::Removed));
        roster.members.insert(THIRD, member(MemberState::Removed));
        machine.set_roster(0, roster);
        assert!(!machine.is_outvoted());
    }

    #[test]
    fn a_part_does_not_outlive_its_stream() {
        let mut machine = outvoted();
        machine.frame(0, SECOND, 1, part(1));
        machine.peer_down(0, SECOND, 1);
        open(&mut machine, SECOND, 2);
        assert!(!mends(&machine.frame(0, SECOND, 2, transaction(1))));
        assert!(!mends(&machine.frame(0, SECOND, 2, part(1))), "it was not asked on this stream");
        assert_eq!(asked(&machine.tick(500)), Some((THIRD, None)));
    }

    #[test]
    fn who_never_answers_is_not_waited_for() {
        let mut machine = outvoted();
        for now_ms in (0..10_000).step_by(1_000) {
            for node in [SECOND, THIRD] {
                tells(&mut machine, now_ms, node, digest(0, 2));
            }
            assert!(asked(&machine.tick(now_ms)).is_none());
        }
        machine.tick(10_000);
        assert_eq!(asked(&machine.tick(10_500)), Some((THIRD, None)));
    }

    #[test]
    fn a_snapshot_from_before_a_mend_is_not_offered() {
        let mut machine = outvoted();
        for seq in 1..=3 {
            machine.frame(0, SECOND, 1, transaction(seq));
        }
        machine.persisted(0, 3);
        machine.trim(3, 0, u64::MAX);
        let offers = |effects: Vec<Effect<()>>| {
            let offer = |e: &Effect<()>| matches!(e, Effect::Send { frame: Frame::Offer(_), .. });
            effects.iter().any(offer)
        };
        let subscribe = Subscribe { have: VersionVector::new(), exclude: [].into(), generation: 1 };
        let snapshot = |hash| Snapshot { hash: [hash; 32], bytes: 9 };
        assert!(!offers(machine.set_snapshot(0, snapshot(1), 3)));
        assert!(!offers(machine.frame(0, THIRD, 1, Frame::Subscribe(subscribe))));
        assert!(mends(&machine.frame(0, SECOND, 1, part(3))));
        let mended = Mended::Changed { upto: None, record: Arc::from([1]) };
        assert_eq!(machine.mended(0, mended).0, Some(4));
        assert!(!offers(machine.set_snapshot(0, snapshot(2), 4)), "it is still outvoted");
        machine.note_digest(digest(0, 2));
        assert!(!machine.is_outvoted());
        assert!(!offers(machine.set_snapshot(0, snapshot(1), 3)));
        assert!(offers(machine.set_snapshot(0, snapshot(2), 4)));
    }

    #[test]
    fn who_asks_is_answered_on_its_stream() {
        let mut machine = machine(3);
        let compare = Compare { sums: [1].into(), after: None };
        let effects = machine.frame(0, THIRD, 1, Frame::Compare(compare.clone()));
        assert_eq!(effects, [Effect::Answer { peer: THIRD, session: 1, compare }]);
    }
}
