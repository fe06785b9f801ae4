//! What can be typed after `writ`.
//!
//! **Invariants.** What a message cannot carry is refused here, before anything is sent.
//!
//! **Must not know:** how a command is carried out.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use model::{AccountId, Constraint};

use crate::duration;

/// A command of an operator.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// The cluster's nodes: roles, versions, lag, leader, whether replicas agree.
    Status(Status),
    /// Wait until a change is where it should be. Exit 0: it is; 3: it is not.
    Wait(Wait),
    /// May this principal do this? Exit 0: allowed; 4: denied.
    Check(Check),
    /// Policy documents in files.
    #[command(subcommand)]
    Policy(Policy),
    /// Who may do what, and whose access a change of policies would change.
    #[command(subcommand)]
    Access(Access),
    /// What concurrent changes disagree on, and how it is settled.
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// One-time tokens with which nodes join.
    #[command(subcommand)]
    Token(Token),
    /// Accounts.
    #[command(subcommand)]
    Account(Account),
    /// Nodes.
    #[command(subcommand)]
    Node(Node),
}

/// What all commands take.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Ask this node (`host:port` of its gRPC) instead of those in the context.
    #[arg(long)]
    pub endpoint: Option<String>,
}

/// What commands take that change the cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct Admin {
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
    /// Call as the node whose data directory this is, with its certificate: for the machine of the
    /// first node, before there is an account with a key.
    #[arg(long, value_name = "DATA_DIR", requires = "endpoint")]
    pub as_node: Option<PathBuf>,
}

/// How a result looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `writ status`.
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// How the result looks.
    #[arg(short, long, default_value = "table")]
    pub output: Format,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// What a node must have done with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// It has it in memory.
    Received,
    /// It is on its disk.
    Durable,
    /// Every answer takes it into account.
    Visible,
    /// That, and the names of the account are confirmed.
    Confirmed,
    /// All members agree that every one of them has it: nothing concurrent with it can come.
    Stable,
}

/// `writ wait`.
#[derive(Clone, Debug, Args)]
pub struct Wait {
    /// A reply's x-writ-consistency-token. Without one: everything that any writer has.
    #[arg(long)]
    pub token: Option<String>,
    /// all, serving, quorum, regions (one node in each), region:NAME or node:ID[,ID...].
    #[arg(long, default_value = "all", value_parser = parse_scope)]
    pub scope: String,
    /// received, durable, visible, confirmed or stable.
    #[arg(long, default_value = "visible")]
    pub stage: Stage,
    /// How long to wait: 500ms, 10s, 5m.
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// `writ check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// ARN or unique id.
    #[arg(long)]
    pub principal: String,
    /// Such as s3:GetObject.
    #[arg(long)]
    pub action: String,
    /// ARN.
    #[arg(long)]
    pub resource: String,
    /// A condition key and a value; repeat it for more.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub context: Vec<(String, String)>,
    /// Decide on a state that has seen this token's changes.
    #[arg(long)]
    pub token: Option<String>,
    /// Say why, and what would have to be otherwise; needs writ:GetExplanation.
    #[arg(long)]
    pub explain: bool,
    /// Leave the statements out, which is the fastest answer.
    #[arg(long, conflicts_with = "explain")]
    pub verdict_only: bool,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// `writ access`.
#[derive(Clone, Debug, Subcommand)]
pub enum Access {
    /// The account's root, users and roles that may do an action on a resource, with the
    /// statements that let them; needs writ:ListPrincipalsWithAccess.
    WhoCan(WhoCan),
    /// What a principal's policies give access to, by service; needs writ:GetPrincipalAccess.
    WhatCan(WhatCan),
    /// Whose access would change with a policy's version or a group's policies; nothing is
    /// written. Needs writ:ComparePrincipalAccess.
    #[command(group(clap::ArgGroup::new("change").required(true).args(["policy", "group"])))]
    Compare(Compare),
}

/// `writ access who-can`.
#[derive(Clone, Debug, Args)]
pub struct WhoCan {
    /// Such as s3:GetObject.
    #[arg(long)]
    pub action: String,
    /// ARN.
    #[arg(long)]
    pub resource: String,
    /// A condition key and a value; repeat it for more.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub context: Vec<(String, String)>,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// `writ access what-can`.
#[derive(Clone, Debug, Args)]
pub struct WhatCan {
    /// ARN or unique id of a user, a role or root.
    #[arg(long)]
    pub principal: String,
    /// A condition key and a value; repeat it for more.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub context: Vec<(String, String)>,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// `writ access compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The managed policy of which another version is thought of, by ARN.
    #[arg(long, requires = "after")]
    pub policy: Option<String>,
    /// The version before; the default version unless given.
    #[arg(long, requires = "policy")]
    pub from: Option<String>,
    /// The version after, such as v2.
    #[arg(long, group = "after", requires = "policy")]
    pub to: Option<String>,
    /// A file with the document after.
    #[arg(long, group = "after", requires = "policy")]
    pub document: Option<PathBuf>,
    /// The group that would have other policies, by ARN.
    #[arg(long)]
    pub group: Option<String>,
    /// A policy that it would get, by ARN; repeat it for more.
    #[arg(long, requires = "group")]
    pub attach: Vec<String>,
    /// A policy that it would lose, by ARN; repeat it for more.
    #[arg(long, requires = "group")]
    pub detach: Vec<String>,
    /// A condition key and a value; repeat it for more.
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub context: Vec<(String, String)>,
    /// Whom to ask.
    #[command(flatten)]
    pub common: Common,
}

/// `writ policy`.
#[derive(Clone, Debug, Subcommand)]
pub enum Policy {
    /// What is wrong with a document, or likely to be. Exit 1: an error or a security warning.
    Lint(Lint),
}

/// `writ policy lint`.
#[derive(Clone, Debug, Args)]
pub struct Lint {
    /// The document.
    pub file: PathBuf,
    /// It is a role's trust policy.
    #[arg(long)]
    pub trust: bool,
}

/// `writ conflicts`.
#[derive(Clone, Debug, Subcommand)]
pub enum Conflicts {
    /// The account's open conflicts.
    List {
        /// How the result looks.
        #[arg(short, long, default_value = "table")]
        output: Format,
        /// Whom to ask.
        #[command(flatten)]
        common: Common,
    },
    /// Both sides of a conflict, what is withheld meanwhile, and the ways out.
    Show {
        /// Its id.
        #[arg(value_parser = parse_conflict)]
        id: String,
        /// How the result looks.
        #[arg(short, long, default_value = "table")]
        output: Format,
        /// Whom to ask.
        #[command(flatten)]
        common: Common,
    },
    /// Settle a conflict.
    #[command(group(clap::ArgGroup::new("choice").required(true).args(["keep", "remove"])))]
    Resolve {
        /// Its id.
        #[arg(value_parser = parse_conflict)]
        id: String,
        /// Keep the side with this number.
        #[arg(long, value_name = "SIDE")]
        keep: Option<u32>,
        /// Remove what is contested.
        #[arg(long)]
        remove: bool,
        /// Whom to ask.
        #[command(flatten)]
        common: Common,
    },
    /// A line for each conflict that appears or is gone, until stopped.
    Watch {
        /// Whom to ask.
        #[command(flatten)]
        common: Common,
    },
}

/// What a joining node becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Accepts writes.
    Writer,
    /// Answers reads and checks.
    Replica,
}

/// `writ token`.
#[derive(Clone, Debug, Subcommand)]
pub enum Token {
    /// A token for one node.
    Create {
        /// What the node becomes.
        #[arg(long, default_value = "writer")]
        role: Role,
        /// How long it can be used: 10m, 1h.
        #[arg(long, default_value = "1h", value_parser = duration::parse)]
        valid: Duration,
        /// Whom to ask, and as whom.
        #[command(flatten)]
        admin: Admin,
    },
}

/// `writ account`.
#[derive(Clone, Debug, Subcommand)]
pub enum Account {
    /// A new account, and its root user's first access key, shown once.
    Create {
        /// Twelve digits.
        #[arg(value_parser = parse_account)]
        account_id: AccountId,
        /// Whom to ask, and as whom.
        #[command(flatten)]
        admin: Admin,
    },
}

/// `writ node`.
#[derive(Clone, Debug, Subcommand)]
pub enum Node {
    /// Take a node out of the cluster, for good.
    Remove {
        /// Its number.
        node: u32,
        /// Whom to ask, and as whom.
        #[command(flatten)]
        admin: Admin,
    },
}

fn parse_scope(text: &str) -> Result<String, String> {
    let known = match text.split_once(':') {
        None => ["all", "serving", "quorum", "regions"].contains(&text),
        Some(("region", name)) => !name.is_empty(),
        Some(("node", ids)) => ids.split(',').all(|id| id.parse::<u32>().is_ok()),
        Some(_) => false,
    };
    let expected = || {
        let forms = "all, serving, quorum, regions, region:NAME or node:ID[,ID...]";
        format!("{forms} is expected")
    };
    known.then(|| text.to_owned()).ok_or_else(expected)
}

fn parse_conflict(text: &str) -> Result<String, String> {
    let known = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    known.then(|| text.to_ascii_lowercase()).ok_or_else(|| "20 hexadecimal digits".to_owned())
}

fn parse_account(text: &str) -> Result<AccountId, String> {
    text.parse().map_err(|constraint: Constraint| constraint.to_string())
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("KEY=VALUE is expected".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_six_forms() {
        for good in ["all", "serving", "quorum", "regions", "region:eu", "node:7", "node:7,8"] {
            assert_eq!(parse_scope(good), Ok(good.to_owned()));
        }
        for bad in ["", "every", "region:", "node:x", "node:", "node:1,", "rack:1", "all:1"] {
            assert!(parse_scope(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whoever_calls_as_a_node_says_which_node_to_ask() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            command: Command,
        }
        let parse = |line: &str| <Line as clap::Parser>::try_parse_from(line.split(' '));
        let create = "writ account create 123456789012";
        assert!(parse(&format!("{create} --as-node d")).is_err());
        let line = parse(&format!("{create} --as-node d --endpoint h:1")).map(|l| l.command);
        let Ok(Command::Account(Account::Create { admin, .. })) = line else {
            panic!("another command");
        };
        assert_eq!(admin.as_node, Some(PathBuf::from("d")));
    }

    #[test]
    fn a_conflict_is_named_by_twenty_digits() {
        let good = "00FF10203040506070a0";
        assert_eq!(parse_conflict(good), Ok("00ff10203040506070a0".to_owned()));
        for bad in ["", "00ff", "g0ff10203040506070a0", "00ff10203040506070a00"] {
            assert!(parse_conflict(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_context_value_may_contain_an_equal_sign() {
        assert_eq!(parse_pair("k=a=b"), Ok(("k".to_owned(), "a=b".to_owned())));
        assert!(parse_pair("k").is_err() && parse_pair("=v").is_err());
    }
}
