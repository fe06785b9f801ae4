//! RSA public keys, as OpenSSH and PEM write them.
//!
//! **Invariants.** A key has 2048 bits at least and 16384 at most, as AWS asks of SSH public keys.
//!
//! **Must not know:** whose a key is.

use md5::{Digest, Md5};
use pkcs1::UintRef;
use spki::{
    AlgorithmIdentifierRef, SubjectPublicKeyInfoRef,
    der::{
        Decode, Encode, EncodePem, SecretDocument,
        asn1::{AnyRef, BitStringRef},
        pem::LineEnding,
    },
};
use ssh_key::{
    Mpint, PublicKey,
    public::{KeyData, RsaPublicKey as SshRsaPublicKey},
};

/// AWS: "The minimum bit-length of the public key is 2048 bits."
const BITS_MIN: usize = 2048;
/// The most that OpenSSH takes.
const BITS_MAX: usize = 16_384;
/// The first word of a key in OpenSSH's form.
const SSH_RSA: &str = "ssh-rsa";

/// Why a text is no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyError {
    /// It is in no form that is known.
    Unrecognized,
    /// It is malformed, no RSA key, or too short or too long.
    Invalid,
}

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RsaPublicKey(PublicKey);

impl RsaPublicKey {
    /// Reads a key that OpenSSH wrote (`ssh-rsa …`), or a PEM block (`PUBLIC KEY` or
    /// `RSA PUBLIC KEY`).
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = if text.split_whitespace().next() == Some(SSH_RSA) {
            PublicKey::from_openssh(text).map_err(|_| KeyError::Invalid)?
        } else if text.starts_with("-----BEGIN ") {
            of_pem(text).ok_or(KeyError::Invalid)?
        } else {
            return Err(KeyError::Unrecognized);
        };
        let key = Self(key);
        let bits = key.bits().ok_or(KeyError::Invalid)?;
        if (BITS_MIN..=BITS_MAX).contains(&bits) { Ok(key) } else { Err(KeyError::Invalid) }
    }

    fn parts(&self) -> Option<(&[u8], &[u8])> {
        let SshRsaPublicKey { e, n } = self.0.key_data().rsa()?;
        Some((n.as_positive_bytes()?, e.as_positive_bytes()?))
    }

    fn bits(&self) -> Option<usize> {
        let (modulus, _) = self.parts()?;
        let first = modulus.first()?;
        Some(modulus.len() * 8 - first.leading_zeros() as usize)
    }

    /// The key in OpenSSH's form, with its comment if it has one.
    pub(crate) fn to_openssh(&self) -> Option<String> {
        self.0.to_openssh().ok()
    }

    /// The key as a PEM block `PUBLIC KEY`.
    pub(crate) fn to_pem(&self) -> Option<String> {
        let (modulus, public_exponent) = self.parts()?;
        let key = pkcs1::RsaPublicKey {
            modulus: UintRef::new(modulus).ok()?,
            public_exponent: UintRef::new(public_exponent).ok()?,
        };
        let key = key.to_der().ok()?;
        let info = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef {
                oid: pkcs1::ALGORITHM_OID,
                parameters: Some(AnyRef::NULL),
            },
            subject_public_key: BitStringRef::from_bytes(&key).ok()?,
        };
        info.to_pem(LineEnding::LF).ok()
    }

    /// The MD5 of the key as SSH sends it: sixteen pairs of hexadecimal digits. AWS shows it so
    /// that people can compare, as `ssh-keygen -l -E md5` has it; nothing rests on it.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let digest = Md5::digest(self.0.to_bytes().ok()?);
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(pairs.join(":"))
    }
}

fn of_pem(text: &str) -> Option<PublicKey> {
    let (label, document) = SecretDocument::from_pem(text).ok()?;
    let key = match label {
        "PUBLIC KEY" => {
            let info = SubjectPublicKeyInfoRef::from_der(document.as_bytes()).ok()?;
            if info.algorithm.oid != pkcs1::ALGORITHM_OID {
                return None;
            }
            info.subject_public_key.as_bytes()?
        }
        "RSA PUBLIC KEY" => document.as_bytes(),
        _ => return None,
    };
    let key = pkcs1::RsaPublicKey::from_der(key).ok()?;
    let number = |bytes: &[u8]| Mpint::from_positive_bytes(bytes).ok();
    let data = SshRsaPublicKey {
        e: number(key.public_exponent.as_bytes())?,
        n: number(key.modulus.as_bytes())?,
    };
    Some(PublicKey::new(KeyData::Rsa(data), ""))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const SSH: &str = include_str!("../testdata/ssh-1.pub");
    const PEM: &str = include_str!("../testdata/ssh-1.pem");
    const PKCS1: &str = include_str!("../testdata/ssh-1.pkcs1.pem");

    #[test]
    fn a_key_is_the_same_in_each_form() {
        let [ssh, pem, pkcs1] = [SSH, PEM, PKCS1].map(|text| RsaPublicKey::parse(text).unwrap());
        assert_eq!(ssh.to_openssh().unwrap(), SSH.trim());
        assert_eq!(ssh.to_pem().unwrap(), PEM);
        assert_eq!(pem, pkcs1);
        assert_eq!(pem.to_openssh().unwrap(), SSH.trim().strip_suffix(" bob@example.com").unwrap());
        // As `ssh-keygen -l -E md5` says.
        let fingerprint = include_str!("../testdata/ssh-1.md5").trim();
        assert_eq!(ssh.fingerprint().unwrap(), fingerprint);
        assert_eq!(pem.fingerprint(), ssh.fingerprint());
    }

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&format!("{:?}", RsaPublicKey::parse(text).map(|_| ())));
    }

    #[test]
    fn what_is_no_rsa_key_of_2048_bits_is_refused() {
        let private = PEM.replace("PUBLIC", "PRIVATE");
        check(include_str!("../testdata/ssh-1024.pub"), expect!["Err(Invalid)"]);
        check(include_str!("../testdata/ssh-ed25519.pub"), expect!["Err(Unrecognized)"]);
        check(SSH.split_at(60).0, expect!["Err(Invalid)"]);
        check("ssh-rsa", expect!["Err(Invalid)"]);
        check(PEM.split_at(90).0, expect!["Err(Invalid)"]);
        check(&private, expect!["Err(Invalid)"]);
        check("-----BEGIN", expect!["Err(Unrecognized)"]);
        check("", expect!["Err(Unrecognized)"]);
        check("aaaa", expect!["Err(Unrecognized)"]);
    }
}
