//! Measures a cluster of real processes on this machine, beside the floor the machine sets.
//!
//! `cargo run --release -p bench -- writes|propagation|checks [--json]` starts a cluster of its
//! own with `writ dev`, measures, and stops it. The program is `WRIT_BIN`, else the `writ` beside
//! this one.
//!
//! `replay` measures in this process what needs no cluster: what a transaction and a user cost a
//! node. `policy` does for a decision of the policy engine, and for each of its operators.
//!
//! **Invariants.** Only what the server acknowledged counts; a refusal ends the run. Every number
//! is printed with its setting and, in the same run, with what the bare machine can do.
//!
//! **Must not know:** how a node works.

mod aws;
mod checks;
mod cluster;
mod error;
mod floor;
mod grpc;
mod history;
mod load;
mod operators;
mod policy;
mod propagation;
mod replay;
mod report;
mod workload;
mod writes;

use std::{
    fmt::Display,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::{
    cluster::Cluster,
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
    let json = arguments.json;
    let report = match arguments.benchmark {
        Benchmark::Policy => return print(&policy::measure()?, json),
        Benchmark::PolicyInstructions => return policy::instructions(),
        Benchmark::Replay => return print(&replay::measure(arguments.users)?, json),
        Benchmark::Writes => {
            let run = Run::start(arguments).await?;
            let measured = writes::measure(&run.cluster, run.row, &run.place).await;
            run.end("writes", measured).await?
        }
        Benchmark::Propagation => {
            let run = Run::start(arguments).await?;
            let measured = propagation::measure(&run.cluster, run.row, &run.place).await;
            run.end("propagation", measured).await?
        }
        Benchmark::Checks => {
            let run = Run::start(arguments).await?;
            let measured = checks::measure(&run.cluster, run.row).await;
            run.end("checks", measured).await?
        }
    };
    print(&report, json)
}

fn print(report: &(impl Serialize + Display), json: bool) -> Result<String, Error> {
    if json { Ok(serde_json::to_string_pretty(report)? + "\n") } else { Ok(report.to_string()) }
}

/// A cluster that is measured.
struct Run {
    cluster: Cluster,
    row: Duration,
    place: PathBuf,
    /// How long the start took.
    start: Duration,
}

impl Run {
    async fn start(arguments: Arguments) -> Result<Self, Error> {
        let place = match arguments.directory {
            Some(directory) => directory,
            None => cluster::beside_this_program()?,
        };
        let started = Instant::now();
        let cluster = Cluster::start(&place).await?;
        let row = Duration::from_secs(arguments.seconds);
        Ok(Self { cluster, row, place, start: started.elapsed() })
    }

    /// Stops the cluster, whatever came of it.
    async fn end(
        mut self,
        name: &'static str,
        measured: Result<Measured, Error>,
    ) -> Result<Report, Error> {
        self.cluster.stop().await;
        Ok(Report::new(name, self.row, self.start, measured?))
    }
}
