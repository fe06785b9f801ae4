//! Calls about users' credentials as words. A key or certificate is named by a file of
//! `testdata/`: `ssh-1.pub`.

use identity::{Command, Query, signing_certificate as sc, ssh_public_key as ssh};

use crate::parse::{made_id, name, optional_user, page};

/// A file of `testdata/`; what is none is taken as it is.
fn file(text: &str) -> String {
    let path = format!("{}/testdata/{text}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap_or_else(|_| text.to_owned())
}

/// `-` is the caller itself.
fn user(text: &str) -> Option<model::UserName> {
    (text != "-").then(|| name(text))
}

pub(crate) fn command(action: &str, a: &[&str], made: &[String]) -> Option<Command> {
    use Command as C;
    let key_id = || made_id(a[1], made);
    Some(match action {
        "UploadSSHPublicKey" => {
            C::UploadSSHPublicKey(ssh::UploadSshPublicKey { user: name(a[0]), body: file(a[1]) })
        }
        "UpdateSSHPublicKey" => C::UpdateSSHPublicKey(ssh::UpdateSshPublicKey {
            user: name(a[0]),
            key_id: key_id(),
            status: name(a[2]),
        }),
        "DeleteSSHPublicKey" => {
            C::DeleteSSHPublicKey(ssh::DeleteSshPublicKey { user: name(a[0]), key_id: key_id() })
        }
        "UploadSigningCertificate" => C::UploadSigningCertificate(sc::UploadSigningCertificate {
            user: user(a[0]),
            body: file(a[1]),
        }),
        "UpdateSigningCertificate" => C::UpdateSigningCertificate(sc::UpdateSigningCertificate {
            user: user(a[0]),
            id: key_id(),
            status: name(a[2]),
        }),
        "DeleteSigningCertificate" => C::DeleteSigningCertificate(sc::DeleteSigningCertificate {
            user: user(a[0]),
            id: key_id(),
        }),
        _ => return None,
    })
}

pub(crate) fn query(action: &str, a: &[&str], made: &[String]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetSSHPublicKey" => Q::GetSSHPublicKey(ssh::GetSshPublicKey {
            user: name(a[0]),
            key_id: made_id(a[1], made),
            encoding: name(a[2]),
        }),
        "ListSSHPublicKeys" => {
            Q::ListSSHPublicKeys(ssh::ListSshPublicKeys { user: optional_user(a), page: page() })
        }
        "ListSigningCertificates" => Q::ListSigningCertificates(sc::ListSigningCertificates {
            user: optional_user(a),
            page: page(),
        }),
        _ => return None,
    })
}
