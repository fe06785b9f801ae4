//! The parts of a running server: each has a name and runs until it is told to stop.
//!
//! **Invariants.** A part that ends before it was told to is an error, whatever it says itself: the
//! process must not end as if all were well.
//!
//! **Must not know:** what the parts do.

use std::{collections::VecDeque, time::Duration};

use tokio::task::{Id, JoinError, JoinSet};

use crate::server::ServerError;

type Ended = Result<(), ServerError>;

/// The parts that run.
#[derive(Default)]
pub struct Parts {
    set: JoinSet<Ended>,
    names: VecDeque<(Id, &'static str)>,
}

impl Parts {
    /// Starts a part.
    pub fn spawn(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Ended> + Send + 'static,
    ) {
        let task = self.set.spawn(part);
        self.names.push_back((task.id(), name));
    }

    /// Waits until a part ends, which none should: why.
    pub async fn first_end(&mut self) -> ServerError {
        match self.set.join_next_with_id().await {
            Some(ended) => {
                let (name, ended) = self.named(ended);
                ended.err().unwrap_or(ServerError::Ended(name))
            }
            None => ServerError::Ended("every part"),
        }
    }

    /// Waits until all have ended, as they were told to.
    ///
    /// # Errors
    /// The first error of any.
    pub async fn stopped(&mut self, within: Duration) -> Ended {
        let mut result = Ok(());
        let all = async {
            while let Some(ended) = self.set.join_next_with_id().await {
                let (name, ended) = self.named(ended);
                if let Err(error) = &ended {
                    tracing::error!(%error, name, "a part of the server failed while it stopped");
                }
                result = std::mem::replace(&mut result, Ok(())).and(ended);
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            let names: Vec<_> = self.names.iter().map(|(_, name)| *name).collect();
            tracing::warn!(?names, "parts of the server did not stop in time");
        }
        result
    }

    fn named(&mut self, ended: Result<(Id, Ended), JoinError>) -> (&'static str, Ended) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, ended),
            Err(error) => (error.id(), Err(ServerError::Task(error))),
        };
        let at = self.names.iter().position(|(known, _)| *known == id);
        let name = at.and_then(|at| self.names.remove(at)).map(|(_, name)| name);
        (name.expect("every part was given its name"), ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a part that runs on, one ends like this: what is told of it.
    async fn first_end(part: impl Future<Output = Ended> + Send + 'static) -> String {
        let mut parts = Parts::default();
        parts.spawn("listener", std::future::pending());
        parts.spawn("dialer", part);
        parts.first_end().await.to_string()
    }

    #[tokio::test]
    async fn a_part_that_ends_early_is_an_error_whatever_it_says() {
        let told = first_end(async { Ok(()) }).await;
        assert_eq!(told, "a part of the server ended early: dialer");
        let told = first_end(async { Err(ServerError::RaftStopped("x".to_owned())) }).await;
        assert_eq!(told, "the control plane stopped: x");
        let told = first_end(async { panic!("as this test wants") }).await;
        assert!(told.starts_with("a part of the server failed: "), "{told}");
        assert!(matches!(Parts::default().first_end().await, ServerError::Ended("every part")));
    }

    #[tokio::test]
    async fn parts_that_fail_or_panic_while_they_stop_are_told_and_no_panic_spreads() {
        let mut parts = Parts::default();
        parts.spawn("listener", async { Ok(()) });
        assert!(parts.stopped(Duration::MAX).await.is_ok());
        parts.spawn("listener", async { Ok(()) });
        parts.spawn("dialer", async { panic!("as this test wants") });
        assert!(matches!(parts.stopped(Duration::MAX).await, Err(ServerError::Task(_))));
        parts.spawn("listener", std::future::pending());
        assert!(parts.stopped(Duration::ZERO).await.is_ok(), "it is cut, which is no failure");
    }
}
