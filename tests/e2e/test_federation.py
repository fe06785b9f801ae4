"""A broker hands a session to somebody whom IAM does not know, and a denial is looked into.

The expected codes, status numbers and texts are those of AWS. Each test's names are its own, since
the tests of a module share a cluster.
"""

import json

import pytest
from botocore.exceptions import ClientError
from conftest import Credentials, token_of
from test_journey import error_of

def allow(*actions) -> str:
    """A policy that allows actions on everything."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


FILES = allow("s3:*")


def user_key(cluster, name, *actions) -> Credentials:
    """The access key of a new user who may do some actions, known to every node."""
    iam = cluster.iam(1)
    iam.create_user(UserName=name)
    if actions:
        iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=allow(*actions))
    created = iam.create_access_key(UserName=name)
    cluster.wait("--token", token_of(created))
    return Credentials.of(created["AccessKey"])


def sts_of(cluster, number, key):
    """STS at a node, by somebody's credentials."""
    return cluster.sts(number, key.access_key_id, key.secret_access_key, key.session_token)


@pytest.mark.parametrize("number", [1, 3])
def test_a_broker_hands_out_a_federated_users_session(cluster, number):
    name = f"broker-{number}"
    broker = user_key(cluster, name, "sts:*")
    made = sts_of(cluster, number, broker).get_federation_token(
        Name="visitor",
        Policy=FILES,
        DurationSeconds=900,
        Tags=[{"Key": "desk", "Value": "7"}],
    )
    account = cluster.account_id
    assert made["FederatedUser"] == {
        "FederatedUserId": f"{account}:visitor",
        "Arn": f"arn:aws:sts::{account}:federated-user/visitor",
    }
    assert 0 < made["PackedPolicySize"] <= 100
    visitor = Credentials.of(made["Credentials"])
    assert visitor.access_key_id.startswith("ASIA")
    # Any node knows the session, and whose its key is.
    elsewhere = sts_of(cluster, 2, visitor)
    identity = elsewhere.get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (
        made["FederatedUser"]["Arn"], made["FederatedUser"]["FederatedUserId"],
    )  # fmt: skip
    asked = sts_of(cluster, 3, broker).get_access_key_info(AccessKeyId=visitor.access_key_id)
    assert asked["Account"] == account
    # AWS: it calls nothing of IAM, and of STS only GetCallerIdentity.
    for call in (
        lambda: cluster.iam(
            2, visitor.access_key_id, visitor.secret_access_key, visitor.session_token
        ).list_users(),
        lambda: elsewhere.get_session_token(),
        lambda: elsewhere.get_federation_token(Name="again"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert error_of(refused) == ("AccessDenied", 403)


def test_a_federated_user_is_asked_for_as_aws_says(cluster):
    key = user_key(cluster, "asks-wrong", "sts:GetFederationToken", "sts:GetSessionToken")
    sts = sts_of(cluster, 1, key)
    tags = [{"Key": "a", "Value": "1"}]
    for params, wanted in (
        ({"Name": "x" * 33}, ("ValidationError", 400)),
        ({"Name": "web", "Policy": "{,}"}, ("MalformedPolicyDocument", 400)),
        ({"Name": "web", "Tags": tags}, ("AccessDenied", 403)),
        ({"Name": "web", "DurationSeconds": 129_601}, ("ValidationError", 400)),
    ):
        with pytest.raises(ClientError) as refused:
            sts.get_federation_token(**params)
        assert error_of(refused) == wanted, params
    session = Credentials.of(sts.get_session_token()["Credentials"])
    with pytest.raises(ClientError) as refused:
        sts_of(cluster, 1, session).get_federation_token(Name="web")
    assert error_of(refused) == ("AccessDenied", 403)
    assert refused.value.response["Error"]["Message"] == (
        "Cannot call GetFederationToken with session credentials"
    )


def test_a_denial_is_decoded_at_another_node_by_who_may(cluster):
    key = user_key(cluster, "denied")
    with pytest.raises(ClientError) as refused:
        cluster.iam(1, key.access_key_id, key.secret_access_key).get_user(UserName="denied")
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    decoded = cluster.sts(3).decode_authorization_message(EncodedMessage=error["EncodedMessage"])
    message = json.loads(decoded["DecodedMessage"])
    arn = f"arn:aws:iam::{cluster.account_id}:user/denied"
    assert (message["allowed"], message["explicitDeny"]) == (False, False)
    assert message["matchedStatements"] == {"items": []}
    context = message["context"]
    assert (context["action"], context["resource"]) == ("iam:GetUser", arn)
    assert context["principal"]["arn"] == arn
    conditions = {
        item["key"]: [value["value"] for value in item["values"]["items"]]
        for item in context["conditions"]["items"]
    }
    assert conditions["aws:username"] == ["denied"]
    # Whoever may not is told so, and what is no message is called that.
    with pytest.raises(ClientError) as refused:
        sts_of(cluster, 2, key).decode_authorization_message(
            EncodedMessage=error["EncodedMessage"]
        )
    assert error_of(refused) == ("AccessDenied", 403)
    for wrong in ("x", error["EncodedMessage"][:-8], error["EncodedMessage"] + "\n"):
        with pytest.raises(ClientError) as refused:
            cluster.sts(2).decode_authorization_message(EncodedMessage=wrong)
        assert error_of(refused) == ("InvalidAuthorizationMessageException", 400)


def test_a_key_that_nobody_has_is_not_found(cluster):
    for key in ("AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"):
        with pytest.raises(ClientError) as refused:
            cluster.sts(1).get_access_key_info(AccessKeyId=key)
        assert error_of(refused) == ("NoSuchEntity", 404)
    with pytest.raises(ClientError) as refused:
        cluster.sts(1).get_access_key_info(AccessKeyId="AKIA-IOSFODNN7EXAMPLE")
    assert error_of(refused) == ("ValidationError", 400)
