//! Documents of an identity provider's host, over HTTPS.
//!
//! **Invariants.** A request goes to the host and port that its URL names, at an address that was
//! looked at when it was connected to: without leave, only to a public one. The host's certificate
//! is checked. Nothing is redirected; answers are bounded in bytes and time.
//!
//! **Must not know:** what a document says, whose host it is.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use identity::oidc_provider::Thumbprint;
use ring::digest;
use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The longest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;
/// How long one may take, from the look-up of the host's name on.
const FETCH_WITHIN: Duration = Duration::from_secs(5);
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Certificates of a host that are looked at.
const CERTIFICATES_MAX: usize = 8;

/// Why there is no document.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("it took longer than {FETCH_WITHIN:?}")]
    Late,
    #[error("the host's name cannot be looked up: {0}")]
    Lookup(io::Error),
    #[error("the host has no public address, and `web_identity.private_addresses` is not set")]
    NoPublicAddress,
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the URL is none that can be asked")]
    Url,
    #[error("HTTP failed: {0}")]
    Http(hyper::Error),
    #[error("the host answers with status {0}")]
    Status(StatusCode),
    #[error("the document is longer than {DOCUMENT_BYTES_MAX} bytes, or ends early")]
    Document,
}

/// Why nothing can be fetched at all.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The file of certificates that hosts must be vouched for by.
    #[error("cannot read the certificates of `web_identity.ca_file`: {0}")]
    CaFile(String),
    /// The system's certificates.
    #[error("the system's certificates cannot be used: {0}")]
    System(String),
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    Public,
    Any,
}

/// Where something is: `https://HOST[:PORT]PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpsUrl {
    host: String,
    port: u16,
    path: String,
}

impl HttpsUrl {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        let plain = uri.scheme_str() == Some("https") && !authority.as_str().contains('@');
        plain.then(|| Self {
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(443),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// Whether both are at one host and port.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

/// A document, and the certificates of the host that it came from.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) certificates: Vec<Thumbprint>,
}

/// Fetches documents.
pub(super) struct Fetcher {
    tls: TlsConnector,
    addresses: Addresses,
}

impl Fetcher {
    /// Trusts hosts that the certificates in a file vouch for, or else the system's.
    pub(super) fn new(ca_file: Option<&Path>, addresses: Addresses) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| TrustError::CaFile(error.to_string());
                let all = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
                for certificate in all {
                    let certificate = certificate.map_err(|error| wrong(&error))?;
                    roots.add(certificate).map_err(|error| wrong(&error))?;
                }
                if roots.is_empty() {
                    return Err(wrong(&"there are none"));
                }
            }
            // A machine may have none: no host is trusted then.
            None => {
                let loaded = rustls_native_certs::load_native_certs();
                let (added, ignored) = roots.add_parsable_certificates(loaded.certs);
                tracing::debug!(added, ignored, "read the system's certificates");
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError::System(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), addresses })
    }

    /// The document at a URL.
    pub(super) async fn get(&self, url: &HttpsUrl) -> Result<Document, FetchError> {
        timeout(FETCH_WITHIN, self.fetch(url)).await.map_err(|_| FetchError::Late)?
    }

    async fn fetch(&self, url: &HttpsUrl) -> Result<Document, FetchError> {
        let stream = self.connect(url).await?;
        let sent = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificates = vouching(sent, &url.host).filter_map(thumbprint).collect();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(FetchError::Http)?;
        let authority = match url.port {
            443 => url.host.clone(),
            port => format!("{}:{port}", url.host),
        };
        let request = Request::get(&url.path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "writ")
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Url)?;
        // Whichever ends first: the connection is driven as long as the answer is read.
        let answer = async {
            let response = sender.send_request(request).await.map_err(FetchError::Http)?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status()));
            }
            let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await;
            Ok(body.map_err(|_| FetchError::Document)?.to_bytes())
        };
        tokio::pin!(answer);
        let bytes = tokio::select! {
            bytes = &mut answer => bytes?,
            ended = connection => {
                ended.map_err(FetchError::Http)?;
                answer.await?
            }
        };
        Ok(Document { bytes, certificates })
    }

    async fn connect(&self, url: &HttpsUrl) -> Result<TlsStream<TcpStream>, FetchError> {
        let name = ServerName::try_from(url.host.clone()).map_err(|_| FetchError::Url)?;
        let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
        let found = found.map_err(FetchError::Lookup)?;
        let may = |address: &SocketAddr| match self.addresses {
            Addresses::Any => true,
            Addresses::Public => is_public(address.ip()),
        };
        let mut last = FetchError::NoPublicAddress;
        for address in found.filter(may).take(ADDRESSES_MAX) {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = FetchError::Connect(error);
                    continue;
                }
            };
            match self.tls.connect(name.clone(), stream).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = FetchError::Connect(error),
            }
        }
        Err(last)
    }
}

/// Of the certificates that a host sent its own, and those that its own can be traced back to: it
/// may send any others, for they are public.
fn vouching<'a>(
    sent: &'a [CertificateDer<'a>],
    host: &str,
) -> impl Iterator<Item = &'a CertificateDer<'a>> {
    let name = ServerName::try_from(host.to_owned()).ok();
    let vouches = move |certificate: &CertificateDer<'_>| {
        let (own, others) = sent.split_first()?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone().into_owned()).ok()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().ok()?;
        verifier.verify_server_cert(own, others, name.as_ref()?, &[], UnixTime::now()).ok()
    };
    let counts = move |(at, one): &(usize, &CertificateDer<'_>)| *at == 0 || vouches(one).is_some();
    sent.iter()
        .take(CERTIFICATES_MAX)
        .enumerate()
        .filter(counts)
        .map(|(_, certificate)| certificate)
}

/// AWS: a thumbprint is the SHA-1 of a certificate.
fn thumbprint(certificate: &CertificateDer<'_>) -> Option<Thumbprint> {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().ok()
}

/// Whether an address is anybody's on the internet: none of a private network, of this machine or
/// of special use (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(address) = address.to_ipv4_mapped() {
        return is_public_v4(address);
    }
    // Global unicast, but for documentation and what has an IPv4 address inside (Teredo, 6to4).
    match address.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002 | 0x3fff, ..] => false,
        [first, ..] => first >> 13 == 1,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_that_a_host_sends_counts_if_its_own_leads_to_it() {
        let params = || {
            let mut params = CertificateParams::new(["idp.example.com".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let key = || KeyPair::generate().unwrap();
        let ca = CertifiedIssuer::self_signed(params(), key()).unwrap();
        let other = CertifiedIssuer::self_signed(params(), key()).unwrap();
        let leaf = CertificateParams::new(["idp.example.com".to_owned()]).unwrap();
        let own = leaf.signed_by(&key(), &ca).unwrap();
        let sent = [own.der().clone(), ca.der().clone(), other.der().clone()];
        let count = |host| vouching(&sent, host).map(|one| sent.iter().position(|s| s == one));
        assert_eq!(count("idp.example.com").collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert_eq!(count("other.example.com").collect::<Vec<_>>(), [Some(0)]);
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for (public, addresses) in [
            (true, ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]),
            (false, ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"]),
            (false, ["0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"]),
            (false, ["::1", "::", "fe80::1", "fd00::1", "ff02::1"]),
            (
                false,
                ["::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "2001::1", "2001:db8::"],
            ),
        ] {
            for address in addresses {
                assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
            }
        }
    }

    #[test]
    fn a_url_is_httpss_and_of_a_host() {
        let url = |text| HttpsUrl::parse(text);
        let idp = url("https://idp.example.com/a").unwrap();
        assert_eq!(
            (idp.host.as_str(), idp.port, idp.path.as_str()),
            ("idp.example.com", 443, "/a")
        );
        assert!(idp.is_beside(&url("https://IDP.example.com:443/keys?v=1").unwrap()));
        assert!(!idp.is_beside(&url("https://idp.example.com:8443/a").unwrap()));
        assert!(!idp.is_beside(&url("https://idp.example.com.evil.example/a").unwrap()));
        for none in ["http://a/", "https://u@a/", "https:///a", "a", "/a", "file:///a", "ftp://a"] {
            assert_eq!(url(none), None, "{none}");
        }
    }
}
