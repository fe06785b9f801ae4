//! The mutations: one for each promise that a single line keeps.
//!
//! **Must not know:** how they are carried out.

use crate::mutate::Mutation;

const SIM: &str = "-p sim --test sim every_seed_keeps_every_promise";

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "a write overwrites nothing that it has seen",
        file: "crates/crdt/src/state.rs",
        from: "covers(deps, &old.dot) || old.dot == dot;",
        to: "old.dot == dot;",
        caught_by: "-p crdt --test laws siblings_are_those_of_a_multi_value_register",
    },
    Mutation {
        name: "the write that comes last wins",
        file: "crates/crdt/src/state.rs",
        from: "covers(deps, &old.dot) || old.dot == dot;",
        to: "old.dot != dot || old.dot == dot;",
        caught_by: "-p crdt --test laws every_order_of_delivery_gives_the_same_bytes_and_digest",
    },
    Mutation {
        name: "the state applies what comes before its causes",
        file: "crates/crdt/src/state.rs",
        from: "dot.counter - 1 != applied || !dominates(&self.vector, deps)",
        to: "dot.counter - 1 != applied",
        caught_by: "-p crdt --test laws a_transaction_is_early_until",
    },
    Mutation {
        name: "the digest keeps what was overwritten",
        file: "crates/crdt/src/state.rs",
        from: "digest.subtract(bucket, slot_hash(key, siblings));",
        to: "",
        caught_by: "-p crdt --test laws every_order_of_delivery_gives_the_same_bytes_and_digest",
    },
    Mutation {
        name: "a join keeps what the other side overwrote",
        file: "crates/crdt/src/state.rs",
        from: "both || !covers(&other_vector, &sibling.dot)",
        to: "both || sibling.dot.counter > 0",
        caught_by: "-p crdt --test laws joining_two_states_equals_applying_both_logs",
    },
    Mutation {
        name: "a removal is forgotten before what is concurrent with it is here",
        file: "crates/crdt/src/state.rs",
        from: "*number > self.collected && dominates(&self.vector, cut)",
        to: "*number > self.collected && (cut.is_empty() || !cut.is_empty())",
        caught_by: "-p crdt --test collect",
    },
    Mutation {
        name: "a removal that is not stable is forgotten",
        file: "crates/crdt/src/state.rs",
        from: "siblings.iter().all(|s| covers(stable, &s.dot));",
        to: "siblings.iter().all(|s| covers(stable, &s.dot) || s.dot.counter > 0);",
        caught_by: "-p crdt --test collect",
    },
    Mutation {
        name: "what one member has is taken to be stable",
        file: "crates/replication/src/stability.rs",
        from: "crdt::meet(&durable);",
        to: "cut.clone();",
        caught_by: SIM,
    },
    Mutation {
        name: "the word of who has not heard of a removal counts",
        file: "crates/replication/src/stability.rs",
        from: "if progress.epoch < epoch {",
        to: "if progress.epoch > epoch {",
        caught_by: "-p replication --test stability a_word_that_was_given",
    },
    Mutation {
        name: "who has lost the right to a call meanwhile is not doubted",
        file: "crates/identity/src/doubt.rs",
        from: "if !covers(deps, &dot) {\n                if *change == Change::MayTake {",
        to: "if !covers(deps, &dot) {\n                if *change == Change::Gives {",
        caught_by: "-p identity --test it races::",
    },
    Mutation {
        name: "who relied on a doubted call is not doubted",
        file: "crates/identity/src/doubt.rs",
        from: "names.extend(&transaction.leads);",
        to: "",
        caught_by: "-p identity --test it who_relied_on_what",
    },
    Mutation {
        name: "a right does not rest on policies",
        file: "crates/identity/src/doubt.rs",
        from: "rests.extend(others(ATTACHMENT.tag(), owner));",
        to: "",
        caught_by: "-p identity --test it race::what_a_merge_allows",
    },
    Mutation {
        name: "who writes a doubted value again makes it certain",
        file: "crates/crdt/src/past.rs",
        from: "names.extend(by.map(|by| name(&by.dot)));",
        to: "drop(by);",
        caught_by: "-p crdt --test past",
    },
    Mutation {
        name: "what only doubted writers made must be",
        file: "crates/crdt/src/past.rs",
        from: "view.extend(first.map(|",
        to: "view.extend(first.filter(|_| view.is_empty()).map(|",
        caught_by: "-p crdt --test past",
    },
    Mutation {
        name: "a policy's version is made again once its removal is stable",
        file: "crates/identity/src/state.rs",
        from: "if field.tag == POLICY_VERSION.tag() { Fate::Keep }",
        to: "if field.tag == 0 { Fate::Keep }",
        caught_by: "-p identity --test it a_version_of_a_policy_is_never_another",
    },
    Mutation {
        name: "replication hands over what comes before its causes",
        file: "crates/replication/src/log.rs",
        from: "&& crdt::dominates(&self.applied, deps)",
        to: "&& deps.get(&dot.actor) <= self.applied.get(&dot.actor)",
        caught_by: SIM,
    },
    Mutation {
        name: "a reply does not wait for the flush",
        file: "crates/node/src/node.rs",
        from: "if applied <= self.durable_lsn() { 0 } else { applied };",
        to: "if applied > 0 { 0 } else { applied };",
        caught_by: SIM,
    },
    Mutation {
        name: "what is only in memory is acknowledged as durable and visible",
        file: "crates/replication/src/replication.rs",
        from: "let durable = self.log.durable().clone();",
        to: "let durable = self.log.applied().clone();",
        caught_by: SIM,
    },
    Mutation {
        name: "what is not durable leaves",
        file: "crates/replication/src/log.rs",
        from: "(from..=self.durable_lsn)",
        to: "(from..)",
        caught_by: "-p replication --test limits nothing_leaves_before_it_is_durable",
    },
    Mutation {
        name: "a wait settles on a roster that is known to be old",
        file: "crates/replication/src/wait.rs",
        from: "if self.newer_roster().is_some() {",
        to: "if self.newer_roster().is_some_and(|(_, epoch)| epoch == 0) {",
        caught_by: "-p replication --test wait nothing_has_propagated_while_a_peer_knows",
    },
    Mutation {
        name: "who joins during a wait is not awaited",
        file: "crates/replication/src/wait.rs",
        from: "                *newest = request.scope.groups(roster);\n",
        to: "",
        caught_by: "-p replication --test wait who_joins_or_begins_to_serve_during_a_wait",
    },
    Mutation {
        name: "a settled wait says yes at a roster that is known to be old",
        file: "crates/replication/src/wait.rs",
        from: "if self.newer_roster().is_none() => {",
        to: "if !first.is_empty() => {",
        caught_by: "-p replication --test wait a_yes_waits_for_the_newest_roster",
    },
    Mutation {
        name: "half of the writers are a quorum",
        file: "crates/replication/src/scope.rs",
        from: "needed: nodes.len() / 2 + 1",
        to: "needed: nodes.len() / 2",
        caught_by: SIM,
    },
    Mutation {
        name: "others are believed about a node that is heard directly",
        file: "crates/replication/src/heartbeat.rs",
        from: "} else if self.is_open(node) {",
        to: "} else if node == self.me {",
        caught_by: "-p replication --test wait others_are_believed_about_a_node_only",
    },
    Mutation {
        name: "an origin may leave out its own predecessor",
        file: "crates/replication/src/receive.rs",
        from: "deps.get(&dot.actor).checked_add(1) != Some(dot.counter)",
        to: "deps.get(&dot.actor) > dot.counter",
        caught_by: "-p replication --test limits forged",
    },
    Mutation {
        name: "a log that was cut off goes on writing",
        file: "crates/node/src/node.rs",
        from: "if self.replication.is_cut_off() {",
        to: "if self.replication.is_cut_off() && now_ms == 0 {",
        caught_by: "-p node --test sim a_node_that_lost_its_logs_tail_is_told_so",
    },
    Mutation {
        name: "a commit is acknowledged without a sync",
        file: "crates/store/src/committer.rs",
        from: "self.shared.with_engine(Engine::sync)?;",
        to: "",
        caught_by: "-p store --test store every_commit_has_a_sync_of_its_own",
    },
    Mutation {
        name: "a frame opens whatever its checksum says",
        file: "crates/store/src/frame.rs",
        from: "if frame.get(5..) == Some(check_of(version, stem, &[&body]).as_slice()) {",
        to: "if frame.get(5..).is_some() {",
        caught_by: "-p store --lib a_frame_opens_only_whole_unchanged_and_under_its_own_key",
    },
    Mutation {
        name: "attaching what is attached writes nothing",
        file: "crates/identity/src/attachment.rs",
        from: "    writes.put_of(&ATTACHMENT, entity.id, id.as_str(), &v1::Edge {});",
        to: "    if attached.iter().any(|(other, _)| **other == *id.as_str()) {
        return Ok(Outcome::written(Writes::new(account), Reply::Done));
    }
    writes.put_of(&ATTACHMENT, entity.id, id.as_str(), &v1::Edge {});",
        caught_by: "-p identity --test it",
    },
    Mutation {
        name: "a contested field reads as one of its sides",
        file: "crates/identity/src/read.rs",
        from: "Self::Absent | Self::Contested(_) => None,",
        to: "Self::Absent => None,
            Self::Contested(sides) => sides.iter().flatten().next(),",
        caught_by: "-p identity --test it races::",
    },
    Mutation {
        name: "joining a group does not rely on the group",
        file: "crates/identity/src/group.rs",
        from: "    writes.reassert_head(identity, group.id);",
        to: "",
        caught_by: "-p identity --test it races::",
    },
    Mutation {
        name: "a contested attachment still allows",
        file: "crates/identity/src/effective.rs",
        from: "let edge = certain.and(Certainty::of(edge.must().is_some()));",
        to: "let edge = certain.and(Certainty::of(edge.is_possible()));",
        caught_by: "-p identity --test it attach_and_detach_of_an_allow_grants_nothing",
    },
    Mutation {
        name: "a group that may be deleted still allows",
        file: "crates/identity/src/effective.rs",
        from: "Certainty::of(edge.must().is_some() && identity.can_act(group));",
        to: "Certainty::of(edge.must().is_some());",
        caught_by: "-p identity --test it a_group_deleted_while_a_user_joins_gives_only",
    },
    Mutation {
        name: "a contested key authenticates",
        file: "crates/identity/src/credential.rs",
        from: "let usable = record.must().is_some() && active && can_act;",
        to: "let usable = record.is_possible() && can_act;",
        caught_by: "-p identity --test it races::",
    },
    Mutation {
        name: "a condition on what is contested does not deny",
        file: "crates/policy/src/evaluate.rs",
        from: "&& statement.applies(request, budget) != Truth::False",
        to: "&& statement.applies(request, budget) == Truth::True",
        caught_by: "-p policy --test evaluate contested_keys_and_variables",
    },
    Mutation {
        name: "one side of a contested document is enough to allow",
        file: "crates/policy/src/evaluate.rs",
        from: "self.alternatives.iter().map(first).collect::<Option<Vec<_>>>().unwrap_or_default()",
        to: "self.alternatives.iter().filter_map(first).collect::<Vec<_>>()",
        caught_by: "-p policy --test evaluate a_contested_document_allows_what_all_sides_allow",
    },
    Mutation {
        name: "a change that does not allow is called a near miss",
        file: "crates/policy/src/explain.rs",
        from: "self.allows(&context).then(|| NearMiss {",
        to: "Some(()).map(|()| NearMiss {",
        caught_by: "-p policy --test explain an_explanation_is_true",
    },
    Mutation {
        name: "a pattern is called redundant that says more",
        file: "crates/policy/src/lint/statement.rs",
        from: "(Some('?'), Some(c)) if c != '*' => {",
        to: "(Some('?'), Some(c)) if c != ' ' => {",
        caught_by: "-p policy --lib what_one_pattern_is_said_to_cover_it_matches",
    },
    Mutation {
        name: "who settles a conflict is not asked for the right to",
        file: "crates/identity/src/conflict/ways.rs",
        from: "Way::Call(command) => command,",
        to: "Way::Call(command) => {
            let root = crate::Caller { principal: crate::Principal::Root, ..ctx.caller.clone() };
            let ctx = &Ctx { caller: &root, ..*ctx };
            let outcome = execute(identity, ctx, &command)?;
            let Outcome::Write { writes, reply: _ } = outcome else { return Ok(Vec::new()) };
            return Ok(writes);
        }",
        caught_by: "-p identity --test it who_settles_a_conflict_needs_the_right",
    },
    Mutation {
        name: "a conflict's id does not name its sides",
        file: "crates/identity/src/conflict/inbox.rs",
        from: "hash.part(&sibling.dot.counter.to_be_bytes());",
        to: "",
        caught_by: "-p identity --test it two_who_settle_one_conflict_differently_make_another",
    },
    Mutation {
        name: "the inbox does not look again at what was deleted",
        file: "crates/identity/src/index.rs",
        from: "if self.touched.last() == Some(&touch) {",
        to: "if self.touched.last().is_some() {",
        caught_by: "-p identity --test it conflicts",
    },
];
