//! What a simulation says, and that it is what enforcement does.

use expect_test::expect;
use identity::{
    Ctx, Listing, Page, Principal, Query, Reply, authorize,
    simulate::{SimulatePrincipal, Simulated, Simulation},
};
use model::{Arn, Entropy};

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
                SimulatedPolicy { name: "PolicyInputList.1", problem: Json }
            root SimulateCustomPolicy - s3 allow:s3:*
                ActionName { action: "s3" }
            root SimulateCustomPolicy - s3:Get* allow:s3:*
                ActionName { action: "s3:Get*" }
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
