//! What SSH public keys, signing certificates and service-specific credentials have in common: a
//! user has several of a kind, each with an id and a status.
//!
//! **Invariants.** A credential is a field of its owner, and its status one beside it. Whoever
//! switches one relies on both the credential and its owner, and re-asserts them. One that is
//! contested, or whose status is, reads as inactive, and is deleted or switched anew to settle it.
//!
//! **Must not know:** what is in a credential.

use model::{Entropy, UniqueId, UniqueIdKind, UserName};
use wire::{Message, v1};

use crate::{
    Ctx, Error, Identity, Noun, Principal, Read,
    access_key::Status,
    authorize::demand,
    entity::Entity,
    field::{CREDENTIAL_STATUS, Field},
    state::Writes,
    user,
};

/// One credential.
pub(crate) struct UserCredential<'a, M> {
    /// The field that holds it.
    pub(crate) field: &'a Field<M>,
    /// What errors call it.
    pub(crate) noun: Noun,
    /// Whose it is.
    pub(crate) owner: Entity,
    /// Its id, whatever it looks like: what is none is not found.
    pub(crate) id: &'a str,
}

impl<M: Message + Default + Clone> UserCredential<'_, M> {
    fn read(&self, identity: &Identity) -> Read<M> {
        identity.read_of(self.field, self.owner, self.id)
    }

    fn contested(&self) -> Error {
        Error::ConcurrentModification { noun: self.noun, name: self.id.to_owned() }
    }

    fn check_possible(&self, identity: &Identity) -> Result<(), Error> {
        let missing = Error::NoSuchEntity { noun: self.noun, name: self.id.to_owned() };
        if self.read(identity).is_possible() { Ok(()) } else { Err(missing) }
    }

    /// What is to be shown of one that may exist.
    pub(crate) fn shown(&self, identity: &Identity) -> Result<M, Error> {
        self.check_possible(identity)?;
        self.read(identity).shown().cloned().ok_or_else(|| self.contested())
    }

    /// What it says, of contested sides that to show, unless it may be deleted.
    pub(crate) fn kept(&self, identity: &Identity) -> Result<M, Error> {
        match self.read(identity) {
            Read::Contested(sides) if sides.iter().any(Option::is_none) => Err(self.contested()),
            Read::Absent | Read::Known(_) | Read::Contested(_) => self.shown(identity),
        }
    }

    /// Whether it may be used.
    pub(crate) fn status(&self, identity: &Identity) -> Status {
        match self.read(identity).must() {
            Some(_) => self.switched(identity),
            None => Status::Inactive,
        }
    }

    /// Whether it may be used once it is beyond doubt.
    pub(crate) fn switched(&self, identity: &Identity) -> Status {
        let status = identity.read_of(&CREDENTIAL_STATUS, self.owner, self.id);
        let active = status.must().is_some_and(|status| status.text == Status::Active.word());
        if active { Status::Active } else { Status::Inactive }
    }

    /// The writes of a new one, which is active. Its owner must be there.
    pub(crate) fn put(&self, identity: &Identity, writes: &mut Writes, record: &M) {
        writes.put_of(self.field, self.owner.id, self.id, record);
        self.put_status(writes, Status::Active);
        writes.reassert_head(identity, self.owner.id);
    }

    fn put_status(&self, writes: &mut Writes, status: Status) {
        let text = v1::Text { text: status.word().to_owned() };
        writes.put_of(&CREDENTIAL_STATUS, self.owner.id, self.id, &text);
    }

    /// The writes that switch it.
    pub(crate) fn switch(&self, identity: &Identity, status: Status) -> Result<Writes, Error> {
        self.check_possible(identity)?;
        self.read(identity).must().ok_or_else(|| self.contested())?;
        let mut writes = Writes::new(self.owner.account);
        self.put_status(&mut writes, status);
        writes.reassert_of(identity, self.field, self.owner.id, self.id);
        writes.reassert_head(identity, self.owner.id);
        Ok(writes)
    }

    /// The writes that delete it.
    pub(crate) fn delete(&self, identity: &Identity) -> Result<Writes, Error> {
        self.check_possible(identity)?;
        let mut writes = Writes::new(self.owner.account);
        writes.remove_of(self.field, self.owner.id, self.id);
        writes.remove_of(&CREDENTIAL_STATUS, self.owner.id, self.id);
        Ok(writes)
    }
}

/// All credentials of a kind that an owner may have, by id.
pub(crate) fn all<M: Message + Default>(
    identity: &Identity,
    field: &Field<M>,
    owner: Entity,
) -> Vec<(Box<str>, Read<M>)> {
    identity.read_all(field, owner)
}

/// A fresh id: `prefix` and so many random characters, five bits each.
pub(crate) fn fresh_id(prefix: &str, length: usize, entropy: &Entropy, label: &str) -> String {
    format!("{prefix}{}", entropy.text(label, UniqueId::BASE32, length))
}

/// Authorizes the caller for an action on an owner of credentials, itself if no user is named,
/// then finds it.
pub(crate) fn owner(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    user: Option<&UserName>,
) -> Result<Entity, Error> {
    if let (None, Principal::Root) = (user, ctx.caller.principal) {
        let account = ctx.caller.account;
        demand(identity, ctx, action, ctx.caller.arn(identity).as_str(), &Vec::new())?;
        return Ok(Entity { account, id: UniqueId::root(account) });
    }
    user::named_or_own(identity, ctx, action, user)
}

/// Refuses an owner who must not be relied on.
pub(crate) fn check_owner(identity: &Identity, owner: Entity) -> Result<(), Error> {
    match owner_name(identity, owner) {
        Some(name) => identity.must_be_meant(owner, Noun::User, name.as_str()),
        None => Ok(()),
    }
}

/// The name of an owner, if it is no root user.
pub(crate) fn owner_name(identity: &Identity, owner: Entity) -> Option<UserName> {
    let is_root = owner.id.kind() == Some(UniqueIdKind::Root);
    (!is_root).then(|| identity.face(owner).typed_name())
}
