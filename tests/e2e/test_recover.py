"""What only a removed node had is written down for people, and comes back by nothing else."""

import json
import stat

DOCUMENT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}],
}


def test_what_only_a_removed_node_had_is_written_down_for_review(cluster, tmp_path):
    cluster.iam(3, prefix="~all").create_user(UserName="everywhere")
    for number in (1, 2, 4):
        cluster.kill(number)
    alone = cluster.iam(3)
    alone.create_user(UserName="only-there")
    alone.put_user_policy(
        UserName="only-there", PolicyName="reads", PolicyDocument=json.dumps(DOCUMENT)
    )
    key = alone.create_access_key(UserName="only-there")["AccessKey"]
    cluster.kill(3)
    cluster.restart_together(1, 2, 4)
    directory = cluster.node(3).data_dir

    member = cluster.writ("recover", directory)
    assert member.returncode == 1
    assert "node 3 is a member: start it" in member.stderr
    removed = cluster.writ("node", "remove", "3")
    assert removed.returncode == 0, removed.stderr

    bundle = tmp_path / "bundle.json"
    done = cluster.writ("recover", directory, "--output", bundle)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    text = bundle.read_text()
    assert key["SecretAccessKey"] not in text
    found = json.loads(text)
    assert found["format"] == 1 and found["node"] == 3
    made = found["transactions"]
    assert found["transactions_gone"] == 0
    assert [(one["node"], one["action"]) for one in made] == [
        (3, "CreateUser"), (3, "PutUserPolicy"), (3, "CreateAccessKey"),
    ]  # fmt: skip
    assert made[0]["author_arn"] == f"arn:aws:iam::{cluster.account_id}:root"
    assert {write["name"] for write in made[1]["writes"]} == {"only-there"}
    documents = [write["document"] for write in made[1]["writes"] if write["document"]]
    assert [json.loads(document) for document in documents] == [DOCUMENT]
    # A second look tells the same, and the cluster has nothing of it.
    again = cluster.writ("recover", directory)
    assert json.loads(again.stdout)["transactions"] == made
    users = {user["UserName"] for user in cluster.iam(1).list_users()["Users"]}
    assert users == {"everywhere"}

    # Once it was done again there is still the removed node's own to compare with.
    cluster.iam(1, prefix="~all").create_user(UserName="only-there")
    assert json.loads(cluster.writ("recover", directory).stdout)["transactions"] == made


def test_what_is_no_data_directory_is_refused(cluster, tmp_path):
    refused = cluster.writ("recover", tmp_path)
    assert refused.returncode == 1
    assert "is no node's data directory" in refused.stderr
