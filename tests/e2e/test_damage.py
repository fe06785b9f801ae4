"""Damage to what a node holds, in its memory and on its disk, is found and mended."""

import json
import os
import re

import pytest
import snapshot_file
from conftest import (
    DIGEST_SECONDS, Cluster, all_equal, eventually, free_base_port, start_dev,
)  # fmt: skip
from test_snapshot import EVERY_RECORDS, SNAPSHOT_SECONDS

ROUNDS = 3


@pytest.fixture
def cluster(tmp_path, nothing_from_this_machine):
    """A cluster of which alarms are expected."""
    process, started = start_dev(tmp_path, free_base_port())
    cluster = Cluster(process, tmp_path, started)
    yield cluster
    cluster.stop()


def data_dir(cluster, number: int):
    command = cluster.node_command(number)
    return snapshot_file.Path(command[command.index("--data-dir") + 1])


def damage_and_mend(cluster, monkeypatch):
    """Has one value of node 3 be other than the others', until the node has taken theirs on."""
    monkeypatch.setenv("WRIT_SNAPSHOT_EVERY_RECORDS", str(EVERY_RECORDS))
    for number in cluster.numbers():
        cluster.kill(number)
        cluster.restart(number)
    cluster.iam(1).create_user(UserName="somebody", Path="/sound/")
    for number in range(2 * EVERY_RECORDS):
        cluster.iam(1, prefix="~all").create_user(UserName=f"user{number}")
    made = cluster.metric(3, "writ_log_last")
    eventually(
        lambda: cluster.metric(3, "writ_snapshot_lsn") > made - EVERY_RECORDS,
        SNAPSHOT_SECONDS,
        "a snapshot of node 3",
    )
    cluster.kill(3)
    newest = snapshot_file.newest(data_dir(cluster, 3))
    assert snapshot_file.change(newest, b"/sound/", b"/wrong/") == 1
    cluster.restart(3)
    eventually(
        lambda: cluster.metric(3, "writ_state_mended_slots") == 1,
        DIGEST_SECONDS,
        "node 3 has taken on what differs",
    )


def test_one_value_that_is_other_at_one_node_is_found_and_mended(cluster, monkeypatch):
    damage_and_mend(cluster, monkeypatch)
    eventually(
        lambda: cluster.metric(3, "writ_state_mending") == 0,
        DIGEST_SECONDS,
        "node 3 serves again",
    )
    assert re.search(r"divergence: nodes \[[124, ]+\] agree on another state", cluster.output())
    assert "divergence: 1 slots now hold what node" in cluster.output()
    for _ in range(ROUNDS):
        user = cluster.iam(3).get_user(UserName="somebody")["User"]
        assert user["Path"] == "/sound/"
        for number in cluster.numbers():
            eventually(
                lambda number=number: is_equal_by_now(cluster, number),
                DIGEST_SECONDS,
                f"equal digests as node {number} sees them",
            )
        cluster.iam(3, prefix="~all").tag_user(
            UserName="somebody", Tags=[{"Key": "k", "Value": "v"}]
        )
        cluster.kill(3)
        cluster.restart(3)


def test_what_a_mended_node_had_alone_is_told_after_its_removal(cluster, monkeypatch):
    damage_and_mend(cluster, monkeypatch)
    cluster.kill(3)
    removed = cluster.writ("node", "remove", "3")
    assert removed.returncode == 0, removed.stderr
    told = cluster.writ("recover", data_dir(cluster, 3))
    assert told.returncode == 0, told.stderr
    bundle = json.loads(told.stdout)
    assert (bundle["transactions"], bundle["transactions_gone"]) == ([], 0)


def test_a_flipped_byte_is_found_while_the_node_runs(cluster, monkeypatch):
    monkeypatch.setenv("WRIT_SNAPSHOT_EVERY_RECORDS", str(EVERY_RECORDS))
    monkeypatch.setenv("WRIT_SNAPSHOT_LOG_BYTES_MAX", "0")
    monkeypatch.setenv("WRIT_SNAPSHOT_CHECK_EVERY_S", "1")
    cluster.kill(3)
    cluster.restart(3)
    made = 0
    while cluster.metric(3, "writ_log_first") == 1:
        cluster.iam(1, prefix="~all").create_user(UserName=f"user{made}")
        made += 1
    # The log does not reach back: without a snapshot the node could not start any more.
    for path in data_dir(cluster, 3).rglob("*.snap"):
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
    eventually(
        lambda: cluster.metric(3, "writ_snapshots_damaged_total") >= 2,
        SNAPSHOT_SECONDS,
        "both are found",
    )
    eventually(
        lambda: list(data_dir(cluster, 3).rglob("*.snap")), SNAPSHOT_SECONDS, "another is taken"
    )
    cluster.kill(3)
    cluster.restart(3)
    assert len(cluster.iam(3).list_users()["Users"]) == made
    cluster.assert_equal_digests()


def is_equal_by_now(cluster, number: int) -> bool:
    """Nodes that were found to differ may be seen to for a while."""
    others = [node for node in cluster.status(number)["nodes"] if node["node"] != number]
    different = any(node["digest"] == "different" for node in others)
    return not different and all_equal(cluster.status(number))
