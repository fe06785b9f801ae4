//! Documents, contexts and callers that several of these tests use.

use std::sync::Arc;

use model::{UniqueId, UniqueIdKind};
use policy::{
    CallerSession, Context, ContextValue, Decision, Document, DocumentKind, Layers,
    MatchedStatement, Request, ResourceLayer, Source, SourceLabel, TrustCaller,
};

pub(crate) const ANY: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
pub(crate) const DENY_DELETE: &str =
    r#"{"Sid":"NoDelete","Effect":"Deny","Action":"*:Delete*","Resource":"*"}"#;
pub(crate) const READ: &str =
    r#"{"Sid":"Read","Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}"#;
pub(crate) const WRITE: &str =
    r#"{"Sid":"Write","Effect":"Allow","Action":"s3:Put*","Resource":"*"}"#;

pub(crate) const ROLE: &str = "arn:aws:iam::111111111111:role/ops";

pub(crate) fn trust(statements: &[(&str, &str)]) -> Arc<Document> {
    let statement = |(effect, principal): &(&str, &str)| {
        format!(
            r#"{{"Effect":"{effect}","Action":"sts:AssumeRole","Principal":{principal},
                 "Condition":{{"StringEqualsIfExists":{{"sts:ExternalId":"secret"}}}}}}"#
        )
    };
    let statements: Vec<String> = statements.iter().map(statement).collect();
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Arc::new(Document::parse(&text, DocumentKind::Trust).expect("the test's policy parses"))
}

pub(crate) fn id(text: &str) -> UniqueId {
    text.parse().expect("the test's id parses")
}

pub(crate) fn ops() -> UniqueId {
    id("AROAAAAAAAAAAAAAAAOPS")
}

pub(crate) fn caller(account: &str, arns: &[&str], unique_id: UniqueId) -> TrustCaller {
    let arns = arns.iter().map(|arn| (*arn).to_owned()).collect();
    TrustCaller { account: account.parse().expect("twelve digits"), arns, unique_id }
}

pub(crate) fn context() -> Context {
    let mut context = Context::new();
    context.insert("aws:username", "Bob");
    context.insert("aws:PrincipalArn", "arn:aws:iam::1:user/Bob");
    context.insert("aws:MultiFactorAuthPresent", "true");
    context.insert("aws:MultiFactorAuthAge", "3600");
    context.insert("aws:SourceIp", "10.1.2.3");
    context.insert("aws:CurrentTime", "2026-01-01T00:00:00Z");
    context.insert("t:bytes", "/+8=");
    context.insert("t:ipv6", "2001:db8::7");
    context.insert("t:star", "*");
    context.insert_many("aws:TagKeys", ["a", "b"]);
    context.insert_unknown("aws:PrincipalTag/team");
    assert_eq!(context.get("aws:principaltag/TEAM"), Some(&ContextValue::Unknown));
    context
}

pub(crate) fn statement(effect: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{condition}}}"#)
}

pub(crate) fn document(statements: &[&str]) -> Arc<Document> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Arc::new(Document::parse(&text, DocumentKind::Identity).expect("the test's policy parses"))
}

pub(crate) fn source(document: &Arc<Document>) -> Source {
    let label = SourceLabel::Inline { owner_arn: "bob".to_owned(), name: "p".to_owned() };
    Source { label, certain: true, alternatives: vec![document.clone()] }
}

pub(crate) fn identity(sources: Vec<Source>) -> Layers {
    Layers { identity: sources, ..Layers::default() }
}

pub(crate) fn request<'a>(action: &'a str, resource: &'a str, context: &'a Context) -> Request<'a> {
    Request { action, resource, context }
}

pub(crate) fn show(decision: &Decision) -> String {
    let statement = |found: &MatchedStatement| {
        let name = found.sid.clone().unwrap_or_else(|| format!("#{}", found.index));
        format!(" {:?} {name}", found.effect)
    };
    let statements: String = decision.statements.iter().map(statement).collect();
    format!("{:?}{statements}", decision.verdict)
}

pub(crate) const BOB: &str = "arn:aws:iam::111111111111:user/bob";

pub(crate) fn bob() -> TrustCaller {
    caller("111111111111", &[BOB], id("AIDAAAAAAAAAAAAAAAAAB"))
}

pub(crate) fn ops_session() -> TrustCaller {
    let arns =
        ["arn:aws:iam::111111111111:role/ops", "arn:aws:sts::111111111111:assumed-role/ops/s1"];
    caller("111111111111", &arns, ops())
}

pub(crate) fn allow_to(principal: &str) -> String {
    format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"*"}}"#)
}

/// The policy of a bucket of the caller's account that lets these principals do everything.
pub(crate) fn bucket(principals: &[&str], caller: &TrustCaller) -> ResourceLayer {
    let statements: Vec<String> = principals.iter().map(|one| allow_to(one)).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    if statements.is_empty() {
        return ResourceLayer { sources: Vec::new(), ..bucket(&[r#""*""#], caller) };
    }
    resource_layer(&statements, caller)
}

pub(crate) fn resource_layer(statements: &[&str], caller: &TrustCaller) -> ResourceLayer {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let document = Document::parse(&text, DocumentKind::Resource).expect("the policy parses");
    let known = [
        (BOB, bob().unique_id),
        ("arn:aws:iam::111111111111:role/ops", ops()),
        ("arn:aws:sts::111111111111:assumed-role/ops/s1", ops()),
    ];
    let known: Vec<(String, UniqueId)> =
        known.into_iter().map(|(arn, id)| (arn.to_owned(), id)).collect();
    let session = match caller.unique_id.kind() {
        Some(UniqueIdKind::Role) => CallerSession::Temporary,
        _ => CallerSession::None,
    };
    let alternatives = vec![Arc::new(document)];
    ResourceLayer {
        sources: vec![Source { label: SourceLabel::Resource, certain: true, alternatives }],
        bindings: known,
        caller: caller.clone(),
        session,
        owner: caller.account,
    }
}
