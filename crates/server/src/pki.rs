//! The cluster's certificate authority, nodes' certificates, and what the key-encryption key seals.
//!
//! **Invariants.** A node's certificate says what the authority decided: of a signing request only
//! the public key is used, once its signature proved that the requester holds the private key.
//! Sealed things are bound to what they are and to their cluster: a data key does not open as the
//! authority's key, nor as another data key. Private keys show in no `Debug` and no error.
//!
//! **Must not know:** where sealed things are kept, who may ask for a certificate.

use aes_gcm_siv::{
    Aes256GcmSiv, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use model::{Secret, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SerialNumber,
};
use rpc::{
    peer::Fingerprint,
    tls::{self, Identity},
};
use thiserror::Error;
use wire::v1;
use zeroize::Zeroizing;

use crate::random;

/// The longest signing request that is read, in bytes.
pub const CERTIFICATE_REQUEST_BYTES_MAX: usize = 4096;

/// How long certificates are good for. A node that must go is removed from the roster, which is
/// asked at every call; an expiry that nobody renews would only stop a healthy cluster.
const VALID_YEARS: u64 = 20;
const YEAR_SECS: u64 = 366 * 86_400;
/// Certificates are good from a day before they are made: the nodes' clocks may differ.
const BACKDATED_SECS: u64 = 86_400;
const NONCE_BYTES: usize = 12;

/// Keys, certificates or sealed bytes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The text of a key-encryption key.
    #[error("a key-encryption key is 32 bytes as 64 hex digits or as base64")]
    KeyEncryptionKey,
    /// Sealed with another key, for another thing, or damaged.
    #[error("the {what} does not open with this key-encryption key")]
    Sealed {
        /// What was to be opened.
        what: &'static str,
    },
    /// A certificate or key that does not parse, or a failure to make one.
    #[error("the {what} cannot be used: {why}")]
    Certificate {
        /// Which.
        what: &'static str,
        /// The library's reason; it knows no private key.
        why: String,
    },
    /// A signing request that must not be signed.
    #[error("the certificate request is refused: {why}")]
    Request {
        /// Why.
        why: String,
    },
}

fn unusable(what: &'static str) -> impl Fn(rcgen::Error) -> Error {
    move |error| Error::Certificate { what, why: error.to_string() }
}

/// The key-encryption key: every writer is given it at start, no replica is.
#[derive(Clone, Debug)]
pub struct KeyEncryptionKey(Secret<[u8; 32]>);

impl KeyEncryptionKey {
    /// From 32 bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// From a file's text: 64 hex digits or base64, with white space around it.
    ///
    /// # Errors
    /// When it is neither, or not of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let bytes = if text.len() == 64 { unhex(text) } else { BASE64.decode(text).ok() };
        let bytes = Zeroizing::new(bytes.ok_or(Error::KeyEncryptionKey)?);
        bytes.as_slice().try_into().map(Self::new).map_err(|_| Error::KeyEncryptionKey)
    }

    /// Seals a cluster's data key for the control plane's log.
    pub fn seal_data_key(&self, cluster_id: &str, id: u32, key: &Secret<[u8; 32]>) -> v1::DataKey {
        let aad = data_key_aad(cluster_id, id);
        let (nonce, sealed_key) = self.seal(aad.as_bytes(), key.expose());
        v1::DataKey { id, nonce, sealed_key }
    }

    /// Opens a data key.
    ///
    /// # Errors
    /// When it was sealed under another key, for another cluster or id, or is damaged.
    pub fn open_data_key(
        &self,
        cluster_id: &str,
        sealed: &v1::DataKey,
    ) -> Result<Secret<[u8; 32]>, Error> {
        let refused = Error::Sealed { what: "data key" };
        let aad = data_key_aad(cluster_id, sealed.id);
        let opened = self.open(aad.as_bytes(), &sealed.nonce, &sealed.sealed_key);
        let opened = opened.ok_or_else(|| refused.clone())?;
        opened.expose().as_slice().try_into().map(Secret::new).map_err(|_| refused)
    }

    /// Seals the authority's key for the control plane's log.
    pub fn seal_authority(&self, cluster_id: &str, authority: &Authority) -> v1::Sealed {
        let aad = authority_aad(cluster_id);
        let key = authority.private_key();
        let (nonce, ciphertext) = self.seal(aad.as_bytes(), key.expose());
        // No data key seals it: 0 is none's id.
        v1::Sealed { data_key: 0, nonce, ciphertext }
    }

    /// Opens the authority of a cluster from its certificate (DER) and its sealed key.
    ///
    /// # Errors
    /// When the key does not open, or the certificate does not parse.
    pub fn open_authority(
        &self,
        cluster_id: &str,
        certificate: &[u8],
        sealed: &v1::Sealed,
    ) -> Result<Authority, Error> {
        let aad = authority_aad(cluster_id);
        let key = self.open(aad.as_bytes(), &sealed.nonce, &sealed.ciphertext);
        let key = key.ok_or(Error::Sealed { what: "certificate authority's key" })?;
        Authority::from_parts(certificate, &key)
    }

    fn seal(&self, aad: &[u8], plaintext: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let nonce: [u8; NONCE_BYTES] = random::bytes();
        let payload = Payload { msg: plaintext, aad };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload);
        (nonce.to_vec(), sealed.expect("a key is far below AES-GCM-SIV's limit of 64 GiB"))
    }

    fn open(&self, aad: &[u8], nonce: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let nonce: &[u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let payload = Payload { msg: sealed, aad };
        self.cipher().decrypt(Nonce::from_slice(nonce), payload).ok().map(Secret::new)
    }

    fn cipher(&self) -> Aes256GcmSiv {
        Aes256GcmSiv::new(self.0.expose().into())
    }
}

fn data_key_aad(cluster_id: &str, id: u32) -> String {
    format!("writ data key {id} of {cluster_id}")
}

fn authority_aad(cluster_id: &str) -> String {
    format!("writ certificate authority of {cluster_id}")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// The cluster's certificate authority.
#[derive(Debug)]
pub struct Authority {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority of a new cluster.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn create(cluster_id: &str, now: Timestamp) -> Result<Self, Error> {
        let wrong = unusable("new certificate authority");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(&wrong)?;
        let mut params = params(&format!("writ {cluster_id}"), now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let private_key = Secret::new(key.serialize_der());
        let certificate = CertifiedIssuer::self_signed(params, key).map_err(&wrong)?.der().to_vec();
        Self::from_parts(&certificate, &private_key)
    }

    fn from_parts(certificate: &[u8], private_key: &Secret<Vec<u8>>) -> Result<Self, Error> {
        let wrong = unusable("certificate authority");
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &private_key.expose().as_slice().into(),
            &PKCS_ECDSA_P256_SHA256,
        );
        let issuer = Issuer::from_ca_cert_der(&certificate.into(), key.map_err(&wrong)?);
        Ok(Self { certificate: certificate.to_vec(), issuer: issuer.map_err(&wrong)? })
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn private_key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.issuer.key().serialize_der())
    }

    /// Signs a node's certificate (DER) for the public key of a request (PKCS #10, DER). Names and
    /// uses that the request asks for are not looked at.
    ///
    /// # Errors
    /// When the request does not parse, is over [`CERTIFICATE_REQUEST_BYTES_MAX`], is not signed
    /// with its own key, or its key is not of P-256.
    pub fn sign(
        &self,
        request: &[u8],
        node: u32,
        cluster_id: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        if request.len() > CERTIFICATE_REQUEST_BYTES_MAX {
            let why = format!("it is longer than {CERTIFICATE_REQUEST_BYTES_MAX} bytes");
            return Err(Error::Request { why });
        }
        let request = CertificateSigningRequestParams::from_der(&request.into())
            .map_err(|error| Error::Request { why: error.to_string() })?;
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(Error::Request { why: "its key is not of P-256".to_owned() });
        }
        let own_name = tls::node_name(node, cluster_id);
        let wrong = unusable("node's new certificate");
        let names = [own_name.as_str(), tls::ANY_NODE, "localhost"].map(str::to_owned);
        let named = CertificateParams::new(names).map_err(&wrong)?;
        let mut params = params(&own_name, now);
        params.subject_alt_names = named.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(&request.public_key, &self.issuer).map_err(&wrong)?;
        Ok(signed.der().to_vec())
    }
}

/// What all certificates have: a name, a random serial number, a time.
fn params(common_name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    let mut serial: [u8; 16] = random::bytes();
    // RFC 5280, section 4.1.2.2: positive.
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let at = |secs| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(secs);
    // Later times do not fit a certificate's date; no clock that shows them is right.
    let now_secs = now.secs().min(200 * YEAR_SECS);
    params.not_before = at(now_secs.saturating_sub(BACKDATED_SECS));
    params.not_after = at(now_secs + VALID_YEARS * YEAR_SECS);
    params
}

/// A node's private key. Made on the node; it never leaves it.
#[derive(Debug)]
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn create() -> Result<Self, Error> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map(Self).map_err(unusable("new node's key"))
    }

    /// From PEM, as [`NodeKey::to_pem`] gave it.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn from_pem(pem: &Secret<String>) -> Result<Self, Error> {
        KeyPair::from_pkcs8_pem_and_sign_algo(pem.expose(), &PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(unusable("node's key"))
    }

    /// As PEM, to keep it in a file that only the node's user reads.
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(self.0.serialize_pem())
    }

    /// A signing request for it: PKCS #10, DER.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn request(&self) -> Result<Vec<u8>, Error> {
        let request = CertificateParams::default().serialize_request(&self.0);
        Ok(request.map_err(unusable("certificate request"))?.der().to_vec())
    }

    /// What the node shows: its certificate and the authority's (DER), with this key.
    pub fn identity(&self, certificate: &[u8], authority: &[u8]) -> Identity {
        Identity { chain_pem: to_pem(certificate) + &to_pem(authority), key_pem: self.to_pem() }
    }
}

/// A certificate (DER) as PEM (RFC 7468).
pub fn to_pem(certificate: &[u8]) -> String {
    let text = BASE64.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        pem = pem + line + "\n";
        rest = after;
    }
    if !rest.is_empty() {
        pem = pem + rest + "\n";
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// The fingerprint of a certificate (DER), as the roster holds it.
///
/// # Errors
/// When it is no certificate.
pub fn fingerprint(certificate: &[u8]) -> Result<Fingerprint, Error> {
    let why = || "it is not a DER certificate".to_owned();
    Fingerprint::of_certificate(certificate)
        .ok_or_else(|| Error::Certificate { what: "certificate", why: why() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_secs(1_790_000_000)
    }

    fn kek(byte: u8) -> KeyEncryptionKey {
        KeyEncryptionKey::new([byte; 32])
    }

    #[test]
    fn a_key_encryption_key_is_32_bytes_of_hex_or_base64() {
        let (hex, base64) = ("0a".repeat(32), BASE64.encode([10; 32]));
        for text in [hex.clone(), format!(" {}\n", hex.to_uppercase()), base64] {
            assert_eq!(KeyEncryptionKey::parse(&text).unwrap().0, Secret::new([10; 32]), "{text}");
        }
        let short = BASE64.encode([10; 31]);
        for text in ["", "0a", "zz".repeat(32).as_str(), &"0a".repeat(33), &short] {
            assert_eq!(KeyEncryptionKey::parse(text).unwrap_err(), Error::KeyEncryptionKey);
        }
    }

    #[test]
    fn a_data_key_opens_only_as_what_it_is() {
        let key = Secret::new([7; 32]);
        let sealed = kek(1).seal_data_key("c1", 3, &key);
        assert_eq!(kek(1).open_data_key("c1", &sealed), Ok(key));
        let refused = Err(Error::Sealed { what: "data key" });
        assert_eq!(kek(2).open_data_key("c1", &sealed), refused);
        assert_eq!(kek(1).open_data_key("c2", &sealed), refused);
        let other_id = v1::DataKey { id: 4, ..sealed.clone() };
        assert_eq!(kek(1).open_data_key("c1", &other_id), refused);
        let short = v1::DataKey { nonce: vec![0; 11], ..sealed.clone() };
        assert_eq!(kek(1).open_data_key("c1", &short), refused);
        for at in 0..sealed.sealed_key.len() {
            let mut damaged = sealed.clone();
            damaged.sealed_key[at] ^= 1;
            assert_eq!(kek(1).open_data_key("c1", &damaged), refused);
        }
    }

    #[test]
    fn the_authority_opens_from_what_the_log_holds_and_signs_as_before() {
        let authority = Authority::create("c1", now()).unwrap();
        let sealed = kek(1).seal_authority("c1", &authority);
        let open = |kek: KeyEncryptionKey, cluster| {
            kek.open_authority(cluster, authority.certificate(), &sealed)
        };
        let refused = Error::Sealed { what: "certificate authority's key" };
        assert_eq!(open(kek(2), "c1").unwrap_err(), refused);
        assert_eq!(open(kek(1), "c2").unwrap_err(), refused);
        let opened = open(kek(1), "c1").unwrap();
        assert_eq!(opened.private_key(), authority.private_key());
        let node = NodeKey::create().unwrap();
        let certificate = opened.sign(&node.request().unwrap(), 2, "c1", now()).unwrap();
        let spki = fingerprint(&certificate).unwrap();
        let again = authority.sign(&node.request().unwrap(), 3, "c1", now()).unwrap();
        assert_eq!(fingerprint(&again).unwrap(), spki, "the key's, whatever the certificate says");
        assert_ne!(again, certificate);
    }

    #[test]
    fn names_and_uses_that_a_request_asks_for_are_not_granted() {
        let authority = Authority::create("c1", now()).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut greedy = CertificateParams::new(["node-1.c1.writ".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let request = greedy.serialize_request(&key).unwrap();
        let certificate = authority.sign(request.der(), 9, "c1", now()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let names: Vec<String> =
            names.value.general_names.iter().map(ToString::to_string).collect();
        let own = "DNSName(node-9.c1.writ)".to_owned();
        assert_eq!(names, [own, "DNSName(writ)".to_owned(), "DNSName(localhost)".to_owned()]);
        assert!(!certificate.is_ca());
        let uses = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(uses.client_auth && uses.server_auth && !uses.any);
        assert!(certificate.validity.not_before.timestamp() < 1_790_000_000);
    }

    #[test]
    fn requests_that_prove_nothing_are_refused() {
        let authority = Authority::create("c1", now()).unwrap();
        let sign = |request: &[u8]| authority.sign(request, 2, "c1", now());
        let request = NodeKey::create().unwrap().request().unwrap();
        assert!(sign(&request).is_ok());
        let mut unsigned = request.clone();
        *unsigned.last_mut().unwrap() ^= 1;
        let other_curve = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let other_curve = CertificateParams::default().serialize_request(&other_curve).unwrap();
        let long = vec![0x30; CERTIFICATE_REQUEST_BYTES_MAX + 1];
        for bytes in [&b""[..], &request[..request.len() - 1], &unsigned, other_curve.der(), &long]
        {
            assert!(matches!(sign(bytes), Err(Error::Request { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn an_identity_serves_tls() {
        let authority = Authority::create("c1", now()).unwrap();
        let key = NodeKey::create().unwrap();
        let kept = NodeKey::from_pem(&key.to_pem()).unwrap();
        let certificate = authority.sign(&key.request().unwrap(), 1, "c1", now()).unwrap();
        let identity = kept.identity(&certificate, authority.certificate());
        assert!(tls::server(&identity, &to_pem(authority.certificate())).is_ok());
        let other = NodeKey::create().unwrap().identity(&certificate, authority.certificate());
        assert!(tls::server(&other, &to_pem(authority.certificate())).is_err());
    }
}
