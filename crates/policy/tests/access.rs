//! What policies give access to, and the requests that tell two documents apart.

use std::sync::Arc;

use expect_test::expect;
use policy::{Context, Document, DocumentKind, Layers, Source, SourceLabel, examples, grants};

fn source(name: &str, certain: bool, statements: &[&str]) -> Source {
    let label = SourceLabel::Input { name: name.to_owned() };
    Source { label, certain, alternatives: vec![document(statements)] }
}

fn document(statements: &[&str]) -> Arc<Document> {
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    Arc::new(Document::parse(&text, DocumentKind::Identity).expect("the test's policy parses"))
}

#[test]
fn access_is_told_by_service_with_what_limits_it() {
    let identity = vec![
        source(
            "p",
            true,
            &[
                r#"{"Sid":"Mixed","Effect":"Allow","Action":["s3:Get*","SQS:SendMessage"],
                    "Resource":"*"}"#,
                r#"{"Sid":"Home","Effect":"Allow","Action":"s3:Put*",
                    "Resource":"arn:aws:s3:::home/${aws:username}/*",
                    "Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}"#,
                r#"{"Sid":"Rest","Effect":"Allow","NotAction":["iam:*","sts:*"],
                    "Resource":"arn:aws:ec2:*:*:vpc/v"}"#,
                r#"{"Sid":"Secret","Effect":"Deny","Action":"s3:*Object",
                    "Resource":"arn:aws:s3:::secret/*"}"#,
            ],
        ),
        source("perhaps", false, &[r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}"#]),
    ];
    let boundary = Some(vec![source(
        "limit",
        true,
        &[
            r#"{"Effect":"Allow","Action":["s3:*","kms:*"],"Resource":"*"}"#,
            r#"{"Sid":"NotHere","Effect":"Deny","NotAction":["s3:Get*","kms:*"],"Resource":"*"}"#,
        ],
    )]);
    let layers = Layers { identity, boundary, ..Layers::default() };
    let mut context = Context::new();
    context.insert("aws:username", "bob");
    context.insert("aws:MultiFactorAuthPresent", "true");
    let mut text = String::new();
    for (service, grants) in grants(&layers, &context) {
        text += &format!("{service}\n");
        for grant in grants {
            let sid = |one: &policy::MatchedStatement| one.sid.clone().unwrap_or_default();
            let denials: Vec<String> = grant.denials.iter().map(sid).collect();
            text += &format!(
                "  {:?} (but: {}) on {:?} by {:?}, certain {}, {:?}; keys {:?}, denials {denials:?}\n",
                grant.actions,
                grant.all_actions_but,
                grant.resources,
                sid(&grant.statement),
                grant.certain,
                grant.verdict,
                grant.condition_keys,
            );
        }
    }
    expect![[r#"
        *
          ["iam:*", "sts:*"] (but: true) on ["arn:aws:ec2:*:*:vpc/v"] by "Rest", certain true, ExplicitDeny { layer: Boundary }; keys [], denials ["NotHere"]
        kms
          ["kms:Decrypt"] (but: false) on ["*"] by "", certain false, ImplicitDeny { layer: Identity }; keys [], denials []
        s3
          ["s3:Get*"] (but: false) on ["*"] by "Mixed", certain true, Allow; keys [], denials ["Secret"]
          ["s3:Put*"] (but: false) on ["arn:aws:s3:::home/${aws:username}/*"] by "Home", certain true, ExplicitDeny { layer: Boundary }; keys ["aws:MultiFactorAuthPresent", "aws:username"], denials ["NotHere"]
        sqs
          ["SQS:SendMessage"] (but: false) on ["*"] by "Mixed", certain true, ExplicitDeny { layer: Boundary }; keys [], denials ["NotHere"]
    "#]].assert_eq(&text);
}

#[test]
fn documents_speak_of_their_actions_on_the_resources_of_their_services() {
    let documents = [
        document(&[r#"{"Effect":"Allow","Action":["s3:Get*","iam:GetUser"],
            "Resource":["arn:aws:s3:::home/${aws:username}/*","arn:aws:iam::1:user/bob"]}"#]),
        document(&[
            r#"{"Effect":"Deny","NotAction":"s3:PutObject","Resource":"arn:aws:s3:::${t:none}"}"#,
        ]),
    ];
    let mut context = Context::new();
    context.insert("aws:username", "bob");
    let found = examples(documents.iter().map(|document| &**document), &context, 100);
    let first = examples(documents.iter().map(|document| &**document), &context, 3);
    assert_eq!(first, found[..3]);
    let lines: String =
        found.into_iter().map(|(action, resource)| format!("{action} {resource}\n")).collect();
    expect![[r#"
        iam:GetUser *
        iam:GetUser arn:aws:iam::1:user/bob
        s3:Getx *
        s3:Getx arn:aws:s3:::home/bob/x
        s3:PutObject *
        s3:PutObject arn:aws:s3:::home/bob/x
        x:x *
        x:x arn:aws:iam::1:user/bob
        x:x arn:aws:s3:::home/bob/x
    "#]]
    .assert_eq(&lines);
}
