//! The compiled form against the interpreter, on generated policies and requests.
//!
//! `POLICY_CASES=4000000 cargo test --release -p policy --test compiled` decides four million; the
//! seed of a disagreement is in its message and `POLICY_SEED` begins with it.

use std::{collections::BTreeSet, sync::Arc};

use model::UniqueId;
use policy::{
    CallerSession, Compiled, Context, Document, DocumentKind, Layer, Layers, Request,
    ResourceLayer, Source, SourceLabel, TrustCaller, Verdict, evaluate,
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

const ALL: &str = r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
const PRINCIPALS: [&str; 8] = [
    "*",
    "111111111111",
    "222222222222",
    "arn:aws:iam::111111111111:user/bob",
    "arn:aws:iam::111111111111:role/ops",
    "arn:aws:sts::111111111111:assumed-role/ops/s1",
    "AIDAAAAAAAAAAAAAAAAAB",
    "AROAAAAAAAAAAAAAAAOPS",
];

#[test]
fn the_compiled_form_decides_as_the_interpreter_does() {
    let cases = from_environment("POLICY_CASES").unwrap_or(CASES);
    let first = from_environment("POLICY_SEED").unwrap_or(1);
    let mut seen = std::collections::BTreeMap::new();
    let mut refusing = BTreeSet::new();
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
            match expected {
                Verdict::Allow => {}
                Verdict::ExplicitDeny { layer } => drop(refusing.insert((layer, "explicit"))),
                Verdict::ImplicitDeny { layer } => drop(refusing.insert((layer, "implicit"))),
            }
            *seen.entry(kind(expected)).or_insert(0_u64) += 1;
        }
    }
    for verdict in ["allow", "explicit", "implicit"] {
        let count = seen.get(verdict).copied().unwrap_or_default();
        assert!(count * 20 > cases, "too few are {verdict} to say anything: {seen:?}");
    }
    // Each layer but trust refuses in both ways.
    let layers =
        [Layer::GuardRail, Layer::Resource, Layer::Identity, Layer::Boundary, Layer::Session];
    for refusal in layers.into_iter().flat_map(|layer| [(layer, "explicit"), (layer, "implicit")]) {
        assert!(refusing.contains(&refusal), "{refusal:?} is not among {refusing:?}");
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
                limit.push(source(vec![ALL], true));
            }
            limit
        })
    };
    let (boundary, session) = (limit(), limit());
    let mut identity = sources(random);
    identity.extend(sources(random));
    let guard_rails = random.one_in(3).then(|| {
        let mut level = || {
            let mut level = sources(random);
            if !random.one_in(4) {
                level.push(source(vec![ALL], true));
            }
            level
        };
        let mut levels = vec![level(), level()];
        levels.truncate(random.below(3) as usize);
        levels
    });
    let resource = random.one_in(2).then(|| resource_layer(random));
    Layers { identity, boundary, session, guard_rails, resource }
}

/// A resource's policy that names the caller as often as others, and may be contested.
fn resource_layer(random: &mut Random) -> ResourceLayer {
    let id = |text: &str| text.parse::<UniqueId>().expect("a unique id");
    let user = TrustCaller {
        account: "111111111111".parse().expect("twelve digits"),
        arns: vec!["arn:aws:iam::111111111111:user/bob".to_owned()],
        unique_id: id("AIDAAAAAAAAAAAAAAAAAB"),
    };
    let session = TrustCaller {
        arns: vec![
            "arn:aws:iam::111111111111:role/ops".to_owned(),
            "arn:aws:sts::111111111111:assumed-role/ops/s1".to_owned(),
        ],
        unique_id: id("AROAAAAAAAAAAAAAAAOPS"),
        ..user.clone()
    };
    let mut bindings = vec![(session.arns[0].clone(), session.unique_id)];
    if random.one_in(2) {
        bindings.push((user.arns[0].clone(), user.unique_id));
    }
    if random.one_in(4) {
        bindings.push((session.arns[0].clone(), id("AROAAAAAAAAAAAAAOTHER")));
    }
    if random.one_in(2) {
        bindings.push((session.arns[1].clone(), session.unique_id));
    }
    let (caller, session) = match random.below(3) {
        0 => (user, CallerSession::None),
        1 => (user, CallerSession::Temporary),
        _ => (session, CallerSession::Temporary),
    };
    let owner = random.pick(&["111111111111", "111111111111", "222222222222"]);
    ResourceLayer {
        sources: (0..random.below(3)).map(|_| resource_source(random)).collect(),
        bindings,
        caller,
        session,
        owner: owner.parse().expect("twelve digits"),
    }
}

fn resource_source(random: &mut Random) -> Source {
    let kind = if random.one_in(10) { DocumentKind::Identity } else { DocumentKind::Resource };
    let count = if random.one_in(4) { 2 } else { 1 };
    let statement = |random: &mut Random| {
        let text = statement(random);
        if kind == DocumentKind::Identity {
            return text;
        }
        let not = if text.contains(r#""Deny""#) && random.one_in(2) { "Not" } else { "" };
        let principals: Vec<&str> =
            (0..=random.below(3)).map(|_| random.pick(&PRINCIPALS)).collect();
        let principals = principals.join("\",\"");
        text.replacen('{', &format!(r#"{{"{not}Principal":{{"AWS":["{principals}"]}},"#), 1)
    };
    let document = |random: &mut Random| {
        let statements: Vec<String> = (0..=random.below(4)).map(|_| statement(random)).collect();
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        Arc::new(Document::parse(&text, kind).expect("only whole documents are generated"))
    };
    let alternatives = (0..count).map(|_| document(random)).collect();
    Source { label: SourceLabel::Resource, certain: !random.one_in(6), alternatives }
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
