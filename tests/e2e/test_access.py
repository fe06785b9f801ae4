"""Who can do what, and whose access a change of policies would change, asked by the real client."""

import json

from conftest import REPLICAS, WRITERS, Credentials, token_of

REPLICA = WRITERS + REPLICAS


def allow(action, resource="*"):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def ask(cluster, *question, node=REPLICA):
    answer = cluster.writ("access", *question, "--endpoint", cluster.grpc(node))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_who_can_what_can_and_what_would_change(cluster, tmp_path):
    iam = cluster.iam(1)
    policy = iam.create_policy(PolicyName="queues", PolicyDocument=allow("sqs:Get*"))
    policy = policy["Policy"]["Arn"]
    group = iam.create_group(GroupName="queue-readers")["Group"]["Arn"]
    user = iam.create_user(UserName="quentin")["User"]["Arn"]
    other = iam.create_user(UserName="zoe")["User"]["Arn"]
    iam.attach_group_policy(GroupName="queue-readers", PolicyArn=policy)
    written = iam.add_user_to_group(GroupName="queue-readers", UserName="quentin")
    cluster.wait("--token", token_of(written))

    who = ("who-can", "--action", "sqs:GetQueueUrl", "--resource", "*")
    holders = ask(cluster, *who)
    assert f"{user} (AIDA" in holders, holders
    assert f"  by statement 0 of {policy}" in holders, holders
    assert ":root (" in holders, holders
    assert other not in holders, holders

    what = ask(cluster, "what-can", "--principal", user)
    assert "sqs\n  sqs:Get* on *\n" in what, what
    assert f"    by statement 0 of {policy}" in what, what

    document = tmp_path / "after.json"
    document.write_text(allow("sqs:Send*"))
    compare = ("compare", "--policy", policy, "--document", document)
    changes = ask(cluster, *compare)
    assert f"{user}: sqs:Getx on *: allow -> deny (implicit)\n" in changes, changes
    assert f"{user}: sqs:Sendx on *: deny (implicit) -> allow\n" in changes, changes
    assert other not in changes, changes
    # It was only asked.
    assert f"{user} (AIDA" in ask(cluster, *who)

    changes = ask(cluster, "compare", "--group", group, "--detach", policy)
    assert changes == f"{user}: sqs:Getx on *: allow -> deny (implicit)\n", changes

    missing = cluster.writ("access", "what-can", "--principal", f"{user}x")
    assert missing.returncode == 1, missing.stdout
    assert "cannot be found" in missing.stderr, missing.stderr


def test_questions_need_the_right_to_ask(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="curious")
    key = iam.create_access_key(UserName="curious")
    cluster.wait("--token", token_of(key))
    env = Credentials.of(key["AccessKey"]).environment()
    question = ("access", "who-can", "--action", "iam:GetUser", "--resource", "*")
    answer = cluster.writ(*question, env=env)
    assert answer.returncode == 1, answer.stdout
    assert "not authorized to perform: writ:ListPrincipalsWithAccess" in answer.stderr
    assert "curious" not in answer.stdout
