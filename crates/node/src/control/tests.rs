//! The rules, as logs of commands and what they answer.

use expect_test::{Expect, expect};
use wire::v1::{self, control_command::Command as C, control_reply::Reply};

use super::*;

/// `commands` is one command a line; each answers one line, then the state is shown.
fn check(commands: &str, expected: Expect) {
    let mut state = ControlState::default();
    let mut shown = String::new();
    for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let before = state.clone();
        let reply = state.apply(&command(line)).reply.unwrap();
        shown += &match reply {
            Reply::Done(_) => "done\n".to_owned(),
            Reply::Added(entry) => format!("node {} epoch {}\n", entry.node, entry.epoch),
            Reply::Refused(refusal) => {
                assert_eq!(state, before, "a refused command changes nothing");
                let refusal = ControlRefusal::try_from(refusal).unwrap();
                let name = refusal.as_str_name().trim_start_matches("CONTROL_REFUSAL_");
                format!("{}\n", name.to_lowercase())
            }
        };
        let decoded = ControlState::decode(&state.encode()).unwrap();
        assert_eq!(decoded.encode(), state.encode());
        assert_eq!(decoded, state);
    }
    for entry in state.roster.values() {
        let RosterEntry { node, epoch, role, state, grpc_address, .. } = entry;
        shown += &format!("{node}: {role:?} {state:?} {grpc_address} e{epoch}\n");
    }
    for (id, account) in &state.accounts {
        let alias = account.alias.as_ref().map_or("-", |alias| alias.as_str());
        shown += &format!("{id} {alias}\n");
    }
    if let Barrier { number: number @ 1.., stable, cut } = &state.barrier {
        shown += &format!("barrier {number}: {stable} of {cut}\n");
    }
    expected.assert_eq(&shown);
}

fn command(line: &str) -> v1::ControlCommand {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let node = |at: usize| u32::try_from(number(at)).unwrap();
    let command = match words[0] {
        "init" => C::InitCluster(init(words[1])),
        "token" => C::CreateJoinToken(v1::CreateJoinToken {
            hash: vec![words[1].as_bytes()[0]; 32],
            role: role(words[2]),
            expires_ms: number(3),
        }),
        "add" => C::AddNode(v1::AddNode {
            token_hash: vec![words[1].as_bytes()[0]; 32],
            entry: Some(entry(words[2], role(words[3]))),
            now_ms: number(4),
        }),
        "activate" => C::ActivateNode(v1::ActivateNode { node: node(1) }),
        "update" => C::UpdateNode(v1::UpdateNode {
            node: node(1),
            grpc_address: words[2].into(),
            aws_address: String::new(),
        }),
        "remove" => C::RemoveNode(v1::RemoveNode { node: node(1) }),
        "account" => C::CreateAccount(v1::CreateAccount {
            account: number(1),
            created_ms: words.get(2).map_or(1, |ms| ms.parse().unwrap()),
        }),
        "alias" => C::SetAlias(v1::SetAlias { account: number(1), alias: words[2].into() }),
        "barrier" => {
            let vector = |text: &str| {
                let dot = |dot: &str| {
                    let (node, seq) = dot.split_once('.').unwrap();
                    v1::Dot { node: node.parse().unwrap(), seq: seq.parse().unwrap() }
                };
                v1::VersionVector { dots: text.split(',').map(dot).collect() }
            };
            let (stable, cut) = (Some(vector(words[2])), Some(vector(words[3])));
            C::AdvanceBarrier(v1::AdvanceBarrier { epoch: number(1), stable, cut })
        }
        "unalias" => C::RemoveAlias(v1::RemoveAlias { account: number(1), alias: words[2].into() }),
        other => panic!("no command `{other}`"),
    };
    v1::ControlCommand { command: Some(command), request_id: Vec::new() }
}

fn role(word: &str) -> i32 {
    let role = match word {
        "writer" => v1::Role::Writer,
        "replica" => v1::Role::Replica,
        _ => v1::Role::Unspecified,
    };
    role.into()
}

fn entry(digit: &str, role: i32) -> v1::RosterEntry {
    v1::RosterEntry {
        node: 77,
        epoch: 77,
        role,
        state: v1::NodeState::Active.into(),
        region: "r".into(),
        grpc_address: format!("host{digit}:1"),
        aws_address: String::new(),
        certificate: digit.repeat(64),
    }
}

fn init(cluster_id: &str) -> v1::InitCluster {
    let data_key = v1::DataKey { id: 1, nonce: vec![0; 12], sealed_key: vec![0; 48] };
    v1::InitCluster {
        cluster_id: cluster_id.into(),
        key_ring: Some(v1::KeyRing {
            data_keys: vec![data_key],
            token_mac_key: vec![5; 32],
            current: 1,
        }),
        ca_certificate: vec![1],
        ca_key: None,
        first_node: Some(entry("0", role("writer"))),
    }
}

#[test]
fn a_cluster_begins_once_and_nothing_comes_before() {
    check(
        "account 1
         token a writer 100
         init c
         init d",
        expect![[r#"
            malformed
            malformed
            node 1 epoch 1
            already_initialized
            1: Writer Active host0:1 e1
        "#]],
    );
}

#[test]
fn a_token_admits_one_node_in_its_role_before_it_expires() {
    check(
        "init c
         token a writer 100
         add b 1 writer 99
         add a 1 replica 99
         add a 1 writer 100
         add a 0 writer 99
         add a g writer 99
         add a 1 none 99
         add a 1 writer 99
         add a 2 writer 99
         token z none 100
         token b replica 100
         token b writer 100
         add b 2 replica 1",
        expect![[r#"
            node 1 epoch 1
            done
            token_unknown
            token_role
            token_expired
            malformed
            malformed
            token_role
            node 2 epoch 2
            token_unknown
            malformed
            done
            malformed
            node 3 epoch 3
            1: Writer Active host0:1 e1
            2: Writer Joining host1:1 e2
            3: Replica Joining host2:1 e3
        "#]],
    );
}

#[test]
fn ids_are_not_used_again_and_the_epoch_counts_changes_of_the_roster() {
    check(
        "init c
         remove 1
         token a writer 100
         add a 1 writer 0
         activate 2
         activate 2
         update 2 other:2
         update 2 other:2
         remove 2
         remove 2
         activate 2
         update 2 x:1
         remove 9
         token a writer 100
         add a 1 writer 0",
        expect![[r#"
            node 1 epoch 1
            last_writer
            done
            node 2 epoch 2
            done
            done
            done
            done
            done
            done
            node_unknown
            node_unknown
            node_unknown
            done
            node 3 epoch 6
            1: Writer Active host0:1 e1
            2: Writer Removed other:2 e5
            3: Writer Joining host1:1 e6
        "#]],
    );
}

#[test]
fn a_barrier_is_of_the_roster_that_the_log_has_and_never_goes_back() {
    check(
        "init c
         token a writer 100
         add a 1 writer 1
         barrier 1 1.4 1.5
         barrier 2 1.4 1.5
         barrier 2 1.4 1.9
         barrier 2 1.3 1.9
         barrier 2 1.7 1.6
         barrier 2 1.4 3.1
         activate 2
         barrier 2 1.8 1.9
         barrier 3 1.8,2.1 1.9,2.2",
        expect![[r#"
            node 1 epoch 1
            done
            node 2 epoch 2
            roster_changed
            done
            done
            done
            malformed
            malformed
            done
            roster_changed
            done
            1: Writer Active host0:1 e1
            2: Writer Active host1:1 e3
            barrier 2: <1:8, 2:1> of <1:9, 2:2>
        "#]],
    );
}

#[test]
fn an_alias_has_one_account() {
    check(
        "init c
         account 1
         account 1
         account 2
         account 1000000000000
         alias 1 acme
         alias 2 acme
         alias 1 acme
         alias 3 other
         alias 2 Bad
         unalias 2 acme
         alias 1 other
         alias 2 acme
         unalias 1 other
         unalias 4 x",
        expect![[r#"
            node 1 epoch 1
            done
            account_exists
            done
            malformed
            done
            alias_taken
            done
            account_unknown
            malformed
            alias_unknown
            done
            done
            done
            account_unknown
            1: Writer Active host0:1 e1
            000000000001 -
            000000000002 acme
        "#]],
    );
}

#[test]
fn join_tokens_are_limited_and_the_first_to_expire_makes_room() {
    let mut state = ControlState::default();
    state.apply(&command("init c"));
    let create = |number: usize| {
        let mut hash = vec![0; 32];
        hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let expires_ms = 1_000_000 - number as u64;
        let token = v1::CreateJoinToken { hash, role: role("writer"), expires_ms };
        let command = Some(C::CreateJoinToken(token));
        v1::ControlCommand { command, request_id: Vec::new() }
    };
    for number in 0..JOIN_TOKENS_MAX {
        state.apply(&create(number));
    }
    assert_eq!(state.join_tokens.len(), JOIN_TOKENS_MAX);
    state.apply(&create(JOIN_TOKENS_MAX));
    assert_eq!(state.join_tokens.len(), JOIN_TOKENS_MAX);
    let dropped = JOIN_TOKENS_MAX as u64 - 1;
    assert!(state.join_tokens.keys().all(|hash| hash[..8] != dropped.to_be_bytes()));
}

#[test]
fn malformed_states_are_refused() {
    let mut state = ControlState::default();
    state.apply(&command("init c"));
    let good = state.to_message();
    let refused = |edit: &dyn Fn(&mut v1::ControlState)| {
        let mut message = good.clone();
        edit(&mut message);
        assert!(ControlState::from_message(&message).is_err());
    };
    refused(&|message| message.next_node = 1);
    refused(&|message| message.roster[0].role = 0);
    refused(&|message| message.roster.push(message.roster[0].clone()));
    refused(&|message| {
        for account in [1, 2] {
            message.accounts.push(v1::Account { account, created_ms: 0, alias: "abc".into() });
        }
    });
    refused(&|message| message.first_account = Some(9));
    let answer = |bytes: u8| v1::ControlAnswer {
        request_id: vec![bytes; 16],
        reply: Some(v1::ControlReply { reply: done().ok() }),
    };
    refused(&|message| message.answers = vec![answer(1), answer(1)]);
    refused(&|message| message.answers = vec![v1::ControlAnswer { reply: None, ..answer(1) }]);
    refused(&|message| {
        message.answers = vec![v1::ControlAnswer { request_id: vec![1; 15], ..answer(1) }];
    });
    refused(&|message| {
        let request_id = |number: usize| (number as u128).to_be_bytes().to_vec();
        let answers = (0..=ANSWERS_MAX).map(request_id);
        let answers =
            answers.map(|request_id| v1::ControlAnswer { request_id, ..answer(1) }).collect();
        message.answers = answers;
    });
    let vector = |seq| Some(v1::VersionVector { dots: vec![v1::Dot { node: 1, seq }] });
    let barrier = |number, stable, cut| v1::Barrier { number, stable, cut };
    refused(&|message| message.barrier = Some(barrier(0, vector(1), vector(1))));
    refused(&|message| message.barrier = Some(barrier(1, vector(2), vector(1))));
    refused(&|message| message.barrier = Some(barrier(1, vector(1), None)));
    assert!(ControlState::decode(&[0xff]).is_err());
}

#[test]
fn the_last_serving_writer_stays() {
    check(
        "init c
         token a writer 100
         add a 1 writer 0
         remove 1
         activate 2
         remove 1
         remove 2
         token b replica 100
         add b 2 replica 0
         activate 3
         remove 2
         remove 3",
        expect![[r#"
            node 1 epoch 1
            done
            node 2 epoch 2
            last_writer
            done
            done
            last_writer
            done
            node 3 epoch 5
            done
            last_writer
            done
            1: Writer Removed host0:1 e4
            2: Writer Active host1:1 e3
            3: Replica Removed host2:1 e7
        "#]],
    );
}

/// States with two accounts, the second with the earlier clock.
fn two_accounts() -> ControlState {
    let mut state = ControlState::default();
    for line in ["init c", "account 5 900", "account 7 100", "account 6 100"] {
        state.apply(&command(line));
    }
    state
}

#[test]
fn the_first_account_is_the_logs_first_whatever_its_clock() {
    let state = two_accounts();
    let first = AccountId::from_number(5);
    assert_eq!(state.first_account(), first);
    assert_eq!(ControlState::decode(&state.encode()).unwrap().first_account(), first);
    assert_eq!(ControlState::default().first_account(), None);
}

#[test]
fn an_older_state_has_the_first_account_that_it_was_read_with_then() {
    let mut message = two_accounts().to_message();
    message.first_account = None;
    let mut state = ControlState::from_message(&message).unwrap();
    assert_eq!(state.first_account(), AccountId::from_number(6), "of equal clocks the least");
    state.apply(&command("account 1 1"));
    assert_eq!(state.first_account(), AccountId::from_number(6));
    message.accounts.clear();
    let state = ControlState::from_message(&message).unwrap();
    assert_eq!(state.first_account(), None);
}

/// A command with a request id.
fn asked(number: u64, line: &str) -> v1::ControlCommand {
    let request_id = [[0; 8], number.to_be_bytes()].concat();
    v1::ControlCommand { request_id, ..command(line) }
}

#[test]
fn a_command_that_is_asked_for_again_is_applied_once() {
    let mut state = ControlState::default();
    let lines = ["init c", "token a writer 9", "add a 1 writer 0", "account 1", "add a 2 writer 0"];
    for (number, line) in (1..).zip(lines) {
        let first = state.apply(&asked(number, line));
        let before = state.clone();
        state = ControlState::decode(&state.encode()).unwrap();
        assert_eq!(state.apply(&asked(number, line)), first, "{line}");
        assert!(state == before, "{line}");
    }
    assert_eq!(state.roster().len(), 2);
    assert_eq!(state.accounts().len(), 1);
}

#[test]
fn a_refusal_stands_for_whoever_asks_again() {
    let mut state = ControlState::default();
    state.apply(&command("init c"));
    state.apply(&command("account 1"));
    state.apply(&command("account 2"));
    state.apply(&command("alias 1 acme"));
    let refused = state.apply(&asked(1, "alias 2 acme"));
    assert_eq!(refused.reply, Some(Reply::Refused(ControlRefusal::AliasTaken.into())));
    state.apply(&command("unalias 1 acme"));
    assert_eq!(state.apply(&asked(1, "alias 2 acme")), refused);
    assert_eq!(state.apply(&asked(2, "alias 2 acme")).reply, done().ok());
}

#[test]
fn the_newest_answers_are_remembered_and_request_ids_have_16_bytes() {
    let mut state = ControlState::default();
    state.apply(&command("init c"));
    let max = ANSWERS_MAX as u64;
    for number in 0..max {
        assert_eq!(state.apply(&asked(number, &format!("account {number}"))).reply, done().ok());
    }
    assert_eq!(state.apply(&asked(0, "account 0")).reply, done().ok(), "remembered");
    state.apply(&asked(max, "account 500000"));
    let exists = Some(Reply::Refused(ControlRefusal::AccountExists.into()));
    assert_eq!(state.apply(&asked(0, "account 0")).reply, exists, "forgotten");
    let malformed = Some(Reply::Refused(ControlRefusal::Malformed.into()));
    for bytes in [1, 15, 17] {
        let short = v1::ControlCommand { request_id: vec![1; bytes], ..command("account 600000") };
        assert_eq!(state.apply(&short).reply, malformed);
    }
}

#[test]
fn ids_are_not_used_again_after_a_snapshot() {
    let mut state = ControlState::default();
    let lines = ["init c", "token a writer 9", "add a 1 writer 0", "activate 2", "remove 2"];
    for line in lines {
        state.apply(&command(line));
        state = ControlState::decode(&state.encode()).unwrap();
    }
    state.apply(&command("token b writer 9"));
    let Some(Reply::Added(added)) = state.apply(&command("add b 3 writer 0")).reply else {
        panic!("a node is added");
    };
    assert_eq!(added.node, 3);
}

#[test]
fn a_token_admits_its_role_until_it_expires_or_is_used() {
    let mut state = ControlState::default();
    let admits = |state: &ControlState, letter: u8, role, ms| {
        state.admits(&[letter; 32], role, Timestamp::from_ms(ms))
    };
    assert!(!admits(&state, b'a', Role::Writer, 0));
    for line in ["init c", "token a writer 100", "token b replica 100"] {
        state.apply(&command(line));
    }
    assert!(admits(&state, b'a', Role::Writer, 99));
    assert!(admits(&state, b'b', Role::Replica, 99));
    assert!(!admits(&state, b'a', Role::Writer, 100), "expired");
    assert!(!admits(&state, b'a', Role::Replica, 99), "another role");
    assert!(!admits(&state, b'c', Role::Writer, 99), "unknown");
    let mut near = [b'a'; 32];
    near[31] = b'b';
    assert!(!state.admits(&near, Role::Writer, Timestamp::from_ms(0)), "one byte off");
    state.apply(&command("add a 1 writer 0"));
    assert!(!admits(&state, b'a', Role::Writer, 99), "used");
}
