"""A read replica decides from its own memory, takes no writes, and follows revocations."""

import json

import pytest
from botocore.exceptions import ClientError
from conftest import REPLICAS, WRITERS, Credentials, token_of

REPLICA = WRITERS + REPLICAS
ALLOWED, DENIED = 0, 4
READS_REPORTS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Reports",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::reports/*",
        },
        {
            "Sid": "NotTheSecretOnes",
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::reports/secret/*",
        },
    ],
}


def check(cluster, principal, resource, *more, action="s3:GetObject"):
    """`writ check` at the replica."""
    return cluster.writ(
        "check", "--endpoint", cluster.grpc(REPLICA),
        "--principal", principal, "--action", action, "--resource", resource, *more,
    )  # fmt: skip


def reader(cluster, name) -> str:
    """The ARN of a user with an inline policy, known to every node."""
    iam = cluster.iam(1)
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    written = iam.put_user_policy(
        UserName=name, PolicyName="reads", PolicyDocument=json.dumps(READS_REPORTS)
    )
    cluster.wait("--token", token_of(written))
    return arn


def test_an_explained_refusal_says_what_would_allow_it(cluster):
    iam = cluster.iam(1)
    arn = iam.create_user(UserName="nearly")["User"]["Arn"]
    written = iam.put_user_policy(
        UserName="nearly",
        PolicyName="mfa",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "s3:*",
                        "Resource": "*",
                        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
                    }
                ],
            }
        ),
    )
    cluster.wait("--token", token_of(written))
    question = (
        "check", "--endpoint", cluster.grpc(REPLICA), "--principal", arn,
        "--action", "s3:GetObject", "--resource", "*",
    )  # fmt: skip
    explained = cluster.writ(*question, "--explain")
    assert explained.returncode == DENIED, explained.stderr
    assert "identity-based policy (1 attached): allows nothing of this" in explained.stdout
    wanted = "would be allowed if aws:MultiFactorAuthPresent were `true` (it is absent):"
    assert wanted in explained.stdout, explained.stdout
    assert f"statement 0 of {arn}/inline/mfa, line 1 column 41" in explained.stdout, explained.stdout
    assert "because no identity-based policy allows the s3:GetObject action" in explained.stdout
    # What the explanation says would allow does.
    mended = cluster.writ(*question, "--context", "aws:MultiFactorAuthPresent=true")
    assert mended.returncode == ALLOWED, mended.stdout
    assert "would be allowed" not in cluster.writ(*question).stdout


def test_the_replica_is_the_last_node(cluster):
    assert cluster.node(REPLICA).role == "replica"


def test_a_check_at_the_replica_names_the_statement_that_decided(cluster):
    arn = reader(cluster, "reader")
    allowed = check(cluster, arn, "arn:aws:s3:::reports/2024")
    assert allowed.returncode == ALLOWED, allowed.stderr
    assert allowed.stdout.startswith("allow\n")
    assert "Allow: statement 0 `Reports` of " in allowed.stdout

    denied = check(cluster, arn, "arn:aws:s3:::reports/secret/2024")
    assert denied.returncode == DENIED, denied.stderr
    assert denied.stdout.startswith("deny (explicit)\n")
    assert "Deny: statement 1 `NotTheSecretOnes` of " in denied.stdout

    silent = check(cluster, arn, "arn:aws:s3:::elsewhere/x")
    assert silent.returncode == DENIED, silent.stderr
    assert silent.stdout.startswith("deny (implicit)\n")


def test_a_verdict_alone_is_of_policies_that_are_prepared_until_they_change(cluster):
    arn = reader(cluster, "fast")

    def verdict(resource):
        asked = check(cluster, arn, f"arn:aws:s3:::{resource}", "--verdict-only")
        assert asked.returncode in (ALLOWED, DENIED), asked.stderr
        return asked.stdout

    for _ in range(2):
        assert verdict("reports/2024") == "allow\n"
        assert verdict("reports/secret/2024") == "deny (explicit)\n"
        assert verdict("elsewhere/x") == "deny (implicit)\n"
    assert cluster.metric(REPLICA, 'writ_prepared_policies_total{result="kept"}') >= 5
    iam = cluster.iam(1)
    iam.create_group(GroupName="fast")
    iam.put_group_policy(
        GroupName="fast",
        PolicyName="all",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
            }
        ),
    )
    joined = iam.add_user_to_group(GroupName="fast", UserName="fast")
    cluster.wait("--token", token_of(joined))
    assert verdict("elsewhere/x") == "allow\n"
    removed = iam.delete_group_policy(GroupName="fast", PolicyName="all")
    cluster.wait("--token", token_of(removed))
    assert verdict("elsewhere/x") == "deny (implicit)\n"
    both = check(cluster, arn, "arn:aws:s3:::reports/1", "--verdict-only", "--explain")
    assert both.returncode not in (ALLOWED, DENIED)
    assert "cannot be used with" in both.stderr


def test_a_revocation_holds_at_the_replica_once_it_was_waited_for(cluster):
    arn = reader(cluster, "revoked")
    assert check(cluster, arn, "arn:aws:s3:::reports/1").returncode == ALLOWED
    removed = cluster.iam(2).delete_user_policy(UserName="revoked", PolicyName="reads")
    cluster.wait("--token", token_of(removed))
    assert check(cluster, arn, "arn:aws:s3:::reports/1").returncode == DENIED


def test_a_key_that_was_switched_off_is_refused_everywhere_once_it_was_waited_for(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="leaver")
    created = iam.create_access_key(UserName="leaver")
    key = Credentials.of(created["AccessKey"])
    cluster.wait("--token", token_of(created))
    for number in cluster.numbers():
        cluster.sts(number, key.access_key_id, key.secret_access_key).get_caller_identity()
    switched = iam.update_access_key(
        UserName="leaver", AccessKeyId=key.access_key_id, Status="Inactive"
    )
    cluster.wait("--token", token_of(switched))
    for number in cluster.numbers():
        with pytest.raises(ClientError) as refused:
            cluster.sts(number, key.access_key_id, key.secret_access_key).get_caller_identity()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, number


def test_the_replica_refuses_a_write_and_names_a_writer(cluster):
    with pytest.raises(ClientError) as refused:
        cluster.iam(REPLICA).create_user(UserName="nobody")
    error = refused.value.response["Error"]
    writers = [cluster.node(number).aws_endpoint for number in range(1, WRITERS + 1)]
    addresses = [endpoint.removeprefix("http://") for endpoint in writers]
    assert any(address in error["Message"] for address in addresses), error
    names = {user["UserName"] for user in cluster.iam(1).list_users()["Users"]}
    assert "nobody" not in names


def test_the_replica_lists_conflicts_and_names_a_writer_that_settles_them(cluster):
    at = ("--endpoint", cluster.grpc(REPLICA))
    listed = cluster.writ("conflicts", "list", "-o", "json", *at)
    assert (listed.returncode, json.loads(listed.stdout)) == (0, []), listed.stderr
    refused = cluster.writ("conflicts", "resolve", "0" * 20, "--remove", *at)
    assert refused.returncode == 1, refused.stdout
    writers = [cluster.grpc(number) for number in range(1, WRITERS + 1)]
    assert any(f"read replica: ask {writer}" in refused.stderr for writer in writers), refused.stderr
    elsewhere = cluster.writ("conflicts", "resolve", "0" * 20, "--remove")
    assert elsewhere.returncode == 1 and "NoSuchConflict" in elsewhere.stderr, elsewhere.stderr


def test_whoever_may_not_list_conflicts_is_told_nothing(cluster):
    cluster.iam(1).create_user(UserName="curious")
    created = cluster.iam(1).create_access_key(UserName="curious")
    cluster.wait("--token", token_of(created))
    key = Credentials.of(created["AccessKey"])
    for action, words in (
        ("ListConflicts", ["list"]),
        ("ListConflicts", ["show", "0" * 20]),
        ("ListConflicts", ["watch"]),
        ("ResolveConflict", ["resolve", "0" * 20, "--remove"]),
    ):
        refused = cluster.writ("conflicts", *words, env=key.environment())
        assert refused.returncode == 1, words
        assert f"not authorized to perform: writ:{action}" in refused.stderr, refused.stderr
