//! What was measured, as JSON and as a table.
//!
//! **Must not know:** how it was measured.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{
    cluster::{REPLICAS, WRITERS},
    load::Latencies,
};

/// One line: a setting and its numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was done, with how many clients.
    what: String,
    samples: usize,
    per_second: f64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    /// `per_second` as a multiple of the floor's of the same run.
    rate_to_floor: Option<f64>,
    /// `p50_us` as a multiple of the floor's of the same run.
    p50_to_floor: Option<f64>,
}

impl Row {
    /// A row whose calls each do one thing.
    pub(crate) fn new(what: impl Into<String>, latencies: &Latencies) -> Self {
        Self::of_batches(what, latencies, 1)
    }

    /// A row whose calls each do `batch` things: the rate is of things, the latency of calls.
    pub(crate) fn of_batches(what: impl Into<String>, latencies: &Latencies, batch: u32) -> Self {
        Self {
            what: what.into(),
            samples: latencies.count(),
            per_second: latencies.per_second() * f64::from(batch),
            p50_us: micros(latencies.percentile(50)),
            p99_us: micros(latencies.percentile(99)),
            max_us: micros(latencies.greatest()),
            rate_to_floor: None,
            p50_to_floor: None,
        }
    }

    /// Compares the rate with a floor's.
    pub(crate) fn rate_against(mut self, floor: &Self) -> Self {
        self.rate_to_floor = Some(self.per_second / floor.per_second);
        self
    }

    /// Compares the median latency with a floor's, in microseconds.
    pub(crate) fn p50_against(mut self, floor_us: u64) -> Self {
        self.p50_to_floor = Some(self.p50_us as f64 / floor_us.max(1) as f64);
        self
    }

    /// Says what else went on.
    pub(crate) fn under(mut self, load: &str) -> Self {
        self.what += load;
        self
    }

    /// The median latency, in microseconds.
    pub(crate) fn p50_us(&self) -> u64 {
        self.p50_us
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What a benchmark returns.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What was done, in words.
    pub(crate) method: &'static str,
    /// What the bare machine does.
    pub(crate) floor: Vec<Row>,
    /// What the cluster does.
    pub(crate) rows: Vec<Row>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    benchmark: &'static str,
    method: &'static str,
    writers: usize,
    replicas: usize,
    /// Of the machine that the cluster, the clients and the floor share.
    cpus: usize,
    seconds_per_row: u64,
    /// Until the cluster was ready.
    start_ms: u64,
    floor: Vec<Row>,
    rows: Vec<Row>,
}

impl Report {
    /// A run's report.
    pub(crate) fn new(
        benchmark: &'static str,
        row: Duration,
        start: Duration,
        measured: Measured,
    ) -> Self {
        let Measured { method, floor, rows } = measured;
        Self {
            benchmark,
            method,
            writers: WRITERS,
            replicas: REPLICAS,
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            seconds_per_row: row.as_secs(),
            start_ms: u64::try_from(start.as_millis()).unwrap_or(u64::MAX),
            floor,
            rows,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { benchmark, method, writers, replicas, cpus, seconds_per_row, .. } = self;
        writeln!(f, "{benchmark}: {method}")?;
        writeln!(
            f,
            "{writers} writers, {replicas} replica, clients and floor on one machine with {cpus} \
             CPUs; {seconds_per_row} s a row; ready after {} ms\n",
            self.start_ms
        )?;
        writeln!(
            f,
            "{:<44}{:>9}{:>11}{:>10}{:>10}{:>8}{:>8}",
            "", "samples", "per s", "p50 us", "p99 us", "rate/f", "p50/f"
        )?;
        for (mark, rows) in [("floor: ", &self.floor), ("", &self.rows)] {
            for row in rows {
                let what = format!("{mark}{}", row.what);
                write!(f, "{what:<44}{:>9}{:>11.1}", row.samples, row.per_second)?;
                write!(f, "{:>10}{:>10}", row.p50_us, row.p99_us)?;
                writeln!(f, "{:>8}{:>8}", ratio(row.rate_to_floor), ratio(row.p50_to_floor))?;
            }
        }
        Ok(())
    }
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_its_things_and_times_its_calls() {
        let latencies = Latencies::new(vec![Duration::from_micros(8); 4], Duration::from_secs(1));
        let floor = Row::new("one", &latencies);
        let row = Row::of_batches("many", &latencies, 64).rate_against(&floor).p50_against(4);
        assert_eq!((row.samples, row.p50_us), (4, 8));
        assert_eq!((row.rate_to_floor, row.p50_to_floor), (Some(64.0), Some(2.0)));
    }
}
