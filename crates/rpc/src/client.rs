//! Opens connections to nodes.
//!
//! **Invariants.** Nothing is sent to a server that is not verified, by the cluster's CA and by
//! name.
//!
//! **Must not know:** which node to ask, when to ask again.

use thiserror::Error;
use tonic::transport::{Channel, Endpoint};

pub use crate::tls::{Identity, ServerName, Trust};

/// A connection that could not be set up.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Not `host:port`.
    #[error("`{address}` is no address: host:port is expected")]
    Address {
        /// What was given.
        address: String,
    },
    /// The CA's certificate, its hash or the client's identity cannot be used.
    #[error("the certificates for `{address}` cannot be used: {source}")]
    Certificates {
        /// The address.
        address: String,
        /// What is wrong with them.
        source: tonic::transport::Error,
    },
    /// Nobody there, or somebody else.
    #[error("cannot connect to `{address}`: {}", causes(source))]
    Connect {
        /// The address.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// Whom to connect to, and how to know it.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// How the server is verified.
    pub trust: Trust,
    /// Whom the server must prove to be.
    pub name: ServerName,
    /// The client certificate to show; nodes have one.
    pub identity: Option<Identity>,
}

/// Connects and verifies the server.
///
/// # Errors
/// When it cannot be reached or is not who it should be.
pub async fn connect(target: &Target) -> Result<Channel, ConnectError> {
    let connected = endpoint(target)?.connect().await;
    connected.map_err(|source| ConnectError::Connect { address: target.address.clone(), source })
}

/// A channel that connects when it is first used, and again after its connection broke. Must be
/// called in a tokio runtime.
///
/// # Errors
/// When the target's parts do not parse.
pub fn connect_lazy(target: &Target) -> Result<Channel, ConnectError> {
    Ok(endpoint(target)?.connect_lazy())
}

fn endpoint(target: &Target) -> Result<Endpoint, ConnectError> {
    let Target { address, trust, name, identity } = target;
    let wrong = || ConnectError::Address { address: address.clone() };
    // Only an authority: a path or user info would be signed differently than it is sent.
    let authority: tonic::codegen::http::uri::Authority = address.parse().map_err(|_| wrong())?;
    if authority.port_u16().is_none() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(|_| wrong())?;
    crate::tls::endpoint(endpoint, trust, name, identity.as_ref())
        .map_err(|source| ConnectError::Certificates { address: address.clone(), source })
}

/// An error's causes in one line: tonic's own text is only "transport error".
fn causes(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for address in ["", "host", "host:", "host:x", "a@host:1", "host:1/path", "https://host:1"]
        {
            let target = Target {
                address: address.to_owned(),
                trust: Trust::CaHash(String::new()),
                name: ServerName::AnyNode,
                identity: None,
            };
            let refused = endpoint(&target).map(drop);
            assert!(matches!(refused, Err(ConnectError::Address { .. })), "{address}: {refused:?}");
        }
    }
}
