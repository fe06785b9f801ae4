//! Each noun's life at one node.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn users_are_unique_without_case_and_leave_only_when_bare() {
    check_history(
        "root CreateUser Bob /a/ team=x
        root CreateUser bob
        root GetUser BOB
        root GetUser
        Bob GetUser
        root UpdateUser bob rob /b/
        root GetUser bob
        root ListUsers
        quiet root CreateAccessKey rob
        quiet root PutUserPolicy rob inl allow:s3:*
        quiet root AttachUserPolicy rob aws/ReadOnlyAccess
        quiet root CreateGroup g
        quiet root AddUserToGroup g rob
        root DeleteUser rob
        quiet root DetachUserPolicy rob aws/ReadOnlyAccess
        root DeleteUser rob
        quiet root DeleteUserPolicy rob INL
        root DeleteUser rob
        quiet root DeleteAccessKey rob key1
        root DeleteUser rob
        root RemoveUserFromGroup g rob
        root DeleteUser rob
        root DeleteUser rob
        root ListUsers",
        expect![[r#"
            root CreateUser Bob /a/ team=x
                CreateUser(User { id: AIDA…, name: UserName("Bob"), path: Path("/a/"), arn: Arn { text: "arn:aws:iam::123456789012:user/a/Bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [Tag { key: TagKey("team"), value: TagValue("x") }] })
            root CreateUser bob
                EntityAlreadyExists { noun: User, name: "bob" }
            root GetUser BOB
                GetUser(User(User { id: AIDA…, name: UserName("Bob"), path: Path("/a/"), arn: Arn { text: "arn:aws:iam::123456789012:user/a/Bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [Tag { key: TagKey("team"), value: TagValue("x") }] }))
            root GetUser
                GetUser(Root { arn: Arn { text: "arn:aws:iam::123456789012:root", colons: [3, 7, 11, 12, 25] }, created: T })
            Bob GetUser
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/a/Bob is not authorized to perform: iam:GetUser on resource: arn:aws:iam::123456789012:user/a/Bob because no identity-based policy allows the iam:GetUser action" }
            root UpdateUser bob rob /b/
                done
            root GetUser bob
                NoSuchEntity { noun: User, name: "bob" }
            root ListUsers
                ListUsers(Listing { items: [User { id: AIDA…, name: UserName("rob"), path: Path("/b/"), arn: Arn { text: "arn:aws:iam::123456789012:user/b/rob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [Tag { key: TagKey("team"), value: TagValue("x") }] }], next: None })
            root DeleteUser rob
                DeleteConflict { obstacle: AttachedPolicies }
            root DeleteUser rob
                DeleteConflict { obstacle: InlinePolicies }
            root DeleteUser rob
                DeleteConflict { obstacle: AccessKeys }
            root DeleteUser rob
                DeleteConflict { obstacle: Memberships }
            root RemoveUserFromGroup g rob
                done
            root DeleteUser rob
                done
            root DeleteUser rob
                NoSuchEntity { noun: User, name: "rob" }
            root ListUsers
                ListUsers(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn groups_hold_users() {
    check_history(
        "quiet root CreateUser bob
        root CreateGroup Ops
        root CreateGroup ops
        root AddUserToGroup ops bob
        root AddUserToGroup ops bob
        root AddUserToGroup none bob
        root AddUserToGroup ops none
        root GetGroup OPS
        root ListGroupsForUser bob
        root DeleteGroup ops
        root RemoveUserFromGroup ops bob
        root UpdateGroup ops devs
        root ListGroups
        root DeleteGroup devs
        root ListGroups",
        expect![[r#"
            root CreateGroup Ops
                CreateGroup(Group { id: AGPA…, name: GroupName("Ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:group/Ops", colons: [3, 7, 11, 12, 25] }, created: T })
            root CreateGroup ops
                EntityAlreadyExists { noun: Group, name: "ops" }
            root AddUserToGroup ops bob
                done
            root AddUserToGroup ops bob
                done
            root AddUserToGroup none bob
                NoSuchEntity { noun: Group, name: "none" }
            root AddUserToGroup ops none
                NoSuchEntity { noun: User, name: "none" }
            root GetGroup OPS
                GetGroup(GotGroup { group: Group { id: AGPA…, name: GroupName("Ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:group/Ops", colons: [3, 7, 11, 12, 25] }, created: T }, users: Listing { items: [User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] }], next: None } })
            root ListGroupsForUser bob
                ListGroupsForUser(Listing { items: [Group { id: AGPA…, name: GroupName("Ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:group/Ops", colons: [3, 7, 11, 12, 25] }, created: T }], next: None })
            root DeleteGroup ops
                DeleteConflict { obstacle: Memberships }
            root RemoveUserFromGroup ops bob
                done
            root UpdateGroup ops devs
                done
            root ListGroups
                ListGroups(Listing { items: [Group { id: AGPA…, name: GroupName("devs"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:group/devs", colons: [3, 7, 11, 12, 25] }, created: T }], next: None })
            root DeleteGroup devs
                done
            root ListGroups
                ListGroups(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn roles_trust_those_who_exist() {
    check_history(
        "quiet root CreateUser bob
        root CreateRole ops trust:arn:aws:iam::123456789012:user/none
        root CreateRole ops bad
        root CreateRole ops trust:arn:aws:iam::123456789012:user/bob
        root UpdateRole ops 7200 text
        root GetRole OPS
        root UpdateRoleDescription ops other
        root UpdateAssumeRolePolicy ops trust:123456789012
        quiet root PutRolePolicy ops inl allow:s3:*
        root DeleteRole ops
        quiet root DeleteRolePolicy ops inl
        root DeleteRole ops
        root ListRoles",
        expect![[r#"
            root CreateRole ops trust:arn:aws:iam::123456789012:user/none
                MalformedPolicyDocument { problem: InvalidPrincipal { kind: "AWS", value: "arn:aws:iam::123456789012:user/none" }, position: None }
            root CreateRole ops bad
                MalformedPolicyDocument { problem: Json, position: Some(Position { line: 1, column: 1 }) }
            root CreateRole ops trust:arn:aws:iam::123456789012:user/bob
                CreateRole(Role { id: AROA…, name: RoleName("ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/ops", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:user/bob\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] })
            root UpdateRole ops 7200 text
                done
            root GetRole OPS
                GetRole(Role { id: AROA…, name: RoleName("ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/ops", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:user/bob\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: Some("text"), max_session_duration: MaxSessionDuration(7200), boundary: None, tags: [] })
            root UpdateRoleDescription ops other
                UpdateRoleDescription(Role { id: AROA…, name: RoleName("ops"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/ops", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"arn:aws:iam::123456789012:user/bob\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: Some("other"), max_session_duration: MaxSessionDuration(7200), boundary: None, tags: [] })
            root UpdateAssumeRolePolicy ops trust:123456789012
                done
            root DeleteRole ops
                DeleteConflict { obstacle: InlinePolicies }
            root DeleteRole ops
                done
            root ListRoles
                ListRoles(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn policies_keep_versions_whose_ids_are_never_given_again() {
    check_history(
        "root CreatePolicy P allow:s3:Get*
        root CreatePolicy p allow:s3:Get*
        root CreatePolicyVersion P allow:s3:Put* default
        root CreatePolicyVersion P allow:s3:List*
        root DeletePolicyVersion P v2
        root DeletePolicyVersion P v3
        root CreatePolicyVersion P allow:s3:List*
        root DeletePolicyVersion P v9
        root SetDefaultPolicyVersion P v1
        root SetDefaultPolicyVersion P v3
        root ListPolicyVersions P
        root DeletePolicy P
        quiet root DeletePolicyVersion P v2
        quiet root DeletePolicyVersion P v4
        quiet root CreateGroup g
        quiet root AttachGroupPolicy g P
        root DeletePolicy P
        root ListEntitiesForPolicy P
        quiet root DetachGroupPolicy g P
        root DetachGroupPolicy g P
        root DeletePolicy P
        root GetPolicy P
        root AttachGroupPolicy g P",
        expect![[r#"
            root CreatePolicy P allow:s3:Get*
                CreatePolicy(Policy { id: ANPA…, name: PolicyName("P"), path: PolicyPath("/"), arn: Arn { text: "arn:aws:iam::123456789012:policy/P", colons: [3, 7, 11, 12, 25] }, created: T, updated: T, default_version: VersionId("v1"), attachment_count: 0, boundary_count: 0, description: None, tags: [] })
            root CreatePolicy p allow:s3:Get*
                EntityAlreadyExists { noun: Policy, name: "p" }
            root CreatePolicyVersion P allow:s3:Put* default
                CreatePolicyVersion(PolicyVersion { id: VersionId("v2"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:Put*\",\"Resource\":\"*\"}}", is_default: true, created: T })
            root CreatePolicyVersion P allow:s3:List*
                CreatePolicyVersion(PolicyVersion { id: VersionId("v3"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:List*\",\"Resource\":\"*\"}}", is_default: false, created: T })
            root DeletePolicyVersion P v2
                DeleteConflict { obstacle: DefaultVersion }
            root DeletePolicyVersion P v3
                done
            root CreatePolicyVersion P allow:s3:List*
                CreatePolicyVersion(PolicyVersion { id: VersionId("v4"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:List*\",\"Resource\":\"*\"}}", is_default: false, created: T })
            root DeletePolicyVersion P v9
                NoSuchEntity { noun: PolicyVersion, name: "arn:aws:iam::123456789012:policy/P version v9" }
            root SetDefaultPolicyVersion P v1
                done
            root SetDefaultPolicyVersion P v3
                NoSuchEntity { noun: PolicyVersion, name: "arn:aws:iam::123456789012:policy/P version v3" }
            root ListPolicyVersions P
                ListPolicyVersions(Listing { items: [PolicyVersion { id: VersionId("v4"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:List*\",\"Resource\":\"*\"}}", is_default: false, created: T }, PolicyVersion { id: VersionId("v2"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:Put*\",\"Resource\":\"*\"}}", is_default: false, created: T }, PolicyVersion { id: VersionId("v1"), document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Allow\",\"Action\":\"s3:Get*\",\"Resource\":\"*\"}}", is_default: true, created: T }], next: None })
            root DeletePolicy P
                DeleteConflict { obstacle: PolicyVersions }
            root DeletePolicy P
                DeleteConflict { obstacle: Attachments }
            root ListEntitiesForPolicy P
                ListEntitiesForPolicy(Entities { users: [], groups: [(GroupName("g"), AGPALKETPXJBCIYFMWOAJ)], roles: [], next: None })
            root DetachGroupPolicy g P
                NoSuchEntity { noun: Attachment, name: "arn:aws:iam::123456789012:policy/P" }
            root DeletePolicy P
                done
            root GetPolicy P
                NoSuchEntity { noun: Policy, name: "arn:aws:iam::123456789012:policy/P" }
            root AttachGroupPolicy g P
                NoSuchEntity { noun: AttachablePolicy, name: "arn:aws:iam::123456789012:policy/P" }
        "#]],
    );
}

#[test]
fn policies_of_aws_cannot_be_changed() {
    check_history(
        "root CreatePolicyVersion aws/ReadOnlyAccess allow:*
        root DeletePolicy aws/ReadOnlyAccess
        root TagPolicy aws/ReadOnlyAccess a=b
        root GetPolicy aws/Nothing
        root GetPolicy arn:aws:iam::222222222222:policy/P",
        expect![[r#"
            root CreatePolicyVersion aws/ReadOnlyAccess allow:*
                AccessDenied { message: "User: arn:aws:iam::123456789012:root is not authorized to perform: iam:CreatePolicyVersion on resource: arn:aws:iam::aws:policy/ReadOnlyAccess" }
            root DeletePolicy aws/ReadOnlyAccess
                AccessDenied { message: "User: arn:aws:iam::123456789012:root is not authorized to perform: iam:DeletePolicy on resource: arn:aws:iam::aws:policy/ReadOnlyAccess" }
            root TagPolicy aws/ReadOnlyAccess a=b
                AccessDenied { message: "User: arn:aws:iam::123456789012:root is not authorized to perform: iam:TagPolicy on resource: arn:aws:iam::aws:policy/ReadOnlyAccess" }
            root GetPolicy aws/Nothing
                NoSuchEntity { noun: Policy, name: "arn:aws:iam::aws:policy/Nothing" }
            root GetPolicy arn:aws:iam::222222222222:policy/P
                NoSuchEntity { noun: Policy, name: "arn:aws:iam::222222222222:policy/P" }
        "#]],
    );
}

#[test]
fn inline_policies_are_documents_by_name() {
    check_history(
        "quiet root CreateUser bob
        root PutUserPolicy bob In bad
        root PutUserPolicy none In allow:s3:*
        root PutUserPolicy bob In allow:s3:*
        root PutUserPolicy bob in deny:s3:*
        root GetUserPolicy bob IN
        root ListUserPolicies bob
        may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
        root DeleteUserPolicy bob in
        root DeleteUserPolicy bob in
        root GetUserPolicy bob in",
        expect![[r#"
            root PutUserPolicy bob In bad
                MalformedPolicyDocument { problem: Json, position: Some(Position { line: 1, column: 1 }) }
            root PutUserPolicy none In allow:s3:*
                NoSuchEntity { noun: User, name: "none" }
            root PutUserPolicy bob In allow:s3:*
                done
            root PutUserPolicy bob in deny:s3:*
                done
            root GetUserPolicy bob IN
                GetUserPolicy(InlinePolicy { owner: UserName("bob"), name: "in", document: "{\"Version\":\"2012-10-17\",\"Statement\":\n            {\"Effect\":\"Deny\",\"Action\":\"s3:*\",\"Resource\":\"*\"}}" })
            root ListUserPolicies bob
                ListUserPolicies(Listing { items: ["in"], next: None })
            may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
                ExplicitDeny { layer: Identity }
            root DeleteUserPolicy bob in
                done
            root DeleteUserPolicy bob in
                NoSuchEntity { noun: UserPolicy, name: "in" }
            root GetUserPolicy bob in
                NoSuchEntity { noun: UserPolicy, name: "in" }
        "#]],
    );
}

#[test]
fn attachments_grant_to_users_groups_and_roles() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateGroup g
        quiet root CreateRole r trust:123456789012
        quiet root CreatePolicy P allow:s3:*
        quiet root AddUserToGroup g bob
        may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
        root AttachGroupPolicy g P
        may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
        root AttachUserPolicy bob P
        root AttachRolePolicy r P
        may arn:aws:iam::123456789012:role/r s3:GetObject arn:aws:s3:::x
        may arn:aws:sts::123456789012:assumed-role/r/me s3:GetObject arn:aws:s3:::x
        may arn:aws:iam::123456789012:root s3:GetObject arn:aws:s3:::x
        may arn:aws:iam::123456789012:user/none s3:GetObject arn:aws:s3:::x
        may arn:aws:iam::123456789012:user/x/bob s3:GetObject arn:aws:s3:::x
        root ListEntitiesForPolicy P
        root ListAttachedUserPolicies bob
        quiet root AttachUserPolicy bob aws/IAMReadOnlyAccess
        root ListAttachedUserPolicies bob
        root DetachGroupPolicy g P
        root DetachUserPolicy bob P
        may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x",
        expect![[r#"
            may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
                ImplicitDeny { layer: Identity }
            root AttachGroupPolicy g P
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
                Allow
            root AttachUserPolicy bob P
                done
            root AttachRolePolicy r P
                done
            may arn:aws:iam::123456789012:role/r s3:GetObject arn:aws:s3:::x
                Allow
            may arn:aws:sts::123456789012:assumed-role/r/me s3:GetObject arn:aws:s3:::x
                ImplicitDeny { layer: Session }
            may arn:aws:iam::123456789012:root s3:GetObject arn:aws:s3:::x
                Allow
            may arn:aws:iam::123456789012:user/none s3:GetObject arn:aws:s3:::x
                NoSuchEntity { noun: Principal, name: "arn:aws:iam::123456789012:user/none" }
            may arn:aws:iam::123456789012:user/x/bob s3:GetObject arn:aws:s3:::x
                NoSuchEntity { noun: Principal, name: "arn:aws:iam::123456789012:user/x/bob" }
            root ListEntitiesForPolicy P
                ListEntitiesForPolicy(Entities { users: [(UserName("bob"), AIDA7QWOEIAJRJPNQHOPE)], groups: [(GroupName("g"), AGPAF62SJVTUISE375FWQ)], roles: [(RoleName("r"), AROAR4GNZTU3D5DLCKAKQ)], next: None })
            root ListAttachedUserPolicies bob
                ListAttachedUserPolicies(Listing { items: [AttachedPolicy { arn: "arn:aws:iam::123456789012:policy/P", name: "P" }], next: None })
            root ListAttachedUserPolicies bob
                ListAttachedUserPolicies(Listing { items: [AttachedPolicy { arn: "arn:aws:iam::aws:policy/IAMReadOnlyAccess", name: "IAMReadOnlyAccess" }, AttachedPolicy { arn: "arn:aws:iam::123456789012:policy/P", name: "P" }], next: None })
            root DetachGroupPolicy g P
                done
            root DetachUserPolicy bob P
                done
            may arn:aws:iam::123456789012:user/bob s3:GetObject arn:aws:s3:::x
                ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn keys_authenticate_while_active() {
    check_history(
        "quiet root CreateUser bob
        root CreateAccessKey bob
        quiet root CreateAccessKey
        auth key1
        auth key2
        root UpdateAccessKey bob key1 Inactive
        auth key1
        root ListAccessKeys bob
        root UpdateAccessKey bob key1 Active
        auth key1
        root UpdateAccessKey bob key2 Inactive
        root UpdateAccessKey bob nonsense Inactive
        bob ListAccessKeys
        root DeleteAccessKey bob key1
        auth key1
        root DeleteAccessKey bob key1
        root ListAccessKeys bob
        root DeleteAccessKey - key2
        auth key2",
        expect![[r#"
            root CreateAccessKey bob
                CreateAccessKey(NewAccessKey { user: Some(UserName("bob")), id: AKIA…, secret: Secret(..), status: Active, created: T })
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            auth key2
                yes, arn:aws:iam::123456789012:root
            root UpdateAccessKey bob key1 Inactive
                done
            auth key1
                no
            root ListAccessKeys bob
                ListAccessKeys(Listing { items: [AccessKey { user: Some(UserName("bob")), id: AKIA…, status: Inactive, created: T }], next: None })
            root UpdateAccessKey bob key1 Active
                done
            auth key1
                yes, arn:aws:iam::123456789012:user/bob
            root UpdateAccessKey bob key2 Inactive
                NoSuchEntity { noun: AccessKey, name: "AKIAYQ2JLFU265BA4OEM" }
            root UpdateAccessKey bob nonsense Inactive
                NoSuchEntity { noun: AccessKey, name: "nonsense" }
            bob ListAccessKeys
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:ListAccessKeys action" }
            root DeleteAccessKey bob key1
                done
            auth key1
                no
            root DeleteAccessKey bob key1
                NoSuchEntity { noun: AccessKey, name: "AKIAYJPL7564O3RQQGJ3" }
            root ListAccessKeys bob
                ListAccessKeys(Listing { items: [], next: None })
            root DeleteAccessKey - key2
                done
            auth key2
                no
        "#]],
    );
}

#[test]
fn tags_are_unique_without_case_and_feed_conditions() {
    check_history(
        "quiet root CreateUser bob / a=1 A2=2
        root TagUser bob b=1 B=2
        root TagUser bob A=3
        root ListUserTags bob
        root UntagUser bob a
        root UntagUser bob a
        root ListUserTags bob
        quiet root CreateRole r trust:123456789012 x=y
        root ListRoleTags r
        quiet root CreatePolicy P allow:s3:* x=y
        root TagPolicy P z=1
        root UntagPolicy P x
        root ListPolicyTags P",
        expect![[r#"
            root TagUser bob b=1 B=2
                DuplicateTagKeys
            root TagUser bob A=3
                done
            root ListUserTags bob
                ListUserTags(Listing { items: [Tag { key: TagKey("A"), value: TagValue("3") }, Tag { key: TagKey("A2"), value: TagValue("2") }], next: None })
            root UntagUser bob a
                done
            root UntagUser bob a
                done
            root ListUserTags bob
                ListUserTags(Listing { items: [Tag { key: TagKey("A2"), value: TagValue("2") }], next: None })
            root ListRoleTags r
                ListRoleTags(Listing { items: [Tag { key: TagKey("x"), value: TagValue("y") }], next: None })
            root TagPolicy P z=1
                done
            root UntagPolicy P x
                done
            root ListPolicyTags P
                ListPolicyTags(Listing { items: [Tag { key: TagKey("z"), value: TagValue("1") }], next: None })
        "#]],
    );
}

#[test]
fn the_account_has_one_alias_and_a_summary() {
    check_history(
        "root CreateAccountAlias acme
        root ListAccountAliases
        root@222222222222 CreateAccountAlias acme
        root CreateAccountAlias acme2
        root DeleteAccountAlias acme
        root DeleteAccountAlias acme2
        root ListAccountAliases
        quiet root CreateUser bob
        quiet root CreateAccessKey
        quiet root CreatePolicy P allow:s3:*
        quiet root AttachUserPolicy bob aws/ReadOnlyAccess
        root GetAccountSummary",
        expect![[r#"
            root CreateAccountAlias acme
                done
            root ListAccountAliases
                ListAccountAliases(Listing { items: [AccountAlias("acme")], next: None })
            root@222222222222 CreateAccountAlias acme
                EntityAlreadyExists { noun: AccountAlias, name: "acme" }
            root CreateAccountAlias acme2
                done
            root DeleteAccountAlias acme
                NoSuchEntity { noun: AccountAlias, name: "acme" }
            root DeleteAccountAlias acme2
                done
            root ListAccountAliases
                ListAccountAliases(Listing { items: [], next: None })
            root GetAccountSummary
                GetAccountSummary({"AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 1, "AccountMFAEnabled": 0, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0, "AssumeRolePolicySizeQuota": 2048, "AttachedPoliciesPerGroupQuota": 10, "AttachedPoliciesPerRoleQuota": 10, "AttachedPoliciesPerUserQuota": 10, "GroupPolicySizeQuota": 5120, "Groups": 0, "GroupsPerUserQuota": 10, "GroupsQuota": 300, "InstanceProfiles": 0, "InstanceProfilesQuota": 1000, "MFADevices": 0, "MFADevicesInUse": 0, "Policies": 1, "PoliciesQuota": 1500, "PolicySizeQuota": 6144, "PolicyVersionsInUse": 1, "Providers": 0, "RolePolicySizeQuota": 10240, "Roles": 0, "RolesQuota": 1000, "ServerCertificates": 0, "ServerCertificatesQuota": 20, "SigningCertificatesPerUserQuota": 2, "UserPolicySizeQuota": 2048, "Users": 1, "UsersQuota": 5000, "VersionsPerPolicyQuota": 5})
        "#]],
    );
}

#[test]
fn sessions_need_trust_and_end() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateUser eve
        quiet root CreateRole direct trust:arn:aws:iam::123456789012:user/bob
        quiet root CreateRole account trust:123456789012
        quiet root CreateRole chained trust:arn:aws:iam::123456789012:role/direct
        root AssumeRole direct
        bob GetCallerIdentity
        role:direct GetCallerIdentity
        root GetCallerIdentity
        eve AssumeRole direct
        eve AssumeRole none
        bob AssumeRole account
        quiet root PutUserPolicy bob in allow:sts:AssumeRole
        bob AssumeRole direct 3601
        role:direct AssumeRole chained 3601
        bob AssumeRole direct 3600 bad
        quiet root PutUserPolicy bob in deny:sts:AssumeRole
        bob AssumeRole direct
        role:direct GetSessionToken",
        expect![[r#"
            root AssumeRole direct
                AccessDenied { message: "Roles may not be assumed by root accounts." }
            bob GetCallerIdentity
                GetCallerIdentity(CallerIdentity { user_id: "AIDA…", account: 123456789012, arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] } })
            role:direct GetCallerIdentity
                GetCallerIdentity(CallerIdentity { user_id: "AROA…:sess", account: 123456789012, arn: Arn { text: "arn:aws:sts::123456789012:assumed-role/direct/sess", colons: [3, 7, 11, 12, 25] } })
            root GetCallerIdentity
                GetCallerIdentity(CallerIdentity { user_id: "123456789012", account: 123456789012, arn: Arn { text: "arn:aws:iam::123456789012:root", colons: [3, 7, 11, 12, 25] } })
            eve AssumeRole direct
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/direct because no role trust policy allows the sts:AssumeRole action" }
            eve AssumeRole none
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/none because no role trust policy allows the sts:AssumeRole action" }
            bob AssumeRole account
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/account because no identity-based policy allows the sts:AssumeRole action" }
            bob AssumeRole direct 3601
                DurationExceedsRoleMax { max_secs: 3600 }
            role:direct AssumeRole chained 3601
                DurationExceedsChainingMax
            bob AssumeRole direct 3600 bad
                MalformedPolicyDocument { problem: Json, position: Some(Position { line: 1, column: 1 }) }
            bob AssumeRole direct
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/direct with an explicit deny in an identity-based policy" }
            role:direct GetSessionToken
                AccessDenied { message: "Cannot call GetSessionToken with session credentials" }
        "#]],
    );
}
