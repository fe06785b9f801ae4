//! Where the cluster is and how to know it: the context file that `writ dev` writes, or an
//! operator.
//!
//! **Invariants.** `WRIT_CONTEXT_FILE` wins over `~/.config/writ/context.toml`, that over
//! `./writ-dev/context.toml`. A word that is not known here is an error.
//!
//! **Must not know:** what is asked of the cluster.

use std::path::{Path, PathBuf};

use model::Secret;
use serde::{Deserialize, Serialize};

use crate::{Environment, exit::Error};

/// A cluster's nodes, its CA, and maybe credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The CA's certificate, PEM.
    pub ca_pem: String,
    /// Whom to ask, in this order.
    pub nodes: Vec<ContextNode>,
    /// Credentials, if no others are set.
    #[serde(default)]
    pub credentials: Option<ContextCredentials>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextNode {
    /// Its number.
    pub id: u32,
    /// `writer` or `replica`.
    pub role: String,
    /// Its region.
    pub region: String,
    /// `host:port` of its gRPC.
    pub grpc: String,
}

impl ContextNode {
    pub(crate) fn is_replica(&self) -> bool {
        self.role == "replica"
    }
}

/// Credentials in a context file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextCredentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    #[serde(deserialize_with = "secret")]
    pub secret_access_key: Secret<String>,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(from).map(Secret::new)
}

impl Context {
    /// Reads the context file.
    ///
    /// # Errors
    /// When there is none, or it is not what it should be.
    pub fn load(environment: &Environment) -> Result<Self, Error> {
        let path = Self::path(environment)
            .ok_or_else(|| Error::Usage("no context file: set WRIT_CONTEXT_FILE".to_owned()))?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Error::Usage(format!("cannot read `{}`: {error}", path.display())))?;
        Self::parse(&text)
            .map_err(|error| Error::Usage(format!("`{}` is wrong: {error}", path.display())))
    }

    fn path(environment: &Environment) -> Option<PathBuf> {
        if let Some(path) = environment.get("WRIT_CONTEXT_FILE") {
            return Some(PathBuf::from(path));
        }
        let home = environment.get("HOME").map(|home| Path::new(home).join(".config"));
        let config = environment.get("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
        let own = config.map(|config| config.join("writ/context.toml"));
        let dev = Some(PathBuf::from("writ-dev/context.toml"));
        [own, dev].into_iter().flatten().find(|path| path.exists())
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own message may quote the line: it may be the one with the secret.
        let context: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if context.nodes.is_empty() {
            return Err("it names no node".to_owned());
        }
        Ok(context)
    }

    /// The file's text for these parts, as [`Context::load`] reads it.
    pub fn write(
        ca_pem: &str,
        nodes: &[ContextNode],
        access_key_id: &str,
        secret_access_key: &Secret<String>,
    ) -> String {
        use toml::{Table, Value};
        let credentials = Table::from_iter([
            ("access_key_id".to_owned(), Value::from(access_key_id)),
            ("secret_access_key".to_owned(), Value::from(secret_access_key.expose().as_str())),
        ]);
        let nodes = nodes.iter().map(|node| {
            let ContextNode { id, role, region, grpc } = node;
            Value::Table(Table::from_iter([
                ("id".to_owned(), Value::from(*id)),
                ("role".to_owned(), Value::from(role.as_str())),
                ("region".to_owned(), Value::from(region.as_str())),
                ("grpc".to_owned(), Value::from(grpc.as_str())),
            ]))
        });
        let file = Table::from_iter([
            ("ca_pem".to_owned(), Value::from(ca_pem)),
            ("nodes".to_owned(), Value::Array(nodes.collect())),
            ("credentials".to_owned(), Value::Table(credentials)),
        ]);
        file.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> ContextNode {
        ContextNode {
            id: 1,
            role: "writer".to_owned(),
            region: "eu".to_owned(),
            grpc: "127.0.0.1:7401".to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let secret = Secret::new("hush".to_owned());
        let text = Context::write("-----BEGIN\nx\n", &[node()], "AKIA", &secret);
        let context = Context::parse(&text).unwrap();
        assert_eq!((context.ca_pem.as_str(), context.nodes), ("-----BEGIN\nx\n", vec![node()]));
        let credentials = context.credentials.unwrap();
        assert_eq!(credentials.access_key_id, "AKIA");
        assert_eq!(credentials.secret_access_key, secret);
    }

    #[test]
    fn a_wrong_file_is_refused_without_showing_its_secret() {
        for text in [
            "",
            "ca_pem = \"\"\nnodes = []",
            "ca_pem = \"\"\nnodes = []\n[credentials]\naccess_key_id = \"a\"\nsecret = \"hush\"",
        ] {
            let error = Context::parse(text).map(|_| ()).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn the_variable_wins() {
        let environment = Environment::of([("WRIT_CONTEXT_FILE", "/x"), ("HOME", "/nowhere")]);
        assert_eq!(Context::path(&environment), Some(PathBuf::from("/x")));
        let environment = Environment::of([("HOME", "/nowhere")]);
        assert_eq!(Context::path(&environment), None);
    }
}
