//! Histories: what is there before, then what each node does and receives, as text and at random.
//!
//! `SETUP; SETUP | a CALL; a<b; b CALL`: `a<b` brings to a all that b holds, and so causally.
//! `adm!CALL` is a call by the user `adm`; others are root's.

use std::{fmt, str::FromStr};

/// Most steps of a random history. Calls that are refused are no part of it.
const STEPS_MAX: u64 = 30;
const NODES: [&str; 3] = ["a", "b", "c"];

/// One step of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A call at a node.
    Call(usize, String),
    /// The first node receives what the second holds.
    Pull(usize, usize),
}

/// A history to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) setup: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

impl Plan {
    pub(crate) fn len(&self) -> usize {
        self.setup.len() + self.steps.len()
    }

    /// The plan without one of its parts.
    pub(crate) fn without(&self, at: usize) -> Self {
        let mut plan = self.clone();
        match at.checked_sub(plan.setup.len()) {
            Some(step) => drop(plan.steps.remove(step)),
            None => drop(plan.setup.remove(at)),
        }
        plan
    }

    /// The plan of a seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let focus = Focus::some(&mut rng);
        let setup = (0..rng.below(9)).map(|_| focus.grant(&mut rng)).collect();
        let step = |rng: &mut Rng| {
            let node = rng.below(3) as usize;
            match rng.below(6) {
                0 => Step::Pull(node, (node + 1 + rng.below(2) as usize) % 3),
                _ => Step::Call(node, focus.call(rng)),
            }
        };
        let steps = (0..4 + rng.below(STEPS_MAX - 3)).map(|_| step(&mut rng)).collect();
        Self { setup, steps }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = |step: &Step| match step {
            Step::Call(node, call) => format!("{} {call}", NODES[*node]),
            Step::Pull(to, from) => format!("{}<{}", NODES[*to], NODES[*from]),
        };
        let steps: Vec<String> = self.steps.iter().map(step).collect();
        write!(f, "{} | {}", self.setup.join("; "), steps.join("; "))
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (setup, steps) = line.split_once(" | ").ok_or("no ` | `")?;
        let node = |text: &str| {
            NODES.iter().position(|name| *name == text).ok_or_else(|| format!("no node `{text}`"))
        };
        let step = |text: &str| match (text.split_once('<'), text.split_once(' ')) {
            (Some((to, from)), _) => Ok(Step::Pull(node(to)?, node(from)?)),
            (None, Some((name, call))) => Ok(Step::Call(node(name)?, call.to_owned())),
            (None, None) => Err(format!("no step `{text}`")),
        };
        Ok(Self {
            setup: setup.split("; ").filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            steps: steps.split("; ").map(step).collect::<Result<_, String>>()?,
        })
    }
}

const USERS: &[&str] = &["bob", "ann", "eve"];
const GROUPS: &[&str] = &["g", "h", "k"];
const ROLES: &[&str] = &["ops", "dev"];
const POLICIES: &[&str] = &["P", "D", "Q"];
const DOCUMENTS: &[&str] = &[
    "allow:*",
    "allow:s3:*",
    "allow:s3:Get*",
    "deny:s3:*",
    "deny:s3:Put*",
    "allowtagged:s3:*",
    "denytagged:s3:Get*",
];

/// Names that a history is mostly about, so that its operations get in each other's way.
struct Focus {
    user: &'static str,
    group: &'static str,
    role: &'static str,
    policy: &'static str,
    kinds: [u64; 4],
    /// Who calls, besides root.
    author: Option<&'static str>,
}

impl Focus {
    fn some(rng: &mut Rng) -> Self {
        Self {
            user: rng.of(USERS),
            group: rng.of(GROUPS),
            role: rng.of(ROLES),
            policy: rng.of(POLICIES),
            kinds: [(); 4].map(|()| rng.below(CALLS.len() as u64)),
            author: (rng.below(2) == 0).then(|| rng.of(AUTHORS)),
        }
    }

    /// Fills in a call's words.
    fn fill(&self, rng: &mut Rng, call: &str) -> String {
        let mut near =
            |focus: &'static str, all| if rng.below(4) > 0 { focus } else { rng.of(all) };
        let (user, group) = (near(self.user, USERS), near(self.group, GROUPS));
        let (role, policy) = (near(self.role, ROLES), near(self.policy, POLICIES));
        let owner = ["User", "Group", "Role"][rng.below(3) as usize];
        let name = match owner {
            "User" => user,
            "Group" => group,
            _ => role,
        };
        let aws = rng.below(8) == 0;
        let codes = |key: u64, rng: &mut Rng| {
            let first = rng.below(8);
            format!("key{key}@{first} key{key}@{}", first + 1)
        };
        call.replace("{credential}", rng.of(CREDENTIALS))
            .replace("{mfa}", rng.of(MFA))
            .replace("{codes:8}", &codes(8, rng))
            .replace("{codes:9}", &codes(9, rng))
            .replace("{step}", &rng.below(9).to_string())
            .replace("{provider}", rng.of(PROVIDERS))
            .replace("{Owner}", owner)
            .replace("{owner}", name)
            .replace("{user}", user)
            .replace("{user2}", rng.of(USERS))
            .replace("{group}", group)
            .replace("{group2}", rng.of(GROUPS))
            .replace("{role}", role)
            .replace("{own}", policy)
            .replace("{policy}", if aws { "aws/AdministratorAccess" } else { policy })
            .replace("{inline}", rng.of(&["i", "i", "j"]))
            .replace("{doc}", rng.of(DOCUMENTS))
            .replace("{version}", rng.of(&["v1", "v2", "v2", "v3"]))
            .replace("{status}", rng.of(&["Active", "Inactive"]))
            .replace("{value}", rng.of(&["x", "x", "y"]))
    }

    /// Something that is there before.
    fn grant(&self, rng: &mut Rng) -> String {
        let call = rng.of(SETUP);
        self.fill(rng, call)
    }

    /// An operation, by whoever may.
    fn call(&self, rng: &mut Rng) -> String {
        let Some(author) = self.author else { return self.operation(rng) };
        let by = match rng.below(8) {
            0..3 => author,
            3 => rng.of(AUTHORS),
            _ => "",
        };
        let call = match rng.below(3) {
            0 => self.right(rng),
            _ => self.operation(rng),
        };
        if by.is_empty() { call } else { format!("{by}!{call}") }
    }

    fn right(&self, rng: &mut Rng) -> String {
        let call = rng.of(RIGHTS);
        self.fill(rng, call)
    }

    fn operation(&self, rng: &mut Rng) -> String {
        let at = match rng.below(3) {
            0 => rng.below(CALLS.len() as u64),
            _ => self.kinds[rng.below(4) as usize],
        };
        let (call, undo) = CALLS[at as usize];
        let call = if rng.below(2) == 0 { call } else { undo };
        self.fill(rng, call)
    }
}

const SETUP: &[&str] = &[
    "Put{Owner}Policy {owner} {inline} {doc}",
    "Put{Owner}Policy {owner} {inline} {doc}",
    "Attach{Owner}Policy {owner} {policy}",
    "AddUserToGroup {group} {user}",
    "AddUserToGroup {group} {user}",
    "CreatePolicyVersion {own} {doc} default",
    "CreatePolicyVersion {own} {doc}",
    "PutUserPermissionsBoundary {user} {policy}",
    "PutRolePermissionsBoundary {role} {policy}",
    "TagUser {user} team={value}",
    "TagRole {role} team={value}",
    "CreateUser {user}",
    "CreateGroup {group}",
    "CreatePolicy {own} {doc}",
];

/// Users who may call, as long as they may.
const AUTHORS: &[&str] = &["adm", "sub", "ann", "fac", "fac"];

/// What gives or takes their right.
const RIGHTS: &[&str] = &[
    "UpdateAccessKey adm key2 Inactive",
    "UpdateAccessKey adm key2 Active",
    "UpdateAccessKey sub key3 Inactive",
    "DeleteAccessKey adm key2",
    "DeleteAccessKey sub key3",
    "DeleteUserPolicy adm admin",
    "PutUserPolicy adm admin allow:iam:*",
    "PutUserPolicy adm admin allow:iam:*User*",
    "PutUserPolicy adm no deny:iam:Put*",
    "DeleteUserPolicy adm no",
    "PutUserPolicy ann admin allow:iam:*",
    "DeleteUserPolicy ann admin",
    "RemoveUserFromGroup admins sub",
    "AddUserToGroup admins sub",
    "AddUserToGroup admins ann",
    "RemoveUserFromGroup admins ann",
    "DetachGroupPolicy admins A",
    "AttachGroupPolicy admins A",
    "PutGroupPolicy admins no deny:iam:*",
    "DeleteGroupPolicy admins no",
    "CreatePolicyVersion A deny:iam:* default",
    "CreatePolicyVersion A allow:iam:Get*",
    "SetDefaultPolicyVersion A v1",
    "SetDefaultPolicyVersion A v2",
    "PutUserPermissionsBoundary adm P",
    "PutUserPermissionsBoundary sub A",
    "DeleteUserPermissionsBoundary adm",
    "AttachUserPolicy adm A",
    "DetachUserPolicy adm A",
    "DeactivateMFADevice fac fob",
    "DeactivateMFADevice fac fob",
    "EnableMFADevice fac fob {codes:8}",
    "EnableMFADevice ann fob {codes:8}",
    "UpdateAccessKey fac key7 Inactive",
    "DeleteUserPolicy fac admin",
];

/// Operations with what undoes them or rivals them.
const CALLS: &[(&str, &str)] = &[
    ("CreateUser {user}", "DeleteUser {user}"),
    ("UpdateUser {user} {user2}", "CreateUser {user2}"),
    ("CreateGroup {group}", "DeleteGroup {group}"),
    ("UpdateGroup {group} {group2}", "DeleteGroup {group}"),
    ("CreateRole {role} trusts:{user}", "DeleteRole {role}"),
    ("UpdateAssumeRolePolicy {role} trusts:{user}", "UpdateAssumeRolePolicy {role} trusts:{user2}"),
    ("Put{Owner}Policy {owner} {inline} {doc}", "Delete{Owner}Policy {owner} {inline}"),
    ("Put{Owner}Policy {owner} {inline} {doc}", "Delete{Owner}Policy {owner} {inline}"),
    ("Attach{Owner}Policy {owner} {policy}", "Detach{Owner}Policy {owner} {policy}"),
    ("Attach{Owner}Policy {owner} {policy}", "Detach{Owner}Policy {owner} {policy}"),
    ("Attach{Owner}Policy {owner} {policy}", "DeletePolicy {own}"),
    ("AddUserToGroup {group} {user}", "RemoveUserFromGroup {group} {user}"),
    ("AddUserToGroup {group} {user}", "DeleteGroup {group}"),
    ("CreatePolicy {own} {doc}", "DeletePolicy {own}"),
    ("CreatePolicyVersion {own} {doc} default", "CreatePolicyVersion {own} {doc}"),
    ("SetDefaultPolicyVersion {own} {version}", "DeletePolicyVersion {own} {version}"),
    ("SetDefaultPolicyVersion {own} {version}", "CreatePolicyVersion {own} {doc} default"),
    ("PutUserPermissionsBoundary {user} {policy}", "DeleteUserPermissionsBoundary {user}"),
    ("PutRolePermissionsBoundary {role} {policy}", "DeleteRolePermissionsBoundary {role}"),
    ("UpdateAccessKey ann key1 {status}", "DeleteAccessKey ann key1"),
    ("CreateAccessKey {user}", "UpdateAccessKey ann key1 {status}"),
    ("{credential}", "{credential}"),
    ("{mfa}", "{mfa}"),
    ("{provider}", "{provider}"),
    ("UpdateAssumeRolePolicy {role} federates:idp", "UpdateAssumeRolePolicy {role} trusts:{user}"),
    ("TagUser {user} team={value}", "UntagUser {user} team"),
    ("TagRole {role} team={value}", "UntagRole {role} team"),
];

/// What changes the credentials of users that are no access keys.
const CREDENTIALS: &[&str] = &[
    "UpdateSSHPublicKey ann key4 {status}",
    "UpdateSSHPublicKey ann key4 {status}",
    "DeleteSSHPublicKey ann key4",
    "UploadSSHPublicKey {user} ssh-2.pub",
    "UpdateSigningCertificate ann key5 {status}",
    "UpdateSigningCertificate ann key5 {status}",
    "DeleteSigningCertificate ann key5",
    "UploadSigningCertificate {user} certificate-2.pem",
    "UpdateServiceSpecificCredential ann key6 {status}",
    "ResetServiceSpecificCredential ann key6",
    "DeleteServiceSpecificCredential ann key6",
    "CreateServiceSpecificCredential {user} bedrock",
];

/// What changes MFA devices and uses their codes.
const MFA: &[&str] = &[
    "EnableMFADevice {user} phone {codes:9}",
    "EnableMFADevice {user} phone {codes:9}",
    "DeactivateMFADevice {user} phone",
    "DeactivateMFADevice {user} phone",
    "ResyncMFADevice {user} phone {codes:9}",
    "DeleteVirtualMFADevice phone",
    "ann!GetSessionTokenWith phone key9@{step}",
    "DeactivateMFADevice fac fob",
    "EnableMFADevice fac fob {codes:8}",
    "EnableMFADevice {user} fob {codes:8}",
];

/// What changes whom an identity provider can vouch for.
const PROVIDERS: &[&str] = &[
    "CreateOpenIDConnectProvider idp web",
    "CreateOpenIDConnectProvider idp cli",
    "DeleteOpenIDConnectProvider idp",
    "AddClientIDToOpenIDConnectProvider idp web",
    "AddClientIDToOpenIDConnectProvider idp web",
    "RemoveClientIDFromOpenIDConnectProvider idp web",
    "RemoveClientIDFromOpenIDConnectProvider idp web",
    "UpdateOpenIDConnectProviderThumbprint idp thumb:1",
    "UpdateOpenIDConnectProviderThumbprint idp thumb:2",
    "UpdateOpenIDConnectProviderThumbprint idp -",
    "TagOpenIDConnectProvider idp team={value}",
];

/// `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn of(&mut self, all: &[&'static str]) -> &'static str {
        all[self.below(all.len() as u64) as usize]
    }
}
