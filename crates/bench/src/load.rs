//! Clients that call in a loop, and what they measured.
//!
//! **Invariants.** A closed loop: a client sends its next call when the last one was answered. What
//! was answered in the warm-up does not count.
//!
//! **Must not know:** what a call does.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::error::Error;

/// How long clients run before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long each answered call took.
#[derive(Debug)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    /// How long was measured.
    pub(crate) elapsed: Duration,
}

impl Latencies {
    /// From samples in any order, taken within `elapsed`.
    pub(crate) fn new(mut samples: Vec<Duration>, elapsed: Duration) -> Self {
        samples.sort_unstable();
        Self { sorted: samples, elapsed }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Calls a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// The least latency that `percent` of the calls did not exceed, nearest rank.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.count() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// The greatest.
    pub(crate) fn greatest(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }
}

/// Runs one loop for each client until `length` has been measured. `call` is one call, numbered.
pub(crate) async fn closed_loop<C, F, R>(
    clients: Vec<C>,
    length: Duration,
    call: F,
) -> Result<Latencies, Error>
where
    C: Send + 'static,
    F: Fn(C, u64) -> R + Clone + Send + 'static,
    R: Future<Output = Result<C, Error>> + Send,
{
    let begin = Instant::now() + WARM_UP;
    let end = begin + length;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let call = call.clone();
        tasks.spawn(async move {
            let mut samples = Vec::new();
            let mut number = 0;
            loop {
                let sent = Instant::now();
                if sent >= end {
                    return Ok(samples);
                }
                client = call(client, number).await?;
                number += 1;
                let answered = Instant::now();
                if sent >= begin && answered <= end {
                    samples.push(answered - sent);
                }
            }
        });
    }
    let mut samples = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let one: Result<Vec<Duration>, Error> = done?;
        samples.extend(one?);
    }
    Ok(Latencies::new(samples, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentiles(count: u64) -> [u64; 3] {
        let samples = (1..=count).rev().map(Duration::from_micros).collect();
        let latencies = Latencies::new(samples, Duration::from_secs(2));
        [50, 99, 100].map(|percent| {
            u64::try_from(latencies.percentile(percent).as_micros()).unwrap_or(u64::MAX)
        })
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        assert_eq!(percentiles(0), [0, 0, 0]);
        assert_eq!(percentiles(1), [1, 1, 1]);
        assert_eq!(percentiles(100), [50, 99, 100]);
        assert_eq!(percentiles(101), [51, 100, 101]);
    }

    #[test]
    fn a_rate_is_per_second_of_what_was_measured() {
        let samples = vec![Duration::ZERO; 10];
        let rate = Latencies::new(samples, Duration::from_secs(2)).per_second();
        assert!((rate - 5.0).abs() < f64::EPSILON);
    }
}
