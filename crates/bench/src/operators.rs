//! What each layer adds to a decision, and what each condition operator costs.
//!
//! **Invariants.** Each row is of decisions that all come out as the row says; else the run ends.
//!
//! **Must not know:** how a decision is made.

use std::{fmt, hint::black_box, sync::Arc};

use ::policy::{
    CallerSession, Compiled, Context, Document, DocumentKind, Layers, Request, ResourceLayer,
    Source, SourceLabel, TrustCaller, Verdict, evaluate,
};
use serde::Serialize;

use crate::{
    error::Error,
    policy::{context, parse, quantile, source, times},
    workload::{self, Asked, Workload},
};

const ROUNDS: usize = 2_000;
/// Decisions of an operator's row in one round: the clock's own cost is shared by them.
const BATCH: u32 = 32;
const REQUESTS: usize = 4_096;

/// What was measured of one thing; times of one decision in nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct OperatorRow {
    what: String,
    p50_ns: f64,
    p90_ns: f64,
    p99_ns: f64,
}

impl OperatorRow {
    fn new(what: String, times: &[u64], batch: u32) -> Self {
        let of = |percent| quantile(times, percent) as f64 / f64::from(batch);
        Self { what, p50_ns: of(50), p90_ns: of(90), p99_ns: of(99) }
    }
}

impl fmt::Display for OperatorRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, p50_ns, p90_ns, p99_ns } = self;
        write!(f, "{what:<44}{p50_ns:>11.1}{p90_ns:>11.1}{p99_ns:>11.1}")
    }
}

const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"*","Resource":"*"},
    {"Effect":"Deny","Action":"organizations:*","Resource":"*"},
    {"Effect":"Deny","Action":["iam:Create*","iam:Delete*"],
     "Resource":"arn:aws:iam::*:user/root*"}]}"#;

/// The layers one after another on top of 100 statements, half of them with conditions. Each limit
/// allows nearly everything, so that no layer spares the next.
pub(crate) fn layers() -> Result<Vec<OperatorRow>, Error> {
    let workload = Workload::new(100, true, REQUESTS);
    let documents: Vec<Arc<Document>> = workload
        .policies
        .iter()
        .map(|policy| parse(&workload::document(policy), DocumentKind::Identity))
        .collect::<Result<_, _>>()?;
    let wide = parse(WIDE, DocumentKind::Identity)?;
    let limit = || vec![source(0, Arc::clone(&wide))];
    let resource = resource_layer()?;
    let identity = |own: &Vec<usize>| Layers {
        identity: own.iter().map(|place| source(*place, Arc::clone(&documents[*place]))).collect(),
        ..Layers::default()
    };
    let all: [(&str, &dyn Fn(Layers) -> Layers); 5] = [
        ("identity", &|layers| layers),
        ("and permissions boundary", &|layers| Layers { boundary: Some(limit()), ..layers }),
        ("and session policy", &|layers| Layers { session: Some(limit()), ..layers }),
        ("and three levels of guard rails", &|layers| Layers {
            guard_rails: Some(vec![limit(), limit(), limit()]),
            ..layers
        }),
        ("and the resource's policy", &|layers| Layers {
            resource: Some(resource.clone()),
            ..layers
        }),
    ];
    let context = context();
    let mut layers: Vec<Layers> = workload.principals.iter().map(identity).collect();
    let mut rows = Vec::new();
    for (what, add) in all {
        layers = layers.into_iter().map(add).collect();
        let compiled: Vec<Compiled> = layers.iter().map(Compiled::new).collect();
        let decide = |asked: &Asked| {
            let Asked { principal, action, resource } = asked;
            compiled[*principal].decide(&Request { action, resource, context: &context })
        };
        for (number, asked) in workload.asked.iter().enumerate() {
            let Asked { principal, action, resource } = asked;
            let request = Request { action, resource, context: &context };
            if evaluate(&layers[*principal], &request).verdict != decide(asked) {
                return Err(Error::Disagreement { request: number, statements: 100 });
            }
        }
        let times = times(16, &workload.asked, |asked| {
            black_box(decide(asked));
        });
        rows.push(OperatorRow::new(what.to_owned(), &times, 1));
    }
    Ok(rows)
}

/// A policy that leaves it to the account, so that the principal's own policies are asked too.
fn resource_layer() -> Result<ResourceLayer, Error> {
    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"*","Resource":"*"},
        {"Effect":"Deny","Principal":"*","Action":"s3:Delete*",
         "Resource":"arn:aws:s3:::logs/*"}]}"#;
    let read = |error: &dyn fmt::Display| Error::History(error.to_string());
    let account = "123456789012".parse().map_err(|error| read(&error))?;
    let caller = TrustCaller {
        account,
        arns: vec!["arn:aws:iam::123456789012:user/bob".to_owned()],
        unique_id: "AIDAAAAAAAAAAAAAAAAAB".parse().map_err(|error| read(&error))?,
    };
    let alternatives = vec![parse(POLICY, DocumentKind::Resource)?];
    Ok(ResourceLayer {
        sources: vec![Source { label: SourceLabel::Resource, certain: true, alternatives }],
        bindings: Vec::new(),
        caller,
        session: CallerSession::Temporary,
        owner: account,
    })
}

const ANY: &str = r#""Action":"s3:GetObject","Resource":"*""#;

/// What a statement has, and the rest of it; the statement allows the request.
const STATEMENTS: [(&str, &str, &str); 27] = [
    ("no condition, Resource *", ANY, ""),
    ("an exact ARN", r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/home/bob/x""#, ""),
    ("a prefix", r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*""#, ""),
    ("a wildcard inside", r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*/x""#, ""),
    ("a leading wildcard", r#""Action":"s3:GetObject","Resource":"arn:aws:s3:*:*:bucket/*""#, ""),
    (
        "${aws:username} in the resource",
        r#""Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/home/${aws:username}/*""#,
        "",
    ),
    ("NotAction of two services", r#""NotAction":["iam:*","ec2:*"],"Resource":"*""#, ""),
    (
        "NotResource of two",
        r#""Action":"s3:GetObject","NotResource":["arn:aws:s3:::a","arn:aws:s3:::b/*"]"#,
        "",
    ),
    ("StringEquals", ANY, r#"{"StringEquals":{"aws:PrincipalTag/team":"red"}}"#),
    (
        "StringEquals of ten",
        ANY,
        r#"{"StringEquals":{"aws:PrincipalTag/team":["a","b","c","d","e","f","g","h","i","red"]}}"#,
    ),
    (
        "StringEquals with a variable",
        ANY,
        r#"{"StringEquals":{"aws:PrincipalTag/team":"${t:team}"}}"#,
    ),
    ("StringNotEquals", ANY, r#"{"StringNotEquals":{"aws:PrincipalTag/team":"blue"}}"#),
    (
        "StringEqualsIgnoreCase",
        ANY,
        r#"{"StringEqualsIgnoreCase":{"aws:PrincipalTag/team":"RED"}}"#,
    ),
    ("StringLike", ANY, r#"{"StringLike":{"aws:PrincipalTag/team":"r*"}}"#),
    ("StringLike with a variable", ANY, r#"{"StringLike":{"aws:PrincipalTag/team":"${t:team}*"}}"#),
    ("NumericLessThan", ANY, r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}"#),
    ("DateLessThan", ANY, r#"{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}"#),
    ("Bool", ANY, r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#),
    ("BinaryEquals", ANY, r#"{"BinaryEquals":{"t:bytes":"/+8="}}"#),
    ("IpAddress of two", ANY, r#"{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}"#),
    ("NotIpAddress of two", ANY, r#"{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","::/0"]}}"#),
    ("ArnLike", ANY, r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/*"}}"#),
    ("Null", ANY, r#"{"Null":{"t:none":"true"}}"#),
    ("StringEqualsIfExists, absent", ANY, r#"{"StringEqualsIfExists":{"t:none":"x"}}"#),
    (
        "ForAllValues:StringEquals, 3 in 5",
        ANY,
        r#"{"ForAllValues:StringEquals":{"t:many":["a","b","c","d","e"]}}"#,
    ),
    ("ForAnyValue:StringLike", ANY, r#"{"ForAnyValue:StringLike":{"t:many":["x*","c*"]}}"#),
    (
        "four conditions",
        ANY,
        r#"{"StringEquals":{"aws:PrincipalTag/team":"red"},
            "Bool":{"aws:MultiFactorAuthPresent":"true","aws:SecureTransport":"true"},
            "IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
    ),
];

/// Each condition operator and form of a resource in a policy of one statement.
pub(crate) fn operators() -> Result<Vec<OperatorRow>, Error> {
    let mut context = context();
    context.insert("t:team", "red");
    context.insert("t:bytes", "/+8=");
    context.insert_many("t:many", ["a", "b", "c"]);
    let each =
        |(what, fits, condition): &(&str, &str, &str)| operator(&context, what, fits, condition);
    STATEMENTS.iter().map(each).collect()
}

fn operator(
    context: &Context,
    what: &str,
    fits: &str,
    condition: &str,
) -> Result<OperatorRow, Error> {
    let condition =
        if condition.is_empty() { String::new() } else { format!(r#","Condition":{condition}"#) };
    let text =
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",{fits}{condition}}}}}"#);
    let identity = vec![source(0, parse(&text, DocumentKind::Identity)?)];
    let layers = Layers { identity, ..Layers::default() };
    let compiled = Compiled::new(&layers);
    let resource = if fits.contains("arn:aws:s3:*:*") {
        "arn:aws:s3:eu-west-1:123456789012:bucket/home/bob/x"
    } else {
        "arn:aws:s3:::bucket/home/bob/x"
    };
    let request = Request { action: "s3:GetObject", resource, context };
    for verdict in [evaluate(&layers, &request).verdict, compiled.decide(&request)] {
        if verdict != Verdict::Allow {
            return Err(Error::History(format!("{what}: {verdict:?}")));
        }
    }
    let times = times(ROUNDS, &[()], |()| {
        for _ in 0..BATCH {
            black_box(compiled.decide(black_box(&request)));
        }
    });
    Ok(OperatorRow::new(what.to_owned(), &times, BATCH))
}
