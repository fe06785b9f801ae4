//! `writ token`, `account`, `node`: what changes the cluster.
//!
//! **Invariants.** A secret is shown once, by the command that made it.
//!
//! **Must not know:** what a node does with it.

use rpc::v1::cluster_client::ClusterClient;
use wire::v1;

use crate::{
    Common, Environment, Exit, Output, arguments, duration,
    exit::Error,
    session::{Connection, Prefer, Session, request},
};

async fn client(
    common: &Common,
    environment: &Environment,
) -> Result<ClusterClient<Connection>, Error> {
    let session = Session::new(environment)?;
    Ok(ClusterClient::new(session.connect_any(common, Prefer::Writers).await?))
}

pub(crate) async fn token(
    command: arguments::Token,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Token::Create { role, valid, common } = command;
    let role = match role {
        arguments::Role::Writer => v1::Role::Writer,
        arguments::Role::Replica => v1::Role::Replica,
    };
    let valid_ms = u64::from(duration::to_ms(valid));
    let message = v1::CreateJoinTokenRequest { role: role.into(), valid_ms };
    let reply = client(&common, environment).await?.create_join_token(request(message)).await;
    output.result(&format!("{}\n", reply.map_err(Error::Refused)?.into_inner().token))?;
    Ok(Exit::Ok)
}

pub(crate) async fn account(
    command: arguments::Account,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Account::Create { account_id, common } = command;
    let message = v1::CreateAccountRequest { account_id: account_id.to_string() };
    let reply = client(&common, environment).await?.create_account(request(message)).await;
    let reply = reply.map_err(Error::Refused)?.into_inner();
    output.result(&format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        reply.access_key_id, reply.secret_access_key
    ))?;
    Ok(Exit::Ok)
}

pub(crate) async fn node(
    command: arguments::Node,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Node::Remove { node, common } = command;
    let message = v1::RemoveNodeRequest { node };
    let reply = client(&common, environment).await?.remove_node(request(message)).await;
    reply.map_err(Error::Refused)?;
    output.result(&format!("node {node} is removed\n"))?;
    Ok(Exit::Ok)
}
