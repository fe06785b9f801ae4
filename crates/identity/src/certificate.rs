//! X.509 certificates, as PEM writes them.
//!
//! **Invariants.** What is parsed is one certificate, and nothing around it.
//!
//! **Must not know:** whose a certificate is, who trusts it.

use model::Timestamp;
use sha2::{Digest, Sha256};
use x509_cert::der::{Decode, DecodePem, Encode};

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Reads a PEM block `CERTIFICATE`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        x509_cert::Certificate::from_pem(text.trim()).ok().map(Self)
    }

    /// Reads DER.
    pub(crate) fn parse_der(bytes: &[u8]) -> Option<Self> {
        x509_cert::Certificate::from_der(bytes).ok().map(Self)
    }

    /// Reads PEM blocks `CERTIFICATE`, one at least.
    pub(crate) fn parse_chain(text: &str) -> Option<Vec<Self>> {
        // The library does not expect nothing.
        let text = Some(text.trim()).filter(|text| !text.is_empty())?;
        let chain = x509_cert::Certificate::load_pem_chain(text.as_bytes()).ok()?;
        (!chain.is_empty()).then(|| chain.into_iter().map(Self).collect())
    }

    /// Whether another names itself as this one names its issuer. Signatures are not checked.
    pub(crate) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.0.tbs_certificate.issuer == issuer.0.tbs_certificate.subject
    }

    /// The bits of its public key.
    pub(crate) fn public_bits(&self) -> &[u8] {
        self.0.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }

    /// The SHA-256 of the certificate.
    pub(crate) fn fingerprint(&self) -> Option<Vec<u8>> {
        Some(Sha256::digest(self.0.to_der().ok()?).to_vec())
    }

    /// The last moment at which it is valid.
    pub(crate) fn expires(&self) -> Timestamp {
        moment(self.0.tbs_certificate.validity.not_after)
    }

    /// Whether it is valid at a time.
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        let begins = moment(self.0.tbs_certificate.validity.not_before);
        begins <= now && now <= self.expires()
    }
}

fn moment(time: x509_cert::time::Time) -> Timestamp {
    Timestamp::from_secs(time.to_unix_duration().as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = include_str!("../testdata/certificate-1.pem");
    const PAST: &str = include_str!("../testdata/certificate-past.pem");

    #[test]
    fn a_certificate_is_valid_between_two_moments() {
        let one = Certificate::parse(ONE).unwrap();
        let begins = Timestamp::parse_iso8601("2020-01-01T00:00:00Z").unwrap();
        let ends = Timestamp::parse_iso8601("2120-01-01T00:00:00Z").unwrap();
        assert_eq!(one.expires(), ends);
        for (at, valid) in [
            (Timestamp::from_ms(begins.ms() - 1), false),
            (begins, true),
            (ends, true),
            (ends.plus_ms(1), false),
        ] {
            assert_eq!(one.is_valid_at(at), valid, "{at}");
        }
        let past = Certificate::parse(PAST).unwrap();
        assert_ne!(past.fingerprint(), one.fingerprint());
    }

    #[test]
    fn a_chain_goes_from_issuer_to_issuer() {
        let issued = Certificate::parse(include_str!("../testdata/issued.pem")).unwrap();
        let chain = Certificate::parse_chain(include_str!("../testdata/issued.chain.pem")).unwrap();
        let [issuer, root] = chain.as_slice() else { panic!("two certificates") };
        assert!(issued.is_issued_by(issuer) && issuer.is_issued_by(root));
        assert!(root.is_issued_by(root) && !issued.is_issued_by(root));
        for bad in ["", "none", include_str!("../testdata/ssh-1.pem")] {
            assert_eq!(Certificate::parse_chain(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let key = include_str!("../testdata/ssh-1.pem");
        let renamed = key.replace("PUBLIC KEY", "CERTIFICATE");
        let cut = ONE.replacen("MI", "MJ", 1);
        for bad in ["", "-----BEGIN CERTIFICATE-----", key, &renamed, &cut, &format!("{ONE}{PAST}")]
        {
            assert_eq!(Certificate::parse(bad), None, "{bad}");
        }
        assert!(Certificate::parse(&format!("\n{ONE}\n")).is_some());
    }
}
