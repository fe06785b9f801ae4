//! Doubts as a snapshot keeps them, and how those of two states join.
//!
//! **Invariants.** What is restored reads as it did. Two states that have applied different
//! transactions join into what one has that applied all of them.
//!
//! **Must not know:** where snapshots are kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crdt::{
    Dot, Doubter, Gone, Name, NodeId, Overwriter, PastSlot, Sibling, VersionVector, covers,
};
use model::{Key, UniqueId};
use thiserror::Error;
use wire::{
    snapshot::{meta_message, meta_of},
    transaction::{Meta, encode_dot},
    v1,
};

use super::{Change, Doubts, Keys, Unsettled, name, of};

/// A message that cannot be what a node kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what is kept of transactions that are not stable: `{0}` is malformed")]
pub struct KeptError(&'static str);

impl Doubts {
    /// As a message.
    pub(crate) fn to_message(&self) -> v1::Doubts {
        let Self { past, views: _, unsettled, resting: _, changing } = self;
        let mut metas: BTreeMap<Name, Arc<Meta>> = BTreeMap::new();
        let mut keep = |dot: &Dot, meta: &Arc<Meta>| {
            metas.entry(name(dot)).or_insert_with(|| Arc::clone(meta));
            encode_dot(*dot)
        };
        let slots = past.slots().map(|(key, PastSlot { gone, doubted })| {
            let gone = gone.iter().map(|Gone { sibling: Sibling { dot, meta, value }, by }| {
                let by = by.iter().map(|Overwriter { dot, relies }| v1::Overwriter {
                    dot: Some(encode_dot(*dot)),
                    relies: *relies,
                });
                v1::Overwritten {
                    dot: Some(keep(dot, meta)),
                    value: value.as_ref().map(|value| value.to_vec()),
                    by: by.collect(),
                }
            });
            let gone = gone.collect();
            let doubted = doubted.iter().map(|(dot, by)| v1::Doubted {
                dot: Some(dot_of(dot)),
                by: by.iter().map(|Doubter { dot, meta }| keep(dot, meta)).collect(),
            });
            v1::PastSlot { key: key.to_vec(), gone, doubted: doubted.collect() }
        });
        let slots = slots.collect();
        let unsettled = unsettled.iter().map(|(dot, transaction)| {
            let Unsettled { keys, rests, changes, leads, doubters, meta } = transaction;
            let may_take = |id| changing.get(&(id, *dot)) == Some(&Change::MayTake);
            let changes = changes
                .iter()
                .map(|id| v1::unsettled::Change { id: id.to_string(), may_take: may_take(*id) });
            let (node, seq) = dot;
            v1::Unsettled {
                dot: Some(keep(&Dot::new(*node, *seq), meta)),
                keys: keys.iter().map(<[u8]>::to_vec).collect(),
                rests: rests.iter().map(ToString::to_string).collect(),
                changes: changes.collect(),
                leads: leads.iter().map(dot_of).collect(),
                doubters: doubters.iter().map(|d| keep(&d.dot, &d.meta)).collect(),
            }
        });
        let unsettled = unsettled.collect();
        let known = |(dot, meta): (&Name, &Arc<Meta>)| v1::KnownMeta {
            dot: Some(dot_of(dot)),
            meta: Some(meta_message(meta)),
        };
        v1::Doubts { metas: metas.iter().map(known).collect(), slots, unsettled }
    }

    /// From a message, without views.
    ///
    /// # Errors
    /// When it is malformed.
    pub(crate) fn from_message(message: v1::Doubts) -> Result<Self, KeptError> {
        let v1::Doubts { metas, slots, unsettled } = message;
        let mut known: BTreeMap<Name, Arc<Meta>> = BTreeMap::new();
        for v1::KnownMeta { dot, meta } in metas {
            let meta = meta.and_then(meta_of).ok_or(KeptError("metas"))?;
            known.insert(read_name(dot)?, Arc::new(meta));
        }
        let doubter = |dot: v1::Dot| {
            let dot = read_dot(Some(dot))?;
            let meta = known.get(&name(&dot)).ok_or(KeptError("metas"))?;
            Ok(Doubter { dot, meta: Arc::clone(meta) })
        };
        let mut doubts = Self::default();
        for v1::PastSlot { key, gone, doubted } in slots {
            Key::from_bytes(&key).map_err(|_| KeptError("key"))?;
            let mut slot = PastSlot::default();
            for v1::Overwritten { dot, value, by } in gone {
                let Doubter { dot, meta } = doubter(dot.ok_or(KeptError("dot"))?)?;
                let by = by.into_iter().map(|v1::Overwriter { dot, relies }| {
                    Ok(Overwriter { dot: read_dot(dot)?, relies })
                });
                let sibling = Sibling { dot, meta, value: value.map(Into::into) };
                slot.gone.push(Gone { sibling, by: by.collect::<Result<_, KeptError>>()? });
            }
            for v1::Doubted { dot, by } in doubted {
                let by = by.into_iter().map(doubter).collect::<Result<_, KeptError>>()?;
                slot.doubted.insert(read_name(dot)?, by);
            }
            doubts.past.join_slot(&key, slot);
        }
        for message in unsettled {
            doubts.restore(&known, message)?;
        }
        Ok(doubts)
    }

    fn restore(
        &mut self,
        known: &BTreeMap<Name, Arc<Meta>>,
        message: v1::Unsettled,
    ) -> Result<(), KeptError> {
        let v1::Unsettled { dot, keys, rests, changes, leads, doubters } = message;
        let dot = read_name(dot)?;
        let id = |text: &str| text.parse::<UniqueId>().map_err(|_| KeptError("rests"));
        let meta = |dot: &Name| known.get(dot).cloned().ok_or(KeptError("metas"));
        let rests = rests.iter().map(|text| id(text)).collect::<Result<Vec<_>, _>>()?;
        let mut changed = BTreeMap::new();
        for v1::unsettled::Change { id: text, may_take } in changes {
            let change = if may_take { Change::MayTake } else { Change::Gives };
            changed.insert(id(&text)?, change);
        }
        let doubters = doubters.into_iter().map(|dot| {
            let dot = read_dot(Some(dot))?;
            Ok(Doubter { dot, meta: meta(&name(&dot))? })
        });
        let transaction = Unsettled {
            keys: Keys::new(keys.iter().map(Vec::as_slice)),
            rests,
            changes: changed.keys().copied().collect(),
            leads: leads
                .into_iter()
                .map(|dot| read_name(Some(dot)))
                .collect::<Result<_, KeptError>>()?,
            doubters: doubters.collect::<Result<_, KeptError>>()?,
            meta: meta(&dot)?,
        };
        self.put(dot, transaction, changed);
        Ok(())
    }

    fn put(&mut self, dot: Name, transaction: Unsettled, changes: BTreeMap<UniqueId, Change>) {
        self.resting.extend(transaction.rests.iter().map(|id| (*id, dot)));
        self.changing.extend(changes.into_iter().map(|(id, change)| ((id, dot), change)));
        self.unsettled.insert(dot, transaction);
    }

    /// Takes what another state knows as well. `ours` and `theirs` are what the two have applied:
    /// what only one of them has is concurrent with all that only the other has.
    pub(crate) fn join(
        &mut self,
        other: &Self,
        ours: &VersionVector,
        theirs: &VersionVector,
    ) -> BTreeSet<Box<[u8]>> {
        let mut stale: BTreeSet<Box<[u8]>> = BTreeSet::new();
        for (key, slot) in other.past.slots() {
            self.past.join_slot(key, slot.clone());
            stale.insert(key.into());
        }
        let mine: Vec<Name> = self.unsettled.keys().copied().collect();
        for (dot, transaction) in &other.unsettled {
            let changes = transaction
                .changes
                .iter()
                .filter_map(|id| Some((*id, *other.changing.get(&(*id, *dot))?)));
            match self.unsettled.get_mut(dot) {
                Some(known) => {
                    let new = transaction.leads.iter().filter(|lead| !known.leads.contains(lead));
                    known.leads.extend(new.copied().collect::<Vec<_>>());
                }
                None => {
                    let transaction = Unsettled { doubters: Vec::new(), ..transaction.clone() };
                    let changes = changes.collect();
                    self.put(*dot, transaction, changes);
                }
            }
        }
        for (dot, transaction) in &other.unsettled {
            for doubter in &transaction.doubters {
                self.doubt(*dot, doubter, &mut stale);
            }
        }
        let is_of =
            |(node, seq): &Name, vector: &VersionVector| covers(vector, &Dot::new(*node, *seq));
        let only_ours = mine.iter().filter(|dot| !is_of(dot, theirs));
        let only_theirs = other.unsettled.keys().filter(|dot| !is_of(dot, ours));
        let (only_ours, only_theirs): (BTreeSet<Name>, BTreeSet<Name>) =
            (only_ours.copied().collect(), only_theirs.copied().collect());
        for (some, rest) in [(&only_ours, &only_theirs), (&only_theirs, &only_ours)] {
            for (doubted, doubter) in self.unheard(some, rest) {
                self.doubt(doubted, &doubter, &mut stale);
            }
        }
        // Whoever was found to be doubted before it was known who relied on it.
        let doubted: Vec<_> = self
            .unsettled
            .values()
            .flat_map(|t| {
                t.leads.iter().flat_map(|lead| t.doubters.iter().map(|d| (*lead, d.clone())))
            })
            .collect();
        for (lead, doubter) in doubted {
            self.doubt(lead, &doubter, &mut stale);
        }
        stale
    }

    /// Who of `some` is doubted by whom of `rest`, none of whom has heard of the other.
    fn unheard(&self, some: &BTreeSet<Name>, rest: &BTreeSet<Name>) -> Vec<(Name, Doubter<Meta>)> {
        let mut found = Vec::new();
        for dot in some {
            let Some(transaction) = self.unsettled.get(dot) else { continue };
            let changes = transaction.rests.iter().flat_map(|id| self.changing.range(of(*id)));
            for ((_, by), change) in changes.filter(|((_, by), _)| rest.contains(by)) {
                if *change == Change::MayTake
                    && let Some(other) = self.unsettled.get(by)
                {
                    let by = Dot::new(by.0, by.1);
                    found.push((*dot, Doubter { dot: by, meta: Arc::clone(&other.meta) }));
                }
            }
        }
        found
    }
}

fn dot_of((NodeId(node), seq): &Name) -> v1::Dot {
    v1::Dot { node: *node, seq: *seq }
}

fn read_dot(dot: Option<v1::Dot>) -> Result<Dot, KeptError> {
    let dot = dot.filter(|dot| dot.seq > 0).ok_or(KeptError("dot"))?;
    Ok(Dot::new(NodeId(dot.node), dot.seq))
}

fn read_name(dot: Option<v1::Dot>) -> Result<Name, KeptError> {
    read_dot(dot).map(|dot| name(&dot))
}
