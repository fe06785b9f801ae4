//! What policies would decide. AWS: `SimulateCustomPolicy`, `SimulatePrincipalPolicy`,
//! `GetContextKeysForCustomPolicy`, `GetContextKeysForPrincipalPolicy`.
//!
//! **Invariants.** The engine that enforces decides here too: a simulation of a principal without
//! policies of its own answers what [`crate::check`] answers. A page ends before it costs more than
//! `STATEMENTS_MAX` evaluations.
//!
//! **Must not know:** how a decision is shown.

use std::{collections::BTreeMap, sync::Arc};

use model::{AccountId, Arn, Credential, Entropy, UniqueId, UniqueIdKind, UserName};
use policy::{
    CallerSession, Context, Decision, Document, DocumentKind, Layers, MatchedStatement, Position,
    Request, ResourceLayer, Source, SourceLabel, TrustCaller, Verdict, evaluate, evaluate_granted,
};

use crate::{
    Caller, Ctx, Error, Identity, Listing, Noun, Page, Principal, SimulationFault,
    authorize::{demand, demand_entity, find_arn},
    check::{context_of, precluded, principal_of},
    effective::{group_layers, layers},
    entity::Entity,
    principal::{ISSUED, insert_kind, insert_time},
};

/// How many statements one page may evaluate, and so at most show.
const STATEMENTS_MAX: usize = 20_000;

/// AWS: `SimulateCustomPolicy`, and what `SimulatePrincipalPolicy` has in common with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// What is done, `service:Action`.
    pub actions: Vec<String>,
    /// To what; `*` if it is empty.
    pub resources: Vec<String>,
    /// Documents that count as identity policies.
    pub policies: Vec<String>,
    /// Documents that are the permissions boundary, in place of the principal's; each must allow.
    pub boundaries: Vec<String>,
    /// Condition keys. Those that are derived from a principal of this account are not taken from
    /// here, nor what the ARN of a caller tells.
    pub context: Vec<(String, Vec<String>)>,
    /// A user who asks, as far as its ARN tells: it need not exist. `None`: the principal.
    pub caller: Option<UserArn>,
    /// The policy that every resource has.
    pub resource_policy: Option<String>,
    /// Whose the resources are whose ARN does not say; `None`: the caller's account's.
    pub resource_owner: Option<AccountId>,
    /// Which part of the pairs of action and resource.
    pub page: Page,
}

/// The ARN of a user, whether there is one or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserArn {
    account: AccountId,
    arn: Arn,
    name: UserName,
}

impl UserArn {
    /// `None` if an ARN is not a user's.
    pub fn of(arn: Arn) -> Option<Self> {
        let account = arn.account().parse().ok()?;
        let name = arn.resource().strip_prefix("user/")?.rsplit('/').next()?.parse().ok()?;
        let of_iam = arn.partition() == "aws" && arn.service() == "iam" && arn.region().is_empty();
        of_iam.then_some(Self { account, arn, name })
    }

    fn insert(&self, context: &mut Context) {
        let Self { account, arn, name } = self;
        insert_kind(context, *account, "User");
        context.insert("aws:PrincipalArn", arn.to_string());
        context.insert("aws:username", name.to_string());
    }

    /// As a resource's policy names it.
    fn named(&self) -> TrustCaller {
        let Self { account, arn, name: _ } = self;
        // Nobody has this id, which is told to nobody.
        let unique_id = UniqueId::generate(UniqueIdKind::User, &Entropy::new([0; 32]), "simulated");
        TrustCaller { account: *account, arns: vec![arn.to_string()], unique_id }
    }
}

/// AWS: `SimulatePrincipalPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatePrincipal {
    /// The user, group or role.
    pub source: Arn,
    /// The question, and further policies.
    pub simulation: Simulation,
}

/// AWS: `GetContextKeysForCustomPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysOfPolicies {
    /// The documents.
    pub policies: Vec<String>,
}

/// AWS: `GetContextKeysForPrincipalPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysOfPrincipal {
    /// The user, group or role.
    pub source: Arn,
    /// Further documents.
    pub policies: Vec<String>,
}

/// What would be decided on one action and resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The action.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// The decision.
    pub verdict: Verdict,
    /// The statements that made it.
    pub statements: Vec<SimulatedStatement>,
    /// The condition keys that the policies name and the question leaves out.
    pub missing: Vec<String>,
    /// Whether the permissions boundary allows it; `None` without one.
    pub boundary_allows: Option<bool>,
}

/// A statement that made a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedStatement {
    /// The policy it is in.
    pub label: SourceLabel,
    /// Where it begins, and where its last character stands.
    pub position: Option<(Position, Position)>,
}

/// Whose policies are simulated.
enum Subject {
    Nobody,
    Group(Entity),
    Principal(Box<Caller>),
}

/// All that decides, once for all actions.
struct Scene {
    subject: Subject,
    layers: Layers,
    context: Context,
    missing: Vec<String>,
    /// Of a contested policy those of the side that is shown.
    positions: BTreeMap<SourceLabel, Vec<(Position, Position)>>,
    /// How many statements one decision evaluates.
    statements: usize,
    /// Whose the resources with a policy are whose ARN does not say.
    owner: Option<AccountId>,
}

/// Reads documents that stand in a list of the call.
fn inputs(list: &str, texts: &[String]) -> Result<Vec<Source>, Error> {
    let input = |(at, text): (usize, &String)| {
        let name = format!("{list}.{}", at + 1);
        let document = read(&name, text, DocumentKind::Identity)?;
        let label = SourceLabel::Input { name };
        Ok(Source { label, certain: true, alternatives: vec![document] })
    };
    texts.iter().enumerate().map(input).collect()
}

fn read(name: &str, text: &str, kind: DocumentKind) -> Result<Arc<Document>, Error> {
    let refused = |error: policy::ParseError| {
        let name = name.to_owned();
        Error::Simulation(SimulationFault::Policy { name, problem: error.problem })
    };
    Document::parse(text, kind).map(Arc::new).map_err(refused)
}

/// The policy of the resources, as it is about who asks.
fn resource_layer(
    identity: &Identity,
    subject: &Subject,
    simulation: &Simulation,
    context: &Context,
) -> Result<Option<ResourceLayer>, Error> {
    let Some(text) = &simulation.resource_policy else { return Ok(None) };
    let document = read("ResourcePolicy", text, DocumentKind::Resource)?;
    let user = match subject {
        Subject::Nobody | Subject::Group(_) => None,
        Subject::Principal(caller) => match caller.principal {
            Principal::User(id) => Some(Entity { account: caller.account, id }),
            Principal::Root | Principal::Role(_) => None,
        },
    };
    let caller = match (&simulation.caller, user) {
        (Some(caller), _) => caller.named(),
        (None, Some(user)) => {
            let arns = identity.arns(user).into_iter().map(|arn| arn.to_string()).collect();
            TrustCaller { account: user.account, arns, unique_id: user.id }
        }
        (None, None) => return Err(Error::Simulation(SimulationFault::NoCaller)),
    };
    // Whoever else it names is not who asks; a name that is contested may not be.
    let is_caller = |arn: &str| matches!(caller.arns.as_slice(), [own] if own == arn);
    let bindings = document.bind_principals(|arn| is_caller(arn).then_some(caller.unique_id));
    let owner = simulation.resource_owner.unwrap_or(caller.account);
    let label = SourceLabel::Resource;
    let sources = vec![Source { label, certain: true, alternatives: vec![document] }];
    let session = match context.get(ISSUED) {
        None => CallerSession::None,
        Some(_) => CallerSession::Temporary,
    };
    Ok(Some(ResourceLayer { sources, bindings, caller, session, owner }))
}

/// The condition keys that policies name, by folded key.
fn keys(layers: &Layers) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for document in layers.sources().flat_map(|source| &source.alternatives) {
        for (fold, key) in document.context_keys() {
            keys.entry(fold).or_insert(key);
        }
    }
    keys
}

fn scene(
    identity: &Identity,
    ctx: &Ctx<'_>,
    subject: Subject,
    simulation: &Simulation,
) -> Result<Scene, Error> {
    let Simulation { actions, policies, boundaries, context: given, caller, .. } = simulation;
    let is_action = |action: &&String| {
        let named = action.split_once(':').is_some_and(|(service, name)| {
            !service.is_empty() && !name.is_empty() && !name.contains(':')
        });
        !named || action.contains(['*', '?'])
    };
    if let Some(action) = actions.iter().find(is_action) {
        return Err(Error::Simulation(SimulationFault::ActionName { action: action.clone() }));
    }
    let own = inputs("PolicyInputList", policies)?;
    let limits = inputs("PermissionsBoundaryPolicyInputList", boundaries)?;
    let mut layers = subject_layers(identity, &subject);
    layers.identity.extend(own);
    if !limits.is_empty() {
        layers.boundary = Some(limits);
    }
    let context = match (&subject, caller) {
        (Subject::Principal(caller), None) => context_of(identity, ctx.now, caller, None, given),
        (Subject::Nobody | Subject::Group(_) | Subject::Principal(_), caller) => {
            let mut context = Context::new();
            insert_time(&mut context, ctx.now);
            for (key, values) in given {
                context.insert_many(key, values.clone());
            }
            if let Some(caller) = caller {
                caller.insert(&mut context);
            }
            context
        }
    };
    layers.resource = resource_layer(identity, &subject, simulation, &context)?;
    let missing = keys(&layers).into_values().filter(|key| context.get(key).is_none()).collect();
    let (positions, statements) = survey(&layers);
    let owner = layers.resource.as_ref().map(|layer| layer.owner);
    Ok(Scene { subject, layers, context, missing, positions, statements, owner })
}

/// Where the statements of each policy stand, and how many there are.
fn survey(layers: &Layers) -> (BTreeMap<SourceLabel, Vec<(Position, Position)>>, usize) {
    let (mut positions, mut statements) = (BTreeMap::new(), 0);
    for source in layers.sources() {
        let documents = source.alternatives.iter();
        statements += documents.map(|document| document.statements().len()).sum::<usize>();
        if let Some(shown) = source.alternatives.first() {
            positions.insert(source.label.clone(), shown.statement_positions());
        }
    }
    (positions, statements)
}

/// How many results of so many statements each fit a page; one always does. AWS: a page may have
/// fewer than `MaxItems`.
fn results_max(statements: usize) -> usize {
    (STATEMENTS_MAX / statements.max(1)).max(1)
}

/// The account that a resource's ARN names.
fn account_of(resource: &str) -> Option<AccountId> {
    resource.parse::<Arn>().ok()?.account().parse().ok()
}

fn subject_layers(identity: &Identity, subject: &Subject) -> Layers {
    match subject {
        Subject::Nobody => Layers::default(),
        Subject::Group(group) => group_layers(identity, *group),
        Subject::Principal(caller) => layers(identity, caller).unwrap_or_default(),
    }
}

impl Scene {
    fn decide(&mut self, identity: &Identity, action: &str, resource: &str) -> Simulated {
        if let (Some(layer), Some(owner)) = (&mut self.layers.resource, self.owner) {
            layer.owner = account_of(resource).unwrap_or(owner);
        }
        let Self { subject, layers, context, missing, .. } = &*self;
        let request = Request { action, resource, context };
        let precluded = match subject {
            Subject::Nobody | Subject::Group(_) => None,
            Subject::Principal(caller) => precluded(identity, caller, context, action),
        };
        let Decision { verdict, statements, grant: _ } =
            precluded.unwrap_or_else(|| evaluate(layers, &request));
        let boundary_allows = layers.boundary.clone().map(|boundary| {
            let limits = Layers { boundary: Some(boundary), ..Layers::default() };
            evaluate_granted(&limits, &request).is_allowed()
        });
        Simulated {
            action: action.to_owned(),
            resource: resource.to_owned(),
            verdict,
            statements: statements.into_iter().map(|matched| self.place(matched)).collect(),
            missing: missing.clone(),
            boundary_allows,
        }
    }

    fn place(&self, matched: MatchedStatement) -> SimulatedStatement {
        let MatchedStatement { label, sid: _, index, effect: _ } = matched;
        let position = self.positions.get(&label).and_then(|all| all.get(index)).copied();
        SimulatedStatement { label, position }
    }

    fn run(mut self, identity: &Identity, simulation: &Simulation) -> Listing<Simulated> {
        let Simulation { actions, resources, page, .. } = simulation;
        let all = ["*".to_owned()];
        let resources = if resources.is_empty() { &all } else { resources.as_slice() };
        let pairs = actions.iter().flat_map(|action| resources.iter().map(move |r| (action, r)));
        let keyed = pairs.enumerate().map(|(at, pair)| (format!("{at:09}"), pair));
        let max_items = page.max_items.min(results_max(self.statements));
        let page = Page { marker: page.marker.clone(), max_items };
        let Listing { items, next } = page.cut(keyed);
        let decide =
            |(action, resource): (&String, &String)| self.decide(identity, action, resource);
        Listing { items: items.into_iter().map(decide).collect(), next }
    }
}

pub(crate) fn custom(
    identity: &Identity,
    ctx: &Ctx<'_>,
    simulation: &Simulation,
) -> Result<Listing<Simulated>, Error> {
    demand(identity, ctx, "iam:SimulateCustomPolicy", "*", &Vec::new())?;
    let scene = scene(identity, ctx, Subject::Nobody, simulation)?;
    Ok(scene.run(identity, simulation))
}

pub(crate) fn principal(
    identity: &Identity,
    ctx: &Ctx<'_>,
    SimulatePrincipal { source, simulation }: &SimulatePrincipal,
) -> Result<Listing<Simulated>, Error> {
    let subject = find_subject(identity, ctx, "iam:SimulatePrincipalPolicy", source)?;
    let scene = scene(identity, ctx, subject, simulation)?;
    Ok(scene.run(identity, simulation))
}

pub(crate) fn keys_of_policies(
    identity: &Identity,
    ctx: &Ctx<'_>,
    KeysOfPolicies { policies }: &KeysOfPolicies,
) -> Result<Vec<String>, Error> {
    demand(identity, ctx, "iam:GetContextKeysForCustomPolicy", "*", &Vec::new())?;
    let identity = inputs("PolicyInputList", policies)?;
    Ok(keys(&Layers { identity, ..Layers::default() }).into_values().collect())
}

pub(crate) fn keys_of_principal(
    identity: &Identity,
    ctx: &Ctx<'_>,
    KeysOfPrincipal { source, policies }: &KeysOfPrincipal,
) -> Result<Vec<String>, Error> {
    const ACTION: &str = "iam:GetContextKeysForPrincipalPolicy";
    let subject = find_subject(identity, ctx, ACTION, source)?;
    let mut layers = subject_layers(identity, &subject);
    layers.identity.extend(inputs("PolicyInputList", policies)?);
    Ok(keys(&layers).into_values().collect())
}

/// Authorizes a call on the user, group or role of an ARN, and finds it in the caller's account.
fn find_subject(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    source: &Arn,
) -> Result<Subject, Error> {
    let found = find_source(identity, source).filter(|found| found.account == ctx.caller.account);
    let Some(entity) = found else {
        demand(identity, ctx, action, source.as_str(), &Vec::new())?;
        return Err(Error::NoSuchEntity { noun: Noun::Principal, name: source.to_string() });
    };
    demand_entity(identity, ctx, action, entity, Vec::new())?;
    let caller = |principal: Principal| Caller {
        account: entity.account,
        principal,
        credential: Credential::Node(0),
        session: None,
    };
    Ok(principal_of(entity.id)
        .map_or(Subject::Group(entity), |p| Subject::Principal(Box::new(caller(p)))))
}

fn find_source(identity: &Identity, source: &Arn) -> Option<Entity> {
    if let Some((entity, session)) = find_arn(identity, source) {
        return session.is_none().then_some(entity);
    }
    let rest = source.resource().strip_prefix("group/")?;
    let account = source.account().parse().ok()?;
    identity.find_by_arn(account, UniqueIdKind::Group, rest.rsplit('/').next()?, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_evaluates_at_most_so_many_statements() {
        for (statements, results) in [
            (0, STATEMENTS_MAX),
            (1, STATEMENTS_MAX),
            (STATEMENTS_MAX / 2, 2),
            (STATEMENTS_MAX / 2 + 1, 1),
            (STATEMENTS_MAX + 1, 1),
        ] {
            assert_eq!(results_max(statements), results, "{statements}");
        }
    }
}
