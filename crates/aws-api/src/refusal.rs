//! Refusals of the core in AWS's words.
//!
//! **Invariants.** The match is exhaustive, so that a new refusal cannot be answered by chance.
//! Texts are those that real AWS was seen to answer, as far as they are known; what only Writ
//! refuses has a text of its own under the AWS code that makes clients do the right thing.
//!
//! **Must not know:** what was asked for.

use identity::{
    Denial, Error, KeyRefusal, MfaRefusal, Noun, Obstacle, Quota, SimulationFault,
    password_policy::PasswordRule, web_identity::TokenRefusal,
};

use crate::{ApiError, Service};

/// What a client is answered when the core refuses.
pub fn error_of(error: &Error) -> ApiError {
    match error {
        Error::EntityAlreadyExists { noun, name } => {
            ApiError::entity_already_exists(already_exists(*noun, name))
        }
        Error::NoSuchEntity { noun, name } => ApiError::no_such_entity(no_such(*noun, name)),
        Error::DeleteConflict { obstacle } => ApiError::delete_conflict(in_the_way(*obstacle)),
        Error::LimitExceeded { quota } => over_quota(*quota),
        Error::MalformedPolicyDocument { problem, position: _ } => {
            ApiError::malformed_policy_document(problem.to_string())
        }
        Error::AccessDenied { message } => denied(message),
        Error::InvalidAuthorizationMessage => {
            ApiError::invalid_authorization_message("Message is not valid")
        }
        Error::Simulation(fault) => ApiError::invalid_input(simulation(fault)),
        Error::DuplicateTagKeys => ApiError::invalid_input(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        Error::MustSpecifyUserName => {
            ApiError::validation("Must specify userName when calling with non-User credentials")
        }
        Error::MustSpecifyPassword => ApiError::validation("Must specify a password"),
        Error::PasswordPolicyViolation { rule } => {
            ApiError::password_policy_violation(password_lacks(*rule))
        }
        Error::Mfa(refusal) => mfa_refusal(*refusal),
        Error::WrongPassword => ApiError::access_denied("The old password was incorrect."),
        Error::OnlyUsers => {
            ApiError::invalid_user_type("Only IAM Users can change their own password.")
        }
        Error::Key(refusal) => key_refusal(*refusal),
        Error::NoExpiry { service } => ApiError::validation(format!(
            "CredentialAgeDays is not supported for the service {service}."
        )),
        Error::MalformedMetadata => ApiError::invalid_input("Could not parse metadata"),
        Error::Token(refusal) => token_refusal(refusal),
        Error::InvalidArn { arn } => ApiError::validation(format!("ARN {arn} is not valid.")),
        Error::DurationExceedsRoleMax { max_secs: _ } => ApiError::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ),
        Error::DurationExceedsChainingMax => ApiError::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining",
        ),
        Error::ConcurrentModification { noun, name } => ApiError::concurrent_modification(format!(
            "Concurrent changes to the {noun} {name} disagree. Write it again, or delete it, \
                 to settle them."
        )),
        Error::NoSuchConflict { id } => ApiError::no_such_entity(format!(
            "NoSuchConflict: {id} is not open. It was settled, or its sides have changed and it \
             has another id."
        )),
        Error::NoSuchSide { number, sides } => ApiError::validation(format!(
            "The conflict has the sides 1 to {sides}, and no side {number}."
        )),
        Error::NotSettledByChoice { actions } => ApiError::validation(format!(
            "No choice of that kind settles the conflict. What does: {}.",
            actions.join(", ")
        )),
        Error::InvalidClientTokenId => ApiError::invalid_client_token_id(
            "The security token included in the request is invalid.",
        ),
        Error::NoDataKey => ApiError::service_failure(
            Service::Iam,
            "This node holds no data key to seal a secret under.",
        ),
    }
}

fn denied(Denial { text, encoded }: &Denial) -> ApiError {
    let encoded_message = encoded.as_deref().map(str::to_owned);
    ApiError { encoded_message, ..ApiError::access_denied(text) }
}

fn simulation(fault: &SimulationFault) -> String {
    match fault {
        SimulationFault::ActionName { action } => format!("Invalid action name: {action}"),
        SimulationFault::NoCaller => {
            "CallerArn is required with ResourcePolicy, unless PolicySourceArn is a user's"
                .to_owned()
        }
        SimulationFault::Policy { name, problem } => format!("Invalid policy {name}: {problem}"),
    }
}

fn mfa_refusal(refusal: MfaRefusal) -> ApiError {
    match refusal {
        MfaRefusal::TwoCodes => {
            ApiError::invalid_authentication_code("Authentication code for device is not valid.")
        }
        MfaRefusal::Device => ApiError::access_denied(
            "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA \
             serial number is valid and associated with this user.",
        ),
        MfaRefusal::Code => ApiError::access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ),
    }
}

fn token_refusal(refusal: &TokenRefusal) -> ApiError {
    let invalid = |text: String| ApiError::invalid_identity_token(text);
    match refusal {
        TokenRefusal::NotAToken => ApiError::invalid_identity_token(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an \
             Access Token)",
        ),
        TokenRefusal::MissingClaim { name } => invalid(format!("Missing a required claim: {name}")),
        TokenRefusal::WrongClaim { name } => {
            invalid(format!("The claim {name} is malformed or not supported"))
        }
        TokenRefusal::NoProvider { issuer } => {
            invalid(format!("No OpenIDConnect provider found in your account for {issuer}"))
        }
        TokenRefusal::NoKey => ApiError::invalid_identity_token(
            "Couldn't retrieve verification key from your identity provider, please reference \
             AssumeRoleWithWebIdentity documentation for requirements",
        ),
        TokenRefusal::Thumbprint => ApiError::invalid_identity_token(
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
        ),
        TokenRefusal::Audience => ApiError::invalid_identity_token("Incorrect token audience"),
        TokenRefusal::NotYet => ApiError::invalid_identity_token("The token is not valid yet"),
        TokenRefusal::Expired { now, expired } => ApiError::expired_web_identity_token(format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            now.secs(),
            expired.secs()
        )),
        TokenRefusal::Unreachable => ApiError::idp_communication_error(
            "The identity provider cannot be reached, or does not tell its keys. Try again later.",
        ),
        TokenRefusal::NotAuthorized { action } => {
            ApiError::access_denied(format!("Not authorized to perform {action}"))
        }
    }
}

fn key_refusal(refusal: KeyRefusal) -> ApiError {
    match refusal {
        KeyRefusal::InvalidPublicKey => ApiError::invalid_public_key(
            "The public key is malformed, is no RSA key, or has fewer than 2048 bits.",
        ),
        KeyRefusal::UnrecognizedPublicKeyEncoding => ApiError::unrecognized_public_key_encoding(
            "The public key is neither in ssh-rsa format nor in PEM format.",
        ),
        KeyRefusal::DuplicateSshPublicKey => ApiError::duplicate_ssh_public_key(
            "The SSH public key is already associated with the specified IAM user.",
        ),
        KeyRefusal::MalformedCertificate => {
            ApiError::malformed_certificate("The certificate is malformed.")
        }
        KeyRefusal::InvalidCertificate => ApiError::invalid_certificate(
            "The certificate is not valid at this time: it has expired, or begins later.",
        ),
        KeyRefusal::OutdatedCertificate => ApiError::malformed_certificate(
            "The certificate is not valid at this time: it has expired, or begins later.",
        ),
        KeyRefusal::MalformedPrivateKey => ApiError::malformed_certificate(
            "The private key is malformed. It must be an unencrypted RSA or elliptic-curve key in \
             PEM format.",
        ),
        KeyRefusal::MalformedChain => ApiError::malformed_certificate(
            "Unable to validate certificate chain. The certificate chain must start with the \
             immediate signing certificate, followed by any intermediaries in order.",
        ),
        KeyRefusal::KeyPairMismatch => ApiError::key_pair_mismatch(
            "The public key of the certificate and the private key do not match.",
        ),
        KeyRefusal::DuplicateCertificate => ApiError::duplicate_certificate(
            "The same certificate is associated with an IAM user in the account.",
        ),
    }
}

fn already_exists(noun: Noun, name: &str) -> String {
    let kind = match noun {
        Noun::User => "User",
        Noun::Group => "Group",
        Noun::Role => "Role",
        Noun::InstanceProfile => return format!("Instance Profile {name} already exists."),
        Noun::ServerCertificate => {
            return format!("The Server Certificate with name {name} already exists.");
        }
        Noun::OidcProvider => return format!("Provider with url https://{name} already exists."),
        Noun::SamlProvider => return format!("A SAML provider called {name} already exists."),
        Noun::MfaDevice => {
            return "MFADevice entity at the same path and name already exists.".to_owned();
        }
        Noun::MfaDeviceInUse => return format!("MFADevice {name} is already in use."),
        Noun::Policy | Noun::AttachablePolicy | Noun::BoundaryPolicy => {
            return format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            );
        }
        Noun::AccountAlias => return format!("The account alias {name} already exists."),
        Noun::LoginProfile => return format!("Login Profile for user {name} already exists."),
        Noun::Attachment
        | Noun::PasswordPolicy
        | Noun::PolicyVersion
        | Noun::UserPolicy
        | Noun::GroupPolicy
        | Noun::RolePolicy
        | Noun::AccessKey
        | Noun::InstanceProfileRole
        | Noun::SshPublicKey
        | Noun::SigningCertificate
        | Noun::ServiceCredential
        | Noun::Service
        | Noun::MfaDeviceOfUser
        | Noun::Account
        | Noun::Principal
        | Noun::Membership => return format!("The {noun} {name} already exists."),
    };
    format!("{kind} with name {name} already exists.")
}

fn no_such(noun: Noun, name: &str) -> String {
    match noun {
        Noun::User
        | Noun::Group
        | Noun::Role
        | Noun::UserPolicy
        | Noun::GroupPolicy
        | Noun::RolePolicy
        | Noun::AccountAlias => format!("The {noun} with name {name} cannot be found."),
        Noun::InstanceProfile => format!("Instance Profile {name} cannot be found."),
        Noun::InstanceProfileRole => {
            format!("The role with name {name} is not in the instance profile.")
        }
        Noun::Policy | Noun::Attachment => format!("Policy {name} was not found."),
        Noun::AttachablePolicy | Noun::PolicyVersion => {
            format!("Policy {name} does not exist or is not attachable.")
        }
        Noun::BoundaryPolicy => {
            format!("Scope ARN: {name} does not exist or is not attachable.")
        }
        Noun::LoginProfile => format!("Login Profile for User {name} cannot be found."),
        Noun::PasswordPolicy => {
            format!("The Password Policy with domain name {name} cannot be found.")
        }
        Noun::AccessKey => format!("The Access Key with id {name} cannot be found."),
        Noun::SshPublicKey => format!("The Public Key with id {name} cannot be found."),
        Noun::SigningCertificate => format!("The Certificate with id {name} cannot be found."),
        Noun::ServiceCredential => format!("No such credential {name} exists"),
        Noun::Service => {
            format!("No such service {name} is supported for Service Specific Credentials")
        }
        Noun::ServerCertificate => {
            format!("The Server Certificate with name {name} cannot be found.")
        }
        Noun::OidcProvider => format!("OpenIDConnect Provider not found for arn {name}"),
        Noun::SamlProvider => format!("Manifest not found for arn {name}"),
        Noun::MfaDevice | Noun::MfaDeviceInUse => {
            format!("VirtualMFADevice with serial number {name} doesn't exist.")
        }
        Noun::MfaDeviceOfUser => format!("MFADevice {name} is not enabled for the user."),
        Noun::Account => format!("The account with id {name} cannot be found."),
        Noun::Principal => format!("The principal {name} cannot be found."),
        Noun::Membership => format!("The user with name {name} is not in the group."),
    }
}

fn password_lacks(rule: PasswordRule) -> String {
    let kind = match rule {
        PasswordRule::MinimumLength(length) => {
            return format!("Password should have a minimum length of {length}");
        }
        PasswordRule::ThreeKinds | PasswordRule::AccountName => {
            return "Password does not conform to the account password policy.".to_owned();
        }
        PasswordRule::Unused => {
            return "Password should not be one of the last passwords used".to_owned();
        }
        PasswordRule::Symbol => "symbol",
        PasswordRule::Number => "number",
        PasswordRule::Uppercase => "uppercase letter",
        PasswordRule::Lowercase => "lowercase letter",
    };
    format!("Password should have at least one {kind}")
}

fn in_the_way(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::AttachedPolicies => "Cannot delete entity, must detach all policies first.",
        Obstacle::InlinePolicies => "Cannot delete entity, must delete policies first.",
        Obstacle::LoginProfile => "Cannot delete entity, must delete login profile first.",
        Obstacle::MfaDevices => "Cannot delete entity, must delete MFA device first.",
        Obstacle::EnabledMfaDevice => "MFA VirtualDevice in use. Must deactivate first.",
        Obstacle::SigningCertificates => "Cannot delete entity, must delete certificates first.",
        Obstacle::ReferencedObjects => {
            "Cannot delete entity, must remove referenced objects first."
        }
        Obstacle::AccessKeys => "Cannot delete entity, must delete access keys first.",
        Obstacle::Memberships => "Cannot delete entity, must remove users from group first.",
        Obstacle::InstanceProfiles => {
            "Cannot delete entity, must remove roles from instance profile first."
        }
        Obstacle::Attachments => "Cannot delete a policy attached to entities.",
        Obstacle::PolicyVersions => {
            "This policy has more than one version. Before you delete a policy, you must delete \
             the policy's versions. The default version is deleted with the policy."
        }
        Obstacle::DefaultVersion => "Cannot delete the default version of a policy.",
    }
}

fn over_quota(quota: Quota) -> ApiError {
    let max = quota.max();
    let name = match quota {
        Quota::AccessKeysPerUser => "AccessKeysPerUser",
        Quota::GroupsPerUser => "GroupsPerUser",
        Quota::PoliciesPerUser => "PoliciesPerUser",
        Quota::PoliciesPerGroup => "PoliciesPerGroup",
        Quota::PoliciesPerRole => "PoliciesPerRole",
        Quota::UsersPerAccount => "UsersPerAccount",
        Quota::GroupsPerAccount => "GroupsPerAccount",
        Quota::RolesPerAccount => "RolesPerAccount",
        Quota::InstanceProfilesPerAccount => "InstanceProfilesPerAccount",
        Quota::ServerCertificatesPerAccount => "ServerCertificatesPerAccount",
        Quota::OidcProvidersPerAccount => "OpenIdConnectProvidersPerAccount",
        Quota::ClientIdsPerOidcProvider => "ClientIdsPerOpenIdConnectProvider",
        Quota::ThumbprintsPerOidcProvider => {
            return ApiError::invalid_input(format!(
                "Thumbprint list must contain at most {max} entries."
            ));
        }
        Quota::SamlProvidersPerAccount => "SAMLProvidersPerAccount",
        Quota::SamlMetadataSize => "SAMLMetadataDocumentSize",
        Quota::RolesPerInstanceProfile => "InstanceSessionsPerInstanceProfile",
        Quota::PoliciesPerAccount => "PoliciesPerAccount",
        Quota::AliasesPerAccount => "AccountAliasesPerAccount",
        Quota::SshPublicKeysPerUser => "SSHPublicKeysPerUser",
        Quota::SigningCertificatesPerUser => "CertificatesPerUser",
        Quota::ServiceCredentialsPerUser => "ServiceSpecificCredentialsPerUser",
        Quota::MfaDevicesPerUser => "MFADevicesPerUser",
        Quota::MfaDevicesPerAccount => "VirtualMFADevicesPerAccount",
        Quota::PolicySize => "PolicySize",
        Quota::TrustPolicySize => "ACLSizePerRole",
        Quota::TagsPerEntity => {
            return ApiError::limit_exceeded("The number of tags has reached the maximum limit.");
        }
        Quota::VersionsPerPolicy => {
            return ApiError::limit_exceeded(format!(
                "A managed policy can have up to {max} versions. Before you create a new \
                 version, you must delete an existing version."
            ));
        }
        Quota::UserInlineSize => return inline_size(max, "user"),
        Quota::GroupInlineSize => return inline_size(max, "group"),
        Quota::RoleInlineSize => return inline_size(max, "role"),
        Quota::SessionPolicySize => {
            return ApiError::packed_policy_too_large(format!(
                "The session policies together exceed {max} characters, please use smaller \
                 policies."
            ));
        }
        Quota::SessionPolicyArns => {
            return ApiError::validation(format!(
                "A session takes at most {max} managed policies."
            ));
        }
    };
    ApiError::limit_exceeded(format!("Cannot exceed quota for {name}: {max}"))
}

fn inline_size(max: usize, kind: &str) -> ApiError {
    ApiError::limit_exceeded(format!("Maximum policy size of {max} bytes exceeded for {kind}"))
}

#[cfg(test)]
mod tests;
