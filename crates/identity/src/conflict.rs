//! The conflict inbox: what concurrent changes disagree on, and how it is settled.
//!
//! A conflict is a slot whose sides differ, a name that several entities have, or a count that a
//! merge brought over its limit. Nobody opens or closes one: it is open while the state has it.
//!
//! **Invariants.** A conflict has one id at every node: the hash of what it is about and of its
//! sides. Who settles one by its id has therefore seen its sides; with other sides it is another.
//! A choice is authorized, and relies on what must hold, as the IAM call that would write it.
//! Sealed secrets are never shown.
//!
//! **Must not know:** who watches.

mod inbox;
mod show;
mod survival;
mod ways;

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use crdt::NodeId;
use model::{AccountId, Key, Timestamp, UniqueId};
use wire::transaction::Transaction;

pub(crate) use self::inbox::Inbox;
pub use self::survival::{Fate, Survival, Written};
use self::{inbox::Subject, ways::Slot};
use crate::{
    Ctx, Error, Identity, Listing, Outcome, Page, Reply,
    field::{
        ACCESS_KEY, ACCESS_KEY_STATUS, ATTACHMENT, BOUNDARY, CREDENTIAL_STATUS, DEFAULT_VERSION,
        DESCRIPTION, HEAD, INLINE_POLICY, INSTANCE_PROFILE_ROLE, LOGIN_PROFILE,
        MAX_SESSION_DURATION, MEMBERSHIP, MFA_OWNER, MFA_SEED, NAME, OIDC_CLIENT_ID,
        OIDC_THUMBPRINTS, PASSWORD_POLICY, PATH, POLICY_VERSION, SAML_METADATA, SERVER_CERTIFICATE,
        SERVICE_CREDENTIAL, SIGNING_CERTIFICATE, SSH_PUBLIC_KEY, TAG, TRUST_POLICY,
    },
};

/// Names a conflict: 20 hexadecimal digits, equal at every node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConflictId([u8; Self::LENGTH]);

impl ConflictId {
    const LENGTH: usize = 10;
    const LEAST: Self = Self([0; Self::LENGTH]);
    const GREATEST: Self = Self([u8::MAX; Self::LENGTH]);

    fn from_hash(hash: &[u8]) -> Self {
        let mut bytes = [0; Self::LENGTH];
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConflictId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a conflict's id has 20 hexadecimal digits")]
pub struct NotAConflictId;

impl FromStr for ConflictId {
    type Err = NotAConflictId;

    fn from_str(text: &str) -> Result<Self, NotAConflictId> {
        let digits = text.len() == 2 * Self::LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits {
            return Err(NotAConflictId);
        }
        let mut bytes = [0; Self::LENGTH];
        for (index, to) in bytes.iter_mut().enumerate() {
            let pair = text.get(2 * index..2 * index + 2).ok_or(NotAConflictId)?;
            *to = u8::from_str_radix(pair, 16).map_err(|_| NotAConflictId)?;
        }
        Ok(Self(bytes))
    }
}

macro_rules! kinds {
    ($($name:ident $word:literal $(= $field:ident)?;)*) => {
        /// What concurrent changes disagree on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ConflictKind {
            $(#[doc = concat!("In words: ", $word, ".")] $name,)*
        }

        impl ConflictKind {
            /// All kinds.
            pub const ALL: [Self; [$($word),*].len()] = [$(Self::$name),*];

            /// The kind as people, metrics and programs see it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The kind of a contested field.
            fn of(tag: u16) -> Self {
                let known = [$($(($field.tag(), Self::$name),)?)*];
                let kind = known.into_iter().find(|(known, _)| *known == tag);
                kind.map_or(Self::Unknown, |(_, kind)| kind)
            }
        }
    };
}

kinds! {
    Existence "existence" = HEAD;
    Name "name" = NAME;
    Path "path" = PATH;
    Description "description" = DESCRIPTION;
    MaxSessionDuration "max_session_duration" = MAX_SESSION_DURATION;
    TrustPolicy "trust_policy" = TRUST_POLICY;
    Tag "tag" = TAG;
    InlinePolicy "inline_policy" = INLINE_POLICY;
    Membership "membership" = MEMBERSHIP;
    Attachment "attachment" = ATTACHMENT;
    PolicyVersion "policy_version" = POLICY_VERSION;
    DefaultVersion "default_version" = DEFAULT_VERSION;
    AccessKey "access_key" = ACCESS_KEY;
    AccessKeyStatus "access_key_status" = ACCESS_KEY_STATUS;
    Boundary "permissions_boundary" = BOUNDARY;
    LoginProfile "login_profile" = LOGIN_PROFILE;
    PasswordPolicy "password_policy" = PASSWORD_POLICY;
    InstanceProfileRole "instance_profile_role" = INSTANCE_PROFILE_ROLE;
    SshPublicKey "ssh_public_key" = SSH_PUBLIC_KEY;
    SigningCertificate "signing_certificate" = SIGNING_CERTIFICATE;
    ServiceCredential "service_specific_credential" = SERVICE_CREDENTIAL;
    ServerCertificate "server_certificate" = SERVER_CERTIFICATE;
    OidcClientId "oidc_client_id" = OIDC_CLIENT_ID;
    OidcThumbprints "oidc_thumbprints" = OIDC_THUMBPRINTS;
    SamlMetadata "saml_metadata" = SAML_METADATA;
    MfaSeed "mfa_seed" = MFA_SEED;
    MfaOwner "mfa_owner" = MFA_OWNER;
    CredentialStatus "credential_status" = CREDENTIAL_STATUS;
    Rivals "rivals";
    Quarantined "quarantined";
    OverLimit "over_limit";
    Unknown "unknown_field";
}

/// A conflict as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// What it is about.
    pub kind: ConflictKind,
    /// Whose field it is; of rivals the first, of who lost a name the first of them.
    pub entity: ConflictEntity,
    /// The field in words: which attachment, which tag.
    pub field: String,
    /// What was written concurrently, by ascending dot.
    pub sides: Vec<Side>,
    /// What does not count until it is settled.
    pub withheld: &'static str,
    /// How it can be settled.
    pub ways_out: Vec<WayOut>,
}

/// What a conflict is a conflict of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictEntity {
    /// What it is, such as `user`.
    pub noun: &'static str,
    /// Its name.
    pub name: String,
    /// Its ARN; an access key has its owner's.
    pub arn: String,
    /// Its unique id.
    pub id: UniqueId,
}

/// What one transaction wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The node that took the call.
    pub node: NodeId,
    /// The transaction's number there.
    pub seq: u64,
    /// Who made the call.
    pub author: UniqueId,
    /// Its ARN, if it may exist.
    pub author_arn: Option<String>,
    /// What it proved itself with, in words.
    pub credential: String,
    /// When, by the node's clock.
    pub at: Timestamp,
    /// The call.
    pub action: String,
    /// What it says, in words.
    pub value: String,
    /// The text of a policy document.
    pub document: Option<String>,
}

/// A transaction in words, for people to decide whether what it did shall be done again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Who made the call.
    pub author: UniqueId,
    /// Its ARN, if it may exist.
    pub author_arn: Option<String>,
    /// What it proved itself with, in words.
    pub credential: String,
    /// When, by the node's clock.
    pub at: Timestamp,
    /// The call.
    pub action: String,
    /// What it wrote.
    pub writes: Vec<ReviewedWrite>,
}

/// A write in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewedWrite {
    /// To whom.
    pub entity: ConflictEntity,
    /// Which field, in words.
    pub field: String,
    /// What it says, in words.
    pub value: String,
    /// The text of a policy document.
    pub document: Option<String>,
}

/// A way to settle a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayOut {
    /// What [`Resolve`] takes for it; `None` if it takes a call of one's own.
    pub choice: Option<Choice>,
    /// The actions whose rights it needs; any of them if it is a call of one's own.
    pub actions: Vec<String>,
}

/// What shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A side, from 1 as they are listed.
    Side(usize),
    /// None of them: what is contested is removed.
    Remove,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Side(number) => number.fmt(f),
            Self::Remove => f.write_str("remove"),
        }
    }
}

/// Settles a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve {
    /// Which.
    pub id: ConflictId,
    /// How.
    pub choice: Choice,
}

/// A conflict appeared, or is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConflictEvent {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub id: ConflictId,
    /// What it is about.
    pub kind: ConflictKind,
    /// What happened.
    pub change: Change,
}

/// What happened to a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is open.
    Appeared,
    /// It was settled, or has other sides and with them another id.
    Gone,
}

impl Identity {
    /// An account's open conflicts, by id, without the texts of documents.
    pub fn conflicts(&self, account: AccountId, page: &Page) -> Listing<Conflict> {
        let open = self.inbox().of(account).map(|(id, subject)| (id.to_string(), (id, subject)));
        let Listing { items, next } = page.cut(open);
        let brief = |(id, subject)| {
            let mut conflict = show::conflict(self, id, subject);
            conflict.sides.iter_mut().for_each(|side| side.document = None);
            conflict
        };
        Listing { items: items.into_iter().map(brief).collect(), next }
    }

    /// An open conflict of an account.
    ///
    /// # Errors
    /// [`Error::NoSuchConflict`].
    pub fn conflict(&self, account: AccountId, id: ConflictId) -> Result<Conflict, Error> {
        let subject = self.inbox().find(account, id).ok_or(Error::NoSuchConflict { id })?;
        Ok(show::conflict(self, id, subject))
    }

    /// What a transaction says, with the names that this state knows. A write that this version
    /// cannot place is left out.
    pub fn review(&self, transaction: &Transaction) -> Review {
        show::review(self, transaction)
    }

    /// How many conflicts are open, by kind.
    pub fn conflict_counts(&self) -> BTreeMap<ConflictKind, u64> {
        self.inbox().count()
    }
}

/// Writes the chosen side, as it is, in a transaction that has seen all of them. Whoever calls has
/// been authorized to settle conflicts; the right to write this one is asked for here.
pub(crate) fn resolve(
    identity: &Identity,
    ctx: &Ctx<'_>,
    Resolve { id, choice }: &Resolve,
) -> Result<Outcome, Error> {
    let account = ctx.caller.account;
    let subject = identity.inbox().find(account, *id).ok_or(Error::NoSuchConflict { id: *id })?;
    let ways_out = || {
        let actions = show::ways_out(identity, subject).into_iter().flat_map(|way| way.actions);
        Error::NotSettledByChoice { actions: actions.collect() }
    };
    let Subject::Slot(key) = subject else { return Err(ways_out()) };
    let value = chosen(identity, key, *choice)?;
    let way = ways::way(identity, &Slot::of(key), value.as_deref()).ok_or_else(ways_out)?;
    let writes = ways::writes(identity, ctx, key, way, value)?;
    Ok(Outcome::Write { writes, reply: Reply::Done })
}

/// The bytes that a choice leaves in a slot.
fn chosen(identity: &Identity, key: &Key, choice: Choice) -> Result<Option<Arc<[u8]>>, Error> {
    let siblings = identity.slot(&key.to_bytes());
    match choice {
        Choice::Remove => Ok(None),
        Choice::Side(number) => {
            let side = number.checked_sub(1).and_then(|index| siblings.get(index));
            let missing = Error::NoSuchSide { number, sides: siblings.len() };
            side.map(|side| side.value.clone()).ok_or(missing)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_twenty_hexadecimal_digits() {
        let text = "00ff10203040506070a0";
        assert_eq!(text.parse::<ConflictId>().map(|id| id.to_string()), Ok(text.to_owned()));
        for bad in
            ["", "00", "00ff10203040506070a", "00ff10203040506070a00", "+0ff10203040506070a0"]
        {
            assert_eq!(bad.parse::<ConflictId>(), Err(NotAConflictId), "{bad}");
        }
        assert_eq!("00ff1020304050607ä0".parse::<ConflictId>(), Err(NotAConflictId));
    }

    #[test]
    fn words_of_kinds_differ() {
        let words: std::collections::BTreeSet<_> = ConflictKind::ALL.map(ConflictKind::word).into();
        assert_eq!(words.len(), ConflictKind::ALL.len());
    }
}
