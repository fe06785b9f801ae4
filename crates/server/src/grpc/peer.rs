//! `Peer`: what a replica asks of a writer.
//!
//! **Invariants.** Only members are answered. A signing key is derived for the current day only,
//! so that a replica's memory is worth a day; of a session, the claims leave without their
//! secret.
//!
//! **Must not know:** who signed what.

use std::sync::Arc;

use aws_api::sigv4::{Scope, SigningKey};
use identity::SessionError;
use model::Secret;
use node::{Node, NodeState};
use rpc::{peer, v1::peer_server::Peer};
use tonic::{Request, Response, Status};
use wire::{Message as _, v1};

use super::{counted, stopping, too_long};
use crate::{
    app::App,
    auth::{REGION_BYTES_MAX, is_near},
    clock,
};

/// The service.
pub struct Peers {
    app: Arc<App>,
}

impl Peers {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Whoever has a certificate of this cluster's CA may ask: it learns only of itself.
    fn standing(
        &self,
        request: &Request<v1::StandingRequest>,
    ) -> Result<v1::StandingReply, Status> {
        let fingerprint = peer::fingerprint(request);
        let fingerprint = fingerprint
            .ok_or_else(|| Status::unauthenticated("this call needs a node's certificate"))?;
        let removed = self.app.core.peek(|node| {
            // A node that is itself cut off from the others is not to be believed.
            node.serves() && node.control().is_removed(fingerprint.as_str())
        });
        Ok(v1::StandingReply { removed: removed.map_err(stopping)? })
    }

    async fn derive(
        &self,
        request: &Request<v1::DeriveSigningKeyRequest>,
    ) -> Result<v1::DeriveSigningKeyReply, Status> {
        let no_member = || Status::unauthenticated("this call needs a node's certificate");
        let fingerprint = peer::fingerprint(request).ok_or_else(no_member)?;
        let member = self.app.member(&fingerprint).map_err(stopping)?;
        member.filter(|entry| entry.state != NodeState::Removed).ok_or_else(no_member)?;
        let request = request.get_ref();
        if !is_near(&request.date, clock::wall()) {
            return Err(Status::invalid_argument("signing keys are derived for the current day"));
        }
        if request.region.len() > REGION_BYTES_MAX {
            return Err(Status::invalid_argument(too_long("region", REGION_BYTES_MAX)));
        }
        let service = request.service.as_str();
        let known = aws_api::sigv4::API_SERVICES.iter().chain(aws_api::sigv4::RPC_SERVICES);
        if !known.into_iter().any(|known| *known == service) {
            return Err(Status::invalid_argument("no such service"));
        }
        if !self.app.serves().map_err(stopping)? {
            return Err(Status::unavailable("this node does not serve at the moment"));
        }
        let read = self.app.core.read(|node| derive(node, request)).await;
        read.map(|(reply, _token)| reply).map_err(stopping)
    }
}

fn derive(node: &Node, request: &v1::DeriveSigningKeyRequest) -> v1::DeriveSigningKeyReply {
    let scope = Scope { region: &request.region, service: &request.service };
    let reply = |secret: &Secret<String>, session: Vec<u8>| {
        let key = SigningKey::derive(secret, &request.date, scope);
        let signing_key = Some(key.bytes().expose().to_vec());
        v1::DeriveSigningKeyReply { signing_key, session }
    };
    let (identity, keys, key_id) = (node.identity(), node.keys(), request.access_key_id.as_str());
    if request.session_token.is_empty() {
        return match identity::authenticate_key(identity, keys, key_id) {
            Some((_, secret)) => reply(&secret, Vec::new()),
            None => v1::DeriveSigningKeyReply::default(),
        };
    }
    match session(node, request) {
        Ok((secret, mut claims)) => {
            claims.secret_access_key = Vec::new();
            reply(&secret, claims.encode_to_vec())
        }
        Err(_) => v1::DeriveSigningKeyReply::default(),
    }
}

fn session(
    node: &Node,
    request: &v1::DeriveSigningKeyRequest,
) -> Result<(Secret<String>, v1::SessionClaims), SessionError> {
    let (token, key_id) = (request.session_token.as_str(), request.access_key_id.as_str());
    let now = clock::wall();
    let (_, secret) = identity::open_session(node.identity(), node.keys(), token, key_id, now)?;
    Ok((secret, identity::open_claims(node.keys(), token, key_id, now)?))
}

#[tonic::async_trait]
impl Peer for Peers {
    async fn derive_signing_key(
        &self,
        request: Request<v1::DeriveSigningKeyRequest>,
    ) -> Result<Response<v1::DeriveSigningKeyReply>, Status> {
        counted(&self.app, "DeriveSigningKey", self.derive(&request)).await
    }

    async fn standing(
        &self,
        request: Request<v1::StandingRequest>,
    ) -> Result<Response<v1::StandingReply>, Status> {
        counted(&self.app, "Standing", async { self.standing(&request) }).await
    }
}
