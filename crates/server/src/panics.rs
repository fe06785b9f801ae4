//! Panics: a bug in any task or thread ends the process, orderly and with an error.
//!
//! **Invariants.** A panic is told of wherever it happened, also in a task whose result nobody
//! looks at. What was installed to print it still does.
//!
//! **Must not know:** what panicked.

use tokio::sync::watch;

/// Tells whether anything in this process has panicked.
pub struct Panics(watch::Receiver<bool>);

/// Begins to look out for panics in the whole process.
pub fn watch() -> Panics {
    let (sender, receiver) = watch::channel(false);
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        sender.send_replace(true);
    }));
    Panics(receiver)
}

impl Panics {
    /// Returns after the first panic. May be dropped and called again.
    pub async fn any(&mut self) {
        if self.0.wait_for(|panicked| *panicked).await.is_err() {
            // The hook was replaced: nothing more will be told.
            std::future::pending::<()>().await;
        }
    }

    /// Whether there was one.
    pub fn happened(&self) -> bool {
        *self.0.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_task_that_nobody_awaits_is_told() {
        let mut panics = watch();
        drop(tokio::spawn(async { panic!("as this test wants") }));
        panics.any().await;
        assert!(panics.happened());
    }
}
