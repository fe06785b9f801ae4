"""Credentials of users and of the account that are no access keys, with boto3.

The expected codes, status numbers and texts are those of AWS. Names differ from test to test, since
the tests of a module share a cluster.
"""

import json
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


def allow(action: str) -> str:
    """A policy that allows an action on everything."""
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


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


def test_signing_certificates_of_a_user(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="signer")
    named = {"UserName": "signer"}
    body = text("certificate-1.pem")
    certificate = iam.upload_signing_certificate(**named, CertificateBody=body)["Certificate"]
    assert re.fullmatch(r"[A-Z2-7]{32}", certificate["CertificateId"])
    assert (certificate["Status"], certificate["CertificateBody"]) == ("Active", body.strip())
    one = {**named, "CertificateId": certificate["CertificateId"]}
    switched = iam.update_signing_certificate(**one, Status="Inactive")
    cluster.wait("--token", token_of(switched))
    listed = cluster.iam(3).list_signing_certificates(**named)["Certificates"]
    assert listed == [{**certificate, "Status": "Inactive"}]
    assert refusal(iam.delete_user, **named) == (
        "DeleteConflict", 409, "Cannot delete entity, must delete certificates first.",
    )  # fmt: skip
    # A user may be let manage its own, and needs not be named then.
    iam.put_user_policy(**named, PolicyName="own", PolicyDocument=allow("iam:*SigningCertificate*"))
    key = Credentials.of(iam.create_access_key(**named)["AccessKey"])
    own = cluster.iam(1, key.access_key_id, key.secret_access_key)
    assert len(own.list_signing_certificates()["Certificates"]) == 1
    own.delete_signing_certificate(CertificateId=certificate["CertificateId"])
    assert own.list_signing_certificates()["Certificates"] == []


def test_wrong_signing_certificates_are_refused(cluster):
    iam = cluster.iam(1)
    for name in ("signs-wrong", "signs-too"):
        iam.create_user(UserName=name)
    named = {"UserName": "signs-wrong"}
    upload = iam.upload_signing_certificate
    assert refusal(upload, **named, CertificateBody="none")[:2] == ("MalformedCertificate", 400)
    assert refusal(upload, **named, CertificateBody=text("certificate-past.pem"))[:2] == (
        "InvalidCertificate", 400,
    )  # fmt: skip
    upload(**named, CertificateBody=text("certificate-1.pem"))
    for other in ("signs-wrong", "signs-too"):
        twice = {"UserName": other, "CertificateBody": text("certificate-1.pem")}
        assert refusal(upload, **twice)[:2] == ("DuplicateCertificate", 409)
    upload(**named, CertificateBody=text("certificate-2.pem"))
    assert refusal(upload, **named, CertificateBody=text("certificate-3.pem")) == (
        "LimitExceeded", 409, "Cannot exceed quota for CertificatesPerUser: 2",
    )  # fmt: skip
    missing = {**named, "CertificateId": "TA7SMP42TDN5Z26OBPJE7EXAMPLE"}
    assert refusal(iam.update_signing_certificate, **missing, Status="Active") == (
        "NoSuchEntity", 404, "The Certificate with id TA7SMP42TDN5Z26OBPJE7EXAMPLE cannot be found.",
    )  # fmt: skip


def test_service_specific_credentials_of_a_user(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="coder")
    named = {"UserName": "coder"}
    create = iam.create_service_specific_credential
    git = create(**named, ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredential"]
    assert re.fullmatch(r"ACCA[A-Z2-7]{17}", git["ServiceSpecificCredentialId"])
    assert git["ServiceUserName"] == f"coder-at-{cluster.account_id}"
    assert re.fullmatch(r"[A-Za-z0-9+/]{59}=", git["ServicePassword"])
    second = create(**named, ServiceName="codecommit.amazonaws.com")["ServiceSpecificCredential"]
    assert second["ServiceUserName"] == f"coder+1-at-{cluster.account_id}"
    made = create(**named, ServiceName="bedrock.amazonaws.com", CredentialAgeDays=30)
    api_key = made["ServiceSpecificCredential"]
    assert (api_key["ExpirationDate"] - api_key["CreateDate"]).days == 30
    assert api_key["ServiceCredentialSecret"].startswith("ABSK")

    cluster.wait("--token", token_of(made))

    elsewhere = cluster.iam(3)
    listed = elsewhere.list_service_specific_credentials(AllUsers=True, ServiceName="bedrock.amazonaws.com")
    (shown,) = listed["ServiceSpecificCredentials"]
    assert "ServiceCredentialSecret" not in shown
    assert shown["ServiceCredentialAlias"] == api_key["ServiceCredentialAlias"]
    one = {**named, "ServiceSpecificCredentialId": git["ServiceSpecificCredentialId"]}
    elsewhere.update_service_specific_credential(**one, Status="Inactive")
    reset = elsewhere.reset_service_specific_credential(**one)
    again = reset["ServiceSpecificCredential"]
    assert again["Status"] == "Inactive"
    assert again["ServicePassword"] != git["ServicePassword"]
    cluster.wait("--token", token_of(reset))

    assert refusal(iam.delete_user, **named) == (
        "DeleteConflict", 409, "Cannot delete entity, must remove referenced objects first.",
    )  # fmt: skip
    for found in iam.list_service_specific_credentials(**named)["ServiceSpecificCredentials"]:
        theirs = {**named, "ServiceSpecificCredentialId": found["ServiceSpecificCredentialId"]}
        iam.delete_service_specific_credential(**theirs)
    iam.delete_user(**named)


def test_wrong_service_specific_credentials_are_refused(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="codes-wrong")
    named = {"UserName": "codes-wrong"}
    create = iam.create_service_specific_credential
    assert refusal(create, **named, ServiceName="s3.amazonaws.com") == (
        "NoSuchEntity", 404,
        "No such service s3.amazonaws.com is supported for Service Specific Credentials",
    )  # fmt: skip
    git = {**named, "ServiceName": "codecommit.amazonaws.com"}
    assert refusal(create, **git, CredentialAgeDays=1)[:2] == ("ValidationError", 400)
    for _ in range(2):
        create(**git)
    assert refusal(create, **git) == (
        "LimitExceeded", 409, "Cannot exceed quota for ServiceSpecificCredentialsPerUser: 2",
    )  # fmt: skip
    missing = {**named, "ServiceSpecificCredentialId": "ACCAIOSFODNN7EXAMPLE4"}
    assert refusal(iam.reset_service_specific_credential, **missing) == (
        "NoSuchEntity", 404, "No such credential ACCAIOSFODNN7EXAMPLE4 exists",
    )  # fmt: skip
    both = {**named, "AllUsers": True}
    assert refusal(iam.list_service_specific_credentials, **both)[:2] == ("ValidationError", 400)


def test_server_certificates_of_an_account(cluster):
    iam = cluster.iam(1)
    named = {"ServerCertificateName": "web"}
    uploaded = iam.upload_server_certificate(
        **named,
        Path="/sites/",
        CertificateBody=text("issued.pem"),
        PrivateKey=text("issued.key"),
        CertificateChain=text("issued.chain.pem"),
        Tags=[{"Key": "team", "Value": "a"}],
    )
    metadata = uploaded["ServerCertificateMetadata"]
    arn = f"arn:aws:iam::{cluster.account_id}:server-certificate/sites/web"
    assert (metadata["Arn"], metadata["Expiration"].year) == (arn, 2120)
    assert re.fullmatch(r"ASCA[A-Z2-7]{17}", metadata["ServerCertificateId"])

    cluster.wait("--token", token_of(uploaded))

    elsewhere = cluster.iam(3)
    got = elsewhere.get_server_certificate(**named)["ServerCertificate"]
    assert got["CertificateBody"] == text("issued.pem").strip()
    assert got["CertificateChain"] == text("issued.chain.pem").strip()
    assert got["Tags"] == [{"Key": "team", "Value": "a"}]
    assert "PRIVATE KEY" not in str(got)
    listed = elsewhere.list_server_certificates(PathPrefix="/sites/")
    assert listed["ServerCertificateMetadataList"] == [metadata]
    moved = elsewhere.update_server_certificate(**named, NewServerCertificateName="site", NewPath="/")
    cluster.wait("--token", token_of(moved))
    assert refusal(iam.get_server_certificate, **named) == (
        "NoSuchEntity", 404, "The Server Certificate with name web cannot be found.",
    )  # fmt: skip
    iam.delete_server_certificate(ServerCertificateName="site")
    assert iam.get_account_summary()["SummaryMap"]["ServerCertificates"] == 0


def test_wrong_server_certificates_are_refused(cluster):
    iam = cluster.iam(1)

    def refused(body, key, **others):
        body, key = text(body), text(key)
        named = {"ServerCertificateName": "wrong", "CertificateBody": body, "PrivateKey": key}
        return refusal(iam.upload_server_certificate, **named, **others)

    malformed = ("MalformedCertificate", 400)
    assert refused("certificate-1.pem", "certificate-2.key")[:2] == ("KeyPairMismatch", 400)
    assert refused("ssh-1.pem", "certificate-1.key")[:2] == malformed
    assert refused("certificate-past.pem", "certificate-past.key")[:2] == malformed
    code, status, message = refused("certificate-1.pem", "certificate-1.encrypted.key")
    assert (code, status) == malformed
    assert "BEGIN" not in message
    turned = {"CertificateChain": text("issued.turned.pem")}
    assert refused("issued.pem", "issued.key", **turned) == (
        *malformed,
        "Unable to validate certificate chain. The certificate chain must start with the "
        "immediate signing certificate, followed by any intermediaries in order.",
    )
