//! What became of a write, as who waits for it is told.

use std::fmt::Write as _;

use crdt::{Dot, NodeId};
use expect_test::{Expect, expect};
use identity::conflict::{Fate, Written};

use crate::history::History;

/// Runs steps of which the last is the write in question, at node b; then others, and says what
/// became of it at node a.
fn check(steps: &str, others: &str, expected: Expect) {
    let mut history = History::new();
    history.run(steps);
    let identity = &history.replicas[1].identity;
    let dot = Dot::new(NodeId(2), identity.state().vector().get(&NodeId(2)));
    let written: Written = identity.written(&dot).unwrap();
    history.run(others);
    let fates = history.replicas[0].identity.fates(&written, None).unwrap();
    let mut told = String::new();
    for Fate { survival, entity, field, by } in fates {
        writeln!(told, "{survival:?}: {} {}, {field}", entity.noun, entity.name).unwrap();
        for side in by {
            writeln!(told, "  {} at node {}: {}", side.action, side.node, side.value).unwrap();
        }
    }
    expected.assert_eq(&told);
}

const PUT: &str = "root CreateUser bob
    sync
    b: root PutUserPolicy bob i allow:s3:*";

#[test]
fn a_write_that_nobody_touched_is_in_effect() {
    check(PUT, "sync\na: root TagUser bob team=x\nsync", expect![""]);
}

#[test]
fn who_wrote_the_same_again_changed_nothing() {
    check(PUT, "sync\na: root PutUserPolicy bob j allow:s3:*\nsync", expect![""]);
    let tag = "root CreateUser bob\nsync\nb: root TagUser bob team=x";
    check(tag, "a: root TagUser bob team=x\nsync", expect![""]);
}

#[test]
fn a_write_is_superseded_by_a_later_one() {
    check(
        PUT,
        "sync\na: root DeleteUserPolicy bob i\nsync",
        expect![[r#"
            Superseded: user bob, inline policy `i`
              DeleteUserPolicy at node 1: removed
        "#]],
    );
}

#[test]
fn a_write_is_contested_by_a_concurrent_one() {
    check(
        PUT,
        "a: root PutUserPolicy bob i deny:s3:*\nsync",
        expect![[r#"
        Contested: user bob, inline policy `i`
          PutUserPolicy at node 1: a document of 98 characters
    "#]],
    );
}

#[test]
fn a_write_whose_right_is_doubted_is_contested() {
    let steps = "root CreateUser adm
        root PutUserPolicy adm admin allow:iam:*
        root CreateAccessKey adm
        root CreateUser bob
        sync
        b: adm PutUserPolicy bob i allow:s3:*";
    check(
        steps,
        "a: root UpdateAccessKey adm key1 Inactive\nsync",
        expect![[r#"
        Contested: user bob, inline policy `i`
          UpdateAccessKey at node 1: removed
    "#]],
    );
}

#[test]
fn what_is_removed_with_its_entity_is_superseded_and_a_removal_in_effect() {
    check(
        PUT,
        "sync\na: root DeleteUserPolicy bob i\na: root DeleteUser bob\ncollect",
        expect![[r#"
            Superseded: user AIDA7QWOEIAJRJPNQHOPE, whether it exists
            Superseded: user AIDA7QWOEIAJRJPNQHOPE, inline policy `i`
        "#]],
    );
    let remove = "root CreateUser bob
        root PutUserPolicy bob i allow:s3:*
        sync
        b: root DeleteUserPolicy bob i";
    check(remove, "collect", expect![""]);
}

#[test]
fn other_accounts_are_told_nothing() {
    let mut history = History::new();
    history.run(PUT);
    let identity = &history.replicas[1].identity;
    let dot = Dot::new(NodeId(2), identity.state().vector().get(&NodeId(2)));
    let written = identity.written(&dot).unwrap();
    let of = |account: &str| identity.fates(&written, Some(account.parse().unwrap()));
    assert_eq!(of("222222222222"), None);
    assert_eq!(of("123456789012"), Some(Vec::new()));
    assert!(identity.written(&Dot::new(NodeId(2), 99)).is_none());
}
