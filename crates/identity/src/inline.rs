//! Policies embedded in a user, group or role. AWS: `PutUserPolicy` and its kin.
//!
//! **Invariants.** Names are unique without case within their owner. Two concurrent puts are two
//! sides: every side must allow, any may deny.
//!
//! **Must not know:** what a document says.

use model::PolicyName;
use policy::{Document, DocumentKind};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Listing, Outcome, Page, PolicyOwner, Reply, authorize::demand_named,
    boundary, entity::Entity, field::INLINE_POLICY, state::Writes,
};

/// Creates or replaces an inline policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put<N> {
    /// Whose.
    pub owner: N,
    /// Its name.
    pub name: PolicyName,
    /// Its text.
    pub document: String,
}

/// One inline policy, to get or to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOf<N> {
    /// Whose.
    pub owner: N,
    /// Its name.
    pub name: PolicyName,
}

/// Lists the names of inline policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<N> {
    /// Whose.
    pub owner: N,
    /// Which part.
    pub page: Page,
}

/// An inline policy as it is shown; of a contested one the side with the least dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlinePolicy<N> {
    /// Whose.
    pub owner: N,
    /// Its name, as it was given when it was put.
    pub name: String,
    /// Its text.
    pub document: String,
}

fn missing<N: PolicyOwner>(name: &PolicyName) -> Error {
    Error::NoSuchEntity { noun: N::INLINE_NOUN, name: name.to_string() }
}

pub(crate) fn put<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Put { owner, name, document }: &Put<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let limit = boundary::of_owner(identity, account, owner);
    demand_named(identity, ctx, &format!("iam:Put{}Policy", N::WORD), owner, limit)?;
    let parsed = Document::parse(document, DocumentKind::Identity)?;
    let entity = identity.must_find(account, owner)?;
    let fold = name.fold();
    // Of a contested policy the longest side counts.
    let others: usize = identity
        .documents(&INLINE_POLICY, entity)
        .into_iter()
        .filter(|(other, _)| **other != *fold)
        .filter_map(|(_, sides)| sides.iter().flatten().map(|s| s.document.chars()).max())
        .sum();
    N::INLINE_QUOTA.allow(others + parsed.chars())?;
    let mut writes = Writes::new(account);
    let value = v1::Document {
        text: document.clone(),
        created_ms: ctx.now.ms(),
        bindings: Vec::new(),
        name: name.to_string(),
    };
    writes.put_of(&INLINE_POLICY, entity.id, &fold, &value);
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn get<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneOf { owner, name }: &OneOf<N>,
) -> Result<InlinePolicy<N>, Error> {
    demand_named(identity, ctx, &format!("iam:Get{}Policy", N::WORD), owner, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, owner)?;
    let read = identity.read_of(&INLINE_POLICY, entity, &name.fold());
    let shown = read.shown().ok_or_else(|| missing::<N>(name))?;
    Ok(InlinePolicy {
        owner: identity.face(entity).typed_name(),
        name: shown.name.clone(),
        document: shown.text.clone(),
    })
}

/// All inline policies of an entity that may exist, by folded name: name and text.
pub(crate) fn all(identity: &Identity, entity: Entity) -> Vec<(String, (String, String))> {
    let shown = |(fold, read): (Box<str>, crate::Read<v1::Document>)| {
        let shown = read.shown().cloned().unwrap_or_default();
        let name = if shown.name.is_empty() { fold.to_string() } else { shown.name };
        (fold.into(), (name, shown.text))
    };
    identity.read_all(&INLINE_POLICY, entity).into_iter().map(shown).collect()
}

pub(crate) fn list<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    List { owner, page }: &List<N>,
) -> Result<Listing<String>, Error> {
    demand_named(identity, ctx, &format!("iam:List{}Policies", N::WORD), owner, Vec::new())?;
    let entity = identity.may_find(ctx.caller.account, owner)?;
    Ok(page.cut(all(identity, entity).into_iter().map(|(fold, (name, _))| (fold, name))))
}

pub(crate) fn delete<N: PolicyOwner>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OneOf { owner, name }: &OneOf<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let limit = boundary::of_owner(identity, account, owner);
    demand_named(identity, ctx, &format!("iam:Delete{}Policy", N::WORD), owner, limit)?;
    let entity = identity.may_find(account, owner)?;
    let fold = name.fold();
    if !identity.read_of(&INLINE_POLICY, entity, &fold).is_possible() {
        return Err(missing::<N>(name));
    }
    let mut writes = Writes::new(account);
    writes.remove_of(&INLINE_POLICY, entity.id, &fold);
    Ok(Outcome::written(writes, Reply::Done))
}
