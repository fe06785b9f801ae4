//! What every request handler needs: the node, the control plane, who this node is.
//!
//! **Invariants.** A certificate is a node's only while the roster says so; before the roster has
//! come, the one that was given when this node joined counts.
//!
//! **Must not know:** the protocols.

use std::sync::Arc;

use crdt::NodeId;
use identity::{Caller, Ctx, RequestContext};
use model::Timestamp;
use node::{Node, RosterEntry};
use rpc::{
    client::{ServerName, Target, Trust},
    peer::Fingerprint,
};
use wire::v1::ControlCommand;

use crate::{
    attempts::Attempts,
    control::{self, Rules},
    core::{Core, Stopping},
    home::Home,
    pki::KeyEncryptionKey,
    prepared::PreparedPolicies,
    raft::{self, ControlPlane, Peers},
    random,
    reports::Reports,
    web_identity::Verifier,
};

/// The parts of a running server.
pub struct App {
    /// The node.
    pub core: Core,
    /// Raft.
    pub control: Arc<ControlPlane<Rules>>,
    /// Who this node is.
    pub home: Home,
    /// The key-encryption key, at writers.
    pub kek: Option<KeyEncryptionKey>,
    /// Policies for checks.
    pub prepared: PreparedPolicies,
    /// How often codes of MFA devices were tried.
    pub attempts: Attempts,
    /// Credential reports that were asked for.
    pub reports: Reports,
    /// Tokens of identity providers.
    pub verifier: Verifier,
}

impl App {
    /// The member that a certificate is of.
    ///
    /// # Errors
    /// When the node is stopping.
    pub fn member(&self, fingerprint: &Fingerprint) -> Result<Option<RosterEntry>, Stopping> {
        member(&self.core, &self.home, fingerprint)
    }

    /// Whether this node is a serving member: joined, caught up and not removed.
    ///
    /// # Errors
    /// When the node is stopping.
    pub fn serves(&self) -> Result<bool, Stopping> {
        self.core.peek(Node::serves)
    }

    /// How to reach another node.
    pub fn target(&self, node: NodeId, address: String) -> Target {
        let cluster_id = self.home.cluster_id.clone();
        Target {
            address,
            trust: Trust::Ca(self.home.ca_pem.clone()),
            name: ServerName::Node { node: node.0, cluster_id },
            identity: Some(self.home.identity.clone()),
        }
    }

    /// The resource that actions on the cluster are authorized for.
    pub fn cluster_arn(&self) -> String {
        format!("arn:aws:writ:::cluster/{}", self.home.cluster_id)
    }
}

/// As [`App::member`], before there is an [`App`].
///
/// # Errors
/// When the node is stopping.
pub fn member(
    core: &Core,
    home: &Home,
    fingerprint: &Fingerprint,
) -> Result<Option<RosterEntry>, Stopping> {
    core.peek(|node| {
        let control = node.control();
        if !control.cluster_id().is_empty() {
            return control.by_certificate(fingerprint.as_str()).cloned();
        }
        let entries = home.first_roster.iter().filter_map(RosterEntry::from_message);
        entries
            .filter(|entry| entry.state != node::NodeState::Removed)
            .find(|entry| entry.certificate == fingerprint.as_str())
    })
}

/// What Raft is told of callers.
pub fn raft_peers(core: &Core, home: &Home) -> Peers {
    let find = {
        let (core, home) = (core.clone(), home.clone());
        Arc::new(move |fingerprint: &Fingerprint| {
            let entry = member(&core, &home, fingerprint).ok().flatten()?;
            Some(raft::Caller { node: entry.node.0, part: control::part(entry.role) })
        })
    };
    let core = core.clone();
    let may_propose = Arc::new(move |caller, command: &ControlCommand| {
        let verdict = core.peek(|node| {
            let caller = node.control().node(NodeId(caller));
            caller.map(|caller| node::control::may_propose(caller, command))
        });
        match verdict.map_err(|error| error.to_string())? {
            Some(verdict) => verdict.map_err(|refusal| refusal.to_string()),
            None => Err("this node does not know the caller".to_owned()),
        }
    });
    Peers { find, may_propose }
}

/// Whether a caller may do an action of Writ's own.
///
/// # Errors
/// IAM's refusal.
pub fn authorize(
    node: &Node,
    caller: &Caller,
    request: &RequestContext,
    action: &str,
    resource: &str,
    now: Timestamp,
) -> Result<(), identity::Error> {
    let entropy = random::entropy();
    let (keys, accounts) = (node.keys(), node.accounts());
    let ctx = Ctx { now, entropy: &entropy, caller, request, keys, accounts };
    identity::authorize(node.identity(), &ctx, action, resource, &[])
}
