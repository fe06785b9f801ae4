//! What a member that is down, slow, or comes and goes costs the writers that are well.
//!
//! **Invariants.** All settings are measured in turn, several times, with the same steady load at
//! the same nodes; between two of them the member gets well and catches up. A ratio is of two
//! medians of one run.
//!
//! **Must not know:** how nodes replicate.

use std::time::{Duration, Instant};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    Setting,
    aws::Aws,
    cluster::{Cluster, Shape},
    error::Error,
    floor,
    load::Latencies,
    ops,
    relay::Conditions,
    report::{Goal, Measured, Report, Row},
    writes::make_users,
};

const FIVE: Shape = Shape { writers: 5, replicas: 0, relayed: true };
/// The member that is unwell; it takes no writes.
const VICTIM: usize = 4;
const WRITES_PER_SECOND: u32 = 300;
const CLIENTS: u32 = 16;
/// Not measured, after a fault has begun.
const WARM_UP: Duration = Duration::from_secs(1);
/// A round trip of 400 ms, and less than what is written.
const SLOW: Conditions =
    Conditions { delay: Duration::from_millis(200), bytes_per_second: Some(16 << 10), cut: false };
const CUT: Conditions = Conditions { cut: true, ..WELL };
const WELL: Conditions = Conditions { delay: Duration::ZERO, bytes_per_second: None, cut: false };
/// How long it is there and how long it is not.
const FLAP_EVERY: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Down,
    Slow,
    Flapping,
}

impl Fault {
    const ALL: [Self; 4] = [Self::None, Self::Down, Self::Slow, Self::Flapping];

    fn what(self) -> &'static str {
        match self {
            Self::None => "TagUser, all are well",
            Self::Down => "TagUser, a member is down",
            Self::Slow => "TagUser, a member is slow",
            Self::Flapping => "TagUser, a member comes and goes",
        }
    }
}

/// Measures writers beside a member with each fault.
pub(crate) async fn run(setting: &Setting) -> Result<Report, Error> {
    let appends =
        Row::new("append of 4 KiB, fsync", &floor::appends(&setting.place, setting.row).await?);
    let mut cluster = setting.start(FIVE).await?;
    let measured = measure(setting, &mut cluster, appends).await;
    setting.end("faults", &mut cluster, measured).await
}

async fn measure(
    setting: &Setting,
    cluster: &mut Cluster,
    appends: Row,
) -> Result<Measured, Error> {
    make_users(cluster, "load", CLIENTS as usize).await?;
    let mut rounds: [Vec<Row>; 4] = Default::default();
    for _ in 0..setting.rounds {
        for (rows, fault) in rounds.iter_mut().zip(Fault::ALL) {
            cluster.agree().await?;
            let latencies = under(fault, cluster, setting.row).await?;
            rows.push(Row::new(fault.what(), &latencies));
        }
    }
    cluster.agree().await?;
    let medians: Vec<Row> = rounds.into_iter().filter_map(Row::median_of).collect();
    let well_us = medians.first().map_or(0, Row::p99_us);
    let goal = Goal { p50_us: None, p99_us: well_us + well_us / 10 };
    let floor_us = appends.p50_us();
    let rows = medians.into_iter().enumerate().map(|(number, row)| {
        let row = row.p50_against(floor_us);
        if number == 0 { row } else { row.p99_against(well_us).with_goal(goal) }
    });
    Ok(Measured {
        method: "300 writes/s at the four other writers, from request to acknowledgement; goal: \
                 p99 at most 10 % above that with all members well; the p99's ratio to it under \
                 rate/f; latencies against an append",
        floor: vec![appends],
        rows: rows.collect(),
    })
}

async fn under(fault: Fault, cluster: &mut Cluster, row: Duration) -> Result<Latencies, Error> {
    match fault {
        Fault::None => {}
        Fault::Down => cluster.kill_node(VICTIM).await?,
        Fault::Slow => cluster.relays[VICTIM].set(SLOW),
        Fault::Flapping => cluster.relays[VICTIM].set(CUT),
    }
    let flaps = async {
        let mut flap = interval(FLAP_EVERY);
        for cut in [true, false].into_iter().cycle() {
            flap.tick().await;
            if fault == Fault::Flapping {
                cluster.relays[VICTIM].set(if cut { CUT } else { WELL });
            }
        }
        std::future::pending().await
    };
    let measured = tokio::select! {
        measured = write(cluster, row) => measured,
        never = flaps => never,
    };
    cluster.relays[VICTIM].set(WELL);
    if fault == Fault::Down {
        cluster.start_node(VICTIM, &[])?;
        ops::ready(cluster.nodes[VICTIM].ops()).await?;
    }
    measured
}

/// Writes at a steady rate.
async fn write(cluster: &Cluster, length: Duration) -> Result<Latencies, Error> {
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut clients = JoinSet::new();
    let pause = Duration::from_secs(1) * CLIENTS / WRITES_PER_SECOND;
    for (number, node) in (0..CLIENTS).zip(cluster.nodes[..VICTIM].iter().cycle()) {
        let mut aws = Aws::connect(node, &cluster.key).await?;
        clients.spawn(async move {
            tokio::time::sleep(pause * number / CLIENTS).await;
            let mut ticks = interval(pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let user = format!("load-{number}");
            let mut samples = Vec::new();
            for value in 0.. {
                ticks.tick().await;
                let sent = Instant::now();
                if sent >= end {
                    break;
                }
                aws.tag(&user, value).await?;
                if sent >= begin {
                    samples.push(sent.elapsed());
                }
            }
            Ok::<_, Error>(samples)
        });
    }
    let mut samples = Vec::new();
    while let Some(done) = clients.join_next().await {
        samples.extend(done??);
    }
    Ok(Latencies::new(samples, length))
}
