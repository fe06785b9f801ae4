"""Every action that Writ has takes what AWS's service model says, and answers in its shapes.

What a request may hold is tried by a user who may do nothing: a request that satisfies its
constraints is then denied, and changes nothing.
"""

import http.client
import json
import urllib.parse
import xml.etree.ElementTree

import aws_model
import pytest
from aws_model import OPERATIONS
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKey
from conftest import ROOT, Credentials
from issuer import Issuer
from model_journey import journey

# Writ's table of actions, which a unit test holds against the code.
ACTIONS = (ROOT / "crates/aws-api/testdata/actions.txt").read_text().split()
LISTS = ROOT / "tests/e2e/model"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
# The longest value that is tried; a body is shorter than a mebibyte.
VALUE_CHARS_MAX = 200_000
CONSTRAINT = "failed to satisfy constraint"


def lines(name: str) -> set[str]:
    """A list of the directory `model`: one entry a line."""
    return set((LISTS / name).read_text().split())


# Actions of the model that Writ does not have.
NOT_YET = lines("not-yet.txt")
# Members of requests that Writ refuses, since it could not do what they say.
REFUSED = lines("refused.txt")
# Words of an enumeration that the action cannot mean: nobody sets a credential to have expired.
WORDS_REFUSED = {
    f"{action}.Status is Expired"
    for action in (
        "UpdateAccessKey",
        "UpdateSSHPublicKey",
        "UpdateServiceSpecificCredential",
        "UpdateSigningCertificate",
    )
}
# Values that AWS's own answers have though its model forbids them: an MD5 is 47 characters long.
MODEL_ERRS = {"GetSSHPublicKey.SSHPublicKey.Fingerprint", "UploadSSHPublicKey.SSHPublicKey.Fingerprint"}
# Members of answers, by their shape, that Writ does not give.
UNANSWERED = lines("unanswered.txt")


# Whose tokens a session is asked for with.
ISSUER = Issuer("https://idp.example.com/walk")


@pytest.fixture(scope="module")
def dev_environment(tmp_path_factory):
    """Nodes have the issuer's keys in a file."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    keys.write_text(json.dumps(ISSUER.keys.set()))
    return {"WRIT_WEB_IDENTITY_KEY_FILES": f"{ISSUER.url}={keys}"}


class Raw:
    """Signed requests over one connection, as botocore's serializer makes them, unchecked."""

    def __init__(self, cluster, credentials: Credentials):
        self.address = urllib.parse.urlsplit(cluster.endpoint(1)).netloc
        self.key = SigningKey(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        )
        self.connection = http.client.HTTPConnection(self.address, timeout=30)

    def send(self, operation, params: dict) -> tuple[int, bytes]:
        """Status and body of the answer."""
        body = urllib.parse.urlencode(aws_model.serialize(operation, params)).encode()
        url = f"http://{self.address}/"
        request = AWSRequest(method="POST", url=url, data=body, headers={"Content-Type": FORM})
        service = operation.service_model.service_name
        SigV4Auth(self.key, service, "us-east-1").add_auth(request)
        self.connection.request("POST", "/", body, dict(request.headers.items()))
        answer = self.connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def nobody(cluster):
    """A user who may do nothing."""
    iam = cluster.iam(1)
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    return Raw(cluster, Credentials.of(key))


def test_each_action_of_the_model_is_there_or_listed_as_missing():
    assert set(ACTIONS) | NOT_YET == set(OPERATIONS)
    assert not set(ACTIONS) & NOT_YET


def test_an_action_that_is_missing_is_refused_and_never_an_empty_success(cluster):
    root = Raw(cluster, cluster.administrator)
    for name in sorted(NOT_YET):
        status, body = root.send(OPERATIONS[name], {})
        assert (status, refusal_of(body).split(":")[0]) == (400, "InvalidAction"), (name, body)


def test_every_constraint_of_the_model_holds_at_its_limit_and_one_past(nobody):
    found = []
    for name in ACTIONS:
        for member in aws_model.members(OPERATIONS[name]):
            if is_refused(member):
                continue
            for probe in aws_model.probes(member, VALUE_CHARS_MAX):
                if probe.what in WORDS_REFUSED:
                    continue
                status, body = nobody.send(probe.operation, probe.params)
                found += mistakes_of(probe, status, body)
    assert not found, "\n".join(found)


def mistakes_of(probe, status: int, body: bytes) -> list[str]:
    """What is wrong with the answer to a request of somebody who may do nothing."""
    said = "OK" if status == 200 else refusal_of(body)
    if probe.refusal is not None:
        good = status == 400 and probe.refusal in said
        return [] if good else [f"{probe.what}: wanted {probe.refusal}\n    got {said}"]
    wrong = "UnknownParameter" in said or CONSTRAINT in said or status >= 500
    return [f"{probe.what}: {said}"] if wrong else []


def refusal_of(body: bytes) -> str:
    """Code and message of a refusal."""
    error = xml.etree.ElementTree.fromstring(body)[0]
    return ": ".join(child.text for child in error if aws_model.tag(child) != "Type")


def test_every_text_is_held_against_the_characters_of_its_pattern(nobody):
    found = []
    done = set()
    for name in ACTIONS:
        for member in aws_model.members(OPERATIONS[name]):
            shape = member.shape
            if shape.metadata.get("pattern") is None or shape.enum or is_refused(member):
                continue
            if shape.name in done:
                continue
            done.add(shape.name)
            for c in aws_model.PROBES:
                text = aws_model.spoiled(shape, c)
                status, body = nobody.send(member.operation, member.set(text))
                wanted = aws_model.matches(shape.metadata["pattern"], text)
                said = "OK" if status == 200 else refusal_of(body)
                if wanted != (CONSTRAINT not in said):
                    found.append(f"{member.name} ({shape.name}) {text!r}: {said}")
    assert not found, "\n".join(found)


def is_refused(member) -> bool:
    """Whether the member, or what it stands in, is listed as refused."""
    return any(member.name == name or member.name.startswith(f"{name}.") for name in REFUSED)


def test_what_is_listed_as_refused_is_refused(nobody):
    for name in ACTIONS:
        for member in aws_model.members(OPERATIONS[name]):
            if member.name in REFUSED:
                params = member.set(aws_model.minimal(member.shape))
                _, body = nobody.send(member.operation, params)
                assert b"<Code>UnknownParameter</Code>" in body, (member.name, body)
    known = {member.name for name in ACTIONS for member in aws_model.members(OPERATIONS[name])}
    assert REFUSED <= known


def test_answers_have_the_models_shapes(cluster):
    root = Raw(cluster, cluster.administrator)
    seen, called, found = set(), set(), []

    def call(name, credentials=None, **params):
        sender = root if credentials is None else Raw(cluster, Credentials.of(credentials))
        operation = OPERATIONS[name]
        status, body = sender.send(operation, params)
        assert status == 200, (name, params, body)
        called.add(name)
        if operation.output_shape is None:
            return {}
        element = aws_model.result_of(operation, body)
        found.extend(aws_model.mistakes(operation.output_shape, element, name, seen))
        return aws_model.parse(operation, status, {}, body)

    def refusal(name, credentials, **params):
        sender = Raw(cluster, Credentials.of(credentials))
        _, body = sender.send(OPERATIONS[name], params)
        error = xml.etree.ElementTree.fromstring(body)[0]
        return {aws_model.tag(child): child.text for child in error}

    journey(call, refusal, cluster.account_id, ISSUER)
    found = [mistake for mistake in found if mistake.split(":")[0] not in MODEL_ERRS]
    assert not found, "\n".join(found)
    assert not set(ACTIONS) - called
    possible = set().union(*(aws_model.output_members(OPERATIONS[name]) for name in ACTIONS))
    unseen = {f"{shape}.{member}" for shape, member in possible - seen}
    wrong = [f"{name} is not answered" for name in sorted(unseen - UNANSWERED)]
    wrong += [f"{name} is answered, or of no action" for name in sorted(UNANSWERED - unseen)]
    assert not wrong, "\n".join(wrong)
