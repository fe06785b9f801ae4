//! Whatever a document says, reading it does not panic, and what is read means the same to the
//! interpreter and to the compiled form.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use policy::{
    Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, evaluate,
    examples, explain, grants, lint,
};

fuzz_target!(|text: &str| {
    for kind in
        [DocumentKind::Identity, DocumentKind::Session, DocumentKind::Trust, DocumentKind::Resource]
    {
        lint(text, kind);
        match Document::parse(text, kind) {
            Ok(document) => check(document),
            Err(error) => {
                let (lines, position) = (text.split('\n').count(), error.position());
                assert!(position.is_none_or(|position| (1..=lines).contains(&position.line)));
                assert!(!error.to_string().is_empty());
            }
        }
    }
});

fn check(document: Document) {
    assert_eq!(document.statement_positions().len(), document.statements().len());
    let (keys, again) =
        (document.context_keys(), Document::parse(document.text(), document.kind()));
    assert_eq!(again.as_ref(), Ok(&document));
    let mut context = Context::new();
    // Half of the keys have a value, so that conditions come out both ways.
    keys.keys().step_by(2).for_each(|key| context.insert(key, "1"));
    let document = Arc::new(document);
    let source = Source {
        label: SourceLabel::Session,
        certain: true,
        alternatives: vec![Arc::clone(&document)],
    };
    let layers = Layers { identity: vec![source], ..Layers::default() };
    let compiled = Compiled::new(&layers);
    grants(&layers, &context);
    let asked = examples([&*document], &context, 16).into_iter();
    let general = [("s3:GetObject".to_owned(), "arn:aws:s3:::b/k".to_owned())];
    for (action, resource) in asked.chain(general) {
        let request = Request { action: &action, resource: &resource, context: &context };
        let verdict = evaluate(&layers, &request).verdict;
        assert_eq!(compiled.decide(&request), verdict);
        assert_eq!(explain(&layers, &request).decision.verdict, verdict);
    }
}
