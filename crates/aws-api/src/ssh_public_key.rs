//! SSH public keys of users. AWS: `UploadSSHPublicKey`, `GetSSHPublicKey`, `ListSSHPublicKeys`,
//! `UpdateSSHPublicKey`, `DeleteSSHPublicKey`.
//!
//! **Invariants.** Elements come in the order of AWS's service model.
//!
//! **Must not know:** what a public key looks like.

use identity::{
    Command, Listing, Query,
    ssh_public_key::{
        DeleteSshPublicKey, GetSshPublicKey, ListSshPublicKeys, SshPublicKey, SshPublicKeyMetadata,
        UpdateSshPublicKey, UploadSshPublicKey,
    },
};
use model::UserName;

use crate::{
    ApiError,
    call::{Action, Call, listing, page},
    form::{Params, Violation},
    shape::{CREDENTIAL_ID, PUBLIC_KEY_MATERIAL},
    user::USER_NAME_CHARS_MAX,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("UploadSSHPublicKey", upload),
    Action::new("GetSSHPublicKey", get),
    Action::new("ListSSHPublicKeys", list),
    Action::new("UpdateSSHPublicKey", update),
    Action::new("DeleteSSHPublicKey", delete),
];

fn user(params: &mut Params<'_>) -> Result<UserName, Violation> {
    params.required_up_to("UserName", USER_NAME_CHARS_MAX)
}

fn key_id(params: &mut Params<'_>) -> Result<String, Violation> {
    params.required_shape("SSHPublicKeyId", &CREDENTIAL_ID)
}

fn upload(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let body = params.required_shape("SSHPublicKeyBody", &PUBLIC_KEY_MATERIAL);
    params.finish()?;
    let command = UploadSshPublicKey { user: user?, body: body? };
    Ok(Call::Command(Command::UploadSSHPublicKey(command)))
}

fn get(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let key_id = key_id(&mut params);
    let encoding = params.required("Encoding");
    params.finish()?;
    let query = GetSshPublicKey { user: user?, key_id: key_id?, encoding: encoding? };
    Ok(Call::Query(Query::GetSSHPublicKey(query)))
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional_up_to("UserName", USER_NAME_CHARS_MAX);
    let page = page(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::ListSSHPublicKeys(ListSshPublicKeys { user: user?, page: page? })))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let key_id = key_id(&mut params);
    let status = params.required("Status");
    params.finish()?;
    let command = UpdateSshPublicKey { user: user?, key_id: key_id?, status: status? };
    Ok(Call::Command(Command::UpdateSSHPublicKey(command)))
}

fn delete(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let key_id = key_id(&mut params);
    params.finish()?;
    let command = DeleteSshPublicKey { user: user?, key_id: key_id? };
    Ok(Call::Command(Command::DeleteSSHPublicKey(command)))
}

/// The answer to `UploadSSHPublicKey` and `GetSSHPublicKey`.
pub(crate) fn write_one(xml: &mut Xml, key: &SshPublicKey) {
    let SshPublicKey { metadata, fingerprint, body } = key;
    let SshPublicKeyMetadata { user, id, status, uploaded } = metadata;
    xml.element("SSHPublicKey", |xml| {
        xml.text("UserName", user);
        xml.text("SSHPublicKeyId", id);
        xml.text("Fingerprint", fingerprint);
        xml.text("SSHPublicKeyBody", body);
        xml.text("Status", status.word());
        xml.text("UploadDate", uploaded);
    });
}

/// The answer to `ListSSHPublicKeys`.
pub(crate) fn write_listed(xml: &mut Xml, keys: &Listing<SshPublicKeyMetadata>) {
    listing(xml, "SSHPublicKeys", keys, |xml, key| {
        let SshPublicKeyMetadata { user, id, status, uploaded } = key;
        xml.text("UserName", user);
        xml.text("SSHPublicKeyId", id);
        xml.text("Status", status.word());
        xml.text("UploadDate", uploaded);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, access_key::Status};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const ID: &str = "APKAIOSFODNN7EXAMPLE";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=UploadSSHPublicKey&UserName=bob&SSHPublicKeyBody=ssh-rsa%20AAAA%0A",
                &format!("Action=GetSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}&Encoding=PEM"),
                &format!("Action=GetSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}&Encoding=SSH"),
                "Action=ListSSHPublicKeys&UserName=bob&MaxItems=1",
                "Action=ListSSHPublicKeys",
                &format!(
                    "Action=UpdateSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}&Status=Inactive"
                ),
                &format!("Action=DeleteSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}"),
            ],
            expect_file!["../testdata/ssh_public_key-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UploadSSHPublicKey",
                "Action=UploadSSHPublicKey&UserName=bob&SSHPublicKeyBody=ssh-rsa%00",
                &format!("Action=GetSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}&Encoding=pem"),
                "Action=DeleteSSHPublicKey&UserName=bob&SSHPublicKeyId=APKA",
                &format!(
                    "Action=UpdateSSHPublicKey&UserName=bob&SSHPublicKeyId={ID}&Status=Expired"
                ),
            ],
            expect_file!["../testdata/ssh_public_key-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let metadata = SshPublicKeyMetadata {
            user: "bob".parse().unwrap(),
            id: ID.to_owned(),
            status: Status::Active,
            uploaded: Timestamp::from_secs(1_700_000_000),
        };
        let key = SshPublicKey {
            metadata: metadata.clone(),
            fingerprint: "00:ff".to_owned(),
            body: "ssh-rsa AAAA bob".to_owned(),
        };
        let listed = SshPublicKeyMetadata { status: Status::Inactive, ..metadata };
        let keys = Listing { items: vec![listed], next: None };
        check_replies(
            [
                ("UploadSSHPublicKey", Reply::UploadSSHPublicKey(key.clone())),
                ("GetSSHPublicKey", Reply::GetSSHPublicKey(key)),
                ("ListSSHPublicKeys", Reply::ListSSHPublicKeys(keys)),
            ],
            expect_file!["../testdata/ssh_public_key-replies.txt"],
        );
    }
}
