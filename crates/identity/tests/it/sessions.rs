//! Sessions, from their making to their end.

use identity::{Caller, Reply, SessionError, open_session, sts::Credentials};
use model::Timestamp;

use crate::{
    history::History,
    parse::{Call, parse},
};

const SETUP: &str = "root CreateUser bob
    root CreateRole ops trust:arn:aws:iam::123456789012:user/bob
    root AttachRolePolicy ops aws/IAMFullAccess
    root AttachUserPolicy bob aws/IAMReadOnlyAccess";

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
    let other = credentials(&mut History::new(), "root", &["GetSessionToken"]);
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

#[test]
fn a_users_session_is_the_user_and_ends_with_it() {
    let mut history = History::new();
    history.run(SETUP);
    let made = credentials(&mut history, "bob", &["GetSessionToken"]);
    let key = made.access_key_id.to_string();
    let caller = open(&history, &made, &key, history.now()).unwrap();
    assert_eq!(lists_and_creates(&mut history, &caller), (true, false));
    history.run("root DetachUserPolicy bob aws/IAMReadOnlyAccess\nroot DeleteUser bob");
    assert_eq!(open(&history, &made, &key, history.now()), Err(SessionError::PrincipalGone));
    let root = credentials(&mut history, "root", &["GetSessionToken"]);
    assert_eq!(root.expires.since_ms(history.now()), 3_600_000);
}
