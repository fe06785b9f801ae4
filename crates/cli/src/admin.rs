//! `writ token`, `account`, `node`: what changes the cluster.
//!
//! **Invariants.** A secret is shown once, by the command that made it.
//!
//! **Must not know:** what a node does with it.

use http::{Request, Response};
use rpc::v1::cluster_client::ClusterClient;
use tonic::body::Body;
use tower::{ServiceExt as _, util::BoxCloneService};
use wire::v1;

use crate::{
    Environment, Exit, Output,
    arguments::{self, Admin},
    duration,
    exit::Error,
    node,
    session::{Prefer, Session, request},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Caller = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

async fn client(admin: &Admin, environment: &Environment) -> Result<ClusterClient<Caller>, Error> {
    let Admin { common, as_node } = admin;
    let caller = match (as_node, &common.endpoint) {
        (Some(directory), Some(endpoint)) => {
            BoxCloneService::new(node::connect(directory, endpoint).await?.map_err(Into::into))
        }
        (Some(_), None) => return Err(Error::Usage("--as-node needs --endpoint".to_owned())),
        (None, _) => {
            let session = Session::new(environment)?;
            BoxCloneService::new(session.connect_any(common, Prefer::Writers).await?)
        }
    };
    Ok(ClusterClient::new(caller))
}

pub(crate) async fn token(
    command: arguments::Token,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Token::Create { role, valid, admin } = command;
    let role = match role {
        arguments::Role::Writer => v1::Role::Writer,
        arguments::Role::Replica => v1::Role::Replica,
    };
    let valid_ms = u64::from(duration::to_ms(valid));
    let message = v1::CreateJoinTokenRequest { role: role.into(), valid_ms };
    let reply = client(&admin, environment).await?.create_join_token(request(message)).await;
    output.result(&format!("{}\n", reply.map_err(Error::Refused)?.into_inner().token))?;
    Ok(Exit::Ok)
}

pub(crate) async fn account(
    command: arguments::Account,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    let arguments::Account::Create { account_id, admin } = command;
    let message = v1::CreateAccountRequest { account_id: account_id.to_string() };
    let reply = client(&admin, environment).await?.create_account(request(message)).await;
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
    let arguments::Node::Remove { node, admin } = command;
    let message = v1::RemoveNodeRequest { node };
    let reply = client(&admin, environment).await?.remove_node(request(message)).await;
    reply.map_err(Error::Refused)?;
    output.result(&format!("node {node} is removed\n"))?;
    Ok(Exit::Ok)
}
