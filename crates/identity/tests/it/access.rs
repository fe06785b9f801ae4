//! Who may do what, and whose access a change of policies would change.

use std::collections::BTreeSet;

use expect_test::expect;
use identity::{
    CheckRequest, CompareAccess, NewVersion, Page, PolicyChange, WhoCan, check, compare_access,
    what_can, who_can,
};
use model::Arn;

use crate::{
    history::{ACCOUNT, History},
    parse::document,
};

const POLICY: &str = "arn:aws:iam::123456789012:policy/P";

/// Users, groups and a role, with policies of their own, of groups, contested and bounded.
fn account() -> History {
    let mut history = History::new();
    history.run(
        "root CreatePolicy P allow:s3:Get*
        root CreatePolicy Wide allow:*
        root CreatePolicy Limit allow:sqs:*
        root CreateGroup readers
        root CreateUser ann
        root CreateUser bob
        root CreateUser eve
        root CreateUser dan / limit:Limit
        root CreateRole ops trust:123456789012
        root AttachGroupPolicy readers P
        root AddUserToGroup readers ann
        root AddUserToGroup readers bob
        root AddUserToGroup readers dan
        root PutUserPolicy bob no deny:s3:GetObject
        root AttachUserPolicy eve P
        root AttachRolePolicy ops Wide
        sync",
    );
    history
}

fn who(history: &History, action: &str, max_items: usize) -> Vec<String> {
    let identity = &history.replicas[0].identity;
    let mut page = Page { marker: None, max_items };
    let mut found = Vec::new();
    loop {
        let (action, resource) = (action.to_owned(), "*".to_owned());
        let question = WhoCan { action, resource, context: Vec::new(), page: page.clone() };
        let listing = who_can(identity, history.now(), ACCOUNT.parse().unwrap(), &question);
        found.extend(listing.items.iter().map(|holder| holder.arn.to_string()));
        page.marker = listing.next;
        if page.marker.is_none() {
            return found;
        }
    }
}

#[test]
fn who_can_are_those_whom_a_check_allows_whatever_the_page() {
    let history = account();
    let all = ["root", "user/ann", "user/bob", "user/eve", "user/dan", "role/ops"];
    for action in ["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "iam:GetUser"] {
        let allowed: BTreeSet<String> = all
            .iter()
            .map(|one| Arn::iam(ACCOUNT, one).to_string())
            .filter(|principal| {
                let request = CheckRequest {
                    principal: principal.clone(),
                    action: action.to_owned(),
                    resource: "*".to_owned(),
                    context: Vec::new(),
                };
                let identity = &history.replicas[0].identity;
                let decision = check(identity, &history.accounts, history.now(), &request);
                decision.unwrap().is_allowed()
            })
            .collect();
        for max_items in [1, 2, 100] {
            let found = who(&history, action, max_items);
            assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), allowed, "{action}");
            assert_eq!(found.len(), allowed.len(), "{action}: once each");
        }
    }
    assert_eq!(who(&history, "s3:GetObject", 10).len(), 4);
}

#[test]
fn who_may_only_perhaps_can_not() {
    let mut history = account();
    assert!(who(&history, "s3:GetObject", 10).iter().any(|arn| arn.ends_with("user/eve")));
    history.run("a: root DetachUserPolicy eve P\nb: root AttachUserPolicy eve P\nsync");
    assert!(!who(&history, "s3:GetObject", 10).iter().any(|arn| arn.ends_with("user/eve")));
}

#[test]
fn what_a_principal_can_comes_from_its_groups_too() {
    let history = account();
    let identity = &history.replicas[0].identity;
    let ask = |principal: &str| {
        let access = what_can(identity, &history.accounts, history.now(), principal, &[]).unwrap();
        let mut text = format!("{} root {}\n", access.arn, access.root);
        for (service, grants) in access.services {
            for grant in grants {
                text += &format!(
                    "  {service}: {:?} {:?} limited by {}\n",
                    grant.actions,
                    grant.verdict,
                    grant.denials.len()
                );
            }
        }
        text
    };
    let arn = |name: &str| Arn::iam(ACCOUNT, name).to_string();
    let all: String =
        ["root", "user/bob", "user/dan", "role/ops"].map(|one| ask(&arn(one))).concat();
    expect![[r#"
        arn:aws:iam::123456789012:root root true
        arn:aws:iam::123456789012:user/bob root false
          s3: ["s3:Get*"] Allow limited by 1
        arn:aws:iam::123456789012:user/dan root false
          s3: ["s3:Get*"] ImplicitDeny { layer: Boundary } limited by 0
        arn:aws:iam::123456789012:role/ops root false
          *: ["*"] Allow limited by 0
    "#]]
    .assert_eq(&all);
    for nobody in ["user/absent", "group/readers"] {
        assert!(what_can(identity, &history.accounts, history.now(), &arn(nobody), &[]).is_err());
    }
}

fn differences(history: &History, change: PolicyChange) -> String {
    let question = CompareAccess { change, context: Vec::new(), page: Page::default() };
    let identity = &history.replicas[0].identity;
    let found = compare_access(identity, history.now(), ACCOUNT.parse().unwrap(), &question);
    match found {
        Ok(listing) => listing
            .items
            .iter()
            .map(|one| {
                format!(
                    "{} {} {}: {:?} -> {:?}\n",
                    one.principal, one.action, one.resource, one.before, one.after
                )
            })
            .collect(),
        Err(error) => format!("{error:?}\n"),
    }
}

#[test]
fn a_change_of_policies_is_told_by_whose_verdicts_it_changes_and_changes_nothing() {
    let mut history = account();
    history.run("root CreatePolicyVersion P allow:s3:Put*");
    let policy = || POLICY.parse().unwrap();
    let version = |from: Option<&str>, to: NewVersion| PolicyChange::Version {
        policy: policy(),
        from: from.map(str::to_owned),
        to,
    };
    let group = |attach: &[&str], detach: &[&str]| PolicyChange::Group {
        group: Arn::iam(ACCOUNT, "group/readers"),
        attach: attach.iter().map(|arn| arn.parse().unwrap()).collect(),
        detach: detach.iter().map(|arn| arn.parse().unwrap()).collect(),
    };
    let wide = "arn:aws:iam::123456789012:policy/Wide";
    let digest = history.replicas[0].identity.state().digest();
    let mut text = String::new();
    for (what, change) in [
        ("v1 to v2", version(None, NewVersion::Stored("v2".to_owned()))),
        ("v2 to v1", version(Some("v2"), NewVersion::Stored("v1".to_owned()))),
        ("a denial", version(None, NewVersion::Text(document("deny:s3:*")))),
        ("the same", version(None, NewVersion::Text(document("allow:s3:Get*")))),
        ("no policy", version(None, NewVersion::Text("{".to_owned()))),
        ("no version", version(None, NewVersion::Stored("v9".to_owned()))),
        ("attach", group(&[wide], &[])),
        ("detach", group(&[], &[POLICY])),
        ("one for the other", group(&[wide], &[POLICY])),
    ] {
        text += &format!("{what}\n{}", differences(&history, change));
    }
    expect![[r#"
        v1 to v2
        arn:aws:iam::123456789012:user/eve s3:Getx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/eve s3:Putx *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/bob s3:Getx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/bob s3:Putx *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/ann s3:Getx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/ann s3:Putx *: ImplicitDeny { layer: Identity } -> Allow
        v2 to v1
        arn:aws:iam::123456789012:user/eve s3:Getx *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/eve s3:Putx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/bob s3:Getx *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/bob s3:Putx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/ann s3:Getx *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/ann s3:Putx *: Allow -> ImplicitDeny { layer: Identity }
        a denial
        arn:aws:iam::123456789012:user/eve s3:Getx *: Allow -> ExplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/bob s3:Getx *: Allow -> ExplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/ann s3:Getx *: Allow -> ExplicitDeny { layer: Identity }
        the same
        no policy
        MalformedPolicyDocument { problem: Json, position: Some(Position { line: 1, column: 2 }) }
        no version
        NoSuchEntity { noun: PolicyVersion, name: "v9" }
        attach
        arn:aws:iam::123456789012:user/bob x:x *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/ann x:x *: ImplicitDeny { layer: Identity } -> Allow
        detach
        arn:aws:iam::123456789012:user/bob s3:Getx *: Allow -> ImplicitDeny { layer: Identity }
        arn:aws:iam::123456789012:user/ann s3:Getx *: Allow -> ImplicitDeny { layer: Identity }
        one for the other
        arn:aws:iam::123456789012:user/bob x:x *: ImplicitDeny { layer: Identity } -> Allow
        arn:aws:iam::123456789012:user/ann x:x *: ImplicitDeny { layer: Identity } -> Allow
    "#]]
    .assert_eq(&text);
    assert_eq!(history.replicas[0].identity.state().digest(), digest);
}
