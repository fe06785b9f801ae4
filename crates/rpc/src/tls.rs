//! How connections are set up: certificates, names, keep-alive, windows.
//!
//! Every node's certificate carries three names: its own ([`node_name`]), [`ANY_NODE`] for clients
//! that know only an address and the cluster's CA, and `localhost`.
//!
//! **Invariants.** A server shows its certificate and the CA's, so that a client that knows only
//! the CA's hash can verify it. A client certificate is optional on the one port, but one that is
//! shown must be the CA's. Names prove that a server belongs to the cluster or is a certain node;
//! addresses prove nothing.
//!
//! **Must not know:** how certificates are made.

use std::{fmt, sync::Arc, time::Duration};

use model::Secret;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName as TlsName, UnixTime},
};
use tonic::transport::{
    Certificate, Endpoint, Error, Identity as TonicIdentity, Server, ServerTlsConfig,
};

use crate::peer::sha256_hex;

/// The name that every node's certificate carries.
pub const ANY_NODE: &str = "writ";

/// A connection that is idle for this long is probed.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A probe that is unanswered for this long closes the connection.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// The name of one node in its certificate.
pub fn node_name(node: u32, cluster_id: &str) -> String {
    format!("node-{node}.{cluster_id}.writ")
}

/// Hex SHA-256 of a certificate (DER): how people and join tokens name a cluster's CA.
pub fn certificate_hash(der: &[u8]) -> String {
    sha256_hex(der)
}

/// A certificate with its private key.
#[derive(Clone)]
pub struct Identity {
    /// PEM: the certificate, then the CA's.
    pub chain_pem: String,
    /// PEM, PKCS #8.
    pub key_pem: Secret<String>,
}

impl Identity {
    fn to_tonic(&self) -> TonicIdentity {
        TonicIdentity::from_pem(&self.chain_pem, self.key_pem.expose())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// A server's builder with Writ's TLS and transport settings.
///
/// `TCP_NODELAY` is the listener's: tonic applies the builder's only where it binds itself.
///
/// # Errors
/// When the certificates or the key do not parse or do not belong together.
pub fn server(identity: &Identity, ca_pem: &str) -> Result<Server, Error> {
    let tls = ServerTlsConfig::new()
        .identity(identity.to_tonic())
        .client_ca_root(Certificate::from_pem(ca_pem))
        .client_auth_optional(true)
        .timeout(HANDSHAKE_TIMEOUT);
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .tls_config(tls)
}

/// What a client knows of the cluster's CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The certificate, PEM.
    Ca(String),
    /// Its [`certificate_hash`], lower case: what a joining node is told. The server shows the
    /// certificate itself.
    CaHash(String),
}

/// Whom a client expects at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// Any node of the cluster.
    AnyNode,
    /// This node.
    Node {
        /// Its id.
        node: u32,
        /// The cluster's id.
        cluster_id: String,
    },
}

impl ServerName {
    fn text(&self) -> String {
        match self {
            Self::AnyNode => ANY_NODE.to_owned(),
            Self::Node { node, cluster_id } => node_name(*node, cluster_id),
        }
    }
}

/// An endpoint with Writ's TLS and transport settings.
///
/// # Errors
/// When the address, the trust or the identity do not parse.
pub(crate) fn endpoint(
    endpoint: Endpoint,
    trust: &Trust,
    name: &ServerName,
    identity: Option<&Identity>,
) -> Result<Endpoint, Error> {
    let mut tls = tonic::transport::ClientTlsConfig::new()
        .domain_name(name.text())
        .timeout(HANDSHAKE_TIMEOUT);
    if let Some(identity) = identity {
        tls = tls.identity(identity.to_tonic());
    }
    let endpoint = endpoint
        .connect_timeout(HANDSHAKE_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    match trust {
        Trust::Ca(pem) => endpoint.tls_config(tls.ca_certificate(Certificate::from_pem(pem))),
        Trust::CaHash(hash) => {
            let verifier = HashVerifier { ca_hash: hash.clone(), provider: provider() };
            endpoint.tls_config_with_verifier(tls, Arc::new(verifier))
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()))
}

/// Verifies a server against the CA in its own chain, if that CA has the hash the client was told.
#[derive(Debug)]
struct HashVerifier {
    ca_hash: String,
    provider: Arc<CryptoProvider>,
}

impl HashVerifier {
    fn for_chain(
        &self,
        chain: &[CertificateDer<'_>],
    ) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
        let ca = chain
            .iter()
            .find(|certificate| certificate_hash(certificate) == self.ca_hash)
            .ok_or(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| TlsError::General(error.to_string()))
    }
}

impl ServerCertVerifier for HashVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &TlsName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.for_chain(intermediates)?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
