//! What the control plane has decided about names, as it comes in: who holds a name, who lost it.
//!
//! **Invariants.** A decision is about one write of a name: who is named anew claims anew.
//!
//! **Must not know:** how the control plane decides, who proposes.

use std::collections::BTreeMap;

use crdt::{Dot, VersionVector, covers};
use model::{AccountId, UniqueId, UniqueIdKind};

/// The longest name, folded, in bytes. IAM's are shorter.
pub const NAME_BYTES_MAX: usize = 256;
/// Claims in one proposal, at most: as many of the longest names fit into one command.
pub const NAME_CLAIMS_MAX: usize = 200;

/// A name: unique, in the end, per account and kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey {
    /// Whose account.
    pub account: AccountId,
    /// What is called so.
    pub kind: UniqueIdKind,
    /// The name, folded.
    pub fold: Box<str>,
}

/// An entity claims a name that a write gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The entity.
    pub id: UniqueId,
    /// The write.
    pub dot: Dot,
}

/// What is decided about one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Who holds it.
    pub holder: Option<Claim>,
    /// Who claimed it while another held it. A claim that lost stays lost when the holder gives the
    /// name up: nobody comes back to life because another is deleted.
    pub lost: Vec<Claim>,
}

/// The decisions, as far as the control plane keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// By name.
    pub decisions: BTreeMap<NameKey, Decision>,
    /// Names that were set by a write it covers, and about which there is no decision, are their
    /// holders': everybody knows of them, and nobody else has claimed them.
    pub settled: VersionVector,
}

impl Names {
    /// How many claims are kept.
    pub fn count(&self) -> usize {
        let claims =
            |decision: &Decision| usize::from(decision.holder.is_some()) + decision.lost.len();
        self.decisions.values().map(claims).sum()
    }

    /// How many names need not be kept once all up to here is settled.
    pub fn count_settled(&self, upto: &VersionVector) -> usize {
        let settled = |decision: &&Decision| {
            let holder = decision.holder;
            decision.lost.is_empty() && holder.is_some_and(|holder| covers(upto, &holder.dot))
        };
        self.decisions.values().filter(settled).count()
    }
}
