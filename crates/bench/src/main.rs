//! Measures a cluster of real processes on this machine, beside the floor the machine sets.
//!
//! `cargo run --release -p bench -- WHAT [--json]` starts a cluster of its own with `writ dev`,
//! measures, and stops it. The program is `WRIT_BIN`, else the `writ` beside this one.
//!
//! `replay` measures in this process what needs no cluster: what a transaction and a user cost a
//! node. `policy` does for a decision of the policy engine, and for each of its operators.
//!
//! **Invariants.** Only what the server acknowledged counts; a refusal ends the run. Every number
//! is printed with its setting and, in the same run, with what the bare machine can do.
//!
//! **Must not know:** how a node works.

mod aws;
mod catch_up;
mod checks;
mod cluster;
mod error;
mod faults;
mod floor;
mod grpc;
mod history;
mod idle;
mod load;
mod operators;
mod ops;
mod policy;
mod propagation;
mod relay;
mod replay;
mod report;
mod workload;
mod writes;

use std::{fmt::Display, io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::{
    cluster::{Cluster, Shape},
    error::Error,
    report::{Measured, Report},
};

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Benchmark {
    /// Acknowledged writes at one node.
    Writes,
    /// From the acknowledgement at one node to visible at all others.
    Propagation,
    /// Authorization checks at a read replica.
    Checks,
    /// Bytes between nodes, and CPU, of a cluster in which nothing happens.
    Idle,
    /// Writes beside a member that is down, slow, or comes and goes.
    Faults,
    /// A node that comes back and takes in what it missed from the others' logs.
    CatchUp,
    /// A node that joins a cluster whose logs are cut short, by a snapshot.
    Bootstrap,
    /// What one decision costs, compiled and interpreted; without a cluster.
    Policy,
    /// The same decisions with nothing else, for a program that counts instructions.
    PolicyInstructions,
    /// What a transaction costs a node in CPU, and a user in memory; without a cluster.
    Replay,
}

/// Measures a Writ cluster on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure.
    benchmark: Benchmark,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// How often the rows of `propagation` are measured, in turn; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each row is measured, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Where the cluster's and the floor's files go; beside this program unless given. Its disk is
    /// what is measured, so a directory in memory would flatter.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Users of the history that `replay` takes.
    #[arg(long, default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    users: u64,
    /// Transactions that the node of `catch-up` missed.
    #[arg(long, default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    transactions: u64,
    /// Users and keys that the node of `bootstrap` is sent.
    #[arg(long, default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    entities: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(text) => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr().lock(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<String, Error> {
    let Arguments { benchmark, json, seconds, directory, users, transactions, entities, rounds } =
        arguments;
    let place = match directory {
        Some(directory) => directory,
        None => cluster::beside_this_program()?,
    };
    let setting = Setting { place, row: Duration::from_secs(seconds), rounds };
    let report = match benchmark {
        Benchmark::Policy => return print(&policy::measure()?, json),
        Benchmark::PolicyInstructions => return policy::instructions(),
        Benchmark::Replay => return print(&replay::measure(users)?, json),
        Benchmark::Idle => return print(&idle::run(&setting).await?, json),
        Benchmark::Faults => faults::run(&setting).await?,
        Benchmark::CatchUp => {
            return print(&catch_up::backlog(&setting, transactions).await?, json);
        }
        Benchmark::Bootstrap => {
            return print(&catch_up::bootstrap(&setting, entities).await?, json);
        }
        Benchmark::Writes => {
            let mut cluster = setting.start(THREE_AND_ONE).await?;
            let measured = writes::measure(&cluster, setting.row, &setting.place).await;
            setting.end("writes", &mut cluster, measured).await?
        }
        Benchmark::Propagation => propagation::run(&setting).await?,
        Benchmark::Checks => {
            let mut cluster = setting.start(THREE_AND_ONE).await?;
            let measured = checks::measure(&cluster, setting.row).await;
            setting.end("checks", &mut cluster, measured).await?
        }
    };
    print(&report, json)
}

const THREE_AND_ONE: Shape = Shape { writers: 3, replicas: 1, relayed: false };

fn print(report: &(impl Serialize + Display), json: bool) -> Result<String, Error> {
    if json { Ok(serde_json::to_string_pretty(report)? + "\n") } else { Ok(report.to_string()) }
}

/// How it is measured.
struct Setting {
    /// Where files go.
    place: PathBuf,
    /// How long a row takes.
    row: Duration,
    /// How often a row is measured.
    rounds: u32,
}

impl Setting {
    async fn start(&self, shape: Shape) -> Result<Cluster, Error> {
        Cluster::start(&self.place, shape).await
    }

    /// Stops the cluster, whatever came of it.
    async fn end(
        &self,
        name: &'static str,
        cluster: &mut Cluster,
        measured: Result<Measured, Error>,
    ) -> Result<Report, Error> {
        cluster.stop().await;
        Ok(Report::new(name, cluster.shape, self.row, cluster.start, measured?))
    }
}
