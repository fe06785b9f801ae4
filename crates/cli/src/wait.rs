//! `writ wait`: until a change is where it should be, with live progress.
//!
//! **Invariants.** 0 only if every wait that was asked for ended with `propagated`; otherwise
//! whoever is missing is named, and why.
//!
//! **Must not know:** how progress is known.

use std::{fmt::Write as _, time::Duration};

use rpc::v1::propagation_client::PropagationClient;
use wire::v1::{
    NodeWait, Stage, WaitEvent, WaitOutcome, WaitRequest,
    survival::{Fate, fate::State},
    wait_event::Event,
    wait_outcome::Result as WaitResult,
};

use crate::{
    Environment, Exit, Output, arguments, duration,
    exit::{Error, is_unavailable},
    session::{CALL_WITHIN, Connection, Prefer, Session},
};

pub(crate) async fn run(
    arguments: arguments::Wait,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let session = Session::new(environment)?;
    let message = WaitRequest {
        consistency_token: arguments.token.clone().unwrap_or_default(),
        scope: arguments.scope.clone(),
        stage: stage(arguments.stage).into(),
        timeout_ms: duration::to_ms(arguments.timeout),
    };
    if arguments.token.is_some() {
        let connection = session.connect_any(&arguments.common, Prefer::Writers).await?;
        let outcome = wait(connection, &message, output).await?;
        return conclude(&outcome, output);
    }
    // Without a token, each writer waits for what it has itself: together that is everything.
    let mut exit = Exit::Ok;
    let mut silent = Vec::new();
    let addresses = session.addresses(&arguments.common, Prefer::Writers);
    for address in &addresses {
        // Whatever a writer has that cannot be asked, it is not known to be anywhere else.
        let connection = match session.connect(address).await {
            Ok(connection) => connection,
            Err(error) => {
                silent.push(error.to_string());
                continue;
            }
        };
        let outcome = wait(connection, &message, output).await?;
        if outcome.result() != WaitResult::Propagated {
            exit = conclude(&outcome, output)?;
        }
    }
    if silent.len() == addresses.len() {
        return Err(Error::Unreachable(silent.join("; ")));
    }
    for why in &silent {
        output.result(&format!("not asked what it has: {why}\n"))?;
        exit = Exit::NotPropagated;
    }
    if exit == Exit::Ok {
        output.result("propagated\n")?;
    }
    Ok(exit)
}

fn stage(stage: arguments::Stage) -> Stage {
    match stage {
        arguments::Stage::Received => Stage::Received,
        arguments::Stage::Durable => Stage::Durable,
        arguments::Stage::Visible => Stage::Visible,
        arguments::Stage::Confirmed => Stage::Confirmed,
        arguments::Stage::Stable => Stage::Stable,
    }
}

fn conclude(outcome: &WaitOutcome, output: &mut Output<'_>) -> Result<Exit, Error> {
    let (text, exit) = render(outcome);
    output.result(&text)?;
    Ok(exit)
}

/// One wait at one node.
async fn wait(
    connection: Connection,
    message: &WaitRequest,
    output: &mut Output<'_>,
) -> Result<WaitOutcome, Error> {
    let mut client = PropagationClient::new(connection);
    let mut request = tonic::Request::new(message.clone());
    // The node ends the wait itself; this ends it if the node does not.
    request.set_timeout(Duration::from_millis(u64::from(message.timeout_ms)) + CALL_WITHIN);
    let stream = client.wait_for_propagation(request).await.map_err(Error::Refused)?;
    let mut stream = stream.into_inner();
    let mut shown = String::new();
    loop {
        let event = stream.message().await.map_err(lost)?;
        let Some(WaitEvent { event }) = event else {
            return Err(Error::Unreachable("the node ended the wait without a result".to_owned()));
        };
        match event {
            Some(Event::Progress(progress)) => {
                let line = progress_line(&progress.nodes);
                if line != shown {
                    output.progress(&line)?;
                    shown = line;
                }
            }
            Some(Event::Outcome(outcome)) => return Ok(outcome),
            // A newer node's event: what it means is not known, that it is not the end is.
            None => (),
        }
    }
}

fn lost(status: tonic::Status) -> Error {
    if is_unavailable(&status) {
        return Error::Unreachable(format!("the wait was cut off: {}", status.message()));
    }
    Error::Refused(status)
}

fn progress_line(nodes: &[NodeWait]) -> String {
    let reached = nodes.iter().filter(|node| node.reached).count();
    let missing: Vec<String> = nodes.iter().filter(|node| !node.reached).map(node_text).collect();
    format!("{reached} of {} nodes; {}\n", nodes.len(), missing.join("; "))
}

fn node_text(node: &NodeWait) -> String {
    format!("node {}: {}", node.node, node.why)
}

fn render(outcome: &WaitOutcome) -> (String, Exit) {
    let (mut text, exit) = render_result(outcome);
    for fate in outcome.survival.iter().flat_map(|survival| &survival.fates) {
        let Fate { state: _, what, by } = fate;
        let word = match fate.state() {
            State::Contested => "contested",
            State::Superseded => "superseded",
            State::Unspecified => "not in effect",
        };
        writeln!(text, "{word}: {what}").expect("a String takes any text");
        for by in by {
            writeln!(text, "  {by}").expect("a String takes any text");
        }
    }
    (text, exit)
}

fn render_result(outcome: &WaitOutcome) -> (String, Exit) {
    let heading = match outcome.result() {
        WaitResult::Propagated => return ("propagated\n".to_owned(), Exit::Ok),
        WaitResult::TimedOut if outcome.missing.is_empty() => {
            format!("timed out: {}", outcome.reason)
        }
        WaitResult::TimedOut => "timed out; missing:".to_owned(),
        WaitResult::Unsatisfiable => format!("cannot be: {}", outcome.reason),
        WaitResult::Unspecified => "the node gave no result".to_owned(),
    };
    let mut text = format!("{heading}\n");
    for node in &outcome.missing {
        writeln!(text, "  {}", node_text(node)).expect("a String takes any text");
    }
    (text, Exit::NotPropagated)
}

#[cfg(test)]
mod tests {
    use wire::v1::Survival;

    use super::*;

    fn node(node: u32, reached: bool) -> NodeWait {
        let why = if reached { String::new() } else { "2 transactions behind".to_owned() };
        NodeWait { node, reached, lag: 0, why }
    }

    #[test]
    fn whoever_is_missing_is_named_with_the_reason() {
        let outcome = WaitOutcome {
            result: WaitResult::TimedOut.into(),
            missing: vec![node(3, false)],
            ..WaitOutcome::default()
        };
        let expected = "timed out; missing:\n  node 3: 2 transactions behind\n".to_owned();
        assert_eq!(render(&outcome), (expected, Exit::NotPropagated));
        let outcome = WaitOutcome {
            result: WaitResult::TimedOut.into(),
            missing: Vec::new(),
            reason: "names are not confirmed yet".to_owned(),
            ..WaitOutcome::default()
        };
        let expected = "timed out: names are not confirmed yet\n".to_owned();
        assert_eq!(render(&outcome), (expected, Exit::NotPropagated));
        let nodes = [node(1, true), node(3, false)];
        assert_eq!(progress_line(&nodes), "1 of 2 nodes; node 3: 2 transactions behind\n");
    }

    #[test]
    fn what_is_not_in_effect_is_told_with_who_says_otherwise() {
        let fate = Fate {
            state: State::Contested.into(),
            what: "user bob, inline policy `i`".to_owned(),
            by: vec!["DeleteUserPolicy by A at node 3: removed".to_owned()],
        };
        let outcome = WaitOutcome {
            result: WaitResult::Propagated.into(),
            survival: Some(Survival { fates: vec![fate] }),
            ..WaitOutcome::default()
        };
        let expected = "propagated\ncontested: user bob, inline policy `i`\n  DeleteUserPolicy by A \
                        at node 3: removed\n";
        assert_eq!(render(&outcome), (expected.to_owned(), Exit::Ok));
    }

    #[test]
    fn only_propagated_ends_with_0() {
        let exit = |result: i32| render(&WaitOutcome { result, ..WaitOutcome::default() }).1.code();
        assert_eq!(exit(WaitResult::Propagated.into()), 0);
        for result in [0, WaitResult::TimedOut.into(), WaitResult::Unsatisfiable.into(), 99] {
            assert_eq!(exit(result), 3, "{result}");
        }
    }
}
