//! From a write's acknowledgement at one node to visible at all others.
//!
//! **Must not know:** how nodes replicate.

use std::{
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
    Setting,
    aws::Aws,
    cluster::{Cluster, Key, Shape},
    error::Error,
    floor::{self, BareServer},
    grpc::Grpc,
    load::{Latencies, closed_loop},
    relay::Conditions,
    report::{Goal, Measured, Report, Row},
    writes::make_users,
};

const NEAR: Shape = Shape { writers: 5, replicas: 0, relayed: false };
const FAR: Shape = Shape { relayed: true, ..NEAR };
const ROUND_TRIP: Duration = Duration::from_millis(50);
const NEAR_GOAL: Goal = Goal { p50_us: Some(5_000), p99_us: 25_000 };
/// The round trip and 30 ms.
const FAR_GOAL: Goal = Goal { p50_us: None, p99_us: 80_000 };

const LOAD_PER_SECOND: u32 = 500;
const CLIENTS_PER_NODE: u32 = 4;
/// Between two measured writes at a node, so that an idle cluster is idle.
const PAUSE: Duration = Duration::from_millis(100);

/// Measures a cluster whose nodes are near each other, then one whose nodes are not.
pub(crate) async fn run(setting: &Setting) -> Result<Report, Error> {
    let appends = floor::appends(&setting.place, setting.row).await?;
    let mut near = setting.start(NEAR).await?;
    let measured = async {
        let calls = bare_calls(&near.key, setting.row).await?;
        let appends = Row::new("append of 4 KiB, fsync", &appends);
        let calls = Row::new("gRPC call that does nothing", &calls);
        // The least that makes a change visible elsewhere: to the other node, onto its disk, back.
        let floor_us = appends.p50_us() + calls.p50_us();
        let rows = measure(&near, setting, "", floor_us, NEAR_GOAL).await?;
        Ok::<_, Error>((vec![appends, calls], floor_us, rows))
    };
    let measured = measured.await;
    near.stop().await;
    let (floor, floor_us, mut rows) = measured?;
    let mut far = setting.start(FAR).await?;
    for relay in &far.relays {
        relay.set(Conditions { delay: ROUND_TRIP / 2, ..Conditions::default() });
    }
    let floor_us = floor_us + u64::try_from(ROUND_TRIP.as_micros() / 2).unwrap_or_default();
    let measured = measure(&far, setting, "50 ms apart, ", floor_us, FAR_GOAL).await;
    let measured = measured.map(|more| {
        rows.extend(more);
        let method = "from TagUser's reply at a writer, each in turn, until calls that carry its \
                      token are answered at every other node, and until WaitForPropagation says \
                      so; writes at all nodes meanwhile; goals: 5 and 25 ms, apart the round trip \
                      and 30 ms; latencies against an append, a call and, apart, the way there";
        Measured { method, floor, rows }
    });
    setting.end("propagation", &mut far, measured).await
}

/// Measures while nothing else is written, and under load.
async fn measure(
    cluster: &Cluster,
    setting: &Setting,
    place: &str,
    floor_us: u64,
    goal: Goal,
) -> Result<Vec<Row>, Error> {
    let clients = cluster.nodes.len() * CLIENTS_PER_NODE as usize;
    make_users(cluster, "load", clients).await?;
    let token = make_users(cluster, "probe", cluster.nodes.len()).await?;
    let mut probes = Vec::new();
    for writer in 0..cluster.nodes.len() {
        probes.push(Probe::connect(cluster, writer).await?);
    }
    if let Some(probe) = probes.first_mut() {
        probe.asked.wait(token).await?;
    }
    let mut rounds: [Vec<Row>; 4] = Default::default();
    for _ in 0..setting.rounds {
        let idle = probe_all(&mut probes, setting.row).await?;
        let load = Load::start(cluster).await?;
        let loaded = probe_all(&mut probes, setting.row).await;
        let rate = load.stop().await?;
        let [seen, said] = idle.map(|latencies| ("idle".to_owned(), latencies));
        let [loaded_seen, loaded_said] =
            loaded?.map(|latencies| (format!("{rate:.0} writes/s"), latencies));
        let what = ["seen everywhere", "a wait says so"];
        let all = [(seen, 0), (said, 1), (loaded_seen, 0), (loaded_said, 1)];
        for (rows, ((load, latencies), kind)) in rounds.iter_mut().zip(all) {
            rows.push(Row::new(format!("{place}{}, {load}", what[kind]), &latencies));
        }
    }
    let rows = rounds.into_iter().filter_map(Row::median_of);
    Ok(rows.map(|row| row.p50_against(floor_us).with_goal(goal)).collect())
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

/// A writer that is written to, and connections to the nodes that shall see it.
struct Probe {
    writer: Aws,
    asked: Grpc,
    others: Vec<Grpc>,
    /// The user that is written to.
    user: String,
    arn: String,
    written: u64,
}

impl Probe {
    async fn connect(cluster: &Cluster, writer: usize) -> Result<Self, Error> {
        let Cluster { ca_pem, key, .. } = cluster;
        let node = &cluster.nodes[writer];
        let mut others = Vec::new();
        for (number, node) in cluster.nodes.iter().enumerate() {
            if number != writer {
                others.push(Grpc::connect(node.grpc(), ca_pem, key).await?);
            }
        }
        let user = format!("probe-{writer}");
        Ok(Self {
            writer: Aws::connect(node, key).await?,
            asked: Grpc::connect(node.grpc(), ca_pem, key).await?,
            others,
            arn: format!("arn:aws:iam::{}:user/{user}", cluster.account_id),
            user,
            written: 0,
        })
    }

    /// A write, and the time of its acknowledgement.
    async fn write(&mut self) -> Result<(String, Instant), Error> {
        self.written += 1;
        let token = self.writer.tag(&self.user, self.written).await?;
        Ok((token, Instant::now()))
    }

    async fn until_seen(&mut self) -> Result<Duration, Error> {
        let (token, acknowledged) = self.write().await?;
        let mut calls = JoinSet::new();
        for node in &self.others {
            let (mut node, arn) = (node.clone(), self.arn.clone());
            let token = token.clone();
            calls.spawn(async move { node.reach(&arn, token).await });
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

/// What all probes measured for so long: until seen, and until a wait said so.
async fn probe_all(probes: &mut [Probe], length: Duration) -> Result<[Latencies; 2], Error> {
    let begin = Instant::now();
    let (mut seen, mut said) = (Vec::new(), Vec::new());
    let turn = PAUSE / u32::try_from(probes.len()).unwrap_or(1).max(1);
    while begin.elapsed() < length {
        for probe in &mut *probes {
            seen.push(probe.until_seen().await?);
            tokio::time::sleep(turn).await;
            said.push(probe.until_said().await?);
            tokio::time::sleep(turn).await;
        }
    }
    Ok([seen, said].map(|samples| Latencies::new(samples, begin.elapsed())))
}

/// Clients that write at a steady rate, as many at each writer.
pub(crate) struct Load {
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
        let count = u32::try_from(cluster.nodes.len()).unwrap_or(1) * CLIENTS_PER_NODE;
        let pause = Duration::from_secs(1) * count / LOAD_PER_SECOND;
        for (number, node) in (0..count).zip(cluster.nodes.iter().cycle()) {
            let mut aws = Aws::connect(node, &cluster.key).await?;
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
            clients.spawn(async move {
                // Steady means that they do not all write at once either.
                tokio::time::sleep(pause * number / count).await;
                let mut ticks = interval(pause);
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
