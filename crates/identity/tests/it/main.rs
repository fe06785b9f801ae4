//! Whole histories of calls, at one node and at two that exchange transactions.

mod history;
mod limits;
mod matrix;
mod nouns;
mod parse;
mod races;
