//! What was measured, as JSON and as a table.
//!
//! **Must not know:** how it was measured.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{cluster::Shape, load::Latencies};

/// One line: a setting and its numbers.
#[derive(Clone, Debug, Serialize)]
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
    /// What is aimed at.
    goal: Option<Goal>,
}

/// The most that latencies may be.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goal {
    /// In microseconds, as the next.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: u64,
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
            goal: None,
        }
    }

    /// Of rows of the same setting, measured in turn with others: each figure's median.
    pub(crate) fn median_of(rows: Vec<Self>) -> Option<Self> {
        let us = |of: fn(&Self) -> u64| median(rows.iter().map(of).collect());
        let (p50_us, p99_us) = (us(|row| row.p50_us)?, us(|row| row.p99_us)?);
        let max_us = rows.iter().map(|row| row.max_us).max()?;
        let samples = rows.iter().map(|row| row.samples).sum();
        let per_second = rows.iter().map(|row| row.per_second).sum::<f64>() / rows.len() as f64;
        let one = rows.into_iter().next()?;
        Some(Self { samples, per_second, p50_us, p99_us, max_us, ..one })
    }

    /// Compares the 99th percentile with another setting's, in microseconds.
    pub(crate) fn p99_against(mut self, other_us: u64) -> Self {
        self.rate_to_floor = Some(self.p99_us as f64 / other_us.max(1) as f64);
        self
    }

    /// Says what is aimed at.
    pub(crate) fn with_goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    /// Whether the goal is met; met if there is none.
    fn meets_goal(&self) -> bool {
        self.goal.is_none_or(|Goal { p50_us, p99_us }| {
            p50_us.is_none_or(|most| self.p50_us <= most) && self.p99_us <= p99_us
        })
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

    /// The median latency, in microseconds.
    pub(crate) fn p50_us(&self) -> u64 {
        self.p50_us
    }

    /// The 99th percentile, in microseconds.
    pub(crate) fn p99_us(&self) -> u64 {
        self.p99_us
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
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

/// The mean number of processes that wanted to run in the last minute, of the whole machine; what
/// others ran beside the benchmark shows in it.
pub(crate) fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
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
    /// When the run ended.
    load_average: f64,
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
        shape: Shape,
        row: Duration,
        start: Duration,
        measured: Measured,
    ) -> Self {
        let Measured { method, floor, rows } = measured;
        let Shape { writers, replicas, relayed: _ } = shape;
        Self {
            benchmark,
            method,
            writers,
            replicas,
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load_average: load_average(),
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
            "{writers} writers, {replicas} replicas, clients and floor on one machine with {cpus} \
             CPUs, load average {:.1}; {seconds_per_row} s a row; ready after {} ms\n",
            self.load_average, self.start_ms
        )?;
        writeln!(
            f,
            "{:<52}{:>8}{:>10}{:>9}{:>9}{:>8}{:>8}  goal",
            "", "samples", "per s", "p50 us", "p99 us", "rate/f", "p50/f"
        )?;
        for (mark, rows) in [("floor: ", &self.floor), ("", &self.rows)] {
            for row in rows {
                let what = format!("{mark}{}", row.what);
                write!(f, "{what:<52}{:>8}{:>10.1}", row.samples, row.per_second)?;
                write!(f, "{:>9}{:>9}", row.p50_us, row.p99_us)?;
                write!(f, "{:>8}{:>8}", ratio(row.rate_to_floor), ratio(row.p50_to_floor))?;
                if row.goal.is_some() {
                    write!(f, "  {}", if row.meets_goal() { "met" } else { "missed" })?;
                }
                writeln!(f)?;
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

    #[test]
    fn a_goal_is_met_at_its_limits_and_medians_are_of_each_figure() {
        let row = |us: [u64; 2]| {
            let samples = us.map(Duration::from_micros).to_vec();
            Row::new("one", &Latencies::new(samples, Duration::from_secs(1)))
        };
        let row = Row::median_of(vec![row([1, 50]), row([3, 20]), row([2, 90])]).unwrap();
        assert_eq!((row.samples, row.p50_us, row.p99_us, row.max_us), (6, 2, 50, 90));
        for (p50_us, p99_us, met) in [(Some(2), 50, true), (Some(1), 50, false), (None, 49, false)]
        {
            let row = row.clone().with_goal(Goal { p50_us, p99_us });
            assert_eq!(row.meets_goal(), met);
        }
        assert!(Row::median_of(Vec::new()).is_none());
    }
}
