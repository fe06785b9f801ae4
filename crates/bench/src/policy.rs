//! What one decision costs in this process: the interpreter and the compiled form on the same
//! policies and requests, all layers together, and each condition operator alone.
//!
//! A request comes in as text with its context made; each is decided once a round and timed alone,
//! so that the numbers hold the clock's own cost, which is the first line. What callgrind counts is
//! `cargo run --release -p bench -- policy-instructions`, under `valgrind --tool=callgrind`.
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

use crate::{
    error::Error,
    operators::{self, OperatorRow},
    workload::{self, Asked, CONTEXT, PRINCIPALS, Workload},
};

const REQUESTS: usize = 4_096;
/// Rounds over all requests, for the compiled form; the interpreter has one.
const ROUNDS: usize = 16;

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

/// What the requests of one workload came to, and what its sets take.
#[derive(Debug, Serialize)]
struct Setting {
    statements: u64,
    conditions: bool,
    requests: usize,
    allowed: usize,
    denied: usize,
    documents: usize,
    /// To read one document, and to prepare it once for all principals.
    parse_us: f64,
    prepare_us: f64,
    /// What one document's prepared form takes.
    document_bytes: usize,
    /// To build one principal's set from prepared documents, and what it takes beside them.
    set_us: f64,
    set_bytes: usize,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyReport {
    benchmark: &'static str,
    /// Two readings of the clock with nothing between them.
    clock_p50_ns: u64,
    settings: Vec<Setting>,
    rows: Vec<Row>,
    /// Of the managed policies that every account has: to read and prepare one.
    managed_us: f64,
    layers: Vec<OperatorRow>,
    operators: Vec<OperatorRow>,
}

/// Measures both engines at 10, 100 and 1,000 statements.
pub(crate) fn measure() -> Result<PolicyReport, Error> {
    let clock = times(ROUNDS, &[(); REQUESTS], |()| ());
    let (mut settings, mut rows) = (Vec::new(), Vec::new());
    for statements in [10, 100, 1_000] {
        for conditions in [false, true] {
            let (setting, pair) = compare(statements, conditions)?;
            settings.push(setting);
            rows.extend(pair);
        }
    }
    Ok(PolicyReport {
        benchmark: "policy",
        clock_p50_ns: quantile(&clock, 50),
        settings,
        rows,
        managed_us: managed_us()?,
        layers: operators::layers()?,
        operators: operators::operators()?,
    })
}

/// Decides the workload of 100 statements so often that nothing else counts; how many decisions.
pub(crate) fn instructions() -> Result<String, Error> {
    let workload = Workload::new(100, false, REQUESTS);
    let sets = Sets::new(&workload)?;
    let compiled: Vec<Compiled> = sets.layers.iter().map(Compiled::new).collect();
    let context = context();
    let decide = |asked: &Asked| {
        black_box(compiled[asked.principal].decide(&request(asked, &context)));
    };
    (0..ROUNDS).for_each(|_| workload.asked.iter().for_each(decide));
    Ok(format!("{} decisions at 100 statements\n", ROUNDS * REQUESTS))
}

fn compare(statements: u64, conditions: bool) -> Result<(Setting, [Row; 2]), Error> {
    let workload = Workload::new(statements, conditions, REQUESTS);
    let Sets { documents, layers, parse_us } = Sets::new(&workload)?;
    let start = Instant::now();
    let shared: usize = documents.iter().map(|document| document.compiled_bytes()).sum();
    let prepare_us = microseconds(start) / documents.len() as f64;
    let start = Instant::now();
    let compiled: Vec<Compiled> = layers.iter().map(Compiled::new).collect();
    let set_us = microseconds(start) / PRINCIPALS as f64;
    let context = context();
    let (mut allowed, mut denied) = (0, 0);
    for (number, asked) in workload.asked.iter().enumerate() {
        let expected = evaluate(&layers[asked.principal], &request(asked, &context)).verdict;
        if expected != compiled[asked.principal].decide(&request(asked, &context)) {
            return Err(Error::Disagreement { request: number, statements });
        }
        allowed += usize::from(expected == Verdict::Allow);
        denied += usize::from(matches!(expected, Verdict::ExplicitDeny { layer: _ }));
    }
    let slow = times(1, &workload.asked, |asked| {
        black_box(evaluate(&layers[asked.principal], &request(asked, &context)));
    });
    let fast = times(ROUNDS, &workload.asked, |asked| {
        black_box(compiled[asked.principal].decide(&request(asked, &context)));
    });
    let setting = Setting {
        statements,
        conditions,
        requests: REQUESTS,
        allowed,
        denied,
        documents: documents.len(),
        parse_us,
        prepare_us,
        document_bytes: shared / documents.len(),
        set_us,
        set_bytes: compiled.iter().map(Compiled::own_bytes).sum::<usize>() / compiled.len(),
    };
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
    Ok((setting, [row("interpreter", &slow), row("compiled", &fast)]))
}

/// The policies of a workload, read.
struct Sets {
    documents: Vec<Arc<Document>>,
    layers: Vec<Layers>,
    parse_us: f64,
}

impl Sets {
    fn new(workload: &Workload) -> Result<Self, Error> {
        let texts: Vec<String> =
            workload.policies.iter().map(|policy| workload::document(policy)).collect();
        let start = Instant::now();
        let documents: Vec<Arc<Document>> = texts
            .iter()
            .map(|text| parse(text, DocumentKind::Identity))
            .collect::<Result<_, _>>()?;
        let parse_us = microseconds(start) / documents.len() as f64;
        let source = |place: &usize| source(*place, Arc::clone(&documents[*place]));
        let layers = |own: &Vec<usize>| Layers {
            identity: own.iter().map(source).collect(),
            ..Layers::default()
        };
        let layers = workload.principals.iter().map(layers).collect();
        Ok(Self { documents, layers, parse_us })
    }
}

/// To read and prepare one of the managed policies that every account has.
fn managed_us() -> Result<f64, Error> {
    let texts: Vec<&str> =
        ::policy::managed().iter().map(|managed| managed.parsed.text()).collect();
    let start = Instant::now();
    for text in &texts {
        black_box(parse(text, DocumentKind::Identity)?.compiled_bytes());
    }
    Ok(microseconds(start) / texts.len() as f64)
}

/// Reads a document that this program made.
pub(crate) fn parse(text: &str, kind: DocumentKind) -> Result<Arc<Document>, Error> {
    let document =
        Document::parse(text, kind).map_err(|error| Error::History(error.to_string()))?;
    Ok(Arc::new(document))
}

/// A managed policy that applies for certain.
pub(crate) fn source(number: usize, document: Arc<Document>) -> Source {
    let arn = format!("arn:aws:iam::123456789012:policy/p{number}");
    Source { label: SourceLabel::Managed { arn }, certain: true, alternatives: vec![document] }
}

/// The request's keys.
pub(crate) fn context() -> Context {
    let mut context = Context::new();
    CONTEXT.iter().for_each(|(key, value)| context.insert(key, *value));
    context
}

fn request<'a>(asked: &'a Asked, context: &'a Context) -> Request<'a> {
    Request { action: &asked.action, resource: &asked.resource, context }
}

/// How long each item took in each round, sorted, after one round that does not count.
pub(crate) fn times<T>(rounds: usize, items: &[T], work: impl Fn(&T)) -> Vec<u64> {
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

fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

pub(crate) fn quantile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

impl fmt::Display for PolicyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { benchmark: _, clock_p50_ns, settings, rows, managed_us, layers, operators } =
            self;
        writeln!(f, "policy: one thread; the clock itself takes {clock_p50_ns} ns\n")?;
        for setting in settings {
            writeln!(f, "{setting}")?;
        }
        writeln!(f, "a managed policy: {managed_us:.1} us to read and prepare")?;
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
        for (head, rows) in [("layers, 100 statements", layers), ("one statement with", operators)]
        {
            writeln!(f, "\n{head:<44}{:>11}{:>11}{:>11}", "p50 ns", "p90 ns", "p99 ns")?;
            rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statements, conditions, requests, allowed, denied, documents, .. } = self;
        let Self { parse_us, prepare_us, document_bytes, set_us, set_bytes, .. } = self;
        write!(
            f,
            "{statements} statements, conditions {conditions}: of {requests} requests {allowed} \
             allowed, {denied} denied explicitly\n  each of {documents} documents: {parse_us:.1} \
             us to read, {prepare_us:.1} us to prepare, {document_bytes} bytes\n  each of \
             {PRINCIPALS} sets: {set_us:.1} us to build, {set_bytes} bytes of its own"
        )
    }
}
