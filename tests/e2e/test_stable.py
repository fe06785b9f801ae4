"""What every node has is agreed to be stable, and forgotten where only concurrency needed it."""


from conftest import eventually, token_of

# A barrier is agreed on every two seconds.
STABLE_SECONDS = 60


def unstable(cluster, number) -> int:
    """The metric of transactions that are not agreed to be everywhere."""
    return cluster.metric(number, "writ_transactions_unstable")


def all_stable(cluster, numbers):
    for number in numbers:
        eventually(
            lambda number=number: unstable(cluster, number) == 0,
            STABLE_SECONDS,
            f"nothing unstable at node {number}",
        )


def test_what_is_everywhere_becomes_stable_and_what_is_not_does_not(cluster):
    iam = cluster.iam(1)
    for name in ("ann", "bob"):
        iam.create_user(UserName=name)
    gone = iam.delete_user(UserName="bob")
    cluster.wait("--token", token_of(gone), "--scope", "all")
    all_stable(cluster, cluster.numbers())
    cluster.assert_equal_digests()

    # While a member is away, what it may not have seen is remembered for it.
    cluster.kill(3)
    made = iam.create_user(UserName="cat")
    iam.delete_user(UserName="cat")
    # Who waits for a write hears what became of it.
    waited = cluster.writ("wait", "--token", token_of(made), "--scope", f"node:{cluster.node(1).id}")
    assert waited.returncode == 0, waited.stdout + waited.stderr
    assert waited.stdout.startswith("propagated\nsuperseded: user "), waited.stdout
    assert "  DeleteUser by " in waited.stdout, waited.stdout
    last = iam.delete_user(UserName="ann")
    cluster.wait("--token", token_of(last), "--scope", "node:2")
    assert unstable(cluster, 1) >= 3
    assert unstable(cluster, 2) >= 3

    # It comes back, replays its whole log, catches up, and forgets what the others forget.
    cluster.restart(3)
    cluster.wait("--token", token_of(last), "--scope", "all")
    all_stable(cluster, cluster.numbers())
    cluster.assert_equal_digests()
    for number in cluster.numbers()[:3]:
        assert not cluster.iam(number).list_users()["Users"]
    iam.create_user(UserName="bob")


def test_a_wait_for_stability_ends_once_every_member_has_the_change(cluster):
    made = cluster.iam(2).create_user(UserName="dan")
    cluster.wait("--token", token_of(made), "--stage", "stable", "--timeout", "60s")
    for number in cluster.numbers()[:3]:
        assert unstable(cluster, number) == 0
