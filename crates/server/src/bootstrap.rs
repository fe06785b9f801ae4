//! How a node comes to be: by starting a cluster, by joining one, or by having been there before.
//!
//! **Invariants.** A directory that is a node's stays that node's, whatever flags say: `--init` and
//! `--join` are for empty directories. A joining node believes nobody before it has seen the CA
//! that its token names. Private keys are made here and never leave.
//!
//! **Must not know:** how a running node works.

use std::{path::Path, time::Duration};

use model::Secret;
use rpc::{
    client::{ServerName, Target, Trust, connect},
    v1::join_client::JoinClient,
};
use store::{Store, StoreIdentity};
use thiserror::Error;
use tonic::Request;
use wire::v1;

use crate::{
    clock,
    config::Config,
    home::{self, Home, HomeError},
    pki::{self, Authority, KeyEncryptionKey, NodeKey},
    random,
};

/// How long a member may take to admit this node.
const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// The first node's number.
const FIRST_NODE: u32 = 1;

/// Why a node does not come to be.
#[derive(Debug, Error)]
pub enum BootstrapError {
    /// The data directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The store in it.
    #[error("the store in the data directory: {}", causes(.0))]
    Store(#[from] store::Error),
    /// Keys and certificates.
    #[error(transparent)]
    Pki(#[from] pki::Error),
    /// The key-encryption key's file.
    #[error("cannot read the key-encryption key from `{0}`: {1}")]
    KekFile(String, std::io::Error),
    /// An empty directory, and nothing said of what it shall be.
    #[error("`{0}` is empty: start a new cluster with `init`, or join one with `join` and a token")]
    Nothing(String),
    /// To join, a token is needed.
    #[error("a join token is needed: `writ token create` makes one; set WRIT_JOIN_TOKEN")]
    NoToken,
    /// The token does not name the CA, and nothing else does.
    #[error("the join token names no CA certificate: set join.ca_fingerprint")]
    NoFingerprint,
    /// No member admitted it.
    #[error("no member admits this node: {0}")]
    NotAdmitted(String),
    /// What a member answered cannot be.
    #[error("the member's answer is malformed: {0}")]
    Answer(String),
}

/// An error's causes in one line.
fn causes(error: &store::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// A node that is ready to run.
pub struct Ready {
    /// Who it is.
    pub home: Home,
    /// Its store, open.
    pub store: Store,
    /// The key-encryption key, at writers.
    pub kek: Option<KeyEncryptionKey>,
    /// For a cluster's first node: what its cluster begins with. The home is to be saved after
    /// that.
    pub init: Option<v1::InitCluster>,
}

/// Refuses a directory that is another node's. Changes nothing.
///
/// # Errors
/// When it is, or cannot be read.
pub fn check(config: &Config) -> Result<(), BootstrapError> {
    if let Some(home) = Home::load(&config.data_dir)? {
        home.check(&config.data_dir, config.node.role, &config.node.region)?;
    }
    Ok(())
}

/// Finds out, or makes, who this node is. Blocks on the disk.
///
/// # Errors
/// When the directory is not this node's, or no cluster wants it.
pub async fn prepare(config: &Config) -> Result<Ready, BootstrapError> {
    let kek = config.kek_file.as_deref().map(read_kek).transpose()?;
    let directory = &config.data_dir;
    home::create_dir(directory)?;
    if let Some(home) = Home::load(directory)? {
        home.check(directory, config.node.role, &config.node.region)?;
        let store = Store::open_expecting(&home::store_dir(directory), &store_identity(&home))?;
        return Ok(Ready { home, store, kek, init: None });
    }
    if !config.join.addresses.is_empty() {
        let home = join(config).await?;
        let store = Store::create(&home::store_dir(directory), store_identity(&home))?;
        home.save(directory)?;
        return Ok(Ready { home, store, kek, init: None });
    }
    match (config.init, kek) {
        (true, Some(kek)) => {
            let (home, init) = init(config, &kek)?;
            let store = Store::create(&home::store_dir(directory), store_identity(&home))?;
            Ok(Ready { home, store, kek: Some(kek), init: Some(init) })
        }
        (true, None) | (false, _) => Err(BootstrapError::Nothing(directory.display().to_string())),
    }
}

pub(crate) fn store_identity(home: &Home) -> StoreIdentity {
    StoreIdentity { cluster_id: home.cluster_id.clone(), node_id: home.node }
}

fn read_kek(path: &Path) -> Result<KeyEncryptionKey, BootstrapError> {
    let unreadable = |error| BootstrapError::KekFile(path.display().to_string(), error);
    let text = Secret::new(std::fs::read_to_string(path).map_err(unreadable)?);
    Ok(KeyEncryptionKey::parse(text.expose())?)
}

/// A new cluster: its id, its CA, its keys and its first node.
fn init(
    config: &Config,
    kek: &KeyEncryptionKey,
) -> Result<(Home, v1::InitCluster), BootstrapError> {
    let now = clock::wall();
    let cluster_id = random::uuid();
    let authority = Authority::create(&cluster_id, now)?;
    let key = NodeKey::create()?;
    let certificate = authority.sign(&key.request()?, FIRST_NODE, &cluster_id, now)?;
    let data_key = kek.seal_data_key(&cluster_id, 1, &Secret::new(random::bytes()));
    let first_node = v1::RosterEntry {
        node: FIRST_NODE,
        role: config.node.role.to_wire().into(),
        state: v1::NodeState::Active.into(),
        region: config.node.region.clone(),
        grpc_address: config.grpc_address(),
        aws_address: config.aws_address(),
        certificate: pki::fingerprint(&certificate)?.as_str().to_owned(),
        ..v1::RosterEntry::default()
    };
    let init = v1::InitCluster {
        cluster_id: cluster_id.clone(),
        key_ring: Some(v1::KeyRing {
            data_keys: vec![data_key],
            token_mac_key: random::bytes::<32>().to_vec(),
            current: 1,
        }),
        ca_certificate: authority.certificate().to_vec(),
        ca_key: Some(kek.seal_authority(&cluster_id, &authority)),
        first_node: Some(first_node.clone()),
    };
    let home = Home {
        cluster_id,
        node: FIRST_NODE,
        role: config.node.role,
        region: config.node.region.clone(),
        identity: key.identity(&certificate, authority.certificate()),
        ca_pem: pki::to_pem(authority.certificate()),
        first_roster: vec![first_node],
    };
    Ok((home, init))
}

/// Asks members, one after the other, to be admitted.
async fn join(config: &Config) -> Result<Home, BootstrapError> {
    let token = config.join.token.as_ref().ok_or(BootstrapError::NoToken)?;
    let ca_hash = ca_hash(token.expose(), config.join.ca_fingerprint.as_deref())?;
    let key = NodeKey::create()?;
    let request = v1::JoinRequest {
        token: token.expose().trim().to_owned(),
        role: config.node.role.to_wire().into(),
        region: config.node.region.clone(),
        grpc_address: config.grpc_address(),
        aws_address: config.aws_address(),
        certificate_request: key.request()?,
    };
    let mut failures = Vec::new();
    for address in &config.join.addresses {
        match ask(address, &ca_hash, &request).await {
            Ok(reply) => return admitted(config, &key, &ca_hash, reply),
            Err(why) => failures.push(format!("{address}: {why}")),
        }
    }
    Err(BootstrapError::NotAdmitted(failures.join("; ")))
}

/// The CA's hash: the token's second part, or as configured.
fn ca_hash(token: &str, configured: Option<&str>) -> Result<String, BootstrapError> {
    let of_token = token.trim().split_once('.').map(|(_, hash)| hash);
    let hash = configured.or(of_token).filter(|hash| !hash.is_empty());
    hash.map(str::to_ascii_lowercase).ok_or(BootstrapError::NoFingerprint)
}

async fn ask(
    address: &str,
    ca_hash: &str,
    message: &v1::JoinRequest,
) -> Result<v1::JoinReply, String> {
    let target = Target {
        address: address.to_owned(),
        trust: Trust::CaHash(ca_hash.to_owned()),
        name: ServerName::AnyNode,
        identity: None,
    };
    let channel = connect(&target).await.map_err(|error| error.to_string())?;
    let mut request = Request::new(message.clone());
    request.set_timeout(JOIN_WITHIN);
    let reply = JoinClient::new(channel).join(request).await;
    reply.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
}

fn admitted(
    config: &Config,
    key: &NodeKey,
    ca_hash: &str,
    reply: v1::JoinReply,
) -> Result<Home, BootstrapError> {
    let v1::JoinReply { cluster_id, node, certificate, ca_certificate, roster } = reply;
    if rpc::tls::certificate_hash(&ca_certificate) != ca_hash {
        return Err(BootstrapError::Answer("the CA certificate is another one".to_owned()));
    }
    pki::fingerprint(&certificate)?;
    Ok(Home {
        cluster_id,
        node,
        role: config.node.role,
        region: config.node.region.clone(),
        identity: key.identity(&certificate, &ca_certificate),
        ca_pem: pki::to_pem(&ca_certificate),
        first_roster: roster,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_names_the_ca_unless_the_configuration_does() {
        assert_eq!(ca_hash("writ-join-x.AB", None).unwrap(), "ab");
        assert_eq!(ca_hash("writ-join-x.ab\n", Some("cd")).unwrap(), "cd");
        assert!(ca_hash("writ-join-x", None).is_err());
        assert!(ca_hash("writ-join-x.", None).is_err());
    }
}
