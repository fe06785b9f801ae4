//! The data directory's files beside the store: who the node is, and its certificate.
//!
//! `node.toml` is written last: a directory that has one is a node's, complete.
//!
//! **Invariants.** Files appear whole or not at all (temporary name, flush, rename, flush of the
//! directory). The key is readable by its owner only. A directory of another format is not touched.
//!
//! **Must not know:** how a node comes by its id and its certificate.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use model::Secret;
use rpc::tls::Identity;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::{Message as _, v1};

use crate::config::Role;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;
const NODE_FILE: &str = "node.toml";
const CA_FILE: &str = "ca.pem";
const CHAIN_FILE: &str = "node.pem";
const KEY_FILE: &str = "node.key";
const ROSTER_FILE: &str = "first-roster.pb";
/// Holds the reason why the node must never start again.
pub const FENCE_FILE: &str = "fenced";
const STORE_DIR: &str = "store";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum HomeError {
    /// The operating system says no.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A file that is not what this version writes.
    #[error("`{}` is damaged: {why}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// Another version's directory.
    #[error("`{}` has format {found}; this version reads format {FORMAT}", path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A first start that did not come to its end.
    #[error(
        "`{}` holds a store but no `node.toml`: its first start was cut off; remove it, and begin \
         again with a new join token or with `init`",
        path.display()
    )]
    Unfinished {
        /// The directory.
        path: PathBuf,
    },
    /// The node must never write or answer again.
    #[error(
        "`{}` must not start again: {why}; a node comes back with an empty directory and a new \
         join token",
        path.display()
    )]
    Fenced {
        /// The directory.
        path: PathBuf,
        /// In words.
        why: String,
    },
    /// The configuration says something else than the directory.
    #[error("`{}` is of a {found} in region `{region}`, not of what is configured", path.display())]
    Different {
        /// The directory.
        path: PathBuf,
        /// The role it was made for.
        found: &'static str,
        /// The region it was made for.
        region: String,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HomeError {
    move |source| HomeError::Io { doing, path: path.to_owned(), source }
}

/// Who a node is, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    format: u32,
    cluster_id: String,
    node: u32,
    role: String,
    region: String,
}

/// Who this node is, and what it proves it with.
#[derive(Clone, Debug)]
pub struct Home {
    /// The cluster's id.
    pub cluster_id: String,
    /// The node's number.
    pub node: u32,
    /// Writer or replica.
    pub role: Role,
    /// Its region.
    pub region: String,
    /// Its certificate and key.
    pub identity: Identity,
    /// The CA's certificate, PEM.
    pub ca_pem: String,
    /// The members when it joined: whom it believes until the control plane's state arrives.
    pub first_roster: Vec<v1::RosterEntry>,
}

/// Where the store lives.
pub fn store_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(STORE_DIR)
}

/// Makes the data directory, for its owner only.
///
/// # Errors
/// When the operating system says no.
pub fn create_dir(data_dir: &Path) -> Result<(), HomeError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(io_error("create", data_dir))
}

impl Home {
    /// The node whose directory this is; `None` if it is nobody's yet.
    ///
    /// # Errors
    /// When it is damaged, unfinished, or of another format.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, HomeError> {
        let path = data_dir.join(NODE_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = data_dir.to_owned();
                return match store_dir(data_dir).exists() {
                    true => Err(HomeError::Unfinished { path }),
                    false => Ok(None),
                };
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let NodeFile { format: _, cluster_id, node, role, region } = parse_node(&path, &text)?;
        let role = match role.as_str() {
            "writer" => Role::Writer,
            "replica" => Role::Replica,
            _ => return Err(damaged(&path, format!("`{role}` is no role"))),
        };
        let identity = Identity {
            chain_pem: read(data_dir, CHAIN_FILE)?,
            key_pem: Secret::new(read(data_dir, KEY_FILE)?),
        };
        let ca_pem = read(data_dir, CA_FILE)?;
        let first_roster = load_roster(&data_dir.join(ROSTER_FILE))?;
        Ok(Some(Self { cluster_id, node, role, region, identity, ca_pem, first_roster }))
    }

    /// The CA's certificate, DER.
    ///
    /// # Errors
    /// When the file holds no certificate.
    pub fn ca_der(&self) -> Result<Vec<u8>, HomeError> {
        let parsed = CertificateDer::from_pem_slice(self.ca_pem.as_bytes());
        let certificate = parsed.map_err(|error| damaged(Path::new(CA_FILE), error.to_string()))?;
        Ok(certificate.to_vec())
    }

    /// Refuses a configuration that says something else than the directory, and a directory whose
    /// node is fenced.
    ///
    /// # Errors
    /// When role or region differ, or the node must never start again.
    pub fn check(&self, data_dir: &Path, role: Role, region: &str) -> Result<(), HomeError> {
        let fence = data_dir.join(FENCE_FILE);
        match fs::read_to_string(&fence) {
            Ok(why) => return Err(HomeError::Fenced { path: data_dir.to_owned(), why }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error("read", &fence)(error)),
        }
        if self.role == role && self.region == region {
            return Ok(());
        }
        let (path, found) = (data_dir.to_owned(), self.role.as_str());
        Err(HomeError::Different { path, found, region: self.region.clone() })
    }

    /// Writes everything, `node.toml` last.
    ///
    /// # Errors
    /// When the operating system says no.
    pub fn save(&self, data_dir: &Path) -> Result<(), HomeError> {
        let Self { cluster_id, node, role, region, identity, ca_pem, first_roster } = self;
        write(data_dir, KEY_FILE, identity.key_pem.expose().as_bytes())?;
        write(data_dir, CHAIN_FILE, identity.chain_pem.as_bytes())?;
        write(data_dir, CA_FILE, ca_pem.as_bytes())?;
        let roster = v1::JoinReply { roster: first_roster.clone(), ..v1::JoinReply::default() };
        write(data_dir, ROSTER_FILE, &roster.encode_to_vec())?;
        let file = NodeFile {
            format: FORMAT,
            cluster_id: cluster_id.clone(),
            node: *node,
            role: role.as_str().to_owned(),
            region: region.clone(),
        };
        let text = toml::to_string(&file)
            .map_err(|error| damaged(&data_dir.join(NODE_FILE), error.to_string()))?;
        write(data_dir, NODE_FILE, text.as_bytes())
    }
}

fn parse_node(path: &Path, text: &str) -> Result<NodeFile, HomeError> {
    let file: toml::Table = toml::from_str(text).map_err(|e| damaged(path, e.to_string()))?;
    // The format is looked at before the rest: another one may have other fields.
    let found = file.get("format").and_then(toml::Value::as_integer).unwrap_or_default();
    let found = u32::try_from(found).unwrap_or_default();
    if found != FORMAT {
        return Err(HomeError::Format { path: path.to_owned(), found });
    }
    file.try_into().map_err(|error: toml::de::Error| damaged(path, error.to_string()))
}

fn load_roster(path: &Path) -> Result<Vec<v1::RosterEntry>, HomeError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let reply = v1::JoinReply::decode(bytes.as_slice());
    Ok(reply.map_err(|error| damaged(path, error.to_string()))?.roster)
}

fn damaged(path: &Path, why: String) -> HomeError {
    HomeError::Damaged { path: path.to_owned(), why }
}

fn read(data_dir: &Path, name: &str) -> Result<String, HomeError> {
    let path = data_dir.join(name);
    fs::read_to_string(&path).map_err(io_error("read", &path))
}

/// Writes a file for its owner only, whole or not at all.
///
/// # Errors
/// When the operating system says no.
pub fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.new"));
    let written = || {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    };
    written().map_err(io_error("write", &path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn home() -> Home {
        Home {
            cluster_id: "c".to_owned(),
            node: 7,
            role: Role::Replica,
            region: "eu".to_owned(),
            identity: Identity {
                chain_pem: "chain".to_owned(),
                key_pem: Secret::new("key".to_owned()),
            },
            ca_pem: "ca".to_owned(),
            first_roster: vec![v1::RosterEntry { node: 1, ..v1::RosterEntry::default() }],
        }
    }

    #[test]
    fn what_is_saved_is_loaded_and_the_key_is_the_owners() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Home::load(directory.path()).unwrap().is_none());
        home().save(directory.path()).unwrap();
        let loaded = Home::load(directory.path()).unwrap().unwrap();
        assert_eq!((loaded.node, loaded.role, loaded.cluster_id.as_str()), (7, Role::Replica, "c"));
        assert_eq!(loaded.first_roster, home().first_roster);
        let mode = fs::metadata(directory.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(loaded.check(directory.path(), Role::Replica, "eu").is_ok());
        assert!(loaded.check(directory.path(), Role::Writer, "eu").is_err());
        assert!(loaded.check(directory.path(), Role::Replica, "us").is_err());
        write(directory.path(), FENCE_FILE, b"it was removed").unwrap();
        let fenced = loaded.check(directory.path(), Role::Replica, "eu").unwrap_err();
        assert!(fenced.to_string().contains("must not start again: it was removed"), "{fenced}");
    }

    #[test]
    fn directories_of_others_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let load = || Home::load(directory.path()).map(|_| ()).unwrap_err();
        write(directory.path(), NODE_FILE, b"format = 2\nwhatever = 1").unwrap();
        assert!(matches!(load(), HomeError::Format { found: 2, .. }));
        write(directory.path(), NODE_FILE, b"format = 1\nwhatever = 1").unwrap();
        assert!(matches!(load(), HomeError::Damaged { .. }));
        fs::remove_file(directory.path().join(NODE_FILE)).unwrap();
        fs::create_dir(store_dir(directory.path())).unwrap();
        assert!(matches!(load(), HomeError::Unfinished { .. }));
    }
}
