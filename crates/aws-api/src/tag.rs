//! Tags of users, roles and managed policies. AWS: `TagUser` and its kin.
//!
//! **Invariants.** A request has at most 50 tags, as AWS's service model has it.
//!
//! **Must not know:** what a tag means.

use identity::{
    Command, Listing, Query,
    tag::{AddTags, ListTags, RemoveTags, Tag},
};
use model::limits::TAGS_MAX;

use crate::{
    ApiError,
    call::{Action, Call, listing, owner, page},
    form::{Params, Violation},
    policy::policy_arn,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("TagUser", |p| add(p, owner).map(Command::TagUser).map(Call::Command)),
    Action::new("TagRole", |p| add(p, owner).map(Command::TagRole).map(Call::Command)),
    Action::new("TagPolicy", |p| add(p, policy_arn).map(Command::TagPolicy).map(Call::Command)),
    Action::new("UntagUser", |p| remove(p, owner).map(Command::UntagUser).map(Call::Command)),
    Action::new("UntagRole", |p| remove(p, owner).map(Command::UntagRole).map(Call::Command)),
    Action::new("UntagPolicy", |p| {
        remove(p, policy_arn).map(Command::UntagPolicy).map(Call::Command)
    }),
    Action::new("ListUserTags", |p| list(p, owner).map(Query::ListUserTags).map(Call::Query)),
    Action::new("ListRoleTags", |p| list(p, owner).map(Query::ListRoleTags).map(Call::Query)),
    Action::new("ListPolicyTags", |p| {
        list(p, policy_arn).map(Query::ListPolicyTags).map(Call::Query)
    }),
];

/// Reads the parameter that says whose tags are meant.
type ReadOwner<N> = fn(&mut Params<'_>) -> Result<N, ApiError>;

/// Reads the parameter `Tags`.
pub(crate) fn read(params: &mut Params<'_>) -> Result<Vec<Tag>, Violation> {
    params.list("Tags", TAGS_MAX, |tag| {
        let key = tag.required("Key");
        let value = tag.required("Value");
        Ok(Tag { key: key?, value: value? })
    })
}

fn add<N>(mut params: Params<'_>, owner: ReadOwner<N>) -> Result<AddTags<N>, ApiError> {
    let owner = owner(&mut params);
    let tags = read(&mut params);
    params.finish()?;
    Ok(AddTags { owner: owner?, tags: tags? })
}

fn remove<N>(mut params: Params<'_>, owner: ReadOwner<N>) -> Result<RemoveTags<N>, ApiError> {
    let owner = owner(&mut params);
    let keys = params.string_list("TagKeys", TAGS_MAX);
    params.finish()?;
    Ok(RemoveTags { owner: owner?, keys: keys? })
}

fn list<N>(mut params: Params<'_>, owner: ReadOwner<N>) -> Result<ListTags<N>, ApiError> {
    let owner = owner(&mut params);
    let page = page(&mut params);
    params.finish()?;
    Ok(ListTags { owner: owner?, page: page? })
}

/// The answer to `ListUserTags` and its kin.
pub(crate) fn write_listed(xml: &mut Xml, tags: &Listing<Tag>) {
    listing(xml, "Tags", tags, write);
}

/// The tags of an entity.
pub(crate) fn write_all(xml: &mut Xml, tags: &[Tag]) {
    xml.list("Tags", tags, write);
}

/// The tags of an entity, where AWS leaves out the list if there are none.
pub(crate) fn write_some(xml: &mut Xml, tags: &[Tag]) {
    if !tags.is_empty() {
        write_all(xml, tags);
    }
}

fn write(xml: &mut Xml, Tag { key, value }: &Tag) {
    xml.text("Key", key);
    xml.text("Value", value);
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
            "Action=TagUser&UserName=bob&Tags.member.1.Key=a&Tags.member.1.Value=b",
            expect![[
                r#"Command(TagUser(AddTags { owner: UserName("bob"), tags: [Tag { key: TagKey("a"), value: TagValue("b") }] }))"#
            ]],
        );
        check_call(
            "Action=TagRole&RoleName=deploy&Tags.member.1.Key=a&Tags.member.1.Value=",
            expect![[
                r#"Command(TagRole(AddTags { owner: RoleName("deploy"), tags: [Tag { key: TagKey("a"), value: TagValue("") }] }))"#
            ]],
        );
        check_call(
            "Action=TagPolicy&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
            expect![[
                r#"Command(TagPolicy(AddTags { owner: PolicyArn(Arn { text: "arn:aws:iam::123456789012:policy/read", colons: [3, 7, 11, 12, 25] }), tags: [Tag { key: TagKey("a"), value: TagValue("b") }] }))"#
            ]],
        );
        check_call(
            "Action=UntagUser&UserName=bob&TagKeys.member.1=a&TagKeys.member.2=b",
            expect![[
                r#"Command(UntagUser(RemoveTags { owner: UserName("bob"), keys: [TagKey("a"), TagKey("b")] }))"#
            ]],
        );
        check_call(
            "Action=UntagRole&RoleName=deploy&TagKeys.member.1=a",
            expect![[
                r#"Command(UntagRole(RemoveTags { owner: RoleName("deploy"), keys: [TagKey("a")] }))"#
            ]],
        );
        check_call(
            "Action=UntagPolicy&PolicyArn=arn:aws:iam::123456789012:policy/read&TagKeys.member.1=a",
            expect![[
                r#"Command(UntagPolicy(RemoveTags { owner: PolicyArn(Arn { text: "arn:aws:iam::123456789012:policy/read", colons: [3, 7, 11, 12, 25] }), keys: [TagKey("a")] }))"#
            ]],
        );
        check_call(
            "Action=ListUserTags&UserName=bob",
            expect![[
                r#"Query(ListUserTags(ListTags { owner: UserName("bob"), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
        check_call(
            "Action=ListRoleTags&RoleName=deploy&MaxItems=3",
            expect![[
                r#"Query(ListRoleTags(ListTags { owner: RoleName("deploy"), page: Page { marker: None, max_items: 3 } }))"#
            ]],
        );
        check_call(
            "Action=ListPolicyTags&PolicyArn=arn:aws:iam::123456789012:policy/read",
            expect![[
                r#"Query(ListPolicyTags(ListTags { owner: PolicyArn(Arn { text: "arn:aws:iam::123456789012:policy/read", colons: [3, 7, 11, 12, 25] }), page: Page { marker: None, max_items: 100 } }))"#
            ]],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_call(
            "Action=TagUser&UserName=bob&Tags.member.1.Key=&Tags.member.1.Value=%3F",
            expect![[
                r#"ValidationError (400): 2 validation errors detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '?' at 'tags.1.member.value' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"#
            ]],
        );
        check_call(
            "Action=TagUser&UserName=bob&Tags.member.1.Key=a",
            expect![
                "ValidationError (400): 1 validation error detected: Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null"
            ],
        );
        check_call(
            "Action=TagUser&UserName=bob&Tags.member.2.Key=a&Tags.member.2.Value=b",
            expect!["UnknownParameter (400): The parameter Tags.member.2.Key is not recognized"],
        );
        check_call(
            &format!("Action=UntagUser&UserName=bob&TagKeys.member.1={}", "k".repeat(129)),
            expect![
                "ValidationError (400): 1 validation error detected: Value 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk' at 'tagKeys.1.member' failed to satisfy constraint: Member must have length less than or equal to 128"
            ],
        );
        let keys: String = (1..=51).map(|n| format!("&TagKeys.member.{n}=k{n}")).collect();
        check_call(
            &format!("Action=UntagUser&UserName=bob{keys}"),
            expect![
                "ValidationError (400): 1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must have length less than or equal to 50"
            ],
        );
    }

    #[test]
    fn replies_are_written() {
        let tag = Tag { key: "team".parse().unwrap(), value: "".parse().unwrap() };
        let tags = Listing { items: vec![tag], next: Some("team".to_owned()) };
        check_reply(
            "ListUserTags",
            &Reply::ListUserTags(tags.clone()),
            expect![[r#"
            <Tags>
            <member>
            <Key>team</Key>
            <Value>
            </Value>
            </member>
            </Tags>
            <IsTruncated>true</IsTruncated>
            <Marker>AXRlYW0</Marker>"#]],
        );
        check_reply(
            "ListRoleTags",
            &Reply::ListRoleTags(tags.clone()),
            expect![[r#"
            <Tags>
            <member>
            <Key>team</Key>
            <Value>
            </Value>
            </member>
            </Tags>
            <IsTruncated>true</IsTruncated>
            <Marker>AXRlYW0</Marker>"#]],
        );
        check_reply(
            "ListPolicyTags",
            &Reply::ListPolicyTags(tags),
            expect![[r#"
            <Tags>
            <member>
            <Key>team</Key>
            <Value>
            </Value>
            </member>
            </Tags>
            <IsTruncated>true</IsTruncated>
            <Marker>AXRlYW0</Marker>"#]],
        );
    }
}
