//! `Propagation`: when a change is where it should be.
//!
//! **Invariants.** The last event of a stream is its outcome. Who goes away cancels its wait.
//!
//! **Must not know:** how it is known.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use crdt::VersionVector;
use node::{NodeWait, Stage, WaitOutcome};
use rpc::v1::propagation_server::Propagation;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use wire::v1::{self, wait_event::Event, wait_outcome::Result as WireResult};

use super::{Concern, authorize, counted, stopping, who};
use crate::{
    api::outcome_name,
    app::App,
    core::{Wait, WaitRequest},
    metrics,
};

/// The longest wait.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// What a wait lasts that does not say.
const TIMEOUT: Duration = Duration::from_secs(10);
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

    async fn begin(&self, request: &v1::WaitRequest) -> Result<Wait, Status> {
        let scope = node::parse_scope(&request.scope)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let stage = match request.stage() {
            v1::Stage::Received => Stage::Received,
            v1::Stage::Durable => Stage::Durable,
            v1::Stage::Stable => Stage::Stable,
            v1::Stage::Visible | v1::Stage::Unspecified => Stage::Visible,
        };
        let timeout = match request.timeout_ms {
            0 => TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)).min(TIMEOUT_MAX),
        };
        let token = self.token(&request.consistency_token).await?;
        let request = WaitRequest { token, scope, stage, timeout };
        self.app.core.wait(request).await.map_err(stopping)
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
            let wait = self.begin(request.get_ref()).await?;
            let (events, receiver) = mpsc::channel(EVENTS_MAX);
            let mut reporter = JoinSet::new();
            reporter.spawn(report(Arc::clone(&self.app), wait, events));
            Ok(Events { events: receiver, _reporter: reporter })
        })
        .await
    }
}

type EventSender = mpsc::Sender<Result<v1::WaitEvent, Status>>;

async fn report(app: Arc<App>, mut wait: Wait, events: EventSender) {
    let started = std::time::Instant::now();
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
    let Ok(outcome) = outcome else {
        let _gone = events.send(Err(Status::unavailable("this node is stopping"))).await;
        return;
    };
    let metrics = app.core.metrics();
    let result = outcome_name(&outcome);
    metrics.waits.get_or_create(&metrics::Outcome { result }).inc();
    if outcome == WaitOutcome::Propagated {
        metrics.propagation.observe(started.elapsed().as_secs_f64());
    }
    let _gone = send(&events, Event::Outcome(wire_outcome(outcome))).await;
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
    v1::WaitOutcome { result: result.into(), missing, reason }
}
