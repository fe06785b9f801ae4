//! The fields of entities: every tag, the message its value is, and its narrow reading.
//!
//! | tag | field | of | qualifier | contested, it reads narrowly as |
//! |---|---|---|---|---|
//! | 1 | head | entities | | user, role: dead; group, policy: only denies; else shown |
//! | 2 | name | entities | | unknown in conditions; each is taken, each ARN must be allowed |
//! | 3 | path | entities | | each ARN must be allowed |
//! | 4 | description | role, policy | | shown, no more |
//! | 5 | max session duration | role | | the least |
//! | 6 | trust policy | role | | as a document; maybe removed: trusts nobody |
//! | 7 | tag | all but groups | folded key | a condition on it is unknown |
//! | 8 | inline policy | user, group, role | folded name | as a document |
//! | 9 | membership | user | group's id | only the group's denies |
//! | 10 | attachment | user, group, role | policy's id | only the policy's denies |
//! | 11 | policy version | policy | `v1`… | as a document |
//! | 12 | default version | policy | | all versions it may be, as one document |
//! | 13 | access key | access key | | does not authenticate |
//! | 14 | status | access key | | does not authenticate |
//! | 15 | permissions boundary | user, role | | each must allow, any may deny, but a removal |
//! | 16 | login profile | user | | does not authenticate |
//! | 17 | used password | user | when it was set | each is one that was used |
//! | 18 | password policy | root user | | the strictest of all, the default if one is none |
//! | 19 | role in it | instance profile | role's id | shown, and in the way of another |
//! | 40 | SSH public key | user | its id | does not authenticate |
//! | 41 | signing certificate | user, root user | its id | does not authenticate |
//! | 42 | service-specific credential | user | its id | does not authenticate |
//! | 43 | credential's status | user, root user | the credential's id | does not authenticate |
//! | 44 | certificate | server certificate | | shown, no more |
//! | 50 | seed | MFA device | | no code is right |
//! | 51 | for whom it is enabled | MFA device | | for nobody; sessions may have their factor |
//! | 52 | counter | MFA device | | that of the greatest step |
//! | 53 | last use | access key | | the last |
//! | 60 | client id | OIDC provider | the client id | not one of its clients |
//! | 61 | thumbprints | OIDC provider | | every side must have the certificate |
//! | 62 | metadata | SAML provider | | vouches for nobody |
//!
//! Entities are users, groups, roles, instance profiles, server certificates, virtual MFA devices,
//! identity providers
//! and managed policies.
//! Of a contested document every side must allow and any may deny; if one side is a removal, only
//! its denies count.
//! An entity whose name is another's, or that another must have too while nothing is decided, reads
//! as one whose head is contested.
//!
//! **Invariants.** Numbers are for ever; a tag's message only grows.
//!
//! **Must not know:** what a call does with a field.

use std::marker::PhantomData;

use model::{AccountId, Key, UniqueId};
use wire::v1;

/// A field: its tag and the message that its values are.
pub(crate) struct Field<M> {
    tag: u16,
    message: PhantomData<fn() -> M>,
}

impl<M> Field<M> {
    const fn new(tag: u16) -> Self {
        Self { tag, message: PhantomData }
    }

    /// The tag.
    pub(crate) fn tag(&self) -> u16 {
        self.tag
    }

    /// The encoded key of an entity's field that has no qualifier.
    pub(crate) fn key(&self, account: AccountId, id: UniqueId) -> Box<[u8]> {
        self.key_of(account, id, "")
    }

    /// The encoded key of one of an entity's fields.
    pub(crate) fn key_of(&self, account: AccountId, id: UniqueId, qualifier: &str) -> Box<[u8]> {
        Key::new(account, id, self.tag, qualifier).to_bytes()
    }
}

pub(crate) const HEAD: Field<v1::Head> = Field::new(1);
pub(crate) const NAME: Field<v1::Text> = Field::new(2);
pub(crate) const PATH: Field<v1::Text> = Field::new(3);
pub(crate) const DESCRIPTION: Field<v1::Text> = Field::new(4);
pub(crate) const MAX_SESSION_DURATION: Field<v1::Number> = Field::new(5);
pub(crate) const TRUST_POLICY: Field<v1::Document> = Field::new(6);
pub(crate) const TAG: Field<v1::Tag> = Field::new(7);
pub(crate) const INLINE_POLICY: Field<v1::Document> = Field::new(8);
pub(crate) const MEMBERSHIP: Field<v1::Edge> = Field::new(9);
pub(crate) const ATTACHMENT: Field<v1::Edge> = Field::new(10);
pub(crate) const POLICY_VERSION: Field<v1::Document> = Field::new(11);
pub(crate) const DEFAULT_VERSION: Field<v1::Text> = Field::new(12);
pub(crate) const ACCESS_KEY: Field<v1::AccessKey> = Field::new(13);
pub(crate) const ACCESS_KEY_STATUS: Field<v1::Text> = Field::new(14);
pub(crate) const BOUNDARY: Field<v1::Text> = Field::new(15);
pub(crate) const LOGIN_PROFILE: Field<v1::LoginProfile> = Field::new(16);
pub(crate) const USED_PASSWORD: Field<v1::UsedPassword> = Field::new(17);
pub(crate) const PASSWORD_POLICY: Field<v1::PasswordPolicy> = Field::new(18);
pub(crate) const INSTANCE_PROFILE_ROLE: Field<v1::Edge> = Field::new(19);
pub(crate) const SSH_PUBLIC_KEY: Field<v1::SshPublicKey> = Field::new(40);
pub(crate) const SIGNING_CERTIFICATE: Field<v1::SigningCertificate> = Field::new(41);
pub(crate) const SERVICE_CREDENTIAL: Field<v1::ServiceCredential> = Field::new(42);
pub(crate) const SERVER_CERTIFICATE: Field<v1::ServerCertificate> = Field::new(44);
pub(crate) const OIDC_CLIENT_ID: Field<v1::Edge> = Field::new(60);
pub(crate) const OIDC_THUMBPRINTS: Field<v1::Thumbprints> = Field::new(61);
pub(crate) const SAML_METADATA: Field<v1::SamlMetadata> = Field::new(62);
/// Of an SSH public key, a signing certificate or a service-specific credential.
pub(crate) const CREDENTIAL_STATUS: Field<v1::Text> = Field::new(43);
pub(crate) const MFA_SEED: Field<v1::MfaSeed> = Field::new(50);
/// The unique id of the user, or of the root user.
pub(crate) const MFA_OWNER: Field<v1::Text> = Field::new(51);
pub(crate) const MFA_COUNTER: Field<v1::MfaCounter> = Field::new(52);
pub(crate) const KEY_USE: Field<v1::KeyUse> = Field::new(53);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_for_ever() {
        let tags = [
            HEAD.tag(),
            NAME.tag(),
            PATH.tag(),
            DESCRIPTION.tag(),
            MAX_SESSION_DURATION.tag(),
            TRUST_POLICY.tag(),
            TAG.tag(),
            INLINE_POLICY.tag(),
            MEMBERSHIP.tag(),
            ATTACHMENT.tag(),
            POLICY_VERSION.tag(),
            DEFAULT_VERSION.tag(),
            ACCESS_KEY.tag(),
            ACCESS_KEY_STATUS.tag(),
            BOUNDARY.tag(),
            LOGIN_PROFILE.tag(),
            USED_PASSWORD.tag(),
            PASSWORD_POLICY.tag(),
            INSTANCE_PROFILE_ROLE.tag(),
        ];
        assert!(tags.into_iter().eq(1..=19));
        let credentials = [
            SSH_PUBLIC_KEY.tag(),
            SIGNING_CERTIFICATE.tag(),
            SERVICE_CREDENTIAL.tag(),
            CREDENTIAL_STATUS.tag(),
            SERVER_CERTIFICATE.tag(),
        ];
        assert!(credentials.into_iter().eq(40..=44));
        let providers = [OIDC_CLIENT_ID.tag(), OIDC_THUMBPRINTS.tag(), SAML_METADATA.tag()];
        assert!(providers.into_iter().eq(60..=62));
        let devices = [MFA_SEED.tag(), MFA_OWNER.tag(), MFA_COUNTER.tag(), KEY_USE.tag()];
        assert!(devices.into_iter().eq(50..=53));
    }
}
