//! What a denial does not say to whom it denies, sealed for whoever may read it. AWS STS:
//! `DecodeAuthorizationMessage`.
//!
//! **Invariants.** A message is sealed under a data key, so that every writer opens what any of
//! them encoded, and bound to the account of the caller that was denied: nobody else's opens it. It
//! is never longer than [`ENCODED_CHARS_MAX`].
//!
//! **Must not know:** how a decision was made.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{AccountId, UniqueId};
use policy::{ContextValue, Decision, Effect, MatchedStatement, Request, SourceLabel, Verdict};
use serde_json::{Value, json};
use wire::{Message, v1};

use crate::{
    Ctx, Error, Identity,
    authorize::{Extra, demand},
};

/// The longest encoded message, in characters. AWS: `encodedMessageType`.
pub const ENCODED_CHARS_MAX: usize = 10_240;

/// The longest message before it is sealed, in bytes: base64 makes four characters of three bytes,
/// and the seal takes less than 64.
const PLAIN_BYTES_MAX: usize = ENCODED_CHARS_MAX / 4 * 3 - 64;

/// AWS: `DecodeAuthorizationMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeAuthorizationMessage {
    /// The encoded message.
    pub message: String,
}

fn aad(account: AccountId) -> String {
    format!("{account}|authorization-message")
}

/// The encoded message of a denial; `None` at a node that has no data key.
pub(crate) fn encode(
    identity: &Identity,
    ctx: &Ctx<'_>,
    decision: &Decision,
    request: &Request<'_>,
) -> Option<Box<str>> {
    let text = plain(identity, ctx, decision, request)?;
    let (aad, label) = (aad(ctx.caller.account), "authorization-message-nonce");
    let sealed = ctx.keys.seal(&aad, text.as_bytes(), ctx.entropy, label)?;
    Some(URL_SAFE_NO_PAD.encode(sealed.encode_to_vec()).into())
}

pub(crate) fn decode(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DecodeAuthorizationMessage { message }: &DecodeAuthorizationMessage,
) -> Result<String, Error> {
    demand(identity, ctx, "sts:DecodeAuthorizationMessage", "*", &Extra::new())?;
    if ctx.keys.is_empty() {
        return Err(Error::NoDataKey);
    }
    let open = || {
        let sealed = URL_SAFE_NO_PAD.decode(message).ok()?;
        let sealed = v1::Sealed::decode(sealed.as_slice()).ok()?;
        let plain = ctx.keys.open(&aad(ctx.caller.account), &sealed)?;
        String::from_utf8(plain.expose().clone()).ok()
    };
    open().ok_or(Error::InvalidAuthorizationMessage)
}

/// The message, with as many condition keys and statements as fit; `omitted` counts those that do
/// not. Conditions come first: nobody can look them up afterwards. `None` if even what must be
/// there is too long.
fn plain(
    identity: &Identity,
    ctx: &Ctx<'_>,
    decision: &Decision,
    request: &Request<'_>,
) -> Option<String> {
    let conditions: Vec<Value> = request.context.iter().map(condition).collect();
    let principal = ctx.caller.unique_id();
    let statements = decision.statements.iter().map(|matched| statement(matched, principal));
    let statements: Vec<Value> = statements.collect();
    let all = conditions.len() + statements.len();
    let least = message(identity, ctx, decision, request, (&[], &[], all)).len();
    let mut room = PLAIN_BYTES_MAX.checked_sub(least)?;
    let mut fit = |items: Vec<Value>| -> Vec<Value> {
        let fits = |item: &Value| {
            let left = room.checked_sub(item.to_string().len() + 1);
            room = left.unwrap_or(room);
            left.is_some()
        };
        items.into_iter().filter(fits).collect()
    };
    let (conditions, statements) = (fit(conditions), fit(statements));
    let omitted = all - conditions.len() - statements.len();
    Some(message(identity, ctx, decision, request, (&statements, &conditions, omitted)))
}

fn message(
    identity: &Identity,
    ctx: &Ctx<'_>,
    decision: &Decision,
    request: &Request<'_>,
    (statements, conditions, omitted): (&[Value], &[Value], usize),
) -> String {
    let Request { action, resource, context: _ } = request;
    let explicit = matches!(decision.verdict, Verdict::ExplicitDeny { .. });
    let arn = ctx.caller.arn(identity);
    let name = arn.as_str().rsplit(['/', ':']).next().unwrap_or_default();
    let mut message = json!({
        "allowed": false,
        "explicitDeny": explicit,
        "matchedStatements": { "items": statements },
        "failures": { "items": [] },
        "context": {
            "principal": { "id": ctx.caller.user_id(), "name": name, "arn": arn.as_str() },
            "action": action,
            "resource": resource,
            "conditions": { "items": conditions },
        },
    });
    if let (Some(fields), true) = (message.as_object_mut(), omitted > 0) {
        fields.insert("omitted".to_owned(), omitted.into());
    }
    message.to_string()
}

/// A condition key; one whose values are contested has none.
fn condition((key, value): (&str, &ContextValue)) -> Value {
    let values: Vec<Value> = match value {
        ContextValue::Known(values) => {
            values.iter().map(|value| json!({ "value": value })).collect()
        }
        ContextValue::Unknown => Vec::new(),
    };
    json!({ "key": key, "values": { "items": values } })
}

fn statement(matched: &MatchedStatement, principal: UniqueId) -> Value {
    let MatchedStatement { label, sid, index, effect } = matched;
    let effect = match effect {
        Effect::Allow => "ALLOW",
        Effect::Deny => "DENY",
    };
    let policy = match label {
        SourceLabel::Managed { arn } => arn.clone(),
        SourceLabel::Inline { owner_arn, name } => format!("{owner_arn} {name}"),
        SourceLabel::Session => "session policy".to_owned(),
        SourceLabel::Trust => "role trust policy".to_owned(),
        SourceLabel::Resource => "resource-based policy".to_owned(),
        SourceLabel::Input { name } => name.clone(),
    };
    json!({
        "statementId": sid.as_deref().unwrap_or_default(),
        "effect": effect,
        "principals": { "items": [{ "value": principal.as_str() }] },
        "policy": policy,
        "statement": index,
    })
}
