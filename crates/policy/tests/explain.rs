//! Explanations: that they tell what was decided, and that a nearest miss is one.

use std::sync::Arc;

use expect_test::{Expect, expect};
use policy::{
    CallerSession, Change, Context, ContextValue, Document, DocumentKind, Explanation, Layers,
    NEAR_CHANGES_MAX, NEAR_MISSES_MAX, NearMiss, Request, ResourceLayer, Source, SourceLabel, Step,
    TrustCaller, Verdict, evaluate, explain,
};

const ALL: &str = r#"{"Sid":"All","Effect":"Allow","Action":"*","Resource":"*"}"#;
const MFA: &str = r#"{"Sid":"Mfa","Effect":"Allow","Action":"s3:*","Resource":"*",
  "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}"#;
const NO_MFA: &str = r#"{"Sid":"NoMfa","Effect":"Deny","NotAction":"iam:*","Resource":"*",
  "Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}"#;

/// The explanation of `s3:GetObject` on `arn:aws:s3:::b/k`.
fn check(layers: &Layers, context: &Context, expect: Expect) {
    let request = Request { action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context };
    expect.assert_eq(&show(&explain(layers, &request)));
}

fn show(explanation: &Explanation) -> String {
    let Explanation { decision, positions, chain, near_misses, .. } = explanation;
    let mut text = format!("{:?}\n", decision.verdict);
    for Step { layer, outcome, policies } in chain {
        text += &format!("  {layer:?} ({policies}): {outcome:?}\n");
    }
    for (statement, position) in decision.statements.iter().zip(positions) {
        let (start, end) = position.expect("each stands somewhere");
        let sid = statement.sid.as_deref().unwrap_or("-");
        let (from, upto) = ((start.line, start.column), (end.line, end.column));
        text += &format!("  {:?} {sid} {from:?} to {upto:?}\n", statement.effect);
    }
    for NearMiss { statements, positions: _, changes } in near_misses {
        let sids: Vec<&str> = statements.iter().filter_map(|s| s.sid.as_deref()).collect();
        text += &format!("  would be allowed ({}) if", sids.join(", "));
        for Change { key, found, wanted } in changes {
            let found = match found {
                None => "absent".to_owned(),
                Some(ContextValue::Unknown) => "contested".to_owned(),
                Some(ContextValue::Known(values)) => values.join(","),
            };
            let wanted = wanted.as_deref().unwrap_or("absent");
            text += &format!(" {key} were {wanted} (is {found})");
        }
        text += "\n";
    }
    for policy in &explanation.contested_policies {
        text += &format!("  contested: {policy:?}\n");
    }
    if !explanation.contested_keys.is_empty() {
        text += &format!("  contested: {}\n", explanation.contested_keys.join(", "));
    }
    text
}

fn source(name: &str, statements: &[&str]) -> Source {
    let text =
        format!("{{\"Version\":\"2012-10-17\",\n\"Statement\":[{}]}}", statements.join(",\n"));
    let document =
        Document::parse(&text, DocumentKind::Identity).expect("the test's policy parses");
    let label = SourceLabel::Input { name: name.to_owned() };
    Source { label, certain: true, alternatives: vec![Arc::new(document)] }
}

fn identity(statements: &[&str]) -> Layers {
    Layers { identity: vec![source("p", statements)], ..Layers::default() }
}

#[test]
fn an_allow_names_its_statements_and_its_chain() {
    let layers = Layers { boundary: Some(vec![source("b", &[ALL])]), ..identity(&[MFA, ALL]) };
    check(
        &layers,
        &Context::new(),
        expect![[r#"
            Allow
              Identity (1): Allows
              Boundary (1): Allows
              Allow All (4, 1) to (4, 58)
              Allow All (2, 14) to (2, 71)
        "#]],
    );
}

#[test]
fn a_condition_that_fails_is_a_near_miss() {
    let mut context = Context::new();
    check(
        &identity(&[MFA]),
        &context,
        expect![[r#"
        ImplicitDeny { layer: Identity }
          Identity (1): AllowsNothing
          would be allowed (Mfa) if aws:MultiFactorAuthPresent were true (is absent)
    "#]],
    );
    context.insert("aws:MultiFactorAuthPresent", "false");
    check(
        &identity(&[NO_MFA, ALL]),
        &context,
        expect![[r#"
        ExplicitDeny { layer: Identity }
          Identity (1): Denies
          Deny NoMfa (2, 14) to (3, 70)
          would be allowed (NoMfa) if aws:MultiFactorAuthPresent were true (is false)
    "#]],
    );
    context.insert("aws:SourceIp", "10.0.0.1");
    let several = r#"{"Sid":"Several","Effect":"Allow","Action":"s3:Get*","Resource":"*",
      "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},
        "NumericLessThan":{"aws:MultiFactorAuthAge":"3600"},
        "StringLike":{"aws:PrincipalTag/team":"re?*"}}}"#;
    check(
        &identity(&[several, MFA]),
        &context,
        expect![[r#"
        ImplicitDeny { layer: Identity }
          Identity (1): AllowsNothing
          would be allowed (Mfa) if aws:MultiFactorAuthPresent were true (is false)
          would be allowed (Several) if aws:SourceIp were 192.0.2.0 (is 10.0.0.1) aws:MultiFactorAuthAge were 3599 (is absent) aws:PrincipalTag/team were rex (is absent)
    "#]],
    );
}

#[test]
fn what_no_value_of_a_key_would_allow_is_no_near_miss() {
    let other = r#"{"Effect":"Allow","Action":"s3:Put*","Resource":"*",
      "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}"#;
    let deny = r#"{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}"#;
    let both = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*",
      "Condition":{"StringEquals":{"t:a":"x"},"StringNotEquals":{"t:a":"x"}}}"#;
    for statements in [&[other][..], &[deny, MFA], &[both]] {
        let request = Request { action: "s3:GetObject", resource: "*", context: &Context::new() };
        assert_eq!(explain(&identity(statements), &request).near_misses, []);
    }
    // A boundary that allows nothing is not made up for.
    let layers = Layers { boundary: Some(Vec::new()), ..identity(&[MFA]) };
    check(
        &layers,
        &Context::new(),
        expect![[r#"
        ImplicitDeny { layer: Identity }
          Identity (1): AllowsNothing
          Boundary (0): NotAsked
    "#]],
    );
}

#[test]
fn what_is_contested_is_named() {
    let mut context = Context::new();
    context.insert_unknown("aws:PrincipalTag/team");
    let team = r#"{"Effect":"Allow","Action":"s3:*","Resource":"*",
      "Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}}"#;
    let other = r#"{"Effect":"Allow","Action":"ec2:*","Resource":"*"}"#;
    let mut layers = identity(&[team]);
    layers.identity.push(Source { certain: false, ..source("edge", &[ALL]) });
    layers.identity.push(Source { certain: false, ..source("unconcerned", &[other]) });
    check(
        &layers,
        &context,
        expect![[r#"
        ImplicitDeny { layer: Identity }
          Identity (3): AllowsNothing
          would be allowed () if aws:PrincipalTag/Team were red (is contested)
          contested: Input { name: "edge" }
          contested: aws:PrincipalTag/Team
    "#]],
    );
}

#[test]
fn at_most_so_many_conditions_and_misses() {
    let conditions = |count: usize| {
        let keys: Vec<String> = (0..count).map(|key| format!(r#""t:{key}":"x""#)).collect();
        format!(
            r#"{{"Effect":"Allow","Action":"*","Resource":"*","Condition":{{"StringEquals":{{{}}}}}}}"#,
            keys.join(",")
        )
    };
    let context = Context::new();
    let request = Request { action: "s3:GetObject", resource: "*", context: &context };
    let misses = |statements: &[&str]| explain(&identity(statements), &request).near_misses.len();
    assert_eq!(misses(&[&conditions(NEAR_CHANGES_MAX)]), 1);
    assert_eq!(misses(&[&conditions(NEAR_CHANGES_MAX + 1)]), 0);
    assert_eq!(misses(&[conditions(1).as_str(); NEAR_MISSES_MAX]), NEAR_MISSES_MAX);
    assert_eq!(misses(&[conditions(1).as_str(); NEAR_MISSES_MAX + 1]), NEAR_MISSES_MAX);
}

/// On generated policies: the decision is that of `evaluate`, and what an explanation says would
/// allow does.
#[test]
fn an_explanation_is_true() {
    let mut random = Random(7);
    let (mut misses, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let layers = generated_layers(&mut random);
        let context = generated_context(&mut random);
        let action = random.pick(&["s3:GetObject", "s3:PutObject", "iam:GetUser"]);
        let resource = random.pick(&["arn:aws:s3:::b/bob", "arn:aws:s3:::b/k", "*"]);
        let request = Request { action, resource, context: &context };
        let explanation = explain(&layers, &request);
        assert_eq!(explanation.decision, evaluate(&layers, &request), "{request:?} {layers:#?}");
        assert_eq!(explanation.positions.len(), explanation.decision.statements.len());
        refused += usize::from(!explanation.decision.is_allowed());
        if explanation.decision.verdict == Verdict::Allow {
            assert_eq!(explanation.near_misses, []);
        }
        for NearMiss { statements: _, positions: _, changes } in &explanation.near_misses {
            let mut changed = context.clone();
            for Change { key, found, wanted } in changes {
                assert_eq!(context.get(key), found.as_ref());
                changed.insert_many(key, wanted.clone());
            }
            let request = Request { context: &changed, ..request };
            assert!(evaluate(&layers, &request).is_allowed(), "{changes:?} {layers:#?}");
            misses += 1;
        }
    }
    assert!(misses > 300 && refused > 1_000, "{misses} misses in {refused} refusals say little");
}

#[test]
fn guard_rails_and_a_resources_policy_have_near_misses_of_their_own() {
    let allow = |principal: &str| {
        format!(
            r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:*",
                "Resource":"*","Condition":{{"Bool":{{"aws:SecureTransport":"true"}}}}}}"#
        )
    };
    let other = allow(r#"{"AWS":"222222222222"}"#);
    let own = allow(r#"{"AWS":"111111111111"}"#);
    let whole = allow(r#""*""#);
    let with = |statements: &[&str], owner: &str, layers: Layers| Layers {
        resource: Some(ResourceLayer {
            sources: vec![resource_source(statements)],
            ..resource(owner)
        }),
        ..layers
    };
    let under = |statements: &[&str]| Layers {
        guard_rails: Some(vec![vec![source("scp", statements)]]),
        ..identity(&[ALL])
    };
    let context = Context::new();
    let mut text = String::new();
    for (name, layers) in [
        ("guard rail", under(&[MFA])),
        ("across accounts", with(&[&other, &own], "222222222222", identity(&[ALL]))),
        ("nobody across accounts", with(&[&other], "222222222222", identity(&[ALL]))),
        ("in place of identity", with(&[&other, &own, &whole], "111111111111", Layers::default())),
    ] {
        let request = Request { action: "s3:GetObject", resource: "*", context: &context };
        let explanation = explain(&layers, &request);
        text += &format!("{name}: {:?}\n", explanation.decision.verdict);
        for step in &explanation.chain {
            text += &format!("  {:?} {:?} of {}\n", step.layer, step.outcome, step.policies);
        }
        for miss in &explanation.near_misses {
            let index: Vec<usize> = miss.statements.iter().map(|one| one.index).collect();
            let keys: Vec<&str> = miss.changes.iter().map(|one| one.key.as_str()).collect();
            text += &format!("  but for {keys:?} of statement {index:?}\n");
        }
    }
    expect![[r#"
        guard rail: ImplicitDeny { layer: GuardRail }
          GuardRail AllowsNothing of 1
          Identity NotAsked of 1
          but for ["aws:MultiFactorAuthPresent"] of statement [0]
        across accounts: ImplicitDeny { layer: Resource }
          Resource AllowsNothing of 1
          Identity NotAsked of 1
          but for ["aws:SecureTransport"] of statement [1]
        nobody across accounts: ImplicitDeny { layer: Resource }
          Resource AllowsNothing of 1
          Identity NotAsked of 1
        in place of identity: ImplicitDeny { layer: Identity }
          Resource AllowsNothing of 1
          Identity AllowsNothing of 0
          but for ["aws:SecureTransport"] of statement [1]
          but for ["aws:SecureTransport"] of statement [2]
    "#]]
    .assert_eq(&text);
}

const CONDITIONS: [&str; 12] = [
    r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
    r#"{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}"#,
    r#"{"StringEquals":{"aws:username":["bob","eve"]}}"#,
    r#"{"StringNotEquals":{"aws:username":"bob"}}"#,
    r#"{"StringLike":{"t:tag":"r?d*"},"Null":{"t:none":"true"}}"#,
    r#"{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
    r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
    r#"{"NumericGreaterThan":{"t:number":"10"}}"#,
    r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
    r#"{"ForAllValues:StringEquals":{"t:many":["a","b"]}}"#,
    r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/${aws:username}"}}"#,
    r#"{"BinaryEquals":{"t:bytes":"/+8="}}"#,
];

fn generated_layers(random: &mut Random) -> Layers {
    let identity = generated_sources(random, 3);
    let boundary = random.one_in(4).then(|| generated_sources(random, 1));
    let guard_rails = random.one_in(4).then(|| vec![generated_sources(random, 2)]);
    let resource = random.one_in(3).then(|| generated_resource(random));
    Layers { identity, boundary, session: None, guard_rails, resource }
}

fn generated_sources(random: &mut Random, max: u64) -> Vec<Source> {
    let one = |random: &mut Random, name: u64| {
        let statements: Vec<String> = (0..=random.below(3)).map(|_| generated(random)).collect();
        let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
        Source { certain: !random.one_in(8), ..source(&format!("p{name}"), &texts) }
    };
    (0..1 + random.below(max)).map(|name| one(random, name)).collect()
}

fn generated_resource(random: &mut Random) -> ResourceLayer {
    let principals = [r#""*""#, r#"{"AWS":"111111111111"}"#, r#"{"AWS":"222222222222"}"#];
    let statement = |random: &mut Random| {
        let principal = format!(r#"{{"Principal":{},"#, random.pick(&principals));
        generated(random).replacen('{', &principal, 1)
    };
    let statements: Vec<String> = (0..=random.below(3)).map(|_| statement(random)).collect();
    let texts: Vec<&str> = statements.iter().map(String::as_str).collect();
    let owner = random.pick(&["111111111111", "222222222222"]);
    ResourceLayer { sources: vec![resource_source(&texts)], ..resource(owner) }
}

/// A resource of an account without a policy, for a user of the account 111111111111.
fn resource(owner: &str) -> ResourceLayer {
    let account = |text: &str| text.parse().expect("twelve digits");
    let caller = TrustCaller {
        account: account("111111111111"),
        arns: vec!["arn:aws:iam::111111111111:user/bob".to_owned()],
        unique_id: "AIDAAAAAAAAAAAAAAAAAB".parse().expect("a unique id"),
    };
    let (sources, bindings, session) = (Vec::new(), Vec::new(), CallerSession::None);
    ResourceLayer { sources, bindings, caller, session, owner: account(owner) }
}

fn resource_source(statements: &[&str]) -> Source {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let document = Document::parse(&text, DocumentKind::Resource).expect("the policy parses");
    let alternatives = vec![Arc::new(document)];
    Source { label: SourceLabel::Resource, certain: true, alternatives }
}

fn generated(random: &mut Random) -> String {
    let effect = if random.below(4) == 0 { "Deny" } else { "Allow" };
    let action = random.pick(&["*", "s3:*", "s3:Get*", "iam:*"]);
    let resource = random.pick(&["*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}"]);
    let condition = match random.below(4) {
        0 => String::new(),
        _ => format!(r#","Condition":{}"#, random.pick(&CONDITIONS)),
    };
    format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"{condition}}}"#)
}

fn generated_context(random: &mut Random) -> Context {
    let mut context = Context::new();
    for (key, value) in [
        ("aws:MultiFactorAuthPresent", "false"),
        ("aws:username", "bob"),
        ("aws:SourceIp", "10.0.0.7"),
        ("t:number", "3"),
        ("t:tag", "blue"),
        ("t:none", "x"),
        ("aws:CurrentTime", "2026-06-01T00:00:00Z"),
        ("aws:PrincipalArn", "arn:aws:iam::1:user/bob"),
    ] {
        match random.below(6) {
            0 => {}
            1 => context.insert_unknown(key),
            _ => context.insert(key, value),
        }
    }
    context.insert_many("t:many", ["b", "z"]);
    context
}

/// A small generator of numbers: xorshift.
struct Random(u64);

impl Random {
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

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
