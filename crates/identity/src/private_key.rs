//! Private keys, as PEM writes them, and what belongs to them in public.
//!
//! **Invariants.** A key is neither kept nor shown here.
//!
//! **Must not know:** whose a key is, how it is sealed.

use model::Secret;
use pkcs1::RsaPrivateKey;
use sec1::EcPrivateKey;
use spki::der::{Decode, Encode, SecretDocument};

/// The bits of the public key that a certificate of a private key has. `None` if the text is no
/// unencrypted RSA or elliptic-curve key in PEM (`RSA PRIVATE KEY`, `EC PRIVATE KEY` or
/// `PRIVATE KEY`), or an elliptic-curve key without its public half.
pub(crate) fn public_bits(text: &Secret<String>) -> Option<Vec<u8>> {
    let (label, document) = SecretDocument::from_pem(text.expose().trim()).ok()?;
    match label {
        "RSA PRIVATE KEY" => of_rsa(document.as_bytes()),
        "EC PRIVATE KEY" => of_curve(document.as_bytes()),
        "PRIVATE KEY" => {
            let info = pkcs8::PrivateKeyInfo::from_der(document.as_bytes()).ok()?;
            if info.algorithm.oid == pkcs1::ALGORITHM_OID {
                of_rsa(info.private_key)
            } else if info.algorithm.oid == sec1::ALGORITHM_OID {
                of_curve(info.private_key)
            } else {
                None
            }
        }
        _ => None,
    }
}

fn of_rsa(der: &[u8]) -> Option<Vec<u8>> {
    RsaPrivateKey::from_der(der).ok()?.public_key().to_der().ok()
}

fn of_curve(der: &[u8]) -> Option<Vec<u8>> {
    EcPrivateKey::from_der(der).ok()?.public_key.map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;

    fn bits(text: &str) -> Option<Vec<u8>> {
        public_bits(&Secret::new(text.to_owned()))
    }

    #[test]
    fn a_key_belongs_to_its_certificate_in_each_form() {
        let rsa = Certificate::parse(include_str!("../testdata/certificate-1.pem")).unwrap();
        let curve = Certificate::parse(include_str!("../testdata/certificate-3.pem")).unwrap();
        for key in [
            include_str!("../testdata/certificate-1.key"),
            include_str!("../testdata/certificate-1.pkcs1.key"),
        ] {
            assert_eq!(bits(key).as_deref(), Some(rsa.public_bits()));
        }
        for key in [
            include_str!("../testdata/certificate-3.key"),
            include_str!("../testdata/certificate-3.sec1.key"),
        ] {
            assert_eq!(bits(key).as_deref(), Some(curve.public_bits()));
        }
    }

    #[test]
    fn what_is_no_key_has_no_public_half() {
        let public = include_str!("../testdata/ssh-1.pem");
        let certificate = include_str!("../testdata/certificate-1.pem");
        let encrypted = include_str!("../testdata/certificate-1.encrypted.key");
        let renamed = public.replace("PUBLIC", "PRIVATE");
        for bad in ["", "-----BEGIN PRIVATE KEY-----", public, certificate, encrypted, &renamed] {
            assert_eq!(bits(bad), None, "{bad}");
        }
    }
}
