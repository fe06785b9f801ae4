//! Connections to the cluster's nodes, with signed calls.
//!
//! **Invariants.** A node is verified by the context's CA before anything is sent. A node that
//! cannot be reached is passed over for the next; one that answers is not asked behind its back
//! again.
//!
//! **Must not know:** what is called.

use std::time::Duration;

use rpc::{
    client::{ServerName, Target, Trust, connect},
    sigv4::{Signed, Signer},
};
use tonic::{Request, transport::Channel};

use crate::{
    Common, Environment,
    context::{Context, ContextNode},
    credentials::Credentials,
    exit::Error,
};

/// How long a call may take that does not wait for anything.
pub const CALL_WITHIN: Duration = Duration::from_secs(15);

/// A connection whose calls are signed.
pub(crate) type Connection = Signed<Channel>;

/// Which nodes a command would rather ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefer {
    /// Who accepts writes; replicas are not asked at all.
    Writers,
    /// Who serves checks from memory; writers if there is none.
    Replicas,
}

/// The context and the credentials of this run.
pub(crate) struct Session {
    context: Context,
    credentials: Credentials,
    region: String,
}

impl Session {
    pub(crate) fn new(environment: &Environment) -> Result<Self, Error> {
        let context = Context::load(environment)?;
        let credentials = Credentials::find(environment, &context)?;
        let region = ["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| environment.get(name));
        let region = region.into_iter().flatten().next().unwrap_or("us-east-1").to_owned();
        Ok(Self { context, credentials, region })
    }

    /// The addresses to ask, in order.
    pub(crate) fn addresses(&self, common: &Common, prefer: Prefer) -> Vec<String> {
        match &common.endpoint {
            Some(endpoint) => vec![endpoint.trim_start_matches("https://").to_owned()],
            None => order(&self.context.nodes, prefer),
        }
    }

    /// Connects to the first node that can be reached.
    pub(crate) async fn connect_any(
        &self,
        common: &Common,
        prefer: Prefer,
    ) -> Result<Connection, Error> {
        let mut failures = Vec::new();
        for address in self.addresses(common, prefer) {
            match self.connect(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failures.push(error.to_string()),
            }
        }
        Err(Error::Unreachable(failures.join("; ")))
    }

    /// Connects to one node.
    pub(crate) async fn connect(&self, address: &str) -> Result<Connection, Error> {
        let target = Target {
            address: address.to_owned(),
            trust: Trust::Ca(self.context.ca_pem.clone()),
            name: ServerName::AnyNode,
            identity: None,
        };
        let channel =
            connect(&target).await.map_err(|error| Error::Unreachable(error.to_string()))?;
        let Credentials { access_key_id, secret_access_key, session_token } =
            self.credentials.clone();
        let authority = address.to_owned();
        let region = self.region.clone();
        let signer = Signer { access_key_id, secret_access_key, session_token, region, authority };
        Ok(Signed::new(channel, signer))
    }
}

fn order(nodes: &[ContextNode], prefer: Prefer) -> Vec<String> {
    let (replicas, writers): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.is_replica());
    let nodes = match prefer {
        Prefer::Writers => writers,
        Prefer::Replicas => [replicas, writers].concat(),
    };
    nodes.into_iter().map(|node| node.grpc.clone()).collect()
}

/// A request that gives up after [`CALL_WITHIN`].
pub(crate) fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_WITHIN);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_go_to_replicas_first_and_the_rest_to_writers_only() {
        let node = |id: u32, role: &str| ContextNode {
            id,
            role: role.to_owned(),
            region: String::new(),
            grpc: format!("h:{id}"),
        };
        let nodes = [node(1, "writer"), node(2, "replica"), node(3, "writer")];
        assert_eq!(order(&nodes, Prefer::Replicas), ["h:2", "h:1", "h:3"]);
        assert_eq!(order(&nodes, Prefer::Writers), ["h:1", "h:3"]);
    }
}
