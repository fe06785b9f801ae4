"""What a person does first: make an administrator, use the key elsewhere, be refused.

The expected codes, status numbers and texts are those of AWS. Names differ from test to test, since
the tests of a module share a cluster.
"""

import json
import re

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKey
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from conftest import Credentials, token_in_log, token_of

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
# The exit code of version 1 of the AWS CLI for an error that the service answered.
REFUSED_BY_SERVICE = 255


def user_names(iam) -> set[str]:
    pages = iam.get_paginator("list_users").paginate()
    return {user["UserName"] for page in pages for user in page["Users"]}


def error_of(refused) -> tuple[str, int]:
    """Code and HTTP status of a refusal."""
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def new_user_key(cluster, name) -> Credentials:
    """A user without policies, known to every node, and its access key."""
    iam = cluster.iam(1)
    iam.create_user(UserName=name)
    created = iam.create_access_key(UserName=name)
    cluster.wait("--token", token_of(created))
    return Credentials.of(created["AccessKey"])


def test_an_administrator_made_at_one_node_works_at_another(cluster):
    iam = cluster.iam(1)
    user = iam.create_user(UserName="Administrator")["User"]
    assert user["Arn"] == f"arn:aws:iam::{cluster.account_id}:user/Administrator"
    assert re.fullmatch(r"AIDA[A-Z2-7]{16,17}", user["UserId"])
    group = iam.create_group(GroupName="Administrators")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{cluster.account_id}:group/Administrators"
    iam.attach_group_policy(GroupName="Administrators", PolicyArn=ADMINISTRATOR_ACCESS)
    iam.add_user_to_group(GroupName="Administrators", UserName="Administrator")
    key = Credentials.of(iam.create_access_key(UserName="Administrator")["AccessKey"])

    cluster.wait()

    elsewhere = cluster.iam(3, key.access_key_id, key.secret_access_key)
    assert "Administrator" in user_names(elsewhere)
    attached = elsewhere.list_attached_group_policies(GroupName="Administrators")
    assert attached["AttachedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": ADMINISTRATOR_ACCESS}
    ]
    identity = cluster.sts(3, key.access_key_id, key.secret_access_key).get_caller_identity()
    assert (identity["Account"], identity["Arn"], identity["UserId"]) == (
        cluster.account_id, user["Arn"], user["UserId"],
    )  # fmt: skip


def test_a_user_made_with_the_aws_cli_is_read_at_another_node(cluster):
    created = cluster.aws(1, "iam", "create-user", "--user-name", "from-cli", "--debug")
    assert created.returncode == 0, created.stderr
    user = json.loads(created.stdout)["User"]

    cluster.wait("--token", token_in_log(created.stderr))

    read = cluster.aws(3, "iam", "get-user", "--user-name", "from-cli")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["User"] == user


def test_the_aws_cli_reports_a_missing_user_as_aws_does(cluster):
    read = cluster.aws(2, "iam", "get-user", "--user-name", "nobody")
    assert read.returncode == REFUSED_BY_SERVICE
    assert read.stderr.strip().endswith(
        "An error occurred (NoSuchEntity) when calling the GetUser operation: "
        "The user with name nobody cannot be found."
    )


@pytest.mark.parametrize("number", [1, 3])
def test_a_user_without_policies_is_denied_in_the_words_of_aws(cluster, number):
    name = f"unprivileged-{number}"
    key = new_user_key(cluster, name)
    with pytest.raises(ClientError) as refused:
        cluster.iam(number, key.access_key_id, key.secret_access_key).list_users()
    assert error_of(refused) == ("AccessDenied", 403)
    assert re.fullmatch(
        rf"User: arn:aws:iam::{cluster.account_id}:user/{name} is not authorized to perform: "
        r"iam:ListUsers on resource: \S+ "
        r"because no identity-based policy allows the iam:ListUsers action",
        refused.value.response["Error"]["Message"],
    )


def test_a_user_without_policies_may_ask_who_it_is(cluster):
    # AWS: GetCallerIdentity needs no permission.
    key = new_user_key(cluster, "who-am-i")
    identity = cluster.sts(3, key.access_key_id, key.secret_access_key).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{cluster.account_id}:user/who-am-i"


def test_an_action_that_does_not_exist_is_an_invalid_action(cluster):
    # boto3 refuses such a call itself, so the request is signed by hand.
    request = AWSRequest(
        method="POST",
        url=cluster.endpoint(1) + "/",
        data="Action=PaintUser&Version=2010-05-08",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    administrator = cluster.administrator
    key = SigningKey(administrator.access_key_id, administrator.secret_access_key)
    SigV4Auth(key, "iam", "us-east-1").add_auth(request)
    answer = URLLib3Session().send(request.prepare())
    assert answer.status_code == 400
    assert "<Code>InvalidAction</Code>" in answer.text
    assert "<Type>Sender</Type>" in answer.text


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_wrong_secret_is_refused_at_every_writer(cluster, number):
    wrong = "wrong" + cluster.administrator.secret_access_key[5:]
    with pytest.raises(ClientError) as refused:
        cluster.iam(number, cluster.administrator.access_key_id, wrong).list_users()
    assert error_of(refused) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_unknown_key_is_refused_at_every_writer(cluster, number):
    with pytest.raises(ClientError) as refused:
        cluster.iam(number, "AKIAIOSFODNN7EXAMPLE", "any secret").list_users()
    assert error_of(refused) == ("InvalidClientTokenId", 403)
    assert refused.value.response["Error"]["Message"] == (
        "The security token included in the request is invalid."
    )


def test_a_taken_name_is_refused_whatever_its_letter_case(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="taken")
    with pytest.raises(ClientError) as refused:
        iam.create_user(UserName="TAKEN")
    assert error_of(refused) == ("EntityAlreadyExists", 409)


def test_a_write_to_the_all_prefix_is_everywhere_when_it_replies(cluster):
    writer = cluster.iam(1, prefix="~all")
    for round_number in range(5):
        name = f"everywhere-{round_number}"
        user = writer.create_user(UserName=name)["User"]
        for number in cluster.numbers():
            assert cluster.iam(number).get_user(UserName=name)["User"] == user, f"node {number}"


def test_every_reply_carries_a_consistency_token(cluster):
    for number in cluster.numbers():
        assert token_of(cluster.iam(number).list_users())
