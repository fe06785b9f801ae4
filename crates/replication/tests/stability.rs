//! What may be agreed to be stable: what every member has said, under one roster, to have.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crdt::{Dot, NodeId, VersionVector};
    use replication::{
        Frame, Heartbeat, Hello, Item, Member, MemberState, Progress, Replication, Role, Roster,
        Stability,
    };

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);
    const GONE: NodeId = NodeId(3);

    type Machine = Replication<()>;

    fn roster(epoch: u64, gone: MemberState) -> Roster {
        let member = |state| Member { role: Role::Writer, state, region: String::new() };
        let states = [(ME, MemberState::Active), (PEER, MemberState::Active), (GONE, gone)];
        let members: BTreeMap<_, _> =
            states.into_iter().map(|(node, state)| (node, member(state))).collect();
        Roster { epoch, members }
    }

    fn vector(dots: &[(NodeId, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| Dot::new(*node, *seq)).collect()
    }

    fn item(dot: (NodeId, u64), deps: &[(NodeId, u64)]) -> Item<()> {
        let bytes = [dot.1 as u8].as_slice().into();
        Item { dot: Dot::new(dot.0, dot.1), deps: vector(deps), bytes, payload: () }
    }

    /// A machine that has one transaction of its own and streams to both others.
    fn machine() -> Machine {
        let mut machine = Machine::new(ME, "c".into());
        machine.set_roster(0, roster(1, MemberState::Active));
        for peer in [PEER, GONE] {
            machine.peer_up(0, peer, u64::from(peer.0));
            let hello = Hello { cluster_id: "c".into(), node: peer, epoch: 1 };
            machine.frame(0, peer, u64::from(peer.0), Frame::Hello(hello));
        }
        machine.append(Dot::new(ME, 1), &VersionVector::new(), (*b"x").into());
        machine.persisted(0, 1);
        machine
    }

    /// What a peer says of itself.
    fn says(
        machine: &mut Machine,
        peer: NodeId,
        epoch: u64,
        received: &[(NodeId, u64)],
        durable: &[(NodeId, u64)],
    ) {
        let (received, durable) = (vector(received), vector(durable));
        let progress = Progress { received, visible: durable.clone(), durable, epoch };
        let heartbeat = Heartbeat { progress: vec![(peer, progress)], digest: None, hlc: 0 };
        machine.frame(0, peer, u64::from(peer.0), Frame::Heartbeat(heartbeat));
    }

    #[test]
    fn what_every_member_has_on_its_disk_is_stable_and_what_any_has_is_the_cut() {
        let mut machine = machine();
        assert_eq!(machine.stability(), None, "the others have not spoken");
        says(&mut machine, PEER, 1, &[(ME, 1), (PEER, 5), (GONE, 2)], &[(ME, 1), (PEER, 4)]);
        assert_eq!(machine.stability(), None);
        says(&mut machine, GONE, 1, &[(ME, 1), (GONE, 9)], &[(ME, 1), (GONE, 9)]);
        let expected = Stability {
            epoch: 1,
            stable: vector(&[(ME, 1)]),
            cut: vector(&[(ME, 1), (PEER, 5), (GONE, 9)]),
        };
        assert_eq!(machine.stability(), Some(expected));
    }

    #[test]
    fn a_word_that_was_given_under_an_older_roster_does_not_count() {
        let mut machine = machine();
        says(&mut machine, PEER, 1, &[(ME, 1)], &[(ME, 1)]);
        machine.set_roster(0, roster(2, MemberState::Removed));
        // It may still take something from who was removed.
        assert_eq!(machine.stability(), None);
        says(&mut machine, PEER, 2, &[(ME, 1), (GONE, 7)], &[(ME, 1)]);
        let stability = machine.stability().expect("both have spoken under the new roster");
        assert_eq!(stability.cut, vector(&[(ME, 1), (GONE, 7)]));
    }

    #[test]
    fn what_a_member_lost_from_its_memory_is_not_waited_for() {
        let mut machine = machine();
        says(&mut machine, GONE, 1, &[(ME, 1)], &[(ME, 1)]);
        says(&mut machine, PEER, 1, &[(ME, 1), (GONE, 7)], &[(ME, 1)]);
        assert_eq!(machine.stability().map(|s| s.cut.get(&GONE)), Some(7));
        says(&mut machine, PEER, 1, &[(ME, 1)], &[(ME, 1)]);
        assert_eq!(machine.stability().map(|s| s.cut.get(&GONE)), Some(0));
    }

    #[test]
    fn what_came_early_of_a_removed_node_is_forgotten() {
        let mut machine = machine();
        let early = Frame::Batch(vec![item((GONE, 2), &[(GONE, 1)])]);
        machine.frame(0, GONE, u64::from(GONE.0), early);
        assert_eq!(machine.early_held().0, 1);
        machine.set_roster(0, roster(2, MemberState::Removed));
        assert_eq!(machine.early_held(), (0, 0));
    }
}
