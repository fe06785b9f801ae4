//! Decisions: operators, layers, contests, trust.

use std::sync::Arc;

use expect_test::{Expect, expect};
use model::{UniqueId, UniqueIdKind};
use policy::{
    CallerSession, Compiled, Context, ContextValue, Decision, Document, DocumentKind, Layer,
    Layers, MatchedStatement, Request, ResourceLayer, Source, SourceLabel, TrustCaller, TrustGrant,
    Verdict, evaluate, evaluate_federated, evaluate_trust, managed,
};

const ANY: &str = r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#;
const DENY_DELETE: &str =
    r#"{"Sid":"NoDelete","Effect":"Deny","Action":"*:Delete*","Resource":"*"}"#;
const READ: &str =
    r#"{"Sid":"Read","Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}"#;
const WRITE: &str = r#"{"Sid":"Write","Effect":"Allow","Action":"s3:Put*","Resource":"*"}"#;

/// What each condition makes of an `Allow` and of a `Deny` that has it, both ways round in a line.
fn check_conditions(conditions: &[&str], expect: Expect) {
    let context = context();
    let line = |condition: &&str| {
        let allow = statement("Allow", condition);
        let deny = statement("Deny", condition);
        let ask = |statements: &[&str]| {
            let layers = identity(vec![source(&document(statements))]);
            evaluate(&layers, &request("s3:GetObject", "arn:aws:s3:::b/k", &context)).is_allowed()
        };
        let truth = match (ask(&[&allow]), !ask(&[ANY, &deny])) {
            (true, true) => "true",
            (false, false) => "false",
            (false, true) => "unknown",
            (true, false) => "BROKEN",
        };
        format!("{truth:8}{condition}\n")
    };
    expect.assert_eq(&conditions.iter().map(line).collect::<String>());
}

#[test]
fn string_operators() {
    check_conditions(
        &[
            r#"{"StringEquals":{"aws:UserName":"Bob"}}"#,
            r#"{"StringEquals":{"AWS:username":["eve","Bob"]}}"#,
            r#"{"StringEquals":{"aws:username":"bob"}}"#,
            r#"{"StringEquals":{"aws:username":"B*"}}"#,
            r#"{"StringEquals":{"aws:username":[]}}"#,
            r#"{"StringEquals":{"t:none":"Bob"}}"#,
            r#"{"StringNotEquals":{"aws:username":"eve"}}"#,
            r#"{"StringNotEquals":{"aws:username":["eve","Bob"]}}"#,
            r#"{"StringNotEquals":{"t:none":"Bob"}}"#,
            r#"{"StringEqualsIgnoreCase":{"aws:username":"bOB"}}"#,
            r#"{"StringNotEqualsIgnoreCase":{"aws:username":"bOB"}}"#,
            r#"{"StringNotEqualsIgnoreCase":{"aws:username":"eve"}}"#,
            r#"{"StringLike":{"aws:username":"B?b"}}"#,
            r#"{"StringLike":{"aws:username":"b*"}}"#,
            r#"{"StringNotLike":{"aws:username":"B*"}}"#,
            r#"{"StringNotLike":{"aws:username":"E*"}}"#,
        ],
        expect![[r#"
            true    {"StringEquals":{"aws:UserName":"Bob"}}
            true    {"StringEquals":{"AWS:username":["eve","Bob"]}}
            false   {"StringEquals":{"aws:username":"bob"}}
            false   {"StringEquals":{"aws:username":"B*"}}
            false   {"StringEquals":{"aws:username":[]}}
            false   {"StringEquals":{"t:none":"Bob"}}
            true    {"StringNotEquals":{"aws:username":"eve"}}
            false   {"StringNotEquals":{"aws:username":["eve","Bob"]}}
            true    {"StringNotEquals":{"t:none":"Bob"}}
            true    {"StringEqualsIgnoreCase":{"aws:username":"bOB"}}
            false   {"StringNotEqualsIgnoreCase":{"aws:username":"bOB"}}
            true    {"StringNotEqualsIgnoreCase":{"aws:username":"eve"}}
            true    {"StringLike":{"aws:username":"B?b"}}
            false   {"StringLike":{"aws:username":"b*"}}
            false   {"StringNotLike":{"aws:username":"B*"}}
            true    {"StringNotLike":{"aws:username":"E*"}}
        "#]],
    );
}

#[test]
fn other_operators() {
    check_conditions(
        &[
            r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/*"}}"#,
            r#"{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}"#,
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}"#,
            r#"{"BinaryEquals":{"t:bytes":"/+8="}}"#,
            r#"{"BinaryEquals":{"t:bytes":["AA==","/+8="]}}"#,
            r#"{"BinaryEquals":{"t:bytes":"/+4="}}"#,
            r#"{"BinaryEquals":{"t:none":"/+8="}}"#,
            r#"{"BinaryEqualsIfExists":{"t:none":"/+8="}}"#,
            r#"{"BinaryEquals":{"aws:SourceIp":"/+8="}}"#,
            r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
            r#"{"Bool":{"aws:MultiFactorAuthPresent":false}}"#,
            r#"{"Bool":{"t:none":"false"}}"#,
            r#"{"Bool":{"aws:username":"true"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            r#"{"NotIpAddress":{"aws:username":"192.0.2.0/24"}}"#,
            r#"{"IpAddress":{"t:ipv6":"2001:db8::/32"}}"#,
            r#"{"NumericEquals":{"aws:MultiFactorAuthAge":"3600.0"}}"#,
            r#"{"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericGreaterThan":{"aws:MultiFactorAuthAge":3599.5}}"#,
            r#"{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":3601}}"#,
            r#"{"NumericNotEquals":{"t:none":1}}"#,
            r#"{"NumericLessThan":{"t:none":1}}"#,
            r#"{"NumericLessThan":{"aws:username":1}}"#,
            r#"{"DateEquals":{"aws:CurrentTime":"1767225600"}}"#,
            r#"{"DateNotEquals":{"aws:CurrentTime":"2026-01-01"}}"#,
            r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            r#"{"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T23:59:59.999Z"}}"#,
            r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00.001Z"}}"#,
        ],
        expect![[r#"
            true    {"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}
            false   {"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/*"}}
            true    {"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}
            false   {"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}
            true    {"BinaryEquals":{"t:bytes":"/+8="}}
            true    {"BinaryEquals":{"t:bytes":["AA==","/+8="]}}
            false   {"BinaryEquals":{"t:bytes":"/+4="}}
            false   {"BinaryEquals":{"t:none":"/+8="}}
            true    {"BinaryEqualsIfExists":{"t:none":"/+8="}}
            unknown {"BinaryEquals":{"aws:SourceIp":"/+8="}}
            true    {"Bool":{"aws:MultiFactorAuthPresent":"true"}}
            false   {"Bool":{"aws:MultiFactorAuthPresent":false}}
            false   {"Bool":{"t:none":"false"}}
            unknown {"Bool":{"aws:username":"true"}}
            true    {"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}
            false   {"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}
            false   {"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}
            true    {"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}
            unknown {"NotIpAddress":{"aws:username":"192.0.2.0/24"}}
            true    {"IpAddress":{"t:ipv6":"2001:db8::/32"}}
            true    {"NumericEquals":{"aws:MultiFactorAuthAge":"3600.0"}}
            false   {"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}}
            false   {"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}
            true    {"NumericLessThanEquals":{"aws:MultiFactorAuthAge":3600}}
            true    {"NumericGreaterThan":{"aws:MultiFactorAuthAge":3599.5}}
            false   {"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":3601}}
            true    {"NumericNotEquals":{"t:none":1}}
            false   {"NumericLessThan":{"t:none":1}}
            unknown {"NumericLessThan":{"aws:username":1}}
            true    {"DateEquals":{"aws:CurrentTime":"1767225600"}}
            false   {"DateNotEquals":{"aws:CurrentTime":"2026-01-01"}}
            false   {"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}
            true    {"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}
            true    {"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T23:59:59.999Z"}}
            false   {"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00.001Z"}}
        "#]],
    );
}

#[test]
fn absence_and_sets() {
    check_conditions(
        &[
            r#"{"Null":{"t:none":"true"}}"#,
            r#"{"Null":{"t:none":false}}"#,
            r#"{"Null":{"aws:username":"false"}}"#,
            r#"{"Null":{"aws:username":"true"}}"#,
            r#"{"StringEqualsIfExists":{"t:none":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:username":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:username":"Bob"}}"#,
            r#"{"BoolIfExists":{"t:none":"true"}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#,
            r#"{"ForAllValues:StringEquals":{"t:none":["a"]}}"#,
            r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":["c"]}}"#,
            r#"{"ForAllValues:StringNotLike":{"aws:TagKeys":["b*"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"t:none":["z"]}}"#,
            r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}}"#,
            r#"{"ForAnyValue:StringNotEquals":{"t:none":["a"]}}"#,
            r#"{"ForAnyValue:StringEqualsIfExists":{"t:none":["a"]}}"#,
            r#"{"StringEquals":{"aws:TagKeys":"a"}}"#,
            r#"{"StringNotEquals":{"aws:TagKeys":"z"}}"#,
        ],
        expect![[r#"
            true    {"Null":{"t:none":"true"}}
            false   {"Null":{"t:none":false}}
            true    {"Null":{"aws:username":"false"}}
            false   {"Null":{"aws:username":"true"}}
            true    {"StringEqualsIfExists":{"t:none":"x"}}
            false   {"StringEqualsIfExists":{"aws:username":"x"}}
            true    {"StringEqualsIfExists":{"aws:username":"Bob"}}
            true    {"BoolIfExists":{"t:none":"true"}}
            true    {"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}
            false   {"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}
            true    {"ForAllValues:StringEquals":{"t:none":["a"]}}
            true    {"ForAllValues:StringNotEquals":{"aws:TagKeys":["c"]}}
            false   {"ForAllValues:StringNotLike":{"aws:TagKeys":["b*"]}}
            true    {"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}}
            false   {"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}}
            false   {"ForAnyValue:StringEquals":{"t:none":["z"]}}
            true    {"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}}
            false   {"ForAnyValue:StringNotEquals":{"t:none":["a"]}}
            true    {"ForAnyValue:StringEqualsIfExists":{"t:none":["a"]}}
            unknown {"StringEquals":{"aws:TagKeys":"a"}}
            unknown {"StringNotEquals":{"aws:TagKeys":"z"}}
        "#]],
    );
}

#[test]
fn contested_keys_and_variables() {
    check_conditions(
        &[
            r#"{"StringEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringNotEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"Null":{"aws:PrincipalTag/team":"true"}}"#,
            r#"{"Null":{"aws:PrincipalTag/team":"false"}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}"#,
            r#"{"StringEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}"#,
            r#"{"StringNotEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}"#,
            r#"{"StringEquals":{"aws:PrincipalTag/team":"x","aws:username":"eve"}}"#,
            r#"{"StringEquals":{"aws:username":"${aws:UserName}"}}"#,
            r#"{"StringEquals":{"aws:username":"${t:none}"}}"#,
            r#"{"StringNotEquals":{"aws:username":"${t:none}"}}"#,
            r#"{"StringEquals":{"aws:username":"${t:none, 'Bob'}"}}"#,
            r#"{"StringLike":{"t:star":"${*}"}}"#,
            r#"{"StringLike":{"aws:username":"${*}"}}"#,
            r#"{"StringLike":{"aws:username":"${t:star}"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:user/${aws:username}"}}"#,
        ],
        expect![[r#"
            unknown {"StringEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringNotEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringEqualsIfExists":{"aws:PrincipalTag/team":"x"}}
            unknown {"Null":{"aws:PrincipalTag/team":"true"}}
            unknown {"Null":{"aws:PrincipalTag/team":"false"}}
            unknown {"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}
            true    {"StringEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}
            false   {"StringNotEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}
            false   {"StringEquals":{"aws:PrincipalTag/team":"x","aws:username":"eve"}}
            true    {"StringEquals":{"aws:username":"${aws:UserName}"}}
            false   {"StringEquals":{"aws:username":"${t:none}"}}
            unknown {"StringNotEquals":{"aws:username":"${t:none}"}}
            true    {"StringEquals":{"aws:username":"${t:none, 'Bob'}"}}
            true    {"StringLike":{"t:star":"${*}"}}
            false   {"StringLike":{"aws:username":"${*}"}}
            false   {"StringLike":{"aws:username":"${t:star}"}}
            true    {"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:user/${aws:username}"}}
        "#]],
    );
}

/// The decisions on `action resource` lines for these statements, with the statements that made
/// them.
fn check(statements: &[&str], asked: &[&str], expect: Expect) {
    let context = context();
    let layers = identity(vec![source(&document(statements))]);
    let line = |asked: &&str| {
        let (action, resource) = asked.split_once(' ').expect("an action and a resource");
        format!("{asked}: {}\n", show(&evaluate(&layers, &request(action, resource, &context))))
    };
    expect.assert_eq(&asked.iter().map(line).collect::<String>());
}

#[test]
fn statements_match_actions_without_case_and_resources_whole() {
    check(
        &[r#"{"Sid":"B","Effect":"Allow","Action":["s3:get*","s3:Put?"],
              "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::home/${aws:username}/*"]}"#],
        &[
            "S3:GetObject arn:aws:s3:::bucket",
            "s3:GetObject arn:aws:s3:::bucket2",
            "s3:GetObject arn:aws:s3:::Bucket",
            "s3:GetObject arn:aws:s3:::home/Bob/a:b/c",
            "s3:GetObject arn:aws:s3:::home/eve/a",
            "s3:GetObject arn:aws:s3:::home/Bob",
            "s3:Put1 arn:aws:s3:::bucket",
            "s3:Put arn:aws:s3:::bucket",
            "s3:GetObject *",
        ],
        expect![[r#"
            S3:GetObject arn:aws:s3:::bucket: Allow Allow B
            s3:GetObject arn:aws:s3:::bucket2: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::Bucket: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::home/Bob/a:b/c: Allow Allow B
            s3:GetObject arn:aws:s3:::home/eve/a: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::home/Bob: ImplicitDeny { layer: Identity }
            s3:Put1 arn:aws:s3:::bucket: Allow Allow B
            s3:Put arn:aws:s3:::bucket: ImplicitDeny { layer: Identity }
            s3:GetObject *: ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn negated_elements_match_everything_else() {
    check(
        &[r#"{"Sid":"N","Effect":"Allow","NotAction":["iam:*","s3:Delete*"],"NotResource":
              ["arn:aws:s3:::secret/*","arn:aws:s3:::b/${t:none}/*"]}"#],
        &[
            "s3:GetObject arn:aws:s3:::b/k",
            "IAM:GetUser arn:aws:iam::1:user/x",
            "s3:DeleteObject arn:aws:s3:::b/k",
            "s3:GetObject arn:aws:s3:::secret/k",
            "s3:GetObject arn:aws:s3:::secret",
        ],
        expect![[r#"
            s3:GetObject arn:aws:s3:::b/k: ImplicitDeny { layer: Identity }
            IAM:GetUser arn:aws:iam::1:user/x: ImplicitDeny { layer: Identity }
            s3:DeleteObject arn:aws:s3:::b/k: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::secret/k: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::secret: Allow Allow N
        "#]],
    );
}

#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    let asked = ["s3:DeleteObject *", "s3:GetObject *"];
    check(
        &[DENY_DELETE, ANY],
        &asked,
        expect![[r#"
        s3:DeleteObject *: ExplicitDeny { layer: Identity } Deny NoDelete
        s3:GetObject *: Allow Allow #1
    "#]],
    );
    check(
        &[ANY, DENY_DELETE],
        &asked,
        expect![[r#"
        s3:DeleteObject *: ExplicitDeny { layer: Identity } Deny NoDelete
        s3:GetObject *: Allow Allow #0
    "#]],
    );
}

#[test]
fn every_layer_that_is_present_must_allow() {
    let context = context();
    let all = || vec![source(&document(&[ANY]))];
    let read = || vec![source(&document(&[READ]))];
    let deny = || vec![source(&document(&[ANY, DENY_DELETE]))];
    let mut text = String::new();
    for (name, layers) in [
        ("none", Layers::default()),
        ("identity", identity(read())),
        ("boundary", Layers { boundary: Some(read()), ..identity(all()) }),
        ("session", Layers { session: Some(read()), ..identity(all()) }),
        ("empty boundary", Layers { boundary: Some(Vec::new()), ..identity(all()) }),
        ("boundary grants nothing", Layers { boundary: Some(all()), ..identity(read()) }),
        ("boundary denies", Layers { boundary: Some(deny()), ..identity(all()) }),
        ("session denies", Layers { session: Some(deny()), ..identity(Vec::new()) }),
    ] {
        for action in ["s3:GetObject", "s3:DeleteObject"] {
            let decision = evaluate(&layers, &request(action, "*", &context));
            text += &format!("{name}, {action}: {}\n", show(&decision));
        }
    }
    expect![[r#"
        none, s3:GetObject: ImplicitDeny { layer: Identity }
        none, s3:DeleteObject: ImplicitDeny { layer: Identity }
        identity, s3:GetObject: Allow Allow Read
        identity, s3:DeleteObject: ImplicitDeny { layer: Identity }
        boundary, s3:GetObject: Allow Allow #0 Allow Read
        boundary, s3:DeleteObject: ImplicitDeny { layer: Boundary }
        session, s3:GetObject: Allow Allow #0 Allow Read
        session, s3:DeleteObject: ImplicitDeny { layer: Session }
        empty boundary, s3:GetObject: ImplicitDeny { layer: Boundary }
        empty boundary, s3:DeleteObject: ImplicitDeny { layer: Boundary }
        boundary grants nothing, s3:GetObject: Allow Allow Read Allow #0
        boundary grants nothing, s3:DeleteObject: ImplicitDeny { layer: Identity }
        boundary denies, s3:GetObject: Allow Allow #0 Allow #0
        boundary denies, s3:DeleteObject: ExplicitDeny { layer: Boundary } Deny NoDelete
        session denies, s3:GetObject: ImplicitDeny { layer: Identity }
        session denies, s3:DeleteObject: ExplicitDeny { layer: Session } Deny NoDelete
    "#]]
    .assert_eq(&text);
}

#[test]
fn each_level_of_the_guard_rails_must_allow_whatever_else_does() {
    let context = context();
    let all = || vec![source(&document(&[ANY]))];
    let read = || vec![source(&document(&[READ]))];
    let deny = || vec![source(&document(&[ANY, DENY_DELETE]))];
    let under = |levels: Vec<Vec<Source>>| Layers { guard_rails: Some(levels), ..identity(all()) };
    let mut text = String::new();
    for (name, layers) in [
        ("all, read", under(vec![all(), read()])),
        ("read, all", under(vec![read(), all()])),
        ("read or all in one level", under(vec![[read(), all()].concat()])),
        ("denies", under(vec![all(), deny()])),
        ("an empty level", under(vec![all(), Vec::new()])),
        ("no level", under(Vec::new())),
        ("grants nothing", Layers { identity: read(), ..under(vec![all()]) }),
        (
            "a resource's policy",
            Layers { resource: Some(bucket(&[r#""*""#], &bob())), ..under(vec![read()]) },
        ),
    ] {
        for action in ["s3:GetObject", "s3:DeleteObject"] {
            let decision = evaluate(&layers, &request(action, "*", &context));
            text += &format!("{name}, {action}: {}\n", show(&decision));
        }
    }
    expect![[r#"
        all, read, s3:GetObject: Allow Allow #0 Allow Read Allow #0
        all, read, s3:DeleteObject: ImplicitDeny { layer: GuardRail }
        read, all, s3:GetObject: Allow Allow Read Allow #0 Allow #0
        read, all, s3:DeleteObject: ImplicitDeny { layer: GuardRail }
        read or all in one level, s3:GetObject: Allow Allow Read Allow #0 Allow #0
        read or all in one level, s3:DeleteObject: Allow Allow #0 Allow #0
        denies, s3:GetObject: Allow Allow #0 Allow #0 Allow #0
        denies, s3:DeleteObject: ExplicitDeny { layer: GuardRail } Deny NoDelete
        an empty level, s3:GetObject: ImplicitDeny { layer: GuardRail }
        an empty level, s3:DeleteObject: ImplicitDeny { layer: GuardRail }
        no level, s3:GetObject: ImplicitDeny { layer: GuardRail }
        no level, s3:DeleteObject: ImplicitDeny { layer: GuardRail }
        grants nothing, s3:GetObject: Allow Allow #0 Allow Read
        grants nothing, s3:DeleteObject: ImplicitDeny { layer: Identity }
        a resource's policy, s3:GetObject: Allow Allow Read Allow #0 Allow #0
        a resource's policy, s3:DeleteObject: ImplicitDeny { layer: GuardRail }
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_resources_policy_grants_as_it_names_the_caller() {
    let context = context();
    let nothing = || identity(Vec::new());
    let all = || vec![source(&document(&[ANY]))];
    let callers = [("user", bob()), ("session", ops_session())];
    let mut text = String::new();
    for principal in [
        r#""*""#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:role/ops"}"#,
        r#"{"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s1"}"#,
        r#"{"AWS":["111111111111","AROAAAAAAAAAAAAAAAOPS"]}"#,
        r#"{"AWS":"222222222222"}"#,
        r#"{"Service":"ec2.amazonaws.com"}"#,
    ] {
        text += principal;
        for (name, caller) in &callers {
            let own = bucket(&[principal], caller);
            let foreign = || ResourceLayer {
                owner: "222222222222".parse().expect("twelve digits"),
                ..own.clone()
            };
            let ask = |layers: Layers| {
                let decision = evaluate(&layers, &request("s3:GetObject", "*", &context));
                match decision.verdict {
                    Verdict::Allow => "yes".to_owned(),
                    Verdict::ImplicitDeny { layer } => format!("{layer:?}"),
                    Verdict::ExplicitDeny { layer } => format!("deny by {layer:?}"),
                }
            };
            let none = || Some(Vec::new());
            text += &format!(
                "\n  {name}: alone {}, with identity {}, in an empty boundary {}, across accounts \
                 {}, with identity {}, and boundary {}",
                ask(Layers { resource: Some(own.clone()), ..nothing() }),
                ask(Layers { resource: Some(own.clone()), ..identity(all()) }),
                ask(Layers { resource: Some(own.clone()), boundary: none(), ..identity(all()) }),
                ask(Layers { resource: Some(foreign()), ..nothing() }),
                ask(Layers { resource: Some(foreign()), ..identity(all()) }),
                ask(Layers { resource: Some(foreign()), boundary: none(), ..identity(all()) }),
            );
        }
        text += "\n";
    }
    expect![[r#"
        "*"
          user: alone yes, with identity yes, in an empty boundary yes, across accounts Identity, with identity yes, and boundary Boundary
          session: alone yes, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
        {"AWS":"111111111111"}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
          session: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
        {"AWS":"arn:aws:iam::111111111111:user/bob"}
          user: alone yes, with identity yes, in an empty boundary yes, across accounts Identity, with identity yes, and boundary Boundary
          session: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
        {"AWS":"arn:aws:iam::111111111111:role/ops"}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
          session: alone yes, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
        {"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s1"}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
          session: alone yes, with identity yes, in an empty boundary yes, across accounts Identity, with identity yes, and boundary Boundary
        {"AWS":["111111111111","AROAAAAAAAAAAAAAAAOPS"]}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
          session: alone yes, with identity yes, in an empty boundary Boundary, across accounts Identity, with identity yes, and boundary Boundary
        {"AWS":"222222222222"}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
          session: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
        {"Service":"ec2.amazonaws.com"}
          user: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
          session: alone Identity, with identity yes, in an empty boundary Boundary, across accounts Resource, with identity Resource, and boundary Resource
    "#]].assert_eq(&text);
}

#[test]
fn who_is_not_spared_by_every_name_is_denied() {
    let context = context();
    let mut text = String::new();
    for principal in [
        r#""*""#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":["111111111111","arn:aws:iam::111111111111:user/bob"]}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#,
        r#"{"AWS":["111111111111","arn:aws:iam::111111111111:role/ops"]}"#,
        r#"{"AWS":["111111111111","arn:aws:iam::111111111111:role/ops",
            "arn:aws:sts::111111111111:assumed-role/ops/s1"]}"#,
    ] {
        for (name, caller) in [("user", bob()), ("session", ops_session())] {
            let deny = format!(
                r#"{{"Effect":"Deny","NotPrincipal":{principal},"Action":"*","Resource":"*"}}"#
            );
            let resource = resource_layer(&[&deny], &caller);
            let layers =
                Layers { resource: Some(resource), ..identity(vec![source(&document(&[ANY]))]) };
            let decision = evaluate(&layers, &request("s3:GetObject", "*", &context));
            text += &format!("{name}: {:<40} {principal}\n", show(&decision));
        }
    }
    expect![[r#"
        user: Allow Allow #0                           "*"
        session: Allow Allow #0                           "*"
        user: ExplicitDeny { layer: Resource } Deny #0 {"AWS":"111111111111"}
        session: ExplicitDeny { layer: Resource } Deny #0 {"AWS":"111111111111"}
        user: Allow Allow #0                           {"AWS":["111111111111","arn:aws:iam::111111111111:user/bob"]}
        session: ExplicitDeny { layer: Resource } Deny #0 {"AWS":["111111111111","arn:aws:iam::111111111111:user/bob"]}
        user: ExplicitDeny { layer: Resource } Deny #0 {"AWS":"arn:aws:iam::111111111111:user/bob"}
        session: ExplicitDeny { layer: Resource } Deny #0 {"AWS":"arn:aws:iam::111111111111:user/bob"}
        user: ExplicitDeny { layer: Resource } Deny #0 {"AWS":["111111111111","arn:aws:iam::111111111111:role/ops"]}
        session: ExplicitDeny { layer: Resource } Deny #0 {"AWS":["111111111111","arn:aws:iam::111111111111:role/ops"]}
        user: ExplicitDeny { layer: Resource } Deny #0 {"AWS":["111111111111","arn:aws:iam::111111111111:role/ops",
                    "arn:aws:sts::111111111111:assumed-role/ops/s1"]}
        session: Allow Allow #0                           {"AWS":["111111111111","arn:aws:iam::111111111111:role/ops",
                    "arn:aws:sts::111111111111:assumed-role/ops/s1"]}
    "#]].assert_eq(&text);
}

#[test]
fn a_contested_resource_policy_grants_the_least_and_denies_the_most() {
    let context = context();
    let caller = bob();
    let one = |principal: &str| bucket(&[principal], &caller).sources[0].alternatives[0].clone();
    let layer = |sides: &[&str], certain| {
        let alternatives = sides.iter().map(|side| one(side)).collect();
        let source = Source { label: SourceLabel::Resource, certain, alternatives };
        ResourceLayer { sources: vec![source], ..bucket(&[], &caller) }
    };
    let (whole, account, other) =
        (r#""*""#, r#"{"AWS":"111111111111"}"#, r#"{"AWS":"222222222222"}"#);
    let ask = |resource: ResourceLayer| {
        let layers = Layers { resource: Some(resource), ..Layers::default() };
        let allowed = evaluate(&layers, &request("s3:GetObject", "*", &context)).is_allowed();
        let compiled = Compiled::new(&layers).decide(&request("s3:GetObject", "*", &context));
        assert_eq!(compiled == Verdict::Allow, allowed);
        allowed
    };
    assert!(ask(layer(&[whole, whole], true)));
    assert!(!ask(layer(&[whole, account], true)));
    assert!(!ask(layer(&[whole, other], true)));
    assert!(!ask(layer(&[whole], false)));
    let unbound = ResourceLayer {
        bindings: Vec::new(),
        ..resource_layer(
            &[&allow_to(r#""*""#), &allow_to(r#"{"AWS":"111111111111"}"#).replace("Allow", "Deny")],
            &caller,
        )
    };
    assert!(!ask(unbound), "a deny of the account denies");
    let contested = resource_layer(
        &[
            &allow_to(r#""*""#),
            &allow_to(r#"{"AWS":"arn:aws:iam::111111111111:user/bob"}"#).replace("Allow", "Deny"),
        ],
        &caller,
    );
    let free = ResourceLayer { bindings: vec![(BOB.to_owned(), ops())], ..contested.clone() };
    assert!(ask(free), "the name is another's");
    assert!(!ask(ResourceLayer { bindings: Vec::new(), ..contested }), "the name may be bob's");
}

#[test]
fn a_contested_document_allows_what_all_sides_allow_and_denies_what_any_denies() {
    let context = context();
    let (read, write) = (document(&[READ]), document(&[READ, WRITE, DENY_DELETE]));
    let contested = Source { alternatives: vec![read, write], ..source(&document(&[ANY])) };
    let nothing = Source { alternatives: Vec::new(), ..contested.clone() };
    let uncertain = Source { certain: false, ..source(&document(&[ANY, DENY_DELETE])) };
    let all = || source(&document(&[ANY]));
    let mut text = String::new();
    for (name, sources) in [
        ("contested", vec![contested.clone()]),
        ("contested, all", vec![contested, all()]),
        ("no alternative", vec![nothing]),
        ("uncertain", vec![uncertain.clone()]),
        ("uncertain, all", vec![uncertain, all()]),
    ] {
        for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] {
            let layers = identity(sources.clone());
            let decision = evaluate(&layers, &request(action, "*", &context));
            text += &format!("{name}, {action}: {}\n", show(&decision));
        }
    }
    expect![[r#"
        contested, s3:GetObject: Allow Allow Read Allow Read
        contested, s3:PutObject: ImplicitDeny { layer: Identity }
        contested, s3:DeleteObject: ExplicitDeny { layer: Identity } Deny NoDelete
        contested, all, s3:GetObject: Allow Allow Read Allow Read Allow #0
        contested, all, s3:PutObject: Allow Allow #0
        contested, all, s3:DeleteObject: ExplicitDeny { layer: Identity } Deny NoDelete
        no alternative, s3:GetObject: ImplicitDeny { layer: Identity }
        no alternative, s3:PutObject: ImplicitDeny { layer: Identity }
        no alternative, s3:DeleteObject: ImplicitDeny { layer: Identity }
        uncertain, s3:GetObject: ImplicitDeny { layer: Identity }
        uncertain, s3:PutObject: ImplicitDeny { layer: Identity }
        uncertain, s3:DeleteObject: ExplicitDeny { layer: Identity } Deny NoDelete
        uncertain, all, s3:GetObject: Allow Allow #0
        uncertain, all, s3:PutObject: Allow Allow #0
        uncertain, all, s3:DeleteObject: ExplicitDeny { layer: Identity } Deny NoDelete
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_trust_policy_among_identity_policies_allows_nothing() {
    let layers = identity(vec![source(&trust(&[("Allow", r#""*""#)]))]);
    let context = Context::new();
    let decision = evaluate(&layers, &request("sts:AssumeRole", ROLE, &context));
    assert_eq!(decision.verdict, Verdict::ImplicitDeny { layer: Layer::Identity });
}

/// However a contest is settled, what was allowed while it lasted stays allowed.
#[test]
fn a_contest_never_allows_more_than_each_way_to_settle_it() {
    let documents = [
        document(&[READ]),
        document(&[READ, WRITE]),
        document(&[ANY, DENY_DELETE]),
        document(&[&statement("Allow", r#"{"StringEquals":{"t:key":"x"}}"#)]),
        document(&[ANY, &statement("Deny", r#"{"StringNotEquals":{"t:key":"x"}}"#)]),
        document(&[ANY, &statement("Deny", r#"{"Null":{"t:key":"true"}}"#)]),
    ];
    let keys = [Some("x"), Some("y"), None];
    let mut unknown = Context::new();
    unknown.insert_unknown("t:key");
    let mut allowed = 0;
    for left in &documents {
        for right in &documents {
            for action in ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] {
                let sides = vec![left.clone(), right.clone()];
                let contested = Source { alternatives: sides, ..source(left) };
                let merged = identity(vec![contested]);
                if !evaluate(&merged, &request(action, "*", &unknown)).is_allowed() {
                    continue;
                }
                allowed += 1;
                for side in [left, right] {
                    for key in keys {
                        let mut settled = Context::new();
                        settled.insert_many("t:key", key);
                        let layers = identity(vec![source(side)]);
                        let decision = evaluate(&layers, &request(action, "*", &settled));
                        assert!(decision.is_allowed(), "{action} {key:?} {}", side.text());
                    }
                }
            }
        }
    }
    assert!(allowed > 10, "the property is about decisions that allow: {allowed}");
}

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const ROLE: &str = "arn:aws:iam::111111111111:role/ops";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/ops/s1";

fn trust(statements: &[(&str, &str)]) -> Arc<Document> {
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

fn id(text: &str) -> UniqueId {
    text.parse().expect("the test's id parses")
}

fn alice() -> UniqueId {
    id("AIDAAAAAAAAAAAAAALICE")
}

fn ops() -> UniqueId {
    id("AROAAAAAAAAAAAAAAAOPS")
}

fn caller(account: &str, arns: &[&str], unique_id: UniqueId) -> TrustCaller {
    let arns = arns.iter().map(|arn| (*arn).to_owned()).collect();
    TrustCaller { account: account.parse().expect("twelve digits"), arns, unique_id }
}

const BOB: &str = "arn:aws:iam::111111111111:user/bob";

fn bob() -> TrustCaller {
    caller("111111111111", &[BOB], id("AIDAAAAAAAAAAAAAAAAAB"))
}

fn ops_session() -> TrustCaller {
    let arns =
        ["arn:aws:iam::111111111111:role/ops", "arn:aws:sts::111111111111:assumed-role/ops/s1"];
    caller("111111111111", &arns, ops())
}

fn allow_to(principal: &str) -> String {
    format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"*"}}"#)
}

/// The policy of a bucket of the caller's account that lets these principals do everything.
fn bucket(principals: &[&str], caller: &TrustCaller) -> ResourceLayer {
    let statements: Vec<String> = principals.iter().map(|one| allow_to(one)).collect();
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    if statements.is_empty() {
        return ResourceLayer { sources: Vec::new(), ..bucket(&[r#""*""#], caller) };
    }
    resource_layer(&statements, caller)
}

fn resource_layer(statements: &[&str], caller: &TrustCaller) -> ResourceLayer {
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

fn ask_trust(
    alternatives: &[Arc<Document>],
    bindings: &[(String, UniqueId)],
    caller: &TrustCaller,
) -> Decision {
    let context = Context::new();
    evaluate_trust(alternatives, bindings, caller, &request("sts:AssumeRole", ROLE, &context))
}

#[test]
fn an_identity_provider_is_trusted_by_its_arn_and_denied_by_everyone_too() {
    const IDP: &str = "arn:aws:iam::111111111111:oidc-provider/idp.example.com/a";
    let by_arn = format!(r#"{{"Federated":"{IDP}"}}"#);
    let other = r#"{"Federated":"arn:aws:iam::111111111111:oidc-provider/idp.example.com/A"}"#;
    let ask = |documents: &[&[(&str, &str)]]| {
        let documents: Vec<_> = documents.iter().map(|statements| trust(statements)).collect();
        let context = Context::new();
        let request = request("sts:AssumeRole", ROLE, &context);
        evaluate_federated(&documents, IDP, &request).is_allowed()
    };
    assert!(ask(&[&[("Allow", &by_arn)]]));
    for principal in [
        other,
        r#""*""#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:root"}"#,
        r#"{"Federated":"idp.example.com"}"#,
        r#"{"Service":"ec2.amazonaws.com"}"#,
    ] {
        assert!(!ask(&[&[("Allow", principal)]]), "{principal}");
        let denies = ask(&[&[("Allow", &by_arn), ("Deny", principal)]]);
        assert_eq!(denies, principal != r#""*""#, "{principal}");
    }
    // Of contested policies each must allow, and any may deny.
    assert!(!ask(&[&[("Allow", &by_arn)], &[("Allow", other)]]));
    assert!(!ask(&[&[("Allow", &by_arn)], &[("Allow", &by_arn), ("Deny", &by_arn)]]));
    assert!(!ask(&[]));
}

#[test]
fn trust_policies_name_callers_in_many_ways() {
    let user = caller("111111111111", &[ALICE], alice());
    let session = caller("111111111111", &[ROLE, SESSION], ops());
    let bindings = [(ALICE, alice()), (ROLE, ops()), (SESSION, ops())];
    let bindings = bindings.map(|(arn, id)| (arn.to_owned(), id));
    let mut text = String::new();
    for principal in [
        r#""*""#,
        r#"{"AWS":"111111111111"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:root"}"#,
        r#"{"AWS":"222222222222"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:user/alice"}"#,
        r#"{"AWS":["111111111111","arn:aws:iam::111111111111:user/alice"]}"#,
        r#"{"AWS":"AIDAAAAAAAAAAAAAALICE"}"#,
        r#"{"AWS":"arn:aws:iam::111111111111:role/ops"}"#,
        r#"{"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s1"}"#,
        r#"{"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s2"}"#,
        r#"{"Service":"ec2.amazonaws.com"}"#,
        r#"{"Federated":"accounts.google.com"}"#,
    ] {
        let document = [trust(&[("Allow", principal)])];
        let grant = |caller| ask_trust(&document, &bindings, caller).grant;
        text += &format!("{principal}: {:?}, {:?}\n", grant(&user), grant(&session));
    }
    expect![[r#"
        "*": Some(Account), Some(Account)
        {"AWS":"111111111111"}: Some(Account), Some(Account)
        {"AWS":"arn:aws:iam::111111111111:root"}: Some(Account), Some(Account)
        {"AWS":"222222222222"}: None, None
        {"AWS":"arn:aws:iam::111111111111:user/alice"}: Some(Direct), None
        {"AWS":["111111111111","arn:aws:iam::111111111111:user/alice"]}: Some(Direct), Some(Account)
        {"AWS":"AIDAAAAAAAAAAAAAALICE"}: Some(Direct), None
        {"AWS":"arn:aws:iam::111111111111:role/ops"}: None, Some(Direct)
        {"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s1"}: None, Some(Direct)
        {"AWS":"arn:aws:sts::111111111111:assumed-role/ops/s2"}: None, None
        {"Service":"ec2.amazonaws.com"}: None, None
        {"Federated":"accounts.google.com"}: None, None
    "#]]
    .assert_eq(&text);
}

#[test]
fn whoever_takes_a_bound_name_takes_no_grant() {
    let document = [trust(&[("Allow", &format!(r#"{{"AWS":"{ALICE}"}}"#))])];
    let bind = |found: Option<UniqueId>| document[0].bind_principals(|_| found);
    let bound = bind(Some(alice()));
    assert_eq!(bound, [(ALICE.to_owned(), alice())]);
    let first = caller("111111111111", &[ALICE], alice());
    let second = caller("111111111111", &[ALICE], id("AIDAAAAAAAAAAAANOTHER"));
    let renamed = caller("111111111111", &["arn:aws:iam::111111111111:user/al"], alice());
    assert!(ask_trust(&document, &bound, &first).is_allowed());
    assert!(ask_trust(&document, &bound, &renamed).is_allowed(), "an id outlives its name");
    let refused = Verdict::ImplicitDeny { layer: Layer::Trust };
    assert_eq!(ask_trust(&document, &bound, &second).verdict, refused);
    assert_eq!(ask_trust(&document, &bind(None), &first).verdict, refused, "not bound at all");
    let contested = [bound, bind(Some(ops()))].concat();
    assert_eq!(ask_trust(&document, &contested, &first).verdict, refused, "bound to two");
}

#[test]
fn a_deny_that_may_name_the_caller_denies() {
    let document = [trust(&[("Allow", r#""*""#), ("Deny", &format!(r#"{{"AWS":"{ALICE}"}}"#))])];
    let alice_now = caller("111111111111", &[ALICE], alice());
    let other = caller("111111111111", &["arn:aws:iam::111111111111:user/b"], ops());
    let denied = Verdict::ExplicitDeny { layer: Layer::Trust };
    let twice = [(ALICE.to_owned(), alice()), (ALICE.to_owned(), ops())];
    assert_eq!(ask_trust(&document, &[], &alice_now).verdict, denied);
    assert_eq!(ask_trust(&document, &twice[..1], &alice_now).verdict, denied);
    assert_eq!(ask_trust(&document, &twice, &other).verdict, denied);
    assert!(ask_trust(&document, &twice[..1], &other).is_allowed());
}

#[test]
fn contested_trust_policies_grant_what_all_of_them_grant() {
    let user = caller("111111111111", &[ALICE], alice());
    let direct = || trust(&[("Allow", r#"{"AWS":"AIDAAAAAAAAAAAAAALICE"}"#)]);
    let account = || trust(&[("Allow", r#"{"AWS":"111111111111"}"#)]);
    let other = || trust(&[("Allow", r#"{"AWS":"222222222222"}"#)]);
    let deny = || trust(&[("Deny", r#"{"AWS":"111111111111"}"#)]);
    let grant = |documents: &[Arc<Document>]| ask_trust(documents, &[], &user).grant;
    assert_eq!(grant(&[direct(), direct()]), Some(TrustGrant::Direct));
    assert_eq!(grant(&[direct(), account()]), Some(TrustGrant::Account));
    assert_eq!(grant(&[direct(), other()]), None);
    assert_eq!(grant(&[direct(), deny()]), None);
    assert_eq!(grant(&[]), None);
}

#[test]
fn trust_conditions_count() {
    let user = caller("111111111111", &[ALICE], alice());
    let document = [trust(&[("Allow", r#"{"AWS":"111111111111"}"#)])];
    let mut context = Context::new();
    for (external_id, expected) in [("secret", true), ("guess", false)] {
        context.insert("sts:ExternalId", external_id);
        let request = request("sts:AssumeRole", ROLE, &context);
        assert_eq!(evaluate_trust(&document, &[], &user, &request).is_allowed(), expected);
    }
    let other_action = request("sts:TagSession", ROLE, &context);
    assert!(!evaluate_trust(&document, &[], &user, &other_action).is_allowed());
}

#[test]
fn managed_policies_mean_what_their_names_say() {
    let context = context();
    let own = "arn:aws:iam::1:user/Bob";
    let mut text = String::new();
    for (action, resource) in [
        ("iam:CreateUser", "arn:aws:iam::1:user/eve"),
        ("iam:ListUsers", "arn:aws:iam::1:user/"),
        ("iam:ChangePassword", own),
        ("iam:ChangePassword", "arn:aws:iam::1:user/eve"),
        ("s3:PutObject", "arn:aws:s3:::b/k"),
        ("s3:GetObject", "arn:aws:s3:::b/k"),
        ("sts:GetCallerIdentity", "*"),
        ("writ:ResolveConflict", "*"),
        ("writ:ListConflicts", "*"),
    ] {
        let allowing = managed().iter().filter(|policy| {
            let layers = identity(vec![source(&policy.parsed)]);
            evaluate(&layers, &request(action, resource, &context)).is_allowed()
        });
        let names: Vec<&str> = allowing.map(|policy| policy.name).collect();
        text += &format!("{action} {resource}: {}\n", names.join(" "));
    }
    expect![[r#"
        iam:CreateUser arn:aws:iam::1:user/eve: AdministratorAccess IAMFullAccess
        iam:ListUsers arn:aws:iam::1:user/: AdministratorAccess IAMFullAccess IAMReadOnlyAccess ReadOnlyAccess
        iam:ChangePassword arn:aws:iam::1:user/Bob: AdministratorAccess IAMFullAccess IAMUserChangePassword
        iam:ChangePassword arn:aws:iam::1:user/eve: AdministratorAccess IAMFullAccess
        s3:PutObject arn:aws:s3:::b/k: AdministratorAccess PowerUserAccess
        s3:GetObject arn:aws:s3:::b/k: AdministratorAccess PowerUserAccess ReadOnlyAccess
        sts:GetCallerIdentity *: AdministratorAccess PowerUserAccess ReadOnlyAccess
        writ:ResolveConflict *: AdministratorAccess
        writ:ListConflicts *: AdministratorAccess PowerUserAccess ReadOnlyAccess
    "#]].assert_eq(&text);
}

fn context() -> Context {
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

fn statement(effect: &str, condition: &str) -> String {
    format!(r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{condition}}}"#)
}

fn document(statements: &[&str]) -> Arc<Document> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Arc::new(Document::parse(&text, DocumentKind::Identity).expect("the test's policy parses"))
}

fn source(document: &Arc<Document>) -> Source {
    let label = SourceLabel::Inline { owner_arn: "bob".to_owned(), name: "p".to_owned() };
    Source { label, certain: true, alternatives: vec![document.clone()] }
}

fn identity(sources: Vec<Source>) -> Layers {
    Layers { identity: sources, ..Layers::default() }
}

fn request<'a>(action: &'a str, resource: &'a str, context: &'a Context) -> Request<'a> {
    Request { action, resource, context }
}

fn show(decision: &Decision) -> String {
    let statement = |found: &MatchedStatement| {
        let name = found.sid.clone().unwrap_or_else(|| format!("#{}", found.index));
        format!(" {:?} {name}", found.effect)
    };
    let statements: String = decision.statements.iter().map(statement).collect();
    format!("{:?}{statements}", decision.verdict)
}
