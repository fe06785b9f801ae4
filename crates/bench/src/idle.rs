//! What a cluster costs in which nothing happens: bytes between its nodes, and CPU.
//!
//! **Must not know:** what nodes say to each other.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{Setting, cluster::Shape, error::Error, ops, report::load_average};

const FIVE: Shape = Shape { writers: 5, replicas: 0, relayed: true };
/// After the start, until what it caused has been settled.
const SETTLE: Duration = Duration::from_secs(5);

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct IdleReport {
    benchmark: &'static str,
    writers: usize,
    cpus: usize,
    load_average: f64,
    seconds: f64,
    /// Pairs of nodes.
    links: usize,
    /// Of all that goes between two nodes, both ways: replication, Raft, TLS.
    bytes_per_second_per_link: f64,
    /// Of one CPU, by node.
    cpu_percent: Vec<f64>,
    /// Resident, by node.
    resident_bytes: Vec<f64>,
}

/// Measures an idle cluster.
pub(crate) async fn run(setting: &Setting) -> Result<IdleReport, Error> {
    let mut cluster = setting.start(FIVE).await?;
    let measured = async {
        for node in &cluster.nodes {
            ops::ready(node.ops()).await?;
        }
        tokio::time::sleep(SETTLE).await;
        let bytes = || cluster.relays.iter().map(|relay| relay.bytes()).sum::<u64>();
        let cpu =
            || cluster.nodes.iter().map(|node| node.cpu_seconds()).collect::<Result<Vec<_>, _>>();
        let (bytes_before, cpu_before) = (bytes(), cpu()?);
        let begin = std::time::Instant::now();
        tokio::time::sleep(setting.row * setting.rounds).await;
        let seconds = begin.elapsed().as_secs_f64();
        let (bytes_after, cpu_after) = (bytes(), cpu()?);
        let links = cluster.nodes.len() * (cluster.nodes.len() - 1) / 2;
        let used = cpu_after.iter().zip(&cpu_before).map(|(after, before)| after - before);
        let resident = cluster.nodes.iter().map(|node| node.resident_bytes());
        Ok(IdleReport {
            benchmark: "idle",
            writers: cluster.nodes.len(),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_average: load_average(),
            seconds,
            links,
            bytes_per_second_per_link: (bytes_after - bytes_before) as f64 / seconds / links as f64,
            cpu_percent: used.map(|used| 100.0 * used / seconds).collect(),
            resident_bytes: resident.collect::<Result<_, _>>()?,
        })
    };
    let measured = measured.await;
    cluster.stop().await;
    measured
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writers, cpus, load_average, seconds, links, .. } = self;
        writeln!(
            f,
            "idle: {writers} writers on one machine with {cpus} CPUs, load average \
             {load_average:.1}; nothing is asked or written for {seconds:.0} s\n"
        )?;
        writeln!(
            f,
            "{:.0} bytes/s between two nodes, both ways, all protocols; {:.0} on all {links} links",
            self.bytes_per_second_per_link,
            self.bytes_per_second_per_link * *links as f64
        )?;
        for (number, (cpu, bytes)) in self.cpu_percent.iter().zip(&self.resident_bytes).enumerate()
        {
            let mib = bytes / f64::from(1 << 20);
            writeln!(f, "node {}: {cpu:.2} % of a CPU, {mib:.0} MiB resident", number + 1)?;
        }
        Ok(())
    }
}
