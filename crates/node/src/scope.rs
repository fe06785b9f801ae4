//! Scopes as clients write them.
//!
//! **Must not know:** who asks, who is in a scope.

use std::collections::BTreeSet;

use crdt::NodeId;
use replication::{SCOPE_NODES_MAX, Scope};
use thiserror::Error;

use crate::control::REGION_BYTES_MAX;

/// A text that is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScopeError {
    /// Of no known form.
    #[error(
        "a scope is all, serving, quorum, regions, region:NAME or node:ID[,ID...], with ids from 1"
    )]
    Form,
    /// No region has such a name.
    #[error("a scope's region is over its limit of {REGION_BYTES_MAX} bytes")]
    Region,
    /// Too many nodes.
    #[error("a scope names more than {SCOPE_NODES_MAX} nodes")]
    Nodes,
}

/// A scope as clients write it: `all`, `serving`, `quorum`, `regions`, `region:NAME`,
/// `node:ID[,ID...]`.
///
/// # Errors
/// When it is none.
pub fn parse_scope(text: &str) -> Result<Scope, ScopeError> {
    match text {
        "all" => Ok(Scope::All),
        "serving" => Ok(Scope::Serving),
        "quorum" => Ok(Scope::Quorum),
        "regions" => Ok(Scope::Regions),
        _ => match text.split_once(':') {
            Some(("region", name)) if name.len() > REGION_BYTES_MAX => Err(ScopeError::Region),
            Some(("region", name)) if !name.is_empty() => Ok(Scope::Region(name.to_owned())),
            Some(("node", ids)) => nodes(ids).map(Scope::Nodes),
            Some(_) | None => Err(ScopeError::Form),
        },
    }
}

fn nodes(ids: &str) -> Result<BTreeSet<NodeId>, ScopeError> {
    let mut nodes = BTreeSet::new();
    for id in ids.split(',') {
        if nodes.len() >= SCOPE_NODES_MAX {
            return Err(ScopeError::Nodes);
        }
        // As `u32` takes it a number may have a sign: an id has none.
        let digits = id.bytes().all(|byte| byte.is_ascii_digit());
        let id = id.parse().ok().filter(|id| digits && *id > 0).ok_or(ScopeError::Form)?;
        nodes.insert(NodeId(id));
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Scope, ScopeError>) {
        assert_eq!(parse_scope(text), expected, "{text}");
    }

    fn ids(ids: std::ops::RangeInclusive<usize>) -> String {
        let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
        format!("node:{}", ids.join(","))
    }

    #[test]
    fn scopes_have_six_forms_and_limits() {
        check("all", Ok(Scope::All));
        check("serving", Ok(Scope::Serving));
        check("quorum", Ok(Scope::Quorum));
        check("regions", Ok(Scope::Regions));
        check("region:eu", Ok(Scope::Region("eu".into())));
        check("region:a:b", Ok(Scope::Region("a:b".into())));
        let longest = "r".repeat(REGION_BYTES_MAX);
        check(&format!("region:{longest}"), Ok(Scope::Region(longest.clone())));
        check(&format!("region:{longest}r"), Err(ScopeError::Region));
        check("node:7", Ok(Scope::node(NodeId(7))));
        check("node:7,2,7", Ok(Scope::Nodes([NodeId(2), NodeId(7)].into())));
        let all = (1..=100).map(NodeId).collect();
        check(&ids(1..=SCOPE_NODES_MAX), Ok(Scope::Nodes(all)));
        check(&ids(1..=SCOPE_NODES_MAX + 1), Err(ScopeError::Nodes));
        for bad in [
            "",
            "every",
            "ALL",
            "region",
            "region:",
            "node:",
            "node:0",
            "node:+1",
            "node:x",
            "node:1,",
            "node:4294967296",
            "rack:1",
            "all:1",
            " all",
        ] {
            check(bad, Err(ScopeError::Form));
        }
    }
}
