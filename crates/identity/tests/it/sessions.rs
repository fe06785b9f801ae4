//! Sessions, from their making to their end.

use identity::{
    Caller, Ctx, Reply, SessionError, authorize, open_session, session_caller, sts::Credentials,
};
use model::{Entropy, Timestamp, UniqueIdKind};
use wire::v1::SessionClaims;

use crate::{
    history::{ACCOUNT, History},
    parse::{Call, parse},
};

const SETUP: &str = "root CreateUser bob
    root CreateRole ops trust:arn:aws:iam::123456789012:user/bob
    root AttachRolePolicy ops aws/IAMFullAccess
    root AttachUserPolicy bob aws/AdministratorAccess
    root CreateAccessKey bob";

fn credentials(history: &mut History, caller: &str, words: &[&str]) -> Credentials {
    match history.call(0, caller, &parse(words[0], &words[1..], &[])).unwrap() {
        Reply::AssumeRole(assumed) => assumed.credentials,
        Reply::GetSessionToken(credentials) => credentials,
        other => panic!("{other:?}"),
    }
}

fn open(
    history: &History,
    credentials: &Credentials,
    key: &str,
    now: Timestamp,
) -> Result<Caller, SessionError> {
    let token = credentials.session_token.expose();
    let identity = &history.replicas[0].identity;
    let (caller, secret) = open_session(identity, &history.keys, token, key, now)?;
    assert_eq!(secret, credentials.secret_access_key);
    Ok(caller)
}

/// Whether a session lists users and creates one.
fn lists_and_creates(history: &mut History, caller: &Caller) -> (bool, bool) {
    let Call::Query(list) = parse("ListUsers", &[], &[]) else { panic!("a query") };
    let Call::Command(create) = parse("CreateUser", &["new"], &[]) else { panic!("a command") };
    let lists = history.query(0, caller, &list).is_ok();
    (lists, history.execute(0, caller, &create).is_ok())
}

#[test]
fn a_token_opens_with_its_key_until_it_expires_or_its_role_goes() {
    let mut history = History::new();
    history.run(SETUP);
    let made = credentials(&mut history, "bob", &["AssumeRole", "ops", "900"]);
    let key = made.access_key_id.to_string();
    let last = Timestamp::from_ms(made.expires.ms() - 1);
    assert!(open(&history, &made, &key, last).is_ok());
    assert_eq!(open(&history, &made, &key, made.expires), Err(SessionError::Expired));
    history.run("sync");
    let other = credentials(&mut history, "bob", &["GetSessionToken"]);
    let other = other.access_key_id.to_string();
    assert_eq!(open(&history, &made, &other, last), Err(SessionError::Invalid));
    history.run("root DetachRolePolicy ops aws/IAMFullAccess\nroot DeleteRole ops");
    assert_eq!(open(&history, &made, &key, last), Err(SessionError::PrincipalGone));
    history.run("root CreateRole ops trust:arn:aws:iam::123456789012:user/bob");
    assert_eq!(open(&history, &made, &key, last), Err(SessionError::PrincipalGone));
}

#[test]
fn a_session_may_do_what_role_and_session_policy_both_allow() {
    for (policy, expected) in [
        (None, (true, true)),
        (Some("allow:iam:List*"), (true, false)),
        (Some("allow:s3:*"), (false, false)),
        (Some("deny:iam:List*"), (false, false)),
        (Some("allow:*"), (true, true)),
    ] {
        let mut history = History::new();
        history.run(SETUP);
        let words: Vec<&str> = ["AssumeRole", "ops", "900"].into_iter().chain(policy).collect();
        let made = credentials(&mut history, "bob", &words);
        let key = made.access_key_id.to_string();
        let caller = open(&history, &made, &key, history.now()).unwrap();
        assert_eq!(lists_and_creates(&mut history, &caller), expected, "{policy:?}");
    }
}

/// Whether a caller's policies let it do an action of a service that is not IAM or STS.
fn may(history: &History, caller: &Caller, action: &str) -> bool {
    let ctx = Ctx {
        now: history.now(),
        entropy: &Entropy::new([0; 32]),
        caller,
        request: &history.request,
        keys: &history.keys,
        accounts: &history.accounts,
    };
    authorize(&history.replicas[0].identity, &ctx, action, "*", &[]).is_ok()
}

#[test]
fn a_users_session_is_the_user_but_calls_nothing_of_iam_and_ends_with_its_key() {
    for owner in ["bob", "root"] {
        let mut history = History::new();
        history.run(SETUP);
        history.run("root CreateAccessKey");
        let made = credentials(&mut history, owner, &["GetSessionToken"]);
        let key = made.access_key_id.to_string();
        let caller = open(&history, &made, &key, history.now()).unwrap();
        assert!(may(&history, &caller, "s3:GetObject"), "{owner}");
        assert!(may(&history, &caller, "sts:AssumeRole"), "{owner}");
        for refused in ["iam:ListUsers", "IAM:GetUser", "sts:GetFederationToken", "sts:x"] {
            assert!(!may(&history, &caller, refused), "{owner} {refused}");
        }
        assert_eq!(lists_and_creates(&mut history, &caller), (false, false), "{owner}");
        let (owner, number) = if owner == "bob" { ("bob", 1) } else { ("-", 2) };
        for (change, ends) in [("Inactive", Err(SessionError::KeyGone)), ("Active", Ok(()))] {
            history.run(&format!("root UpdateAccessKey {owner} key{number} {change}"));
            assert_eq!(open(&history, &made, &key, history.now()).map(drop), ends, "{owner}");
            assert_eq!(may(&history, &caller, "s3:GetObject"), ends.is_ok(), "{owner} {change}");
        }
        history.run(&format!("root DeleteAccessKey {owner} key{number}"));
        assert_eq!(open(&history, &made, &key, history.now()), Err(SessionError::KeyGone));
    }
}

#[test]
fn a_contested_key_ends_its_sessions_and_another_key_of_the_user_does_not_keep_them() {
    let mut history = History::new();
    history.run(SETUP);
    let made = credentials(&mut history, "bob", &["GetSessionToken"]);
    let key = made.access_key_id.to_string();
    history.run(
        "root CreateAccessKey bob
        sync
        a: root UpdateAccessKey bob key1 Active
        b: root UpdateAccessKey bob key1 Inactive
        sync",
    );
    assert_eq!(open(&history, &made, &key, history.now()), Err(SessionError::KeyGone));
    history.run("root UpdateAccessKey bob key1 Active");
    assert!(open(&history, &made, &key, history.now()).is_ok());
}

#[test]
fn a_session_of_root_is_short_and_needs_a_key() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot CreateAccessKey");
    let root = credentials(&mut history, "root", &["GetSessionToken"]);
    assert_eq!(root.expires.since_ms(history.now()), 3_600_000);
    let said = history.run("bob GetSessionToken\nsession:root GetSessionToken");
    assert_eq!(said.matches("Cannot call GetSessionToken with session credentials").count(), 2);
}

#[test]
fn claims_that_lack_what_they_must_name_are_no_claims() {
    let mut history = History::new();
    history.run(SETUP);
    let account: model::AccountId = ACCOUNT.parse().unwrap();
    let id = |kind, name| history.find(0, account, kind, name).to_string();
    let (user, role) = (id(UniqueIdKind::User, "bob"), id(UniqueIdKind::Role, "ops"));
    let policy = "arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned();
    let claims = |principal: &str, arns: &[String], ids: &[&str], parent: &str| {
        let claims = SessionClaims {
            account: account.number(),
            principal: principal.to_owned(),
            session_name: if principal == role { "sess".to_owned() } else { String::new() },
            access_key_id: "ASIAQ3EGRIM6LD2W5YX7".to_owned(),
            expires_ms: u64::MAX,
            policy_arns: arns.to_vec(),
            policy_ids: ids.iter().map(ToString::to_string).collect(),
            parent_key: parent.to_owned(),
            ..SessionClaims::default()
        };
        let identity = &history.replicas[0].identity;
        session_caller(identity, &claims, history.now()).map(drop)
    };
    let key = history.made_keys[0].as_str();
    let invalid = Err(SessionError::Invalid);
    assert_eq!(claims(&user, &[], &[], key), Ok(()));
    assert_eq!(claims(&user, &[], &[], ""), invalid);
    assert_eq!(claims(&user, &[], &[], "x"), invalid);
    assert_eq!(claims(&role, &[], &[], key), invalid);
    assert_eq!(claims(&role, &[], &[], ""), Ok(()));
    assert_eq!(claims(&role, std::slice::from_ref(&policy), &[], ""), invalid);
    assert_eq!(
        claims(&role, std::slice::from_ref(&policy), &["ANPAQ3EGRIM6LD2W5YX7A"], ""),
        Ok(())
    );
    assert_eq!(claims(&role, &[], &["ANPAQ3EGRIM6LD2W5YX7A"], ""), invalid);
    assert_eq!(claims(&role, &[policy], &["P"], ""), invalid);
    // The key is another principal's.
    history.run("root CreateUser eve");
    let eve = history.find(0, account, UniqueIdKind::User, "eve").to_string();
    let claims = SessionClaims {
        account: account.number(),
        principal: eve,
        access_key_id: "ASIAQ3EGRIM6LD2W5YX7".to_owned(),
        expires_ms: u64::MAX,
        parent_key: history.made_keys[0].clone(),
        ..SessionClaims::default()
    };
    let opened = session_caller(&history.replicas[0].identity, &claims, history.now());
    assert_eq!(opened, Err(SessionError::KeyGone));
}

#[test]
fn a_sessions_managed_policies_are_those_of_its_making_or_deny() {
    let setup = "root CreatePolicy P allow:iam:List*
        root CreatePolicy Q allow:iam:*
        sync";
    for (policies, steps, expected) in [
        ("P", "", (true, false)),
        ("aws/IAMReadOnlyAccess", "", (true, false)),
        ("P", "root CreatePolicyVersion P allow:iam:* default", (true, true)),
        ("P,Q", "", (true, true)),
        ("Q", "root DeletePolicy P", (true, true)),
        ("P", "root DeletePolicy P", (false, false)),
        ("P,Q", "root DeletePolicy P", (false, false)),
        ("P", "root DeletePolicy P\nroot CreatePolicy P allow:*", (false, false)),
        ("P,Q", "a: root TagPolicy P a=b\nb: root DeletePolicy P\nsync", (false, false)),
        ("P,Q", "a: root AttachUserPolicy bob P\nb: root DeletePolicy P\nsync", (false, false)),
    ] {
        let mut history = History::new();
        history.run(SETUP);
        history.run(setup);
        let made = credentials(
            &mut history,
            "bob",
            &["AssumeRole", "ops", "900", &format!("arns:{policies}")],
        );
        let key = made.access_key_id.to_string();
        history.run(steps);
        let caller = open(&history, &made, &key, history.now()).unwrap();
        assert_eq!(lists_and_creates(&mut history, &caller), expected, "{policies} {steps}");
    }
}
