//! Slots that are taken on from another replica: what is derived follows.

use crdt::Siblings;
use wire::transaction::Meta;

use crate::history::History;

const QUESTIONS: [&str; 6] = [
    "root ListUsers",
    "root ListGroupsForUser bob",
    "root GetGroup staff",
    "root ListAttachedUserPolicies bob",
    "root GetUser bob",
    "root ListAccessKeys bob",
];

fn answers(history: &mut History, node: &str) -> Vec<String> {
    let ask = |question| history.run(&format!("{node}: {question}")).split_off(node.len() + 2);
    QUESTIONS.map(ask).into()
}

#[test]
fn indexes_follow_each_slot_that_is_damaged_and_mended() {
    let mut history = History::new();
    history.run(
        "quiet root CreateUser bob /a/
        quiet root CreateAccessKey bob
        quiet root CreateGroup staff
        quiet root AddUserToGroup staff bob
        quiet root PutUserPolicy bob inl allow:iam:*
        quiet root AttachUserPolicy bob aws/ReadOnlyAccess
        sync",
    );
    let sound = answers(&mut history, "a");
    assert_eq!(answers(&mut history, "b"), sound);
    let state = history.replicas[0].identity.state().clone();
    let mut seen = 0;
    for (key, siblings) in state.range(&[]) {
        let without: Siblings<Meta> = Vec::new();
        let mut removed = siblings.to_vec();
        removed.iter_mut().for_each(|sibling| sibling.value = None);
        for damaged in [without, removed] {
            let identity = &mut history.replicas[1].identity;
            identity.mend(state.vector(), vec![(key.clone(), damaged)]);
            seen += usize::from(answers(&mut history, "b") != sound);
            let identity = &mut history.replicas[1].identity;
            identity.mend(state.vector(), vec![(key.clone(), siblings.to_vec())]);
            assert_eq!(answers(&mut history, "b"), sound, "{key:?}");
            let identity = &history.replicas[1].identity;
            assert_eq!(identity.state().digest(), state.digest());
        }
    }
    assert!(seen > 10, "the damage is seen");
}
