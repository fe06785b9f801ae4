//! Accounts and their aliases: ids and aliases must have one owner, so the control plane gives
//! them.
//!
//! **Invariants.** An alias belongs to at most one account, and an account has at most one: a new
//! one replaces the old (AWS: CreateAccountAlias). The first account is the log's first: a clock
//! has no say in whose callers may act on the cluster.
//!
//! **Must not know:** what is in an account.

use model::{AccountAlias, AccountId, Timestamp};
use wire::v1::{self, ControlRefusal};

use super::{Account, Applied, ControlState, done};

impl ControlState {
    pub(super) fn create_account(&mut self, create: &v1::CreateAccount) -> Applied {
        let id = AccountId::from_number(create.account).ok_or(ControlRefusal::Malformed)?;
        if self.accounts.contains_key(&id) {
            return Err(ControlRefusal::AccountExists);
        }
        let created = Timestamp::from_ms(create.created_ms);
        self.accounts.insert(id, Account { created, alias: None });
        self.first_account.get_or_insert(id);
        done()
    }

    pub(super) fn set_alias(&mut self, account: u64, alias: &str) -> Applied {
        let alias: AccountAlias = alias.parse().map_err(|_| ControlRefusal::Malformed)?;
        let id = AccountId::from_number(account).ok_or(ControlRefusal::AccountUnknown)?;
        let owner = self.accounts.iter().find(|(_, known)| known.alias.as_ref() == Some(&alias));
        if owner.is_some_and(|(owner, _)| *owner != id) {
            return Err(ControlRefusal::AliasTaken);
        }
        let account = self.accounts.get_mut(&id).ok_or(ControlRefusal::AccountUnknown)?;
        account.alias = Some(alias);
        done()
    }

    pub(super) fn remove_alias(&mut self, account: u64, alias: &str) -> Applied {
        let account = AccountId::from_number(account)
            .and_then(|id| self.accounts.get_mut(&id))
            .ok_or(ControlRefusal::AccountUnknown)?;
        if account.alias.as_ref().is_none_or(|known| known.as_str() != alias) {
            return Err(ControlRefusal::AliasUnknown);
        }
        account.alias = None;
        done()
    }
}
