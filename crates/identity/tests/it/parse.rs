//! Calls as words.
//!
//! Documents are written `allow:ACTION`, `deny:ACTION` (resource `*`), `trust:PRINCIPAL`, or `bad`;
//! a session's managed policies `arns:P,aws/Q`, a permissions boundary of a user or role that is
//! created `limit:P`.

use identity::{
    Command, ListByPath, Page, Password, Query, Rename, access_key as k, account as c,
    attachment as at, authorization_message as am, boundary as b, federated_user as fu, group as g,
    inline as i, instance_profile as ip, login_profile as lp, password_policy as pp, policy as p,
    role as r, simulate as si, sts, tag as t, user as u,
};

use crate::{history::ACCOUNT, parse_credentials, parse_mfa, parse_providers};

/// A command or a query.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Command(Command),
    Query(Query),
}

pub(crate) fn document(text: &str) -> String {
    let statement = |effect: &str, action: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":
            {{"Effect":"{effect}","Action":"{action}","Resource":"*"}}}}"#
        )
    };
    match text.split_once(':') {
        Some(("allow", action)) => statement("Allow", action),
        Some(("deny", action)) => statement("Deny", action),
        Some(("trust", principal)) => format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
            "Principal":{{"AWS":"{principal}"}},
            "Action":["sts:AssumeRole","sts:TagSession"]}}}}"#
        ),
        _ => text.to_owned(),
    }
}

/// `NAME` is a policy of the account, `aws/NAME` one of AWS's, anything with colons an ARN.
fn arn(text: &str) -> p::PolicyArn {
    let text = match text.strip_prefix("aws/") {
        _ if text.contains(':') => text.to_owned(),
        Some(name) => format!("arn:aws:iam::aws:policy/{name}"),
        None => format!("arn:aws:iam::{ACCOUNT}:policy/{text}"),
    };
    text.parse().unwrap()
}

pub(crate) fn name<N: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> N {
    text.parse().unwrap()
}

pub(crate) fn tags(texts: &[&str]) -> Vec<t::Tag> {
    let tag = |text: &&str| {
        let (key, value) = text.split_once('=').unwrap();
        t::Tag { key: name(key), value: name(value) }
    };
    texts.iter().map(tag).collect()
}

/// The boundary and the tags at the end of a call.
fn rest<'a>(a: &'a [&'a str]) -> (Option<p::PolicyArn>, &'a [&'a str]) {
    match a.split_first() {
        Some((first, tags)) if first.starts_with("limit:") => (Some(arn(&first[6..])), tags),
        _ => (None, a),
    }
}

fn limit<N: std::str::FromStr<Err: std::fmt::Debug>>(arguments: &[&str]) -> b::PutBoundary<N> {
    b::PutBoundary { owner: name(arguments[0]), policy: arn(arguments[1]) }
}

fn version(arguments: &[&str]) -> p::VersionOf {
    p::VersionOf { arn: arn(arguments[0]), version: name(arguments[1]) }
}

pub(crate) fn page() -> Page {
    Page::default()
}

fn list() -> ListByPath {
    ListByPath { path_prefix: name("/"), page: page() }
}

fn put<N: std::str::FromStr<Err: std::fmt::Debug>>(arguments: &[&str]) -> i::Put<N> {
    i::Put { owner: name(arguments[0]), name: name(arguments[1]), document: document(arguments[2]) }
}

fn one<N: std::str::FromStr<Err: std::fmt::Debug>>(arguments: &[&str]) -> i::OneOf<N> {
    i::OneOf { owner: name(arguments[0]), name: name(arguments[1]) }
}

fn edge<N: std::str::FromStr<Err: std::fmt::Debug>>(arguments: &[&str]) -> at::Edge<N> {
    at::Edge { owner: name(arguments[0]), policy: arn(arguments[1]) }
}

fn attached<N: std::str::FromStr<Err: std::fmt::Debug>>(owner: &str) -> at::ListAttached<N> {
    at::ListAttached { owner: name(owner), path_prefix: name("/"), page: page() }
}

fn rename<N: std::str::FromStr<Err: std::fmt::Debug>>(arguments: &[&str]) -> Rename<N> {
    Rename {
        name: name(arguments[0]),
        new_name: arguments.get(1).map(|text| name(text)),
        new_path: arguments.get(2).map(|text| name(text)),
    }
}

fn membership(arguments: &[&str]) -> g::Membership {
    g::Membership { group: name(arguments[0]), user: name(arguments[1]) }
}

/// `keyN` is the Nth access key or credential of a user that was made.
pub(crate) fn made_id(text: &str, made: &[String]) -> String {
    match text.strip_prefix("key") {
        Some(number) => made[number.parse::<usize>().unwrap() - 1].clone(),
        None => text.to_owned(),
    }
}

fn key(arguments: &[&str], made: &[String]) -> (Option<model::UserName>, String) {
    let id = |text: &str| made_id(text, made);
    match arguments {
        ["-", key, ..] => (None, id(key)),
        [user, key, ..] => (Some(name(user)), id(key)),
        _ => panic!("a user and a key"),
    }
}

pub(crate) fn parse(action: &str, a: &[&str], made: &[String]) -> Call {
    command(action, a, made)
        .or_else(|| password_command(action, a))
        .or_else(|| profile_command(action, a))
        .or_else(|| parse_credentials::command(action, a, made))
        .or_else(|| parse_providers::command(action, a))
        .or_else(|| parse_mfa::command(action, a, made))
        .map(Call::Command)
        .or_else(|| query(action, a).map(Call::Query))
        .or_else(|| profile_query(action, a).map(Call::Query))
        .or_else(|| parse_credentials::query(action, a, made).map(Call::Query))
        .or_else(|| parse_providers::query(action, a).map(Call::Query))
        .or_else(|| parse_mfa::query(action, a).map(Call::Query))
        .unwrap_or_else(|| panic!("no action: {action}"))
}

fn password(text: &str) -> Password {
    Password::new(model::Secret::new(text.to_owned()))
}

fn reset(text: &str) -> lp::Reset {
    match text {
        "reset" => lp::Reset::Required,
        _ => lp::Reset::NotRequired,
    }
}

/// A least length, then `symbols,numbers,uppercase,lowercase,change,age:N,reuse:N`, any of them.
fn password_policy(a: &[&str]) -> pp::PasswordPolicy {
    let words: Vec<&str> = a.get(1).map(|words| words.split(',').collect()).unwrap_or_default();
    let has = |word: &str| words.contains(&word);
    let number = |word: &str| {
        let found = words.iter().find_map(|text| text.strip_prefix(word)?.strip_prefix(':'));
        found.map(|number| number.parse().unwrap())
    };
    pp::PasswordPolicy {
        minimum_length: a[0].parse().unwrap(),
        require_symbols: has("symbols"),
        require_numbers: has("numbers"),
        require_uppercase: has("uppercase"),
        require_lowercase: has("lowercase"),
        allow_users_to_change: has("change"),
        max_age_days: number("age"),
        reuse_prevention: number("reuse"),
        hard_expiry: has("hard"),
    }
}

pub(crate) fn optional_user(arguments: &[&str]) -> Option<model::UserName> {
    arguments.first().map(|text| name(text))
}

fn command(action: &str, a: &[&str], made: &[String]) -> Option<Command> {
    use Command as C;
    Some(match action {
        "CreateUser" => C::CreateUser(u::CreateUser {
            name: name(a[0]),
            path: name(a.get(1).copied().unwrap_or("/")),
            boundary: rest(a.get(2..).unwrap_or_default()).0,
            tags: tags(rest(a.get(2..).unwrap_or_default()).1),
        }),
        "UpdateUser" => C::UpdateUser(rename(a)),
        "DeleteUser" => C::DeleteUser(u::DeleteUser { name: name(a[0]) }),
        "CreateGroup" => C::CreateGroup(g::CreateGroup { name: name(a[0]), path: name("/") }),
        "UpdateGroup" => C::UpdateGroup(rename(a)),
        "DeleteGroup" => C::DeleteGroup(g::DeleteGroup { name: name(a[0]) }),
        "AddUserToGroup" => C::AddUserToGroup(membership(a)),
        "RemoveUserFromGroup" => C::RemoveUserFromGroup(membership(a)),
        "CreateRole" => C::CreateRole(r::CreateRole {
            name: name(a[0]),
            path: name("/"),
            trust_policy: document(a[1]),
            description: None,
            max_session_duration: None,
            boundary: rest(a.get(2..).unwrap_or_default()).0,
            tags: tags(rest(a.get(2..).unwrap_or_default()).1),
        }),
        "UpdateRole" => C::UpdateRole(r::UpdateRole {
            name: name(a[0]),
            description: a.get(2).map(|text| name(text)),
            max_session_duration: Some(r::MaxSessionDuration::new(a[1].parse().unwrap()).unwrap()),
        }),
        "UpdateRoleDescription" => C::UpdateRoleDescription(r::UpdateRoleDescription {
            name: name(a[0]),
            description: name(a[1]),
        }),
        "UpdateAssumeRolePolicy" => C::UpdateAssumeRolePolicy(r::UpdateAssumeRolePolicy {
            name: name(a[0]),
            trust_policy: document(a[1]),
        }),
        "DeleteRole" => C::DeleteRole(r::DeleteRole { name: name(a[0]) }),
        "CreateAccessKey" => C::CreateAccessKey(k::CreateAccessKey { user: optional_user(a) }),
        "UpdateAccessKey" => {
            let (user, key_id) = key(a, made);
            C::UpdateAccessKey(k::UpdateAccessKey { user, key_id, status: name(a[2]) })
        }
        "DeleteAccessKey" => {
            let (user, key_id) = key(a, made);
            C::DeleteAccessKey(k::DeleteAccessKey { user, key_id })
        }
        "TagUser" => C::TagUser(t::AddTags { owner: name(a[0]), tags: tags(&a[1..]) }),
        "TagRole" => C::TagRole(t::AddTags { owner: name(a[0]), tags: tags(&a[1..]) }),
        "TagPolicy" => C::TagPolicy(t::AddTags { owner: arn(a[0]), tags: tags(&a[1..]) }),
        "UntagUser" => C::UntagUser(t::RemoveTags { owner: name(a[0]), keys: vec![name(a[1])] }),
        "UntagRole" => C::UntagRole(t::RemoveTags { owner: name(a[0]), keys: vec![name(a[1])] }),
        "UntagPolicy" => C::UntagPolicy(t::RemoveTags { owner: arn(a[0]), keys: vec![name(a[1])] }),
        "CreateAccountAlias" => C::CreateAccountAlias(c::Alias { alias: name(a[0]) }),
        "DeleteAccountAlias" => C::DeleteAccountAlias(c::Alias { alias: name(a[0]) }),
        _ => return policy_command(action, a),
    })
}

fn role_in_profile(a: &[&str]) -> ip::RoleInProfile {
    ip::RoleInProfile { profile: name(a[0]), role: name(a[1]) }
}

fn profile_command(action: &str, a: &[&str]) -> Option<Command> {
    use Command as C;
    let one = || ip::OneInstanceProfile { name: name(a[0]) };
    Some(match action {
        "CreateInstanceProfile" => C::CreateInstanceProfile(ip::CreateInstanceProfile {
            name: name(a[0]),
            path: name("/"),
            tags: tags(&a[1..]),
        }),
        "DeleteInstanceProfile" => C::DeleteInstanceProfile(one()),
        "AddRoleToInstanceProfile" => C::AddRoleToInstanceProfile(role_in_profile(a)),
        "RemoveRoleFromInstanceProfile" => C::RemoveRoleFromInstanceProfile(role_in_profile(a)),
        "TagInstanceProfile" => {
            C::TagInstanceProfile(t::AddTags { owner: name(a[0]), tags: tags(&a[1..]) })
        }
        "UntagInstanceProfile" => {
            C::UntagInstanceProfile(t::RemoveTags { owner: name(a[0]), keys: vec![name(a[1])] })
        }
        _ => return None,
    })
}

fn profile_query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetInstanceProfile" => Q::GetInstanceProfile(ip::OneInstanceProfile { name: name(a[0]) }),
        "ListInstanceProfiles" => Q::ListInstanceProfiles(list()),
        "ListInstanceProfilesForRole" => {
            Q::ListInstanceProfilesForRole(ip::ListForRole { role: name(a[0]), page: page() })
        }
        "ListInstanceProfileTags" => {
            Q::ListInstanceProfileTags(t::ListTags { owner: name(a[0]), page: page() })
        }
        _ => return None,
    })
}

fn password_command(action: &str, a: &[&str]) -> Option<Command> {
    use Command as C;
    Some(match action {
        "CreateLoginProfile" => C::CreateLoginProfile(lp::CreateLoginProfile {
            user: optional_user(a),
            password: a.get(1).map(|text| password(text)),
            reset: a.get(2).map_or(lp::Reset::NotRequired, |text| reset(text)),
        }),
        "UpdateLoginProfile" => C::UpdateLoginProfile(lp::UpdateLoginProfile {
            user: name(a[0]),
            password: (a[1] != "-").then(|| password(a[1])),
            reset: a.get(2).map(|text| reset(text)),
        }),
        "DeleteLoginProfile" => {
            C::DeleteLoginProfile(lp::OneLoginProfile { user: optional_user(a) })
        }
        "ChangePassword" => {
            C::ChangePassword(lp::ChangePassword { old: password(a[0]), new: password(a[1]) })
        }
        "UpdateAccountPasswordPolicy" => C::UpdateAccountPasswordPolicy(password_policy(a)),
        "DeleteAccountPasswordPolicy" => C::DeleteAccountPasswordPolicy(pp::DeletePasswordPolicy),
        _ => return None,
    })
}

fn policy_command(action: &str, a: &[&str]) -> Option<Command> {
    use Command as C;
    Some(match action {
        "CreatePolicy" => C::CreatePolicy(p::CreatePolicy {
            name: name(a[0]),
            path: name("/"),
            document: document(a[1]),
            description: None,
            tags: tags(a.get(2..).unwrap_or_default()),
        }),
        "DeletePolicy" => C::DeletePolicy(p::DeletePolicy { arn: arn(a[0]) }),
        "CreatePolicyVersion" => C::CreatePolicyVersion(p::CreatePolicyVersion {
            arn: arn(a[0]),
            document: document(a[1]),
            effect: match a.get(2) {
                Some(_) => p::NewVersion::Default,
                None => p::NewVersion::Kept,
            },
        }),
        "DeletePolicyVersion" => C::DeletePolicyVersion(version(a)),
        "SetDefaultPolicyVersion" => C::SetDefaultPolicyVersion(version(a)),
        "PutUserPolicy" => C::PutUserPolicy(put(a)),
        "PutGroupPolicy" => C::PutGroupPolicy(put(a)),
        "PutRolePolicy" => C::PutRolePolicy(put(a)),
        "DeleteUserPolicy" => C::DeleteUserPolicy(one(a)),
        "DeleteGroupPolicy" => C::DeleteGroupPolicy(one(a)),
        "DeleteRolePolicy" => C::DeleteRolePolicy(one(a)),
        "PutUserPermissionsBoundary" => C::PutUserPermissionsBoundary(limit(a)),
        "PutRolePermissionsBoundary" => C::PutRolePermissionsBoundary(limit(a)),
        "DeleteUserPermissionsBoundary" => {
            C::DeleteUserPermissionsBoundary(b::DeleteBoundary { owner: name(a[0]) })
        }
        "DeleteRolePermissionsBoundary" => {
            C::DeleteRolePermissionsBoundary(b::DeleteBoundary { owner: name(a[0]) })
        }
        "AttachUserPolicy" => C::AttachUserPolicy(edge(a)),
        "AttachGroupPolicy" => C::AttachGroupPolicy(edge(a)),
        "AttachRolePolicy" => C::AttachRolePolicy(edge(a)),
        "DetachUserPolicy" => C::DetachUserPolicy(edge(a)),
        "DetachGroupPolicy" => C::DetachGroupPolicy(edge(a)),
        "DetachRolePolicy" => C::DetachRolePolicy(edge(a)),
        _ => return None,
    })
}

/// The document that a session is limited by, unless policies or `-` stand there.
fn session_policy(word: Option<&&str>) -> Option<String> {
    word.filter(|text| **text != "-" && !text.starts_with("arns:")).map(|text| document(text))
}

fn session_policy_arns(word: Option<&&str>) -> Vec<p::PolicyArn> {
    let texts = word.and_then(|text| text.strip_prefix("arns:"));
    texts.map(|texts| texts.split(',').map(arn).collect()).unwrap_or_default()
}

fn query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetUser" => Q::GetUser(u::GetUser { name: optional_user(a) }),
        "ListUsers" => Q::ListUsers(list()),
        "GetGroup" => Q::GetGroup(g::GetGroup { name: name(a[0]), page: page() }),
        "ListGroups" => Q::ListGroups(list()),
        "ListGroupsForUser" => {
            Q::ListGroupsForUser(g::ListGroupsForUser { user: name(a[0]), page: page() })
        }
        "GetRole" => Q::GetRole(r::GetRole { name: name(a[0]) }),
        "ListRoles" => Q::ListRoles(list()),
        "GetLoginProfile" => Q::GetLoginProfile(lp::OneLoginProfile { user: optional_user(a) }),
        "GetAccountPasswordPolicy" => Q::GetAccountPasswordPolicy(pp::GetPasswordPolicy),
        "ListAccessKeys" => {
            Q::ListAccessKeys(k::ListAccessKeys { user: optional_user(a), page: page() })
        }
        "ListUserTags" => Q::ListUserTags(t::ListTags { owner: name(a[0]), page: page() }),
        "ListRoleTags" => Q::ListRoleTags(t::ListTags { owner: name(a[0]), page: page() }),
        "ListPolicyTags" => Q::ListPolicyTags(t::ListTags { owner: arn(a[0]), page: page() }),
        "ListAccountAliases" => Q::ListAccountAliases(c::ListAliases::default()),
        "GetAccountSummary" => Q::GetAccountSummary(c::GetSummary),
        "GetAccountAuthorizationDetails" => {
            Q::GetAccountAuthorizationDetails(c::GetDetails::default())
        }
        "GetCallerIdentity" => Q::GetCallerIdentity(sts::GetCallerIdentity),
        "AssumeRole" => Q::AssumeRole(sts::AssumeRole {
            role_arn: match a[0].contains(':') {
                true => name(a[0]),
                false => model::Arn::iam(ACCOUNT, format!("role/{}", a[0])),
            },
            session_name: name("sess"),
            duration: a.get(1).map(|secs| sts::Duration::new(secs.parse().unwrap()).unwrap()),
            policy: session_policy(a.get(2)),
            policy_arns: session_policy_arns(a.get(2)),
            tags: tags(a.get(3..).unwrap_or_default()),
            external_id: None,
            source_identity: None,
        }),
        "GetSessionToken" => Q::GetSessionToken(sts::GetSessionToken { duration: None }),
        "GetFederationToken" => Q::GetFederationToken(fu::GetFederationToken {
            name: name(a[0]),
            duration: None,
            policy: session_policy(a.get(1)),
            policy_arns: session_policy_arns(a.get(1)),
            tags: tags(a.get(2..).unwrap_or_default()),
        }),
        "GetAccessKeyInfo" => Q::GetAccessKeyInfo(sts::GetAccessKeyInfo { key_id: a[0].into() }),
        "DecodeAuthorizationMessage" => {
            Q::DecodeAuthorizationMessage(am::DecodeAuthorizationMessage { message: a[0].into() })
        }
        _ => return policy_query(action, a),
    })
}

/// `SOURCE ACTION [POLICY [BOUNDARY]]`; the source is `-` for policies alone.
fn simulation(a: &[&str]) -> si::Simulation {
    let one = |at: usize| a.get(at).map(|text| document(text)).into_iter().collect();
    si::Simulation {
        actions: vec![a[1].to_owned()],
        resources: Vec::new(),
        policies: one(2),
        boundaries: one(3),
        context: Vec::new(),
        caller: None,
        resource_policy: None,
        resource_owner: None,
        page: page(),
    }
}

fn simulate_query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    let source = || model::Arn::iam(ACCOUNT, a[0]);
    let policies = || a[1..].iter().map(|text| document(text)).collect();
    Some(match action {
        "SimulateCustomPolicy" => Q::SimulateCustomPolicy(simulation(a)),
        "SimulatePrincipalPolicy" => Q::SimulatePrincipalPolicy(si::SimulatePrincipal {
            source: source(),
            simulation: simulation(a),
        }),
        "GetContextKeysForCustomPolicy" => {
            Q::GetContextKeysForCustomPolicy(si::KeysOfPolicies { policies: policies() })
        }
        "GetContextKeysForPrincipalPolicy" => {
            Q::GetContextKeysForPrincipalPolicy(si::KeysOfPrincipal {
                source: source(),
                policies: policies(),
            })
        }
        _ => return None,
    })
}

fn policy_query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetPolicy" => Q::GetPolicy(p::GetPolicy { arn: arn(a[0]) }),
        "ListPolicies" => Q::ListPolicies(p::ListPolicies {
            scope: p::Scope::Local,
            usage: match a {
                [] => at::PolicyUsage::Any,
                _ => at::PolicyUsage::Boundary,
            },
            ..p::ListPolicies::default()
        }),
        "GetPolicyVersion" => Q::GetPolicyVersion(version(a)),
        "ListPolicyVersions" => {
            Q::ListPolicyVersions(p::ListPolicyVersions { arn: arn(a[0]), page: page() })
        }
        "ListEntitiesForPolicy" => Q::ListEntitiesForPolicy(at::ListEntities {
            policy: arn(a[0]),
            filter: at::EntityFilter::All,
            usage: match a.get(1) {
                None => at::PolicyUsage::Any,
                Some(&"permissions") => at::PolicyUsage::Permissions,
                Some(_) => at::PolicyUsage::Boundary,
            },
            path_prefix: name("/"),
            page: page(),
        }),
        "GetUserPolicy" => Q::GetUserPolicy(one(a)),
        "GetGroupPolicy" => Q::GetGroupPolicy(one(a)),
        "GetRolePolicy" => Q::GetRolePolicy(one(a)),
        "ListUserPolicies" => Q::ListUserPolicies(i::List { owner: name(a[0]), page: page() }),
        "ListGroupPolicies" => Q::ListGroupPolicies(i::List { owner: name(a[0]), page: page() }),
        "ListRolePolicies" => Q::ListRolePolicies(i::List { owner: name(a[0]), page: page() }),
        "ListAttachedUserPolicies" => Q::ListAttachedUserPolicies(attached(a[0])),
        "ListAttachedGroupPolicies" => Q::ListAttachedGroupPolicies(attached(a[0])),
        "ListAttachedRolePolicies" => Q::ListAttachedRolePolicies(attached(a[0])),
        _ => return simulate_query(action, a),
    })
}
