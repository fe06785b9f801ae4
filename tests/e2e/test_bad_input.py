"""Requests and directories that are wrong are refused with a reason, and the node goes on.

After each test the node that was abused must be alive and answer a good request.
"""

import datetime
import hashlib
import http.client
import json
import socket
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKey
from conftest import COMMAND_SECONDS, answers_200

VERSION = "Version=2010-05-08"
FORM = "application/x-www-form-urlencoded"
TWO_MIB = 2 * 1024 * 1024
# AWS: requests are good for five minutes; here both ways.
SKEW_MINUTES = 5


@pytest.fixture(autouse=True)
def node_goes_on(cluster):
    yield
    command = cluster.node_command(1)
    assert answers_200(f"http://{command[command.index('--listen-ops') + 1]}/livez")
    assert cluster.sts(1).get_caller_identity()["Account"] == cluster.account_id


def send(cluster, body, content_type=FORM, headers=None, sign=True):
    """Signs a request over exactly these bytes and returns status and body of the answer."""
    address = urllib.parse.urlsplit(cluster.endpoint(1)).netloc
    request = AWSRequest(
        method="POST",
        url=f"http://{address}/",
        data=body,
        headers={"Content-Type": content_type} if content_type else {},
    )
    if sign:
        administrator = cluster.administrator
        key = SigningKey(administrator.access_key_id, administrator.secret_access_key)
        SigV4Auth(key, "iam", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("POST", "/", body, {**dict(request.headers.items()), **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def code_of(answer: str) -> str:
    """The error code in an answer, which must be well-formed XML."""
    found = [
        element.text
        for element in xml.etree.ElementTree.fromstring(answer).iter()
        if element.tag.rpartition("}")[2] == "Code"
    ]
    assert len(found) == 1, answer
    return found[0]


def test_a_body_over_the_limit_is_refused_with_413(cluster):
    body = b"Action=ListUsers&" + VERSION.encode() + b"&Marker=" + b"a" * TWO_MIB
    try:
        status, _ = send(cluster, body)
    except ConnectionError:
        # The node answered and hung up before the client had sent everything.
        status = status_of_announced_body(cluster, len(body))
    assert status == 413


def status_of_announced_body(cluster, length) -> int:
    """The status that a node answers to the mere announcement of a body."""
    split = urllib.parse.urlsplit(cluster.endpoint(1))
    head = (
        f"POST / HTTP/1.1\r\nHost: {split.netloc}\r\nContent-Type: {FORM}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    with socket.create_connection((split.hostname, split.port), timeout=30) as stream:
        stream.sendall(head.encode() + b"Action=ListUsers")
        return int(stream.recv(64).split()[1])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"Action=ListUsers&Surprise=1", "UnknownParameter"),
        (b"Action=ListUsers&PathPrefix=/&PathPrefix=/", "MalformedQueryString"),
        (b"Action=ListUsers&PathPrefix=%FF", "MalformedQueryString"),
        (b"Action=ListUsers&PathPrefix=\xff", "MalformedQueryString"),
        (b"Action=ListUsers&PathPrefix=%2", "MalformedQueryString"),
        (b"Action=ListUsers&PathPrefix", "MalformedQueryString"),
        (b"Action=", "MissingAction"),
        (b"UserName=bob", "MissingAction"),
        (b"Action=%3Cb%3E%26", "InvalidAction"),
        (b"Action=CreateUser&UserName=%3Ca%26b%3E", "ValidationError"),
        (b"Action=CreateUser&UserName=%00", "ValidationError"),
        (b"Action=CreateUser&UserName=" + b"a" * 65, "ValidationError"),
        (b"Action=CreateUser&UserName=%3C%2FMessage%3E%01", "ValidationError"),
    ],
)
def test_a_wrong_form_is_refused_with_a_code_in_wellformed_xml(cluster, body, code):
    status, answer = send(cluster, body + b"&" + VERSION.encode())
    assert (status, code_of(answer)) == (400, code), answer


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", FORM + "; charset=x"])
def test_another_content_type_is_refused(cluster, content_type):
    status, answer = send(cluster, f"Action=ListUsers&{VERSION}", content_type)
    assert (status, code_of(answer)) == (400, "MalformedQueryString"), answer


def test_a_request_without_authentication_is_refused(cluster):
    status, answer = send(cluster, f"Action=ListUsers&{VERSION}", sign=False)
    assert (status, code_of(answer)) == (403, "MissingAuthenticationToken"), answer


def test_a_request_without_authentication_is_refused_before_its_body_is_sent(cluster):
    assert status_of_announced_body(cluster, 96 * 1024 + 1) == 403


def test_a_short_body_without_authentication_is_not_waited_for_long(cluster):
    # It may be a call that nobody signs.
    started = time.monotonic()
    assert status_of_announced_body(cluster, 1000) == 408
    assert time.monotonic() - started < 20


def test_a_body_other_than_the_signed_one_is_refused(cluster):
    digest = hashlib.sha256(b"another").hexdigest()
    headers = {"x-amz-content-sha256": digest}
    status, answer = send(cluster, f"Action=ListUsers&{VERSION}", headers=headers)
    assert (status, code_of(answer)) == (403, "SignatureDoesNotMatch"), answer


@pytest.mark.parametrize(
    ("minutes", "accepted"),
    [
        (-SKEW_MINUTES - 1, False),
        (-SKEW_MINUTES + 1, True),
        (SKEW_MINUTES - 1, True),
        (SKEW_MINUTES + 1, False),
    ],
)
def test_a_clock_may_be_off_by_less_than_five_minutes(cluster, monkeypatch, minutes, accepted):
    shift = datetime.timedelta(minutes=minutes)
    real = botocore.auth.get_current_datetime
    shifted = lambda *arguments, **named: real(*arguments, **named) + shift  # noqa: E731
    monkeypatch.setattr(botocore.auth, "get_current_datetime", shifted)
    status, answer = send(cluster, f"Action=ListUsers&{VERSION}")
    if accepted:
        assert status == 200, answer
        return
    assert (status, code_of(answer)) == (403, "SignatureDoesNotMatch"), answer
    assert ("Signature expired" if minutes < 0 else "Signature not yet current") in answer


def test_a_request_that_breaks_off_harms_nobody(cluster):
    split = urllib.parse.urlsplit(cluster.endpoint(1))
    pieces = [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nAction=List",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        b"GET /" + b"a" * 100_000,
    ]
    for piece in pieces * 10:
        with socket.create_connection((split.hostname, split.port), timeout=30) as stream:
            try:
                stream.sendall(piece)
            except ConnectionError:
                # The node hung up first, as it may.
                continue


def run_server(command) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=COMMAND_SECONDS, check=False,
    )  # fmt: skip


def elsewhere(command, data_dir) -> list[str]:
    """A node's command line with another directory, and ports that nobody uses."""
    command = list(command)
    ports = {f"--listen-{name}": "127.0.0.1:0" for name in ("aws", "grpc", "ops")}
    for flag, value in {**ports, "--data-dir": data_dir}.items():
        command[command.index(flag) + 1] = str(value)
    return command


def test_a_directory_that_is_in_use_is_refused(cluster):
    refused = run_server(elsewhere(cluster.node_command(1), cluster.node(1).data_dir))
    assert refused.returncode != 0
    assert cluster.node(1).data_dir in refused.stdout + refused.stderr


def test_a_directory_of_another_kind_of_node_is_refused(cluster):
    replica = cluster.node(len(cluster.nodes))
    refused = run_server(elsewhere(cluster.node_command(1), replica.data_dir))
    assert refused.returncode != 0
    assert "is of a replica" in refused.stdout + refused.stderr


def test_a_damaged_directory_is_refused_with_the_files_name(cluster, tmp_path):
    (tmp_path / "node.toml").write_text("format = 1\nnode = ")
    refused = run_server(elsewhere(cluster.node_command(1), tmp_path))
    assert refused.returncode != 0
    assert str(tmp_path / "node.toml") in refused.stdout + refused.stderr


def test_dev_json_describes_all_nodes(cluster):
    described = json.loads((cluster.directory / "dev.json").read_text())
    assert [node["pid"] for node in described["nodes"]] == [node.pid for node in cluster.nodes]
