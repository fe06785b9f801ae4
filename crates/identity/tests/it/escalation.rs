//! What someone with a few rights tries in order to get more.

use expect_test::{Expect, expect};
use identity::Error;
use model::UniqueIdKind;

use crate::{
    history::{ACCOUNT, History, check_history},
    parse::{Call, parse},
};

/// Everything of IAM, but nothing on what is tagged `locked`.
const UNLOCKED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iam:*","Resource":"*"},
    {"Effect":"Deny","Action":"iam:*","Resource":"*",
     "Condition":{"StringEquals":{"aws:ResourceTag/Größe_Ω":"locked"}}}]}"#;

/// A document as one word of a step.
fn word(document: &str) -> String {
    let word: String = document.lines().map(str::trim).collect();
    assert!(!word.contains(' '), "{word}");
    word
}

#[test]
fn a_call_on_oneself_meets_the_conditions_that_ones_name_would() {
    let steps = "quiet root CreateUser bob
        quiet root PutUserPolicy bob in POLICY
        quiet bob CreateAccessKey
        bob UpdateAccessKey - key1 Active
        quiet root TagUser bob GRÖSSE=locked
        quiet root TagUser bob gRÖßE_ω=locked
        bob GetUser
        bob ListAccessKeys bob
        bob ListAccessKeys
        bob CreateAccessKey
        bob UpdateAccessKey - key1 Inactive
        bob DeleteAccessKey - key1
        bob UntagUser bob gRÖßE_ω
        quiet root UntagUser bob gRÖßE_ω
        bob DeleteAccessKey - key1";
    let policy = word(UNLOCKED);
    check_history(
        &steps.replace("POLICY", &policy),
        expect![[r#"
            bob UpdateAccessKey - key1 Active
                done
            bob GetUser
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:GetUser on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob ListAccessKeys bob
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob ListAccessKeys
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob CreateAccessKey
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob UpdateAccessKey - key1 Inactive
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:UpdateAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob DeleteAccessKey - key1
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:DeleteAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob UntagUser bob gRÖßE_ω
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:UntagUser on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob DeleteAccessKey - key1
                done
        "#]],
    );
}

/// Much, but less for sessions from before 2024, tagged `out`, or started by `eve`.
const ROLE: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:*","Resource":"*"},
    {"Effect":"Allow","Action":"sqs:*","Resource":"*",
     "Condition":{"StringNotLike":{"aws:userid":"*:eve"}}},
    {"Effect":"Deny","Action":"s3:Put*","Resource":"*",
     "Condition":{"DateLessThan":{"aws:TokenIssueTime":"2024-01-01T00:00:00Z"}}},
    {"Effect":"Deny","Action":"s3:List*","Resource":"*",
     "Condition":{"StringEquals":{"aws:PrincipalTag/state":"out"}}},
    {"Effect":"Deny","Action":"s3:Delete*","Resource":"*",
     "Condition":{"StringEquals":{"aws:SourceIdentity":"eve"}}},
    {"Effect":"Deny","Action":"s3:Create*","Resource":"*",
     "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}}]}"#;

fn check_role(steps: &str, expected: Expect) {
    let setup = format!(
        "quiet root CreateRole r trust:123456789012 state=in
        quiet root PutRolePolicy r in {}\n",
        word(ROLE)
    );
    let steps = steps
        .replace("ROLE", "arn:aws:iam::123456789012:role/r")
        .replace("SESSION", "arn:aws:sts::123456789012:assumed-role/r/me");
    check_history(&(setup + &steps), expected);
}

#[test]
fn what_is_not_known_of_a_role_never_widens_an_answer_about_it() {
    check_role(
        "may ROLE s3:GetObject *
        may ROLE s3:PutObject *
        may ROLE s3:PutObject * aws:tokenISSUEtime=2024-01-01T00:00:00Z
        may ROLE s3:PutObject * aws:TokenIssueTime=2023-12-31T23:59:59Z
        may ROLE s3:PutObject * aws:TokenIssueTime=
        may ROLE s3:PutObject * aws:TokenIssueTime=soon
        may ROLE s3:ListBucket *
        may ROLE s3:DeleteObject *
        may ROLE s3:DeleteObject * aws:SourceIdentity=eve
        may ROLE s3:CreateBucket *
        may ROLE s3:CreateBucket * aws:MultiFactorAuthPresent=true
        may ROLE sqs:SendMessage *",
        expect![[r#"
            may arn:aws:iam::123456789012:role/r s3:GetObject *
                Allow
            may arn:aws:iam::123456789012:role/r s3:PutObject *
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:PutObject * aws:tokenISSUEtime=2024-01-01T00:00:00Z
                Allow
            may arn:aws:iam::123456789012:role/r s3:PutObject * aws:TokenIssueTime=2023-12-31T23:59:59Z
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:PutObject * aws:TokenIssueTime=
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:PutObject * aws:TokenIssueTime=soon
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:ListBucket *
                Allow
            may arn:aws:iam::123456789012:role/r s3:DeleteObject *
                Allow
            may arn:aws:iam::123456789012:role/r s3:DeleteObject * aws:SourceIdentity=eve
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:CreateBucket *
                ExplicitDeny { layer: Identity }
            may arn:aws:iam::123456789012:role/r s3:CreateBucket * aws:MultiFactorAuthPresent=true
                Allow
            may arn:aws:iam::123456789012:role/r sqs:SendMessage *
                ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn what_is_not_known_of_a_session_never_widens_an_answer_about_it() {
    check_role(
        "may SESSION s3:GetObject * aws:TokenIssueTime=2024-01-01T00:00:00Z
        may SESSION s3:PutObject *
        may SESSION s3:PutObject * aws:TokenIssueTime=2024-01-01T00:00:00Z
        may SESSION s3:PutObject * aws:TokenIssueTime=2023-12-31T23:59:59Z
        may SESSION s3:ListBucket *
        may SESSION s3:ListBucket * aws:PrincipalTag/state=in
        may SESSION s3:DeleteObject *
        may SESSION s3:DeleteObject * aws:SourceIdentity=bob
        may SESSION/more s3:GetObject *
        may arn:aws:sts::123456789012:assumed-role/r/ s3:GetObject *
        may arn:aws:sts::123456789012:assumed-role/r s3:GetObject *",
        expect![[r#"
            may arn:aws:sts::123456789012:assumed-role/r/me s3:GetObject * aws:TokenIssueTime=2024-01-01T00:00:00Z
                ImplicitDeny { layer: Session }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:PutObject *
                ExplicitDeny { layer: Identity }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:PutObject * aws:TokenIssueTime=2024-01-01T00:00:00Z
                ImplicitDeny { layer: Session }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:PutObject * aws:TokenIssueTime=2023-12-31T23:59:59Z
                ExplicitDeny { layer: Identity }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:ListBucket *
                ExplicitDeny { layer: Identity }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:ListBucket * aws:PrincipalTag/state=in
                ExplicitDeny { layer: Identity }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:DeleteObject *
                ExplicitDeny { layer: Identity }
            may arn:aws:sts::123456789012:assumed-role/r/me s3:DeleteObject * aws:SourceIdentity=bob
                ImplicitDeny { layer: Session }
            may arn:aws:sts::123456789012:assumed-role/r/me/more s3:GetObject *
                NoSuchEntity { noun: Principal, name: "arn:aws:sts::123456789012:assumed-role/r/me/more" }
            may arn:aws:sts::123456789012:assumed-role/r/ s3:GetObject *
                NoSuchEntity { noun: Principal, name: "arn:aws:sts::123456789012:assumed-role/r/" }
            may arn:aws:sts::123456789012:assumed-role/r s3:GetObject *
                NoSuchEntity { noun: Principal, name: "arn:aws:sts::123456789012:assumed-role/r" }
        "#]],
    );
}

#[test]
fn only_a_role_has_sessions_that_an_id_names() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot CreateRole r trust:123456789012");
    let account = ACCOUNT.parse().unwrap();
    let user = history.find(0, account, UniqueIdKind::User, "bob");
    let role = history.find(0, account, UniqueIdKind::Role, "r");
    let denied = "ImplicitDeny { layer: Identity }";
    for (principal, expected) in [
        (format!("{user}"), Some(denied)),
        (format!("{user}:me"), None),
        (format!("{role}"), Some(denied)),
        (format!("{role}:me"), Some(denied)),
        (format!("{role}:"), None),
        (format!("{role}:a b"), None),
    ] {
        let said = history.run(&format!("may {} s3:GetObject *", principal.replace(' ', "%")));
        let expected = expected.unwrap_or("NoSuchEntity");
        assert!(said.contains(expected), "{said}");
    }
}

/// Everything of IAM, but some calls for sessions without MFA, directly, or by some services.
const DIRECT: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iam:*","Resource":"*"},
    {"Effect":"Deny","Action":"iam:GetUser","Resource":"*",
     "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"false"}}},
    {"Effect":"Deny","Action":"iam:ListUsers","Resource":"*",
     "Condition":{"Bool":{"aws:ViaAWSService":"false"}}},
    {"Effect":"Deny","Action":"iam:ListRoles","Resource":"*",
     "Condition":{"Bool":{"aws:PrincipalIsAWSService":"false"}}}]}"#;

#[test]
fn denies_of_sessions_without_mfa_and_of_direct_calls_apply() {
    let mut history = History::new();
    let setup = "root CreateUser bob
        root CreateRole r trust:123456789012
        root PutUserPolicy bob in POLICY
        root PutRolePolicy r in POLICY";
    history.run(&setup.replace("POLICY", &word(DIRECT)));
    for (call, denied) in [
        ("role:r GetUser bob", true),
        ("bob GetUser bob", false),
        ("role:r ListUsers", true),
        ("bob ListUsers", true),
        ("role:r ListRoles", true),
        ("bob ListRoles", true),
        ("bob ListGroups", false),
    ] {
        let said = history.run(call);
        assert_eq!(said.contains("with an explicit deny"), denied, "{said}");
    }
}

#[test]
fn a_user_with_a_time_of_issue_is_asked_about_as_a_session() {
    let mut history = History::new();
    history.run("root CreateUser bob\nroot PutUserPolicy bob in allow:*");
    let issued = "aws:tokenissuetime=2024-01-01T00:00:00Z";
    for principal in ["user/bob", "root"] {
        for (question, allowed) in [
            ("iam:GetUser *", true),
            (&*format!("iam:GetUser * {issued}"), false),
            (&*format!("sts:GetSessionToken * {issued}"), false),
            (&*format!("sts:AssumeRole * {issued}"), true),
            (&*format!("s3:GetObject * {issued}"), true),
        ] {
            let said = history.run(&format!("may arn:aws:iam::{ACCOUNT}:{principal} {question}"));
            assert_eq!(said.contains("Allow"), allowed, "{said}");
        }
    }
}

/// Renames anybody, but none of the tagged into the vault, and nobody to the vault's boss.
const MOVER: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iam:UpdateUser","Resource":"*"},
    {"Effect":"Deny","Action":"iam:UpdateUser","Resource":"arn:aws:iam::*:user/vault/boss"},
    {"Effect":"Deny","Action":"iam:UpdateUser","Resource":"arn:aws:iam::*:user/vault/*",
     "Condition":{"StringEquals":{"aws:ResourceTag/hot":"yes"}}}]}"#;

#[test]
fn a_rename_meets_the_conditions_on_what_it_makes_of_a_user() {
    let mut history = History::new();
    let setup = "root CreateUser eve
        root CreateUser bob / hot=yes
        root CreateUser tom
        root PutUserPolicy eve in POLICY";
    history.run(&setup.replace("POLICY", &word(MOVER)));
    for (call, denied) in [
        ("eve UpdateUser bob bob /vault/", true),
        ("eve UpdateUser tom tom /vault/", false),
        ("eve UpdateUser tom boss", true),
        ("eve UpdateUser tom boss /", false),
    ] {
        let said = history.run(call);
        assert_eq!(said.contains("with an explicit deny"), denied, "{said}");
    }
    history.run(
        "root UpdateUser boss tom
        sync
        a: root UpdateUser tom tom /
        b: root UpdateUser tom tom /vault/
        sync",
    );
    let said = history.run("eve UpdateUser tom boss");
    assert!(said.contains("with an explicit deny"), "{said}");
}

#[test]
fn a_call_whose_key_was_switched_off_since_it_was_signed_is_refused() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root CreateUser eve
        root AttachUserPolicy bob aws/AdministratorAccess
        root CreateAccessKey bob
        root CreateAccessKey eve",
    );
    let bob = history.caller(0, "bob");
    let mut forged = history.caller(0, "eve");
    forged.principal = bob.principal;
    let Call::Command(create) = parse("CreateUser", &["new"], &[]) else { panic!("a command") };
    let gone = Err(Error::InvalidClientTokenId);
    assert_eq!(history.execute(0, &forged, &create), gone);
    history.run("root UpdateAccessKey bob key1 Inactive");
    assert_eq!(history.execute(0, &bob, &create), gone);
    history.run("root UpdateAccessKey bob key1 Active");
    assert!(history.execute(0, &bob, &create).is_ok());
    history.run("root DeleteAccessKey bob key1");
    assert_eq!(history.execute(0, &bob, &create), gone);
}

#[test]
fn a_source_identity_goes_only_to_roles_that_take_it() {
    let mut history = History::new();
    let taking = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Principal":{"AWS":"arn:aws:iam::123456789012:role/first"},
        "Action":["sts:AssumeRole","sts:SetSourceIdentity"],
        "Condition":{"StringEquals":{"sts:SourceIdentity":"bob"}}}}"#;
    history.run("root CreateRole first trust:123456789012");
    history.run("root CreateRole plain trust:arn:aws:iam::123456789012:role/first");
    history.run(&format!("root CreateRole taking {}", word(taking)));
    for (role, source, allowed) in [
        ("plain", "", true),
        ("plain", "bob", false),
        ("taking", "", false),
        ("taking", "bob", true),
        ("taking", "eve", false),
    ] {
        let mut caller = history.caller(0, "role:first");
        caller.session.as_mut().unwrap().source_identity = source.to_owned();
        let Call::Query(assume) = parse("AssumeRole", &[role], &[]) else { panic!("a query") };
        let assumed = history.query(0, &caller, &assume);
        assert_eq!(assumed.is_ok(), allowed, "{role} {source}: {assumed:?}");
    }
}

#[test]
fn rivals_with_other_paths_are_each_found_by_their_arn() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        sync
        a: root CreateUser eve /a/
        b: root CreateUser Eve /b/
        sync",
    );
    for path in ["a/eve", "b/Eve"] {
        let said = history.run(&format!("may arn:aws:iam::{ACCOUNT}:user/{path} s3:GetObject *"));
        assert!(said.contains("ImplicitDeny"), "{said}");
    }
}

#[test]
fn an_arn_that_differs_in_case_partition_or_region_names_nobody() {
    let mut history = History::new();
    history.run("root CreateUser Bob\nroot CreateRole Ops trust:123456789012");
    for arn in [
        "arn:aws:iam::ACCOUNT:user/bob",
        "arn:aws:iam::ACCOUNT:role/ops",
        "arn:aws:sts::ACCOUNT:assumed-role/ops/me",
        "arn:aws:sts::ACCOUNT:assumed-role/OPS/me",
        "arn:aws-cn:iam::ACCOUNT:user/Bob",
        "arn:aws:iam:eu:ACCOUNT:user/Bob",
        "arn:aws-cn:iam::ACCOUNT:root",
        "arn:aws:iam:eu:ACCOUNT:root",
        "arn:aws:sts::ACCOUNT:root",
        "arn:aws:iam::ACCOUNT:Root",
        "arn:aws:iam::333333333333:root",
    ] {
        let arn = arn.replace("ACCOUNT", ACCOUNT);
        let said = history.run(&format!("may {arn} s3:GetObject *"));
        assert!(said.contains("NoSuchEntity"), "{said}");
        if !arn.contains("root") {
            let said = history.run(&format!("root CreateRole r trust:{arn}"));
            assert!(said.contains("MalformedPolicyDocument"), "{said}");
        }
    }
    let session = format!("arn:aws:sts::{ACCOUNT}:assumed-role/Ops/me");
    let said = history.run(&format!("root CreateRole r trust:{session}"));
    assert!(said.contains("CreateRole("), "{said}");
}
