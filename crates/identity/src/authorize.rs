//! May the caller do this?
//!
//! **Invariants.** Nothing is allowed by default. A caller is asked for every ARN that the resource
//! may have. Authorization comes before existence, so that refusals tell nothing.
//!
//! Permissions are re-read from the state with each call; a contest narrows them (DESIGN §4).
//!
//! **Must not know:** what a call does.

use model::{AccountId, Arn, SessionName, UniqueIdKind};
use policy::{Context, ContextValue, Decision, Request, Verdict, denial_message, evaluate};

use crate::{
    Ctx, Denial, Error, Identity, authorization_message,
    effective::layers,
    entity::{Entity, EntityName, arn},
    principal::{insert_principal, insert_tags, request_context},
    tag::Tag,
};

/// Condition keys that a call adds to the request's.
pub(crate) type Extra = Vec<(String, ContextValue)>;

/// Authorizes the caller for an action on a resource, by its own policies.
///
/// # Errors
/// [`Error::AccessDenied`] in AWS's words, or [`Error::InvalidClientTokenId`] when the caller's
/// principal is gone.
pub fn authorize(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    resource: &str,
    extra: &[(String, Vec<String>)],
) -> Result<(), Error> {
    let known =
        |(key, values): &(String, Vec<String>)| (key.clone(), ContextValue::Known(values.clone()));
    demand(identity, ctx, action, resource, &extra.iter().map(known).collect())
}

/// [`authorize`], with condition keys that may be unknown.
pub(crate) fn demand(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    resource: &str,
    extra: &Extra,
) -> Result<(), Error> {
    ctx.caller.check_can_act(identity)?;
    ctx.caller.check_may_call(identity, action)?;
    let decision = decide(identity, ctx, action, resource, extra);
    if decision.is_allowed() {
        Ok(())
    } else {
        Err(denied(identity, ctx, &decision, (action, resource), extra))
    }
}

/// The refusal of a decision in AWS's words.
pub(crate) fn denied(
    identity: &Identity,
    ctx: &Ctx<'_>,
    decision: &Decision,
    (action, resource): (&str, &str),
    extra: &Extra,
) -> Error {
    let arn = ctx.caller.arn(identity);
    let text = denial_message(decision, arn.as_str(), action, resource);
    let context = context(identity, ctx, extra);
    let request = Request { action, resource, context: &context };
    let encoded = authorization_message::encode(identity, ctx, decision, &request);
    Error::AccessDenied { message: Denial { text, encoded } }
}

/// What the caller's own policies say.
pub(crate) fn decide(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    resource: &str,
    extra: &Extra,
) -> Decision {
    match layers(identity, ctx.caller) {
        None => allowed(),
        Some(layers) => {
            let context = context(identity, ctx, extra);
            evaluate(&layers, &Request { action, resource, context: &context })
        }
    }
}

/// The condition keys of a call.
pub(crate) fn context(identity: &Identity, ctx: &Ctx<'_>, extra: &Extra) -> Context {
    let mut context = request_context(ctx.request, ctx.now);
    for (key, value) in extra {
        match value {
            ContextValue::Known(values) => context.insert_many(key, values.clone()),
            ContextValue::Unknown => context.insert_unknown(key),
        }
    }
    insert_principal(&mut context, identity, ctx.caller, ctx.now);
    context
}

/// Root needs no statement.
pub(crate) fn allowed() -> Decision {
    Decision { verdict: Verdict::Allow, statements: Vec::new(), grant: None }
}

/// Authorizes an action of IAM on an entity: on each ARN that it may have, with its tags as
/// condition keys. The caller itself is an entity as any other.
pub(crate) fn demand_entity(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    entity: Entity,
    mut extra: Extra,
) -> Result<(), Error> {
    extra.extend(resource_tags(identity, entity));
    let arns = identity.arns(entity);
    arns.iter().try_for_each(|arn| demand(identity, ctx, action, arn.as_str(), &extra))
}

/// Authorizes an action of IAM on what a name names; on an ARN at the path `/` if that is nothing.
pub(crate) fn demand_named<N: EntityName>(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    name: &N,
    extra: Extra,
) -> Result<(), Error> {
    let (account, text) = (ctx.caller.account, name.to_string());
    match identity.find(account, N::KIND, &text) {
        Some(entity) => demand_entity(identity, ctx, action, entity, extra),
        None => demand(identity, ctx, action, arn(account, N::KIND, "/", &text).as_str(), &extra),
    }
}

/// The condition keys of a resource's tags.
pub(crate) fn resource_tags(identity: &Identity, entity: Entity) -> Extra {
    let mut context = Context::new();
    insert_tags(&mut context, identity, entity, "aws:ResourceTag/");
    insert_tags(&mut context, identity, entity, "iam:ResourceTag/");
    context.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// The condition keys of tags that a request brings.
pub(crate) fn request_tags(tags: &[Tag]) -> Extra {
    let mut extra: Extra = tags
        .iter()
        .map(|Tag { key, value }| {
            (format!("aws:RequestTag/{key}"), ContextValue::Known(vec![value.to_string()]))
        })
        .collect();
    extra.extend(tag_keys(tags.iter().map(|tag| tag.key.to_string())));
    extra
}

/// The condition key of the tag keys that a request names.
pub(crate) fn tag_keys(keys: impl Iterator<Item = String>) -> Extra {
    let keys: Vec<String> = keys.collect();
    if keys.is_empty() {
        return Extra::new();
    }
    vec![("aws:TagKeys".to_owned(), ContextValue::Known(keys))]
}

/// The user or role of an ARN, and the session's name of a role session's.
pub(crate) fn find_arn(identity: &Identity, arn: &Arn) -> Option<(Entity, Option<SessionName>)> {
    let account: AccountId = arn.account().parse().ok()?;
    if arn.partition() != "aws" || !arn.region().is_empty() {
        return None;
    }
    let (word, rest) = arn.resource().split_once('/')?;
    let (kind, name, session) = match (arn.service(), word) {
        ("iam", "user") => (UniqueIdKind::User, rest.rsplit('/').next()?, None),
        ("iam", "role") => (UniqueIdKind::Role, rest.rsplit('/').next()?, None),
        ("sts", "assumed-role") => {
            let (role, session) = rest.split_once('/')?;
            (UniqueIdKind::Role, role, Some(session.parse().ok()?))
        }
        _ => return None,
    };
    let entity = match session {
        None => identity.find_by_arn(account, kind, name, arn)?,
        Some(_) => identity.find_by_spelling(account, kind, name)?,
    };
    Some((entity, session))
}
