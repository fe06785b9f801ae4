//! What clients ask for: a few kinds of command on a few names, so that they get in each other's
//! way.
//!
//! **Invariants.** Equal calls give equal inputs.
//!
//! **Must not know:** which node is asked.

use identity::{
    Accounts, Caller, Command, Ctx, Identity, KeyRing, Page, PathPrefix, Principal, Query,
    RequestContext, access_key, attachment, group, policy::PolicyArn, tag, user,
};
use model::{AccountId, Credential, Entropy, GroupName, Timestamp, UserName};
use node::{Execute, Input};

use crate::rng::Rng;

/// The account that all commands are about.
pub const ACCOUNT: u64 = 123_456_789_012;
/// Names of each kind.
pub const NAMES: u64 = 4;
/// Tags that make a transaction long, and the length of each one's value.
const TAGS: u64 = 50;
const TAG_CHARS: usize = 250;

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    kind: Kind,
    user: u64,
    group: u64,
    random: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    CreateUser,
    DeleteUser,
    CreateGroup,
    DeleteGroup,
    AddUserToGroup,
    RemoveUserFromGroup,
    CreateAccessKey,
    AttachUserPolicy,
    DetachUserPolicy,
    AttachGroupPolicy,
    RootKey,
}

impl Call {
    /// Some call.
    pub fn some(rng: &mut Rng) -> Self {
        let kind = match rng.below(20) {
            0..5 => Kind::CreateUser,
            5 | 6 => Kind::DeleteUser,
            7 | 8 => Kind::CreateGroup,
            9 => Kind::DeleteGroup,
            10 | 11 => Kind::AddUserToGroup,
            12 => Kind::RemoveUserFromGroup,
            13 | 14 => Kind::CreateAccessKey,
            15 | 16 => Kind::AttachUserPolicy,
            17 => Kind::DetachUserPolicy,
            18 => Kind::AttachGroupPolicy,
            _ => Kind::RootKey,
        };
        Self { kind, user: rng.below(NAMES), group: rng.below(NAMES), random: rng.number() }
    }

    /// The input that makes the call.
    pub fn input(&self, ticket: u64) -> Input {
        let user = format!("user{}", self.user).parse().expect("it is a name");
        let group = format!("group{}", self.group).parse().expect("it is a name");
        let path = || "/".parse().expect("it is a path");
        let command = match self.kind {
            Kind::CreateUser => {
                let create =
                    user::CreateUser { name: user, path: path(), tags: Vec::new(), boundary: None };
                Command::CreateUser(create)
            }
            Kind::DeleteUser => Command::DeleteUser(user::DeleteUser { name: user }),
            Kind::CreateGroup => {
                let path = "/".parse().expect("it is a path");
                Command::CreateGroup(group::CreateGroup { name: group, path })
            }
            Kind::DeleteGroup => Command::DeleteGroup(group::DeleteGroup { name: group }),
            Kind::AddUserToGroup => Command::AddUserToGroup(group::Membership { group, user }),
            Kind::RemoveUserFromGroup => {
                Command::RemoveUserFromGroup(group::Membership { group, user })
            }
            Kind::CreateAccessKey => {
                Command::CreateAccessKey(access_key::CreateAccessKey { user: Some(user) })
            }
            Kind::AttachUserPolicy => {
                Command::AttachUserPolicy(attachment::Edge { owner: user, policy: policy() })
            }
            Kind::DetachUserPolicy => {
                Command::DetachUserPolicy(attachment::Edge { owner: user, policy: policy() })
            }
            Kind::AttachGroupPolicy => {
                Command::AttachGroupPolicy(attachment::Edge { owner: group, policy: policy() })
            }
            Kind::RootKey => {
                return Input::RootKey {
                    ticket,
                    account: account(),
                    entropy: entropy(self.random),
                    request_id: format!("request-{ticket}"),
                };
            }
        };
        execute(ticket, command, self.random)
    }
}

/// Creates a user with as many tags as there may be: a transaction of about 15 kB.
pub fn long(ticket: u64, random: u64) -> Input {
    let tag = |number: u64| tag::Tag {
        key: format!("key{number}").parse().expect("it is a key"),
        value: "v".repeat(TAG_CHARS).parse().expect("it is a value"),
    };
    let create = user::CreateUser {
        name: format!("long{random:x}").parse().expect("it is a name"),
        path: "/".parse().expect("it is a path"),
        tags: (0..TAGS).map(tag).collect(),
        boundary: None,
    };
    execute(ticket, Command::CreateUser(create), random)
}

/// What may be asked about the names that calls use.
pub fn questions() -> Vec<Query> {
    let of_name = |number: u64| {
        let user: UserName = format!("user{number}").parse().expect("it is a name");
        let group: GroupName = format!("group{number}").parse().expect("it is a name");
        let page = Page::default;
        [
            Query::GetUser(user::GetUser { name: Some(user.clone()) }),
            Query::ListGroupsForUser(group::ListGroupsForUser { user: user.clone(), page: page() }),
            Query::ListAttachedUserPolicies(attachment::ListAttached {
                owner: user.clone(),
                path_prefix: PathPrefix::default(),
                page: page(),
            }),
            Query::ListAccessKeys(access_key::ListAccessKeys { user: Some(user), page: page() }),
            Query::ListAttachedGroupPolicies(attachment::ListAttached {
                owner: group.clone(),
                path_prefix: PathPrefix::default(),
                page: page(),
            }),
            Query::GetGroup(group::GetGroup { name: group, page: page() }),
        ]
    };
    (0..NAMES).flat_map(of_name).collect()
}

/// What a store answers to a question, in words.
pub fn answer(identity: &Identity, question: &Query) -> String {
    let ctx = Ctx {
        now: Timestamp::default(),
        entropy: &entropy(0),
        caller: &root(),
        request: &RequestContext::default(),
        keys: &KeyRing::default(),
        accounts: &Accounts::default(),
    };
    format!("{question:?}: {:?}", identity::query(identity, &ctx, question))
}

fn policy() -> PolicyArn {
    "arn:aws:iam::aws:policy/ReadOnlyAccess".parse().expect("it is an ARN")
}

fn root() -> Caller {
    Caller {
        account: account(),
        principal: Principal::Root,
        credential: Credential::Node(0),
        session: None,
    }
}

fn execute(ticket: u64, command: Command, random: u64) -> Input {
    Input::Execute(Box::new(Execute {
        ticket,
        caller: root(),
        request: RequestContext::default(),
        entropy: entropy(random),
        request_id: format!("request-{ticket}"),
        command,
    }))
}

fn account() -> AccountId {
    AccountId::from_number(ACCOUNT).expect("it has twelve digits")
}

fn entropy(random: u64) -> Entropy {
    let mut rng = Rng::new(random);
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&rng.number().to_be_bytes());
    }
    Entropy::new(bytes)
}
