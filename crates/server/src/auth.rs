//! Who signed a request: at a writer by the key's secret, at a replica by the day's signing key,
//! which a writer derives.
//!
//! **Invariants.** A node that is no serving member, be it that it joins or that it was removed,
//! tells nobody apart. A key that is unknown and one that is not usable are answered alike.
//! Whether a key is usable is told by this node's own state at each request, never by what is
//! cached. A refusal waits until the state that it was derived from is durable; who is let in is
//! answered by a later read, which waits. A signing key is kept only after it verified a request,
//! and only until its day is over.
//! No secret is logged.
//!
//! **Must not know:** what the caller wants.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_api::{
    ApiError,
    sigv4::{AuthError, Scope, SignedRequest, SigningKey},
};
use crdt::NodeId;
use identity::{
    Caller, SessionError,
    key_use::{NoteKeyUse, is_due},
};
use model::{Credential, Secret, Timestamp};
use rpc::{client, v1::peer_client::PeerClient};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::sync::Semaphore;
use tonic::{Request, Status, transport::Channel};
use wire::{Message as _, v1};

use crate::{
    app::App,
    clock,
    core::Stopping,
    key_uses::{KeyUse, KeyUses},
};

/// Signing keys that a replica keeps, at most.
pub const SIGNING_KEYS_MAX: usize = 10_000;
/// The longest region in a signature's scope, in bytes: it is cached, and conditions see it.
pub const REGION_BYTES_MAX: usize = 64;
/// Questions to writers at a time; further ones wait for their turn, then fail.
const ASKS_MAX: usize = 64;
/// How long a writer may take to derive a key.
const DERIVE_WITHIN: Duration = Duration::from_secs(3);
/// How far the day of a signature may be from the clock: SigV4's skew.
const SKEW_MS: u64 = aws_api::sigv4::SKEW_SECS_MAX * 1000;

/// Why nobody is known to have signed it.
#[derive(Debug, Error)]
pub enum Unauthenticated {
    /// No such key, or one that must not be used.
    #[error("the access key id or session token is not valid")]
    InvalidKey,
    /// The session is over.
    #[error("the session has expired")]
    Expired,
    /// The signature, or its time.
    #[error(transparent)]
    Signature(#[from] AuthError),
    /// The region that it is scoped to.
    #[error("`region` is over its limit of {REGION_BYTES_MAX} bytes")]
    Region,
    /// No writer could be asked.
    #[error("no writer can be asked for the signing key: {0}")]
    NoWriter(String),
    /// This node does not know enough to tell: it joins, or was removed.
    #[error("this node is not serving: it joins the cluster, or was removed from it")]
    NotServing,
    /// The node is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

impl From<Unauthenticated> for ApiError {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::InvalidKey => Self::invalid_client_token_id(INVALID_TOKEN),
            Unauthenticated::Expired => Self::expired_token(EXPIRED_TOKEN),
            Unauthenticated::Signature(error) => error.into(),
            Unauthenticated::Region => Self::invalid_input(Unauthenticated::Region.to_string()),
            unavailable @ (Unauthenticated::NoWriter(_)
            | Unauthenticated::NotServing
            | Unauthenticated::Stopping(_)) => Self::service_unavailable(unavailable.to_string()),
        }
    }
}

/// AWS's words.
const INVALID_TOKEN: &str = "The security token included in the request is invalid.";
const EXPIRED_TOKEN: &str = "The security token included in the request is expired";

/// What a signing key is for: access key, hash of the session token, day, region, service.
type CacheKey = (String, [u8; 32], String, String, String);

/// What a writer derived.
#[derive(Clone)]
struct Derived {
    key: SigningKey,
    session: Option<v1::SessionClaims>,
}

/// Finds out who signed requests.
pub struct Authenticator {
    app: Arc<App>,
    derived: Mutex<BTreeMap<CacheKey, Derived>>,
    writers: Mutex<BTreeMap<(NodeId, String), Channel>>,
    asks: Semaphore,
    uses: KeyUses,
}

impl Authenticator {
    /// Of this node.
    pub fn new(app: Arc<App>, uses: KeyUses) -> Self {
        Self {
            app,
            derived: Mutex::default(),
            writers: Mutex::default(),
            asks: Semaphore::new(ASKS_MAX),
            uses,
        }
    }

    /// Who signed the request.
    ///
    /// # Errors
    /// When nobody did who may.
    pub async fn authenticate(&self, signed: &SignedRequest) -> Result<Caller, Unauthenticated> {
        if !self.app.serves()? {
            return Err(Unauthenticated::NotServing);
        }
        if signed.scope().region.len() > REGION_BYTES_MAX {
            return Err(Unauthenticated::Region);
        }
        let caller = match self.app.home.role {
            crate::config::Role::Writer => self.by_secret(signed),
            crate::config::Role::Replica => self.by_signing_key(signed).await,
        };
        if caller.is_err() {
            self.app.core.read(|_| ()).await?;
        }
        caller
    }

    fn by_secret(&self, signed: &SignedRequest) -> Result<Caller, Unauthenticated> {
        let (now, key_id) = (clock::wall(), signed.access_key_id());
        let found = self.app.core.peek(|node| {
            let (identity, keys) = (node.identity(), node.keys());
            let (caller, secret) = match signed.session_token() {
                None => identity::authenticate_key(identity, keys, key_id)
                    .ok_or(Unauthenticated::InvalidKey)?,
                Some(token) => identity::open_session(identity, keys, token.expose(), key_id, now)
                    .map_err(refused_session)?,
            };
            let due = match caller.credential {
                Credential::AccessKey(key) => {
                    is_due(identity, caller.account, key, now).then_some(key)
                }
                Credential::Session { .. } | Credential::Certificate(_) | Credential::Node(_) => {
                    None
                }
            };
            Ok::<_, Unauthenticated>((caller, secret, due))
        })?;
        let (caller, secret, due) = found?;
        signed.verify(&signed.signing_key(&secret), now)?;
        if let Some(key) = due {
            let Scope { service, region } = signed.scope();
            let used = NoteKeyUse { key, service: service.to_owned(), region: region.to_owned() };
            self.uses.saw(KeyUse { account: caller.account, used });
        }
        Ok(caller)
    }

    async fn by_signing_key(&self, signed: &SignedRequest) -> Result<Caller, Unauthenticated> {
        // A long-term key that is not usable here is not worth a question.
        let long_term = match signed.session_token() {
            Some(_) => None,
            None => {
                let find = |node: &node::Node| {
                    identity::find_key(node.identity(), signed.access_key_id())
                        .and_then(|found| found.caller())
                };
                Some(self.app.core.peek(find)?.ok_or(Unauthenticated::InvalidKey)?)
            }
        };
        let cache_key = cache_key(signed);
        let cached = self.derived().get(&cache_key).cloned();
        let (derived, fresh) = match cached {
            Some(derived) => (derived, false),
            None => (self.derive(signed).await?.ok_or(Unauthenticated::InvalidKey)?, true),
        };
        let now = clock::wall();
        signed.verify(&derived.key, now)?;
        let caller = match (long_term, &derived.session) {
            (Some(caller), _) => caller,
            (None, Some(claims)) => self
                .app
                .core
                .peek(|node| identity::session_caller(node.identity(), claims, now))?
                .map_err(refused_session)?,
            (None, None) => return Err(Unauthenticated::InvalidKey),
        };
        if fresh {
            self.keep(cache_key, derived, now);
        }
        Ok(caller)
    }

    fn derived(&self) -> std::sync::MutexGuard<'_, BTreeMap<CacheKey, Derived>> {
        // A panic under the lock leaves a cache, at worst without an entry.
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, key: CacheKey, value: Derived, now: Timestamp) {
        let mut derived = self.derived();
        if derived.len() >= SIGNING_KEYS_MAX {
            derived.retain(|(_, _, day, _, _), _| is_near(day, now));
        }
        if derived.len() >= SIGNING_KEYS_MAX {
            derived.clear();
        }
        derived.insert(key, value);
    }

    /// Asks writers, the connected ones of the roster in turn.
    async fn derive(&self, signed: &SignedRequest) -> Result<Option<Derived>, Unauthenticated> {
        let writers = self.app.core.peek(|node| {
            let writers = node.control().writers();
            writers.map(|entry| (entry.node, entry.grpc_address.clone())).collect::<Vec<_>>()
        })?;
        // Whoever comes with a session token that this node cannot open makes it ask.
        let turn = tokio::time::timeout(DERIVE_WITHIN, self.asks.acquire()).await;
        let _turn = turn.map_err(|_| Unauthenticated::NoWriter("too many ask".to_owned()))?;
        let mut failures = Vec::new();
        for (node, address) in writers {
            match self.ask(node, &address, signed).await {
                Ok(reply) => return Ok(read_derived(reply)),
                Err(error) => {
                    self.channels().remove(&(node, address));
                    failures.push(format!("node {node}: {error}"));
                }
            }
        }
        Err(Unauthenticated::NoWriter(failures.join("; ")))
    }

    async fn ask(
        &self,
        node: NodeId,
        address: &str,
        signed: &SignedRequest,
    ) -> Result<v1::DeriveSigningKeyReply, String> {
        let scope = signed.scope();
        let token = signed.session_token().map(|token| token.expose().clone());
        let mut request = Request::new(v1::DeriveSigningKeyRequest {
            access_key_id: signed.access_key_id().to_owned(),
            session_token: token.unwrap_or_default(),
            date: signed.day(),
            region: scope.region.to_owned(),
            service: scope.service.to_owned(),
        });
        request.set_timeout(DERIVE_WITHIN);
        let channel = self.channel(node, address)?;
        let reply = PeerClient::new(channel).derive_signing_key(request).await;
        reply.map(tonic::Response::into_inner).map_err(|status| status.message().to_owned())
    }

    fn channel(&self, node: NodeId, address: &str) -> Result<Channel, String> {
        let key = (node, address.to_owned());
        if let Some(channel) = self.channels().get(&key) {
            return Ok(channel.clone());
        }
        let target = self.app.target(node, address.to_owned());
        let channel = client::connect_lazy(&target).map_err(|error| error.to_string())?;
        self.channels().insert(key, channel.clone());
        Ok(channel)
    }

    fn channels(&self) -> std::sync::MutexGuard<'_, BTreeMap<(NodeId, String), Channel>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rpc::sigv4::Credentials for Authenticator {
    type Caller = (Caller, String);

    /// The caller, and the region that it signed for.
    async fn authenticate(&self, request: &SignedRequest) -> Result<Self::Caller, Status> {
        match Self::authenticate(self, request).await {
            Ok(caller) => Ok((caller, request.scope().region.to_owned())),
            Err(
                error @ (Unauthenticated::NoWriter(_)
                | Unauthenticated::NotServing
                | Unauthenticated::Stopping(_)),
            ) => Err(Status::unavailable(error.to_string())),
            Err(error @ Unauthenticated::Region) => {
                Err(Status::invalid_argument(error.to_string()))
            }
            // Not which of the two is wrong.
            Err(Unauthenticated::InvalidKey | Unauthenticated::Signature(_)) => {
                Err(Status::unauthenticated("the access key or the signature is not valid"))
            }
            Err(error @ Unauthenticated::Expired) => {
                Err(Status::unauthenticated(error.to_string()))
            }
        }
    }
}

fn refused_session(error: SessionError) -> Unauthenticated {
    match error {
        SessionError::Expired => Unauthenticated::Expired,
        SessionError::Invalid | SessionError::KeyGone | SessionError::PrincipalGone => {
            Unauthenticated::InvalidKey
        }
    }
}

fn cache_key(signed: &SignedRequest) -> CacheKey {
    let token = signed.session_token().map_or(&[][..], |token| token.expose().as_bytes());
    let scope = signed.scope();
    (
        signed.access_key_id().to_owned(),
        Sha256::digest(token).into(),
        signed.day(),
        scope.region.to_owned(),
        scope.service.to_owned(),
    )
}

fn read_derived(reply: v1::DeriveSigningKeyReply) -> Option<Derived> {
    let key: [u8; 32] = reply.signing_key?.try_into().ok()?;
    let session = if reply.session.is_empty() {
        None
    } else {
        Some(v1::SessionClaims::decode(reply.session.as_slice()).ok()?)
    };
    Some(Derived { key: SigningKey::from_bytes(Secret::new(key)), session })
}

/// Whether a day, `YYYYMMDD`, is one that a request signed now may have.
pub fn is_near(day: &str, now: Timestamp) -> bool {
    let early = Timestamp::from_ms(now.ms().saturating_sub(SKEW_MS));
    [early, now, now.plus_ms(SKEW_MS)]
        .iter()
        .any(|at| at.to_basic().starts_with(day) && day.len() == 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signing_key_is_derived_for_the_day_only() {
        let at = |text| Timestamp::parse_iso8601(text).unwrap();
        let noon = at("2026-03-01T12:00:00Z");
        assert!(is_near("20260301", noon));
        for day in ["20260302", "20260228", "2026030", "", "202603011"] {
            assert!(!is_near(day, noon), "{day}");
        }
        assert!(is_near("20260302", at("2026-03-01T23:56:00Z")));
        assert!(!is_near("20260302", at("2026-03-01T23:54:00Z")));
        assert!(is_near("20260228", at("2026-03-01T00:04:00Z")));
    }
}
