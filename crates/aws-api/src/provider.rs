//! What the calls about OpenID Connect and SAML providers have in common: the parameter that names
//! one.
//!
//! **Must not know:** what a provider is.

use identity::{EntityName, provider::ProviderArn};

use crate::{ApiError, form::Params, policy::arn_text};

/// The parameter that names a provider, such as `OpenIDConnectProviderArn`.
pub(crate) fn provider_arn<N: EntityName>(
    params: &mut Params<'_>,
) -> Result<ProviderArn<N>, ApiError> {
    let text = arn_text(params, &format!("{}Arn", N::WORD))?;
    text.parse().map_err(|_| ApiError::validation(format!("ARN {text} is not valid.")))
}
