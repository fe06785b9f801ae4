//! `Access`: who may do this, what may that principal do, and whose access a change would change.
//!
//! **Invariants.** A caller asks about its own account. Answers quote policies, so that each call
//! has an action of its own. They are durable, and name the state they were read from.
//!
//! **Must not know:** how decisions are made.

use std::sync::Arc;

use identity::{
    CompareAccess, Holder, NewVersion, PRINCIPALS_PER_PAGE_MAX, Page, PolicyChange,
    PrincipalAccess, WhoCan,
};
use model::AccountId;
use node::Node;
use rpc::v1::access_server::Access;
use tonic::{Request, Response, Status};
use wire::v1::{self, compare_access_request::Change, version_change::To};

use super::{
    Who, authorization, authorization::question_limits, counted, read_own, refused, too_long, who,
};
use crate::{app::App, clock};

/// Who may ask who can do something.
const WHO: &str = "writ:ListPrincipalsWithAccess";
/// Who may ask what a principal can do.
const WHAT: &str = "writ:GetPrincipalAccess";
/// Who may ask what a change would change.
const COMPARE: &str = "writ:ComparePrincipalAccess";
/// Policies that a group may get or lose in one question.
const POLICIES_MAX: usize = 100;
/// The longest marker, in bytes.
const MARKER_BYTES_MAX: usize = 128;

/// The service.
pub struct AccessQuestions {
    app: Arc<App>,
}

impl AccessQuestions {
    /// Of this node.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn holders(
        &self,
        who: &Who,
        message: v1::WhoCanRequest,
    ) -> Result<v1::WhoCanReply, Status> {
        let v1::WhoCanRequest { action, resource, context, max_items, marker, consistency_token } =
            message;
        question_limits("", "", &action, &resource, &context)?;
        let (context, page) = (pairs(context), page(max_items, marker)?);
        let question = WhoCan { action, resource, context, page };
        let read = |node: &Node, account| {
            identity::who_can(node.identity(), clock::wall(), account, &question)
        };
        let (listing, consistency_token) =
            read_own(&self.app, who, WHO, &consistency_token, read).await?;
        let holder = |Holder { arn, unique_id, statements }| v1::AccessHolder {
            principal: arn.to_string(),
            unique_id: unique_id.to_string(),
            statements: statements.into_iter().map(authorization::statement).collect(),
        };
        Ok(v1::WhoCanReply {
            holders: listing.items.into_iter().map(holder).collect(),
            marker: listing.next.unwrap_or_default(),
            consistency_token,
        })
    }

    async fn access(
        &self,
        who: &Who,
        message: v1::WhatCanRequest,
    ) -> Result<v1::WhatCanReply, Status> {
        let v1::WhatCanRequest { principal, context, consistency_token } = message;
        question_limits("", &principal, "", "", &context)?;
        let context = pairs(context);
        let read = |node: &Node, account: AccountId| {
            let (identity, accounts) = (node.identity(), node.accounts());
            // Who is in other accounts is told as what does not exist.
            let own = identity::principal_account(identity, accounts, &principal) == Some(account);
            if !own {
                let (noun, name) = (identity::Noun::Principal, principal.clone());
                return Err(identity::Error::NoSuchEntity { noun, name });
            }
            identity::what_can(identity, accounts, clock::wall(), &principal, &context)
        };
        let (access, consistency_token) =
            read_own(&self.app, who, WHAT, &consistency_token, read).await?;
        let access = access.map_err(|error| refused(&error))?;
        let PrincipalAccess { arn, root, services } = access;
        let service = |(service, grants): (String, Vec<policy::Grant>)| v1::ServiceAccess {
            service,
            grants: grants.into_iter().map(grant).collect(),
        };
        Ok(v1::WhatCanReply {
            principal: arn.to_string(),
            root,
            services: services.into_iter().map(service).collect(),
            consistency_token,
        })
    }

    async fn differences(
        &self,
        who: &Who,
        message: v1::CompareAccessRequest,
    ) -> Result<v1::CompareAccessReply, Status> {
        let v1::CompareAccessRequest { change, context, max_items, marker, consistency_token } =
            message;
        question_limits("", "", "", "", &context)?;
        let change = policy_change(change)?;
        let (context, page) = (pairs(context), page(max_items, marker)?);
        let question = CompareAccess { change, context, page };
        let read = |node: &Node, account| {
            identity::compare_access(node.identity(), clock::wall(), account, &question)
        };
        let (listing, consistency_token) =
            read_own(&self.app, who, COMPARE, &consistency_token, read).await?;
        let listing = listing.map_err(|error| refused(&error))?;
        let difference = |one: identity::AccessChange| v1::AccessDifference {
            principal: one.principal.to_string(),
            action: one.action,
            resource: one.resource,
            before: authorization::verdict(one.before).into(),
            after: authorization::verdict(one.after).into(),
        };
        Ok(v1::CompareAccessReply {
            differences: listing.items.into_iter().map(difference).collect(),
            marker: listing.next.unwrap_or_default(),
            consistency_token,
        })
    }
}

fn pairs(context: Vec<v1::ContextEntry>) -> Vec<(String, Vec<String>)> {
    context.into_iter().map(|entry| (entry.key, entry.values)).collect()
}

fn page(max_items: u32, marker: String) -> Result<Page, Status> {
    if marker.len() > MARKER_BYTES_MAX {
        return Err(Status::invalid_argument(too_long("marker", MARKER_BYTES_MAX)));
    }
    let max_items = match max_items {
        0 => PRINCIPALS_PER_PAGE_MAX,
        max => usize::try_from(max).unwrap_or(usize::MAX),
    };
    Ok(Page { marker: Some(marker).filter(|marker| !marker.is_empty()), max_items })
}

fn policy_change(change: Option<Change>) -> Result<PolicyChange, Status> {
    fn read<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Status> {
        text.parse().map_err(|_| Status::invalid_argument(format!("`{field}` is no such ARN")))
    }
    match change {
        Some(Change::Version(v1::VersionChange { policy, from, to })) => {
            let to = match to {
                Some(To::Version(version)) => NewVersion::Stored(version),
                Some(To::Document(text)) => NewVersion::Text(text),
                None => return Err(Status::invalid_argument("`version.to` is missing")),
            };
            let (policy, from) = (read("version.policy", &policy)?, Some(from));
            Ok(PolicyChange::Version { policy, from: from.filter(|from| !from.is_empty()), to })
        }
        Some(Change::Group(v1::GroupChange { group, attach, detach })) => {
            if attach.len() + detach.len() > POLICIES_MAX {
                let message = format!("`group` is over its limit of {POLICIES_MAX} policies");
                return Err(Status::invalid_argument(message));
            }
            let all = |field: &str, arns: Vec<String>| {
                arns.iter().map(|arn| read(field, arn)).collect::<Result<Vec<_>, Status>>()
            };
            Ok(PolicyChange::Group {
                group: read("group.group", &group)?,
                attach: all("group.attach", attach)?,
                detach: all("group.detach", detach)?,
            })
        }
        None => Err(Status::invalid_argument("`change` is missing")),
    }
}

fn grant(grant: policy::Grant) -> v1::AccessGrant {
    let policy::Grant {
        actions,
        all_actions_but,
        resources,
        all_resources_but,
        condition_keys,
        statement,
        certain,
        verdict,
        denials,
    } = grant;
    v1::AccessGrant {
        actions,
        all_actions_but,
        resources,
        all_resources_but,
        condition_keys,
        statement: Some(authorization::statement(statement)),
        contested: !certain,
        verdict: authorization::verdict(verdict).into(),
        denials: denials.into_iter().map(authorization::statement).collect(),
    }
}

#[tonic::async_trait]
impl Access for AccessQuestions {
    async fn who_can(
        &self,
        request: Request<v1::WhoCanRequest>,
    ) -> Result<Response<v1::WhoCanReply>, Status> {
        counted(&self.app, "WhoCan", async {
            let who = who(&self.app, &request)?;
            self.holders(&who, request.into_inner()).await
        })
        .await
    }

    async fn what_can(
        &self,
        request: Request<v1::WhatCanRequest>,
    ) -> Result<Response<v1::WhatCanReply>, Status> {
        counted(&self.app, "WhatCan", async {
            let who = who(&self.app, &request)?;
            self.access(&who, request.into_inner()).await
        })
        .await
    }

    async fn compare_access(
        &self,
        request: Request<v1::CompareAccessRequest>,
    ) -> Result<Response<v1::CompareAccessReply>, Status> {
        counted(&self.app, "CompareAccess", async {
            let who = who(&self.app, &request)?;
            self.differences(&who, request.into_inner()).await
        })
        .await
    }
}
