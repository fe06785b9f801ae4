//! Which managed policies are attached to whom. AWS: `AttachUserPolicy`, `DetachUserPolicy`,
//! `ListAttachedUserPolicies` and their kin, `ListEntitiesForPolicy`.
//!
//! **Invariants.** The three kinds differ in the name of one parameter only.
//!
//! **Must not know:** what a policy says.

use std::{fmt::Display, str::FromStr};

use identity::{
    Command, EntityName, Listing, Noun, Query,
    attachment::{
        AttachedPolicy, Edge, Entities, EntityFilter, ListAttached, ListEntities, PolicyUsage,
    },
};
use model::{Constraint, Path, PolicyPath, UniqueId};

use crate::{
    ApiError,
    call::{Action, Call, listing, owner, page, page_end, path_prefix},
    form::{Params, Violation},
    policy::policy_arn,
    user::USER_NAME_CHARS_MAX,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("AttachUserPolicy", |p| edge(p).map(Command::AttachUserPolicy).map(Call::Command)),
    Action::new("AttachGroupPolicy", |p| {
        edge(p).map(Command::AttachGroupPolicy).map(Call::Command)
    }),
    Action::new("AttachRolePolicy", |p| edge(p).map(Command::AttachRolePolicy).map(Call::Command)),
    Action::new("DetachUserPolicy", |p| edge(p).map(Command::DetachUserPolicy).map(Call::Command)),
    Action::new("DetachGroupPolicy", |p| {
        edge(p).map(Command::DetachGroupPolicy).map(Call::Command)
    }),
    Action::new("DetachRolePolicy", |p| edge(p).map(Command::DetachRolePolicy).map(Call::Command)),
    Action::new("ListAttachedUserPolicies", |p| {
        list(p).map(Query::ListAttachedUserPolicies).map(Call::Query)
    }),
    Action::new("ListAttachedGroupPolicies", |p| {
        list(p).map(Query::ListAttachedGroupPolicies).map(Call::Query)
    }),
    Action::new("ListAttachedRolePolicies", |p| {
        list(p).map(Query::ListAttachedRolePolicies).map(Call::Query)
    }),
    Action::new("ListEntitiesForPolicy", list_entities),
];

/// Whose attached policies, or permissions boundary, are meant. AWS: `userNameType`, shorter than
/// elsewhere.
pub(crate) fn attached_owner<N: EntityName>(params: &mut Params<'_>) -> Result<N, ApiError> {
    if N::NOUN == Noun::User {
        return Ok(params.required_up_to("UserName", USER_NAME_CHARS_MAX)?);
    }
    owner(params)
}

fn edge<N: EntityName>(mut params: Params<'_>) -> Result<Edge<N>, ApiError> {
    let owner = attached_owner(&mut params);
    let policy = policy_arn(&mut params);
    params.finish()?;
    Ok(Edge { owner: owner?, policy: policy? })
}

fn list<N: EntityName>(mut params: Params<'_>) -> Result<ListAttached<N>, ApiError> {
    let owner = attached_owner(&mut params);
    let path_prefix = path_prefix::<PolicyPath>(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(ListAttached { owner: owner?, path_prefix: path_prefix?, page: page? })
}

/// AWS: `EntityType`.
struct FilterWord(EntityFilter);

impl FromStr for FilterWord {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        const WORDS: &[&str] = &["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"];
        match text {
            "User" => Ok(Self(EntityFilter::Users)),
            "Role" => Ok(Self(EntityFilter::Roles)),
            "Group" => Ok(Self(EntityFilter::Groups)),
            // What a policy cannot be attached to.
            "LocalManagedPolicy" | "AWSManagedPolicy" => Ok(Self(EntityFilter::None)),
            _ => Err(Constraint::Enum(WORDS)),
        }
    }
}

/// AWS: `PolicyUsageType`.
struct UsageWord(PolicyUsage);

impl FromStr for UsageWord {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text {
            "PermissionsPolicy" => Ok(Self(PolicyUsage::Permissions)),
            "PermissionsBoundary" => Ok(Self(PolicyUsage::Boundary)),
            _ => Err(Constraint::Enum(&["PermissionsPolicy", "PermissionsBoundary"])),
        }
    }
}

/// The parameter `PolicyUsageFilter`.
pub(crate) fn usage(params: &mut Params<'_>) -> Result<PolicyUsage, Violation> {
    let word = params.optional("PolicyUsageFilter")?;
    Ok(word.map_or(PolicyUsage::Any, |UsageWord(usage)| usage))
}

fn list_entities(mut params: Params<'_>) -> Result<Call, ApiError> {
    let policy = policy_arn(&mut params);
    let filter = params.optional("EntityFilter");
    let usage = usage(&mut params);
    let path_prefix = path_prefix::<Path>(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListEntitiesForPolicy(ListEntities {
        policy: policy?,
        filter: filter?.map_or(EntityFilter::All, |FilterWord(filter)| filter),
        usage: usage?,
        path_prefix: path_prefix?,
        page: page?,
    })))
}

/// The answer to `ListAttachedUserPolicies` and its kin.
pub(crate) fn write_listed(xml: &mut Xml, policies: &Listing<AttachedPolicy>) {
    listing(xml, "AttachedPolicies", policies, write);
}

/// An attached policy.
pub(crate) fn write(xml: &mut Xml, AttachedPolicy { arn, name }: &AttachedPolicy) {
    xml.text("PolicyName", name);
    xml.text("PolicyArn", arn);
}

/// The answer to `ListEntitiesForPolicy`.
pub(crate) fn write_entities(xml: &mut Xml, entities: &Entities) {
    let Entities { users, groups, roles, next } = entities;
    write_kind(xml, ["PolicyGroups", "GroupName", "GroupId"], groups);
    write_kind(xml, ["PolicyUsers", "UserName", "UserId"], users);
    write_kind(xml, ["PolicyRoles", "RoleName", "RoleId"], roles);
    page_end(xml, next.as_deref());
}

fn write_kind<N: Display>(
    xml: &mut Xml,
    [list, name, id]: [&'static str; 3],
    entities: &[(N, UniqueId)],
) {
    xml.list(list, entities, |xml, (its_name, its_id)| {
        xml.text(name, its_name);
        xml.text(id, its_id);
    });
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
                "Action=AttachUserPolicy&UserName=bob&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=AttachGroupPolicy&GroupName=devs&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=AttachRolePolicy&RoleName=deploy&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=DetachUserPolicy&UserName=bob&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=DetachGroupPolicy&GroupName=devs&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=DetachRolePolicy&RoleName=deploy&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=ListAttachedUserPolicies&UserName=bob&PathPrefix=%2Fx%2F",
                "Action=ListAttachedGroupPolicies&GroupName=devs",
                "Action=ListAttachedRolePolicies&RoleName=deploy&MaxItems=1",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read&EntityFilter=User",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read&EntityFilter=Role",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read&EntityFilter=Group",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read\
           &PolicyUsageFilter=PermissionsPolicy",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read\
           &PolicyUsageFilter=PermissionsBoundary",
            ],
            expect_file!["../testdata/attachment-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=AttachUserPolicy",
                "Action=AttachUserPolicy&UserName=bob&PolicyArn=AdministratorAccess",
                "Action=AttachUserPolicy&UserName=bob&PolicyArn=arn:aws:iam::123:policy/Read",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read&EntityFilter=user",
                "Action=ListEntitiesForPolicy&PolicyArn=arn:aws:iam::aws:policy/Read\
           &PolicyUsageFilter=Policy",
            ],
            expect_file!["../testdata/attachment-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let policy = AttachedPolicy {
            arn: "arn:aws:iam::aws:policy/Read".to_owned(),
            name: "Read".to_owned(),
        };
        let policies = Listing { items: vec![policy], next: None };
        let entities = Entities {
            users: vec![("bob".parse().unwrap(), "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap())],
            groups: vec![("devs".parse().unwrap(), "AGPAQ3EGRIM6LD2W5YX7A".parse().unwrap())],
            roles: vec![("deploy".parse().unwrap(), "AROAQ3EGRIM6LD2W5YX7A".parse().unwrap())],
            next: Some("x".to_owned()),
        };
        check_replies(
            [
                ("ListAttachedUserPolicies", Reply::ListAttachedUserPolicies(policies.clone())),
                ("ListAttachedGroupPolicies", Reply::ListAttachedGroupPolicies(policies.clone())),
                ("ListAttachedRolePolicies", Reply::ListAttachedRolePolicies(policies)),
                ("ListEntitiesForPolicy", Reply::ListEntitiesForPolicy(entities)),
            ],
            expect_file!["../testdata/attachment-replies.txt"],
        );
    }
}
