//! What a permissions boundary allows, alone and after two nodes changed it at once.

use std::collections::BTreeSet;

use expect_test::expect;

use crate::history::{History, check_history};

const BOB: &str = "arn:aws:iam::123456789012:user/bob";
const ROLE: &str = "arn:aws:iam::123456789012:role/r";

fn check_limits(steps: &str, expected: expect_test::Expect) {
    check_history(&steps.replace("BOB", BOB).replace("ROLE", ROLE), expected);
}

#[test]
fn a_boundary_limits_what_policies_give_and_gives_nothing() {
    check_limits(
        "quiet root CreatePolicy S allow:s3:*
        quiet root CreatePolicy D deny:s3:Put*
        quiet root CreateUser bob / limit:S
        may BOB s3:GetObject *
        quiet root PutUserPolicy bob all allow:*
        may BOB s3:GetObject *
        may BOB sqs:SendMessage *
        bob ListUsers
        quiet root CreateGroup g
        quiet root AttachGroupPolicy g aws/AdministratorAccess
        quiet root AddUserToGroup g bob
        may BOB sqs:SendMessage *
        root PutUserPermissionsBoundary bob D
        may BOB s3:PutObject *
        may BOB s3:GetObject *
        root PutUserPermissionsBoundary bob aws/AdministratorAccess
        may BOB sqs:SendMessage *
        root DeleteUserPermissionsBoundary bob
        root DeleteUserPermissionsBoundary bob
        may BOB sqs:SendMessage *
        quiet root CreateRole r trust:123456789012 limit:S
        quiet root PutRolePolicy r all allow:*
        may ROLE s3:GetObject *
        role:r ListUsers",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                ImplicitDeny { layer: Boundary }
            bob ListUsers
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::123456789012:user/ because no permissions boundary allows the iam:ListUsers action" }
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                ImplicitDeny { layer: Boundary }
            root PutUserPermissionsBoundary bob D
                done
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ExplicitDeny { layer: Boundary }
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Boundary }
            root PutUserPermissionsBoundary bob aws/AdministratorAccess
                done
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                Allow
            root DeleteUserPermissionsBoundary bob
                done
            root DeleteUserPermissionsBoundary bob
                done
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                Allow
            may arn:aws:iam::123456789012:role/r s3:GetObject *
                Allow
            role:r ListUsers
                AccessDenied { message: "User: arn:aws:sts::123456789012:assumed-role/r/sess is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::123456789012:user/ because no permissions boundary allows the iam:ListUsers action" }
        "#]],
    );
}

#[test]
fn a_boundary_is_shown_counted_and_in_the_way_of_its_policys_deletion() {
    check_limits(
        "quiet root CreatePolicy S allow:s3:*
        quiet root CreatePolicy T allow:s3:*
        quiet root CreateUser bob
        quiet root CreateRole r trust:123456789012 limit:T
        quiet root AttachUserPolicy bob T
        root PutUserPermissionsBoundary bob absent
        root PutUserPermissionsBoundary nobody S
        root DeleteRolePermissionsBoundary absent
        root CreateUser new / limit:absent
        root PutUserPermissionsBoundary bob S
        root GetUser bob
        root GetRole r
        root GetPolicy S
        root ListPolicies boundary
        root ListEntitiesForPolicy T
        root ListEntitiesForPolicy T permissions
        root ListEntitiesForPolicy T boundary
        root DeletePolicy S
        quiet root DeleteUserPermissionsBoundary bob
        root DeletePolicy S
        quiet root DeleteRole r
        quiet root DetachUserPolicy bob T
        root DeletePolicy T",
        expect![[r#"
            root PutUserPermissionsBoundary bob absent
                NoSuchEntity { noun: BoundaryPolicy, name: "arn:aws:iam::123456789012:policy/absent" }
            root PutUserPermissionsBoundary nobody S
                NoSuchEntity { noun: User, name: "nobody" }
            root DeleteRolePermissionsBoundary absent
                NoSuchEntity { noun: Role, name: "absent" }
            root CreateUser new / limit:absent
                NoSuchEntity { noun: BoundaryPolicy, name: "arn:aws:iam::123456789012:policy/absent" }
            root PutUserPermissionsBoundary bob S
                done
            root GetUser bob
                GetUser(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: Some("arn:aws:iam::123456789012:policy/S"), tags: [] }))
            root GetRole r
                GetRole(Role { id: AROA…, name: RoleName("r"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/r", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: Some("arn:aws:iam::123456789012:policy/T"), tags: [] })
            root GetPolicy S
                GetPolicy(Policy { id: ANPA…, name: PolicyName("S"), path: PolicyPath("/"), arn: Arn { text: "arn:aws:iam::123456789012:policy/S", colons: [3, 7, 11, 12, 25] }, created: T, updated: T, default_version: VersionId("v1"), attachment_count: 0, boundary_count: 1, description: None, tags: [] })
            root ListPolicies boundary
                ListPolicies(Listing { items: [Policy { id: ANPA…, name: PolicyName("S"), path: PolicyPath("/"), arn: Arn { text: "arn:aws:iam::123456789012:policy/S", colons: [3, 7, 11, 12, 25] }, created: T, updated: T, default_version: VersionId("v1"), attachment_count: 0, boundary_count: 1, description: None, tags: [] }, Policy { id: ANPA…, name: PolicyName("T"), path: PolicyPath("/"), arn: Arn { text: "arn:aws:iam::123456789012:policy/T", colons: [3, 7, 11, 12, 25] }, created: T, updated: T, default_version: VersionId("v1"), attachment_count: 1, boundary_count: 1, description: None, tags: [] }], next: None })
            root ListEntitiesForPolicy T
                ListEntitiesForPolicy(Entities { users: [(UserName("bob"), AIDA5DBMTC2WCSHGKNNC3)], groups: [], roles: [(RoleName("r"), AROAK5D6ITVB42T57YJGJ)], next: None })
            root ListEntitiesForPolicy T permissions
                ListEntitiesForPolicy(Entities { users: [(UserName("bob"), AIDA5DBMTC2WCSHGKNNC3)], groups: [], roles: [], next: None })
            root ListEntitiesForPolicy T boundary
                ListEntitiesForPolicy(Entities { users: [], groups: [], roles: [(RoleName("r"), AROAK5D6ITVB42T57YJGJ)], next: None })
            root DeletePolicy S
                DeleteConflict { obstacle: Attachments }
            root DeletePolicy S
                done
            root DeletePolicy T
                done
        "#]],
    );
}

/// Creates and attaches only within the boundary `S`, and takes boundaries off only where they are
/// `T`.
const DELEGATE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Resource":"*",
     "Action":["iam:CreateUser","iam:CreateRole","iam:AttachUserPolicy","iam:DetachUserPolicy",
      "iam:PutUserPolicy","iam:DeleteUserPolicy","iam:PutUserPermissionsBoundary"],
     "Condition":{"StringEquals":
      {"iam:PermissionsBoundary":"arn:aws:iam::123456789012:policy/S"}}},
    {"Effect":"Allow","Resource":"*","Action":"iam:DeleteUserPermissionsBoundary",
     "Condition":{"StringEquals":
      {"iam:PermissionsBoundary":"arn:aws:iam::123456789012:policy/T"}}}]}"#;

#[test]
fn a_delegate_is_held_to_the_boundary_that_its_condition_names() {
    let mut history = History::new();
    let document: String = DELEGATE.lines().map(str::trim).collect();
    history.run(&format!("root CreateUser eve\nroot PutUserPolicy eve in {document}"));
    history.run(
        "root CreatePolicy S allow:s3:*
        root CreatePolicy T allow:s3:*
        root CreateUser plain
        root CreateUser small / limit:S
        root PutUserPolicy small old allow:*
        root CreateUser other / limit:T",
    );
    for (call, allowed) in [
        ("eve CreateUser a", false),
        ("eve CreateUser a / limit:T", false),
        ("eve CreateUser a / limit:S", true),
        ("eve CreateRole a trust:123456789012", false),
        ("eve CreateRole a trust:123456789012 limit:S", true),
        ("eve AttachUserPolicy plain aws/ReadOnlyAccess", false),
        ("eve AttachUserPolicy other aws/ReadOnlyAccess", false),
        ("eve AttachUserPolicy small aws/ReadOnlyAccess", true),
        ("eve DetachUserPolicy small aws/ReadOnlyAccess", true),
        ("eve DetachUserPolicy plain aws/ReadOnlyAccess", false),
        ("eve PutUserPolicy plain in allow:*", false),
        ("eve PutUserPolicy small in allow:*", true),
        ("eve DeleteUserPolicy plain old", false),
        ("eve DeleteUserPolicy small old", true),
        ("eve PutUserPermissionsBoundary plain T", false),
        ("eve PutUserPermissionsBoundary plain S", true),
        ("eve DeleteUserPermissionsBoundary small", false),
        ("eve DeleteUserPermissionsBoundary other", true),
        ("eve DeleteUserPermissionsBoundary other", false),
    ] {
        let said = history.run(call);
        assert_eq!(!said.contains("AccessDenied"), allowed, "{said}");
        assert!(!allowed || !said.contains("NoSuchEntity"), "{said}");
    }
    // A boundary of which nobody knows which it is satisfies no condition.
    history.run(
        "sync
        a: root PutUserPermissionsBoundary small S
        b: root PutUserPermissionsBoundary small T
        sync",
    );
    for call in ["PutUserPolicy small in allow:*", "DeleteUserPermissionsBoundary small"] {
        let said = history.run(&format!("eve {call}"));
        assert!(said.contains("AccessDenied"), "{said}");
    }
}

#[test]
fn of_two_boundaries_set_at_once_both_are_enforced() {
    check_limits(
        "quiet root CreatePolicy S allow:s3:*
        quiet root CreatePolicy G allow:*:Get*
        quiet root CreateUser bob
        quiet root PutUserPolicy bob all allow:*
        sync
        a: root PutUserPermissionsBoundary bob S
        b: root PutUserPermissionsBoundary bob G
        sync
        may BOB s3:GetObject *
        may BOB s3:PutObject *
        b: may BOB sqs:GetQueueUrl *
        root GetUser bob
        root DeletePolicy S
        root DeletePolicy G
        root PutUserPermissionsBoundary bob S
        may BOB s3:PutObject *",
        expect![[r#"
            a: root PutUserPermissionsBoundary bob S
                done
            b: root PutUserPermissionsBoundary bob G
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ImplicitDeny { layer: Boundary }
            b: may arn:aws:iam::123456789012:user/bob sqs:GetQueueUrl *
                ImplicitDeny { layer: Boundary }
            root GetUser bob
                GetUser(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: Some("arn:aws:iam::123456789012:policy/S"), tags: [] }))
            root DeletePolicy S
                DeleteConflict { obstacle: Attachments }
            root DeletePolicy G
                DeleteConflict { obstacle: Attachments }
            root PutUserPermissionsBoundary bob S
                done
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                Allow
        "#]],
    );
}

#[test]
fn a_boundary_that_was_set_while_it_was_removed_is_enforced() {
    check_limits(
        "quiet root CreatePolicy S allow:s3:*
        quiet root CreateUser bob / limit:S
        quiet root PutUserPolicy bob all allow:*
        sync
        a: root PutUserPermissionsBoundary bob S
        b: root DeleteUserPermissionsBoundary bob
        sync
        may BOB sqs:SendMessage *
        b: may BOB s3:GetObject *
        root GetUser bob
        b: root DeleteUserPermissionsBoundary bob
        sync
        may BOB sqs:SendMessage *",
        expect![[r#"
            a: root PutUserPermissionsBoundary bob S
                done
            b: root DeleteUserPermissionsBoundary bob
                done
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                ImplicitDeny { layer: Boundary }
            b: may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
            root GetUser bob
                GetUser(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: Some("arn:aws:iam::123456789012:policy/S"), tags: [] }))
            b: root DeleteUserPermissionsBoundary bob
                done
            may arn:aws:iam::123456789012:user/bob sqs:SendMessage *
                Allow
        "#]],
    );
}

#[test]
fn a_boundary_whose_policy_was_deleted_at_once_allows_nothing_and_denies() {
    check_limits(
        "quiet root CreatePolicy S allow:s3:*
        quiet root CreatePolicyVersion S deny:s3:Put* default
        quiet root DeletePolicyVersion S v1
        quiet root CreateUser bob
        quiet root PutUserPolicy bob all allow:*
        quiet root CreateRole r trust:arn:aws:iam::123456789012:user/bob
        sync
        a: root PutUserPermissionsBoundary bob S
        b: root DeletePolicy S
        sync
        may BOB s3:GetObject *
        may BOB s3:PutObject *
        bob ListUsers
        bob AssumeRole r
        root DeletePolicy S
        root DeleteUserPermissionsBoundary bob
        may BOB s3:GetObject *",
        expect![[r#"
            a: root PutUserPermissionsBoundary bob S
                done
            b: root DeletePolicy S
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                ImplicitDeny { layer: Boundary }
            may arn:aws:iam::123456789012:user/bob s3:PutObject *
                ExplicitDeny { layer: Boundary }
            bob ListUsers
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::123456789012:user/ because no permissions boundary allows the iam:ListUsers action" }
            bob AssumeRole r
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/r because no permissions boundary allows the sts:AssumeRole action" }
            root DeletePolicy S
                DeleteConflict { obstacle: Attachments }
            root DeleteUserPermissionsBoundary bob
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject *
                Allow
        "#]],
    );
}

#[test]
fn a_trust_policy_that_names_the_caller_gives_nothing_beyond_its_boundary() {
    let mut history = History::new();
    history.run(
        "root CreatePolicy S allow:s3:*
        root CreatePolicy A allow:sts:AssumeRole
        root CreateUser bob
        root CreateRole first trust:123456789012
        root CreateRole r trust:arn:aws:iam::123456789012:user/bob
        root CreateRole q trust:arn:aws:iam::123456789012:role/first",
    );
    for (caller, role, owner) in [("bob", "r", "User bob"), ("role:first", "q", "Role first")] {
        let (kind, name) = owner.split_once(' ').unwrap();
        for (limit, allowed) in [("S", false), ("A", true)] {
            history.run(&format!("root Put{kind}PermissionsBoundary {name} {limit}"));
            let said = history.run(&format!("{caller} AssumeRole {role}"));
            assert_eq!(!said.contains("because no permissions boundary allows"), allowed, "{said}");
            assert_eq!(said.contains("AssumedRole"), allowed, "{said}");
        }
    }
}

/// Every pair of changes to a boundary or its policy, made at two nodes at once, against both
/// orders in which they could have been made.
#[test]
fn what_a_merge_allows_each_order_of_the_changes_allows() {
    let setup = "root CreatePolicy S allow:s3:*
        root CreatePolicy G allow:*:Get*
        root CreateUser bob
        root PutUserPolicy bob all allow:*\n";
    let starts = ["", "root PutUserPermissionsBoundary bob S", "root AttachUserPolicy bob S"];
    let changes = [
        "root PutUserPermissionsBoundary bob S",
        "root PutUserPermissionsBoundary bob G",
        "root DeleteUserPermissionsBoundary bob",
        "root CreatePolicyVersion S deny:s3:Put* default",
        "root DeletePolicy G",
        "root DeletePolicy S",
        "root DeleteUser bob",
        "root DeleteUserPolicy bob all",
    ];
    let allowed = |history: &mut History| -> BTreeSet<&str> {
        let may = |action: &&&str| {
            let said = history.run(&format!("may {BOB} {action} *"));
            said.contains("\n    Allow\n")
        };
        ["s3:GetObject", "s3:PutObject", "sqs:GetQueueUrl", "sqs:SendMessage"]
            .iter()
            .filter(may)
            .copied()
            .collect()
    };
    let mut contested = 0;
    for start in starts {
        for left in changes {
            for right in changes {
                let before = || {
                    let mut history = History::new();
                    history.run(&format!("{setup}{start}\nsync"));
                    history
                };
                let mut merged = before();
                merged.run(&format!("a: {left}\nb: {right}\nsync"));
                let after_merge = allowed(&mut merged);
                for order in [[left, right], [right, left]] {
                    let mut serial = before();
                    serial.run(&order.join("\n"));
                    let after = allowed(&mut serial);
                    assert!(after_merge.is_subset(&after), "{start} {left} {right}: {after:?}");
                    contested += usize::from(after_merge != after);
                }
            }
        }
    }
    assert!(contested > 0);
}
