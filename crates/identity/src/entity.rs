//! What users, groups, roles, instance profiles, server certificates, identity providers and
//! managed policies have in common: a head, a name, a path, an ARN.
//!
//! **Invariants.** A name is looked up among all that may have it. Listings hide nothing that may
//! exist, so that it can be removed; what is *used* must exist.
//!
//! Two live entities of a kind can come to have one name, made at two nodes at once: they are
//! rivals. Both stay listed, and a look-up gives the one whose name has the least dot. Until the
//! control plane has decided whose the name is, or one of them is deleted or renamed, users and
//! roles that have a rival are refused as principals, and no call that gives something relies on
//! the name: it can only be taken from, renamed and deleted. Once it has decided, that holds for
//! whoever lost the name; its holder is what the name names (`claims.rs`).
//!
//! **Must not know:** what the nouns have besides.

use std::{fmt, str::FromStr};

use model::{
    AccountId, Arn, Constraint, GroupName, InstanceProfileName, OidcProviderName, Path, RoleName,
    SamlProviderName, ServerCertificateName, Timestamp, UniqueId, UniqueIdKind, UserName, fold,
};
use wire::v1;

use crate::{
    Error, Identity, NameKey, Noun, Page, Quota, Read,
    field::{HEAD, NAME, PATH},
    read::read,
    state::Writes,
};

/// One entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entity {
    pub(crate) account: AccountId,
    pub(crate) id: UniqueId,
}

/// The name of a user, group, role, instance profile, server certificate or identity provider,
/// which tells what it names.
pub trait EntityName: Clone + fmt::Debug + fmt::Display + FromStr<Err = Constraint> {
    /// The kind of its unique id.
    const KIND: UniqueIdKind;
    /// What errors call it.
    const NOUN: Noun;
    /// The word in the names of actions, such as `AttachUserPolicy`.
    const WORD: &'static str;
}

/// The name of what has policies: a user, group or role.
pub trait PolicyOwner: EntityName {
    /// What errors call its inline policies.
    const INLINE_NOUN: Noun;
    /// How many managed policies may be attached to it.
    const ATTACHED_QUOTA: Quota;
    /// How long its inline policies may be together.
    const INLINE_QUOTA: Quota;
}

impl EntityName for UserName {
    const KIND: UniqueIdKind = UniqueIdKind::User;
    const NOUN: Noun = Noun::User;
    const WORD: &'static str = "User";
}

impl PolicyOwner for UserName {
    const INLINE_NOUN: Noun = Noun::UserPolicy;
    const ATTACHED_QUOTA: Quota = Quota::PoliciesPerUser;
    const INLINE_QUOTA: Quota = Quota::UserInlineSize;
}

impl EntityName for GroupName {
    const KIND: UniqueIdKind = UniqueIdKind::Group;
    const NOUN: Noun = Noun::Group;
    const WORD: &'static str = "Group";
}

impl PolicyOwner for GroupName {
    const INLINE_NOUN: Noun = Noun::GroupPolicy;
    const ATTACHED_QUOTA: Quota = Quota::PoliciesPerGroup;
    const INLINE_QUOTA: Quota = Quota::GroupInlineSize;
}

impl EntityName for RoleName {
    const KIND: UniqueIdKind = UniqueIdKind::Role;
    const NOUN: Noun = Noun::Role;
    const WORD: &'static str = "Role";
}

impl PolicyOwner for RoleName {
    const INLINE_NOUN: Noun = Noun::RolePolicy;
    const ATTACHED_QUOTA: Quota = Quota::PoliciesPerRole;
    const INLINE_QUOTA: Quota = Quota::RoleInlineSize;
}

impl EntityName for ServerCertificateName {
    const KIND: UniqueIdKind = UniqueIdKind::ServerCertificate;
    const NOUN: Noun = Noun::ServerCertificate;
    const WORD: &'static str = "ServerCertificate";
}

impl EntityName for OidcProviderName {
    const KIND: UniqueIdKind = UniqueIdKind::OidcProvider;
    const NOUN: Noun = Noun::OidcProvider;
    const WORD: &'static str = "OpenIDConnectProvider";
}

impl EntityName for SamlProviderName {
    const KIND: UniqueIdKind = UniqueIdKind::SamlProvider;
    const NOUN: Noun = Noun::SamlProvider;
    const WORD: &'static str = "SAMLProvider";
}

impl EntityName for InstanceProfileName {
    const KIND: UniqueIdKind = UniqueIdKind::InstanceProfile;
    const NOUN: Noun = Noun::InstanceProfile;
    const WORD: &'static str = "InstanceProfile";
}

/// The ARN of an entity with this kind, path and name.
pub(crate) fn arn(account: AccountId, kind: UniqueIdKind, path: &str, name: &str) -> Arn {
    Arn::iam(account, format_args!("{}{path}{name}", arn_word(kind)))
}

/// What stands before the path in an ARN.
pub(crate) fn arn_word(kind: UniqueIdKind) -> &'static str {
    match kind {
        UniqueIdKind::User => "user",
        UniqueIdKind::Group => "group",
        UniqueIdKind::Role => "role",
        UniqueIdKind::Policy => "policy",
        UniqueIdKind::InstanceProfile => "instance-profile",
        UniqueIdKind::ServerCertificate => "server-certificate",
        UniqueIdKind::OidcProvider => "oidc-provider",
        UniqueIdKind::SamlProvider => "saml-provider",
        UniqueIdKind::MfaDevice => "mfa",
        UniqueIdKind::Root => "root",
        UniqueIdKind::AccessKey | UniqueIdKind::SessionKey => "access-key",
    }
}

/// What every entity shows.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) id: UniqueId,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) arn: Arn,
    pub(crate) created: Timestamp,
}

impl Face {
    /// The name as its type. A name from a newer node may not parse; the unique id always does.
    pub(crate) fn typed_name<N: FromStr<Err = Constraint>>(&self) -> N {
        let id = || self.id.as_str().parse().ok();
        self.name.parse().ok().or_else(id).expect("a unique id satisfies every name's pattern")
    }

    /// The path as its type.
    pub(crate) fn typed_path<P: FromStr<Err = Constraint>>(&self) -> P {
        let root = || "/".parse().ok();
        self.path.parse().ok().or_else(root).expect("`/` is a path of every kind")
    }
}

impl Identity {
    /// The entity to show for a name: its confirmed holder, else one that must exist before one
    /// that may, then by the least dot. One that must not be relied on is found by its unique id as
    /// well, before any that is called so: people take it apart, rename or delete it.
    pub(crate) fn find(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        name: &str,
    ) -> Option<Entity> {
        let by_id = self.find_rival(account, kind, name);
        by_id.or_else(|| self.find_among(account, kind, name, |_| true))
    }

    /// The entity of a unique id, if it may exist and must not be relied on.
    pub(crate) fn find_rival(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        id: &str,
    ) -> Option<Entity> {
        let id: UniqueId = id.parse().ok().filter(|id: &UniqueId| id.kind() == Some(kind))?;
        let entity = Entity { account, id };
        let found = self.read(&HEAD, entity).is_possible() && self.has_rival(entity);
        found.then_some(entity)
    }

    /// The entity of an ARN, of which `name` is the last part, as [`Identity::find`] has it. Names
    /// are unique without their path, but an ARN with another path names nobody; of rivals at two
    /// paths each is found by its own.
    pub(crate) fn find_by_arn(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        name: &str,
        arn: &Arn,
    ) -> Option<Entity> {
        self.find_among(account, kind, name, |entity| self.arns(*entity).contains(arn))
    }

    /// The entity that may have this very name, letter case included, as an ARN without a path has
    /// it. ARNs are compared with case: a deny that names `assumed-role/OPS/me`, once it was bound
    /// to the role `ops`, would look effective and never apply.
    pub(crate) fn find_by_spelling(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        name: &str,
    ) -> Option<Entity> {
        let spelled = |entity: &Entity| self.read(&NAME, *entity).may().any(|n| n.text == name);
        self.find_among(account, kind, name, spelled)
    }

    fn find_among(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
        name: &str,
        wanted: impl Fn(&Entity) -> bool,
    ) -> Option<Entity> {
        let dot = |entity: &Entity| {
            let siblings = self.slot(&NAME.key(entity.account, entity.id));
            siblings.iter().map(|s| (s.dot.actor, s.dot.counter)).min()
        };
        let key = NameKey { account, kind, fold: fold(name).into() };
        let mut found = self
            .index()
            .named(account, kind, &key.fold)
            .map(|id| Entity { account, id })
            .filter(|entity| self.read(&HEAD, *entity).is_possible() && wanted(entity));
        let (Some(first), second) = (found.next(), found.next()) else { return None };
        let Some(second) = second else { return Some(first) };
        let holder = self.holder(&key);
        [first, second].into_iter().chain(found).min_by_key(|entity| {
            let uncertain = self.read(&HEAD, *entity).must().is_none();
            (holder != Some(entity.id), uncertain, dot(entity))
        })
    }

    /// The entity of a name, if it may exist.
    pub(crate) fn may_find<N: EntityName>(
        &self,
        account: AccountId,
        name: &N,
    ) -> Result<Entity, Error> {
        let text = name.to_string();
        let found = self.find(account, N::KIND, &text);
        found.ok_or(Error::NoSuchEntity { noun: N::NOUN, name: text })
    }

    /// The entity of a name, if it must exist and has no rival.
    pub(crate) fn must_find<N: EntityName>(
        &self,
        account: AccountId,
        name: &N,
    ) -> Result<Entity, Error> {
        let entity = self.may_find(account, name)?;
        self.must_be_meant(entity, N::NOUN, &name.to_string())?;
        Ok(entity)
    }

    /// Refuses an entity that must not be relied on by its name: one whose existence is contested,
    /// or that has a rival. What is given to it, or made its limit, could else be another's: who
    /// races the making of a policy would choose what an administrator attaches.
    pub(crate) fn must_be_meant(
        &self,
        entity: Entity,
        noun: Noun,
        name: &str,
    ) -> Result<(), Error> {
        self.must_exist(entity, noun, name)?;
        if self.has_rival(entity) {
            return Err(Error::ConcurrentModification { noun, name: name.to_owned() });
        }
        Ok(())
    }

    /// Refuses an entity whose existence is contested: it can only be taken apart and deleted.
    pub(crate) fn must_exist(&self, entity: Entity, noun: Noun, name: &str) -> Result<(), Error> {
        let contested = Error::ConcurrentModification { noun, name: name.to_owned() };
        self.read(&HEAD, entity).must().map(|_| ()).ok_or(contested)
    }

    /// Refuses a name that another entity may have, or is known to have that has not come yet.
    pub(crate) fn name_is_free(
        &self,
        account: AccountId,
        (kind, noun): (UniqueIdKind, Noun),
        name: &str,
        except: Option<Entity>,
    ) -> Result<(), Error> {
        let taken = self
            .index()
            .named(account, kind, &fold(name))
            .map(|id| Entity { account, id })
            .any(|entity| Some(entity) != except && self.read(&HEAD, entity).is_possible());
        let name_key = NameKey { account, kind, fold: fold(name).into() };
        if taken || self.is_held_elsewhere(&name_key) {
            return Err(Error::EntityAlreadyExists { noun, name: name.to_owned() });
        }
        Ok(())
    }

    /// All entities of a kind that may exist, by page key.
    pub(crate) fn all(
        &self,
        account: AccountId,
        kind: UniqueIdKind,
    ) -> impl Iterator<Item = (String, Entity)> {
        self.index().heads(account, kind).map(move |id| {
            let entity = Entity { account, id };
            (page_key(&fold(&self.face(entity).name), id), entity)
        })
    }

    /// How many entities of a kind may exist.
    pub(crate) fn count(&self, account: AccountId, kind: UniqueIdKind) -> usize {
        self.index().heads(account, kind).len()
    }

    /// What an entity shows.
    pub(crate) fn face(&self, entity: Entity) -> Face {
        let Entity { account, id } = entity;
        let text = |read: Read<v1::Text>| read.shown().map(|text| text.text.clone());
        let name = text(self.read(&NAME, entity)).unwrap_or_else(|| id.to_string());
        let path = text(self.read(&PATH, entity)).unwrap_or_else(|| "/".to_owned());
        let kind = id.kind().unwrap_or(UniqueIdKind::User);
        let created = self.read(&HEAD, entity).shown().map_or(0, |head| head.created_ms);
        let arn = arn(account, kind, &path, &name);
        Face { id, name, path, arn, created: Timestamp::from_ms(created) }
    }

    /// Every ARN that an entity may have: one, unless its name or path is contested.
    pub(crate) fn arns(&self, entity: Entity) -> Vec<Arn> {
        let Entity { account, id } = entity;
        let (names, paths) = (self.read(&NAME, entity), self.read(&PATH, entity));
        let kind = id.kind().unwrap_or(UniqueIdKind::User);
        let mut arns: Vec<Arn> = names
            .may()
            .flat_map(|name| paths.may().map(|path| arn(account, kind, &path.text, &name.text)))
            .collect();
        if arns.is_empty() {
            arns.push(self.face(entity).arn);
        }
        arns
    }

    /// Whether a user or role can act, and a group or policy gives what it allows: it must exist
    /// and have no rival.
    pub(crate) fn can_act(&self, entity: Entity) -> bool {
        self.read(&HEAD, entity).must().is_some() && !self.has_rival(entity)
    }

    /// Whether an entity must exist, or must if nobody's right to make it is doubted: who takes its
    /// name would not have got it afterwards.
    pub(crate) fn was_made(&self, Entity { account, id }: Entity) -> bool {
        let key = HEAD.key(account, id);
        [self.slot(&key), self.state().get(&key)]
            .into_iter()
            .any(|siblings| read::<v1::Head, _>(siblings).must().is_some())
    }
}

/// Orders as folded names do (a space is less than every character of a name), and tells rivals
/// apart.
pub(crate) fn page_key(fold: &str, id: UniqueId) -> String {
    format!("{fold} {id}")
}

/// Starts an entity: its head, name and path.
pub(crate) fn create(writes: &mut Writes, id: UniqueId, now: Timestamp, name: &str, path: &str) {
    writes.put(&HEAD, id, &v1::Head { created_ms: now.ms() });
    writes.put(&NAME, id, &v1::Text { text: name.to_owned() });
    writes.put(&PATH, id, &v1::Text { text: path.to_owned() });
}

/// A listing of entities of one kind whose path begins with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListByPath {
    /// The prefix, `/` for all.
    pub path_prefix: PathPrefix,
    /// Which part.
    pub page: Page,
}

/// The beginning of a path: 1–512 characters, the first `/`. AWS: `pathPrefixType`, which takes
/// U+007F although no path has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Whether a path begins with it.
    pub(crate) fn covers(&self, path: &str) -> bool {
        path.starts_with(&self.0)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PathPrefix {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl FromStr for PathPrefix {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        if text.is_empty() {
            return Err(Constraint::MinLength(1));
        }
        if text.chars().count() > 512 {
            return Err(Constraint::MaxLength(512));
        }
        let ok = text.starts_with('/') && text.bytes().all(|b| (0x21..=0x7f).contains(&b));
        ok.then(|| Self(text.to_owned())).ok_or(Constraint::Pattern(r"\u002F[\u0021-\u007F]*"))
    }
}

/// New name and path; what is `None` stays. AWS: `UpdateUser`, `UpdateGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename<N> {
    /// Which entity.
    pub name: N,
    /// Its new name.
    pub new_name: Option<N>,
    /// Its new path.
    pub new_path: Option<Path>,
}
