//! Sessions of whom an OpenID Connect provider vouches for.

use expect_test::{Expect, expect};
use identity::{
    Error, authenticate_key, open_session,
    web_identity::{
        AssumeRoleWithWebIdentity, KeySource, TokenClaims, Unsigned, VerifiedToken,
        WebIdentitySession, assume, knows_issuer,
    },
};
use model::{Arn, Entropy, Secret};

use crate::history::{ACCOUNT, History, check_history};

/// A role `ops` that trusts a provider for these actions, on a condition.
fn setup(actions: &str, condition: &str) -> String {
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"Federated":
        "arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com/a"}},"Action":[{actions}],
        "Condition":{{{condition}}}}}}}"#
    );
    let trust: String = trust.split_whitespace().collect();
    format!(
        "root CreateOpenIDConnectProvider idp.example.com/a web,cli
        root CreateRole ops {trust}
        root PutRolePolicy ops in allow:s3:*
        sync"
    )
}

const ASSUME: &str = r#""sts:AssumeRoleWithWebIdentity""#;

/// A token's claims; `more` replaces or adds some.
fn claims(more: &str) -> TokenClaims {
    let base = r#"{"iss":"https://idp.example.com/a","sub":"repo:bob","aud":"web",
        "exp":1800000000,"iat":1600000000}"#;
    let mut claims: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(base).unwrap();
    let more: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&format!("{{{more}}}")).unwrap();
    claims.extend(more);
    TokenClaims::parse(serde_json::to_string(&claims).unwrap().as_bytes()).unwrap()
}

fn call(role: &str) -> AssumeRoleWithWebIdentity {
    AssumeRoleWithWebIdentity {
        role_arn: Arn::iam(ACCOUNT, format!("role/{role}")),
        session_name: "sess".parse().unwrap(),
        token: Secret::new(String::new()),
        duration: None,
        policy: None,
        policy_arns: Vec::new(),
    }
}

fn ask(
    history: &History,
    call: &AssumeRoleWithWebIdentity,
    claims: TokenClaims,
    source: KeySource,
) -> Result<WebIdentitySession, Error> {
    let entropy = Entropy::new([7; 32]);
    let History { replicas: [replica, _], accounts, keys, request, .. } = history;
    let unsigned = Unsigned { now: history.now(), entropy: &entropy, request, keys, accounts };
    let known = knows_issuer(&replica.identity, accounts, &call.role_arn, &claims);
    let token = VerifiedToken { claims, source };
    let session = assume(&replica.identity, &unsigned, call, &token);
    // Who is not asked for keys gets no session.
    assert!(known.is_ok() || session == Err(known.unwrap_err()));
    session
}

fn show(result: Result<WebIdentitySession, Error>) -> String {
    match result {
        Ok(session) => format!("{} for {}", session.arn, session.subject),
        Err(error) => error.to_string(),
    }
}

/// What comes of tokens with these claims.
fn check(setup: &str, tokens: &[&str], expected: Expect) {
    let mut history = History::new();
    history.run(setup);
    let line = |more: &&str| {
        let result = ask(&history, &call("ops"), claims(more), KeySource::Configured);
        format!("{more}\n    {}\n", show(result))
    };
    expected.assert_eq(&tokens.iter().map(line).collect::<String>());
}

#[test]
fn a_token_must_be_of_a_provider_for_a_client_and_in_time() {
    check(
        &setup(ASSUME, ""),
        &[
            "",
            r#""aud":"cli""#,
            r#""aud":"other""#,
            r#""aud":["web","other"]"#,
            r#""aud":"other","azp":"web""#,
            r#""aud":["other","cli"],"azp":"web""#,
            r#""aud":"web","azp":"other""#,
            r#""iss":"https://idp.example.com/b""#,
            r#""iss":"https://IDP.example.com/a""#,
            r#""exp":1700000000"#,
            r#""nbf":1750000000"#,
        ],
        expect![[r#"

                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "aud":"cli"
                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "aud":"other"
                the web identity token: it is for somebody else
            "aud":["web","other"]
                the web identity token: it is for somebody else
            "aud":"other","azp":"web"
                the web identity token: it is for somebody else
            "aud":["other","cli"],"azp":"web"
                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "aud":"web","azp":"other"
                the web identity token: it is for somebody else
            "iss":"https://idp.example.com/b"
                the web identity token: `https://idp.example.com/b` is no provider of the role's account
            "iss":"https://IDP.example.com/a"
                the web identity token: `https://IDP.example.com/a` is no provider of the role's account
            "exp":1700000000
                the web identity token: it expired at 2023-11-14T22:13:20Z, and it is 2023-11-14T22:13:24Z
            "nbf":1750000000
                the web identity token: it is not valid yet
        "#]],
    );
}

#[test]
fn a_trust_policy_asks_for_what_the_token_says() {
    let condition = r#""StringEquals":{"idp.example.com/a:aud":"web","idp.example.com/a:sub":
        "repo:bob","sts:RoleSessionName":"sess"},"StringNotEquals":{"idp.example.com/a:email":
        "eve@example.com"},"ForAnyValue:StringEquals":{"idp.example.com/a:amr":"mfa"}"#;
    check(
        &setup(ASSUME, condition),
        &[
            r#""amr":["pwd","mfa"]"#,
            r#""amr":["pwd"]"#,
            r#""amr":["mfa"],"sub":"repo:eve""#,
            r#""amr":["mfa"],"aud":"cli""#,
            r#""amr":["mfa"],"email":"eve@example.com","email_verified":true"#,
            r#""amr":["mfa"],"email":"ann@example.com","email_verified":true"#,
            r#""amr":["mfa"],"email":"ann@example.com","email_verified":"true""#,
            r#""amr":["mfa"],"email":"ann@example.com","email_verified":false"#,
            r#""amr":["mfa"],"email":"ann@example.com""#,
        ],
        expect![[r#"
            "amr":["pwd","mfa"]
                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "amr":["pwd"]
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
            "amr":["mfa"],"sub":"repo:eve"
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
            "amr":["mfa"],"aud":"cli"
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
            "amr":["mfa"],"email":"eve@example.com","email_verified":true
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
            "amr":["mfa"],"email":"ann@example.com","email_verified":true
                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "amr":["mfa"],"email":"ann@example.com","email_verified":"true"
                arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
            "amr":["mfa"],"email":"ann@example.com","email_verified":false
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
            "amr":["mfa"],"email":"ann@example.com"
                the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
        "#]],
    );
}

#[test]
fn tags_and_a_source_identity_need_leave_of_their_own() {
    let tags = r#""https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]}}"#;
    let source = r#""https://aws.amazon.com/source_identity":"bob""#;
    check(
        &setup(ASSUME, ""),
        &[tags, source],
        expect![[r#"
        "https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]}}
            the web identity token: the role does not let it do sts:TagSession
        "https://aws.amazon.com/source_identity":"bob"
            the web identity token: the role does not let it do sts:SetSourceIdentity
    "#]],
    );
    let all = r#""sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity""#;
    check(
        &setup(all, ""),
        &[tags, source, &format!("{tags},{source}")],
        expect![[r#"
        "https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]}}
            arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
        "https://aws.amazon.com/source_identity":"bob"
            arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
        "https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]}},"https://aws.amazon.com/source_identity":"bob"
            arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
    "#]],
    );
    let team = r#""StringEquals":{"aws:RequestTag/team":"a"}"#;
    let other = r#""https://aws.amazon.com/tags":{"principal_tags":{"team":["b"]}}"#;
    check(
        &setup(all, team),
        &[tags, other, ""],
        expect![[r#"
        "https://aws.amazon.com/tags":{"principal_tags":{"team":["a"]}}
            arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob
        "https://aws.amazon.com/tags":{"principal_tags":{"team":["b"]}}
            the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity

            the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity
    "#]],
    );
}

/// Whether `ops` may be assumed for the client `web` once both nodes have done something.
fn check_race(steps: &str, expected: &str) {
    let mut history = History::new();
    history.run(&setup(ASSUME, ""));
    history.run(steps);
    let result = ask(&history, &call("ops"), claims(""), KeySource::Configured);
    let allowed = "arn:aws:sts::123456789012:assumed-role/ops/sess for repo:bob";
    let expected = if expected.is_empty() { allowed } else { expected };
    assert_eq!(show(result), expected, "{steps}");
}

#[test]
fn what_may_be_gone_vouches_for_nobody() {
    let none = "the web identity token: `https://idp.example.com/a` is no provider of the role's \
                account";
    let other = "the web identity token: it is for somebody else";
    let denied =
        "the web identity token: the role does not let it do sts:AssumeRoleWithWebIdentity";
    let idp = "OpenIDConnectProvider idp.example.com/a";
    check_race("", "");
    check_race(&format!("root Delete{idp}"), none);
    check_race(&format!("a: root Tag{idp} a=b\nb: root Delete{idp}\nsync"), none);
    check_race(&format!("root RemoveClientIDFrom{idp} web"), other);
    check_race(
        &format!("a: root AddClientIDTo{idp} web\nb: root RemoveClientIDFrom{idp} web\nsync"),
        other,
    );
    check_race(
        &format!("a: root AddClientIDTo{idp} web\nb: root RemoveClientIDFrom{idp} cli\nsync"),
        "",
    );
    check_race(
        &format!("root Delete{idp}\nsync\na: root Create{idp} web\nb: root Create{idp} web\nsync"),
        none,
    );
    // Whose word is taken stays the same if the provider is made again.
    check_race(&format!("root Delete{idp}\nroot Create{idp} web"), "");
    check_race("root DeleteRolePolicy ops in\nroot DeleteRole ops", denied);
    check_race("root UpdateAssumeRolePolicy ops trust:123456789012", denied);
    check_race("root UpdateAssumeRolePolicy ops trust:*", denied);
}

#[test]
fn of_thumbprints_that_were_set_at_once_each_must_be_there() {
    let (one, two) = ("1".repeat(40), "2".repeat(40));
    let set =
        |list: &str| format!("root UpdateOpenIDConnectProviderThumbprint idp.example.com/a {list}");
    let both = format!("a: {}\nb: {}\nsync", set(&one), set(&two));
    for (steps, shown, good) in [
        (String::new(), vec![], true),
        (set(&one), vec![&one], true),
        (set(&one), vec![&two, &one], true),
        (set(&one), vec![&two], false),
        (set(&format!("{one},{two}")), vec![&two], true),
        (both.clone(), vec![&one], false),
        (both, vec![&one, &two], true),
    ] {
        let mut history = History::new();
        history.run(&setup(ASSUME, ""));
        history.run(&steps);
        let source = KeySource::Host(shown.iter().map(|text| text.parse().unwrap()).collect());
        let result = show(ask(&history, &call("ops"), claims(""), source));
        let refused = "the web identity token: its issuer's host has another certificate";
        assert_eq!(result != refused, good, "{steps}: {result}");
    }
}

#[test]
fn a_role_that_is_not_there_is_answered_as_one_that_trusts_nobody() {
    let mut history = History::new();
    history.run(&setup(ASSUME, ""));
    history.run("root CreateRole shy trust:123456789012");
    let ask = |role: &str| show(ask(&history, &call(role), claims(""), KeySource::Configured));
    assert_eq!(ask("shy"), ask("absent"));
    assert_eq!(ask("OPS"), ask("absent"));
}

#[test]
fn a_session_carries_who_vouches_for_whom() {
    let mut history = History::new();
    history.run(&setup(ASSUME, ""));
    history.run(
        r#"root PutRolePolicy ops no {"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"StringEquals":{"idp.example.com/a:sub":"repo:bob","aws:FederatedProvider":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/a"}}}}"#,
    );
    let session = ask(&history, &call("ops"), claims(""), KeySource::Configured).unwrap();
    let [replica, _] = &history.replicas;
    let credentials = session.credentials;
    let (token, key) = (credentials.session_token.expose(), credentials.access_key_id);
    let now = history.now();
    let opened = open_session(&replica.identity, &history.keys, token, key.as_str(), now);
    let (caller, _) = opened.unwrap();
    let federation = caller.session.as_ref().unwrap().federation.as_ref().unwrap();
    assert_eq!(federation.provider, session.provider.as_str());
    assert_eq!(federation.keys.len(), 2, "{federation:?}");
    assert_eq!(caller.arn(&replica.identity).as_str(), session.arn.as_str());
    assert_eq!(caller.user_id(), session.assumed_role_id);
    assert!(authenticate_key(&replica.identity, &history.keys, key.as_str()).is_none());
    let entropy = Entropy::new([8; 32]);
    let ctx = identity::Ctx {
        now,
        entropy: &entropy,
        caller: &caller,
        request: &history.request,
        keys: &history.keys,
        accounts: &history.accounts,
    };
    let may = |action| identity::authorize(&replica.identity, &ctx, action, "*", &[]).is_ok();
    assert!(may("s3:GetObject") && !may("s3:PutObject"));
}

#[test]
fn who_asks_about_a_role_is_told_of_what_a_provider_may_say() {
    check_history(
        r#"quiet root CreateOpenIDConnectProvider idp.example.com/a web
        quiet root CreateRole ops trust:123456789012
        quiet root PutRolePolicy ops in allow:s3:*
        quiet root PutRolePolicy ops no {"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:Put*","Resource":"*","Condition":{"StringEquals":{"idp.example.com/a:sub":"bob"}}}}
        may arn:aws:iam::123456789012:role/ops s3:GetObject arn:aws:s3:::b/o
        may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o
        may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o idp.example.com/a:sub=bob
        may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o idp.example.com/a:sub=eve"#,
        expect![[r#"
            may arn:aws:iam::123456789012:role/ops s3:GetObject arn:aws:s3:::b/o
                Allow
            may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o idp.example.com/a:sub=bob
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/ops s3:PutObject arn:aws:s3:::b/o idp.example.com/a:sub=eve
                Allow
        "#]],
    );
}

#[test]
fn a_session_lasts_as_long_as_the_role_lets_it() {
    let mut history = History::new();
    history.run(&setup(ASSUME, ""));
    let ask = |secs| {
        let duration = Some(identity::sts::Duration::new(secs).unwrap());
        let call = AssumeRoleWithWebIdentity { duration, ..call("ops") };
        show(ask(&history, &call, claims(""), KeySource::Configured))
    };
    assert!(ask(3600).starts_with("arn:"));
    assert_eq!(ask(3601), "the duration exceeds the role's maximum of 3600 s");
}
