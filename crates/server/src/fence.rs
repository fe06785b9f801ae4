//! A node that the cluster has removed finds out, and never serves again.
//!
//! Members refuse a removed node's streams and the control plane does not talk to it any more, so
//! that a node which was cut off when it was removed would go on as if nothing had happened. It
//! asks: a member that it has no stream with tells it where it stands.
//!
//! **Invariants.** A fence is on disk before this part goes on; a directory with a fence never
//! starts again. Only members of the roster are asked, and each proves itself by its certificate.
//!
//! **Must not know:** what the node does about a fence.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crdt::NodeId;
use node::{Input, Node};
use rpc::{client::connect, v1::peer_client::PeerClient};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use wire::v1::StandingRequest;

use crate::{app::App, bootstrap::BootstrapError, home, server::ServerError, stop::Stop};

/// How often members without a stream are asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long one may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Asks members without a stream whether this node still belongs to them, until told to stop.
///
/// # Errors
/// None: who cannot be asked is asked again.
pub async fn ask(app: Arc<App>, mut stop: Stop) -> Result<(), ServerError> {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let asked = async {
            for (member, address) in app.core.peek(|node| strangers(node, &app)).ok()? {
                if says_removed(&app, member, address).await {
                    app.core.input(Input::Removed { by: member }).await.ok()?;
                }
            }
            Some(())
        };
        tokio::select! {
            () = stop.stopped() => return Ok(()),
            _goes_on_or_stops = asked => {}
        }
    }
}

/// The writers that there is no stream with; nobody if this node is fenced.
fn strangers(node: &Node, app: &App) -> Vec<(NodeId, String)> {
    if node.fenced().is_some() {
        return Vec::new();
    }
    let present = node.control().writers().map(|entry| entry.node).collect::<Vec<_>>();
    let strangers = node.status(app.core.now()).into_iter().filter(|status| {
        let other = status.entry.node != node.id() && !status.connected;
        other && present.contains(&status.entry.node)
    });
    strangers.map(|status| (status.entry.node, status.entry.grpc_address)).collect()
}

async fn says_removed(app: &App, member: NodeId, address: String) -> bool {
    let deadline = Instant::now() + ANSWER_WITHIN;
    let answer = async {
        let channel = connect(&app.target(member, address)).await.ok()?;
        let reply = PeerClient::new(channel).standing(StandingRequest {}).await.ok()?;
        Some(reply.get_ref().removed)
    };
    timeout_at(deadline, answer).await.ok().flatten().unwrap_or(false)
}

/// Writes a fence to the data directory when there is one.
///
/// # Errors
/// When it cannot be written: the node must not go on as if it could forget.
pub async fn remember(app: Arc<App>, data_dir: PathBuf, mut stop: Stop) -> Result<(), ServerError> {
    let mut fences = app.core.fences();
    let fence = tokio::select! {
        () = stop.stopped() => return Ok(()),
        fence = fences.wait_for(Option::is_some) => fence.ok().and_then(|fence| *fence),
    };
    if let Some(fence) = fence {
        tracing::error!(%fence, "this node writes and answers no more: it must join as a new one");
        let written = tokio::task::spawn_blocking(move || {
            home::write(&data_dir, home::FENCE_FILE, fence.to_string().as_bytes())
        });
        let written = written.await.map_err(ServerError::Task)?;
        written.map_err(|error| ServerError::Bootstrap(BootstrapError::Home(error)))?;
    }
    stop.stopped().await;
    Ok(())
}
