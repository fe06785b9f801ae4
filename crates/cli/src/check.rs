//! `writ check`: one authorization decision, with the statements that made it.
//!
//! **Invariants.** Only an explicit allow ends with 0.
//!
//! **Must not know:** how decisions are made.

use std::fmt::Write as _;

use rpc::v1::authorization_client::AuthorizationClient;
use wire::v1::{CheckReply, CheckRequest, ContextEntry, Statement, Verdict};

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
    let arguments::Check { principal, action, resource, context, token, common } = arguments;
    let session = Session::new(environment)?;
    let connection = session.connect_any(&common, Prefer::Replicas).await?;
    let message = CheckRequest {
        principal,
        action,
        resource,
        context: group(context),
        consistency_token: token.unwrap_or_default(),
        wait_ms: 0,
    };
    let reply = AuthorizationClient::new(connection).check(request(message)).await;
    let (text, exit) = render(&reply.map_err(Error::Refused)?.into_inner());
    output.result(&text)?;
    Ok(exit)
}

/// Several values of one key are one entry.
fn group(pairs: Vec<(String, String)>) -> Vec<ContextEntry> {
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
    for Statement { policy, sid, index, allows } in &reply.statements {
        let effect = if *allows { "Allow" } else { "Deny" };
        let name = if sid.is_empty() { String::new() } else { format!(" `{sid}`") };
        writeln!(text, "  {effect}: statement {index}{name} of {policy}")
            .expect("a String takes any text");
    }
    (text, exit)
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
    fn values_of_one_key_are_one_entry() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let entries = group(vec![pair("a", "1"), pair("b", "2"), pair("a", "3")]);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries.first().map(|entry| entry.values.join(",")), Some("1,3".to_owned()));
    }
}
