//! Roles. AWS: `CreateRole`, `GetRole`, `ListRoles`, `UpdateRole`, `UpdateRoleDescription`,
//! `UpdateAssumeRolePolicy`, `DeleteRole`.
//!
//! **Invariants.** Each answer has the elements that AWS was seen to answer: `CreateRole` no
//! maximum session duration, `ListRoles` neither boundary nor
//! tags, and only `GetRole` when the role was last used.
//!
//! **Must not know:** whom a role trusts.

use identity::{
    Command, Listing, Query,
    role::{
        CreateRole, DeleteRole, GetRole, MaxSessionDuration, Role, UpdateAssumeRolePolicy,
        UpdateRole, UpdateRoleDescription,
    },
};

use crate::{
    ApiError, boundary,
    call::{Action, Call, list_by_path, listing, only_owner, path},
    form::{Params, Violation},
    policy::document,
    tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateRole", create),
    Action::new("GetRole", |p| Ok(Call::Query(Query::GetRole(GetRole { name: only_owner(p)? })))),
    Action::new("ListRoles", |p| list_by_path(p).map(Query::ListRoles).map(Call::Query)),
    Action::new("UpdateRole", update),
    Action::new("UpdateRoleDescription", update_description),
    Action::new("UpdateAssumeRolePolicy", update_trust_policy),
    Action::new("DeleteRole", |p| {
        Ok(Call::Command(Command::DeleteRole(DeleteRole { name: only_owner(p)? })))
    }),
];

fn max_session_duration(params: &mut Params<'_>) -> Result<Option<MaxSessionDuration>, Violation> {
    let secs = params.optional_integer("MaxSessionDuration", 3600, 43_200)?;
    Ok(secs.map(|secs| MaxSessionDuration::new(secs).expect("its bounds were checked")))
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("RoleName");
    let path = path(&mut params, "Path");
    let trust_policy = document(&mut params, "AssumeRolePolicyDocument");
    let description = params.optional("Description");
    let max_session_duration = max_session_duration(&mut params);
    let boundary = boundary::read(&mut params);
    let tags = tag::read(&mut params);
    params.finish()?;
    Ok(Call::Command(Command::CreateRole(CreateRole {
        name: name?,
        path: path?,
        trust_policy: trust_policy?,
        description: description?,
        max_session_duration: max_session_duration?,
        boundary: boundary?,
        tags: tags?,
    })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("RoleName");
    let description = params.optional("Description");
    let max_session_duration = max_session_duration(&mut params);
    params.finish()?;
    Ok(Call::Command(Command::UpdateRole(UpdateRole {
        name: name?,
        description: description?,
        max_session_duration: max_session_duration?,
    })))
}

fn update_description(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("RoleName");
    let description = params.required("Description");
    params.finish()?;
    let command = UpdateRoleDescription { name: name?, description: description? };
    Ok(Call::Command(Command::UpdateRoleDescription(command)))
}

fn update_trust_policy(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("RoleName");
    let trust_policy = document(&mut params, "PolicyDocument");
    params.finish()?;
    let command = UpdateAssumeRolePolicy { name: name?, trust_policy: trust_policy? };
    Ok(Call::Command(Command::UpdateAssumeRolePolicy(command)))
}

/// The answer to `CreateRole`.
pub(crate) fn write_created(xml: &mut Xml, role: &Role) {
    xml.element("Role", |xml| {
        write(xml, role);
        xml.optional("Description", role.description.as_ref());
        boundary::write(xml, role.boundary.as_ref());
        tag::write_some(xml, &role.tags);
    });
}

/// The answer to `UpdateRoleDescription`.
pub(crate) fn write_updated(xml: &mut Xml, role: &Role) {
    xml.element("Role", |xml| {
        write_settings(xml, role);
        boundary::write(xml, role.boundary.as_ref());
    });
}

/// The answer to `GetRole`.
pub(crate) fn write_got(xml: &mut Xml, role: &Role) {
    xml.element("Role", |xml| {
        write_settings(xml, role);
        boundary::write(xml, role.boundary.as_ref());
        tag::write_some(xml, &role.tags);
        // AWS: an empty element says that no use is on record.
        xml.element("RoleLastUsed", |_| ());
    });
}

/// The answer to `ListRoles`.
pub(crate) fn write_listed(xml: &mut Xml, roles: &Listing<Role>) {
    listing(xml, "Roles", roles, write_settings);
}

fn write_settings(xml: &mut Xml, role: &Role) {
    write(xml, role);
    xml.optional("Description", role.description.as_ref());
    xml.text("MaxSessionDuration", role.max_session_duration.secs());
}

/// What every answer says of a role.
pub(crate) fn write(xml: &mut Xml, role: &Role) {
    let Role {
        id,
        name,
        path,
        arn,
        created,
        trust_policy,
        description: _,
        max_session_duration: _,
        boundary: _,
        tags: _,
    } = role;
    xml.text("Path", path);
    xml.text("RoleName", name);
    xml.text("RoleId", id);
    xml.text("Arn", arn);
    xml.text("CreateDate", created);
    xml.policy_document("AssumeRolePolicyDocument", trust_policy);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    fn role() -> Role {
        Role {
            id: "AROAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "deploy".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:role/deploy".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            trust_policy: r#"{"Version": "2012-10-17"}"#.to_owned(),
            description: Some("for <CI>".to_owned()),
            max_session_duration: MaxSessionDuration::DEFAULT,
            boundary: Some("arn:aws:iam::aws:policy/PowerUserAccess".to_owned()),
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        }
    }

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D",
                "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D&Path=%2Fx%2F\
           &Description=CI&MaxSessionDuration=43200&Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetRole&RoleName=deploy",
                "Action=ListRoles&PathPrefix=%2Fx%2F",
                "Action=UpdateRole&RoleName=deploy&Description=&MaxSessionDuration=3600",
                "Action=UpdateRoleDescription&RoleName=deploy&Description=CI",
                "Action=UpdateAssumeRolePolicy&RoleName=deploy&PolicyDocument=%7B%7D",
                "Action=DeleteRole&RoleName=deploy",
            ],
            expect_file!["../testdata/role-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=CreateRole",
                "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%C4%80\
           &MaxSessionDuration=3599&Description=%7F",
                "Action=UpdateRole&RoleName=deploy&MaxSessionDuration=43201",
                "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D\
           &PermissionsBoundary=arn:aws:iam::aws:policy/A",
            ],
            expect_file!["../testdata/role-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let roles = Listing { items: vec![role()], next: None };
        let bare = Role { description: None, tags: Vec::new(), ..role() };
        check_replies(
            [
                ("CreateRole", Reply::CreateRole(role())),
                ("GetRole", Reply::GetRole(role())),
                ("UpdateRoleDescription", Reply::UpdateRoleDescription(role())),
                ("ListRoles", Reply::ListRoles(roles)),
                ("CreateRole", Reply::CreateRole(bare)),
            ],
            expect_file!["../testdata/role-replies.txt"],
        );
    }
}
