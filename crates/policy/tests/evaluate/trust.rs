//! Trust policies.

use std::sync::Arc;

use expect_test::expect;
use model::UniqueId;
use policy::{
    Context, Decision, Document, Layer, TrustCaller, TrustGrant, Verdict, evaluate_federated,
    evaluate_trust,
};

use crate::support::{ROLE, caller, id, ops, request, trust};

const ALICE: &str = "arn:aws:iam::111111111111:user/alice";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/ops/s1";

fn alice() -> UniqueId {
    id("AIDAAAAAAAAAAAAAALICE")
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
