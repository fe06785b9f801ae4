//! Conflicts in words.
//!
//! **Invariants.** Of sealed secrets only their time is shown. What a peer wrote is cut to
//! [`VALUE_CHARS_MAX`].
//!
//! **Must not know:** how a conflict is settled.

use crdt::{Doubter, Sibling};
use model::{Credential, Key, Timestamp, UniqueId, UniqueIdKind};
use wire::{
    Message,
    transaction::{Meta, Transaction},
    v1,
};

use super::{
    Choice, Conflict, ConflictEntity, ConflictId, ConflictKind, Review, ReviewedWrite, Side,
    WayOut,
    inbox::{Subject, over_limit},
    ways::{self, Slot},
};
use crate::{
    Identity, NameKey,
    claims::Contenders,
    effective::PolicyRef,
    entity::Entity,
    field::{ACCESS_KEY, HEAD, NAME},
};

/// The longest value in words.
const VALUE_CHARS_MAX: usize = 256;

/// A conflict as it is shown.
pub(super) fn conflict(identity: &Identity, id: ConflictId, subject: &Subject) -> Conflict {
    let ways_out = ways_out(identity, subject);
    match subject {
        Subject::Slot(key) => {
            let slot = Slot::of(key);
            let siblings = identity.slot(&key.to_bytes());
            let show = |sibling| side(identity, &slot, sibling);
            Conflict {
                id,
                kind: slot.kind,
                entity: entity(identity, slot.entity),
                field: field(identity, &slot),
                sides: siblings.iter().map(show).collect(),
                withheld: withheld(slot.kind, slot.entity.id.kind()),
                ways_out,
            }
        }
        Subject::Rivals(account, kind, fold) => {
            let name = NameKey { account: *account, kind: *kind, fold: fold.as_str().into() };
            let (word, of, sides) = contenders(identity, &name);
            let nobody = Entity { account: *account, id: UniqueId::root(*account) };
            Conflict {
                id,
                kind: word,
                entity: entity(identity, of.unwrap_or(nobody)),
                field: format!("the name `{}`", cut(fold)),
                sides,
                withheld: withheld(word, Some(*kind)),
                ways_out,
            }
        }
        Subject::Limit(account, owner) => {
            let owner = Entity { account: *account, id: *owner };
            let keys = over_limit(identity, owner);
            let sides = keys.iter().flat_map(|key| {
                let siblings = identity.slot(&key.to_bytes()).iter();
                siblings.filter(|sibling| sibling.value.is_some()).map(|sibling| {
                    let what = match key.id.kind() {
                        Some(UniqueIdKind::AccessKey) => key.id.to_string(),
                        _ => key.field.qualifier.to_string(),
                    };
                    Side { value: what, document: None, ..side(identity, &Slot::of(key), sibling) }
                })
            });
            Conflict {
                id,
                kind: ConflictKind::OverLimit,
                entity: entity(identity, owner),
                field: match owner.id.kind() {
                    Some(UniqueIdKind::Policy) => "versions".to_owned(),
                    _ => "access keys".to_owned(),
                },
                sides: sides.collect(),
                withheld: withheld(ConflictKind::OverLimit, owner.id.kind()),
                ways_out,
            }
        }
    }
}

/// How a conflict can be settled.
pub(super) fn ways_out(identity: &Identity, subject: &Subject) -> Vec<WayOut> {
    let own = |actions: &[&str]| {
        let actions = actions.iter().map(|action| format!("iam:{action}")).collect();
        vec![WayOut { choice: None, actions }]
    };
    match subject {
        Subject::Slot(key) => {
            let slot = Slot::of(key);
            let siblings = identity.slot(&key.to_bytes()).iter().zip(1..);
            let kept = siblings.filter_map(|(sibling, number)| {
                let way = ways::way(identity, &slot, Some(sibling.value.as_deref()?))?;
                Some(WayOut { choice: Some(Choice::Side(number)), actions: way.actions() })
            });
            let removed = ways::way(identity, &slot, None)
                .map(|way| WayOut { choice: Some(Choice::Remove), actions: way.actions() });
            kept.chain(removed).collect()
        }
        Subject::Rivals(_, kind, _) => match kind {
            UniqueIdKind::User => own(&["UpdateUser", "DeleteUser"]),
            UniqueIdKind::Group => own(&["UpdateGroup", "DeleteGroup"]),
            UniqueIdKind::Role => own(&["DeleteRole"]),
            UniqueIdKind::Policy => own(&["DeletePolicy"]),
            UniqueIdKind::InstanceProfile => own(&["DeleteInstanceProfile"]),
            UniqueIdKind::ServerCertificate => {
                own(&["UpdateServerCertificate", "DeleteServerCertificate"])
            }
            UniqueIdKind::OidcProvider => own(&["DeleteOpenIDConnectProvider"]),
            UniqueIdKind::SamlProvider => own(&["DeleteSAMLProvider"]),
            UniqueIdKind::MfaDevice => own(&["DeleteVirtualMFADevice"]),
            UniqueIdKind::Root | UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => Vec::new(),
        },
        Subject::Limit(_, id) => match id.kind() {
            Some(UniqueIdKind::Policy) => own(&["DeletePolicyVersion"]),
            _ => own(&["DeleteAccessKey"]),
        },
    }
}

pub(super) fn entity(identity: &Identity, entity: Entity) -> ConflictEntity {
    let noun = match entity.id.kind() {
        Some(UniqueIdKind::User) => "user",
        Some(UniqueIdKind::Group) => "group",
        Some(UniqueIdKind::Role) => "role",
        Some(UniqueIdKind::Policy) => "policy",
        Some(UniqueIdKind::InstanceProfile) => "instance profile",
        Some(UniqueIdKind::ServerCertificate) => "server certificate",
        Some(UniqueIdKind::OidcProvider) => "OpenID Connect provider",
        Some(UniqueIdKind::SamlProvider) => "SAML provider",
        Some(UniqueIdKind::MfaDevice) => "MFA device",
        Some(UniqueIdKind::Root) => {
            let name = entity.account.to_string();
            let arn = format!("arn:aws:iam::{name}:root");
            return ConflictEntity { noun: "account", name, arn, id: entity.id };
        }
        Some(UniqueIdKind::AccessKey | UniqueIdKind::SessionKey) => {
            let owner = identity.read(&ACCESS_KEY, entity);
            let owner = owner.may().find_map(|key| key.owner.parse::<UniqueId>().ok());
            let arn = owner.and_then(|owner| {
                known_arn(identity, Entity { account: entity.account, id: owner })
            });
            return ConflictEntity {
                noun: "access key",
                name: entity.id.to_string(),
                arn: arn.unwrap_or_default(),
                id: entity.id,
            };
        }
        None => "entity",
    };
    let face = identity.face(entity);
    ConflictEntity { noun, name: face.name, arn: face.arn.to_string(), id: entity.id }
}

/// The ARN of a principal that may exist.
fn known_arn(identity: &Identity, principal: Entity) -> Option<String> {
    if principal.id.kind() == Some(UniqueIdKind::Root) {
        return Some(format!("arn:aws:iam::{}:root", principal.account));
    }
    let exists = identity.read(&HEAD, principal).is_possible();
    exists.then(|| identity.face(principal).arn.to_string())
}

/// Which field it is, in words.
pub(super) fn field(identity: &Identity, slot: &Slot<'_>) -> String {
    let target = || match slot.target() {
        Some(target) => PolicyRef::of(target).arn(identity),
        None => cut(slot.qualifier()),
    };
    match slot.kind {
        ConflictKind::Existence => "whether it exists".to_owned(),
        ConflictKind::Name => "name".to_owned(),
        ConflictKind::Path => "path".to_owned(),
        ConflictKind::Description => "description".to_owned(),
        ConflictKind::MaxSessionDuration => "maximum session duration".to_owned(),
        ConflictKind::TrustPolicy => "trust policy".to_owned(),
        ConflictKind::Tag => format!("tag `{}`", cut(slot.qualifier())),
        ConflictKind::InlinePolicy => format!("inline policy `{}`", cut(slot.qualifier())),
        ConflictKind::Membership => format!("membership in {}", target()),
        ConflictKind::Attachment => format!("attachment of {}", target()),
        ConflictKind::PolicyVersion => format!("version `{}`", cut(slot.qualifier())),
        ConflictKind::DefaultVersion => "default version".to_owned(),
        ConflictKind::AccessKey => "whether it exists".to_owned(),
        ConflictKind::AccessKeyStatus => "status".to_owned(),
        ConflictKind::Boundary => "permissions boundary".to_owned(),
        ConflictKind::LoginProfile => "login profile".to_owned(),
        ConflictKind::PasswordPolicy => "password policy".to_owned(),
        ConflictKind::InstanceProfileRole => format!("role {}", target()),
        ConflictKind::SshPublicKey => format!("SSH public key {}", cut(slot.qualifier())),
        ConflictKind::SigningCertificate => {
            format!("signing certificate {}", cut(slot.qualifier()))
        }
        ConflictKind::ServiceCredential => {
            format!("service-specific credential {}", cut(slot.qualifier()))
        }
        ConflictKind::ServerCertificate => "certificate".to_owned(),
        ConflictKind::OidcClientId => format!("client id `{}`", cut(slot.qualifier())),
        ConflictKind::OidcThumbprints => "thumbprints".to_owned(),
        ConflictKind::SamlMetadata => "metadata".to_owned(),
        ConflictKind::MfaSeed => "seed".to_owned(),
        ConflictKind::MfaOwner => "for whom it is enabled".to_owned(),
        ConflictKind::CredentialStatus => format!("status of {}", cut(slot.qualifier())),
        ConflictKind::Rivals
        | ConflictKind::Quarantined
        | ConflictKind::OverLimit
        | ConflictKind::Unknown => "a field that this version does not know".to_owned(),
    }
}

pub(super) fn side(identity: &Identity, slot: &Slot<'_>, sibling: &Sibling<Meta>) -> Side {
    let Meta { hlc, author, request_id: _, action } = &*sibling.meta;
    let account = identity.index().account_of(author.principal);
    let account = account.unwrap_or(slot.entity.account);
    let (mut value, document) = value(identity, slot, sibling.value.as_deref());
    if let Some(Doubter { dot, meta }) = identity.doubter(&slot.key(), &sibling.dot) {
        let (action, node) = (cut(&meta.action), dot.actor);
        value += &format!("; doubted: its author's right was changed by {action}, node {node}");
    }
    Side {
        node: sibling.dot.actor,
        seq: sibling.dot.counter,
        author: author.principal,
        author_arn: known_arn(identity, Entity { account, id: author.principal }),
        credential: credential(&author.credential),
        at: Timestamp::from_ms(hlc.ms()),
        action: cut(action),
        value,
        document,
    }
}

/// A transaction in words.
pub(super) fn review(identity: &Identity, transaction: &Transaction) -> Review {
    let Transaction { dot: _, deps: _, meta, writes } = transaction;
    let Meta { hlc, author, request_id: _, action } = &**meta;
    let keys = || writes.iter().filter_map(|write| Key::from_bytes(&write.key).ok());
    let account = identity.index().account_of(author.principal);
    // A root user is its account.
    let account = account.or_else(|| keys().next().map(|key| key.account));
    let shown = writes.iter().filter_map(|write| {
        let key = Key::from_bytes(&write.key).ok()?;
        let slot = Slot::of(&key);
        let (value, document) = value(identity, &slot, write.value.as_deref());
        let (entity, field) = (entity(identity, slot.entity), field(identity, &slot));
        Some(ReviewedWrite { entity, field, value, document })
    });
    Review {
        author: author.principal,
        author_arn: account
            .and_then(|account| known_arn(identity, Entity { account, id: author.principal })),
        credential: credential(&author.credential),
        at: Timestamp::from_ms(hlc.ms()),
        action: cut(action),
        writes: shown.collect(),
    }
}

/// Who has a name that others have too: what kind of conflict that is, whose it is, its sides.
fn contenders(identity: &Identity, name: &NameKey) -> (ConflictKind, Option<Entity>, Vec<Side>) {
    let sides = |of: &[Entity], role: &'static str| -> Vec<Side> {
        of.iter().flat_map(|entity| named(identity, *entity, role)).collect()
    };
    match identity.contenders(name) {
        Contenders::None => (ConflictKind::Rivals, None, Vec::new()),
        Contenders::Rivals(rivals) => {
            (ConflictKind::Rivals, rivals.first().copied(), sides(&rivals, ""))
        }
        Contenders::Quarantined { holder, lost } => {
            let holder = holder.map(|id| Entity { account: name.account, id });
            let mut shown = sides(holder.as_slice(), ", has the name");
            shown.extend(sides(&lost, ", has lost the name"));
            (ConflictKind::Quarantined, lost.first().copied(), shown)
        }
    }
}

/// The sides of who has a name: who gave it.
fn named(identity: &Identity, entity: Entity, role: &str) -> Vec<Side> {
    let key = Key::new(entity.account, entity.id, NAME.tag(), "");
    let siblings = identity.slot(&key.to_bytes());
    let arn = identity.face(entity).arn;
    let value = format!("{arn} ({}{role})", entity.id);
    let show = |sibling| Side { value: value.clone(), ..side(identity, &Slot::of(&key), sibling) };
    siblings.iter().map(show).collect()
}

fn credential(credential: &Credential) -> String {
    match credential {
        Credential::AccessKey(key) => format!("access key {key}"),
        Credential::Session { key, issued } => format!("session {key} of {issued}"),
        Credential::Certificate(_) => "a certificate".to_owned(),
        Credential::Node(node) => format!("node {node}"),
    }
}

/// What a side says, and the text of a document.
fn value(identity: &Identity, slot: &Slot<'_>, bytes: Option<&[u8]>) -> (String, Option<String>) {
    let Some(bytes) = bytes else { return ("removed".to_owned(), None) };
    if let ConflictKind::TrustPolicy | ConflictKind::InlinePolicy | ConflictKind::PolicyVersion =
        slot.kind
    {
        let text = v1::Document::decode(bytes).ok().map(|document| document.text);
        let chars = text.as_ref().map(|text| text.chars().count());
        let words = chars.map(|chars| format!("a document of {chars} characters"));
        return (words.unwrap_or_else(unreadable), text);
    }
    (words(identity, slot, bytes).map_or_else(unreadable, |words| cut(&words)), None)
}

fn unreadable() -> String {
    "what this version cannot read".to_owned()
}

fn words(identity: &Identity, slot: &Slot<'_>, bytes: &[u8]) -> Option<String> {
    let text = || v1::Text::decode(bytes).ok().map(|text| text.text);
    let made = |ms| format!("made at {}", Timestamp::from_ms(ms));
    let valid_until = |ms| format!("valid until {}", Timestamp::from_ms(ms));
    Some(match slot.kind {
        ConflictKind::Existence => made(v1::Head::decode(bytes).ok()?.created_ms),
        ConflictKind::Name
        | ConflictKind::Path
        | ConflictKind::Description
        | ConflictKind::DefaultVersion
        | ConflictKind::AccessKeyStatus
        | ConflictKind::CredentialStatus => text()?,
        ConflictKind::MaxSessionDuration => {
            format!("{} seconds", v1::Number::decode(bytes).ok()?.number)
        }
        ConflictKind::Tag => {
            let v1::Tag { key, value } = v1::Tag::decode(bytes).ok()?;
            format!("{key}={value}")
        }
        ConflictKind::Membership
        | ConflictKind::InstanceProfileRole
        | ConflictKind::OidcClientId => "added".to_owned(),
        ConflictKind::OidcThumbprints => match v1::Thumbprints::decode(bytes).ok()?.sha1 {
            any if any.is_empty() => "any".to_owned(),
            some => some.join(", "),
        },
        ConflictKind::Attachment => "attached".to_owned(),
        ConflictKind::AccessKey => made(v1::AccessKey::decode(bytes).ok()?.created_ms),
        ConflictKind::SshPublicKey => {
            let v1::SshPublicKey { uploaded_ms, fingerprint, .. } =
                v1::SshPublicKey::decode(bytes).ok()?;
            format!("{fingerprint}, uploaded at {}", Timestamp::from_ms(uploaded_ms))
        }
        ConflictKind::SigningCertificate => {
            let uploaded = v1::SigningCertificate::decode(bytes).ok()?.uploaded_ms;
            format!("uploaded at {}", Timestamp::from_ms(uploaded))
        }
        ConflictKind::ServiceCredential => {
            let v1::ServiceCredential { service, name, .. } =
                v1::ServiceCredential::decode(bytes).ok()?;
            format!("{name} for {service}")
        }
        ConflictKind::MfaSeed => "as it was made".to_owned(),
        ConflictKind::MfaOwner => {
            let id: UniqueId = text()?.parse().ok()?;
            known_arn(identity, Entity { id, ..slot.entity }).unwrap_or_else(|| id.to_string())
        }
        ConflictKind::ServerCertificate => {
            valid_until(v1::ServerCertificate::decode(bytes).ok()?.expires_ms)
        }
        ConflictKind::SamlMetadata => valid_until(v1::SamlMetadata::decode(bytes).ok()?.expires_ms),
        ConflictKind::Boundary => {
            let id: UniqueId = text()?.parse().ok()?;
            PolicyRef::of(Entity { account: slot.entity.account, id }).arn(identity)
        }
        ConflictKind::LoginProfile => {
            let changed = v1::LoginProfile::decode(bytes).ok()?.changed_ms;
            format!("a password set at {}", Timestamp::from_ms(changed))
        }
        ConflictKind::PasswordPolicy => {
            let policy = v1::PasswordPolicy::decode(bytes).ok()?;
            format!("at least {} characters", policy.minimum_length)
        }
        ConflictKind::TrustPolicy
        | ConflictKind::InlinePolicy
        | ConflictKind::PolicyVersion
        | ConflictKind::Rivals
        | ConflictKind::Quarantined
        | ConflictKind::OverLimit
        | ConflictKind::Unknown => format!("{} bytes", bytes.len()),
    })
}

/// What does not count while a conflict is open; `identity::field`'s table in words.
fn withheld(kind: ConflictKind, of: Option<UniqueIdKind>) -> &'static str {
    let acts = matches!(of, Some(UniqueIdKind::User | UniqueIdKind::Role));
    match kind {
        ConflictKind::Existence if acts => "it cannot act, its credentials are refused",
        ConflictKind::Existence if of == Some(UniqueIdKind::MfaDevice) => {
            "its codes are not accepted"
        }
        ConflictKind::Existence | ConflictKind::Membership | ConflictKind::Attachment => {
            "what it allows; what it denies counts"
        }
        ConflictKind::Name => "what conditions on the name allow; each name is taken",
        ConflictKind::Path => "what is not allowed for each ARN that it may have",
        ConflictKind::Description => "nothing",
        ConflictKind::MaxSessionDuration => "sessions longer than the shortest",
        ConflictKind::TrustPolicy
        | ConflictKind::InlinePolicy
        | ConflictKind::PolicyVersion
        | ConflictKind::DefaultVersion => "what not every side allows; what any side denies counts",
        ConflictKind::Tag => "what conditions on the tag allow",
        ConflictKind::AccessKey | ConflictKind::AccessKeyStatus => "the key does not authenticate",
        ConflictKind::Boundary => "what not every boundary allows",
        ConflictKind::LoginProfile => "the password does not authenticate",
        ConflictKind::PasswordPolicy => "passwords that not every side accepts",
        ConflictKind::InstanceProfileRole => "room for another role",
        ConflictKind::SshPublicKey
        | ConflictKind::SigningCertificate
        | ConflictKind::ServiceCredential
        | ConflictKind::CredentialStatus => "it does not authenticate",
        ConflictKind::MfaSeed | ConflictKind::MfaOwner => {
            "its codes are not accepted; sessions that were made with them may lack their factor"
        }
        ConflictKind::Rivals if acts => "the credentials of all of them, and giving them anything",
        ConflictKind::Rivals => "what they allow, and giving them anything; what they deny counts",
        ConflictKind::Quarantined if acts => {
            "the credentials of whoever lost the name, and giving it anything"
        }
        ConflictKind::Quarantined => {
            "what it allows, and giving it anything; what it denies counts"
        }
        ConflictKind::ServerCertificate => "nothing",
        ConflictKind::OidcClientId => "sessions for tokens of this client",
        ConflictKind::SamlMetadata => "sessions for its assertions",
        ConflictKind::OidcThumbprints => "keys from hosts whose certificates not every side has",
        ConflictKind::OverLimit => "making more of them",
        ConflictKind::Unknown => "whatever a newer version says",
    }
}

fn cut(text: &str) -> String {
    let end = text.char_indices().nth(VALUE_CHARS_MAX).map(|(end, _)| end);
    match end.and_then(|end| text.get(..end)) {
        Some(start) => format!("{start}…"),
        None => text.to_owned(),
    }
}
