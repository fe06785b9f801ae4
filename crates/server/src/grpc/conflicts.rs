//! `Conflicts`: what concurrent changes disagree on, and how it is settled.
//!
//! **Invariants.** A caller sees its own account's conflicts only. What is told is durable. Who
//! watches is authorized anew for every event; who is too slow is told how many it missed.
//!
//! **Must not know:** what a conflict is.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use identity::{
    Command, ConflictEvent, ConflictId, Page,
    conflict::{Change, Choice, Conflict, ConflictEntity, Resolve, Side, WayOut},
};
use node::{Node, Refusal};
use rpc::v1::conflicts_server::Conflicts;
use tokio::{
    sync::{broadcast, broadcast::error::RecvError, mpsc},
    task::JoinSet,
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};
use wire::v1::{
    self,
    conflict_event::{Changed, Event, Listening, changed},
};

use super::{Concern, Who, authorized, counted, read_own, refused, signed, stopping, who};
use crate::{
    app::App,
    core::{Execute, Executed},
    random,
};

/// Who may list, show and watch.
const LIST: &str = "writ:ListConflicts";
/// Who may settle, as far as its rights to the calls themselves go.
const RESOLVE: &str = "writ:ResolveConflict";
/// Conflicts in one reply, at most.
const ITEMS_MAX: u32 = 1000;
/// Conflicts in one reply unless the caller says.
const ITEMS: u32 = 100;
/// Events that wait for one client, besides those that wait for all.
const EVENTS_MAX: usize = 16;

/// The service.
pub struct ConflictInbox {
    app: Arc<App>,
}

impl ConflictInbox {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn list(
        &self,
        who: &Who,
        message: v1::ListConflictsRequest,
    ) -> Result<v1::ListConflictsReply, Status> {
        let v1::ListConflictsRequest { max_items, marker, consistency_token } = message;
        let page = page(max_items, &marker)?;
        let read = |node: &Node, account| node.identity().conflicts(account, &page);
        let (listing, token) = read_own(&self.app, who, LIST, &consistency_token, read).await?;
        Ok(v1::ListConflictsReply {
            conflicts: listing.items.into_iter().map(wire_conflict).collect(),
            marker: listing.next.unwrap_or_default(),
            consistency_token: token,
        })
    }

    async fn show(
        &self,
        who: &Who,
        message: v1::ShowConflictRequest,
    ) -> Result<v1::ShowConflictReply, Status> {
        let v1::ShowConflictRequest { id, consistency_token } = message;
        let id = conflict_id(&id)?;
        let read = |node: &Node, account| node.identity().conflict(account, id);
        let (found, consistency_token) =
            read_own(&self.app, who, LIST, &consistency_token, read).await?;
        let conflict = Some(wire_conflict(found.map_err(|error| refused(&error))?));
        Ok(v1::ShowConflictReply { conflict, consistency_token })
    }

    async fn resolve(
        &self,
        who: &Who,
        message: v1::ResolveConflictRequest,
    ) -> Result<v1::ResolveConflictReply, Status> {
        let v1::ResolveConflictRequest { id, choice, consistency_token } = message;
        let resolve = Resolve { id: conflict_id(&id)?, choice: parse_choice(&choice)? };
        read_own(&self.app, who, RESOLVE, &consistency_token, |_, _| ()).await?;
        let (caller, request) = signed(who)?;
        let execute = Execute {
            caller: caller.clone(),
            request: request.clone(),
            request_id: random::uuid(),
            command: Command::ResolveConflict(resolve),
        };
        let executed = self.app.core.execute(execute).await.map_err(stopping)?;
        match executed.map_err(|refusal| refusal_status(&refusal))? {
            Executed::Done(node::Answer { reply: _, token, lsn: _ }) => {
                Ok(v1::ResolveConflictReply { consistency_token: token })
            }
            Executed::Propose { .. } => {
                Err(Status::internal("no conflict is of the control plane"))
            }
        }
    }

    async fn watch(&self, who: Who) -> Result<Events, Status> {
        // What happens while the caller is authorized is told, too.
        let news = self.app.core.conflicts();
        let ((), _token) = read_own(&self.app, &who, LIST, "", |_, _| ()).await?;
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let mut reporter = JoinSet::new();
        reporter.spawn(report(Arc::clone(&self.app), who, news, events));
        Ok(Events { events: receiver, _reporter: reporter })
    }
}

fn page(max_items: u32, marker: &str) -> Result<Page, Status> {
    if max_items > ITEMS_MAX {
        let message = format!("`max_items` is over its limit of {ITEMS_MAX}");
        return Err(Status::invalid_argument(message));
    }
    let marker = match marker {
        "" => None,
        marker => Some(conflict_id(marker)?.to_string()),
    };
    let max_items = if max_items == 0 { ITEMS } else { max_items };
    Ok(Page { marker, max_items: usize::try_from(max_items).unwrap_or(1) })
}

fn conflict_id(text: &str) -> Result<ConflictId, Status> {
    text.parse().map_err(|error: identity::conflict::NotAConflictId| {
        Status::invalid_argument(error.to_string())
    })
}

fn parse_choice(text: &str) -> Result<Choice, Status> {
    if text == "remove" {
        return Ok(Choice::Remove);
    }
    let number = text.parse().map(Choice::Side);
    number.map_err(|_| Status::invalid_argument("`choice` is a side's number, or remove"))
}

fn refusal_status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Identity(error) => refused(error),
        Refusal::NotAWriter { writer } => {
            let writer = writer.as_ref().map(|writer| format!(": ask {}", writer.grpc_address));
            Status::failed_precondition(format!("{refusal}{}", writer.unwrap_or_default()))
        }
        Refusal::NotReady | Refusal::Removed | Refusal::CutOff => {
            Status::unavailable(refusal.to_string())
        }
        Refusal::TooLarge | Refusal::NoAccount(_) | Refusal::AccountInUse(_) => {
            Status::failed_precondition(refusal.to_string())
        }
    }
}

/// The events of a watch. The task that tells them ends with this.
pub struct Events {
    events: mpsc::Receiver<Result<v1::ConflictEvent, Status>>,
    _reporter: JoinSet<()>,
}

impl Stream for Events {
    type Item = Result<v1::ConflictEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

type EventSender = mpsc::Sender<Result<v1::ConflictEvent, Status>>;

async fn report(
    app: Arc<App>,
    who: Who,
    mut news: broadcast::Receiver<ConflictEvent>,
    events: EventSender,
) {
    let Ok((caller, _)) = signed(&who) else { return };
    let mut next = Some(Event::Listening(Listening {}));
    loop {
        if let Some(event) = next {
            let told = events.send(may_still(&app, &who).map(|()| wire_event(event))).await;
            if told.is_err() {
                return;
            }
        }
        let heard = tokio::select! {
            heard = news.recv() => heard,
            () = events.closed() => return,
        };
        next = match heard {
            Ok(event) if event.account == caller.account => Some(Event::Changed(changed(event))),
            Ok(_) => None,
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => return,
        };
    }
}

/// A watch can outlast the right to it. The refusal ends the stream.
fn may_still(app: &App, who: &Who) -> Result<(), Status> {
    let resource = app.cluster_arn();
    let look = app.core.peek(|node| authorized(node, who, LIST, &resource, Concern::Account));
    look.map_err(stopping)?
}

fn wire_event(event: Event) -> v1::ConflictEvent {
    v1::ConflictEvent { event: Some(event) }
}

fn changed(ConflictEvent { account: _, id, kind, change }: ConflictEvent) -> Changed {
    let change = match change {
        Change::Appeared => changed::Change::Appeared,
        Change::Gone => changed::Change::Gone,
    };
    Changed { id: id.to_string(), kind: kind.word().to_owned(), change: change.into() }
}

fn wire_conflict(conflict: Conflict) -> v1::Conflict {
    let Conflict { id, kind, entity, field, sides, withheld, ways_out } = conflict;
    let ConflictEntity { noun, name, arn, id: unique_id } = entity;
    v1::Conflict {
        id: id.to_string(),
        kind: kind.word().to_owned(),
        noun: noun.to_owned(),
        name,
        arn,
        unique_id: unique_id.to_string(),
        field,
        sides: sides.into_iter().map(wire_side).collect(),
        withheld: withheld.to_owned(),
        ways_out: ways_out.into_iter().map(wire_way).collect(),
    }
}

fn wire_side(side: Side) -> v1::ConflictSide {
    let Side { node, seq, author, author_arn, credential, at, action, value, document } = side;
    v1::ConflictSide {
        node: node.0,
        seq,
        author: author.to_string(),
        author_arn: author_arn.unwrap_or_default(),
        credential,
        at_ms: at.ms(),
        action,
        value,
        document,
    }
}

fn wire_way(WayOut { choice, actions }: WayOut) -> v1::WayOut {
    v1::WayOut { choice: choice.map(|choice| choice.to_string()).unwrap_or_default(), actions }
}

#[tonic::async_trait]
impl Conflicts for ConflictInbox {
    type WatchConflictsStream = Events;

    async fn list_conflicts(
        &self,
        request: Request<v1::ListConflictsRequest>,
    ) -> Result<Response<v1::ListConflictsReply>, Status> {
        counted(&self.app, "ListConflicts", async {
            let who = who(&self.app, &request)?;
            self.list(&who, request.into_inner()).await
        })
        .await
    }

    async fn show_conflict(
        &self,
        request: Request<v1::ShowConflictRequest>,
    ) -> Result<Response<v1::ShowConflictReply>, Status> {
        counted(&self.app, "ShowConflict", async {
            let who = who(&self.app, &request)?;
            self.show(&who, request.into_inner()).await
        })
        .await
    }

    async fn resolve_conflict(
        &self,
        request: Request<v1::ResolveConflictRequest>,
    ) -> Result<Response<v1::ResolveConflictReply>, Status> {
        counted(&self.app, "ResolveConflict", async {
            let who = who(&self.app, &request)?;
            self.resolve(&who, request.into_inner()).await
        })
        .await
    }

    async fn watch_conflicts(
        &self,
        request: Request<v1::WatchConflictsRequest>,
    ) -> Result<Response<Events>, Status> {
        counted(&self.app, "WatchConflicts", async {
            let who = who(&self.app, &request)?;
            self.watch(who).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_brings_is_checked() {
        let items = |max_items| page(max_items, "").map(|page| page.max_items).ok();
        assert_eq!(items(0), Some(100));
        assert_eq!(items(ITEMS_MAX), Some(1000));
        assert_eq!(items(ITEMS_MAX + 1), None);
        assert!(page(0, "not an id").is_err() && page(0, "00ff10203040506070a0").is_ok());
        for (text, good) in [("1", true), ("remove", true), ("", false), ("-1", false)] {
            assert_eq!(parse_choice(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_replica_names_a_writer() {
        let writer = node::WriterAddress {
            node: crdt::NodeId(1),
            grpc_address: "h:7401".to_owned(),
            aws_address: String::new(),
        };
        let status = refusal_status(&Refusal::NotAWriter { writer: Some(writer) });
        assert_eq!(status.code(), tonic::Code::FailedPrecondition);
        assert_eq!(status.message(), "this node is a read replica: ask h:7401");
    }
}
