//! What is forgotten once everybody has it, and what is not.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn nothing_is_left_of_what_is_gone() {
    check_history(
        "root CreateUser ann
        collect
        quiet root CreateUser bob
        quiet root CreateGroup g
        quiet root AddUserToGroup g bob
        quiet root PutUserPolicy bob i allow:*
        quiet root CreateAccessKey bob
        quiet root CreatePolicy P allow:s3:*
        quiet root AttachUserPolicy bob P
        collect
        quiet root DetachUserPolicy bob P
        quiet root DeleteUserPolicy bob i
        quiet root RemoveUserFromGroup g bob
        quiet b: root TagUser ann team=x
        quiet b: root UntagUser ann team
        collect
        quiet root DeleteAccessKey bob key1
        quiet root DeleteUser bob
        quiet root DeleteGroup g
        quiet root DeletePolicy P
        collect
        auth key1
        root GetUser bob
        quiet root CreateUser bob
        may arn:aws:iam::123456789012:user/bob s3:GetObject *",
        expect![[r#"
            root CreateUser ann
                CreateUser(User { id: AIDA…, name: UserName("ann"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/ann", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })
            collect
                3 slots
            collect
                19 slots
            collect
                16 slots
            collect
                3 slots
            auth key1
                no
            root GetUser bob
                NoSuchEntity { noun: User, name: "bob" }
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn a_version_of_a_policy_is_never_another() {
    check_history(
        "quiet root CreatePolicy P allow:s3:*
        quiet root CreatePolicyVersion P deny:s3:*
        quiet root DeletePolicyVersion P v2
        collect
        root CreatePolicyVersion P allow:ec2:*",
        expect![[r#"
            collect
                6 slots
            root CreatePolicyVersion P allow:ec2:*
                CreatePolicyVersion(PolicyVersion { id: VersionId("v3"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"ec2:*\",\"Resource\":\"*\"}}", is_default: false, created: T })
        "#]],
    );
}

#[test]
fn a_contest_outlives_every_barrier() {
    check_history(
        "quiet root CreateUser bob
        quiet root PutUserPolicy bob i allow:s3:*
        quiet sync
        a: root DeleteUserPolicy bob i
        b: root PutUserPolicy bob i deny:s3:*
        collect
        conflicts
        quiet events
        b: root PutUserPolicy bob i allow:s3:*
        collect
        events
        may arn:aws:iam::123456789012:user/bob s3:GetObject *",
        expect![[r#"
            a: root DeleteUserPolicy bob i
                done
            b: root PutUserPolicy bob i deny:s3:*
                done
            collect
                4 slots
            conflicts
                inline_policy: user bob, inline policy `i`
                  node 1, 123456789012:root, DeleteUserPolicy: removed
                  node 2, 123456789012:root, PutUserPolicy: a document of 98 characters
                  withheld: what not every side allows; what any side denies counts
                  2: iam:PutUserPolicy
                  remove: iam:DeleteUserPolicy
            b: root PutUserPolicy bob i allow:s3:*
                done
            collect
                4 slots
            events
                inline_policy Gone
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}

#[test]
fn a_deletion_that_is_contested_is_not_carried_out_by_a_barrier() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateGroup g
        quiet sync
        quiet a: root DeleteUser bob
        quiet b: root AddUserToGroup g bob
        collect
        root GetUser bob
        root RemoveUserFromGroup g bob
        root DeleteUser bob
        collect
        root GetUser bob",
        expect![[r#"
            collect
                7 slots
            root GetUser bob
                GetUser(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }))
            root RemoveUserFromGroup g bob
                done
            root DeleteUser bob
                done
            collect
                3 slots
            root GetUser bob
                NoSuchEntity { noun: User, name: "bob" }
        "#]],
    );
}
