//! Runs a history, one step a line, and says what came of each.
//!
//! `[a:|b:] CALLER Action arguments…` is a call at a node (a, if none is named); `sync` exchanges
//! all transactions; `[b:] may PRINCIPAL action resource key=value…` asks for a decision, `[b:]
//! auth keyN` whether the Nth key that was made authenticates. `conflicts` shows the open ones,
//! `events` what was told of them since; `CALLER Resolve KIND CHOICE`, with an id for the kind or
//! the first of that kind, settles one. `decide` has the control plane decide what the node
//! proposes about names, and tells every node; `settle` has it forget what it need not keep.
//! `verdict` says what is decided about all names. `collect` exchanges all and forgets what is stable; it says how many slots are left. `quiet`
//! before a step leaves it out of what is said. `open NAME [b:] CALLER Action…` keeps the session that a
//! call gives, for `NAME` to call with.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use crdt::{Barrier, Dot, Hlc, NodeId, covers};
use identity::{
    AccountInfo, Accounts, Caller, CheckRequest, Command, Conflict, ConflictEvent, ConflictId, Ctx,
    Error, Identity, KeyRing, LostName, NameProposal, NameVerdict, Names, NamesOf, Outcome, Page,
    Prepared, Principal, Query, Reply, RequestContext, Session, Whose,
    access_key::{AccessKey, Status},
    authenticate_key, check,
    conflict::{Choice, ConflictEntity, Resolve, Review, ReviewedWrite, Side, WayOut},
    execute, open_session, query, verdict,
};
use model::{AccountId, Credential, Entropy, Timestamp, UniqueId, UniqueIdKind};
use wire::{
    snapshot::Restored,
    transaction::{Meta, Transaction},
};

use crate::{
    parse::{Call, parse},
    parse_mfa::SEED,
};

pub(crate) const ACCOUNT: &str = "123456789012";
/// The time at which histories begin.
pub(crate) const BEGIN_SECS: u64 = 1_700_000_000;

/// One replica.
#[derive(Default)]
pub(crate) struct Replica {
    pub(crate) identity: Identity,
    log: Vec<Arc<Transaction>>,
    /// What was told of conflicts and not asked for yet.
    events: Vec<ConflictEvent>,
    names: Arc<Names>,
    /// Policies of whoever was asked about: while they stand they say what the state says.
    prepared: BTreeMap<UniqueId, Arc<Prepared>>,
}

/// Two replicas and what clients know.
pub(crate) struct History {
    pub(crate) replicas: [Replica; 2],
    pub(crate) accounts: Accounts,
    pub(crate) keys: KeyRing,
    pub(crate) request: RequestContext,
    pub(crate) made_keys: Vec<String>,
    /// Sessions that were kept, by name.
    opened: BTreeMap<String, Caller>,
    steps: u64,
}

impl History {
    /// The last transaction that the first node has, in words.
    pub(crate) fn review(&self) -> String {
        let [Replica { identity, log, .. }, _] = &self.replicas;
        let Some(last) = log.last() else { return String::new() };
        let Review { author: _, author_arn, credential, at: _, action, writes } =
            identity.review(last);
        let author = author_arn.unwrap_or_default();
        let mut text = format!("{action} by {author}, {credential}\n");
        for ReviewedWrite { entity, field, value, document } in writes {
            let ConflictEntity { noun, name, arn, id: _ } = entity;
            let key = if noun == "access key" { "…" } else { &name };
            writeln!(text, "  {noun} {key} ({arn}), {field}: {value}").unwrap();
            document.into_iter().for_each(|text_of| writeln!(text, "    {text_of}").unwrap());
        }
        text
    }

    pub(crate) fn new() -> Self {
        let info = AccountInfo { created: Timestamp::from_secs(1_000_000_000), alias: None };
        let accounts = [ACCOUNT, "222222222222"].map(|text| (text.parse().unwrap(), info.clone()));
        Self {
            replicas: Default::default(),
            accounts: Accounts(BTreeMap::from(accounts)),
            keys: KeyRing::new(vec![(1, [9; 32])], 1),
            request: RequestContext {
                source_ip: Some("192.0.2.1".parse().unwrap()),
                secure_transport: true,
                region: "us-east-1".to_owned(),
                user_agent: String::new(),
            },
            made_keys: Vec::new(),
            opened: BTreeMap::new(),
            steps: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_secs(BEGIN_SECS + self.steps)
    }

    fn entropy(&self) -> Entropy {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.steps.to_be_bytes());
        Entropy::new(seed)
    }

    /// Runs steps; gives a line for each that is not quiet.
    pub(crate) fn run(&mut self, steps: &str) -> String {
        let mut said = String::new();
        for line in steps.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (quiet, step) = match line.strip_prefix("quiet ") {
                Some(step) => (true, step),
                None => (false, line),
            };
            let outcome = self.step(step);
            if !quiet && step != "sync" {
                writeln!(said, "{step}\n    {outcome}").unwrap();
            }
        }
        said
    }

    fn step(&mut self, step: &str) -> String {
        self.steps += 1;
        let (node, step) = match step.split_at_checked(2) {
            Some(("a:", rest)) => (0, rest.trim()),
            Some(("b:", rest)) => (1, rest.trim()),
            _ => (0, step),
        };
        let words: Vec<&str> = step.split(' ').collect();
        match words.as_slice() {
            ["sync"] => {
                self.sync();
                String::new()
            }
            ["collect"] => self.collect(),
            ["may", principal, action, resource, context @ ..] => {
                let context = context.iter().map(|entry| {
                    let (key, value) = entry.split_once('=').unwrap();
                    let values = (!value.is_empty()).then(|| value.to_owned());
                    (key.to_owned(), values.into_iter().collect())
                });
                self.may(node, (principal, action, resource), context.collect())
            }
            ["auth", key] => {
                let id =
                    &self.made_keys[key.strip_prefix("key").unwrap().parse::<usize>().unwrap() - 1];
                let replica = &self.replicas[node];
                match authenticate_key(&replica.identity, &self.keys, id) {
                    Some((caller, secret)) => {
                        assert_eq!(secret.expose().len(), 40);
                        format!("yes, {}", caller.arn(&replica.identity))
                    }
                    None => "no".to_owned(),
                }
            }
            ["open", name, call @ ..] => self.open(name, call),
            ["decide"] => self.decide(node),
            ["settle"] => self.settle(node),
            ["verdict"] => {
                let identity = &self.replicas[node].identity;
                let upto = identity.state().vector().clone();
                let asked = NamesOf::Account { account: ACCOUNT.parse().ok(), upto };
                match identity.name_verdict(&asked) {
                    NameVerdict::Lost(lost) => {
                        let told =
                            |name: &LostName| (name.name.fold.clone(), name.holder.is_some());
                        format!("lost {:?}", lost.iter().map(told).collect::<Vec<_>>())
                    }
                    other => format!("{other:?}"),
                }
            }
            ["conflicts"] => self.conflicts(node),
            ["events"] => {
                let events = std::mem::take(&mut self.replicas[node].events);
                let said =
                    events.iter().map(|event| format!("{} {:?}", event.kind.word(), event.change));
                said.collect::<Vec<_>>().join(", ")
            }
            [caller, "Resolve", which, choice] => match self.resolve(node, caller, which, choice) {
                Ok(reply) => show(&reply),
                Err(error) => format!("{error:?}"),
            },
            [caller, action, arguments @ ..] => {
                let call = parse(action, arguments, &self.made_keys);
                match self.call(node, caller, &call) {
                    Ok(reply) => show(&reply),
                    Err(error) => format!("{error:?}"),
                }
            }
            _ => panic!("no step: {step}"),
        }
    }

    fn may(
        &mut self,
        node: usize,
        (principal, action, resource): (&str, &str, &str),
        context: Vec<(String, Vec<String>)>,
    ) -> String {
        let request = CheckRequest {
            principal: principal.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            context,
        };
        let now = self.now();
        let Replica { identity, prepared, .. } = &mut self.replicas[node];
        let of = |caller: &Caller| {
            let id = caller.unique_id();
            if !prepared.get(&id).is_some_and(|prepared| prepared.stands(identity)) {
                prepared.insert(id, Arc::new(Prepared::new(identity, caller)?));
            }
            prepared.get(&id).cloned()
        };
        let verdict = verdict(identity, &self.accounts, now, &request, of);
        let decided = check(identity, &self.accounts, now, &request);
        assert_eq!(verdict, decided.map(|decision| decision.verdict), "{request:?}");
        match verdict {
            Ok(verdict) => format!("{verdict:?}"),
            Err(error) => format!("{error:?}"),
        }
    }

    /// The first that is listed has a name, if nobody has it; `node::control` has the rules.
    fn decide(&mut self, node: usize) -> String {
        let replica = &self.replicas[node];
        let safe = replica.identity.state().vector();
        let proposal = replica.identity.propose_names(Whose::Anybodys, safe);
        let Some(NameProposal { claims, released, settled: _ }) = proposal else {
            return "nothing".to_owned();
        };
        let mut names = (*replica.names).clone();
        let seen = replica.identity.state().vector();
        for (name, claim) in &released {
            let decision = names.decisions.get_mut(name).unwrap();
            decision.holder.take_if(|holder| holder == claim);
            decision.lost.retain(|lost| lost != claim);
        }
        names.decisions.retain(|_, d| d.holder.is_some() || !d.lost.is_empty());
        for (name, claim) in &claims {
            let settled = covers(&names.settled, &claim.dot);
            let mut known = names.decisions.get(name).map_or(Vec::new(), |d| d.lost.clone());
            known.extend(names.decisions.get(name).and_then(|d| d.holder));
            let live = claims.iter().filter(|(of, _)| of == name);
            let live: Vec<UniqueId> = live.map(|(_, claim)| claim.id).collect();
            let decision = names.decisions.entry(name.clone()).or_default();
            decision.holder.take_if(|h| covers(seen, &h.dot) && !live.contains(&h.id));
            match decision.holder {
                _ if known.contains(claim) => {}
                None => decision.holder = Some(*claim),
                Some(holder) if settled && !known.contains(&holder) => unreachable!("{name:?}"),
                Some(holder) if holder.id != claim.id => decision.lost.push(*claim),
                Some(_) => {}
            }
        }
        self.tell(names);
        format!("{} claimed, {} released", claims.len(), released.len())
    }

    fn settle(&mut self, node: usize) -> String {
        let replica = &self.replicas[node];
        let mut names = (*replica.names).clone();
        names.settled = replica.identity.state().vector().clone();
        let before = names.decisions.len();
        names.decisions.retain(|_, decision| !decision.lost.is_empty());
        let said = format!("{} of {before} kept", names.decisions.len());
        self.tell(names);
        said
    }

    fn tell(&mut self, names: Names) {
        let names = Arc::new(names);
        for replica in &mut self.replicas {
            replica.names = Arc::clone(&names);
            replica.events.extend(replica.identity.set_names(Arc::clone(&names)));
        }
        self.check_indexes();
    }

    /// All open conflicts of the account, as they are shown.
    fn conflicts(&self, node: usize) -> String {
        let account = ACCOUNT.parse().unwrap();
        let identity = &self.replicas[node].identity;
        let mut said = String::new();
        for brief in identity.conflicts(account, &Page::default()).items {
            let whole = identity.conflict(account, brief.id).unwrap();
            let Conflict { id: _, kind, entity, field, sides, withheld, ways_out } = &whole;
            let ConflictEntity { noun, name, arn: _, id: _ } = entity;
            let name = if name.starts_with("AKIA") { "AKIA…" } else { name };
            write!(said, "\n    {}: {noun} {name}, {field}", kind.word()).unwrap();
            for side in sides {
                let Side { node, seq: _, author: _, author_arn, action, value, .. } = side;
                let author = author_arn.as_ref().map_or("nobody", |arn| &arn[13..]);
                let value = hide(value);
                write!(said, "\n      node {}, {author}, {action}: {value}", node.0).unwrap();
            }
            write!(said, "\n      withheld: {withheld}").unwrap();
            for WayOut { choice, actions } in ways_out {
                let choice = choice.map_or("by a call".to_owned(), |choice| choice.to_string());
                write!(said, "\n      {choice}: {}", actions.join(" ")).unwrap();
            }
        }
        if said.is_empty() { "none".to_owned() } else { said.trim_start().to_owned() }
    }

    /// The id of an open conflict of a kind.
    pub(crate) fn conflict_id(&self, node: usize, kind: &str) -> ConflictId {
        let account = ACCOUNT.parse().unwrap();
        let open = self.replicas[node].identity.conflicts(account, &Page::default()).items;
        open.iter().find(|conflict| conflict.kind.word() == kind).unwrap().id
    }

    fn resolve(
        &mut self,
        node: usize,
        caller: &str,
        which: &str,
        choice: &str,
    ) -> Result<Reply, Error> {
        let choice = match choice.parse() {
            Ok(number) => Choice::Side(number),
            Err(_) => Choice::Remove,
        };
        let id = which.parse().unwrap_or_else(|_| self.conflict_id(node, which));
        let caller = self.caller(node, caller);
        self.execute(node, &caller, &Command::ResolveConflict(Resolve { id, choice }))
    }

    /// The caller named `root`, `root@ACCOUNT`, a user's name, `role:NAME`, or `session:` and one
    /// of the first three for a session of `GetSessionToken`.
    pub(crate) fn caller(&self, node: usize, text: &str) -> Caller {
        if let Some(opened) = self.opened.get(text) {
            return opened.clone();
        }
        let (name, account) = text.split_once('@').unwrap_or((text, ACCOUNT));
        let account: AccountId = account.parse().unwrap();
        let find = |kind, name: &str| self.find(node, account, kind, name);
        if let Some(owner) = text.strip_prefix("session:") {
            return self.session(node, owner);
        }
        let (principal, session) = match name.split_once(':') {
            _ if name == "root" => (Principal::Root, None),
            Some(("role", role)) => {
                let session = Session {
                    name: "sess".to_owned(),
                    policies: Vec::new(),
                    policy_ids: Vec::new(),
                    parent_key: None,
                    tags: Vec::new(),
                    issued: self.now(),
                    expires: self.now().plus_ms(1),
                    source_identity: String::new(),
                    second_factor: None,
                    federation: None,
                };
                (Principal::Role(find(UniqueIdKind::Role, role)), Some(session))
            }
            _ => (Principal::User(find(UniqueIdKind::User, name)), None),
        };
        let credential = match principal {
            Principal::Root => self.key(node, account, &[]),
            Principal::User(_) => self.key(node, account, &[name]),
            Principal::Role(_) => None,
        };
        let credential = credential.map_or(Credential::Node(0), Credential::AccessKey);
        Caller { account, principal, credential, session }
    }

    /// Makes a call that gives a session, and keeps that.
    fn open(&mut self, name: &str, call: &[&str]) -> String {
        let (node, call) = match call {
            ["b:", call @ ..] => (1, call),
            _ => (0, call),
        };
        let [caller, action, arguments @ ..] = call else { panic!("a call") };
        let made = match self.call(node, caller, &parse(action, arguments, &self.made_keys)) {
            Ok(Reply::GetSessionToken(credentials)) => credentials,
            Ok(Reply::AssumeRole(assumed)) => assumed.credentials,
            Ok(other) => panic!("{other:?} is no session"),
            Err(error) => return format!("{error:?}"),
        };
        let (identity, key) = (&self.replicas[node].identity, made.access_key_id.to_string());
        let token = made.session_token.expose();
        let (caller, _) = open_session(identity, &self.keys, token, &key, self.now()).unwrap();
        self.opened.insert(name.to_owned(), caller);
        "opened".to_owned()
    }

    /// A session of a caller with an access key.
    fn session(&self, node: usize, owner: &str) -> Caller {
        let Call::Query(get) = parse("GetSessionToken", &[], &[]) else { panic!("a query") };
        let Reply::GetSessionToken(made) =
            self.query(node, &self.caller(node, owner), &get).unwrap()
        else {
            panic!("credentials")
        };
        let (identity, key) = (&self.replicas[node].identity, made.access_key_id.to_string());
        open_session(identity, &self.keys, made.session_token.expose(), &key, self.now()).unwrap().0
    }

    /// An active access key of a user, or of root.
    fn key(&self, node: usize, account: AccountId, owner: &[&str]) -> Option<UniqueId> {
        let Call::Query(list) = parse("ListAccessKeys", owner, &[]) else { panic!("a query") };
        match self.query(node, &root(account), &list) {
            Ok(Reply::ListAccessKeys(listing)) => {
                let active = |key: &&AccessKey| key.status == Status::Active;
                listing.items.iter().find(active).map(|key| key.id)
            }
            other => panic!("{owner:?}: {other:?}"),
        }
    }

    /// The unique id behind a name, as `root` sees it.
    pub(crate) fn find(
        &self,
        node: usize,
        account: AccountId,
        kind: UniqueIdKind,
        name: &str,
    ) -> UniqueId {
        let action = if kind == UniqueIdKind::User { "GetUser" } else { "GetRole" };
        let Call::Query(get) = parse(action, &[name], &[]) else { panic!("a query") };
        match self.query(node, &root(account), &get) {
            Ok(Reply::GetUser(identity::user::GotUser::User(user))) => user.id,
            Ok(Reply::GetRole(role)) => role.id,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The unique ids of all users.
    pub(crate) fn ids_of_users(&self, node: usize) -> Vec<UniqueId> {
        let Call::Query(list) = parse("ListUsers", &[], &[]) else { panic!("a query") };
        match self.query(node, &root(ACCOUNT.parse().unwrap()), &list) {
            Ok(Reply::ListUsers(users)) => users.items.into_iter().map(|user| user.id).collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn query(
        &self,
        node: usize,
        caller: &Caller,
        asked: &Query,
    ) -> Result<Reply, Error> {
        let entropy = self.entropy();
        let Self { request, keys, accounts, .. } = self;
        let ctx = Ctx { now: self.now(), entropy: &entropy, caller, request, keys, accounts };
        query(&self.replicas[node].identity, &ctx, asked)
    }

    pub(crate) fn call(&mut self, node: usize, caller: &str, call: &Call) -> Result<Reply, Error> {
        let caller = self.caller(node, caller);
        match call {
            Call::Query(asked) => self.query(node, &caller, asked),
            Call::Command(command) => self.execute(node, &caller, command),
        }
    }

    pub(crate) fn execute(
        &mut self,
        node: usize,
        caller: &Caller,
        command: &Command,
    ) -> Result<Reply, Error> {
        let entropy = self.entropy();
        let now = self.now();
        let Self { request, keys, accounts, .. } = &*self;
        let ctx = Ctx { now, entropy: &entropy, caller, request, keys, accounts };
        let identity = &self.replicas[node].identity;
        let outcome = execute(identity, &ctx, command)?;
        // Equal state and context give equal writes.
        assert_eq!(execute(identity, &ctx, command), Ok(outcome.clone()));
        match outcome {
            Outcome::Control { change, reply } => {
                assert_eq!(reply, Reply::Done);
                self.control(change);
                Ok(reply)
            }
            Outcome::Write { writes, reply } => {
                self.made_keys.extend(made_key(&reply));
                assert!(!writes.is_empty(), "{} wrote nothing", command.action());
                self.commit(node, caller, command.action(), writes);
                Ok(reply)
            }
        }
    }

    fn control(&mut self, change: identity::ControlChange) {
        let (account, alias) = match change {
            identity::ControlChange::SetAlias { account, alias } => (account, Some(alias)),
            identity::ControlChange::RemoveAlias { account, alias: _ } => (account, None),
        };
        self.accounts.0.get_mut(&account).unwrap().alias = alias;
    }

    pub(crate) fn commit(
        &mut self,
        node: usize,
        caller: &Caller,
        action: &str,
        writes: Vec<crdt::Write>,
    ) {
        let replica = &mut self.replicas[node];
        let deps = replica.identity.state().vector().clone();
        let origin = NodeId(u32::try_from(node).unwrap() + 1);
        let dot = Dot::new(origin, deps.get(&origin) + 1);
        let meta = Meta {
            hlc: Hlc::default().tick(self.steps),
            author: caller.author(),
            request_id: String::new(),
            action: action.to_owned(),
        };
        let transaction = Arc::new(Transaction { dot, deps, meta: Arc::new(meta), writes });
        replica.events.extend(replica.identity.apply(&transaction).unwrap());
        replica.log.push(transaction);
        self.check_indexes();
    }

    /// Exchanges what the replicas lack. Both then hold the same bytes.
    pub(crate) fn sync(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let log = self.replicas[from].log.clone();
            for transaction in log {
                let replica = &mut self.replicas[to];
                if let Ok(events) = replica.identity.apply(&transaction) {
                    replica.log.push(transaction);
                    replica.events.extend(events);
                }
            }
        }
        let [a, b] = &self.replicas;
        assert_eq!(a.identity.state().canonical_bytes(), b.identity.state().canonical_bytes());
        for account in self.accounts.0.keys() {
            let all = |replica: &Replica| replica.identity.conflicts(*account, &Page::default());
            assert_eq!(all(a), all(b), "conflicts are the same at every node");
        }
        self.check_indexes();
    }

    /// Exchanges everything, after which nothing is concurrent with what will come.
    fn collect(&mut self) -> String {
        self.sync();
        for replica in &mut self.replicas {
            let all = replica.identity.state().vector().clone();
            let barrier = Barrier { number: self.steps, stable: all.clone(), cut: all };
            replica.events.extend(replica.identity.collect(&barrier).unwrap());
        }
        self.check_indexes();
        let [a, b] = &self.replicas;
        assert_eq!(a.identity.state().digest(), b.identity.state().digest());
        format!("{} slots", a.identity.state().range(&[]).count())
    }

    /// State and indexes are the same whether kept up or restored from a snapshot.
    fn check_indexes(&self) {
        for Replica { identity, names, .. } in &self.replicas {
            let snapshot = wire::snapshot::encode(identity.state(), &identity.keep());
            let Restored { state, doubts } = wire::snapshot::decode(&snapshot).unwrap();
            assert!(state.range(&[]).eq(identity.state().range(&[])));
            let mut anew = Identity::restore(state, doubts).unwrap();
            anew.set_names(Arc::clone(names));
            assert_eq!(format!("{anew:?}"), format!("{identity:?}"));
        }
    }
}

/// The id of the access key or other credential of a user that a reply tells of.
pub(crate) fn made_key(reply: &Reply) -> Option<String> {
    match reply {
        Reply::CreateAccessKey(key) => Some(key.id.to_string()),
        Reply::UploadSSHPublicKey(key) => Some(key.metadata.id.clone()),
        Reply::CreateServiceSpecificCredential(new) => Some(new.credential.id.clone()),
        Reply::UploadSigningCertificate(certificate) => Some(certificate.id.clone()),
        Reply::CreateVirtualMFADevice(new) => {
            let hex: String = new.seed.expose().iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("{SEED}{hex}"))
        }
        _ => None,
    }
}

/// An account's root user.
pub(crate) fn root(account: AccountId) -> Caller {
    let credential = Credential::Node(0);
    Caller { account, principal: Principal::Root, credential, session: None }
}

/// A reply without what differs for no reason of the test's: unique ids and dates.
pub(crate) fn show(reply: &Reply) -> String {
    let text = match reply {
        Reply::Done => "done".to_owned(),
        other => format!("{other:?}"),
    };
    let mut shown = String::new();
    for word in text.split_inclusive([' ', ':', '"', ',', '(']) {
        let bare = word.trim_end_matches([' ', ':', '"', ',', '(']);
        let is_id = bare.len() > 19 && bare.parse::<UniqueId>().is_ok();
        match bare.get(..4).filter(|_| is_id) {
            Some(prefix) => write!(shown, "{prefix}…{}", &word[bare.len()..]).unwrap(),
            None => shown.push_str(word),
        }
    }
    while let Some(at) = shown.find("Timestamp(") {
        let end = shown[at..].find(')').unwrap() + at;
        shown.replace_range(at..=end, "T");
    }
    shown
}

/// Without what differs for no reason of the test's.
fn hide(value: &str) -> String {
    let dated = value.split_once(" at ").map(|(what, _)| format!("{what} at T"));
    let value = dated.unwrap_or_else(|| value.to_owned());
    let is_id = |word: &str| word.trim_matches(['(', ')']).parse::<UniqueId>().is_ok();
    let word = |word: &str| if is_id(word) { "ID".to_owned() } else { word.to_owned() };
    value.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Runs a history and compares what it says.
pub(crate) fn check_history(steps: &str, expected: expect_test::Expect) {
    expected.assert_eq(&History::new().run(steps));
}
