//! The second factor of a session: calls of STS that bring a code of an MFA device. AWS:
//! `SerialNumber` and `TokenCode` of `AssumeRole` and `GetSessionToken`.
//!
//! **Invariants.** A code that is taken is used up by the same transaction. A session has its
//! factor while its device is enabled for the user that gave the code, beyond doubt: AWS lets it
//! have it to its end, which a device that was lost should not.
//!
//! **Must not know:** what else is in a session.

use model::{AccountId, Secret, Timestamp, UniqueId};
use policy::{Context, ContextValue};
use wire::v1;

use crate::{
    Ctx, Error, Identity, MfaRefusal, Principal,
    authorize::Extra,
    entity::Entity,
    field::MFA_COUNTER,
    mfa_device::{SerialNumber, enabled_device, enabled_for, owners, use_code},
    state::Writes,
};

/// Whether a caller proved a second factor. AWS: the key is there for sessions, and `false` for one
/// that was made without, so that a deny of `false` applies.
pub(crate) const PRESENT: &str = "aws:MultiFactorAuthPresent";
/// How many seconds ago it did.
pub(crate) const AGE: &str = "aws:MultiFactorAuthAge";

/// A call, with the code of an MFA device of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithCode<C> {
    /// The call.
    pub call: C,
    /// The device.
    pub serial: SerialNumber,
    /// Its code.
    pub code: Secret<String>,
}

/// The second factor that a session was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// The account of the device.
    pub account: AccountId,
    /// The device.
    pub device: UniqueId,
    /// For whom it was enabled.
    pub user: UniqueId,
    /// When the code was given.
    pub given: Timestamp,
}

/// Whether a session has a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has.
    Present(Timestamp),
    /// It has not.
    Absent,
    /// Concurrent changes disagree about it.
    Unknown,
}

impl SecondFactor {
    /// Takes a code: the factor, and the writes that use it up.
    pub(crate) fn take<C>(
        identity: &Identity,
        ctx: &Ctx<'_>,
        WithCode { call: _, serial, code }: &WithCode<C>,
    ) -> Result<(Self, Writes), Error> {
        let account = ctx.caller.account;
        let owner = match ctx.caller.principal {
            Principal::Root => UniqueId::root(account),
            Principal::User(id) => id,
            // AWS: a device is a user's.
            Principal::Role(_) => return Err(Error::Mfa(MfaRefusal::Device)),
        };
        if ctx.caller.federated_name().is_some() {
            return Err(Error::Mfa(MfaRefusal::Device));
        }
        let owner = Entity { account, id: owner };
        let device =
            enabled_device(identity, owner, serial).ok_or(Error::Mfa(MfaRefusal::Device))?;
        let used = use_code(identity, ctx, device, code).ok_or(Error::Mfa(MfaRefusal::Code))?;
        let mut writes = Writes::new(account);
        writes.put(&MFA_COUNTER, device.id, &used);
        let factor = Self { account, device: device.id, user: owner.id, given: ctx.now };
        Ok((factor, writes))
    }

    /// As claims have it.
    pub(crate) fn to_claim(&self) -> v1::MfaClaim {
        let Self { account, device, user, given } = self;
        v1::MfaClaim {
            account: account.number(),
            device: device.to_string(),
            user: user.to_string(),
            authenticated_ms: given.ms(),
        }
    }

    /// From claims; `None` if they are malformed.
    pub(crate) fn from_claim(claim: &v1::MfaClaim) -> Option<Self> {
        let v1::MfaClaim { account, device, user, authenticated_ms } = claim;
        Some(Self {
            account: AccountId::from_number(*account)?,
            device: device.parse().ok()?,
            user: user.parse().ok()?,
            given: Timestamp::from_ms(*authenticated_ms),
        })
    }

    fn presence(&self, identity: &Identity) -> Presence {
        let Self { account, device, user, given } = self;
        let device = Entity { account: *account, id: *device };
        if enabled_for(identity, device) == Some(*user) {
            return Presence::Present(*given);
        }
        if owners(identity, device).contains(user) { Presence::Unknown } else { Presence::Absent }
    }
}

/// The condition keys of a call that brought a code.
pub(crate) fn just_given() -> Extra {
    let known = |text: &str| ContextValue::Known(vec![text.to_owned()]);
    vec![(PRESENT.to_owned(), known("true")), (AGE.to_owned(), known("0"))]
}

/// Whether a session that was made so has a second factor.
pub(crate) fn presence(identity: &Identity, factor: Option<&SecondFactor>) -> Presence {
    factor.map_or(Presence::Absent, |factor| factor.presence(identity))
}

/// The condition keys of a second factor, unless there are some already.
pub(crate) fn insert(context: &mut Context, presence: Presence, now: Timestamp) {
    if context.get(PRESENT).is_some() {
        return;
    }
    match presence {
        Presence::Present(given) => {
            context.insert(PRESENT, "true");
            // One that was given in the future, by a clock that is ahead, is of no known age.
            match now.secs().checked_sub(given.secs()) {
                Some(age) => context.insert(AGE, age.to_string()),
                None => context.insert_unknown(AGE),
            }
        }
        Presence::Absent => context.insert(PRESENT, "false"),
        Presence::Unknown => {
            context.insert_unknown(PRESENT);
            context.insert_unknown(AGE);
        }
    }
}
