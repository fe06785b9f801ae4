//! One node's process.
//!
//! **Invariants.** A process is signalled only while it is our unreaped child, so its id is its
//! own.
//!
//! **Must not know:** what the node does.

use std::{
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use model::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child as Process, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    DevError, Place,
    layout::{Layout, REGION},
};
use crate::config::Role;

const POLL: Duration = Duration::from_millis(20);
/// How long nodes may take to stop before they are killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The most that an answer to `/readyz` is read.
const ANSWER_BYTES_MAX: u64 = 4096;

/// A node's process.
pub(super) struct Child {
    place: Place,
    process: Process,
    ops: String,
}

/// Starts a node.
pub(super) fn spawn(
    layout: &Layout,
    place: &Place,
    token: Option<Secret<String>>,
) -> Result<Child, DevError> {
    let program = std::env::current_exe().map_err(DevError::Process)?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        // What all nodes may have alike.
        let kept = ["WRIT_LOG", "WRIT_LOG_FORMAT"].contains(&name.as_str())
            || name.starts_with("WRIT_WEB_IDENTITY_");
        if name.starts_with("WRIT_") && !kept {
            command.env_remove(name);
        }
    }
    if std::env::var_os("WRIT_LOG").is_none() {
        command.env("WRIT_LOG", "warn,openraft=error,openraft::replication=off");
    }
    let flag = |command: &mut Command, name: &str, value: String| {
        command.arg(name).arg(value);
    };
    command.arg("server").arg("--data-dir").arg(layout.node_dir(place));
    flag(&mut command, "--role", place.role.as_str().to_owned());
    flag(&mut command, "--region", REGION.to_owned());
    flag(&mut command, "--listen-aws", layout.address(place, 0));
    flag(&mut command, "--listen-grpc", layout.address(place, 1));
    flag(&mut command, "--listen-ops", layout.address(place, 2));
    if let Some(address) = layout.relay(place) {
        flag(&mut command, "--advertise-grpc", address);
    }
    if place.role == Role::Writer {
        let kek: PathBuf = layout.kek_file();
        command.arg("--kek-file").arg(kek);
    }
    match token {
        Some(token) => {
            let first = layout.places().first().map(|place| layout.address(place, 1));
            flag(&mut command, "--join", first.unwrap_or_default());
            // Not as an argument, which every user of the machine can read.
            command.env("WRIT_JOIN_TOKEN", token.expose());
        }
        None if place.number == 1 => {
            command.arg("--init");
        }
        None => {}
    }
    // Its output is ours: what goes wrong is seen where the cluster was started.
    command.stdin(Stdio::null()).kill_on_drop(true);
    let process = command.spawn().map_err(DevError::Process)?;
    Ok(Child { place: *place, process, ops: layout.address(place, 2) })
}

impl Child {
    /// Its process id, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Waits until it is a member of the cluster.
    pub(super) async fn joined(
        &mut self,
        layout: &Layout,
        within: Duration,
    ) -> Result<(), DevError> {
        let deadline = Instant::now() + within;
        while !layout.has_joined(&self.place) {
            self.check(deadline, "did not join in time")?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until it says that it is ready.
    pub(super) async fn ready(&mut self, within: Duration) -> Result<(), DevError> {
        let deadline = Instant::now() + within;
        loop {
            let answer = match timeout(Duration::from_secs(1), ask(&self.ops)).await {
                Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200") => return Ok(()),
                Ok(Ok(answer)) => answer.lines().last().unwrap_or_default().to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it does not answer".to_owned(),
            };
            self.check(deadline, &format!("did not become ready in time: {answer}"))?;
            sleep(POLL).await;
        }
    }

    fn check(&mut self, deadline: Instant, late: &str) -> Result<(), DevError> {
        let number = self.place.number;
        if let Some(status) = self.process.try_wait().map_err(DevError::Process)? {
            return Err(DevError::NotReady { number, why: format!("ended: {status}") });
        }
        if Instant::now() > deadline {
            return Err(DevError::NotReady { number, why: late.to_owned() });
        }
        Ok(())
    }

    fn terminate(&self) {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, Signal::TERM)
        {
            tracing::warn!(%error, node = self.place.number, "cannot signal a node");
        }
    }

    async fn stopped(mut self) {
        match timeout(STOP_WITHIN, self.process.wait()).await {
            Ok(Ok(status)) => self.report(status),
            Ok(Err(error)) => tracing::warn!(%error, node = self.place.number, "cannot wait"),
            Err(_) => {
                tracing::warn!(node = self.place.number, "does not stop: killed");
                if let Err(error) = self.process.kill().await {
                    tracing::warn!(%error, node = self.place.number, "cannot kill");
                }
            }
        }
    }

    fn report(&self, status: ExitStatus) {
        if !status.success() {
            tracing::warn!(node = self.place.number, %status, "a node ended");
        }
    }
}

/// Tells all nodes to stop and waits until they have.
pub(super) async fn stop(children: Vec<Child>) {
    for child in &children {
        child.terminate();
    }
    for child in children {
        child.stopped().await;
    }
}

/// Reports nodes that end by themselves; returns when none is left.
pub(super) async fn watch(children: &mut Vec<Child>) {
    while !children.is_empty() {
        sleep(Duration::from_millis(200)).await;
        children.retain_mut(|child| match child.process.try_wait() {
            Ok(Some(status)) => {
                child.report(status);
                false
            }
            Ok(None) => true,
            Err(error) => {
                tracing::warn!(%error, node = child.place.number, "cannot watch");
                true
            }
        });
    }
}

async fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
