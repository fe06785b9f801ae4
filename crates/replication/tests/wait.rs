//! Whom a wait is about, and whose word counts.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crdt::{Dot, NodeId, VersionVector};
    use replication::{
        Effect, Frame, Heartbeat, Hello, Item, Member, MemberState, NodeWait, Outcome, Progress,
        Replication, Role, Roster, Scope, Stage, WaitRequest,
    };

    const ME: NodeId = NodeId(1);
    const PEER: NodeId = NodeId(2);
    const THIRD: NodeId = NodeId(3);
    const TICKET: u64 = 7;

    type Machine = Replication<()>;

    fn roster(epoch: u64, nodes: &[(NodeId, MemberState)]) -> Roster {
        let member = |state| Member { role: Role::Writer, state, region: String::new() };
        let members: BTreeMap<_, _> =
            nodes.iter().map(|(node, state)| (*node, member(*state))).collect();
        Roster { epoch, members }
    }

    fn all_active(epoch: u64) -> Roster {
        roster(epoch, &[ME, PEER, THIRD].map(|node| (node, MemberState::Active)))
    }

    fn hello(node: NodeId, epoch: u64) -> Frame<Item<()>> {
        Frame::Hello(Hello { cluster_id: "c".into(), node, epoch })
    }

    fn vector(dots: &[(NodeId, u64)]) -> VersionVector {
        dots.iter().map(|(node, seq)| Dot::new(*node, *seq)).collect()
    }

    /// A machine with one transaction of its own and a stream, whose session is the peer's number,
    /// to each peer.
    fn machine(peers: &[NodeId]) -> Machine {
        let mut machine = Machine::new(ME, "c".into());
        machine.set_roster(0, all_active(1));
        for peer in peers {
            machine.peer_up(0, *peer, u64::from(peer.0));
            machine.frame(0, *peer, u64::from(peer.0), hello(*peer, 1));
        }
        machine.append(Dot::new(ME, 1), &VersionVector::new(), (*b"x").into());
        machine.persisted(0, 1);
        machine
    }

    /// What `from` says of `about`.
    fn says(machine: &mut Machine, from: NodeId, about: NodeId, seq: u64) -> Vec<Effect<()>> {
        let has = vector(&[(ME, seq)]);
        let progress = Progress { received: has.clone(), durable: has.clone(), visible: has };
        let heartbeat = Heartbeat { progress: vec![(about, progress)], digest: None, hlc: 0 };
        machine.frame(0, from, u64::from(from.0), Frame::Heartbeat(heartbeat))
    }

    fn wait(machine: &mut Machine, scope: Scope) -> Vec<Effect<()>> {
        let token = vector(&[(ME, 1)]);
        machine.wait(0, TICKET, WaitRequest { token, scope, stage: Stage::Visible, deadline_ms: 9 })
    }

    fn outcome(effects: &[Effect<()>]) -> Option<&Outcome> {
        effects.iter().find_map(|effect| match effect {
            Effect::WaitOutcome { outcome, .. } => Some(outcome),
            Effect::Apply { .. }
            | Effect::Send { .. }
            | Effect::ReadLog { .. }
            | Effect::CloseStream { .. }
            | Effect::WaitProgress { .. }
            | Effect::Alarm { .. } => None,
        })
    }

    fn alarms(effects: &[Effect<()>]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Alarm { .. })).count()
    }

    fn without_third(epoch: u64) -> Roster {
        use MemberState::{Active, Removed};
        roster(epoch, &[(ME, Active), (PEER, Active), (THIRD, Removed)])
    }

    #[test]
    fn who_is_removed_during_a_wait_is_missed_not_forgotten() {
        let mut machine = machine(&[PEER]);
        assert_eq!(outcome(&wait(&mut machine, Scope::All)), None);
        says(&mut machine, PEER, PEER, 1);
        let effects = machine.set_roster(0, without_third(2));
        let reason = "removed before it had the change: node 3".to_owned();
        assert_eq!(outcome(&effects), Some(&Outcome::Unsatisfiable { reason }));
        // Who asks from here on is told of those who are left.
        assert_eq!(outcome(&wait(&mut machine, Scope::All)), Some(&Outcome::Propagated));
    }

    #[test]
    fn who_had_the_change_before_it_was_removed_had_it() {
        let mut machine = machine(&[PEER]);
        wait(&mut machine, Scope::All);
        says(&mut machine, PEER, THIRD, 1);
        assert_eq!(outcome(&machine.set_roster(0, without_third(2))), None);
        assert_eq!(outcome(&says(&mut machine, PEER, PEER, 1)), Some(&Outcome::Propagated));
    }

    #[test]
    fn a_removed_writer_still_counts_in_the_quorum_that_was_asked_for() {
        let mut machine = machine(&[]);
        wait(&mut machine, Scope::Quorum);
        assert_eq!(outcome(&machine.set_roster(0, without_third(2))), None);
        let missing = |effects: &[Effect<()>]| match outcome(effects) {
            Some(Outcome::TimedOut { missing }) => {
                missing.iter().map(|node| node.node).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(&machine.tick(9)), [PEER, THIRD]);
    }

    #[test]
    fn nothing_has_propagated_while_a_peer_knows_of_a_newer_roster() {
        let mut machine = machine(&[PEER]);
        machine.set_roster(0, without_third(2));
        says(&mut machine, PEER, PEER, 1);
        machine.frame(0, PEER, 2, hello(PEER, 3));
        let effects = wait(&mut machine, Scope::All);
        assert_eq!(outcome(&effects), None);
        let why = "its roster, of epoch 2, is older than node 2's, of epoch 3".to_owned();
        let nodes = vec![
            NodeWait { node: PEER, reached: true, lag: 0, why: String::new() },
            NodeWait { node: ME, reached: false, lag: 0, why },
        ];
        assert!(effects.contains(&Effect::WaitProgress { ticket: TICKET, nodes }), "{effects:?}");
        use MemberState::{Active, Joining, Removed};
        let fourth = NodeId(4);
        let newer = roster(3, &[(ME, Active), (PEER, Active), (THIRD, Removed), (fourth, Joining)]);
        assert_eq!(outcome(&machine.set_roster(0, newer)), None, "node 4 is awaited");
        assert_eq!(outcome(&says(&mut machine, PEER, fourth, 1)), Some(&Outcome::Propagated));
    }

    #[test]
    fn a_peer_that_has_less_than_it_said_is_believed_and_looked_at() {
        let mut machine = machine(&[PEER]);
        assert_eq!(alarms(&says(&mut machine, PEER, PEER, 1)), 0);
        assert_eq!(alarms(&says(&mut machine, PEER, PEER, 0)), 1);
        assert_eq!(outcome(&wait(&mut machine, Scope::Node(PEER))), None);
        assert_eq!(alarms(&says(&mut machine, PEER, PEER, 0)), 0, "it is said once");
        assert_eq!(outcome(&says(&mut machine, PEER, PEER, 1)), Some(&Outcome::Propagated));
    }

    #[test]
    fn others_are_believed_about_a_node_only_without_a_stream_to_it() {
        let mut machine = machine(&[PEER, THIRD]);
        says(&mut machine, PEER, THIRD, 1);
        assert_eq!(outcome(&wait(&mut machine, Scope::Node(THIRD))), None);
        machine.peer_down(0, THIRD, 3);
        assert_eq!(outcome(&says(&mut machine, PEER, THIRD, 1)), Some(&Outcome::Propagated));
    }
}
