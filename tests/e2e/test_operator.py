"""An operator who errs is told so, and the cluster stays as it was.

Nodes 1 to 3 are writers, 4 is a replica. The tests run in order: the last one removes a node.
"""

from conftest import eventually

NOTICE_SECONDS = 60


def entry(cluster, number: int) -> dict:
    """A node as node 1 knows it."""
    return next(node for node in cluster.status(1)["nodes"] if node["node"] == number)


def remove(cluster, number: int, asked: int = 1):
    """Has node `asked` remove a node."""
    return cluster.writ("node", "remove", str(number), "--endpoint", cluster.grpc(asked))


def test_a_node_that_never_was_is_named(cluster):
    refused = remove(cluster, 99)
    assert refused.returncode == 1
    assert "there is no node 99 in the cluster" in refused.stderr


def test_a_replica_says_to_ask_a_writer(cluster):
    refused = remove(cluster, 3, asked=4)
    assert refused.returncode == 1
    assert "ask a writer" in refused.stderr
    assert entry(cluster, 3)["state"] == "active"


def test_only_the_node_that_is_gone_can_be_removed_while_it_is_gone(cluster):
    cluster.kill(3)
    eventually(
        lambda: not entry(cluster, 3)["connected"], NOTICE_SECONDS, "node 1 misses node 3"
    )
    refused = remove(cluster, 2)
    assert refused.returncode == 1
    assert "without node 2 too few of the 2 other voters are connected" in refused.stderr
    assert "bring node 3 back, or remove it first" in refused.stderr
    assert entry(cluster, 2)["state"] == "active"

    removed = remove(cluster, 3)
    assert removed.returncode == 0, removed.stderr
    assert entry(cluster, 3)["state"] == "removed"
    again = remove(cluster, 3)
    assert again.returncode == 0, again.stderr
