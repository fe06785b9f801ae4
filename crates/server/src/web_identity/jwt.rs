//! Signed JSON web tokens and the keys that verify them. RFC 7515 (compact form), 7517, 7518, 8037.
//!
//! **Invariants.** A key verifies with algorithms of its own kind alone, and with the one that it
//! names if it names one; `none` and the algorithms of shared secrets are no algorithms here. What
//! a token's header asks for beyond its algorithm and key (`crit`) is refused.
//!
//! **Must not know:** claims, who is trusted, where keys come from.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;

/// Keys of one issuer, at most.
pub(super) const KEYS_MAX: usize = 64;

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    ES256,
    ES384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// Keys that are tried for one token, at most: it should name its key.
const KEYS_TRIED_MAX: usize = 4;
/// The longest modulus of an RSA key, in bytes, and the longest exponent: what is longer costs more
/// than anybody may ask for without a signature.
const RSA_BYTES_MAX: (usize, usize) = (512, 4);

/// A token taken apart. Nothing of it is verified.
pub(super) struct Jwt<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    /// What it says.
    pub(super) payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let Header { alg, kid, crit } = serde_json::from_slice(&decode(header)?).ok()?;
        crit.is_none().then_some(())?;
        Some(Self {
            algorithm: alg,
            key_id: kid,
            payload: decode(payload)?,
            signed,
            signature: decode(signature)?,
        })
    }

    /// Whether one of these is the key that the token names, or could be where it names none.
    pub(super) fn has_key(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.is_for(key))
    }

    /// Whether one of these keys verifies it.
    pub(super) fn is_signed_by(&self, keys: &[Key]) -> bool {
        let mut tried = keys.iter().filter(|key| self.is_for(key)).take(KEYS_TRIED_MAX);
        tried.any(|key| self.verify(key).is_some())
    }

    fn is_for(&self, key: &Key) -> bool {
        let named = self.key_id.is_none() || self.key_id == key.id;
        named && key.algorithm.is_none_or(|algorithm| algorithm == self.algorithm)
    }

    fn verify(&self, key: &Key) -> Option<()> {
        let (message, signature) = (self.signed.as_bytes(), self.signature.as_slice());
        match &key.material {
            Material::Rsa { n, e } => {
                let parameters = match self.algorithm {
                    Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDsa => return None,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).ok()
            }
            Material::P256(point) if self.algorithm == Algorithm::ES256 => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).ok()
            }
            Material::P384(point) if self.algorithm == Algorithm::ES384 => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point);
                key.verify(message, signature).ok()
            }
            Material::Ed25519(point) if self.algorithm == Algorithm::EdDsa => {
                let key = UnparsedPublicKey::new(&signature::ED25519, point);
                key.verify(message, signature).ok()
            }
            Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => None,
        }
    }
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// A key as a set has it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<Algorithm>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads a set of keys. RFC 7517, section 5: keys of kinds that are not known are passed over, and
/// so are those that are not for signatures. `None` if it is no set, or has too many.
pub(super) fn parse_keys(set: &[u8]) -> Option<Vec<Key>> {
    let Set { keys } = serde_json::from_slice(set).ok()?;
    (keys.len() <= KEYS_MAX).then_some(())?;
    Some(keys.into_iter().filter_map(parse_key).collect())
}

fn parse_key(json: serde_json::Value) -> Option<Key> {
    let Jwk { kty, kid, alg, purpose, crv, n, e, x, y } = serde_json::from_value(json).ok()?;
    purpose.is_none_or(|purpose| purpose == "sig").then_some(())?;
    let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    // Leading zeros are no part of a number (RFC 7518, 6.3.1.1), and some put one there.
    let number = |text| {
        let bytes = bytes(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..).map(<[u8]>::to_vec)
    };
    let point = |length: usize, x, y| {
        let (x, y) = (bytes(x)?, bytes(y)?);
        (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
    };
    let material = match (kty.as_str(), crv.as_deref()) {
        ("RSA", _) => {
            let (n, e) = (number(n)?, number(e)?);
            let (modulus_max, exponent_max) = RSA_BYTES_MAX;
            (n.len() <= modulus_max && e.len() <= exponent_max).then_some(())?;
            Material::Rsa { n, e }
        }
        ("EC", Some("P-256")) => Material::P256(point(32, x, y)?),
        ("EC", Some("P-384")) => Material::P384(point(48, x, y)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(x)?),
        _ => return None,
    };
    Some(Key { id: kid, algorithm: alg, material })
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };

    use super::*;

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// An Ed25519 key, and what signs tokens with it.
    fn ed25519() -> (serde_json::Value, impl Fn(&str, &str) -> String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = encode(pair.public_key().as_ref());
        let jwk = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x});
        let sign = move |header: &str, payload: &str| {
            let signed = format!("{}.{}", encode(header), encode(payload));
            format!("{signed}.{}", encode(pair.sign(signed.as_bytes())))
        };
        (jwk, sign)
    }

    fn set(keys: &[&serde_json::Value]) -> Vec<Key> {
        parse_keys(serde_json::json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn good(token: &str, keys: &[Key]) -> bool {
        Jwt::parse(token).is_some_and(|token| token.is_signed_by(keys))
    }

    #[test]
    fn a_key_verifies_what_was_signed_with_it_and_nothing_else() {
        let (jwk, sign) = ed25519();
        let keys = set(&[&jwk]);
        let token = sign(r#"{"alg":"EdDSA","kid":"one","typ":"JWT"}"#, "{}");
        assert!(good(&token, &keys));
        assert!(good(&sign(r#"{"alg":"EdDSA"}"#, "{}"), &keys));
        for header in [
            r#"{"alg":"EdDSA","kid":"two"}"#,
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"ES256","kid":"one"}"#,
            r#"{"alg":"EdDSA","crit":["exp"]}"#,
            r#"{"alg":["EdDSA"]}"#,
            r#"{"kid":"one"}"#,
            "",
        ] {
            assert!(!good(&sign(header, "{}"), &keys), "{header}");
        }
        let mut other = jwk.clone();
        other["alg"] = "ES256".into();
        assert!(!good(&token, &set(&[&other])));
        other["alg"] = "EdDSA".into();
        assert!(good(&token, &set(&[&other])));
        other["use"] = "enc".into();
        assert!(set(&[&other]).is_empty());
        assert!(!good(&token, &[]));
    }

    #[test]
    fn no_part_of_a_token_can_be_changed() {
        let (jwk, sign) = ed25519();
        let keys = set(&[&jwk]);
        let token = sign(r#"{"alg":"EdDSA","kid":"one"}"#, r#"{"sub":"bob"}"#);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // Of a last digit some bits are padding, which is to be zero.
            assert!(!good(&changed, &keys), "{at}");
            assert!(!good(&token[..at], &keys), "{at}");
        }
        for more in [format!("{token}="), format!("{token}."), format!(" {token}"), token + "AA"] {
            assert!(!good(&more, &keys), "{more}");
        }
    }

    #[test]
    fn a_key_of_a_curve_verifies_with_its_own_hash_alone() {
        let random = SystemRandom::new();
        for (algorithm, fixed, curve, length) in [
            ("ES256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", 32),
            ("ES384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", 48),
        ] {
            let document = EcdsaKeyPair::generate_pkcs8(fixed, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(fixed, document.as_ref(), &random).unwrap();
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = (encode(&point[..length]), encode(&point[length..]));
            let jwk = serde_json::json!({"kty": "EC", "crv": curve, "x": x, "y": y});
            let keys = set(&[&jwk]);
            for other in ["ES256", "ES384", "EdDSA", "RS256"] {
                let header = format!(r#"{{"alg":"{other}"}}"#);
                let signed = format!("{}.{}", encode(header), encode("{}"));
                let signature = pair.sign(&random, signed.as_bytes()).unwrap();
                let token = format!("{signed}.{}", encode(signature));
                assert_eq!(good(&token, &keys), other == algorithm, "{curve} {other}");
            }
            let short = serde_json::json!({"kty": "EC", "crv": curve, "x": x, "y": "AA"});
            assert!(set(&[&short]).is_empty());
        }
    }

    #[test]
    fn a_key_that_costs_too_much_to_verify_with_is_passed_over() {
        let rsa = |modulus: usize, exponent: usize| {
            let (n, e) = (encode(vec![0xff; modulus]), encode(vec![1; exponent]));
            serde_json::json!({"kty": "RSA", "n": n, "e": e})
        };
        assert_eq!(set(&[&rsa(512, 4)]).len(), 1);
        assert_eq!(set(&[&rsa(513, 4), &rsa(512, 5)]).len(), 0);
    }

    #[test]
    fn a_set_of_keys_is_bounded_and_what_is_unknown_in_it_is_passed_over() {
        let (jwk, _) = ed25519();
        let secret = serde_json::json!({"kty": "oct", "k": "AA", "kid": "one"});
        let text = serde_json::json!("text");
        assert_eq!(set(&[&secret, &text, &jwk]).len(), 1);
        for none in ["", "[]", "{}", r#"{"keys":1}"#] {
            assert_eq!(parse_keys(none.as_bytes()), None, "{none}");
        }
        let many = serde_json::json!({ "keys": vec![jwk.clone(); KEYS_MAX] });
        assert_eq!(parse_keys(many.to_string().as_bytes()).unwrap().len(), KEYS_MAX);
        let more = serde_json::json!({ "keys": vec![jwk; KEYS_MAX + 1] });
        assert_eq!(parse_keys(more.to_string().as_bytes()), None);
    }
}
