//! Who may do what, by kind of caller: `testdata/matrix.out`.

use std::fmt::Write as _;

use crate::{history::History, parse::parse};

const SETUP: &str = "root CreateUser nobody
    root CreateUser admin
    root CreateUser reader
    root CreateUser member
    root CreateUser self
    root CreateUser bound
    root CreateUser denied
    root CreateGroup readers
    root CreatePolicy P allow:s3:*
    root CreateRole role trust:123456789012
    root PutUserPolicy nobody in allow:s3:*
    root AttachUserPolicy admin aws/AdministratorAccess
    root AttachUserPolicy reader aws/IAMReadOnlyAccess
    root AttachGroupPolicy readers aws/IAMReadOnlyAccess
    root AddUserToGroup readers member
    root AttachUserPolicy denied aws/AdministratorAccess
    root PutUserPolicy denied in deny:iam:*
    root AttachRolePolicy role aws/IAMFullAccess
    root CreateInstanceProfile web
    root CreateInstanceProfile full
    root AddRoleToInstanceProfile full role
    root CreateOpenIDConnectProvider idp.example.com a
    root CreateSAMLProvider idp metadata-1.xml
    root CreateVirtualMFADevice phone
    root CreateAccessKey
    root CreateAccessKey admin
    root CreateAccessKey reader";

const CALLERS: [&str; 10] = [
    "root",
    "admin",
    "reader",
    "member",
    "denied",
    "nobody",
    "role:role",
    "root@222222222222",
    "session:root",
    "session:admin",
];

const CALLS: &str = "GetCallerIdentity
    GetSessionToken
    GetFederationToken web allow:s3:*
    GetAccessKeyInfo ASIAIOSFODNN7EXAMPLE
    DecodeAuthorizationMessage none
    AssumeRole role
    CreateUser new
    GetUser
    GetUser nobody
    GetUser absent
    ListUsers
    UpdateUser nobody other
    DeleteUser nobody
    CreateGroup new
    GetGroup readers
    ListGroups
    DeleteGroup readers
    AddUserToGroup readers nobody
    RemoveUserFromGroup readers nobody
    ListGroupsForUser nobody
    CreateRole new trust:123456789012
    GetRole role
    ListRoles
    UpdateRole role 7200
    UpdateAssumeRolePolicy role trust:123456789012
    DeleteRole role
    CreateInstanceProfile new
    CreateInstanceProfile new team=a
    GetInstanceProfile web
    GetInstanceProfile absent
    ListInstanceProfiles
    ListInstanceProfilesForRole role
    AddRoleToInstanceProfile web role
    AddRoleToInstanceProfile web absent
    RemoveRoleFromInstanceProfile full role
    TagInstanceProfile web a=b
    ListInstanceProfileTags web
    UntagInstanceProfile web a
    DeleteInstanceProfile web
    CreateOpenIDConnectProvider new.example.com
    CreateOpenIDConnectProvider new.example.com - - team=a
    GetOpenIDConnectProvider idp.example.com
    GetOpenIDConnectProvider absent
    ListOpenIDConnectProviders
    UpdateOpenIDConnectProviderThumbprint idp.example.com
    AddClientIDToOpenIDConnectProvider idp.example.com b
    RemoveClientIDFromOpenIDConnectProvider idp.example.com a
    TagOpenIDConnectProvider idp.example.com a=b
    ListOpenIDConnectProviderTags idp.example.com
    UntagOpenIDConnectProvider idp.example.com a
    DeleteOpenIDConnectProvider idp.example.com
    CreateSAMLProvider new metadata-1.xml
    CreateSAMLProvider new metadata-1.xml team=a
    GetSAMLProvider absent
    ListSAMLProviders
    UpdateSAMLProvider idp metadata-1.xml
    TagSAMLProvider idp a=b
    ListSAMLProviderTags idp
    UntagSAMLProvider idp a
    DeleteSAMLProvider idp
    CreatePolicy new allow:s3:*
    GetPolicy P
    GetPolicy aws/ReadOnlyAccess
    ListPolicies
    CreatePolicyVersion P allow:s3:*
    GetPolicyVersion P v1
    ListPolicyVersions P
    DeletePolicyVersion P v1
    SetDefaultPolicyVersion P v1
    ListEntitiesForPolicy P
    DeletePolicy P
    PutUserPolicy nobody new allow:s3:*
    GetUserPolicy nobody in
    ListUserPolicies nobody
    DeleteUserPolicy nobody in
    PutUserPermissionsBoundary nobody P
    PutUserPermissionsBoundary nobody absent
    PutRolePermissionsBoundary role aws/PowerUserAccess
    DeleteUserPermissionsBoundary nobody
    DeleteRolePermissionsBoundary role
    CreateUser new / limit:P
    CreateRole new trust:123456789012 limit:P
    AttachUserPolicy nobody P
    ListAttachedUserPolicies nobody
    DetachUserPolicy nobody P
    SimulatePrincipalPolicy user/nobody s3:GetObject
    SimulatePrincipalPolicy group/readers s3:GetObject
    SimulateCustomPolicy - s3:GetObject allow:s3:*
    GetContextKeysForPrincipalPolicy role/role
    GetContextKeysForCustomPolicy - allow:s3:*
    CreateLoginProfile nobody Correct1horse
    CreateLoginProfile
    GetLoginProfile
    GetLoginProfile nobody
    UpdateLoginProfile nobody Correct1horse
    DeleteLoginProfile nobody
    ChangePassword Correct1horse Correct2horse
    UpdateAccountPasswordPolicy 6
    GetAccountPasswordPolicy
    DeleteAccountPasswordPolicy
    CreateAccessKey
    CreateAccessKey nobody
    ListAccessKeys
    ListAccessKeys nobody
    UpdateAccessKey nobody none Inactive
    DeleteAccessKey nobody none
    GetAccessKeyLastUsed AKIAIOSFODNN7EXAMPLE
    UploadSSHPublicKey nobody ssh-1.pub
    GetSSHPublicKey nobody none SSH
    ListSSHPublicKeys
    ListSSHPublicKeys nobody
    UpdateSSHPublicKey nobody none Inactive
    DeleteSSHPublicKey nobody none
    UploadSigningCertificate - certificate-1.pem
    UploadSigningCertificate nobody certificate-1.pem
    ListSigningCertificates
    ListSigningCertificates nobody
    UpdateSigningCertificate nobody none Inactive
    DeleteSigningCertificate - none
    CreateVirtualMFADevice new
    CreateVirtualMFADevice new / team=a
    EnableMFADevice nobody phone 123456 123456
    ResyncMFADevice nobody phone 123456 123456
    DeactivateMFADevice nobody phone
    DeactivateMFADevice - phone
    DeleteVirtualMFADevice phone
    DeleteVirtualMFADevice absent
    GetMFADevice nobody phone
    ListMFADevices
    ListMFADevices nobody
    ListVirtualMFADevices
    TagMFADevice phone a=b
    ListMFADeviceTags phone
    UntagMFADevice phone a
    GetSessionTokenWith phone 123456
    AssumeRoleWith phone 123456 role
    TagUser nobody a=b
    ListUserTags nobody
    UntagUser nobody a
    CreateAccountAlias new
    ListAccountAliases
    DeleteAccountAlias new
    GenerateCredentialReport
    GetCredentialReport
    GetAccountSummary
    GetAccountAuthorizationDetails";

#[test]
fn the_matrix_of_callers_and_actions_is_as_recorded() {
    let mut text = String::new();
    for call in CALLS.lines().map(str::trim) {
        writeln!(text, "{call}").unwrap();
        for caller in CALLERS {
            // Each call meets the same state.
            let mut history = History::new();
            history.run(SETUP);
            let (action, arguments) = call.split_once(' ').unwrap_or((call, ""));
            let words: Vec<&str> = arguments.split(' ').filter(|word| !word.is_empty()).collect();
            let outcome = match history.call(0, caller, &parse(action, &words, &[])) {
                Ok(_) => "ok".to_owned(),
                Err(error) => format!("{error:?}"),
            };
            writeln!(text, "    {caller}: {outcome}").unwrap();
        }
    }
    expect_test::expect_file!["../../testdata/matrix.out"].assert_eq(&text);
}
