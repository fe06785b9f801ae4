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
/// Of each group. AWS: at most ten.
const POLICIES: usize = 10;
const STATEMENTS: usize = 10;
const BATCH: u32 = 64;
const CLIENTS: [usize; 3] = [1, 16, 64];
const BATCH_CLIENTS: [usize; 2] = [1, 8];

/// Measures single and batched checks, and the same calls of a server that decides nothing.
pub(crate) async fn measure(cluster: &Cluster, row: Duration) -> Result<Measured, Error> {
    let account = populate(cluster).await?;
    let replica = cluster.replica();
    let (mut floor, mut rows) = (Vec::new(), Vec::new());
    for (batch, counts) in [(1, &CLIENTS[..]), (BATCH, &BATCH_CLIENTS[..])] {
        for count in counts {
            let (key, verdict_only) = (&cluster.key, false);
            let run = Run { key, account: &account, count: *count, batch, verdict_only, row };
            let what = format!("{count} clients, {batch} a call");
            let bare = BareServer::start()?;
            let latencies = run.measure(&bare.address, &bare.ca_pem).await?;
            bare.stop().await?;
            let least = Row::of_batches(format!("nothing, {what}"), &latencies, batch);
            for verdict_only in [false, true] {
                let run = Run { verdict_only, ..run };
                let latencies = run.measure(replica.grpc(), &cluster.ca_pem).await?;
                let told = if verdict_only { "verdicts" } else { "checks" };
                let row = Row::of_batches(format!("{told}, {what}"), &latencies, batch);
                rows.push(row.rate_against(&least).p50_against(least.p50_us()));
            }
            floor.push(least);
        }
    }
    Ok(Measured {
        method: "signed gRPC over TLS to the read replica, one connection a client; 50 users whose \
                 group has 10 policies of 10 statements, of which one allows; checks tell the \
                 statements, verdicts do not; against the same calls of a server that decides \
                 nothing and verifies no signature",
        floor,
        rows,
    })
}

/// Makes users and groups with a policy, and waits until all nodes have them. Returns the account.
async fn populate(cluster: &Cluster) -> Result<String, Error> {
    make_users(cluster, "user", USERS).await?;
    let mut aws = Aws::connect(cluster.first(), &cluster.key).await?;
    for policy in 0..POLICIES {
        let made = format!("PolicyName=p{policy}&PolicyDocument={}", escape(&document(policy)));
        aws.call("CreatePolicy", &made).await?;
    }
    for number in 0..GROUPS {
        aws.call("CreateGroup", &format!("GroupName=group-{number}")).await?;
        for policy in 0..POLICIES {
            let arn = format!("arn:aws:iam::{}:policy/p{policy}", cluster.account_id);
            let attached = format!("GroupName=group-{number}&PolicyArn={}", escape(&arn));
            aws.call("AttachGroupPolicy", &attached).await?;
        }
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

/// A policy that allows one action on a bucket of each statement; the first on the one that is
/// asked about.
fn document(policy: usize) -> String {
    let statement = |number: usize| {
        let bucket = match policy * STATEMENTS + number {
            0 => "bucket".to_owned(),
            other => format!("other-{other}"),
        };
        format!(
            r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*"}}"#
        )
    };
    let statements: Vec<String> = (0..STATEMENTS).map(statement).collect();
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
}

/// As a form's value.
fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// One row.
#[derive(Clone, Copy)]
struct Run<'a> {
    key: &'a Key,
    account: &'a str,
    count: usize,
    batch: u32,
    verdict_only: bool,
    row: Duration,
}

impl Run<'_> {
    async fn measure(&self, address: &str, ca_pem: &str) -> Result<Latencies, Error> {
        let mut clients = Vec::new();
        for _ in 0..self.count {
            clients.push(Grpc::connect(address, ca_pem, self.key).await?);
        }
        let (batch, account, alone) = (self.batch, self.account.to_owned(), self.verdict_only);
        closed_loop(clients, self.row, move |mut client, number| {
            let first = number * u64::from(batch);
            let mut checks = (first..first + u64::from(batch)).map(|n| check(&account, n, alone));
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

fn check(account: &str, number: u64, verdict_only: bool) -> CheckRequest {
    CheckRequest {
        principal: format!("arn:aws:iam::{account}:user/user-{}", number % USERS as u64),
        action: "s3:GetObject".to_owned(),
        resource: format!("arn:aws:s3:::bucket/object-{number}"),
        context: Vec::new(),
        consistency_token: String::new(),
        wait_ms: 0,
        explain: false,
        verdict_only,
    }
}
