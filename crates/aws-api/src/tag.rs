//! Tags of users, roles, instance profiles and managed policies. AWS: `TagUser` and its kin.
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
    mfa_device::serial_number,
    policy::policy_arn,
    provider::provider_arn,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("TagUser", |p| add(p, owner).map(Command::TagUser).map(Call::Command)),
    Action::new("TagRole", |p| add(p, owner).map(Command::TagRole).map(Call::Command)),
    Action::new("TagInstanceProfile", |p| {
        add(p, owner).map(Command::TagInstanceProfile).map(Call::Command)
    }),
    Action::new("TagServerCertificate", |p| {
        add(p, owner).map(Command::TagServerCertificate).map(Call::Command)
    }),
    Action::new("TagMFADevice", |p| {
        add(p, serial_number).map(Command::TagMFADevice).map(Call::Command)
    }),
    Action::new("TagPolicy", |p| add(p, policy_arn).map(Command::TagPolicy).map(Call::Command)),
    Action::new("TagOpenIDConnectProvider", |p| {
        add(p, provider_arn).map(Command::TagOpenIDConnectProvider).map(Call::Command)
    }),
    Action::new("TagSAMLProvider", |p| {
        add(p, provider_arn).map(Command::TagSAMLProvider).map(Call::Command)
    }),
    Action::new("UntagUser", |p| remove(p, owner).map(Command::UntagUser).map(Call::Command)),
    Action::new("UntagRole", |p| remove(p, owner).map(Command::UntagRole).map(Call::Command)),
    Action::new("UntagInstanceProfile", |p| {
        remove(p, owner).map(Command::UntagInstanceProfile).map(Call::Command)
    }),
    Action::new("UntagServerCertificate", |p| {
        remove(p, owner).map(Command::UntagServerCertificate).map(Call::Command)
    }),
    Action::new("UntagMFADevice", |p| {
        remove(p, serial_number).map(Command::UntagMFADevice).map(Call::Command)
    }),
    Action::new("UntagPolicy", |p| {
        remove(p, policy_arn).map(Command::UntagPolicy).map(Call::Command)
    }),
    Action::new("UntagOpenIDConnectProvider", |p| {
        remove(p, provider_arn).map(Command::UntagOpenIDConnectProvider).map(Call::Command)
    }),
    Action::new("UntagSAMLProvider", |p| {
        remove(p, provider_arn).map(Command::UntagSAMLProvider).map(Call::Command)
    }),
    Action::new("ListUserTags", |p| list(p, owner).map(Query::ListUserTags).map(Call::Query)),
    Action::new("ListRoleTags", |p| list(p, owner).map(Query::ListRoleTags).map(Call::Query)),
    Action::new("ListInstanceProfileTags", |p| {
        list(p, owner).map(Query::ListInstanceProfileTags).map(Call::Query)
    }),
    Action::new("ListServerCertificateTags", |p| {
        list(p, owner).map(Query::ListServerCertificateTags).map(Call::Query)
    }),
    Action::new("ListMFADeviceTags", |p| {
        list(p, serial_number).map(Query::ListMFADeviceTags).map(Call::Query)
    }),
    Action::new("ListPolicyTags", |p| {
        list(p, policy_arn).map(Query::ListPolicyTags).map(Call::Query)
    }),
    Action::new("ListOpenIDConnectProviderTags", |p| {
        list(p, provider_arn).map(Query::ListOpenIDConnectProviderTags).map(Call::Query)
    }),
    Action::new("ListSAMLProviderTags", |p| {
        list(p, provider_arn).map(Query::ListSAMLProviderTags).map(Call::Query)
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

/// Notes a violation if a list is not there at all; botocore sends an empty one as `name=`.
pub(crate) fn not_null<T>(params: &mut Params<'_>, name: &str, list: &Result<Vec<T>, Violation>) {
    if list.as_ref().is_ok_and(Vec::is_empty) {
        let _violation = params.required_text(name, 0, 0);
    }
}

fn add<N>(mut params: Params<'_>, owner: ReadOwner<N>) -> Result<AddTags<N>, ApiError> {
    let owner = owner(&mut params);
    let tags = read(&mut params);
    not_null(&mut params, "Tags", &tags);
    params.finish()?;
    Ok(AddTags { owner: owner?, tags: tags? })
}

fn remove<N>(mut params: Params<'_>, owner: ReadOwner<N>) -> Result<RemoveTags<N>, ApiError> {
    let owner = owner(&mut params);
    let keys = params.string_list("TagKeys", TAGS_MAX);
    not_null(&mut params, "TagKeys", &keys);
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
    use expect_test::expect_file;
    use identity::Reply;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=TagUser&UserName=bob&Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=TagRole&RoleName=deploy&Tags.member.1.Key=a&Tags.member.1.Value=",
                "Action=TagInstanceProfile&InstanceProfileName=web\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=TagMFADevice&SerialNumber=arn:aws:iam::123456789012:mfa/phone\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=UntagMFADevice&SerialNumber=arn:aws:iam::123456789012:mfa/phone\
           &TagKeys.member.1=a",
                "Action=ListMFADeviceTags&SerialNumber=arn:aws:iam::123456789012:mfa/phone",
                "Action=UntagInstanceProfile&InstanceProfileName=web&TagKeys.member.1=a",
                "Action=ListInstanceProfileTags&InstanceProfileName=web",
                "Action=TagPolicy&PolicyArn=arn:aws:iam::123456789012:policy/read\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=UntagUser&UserName=bob&TagKeys.member.1=a&TagKeys.member.2=b",
                "Action=UntagRole&RoleName=deploy&TagKeys.member.1=a",
                "Action=UntagPolicy&PolicyArn=arn:aws:iam::123456789012:policy/read&TagKeys.member.1=a",
                "Action=ListUserTags&UserName=bob",
                "Action=ListRoleTags&RoleName=deploy&MaxItems=3",
                "Action=ListPolicyTags&PolicyArn=arn:aws:iam::123456789012:policy/read",
            ],
            expect_file!["../testdata/tag-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let keys: String = (1..=51).map(|n| format!("&TagKeys.member.{n}=k{n}")).collect();
        check_calls(
            &[
                "Action=TagUser&UserName=bob&Tags.member.1.Key=&Tags.member.1.Value=%3F",
                "Action=TagUser&UserName=bob",
                "Action=TagUser&UserName=bob&Tags=",
                "Action=UntagUser&UserName=bob",
                "Action=TagUser&UserName=bob&Tags.member.1.Key=a",
                "Action=TagUser&UserName=bob&Tags.member.2.Key=a&Tags.member.2.Value=b",
                &format!("Action=UntagUser&UserName=bob&TagKeys.member.1={}", "k".repeat(129)),
                &format!("Action=UntagUser&UserName=bob{keys}"),
            ],
            expect_file!["../testdata/tag-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let tag = Tag { key: "team".parse().unwrap(), value: "".parse().unwrap() };
        let tags = Listing { items: vec![tag], next: Some("team".to_owned()) };
        check_replies(
            [
                ("ListUserTags", Reply::ListUserTags(tags.clone())),
                ("ListRoleTags", Reply::ListRoleTags(tags.clone())),
                ("ListInstanceProfileTags", Reply::ListInstanceProfileTags(tags.clone())),
                ("ListPolicyTags", Reply::ListPolicyTags(tags)),
            ],
            expect_file!["../testdata/tag-replies.txt"],
        );
    }
}
