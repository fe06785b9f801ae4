//! When access keys were last used: noticed where a signature is checked, written down by a task.
//!
//! **Invariants.** Who signs a request does not wait for it, and is answered whatever becomes of
//! it: uses are dropped while `WAITING_MAX` wait. What is noted already is not noted again before
//! it is due, so that reads do not become writes.
//!
//! **Must not know:** how uses are kept, whom keys belong to.

use std::sync::Arc;

use identity::{
    Caller, Command, Principal, RequestContext,
    key_use::{NoteKeyUse, is_due},
};
use model::{AccountId, Credential};
use tokio::sync::mpsc;

use crate::{
    app::App,
    clock,
    core::{Execute, Stopping},
    random,
    stop::Stop,
};

/// How many uses wait to be written down.
const WAITING_MAX: usize = 256;

/// A use of a key.
#[derive(Debug)]
pub struct KeyUse {
    /// The key's account.
    pub account: AccountId,
    /// What it was used for.
    pub used: NoteKeyUse,
}

/// Takes uses.
#[derive(Clone, Debug)]
pub struct KeyUses(mpsc::Sender<KeyUse>);

/// Uses that were taken.
#[derive(Debug)]
pub struct Waiting(mpsc::Receiver<KeyUse>);

/// Both ends.
pub fn pair() -> (KeyUses, Waiting) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (KeyUses(sender), Waiting(receiver))
}

impl KeyUses {
    /// A key was used, of which that should be written down.
    pub fn saw(&self, used: KeyUse) {
        // The next use of the key is taken as well as this one.
        let _full_or_stopping = self.0.try_send(used);
    }
}

/// Writes uses down until told to stop.
pub async fn note(app: Arc<App>, waiting: Waiting, mut stop: Stop) {
    tokio::select! {
        () = stop.stopped() => {}
        Err(Stopping) = note_all(&app, waiting) => stop.stopped().await,
    }
}

async fn note_all(app: &App, Waiting(mut waiting): Waiting) -> Result<(), Stopping> {
    while let Some(KeyUse { account, used }) = waiting.recv().await {
        let (key, now) = (used.key, clock::wall());
        if !app.core.peek(|node| is_due(node.identity(), account, key, now))? {
            continue;
        }
        let execute = Execute {
            caller: Caller {
                account,
                principal: Principal::Root,
                credential: Credential::Node(app.home.node),
                session: None,
            },
            request: RequestContext::default(),
            request_id: random::uuid(),
            command: Command::NoteKeyUse(used),
        };
        if let Err(refusal) = app.core.execute(execute).await? {
            tracing::debug!(%refusal, "a key's use is not noted");
        }
    }
    Err(Stopping)
}
