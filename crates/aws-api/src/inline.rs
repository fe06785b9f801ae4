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
    use expect_test::expect_file;
    use identity::Reply;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=PutUserPolicy&UserName=bob&PolicyName=p&PolicyDocument=%7B%7D",
                "Action=PutGroupPolicy&GroupName=devs&PolicyName=p&PolicyDocument=%7B%7D",
                "Action=PutRolePolicy&RoleName=deploy&PolicyName=p&PolicyDocument=%7B%7D",
                "Action=GetUserPolicy&UserName=bob&PolicyName=p",
                "Action=GetGroupPolicy&GroupName=devs&PolicyName=p",
                "Action=GetRolePolicy&RoleName=deploy&PolicyName=p",
                "Action=ListUserPolicies&UserName=bob&MaxItems=2",
                "Action=ListGroupPolicies&GroupName=devs",
                "Action=ListRolePolicies&RoleName=deploy",
                "Action=DeleteUserPolicy&UserName=bob&PolicyName=p",
                "Action=DeleteGroupPolicy&GroupName=devs&PolicyName=p",
                "Action=DeleteRolePolicy&RoleName=deploy&PolicyName=p",
            ],
            expect_file!["../testdata/inline-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=PutUserPolicy",
                "Action=PutUserPolicy&UserName=bob&PolicyName=a%20b&PolicyDocument=",
                "Action=GetRolePolicy&UserName=bob&PolicyName=p",
                "Action=GetUserPolicy&UserName=bob&PolicyName=p&RoleName=deploy",
            ],
            expect_file!["../testdata/inline-refusals.txt"],
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
        let names = Listing { items: vec!["p".to_owned(), "q".to_owned()], next: None };
        check_replies(
            [
                ("GetUserPolicy", Reply::GetUserPolicy(inline("bob"))),
                ("GetGroupPolicy", Reply::GetGroupPolicy(inline("devs"))),
                ("GetRolePolicy", Reply::GetRolePolicy(inline("deploy"))),
                ("ListUserPolicies", Reply::ListUserPolicies(names.clone())),
                ("ListGroupPolicies", Reply::ListGroupPolicies(names.clone())),
                ("ListRolePolicies", Reply::ListRolePolicies(names)),
            ],
            expect_file!["../testdata/inline-replies.txt"],
        );
    }
}
