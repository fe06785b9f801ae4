//! Explanations of decisions, as messages.
//!
//! **Must not know:** how decisions are made.

use identity::CheckRequest;
use policy::{
    Change, ContextValue, Explanation, NearMiss, Outcome, Position, Step, denial_message,
};
use wire::v1;

use super::authorization::{policy_name, statement};

/// The message of an explanation, without the decision's statements.
pub(super) fn message(request: &CheckRequest, explanation: &Explanation) -> v1::Explanation {
    let Explanation { decision, positions, chain, near_misses, .. } = explanation;
    let CheckRequest { principal, action, resource, context: _ } = request;
    let denial = if decision.is_allowed() {
        String::new()
    } else {
        denial_message(decision, principal, action, resource)
    };
    v1::Explanation {
        chain: chain.iter().map(step).collect(),
        spans: positions.iter().map(span).collect(),
        near_misses: near_misses.iter().map(near_miss).collect(),
        contested_policies: explanation
            .contested_policies
            .iter()
            .cloned()
            .map(policy_name)
            .collect(),
        contested_keys: explanation.contested_keys.clone(),
        denial,
    }
}

fn step(Step { layer, outcome, policies }: &Step) -> v1::LayerStep {
    let outcome = match outcome {
        Outcome::Denies => v1::LayerOutcome::Denies,
        Outcome::Allows => v1::LayerOutcome::Allows,
        Outcome::AllowsNothing => v1::LayerOutcome::AllowsNothing,
        Outcome::NotAsked => v1::LayerOutcome::NotAsked,
    };
    v1::LayerStep { layer: layer.to_string(), outcome: outcome.into(), policies: number(*policies) }
}

fn span(position: &Option<(Position, Position)>) -> v1::Span {
    let Some((start, end)) = position else { return v1::Span::default() };
    v1::Span {
        start_line: number(start.line),
        start_column: number(start.column),
        end_line: number(end.line),
        end_column: number(end.column),
    }
}

fn near_miss(NearMiss { statements, positions, changes }: &NearMiss) -> v1::NearMiss {
    v1::NearMiss {
        statements: statements.iter().cloned().map(statement).collect(),
        spans: positions.iter().map(span).collect(),
        changes: changes.iter().map(change).collect(),
    }
}

fn change(Change { key, found, wanted }: &Change) -> v1::Change {
    let (values, unknown) = match found {
        None => (Vec::new(), false),
        Some(ContextValue::Known(values)) => (values.clone(), false),
        Some(ContextValue::Unknown) => (Vec::new(), true),
    };
    v1::Change {
        key: key.clone(),
        found: values,
        found_unknown: unknown,
        wanted: wanted.clone().unwrap_or_default(),
        wanted_absent: wanted.is_none(),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
