//! Decides requests by policies of AWS, and says why.
//!
//! `cargo run -p policy --example decide` asks three questions. The library does no IO: where
//! documents and the facts about a request come from is the program's own business.
#![expect(clippy::print_stdout, reason = "the answers are what the example is for")]

use std::{error::Error, sync::Arc};

use policy::{
    Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel,
    denial_message, explain, lint,
};

const POLICY: &str = r#"{
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Home",
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": "arn:aws:s3:::home/${aws:username}/*"
        },
        {
            "Sid": "Reports",
            "Effect": "Allow",
            "Action": "s3:Get*",
            "Resource": "arn:aws:s3:::reports/*",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
        }
    ]
}"#;

const GUARD_RAIL: &str = r#"{
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "Frozen", "Effect": "Deny", "Action": "s3:Put*", "Resource": "*"}
    ]
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    for finding in lint(POLICY, DocumentKind::Identity) {
        println!("{}: {}", finding.severity, finding.message);
    }
    let layers = Layers {
        identity: vec![source("home", POLICY)?],
        guard_rails: Some(vec![vec![source("freeze", GUARD_RAIL)?]]),
        ..Layers::default()
    };
    let mut context = Context::new();
    context.insert("aws:username", "bob");

    // Prepared once, it decides in a fraction of a microsecond.
    let compiled = Compiled::new(&layers);
    for (action, resource) in [
        ("s3:GetObject", "arn:aws:s3:::home/bob/notes"),
        ("s3:PutObject", "arn:aws:s3:::home/bob/notes"),
        ("s3:GetObject", "arn:aws:s3:::reports/2026"),
    ] {
        let request = Request { action, resource, context: &context };
        println!("{action} on {resource}: {:?}", compiled.decide(&request));

        // Whoever wants to know more asks the interpreter, which always decides the same.
        let explanation = explain(&layers, &request);
        for statement in &explanation.decision.statements {
            println!("  by {:?} of {:?}", statement.sid, statement.label);
        }
        for miss in &explanation.near_misses {
            for change in &miss.changes {
                println!("  would be allowed if {} were {:?}", change.key, change.wanted);
            }
        }
        if !explanation.decision.is_allowed() {
            let user = "arn:aws:iam::123456789012:user/bob";
            println!("  {}", denial_message(&explanation.decision, user, action, resource));
        }
    }
    Ok(())
}

/// A policy that applies for certain and says one thing.
fn source(name: &str, text: &str) -> Result<Source, Box<dyn Error>> {
    let document = Document::parse(text, DocumentKind::Identity)?;
    let label = SourceLabel::Input { name: name.to_owned() };
    Ok(Source { label, certain: true, alternatives: vec![Arc::new(document)] })
}
