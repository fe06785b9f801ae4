"""`writ wait` and the waiting endpoints say yes only when it is so, and who is missing when not."""

import time

import pytest
from botocore.exceptions import ClientError
from conftest import WRITERS, token_of

PROPAGATED, NOT_PROPAGATED = 0, 3
DEAD = WRITERS


@pytest.fixture(scope="module")
def token_nobody_else_has(cluster) -> str:
    """Kills a node, then writes at another."""
    cluster.wait()
    cluster.kill(DEAD)
    return token_of(cluster.iam(1).create_user(UserName="while-one-is-down"))


def wait(cluster, *arguments):
    return cluster.writ("wait", "--timeout", "2s", *arguments)


# This one runs before the node is killed.
def test_a_wait_ends_when_every_node_has_the_change(cluster):
    token = token_of(cluster.iam(1).create_user(UserName="quick"))
    done = wait(cluster, "--token", token)
    assert (done.returncode, done.stdout) == (PROPAGATED, "propagated\n"), done.stderr
    for number in cluster.numbers():
        assert cluster.iam(number).get_user(UserName="quick")


def test_a_wait_names_the_node_that_is_down_and_why(cluster, token_nobody_else_has):
    begin = time.monotonic()
    done = wait(cluster, "--token", token_nobody_else_has)
    assert done.returncode == NOT_PROPAGATED, done.stderr
    assert 2 <= time.monotonic() - begin < 10
    missing = [line for line in done.stdout.splitlines() if line.startswith("  node ")]
    assert len(missing) == 1, done.stdout
    name, _, why = missing[0].strip().partition(": ")
    assert name == f"node {cluster.node(DEAD).id}"
    assert why, "it says nobody is there, but not why"


def test_a_wait_without_a_token_names_the_node_that_is_down(cluster, token_nobody_else_has):
    done = wait(cluster)
    assert done.returncode == NOT_PROPAGATED, done.stdout + done.stderr
    assert f"node {cluster.node(DEAD).id}: " in done.stdout


def test_a_wait_for_the_others_or_a_quorum_is_not_held_up(cluster, token_nobody_else_has):
    others = ",".join(str(cluster.node(number).id) for number in cluster.numbers() if number != DEAD)
    # All are in one region: one of them is enough for `regions`.
    scopes = ["quorum", "regions", f"node:{cluster.node(2).id}", f"node:{others}"]
    for scope in scopes:
        done = wait(cluster, "--token", token_nobody_else_has, "--scope", scope)
        assert done.returncode == PROPAGATED, f"{scope}: {done.stdout}{done.stderr}"


def test_every_scope_that_needs_the_dead_node_names_it(cluster, token_nobody_else_has):
    dead = cluster.node(DEAD)
    for scope in ("all", "serving", f"region:{dead.region}", f"node:1,{dead.id}"):
        done = wait(cluster, "--token", token_nobody_else_has, "--scope", scope)
        assert done.returncode == NOT_PROPAGATED, f"{scope}: {done.stdout}{done.stderr}"
        assert f"node {dead.id}: " in done.stdout, scope


def test_the_path_prefix_chooses_who_must_have_a_write(cluster, token_nobody_else_has):
    prefixes = ["~quorum", f"~node:{cluster.node(2).id}"]
    for number, prefix in enumerate(prefixes):
        assert cluster.iam(1, prefix=prefix).create_user(UserName=f"through-{number}")
    for prefix in ("~serving", f"~region:{cluster.node(DEAD).region}"):
        with pytest.raises(ClientError) as refused:
            cluster.iam(1, prefix=prefix).create_user(UserName=f"not-{prefix[1:4]}")
        assert refused.value.response["Error"]["Code"] == "PropagationTimeout", prefix
    with pytest.raises(ClientError) as refused:
        cluster.iam(1, prefix="~region:nowhere").create_user(UserName="not-nowhere")
    assert "no node is in region `nowhere`" in refused.value.response["Error"]["Message"]


def test_a_write_that_could_not_propagate_says_that_it_was_made(cluster, token_nobody_else_has):
    with pytest.raises(ClientError) as refused:
        cluster.iam(1, prefix="~all").create_user(UserName="made-anyway")
    error = refused.value.response["Error"]
    assert error["Code"] == "PropagationTimeout"
    assert "was made" in error["Message"]
    assert f"node {cluster.node(DEAD).id}" in error["Message"]
    assert cluster.iam(1).get_user(UserName="made-anyway")


def test_the_node_catches_up_when_it_is_back(cluster, token_nobody_else_has):
    cluster.restart(DEAD)
    cluster.wait("--timeout", "30s", "--token", token_nobody_else_has)
    assert cluster.iam(DEAD).get_user(UserName="while-one-is-down")
    cluster.wait("--timeout", "30s")
    assert cluster.iam(DEAD).get_user(UserName="made-anyway")
    cluster.assert_equal_digests()
