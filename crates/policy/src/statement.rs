//! One statement of a policy: what it is about, and whether it applies to a request.
//!
//! **Invariants.** Action names compare without case, resources with it.
//!
//! **Must not know:** other statements, layers.

use std::sync::Arc;

use crate::{
    Principal, Problem, Request,
    budget::{Budget, Scope},
    condition::Condition,
    pattern::Pattern,
    truth::Truth,
};

/// What a statement does when it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Grants, unless something denies.
    Allow,
    /// Refuses, whatever grants.
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Actions {
    Any(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resources {
    /// A trust policy's: the role it belongs to.
    All,
    Any(Vec<Pattern>),
    AllBut(Vec<Pattern>),
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principals {
    Any(Vec<Principal>),
    AllBut(Vec<Principal>),
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    pub(crate) actions: Actions,
    pub(crate) resources: Resources,
    pub(crate) principals: Principals,
    /// Shared with what is compiled of it.
    pub(crate) conditions: Arc<[Condition]>,
}

impl Statement {
    /// The `Sid` element, unless it is absent or empty.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// What it does.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The principals that a trust or resource policy's statement names: those it is about, or with
    /// `NotPrincipal` those it is not about.
    pub fn principals(&self) -> &[Principal] {
        match &self.principals {
            Principals::Any(principals) | Principals::AllBut(principals) => principals,
        }
    }

    /// Whether action, resource and conditions fit the request.
    pub(crate) fn applies(&self, request: &Request<'_>, budget: &Budget) -> Truth {
        let fits = self.fits(request, budget);
        if fits == Truth::False {
            return Truth::False;
        }
        fits.and(self.conditions_hold(Scope { context: request.context, budget }))
    }

    /// Whether action and resource fit the request.
    pub(crate) fn fits(&self, request: &Request<'_>, budget: &Budget) -> Truth {
        let scope = Scope { context: request.context, budget };
        let any = |patterns: &[Pattern], text: &str| {
            Truth::any(patterns.iter().map(|pattern| pattern.matches(text, scope)))
        };
        let action = match &self.actions {
            Actions::Any(patterns) => any(patterns, request.action),
            Actions::AllBut(patterns) => any(patterns, request.action).not(),
        };
        if action == Truth::False {
            return Truth::False;
        }
        let resource = match &self.resources {
            Resources::All => Truth::True,
            Resources::Any(patterns) => any(patterns, request.resource),
            Resources::AllBut(patterns) => {
                let resource = request.resource;
                let open = || patterns.iter().any(|one| one.leaves_open(resource, scope));
                any(patterns, resource).not().unless(open)
            }
        };
        action.and(resource)
    }

    /// Whether all conditions hold.
    pub(crate) fn conditions_hold(&self, scope: Scope<'_>) -> Truth {
        Truth::all(self.conditions.iter().map(|condition| condition.holds(scope)))
    }
}

/// Refuses what is no action pattern: `*`, or a service and a name with wildcards.
pub(crate) fn check_action(text: &str, trust: bool) -> Result<(), Problem> {
    if text == "*" {
        return if trust { Err(Problem::TrustAction) } else { Ok(()) };
    }
    let (vendor, name) = text.split_once(':').ok_or(Problem::NoVendor)?;
    if name.contains(':') {
        return Err(Problem::Colons);
    }
    let vendor_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    if vendor != "*" && (vendor.is_empty() || !vendor.bytes().all(vendor_char)) {
        return Err(Problem::Vendor(vendor.to_owned()));
    }
    if trust && !vendor.eq_ignore_ascii_case("sts") {
        return Err(Problem::TrustAction);
    }
    let name_char =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'?' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(name_char) {
        return Err(Problem::ActionName(text.to_owned()));
    }
    Ok(())
}

/// What an IAM resource may begin with.
const IAM_RESOURCES: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// Refuses what is no resource pattern: `*` or an ARN of six parts. `skeleton` is the text with its
/// variables, whose names have colons too, replaced.
pub(crate) fn check_resource(text: &str, skeleton: &str) -> Result<(), Problem> {
    if text == "*" {
        return Ok(());
    }
    let refuse = || Problem::Resource(text.to_owned());
    let parts: Vec<&str> = skeleton.splitn(6, ':').collect();
    let ["arn", partition, service, region, _, resource] = parts.as_slice() else {
        return Err(refuse());
    };
    if !matches!(*partition, "aws" | "aws-cn" | "aws-us-gov" | "*") {
        let partition = (*partition).to_owned();
        return Err(Problem::Partition { partition, resource: text.to_owned() });
    }
    if service.is_empty() {
        return Err(refuse());
    }
    if service.contains(['*', '?']) {
        return Err(Problem::ResourceVendor);
    }
    if *service != "iam" {
        return Ok(());
    }
    if !matches!(*region, "" | "*") {
        return Err(Problem::IamRegion(text.to_owned()));
    }
    // `root` and patterns that can become a known beginning are accepted as AWS does.
    let known = *resource == "root"
        || IAM_RESOURCES.iter().any(|kind| resource.starts_with(kind))
        || resource.split(['*', '?']).next().is_some_and(|literal| {
            literal.len() < resource.len() && IAM_RESOURCES.iter().any(|k| k.starts_with(literal))
        });
    if known { Ok(()) } else { Err(Problem::IamPath) }
}
