//! The decision on a request. AWS: "Policy evaluation logic".
//!
//! **Invariants.** The must/may rule (DESIGN §4): an `Allow` counts only from a source that is
//! certain, and only if every alternative of it gives it; a `Deny` counts if any alternative of any
//! source may give it. So a decision that allows would also allow if each contest were settled
//! either way. A decision that takes more than [`DECISION_STEPS_MAX`] steps refuses.
//!
//! **Must not know:** where sources come from, how they are stored.

use std::sync::Arc;

use crate::{
    Context, Document, Effect, ResourceLayer, Statement, TrustGrant,
    budget::{Budget, DECISION_STEPS_MAX},
    resource::{Grant, is_spared},
    truth::Truth,
};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `service:Action`; compared without case.
    pub action: &'a str,
    /// The resource's ARN, or `*` for an action that has none.
    pub resource: &'a str,
    /// The condition keys.
    pub context: &'a Context,
}

/// Which policy it is, to tell people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceLabel {
    /// A managed policy.
    Managed {
        /// Its ARN.
        arn: String,
    },
    /// An inline policy.
    Inline {
        /// The user, group or role it is embedded in.
        owner_arn: String,
        /// Its name.
        name: String,
    },
    /// The policy given when the session was made.
    Session,
    /// The trust policy of the role in question.
    Trust,
    /// The policy of the resource in question.
    Resource,
    /// One that a simulation brings, such as `PolicyInputList.1`.
    Input {
        /// Its name.
        name: String,
    },
}

/// One policy that applies to the principal, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which policy.
    pub label: SourceLabel,
    /// Whether it is beyond doubt that the policy applies: no edge to it is contested.
    pub certain: bool,
    /// What the policy may say: one document, or the sides of a contest. Without any it says
    /// nothing.
    pub alternatives: Vec<Arc<Document>>,
}

/// All that grants to a principal and limits it.
///
/// A boundary, a session or a level of guard rails that is present and has no source allows
/// nothing; neither do guard rails without a level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The principal's own policies and its groups'.
    pub identity: Vec<Source>,
    /// The permissions boundary, if there is one; of a contested one every policy that it may be,
    /// and each of them must allow.
    pub boundary: Option<Vec<Source>>,
    /// The session policies, if there are any.
    pub session: Option<Vec<Source>>,
    /// The guard rails of the principal's organization, if it is in one, level by level from the
    /// root down: in each level one must allow. AWS: service control policies.
    pub guard_rails: Option<Vec<Vec<Source>>>,
    /// The policy of the resource; `None` for a resource of the principal's own account that has
    /// none.
    pub resource: Option<ResourceLayer>,
}

impl Layers {
    /// All their policies.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let Self { identity, boundary, session, guard_rails, resource } = self;
        let limits = boundary.iter().chain(session).chain(guard_rails.iter().flatten()).flatten();
        identity.iter().chain(limits).chain(resource.iter().flat_map(|resource| &resource.sources))
    }
}

/// A kind of policy, as far as a decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Guard rails of the organization.
    GuardRail,
    /// Identity-based policies.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Session policies.
    Session,
    /// A policy of the resource.
    Resource,
    /// A role's trust policy.
    Trust,
}

/// Yes, or no and because of which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every layer allows and none denies.
    Allow,
    /// A statement denies.
    ExplicitDeny {
        /// The first layer with such a statement.
        layer: Layer,
    },
    /// No statement denies, but a layer does not allow.
    ImplicitDeny {
        /// The first such layer.
        layer: Layer,
    },
}

/// A statement that made a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchedStatement {
    /// The policy it is in.
    pub label: SourceLabel,
    /// Its `Sid`.
    pub sid: Option<String>,
    /// Its place in the document, from 0.
    pub index: usize,
    /// What it does.
    pub effect: Effect,
}

/// A decision and what made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// For an explicit deny the statements of all layers that deny, for an allow one that allows
    /// from each document of each source that allows, for an implicit deny none.
    pub statements: Vec<MatchedStatement>,
    /// How a trust policy names the caller that it allows; `None` in all other decisions.
    pub grant: Option<TrustGrant>,
}

impl Decision {
    /// Whether the request is allowed.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    pub(crate) fn new(verdict: Verdict, statements: Vec<MatchedStatement>) -> Self {
        Self { verdict, statements, grant: None }
    }
}

/// What a layer said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A statement denies, or may.
    Denies,
    /// It allows, as far as that is asked of it.
    Allows,
    /// Nothing in it allows.
    AllowsNothing,
    /// It does not deny, and what it allows was not asked: the answer was known.
    NotAsked,
}

/// One layer on the way to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The layer.
    pub layer: Layer,
    /// What it said.
    pub outcome: Outcome,
    /// How many policies it has.
    pub policies: usize,
}

/// Decides a request: an explicit deny in any layer refuses it; else every layer that is present
/// must allow it, with two exceptions. A policy of a resource of the same account need not allow;
/// if it does it stands in for the principal's identity policies when it names the principal, for
/// all but the guard rails when it names the user, the session or anyone.
///
/// What [`DECISION_STEPS_MAX`] steps do not decide is refused: by the first layer with a `Deny`
/// that may apply, else by the layer in which they ran out.
pub fn evaluate(layers: &Layers, request: &Request<'_>) -> Decision {
    let budget = Budget::new(DECISION_STEPS_MAX);
    trail(layers, request, None, &budget).into_decision()
}

/// Decides a request that a policy of the resource already allows: the principal's own policies can
/// deny it and need not allow it; boundary and session must.
pub fn evaluate_granted(layers: &Layers, request: &Request<'_>) -> Decision {
    let budget = Budget::new(DECISION_STEPS_MAX);
    trail(layers, request, Some(Grant::Principal), &budget).into_decision()
}

/// A statement that made a decision, and the document it stands in.
#[derive(Clone, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) document: &'a Arc<Document>,
    pub(crate) statement: MatchedStatement,
}

/// A decision with the way to it, of which enforcement and explanation tell as much as they need.
#[derive(Clone, Debug)]
pub(crate) struct Trail<'a> {
    pub(crate) verdict: Verdict,
    pub(crate) found: Vec<Found<'a>>,
    pub(crate) steps: Vec<Step>,
}

impl Trail<'_> {
    pub(crate) fn into_decision(self) -> Decision {
        let statements = self.found.into_iter().map(|found| found.statement).collect();
        Decision::new(self.verdict, statements)
    }
}

/// One layer's policies, by how they allow together.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// One must allow.
    Any(&'a [Source]),
    /// Each must.
    Each(&'a [Source]),
    /// One of each level must.
    Levels(&'a [Vec<Source>]),
    Resource(&'a ResourceLayer),
}

impl<'a> Part<'a> {
    fn sources(self) -> Vec<&'a Source> {
        match self {
            Self::Any(sources) | Self::Each(sources) => sources.iter().collect(),
            Self::Levels(levels) => levels.iter().flatten().collect(),
            Self::Resource(resource) => resource.sources.iter().collect(),
        }
    }

    fn denies(self, request: &Request<'_>, budget: &Budget) -> Vec<Found<'a>> {
        match self {
            Self::Resource(resource) => resource.denies(request, budget),
            Self::Any(_) | Self::Each(_) | Self::Levels(_) => {
                let sources = self.sources().into_iter();
                sources.flat_map(|source| source.denies(request, budget)).collect()
            }
        }
    }

    /// The statements that allow, none unless the whole layer does; and what a policy of the
    /// resource grants by them.
    fn allows(self, request: &Request<'_>, budget: &Budget) -> (Vec<Found<'a>>, Option<Grant>) {
        let any = |sources: &'a [Source]| -> Vec<_> {
            sources.iter().flat_map(|source| source.allows(request, budget)).collect()
        };
        let all = |each: Vec<Vec<Found<'a>>>| {
            let whole = each.iter().all(|statements| !statements.is_empty());
            if whole { each.into_iter().flatten().collect() } else { Vec::new() }
        };
        let found = match self {
            Self::Any(sources) => any(sources),
            Self::Each(sources) => all(sources.iter().map(|s| s.allows(request, budget)).collect()),
            Self::Levels(levels) => all(levels.iter().map(|level| any(level)).collect()),
            Self::Resource(resource) => return resource.allows(request, budget),
        };
        (found, None)
    }
}

pub(crate) fn trail<'a>(
    layers: &'a Layers,
    request: &Request<'_>,
    granted: Option<Grant>,
    budget: &Budget,
) -> Trail<'a> {
    let Layers { identity, boundary, session, guard_rails, resource } = layers;
    let present: Vec<(Layer, Part<'a>)> = [
        (Layer::GuardRail, guard_rails.as_deref().map(Part::Levels)),
        (Layer::Resource, resource.as_ref().map(Part::Resource)),
        (Layer::Identity, Some(Part::Any(identity))),
        (Layer::Boundary, boundary.as_deref().map(Part::Each)),
        (Layer::Session, session.as_deref().map(Part::Any)),
    ]
    .into_iter()
    .filter_map(|(layer, part)| Some((layer, part?)))
    .collect();
    let step = |(layer, part): &(Layer, Part<'_>)| Step {
        layer: *layer,
        outcome: Outcome::NotAsked,
        policies: part.sources().len(),
    };
    let mut steps: Vec<Step> = present.iter().map(step).collect();

    let mut denies = Vec::new();
    for (step, (_, part)) in steps.iter_mut().zip(&present) {
        let before = denies.len();
        denies.extend(part.denies(request, budget));
        if denies.len() > before {
            step.outcome = Outcome::Denies;
        }
    }
    if let Some(first) = steps.iter().find(|step| step.outcome == Outcome::Denies) {
        let verdict = Verdict::ExplicitDeny { layer: first.layer };
        return Trail { verdict, found: denies, steps };
    }

    let (mut allows, mut granted) = (Vec::new(), granted);
    for (step, (layer, part)) in steps.iter_mut().zip(&present) {
        let (statements, grant) = part.allows(request, budget);
        let needed = match part {
            Part::Resource(resource) if !resource.is_foreign() => {
                granted = granted.max(grant);
                false
            }
            Part::Any(_) | Part::Each(_) | Part::Levels(_) | Part::Resource(_) => {
                !is_spared(*layer, granted)
            }
        };
        let allowed = !statements.is_empty();
        if (needed && !allowed) || budget.is_exhausted() {
            step.outcome = Outcome::AllowsNothing;
            let verdict = Verdict::ImplicitDeny { layer: *layer };
            return Trail { verdict, found: Vec::new(), steps };
        }
        step.outcome = match (allowed, layer) {
            (true, _) => Outcome::Allows,
            (false, Layer::Resource) => Outcome::AllowsNothing,
            (false, _) => Outcome::NotAsked,
        };
        allows.extend(statements);
    }
    Trail { verdict: Verdict::Allow, found: allows, steps }
}

impl Source {
    /// The statements of any alternative that deny, or may.
    fn denies(&self, request: &Request<'_>, budget: &Budget) -> Vec<Found<'_>> {
        self.denies_as(request, budget, |_| Truth::True)
    }

    /// Of the statements that are about the caller, as far as `named` knows, those that may deny.
    pub(crate) fn denies_as(
        &self,
        request: &Request<'_>,
        budget: &Budget,
        named: impl Fn(&Statement) -> Truth,
    ) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        for document in &self.alternatives {
            for (index, statement) in document.statements().iter().enumerate() {
                if statement.effect() == Effect::Deny
                    && named(statement) != Truth::False
                    && statement.applies(request, budget) != Truth::False
                {
                    found.push(self.found(document, index, statement));
                }
            }
        }
        found
    }

    /// For each alternative its first statement that allows; none unless all have one.
    fn allows<'a>(&'a self, request: &Request<'_>, budget: &Budget) -> Vec<Found<'a>> {
        if !self.certain {
            return Vec::new();
        }
        let first = |document: &'a Arc<Document>| {
            if !document.kind().allows_its_owner() {
                return None;
            }
            document.statements().iter().enumerate().find_map(|(index, statement)| {
                let allows = statement.effect() == Effect::Allow
                    && statement.applies(request, budget) == Truth::True;
                allows.then(|| self.found(document, index, statement))
            })
        };
        self.alternatives.iter().map(first).collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// Whether every alternative allows.
    pub(crate) fn allows_in_all(&self, request: &Request<'_>, budget: &Budget) -> bool {
        !self.allows(request, budget).is_empty()
    }

    /// A statement of one of the alternatives.
    pub(crate) fn found<'a>(
        &self,
        document: &'a Arc<Document>,
        index: usize,
        statement: &Statement,
    ) -> Found<'a> {
        let (sid, effect) = (statement.sid().map(str::to_owned), statement.effect());
        let statement = MatchedStatement { label: self.label.clone(), sid, index, effect };
        Found { document, statement }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentKind;

    fn layers(statements: &[String]) -> Layers {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        let document = Document::parse(&text, DocumentKind::Identity).unwrap();
        let label = SourceLabel::Session;
        let source = Source { label, certain: true, alternatives: vec![Arc::new(document)] };
        Layers { identity: vec![source], ..Layers::default() }
    }

    fn statement(effect: &str, resource: &str, condition: &str) -> String {
        format!(
            r#"{{"Effect":"{effect}","Action":"s3:*","Resource":"{resource}",
                "Condition":{condition}}}"#
        )
    }

    /// What a decision takes, and what it is with so much and with one step less.
    fn around_the_limit(statements: &[String], context: &Context) -> (u64, Verdict, Verdict) {
        let layers = layers(statements);
        let request = Request { action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context };
        let within = |steps| {
            let budget = Budget::new(steps);
            (trail(&layers, &request, None, &budget).verdict, budget.left())
        };
        let (_, left) = within(DECISION_STEPS_MAX);
        let taken = DECISION_STEPS_MAX - left;
        (taken, within(taken).0, within(taken - 1).0)
    }

    #[test]
    fn one_step_too_few_refuses() {
        let mut context = Context::new();
        context.insert("aws:username", "bob");
        let like = r#"{"StringLike":{"aws:username":"${aws:username}"}}"#;
        let age = r#"{"NumericLessThanIfExists":{"aws:MultiFactorAuthAge":"1"}}"#;
        let layer = Layer::Identity;
        for condition in [like, age, "{}"] {
            let allow = [statement("Allow", "*", condition)];
            let (_, at, past) = around_the_limit(&allow, &context);
            assert_eq!((at, past), (Verdict::Allow, Verdict::ImplicitDeny { layer }));
        }
        // A `Deny` that does not apply has to be read to its end before anything is allowed.
        let deny = statement("Deny", "*", r#"{"StringEquals":{"aws:username":"eve"}}"#);
        let both = [statement("Allow", "*", "{}"), deny.clone()];
        assert_eq!(around_the_limit(&both, &context).1, Verdict::Allow);
        for steps in 0..around_the_limit(&both, &context).0 {
            let request =
                Request { action: "s3:GetObject", resource: "arn:aws:s3:::b/k", context: &context };
            let layers = layers(&both);
            let trail = trail(&layers, &request, None, &Budget::new(steps));
            assert_ne!(trail.verdict, Verdict::Allow, "{steps}");
        }
        let (_, at, past) = around_the_limit(&[deny], &context);
        assert_eq!(at, Verdict::ImplicitDeny { layer });
        assert_eq!(past, Verdict::ExplicitDeny { layer });
    }

    #[test]
    fn hostile_patterns_cost_no_more_than_the_budget_and_are_refused() {
        let stars = format!("{}b", "*a".repeat(2_000));
        let condition = format!(r#"{{"StringLike":{{"t:long":"{stars}"}}}}"#);
        let mut context = Context::new();
        context.insert("t:long", "a".repeat(100_000));
        let request = Request { action: "s3:Get", resource: "*", context: &context };
        for effect in ["Allow", "Deny"] {
            let mut statements = vec![statement(effect, "*", &condition); 30];
            statements.push(statement("Allow", "*", "{}"));
            let budget = Budget::new(DECISION_STEPS_MAX);
            let layers = layers(&statements);
            let verdict = trail(&layers, &request, None, &budget).verdict;
            assert!(budget.is_exhausted() && verdict != Verdict::Allow, "{effect}");
        }
        // The same patterns within the limit are decided, not refused.
        let mut context = Context::new();
        context.insert("t:long", format!("{}b", "a".repeat(3_000)));
        let (taken, at, past) = around_the_limit(&[statement("Allow", "*", &condition)], &context);
        assert!(taken < 30_000, "{taken} steps");
        assert_eq!(at, Verdict::Allow);
        assert_ne!(past, Verdict::Allow);
    }
}
