//! A confirmed name has one holder, until that gives it up, and at no node two may use one name. In
//! the end every name is decided, everywhere alike, and whoever has one may use it.
//!
//! **Must not know:** who claimed what when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crdt::covers;
use identity::{Claim, Identity, NameKey};
use model::{AccountId, UniqueId, UniqueIdKind};
use node::ControlState;

use super::Invariant;
use crate::{
    fact::{Fact, View},
    host::Host,
    load,
};

#[derive(Default)]
pub(super) struct Names {
    /// Who was confirmed.
    holders: BTreeMap<NameKey, Claim>,
    seen: Option<Arc<identity::Names>>,
}

impl Invariant for Names {
    fn name(&self) -> &'static str {
        "a name has one holder"
    }

    fn see(&mut self, view: View<'_>, fact: &Fact<'_>) -> Result<(), String> {
        // What a damaged state claims nobody can foresee.
        if view.hosts.iter().any(|host| host.damaged) {
            return Ok(());
        }
        match fact {
            Fact::Handled { at } => {
                self.decided(view)?;
                match &view.hosts[*at].node {
                    Some(node) => at_most_one_uses(*at, node.identity()),
                    None => Ok(()),
                }
            }
            Fact::Healed { .. } => {
                self.decided(view)?;
                healed(view)
            }
            Fact::Started { .. }
            | Fact::Applied { .. }
            | Fact::Acknowledged { .. }
            | Fact::Sent { .. }
            | Fact::Delivered { .. }
            | Fact::Joins { .. }
            | Fact::WaitEnded { .. }
            | Fact::Alarm { .. } => Ok(()),
        }
    }
}

impl Names {
    /// Looks at what the control plane has decided since.
    fn decided(&mut self, View { hosts, control }: View<'_>) -> Result<(), String> {
        let names = control.names();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, names)) {
            return Ok(());
        }
        self.seen = Some(Arc::clone(names));
        for (name, decision) in &names.decisions {
            let Some(holder) = decision.holder else { continue };
            let before = self.holders.insert(name.clone(), holder);
            let Some(before) = before.filter(|before| before.id != holder.id) else { continue };
            if !hosts.iter().any(|host| has_seen_given_up(host, control, name, &before)) {
                let (fold, was, is) = (&name.fold, before.id, holder.id);
                return Err(format!("`{fold}` went from {was} to {is}, and nobody gave it up"));
            }
        }
        Ok(())
    }
}

fn has_seen_given_up(host: &Host, control: &ControlState, name: &NameKey, claim: &Claim) -> bool {
    let gone = |identity: &Identity| {
        let seen = covers(identity.state().vector(), &claim.dot);
        seen && !identity.bearers(name).contains_key(&claim.id)
    };
    match &host.node {
        Some(node) => gone(node.identity()),
        None => host.restarted(control).is_ok_and(|node| gone(node.identity())),
    }
}

fn at_most_one_uses(at: usize, identity: &Identity) -> Result<(), String> {
    for name in all() {
        let users = users(identity, &name);
        if users.len() > 1 {
            return Err(format!("host {at}: `{}` is used by {users:?}", name.fold));
        }
    }
    Ok(())
}

fn users(identity: &Identity, name: &NameKey) -> BTreeSet<UniqueId> {
    let bearers = identity.bearers(name).into_iter();
    bearers.filter(|(_, usable)| *usable).map(|(id, _)| id).collect()
}

fn healed(view: View<'_>) -> Result<(), String> {
    for name in all() {
        let mut holders = BTreeSet::new();
        for (at, host) in view.present() {
            let Some(node) = &host.node else { continue };
            let identity = node.identity();
            let provisional = identity.provisional_names();
            if provisional > 0 {
                return Err(format!("host {at}: nothing is decided about {provisional} names"));
            }
            let holder = identity.holder(&name);
            holders.insert((holder, users(identity, &name)));
        }
        if holders.len() > 1 {
            return Err(format!("`{}` is held and used by {holders:?}", name.fold));
        }
    }
    Ok(())
}

/// The names that calls fight for.
fn all() -> impl Iterator<Item = NameKey> {
    let account = AccountId::from_number(load::ACCOUNT).expect("it has twelve digits");
    (0..load::NAMES).flat_map(move |number| {
        [(UniqueIdKind::User, "user"), (UniqueIdKind::Group, "group")].map(|(kind, word)| NameKey {
            account,
            kind,
            fold: format!("{word}{number}").into(),
        })
    })
}
