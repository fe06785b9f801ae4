//! Policies of the resource.

use expect_test::expect;
use policy::{Compiled, Layers, ResourceLayer, Source, SourceLabel, Verdict, evaluate};

use crate::support::{
    ANY, BOB, allow_to, bob, bucket, context, document, identity, ops, ops_session, request,
    resource_layer, show, source,
};

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
