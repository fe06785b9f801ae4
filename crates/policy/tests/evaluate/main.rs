//! Decisions: operators, layers, contests, trust.

mod conditions;
mod layers;
mod resource;
mod statements;
mod support;
mod trust;
