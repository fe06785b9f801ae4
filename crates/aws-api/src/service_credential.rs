//! Service-specific credentials of users. AWS: `CreateServiceSpecificCredential`,
//! `ListServiceSpecificCredentials`, `UpdateServiceSpecificCredential`,
//! `ResetServiceSpecificCredential`, `DeleteServiceSpecificCredential`.
//!
//! **Invariants.** A secret is written in the answers to `CreateServiceSpecificCredential` and
//! `ResetServiceSpecificCredential` only. Elements come in the order of AWS's service model.
//!
//! **Must not know:** which services there are.

use identity::{
    Command, Listing, Query,
    service_credential::{
        AgeDays, CreateServiceCredential, ListServiceCredentials, NewServiceCredential,
        OneServiceCredential, Owners, ServiceCredential, ServiceName, UpdateServiceCredential,
    },
};
use model::UserName;

use crate::{
    ApiError,
    call::{Action, Call, listing, page},
    form::{Params, Violation},
    shape::CREDENTIAL_ID,
    user::USER_NAME_CHARS_MAX,
    xml::Xml,
};

/// The longest name of a service that is looked up.
const SERVICE_CHARS_MAX: usize = 256;

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateServiceSpecificCredential", create),
    Action::new("ListServiceSpecificCredentials", list),
    Action::new("UpdateServiceSpecificCredential", update),
    Action::new("ResetServiceSpecificCredential", |p| {
        one(p).map(Command::ResetServiceSpecificCredential).map(Call::Command)
    }),
    Action::new("DeleteServiceSpecificCredential", |p| {
        one(p).map(Command::DeleteServiceSpecificCredential).map(Call::Command)
    }),
];

fn user(params: &mut Params<'_>) -> Result<Option<UserName>, Violation> {
    params.optional_up_to("UserName", USER_NAME_CHARS_MAX)
}

fn id(params: &mut Params<'_>) -> Result<String, Violation> {
    params.required_shape("ServiceSpecificCredentialId", &CREDENTIAL_ID)
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.required_up_to("UserName", USER_NAME_CHARS_MAX);
    let service = params.required_text("ServiceName", 0, SERVICE_CHARS_MAX);
    let age = params.optional_integer("CredentialAgeDays", AgeDays::MIN, AgeDays::MAX);
    params.finish()?;
    let age = age?.and_then(|days| AgeDays::new(days).ok());
    let command = CreateServiceCredential { user: user?, service: service?, age };
    Ok(Call::Command(Command::CreateServiceSpecificCredential(command)))
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let service = params.optional_text("ServiceName", 0, SERVICE_CHARS_MAX);
    let all = params.boolean("AllUsers");
    let page = page(&mut params);
    params.finish()?;
    let owners = match (user?, all? == Some(true)) {
        (Some(_), true) => {
            return Err(ApiError::validation(
                "AllUsers cannot be specified together with UserName.",
            ));
        }
        (None, true) => Owners::All,
        (user, false) => Owners::One(user),
    };
    let query = ListServiceCredentials { owners, service: service?, page: page? };
    Ok(Call::Query(Query::ListServiceSpecificCredentials(query)))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let id = id(&mut params);
    let status = params.required("Status");
    params.finish()?;
    let command = UpdateServiceCredential { user: user?, id: id?, status: status? };
    Ok(Call::Command(Command::UpdateServiceSpecificCredential(command)))
}

fn one(mut params: Params<'_>) -> Result<OneServiceCredential, ApiError> {
    let user = user(&mut params);
    let id = id(&mut params);
    params.finish()?;
    Ok(OneServiceCredential { user: user?, id: id? })
}

/// The answer to `CreateServiceSpecificCredential` and `ResetServiceSpecificCredential`.
pub(crate) fn write_new(xml: &mut Xml, new: &NewServiceCredential) {
    let NewServiceCredential { credential, secret } = new;
    let ServiceCredential { user, id, service, name, status, created, expires } = credential;
    xml.element("ServiceSpecificCredential", |xml| {
        xml.text("CreateDate", created);
        xml.optional("ExpirationDate", expires.as_ref());
        xml.text("ServiceName", service);
        match name {
            ServiceName::UserName(name) => {
                xml.text("ServiceUserName", name);
                xml.text("ServicePassword", secret.expose());
            }
            ServiceName::Alias(alias) => {
                xml.text("ServiceCredentialAlias", alias);
                xml.text("ServiceCredentialSecret", secret.expose());
            }
        }
        xml.text("ServiceSpecificCredentialId", id);
        xml.text("UserName", user);
        xml.text("Status", status.word());
    });
}

/// The answer to `ListServiceSpecificCredentials`.
pub(crate) fn write_listed(xml: &mut Xml, credentials: &Listing<ServiceCredential>) {
    listing(xml, "ServiceSpecificCredentials", credentials, |xml, credential| {
        let ServiceCredential { user, id, service, name, status, created, expires } = credential;
        xml.text("UserName", user);
        xml.text("Status", status.word());
        match name {
            ServiceName::UserName(name) => xml.text("ServiceUserName", name),
            ServiceName::Alias(alias) => xml.text("ServiceCredentialAlias", alias),
        }
        xml.text("CreateDate", created);
        xml.optional("ExpirationDate", expires.as_ref());
        xml.text("ServiceSpecificCredentialId", id);
        xml.text("ServiceName", service);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, access_key::Status, service_credential::ServiceCredentialStatus};
    use model::{Secret, Timestamp};

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const ID: &str = "ACCAIOSFODNN7EXAMPLE4";
    const ACTION: &str = "ServiceSpecificCredential";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                &format!("Action=Create{ACTION}&UserName=bob&ServiceName=codecommit.amazonaws.com"),
                &format!(
                    "Action=Create{ACTION}&UserName=bob&ServiceName=bedrock.amazonaws.com\
           &CredentialAgeDays=36600"
                ),
                &format!("Action=List{ACTION}s&UserName=bob&AllUsers=false&MaxItems=1"),
                &format!("Action=List{ACTION}s&AllUsers=true&ServiceName=logs.amazonaws.com"),
                &format!("Action=Update{ACTION}&{ACTION}Id={ID}&Status=Inactive"),
                &format!("Action=Reset{ACTION}&UserName=bob&{ACTION}Id={ID}"),
                &format!("Action=Delete{ACTION}&{ACTION}Id={ID}"),
            ],
            expect_file!["../testdata/service_credential-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                &format!("Action=Create{ACTION}&CredentialAgeDays=36601"),
                &format!("Action=Create{ACTION}&UserName=bob&ServiceName={}", "a".repeat(257)),
                &format!("Action=List{ACTION}s&UserName=bob&AllUsers=true"),
                &format!("Action=Update{ACTION}&{ACTION}Id=ACCA&Status=Expired"),
                &format!("Action=Reset{ACTION}"),
            ],
            expect_file!["../testdata/service_credential-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let password = ServiceCredential {
            user: "bob".parse().unwrap(),
            id: ID.to_owned(),
            service: "codecommit.amazonaws.com".to_owned(),
            name: ServiceName::UserName("bob-at-123456789012".to_owned()),
            status: ServiceCredentialStatus::Set(Status::Active),
            created: Timestamp::from_secs(1_700_000_000),
            expires: None,
        };
        let api_key = ServiceCredential {
            service: "bedrock.amazonaws.com".to_owned(),
            name: ServiceName::Alias("bob-at-123456789012".to_owned()),
            status: ServiceCredentialStatus::Expired,
            expires: Some(Timestamp::from_secs(1_700_086_400)),
            ..password.clone()
        };
        let new = |credential: &ServiceCredential| NewServiceCredential {
            credential: credential.clone(),
            secret: Secret::new("hunter2".to_owned()),
        };
        let action = "CreateServiceSpecificCredential";
        let listing = Listing { items: vec![password.clone(), api_key.clone()], next: None };
        check_replies(
            [
                (action, Reply::CreateServiceSpecificCredential(new(&password))),
                (action, Reply::CreateServiceSpecificCredential(new(&api_key))),
                (
                    "ResetServiceSpecificCredential",
                    Reply::ResetServiceSpecificCredential(new(&password)),
                ),
                ("ListServiceSpecificCredentials", Reply::ListServiceSpecificCredentials(listing)),
            ],
            expect_file!["../testdata/service_credential-replies.txt"],
        );
    }
}
