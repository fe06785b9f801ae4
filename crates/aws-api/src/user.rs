//! Users. AWS: `CreateUser`, `GetUser`, `ListUsers`, `UpdateUser`, `DeleteUser`.
//!
//! **Invariants.** Elements come in the order of AWS's service model. `ListUsers` and `GetGroup`
//! show neither boundary nor tags, as on AWS.
//!
//! **Must not know:** which users there are.

use identity::{
    Command, Listing, Query, Rename,
    user::{CreateUser, DeleteUser, GetUser, GotUser, User},
};
use model::UserName;

use crate::{
    ApiError, boundary,
    call::{Action, Call, list_by_path, listing, only_owner, path},
    form::Params,
    tag,
    xml::Xml,
};

/// The greatest length of a new user's name. AWS: `userNameType`; where a user is named that should
/// exist, most actions take the longer `existingUserNameType`, which is [`UserName`].
pub(crate) const USER_NAME_CHARS_MAX: usize = 64;

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateUser", create),
    Action::new("GetUser", get),
    Action::new("ListUsers", |p| list_by_path(p).map(Query::ListUsers).map(Call::Query)),
    Action::new("UpdateUser", update),
    Action::new("DeleteUser", |p| {
        Ok(Call::Command(Command::DeleteUser(DeleteUser { name: only_owner(p)? })))
    }),
];

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required_up_to("UserName", USER_NAME_CHARS_MAX);
    let path = path(&mut params, "Path");
    let boundary = boundary::read(&mut params);
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = CreateUser { name: name?, path: path?, boundary: boundary?, tags: tags? };
    Ok(Call::Command(Command::CreateUser(command)))
}

fn get(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.optional("UserName");
    params.finish()?;
    Ok(Call::Query(Query::GetUser(GetUser { name: name? })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required::<UserName>("UserName");
    let new_name = params.optional_up_to("NewUserName", USER_NAME_CHARS_MAX);
    let new_path = params.optional("NewPath");
    params.finish()?;
    let command = Rename { name: name?, new_name: new_name?, new_path: new_path? };
    Ok(Call::Command(Command::UpdateUser(command)))
}

/// The answer to `CreateUser`.
pub(crate) fn write_created(xml: &mut Xml, user: &User) {
    xml.element("User", |xml| {
        write(xml, user);
        boundary::write(xml, user.boundary.as_ref());
        tag::write_some(xml, &user.tags);
    });
}

/// The answer to `GetUser`.
pub(crate) fn write_got(xml: &mut Xml, got: &GotUser) {
    match got {
        GotUser::User(user) => write_created(xml, user),
        GotUser::Root { .. } => write_listed_got(xml, got),
    }
}

/// A user in the answer to `ListVirtualMFADevices`, without its boundary and tags.
pub(crate) fn write_listed_got(xml: &mut Xml, got: &GotUser) {
    xml.element("User", |xml| match got {
        GotUser::User(user) => write(xml, user),
        GotUser::Root { arn, created } => {
            xml.text("UserId", arn.account());
            xml.text("Arn", arn);
            xml.text("CreateDate", created);
        }
    });
}

/// The answer to `ListUsers`.
pub(crate) fn write_listed(xml: &mut Xml, users: &Listing<User>) {
    listing(xml, "Users", users, write);
}

/// A user without its tags.
pub(crate) fn write(xml: &mut Xml, user: &User) {
    let User { id, name, path, arn, created, boundary: _, tags: _ } = user;
    xml.text("Path", path);
    xml.text("UserName", name);
    xml.text("UserId", id);
    xml.text("Arn", arn);
    xml.text("CreateDate", created);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::{
        Service,
        call::testing::{check_calls, check_replies},
        form::Form,
    };

    fn user(tags: &[(&str, &str)]) -> User {
        User {
            id: "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "bob".parse().unwrap(),
            path: "/x/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:user/x/bob".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            boundary: None,
            tags: tags
                .iter()
                .map(|(key, value)| Tag {
                    key: key.parse().unwrap(),
                    value: value.parse().unwrap(),
                })
                .collect(),
        }
    }

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateUser&UserName=bob",
                "Action=CreateUser&UserName=bob&Path=%2Fx%2F&Tags.member.1.Key=a&Tags.member.1.Value=",
                "Action=CreateUser&UserName=bob&PermissionsBoundary=arn:aws:iam::aws:policy/A",
                "Action=GetUser",
                "Action=GetUser&UserName=bob",
                "Action=ListUsers",
                "Action=ListUsers&PathPrefix=%2Fx",
                "Action=UpdateUser&UserName=bob&NewUserName=al&NewPath=%2F",
                "Action=UpdateUser&UserName=bob",
                "Action=DeleteUser&UserName=bob",
            ],
            expect_file!["../testdata/user-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let tags = |n: usize| {
            let tag = |n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=");
            (1..=n).map(tag).collect::<String>()
        };
        let most = format!("Action=CreateUser&UserName=bob&Version=2010-05-08{}", tags(50));
        let most = Form::parse("application/x-www-form-urlencoded", most.as_bytes()).unwrap();
        assert!(crate::parse(Service::Iam, &most).is_ok());
        check_calls(
            &[
                "Action=CreateUser",
                "Action=CreateUser&UserName=a%2Fb&Path=x",
                &format!("Action=CreateUser&UserName={}", "a".repeat(65)),
                "Action=CreateUser&UserName=bob&PermissionsBoundary=arn:aws:iam::aws:user/A",
                "Action=DeleteUser&UserName=bob&Force=true",
                "Action=UpdateUser&UserName=bob&NewUserName=",
                &format!("Action=CreateUser&UserName=bob{}", tags(51)),
            ],
            expect_file!["../testdata/user-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let bounded = User {
            boundary: Some("arn:aws:iam::aws:policy/A".to_owned()),
            ..user(&[("team", "a")])
        };
        let [bare, tagged] = [user(&[]), user(&[("team", "a+b @ c")])];
        let root = GotUser::Root {
            arn: "arn:aws:iam::123456789012:root".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
        };
        let users = Listing { items: vec![tagged.clone()], next: Some("bob AIDA".to_owned()) };
        check_replies(
            [
                ("CreateUser", Reply::CreateUser(bare)),
                ("CreateUser", Reply::CreateUser(tagged.clone())),
                ("GetUser", Reply::GetUser(GotUser::User(bounded))),
                ("GetUser", Reply::GetUser(GotUser::User(tagged))),
                ("GetUser", Reply::GetUser(root)),
                ("ListUsers", Reply::ListUsers(users)),
                ("ListUsers", Reply::ListUsers(Listing { items: Vec::new(), next: None })),
            ],
            expect_file!["../testdata/user-replies.txt"],
        );
    }
}
