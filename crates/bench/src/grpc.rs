//! Signed gRPC calls to one node.
//!
//! **Must not know:** what is measured.

use rpc::{
    client::{ServerName, Target, Trust, connect},
    sigv4::{Signed, Signer},
    v1::{authorization_client::AuthorizationClient, propagation_client::PropagationClient},
};
use tonic::transport::Channel;
use wire::v1::{
    BatchCheckRequest, CheckRequest, Verdict, WaitRequest, wait_event::Event, wait_outcome,
};

use crate::{cluster::Key, error::Error};

/// How long a node may take to get to a token's state.
const WAIT_MS: u32 = 30_000;

/// One connection to one node.
#[derive(Clone)]
pub(crate) struct Grpc {
    authorization: AuthorizationClient<Signed<Channel>>,
    propagation: PropagationClient<Signed<Channel>>,
}

impl Grpc {
    /// Connects to `host:port`.
    pub(crate) async fn connect(address: &str, ca_pem: &str, key: &Key) -> Result<Self, Error> {
        let target = Target {
            address: address.to_owned(),
            trust: Trust::Ca(ca_pem.to_owned()),
            name: ServerName::AnyNode,
            identity: None,
        };
        let signer = Signer {
            access_key_id: key.id.clone(),
            secret_access_key: key.secret.clone(),
            session_token: None,
            region: "us-east-1".to_owned(),
            authority: address.to_owned(),
        };
        let channel = Signed::new(connect(&target).await?, signer);
        Ok(Self {
            authorization: AuthorizationClient::new(channel.clone()),
            propagation: PropagationClient::new(channel),
        })
    }

    /// One check, which must allow.
    pub(crate) async fn check(&mut self, check: CheckRequest) -> Result<(), Error> {
        let reply = self.authorization.check(check).await?.into_inner();
        allowed(reply.verdict())
    }

    /// Many checks in one call, which must all allow.
    pub(crate) async fn checks(&mut self, checks: Vec<CheckRequest>) -> Result<(), Error> {
        let reply = self.authorization.batch_check(BatchCheckRequest { checks }).await?;
        reply.into_inner().replies.iter().try_for_each(|reply| allowed(reply.verdict()))
    }

    /// Waits until the node has applied what the token names. The verdict does not matter.
    pub(crate) async fn reach(&mut self, principal: &str, token: String) -> Result<(), Error> {
        let check = CheckRequest {
            principal: principal.to_owned(),
            action: "iam:GetUser".to_owned(),
            resource: "*".to_owned(),
            context: Vec::new(),
            consistency_token: token,
            wait_ms: WAIT_MS,
            explain: false,
            verdict_only: false,
        };
        self.authorization.check(check).await?;
        Ok(())
    }

    /// Waits until the token's state is visible at all nodes.
    pub(crate) async fn wait(&mut self, token: String) -> Result<(), Error> {
        let request = WaitRequest {
            consistency_token: token,
            scope: "all".to_owned(),
            stage: 0,
            timeout_ms: WAIT_MS,
        };
        let mut events = self.propagation.wait_for_propagation(request).await?.into_inner();
        while let Some(event) = events.message().await? {
            match event.event {
                Some(Event::Outcome(outcome)) => {
                    if outcome.result() == wait_outcome::Result::Propagated {
                        return Ok(());
                    }
                    return Err(Error::NotPropagated(format!("{outcome:?}")));
                }
                Some(Event::Progress(_)) | None => {}
            }
        }
        Err(Error::NotPropagated("the stream ended".to_owned()))
    }
}

fn allowed(verdict: Verdict) -> Result<(), Error> {
    match verdict {
        Verdict::Allow => Ok(()),
        Verdict::Unspecified | Verdict::ExplicitDeny | Verdict::ImplicitDeny => {
            Err(Error::WronglyDenied)
        }
    }
}
