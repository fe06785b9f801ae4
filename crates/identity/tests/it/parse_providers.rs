//! Calls about identity providers as words. An OpenID Connect provider is named as it is called,
//! `idp.example.com`, which an ARN of the account stands for.

use identity::{
    Command, EntityName, Query,
    oidc_provider::{self as op, OidcProviderArn},
    provider::ProviderArn,
    saml_provider::{self as sp, SamlProviderArn},
    tag as t,
};

use crate::{
    history::ACCOUNT,
    parse::{name, page, tags},
    parse_credentials::file,
};

fn oidc(text: &str) -> OidcProviderArn {
    arn("oidc-provider", text)
}

fn saml(text: &str) -> SamlProviderArn {
    arn("saml-provider", text)
}

/// What has colons is an ARN already.
fn arn<N: EntityName>(word: &str, text: &str) -> ProviderArn<N> {
    match text.starts_with("arn:") {
        true => text.parse().unwrap(),
        false => format!("arn:aws:iam::{ACCOUNT}:{word}/{text}").parse().unwrap(),
    }
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: Option<&&str>) -> Vec<T> {
    let words = text.map(|text| text.split(',')).into_iter().flatten();
    words.filter(|word| *word != "-").map(name).collect()
}

pub(crate) fn command(action: &str, a: &[&str]) -> Option<Command> {
    use Command as C;
    let client = || op::ClientOf { arn: oidc(a[0]), client_id: name(a[1]) };
    Some(match action {
        "CreateOpenIDConnectProvider" => C::CreateOpenIDConnectProvider(op::CreateOidcProvider {
            name: name(a[0]),
            client_ids: list(a.get(1)),
            thumbprints: list(a.get(2)),
            tags: tags(a.get(3..).unwrap_or_default()),
        }),
        "DeleteOpenIDConnectProvider" => {
            C::DeleteOpenIDConnectProvider(op::OneOidcProvider { arn: oidc(a[0]) })
        }
        "UpdateOpenIDConnectProviderThumbprint" => {
            C::UpdateOpenIDConnectProviderThumbprint(op::UpdateThumbprints {
                arn: oidc(a[0]),
                thumbprints: list(a.get(1)),
            })
        }
        "AddClientIDToOpenIDConnectProvider" => C::AddClientIDToOpenIDConnectProvider(client()),
        "RemoveClientIDFromOpenIDConnectProvider" => {
            C::RemoveClientIDFromOpenIDConnectProvider(client())
        }
        "TagOpenIDConnectProvider" => {
            C::TagOpenIDConnectProvider(t::AddTags { owner: oidc(a[0]), tags: tags(&a[1..]) })
        }
        "UntagOpenIDConnectProvider" => C::UntagOpenIDConnectProvider(t::RemoveTags {
            owner: oidc(a[0]),
            keys: vec![name(a[1])],
        }),
        "CreateSAMLProvider" => C::CreateSAMLProvider(sp::CreateSamlProvider {
            name: name(a[0]),
            metadata: file(a[1]),
            tags: tags(&a[2..]),
        }),
        "UpdateSAMLProvider" => C::UpdateSAMLProvider(sp::UpdateSamlProvider {
            arn: saml(a[0]),
            metadata: Some(file(a[1])),
        }),
        "DeleteSAMLProvider" => C::DeleteSAMLProvider(sp::OneSamlProvider { arn: saml(a[0]) }),
        "TagSAMLProvider" => {
            C::TagSAMLProvider(t::AddTags { owner: saml(a[0]), tags: tags(&a[1..]) })
        }
        "UntagSAMLProvider" => {
            C::UntagSAMLProvider(t::RemoveTags { owner: saml(a[0]), keys: vec![name(a[1])] })
        }
        _ => return None,
    })
}

pub(crate) fn query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetOpenIDConnectProvider" => {
            Q::GetOpenIDConnectProvider(op::OneOidcProvider { arn: oidc(a[0]) })
        }
        "ListOpenIDConnectProviders" => Q::ListOpenIDConnectProviders(op::ListOidcProviders),
        "ListOpenIDConnectProviderTags" => {
            Q::ListOpenIDConnectProviderTags(t::ListTags { owner: oidc(a[0]), page: page() })
        }
        "GetSAMLProvider" => Q::GetSAMLProvider(sp::OneSamlProvider { arn: saml(a[0]) }),
        "ListSAMLProviders" => Q::ListSAMLProviders(sp::ListSamlProviders),
        "ListSAMLProviderTags" => {
            Q::ListSAMLProviderTags(t::ListTags { owner: saml(a[0]), page: page() })
        }
        _ => return None,
    })
}
