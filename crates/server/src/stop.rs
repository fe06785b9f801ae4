//! Telling tasks to stop.
//!
//! **Invariants.** Once told, always told; who is gone without a word has told as well.
//!
//! **Must not know:** who listens.

use tokio::sync::watch;

/// Tells all holders of its [`Stop`]s to stop, at the latest when it is dropped.
pub struct Stopper(watch::Sender<bool>);

/// Learns that it is time to stop.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and its first listener.
pub fn pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Tells everybody.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it is time to stop. May be dropped and called again.
    pub async fn stopped(&mut self) {
        // An error means that the stopper is gone: that is time to stop as well.
        let _told = self.0.wait_for(|stop| *stop).await.map(|_| ());
    }
}
