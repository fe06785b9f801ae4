//! Managed policies and their versions. AWS: `CreatePolicy`, `GetPolicy`, `ListPolicies`,
//! `DeletePolicy`, `CreatePolicyVersion` and their kin.
//!
//! **Invariants.** A document is passed on as it came; whether it is a policy is not decided here.
//! Only `GetPolicyVersion` and `GetAccountAuthorizationDetails` show one.
//!
//! **Must not know:** what a document says.

use std::str::FromStr;

use identity::{
    Command, Listing, Query,
    policy::{
        Attached, CreatePolicy, CreatePolicyVersion, DeletePolicy, GetPolicy, ListPolicies,
        ListPolicyVersions, NewVersion, Policy, PolicyArn, PolicyVersion, Scope, VersionOf,
    },
};
use model::{Constraint, PolicyPath};

use crate::{
    ApiError,
    attachment::usage,
    call::{Action, Call, listing, page, path, path_prefix},
    form::{Params, Violation},
    shape::{ARN, POLICY_DOCUMENT},
    tag,
    xml::Xml,
};

/// AWS: `arnType`.
pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreatePolicy", create),
    Action::new("GetPolicy", |p| {
        Ok(Call::Query(Query::GetPolicy(GetPolicy { arn: only_arn(p)? })))
    }),
    Action::new("ListPolicies", list),
    Action::new("DeletePolicy", |p| {
        Ok(Call::Command(Command::DeletePolicy(DeletePolicy { arn: only_arn(p)? })))
    }),
    Action::new("CreatePolicyVersion", create_version),
    Action::new("GetPolicyVersion", |p| {
        version_of(p).map(Query::GetPolicyVersion).map(Call::Query)
    }),
    Action::new("ListPolicyVersions", list_versions),
    Action::new("DeletePolicyVersion", |p| {
        version_of(p).map(Command::DeletePolicyVersion).map(Call::Command)
    }),
    Action::new("SetDefaultPolicyVersion", |p| {
        version_of(p).map(Command::SetDefaultPolicyVersion).map(Call::Command)
    }),
];

/// A policy document that must be there.
pub(crate) fn document(params: &mut Params<'_>, name: &str) -> Result<String, Violation> {
    params.required_shape(name, &POLICY_DOCUMENT)
}

/// A policy document that may be missing.
pub(crate) fn optional_document(
    params: &mut Params<'_>,
    name: &str,
) -> Result<Option<String>, Violation> {
    params.optional_shape(name, &POLICY_DOCUMENT)
}

/// The text of an ARN, of whatever.
pub(crate) fn arn_text(params: &mut Params<'_>, name: &str) -> Result<String, Violation> {
    params.required_shape(name, &ARN)
}

/// The parameter `PolicyArn`.
pub(crate) fn policy_arn(params: &mut Params<'_>) -> Result<PolicyArn, ApiError> {
    parse_arn(&arn_text(params, "PolicyArn")?)
}

/// The managed policy that an ARN names.
pub(crate) fn parse_arn(text: &str) -> Result<PolicyArn, ApiError> {
    text.parse().map_err(|_| ApiError::validation(format!("ARN {text} is not valid.")))
}

fn only_arn(mut params: Params<'_>) -> Result<PolicyArn, ApiError> {
    let arn = policy_arn(&mut params);
    params.finish()?;
    arn
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("PolicyName");
    let path = path(&mut params, "Path");
    let document = document(&mut params, "PolicyDocument");
    let description = params.optional("Description");
    let tags = tag::read(&mut params);
    params.finish()?;
    Ok(Call::Command(Command::CreatePolicy(CreatePolicy {
        name: name?,
        path: path?,
        document: document?,
        description: description?,
        tags: tags?,
    })))
}

/// AWS: `policyScopeType`.
struct ScopeWord(Scope);

impl FromStr for ScopeWord {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text {
            "All" => Ok(Self(Scope::All)),
            "AWS" => Ok(Self(Scope::Aws)),
            "Local" => Ok(Self(Scope::Local)),
            _ => Err(Constraint::Enum(&["All", "AWS", "Local"])),
        }
    }
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let scope = params.optional("Scope");
    let only_attached = params.boolean("OnlyAttached");
    let usage = usage(&mut params);
    let path_prefix = path_prefix::<PolicyPath>(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListPolicies(ListPolicies {
        scope: scope?.map_or(Scope::All, |ScopeWord(scope)| scope),
        attached: if only_attached? == Some(true) { Attached::Only } else { Attached::Any },
        usage: usage?,
        path_prefix: path_prefix?,
        page: page?,
    })))
}

fn create_version(mut params: Params<'_>) -> Result<Call, ApiError> {
    let arn = policy_arn(&mut params);
    let document = document(&mut params, "PolicyDocument");
    let set_as_default = params.boolean("SetAsDefault");
    params.finish()?;
    Ok(Call::Command(Command::CreatePolicyVersion(CreatePolicyVersion {
        arn: arn?,
        document: document?,
        effect: if set_as_default? == Some(true) { NewVersion::Default } else { NewVersion::Kept },
    })))
}

fn version_of(mut params: Params<'_>) -> Result<VersionOf, ApiError> {
    let arn = policy_arn(&mut params);
    let version = params.required("VersionId");
    params.finish()?;
    Ok(VersionOf { arn: arn?, version: version? })
}

fn list_versions(mut params: Params<'_>) -> Result<Call, ApiError> {
    let arn = policy_arn(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListPolicyVersions(ListPolicyVersions { arn: arn?, page: page? })))
}

/// The answer to `CreatePolicy`.
pub(crate) fn write_created(xml: &mut Xml, policy: &Policy) {
    xml.element("Policy", |xml| {
        write(xml, policy);
        write_dates(xml, policy);
        tag::write_some(xml, &policy.tags);
    });
}

/// The answer to `GetPolicy`.
pub(crate) fn write_got(xml: &mut Xml, policy: &Policy) {
    xml.element("Policy", |xml| {
        write_described(xml, policy);
        tag::write_all(xml, &policy.tags);
    });
}

/// The answer to `ListPolicies`.
pub(crate) fn write_listed(xml: &mut Xml, policies: &Listing<Policy>) {
    listing(xml, "Policies", policies, |xml, policy| {
        write(xml, policy);
        write_dates(xml, policy);
    });
}

/// A policy with its description.
pub(crate) fn write_described(xml: &mut Xml, policy: &Policy) {
    write(xml, policy);
    xml.optional("Description", policy.description.as_ref());
    write_dates(xml, policy);
}

fn write(xml: &mut Xml, policy: &Policy) {
    let Policy {
        id,
        name,
        path,
        arn,
        created: _,
        updated: _,
        default_version,
        attachment_count,
        boundary_count,
        description: _,
        tags: _,
    } = policy;
    xml.text("PolicyName", name);
    xml.text("PolicyId", id);
    xml.text("Arn", arn);
    xml.text("Path", path);
    xml.text("DefaultVersionId", default_version.as_str());
    xml.text("AttachmentCount", attachment_count);
    xml.text("PermissionsBoundaryUsageCount", boundary_count);
    xml.text("IsAttachable", true);
}

fn write_dates(xml: &mut Xml, policy: &Policy) {
    xml.text("CreateDate", policy.created);
    xml.text("UpdateDate", policy.updated);
}

/// The answer to `CreatePolicyVersion`.
pub(crate) fn write_created_version(xml: &mut Xml, version: &PolicyVersion) {
    xml.element("PolicyVersion", |xml| write_version(xml, version));
}

/// The answer to `GetPolicyVersion`.
pub(crate) fn write_got_version(xml: &mut Xml, version: &PolicyVersion) {
    xml.element("PolicyVersion", |xml| write_whole_version(xml, version));
}

/// The answer to `ListPolicyVersions`.
pub(crate) fn write_listed_versions(xml: &mut Xml, versions: &Listing<PolicyVersion>) {
    listing(xml, "Versions", versions, write_version);
}

/// A version with its document.
pub(crate) fn write_whole_version(xml: &mut Xml, version: &PolicyVersion) {
    xml.policy_document("Document", &version.document);
    write_version(xml, version);
}

fn write_version(xml: &mut Xml, version: &PolicyVersion) {
    let PolicyVersion { id, document: _, is_default, created } = version;
    xml.text("VersionId", id.as_str());
    xml.text("IsDefaultVersion", is_default);
    xml.text("CreateDate", created);
}

#[cfg(test)]
mod tests {
    use expect_test::{expect, expect_file};
    use identity::Reply;
    use model::Timestamp;

    use super::*;
    use crate::{
        Service,
        call::testing::{check_calls, check_replies},
        form::Form,
    };

    fn policy() -> Policy {
        Policy {
            id: "ANPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "read".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:policy/read".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            updated: Timestamp::from_secs(1_700_000_060),
            default_version: "v2".parse().unwrap(),
            attachment_count: 3,
            boundary_count: 1,
            description: Some("reads".to_owned()),
            tags: Vec::new(),
        }
    }

    fn version() -> PolicyVersion {
        PolicyVersion {
            id: "v2".parse().unwrap(),
            document: r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
            is_default: true,
            created: Timestamp::from_secs(1_700_000_060),
        }
    }

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreatePolicy&PolicyName=read&PolicyDocument=%7B%7D",
                "Action=CreatePolicy&PolicyName=read&PolicyDocument=%7B%7D&Path=%2Fx%2F\
           &Description=reads&Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess",
                "Action=ListPolicies",
                "Action=ListPolicies&Scope=Local&OnlyAttached=true&PathPrefix=%2Fx%2F&MaxItems=1",
                "Action=ListPolicies&Scope=AWS&OnlyAttached=false",
                "Action=ListPolicies&PolicyUsageFilter=PermissionsBoundary",
                "Action=DeletePolicy&PolicyArn=arn:aws:iam::123456789012:policy/read",
                "Action=CreatePolicyVersion&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &PolicyDocument=%7B%7D",
                "Action=CreatePolicyVersion&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &PolicyDocument=%7B%7D&SetAsDefault=true",
                "Action=GetPolicyVersion&PolicyArn=arn:aws:iam::123456789012:policy/read&VersionId=v1",
                "Action=ListPolicyVersions&PolicyArn=arn:aws:iam::123456789012:policy/read",
                "Action=DeletePolicyVersion&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &VersionId=v1",
                "Action=SetDefaultPolicyVersion&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &VersionId=v1",
            ],
            expect_file!["../testdata/policy-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=GetPolicy",
                "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:p",
                "Action=GetPolicy&PolicyArn=arn:aws:iam::aws:user/bob",
                "Action=ListPolicies&Scope=Mine&OnlyAttached=1",
                "Action=CreatePolicy&PolicyName=read&PolicyDocument=&Path=%2Fx",
                "Action=GetPolicyVersion&PolicyArn=arn:aws:iam::aws:policy/Read&VersionId=1",
                "Action=ListPolicies&PolicyUsageFilter=Policy",
            ],
            expect_file!["../testdata/policy-refusals.txt"],
        );
    }

    #[test]
    fn documents_and_arns_have_a_greatest_length() {
        let refusal = |body: String| {
            let body = format!("{body}&Version=2010-05-08");
            let form = Form::parse("application/x-www-form-urlencoded", body.as_bytes()).unwrap();
            crate::parse(Service::Iam, &form).err().map(|error| error.message)
        };
        let document = |chars| {
            refusal(format!(
                "Action=CreatePolicy&PolicyName=p&PolicyDocument={}",
                "x".repeat(chars)
            ))
        };
        assert_eq!(document(POLICY_DOCUMENT.max), None);
        expect!["1 validation error detected: Value at 'policyDocument' failed to satisfy constraint: Member must have length less than or equal to 131072"].assert_eq(&document(POLICY_DOCUMENT.max + 1).unwrap());
        let arn = |chars: usize| {
            let start = "arn:aws:iam::aws:policy/";
            let segment = "x".repeat(chars - start.len() - 2);
            refusal(format!("Action=GetPolicy&PolicyArn={start}{segment}/p"))
        };
        assert_eq!(arn(ARN.max), None);
        expect!["1 validation error detected: Value at 'policyArn' failed to satisfy constraint: Member must have length less than or equal to 2048"].assert_eq(&arn(ARN.max + 1).unwrap());
    }

    #[test]
    fn replies_are_written() {
        let policies = Listing { items: vec![policy()], next: None };
        let versions = Listing { items: vec![version()], next: None };
        check_replies(
            [
                ("CreatePolicy", Reply::CreatePolicy(policy())),
                ("GetPolicy", Reply::GetPolicy(policy())),
                ("ListPolicies", Reply::ListPolicies(policies)),
                ("CreatePolicyVersion", Reply::CreatePolicyVersion(version())),
                ("GetPolicyVersion", Reply::GetPolicyVersion(version())),
                ("ListPolicyVersions", Reply::ListPolicyVersions(versions)),
            ],
            expect_file!["../testdata/policy-replies.txt"],
        );
    }
}
