//! When access keys were last used.

use expect_test::expect;
use identity::key_use::is_due;
use model::Timestamp;

use crate::history::{ACCOUNT, BEGIN_SECS, History, check_history};

#[test]
fn a_use_is_noted_by_nodes_alone_and_shown_to_who_may_ask() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateAccessKey bob
        root GetAccessKeyLastUsed key1
        bob NoteKeyUse key1 iam us-east-1
        root NoteKeyUse key1 iam us-east-1
        root GetAccessKeyLastUsed key1
        bob GetAccessKeyLastUsed key1
        root GetAccessKeyLastUsed AKIAIOSFODNN7EXAMPLE
        root@222222222222 GetAccessKeyLastUsed key1
        quiet root CreateAccessKey
        root GetAccessKeyLastUsed key2",
        expect![[r#"
            root GetAccessKeyLastUsed key1
                GetAccessKeyLastUsed(LastUsed { user: Some(UserName("bob")), used: None })
            bob NoteKeyUse key1 iam us-east-1
                AccessDenied { message: "Only nodes note uses of access keys" }
            root NoteKeyUse key1 iam us-east-1
                done
            root GetAccessKeyLastUsed key1
                GetAccessKeyLastUsed(LastUsed { user: Some(UserName("bob")), used: Some(KeyUse { at: T, service: "iam", region: "us-east-1" }) })
            bob GetAccessKeyLastUsed key1
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:GetAccessKeyLastUsed on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:GetAccessKeyLastUsed action" }
            root GetAccessKeyLastUsed AKIAIOSFODNN7EXAMPLE
                NoSuchEntity { noun: AccessKey, name: "AKIAIOSFODNN7EXAMPLE" }
            root@222222222222 GetAccessKeyLastUsed key1
                NoSuchEntity { noun: AccessKey, name: "AKIAYJPL7564O3RQQGJ3" }
            root GetAccessKeyLastUsed key2
                GetAccessKeyLastUsed(LastUsed { user: None, used: None })
        "#]],
    );
}

#[test]
fn of_uses_that_were_noted_at_once_the_last_holds() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateAccessKey bob
        sync
        quiet b: root NoteKeyUse key1 sts
        quiet a: root NoteKeyUse key1 iam us-east-1
        sync
        conflicts
        b: root GetAccessKeyLastUsed key1",
        expect![[r#"
            conflicts
                none
            b: root GetAccessKeyLastUsed key1
                GetAccessKeyLastUsed(LastUsed { user: Some(UserName("bob")), used: Some(KeyUse { at: T, service: "iam", region: "us-east-1" }) })
        "#]],
    );
}

#[test]
fn a_key_that_is_deleted_while_it_is_used_is_gone() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateAccessKey bob
        sync
        quiet a: root DeleteAccessKey bob key1
        quiet b: root NoteKeyUse key1 iam us-east-1
        sync
        conflicts
        auth key1
        root GetAccessKeyLastUsed key1
        quiet root DeleteUser bob
        collect",
        expect![[r#"
            conflicts
                none
            auth key1
                no
            root GetAccessKeyLastUsed key1
                NoSuchEntity { noun: AccessKey, name: "AKIAYJPL7564O3RQQGJ3" }
            collect
                0 slots
        "#]],
    );
}

#[test]
fn a_use_is_due_four_hours_after_that_which_is_known() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot CreateAccessKey bob");
    let key = history.made_keys[0].parse().unwrap();
    let due = |history: &History, secs: u64| {
        let identity = &history.replicas[0].identity;
        is_due(identity, ACCOUNT.parse().unwrap(), key, Timestamp::from_secs(BEGIN_SECS + secs))
    };
    assert!(due(&history, 3));
    history.run("root NoteKeyUse key1 iam us-east-1");
    assert!(!due(&history, 3) && !due(&history, 0));
    assert!(!due(&history, 3 + 4 * 3600 - 1) && due(&history, 3 + 4 * 3600));
}
