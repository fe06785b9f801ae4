"""Nodes start from snapshots, and their logs are cut short."""

import os
import subprocess

from conftest import (
    PORTS_PER_CLUSTER, START_SECONDS, all_equal, answers_200, binary, end, eventually,
)  # fmt: skip

EVERY_RECORDS = 5
SNAPSHOT_SECONDS = 60


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
            lambda number=number: cluster.metric(number, "writ_snapshot_lsn") > EVERY_RECORDS,
            SNAPSHOT_SECONDS,
            f"a snapshot of node {number}",
        )
    cluster.iam(2, prefix="~all").create_user(UserName="behind-the-snapshot")
    for number in cluster.numbers():
        cluster.kill(number)
    for number in cluster.numbers():
        cluster.restart(number)
        assert cluster.metric(number, "writ_snapshot_lsn") > EVERY_RECORDS
        users = {user["UserName"] for user in cluster.iam(number).list_users()["Users"]}
        assert users == {*names, "behind-the-snapshot"}
    cluster.iam(3, prefix="~all").create_user(UserName="after-the-restart")
    cluster.assert_equal_digests()


def users(cluster, number: int) -> set[str]:
    """The names of all users, as a node tells them."""
    pages = cluster.iam(number).get_paginator("list_users").paginate()
    return {user["UserName"] for page in pages for user in page["Users"]}


def cut_short(cluster, numbers, upto: int, name: str) -> set[str]:
    """Creates users until the logs of some nodes do not reach back to a record."""
    made = set()
    for number in range(40 * EVERY_RECORDS):
        if all(cluster.metric(node, "writ_log_first") > upto for node in numbers):
            return made
        user = f"{name}{number}"
        cluster.iam(numbers[0]).create_user(UserName=user)
        made.add(user)
    raise AssertionError(f"the logs of {numbers} still reach back to {upto}")


def test_who_is_further_behind_than_the_logs_reach_gets_a_snapshot(cluster, monkeypatch):
    monkeypatch.setenv("WRIT_SNAPSHOT_EVERY_RECORDS", str(EVERY_RECORDS))
    monkeypatch.setenv("WRIT_SNAPSHOT_LOG_BYTES_MAX", "0")
    for number in cluster.numbers():
        cluster.kill(number)
        cluster.restart(number)
    cluster.iam(3, prefix="~all").create_user(UserName="before")
    last = cluster.metric(3, "writ_log_last")
    before = users(cluster, 1)
    cluster.kill(3)
    made = cut_short(cluster, (1, 2), last, "meanwhile")
    cluster.restart(3)
    cluster.wait("--timeout", "60s")
    assert users(cluster, 3) == before | made
    cluster.iam(3, prefix="~all").create_user(UserName="caught-up")
    cluster.assert_equal_digests()
    # What was joined is there after a crash, by itself.
    cluster.kill(3)
    cluster.restart(3)
    assert users(cluster, 3) == before | made | {"caught-up"}
    cluster.assert_equal_digests()


def test_a_node_joins_though_no_log_begins_at_the_beginning(cluster, tmp_path):
    assert all(cluster.metric(number, "writ_log_first") > 1 for number in (1, 2, 3))
    created = cluster.writ("token", "create", "--role", "replica")
    assert created.returncode == 0, created.stderr
    ports = [cluster.base_port + PORTS_PER_CLUSTER - 1 - at for at in range(3)]
    command = [
        str(binary()), "server", "--data-dir", str(tmp_path / "late"), "--role", "replica",
        "--listen-aws", f"127.0.0.1:{ports[0]}", "--listen-grpc", f"127.0.0.1:{ports[1]}",
        "--listen-ops", f"127.0.0.1:{ports[2]}", "--join", cluster.grpc(1),
    ]  # fmt: skip
    environment = {**os.environ, "WRIT_LOG": "info", "WRIT_JOIN_TOKEN": created.stdout.strip()}
    with (tmp_path / "late.log").open("ab") as output:
        late = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        ready = f"http://127.0.0.1:{ports[2]}/readyz"
        eventually(lambda: answers_200(ready), START_SECONDS, "the late node is ready")
        # Waits are about the late node too.
        cluster.iam(1, prefix="~all").create_user(UserName="seen-by-the-late")
        done = cluster.writ("status", "-o", "json", "--endpoint", f"127.0.0.1:{ports[1]}")
        assert done.returncode == 0, done.stderr
        eventually(
            lambda: all_equal(cluster.status(1)), SNAPSHOT_SECONDS, "the late node's digest"
        )
    finally:
        end(late)
