//! Whom a wait is about.
//!
//! **Invariants.** No member is left out silently: whoever is joining belongs to every scope but
//! [`Scope::Serving`], whose name says that it is left out.
//!
//! **Must not know:** who of them has what.

use std::collections::{BTreeMap, BTreeSet};

use crate::{MemberState, NodeId, Role, Roster};

/// Nodes that a scope names one by one, at most.
pub const SCOPE_NODES_MAX: usize = 100;

/// Whom a wait is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every member, replicas and those who are joining included.
    All,
    /// Every member that is serving. Whoever is joining answers nobody yet, and is left out.
    Serving,
    /// More than half of the writers, those who are joining included.
    Quorum,
    /// In every region one member: a serving one, or where none is serving one that is joining.
    Regions,
    /// Every member in a region.
    Region(String),
    /// Each of these nodes; never empty.
    Nodes(BTreeSet<NodeId>),
}

/// Of these nodes so many must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) needed: usize,
}

impl Group {
    fn all(nodes: impl Iterator<Item = NodeId>) -> Vec<Self> {
        let nodes: Vec<_> = nodes.collect();
        vec![Self { needed: nodes.len(), nodes }]
    }
}

impl Scope {
    /// One node.
    pub fn node(node: NodeId) -> Self {
        Self::Nodes(BTreeSet::from([node]))
    }

    /// The groups of a roster's members, each of which must be there.
    pub(crate) fn groups(&self, roster: &Roster) -> Vec<Group> {
        let members = roster.present();
        match self {
            Self::All => Group::all(members.map(|(node, _)| node)),
            Self::Serving => {
                let serving = members.filter(|(_, member)| member.state == MemberState::Active);
                Group::all(serving.map(|(node, _)| node))
            }
            Self::Quorum => {
                let writers = members.filter(|(_, member)| member.role == Role::Writer);
                let nodes: Vec<_> = writers.map(|(node, _)| node).collect();
                vec![Group { needed: nodes.len() / 2 + 1, nodes }]
            }
            Self::Regions => one_in_each_region(roster),
            Self::Region(region) => {
                let there = members.filter(|(_, member)| member.region == *region);
                Group::all(there.map(|(node, _)| node))
            }
            Self::Nodes(named) => {
                Group::all(members.map(|(node, _)| node).filter(|node| named.contains(node)))
            }
        }
    }

    /// Why a scope can never be satisfied by a roster, if it cannot: nobody, or not everybody who
    /// is named, is a member.
    pub(crate) fn nobody(&self, roster: &Roster) -> Option<String> {
        if roster.present().next().is_none() {
            return Some("this node knows no roster yet".to_owned());
        }
        match self {
            Self::All | Self::Quorum | Self::Regions => None,
            Self::Serving => {
                let mut members = roster.present();
                let serving = members.any(|(_, member)| member.state == MemberState::Active);
                (!serving).then(|| "no node is serving".to_owned())
            }
            Self::Region(region) => {
                let there = roster.present().any(|(_, member)| member.region == *region);
                (!there).then(|| format!("no node is in region `{region}`"))
            }
            Self::Nodes(named) => {
                let absent = named.iter().filter(|node| !roster.has(**node));
                let why: Vec<_> = absent.map(|node| absence(roster, *node)).collect();
                (!why.is_empty()).then(|| why.join(", "))
            }
        }
    }
}

fn absence(roster: &Roster, node: NodeId) -> String {
    if roster.members.contains_key(&node) {
        format!("node {node} was removed")
    } else {
        format!("there is no node {node}")
    }
}

fn one_in_each_region(roster: &Roster) -> Vec<Group> {
    let mut regions = BTreeMap::<&str, (Vec<NodeId>, Vec<NodeId>)>::new();
    for (node, member) in roster.present() {
        let (serving, joining) = regions.entry(&member.region).or_default();
        match member.state {
            MemberState::Active => serving.push(node),
            MemberState::Joining => joining.push(node),
            MemberState::Removed => {}
        }
    }
    let group = |(serving, joining): (Vec<NodeId>, Vec<NodeId>)| Group {
        nodes: if serving.is_empty() { joining } else { serving },
        needed: 1,
    };
    regions.into_values().map(group).collect()
}
