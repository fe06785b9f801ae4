//! One logical workload decided by Writ's policy engine and by others, in one process and one run.
//!
//! `cargo run --release --manifest-path crates/bench-engines/Cargo.toml`
//!
//! Principals share policies of service wildcards, single actions and resource patterns, half of
//! whose statements have a condition in the rows that have any. Each engine holds one principal's
//! policies in the form it decides fastest from; a request comes in as text, and what an engine
//! makes of that before it decides is part of its time. casbin has no conditions and takes part
//! only where there are none.
//!
//! **Invariants.** Each engine decides each request as Writ's interpreter does, else the run ends;
//! only iam-rs, which reads policies of AWS by rules of its own, is told with the number of its
//! differences. Each request is decided once before it is timed, so that none waits for memory.
//!
//! **Must not know:** how any engine decides.
#![expect(clippy::print_stdout, reason = "what is measured is printed")]

#[path = "../../bench/src/workload.rs"]
mod workload;

use std::{
    cell::RefCell, collections::BTreeMap, error::Error, hint::black_box, str::FromStr as _,
    sync::Arc, time::Instant,
};

use casbin::{CoreApi as _, MgmtApi as _, function_map::OperatorFunction};
use workload::{Asked, CONTEXT, Statement, When, Workload};

type Failure = Box<dyn Error>;

/// Requests that are made; engines that take long decide the first of them.
const REQUESTS: usize = 4_096;
/// Principals that take part; each engine holds all their policies.
const PRINCIPALS: usize = 8;
/// How long one engine is measured for one row, in nanoseconds, at most.
const ROW_NS: u128 = 3_000_000_000;
/// The fewest requests that an engine decides.
const REQUESTS_MIN: usize = 64;

/// An engine with the policies of all principals.
trait Engine {
    fn name(&self) -> &'static str;
    /// Whether the request is allowed; nothing if the engine gives no decision.
    fn allows(&self, asked: &Asked) -> Option<bool>;
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    println!(
        "{:<34}{:>6}{:>12}{:>12}{:>12}{:>10}{:>10}",
        "engine", "stmts", "conditions", "p50 ns", "p99 ns", "times", "requests"
    );
    for statements in [10, 100, 1_000] {
        for conditions in [false, true] {
            let workload = Workload::new(statements, conditions, REQUESTS);
            let mut engines: Vec<Box<dyn Engine>> = vec![
                Box::new(writ::Writ::new(&workload)?),
                Box::new(cedar::Cedar::new(&workload)?),
                Box::new(rego::Rego::new(&workload)?),
                Box::new(rego::Machine::new(&workload)?),
                Box::new(iam::Iam::new(&workload)?),
            ];
            if !conditions {
                engines.push(Box::new(rbac::Casbin::new(&workload, &runtime)?));
            }
            measure(statements, conditions, &workload, &engines)?;
        }
    }
    Ok(())
}

fn measure(
    statements: u64,
    conditions: bool,
    workload: &Workload,
    engines: &[Box<dyn Engine>],
) -> Result<(), Failure> {
    let asked: Vec<&Asked> =
        workload.asked.iter().filter(|asked| asked.principal < PRINCIPALS).collect();
    let oracle = writ::Oracle::new(workload)?;
    let expected: Vec<bool> = asked.iter().map(|asked| oracle.allows(asked)).collect();
    let mut base = None;
    for engine in engines {
        let (mut times, mut different) = (Vec::new(), 0);
        let start = Instant::now();
        for (number, (asked, expected)) in asked.iter().zip(&expected).enumerate() {
            if number >= REQUESTS_MIN && start.elapsed().as_nanos() > ROW_NS {
                break;
            }
            // Once for the answer and a warm cache, once for the time.
            let found = engine.allows(asked);
            if found != Some(*expected) {
                different += 1;
            }
            let begun = Instant::now();
            black_box(engine.allows(black_box(asked)));
            times.push(begun.elapsed().as_nanos());
        }
        if different > 0 && engine.name() != "iam-rs" {
            return Err(format!("{} differs on {different} requests", engine.name()).into());
        }
        let requests = times.len();
        times.sort_unstable();
        let of = |percent: usize| times.get(requests * percent / 100).copied().unwrap_or_default();
        let base = *base.get_or_insert(of(50));
        let note = if different > 0 { format!("  {different} differ") } else { String::new() };
        println!(
            "{:<34}{statements:>6}{conditions:>12}{:>12}{:>12}{:>10.1}{requests:>10}{note}",
            engine.name(),
            of(50),
            of(99),
            of(50) as f64 / base.max(1) as f64,
        );
    }
    Ok(())
}

/// The statements of a principal.
fn own<'a>(workload: &'a Workload, principal: usize) -> impl Iterator<Item = &'a Statement> {
    let policies = workload.principals.get(principal).into_iter().flatten();
    policies.flat_map(|place| workload.policies.get(*place).into_iter().flatten())
}

mod writ {
    use super::*;
    use policy::{
        Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, Verdict,
        evaluate,
    };

    pub(crate) fn layers(workload: &Workload, principal: usize) -> Result<Layers, Failure> {
        let mut identity = Vec::new();
        for place in workload.principals.get(principal).into_iter().flatten() {
            let statements = workload.policies.get(*place).map_or(&[][..], Vec::as_slice);
            let text = workload::document(statements);
            let document = Arc::new(Document::parse(&text, DocumentKind::Identity)?);
            let label = SourceLabel::Managed { arn: format!("arn:aws:iam::aws:policy/p{place}") };
            identity.push(Source { label, certain: true, alternatives: vec![document] });
        }
        Ok(Layers { identity, ..Layers::default() })
    }

    fn context() -> Context {
        let mut context = Context::new();
        CONTEXT.iter().for_each(|(key, value)| context.insert(key, *value));
        context
    }

    fn request<'a>(asked: &'a Asked, context: &'a Context) -> Request<'a> {
        Request { action: &asked.action, resource: &asked.resource, context }
    }

    pub(crate) struct Oracle(Vec<Layers>, Context);

    impl Oracle {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let each = (0..PRINCIPALS).map(|principal| layers(workload, principal));
            Ok(Self(each.collect::<Result<_, _>>()?, context()))
        }

        pub(crate) fn allows(&self, asked: &Asked) -> bool {
            let request = request(asked, &self.1);
            self.0.get(asked.principal).is_some_and(|own| evaluate(own, &request).is_allowed())
        }
    }

    pub(crate) struct Writ(Vec<Compiled>, Context);

    impl Writ {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let each =
                (0..PRINCIPALS).map(|principal| Ok(Compiled::new(&layers(workload, principal)?)));
            Ok(Self(each.collect::<Result<_, Failure>>()?, context()))
        }
    }

    impl Engine for Writ {
        fn name(&self) -> &'static str {
            "writ"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let own = self.0.get(asked.principal)?;
            Some(own.decide(&request(asked, &self.1)) == Verdict::Allow)
        }
    }
}

mod cedar {
    use super::*;
    use cedar_policy::{
        Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request,
        RestrictedExpression,
    };

    pub(crate) struct Cedar {
        sets: Vec<PolicySet>,
        authorizer: Authorizer,
        entities: Entities,
        names: [EntityUid; 3],
    }

    impl Cedar {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let set = |principal| {
                let text: String = own(workload, principal).map(rule).collect();
                Ok(PolicySet::from_str(&text)?)
            };
            Ok(Self {
                sets: (0..PRINCIPALS).map(set).collect::<Result<_, Failure>>()?,
                authorizer: Authorizer::new(),
                entities: Entities::empty(),
                names: [
                    EntityUid::from_str(r#"User::"bob""#)?,
                    EntityUid::from_str(r#"Action::"do""#)?,
                    EntityUid::from_str(r#"Thing::"it""#)?,
                ],
            })
        }
    }

    fn rule(statement: &Statement) -> String {
        let Statement { deny, actions: [one, other], resource, when, .. } = statement;
        let effect = if *deny { "forbid" } else { "permit" };
        let when = match when {
            When::Always => "",
            When::SourceIp => {
                r#" && (context.ip.isInRange(ip("192.0.2.0/24")) ||
                    context.ip.isInRange(ip("10.0.0.0/8")))"#
            }
            When::Mfa => " && context.mfa",
            When::TeamIs => r#" && (context.team == "red" || context.team == "blue")"#,
            When::TeamLike => r#" && context.team like "r*""#,
            When::MfaAge => " && context.age < 3600",
        };
        format!(
            r#"{effect}(principal, action, resource) when {{
                (context.action like "{one}" || context.action like "{other}") &&
                context.resource like "{resource}"{when} }};"#
        )
    }

    impl Engine for Cedar {
        fn name(&self) -> &'static str {
            "cedar-policy"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
            let context = Context::from_pairs([
                ("action".to_owned(), text(&asked.action)),
                ("resource".to_owned(), text(&asked.resource)),
                ("ip".to_owned(), RestrictedExpression::new_ip("192.0.2.7")),
                ("mfa".to_owned(), RestrictedExpression::new_bool(true)),
                ("team".to_owned(), text("red")),
                ("age".to_owned(), RestrictedExpression::new_long(1200)),
            ]);
            let [principal, action, resource] = self.names.clone();
            let request = Request::new(principal, action, resource, context.ok()?, None).ok()?;
            let set = self.sets.get(asked.principal)?;
            let answer = self.authorizer.is_authorized(&request, set, &self.entities);
            Some(answer.decision() == Decision::Allow)
        }
    }
}

mod rego {
    use super::*;
    use regorus::{
        CompiledPolicy, Engine as Regorus, Rc, Value, languages::rego::compiler::Compiler,
        rvm::vm::RegoVM,
    };

    const RULE: &str = "data.authz.allow";

    fn compiled(workload: &Workload, principal: usize) -> Result<CompiledPolicy, Failure> {
        let mut text = "package authz\nimport rego.v1\ndefault allow := false\n\
            default granted := false\ndefault denied := false\n\
            allow if { granted; not denied }\n"
            .to_owned();
        own(workload, principal).for_each(|statement| rule(&mut text, statement));
        let mut engine = Regorus::new();
        engine.add_policy("authz.rego".to_owned(), text)?;
        Ok(engine.compile_with_entrypoint(&Rc::from(RULE))?)
    }

    /// The cheapest test of a pattern.
    fn like(field: &str, pattern: &str) -> String {
        match pattern.strip_suffix('*') {
            Some(start) if !start.contains('*') => {
                format!(r#"startswith(input.{field}, "{start}")"#)
            }
            None if !pattern.contains('*') => format!(r#"input.{field} == "{pattern}""#),
            _ => format!(r#"glob.match("{pattern}", null, input.{field})"#),
        }
    }

    fn rule(text: &mut String, statement: &Statement) {
        let Statement { deny, actions, resource, when, .. } = statement;
        let name = if *deny { "denied" } else { "granted" };
        let whens: &[&str] = match when {
            When::Always => &[""],
            When::SourceIp => &[
                r#"; net.cidr_contains("192.0.2.0/24", input.ip)"#,
                r#"; net.cidr_contains("10.0.0.0/8", input.ip)"#,
            ],
            When::Mfa => &["; input.mfa"],
            When::TeamIs => &[r#"; input.team in {"red", "blue"}"#],
            When::TeamLike => &[r#"; startswith(input.team, "r")"#],
            When::MfaAge => &["; input.age < 3600"],
        };
        for action in actions {
            for when in whens {
                let (action, resource) = (like("action", action), like("resource", resource));
                *text += &format!("{name} if {{ {action}; {resource}{when} }}\n");
            }
        }
    }

    fn input(asked: &Asked) -> Value {
        let pairs = [
            ("action", Value::from(asked.action.as_str())),
            ("resource", Value::from(asked.resource.as_str())),
            ("ip", Value::from("192.0.2.7")),
            ("mfa", Value::from(true)),
            ("team", Value::from("red")),
            ("age", Value::from(1200_u64)),
        ];
        let pairs = pairs.into_iter().map(|(key, value)| (Value::from(key), value));
        Value::from(pairs.collect::<BTreeMap<_, _>>())
    }

    pub(crate) struct Rego(Vec<CompiledPolicy>);

    impl Rego {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let each = (0..PRINCIPALS).map(|principal| compiled(workload, principal));
            Ok(Self(each.collect::<Result<_, _>>()?))
        }
    }

    impl Engine for Rego {
        fn name(&self) -> &'static str {
            "regorus"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let value = self.0.get(asked.principal)?.eval_with_input(input(asked)).ok()?;
            value.as_bool().ok().copied()
        }
    }

    pub(crate) struct Machine(Vec<RefCell<RegoVM>>);

    impl Machine {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let machine = |principal| {
                let policy = compiled(workload, principal)?;
                let program = Compiler::compile_from_policy(&policy, &[RULE])?;
                let mut machine = RegoVM::new_with_policy(policy);
                machine.load_program(program);
                machine.set_data(Value::new_object())?;
                Ok(RefCell::new(machine))
            };
            Ok(Self((0..PRINCIPALS).map(machine).collect::<Result<_, Failure>>()?))
        }
    }

    impl Engine for Machine {
        fn name(&self) -> &'static str {
            "regorus, its virtual machine"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let mut machine = self.0.get(asked.principal)?.borrow_mut();
            machine.set_input(input(asked));
            let value = machine.execute_entry_point_by_name(RULE).ok()?;
            value.as_bool().ok().copied()
        }
    }
}

mod iam {
    use super::*;
    use iam_rs::{
        Arn, Context, ContextValue, Decision, EvaluationOptions, IAMPolicy, IAMRequest,
        PolicyEvaluator, Principal, PrincipalId,
    };

    pub(crate) struct Iam(Vec<PolicyEvaluator>, Context);

    impl Iam {
        pub(crate) fn new(workload: &Workload) -> Result<Self, Failure> {
            let evaluator = |principal: usize| {
                let mut policies = Vec::new();
                for place in workload.principals.get(principal).into_iter().flatten() {
                    let statements = workload.policies.get(*place).map_or(&[][..], Vec::as_slice);
                    let text = workload::document(statements);
                    policies.push(serde_json::from_str::<IAMPolicy>(&text)?);
                }
                let options = EvaluationOptions {
                    max_statements: usize::MAX,
                    ..EvaluationOptions::default()
                };
                Ok(PolicyEvaluator::with_policies(policies).with_options(options))
            };
            let mut context = Context::new();
            for (key, value) in CONTEXT {
                let value = match value {
                    "true" => ContextValue::Boolean(true),
                    "1200" => ContextValue::Number(1200.0),
                    text => ContextValue::String(text.to_owned()),
                };
                context.insert(key.to_owned(), value);
            }
            Ok(Self((0..PRINCIPALS).map(evaluator).collect::<Result<_, Failure>>()?, context))
        }
    }

    impl Engine for Iam {
        fn name(&self) -> &'static str {
            "iam-rs"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let arn = "arn:aws:iam::123456789012:user/bob".to_owned();
            let principal = Principal::Aws(PrincipalId::String(arn));
            let resource = Arn::parse(&asked.resource).ok()?;
            let context = self.1.clone();
            let request =
                IAMRequest::new_with_context(principal, asked.action.clone(), resource, context);
            let result = self.0.get(asked.principal)?.evaluate(&request).ok()?;
            Some(result.decision == Decision::Allow)
        }
    }
}

mod rbac {
    use super::*;
    use casbin::{DefaultModel, Enforcer, MemoryAdapter};

    const MODEL: &str = "[request_definition]\nr = obj, act\n\
        [policy_definition]\np = obj, act, eft\n\
        [policy_effect]\ne = some(where (p.eft == allow)) && !some(where (p.eft == deny))\n\
        [matchers]\nm = like(r.act, p.act) && like(r.obj, p.obj)\n";

    pub(crate) struct Casbin(Vec<Enforcer>);

    impl Casbin {
        pub(crate) fn new(
            workload: &Workload,
            runtime: &tokio::runtime::Runtime,
        ) -> Result<Self, Failure> {
            let enforcer = |principal| {
                let mut rules: Vec<Vec<String>> =
                    own(workload, principal).flat_map(rules).collect();
                // A rule that is there twice is refused.
                rules.sort();
                rules.dedup();
                runtime.block_on(async {
                    let model = DefaultModel::from_str(MODEL).await?;
                    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
                    enforcer.add_function(
                        "like",
                        OperatorFunction::Arg2(|text, pattern| {
                            like(&text.to_string(), &pattern.to_string()).into()
                        }),
                    );
                    enforcer.add_policies(rules).await?;
                    Ok(enforcer)
                })
            };
            Ok(Self((0..PRINCIPALS).map(enforcer).collect::<Result<_, Failure>>()?))
        }
    }

    fn rules(statement: &Statement) -> Vec<Vec<String>> {
        let Statement { deny, actions, resource, .. } = statement;
        let effect = if *deny { "deny" } else { "allow" };
        let rule = |action: &String| vec![resource.clone(), action.clone(), effect.to_owned()];
        actions.iter().map(rule).collect()
    }

    /// Whether a text has the literals between a pattern's stars in order.
    fn like(text: &str, pattern: &str) -> bool {
        let mut literals = pattern.split('*');
        let first = literals.next().unwrap_or_default();
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let Some(last) = literals.next_back() else { return text.is_empty() };
        for literal in literals {
            let Some((_, after)) = text.split_once(literal) else { return false };
            text = after;
        }
        text.ends_with(last)
    }

    impl Engine for Casbin {
        fn name(&self) -> &'static str {
            "casbin"
        }

        fn allows(&self, asked: &Asked) -> Option<bool> {
            let own = self.0.get(asked.principal)?;
            own.enforce((asked.resource.as_str(), asked.action.as_str())).ok()
        }
    }
}
