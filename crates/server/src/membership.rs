//! Nodes that join become active: the leader sees that they have caught up, and says so.
//!
//! **Invariants.** A node is activated only after it was seen to have everything that this node
//! had when it first saw the node join. Only the leader proposes; if it falls, the next one
//! begins anew.
//!
//! **Must not know:** how Raft's own configuration follows the roster.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crdt::{NodeId, VersionVector, dominates};
use model::Timestamp;
use node::{Node, NodeState};
use wire::v1::{self, control_command::Command};

use crate::{app::App, control, core::Stopping, stop::Stop};

/// How often joining nodes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long to wait before a new address is told again.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Activates joining nodes while this node leads, until told to stop.
pub async fn activate(app: Arc<App>, mut stop: Stop) {
    let mut targets: BTreeMap<NodeId, VersionVector> = BTreeMap::new();
    let mut state = app.control.watch();
    loop {
        let joining = state.borrow_and_update().0.present().any(is_joining);
        let leads = app.control.leader() == Some(app.home.node);
        if joining && leads {
            if look(&app, &mut targets).await.is_err() {
                return stop.stopped().await;
            }
        } else {
            targets.clear();
        }
        let pause = async {
            if joining {
                tokio::time::sleep(LOOK_EVERY).await;
            } else {
                // An error means that Raft has stopped; then there is nothing left to do.
                let _stopped = state.changed().await;
            }
        };
        tokio::select! {
            () = stop.stopped() => return,
            () = pause => {}
        }
        if state.has_changed().is_err() {
            // Raft has stopped: whoever watches it tells why.
            return stop.stopped().await;
        }
    }
}

fn is_joining(entry: &node::RosterEntry) -> bool {
    entry.state == NodeState::Joining
}

async fn look(
    app: &Arc<App>,
    targets: &mut BTreeMap<NodeId, VersionVector>,
) -> Result<(), Stopping> {
    let ready = app.core.peek(|node| ready(node, app.core.now(), targets))?;
    for node in ready {
        let command = Command::ActivateNode(v1::ActivateNode { node: node.0 });
        match control::propose(&app.control, command).await {
            Ok(_) => tracing::info!(node = node.0, "a node has joined"),
            Err(error) => tracing::warn!(%error, node = node.0, "cannot activate a node"),
        }
    }
    Ok(())
}

/// The joining nodes that have caught up.
fn ready(
    node: &Node,
    now: Timestamp,
    targets: &mut BTreeMap<NodeId, VersionVector>,
) -> Vec<NodeId> {
    let status = node.status(now);
    let joining = status.into_iter().filter(|status| is_joining(&status.entry));
    let caught_up = joining.filter(|status| {
        let target = targets.entry(status.entry.node).or_insert_with(|| node.vector().clone());
        status.connected && dominates(&status.visible, target)
    });
    caught_up.map(|status| status.entry.node).collect()
}

/// Tells the cluster where this node is, if it is elsewhere than the roster says.
pub async fn announce(
    app: Arc<App>,
    (grpc_address, aws_address): (String, String),
    mut stop: Stop,
) {
    let mut state = app.control.watch();
    loop {
        let moved = {
            let rules = state.borrow_and_update();
            let own = rules.0.node(NodeId(app.home.node));
            own.filter(|own| own.state != NodeState::Removed).is_some_and(|own| {
                own.grpc_address != grpc_address || own.aws_address != aws_address
            })
        };
        if moved {
            let update = Command::UpdateNode(v1::UpdateNode {
                node: app.home.node,
                grpc_address: grpc_address.clone(),
                aws_address: aws_address.clone(),
            });
            let told = tokio::select! {
                () = stop.stopped() => return,
                told = control::propose(&app.control, update) => told,
            };
            match told {
                Ok(_) => tracing::info!(grpc_address, "the cluster knows the new address"),
                Err(error) => tracing::warn!(%error, "cannot tell the new address, trying again"),
            }
        }
        let pause = async {
            if moved {
                tokio::time::sleep(TELL_EVERY).await;
                true
            } else {
                state.changed().await.is_ok()
            }
        };
        tokio::select! {
            () = stop.stopped() => return,
            goes_on = pause => if !goes_on { return stop.stopped().await },
        }
    }
}
