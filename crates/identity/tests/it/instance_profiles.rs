//! Instance profiles and the roles in them.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn a_profile_takes_one_role_and_stays_while_it_has_it() {
    check_history(
        "quiet root CreateRole one trust:123456789012
        quiet root CreateRole two trust:123456789012
        root CreateInstanceProfile web
        root CreateInstanceProfile WEB
        root AddRoleToInstanceProfile none one
        root AddRoleToInstanceProfile web none
        root RemoveRoleFromInstanceProfile web one
        root AddRoleToInstanceProfile web one
        root AddRoleToInstanceProfile web one
        root AddRoleToInstanceProfile web two
        root DeleteInstanceProfile web
        root DeleteRole one
        root RemoveRoleFromInstanceProfile web two
        root RemoveRoleFromInstanceProfile web one
        root DeleteRole one
        root AddRoleToInstanceProfile web two
        root RemoveRoleFromInstanceProfile web two
        root DeleteInstanceProfile web
        root GetInstanceProfile web",
        expect![[r#"
            root CreateInstanceProfile web
                CreateInstanceProfile(InstanceProfile { id: AIPA…, name: InstanceProfileName("web"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/web", colons: [3, 7, 11, 12, 25] }, created: T, roles: [], tags: [] })
            root CreateInstanceProfile WEB
                EntityAlreadyExists { noun: InstanceProfile, name: "WEB" }
            root AddRoleToInstanceProfile none one
                NoSuchEntity { noun: InstanceProfile, name: "none" }
            root AddRoleToInstanceProfile web none
                NoSuchEntity { noun: Role, name: "none" }
            root RemoveRoleFromInstanceProfile web one
                NoSuchEntity { noun: InstanceProfileRole, name: "one" }
            root AddRoleToInstanceProfile web one
                done
            root AddRoleToInstanceProfile web one
                LimitExceeded { quota: RolesPerInstanceProfile }
            root AddRoleToInstanceProfile web two
                LimitExceeded { quota: RolesPerInstanceProfile }
            root DeleteInstanceProfile web
                DeleteConflict { obstacle: InstanceProfiles }
            root DeleteRole one
                DeleteConflict { obstacle: InstanceProfiles }
            root RemoveRoleFromInstanceProfile web two
                NoSuchEntity { noun: InstanceProfileRole, name: "two" }
            root RemoveRoleFromInstanceProfile web one
                done
            root DeleteRole one
                done
            root AddRoleToInstanceProfile web two
                done
            root RemoveRoleFromInstanceProfile web two
                done
            root DeleteInstanceProfile web
                done
            root GetInstanceProfile web
                NoSuchEntity { noun: InstanceProfile, name: "web" }
        "#]],
    );
}

#[test]
fn roles_and_profiles_are_found_from_each_other() {
    check_history(
        "quiet root CreateRole one trust:123456789012
        quiet root CreateInstanceProfile b
        quiet root CreateInstanceProfile a team=web
        quiet root CreateInstanceProfile empty
        quiet root AddRoleToInstanceProfile b one
        quiet root AddRoleToInstanceProfile a one
        root GetInstanceProfile a
        root ListInstanceProfilesForRole one
        root ListInstanceProfiles
        quiet root TagInstanceProfile empty cost=c
        quiet root UntagInstanceProfile a team
        root ListInstanceProfileTags empty
        root ListInstanceProfileTags a",
        expect![[r#"
            root GetInstanceProfile a
                GetInstanceProfile(InstanceProfile { id: AIPA…, name: InstanceProfileName("a"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/a", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [Tag { key: TagKey("team"), value: TagValue("web") }] })
            root ListInstanceProfilesForRole one
                ListInstanceProfilesForRole(Listing { items: [InstanceProfile { id: AIPA…, name: InstanceProfileName("a"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/a", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [Tag { key: TagKey("team"), value: TagValue("web") }] }, InstanceProfile { id: AIPA…, name: InstanceProfileName("b"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/b", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [] }], next: None })
            root ListInstanceProfiles
                ListInstanceProfiles(Listing { items: [InstanceProfile { id: AIPA…, name: InstanceProfileName("a"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/a", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [Tag { key: TagKey("team"), value: TagValue("web") }] }, InstanceProfile { id: AIPA…, name: InstanceProfileName("b"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/b", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [] }, InstanceProfile { id: AIPA…, name: InstanceProfileName("empty"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/empty", colons: [3, 7, 11, 12, 25] }, created: T, roles: [], tags: [] }], next: None })
            root ListInstanceProfileTags empty
                ListInstanceProfileTags(Listing { items: [Tag { key: TagKey("cost"), value: TagValue("c") }], next: None })
            root ListInstanceProfileTags a
                ListInstanceProfileTags(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn who_adds_a_role_must_be_let_pass_it_to_ec2() {
    check_history(
        r#"quiet root CreateUser bob
        quiet root CreateRole one trust:123456789012
        quiet root CreateInstanceProfile web
        quiet root PutUserPolicy bob add allow:iam:AddRoleToInstanceProfile
        bob AddRoleToInstanceProfile web one
        quiet root PutUserPolicy bob pass {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}}
        bob AddRoleToInstanceProfile web one
        quiet root PutUserPolicy bob pass {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::123456789012:role/*","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}}
        bob AddRoleToInstanceProfile web one"#,
        expect![[r#"
            bob AddRoleToInstanceProfile web one
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/one because no identity-based policy allows the iam:PassRole action" }
            bob AddRoleToInstanceProfile web one
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/one because no identity-based policy allows the iam:PassRole action" }
            bob AddRoleToInstanceProfile web one
                done
        "#]],
    );
}

#[test]
fn roles_added_at_once_are_all_shown_and_block_another() {
    check_history(
        "quiet root CreateRole one trust:123456789012
        quiet root CreateRole two trust:123456789012
        quiet root CreateRole three trust:123456789012
        quiet root CreateInstanceProfile web
        sync
        a: root AddRoleToInstanceProfile web one
        b: root AddRoleToInstanceProfile web two
        sync
        root GetInstanceProfile web
        root AddRoleToInstanceProfile web three
        root DeleteRole one
        root RemoveRoleFromInstanceProfile web one
        root AddRoleToInstanceProfile web three
        root RemoveRoleFromInstanceProfile web two
        root AddRoleToInstanceProfile web three",
        expect![[r#"
            a: root AddRoleToInstanceProfile web one
                done
            b: root AddRoleToInstanceProfile web two
                done
            root GetInstanceProfile web
                GetInstanceProfile(InstanceProfile { id: AIPA…, name: InstanceProfileName("web"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/web", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }, Role { id: AROA…, name: RoleName("two"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/two", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\n            \"Principal\":{\"AWS\":\"123456789012\"},\n            \"Action\":[\"sts:AssumeRole\",\"sts:TagSession\"]}}", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [] })
            root AddRoleToInstanceProfile web three
                LimitExceeded { quota: RolesPerInstanceProfile }
            root DeleteRole one
                DeleteConflict { obstacle: InstanceProfiles }
            root RemoveRoleFromInstanceProfile web one
                done
            root AddRoleToInstanceProfile web three
                LimitExceeded { quota: RolesPerInstanceProfile }
            root RemoveRoleFromInstanceProfile web two
                done
            root AddRoleToInstanceProfile web three
                done
        "#]],
    );
}

#[test]
fn a_deletion_that_races_an_addition_shows_and_is_settled_by_hand() {
    check_history(
        "quiet root CreateRole one trust:123456789012
        quiet root CreateInstanceProfile web
        quiet root CreateInstanceProfile gone
        sync
        a: root DeleteRole one
        b: root AddRoleToInstanceProfile web one
        a: root DeleteInstanceProfile gone
        b: root TagInstanceProfile gone team=a
        sync
        root ListInstanceProfilesForRole one
        root DeleteRole one
        root AddRoleToInstanceProfile gone one
        root DeleteInstanceProfile gone
        root RemoveRoleFromInstanceProfile web one
        root DeleteRole one
        root GetInstanceProfile gone",
        expect![[r#"
            a: root DeleteRole one
                done
            b: root AddRoleToInstanceProfile web one
                done
            a: root DeleteInstanceProfile gone
                done
            b: root TagInstanceProfile gone team=a
                done
            root ListInstanceProfilesForRole one
                ListInstanceProfilesForRole(Listing { items: [InstanceProfile { id: AIPA…, name: InstanceProfileName("web"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:instance-profile/web", colons: [3, 7, 11, 12, 25] }, created: T, roles: [Role { id: AROA…, name: RoleName("one"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:role/one", colons: [3, 7, 11, 12, 25] }, created: T, trust_policy: "", description: None, max_session_duration: MaxSessionDuration(3600), boundary: None, tags: [] }], tags: [] }], next: None })
            root DeleteRole one
                DeleteConflict { obstacle: InstanceProfiles }
            root AddRoleToInstanceProfile gone one
                ConcurrentModification { noun: InstanceProfile, name: "gone" }
            root DeleteInstanceProfile gone
                done
            root RemoveRoleFromInstanceProfile web one
                done
            root DeleteRole one
                done
            root GetInstanceProfile gone
                NoSuchEntity { noun: InstanceProfile, name: "gone" }
        "#]],
    );
}
