//! What one statement matches, and what the managed policies come to.

use expect_test::{Expect, expect};
use policy::{evaluate, managed};

use crate::support::{ANY, DENY_DELETE, context, document, identity, request, show, source};

/// The decisions on `action resource` lines for these statements, with the statements that made
/// them.
fn check(statements: &[&str], asked: &[&str], expect: Expect) {
    let context = context();
    let layers = identity(vec![source(&document(statements))]);
    let line = |asked: &&str| {
        let (action, resource) = asked.split_once(' ').expect("an action and a resource");
        format!("{asked}: {}\n", show(&evaluate(&layers, &request(action, resource, &context))))
    };
    expect.assert_eq(&asked.iter().map(line).collect::<String>());
}

#[test]
fn statements_match_actions_without_case_and_resources_whole() {
    check(
        &[r#"{"Sid":"B","Effect":"Allow","Action":["s3:get*","s3:Put?"],
              "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::home/${aws:username}/*"]}"#],
        &[
            "S3:GetObject arn:aws:s3:::bucket",
            "s3:GetObject arn:aws:s3:::bucket2",
            "s3:GetObject arn:aws:s3:::Bucket",
            "s3:GetObject arn:aws:s3:::home/Bob/a:b/c",
            "s3:GetObject arn:aws:s3:::home/eve/a",
            "s3:GetObject arn:aws:s3:::home/Bob",
            "s3:Put1 arn:aws:s3:::bucket",
            "s3:Put arn:aws:s3:::bucket",
            "s3:GetObject *",
        ],
        expect![[r#"
            S3:GetObject arn:aws:s3:::bucket: Allow Allow B
            s3:GetObject arn:aws:s3:::bucket2: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::Bucket: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::home/Bob/a:b/c: Allow Allow B
            s3:GetObject arn:aws:s3:::home/eve/a: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::home/Bob: ImplicitDeny { layer: Identity }
            s3:Put1 arn:aws:s3:::bucket: Allow Allow B
            s3:Put arn:aws:s3:::bucket: ImplicitDeny { layer: Identity }
            s3:GetObject *: ImplicitDeny { layer: Identity }
        "#]],
    );
}

#[test]
fn negated_elements_match_everything_else() {
    check(
        &[r#"{"Sid":"N","Effect":"Allow","NotAction":["iam:*","s3:Delete*"],"NotResource":
              ["arn:aws:s3:::secret/*","arn:aws:s3:::b/${t:none}/*"]}"#],
        &[
            "s3:GetObject arn:aws:s3:::b/k",
            "IAM:GetUser arn:aws:iam::1:user/x",
            "s3:DeleteObject arn:aws:s3:::b/k",
            "s3:GetObject arn:aws:s3:::secret/k",
            "s3:GetObject arn:aws:s3:::secret",
        ],
        expect![[r#"
            s3:GetObject arn:aws:s3:::b/k: ImplicitDeny { layer: Identity }
            IAM:GetUser arn:aws:iam::1:user/x: ImplicitDeny { layer: Identity }
            s3:DeleteObject arn:aws:s3:::b/k: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::secret/k: ImplicitDeny { layer: Identity }
            s3:GetObject arn:aws:s3:::secret: Allow Allow N
        "#]],
    );
}

#[test]
fn an_explicit_deny_wins_wherever_it_stands() {
    let asked = ["s3:DeleteObject *", "s3:GetObject *"];
    check(
        &[DENY_DELETE, ANY],
        &asked,
        expect![[r#"
        s3:DeleteObject *: ExplicitDeny { layer: Identity } Deny NoDelete
        s3:GetObject *: Allow Allow #1
    "#]],
    );
    check(
        &[ANY, DENY_DELETE],
        &asked,
        expect![[r#"
        s3:DeleteObject *: ExplicitDeny { layer: Identity } Deny NoDelete
        s3:GetObject *: Allow Allow #0
    "#]],
    );
}

#[test]
fn managed_policies_mean_what_their_names_say() {
    let context = context();
    let own = "arn:aws:iam::1:user/Bob";
    let mut text = String::new();
    for (action, resource) in [
        ("iam:CreateUser", "arn:aws:iam::1:user/eve"),
        ("iam:ListUsers", "arn:aws:iam::1:user/"),
        ("iam:ChangePassword", own),
        ("iam:ChangePassword", "arn:aws:iam::1:user/eve"),
        ("s3:PutObject", "arn:aws:s3:::b/k"),
        ("s3:GetObject", "arn:aws:s3:::b/k"),
        ("sts:GetCallerIdentity", "*"),
        ("writ:ResolveConflict", "*"),
        ("writ:ListConflicts", "*"),
    ] {
        let allowing = managed().iter().filter(|policy| {
            let layers = identity(vec![source(&policy.parsed)]);
            evaluate(&layers, &request(action, resource, &context)).is_allowed()
        });
        let names: Vec<&str> = allowing.map(|policy| policy.name).collect();
        text += &format!("{action} {resource}: {}\n", names.join(" "));
    }
    expect![[r#"
        iam:CreateUser arn:aws:iam::1:user/eve: AdministratorAccess IAMFullAccess
        iam:ListUsers arn:aws:iam::1:user/: AdministratorAccess IAMFullAccess IAMReadOnlyAccess ReadOnlyAccess
        iam:ChangePassword arn:aws:iam::1:user/Bob: AdministratorAccess IAMFullAccess IAMUserChangePassword
        iam:ChangePassword arn:aws:iam::1:user/eve: AdministratorAccess IAMFullAccess
        s3:PutObject arn:aws:s3:::b/k: AdministratorAccess PowerUserAccess
        s3:GetObject arn:aws:s3:::b/k: AdministratorAccess PowerUserAccess ReadOnlyAccess
        sts:GetCallerIdentity *: AdministratorAccess PowerUserAccess ReadOnlyAccess
        writ:ResolveConflict *: AdministratorAccess
        writ:ListConflicts *: AdministratorAccess PowerUserAccess ReadOnlyAccess
    "#]].assert_eq(&text);
}
