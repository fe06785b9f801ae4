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
    ApiError, attachment,
    call::{Action, Call, page, page_end},
    form::Params,
    group, inline, policy, role, tag, user,
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
    tag::write_all(xml, &user.tags);
}

fn write_group(xml: &mut Xml, GroupDetail { group, policies }: &GroupDetail) {
    group::write(xml, group);
    write_inline(xml, "GroupPolicyList", policies);
    write_attached(xml, policies);
}

fn write_role(xml: &mut Xml, RoleDetail { role, policies }: &RoleDetail) {
    role::write(xml, role);
    xml.texts("InstanceProfileList", [""; 0]);
    write_inline(xml, "RolePolicyList", policies);
    write_attached(xml, policies);
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
    use expect_test::expect;
    use identity::{
        Reply,
        attachment::AttachedPolicy,
        group::Group,
        policy::{Policy, PolicyVersion},
        role::{MaxSessionDuration, Role},
        tag::Tag,
        user::User,
    };
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_call, check_reply};

    #[test]
    fn calls_are_read() {
        check_call(
            "Action=CreateAccountAlias&AccountAlias=acme",
            expect![[r#"Command(CreateAccountAlias(Alias { alias: AccountAlias("acme") }))"#]],
        );
        check_call(
            "Action=DeleteAccountAlias&AccountAlias=acme",
            expect![[r#"Command(DeleteAccountAlias(Alias { alias: AccountAlias("acme") }))"#]],
        );
        check_call(
            "Action=ListAccountAliases&MaxItems=1",
            expect![
                "Query(ListAccountAliases(ListAliases { page: Page { marker: None, max_items: 1 } }))"
            ],
        );
        check_call("Action=GetAccountSummary", expect!["Query(GetAccountSummary(GetSummary))"]);
        check_call(
            "Action=GetAccountAuthorizationDetails",
            expect![
                "Query(GetAccountAuthorizationDetails(GetDetails { filter: [], page: Page { marker: None, max_items: 100 } }))"
            ],
        );
        check_call(
            "Action=GetAccountAuthorizationDetails&Filter.member.1=User&Filter.member.2=Role\
           &Filter.member.3=Group&Filter.member.4=LocalManagedPolicy\
           &Filter.member.5=AWSManagedPolicy&MaxItems=10",
            expect![
                "Query(GetAccountAuthorizationDetails(GetDetails { filter: [User, Role, Group, LocalPolicy, AwsPolicy], page: Page { marker: None, max_items: 10 } }))"
            ],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_call(
            "Action=CreateAccountAlias&AccountAlias=A_",
            expect![
                "ValidationError (400): 1 validation error detected: Value 'A_' at 'accountAlias' failed to satisfy constraint: Member must have length greater than or equal to 3"
            ],
        );
        check_call(
            "Action=CreateAccountAlias&AccountAlias=ab",
            expect![
                "ValidationError (400): 1 validation error detected: Value 'ab' at 'accountAlias' failed to satisfy constraint: Member must have length greater than or equal to 3"
            ],
        );
        check_call(
            "Action=GetAccountSummary&UserName=bob",
            expect!["UnknownParameter (400): The parameter UserName is not recognized"],
        );
        check_call(
            "Action=GetAccountAuthorizationDetails&Filter.member.1=Policy",
            expect![
                "ValidationError (400): 1 validation error detected: Value 'Policy' at 'filter.1.member' failed to satisfy constraint: Member must satisfy enum value set: [User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]"
            ],
        );
    }

    #[test]
    fn replies_are_written() {
        let aliases = Listing { items: vec!["acme".parse().unwrap()], next: None };
        check_reply(
            "ListAccountAliases",
            &Reply::ListAccountAliases(aliases),
            expect![[r#"
            <AccountAliases>
            <member>acme</member>
            </AccountAliases>
            <IsTruncated>false</IsTruncated>"#]],
        );
        let summary = Summary::from([("Users", 3), ("UsersQuota", 5000)]);
        check_reply(
            "GetAccountSummary",
            &Reply::GetAccountSummary(summary),
            expect![[r#"
            <SummaryMap>
            <entry>
            <key>Users</key>
            <value>3</value>
            </entry>
            <entry>
            <key>UsersQuota</key>
            <value>5000</value>
            </entry>
            </SummaryMap>"#]],
        );
        check_reply(
            "GetAccountAuthorizationDetails",
            &Reply::GetAccountAuthorizationDetails(details()),
            expect![[r#"
                <UserDetailList>
                <member>
                <Path>/</Path>
                <UserName>bob</UserName>
                <UserId>AIDAQ3EGRIM6LD2W5YX7A</UserId>
                <Arn>arn:aws:iam::123456789012:user/bob</Arn>
                <CreateDate>2023-11-14T22:13:20Z</CreateDate>
                <UserPolicyList>
                <member>
                <PolicyName>p</PolicyName>
                <PolicyDocument>%7B%7D</PolicyDocument>
                </member>
                </UserPolicyList>
                <GroupList>
                <member>devs</member>
                </GroupList>
                <AttachedManagedPolicies>
                <member>
                <PolicyName>read</PolicyName>
                <PolicyArn>arn:aws:iam::123456789012:policy/read</PolicyArn>
                </member>
                </AttachedManagedPolicies>
                <Tags>
                <member>
                <Key>team</Key>
                <Value>a</Value>
                </member>
                </Tags>
                </member>
                </UserDetailList>
                <GroupDetailList>
                <member>
                <Path>/</Path>
                <GroupName>devs</GroupName>
                <GroupId>AGPAQ3EGRIM6LD2W5YX7A</GroupId>
                <Arn>arn:aws:iam::123456789012:group/devs</Arn>
                <CreateDate>2023-11-14T22:13:20Z</CreateDate>
                <GroupPolicyList>
                <member>
                <PolicyName>p</PolicyName>
                <PolicyDocument>%7B%7D</PolicyDocument>
                </member>
                </GroupPolicyList>
                <AttachedManagedPolicies>
                <member>
                <PolicyName>read</PolicyName>
                <PolicyArn>arn:aws:iam::123456789012:policy/read</PolicyArn>
                </member>
                </AttachedManagedPolicies>
                </member>
                </GroupDetailList>
                <RoleDetailList>
                <member>
                <Path>/</Path>
                <RoleName>deploy</RoleName>
                <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
                <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
                <CreateDate>2023-11-14T22:13:20Z</CreateDate>
                <AssumeRolePolicyDocument>%7B%7D</AssumeRolePolicyDocument>
                <InstanceProfileList>
                </InstanceProfileList>
                <RolePolicyList>
                <member>
                <PolicyName>p</PolicyName>
                <PolicyDocument>%7B%7D</PolicyDocument>
                </member>
                </RolePolicyList>
                <AttachedManagedPolicies>
                <member>
                <PolicyName>read</PolicyName>
                <PolicyArn>arn:aws:iam::123456789012:policy/read</PolicyArn>
                </member>
                </AttachedManagedPolicies>
                <Tags>
                <member>
                <Key>team</Key>
                <Value>a</Value>
                </member>
                </Tags>
                <RoleLastUsed>
                </RoleLastUsed>
                </member>
                </RoleDetailList>
                <Policies>
                <member>
                <PolicyName>read</PolicyName>
                <PolicyId>ANPAQ3EGRIM6LD2W5YX7A</PolicyId>
                <Arn>arn:aws:iam::123456789012:policy/read</Arn>
                <Path>/</Path>
                <DefaultVersionId>v1</DefaultVersionId>
                <AttachmentCount>3</AttachmentCount>
                <PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount>
                <IsAttachable>true</IsAttachable>
                <Description>reads</Description>
                <CreateDate>2023-11-14T22:13:20Z</CreateDate>
                <UpdateDate>2023-11-14T22:13:20Z</UpdateDate>
                <PolicyVersionList>
                <member>
                <Document>%7B%7D</Document>
                <VersionId>v1</VersionId>
                <IsDefaultVersion>true</IsDefaultVersion>
                <CreateDate>2023-11-14T22:13:20Z</CreateDate>
                </member>
                </PolicyVersionList>
                </member>
                </Policies>
                <IsTruncated>true</IsTruncated>
                <Marker>AUFOUEEgcmVhZA</Marker>"#]],
        );
        let nothing = Reply::GetAccountAuthorizationDetails(Details::default());
        check_reply(
            "GetAccountAuthorizationDetails",
            &nothing,
            expect![[r#"
            <UserDetailList>
            </UserDetailList>
            <GroupDetailList>
            </GroupDetailList>
            <RoleDetailList>
            </RoleDetailList>
            <Policies>
            </Policies>
            <IsTruncated>false</IsTruncated>"#]],
        );
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
            roles: vec![RoleDetail { role, policies }],
            policies: vec![PolicyDetail { policy, versions: vec![version] }],
            next: Some("ANPA read".to_owned()),
        }
    }
}
