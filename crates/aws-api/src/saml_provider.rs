//! SAML providers. AWS: `CreateSAMLProvider`, `GetSAMLProvider`, `ListSAMLProviders`,
//! `UpdateSAMLProvider`, `DeleteSAMLProvider`.
//!
//! **Invariants.** Elements come in the order of AWS's service model. Assertions are not decrypted:
//! parameters about their encryption are refused, never ignored.
//!
//! **Must not know:** what metadata look like.

use identity::{
    Command, Query,
    saml_provider::{
        CreateSamlProvider, ListSamlProviders, OneSamlProvider, SamlProvider, UpdateSamlProvider,
    },
};

use crate::{
    ApiError,
    call::{Action, Call},
    form::Params,
    provider::provider_arn,
    shape::SAML_METADATA,
    tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateSAMLProvider", create),
    Action::new("GetSAMLProvider", |p| one(p).map(Query::GetSAMLProvider).map(Call::Query)),
    Action::new("ListSAMLProviders", |p| {
        p.finish()?;
        Ok(Call::Query(Query::ListSAMLProviders(ListSamlProviders)))
    }),
    Action::new("UpdateSAMLProvider", update),
    Action::new("DeleteSAMLProvider", |p| {
        one(p).map(Command::DeleteSAMLProvider).map(Call::Command)
    }),
];

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let metadata = params.required_shape("SAMLMetadataDocument", &SAML_METADATA);
    let name = params.required("Name");
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = CreateSamlProvider { name: name?, metadata: metadata?, tags: tags? };
    Ok(Call::Command(Command::CreateSAMLProvider(command)))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let metadata = params.optional_shape("SAMLMetadataDocument", &SAML_METADATA);
    let arn = provider_arn(&mut params);
    params.finish()?;
    let command = UpdateSamlProvider { arn: arn?, metadata: metadata? };
    Ok(Call::Command(Command::UpdateSAMLProvider(command)))
}

fn one(mut params: Params<'_>) -> Result<OneSamlProvider, ApiError> {
    let arn = provider_arn(&mut params);
    params.finish()?;
    Ok(OneSamlProvider { arn: arn? })
}

/// The answer to `CreateSAMLProvider`.
pub(crate) fn write_created(xml: &mut Xml, provider: &SamlProvider) {
    xml.text("SAMLProviderArn", &provider.arn);
    tag::write_some(xml, &provider.tags);
}

/// The answer to `GetSAMLProvider`.
pub(crate) fn write_got(xml: &mut Xml, provider: &SamlProvider) {
    let SamlProvider { arn: _, created, expires, metadata, tags } = provider;
    xml.text("SAMLMetadataDocument", metadata);
    xml.text("CreateDate", created);
    xml.text("ValidUntil", expires);
    tag::write_some(xml, tags);
}

/// The answer to `ListSAMLProviders`.
pub(crate) fn write_listed(xml: &mut Xml, providers: &[SamlProvider]) {
    xml.list("SAMLProviderList", providers, |xml, provider| {
        xml.text("Arn", &provider.arn);
        xml.text("ValidUntil", provider.expires);
        xml.text("CreateDate", provider.created);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const ARN: &str = "SAMLProviderArn=arn:aws:iam::123456789012:saml-provider/idp";

    #[test]
    fn calls_are_read() {
        let metadata = format!("SAMLMetadataDocument={}", "m".repeat(1000));
        check_calls(
            &[
                &format!("Action=CreateSAMLProvider&Name=idp&{metadata}"),
                &format!(
                    "Action=CreateSAMLProvider&Name=idp&{metadata}\
           &Tags.member.1.Key=a&Tags.member.1.Value=b"
                ),
                &format!("Action=GetSAMLProvider&{ARN}"),
                "Action=ListSAMLProviders",
                &format!("Action=UpdateSAMLProvider&{ARN}&{metadata}"),
                &format!("Action=UpdateSAMLProvider&{ARN}"),
                &format!("Action=DeleteSAMLProvider&{ARN}"),
                &format!("Action=TagSAMLProvider&{ARN}&Tags.member.1.Key=a&Tags.member.1.Value=b"),
                &format!("Action=UntagSAMLProvider&{ARN}&TagKeys.member.1=a"),
                &format!("Action=ListSAMLProviderTags&{ARN}&MaxItems=3"),
            ],
            expect_file!["../testdata/saml_provider-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let metadata = format!("SAMLMetadataDocument={}", "m".repeat(1000));
        check_calls(
            &[
                "Action=CreateSAMLProvider",
                "Action=CreateSAMLProvider&Name=a%2Bb&SAMLMetadataDocument=m",
                &format!("Action=CreateSAMLProvider&Name=idp&{metadata}&AddPrivateKey=hunter2"),
                &format!(
                    "Action=CreateSAMLProvider&Name=idp&{metadata}&AssertionEncryptionMode=Allowed"
                ),
                "Action=GetSAMLProvider\
           &SAMLProviderArn=arn:aws:iam::123456789012:oidc-provider/idp",
                "Action=ListSAMLProviders&MaxItems=3",
            ],
            expect_file!["../testdata/saml_provider-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let arn: model::Arn = "arn:aws:iam::123456789012:saml-provider/idp".parse().unwrap();
        let provider = SamlProvider {
            arn: arn.clone(),
            created: Timestamp::from_secs(1_700_000_000),
            expires: Timestamp::from_secs(1_800_000_000),
            metadata: "<EntityDescriptor/>".to_owned(),
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        };
        let bare = SamlProvider { tags: Vec::new(), ..provider.clone() };
        check_replies(
            [
                ("CreateSAMLProvider", Reply::CreateSAMLProvider(provider.clone())),
                ("CreateSAMLProvider", Reply::CreateSAMLProvider(bare.clone())),
                ("GetSAMLProvider", Reply::GetSAMLProvider(provider)),
                ("ListSAMLProviders", Reply::ListSAMLProviders(vec![bare])),
                ("UpdateSAMLProvider", Reply::UpdateSAMLProvider(arn)),
            ],
            expect_file!["../testdata/saml_provider-replies.txt"],
        );
    }
}
