//! OpenID Connect providers. AWS: `CreateOpenIDConnectProvider`, `GetOpenIDConnectProvider`,
//! `ListOpenIDConnectProviders`, `DeleteOpenIDConnectProvider`,
//! `UpdateOpenIDConnectProviderThumbprint`, `AddClientIDToOpenIDConnectProvider`,
//! `RemoveClientIDFromOpenIDConnectProvider`.
//!
//! **Invariants.** Elements come in the order of AWS's service model.
//!
//! **Must not know:** what a provider vouches for.

use identity::{
    Command, Query,
    oidc_provider::{
        ClientOf, CreateOidcProvider, ListOidcProviders, OidcProvider, OneOidcProvider,
        UpdateThumbprints,
    },
};
use model::{Arn, OidcProviderName};

use crate::{
    ApiError,
    call::{Action, Call},
    form::{PARAMETERS_MAX, Params},
    provider::provider_arn,
    tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateOpenIDConnectProvider", create),
    Action::new("GetOpenIDConnectProvider", |p| {
        one(p).map(Query::GetOpenIDConnectProvider).map(Call::Query)
    }),
    Action::new("ListOpenIDConnectProviders", |p| {
        p.finish()?;
        Ok(Call::Query(Query::ListOpenIDConnectProviders(ListOidcProviders)))
    }),
    Action::new("DeleteOpenIDConnectProvider", |p| {
        one(p).map(Command::DeleteOpenIDConnectProvider).map(Call::Command)
    }),
    Action::new("UpdateOpenIDConnectProviderThumbprint", update_thumbprints),
    Action::new("AddClientIDToOpenIDConnectProvider", |p| {
        client(p).map(Command::AddClientIDToOpenIDConnectProvider).map(Call::Command)
    }),
    Action::new("RemoveClientIDFromOpenIDConnectProvider", |p| {
        client(p).map(Command::RemoveClientIDFromOpenIDConnectProvider).map(Call::Command)
    }),
];

/// More than a provider may have are the core's to refuse, in AWS's words.
fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let url = params.required_text("Url", 1, 255);
    let client_ids = params.string_list("ClientIDList", PARAMETERS_MAX);
    let thumbprints = params.string_list("ThumbprintList", PARAMETERS_MAX);
    let tags = tag::read(&mut params);
    params.finish()?;
    let command = CreateOidcProvider {
        name: name(&url?)?,
        client_ids: client_ids?,
        thumbprints: thumbprints?,
        tags: tags?,
    };
    Ok(Call::Command(Command::CreateOpenIDConnectProvider(command)))
}

/// What the provider of a URL is called.
fn name(url: &str) -> Result<OidcProviderName, ApiError> {
    let name = url.strip_prefix("https://").and_then(|name| name.parse().ok());
    name.ok_or_else(|| ApiError::validation("Invalid Open ID Connect Provider URL"))
}

fn one(mut params: Params<'_>) -> Result<OneOidcProvider, ApiError> {
    let arn = provider_arn(&mut params);
    params.finish()?;
    Ok(OneOidcProvider { arn: arn? })
}

fn update_thumbprints(mut params: Params<'_>) -> Result<Call, ApiError> {
    let arn = provider_arn(&mut params);
    let thumbprints = params.string_list("ThumbprintList", PARAMETERS_MAX);
    tag::not_null(&mut params, "ThumbprintList", &thumbprints);
    params.finish()?;
    let command = UpdateThumbprints { arn: arn?, thumbprints: thumbprints? };
    Ok(Call::Command(Command::UpdateOpenIDConnectProviderThumbprint(command)))
}

fn client(mut params: Params<'_>) -> Result<ClientOf, ApiError> {
    let arn = provider_arn(&mut params);
    let client_id = params.required("ClientID");
    params.finish()?;
    Ok(ClientOf { arn: arn?, client_id: client_id? })
}

/// The answer to `CreateOpenIDConnectProvider`.
pub(crate) fn write_created(xml: &mut Xml, provider: &OidcProvider) {
    xml.text("OpenIDConnectProviderArn", &provider.arn);
    tag::write_some(xml, &provider.tags);
}

/// The answer to `GetOpenIDConnectProvider`. AWS: the URL comes without its scheme.
pub(crate) fn write_got(xml: &mut Xml, provider: &OidcProvider) {
    let OidcProvider { id: _, name, arn: _, created, client_ids, thumbprints, tags } = provider;
    xml.text("Url", name);
    xml.texts("ClientIDList", client_ids);
    xml.texts("ThumbprintList", thumbprints);
    xml.text("CreateDate", created);
    tag::write_some(xml, tags);
}

/// The answer to `ListOpenIDConnectProviders`.
pub(crate) fn write_listed(xml: &mut Xml, arns: &[Arn]) {
    xml.list("OpenIDConnectProviderList", arns, |xml, arn| xml.text("Arn", arn));
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const ARN: &str =
        "OpenIDConnectProviderArn=arn:aws:iam::123456789012:oidc-provider/idp.example.com/a";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=CreateOpenIDConnectProvider&Url=https%3A%2F%2Fidp.example.com",
                "Action=CreateOpenIDConnectProvider&Url=https%3A%2F%2Fidp.example.com%3A8443%2Fa%2F\
           &ClientIDList.member.1=sts.amazonaws.com&ClientIDList.member.2=b\
           &ThumbprintList.member.1=990F4193972F2BECF12DDEDA5237F9C952F20D9E\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                &format!("Action=GetOpenIDConnectProvider&{ARN}"),
                "Action=ListOpenIDConnectProviders",
                &format!("Action=DeleteOpenIDConnectProvider&{ARN}"),
                &format!("Action=UpdateOpenIDConnectProviderThumbprint&{ARN}&ThumbprintList="),
                &format!("Action=AddClientIDToOpenIDConnectProvider&{ARN}&ClientID=a"),
                &format!("Action=RemoveClientIDFromOpenIDConnectProvider&{ARN}&ClientID=a"),
                &format!(
                    "Action=TagOpenIDConnectProvider&{ARN}\
           &Tags.member.1.Key=a&Tags.member.1.Value=b"
                ),
                &format!("Action=UntagOpenIDConnectProvider&{ARN}&TagKeys.member.1=a"),
                &format!("Action=ListOpenIDConnectProviderTags&{ARN}&MaxItems=3"),
            ],
            expect_file!["../testdata/oidc_provider-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=CreateOpenIDConnectProvider",
                "Action=CreateOpenIDConnectProvider&Url=http%3A%2F%2Fidp.example.com",
                "Action=CreateOpenIDConnectProvider&Url=https%3A%2F%2Fidp.example.com%3Fq",
                &format!(
                    "Action=CreateOpenIDConnectProvider&Url=https%3A%2F%2F{}",
                    "a".repeat(248)
                ),
                "Action=CreateOpenIDConnectProvider&Url=https%3A%2F%2Fidp.example.com\
           &ClientIDList.member.1=&ThumbprintList.member.1=99",
                &format!("Action=UpdateOpenIDConnectProviderThumbprint&{ARN}"),
                &format!(
                    "Action=UpdateOpenIDConnectProviderThumbprint&{ARN}\
           &ThumbprintList.member.1={}",
                    "x".repeat(40)
                ),
                "Action=GetOpenIDConnectProvider\
           &OpenIDConnectProviderArn=arn:aws:iam::123456789012:saml-provider/idp.example.com",
                &format!(
                    "Action=AddClientIDToOpenIDConnectProvider&{ARN}&ClientID={}",
                    "a".repeat(256)
                ),
                "Action=ListOpenIDConnectProviders&MaxItems=3",
            ],
            expect_file!["../testdata/oidc_provider-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let provider = OidcProvider {
            id: "AOPAQ3EGRIM6LD2W5YX7A".parse().unwrap(),
            name: "idp.example.com/a".parse().unwrap(),
            arn: "arn:aws:iam::123456789012:oidc-provider/idp.example.com/a".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            client_ids: vec!["<a>".parse().unwrap()],
            thumbprints: vec!["990f4193972f2becf12ddeda5237f9c952f20d9e".parse().unwrap()],
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        };
        let bare = OidcProvider { tags: Vec::new(), ..provider.clone() };
        let arns = vec![provider.arn.clone()];
        check_replies(
            [
                (
                    "CreateOpenIDConnectProvider",
                    Reply::CreateOpenIDConnectProvider(provider.clone()),
                ),
                ("CreateOpenIDConnectProvider", Reply::CreateOpenIDConnectProvider(bare)),
                ("GetOpenIDConnectProvider", Reply::GetOpenIDConnectProvider(provider)),
                ("ListOpenIDConnectProviders", Reply::ListOpenIDConnectProviders(arns)),
            ],
            expect_file!["../testdata/oidc_provider-replies.txt"],
        );
    }
}
