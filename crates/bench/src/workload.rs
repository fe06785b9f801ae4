//! Who may do what and what is asked, without the words of any engine: principals with policies of
//! service wildcards, single actions and resource patterns, chosen from policies that they share;
//! half of the statements have a condition in the workloads that have any.
//!
//! **Invariants.** The same numbers give the same workload. Each request is about something that a
//! statement of its principal speaks of, or nearly.
//!
//! **Must not know:** how anything decides.

/// Principals of a workload; their sets do not fit the first cache together.
pub(crate) const PRINCIPALS: u64 = 64;
/// Statements of one policy.
pub(crate) const POLICY_STATEMENTS: u64 = 5;

const SERVICES: [&str; 10] =
    ["s3", "ec2", "sts", "sqs", "sns", "kms", "logs", "dynamodb", "lambda", "ecr"];
const VERBS: [&str; 8] = ["Get", "List", "Describe", "Put", "Create", "Delete", "Update", "Tag"];
const NOUNS: [&str; 8] =
    ["Object", "Item", "Function", "Queue", "Topic", "Image", "Stream", "Policy"];
const CONDITIONS: [When; 5] =
    [When::SourceIp, When::Mfa, When::TeamIs, When::TeamLike, When::MfaAge];

/// The request's keys, which are the same for all.
pub(crate) const CONTEXT: [(&str, &str); 8] = [
    ("aws:SourceIp", "192.0.2.7"),
    ("aws:MultiFactorAuthPresent", "true"),
    ("aws:MultiFactorAuthAge", "1200"),
    ("aws:PrincipalTag/team", "red"),
    ("aws:username", "bob"),
    ("aws:PrincipalArn", "arn:aws:iam::123456789012:user/bob"),
    ("aws:CurrentTime", "2026-01-01T00:00:00Z"),
    ("aws:SecureTransport", "true"),
];

/// What must hold beside action and resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    /// The source address is in 192.0.2.0/24 or 10.0.0.0/8.
    SourceIp,
    /// There was a second factor.
    Mfa,
    /// The team is `red` or `blue`.
    TeamIs,
    /// The team begins with `r`.
    TeamLike,
    /// The second factor is younger than an hour.
    MfaAge,
}

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) deny: bool,
    /// Patterns with `*`.
    pub(crate) actions: [String; 2],
    /// A pattern with `*`.
    pub(crate) resource: String,
    pub(crate) when: When,
    /// An action and a resource that it speaks of.
    about: (String, String),
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The principal's place.
    pub(crate) principal: usize,
    pub(crate) action: String,
    pub(crate) resource: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) policies: Vec<Vec<Statement>>,
    /// The policies of each, by place.
    pub(crate) principals: Vec<Vec<usize>>,
    pub(crate) asked: Vec<Asked>,
}

impl Workload {
    pub(crate) fn new(statements: u64, conditions: bool, requests: usize) -> Self {
        let mut random = Random(statements * 2 + u64::from(conditions) + 1);
        let each = statements / POLICY_STATEMENTS;
        let count = (each * 2).max(60);
        let policies: Vec<Vec<Statement>> = (0..count)
            .map(|_| (0..POLICY_STATEMENTS).map(|_| statement(&mut random, conditions)).collect())
            .collect();
        let principal = |random: &mut Random| {
            let mut all: Vec<usize> = (0..policies.len()).collect();
            let choose = |_| all.swap_remove(random.below(all.len() as u64) as usize);
            (0..each).map(choose).collect()
        };
        let principals: Vec<Vec<usize>> = (0..PRINCIPALS).map(|_| principal(&mut random)).collect();
        let asked =
            (0..requests).map(|_| Asked::new(&mut random, &policies, &principals)).collect();
        Self { policies, principals, asked }
    }
}

fn statement(random: &mut Random, conditions: bool) -> Statement {
    let deny = random.below(20) == 0;
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
    let when =
        if conditions && random.below(2) == 0 { random.pick(&CONDITIONS) } else { When::Always };
    let about = (format!("{service}:{verb}{noun}"), format!("{base}/part-{name}"));
    Statement { deny, actions: [action, format!("{service}:Head{noun}")], resource, when, about }
}

impl Asked {
    fn new(random: &mut Random, policies: &[Vec<Statement>], principals: &[Vec<usize>]) -> Self {
        let principal = random.below(PRINCIPALS) as usize;
        let own = &principals[principal];
        let policy = &policies[own[random.below(own.len() as u64) as usize]];
        let (action, resource) = &policy[random.below(policy.len() as u64) as usize].about;
        let resource = match random.below(3) {
            0 => format!("{resource}-{}", random.below(1_000)),
            1 => resource.clone(),
            _ => resource.replace("thing-", "other-"),
        };
        Self { principal, action: action.clone(), resource }
    }
}

/// The `Condition` element of a policy; nothing for no condition.
pub(crate) fn condition(when: When) -> Option<&'static str> {
    match when {
        When::Always => None,
        When::SourceIp => Some(r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}"#),
        When::Mfa => Some(r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#),
        When::TeamIs => Some(r#"{"StringEquals":{"aws:PrincipalTag/team":["red","blue"]}}"#),
        When::TeamLike => Some(r#"{"StringLike":{"aws:PrincipalTag/team":"r*"}}"#),
        When::MfaAge => Some(r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":"3600"}}"#),
    }
}

/// A policy as an AWS document.
pub(crate) fn document(statements: &[Statement]) -> String {
    let text = |statement: &Statement| {
        let Statement { deny, actions: [one, other], resource, when, about: _ } = statement;
        let effect = if *deny { "Deny" } else { "Allow" };
        let condition = condition(*when)
            .map(|condition| format!(r#","Condition":{condition}"#))
            .unwrap_or_default();
        format!(
            r#"{{"Effect":"{effect}","Action":["{one}","{other}"],
                "Resource":"{resource}"{condition}}}"#
        )
    };
    let texts: Vec<String> = statements.iter().map(text).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, texts.join(","))
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

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
