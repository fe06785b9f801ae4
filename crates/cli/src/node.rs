//! Calls as a node, with the certificate in its data directory.
//!
//! Whoever can read a node's key is the node's operator: this is how the first account comes to be,
//! when there is no access key to sign with.
//!
//! **Must not know:** what is called.

use std::path::Path;

use model::Secret;
use rpc::client::{self, Identity, ServerName, Target, Trust};
use tonic::transport::Channel;

use crate::exit::Error;

/// Connects to `endpoint` (`host:port`) as the node whose directory this is.
pub(crate) async fn connect(directory: &Path, endpoint: &str) -> Result<Channel, Error> {
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read_to_string(&path)
            .map_err(|error| Error::Usage(format!("cannot read `{}`: {error}", path.display())))
    };
    let target = Target {
        address: endpoint.trim_start_matches("https://").to_owned(),
        trust: Trust::Ca(read("ca.pem")?),
        name: ServerName::AnyNode,
        identity: Some(Identity {
            chain_pem: read("node.pem")?,
            key_pem: Secret::new(read("node.key")?),
        }),
    };
    client::connect(&target).await.map_err(|error| Error::Unreachable(error.to_string()))
}
