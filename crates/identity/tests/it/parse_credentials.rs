//! Calls about users' credentials as words. A key or certificate is named by a file of
//! `testdata/`: `ssh-1.pub`.

use identity::{
    Command, ListByPath, Query, Rename, credential_report as cr, key_use as ku,
    server_certificate as srv, service_credential as sv, signing_certificate as sc,
    ssh_public_key as ssh, tag as t,
};

use crate::parse::{made_id, name, optional_user, page, tags};

/// A file of `testdata/`; what is none is taken as it is.
pub(crate) fn file(text: &str) -> String {
    let path = format!("{}/testdata/{text}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap_or_else(|_| text.to_owned())
}

fn service(text: &str) -> String {
    format!("{text}.amazonaws.com")
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
        "CreateServiceSpecificCredential" => {
            C::CreateServiceSpecificCredential(sv::CreateServiceCredential {
                user: name(a[0]),
                service: service(a[1]),
                age: a.get(2).map(|days| sv::AgeDays::new(days.parse().unwrap()).unwrap()),
            })
        }
        "UpdateServiceSpecificCredential" => {
            C::UpdateServiceSpecificCredential(sv::UpdateServiceCredential {
                user: user(a[0]),
                id: key_id(),
                status: name(a[2]),
            })
        }
        "ResetServiceSpecificCredential" => {
            C::ResetServiceSpecificCredential(sv::OneServiceCredential {
                user: user(a[0]),
                id: key_id(),
            })
        }
        "DeleteServiceSpecificCredential" => {
            C::DeleteServiceSpecificCredential(sv::OneServiceCredential {
                user: user(a[0]),
                id: key_id(),
            })
        }
        "NoteKeyUse" => C::NoteKeyUse(ku::NoteKeyUse {
            key: name(&made_id(a[0], made)),
            service: a[1].to_owned(),
            region: a.get(2).map(|text| (*text).to_owned()).unwrap_or_default(),
        }),
        _ => return server_certificate(action, a),
    })
}

fn server_certificate(action: &str, a: &[&str]) -> Option<Command> {
    use Command as C;
    Some(match action {
        "UploadServerCertificate" => C::UploadServerCertificate(srv::UploadServerCertificate {
            name: name(a[0]),
            path: name("/"),
            body: file(a[1]),
            private_key: model::Secret::new(file(a[2])),
            chain: a.get(3).filter(|text| **text != "-").map(|text| file(text)),
            tags: tags(a.get(4..).unwrap_or_default()),
        }),
        "UpdateServerCertificate" => C::UpdateServerCertificate(Rename {
            name: name(a[0]),
            new_name: a.get(1).map(|text| name(text)),
            new_path: a.get(2).map(|text| name(text)),
        }),
        "DeleteServerCertificate" => {
            C::DeleteServerCertificate(srv::OneServerCertificate { name: name(a[0]) })
        }
        "TagServerCertificate" => {
            C::TagServerCertificate(t::AddTags { owner: name(a[0]), tags: tags(&a[1..]) })
        }
        "UntagServerCertificate" => {
            C::UntagServerCertificate(t::RemoveTags { owner: name(a[0]), keys: vec![name(a[1])] })
        }
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
        "ListServiceSpecificCredentials" => {
            Q::ListServiceSpecificCredentials(sv::ListServiceCredentials {
                owners: match a {
                    ["*", ..] => sv::Owners::All,
                    [owner, ..] => sv::Owners::One(user(owner)),
                    [] => sv::Owners::One(None),
                },
                service: a.get(1).map(|text| service(text)),
                page: page(),
            })
        }
        "GenerateCredentialReport" => Q::GenerateCredentialReport(cr::Generate),
        "GetCredentialReport" => Q::GetCredentialReport(cr::Get),
        "GetAccessKeyLastUsed" => {
            Q::GetAccessKeyLastUsed(ku::GetKeyLastUsed { key_id: made_id(a[0], made) })
        }
        "GetServerCertificate" => {
            Q::GetServerCertificate(srv::OneServerCertificate { name: name(a[0]) })
        }
        "ListServerCertificates" => Q::ListServerCertificates(ListByPath {
            path_prefix: name(a.first().copied().unwrap_or("/")),
            page: page(),
        }),
        "ListServerCertificateTags" => {
            Q::ListServerCertificateTags(t::ListTags { owner: name(a[0]), page: page() })
        }
        _ => return None,
    })
}
