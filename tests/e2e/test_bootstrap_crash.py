"""A node that crashes while it fetches a snapshot goes on with it, and comes up whole."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from conftest import (
    PORTS_PER_CLUSTER, START_SECONDS, all_equal, answers_200, binary, end, eventually,
)  # fmt: skip
from test_snapshot import SNAPSHOT_SECONDS

POLICIES = 600
# A managed policy has 6,144 characters at most; a snapshot of these is many pieces long.
RESOURCES = 180
EVERY_RECORDS = 200
ATTEMPTS = 8


def document(number: int) -> str:
    """A policy of nearly the greatest length."""
    resources = [f"arn:aws:s3:::b{number}-{each}/*" for each in range(RESOURCES)]
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


class Late:
    """A replica that joins when the logs do not reach back to the beginning."""

    def __init__(self, cluster, directory: Path):
        created = cluster.writ("token", "create", "--role", "replica")
        assert created.returncode == 0, created.stderr
        ports = [cluster.base_port + PORTS_PER_CLUSTER - 1 - at for at in range(3)]
        self.data_dir = directory / "data"
        self.log = directory / "late.log"
        self.ready = f"http://127.0.0.1:{ports[2]}/readyz"
        self.environment = {"WRIT_LOG": "info", "WRIT_JOIN_TOKEN": created.stdout.strip()}
        self.command = [
            str(binary()), "server", "--data-dir", str(self.data_dir), "--role", "replica",
            "--listen-aws", f"127.0.0.1:{ports[0]}", "--listen-grpc", f"127.0.0.1:{ports[1]}",
            "--listen-ops", f"127.0.0.1:{ports[2]}", "--join", cluster.grpc(1),
        ]  # fmt: skip
        self.process = None

    def start(self):
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def partial(self) -> tuple[int, int] | None:
        """How much of a peer's snapshot is there, and how much of it there is."""
        try:
            for path in (self.data_dir / "store" / "snapshots").glob("*.peer"):
                return path.stat().st_size, int(path.stem.rpartition("-")[2])
        except FileNotFoundError:
            pass
        return None

    def kill_in_the_middle(self) -> int | None:
        """Kills it once some of a snapshot is there; how much is, if that is not all of it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            found = self.partial()
            if found is not None and found[0] > 0:
                break
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        written, total = self.partial()
        return written if written < total else None


def test_a_node_that_is_killed_while_it_fetches_a_snapshot_goes_on_and_comes_up_whole(
    cluster, monkeypatch, tmp_path
):
    monkeypatch.setenv("WRIT_SNAPSHOT_EVERY_RECORDS", str(EVERY_RECORDS))
    monkeypatch.setenv("WRIT_SNAPSHOT_LOG_BYTES_MAX", "0")
    for number in cluster.numbers():
        cluster.kill(number)
        cluster.restart(number)
    iam = cluster.iam(1)
    for number in range(POLICIES):
        iam.create_policy(PolicyName=f"policy-{number}", PolicyDocument=document(number))
    cluster.wait("--timeout", "60s")
    for number in cluster.numbers():
        eventually(
            lambda number=number: cluster.metric(number, "writ_log_first") > 1,
            SNAPSHOT_SECONDS,
            f"the log of node {number} is cut short",
        )

    for attempt in range(ATTEMPTS):
        (tmp_path / str(attempt)).mkdir()
        late = Late(cluster, tmp_path / str(attempt))
        late.start()
        written = late.kill_in_the_middle()
        if written is not None:
            break
        # It was quicker than the kill. As a member that never comes back it would be in the way.
        leave(cluster, late)
    assert written is not None, f"{ATTEMPTS} nodes had the whole snapshot before they were killed"

    try:
        late.start()
        eventually(lambda: answers_200(late.ready), START_SECONDS, "the late node is ready")
        iam = cluster.iam(1, prefix="~all")
        iam.create_user(UserName="seen-by-the-late")
        eventually(
            lambda: all_equal(cluster.status(1)), SNAPSHOT_SECONDS, "the late node's digest"
        )
        # What was joined is there after another crash, by itself.
        late.process.send_signal(signal.SIGKILL)
        late.process.wait()
        late.start()
        eventually(lambda: answers_200(late.ready), START_SECONDS, "the late node is ready again")
        iam.create_user(UserName="seen-again")
        eventually(
            lambda: all_equal(cluster.status(1)), SNAPSHOT_SECONDS, "the late node's digest again"
        )
    finally:
        end(late.process)


def leave(cluster, late: Late):
    """Removes a late node for good."""
    newest = max(node["node"] for node in cluster.status(1)["nodes"])
    assert newest > len(cluster.nodes), late.log.read_text()
    removed = cluster.writ("node", "remove", str(newest))
    assert removed.returncode == 0, removed.stderr
