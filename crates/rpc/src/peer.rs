//! Who is at the other end, by its certificate.
//!
//! **Invariants.** A fingerprint is taken only from a certificate that the TLS handshake verified:
//! the chain leads to the cluster's CA and the peer holds the private key. It is over the public
//! key, so a certificate that is renewed for the same key keeps it.
//!
//! **Must not know:** which fingerprint is which node; the caller looks that up in the roster.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tonic::{Request, Status};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// Hex SHA-256 of a certificate's subject public key info, as roster entries hold it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of a certificate (DER); `None` if it is none.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self(sha256_hex(certificate.tbs_certificate.subject_pki.raw)))
    }

    /// As text: 64 lower-case hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The fingerprint of the client certificate that a call came with; `None` without one.
pub fn fingerprint<T>(request: &Request<T>) -> Option<Fingerprint> {
    let certificates = request.peer_certs()?;
    Fingerprint::of_certificate(certificates.first()?)
}

/// The node that makes a call, found by `lookup` from its certificate.
///
/// # Errors
/// `UNAUTHENTICATED` without a certificate or with one that `lookup` does not know.
pub fn identify<T, N>(
    request: &Request<T>,
    lookup: impl FnOnce(&Fingerprint) -> Option<N>,
) -> Result<N, Status> {
    let Some(fingerprint) = fingerprint(request) else {
        return Err(Status::unauthenticated("this call needs a node's certificate"));
    };
    lookup(&fingerprint)
        .ok_or_else(|| Status::unauthenticated("the certificate is of no node in the roster"))
}

/// Lower-case hex of the SHA-256 of `bytes`.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes any text");
        hex
    })
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData as _;

    use super::*;

    #[test]
    fn a_fingerprint_is_of_the_key_and_not_of_the_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = |name: &str| {
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            Fingerprint::of_certificate(params.self_signed(&key).unwrap().der()).unwrap()
        };
        assert_eq!(certificate("a"), certificate("b"));
        assert_eq!(certificate("a").as_str(), sha256_hex(&key.subject_public_key_info()));
    }

    #[test]
    fn bytes_that_are_no_certificate_have_none() {
        for bytes in [&b""[..], b"x", &[0x30, 0x82, 0xff, 0xff], &[0xff; 64]] {
            assert_eq!(Fingerprint::of_certificate(bytes), None);
        }
    }

    #[test]
    fn a_call_without_a_certificate_is_unauthenticated() {
        let refused = identify(&Request::new(()), |_| Some(1)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    }
}
