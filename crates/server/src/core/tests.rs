//! The task and its handle, on a store in a temporary directory or on a journal that the test
//! holds up.

use std::sync::Mutex;

use store::{Committed, Done, LogRecord, Store, StoreIdentity};
use tokio::task::JoinHandle;

use super::{
    task::{Limits, Outlet},
    *,
};
use crate::{clock::tests::Stepped, snapshots::freeze};

struct Running {
    core: Core,
    task: JoinHandle<Result<(), store::Error>>,
    _store: Store,
    _directory: tempfile::TempDir,
}

const CLUSTER: &str = "c";

fn account() -> AccountId {
    "123456789012".parse().unwrap()
}

/// A writer alone in its cluster, with one account.
async fn start() -> Running {
    let directory = tempfile::tempdir().unwrap();
    let identity = StoreIdentity { cluster_id: CLUSTER.to_owned(), node_id: 1 };
    let store = Store::create(directory.path(), identity).unwrap();
    let mut node = Node::new(NodeId(1), CLUSTER.to_owned(), node::Role::Writer);
    node.started(0).unwrap();
    let (core, task) = new(node, store.handle(), Arc::default());
    let task = tokio::spawn(task.run());
    core.input(control()).await.unwrap();
    Running { core, task, _store: store, _directory: directory }
}

fn control() -> Input {
    control_of(false)
}

/// As [`control`], with a second writer, of whom nothing is heard.
fn with_silent_writer() -> Input {
    control_of(true)
}

fn writer(node: u32) -> v1::RosterEntry {
    v1::RosterEntry {
        node,
        role: v1::Role::Writer.into(),
        state: v1::NodeState::Active.into(),
        region: "local".to_owned(),
        grpc_address: "h:1".to_owned(),
        certificate: format!("{node:064x}"),
        ..v1::RosterEntry::default()
    }
}

fn control_of(two: bool) -> Input {
    let key = v1::DataKey { id: 1, nonce: vec![0; 12], sealed_key: vec![0; 48] };
    let ring = v1::KeyRing { data_keys: vec![key], token_mac_key: vec![7; 32], current: 1 };
    let init = v1::InitCluster {
        cluster_id: CLUSTER.to_owned(),
        key_ring: Some(ring),
        ca_certificate: vec![1],
        ca_key: Some(v1::Sealed::default()),
        first_node: Some(writer(1)),
    };
    let create = v1::CreateAccount { account: account().number(), created_ms: 1 };
    let mut state = node::ControlState::default();
    let token = vec![3; 32];
    let invite =
        v1::CreateJoinToken { hash: token.clone(), role: v1::Role::Writer.into(), expires_ms: 2 };
    let add = v1::AddNode { token_hash: token, entry: Some(writer(2)), now_ms: 1 };
    use v1::control_command::Command;
    let mut commands = vec![Command::InitCluster(init), Command::CreateAccount(create)];
    if two {
        let activate = Command::ActivateNode(v1::ActivateNode { node: 2 });
        commands.extend([Command::CreateJoinToken(invite), Command::AddNode(add), activate]);
    }
    for command in commands {
        let reply =
            state.apply(&v1::ControlCommand { command: Some(command), request_id: Vec::new() });
        let refused = matches!(reply.reply, Some(v1::control_reply::Reply::Refused(_)));
        assert!(!refused, "{reply:?}");
    }
    let state = Box::new(state.to_message());
    Input::Control { state, data_keys: vec![(1, [9; 32])] }
}

/// A journal whose appends wait for the test, and whose reads fail when it says so.
struct Held {
    appends: mpsc::UnboundedSender<Append>,
    reads: Mutex<std::sync::mpsc::Receiver<()>>,
}

/// An append that waits for the test.
struct Append {
    records: Vec<LogRecord>,
    done: Done,
}

impl Append {
    fn bytes(&self) -> usize {
        self.records.iter().map(|(_, record)| record.len()).sum()
    }

    fn finish(self) {
        let last_lsn = self.records.last().unwrap().0;
        (self.done)(Ok(Committed { commit: 1, last_lsn }));
    }
}

impl Journal for Held {
    fn append(&self, records: Vec<LogRecord>, done: Done) {
        self.appends.send(Append { records, done }).ok().unwrap();
    }

    fn read(&self, _: u64, _: usize, _: usize) -> Result<Vec<LogRecord>, store::Error> {
        self.reads.lock().unwrap().recv().unwrap_err();
        Err(store::Error::Closed)
    }
}

struct Slow {
    core: Core,
    task: JoinHandle<Result<(), store::Error>>,
    appends: mpsc::UnboundedReceiver<Append>,
}

/// A writer alone in its cluster whose disk is the test.
async fn start_slow(limits: Option<Limits>, clock: Clock) -> Slow {
    let (core, mut task, appends, fail_reads) = slow(clock);
    task.limits = limits.unwrap_or(task.limits);
    let task = tokio::spawn(task.run());
    core.input(control()).await.unwrap();
    drop(fail_reads);
    Slow { core, task, appends }
}

type FailReads = std::sync::mpsc::Sender<()>;

fn slow(clock: Clock) -> (Core, Task, mpsc::UnboundedReceiver<Append>, FailReads) {
    let mut node = Node::new(NodeId(1), CLUSTER.to_owned(), node::Role::Writer);
    node.started(0).unwrap();
    let (sender, appends) = mpsc::unbounded_channel();
    let (fail_reads, reads) = std::sync::mpsc::channel();
    let held = Held { appends: sender, reads: Mutex::new(reads) };
    let (core, task) = with_clock(node, held, Arc::default(), clock);
    (core, task, appends, fail_reads)
}

impl Slow {
    /// Returns once the task has handled everything it was sent before.
    async fn settled(&self) {
        settled(&self.core).await;
    }

    fn spawn(&self, command: &str) -> JoinHandle<Result<Result<Executed, Refusal>, Stopping>> {
        let (core, request) = (self.core.clone(), execute(command));
        tokio::spawn(async move { core.execute(request).await })
    }
}

async fn settled(core: &Core) {
    // Tasks that were spawned before send first.
    tokio::task::yield_now().await;
    let scope = Scope::Region("moon".to_owned());
    let (token, stage, timeout) = (VersionVector::new(), Stage::Durable, Duration::ZERO);
    let wait = core.wait(WaitRequest { token, scope, stage, timeout }).await.unwrap();
    assert!(matches!(wait.outcome.await.unwrap(), WaitOutcome::Unsatisfiable { .. }));
}

fn root() -> Caller {
    Caller {
        account: account(),
        principal: identity::Principal::Root,
        credential: model::Credential::Node(1),
        session: None,
    }
}

fn create_user(name: &str) -> Execute {
    execute(&format!("CreateUser&UserName={name}"))
}

fn execute(command: &str) -> Execute {
    let form = format!("Version=2010-05-08&Action={command}");
    let form = aws_api::form::Form::parse("application/x-www-form-urlencoded", form.as_bytes());
    let call = aws_api::parse(aws_api::Service::Iam, &form.unwrap()).unwrap();
    let aws_api::Call::Command(command) = call else { unreachable!("it writes") };
    let request = RequestContext::default();
    Execute { caller: root(), request, request_id: "r".to_owned(), command }
}

async fn write(core: &Core, name: &str) -> String {
    match core.execute(create_user(name)).await.unwrap().unwrap() {
        Executed::Done(answer) => answer.token,
        Executed::Propose { .. } => unreachable!("a user is no matter of the control plane"),
    }
}

#[tokio::test]
async fn an_answer_is_durable_and_its_token_is_reached() {
    let running = start().await;
    let token = write(&running.core, "a").await;
    let (applied, durable) =
        running.core.peek(|node| (node.applied_lsn(), node.durable_lsn())).unwrap();
    assert_eq!((applied, durable), (1, 1));
    assert_eq!(running.core.reached(&token, Duration::ZERO).await, Ok(()));
    let ((), read) = running.core.read(|_| ()).await.unwrap();
    let compared = running.core.peek(|node| node.tokens().compare(&read, &token)).unwrap();
    assert_eq!(compared, Ok(Some(std::cmp::Ordering::Equal)));
}

#[tokio::test]
async fn an_account_that_exists_gets_its_root_key_once_and_never_after_it_was_deleted() {
    let running = start().await;
    let core = &running.core;
    let made = core.root_key(account(), "r".to_owned()).await.unwrap().unwrap();
    let again = core.root_key(account(), "r".to_owned()).await.unwrap();
    assert_eq!(again.map(drop), Err(Refusal::AccountInUse(account())));
    let key = made.reply.id;
    let delete = execute(&format!("DeleteAccessKey&AccessKeyId={key}"));
    core.execute(delete).await.unwrap().unwrap();
    let again = core.root_key(account(), "r".to_owned()).await.unwrap();
    assert_eq!(again.map(drop), Err(Refusal::AccountInUse(account())));
}

#[tokio::test]
async fn a_node_is_level_with_itself_and_not_with_a_writer_that_says_nothing() {
    let running = start().await;
    assert!(running.core.peek(Node::is_level).unwrap());
    running.core.input(with_silent_writer()).await.unwrap();
    settled(&running.core).await;
    assert!(!running.core.peek(Node::is_level).unwrap());
}

#[tokio::test]
async fn writes_that_come_together_share_flushes() {
    let running = start().await;
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..64 {
        let core = running.core.clone();
        writes.spawn(async move { write(&core, &format!("u{number}")).await });
    }
    assert_eq!(writes.join_all().await.len(), 64);
    let commits = running._store.stats().commits;
    assert!(commits < 32, "{commits} commits");
    assert_eq!(running._store.last_lsn(), 64);
}

#[tokio::test]
async fn a_state_that_does_not_come_is_told_with_its_lag() {
    let running = start().await;
    write(&running.core, "a").await;
    let ahead = [crdt::Dot::new(NodeId(1), 1), crdt::Dot::new(NodeId(2), 3)].into_iter().collect();
    let token = running.core.peek(|node| node.tokens().seal(&ahead)).unwrap().unwrap();
    let behind = running.core.reached(&token, Duration::from_millis(1)).await;
    assert_eq!(behind, Err(NotReached::Behind { lag: 3, waited_ms: 1 }));
    let forged = running.core.reached("x", Duration::ZERO).await;
    assert!(matches!(forged, Err(NotReached::Token(_))));
}

#[tokio::test]
async fn a_wait_ends_with_its_outcome() {
    let running = start().await;
    let wait = async |scope| {
        let token = running.core.peek(|node| node.vector().clone()).unwrap();
        let (stage, timeout) = (Stage::Visible, Duration::from_secs(5));
        let wait = running.core.wait(WaitRequest { token, scope, stage, timeout }).await.unwrap();
        wait.outcome.await.unwrap()
    };
    assert_eq!(wait(Scope::All).await, WaitOutcome::Propagated);
    let nobody = wait(Scope::Region("moon".to_owned())).await;
    assert!(matches!(nobody, WaitOutcome::Unsatisfiable { .. }));
}

#[tokio::test]
async fn it_stops_when_told_and_answers_nobody_after() {
    let running = start().await;
    write(&running.core, "a").await;
    running.core.stop().await.unwrap();
    assert!(running.task.await.unwrap().is_ok());
    assert_eq!(running.core.execute(create_user("b")).await.unwrap_err(), Stopping);
}

#[tokio::test]
async fn nothing_is_taken_in_while_too_much_waits_for_the_disk() {
    const WRITES: u64 = 100;
    let limits = Limits { waiting_bytes_max: 4096, append_bytes_max: 1024 };
    let mut slow = start_slow(Some(limits), Clock::start()).await;
    let writes: Vec<_> =
        (0..WRITES).map(|number| slow.spawn(&format!("CreateUser&UserName=u{number}"))).collect();
    let (mut durable, mut longest) = (0, 0);
    while durable < WRITES {
        let append = slow.appends.recv().await.unwrap();
        assert!(append.bytes() <= limits.append_bytes_max, "{}", append.bytes());
        longest = longest.max(append.records.iter().map(|(_, bytes)| bytes.len()).max().unwrap());
        let applied = slow.core.peek(Node::applied_lsn).unwrap();
        let waiting = usize::try_from(applied - durable).unwrap() * longest;
        assert!(waiting < limits.waiting_bytes_max + 2 * longest, "{waiting} bytes wait");
        durable = append.records.last().unwrap().0;
        append.finish();
    }
    for write in writes {
        assert!(matches!(write.await.unwrap(), Ok(Ok(Executed::Done(_)))));
    }
}

#[tokio::test]
async fn a_record_over_the_limit_of_an_append_goes_alone() {
    let limits = Limits { waiting_bytes_max: 1 << 20, append_bytes_max: 1 };
    let mut slow = start_slow(Some(limits), Clock::start()).await;
    let writes = ["a", "b"].map(|name| slow.spawn(&format!("CreateUser&UserName={name}")));
    for lsn in [1, 2] {
        let append = slow.appends.recv().await.unwrap();
        assert_eq!((append.records.len(), append.records[0].0), (1, lsn));
        append.finish();
    }
    for write in writes {
        assert!(write.await.unwrap().unwrap().is_ok());
    }
}

#[tokio::test]
async fn proposals_and_refusals_wait_until_what_they_were_derived_from_is_durable() {
    let mut slow = start_slow(None, Clock::start()).await;
    let write = slow.spawn("CreateUser&UserName=a");
    slow.settled().await;
    let proposal = slow.spawn("CreateAccountAlias&AccountAlias=acme");
    let refusal = slow.spawn("CreateUser&UserName=a");
    let core = slow.core.clone();
    let unknown = tokio::spawn(async move {
        core.root_key("999999999999".parse().unwrap(), "r".to_owned()).await
    });
    slow.settled().await;
    let answered = || [&write, &proposal, &refusal].map(|task| task.is_finished());
    assert_eq!((answered(), unknown.is_finished()), ([false; 3], false));
    slow.appends.recv().await.unwrap().finish();
    assert!(matches!(write.await.unwrap(), Ok(Ok(Executed::Done(_)))));
    assert!(matches!(proposal.await.unwrap(), Ok(Ok(Executed::Propose { .. }))));
    assert!(matches!(refusal.await.unwrap(), Ok(Err(Refusal::Identity(_)))));
    assert!(matches!(unknown.await.unwrap(), Ok(Err(Refusal::NoAccount(_)))));
}

#[tokio::test]
async fn whoever_waits_for_a_task_that_ended_is_told() {
    let mut slow = start_slow(None, Clock::start()).await;
    let write = slow.spawn("CreateUser&UserName=a");
    slow.settled().await;
    let ahead = [crdt::Dot::new(NodeId(1), 9)].into_iter().collect();
    let token = slow.core.peek(|node| node.tokens().seal(&ahead)).unwrap().unwrap();
    let (core, mut changes) = (slow.core.clone(), slow.core.changes());
    let read = tokio::spawn({
        let core = core.clone();
        async move { core.read(|_| ()).await.map(drop) }
    });
    let reached = tokio::spawn(async move { core.reached(&token, Duration::from_secs(60)).await });
    slow.settled().await;
    let append = slow.appends.recv().await.unwrap();
    (append.done)(Err(store::Error::Closed));
    assert!(slow.task.await.unwrap().is_err());
    assert_eq!(read.await.unwrap(), Err(Stopping));
    assert_eq!(reached.await.unwrap(), Err(NotReached::Stopping(Stopping)));
    assert_eq!(write.await.unwrap().unwrap_err(), Stopping);
    assert_eq!(slow.core.peek(|_| ()), Err(Stopping));
    assert_eq!(changes.changed().await, Err(Stopping));
}

#[tokio::test]
async fn staleness_is_told_by_the_clock_that_inputs_are_timed_by() {
    const HOUR_MS: u64 = 3_600_000;
    let set = Stepped::at(2 * HOUR_MS);
    let slow = start_slow(None, set.clock()).await;
    slow.settled().await;
    slow.core.input(with_silent_writer()).await.unwrap();
    slow.settled().await;
    let staleness_ms = || slow.core.peek(|node| node.staleness_ms(slow.core.now())).unwrap();
    assert_eq!(staleness_ms(), 0);
    set.step(500, 2 * HOUR_MS + 500);
    assert_eq!(staleness_ms(), 500);
    // Set back by an hour, the wall clock would tell of a node that is never stale again.
    set.step(500, HOUR_MS);
    assert_eq!(staleness_ms(), 1_000);
    set.step(1_000, HOUR_MS + 1_000);
    assert_eq!(staleness_ms(), 2_000);
}

#[tokio::test]
async fn frames_wait_for_room_in_bytes() {
    let slow = start_slow(None, Clock::start()).await;
    let room = slow.core.room(FRAME_BYTES_MAX).await.unwrap();
    let mut next = std::pin::pin!(slow.core.room(1));
    let waits = tokio::select! {
        biased;
        _ = next.as_mut() => false,
        () = std::future::ready(()) => true,
    };
    assert!(waits);
    drop(room);
    assert_eq!(next.await.unwrap().num_permits(), 1);
    // A longer frame than may wait waits alone; none is refused here.
    assert_eq!(slow.core.room(FRAME_BYTES_MAX + 1).await.unwrap().num_permits(), FRAME_BYTES_MAX);
}

#[tokio::test]
async fn a_stream_whose_records_cannot_be_read_is_closed() {
    let (core, mut task, _appends, fail_reads) = slow(Clock::start());
    let first_session = 1;
    task.read_log(NodeId(2), first_session, 1, 1);
    let task = tokio::spawn(task.run());
    let (session, mut frames) = core.peer_up(NodeId(2)).await.unwrap();
    assert_eq!(session, first_session);
    assert!(frames.recv().await.is_some(), "a hello");
    drop(fail_reads);
    while frames.recv().await.is_some() {}
    core.stop().await.unwrap();
    task.await.unwrap().unwrap();
}

#[test]
fn a_heartbeat_waits_for_a_slow_stream_and_gives_way_to_the_next() {
    use v1::frame::Frame as F;
    let (frames, mut taken) = mpsc::channel(FRAMES_MAX);
    let mut outlet = Outlet::new(frames);
    let heartbeat = |hlc| v1::Frame {
        frame: Some(F::Heartbeat(v1::Heartbeat { hlc, ..v1::Heartbeat::default() })),
    };
    let batch = || v1::Frame { frame: Some(F::Batch(v1::Batch::default())) };
    let before = FRAMES_BEFORE_HEARTBEAT_MAX;
    assert!((0..before).all(|_| outlet.send(batch())));
    let last = FRAMES_MAX as u64 * 2;
    assert!((1..=last).all(|hlc| outlet.send(heartbeat(hlc))));
    outlet.send_heartbeat();
    assert_eq!(taken.len(), before, "there was no room for it");
    assert!((0..before).all(|_| matches!(taken.try_recv().unwrap().frame, Some(F::Batch(_)))));
    outlet.send_heartbeat();
    assert_eq!(taken.try_recv().unwrap(), heartbeat(last));
    outlet.send_heartbeat();
    assert!(taken.try_recv().is_err());
    assert!((0..FRAMES_MAX).all(|_| outlet.send(batch())));
    assert!(!outlet.send(batch()), "what is no heartbeat is never left out");
}

#[tokio::test]
async fn a_freeze_is_not_taken_for_the_one_before() {
    let running = start().await;
    let core = &running.core;
    let first = freeze(core).await.unwrap().unwrap();
    write(core, "a").await;
    // It waits for the node while the next freeze is asked for.
    core.input(Input::Thaw).await.unwrap();
    let second = freeze(core).await.unwrap().unwrap();
    let now = core.peek(|node| node.identity().state().digest().total()).unwrap();
    assert_eq!((first.lsn, second.lsn, second.summary.digest), (0, 1, now));
}
