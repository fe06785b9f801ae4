//! Groups and their members. AWS: `CreateGroup`, `GetGroup`, `ListGroups`, `UpdateGroup`,
//! `DeleteGroup`, `AddUserToGroup`, `RemoveUserFromGroup`, `ListGroupsForUser`.
//!
//! **Invariants.** Elements come in the order of AWS's service model.
//!
//! **Must not know:** who is in a group.

use identity::{
    Command, Listing, Query, Rename,
    group::{CreateGroup, DeleteGroup, GetGroup, GotGroup, Group, ListGroupsForUser, Membership},
};
use model::GroupName;

use crate::{
    ApiError,
    call::{Action, Call, list_by_path, listing, only_owner, page, path},
    form::Params,
    user,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateGroup", create),
    Action::new("GetGroup", get),
    Action::new("ListGroups", |p| list_by_path(p).map(Query::ListGroups).map(Call::Query)),
    Action::new("UpdateGroup", update),
    Action::new("DeleteGroup", |p| {
        Ok(Call::Command(Command::DeleteGroup(DeleteGroup { name: only_owner(p)? })))
    }),
    Action::new("AddUserToGroup", |p| {
        membership(p).map(Command::AddUserToGroup).map(Call::Command)
    }),
    Action::new("RemoveUserFromGroup", |p| {
        membership(p).map(Command::RemoveUserFromGroup).map(Call::Command)
    }),
    Action::new("ListGroupsForUser", list_for_user),
];

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("GroupName");
    let path = path(&mut params, "Path");
    params.finish()?;
    Ok(Call::Command(Command::CreateGroup(CreateGroup { name: name?, path: path? })))
}

fn get(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("GroupName");
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::GetGroup(GetGroup { name: name?, page: page? })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required::<GroupName>("GroupName");
    let new_name = params.optional("NewGroupName");
    let new_path = params.optional("NewPath");
    params.finish()?;
    let command = Rename { name: name?, new_name: new_name?, new_path: new_path? };
    Ok(Call::Command(Command::UpdateGroup(command)))
}

fn membership(mut params: Params<'_>) -> Result<Membership, ApiError> {
    let group = params.required("GroupName");
    let user = params.required("UserName");
    params.finish()?;
    Ok(Membership { group: group?, user: user? })
}

fn list_for_user(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.required("UserName");
    let page = page(&mut params);
    params.finish()?;
    let query = ListGroupsForUser { user: user?, page: page? };
    Ok(Call::Query(Query::ListGroupsForUser(query)))
}

/// The answer to `CreateGroup`.
pub(crate) fn write_created(xml: &mut Xml, group: &Group) {
    xml.element("Group", |xml| write(xml, group));
}

/// The answer to `GetGroup`.
pub(crate) fn write_got(xml: &mut Xml, GotGroup { group, users }: &GotGroup) {
    write_created(xml, group);
    user::write_listed(xml, users);
}

/// The answer to `ListGroups` and `ListGroupsForUser`.
pub(crate) fn write_listed(xml: &mut Xml, groups: &Listing<Group>) {
    listing(xml, "Groups", groups, write);
}

/// A group.
pub(crate) fn write(xml: &mut Xml, group: &Group) {
    let Group { id, name, path, arn, created } = group;
    xml.text("Path", path);
    xml.text("GroupName", name);
    xml.text("GroupId", id);
    xml.text("Arn", arn);
    xml.text("CreateDate", created);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::Reply;
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{bob, check_calls, check_replies};

    fn group() -> Group {
        Group {
            id: "AGPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "devs".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:group/devs".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
        }
    }

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateGroup&GroupName=devs&Path=%2Fx%2F",
                "Action=GetGroup&GroupName=devs&MaxItems=2",
                "Action=ListGroups",
                "Action=UpdateGroup&GroupName=devs&NewGroupName=ops&NewPath=%2Fx%2F",
                "Action=DeleteGroup&GroupName=devs",
                "Action=AddUserToGroup&GroupName=devs&UserName=bob",
                "Action=RemoveUserFromGroup&GroupName=devs&UserName=bob",
                "Action=ListGroupsForUser&UserName=bob",
            ],
            expect_file!["../testdata/group-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=AddUserToGroup",
                &format!("Action=CreateGroup&GroupName={}", "g".repeat(129)),
                "Action=CreateGroup&GroupName=devs&Tags.member.1.Key=a&Tags.member.1.Value=b",
            ],
            expect_file!["../testdata/group-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let user = bob();
        let users = Listing { items: vec![user], next: None };
        let groups = Listing { items: vec![group()], next: None };
        check_replies(
            [
                ("CreateGroup", Reply::CreateGroup(group())),
                ("GetGroup", Reply::GetGroup(GotGroup { group: group(), users })),
                ("ListGroups", Reply::ListGroups(groups.clone())),
                ("ListGroupsForUser", Reply::ListGroupsForUser(groups)),
            ],
            expect_file!["../testdata/group-replies.txt"],
        );
    }
}
