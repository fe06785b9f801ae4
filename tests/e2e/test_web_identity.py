"""Sessions of whom an OpenID Connect provider vouches for: AssumeRoleWithWebIdentity, unsigned.

The expected codes, status numbers and texts are those of AWS. Each test's names are its own, since
the tests of a module share a cluster.
"""

import json
import time

import boto3
import botocore.config
import pytest
from botocore import UNSIGNED
from conftest import Credentials, token_of
from issuer import Host, Issuer
from test_credentials import refusal
from test_federation import allow

# Its keys are in a file; there is no such host.
QUIET = Issuer("https://quiet.example.com")
AUDIENCE = ("InvalidIdentityToken", 400, "Incorrect token audience")
NO_KEY = (
    "InvalidIdentityToken", 400,
    "Couldn't retrieve verification key from your identity provider, please reference "
    "AssumeRoleWithWebIdentity documentation for requirements",
)  # fmt: skip
NO_TOKEN = (
    "InvalidIdentityToken", 400,
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
)  # fmt: skip
DENIED = ("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """An issuer that shows its keys."""
    host = Host(tmp_path_factory.mktemp("issuer"))
    yield host
    host.stop()


@pytest.fixture(scope="module")
def dev_environment(tmp_path_factory, host):
    """Nodes trust the issuer's authority, and have the keys of another in a file."""
    keys = tmp_path_factory.mktemp("keys") / "quiet.json"
    keys.write_text(json.dumps(QUIET.keys.set()))
    return {
        "WRIT_WEB_IDENTITY_CA_FILE": str(host.ca_file),
        "WRIT_WEB_IDENTITY_PRIVATE_ADDRESSES": "true",
        "WRIT_WEB_IDENTITY_KEY_FILES": f"{QUIET.url}={keys}",
    }


def anonymous(cluster, number):
    """STS at a node, by nobody."""
    return boto3.session.Session().client(
        "sts",
        endpoint_url=cluster.endpoint(number),
        region_name="us-east-1",
        config=botocore.config.Config(
            signature_version=UNSIGNED, retries={"total_max_attempts": 1}
        ),
    )


def provider(cluster, issuer, **given) -> str:
    """Has the account trust an issuer, for the client `web`; the provider's ARN."""
    made = cluster.iam(1).create_open_id_connect_provider(
        Url=issuer.url, ClientIDList=["web"], **given
    )
    return made["OpenIDConnectProviderArn"]


def role(cluster, name, arn, *actions, **condition) -> str:
    """A role that trusts a provider, known to every node; its ARN."""
    iam = cluster.iam(1)
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": ["sts:AssumeRoleWithWebIdentity", *actions],
        "Condition": condition,
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    done = iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=allow("iam:Get*"))
    cluster.wait("--token", token_of(done))
    return made["Role"]["Arn"]


def delete(cluster, name, arn):
    """Takes a role and a provider away."""
    iam = cluster.iam(1)
    iam.delete_role_policy(RoleName=name, PolicyName="may")
    iam.delete_role(RoleName=name)
    done = iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    cluster.wait("--token", token_of(done))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_token_of_an_issuer_that_shows_its_keys_gives_a_session(cluster, host, algorithm):
    arn = provider(cluster, host.issuer, ThumbprintList=["0" * 40, host.thumbprint])
    name = f"shown-{algorithm}"
    subject = f"localhost:{host.port}/a:sub"
    role_arn = role(
        cluster, name, arn, "sts:TagSession", "sts:SetSourceIdentity",
        StringEquals={subject: "repo:bob", "aws:RequestTag/team": "a"},
    )  # fmt: skip
    token = host.issuer.token(
        algorithm,
        **{
            "https://aws.amazon.com/tags": {"principal_tags": {"team": ["a"]}},
            "https://aws.amazon.com/source_identity": "bob",
        },
    )
    made = anonymous(cluster, 2).assume_role_with_web_identity(
        RoleArn=role_arn,
        RoleSessionName="ci",
        WebIdentityToken=token,
        DurationSeconds=900,
        Policy=allow("iam:GetRole"),
    )
    assert made["SubjectFromWebIdentityToken"] == "repo:bob"
    assert (made["Audience"], made["Provider"]) == ("web", arn)
    assert made["SourceIdentity"] == "bob"
    assert 0 < made["PackedPolicySize"] <= 100
    assumed = f"arn:aws:sts::{cluster.account_id}:assumed-role/{name}/ci"
    assert made["AssumedRoleUser"]["Arn"] == assumed
    key = Credentials.of(made["Credentials"])
    session = (key.access_key_id, key.secret_access_key, key.session_token)
    # Any node knows the session.
    identity = cluster.sts(3, *session).get_caller_identity()
    assert identity["Arn"] == assumed
    assert identity["UserId"] == made["AssumedRoleUser"]["AssumedRoleId"]
    assert cluster.iam(1, *session).get_role(RoleName=name)["Role"]["RoleName"] == name
    assert refusal(cluster.iam(1, *session).get_user, UserName="x")[:2] == ("AccessDenied", 403)
    delete(cluster, name, arn)


def test_what_is_wrong_with_a_token_is_refused(cluster):
    arn = provider(cluster, QUIET)
    role_arn = role(cluster, "quiet", arn, StringEquals={"quiet.example.com:sub": "repo:bob"})
    sts = anonymous(cluster, 1)

    def asked(token, role=role_arn):
        named = {"RoleArn": role, "RoleSessionName": "ci"}
        return refusal(sts.assume_role_with_web_identity, **named, WebIdentityToken=token)

    good = {"RoleArn": role_arn, "RoleSessionName": "ci"}
    sts.assume_role_with_web_identity(**good, WebIdentityToken=QUIET.token())
    assert asked(QUIET.token(aud="other")) == AUDIENCE
    assert asked(QUIET.token(aud=["web", "other"])) == AUDIENCE
    assert asked(QUIET.token(aud="web", azp="other")) == AUDIENCE
    now = int(time.time())
    code, status, message = asked(QUIET.token(exp=now - 1))
    assert (code, status) == ("ExpiredTokenException", 400)
    assert message.endswith(f"must be before the expiration date/time {now - 1}")
    assert asked(QUIET.token(nbf=now + 900))[:2] == ("InvalidIdentityToken", 400)
    assert asked(QUIET.token(exp=None))[2] == "Missing a required claim: exp"
    assert asked(QUIET.token(sub="repo:eve")) == DENIED
    # Nobody's key, a key of another issuer, and no key at all.
    whole = QUIET.token()
    other = Issuer(QUIET.url)
    assert asked(other.token()) == NO_KEY
    assert asked(whole[:-4] + "AAAA") == NO_KEY
    assert asked(QUIET.token(header={"alg": "RS256", "kid": "none"})) == NO_KEY
    assert asked(QUIET.token("ES256", header={"alg": "RS256", "kid": "rsa"})) == NO_KEY
    for algorithm in ("none", "None", "HS256"):
        header = {"alg": algorithm, "kid": "rsa"}
        assert asked(QUIET.token(algorithm, header=header)) == NO_TOKEN
    assert asked("opaque-access-token") == NO_TOKEN
    url = "https://other.example.com"
    assert asked(Issuer(url).token()) == (
        "InvalidIdentityToken", 400, f"No OpenIDConnect provider found in your account for {url}",
    )  # fmt: skip
    # A role that is not there is answered as one that trusts nobody.
    assert asked(whole, role_arn + "-absent") == DENIED
    assert asked(whole, role_arn.replace("role/quiet", "role/QUIET")) == DENIED

    iam = cluster.iam(1)
    named = {"OpenIDConnectProviderArn": arn}
    iam.remove_client_id_from_open_id_connect_provider(**named, ClientID="web")
    assert asked(whole) == AUDIENCE
    delete(cluster, "quiet", arn)
    assert asked(whole)[2] == f"No OpenIDConnect provider found in your account for {QUIET.url}"


def test_an_issuer_is_asked_only_at_its_own_host_and_only_if_somebody_trusts_it(cluster, host):
    issuer = host.issuer
    sts = anonymous(cluster, 3)
    discovery = "/a/.well-known/openid-configuration"

    def asked(role_arn):
        named = {"RoleArn": role_arn, "RoleSessionName": "ci"}
        return refusal(sts.assume_role_with_web_identity, **named, WebIdentityToken=issuer.token())

    host.asked.clear()
    absent = f"arn:aws:iam::{cluster.account_id}:role/absent"
    assert asked(absent)[2].startswith("No OpenIDConnect provider found")
    assert host.asked == []

    arn = provider(cluster, issuer, ThumbprintList=["0" * 40])
    role_arn = role(cluster, "strict", arn)
    # Nothing is redirected, and keys elsewhere are not fetched.
    kept = host.pages[discovery]
    host.pages[discovery] = f"https://localhost:{host.port}/keys"
    assert asked(role_arn)[:2] == ("IDPCommunicationError", 400)
    assert host.asked == [discovery]
    host.pages[discovery] = kept
    # An issuer that failed is not asked again at once.
    assert asked(role_arn)[:2] == ("IDPCommunicationError", 400)
    assert host.asked == [discovery]
    # Another node has not asked yet. Its host has another certificate than it must have.
    sts = anonymous(cluster, 1)
    message = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
    assert asked(role_arn) == ("InvalidIdentityToken", 400, message)
    delete(cluster, "strict", arn)


def test_nothing_else_is_answered_without_a_signature(cluster):
    sts = anonymous(cluster, 1)
    missing = ("MissingAuthenticationToken", 403)
    assert refusal(sts.get_caller_identity)[:2] == missing
    arn = f"arn:aws:iam::{cluster.account_id}:role/any"
    assert refusal(sts.assume_role, RoleArn=arn, RoleSessionName="ci")[:2] == missing
