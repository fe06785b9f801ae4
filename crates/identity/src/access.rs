//! Questions about access itself: who may do this, what may that principal do, and whose access
//! would a change of policies change.
//!
//! **Invariants.** The engine that enforces decides each answer, as [`crate::check`] does; what is
//! contested gives nobody access. A page looks at so many principals and no more.
//!
//! **Must not know:** who asks.

use std::{collections::BTreeSet, sync::Arc};

use ::policy::{
    Compiled, Document, DocumentKind, MatchedStatement, Request, Verdict, evaluate, examples,
    grants,
};
use model::{AccountId, Arn, Credential, Timestamp, UniqueId, UniqueIdKind};

use crate::{
    Accounts, Caller, Error, Identity, Listing, Noun, Page, Principal,
    check::{context_of, precluded, principal_of, resolve},
    effective::{Overlay, PolicyRef, layers, layers_with},
    entity::Entity,
    field::POLICY_VERSION,
    policy::PolicyArn,
};

/// The most principals that one page looks at.
pub const PRINCIPALS_PER_PAGE_MAX: usize = 1_000;
/// The most examples that versions are compared by, for each principal.
pub const EXAMPLES_MAX: usize = 1_000;
/// A page of changes ends with the principal that brings it over this.
pub const CHANGES_PER_PAGE_MAX: usize = 1_000;
/// A page of changes ends with the principal that brings the examples that were decided over this:
/// nobody else writes meanwhile.
const DECIDED_PER_PAGE_MAX: usize = 10_000;

/// Who may do this?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoCan {
    /// `service:Action`.
    pub action: String,
    /// The resource's ARN.
    pub resource: String,
    /// Condition keys. Those that are derived from a principal are not taken from here.
    pub context: Vec<(String, Vec<String>)>,
    /// Which part of the account's principals.
    pub page: Page,
}

/// A principal that may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its ARN.
    pub arn: Arn,
    /// Its unique id.
    pub unique_id: UniqueId,
    /// The statements that let it; none of root.
    pub statements: Vec<MatchedStatement>,
}

/// What a principal may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalAccess {
    /// Its ARN.
    pub arn: Arn,
    /// Whether it is root, which may do everything and is limited by no policy.
    pub root: bool,
    /// What its policies give, by service.
    pub services: Vec<(String, Vec<::policy::Grant>)>,
}

/// A change of policies that somebody thinks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyChange {
    /// One version of a managed policy in place of another.
    Version {
        /// The policy.
        policy: PolicyArn,
        /// Before; the default version if it is absent.
        from: Option<String>,
        /// After.
        to: NewVersion,
    },
    /// Other managed policies attached to a group.
    Group {
        /// The group.
        group: Arn,
        /// Policies it gets.
        attach: Vec<PolicyArn>,
        /// Policies it loses.
        detach: Vec<PolicyArn>,
    },
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewVersion {
    /// One that it has, such as `v2`.
    Stored(String),
    /// One that nobody has saved.
    Text(String),
}

/// Whose access would change?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareAccess {
    /// How.
    pub change: PolicyChange,
    /// Condition keys, as in [`WhoCan`].
    pub context: Vec<(String, Vec<String>)>,
    /// Which part of the principals that the change concerns.
    pub page: Page,
}

/// A verdict that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessChange {
    /// Whose.
    pub principal: Arn,
    /// On this action.
    pub action: String,
    /// And this resource.
    pub resource: String,
    /// As it is.
    pub before: Verdict,
    /// As it would be.
    pub after: Verdict,
}

/// Lists an account's root, users and roles that may do an action on a resource, by unique id. A
/// page may be empty and not the last.
pub fn who_can(
    identity: &Identity,
    now: Timestamp,
    account: AccountId,
    question: &WhoCan,
) -> Listing<Holder> {
    let WhoCan { action, resource, context: given, page } = question;
    let mut items = Vec::new();
    if page.marker.is_none() {
        let unique_id = UniqueId::root(account);
        let arn = caller_of(account, Principal::Root).arn(identity);
        items.push(Holder { arn, unique_id, statements: Vec::new() });
    }
    let (principals, next) = some_of(all_principals(identity, account, page), page.max_items);
    for id in principals {
        let Some(principal) = principal_of(id) else { continue };
        let caller = caller_of(account, principal);
        let context = context_of(identity, now, &caller, None, given);
        if precluded(identity, &caller, &context, action).is_some() {
            continue;
        }
        let Some(layers) = layers(identity, &caller) else { continue };
        let decision = evaluate(&layers, &Request { action, resource, context: &context });
        if decision.is_allowed() {
            let arn = caller.arn(identity);
            items.push(Holder { arn, unique_id: id, statements: decision.statements });
        }
    }
    Listing { items, next }
}

/// Tells what a principal's policies give access to, service by service.
///
/// # Errors
/// [`Error::NoSuchEntity`] when it names nobody in these accounts, or a role's session, of whose
/// policies only its token tells.
pub fn what_can(
    identity: &Identity,
    accounts: &Accounts,
    now: Timestamp,
    principal: &str,
    given: &[(String, Vec<String>)],
) -> Result<PrincipalAccess, Error> {
    let missing = || Error::NoSuchEntity { noun: Noun::Principal, name: principal.to_owned() };
    let asked = resolve(identity, accounts, principal).filter(|asked| asked.session.is_none());
    let caller = asked.ok_or_else(missing)?.caller;
    let arn = caller.arn(identity);
    let Some(layers) = layers(identity, &caller) else {
        return Ok(PrincipalAccess { arn, root: true, services: Vec::new() });
    };
    let context = context_of(identity, now, &caller, None, given);
    let services = if caller.check_can_act(identity).is_ok() {
        grants(&layers, &context).into_iter().collect()
    } else {
        Vec::new()
    };
    Ok(PrincipalAccess { arn, root: false, services })
}

/// Lists the verdicts that a change of policies would change from allow to deny or back, on
/// examples of what the documents in question speak of, by the principals' unique ids.
///
/// # Errors
/// [`Error::NoSuchEntity`] for a policy, version or group that is not there, and the refusal of a
/// document that cannot be read.
pub fn compare_access(
    identity: &Identity,
    now: Timestamp,
    account: AccountId,
    question: &CompareAccess,
) -> Result<Listing<AccessChange>, Error> {
    let CompareAccess { change, context: given, page } = question;
    let Plan { before, after, documents, concerned } = plan(identity, account, change)?;
    let after_marker = |id: &UniqueId| page.marker.as_ref().is_none_or(|m| id.to_string() > *m);
    let (principals, next) = some_of(concerned.into_iter().filter(after_marker), page.max_items);
    let last = principals.last().copied();
    let (mut items, mut decided) = (Vec::new(), 0);
    for id in principals {
        let Some(principal) = principal_of(id) else { continue };
        let caller = caller_of(account, principal);
        let context = context_of(identity, now, &caller, None, given);
        let of = |overlay: &Overlay| layers_with(identity, &caller, overlay);
        let (Some(old), Some(new)) = (of(&before), of(&after)) else { continue };
        let (old, new) = (Compiled::new(&old), Compiled::new(&new));
        let documents = documents.iter().map(|document| &**document);
        for (action, resource) in examples(documents, &context, EXAMPLES_MAX) {
            if precluded(identity, &caller, &context, &action).is_some() {
                continue;
            }
            let request = Request { action: &action, resource: &resource, context: &context };
            let (before, after) = (old.decide(&request), new.decide(&request));
            decided += 1;
            if (before == Verdict::Allow) != (after == Verdict::Allow) {
                let principal = caller.arn(identity);
                items.push(AccessChange { principal, action, resource, before, after });
            }
        }
        let full = items.len() >= CHANGES_PER_PAGE_MAX || decided >= DECIDED_PER_PAGE_MAX;
        if full && Some(id) != last {
            return Ok(Listing { items, next: Some(id.to_string()) });
        }
    }
    Ok(Listing { items, next })
}

/// What a change comes to.
struct Plan {
    before: Overlay,
    after: Overlay,
    /// Whatever speaks of what may change.
    documents: Vec<Arc<Document>>,
    /// Whose policies change.
    concerned: BTreeSet<UniqueId>,
}

fn plan(identity: &Identity, account: AccountId, change: &PolicyChange) -> Result<Plan, Error> {
    match change {
        PolicyChange::Version { policy, from, to } => {
            let found = find_policy(identity, account, policy)?;
            let PolicyRef::Customer(entity) = found else {
                return Err(missing(Noun::Policy, policy));
            };
            let stored = |version: &String| {
                let sides = identity.document(&POLICY_VERSION, entity, version);
                match sides {
                    [Some(stored)] => Ok(Arc::clone(&stored.document)),
                    _ => Err(missing(Noun::PolicyVersion, version)),
                }
            };
            let new = match to {
                NewVersion::Stored(version) => stored(version)?,
                NewVersion::Text(text) => Arc::new(Document::parse(text, DocumentKind::Identity)?),
            };
            let before = match from {
                None => Overlay::None,
                Some(version) => {
                    Overlay::Document { policy: entity.id, document: stored(version)? }
                }
            };
            let mut documents = vec![Arc::clone(&new)];
            match &before {
                Overlay::Document { policy: _, document } => documents.push(Arc::clone(document)),
                Overlay::None | Overlay::Group { .. } => {
                    documents.extend(found.documents(identity))
                }
            }
            let after = Overlay::Document { policy: entity.id, document: new };
            let mut concerned = BTreeSet::new();
            for id in identity.index().sources(account, entity.id) {
                add_members(identity, account, id, &mut concerned);
            }
            concerned.extend(identity.index().bounded(account, entity.id));
            Ok(Plan { before, after, documents, concerned })
        }
        PolicyChange::Group { group, attach, detach } => {
            let entity = find_group(identity, group)
                .filter(|entity| entity.account == account)
                .ok_or_else(|| missing(Noun::Group, group))?;
            let find = |arns: &Vec<PolicyArn>| -> Result<Vec<PolicyRef>, Error> {
                arns.iter().map(|arn| find_policy(identity, account, arn)).collect()
            };
            let (attach, detach) = (find(attach)?, find(detach)?);
            let changed = attach.iter().chain(&detach);
            let documents = changed.flat_map(|policy| policy.documents(identity)).collect();
            let mut concerned = BTreeSet::new();
            add_members(identity, account, entity.id, &mut concerned);
            let detach = detach.iter().map(PolicyRef::id).collect();
            let after = Overlay::Group { group: entity.id, attach, detach };
            Ok(Plan { before: Overlay::None, after, documents, concerned })
        }
    }
}

fn missing(noun: Noun, name: &impl ToString) -> Error {
    Error::NoSuchEntity { noun, name: name.to_string() }
}

/// The users of a group, or the user or role itself.
fn add_members(
    identity: &Identity,
    account: AccountId,
    id: UniqueId,
    members: &mut BTreeSet<UniqueId>,
) {
    match id.kind() {
        Some(UniqueIdKind::Group) => members.extend(identity.index().sources(account, id)),
        _ => drop(members.insert(id)),
    }
}

fn find_policy(
    identity: &Identity,
    account: AccountId,
    arn: &PolicyArn,
) -> Result<PolicyRef, Error> {
    arn.may_find(identity, account).ok_or_else(|| missing(Noun::Policy, arn))
}

fn find_group(identity: &Identity, arn: &Arn) -> Option<Entity> {
    let rest = arn.resource().strip_prefix("group/")?;
    let account = arn.account().parse().ok()?;
    identity.find_by_arn(account, UniqueIdKind::Group, rest.rsplit('/').next()?, arn)
}

fn caller_of(account: AccountId, principal: Principal) -> Caller {
    Caller { account, principal, credential: Credential::Node(0), session: None }
}

/// An account's users and roles behind a page's marker.
fn all_principals(
    identity: &Identity,
    account: AccountId,
    page: &Page,
) -> impl Iterator<Item = UniqueId> {
    let marker = page.marker.clone();
    let kinds = [UniqueIdKind::User, UniqueIdKind::Role];
    let all = kinds.into_iter().flat_map(move |kind| identity.index().heads(account, kind));
    all.filter(move |id| marker.as_ref().is_none_or(|marker| id.to_string() > *marker))
}

/// As many as a page looks at, and the marker of the next.
fn some_of(
    ids: impl Iterator<Item = UniqueId>,
    max_items: usize,
) -> (Vec<UniqueId>, Option<String>) {
    let max = max_items.clamp(1, PRINCIPALS_PER_PAGE_MAX);
    let mut ids: Vec<UniqueId> = ids.take(max + 1).collect();
    let more = ids.len() > max;
    ids.truncate(max);
    let next = ids.last().filter(|_| more).map(ToString::to_string);
    (ids, next)
}
