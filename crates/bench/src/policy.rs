//! What one decision costs in this process: the interpreter and the compiled form on the same
//! policies and requests.
//!
//! Users have several policies of service wildcards, single actions and resource patterns; half of
//! the statements have a condition in the rows that have any: source address, second factor, a
//! tag, an age. A request comes in as text with its context made; each is decided once a round and
//! timed alone, so that the numbers hold the clock's own cost, which is the first row.
//!
//! **Invariants.** Both decide every request, and a difference ends the run. One thread.
//!
//! **Must not know:** how either decides.

use std::{
    fmt,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use ::policy::{
    Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, Verdict,
    evaluate,
};
use serde::Serialize;

use crate::error::Error;

/// Principals of a row; their sets do not fit the first cache together.
const PRINCIPALS: u64 = 64;
const REQUESTS: usize = 4_096;
/// Statements of one policy.
const POLICY_STATEMENTS: u64 = 5;
/// Rounds over all requests, for the compiled form and for the interpreter.
const ROUNDS: usize = 16;

const SERVICES: [&str; 10] =
    ["s3", "ec2", "sts", "sqs", "sns", "kms", "logs", "dynamodb", "lambda", "ecr"];
const VERBS: [&str; 8] = ["Get", "List", "Describe", "Put", "Create", "Delete", "Update", "Tag"];
const NOUNS: [&str; 8] =
    ["Object", "Item", "Function", "Queue", "Topic", "Image", "Stream", "Policy"];
const CONDITIONS: [&str; 5] = [
    r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}"#,
    r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
    r#"{"StringEquals":{"aws:PrincipalTag/team":["red","blue"]}}"#,
    r#"{"StringLike":{"aws:PrincipalTag/team":"r*"}}"#,
    r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}"#,
];

/// One engine on one workload; times in nanoseconds.
#[derive(Debug, Serialize)]
struct Row {
    engine: &'static str,
    statements: u64,
    conditions: bool,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    mean_ns: u64,
    /// The interpreter's median as a multiple of this one's.
    ratio: f64,
}

/// What the requests of one workload came to.
#[derive(Debug, Serialize)]
struct Workload {
    statements: u64,
    conditions: bool,
    requests: usize,
    allowed: usize,
    denied: usize,
    /// To compile one principal's policies.
    compile_us: f64,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyReport {
    benchmark: &'static str,
    /// Two readings of the clock with nothing between them.
    clock_p50_ns: u64,
    workloads: Vec<Workload>,
    rows: Vec<Row>,
}

/// Measures both engines at 10, 100 and 1,000 statements.
pub(crate) fn measure() -> Result<PolicyReport, Error> {
    let clock = times(ROUNDS, &[(); REQUESTS], |()| ());
    let (mut workloads, mut rows) = (Vec::new(), Vec::new());
    for statements in [10, 100, 1_000] {
        for conditions in [false, true] {
            let (workload, pair) = compare(statements, conditions)?;
            workloads.push(workload);
            rows.extend(pair);
        }
    }
    let clock_p50_ns = quantile(&clock, 50);
    Ok(PolicyReport { benchmark: "policy", clock_p50_ns, workloads, rows })
}

fn compare(statements: u64, conditions: bool) -> Result<(Workload, [Row; 2]), Error> {
    let mut random = Random(statements * 2 + u64::from(conditions) + 1);
    let principals: Vec<Principal> = (0..PRINCIPALS)
        .map(|_| Principal::new(&mut random, statements, conditions))
        .collect::<Result<_, _>>()?;
    let start = Instant::now();
    let compiled: Vec<Compiled> = principals.iter().map(|p| Compiled::new(&p.layers)).collect();
    let compile_us = start.elapsed().as_secs_f64() * 1e6 / PRINCIPALS as f64;
    let context = context();
    let asked: Vec<Asked> = (0..REQUESTS).map(|_| Asked::new(&mut random, &principals)).collect();
    let request = |asked: &Asked| -> (Verdict, Verdict) {
        let request = asked.request(&context);
        let layers = &principals[asked.principal].layers;
        (evaluate(layers, &request).verdict, compiled[asked.principal].decide(&request))
    };
    let (mut allowed, mut denied) = (0, 0);
    for (number, one) in asked.iter().enumerate() {
        let (expected, found) = request(one);
        if expected != found {
            return Err(Error::Disagreement { request: number, statements });
        }
        allowed += usize::from(expected == Verdict::Allow);
        denied += usize::from(matches!(expected, Verdict::ExplicitDeny { layer: _ }));
    }
    let slow = times(1, &asked, |asked| {
        black_box(evaluate(&principals[asked.principal].layers, &asked.request(&context)));
    });
    let fast = times(ROUNDS, &asked, |asked| {
        black_box(compiled[asked.principal].decide(&asked.request(&context)));
    });
    let workload =
        Workload { statements, conditions, requests: REQUESTS, allowed, denied, compile_us };
    let base = quantile(&slow, 50);
    let row = |engine, times: &[u64]| Row {
        engine,
        statements,
        conditions,
        p50_ns: quantile(times, 50),
        p90_ns: quantile(times, 90),
        p99_ns: quantile(times, 99),
        mean_ns: times.iter().sum::<u64>() / times.len().max(1) as u64,
        ratio: base as f64 / quantile(times, 50).max(1) as f64,
    };
    Ok((workload, [row("interpreter", &slow), row("compiled", &fast)]))
}

/// How long each item took in each round, sorted, after one round that does not count.
fn times<T>(rounds: usize, items: &[T], work: impl Fn(&T)) -> Vec<u64> {
    let mut times = Vec::with_capacity(rounds * items.len());
    for round in 0..=rounds {
        for item in items {
            let start = Instant::now();
            work(black_box(item));
            let elapsed = start.elapsed();
            if round > 0 {
                times.push(nanoseconds(elapsed));
            }
        }
    }
    times.sort_unstable();
    times
}

fn nanoseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

fn quantile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

/// One principal's policies, and what they speak of.
struct Principal {
    layers: Layers,
    /// Action and resource of each statement, without wildcards.
    spoken_of: Vec<(String, String)>,
}

impl Principal {
    fn new(random: &mut Random, statements: u64, conditions: bool) -> Result<Self, Error> {
        let mut spoken_of = Vec::new();
        let mut identity = Vec::new();
        for number in 0..statements / POLICY_STATEMENTS {
            let texts: Vec<String> = (0..POLICY_STATEMENTS)
                .map(|_| statement(random, conditions, &mut spoken_of))
                .collect();
            let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, texts.join(","));
            let document = Document::parse(&text, DocumentKind::Identity)
                .map_err(|error| Error::History(error.to_string()))?;
            let arn = format!("arn:aws:iam::123456789012:policy/p{number}");
            identity.push(Source {
                label: SourceLabel::Managed { arn },
                certain: true,
                alternatives: vec![Arc::new(document)],
            });
        }
        let layers = Layers { identity, ..Layers::default() };
        Ok(Self { layers, spoken_of })
    }
}

fn statement(
    random: &mut Random,
    conditions: bool,
    spoken_of: &mut Vec<(String, String)>,
) -> String {
    let effect = if random.below(20) == 0 { "Deny" } else { "Allow" };
    let (service, verb, noun) = (random.pick(&SERVICES), random.pick(&VERBS), random.pick(&NOUNS));
    let name = random.below(400);
    let action = match random.below(6) {
        0 => format!("{service}:*"),
        1 | 2 => format!("{service}:{verb}*"),
        _ => format!("{service}:{verb}{noun}"),
    };
    let base = format!("arn:aws:{service}:eu-west-1:123456789012:thing-{name}");
    let resource = match random.below(6) {
        0 => format!("arn:aws:{service}:*:*:thing-{name}*"),
        1 => base.clone(),
        _ => format!("{base}/*"),
    };
    spoken_of.push((format!("{service}:{verb}{noun}"), format!("{base}/part-{name}")));
    let condition = if conditions && random.below(2) == 0 {
        format!(r#","Condition":{}"#, random.pick(&CONDITIONS))
    } else {
        String::new()
    };
    format!(
        r#"{{"Effect":"{effect}","Action":["{action}","{service}:Head{noun}"],
            "Resource":"{resource}"{condition}}}"#
    )
}

/// One question.
struct Asked {
    principal: usize,
    action: String,
    resource: String,
}

impl Asked {
    fn new(random: &mut Random, principals: &[Principal]) -> Self {
        let principal = random.below(PRINCIPALS) as usize;
        let spoken_of = &principals[principal].spoken_of;
        let (action, resource) = &spoken_of[random.below(spoken_of.len() as u64) as usize];
        let resource = match random.below(3) {
            0 => format!("{resource}-{}", random.below(1_000)),
            1 => resource.clone(),
            _ => resource.replace("thing-", "other-"),
        };
        Self { principal, action: action.clone(), resource }
    }

    fn request<'a>(&'a self, context: &'a Context) -> Request<'a> {
        Request { action: &self.action, resource: &self.resource, context }
    }
}

fn context() -> Context {
    let mut context = Context::new();
    context.insert("aws:SourceIp", "192.0.2.7");
    context.insert("aws:MultiFactorAuthPresent", "true");
    context.insert("aws:MultiFactorAuthAge", "1200");
    context.insert("aws:PrincipalTag/team", "red");
    context.insert("aws:username", "bob");
    context.insert("aws:PrincipalArn", "arn:aws:iam::123456789012:user/bob");
    context.insert("aws:CurrentTime", "2026-01-01T00:00:00Z");
    context.insert("aws:SecureTransport", "true");
    context
}

/// A small generator of numbers: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len() as u64) as usize]
    }
}

impl fmt::Display for PolicyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { benchmark: _, clock_p50_ns, workloads, rows } = self;
        writeln!(f, "policy: one thread; the clock itself takes {clock_p50_ns} ns\n")?;
        for Workload { statements, conditions, requests, allowed, denied, compile_us } in workloads
        {
            writeln!(
                f,
                "{statements} statements, conditions {conditions}: of {requests} requests \
                 {allowed} allowed, {denied} denied explicitly; {compile_us:.1} us to compile"
            )?;
        }
        let heads = ["p50 ns", "p90 ns", "p99 ns", "mean ns", "ratio"];
        write!(f, "\n{:<14}{:>12}{:>12}", "engine", "statements", "conditions")?;
        heads.iter().try_for_each(|head| write!(f, "{head:>11}"))?;
        writeln!(f)?;
        for Row { engine, statements, conditions, p50_ns, p90_ns, p99_ns, mean_ns, ratio } in rows {
            writeln!(
                f,
                "{engine:<14}{statements:>12}{conditions:>12}{p50_ns:>11}{p90_ns:>11}{p99_ns:>11}\
                 {mean_ns:>11}{ratio:>11.1}"
            )?;
        }
        Ok(())
    }
}
