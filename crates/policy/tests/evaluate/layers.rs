//! Several layers of policies, and contested ones.

use expect_test::expect;
use policy::{Context, Layer, Layers, Source, Verdict, evaluate};

use crate::support::{
    ANY, DENY_DELETE, READ, ROLE, WRITE, bob, bucket, context, document, identity, request, show,
    source, statement, trust,
};

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
