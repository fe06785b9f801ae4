//! The policies that apply to a principal: its own, its groups', its session's.
//!
//! **Invariants.** Every policy that may apply is here, with every side of its documents. It is
//! certain only if each edge on the way to it, and the existence of what the edge leads to, is
//! uncontested, and nothing else has the name of that.
//!
//! **Must not know:** what is asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use model::UniqueId;
use policy::{Document, DocumentKind, Layers, ManagedPolicy, Source, SourceLabel};

use crate::{
    Identity, Read, boundary,
    entity::Entity,
    field::{ATTACHMENT, DEFAULT_VERSION, HEAD, INLINE_POLICY, MEMBERSHIP, POLICY_VERSION},
    index::deny_all,
    policy::managed_id,
    principal::{Caller, Session},
};

/// What an attachment leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PolicyRef {
    /// One that every account has.
    Managed(&'static ManagedPolicy),
    /// One of the account.
    Customer(Entity),
}

impl PolicyRef {
    /// The policy of a unique id.
    pub(crate) fn of(entity: Entity) -> Self {
        static BY_ID: LazyLock<BTreeMap<UniqueId, &'static ManagedPolicy>> = LazyLock::new(|| {
            policy::managed().iter().map(|policy| (managed_id(policy.name), policy)).collect()
        });
        BY_ID.get(&entity.id).map_or(Self::Customer(entity), |policy| Self::Managed(policy))
    }

    /// It, if it is of the account.
    pub(crate) fn customer(self) -> Option<Entity> {
        match self {
            Self::Managed(_) => None,
            Self::Customer(entity) => Some(entity),
        }
    }

    /// Its ARN.
    pub(crate) fn arn(&self, identity: &Identity) -> String {
        match self {
            Self::Managed(policy) => policy.arn(),
            Self::Customer(entity) => identity.face(*entity).arn.to_string(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self, identity: &Identity) -> String {
        match self {
            Self::Managed(policy) => policy.name.to_owned(),
            Self::Customer(entity) => identity.face(*entity).name,
        }
    }

    /// Its path.
    pub(crate) fn path(&self, identity: &Identity) -> String {
        match self {
            Self::Managed(policy) => policy.path.to_owned(),
            Self::Customer(entity) => identity.face(*entity).path,
        }
    }

    /// Its unique id.
    pub(crate) fn id(&self) -> UniqueId {
        match self {
            Self::Managed(policy) => managed_id(policy.name),
            Self::Customer(entity) => entity.id,
        }
    }

    /// What it may say: each side of each default version that it may have.
    pub(crate) fn documents(&self, identity: &Identity) -> Vec<Arc<Document>> {
        self.source(identity, Certainty::May).alternatives
    }

    /// The policy as it applies through an edge, were a change made.
    fn source_with(&self, identity: &Identity, edge: Certainty, overlay: &Overlay) -> Source {
        let source = self.source(identity, edge);
        match overlay {
            Overlay::Document { policy, document } if *policy == self.id() => {
                let exists = match self {
                    Self::Managed(_) => true,
                    Self::Customer(entity) => identity.can_act(*entity),
                };
                let certain = edge == Certainty::Must && exists;
                Source { certain, alternatives: vec![Arc::clone(document)], ..source }
            }
            Overlay::None | Overlay::Document { .. } | Overlay::Group { .. } => source,
        }
    }

    /// The policy as it limits a session. One that is gone, or may be, denies everything: what it
    /// would have forbidden nobody knows.
    fn limit(&self, identity: &Identity) -> Source {
        let source = self.source(identity, Certainty::Must);
        if source.certain {
            return source;
        }
        let alternatives = vec![deny_all(DocumentKind::Session)];
        Source { label: source.label, certain: true, alternatives }
    }

    /// The policy as it applies through an edge.
    fn source(&self, identity: &Identity, edge: Certainty) -> Source {
        match self {
            Self::Managed(policy) => managed_source(policy, edge),
            Self::Customer(entity) => {
                let label = SourceLabel::Managed { arn: self.arn(identity) };
                let mut source = Source { label, certain: false, alternatives: Vec::new() };
                let default = identity.read(&DEFAULT_VERSION, *entity);
                let mut certain = edge.and(Certainty::of(identity.can_act(*entity)));
                // INVARIANT: each default it may have is an alternative, so that all must allow.
                for version in default.may() {
                    let sides = identity.document(&POLICY_VERSION, *entity, &version.text);
                    certain = certain.and(add_sides(&mut source.alternatives, sides));
                }
                let decided = match &default {
                    Read::Absent => false,
                    Read::Known(_) => true,
                    Read::Contested(sides) => sides.iter().all(Option::is_some),
                };
                source.certain = certain == Certainty::Must && decided;
                source
            }
        }
    }
}

/// A change of policies that is not made.
#[derive(Clone, Debug)]
pub(crate) enum Overlay {
    /// None.
    None,
    /// A policy says this.
    Document {
        /// The policy.
        policy: UniqueId,
        /// What it says.
        document: Arc<Document>,
    },
    /// A group has other policies.
    Group {
        /// The group.
        group: UniqueId,
        /// Policies that it gets.
        attach: Vec<PolicyRef>,
        /// Policies that it loses.
        detach: Vec<UniqueId>,
    },
}

impl Overlay {
    fn detaches(&self, owner: UniqueId, policy: UniqueId) -> bool {
        match self {
            Self::Group { group, attach: _, detach } => *group == owner && detach.contains(&policy),
            Self::None | Self::Document { .. } => false,
        }
    }

    fn attaches(&self, owner: UniqueId) -> &[PolicyRef] {
        match self {
            Self::Group { group, attach, detach: _ } if *group == owner => attach,
            Self::None | Self::Document { .. } | Self::Group { .. } => &[],
        }
    }
}

/// A policy that every account has, as it applies through an edge.
fn managed_source(policy: &ManagedPolicy, edge: Certainty) -> Source {
    Source {
        label: SourceLabel::Managed { arn: policy.arn() },
        certain: edge == Certainty::Must,
        alternatives: vec![Arc::clone(&policy.parsed)],
    }
}

/// Whether something is beyond doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// It is.
    Must,
    /// It may be.
    May,
}

impl Certainty {
    fn of(must: bool) -> Self {
        if must { Self::Must } else { Self::May }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Must, Self::Must) => Self::Must,
            (Self::Must | Self::May, Self::Must | Self::May) => Self::May,
        }
    }
}

/// Adds the documents of a slot; certain unless the slot may be empty.
fn add_sides(
    alternatives: &mut Vec<Arc<Document>>,
    sides: &[Option<Arc<crate::index::StoredDocument>>],
) -> Certainty {
    alternatives.extend(sides.iter().flatten().map(|stored| Arc::clone(&stored.document)));
    Certainty::of(!sides.is_empty() && sides.iter().all(Option::is_some))
}

/// The layers that decide on a user or role; `None` for root, which no policy limits.
pub(crate) fn layers(identity: &Identity, caller: &Caller) -> Option<Layers> {
    layers_with(identity, caller, &Overlay::None)
}

/// [`layers`], were a change made.
pub(crate) fn layers_with(
    identity: &Identity,
    caller: &Caller,
    overlay: &Overlay,
) -> Option<Layers> {
    let session =
        caller.session.as_ref().and_then(|session| session_layer(identity, caller, session));
    let Some(entity) = caller.entity() else {
        // A federated user of root's may do what its session policies allow.
        caller.federated_name()?;
        let identity = vec![everything()];
        return Some(Layers { identity, session, ..Layers::default() });
    };
    let mut sources = Vec::new();
    own_sources(identity, entity, Certainty::Must, overlay, &mut sources);
    for (group, edge) in identity.read_all(&MEMBERSHIP, entity) {
        let Ok(id) = group.parse::<UniqueId>() else { continue };
        let group = Entity { account: entity.account, id };
        if !identity.read(&HEAD, group).is_possible() {
            continue;
        }
        let certain = Certainty::of(edge.must().is_some() && identity.can_act(group));
        own_sources(identity, group, certain, overlay, &mut sources);
    }
    let boundary = boundary_layer(identity, entity, overlay);
    Some(Layers { identity: sources, boundary, session, guard_rails: None, resource: None })
}

/// What root may do, as a policy.
fn everything() -> Source {
    static ALL: LazyLock<Source> = LazyLock::new(|| {
        let mut managed = policy::managed().iter();
        let all = managed.find(|policy| policy.name == "AdministratorAccess");
        let all = all.expect("it is one of the managed policies");
        managed_source(all, Certainty::Must)
    });
    ALL.clone()
}

/// The policies of a group, for a question about the group itself.
pub(crate) fn group_layers(identity: &Identity, group: Entity) -> Layers {
    let mut layers = Layers::default();
    own_sources(identity, group, Certainty::Must, &Overlay::None, &mut layers.identity);
    layers
}

/// Every permissions boundary that a user or role may have; `None` if there is none. One whose
/// policy is gone, or may be, allows nothing.
fn boundary_layer(identity: &Identity, owner: Entity, overlay: &Overlay) -> Option<Vec<Source>> {
    let limits = boundary::may_limit(identity, owner);
    let source = |policy: &Option<PolicyRef>| match policy {
        Some(policy) => policy.source_with(identity, Certainty::Must, overlay),
        None => {
            let label = SourceLabel::Managed { arn: String::new() };
            Source { label, certain: false, alternatives: Vec::new() }
        }
    };
    (!limits.is_empty()).then(|| limits.iter().map(source).collect())
}

/// The policies of a user, group or role itself.
fn own_sources(
    identity: &Identity,
    owner: Entity,
    certain: Certainty,
    overlay: &Overlay,
    sources: &mut Vec<Source>,
) {
    for policy in overlay.attaches(owner.id) {
        sources.push(policy.source_with(identity, certain, overlay));
    }
    for (policy, edge) in identity.read_all(&ATTACHMENT, owner) {
        let Ok(id) = policy.parse::<UniqueId>() else { continue };
        let edge = certain.and(Certainty::of(edge.must().is_some()));
        let policy = PolicyRef::of(Entity { account: owner.account, id });
        if !overlay.detaches(owner.id, id) {
            sources.push(policy.source_with(identity, edge, overlay));
        }
    }
    let inline = identity.documents(&INLINE_POLICY, owner);
    if inline.is_empty() {
        return;
    }
    let owner_arn = identity.face(owner).arn.to_string();
    for (fold, sides) in inline {
        let stored = sides.iter().flatten().next();
        let name = stored.map_or_else(|| fold.to_string(), |stored| stored.message.name.clone());
        let label = SourceLabel::Inline { owner_arn: owner_arn.clone(), name };
        let mut source = Source { label, certain: false, alternatives: Vec::new() };
        let exists = add_sides(&mut source.alternatives, &sides);
        source.certain = certain.and(exists) == Certainty::Must;
        sources.push(source);
    }
}

/// The policies that were given when the session was made; `None` if there were none, which
/// leaves a federated user without permissions.
fn session_layer(identity: &Identity, caller: &Caller, session: &Session) -> Option<Vec<Source>> {
    let Session { policies, policy_ids, .. } = session;
    if policies.is_empty() && policy_ids.is_empty() {
        return caller.federated_name().map(|_| Vec::new());
    }
    let given = policies.iter().map(|document| Source {
        label: SourceLabel::Session,
        certain: true,
        alternatives: vec![Arc::clone(document)],
    });
    let managed = policy_ids
        .iter()
        .map(|id| PolicyRef::of(Entity { account: caller.account, id: *id }).limit(identity));
    Some(given.chain(managed).collect())
}
