//! Measures a cluster of real processes on this machine, beside the floor the machine sets.
//!
//! `cargo run --release -p bench -- writes|propagation|checks [--json]` starts a cluster of its
//! own with `writ dev`, measures, and stops it. The program is `WRIT_BIN`, else the `writ` beside
//! this one.
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
mod load;
mod propagation;
mod report;
mod writes;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

use crate::{cluster::Cluster, error::Error, report::Report};

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Benchmark {
    /// Acknowledged writes at one node.
    Writes,
    /// From the acknowledgement at one node to visible at all others.
    Propagation,
    /// Authorization checks at a read replica.
    Checks,
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
    let Arguments { benchmark, json, seconds, directory } = arguments;
    let row = Duration::from_secs(seconds);
    let place = match directory {
        Some(directory) => directory,
        None => cluster::beside_this_program()?,
    };
    let started = Instant::now();
    let mut cluster = Cluster::start(&place).await?;
    let start = started.elapsed();
    let measured = match benchmark {
        Benchmark::Writes => writes::measure(&cluster, row, &place).await,
        Benchmark::Propagation => propagation::measure(&cluster, row, &place).await,
        Benchmark::Checks => checks::measure(&cluster, row).await,
    };
    cluster.stop().await;
    let report = Report::new(benchmark_name(benchmark), row, start, measured?);
    if json { report.to_json() } else { Ok(report.to_string()) }
}

fn benchmark_name(benchmark: Benchmark) -> &'static str {
    match benchmark {
        Benchmark::Writes => "writes",
        Benchmark::Propagation => "propagation",
        Benchmark::Checks => "checks",
    }
}
