//! Names that are provisional, confirmed, lost.

use crdt::VersionVector;
use expect_test::{Expect, expect};
use identity::Whose;

use crate::history::History;

/// Two users `bob`, of whom the one of node a has key1 and that of node b has key2.
const TWO_BOBS: &str = "
    quiet a: root CreateUser bob
    quiet b: root CreateUser Bob
    quiet a: root CreateAccessKey bob
    quiet b: root CreateAccessKey bob
    quiet a: root PutUserPolicy bob all allow:*
    quiet b: root PutUserPolicy bob all allow:*";

fn check(steps: &str, expected: Expect) {
    expected.assert_eq(&History::new().run(steps));
}

fn check_bobs(steps: &str, expected: Expect) {
    check(&format!("{TWO_BOBS}\n{steps}"), expected);
}

#[test]
fn the_first_that_is_decided_works_again_and_the_other_is_quarantined() {
    check_bobs(
        "sync
        quiet events
        auth key1
        auth key2
        decide
        auth key1
        auth key2
        b: auth key1
        b: auth key2
        b: events
        conflicts
        decide",
        expect![[r#"
            auth key1
                no
            auth key2
                no
            decide
                2 claimed, 0 released
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key2
                no
            b: auth key1
                yes, arn:aws:iam::123456789012:user/bob
            b: auth key2
                no
            b: events
                rivals Appeared, rivals Gone, quarantined Appeared
            conflicts
                quarantined: user Bob, the name `bob`
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDA7QWOEIAJRJPNQHOPE, has the name)
                  node 2, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/Bob (AIDAZS3SNJANOQUSL2UKZ, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
            decide
                nothing
        "#]],
    );
}

#[test]
fn who_lost_before_anybody_knew_of_both_is_quarantined_from_then_on() {
    check_bobs(
        "b: decide
        a: auth key1
        a: conflicts
        b: auth key2
        a: decide
        a: auth key1
        sync
        a: auth key1
        a: auth key2
        a: conflicts",
        expect![[r#"
            b: decide
                1 claimed, 0 released
            a: auth key1
                no
            a: conflicts
                quarantined: user bob, the name `bob`
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDA7QWOEIAJRJPNQHOPE, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
            b: auth key2
                yes, arn:aws:iam::123456789012:user/Bob
            a: decide
                1 claimed, 0 released
            a: auth key1
                no
            a: auth key1
                no
            a: auth key2
                yes, arn:aws:iam::123456789012:user/Bob
            a: conflicts
                quarantined: user bob, the name `bob`
                  node 2, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/Bob (AIDAZS3SNJANOQUSL2UKZ, has the name)
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDA7QWOEIAJRJPNQHOPE, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
        "#]],
    );
}

#[test]
fn a_quarantined_user_is_found_by_its_id_taken_apart_and_renamed() {
    let mut history = History::new();
    history.run(&format!("{TWO_BOBS}\nsync\nb: decide\n"));
    let account = crate::history::ACCOUNT.parse().unwrap();
    let kind = model::UniqueIdKind::User;
    let holder = history.find(0, account, kind, "bob");
    let listing = history.ids_of_users(0);
    let lost = listing.into_iter().find(|id| *id != holder).unwrap().to_string();
    let said = history.run(
        &"auth key1
        auth key2
        root ListAccessKeys LOST
        root CreateAccessKey LOST
        root AttachUserPolicy LOST aws/AdministratorAccess
        root DeleteUserPolicy LOST all
        root UpdateUser LOST rob
        conflicts
        auth key1
        auth key2
        b: root GetUser rob
        decide
        decide
        root CreateUser BOB
        root DeleteUserPolicy bob all
        root GetUser LOST"
            .replace("LOST", &lost),
    );
    expect![[r#"
        auth key1
            yes, arn:aws:iam::123456789012:user/bob
        auth key2
            no
        root ListAccessKeys LOST
            ListAccessKeys(Listing { items: [AccessKey { user: Some(UserName("Bob")), id: AKIA…, status: Active, created: T }], next: None })
        root CreateAccessKey LOST
            ConcurrentModification { noun: User, name: "Bob" }
        root AttachUserPolicy LOST aws/AdministratorAccess
            ConcurrentModification { noun: User, name: "LOST" }
        root DeleteUserPolicy LOST all
            done
        root UpdateUser LOST rob
            done
        conflicts
            none
        auth key1
            yes, arn:aws:iam::123456789012:user/bob
        auth key2
            yes, arn:aws:iam::123456789012:user/rob
        b: root GetUser rob
            NoSuchEntity { noun: User, name: "rob" }
        decide
            1 claimed, 1 released
        decide
            nothing
        root CreateUser BOB
            EntityAlreadyExists { noun: User, name: "BOB" }
        root DeleteUserPolicy bob all
            done
        root GetUser LOST
            NoSuchEntity { noun: User, name: "LOST" }
    "#]].assert_eq(&said.replace(&lost, "LOST"));
}

#[test]
fn a_name_passes_on_when_its_holder_is_renamed_or_deleted() {
    check(
        "quiet root CreateUser bob
        decide
        quiet root UpdateUser bob rob
        quiet root CreateUser bob
        quiet root CreateAccessKey bob
        auth key1
        decide
        auth key1
        decide
        quiet root DeleteUser rob
        decide
        decide",
        expect![[r#"
            decide
                1 claimed, 0 released
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            decide
                2 claimed, 1 released
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            decide
                nothing
            decide
                0 claimed, 1 released
            decide
                nothing
        "#]],
    );
}

#[test]
fn who_lost_a_name_stays_lost_when_the_holder_is_gone() {
    check_bobs(
        "sync
        decide
        quiet root DeleteUserPolicy bob all
        quiet root DeleteAccessKey bob key1
        root DeleteUser bob
        auth key2
        conflicts
        decide
        auth key2
        conflicts
        root CreateUser bob",
        expect![[r#"
            decide
                2 claimed, 0 released
            root DeleteUser bob
                done
            auth key2
                no
            conflicts
                quarantined: user Bob, the name `bob`
                  node 2, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/Bob (AIDAZS3SNJANOQUSL2UKZ, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
            decide
                0 claimed, 1 released
            auth key2
                no
            conflicts
                quarantined: user Bob, the name `bob`
                  node 2, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/Bob (AIDAZS3SNJANOQUSL2UKZ, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
            root CreateUser bob
                EntityAlreadyExists { noun: User, name: "bob" }
        "#]],
    );
}

#[test]
fn a_name_that_is_settled_is_held_though_nothing_says_so() {
    check(
        "quiet root CreateUser bob
        quiet root CreateAccessKey bob
        decide
        settle
        decide
        b: root CreateUser bob
        b: root CreateAccessKey bob
        sync
        auth key1
        auth key2
        b: decide
        auth key1
        auth key2
        settle
        auth key1
        auth key2",
        expect![[r#"
            decide
                1 claimed, 0 released
            settle
                0 of 1 kept
            decide
                nothing
            b: root CreateUser bob
                CreateUser(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })
            b: root CreateAccessKey bob
                CreateAccessKey(NewAccessKey { user: Some(UserName("bob")), id: AKIA…, secret: Secret(..), status: Active, created: T })
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key2
                no
            b: decide
                2 claimed, 0 released
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key2
                no
            settle
                1 of 1 kept
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key2
                no
        "#]],
    );
}

#[test]
fn what_a_quarantined_policy_or_group_allows_does_not_count_and_it_can_be_deleted_by_its_id() {
    check(
        "quiet root CreateUser eve
        quiet root CreateAccessKey eve
        sync
        quiet a: root CreatePolicy P allow:s3:*
        quiet b: root CreatePolicy P allow:ec2:*
        quiet a: root AttachUserPolicy eve P
        quiet b: root AttachUserPolicy eve P
        quiet a: root CreateGroup g
        quiet b: root CreateGroup g
        quiet a: root PutGroupPolicy g in allow:sqs:*
        quiet b: root PutGroupPolicy g in allow:sns:*
        quiet a: root PutGroupPolicy g out deny:kms:*
        quiet b: root PutGroupPolicy g out deny:sts:*
        quiet a: root AddUserToGroup g eve
        quiet b: root AddUserToGroup g eve
        b: may EVE sns:Publish *
        sync
        b: may EVE sns:Publish *
        decide
        may EVE s3:GetObject *
        may EVE ec2:RunInstances *
        may EVE sqs:SendMessage *
        may EVE sns:Publish *
        may EVE kms:Decrypt *
        may EVE sts:AssumeRole *
        conflicts"
            .replace("EVE", "arn:aws:iam::123456789012:user/eve")
            .as_str(),
        expect![[r#"
            b: may arn:aws:iam::123456789012:user/eve sns:Publish *
                Allow
            b: may arn:aws:iam::123456789012:user/eve sns:Publish *
                ImplicitDeny { layer: Identity }
            decide
                5 claimed, 0 released
            may arn:aws:iam::123456789012:user/eve s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/eve ec2:RunInstances *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/eve sqs:SendMessage *
                Allow
            may arn:aws:iam::123456789012:user/eve sns:Publish *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/eve kms:Decrypt *
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/eve sts:AssumeRole *
                ExplicitDeny { layer: Identity }
            conflicts
                quarantined: group g, the name `g`
                  node 1, 123456789012:root, CreateGroup: arn:aws:iam::123456789012:group/g (AGPAEKLIS3IE3CDNNJSPQ, has the name)
                  node 2, 123456789012:root, CreateGroup: arn:aws:iam::123456789012:group/g (AGPASCFVAJSEZEWYSQBKN, has lost the name)
                  withheld: what it allows, and giving it anything; what it denies counts
                  by a call: iam:UpdateGroup iam:DeleteGroup
                quarantined: policy P, the name `p`
                  node 1, 123456789012:root, CreatePolicy: arn:aws:iam::123456789012:policy/P (ANPADFJMYN7OI4KL2BPT6, has the name)
                  node 2, 123456789012:root, CreatePolicy: arn:aws:iam::123456789012:policy/P (ANPAATOQYLAARXUWIASCL, has lost the name)
                  withheld: what it allows, and giving it anything; what it denies counts
                  by a call: iam:DeletePolicy
        "#]],
    );
}

#[test]
fn a_holder_whose_deletion_is_contested_keeps_the_name_from_others() {
    check(
        "quiet root CreateUser bob
        quiet root CreateGroup g
        decide
        sync
        quiet a: root DeleteUser bob
        quiet b: root AddUserToGroup g bob
        quiet a: root CreateUser bob
        quiet a: root CreateAccessKey bob
        a: decide
        a: auth key1
        sync
        auth key1
        conflicts
        root Resolve existence 2
        root Resolve existence remove
        conflicts",
        expect![[r#"
            decide
                2 claimed, 0 released
            a: decide
                1 claimed, 1 released
            a: auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            conflicts
                quarantined: user bob, the name `bob`
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDAMT6X246Q5WOMSTJRR, has the name)
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDA7QWOEIAJRJPNQHOPE, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
                existence: user bob, whether it exists
                  node 1, 123456789012:root, DeleteUser: removed
                  node 2, 123456789012:root, AddUserToGroup: made at T
                  withheld: it cannot act, its credentials are refused
                  remove: iam:DeleteUser
            root Resolve existence 2
                NotSettledByChoice { actions: ["iam:DeleteUser"] }
            root Resolve existence remove
                DeleteConflict { obstacle: Memberships }
            conflicts
                quarantined: user bob, the name `bob`
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDAMT6X246Q5WOMSTJRR, has the name)
                  node 1, 123456789012:root, CreateUser: arn:aws:iam::123456789012:user/bob (AIDA7QWOEIAJRJPNQHOPE, has lost the name)
                  withheld: the credentials of whoever lost the name, and giving it anything
                  by a call: iam:UpdateUser iam:DeleteUser
                existence: user bob, whether it exists
                  node 1, 123456789012:root, DeleteUser: removed
                  node 2, 123456789012:root, AddUserToGroup: made at T
                  withheld: it cannot act, its credentials are refused
                  remove: iam:DeleteUser
        "#]],
    );
}

#[test]
fn a_wait_for_names_ends_with_who_lost_them_until_they_are_given_up() {
    check_bobs(
        "verdict
        sync
        verdict
        decide
        verdict
        b: verdict
        quiet root DeleteUserPolicy bob all
        quiet root DeleteAccessKey bob key1
        quiet root DeleteUser bob
        verdict
        quiet root UpdateUser bob rob
        verdict
        decide
        verdict",
        expect![[r#"
            verdict
                Provisional
            verdict
                Provisional
            decide
                2 claimed, 0 released
            verdict
                lost [("bob", true)]
            b: verdict
                lost [("bob", true)]
            verdict
                lost [("bob", false)]
            verdict
                Provisional
            decide
                1 claimed, 2 released
            verdict
                Confirmed
        "#]],
    );
}

#[test]
fn nothing_is_claimed_or_taken_for_given_up_before_a_majority_has_it() {
    let mut history = History::new();
    history.run("root CreateUser bob");
    let safe = history.replicas[0].identity.state().vector().clone();
    let claims = |history: &History, safe: &VersionVector| {
        let proposal = history.replicas[0].identity.propose_names(Whose::Anybodys, safe);
        proposal.map_or((0, 0), |proposal| (proposal.claims.len(), proposal.released.len()))
    };
    assert_eq!(claims(&history, &VersionVector::new()), (0, 0));
    assert_eq!(claims(&history, &safe), (1, 0));
    history.run("decide\nroot DeleteUser bob");
    assert_eq!(claims(&history, &safe), (0, 0));
    history.run("root CreateUser bob");
    let all = history.replicas[0].identity.state().vector().clone();
    assert_eq!(claims(&history, &safe), (0, 0));
    assert_eq!(claims(&history, &all), (1, 1));
}

#[test]
fn what_was_prepared_falls_with_a_decision_for_somebody_who_has_not_arrived() {
    check(
        "quiet root CreateUser bob
        quiet root CreateGroup ops
        quiet root PutGroupPolicy ops all allow:s3:*
        quiet root AddUserToGroup ops bob
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        quiet b: root CreateGroup Ops
        b: decide
        may arn:aws:iam::123456789012:user/bob s3:GetObject *",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            b: decide
                1 claimed, 0 released
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn what_was_prepared_falls_with_a_rival_of_a_group_and_with_what_is_decided_of_it() {
    check(
        "quiet root CreateUser bob
        quiet root CreateGroup ops
        quiet root PutGroupPolicy ops all allow:s3:*
        quiet root AddUserToGroup ops bob
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        quiet b: root CreateGroup Ops
        sync
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        decide
        may arn:aws:iam::123456789012:user/bob s3:GetObject *",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            decide
                3 claimed, 0 released
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}
