//! What two nodes did at once, and what is left of it.

mod documents;
mod names;

use expect_test::expect;

use crate::history::check_history;

const BOB: &str = "arn:aws:iam::123456789012:user/bob";

fn check_race(steps: &str, expected: expect_test::Expect) {
    check_history(&steps.replace("BOB", BOB), expected);
}

#[test]
fn what_a_revoked_key_did_meanwhile_is_doubted_until_somebody_settles_it() {
    check_history(
        "quiet root CreateUser adm
        quiet root PutUserPolicy adm admin allow:iam:*
        quiet root CreateAccessKey adm
        quiet root CreateUser bob
        quiet root PutUserPolicy bob i deny:s3:Put*
        quiet root CreatePolicy P allow:s3:*
        quiet sync
        quiet a: root UpdateAccessKey adm key1 Inactive
        b: adm AttachUserPolicy bob P
        b: adm DeleteUserPolicy bob i
        b: may arn:aws:iam::123456789012:user/bob s3:PutObject *
        quiet sync
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        may arn:aws:iam::123456789012:user/bob s3:PutObject *
        conflicts
        collect
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        b: root AttachUserPolicy bob P
        b: root PutUserPolicy bob i deny:s3:Put*
        collect
        conflicts
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        may arn:aws:iam::123456789012:user/bob s3:PutObject *",
        expect![[r#"
            b: adm AttachUserPolicy bob P
                done
            b: adm DeleteUserPolicy bob i
                done
            b: may arn:aws:iam::123456789012:user/bob s3:PutObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ExplicitDeny { layer: Identity }
            conflicts
                attachment: user bob, attachment of arn:aws:iam::123456789012:policy/P
                  node 1, 123456789012:root, UpdateAccessKey: removed
                  node 2, 123456789012:user/adm, AttachUserPolicy: attached; doubted: its author's right was changed by UpdateAccessKey, node 1
                  withheld: what it allows; what it denies counts
                  2: iam:AttachUserPolicy
                  remove: iam:DetachUserPolicy
                inline_policy: user bob, inline policy `i`
                  node 1, 123456789012:root, PutUserPolicy: a document of 101 characters
                  node 2, 123456789012:user/adm, DeleteUserPolicy: removed; doubted: its author's right was changed by UpdateAccessKey, node 1
                  withheld: what not every side allows; what any side denies counts
                  1: iam:PutUserPolicy
                  remove: iam:DeleteUserPolicy
            collect
                16 slots
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            b: root AttachUserPolicy bob P
                done
            b: root PutUserPolicy bob i deny:s3:Put*
                done
            collect
                16 slots
            conflicts
                none
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ExplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn who_relied_on_what_a_revoked_key_gave_is_doubted_with_it() {
    check_history(
        "quiet root CreateUser adm
        quiet root PutUserPolicy adm admin allow:iam:*
        quiet root CreateAccessKey adm
        quiet root CreateUser eve
        quiet root CreateUser bob
        quiet sync
        quiet a: root DeleteUserPolicy adm admin
        quiet b: adm PutUserPolicy eve admin allow:iam:*
        quiet b: adm CreateAccessKey eve
        quiet b: eve PutUserPolicy bob i allow:s3:*
        b: may arn:aws:iam::123456789012:user/bob s3:GetObject *
        quiet sync
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
        auth key2
        eve PutUserPolicy bob i allow:s3:*",
        expect![[r#"
            b: may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            auth key2
                no
            eve PutUserPolicy bob i allow:s3:*
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: iam:PutUserPolicy on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:PutUserPolicy action" }
        "#]],
    );
}

#[test]
fn attach_and_detach_of_an_allow_grants_nothing() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreatePolicy P allow:s3:*
        quiet root AttachUserPolicy bob P
        sync
        may BOB s3:GetObject *
        a: root AttachUserPolicy bob P
        b: root DetachUserPolicy bob P
        sync
        may BOB s3:GetObject *
        b: may BOB s3:GetObject *
        root ListAttachedUserPolicies bob
        root DeletePolicy P
        root AttachUserPolicy bob P
        may BOB s3:GetObject *",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            a: root AttachUserPolicy bob P
                done
            b: root DetachUserPolicy bob P
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            b: may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            root ListAttachedUserPolicies bob
                ListAttachedUserPolicies(Listing { items: [AttachedPolicy { arn: "arn:aws:iam::123456789012:policy/P", name: "P" }], next: None })
            root DeletePolicy P
                DeleteConflict { obstacle: Attachments }
            root AttachUserPolicy bob P
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}

#[test]
fn attach_and_detach_of_a_deny_keeps_the_deny() {
    check_race(
        "quiet root CreateUser bob
        quiet root PutUserPolicy bob all allow:*
        quiet root CreatePolicy D deny:s3:*
        quiet root AttachUserPolicy bob D
        sync
        a: root DetachUserPolicy bob D
        b: root AttachUserPolicy bob D
        sync
        may BOB s3:GetObject *
        may BOB ec2:RunInstances *
        root DetachUserPolicy bob D
        may BOB s3:GetObject *",
        expect![[r#"
            a: root DetachUserPolicy bob D
                done
            b: root AttachUserPolicy bob D
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                Allow
            root DetachUserPolicy bob D
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}

#[test]
fn a_key_that_is_switched_both_ways_does_not_authenticate() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateAccessKey bob
        sync
        a: root UpdateAccessKey bob key1 Active
        b: root UpdateAccessKey bob key1 Inactive
        sync
        auth key1
        b: auth key1
        root ListAccessKeys bob
        root UpdateAccessKey bob key1 Active
        auth key1
        sync
        a: root UpdateAccessKey bob key1 Active
        b: root DeleteAccessKey bob key1
        sync
        auth key1
        root UpdateAccessKey bob key1 Active
        root DeleteAccessKey bob key1
        root ListAccessKeys bob",
        expect![[r#"
            a: root UpdateAccessKey bob key1 Active
                done
            b: root UpdateAccessKey bob key1 Inactive
                done
            auth key1
                no
            b: auth key1
                no
            root ListAccessKeys bob
                ListAccessKeys(Listing { items: [AccessKey { user: Some(UserName("bob")), id: AKIA…, status: Inactive, created: T }], next: None })
            root UpdateAccessKey bob key1 Active
                done
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            a: root UpdateAccessKey bob key1 Active
                done
            b: root DeleteAccessKey bob key1
                done
            auth key1
                no
            root UpdateAccessKey bob key1 Active
                ConcurrentModification { noun: AccessKey, name: "AKIAYJPL7564O3RQQGJ3" }
            root DeleteAccessKey bob key1
                done
            root ListAccessKeys bob
                ListAccessKeys(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn a_group_deleted_while_a_user_joins_gives_only_its_denies() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateGroup g
        quiet root PutUserPolicy bob in allow:ec2:*
        sync
        a: root AddUserToGroup g bob
        b: root DeleteGroup g
        sync
        root ListGroups
        root AddUserToGroup g bob
        root PutGroupPolicy g in allow:s3:*
        root DeleteGroup g
        root RemoveUserFromGroup g bob
        root DeleteGroup g
        root ListGroups
        quiet root CreateGroup h
        sync
        a: root AddUserToGroup h bob
        a: root PutGroupPolicy h no deny:ec2:*
        a: root PutGroupPolicy h yes allow:s3:*
        b: root DeleteGroup h
        sync
        may BOB s3:GetObject *
        may BOB ec2:RunInstances *",
        expect![[r#"
            a: root AddUserToGroup g bob
                done
            b: root DeleteGroup g
                done
            root ListGroups
                ListGroups(Listing { items: [Group { id: AGPA…, name: GroupName("g"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:group/g", colons: [3, 7, 11, 12, 25] }, created: T }], next: None })
            root AddUserToGroup g bob
                ConcurrentModification { noun: Group, name: "g" }
            root PutGroupPolicy g in allow:s3:*
                ConcurrentModification { noun: Group, name: "g" }
            root DeleteGroup g
                DeleteConflict { obstacle: Memberships }
            root RemoveUserFromGroup g bob
                done
            root DeleteGroup g
                done
            root ListGroups
                ListGroups(Listing { items: [], next: None })
            a: root AddUserToGroup h bob
                done
            a: root PutGroupPolicy h no deny:ec2:*
                done
            a: root PutGroupPolicy h yes allow:s3:*
                done
            b: root DeleteGroup h
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                ExplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn a_deleted_user_is_dead_whatever_was_concurrent() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateRole ops trust:BOB
        sync
        a: root CreateAccessKey bob
        a: root AttachUserPolicy bob aws/AdministratorAccess
        auth key1
        b: root DeleteUser bob
        sync
        auth key1
        may BOB s3:GetObject *
        root GetUser bob
        root CreateUser bob
        root TagUser bob a=b
        bob AssumeRole ops
        root DetachUserPolicy bob aws/AdministratorAccess
        root DeleteAccessKey bob key1
        root DeleteUser bob
        quiet root CreateUser bob
        bob AssumeRole ops",
        expect![[r#"
            a: root CreateAccessKey bob
                CreateAccessKey(NewAccessKey { user: Some(UserName("bob")), id: AKIA…, secret: Secret(..), status: Active, created: T })
            a: root AttachUserPolicy bob aws/AdministratorAccess
                done
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            b: root DeleteUser bob
                done
            auth key1
                no
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            root GetUser bob
                GetUser(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }))
            root CreateUser bob
                EntityAlreadyExists { noun: User, name: "bob" }
            root TagUser bob a=b
                ConcurrentModification { noun: User, name: "bob" }
            bob AssumeRole ops
                InvalidClientTokenId
            root DetachUserPolicy bob aws/AdministratorAccess
                done
            root DeleteAccessKey bob key1
                done
            root DeleteUser bob
                done
            bob AssumeRole ops
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/ops because no role trust policy allows the sts:AssumeRole action" }
        "#]],
    );
}

#[test]
fn a_condition_on_a_contested_tag_never_allows_and_always_denies() {
    let policy = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"s3:*","Resource":"*"},
        {"Effect":"Deny","Action":"s3:Put*","Resource":"*",
         "Condition":{"StringEquals":{"aws:PrincipalTag/t":"no"}}},
        {"Effect":"Allow","Action":"ec2:*","Resource":"*",
         "Condition":{"StringEquals":{"aws:PrincipalTag/t":"yes"}}}]}"#;
    let policy: String = policy.split_whitespace().collect();
    let steps = "quiet root CreateUser bob / t=yes
        quiet root PutUserPolicy bob in POLICY
        sync
        may BOB s3:PutObject *
        may BOB ec2:RunInstances *
        a: root TagUser bob t=yes
        b: root TagUser bob t=maybe
        sync
        may BOB s3:GetObject *
        may BOB s3:PutObject *
        may BOB ec2:RunInstances *
        root ListUserTags bob
        root TagUser bob t=yes
        may BOB s3:PutObject *
        may BOB ec2:RunInstances *";
    check_race(
        &steps.replace("POLICY", &policy),
        expect![[r#"
        may arn:aws:iam::123456789012:user/bob s3:PutObject *
            Allow
        may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
            Allow
        a: root TagUser bob t=yes
            done
        b: root TagUser bob t=maybe
            done
        may arn:aws:iam::123456789012:user/bob s3:GetObject *
            Allow
        may arn:aws:iam::123456789012:user/bob s3:PutObject *
            ExplicitDeny { layer: Identity }
        may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
            ImplicitDeny { layer: Identity }
        root ListUserTags bob
            ListUserTags(Listing { items: [Tag { key: TagKey("t"), value: TagValue("yes") }], next: None })
        root TagUser bob t=yes
            done
        may arn:aws:iam::123456789012:user/bob s3:PutObject *
            Allow
        may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
            Allow
    "#]],
    );
}

#[test]
fn of_two_session_durations_the_least_counts() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateRole ops trust:BOB
        quiet root UpdateRole ops 43200
        sync
        a: root UpdateRole ops 7200
        b: root UpdateRole ops 14400
        sync
        bob AssumeRole ops 7201
        root UpdateRole ops 14400
        bob AssumeRole ops 14401",
        expect![[r#"
            a: root UpdateRole ops 7200
                done
            b: root UpdateRole ops 14400
                done
            bob AssumeRole ops 7201
                DurationExceedsRoleMax { max_secs: 7200 }
            root UpdateRole ops 14400
                done
            bob AssumeRole ops 14401
                DurationExceedsRoleMax { max_secs: 14400 }
        "#]],
    );
}
