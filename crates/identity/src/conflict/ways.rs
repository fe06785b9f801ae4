//! The ways out of a contested slot: for each side the IAM call that writes it.
//!
//! **Invariants.** A choice is the call that would write it: its rights are asked for, its
//! preconditions checked and re-asserted. Only the bytes are the side's own, so that what a newer
//! node put there stays. Where no call writes just that value, the rights that would come to the
//! same are asked for; where that could bring back what was deleted for good, there is no way.
//!
//! **Must not know:** how conflicts are listed.

mod provider;

use std::sync::Arc;

use model::{
    GroupName, InstanceProfileName, Key, Path, RoleName, TagKey, UniqueId, UniqueIdKind, UserName,
};
use wire::{Message, v1};

use super::ConflictKind;
use crate::{
    Command, Ctx, Error, Identity, Noun, Outcome, Rename, access_key, attachment,
    authorize::demand_entity,
    boundary,
    effective::PolicyRef,
    entity::{self, Entity, Face},
    execute,
    field::{ACCESS_KEY, SERVICE_CREDENTIAL, SIGNING_CERTIFICATE, SSH_PUBLIC_KEY},
    group, inline, instance_profile, login_profile, mfa_device, password_policy,
    policy::{self, PolicyArn},
    role, server_certificate, service_credential, signing_certificate, ssh_public_key,
    state::Writes,
    tag, user,
};

/// A contested slot.
pub(super) struct Slot<'a> {
    key: &'a Key,
    pub(super) kind: ConflictKind,
    pub(super) entity: Entity,
}

impl<'a> Slot<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        let entity = Entity { account: key.account, id: key.id };
        Self { key, kind: ConflictKind::of(key.field.tag), entity }
    }

    /// Its encoded key.
    pub(super) fn key(&self) -> Box<[u8]> {
        self.key.to_bytes()
    }

    /// Which of the entity's fields it is.
    pub(super) fn qualifier(&self) -> &str {
        &self.key.field.qualifier
    }

    /// The entity that the slot is an edge to.
    pub(super) fn target(&self) -> Option<Entity> {
        let id: UniqueId = self.qualifier().parse().ok()?;
        Some(Entity { account: self.entity.account, id })
    }
}

/// How a side becomes the only one.
pub(super) enum Way {
    /// By a call.
    Call(Box<Command>),
    /// By the rights to these actions: no call writes just that.
    Rights(&'static [&'static str]),
}

impl Way {
    /// The actions that it needs the right to.
    pub(super) fn actions(&self) -> Vec<String> {
        match self {
            Self::Call(command) => vec![format!("iam:{}", command.action())],
            Self::Rights(actions) => actions.iter().map(|action| (*action).to_owned()).collect(),
        }
    }
}

/// The way to have a value, `None` for a removal, in a slot.
pub(super) fn way(identity: &Identity, slot: &Slot<'_>, value: Option<&[u8]>) -> Option<Way> {
    let rights = match (slot.kind, slot.entity.id.kind()?, value.is_some()) {
        (ConflictKind::Existence, UniqueIdKind::Group, true) => {
            Some(&["iam:CreateGroup", "iam:AddUserToGroup"][..])
        }
        (ConflictKind::Existence, UniqueIdKind::Policy, true) => {
            Some(&["iam:CreatePolicy", "iam:CreatePolicyVersion"][..])
        }
        (ConflictKind::Existence, UniqueIdKind::InstanceProfile, true) => {
            Some(&["iam:CreateInstanceProfile"][..])
        }
        (ConflictKind::PolicyVersion, UniqueIdKind::Policy, true) => {
            Some(&["iam:CreatePolicyVersion"][..])
        }
        (ConflictKind::ServiceCredential, UniqueIdKind::User, true)
            if !is_maybe_removed(identity, slot) =>
        {
            Some(&["iam:ResetServiceSpecificCredential"][..])
        }
        (ConflictKind::LoginProfile, UniqueIdKind::User, true) => {
            Some(&["iam:UpdateLoginProfile"][..])
        }
        _ => None,
    };
    if let Some(actions) = rights {
        return Some(Way::Rights(actions));
    }
    call(identity, slot, value).map(|command| Way::Call(Box::new(command)))
}

/// Whether one of a slot's sides is a removal.
fn is_maybe_removed(identity: &Identity, slot: &Slot<'_>) -> bool {
    identity.slot(&slot.key()).iter().any(|sibling| sibling.value.is_none())
}

/// The call that writes a value.
fn call(identity: &Identity, slot: &Slot<'_>, value: Option<&[u8]>) -> Option<Command> {
    let owner = Owner::of(identity, slot.entity)?;
    let text = || decode::<v1::Text>(value).map(|text| text.text);
    match slot.kind {
        ConflictKind::Existence if value.is_none() => owner.delete(),
        ConflictKind::Name => owner.rename(&text()?),
        ConflictKind::Path => owner.move_to(text()?.parse().ok()?),
        ConflictKind::Description => owner.describe(text()?.parse().ok()?),
        ConflictKind::MaxSessionDuration => {
            owner.limit_sessions(i64::try_from(decode::<v1::Number>(value)?.number).ok()?)
        }
        ConflictKind::TrustPolicy => owner.trust(decode::<v1::Document>(value)?.text),
        ConflictKind::Tag => match value {
            Some(_) => owner.tag(&decode(value)?),
            None => owner.untag(slot.qualifier().parse().ok()?),
        },
        ConflictKind::InlinePolicy => match value {
            Some(_) => owner.put_inline(&decode(value)?, slot.qualifier()),
            None => owner.delete_inline(slot.qualifier()),
        },
        ConflictKind::Membership => owner.member(&identity.face(slot.target()?), value.is_some()),
        ConflictKind::Attachment => {
            owner.attachment(policy_arn(identity, slot.target()?)?, value.is_some())
        }
        ConflictKind::PolicyVersion => {
            let version = slot.qualifier().parse().ok()?;
            let of = policy::VersionOf { arn: owner.policy()?, version };
            value.is_none().then_some(Command::DeletePolicyVersion(of))
        }
        ConflictKind::DefaultVersion => {
            let of = policy::VersionOf { arn: owner.policy()?, version: text()?.parse().ok()? };
            Some(Command::SetDefaultPolicyVersion(of))
        }
        ConflictKind::Boundary => match value {
            Some(_) => {
                let (account, id) = (slot.entity.account, text()?.parse().ok()?);
                owner.put_boundary(policy_arn(identity, Entity { account, id })?)
            }
            None => owner.delete_boundary(),
        },
        ConflictKind::LoginProfile => {
            let delete = login_profile::OneLoginProfile { user: Some(owner.name()) };
            value.is_none().then_some(Command::DeleteLoginProfile(delete))
        }
        ConflictKind::PasswordPolicy => password_policy(value),
        ConflictKind::InstanceProfileRole => {
            owner.profile_role(&identity.face(slot.target()?), value.is_some())
        }
        ConflictKind::OidcClientId | ConflictKind::OidcThumbprints | ConflictKind::SamlMetadata => {
            owner.provider(slot, value)
        }
        ConflictKind::AccessKey
        | ConflictKind::AccessKeyStatus
        | ConflictKind::SshPublicKey
        | ConflictKind::SigningCertificate
        | ConflictKind::ServiceCredential
        | ConflictKind::CredentialStatus
        | ConflictKind::MfaOwner => credential(identity, slot, &owner, value),
        ConflictKind::Existence
        | ConflictKind::ServerCertificate
        | ConflictKind::MfaSeed
        | ConflictKind::Rivals
        | ConflictKind::Quarantined
        | ConflictKind::OverLimit
        | ConflictKind::Unknown => None,
    }
}

fn password_policy(value: Option<&[u8]>) -> Option<Command> {
    match value {
        Some(_) => {
            let policy = password_policy::from_message(&decode(value)?);
            Some(Command::UpdateAccountPasswordPolicy(policy))
        }
        None => Some(Command::DeleteAccountPasswordPolicy(password_policy::DeletePasswordPolicy)),
    }
}

/// The call that gives a credential a status, or deletes it. None makes one anew; who shall have an
/// MFA device enables it anew, with codes of it.
fn credential(
    identity: &Identity,
    slot: &Slot<'_>,
    owner: &Owner,
    value: Option<&[u8]>,
) -> Option<Command> {
    let is_key = slot.entity.id.kind() == Some(UniqueIdKind::AccessKey);
    let is_status =
        matches!(slot.kind, ConflictKind::AccessKeyStatus | ConflictKind::CredentialStatus);
    match value {
        None if slot.kind == ConflictKind::MfaOwner => owner.deactivate(identity, slot),
        None if is_key => delete_key(identity, slot.entity),
        None => owner.delete_credential(identity, slot),
        Some(_) if is_status => {
            let status = decode::<v1::Text>(value)?.text.parse().ok()?;
            match is_key {
                true => switch_key(identity, slot.entity, status),
                false => owner.switch_credential(identity, slot, status),
            }
        }
        Some(_) => None,
    }
}

fn decode<M: Message + Default>(value: Option<&[u8]>) -> Option<M> {
    M::decode(value?).ok()
}

/// The ARN of a policy.
fn policy_arn(identity: &Identity, policy: Entity) -> Option<PolicyArn> {
    PolicyRef::of(policy).arn(identity).parse().ok()
}

/// The owner of an access key, and the key's id; no name for root's.
fn key_of(identity: &Identity, key: Entity) -> Option<(Option<UserName>, String)> {
    let owner: UniqueId =
        identity.read(&ACCESS_KEY, key).may().find_map(|key| key.owner.parse().ok())?;
    let user = Entity { account: key.account, id: owner };
    let is_user = owner.kind() == Some(UniqueIdKind::User);
    Some((is_user.then(|| identity.face(user).typed_name()), key.id.to_string()))
}

fn switch_key(identity: &Identity, key: Entity, status: access_key::Status) -> Option<Command> {
    let (user, key_id) = key_of(identity, key)?;
    Some(Command::UpdateAccessKey(access_key::UpdateAccessKey { user, key_id, status }))
}

fn delete_key(identity: &Identity, key: Entity) -> Option<Command> {
    let (user, key_id) = key_of(identity, key)?;
    Some(Command::DeleteAccessKey(access_key::DeleteAccessKey { user, key_id }))
}

/// Whose slot it is.
struct Owner {
    kind: UniqueIdKind,
    face: Face,
}

/// One of three calls, by the kind of the owner.
macro_rules! by_kind {
    ($owner:expr, $($kind:ident => $command:ident),* ; $parameters:expr) => {
        match $owner.kind {
            $(UniqueIdKind::$kind => Some(Command::$command($parameters)),)*
            UniqueIdKind::Root
            | UniqueIdKind::User
            | UniqueIdKind::Group
            | UniqueIdKind::Role
            | UniqueIdKind::Policy
            | UniqueIdKind::InstanceProfile
            | UniqueIdKind::ServerCertificate
            | UniqueIdKind::OidcProvider
            | UniqueIdKind::SamlProvider
            | UniqueIdKind::MfaDevice
            | UniqueIdKind::AccessKey
            | UniqueIdKind::SessionKey => None,
        }
    };
}

#[expect(unreachable_patterns, reason = "what a macro's call takes up is there twice")]
impl Owner {
    /// Who must not be relied on is called by its unique id: by its name another may be found.
    fn of(identity: &Identity, entity: Entity) -> Option<Self> {
        let (kind, mut face) = (entity.id.kind()?, identity.face(entity));
        if identity.has_rival(entity) {
            face.name = entity.id.to_string();
            face.arn = entity::arn(entity.account, kind, &face.path, &face.name);
        }
        Some(Self { kind, face })
    }

    fn name<N: std::str::FromStr<Err = model::Constraint>>(&self) -> N {
        self.face.typed_name()
    }

    /// The user's name; none of the root user.
    fn user(&self) -> Option<UserName> {
        (self.kind == UniqueIdKind::User).then(|| self.name())
    }

    fn policy(&self) -> Option<PolicyArn> {
        self.face.arn.as_str().parse().ok()
    }

    fn delete(&self) -> Option<Command> {
        match self.kind {
            UniqueIdKind::User => Some(Command::DeleteUser(user::DeleteUser { name: self.name() })),
            UniqueIdKind::Group => {
                Some(Command::DeleteGroup(group::DeleteGroup { name: self.name() }))
            }
            UniqueIdKind::Role => Some(Command::DeleteRole(role::DeleteRole { name: self.name() })),
            UniqueIdKind::Policy => {
                Some(Command::DeletePolicy(policy::DeletePolicy { arn: self.policy()? }))
            }
            UniqueIdKind::InstanceProfile => {
                let name: InstanceProfileName = self.name();
                let one = instance_profile::OneInstanceProfile { name };
                Some(Command::DeleteInstanceProfile(one))
            }
            UniqueIdKind::ServerCertificate => {
                let one = server_certificate::OneServerCertificate { name: self.name() };
                Some(Command::DeleteServerCertificate(one))
            }
            UniqueIdKind::OidcProvider | UniqueIdKind::SamlProvider => self.delete_provider(),
            UniqueIdKind::MfaDevice => {
                let one = mfa_device::DeleteVirtualMfaDevice { serial: self.serial() };
                Some(Command::DeleteVirtualMFADevice(one))
            }
            UniqueIdKind::Root | UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => None,
        }
    }

    fn serial(&self) -> mfa_device::SerialNumber {
        mfa_device::SerialNumber(self.face.arn.to_string())
    }

    /// The call that takes an MFA device from whom it may be enabled for.
    fn deactivate(&self, identity: &Identity, slot: &Slot<'_>) -> Option<Command> {
        let owner = mfa_device::owners(identity, slot.entity).into_iter().next()?;
        let is_user = owner.kind() == Some(UniqueIdKind::User);
        let owner = Entity { account: slot.entity.account, id: owner };
        let user = is_user.then(|| Self::of(identity, owner)).map(|owner| Some(owner?.name()));
        let one = mfa_device::OwnMfaDevice { user: user.flatten(), serial: self.serial() };
        Some(Command::DeactivateMFADevice(one))
    }

    fn rename(&self, to: &str) -> Option<Command> {
        by_kind!(self, User => UpdateUser, Group => UpdateGroup,
            ServerCertificate => UpdateServerCertificate; Rename {
            name: self.name(), new_name: Some(to.parse().ok()?), new_path: None,
        })
    }

    fn move_to(&self, path: Path) -> Option<Command> {
        by_kind!(self, User => UpdateUser, Group => UpdateGroup,
            ServerCertificate => UpdateServerCertificate; Rename {
            name: self.name(), new_name: None, new_path: Some(path),
        })
    }

    fn describe(&self, description: role::Description) -> Option<Command> {
        by_kind!(self, Role => UpdateRoleDescription; role::UpdateRoleDescription {
            name: self.name(), description,
        })
    }

    fn limit_sessions(&self, secs: i64) -> Option<Command> {
        let duration = role::MaxSessionDuration::new(secs).ok()?;
        by_kind!(self, Role => UpdateRole; role::UpdateRole {
            name: self.name(), description: None, max_session_duration: Some(duration),
        })
    }

    fn trust(&self, trust_policy: String) -> Option<Command> {
        by_kind!(self, Role => UpdateAssumeRolePolicy; role::UpdateAssumeRolePolicy {
            name: self.name(), trust_policy,
        })
    }

    fn tag(&self, tag: &v1::Tag) -> Option<Command> {
        let tag = tag::Tag { key: tag.key.parse().ok()?, value: tag.value.parse().ok()? };
        let tags = vec![tag];
        if self.kind == UniqueIdKind::MfaDevice {
            return Some(Command::TagMFADevice(tag::AddTags { owner: self.serial(), tags }));
        }
        if self.kind == UniqueIdKind::Policy {
            return Some(Command::TagPolicy(tag::AddTags { owner: self.policy()?, tags }));
        }
        if self.is_provider() {
            return self.tag_provider(tags);
        }
        by_kind!(
            self, User => TagUser, Role => TagRole, InstanceProfile => TagInstanceProfile,
            ServerCertificate => TagServerCertificate;
            tag::AddTags { owner: self.name(), tags }
        )
    }

    fn untag(&self, key: TagKey) -> Option<Command> {
        let keys = vec![key];
        if self.kind == UniqueIdKind::MfaDevice {
            return Some(Command::UntagMFADevice(tag::RemoveTags { owner: self.serial(), keys }));
        }
        if self.kind == UniqueIdKind::Policy {
            return Some(Command::UntagPolicy(tag::RemoveTags { owner: self.policy()?, keys }));
        }
        if self.is_provider() {
            return self.untag_provider(keys);
        }
        by_kind!(
            self, User => UntagUser, Role => UntagRole, InstanceProfile => UntagInstanceProfile,
            ServerCertificate => UntagServerCertificate;
            tag::RemoveTags { owner: self.name(), keys }
        )
    }

    /// The key holds the name folded; the side has it as it was given.
    fn put_inline(&self, document: &v1::Document, folded: &str) -> Option<Command> {
        let named = document.name.parse().or_else(|_| folded.parse()).ok()?;
        by_kind!(
            self, User => PutUserPolicy, Group => PutGroupPolicy, Role => PutRolePolicy;
            inline::Put { owner: self.name(), name: named, document: document.text.clone() }
        )
    }

    fn delete_inline(&self, folded: &str) -> Option<Command> {
        by_kind!(
            self, User => DeleteUserPolicy, Group => DeleteGroupPolicy, Role => DeleteRolePolicy;
            inline::OneOf { owner: self.name(), name: folded.parse().ok()? }
        )
    }

    fn member(&self, group: &Face, is_member: bool) -> Option<Command> {
        let group: GroupName = group.typed_name();
        let membership = group::Membership { group, user: self.name() };
        (self.kind == UniqueIdKind::User).then(|| match is_member {
            true => Command::AddUserToGroup(membership),
            false => Command::RemoveUserFromGroup(membership),
        })
    }

    fn attachment(&self, policy: PolicyArn, is_attached: bool) -> Option<Command> {
        if is_attached {
            by_kind!(
                self, User => AttachUserPolicy, Group => AttachGroupPolicy,
                Role => AttachRolePolicy; attachment::Edge { owner: self.name(), policy }
            )
        } else {
            by_kind!(
                self, User => DetachUserPolicy, Group => DetachGroupPolicy,
                Role => DetachRolePolicy; attachment::Edge { owner: self.name(), policy }
            )
        }
    }

    fn put_boundary(&self, policy: PolicyArn) -> Option<Command> {
        by_kind!(
            self, User => PutUserPermissionsBoundary, Role => PutRolePermissionsBoundary;
            boundary::PutBoundary { owner: self.name(), policy }
        )
    }

    fn delete_boundary(&self) -> Option<Command> {
        by_kind!(
            self, User => DeleteUserPermissionsBoundary, Role => DeleteRolePermissionsBoundary;
            boundary::DeleteBoundary { owner: self.name() }
        )
    }

    fn switch_credential(
        &self,
        identity: &Identity,
        slot: &Slot<'_>,
        status: access_key::Status,
    ) -> Option<Command> {
        let (user, key_id) = (self.name(), slot.qualifier().to_owned());
        if identity.read_of(&SSH_PUBLIC_KEY, slot.entity, &key_id).is_possible() {
            let switch = ssh_public_key::UpdateSshPublicKey { user, key_id, status };
            return Some(Command::UpdateSSHPublicKey(switch));
        }
        let (user, id) = (self.user(), slot.qualifier().to_owned());
        if identity.read_of(&SIGNING_CERTIFICATE, slot.entity, &id).is_possible() {
            let switch = signing_certificate::UpdateSigningCertificate { user, id, status };
            return Some(Command::UpdateSigningCertificate(switch));
        }
        if identity.read_of(&SERVICE_CREDENTIAL, slot.entity, &id).is_possible() {
            let switch = service_credential::UpdateServiceCredential { user, id, status };
            return Some(Command::UpdateServiceSpecificCredential(switch));
        }
        None
    }

    fn delete_credential(&self, identity: &Identity, slot: &Slot<'_>) -> Option<Command> {
        let (user, key_id) = (self.name(), slot.qualifier().to_owned());
        if identity.read_of(&SSH_PUBLIC_KEY, slot.entity, &key_id).is_possible() {
            let delete = ssh_public_key::DeleteSshPublicKey { user, key_id };
            return Some(Command::DeleteSSHPublicKey(delete));
        }
        let (user, id) = (self.user(), slot.qualifier().to_owned());
        if identity.read_of(&SIGNING_CERTIFICATE, slot.entity, &id).is_possible() {
            let delete = signing_certificate::DeleteSigningCertificate { user, id };
            return Some(Command::DeleteSigningCertificate(delete));
        }
        if identity.read_of(&SERVICE_CREDENTIAL, slot.entity, &id).is_possible() {
            let delete = service_credential::OneServiceCredential { user, id };
            return Some(Command::DeleteServiceSpecificCredential(delete));
        }
        None
    }

    fn profile_role(&self, role: &Face, is_in: bool) -> Option<Command> {
        let role: RoleName = role.typed_name();
        let edge = instance_profile::RoleInProfile { profile: self.name(), role };
        (self.kind == UniqueIdKind::InstanceProfile).then(|| match is_in {
            true => Command::AddRoleToInstanceProfile(edge),
            false => Command::RemoveRoleFromInstanceProfile(edge),
        })
    }
}

/// The writes that leave a slot with the chosen bytes alone.
pub(super) fn writes(
    identity: &Identity,
    ctx: &Ctx<'_>,
    key: &Key,
    way: Way,
    value: Option<Arc<[u8]>>,
) -> Result<Vec<crdt::Write>, Error> {
    let slot = Slot::of(key);
    let command = match way {
        Way::Call(command) => command,
        Way::Rights(actions) => return by_rights(identity, ctx, &slot, actions, value),
    };
    let Outcome::Write { mut writes, reply: _ } = execute(identity, ctx, &command)? else {
        return Err(contested(identity, &slot));
    };
    // The call finds its entity by name.
    let bytes = key.to_bytes();
    let write = writes.iter_mut().find(|write| write.key == bytes);
    let write = write.ok_or_else(|| contested(identity, &slot))?;
    write.value = value;
    Ok(writes)
}

fn contested(identity: &Identity, slot: &Slot<'_>) -> Error {
    let (noun, name) = named(identity, slot);
    Error::ConcurrentModification { noun, name }
}

fn named(identity: &Identity, slot: &Slot<'_>) -> (Noun, String) {
    let face = identity.face(slot.entity);
    match slot.entity.id.kind() {
        Some(UniqueIdKind::User | UniqueIdKind::Root) | None => (Noun::User, face.name),
        Some(UniqueIdKind::Group) => (Noun::Group, face.name),
        Some(UniqueIdKind::Role) => (Noun::Role, face.name),
        Some(UniqueIdKind::Policy) => (Noun::Policy, face.arn.to_string()),
        Some(UniqueIdKind::InstanceProfile) => (Noun::InstanceProfile, face.name),
        Some(UniqueIdKind::ServerCertificate) => (Noun::ServerCertificate, face.name),
        Some(UniqueIdKind::OidcProvider) => (Noun::OidcProvider, face.arn.to_string()),
        Some(UniqueIdKind::SamlProvider) => (Noun::SamlProvider, face.arn.to_string()),
        Some(UniqueIdKind::MfaDevice) => (Noun::MfaDevice, face.arn.to_string()),
        Some(UniqueIdKind::AccessKey | UniqueIdKind::SessionKey) => {
            (Noun::AccessKey, slot.entity.id.to_string())
        }
    }
}

/// Writes a side that no call writes: an existence needs its name to be free, all else an entity
/// that is beyond doubt, which is re-asserted.
fn by_rights(
    identity: &Identity,
    ctx: &Ctx<'_>,
    slot: &Slot<'_>,
    actions: &[&str],
    value: Option<Arc<[u8]>>,
) -> Result<Vec<crdt::Write>, Error> {
    let entity = slot.entity;
    for action in actions {
        demand_entity(identity, ctx, action, entity, Vec::new())?;
    }
    let (noun, name) = named(identity, slot);
    let mut writes = Writes::new(entity.account);
    if slot.kind == ConflictKind::Existence {
        let kind = entity.id.kind().ok_or_else(|| contested(identity, slot))?;
        let bare = identity.face(entity).name;
        identity.name_is_free(entity.account, (kind, noun), &bare, Some(entity))?;
    } else {
        identity.must_be_meant(entity, noun, &name)?;
        writes.reassert_head(identity, entity.id);
    }
    writes.put_bytes(slot.key, value);
    Ok(writes.finish())
}
