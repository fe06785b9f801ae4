//! What peers may fill has a limit; each is tested at it and one past it.

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use crdt::{Dot, NodeId, VersionVector};
    use replication::{
        BATCH_ITEMS_MAX, Digest, DigestState, EARLY_ITEMS_MAX, Effect, Frame, Heartbeat, Hello,
        Item, Member, MemberState, Outcome, Progress, READ_BYTES_MAX, RECENT_BYTES_MAX,
        Replication, Role, Roster, Scope, Stage, Subscribe, WAITS_MAX, WINDOW_BATCHES_MAX,
        WINDOW_BYTES_MAX, WaitRequest,
    };

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);

    type Machine = Replication<()>;

    fn roster(epoch: u64, nodes: &[NodeId]) -> Roster {
        let member =
            || Member { role: Role::Writer, state: MemberState::Active, region: String::new() };
        let members: BTreeMap<_, _> = nodes.iter().map(|node| (*node, member())).collect();
        Roster { epoch, members }
    }

    fn hello(epoch: u64) -> Frame<Item<()>> {
        Frame::Hello(Hello { cluster_id: "c".into(), node: PEER, epoch })
    }

    fn subscribe(generation: u64, have: VersionVector) -> Frame<Item<()>> {
        Frame::Subscribe(Subscribe { have, exclude: [].into(), generation })
    }

    fn vector(dots: &[(NodeId, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| Dot::new(*node, *seq)).collect()
    }

    fn item(node: NodeId, seq: u64, others: &[(NodeId, u64)]) -> Item<()> {
        let mut deps = vector(others);
        if seq > 1 {
            crdt::advance(&mut deps, Dot::new(node, seq - 1));
        }
        Item { dot: Dot::new(node, seq), deps, bytes: (*b"x").into(), payload: () }
    }

    /// A machine with an open stream, session 1, to the peer.
    fn connected() -> Machine {
        let mut machine = Machine::new(ME, "c".into());
        machine.set_roster(0, roster(1, &[ME, PEER, THIRD]));
        machine.peer_up(0, PEER, 1);
        machine.frame(0, PEER, 1, hello(1));
        machine
    }

    fn append(machine: &mut Machine, count: u64, bytes: usize) {
        let record: Arc<[u8]> = vec![0; bytes].into();
        for _ in 0..count {
            let deps = machine.applied().clone();
            machine.append(deps.inc(ME), &deps, Arc::clone(&record));
        }
    }

    fn batches(effects: &[Effect<()>]) -> Vec<usize> {
        let mut lengths = Vec::new();
        for effect in effects {
            if let Effect::Send { frame: Frame::Batch(batch), .. } = effect {
                lengths.push(batch.len());
            }
        }
        lengths
    }

    fn heartbeat(progress: Progress, digest: Option<Digest>) -> Frame<Item<()>> {
        Frame::Heartbeat(Heartbeat { progress: vec![(PEER, progress)], digest, hlc: 0 })
    }

    fn closed(effects: &[Effect<()>]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::CloseStream { .. }))
    }

    fn alarmed(effects: &[Effect<()>]) -> bool {
        effects.iter().any(|effect| matches!(effect, Effect::Alarm { .. }))
    }

    #[test]
    fn a_batch_is_full_at_its_limit() {
        let mut machine = connected();
        machine.frame(0, PEER, 1, subscribe(1, vector(&[])));
        append(&mut machine, BATCH_ITEMS_MAX as u64 + 1, 10);
        assert_eq!(batches(&machine.persisted(0, u64::MAX)), [BATCH_ITEMS_MAX, 1]);
    }

    #[test]
    fn nothing_leaves_before_it_is_durable_or_is_sent_twice_or_follows_an_old_subscription() {
        let mut machine = connected();
        append(&mut machine, 2, 10);
        machine.persisted(0, 1);
        assert_eq!(batches(&machine.frame(0, PEER, 1, subscribe(2, vector(&[])))), [1]);
        assert_eq!(batches(&machine.tick(1)), []);
        assert_eq!(batches(&machine.persisted(1, 2)), [1]);
        assert_eq!(batches(&machine.frame(1, PEER, 1, subscribe(2, vector(&[])))), []);
        assert_eq!(batches(&machine.frame(1, PEER, 1, subscribe(3, vector(&[(ME, 1)])))), [1]);
    }

    #[test]
    fn the_window_closes_at_its_limit_and_what_the_peer_has_on_its_disk_opens_it() {
        let record = 1 << 18;
        let full = WINDOW_BYTES_MAX / record;
        let mut machine = connected();
        machine.frame(0, PEER, 1, subscribe(1, vector(&[])));
        append(&mut machine, full as u64 + 2, record);
        assert_eq!(batches(&machine.persisted(0, u64::MAX)).len(), full);
        assert_eq!(batches(&machine.tick(1)), []);
        let received = Progress { received: vector(&[(ME, 1)]), ..Progress::default() };
        assert_eq!(batches(&machine.frame(1, PEER, 1, heartbeat(received.clone(), None))), []);
        let durable = Progress { durable: vector(&[(ME, 1)]), ..received };
        assert_eq!(batches(&machine.frame(1, PEER, 1, heartbeat(durable, None))), [1]);
    }

    #[test]
    fn the_window_closes_after_so_many_batches_and_what_waits_goes_together() {
        let mut machine = connected();
        machine.frame(0, PEER, 1, subscribe(1, vector(&[])));
        let mut sent = Vec::new();
        for number in 1..=WINDOW_BATCHES_MAX as u64 + 5 {
            append(&mut machine, 1, 10);
            sent.extend(batches(&machine.persisted(0, number)));
        }
        assert_eq!(sent, [1; WINDOW_BATCHES_MAX]);
        let durable = |seq| Progress { durable: vector(&[(ME, seq)]), ..Progress::default() };
        assert_eq!(batches(&machine.frame(1, PEER, 1, heartbeat(durable(1), None))), [5]);
        append(&mut machine, 1, 10);
        assert_eq!(batches(&machine.persisted(1, u64::MAX)), []);
        // A batch is there once its last transaction is: of the five, all.
        let seq = WINDOW_BATCHES_MAX as u64;
        assert_eq!(batches(&machine.frame(2, PEER, 1, heartbeat(durable(seq), None))), [1]);
    }

    #[test]
    fn what_is_not_recent_is_read_from_the_log_within_the_window() {
        let record = 1 << 17;
        let count = (RECENT_BYTES_MAX / record) as u64 * 2;
        let mut machine = connected();
        append(&mut machine, count, record);
        machine.persisted(0, count);
        let mut effects = machine.frame(0, PEER, 1, subscribe(1, vector(&[])));
        let mut sent = 0;
        let mut reads = 0;
        while sent < count {
            let [Effect::ReadLog { from_lsn, max_bytes, .. }] = effects.as_slice() else { break };
            assert_eq!((*from_lsn, *max_bytes), (sent + 1, READ_BYTES_MAX));
            reads += 1;
            let bytes: Arc<[u8]> = vec![0; record].into();
            let records = (*from_lsn..*from_lsn + 2).map(|lsn| (lsn, Arc::clone(&bytes)));
            effects = machine.log_read(0, PEER, 1, records.collect());
            sent += batches(&effects).iter().sum::<usize>() as u64;
            effects.retain(|effect| matches!(effect, Effect::ReadLog { .. }));
        }
        assert_eq!(sent as usize, WINDOW_BYTES_MAX / record);
        assert_eq!(reads, sent / 2);
    }

    #[test]
    fn a_failed_read_is_repeated_at_the_next_tick_and_not_before() {
        let mut machine = connected();
        append(&mut machine, 3, RECENT_BYTES_MAX / 2 + 1);
        machine.persisted(0, 3);
        let read = |effects: &[Effect<()>]| {
            effects.iter().any(|effect| matches!(effect, Effect::ReadLog { .. }))
        };
        assert!(read(&machine.frame(0, PEER, 1, subscribe(1, vector(&[])))));
        assert!(!read(&machine.log_read(0, PEER, 1, Vec::new())));
        assert!(read(&machine.tick(1)));
    }

    #[test]
    fn early_transactions_are_kept_up_to_the_limit_and_asked_for_again_past_it() {
        for extra in [0, 1] {
            let mut machine = connected();
            let last = EARLY_ITEMS_MAX as u64 + 1 + extra;
            let early = (2..=last).map(|seq| item(PEER, seq, &[])).collect();
            assert_eq!(machine.frame(0, PEER, 1, Frame::Batch(early)), []);
            let effects = machine.frame(0, PEER, 1, Frame::Batch(vec![item(PEER, 1, &[])]));
            let applied =
                effects.iter().filter(|effect| matches!(effect, Effect::Apply { .. })).count();
            assert_eq!(applied, EARLY_ITEMS_MAX + 1);
            let asked = effects
                .iter()
                .any(|effect| matches!(effect, Effect::Send { frame: Frame::Subscribe(_), .. }));
            assert_eq!(asked, extra == 1);
        }
    }

    #[test]
    fn waits_are_limited_and_end_at_their_deadline() {
        let mut machine = connected();
        let request = |scope| WaitRequest {
            token: vector(&[(ME, 1)]),
            scope,
            stage: Stage::Durable,
            deadline_ms: 100,
        };
        for ticket in 0..WAITS_MAX as u64 {
            machine.wait(0, ticket, request(Scope::All));
        }
        let effects = machine.wait(0, u64::MAX, request(Scope::All));
        assert!(matches!(
            effects.as_slice(),
            [Effect::WaitOutcome { outcome: Outcome::Unsatisfiable { .. }, .. }]
        ));
        let ended = |effects: Vec<Effect<()>>| {
            effects.iter().filter(|e| matches!(e, Effect::WaitOutcome { .. })).count()
        };
        assert_eq!(ended(machine.tick(99)), 0);
        assert_eq!(ended(machine.tick(100)), WAITS_MAX);
    }

    #[test]
    fn scopes_that_name_nobody_are_unsatisfiable_and_say_so() {
        let mut machine = connected();
        for (scope, expected) in [
            (Scope::node(NodeId(9)), "there is no node 9"),
            (Scope::Region("x".into()), "no node is in region `x`"),
        ] {
            let token = vector(&[(ME, 1)]);
            let request = WaitRequest { token, scope, stage: Stage::Durable, deadline_ms: 100 };
            let reason = expected.to_owned();
            let outcome = Outcome::Unsatisfiable { reason };
            let effects = machine.wait(0, 1, request);
            assert_eq!(effects, [Effect::WaitOutcome { ticket: 1, outcome }]);
        }
    }

    #[test]
    fn equal_vectors_with_different_digests_raise_one_alarm() {
        let mut machine = connected();
        let digest = |total| Digest { at: vector(&[(PEER, 1)]), collected: 0, total: [total; 16] };
        machine.note_digest(digest(1));
        let beat = |total| heartbeat(Progress::default(), Some(digest(total)));
        assert!(!alarmed(&machine.frame(0, PEER, 1, beat(1))));
        assert_eq!(machine.peer_status(PEER).digest, DigestState::Equal);
        assert!(alarmed(&machine.frame(0, PEER, 1, beat(2))));
        assert!(!alarmed(&machine.frame(0, PEER, 1, beat(2))));
        assert_eq!(machine.peer_status(PEER).digest, DigestState::Different);
    }

    #[test]
    fn a_batch_of_which_one_transaction_is_forged_is_refused_whole() {
        let forged = [
            item(NodeId(9), 1, &[]),
            item(PEER, 2, &[(NodeId(9), 1)]),
            item(ME, 1, &[]),
            item(THIRD, 1, &[(ME, 7)]),
            Item { deps: vector(&[]), ..item(PEER, 2, &[]) },
        ];
        for forged in forged {
            let mut machine = connected();
            let batch = Frame::Batch(vec![item(PEER, 1, &[]), forged]);
            let effects = machine.frame(0, PEER, 1, batch);
            assert!(closed(&effects) && alarmed(&effects), "{effects:?}");
            assert_eq!(*machine.applied(), vector(&[]));
        }
    }

    #[test]
    fn an_origin_of_a_newer_roster_is_awaited_not_refused() {
        let mut machine = connected();
        machine.frame(0, PEER, 1, hello(2));
        let batch = || Frame::Batch(vec![item(NodeId(4), 1, &[])]);
        let effects = machine.frame(0, PEER, 1, batch());
        assert_eq!(effects, []);
        let effects = machine.set_roster(1, roster(2, &[ME, PEER, THIRD, NodeId(4)]));
        assert!(
            effects.iter().any(|effect| {
                matches!(effect, Effect::Send { frame: Frame::Subscribe(_), .. })
            })
        );
        machine.frame(1, PEER, 1, batch());
        assert_eq!(*machine.applied(), vector(&[(NodeId(4), 1)]));
    }

    #[test]
    fn who_is_of_another_cluster_no_member_or_silent_is_closed() {
        let refused = |node, cluster_id: &str| {
            let mut machine = Machine::new(ME, "c".into());
            machine.set_roster(0, roster(1, &[ME, PEER]));
            machine.peer_up(0, node, 1);
            let cluster_id = cluster_id.to_owned();
            closed(&machine.frame(0, node, 1, Frame::Hello(Hello { cluster_id, node, epoch: 1 })))
        };
        assert!(!refused(PEER, "c"));
        assert!(refused(PEER, "d"));
        assert!(refused(THIRD, "c"));
        let mut machine = connected();
        assert!(!closed(&machine.tick(replication::SILENCE_MS_MAX - 1)));
        assert!(closed(&machine.tick(replication::SILENCE_MS_MAX)));
        let mut machine = Machine::new(ME, "c".into());
        machine.peer_up(0, PEER, 1);
        assert!(closed(&machine.frame(0, PEER, 1, subscribe(1, vector(&[])))), "no hello");
    }
}
