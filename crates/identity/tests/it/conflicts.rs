//! The conflict inbox: what is in it, and what settles it.

mod fields;

use expect_test::expect;

use crate::history::{History, check_history};

/// After a race: one conflict is shown, `choice` settles it at one node, and after the next
/// exchange it is open nowhere.
fn check_settled(race: &str, (kind, choice): (&str, &str), expected: expect_test::Expect) {
    let mut history = History::new();
    let quiet = |steps: &str| {
        let lines = steps.lines().map(|line| format!("quiet {}", line.trim()));
        lines.collect::<Vec<_>>().join("\n")
    };
    history.run(&quiet(race).replace("quiet sync", "sync"));
    let said = history.run(&format!("sync\nconflicts\nb: root Resolve {kind} {choice}"));
    expected.assert_eq(&said);
    assert!(said.ends_with("    done\n"), "{said}");
    let left = history.run("sync\nconflicts");
    assert!(!left.contains(&format!("{kind}: ")), "{left}");
}

#[test]
fn a_group_or_policy_that_was_deleted_while_it_was_used_is_kept_or_deleted() {
    check_settled(
        "root CreateUser bob
        root CreateGroup g
        sync
        a: root AddUserToGroup g bob
        b: root DeleteGroup g",
        ("existence", "1"),
        expect![[r#"
            conflicts
                existence: group g, whether it exists
                  node 1, 123456789012:root, AddUserToGroup: made at T
                  node 2, 123456789012:root, DeleteGroup: removed
                  withheld: what it allows; what it denies counts
                  1: iam:CreateGroup iam:AddUserToGroup
                  remove: iam:DeleteGroup
            b: root Resolve existence 1
                done
        "#]],
    );
    check_settled(
        "root CreatePolicy P allow:s3:*
        sync
        a: root CreatePolicyVersion P allow:s3:Get*
        b: root DeletePolicy P
        sync
        root DeletePolicyVersion P v2",
        ("existence", "remove"),
        expect![[r#"
            conflicts
                existence: policy P, whether it exists
                  node 1, 123456789012:root, CreatePolicyVersion: made at T
                  node 2, 123456789012:root, DeletePolicy: removed
                  withheld: what it allows; what it denies counts
                  1: iam:CreatePolicy iam:CreatePolicyVersion
                  remove: iam:DeletePolicy
            b: root Resolve existence remove
                done
        "#]],
    );
}

#[test]
fn a_principal_that_may_be_deleted_can_only_be_deleted() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreatePolicy P allow:s3:*
        sync
        quiet a: root AttachUserPolicy bob P
        quiet b: root DeleteUser bob
        sync
        conflicts
        root Resolve existence 1
        root Resolve existence remove
        root DetachUserPolicy bob P
        root Resolve existence remove
        conflicts",
        expect![[r#"
            conflicts
                existence: user bob, whether it exists
                  node 1, 123456789012:root, AttachUserPolicy: made at T
                  node 2, 123456789012:root, DeleteUser: removed
                  withheld: it cannot act, its credentials are refused
                  remove: iam:DeleteUser
            root Resolve existence 1
                NotSettledByChoice { actions: ["iam:DeleteUser"] }
            root Resolve existence remove
                DeleteConflict { obstacle: AttachedPolicies }
            root DetachUserPolicy bob P
                done
            root Resolve existence remove
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn rivals_and_what_is_over_a_limit_are_settled_by_calls_of_ones_own() {
    check_history(
        "quiet a: root CreateUser bob
        quiet b: root CreateUser Bob
        sync
        conflicts
        root Resolve rivals 1
        root UpdateUser bob ada
        conflicts
        quiet root CreateAccessKey ada
        sync
        quiet a: root CreateAccessKey ada
        quiet b: root CreateAccessKey ada
        sync
        conflicts
        root Resolve over_limit remove
        root DeleteAccessKey ada key2
        conflicts",
        expect![[r#"
            conflicts
                rivals: user bob, the name `bob`
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob ID
                  node 2, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/Bob ID
                  withheld: the credentials of all of them, and giving them anything
                  by a call: iam:UpdateUser iam:DeleteUser
            root Resolve rivals 1
                NotSettledByChoice { actions: ["iam:UpdateUser", "iam:DeleteUser"] }
            root UpdateUser bob ada
                done
            conflicts
                none
            conflicts
                over_limit: user ada, access keys
                  node 1, 123456789012:root, CreateAccessKey: ID
                  node 1, 123456789012:root, CreateAccessKey: ID
                  node 2, 123456789012:root, CreateAccessKey: ID
                  withheld: making more of them
                  by a call: iam:DeleteAccessKey
            root Resolve over_limit remove
                NotSettledByChoice { actions: ["iam:DeleteAccessKey"] }
            root DeleteAccessKey ada key2
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn versions_that_a_merge_brought_over_the_limit_are_deleted_by_a_call_of_ones_own() {
    check_history(
        "quiet root CreatePolicy P allow:s3:*
        quiet root CreatePolicyVersion P allow:s3:b
        quiet root CreatePolicyVersion P allow:s3:c
        quiet root CreatePolicyVersion P allow:s3:d
        sync
        quiet a: root CreatePolicyVersion P allow:s3:e
        quiet b: root CreatePolicyVersion P allow:s3:f
        quiet b: root DeletePolicyVersion P v5
        quiet b: root CreatePolicyVersion P allow:s3:g
        sync
        conflicts
        root DeletePolicyVersion P v2
        quiet root DeletePolicyVersion P v5
        conflicts",
        expect![[r#"
            conflicts
                policy_version: policy P, version `v5`
                  node 1, 123456789012:root, CreatePolicyVersion: a document of 99 characters
                  node 2, 123456789012:root, DeletePolicyVersion: removed
                  withheld: what not every side allows; what any side denies counts
                  1: iam:CreatePolicyVersion
                  remove: iam:DeletePolicyVersion
                over_limit: policy P, versions
                  node 1, 123456789012:root, CreatePolicy: v1
                  node 1, 123456789012:root, CreatePolicyVersion: v2
                  node 1, 123456789012:root, CreatePolicyVersion: v3
                  node 1, 123456789012:root, CreatePolicyVersion: v4
                  node 1, 123456789012:root, CreatePolicyVersion: v5
                  node 2, 123456789012:root, CreatePolicyVersion: v6
                  withheld: making more of them
                  by a call: iam:DeletePolicyVersion
            root DeletePolicyVersion P v2
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn who_settles_a_conflict_needs_the_right_to_the_call_that_would() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateUser ada
        quiet root CreateAccessKey ada
        quiet root CreatePolicy P allow:s3:*
        quiet root PutUserPolicy ada in allow:iam:DetachUserPolicy
        quiet root AttachUserPolicy bob P
        sync
        quiet a: root AttachUserPolicy bob P
        quiet b: root DetachUserPolicy bob P
        sync
        ada Resolve attachment 1
        root@222222222222 Resolve attachment 1
        root Resolve attachment 0
        root Resolve attachment 3
        root Resolve 00000000000000000000 1
        ada Resolve attachment remove
        events
        b: events
        sync
        b: events",
        expect![[r#"
            ada Resolve attachment 1
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: iam:AttachUserPolicy on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:AttachUserPolicy action" }
            root@222222222222 Resolve attachment 1
                NoSuchConflict { id: ba4923777a51824a23ad }
            root Resolve attachment 0
                NoSuchSide { number: 0, sides: 2 }
            root Resolve attachment 3
                NoSuchSide { number: 3, sides: 2 }
            root Resolve 00000000000000000000 1
                NoSuchConflict { id: 00000000000000000000 }
            ada Resolve attachment remove
                done
            events
                attachment Appeared, attachment Gone
            b: events
                attachment Appeared
            b: events
                attachment Gone
        "#]],
    );
}

#[test]
fn two_who_settle_one_conflict_differently_make_another() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root CreatePolicy P allow:s3:*
        root AttachUserPolicy bob P
        sync
        a: root AttachUserPolicy bob P
        b: root DetachUserPolicy bob P
        sync",
    );
    let first = history.conflict_id(0, "attachment");
    let said = history.run(&format!(
        "a: root Resolve {first} 1
        b: root Resolve {first} remove
        sync"
    ));
    assert_eq!(said.matches("done").count(), 2, "{said}");
    let second = history.conflict_id(1, "attachment");
    assert_ne!(first, second, "the sides are others");
    let said = history.run(&format!(
        "a: root Resolve {first} 1
        a: root Resolve {second} 1
        b: root Resolve {second} 1
        sync
        conflicts
        root ListAttachedUserPolicies bob"
    ));
    assert!(said.contains(&format!("NoSuchConflict {{ id: {first} }}")), "{said}");
    assert_eq!(said.matches("done").count(), 2, "{said}");
    assert!(said.contains("none\n") && said.contains("policy/P"), "{said}");
}

#[test]
fn pages_give_each_conflict_once() {
    let mut history = History::new();
    for number in 0..5 {
        history.run(&format!("root CreateUser u{number}"));
    }
    history.run("sync");
    for number in 0..5 {
        history.run(&format!("root TagUser u{number} k=v\nb: root TagUser u{number} k=w"));
    }
    history.run("sync");
    let account = crate::history::ACCOUNT.parse().unwrap();
    let identity = &history.replicas[0].identity;
    let mut page = identity::Page { marker: None, max_items: 2 };
    let mut ids = Vec::new();
    loop {
        let listing = identity.conflicts(account, &page);
        assert!(listing.items.len() <= 2);
        ids.extend(listing.items.iter().map(|conflict| conflict.id));
        page.marker = listing.next;
        if page.marker.is_none() {
            break;
        }
    }
    let whole = identity.conflicts(account, &identity::Page::default()).items;
    assert!(whole.iter().map(|conflict| conflict.id).eq(ids));
    assert_eq!(whole.len(), 5);
}

#[test]
fn a_review_says_what_each_call_wrote_and_shows_no_secret() {
    let mut history = History::new();
    let mut reviews = String::new();
    for call in [
        "root CreateUser bob",
        "root PutUserPolicy bob reads allow:s3:Get*",
        "root CreateAccessKey bob",
        "root DeleteUserPolicy bob reads",
    ] {
        history.run(call);
        reviews += &history.review();
    }
    expect![[r#"
        CreateUser by arn:aws:iam::123456789012:root, node 0
          user bob (arn:aws:iam::123456789012:user/bob), whether it exists: made at 2023-11-14T22:13:21Z
          user bob (arn:aws:iam::123456789012:user/bob), name: bob
          user bob (arn:aws:iam::123456789012:user/bob), path: /
        PutUserPolicy by arn:aws:iam::123456789012:root, node 0
          user bob (arn:aws:iam::123456789012:user/bob), whether it exists: made at 2023-11-14T22:13:21Z
          user bob (arn:aws:iam::123456789012:user/bob), inline policy `reads`: a document of 102 characters
            {"Version":"2012-10-17","Statement":
                    {"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}
        CreateAccessKey by arn:aws:iam::123456789012:root, node 0
          user bob (arn:aws:iam::123456789012:user/bob), whether it exists: made at 2023-11-14T22:13:21Z
          access key … (arn:aws:iam::123456789012:user/bob), whether it exists: made at 2023-11-14T22:13:23Z
          access key … (arn:aws:iam::123456789012:user/bob), status: Active
        DeleteUserPolicy by arn:aws:iam::123456789012:root, node 0
          user bob (arn:aws:iam::123456789012:user/bob), inline policy `reads`: removed
    "#]].assert_eq(&reviews);
}
