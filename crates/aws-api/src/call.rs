//! One API call: from a form to a command or query, and from its reply to XML.
//!
//! **Invariants.** Every action has exactly one entry in its noun's table of actions, with AWS's
//! name for it. A parameter that an action does not have is refused, so that no restriction is ever
//! ignored.
//!
//! **Must not know:** how calls are carried out, who calls.

use std::{fmt, str::FromStr};

use identity::{
    Command, EntityName, ListByPath, Listing, Page, PathPrefix, Query, Reply,
    web_identity::AssumeRoleWithWebIdentity,
};
use model::Constraint;

use crate::{
    ApiError, Service, access_key, account, attachment, boundary, credential_report,
    form::{Form, Params, Violation},
    group, inline, instance_profile, key_use, login_profile, mfa_device, oidc_provider,
    pagination::{Marker, PageRequest},
    password_policy, policy, role, saml_provider, server_certificate, service_credential,
    signing_certificate, simulate, ssh_public_key, sts, tag, user, web_identity,
    xml::{self, Xml},
};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A change.
    Command(Command),
    /// A question.
    Query(Query),
    /// What nobody signs: a token says for whom it is.
    Federated(AssumeRoleWithWebIdentity),
}

/// An action: its name, and how its parameters are read.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) read: fn(Params<'_>) -> Result<Call, ApiError>,
}

impl Action {
    pub(crate) const fn new(
        name: &'static str,
        read: fn(Params<'_>) -> Result<Call, ApiError>,
    ) -> Self {
        Self { name, read }
    }
}

/// All actions of a service.
fn actions(service: Service) -> impl Iterator<Item = &'static Action> {
    const IAM: [&[Action]; 23] = [
        user::ACTIONS,
        group::ACTIONS,
        role::ACTIONS,
        policy::ACTIONS,
        access_key::ACTIONS,
        tag::ACTIONS,
        inline::ACTIONS,
        attachment::ACTIONS,
        boundary::ACTIONS,
        account::ACTIONS,
        simulate::ACTIONS,
        instance_profile::ACTIONS,
        login_profile::ACTIONS,
        password_policy::ACTIONS,
        ssh_public_key::ACTIONS,
        signing_certificate::ACTIONS,
        service_credential::ACTIONS,
        server_certificate::ACTIONS,
        oidc_provider::ACTIONS,
        saml_provider::ACTIONS,
        mfa_device::ACTIONS,
        key_use::ACTIONS,
        credential_report::ACTIONS,
    ];
    const STS: [&[Action]; 2] = [sts::ACTIONS, web_identity::ACTIONS];
    let tables: &[&[Action]] = match service {
        Service::Iam => &IAM,
        Service::Sts => &STS,
    };
    tables.iter().copied().flatten()
}

/// The service and the entry of an action; the services have no name in common.
fn find(name: &str) -> Option<(Service, &'static Action)> {
    [Service::Iam, Service::Sts].into_iter().find_map(|service| {
        let action = actions(service).find(|action| action.name == name)?;
        Some((service, action))
    })
}

/// Reads a request to a service.
///
/// # Errors
/// `MissingAction` and `InvalidAction`; `ValidationError` with every value that fails its
/// constraint; `UnknownParameter`.
pub fn parse(service: Service, form: &Form) -> Result<Call, ApiError> {
    let name = form.action()?;
    if form.version() != service.version() {
        return Err(form.unknown_action());
    }
    let action = actions(service).find(|action| action.name == name);
    let action = action.ok_or_else(|| form.unknown_action())?;
    (action.read)(form.params())
}

/// The body of the reply to an action that succeeded. `action` is [`Command::action`] or
/// [`Query::action`].
pub fn render(action: &str, reply: &Reply, request_id: &str) -> String {
    let (service, Action { name, read: _ }) =
        find(action).expect("what was parsed is in the tables of actions");
    let body = xml::Reply::new(service, name);
    // AWS: the one operation whose result has no members; the others have no result at all.
    let empty_result = *name == "UpdateRole";
    let body = if *reply == Reply::Done && !empty_result {
        body
    } else {
        body.with_result(|xml| write(xml, reply))
    };
    body.finish(request_id)
}

/// The members of a reply's result.
#[expect(clippy::too_many_lines, reason = "a table: one arm for each answer")]
fn write(xml: &mut Xml, reply: &Reply) {
    match reply {
        Reply::Done => {}
        Reply::CreateUser(user) => user::write_created(xml, user),
        Reply::GetUser(got) => user::write_got(xml, got),
        Reply::ListUsers(users) => user::write_listed(xml, users),
        Reply::CreateGroup(group) => group::write_created(xml, group),
        Reply::GetGroup(got) => group::write_got(xml, got),
        Reply::ListGroups(groups) | Reply::ListGroupsForUser(groups) => {
            group::write_listed(xml, groups);
        }
        Reply::CreateRole(role) => role::write_created(xml, role),
        Reply::UpdateRoleDescription(role) => role::write_updated(xml, role),
        Reply::GetRole(role) => role::write_got(xml, role),
        Reply::ListRoles(roles) => role::write_listed(xml, roles),
        Reply::CreateInstanceProfile(profile) | Reply::GetInstanceProfile(profile) => {
            instance_profile::write_one(xml, profile);
        }
        Reply::ListInstanceProfiles(profiles) | Reply::ListInstanceProfilesForRole(profiles) => {
            instance_profile::write_listed(xml, profiles);
        }
        Reply::CreatePolicy(policy) => policy::write_created(xml, policy),
        Reply::GetPolicy(policy) => policy::write_got(xml, policy),
        Reply::ListPolicies(policies) => policy::write_listed(xml, policies),
        Reply::CreatePolicyVersion(version) => policy::write_created_version(xml, version),
        Reply::GetPolicyVersion(version) => policy::write_got_version(xml, version),
        Reply::ListPolicyVersions(versions) => policy::write_listed_versions(xml, versions),
        Reply::ListEntitiesForPolicy(entities) => attachment::write_entities(xml, entities),
        Reply::GetUserPolicy(policy) => inline::write_got(xml, "UserName", policy),
        Reply::GetGroupPolicy(policy) => inline::write_got(xml, "GroupName", policy),
        Reply::GetRolePolicy(policy) => inline::write_got(xml, "RoleName", policy),
        Reply::ListUserPolicies(names)
        | Reply::ListGroupPolicies(names)
        | Reply::ListRolePolicies(names) => inline::write_listed(xml, names),
        Reply::ListAttachedUserPolicies(policies)
        | Reply::ListAttachedGroupPolicies(policies)
        | Reply::ListAttachedRolePolicies(policies) => attachment::write_listed(xml, policies),
        Reply::CreateLoginProfile(profile) | Reply::GetLoginProfile(profile) => {
            login_profile::write(xml, profile);
        }
        Reply::GetAccountPasswordPolicy(policy) => password_policy::write(xml, policy),
        Reply::CreateAccessKey(key) => access_key::write_created(xml, key),
        Reply::ListAccessKeys(keys) => access_key::write_listed(xml, keys),
        Reply::UploadSSHPublicKey(key) | Reply::GetSSHPublicKey(key) => {
            ssh_public_key::write_one(xml, key);
        }
        Reply::ListSSHPublicKeys(keys) => ssh_public_key::write_listed(xml, keys),
        Reply::UploadSigningCertificate(certificate) => {
            signing_certificate::write_uploaded(xml, certificate);
        }
        Reply::ListSigningCertificates(certificates) => {
            signing_certificate::write_listed(xml, certificates);
        }
        Reply::CreateServiceSpecificCredential(new)
        | Reply::ResetServiceSpecificCredential(new) => service_credential::write_new(xml, new),
        Reply::ListServiceSpecificCredentials(credentials) => {
            service_credential::write_listed(xml, credentials);
        }
        Reply::UploadServerCertificate(certificate) => {
            server_certificate::write_uploaded(xml, certificate);
        }
        Reply::GetServerCertificate(certificate) => {
            server_certificate::write_got(xml, certificate);
        }
        Reply::ListServerCertificates(certificates) => {
            server_certificate::write_listed(xml, certificates);
        }
        Reply::CreateOpenIDConnectProvider(provider) => {
            oidc_provider::write_created(xml, provider);
        }
        Reply::GetOpenIDConnectProvider(provider) => oidc_provider::write_got(xml, provider),
        Reply::ListOpenIDConnectProviders(arns) => oidc_provider::write_listed(xml, arns),
        Reply::CreateSAMLProvider(provider) => saml_provider::write_created(xml, provider),
        Reply::UpdateSAMLProvider(arn) => xml.text("SAMLProviderArn", arn),
        Reply::GetSAMLProvider(provider) => saml_provider::write_got(xml, provider),
        Reply::ListSAMLProviders(providers) => saml_provider::write_listed(xml, providers),
        Reply::GetAccessKeyLastUsed(last) => key_use::write(xml, last),
        Reply::CreateVirtualMFADevice(new) => mfa_device::write_new(xml, new),
        Reply::GetMFADevice(device) => mfa_device::write(xml, device),
        Reply::ListMFADevices(devices) => mfa_device::write_listed(xml, devices),
        Reply::ListVirtualMFADevices(devices) => mfa_device::write_virtual(xml, devices),
        Reply::ListUserTags(tags)
        | Reply::ListRoleTags(tags)
        | Reply::ListInstanceProfileTags(tags)
        | Reply::ListServerCertificateTags(tags)
        | Reply::ListOpenIDConnectProviderTags(tags)
        | Reply::ListSAMLProviderTags(tags)
        | Reply::ListMFADeviceTags(tags)
        | Reply::ListPolicyTags(tags) => tag::write_listed(xml, tags),
        Reply::ListAccountAliases(aliases) => account::write_aliases(xml, aliases),
        Reply::GenerateCredentialReport(generated) => {
            credential_report::write_generated(xml, generated);
        }
        Reply::GetCredentialReport(report) => credential_report::write(xml, report),
        Reply::GetAccountSummary(summary) => account::write_summary(xml, summary),
        Reply::GetAccountAuthorizationDetails(details) => account::write_details(xml, details),
        Reply::SimulateCustomPolicy(results) | Reply::SimulatePrincipalPolicy(results) => {
            simulate::write_simulated(xml, results);
        }
        Reply::GetContextKeysForCustomPolicy(keys)
        | Reply::GetContextKeysForPrincipalPolicy(keys) => simulate::write_keys(xml, keys),
        Reply::GetCallerIdentity(caller) => sts::write_caller(xml, caller),
        Reply::AssumeRole(assumed) => sts::write_assumed(xml, assumed),
        Reply::AssumeRoleWithWebIdentity(session) => web_identity::write(xml, session),
        Reply::GetSessionToken(credentials) => sts::write_credentials(xml, credentials),
        Reply::GetFederationToken(user) => sts::write_federated(xml, user),
        Reply::GetAccessKeyInfo(account) => xml.text("Account", account),
        Reply::DecodeAuthorizationMessage(text) => xml.text("DecodedMessage", text),
    }
}

/// Reads `Marker` and `MaxItems`.
pub(crate) fn page(params: &mut Params<'_>) -> Result<Page, ApiError> {
    PageRequest::read(params).map(PageRequest::into_page)
}

/// A path, `/` if none is given.
pub(crate) fn path<P: FromStr<Err = Constraint>>(
    params: &mut Params<'_>,
    name: &str,
) -> Result<P, Violation> {
    let path = params.optional(name)?;
    Ok(path.unwrap_or_else(|| root_path()))
}

/// The path that is meant when none is given.
fn root_path<P: FromStr<Err = Constraint>>() -> P {
    let root = "/".parse().ok();
    root.expect("`/` is a path of every kind, and the prefix of all")
}

/// The prefix of the paths that are listed, of which AWS asks that it is a path `P` itself.
pub(crate) fn path_prefix<P>(params: &mut Params<'_>) -> Result<PathPrefix, Violation>
where
    P: FromStr<Err = Constraint> + fmt::Display,
{
    let path = path::<P>(params, "PathPrefix")?;
    Ok(path.to_string().parse().expect("every path is a prefix of paths"))
}

/// The parameters of `ListUsers`, `ListGroups`, `ListRoles` and `ListInstanceProfiles`.
pub(crate) fn list_by_path(mut params: Params<'_>) -> Result<ListByPath, ApiError> {
    let path_prefix = path(&mut params, "PathPrefix");
    let page = page(&mut params);
    params.finish()?;
    Ok(ListByPath { path_prefix: path_prefix?, page: page? })
}

/// The parameter that names a user, group, role or instance profile.
pub(crate) fn owner<N: EntityName>(params: &mut Params<'_>) -> Result<N, ApiError> {
    Ok(params.required(&format!("{}Name", N::WORD))?)
}

/// The parameters of an action that only names a user, group, role or instance profile.
pub(crate) fn only_owner<N: EntityName>(mut params: Params<'_>) -> Result<N, ApiError> {
    let name = owner(&mut params);
    params.finish()?;
    name
}

/// One page of a listing.
pub(crate) fn listing<T>(
    xml: &mut Xml,
    name: &'static str,
    Listing { items, next }: &Listing<T>,
    item: impl FnMut(&mut Xml, &T),
) {
    xml.list(name, items, item);
    page_end(xml, next.as_deref());
}

/// The end of a page.
pub(crate) fn page_end(xml: &mut Xml, next: Option<&str>) {
    xml.page_end(next.map(Marker::after).as_ref());
}

#[cfg(test)]
pub(crate) mod testing {
    //! How the nouns' tests show requests and replies.

    use expect_test::ExpectFile;
    use identity::user::User;
    use model::Timestamp;

    use super::*;

    /// A user as answers show it.
    pub(crate) fn bob() -> User {
        User {
            id: "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "bob".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:user/bob".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            boundary: None,
            tags: Vec::new(),
        }
    }

    /// What a request's body (without `Version`) is read as.
    pub(crate) fn show_call(body: &str) -> String {
        match read(body) {
            Ok(call) => format!("{call:?}"),
            Err(error) => error.to_string(),
        }
    }

    /// Checks what requests are read as: each body, and below it the call or the refusal.
    pub(crate) fn check_calls(bodies: &[&str], expected: ExpectFile) {
        let shown = |body: &&str| format!("{body}\n    {}\n", show_call(body));
        expected.assert_eq(&bodies.iter().map(shown).collect::<String>());
    }

    fn read(body: &str) -> Result<Call, ApiError> {
        let action = body.split(['=', '&']).nth(1).unwrap();
        let service = find(action).map_or(Service::Iam, |(service, _)| service);
        let body = format!("{body}&Version={}", service.version());
        let form = Form::parse("application/x-www-form-urlencoded", body.as_bytes())?;
        let call = parse(service, &form)?;
        let carried_out = match &call {
            Call::Command(command) => command.action(),
            Call::Query(query) => query.action(),
            Call::Federated(_) => "AssumeRoleWithWebIdentity",
        };
        assert_eq!(carried_out, action, "an action is read as another");
        Ok(call)
    }

    /// Checks the XML of replies: what stands in the result, an element a line.
    pub(crate) fn check_replies<const N: usize>(
        replies: [(&'static str, Reply); N],
        expected: ExpectFile,
    ) {
        let shown = replies.iter().map(|(action, reply)| show_reply(action, reply));
        expected.assert_eq(&shown.collect::<String>());
    }

    fn show_reply(action: &str, reply: &Reply) -> String {
        let body = render(action, reply, "r");
        let end = format!(
            "</{action}Result><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
             </{action}Response>"
        );
        let (_, inside) = body.split_once(&format!("<{action}Result>")).unwrap();
        let inside = inside.strip_suffix(&end).unwrap().replace("><", ">\n    <");
        format!("{action}\n    {inside}\n")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use expect_test::{Expect, expect, expect_file};

    use super::{testing::show_call, *};

    fn check(service: Service, body: &str, expected: Expect) {
        let form = Form::parse("application/x-www-form-urlencoded", body.as_bytes()).unwrap();
        expected.assert_eq(&match parse(service, &form) {
            Ok(call) => format!("{call:?}"),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn actions_have_one_entry_each() {
        let names = |service| actions(service).map(|action| action.name).collect::<Vec<_>>();
        let all = [names(Service::Iam), names(Service::Sts)].concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        expect_file!["../testdata/actions.txt"].assert_eq(&format!("{}\n", all.join("\n")));
    }

    #[test]
    fn a_call_needs_an_action_of_the_version() {
        check(
            Service::Iam,
            "Version=2010-05-08",
            expect!["MissingAction (400): The request must contain the parameter Action."],
        );
        check(
            Service::Iam,
            "Action=DropUsers&Version=2010-05-08",
            expect![
                "InvalidAction (400): Could not find operation DropUsers for version 2010-05-08"
            ],
        );
        check(
            Service::Iam,
            "Action=GetUser&Version=2011-06-15",
            expect!["InvalidAction (400): Could not find operation GetUser for version 2011-06-15"],
        );
        check(
            Service::Iam,
            "Action=GetUser",
            expect![
                "InvalidAction (400): Could not find operation GetUser for version NO_VERSION_SPECIFIED"
            ],
        );
        check(
            Service::Iam,
            "Action=AssumeRole&Version=2010-05-08",
            expect![
                "InvalidAction (400): Could not find operation AssumeRole for version 2010-05-08"
            ],
        );
        check(
            Service::Sts,
            "Action=GetUser&Version=2011-06-15",
            expect!["InvalidAction (400): Could not find operation GetUser for version 2011-06-15"],
        );
        check(
            Service::Iam,
            "Action=getuser&Version=2010-05-08",
            expect!["InvalidAction (400): Could not find operation getuser for version 2010-05-08"],
        );
    }

    fn check_call(body: &str, expected: Expect) {
        expected.assert_eq(&show_call(body));
    }

    #[test]
    fn pages_are_read_and_written() {
        check_call(
            "Action=ListUsers&MaxItems=7&Marker=AWJvYg",
            expect![[
                r#"Query(ListUsers(ListByPath { path_prefix: PathPrefix("/"), page: Page { marker: Some("bob"), max_items: 7 } }))"#
            ]],
        );
        check_call(
            "Action=ListUsers&MaxItems=0",
            expect![
                "ValidationError (400): 1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"
            ],
        );
        check_call(
            "Action=ListUsers&PathPrefix=a",
            expect![[
                r"ValidationError (400): 1 validation error detected: Value 'a' at 'pathPrefix' failed to satisfy constraint: Member must satisfy regular expression pattern: \u002F[\u0021-\u007F]*"
            ]],
        );
        let key = "\u{10400}".repeat(61);
        let marker = Marker::after(&key);
        let body = format!("Action=ListUserTags&UserName=bob&MaxItems=1&Marker={marker}");
        check_call(
            &body,
            expect![[
                r#"Query(ListUserTags(ListTags { owner: UserName("bob"), page: Page { marker: Some("𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀"), max_items: 1000 } }))"#
            ]],
        );
    }

    #[test]
    fn what_has_no_output_has_no_result() {
        expect![[r#"<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DeleteUserResponse>"#]].assert_eq(&render("DeleteUser", &Reply::Done, "r"));
        expect![[r#"<UpdateRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><UpdateRoleResult></UpdateRoleResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></UpdateRoleResponse>"#]].assert_eq(&render("UpdateRole", &Reply::Done, "r"));
    }
}
