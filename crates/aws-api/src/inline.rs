//! Policies embedded in a user, group or role. AWS: `PutUserPolicy`, `GetUserPolicy`,
//! `ListUserPolicies`, `DeleteUserPolicy` and their kin.
//!
//! **Invariants.** The three kinds differ in the name of one parameter only.
//!
//! **Must not know:** what a document says.

use std::fmt::Display;

use identity::{
    Command, EntityName, Listing, Query,
    inline::{InlinePolicy, List, OneOf, Put},
};

use crate::{
    ApiError,
    call::{Action, Call, owner, page, page_end},
    form::Params,
    policy::document,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("PutUserPolicy", |p| put(p).map(Command::PutUserPolicy).map(Call::Command)),
    Action::new("PutGroupPolicy", |p| put(p).map(Command::PutGroupPolicy).map(Call::Command)),
    Action::new("PutRolePolicy", |p| put(p).map(Command::PutRolePolicy).map(Call::Command)),
    Action::new("GetUserPolicy", |p| one(p).map(Query::GetUserPolicy).map(Call::Query)),
    Action::new("GetGroupPolicy", |p| one(p).map(Query::GetGroupPolicy).map(Call::Query)),
    Action::new("GetRolePolicy", |p| one(p).map(Query::GetRolePolicy).map(Call::Query)),
    Action::new("ListUserPolicies", |p| list(p).map(Query::ListUserPolicies).map(Call::Query)),
    Action::new("ListGroupPolicies", |p| list(p).map(Query::ListGroupPolicies).map(Call::Query)),
    Action::new("ListRolePolicies", |p| list(p).map(Query::ListRolePolicies).map(Call::Query)),
    Action::new("DeleteUserPolicy", |p| one(p).map(Command::DeleteUserPolicy).map(Call::Command)),
    Action::new("DeleteGroupPolicy", |p| one(p).map(Command::DeleteGroupPolicy).map(Call::Command)),
    Action::new("DeleteRolePolicy", |p| one(p).map(Command::DeleteRolePolicy).map(Call::Command)),
];

fn put<N: EntityName>(mut params: Params<'_>) -> Result<Put<N>, ApiError> {
    let owner = owner(&mut params);
    let name = params.required("PolicyName");
    let document = document(&mut params, "PolicyDocument");
    params.finish()?;
    Ok(Put { owner: owner?, name: name?, document: document? })
}

fn one<N: EntityName>(mut params: Params<'_>) -> Result<OneOf<N>, ApiError> {
    let owner = owner(&mut params);
    let name = params.required("PolicyName");
    params.finish()?;
    Ok(OneOf { owner: owner?, name: name? })
}

fn list<N: EntityName>(mut params: Params<'_>) -> Result<List<N>, ApiError> {
    let owner = owner(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(List { owner: owner?, page: page? })
}

/// The answer to `GetUserPolicy` and its kin.
pub(crate) fn write_got<N: Display>(
    xml: &mut Xml,
    owner_name: &'static str,
    InlinePolicy { owner, name, document }: &InlinePolicy<N>,
) {
    xml.text(owner_name, owner);
    write_one(xml, name, document);
}

/// An inline policy's name and document.
pub(crate) fn write_one(xml: &mut Xml, name: &str, document: &str) {
    xml.text("PolicyName", name);
    xml.policy_document("PolicyDocument", document);
}

/// The answer to `ListUserPolicies` and its kin.
pub(crate) fn write_listed(xml: &mut Xml, Listing { items, next }: &Listing<String>) {
    xml.texts("PolicyNames", items);
    page_end(xml, next.as_deref());
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use identity::Reply;

    use super::*;
    use crate::call::testing::{check_call, check_reply};

    #[test]
    fn calls_are_read() {
        check_call(
            "Action=PutUserPolicy&UserName=bob&PolicyName=p&PolicyDocument=%7B%7D",
            expect![[
                r#"Command(PutUserPolicy(Put { owner: UserName("bob"), name: PolicyName("p"), document: "{}" }))"#
            ]],
        );
        check_call(
            "Action=PutGroupPolicy&GroupName=devs&PolicyName=p&PolicyDocument=%7B%7D",
            expect![[
                r#"Command(PutGroupPolicy(Put { owner: GroupName("devs"), name: PolicyName("p"), document: "{}" }))"#
            ]],
        );
        check_call(
            "Action=PutRolePolicy&RoleName=deploy&PolicyName=p&PolicyDocument=%7B%7D",
            expect![[
                r#"Command(PutRolePolicy(Put { owner: RoleName("deploy"), name: PolicyName("p"), document: "{}" }))"#
            ]],
        );
        check_call(
            "Action=GetUserPolicy&UserName=bob&PolicyName=p",
            expect![[
                r#"Query(GetUserPolicy(OneOf { owner: UserName("bob"), name: PolicyName("p") }))"#
            ]],
        );
        check_call(
            "Action=GetGroupPolicy&GroupName=devs&PolicyName=p",
            expect![[
                r#"Query(GetGroupPolicy(OneOf { owner: GroupName("devs"), name: PolicyName("p") }))"#
            ]],
        );
        check_call(
            "Action=GetRolePolicy&RoleName=deploy&PolicyName=p",
            expect![[
                r#"Query(GetRolePolicy(OneOf { owner: RoleName("deploy"), name: PolicyName("p") }))"#
            ]],
        );
        check_call(
            "Action=ListUserPolicies&UserName=bob&MaxItems=2",
            expect![[
                r#"Query(ListUserPolicies(List { owner: UserName("bob"), page: Page { marker: None, max_items: 2 } }))"#
            ]],
        );
        check_call(
            "Action=ListGroupPolicies&GroupName=devs",
            expect![[
                r#"Query(ListGroupPolicies(List { owner: GroupName("devs"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=ListRolePolicies&RoleName=deploy",
            expect![[
                r#"Query(ListRolePolicies(List { owner: RoleName("deploy"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=DeleteUserPolicy&UserName=bob&PolicyName=p",
            expect![[
                r#"Command(DeleteUserPolicy(OneOf { owner: UserName("bob"), name: PolicyName("p") }))"#
            ]],
        );
        check_call(
            "Action=DeleteGroupPolicy&GroupName=devs&PolicyName=p",
            expect![[
                r#"Command(DeleteGroupPolicy(OneOf { owner: GroupName("devs"), name: PolicyName("p") }))"#
            ]],
        );
        check_call(
            "Action=DeleteRolePolicy&RoleName=deploy&PolicyName=p",
            expect![[
                r#"Command(DeleteRolePolicy(OneOf { owner: RoleName("deploy"), name: PolicyName("p") }))"#
            ]],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_call(
            "Action=PutUserPolicy",
            expect![
                "ValidationError (400): 3 validation errors detected: Value null at 'userName' failed to satisfy constraint: Member must not be null; Value null at 'policyName' failed to satisfy constraint: Member must not be null; Value null at 'policyDocument' failed to satisfy constraint: Member must not be null"
            ],
        );
        check_call(
            "Action=PutUserPolicy&UserName=bob&PolicyName=a%20b&PolicyDocument=",
            expect![[
                r#"ValidationError (400): 2 validation errors detected: Value 'a b' at 'policyName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+; Value '' at 'policyDocument' failed to satisfy constraint: Member must have length greater than or equal to 1"#
            ]],
        );
        check_call(
            "Action=GetRolePolicy&UserName=bob&PolicyName=p",
            expect![
                "ValidationError (400): 1 validation error detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null"
            ],
        );
        check_call(
            "Action=GetUserPolicy&UserName=bob&PolicyName=p&RoleName=deploy",
            expect!["UnknownParameter (400): The parameter RoleName is not recognized"],
        );
    }

    fn inline<N: EntityName>(owner: &str) -> InlinePolicy<N> {
        InlinePolicy {
            owner: owner.parse().unwrap(),
            name: "p".to_owned(),
            document: r#"{"Statement": "ü+%"}"#.to_owned(),
        }
    }

    #[test]
    fn replies_are_written() {
        check_reply(
            "GetUserPolicy",
            &Reply::GetUserPolicy(inline("bob")),
            expect![[r#"
            <UserName>bob</UserName>
            <PolicyName>p</PolicyName>
            <PolicyDocument>%7B%22Statement%22%3A%20%22%C3%BC%2B%25%22%7D</PolicyDocument>"#]],
        );
        check_reply(
            "GetGroupPolicy",
            &Reply::GetGroupPolicy(inline("devs")),
            expect![[r#"
            <GroupName>devs</GroupName>
            <PolicyName>p</PolicyName>
            <PolicyDocument>%7B%22Statement%22%3A%20%22%C3%BC%2B%25%22%7D</PolicyDocument>"#]],
        );
        check_reply(
            "GetRolePolicy",
            &Reply::GetRolePolicy(inline("deploy")),
            expect![[r#"
            <RoleName>deploy</RoleName>
            <PolicyName>p</PolicyName>
            <PolicyDocument>%7B%22Statement%22%3A%20%22%C3%BC%2B%25%22%7D</PolicyDocument>"#]],
        );
        let names = Listing { items: vec!["p".to_owned(), "q".to_owned()], next: None };
        check_reply(
            "ListUserPolicies",
            &Reply::ListUserPolicies(names.clone()),
            expect![[r#"
            <PolicyNames>
            <member>p</member>
            <member>q</member>
            </PolicyNames>
            <IsTruncated>false</IsTruncated>"#]],
        );
        check_reply(
            "ListGroupPolicies",
            &Reply::ListGroupPolicies(names.clone()),
            expect![[r#"
            <PolicyNames>
            <member>p</member>
            <member>q</member>
            </PolicyNames>
            <IsTruncated>false</IsTruncated>"#]],
        );
        check_reply(
            "ListRolePolicies",
            &Reply::ListRolePolicies(names),
            expect![[r#"
            <PolicyNames>
            <member>p</member>
            <member>q</member>
            </PolicyNames>
            <IsTruncated>false</IsTruncated>"#]],
        );
    }
}
