//! Policies prepared for many decisions (DESIGN §7): those of each layer are an
//! [`Index`](crate::index), which passes over what cannot fit a request.
//!
//! **Invariants.** The verdict is that of [`evaluate`](crate::evaluate), which is the oracle: three
//! truth values, an `Allow` from what is certain in every alternative only, a `Deny` from anything
//! that may be. A decision allocates nothing unless it comes to a variable, a comparison without
//! case, an ARN or date operator, or an action that is long or not ASCII.
//!
//! **Must not know:** who is asking, when policies change.

use model::fold;

use crate::{
    DocumentKind, Effect, Layer, Layers, Request, ResourceLayer, Source, Verdict,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    index::{Asked, Builder, Index},
    resource::{Grant, is_spared},
    truth::Truth,
};

/// Longer actions are folded on the heap.
const ACTION_BYTES: usize = 96;

/// All policies of a principal, prepared.
///
/// ```
/// use policy::{Compiled, Context, Layers, Request, Verdict};
///
/// let compiled = Compiled::new(&Layers::default());
/// let context = Context::new();
/// let request = Request { action: "s3:GetObject", resource: "*", context: &context };
/// assert!(matches!(compiled.decide(&request), Verdict::ImplicitDeny { .. }));
/// ```
#[derive(Clone, Debug)]
pub struct Compiled {
    layers: Vec<(Layer, Sets)>,
}

/// The policies of a layer.
#[derive(Clone, Debug)]
enum Sets {
    /// Every set must allow: a boundary has one for each policy that it may be, guard rails have
    /// one a level.
    Each(Vec<Set>),
    Resource(Box<ResourceSets>),
}

impl Compiled {
    /// Prepares the layers. The documents' conditions stay shared.
    pub fn new(layers: &Layers) -> Self {
        let Layers { identity, boundary, session, guard_rails, resource } = layers;
        let mut layers = Vec::new();
        if let Some(levels) = guard_rails {
            let each = levels.iter().map(|level| Set::new(level));
            layers.push((Layer::GuardRail, Sets::Each(each.collect())));
        }
        if let Some(resource) = resource {
            let sets = ResourceSets::new(resource);
            layers.push((Layer::Resource, Sets::Resource(Box::new(sets))));
        }
        layers.push((Layer::Identity, Sets::Each(vec![Set::new(identity)])));
        if let Some(sources) = boundary {
            let each = sources.iter().map(|source| Set::new(std::slice::from_ref(source)));
            layers.push((Layer::Boundary, Sets::Each(each.collect())));
        }
        if let Some(sources) = session {
            layers.push((Layer::Session, Sets::Each(vec![Set::new(sources)])));
        }
        Self { layers }
    }

    /// The verdict of [`evaluate`](crate::evaluate), which also tells the statements behind it.
    /// Within the same number of steps this decides more: what that refuses for its cost, this may
    /// still decide.
    pub fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut buffer = [0; ACTION_BYTES];
        match lower(request.action, &mut buffer) {
            Some(action) => self.decide_folded(action, request),
            None => self.decide_folded(&fold(request.action), request),
        }
    }

    fn decide_folded(&self, action: &str, request: &Request<'_>) -> Verdict {
        let budget = Budget::new(DECISION_STEPS_MAX);
        let scope = Scope { context: request.context, budget: &budget };
        let asked = Asked::new(action, request.resource, scope);
        for (layer, sets) in &self.layers {
            let denies = match sets {
                Sets::Each(sets) => sets.iter().any(|set| set.index.finds(Effect::Deny, &asked)),
                Sets::Resource(sets) => sets.whole.finds(Effect::Deny, &asked),
            };
            if denies {
                return Verdict::ExplicitDeny { layer: *layer };
            }
        }
        let mut granted = None;
        for (layer, sets) in &self.layers {
            let allows = match sets {
                Sets::Resource(sets) => {
                    let grant = sets.grant(&asked, request, &budget);
                    if sets.layer.is_foreign() {
                        grant.is_some()
                    } else {
                        granted = grant;
                        true
                    }
                }
                Sets::Each(_) if is_spared(*layer, granted) => true,
                Sets::Each(sets) => {
                    !sets.is_empty() && sets.iter().all(|set| set.allows(&asked, request, &budget))
                }
            };
            if !allows || budget.is_exhausted() {
                return Verdict::ImplicitDeny { layer: *layer };
            }
        }
        Verdict::Allow
    }
}

/// The policy of a resource for one caller: the statements that are about it, by how far they
/// grant.
#[derive(Clone, Debug)]
struct ResourceSets {
    /// The denials too.
    whole: Index,
    principal: Index,
    account: Index,
    /// Sources of several alternatives, all of which must grant.
    contested: Vec<Source>,
    layer: ResourceLayer,
}

impl ResourceSets {
    fn new(layer: &ResourceLayer) -> Self {
        let [mut whole, mut principal, mut account] = [(); 3].map(|()| Builder::default());
        let mut contested = Vec::new();
        for source in &layer.sources {
            let alone = source.certain && source.alternatives.len() == 1;
            for document in &source.alternatives {
                let allows_here = alone && document.kind() == DocumentKind::Resource;
                for statement in document.statements() {
                    let (named, grant) = layer.names(statement);
                    match (statement.effect(), grant) {
                        (Effect::Deny, _) if named != Truth::False => whole.add(statement),
                        (Effect::Allow, _) if named != Truth::True || !allows_here => {}
                        (Effect::Allow, Grant::Whole) => whole.add(statement),
                        (Effect::Allow, Grant::Principal) => principal.add(statement),
                        (Effect::Allow, Grant::Account) => account.add(statement),
                        (Effect::Deny, _) => {}
                    }
                }
            }
            if source.certain && source.alternatives.len() > 1 {
                contested.push(source.clone());
            }
        }
        let [whole, principal, account] = [whole, principal, account].map(Builder::build);
        Self { whole, principal, account, contested, layer: layer.clone() }
    }

    /// The furthest grant.
    fn grant(&self, asked: &Asked<'_>, request: &Request<'_>, budget: &Budget) -> Option<Grant> {
        let Self { whole, principal, account, contested, layer } = self;
        let indexes =
            [(whole, Grant::Whole), (principal, Grant::Principal), (account, Grant::Account)];
        let found = indexes.into_iter().find(|(index, _)| index.finds(Effect::Allow, asked));
        let of_contested = |source| Some(layer.source_allows(source, request, budget)?.0);
        contested.iter().map(of_contested).fold(found.map(|(_, grant)| grant), Option::max)
    }
}

/// One layer's policies.
#[derive(Clone, Debug)]
struct Set {
    index: Index,
    /// Sources of several alternatives, all of which must allow.
    contested: Vec<Source>,
}

impl Set {
    fn new(sources: &[Source]) -> Self {
        let mut index = Builder::default();
        let mut contested = Vec::new();
        for source in sources {
            let alone = source.certain && source.alternatives.len() == 1;
            for document in &source.alternatives {
                let allows_here = alone && document.kind().allows_its_owner();
                for statement in document.statements() {
                    if statement.effect() == Effect::Deny || allows_here {
                        index.add(statement);
                    }
                }
            }
            if source.certain && source.alternatives.len() > 1 {
                contested.push(source.clone());
            }
        }
        Self { index: index.build(), contested }
    }

    fn allows(&self, asked: &Asked<'_>, request: &Request<'_>, budget: &Budget) -> bool {
        let contested = |source: &Source| source.allows_in_all(request, budget);
        self.index.finds(Effect::Allow, asked) || self.contested.iter().any(contested)
    }
}

/// The action in lower case, unless it needs more than a buffer.
fn lower<'b>(action: &str, buffer: &'b mut [u8; ACTION_BYTES]) -> Option<&'b str> {
    let lower = buffer.get_mut(..action.len()).filter(|_| action.is_ascii())?;
    lower.copy_from_slice(action.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}
