//! Whether states agree: what digests that were taken at the same moment of history say.
//!
//! **Invariants.** Only digests of the same version vector and barrier are compared: those must be
//! equal. Of two nodes that differ nobody can tell which is right; one that differs from what more
//! than half of those that it hears from hold alike is *outvoted*, and stays so until most are seen
//! to agree with it.
//!
//! **Must not know:** what a digest is made of.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tracing::info;

use crate::{Digest, Member, MemberState, NodeId, Replication};

/// How many digests of each node are kept, for those that are a little ahead or behind.
const DIGESTS_KEPT: usize = 8;

/// Whether two nodes that have the same hold the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestState {
    /// They were never seen at the same version vector.
    #[default]
    Unknown,
    /// When last at the same version vector they had equal states.
    Equal,
    /// When last at the same version vector their states differed.
    Different,
}

#[derive(Debug, Default)]
pub(crate) struct Digests {
    own: VecDeque<Digest>,
    peers: BTreeMap<NodeId, VecDeque<Digest>>,
    states: BTreeMap<NodeId, DigestState>,
    /// Who agree with each other, and not with this node.
    outvoted_by: BTreeSet<NodeId>,
}

impl Digests {
    pub(crate) fn state(&self, node: NodeId) -> DigestState {
        self.states.get(&node).copied().unwrap_or_default()
    }

    /// The newest of this node's own.
    pub(crate) fn newest(&self) -> Option<&Digest> {
        self.own.back()
    }

    pub(crate) fn outvoted_by(&self) -> &BTreeSet<NodeId> {
        &self.outvoted_by
    }

    /// The state was found to be that of one who had outvoted this node.
    pub(crate) fn acquit(&mut self) {
        self.outvoted_by.clear();
        info!("this node's state is that of most members again");
    }

    /// This node's state is another than its digests tell.
    pub(crate) fn forget_own(&mut self) {
        self.own.clear();
    }
}

/// Adds a digest; what was told of the same moment before is void. Whether it is news.
fn keep(digests: &mut VecDeque<Digest>, digest: Digest) -> bool {
    if digests.back() == Some(&digest) {
        return false;
    }
    digests.retain(|known| !known.is_of_the_state_of(&digest));
    if digests.len() >= DIGESTS_KEPT {
        digests.pop_front();
    }
    digests.push_back(digest);
    true
}

/// Of the newest moment that both have told a digest of: this node's, and whether theirs is equal.
fn compare<'a>(own: &'a VecDeque<Digest>, theirs: &VecDeque<Digest>) -> Option<(&'a Digest, bool)> {
    let pairs = own.iter().rev().map(|ours| (ours, of_the_same(theirs, ours)));
    pairs.filter_map(|(ours, theirs)| Some((ours, ours.total == theirs?.total))).next()
}

fn of_the_same<'a>(digests: &'a VecDeque<Digest>, other: &Digest) -> Option<&'a Digest> {
    digests.iter().rev().find(|digest| digest.is_of_the_state_of(other))
}

impl<P> Replication<P> {
    /// Whether most members agree on another state than this node's. Who is outvoted must answer
    /// nobody.
    pub fn is_outvoted(&self) -> bool {
        !self.digests.outvoted_by.is_empty()
    }

    pub(crate) fn own_digest(&mut self, digest: Digest) {
        if keep(&mut self.digests.own, digest) {
            for peer in self.digests.peers.keys().copied().collect::<Vec<_>>() {
                self.compare_digests(peer);
            }
            self.count_votes();
        }
    }

    pub(crate) fn peer_digest(&mut self, peer: NodeId, digest: Digest) {
        if keep(self.digests.peers.entry(peer).or_default(), digest) {
            self.compare_digests(peer);
            self.count_votes();
        }
    }

    fn compare_digests(&mut self, peer: NodeId) {
        let Digests { own, peers, states, outvoted_by: _ } = &mut self.digests;
        let compared = peers.get(&peer).and_then(|theirs| compare(own, theirs));
        let Some((ours, equal)) = compared else { return };
        let found = if equal { DigestState::Equal } else { DigestState::Different };
        let before = states.insert(peer, found);
        if found == DigestState::Different && before != Some(found) {
            let what = format!("divergence: node {peer} holds another state at {}", ours.at);
            self.alarm(what);
        }
    }

    /// Who has a vote about this node's state, heard or not: all members that it may have a stream
    /// with, which replicas have none of among each other; not those who still copy a state.
    fn voters(&self) -> BTreeSet<NodeId> {
        let is_writer = |node| self.roster.is_origin(node);
        let active = |member: &Member| member.state == MemberState::Active;
        let all = self.roster.present().filter(|(_, member)| active(member)).map(|(node, _)| node);
        all.filter(|node| *node == self.me || is_writer(self.me) || is_writer(*node)).collect()
    }

    /// At the newest moment of which more than half of the voters tell the same: whether this node
    /// does.
    pub(crate) fn count_votes(&mut self) {
        let Digests { own, peers, states: _, outvoted_by: _ } = &self.digests;
        let voters = self.voters();
        for ours in own.iter().rev() {
            let mut votes = BTreeMap::from([(ours.total, BTreeSet::from([self.me]))]);
            for (peer, theirs) in peers.iter().filter(|(peer, _)| voters.contains(peer)) {
                if let Some(theirs) = of_the_same(theirs, ours) {
                    votes.entry(theirs.total).or_default().insert(*peer);
                }
            }
            let most = votes.into_iter().find(|(_, same)| same.len() * 2 > voters.len());
            let Some((total, same)) = most else { continue };
            let was = self.is_outvoted();
            if total == ours.total {
                if was {
                    self.digests.acquit();
                }
            } else {
                let nodes: Vec<u32> = same.iter().map(|node| node.0).collect();
                let what = format!(
                    "divergence: nodes {nodes:?} agree on another state than this node's, which \
                     answers nobody until it is mended"
                );
                self.digests.outvoted_by = same;
                if !was {
                    self.alarm(what);
                }
            }
            return self.repair_on();
        }
    }
}
