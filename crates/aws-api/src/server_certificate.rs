//! Server certificates. AWS: `UploadServerCertificate`, `GetServerCertificate`,
//! `ListServerCertificates`, `UpdateServerCertificate`, `DeleteServerCertificate`.
//!
//! **Invariants.** No answer and no error shows a private key. Elements come in the order of AWS's
//! service model; listings show neither bodies nor tags.
//!
//! **Must not know:** what a certificate looks like.

use identity::{
    Command, Listing, Query, Rename,
    server_certificate::{OneServerCertificate, ServerCertificate, UploadServerCertificate},
};

use crate::{
    ApiError,
    call::{Action, Call, list_by_path, listing, only_owner, path},
    form::Params,
    shape::{CERTIFICATE_BODY, CERTIFICATE_CHAIN, PRIVATE_KEY},
    tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("UploadServerCertificate", upload),
    Action::new("GetServerCertificate", |p| {
        let query = OneServerCertificate { name: only_owner(p)? };
        Ok(Call::Query(Query::GetServerCertificate(query)))
    }),
    Action::new("ListServerCertificates", |p| {
        list_by_path(p).map(Query::ListServerCertificates).map(Call::Query)
    }),
    Action::new("UpdateServerCertificate", update),
    Action::new("DeleteServerCertificate", |p| {
        let command = OneServerCertificate { name: only_owner(p)? };
        Ok(Call::Command(Command::DeleteServerCertificate(command)))
    }),
];

fn upload(mut params: Params<'_>) -> Result<Call, ApiError> {
    let path = path(&mut params, "Path");
    let name = params.required("ServerCertificateName");
    let body = params.required_shape("CertificateBody", &CERTIFICATE_BODY);
    let private_key = params.required_secret("PrivateKey", &PRIVATE_KEY);
    let chain = params.optional_shape("CertificateChain", &CERTIFICATE_CHAIN);
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = UploadServerCertificate {
        name: name?,
        path: path?,
        body: body?,
        private_key: private_key?,
        chain: chain?,
        tags: tags?,
    };
    Ok(Call::Command(Command::UploadServerCertificate(command)))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("ServerCertificateName");
    let new_path = params.optional("NewPath");
    let new_name = params.optional("NewServerCertificateName");
    params.finish()?;
    let command = Rename { name: name?, new_name: new_name?, new_path: new_path? };
    Ok(Call::Command(Command::UpdateServerCertificate(command)))
}

/// The answer to `UploadServerCertificate`.
pub(crate) fn write_uploaded(xml: &mut Xml, certificate: &ServerCertificate) {
    xml.element("ServerCertificateMetadata", |xml| write(xml, certificate));
    tag::write_some(xml, &certificate.tags);
}

/// The answer to `GetServerCertificate`.
pub(crate) fn write_got(xml: &mut Xml, certificate: &ServerCertificate) {
    xml.element("ServerCertificate", |xml| {
        xml.element("ServerCertificateMetadata", |xml| write(xml, certificate));
        xml.text("CertificateBody", &certificate.body);
        xml.optional("CertificateChain", certificate.chain.as_ref());
        tag::write_all(xml, &certificate.tags);
    });
}

/// The answer to `ListServerCertificates`.
pub(crate) fn write_listed(xml: &mut Xml, certificates: &Listing<ServerCertificate>) {
    listing(xml, "ServerCertificateMetadataList", certificates, write);
}

fn write(xml: &mut Xml, certificate: &ServerCertificate) {
    let ServerCertificate { id, name, path, arn, uploaded, expires, .. } = certificate;
    xml.text("Path", path);
    xml.text("ServerCertificateName", name);
    xml.text("ServerCertificateId", id);
    xml.text("Arn", arn);
    xml.text("UploadDate", uploaded);
    xml.text("Expiration", expires);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=UploadServerCertificate&ServerCertificateName=web&CertificateBody=body\
           &PrivateKey=hunter2",
                "Action=UploadServerCertificate&ServerCertificateName=web&CertificateBody=body\
           &PrivateKey=hunter2&CertificateChain=chain&Path=%2Fx%2F\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetServerCertificate&ServerCertificateName=web",
                "Action=ListServerCertificates&PathPrefix=%2Fx%2F&MaxItems=3",
                "Action=UpdateServerCertificate&ServerCertificateName=web&NewPath=%2Fy%2F\
           &NewServerCertificateName=site",
                "Action=DeleteServerCertificate&ServerCertificateName=web",
            ],
            expect_file!["../testdata/server_certificate-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UploadServerCertificate",
                "Action=UploadServerCertificate&ServerCertificateName=a%2Fb&CertificateBody=body\
           &PrivateKey=hunter2%00&CertificateChain=",
                &format!("Action=GetServerCertificate&ServerCertificateName={}", "a".repeat(129)),
                "Action=UpdateServerCertificate&ServerCertificateName=web&NewPath=x",
                "Action=ListServerCertificates&ServerCertificateName=web",
            ],
            expect_file!["../testdata/server_certificate-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let certificate = ServerCertificate {
            id: "ASCAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "web".parse().unwrap(),
            path: "/x/".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:server-certificate/x/web".parse().unwrap(),
            uploaded: Timestamp::from_secs(1_700_000_000),
            expires: Timestamp::from_secs(1_800_000_000),
            body: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            chain: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        };
        let bare = ServerCertificate { chain: None, tags: Vec::new(), ..certificate.clone() };
        let listing = Listing { items: vec![certificate.clone()], next: None };
        check_replies(
            [
                ("UploadServerCertificate", Reply::UploadServerCertificate(certificate.clone())),
                ("UploadServerCertificate", Reply::UploadServerCertificate(bare.clone())),
                ("GetServerCertificate", Reply::GetServerCertificate(certificate)),
                ("GetServerCertificate", Reply::GetServerCertificate(bare)),
                ("ListServerCertificates", Reply::ListServerCertificates(listing)),
            ],
            expect_file!["../testdata/server_certificate-replies.txt"],
        );
    }
}
