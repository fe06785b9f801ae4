"""Power is cut under nodes that write, and their disks fill up; nothing acknowledged is lost.

Each node has a disk of its own. WRIT_CUTS is the number of cuts, 3 unless given:

    WRIT_CUTS=100 .venv/bin/pytest tests/e2e/test_power.py

WRIT_SEED repeats the choice of victims.
"""

import os
import random
import subprocess
import time

import disk
import pytest
from conftest import (
    REPLICAS,
    STOP_SECONDS,
    WRITERS,
    Cluster,
    assert_no_alarms,
    eventually,
    free_base_port,
    start_dev,
)
from test_crash import PROGRESS_SECONDS, Client, check, wait_for_writes

CUTS = int(os.environ.get("WRIT_CUTS", "3"))
SEED = int(os.environ.get("WRIT_SEED", random.randrange(2**32)))
DISK_MEBIBYTES = 128


@pytest.fixture(scope="module")
def disks(tmp_path_factory):
    """A disk for each node, by number."""
    why = disk.why_unavailable()
    if why is not None:
        pytest.skip(why)
    directory = tmp_path_factory.mktemp("power")
    made = {}
    try:
        for number in range(1, WRITERS + REPLICAS + 1):
            made[number] = disk.Disk(directory / f"node{number}", DISK_MEBIBYTES)
            made[number].mount()
        yield made
    finally:
        for one in made.values():
            one.unmount()


@pytest.fixture(scope="module")
def cluster(disks, nothing_from_this_machine):
    """A cluster whose nodes stand on the disks."""
    directory = disks[1].path.parent
    process, started = start_dev(directory, free_base_port())
    cluster = Cluster(process, directory, started)
    for number in cluster.numbers():
        # A node whose disk fails ends by itself: how it was started cannot be read later.
        cluster.node_command(number)
    yield cluster
    cluster.stop()
    # sled panics on a thread of its own when its file fails; the store then is poisoned.
    lines = cluster.output().splitlines()
    assert_no_alarms("\n".join(line for line in lines if "/sled-" not in line))


@pytest.fixture
def clients(cluster, request):
    """One that writes at each writer, while a test runs."""
    prefix = request.node.name[:16]
    clients = [Client(cluster, number, prefix) for number in range(1, WRITERS + 1)]
    for client in clients:
        client.start()
    yield clients
    stop(clients)


def stop(clients):
    """Lets every client finish its call."""
    for client in clients:
        client.stopped.set()
    for client in clients:
        client.join(PROGRESS_SECONDS)
    assert not any(client.is_alive() for client in clients)


def assert_kept(cluster, clients, where):
    """Everything that the clients were promised is at every node."""
    assert [client.refused for client in clients] == [[] for _ in clients]
    cluster.wait("--timeout", "60s")
    for number in cluster.numbers():
        for client in clients:
            check(cluster.iam(number), client, f"node {number}, {where}")
    cluster.assert_equal_digests()


def test_acknowledged_writes_survive_power_cuts(cluster, disks, clients):
    choice = random.Random(SEED)
    for cut in range(CUTS):
        victim = choice.choice(cluster.numbers())
        wait_for_writes(clients, f"writes before cut {cut} at node {victim} (seed {SEED})")
        disks[victim].cut()
        cluster.kill(victim)
        disks[victim].power_on()
        others = [client for number, client in enumerate(clients, 1) if number != victim]
        wait_for_writes(others, f"writes while node {victim} is down (seed {SEED})")
        # One that opens is killed as well: what it finds it must find again.
        process = start_without_waiting(cluster, victim)
        time.sleep(choice.uniform(0, 0.5))
        process.kill()
        process.wait(STOP_SECONDS)
        cluster.restart(victim)
    stop(clients)
    assert_kept(cluster, clients, f"seed {SEED}")


def start_without_waiting(cluster, number) -> subprocess.Popen:
    """Starts a node that was killed, and does not wait until it is ready."""
    with (cluster.directory / "output.log").open("ab") as output:
        return subprocess.Popen(
            cluster.node_command(number),
            env={**os.environ, "WRIT_LOG": "warn"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def test_a_full_disk_ends_the_node_and_loses_nothing(cluster, disks, clients):
    victim = 2
    wait_for_writes(clients, "writes before the disk is full")
    ballast = disks[victim].fill()
    # What it cannot write it does not acknowledge: it says so and ends.
    pid = cluster.node(victim).pid
    eventually(lambda: not cluster._runs(pid), PROGRESS_SECONDS, "the end of the full node")
    assert "No space left on device" in cluster.output()
    others = [client for number, client in enumerate(clients, 1) if number != victim]
    wait_for_writes(others, "writes while a node's disk is full")

    # It does not start without room, and says how much it needs.
    process = start_without_waiting(cluster, victim)
    assert process.wait(STOP_SECONDS) != 0
    assert "free" in cluster.output()

    ballast.unlink()
    cluster.kill(victim)
    cluster.restart(victim)
    stop(clients)
    assert_kept(cluster, clients, "after a full disk")
