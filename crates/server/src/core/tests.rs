//! The task and its handle, on a store in a temporary directory.

use model::Entropy;
use store::{Store, StoreIdentity};

use super::*;

struct Running {
    core: Core,
    task: tokio::task::JoinHandle<Result<(), store::Error>>,
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
    let first = v1::RosterEntry {
        node: 1,
        role: v1::Role::Writer.into(),
        state: v1::NodeState::Active.into(),
        region: "local".to_owned(),
        grpc_address: "h:1".to_owned(),
        certificate: "ab".repeat(32),
        ..v1::RosterEntry::default()
    };
    let key = v1::DataKey { id: 1, nonce: vec![0; 12], sealed_key: vec![0; 48] };
    let ring = v1::KeyRing { data_keys: vec![key], token_mac_key: vec![7; 32], current: 1 };
    let init = v1::InitCluster {
        cluster_id: CLUSTER.to_owned(),
        key_ring: Some(ring),
        ca_certificate: vec![1],
        ca_key: Some(v1::Sealed::default()),
        first_node: Some(first),
    };
    let create = v1::CreateAccount { account: account().number(), created_ms: 1 };
    let mut state = node::ControlState::default();
    for command in [
        v1::control_command::Command::InitCluster(init),
        v1::control_command::Command::CreateAccount(create),
    ] {
        let reply = state.apply(&v1::ControlCommand { command: Some(command) });
        let refused = matches!(reply.reply, Some(v1::control_reply::Reply::Refused(_)));
        assert!(!refused, "{reply:?}");
    }
    let state = Box::new(state.to_message());
    Input::Control { state, data_keys: vec![(1, [9; 32])] }
}

fn root() -> Caller {
    let root =
        model::UniqueId::generate(model::UniqueIdKind::AccessKey, &Entropy::new([1; 32]), "root");
    Caller {
        account: account(),
        principal: identity::Principal::Root,
        credential: model::Credential::AccessKey(root),
        session: None,
    }
}

fn create_user(name: &str) -> Execute {
    let form = format!("Action=CreateUser&Version=2010-05-08&UserName={name}");
    let form = aws_api::form::Form::parse("application/x-www-form-urlencoded", form.as_bytes());
    let call = aws_api::parse(aws_api::Service::Iam, &form.unwrap()).unwrap();
    let aws_api::Call::Command(command) = call else { unreachable!("CreateUser writes") };
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
    assert_eq!(read, token);
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
