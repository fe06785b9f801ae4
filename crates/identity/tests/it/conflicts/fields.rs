//! Each field that may be contested, settled each way.

use expect_test::expect;

use super::check_settled;

#[test]
fn an_attachment() {
    check_settled(
        "root CreateUser bob
        root CreatePolicy P allow:s3:*
        root AttachUserPolicy bob P
        sync
        a: root AttachUserPolicy bob P
        b: root DetachUserPolicy bob P",
        ("attachment", "1"),
        expect![[r#"
            conflicts
                attachment: user bob, attachment of arn:aws:iam::123456789012:policy/P
                  node 1, 123456789012:root, AttachUserPolicy: attached
                  node 2, 123456789012:root, DetachUserPolicy: removed
                  withheld: what it allows; what it denies counts
                  1: iam:AttachUserPolicy
                  remove: iam:DetachUserPolicy
            b: root Resolve attachment 1
                done
        "#]],
    );
}

#[test]
fn a_membership() {
    check_settled(
        "root CreateUser bob
        root CreateGroup g
        root AddUserToGroup g bob
        sync
        a: root AddUserToGroup g bob
        b: root RemoveUserFromGroup g bob",
        ("membership", "remove"),
        expect![[r#"
            conflicts
                membership: user bob, membership in arn:aws:iam::123456789012:group/g
                  node 1, 123456789012:root, AddUserToGroup: added
                  node 2, 123456789012:root, RemoveUserFromGroup: removed
                  withheld: what it allows; what it denies counts
                  1: iam:AddUserToGroup
                  remove: iam:RemoveUserFromGroup
            b: root Resolve membership remove
                done
        "#]],
    );
}

#[test]
fn a_name_and_a_path() {
    check_settled(
        "root CreateUser bob
        sync
        a: root UpdateUser bob ada
        b: root UpdateUser bob eve",
        ("name", "2"),
        expect![[r#"
            conflicts
                name: user ada, name
                  node 1, 123456789012:root, UpdateUser: ada
                  node 2, 123456789012:root, UpdateUser: eve
                  withheld: what conditions on the name allow; each name is taken
                  1: iam:UpdateUser
                  2: iam:UpdateUser
            b: root Resolve name 2
                done
        "#]],
    );
    check_settled(
        "root CreateGroup g
        sync
        a: root UpdateGroup g g /x/
        b: root UpdateGroup g g /y/",
        ("path", "1"),
        expect![[r#"
            conflicts
                path: group g, path
                  node 1, 123456789012:root, UpdateGroup: /x/
                  node 2, 123456789012:root, UpdateGroup: /y/
                  withheld: what is not allowed for each ARN that it may have
                  1: iam:UpdateGroup
                  2: iam:UpdateGroup
            b: root Resolve path 1
                done
        "#]],
    );
}

#[test]
fn fields_of_a_role() {
    let role = "root CreateRole r trust:123456789012
        root CreateUser bob
        root CreateUser eve
        sync";
    let bob = "trust:arn:aws:iam::123456789012:user/bob";
    let eve = "trust:arn:aws:iam::123456789012:user/eve";
    check_settled(
        &format!(
            "{role}
            a: root UpdateAssumeRolePolicy r {bob}
            b: root UpdateAssumeRolePolicy r {eve}"
        ),
        ("trust_policy", "2"),
        expect![[r#"
            conflicts
                trust_policy: role r, trust policy
                  node 1, 123456789012:root, UpdateAssumeRolePolicy: a document of 183 characters
                  node 2, 123456789012:root, UpdateAssumeRolePolicy: a document of 183 characters
                  withheld: what not every side allows; what any side denies counts
                  1: iam:UpdateAssumeRolePolicy
                  2: iam:UpdateAssumeRolePolicy
            b: root Resolve trust_policy 2
                done
        "#]],
    );
    check_settled(
        &format!(
            "{role}
            a: root UpdateRoleDescription r one
            b: root UpdateRoleDescription r two"
        ),
        ("description", "1"),
        expect![[r#"
            conflicts
                description: role r, description
                  node 1, 123456789012:root, UpdateRoleDescription: one
                  node 2, 123456789012:root, UpdateRoleDescription: two
                  withheld: nothing
                  1: iam:UpdateRoleDescription
                  2: iam:UpdateRoleDescription
            b: root Resolve description 1
                done
        "#]],
    );
    check_settled(
        &format!(
            "{role}
            a: root UpdateRole r 3600
            b: root UpdateRole r 7200"
        ),
        ("max_session_duration", "2"),
        expect![[r#"
            conflicts
                max_session_duration: role r, maximum session duration
                  node 1, 123456789012:root, UpdateRole: 3600 seconds
                  node 2, 123456789012:root, UpdateRole: 7200 seconds
                  withheld: sessions longer than the shortest
                  1: iam:UpdateRole
                  2: iam:UpdateRole
            b: root Resolve max_session_duration 2
                done
        "#]],
    );
}

#[test]
fn tags() {
    check_settled(
        "root CreateUser bob
        sync
        a: root TagUser bob Team=red
        b: root TagUser bob team=blue",
        ("tag", "2"),
        expect![[r#"
            conflicts
                tag: user bob, tag `team`
                  node 1, 123456789012:root, TagUser: Team=red
                  node 2, 123456789012:root, TagUser: team=blue
                  withheld: what conditions on the tag allow
                  1: iam:TagUser
                  2: iam:TagUser
                  remove: iam:UntagUser
            b: root Resolve tag 2
                done
        "#]],
    );
    check_settled(
        "root CreatePolicy P allow:s3:*
        root TagPolicy P k=v
        sync
        a: root TagPolicy P k=w
        b: root UntagPolicy P k",
        ("tag", "remove"),
        expect![[r#"
            conflicts
                tag: policy P, tag `k`
                  node 1, 123456789012:root, TagPolicy: k=w
                  node 2, 123456789012:root, UntagPolicy: removed
                  withheld: what conditions on the tag allow
                  1: iam:TagPolicy
                  remove: iam:UntagPolicy
            b: root Resolve tag remove
                done
        "#]],
    );
}

#[test]
fn documents() {
    check_settled(
        "root CreateUser bob
        sync
        a: root PutUserPolicy bob In allow:s3:*
        b: root PutUserPolicy bob in allow:ec2:*",
        ("inline_policy", "2"),
        expect![[r#"
            conflicts
                inline_policy: user bob, inline policy `in`
                  node 1, 123456789012:root, PutUserPolicy: a document of 99 characters
                  node 2, 123456789012:root, PutUserPolicy: a document of 100 characters
                  withheld: what not every side allows; what any side denies counts
                  1: iam:PutUserPolicy
                  2: iam:PutUserPolicy
                  remove: iam:DeleteUserPolicy
            b: root Resolve inline_policy 2
                done
        "#]],
    );
    check_settled(
        "root CreatePolicy P allow:s3:*
        sync
        a: root CreatePolicyVersion P allow:s3:Get*
        b: root CreatePolicyVersion P allow:s3:Put*",
        ("policy_version", "1"),
        expect![[r#"
            conflicts
                policy_version: policy P, version `v2`
                  node 1, 123456789012:root, CreatePolicyVersion: a document of 102 characters
                  node 2, 123456789012:root, CreatePolicyVersion: a document of 102 characters
                  withheld: what not every side allows; what any side denies counts
                  1: iam:CreatePolicyVersion
                  2: iam:CreatePolicyVersion
                  remove: iam:DeletePolicyVersion
            b: root Resolve policy_version 1
                done
        "#]],
    );
    check_settled(
        "root CreatePolicy P allow:s3:*
        root CreatePolicyVersion P allow:s3:Get*
        root CreatePolicyVersion P allow:s3:Put*
        sync
        a: root SetDefaultPolicyVersion P v2
        b: root SetDefaultPolicyVersion P v3",
        ("default_version", "2"),
        expect![[r#"
            conflicts
                default_version: policy P, default version
                  node 1, 123456789012:root, SetDefaultPolicyVersion: v2
                  node 2, 123456789012:root, SetDefaultPolicyVersion: v3
                  withheld: what not every side allows; what any side denies counts
                  1: iam:SetDefaultPolicyVersion
                  2: iam:SetDefaultPolicyVersion
            b: root Resolve default_version 2
                done
        "#]],
    );
}

#[test]
fn boundaries() {
    let limits = "root CreateUser bob
        root CreatePolicy P allow:s3:*
        root CreatePolicy Q allow:ec2:*
        sync
        a: root PutUserPermissionsBoundary bob P";
    check_settled(
        &format!("{limits}\nb: root PutUserPermissionsBoundary bob Q"),
        ("permissions_boundary", "2"),
        expect![[r#"
            conflicts
                permissions_boundary: user bob, permissions boundary
                  node 1, 123456789012:root, PutUserPermissionsBoundary: arn:aws:iam::123456789012:policy/P
                  node 2, 123456789012:root, PutUserPermissionsBoundary: arn:aws:iam::123456789012:policy/Q
                  withheld: what not every boundary allows
                  1: iam:PutUserPermissionsBoundary
                  2: iam:PutUserPermissionsBoundary
                  remove: iam:DeleteUserPermissionsBoundary
            b: root Resolve permissions_boundary 2
                done
        "#]],
    );
    check_settled(
        &format!("{limits}\nb: root DeleteUserPermissionsBoundary bob"),
        ("permissions_boundary", "remove"),
        expect![[r#"
            conflicts
                permissions_boundary: user bob, permissions boundary
                  node 1, 123456789012:root, PutUserPermissionsBoundary: arn:aws:iam::123456789012:policy/P
                  node 2, 123456789012:root, DeleteUserPermissionsBoundary: removed
                  withheld: what not every boundary allows
                  1: iam:PutUserPermissionsBoundary
                  remove: iam:DeleteUserPermissionsBoundary
            b: root Resolve permissions_boundary remove
                done
        "#]],
    );
}

#[test]
fn access_keys() {
    let key = "root CreateUser bob
        root CreateAccessKey bob
        sync
        a: root UpdateAccessKey bob key1 Active";
    check_settled(
        &format!("{key}\nb: root UpdateAccessKey bob key1 Inactive"),
        ("access_key_status", "2"),
        expect![[r#"
            conflicts
                access_key_status: access key AKIA…, status
                  node 1, 123456789012:root, UpdateAccessKey: Active
                  node 2, 123456789012:root, UpdateAccessKey: Inactive
                  withheld: the key does not authenticate
                  1: iam:UpdateAccessKey
                  2: iam:UpdateAccessKey
                  remove: iam:DeleteAccessKey
            b: root Resolve access_key_status 2
                done
        "#]],
    );
    check_settled(
        &format!("{key}\nb: root DeleteAccessKey bob key1"),
        ("access_key", "remove"),
        expect![[r#"
            conflicts
                access_key: access key AKIA…, whether it exists
                  node 1, 123456789012:root, UpdateAccessKey: made at T
                  node 2, 123456789012:root, DeleteAccessKey: removed
                  withheld: the key does not authenticate
                  remove: iam:DeleteAccessKey
                access_key_status: access key AKIA…, status
                  node 1, 123456789012:root, UpdateAccessKey: Active
                  node 2, 123456789012:root, DeleteAccessKey: removed
                  withheld: the key does not authenticate
                  1: iam:UpdateAccessKey
                  remove: iam:DeleteAccessKey
            b: root Resolve access_key remove
                done
        "#]],
    );
}

#[test]
fn passwords_and_their_policy() {
    check_settled(
        "root CreateUser bob
        sync
        a: root CreateLoginProfile bob pass-Word1
        b: root CreateLoginProfile bob pass-Word2",
        ("login_profile", "1"),
        expect![[r#"
            conflicts
                login_profile: user bob, login profile
                  node 1, 123456789012:root, CreateLoginProfile: a password set at T
                  node 2, 123456789012:root, CreateLoginProfile: a password set at T
                  withheld: the password does not authenticate
                  1: iam:UpdateLoginProfile
                  2: iam:UpdateLoginProfile
                  remove: iam:DeleteLoginProfile
            b: root Resolve login_profile 1
                done
        "#]],
    );
    check_settled(
        "root UpdateAccountPasswordPolicy 8
        sync
        a: root UpdateAccountPasswordPolicy 9
        b: root DeleteAccountPasswordPolicy",
        ("password_policy", "1"),
        expect![[r#"
            conflicts
                password_policy: account 123456789012, password policy
                  node 1, 123456789012:root, UpdateAccountPasswordPolicy: at least 9 characters
                  node 2, 123456789012:root, DeleteAccountPasswordPolicy: removed
                  withheld: passwords that not every side accepts
                  1: iam:UpdateAccountPasswordPolicy
                  remove: iam:DeleteAccountPasswordPolicy
            b: root Resolve password_policy 1
                done
        "#]],
    );
}

#[test]
fn the_role_of_an_instance_profile() {
    check_settled(
        "root CreateRole r trust:123456789012
        root CreateInstanceProfile web
        root AddRoleToInstanceProfile web r
        sync
        a: root RemoveRoleFromInstanceProfile web r
        a: root AddRoleToInstanceProfile web r
        b: root RemoveRoleFromInstanceProfile web r",
        ("instance_profile_role", "remove"),
        expect![[r#"
            conflicts
                instance_profile_role: instance profile web, role arn:aws:iam::123456789012:role/r
                  node 1, 123456789012:root, AddRoleToInstanceProfile: added
                  node 2, 123456789012:root, RemoveRoleFromInstanceProfile: removed
                  withheld: room for another role
                  1: iam:AddRoleToInstanceProfile
                  remove: iam:RemoveRoleFromInstanceProfile
            b: root Resolve instance_profile_role remove
                done
        "#]],
    );
}
