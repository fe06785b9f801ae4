"""Writers on hosts of their own, started by hand as in a real deployment, and cut from each other.

Needs root, for network namespaces.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import tomllib
import urllib.request

import boto3
import botocore.config
import network
import pytest
from botocore.exceptions import ClientError
from conftest import (
    COMMAND_SECONDS,
    DIGEST_SECONDS,
    START_SECONDS,
    STOP_SECONDS,
    Credentials,
    all_equal,
    answers_200,
    assert_no_alarms,
    binary,
    eventually,
    token_of,
)

HOSTS = 3
AWS_PORT, GRPC_PORT, OPS_PORT = 7400, 7401, 7402
ACCOUNT = "123456789012"
# Longer than an election and than it takes to notice that a peer is silent.
QUORUM_SECONDS = 60


class Deployment:
    """A writer on each host of a network. Numbers are those of the hosts, from 1."""

    def __init__(self, net: network.Network, directory):
        self.network = net
        self.directory = directory
        self.processes: list[subprocess.Popen] = []
        self.kek = directory / "kek"
        self.kek.write_text(os.urandom(32).hex())
        self.kek.chmod(0o600)
        self.key: Credentials | None = None
        self.gone: set[int] = set()

    def host(self, number) -> network.Host:
        return self.network.hosts[number - 1]

    def numbers(self) -> list[int]:
        """Those of the members."""
        everyone = range(1, len(self.network.hosts) + 1)
        return [number for number in everyone if number not in self.gone]

    def start(self):
        """The first initializes the cluster, the others join it with tokens."""
        self.start_node(1, "--init")
        as_node = ("--endpoint", self.grpc(1), "--as-node", self.data_dir(1))
        printed = self.expect_writ(1, "account", "create", *as_node, ACCOUNT)
        found = dict(re.findall(r"^(\w+)=(\S+)$", printed, re.MULTILINE))
        self.key = Credentials(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])
        self.write_context()
        for number in self.numbers()[1:]:
            token = self.expect_writ(1, "token", "create", "--role", "writer").strip()
            self.start_node(number, "--join", self.grpc(1), WRIT_JOIN_TOKEN=token)
        self.wait()

    def start_node(self, number, *flags, **environment):
        host = self.host(number)
        command = host.command(
            binary(), "server", "--data-dir", self.data_dir(number), "--kek-file", self.kek,
            "--listen-aws", self.aws(number), "--listen-grpc", self.grpc(number),
            "--listen-ops", f"127.0.0.1:{OPS_PORT}", *flags,
        )  # fmt: skip
        with self.log(number).open("ab") as output:
            process = subprocess.Popen(
                command, env={**os.environ, "WRIT_LOG": "info", **environment},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.processes.append(process)
        ready = f"http://127.0.0.1:{OPS_PORT}/readyz"
        eventually(
            lambda: process.poll() is not None or host.call(lambda: answers_200(ready)),
            START_SECONDS,
            f"node {number} ready",
        )
        assert process.poll() is None, f"node {number} ended:\n{self.output(number)}"

    def write_context(self):
        """What an operator keeps: where the nodes are and the CA's certificate."""
        ca_pem = (self.data_dir(1) / "ca.pem").read_text()
        lines = [f"ca_pem = {json.dumps(ca_pem)}"]
        for number in self.numbers():
            lines.append(
                f'[[nodes]]\nid = {number}\nrole = "writer"\nregion = "local"\n'
                f'grpc = "{self.grpc(number)}"'
            )
        text = "\n".join(lines)
        tomllib.loads(text)
        (self.directory / "context.toml").write_text(text)

    def data_dir(self, number):
        return self.directory / f"node{number}"

    def log(self, number):
        return self.directory / f"node{number}.log"

    def output(self, number) -> str:
        return self.log(number).read_text(errors="replace")

    def aws(self, number) -> str:
        return f"{self.host(number).address}:{AWS_PORT}"

    def grpc(self, number) -> str:
        return f"{self.host(number).address}:{GRPC_PORT}"

    def iam(self, number, call, key=None):
        """Calls with a boto3 IAM client of the node, on the node's host; the root user's, unless
        another key is given.
        """
        return self.host(number).call(lambda: call(self.client(number, key=key)))

    def client(self, number, service="iam", key=None, prefix=""):
        key = key or self.key
        return boto3.session.Session().client(
            service,
            endpoint_url=f"http://{self.aws(number)}{prefix}",
            region_name="us-east-1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60
            ),
        )

    def writ(self, number, *arguments) -> subprocess.CompletedProcess:
        """Runs `writ` on a host."""
        environment = {"WRIT_CONTEXT_FILE": str(self.directory / "context.toml")}
        if self.key is not None:
            environment |= self.key.environment()
        return subprocess.run(
            self.host(number).command(binary(), *arguments), env={**os.environ, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    def expect_writ(self, number, *arguments) -> str:
        done = self.writ(number, *arguments)
        assert done.returncode == 0, f"writ {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait(self):
        """Waits until every node has what any node has."""
        self.expect_writ(1, "wait", "--timeout", "60s")

    def assert_equal_digests(self):
        def equal(number):
            at = ("--endpoint", self.grpc(number))
            return all_equal(json.loads(self.expect_writ(number, "status", "-o", "json", *at)))

        for number in self.numbers():
            eventually(lambda number=number: equal(number), DIGEST_SECONDS, f"digests at {number}")

    def stop(self):
        """Ends the nodes, by process id: `ip netns exec` has become the node."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, nothing_from_this_machine):
    why = network.why_unavailable()
    if why is not None:
        pytest.skip(why)
    net = network.Network(HOSTS)
    deployment = Deployment(net, tmp_path_factory.mktemp("deployment"))
    try:
        deployment.start()
        yield deployment
    finally:
        deployment.stop()
        net.remove()
    for number in deployment.numbers():
        assert_no_alarms(deployment.output(number))


@pytest.fixture(autouse=True)
def whole_network(deployment):
    """Every test begins and ends with a network without cuts."""
    yield
    deployment.network.heal()
    deployment.wait()


def has_user(deployment, number, name) -> bool:
    try:
        deployment.iam(number, lambda iam: iam.get_user(UserName=name))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchEntity", error
        return False
    return True


def test_both_sides_of_a_cut_take_writes_and_agree_when_it_heals(deployment):
    deployment.network.cut_off(3)
    deployment.iam(1, lambda iam: iam.create_user(UserName="majority-side"))
    far = deployment.iam(3, lambda iam: iam.create_user(UserName="minority-side"))
    assert not has_user(deployment, 3, "majority-side")
    assert not has_user(deployment, 1, "minority-side")

    waited = deployment.writ(
        3, "wait", "--endpoint", deployment.grpc(3), "--token", token_of(far), "--timeout", "1s"
    )
    assert waited.returncode == 3, waited.stdout + waited.stderr
    assert "node 1: " in waited.stdout and "node 2: " in waited.stdout

    deployment.network.heal()
    deployment.wait()
    for number in deployment.numbers():
        assert has_user(deployment, number, "majority-side"), number
        assert has_user(deployment, number, "minority-side"), number
    deployment.assert_equal_digests()


def test_what_two_nodes_cannot_tell_each_other_a_third_one_relays(deployment):
    deployment.network.cut(1, 3)
    for source, target in ((1, 3), (3, 1)):
        name = f"relayed-from-{source}"
        written = deployment.iam(source, lambda iam, name=name: iam.create_user(UserName=name))
        deployment.expect_writ(
            source, "wait", "--endpoint", deployment.grpc(source), "--scope", f"node:{target}",
            "--token", token_of(written), "--timeout", "30s",
        )  # fmt: skip
        assert has_user(deployment, target, name)


def test_a_minority_decides_nothing_that_needs_one_answer_and_still_takes_writes(deployment):
    deployment.network.cut_off(3)
    # Node 3 may have led. The others elect another leader.
    eventually(
        lambda: set_alias(deployment, 1, "by-the-majority") is None, QUORUM_SECONDS, "a leader"
    )

    refused = set_alias(deployment, 3, "by-the-minority")
    assert refused is not None, "a minority named the account"
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 503, refused
    assert refused["Error"]["Code"] == "ServiceUnavailable", refused

    token = deployment.writ(3, "token", "create", "--endpoint", deployment.grpc(3))
    assert token.returncode not in (0, 2), token.stdout
    assert "control plane" in token.stderr, token.stderr

    deployment.iam(3, lambda iam: iam.create_user(UserName="no-quorum-needed"))
    assert has_user(deployment, 3, "no-quorum-needed")

    deployment.network.heal()
    deployment.wait()
    aliases = eventually(
        lambda: deployment.iam(3, lambda iam: iam.list_account_aliases())["AccountAliases"],
        QUORUM_SECONDS,
        "the alias at node 3",
    )
    assert aliases == ["by-the-majority"]


def test_what_both_sides_changed_is_one_conflict_everywhere_until_it_is_settled(deployment):
    arn = f"arn:aws:iam::{ACCOUNT}:policy/contested"
    edge = {"UserName": "contested", "PolicyArn": arn}
    document = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    }
    deployment.iam(1, lambda iam: iam.create_user(UserName="contested"))
    deployment.iam(
        1,
        lambda iam: iam.create_policy(
            PolicyName="contested", PolicyDocument=json.dumps(document)
        ),
    )
    deployment.iam(1, lambda iam: iam.attach_user_policy(**edge))
    deployment.wait()
    watched = deployment.directory / "watched"
    with watching(deployment, 2, watched):
        deployment.network.cut_off(3)
        deployment.iam(1, lambda iam: iam.attach_user_policy(**edge))
        deployment.iam(3, lambda iam: iam.detach_user_policy(**edge))
        assert conflicts(deployment, 1) == [] and conflicts(deployment, 3) == []

        deployment.network.heal()
        deployment.wait()
        (conflict,) = conflicts(deployment, 1)
        assert conflicts(deployment, 2) == conflicts(deployment, 3) == [conflict]
        name = conflict["id"]
        assert (conflict["kind"], conflict["name"]) == ("attachment", "contested")
        sides = [(side["node"], side["action"]) for side in conflict["sides"]]
        assert sides == [(1, "AttachUserPolicy"), (3, "DetachUserPolicy")]
        assert {side["author_arn"] for side in conflict["sides"]} == {f"arn:aws:iam::{ACCOUNT}:root"}
        assert open_conflicts(deployment, 2) == 1

        shown = deployment.expect_writ(3, *at(deployment, 3, "show", name))
        assert f"writ conflicts resolve {name} --keep 1  (iam:AttachUserPolicy)" in shown
        token = deployment.expect_writ(3, *at(deployment, 3, "resolve", name, "--remove")).strip()
        deployment.expect_writ(3, "wait", "--token", token, "--timeout", "60s")
        assert [conflicts(deployment, number) for number in deployment.numbers()] == [[], [], []]
        attached = deployment.iam(
            1, lambda iam: iam.list_attached_user_policies(UserName="contested")
        )
        assert attached["AttachedPolicies"] == []
        assert open_conflicts(deployment, 2) == 0

        again = deployment.writ(1, *at(deployment, 1, "resolve", name, "--keep", "1"))
        assert again.returncode == 1 and "NoSuchConflict" in again.stderr, again.stderr
        eventually(
            lambda: watched.read_text() == f"appeared {name} attachment\ngone {name} attachment\n",
            COMMAND_SECONDS,
            "both events at node 2",
        )
    assert f"conflict={name}" in re.sub(r"\x1b\[[0-9;]*m", "", deployment.output(2))


def test_of_two_who_took_one_name_one_keeps_it_and_the_other_waits_to_be_renamed(deployment):
    def create_confirmed(number):
        iam = deployment.client(number, prefix="/~confirmed/")
        return deployment.host(number).call(lambda: iam.create_user(UserName="twin"))

    def credentials_of_twin(number):
        made = deployment.iam(number, lambda iam: iam.get_user(UserName="twin"))
        key = deployment.iam(number, lambda iam: iam.create_access_key(UserName="twin"))
        key = key["AccessKey"]
        return made["User"]["UserId"], Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    deployment.network.cut_off(3)
    eventually(
        lambda: set_alias(deployment, 1, "twins") is None, QUORUM_SECONDS, "a leader without node 3"
    )
    create_confirmed(1)
    with pytest.raises(ClientError) as refused:
        create_confirmed(3)
    assert refused.value.response["Error"]["Code"] == "NameNotConfirmed", refused.value
    kept, kept_key = credentials_of_twin(1)
    lost, lost_key = credentials_of_twin(3)
    assert authenticates(deployment, 1, kept_key) and authenticates(deployment, 3, lost_key)
    eventually(lambda: provisional(deployment, 2) == 0, QUORUM_SECONDS, "the majority's names")
    assert provisional(deployment, 3) > 0, "a minority confirms nothing"

    deployment.network.heal()
    deployment.wait()
    for number in deployment.numbers():
        eventually(
            lambda number=number: provisional(deployment, number) == 0,
            QUORUM_SECONDS,
            f"all names to be decided at node {number}",
        )
        assert authenticates(deployment, number, kept_key), number
        assert not authenticates(deployment, number, lost_key), number
        named = deployment.iam(number, lambda iam: iam.get_user(UserName="twin"))["User"]
        assert named["UserId"] == kept
    (conflict,) = conflicts(deployment, 1)
    assert conflicts(deployment, 2) == conflicts(deployment, 3) == [conflict]
    assert (conflict["kind"], conflict["name"]) == ("quarantined", "twin")
    holder, loser = (side["value"] for side in conflict["sides"])
    assert f"({kept}, has the name)" in holder and f"({lost}, has lost the name)" in loser

    confirmed = ("wait", "--stage", "confirmed", "--timeout", "60s")
    waited = deployment.writ(1, *confirmed)
    assert waited.returncode == 3, waited.stdout + waited.stderr
    assert f"the name `twin` of {lost} is that of {kept}" in waited.stdout

    renamed = deployment.iam(
        2, lambda iam: iam.update_user(UserName=lost, NewUserName="twin-of-3")
    )
    deployment.expect_writ(2, *confirmed, "--token", token_of(renamed))
    deployment.expect_writ(1, *confirmed)
    for number in deployment.numbers():
        assert conflicts(deployment, number) == []
        assert authenticates(deployment, number, kept_key), number
        assert authenticates(deployment, number, lost_key), number


def authenticates(deployment, number, key) -> bool:
    try:
        deployment.host(number).call(
            lambda: deployment.client(number, "sts", key).get_caller_identity()
        )
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidClientTokenId", error
        return False
    return True


def provisional(deployment, number) -> int:
    """The metric of names that are not decided."""
    return int(re.search(r"^writ_names_provisional (\d+)$", metrics(deployment, number), re.M)[1])


def metrics(deployment, number) -> str:
    def scrape():
        with urllib.request.urlopen(f"http://127.0.0.1:{OPS_PORT}/metrics", timeout=10) as reply:
            return reply.read().decode()

    return deployment.host(number).call(scrape)


def at(deployment, number, *words) -> list:
    """A command about conflicts that asks one node."""
    return ["conflicts", *words, "--endpoint", deployment.grpc(number)]


def conflicts(deployment, number) -> list[dict]:
    return json.loads(deployment.expect_writ(number, *at(deployment, number, "list", "-o", "json")))


def open_conflicts(deployment, number) -> int:
    """The metric of open conflicts of attachments."""

    text = metrics(deployment, number)
    return int(re.search(r'^writ_conflicts_open\{kind="attachment"\} (\d+)$', text, re.M)[1])


def test_what_a_revoked_key_does_behind_the_cut_gives_nothing_and_takes_no_deny(deployment):
    def allow(action):
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        return json.dumps({"Version": "2012-10-17", "Statement": statement})

    deny = allow("s3:Delete*").replace("Allow", "Deny")
    put = {"UserName": "friend", "PolicyName": "grant"}
    for name in ("intruder", "friend"):
        deployment.iam(1, lambda iam, name=name: iam.create_user(UserName=name))
    deployment.iam(1, lambda iam: iam.put_user_policy(
        UserName="intruder", PolicyName="admin", PolicyDocument=allow("iam:*")
    ))  # fmt: skip
    deployment.iam(1, lambda iam: iam.put_user_policy(
        UserName="friend", PolicyName="no", PolicyDocument=deny
    ))  # fmt: skip
    made = deployment.iam(1, lambda iam: iam.create_access_key(UserName="intruder"))["AccessKey"]
    stolen = Credentials.of(made)
    deployment.wait()

    # The key is switched off where the owner is, and used where nobody has heard of it.
    deployment.network.cut_off(3)
    deployment.iam(1, lambda iam: iam.update_access_key(
        UserName="intruder", AccessKeyId=stolen.access_key_id, Status="Inactive"
    ))  # fmt: skip
    deployment.iam(3, lambda iam: iam.put_user_policy(PolicyDocument=allow("s3:*"), **put), stolen)
    deployment.iam(3, lambda iam: iam.delete_user_policy(
        UserName="friend", PolicyName="no"
    ), stolen)  # fmt: skip
    deployment.network.heal()
    deployment.wait()

    def may(number, action) -> bool:
        done = deployment.writ(
            number, "check", "--principal", f"arn:aws:iam::{ACCOUNT}:user/friend",
            "--action", action, "--resource", "arn:aws:s3:::b/k",
            "--endpoint", deployment.grpc(number),
        )  # fmt: skip
        assert done.returncode in (0, 4), done.stdout + done.stderr
        return done.returncode == 0

    for number in deployment.numbers():
        assert not may(number, "s3:GetObject"), number
        assert not may(number, "s3:DeleteObject"), number
    found = conflicts(deployment, 2)
    assert found == conflicts(deployment, 1) == conflicts(deployment, 3)
    assert [conflict["kind"] for conflict in found] == ["inline_policy", "inline_policy"]
    doubted = [side["value"] for conflict in found for side in conflict["sides"]]
    assert sum("doubted" in value for value in doubted) == 2, doubted

    # Whoever may settles it: what the key's owner wanted after all, and not what the thief did.
    deployment.iam(2, lambda iam: iam.put_user_policy(PolicyDocument=allow("s3:*"), **put))
    deployment.iam(2, lambda iam: iam.put_user_policy(
        UserName="friend", PolicyName="no", PolicyDocument=deny
    ))  # fmt: skip
    deployment.wait()
    for number in deployment.numbers():
        assert conflicts(deployment, number) == []
        assert may(number, "s3:GetObject"), number
        assert not may(number, "s3:DeleteObject"), number
    deployment.assert_equal_digests()


@contextlib.contextmanager
def watching(deployment, number, path):
    """Runs `writ conflicts watch` into a file; begins once the node tells."""
    environment = {
        **os.environ,
        **deployment.key.environment(),
        "WRIT_CONTEXT_FILE": str(deployment.directory / "context.toml"),
    }
    progress = path.with_suffix(".progress")
    command = deployment.host(number).command(binary(), *at(deployment, number, "watch"))
    with path.open("wb") as out, progress.open("wb") as err:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
    try:
        eventually(
            lambda: progress.read_text() == "watching\n", COMMAND_SECONDS, "the watch"
        )
        yield
    finally:
        process.kill()
        process.wait()


def set_alias(deployment, number, alias) -> dict | None:
    """Nothing if the account has the alias, else the refusal."""
    try:
        deployment.iam(number, lambda iam: iam.create_account_alias(AccountAlias=alias))
    except ClientError as error:
        return error.response
    return None


def test_a_node_that_was_removed_while_cut_off_finds_out_and_never_serves_again(deployment):
    """Last: it leaves the cluster without its third node."""
    deployment.network.cut_off(3)
    eventually(lambda: removed(deployment, 3), QUORUM_SECONDS, "a quorum that removes node 3")
    assert readyz(deployment, 3), "it cannot know yet"
    deployment.gone.add(3)
    deployment.write_context()

    deployment.network.heal()
    eventually(lambda: not readyz(deployment, 3), QUORUM_SECONDS, "node 3 finds out")
    with pytest.raises(ClientError) as refused:
        deployment.iam(3, lambda iam: iam.create_user(UserName="nobody-would-hear"))
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503

    fence = deployment.data_dir(3) / "fenced"
    eventually(fence.exists, QUORUM_SECONDS, "the fence is on disk")
    assert fence.read_text() == "this node was removed from the cluster"
    again = deployment.writ(
        3, "server", "--data-dir", deployment.data_dir(3), "--kek-file", deployment.kek,
        "--listen-aws", f"{deployment.host(3).address}:1", "--listen-grpc",
        f"{deployment.host(3).address}:2", "--listen-ops", "127.0.0.1:3",
    )  # fmt: skip
    assert again.returncode == 1, again.stderr
    assert "must not start again: this node was removed" in again.stdout + again.stderr


def removed(deployment, number) -> bool:
    done = deployment.writ(
        1, "node", "remove", "--endpoint", deployment.grpc(1), "--as-node", deployment.data_dir(1),
        str(number),
    )  # fmt: skip
    return done.returncode == 0


def readyz(deployment, number) -> bool:
    ready = f"http://127.0.0.1:{OPS_PORT}/readyz"
    return deployment.host(number).call(lambda: answers_200(ready))
