//! What all members have is agreed to be stable, so that every node can forget what only
//! concurrency needed.
//!
//! **Invariants.** Only the leader proposes, and only what every member has said itself.
//!
//! **Must not know:** what is forgotten.

use std::{sync::Arc, time::Duration};

use node::Node;
use tokio::time::{MissedTickBehavior, interval};
use wire::v1::{ControlRefusal, control_command::Command};

use crate::{
    app::App,
    control::{self, CommandError},
    stop::Stop,
};

/// How often the members' progress is looked at. Each barrier is an entry of Raft's log; what
/// becomes stable meanwhile is one barrier.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Has barriers agreed on while this node leads, until told to stop.
pub async fn agree(app: Arc<App>, mut stop: Stop) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            _ = ticks.tick() => {}
        }
        if app.control.leader() != Some(app.home.node) {
            continue;
        }
        let Ok(advance) = app.core.peek(Node::barrier_to_propose) else {
            return stop.stopped().await;
        };
        let Some(advance) = advance else { continue };
        let agreed = control::propose(&app.control, Command::AdvanceBarrier(advance));
        let agreed = tokio::select! {
            () = stop.stopped() => return,
            agreed = agreed => agreed,
        };
        match agreed {
            // Of another roster: the next look is at that one.
            Ok(_) | Err(CommandError::Refused(ControlRefusal::RosterChanged)) => {}
            Err(error) => tracing::warn!(%error, "cannot agree on what is stable"),
        }
    }
}
