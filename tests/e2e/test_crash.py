"""Nodes are killed while clients write at all of them; nothing that was acknowledged is lost.

WRIT_KILLS is the number of kills: 8 unless given, and 200 for a long run by hand or by night:

    WRIT_KILLS=200 .venv/bin/pytest tests/e2e/test_crash.py

WRIT_SEED repeats the choice of victims.
"""

import os
import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError
from conftest import WRITERS, eventually

KILLS = int(os.environ.get("WRIT_KILLS", "8"))
SEED = int(os.environ.get("WRIT_SEED", random.randrange(2**32)))
USERS_PER_CLIENT = 40
GROUPS_PER_CLIENT = 10
TAG = "last"
POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
# Between two kills, so that each hits nodes that are at work.
WRITES_BETWEEN_KILLS = 20
PROGRESS_SECONDS = 60


class Client(threading.Thread):
    """Writes at one node until stopped, and remembers what was acknowledged.

    It alone writes the names that it uses. A call that failed may have taken effect or not.
    """

    def __init__(self, cluster, number, prefix="client"):
        super().__init__(name=f"{prefix}-{number}", daemon=True)
        self.iam = cluster.iam(number)
        self.stopped = threading.Event()
        self.acknowledged = 0
        self.refused: list[str] = []
        self.users: list[str] = []
        self.groups: list[str] = []
        self.members: set[tuple[str, str]] = set()
        self.attached: set[str] = set()
        # The last value that was acknowledged, and the last that was tried, of each user's tag.
        self.tags: dict[str, list[int]] = {}

    def run(self):
        step = 0
        while not self.stopped.is_set():
            step += 1
            try:
                self.write(step)
                self.acknowledged += 1
            except ClientError as error:
                # The node may be starting or stopping. Everything else is a broken promise.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 503:
                    self.refused.append(str(error))
                time.sleep(0.02)
            except BotoCoreError:
                time.sleep(0.02)

    def write(self, step):
        """One call, acknowledged if it returns."""
        name = f"{self.name}-{step}"
        if len(self.users) < USERS_PER_CLIENT and step % 3 == 0:
            self.iam.create_user(UserName=name)
            self.users.append(name)
        elif len(self.groups) < GROUPS_PER_CLIENT and step % 10 == 0:
            self.iam.create_group(GroupName=name)
            self.groups.append(name)
        elif not self.users:
            return
        elif step % 7 == 0:
            user = self.users[step % len(self.users)]
            self.iam.attach_user_policy(UserName=user, PolicyArn=POLICY)
            self.attached.add(user)
        elif self.groups and step % 11 == 0:
            user, group = self.users[step % len(self.users)], self.groups[0]
            self.iam.add_user_to_group(UserName=user, GroupName=group)
            self.members.add((user, group))
        else:
            user = self.users[step % len(self.users)]
            seen = self.tags.setdefault(user, [0, 0])
            seen[1] = step
            self.iam.tag_user(UserName=user, Tags=[{"Key": TAG, "Value": str(step)}])
            seen[0] = step


def test_acknowledged_writes_survive_kills_of_any_node(cluster):
    choice = random.Random(SEED)
    clients = [Client(cluster, number) for number in range(1, WRITERS + 1)]
    for client in clients:
        client.start()
    try:
        for kill in range(KILLS):
            victim = choice.choice(cluster.numbers())
            wait_for_writes(clients, f"writes before kill {kill} of node {victim} (seed {SEED})")
            cluster.kill(victim)
            # The others go on meanwhile: no write needs another node.
            others = [client for number, client in enumerate(clients, 1) if number != victim]
            wait_for_writes(others, f"writes while node {victim} is down (seed {SEED})")
            cluster.restart(victim)
    finally:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(PROGRESS_SECONDS)

    assert not any(client.is_alive() for client in clients)
    assert [client.refused for client in clients] == [[], [], []]
    cluster.wait("--timeout", "60s")
    for number in cluster.numbers():
        for client in clients:
            check(cluster.iam(number), client, f"node {number}, seed {SEED}")
    cluster.assert_equal_digests()


def wait_for_writes(clients, what):
    """Waits until each of the clients has had some more writes acknowledged."""
    goals = [(client, client.acknowledged + WRITES_BETWEEN_KILLS) for client in clients]
    eventually(
        lambda: all(client.acknowledged >= goal for client, goal in goals), PROGRESS_SECONDS, what
    )


def check(iam, client, where):
    """Everything that the client was promised is there."""
    users = names(iam, "list_users", "Users", "UserName")
    assert set(client.users) <= users, where
    assert set(client.groups) <= names(iam, "list_groups", "Groups", "GroupName"), where
    for user in client.attached:
        attached = iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        assert [policy["PolicyArn"] for policy in attached] == [POLICY], (where, user)
    for group in {group for _, group in client.members}:
        members = {user["UserName"] for user in iam.get_group(GroupName=group)["Users"]}
        assert {user for user, of in client.members if of == group} <= members, (where, group)
    for user, (acknowledged, tried) in client.tags.items():
        tags = {tag["Key"]: int(tag["Value"]) for tag in iam.list_user_tags(UserName=user)["Tags"]}
        assert acknowledged <= tags.get(TAG, 0) <= tried, (where, user)


def names(iam, operation, field, name) -> set[str]:
    pages = iam.get_paginator(operation).paginate()
    return {item[name] for page in pages for item in page[field]}
