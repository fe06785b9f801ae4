//! The server: listeners, the task that owns the node, and what starts and stops them.
//!
//! **Invariants.** One task owns the [`node::Node`]; everybody else reads it, or sends it an input.
//! Nothing leaves the process before it is durable here. Every task has an owner that awaits it.
//!
//! **Must not know:** what a command means (`identity`), what AWS calls things (`aws-api`), how
//! replicas agree (`replication`).

pub mod config;
pub mod http;
pub mod metrics;
pub mod ops;
pub mod random;
pub mod stop;
pub mod telemetry;
