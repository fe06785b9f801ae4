//! Users. AWS: `CreateUser`, `GetUser`, `ListUsers`, `UpdateUser`, `DeleteUser`.
//!
//! **Invariants.** Elements come in the order of AWS's service model. `ListUsers` and `GetGroup` show
//! no tags, as on AWS.
//!
//! **Must not know:** which users there are.

use identity::{
    Command, Listing, Query, Rename,
    user::{CreateUser, DeleteUser, GetUser, GotUser, User},
};
use model::UserName;

use crate::{
    ApiError,
    call::{Action, Call, list_by_path, listing, only_owner, path},
    form::Params,
    tag,
    xml::Xml,
};

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
    let name = params.required("UserName");
    let path = path(&mut params, "Path");
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = CreateUser { name: name?, path: path?, tags: tags? };
    Ok(Call::Command(Command::CreateUser(command)))
}

fn get(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.optional("UserName");
    params.finish()?;
    Ok(Call::Query(Query::GetUser(GetUser { name: name? })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required::<UserName>("UserName");
    let new_name = params.optional("NewUserName");
    let new_path = params.optional("NewPath");
    params.finish()?;
    let command = Rename { name: name?, new_name: new_name?, new_path: new_path? };
    Ok(Call::Command(Command::UpdateUser(command)))
}

/// The answer to `CreateUser`.
pub(crate) fn write_created(xml: &mut Xml, user: &User) {
    xml.element("User", |xml| {
        write(xml, user);
        tag::write_some(xml, &user.tags);
    });
}

/// The answer to `GetUser`.
pub(crate) fn write_got(xml: &mut Xml, got: &GotUser) {
    match got {
        GotUser::User(user) => write_created(xml, user),
        GotUser::Root { arn, created } => xml.element("User", |xml| {
            xml.text("UserId", arn.account());
            xml.text("Arn", arn);
            xml.text("CreateDate", created);
        }),
    }
}

/// The answer to `ListUsers`.
pub(crate) fn write_listed(xml: &mut Xml, users: &Listing<User>) {
    listing(xml, "Users", users, write);
}

/// A user without its tags.
pub(crate) fn write(xml: &mut Xml, user: &User) {
    let User { id, name, path, arn, created, tags: _ } = user;
    xml.text("Path", path);
    xml.text("UserName", name);
    xml.text("UserId", id);
    xml.text("Arn", arn);
    xml.text("CreateDate", created);
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::{
        Service,
        call::testing::{check_call, check_reply},
        form::Form,
    };

    fn user(tags: &[(&str, &str)]) -> User {
        User {
            id: "AIDAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "bob".parse().unwrap(),
            path: "/x/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:user/x/bob".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
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
        check_call(
            "Action=CreateUser&UserName=bob",
            expect![[
                r#"Command(CreateUser(CreateUser { name: UserName("bob"), path: Path("/"), tags: [] }))"#
            ]],
        );
        check_call(
            "Action=CreateUser&UserName=bob&Path=%2Fx%2F&Tags.member.1.Key=a&Tags.member.1.Value=",
            expect![[
                r#"Command(CreateUser(CreateUser { name: UserName("bob"), path: Path("/x/"), tags: [Tag { key: TagKey("a"), value: TagValue("") }] }))"#
            ]],
        );
        check_call("Action=GetUser", expect!["Query(GetUser(GetUser { name: None }))"]);
        check_call(
            "Action=GetUser&UserName=bob",
            expect![[r#"Query(GetUser(GetUser { name: Some(UserName("bob")) }))"#]],
        );
        check_call(
            "Action=ListUsers",
            expect![[
                r#"Query(ListUsers(ListByPath { path_prefix: PathPrefix("/"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=ListUsers&PathPrefix=%2Fx",
            expect![[
                r#"Query(ListUsers(ListByPath { path_prefix: PathPrefix("/x"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=UpdateUser&UserName=bob&NewUserName=al&NewPath=%2F",
            expect![[
                r#"Command(UpdateUser(Rename { name: UserName("bob"), new_name: Some(UserName("al")), new_path: Some(Path("/")) }))"#
            ]],
        );
        check_call(
            "Action=UpdateUser&UserName=bob",
            expect![[
                r#"Command(UpdateUser(Rename { name: UserName("bob"), new_name: None, new_path: None }))"#
            ]],
        );
        check_call(
            "Action=DeleteUser&UserName=bob",
            expect![[r#"Command(DeleteUser(DeleteUser { name: UserName("bob") }))"#]],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_call(
            "Action=CreateUser",
            expect![
                "ValidationError (400): 1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"
            ],
        );
        check_call(
            "Action=CreateUser&UserName=a%2Fb&Path=x",
            expect![[
                r#"ValidationError (400): 2 validation errors detected: Value 'a/b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+; Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: (/)|(/[!-~]+/)"#
            ]],
        );
        check_call(
            &format!("Action=CreateUser&UserName={}", "a".repeat(65)),
            expect![
                "ValidationError (400): 1 validation error detected: Value 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' at 'userName' failed to satisfy constraint: Member must have length less than or equal to 64"
            ],
        );
        check_call(
            "Action=CreateUser&UserName=bob&PermissionsBoundary=arn:aws:iam::aws:policy/A",
            expect!["UnknownParameter (400): The parameter PermissionsBoundary is not recognized"],
        );
        check_call(
            "Action=DeleteUser&UserName=bob&Force=true",
            expect!["UnknownParameter (400): The parameter Force is not recognized"],
        );
        check_call(
            "Action=UpdateUser&UserName=bob&NewUserName=",
            expect![
                "ValidationError (400): 1 validation error detected: Value '' at 'newUserName' failed to satisfy constraint: Member must have length greater than or equal to 1"
            ],
        );
        let tags = |n: usize| {
            let tag = |n| format!("&Tags.member.{n}.Key=k{n}&Tags.member.{n}.Value=");
            (1..=n).map(tag).collect::<String>()
        };
        check_call(
            &format!("Action=CreateUser&UserName=bob{}", tags(51)),
            expect![
                "ValidationError (400): 1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"
            ],
        );
        let most = format!("Action=CreateUser&UserName=bob&Version=2010-05-08{}", tags(50));
        let most = Form::parse("application/x-www-form-urlencoded", most.as_bytes()).unwrap();
        assert!(crate::parse(Service::Iam, &most).is_ok());
    }

    #[test]
    fn replies_are_written() {
        let [bare, tagged] = [user(&[]), user(&[("team", "a+b @ c")])];
        check_reply(
            "CreateUser",
            &Reply::CreateUser(bare.clone()),
            expect![[r#"
            <User>
            <Path>/x/</Path>
            <UserName>bob</UserName>
            <UserId>AIDAQ3EGRIM6LD2W5YX7A</UserId>
            <Arn>arn:aws:iam::123456789012:user/x/bob</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            </User>"#]],
        );
        check_reply(
            "CreateUser",
            &Reply::CreateUser(tagged.clone()),
            expect![[r#"
            <User>
            <Path>/x/</Path>
            <UserName>bob</UserName>
            <UserId>AIDAQ3EGRIM6LD2W5YX7A</UserId>
            <Arn>arn:aws:iam::123456789012:user/x/bob</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <Tags>
            <member>
            <Key>team</Key>
            <Value>a+b @ c</Value>
            </member>
            </Tags>
            </User>"#]],
        );
        check_reply(
            "GetUser",
            &Reply::GetUser(GotUser::User(tagged.clone())),
            expect![[r#"
            <User>
            <Path>/x/</Path>
            <UserName>bob</UserName>
            <UserId>AIDAQ3EGRIM6LD2W5YX7A</UserId>
            <Arn>arn:aws:iam::123456789012:user/x/bob</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            <Tags>
            <member>
            <Key>team</Key>
            <Value>a+b @ c</Value>
            </member>
            </Tags>
            </User>"#]],
        );
        let root = GotUser::Root {
            arn: "arn:aws:iam::123456789012:root".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
        };
        check_reply(
            "GetUser",
            &Reply::GetUser(root),
            expect![[r#"
            <User>
            <UserId>123456789012</UserId>
            <Arn>arn:aws:iam::123456789012:root</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            </User>"#]],
        );
        let users = Listing { items: vec![tagged], next: Some("bob AIDA".to_owned()) };
        check_reply(
            "ListUsers",
            &Reply::ListUsers(users),
            expect![[r#"
            <Users>
            <member>
            <Path>/x/</Path>
            <UserName>bob</UserName>
            <UserId>AIDAQ3EGRIM6LD2W5YX7A</UserId>
            <Arn>arn:aws:iam::123456789012:user/x/bob</Arn>
            <CreateDate>2023-11-14T22:13:20Z</CreateDate>
            </member>
            </Users>
            <IsTruncated>true</IsTruncated>
            <Marker>AWJvYiBBSURB</Marker>"#]],
        );
        check_reply(
            "ListUsers",
            &Reply::ListUsers(Listing { items: Vec::new(), next: None }),
            expect![[r#"
                <Users>
                </Users>
                <IsTruncated>false</IsTruncated>"#]],
        );
    }
}
