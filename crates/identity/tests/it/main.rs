//! Whole histories of calls, at one node and at two that exchange transactions.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests fail the test, and look at the variants they are about"
)]

mod access;
mod boundaries;
mod collect;
mod conflicts;
mod credential_reports;
mod escalation;
mod federated_users;
mod history;
mod instance_profiles;
mod key_uses;
mod limits;
mod matrix;
mod mend;
mod mfa_devices;
mod names;
mod nouns;
mod oidc_providers;
mod parse;
mod parse_credentials;
mod parse_mfa;
mod parse_providers;
mod passwords;
mod race;
mod races;
mod saml_providers;
mod server_certificates;
mod service_credentials;
mod sessions;
mod signing_certificates;
mod simulate;
mod ssh_public_keys;
mod survival;
mod web_identity;
