//! Decides cases from standard input, one JSON object a line, and prints a verdict a line.
//!
//! A case has `principal` (the ARN of a user or role session), `action`, `resource`, `owner` (the
//! account of the resource), `context`, `identity` (policies), and, unless they are null,
//! `boundary`, `session`, `guardRails` (levels of policies) and `resourcePolicy`.
//! `tests/second-opinion` asks an independent evaluator the same.
#![expect(clippy::print_stdout, reason = "the verdicts are what the example is for")]

use std::{error::Error, io::BufRead as _, sync::Arc};

use model::{AccountId, Arn, Entropy, UniqueId, UniqueIdKind};
use policy::{
    CallerSession, Compiled, Context, Document, DocumentKind, Layers, Request, ResourceLayer,
    Source, SourceLabel, TrustCaller, Verdict, evaluate,
};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        println!("{}", decide(&serde_json::from_str(&line?)?)?);
    }
    Ok(())
}

fn decide(case: &Value) -> Result<&'static str, Box<dyn Error>> {
    let identity = sources(&case["identity"], DocumentKind::Identity)?;
    let limit = |name: &str| {
        let limit = Some(&case[name]).filter(|limit| !limit.is_null());
        limit.map(|limit| source(limit, DocumentKind::Identity).map(|one| vec![one])).transpose()
    };
    let boundary = limit("boundary")?;
    let session = limit("session")?;
    let levels = case["guardRails"]
        .as_array()
        .map(|levels| levels.iter().map(|level| sources(level, DocumentKind::Identity)).collect());
    let guard_rails = levels.transpose()?;
    let resource = resource_layer(case)?;
    let layers = Layers { identity, boundary, session, guard_rails, resource };
    let context = context(&case["context"]);
    let (action, resource) = (text(&case["action"])?, text(&case["resource"])?);
    let request = Request { action, resource, context: &context };
    let verdict = Compiled::new(&layers).decide(&request);
    if verdict != evaluate(&layers, &request).verdict {
        return Err(format!("the compiled form decides otherwise: {case}").into());
    }
    Ok(match verdict {
        Verdict::Allow => "allow",
        Verdict::ExplicitDeny { layer: _ } => "explicit",
        Verdict::ImplicitDeny { layer: _ } => "implicit",
    })
}

fn text(value: &Value) -> Result<&str, Box<dyn Error>> {
    value.as_str().ok_or_else(|| format!("no text: {value}").into())
}

fn account(text: &str) -> Result<AccountId, Box<dyn Error>> {
    text.parse().map_err(|_| format!("no account: {text}").into())
}

fn source(policy: &Value, kind: DocumentKind) -> Result<Source, Box<dyn Error>> {
    let document = Document::parse(&policy.to_string(), kind)?;
    let label = SourceLabel::Input { name: String::new() };
    Ok(Source { label, certain: true, alternatives: vec![Arc::new(document)] })
}

fn sources(policies: &Value, kind: DocumentKind) -> Result<Vec<Source>, Box<dyn Error>> {
    policies.as_array().into_iter().flatten().map(|policy| source(policy, kind)).collect()
}

/// Of another account's resource there always is one, if only to refuse.
fn resource_layer(case: &Value) -> Result<Option<ResourceLayer>, Box<dyn Error>> {
    let principal: Arn = text(&case["principal"])?.parse()?;
    let account = account(principal.account())?;
    let owner = self::account(text(&case["owner"])?)?;
    let policy = &case["resourcePolicy"];
    if policy.is_null() && owner == account {
        return Ok(None);
    }
    let given = (!policy.is_null()).then(|| source(policy, DocumentKind::Resource));
    let sources: Vec<Source> = given.into_iter().collect::<Result<_, _>>()?;
    let mut arns = vec![principal.to_string()];
    let mut parts = principal.resource().split('/');
    let (kind, session) = match (parts.next(), parts.next()) {
        (Some("assumed-role"), Some(role)) => {
            arns.push(Arn::iam(account, format!("role/{role}")).to_string());
            (UniqueIdKind::Role, CallerSession::Temporary)
        }
        _ => (UniqueIdKind::User, CallerSession::None),
    };
    let unique_id = UniqueId::generate(kind, &Entropy::new([0; 32]), "caller");
    let documents = sources.iter().flat_map(|source| &source.alternatives);
    let is_caller = |arn: &str| arns.iter().any(|own| own == arn).then_some(unique_id);
    let bindings = documents.flat_map(|document| document.bind_principals(is_caller)).collect();
    let caller = TrustCaller { account, arns: arns.clone(), unique_id };
    Ok(Some(ResourceLayer { sources, bindings, caller, session, owner }))
}

fn context(given: &Value) -> Context {
    let mut context = Context::new();
    for (key, value) in given.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(values) => context.insert_many(key, values.iter().filter_map(Value::as_str)),
            None => context.insert(key, value.as_str().unwrap_or_default()),
        }
    }
    context
}
