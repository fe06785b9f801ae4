//! What is asked of a state, and its answers, one bit each.

use identity::{
    Caller, CheckRequest, Command, Error, Identity, MfaRefusal, Page, Principal, Query, Reply,
    WithCode,
    access_key::Status,
    authenticate_key, check,
    mfa_device::SerialNumber,
    service_credential::{ListServiceCredentials, Owners, ServiceCredentialStatus},
    signing_certificate::ListSigningCertificates,
    ssh_public_key::ListSshPublicKeys,
    sts,
};
use model::{Arn, Credential, Timestamp, UniqueId, UniqueIdKind, UserName};

use super::world::{Race, World};
use crate::{
    history::{ACCOUNT, BEGIN_SECS},
    parse::{Call, parse},
    parse_mfa::{SEED, code},
};

const ACTIONS: [&str; 3] = ["s3:GetObject", "s3:PutObject", "ec2:RunInstances"];

const ROLES: [&str; 3] = ["ops", "dev", "web"];

/// A question.
#[derive(Clone, Debug)]
enum Question {
    /// `identity::check`.
    May(UniqueId, &'static str),
    /// `identity::authenticate_key`.
    Authenticates(UniqueId),
    /// `AssumeRole` by a user.
    Assumes(UniqueId, UniqueId),
    /// `AssumeRoleWithWebIdentity` by whom a provider vouches for.
    Federates(UniqueId),
    /// Whether a user's credential of this id is active.
    IsActive(String),
    /// Whether a session is given to a user for a code of a device, whose seed this is.
    Proves(UniqueId, &'static str, String),
    /// Whether the session with a second factor that was there before may call IAM.
    IsProven,
}

/// All questions of a history.
pub(crate) struct Subjects(Vec<Question>);

impl Subjects {
    /// Of all users, roles and keys there may be.
    pub(crate) fn of(race: &Race) -> Self {
        let made = race.operations.iter().filter_map(|operation| match &operation.reply {
            Reply::CreateUser(user) => Some(user.id),
            Reply::CreateRole(role) => Some(role.id),
            Reply::CreateAccessKey(key) => Some(key.id),
            _ => None,
        });
        let ids: Vec<UniqueId> = race.names.keys().copied().chain(made).collect();
        let of = |kind| move |id: &&UniqueId| id.kind() == Some(kind);
        let users = || ids.iter().filter(of(UniqueIdKind::User));
        let roles = || ids.iter().filter(of(UniqueIdKind::Role));
        let mut all: Vec<Question> = roles().copied().map(Question::Federates).collect();
        for id in users().chain(roles()) {
            all.extend(ACTIONS.map(|action| Question::May(*id, action)));
        }
        for user in users() {
            all.extend(roles().map(|role| Question::Assumes(*user, *role)));
        }
        all.push(Question::IsProven);
        let (seeds, others): (Vec<&String>, Vec<&String>) =
            race.keys.iter().partition(|id| id.starts_with(SEED));
        for (device, seed) in ["fob", "phone"].into_iter().zip(seeds) {
            all.extend(users().map(|user| Question::Proves(*user, device, seed.clone())));
        }
        let (keys, credentials): (Vec<&String>, Vec<&String>) =
            others.into_iter().partition(|id| id.starts_with(UniqueIdKind::AccessKey.prefix()));
        let keys = keys.into_iter().map(|id| id.parse().unwrap());
        let keys = ids.iter().filter(of(UniqueIdKind::AccessKey)).copied().chain(keys);
        all.extend(keys.map(Question::Authenticates));
        all.extend(credentials.into_iter().cloned().map(Question::IsActive));
        all.truncate(64);
        Self(all)
    }

    /// The bits of all questions.
    pub(crate) fn all(&self) -> u64 {
        u64::MAX.checked_shr(64 - self.0.len() as u32).unwrap_or_default()
    }

    /// Whether a state says yes to the questions of these bits.
    pub(crate) fn answers(&self, world: &World, identity: &Identity, bits: u64) -> u64 {
        let asked = self.0.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        asked.map(|(at, question)| u64::from(ask(world, identity, question)) << at).sum()
    }

    /// The questions of these bits.
    pub(crate) fn name(&self, bits: u64) -> String {
        let asked = self.0.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        let named: Vec<String> = asked.map(|(_, question)| format!("{question:?}")).collect();
        named.join(", ")
    }
}

fn ask(world: &World, identity: &Identity, question: &Question) -> bool {
    match question {
        Question::May(principal, action) => {
            let request = CheckRequest {
                principal: principal.to_string(),
                action: (*action).to_owned(),
                resource: "arn:aws:s3:::bucket/object".to_owned(),
                context: Vec::new(),
            };
            let now = Timestamp::from_secs(1_800_000_000);
            check(identity, &world.accounts, now, &request)
                .is_ok_and(|decision| decision.is_allowed())
        }
        Question::Authenticates(key) => {
            authenticate_key(identity, &world.keys, key.as_str()).is_some()
        }
        Question::Assumes(user, role) => assumes(world, identity, *user, *role),
        Question::Federates(role) => ROLES.iter().any(|name| {
            world.find(identity, "Role", name) == Some(*role) && world.federates(identity, name)
        }),
        Question::IsActive(id) => is_active(world, identity, id),
        Question::Proves(user, device, seed) => proves(world, identity, *user, device, seed),
        Question::IsProven => {
            let Call::Query(list) = parse("ListUsers", &[], &[]) else { panic!("a query") };
            world.ask(identity, &world.proven, &list).is_ok()
        }
    }
}

/// Whether a user has an active credential of this id, by any name.
fn is_active(world: &World, identity: &Identity, id: &str) -> bool {
    let page = Page::default;
    ["bob", "ann", "eve"].iter().any(|user| {
        let user: Option<UserName> = Some(user.parse().unwrap());
        let ssh = ListSshPublicKeys { user: user.clone(), page: page() };
        let certificates = ListSigningCertificates { user: user.clone(), page: page() };
        let owners = Owners::One(user);
        let credentials = ListServiceCredentials { owners, service: None, page: page() };
        let asked = [
            Query::ListSSHPublicKeys(ssh),
            Query::ListSigningCertificates(certificates),
            Query::ListServiceSpecificCredentials(credentials),
        ];
        asked.iter().any(|asked| match world.ask(identity, &world.root, asked) {
            Ok(Reply::ListSSHPublicKeys(keys)) => {
                keys.items.iter().any(|key| key.id == id && key.status == Status::Active)
            }
            Ok(Reply::ListServiceSpecificCredentials(all)) => {
                let active = ServiceCredentialStatus::Set(Status::Active);
                all.items.iter().any(|one| one.id == id && one.status == active)
            }
            Ok(Reply::ListSigningCertificates(all)) => {
                all.items.iter().any(|one| one.id == id && one.status == Status::Active)
            }
            _ => false,
        })
    })
}

/// Whether a user is given a session for a code that was not used yet, however far the device's
/// clock is off.
fn proves(
    world: &World,
    identity: &Identity,
    user: UniqueId,
    device: &'static str,
    seed: &str,
) -> bool {
    const LATER: u64 = 3_000;
    let principal = Principal::User(user);
    let (account, credential) = (world.root.account, Credential::Node(0));
    let caller = Caller { account, principal, credential, session: None };
    let now = (BEGIN_SECS + LATER) / 30;
    let refusal = |step: u64| {
        let serial = SerialNumber(format!("arn:aws:iam::{ACCOUNT}:mfa/{device}"));
        let call = sts::AssumeRole {
            role_arn: Arn::iam(ACCOUNT, "role/none"),
            session_name: "sess".parse().unwrap(),
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            external_id: None,
            source_identity: None,
        };
        let command = Command::AssumeRole(WithCode { call, serial, code: code(seed, step) });
        world.refusal(identity, &caller, &command, LATER)
    };
    // Of a device that is not the user's every code is refused before it is looked at.
    let looks = matches!(refusal(0), Error::Mfa(MfaRefusal::Code));
    looks && (now - 12..now + 12).any(|step| !matches!(refusal(step), Error::Mfa(MfaRefusal::Code)))
}

/// Whether a user may assume a role, by any name.
fn assumes(world: &World, identity: &Identity, user: UniqueId, role: UniqueId) -> bool {
    let caller = Caller {
        account: world.root.account,
        principal: Principal::User(user),
        credential: Credential::Node(0),
        session: None,
    };
    ROLES.iter().any(|name| {
        if world.find(identity, "Role", name) != Some(role) {
            return false;
        }
        let assume = Query::AssumeRole(sts::AssumeRole {
            role_arn: Arn::iam(ACCOUNT, format!("role/{name}")),
            session_name: "sess".parse().unwrap(),
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
            external_id: None,
            source_identity: None,
        });
        world.ask(identity, &caller, &assume).is_ok()
    })
}
