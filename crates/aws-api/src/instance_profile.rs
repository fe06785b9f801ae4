//! Instance profiles. AWS: `CreateInstanceProfile`, `GetInstanceProfile`, `ListInstanceProfiles`,
//! `ListInstanceProfilesForRole`, `AddRoleToInstanceProfile`, `RemoveRoleFromInstanceProfile`,
//! `DeleteInstanceProfile`.
//!
//! **Invariants.** Elements come in the order of AWS's service model; listings show no tags.
//!
//! **Must not know:** how many roles a profile may have.

use identity::{
    Command, Listing, Query,
    instance_profile::{
        CreateInstanceProfile, InstanceProfile, ListForRole, OneInstanceProfile, RoleInProfile,
    },
};

use crate::{
    ApiError,
    call::{Action, Call, list_by_path, listing, only_owner, page, path},
    form::Params,
    role, tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateInstanceProfile", create),
    Action::new("GetInstanceProfile", |p| {
        let query = OneInstanceProfile { name: only_owner(p)? };
        Ok(Call::Query(Query::GetInstanceProfile(query)))
    }),
    Action::new("ListInstanceProfiles", |p| {
        list_by_path(p).map(Query::ListInstanceProfiles).map(Call::Query)
    }),
    Action::new("ListInstanceProfilesForRole", list_for_role),
    Action::new("AddRoleToInstanceProfile", |p| {
        role_in_profile(p).map(Command::AddRoleToInstanceProfile).map(Call::Command)
    }),
    Action::new("RemoveRoleFromInstanceProfile", |p| {
        role_in_profile(p).map(Command::RemoveRoleFromInstanceProfile).map(Call::Command)
    }),
    Action::new("DeleteInstanceProfile", |p| {
        let command = OneInstanceProfile { name: only_owner(p)? };
        Ok(Call::Command(Command::DeleteInstanceProfile(command)))
    }),
];

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("InstanceProfileName");
    let path = path(&mut params, "Path");
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = CreateInstanceProfile { name: name?, path: path?, tags: tags? };
    Ok(Call::Command(Command::CreateInstanceProfile(command)))
}

fn list_for_role(mut params: Params<'_>) -> Result<Call, ApiError> {
    let role = params.required("RoleName");
    let page = page(&mut params);
    params.finish()?;
    let query = ListForRole { role: role?, page: page? };
    Ok(Call::Query(Query::ListInstanceProfilesForRole(query)))
}

fn role_in_profile(mut params: Params<'_>) -> Result<RoleInProfile, ApiError> {
    let profile = params.required("InstanceProfileName");
    let role = params.required("RoleName");
    params.finish()?;
    Ok(RoleInProfile { profile: profile?, role: role? })
}

/// The answer to `CreateInstanceProfile` and `GetInstanceProfile`.
pub(crate) fn write_one(xml: &mut Xml, profile: &InstanceProfile) {
    xml.element("InstanceProfile", |xml| {
        write(xml, profile);
        tag::write_some(xml, &profile.tags);
    });
}

/// The answer to `ListInstanceProfiles` and `ListInstanceProfilesForRole`.
pub(crate) fn write_listed(xml: &mut Xml, profiles: &Listing<InstanceProfile>) {
    listing(xml, "InstanceProfiles", profiles, write);
}

/// What every answer says of an instance profile.
pub(crate) fn write(xml: &mut Xml, profile: &InstanceProfile) {
    let InstanceProfile { id, name, path, arn, created, roles, tags: _ } = profile;
    xml.text("Path", path);
    xml.text("InstanceProfileName", name);
    xml.text("InstanceProfileId", id);
    xml.text("Arn", arn);
    xml.text("CreateDate", created);
    xml.list("Roles", roles, role::write);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{
        Reply,
        role::{MaxSessionDuration, Role},
        tag::Tag,
    };
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateInstanceProfile&InstanceProfileName=web",
                "Action=CreateInstanceProfile&InstanceProfileName=web&Path=%2Fx%2F\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetInstanceProfile&InstanceProfileName=web",
                "Action=ListInstanceProfiles&PathPrefix=%2Fx%2F&MaxItems=3",
                "Action=ListInstanceProfilesForRole&RoleName=deploy&MaxItems=3",
                "Action=AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=deploy",
                "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=web&RoleName=deploy",
                "Action=DeleteInstanceProfile&InstanceProfileName=web",
            ],
            expect_file!["../testdata/instance_profile-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=CreateInstanceProfile&Path=x",
                "Action=AddRoleToInstanceProfile",
                &format!(
                    "Action=AddRoleToInstanceProfile&InstanceProfileName={}&RoleName={}",
                    "a".repeat(129),
                    "a".repeat(65)
                ),
                "Action=GetInstanceProfile&InstanceProfileName=a%2Fb",
                "Action=ListInstanceProfiles&RoleName=deploy",
            ],
            expect_file!["../testdata/instance_profile-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let role = Role {
            id: "AROAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "deploy".parse().unwrap(),
            path: "/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:role/deploy".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            trust_policy: r#"{"Version": "2012-10-17"}"#.to_owned(),
            description: Some("unseen here".to_owned()),
            max_session_duration: MaxSessionDuration::DEFAULT,
            boundary: None,
            tags: Vec::new(),
        };
        let profile = InstanceProfile {
            id: "AIPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "web".parse().unwrap(),
            path: "/x/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:instance-profile/x/web".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            roles: vec![role],
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        };
        let new = InstanceProfile { roles: Vec::new(), tags: Vec::new(), ..profile.clone() };
        let profiles = Listing { items: vec![profile.clone()], next: Some("web".to_owned()) };
        check_replies(
            [
                ("CreateInstanceProfile", Reply::CreateInstanceProfile(new)),
                ("GetInstanceProfile", Reply::GetInstanceProfile(profile)),
                ("ListInstanceProfiles", Reply::ListInstanceProfiles(profiles.clone())),
                ("ListInstanceProfilesForRole", Reply::ListInstanceProfilesForRole(profiles)),
            ],
            expect_file!["../testdata/instance_profile-replies.txt"],
        );
    }
}
