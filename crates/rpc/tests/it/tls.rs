//! Who may talk to whom.

use rpc::{
    client::{self, ServerName, Target, Trust},
    tls::{ANY_NODE, Identity, node_name},
    v1::reads_client::ReadsClient,
};
use wire::v1::QueryRequest;

use crate::cluster::{Ca, Running};

/// What a client gets that knows this: the fingerprint that the server saw, or `refused`.
async fn call(
    server: &Running,
    trust: Trust,
    name: ServerName,
    identity: Option<Identity>,
) -> String {
    let target = Target { address: server.address.to_string(), trust, name, identity };
    let Ok(channel) = client::connect(&target).await else { return "refused".to_owned() };
    match ReadsClient::new(channel).query(QueryRequest::default()).await {
        Ok(reply) => format!("seen {}", String::from_utf8(reply.into_inner().xml).unwrap()),
        // TLS 1.3 tells a client that its certificate is refused only after its own handshake.
        Err(_) => "refused".to_owned(),
    }
}

fn node(node: u32) -> ServerName {
    ServerName::Node { node, cluster_id: "c1".to_owned() }
}

#[tokio::test]
async fn a_server_is_believed_only_by_its_ca_and_its_name() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server =
        Running::start(&ca.identity(&[&node_name(1, "c1"), ANY_NODE, "localhost"]), &ca.pem());
    let cases = [
        (Trust::Ca(ca.pem()), ServerName::AnyNode, "seen "),
        (Trust::Ca(ca.pem()), node(1), "seen "),
        (Trust::Ca(ca.pem()), node(2), "refused"),
        (Trust::Ca(other.pem()), ServerName::AnyNode, "refused"),
        (Trust::CaHash(ca.hash()), ServerName::AnyNode, "seen "),
        (Trust::CaHash(ca.hash()), node(2), "refused"),
        (Trust::CaHash(other.hash()), ServerName::AnyNode, "refused"),
        (Trust::CaHash(String::new()), ServerName::AnyNode, "refused"),
    ];
    for (trust, name, expected) in cases {
        let what = format!("{trust:?} {name:?}");
        assert_eq!(call(&server, trust, name, None).await, expected, "{what}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_right_ca_beside_a_foreign_certificate_proves_nothing() {
    let (ca, other) = (Ca::new(), Ca::new());
    let foreign = other.identity(&[ANY_NODE]);
    let chain_pem = foreign.chain_pem.clone() + &ca.pem();
    let server = Running::start(&Identity { chain_pem, ..foreign }, &ca.pem());
    let seen = call(&server, Trust::CaHash(ca.hash()), ServerName::AnyNode, None).await;
    assert_eq!(seen, "refused");
    server.stop().await;
}

#[tokio::test]
async fn a_client_certificate_is_optional_but_must_be_the_clusters() {
    let (ca, other) = (Ca::new(), Ca::new());
    let identity = ca.identity(&[&node_name(2, "c1"), ANY_NODE]);
    let server = Running::start(&ca.identity(&[ANY_NODE]), &ca.pem());
    let trust = || Trust::Ca(ca.pem());
    let seen = call(&server, trust(), ServerName::AnyNode, Some(identity)).await;
    assert_eq!(seen.len(), "seen ".len() + 64, "{seen}");
    let foreign = other.identity(&[&node_name(2, "c1"), ANY_NODE]);
    assert_eq!(call(&server, trust(), ServerName::AnyNode, Some(foreign)).await, "refused");
    server.stop().await;
}
