//! From a write's acknowledgement at one node to visible at all others.
//!
//! **Must not know:** how nodes replicate.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    aws::Aws,
    cluster::{Cluster, Key},
    error::Error,
    floor::{self, BareServer},
    grpc::Grpc,
    load::{Latencies, closed_loop},
    report::{Measured, Row},
    writes::make_users,
};

const LOAD_PER_SECOND: u32 = 500;
const LOAD_CLIENTS: u32 = 16;
/// Between two measured writes, so that an idle cluster is idle.
const PAUSE: Duration = Duration::from_millis(10);

/// Measures an idle cluster, then one under load.
pub(crate) async fn measure(
    cluster: &Cluster,
    row: Duration,
    place: &Path,
) -> Result<Measured, Error> {
    make_users(cluster, "load", LOAD_CLIENTS as usize).await?;
    let token = make_users(cluster, "probe", 1).await?;
    let mut nodes = Nodes::connect(cluster).await?;
    nodes.asked.wait(token).await?;

    let appends = Row::new("append of 4 KiB, fsync", &floor::appends(place, row).await?);
    let calls = Row::new("gRPC call that does nothing", &bare_calls(&cluster.key, row).await?);
    // The least that makes a change visible elsewhere: to the other node, onto its disk, and back.
    let floor_us = appends.p50_us() + calls.p50_us();

    let mut rows = nodes.measure(row, "idle", floor_us).await?;
    let load = Load::start(cluster).await?;
    let loaded = nodes.measure(row, "", floor_us).await;
    let rate = load.stop().await?;
    for row in loaded? {
        rows.push(row.under(&format!("{rate:.0} writes/s")));
    }
    Ok(Measured {
        method: "from TagUser's reply at a writer until calls that carry its token are answered at \
                 every other node, and until WaitForPropagation says so; latencies against an \
                 append and a call",
        floor: vec![appends, calls],
        rows,
    })
}

/// Calls of a server that decides nothing, one after the other.
async fn bare_calls(key: &Key, row: Duration) -> Result<Latencies, Error> {
    let server = BareServer::start()?;
    let client = Grpc::connect(&server.address, &server.ca_pem, key).await?;
    let latencies = closed_loop(vec![client], row, |mut client, _| async move {
        client.reach("", String::new()).await?;
        Ok(client)
    })
    .await?;
    server.stop().await?;
    Ok(latencies)
}

/// The writer that is written to, and connections to the nodes that shall see it.
struct Nodes {
    writer: Aws,
    asked: Grpc,
    others: Vec<Grpc>,
    /// The user that is written to.
    probe: String,
    written: u64,
}

impl Nodes {
    async fn connect(cluster: &Cluster) -> Result<Self, Error> {
        let Cluster { ca_pem, key, .. } = cluster;
        let mut others = Vec::new();
        for node in cluster.others() {
            others.push(Grpc::connect(node.grpc(), ca_pem, key).await?);
        }
        Ok(Self {
            writer: Aws::connect(cluster.first(), key).await?,
            asked: Grpc::connect(cluster.first().grpc(), ca_pem, key).await?,
            others,
            probe: format!("arn:aws:iam::{}:user/probe-0", cluster.account_id),
            written: 0,
        })
    }

    async fn measure(
        &mut self,
        row: Duration,
        setting: &str,
        floor_us: u64,
    ) -> Result<Vec<Row>, Error> {
        let (mut seen, mut said) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        while begin.elapsed() < row * 2 {
            seen.push(self.until_seen().await?);
            tokio::time::sleep(PAUSE).await;
            said.push(self.until_said().await?);
            tokio::time::sleep(PAUSE).await;
        }
        let rows = [("seen at every node", seen), ("a wait says so", said)];
        Ok(rows
            .map(|(what, samples)| {
                let latencies = Latencies::new(samples, begin.elapsed());
                Row::new(format!("{what}, {setting}"), &latencies).p50_against(floor_us)
            })
            .into())
    }

    /// A write, and the time of its acknowledgement.
    async fn write(&mut self) -> Result<(String, Instant), Error> {
        self.written += 1;
        let token = self.writer.tag("probe-0", self.written).await?;
        Ok((token, Instant::now()))
    }

    async fn until_seen(&mut self) -> Result<Duration, Error> {
        let (token, acknowledged) = self.write().await?;
        let mut calls = JoinSet::new();
        for node in &self.others {
            let (mut node, probe) = (node.clone(), self.probe.clone());
            let token = token.clone();
            calls.spawn(async move { node.reach(&probe, token).await });
        }
        while let Some(done) = calls.join_next().await {
            done??;
        }
        Ok(acknowledged.elapsed())
    }

    async fn until_said(&mut self) -> Result<Duration, Error> {
        let (token, acknowledged) = self.write().await?;
        self.asked.wait(token).await?;
        Ok(acknowledged.elapsed())
    }
}

/// Clients that write at a steady rate.
struct Load {
    clients: JoinSet<Result<(), Error>>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    begin: Instant,
}

impl Load {
    async fn start(cluster: &Cluster) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for number in 0..LOAD_CLIENTS {
            let mut aws = Aws::connect(cluster.first(), &cluster.key).await?;
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            clients.spawn(async move {
                let mut ticks = interval(Duration::from_secs(1) * LOAD_CLIENTS / LOAD_PER_SECOND);
                // A slow write is made up for, or the rate would fall short.
                ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
                let user = format!("load-{number}");
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    aws.tag(&user, written.fetch_add(1, Ordering::Relaxed)).await?;
                }
                Ok(())
            });
        }
        Ok(Self { clients, stop, written, begin: Instant::now() })
    }

    /// Stops the clients; what they wrote a second.
    async fn stop(mut self) -> Result<f64, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let rate = self.written.load(Ordering::Relaxed) as f64 / self.begin.elapsed().as_secs_f64();
        while let Some(done) = self.clients.join_next().await {
            done??;
        }
        Ok(rate)
    }
}
