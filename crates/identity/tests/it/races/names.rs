//! Names that several have.

use expect_test::expect;

use super::check_race;

#[test]
fn rivals_for_a_name_are_refused_until_one_goes() {
    check_race(
        "quiet root CreateUser x
        a: root CreateUser bob
        b: root CreateUser Bob
        a: root CreateAccessKey bob
        b: root CreateAccessKey bob
        auth key1
        b: auth key2
        sync
        auth key1
        auth key2
        root ListUsers
        bob GetUser
        root UpdateUser bob rob
        auth key1
        auth key2",
        expect![[r#"
            a: root CreateUser bob
                CreateUser(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })
            b: root CreateUser Bob
                CreateUser(User { id: AIDA…, name: UserName("Bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/Bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })
            a: root CreateAccessKey bob
                CreateAccessKey(NewAccessKey { user: Some(UserName("bob")), id: AKIA…, secret: Secret(..), status: Active, created: T })
            b: root CreateAccessKey bob
                CreateAccessKey(NewAccessKey { user: Some(UserName("Bob")), id: AKIA…, secret: Secret(..), status: Active, created: T })
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            b: auth key2
                yes, arn:aws:iam::123456789012:user/Bob
            auth key1
                no
            auth key2
                no
            root ListUsers
                ListUsers(Listing { items: [User { id: AIDA…, name: UserName("Bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/Bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }, User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }, User { id: AIDA…, name: UserName("x"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/x", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }], next: None })
            bob GetUser
                InvalidClientTokenId
            root UpdateUser bob rob
                done
            auth key1
                yes, arn:aws:iam::123456789012:user/rob
            auth key2
                yes, arn:aws:iam::123456789012:user/Bob
        "#]],
    );
}

#[test]
fn rivals_for_a_name_are_given_nothing_and_limit_nobody() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateRole ops trust:BOB
        sync
        quiet a: root CreatePolicy P allow:*
        quiet b: root CreatePolicy p deny:s3:*
        quiet a: root CreateGroup g
        quiet b: root CreateGroup G
        quiet a: root CreateUser eve
        quiet b: root CreateUser Eve
        sync
        root AttachUserPolicy bob P
        bob AssumeRole ops 900 arns:P
        root CreatePolicyVersion P allow:* default
        root AddUserToGroup g bob
        root PutGroupPolicy g in allow:*
        root AttachUserPolicy eve aws/AdministratorAccess
        root CreateAccessKey eve
        root DeletePolicy P
        root AttachUserPolicy bob p
        root DeleteGroup g
        root AddUserToGroup g bob
        root UpdateUser eve ann
        root AttachUserPolicy eve aws/AdministratorAccess",
        expect![[r#"
            root AttachUserPolicy bob P
                ConcurrentModification { noun: AttachablePolicy, name: "arn:aws:iam::123456789012:policy/P" }
            bob AssumeRole ops 900 arns:P
                ConcurrentModification { noun: AttachablePolicy, name: "arn:aws:iam::123456789012:policy/P" }
            root CreatePolicyVersion P allow:* default
                ConcurrentModification { noun: Policy, name: "arn:aws:iam::123456789012:policy/P" }
            root AddUserToGroup g bob
                ConcurrentModification { noun: Group, name: "g" }
            root PutGroupPolicy g in allow:*
                ConcurrentModification { noun: Group, name: "g" }
            root AttachUserPolicy eve aws/AdministratorAccess
                ConcurrentModification { noun: User, name: "eve" }
            root CreateAccessKey eve
                ConcurrentModification { noun: User, name: "eve" }
            root DeletePolicy P
                done
            root AttachUserPolicy bob p
                done
            root DeleteGroup g
                done
            root AddUserToGroup g bob
                done
            root UpdateUser eve ann
                done
            root AttachUserPolicy eve aws/AdministratorAccess
                done
        "#]],
    );
}

#[test]
fn what_rivals_for_a_name_allow_does_not_count() {
    check_race(
        "quiet root CreateUser bob
        sync
        quiet a: root CreatePolicy P allow:s3:*
        quiet a: root AttachUserPolicy bob P
        quiet a: root CreateGroup g
        quiet a: root AddUserToGroup g bob
        quiet a: root PutGroupPolicy g yes allow:ec2:*
        quiet a: root PutGroupPolicy g no deny:sqs:*
        may BOB s3:GetObject *
        may BOB ec2:RunInstances *
        quiet b: root CreatePolicy p allow:*
        quiet b: root CreateGroup G
        sync
        may BOB s3:GetObject *
        may BOB ec2:RunInstances *
        may BOB sqs:SendMessage *
        root DetachUserPolicy bob P
        root DeletePolicy P
        root AttachUserPolicy bob p
        root UpdateGroup g h
        may BOB s3:GetObject *
        may BOB ec2:RunInstances *",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                ExplicitDeny { layer: Identity }
            root DetachUserPolicy bob P
                done
            root DeletePolicy P
                done
            root AttachUserPolicy bob p
                done
            root UpdateGroup g h
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                Allow
        "#]],
    );
}

#[test]
fn a_name_changed_both_ways_is_unknown_in_conditions() {
    check_race(
        "quiet root CreateUser bob
        quiet root PutUserPolicy bob in allow:iam:GetUser
        sync
        a: root UpdateUser bob rob
        b: root UpdateUser bob tom
        sync
        rob GetUser
        root CreateUser tom
        root CreateUser rob
        root CreateUser bob
        root ListUsers
        root UpdateUser tom ann
        root GetUser ann",
        expect![[r#"
            a: root UpdateUser bob rob
                done
            b: root UpdateUser bob tom
                done
            rob GetUser
                GetUser(User(User { id: AIDA…, name: UserName("rob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/rob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }))
            root CreateUser tom
                EntityAlreadyExists { noun: User, name: "tom" }
            root CreateUser rob
                EntityAlreadyExists { noun: User, name: "rob" }
            root CreateUser bob
                CreateUser(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })
            root ListUsers
                ListUsers(Listing { items: [User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }, User { id: AIDA…, name: UserName("rob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/rob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }], next: None })
            root UpdateUser tom ann
                done
            root GetUser ann
                GetUser(User(User { id: AIDA…, name: UserName("ann"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/ann", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }))
        "#]],
    );
}
