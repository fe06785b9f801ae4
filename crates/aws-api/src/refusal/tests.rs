//! The words of every refusal.

use expect_test::{Expect, expect};

use super::*;

fn check(errors: impl IntoIterator<Item = Error>, expected: Expect) {
    let texts: Vec<String> = errors.into_iter().map(|error| error_of(&error).to_string()).collect();
    expected.assert_eq(&texts.join("\n"));
}

const NOUNS: [Noun; 30] = [
    Noun::User,
    Noun::Group,
    Noun::Role,
    Noun::Policy,
    Noun::AttachablePolicy,
    Noun::BoundaryPolicy,
    Noun::Attachment,
    Noun::PolicyVersion,
    Noun::UserPolicy,
    Noun::GroupPolicy,
    Noun::RolePolicy,
    Noun::AccessKey,
    Noun::Account,
    Noun::AccountAlias,
    Noun::Principal,
    Noun::Membership,
    Noun::LoginProfile,
    Noun::PasswordPolicy,
    Noun::InstanceProfile,
    Noun::InstanceProfileRole,
    Noun::SshPublicKey,
    Noun::SigningCertificate,
    Noun::ServiceCredential,
    Noun::Service,
    Noun::ServerCertificate,
    Noun::OidcProvider,
    Noun::SamlProvider,
    Noun::MfaDevice,
    Noun::MfaDeviceInUse,
    Noun::MfaDeviceOfUser,
];

#[test]
fn what_is_missing_is_named() {
    let missing = |noun| Error::NoSuchEntity { noun, name: "X".to_owned() };
    check(
        NOUNS.map(missing),
        expect![[r#"
            NoSuchEntity (404): The user with name X cannot be found.
            NoSuchEntity (404): The group with name X cannot be found.
            NoSuchEntity (404): The role with name X cannot be found.
            NoSuchEntity (404): Policy X was not found.
            NoSuchEntity (404): Policy X does not exist or is not attachable.
            NoSuchEntity (404): Scope ARN: X does not exist or is not attachable.
            NoSuchEntity (404): Policy X was not found.
            NoSuchEntity (404): Policy X does not exist or is not attachable.
            NoSuchEntity (404): The user policy with name X cannot be found.
            NoSuchEntity (404): The group policy with name X cannot be found.
            NoSuchEntity (404): The role policy with name X cannot be found.
            NoSuchEntity (404): The Access Key with id X cannot be found.
            NoSuchEntity (404): The account with id X cannot be found.
            NoSuchEntity (404): The account alias with name X cannot be found.
            NoSuchEntity (404): The principal X cannot be found.
            NoSuchEntity (404): The user with name X is not in the group.
            NoSuchEntity (404): Login Profile for User X cannot be found.
            NoSuchEntity (404): The Password Policy with domain name X cannot be found.
            NoSuchEntity (404): Instance Profile X cannot be found.
            NoSuchEntity (404): The role with name X is not in the instance profile.
            NoSuchEntity (404): The Public Key with id X cannot be found.
            NoSuchEntity (404): The Certificate with id X cannot be found.
            NoSuchEntity (404): No such credential X exists
            NoSuchEntity (404): No such service X is supported for Service Specific Credentials
            NoSuchEntity (404): The Server Certificate with name X cannot be found.
            NoSuchEntity (404): OpenIDConnect Provider not found for arn X
            NoSuchEntity (404): Manifest not found for arn X
            NoSuchEntity (404): VirtualMFADevice with serial number X doesn't exist.
            NoSuchEntity (404): VirtualMFADevice with serial number X doesn't exist.
            NoSuchEntity (404): MFADevice X is not enabled for the user."#]],
    );
}

#[test]
fn what_exists_is_named() {
    let exists = |noun| Error::EntityAlreadyExists { noun, name: "X".to_owned() };
    let nouns = [
        Noun::User,
        Noun::Group,
        Noun::Role,
        Noun::Policy,
        Noun::AccountAlias,
        Noun::LoginProfile,
        Noun::InstanceProfile,
        Noun::ServerCertificate,
        Noun::OidcProvider,
        Noun::SamlProvider,
        Noun::MfaDevice,
        Noun::MfaDeviceInUse,
    ];
    check(
        nouns.map(exists),
        expect![[r#"
            EntityAlreadyExists (409): User with name X already exists.
            EntityAlreadyExists (409): Group with name X already exists.
            EntityAlreadyExists (409): Role with name X already exists.
            EntityAlreadyExists (409): A policy called X already exists. Duplicate names are not allowed.
            EntityAlreadyExists (409): The account alias X already exists.
            EntityAlreadyExists (409): Login Profile for user X already exists.
            EntityAlreadyExists (409): Instance Profile X already exists.
            EntityAlreadyExists (409): The Server Certificate with name X already exists.
            EntityAlreadyExists (409): Provider with url https://X already exists.
            EntityAlreadyExists (409): A SAML provider called X already exists.
            EntityAlreadyExists (409): MFADevice entity at the same path and name already exists.
            EntityAlreadyExists (409): MFADevice X is already in use."#]],
    );
}

#[test]
fn deletions_say_what_must_go_first() {
    let obstacles = [
        Obstacle::AttachedPolicies,
        Obstacle::InlinePolicies,
        Obstacle::AccessKeys,
        Obstacle::LoginProfile,
        Obstacle::Memberships,
        Obstacle::InstanceProfiles,
        Obstacle::Attachments,
        Obstacle::PolicyVersions,
        Obstacle::DefaultVersion,
        Obstacle::ReferencedObjects,
        Obstacle::SigningCertificates,
        Obstacle::MfaDevices,
        Obstacle::EnabledMfaDevice,
    ];
    check(
        obstacles.map(|obstacle| Error::DeleteConflict { obstacle }),
        expect![[r#"
            DeleteConflict (409): Cannot delete entity, must detach all policies first.
            DeleteConflict (409): Cannot delete entity, must delete policies first.
            DeleteConflict (409): Cannot delete entity, must delete access keys first.
            DeleteConflict (409): Cannot delete entity, must delete login profile first.
            DeleteConflict (409): Cannot delete entity, must remove users from group first.
            DeleteConflict (409): Cannot delete entity, must remove roles from instance profile first.
            DeleteConflict (409): Cannot delete a policy attached to entities.
            DeleteConflict (409): This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.
            DeleteConflict (409): Cannot delete the default version of a policy.
            DeleteConflict (409): Cannot delete entity, must remove referenced objects first.
            DeleteConflict (409): Cannot delete entity, must delete certificates first.
            DeleteConflict (409): Cannot delete entity, must delete MFA device first.
            DeleteConflict (409): MFA VirtualDevice in use. Must deactivate first."#]],
    );
}

#[test]
fn quotas_are_named_with_their_size() {
    let quotas = [
        Quota::AccessKeysPerUser,
        Quota::VersionsPerPolicy,
        Quota::GroupsPerUser,
        Quota::PoliciesPerUser,
        Quota::PoliciesPerGroup,
        Quota::PoliciesPerRole,
        Quota::TagsPerEntity,
        Quota::UsersPerAccount,
        Quota::GroupsPerAccount,
        Quota::RolesPerAccount,
        Quota::InstanceProfilesPerAccount,
        Quota::RolesPerInstanceProfile,
        Quota::PoliciesPerAccount,
        Quota::PolicySize,
        Quota::UserInlineSize,
        Quota::GroupInlineSize,
        Quota::RoleInlineSize,
        Quota::TrustPolicySize,
        Quota::SessionPolicySize,
        Quota::SessionPolicyArns,
        Quota::AliasesPerAccount,
        Quota::MfaDevicesPerUser,
        Quota::MfaDevicesPerAccount,
    ];
    check(
        quotas.map(|quota| Error::LimitExceeded { quota }),
        expect![[r#"
            LimitExceeded (409): Cannot exceed quota for AccessKeysPerUser: 2
            LimitExceeded (409): A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.
            LimitExceeded (409): Cannot exceed quota for GroupsPerUser: 10
            LimitExceeded (409): Cannot exceed quota for PoliciesPerUser: 10
            LimitExceeded (409): Cannot exceed quota for PoliciesPerGroup: 10
            LimitExceeded (409): Cannot exceed quota for PoliciesPerRole: 10
            LimitExceeded (409): The number of tags has reached the maximum limit.
            LimitExceeded (409): Cannot exceed quota for UsersPerAccount: 5000
            LimitExceeded (409): Cannot exceed quota for GroupsPerAccount: 300
            LimitExceeded (409): Cannot exceed quota for RolesPerAccount: 1000
            LimitExceeded (409): Cannot exceed quota for InstanceProfilesPerAccount: 1000
            LimitExceeded (409): Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1
            LimitExceeded (409): Cannot exceed quota for PoliciesPerAccount: 1500
            LimitExceeded (409): Cannot exceed quota for PolicySize: 6144
            LimitExceeded (409): Maximum policy size of 2048 bytes exceeded for user
            LimitExceeded (409): Maximum policy size of 5120 bytes exceeded for group
            LimitExceeded (409): Maximum policy size of 10240 bytes exceeded for role
            LimitExceeded (409): Cannot exceed quota for ACLSizePerRole: 2048
            PackedPolicyTooLarge (400): The session policies together exceed 2048 characters, please use smaller policies.
            ValidationError (400): A session takes at most 10 managed policies.
            LimitExceeded (409): Cannot exceed quota for AccountAliasesPerAccount: 1
            LimitExceeded (409): Cannot exceed quota for MFADevicesPerUser: 8
            LimitExceeded (409): Cannot exceed quota for VirtualMFADevicesPerAccount: 5000"#]],
    );
}

#[test]
fn what_is_wrong_with_a_key_has_a_code_of_its_own() {
    let refusals = [
        KeyRefusal::InvalidPublicKey,
        KeyRefusal::UnrecognizedPublicKeyEncoding,
        KeyRefusal::DuplicateSshPublicKey,
        KeyRefusal::MalformedCertificate,
        KeyRefusal::InvalidCertificate,
        KeyRefusal::DuplicateCertificate,
        KeyRefusal::OutdatedCertificate,
        KeyRefusal::MalformedPrivateKey,
        KeyRefusal::MalformedChain,
        KeyRefusal::KeyPairMismatch,
    ];
    check(
        refusals.map(Error::Key),
        expect![[r#"
            InvalidPublicKey (400): The public key is malformed, is no RSA key, or has fewer than 2048 bits.
            UnrecognizedPublicKeyEncoding (400): The public key is neither in ssh-rsa format nor in PEM format.
            DuplicateSSHPublicKey (400): The SSH public key is already associated with the specified IAM user.
            MalformedCertificate (400): The certificate is malformed.
            InvalidCertificate (400): The certificate is not valid at this time: it has expired, or begins later.
            DuplicateCertificate (409): The same certificate is associated with an IAM user in the account.
            MalformedCertificate (400): The certificate is not valid at this time: it has expired, or begins later.
            MalformedCertificate (400): The private key is malformed. It must be an unencrypted RSA or elliptic-curve key in PEM format.
            MalformedCertificate (400): Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order.
            KeyPairMismatch (400): The public key of the certificate and the private key do not match."#]],
    );
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let (now, expired) = (model::Timestamp::from_secs(2), model::Timestamp::from_secs(1));
    let refusals = [
        TokenRefusal::NotAToken,
        TokenRefusal::MissingClaim { name: "sub" },
        TokenRefusal::WrongClaim { name: "exp" },
        TokenRefusal::NoProvider { issuer: "X".to_owned() },
        TokenRefusal::NoKey,
        TokenRefusal::Thumbprint,
        TokenRefusal::Audience,
        TokenRefusal::NotYet,
        TokenRefusal::Expired { now, expired },
        TokenRefusal::Unreachable,
        TokenRefusal::NotAuthorized { action: "sts:AssumeRoleWithWebIdentity" },
    ];
    check(
        refusals.map(Error::Token),
        expect![[r#"
        InvalidIdentityToken (400): The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)
        InvalidIdentityToken (400): Missing a required claim: sub
        InvalidIdentityToken (400): The claim exp is malformed or not supported
        InvalidIdentityToken (400): No OpenIDConnect provider found in your account for X
        InvalidIdentityToken (400): Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements
        InvalidIdentityToken (400): OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint
        InvalidIdentityToken (400): Incorrect token audience
        InvalidIdentityToken (400): The token is not valid yet
        ExpiredTokenException (400): Token expired: current date/time 2 must be before the expiration date/time 1
        IDPCommunicationError (400): The identity provider cannot be reached, or does not tell its keys. Try again later.
        AccessDenied (403): Not authorized to perform sts:AssumeRoleWithWebIdentity"#]],
    );
}

#[test]
fn everything_else_has_awss_code() {
    let malformed = policy::Document::parse("{,}", policy::DocumentKind::Identity);
    let malformed = Error::from(malformed.err().unwrap());
    check(
        [
            malformed,
            Error::AccessDenied { message: "User: X is not authorized".to_owned().into() },
            Error::InvalidAuthorizationMessage,
            Error::DuplicateTagKeys,
            Error::MustSpecifyUserName,
            Error::MustSpecifyPassword,
            Error::PasswordPolicyViolation { rule: PasswordRule::MinimumLength(14) },
            Error::PasswordPolicyViolation { rule: PasswordRule::Symbol },
            Error::PasswordPolicyViolation { rule: PasswordRule::Number },
            Error::PasswordPolicyViolation { rule: PasswordRule::Uppercase },
            Error::PasswordPolicyViolation { rule: PasswordRule::Lowercase },
            Error::PasswordPolicyViolation { rule: PasswordRule::ThreeKinds },
            Error::PasswordPolicyViolation { rule: PasswordRule::AccountName },
            Error::PasswordPolicyViolation { rule: PasswordRule::Unused },
            Error::WrongPassword,
            Error::OnlyUsers,
            Error::NoExpiry { service: "X".to_owned() },
            Error::MalformedMetadata,
            Error::Mfa(MfaRefusal::TwoCodes),
            Error::Mfa(MfaRefusal::Device),
            Error::Mfa(MfaRefusal::Code),
            Error::InvalidArn { arn: "X".to_owned() },
            Error::DurationExceedsRoleMax { max_secs: 3600 },
            Error::DurationExceedsChainingMax,
            Error::ConcurrentModification { noun: Noun::User, name: "X".to_owned() },
            Error::InvalidClientTokenId,
            Error::NoDataKey,
        ],
        expect![[r#"
            MalformedPolicyDocument (400): This policy contains invalid Json
            AccessDenied (403): User: X is not authorized
            InvalidAuthorizationMessageException (400): Message is not valid
            InvalidInput (400): Duplicate tag keys found. Please note that Tag keys are case insensitive.
            ValidationError (400): Must specify userName when calling with non-User credentials
            ValidationError (400): Must specify a password
            PasswordPolicyViolation (400): Password should have a minimum length of 14
            PasswordPolicyViolation (400): Password should have at least one symbol
            PasswordPolicyViolation (400): Password should have at least one number
            PasswordPolicyViolation (400): Password should have at least one uppercase letter
            PasswordPolicyViolation (400): Password should have at least one lowercase letter
            PasswordPolicyViolation (400): Password does not conform to the account password policy.
            PasswordPolicyViolation (400): Password does not conform to the account password policy.
            PasswordPolicyViolation (400): Password should not be one of the last passwords used
            AccessDenied (403): The old password was incorrect.
            InvalidUserType (400): Only IAM Users can change their own password.
            ValidationError (400): CredentialAgeDays is not supported for the service X.
            InvalidInput (400): Could not parse metadata
            InvalidAuthenticationCode (403): Authentication code for device is not valid.
            AccessDenied (403): MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number is valid and associated with this user.
            AccessDenied (403): MultiFactorAuthentication failed with invalid MFA one time pass code.
            ValidationError (400): ARN X is not valid.
            ValidationError (400): The requested DurationSeconds exceeds the MaxSessionDuration set for this role.
            ValidationError (400): The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining
            ConcurrentModification (409): Concurrent changes to the user X disagree. Write it again, or delete it, to settle them.
            InvalidClientTokenId (403): The security token included in the request is invalid.
            ServiceFailure (500): This node holds no data key to seal a secret under."#]],
    );
}
