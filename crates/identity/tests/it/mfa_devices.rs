//! Virtual MFA devices, and sessions with a second factor.

use expect_test::expect;

use crate::history::{History, check_history};

const BOB: &str = "quiet root CreateUser bob
    quiet root CreateAccessKey bob
    quiet root CreateVirtualMFADevice phone\n";

fn check(steps: &str, expected: expect_test::Expect) {
    check_history(&format!("{BOB}{steps}"), expected);
}

#[test]
fn a_device_is_made_enabled_used_and_taken_apart() {
    check(
        "root CreateVirtualMFADevice PHONE
        root CreateVirtualMFADevice other /x/ team=a
        root ListVirtualMFADevices Unassigned
        root EnableMFADevice bob phone key2@1 key2@2
        root EnableMFADevice bob phone key2@1 key2@2
        root GetMFADevice bob phone
        root ListMFADevices bob
        bob GetSessionTokenWith phone key2@3
        root ListVirtualMFADevices Assigned
        root GetAccountSummary
        root TagMFADevice other team=b",
        expect![[r#"
            root CreateVirtualMFADevice PHONE
                EntityAlreadyExists { noun: MfaDevice, name: "PHONE" }
            root CreateVirtualMFADevice other /x/ team=a
                CreateVirtualMFADevice(NewVirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/x/other", colons: [3, 7, 11, 12, 25] }, name: VirtualMfaDeviceName("other"), account: "123456789012", seed: Secret(..), tags: [Tag { key: TagKey("team"), value: TagValue("a") }] })
            root ListVirtualMFADevices Unassigned
                ListVirtualMFADevices(Listing { items: [VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/x/other", colons: [3, 7, 11, 12, 25] }, user: None, enabled: None }, VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, user: None, enabled: None }], next: None })
            root EnableMFADevice bob phone key2@1 key2@2
                done
            root EnableMFADevice bob phone key2@1 key2@2
                EntityAlreadyExists { noun: MfaDeviceInUse, name: "arn:aws:iam::123456789012:mfa/phone" }
            root GetMFADevice bob phone
                GetMFADevice(MfaDevice { user: "bob", serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, enabled: T })
            root ListMFADevices bob
                ListMFADevices(Listing { items: [MfaDevice { user: "bob", serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, enabled: T }], next: None })
            bob GetSessionTokenWith phone key2@3
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            root ListVirtualMFADevices Assigned
                ListVirtualMFADevices(Listing { items: [VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, user: Some(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })), enabled: Some(T) }], next: None })
            root GetAccountSummary
                GetAccountSummary({"AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 0, "AccountMFAEnabled": 0, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0, "AssumeRolePolicySizeQuota": 2048, "AttachedPoliciesPerGroupQuota": 10, "AttachedPoliciesPerRoleQuota": 10, "AttachedPoliciesPerUserQuota": 10, "GroupPolicySizeQuota": 5120, "Groups": 0, "GroupsPerUserQuota": 10, "GroupsQuota": 300, "InstanceProfiles": 0, "InstanceProfilesQuota": 1000, "MFADevices": 2, "MFADevicesInUse": 1, "Policies": 0, "PoliciesQuota": 1500, "PolicySizeQuota": 6144, "PolicyVersionsInUse": 0, "Providers": 0, "RolePolicySizeQuota": 10240, "Roles": 0, "RolesQuota": 1000, "ServerCertificates": 0, "ServerCertificatesQuota": 20, "SigningCertificatesPerUserQuota": 2, "UserPolicySizeQuota": 2048, "Users": 1, "UsersQuota": 5000, "VersionsPerPolicyQuota": 5})
            root TagMFADevice other team=b
                NoSuchEntity { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/other" }
        "#]],
    );
}

#[test]
fn what_is_in_use_is_not_deleted() {
    check(
        "quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root CreateVirtualMFADevice other /x/ team=a
        root DeleteVirtualMFADevice phone
        root DeleteUser bob
        quiet root DeleteAccessKey bob key1
        root DeleteUser bob
        root DeactivateMFADevice bob other
        root DeactivateMFADevice bob phone
        root DeactivateMFADevice bob phone
        root DeleteVirtualMFADevice phone
        root DeleteVirtualMFADevice phone
        root DeleteUser bob
        root ListVirtualMFADevices
        root ListMFADeviceTags arn:aws:iam::123456789012:mfa/x/other
        root TagMFADevice arn:aws:iam::123456789012:mfa/x/other team=b
        root UntagMFADevice arn:aws:iam::123456789012:mfa/x/other team
        root TagMFADevice other team=b",
        expect![[r#"
            root DeleteVirtualMFADevice phone
                DeleteConflict { obstacle: EnabledMfaDevice }
            root DeleteUser bob
                DeleteConflict { obstacle: AccessKeys }
            root DeleteUser bob
                DeleteConflict { obstacle: MfaDevices }
            root DeactivateMFADevice bob other
                NoSuchEntity { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/other" }
            root DeactivateMFADevice bob phone
                done
            root DeactivateMFADevice bob phone
                NoSuchEntity { noun: MfaDeviceOfUser, name: "arn:aws:iam::123456789012:mfa/phone" }
            root DeleteVirtualMFADevice phone
                done
            root DeleteVirtualMFADevice phone
                NoSuchEntity { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/phone" }
            root DeleteUser bob
                done
            root ListVirtualMFADevices
                ListVirtualMFADevices(Listing { items: [VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/x/other", colons: [3, 7, 11, 12, 25] }, user: None, enabled: None }], next: None })
            root ListMFADeviceTags arn:aws:iam::123456789012:mfa/x/other
                ListMFADeviceTags(Listing { items: [Tag { key: TagKey("team"), value: TagValue("a") }], next: None })
            root TagMFADevice arn:aws:iam::123456789012:mfa/x/other team=b
                done
            root UntagMFADevice arn:aws:iam::123456789012:mfa/x/other team
                done
            root TagMFADevice other team=b
                NoSuchEntity { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/other" }
        "#]],
    );
}

#[test]
fn codes_are_right_in_their_order_near_their_time_and_once() {
    check(
        "root EnableMFADevice bob phone key2@1 key2@1
        root EnableMFADevice bob phone key2@2 key2@1
        root EnableMFADevice bob phone key2@1 key2@3
        root EnableMFADevice bob phone key2@11 key2@12
        root EnableMFADevice bob phone key2@-11 key2@-10
        bob GetSessionTokenWith phone key2@0
        root EnableMFADevice bob phone key2@-2 key2@-1
        bob GetSessionTokenWith phone key2@-2
        bob GetSessionTokenWith phone key2@-1
        bob GetSessionTokenWith phone key2@1
        bob GetSessionTokenWith phone 12345
        bob GetSessionTokenWith phone key2@0
        bob GetSessionTokenWith phone key2@0
        root ResyncMFADevice bob phone key2@121 key2@122
        root ResyncMFADevice bob phone key2@99 key2@100
        bob GetSessionTokenWith phone key2@100
        bob GetSessionTokenWith phone key2@101
        root DeactivateMFADevice bob phone
        root EnableMFADevice bob phone key2@100 key2@101
        root EnableMFADevice bob phone key2@102 key2@103",
        expect![[r#"
            root EnableMFADevice bob phone key2@1 key2@1
                Mfa(TwoCodes)
            root EnableMFADevice bob phone key2@2 key2@1
                Mfa(TwoCodes)
            root EnableMFADevice bob phone key2@1 key2@3
                Mfa(TwoCodes)
            root EnableMFADevice bob phone key2@11 key2@12
                Mfa(TwoCodes)
            root EnableMFADevice bob phone key2@-11 key2@-10
                Mfa(TwoCodes)
            bob GetSessionTokenWith phone key2@0
                Mfa(Device)
            root EnableMFADevice bob phone key2@-2 key2@-1
                done
            bob GetSessionTokenWith phone key2@-2
                Mfa(Code)
            bob GetSessionTokenWith phone key2@-1
                Mfa(Code)
            bob GetSessionTokenWith phone key2@1
                Mfa(Code)
            bob GetSessionTokenWith phone 12345
                Mfa(Code)
            bob GetSessionTokenWith phone key2@0
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            bob GetSessionTokenWith phone key2@0
                Mfa(Code)
            root ResyncMFADevice bob phone key2@121 key2@122
                Mfa(TwoCodes)
            root ResyncMFADevice bob phone key2@99 key2@100
                done
            bob GetSessionTokenWith phone key2@100
                Mfa(Code)
            bob GetSessionTokenWith phone key2@101
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            root DeactivateMFADevice bob phone
                done
            root EnableMFADevice bob phone key2@100 key2@101
                Mfa(TwoCodes)
            root EnableMFADevice bob phone key2@102 key2@103
                done
        "#]],
    );
}

#[test]
fn the_root_user_has_devices_of_its_own() {
    check(
        "quiet root CreateAccessKey
        root EnableMFADevice 123456789012 phone key2@1 key2@2
        root ListMFADevices
        root ListVirtualMFADevices
        root GetMFADevice - phone
        root ResyncMFADevice 123456789012 phone key2@3 key2@4
        root GetSessionTokenWith phone key2@5
        bob GetSessionTokenWith phone key2@6
        root GetAccountSummary
        root DeactivateMFADevice - phone",
        expect![[r#"
            root EnableMFADevice 123456789012 phone key2@1 key2@2
                done
            root ListMFADevices
                ListMFADevices(Listing { items: [MfaDevice { user: "123456789012", serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, enabled: T }], next: None })
            root ListVirtualMFADevices
                ListVirtualMFADevices(Listing { items: [VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, user: Some(Root { arn: Arn { text: "arn:aws:iam::123456789012:root", colons: [3, 7, 11, 12, 25] }, created: T }), enabled: Some(T) }], next: None })
            root GetMFADevice - phone
                GetMFADevice(MfaDevice { user: "123456789012", serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, enabled: T })
            root ResyncMFADevice 123456789012 phone key2@3 key2@4
                done
            root GetSessionTokenWith phone key2@5
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            bob GetSessionTokenWith phone key2@6
                Mfa(Device)
            root GetAccountSummary
                GetAccountSummary({"AccessKeysPerUserQuota": 2, "AccountAccessKeysPresent": 1, "AccountMFAEnabled": 1, "AccountPasswordPresent": 0, "AccountSigningCertificatesPresent": 0, "AssumeRolePolicySizeQuota": 2048, "AttachedPoliciesPerGroupQuota": 10, "AttachedPoliciesPerRoleQuota": 10, "AttachedPoliciesPerUserQuota": 10, "GroupPolicySizeQuota": 5120, "Groups": 0, "GroupsPerUserQuota": 10, "GroupsQuota": 300, "InstanceProfiles": 0, "InstanceProfilesQuota": 1000, "MFADevices": 1, "MFADevicesInUse": 1, "Policies": 0, "PoliciesQuota": 1500, "PolicySizeQuota": 6144, "PolicyVersionsInUse": 0, "Providers": 0, "RolePolicySizeQuota": 10240, "Roles": 0, "RolesQuota": 1000, "ServerCertificates": 0, "ServerCertificatesQuota": 20, "SigningCertificatesPerUserQuota": 2, "UserPolicySizeQuota": 2048, "Users": 1, "UsersQuota": 5000, "VersionsPerPolicyQuota": 5})
            root DeactivateMFADevice - phone
                done
        "#]],
    );
}

#[test]
fn a_session_with_a_code_may_call_iam_and_satisfies_conditions() {
    check(
        r#"quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root PutUserPolicy bob in {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"},"NumericLessThan":{"aws:MultiFactorAuthAge":"5"}}}]}
        bob ListUsers
        session:bob ListUsers
        open proven bob GetSessionTokenWith phone key2@3
        proven ListGroups
        proven GetCallerIdentity
        proven GetSessionToken
        quiet proven ListGroups
        quiet proven ListGroups
        proven ListGroups"#,
        expect![[r#"
            bob ListUsers
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::123456789012:user/ because no identity-based policy allows the iam:ListUsers action" }
            session:bob ListUsers
                AccessDenied { message: "Cannot call iam:ListUsers with session credentials of GetSessionToken" }
            open proven bob GetSessionTokenWith phone key2@3
                opened
            proven ListGroups
                ListGroups(Listing { items: [], next: None })
            proven GetCallerIdentity
                GetCallerIdentity(CallerIdentity { user_id: "AIDA…", account: 123456789012, arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] } })
            proven GetSessionToken
                AccessDenied { message: "Cannot call GetSessionToken with session credentials" }
            proven ListGroups
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::123456789012:group/ because no identity-based policy allows the iam:ListGroups action" }
        "#]],
    );
}

#[test]
fn a_role_may_ask_for_a_second_factor() {
    check(
        r#"quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root PutUserPolicy bob in allow:sts:*
        quiet root CreateRole ops {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}
        quiet root PutRolePolicy ops in {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:List*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}
        bob AssumeRole ops
        bob AssumeRoleWith phone key2@2 ops
        bob AssumeRoleWith other key2@3 ops
        open role bob AssumeRoleWith phone key2@3 ops
        role ListGroups
        open proven bob GetSessionTokenWith phone key2@4
        open chained proven AssumeRole ops
        chained ListGroups
        role AssumeRoleWith phone key2@5 ops
        quiet root DeactivateMFADevice bob phone
        role ListGroups
        proven AssumeRole ops"#,
        expect![[r#"
            bob AssumeRole ops
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/ops because no role trust policy allows the sts:AssumeRole action" }
            bob AssumeRoleWith phone key2@2 ops
                Mfa(Code)
            bob AssumeRoleWith other key2@3 ops
                Mfa(Device)
            open role bob AssumeRoleWith phone key2@3 ops
                opened
            role ListGroups
                AccessDenied { message: "User: arn:aws:sts::123456789012:assumed-role/ops/sess is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::123456789012:group/ because no identity-based policy allows the iam:ListGroups action" }
            open proven bob GetSessionTokenWith phone key2@4
                opened
            open chained proven AssumeRole ops
                opened
            chained ListGroups
                AccessDenied { message: "User: arn:aws:sts::123456789012:assumed-role/ops/sess is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::123456789012:group/ because no identity-based policy allows the iam:ListGroups action" }
            role AssumeRoleWith phone key2@5 ops
                Mfa(Device)
            role ListGroups
                AccessDenied { message: "User: arn:aws:sts::123456789012:assumed-role/ops/sess is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::123456789012:group/ because no identity-based policy allows the iam:ListGroups action" }
            proven AssumeRole ops
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/ops because no role trust policy allows the sts:AssumeRole action" }
        "#]],
    );
}

#[test]
fn of_a_device_that_was_enabled_for_two_at_once_no_code_is_right() {
    check(
        "quiet root CreateUser ann
        quiet root CreateAccessKey ann
        quiet root PutUserPolicy bob in allow:iam:*
        sync
        quiet a: root EnableMFADevice bob phone key2@1 key2@2
        quiet b: root EnableMFADevice ann phone key2@3 key2@4
        sync
        bob GetSessionTokenWith phone key2@5
        ann GetSessionTokenWith phone key2@5
        root ListVirtualMFADevices
        root ResyncMFADevice bob phone key2@5 key2@6
        root EnableMFADevice bob phone key2@5 key2@6
        conflicts
        root Resolve mfa_owner remove
        conflicts
        root EnableMFADevice bob phone key2@5 key2@6
        bob GetSessionTokenWith phone key2@7",
        expect![[r#"
            bob GetSessionTokenWith phone key2@5
                Mfa(Device)
            ann GetSessionTokenWith phone key2@5
                Mfa(Device)
            root ListVirtualMFADevices
                ListVirtualMFADevices(Listing { items: [VirtualMfaDevice { serial: Arn { text: "arn:aws:iam::123456789012:mfa/phone", colons: [3, 7, 11, 12, 25] }, user: Some(User(User { id: AIDA…, name: UserName("bob"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:user/bob", colons: [3, 7, 11, 12, 25] }, created: T, boundary: None, tags: [] })), enabled: Some(T) }], next: None })
            root ResyncMFADevice bob phone key2@5 key2@6
                ConcurrentModification { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/phone" }
            root EnableMFADevice bob phone key2@5 key2@6
                ConcurrentModification { noun: MfaDevice, name: "arn:aws:iam::123456789012:mfa/phone" }
            conflicts
                mfa_owner: MFA device phone, for whom it is enabled
                  node 1, 123456789012:root, EnableMFADevice: arn:aws:iam::123456789012:user/bob
                  node 2, 123456789012:root, EnableMFADevice: arn:aws:iam::123456789012:user/ann
                  withheld: its codes are not accepted; sessions that were made with them may lack their factor
                  remove: iam:DeactivateMFADevice
            root Resolve mfa_owner remove
                done
            conflicts
                none
            root EnableMFADevice bob phone key2@5 key2@6
                done
            bob GetSessionTokenWith phone key2@7
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
        "#]],
    );
}

#[test]
fn a_device_that_was_enabled_twice_for_one_is_enabled() {
    check(
        "sync
        quiet a: root EnableMFADevice bob phone key2@1 key2@2
        quiet b: root EnableMFADevice bob phone key2@3 key2@4
        sync
        conflicts
        bob GetSessionTokenWith phone key2@4
        bob GetSessionTokenWith phone key2@5",
        expect![[r#"
            conflicts
                none
            bob GetSessionTokenWith phone key2@4
                Mfa(Code)
            bob GetSessionTokenWith phone key2@5
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
        "#]],
    );
}

#[test]
fn one_step_is_taken_once_by_each_side_of_a_partition() {
    check(
        "quiet root EnableMFADevice bob phone key2@1 key2@2
        sync
        a: bob GetSessionTokenWith phone key2@3
        b: bob GetSessionTokenWith phone key2@3
        b: bob GetSessionTokenWith phone key2@3
        sync
        conflicts
        a: bob GetSessionTokenWith phone key2@3
        a: bob GetSessionTokenWith phone key2@4",
        expect![[r#"
            a: bob GetSessionTokenWith phone key2@3
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            b: bob GetSessionTokenWith phone key2@3
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
            b: bob GetSessionTokenWith phone key2@3
                Mfa(Code)
            conflicts
                none
            a: bob GetSessionTokenWith phone key2@3
                Mfa(Code)
            a: bob GetSessionTokenWith phone key2@4
                GetSessionToken(Credentials { access_key_id: ASIA…, secret_access_key: Secret(..), session_token: Secret(..), expires: T })
        "#]],
    );
}

#[test]
fn deactivating_beside_anything_lets_no_code_be_right() {
    check(
        "quiet root EnableMFADevice bob phone key2@1 key2@2
        open early bob GetSessionTokenWith phone key2@3
        quiet root PutUserPolicy bob in allow:*
        sync
        quiet a: root DeactivateMFADevice bob phone
        b: root ResyncMFADevice bob phone key2@5 key2@6
        open late b: bob GetSessionTokenWith phone key2@7
        b: early ListGroups
        b: late ListGroups
        sync
        b: early ListGroups
        b: late ListGroups
        bob GetSessionTokenWith phone key2@7
        conflicts
        quiet a: root EnableMFADevice bob phone key2@8 key2@9
        sync
        quiet a: root DeactivateMFADevice bob phone
        quiet a: root EnableMFADevice bob phone key2@10 key2@11
        quiet b: root DeactivateMFADevice bob phone
        sync
        early ListGroups
        bob GetSessionTokenWith phone key2@12
        conflicts",
        expect![[r#"
            open early bob GetSessionTokenWith phone key2@3
                opened
            b: root ResyncMFADevice bob phone key2@5 key2@6
                done
            open late b: bob GetSessionTokenWith phone key2@7
                opened
            b: early ListGroups
                ListGroups(Listing { items: [], next: None })
            b: late ListGroups
                ListGroups(Listing { items: [], next: None })
            b: early ListGroups
                AccessDenied { message: "Cannot call iam:ListGroups with session credentials of GetSessionToken" }
            b: late ListGroups
                AccessDenied { message: "Cannot call iam:ListGroups with session credentials of GetSessionToken" }
            bob GetSessionTokenWith phone key2@7
                Mfa(Device)
            conflicts
                none
            early ListGroups
                AccessDenied { message: "Cannot call iam:ListGroups with session credentials of GetSessionToken" }
            bob GetSessionTokenWith phone key2@12
                Mfa(Device)
            conflicts
                mfa_owner: MFA device phone, for whom it is enabled
                  node 1, 123456789012:root, DeactivateMFADevice: removed
                  node 1, 123456789012:root, EnableMFADevice: arn:aws:iam::123456789012:user/bob; doubted: its author's right was changed by DeactivateMFADevice, node 2
                  node 2, 123456789012:root, DeactivateMFADevice: removed
                  withheld: its codes are not accepted; sessions that were made with them may lack their factor
                  remove: iam:DeactivateMFADevice
        "#]],
    );
}

#[test]
fn a_device_that_was_enabled_and_deleted_at_once_can_only_be_deleted() {
    check(
        "sync
        quiet a: root EnableMFADevice bob phone key2@1 key2@2
        quiet a: root PutUserPolicy bob in allow:iam:*
        open early bob GetSessionTokenWith phone key2@3
        early ListGroups
        quiet b: root DeleteVirtualMFADevice phone
        sync
        early ListGroups
        bob GetSessionTokenWith phone key2@4
        conflicts
        root DeleteVirtualMFADevice phone
        root DeactivateMFADevice bob phone
        root DeleteVirtualMFADevice phone
        conflicts",
        expect![[r#"
            open early bob GetSessionTokenWith phone key2@3
                opened
            early ListGroups
                ListGroups(Listing { items: [], next: None })
            early ListGroups
                AccessDenied { message: "Cannot call iam:ListGroups with session credentials of GetSessionToken" }
            bob GetSessionTokenWith phone key2@4
                Mfa(Device)
            conflicts
                mfa_seed: MFA device phone, seed
                  node 1, 123456789012:root, EnableMFADevice: as it was made; doubted: its author's right was changed by DeleteVirtualMFADevice, node 2
                  node 2, 123456789012:root, DeleteVirtualMFADevice: removed
                  withheld: its codes are not accepted; sessions that were made with them may lack their factor
                existence: MFA device phone, whether it exists
                  node 1, 123456789012:root, EnableMFADevice: made at T
                  node 2, 123456789012:root, DeleteVirtualMFADevice: removed
                  withheld: its codes are not accepted
                  remove: iam:DeleteVirtualMFADevice
                mfa_owner: MFA device phone, for whom it is enabled
                  node 1, 123456789012:root, EnableMFADevice: arn:aws:iam::123456789012:user/bob; doubted: its author's right was changed by DeleteVirtualMFADevice, node 2
                  node 2, 123456789012:root, DeleteVirtualMFADevice: removed
                  withheld: its codes are not accepted; sessions that were made with them may lack their factor
                  remove: iam:DeactivateMFADevice
            root DeleteVirtualMFADevice phone
                DeleteConflict { obstacle: EnabledMfaDevice }
            root DeactivateMFADevice bob phone
                done
            root DeleteVirtualMFADevice phone
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn who_deactivates_a_contested_device_needs_leave_for_all_who_may_have_it() {
    check(
        r#"quiet root CreateUser ann
        quiet root CreateUser adm
        quiet root CreateAccessKey adm
        quiet root PutUserPolicy adm in {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"arn:aws:iam::*:user/bob"}}
        sync
        quiet a: root EnableMFADevice bob phone key2@1 key2@2
        quiet b: root EnableMFADevice ann phone key2@3 key2@4
        sync
        adm DeactivateMFADevice bob phone"#,
        expect![[r#"
            adm DeactivateMFADevice bob phone
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/adm is not authorized to perform: iam:DeactivateMFADevice on resource: arn:aws:iam::123456789012:user/ann because no identity-based policy allows the iam:DeactivateMFADevice action" }
        "#]],
    );
}

#[test]
fn a_change_by_a_session_whose_factor_is_taken_away_at_once_is_doubted() {
    check(
        "quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root PutUserPolicy bob in allow:iam:*
        quiet root CreateUser ann
        open proven bob GetSessionTokenWith phone key2@3
        sync
        quiet a: root DeactivateMFADevice bob phone
        quiet b: proven PutUserPolicy ann in allow:s3:*
        sync
        may arn:aws:iam::123456789012:user/ann s3:GetObject arn:aws:s3:::b/o
        conflicts",
        expect![[r#"
            open proven bob GetSessionTokenWith phone key2@3
                opened
            may arn:aws:iam::123456789012:user/ann s3:GetObject arn:aws:s3:::b/o
                ImplicitDeny { layer: Identity }
            conflicts
                inline_policy: user ann, inline policy `in`
                  node 1, 123456789012:root, DeactivateMFADevice: removed
                  node 2, 123456789012:user/bob, PutUserPolicy: a document of 99 characters; doubted: its author's right was changed by DeactivateMFADevice, node 1
                  withheld: what not every side allows; what any side denies counts
                  2: iam:PutUserPolicy
                  remove: iam:DeleteUserPolicy
        "#]],
    );
}

#[test]
fn no_seed_and_no_code_shows_in_what_is_logged() {
    let mut history = History::new();
    let said = history.run(BOB.replace("quiet ", "").as_str());
    assert!(said.contains("seed: Secret(..)"), "{said}");
    let call = crate::parse::parse("GetSessionTokenWith", &["phone", "123456"], &[]);
    assert!(!format!("{call:?}").contains("123456\""), "{call:?}");
}

#[test]
fn another_accounts_role_may_ask_for_a_second_factor_too() {
    check(
        r#"quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root PutUserPolicy bob in allow:sts:*
        quiet root@222222222222 CreateRole far {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}
        quiet root@222222222222 PutRolePolicy far in {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:List*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}
        bob AssumeRole arn:aws:iam::222222222222:role/far
        open far bob AssumeRoleWith phone key2@3 arn:aws:iam::222222222222:role/far
        far ListGroups
        quiet root DeactivateMFADevice bob phone
        far ListGroups"#,
        expect![[r#"
            bob AssumeRole arn:aws:iam::222222222222:role/far
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222222222222:role/far because no role trust policy allows the sts:AssumeRole action" }
            open far bob AssumeRoleWith phone key2@3 arn:aws:iam::222222222222:role/far
                opened
            far ListGroups
                AccessDenied { message: "User: arn:aws:sts::222222222222:assumed-role/far/sess is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::222222222222:group/ because no identity-based policy allows the iam:ListGroups action" }
            far ListGroups
                AccessDenied { message: "User: arn:aws:sts::222222222222:assumed-role/far/sess is not authorized to perform: iam:ListGroups on resource: arn:aws:iam::222222222222:group/ because no identity-based policy allows the iam:ListGroups action" }
        "#]],
    );
}

#[test]
fn a_session_has_no_factor_of_a_device_whose_name_is_anothers() {
    check(
        "sync
        quiet a: root PutUserPolicy bob in allow:*
        sync
        quiet a: root CreateVirtualMFADevice second
        quiet b: root CreateVirtualMFADevice Second
        quiet a: root EnableMFADevice bob second key3@1 key3@2
        open early bob GetSessionTokenWith second key3@3
        early ListGroups
        sync
        early ListGroups
        b: decide
        early ListGroups",
        expect![[r#"
            open early bob GetSessionTokenWith second key3@3
                opened
            early ListGroups
                ListGroups(Listing { items: [], next: None })
            early ListGroups
                AccessDenied { message: "Cannot call iam:ListGroups with session credentials of GetSessionToken" }
            b: decide
                4 claimed, 0 released
            early ListGroups
                ListGroups(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn what_a_device_is_tagged_with_makes_nothing_doubtful() {
    check(
        "quiet root EnableMFADevice bob phone key2@1 key2@2
        quiet root PutUserPolicy bob in allow:iam:*
        quiet root CreateGroup g
        open early bob GetSessionTokenWith phone key2@3
        sync
        quiet a: root TagMFADevice phone team=b
        quiet b: early PutGroupPolicy g in allow:s3:*
        sync
        conflicts",
        expect![[r#"
            open early bob GetSessionTokenWith phone key2@3
                opened
            conflicts
                none
        "#]],
    );
}
