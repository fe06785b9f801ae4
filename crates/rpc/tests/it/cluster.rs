//! A cluster's certificates, and a server of the `Reads` service that says who called.

use std::{net::SocketAddr, sync::Arc};

use model::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rpc::{
    peer,
    sigv4::VerifyLayer,
    tls::{self, Identity},
    v1::reads_server::{Reads, ReadsServer},
};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use wire::v1::{QueryReply, QueryRequest};

use crate::sigv4::{OneKey, caller};

/// A certificate authority of a test cluster.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn hash(&self) -> String {
        tls::certificate_hash(self.0.der())
    }

    /// A certificate with these names.
    pub(crate) fn identity(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain_pem: certificate.pem() + &self.pem(),
            key_pem: Secret::new(key.serialize_pem()),
        }
    }
}

/// Answers with the caller's certificate's fingerprint, and as its token with who signed the call.
struct WhoCalls;

#[tonic::async_trait]
impl Reads for WhoCalls {
    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<QueryReply>, Status> {
        let xml = peer::fingerprint(&request)
            .map(|fingerprint| fingerprint.as_str().as_bytes().to_vec())
            .unwrap_or_default();
        let consistency_token = caller(&request);
        Ok(Response::new(QueryReply { status: 200, xml, consistency_token }))
    }
}

/// A running server; it stops when [`Running::stop`] is awaited.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(identity: &Identity, ca_pem: &str) -> Self {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let incoming = incoming.with_nodelay(Some(true));
        let address = incoming.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tls::server(identity, ca_pem).unwrap();
        let mut server = server.layer(VerifyLayer::new(Arc::new(OneKey)));
        let router = server.add_service(ReadsServer::new(WhoCalls));
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            router.serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
        });
        Self { address, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
    }
}
