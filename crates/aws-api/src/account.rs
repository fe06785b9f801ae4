//! The account as a whole. AWS: `CreateAccountAlias`, `DeleteAccountAlias`, `ListAccountAliases`,
//! `GetAccountSummary`, `GetAccountAuthorizationDetails`.
//!
//! **Invariants.** Elements come in the order of AWS's service model.
//!
//! **Must not know:** what is in the account.

use std::str::FromStr;

use identity::{
    Command, Listing, Query,
    account::{
        Alias, DetailKind, Details, GetDetails, GetSummary, GroupDetail, ListAliases, Policies,
        PolicyDetail, RoleDetail, Summary, UserDetail,
    },
};
use model::{AccountAlias, Constraint};

use crate::{
    ApiError, attachment, boundary,
    call::{Action, Call, page, page_end},
    form::Params,
    group, inline, instance_profile, policy, role, tag, user,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateAccountAlias", |p| {
        alias(p).map(Command::CreateAccountAlias).map(Call::Command)
    }),
    Action::new("DeleteAccountAlias", |p| {
        alias(p).map(Command::DeleteAccountAlias).map(Call::Command)
    }),
    Action::new("ListAccountAliases", list_aliases),
    Action::new("GetAccountSummary", |params| {
        params.finish()?;
        Ok(Call::Query(Query::GetAccountSummary(GetSummary)))
    }),
    Action::new("GetAccountAuthorizationDetails", details),
];

/// Names each kind of entity at most once.
const FILTERS_MAX: usize = 5;

/// AWS: `EntityType`.
struct KindWord(DetailKind);

impl FromStr for KindWord {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        const WORDS: &[&str] = &["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
        match text {
            "User" => Ok(Self(DetailKind::User)),
            "Role" => Ok(Self(DetailKind::Role)),
            "Group" => Ok(Self(DetailKind::Group)),
            "LocalManagedPolicy" => Ok(Self(DetailKind::LocalPolicy)),
            "AWSManagedPolicy" => Ok(Self(DetailKind::AwsPolicy)),
            _ => Err(Constraint::Enum(WORDS)),
        }
    }
}

fn alias(mut params: Params<'_>) -> Result<Alias, ApiError> {
    let alias = params.required("AccountAlias");
    params.finish()?;
    Ok(Alias { alias: alias? })
}

fn list_aliases(mut params: Params<'_>) -> Result<Call, ApiError> {
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListAccountAliases(ListAliases { page: page? })))
}

fn details(mut params: Params<'_>) -> Result<Call, ApiError> {
    let filter = params.string_list("Filter", FILTERS_MAX);
    let page = page(&mut params);
    params.finish()?;
    let filter = filter?.into_iter().map(|KindWord(kind)| kind).collect();
    let query = GetDetails { filter, page: page? };
    Ok(Call::Query(Query::GetAccountAuthorizationDetails(query)))
}

/// The answer to `ListAccountAliases`.
pub(crate) fn write_aliases(xml: &mut Xml, Listing { items, next }: &Listing<AccountAlias>) {
    xml.texts("AccountAliases", items);
    page_end(xml, next.as_deref());
}

/// The answer to `GetAccountSummary`.
pub(crate) fn write_summary(xml: &mut Xml, summary: &Summary) {
    xml.element("SummaryMap", |xml| {
        for (key, value) in summary {
            xml.element("entry", |xml| {
                xml.text("key", key);
                xml.text("value", value);
            });
        }
    });
}

/// The answer to `GetAccountAuthorizationDetails`.
pub(crate) fn write_details(xml: &mut Xml, details: &Details) {
    let Details { users, groups, roles, policies, next } = details;
    xml.list("UserDetailList", users, write_user);
    xml.list("GroupDetailList", groups, write_group);
    xml.list("RoleDetailList", roles, write_role);
    xml.list("Policies", policies, write_policy);
    page_end(xml, next.as_deref());
}

fn write_user(xml: &mut Xml, UserDetail { user, groups, policies }: &UserDetail) {
    user::write(xml, user);
    write_inline(xml, "UserPolicyList", policies);
    xml.texts("GroupList", groups);
    write_attached(xml, policies);
    boundary::write(xml, user.boundary.as_ref());
    tag::write_all(xml, &user.tags);
}

fn write_group(xml: &mut Xml, GroupDetail { group, policies }: &GroupDetail) {
    group::write(xml, group);
    write_inline(xml, "GroupPolicyList", policies);
    write_attached(xml, policies);
}

fn write_role(xml: &mut Xml, RoleDetail { role, instance_profiles, policies }: &RoleDetail) {
    role::write(xml, role);
    xml.list("InstanceProfileList", instance_profiles, instance_profile::write);
    write_inline(xml, "RolePolicyList", policies);
    write_attached(xml, policies);
    boundary::write(xml, role.boundary.as_ref());
    tag::write_all(xml, &role.tags);
    xml.element("RoleLastUsed", |_| ());
}

fn write_policy(xml: &mut Xml, PolicyDetail { policy, versions }: &PolicyDetail) {
    policy::write_described(xml, policy);
    xml.list("PolicyVersionList", versions, policy::write_whole_version);
}

fn write_inline(xml: &mut Xml, list: &'static str, Policies { inline, attached: _ }: &Policies) {
    xml.list(list, inline, |xml, (name, document)| inline::write_one(xml, name, document));
}

fn write_attached(xml: &mut Xml, Policies { inline: _, attached }: &Policies) {
    xml.list("AttachedManagedPolicies", attached, attachment::write);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{
        Reply,
        attachment::AttachedPolicy,
        group::Group,
        instance_profile::InstanceProfile,
        policy::{Policy, PolicyVersion},
        role::{MaxSessionDuration, Role},
        tag::Tag,
        user::User,
    };
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateAccountAlias&AccountAlias=acme",
                "Action=DeleteAccountAlias&AccountAlias=acme",
                "Action=ListAccountAliases&MaxItems=1",
                "Action=GetAccountSummary",
                "Action=GetAccountAuthorizationDetails",
                "Action=GetAccountAuthorizationDetails&Filter.member.1=User&Filter.member.2=Role\
           &Filter.member.3=Group&Filter.member.4=LocalManagedPolicy\
           &Filter.member.5=AWSManagedPolicy&MaxItems=10",
            ],
            expect_file!["../testdata/account-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=CreateAccountAlias&AccountAlias=A_",
                "Action=CreateAccountAlias&AccountAlias=ab",
                "Action=GetAccountSummary&UserName=bob",
                "Action=GetAccountAuthorizationDetails&Filter.member.1=Policy",
            ],
            expect_file!["../testdata/account-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let aliases = Listing { items: vec!["acme".parse().unwrap()], next: None };
        let summary = Summary::from([("Users", 3), ("UsersQuota", 5000)]);
        let nothing = Reply::GetAccountAuthorizationDetails(Details::default());
        check_replies(
            [
                ("ListAccountAliases", Reply::ListAccountAliases(aliases)),
                ("GetAccountSummary", Reply::GetAccountSummary(summary)),
                (
                    "GetAccountAuthorizationDetails",
                    Reply::GetAccountAuthorizationDetails(details()),
                ),
                ("GetAccountAuthorizationDetails", nothing),
            ],
            expect_file!["../testdata/account-replies.txt"],
        );
    }

    /// An instance profile with a role in it.
    fn holding(role: &Role) -> InstanceProfile {
        InstanceProfile {
            id: "AIPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "web".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:instance-profile/web".parse().unwrap(),
            created: role.created,
            roles: vec![role.clone()],
            tags: Vec::new(),
        }
    }

    fn details() -> Details {
        let created = Timestamp::from_secs(1_700_000_000);
        let root: model::Path = "/".parse().unwrap();
        let tags = vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }];
        let policies = Policies {
            inline: vec![("p".to_owned(), "{}".to_owned())],
            attached: vec![AttachedPolicy {
                arn: "arn:aws:iam::123456789012:policy/read".to_owned(),
                name: "read".to_owned(),
            }],
        };
        let user = User {
            id: "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "bob".parse().unwrap(),
            path: root.clone(),
            arn: "arn:aws:iam::123456789012:user/bob".parse().unwrap(),
            created,
            boundary: Some("arn:aws:iam::123456789012:policy/limit".to_owned()),
            tags: tags.clone(),
        };
        let group = Group {
            id: "AGPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "devs".parse().unwrap(),
            path: root.clone(),
            arn: "arn:aws:iam::123456789012:group/devs".parse().unwrap(),
            created,
        };
        let role = Role {
            id: "AROAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "deploy".parse().unwrap(),
            path: root,
            arn: "arn:aws:iam::123456789012:role/deploy".parse().unwrap(),
            created,
            trust_policy: "{}".to_owned(),
            description: Some("unseen here".to_owned()),
            max_session_duration: MaxSessionDuration::DEFAULT,
            boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".to_owned()),
            tags,
        };
        let policy = Policy {
            id: "ANPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "read".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:policy/read".parse().unwrap(),
            created,
            updated: created,
            default_version: "v1".parse().unwrap(),
            attachment_count: 3,
            boundary_count: 0,
            description: Some("reads".to_owned()),
            tags: Vec::new(),
        };
        let version = PolicyVersion {
            id: "v1".parse().unwrap(),
            document: "{}".to_owned(),
            is_default: true,
            created,
        };
        let groups = vec!["devs".parse().unwrap()];
        Details {
            users: vec![UserDetail { user, groups, policies: policies.clone() }],
            groups: vec![GroupDetail { group, policies: policies.clone() }],
            roles: vec![RoleDetail { instance_profiles: vec![holding(&role)], role, policies }],
            policies: vec![PolicyDetail { policy, versions: vec![version] }],
            next: Some("ANPA read".to_owned()),
        }
    }
}
