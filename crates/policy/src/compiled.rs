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
    DocumentKind, Effect, Layer, Layers, Request, Source, Verdict,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    index::{Asked, Builder, Index},
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
    /// Every set of a layer must allow: a boundary has one for each policy that it may be.
    layers: Vec<(Layer, Vec<Set>)>,
}

impl Compiled {
    /// Prepares the layers. The documents' conditions stay shared.
    pub fn new(layers: &Layers) -> Self {
        let Layers { identity, boundary, session } = layers;
        let mut layers = vec![(Layer::Identity, vec![Set::new(identity)])];
        if let Some(sources) = boundary {
            let each = sources.iter().map(|source| Set::new(std::slice::from_ref(source)));
            layers.push((Layer::Boundary, each.collect()));
        }
        if let Some(sources) = session {
            layers.push((Layer::Session, vec![Set::new(sources)]));
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
            if sets.iter().any(|set| set.index.finds(Effect::Deny, &asked)) {
                return Verdict::ExplicitDeny { layer: *layer };
            }
        }
        for (layer, sets) in &self.layers {
            let allows = !sets.is_empty()
                && sets.iter().all(|set| {
                    set.index.finds(Effect::Allow, &asked) || set.contested_allows(request, &budget)
                });
            if !allows || budget.is_exhausted() {
                return Verdict::ImplicitDeny { layer: *layer };
            }
        }
        Verdict::Allow
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
                let allows_here = alone && document.kind() != DocumentKind::Trust;
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

    fn contested_allows(&self, request: &Request<'_>, budget: &Budget) -> bool {
        self.contested.iter().any(|source| source.allows_in_all(request, budget))
    }
}

/// The action in lower case, unless it needs more than a buffer.
fn lower<'b>(action: &str, buffer: &'b mut [u8; ACTION_BYTES]) -> Option<&'b str> {
    let lower = buffer.get_mut(..action.len()).filter(|_| action.is_ascii())?;
    lower.copy_from_slice(action.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}
