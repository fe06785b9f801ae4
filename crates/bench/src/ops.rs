//! What a node's operations listener tells: whether it is ready, and its metrics.
//!
//! **Must not know:** what is measured.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::error::Error;

const POLL_EVERY: Duration = Duration::from_millis(10);
/// A node of a million users has its state to read before it is ready.
const WITHIN: Duration = Duration::from_secs(600);

async fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A gauge; nothing while the node does not answer.
pub(crate) async fn gauge(address: &str, name: &str) -> Option<f64> {
    let answer = get(address, "/metrics").await.ok()?;
    let values = answer.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.filter_map(|value| value.parse().ok()).next()
}

/// Waits until the node is ready.
pub(crate) async fn ready(address: &str) -> Result<(), Error> {
    let deadline = Instant::now() + WITHIN;
    loop {
        let answer = get(address, "/readyz").await.unwrap_or_default();
        if answer.starts_with("HTTP/1.1 200") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::TooLate(format!("{address} is not ready: {answer}")));
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// Waits until a gauge is what it should be; how long that took from when it was first told.
pub(crate) async fn until(
    address: &str,
    name: &str,
    is_reached: impl Fn(f64) -> bool,
) -> Result<Duration, Error> {
    let deadline = Instant::now() + WITHIN;
    let mut since = None;
    let mut last = None;
    while Instant::now() < deadline {
        last = gauge(address, name).await;
        let since = last.map(|_| *since.get_or_insert_with(Instant::now));
        if let Some(since) = since
            && last.is_some_and(&is_reached)
        {
            return Ok(since.elapsed());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
    Err(Error::TooLate(format!("{address} has {name} at {last:?}")))
}
