//! What a simulation says, and that it is what enforcement does.

use std::fmt::Write as _;

use expect_test::expect;
use identity::{
    Ctx, Error, Listing, Page, Principal, Query, Reply, SimulationFault, authorize,
    simulate::{SimulatePrincipal, Simulated, Simulation, UserArn},
};
use model::{Arn, Entropy};
use policy::Verdict;

use crate::{
    history::{ACCOUNT, History, check_history},
    parse::document,
};

#[test]
fn a_simulation_says_which_statements_decide_and_what_the_boundary_allows() {
    check_history(
        "quiet root CreateGroup g
        quiet root CreateUser bob
        quiet root PutGroupPolicy g in allow:s3:*
        quiet root AddUserToGroup g bob
        root SimulatePrincipalPolicy user/bob s3:GetObject
        root SimulatePrincipalPolicy group/g s3:GetObject
        root SimulatePrincipalPolicy user/bob s3:GetObject deny:s3:*
        root SimulatePrincipalPolicy user/bob s3:GetObject allow:* allow:sqs:*
        root SimulateCustomPolicy - s3:GetObject allow:s3:*
        root SimulateCustomPolicy - s3:GetObject bad
        root SimulateCustomPolicy - s3 allow:s3:*
        root SimulateCustomPolicy - s3:Get* allow:s3:*
        root SimulatePrincipalPolicy user/absent s3:GetObject
        root SimulatePrincipalPolicy group/x/g s3:GetObject
        root@222222222222 SimulatePrincipalPolicy user/bob s3:GetObject
        bob SimulatePrincipalPolicy user/bob s3:GetObject
        bob SimulatePrincipalPolicy user/absent s3:GetObject",
        expect![[r#"
            root SimulatePrincipalPolicy user/bob s3:GetObject
                SimulatePrincipalPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: Allow, statements: [SimulatedStatement { label: Inline { owner_arn: "arn:aws:iam::123456789012:group/g", name: "in" }, position: Some((Position { line: 2, column: 13 }, Position { line: 2, column: 61 })) }], missing: [], boundary_allows: None }], next: None })
            root SimulatePrincipalPolicy group/g s3:GetObject
                SimulatePrincipalPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: Allow, statements: [SimulatedStatement { label: Inline { owner_arn: "arn:aws:iam::123456789012:group/g", name: "in" }, position: Some((Position { line: 2, column: 13 }, Position { line: 2, column: 61 })) }], missing: [], boundary_allows: None }], next: None })
            root SimulatePrincipalPolicy user/bob s3:GetObject deny:s3:*
                SimulatePrincipalPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: ExplicitDeny { layer: Identity }, statements: [SimulatedStatement { label: Input { name: "PolicyInputList.1" }, position: Some((Position { line: 2, column: 13 }, Position { line: 2, column: 60 })) }], missing: [], boundary_allows: None }], next: None })
            root SimulatePrincipalPolicy user/bob s3:GetObject allow:* allow:sqs:*
                SimulatePrincipalPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: ImplicitDeny { layer: Boundary }, statements: [], missing: [], boundary_allows: Some(false) }], next: None })
            root SimulateCustomPolicy - s3:GetObject allow:s3:*
                SimulateCustomPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: Allow, statements: [SimulatedStatement { label: Input { name: "PolicyInputList.1" }, position: Some((Position { line: 2, column: 13 }, Position { line: 2, column: 61 })) }], missing: [], boundary_allows: None }], next: None })
            root SimulateCustomPolicy - s3:GetObject bad
                Simulation(Policy { name: "PolicyInputList.1", problem: Json })
            root SimulateCustomPolicy - s3 allow:s3:*
                Simulation(ActionName { action: "s3" })
            root SimulateCustomPolicy - s3:Get* allow:s3:*
                Simulation(ActionName { action: "s3:Get*" })
            root SimulatePrincipalPolicy user/absent s3:GetObject
                NoSuchEntity { noun: Principal, name: "arn:aws:iam::123456789012:user/absent" }
            root SimulatePrincipalPolicy group/x/g s3:GetObject
                NoSuchEntity { noun: Principal, name: "arn:aws:iam::123456789012:group/x/g" }
            root@222222222222 SimulatePrincipalPolicy user/bob s3:GetObject
                NoSuchEntity { noun: Principal, name: "arn:aws:iam::123456789012:user/bob" }
            bob SimulatePrincipalPolicy user/bob s3:GetObject
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:SimulatePrincipalPolicy on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:SimulatePrincipalPolicy action" }
            bob SimulatePrincipalPolicy user/absent s3:GetObject
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:SimulatePrincipalPolicy on resource: arn:aws:iam::123456789012:user/absent because no identity-based policy allows the iam:SimulatePrincipalPolicy action" }
        "#]],
    );
}

#[test]
fn the_condition_keys_of_a_principals_policies_are_found_in_its_groups_and_boundary() {
    let conditional = |key: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*",
            "Resource":"*","Condition":{{"StringEquals":{{"{key}":"${{aws:username}}"}}}}}}}}"#
        )
        .replace([' ', '\n'], "")
    };
    let mut history = History::new();
    history.run(&format!("root CreatePolicy L {}", conditional("aws:PrincipalTag/l")));
    history.run("root CreateGroup g\nroot CreateUser bob / limit:L\nroot AddUserToGroup g bob");
    history.run(&format!("root PutGroupPolicy g in {}", conditional("aws:SourceIp")));
    history.run(&format!("root PutUserPolicy bob in {}", conditional("AWS:sourceip")));
    let more = conditional("s3:prefix");
    let mut said = String::new();
    for call in ["PrincipalPolicy user/bob", "PrincipalPolicy group/g", "CustomPolicy -"] {
        said += &history.run(&format!("root GetContextKeysFor{call} {more}"));
    }
    said += &history.run("root SimulatePrincipalPolicy user/bob s3:GetObject");
    let said = said.replace(&more, "POLICY");
    expect![[r#"
        root GetContextKeysForPrincipalPolicy user/bob POLICY
            GetContextKeysForPrincipalPolicy(["aws:PrincipalTag/l", "AWS:sourceip", "aws:username", "s3:prefix"])
        root GetContextKeysForPrincipalPolicy group/g POLICY
            GetContextKeysForPrincipalPolicy(["aws:SourceIp", "aws:username", "s3:prefix"])
        root GetContextKeysForCustomPolicy - POLICY
            GetContextKeysForCustomPolicy(["aws:username", "s3:prefix"])
        root SimulatePrincipalPolicy user/bob s3:GetObject
            SimulatePrincipalPolicy(Listing { items: [Simulated { action: "s3:GetObject", resource: "*", verdict: ImplicitDeny { layer: Identity }, statements: [], missing: ["aws:PrincipalTag/l", "AWS:sourceip"], boundary_allows: Some(false) }], next: None })
    "#]].assert_eq(&said);
}

/// One page of what a principal's simulation says.
fn simulate(history: &History, source: &str, simulation: Simulation) -> Listing<Simulated> {
    let root = history.caller(0, "root");
    let query = SimulatePrincipal { source: Arn::iam(ACCOUNT, source), simulation };
    match history.query(0, &root, &Query::SimulatePrincipalPolicy(query)) {
        Ok(Reply::SimulatePrincipalPolicy(listing)) => listing,
        other => panic!("{source}: {other:?}"),
    }
}

fn question(actions: &[&str], resources: &[&str]) -> Simulation {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Simulation {
        actions: owned(actions),
        resources: owned(resources),
        policies: Vec::new(),
        boundaries: Vec::new(),
        context: Vec::new(),
        caller: None,
        resource_policy: None,
        resource_owner: None,
        page: Page::default(),
    }
}

#[test]
fn pages_of_a_simulation_together_are_each_pair_once() {
    let mut history = History::new();
    history.run("root CreateUser bob");
    let (actions, resources) = (["s3:A", "s3:B", "s3:C"], ["*", "arn:aws:s3:::b"]);
    for max_items in 1..=7 {
        let mut asked = question(&actions, &resources);
        asked.page.max_items = max_items;
        let mut pairs = Vec::new();
        loop {
            let Listing { items, next } = simulate(&history, "user/bob", asked.clone());
            pairs.extend(items.into_iter().map(|item| (item.action, item.resource)));
            asked.page.marker = next;
            if asked.page.marker.is_none() {
                break;
            }
        }
        let expected = actions.iter().flat_map(|action| resources.map(|r| (*action, r)));
        assert!(pairs.iter().map(|(a, r)| (a.as_str(), r.as_str())).eq(expected), "{pairs:?}");
    }
}

/// Allows within limits that conditions draw.
const CONDITIONAL: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":["s3:*","iam:*"],"Resource":"*",
     "Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}},
    {"Effect":"Allow","Action":"sqs:*","Resource":"arn:aws:sqs:::${aws:username}",
     "Condition":{"Bool":{"s3:flag":"true"}}},
    {"Effect":"Deny","Action":"s3:Put*","Resource":"*",
     "Condition":{"StringNotEquals":{"s3:flag":"true"}}}]}"#;

/// Every principal of a state with contests, on every action, resource and condition.
#[test]
fn a_simulation_says_what_is_enforced() {
    let mut history = History::new();
    let conditional: String = CONDITIONAL.lines().map(str::trim).collect();
    let users = ["plain", "tagged", "bounded", "grouped", "torn", "twice"];
    for user in users {
        history.run(&format!("root CreateUser {user}\nroot CreateAccessKey {user}"));
        history.run(&format!("root PutUserPolicy {user} in {conditional}"));
    }
    history.run(
        "root CreatePolicy S allow:s3:*
        root CreatePolicy G allow:*:Get*
        root CreateGroup all
        root AttachGroupPolicy all aws/AdministratorAccess
        root AddUserToGroup all grouped
        root AddUserToGroup all torn
        root AddUserToGroup all twice
        root TagUser tagged team=a
        root TagUser bounded team=a
        root PutUserPermissionsBoundary bounded S
        sync
        a: root AddUserToGroup all torn
        b: root RemoveUserFromGroup all torn
        a: root PutUserPermissionsBoundary twice S
        b: root PutUserPermissionsBoundary twice G
        a: root CreateUser rival
        a: root PutUserPolicy rival in allow:*
        b: root CreateUser Rival
        sync",
    );
    let actions = ["s3:GetObject", "s3:PutObject", "sqs:GetUrl", "iam:GetUser", "S3:getobject"];
    let resources = ["*", "arn:aws:sqs:::plain", "arn:aws:s3:::b/k"];
    let mut allowed = 0;
    for user in users.into_iter().chain(["rival"]) {
        for flag in ["true", "false", ""] {
            let given: Vec<(String, Vec<String>)> =
                vec![("s3:flag".to_owned(), vec![flag.to_owned()])];
            let asked = Simulation { context: given.clone(), ..question(&actions, &resources) };
            for Simulated { action, resource, verdict, .. } in
                simulate(&history, &format!("user/{user}"), asked).items
            {
                let caller = history.caller(0, user);
                assert!(matches!(caller.principal, Principal::User(_)));
                let entropy = Entropy::new([0; 32]);
                let ctx = Ctx {
                    now: history.now(),
                    entropy: &entropy,
                    caller: &caller,
                    request: &history.request,
                    keys: &history.keys,
                    accounts: &history.accounts,
                };
                let identity = &history.replicas[0].identity;
                let enforced = authorize(identity, &ctx, &action, &resource, &given);
                let simulated = format!("{verdict:?}") == "Allow";
                assert_eq!(simulated, enforced.is_ok(), "{user} {action} {resource} {flag}");
                allowed += usize::from(simulated);
            }
        }
    }
    assert!(allowed > 20, "{allowed}");
}

#[test]
fn given_policies_count_as_if_they_were_attached() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot PutUserPolicy bob in allow:s3:*");
    for given in ["allow:sqs:*", "deny:s3:Put*", "allow:*"] {
        let actions = ["s3:GetObject", "s3:PutObject", "sqs:GetUrl"];
        let asked = Simulation { policies: vec![document(given)], ..question(&actions, &[]) };
        let simulated = simulate(&history, "user/bob", asked);
        history.run(&format!("root PutUserPolicy bob more {given}"));
        let attached = simulate(&history, "user/bob", question(&actions, &[]));
        history.run("root DeleteUserPolicy bob more");
        let verdicts = |listing: Listing<Simulated>| {
            listing.items.into_iter().map(|item| item.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(simulated), verdicts(attached), "{given}");
    }
}

const BUCKET_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/bob"},
     "Action":"s3:GetObject","Resource":"*"},
    {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/gone"},
     "Action":"s3:GetAcl","Resource":"*"},
    {"Effect":"Allow","Principal":{"AWS":"123456789012"},
     "Action":["s3:PutObject","s3:ListBucket"],"Resource":"*"},
    {"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"*"}]}"#;

/// What a policy of the resource makes of each question, one a line.
#[test]
fn a_resource_policy_grants_its_own_account_and_is_one_of_two_sides_for_others() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root PutUserPolicy bob in allow:s3:Put*
        root CreateUser eve
        root PutUserPolicy eve in allow:s3:*
        root CreateRole ops trust:123456789012",
    );
    let actions = ["s3:GetObject", "s3:GetAcl", "s3:PutObject", "s3:ListBucket", "s3:DeleteObject"];
    let named = |text: &str| UserArn::of(Arn::iam(ACCOUNT, text));
    let mut said = String::new();
    let mut ask = |what: &str, source: &str, caller: Option<UserArn>, owner: Option<&str>| {
        let asked = Simulation {
            caller,
            resource_policy: Some(BUCKET_POLICY.to_owned()),
            resource_owner: owner.map(|owner| owner.parse().unwrap()),
            ..question(&actions, &["arn:aws:s3:::b/k"])
        };
        let results = simulate(&history, source, asked).items;
        let letter = |item: &Simulated| match item.verdict {
            Verdict::Allow => "allow",
            Verdict::ExplicitDeny { .. } => "DENY",
            Verdict::ImplicitDeny { .. } => "no",
        };
        let letters: Vec<&str> = results.iter().map(letter).collect();
        writeln!(said, "{what}: {}", letters.join(" ")).unwrap();
    };
    ask("bob", "user/bob", None, None);
    ask("eve", "user/eve", None, None);
    ask("bob with eve's policies", "user/eve", named("user/bob"), None);
    ask("eve with bob's policies", "user/bob", named("user/eve"), None);
    ask("who does not exist", "user/bob", named("user/gone"), None);
    ask("who has the name at another path", "user/bob", named("user/x/bob"), None);
    ask("bob, with the role's policies", "role/ops", named("user/bob"), None);
    ask("bob, at another account's", "user/bob", None, Some("222222222222"));
    ask("eve, at another account's", "user/eve", None, Some("222222222222"));
    expect![[r#"
        bob: allow no allow no DENY
        eve: allow allow allow allow DENY
        bob with eve's policies: allow allow allow allow DENY
        eve with bob's policies: no no allow no DENY
        who does not exist: no allow allow no DENY
        who has the name at another path: no no allow no DENY
        bob, with the role's policies: allow no no no DENY
        bob, at another account's: no no allow no DENY
        eve, at another account's: no no allow allow DENY
    "#]]
    .assert_eq(&said);

    let role = SimulatePrincipal {
        source: Arn::iam(ACCOUNT, "role/ops"),
        simulation: Simulation {
            resource_policy: Some(BUCKET_POLICY.to_owned()),
            ..question(&actions, &[])
        },
    };
    let root = history.caller(0, "root");
    let refused = history.query(0, &root, &Query::SimulatePrincipalPolicy(role));
    assert_eq!(refused, Err(Error::Simulation(SimulationFault::NoCaller)));
}

#[test]
fn a_resource_that_names_its_account_is_owned_by_it() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot PutUserPolicy bob in allow:sqs:*");
    let resources = ["arn:aws:sqs:eu-1:123456789012:q", "arn:aws:sqs:eu-1:222222222222:q", "*"];
    let asked = Simulation {
        resource_policy: Some(
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:Send","Resource":"*"}}"#
                .to_owned(),
        ),
        resource_owner: Some("222222222222".parse().unwrap()),
        ..question(&["sqs:Send", "sqs:Purge"], &resources)
    };
    let results = simulate(&history, "user/bob", asked).items;
    let allowed: Vec<bool> = results.iter().map(|item| item.verdict == Verdict::Allow).collect();
    // Of another account's, what its policy does not allow is refused; of its own, bob's do.
    assert_eq!(allowed, [true, true, true, true, false, false]);
}

#[test]
fn a_caller_is_known_by_its_arn_alone() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot CreateUser eve\nroot TagUser eve team=a");
    let conditional = |key: &str, value: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
            "Condition":{{"StringEquals":{{"{key}":"{value}"}}}}}}}}"#
        )
    };
    for (key, value, allowed) in [
        ("aws:username", "eve", true),
        ("aws:username", "bob", false),
        ("aws:PrincipalArn", "arn:aws:iam::123456789012:user/eve", true),
        ("aws:PrincipalType", "User", true),
        // Else whoever may simulate could find out any user's tags.
        ("aws:PrincipalTag/team", "a", false),
    ] {
        let asked = Simulation {
            caller: UserArn::of(Arn::iam(ACCOUNT, "user/eve")),
            policies: vec![conditional(key, value)],
            context: vec![("aws:username".to_owned(), vec!["bob".to_owned()])],
            ..question(&["s3:GetObject"], &[])
        };
        let [result] = &simulate(&history, "user/bob", asked).items[..] else { panic!("{key}") };
        assert_eq!(result.verdict == Verdict::Allow, allowed, "{key} {value}");
    }
    for none in ["role/eve", "user/", "user", "root", "group/eve", "user/a b"] {
        assert_eq!(UserArn::of(Arn::iam(ACCOUNT, none)), None, "{none}");
    }
}

/// Who is asked about as a session, or has a contested name, goes no further by the resource's
/// policy than it surely does.
#[test]
fn a_resource_policy_is_read_narrowly() {
    let mut history = History::new();
    history.run(
        "root CreatePolicy sqs allow:sqs:*
        root CreateUser bob
        root PutUserPermissionsBoundary bob sqs
        root CreateUser torn
        sync
        a: root UpdateUser torn x
        b: root UpdateUser torn y
        sync",
    );
    let policy = |name: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
            "Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/{name}"}}}}}}"#
        )
    };
    let issued =
        || vec![("aws:TokenIssueTime".to_owned(), vec!["2026-01-01T00:00:00Z".to_owned()])];
    for (source, name, context, allowed) in [
        ("user/bob", "bob", Vec::new(), true),
        ("user/bob", "bob", issued(), false),
        ("user/x", "x", Vec::new(), false),
        ("user/x", "y", Vec::new(), false),
    ] {
        let asked = Simulation {
            resource_policy: Some(policy(name)),
            context,
            ..question(&["s3:GetObject"], &["arn:aws:s3:::b/k"])
        };
        let [result] = &simulate(&history, source, asked).items[..] else { panic!("{source}") };
        assert_eq!(result.verdict == Verdict::Allow, allowed, "{source} {name}");
    }
}
