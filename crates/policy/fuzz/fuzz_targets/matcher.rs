//! A pattern matches what a walk that anybody can follow says, as a resource, as a value of a
//! condition, and in the compiled form. The input is a pattern, a text and a user's name, a line
//! each.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use policy::{
    Compiled, Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, Verdict,
    evaluate,
};

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let (pattern, text) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let name = lines.next().unwrap_or_default();
    let resource = format!("arn:aws:s3:::{pattern}");
    let as_resource = allows(
        &format!(r#""Resource":"{}""#, escaped(&resource)),
        &format!("arn:aws:s3:::{text}"),
        name,
        text,
    );
    let as_value = allows(
        &format!(
            r#""Resource":"*","Condition":{{"StringLike":{{"t:text":"{}"}}}}"#,
            escaped(pattern)
        ),
        "*",
        name,
        text,
    );
    // Variables and escapes have rules of their own.
    if pattern.contains("${") {
        return;
    }
    let expected = matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
    for found in [as_resource, as_value].into_iter().flatten() {
        assert_eq!(found, expected, "{pattern:?} {text:?}");
    }
});

/// What both engines say of a statement; nothing if the document is refused.
fn allows(elements: &str, resource: &str, name: &str, text: &str) -> Option<bool> {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"s3:*",{elements}}}}}"#
    );
    let document = Document::parse(&document, DocumentKind::Identity).ok()?;
    let source = Source {
        label: SourceLabel::Session,
        certain: true,
        alternatives: vec![Arc::new(document)],
    };
    let layers = Layers { identity: vec![source], ..Layers::default() };
    let mut context = Context::new();
    context.insert("aws:username", name);
    context.insert("t:text", text);
    let request = Request { action: "s3:GetObject", resource, context: &context };
    let verdict = evaluate(&layers, &request).verdict;
    assert_eq!(Compiled::new(&layers).decide(&request), verdict);
    Some(verdict == Verdict::Allow)
}

fn escaped(text: &str) -> String {
    let each = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(each).collect()
}

/// Whether a pattern of `*` and `?` matches a text: for each of its beginnings, which beginnings of
/// the text match it.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for c in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match c {
                '*' => ends[at] || (at > 0 && next[at - 1]),
                '?' => at > 0 && ends[at - 1],
                c => at > 0 && ends[at - 1] && text[at - 1] == *c,
            };
        }
        ends = next;
    }
    ends[text.len()]
}
