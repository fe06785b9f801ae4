//! `writ recover`: what only a removed node had, written down for people to review.
//!
//! **Invariants.** Nothing is sent to the cluster and nothing in the directory changes what it
//! says. Sealed secrets and hashes of passwords are not shown. A member's directory is refused:
//! what it has goes to the others once it runs.
//!
//! **Must not know:** how anything of it is done again: people do, with calls.

use std::path::{Path, PathBuf};

use clap::Args;
use crdt::{Dot, VersionVector, advance, covers, lag};
use identity::{Identity, conflict::Review};
use serde_json::{Value, json};
use store::Store;
use thiserror::Error;
use wire::{
    repair::decode_mend,
    snapshot::decode_join,
    transaction::{self, DecodeError, Transaction},
};

use crate::{
    bootstrap::store_identity,
    home::{self, Home, HomeError},
    server::{ServerError, replay},
};

/// Of what is written.
const FORMAT: u32 = 1;

/// `writ recover`.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// The data directory of the node that was removed; no process may be using it.
    data_dir: PathBuf,
    /// Write to this file, readable by its owner only, instead of to the standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Whom to ask what the cluster has.
    #[command(flatten)]
    common: cli::Common,
}

/// Why nothing was written down.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The directory's files, or the file that is written.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The directory is none of a node.
    #[error("`{0}` is no node's data directory")]
    Nothing(PathBuf),
    /// The cluster did not say what it has.
    #[error(transparent)]
    Cluster(#[from] cli::Error),
    /// The directory is another cluster's.
    #[error("the directory is of cluster `{found}`, and `{asked}` was asked")]
    OtherCluster {
        /// The directory's.
        found: String,
        /// The one that answered.
        asked: String,
    },
    /// The node was not removed.
    #[error("node {0} is a member: start it, and what it has goes to the others")]
    Member(u32),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The log.
    #[error(transparent)]
    Replay(#[from] ServerError),
    /// A record of the log.
    #[error("a record of the log is damaged: {0}")]
    Record(#[from] DecodeError),
}

/// Writes down what the cluster lacks of what a removed node had; the text for the standard
/// output.
///
/// # Errors
/// When the directory cannot be read, or the cluster does not say what it has.
pub async fn run(
    arguments: &Arguments,
    environment: &cli::Environment,
) -> Result<String, RecoverError> {
    let Arguments { data_dir, output, common } = arguments;
    let home = Home::load(data_dir)?.ok_or_else(|| RecoverError::Nothing(data_dir.clone()))?;
    let cli::Known { cluster_id, removed, durable } = cli::known(common, environment).await?;
    if cluster_id != home.cluster_id {
        let (found, asked) = (home.cluster_id, cluster_id);
        return Err(RecoverError::OtherCluster { found, asked });
    }
    if !removed.contains(&home.node) {
        return Err(RecoverError::Member(home.node));
    }
    let mut known = VersionVector::new();
    for vector in &durable {
        let vector = transaction::decode_vector(vector);
        vector.iter().for_each(|dot| advance(&mut known, Dot::new(*dot.actor, dot.counter)));
    }
    let bundle = format!("{:#}\n", bundle(&home, data_dir, &known)?);
    let Some(output) = output else { return Ok(bundle) };
    let (directory, name) = (output.parent(), output.file_name());
    let directory = directory.filter(|parent| !parent.as_os_str().is_empty());
    let name = name.unwrap_or_default().to_string_lossy();
    home::write(directory.unwrap_or(Path::new(".")), &name, bundle.as_bytes())?;
    Ok(String::new())
}

fn bundle(home: &Home, data_dir: &Path, known: &VersionVector) -> Result<Value, RecoverError> {
    let store = Store::open_expecting(&home::store_dir(data_dir), &store_identity(home))?;
    // For the names of what was written to.
    let node = replay(home, &store)?;
    let mut records = Vec::new();
    store.replay(|_, bytes| records.push(bytes))?;
    let mut lacking = Vec::new();
    // Records of what was taken over from peers are no transactions.
    let taken = |bytes: &[u8]| decode_join(bytes).is_some() || decode_mend(bytes).is_some();
    for bytes in records.iter().filter(|bytes| !taken(bytes)) {
        let transaction = transaction::decode(bytes)?;
        if !covers(known, &transaction.dot) {
            lacking.push(shown(node.identity(), &transaction));
        }
    }
    let gone = lag(node.vector(), known).saturating_sub(lacking.len() as u64);
    Ok(json!({
        "format": FORMAT,
        "cluster_id": home.cluster_id,
        "node": home.node,
        "cluster_has": dots(known),
        "transactions": lacking,
        // They have left the log; what they did is in the state alone.
        "transactions_gone": gone,
    }))
}

fn dots(vector: &VersionVector) -> Value {
    vector.iter().map(|dot| (dot.actor.0.to_string(), json!(dot.counter))).collect()
}

fn shown(identity: &Identity, transaction: &Transaction) -> Value {
    let Review { author, author_arn, credential, at, action, writes } =
        identity.review(transaction);
    let writes = writes.into_iter().map(|write| {
        let identity::conflict::ReviewedWrite { entity, field, value, document } = write;
        json!({
            "entity": entity.noun,
            "id": entity.id.to_string(),
            "name": entity.name,
            "arn": entity.arn,
            "field": field,
            "value": value,
            "document": document,
        })
    });
    json!({
        "node": transaction.dot.actor.0,
        "seq": transaction.dot.counter,
        "at": at.to_string(),
        "request_id": transaction.meta.request_id,
        "action": action,
        "author": author.to_string(),
        "author_arn": author_arn,
        "credential": credential,
        "had_seen": dots(&transaction.deps),
        "writes": writes.collect::<Vec<_>>(),
    })
}
