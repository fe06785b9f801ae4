//! `Propagation`: when a change is where it should be.
//!
//! **Invariants.** The last event of a stream is its outcome. Who goes away cancels its wait.
//!
//! **Must not know:** how it is known.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crdt::{Dot, VersionVector};
use identity::{
    NameVerdict, NamesOf,
    conflict::{Fate, Survival, Written},
};
use model::AccountId;
use node::{NodeWait, Stage, WaitOutcome};
use rpc::v1::propagation_server::Propagation;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use wire::v1::{self, wait_event::Event, wait_outcome::Result as WireResult};

use super::{Concern, Who, authorize, counted, stopping, who};
use crate::{
    api::outcome_name,
    app::App,
    core::{Stopping, Wait, WaitRequest},
    metrics, names,
};

/// The longest wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// What a wait lasts that does not say.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Lost names that an outcome tells, at most.
const LOST_SHOWN_MAX: usize = 20;
/// Events that wait for a client.
const EVENTS_MAX: usize = 4;

/// The service.
pub struct Propagations {
    app: Arc<App>,
}

impl Propagations {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn begin(&self, request: &v1::WaitRequest, who: &Who) -> Result<Begun, Status> {
        let scope = node::parse_scope(&request.scope)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let stage = match request.stage() {
            v1::Stage::Received => Stage::Received,
            v1::Stage::Durable => Stage::Durable,
            v1::Stage::Stable => Stage::Stable,
            v1::Stage::Visible | v1::Stage::Confirmed | v1::Stage::Unspecified => Stage::Visible,
        };
        let timeout = match request.timeout_ms {
            0 => TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)).min(TIMEOUT_MAX),
        };
        let token = self.token(&request.consistency_token).await?;
        let account = match who {
            Who::Caller(caller, _) => Some(caller.account),
            Who::Own => None,
        };
        let names = (request.stage() == v1::Stage::Confirmed)
            .then(|| NamesOf::Account { account, upto: token.clone() });
        let write = Write::of(&self.app, &request.consistency_token, account)?;
        let request = WaitRequest { token, scope, stage, timeout };
        let wait = self.app.core.wait(request).await.map_err(stopping)?;
        Ok(Begun { wait, names, write, deadline: Instant::now() + timeout })
    }

    /// What a token covers; without one, what this node has.
    async fn token(&self, text: &str) -> Result<VersionVector, Status> {
        let opened = self.app.core.read(|node| {
            if text.is_empty() { Ok(node.vector().clone()) } else { node.open_token(text) }
        });
        let (opened, _token) = opened.await.map_err(stopping)?;
        opened.map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// A wait that began.
struct Begun {
    wait: Wait,
    /// Names that must be confirmed as well.
    names: Option<NamesOf>,
    /// The write whose answer carried the token.
    write: Option<Write>,
    deadline: Instant,
}

/// A write that is waited for. What it wrote is taken down as soon as it is here, as it may have
/// become stable when the wait ends.
struct Write {
    dot: Dot,
    written: Option<Written>,
    /// Whose the asker may hear of; of all if the asker is a node.
    account: Option<AccountId>,
}

impl Write {
    fn of(app: &App, token: &str, account: Option<AccountId>) -> Result<Option<Self>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let write = app.core.peek(|node| {
            // That it opens is known.
            let dot = node.write_of(token).ok().flatten()?;
            Some(Self { dot, written: node.identity().written(&dot), account })
        });
        write.map_err(stopping)
    }

    /// What became of it, by the time the wait ends.
    async fn survival(self, app: &App) -> Option<v1::Survival> {
        let Self { dot, written, account } = self;
        let fates = app.core.read(|node| {
            let written = written.or_else(|| node.identity().written(&dot))?;
            node.identity().fates(&written, account)
        });
        let (fates, _token) = fates.await.ok()?;
        Some(v1::Survival { fates: fates?.iter().map(fate).collect() })
    }
}

fn fate(fate: &Fate) -> v1::survival::Fate {
    let Fate { survival, entity, field, by } = fate;
    let state = match survival {
        Survival::InEffect => v1::survival::fate::State::Unspecified,
        Survival::Superseded => v1::survival::fate::State::Superseded,
        Survival::Contested => v1::survival::fate::State::Contested,
    };
    let by = by.iter().map(|side| {
        let author = side.author_arn.clone().unwrap_or_else(|| side.author.to_string());
        format!("{} by {author} at node {}: {}", side.action, side.node, side.value)
    });
    let what = format!("{} {}, {field}", entity.noun, entity.name);
    v1::survival::Fate { state: state.into(), what, by: by.collect() }
}

/// A wait's events. The task that tells them ends with the wait, or with this.
pub struct Events {
    events: mpsc::Receiver<Result<v1::WaitEvent, Status>>,
    _reporter: JoinSet<()>,
}

impl Stream for Events {
    type Item = Result<v1::WaitEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

#[tonic::async_trait]
impl Propagation for Propagations {
    type WaitForPropagationStream = Events;

    async fn wait_for_propagation(
        &self,
        request: Request<v1::WaitRequest>,
    ) -> Result<Response<Events>, Status> {
        counted(&self.app, "WaitForPropagation", async {
            let who = who(&self.app, &request)?;
            authorize(&self.app, &who, "writ:WaitForPropagation", Concern::Account).await?;
            let wait = self.begin(request.get_ref(), &who).await?;
            let (events, receiver) = mpsc::channel(EVENTS_MAX);
            let mut reporter = JoinSet::new();
            reporter.spawn(report(Arc::clone(&self.app), wait, events));
            Ok(Events { events: receiver, _reporter: reporter })
        })
        .await
    }
}

type EventSender = mpsc::Sender<Result<v1::WaitEvent, Status>>;

async fn report(app: Arc<App>, begun: Begun, events: EventSender) {
    let Begun { mut wait, names, write, deadline } = begun;
    let started = Instant::now();
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut wait.outcome => break outcome,
            Ok(()) = wait.progress.changed() => {
                let nodes = wait.progress.borrow_and_update().iter().map(node_wait).collect();
                let event = Event::Progress(v1::WaitProgress { nodes });
                if send(&events, event).await.is_err() {
                    return;
                }
            }
            () = events.closed() => return,
        }
    };
    let outcome = match (outcome, names) {
        (Ok(WaitOutcome::Propagated), Some(names)) => {
            let left = deadline.saturating_duration_since(Instant::now());
            tokio::select! {
                decided = names::decided(&app, &names, left) => decided.map(names_outcome),
                () = events.closed() => return,
            }
        }
        (outcome, _) => outcome.map(|outcome| (outcome, String::new())).map_err(|_| Stopping),
    };
    let Ok((outcome, reason)) = outcome else {
        let _gone = events.send(Err(Status::unavailable("this node is stopping"))).await;
        return;
    };
    let metrics = app.core.metrics();
    let result = outcome_name(&outcome);
    metrics.waits.get_or_create(&metrics::Outcome { result }).inc();
    if outcome == WaitOutcome::Propagated {
        metrics.propagation.observe(started.elapsed().as_secs_f64());
    }
    let mut outcome = wire_outcome(outcome);
    if !reason.is_empty() {
        outcome.reason = reason;
    }
    if let Some(write) = write {
        outcome.survival = write.survival(&app).await;
    }
    let _gone = send(&events, Event::Outcome(outcome)).await;
}

/// What was decided about names, as the outcome of a wait; why, if that is short of time.
fn names_outcome(verdict: NameVerdict) -> (WaitOutcome, String) {
    match verdict {
        NameVerdict::Confirmed => (WaitOutcome::Propagated, String::new()),
        NameVerdict::Provisional => {
            let why = "names are not confirmed yet: they stay provisional".to_owned();
            (WaitOutcome::TimedOut { missing: Vec::new() }, why)
        }
        NameVerdict::Lost(lost) => {
            let shown = lost.iter().take(LOST_SHOWN_MAX).map(ToString::to_string);
            let mut reason = shown.collect::<Vec<_>>().join("; ");
            if lost.len() > LOST_SHOWN_MAX {
                reason.push_str("; and more");
            }
            (WaitOutcome::Unsatisfiable { reason }, String::new())
        }
    }
}

async fn send(events: &EventSender, event: Event) -> Result<(), ()> {
    events.send(Ok(v1::WaitEvent { event: Some(event) })).await.map_err(|_| ())
}

fn node_wait(wait: &NodeWait) -> v1::NodeWait {
    let NodeWait { node, reached, lag, why } = wait;
    v1::NodeWait { node: node.0, reached: *reached, lag: *lag, why: why.clone() }
}

fn wire_outcome(outcome: WaitOutcome) -> v1::WaitOutcome {
    let (result, missing, reason) = match outcome {
        WaitOutcome::Propagated => (WireResult::Propagated, Vec::new(), String::new()),
        WaitOutcome::TimedOut { missing } => (WireResult::TimedOut, missing, String::new()),
        WaitOutcome::Unsatisfiable { reason } => (WireResult::Unsatisfiable, Vec::new(), reason),
    };
    let missing = missing.iter().map(node_wait).collect();
    v1::WaitOutcome { result: result.into(), missing, reason, survival: None }
}
