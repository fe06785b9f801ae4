//! What policies give access to, statement by statement, and which requests tell two versions of
//! them apart.
//!
//! **Invariants.** A verdict here is [`evaluate`]'s on an example of what a statement is about. A
//! denial is named for a statement whenever some request may fit both; what is hard to say is
//! named. All comparing of patterns takes at most the steps of one decision, and of a statement the
//! first few examples are decided: a document's length must not be squared.
//!
//! **Must not know:** whose policies they are.

use std::collections::{BTreeMap, BTreeSet};

use model::fold;

use crate::{
    Context, Document, Effect, Layers, MatchedStatement, Request, Source, Verdict,
    budget::{Budget, DECISION_STEPS_MAX, Scope},
    evaluate::evaluate,
    lint::inside,
    pattern::{Pattern, Reading},
    survey,
};

/// The actions and the resources of a statement of which examples are decided, at most.
const TRIED_MAX: usize = 8;

/// What a statement that allows is about, as far as one service is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its action patterns of this service as they are written; of `NotAction` all of them.
    pub actions: Vec<String>,
    /// Whether it is about all actions but these.
    pub all_actions_but: bool,
    /// Its resource patterns as they are written.
    pub resources: Vec<String>,
    /// Whether it is about all resources but these.
    pub all_resources_but: bool,
    /// The condition keys that it and its resources ask for.
    pub condition_keys: Vec<String>,
    /// The statement.
    pub statement: MatchedStatement,
    /// Whether it is beyond doubt that its policy applies and says this; else it allows nothing.
    pub certain: bool,
    /// What all policies together say to an example of it.
    pub verdict: Verdict,
    /// The statements of any layer that may deny some of it.
    pub denials: Vec<MatchedStatement>,
}

/// What identity policies give access to.
///
/// By service, in lower case; `*` holds what is about services that no pattern names.
pub fn grants(layers: &Layers, context: &Context) -> BTreeMap<String, Vec<Grant>> {
    let budget = Budget::new(DECISION_STEPS_MAX);
    let denials: Vec<(MatchedStatement, Spoken)> =
        layers.sources().flat_map(|source| spoken(source, Effect::Deny)).collect();
    let mut services: BTreeMap<String, Vec<Grant>> = BTreeMap::new();
    for source in &layers.identity {
        for (statement, spoken) in spoken(source, Effect::Allow) {
            for (service, actions) in spoken.by_service() {
                let spoken = Spoken { actions, ..spoken.clone() };
                let denies =
                    |(_, denial): &&(MatchedStatement, Spoken)| denial.may_meet(&spoken, &budget);
                let denials = denials.iter().filter(denies).map(|(denial, _)| denial.clone());
                let grant = Grant {
                    denials: denials.collect(),
                    verdict: spoken.verdict(layers, context),
                    certain: source.certain && source.alternatives.len() == 1,
                    statement: statement.clone(),
                    actions: spoken.actions,
                    all_actions_but: spoken.all_actions_but,
                    resources: spoken.resources,
                    all_resources_but: spoken.all_resources_but,
                    condition_keys: spoken.condition_keys,
                };
                services.entry(service).or_default().push(grant);
            }
        }
    }
    services
}

/// Examples of the requests that documents speak of, as action and resource: each action with each
/// resource of its service. Two versions of a policy that decide one of these differently differ;
/// those that decide all of them alike may still differ in what no pattern of theirs names. In
/// order, and the first `examples_max` of them.
pub fn examples<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    context: &Context,
    examples_max: usize,
) -> Vec<(String, String)> {
    let (mut actions, mut resources) = (BTreeSet::new(), BTreeSet::from(["*".to_owned()]));
    for statement in documents.into_iter().flat_map(statements) {
        actions.extend(statement.actions.iter().map(|action| filled(action)));
        if statement.all_actions_but {
            actions.insert("x:x".to_owned());
        }
        resources.extend(statement.resources.iter().filter_map(|text| example(text, context)));
    }
    let pairs = actions.iter().flat_map(|action| {
        let service = action.split_once(':').map_or("", |(service, _)| service);
        let of_service = move |resource: &&String| match resource.split(':').nth(2) {
            Some(other) => service.contains('x') || service.eq_ignore_ascii_case(other),
            None => true,
        };
        let pair = move |resource: &String| (action.clone(), resource.clone());
        resources.iter().filter(of_service).map(pair)
    });
    pairs.take(examples_max).collect()
}

/// What a statement is about, in its own words.
#[derive(Clone)]
struct Spoken {
    actions: Vec<String>,
    all_actions_but: bool,
    resources: Vec<String>,
    all_resources_but: bool,
    condition_keys: Vec<String>,
}

/// The statements of a source that have an effect.
fn spoken(source: &Source, effect: Effect) -> Vec<(MatchedStatement, Spoken)> {
    let mut found = Vec::new();
    for document in &source.alternatives {
        let own = document.statements().iter().zip(statements(document)).enumerate();
        found.extend(own.filter(|(_, (statement, _))| statement.effect() == effect).map(
            |(index, (statement, spoken))| {
                (source.found(document, index, statement).statement, spoken)
            },
        ));
    }
    found
}

fn statements(document: &Document) -> Vec<Spoken> {
    let each = |(statement, condition_keys)| {
        let mut spoken = Spoken {
            actions: Vec::new(),
            all_actions_but: false,
            resources: Vec::new(),
            all_resources_but: false,
            condition_keys,
        };
        for (name, value) in survey::members(&statement) {
            match name {
                "Action" => spoken.actions = survey::texts(value),
                "NotAction" => {
                    (spoken.actions, spoken.all_actions_but) = (survey::texts(value), true);
                }
                "Resource" => spoken.resources = survey::texts(value),
                "NotResource" => {
                    (spoken.resources, spoken.all_resources_but) = (survey::texts(value), true);
                }
                _ => {}
            }
        }
        spoken
    };
    survey::statements_with_keys(document.text()).into_iter().map(each).collect()
}

impl Spoken {
    /// The action patterns of each service; all of them for `NotAction`, whose service is `*`.
    fn by_service(&self) -> BTreeMap<String, Vec<String>> {
        let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for action in &self.actions {
            let service = action.split_once(':').map_or("*", |(service, _)| service);
            let service =
                if self.all_actions_but { "*".to_owned() } else { service.to_ascii_lowercase() };
            services.entry(service).or_default().push(action.clone());
        }
        services
    }

    /// What policies say to the first few examples: an allow if they allow any.
    fn verdict(&self, layers: &Layers, context: &Context) -> Verdict {
        let actions =
            if self.all_actions_but { vec!["x:x".to_owned()] } else { self.actions.clone() };
        let resources: Vec<String> = if self.all_resources_but {
            vec!["*".to_owned()]
        } else {
            self.resources.iter().filter_map(|text| example(text, context)).collect()
        };
        let mut first = None;
        for action in actions.iter().take(TRIED_MAX).map(|action| filled(action)) {
            for resource in resources.iter().take(TRIED_MAX) {
                let request = Request { action: &action, resource, context };
                let verdict = evaluate(layers, &request).verdict;
                if verdict == Verdict::Allow {
                    return verdict;
                }
                first.get_or_insert(verdict);
            }
        }
        // A resource whose variable has no value is on no request.
        first.unwrap_or(Verdict::ImplicitDeny { layer: crate::Layer::Identity })
    }

    /// Whether some request may fit both.
    fn may_meet(&self, other: &Self, budget: &Budget) -> bool {
        let (own, others) = (self.actions.iter(), other.actions.iter());
        let folded = |text: &String| fold(text);
        let actions = may_meet(
            (&own.map(folded).collect::<Vec<_>>(), self.all_actions_but),
            (&others.map(folded).collect::<Vec<_>>(), other.all_actions_but),
            budget,
        );
        actions
            && may_meet(
                (&self.resources, self.all_resources_but),
                (&other.resources, other.all_resources_but),
                budget,
            )
    }
}

/// Whether some text may fit both of two lists of patterns, either of which may be about all
/// others.
fn may_meet(one: (&[String], bool), other: (&[String], bool), budget: &Budget) -> bool {
    match (one, other) {
        ((ones, false), (others, false)) => {
            ones.iter().any(|one| others.iter().any(|other| overlap(one, other, budget)))
        }
        // Of a pattern that is inside one of those left out nothing is left.
        ((ones, true), (others, false)) | ((others, false), (ones, true)) => {
            let left_out = |other: &String| {
                ones.iter().any(|one| {
                    one == other
                        || (!one.contains("${")
                            && !other.contains("${")
                            && inside(one, other, budget))
                })
            };
            others.iter().any(|other| !left_out(other))
        }
        ((_, true), (_, true)) => true,
    }
}

/// Whether some text may match both patterns. A variable may be anything.
fn overlap(one: &str, other: &str, budget: &Budget) -> bool {
    let (one, other) = (without_variables(one), without_variables(other));
    if !budget.spend(one.len().saturating_mul(other.len())) {
        return true;
    }
    // For each place in the one pattern, from its end, whether what follows there meets what
    // follows each place in the other.
    let width = other.len() + 1;
    let mut below: Vec<bool> = vec![false; width];
    for (row, own) in one.iter().map(Some).chain([None]).rev().enumerate() {
        let mut meets = vec![false; width];
        for column in (0..width).rev() {
            let theirs = other.get(column);
            let right = meets.get(column + 1).copied().unwrap_or_default();
            let down = row > 0 && below.get(column).copied().unwrap_or_default();
            let across = row > 0 && below.get(column + 1).copied().unwrap_or_default();
            let met = match (own, theirs) {
                (None, None) => true,
                (Some('*'), None) => down,
                (None, Some('*')) => right,
                (Some('*'), Some(_)) | (Some(_), Some('*')) => down || right,
                (Some('?'), Some(_)) | (Some(_), Some('?')) => across,
                (Some(own), Some(theirs)) => own == theirs && across,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if let Some(place) = meets.get_mut(column) {
                *place = met;
            }
        }
        below = meets;
    }
    below.first().copied().unwrap_or_default()
}

/// A pattern's characters, with `*` for each variable.
fn without_variables(pattern: &str) -> Vec<char> {
    let mut chars = Vec::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        chars.extend(before.chars());
        chars.push('*');
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    chars.extend(rest.chars());
    chars
}

/// An action that a pattern matches.
fn filled(action: &str) -> String {
    let action = if action == "*" { "*:*" } else { action };
    action.replace(['*', '?'], "x")
}

/// A resource that a pattern matches; `*` for that itself, which stands for no resource in
/// particular, and nothing if a variable has no one value.
fn example(pattern: &str, context: &Context) -> Option<String> {
    if pattern == "*" {
        return Some(pattern.to_owned());
    }
    let reading = Reading { wildcards: true, variables: true, fold: false };
    let budget = Budget::new(DECISION_STEPS_MAX);
    let scope = Scope { context, budget: &budget };
    Pattern::parse(pattern, reading).ok()?.example(scope, "x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_meet_are_those_that_some_text_matches() {
        let alphabet = ['a', 'b', '*', '?'];
        let mut patterns = vec![String::new()];
        let mut last = patterns.clone();
        for _ in 0..3 {
            let longer = |one: &String| alphabet.map(|c| format!("{one}{c}"));
            last = last.iter().flat_map(longer).collect();
            patterns.extend(last.clone());
        }
        let mut texts = vec![String::new()];
        let mut last = texts.clone();
        for _ in 0..6 {
            last = last.iter().flat_map(|one| ['a', 'b'].map(|c| format!("{one}{c}"))).collect();
            texts.extend(last.clone());
        }
        let context = Context::new();
        let budget = Budget::new(u64::MAX);
        let scope = Scope { context: &context, budget: &budget };
        let reading = Reading { wildcards: true, variables: false, fold: false };
        let matched: Vec<Vec<bool>> = patterns
            .iter()
            .map(|pattern| {
                let pattern = Pattern::parse(pattern, reading).expect("a pattern");
                let truth =
                    |text: &String| pattern.matches(text, scope) == crate::truth::Truth::True;
                texts.iter().map(truth).collect()
            })
            .collect();
        for (one, of_one) in patterns.iter().zip(&matched) {
            for (other, of_other) in patterns.iter().zip(&matched) {
                let both = of_one.iter().zip(of_other).any(|(one, other)| *one && *other);
                assert_eq!(overlap(one, other, &budget), both, "{one} {other}");
            }
        }
    }

    #[test]
    fn without_steps_patterns_meet() {
        assert!(overlap("a", "b", &Budget::new(0)));
        assert!(!overlap("a", "b", &Budget::new(1)));
    }
}
