"""Credentials of users and of the account that are no access keys, with boto3.

The expected codes, status numbers and texts are those of AWS. Names differ from test to test, since
the tests of a module share a cluster.
"""

import re

import pytest
from botocore.exceptions import ClientError
from conftest import ROOT, Credentials, token_of

FILES = ROOT / "crates/identity/testdata"


def text(name: str) -> str:
    """A key or certificate."""
    return (FILES / name).read_text()


def refusal(call, **params) -> tuple[str, int, str]:
    """Code, HTTP status and text of a refusal."""
    with pytest.raises(ClientError) as refused:
        call(**params)
    response = refused.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_ssh_public_keys_of_a_user(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="ssh")
    named = {"UserName": "ssh"}
    uploaded = iam.upload_ssh_public_key(**named, SSHPublicKeyBody=text("ssh-1.pub"))
    key = uploaded["SSHPublicKey"]
    assert re.fullmatch(r"APKA[A-Z2-7]{16}", key["SSHPublicKeyId"])
    assert key["Fingerprint"] == text("ssh-1.md5").strip()
    assert (key["Status"], key["SSHPublicKeyBody"]) == ("Active", text("ssh-1.pub").strip())
    other = iam.upload_ssh_public_key(**named, SSHPublicKeyBody=text("ssh-2.pub"))
    one = {**named, "SSHPublicKeyId": key["SSHPublicKeyId"]}

    cluster.wait("--token", token_of(other))

    elsewhere = cluster.iam(3)
    got = elsewhere.get_ssh_public_key(**one, Encoding="PEM")["SSHPublicKey"]
    assert got["SSHPublicKeyBody"] == text("ssh-1.pem")
    assert elsewhere.get_ssh_public_key(**one, Encoding="SSH")["SSHPublicKey"] == key
    pages = elsewhere.get_paginator("list_ssh_public_keys")
    listed = pages.paginate(**named, PaginationConfig={"PageSize": 1}).build_full_result()
    assert len(listed["SSHPublicKeys"]) == 2
    changed = elsewhere.update_ssh_public_key(**one, Status="Inactive")
    cluster.wait("--token", token_of(changed))
    statuses = {k["SSHPublicKeyId"]: k["Status"] for k in iam.list_ssh_public_keys(**named)["SSHPublicKeys"]}
    assert statuses[key["SSHPublicKeyId"]] == "Inactive"

    assert refusal(iam.delete_user, **named) == (
        "DeleteConflict", 409, "Cannot delete entity, must remove referenced objects first.",
    )  # fmt: skip
    for found in listed["SSHPublicKeys"]:
        iam.delete_ssh_public_key(**named, SSHPublicKeyId=found["SSHPublicKeyId"])
    iam.delete_user(**named)


def test_wrong_ssh_public_keys_are_refused(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="ssh-wrong")
    named = {"UserName": "ssh-wrong"}
    upload = iam.upload_ssh_public_key
    assert refusal(upload, **named, SSHPublicKeyBody=text("ssh-1024.pub"))[:2] == ("InvalidPublicKey", 400)
    assert refusal(upload, **named, SSHPublicKeyBody="ssh-rsa AAAAB3Nz")[:2] == ("InvalidPublicKey", 400)
    assert refusal(upload, **named, SSHPublicKeyBody=text("ssh-ed25519.pub"))[:2] == (
        "UnrecognizedPublicKeyEncoding", 400,
    )  # fmt: skip
    assert refusal(upload, UserName="nobody-here", SSHPublicKeyBody=text("ssh-1.pub")) == (
        "NoSuchEntity", 404, "The user with name nobody-here cannot be found.",
    )  # fmt: skip
    for number in range(1, 6):
        upload(**named, SSHPublicKeyBody=text(f"ssh-{number}.pub"))
    assert refusal(upload, **named, SSHPublicKeyBody=text("ssh-1.pub"))[:2] == (
        "DuplicateSSHPublicKey", 400,
    )  # fmt: skip
    assert refusal(upload, **named, SSHPublicKeyBody=text("ssh-6.pub")) == (
        "LimitExceeded", 409, "Cannot exceed quota for SSHPublicKeysPerUser: 5",
    )  # fmt: skip
    missing = {**named, "SSHPublicKeyId": "APKAIOSFODNN7EXAMPLE"}
    assert refusal(iam.delete_ssh_public_key, **missing) == (
        "NoSuchEntity", 404, "The Public Key with id APKAIOSFODNN7EXAMPLE cannot be found.",
    )  # fmt: skip
    # Whoever may do nothing learns nothing, not even that a key is malformed.
    key = Credentials.of(iam.create_access_key(**named)["AccessKey"])
    theirs = cluster.iam(1, key.access_key_id, key.secret_access_key)
    assert refusal(theirs.upload_ssh_public_key, **named, SSHPublicKeyBody="x")[:2] == ("AccessDenied", 403)
