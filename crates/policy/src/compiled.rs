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
    block::Entry,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    index::{Asked, Builder, Found, Index, Wanted},
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
            None => self.decide_folded(fold(request.action).as_bytes(), request),
        }
    }

    /// How many bytes it takes, beside what its documents share with all others that have them
    /// ([`Document::compiled_bytes`](crate::Document::compiled_bytes)) and beside sources whose
    /// documents are contested.
    pub fn own_bytes(&self) -> usize {
        let of_sets = |sets: &Sets| match sets {
            Sets::Each(sets) => sets.iter().map(|set| size_of::<Set>() + set.index.bytes()).sum(),
            Sets::Resource(sets) => {
                let ResourceSets { whole, principal, account, contested: _, layer: _ } = &**sets;
                size_of::<ResourceSets>() + whole.bytes() + principal.bytes() + account.bytes()
            }
        };
        let all: usize = self.layers.iter().map(|(_, sets)| of_sets(sets)).sum();
        size_of_val(&*self.layers) + all
    }

    fn decide_folded(&self, action: &[u8], request: &Request<'_>) -> Verdict {
        let budget = Budget::new(DECISION_STEPS_MAX);
        let asked = Asked::new(action, request.resource, scope(request, &budget));
        // Who allows is asked on the way, so that each set is looked at once.
        let (mut refusal, mut granted) = (None, None);
        for (layer, sets) in &self.layers {
            let open = refusal.is_none() && !is_spared(*layer, granted);
            let wanted = if open { Wanted::All } else { Wanted::Denials };
            let allows = match sets.scan(&asked, wanted, request, &budget) {
                Answer::Denies if budget.is_exhausted() => break,
                Answer::Denies => return Verdict::ExplicitDeny { layer: *layer },
                Answer::Allows(allows) => allows,
                Answer::Grants(grant) => {
                    granted = grant;
                    true
                }
            };
            if open && !allows {
                refusal = Some(Verdict::ImplicitDeny { layer: *layer });
            }
        }
        if budget.is_exhausted() {
            return self.decide_in_order(action, request);
        }
        refusal.unwrap_or(Verdict::Allow)
    }

    /// Asks all who deny before any who allow: what is asked for nothing costs no steps.
    #[cold]
    fn decide_in_order(&self, action: &[u8], request: &Request<'_>) -> Verdict {
        let budget = Budget::new(DECISION_STEPS_MAX);
        let asked = Asked::new(action, request.resource, scope(request, &budget));
        for (layer, sets) in &self.layers {
            if let Answer::Denies = sets.scan(&asked, Wanted::Denials, request, &budget) {
                return Verdict::ExplicitDeny { layer: *layer };
            }
        }
        let mut granted = None;
        for (layer, sets) in &self.layers {
            let allows = is_spared(*layer, granted)
                || match sets.scan(&asked, Wanted::All, request, &budget) {
                    Answer::Denies => false,
                    Answer::Allows(allows) => allows,
                    Answer::Grants(grant) => {
                        granted = grant;
                        true
                    }
                };
            if !allows || budget.is_exhausted() {
                return Verdict::ImplicitDeny { layer: *layer };
            }
        }
        Verdict::Allow
    }
}

fn scope<'a>(request: &Request<'a>, budget: &'a Budget) -> Scope<'a> {
    Scope { context: request.context, budget }
}

/// What the policies of a layer come to.
enum Answer {
    Denies,
    /// Whether the layer allows, if it was asked.
    Allows(bool),
    /// What a policy of a resource of the same account grants.
    Grants(Option<Grant>),
}

impl Sets {
    fn scan(
        &self,
        asked: &Asked<'_>,
        wanted: Wanted,
        request: &Request<'_>,
        budget: &Budget,
    ) -> Answer {
        match self {
            Self::Each(sets) => {
                let (mut wanted, mut each) = (wanted, !sets.is_empty());
                for set in sets {
                    match set.index.scan(asked, wanted) {
                        Found::Deny => return Answer::Denies,
                        Found::Allow => {}
                        Found::Nothing => {
                            let asked = wanted == Wanted::All;
                            each &= asked && set.contested_allows(request, budget);
                        }
                    }
                    if !each {
                        wanted = Wanted::Denials;
                    }
                }
                Answer::Allows(each)
            }
            Self::Resource(sets) => sets.scan(asked, wanted, request, budget),
        }
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
                let named: Vec<_> = document.statements().iter().map(|s| layer.names(s)).collect();
                let gives = |entry: &Entry, given: Grant| {
                    let named = named.get(entry.statement as usize);
                    named.is_some_and(|(truth, grant)| match entry.effect {
                        Effect::Deny => *truth != Truth::False && given == Grant::Whole,
                        Effect::Allow => allows_here && *truth == Truth::True && *grant == given,
                    })
                };
                whole.add(document.block(), |entry| gives(entry, Grant::Whole));
                principal.add(document.block(), |entry| gives(entry, Grant::Principal));
                account.add(document.block(), |entry| gives(entry, Grant::Account));
            }
            if source.certain && source.alternatives.len() > 1 {
                contested.push(source.clone());
            }
        }
        let [whole, principal, account] = [whole, principal, account].map(Builder::build);
        Self { whole, principal, account, contested, layer: layer.clone() }
    }

    /// Whether it denies, else the furthest grant.
    fn scan(
        &self,
        asked: &Asked<'_>,
        wanted: Wanted,
        request: &Request<'_>,
        budget: &Budget,
    ) -> Answer {
        let Self { whole, principal, account, contested, layer } = self;
        let of_whole = match whole.scan(asked, wanted) {
            Found::Deny => return Answer::Denies,
            Found::Allow => Some(Grant::Whole),
            Found::Nothing => None,
        };
        if wanted == Wanted::Denials {
            return Answer::Allows(false);
        }
        let others = [(principal, Grant::Principal), (account, Grant::Account)];
        let of_others = || {
            let mut found =
                others.into_iter().filter(|(i, _)| i.scan(asked, wanted) == Found::Allow);
            found.next().map(|(_, grant)| grant)
        };
        let of_contested = |source| Some(layer.source_allows(source, request, budget)?.0);
        let found = of_whole.or_else(of_others);
        let grant = contested.iter().map(of_contested).fold(found, Option::max);
        if layer.is_foreign() { Answer::Allows(grant.is_some()) } else { Answer::Grants(grant) }
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
                index.add(document.block(), |entry| entry.effect == Effect::Deny || allows_here);
            }
            if source.certain && source.alternatives.len() > 1 {
                contested.push(source.clone());
            }
        }
        Self { index: index.build(), contested }
    }

    fn contested_allows(&self, request: &Request<'_>, budget: &Budget) -> bool {
        self.contested.iter().any(|source| source.allows_in_all(request, budget))
    }
}

/// The action in lower case, unless it needs more than a buffer.
fn lower<'b>(action: &str, buffer: &'b mut [u8; ACTION_BYTES]) -> Option<&'b [u8]> {
    let lower = buffer.get_mut(..action.len()).filter(|_| action.is_ascii())?;
    lower.copy_from_slice(action.as_bytes());
    lower.make_ascii_lowercase();
    Some(lower)
}
