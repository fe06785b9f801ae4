//! Every action: which command or query it is, who runs it, what it answers.
//!
//! **Invariants.** One variant per AWS action, named as the action, and one for each of Writ's own.
//! A command writes, a query does not.
//!
//! **Must not know:** what an action does.

use model::{
    AccountAlias, AccountId, GroupName, InstanceProfileName, RoleName, ServerCertificateName,
    UserName,
};

use crate::{
    Ctx, Error, Identity, ListByPath, Listing, Rename, access_key, account, attachment,
    authorization_message, boundary, conflict, credential_report, federated_user, group, inline,
    instance_profile, key_use, login_profile, mfa_device as mfa, oidc_provider,
    oidc_provider::OidcProviderArn, password_policy, policy as managed, policy::PolicyArn,
    provider, role, saml_provider, saml_provider::SamlProviderArn, second_factor::WithCode,
    server_certificate, service_credential, signing_certificate, simulate, ssh_public_key,
    state::Writes, sts, tag, user, web_identity,
};

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A transaction for the data plane.
    Write {
        /// Its writes, by key.
        writes: Vec<crdt::Write>,
        /// The answer, once it is durable.
        reply: Reply,
    },
    /// A change that only the control plane can make.
    Control {
        /// The change.
        change: ControlChange,
        /// The answer, once it is made.
        reply: Reply,
    },
}

impl Outcome {
    pub(crate) fn written(writes: Writes, reply: Reply) -> Self {
        Self::Write { writes: writes.finish(), reply }
    }
}

/// A change of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlChange {
    /// Gives an account an alias.
    SetAlias {
        /// The account.
        account: AccountId,
        /// Unique among all accounts.
        alias: AccountAlias,
    },
    /// Takes an account's alias away.
    RemoveAlias {
        /// The account.
        account: AccountId,
        /// The alias it has.
        alias: AccountAlias,
    },
}

macro_rules! commands {
    ($($name:ident($parameters:ty) => $run:path;)*) => {
        /// A writing action of IAM, one of STS that uses up a code, or one of Writ's own.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Command {
            $(
                #[doc = concat!("The action `", stringify!($name), "`.")]
                $name($parameters),
            )*
        }

        impl Command {
            /// The action's name, such as `CreateUser`.
            pub fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }
        }

        /// Runs a command on a state: authorizes the caller, checks preconditions, and says what to
        /// write. Equal state and context give equal writes.
        ///
        /// # Errors
        /// Each [`Error`].
        pub fn execute(
            identity: &Identity,
            ctx: &Ctx<'_>,
            command: &Command,
        ) -> Result<Outcome, Error> {
            match command { $(Command::$name(parameters) => $run(identity, ctx, parameters),)* }
        }
    };
}

macro_rules! queries {
    ($($name:ident($parameters:ty) -> $reply:ty => $run:path;)*) => {
        /// A reading action of IAM, or an action of STS that brings no code: those write nothing.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Query {
            $(
                #[doc = concat!("AWS: `", stringify!($name), "`.")]
                $name($parameters),
            )*
        }

        impl Query {
            /// The action's name, such as `GetUser`.
            pub fn action(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }
        }

        /// What an action answers.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reply {
            /// Nothing but that it is done.
            Done,
            /// AWS: `CreateUser`.
            CreateUser(user::User),
            /// AWS: `CreateGroup`.
            CreateGroup(group::Group),
            /// AWS: `CreateRole`.
            CreateRole(role::Role),
            /// AWS: `UpdateRoleDescription`.
            UpdateRoleDescription(role::Role),
            /// AWS: `CreateInstanceProfile`.
            CreateInstanceProfile(instance_profile::InstanceProfile),
            /// AWS: `UploadServerCertificate`.
            UploadServerCertificate(server_certificate::ServerCertificate),
            /// AWS: `CreateOpenIDConnectProvider`.
            CreateOpenIDConnectProvider(oidc_provider::OidcProvider),
            /// AWS: `CreateSAMLProvider`.
            CreateSAMLProvider(saml_provider::SamlProvider),
            /// AWS: `UpdateSAMLProvider`.
            UpdateSAMLProvider(model::Arn),
            /// AWS: `CreateVirtualMFADevice`.
            CreateVirtualMFADevice(mfa::NewVirtualMfaDevice),
            /// AWS: `AssumeRoleWithWebIdentity`, which nobody calls: no query, but
            /// [`web_identity::assume`].
            AssumeRoleWithWebIdentity(Box<web_identity::WebIdentitySession>),
            /// AWS: `CreatePolicy`.
            CreatePolicy(managed::Policy),
            /// AWS: `CreatePolicyVersion`.
            CreatePolicyVersion(managed::PolicyVersion),
            /// AWS: `CreateLoginProfile`.
            CreateLoginProfile(login_profile::LoginProfile),
            /// AWS: `CreateAccessKey`.
            CreateAccessKey(access_key::NewAccessKey),
            /// AWS: `UploadSSHPublicKey`.
            UploadSSHPublicKey(ssh_public_key::SshPublicKey),
            /// AWS: `UploadSigningCertificate`.
            UploadSigningCertificate(signing_certificate::SigningCertificate),
            /// AWS: `CreateServiceSpecificCredential`.
            CreateServiceSpecificCredential(service_credential::NewServiceCredential),
            /// AWS: `ResetServiceSpecificCredential`.
            ResetServiceSpecificCredential(service_credential::NewServiceCredential),
            $(
                #[doc = concat!("AWS: `", stringify!($name), "`.")]
                $name($reply),
            )*
        }

        /// Answers a query from a state: authorizes the caller, then reads.
        ///
        /// # Errors
        /// Each [`Error`].
        pub fn query(
            identity: &Identity,
            ctx: &Ctx<'_>,
            query: &Query,
        ) -> Result<Reply, Error> {
            match query {
                $(Query::$name(parameters) => $run(identity, ctx, parameters).map(Reply::$name),)*
            }
        }
    };
}

commands! {
    CreateUser(user::CreateUser) => user::create;
    UpdateUser(Rename<UserName>) => user::update;
    DeleteUser(user::DeleteUser) => user::delete;
    CreateGroup(group::CreateGroup) => group::create;
    UpdateGroup(Rename<GroupName>) => group::update;
    DeleteGroup(group::DeleteGroup) => group::delete;
    AddUserToGroup(group::Membership) => group::add_user;
    RemoveUserFromGroup(group::Membership) => group::remove_user;
    CreateRole(role::CreateRole) => role::create;
    UpdateRole(role::UpdateRole) => role::update;
    UpdateRoleDescription(role::UpdateRoleDescription) => role::update_description;
    UpdateAssumeRolePolicy(role::UpdateAssumeRolePolicy) => role::update_trust_policy;
    DeleteRole(role::DeleteRole) => role::delete;
    CreateInstanceProfile(instance_profile::CreateInstanceProfile) => instance_profile::create;
    DeleteInstanceProfile(instance_profile::OneInstanceProfile) => instance_profile::delete;
    AddRoleToInstanceProfile(instance_profile::RoleInProfile) => instance_profile::add_role;
    RemoveRoleFromInstanceProfile(instance_profile::RoleInProfile)
        => instance_profile::remove_role;
    CreatePolicy(managed::CreatePolicy) => managed::create;
    DeletePolicy(managed::DeletePolicy) => managed::delete;
    CreatePolicyVersion(managed::CreatePolicyVersion) => managed::create_version;
    DeletePolicyVersion(managed::VersionOf) => managed::delete_version;
    SetDefaultPolicyVersion(managed::VersionOf) => managed::set_default_version;
    PutUserPolicy(inline::Put<UserName>) => inline::put;
    PutGroupPolicy(inline::Put<GroupName>) => inline::put;
    PutRolePolicy(inline::Put<RoleName>) => inline::put;
    DeleteUserPolicy(inline::OneOf<UserName>) => inline::delete;
    DeleteGroupPolicy(inline::OneOf<GroupName>) => inline::delete;
    DeleteRolePolicy(inline::OneOf<RoleName>) => inline::delete;
    AttachUserPolicy(attachment::Edge<UserName>) => attachment::attach;
    AttachGroupPolicy(attachment::Edge<GroupName>) => attachment::attach;
    AttachRolePolicy(attachment::Edge<RoleName>) => attachment::attach;
    DetachUserPolicy(attachment::Edge<UserName>) => attachment::detach;
    DetachGroupPolicy(attachment::Edge<GroupName>) => attachment::detach;
    DetachRolePolicy(attachment::Edge<RoleName>) => attachment::detach;
    PutUserPermissionsBoundary(boundary::PutBoundary<UserName>) => boundary::put;
    PutRolePermissionsBoundary(boundary::PutBoundary<RoleName>) => boundary::put;
    DeleteUserPermissionsBoundary(boundary::DeleteBoundary<UserName>) => boundary::delete;
    DeleteRolePermissionsBoundary(boundary::DeleteBoundary<RoleName>) => boundary::delete;
    CreateLoginProfile(login_profile::CreateLoginProfile) => login_profile::create;
    UpdateLoginProfile(login_profile::UpdateLoginProfile) => login_profile::update;
    DeleteLoginProfile(login_profile::OneLoginProfile) => login_profile::delete;
    ChangePassword(login_profile::ChangePassword) => login_profile::change_password;
    UpdateAccountPasswordPolicy(password_policy::PasswordPolicy) => password_policy::update;
    DeleteAccountPasswordPolicy(password_policy::DeletePasswordPolicy) => password_policy::delete;
    CreateAccessKey(access_key::CreateAccessKey) => access_key::create;
    UpdateAccessKey(access_key::UpdateAccessKey) => access_key::update;
    DeleteAccessKey(access_key::DeleteAccessKey) => access_key::delete;
    UploadSSHPublicKey(ssh_public_key::UploadSshPublicKey) => ssh_public_key::upload;
    UpdateSSHPublicKey(ssh_public_key::UpdateSshPublicKey) => ssh_public_key::update;
    DeleteSSHPublicKey(ssh_public_key::DeleteSshPublicKey) => ssh_public_key::delete;
    UploadSigningCertificate(signing_certificate::UploadSigningCertificate)
        => signing_certificate::upload;
    UpdateSigningCertificate(signing_certificate::UpdateSigningCertificate)
        => signing_certificate::update;
    DeleteSigningCertificate(signing_certificate::DeleteSigningCertificate)
        => signing_certificate::delete;
    CreateServiceSpecificCredential(service_credential::CreateServiceCredential)
        => service_credential::create;
    UpdateServiceSpecificCredential(service_credential::UpdateServiceCredential)
        => service_credential::update;
    ResetServiceSpecificCredential(service_credential::OneServiceCredential)
        => service_credential::reset;
    DeleteServiceSpecificCredential(service_credential::OneServiceCredential)
        => service_credential::delete;
    UploadServerCertificate(server_certificate::UploadServerCertificate)
        => server_certificate::upload;
    UpdateServerCertificate(Rename<ServerCertificateName>) => server_certificate::update;
    DeleteServerCertificate(server_certificate::OneServerCertificate)
        => server_certificate::delete;
    CreateOpenIDConnectProvider(oidc_provider::CreateOidcProvider) => oidc_provider::create;
    DeleteOpenIDConnectProvider(oidc_provider::OneOidcProvider) => oidc_provider::delete;
    UpdateOpenIDConnectProviderThumbprint(oidc_provider::UpdateThumbprints)
        => oidc_provider::update_thumbprints;
    AddClientIDToOpenIDConnectProvider(oidc_provider::ClientOf) => oidc_provider::add_client;
    RemoveClientIDFromOpenIDConnectProvider(oidc_provider::ClientOf)
        => oidc_provider::remove_client;
    TagOpenIDConnectProvider(tag::AddTags<OidcProviderArn>) => provider::tag;
    UntagOpenIDConnectProvider(tag::RemoveTags<OidcProviderArn>) => provider::untag;
    CreateSAMLProvider(saml_provider::CreateSamlProvider) => saml_provider::create;
    UpdateSAMLProvider(saml_provider::UpdateSamlProvider) => saml_provider::update;
    DeleteSAMLProvider(saml_provider::OneSamlProvider) => saml_provider::delete;
    TagSAMLProvider(tag::AddTags<SamlProviderArn>) => provider::tag;
    UntagSAMLProvider(tag::RemoveTags<SamlProviderArn>) => provider::untag;
    CreateVirtualMFADevice(mfa::CreateVirtualMfaDevice) => mfa::create;
    EnableMFADevice(mfa::TwoCodes) => mfa::enable;
    ResyncMFADevice(mfa::TwoCodes) => mfa::resync;
    DeactivateMFADevice(mfa::OwnMfaDevice) => mfa::deactivate;
    DeleteVirtualMFADevice(mfa::DeleteVirtualMfaDevice) => mfa::delete;
    TagUser(tag::AddTags<UserName>) => tag::add;
    TagRole(tag::AddTags<RoleName>) => tag::add;
    TagInstanceProfile(tag::AddTags<InstanceProfileName>) => tag::add;
    TagServerCertificate(tag::AddTags<ServerCertificateName>) => tag::add;
    TagMFADevice(tag::AddTags<mfa::SerialNumber>) => mfa::tag;
    TagPolicy(tag::AddTags<PolicyArn>) => tag::add_to_policy;
    UntagUser(tag::RemoveTags<UserName>) => tag::remove;
    UntagRole(tag::RemoveTags<RoleName>) => tag::remove;
    UntagInstanceProfile(tag::RemoveTags<InstanceProfileName>) => tag::remove;
    UntagServerCertificate(tag::RemoveTags<ServerCertificateName>) => tag::remove;
    UntagMFADevice(tag::RemoveTags<mfa::SerialNumber>) => mfa::untag;
    UntagPolicy(tag::RemoveTags<PolicyArn>) => tag::remove_from_policy;
    CreateAccountAlias(account::Alias) => account::create_alias;
    DeleteAccountAlias(account::Alias) => account::delete_alias;
    AssumeRole(WithCode<sts::AssumeRole>) => sts::assume_role_with_code;
    GetSessionToken(WithCode<sts::GetSessionToken>) => sts::session_token_with_code;
    ResolveConflict(conflict::Resolve) => conflict::resolve;
    NoteKeyUse(key_use::NoteKeyUse) => key_use::note;
}

queries! {
    GetUser(user::GetUser) -> user::GotUser => user::get;
    ListUsers(ListByPath) -> Listing<user::User> => user::list;
    GetGroup(group::GetGroup) -> group::GotGroup => group::get;
    ListGroups(ListByPath) -> Listing<group::Group> => group::list;
    ListGroupsForUser(group::ListGroupsForUser) -> Listing<group::Group> => group::list_for_user;
    GetRole(role::GetRole) -> role::Role => role::get;
    ListRoles(ListByPath) -> Listing<role::Role> => role::list;
    GetInstanceProfile(instance_profile::OneInstanceProfile) -> instance_profile::InstanceProfile
        => instance_profile::get;
    ListInstanceProfiles(ListByPath) -> Listing<instance_profile::InstanceProfile>
        => instance_profile::list;
    ListInstanceProfilesForRole(instance_profile::ListForRole)
        -> Listing<instance_profile::InstanceProfile> => instance_profile::list_for_role;
    GetPolicy(managed::GetPolicy) -> managed::Policy => managed::get;
    ListPolicies(managed::ListPolicies) -> Listing<managed::Policy> => managed::list;
    GetPolicyVersion(managed::VersionOf) -> managed::PolicyVersion => managed::get_version;
    ListPolicyVersions(managed::ListPolicyVersions) -> Listing<managed::PolicyVersion>
        => managed::list_versions;
    ListEntitiesForPolicy(attachment::ListEntities) -> attachment::Entities
        => attachment::list_entities;
    GetUserPolicy(inline::OneOf<UserName>) -> inline::InlinePolicy<UserName> => inline::get;
    GetGroupPolicy(inline::OneOf<GroupName>) -> inline::InlinePolicy<GroupName> => inline::get;
    GetRolePolicy(inline::OneOf<RoleName>) -> inline::InlinePolicy<RoleName> => inline::get;
    ListUserPolicies(inline::List<UserName>) -> Listing<String> => inline::list;
    ListGroupPolicies(inline::List<GroupName>) -> Listing<String> => inline::list;
    ListRolePolicies(inline::List<RoleName>) -> Listing<String> => inline::list;
    ListAttachedUserPolicies(attachment::ListAttached<UserName>)
        -> Listing<attachment::AttachedPolicy> => attachment::list;
    ListAttachedGroupPolicies(attachment::ListAttached<GroupName>)
        -> Listing<attachment::AttachedPolicy> => attachment::list;
    ListAttachedRolePolicies(attachment::ListAttached<RoleName>)
        -> Listing<attachment::AttachedPolicy> => attachment::list;
    GetLoginProfile(login_profile::OneLoginProfile) -> login_profile::LoginProfile
        => login_profile::get;
    GetAccountPasswordPolicy(password_policy::GetPasswordPolicy) -> password_policy::PasswordPolicy
        => password_policy::get;
    ListAccessKeys(access_key::ListAccessKeys) -> Listing<access_key::AccessKey>
        => access_key::list;
    GetSSHPublicKey(ssh_public_key::GetSshPublicKey) -> ssh_public_key::SshPublicKey
        => ssh_public_key::get;
    ListSSHPublicKeys(ssh_public_key::ListSshPublicKeys)
        -> Listing<ssh_public_key::SshPublicKeyMetadata> => ssh_public_key::list;
    ListSigningCertificates(signing_certificate::ListSigningCertificates)
        -> Listing<signing_certificate::SigningCertificate> => signing_certificate::list;
    ListServiceSpecificCredentials(service_credential::ListServiceCredentials)
        -> Listing<service_credential::ServiceCredential> => service_credential::list;
    GetServerCertificate(server_certificate::OneServerCertificate)
        -> server_certificate::ServerCertificate => server_certificate::get;
    ListServerCertificates(ListByPath) -> Listing<server_certificate::ServerCertificate>
        => server_certificate::list;
    GetOpenIDConnectProvider(oidc_provider::OneOidcProvider) -> oidc_provider::OidcProvider
        => oidc_provider::get;
    ListOpenIDConnectProviders(oidc_provider::ListOidcProviders) -> Vec<model::Arn>
        => oidc_provider::list;
    ListOpenIDConnectProviderTags(tag::ListTags<OidcProviderArn>) -> Listing<tag::Tag>
        => provider::list_tags;
    GetSAMLProvider(saml_provider::OneSamlProvider) -> saml_provider::SamlProvider
        => saml_provider::get;
    ListSAMLProviders(saml_provider::ListSamlProviders) -> Vec<saml_provider::SamlProvider>
        => saml_provider::list;
    ListSAMLProviderTags(tag::ListTags<SamlProviderArn>) -> Listing<tag::Tag>
        => provider::list_tags;
    GetAccessKeyLastUsed(key_use::GetKeyLastUsed) -> key_use::LastUsed => key_use::get;
    GetMFADevice(mfa::OwnMfaDevice) -> mfa::MfaDevice => mfa::get;
    ListMFADevices(mfa::ListMfaDevices) -> Listing<mfa::MfaDevice> => mfa::list;
    ListVirtualMFADevices(mfa::ListVirtualMfaDevices) -> Listing<mfa::VirtualMfaDevice>
        => mfa::list_virtual;
    ListUserTags(tag::ListTags<UserName>) -> Listing<tag::Tag> => tag::list;
    ListRoleTags(tag::ListTags<RoleName>) -> Listing<tag::Tag> => tag::list;
    ListInstanceProfileTags(tag::ListTags<InstanceProfileName>) -> Listing<tag::Tag> => tag::list;
    ListServerCertificateTags(tag::ListTags<ServerCertificateName>) -> Listing<tag::Tag>
        => tag::list;
    ListMFADeviceTags(tag::ListTags<mfa::SerialNumber>) -> Listing<tag::Tag> => mfa::list_tags;
    ListPolicyTags(tag::ListTags<PolicyArn>) -> Listing<tag::Tag> => tag::list_of_policy;
    ListAccountAliases(account::ListAliases) -> Listing<AccountAlias> => account::list_aliases;
    GenerateCredentialReport(credential_report::Generate) -> credential_report::Generated
        => credential_report::generate;
    GetCredentialReport(credential_report::Get) -> credential_report::Report
        => credential_report::get;
    GetAccountSummary(account::GetSummary) -> account::Summary => account::summary;
    GetAccountAuthorizationDetails(account::GetDetails) -> account::Details => account::details;
    SimulateCustomPolicy(simulate::Simulation) -> Listing<simulate::Simulated>
        => simulate::custom;
    SimulatePrincipalPolicy(simulate::SimulatePrincipal) -> Listing<simulate::Simulated>
        => simulate::principal;
    GetContextKeysForCustomPolicy(simulate::KeysOfPolicies) -> Vec<String>
        => simulate::keys_of_policies;
    GetContextKeysForPrincipalPolicy(simulate::KeysOfPrincipal) -> Vec<String>
        => simulate::keys_of_principal;
    GetCallerIdentity(sts::GetCallerIdentity) -> sts::CallerIdentity => sts::caller_identity;
    AssumeRole(sts::AssumeRole) -> sts::AssumedRole => sts::assume_role;
    GetSessionToken(sts::GetSessionToken) -> sts::Credentials => sts::session_token;
    GetFederationToken(federated_user::GetFederationToken) -> federated_user::FederatedUser
        => federated_user::token;
    GetAccessKeyInfo(sts::GetAccessKeyInfo) -> AccountId => sts::access_key_info;
    DecodeAuthorizationMessage(authorization_message::DecodeAuthorizationMessage) -> String
        => authorization_message::decode;
}
