//! Authorization checks at a read replica.
//!
//! **Must not know:** how a check is decided.

use std::time::Duration;

use wire::v1::CheckRequest;

use crate::{
    aws::Aws,
    cluster::{Cluster, Key},
    error::Error,
    floor::BareServer,
    grpc::Grpc,
    load::{Latencies, closed_loop},
    report::{Measured, Row},
    writes::make_users,
};

const USERS: usize = 50;
const GROUPS: usize = 5;
const BATCH: u32 = 64;
const CLIENTS: [usize; 3] = [1, 16, 64];
const BATCH_CLIENTS: [usize; 2] = [1, 8];

/// `{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}]}`
/// with its version, escaped for a form.
const ALLOWS: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
    %22Allow%22%2C%22Action%22%3A%22s3%3AGetObject%22%2C%22Resource%22%3A\
    %22arn%3Aaws%3As3%3A%3A%3Abucket%2F%2A%22%7D%5D%7D";

/// Measures single and batched checks, and the same calls of a server that decides nothing.
pub(crate) async fn measure(cluster: &Cluster, row: Duration) -> Result<Measured, Error> {
    let account = populate(cluster).await?;
    let replica = cluster.replica();
    let (mut floor, mut rows) = (Vec::new(), Vec::new());
    for (batch, counts) in [(1, &CLIENTS[..]), (BATCH, &BATCH_CLIENTS[..])] {
        for count in counts {
            let run = Run { key: &cluster.key, account: &account, count: *count, batch, row };
            let what = format!("{count} clients, {batch} a call");
            let bare = BareServer::start()?;
            let latencies = run.measure(&bare.address, &bare.ca_pem).await?;
            bare.stop().await?;
            let least = Row::of_batches(format!("nothing, {what}"), &latencies, batch);
            let latencies = run.measure(replica.grpc(), &cluster.ca_pem).await?;
            let row = Row::of_batches(format!("checks, {what}"), &latencies, batch);
            rows.push(row.rate_against(&least).p50_against(least.p50_us()));
            floor.push(least);
        }
    }
    Ok(Measured {
        method: "signed gRPC over TLS to the read replica, one connection a client; 50 users whose \
                 group's inline policy allows; against the same calls of a server that decides \
                 nothing and verifies no signature",
        floor,
        rows,
    })
}

/// Makes users and groups with a policy, and waits until all nodes have them. Returns the account.
async fn populate(cluster: &Cluster) -> Result<String, Error> {
    make_users(cluster, "user", USERS).await?;
    let mut aws = Aws::connect(cluster.first(), &cluster.key).await?;
    for number in 0..GROUPS {
        aws.call("CreateGroup", &format!("GroupName=group-{number}")).await?;
        let policy = format!("GroupName=group-{number}&PolicyName=p&PolicyDocument={ALLOWS}");
        aws.call("PutGroupPolicy", &policy).await?;
    }
    let mut token = String::new();
    for number in 0..USERS {
        let member = format!("GroupName=group-{}&UserName=user-{number}", number % GROUPS);
        token = aws.call("AddUserToGroup", &member).await?;
    }
    let first = cluster.first();
    Grpc::connect(first.grpc(), &cluster.ca_pem, &cluster.key).await?.wait(token).await?;
    Ok(cluster.account_id.clone())
}

/// One row.
struct Run<'a> {
    key: &'a Key,
    account: &'a str,
    count: usize,
    batch: u32,
    row: Duration,
}

impl Run<'_> {
    async fn measure(&self, address: &str, ca_pem: &str) -> Result<Latencies, Error> {
        let mut clients = Vec::new();
        for _ in 0..self.count {
            clients.push(Grpc::connect(address, ca_pem, self.key).await?);
        }
        let (batch, account) = (self.batch, self.account.to_owned());
        closed_loop(clients, self.row, move |mut client, number| {
            let first = number * u64::from(batch);
            let mut checks = (first..first + u64::from(batch)).map(|n| check(&account, n));
            let one = if batch == 1 { checks.next() } else { None };
            let many: Vec<CheckRequest> = checks.collect();
            async move {
                match one {
                    Some(one) => client.check(one).await?,
                    None => client.checks(many).await?,
                }
                Ok(client)
            }
        })
        .await
    }
}

fn check(account: &str, number: u64) -> CheckRequest {
    CheckRequest {
        principal: format!("arn:aws:iam::{account}:user/user-{}", number % USERS as u64),
        action: "s3:GetObject".to_owned(),
        resource: format!("arn:aws:s3:::bucket/object-{number}"),
        context: Vec::new(),
        consistency_token: String::new(),
        wait_ms: 0,
        explain: false,
    }
}
