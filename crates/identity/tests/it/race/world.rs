//! What all histories share, and how one is run on three nodes and merged.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crdt::{Barrier, Dot, Hlc, NodeId, meet};
use identity::{
    AccountInfo, Accounts, Caller, Claim, Command, Ctx, Decision, Identity, KeyRing, NameKey, Noun,
    Outcome, Page, Principal, Query, Reply, RequestContext, Whose, execute, open_session, query,
    web_identity::{
        AssumeRoleWithWebIdentity, KeySource, TokenClaims, Unsigned, VerifiedToken, assume,
    },
};
use model::{AccountId, Arn, Credential, Entropy, Secret, Timestamp, UniqueId};
use wire::transaction::{Meta, Transaction};

use super::plan::{Plan, Step};
use crate::{
    history::{ACCOUNT, BEGIN_SECS, made_key, root},
    parse::{Call, parse},
};

/// Where what is there before was made, and where all is done in one order.
const BEFORE: NodeId = NodeId(9);

/// Most operations of a history: they have at most a few hundred orders.
const OPERATIONS_MAX: usize = 8;

const BASE: &[&str] = &[
    "CreateUser bob",
    "CreateUser ann",
    "CreateGroup g",
    "CreateGroup h",
    "CreateRole ops trusts:bob",
    "CreatePolicy P allow:s3:*",
    "CreatePolicy D deny:s3:Put*",
    "CreateAccessKey ann",
    "CreateUser adm",
    "CreateAccessKey adm",
    "PutUserPolicy adm admin allow:iam:*",
    "CreateUser sub",
    "CreateAccessKey sub",
    "CreateGroup admins",
    "CreatePolicy A allow:iam:*",
    "AttachGroupPolicy admins A",
    "AddUserToGroup admins sub",
    "UploadSSHPublicKey ann ssh-1.pub",
    "UploadSigningCertificate ann certificate-1.pem",
    "CreateServiceSpecificCredential ann codecommit",
    "CreateUser fac",
    "CreateAccessKey fac",
    "PutUserPolicy fac admin allow:iam:*",
    "CreateVirtualMFADevice fob",
    "CreateVirtualMFADevice phone",
    "EnableMFADevice fac fob key8@-3 key8@-2",
    "CreateOpenIDConnectProvider idp web",
    "CreateRole web federates:idp",
];

/// What gives the user `fac` its session, which has its second factor of `fob`.
const PROOF: &str = "GetSessionTokenWith fob key8@-1";

/// What a word of a call names. Words are resolved where the call is made: in every order it is
/// about the same entity, whatever that is called by then.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Text(String),
    Named { prefix: &'static str, id: UniqueId },
}

/// The names of what exists, where all is done in one order.
pub(crate) type Names = BTreeMap<UniqueId, String>;

/// An operation that its node accepted.
pub(crate) struct Operation {
    /// Its text, with its node.
    pub(crate) text: String,
    pub(crate) words: Vec<Word>,
    pub(crate) caller: Caller,
    /// The time of the call and all that is random in it.
    pub(crate) moment: u64,
    /// The operations, by bit, that its node had seen.
    pub(crate) seen: u64,
    pub(crate) reply: Reply,
}

impl Operation {
    /// Whom it names.
    pub(crate) fn names(&self) -> Option<UniqueId> {
        match (&self.reply, self.words.as_slice()) {
            (Reply::CreateUser(user), _) => Some(user.id),
            (Reply::CreateGroup(group), _) => Some(group.id),
            (Reply::CreateRole(role), _) => Some(role.id),
            (Reply::CreatePolicy(policy), _) => Some(policy.id),
            (_, [Word::Text(action), Word::Named { id, .. }, ..]) => {
                action.starts_with("Update").then_some(*id)
            }
            _ => None,
        }
    }
}

/// A history that was run.
pub(crate) struct Race {
    /// What was there before.
    pub(crate) before: Identity,
    pub(crate) names: Names,
    /// Access keys and other credentials that were there before, by id.
    pub(crate) keys: Vec<String>,
    pub(crate) operations: Vec<Operation>,
    /// The transactions, in the orders in which the nodes applied them.
    pub(crate) logs: [Vec<Arc<Transaction>>; 3],
    /// What is agreed at the end.
    pub(crate) barrier: Barrier,
    pub(crate) merged: Identity,
    /// The same, without what was stable before the last exchange.
    pub(crate) collected: Identity,
    /// All transactions in the order they were made, each taken to have seen all others.
    pub(crate) last_writer: Identity,
}

impl Race {
    /// The merge once it is decided who has the names that several gave, and who those are; `None`
    /// if there are none.
    pub(crate) fn decided(&self) -> Option<(Identity, BTreeSet<UniqueId>)> {
        let (names, holders) = self.decisions()?;
        let mut identity = self.merged.clone();
        identity.set_names(names.into());
        (!holders.is_empty()).then_some((identity, holders))
    }

    /// Who has each name, and those that have one which several gave. The first or the last that
    /// is listed has a name, as the history has it.
    pub(crate) fn decisions(&self) -> Option<(identity::Names, BTreeSet<UniqueId>)> {
        let safe = self.merged.state().vector();
        let proposal = self.merged.propose_names(Whose::Anybodys, safe)?;
        let mut live: BTreeMap<NameKey, Vec<Claim>> = BTreeMap::new();
        for (name, claim) in proposal.claims {
            live.entry(name).or_default().push(claim);
        }
        let (mut names, mut holders) = (identity::Names::default(), BTreeSet::new());
        for (name, mut lost) in live {
            let first = if self.operations.len().is_multiple_of(2) { 0 } else { lost.len() - 1 };
            let holder = lost.remove(first);
            if !lost.is_empty() {
                holders.insert(holder.id);
            }
            names.decisions.insert(name, Decision { holder: Some(holder), lost });
        }
        Some((names, holders))
    }
}

/// What all histories share.
pub(crate) struct World {
    base: Identity,
    names: Names,
    pub(crate) root: Caller,
    pub(crate) accounts: Accounts,
    pub(crate) keys: KeyRing,
    request: RequestContext,
    pub(crate) made_keys: Vec<String>,
    /// The user `fac`, in a session with a second factor.
    pub(crate) proven: Caller,
}

#[derive(Clone)]
struct Node {
    identity: Identity,
    log: Vec<Arc<Transaction>>,
    seen: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let account: AccountId = ACCOUNT.parse().unwrap();
        let info = AccountInfo { created: Timestamp::from_secs(1_000_000_000), alias: None };
        let mut world = Self {
            base: Identity::default(),
            names: Names::new(),
            root: root(account),
            accounts: Accounts(BTreeMap::from([(account, info)])),
            keys: KeyRing::new(vec![(1, [9; 32])], 1),
            request: RequestContext::default(),
            made_keys: Vec::new(),
            proven: root(account),
        };
        let (mut base, mut names) = (Identity::default(), Names::new());
        for (at, call) in BASE.iter().enumerate() {
            let words = world.words(&base, call);
            let root = world.root.clone();
            let reply = world.serial(&mut base, &mut names, (&root, &words), at as u64).unwrap();
            world.made_keys.extend(made_key(&reply));
        }
        world.proven = world.prove(&mut base, &mut names);
        (world.base, world.names) = (base, names);
        world
    }

    fn prove(&self, base: &mut Identity, names: &mut Names) -> Caller {
        let (words, moment) = (self.words(base, PROOF), BASE.len() as u64);
        let fac = self.user(names, "fac", 6);
        let Ok(Reply::GetSessionToken(made)) = self.serial(base, names, (&fac, &words), moment)
        else {
            panic!("a session")
        };
        let (token, key) = (made.session_token.expose(), made.access_key_id.to_string());
        open_session(base, &self.keys, token, &key, Timestamp::from_secs(BEGIN_SECS)).unwrap().0
    }

    pub(crate) fn ask(
        &self,
        identity: &Identity,
        caller: &Caller,
        asked: &Query,
    ) -> Result<Reply, identity::Error> {
        query(identity, &self.ctx(caller, 0, &entropy(0)), asked)
    }

    /// Why a command is refused that cannot be carried out.
    pub(crate) fn refusal(
        &self,
        identity: &Identity,
        caller: &Caller,
        command: &Command,
        moment: u64,
    ) -> identity::Error {
        let refused = execute(identity, &self.ctx(caller, moment, &entropy(moment)), command);
        refused.expect_err("it cannot")
    }

    /// Whether a token of `idp` for the client `web` gives a session of a role.
    pub(crate) fn federates(&self, identity: &Identity, role: &str) -> bool {
        let claims = r#"{"iss":"https://idp","sub":"s","aud":"web","exp":1800000000,"iat":1}"#;
        let token = VerifiedToken {
            claims: TokenClaims::parse(claims.as_bytes()).unwrap(),
            source: KeySource::Host(vec!["1".repeat(40).parse().unwrap()]),
        };
        let call = AssumeRoleWithWebIdentity {
            role_arn: Arn::iam(ACCOUNT, format!("role/{role}")),
            session_name: "sess".parse().unwrap(),
            token: Secret::new(String::new()),
            duration: None,
            policy: None,
            policy_arns: Vec::new(),
        };
        let Self { request, keys, accounts, .. } = self;
        let (now, entropy) = (Timestamp::from_secs(1_700_000_000), entropy(0));
        let unsigned = Unsigned { now, entropy: &entropy, request, keys, accounts };
        assume(identity, &unsigned, &call, &token).is_ok()
    }

    fn ctx<'a>(&'a self, caller: &'a Caller, moment: u64, entropy: &'a Entropy) -> Ctx<'a> {
        let now = Timestamp::from_secs(BEGIN_SECS + moment);
        let Self { request, keys, accounts, .. } = self;
        Ctx { now, entropy, caller, request, keys, accounts }
    }

    /// Who makes a call, and the call.
    fn caller<'a>(&self, call: &'a str) -> (Caller, &'a str) {
        // A call that brings a code is its device's user's, whoever calls else.
        let Some((name, call)) = call.rsplit_once('!') else { return (self.root.clone(), call) };
        let name = name.rsplit('!').next().unwrap_or(name);
        if name == "fac" {
            return (self.proven.clone(), call);
        }
        let key = ["ann", "adm", "sub"].iter().position(|author| *author == name).unwrap();
        (self.user(&self.names, name, key), call)
    }

    /// A user who was there before, with one of the keys that were made.
    fn user(&self, names: &Names, name: &str, key: usize) -> Caller {
        let id = names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id).unwrap();
        Caller {
            account: self.root.account,
            principal: Principal::User(id),
            credential: Credential::AccessKey(self.made_keys[key].parse().unwrap()),
            session: None,
        }
    }

    /// The words of a call, resolved as the node resolves them.
    pub(crate) fn words(&self, identity: &Identity, call: &str) -> Vec<Word> {
        let (action, arguments) = call.split_once(' ').unwrap();
        let mut words = vec![Word::Text(action.to_owned())];
        for (at, text) in arguments.split(' ').enumerate() {
            let named = match text.strip_prefix("trusts:") {
                Some(user) => Some(("trusts:", "User", user)),
                None => kind_at(action, at).map(|kind| ("", kind, text)),
            };
            let word = named.and_then(|(prefix, kind, name)| {
                Some(Word::Named { prefix, id: self.find(identity, kind, name)? })
            });
            words.push(word.unwrap_or_else(|| Word::Text(text.to_owned())));
        }
        words
    }

    /// The entity that a node takes a name for.
    pub(crate) fn find(&self, identity: &Identity, kind: &str, name: &str) -> Option<UniqueId> {
        let Call::Query(get) = parse(&format!("Get{kind}"), &[name], &[]) else { panic!("{kind}") };
        match self.ask(identity, &self.root, &get) {
            Ok(Reply::GetUser(identity::user::GotUser::User(user))) => Some(user.id),
            Ok(Reply::GetGroup(got)) => Some(got.group.id),
            Ok(Reply::GetRole(role)) => Some(role.id),
            Ok(Reply::GetOpenIDConnectProvider(provider)) => Some(provider.id),
            Ok(Reply::GetPolicy(policy)) if !name.starts_with("aws/") => Some(policy.id),
            _ => None,
        }
    }

    fn command(&self, words: &[String]) -> Command {
        let words: Vec<String> = words.iter().map(|word| expand(word)).collect();
        let texts: Vec<&str> = words.iter().map(String::as_str).collect();
        match parse(texts[0], &texts[1..], &self.made_keys) {
            Call::Command(command) => command,
            Call::Query(query) => panic!("{query:?} writes nothing"),
        }
    }

    fn execute(
        &self,
        identity: &Identity,
        (caller, words): (&Caller, &[String]),
        moment: u64,
    ) -> Result<(Vec<crdt::Write>, Reply), identity::Error> {
        let entropy = entropy(moment);
        let ctx = self.ctx(caller, moment, &entropy);
        match execute(identity, &ctx, &self.command(words))? {
            Outcome::Write { writes, reply } => Ok((writes, reply)),
            Outcome::Control { change, .. } => panic!("{change:?} is the control plane's"),
        }
    }

    fn transaction(
        &self,
        identity: &Identity,
        origin: NodeId,
        caller: &Caller,
        writes: Vec<crdt::Write>,
    ) -> Arc<Transaction> {
        let deps = identity.state().vector().clone();
        let dot = Dot::new(origin, deps.get(&origin) + 1);
        let meta = Meta {
            hlc: Hlc::default(),
            author: caller.author(),
            request_id: String::new(),
            action: String::new(),
        };
        Arc::new(Transaction { dot, deps, meta: Arc::new(meta), writes })
    }

    /// Does an operation where all is done in one order. A precondition that fails makes it not
    /// happen.
    pub(crate) fn serial(
        &self,
        identity: &mut Identity,
        names: &mut Names,
        (caller, words): (&Caller, &[Word]),
        moment: u64,
    ) -> Result<Reply, identity::Error> {
        let spell = |word: &Word| match word {
            Word::Text(text) => text.clone(),
            Word::Named { prefix, id } => {
                format!("{prefix}{}", names.get(id).map_or("gone", String::as_str))
            }
        };
        let spelled: Vec<String> = words.iter().map(spell).collect();
        let (writes, reply) = self.execute(identity, (caller, &spelled), moment)?;
        let transaction = self.transaction(identity, BEFORE, caller, writes);
        identity.apply(&transaction).unwrap();
        match (&reply, spelled[0].as_str(), words.get(1)) {
            (Reply::CreateUser(user), ..) => drop(names.insert(user.id, spelled[1].clone())),
            (Reply::CreateGroup(group), ..) => drop(names.insert(group.id, spelled[1].clone())),
            (Reply::CreateRole(role), ..) => drop(names.insert(role.id, spelled[1].clone())),
            (Reply::CreatePolicy(policy), ..) => drop(names.insert(policy.id, spelled[1].clone())),
            (Reply::CreateOpenIDConnectProvider(provider), ..) => {
                names.insert(provider.id, spelled[1].clone());
            }
            (_, "UpdateUser" | "UpdateGroup", Some(Word::Named { id, .. })) => {
                names.insert(*id, spelled[2].clone());
            }
            (
                _,
                "DeleteUser"
                | "DeleteGroup"
                | "DeleteRole"
                | "DeletePolicy"
                | "DeleteOpenIDConnectProvider",
                Some(Word::Named { id, .. }),
            ) => drop(names.remove(id)),
            _ => {}
        }
        Ok(reply)
    }

    /// Whether a call was refused for a name whose holder gives it up in the merge, because an
    /// operation deletes it or calls it otherwise.
    ///
    /// Such an order does not count. Names are given at once, and rivals refused as long as they
    /// are (DESIGN §4); a deletion that was accepted is not taken back by what was concurrent, so
    /// that who took the name after it, or had not seen its holder, has it rightly.
    pub(crate) fn refused_by_the_gone(
        &self,
        identity: &Identity,
        refused: &identity::Error,
        operations: &[Operation],
    ) -> bool {
        let identity::Error::EntityAlreadyExists { noun, name } = refused else { return false };
        if *noun == Noun::MfaDeviceInUse {
            return false;
        }
        let (kind, delete, update) = match noun {
            Noun::User => ("User", "DeleteUser", "UpdateUser"),
            Noun::Group => ("Group", "DeleteGroup", "UpdateGroup"),
            Noun::Role => ("Role", "DeleteRole", ""),
            Noun::Policy => ("Policy", "DeletePolicy", ""),
            Noun::OidcProvider => ("OpenIDConnectProvider", "DeleteOpenIDConnectProvider", ""),
            other => panic!("{other:?} has no name"),
        };
        let name = name.rsplit('/').next().unwrap_or(name);
        let holder = self.find(identity, kind, name).unwrap();
        let is = |operation: &Operation, action: &str| match operation.words.as_slice() {
            [Word::Text(text), Word::Named { id, .. }, ..] => text == action && *id == holder,
            _ => false,
        };
        if operations.iter().any(|operation| is(operation, delete)) {
            return true;
        }
        let renames = || operations.iter().enumerate().filter(|(_, o)| is(o, update));
        let mut last = renames().filter(|(at, _)| renames().all(|(_, o)| o.seen >> at & 1 == 0));
        let called = |operation: &Operation| match &operation.words[2] {
            Word::Text(text) => text == name,
            Word::Named { .. } => false,
        };
        renames().next().is_some() && !last.any(|(_, operation)| called(operation))
    }

    /// Runs a plan on three nodes, and merges.
    pub(crate) fn race(&self, plan: &Plan) -> Race {
        let (mut before, mut names) = (self.base.clone(), self.names.clone());
        let mut moment = BASE.len() as u64;
        for call in &plan.setup {
            moment += 1;
            // What cannot be there is not.
            let words = self.words(&before, call);
            let root = &self.root;
            let _refused = self.serial(&mut before, &mut names, (root, &words), moment);
        }
        let node = Node { identity: before.clone(), log: Vec::new(), seen: 0 };
        let mut nodes = [node.clone(), node.clone(), node];
        let mut last_writer = before.clone();
        let mut operations = Vec::new();
        for step in &plan.steps {
            moment += 1;
            match step {
                Step::Pull(to, from) => pull(&mut nodes, *to, *from),
                Step::Call(..) if operations.len() == OPERATIONS_MAX => {}
                Step::Call(at, call) => {
                    let node = &mut nodes[*at];
                    let (caller, said) = self.caller(call);
                    let texts: Vec<String> = said.split(' ').map(str::to_owned).collect();
                    let done = self.execute(&node.identity, (&caller, &texts), moment);
                    let Ok((writes, reply)) = done else { continue };
                    let words = self.words(&node.identity, said);
                    let origin = NodeId(*at as u32 + 1);
                    let last = self.transaction(&last_writer, BEFORE, &self.root, writes.clone());
                    last_writer.apply(&last).unwrap();
                    let transaction = self.transaction(&node.identity, origin, &caller, writes);
                    node.identity.apply(&transaction).unwrap();
                    node.log.push(transaction);
                    let text = format!("{}:{call}", ["a", "b", "c"][*at]);
                    let seen = node.seen;
                    operations.push(Operation { text, words, caller, moment, seen, reply });
                    node.seen |= 1 << (operations.len() - 1);
                }
            }
        }
        let joined = join(&nodes);
        let stable = meet(nodes.iter().map(|node| node.identity.state().vector()));
        for (to, from) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
            pull(&mut nodes, to, from);
        }
        let [a, b, c] = nodes;
        let conflicts = |identity: &Identity| {
            let listing = identity.conflicts(self.root.account, &Page::default());
            listing.items.into_iter().map(|conflict| format!("{conflict:?}")).collect::<Vec<_>>()
        };
        for other in [&b.identity, &c.identity, &joined] {
            assert_eq!(a.identity.state().digest(), other.state().digest());
            assert_eq!(conflicts(&a.identity), conflicts(other), "read alike: {plan}");
        }
        let logs = [a.log, b.log, c.log];
        let mut collected = b.identity;
        let cut = collected.state().vector().clone();
        let barrier = Barrier { number: 1, stable, cut };
        collected.collect(&barrier).unwrap();
        let (keys, merged) = (self.made_keys.clone(), a.identity);
        Race { before, names, keys, operations, logs, barrier, merged, collected, last_writer }
    }
}

/// What the nodes hold together, as snapshots bring it.
fn join([a, b, c]: &[Node; 3]) -> Identity {
    let mut joined = b.identity.clone();
    for other in [c, a] {
        let identity = &other.identity;
        joined.join(identity.state().clone(), identity.keep()).unwrap();
    }
    joined
}

/// Brings to a node what another holds.
fn pull(nodes: &mut [Node; 3], to: usize, from: usize) {
    let (log, seen) = (nodes[from].log.clone(), nodes[from].seen);
    let node = &mut nodes[to];
    for transaction in log {
        if node.identity.apply(&transaction).is_ok() {
            node.log.push(transaction);
        }
    }
    node.seen |= seen;
}

fn entropy(moment: u64) -> Entropy {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&moment.to_be_bytes());
    Entropy::new(seed)
}

/// What an argument of an action names.
fn kind_at(action: &str, at: usize) -> Option<&'static str> {
    let of = |kinds: &[&'static str]| kinds.get(at).copied();
    match action {
        "CreateUser" | "CreateGroup" | "CreateRole" | "CreatePolicy" => None,
        "CreateOpenIDConnectProvider" => None,
        _ if action.contains("OpenIDConnectProvider") => of(&["OpenIDConnectProvider"]),
        "AddUserToGroup" | "RemoveUserFromGroup" => of(&["Group", "User"]),
        "DeletePolicy"
        | "CreatePolicyVersion"
        | "DeletePolicyVersion"
        | "SetDefaultPolicyVersion" => of(&["Policy"]),
        "UpdateAssumeRolePolicy" | "TagRole" | "UntagRole" => of(&["Role"]),
        "CreateAccessKey" | "UpdateAccessKey" | "DeleteAccessKey" => of(&["User"]),
        "EnableMFADevice" | "ResyncMFADevice" | "DeactivateMFADevice" => of(&["User"]),
        _ if action.contains("MFADevice") || action.ends_with("With") => None,
        _ if action.ends_with("SSHPublicKey") => of(&["User"]),
        _ if action.ends_with("SigningCertificate") => of(&["User"]),
        _ if action.ends_with("ServiceSpecificCredential") => of(&["User"]),
        _ => {
            let owner = ["User", "Group", "Role"].into_iter().find(|kind| action.contains(kind))?;
            let policy = action.starts_with("Attach")
                || action.starts_with("Detach")
                || (action.starts_with("Put") && action.ends_with("Boundary"));
            if policy { of(&[owner, "Policy"]) } else { of(&[owner]) }
        }
    }
}

/// Short words for documents that `parse` has none for.
fn expand(word: &str) -> String {
    let tagged = |effect: &str, action: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"{action}",
            "Resource":"*","Condition":{{"StringEquals":{{"aws:PrincipalTag/team":"x"}}}}}}}}"#
        )
    };
    match word.split_once(':') {
        Some(("allowtagged", action)) => tagged("Allow", action),
        Some(("denytagged", action)) => tagged("Deny", action),
        Some(("thumb", digit)) => digit.repeat(40),
        Some(("federates", provider)) => format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow",
            "Action":"sts:AssumeRoleWithWebIdentity","Principal":{{"Federated":
            "arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"}}}}}}"#
        ),
        Some(("trusts", user)) => format!("trust:arn:aws:iam::{ACCOUNT}:user/{user}"),
        _ => word.to_owned(),
    }
}
