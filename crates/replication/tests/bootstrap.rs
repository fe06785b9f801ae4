//! Snapshots on a stream: who is offered one, how it is fetched, what a join claims.

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use crdt::{Dot, NodeId, VersionVector};
    use replication::{
        Effect, FETCH_BYTES, FETCHES_AHEAD_MAX, FETCHES_MAX, Fetch, Frame, Heartbeat, Hello, Item,
        Member, MemberState, Piece, Progress, Replication, Role, Roster, Snapshot, Subscribe,
    };

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);
    const ALL: u64 = u64::MAX;
    const SNAPSHOT: Snapshot = Snapshot { hash: [7; 32], bytes: 20 * FETCH_BYTES + 5 };

    type Machine = Replication<()>;

    fn connected() -> Machine {
        let mut machine = Machine::new(ME, "c".into());
        let member =
            || Member { role: Role::Writer, state: MemberState::Active, region: String::new() };
        let members: BTreeMap<_, _> = [ME, PEER, THIRD].map(|node| (node, member())).into();
        machine.set_roster(0, Roster { epoch: 1, members });
        open(&mut machine, PEER, 1);
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

    fn append(machine: &mut Machine, count: u64) {
        for _ in 0..count {
            let deps = machine.applied().clone();
            machine.append(deps.inc(ME), &deps, [0; 10].into());
        }
        machine.persisted(0, ALL);
    }

    fn subscribe(generation: u64, have: &[(NodeId, u64)]) -> Frame<Item<()>> {
        Frame::Subscribe(Subscribe { have: vector(have), exclude: [].into(), generation })
    }

    fn durable(node: NodeId, dots: &[(NodeId, u64)]) -> Frame<Item<()>> {
        let progress = Progress { durable: vector(dots), ..Progress::default() };
        Frame::Heartbeat(Heartbeat { progress: vec![(node, progress)], digest: None, hlc: 0 })
    }

    fn sent(effects: &[Effect<()>]) -> Vec<Frame<Arc<[u8]>>> {
        let frame = |effect: &Effect<()>| {
            let Effect::Send { frame, .. } = effect else { return None };
            (!matches!(frame, Frame::Heartbeat(_))).then(|| frame.clone())
        };
        effects.iter().filter_map(frame).collect()
    }

    fn offers(effects: &[Effect<()>]) -> Vec<Snapshot> {
        let frames = sent(effects).into_iter();
        frames
            .filter_map(|f| if let Frame::Offer(offer) = f { Some(offer) } else { None })
            .collect()
    }

    fn fetches(effects: &[Effect<()>]) -> Vec<(u8, u64, u64)> {
        let frames = sent(effects).into_iter();
        let fetch = |frame| {
            let Frame::Fetch(Fetch { hash, offset, length }) = frame else { return None };
            Some((hash[0], offset, length))
        };
        frames.filter_map(fetch).collect()
    }

    fn batches(effects: &[Effect<()>]) -> usize {
        sent(effects).iter().filter(|frame| matches!(frame, Frame::Batch(_))).count()
    }

    fn closed(effects: &[Effect<()>]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::CloseStream { .. }))
    }

    fn piece(snapshot: Snapshot, offset: u64, bytes: u64) -> Frame<Item<()>> {
        let bytes = vec![0; usize::try_from(bytes).unwrap()].into();
        Frame::Piece(Piece { hash: snapshot.hash, offset, bytes })
    }

    #[test]
    fn a_log_keeps_what_a_member_lacks_until_there_is_too_much_of_it() {
        let mut machine = connected();
        append(&mut machine, 10);
        assert_eq!(machine.trim(8, ALL, ALL), 0, "nobody is known to have anything");
        machine.frame(0, PEER, 1, durable(PEER, &[(ME, 9)]));
        assert_eq!(machine.trim(8, ALL, ALL), 0, "the third is not");
        open(&mut machine, THIRD, 2);
        machine.frame(0, THIRD, 2, durable(THIRD, &[(ME, 4)]));
        assert_eq!(machine.trim(8, ALL, 3), 3, "so many at a time");
        assert_eq!(machine.trim(8, ALL, ALL), 4);
        assert_eq!(machine.trim(8, 50, ALL), 5, "fifty bytes are left");
        assert_eq!(machine.trim(8, 0, ALL), 8, "what is in no snapshot stays");
    }

    #[test]
    fn who_lacks_what_the_log_lost_is_offered_the_snapshot_once_a_subscription() {
        let mut machine = connected();
        append(&mut machine, 10);
        machine.trim(6, 0, ALL);
        assert_eq!(offers(&machine.frame(0, PEER, 1, subscribe(1, &[(ME, 5)]))), []);
        assert_eq!(offers(&machine.set_snapshot(0, SNAPSHOT, 5)), [], "it is too old");
        let effects = machine.set_snapshot(0, SNAPSHOT, 8);
        assert_eq!((offers(&effects), batches(&effects)), (vec![SNAPSHOT], 0));
        assert_eq!(offers(&machine.tick(1)), []);
        assert_eq!(offers(&machine.frame(1, PEER, 1, subscribe(2, &[(ME, 5)]))), [SNAPSHOT]);
        let effects = machine.frame(1, PEER, 1, subscribe(3, &[(ME, 6)]));
        assert_eq!((offers(&effects).len(), batches(&effects)), (0, 1), "the log is enough");
        // What it has by other ways counts.
        machine.trim(9, 0, ALL);
        machine.frame(1, PEER, 1, subscribe(4, &[(ME, 6)]));
        let effects = machine.frame(1, PEER, 1, durable(PEER, &[(ME, 9)]));
        assert_eq!(batches(&effects), 1);
    }

    #[test]
    fn a_peer_may_ask_for_so_much_and_no_more() {
        let fetch = |length| Frame::Fetch(Fetch { hash: [7; 32], offset: 0, length });
        let mut machine = connected();
        for _ in 0..FETCHES_MAX {
            assert!(!closed(&machine.frame(0, PEER, 1, fetch(FETCH_BYTES))));
        }
        let answer = Piece { hash: [7; 32], offset: 0, bytes: [1].into() };
        assert_eq!(sent(&machine.snapshot_read(0, PEER, 1, answer.clone())).len(), 1);
        assert!(!closed(&machine.frame(0, PEER, 1, fetch(FETCH_BYTES))));
        assert!(closed(&machine.frame(0, PEER, 1, fetch(FETCH_BYTES))));
        assert_eq!(sent(&machine.snapshot_read(0, PEER, 1, answer)).len(), 0);
        assert!(closed(&connected().frame(0, PEER, 1, fetch(FETCH_BYTES + 1))));
    }

    #[test]
    fn a_snapshot_is_fetched_a_bounded_part_at_a_time_and_goes_on_where_it_was() {
        let mut machine = connected();
        let asked = fetches(&machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT)));
        assert_eq!(asked.len() as u64, FETCHES_AHEAD_MAX);
        let effects = machine.frame(0, PEER, 1, piece(SNAPSHOT, 0, FETCH_BYTES));
        assert!(matches!(effects.as_slice(), [Effect::WriteSnapshot { offset: 0, .. }]));
        // Only what is written makes room.
        let effects = machine.snapshot_written(0, SNAPSHOT.hash, FETCH_BYTES);
        assert_eq!(fetches(&effects), [(7, FETCHES_AHEAD_MAX * FETCH_BYTES, FETCH_BYTES)]);
        machine.peer_down(0, PEER, 1);
        // The other has another, and is asked for the rest of this one first.
        open(&mut machine, THIRD, 2);
        let other = Snapshot { hash: [8; 32], bytes: 3 };
        let asked = fetches(&machine.frame(0, THIRD, 2, Frame::Offer(other)));
        assert_eq!(asked.first(), Some(&(7, FETCH_BYTES, FETCH_BYTES)));
        let asked = fetches(&machine.frame(0, THIRD, 2, piece(SNAPSHOT, FETCH_BYTES, 0)));
        assert_eq!(asked, [(8, 0, 3)], "it is gone: the offered one begins");
        machine.frame(0, THIRD, 2, piece(other, 0, 3));
        let effects = machine.snapshot_written(0, other.hash, 3);
        assert_eq!(effects, [Effect::FinishSnapshot { snapshot: other }]);
        assert!(closed(&machine.snapshot_failed(0, other.hash, "it is none")));
    }

    #[test]
    fn a_restarted_node_goes_on_from_its_disk() {
        let mut machine = connected();
        machine.set_partial(SNAPSHOT, 20 * FETCH_BYTES);
        let asked = fetches(&machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT)));
        assert_eq!(asked, [(7, 20 * FETCH_BYTES, 5)]);
        let mut machine = connected();
        machine.set_partial(SNAPSHOT, SNAPSHOT.bytes);
        let effects = machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT));
        assert_eq!(effects, [Effect::FinishSnapshot { snapshot: SNAPSHOT }]);
    }

    #[test]
    fn a_piece_of_another_length_closes_the_stream_and_one_nobody_asked_for_is_ignored() {
        for length in [1, FETCH_BYTES - 1, FETCH_BYTES + 1] {
            let mut machine = connected();
            machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT));
            assert!(closed(&machine.frame(0, PEER, 1, piece(SNAPSHOT, 0, length))), "{length}");
        }
        let mut machine = connected();
        assert_eq!(machine.frame(0, PEER, 1, piece(SNAPSHOT, 0, 9)), []);
        machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT));
        assert_eq!(machine.frame(0, PEER, 1, piece(SNAPSHOT, FETCH_BYTES, FETCH_BYTES)), []);
    }

    fn fetched() -> Machine {
        let mut machine = connected();
        append(&mut machine, 2);
        machine.set_partial(SNAPSHOT, SNAPSHOT.bytes);
        machine.frame(0, PEER, 1, Frame::Offer(SNAPSHOT));
        machine
    }

    #[test]
    fn what_a_snapshot_brought_is_claimed_once_the_record_of_it_is_durable() {
        let mut machine = fetched();
        let brought = vector(&[(ME, 1), (PEER, 40)]);
        assert_eq!(machine.join(0, SNAPSHOT.hash, &brought), Some(3));
        let effects = machine.after_join(0);
        let subscribed = sent(&effects).into_iter().find_map(|frame| {
            let Frame::Subscribe(subscribe) = frame else { return None };
            Some(subscribe.have)
        });
        let all = vector(&[(ME, 2), (PEER, 40)]);
        assert_eq!(subscribed.as_ref(), Some(&all));
        assert_eq!((machine.applied(), machine.durable()), (&all, &vector(&[(ME, 2)])));
        assert_eq!(machine.progress_of(ME).visible, vector(&[(ME, 2)]));
        append(&mut machine, 0);
        assert_eq!(machine.durable(), &all);
        assert_eq!((machine.applied_lsn(), machine.durable_lsn()), (3, 3));
        assert_eq!(machine.join(0, SNAPSHOT.hash, &brought), None, "once");
        // What it had made itself is in its state, not in its log any more.
        machine.frame(0, PEER, 1, subscribe(1, &[(ME, 1), (PEER, 40)]));
        assert_eq!(offers(&machine.set_snapshot(0, SNAPSHOT, 3)), [SNAPSHOT]);
    }

    #[test]
    fn a_snapshot_with_more_of_this_node_s_own_cuts_it_off_and_a_stranger_s_is_refused() {
        let mut machine = fetched();
        assert_eq!(machine.join(0, SNAPSHOT.hash, &vector(&[(ME, 3)])), None);
        assert!(machine.is_cut_off());
        let mut machine = fetched();
        assert_eq!(machine.join(0, SNAPSHOT.hash, &vector(&[(NodeId(9), 3)])), None);
        assert!(closed(&machine.after_join(0)) && !machine.is_cut_off());
        let mut machine = fetched();
        assert_eq!(machine.join(0, SNAPSHOT.hash, &vector(&[(ME, 1)])), None, "nothing new");
        assert_eq!(machine.applied_lsn(), 2);
    }
}
