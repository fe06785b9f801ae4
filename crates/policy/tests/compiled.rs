//! The compiled form against the interpreter, on generated policies and requests.
//!
//! `POLICY_CASES=4000000 cargo test --release -p policy --test compiled` decides four million; the
//! seed of a disagreement is in its message and `POLICY_SEED` begins with it.

use std::sync::Arc;

use policy::{
    Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, Verdict,
    evaluate,
};

/// Decisions of an ordinary run.
const CASES: u64 = 40_000;
/// Requests for each set of policies.
const REQUESTS: u64 = 20;

const ACTIONS: [&str; 17] = [
    "*",
    "*:*",
    "*:Get*",
    "s3:*",
    "s3:Get*",
    "s3:GetObject",
    "S3:getobject",
    "s3:?etObject",
    "s3:*Object",
    "s3:PutObject",
    "s3:G*t*",
    "iam:*",
    "iam:GetUser",
    "iam:*User",
    "ec2:Describe*",
    "ec2:?*",
    "kms:Decrypt",
];
const ASKED_ACTIONS: [&str; 14] = [
    "s3:GetObject",
    "S3:GETOBJECT",
    "s3:PutObject",
    "s3:GetBucketPolicy",
    "iam:GetUser",
    "iam:DeleteUser",
    "ec2:DescribeInstances",
    "kms:Decrypt",
    "\u{212a}ms:Decrypt",
    "s3:Get:Object",
    "s3",
    "s3:",
    "",
    "s3:GetAVeryLongActionThatNoServiceHasButThatSomebodyMayAskForAllTheSameToSeeWhatComesOfItInTheEndAndBeyond",
];
const RESOURCES: [&str; 14] = [
    "*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/${aws:username}/*",
    "arn:aws:s3:::bucket/${t:none, 'bob'}/*",
    "arn:aws:s3:::${t:none}/*",
    "arn:aws:s3:::${t:contested}/*",
    "arn:aws:s3:::bucket/b?b/*",
    "arn:aws:s3:::*/k",
    "arn:aws:iam::123456789012:user/*",
    "arn:aws:iam::123456789012:user/bob",
    "arn:aws:iam::*:user/b*",
    "arn:aws:s3:::ü*",
];
const ASKED_RESOURCES: [&str; 10] = [
    "*",
    "",
    "arn:aws",
    "arn:aws:s3:::bucket",
    "arn:aws:s3:::bucket/bob/k",
    "arn:aws:s3:::bucket/eve/k",
    "arn:aws:s3:::bucket2",
    "arn:aws:s3:::üx",
    "arn:aws:iam::123456789012:user/bob",
    "arn:aws:iam::123456789012:role/bob",
];
const CONDITIONS: [&str; 16] = [
    r#"{"StringEquals":{"aws:username":"bob"}}"#,
    r#"{"StringNotEquals":{"aws:username":["bob","eve"]}}"#,
    r#"{"StringEquals":{"t:contested":"x"}}"#,
    r#"{"StringNotEqualsIfExists":{"t:contested":"x"}}"#,
    r#"{"StringLike":{"aws:username":"b*","t:many":"a"}}"#,
    r#"{"StringEqualsIgnoreCase":{"aws:username":"${t:none, 'BOB'}"}}"#,
    r#"{"ForAnyValue:StringEquals":{"t:many":["a","z"]}}"#,
    r#"{"ForAllValues:StringLike":{"t:many":["a*","b*"]}}"#,
    r#"{"ForAllValues:StringEquals":{"t:none":"a"}}"#,
    r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
    r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
    r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
    r#"{"NumericLessThan":{"t:number":"10"},"Null":{"t:none":"true"}}"#,
    r#"{"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
    r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}"#,
    r#"{"StringEquals":{"t:prefix/a":"x"}}"#,
];

#[test]
fn the_compiled_form_decides_as_the_interpreter_does() {
    let cases = from_environment("POLICY_CASES").unwrap_or(CASES);
    let first = from_environment("POLICY_SEED").unwrap_or(1);
    let mut seen = std::collections::BTreeMap::new();
    for seed in first..first + cases.div_ceil(REQUESTS) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let layers = layers(&mut random);
        let compiled = Compiled::new(&layers);
        for _ in 0..REQUESTS {
            let context = context(&mut random);
            let action = random.pick(&ASKED_ACTIONS);
            let resource = random.pick(&ASKED_RESOURCES);
            let request = Request { action, resource, context: &context };
            let expected = evaluate(&layers, &request).verdict;
            let found = compiled.decide(&request);
            assert_eq!(found, expected, "seed {seed}: {request:?}\n{layers:#?}");
            *seen.entry(kind(expected)).or_insert(0_u64) += 1;
        }
    }
    for verdict in ["allow", "explicit", "implicit"] {
        let count = seen.get(verdict).copied().unwrap_or_default();
        assert!(count * 20 > cases, "too few are {verdict} to say anything: {seen:?}");
    }
}

#[test]
fn a_hostile_set_is_refused_within_the_budget() {
    let pattern = format!("arn:aws:s3:::{}b*", "*a".repeat(2_000));
    let statement = format!(r#"{{"Effect":"Allow","Action":"s3:*","Resource":"{pattern}"}}"#);
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":[{},{}]}}"#,
        vec![statement; 30].join(","),
        r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#
    );
    let layers = Layers { identity: vec![source(vec![&text], true)], ..Layers::default() };
    let resource = format!("arn:aws:s3:::{}", "a".repeat(1_000_000));
    let context = Context::new();
    let request = Request { action: "s3:GetObject", resource: &resource, context: &context };
    for verdict in [evaluate(&layers, &request).verdict, Compiled::new(&layers).decide(&request)] {
        assert_eq!(kind(verdict), "implicit");
    }
}

fn kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::ExplicitDeny { layer: _ } => "explicit",
        Verdict::ImplicitDeny { layer: _ } => "implicit",
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
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

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len() as u64) as usize]
    }

    fn list(&mut self, from: &[&'static str], max: u64) -> String {
        let count = 1 + self.below(max);
        let items: Vec<String> = (0..count).map(|_| format!("{:?}", self.pick(from))).collect();
        format!("[{}]", items.join(","))
    }
}

fn statement(random: &mut Random) -> String {
    let effect = if random.one_in(5) { "Deny" } else { "Allow" };
    let negated = |random: &mut Random, n| if random.one_in(n) { "Not" } else { "" };
    let (not_action, not_resource) = (negated(random, 8), negated(random, 8));
    let actions = random.list(&ACTIONS, 3);
    let resources = random.list(&RESOURCES, 6);
    let condition = if random.one_in(2) {
        format!(r#","Condition":{}"#, random.pick(&CONDITIONS))
    } else {
        String::new()
    };
    format!(
        r#"{{"Effect":"{effect}","{not_action}Action":{actions},"{not_resource}Resource":{resources}
            {condition}}}"#
    )
}

fn document(random: &mut Random) -> String {
    let version = if random.one_in(8) { "2008-10-17" } else { "2012-10-17" };
    let statements: Vec<String> = (0..=random.below(4)).map(|_| statement(random)).collect();
    format!(r#"{{"Version":"{version}","Statement":[{}]}}"#, statements.join(","))
}

fn source(documents: Vec<&str>, certain: bool) -> Source {
    let read = |text: &str| {
        let read = Document::parse(text, DocumentKind::Identity);
        Arc::new(read.expect("only whole documents are generated"))
    };
    let alternatives = documents.into_iter().map(read).collect();
    Source { label: SourceLabel::Session, certain, alternatives }
}

fn sources(random: &mut Random) -> Vec<Source> {
    let one = |random: &mut Random| {
        let count = match random.below(8) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        let documents: Vec<String> = (0..count).map(|_| document(random)).collect();
        source(documents.iter().map(String::as_str).collect(), !random.one_in(6))
    };
    (0..random.below(4)).map(|_| one(random)).collect()
}

fn layers(random: &mut Random) -> Layers {
    let mut limit = || {
        // A limit that is as often wide as narrow lets enough through to the other layers.
        random.one_in(3).then(|| {
            let mut limit = sources(random);
            if random.one_in(2) {
                let all = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
                limit.push(source(vec![all], true));
            }
            limit
        })
    };
    let (boundary, session) = (limit(), limit());
    let mut identity = sources(random);
    identity.extend(sources(random));
    Layers { identity, boundary, session }
}

fn context(random: &mut Random) -> Context {
    let mut context = Context::new();
    if !random.one_in(4) {
        context.insert("aws:UserName", random.pick(&["bob", "Bob", "eve", "*"]));
    }
    if random.one_in(2) {
        context.insert_unknown("t:contested");
    }
    if random.one_in(2) {
        context.insert_many("t:many", ["a", "b"]);
    }
    if random.one_in(6) {
        context.insert_unknown_under("t:prefix/");
    }
    context.insert("aws:SourceIp", random.pick(&["192.0.2.7", "198.51.100.1", "nowhere"]));
    context.insert("aws:MultiFactorAuthPresent", random.pick(&["true", "false", "perhaps"]));
    context.insert("t:number", random.pick(&["9", "10", "ten"]));
    context.insert("aws:CurrentTime", random.pick(&["2026-06-01T00:00:00Z", "2025-01-01"]));
    context.insert("aws:PrincipalArn", random.pick(&["arn:aws:iam::1:user/a", "arn:aws"]));
    context
}
