//! Why a decision is what it is: the chain that was walked, the statements that decided with their
//! places, what would have made it an allow, and what was contested.
//!
//! **Invariants.** The decision is read off the trail that enforcement leaves, never made anew. A
//! nearest miss was carried out: with its changes the same policies allow. All searching together
//! takes at most the steps of one decision.
//!
//! **Must not know:** how people are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Context, ContextValue, Decision, Document, DocumentKind, Effect, Layers, MatchedStatement,
    Position, Request, Source, SourceLabel, Statement, Verdict,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    condition::Condition,
    evaluate::{Found, Layer, Step, trail},
    truth::Truth,
};

/// The most nearest misses that are told.
pub const NEAR_MISSES_MAX: usize = 5;
/// A statement with more conditions that fail is no near miss.
pub const NEAR_CHANGES_MAX: usize = 3;
/// The most statements that a search for near misses tries.
const TRIED_MAX: usize = 32;

/// A decision, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What [`evaluate`](crate::evaluate) gives.
    pub decision: Decision,
    /// Where each of the decision's statements begins in its document, and where its last character
    /// stands.
    pub positions: Vec<Option<(Position, Position)>>,
    /// What each layer said, in the order in which they were asked.
    pub chain: Vec<Step>,
    /// Of a refusal: how it would be an allow, with the fewest changes first.
    pub near_misses: Vec<NearMiss>,
    /// The policies with a statement about the request of which it is contested whether they apply
    /// or what they say.
    pub contested_policies: Vec<SourceLabel>,
    /// The condition keys that such statements ask for and whose values are contested or unknown.
    pub contested_keys: Vec<String>,
}

/// Other values of condition keys with which a request would be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The statement that would allow, or those that would not deny.
    pub statements: Vec<MatchedStatement>,
    /// Where each stands.
    pub positions: Vec<Option<(Position, Position)>>,
    /// What would have to be otherwise.
    pub changes: Vec<Change>,
}

/// Another value of one condition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key as the policy writes it.
    pub key: String,
    /// What it holds; `None` if it is absent.
    pub found: Option<ContextValue>,
    /// What it would have to hold; `None` if it would have to be absent.
    pub wanted: Option<String>,
}

impl Explanation {
    /// Of a decision that no policy made.
    pub fn bare(decision: Decision) -> Self {
        let positions = vec![None; decision.statements.len()];
        Self {
            decision,
            positions,
            chain: Vec::new(),
            near_misses: Vec::new(),
            contested_policies: Vec::new(),
            contested_keys: Vec::new(),
        }
    }
}

/// Decides a request as [`evaluate`](crate::evaluate) does, and tells why.
///
/// ```
/// use std::sync::Arc;
/// use policy::{Context, Document, DocumentKind, Layers, Request, Source, SourceLabel, explain};
///
/// let text = r#"{
///     "Version": "2012-10-17",
///     "Statement": [{
///         "Effect": "Allow", "Action": "s3:*", "Resource": "*",
///         "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
///     }]
/// }"#;
/// let document = Arc::new(Document::parse(text, DocumentKind::Identity)?);
/// let label = SourceLabel::Session;
/// let source = Source { label, certain: true, alternatives: vec![document] };
/// let layers = Layers { identity: vec![source], ..Layers::default() };
/// let context = Context::new();
/// let request = Request { action: "s3:GetObject", resource: "*", context: &context };
///
/// let explanation = explain(&layers, &request);
/// assert!(!explanation.decision.is_allowed());
/// let miss = &explanation.near_misses[0];
/// assert_eq!(miss.changes[0].key, "aws:MultiFactorAuthPresent");
/// assert_eq!(miss.changes[0].wanted.as_deref(), Some("true"));
/// assert_eq!(miss.positions[0].map(|(start, _)| start.line), Some(3));
/// # Ok::<(), policy::ParseError>(())
/// ```
pub fn explain(layers: &Layers, request: &Request<'_>) -> Explanation {
    let trail = trail(layers, request, None, &Budget::new(DECISION_STEPS_MAX));
    let search = Search { layers, request, budget: &Budget::new(DECISION_STEPS_MAX) };
    let mut near_misses = match trail.verdict {
        Verdict::Allow => Vec::new(),
        Verdict::ExplicitDeny { layer: _ } => search.without(&trail.found).into_iter().collect(),
        Verdict::ImplicitDeny { layer } => search.near(layer),
    };
    near_misses.truncate(NEAR_MISSES_MAX);
    let (contested_policies, contested_keys) = search.contested();
    let mut places = Places::default();
    Explanation {
        positions: trail.found.iter().map(|found| places.of(found)).collect(),
        chain: trail.steps.clone(),
        near_misses,
        contested_policies,
        contested_keys,
        decision: trail.into_decision(),
    }
}

/// Whether a layer takes an `Allow` of such a document.
fn may_allow(kind: DocumentKind, layer: Layer) -> bool {
    if layer == Layer::Resource { kind == DocumentKind::Resource } else { kind.allows_its_owner() }
}

/// Where statements stand; those of one document are looked for once if they come together.
#[derive(Default)]
struct Places<'a> {
    document: Option<&'a Arc<Document>>,
    positions: Vec<(Position, Position)>,
}

impl<'a> Places<'a> {
    fn of(&mut self, found: &Found<'a>) -> Option<(Position, Position)> {
        if !self.document.is_some_and(|known| Arc::ptr_eq(known, found.document)) {
            self.document = Some(found.document);
            self.positions = found.document.statement_positions();
        }
        self.positions.get(found.statement.index).copied()
    }
}

/// Looks at what policies say beside the decision.
struct Search<'a> {
    layers: &'a Layers,
    request: &'a Request<'a>,
    budget: &'a Budget,
}

impl<'a> Search<'a> {
    fn sources(&self, layer: Layer) -> Vec<&'a Source> {
        let Layers { identity, boundary, session, guard_rails, resource } = self.layers;
        match layer {
            Layer::GuardRail => guard_rails.iter().flatten().flatten().collect(),
            Layer::Resource => resource.iter().flat_map(|resource| &resource.sources).collect(),
            Layer::Identity => identity.iter().collect(),
            Layer::Boundary => boundary.iter().flatten().collect(),
            Layer::Session => session.iter().flatten().collect(),
            Layer::Trust => Vec::new(),
        }
    }

    /// Whether a layer's statement is about the caller.
    fn names(&self, layer: Layer, statement: &Statement) -> Truth {
        match (layer, &self.layers.resource) {
            (Layer::Resource, Some(resource)) => resource.names_within(statement, self.budget).0,
            _ => Truth::True,
        }
    }

    /// The statements that would allow, but for a few of their conditions, what a layer does not. A
    /// policy of the resource may stand in for the principal's own.
    fn near(&self, layer: Layer) -> Vec<NearMiss> {
        let scope = Scope { context: self.request.context, budget: self.budget };
        let mut tried: Vec<(Found<'a>, Vec<&'a Condition>)> = Vec::new();
        let instead = match layer {
            Layer::Identity | Layer::Boundary | Layer::Session => Some(Layer::Resource),
            Layer::GuardRail | Layer::Resource | Layer::Trust => None,
        };
        let each = |layer| self.sources(layer).into_iter().map(move |source| (layer, source));
        let sources = [Some(layer), instead].into_iter().flatten().flat_map(each);
        for (layer, source) in sources {
            // What a contest leaves out no condition brings in.
            let [document] = source.alternatives.as_slice() else { continue };
            if !source.certain || !may_allow(document.kind(), layer) {
                continue;
            }
            for (index, statement) in document.statements().iter().enumerate() {
                if statement.effect() != Effect::Allow
                    || self.names(layer, statement) != Truth::True
                    || statement.fits(self.request, self.budget) != Truth::True
                {
                    continue;
                }
                let conditions = statement.conditions.iter();
                let failing: Vec<_> =
                    conditions.filter(|c| c.holds(scope) != Truth::True).collect();
                if (1..=NEAR_CHANGES_MAX).contains(&failing.len()) {
                    tried.push((source.found(document, index, statement), failing));
                }
            }
        }
        tried.sort_by_key(|(_, failing)| failing.len());
        let mut misses = Vec::new();
        for (found, failing) in tried.into_iter().take(TRIED_MAX) {
            if misses.len() < NEAR_MISSES_MAX {
                misses.extend(self.with(&found, &failing));
            }
        }
        misses
    }

    /// The changes that satisfy the conditions of a statement, if the request is then allowed.
    fn with(&self, found: &Found<'a>, failing: &[&Condition]) -> Option<NearMiss> {
        let keys = self.keys(found.document)?;
        let (mut context, mut changes) = (self.request.context.clone(), Vec::new());
        for condition in failing {
            changes.push(self.change(condition, Truth::True, &mut context, &keys)?);
        }
        self.allows(&context).then(|| NearMiss {
            statements: vec![found.statement.clone()],
            positions: vec![Places::default().of(found)],
            changes,
        })
    }

    /// The changes with which none of these statements denies, if the request is then allowed.
    fn without(&self, denies: &[Found<'a>]) -> Option<NearMiss> {
        let (mut context, mut changes) = (self.request.context.clone(), Vec::new());
        let mut places = Places::default();
        let (mut statements, mut positions) = (Vec::new(), Vec::new());
        for found in denies.iter().take(TRIED_MAX) {
            let statement = found.document.statements().get(found.statement.index)?;
            let request = Request { context: &context, ..*self.request };
            if statement.applies(&request, self.budget) != Truth::False {
                let keys = self.keys(found.document)?;
                let mut conditions = statement.conditions.iter();
                changes.push(conditions.find_map(|condition| {
                    self.change(condition, Truth::False, &mut context, &keys)
                })?);
            }
            if changes.len() > NEAR_CHANGES_MAX {
                return None;
            }
            statements.push(found.statement.clone());
            positions.push(places.of(found));
        }
        self.allows(&context).then_some(NearMiss { statements, positions, changes })
    }

    /// Sets a condition's key to what makes the condition come out as wanted.
    fn change(
        &self,
        condition: &Condition,
        wanted: Truth,
        context: &mut Context,
        keys: &BTreeMap<String, String>,
    ) -> Option<Change> {
        let scope = Scope { context, budget: self.budget };
        for value in condition.examples(scope) {
            let mut changed = context.clone();
            changed.insert_many(condition.key(), value.clone());
            let scope = Scope { context: &changed, budget: self.budget };
            if condition.holds(scope) == wanted && !self.budget.is_exhausted() {
                *context = changed;
                let key = keys.get(condition.key()).map_or(condition.key(), String::as_str);
                let found = self.request.context.get_folded(condition.key()).cloned();
                return Some(Change { key: key.to_owned(), found, wanted: value });
            }
        }
        None
    }

    fn allows(&self, context: &Context) -> bool {
        let request = Request { context, ..*self.request };
        trail(self.layers, &request, None, self.budget).verdict == Verdict::Allow
    }

    /// The contested policies and keys that statements about the request depend on.
    fn contested(&self) -> (Vec<SourceLabel>, Vec<String>) {
        let (mut policies, mut keys) = (Vec::new(), BTreeMap::new());
        let layers =
            [Layer::GuardRail, Layer::Resource, Layer::Identity, Layer::Boundary, Layer::Session];
        let each = |layer| self.sources(layer).into_iter().map(move |source| (layer, source));
        for (layer, source) in layers.into_iter().flat_map(each) {
            let mut concerns = false;
            for document in &source.alternatives {
                concerns |= self.add_unknown_keys(layer, document, &mut keys);
            }
            let contested = !source.certain || source.alternatives.len() > 1;
            if concerns && contested && !policies.contains(&source.label) {
                policies.push(source.label.clone());
            }
        }
        (policies, keys.into_values().collect())
    }

    /// Adds what a document's statements about the request ask for and nobody knows; whether it has
    /// such statements.
    fn add_unknown_keys(
        &self,
        layer: Layer,
        document: &Document,
        keys: &mut BTreeMap<String, String>,
    ) -> bool {
        let (mut concerns, mut any, mut asked) = (false, false, BTreeSet::new());
        let about = |statement: &&Statement| self.names(layer, statement) != Truth::False;
        for statement in document.statements().iter().filter(about) {
            let fits = statement.fits(self.request, self.budget);
            concerns |= fits != Truth::False;
            // Then a variable of its resource is unknown, whichever of the document's keys it is,
            // or has no value.
            any |= fits == Truth::Unknown;
            if fits != Truth::False {
                let conditions = statement.conditions.iter().map(Condition::key);
                asked.extend(conditions.filter(|key| self.is_unknown(key)));
            }
        }
        if any || !asked.is_empty() {
            let named = document.context_keys().into_iter();
            keys.extend(
                named.filter(|(key, _)| {
                    self.is_unknown(key) && (any || asked.contains(key.as_str()))
                }),
            );
        }
        concerns
    }

    fn is_unknown(&self, key: &str) -> bool {
        self.request.context.get_folded(key) == Some(&ContextValue::Unknown)
    }

    /// How a document writes its keys; nothing once the steps are used up.
    fn keys(&self, document: &Document) -> Option<BTreeMap<String, String>> {
        self.budget.spend(document.text().len()).then(|| document.context_keys())
    }
}
