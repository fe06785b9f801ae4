//! Whole nodes, one seed: commands of clients, cuts, crashes that lose what was not durable,
//! garbage. Afterwards everything must have come right.

#[cfg(test)]
#[path = "sim/world.rs"]
mod world;

use node::{Effect, Input};
use wire::{Message, v1};
use world::{World, id};

/// Three writers and a replica.
#[test]
fn every_seed_converges_and_no_promise_was_broken() {
    let mut acknowledged = 0;
    let mut propagated = 0;
    for seed in 1..=200 {
        let mut world = World::new(seed);
        world.run(300);
        world.heal();
        world.check();
        acknowledged += world.acknowledged();
        propagated += world.propagated();
    }
    assert!(acknowledged > 1_000 && propagated > 200, "{acknowledged} {propagated}");
}

/// Who is further behind than the logs reach gets a snapshot, piece by piece, whatever happens
/// meanwhile.
#[test]
fn every_seed_converges_though_logs_are_cut_short() {
    let mut counts = [0; 3];
    for seed in 1..=150 {
        let mut world = World::new(seed);
        world.run_cut_short(300);
        world.heal();
        world.check();
        let more = world.snapshots();
        counts = std::array::from_fn(|at| counts[at] + more[at]);
    }
    assert!(counts.iter().all(|count| *count > 100), "snapshots, trims, joins: {counts:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = World::new(seed);
        world.run(200);
        world.heal();
        world.trace()
    };
    for seed in 1000..1003 {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(1000), trace(1001));
}

#[test]
fn a_replica_names_a_writer_and_a_writer_answers_with_a_token_that_all_nodes_open() {
    let mut world = World::new(5);
    world.settle(500);
    let refusal = world.create_user(3, "bob").unwrap_err();
    let node::Refusal::NotAWriter { writer: Some(writer) } = refusal else {
        panic!("{refusal:?}");
    };
    assert!(writer.node.0 <= 3 && writer.grpc_address.starts_with("host"));
    let answer = world.create_user(0, "bob").unwrap();
    assert_eq!(answer.lsn, 1);
    world.settle(500);
    for at in 0..4 {
        let node = world.node(at);
        let vector = node.open_token(&answer.token).unwrap();
        assert_eq!(*node.vector(), vector);
        let write = node.write_of(&answer.token).unwrap().unwrap();
        assert_eq!((write.actor.0, write.counter), (1, 1));
        assert_eq!(node.write_of(&node.token()), Ok(None), "of a read");
        assert_eq!(node.durable_lsn(), 1);
    }
    assert!(world.node(3).staleness_ms(world.clock(3)) <= 250);
    let status = world.node(0).status(world.clock(0));
    let seen: Vec<_> = status.iter().map(|node| (node.connected, node.lag, node.digest)).collect();
    assert_eq!(seen, [(true, 0, node::DigestState::Equal); 4]);
}

#[test]
fn a_node_before_its_roster_and_after_its_removal_takes_no_writes() {
    let mut world = World::new(6);
    world.settle(500);
    world.remove(1);
    world.settle(500);
    assert_eq!(world.create_user(1, "bob").unwrap_err(), node::Refusal::Removed);
    let status = world.node(0).status(world.clock(0));
    assert!(!status[1].connected, "a removed node's streams are refused");
    let mut fresh = node::Node::new(id(0), "sim".into(), node::Role::Writer);
    let effects = fresh.handle(world.clock(0), World::create_user_input(9, "bob", 1));
    let [Effect::Reply { ticket: 9, result: Err(refusal) }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(*refusal, node::Refusal::NotReady);
}

#[test]
fn no_frame_however_damaged_makes_a_node_panic() {
    let mut world = World::new(11);
    world.settle(100);
    world.create_user(0, "bob").unwrap();
    world.settle(300);
    let frames = world.sent();
    assert!(frames.len() > 20);
    for frame in frames {
        let bytes = frame.encode_to_vec();
        for bit in (0..bytes.len() * 8).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(frame) = v1::Frame::decode(damaged.as_slice()) {
                world.inject(1, 0, frame);
            }
        }
    }
}

#[test]
fn a_node_that_lost_its_logs_tail_is_told_so_and_makes_no_more_transactions() {
    let mut world = World::new(12);
    world.settle(300);
    world.create_user(0, "bob").unwrap();
    world.settle(300);
    world.lose_tail(0);
    world.settle(1_000);
    assert!(world.alarms().iter().any(|alarm| alarm.contains("log was cut off")));
    assert_eq!(world.create_user(0, "eve").unwrap_err(), node::Refusal::CutOff);
}

#[test]
fn a_node_that_members_say_was_removed_writes_and_answers_no_more() {
    let mut world = World::new(14);
    world.settle(300);
    world.handle(0, Input::Removed { by: id(9) });
    assert!(world.node(0).serves(), "a stranger is not believed");
    world.create_user(0, "bob").unwrap();
    world.handle(0, Input::Removed { by: id(1) });
    assert!(!world.node(0).serves());
    assert_eq!(world.create_user(0, "eve").unwrap_err(), node::Refusal::Removed);
    world.handle(0, Input::Removed { by: id(1) });
    let fences = world.alarms().iter().filter(|alarm| alarm.contains("was removed"));
    assert_eq!(fences.count(), 1, "it is told once");
}

#[test]
fn a_garbage_batch_closes_the_stream_and_applies_nothing() {
    let mut world = World::new(13);
    world.settle(300);
    let before = world.node(0).vector().clone();
    let good = world.foreign_transaction();
    for transactions in [vec![vec![0xff]], vec![good, vec![]]] {
        world.settle(300);
        let batch = v1::frame::Frame::Batch(v1::Batch { transactions });
        let effects = world.inject(1, 0, v1::Frame { frame: Some(batch) });
        assert!(effects.iter().any(|effect| matches!(effect, Effect::CloseStream { .. })));
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Alarm { .. })));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Persist { .. })));
        assert_eq!(*world.node(0).vector(), before);
    }
    let unknown = world.inject(1, 0, v1::Frame { frame: None });
    assert!(unknown.is_empty(), "a newer node may send what this version does not know");
}
