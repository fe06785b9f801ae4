//! The server's configuration: one struct, read once.
//!
//! **Invariants.** A flag wins over its `WRIT_*` variable, that over the file, that over the
//! default. A word in the file that is not known here is an error. What [`Config::documented`]
//! prints parses back to the same configuration (but for the join token, which is never shown).
//!
//! **Must not know:** what the parts of the server do with it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use model::Secret;
use serde::Deserialize;
use thiserror::Error;

/// The most addresses a joining node tries.
pub const JOIN_ADDRESSES_MAX: usize = 32;

/// What a node is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Accepts writes, votes in the control plane, holds the key-encryption key.
    #[default]
    Writer,
    /// Follows writers and answers reads and checks; holds no long-lived secret.
    Replica,
}

impl Role {
    /// As it is written in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Replica => "replica",
        }
    }

    /// As messages carry it.
    pub fn to_wire(self) -> wire::v1::Role {
        match self {
            Self::Writer => wire::v1::Role::Writer,
            Self::Replica => wire::v1::Role::Replica,
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

/// What this node is. Fixed at its first start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Writer or replica.
    pub role: Role,
    /// A name for where it stands; waits can ask for a region.
    pub region: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self { role: Role::Writer, region: "local".to_owned() }
    }
}

/// Where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The AWS Query API, HTTP.
    pub aws: SocketAddr,
    /// gRPC with TLS: clients, nodes, the control plane.
    pub grpc: SocketAddr,
    /// `/livez`, `/readyz`, `/metrics`, HTTP; not for the public.
    pub ops: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { aws: local(7400), grpc: local(7401), ops: local(7402) }
    }
}

/// Where others reach it; what it listens on, unless given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advertise {
    /// `host:port` of the AWS Query API.
    pub aws: Option<String>,
    /// `host:port` of gRPC.
    pub grpc: Option<String>,
}

/// How to join a cluster at the first start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Join {
    /// `host:port` of gRPC of members; the first that answers is asked.
    pub addresses: Vec<String>,
    /// The one-time token. Better given as `WRIT_JOIN_TOKEN` than in a file.
    #[serde(deserialize_with = "secret")]
    pub token: Option<Secret<String>>,
    /// Hex SHA-256 of the cluster's CA certificate, where the token does not carry it.
    pub ca_fingerprint: Option<String>,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::new))
}

/// What this node does about the others. Of the members, the leader's settings count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// A member that nothing was heard of for so many seconds is removed, for good, if the others
    /// can agree without it; 0: never.
    pub evict_after_s: u64,
}

/// The shortest time after which a member may be removed: a restart must not cost a node its
/// place.
pub const EVICT_AFTER_S_MIN: u64 = 10;

/// When snapshots are taken, and how much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Snapshots {
    /// A snapshot is taken once the log has grown by so many records since the last,
    pub every_records: u64,
    /// or by so many bytes.
    pub every_bytes: u64,
    /// What members lack is kept in the log, up to so many bytes; who is further behind gets a
    /// snapshot.
    pub log_bytes_max: u64,
    /// All that are kept are read and checked again every so many seconds, at least 1.
    pub check_every_s: u64,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            every_records: 100_000,
            every_bytes: 64 << 20,
            log_bytes_max: 512 << 20,
            check_every_s: 3_600,
        }
    }
}

/// How checks are answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Checks {
    /// Policies of principals that were asked about are kept prepared, up to so many bytes.
    pub prepared_bytes_max: u64,
}

impl Default for Checks {
    fn default() -> Self {
        Self { prepared_bytes_max: 256 << 20 }
    }
}

/// How tokens of identity providers are verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebIdentity {
    /// `https://ISSUER=FILE`: the keys of this issuer are in this file, as a JSON web key set, and
    /// it is not asked. The file is read again as an issuer would be asked again.
    pub key_files: Vec<String>,
    /// The certificates (PEM) that issuers' hosts must be vouched for by; the system's, if `None`.
    pub ca_file: Option<PathBuf>,
    /// Issuers' hosts may have addresses of private networks and of this machine. Whoever may
    /// create an OpenID Connect provider then has nodes send requests there.
    pub private_addresses: bool,
}

impl WebIdentity {
    /// What each issuer is called, its URL without `https://`, and its file.
    pub fn files(&self) -> impl Iterator<Item = (String, PathBuf)> {
        self.key_files.iter().filter_map(|text| key_file(text))
    }
}

/// An issuer and its file.
fn key_file(text: &str) -> Option<(String, PathBuf)> {
    let (issuer, file) = text.strip_prefix("https://")?.split_once('=')?;
    let named = issuer.parse::<model::OidcProviderName>().is_ok() && !file.is_empty();
    named.then(|| (issuer.to_owned(), PathBuf::from(file)))
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `human` or `json`.
    pub format: LogFormat,
    /// Directives of tracing-subscriber's `EnvFilter`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            filter: "info,openraft=error,openraft::replication=off".to_owned(),
        }
    }
}

/// Where traces go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// URL of an OTLP/gRPC collector; nothing is exported without.
    pub endpoint: Option<String>,
}

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's own directory; one node, one directory.
    pub data_dir: PathBuf,
    /// A file with the key-encryption key, 64 hex digits. Writers need it, replicas must not have
    /// it.
    pub kek_file: Option<PathBuf>,
    /// Start a new cluster if the data directory is empty.
    pub init: bool,
    /// What this node is.
    pub node: NodeConfig,
    /// Where it listens.
    pub listen: Listen,
    /// Where others reach it.
    pub advertise: Advertise,
    /// How it joins.
    pub join: Join,
    /// What it does about the others.
    pub cluster: Cluster,
    /// When the log is cut short.
    pub snapshots: Snapshots,
    /// How checks are answered.
    pub checks: Checks,
    /// How tokens of identity providers are verified.
    pub web_identity: WebIdentity,
    /// Logging.
    pub log: Log,
    /// Tracing.
    pub otlp: Otlp,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("writ-data"),
            kek_file: None,
            init: false,
            node: NodeConfig::default(),
            listen: Listen::default(),
            advertise: Advertise::default(),
            join: Join::default(),
            cluster: Cluster::default(),
            snapshots: Snapshots::default(),
            checks: Checks::default(),
            web_identity: WebIdentity::default(),
            log: Log::default(),
            otlp: Otlp::default(),
        }
    }
}

/// The same as flags and environment variables.
#[derive(Clone, Debug, Default, Args)]
pub struct Flags {
    /// The configuration file (TOML).
    #[arg(long, env = "WRIT_CONFIG")]
    pub config: Option<PathBuf>,
    /// The node's own directory.
    #[arg(long, env = "WRIT_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// A file with the key-encryption key, 64 hex digits.
    #[arg(long, env = "WRIT_KEK_FILE")]
    pub kek_file: Option<PathBuf>,
    /// Start a new cluster if the data directory is empty.
    #[arg(long, env = "WRIT_INIT")]
    pub init: bool,
    /// Writer or replica.
    #[arg(long, env = "WRIT_NODE_ROLE")]
    pub role: Option<Role>,
    /// The node's region.
    #[arg(long, env = "WRIT_NODE_REGION")]
    pub region: Option<String>,
    /// Where the AWS Query API listens.
    #[arg(long, env = "WRIT_LISTEN_AWS")]
    pub listen_aws: Option<SocketAddr>,
    /// Where gRPC listens.
    #[arg(long, env = "WRIT_LISTEN_GRPC")]
    pub listen_grpc: Option<SocketAddr>,
    /// Where health and metrics listen.
    #[arg(long, env = "WRIT_LISTEN_OPS")]
    pub listen_ops: Option<SocketAddr>,
    /// Where clients reach the AWS Query API.
    #[arg(long, env = "WRIT_ADVERTISE_AWS")]
    pub advertise_aws: Option<String>,
    /// Where nodes and clients reach gRPC.
    #[arg(long, env = "WRIT_ADVERTISE_GRPC")]
    pub advertise_grpc: Option<String>,
    /// gRPC addresses of members to join; may be repeated or comma-separated.
    #[arg(long, env = "WRIT_JOIN_ADDRESSES", value_delimiter = ',')]
    pub join: Vec<String>,
    /// The one-time join token. Visible to other users of the machine as a flag: prefer the
    /// variable.
    #[arg(long, env = "WRIT_JOIN_TOKEN", hide_env_values = true, value_parser = parse_secret)]
    pub join_token: Option<Secret<String>>,
    /// Hex SHA-256 of the cluster's CA certificate.
    #[arg(long, env = "WRIT_JOIN_CA_FINGERPRINT")]
    pub join_ca_fingerprint: Option<String>,
    /// Remove a member that nothing was heard of for so many seconds; 0: never.
    #[arg(long, env = "WRIT_EVICT_AFTER_S")]
    pub evict_after_s: Option<u64>,
    /// Take a snapshot after so many records.
    #[arg(long, env = "WRIT_SNAPSHOT_EVERY_RECORDS")]
    pub snapshot_every_records: Option<u64>,
    /// Take a snapshot after so many bytes of records.
    #[arg(long, env = "WRIT_SNAPSHOT_EVERY_BYTES")]
    pub snapshot_every_bytes: Option<u64>,
    /// Keep so many bytes of records for members that lack them.
    #[arg(long, env = "WRIT_SNAPSHOT_LOG_BYTES_MAX")]
    pub snapshot_log_bytes_max: Option<u64>,
    /// Read all snapshots again, and check them, every so many seconds.
    #[arg(long, env = "WRIT_SNAPSHOT_CHECK_EVERY_S")]
    pub snapshot_check_every_s: Option<u64>,
    /// Keep up to so many bytes of principals' policies prepared for checks.
    #[arg(long, env = "WRIT_CHECKS_PREPARED_BYTES_MAX")]
    pub checks_prepared_bytes_max: Option<u64>,
    /// `https://ISSUER=FILE`: an issuer's keys, as a JSON web key set; may be repeated or
    /// comma-separated.
    #[arg(long, env = "WRIT_WEB_IDENTITY_KEY_FILES", value_delimiter = ',')]
    pub web_identity_key_files: Vec<String>,
    /// The certificates that issuers' hosts must be vouched for by.
    #[arg(long, env = "WRIT_WEB_IDENTITY_CA_FILE")]
    pub web_identity_ca_file: Option<PathBuf>,
    /// Let issuers' hosts have private addresses.
    #[arg(long, env = "WRIT_WEB_IDENTITY_PRIVATE_ADDRESSES")]
    pub web_identity_private_addresses: bool,
    /// Human or JSON log lines.
    #[arg(long, env = "WRIT_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged, as `EnvFilter` directives.
    #[arg(long, env = "WRIT_LOG")]
    pub log: Option<String>,
    /// URL of an OTLP/gRPC collector.
    #[arg(long, env = "WRIT_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

fn parse_secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file `{0}`: {1}")]
    Read(PathBuf, std::io::Error),
    /// The file is not what it should be.
    #[error("the configuration file is wrong: {0}")]
    Parse(toml::de::Error),
    /// Settings that do not go together.
    #[error("the configuration is wrong: {0}")]
    Contradiction(&'static str),
}

impl Config {
    /// The effective configuration: flags and variables over the file over defaults.
    pub fn load(flags: Flags) -> Result<Self, ConfigError> {
        let text = match &flags.config {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError::Read(path.clone(), error))?,
            None => String::new(),
        };
        Self::effective(flags, &text)
    }

    /// As [`Config::load`], with the file's text.
    pub fn effective(flags: Flags, file: &str) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(file).map_err(ConfigError::Parse)?;
        config.overlay(flags);
        Ok(config)
    }

    fn overlay(&mut self, flags: Flags) {
        fn set<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        let Flags { config: _, data_dir, kek_file, init, role, region, .. } = flags;
        set(&mut self.data_dir, data_dir);
        self.kek_file = kek_file.or(self.kek_file.take());
        self.init |= init;
        set(&mut self.node.role, role);
        set(&mut self.node.region, region);
        set(&mut self.listen.aws, flags.listen_aws);
        set(&mut self.listen.grpc, flags.listen_grpc);
        set(&mut self.listen.ops, flags.listen_ops);
        self.advertise.aws = flags.advertise_aws.or(self.advertise.aws.take());
        self.advertise.grpc = flags.advertise_grpc.or(self.advertise.grpc.take());
        if !flags.join.is_empty() {
            self.join.addresses = flags.join;
        }
        self.join.token = flags.join_token.or(self.join.token.take());
        self.join.ca_fingerprint = flags.join_ca_fingerprint.or(self.join.ca_fingerprint.take());
        set(&mut self.cluster.evict_after_s, flags.evict_after_s);
        set(&mut self.snapshots.every_records, flags.snapshot_every_records);
        set(&mut self.snapshots.every_bytes, flags.snapshot_every_bytes);
        set(&mut self.snapshots.log_bytes_max, flags.snapshot_log_bytes_max);
        set(&mut self.snapshots.check_every_s, flags.snapshot_check_every_s);
        set(&mut self.checks.prepared_bytes_max, flags.checks_prepared_bytes_max);
        let web_identity = &mut self.web_identity;
        if !flags.web_identity_key_files.is_empty() {
            web_identity.key_files = flags.web_identity_key_files;
        }
        web_identity.ca_file = flags.web_identity_ca_file.or(web_identity.ca_file.take());
        web_identity.private_addresses |= flags.web_identity_private_addresses;
        set(&mut self.log.format, flags.log_format);
        set(&mut self.log.filter, flags.log);
        self.otlp.endpoint = flags.otlp_endpoint.or(self.otlp.endpoint.take());
    }

    /// The configuration, if a node can run with it.
    ///
    /// # Errors
    /// When settings contradict each other or something is missing.
    pub fn checked(self) -> Result<Self, ConfigError> {
        let wrong = if self.node.role == Role::Replica && self.kek_file.is_some() {
            "a replica must not have the key-encryption key: remove `kek_file`"
        } else if self.node.role == Role::Replica && self.init {
            "a cluster begins with a writer: `init` does not go with the role `replica`"
        } else if self.node.role == Role::Writer && self.kek_file.is_none() {
            "a writer needs the key-encryption key: set `kek_file`"
        } else if self.init && !self.join.addresses.is_empty() {
            "`init` starts a new cluster and `join` joins one: choose"
        } else if self.join.addresses.len() > JOIN_ADDRESSES_MAX {
            "at most 32 addresses to join"
        } else if self.node.region.is_empty() || self.node.region.len() > 64 {
            "`node.region` has 1 to 64 characters"
        } else if (1..EVICT_AFTER_S_MIN).contains(&self.cluster.evict_after_s) {
            "`cluster.evict_after_s` is 0 (never) or at least 10"
        } else if self.snapshots.every_records == 0 || self.snapshots.every_bytes == 0 {
            "`snapshots.every_records` and `snapshots.every_bytes` are at least 1"
        } else if self.snapshots.check_every_s == 0 {
            "`snapshots.check_every_s` is at least 1"
        } else if !self.web_identity.key_files.iter().all(|text| key_file(text).is_some()) {
            "`web_identity.key_files` are `https://ISSUER=FILE`"
        } else {
            return Ok(self);
        };
        Err(ConfigError::Contradiction(wrong))
    }

    /// Where others reach the AWS Query API.
    pub fn aws_address(&self) -> String {
        self.advertise.aws.clone().unwrap_or_else(|| self.listen.aws.to_string())
    }

    /// Where others reach gRPC.
    pub fn grpc_address(&self) -> String {
        self.advertise.grpc.clone().unwrap_or_else(|| self.listen.grpc.to_string())
    }

    /// The configuration as a file, every setting with its meaning.
    pub fn documented(&self) -> String {
        let Self { data_dir, kek_file, init, node, listen, advertise, join, .. } = self;
        let Self { cluster, snapshots, checks, web_identity, log, otlp, .. } = self;
        let mut page = Page::default();
        page.set("The node's own directory. WRIT_DATA_DIR", "data_dir", path(data_dir));
        let kek = kek_file.as_deref().map(path);
        page.may("The key-encryption key, 64 hex digits: writers. WRIT_KEK_FILE", "kek_file", kek);
        page.set("Start a new cluster in an empty directory. WRIT_INIT", "init", *init);
        page.table("node");
        page.set("writer or replica. WRIT_NODE_ROLE", "role", node.role.as_str());
        page.set("Where it stands. WRIT_NODE_REGION", "region", node.region.as_str());
        page.table("listen");
        page.set("The AWS Query API, HTTP. WRIT_LISTEN_AWS", "aws", listen.aws.to_string());
        page.set("gRPC with TLS. WRIT_LISTEN_GRPC", "grpc", listen.grpc.to_string());
        page.set("Health and metrics, HTTP. WRIT_LISTEN_OPS", "ops", listen.ops.to_string());
        page.table("advertise");
        page.may("Where clients reach it. WRIT_ADVERTISE_AWS", "aws", advertise.aws.clone());
        page.may("Where nodes reach it. WRIT_ADVERTISE_GRPC", "grpc", advertise.grpc.clone());
        page.table("join");
        let addresses = toml::Value::from(join.addresses.clone());
        page.set("Members' gRPC addresses. WRIT_JOIN_ADDRESSES", "addresses", addresses);
        page.may("One-time token, never shown. WRIT_JOIN_TOKEN", "token", None);
        let fingerprint = join.ca_fingerprint.clone();
        page.may("Hex SHA-256 of the CA. WRIT_JOIN_CA_FINGERPRINT", "ca_fingerprint", fingerprint);
        page.table("cluster");
        let number = |number: u64| toml::Value::from(i64::try_from(number).unwrap_or(i64::MAX));
        let evict = number(cluster.evict_after_s);
        let doc = "Remove who is silent so long; 0: never. WRIT_EVICT_AFTER_S";
        page.set(doc, "evict_after_s", evict);
        page.table("snapshots");
        let Snapshots { every_records, every_bytes, log_bytes_max, check_every_s } = snapshots;
        let doc = "Take one after so many records, WRIT_SNAPSHOT_EVERY_RECORDS";
        page.set(doc, "every_records", number(*every_records));
        let doc = "or so many bytes of them. WRIT_SNAPSHOT_EVERY_BYTES";
        page.set(doc, "every_bytes", number(*every_bytes));
        let doc = "Keep so many bytes for who is behind. WRIT_SNAPSHOT_LOG_BYTES_MAX";
        page.set(doc, "log_bytes_max", number(*log_bytes_max));
        let doc = "Read them again every so many seconds. WRIT_SNAPSHOT_CHECK_EVERY_S";
        page.set(doc, "check_every_s", number(*check_every_s));
        page.table("checks");
        let doc = "Keep so many bytes of policies prepared. WRIT_CHECKS_PREPARED_BYTES_MAX";
        page.set(doc, "prepared_bytes_max", number(checks.prepared_bytes_max));
        page.web_identity(web_identity);
        page.table("log");
        page.set("human or json. WRIT_LOG_FORMAT", "format", log.format.as_str());
        page.set("EnvFilter directives. WRIT_LOG", "filter", log.filter.as_str());
        page.table("otlp");
        page.may("OTLP/gRPC collector. WRIT_OTLP_ENDPOINT", "endpoint", otlp.endpoint.clone());
        page.text
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// A TOML page in the making.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn table(&mut self, name: &str) {
        self.line(format_args!("\n[{name}]"));
    }

    fn set(&mut self, doc: &str, key: &str, value: impl Into<toml::Value>) {
        self.line(format_args!("# {doc}\n{key} = {}", value.into()));
    }

    /// A setting that may be unset: shown as a comment then.
    fn may(&mut self, doc: &str, key: &str, value: Option<String>) {
        match value {
            Some(value) => self.set(doc, key, value),
            None => self.line(format_args!("# {doc}\n# {key} = \"\"")),
        }
    }

    fn web_identity(&mut self, web_identity: &WebIdentity) {
        let WebIdentity { key_files, ca_file, private_addresses } = web_identity;
        self.table("web_identity");
        let doc = "https://ISSUER=FILE: keys of who is not asked. WRIT_WEB_IDENTITY_KEY_FILES";
        self.set(doc, "key_files", toml::Value::from(key_files.clone()));
        let doc = "Whom issuers' hosts must be vouched for by. WRIT_WEB_IDENTITY_CA_FILE";
        self.may(doc, "ca_file", ca_file.as_deref().map(path));
        let doc = "Hosts in private networks too. WRIT_WEB_IDENTITY_PRIVATE_ADDRESSES";
        self.set(doc, "private_addresses", *private_addresses);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a String takes any text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "kek_file = \"k\"\n[node]\nregion = \"eu\"\n[join]\ntoken = \"hush-hush\"\n";

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let flags = Flags { region: Some("us".to_owned()), ..Flags::default() };
        let config = Config::effective(flags, FILE).unwrap();
        assert_eq!(config.node.region, "us");
        assert_eq!(config.kek_file, Some(PathBuf::from("k")));
        assert_eq!(config.listen, Listen::default());
        assert_eq!(Config::effective(Flags::default(), FILE).unwrap().node.region, "eu");
    }

    #[test]
    fn what_is_printed_parses_back_and_shows_no_secret() {
        let mut config = Config::effective(Flags::default(), FILE).unwrap();
        let page = config.documented();
        assert!(!page.contains("hush-hush") && !format!("{config:?}").contains("hush-hush"));
        config.join.token = None;
        assert_eq!(Config::effective(Flags::default(), &page).unwrap(), config);
    }

    #[test]
    fn contradictions_and_unknown_words_are_refused() {
        for file in [
            "",
            "kek_file = \"k\"\nport = 1",
            "kek_file = \"k\"\n[node]\nrole = \"replica\"",
            "init = true\n[node]\nrole = \"replica\"",
            "kek_file = \"k\"\ninit = true\n[join]\naddresses = [\"a:1\"]",
            "kek_file = \"k\"\n[node]\nregion = \"\"",
            "kek_file = \"k\"\n[cluster]\nevict_after_s = 9",
            "kek_file = \"k\"\n[snapshots]\nevery_records = 0",
            "kek_file = \"k\"\n[snapshots]\nevery_bytes = 0",
            "kek_file = \"k\"\n[snapshots]\ncheck_every_s = 0",
        ] {
            let config = Config::effective(Flags::default(), file);
            assert!(config.and_then(Config::checked).is_err(), "{file}");
        }
    }

    #[test]
    fn join_addresses_are_limited() {
        let with = |n| {
            let join = vec!["a:1".to_owned(); n];
            let flags = Flags { join, ..Flags::default() };
            Config::effective(flags, "kek_file = \"k\"").and_then(Config::checked)
        };
        assert!(with(JOIN_ADDRESSES_MAX).is_ok());
        assert!(with(JOIN_ADDRESSES_MAX + 1).is_err());
    }
}
