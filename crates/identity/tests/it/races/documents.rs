//! Documents and versions of policies.

use expect_test::expect;

use super::check_race;

#[test]
fn documents_put_at_once_must_both_allow_and_either_denies() {
    check_race(
        "quiet root CreateUser bob
        sync
        a: root PutUserPolicy bob in allow:s3:*
        b: root PutUserPolicy bob in allow:s3:Get*
        sync
        may BOB s3:GetObject *
        may BOB s3:PutObject *
        root DeleteUserPolicy bob in
        sync
        a: root PutUserPolicy bob in allow:s3:*
        sync
        a: root PutUserPolicy bob in allow:*
        b: root DeleteUserPolicy bob in
        sync
        may BOB s3:GetObject *",
        expect![[r#"
            a: root PutUserPolicy bob in allow:s3:*
                done
            b: root PutUserPolicy bob in allow:s3:Get*
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ImplicitDeny { layer: Identity }
            root DeleteUserPolicy bob in
                done
            a: root PutUserPolicy bob in allow:s3:*
                done
            a: root PutUserPolicy bob in allow:*
                done
            b: root DeleteUserPolicy bob in
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn versions_made_at_once_are_one_contested_version() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreatePolicy P allow:ec2:*
        quiet root AttachUserPolicy bob P
        sync
        a: root CreatePolicyVersion P allow:s3:* default
        b: root CreatePolicyVersion P allow:s3:Get* default
        sync
        may BOB s3:GetObject *
        may BOB s3:PutObject *
        may BOB ec2:RunInstances *
        root ListPolicyVersions P
        root CreatePolicyVersion P allow:s3:* default
        may BOB s3:PutObject *",
        expect![[r#"
            a: root CreatePolicyVersion P allow:s3:* default
                CreatePolicyVersion(PolicyVersion { id: VersionId("v2"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}", is_default: true, created: T })
            b: root CreatePolicyVersion P allow:s3:Get* default
                CreatePolicyVersion(PolicyVersion { id: VersionId("v2"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\"Resource\":\"*\"}}", is_default: true, created: T })
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob ec2:RunInstances *
                ImplicitDeny { layer: Identity }
            root ListPolicyVersions P
                ListPolicyVersions(Listing { items: [PolicyVersion { id: VersionId("v2"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}", is_default: true, created: T }, PolicyVersion { id: VersionId("v1"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"ec2:*\",\"Resource\":\"*\"}}", is_default: false, created: T }], next: None })
            root CreatePolicyVersion P allow:s3:* default
                CreatePolicyVersion(PolicyVersion { id: VersionId("v3"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}", is_default: true, created: T })
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                Allow
        "#]],
    );
}

#[test]
fn a_version_deleted_while_it_became_the_default_grants_nothing() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreatePolicy P allow:s3:*
        quiet root CreatePolicyVersion P allow:s3:*
        quiet root AttachUserPolicy bob P
        sync
        a: root SetDefaultPolicyVersion P v2
        b: root DeletePolicyVersion P v2
        sync
        may BOB s3:GetObject *
        root SetDefaultPolicyVersion P v2
        root SetDefaultPolicyVersion P v1
        may BOB s3:GetObject *",
        expect![[r#"
            a: root SetDefaultPolicyVersion P v2
                done
            b: root DeletePolicyVersion P v2
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            root SetDefaultPolicyVersion P v2
                ConcurrentModification { noun: PolicyVersion, name: "v2" }
            root SetDefaultPolicyVersion P v1
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}

#[test]
fn a_policy_deleted_while_it_was_attached_gives_only_its_denies() {
    check_race(
        "quiet root CreateUser bob
        quiet root PutUserPolicy bob in allow:*
        quiet root CreatePolicy D deny:s3:*
        sync
        a: root AttachUserPolicy bob D
        b: root DeletePolicy D
        sync
        may BOB s3:GetObject *
        root AttachUserPolicy bob D
        root DetachUserPolicy bob D
        root DeletePolicy D
        root ListPolicies",
        expect![[r#"
            a: root AttachUserPolicy bob D
                done
            b: root DeletePolicy D
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ExplicitDeny { layer: Identity }
            root AttachUserPolicy bob D
                ConcurrentModification { noun: AttachablePolicy, name: "arn:aws:iam::123456789012:policy/D" }
            root DetachUserPolicy bob D
                done
            root DeletePolicy D
                done
            root ListPolicies
                ListPolicies(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn a_trust_policy_changed_both_ways_must_trust_on_both_sides() {
    check_race(
        "quiet root CreateUser bob
        quiet root CreateUser eve
        quiet root CreateRole ops trust:BOB
        sync
        a: root UpdateAssumeRolePolicy ops trust:arn:aws:iam::123456789012:user/eve
        b: root UpdateAssumeRolePolicy ops trust:BOB
        sync
        bob AssumeRole ops
        eve AssumeRole ops",
        expect![[r#"
            a: root UpdateAssumeRolePolicy ops trust:arn:aws:iam::123456789012:user/eve
                done
            b: root UpdateAssumeRolePolicy ops trust:arn:aws:iam::123456789012:user/bob
                done
            bob AssumeRole ops
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/ops because no role trust policy allows the sts:AssumeRole action" }
            eve AssumeRole ops
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/ops because no role trust policy allows the sts:AssumeRole action" }
        "#]],
    );
}
