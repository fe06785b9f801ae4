//! Who calls, and what a request says of itself.
//!
//! **Invariants.** The context keys that are derived from the caller cannot be set by a request.
//! Root may do everything in its account. A principal that is deleted, even contestedly, has a
//! rival for its name, or lost it, may do nothing.
//!
//! **Must not know:** how a caller proved itself.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use model::{AccountAlias, AccountId, Arn, Author, Credential, Entropy, Timestamp, UniqueId, fold};
use policy::{Context, Document};

use crate::{
    Error, Identity, KeyRing,
    credential::find_key,
    entity::Entity,
    field::{NAME, TAG},
    second_factor::{self, Presence, SecondFactor, presence},
    tag::Tag,
    web_identity::insert_federation,
};

/// A principal of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// The root user.
    Root,
    /// A user.
    User(UniqueId),
    /// A role, in a session.
    Role(UniqueId),
}

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// A role session's or federated user's name; empty for a session of `GetSessionToken`.
    pub name: String,
    /// Session policies, parsed; one that cannot be read is one that denies everything.
    pub policies: Vec<Arc<Document>>,
    /// Managed policies that limit the session as well, by unique id: one made later under the
    /// same name is another.
    pub policy_ids: Vec<UniqueId>,
    /// The access key that a session of `GetSessionToken` or `GetFederationToken` was made with,
    /// and ends with.
    pub parent_key: Option<UniqueId>,
    /// Session tags, which come before the principal's own.
    pub tags: Vec<Tag>,
    /// When STS issued it.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// Who started the chain of sessions, as it said itself; empty if it did not.
    pub source_identity: String,
    /// The second factor that it was made with.
    pub second_factor: Option<SecondFactor>,
    /// Who vouches for whom the session is, if an identity provider does.
    pub federation: Option<Box<Federation>>,
}

/// What an identity provider says of whom it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    /// The provider's ARN.
    pub provider: String,
    /// What conditions see of the subject, such as `idp.example.com:sub`.
    pub keys: Vec<(String, Vec<String>)>,
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its account.
    pub account: AccountId,
    /// Who it is there.
    pub principal: Principal,
    /// What it proved itself with.
    pub credential: Credential,
    /// Its session; a role always has one.
    pub session: Option<Session>,
}

/// What is known of a request besides its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// Where it came from; a condition on an address that is not known is unknown.
    pub source_ip: Option<IpAddr>,
    /// Whether it came over TLS.
    pub secure_transport: bool,
    /// The region of its credential scope; empty if it names none.
    pub region: String,
    /// Its user agent; empty if it names none.
    pub user_agent: String,
}

/// What the control plane knows of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// When it was created.
    pub created: Timestamp,
    /// Its alias.
    pub alias: Option<AccountAlias>,
}

/// All accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts(pub BTreeMap<AccountId, AccountInfo>);

/// What a call takes besides its parameters and the state.
#[derive(Clone, Copy, Debug)]
pub struct Ctx<'a> {
    /// The time.
    pub now: Timestamp,
    /// All that is random in the call.
    pub entropy: &'a Entropy,
    /// Who calls.
    pub caller: &'a Caller,
    /// The request.
    pub request: &'a RequestContext,
    /// Data keys; empty at a read replica.
    pub keys: &'a KeyRing,
    /// The control plane's part.
    pub accounts: &'a Accounts,
}

impl Caller {
    /// The author of a transaction that this caller makes.
    pub fn author(&self) -> Author {
        Author { principal: self.unique_id(), credential: self.credential.clone() }
    }

    /// The principal's unique id.
    pub fn unique_id(&self) -> UniqueId {
        match self.principal {
            Principal::Root => UniqueId::root(self.account),
            Principal::User(id) | Principal::Role(id) => id,
        }
    }

    /// The name of a federated user: a session of a user or of root that `GetFederationToken` made.
    pub(crate) fn federated_name(&self) -> Option<&str> {
        match self.principal {
            Principal::Root | Principal::User(_) => {
                let session = self.session.as_ref().filter(|session| !session.name.is_empty());
                session.map(|session| session.name.as_str())
            }
            Principal::Role(_) => None,
        }
    }

    /// What AWS calls the user id: the account for root, `AROA…:SESSION` for a role,
    /// `ACCOUNT:NAME` for a federated user.
    pub fn user_id(&self) -> String {
        if let Some(name) = self.federated_name() {
            return format!("{}:{name}", self.account);
        }
        match (self.principal, &self.session) {
            (Principal::Root, _) => self.account.to_string(),
            (Principal::Role(id), Some(session)) => format!("{id}:{}", session.name),
            (Principal::User(id) | Principal::Role(id), _) => id.to_string(),
        }
    }

    /// The user or role; root is no entity.
    pub(crate) fn entity(&self) -> Option<Entity> {
        match self.principal {
            Principal::Root => None,
            Principal::User(id) | Principal::Role(id) => Some(Entity { account: self.account, id }),
        }
    }

    /// The ARN as AWS shows it: for a role, the session's; for a federated user, its own.
    pub fn arn(&self, identity: &Identity) -> Arn {
        if let Some(name) = self.federated_name() {
            return federated_user_arn(self.account, name);
        }
        match (self.entity(), self.principal, &self.session) {
            (None, _, _) => Arn::iam(self.account, "root"),
            (Some(entity), Principal::Role(_), Some(session)) => {
                let role = identity.face(entity).name;
                Arn::sts(self.account, format_args!("assumed-role/{role}/{}", session.name))
            }
            (Some(entity), _, _) => identity.face(entity).arn,
        }
    }

    /// Refuses a principal that must not act, and an access key, be it the caller's or that which
    /// its session was made with, that may not be used. A call can wait between the moment its
    /// signature was checked and this one.
    pub(crate) fn check_can_act(&self, identity: &Identity) -> Result<(), Error> {
        let principal = self.entity().is_none_or(|entity| identity.can_act(entity));
        if principal && self.has_usable_key(identity) {
            Ok(())
        } else {
            Err(Error::InvalidClientTokenId)
        }
    }

    /// Whether the access key that the caller, or its session, depends on is usable and is the
    /// principal's. Role sessions, certificates and nodes depend on none.
    pub(crate) fn has_usable_key(&self, identity: &Identity) -> bool {
        let key = match &self.credential {
            Credential::AccessKey(key) => Some(*key),
            Credential::Session { .. } | Credential::Certificate(_) | Credential::Node(_) => {
                self.session.as_ref().and_then(|session| session.parent_key)
            }
        };
        key.is_none_or(|key| {
            let found = find_key(identity, key.as_str()).and_then(|found| found.caller());
            found.is_some_and(|owner| {
                (owner.account, owner.principal) == (self.account, self.principal)
            })
        })
    }

    /// Refuses what a session of `GetSessionToken` or `GetFederationToken` cannot do, whatever
    /// policies say. AWS: "Permissions for GetSessionToken": nothing of IAM unless it was made with
    /// MFA, and of STS only `AssumeRole` and `GetCallerIdentity`. "Permissions for
    /// GetFederationToken": not `AssumeRole` either.
    pub(crate) fn check_may_call(&self, identity: &Identity, action: &str) -> Result<(), Error> {
        let session = match self.principal {
            Principal::Root | Principal::User(_) => self.session.as_ref(),
            Principal::Role(_) => None,
        };
        let Some(session) = session else { return Ok(()) };
        let factor = presence(identity, session.second_factor.as_ref());
        let (may, maker) = match (self.federated_name(), factor) {
            (Some(_), _) => (is_for_federated(action), "GetFederationToken"),
            (None, Presence::Present(_)) => (is_for_proven(action), "GetSessionToken"),
            (None, Presence::Absent | Presence::Unknown) => {
                (is_for_temporary(action), "GetSessionToken")
            }
        };
        if !may {
            let message = format!("Cannot call {action} with session credentials of {maker}");
            return Err(Error::AccessDenied { message: message.into() });
        }
        Ok(())
    }
}

/// The ARN of a federated user.
pub(crate) fn federated_user_arn(account: AccountId, name: &str) -> Arn {
    Arn::sts(account, format_args!("federated-user/{name}"))
}

/// Whether a federated user can do an action, as far as policies let it.
fn is_for_federated(action: &str) -> bool {
    is_for_temporary(action) && fold(action) != "sts:assumerole"
}

/// Whether a session of `GetSessionToken` that has a second factor can do an action.
pub(crate) fn is_for_proven(action: &str) -> bool {
    is_for_temporary(action) || fold(action).starts_with("iam:")
}

/// Whether a session of `GetSessionToken` can do an action, as far as policies let it.
pub(crate) fn is_for_temporary(action: &str) -> bool {
    match fold(action).split_once(':') {
        Some(("iam", _)) | None => false,
        Some(("sts", name)) => matches!(name, "assumerole" | "getcalleridentity"),
        Some(_) => true,
    }
}

/// The context keys of a request. AWS: "AWS global condition context keys".
pub(crate) fn request_context(request: &RequestContext, now: Timestamp) -> Context {
    let RequestContext { source_ip, secure_transport, region, user_agent } = request;
    let mut context = Context::new();
    match source_ip {
        Some(ip) => context.insert("aws:SourceIp", ip.to_string()),
        None => context.insert_unknown("aws:SourceIp"),
    }
    context.insert("aws:SecureTransport", secure_transport.to_string());
    // AWS: set for every call; no service calls on behalf of others here.
    context.insert("aws:ViaAWSService", "false");
    for (key, text) in [("aws:RequestedRegion", region), ("aws:UserAgent", user_agent)] {
        if !text.is_empty() {
            context.insert(key, text);
        }
    }
    insert_time(&mut context, now);
    context
}

/// When a session was issued; the key is there for sessions only.
pub(crate) const ISSUED: &str = "aws:TokenIssueTime";

/// The identity provider that vouches for whom a session is; the key is there for no others.
pub(crate) const FEDERATED_PROVIDER: &str = "aws:FederatedProvider";

/// The context keys of the time.
pub(crate) fn insert_time(context: &mut Context, now: Timestamp) {
    context.insert("aws:CurrentTime", now.to_string());
    context.insert("aws:EpochTime", now.secs().to_string());
}

/// The context keys that every principal of an account has.
pub(crate) fn insert_kind(context: &mut Context, account: AccountId, kind: &str) {
    context.insert("aws:PrincipalAccount", account.to_string());
    context.insert("aws:PrincipalType", kind);
    context.insert("aws:PrincipalIsAWSService", "false");
}

/// The context keys of the caller. Those of a second factor that the call itself brought stand.
pub(crate) fn insert_principal(
    context: &mut Context,
    identity: &Identity,
    caller: &Caller,
    now: Timestamp,
) {
    context.insert("aws:userid", caller.user_id());
    let kind = match (caller.federated_name(), caller.principal) {
        (Some(_), _) => "FederatedUser",
        (None, Principal::Root) => "Account",
        (None, Principal::User(_)) => "User",
        (None, Principal::Role(_)) => "AssumedRole",
    };
    insert_kind(context, caller.account, kind);
    match (caller.federated_name(), caller.entity()) {
        (None, None) => {
            context.insert("aws:PrincipalArn", Arn::iam(caller.account, "root").to_string());
        }
        (None, Some(entity)) => insert_entity(context, identity, entity, caller.principal),
        // AWS: "Where you can use policy variables": a federated user has no `aws:username`. It has
        // the tags of the user.
        (Some(name), entity) => {
            let arn = federated_user_arn(caller.account, name);
            context.insert("aws:PrincipalArn", arn.to_string());
            if let Some(entity) = entity {
                insert_tags(context, identity, entity, "aws:PrincipalTag/");
            }
        }
    }
    if let Some(session) = &caller.session {
        let Session { issued, tags, source_identity, second_factor, federation, .. } = session;
        context.insert(ISSUED, issued.to_string());
        let factor = presence(identity, second_factor.as_ref());
        second_factor::insert(context, factor, now);
        if !source_identity.is_empty() {
            context.insert("aws:SourceIdentity", source_identity);
        }
        for Tag { key, value } in tags {
            context.insert(&format!("aws:PrincipalTag/{key}"), value.as_str());
        }
        if let Some(federation) = federation {
            let Federation { provider, keys } = &**federation;
            insert_federation(context, provider, keys);
        }
    }
}

fn insert_entity(context: &mut Context, identity: &Identity, entity: Entity, principal: Principal) {
    match identity.arns(entity).as_slice() {
        [arn] => context.insert("aws:PrincipalArn", arn.to_string()),
        _ => context.insert_unknown("aws:PrincipalArn"),
    }
    if let Principal::User(_) = principal {
        match identity.read(&NAME, entity).must() {
            Some(name) => context.insert("aws:username", &name.text),
            None => context.insert_unknown("aws:username"),
        }
    }
    insert_tags(context, identity, entity, "aws:PrincipalTag/");
}

/// The context keys `PREFIX KEY` of an entity's tags; a contested tag is unknown.
pub(crate) fn insert_tags(
    context: &mut Context,
    identity: &Identity,
    entity: Entity,
    prefix: &str,
) {
    for (fold, tag) in identity.read_all(&TAG, entity) {
        match tag.must() {
            Some(tag) => context.insert(&format!("{prefix}{}", tag.key), &tag.value),
            None => context.insert_unknown(&format!("{prefix}{fold}")),
        }
    }
}
