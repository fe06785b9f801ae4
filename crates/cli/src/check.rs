//! `writ check`: one authorization decision, with the statements that made it.
//!
//! **Invariants.** Only an explicit allow ends with 0.
//!
//! **Must not know:** how decisions are made.

use std::fmt::Write as _;

use rpc::v1::authorization_client::AuthorizationClient;
use wire::v1::{
    Change, CheckReply, CheckRequest, ContextEntry, Explanation, LayerOutcome, LayerStep, NearMiss,
    Span, Statement, Verdict,
};

use crate::{
    Environment, Exit, Output, arguments,
    exit::Error,
    session::{Prefer, Session, request},
};

pub(crate) async fn run(
    arguments: arguments::Check,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Check { principal, action, resource, context, token, .. } = arguments;
    let arguments::Check { explain, verdict_only, common, .. } = arguments;
    let session = Session::new(environment)?;
    let connection = session.connect_any(&common, Prefer::Replicas).await?;
    let message = CheckRequest {
        principal,
        action,
        resource,
        context: group(context),
        consistency_token: token.unwrap_or_default(),
        wait_ms: 0,
        explain,
        verdict_only,
    };
    let reply = AuthorizationClient::new(connection).check(request(message)).await;
    let (text, exit) = render(&reply.map_err(Error::Refused)?.into_inner());
    output.result(&text)?;
    Ok(exit)
}

/// Several values of one key are one entry.
pub(crate) fn group(pairs: Vec<(String, String)>) -> Vec<ContextEntry> {
    let mut entries: Vec<ContextEntry> = Vec::new();
    for (key, value) in pairs {
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.values.push(value),
            None => entries.push(ContextEntry { key, values: vec![value] }),
        }
    }
    entries
}

fn render(reply: &CheckReply) -> (String, Exit) {
    let (verdict, exit) = match reply.verdict() {
        Verdict::Allow => ("allow", Exit::Ok),
        Verdict::ExplicitDeny => ("deny (explicit)", Exit::Denied),
        Verdict::ImplicitDeny => ("deny (implicit)", Exit::Denied),
        Verdict::Unspecified => ("deny (the node gave no verdict)", Exit::Denied),
    };
    let mut text = format!("{verdict}\n");
    let spans = reply.explanation.iter().flat_map(|explanation| &explanation.spans).map(Some);
    for (statement, span) in reply.statements.iter().zip(spans.chain(std::iter::repeat(None))) {
        let effect = if statement.allows { "Allow" } else { "Deny" };
        line(&mut text, format_args!("  {effect}: {}", place(statement, span)));
    }
    if let Some(explanation) = &reply.explanation {
        explain(&mut text, explanation);
    }
    (text, exit)
}

pub(crate) fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes any text");
}

/// Which statement, and where it stands.
pub(crate) fn place(statement: &Statement, span: Option<&Span>) -> String {
    let Statement { policy, sid, index, allows: _ } = statement;
    let name = if sid.is_empty() { String::new() } else { format!(" `{sid}`") };
    let at = match span {
        None | Some(Span { start_line: 0, .. }) => String::new(),
        Some(Span { start_line, start_column, end_line: _, end_column: _ }) => {
            format!(", line {start_line} column {start_column}")
        }
    };
    format!("statement {index}{name} of {policy}{at}")
}

/// Why: the chain, what would make it an allow, what is contested.
fn explain(text: &mut String, explanation: &Explanation) {
    let Explanation { chain, spans: _, near_misses, contested_policies, contested_keys, denial } =
        explanation;
    if chain.is_empty() {
        line(text, format_args!("no policy decided this"));
    }
    for step in chain {
        let LayerStep { layer, outcome: _, policies } = step;
        let outcome = match step.outcome() {
            LayerOutcome::Denies => "denies",
            LayerOutcome::Allows => "allows",
            LayerOutcome::AllowsNothing => "allows nothing of this",
            LayerOutcome::NotAsked => "does not deny",
            LayerOutcome::Unspecified => "(the node did not say)",
        };
        line(text, format_args!("{layer} ({policies} attached): {outcome}"));
    }
    for NearMiss { statements, spans, changes } in near_misses {
        let changes: Vec<String> = changes.iter().map(change).collect();
        line(text, format_args!("would be allowed if {}:", changes.join(" and ")));
        for (statement, span) in statements.iter().zip(spans) {
            line(text, format_args!("  {}", place(statement, Some(span))));
        }
    }
    for policy in contested_policies {
        line(text, format_args!("contested: policy {policy}"));
    }
    for key in contested_keys {
        line(text, format_args!("contested or unknown: condition key {key}"));
    }
    if !denial.is_empty() {
        line(text, format_args!("{denial}"));
    }
}

fn change(change: &Change) -> String {
    let Change { key, found, found_unknown, wanted, wanted_absent } = change;
    let wanted = if *wanted_absent { "absent".to_owned() } else { format!("`{wanted}`") };
    let found = match (found_unknown, found.as_slice()) {
        (true, _) => "contested or unknown".to_owned(),
        (false, []) => "absent".to_owned(),
        (false, values) => format!("`{}`", values.join("`, `")),
    };
    format!("{key} were {wanted} (it is {found})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_allow_ends_with_0() {
        let exit = |verdict: i32| {
            let reply = CheckReply { verdict, ..CheckReply::default() };
            render(&reply).1.code()
        };
        assert_eq!(exit(Verdict::Allow.into()), 0);
        for verdict in [0, Verdict::ExplicitDeny.into(), Verdict::ImplicitDeny.into(), 99] {
            assert_eq!(exit(verdict), 4, "{verdict}");
        }
    }

    #[test]
    fn statements_are_named() {
        let statement =
            Statement { policy: "arn:p".into(), sid: "S".into(), index: 2, allows: false };
        let reply = CheckReply {
            verdict: Verdict::ExplicitDeny.into(),
            statements: vec![statement],
            ..CheckReply::default()
        };
        assert_eq!(render(&reply).0, "deny (explicit)\n  Deny: statement 2 `S` of arn:p\n");
    }

    #[test]
    fn an_explanation_says_what_would_allow() {
        let statement = Statement { policy: "arn:p".into(), index: 1, ..Statement::default() };
        let span = Span { start_line: 3, start_column: 5, end_line: 4, end_column: 2 };
        let change = |key: &str, found: &[&str], wanted: Option<&str>| Change {
            key: key.into(),
            found: found.iter().map(|value| (*value).to_owned()).collect(),
            wanted: wanted.unwrap_or_default().into(),
            wanted_absent: wanted.is_none(),
            ..Change::default()
        };
        let mfa = change("aws:MultiFactorAuthPresent", &["false"], Some("true"));
        let tag = Change { found_unknown: true, ..change("aws:PrincipalTag/a", &[], None) };
        let explanation = Explanation {
            chain: vec![LayerStep {
                layer: "identity-based policy".into(),
                outcome: LayerOutcome::AllowsNothing.into(),
                policies: 2,
            }],
            near_misses: vec![NearMiss {
                statements: vec![statement],
                spans: vec![span],
                changes: vec![mfa, tag],
            }],
            contested_keys: vec!["aws:PrincipalTag/a".into()],
            denial: "User: x is not authorized".into(),
            ..Explanation::default()
        };
        let reply = CheckReply {
            verdict: Verdict::ImplicitDeny.into(),
            explanation: Some(explanation),
            ..CheckReply::default()
        };
        let expected = "deny (implicit)\n\
            identity-based policy (2 attached): allows nothing of this\n\
            would be allowed if aws:MultiFactorAuthPresent were `true` (it is `false`) and \
            aws:PrincipalTag/a were absent (it is contested or unknown):\n  \
            statement 1 of arn:p, line 3 column 5\n\
            contested or unknown: condition key aws:PrincipalTag/a\n\
            User: x is not authorized\n";
        assert_eq!(render(&reply).0, expected);
    }

    #[test]
    fn values_of_one_key_are_one_entry() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let entries = group(vec![pair("a", "1"), pair("b", "2"), pair("a", "3")]);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries.first().map(|entry| entry.values.join(",")), Some("1,3".to_owned()));
    }
}
