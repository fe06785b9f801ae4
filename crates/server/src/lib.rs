//! The server: listeners, the task that owns the node, and what starts and stops them.
//!
//! **Invariants.** One task owns the [`node::Node`]; everybody else reads it, or sends it an input.
//! Nothing leaves the process before it is durable here. Every task has an owner that awaits it.
//!
//! **Must not know:** what a command means (`identity`), what AWS calls things (`aws-api`), how
//! replicas agree (`replication`).

pub mod api;
pub mod app;
pub mod attempts;
pub mod auth;
pub mod aws_http;
pub mod bootstrap;
pub mod clock;
pub mod config;
pub mod control;
pub mod core;
pub mod dev;
pub mod fence;
pub mod grpc;
pub mod home;
pub mod http;
pub mod key_uses;
pub mod membership;
pub mod metrics;
pub mod names;
pub mod ops;
pub mod panics;
pub mod parts;
pub mod pki;
pub mod prepared;
pub mod raft;
pub mod random;
pub mod recover;
pub mod removal;
pub mod reports;
pub mod scrub;
pub mod server;
pub mod snapshots;
pub mod stability;
pub mod stop;
pub mod streams;
pub mod telemetry;
pub mod web_identity;
