//! Verifies the tokens of identity providers.
//!
//! **Invariants.** Only an issuer that the role's account has as a provider is asked for keys, or
//! one whose keys the configuration has in a file. An issuer is asked at its own host, at most
//! every `ASK_AGAIN_AFTER` for a key that it did not have, and by one request at a time. What is
//! decided about a token, besides that its issuer signed it, [`identity::web_identity`] decides.
//!
//! **Must not know:** client ids, trust policies.

mod fetch;
mod jwt;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use identity::{
    Error,
    web_identity::{
        AssumeRoleWithWebIdentity, KeySource, TokenClaims, TokenRefusal, VerifiedToken,
        knows_issuer,
    },
};
use model::OidcProviderName;
use serde::Deserialize;
use thiserror::Error as ThisError;
use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore},
    time::timeout,
};

pub use self::fetch::TrustError;
use self::{
    fetch::{Addresses, Fetcher, HttpsUrl},
    jwt::{Jwt, Key, parse_keys},
};
use crate::{
    config::WebIdentity,
    core::{Core, Stopping},
};

/// How long keys are good before they are asked for again.
const KEYS_GOOD_FOR: Duration = Duration::from_secs(900);
/// How long after an issuer was asked it may be asked again, for a key that it did not have or
/// after it failed.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How long a call waits for its turn to ask.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Issuers whose keys are kept.
const ISSUERS_MAX: usize = 1_000;
/// Issuers that are asked at a time.
const ASKS_MAX: usize = 8;

/// Why a token is not verified.
#[derive(Debug)]
pub enum Unverified {
    /// What the client is told.
    Refused(Error),
    /// The node is stopping.
    Stopping(Stopping),
}

impl From<Stopping> for Unverified {
    fn from(error: Stopping) -> Self {
        Self::Stopping(error)
    }
}

impl From<TokenRefusal> for Unverified {
    fn from(refusal: TokenRefusal) -> Self {
        Self::Refused(Error::Token(refusal))
    }
}

/// Why keys were not got.
#[derive(Debug, ThisError)]
enum KeysError {
    #[error("{0}")]
    Fetch(#[from] fetch::FetchError),
    #[error("the file cannot be read: {0}")]
    File(std::io::Error),
    #[error("what should be a set of keys is none, or has too many")]
    Set,
    #[error("the discovery document is none, or is another issuer's")]
    Discovery,
    #[error("the keys are at another host than the issuer: give them in a file")]
    OtherHost,
    #[error("too many issuers are asked at once")]
    Busy,
}

/// Keys as they were got.
#[derive(Clone)]
struct Keys {
    keys: Arc<Vec<Key>>,
    source: KeySource,
}

/// One issuer.
#[derive(Default)]
struct Issuer {
    known: Mutex<Known>,
    /// Held by who asks it. Keys that are good are given without it.
    asking: AsyncMutex<()>,
}

/// What is known of one issuer.
#[derive(Clone, Default)]
struct Known {
    keys: Option<(Instant, Keys)>,
    /// When it was last asked, to the end.
    asked: Option<Instant>,
}

impl Issuer {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that are good.
    fn keys(&self) -> Option<Keys> {
        let Known { keys, asked: _ } = &*self.known();
        let good = keys.as_ref().filter(|(got, _)| got.elapsed() < KEYS_GOOD_FOR);
        good.map(|(_, keys)| keys.clone())
    }

    fn was_asked(&self, within: Duration) -> bool {
        self.known().asked.is_some_and(|asked| asked.elapsed() < within)
    }
}

/// Verifies tokens.
pub struct Verifier {
    fetcher: Fetcher,
    files: BTreeMap<String, PathBuf>,
    issuers: Mutex<BTreeMap<String, Arc<Issuer>>>,
    asks: Semaphore,
}

/// The part of a discovery document that is of use. OpenID Connect Discovery 1.0, section 3.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Verifier {
    /// As the configuration has it.
    ///
    /// # Errors
    /// When the certificates to trust cannot be read.
    pub fn new(config: &WebIdentity) -> Result<Self, TrustError> {
        let addresses = if config.private_addresses { Addresses::Any } else { Addresses::Public };
        Ok(Self {
            fetcher: Fetcher::new(config.ca_file.as_deref(), addresses)?,
            files: config.files().collect(),
            issuers: Mutex::default(),
            asks: Semaphore::new(ASKS_MAX),
        })
    }

    /// Verifies that the issuer that a call's token names signed it.
    ///
    /// # Errors
    /// When it is no token, of no issuer that the role's account knows, or not signed by it.
    pub async fn verify(
        &self,
        core: &Core,
        call: &AssumeRoleWithWebIdentity,
    ) -> Result<VerifiedToken, Unverified> {
        let token = Jwt::parse(call.token.expose()).ok_or(TokenRefusal::NotAToken)?;
        let claims = TokenClaims::parse(&token.payload)?;
        core.peek(|node| knows_issuer(node.identity(), node.accounts(), &call.role_arn, &claims))?
            .map_err(Unverified::Refused)?;
        let Keys { keys, source } = self.keys_for(claims.issuer(), &token).await?;
        if !token.is_signed_by(&keys) {
            return Err(TokenRefusal::NoKey.into());
        }
        Ok(VerifiedToken { claims, source })
    }

    /// The issuer's keys, asked for anew if they are old or lack the token's.
    async fn keys_for(
        &self,
        issuer: &OidcProviderName,
        token: &Jwt<'_>,
    ) -> Result<Keys, TokenRefusal> {
        let entry = self.entry(issuer.as_str()).ok_or(TokenRefusal::Unreachable)?;
        let fitting = || entry.keys().filter(|keys| token.has_key(&keys.keys));
        if let Some(keys) = fitting() {
            return Ok(keys);
        }
        let turn = timeout(TURN_WITHIN, entry.asking.lock()).await;
        let _turn = turn.map_err(|_| TokenRefusal::Unreachable)?;
        // Whoever had the turn before may have got them.
        if let Some(keys) = fitting() {
            return Ok(keys);
        }
        if entry.was_asked(ASK_AGAIN_AFTER) {
            return entry.keys().ok_or(TokenRefusal::Unreachable);
        }
        let asked = self.ask(issuer).await;
        let mut known = entry.known();
        match asked {
            // Nobody was asked.
            Err(KeysError::Busy) => Err(TokenRefusal::Unreachable),
            Ok(keys) => {
                *known = Known {
                    keys: Some((Instant::now(), keys.clone())),
                    asked: Some(Instant::now()),
                };
                Ok(keys)
            }
            Err(error) => {
                known.asked = Some(Instant::now());
                tracing::warn!(%issuer, %error, "cannot get the keys of an identity provider");
                Err(TokenRefusal::Unreachable)
            }
        }
    }

    /// What is known of an issuer; `None` if there is no room for another.
    fn entry(&self, issuer: &str) -> Option<Arc<Issuer>> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        if issuers.len() >= ISSUERS_MAX && !issuers.contains_key(issuer) {
            issuers.retain(|_, entry| {
                entry.asking.try_lock().is_err() || entry.was_asked(KEYS_GOOD_FOR)
            });
            if issuers.len() >= ISSUERS_MAX {
                return None;
            }
        }
        Some(Arc::clone(issuers.entry(issuer.to_owned()).or_default()))
    }

    async fn ask(&self, issuer: &OidcProviderName) -> Result<Keys, KeysError> {
        if let Some(path) = self.files.get(issuer.as_str()) {
            let set = tokio::fs::read(path).await.map_err(KeysError::File)?;
            let keys = Arc::new(parse_keys(&set).ok_or(KeysError::Set)?);
            return Ok(Keys { keys, source: KeySource::Configured });
        }
        let turn = timeout(TURN_WITHIN, self.asks.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(KeysError::Busy)?;
        let url = format!("https://{issuer}");
        let discovery = format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'));
        let discovery = HttpsUrl::parse(&discovery).ok_or(KeysError::Discovery)?;
        let document = self.fetcher.get(&discovery).await?;
        let Discovery { issuer: named, jwks_uri } =
            serde_json::from_slice(&document.bytes).map_err(|_| KeysError::Discovery)?;
        if named != url {
            return Err(KeysError::Discovery);
        }
        let jwks = HttpsUrl::parse(&jwks_uri).ok_or(KeysError::Discovery)?;
        if !jwks.is_beside(&discovery) {
            return Err(KeysError::OtherHost);
        }
        let set = self.fetcher.get(&jwks).await?;
        let keys = Arc::new(parse_keys(&set.bytes).ok_or(KeysError::Set)?);
        Ok(Keys { keys, source: KeySource::Host(set.certificates) })
    }
}
