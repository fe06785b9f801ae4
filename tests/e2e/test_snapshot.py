"""Nodes start from snapshots, and their logs are cut short."""

import re
import urllib.request

from conftest import eventually

EVERY_RECORDS = 5
SNAPSHOT_SECONDS = 60


def gauge(cluster, number: int, name: str) -> int:
    """A gauge of a node."""
    command = cluster.node_command(number)
    url = f"http://{command[command.index('--listen-ops') + 1]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as reply:
        text = reply.read().decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


def test_a_node_starts_from_its_snapshot_and_the_log_behind_it(cluster, monkeypatch):
    monkeypatch.setenv("WRIT_SNAPSHOT_EVERY_RECORDS", str(EVERY_RECORDS))
    for number in cluster.numbers():
        cluster.kill(number)
        cluster.restart(number)
    names = [f"user{number}" for number in range(3 * EVERY_RECORDS)]
    for name in names:
        cluster.iam(1, prefix="~all").create_user(UserName=name)
    for number in cluster.numbers():
        eventually(
            lambda number=number: gauge(cluster, number, "writ_snapshot_lsn") > EVERY_RECORDS,
            SNAPSHOT_SECONDS,
            f"a snapshot of node {number}",
        )
    cluster.iam(2, prefix="~all").create_user(UserName="behind-the-snapshot")
    for number in cluster.numbers():
        cluster.kill(number)
    for number in cluster.numbers():
        cluster.restart(number)
        assert gauge(cluster, number, "writ_snapshot_lsn") > EVERY_RECORDS
        users = {user["UserName"] for user in cluster.iam(number).list_users()["Users"]}
        assert users == {*names, "behind-the-snapshot"}
    cluster.iam(3, prefix="~all").create_user(UserName="after-the-restart")
    cluster.assert_equal_digests()
