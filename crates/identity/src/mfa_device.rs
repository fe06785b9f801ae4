//! Virtual MFA devices: what makes one-time codes for a user or the root user. AWS:
//! `CreateVirtualMFADevice`, `EnableMFADevice` and their kin.
//!
//! **Invariants.** The seed is stored sealed, and leaves in the answer to `CreateVirtualMFADevice`
//! only. A device is enabled for one user at most: for whom is one field of the device, and what is
//! contested or doubted there is enabled for nobody, so that no code of it is right. A step whose
//! code was used is used, whatever was written since: of several counters the greatest holds.
//!
//! Two nodes that do not hear of each other take the code of one step once each; a counter that
//! needed one answer would need the control plane for each sign-in.
//!
//! **Must not know:** sessions, how a code is shown.

use model::{
    AccountId, Arn, Path, Secret, Timestamp, UniqueId, UniqueIdKind, UserName, VirtualMfaDeviceName,
};
use wire::v1;

use crate::{
    Ctx, Error, Identity, Listing, MfaRefusal, Noun, Obstacle, Outcome, Page, Principal, Quota,
    Reply,
    authorize::{Extra, demand, demand_entity, request_tags, tag_keys},
    entity::{self, Entity, page_key},
    field::{MFA_COUNTER, MFA_OWNER, MFA_SEED},
    state::Writes,
    tag::{self, AddTags, ListTags, RemoveTags, Tag},
    totp,
    user::{self, GotUser},
    user_credential::{check_owner, owner, owner_name},
};

const KIND: UniqueIdKind = UniqueIdKind::MfaDevice;
/// As long as AWS's: 64 characters in base 32.
const SEED_BYTES: usize = 40;
/// How far a device's clock may be from this node's when it is enabled, in steps.
const ENABLE_STEPS: u64 = 10;
/// The same when it is resynchronized: an hour.
const RESYNC_STEPS: u64 = 120;

/// The serial number of an MFA device, whatever it looks like: that of a virtual one is its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SerialNumber(pub String);

/// AWS: `CreateVirtualMFADevice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateVirtualMfaDevice {
    /// Its name.
    pub name: VirtualMfaDeviceName,
    /// Its path.
    pub path: Path,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// AWS: `EnableMFADevice`, `ResyncMFADevice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwoCodes {
    /// Whose it shall be, or is.
    pub user: UserName,
    /// The device.
    pub serial: SerialNumber,
    /// Codes of two steps in a row.
    pub codes: [Secret<String>; 2],
}

/// AWS: `DeactivateMFADevice`, `GetMFADevice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMfaDevice {
    /// Whose it is; `None` for the caller's.
    pub user: Option<UserName>,
    /// The device.
    pub serial: SerialNumber,
}

/// AWS: `DeleteVirtualMFADevice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteVirtualMfaDevice {
    /// The device.
    pub serial: SerialNumber,
}

/// AWS: `ListMFADevices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListMfaDevices {
    /// Whose; `None` for the caller's.
    pub user: Option<UserName>,
    /// Which part.
    pub page: Page,
}

/// Which virtual MFA devices are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentStatus {
    /// Those that may be enabled for somebody.
    Assigned,
    /// Those that are not.
    Unassigned,
    /// All.
    Any,
}

impl std::str::FromStr for AssignmentStatus {
    type Err = model::Constraint;

    fn from_str(text: &str) -> Result<Self, model::Constraint> {
        match text {
            "Assigned" => Ok(Self::Assigned),
            "Unassigned" => Ok(Self::Unassigned),
            "Any" => Ok(Self::Any),
            _ => Err(model::Constraint::Enum(&["Assigned", "Unassigned", "Any"])),
        }
    }
}

/// AWS: `ListVirtualMFADevices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListVirtualMfaDevices {
    /// Which.
    pub status: AssignmentStatus,
    /// Which part of them.
    pub page: Page,
}

/// A device that was just made, with the only copy of its seed that is ever shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVirtualMfaDevice {
    /// Its serial number.
    pub serial: Arn,
    /// Its name.
    pub name: VirtualMfaDeviceName,
    /// The account's alias, or its id: who scans the seed sees it.
    pub account: String,
    /// What its codes are made from.
    pub seed: Secret<Vec<u8>>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A virtual MFA device as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualMfaDevice {
    /// Its serial number.
    pub serial: Arn,
    /// For whom it may be enabled; of several the first.
    pub user: Option<GotUser>,
    /// Since when, if it is.
    pub enabled: Option<Timestamp>,
}

/// A user's MFA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfaDevice {
    /// Whose; the root user's name is its account's id.
    pub user: String,
    /// Its serial number.
    pub serial: Arn,
    /// Since when it is enabled.
    pub enabled: Timestamp,
}

impl SerialNumber {
    /// The device, if it may exist. One that must not be relied on is found by its unique id too.
    fn find(&self, identity: &Identity, account: AccountId) -> Option<Entity> {
        let arn: Arn = self.0.parse().ok()?;
        if arn.account().parse() != Ok(account) || !arn.resource().starts_with("mfa/") {
            return None;
        }
        let name = arn.resource().rsplit('/').next()?;
        let rival = identity.find_rival(account, KIND, name);
        rival.or_else(|| identity.find_by_arn(account, KIND, name, &arn))
    }

    fn may_find(&self, identity: &Identity, account: AccountId) -> Result<Entity, Error> {
        let missing = || Error::NoSuchEntity { noun: Noun::MfaDevice, name: self.0.clone() };
        self.find(identity, account).ok_or_else(missing)
    }

    fn contested(&self) -> Error {
        Error::ConcurrentModification { noun: Noun::MfaDevice, name: self.0.clone() }
    }

    /// Authorizes the caller for an action on the device, then finds it.
    fn demand(
        &self,
        identity: &Identity,
        ctx: &Ctx<'_>,
        action: &str,
        extra: Extra,
    ) -> Result<Entity, Error> {
        let account = ctx.caller.account;
        match self.find(identity, account) {
            Some(device) => demand_entity(identity, ctx, action, device, extra)?,
            None => demand(identity, ctx, action, &self.0, &extra)?,
        }
        self.may_find(identity, account)
    }
}

/// For whom a device is enabled, beyond doubt: both must be able to act.
pub(crate) fn enabled_for(identity: &Identity, device: Entity) -> Option<UniqueId> {
    let id: UniqueId = identity.read(&MFA_OWNER, device).must()?.text.parse().ok()?;
    let owner = Entity { account: device.account, id };
    let is_root = id.kind() == Some(UniqueIdKind::Root);
    let may = identity.can_act(device) && (is_root || identity.can_act(owner));
    may.then_some(id)
}

/// For whom a device may be enabled.
pub(crate) fn owners(identity: &Identity, device: Entity) -> Vec<UniqueId> {
    let owner = identity.read(&MFA_OWNER, device);
    owner.may().filter_map(|owner| owner.text.parse().ok()).collect()
}

/// The devices that may be enabled for a user or the root user.
pub(crate) fn of(identity: &Identity, owner: Entity) -> impl Iterator<Item = Entity> {
    let Entity { account, id } = owner;
    identity.index().devices(account, id).map(move |id| Entity { account, id })
}

/// How many devices there are, and how many of them may be enabled for somebody.
pub(crate) fn counts(identity: &Identity, account: AccountId) -> (usize, usize) {
    let devices = || identity.index().heads(account, KIND).map(|id| Entity { account, id });
    let in_use = devices().filter(|device| identity.read(&MFA_OWNER, *device).is_possible());
    (devices().count(), in_use.count())
}

/// Of several counters that of the greatest step.
fn counter(identity: &Identity, device: Entity) -> v1::MfaCounter {
    let counter = identity.read(&MFA_COUNTER, device);
    counter.may().copied().max_by_key(|counter| counter.last_step).unwrap_or_default()
}

fn seed_aad(device: Entity) -> String {
    format!("{}|{}|mfa_seed", device.account, device.id)
}

/// What a device's codes are made from, unless it is contested.
fn seed(identity: &Identity, ctx: &Ctx<'_>, device: Entity) -> Option<Secret<Vec<u8>>> {
    let seed = identity.read(&MFA_SEED, device);
    ctx.keys.open(&seed_aad(device), seed.must()?.seed.as_ref()?)
}

/// The writes that use up the first of these steps, after all that were used, whose codes are
/// given. `None` if there is none.
fn use_codes(
    identity: &Identity,
    ctx: &Ctx<'_>,
    device: Entity,
    steps_each_way: u64,
    codes: &[&Secret<String>],
) -> Option<v1::MfaCounter> {
    let before = counter(identity, device);
    let seed = seed(identity, ctx, device)?;
    let now = totp::step_at(ctx.now);
    let here = now.saturating_add_signed(before.drift);
    let steps = here.saturating_sub(steps_each_way)..=here.saturating_add(steps_each_way);
    let first = totp::find_step(&seed, steps.filter(|step| *step > before.last_step), codes)?;
    let last_step = first + (codes.len() as u64).saturating_sub(1);
    Some(v1::MfaCounter { last_step, ..before })
}

/// The counter after the code of a step that was not used, if it is right.
pub(crate) fn use_code(
    identity: &Identity,
    ctx: &Ctx<'_>,
    device: Entity,
    code: &Secret<String>,
) -> Option<v1::MfaCounter> {
    use_codes(identity, ctx, device, 1, &[code])
}

/// The device of a serial number, if it is enabled for the owner beyond doubt.
pub(crate) fn enabled_device(
    identity: &Identity,
    owner: Entity,
    serial: &SerialNumber,
) -> Option<Entity> {
    let device = serial.find(identity, owner.account)?;
    (enabled_for(identity, device) == Some(owner.id)).then_some(device)
}

/// Authorizes the caller for an action on a user, then finds it. AWS's model has the root user
/// enable no device of its own: here it names itself by its account's id.
fn named_owner(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    name: &UserName,
) -> Result<Entity, Error> {
    let account = ctx.caller.account;
    let is_root = ctx.caller.principal == Principal::Root && name.as_str() == account.to_string();
    let is_user = identity.find(account, UniqueIdKind::User, name.as_str()).is_some();
    owner(identity, ctx, action, (!is_root || is_user).then_some(name))
}

/// The same, of the caller itself if no user is named.
fn named_or_own(
    identity: &Identity,
    ctx: &Ctx<'_>,
    action: &str,
    user: Option<&UserName>,
) -> Result<Entity, Error> {
    match user {
        Some(name) => named_owner(identity, ctx, action, name),
        None => owner(identity, ctx, action, None),
    }
}

/// The device of a user, or the refusal of one that cannot be the user's.
fn own_device(identity: &Identity, owner: Entity, serial: &SerialNumber) -> Result<Entity, Error> {
    let device = serial.may_find(identity, owner.account)?;
    if owners(identity, device).contains(&owner.id) {
        return Ok(device);
    }
    Err(Error::NoSuchEntity { noun: Noun::MfaDeviceOfUser, name: serial.0.clone() })
}

pub(crate) fn create(
    identity: &Identity,
    ctx: &Ctx<'_>,
    CreateVirtualMfaDevice { name, path, tags }: &CreateVirtualMfaDevice,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let arn = entity::arn(account, KIND, path.as_str(), name.as_str());
    let extra = request_tags(tags);
    demand(identity, ctx, "iam:CreateVirtualMFADevice", arn.as_str(), &extra)?;
    if !tags.is_empty() {
        demand(identity, ctx, "iam:TagMFADevice", arn.as_str(), &extra)?;
    }
    tag::check(tags)?;
    identity.name_is_free(account, (KIND, Noun::MfaDevice), name.as_str(), None)?;
    Quota::MfaDevicesPerAccount.allow(identity.count(account, KIND) + 1)?;
    let device = Entity { account, id: UniqueId::generate(KIND, ctx.entropy, "mfa-device-id") };
    let mut seed = vec![0; SEED_BYTES];
    ctx.entropy.fill("mfa-seed", &mut seed);
    let sealed = ctx.keys.seal(&seed_aad(device), &seed, ctx.entropy, "mfa-seed-nonce");
    let sealed = v1::MfaSeed { seed: Some(sealed.ok_or(Error::NoDataKey)?) };
    let mut writes = Writes::new(account);
    entity::create(&mut writes, device.id, ctx.now, name.as_str(), path.as_str());
    writes.put(&MFA_SEED, device.id, &sealed);
    tag::put(&mut writes, device.id, tags);
    let alias = ctx.accounts.0.get(&account).and_then(|account| account.alias.as_ref());
    let new = NewVirtualMfaDevice {
        serial: arn,
        name: name.clone(),
        account: alias.map_or_else(|| account.to_string(), ToString::to_string),
        seed: Secret::new(seed),
        tags: tags.clone(),
    };
    Ok(Outcome::written(writes, Reply::CreateVirtualMFADevice(new)))
}

pub(crate) fn enable(
    identity: &Identity,
    ctx: &Ctx<'_>,
    TwoCodes { user, serial, codes: [first, second] }: &TwoCodes,
) -> Result<Outcome, Error> {
    let owner = named_owner(identity, ctx, "iam:EnableMFADevice", user)?;
    let device = serial.may_find(identity, owner.account)?;
    check_owner(identity, owner)?;
    identity.must_be_meant(device, Noun::MfaDevice, &serial.0)?;
    let before = identity.read(&MFA_OWNER, device);
    if before.must().is_some() {
        let (noun, name) = (Noun::MfaDeviceInUse, serial.0.clone());
        return Err(Error::EntityAlreadyExists { noun, name });
    }
    if before.is_possible() {
        return Err(serial.contested());
    }
    Quota::MfaDevicesPerUser.allow(of(identity, owner).count() + 1)?;
    let used = use_codes(identity, ctx, device, ENABLE_STEPS, &[first, second]);
    let used = used.ok_or(Error::Mfa(MfaRefusal::TwoCodes))?;
    let mut writes = Writes::new(owner.account);
    writes.put(&MFA_OWNER, device.id, &v1::Text { text: owner.id.to_string() });
    let used = v1::MfaCounter { enabled_ms: ctx.now.ms(), ..synchronized(ctx, used) };
    writes.put(&MFA_COUNTER, device.id, &used);
    writes.reassert_of(identity, &MFA_SEED, device.id, "");
    writes.reassert_head(identity, device.id);
    // Root has none.
    writes.reassert_head(identity, owner.id);
    Ok(Outcome::written(writes, Reply::Done))
}

/// A counter whose last step is the device's at this time.
fn synchronized(ctx: &Ctx<'_>, used: v1::MfaCounter) -> v1::MfaCounter {
    let drift = used.last_step.cast_signed() - totp::step_at(ctx.now).cast_signed();
    v1::MfaCounter { drift, ..used }
}

pub(crate) fn resync(
    identity: &Identity,
    ctx: &Ctx<'_>,
    TwoCodes { user, serial, codes: [first, second] }: &TwoCodes,
) -> Result<Outcome, Error> {
    let owner = named_owner(identity, ctx, "iam:ResyncMFADevice", user)?;
    own_device(identity, owner, serial)?;
    let device = enabled_device(identity, owner, serial).ok_or_else(|| serial.contested())?;
    let used = use_codes(identity, ctx, device, RESYNC_STEPS, &[first, second]);
    let used = used.ok_or(Error::Mfa(MfaRefusal::TwoCodes))?;
    let mut writes = Writes::new(owner.account);
    writes.put(&MFA_COUNTER, device.id, &synchronized(ctx, used));
    Ok(Outcome::written(writes, Reply::Done))
}

/// Of a device that may be enabled for others too, their leave is needed as well.
pub(crate) fn deactivate(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OwnMfaDevice { user, serial }: &OwnMfaDevice,
) -> Result<Outcome, Error> {
    const ACTION: &str = "iam:DeactivateMFADevice";
    let account = ctx.caller.account;
    let owner = named_or_own(identity, ctx, ACTION, user.as_ref())?;
    let device = own_device(identity, owner, serial)?;
    for other in owners(identity, device) {
        if other != owner.id && other.kind() == Some(UniqueIdKind::User) {
            demand_entity(identity, ctx, ACTION, Entity { account, id: other }, Extra::new())?;
        }
    }
    let mut writes = Writes::new(account);
    writes.remove_of(&MFA_OWNER, device.id, "");
    Ok(Outcome::written(writes, Reply::Done))
}

pub(crate) fn delete(
    identity: &Identity,
    ctx: &Ctx<'_>,
    DeleteVirtualMfaDevice { serial }: &DeleteVirtualMfaDevice,
) -> Result<Outcome, Error> {
    let action = "iam:DeleteVirtualMFADevice";
    let device = serial.demand(identity, ctx, action, Extra::new())?;
    if identity.read(&MFA_OWNER, device).is_possible() {
        return Err(Error::DeleteConflict { obstacle: Obstacle::EnabledMfaDevice });
    }
    let mut writes = Writes::new(device.account);
    writes.remove_entity(identity, device.id);
    // Whoever enables it meanwhile must not read as its owner.
    writes.remove_of(&MFA_OWNER, device.id, "");
    Ok(Outcome::written(writes, Reply::Done))
}

fn show_own(identity: &Identity, owner: Entity, device: Entity) -> MfaDevice {
    let user = owner_name(identity, owner);
    MfaDevice {
        user: user.map_or_else(|| owner.account.to_string(), |user| user.to_string()),
        serial: identity.face(device).arn,
        enabled: Timestamp::from_ms(counter(identity, device).enabled_ms),
    }
}

pub(crate) fn get(
    identity: &Identity,
    ctx: &Ctx<'_>,
    OwnMfaDevice { user, serial }: &OwnMfaDevice,
) -> Result<MfaDevice, Error> {
    const ACTION: &str = "iam:GetMFADevice";
    let owner = named_or_own(identity, ctx, ACTION, user.as_ref())?;
    Ok(show_own(identity, owner, own_device(identity, owner, serial)?))
}

pub(crate) fn list(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListMfaDevices { user, page }: &ListMfaDevices,
) -> Result<Listing<MfaDevice>, Error> {
    const ACTION: &str = "iam:ListMFADevices";
    let owner = named_or_own(identity, ctx, ACTION, user.as_ref())?;
    let shown = |device: Entity| {
        let name = model::fold(&identity.face(device).name);
        (page_key(&name, device.id), show_own(identity, owner, device))
    };
    Ok(page.cut(of(identity, owner).map(shown)))
}

pub(crate) fn list_virtual(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListVirtualMfaDevices { status, page }: &ListVirtualMfaDevices,
) -> Result<Listing<VirtualMfaDevice>, Error> {
    demand(identity, ctx, "iam:ListVirtualMFADevices", "*", &Extra::new())?;
    let account = ctx.caller.account;
    let is_wanted = |(_, device): &(String, Entity)| {
        let assigned = identity.read(&MFA_OWNER, *device).is_possible();
        match status {
            AssignmentStatus::Assigned => assigned,
            AssignmentStatus::Unassigned => !assigned,
            AssignmentStatus::Any => true,
        }
    };
    let Listing { items, next } = page.cut(identity.all(account, KIND).filter(is_wanted));
    let show = |device: Entity| {
        let owner = owners(identity, device).first().copied();
        VirtualMfaDevice {
            serial: identity.face(device).arn,
            enabled: owner.map(|_| Timestamp::from_ms(counter(identity, device).enabled_ms)),
            user: owner.map(|id| match id.kind() {
                Some(UniqueIdKind::Root) => user::got_root(ctx),
                _ => GotUser::User(user::show(identity, Entity { account, id })),
            }),
        }
    };
    Ok(Listing { items: items.into_iter().map(show).collect(), next })
}

pub(crate) fn tag(
    identity: &Identity,
    ctx: &Ctx<'_>,
    AddTags { owner: serial, tags }: &AddTags<SerialNumber>,
) -> Result<Outcome, Error> {
    let device = serial.demand(identity, ctx, "iam:TagMFADevice", request_tags(tags))?;
    identity.must_be_meant(device, Noun::MfaDevice, &serial.0)?;
    tag::add_writes(identity, device, tags)
}

pub(crate) fn untag(
    identity: &Identity,
    ctx: &Ctx<'_>,
    RemoveTags { owner: serial, keys }: &RemoveTags<SerialNumber>,
) -> Result<Outcome, Error> {
    let extra = tag_keys(keys.iter().map(ToString::to_string));
    let device = serial.demand(identity, ctx, "iam:UntagMFADevice", extra)?;
    Ok(tag::remove_writes(device, keys))
}

pub(crate) fn list_tags(
    identity: &Identity,
    ctx: &Ctx<'_>,
    ListTags { owner: serial, page }: &ListTags<SerialNumber>,
) -> Result<Listing<Tag>, Error> {
    let device = serial.demand(identity, ctx, "iam:ListMFADeviceTags", Extra::new())?;
    Ok(page.cut(tag::keyed(identity, device)))
}
