//! `writ status`: the cluster as one node sees it.
//!
//! **Must not know:** how a node knows.

use std::fmt::Write as _;

use rpc::v1::cluster_client::ClusterClient;
use serde_json::{Value, json};
use wire::v1::{
    GetStatusReply, GetStatusRequest, NodeState, NodeStatus, Role, RosterEntry, VersionVector,
    node_status::DigestState,
};

use crate::{
    Common, Environment, Exit, Output,
    arguments::{self, Format},
    exit::Error,
    session::{Prefer, Session, request},
};

pub(crate) async fn run(
    arguments: arguments::Status,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let session = Session::new(environment)?;
    let connection = session.connect_any(&arguments.common, Prefer::Writers).await?;
    let reply = ClusterClient::new(connection).get_status(request(GetStatusRequest {})).await;
    let reply = reply.map_err(Error::Refused)?.into_inner();
    let text = match arguments.output {
        Format::Table => table(&reply),
        Format::Json => format!("{:#}\n", json(&reply)),
    };
    output.result(&text)?;
    Ok(Exit::Ok)
}

/// What a cluster has, as one node knows it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The cluster's id.
    pub cluster_id: String,
    /// The nodes that were removed.
    pub removed: Vec<u32>,
    /// What each member has on its disk.
    pub durable: Vec<VersionVector>,
}

/// Asks a writer what the members have.
///
/// # Errors
/// When none answers, or it refuses.
pub async fn known(common: &Common, environment: &Environment) -> Result<Known, Error> {
    let session = Session::new(environment)?;
    let connection = session.connect_any(common, Prefer::Writers).await?;
    let reply = ClusterClient::new(connection).get_status(request(GetStatusRequest {})).await;
    Ok(known_of(reply.map_err(Error::Refused)?.into_inner()))
}

fn known_of(reply: GetStatusReply) -> Known {
    let GetStatusReply { cluster_id, nodes, .. } = reply;
    let (mut removed, mut durable) = (Vec::new(), Vec::new());
    for status in nodes {
        let entry = status.entry.unwrap_or_default();
        if entry.state() == NodeState::Removed {
            removed.push(entry.node);
        } else {
            durable.extend(status.durable);
        }
    }
    Known { cluster_id, removed, durable }
}

const HEADINGS: [&str; 9] =
    ["NODE", "ROLE", "STATE", "REGION", "LINK", "HEARD", "LAG", "DIGEST", "VISIBLE"];

fn table(reply: &GetStatusReply) -> String {
    let GetStatusReply { cluster_id, node, leader, term, nodes } = reply;
    let leader_text = if *leader == 0 { "none".to_owned() } else { format!("node {leader}") };
    let mut text = format!(
        "cluster {cluster_id}, as node {node} sees it; leader: {leader_text}, term {term}\n"
    );
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(nodes.iter().map(|status| row(status, *node, *leader)));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).filter_map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(text, "{}", line.trim_end()).expect("a String takes any text");
    }
    text
}

fn row(status: &NodeStatus, me: u32, leader: u32) -> [String; 9] {
    let entry = status.entry.clone().unwrap_or_default();
    let is_me = entry.node == me;
    let mark = if entry.node == leader { "*" } else { "" };
    let link = if is_me {
        "self"
    } else if status.connected {
        "up"
    } else {
        "down"
    };
    let heard = if is_me { "-".to_owned() } else { format!("{} ms", status.heard_ms) };
    [
        format!("{}{mark}", entry.node),
        role(&entry).to_owned(),
        state(&entry).to_owned(),
        entry.region.clone(),
        link.to_owned(),
        heard,
        status.lag.to_string(),
        digest(status).to_owned(),
        vector(status.visible.as_ref()),
    ]
}

fn role(entry: &RosterEntry) -> &'static str {
    match entry.role() {
        Role::Writer => "writer",
        Role::Replica => "replica",
        Role::Unspecified => "?",
    }
}

fn state(entry: &RosterEntry) -> &'static str {
    match entry.state() {
        NodeState::Joining => "joining",
        NodeState::Active => "active",
        NodeState::Removed => "removed",
        NodeState::Unspecified => "?",
    }
}

fn digest(status: &NodeStatus) -> &'static str {
    match status.digest() {
        DigestState::Equal => "equal",
        DigestState::Different => "DIFFERENT",
        DigestState::Unknown => "unknown",
    }
}

/// `1:40 2:12`.
fn vector(vector: Option<&VersionVector>) -> String {
    let dots = vector.map(|vector| vector.dots.as_slice()).unwrap_or_default();
    let dots = dots.iter().map(|dot| format!("{}:{}", dot.node, dot.seq));
    dots.collect::<Vec<_>>().join(" ")
}

fn json(reply: &GetStatusReply) -> Value {
    let GetStatusReply { cluster_id, node, leader, term, nodes } = reply;
    json!({
        "cluster_id": cluster_id,
        "node": node,
        "leader": (*leader != 0).then_some(leader),
        "term": term,
        "nodes": nodes.iter().map(node_json).collect::<Vec<_>>(),
    })
}

fn node_json(status: &NodeStatus) -> Value {
    let NodeStatus { entry, connected, visible, durable, heard_ms, lag, digest: _ } = status;
    let entry = entry.clone().unwrap_or_default();
    json!({
        "node": entry.node,
        "epoch": entry.epoch,
        "role": role(&entry),
        "state": state(&entry),
        "region": entry.region,
        "grpc_address": entry.grpc_address,
        "aws_address": entry.aws_address,
        "connected": connected,
        "visible": vector_json(visible.as_ref()),
        "durable": vector_json(durable.as_ref()),
        "heard_ms": heard_ms,
        "lag": lag,
        "digest": digest(status).to_lowercase(),
    })
}

fn vector_json(vector: Option<&VersionVector>) -> Value {
    let dots = vector.map(|vector| vector.dots.as_slice()).unwrap_or_default();
    Value::Object(dots.iter().map(|dot| (dot.node.to_string(), Value::from(dot.seq))).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use wire::v1::Dot;

    use super::*;

    fn reply() -> GetStatusReply {
        let node = |node, role: Role, digest: DigestState| NodeStatus {
            entry: Some(RosterEntry {
                node,
                role: role.into(),
                state: NodeState::Active.into(),
                region: "eu".to_owned(),
                ..RosterEntry::default()
            }),
            connected: node == 2,
            visible: Some(VersionVector { dots: vec![Dot { node: 1, seq: 40 }] }),
            durable: None,
            heard_ms: 12,
            lag: 3,
            digest: digest.into(),
        };
        GetStatusReply {
            cluster_id: "c".to_owned(),
            node: 1,
            leader: 2,
            term: 5,
            nodes: vec![
                node(1, Role::Writer, DigestState::Equal),
                node(2, Role::Writer, DigestState::Different),
                node(3, Role::Replica, DigestState::Unknown),
            ],
        }
    }

    #[test]
    fn the_table_shows_who_leads_and_who_differs() {
        expect![[r#"
            cluster c, as node 1 sees it; leader: node 2, term 5
            NODE  ROLE     STATE   REGION  LINK  HEARD  LAG  DIGEST     VISIBLE
            1     writer   active  eu      self  -      3    equal      1:40
            2*    writer   active  eu      up    12 ms  3    DIFFERENT  1:40
            3     replica  active  eu      down  12 ms  3    unknown    1:40
        "#]]
        .assert_eq(&table(&reply()));
    }

    #[test]
    fn the_json_has_every_field() {
        let value = json(&GetStatusReply { nodes: reply().nodes.split_off(1), ..reply() });
        expect![[r#"{"cluster_id":"c","leader":2,"node":1,"nodes":[{"aws_address":"","connected":true,"digest":"different","durable":{},"epoch":0,"grpc_address":"","heard_ms":12,"lag":3,"node":2,"region":"eu","role":"writer","state":"active","visible":{"1":40}},{"aws_address":"","connected":false,"digest":"unknown","durable":{},"epoch":0,"grpc_address":"","heard_ms":12,"lag":3,"node":3,"region":"eu","role":"replica","state":"active","visible":{"1":40}}],"term":5}"#]].assert_eq(&value.to_string());
    }
}
