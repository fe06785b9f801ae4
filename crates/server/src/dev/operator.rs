//! What an operator does to make a cluster: the calls to the first node, with its certificate.
//!
//! **Must not know:** processes.

use std::time::Duration;

use model::{AccountId, Secret};
use rpc::{
    client::{ServerName, Target, Trust, connect},
    v1::{cluster_client::ClusterClient, propagation_client::PropagationClient},
};
use tonic::{Request, Status, transport::Channel};
use wire::v1::{self, WaitRequest, wait_event::Event, wait_outcome::Result as WaitResult};

use super::{Account, DevError, layout::Layout};

const CALL_WITHIN: Duration = Duration::from_secs(30);

/// A connection to the first node, by its own certificate.
async fn channel(layout: &Layout) -> Result<Channel, DevError> {
    const DOING: &str = "cannot reach node 1";
    let none = || DevError::Refused { doing: DOING, why: "there is none".to_owned() };
    let place = layout.places().first().ok_or_else(none)?;
    let home = layout.home(place)?;
    let target = Target {
        address: layout.address(place, 1),
        trust: Trust::Ca(home.ca_pem),
        name: ServerName::Node { node: home.node, cluster_id: home.cluster_id },
        identity: Some(home.identity),
    };
    let refused = |error: rpc::client::ConnectError| DevError::Refused {
        doing: DOING,
        why: error.to_string(),
    };
    connect(&target).await.map_err(refused)
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL_WITHIN);
    request
}

fn refused(doing: &'static str) -> impl Fn(Status) -> DevError {
    move |status| DevError::Refused { doing, why: status.message().to_owned() }
}

/// A token with which one node joins.
pub(super) async fn create_join_token(
    layout: &Layout,
    role: v1::Role,
) -> Result<Secret<String>, DevError> {
    let message = v1::CreateJoinTokenRequest { role: role.into(), valid_ms: 0 };
    let mut client = ClusterClient::new(channel(layout).await?);
    let reply = client
        .create_join_token(request(message))
        .await
        .map_err(refused("cannot create a join token"))?;
    Ok(Secret::new(reply.into_inner().token))
}

/// The account and its first key.
pub(super) async fn create_account(
    layout: &Layout,
    account_id: AccountId,
) -> Result<Account, DevError> {
    let message = v1::CreateAccountRequest { account_id: account_id.to_string() };
    let mut client = ClusterClient::new(channel(layout).await?);
    let reply = client
        .create_account(request(message))
        .await
        .map_err(refused("cannot create the account"))?
        .into_inner();
    Ok(Account {
        account_id: account_id.to_string(),
        access_key_id: reply.access_key_id,
        secret_access_key: Secret::new(reply.secret_access_key),
    })
}

/// Until every node has what the first one has: the account's key works everywhere then.
pub(super) async fn wait_for_everyone(layout: &Layout) -> Result<(), DevError> {
    const DOING: &str = "the nodes did not catch up";
    let message = WaitRequest {
        consistency_token: String::new(),
        scope: "all".to_owned(),
        stage: v1::Stage::Visible.into(),
        timeout_ms: 30_000,
    };
    let mut request = Request::new(message);
    request.set_timeout(CALL_WITHIN + CALL_WITHIN);
    let mut client = PropagationClient::new(channel(layout).await?);
    let stream = client.wait_for_propagation(request).await.map_err(refused(DOING))?;
    let mut stream = stream.into_inner();
    while let Some(event) = stream.message().await.map_err(refused(DOING))? {
        match event.event {
            Some(Event::Outcome(outcome)) if outcome.result() == WaitResult::Propagated => {
                return Ok(());
            }
            Some(Event::Outcome(outcome)) => {
                let missing =
                    outcome.missing.iter().map(|node| format!("{}: {}", node.node, node.why));
                let why = format!("{} {}", outcome.reason, missing.collect::<Vec<_>>().join("; "));
                return Err(DevError::Refused { doing: DOING, why });
            }
            Some(Event::Progress(_)) | None => {}
        }
    }
    Err(DevError::Refused { doing: DOING, why: "the wait was cut off".to_owned() })
}
