//! Policies prepared for many decisions (DESIGN §7). Every statement becomes candidates, kept in
//! buckets by what a request's action says: the action itself; its service, for patterns such as
//! `s3:Get*`; and the rest, for `*` and `NotAction`. A candidate has a fingerprint of its
//! resource's literal beginning, so that most of a bucket is passed over a word at a time.
//!
//! **Invariants.** The verdict is that of [`evaluate`](crate::evaluate), which is the oracle: three
//! truth values, an `Allow` from what is certain in every alternative only, a `Deny` from anything
//! that may be. `and` and `or` of [`Truth`] distribute, so that a statement may be taken apart into
//! one candidate for each of its action and resource patterns. A decision allocates nothing unless
//! it comes to a variable, a comparison without case, or an action that is long or not ASCII.
//!
//! **Must not know:** who is asking, when policies change.

use std::{ops::Range, sync::Arc};

use model::fold;

use crate::{
    Document, DocumentKind, Effect, Layer, Layers, Request, Source, Verdict,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    matcher::Matcher,
    pattern::Pattern,
    statement::{Actions, Resources, Statement},
    truth::Truth,
};

/// Up to so many resource patterns a statement is taken apart by resource.
const RESOURCES_SPLIT_MAX: usize = 4;
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
    /// Prepares the layers. The documents stay shared.
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
        let asked = Asked { action, resource: request.resource, scope };
        for (layer, sets) in &self.layers {
            if sets.iter().any(|set| set.finds(Effect::Deny, asked)) {
                return Verdict::ExplicitDeny { layer: *layer };
            }
        }
        for (layer, sets) in &self.layers {
            let allows = !sets.is_empty()
                && sets.iter().all(|set| {
                    set.finds(Effect::Allow, asked) || set.contested_allows(request, &budget)
                });
            if !allows || budget.is_exhausted() {
                return Verdict::ImplicitDeny { layer: *layer };
            }
        }
        Verdict::Allow
    }
}

/// A request with its action folded.
#[derive(Clone, Copy)]
struct Asked<'a> {
    action: &'a str,
    resource: &'a str,
    scope: Scope<'a>,
}

/// One layer's policies.
#[derive(Clone, Debug)]
struct Set {
    documents: Vec<Arc<Document>>,
    denies: Index,
    allows: Index,
    /// Sources of several alternatives, all of which must allow.
    contested: Vec<Source>,
}

impl Set {
    fn new(sources: &[Source]) -> Self {
        let (mut denies, mut allows) = (Builder::default(), Builder::default());
        let (mut documents, mut contested) = (Vec::new(), Vec::new());
        for source in sources {
            let alone = source.certain && source.alternatives.len() == 1;
            for document in &source.alternatives {
                let allows_here = alone && document.kind() != DocumentKind::Trust;
                for (index, statement) in document.statements().iter().enumerate() {
                    let origin = (documents.len(), index);
                    match statement.effect() {
                        Effect::Deny => denies.add(statement, origin),
                        Effect::Allow if allows_here => allows.add(statement, origin),
                        Effect::Allow => {}
                    }
                }
                documents.push(Arc::clone(document));
            }
            if source.certain && source.alternatives.len() > 1 {
                contested.push(source.clone());
            }
        }
        Self { documents, denies: denies.build(), allows: allows.build(), contested }
    }

    /// Whether a statement of this effect counts: a `Deny` that may apply, an `Allow` that does.
    fn finds(&self, effect: Effect, asked: Asked<'_>) -> bool {
        let (index, least) = match effect {
            Effect::Deny => (&self.denies, Truth::Unknown),
            Effect::Allow => (&self.allows, Truth::True),
        };
        let service = asked.action.split_once(':').map(|(service, _)| service);
        let named = index.bucket(asked.action);
        let wide = service.map_or(&[][..], |service| index.bucket(service));
        [named, wide, &index.rest].into_iter().any(|bucket| {
            if bucket.is_empty() {
                return false;
            }
            if !asked.scope.budget.spend(bucket.len()) {
                return effect == Effect::Deny;
            }
            bucket.iter().any(|candidate| {
                candidate.may_match(asked.resource) && self.truth(index, candidate, asked) >= least
            })
        })
    }

    fn truth(&self, index: &Index, candidate: &Candidate, asked: Asked<'_>) -> Truth {
        let Asked { action, resource, scope } = asked;
        let tests = index.actions.get(candidate.action as usize);
        let action = tests.map_or(Truth::True, |test| test.holds(action, scope));
        if action == Truth::False {
            return Truth::False;
        }
        let tests = index.resources.get(candidate.resource as usize);
        let resource = tests.map_or(Truth::True, |test| test.holds(resource, scope));
        let both = action.and(resource);
        let Some((document, statement)) = candidate.conditions else { return both };
        if both == Truth::False {
            return both;
        }
        let document = self.documents.get(document as usize);
        let statement = document.and_then(|d| d.statements().get(statement as usize));
        // A place that is not there would be a bug here; unknown is the narrow answer.
        both.and(statement.map_or(Truth::Unknown, |s| s.conditions_hold(scope)))
    }

    fn contested_allows(&self, request: &Request<'_>, budget: &Budget) -> bool {
        self.contested.iter().any(|source| source.allows_in_all(request, budget))
    }
}

/// One action pattern and one or all resource patterns of a statement.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// The last eight bytes of the resource's literal beginning.
    tail: u64,
    /// The length of that beginning; below eight it says nothing.
    literal: u32,
    /// The place of its tests, [`PASSED`] if the bucket says it all.
    action: u32,
    resource: u32,
    /// Document and statement, if that has conditions.
    conditions: Option<(u32, u32)>,
}

const PASSED: u32 = u32::MAX;

impl Candidate {
    fn may_match(&self, resource: &str) -> bool {
        let end = self.literal as usize;
        end < 8 || resource.as_bytes().get(end - 8..end).is_some_and(|tail| word(tail) == self.tail)
    }
}

/// Eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

/// What is asked of an action or resource.
#[derive(Clone, Debug)]
enum Test {
    Any(Box<[Matcher]>),
    AllBut(Box<[Matcher]>),
}

impl Test {
    fn holds(&self, text: &str, scope: Scope<'_>) -> Truth {
        let any =
            |matchers: &[Matcher]| Truth::any(matchers.iter().map(|m| m.matches(text, scope)));
        match self {
            Self::Any(matchers) => any(matchers),
            Self::AllBut(matchers) => any(matchers).not(),
        }
    }
}

/// The candidates of one effect.
#[derive(Clone, Debug)]
struct Index {
    /// Open addressing: an entry's place plus one, zero for none. At most half are taken.
    slots: Box<[u32]>,
    entries: Box<[Entry]>,
    candidates: Box<[Candidate]>,
    rest: Box<[Candidate]>,
    actions: Box<[Test]>,
    resources: Box<[Test]>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// A folded action, or a service.
    name: Box<str>,
    range: Range<usize>,
}

impl Index {
    fn bucket(&self, name: &str) -> &[Candidate] {
        let Some(mask) = self.slots.len().checked_sub(1) else { return &[] };
        let mut slot = hash(name.as_bytes()) & mask;
        while let Some(place) = self.slots.get(slot).and_then(|s| (*s as usize).checked_sub(1)) {
            match self.entries.get(place) {
                Some(entry) if *entry.name == *name => {
                    return self.candidates.get(entry.range.clone()).unwrap_or_default();
                }
                Some(_) | None => slot = (slot + 1) & mask,
            }
        }
        &[]
    }
}

/// A hash that is the same on every node; what collides costs a comparison.
fn hash(bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    let chunks = bytes.chunks_exact(8);
    let last = chunks.remainder().iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    let all = chunks.fold(bytes.len() as u64, |hash, chunk| mix(hash, word(chunk)));
    (mix(all, last) >> 32) as usize
}

/// An index in the making.
#[derive(Default)]
struct Builder {
    named: Vec<(Box<str>, Candidate)>,
    rest: Vec<Candidate>,
    actions: Vec<Test>,
    resources: Vec<Test>,
}

impl Builder {
    /// Adds a statement; `origin` is its document's place in the set and its place in that.
    fn add(&mut self, statement: &Statement, origin: (usize, usize)) {
        let conditions =
            (!statement.conditions.is_empty()).then(|| (place(origin.0), place(origin.1)));
        for (resource, literal) in self.resource_tests(&statement.resources) {
            let end = literal.len();
            let tail = literal.as_bytes().get(end.saturating_sub(8)..).map_or(0, word);
            let literal = place(end);
            let base = Candidate { tail, literal, action: PASSED, resource, conditions };
            self.add_actions(&statement.actions, base);
        }
    }

    fn add_actions(&mut self, actions: &Actions, base: Candidate) {
        let patterns = match actions {
            Actions::Any(patterns) => patterns,
            Actions::AllBut(patterns) => {
                let action = push(&mut self.actions, Test::AllBut(matchers(patterns)));
                self.rest.push(Candidate { action, ..base });
                return;
            }
        };
        for pattern in patterns {
            let matcher = Matcher::new(pattern);
            if let Some(action) = matcher.exact() {
                self.named.push((action.into(), base));
                continue;
            }
            let service = matcher.literal().split_once(':').map(|(service, _)| Box::from(service));
            let action = push(&mut self.actions, Test::Any(Box::new([matcher])));
            let candidate = Candidate { action, ..base };
            match service {
                Some(service) => self.named.push((service, candidate)),
                None => self.rest.push(candidate),
            }
        }
    }

    /// The places of a statement's tests, each with what its resource must begin with.
    fn resource_tests(&mut self, resources: &Resources) -> Vec<(u32, String)> {
        match resources {
            Resources::All => vec![(PASSED, String::new())],
            Resources::Any(patterns) if patterns.len() <= RESOURCES_SPLIT_MAX => {
                let each = |pattern: &Pattern| {
                    let matcher = Matcher::new(pattern);
                    let literal = matcher.literal().to_owned();
                    let test = Test::Any(Box::new([matcher]));
                    (push(&mut self.resources, test), literal)
                };
                patterns.iter().map(each).collect()
            }
            Resources::Any(patterns) => {
                let test = Test::Any(matchers(patterns));
                vec![(push(&mut self.resources, test), String::new())]
            }
            Resources::AllBut(patterns) => {
                let test = Test::AllBut(matchers(patterns));
                vec![(push(&mut self.resources, test), String::new())]
            }
        }
    }

    fn build(mut self) -> Index {
        self.named.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut entries: Vec<Entry> = Vec::new();
        let mut candidates = Vec::with_capacity(self.named.len());
        for (name, candidate) in self.named {
            let at = candidates.len();
            candidates.push(candidate);
            match entries.last_mut() {
                Some(last) if last.name == name => last.range.end = at + 1,
                Some(_) | None => entries.push(Entry { name, range: at..at + 1 }),
            }
        }
        let size = if entries.is_empty() { 0 } else { (entries.len() * 2).next_power_of_two() };
        let mut slots = vec![0; size];
        for (place_of, entry) in entries.iter().enumerate() {
            let mut slot = hash(entry.name.as_bytes()) & (size - 1);
            while slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & (size - 1);
            }
            if let Some(free) = slots.get_mut(slot) {
                *free = place(place_of) + 1;
            }
        }
        Index {
            slots: slots.into(),
            entries: entries.into(),
            candidates: candidates.into(),
            rest: self.rest.into(),
            actions: self.actions.into(),
            resources: self.resources.into(),
        }
    }
}

fn matchers(patterns: &[Pattern]) -> Box<[Matcher]> {
    patterns.iter().map(Matcher::new).collect()
}

fn push(tests: &mut Vec<Test>, test: Test) -> u32 {
    tests.push(test);
    place(tests.len() - 1)
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("documents are bounded, and so many do not fit in memory")
}

/// The action in lower case, unless it needs more than a buffer.
fn lower<'b>(action: &str, buffer: &'b mut [u8; ACTION_BYTES]) -> Option<&'b str> {
    let lower = buffer.get_mut(..action.len()).filter(|_| action.is_ascii())?;
    lower.copy_from_slice(action.as_bytes());
    lower.make_ascii_lowercase();
    std::str::from_utf8(lower).ok()
}
