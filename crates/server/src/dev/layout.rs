//! The directory of a development cluster: what is where, and what tells others about it.
//!
//! **Invariants.** Files with keys are readable by their owner only and appear whole.
//!
//! **Must not know:** processes, calls.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use cli::context::{Context, ContextNode};
use model::Secret;
use serde_json::{Value, json};

use super::{Account, DevArguments, DevError, Place};
use crate::{
    config::Role,
    home::{self, Home},
    random,
};

const KEK_FILE: &str = "kek";
const SHAPE_FILE: &str = "shape.json";
const ACCOUNT_FILE: &str = "account.json";
const RESULT_FILE: &str = "dev.json";
const CONTEXT_FILE: &str = "context.toml";
/// What a shell reads to use the cluster: `. DIRECTORY/env`.
const ENV_FILE: &str = "env";
/// The region all nodes are in.
pub(super) const REGION: &str = "local";

/// Where everything of a cluster is.
pub(super) struct Layout {
    directory: PathBuf,
    base_port: u16,
    relayed: bool,
    places: Vec<Place>,
    resumed: bool,
}

impl Layout {
    /// Takes a directory, or the cluster that is in it.
    pub(super) fn open(arguments: &DevArguments) -> Result<Self, DevError> {
        home::create_dir(&arguments.data_dir)?;
        let directory = absolute(&arguments.data_dir)?;
        let DevArguments { base_port, relayed, .. } = *arguments;
        let mut layout = Self { directory, base_port, relayed, places: Vec::new(), resumed: false };
        layout.withdraw();
        let (writers, replicas) = match layout.read_json(SHAPE_FILE)? {
            None => (arguments.nodes.unwrap_or(3), arguments.replicas.unwrap_or(1)),
            Some(shape) => layout.check_shape(&shape, arguments)?,
        };
        let shape = json!({ "writers": writers, "replicas": replicas });
        home::write(&layout.directory, SHAPE_FILE, shape.to_string().as_bytes())?;
        layout.places = (1..=writers + replicas)
            .map(|number| {
                let role = if number <= writers { Role::Writer } else { Role::Replica };
                Place { number, role }
            })
            .collect();
        layout.resumed = layout.places.iter().all(|place| layout.has_joined(place));
        if !layout.kek_file().exists() {
            let key: [u8; 32] = random::bytes();
            let hex = key.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            home::write(&layout.directory, KEK_FILE, hex.as_bytes())?;
        }
        Ok(layout)
    }

    fn check_shape(&self, shape: &Value, arguments: &DevArguments) -> Result<(u32, u32), DevError> {
        let count = |name: &str| {
            let count = shape.get(name).and_then(Value::as_u64);
            let count = count.and_then(|count| u32::try_from(count).ok());
            count.ok_or_else(|| self.damaged(SHAPE_FILE, format!("`{name}` is missing")))
        };
        let (writers, replicas) = (count("writers")?, count("replicas")?);
        let same = arguments.nodes.unwrap_or(writers) == writers
            && arguments.replicas.unwrap_or(replicas) == replicas;
        if same {
            return Ok((writers, replicas));
        }
        let path = self.directory.clone();
        let (writers, replicas) = (writers as usize, replicas as usize);
        Err(DevError::Different { path, writers, replicas })
    }

    /// Every node's place, in order.
    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether all nodes have been there before.
    pub(super) fn resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn kek_file(&self) -> PathBuf {
        self.directory.join(KEK_FILE)
    }

    pub(super) fn node_dir(&self, place: &Place) -> PathBuf {
        self.directory.join(format!("node{}", place.number))
    }

    /// `host:port` of a node's AWS API (0), gRPC (1) or operations (2).
    pub(super) fn address(&self, place: &Place, service: u16) -> String {
        let number = u16::try_from(place.number).unwrap_or(u16::MAX);
        let offset = number.saturating_sub(1).saturating_mul(10).saturating_add(service);
        format!("127.0.0.1:{}", self.base_port.saturating_add(offset))
    }

    /// `host:port` at which other nodes reach a node's gRPC, where it is not what it listens on.
    pub(super) fn relay(&self, place: &Place) -> Option<String> {
        self.relayed.then(|| self.address(place, 3))
    }

    /// Whether the node is a member of the cluster already.
    pub(super) fn has_joined(&self, place: &Place) -> bool {
        self.node_dir(place).join("node.toml").exists()
    }

    /// Who a node became.
    pub(super) fn home(&self, place: &Place) -> Result<Home, DevError> {
        let directory = self.node_dir(place);
        let home = Home::load(&directory)?;
        home.ok_or_else(|| self.damaged("node.toml", "it is missing".to_owned()))
    }

    /// The account, if it was made before.
    pub(super) fn account(&self) -> Result<Option<Account>, DevError> {
        let Some(file) = self.read_json(ACCOUNT_FILE)? else { return Ok(None) };
        let field = |name: &str| {
            let text = file.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| self.damaged(ACCOUNT_FILE, format!("`{name}` is missing")))
        };
        Ok(Some(Account {
            account_id: field("account_id")?,
            access_key_id: field("access_key_id")?,
            secret_access_key: Secret::new(field("secret_access_key")?),
        }))
    }

    /// Keeps the account's key: it is shown only once.
    pub(super) fn save_account(&self, account: &Account) -> Result<(), DevError> {
        let file = account_json(account);
        Ok(home::write(&self.directory, ACCOUNT_FILE, file.to_string().as_bytes())?)
    }

    /// Tells others: `context.toml` and `env`, then `dev.json`.
    pub(super) fn publish(&self, account: &Account, pids: &[u32]) -> Result<(), DevError> {
        let mut nodes = Vec::new();
        let mut context = Vec::new();
        let mut ca_pem = String::new();
        for (place, pid) in self.places.iter().zip(pids) {
            let home = self.home(place)?;
            nodes.push(json!({
                "id": home.node,
                "role": home.role.as_str(),
                "region": home.region,
                "aws_endpoint": format!("http://{}", self.address(place, 0)),
                "grpc_endpoint": format!("https://{}", self.address(place, 1)),
                "pid": pid,
                "data_dir": self.node_dir(place).display().to_string(),
            }));
            context.push(ContextNode {
                id: home.node,
                role: home.role.as_str().to_owned(),
                region: home.region,
                grpc: self.address(place, 1),
            });
            ca_pem = home.ca_pem;
        }
        let Account { account_id: _, access_key_id, secret_access_key } = account;
        let context = Context::write(&ca_pem, &context, access_key_id, secret_access_key);
        home::write(&self.directory, CONTEXT_FILE, context.as_bytes())?;
        home::write(&self.directory, ENV_FILE, self.exports(account).as_bytes())?;
        let mut result = account_json(account);
        if let Some(fields) = result.as_object_mut() {
            fields.insert("nodes".to_owned(), Value::Array(nodes));
        }
        Ok(home::write(&self.directory, RESULT_FILE, format!("{result:#}\n").as_bytes())?)
    }

    /// The cluster is not (any more) what `dev.json` says.
    pub(super) fn withdraw(&self) {
        let path = self.directory.join(RESULT_FILE);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "cannot remove");
        }
    }

    /// What people want to know once it runs.
    pub(super) fn greeting(&self, account: &Account) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("a String takes any text");
        };
        for place in &self.places {
            let (aws, grpc) = (self.address(place, 0), self.address(place, 1));
            let role = place.role.as_str();
            line(format_args!("node {:2}  {role:7}  http://{aws}  grpc {grpc}", place.number));
        }
        line(format_args!("\n{}", self.exports(account)));
        text
    }

    /// What makes AWS's clients and `writ` use the cluster.
    fn exports(&self, account: &Account) -> String {
        let endpoint = self.places.first().map(|place| self.address(place, 0)).unwrap_or_default();
        let context = self.directory.join(CONTEXT_FILE);
        format!(
            "export AWS_ENDPOINT_URL=http://{endpoint}\n\
             export AWS_REGION=us-east-1\n\
             export AWS_DEFAULT_REGION=us-east-1\n\
             export AWS_ACCESS_KEY_ID={}\n\
             export AWS_SECRET_ACCESS_KEY={}\n\
             export WRIT_CONTEXT_FILE='{}'\n",
            account.access_key_id,
            account.secret_access_key.expose(),
            context.display()
        )
    }

    fn read_json(&self, name: &str) -> Result<Option<Value>, DevError> {
        let path = self.directory.join(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.damaged(name, error.to_string())),
        };
        // The parser's message gives a line and a column, never the text.
        let value = serde_json::from_str(&text);
        value.map(Some).map_err(|error| self.damaged(name, error.to_string()))
    }

    fn damaged(&self, name: &str, why: String) -> DevError {
        DevError::Damaged { path: self.directory.join(name), why }
    }
}

fn account_json(account: &Account) -> Value {
    json!({
        "account_id": account.account_id,
        "access_key_id": account.access_key_id,
        "secret_access_key": account.secret_access_key.expose(),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, DevError> {
    fs::canonicalize(path)
        .map_err(|error| DevError::Damaged { path: path.to_owned(), why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(directory: &Path, nodes: Option<u32>) -> DevArguments {
        DevArguments {
            nodes,
            replicas: nodes.map(|_| 1),
            data_dir: directory.to_owned(),
            base_port: 7400,
            relayed: false,
            account_id: "123456789012".parse().unwrap(),
        }
    }

    #[test]
    fn a_directory_keeps_its_shape() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(&arguments(directory.path(), Some(2))).unwrap();
        let roles: Vec<_> = layout.places().iter().map(|place| place.role.as_str()).collect();
        assert_eq!(roles, ["writer", "writer", "replica"]);
        assert!(!layout.resumed());
        let again = Layout::open(&arguments(directory.path(), None)).unwrap();
        assert_eq!(again.places(), layout.places());
        let other = Layout::open(&arguments(directory.path(), Some(3)));
        assert!(matches!(other, Err(DevError::Different { writers: 2, replicas: 1, .. })));
    }

    #[test]
    fn the_key_encryption_key_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let key = || {
            let layout = Layout::open(&arguments(directory.path(), None)).unwrap();
            fs::read_to_string(layout.kek_file()).unwrap()
        };
        let first = key();
        assert_eq!((first.len(), key()), (64, first));
    }

    #[test]
    fn ports_are_ten_apart_and_the_account_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(&arguments(directory.path(), None)).unwrap();
        let place = Place { number: 3, role: Role::Writer };
        assert_eq!(layout.address(&place, 2), "127.0.0.1:7422");
        assert_eq!(layout.relay(&place), None);
        let relayed = DevArguments { relayed: true, ..arguments(directory.path(), None) };
        let relayed = Layout::open(&relayed).unwrap();
        assert_eq!(relayed.relay(&place).as_deref(), Some("127.0.0.1:7423"));
        let account = Account {
            account_id: "1".to_owned(),
            access_key_id: "A".to_owned(),
            secret_access_key: Secret::new("s".to_owned()),
        };
        assert_eq!(layout.account().unwrap(), None);
        layout.save_account(&account).unwrap();
        assert_eq!(layout.account().unwrap(), Some(account));
    }
}
