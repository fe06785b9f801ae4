//! gRPC: the services and clients of `/proto`, TLS between nodes, and who a caller is.
//!
//! Messages are wire's; only services are generated here. [`tls`] holds how connections are set up,
//! [`client`] opens them, [`peer`] reads a node's identity from its certificate, [`sigv4`] signs
//! and verifies calls of operators and programs.
//!
//! **Invariants.** There is no plaintext port. A server is verified against the cluster's CA before
//! a byte is sent to it. Every message and every buffered body is bounded.
//!
//! **Must not know:** what a call means, who may make it, the roster.

pub mod client;
pub mod peer;
pub mod sigv4;
pub mod tls;

/// Version 1 of the services.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; see /proto/writ/v1"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/writ.v1.rs"));
}

/// The longest message that is accepted, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
