//! Federated users, whose keys are, and what denials say to whoever may decode them.

use expect_test::{Expect, expect};
use identity::{
    Caller, Ctx, Error, Query, Reply, RequestContext, SessionError,
    authorization_message::{DecodeAuthorizationMessage, ENCODED_CHARS_MAX},
    authorize,
    federated_user::FederatedUser,
    open_session, session_caller,
};
use model::{Entropy, UniqueIdKind};
use wire::v1::SessionClaims;

use crate::{
    history::{ACCOUNT, History},
    parse::{Call, parse},
};

const SETUP: &str = "root CreateUser bob
    root TagUser bob team=a
    root PutUserPolicy bob broker allow:sts:*
    root PutUserPolicy bob files allow:s3:Get*
    root CreateAccessKey bob
    root CreateAccessKey
    root CreatePolicy P allow:s3:*";

fn made(history: &mut History, caller: &str, words: &[&str]) -> FederatedUser {
    match history.call(0, caller, &parse("GetFederationToken", words, &[])).unwrap() {
        Reply::GetFederationToken(user) => user,
        other => panic!("{other:?}"),
    }
}

fn open(history: &History, user: &FederatedUser) -> Result<Caller, SessionError> {
    let (token, key) = (&user.credentials.session_token, &user.credentials.access_key_id);
    let identity = &history.replicas[0].identity;
    let opened =
        open_session(identity, &history.keys, token.expose(), key.as_str(), history.now())?;
    assert_eq!(opened.1, user.credentials.secret_access_key);
    Ok(opened.0)
}

fn ask(history: &History, caller: &Caller, action: &str, resource: &str) -> Result<(), Error> {
    let ctx = Ctx {
        now: history.now(),
        entropy: &Entropy::new([0; 32]),
        caller,
        request: &history.request,
        keys: &history.keys,
        accounts: &history.accounts,
    };
    authorize(&history.replicas[0].identity, &ctx, action, resource, &[])
}

fn may(history: &History, caller: &Caller, action: &str) -> bool {
    ask(history, caller, action, "*").is_ok()
}

#[test]
fn a_federated_user_may_do_what_its_user_and_its_session_policies_both_allow() {
    for (maker, policy, get, put) in [
        ("bob", "-", false, false),
        ("bob", "allow:s3:*", true, false),
        ("bob", "arns:P", true, false),
        ("bob", "deny:s3:*", false, false),
        ("bob", "allow:ec2:*", false, false),
        ("root", "-", false, false),
        ("root", "allow:s3:*", true, true),
        ("root", "arns:P", true, true),
    ] {
        let mut history = History::new();
        history.run(SETUP);
        let user = made(&mut history, maker, &["web", policy]);
        let caller = open(&history, &user).unwrap();
        let got = (may(&history, &caller, "s3:GetObject"), may(&history, &caller, "s3:PutObject"));
        assert_eq!(got, (get, put), "{maker} {policy}");
    }
}

#[test]
fn a_federated_user_is_called_after_its_account_and_calls_nothing_of_iam_and_sts() {
    let mut history = History::new();
    history.run(SETUP);
    let user = made(&mut history, "bob", &["web", "allow:*"]);
    assert_eq!(user.arn.as_str(), format!("arn:aws:sts::{ACCOUNT}:federated-user/web"));
    assert_eq!(user.federated_user_id, format!("{ACCOUNT}:web"));
    assert_eq!(user.credentials.expires.since_ms(history.now()), 43_200_000);
    let caller = open(&history, &user).unwrap();
    let Call::Query(who) = parse("GetCallerIdentity", &[], &[]) else { panic!("a query") };
    match history.query(0, &caller, &who) {
        Ok(Reply::GetCallerIdentity(who)) => {
            assert_eq!((who.arn, who.user_id), (user.arn, user.federated_user_id));
        }
        other => panic!("{other:?}"),
    }
    history.run(
        "root PutUserPolicy bob broker allow:*
        root CreateRole ops trust:123456789012",
    );
    for words in [
        &["GetUser"][..],
        &["ListUsers"],
        &["AssumeRole", "ops"],
        &["GetSessionToken"],
        &["GetFederationToken", "other"],
        &["GetAccessKeyInfo", "ASIAIOSFODNN7EXAMPLE"],
        &["DecodeAuthorizationMessage", "x"],
    ] {
        let Call::Query(asked) = parse(words[0], &words[1..], &[]) else { panic!("a query") };
        let refused = history.query(0, &caller, &asked).unwrap_err();
        assert!(matches!(refused, Error::AccessDenied { .. }), "{words:?}: {refused:?}");
    }
}

#[test]
fn conditions_see_a_federated_user_as_one() {
    for (key, value, wanted) in [
        ("aws:PrincipalType", "FederatedUser", true),
        ("aws:PrincipalArn", "arn:aws:sts::123456789012:federated-user/web", true),
        ("aws:userid", "123456789012:web", true),
        ("aws:username", "bob", false),
        ("aws:PrincipalTag/team", "a", true),
        ("aws:PrincipalTag/site", "x", true),
        ("aws:MultiFactorAuthPresent", "false", true),
    ] {
        let mut history = History::new();
        history.run(SETUP);
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*",
            "Resource":"*","Condition":{{"StringEquals":{{"{key}":"{value}"}}}}}}}}"#
        );
        let user = made(&mut history, "bob", &["web", &policy, "site=x"]);
        let caller = open(&history, &user).unwrap();
        assert_eq!(may(&history, &caller, "s3:GetObject"), wanted, "{key}");
    }
}

#[test]
fn a_session_tag_comes_before_the_users_own_whatever_its_case() {
    let mut history = History::new();
    history.run(SETUP);
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*",
        "Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"b"}}}}"#;
    let user = made(&mut history, "bob", &["web", policy, "Team=b"]);
    let caller = open(&history, &user).unwrap();
    assert!(may(&history, &caller, "s3:GetObject"));
}

#[test]
fn a_federated_user_ends_with_its_user_and_with_the_key_that_asked() {
    for (end, error) in [
        ("root UpdateAccessKey bob key1 Inactive", SessionError::KeyGone),
        ("root DeleteAccessKey bob key1", SessionError::KeyGone),
        (
            "root DeleteAccessKey bob key1
            root DeleteUserPolicy bob broker
            root DeleteUserPolicy bob files
            root DeleteUser bob",
            SessionError::PrincipalGone,
        ),
    ] {
        let mut history = History::new();
        history.run(SETUP);
        let user = made(&mut history, "bob", &["web"]);
        assert!(open(&history, &user).is_ok());
        history.run(end);
        assert_eq!(open(&history, &user), Err(error), "{end}");
    }
}

#[test]
fn who_asks_for_a_federated_user_needs_a_long_term_key_and_permission() {
    let mut history = History::new();
    history.run(SETUP);
    history.run("root CreateUser eve");
    let said = history.run(
        "eve GetFederationToken web
        root CreateAccessKey eve
        eve GetFederationToken web
        session:bob GetFederationToken web
        root PutUserPolicy eve in allow:sts:GetFederationToken
        eve GetFederationToken web - a=b
        eve GetFederationToken web bad
        eve GetFederationToken web arns:absent",
    );
    expect![[r#"
        eve GetFederationToken web
            AccessDenied { message: "Cannot call GetFederationToken with session credentials" }
        root CreateAccessKey eve
            CreateAccessKey(NewAccessKey { user: Some(UserName("eve")), id: AKIA…, secret: Secret(..), status: Active, created: T })
        eve GetFederationToken web
            AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: sts:GetFederationToken on resource: arn:aws:sts::123456789012:federated-user/web because no identity-based policy allows the sts:GetFederationToken action" }
        session:bob GetFederationToken web
            AccessDenied { message: "Cannot call GetFederationToken with session credentials" }
        root PutUserPolicy eve in allow:sts:GetFederationToken
            done
        eve GetFederationToken web - a=b
            AccessDenied { message: "User: arn:aws:iam::123456789012:user/eve is not authorized to perform: sts:TagSession on resource: arn:aws:sts::123456789012:federated-user/web because no identity-based policy allows the sts:TagSession action" }
        eve GetFederationToken web bad
            MalformedPolicyDocument { problem: Json, position: Some(Position { line: 1, column: 1 }) }
        eve GetFederationToken web arns:absent
            NoSuchEntity { noun: AttachablePolicy, name: "arn:aws:iam::123456789012:policy/absent" }
    "#]]
    .assert_eq(&said);
    let root = made(&mut history, "root", &["web"]);
    assert_eq!(root.credentials.expires.since_ms(history.now()), 3_600_000);
}

#[test]
fn policies_of_a_session_are_limited_together_and_their_size_is_told() {
    let mut history = History::new();
    history.run(SETUP);
    assert_eq!(made(&mut history, "bob", &["web"]).packed_policy_size, None);
    let start = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Sid":""#;
    let sized = |size: usize| format!("{start}{}\"}}}}", "a".repeat(size - start.len() - 3));
    assert_eq!(made(&mut history, "bob", &["web", &sized(2048)]).packed_policy_size, Some(100));
    assert_eq!(made(&mut history, "bob", &["web", &sized(205)]).packed_policy_size, Some(10));
    let arn = format!("arn:aws:iam::{ACCOUNT}:policy/P");
    let size = made(&mut history, "bob", &["web", "arns:P"]).packed_policy_size;
    assert_eq!(size, Some(arn.len() * 100 / 2048));
    for size in [2048 - arn.len(), 2049 - arn.len()] {
        let Call::Query(Query::GetFederationToken(mut token)) =
            parse("GetFederationToken", &["web", &sized(size)], &[])
        else {
            panic!("a query")
        };
        token.policy_arns = vec![arn.parse().unwrap()];
        let made = history.call(0, "bob", &Call::Query(Query::GetFederationToken(token)));
        assert_eq!(made.is_ok(), size + arn.len() <= 2048, "{made:?}");
    }
}

#[test]
fn claims_of_a_federated_user_name_their_key_apart_from_a_sessions() {
    let mut history = History::new();
    history.run(SETUP);
    let account: model::AccountId = ACCOUNT.parse().unwrap();
    let claims = |parent: &str, federation: &str| {
        let claims = SessionClaims {
            account: account.number(),
            principal: history.find(0, account, UniqueIdKind::User, "bob").to_string(),
            session_name: "web".to_owned(),
            access_key_id: "ASIAQ3EGRIM6LD2W5YX7".to_owned(),
            expires_ms: u64::MAX,
            parent_key: parent.to_owned(),
            federation_key: federation.to_owned(),
            ..SessionClaims::default()
        };
        session_caller(&history.replicas[0].identity, &claims, history.now()).map(drop)
    };
    let key = history.made_keys[0].as_str();
    assert_eq!(claims("", key), Ok(()));
    assert_eq!(claims(key, ""), Err(SessionError::Invalid));
}

#[test]
fn whose_a_key_is_its_record_or_its_id_tells() {
    let mut history = History::new();
    history.run(SETUP);
    let session = made(&mut history, "bob", &["web"]).credentials.access_key_id.to_string();
    let key = history.made_keys[0].clone();
    let ask = |history: &mut History, caller: &str, key: &str| match history.call(
        0,
        caller,
        &parse("GetAccessKeyInfo", &[key], &[]),
    ) {
        Ok(Reply::GetAccessKeyInfo(account)) => Ok(account.to_string()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    for caller in ["root", "bob", "root@222222222222"] {
        assert_eq!(ask(&mut history, caller, &key).as_deref(), Ok(ACCOUNT));
        assert_eq!(ask(&mut history, caller, &session).as_deref(), Ok(ACCOUNT));
    }
    history.run("root UpdateAccessKey bob key1 Inactive");
    assert_eq!(ask(&mut history, "root", &key).as_deref(), Ok(ACCOUNT));
    history.run("root DeleteAccessKey bob key1");
    // The second is of an account that is not here.
    for unknown in [key.as_str(), "ASIAIOSFODNN7EXAMPLE", "AIDAQ3EGRIM6LD2W5YX7A", "x"] {
        let refused = ask(&mut history, "root", unknown).unwrap_err();
        assert!(matches!(refused, Error::NoSuchEntity { .. }), "{unknown}: {refused:?}");
    }
}

/// What a call is refused with, for whoever may decode it.
fn encoded(error: Error) -> String {
    match error {
        Error::AccessDenied { message } => message.encoded.unwrap().into(),
        other => panic!("{other:?}"),
    }
}

fn decode(history: &mut History, caller: &str, message: &str) -> Result<String, Error> {
    let message = message.to_owned();
    let query = Query::DecodeAuthorizationMessage(DecodeAuthorizationMessage { message });
    match history.call(0, caller, &Call::Query(query))? {
        Reply::DecodeAuthorizationMessage(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

fn check_decoded(history: &mut History, words: &[&str], expected: Expect) {
    let refused = history.call(0, "bob", &parse(words[0], &words[1..], &[])).unwrap_err();
    assert!(!format!("{refused:?}").contains("encoded"));
    let decoded = decode(history, "root", &encoded(refused)).unwrap();
    let id = history.find(0, ACCOUNT.parse().unwrap(), UniqueIdKind::User, "bob");
    expected.assert_eq(&decoded.replace(id.as_str(), "AIDA…"));
}

#[test]
fn a_denial_says_more_to_whoever_may_decode_it() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot CreateUser eve");
    check_decoded(
        &mut history,
        &["GetUser", "eve"],
        expect![[
            r#"{"allowed":false,"context":{"action":"iam:GetUser","conditions":{"items":[{"key":"aws:currenttime","values":{"items":[{"value":"2023-11-14T22:13:22Z"}]}},{"key":"aws:epochtime","values":{"items":[{"value":"1700000002"}]}},{"key":"aws:principalaccount","values":{"items":[{"value":"123456789012"}]}},{"key":"aws:principalarn","values":{"items":[{"value":"arn:aws:iam::123456789012:user/bob"}]}},{"key":"aws:principalisawsservice","values":{"items":[{"value":"false"}]}},{"key":"aws:principaltype","values":{"items":[{"value":"User"}]}},{"key":"aws:requestedregion","values":{"items":[{"value":"us-east-1"}]}},{"key":"aws:securetransport","values":{"items":[{"value":"true"}]}},{"key":"aws:sourceip","values":{"items":[{"value":"192.0.2.1"}]}},{"key":"aws:userid","values":{"items":[{"value":"AIDA…"}]}},{"key":"aws:username","values":{"items":[{"value":"bob"}]}},{"key":"aws:viaawsservice","values":{"items":[{"value":"false"}]}}]},"principal":{"arn":"arn:aws:iam::123456789012:user/bob","id":"AIDA…","name":"bob"},"resource":"arn:aws:iam::123456789012:user/eve"},"explicitDeny":false,"failures":{"items":[]},"matchedStatements":{"items":[]}}"#
        ]],
    );
    history.run("root PutUserPolicy bob no deny:iam:Get*");
    check_decoded(
        &mut history,
        &["GetUser", "eve"],
        expect![[
            r#"{"allowed":false,"context":{"action":"iam:GetUser","conditions":{"items":[{"key":"aws:currenttime","values":{"items":[{"value":"2023-11-14T22:13:23Z"}]}},{"key":"aws:epochtime","values":{"items":[{"value":"1700000003"}]}},{"key":"aws:principalaccount","values":{"items":[{"value":"123456789012"}]}},{"key":"aws:principalarn","values":{"items":[{"value":"arn:aws:iam::123456789012:user/bob"}]}},{"key":"aws:principalisawsservice","values":{"items":[{"value":"false"}]}},{"key":"aws:principaltype","values":{"items":[{"value":"User"}]}},{"key":"aws:requestedregion","values":{"items":[{"value":"us-east-1"}]}},{"key":"aws:securetransport","values":{"items":[{"value":"true"}]}},{"key":"aws:sourceip","values":{"items":[{"value":"192.0.2.1"}]}},{"key":"aws:userid","values":{"items":[{"value":"AIDA…"}]}},{"key":"aws:username","values":{"items":[{"value":"bob"}]}},{"key":"aws:viaawsservice","values":{"items":[{"value":"false"}]}}]},"principal":{"arn":"arn:aws:iam::123456789012:user/bob","id":"AIDA…","name":"bob"},"resource":"arn:aws:iam::123456789012:user/eve"},"explicitDeny":true,"failures":{"items":[]},"matchedStatements":{"items":[{"effect":"DENY","policy":"arn:aws:iam::123456789012:user/bob no","principals":{"items":[{"value":"AIDA…"}]},"statement":0,"statementId":""}]}}"#
        ]],
    );
}

#[test]
fn a_denial_does_not_tell_whether_another_account_has_a_role() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root PutUserPolicy bob in allow:sts:*
        root@222222222222 CreateRole shared trust:222222222222 team=x",
    );
    let told = ["shared", "absent"].map(|role| {
        let arn = format!("arn:aws:iam::222222222222:role/{role}");
        let refused = history.call(0, "bob", &parse("AssumeRole", &[&arn], &[])).unwrap_err();
        decode(&mut history, "root", &encoded(refused)).unwrap().replace(role, "ROLE")
    });
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("role/ROLE"), "{}", told[0]);
}

#[test]
fn an_authorization_message_opens_for_its_account_with_the_ring_and_permission_only() {
    let mut history = History::new();
    history.run("root CreateUser bob");
    let refused = history.call(0, "bob", &parse("ListUsers", &[], &[])).unwrap_err();
    let message = encoded(refused);
    assert!(decode(&mut history, "root", &message).is_ok());
    let other = decode(&mut history, "root@222222222222", &message);
    assert_eq!(other, Err(Error::InvalidAuthorizationMessage));
    for wrong in ["x", "", "ü", &message[1..], &message[..message.len() - 4]] {
        assert_eq!(decode(&mut history, "root", wrong), Err(Error::InvalidAuthorizationMessage));
    }
    let refused = decode(&mut history, "bob", &message).unwrap_err();
    assert!(refused.to_string().contains("perform: sts:DecodeAuthorizationMessage"), "{refused}");
    history.run("root PutUserPolicy bob in allow:sts:DecodeAuthorizationMessage");
    assert!(decode(&mut history, "bob", &message).is_ok());
    history.keys = identity::KeyRing::default();
    assert_eq!(decode(&mut history, "root", &message), Err(Error::NoDataKey));
    let bare = history.call(0, "bob", &parse("ListUsers", &[], &[])).unwrap_err();
    assert!(matches!(bare, Error::AccessDenied { message } if message.encoded.is_none()));
}

#[test]
fn an_authorization_message_is_short_enough_to_be_decoded_whatever_it_is_about() {
    let mut history = History::new();
    history.run("root CreateUser bob");
    for number in 0..50 {
        history.run(&format!("root TagUser bob key{number}{0}={0}", "x".repeat(120)));
    }
    history.request = RequestContext { user_agent: "u".repeat(500), ..history.request };
    let caller = history.caller(0, "bob");
    for length in [100, 2000, 8000, 20_000] {
        let resource = format!("arn:aws:s3:::{}", "r".repeat(length));
        let refused = ask(&history, &caller, "s3:GetObject", &resource).unwrap_err();
        let Error::AccessDenied { message } = refused else { panic!("{refused:?}") };
        let Some(message) = message.encoded else {
            assert!(length > 7000);
            continue;
        };
        assert!(message.len() <= ENCODED_CHARS_MAX, "{}", message.len());
        let decoded = decode(&mut history, "root", &message).unwrap();
        assert!(decoded.contains(r#""omitted":"#), "{decoded}");
        assert!(decoded.contains("aws:currenttime"), "{decoded}");
    }
}
