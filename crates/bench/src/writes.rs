//! Acknowledged writes at one node.
//!
//! **Must not know:** how a write is made durable.

use std::{path::Path, time::Duration};

use crate::{
    aws::Aws,
    cluster::Cluster,
    error::Error,
    floor,
    load::closed_loop,
    report::{Measured, Row},
};

const CLIENTS: [usize; 3] = [1, 16, 64];

/// Measures writes with different numbers of clients.
pub(crate) async fn measure(
    cluster: &Cluster,
    row: Duration,
    place: &Path,
) -> Result<Measured, Error> {
    make_users(cluster, "writer", CLIENTS.iter().copied().max().unwrap_or(1)).await?;
    let commits = floor::sled_commits(place, row).await?;
    let commits = Row::new("sled commit of 512 B, fdatasync", &commits);
    let appends = Row::new("append of 4 KiB, fsync", &floor::appends(place, row).await?);
    let mut rows = Vec::new();
    for count in CLIENTS {
        let mut clients = Vec::new();
        for number in 0..count {
            let aws = Aws::connect(cluster.first(), &cluster.key).await?;
            clients.push((aws, format!("writer-{number}")));
        }
        let latencies = closed_loop(clients, row, |(mut aws, user), number| async move {
            aws.tag(&user, number).await?;
            Ok((aws, user))
        })
        .await?;
        let what = format!("TagUser, {count} clients");
        let row = Row::new(what, &latencies);
        rows.push(row.rate_against(&commits).p50_against(appends.p50_us()));
    }
    Ok(Measured {
        method: "signed TagUser over kept HTTP/1.1 connections to one writer, each acknowledged \
                 when durable there; rates against sled commits, latencies against an append",
        floor: vec![commits, appends],
        rows,
    })
}

/// Creates users `PREFIX-0` and so on, and returns the last reply's token.
pub(crate) async fn make_users(
    cluster: &Cluster,
    prefix: &str,
    count: usize,
) -> Result<String, Error> {
    let mut aws = Aws::connect(cluster.first(), &cluster.key).await?;
    let mut token = String::new();
    for number in 0..count {
        token = aws.call("CreateUser", &format!("UserName={prefix}-{number}")).await?;
    }
    Ok(token)
}
