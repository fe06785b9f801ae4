//! Names are claimed at the control plane, at once by the node that gave them, and by the leader
//! whatever others left undone; and clients wait for what is decided.
//!
//! **Invariants.** What is proposed is durable. What to propose is read off the state each time, so
//! that nothing is forgotten by a restart, and nothing is told twice once it is decided. Without a
//! quorum names stay as they are.
//!
//! **Must not know:** what a claim is.

use std::{sync::Arc, time::Duration};

use crdt::NodeId;
use identity::{NameVerdict, NamesOf, Whose};
use node::Node;
use tokio::time::{Instant, sleep, sleep_until};
use wire::v1::{ControlRefusal, control_command::Command};

use crate::{
    app::App,
    control::{self, CommandError},
    core::Stopping,
    stop::Stop,
};

/// The pause after a command: meanwhile its outcome arrives, and more to claim with the next.
const PAUSE: Duration = Duration::from_millis(40);
/// The pause after a command that was not answered, or refused.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
/// How often the leader looks after what others left undone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Claims names until told to stop.
pub async fn claim(app: Arc<App>, mut stop: Stop) {
    tokio::select! {
        () = stop.stopped() => {}
        Err(Stopping) = claim_all(&app) => stop.stopped().await,
    }
}

async fn claim_all(app: &App) -> Result<(), Stopping> {
    let mut changes = app.core.changes();
    let mut look_at = Instant::now() + LOOK_EVERY;
    loop {
        let mut told = tell(app, Whose::Of(NodeId(app.home.node))).await?;
        if told.is_none() && Instant::now() >= look_at {
            look_at = Instant::now() + LOOK_EVERY;
            if app.control.leader() == Some(app.home.node) {
                told = tell(app, Whose::Anybodys).await?;
            }
        }
        match told {
            Some(pause) => sleep(pause).await,
            None => tokio::select! {
                changed = changes.changed() => changed?,
                () = sleep_until(look_at) => {}
            },
        }
    }
}

/// Proposes what there is to tell. `None` if there is nothing, else for how long to pause.
async fn tell(app: &App, whose: Whose) -> Result<Option<Duration>, Stopping> {
    let read = |node: &Node| (node.name_proposal(whose), node.applied_lsn());
    let (Some(proposal), lsn) = app.core.peek(read)? else { return Ok(None) };
    app.core.durable(lsn).await?;
    let count = proposal.claims.len();
    match control::propose_again(&app.control, Command::ClaimNames(proposal)).await {
        Ok(_) => {
            tracing::debug!(count, "names are claimed");
            Ok(Some(PAUSE))
        }
        // Another writer has settled more meanwhile than this one has seen.
        Err(CommandError::Refused(ControlRefusal::NamesBehind)) => Ok(Some(PAUSE)),
        Err(error) => {
            tracing::debug!(%error, count, "names stay provisional");
            Ok(Some(PAUSE_AFTER_ERROR))
        }
    }
}

/// Waits until names are decided, or for so long: then some are provisional.
///
/// # Errors
/// When the node is stopping.
pub async fn decided(
    app: &App,
    asked: &NamesOf,
    within: Duration,
) -> Result<NameVerdict, Stopping> {
    let deadline = Instant::now() + within;
    let mut changes = app.core.changes();
    loop {
        let verdict = app.core.peek(|node| node.identity().name_verdict(asked))?;
        if verdict != NameVerdict::Provisional {
            return Ok(verdict);
        }
        tokio::select! {
            changed = changes.changed() => changed?,
            () = sleep_until(deadline) => return Ok(verdict),
        }
    }
}
