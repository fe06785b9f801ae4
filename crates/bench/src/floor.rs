//! What the bare machine does: the disk with and without sled, and gRPC without a store behind it.
//!
//! **Invariants.** The disk's floor does what a durable write cannot do without, one at a time,
//! with the calls that the store makes: apply, `flush`, `fdatasync`.
//!
//! **Must not know:** the cluster.

use std::{
    fs::File,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use model::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rpc::{
    tls::{self, ANY_NODE, Identity},
    v1::authorization_server::{Authorization, AuthorizationServer},
};
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use wire::v1::{BatchCheckReply, BatchCheckRequest, CheckReply, CheckRequest, Verdict};

use crate::{error::Error, load::Latencies};

/// About a transaction's record.
const RECORD_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// Commits of one record to sled, one after the other, each on disk before the next.
pub(crate) async fn sled_commits(place: &Path, length: Duration) -> Result<Latencies, Error> {
    let directory = directory(place)?;
    let path = directory.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let config = sled::Config::new().path(&path).mode(sled::Mode::LowSpace);
        let engine = config.open()?;
        let tree = engine.open_tree("floor")?;
        let file =
            File::open(path.join("db")).map_err(|error| Error::Io("open the file", error))?;
        let mut number = 0_u64;
        repeat(length, || {
            number += 1;
            let mut batch = sled::Batch::default();
            batch.insert(&number.to_be_bytes(), [0x5a_u8; RECORD_BYTES].as_slice());
            tree.apply_batch(batch)?;
            engine.flush()?;
            file.sync_data().map_err(|error| Error::Io("sync the file", error))
        })
    })
    .await?
}

/// Appends of one page to a file, each on disk before the next.
pub(crate) async fn appends(place: &Path, length: Duration) -> Result<Latencies, Error> {
    let directory = directory(place)?;
    let path = directory.path().join("appended");
    tokio::task::spawn_blocking(move || {
        let mut file = File::create(path).map_err(|error| Error::Io("create a file", error))?;
        repeat(length, || {
            file.write_all(&[0x5a; PAGE_BYTES]).map_err(|error| Error::Io("append", error))?;
            file.sync_all().map_err(|error| Error::Io("sync the file", error))
        })
    })
    .await?
}

fn directory(place: &Path) -> Result<tempfile::TempDir, Error> {
    let directory = tempfile::Builder::new().prefix("writ-floor-").tempdir_in(place);
    directory.map_err(|error| Error::Io("make a directory", error))
}

fn repeat(
    length: Duration,
    mut once: impl FnMut() -> Result<(), Error>,
) -> Result<Latencies, Error> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    while begin.elapsed() < length {
        let start = Instant::now();
        once()?;
        samples.push(start.elapsed());
    }
    Ok(Latencies::new(samples, begin.elapsed()))
}

/// Says yes to everything.
struct Yes;

#[tonic::async_trait]
impl Authorization for Yes {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckReply>, Status> {
        Ok(Response::new(yes()))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckReply>, Status> {
        let replies = request.get_ref().checks.iter().map(|_| yes()).collect();
        Ok(Response::new(BatchCheckReply { replies }))
    }
}

fn yes() -> CheckReply {
    CheckReply { verdict: Verdict::Allow.into(), ..CheckReply::default() }
}

/// A server with a node's TLS and transport that verifies no signature and decides nothing.
pub(crate) struct BareServer {
    /// `host:port`.
    pub(crate) address: String,
    /// The CA's certificate, PEM.
    pub(crate) ca_pem: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl BareServer {
    /// Starts it. Must be called in a tokio runtime.
    pub(crate) fn start() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let ca = CertifiedIssuer::self_signed(params, key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = CertificateParams::new([ANY_NODE.to_owned()])?.signed_by(&key, &ca)?;
        let identity = Identity {
            chain_pem: certificate.pem() + &ca.pem(),
            key_pem: Secret::new(key.serialize_pem()),
        };
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())
            .map_err(|error| Error::Io("listen", error))?
            .with_nodelay(Some(true));
        let address = incoming.local_addr().map_err(|error| Error::Io("listen", error))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = tls::server(&identity, &ca.pem())?
            .add_service(AuthorizationServer::from_arc(Arc::new(Yes)));
        let task = tokio::spawn(async move {
            router.serve_with_incoming_shutdown(incoming, async { drop(stopped.await) }).await
        });
        Ok(Self { address: address.to_string(), ca_pem: ca.pem(), stop, task })
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> Result<(), Error> {
        // It has stopped already if nobody listens.
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}
