//! `Join`: a node that has a one-time token becomes a member.
//!
//! **Invariants.** A signing request is checked before the token is spent. A token admits one
//! node, of the role it was made for; that is the control plane's to decide.
//!
//! **Must not know:** what the node does next.

use std::sync::Arc;

use rpc::v1::join_server::Join;
use tonic::{Request, Response, Status};
use wire::v1::{self, control_command::Command};

use super::{
    cluster::{TOKEN_PREFIX, command_status, token_hash},
    counted, stopping,
};
use crate::{
    app::App,
    clock, control,
    pki::{self, Authority},
};

/// The service.
pub struct Joins {
    app: Arc<App>,
}

impl Joins {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn admit(&self, request: v1::JoinRequest) -> Result<v1::JoinReply, Status> {
        let (role, now) = (request.role(), clock::wall());
        let v1::JoinRequest {
            token,
            region,
            grpc_address,
            aws_address,
            certificate_request,
            role: _,
        } = request;
        let secret = token.strip_prefix(TOKEN_PREFIX).unwrap_or(&token);
        let secret = secret.split('.').next().unwrap_or_default();
        let authority = self.authority()?;
        let cluster_id = &self.app.home.cluster_id;
        // Signed for no node yet: it tells whether the request is good, and the key's fingerprint.
        let trial = authority.sign(&certificate_request, 0, cluster_id, now);
        let fingerprint = trial.and_then(|certificate| pki::fingerprint(&certificate));
        let fingerprint =
            fingerprint.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let entry = v1::RosterEntry {
            role: role.into(),
            region,
            grpc_address,
            aws_address,
            certificate: fingerprint.as_str().to_owned(),
            ..v1::RosterEntry::default()
        };
        let add =
            v1::AddNode { token_hash: token_hash(secret), entry: Some(entry), now_ms: now.ms() };
        let added = control::propose(&self.app.control, Command::AddNode(add)).await;
        let added = added.map_err(|error| command_status(&error))?;
        let added = added.ok_or_else(|| Status::internal("the cluster gave the node no number"))?;
        let certificate = authority.sign(&certificate_request, added.node, cluster_id, now);
        let certificate = certificate.map_err(|error| Status::internal(error.to_string()))?;
        tracing::info!(node = added.node, region = added.region, "a node joins");
        let roster = self.app.core.peek(|node| {
            let present = node.control().present();
            present.map(node::RosterEntry::to_message).collect()
        });
        Ok(v1::JoinReply {
            cluster_id: cluster_id.clone(),
            node: added.node,
            certificate,
            ca_certificate: authority.certificate().to_vec(),
            roster: roster.map_err(stopping)?,
        })
    }

    fn authority(&self) -> Result<Authority, Status> {
        let kek = self.app.kek.as_ref();
        let kek =
            kek.ok_or_else(|| Status::failed_precondition("replicas admit nobody: ask a writer"))?;
        let (certificate, key) = self
            .app
            .core
            .peek(|node| {
                let control = node.control();
                (control.ca_certificate().to_vec(), control.ca_key().cloned())
            })
            .map_err(stopping)?;
        let key = key.ok_or_else(|| Status::unavailable("this node has no cluster state yet"))?;
        let opened = kek.open_authority(&self.app.home.cluster_id, &certificate, &key);
        opened.map_err(|error| {
            tracing::error!(%error, "cannot open the certificate authority");
            Status::internal("this node cannot open the cluster's certificate authority")
        })
    }
}

#[tonic::async_trait]
impl Join for Joins {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::JoinReply>, Status> {
        counted(&self.app, "Join", self.admit(request.into_inner())).await
    }
}
