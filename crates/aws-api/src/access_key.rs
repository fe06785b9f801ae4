//! Long-term access keys. AWS: `CreateAccessKey`, `ListAccessKeys`, `UpdateAccessKey`,
//! `DeleteAccessKey`.
//!
//! **Invariants.** The secret is written in the answer to `CreateAccessKey` only.
//!
//! **Must not know:** signatures.

use identity::{
    Command, Listing, Query,
    access_key::{
        AccessKey, CreateAccessKey, DeleteAccessKey, ListAccessKeys, NewAccessKey, UpdateAccessKey,
    },
};

use crate::{
    ApiError,
    call::{Action, Call, listing, page},
    form::{Params, Violation},
    shape::ACCESS_KEY_ID,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateAccessKey", create),
    Action::new("ListAccessKeys", list),
    Action::new("UpdateAccessKey", update),
    Action::new("DeleteAccessKey", delete),
];

fn key_id(params: &mut Params<'_>) -> Result<String, Violation> {
    params.required_shape("AccessKeyId", &ACCESS_KEY_ID)
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    params.finish()?;
    Ok(Call::Command(Command::CreateAccessKey(CreateAccessKey { user: user? })))
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListAccessKeys(ListAccessKeys { user: user?, page: page? })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let key_id = key_id(&mut params);
    let status = params.required("Status");
    params.finish()?;
    let command = UpdateAccessKey { user: user?, key_id: key_id?, status: status? };
    Ok(Call::Command(Command::UpdateAccessKey(command)))
}

fn delete(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let key_id = key_id(&mut params);
    params.finish()?;
    let command = DeleteAccessKey { user: user?, key_id: key_id? };
    Ok(Call::Command(Command::DeleteAccessKey(command)))
}

/// The answer to `CreateAccessKey`.
pub(crate) fn write_created(xml: &mut Xml, key: &NewAccessKey) {
    let NewAccessKey { user, id, secret, status, created } = key;
    xml.element("AccessKey", |xml| {
        xml.optional("UserName", user.as_ref());
        xml.text("AccessKeyId", id);
        xml.text("Status", status.word());
        xml.text("SecretAccessKey", secret.expose());
        xml.text("CreateDate", created);
    });
}

/// The answer to `ListAccessKeys`.
pub(crate) fn write_listed(xml: &mut Xml, keys: &Listing<AccessKey>) {
    listing(xml, "AccessKeyMetadata", keys, |xml, key| {
        let AccessKey { user, id, status, created } = key;
        xml.optional("UserName", user.as_ref());
        xml.text("AccessKeyId", id);
        xml.text("Status", status.word());
        xml.text("CreateDate", created);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, access_key::Status};
    use model::{Secret, Timestamp};

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateAccessKey",
                "Action=CreateAccessKey&UserName=bob",
                "Action=ListAccessKeys&UserName=bob&MaxItems=1",
                "Action=UpdateAccessKey&UserName=bob&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Inactive",
                "Action=DeleteAccessKey&AccessKeyId=AKIAIOSFODNN7EXAMPLE",
            ],
            expect_file!["../testdata/access_key-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UpdateAccessKey",
                "Action=UpdateAccessKey&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=active",
                "Action=DeleteAccessKey&AccessKeyId=AKIA",
                "Action=DeleteAccessKey&AccessKeyId=AKIAIOSFODNN7EXAMP-E",
                &format!("Action=DeleteAccessKey&AccessKeyId={}", "A".repeat(129)),
                "Action=CreateAccessKey&Description=x",
            ],
            expect_file!["../testdata/access_key-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let key = NewAccessKey {
            user: Some("bob".parse().unwrap()),
            id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            secret: Secret::new("wJalr/+EXAMPLE".to_owned()),
            status: Status::Active,
            created: Timestamp::from_secs(1_700_000_000),
        };
        let shown = AccessKey {
            user: Some("bob".parse().unwrap()),
            id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            status: Status::Inactive,
            created: Timestamp::from_secs(1_700_000_000),
        };
        let keys = Listing { items: vec![shown], next: None };
        check_replies(
            [
                ("CreateAccessKey", Reply::CreateAccessKey(key.clone())),
                ("CreateAccessKey", Reply::CreateAccessKey(NewAccessKey { user: None, ..key })),
                ("ListAccessKeys", Reply::ListAccessKeys(keys)),
            ],
            expect_file!["../testdata/access_key-replies.txt"],
        );
    }
}
