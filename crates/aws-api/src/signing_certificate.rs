//! Signing certificates of users and of the root user. AWS: `UploadSigningCertificate`,
//! `ListSigningCertificates`, `UpdateSigningCertificate`, `DeleteSigningCertificate`.
//!
//! **Invariants.** Elements come in the order of AWS's service model.
//!
//! **Must not know:** what a certificate looks like.

use identity::{
    Command, Listing, Query,
    signing_certificate::{
        DeleteSigningCertificate, ListSigningCertificates, SigningCertificate,
        UpdateSigningCertificate, UploadSigningCertificate,
    },
};

use crate::{
    ApiError,
    call::{Action, Call, listing, page},
    form::{Params, Violation},
    shape::{CERTIFICATE_BODY, CERTIFICATE_ID},
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("UploadSigningCertificate", upload),
    Action::new("ListSigningCertificates", list),
    Action::new("UpdateSigningCertificate", update),
    Action::new("DeleteSigningCertificate", delete),
];

fn id(params: &mut Params<'_>) -> Result<String, Violation> {
    params.required_shape("CertificateId", &CERTIFICATE_ID)
}

fn upload(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let body = params.required_shape("CertificateBody", &CERTIFICATE_BODY);
    params.finish()?;
    let command = UploadSigningCertificate { user: user?, body: body? };
    Ok(Call::Command(Command::UploadSigningCertificate(command)))
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let page = page(&mut params);
    params.finish()?;
    let query = ListSigningCertificates { user: user?, page: page? };
    Ok(Call::Query(Query::ListSigningCertificates(query)))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let id = id(&mut params);
    let status = params.required("Status");
    params.finish()?;
    let command = UpdateSigningCertificate { user: user?, id: id?, status: status? };
    Ok(Call::Command(Command::UpdateSigningCertificate(command)))
}

fn delete(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let id = id(&mut params);
    params.finish()?;
    let command = DeleteSigningCertificate { user: user?, id: id? };
    Ok(Call::Command(Command::DeleteSigningCertificate(command)))
}

/// The answer to `UploadSigningCertificate`.
pub(crate) fn write_uploaded(xml: &mut Xml, certificate: &SigningCertificate) {
    xml.element("Certificate", |xml| write(xml, certificate));
}

/// The answer to `ListSigningCertificates`.
pub(crate) fn write_listed(xml: &mut Xml, certificates: &Listing<SigningCertificate>) {
    listing(xml, "Certificates", certificates, write);
}

fn write(xml: &mut Xml, certificate: &SigningCertificate) {
    let SigningCertificate { user, id, body, status, uploaded } = certificate;
    xml.optional("UserName", user.as_ref());
    xml.text("CertificateId", id);
    xml.text("CertificateBody", body);
    xml.text("Status", status.word());
    xml.text("UploadDate", uploaded);
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, access_key::Status};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const ID: &str = "TA7SMP42TDN5Z26OBPJE7EXAMPLE";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=UploadSigningCertificate&UserName=bob&CertificateBody=-----BEGIN",
                "Action=UploadSigningCertificate&CertificateBody=-----BEGIN",
                "Action=ListSigningCertificates&UserName=bob&MaxItems=1",
                &format!("Action=UpdateSigningCertificate&CertificateId={ID}&Status=Inactive"),
                &format!("Action=DeleteSigningCertificate&UserName=bob&CertificateId={ID}"),
            ],
            expect_file!["../testdata/signing_certificate-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UploadSigningCertificate&UserName=a%2Fb",
                "Action=UploadSigningCertificate&CertificateBody=",
                "Action=UpdateSigningCertificate&CertificateId=TA7&Status=inactive",
                &format!("Action=ListSigningCertificates&CertificateId={ID}"),
            ],
            expect_file!["../testdata/signing_certificate-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let certificate = SigningCertificate {
            user: Some("bob".parse().unwrap()),
            id: ID.to_owned(),
            body: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            status: Status::Active,
            uploaded: Timestamp::from_secs(1_700_000_000),
        };
        let roots = SigningCertificate { user: None, ..certificate.clone() };
        let listing = Listing { items: vec![certificate.clone(), roots], next: None };
        check_replies(
            [
                ("UploadSigningCertificate", Reply::UploadSigningCertificate(certificate)),
                ("ListSigningCertificates", Reply::ListSigningCertificates(listing)),
            ],
            expect_file!["../testdata/signing_certificate-replies.txt"],
        );
    }
}
