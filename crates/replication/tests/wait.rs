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
        let progress =
            Progress { received: has.clone(), durable: has.clone(), visible: has, epoch: 1 };
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
            | Effect::ReadSnapshot { .. }
            | Effect::WriteSnapshot { .. }
            | Effect::FinishSnapshot { .. }
            | Effect::Compare { .. }
            | Effect::Answer { .. }
            | Effect::Mend { .. }
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
        assert_eq!(outcome(&wait(&mut machine, Scope::node(PEER))), None);
        assert_eq!(alarms(&says(&mut machine, PEER, PEER, 0)), 0, "it is said once");
        assert_eq!(outcome(&says(&mut machine, PEER, PEER, 1)), Some(&Outcome::Propagated));
    }

    #[test]
    fn others_are_believed_about_a_node_only_without_a_stream_to_it() {
        let mut machine = machine(&[PEER, THIRD]);
        says(&mut machine, PEER, THIRD, 1);
        assert_eq!(outcome(&wait(&mut machine, Scope::node(THIRD))), None);
        machine.peer_down(0, THIRD, 3);
        assert_eq!(outcome(&says(&mut machine, PEER, THIRD, 1)), Some(&Outcome::Propagated));
    }

    /// Two writers and a replica in `eu`, a writer in `us`, and in `ap` one that is joining. Node 6
    /// was removed.
    fn five(epoch: u64) -> Roster {
        use MemberState::{Active, Joining, Removed};
        let member = |role, state, region: &str| Member { role, state, region: region.into() };
        let members = [
            member(Role::Writer, Active, "eu"),
            member(Role::Writer, Active, "eu"),
            member(Role::Replica, Active, "eu"),
            member(Role::Writer, Active, "us"),
            member(Role::Writer, Joining, "ap"),
            member(Role::Writer, Removed, "eu"),
        ];
        Roster { epoch, members: (1..).map(NodeId).zip(members).collect() }
    }

    /// What a wait at node 1 comes to when those who are told of in `has` have the change.
    fn check(scope: &Scope, has: &[u32], expected: &str) {
        let mut machine = machine(&[PEER]);
        machine.set_roster(0, five(2));
        for node in has.iter().filter(|node| **node != ME.0) {
            says(&mut machine, PEER, NodeId(*node), 1);
        }
        let mut effects = wait(&mut machine, scope.clone());
        effects.extend(machine.tick(9));
        assert_eq!(text(&effects), expected, "{scope:?} {has:?}");
    }

    fn text(effects: &[Effect<()>]) -> String {
        match outcome(effects) {
            Some(Outcome::Propagated) => "propagated".to_owned(),
            Some(Outcome::Unsatisfiable { reason }) => format!("never: {reason}"),
            Some(Outcome::TimedOut { missing }) => {
                assert!(missing.iter().all(|node| !node.reached && !node.why.is_empty()));
                let missing: Vec<_> = missing.iter().map(|node| node.node.to_string()).collect();
                format!("missing {}", missing.join(" "))
            }
            None => "waits".to_owned(),
        }
    }

    fn nodes(ids: &[u32]) -> Scope {
        Scope::Nodes(ids.iter().copied().map(NodeId).collect())
    }

    #[test]
    fn each_scope_waits_for_whom_it_names() {
        let region = |name: &str| Scope::Region(name.to_owned());
        check(&Scope::All, &[2, 3, 4, 5], "propagated");
        check(&Scope::All, &[2, 3, 4], "missing 5");
        check(&Scope::All, &[], "missing 2 3 4 5");
        check(&Scope::Serving, &[2, 3, 4], "propagated");
        check(&Scope::Serving, &[2, 4, 5], "missing 3");
        // Of the writers 1, 2, 4 and 5 three are needed; the replica does not count.
        check(&Scope::Quorum, &[2, 5], "propagated");
        check(&Scope::Quorum, &[2, 3], "missing 4 5");
        check(&region("eu"), &[2, 3], "propagated");
        check(&region("eu"), &[2, 4, 5], "missing 3");
        check(&region("ap"), &[], "missing 5");
        check(&region("xx"), &[], "never: no node is in region `xx`");
        // Node 1, in `eu`, has it.
        check(&Scope::Regions, &[4, 5], "propagated");
        check(&Scope::Regions, &[2, 3, 4], "missing 5");
        check(&Scope::Regions, &[], "missing 4 5");
        check(&nodes(&[1, 3]), &[3], "propagated");
        check(&nodes(&[2, 3]), &[3], "missing 2");
        check(&nodes(&[2, 6]), &[2], "never: node 6 was removed");
        check(&nodes(&[2, 9, 6]), &[2], "never: node 6 was removed, there is no node 9");
    }

    #[test]
    fn a_region_is_named_where_one_node_of_it_would_do() {
        let mut machine = machine(&[PEER]);
        machine.set_roster(0, five(2));
        wait(&mut machine, Scope::Regions);
        let effects = machine.tick(9);
        let Some(Outcome::TimedOut { missing }) = outcome(&effects) else { panic!("{effects:?}") };
        let whys: Vec<_> = missing.iter().map(|node| node.why.as_str()).collect();
        let since = "not connected since this node started, 1 transactions behind";
        assert_eq!(
            whys,
            [format!("of region `us`, {since}"), format!("of region `ap`, joining, {since}")]
        );
    }

    /// What a wait comes to during which the roster changes. Who is told of in `has` says so when
    /// the change was heard of and is not known yet.
    fn check_change(scope: &Scope, changed: &[(NodeId, MemberState)], has: &[u32], expected: &str) {
        let mut machine = machine(&[PEER]);
        assert_eq!(outcome(&wait(&mut machine, scope.clone())), None, "{scope:?}");
        machine.frame(0, PEER, 2, hello(PEER, 2));
        for node in has {
            assert_eq!(outcome(&says(&mut machine, PEER, NodeId(*node), 1)), None);
        }
        let known = changed.iter().map(|(node, _)| *node).filter(|node| has.contains(&node.0));
        let mut effects = machine.set_roster(0, roster(2, changed));
        // Whoever told before may be removed.
        let teller = NodeId(4);
        machine.peer_up(0, teller, u64::from(teller.0));
        machine.frame(0, teller, u64::from(teller.0), hello(teller, 2));
        for node in known {
            effects.extend(says(&mut machine, teller, node, 1));
        }
        effects.extend(machine.tick(9));
        assert_eq!(text(&effects), expected, "{scope:?} {changed:?} {has:?}");
    }

    #[test]
    fn who_joins_or_begins_to_serve_during_a_wait_is_awaited_from_then_on() {
        use MemberState::{Active, Joining, Removed};
        let fourth = NodeId(4);
        let with = |state| [(ME, Active), (PEER, Active), (THIRD, Active), (fourth, state)];
        for scope in [Scope::All, Scope::Region(String::new())] {
            check_change(&scope, &with(Joining), &[2, 3], "missing 4");
            check_change(&scope, &with(Joining), &[2, 3, 4], "propagated");
        }
        check_change(&Scope::Serving, &with(Joining), &[2, 3], "propagated");
        check_change(&Scope::Serving, &with(Active), &[2, 3], "missing 4");
        check_change(&nodes(&[2]), &with(Active), &[2], "propagated");
        // Two of the three that were asked for are not three of the four that there are.
        check_change(&Scope::Quorum, &with(Joining), &[2], "missing 3 4");
        check_change(&Scope::Quorum, &with(Joining), &[2, 4], "propagated");
        // Two others are the writers now: a quorum of the first three says nothing about them.
        let fifth = NodeId(5);
        let others = [(ME, Active), (PEER, Removed), (THIRD, Removed), (fourth, Active)];
        let others = [&others[..], &[(fifth, Active)]].concat();
        check_change(&Scope::Quorum, &others, &[2], "missing 4 5");
        check_change(&Scope::Quorum, &others, &[2, 5], "propagated");
        let never = "never: removed before it had the change: node 2, node 3";
        check_change(&Scope::Quorum, &others, &[4, 5], never);
    }

    #[test]
    fn a_yes_waits_for_the_newest_roster_though_the_wait_was_settled_before() {
        let mut machine = machine(&[PEER, THIRD]);
        wait(&mut machine, Scope::All);
        machine.frame(0, PEER, 2, hello(PEER, 2));
        says(&mut machine, PEER, PEER, 1);
        assert_eq!(outcome(&says(&mut machine, THIRD, THIRD, 1)), None);
        let effects = machine.set_roster(0, all_active(2));
        assert_eq!(outcome(&effects), Some(&Outcome::Propagated));
    }
}
