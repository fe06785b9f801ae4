//! `writ access`: who may do what, and whose access a change of policies would change.
//!
//! **Invariants.** All pages are shown. Nothing is written.
//!
//! **Must not know:** how decisions are made.

use rpc::v1::access_client::AccessClient;
use wire::v1::{
    AccessDifference, AccessGrant, AccessHolder, CompareAccessRequest, GroupChange, ServiceAccess,
    Verdict, VersionChange, WhatCanReply, WhatCanRequest, WhoCanRequest,
    compare_access_request::Change, version_change::To,
};

use crate::{
    Common, Environment, Exit, Output,
    arguments::{Access, Compare, WhatCan, WhoCan},
    check::{group, line, place},
    exit::Error,
    policy,
    session::{Connection, Prefer, Session, request},
};

pub(crate) async fn run(
    command: Access,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<Exit, Error> {
    match command {
        Access::WhoCan(question) => who_can(question, environment, output).await?,
        Access::WhatCan(question) => what_can(question, environment, output).await?,
        Access::Compare(question) => compare(question, environment, output).await?,
    }
    Ok(Exit::Ok)
}

async fn client(
    common: &Common,
    environment: &Environment,
) -> Result<AccessClient<Connection>, Error> {
    let session = Session::new(environment)?;
    Ok(AccessClient::new(session.connect_any(common, Prefer::Replicas).await?))
}

async fn who_can(
    WhoCan { action, resource, context, common }: WhoCan,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let mut client = client(&common, environment).await?;
    let mut question = WhoCanRequest {
        action,
        resource,
        context: group(context),
        max_items: 0,
        marker: String::new(),
        consistency_token: String::new(),
    };
    loop {
        let reply = client.who_can(request(question.clone())).await.map_err(Error::Refused)?;
        let reply = reply.into_inner();
        output.result(&reply.holders.iter().map(holder).collect::<String>())?;
        if reply.marker.is_empty() {
            return Ok(());
        }
        // Later pages come from no older state.
        (question.marker, question.consistency_token) = (reply.marker, reply.consistency_token);
    }
}

fn holder(AccessHolder { principal, unique_id, statements }: &AccessHolder) -> String {
    let mut text = format!("{principal} ({unique_id})\n");
    for statement in statements {
        line(&mut text, format_args!("  by {}", place(statement, None)));
    }
    text
}

async fn what_can(
    WhatCan { principal, context, common }: WhatCan,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let mut client = client(&common, environment).await?;
    let consistency_token = String::new();
    let question = WhatCanRequest { principal, context: group(context), consistency_token };
    let reply = client.what_can(request(question)).await.map_err(Error::Refused)?;
    output.result(&access(&reply.into_inner()))
}

fn access(reply: &WhatCanReply) -> String {
    let WhatCanReply { principal, root, services, consistency_token: _ } = reply;
    let mut text = format!("{principal}\n");
    if *root {
        line(&mut text, format_args!("  everything: no policy limits root"));
    } else if services.is_empty() {
        line(&mut text, format_args!("  nothing"));
    }
    for ServiceAccess { service, grants } in services {
        line(&mut text, format_args!("{service}"));
        grants.iter().for_each(|one| grant(&mut text, one));
    }
    text
}

fn grant(text: &mut String, grant: &AccessGrant) {
    let list = |all_but: bool, patterns: &[String]| {
        format!("{}{}", if all_but { "all but " } else { "" }, patterns.join(", "))
    };
    let actions = list(grant.all_actions_but, &grant.actions);
    let resources = list(grant.all_resources_but, &grant.resources);
    let verdict = match (grant.contested, grant.verdict()) {
        (true, _) => " (contested: allows nothing)",
        (false, Verdict::Allow) => "",
        (false, Verdict::ExplicitDeny) => " (denied)",
        (false, Verdict::ImplicitDeny | Verdict::Unspecified) => " (not as things are)",
    };
    line(text, format_args!("  {actions} on {resources}{verdict}"));
    if !grant.condition_keys.is_empty() {
        line(text, format_args!("    depending on {}", grant.condition_keys.join(", ")));
    }
    if let Some(statement) = &grant.statement {
        line(text, format_args!("    by {}", place(statement, None)));
    }
    for denial in &grant.denials {
        line(text, format_args!("    limited by {}", place(denial, None)));
    }
}

async fn compare(
    question: Compare,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), Error> {
    let Compare { policy: arn, from, to, document, group: of_group, attach, detach, .. } = question;
    let Compare { context, common, .. } = question;
    let change = match (arn, of_group) {
        (Some(arn), _) => {
            let to = match (to, document) {
                (Some(version), _) => Some(To::Version(version)),
                (None, Some(file)) => Some(To::Document(policy::read(&file)?)),
                (None, None) => None,
            };
            let from = from.unwrap_or_default();
            Change::Version(VersionChange { policy: arn, from, to })
        }
        (None, of_group) => {
            Change::Group(GroupChange { group: of_group.unwrap_or_default(), attach, detach })
        }
    };
    let mut client = client(&common, environment).await?;
    let mut question = CompareAccessRequest {
        change: Some(change),
        context: group(context),
        max_items: 0,
        marker: String::new(),
        consistency_token: String::new(),
    };
    loop {
        let reply =
            client.compare_access(request(question.clone())).await.map_err(Error::Refused)?;
        let reply = reply.into_inner();
        output.result(&reply.differences.iter().map(difference).collect::<String>())?;
        if reply.marker.is_empty() {
            return Ok(());
        }
        (question.marker, question.consistency_token) = (reply.marker, reply.consistency_token);
    }
}

fn difference(one: &AccessDifference) -> String {
    let word = |verdict: Verdict| match verdict {
        Verdict::Allow => "allow",
        Verdict::ExplicitDeny => "deny (explicit)",
        Verdict::ImplicitDeny | Verdict::Unspecified => "deny (implicit)",
    };
    let (before, after) = (word(one.before()), word(one.after()));
    let AccessDifference { principal, action, resource, before: _, after: _ } = one;
    format!("{principal}: {action} on {resource}: {before} -> {after}\n")
}
