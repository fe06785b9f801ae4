//! A cluster of real processes: `writ dev` in a directory of its own.
//!
//! **Invariants.** What was started is stopped, by process id. Nothing listens beyond this machine.
//!
//! **Must not know:** what is measured.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use model::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::error::Error;

/// How many writers a measured cluster has.
pub(crate) const WRITERS: usize = 3;
/// How many read replicas.
pub(crate) const REPLICAS: usize = 1;

const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// `writ dev` takes its ports from its base upwards.
const PORTS: u16 = 64;
/// Below the ports that Linux gives to outgoing connections.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;

/// `dev.json`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Description {
    account_id: String,
    access_key_id: String,
    secret_access_key: String,
    nodes: Vec<Node>,
}

/// One node.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    role: String,
    aws_endpoint: String,
    grpc_endpoint: String,
    pid: u32,
}

impl Node {
    /// `host:port` of the AWS Query API.
    pub(crate) fn aws(&self) -> &str {
        authority(&self.aws_endpoint)
    }

    /// `host:port` of gRPC.
    pub(crate) fn grpc(&self) -> &str {
        authority(&self.grpc_endpoint)
    }

    /// Whether it is a read replica.
    pub(crate) fn is_replica(&self) -> bool {
        self.role == "replica"
    }
}

fn authority(endpoint: &str) -> &str {
    endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest).trim_end_matches('/')
}

/// The administrator's key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: Secret<String>,
}

/// A running cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    process: Child,
    // Removed when the cluster is dropped.
    _directory: TempDir,
    /// The cluster's first account.
    pub(crate) account_id: String,
    /// In the order of their numbers.
    pub(crate) nodes: Vec<Node>,
    /// The CA's certificate, PEM.
    pub(crate) ca_pem: String,
    /// Signs everything that is measured.
    pub(crate) key: Key,
}

/// The directory of this program.
pub(crate) fn beside_this_program() -> Result<PathBuf, Error> {
    let program = std::env::current_exe().map_err(|error| Error::Io("find myself", error))?;
    Ok(program.parent().map_or_else(PathBuf::new, Path::to_path_buf))
}

fn program() -> Result<PathBuf, Error> {
    let named = std::env::var_os("WRIT_BIN").map(PathBuf::from);
    let program = match named {
        Some(program) => program,
        None => beside_this_program()?.join("writ"),
    };
    if program.is_file() { Ok(program) } else { Err(Error::NoProgram(program)) }
}

impl Cluster {
    /// Starts a cluster below `place` and waits until it is ready.
    pub(crate) async fn start(place: &Path) -> Result<Self, Error> {
        let program = program()?;
        let directory = tempfile::Builder::new().prefix("writ-bench-").tempdir_in(place);
        let directory = directory.map_err(|error| Error::Io("make a directory", error))?;
        let output = directory.path().join("output.log");
        let log = File::create(&output).map_err(|error| Error::Io("create a log", error))?;
        let twin = log.try_clone().map_err(|error| Error::Io("share a log", error))?;
        let mut process = Command::new(program)
            .arg("dev")
            .args(["--nodes", &WRITERS.to_string(), "--replicas", &REPLICAS.to_string()])
            .args(["--base-port", &free_ports()?.to_string(), "--data-dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Io("start `writ dev`", error))?;
        let ready = described(&mut process, directory.path()).await?;
        let Some(Description { account_id, access_key_id, secret_access_key, nodes }) = ready
        else {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            return Err(Error::NotStarted(text));
        };
        let ca_pem = ca_pem(&directory.path().join("context.toml"))?;
        let key = Key { id: access_key_id, secret: Secret::new(secret_access_key) };
        Ok(Self { process, _directory: directory, account_id, nodes, ca_pem, key })
    }

    /// The node that takes the measured writes.
    pub(crate) fn first(&self) -> &Node {
        self.nodes.first().expect("a description without nodes is not taken")
    }

    /// All nodes but the first.
    pub(crate) fn others(&self) -> &[Node] {
        self.nodes.get(1..).unwrap_or_default()
    }

    /// The read replica.
    pub(crate) fn replica(&self) -> &Node {
        self.nodes.iter().find(|node| node.is_replica()).unwrap_or(self.first())
    }

    /// Asks the cluster to stop, and ends what is left.
    pub(crate) async fn stop(&mut self) {
        if let Some(pid) = self.process.id() {
            signal(pid, Signal::INT);
        }
        if tokio::time::timeout(STOP_WITHIN, self.process.wait()).await.is_ok() {
            return;
        }
        // It did not stop its nodes either. A process that is gone already is what is wanted.
        let _ = self.process.kill().await;
        for node in &self.nodes {
            signal(node.pid, Signal::KILL);
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A process that is gone already is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// `dev.json` once it is whole and the cluster ready; nothing if the cluster ended before.
async fn described(process: &mut Child, directory: &Path) -> Result<Option<Description>, Error> {
    let path = directory.join("dev.json");
    let deadline = Instant::now() + START_WITHIN;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // Half a file does not parse.
        if let Ok(description) = serde_json::from_str::<Description>(&text) {
            if description.nodes.len() < WRITERS + REPLICAS {
                return Err(Error::Description(path, "nodes are missing".to_owned()));
            }
            return Ok(Some(description));
        }
        let ended = process.try_wait().map_err(|error| Error::Io("ask for `writ dev`", error))?;
        if ended.is_some() {
            break;
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Ok(None)
}

fn ca_pem(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::Io("read a context", error))?;
    let wrong = |why: &str| Error::Description(path.to_owned(), why.to_owned());
    let table: toml::Table = text.parse().map_err(|_| wrong("no TOML"))?;
    let pem = table.get("ca_pem").and_then(toml::Value::as_str);
    Ok(pem.ok_or_else(|| wrong("no ca_pem"))?.to_owned())
}

/// The first port of a block in which nothing listens.
fn free_ports() -> Result<u16, Error> {
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (FIRST_PORT..LAST_PORT)
        .step_by(usize::from(PORTS))
        .find(|base| (*base..base + PORTS).all(is_free))
        .ok_or(Error::NoPorts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_its_host_and_port() {
        for endpoint in ["http://127.0.0.1:1", "http://127.0.0.1:1/", "127.0.0.1:1"] {
            assert_eq!(authority(endpoint), "127.0.0.1:1");
        }
    }
}
