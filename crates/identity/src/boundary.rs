//! Permissions boundaries: the managed policy that limits what a user's or role's policies can
//! give. AWS: `PutUserPermissionsBoundary`, `DeleteUserPermissionsBoundary` and their kin.
//!
//! **Invariants.** A boundary gives nothing. Setting one relies on the policy and on its owner, and
//! re-asserts both. Every boundary that may be set is enforced: of two that were set at once both
//! must allow, and one that was set while it was removed stays. One whose policy is gone, or that
//! this version cannot read, allows nothing.
//!
//! **Must not know:** what a policy says.

use model::{AccountId, UniqueId};
use policy::ContextValue;
use wire::{Message, v1};

use crate::{
    Ctx, EntityName, Error, Identity, Noun, Outcome, Reply,
    authorize::{Extra, demand_named},
    effective::PolicyRef,
    entity::Entity,
    field::BOUNDARY,
    policy::PolicyArn,
    state::Writes,
};

/// AWS: `PutUserPermissionsBoundary`, `PutRolePermissionsBoundary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBoundary<N> {
    /// Whose.
    pub owner: N,
    /// Which policy.
    pub policy: PolicyArn,
}

/// AWS: `DeleteUserPermissionsBoundary`, `DeleteRolePermissionsBoundary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteBoundary<N> {
    /// Whose.
    pub owner: N,
}

/// AWS: `iam:PermissionsBoundary`, the ARN of the boundary: of calls that set one the new, of
/// others on a user or role the one that it has.
const KEY: &str = "iam:PermissionsBoundary";

/// The condition key of a call that sets a boundary.
pub(crate) fn of_new(policy: Option<&PolicyArn>) -> Extra {
    let known = |policy: &PolicyArn| ContextValue::Known(vec![policy.to_string()]);
    policy.map(|policy| (KEY.to_owned(), known(policy))).into_iter().collect()
}

/// The condition key of a call on what a name names. It is unknown where the boundary is contested.
pub(crate) fn of_owner<N: EntityName>(identity: &Identity, account: AccountId, owner: &N) -> Extra {
    let Some(entity) = identity.find(account, N::KIND, &owner.to_string()) else {
        return Extra::new();
    };
    let value = match (may_limit(identity, entity).as_slice(), is_contested(identity, entity)) {
        ([], _) => return Extra::new(),
        ([Some(policy)], false) => ContextValue::Known(vec![policy.arn(identity)]),
        (_, _) => ContextValue::Unknown,
    };
    vec![(KEY.to_owned(), value)]
}

/// Every boundary that a user or role may have, by ascending dot; `None` is one that cannot be
/// read. A removal is none, be it concurrent with a boundary or not.
pub(crate) fn may_limit(identity: &Identity, owner: Entity) -> Vec<Option<PolicyRef>> {
    let siblings = identity.slot(&BOUNDARY.key(owner.account, owner.id));
    let mut ids: Vec<Option<UniqueId>> = Vec::new();
    for bytes in siblings.iter().filter_map(|sibling| sibling.value.as_deref()) {
        let id = v1::Text::decode(bytes).ok().and_then(|text| text.text.parse().ok());
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let policy = |id| PolicyRef::of(Entity { account: owner.account, id });
    ids.into_iter().map(|id| id.map(policy)).collect()
}

fn is_contested(identity: &Identity, owner: Entity) -> bool {
    identity.read(&BOUNDARY, owner).must().is_none()
}

/// The ARN of the boundary to show; of contested ones that with the least dot.
pub(crate) fn shown(identity: &Identity, owner: Entity) -> Option<String> {
    let policy = may_limit(identity, owner).into_iter().flatten().next();
    policy.map(|policy| policy.arn(identity))
}

/// Writes a boundary, and re-asserts that its policy exists. A policy of AWS has no head.
pub(crate) fn write(
    writes: &mut Writes,
    identity: &Identity,
    account: AccountId,
    owner: UniqueId,
    policy: &PolicyArn,
) -> Result<(), Error> {
    let id = policy.must_find(identity, account, Noun::BoundaryPolicy)?.id();
    writes.put(&BOUNDARY, owner, &v1::Text { text: id.to_string() });
    writes.reassert_head(identity, id);
    Ok(())
}

pub(crate) fn put<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    PutBoundary { owner, policy }: &PutBoundary<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let action = format!("iam:Put{}PermissionsBoundary", N::WORD);
    demand_named(identity, ctx, &action, owner, of_new(Some(policy)))?;
    let entity = identity.must_find(account, owner)?;
    let mut writes = Writes::new(account);
    write(&mut writes, identity, account, entity.id, policy)?;
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// Removing what is not set is no error: AWS documents none.
pub(crate) fn delete<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteBoundary { owner }: &DeleteBoundary<N>,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let action = format!("iam:Delete{}PermissionsBoundary", N::WORD);
    demand_named(identity, ctx, &action, owner, of_owner(identity, account, owner))?;
    // Without a rival: what limits one entity must not be taken off another.
    let entity = identity.must_find(account, owner)?;
    let mut writes = Writes::new(account);
    writes.remove_of(&BOUNDARY, entity.id, "");
    writes.reassert_head(identity, entity.id);
    Ok(Outcome::written(writes, Reply::Done))
}
