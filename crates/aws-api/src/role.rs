//! Roles. AWS: `CreateRole`, `GetRole`, `ListRoles`, `UpdateRole`, `UpdateRoleDescription`,
//! `UpdateAssumeRolePolicy`, `DeleteRole`.
//!
//! **Invariants.** Each answer has the elements that AWS was seen to answer: `CreateRole` no maximum
//! session duration, `ListRoles` no tags, and only `GetRole` when the role was last used.
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
    ApiError,
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
    let tags = tag::read(&mut params);
    params.finish()?;
    Ok(Call::Command(Command::CreateRole(CreateRole {
        name: name?,
        path: path?,
        trust_policy: trust_policy?,
        description: description?,
        max_session_duration: max_session_duration?,
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
        tag::write_some(xml, &role.tags);
    });
}

/// The answer to `UpdateRoleDescription`.
pub(crate) fn write_updated(xml: &mut Xml, role: &Role) {
    xml.element("Role", |xml| write_settings(xml, role));
}

/// The answer to `GetRole`.
pub(crate) fn write_got(xml: &mut Xml, role: &Role) {
    xml.element("Role", |xml| {
        write_settings(xml, role);
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
    use expect_test::expect;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_call, check_reply};

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
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        }
    }

    #[test]
    fn calls_are_read() {
        check_call(
            "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D",
            expect![[
                r#"Command(CreateRole(CreateRole { name: RoleName("deploy"), path: Path("/"), trust_policy: "{}", description: None, max_session_duration: None, tags: [] }))"#
            ]],
        );
        check_call(
            "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D&Path=%2Fx%2F\
           &Description=CI&MaxSessionDuration=43200&Tags.member.1.Key=a&Tags.member.1.Value=b",
            expect![[
                r#"Command(CreateRole(CreateRole { name: RoleName("deploy"), path: Path("/x/"), trust_policy: "{}", description: Some(Description("CI")), max_session_duration: Some(MaxSessionDuration(43200)), tags: [Tag { key: TagKey("a"), value: TagValue("b") }] }))"#
            ]],
        );
        check_call(
            "Action=GetRole&RoleName=deploy",
            expect![[r#"Query(GetRole(GetRole { name: RoleName("deploy") }))"#]],
        );
        check_call(
            "Action=ListRoles&PathPrefix=%2Fx%2F",
            expect![[
                r#"Query(ListRoles(ListByPath { path_prefix: PathPrefix("/x/"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=UpdateRole&RoleName=deploy&Description=&MaxSessionDuration=3600",
            expect![[
                r#"Command(UpdateRole(UpdateRole { name: RoleName("deploy"), description: Some(Description("")), max_session_duration: Some(MaxSessionDuration(3600)) }))"#
            ]],
        );
        check_call(
            "Action=UpdateRoleDescription&RoleName=deploy&Description=CI",
            expect![[
                r#"Command(UpdateRoleDescription(UpdateRoleDescription { name: RoleName("deploy"), description: Description("CI") }))"#
            ]],
        );
        check_call(
            "Action=UpdateAssumeRolePolicy&RoleName=deploy&PolicyDocument=%7B%7D",
            expect![[
                r#"Command(UpdateAssumeRolePolicy(UpdateAssumeRolePolicy { name: RoleName("deploy"), trust_policy: "{}" }))"#
            ]],
        );
        check_call(
            "Action=DeleteRole&RoleName=deploy",
            expect![[r#"Command(DeleteRole(DeleteRole { name: RoleName("deploy") }))"#]],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_call(
            "Action=CreateRole",
            expect![
                "ValidationError (400): 2 validation errors detected: Value null at 'roleName' failed to satisfy constraint: Member must not be null; Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must not be null"
            ],
        );
        check_call(
            "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%C4%80\
           &MaxSessionDuration=3599&Description=%7F",
            expect![[
                r#"ValidationError (400): 3 validation errors detected: Value 'Ā' at 'assumeRolePolicyDocument' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+; Value '' at 'description' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*; Value '3599' at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"#
            ]],
        );
        check_call(
            "Action=UpdateRole&RoleName=deploy&MaxSessionDuration=43201",
            expect![
                "ValidationError (400): 1 validation error detected: Value '43201' at 'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200"
            ],
        );
        check_call(
            "Action=CreateRole&RoleName=deploy&AssumeRolePolicyDocument=%7B%7D\
           &PermissionsBoundary=arn:aws:iam::aws:policy/A",
            expect!["UnknownParameter (400): The parameter PermissionsBoundary is not recognized"],
        );
    }

    #[test]
    fn replies_are_written() {
        check_reply(
            "CreateRole",
            &Reply::CreateRole(role()),
            expect![[r#"
            <Role>
            <Path>/</Path>
            <RoleName>deploy</RoleName>
            <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
            <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
            <Description>for &lt;CI&gt;</Description>
            <Tags>
            <member>
            <Key>team</Key>
            <Value>a</Value>
            </member>
            </Tags>
            </Role>"#]],
        );
        check_reply(
            "GetRole",
            &Reply::GetRole(role()),
            expect![[r#"
            <Role>
            <Path>/</Path>
            <RoleName>deploy</RoleName>
            <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
            <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
            <Description>for &lt;CI&gt;</Description>
            <MaxSessionDuration>3600</MaxSessionDuration>
            <Tags>
            <member>
            <Key>team</Key>
            <Value>a</Value>
            </member>
            </Tags>
            <RoleLastUsed>
            </RoleLastUsed>
            </Role>"#]],
        );
        check_reply(
            "UpdateRoleDescription",
            &Reply::UpdateRoleDescription(role()),
            expect![[r#"
            <Role>
            <Path>/</Path>
            <RoleName>deploy</RoleName>
            <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
            <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
            <Description>for &lt;CI&gt;</Description>
            <MaxSessionDuration>3600</MaxSessionDuration>
            </Role>"#]],
        );
        let roles = Listing { items: vec![role()], next: None };
        check_reply(
            "ListRoles",
            &Reply::ListRoles(roles),
            expect![[r#"
            <Roles>
            <member>
            <Path>/</Path>
            <RoleName>deploy</RoleName>
            <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
            <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
            <Description>for &lt;CI&gt;</Description>
            <MaxSessionDuration>3600</MaxSessionDuration>
            </member>
            </Roles>
            <IsTruncated>false</IsTruncated>"#]],
        );
        let bare = Role { description: None, tags: Vec::new(), ..role() };
        check_reply(
            "CreateRole",
            &Reply::CreateRole(bare),
            expect![[r#"
            <Role>
            <Path>/</Path>
            <RoleName>deploy</RoleName>
            <RoleId>AROAQ3EGRIM6LD2W5YX7A</RoleId>
            <Arn>arn:aws:iam::123456789012:role/deploy</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <AssumeRolePolicyDocument>%7B%22Version%22%3A%20%222012-10-17%22%7D</AssumeRolePolicyDocument>
            </Role>"#]],
        );
    }
}
