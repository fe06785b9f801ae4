//! The calls about identity providers that write a side.
//!
//! **Must not know:** how they are found.

use model::{TagKey, UniqueIdKind};
use wire::v1;

use super::{ConflictKind, Owner, Slot, decode};
use crate::{
    Command, EntityName,
    oidc_provider::{self, OidcProviderArn},
    provider::ProviderArn,
    saml_provider::{OneSamlProvider, UpdateSamlProvider},
    tag::{AddTags, RemoveTags, Tag},
};

impl Owner {
    pub(super) fn is_provider(&self) -> bool {
        matches!(self.kind, UniqueIdKind::OidcProvider | UniqueIdKind::SamlProvider)
    }

    fn provider_arn<N: EntityName>(&self) -> Option<ProviderArn<N>> {
        self.face.arn.as_str().parse().ok()
    }

    /// The call that writes a value of a provider's field.
    pub(super) fn provider(&self, slot: &Slot<'_>, value: Option<&[u8]>) -> Option<Command> {
        if slot.kind == ConflictKind::SamlMetadata {
            let v1::SamlMetadata { text, expires_ms: _ } = decode(value)?;
            let update = UpdateSamlProvider { arn: self.provider_arn()?, metadata: Some(text) };
            return Some(Command::UpdateSAMLProvider(update));
        }
        let arn: OidcProviderArn = self.provider_arn()?;
        if slot.kind == ConflictKind::OidcClientId {
            let client_id = slot.qualifier().parse().ok()?;
            let client = oidc_provider::ClientOf { arn, client_id };
            return Some(match value {
                Some(_) => Command::AddClientIDToOpenIDConnectProvider(client),
                None => Command::RemoveClientIDFromOpenIDConnectProvider(client),
            });
        }
        let v1::Thumbprints { sha1 } = decode(value)?;
        let thumbprints = sha1.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        let update = oidc_provider::UpdateThumbprints { arn, thumbprints };
        Some(Command::UpdateOpenIDConnectProviderThumbprint(update))
    }

    pub(super) fn delete_provider(&self) -> Option<Command> {
        if self.kind == UniqueIdKind::SamlProvider {
            let one = OneSamlProvider { arn: self.provider_arn()? };
            return Some(Command::DeleteSAMLProvider(one));
        }
        let one = oidc_provider::OneOidcProvider { arn: self.provider_arn()? };
        Some(Command::DeleteOpenIDConnectProvider(one))
    }

    pub(super) fn tag_provider(&self, tags: Vec<Tag>) -> Option<Command> {
        if self.kind == UniqueIdKind::SamlProvider {
            let owner = self.provider_arn()?;
            return Some(Command::TagSAMLProvider(AddTags { owner, tags }));
        }
        let owner = self.provider_arn()?;
        Some(Command::TagOpenIDConnectProvider(AddTags { owner, tags }))
    }

    pub(super) fn untag_provider(&self, keys: Vec<TagKey>) -> Option<Command> {
        if self.kind == UniqueIdKind::SamlProvider {
            let owner = self.provider_arn()?;
            return Some(Command::UntagSAMLProvider(RemoveTags { owner, keys }));
        }
        let owner = self.provider_arn()?;
        Some(Command::UntagOpenIDConnectProvider(RemoveTags { owner, keys }))
    }
}
