//! `writ dev`: a whole cluster on one machine, each node a process of its own.
//!
//! **Invariants.** Nodes come to be as they do anywhere: the first initializes, the others join
//! with one-time tokens. `dev.json` exists only while every node in it was seen ready. Started
//! again on the same directory it resumes with the same account and key. Children are stopped by
//! their id.
//!
//! **Must not know:** how a node works.

mod child;
mod layout;
mod operator;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use model::{AccountId, Secret};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use self::{child::Child, layout::Layout};
use crate::{config::Role, home::HomeError};

/// How long nodes may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Nodes of one kind, at most: ports and processes of one machine.
const NODES_MAX: u32 = 16;

/// What can be set.
#[derive(Clone, Debug, Args)]
pub struct DevArguments {
    /// Writers. Of a new cluster 3; a resumed one has what it has.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    nodes: Option<u32>,
    /// Read replicas. Of a new cluster 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(NODES_MAX)))]
    replicas: Option<u32>,
    /// Where everything is kept.
    #[arg(long, default_value = "writ-dev")]
    data_dir: PathBuf,
    /// Node i listens on this + 10 (i - 1): AWS API, gRPC and operations on the next two.
    #[arg(long, default_value_t = 7400, value_parser = clap::value_parser!(u16).range(1..=65000))]
    base_port: u16,
    /// Nodes reach each other's gRPC one port above their operations, where something that is not
    /// started here has to pass it on: for a network with faults in it.
    #[arg(long)]
    relayed: bool,
    /// The account that is made.
    #[arg(long, default_value = "123456789012", value_parser = parse_account)]
    account_id: AccountId,
}

fn parse_account(text: &str) -> Result<AccountId, String> {
    text.parse().map_err(|constraint: model::Constraint| constraint.to_string())
}

/// Why there is no cluster.
#[derive(Debug, Error)]
pub enum DevError {
    /// A file.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A file of this module that is not what it wrote.
    #[error("`{}` is damaged: {why}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The directory's cluster is another one.
    #[error(
        "`{}` holds a cluster of {writers} writers and {replicas} replicas: start it without \
         --nodes and --replicas, or choose another --data-dir",
        path.display()
    )]
    Different {
        /// The directory.
        path: PathBuf,
        /// Its writers.
        writers: usize,
        /// Its replicas.
        replicas: usize,
    },
    /// A process could not be started or watched.
    #[error("cannot run a node: {0}")]
    Process(std::io::Error),
    /// A node did not come up.
    #[error("node {number} {why}")]
    NotReady {
        /// Its place in the cluster.
        number: u32,
        /// What happened instead.
        why: String,
    },
    /// The cluster refused.
    #[error("{doing}: {why}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// In words.
        why: String,
    },
}

/// The account and its root user's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) account_id: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret<String>,
}

/// Runs a cluster until it is told to stop; `show` gets what people should see once it is ready.
///
/// # Errors
/// When it does not come up. Whatever was started is stopped before.
pub async fn run(arguments: DevArguments, mut show: impl FnMut(&str)) -> Result<(), DevError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::Process)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DevError::Process)?;
    let layout = Layout::open(&arguments)?;
    let mut children = Vec::new();
    let result = tokio::select! {
        result = start(&layout, arguments.account_id, &mut children) => Some(result),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let result = match result {
        Some(Ok(account)) => {
            show(&layout.greeting(&account));
            tokio::select! {
                () = child::watch(&mut children) => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        }
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    child::stop(children).await;
    layout.withdraw();
    result
}

async fn start(
    layout: &Layout,
    account_id: AccountId,
    children: &mut Vec<Child>,
) -> Result<Account, DevError> {
    let resumed = layout.resumed();
    for place in layout.places() {
        let mut token = None;
        if !layout.has_joined(place) && place.number > 1 {
            let role = place.role.to_wire();
            token = Some(operator::create_join_token(layout, role).await?);
        }
        children.push(child::spawn(layout, place, token)?);
        // One after the other, so that node numbers are those of the directories. A cluster that
        // resumes needs its quorum before any node of it is ready.
        if !resumed {
            let child = children.last_mut().expect("it was just pushed");
            if place.number == 1 {
                child.ready(READY_WITHIN).await?;
            } else {
                child.joined(layout, READY_WITHIN).await?;
            }
        }
    }
    for child in children.iter_mut() {
        child.ready(READY_WITHIN).await?;
    }
    let account = match layout.account()? {
        Some(account) => account,
        None => {
            let account = operator::create_account(layout, account_id).await?;
            layout.save_account(&account)?;
            account
        }
    };
    operator::wait_for_everyone(layout).await?;
    let pids: Vec<u32> = children.iter().filter_map(Child::pid).collect();
    layout.publish(&account, &pids)?;
    Ok(account)
}

/// One node's place in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) role: Role,
}
