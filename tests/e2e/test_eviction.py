"""A writer that is gone for longer than the cluster allows is removed, and comes back to nothing."""

import os
import subprocess
from pathlib import Path

from conftest import START_SECONDS, end, eventually

EVICT_AFTER_SECONDS = 10
NOTICE_SECONDS = EVICT_AFTER_SECONDS + 60


def state(cluster, number: int) -> str:
    """Of a node, as node 1 knows it."""
    return next(n["state"] for n in cluster.status(1)["nodes"] if n["node"] == number)


def test_a_node_that_is_gone_for_too_long_is_removed_and_cannot_come_back(cluster, monkeypatch):
    monkeypatch.setenv("WRIT_EVICT_AFTER_S", str(EVICT_AFTER_SECONDS))
    for number in (1, 2):
        cluster.kill(number)
        cluster.restart(number)
    cluster.wait("--timeout", "60s")
    assert {state(cluster, number) for number in cluster.numbers()} == {"active"}

    cluster.kill(3)
    eventually(lambda: state(cluster, 3) == "removed", NOTICE_SECONDS, "the eviction of node 3")
    assert {state(cluster, number) for number in (1, 2, 4)} == {"active"}
    # Waits are about those who are left.
    cluster.iam(1, prefix="~all").create_user(UserName="after-the-eviction")

    late = start(cluster, 3)
    fence = Path(cluster.node(3).data_dir) / "fenced"
    eventually(fence.exists, NOTICE_SECONDS, "node 3 finds out")
    end(late)
    again = start(cluster, 3)
    assert again.wait(START_SECONDS) != 0
    assert "must not start again: this node was removed" in cluster.output()


def start(cluster, number: int) -> subprocess.Popen:
    """Starts a node that was killed."""
    with (cluster.directory / "output.log").open("ab") as output:
        return subprocess.Popen(
            cluster.node_command(number), env={**os.environ, "WRIT_LOG": "warn"},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip


def test_a_time_that_a_restart_takes_is_refused(cluster):
    refused = cluster.writ("server", "--kek-file", "kek", env={"WRIT_EVICT_AFTER_S": "9"})
    assert refused.returncode == 1
    assert "`cluster.evict_after_s` is 0 (never) or at least 10" in refused.stderr
