//! Many nodes, one seed: random writes, cuts in one or both directions, reconnections, crashes that
//! lose what was not durable, and garbage. Afterwards everything must have come right.

#[cfg(test)]
#[path = "sim/world.rs"]
mod world;

use world::World;

/// 300 seeds of four nodes, the last one a replica.
#[test]
fn every_seed_converges_and_no_promise_was_broken() {
    for seed in 1..=300 {
        let mut world = World::new(seed, 4);
        world.run(400);
        world.heal();
        world.check();
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = World::new(seed, 4);
        world.run(300);
        world.heal();
        world.trace()
    };
    for seed in 1000..1010 {
        assert_eq!(trace(seed), trace(seed));
    }
    assert_ne!(trace(1000), trace(1001));
}

#[test]
fn in_a_full_mesh_each_transaction_travels_once_to_each_node() {
    let mut world = World::new(7, 4);
    world.settle(1_000);
    for round in 0..50 {
        world.write(round % 3);
        world.settle(20);
    }
    world.heal();
    world.check();
    assert_eq!(world.arrivals(), 50 * 3);
}

#[test]
fn what_two_writers_cannot_tell_each_other_is_relayed_and_so_are_acknowledgements() {
    let mut world = World::new(8, 3);
    world.settle(1_000);
    world.cut(0, 2);
    world.cut(2, 0);
    world.settle(10_000);
    let dot = world.write(0);
    world.settle(500);
    assert!(world.has(2, &dot));
    for _ in 0..4 {
        // Less than the time after which an idle heartbeat would bring it anyway.
        world.write(0);
        let outcome = world.wait_for(0, 2, 60);
        assert_eq!(outcome, Some(replication::Outcome::Propagated));
    }
}

#[test]
fn a_one_way_cut_delays_a_transaction_by_less_than_the_silence_limit() {
    let mut world = World::new(9, 3);
    world.settle(1_000);
    world.cut(0, 2);
    let dot = world.write(0);
    world.settle(1_000);
    assert!(world.has(2, &dot), "it came by relay while the stream was still nominally open");
}

#[test]
fn a_cut_off_node_is_missing_by_name_when_the_deadline_passes() {
    let mut world = World::new(10, 3);
    world.settle(1_000);
    for other in 0..2 {
        world.cut(other, 2);
        world.cut(2, other);
    }
    world.settle(10_000);
    world.write(0);
    let outcome = world.wait_for(0, 2, 1_000);
    let Some(replication::Outcome::TimedOut { missing }) = outcome else {
        panic!("{outcome:?}");
    };
    let [node] = missing.as_slice() else { panic!("{missing:?}") };
    assert_eq!((node.node.0, node.lag), (3, 1));
    assert!(node.why.starts_with("not connected since "), "{}", node.why);
}
