//! The crate over real TLS connections on loopback.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod sigv4;
#[cfg(test)]
mod tls;
