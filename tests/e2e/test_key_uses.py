"""An administrator looks for access keys that nobody uses.

Each test's names are its own, since the tests of a module share a cluster.
"""

import datetime
import time

from test_journey import new_user_key
from test_mfa import of, refusal

# A use is written down after the request that it was is answered.
NOTED_WITHIN_SECONDS = 10


def last_use(iam, key_id) -> dict:
    """The answer once it has a date."""
    deadline = time.monotonic() + NOTED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        answer = iam.get_access_key_last_used(AccessKeyId=key_id)
        if "LastUsedDate" in answer["AccessKeyLastUsed"]:
            return answer
    raise AssertionError(f"no use is noted: {answer}")


def test_a_use_at_one_node_is_told_by_another(cluster):
    key = new_user_key(cluster, "seldom")
    iam = cluster.iam(3)
    unused = iam.get_access_key_last_used(AccessKeyId=key.access_key_id)
    assert unused["UserName"] == "seldom"
    assert unused["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    of(cluster, "sts", 2, key).get_caller_identity()
    told = last_use(iam, key.access_key_id)["AccessKeyLastUsed"]
    assert (told["ServiceName"], told["Region"]) == ("sts", "us-east-1")
    age = datetime.datetime.now(datetime.timezone.utc) - told["LastUsedDate"]
    assert age < datetime.timedelta(minutes=1)
    # Further uses do not write.
    assert refusal(of(cluster, "iam", 1, key).list_users)[0] == "AccessDenied"
    again = iam.get_access_key_last_used(AccessKeyId=key.access_key_id)["AccessKeyLastUsed"]
    assert again == told


def test_keys_that_are_not_known_are_told_as_such(cluster):
    iam = cluster.iam(1)
    assert refusal(iam.get_access_key_last_used, AccessKeyId="AKIAIOSFODNN7EXAMPLE") == (
        "NoSuchEntity", 404, "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found.",
    )  # fmt: skip
