//! Why a call is refused.
//!
//! **Invariants.** A variant is one AWS error code, or one of AWS's texts for it, and carries data;
//! the words are the edge's business. `Display` is for logs: it holds no secret and no policy text.
//!
//! **Must not know:** XML, status codes.

use thiserror::Error as ThisError;

use crate::{conflict::ConflictId, password_policy::PasswordRule, web_identity::TokenRefusal};

/// What an error speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noun {
    /// A user, by name.
    User,
    /// A group, by name.
    Group,
    /// A role, by name.
    Role,
    /// An instance profile, by name.
    InstanceProfile,
    /// A role in an instance profile, by the role's name.
    InstanceProfileRole,
    /// A managed policy, by ARN.
    Policy,
    /// A managed policy that is to be attached, by ARN.
    AttachablePolicy,
    /// A managed policy that is to be a permissions boundary, by ARN.
    BoundaryPolicy,
    /// A managed policy that is to be detached but is not attached, by ARN.
    Attachment,
    /// A version of a managed policy, by its id.
    PolicyVersion,
    /// An inline policy of a user, by name.
    UserPolicy,
    /// An inline policy of a group, by name.
    GroupPolicy,
    /// An inline policy of a role, by name.
    RolePolicy,
    /// A long-term access key, by id.
    AccessKey,
    /// A user's login profile, by the user's name.
    LoginProfile,
    /// A user's SSH public key, by id.
    SshPublicKey,
    /// A signing certificate, by id.
    SigningCertificate,
    /// A server certificate, by name.
    ServerCertificate,
    /// An OpenID Connect provider, by URL where it is made and by ARN elsewhere.
    OidcProvider,
    /// A SAML provider, by name where it is made and by ARN elsewhere.
    SamlProvider,
    /// A service-specific credential, by id.
    ServiceCredential,
    /// A service that has credentials of its own, by name.
    Service,
    /// An MFA device, by serial number.
    MfaDevice,
    /// An MFA device that is enabled for somebody, by serial number.
    MfaDeviceInUse,
    /// An MFA device that is not enabled for the user that is named, by serial number.
    MfaDeviceOfUser,
    /// An account's password policy, by the account's id.
    PasswordPolicy,
    /// An account, by id.
    Account,
    /// An account's alias.
    AccountAlias,
    /// A principal, by ARN or unique id.
    Principal,
    /// A user's membership in a group, by the user's name.
    Membership,
}

impl std::fmt::Display for Noun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
            Self::InstanceProfile => "instance profile",
            Self::InstanceProfileRole => "role of an instance profile",
            Self::Policy | Self::AttachablePolicy | Self::BoundaryPolicy => "policy",
            Self::Attachment => "attachment of policy",
            Self::PolicyVersion => "policy version",
            Self::UserPolicy => "user policy",
            Self::GroupPolicy => "group policy",
            Self::RolePolicy => "role policy",
            Self::AccessKey => "access key",
            Self::LoginProfile => "login profile of user",
            Self::SshPublicKey => "SSH public key",
            Self::SigningCertificate => "signing certificate",
            Self::ServerCertificate => "server certificate",
            Self::OidcProvider => "OpenID Connect provider",
            Self::SamlProvider => "SAML provider",
            Self::ServiceCredential => "service-specific credential",
            Self::Service => "service",
            Self::MfaDevice => "MFA device",
            Self::MfaDeviceInUse => "enabled MFA device",
            Self::MfaDeviceOfUser => "MFA device of the user",
            Self::PasswordPolicy => "password policy of account",
            Self::Account => "account",
            Self::AccountAlias => "account alias",
            Self::Principal => "principal",
            Self::Membership => "membership of user",
        })
    }
}

/// What stands in the way of a deletion. AWS's texts: "Cannot delete entity, must … first."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// "must detach all policies first".
    AttachedPolicies,
    /// "must delete policies first".
    InlinePolicies,
    /// "must delete access keys first".
    AccessKeys,
    /// "must delete login profile first".
    LoginProfile,
    /// "must delete MFA device first".
    MfaDevices,
    /// "must delete certificates first".
    SigningCertificates,
    /// "must remove referenced objects first": SSH public keys, service-specific credentials.
    ReferencedObjects,
    /// "must remove users from group first".
    Memberships,
    /// "must remove roles from instance profile first".
    InstanceProfiles,
    /// "MFA VirtualDevice in use. Must deactivate first."
    EnabledMfaDevice,
    /// "Cannot delete a policy attached to entities."
    Attachments,
    /// "This policy has more than one version. Before you delete a policy, you must delete the
    /// policy's versions. The default version is deleted with the policy."
    PolicyVersions,
    /// "Cannot delete the default version of a policy."
    DefaultVersion,
}

/// A quota. AWS's text: "Cannot exceed quota for NAME: MAX".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quota {
    /// Long-term keys of a user or the root user.
    AccessKeysPerUser,
    /// Versions of a managed policy. AWS has a text of its own for it.
    VersionsPerPolicy,
    /// Groups that a user is in.
    GroupsPerUser,
    /// Managed policies attached to a user.
    PoliciesPerUser,
    /// Managed policies attached to a group.
    PoliciesPerGroup,
    /// Managed policies attached to a role.
    PoliciesPerRole,
    /// Tags of an entity.
    TagsPerEntity,
    /// Users of an account.
    UsersPerAccount,
    /// Groups of an account.
    GroupsPerAccount,
    /// Roles of an account.
    RolesPerAccount,
    /// Instance profiles of an account.
    InstanceProfilesPerAccount,
    /// Roles of an instance profile.
    RolesPerInstanceProfile,
    /// Server certificates of an account.
    ServerCertificatesPerAccount,
    /// OpenID Connect providers of an account.
    OidcProvidersPerAccount,
    /// Client ids of an OpenID Connect provider.
    ClientIdsPerOidcProvider,
    /// Thumbprints of an OpenID Connect provider. AWS has a text of its own for it.
    ThumbprintsPerOidcProvider,
    /// SAML providers of an account.
    SamlProvidersPerAccount,
    /// Bytes of a SAML provider's metadata document.
    SamlMetadataSize,
    /// Customer managed policies of an account.
    PoliciesPerAccount,
    /// Characters of a managed policy, white space not counted.
    PolicySize,
    /// Characters of all inline policies of a user, white space not counted.
    UserInlineSize,
    /// Characters of all inline policies of a group, white space not counted.
    GroupInlineSize,
    /// Characters of all inline policies of a role, white space not counted.
    RoleInlineSize,
    /// Characters of a trust policy, white space not counted.
    TrustPolicySize,
    /// Characters of the session policies of one request.
    SessionPolicySize,
    /// Managed policies of one request for a session.
    SessionPolicyArns,
    /// Aliases of an account.
    AliasesPerAccount,
    /// SSH public keys of a user.
    SshPublicKeysPerUser,
    /// Signing certificates of a user or the root user.
    SigningCertificatesPerUser,
    /// Service-specific credentials of a user for one service.
    ServiceCredentialsPerUser,
    /// MFA devices that are enabled for a user or the root user.
    MfaDevicesPerUser,
    /// Virtual MFA devices of an account.
    MfaDevicesPerAccount,
}

impl Quota {
    /// The greatest number that is accepted.
    pub fn max(self) -> usize {
        use model::limits as l;
        match self {
            Self::AccessKeysPerUser => l::ACCESS_KEYS_PER_USER_MAX,
            Self::VersionsPerPolicy => l::POLICY_VERSIONS_MAX,
            Self::GroupsPerUser => l::GROUPS_PER_USER_MAX,
            Self::PoliciesPerUser
            | Self::PoliciesPerGroup
            | Self::PoliciesPerRole
            | Self::SessionPolicyArns => l::ATTACHED_POLICIES_MAX,
            Self::TagsPerEntity => l::TAGS_MAX,
            Self::UsersPerAccount => l::USERS_PER_ACCOUNT_MAX,
            Self::GroupsPerAccount => l::GROUPS_PER_ACCOUNT_MAX,
            Self::RolesPerAccount => l::ROLES_PER_ACCOUNT_MAX,
            Self::InstanceProfilesPerAccount => l::INSTANCE_PROFILES_PER_ACCOUNT_MAX,
            Self::ServerCertificatesPerAccount => l::SERVER_CERTIFICATES_PER_ACCOUNT_MAX,
            Self::OidcProvidersPerAccount => l::OIDC_PROVIDERS_PER_ACCOUNT_MAX,
            Self::ClientIdsPerOidcProvider => l::CLIENT_IDS_PER_OIDC_PROVIDER_MAX,
            Self::ThumbprintsPerOidcProvider => l::THUMBPRINTS_PER_OIDC_PROVIDER_MAX,
            Self::SamlProvidersPerAccount => l::SAML_PROVIDERS_PER_ACCOUNT_MAX,
            Self::SamlMetadataSize => l::SAML_METADATA_BYTES_MAX,
            Self::RolesPerInstanceProfile => l::ROLES_PER_INSTANCE_PROFILE_MAX,
            Self::PoliciesPerAccount => l::POLICIES_PER_ACCOUNT_MAX,
            Self::PolicySize => l::MANAGED_POLICY_CHARS_MAX,
            Self::UserInlineSize => l::USER_INLINE_CHARS_MAX,
            Self::GroupInlineSize => l::GROUP_INLINE_CHARS_MAX,
            Self::RoleInlineSize => l::ROLE_INLINE_CHARS_MAX,
            Self::TrustPolicySize => l::TRUST_POLICY_CHARS_MAX,
            Self::SessionPolicySize => l::SESSION_POLICY_CHARS_MAX,
            Self::AliasesPerAccount => 1,
            Self::SshPublicKeysPerUser => l::SSH_PUBLIC_KEYS_PER_USER_MAX,
            Self::SigningCertificatesPerUser => l::SIGNING_CERTIFICATES_PER_USER_MAX,
            Self::ServiceCredentialsPerUser => l::SERVICE_CREDENTIALS_PER_USER_MAX,
            Self::MfaDevicesPerUser => l::MFA_DEVICES_PER_USER_MAX,
            Self::MfaDevicesPerAccount => l::MFA_DEVICES_PER_ACCOUNT_MAX,
        }
    }

    /// Refuses a count over the quota.
    pub(crate) fn allow(self, count: usize) -> Result<(), Error> {
        if count > self.max() { Err(Error::LimitExceeded { quota: self }) } else { Ok(()) }
    }
}

/// Why something cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum SimulationFault {
    /// What is to be done is no `service:Action`.
    #[error("`{action}` is no action")]
    ActionName {
        /// It.
        action: String,
    },
    /// There is a policy of the resource, and nobody who could ask.
    #[error("a policy of the resource needs a caller")]
    NoCaller,
    /// A policy is malformed.
    #[error("{name}: malformed policy document: {problem}")]
    Policy {
        /// Which, such as `PolicyInputList.1`.
        name: String,
        /// What is wrong.
        problem: policy::Problem,
    },
}

/// What is wrong with a key or certificate that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ThisError)]
pub enum KeyRefusal {
    /// AWS: `InvalidPublicKey`.
    #[error("the public key is malformed, no RSA key, or too short")]
    InvalidPublicKey,
    /// AWS: `UnrecognizedPublicKeyEncoding`.
    #[error("the public key is in no form that is known")]
    UnrecognizedPublicKeyEncoding,
    /// AWS: `DuplicateSSHPublicKey`.
    #[error("the user has the SSH public key already")]
    DuplicateSshPublicKey,
    /// AWS: `MalformedCertificate`.
    #[error("the certificate is malformed")]
    MalformedCertificate,
    /// AWS: `InvalidCertificate`.
    #[error("the certificate is not valid at this time")]
    InvalidCertificate,
    /// AWS: `DuplicateCertificate`.
    #[error("a user of the account has the certificate already")]
    DuplicateCertificate,
    /// AWS: `MalformedCertificate`: a server certificate is not valid yet, or any more.
    #[error("the server certificate is not valid at this time")]
    OutdatedCertificate,
    /// AWS: `MalformedCertificate`: a private key is none, or is encrypted.
    #[error("the private key is malformed")]
    MalformedPrivateKey,
    /// AWS: `MalformedCertificate`: a chain does not go from issuer to issuer.
    #[error("the certificate chain is malformed, or not in order")]
    MalformedChain,
    /// AWS: `KeyPairMismatch`.
    #[error("the private key is another certificate's")]
    KeyPairMismatch,
}

/// Why a code of an MFA device is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ThisError)]
pub enum MfaRefusal {
    /// AWS: `InvalidAuthenticationCode`: codes are not those of two steps in a row, or were used.
    #[error("the authentication codes are not valid")]
    TwoCodes,
    /// AWS: `AccessDenied`: a session's MFA device is none of the caller's.
    #[error("the MFA device is not enabled for the caller")]
    Device,
    /// AWS: `AccessDenied`: a code for a session is wrong, or was used.
    #[error("the MFA code is not valid")]
    Code,
}

/// What a caller that is denied is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Denial {
    /// AWS's text, from [`policy::denial_message`] or fixed.
    pub text: String,
    /// More about it, sealed, for whoever may call `DecodeAuthorizationMessage`. Not of fixed
    /// texts, and not at a node without data keys.
    pub encoded: Option<Box<str>>,
}

impl From<String> for Denial {
    fn from(text: String) -> Self {
        Self { text, encoded: None }
    }
}

/// The sealed part tells a reader nothing.
impl std::fmt::Debug for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.text, f)
    }
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
pub enum Error {
    /// A key or certificate that was given is refused; each [`KeyRefusal`] is a code of AWS's.
    #[error("{0}")]
    Key(KeyRefusal),
    /// AWS: `EntityAlreadyExists`.
    #[error("{noun} `{name}` already exists")]
    EntityAlreadyExists {
        /// What.
        noun: Noun,
        /// Which.
        name: String,
    },
    /// AWS: `NoSuchEntity`.
    #[error("{noun} `{name}` does not exist")]
    NoSuchEntity {
        /// What.
        noun: Noun,
        /// Which.
        name: String,
    },
    /// AWS: `DeleteConflict`.
    #[error("{obstacle:?} stand in the way of the deletion")]
    DeleteConflict {
        /// What must go first.
        obstacle: Obstacle,
    },
    /// AWS: `LimitExceeded`.
    #[error("quota {quota:?} is {}", Quota::max(*quota))]
    LimitExceeded {
        /// Which limit.
        quota: Quota,
    },
    /// AWS: `MalformedPolicyDocument`; the problem's `Display` is AWS's text.
    #[error("malformed policy document: {problem}")]
    MalformedPolicyDocument {
        /// What is wrong.
        problem: policy::Problem,
        /// Where, if in one place.
        position: Option<policy::Position>,
    },
    /// AWS: `AccessDenied`.
    #[error("{message}")]
    AccessDenied {
        /// Why.
        message: Denial,
    },
    /// AWS: `InvalidAuthorizationMessageException`: what is to be decoded is no message that this
    /// cluster encoded for the caller's account.
    #[error("the authorization message is not valid")]
    InvalidAuthorizationMessage,
    /// AWS: `InvalidInput`, "Duplicate tag keys found. Please note that Tag keys are case
    /// insensitive."
    #[error("duplicate tag keys")]
    DuplicateTagKeys,
    /// AWS: `InvalidInput`: what is to be simulated cannot be.
    #[error(transparent)]
    Simulation(SimulationFault),
    /// AWS: `ValidationError`, "Must specify userName when calling with non-User credentials".
    #[error("the caller is no user, and no user name is given")]
    MustSpecifyUserName,
    /// AWS: `PasswordPolicyViolation`.
    #[error("the password lacks: {rule:?}")]
    PasswordPolicyViolation {
        /// What it lacks.
        rule: PasswordRule,
    },
    /// A code of an MFA device is refused; each [`MfaRefusal`] has a text of AWS's.
    #[error("{0}")]
    Mfa(MfaRefusal),
    /// AWS: `AccessDenied`: the old password is another.
    #[error("the old password is wrong")]
    WrongPassword,
    /// AWS: `InvalidUserType`: only users have a password to change.
    #[error("the caller is no user")]
    OnlyUsers,
    /// AWS: `ValidationError`: the call lacks a password.
    #[error("no password is given")]
    MustSpecifyPassword,
    /// AWS: `ValidationError`: credentials of the service do not expire.
    #[error("credentials of `{service}` do not expire")]
    NoExpiry {
        /// The service.
        service: String,
    },
    /// AWS: `InvalidInput`, "Could not parse metadata".
    #[error("the SAML metadata are malformed, or of no identity provider")]
    MalformedMetadata,
    /// AWS: `ValidationError`, "ARN … is not valid."
    #[error("ARN `{arn}` names nothing that the call takes")]
    InvalidArn {
        /// The ARN.
        arn: String,
    },
    /// AWS: `ValidationError`, "The requested DurationSeconds exceeds the MaxSessionDuration set
    /// for this role."
    #[error("the duration exceeds the role's maximum of {max_secs} s")]
    DurationExceedsRoleMax {
        /// The role's maximum.
        max_secs: u32,
    },
    /// AWS: `ValidationError`, "The requested DurationSeconds exceeds the 1 hour session limit for
    /// roles assumed by role chaining".
    #[error("the duration exceeds the limit for role chaining")]
    DurationExceedsChainingMax,
    /// A web identity token gives no session; each [`TokenRefusal`] is a code or text of AWS's.
    #[error("the web identity token: {0}")]
    Token(TokenRefusal),
    /// AWS: `ConcurrentModification`: concurrent changes disagree on whether the entity exists, or
    /// on what the call relies on. Deleting it anew, or writing the value anew, settles it.
    #[error("{noun} `{name}` is contested by concurrent changes")]
    ConcurrentModification {
        /// What.
        noun: Noun,
        /// Which.
        name: String,
    },
    /// A conflict is not open: it was settled, or has other sides and with them another id.
    #[error("conflict {id} is not open")]
    NoSuchConflict {
        /// Its id.
        id: ConflictId,
    },
    /// A conflict has no such side.
    #[error("the conflict has {sides} sides, and no side {number}")]
    NoSuchSide {
        /// What was chosen.
        number: usize,
        /// How many there are.
        sides: usize,
    },
    /// The choice cannot be made for the caller: only calls of its own settle the conflict.
    #[error("no choice of that kind settles the conflict, but {actions:?}")]
    NotSettledByChoice {
        /// The actions that do.
        actions: Vec<String>,
    },
    /// AWS: `InvalidClientTokenId`: the caller's principal does not exist any more, or may not.
    #[error("the caller's principal is gone or contested")]
    InvalidClientTokenId,
    /// AWS: `ServiceFailure`: this node holds no data key to seal a secret under.
    #[error("no data key to seal a secret under")]
    NoDataKey,
}

impl From<policy::ParseError> for Error {
    fn from(error: policy::ParseError) -> Self {
        let position = error.position();
        Self::MalformedPolicyDocument { problem: error.problem, position }
    }
}
