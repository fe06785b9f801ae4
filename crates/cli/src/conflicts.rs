//! `writ conflicts`: what concurrent changes disagree on, and how it is settled.
//!
//! **Invariants.** Everything is shown that the node tells: a conflict's ways out above all.
//!
//! **Must not know:** what a conflict is.

use std::fmt::Write as _;

use model::Timestamp;
use rpc::v1::conflicts_client::ConflictsClient;
use wire::v1::{
    self, Conflict, ConflictEvent, ConflictSide, WayOut,
    conflict_event::{Changed, Event, changed::Change},
};

use crate::{
    Common, Environment, Exit, Output,
    arguments::{Conflicts, Format},
    exit::{Error, is_unavailable},
    session::{Connection, Prefer, Session, request},
};

pub(crate) async fn run(
    command: Conflicts,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    match command {
        Conflicts::List { output: format, common } => {
            let conflicts = list(client(&common, Prefer::Writers, environment).await?).await?;
            output.result(&match format {
                Format::Json => json(&conflicts),
                Format::Table => plain(&table(&conflicts)),
            })?;
        }
        Conflicts::Show { id, output: format, common } => {
            let mut client = client(&common, Prefer::Writers, environment).await?;
            let message = v1::ShowConflictRequest { id, consistency_token: String::new() };
            let reply = client.show_conflict(request(message)).await.map_err(Error::Refused)?;
            let conflict = reply.into_inner().conflict.unwrap_or_default();
            output.result(&match format {
                Format::Json => format!("{:#}\n", value(&conflict)),
                Format::Table => plain(&details(&conflict)),
            })?;
        }
        Conflicts::Resolve { id, keep, remove: _, common } => {
            let choice = keep.map_or_else(|| "remove".to_owned(), |side| side.to_string());
            let mut client = client(&common, Prefer::Writers, environment).await?;
            let consistency_token = String::new();
            let message = v1::ResolveConflictRequest { id, choice, consistency_token };
            let reply = client.resolve_conflict(request(message)).await.map_err(Error::Refused)?;
            output.progress("settled; the change's consistency token:\n")?;
            output.result(&format!("{}\n", reply.into_inner().consistency_token))?;
        }
        Conflicts::Watch { common } => {
            let client = client(&common, Prefer::Writers, environment).await?;
            return watch(client, output).await;
        }
    }
    Ok(Exit::Ok)
}

async fn client(
    common: &Common,
    prefer: Prefer,
    environment: &Environment,
) -> Result<ConflictsClient<Connection>, Error> {
    let session = Session::new(environment)?;
    Ok(ConflictsClient::new(session.connect_any(common, prefer).await?))
}

/// All pages.
async fn list(mut client: ConflictsClient<Connection>) -> Result<Vec<Conflict>, Error> {
    let mut conflicts = Vec::new();
    let (mut marker, mut consistency_token) = (String::new(), String::new());
    loop {
        let message = v1::ListConflictsRequest { max_items: 0, marker, consistency_token };
        let reply = client.list_conflicts(request(message)).await.map_err(Error::Refused)?;
        let page = reply.into_inner();
        conflicts.extend(page.conflicts);
        if page.marker.is_empty() {
            return Ok(conflicts);
        }
        (marker, consistency_token) = (page.marker, page.consistency_token);
    }
}

/// Until the node ends it.
async fn watch(
    mut client: ConflictsClient<Connection>,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let request = tonic::Request::new(v1::WatchConflictsRequest {});
    let stream = client.watch_conflicts(request).await.map_err(Error::Refused)?;
    let mut stream = stream.into_inner();
    loop {
        let Some(ConflictEvent { event }) = stream.message().await.map_err(lost)? else {
            return Err(Error::Unreachable("the node ended the watch".to_owned()));
        };
        match event {
            Some(Event::Listening(_)) => output.progress("watching\n")?,
            Some(Event::Changed(changed)) => output.result(&line(&changed))?,
            Some(Event::Missed(missed)) => {
                output.result(&format!("missed up to {missed} events: list again\n"))?;
            }
            // A newer node's event.
            None => (),
        }
    }
}

fn lost(status: tonic::Status) -> Error {
    if is_unavailable(&status) {
        return Error::Unreachable(format!("the watch was cut off: {}", status.message()));
    }
    Error::Refused(status)
}

fn line(changed: &Changed) -> String {
    let what = match changed.change() {
        Change::Appeared => "appeared",
        Change::Gone => "gone",
        Change::Unspecified => "changed",
    };
    format!("{what} {} {}\n", changed.id, changed.kind)
}

fn table(conflicts: &[Conflict]) -> String {
    if conflicts.is_empty() {
        return "no conflicts\n".to_owned();
    }
    let mut text = String::new();
    for Conflict { id, kind, noun, name, field, .. } in conflicts {
        writeln!(text, "{id}  {kind}  {noun} {name}: {field}").expect("a String takes any text");
    }
    text
}

fn details(conflict: &Conflict) -> String {
    let Conflict { id, kind, noun, name, arn, unique_id, field, sides, withheld, ways_out } =
        conflict;
    let mut text = format!(
        "{id}  {kind}\n{noun} {name} ({unique_id}) {arn}\n{field}\nwithheld: {withheld}\nsides:\n"
    );
    for (side, number) in sides.iter().zip(1..) {
        let ConflictSide { node, author, author_arn, credential, at_ms, action, value, .. } = side;
        let who = if author_arn.is_empty() { author } else { author_arn };
        let at = Timestamp::from_ms(*at_ms);
        writeln!(
            text,
            "  {number}. {value}\n     {action} by {who} with {credential}, at node {node}, {at}"
        )
        .expect("a String takes any text");
        for line in side.document.iter().flat_map(|document| document.lines()) {
            writeln!(text, "     | {line}").expect("a String takes any text");
        }
    }
    text += "ways out:\n";
    for WayOut { choice, actions } in ways_out {
        let way = match choice.as_str() {
            "" => format!("call one of: {}", actions.join(", ")),
            "remove" => format!("writ conflicts resolve {id} --remove  ({})", actions.join(", ")),
            side => format!("writ conflicts resolve {id} --keep {side}  ({})", actions.join(", ")),
        };
        writeln!(text, "  {way}").expect("a String takes any text");
    }
    if ways_out.is_empty() {
        text += "  none that this version knows: ask a newer node\n";
    }
    text
}

/// What people wrote must not steer the terminal of who reads it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn json(conflicts: &[Conflict]) -> String {
    let conflicts: Vec<serde_json::Value> = conflicts.iter().map(value).collect();
    format!("{:#}\n", serde_json::Value::from(conflicts))
}

fn value(conflict: &Conflict) -> serde_json::Value {
    let Conflict { id, kind, noun, name, arn, unique_id, field, sides, withheld, ways_out } =
        conflict;
    let sides: Vec<_> = sides
        .iter()
        .map(|side| {
            let ConflictSide {
                node,
                seq,
                author,
                author_arn,
                credential,
                at_ms,
                action,
                value,
                document,
            } = side;
            serde_json::json!({
                "node": node, "seq": seq, "author": author, "author_arn": author_arn,
                "credential": credential, "at": Timestamp::from_ms(*at_ms).to_string(),
                "action": action, "value": value, "document": document,
            })
        })
        .collect();
    let ways_out: Vec<_> = ways_out
        .iter()
        .map(|WayOut { choice, actions }| {
            serde_json::json!({ "choice": choice, "actions": actions })
        })
        .collect();
    serde_json::json!({
        "id": id, "kind": kind, "noun": noun, "name": name, "arn": arn, "unique_id": unique_id,
        "field": field, "sides": sides, "withheld": withheld, "ways_out": ways_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict() -> Conflict {
        let side = |node, value: &str| ConflictSide {
            node,
            seq: 7,
            author: "AIDA".into(),
            author_arn: String::new(),
            credential: "access key AKIA".into(),
            at_ms: 1000,
            action: "PutUserPolicy".into(),
            value: value.into(),
            document: (node == 2).then(|| "{\n}".to_owned()),
        };
        let way = |choice: &str| WayOut { choice: choice.into(), actions: vec!["iam:X".into()] };
        Conflict {
            id: "00ff".into(),
            kind: "inline_policy".into(),
            noun: "user".into(),
            name: "bob".into(),
            arn: "arn:b".into(),
            unique_id: "AIDB".into(),
            field: "inline policy `in`".into(),
            sides: vec![side(1, "removed"), side(2, "a document")],
            withheld: "much".into(),
            ways_out: vec![way("2"), way("remove"), way("")],
        }
    }

    #[test]
    fn a_conflict_is_shown_with_its_sides_and_ways_out() {
        let expected = "\
00ff  inline_policy
user bob (AIDB) arn:b
inline policy `in`
withheld: much
sides:
  1. removed
     PutUserPolicy by AIDA with access key AKIA, at node 1, 1970-01-01T00:00:01Z
  2. a document
     PutUserPolicy by AIDA with access key AKIA, at node 2, 1970-01-01T00:00:01Z
     | {
     | }
ways out:
  writ conflicts resolve 00ff --keep 2  (iam:X)
  writ conflicts resolve 00ff --remove  (iam:X)
  call one of: iam:X
";
        assert_eq!(details(&conflict()), expected);
        assert_eq!(table(&[conflict()]), "00ff  inline_policy  user bob: inline policy `in`\n");
        assert_eq!(table(&[]), "no conflicts\n");
    }

    #[test]
    fn what_people_wrote_does_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n\u{9b}c"), "a\u{fffd}[2Jb\n\u{fffd}c");
    }

    #[test]
    fn json_tells_as_much() {
        let parsed: serde_json::Value = serde_json::from_str(&json(&[conflict()])).unwrap();
        assert_eq!(parsed[0]["sides"][1]["document"], "{\n}");
        assert_eq!(parsed[0]["ways_out"][0]["choice"], "2");
    }
}
