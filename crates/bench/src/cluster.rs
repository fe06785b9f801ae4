//! A cluster of real processes: `writ dev` in a directory of its own.
//!
//! **Invariants.** What was started is stopped, by process id. Nothing listens beyond this machine.
//!
//! **Must not know:** what is measured.

use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use model::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{error::Error, grpc::Grpc, relay::Relay};

/// What a cluster consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) writers: usize,
    pub(crate) replicas: usize,
    /// Whether nodes reach each other through relays.
    pub(crate) relayed: bool,
}

const START_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// `writ dev` takes its ports from its base upwards: this many for each node,
const NODE_PORTS: u16 = 10;
/// of which its gRPC listens on this one,
const GRPC_PORT: u16 = 1;
/// its operations on this one,
const OPS_PORT: u16 = 2;
/// and others reach it at this one if they are relayed.
const RELAY_PORT: u16 = 3;
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
    /// Its files.
    pub(crate) data_dir: PathBuf,
    /// How `writ dev` started it.
    #[serde(skip)]
    command: Vec<String>,
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

    /// `host:port` of its operations.
    pub(crate) fn ops(&self) -> &str {
        let at = self.command.iter().position(|word| word == "--listen-ops");
        at.and_then(|at| self.command.get(at + 1)).map_or("", String::as_str)
    }

    /// CPU time of its process, in seconds. proc_pid_stat(5): `utime` and `stime` are the 14th and
    /// 15th fields, in ticks.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Error> {
        let text = self.of_process("stat")?;
        // The second field is in parentheses and may hold blanks.
        let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident memory of its process.
    pub(crate) fn resident_bytes(&self) -> Result<f64, Error> {
        let text = self.of_process("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.unwrap_or_default() * 1024.0)
    }

    fn of_process(&self, file: &str) -> Result<String, Error> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid));
        text.map_err(|error| Error::Io("read what the kernel tells of a node", error))
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
    /// Of its nodes, in the order of their numbers, if it is relayed.
    pub(crate) relays: Vec<Relay>,
    pub(crate) shape: Shape,
    /// How long it took to get ready.
    pub(crate) start: Duration,
    // Removed when the cluster is dropped.
    directory: TempDir,
    /// The cluster's first account.
    pub(crate) account_id: String,
    /// In the order of their numbers.
    pub(crate) nodes: Vec<Node>,
    /// Those of them, and of others, that were started here and not by `writ dev`.
    own: BTreeMap<u32, Child>,
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
    pub(crate) async fn start(place: &Path, shape: Shape) -> Result<Self, Error> {
        let begin = Instant::now();
        let program = program()?;
        let Shape { writers, replicas, relayed } = shape;
        let base = free_ports()?;
        let relays =
            if relayed { start_relays(base, writers + replicas).await? } else { Vec::new() };
        let directory = tempfile::Builder::new().prefix("writ-bench-").tempdir_in(place);
        let directory = directory.map_err(|error| Error::Io("make a directory", error))?;
        let output = directory.path().join("output.log");
        let log = File::create(&output).map_err(|error| Error::Io("create a log", error))?;
        let twin = log.try_clone().map_err(|error| Error::Io("share a log", error))?;
        let mut process = Command::new(program)
            .arg("dev")
            .args(["--nodes", &writers.to_string(), "--replicas", &replicas.to_string()])
            .args(relayed.then_some("--relayed"))
            .args(["--base-port", &base.to_string(), "--data-dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(twin)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::Io("start `writ dev`", error))?;
        let ready = described(&mut process, directory.path(), writers + replicas).await?;
        let Some(Description { account_id, access_key_id, secret_access_key, mut nodes }) = ready
        else {
            let text = std::fs::read_to_string(&output).unwrap_or_default();
            return Err(Error::NotStarted(text));
        };
        for node in &mut nodes {
            node.command = command_of(node.pid)?;
        }
        let ca_pem = ca_pem(&directory.path().join("context.toml"))?;
        let key = Key { id: access_key_id, secret: Secret::new(secret_access_key) };
        let start = begin.elapsed();
        let own = BTreeMap::new();
        Ok(Self { process, relays, shape, start, directory, account_id, nodes, own, ca_pem, key })
    }

    /// Asks a node to stop, and waits until it has.
    pub(crate) async fn stop_node(&mut self, number: usize) -> Result<(), Error> {
        self.end_node(number, Signal::TERM).await
    }

    /// Ends a node at once, as a crash would.
    pub(crate) async fn kill_node(&mut self, number: usize) -> Result<(), Error> {
        self.end_node(number, Signal::KILL).await
    }

    async fn end_node(&mut self, number: usize, how: Signal) -> Result<(), Error> {
        let pid = self.nodes[number].pid;
        signal(pid, how);
        if let Some(mut child) = self.own.remove(&pid) {
            child.wait().await.map_err(|error| Error::Io("wait for a node", error))?;
            return Ok(());
        }
        // It is a child of `writ dev`, which reaps it.
        let deadline = Instant::now() + STOP_WITHIN;
        while Path::new(&format!("/proc/{pid}")).exists() {
            if Instant::now() > deadline {
                return Err(Error::TooLate(format!("node process {pid} does not end")));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Starts a node that was ended on its directory, with these variables. It may take a while
    /// to get ready.
    pub(crate) fn start_node(
        &mut self,
        number: usize,
        variables: &[(&str, &str)],
    ) -> Result<(), Error> {
        let (program, arguments) = self.nodes[number]
            .command
            .split_first()
            .ok_or_else(|| Error::NotStarted("a node without a command line".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(variables.iter().copied());
        let child = self.spawn(command)?;
        let pid = child.id().unwrap_or_default();
        self.nodes[number].pid = pid;
        self.own.insert(pid, child);
        Ok(())
    }

    /// Starts a further read replica; `host:port` of its operations.
    pub(crate) async fn join_node(&mut self) -> Result<String, Error> {
        let created = Command::new(program()?)
            .args(["token", "create", "--role", "replica"])
            .env("WRIT_CONTEXT_FILE", self.directory.path().join("context.toml"))
            .env("AWS_ACCESS_KEY_ID", &self.key.id)
            .env("AWS_SECRET_ACCESS_KEY", self.key.secret.expose())
            .output()
            .await
            .map_err(|error| Error::Io("run `writ token create`", error))?;
        if !created.status.success() {
            let why = String::from_utf8_lossy(&created.stderr).into_owned();
            return Err(Error::Operator(why));
        }
        let base = free_ports()?;
        let local = |port: u16| format!("127.0.0.1:{}", base + port);
        let mut command = Command::new(program()?);
        command
            .args(["server", "--role", "replica", "--data-dir"])
            .arg(self.directory.path().join("late"))
            .args(["--listen-aws", &local(0), "--listen-grpc", &local(GRPC_PORT)])
            .args(["--listen-ops", &local(OPS_PORT), "--join", self.first().grpc()])
            .env("WRIT_JOIN_TOKEN", String::from_utf8_lossy(&created.stdout).trim());
        let child = self.spawn(command)?;
        self.own.insert(child.id().unwrap_or_default(), child);
        Ok(local(OPS_PORT))
    }

    fn spawn(&self, mut command: Command) -> Result<Child, Error> {
        let output = self.directory.path().join("output.log");
        let log = File::options().append(true).open(output);
        let log = log.map_err(|error| Error::Io("open a log", error))?;
        let twin = log.try_clone().map_err(|error| Error::Io("share a log", error))?;
        command.stdin(Stdio::null()).stdout(log).stderr(twin).kill_on_drop(true);
        if std::env::var_os("WRIT_LOG").is_none() {
            command.env("WRIT_LOG", "warn");
        }
        command.spawn().map_err(|error| Error::Io("start a node", error))
    }

    /// The node that takes the measured writes.
    pub(crate) fn first(&self) -> &Node {
        self.nodes.first().expect("a description without nodes is not taken")
    }

    /// Waits until every node has what any has.
    pub(crate) async fn agree(&self) -> Result<(), Error> {
        let mut first = Grpc::connect(self.first().grpc(), &self.ca_pem, &self.key).await?;
        first.wait(String::new()).await
    }

    /// The read replica.
    pub(crate) fn replica(&self) -> &Node {
        self.nodes.iter().find(|node| node.is_replica()).unwrap_or(self.first())
    }

    /// Asks the cluster to stop, and ends what is left.
    pub(crate) async fn stop(&mut self) {
        let own: Vec<u32> = self.own.keys().copied().collect();
        for pid in &own {
            signal(*pid, Signal::TERM);
        }
        for mut child in std::mem::take(&mut self.own).into_values() {
            if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
                // A process that is gone already is what is wanted.
                let _ = child.kill().await;
            }
        }
        self.nodes.retain(|node| !own.contains(&node.pid));
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

fn command_of(pid: u32) -> Result<Vec<String>, Error> {
    let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    let words = words.map_err(|error| Error::Io("read a node's command line", error))?;
    Ok(words.trim_end_matches('\0').split('\0').map(str::to_owned).collect())
}

async fn start_relays(base: u16, count: usize) -> Result<Vec<Relay>, Error> {
    let mut relays = Vec::new();
    for number in 0..count {
        let node = base + u16::try_from(number).unwrap_or_default() * NODE_PORTS;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, node + port));
        relays.push(Relay::start(local(RELAY_PORT), local(GRPC_PORT)).await?);
    }
    Ok(relays)
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A process that is gone already is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// `dev.json` once it is whole and the cluster ready; nothing if the cluster ended before.
async fn described(
    process: &mut Child,
    directory: &Path,
    count: usize,
) -> Result<Option<Description>, Error> {
    let path = directory.join("dev.json");
    let deadline = Instant::now() + START_WITHIN;
    while Instant::now() < deadline {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // Half a file does not parse.
        if let Ok(description) = serde_json::from_str::<Description>(&text) {
            if description.nodes.len() < count {
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
    let blocks: Vec<u16> = (FIRST_PORT..LAST_PORT).step_by(usize::from(PORTS)).collect();
    // Runs side by side begin at different blocks, so that they seldom want the same one.
    let first = std::process::id() as usize % blocks.len();
    let mut blocks = blocks.iter().cycle().skip(first).take(blocks.len());
    let free = blocks.find(|base| (**base..**base + PORTS).all(is_free));
    free.copied().ok_or(Error::NoPorts)
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
