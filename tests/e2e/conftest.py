"""A Writ cluster of real processes for tests that drive it with real AWS clients.

Invariants. A test talks to 127.0.0.1 only and takes no credentials, settings or proxies from the
machine it runs on. What a module starts is stopped when the module ends, by process id; nothing is
ever searched for by name.

Must not know: how a node works. It starts `writ dev` and reads the file that describes the result.
"""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
import botocore.config
import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITERS = 3
REPLICAS = 1

# A cluster has to elect a leader and make its first account; on a loaded machine with two cores
# that takes many times the usual two seconds.
START_SECONDS = 120
STOP_SECONDS = 30
COMMAND_SECONDS = 120
# Heartbeats carry digests; an idle node sends one every second or so.
DIGEST_SECONDS = 30

# `writ dev` takes the ports it needs from its base upwards.
PORTS_PER_CLUSTER = 64
# Below the range from which Linux picks ports for outgoing connections.
PORT_RANGE = range(20000, 32000, PORTS_PER_CLUSTER)

TOKEN_HEADER = "x-writ-consistency-token"


def binary() -> Path:
    """The program under test: the release build, or what WRIT_BIN names."""
    return Path(os.environ.get("WRIT_BIN", ROOT / "target" / "release" / "writ")).resolve()


def eventually(condition, seconds, what="the condition"):
    """Polls until `condition()` is true and returns its value; fails after `seconds`.

    For effects that have no call to wait for, such as the death of a process. What replication
    does is waited for with `writ wait`.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not hold within {seconds} s")
        time.sleep(0.05)


def token_of(response) -> str:
    """The consistency token of a boto3 reply."""
    return response["ResponseMetadata"]["HTTPHeaders"][TOKEN_HEADER]


def token_in_log(log: str) -> str:
    """The consistency token of the last reply in what `aws --debug` logs."""
    tokens = re.findall(rf"'{TOKEN_HEADER}': '([^']+)'", log, re.IGNORECASE)
    assert tokens, f"no reply in the log carries a token:\n{log}"
    return tokens[-1]


@dataclass(frozen=True)
class Credentials:
    """What signs a request."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @classmethod
    def of(cls, key: dict) -> "Credentials":
        """From the `AccessKey` of CreateAccessKey or the `Credentials` of an STS call."""
        return cls(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"))

    def environment(self) -> dict[str, str]:
        """As the AWS clients read them from the environment."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = self.session_token
        return variables


@dataclass(frozen=True)
class Node:
    """One node as dev.json describes it."""

    id: int | str
    role: str
    region: str
    aws_endpoint: str
    grpc_endpoint: str
    pid: int
    data_dir: str


class Cluster:
    """A running `writ dev`. Nodes are numbered from 1, in the order of dev.json."""

    def __init__(self, process: subprocess.Popen, directory: Path, described: dict):
        self.process = process
        self.directory = directory
        # Nodes that were killed and started again are ours, not those of `writ dev`.
        self.restarted: dict[int, subprocess.Popen] = {}
        self.account_id = described["account_id"]
        self.administrator = Credentials(
            described["access_key_id"], described["secret_access_key"]
        )
        fields = Node.__dataclass_fields__
        self.nodes = [
            Node(**{field: node[field] for field in fields}) for node in described["nodes"]
        ]
        for node in self.nodes:
            for endpoint in (node.aws_endpoint, node.grpc_endpoint):
                host = urllib.parse.urlsplit(endpoint).hostname
                assert host == "127.0.0.1", f"{endpoint} is not on this machine"

    def node(self, number: int) -> Node:
        """The node with that number, from 1."""
        assert 1 <= number <= len(self.nodes), f"there is no node {number}"
        return self.nodes[number - 1]

    def numbers(self) -> range:
        """The numbers of all nodes."""
        return range(1, len(self.nodes) + 1)

    def endpoint(self, number: int, prefix: str = "") -> str:
        """The AWS endpoint of a node; a prefix such as `~all` asks it to wait before it replies."""
        base = self.node(number).aws_endpoint.rstrip("/")
        return f"{base}/{prefix.strip('/')}/" if prefix else base

    def iam(self, number, access_key=None, secret=None, token=None, prefix=""):
        """A boto3 IAM client of one node, the administrator's unless a key is given."""
        return self._client("iam", number, access_key, secret, token, prefix)

    def sts(self, number, access_key=None, secret=None, token=None, prefix=""):
        """A boto3 STS client of one node, the administrator's unless a key is given."""
        return self._client("sts", number, access_key, secret, token, prefix)

    def _client(self, service, number, access_key, secret, token, prefix):
        credentials = self.administrator
        if access_key is not None:
            credentials = Credentials(access_key, secret, token)
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint(number, prefix),
            region_name="us-east-1",
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            # A retry would turn a refusal that must not happen into a success.
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60
            ),
        )

    def aws(self, number, *arguments, env=None) -> subprocess.CompletedProcess:
        """Runs the AWS CLI against one node, as the administrator unless `env` says otherwise."""
        program = Path(sys.executable).parent / "aws"
        endpoint = ("--endpoint-url", self.endpoint(number))
        return self._run([program, *arguments, *endpoint], env)

    def writ(self, *arguments, env=None) -> subprocess.CompletedProcess:
        """Runs `writ` with the context that `writ dev` wrote, as the administrator."""
        context = {"WRIT_CONTEXT_FILE": str(self.directory / "context.toml")}
        return self._run([binary(), *arguments], {**context, **(env or {})})

    def _run(self, command, env) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(part) for part in command],
            env={**os.environ, **self.administrator.environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def wait(self, *arguments):
        """`writ wait`; fails the test if it did not say that the change is everywhere."""
        done = self.writ("wait", *arguments)
        assert done.returncode == 0, f"writ wait: {done.stdout}{done.stderr}"

    def kill(self, number: int):
        """Ends one node at once, as a crash would, and waits until it is gone."""
        pid = self.node(number).pid
        # How to start it again cannot be read later.
        self.node_command(number)
        self._end(pid)
        if number in self.restarted:
            self.restarted.pop(number).wait(STOP_SECONDS)
        eventually(lambda: not self._runs(pid), STOP_SECONDS, f"the end of process {pid}")
        # A process may be a zombie while threads of it still hold its ports.
        command = self.node_command(number)
        for flag in ("--listen-aws", "--listen-grpc", "--listen-ops"):
            port = int(command[command.index(flag) + 1].rpartition(":")[2])
            eventually(lambda port=port: is_free(port), STOP_SECONDS, f"port {port} is free")

    def node_command(self, number: int) -> list[str]:
        """The command line of a node, as `writ dev` started it."""
        path = self.directory / f"command-{number}.json"
        if not path.exists():
            words = Path(f"/proc/{self.node(number).pid}/cmdline").read_bytes()
            path.write_text(json.dumps(words.decode().rstrip("\0").split("\0")))
        return json.loads(path.read_text())

    def restart(self, number: int):
        """Starts a killed node again on its directory; returns when it is ready."""
        self.restart_together(number)

    def restart_together(self, *numbers: int):
        """Starts killed nodes again; returns when all are ready. None is before its quorum runs."""
        for number in numbers:
            self._start_again(number)
        for number in numbers:
            command = self.node_command(number)
            ready = f"http://{command[command.index('--listen-ops') + 1]}/readyz"
            process = self.restarted[number]
            eventually(
                lambda ready=ready, process=process: answers_200(ready)
                or process.poll() is not None,
                START_SECONDS,
                f"node {number} ready",
            )
            assert process.poll() is None, f"node {number} ended:\n{self.output()}"

    def _start_again(self, number: int):
        command = self.node_command(number)
        with (self.directory / "output.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, "WRIT_LOG": "warn"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.restarted[number] = process
        self.nodes[number - 1] = dataclasses.replace(self.node(number), pid=process.pid)

    def stop(self):
        """Ends the cluster: asks `writ dev` to stop, then ends what is left by process id."""
        end(self.process)
        for node in self.nodes:
            self._end(node.pid)
        for process in self.restarted.values():
            process.wait(STOP_SECONDS)

    def resume(self):
        """Starts `writ dev` again on the directory of a cluster that was stopped."""
        self.process, started = start_dev(self.directory, self.base_port)
        self.__init__(self.process, self.directory, started)

    @property
    def base_port(self) -> int:
        """The first port; node 1 has its AWS endpoint there."""
        return urllib.parse.urlsplit(self.node(1).aws_endpoint).port

    def status(self, number: int) -> dict:
        """`writ status` as one node sees the cluster."""
        done = self.writ("status", "-o", "json", "--endpoint", self.grpc(number))
        assert done.returncode == 0, f"writ status: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def grpc(self, number: int) -> str:
        """`host:port` of a node's gRPC."""
        return urllib.parse.urlsplit(self.node(number).grpc_endpoint).netloc

    def metric(self, number: int, name: str) -> int:
        """A metric of a node, named with its labels; 0 if there is none yet."""
        command = self.node_command(number)
        url = f"http://{command[command.index('--listen-ops') + 1]}/metrics"
        with urllib.request.urlopen(url, timeout=10) as reply:
            text = reply.read().decode()
        found = re.search(rf"^{re.escape(name)} (\d+)$", text, re.M)
        return int(found[1]) if found else 0

    def assert_equal_digests(self):
        """Fails unless every node says that every other one holds the same bytes."""
        for number in self.numbers():
            eventually(
                lambda number=number: all_equal(self.status(number)),
                DIGEST_SECONDS,
                f"equal digests as node {number} sees them",
            )

    def output(self) -> str:
        """What `writ dev` and its nodes printed."""
        return (self.directory / "output.log").read_text(errors="replace")

    def _end(self, pid: int):
        if self._runs(pid):
            os.kill(pid, signal.SIGKILL)

    def _runs(self, pid: int) -> bool:
        """Whether `pid` is alive and still ours: a number may have gone to another process."""
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        is_zombie = status.rpartition(")")[2].split()[0] == "Z"
        ours = str(binary()).encode() in command or str(self.directory).encode() in command
        return ours and not is_zombie


def assert_no_alarms(output: str):
    """Fails if a node panicked or found that replicas differ, even if no client noticed."""
    alarms = [line for line in output.splitlines() if re.search(r"panicked at|\balarm\b", line)]
    assert not alarms, alarms


def all_equal(status: dict) -> bool:
    """Whether a node knows that all others hold what it holds; a difference fails at once."""
    others = [node for node in status["nodes"] if node["node"] != status["node"]]
    assert others, f"no other nodes: {status}"
    assert all(node["digest"] != "different" for node in others), f"replicas differ: {status}"
    return all(node["digest"] == "equal" for node in others)


def answers_200(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def end(process: subprocess.Popen):
    """Asks a process that we started to stop, and ends it if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def free_base_port() -> int:
    """The first port of a block in which nothing listens."""
    # Runs side by side start at different blocks, so that they seldom want the same one.
    first = os.getpid() % len(PORT_RANGE)
    for offset in range(len(PORT_RANGE)):
        base = PORT_RANGE[(first + offset) % len(PORT_RANGE)]
        if all(is_free(port) for port in range(base, base + PORTS_PER_CLUSTER)):
            return base
    pytest.fail("no block of free ports")


def is_free(port: int) -> bool:
    """Whether a listener could be bound to a port of the loopback address."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def described(directory: Path) -> dict | None:
    """dev.json once it is whole."""
    try:
        text = (directory / "dev.json").read_text()
        content = json.loads(text)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content if len(content.get("nodes", [])) >= WRITERS else None


@pytest.fixture(scope="session", autouse=True)
def nothing_from_this_machine():
    """Takes proxies, profiles, credentials and the metadata service out of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AWS_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("NO_PROXY", "*")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_PAGER", "")
        yield


@pytest.fixture(scope="module")
def dev_environment() -> dict[str, str]:
    """What a module's cluster has in its environment besides; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, nothing_from_this_machine, dev_environment):
    """A cluster that lives as long as the module's tests."""
    directory = tmp_path_factory.mktemp("writ")
    process, started = start_dev(directory, free_base_port(), dev_environment)
    cluster = Cluster(process, directory, started)
    yield cluster
    cluster.stop()
    assert_no_alarms(cluster.output())


def start_dev(directory: Path, base_port: int, env=None) -> tuple[subprocess.Popen, dict]:
    """Starts `writ dev`; returns it and the content of dev.json."""
    assert binary().is_file(), f"{binary()} is missing: run `cargo build --release`"
    command = [
        str(binary()), "dev",
        "--nodes", str(WRITERS), "--replicas", str(REPLICAS),
        "--data-dir", str(directory), "--base-port", str(base_port),
    ]  # fmt: skip
    with (directory / "output.log").open("ab") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        return process, wait_for_start(process, directory)
    except BaseException:
        end(process)
        raise


def wait_for_start(process: subprocess.Popen, directory: Path) -> dict:
    """The content of dev.json; fails with what was printed if the cluster does not come up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        content = described(directory)
        if content is not None:
            return content
        if process.poll() is not None:
            break
        time.sleep(0.05)
    state = "runs" if process.poll() is None else f"ended with {process.returncode}"
    output = (directory / "output.log").read_text(errors="replace")
    # Every test of the module reports this: the text is enough, a traceback would bury it.
    pytest.fail(f"the cluster did not start; writ dev {state}:\n{output}", pytrace=False)
