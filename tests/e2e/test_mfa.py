"""A user has a second factor, and what a policy asks of those who have none.

The expected codes, status numbers and texts are those of AWS. Names differ from test to test, since
the tests of a module share a cluster.
"""

import json
import os

import pytest
from botocore.exceptions import ClientError
from conftest import Credentials, token_of
from test_journey import error_of, new_user_key
from totp import Device

WRONG_CODE = "MultiFactorAuthentication failed with invalid MFA one time pass code."
PROVEN = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def document(**statement) -> str:
    """A policy of one statement that allows."""
    return json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", **statement}})


def of(cluster, service, number, key, prefix=""):
    """A client of a node, by somebody's credentials."""
    make = getattr(cluster, service)
    return make(number, key.access_key_id, key.secret_access_key, key.session_token, prefix)


def refusal(call, **params) -> tuple[str, int, str]:
    """Code, HTTP status and text of a refusal."""
    with pytest.raises(ClientError) as refused:
        call(**params)
    return *error_of(refused), refused.value.response["Error"]["Message"]


def device_of(cluster, user) -> Device:
    """A device that is enabled for a user, known to every node."""
    iam = cluster.iam(1)
    made = iam.create_virtual_mfa_device(VirtualMFADeviceName=f"phone-of-{user}")
    device = Device(made["VirtualMFADevice"])
    enabled = iam.enable_mfa_device(UserName=user, SerialNumber=device.serial, **device.two_codes())
    cluster.wait("--token", token_of(enabled))
    return device


def test_a_device_is_made_enabled_listed_and_taken_apart(cluster):
    iam = cluster.iam(1)
    iam.create_user(UserName="holder")
    made = iam.create_virtual_mfa_device(
        VirtualMFADeviceName="fob", Path="/fobs/", Tags=[{"Key": "team", "Value": "a"}]
    )["VirtualMFADevice"]
    serial = f"arn:aws:iam::{cluster.account_id}:mfa/fobs/fob"
    assert (made["SerialNumber"], len(made["Base32StringSeed"])) == (serial, 64)
    assert made["QRCodePNG"].startswith(b"\x89PNG\r\n\x1a\n")
    device = Device(made)
    named = {"UserName": "holder", "SerialNumber": serial}
    same = device.code()
    assert refusal(
        iam.enable_mfa_device, **named, AuthenticationCode1=same, AuthenticationCode2=same
    ) == ("InvalidAuthenticationCode", 403, "Authentication code for device is not valid.")
    enabled = iam.enable_mfa_device(**named, **device.two_codes())

    cluster.wait("--token", token_of(enabled))

    elsewhere = cluster.iam(3)
    (listed,) = elsewhere.list_mfa_devices(UserName="holder")["MFADevices"]
    assert (listed["UserName"], listed["SerialNumber"]) == ("holder", serial)
    assigned = elsewhere.list_virtual_mfa_devices(AssignmentStatus="Assigned")
    (shown,) = [one for one in assigned["VirtualMFADevices"] if one["SerialNumber"] == serial]
    assert shown["User"]["UserName"] == "holder"
    assert "Base32StringSeed" not in shown
    summary = elsewhere.get_account_summary()["SummaryMap"]
    assert summary["MFADevicesInUse"] >= 1
    assert elsewhere.list_mfa_device_tags(SerialNumber=serial)["Tags"] == [{"Key": "team", "Value": "a"}]
    assert refusal(elsewhere.delete_virtual_mfa_device, SerialNumber=serial) == (
        "DeleteConflict", 409, "MFA VirtualDevice in use. Must deactivate first.",
    )  # fmt: skip
    assert refusal(elsewhere.delete_user, UserName="holder") == (
        "DeleteConflict", 409, "Cannot delete entity, must delete MFA device first.",
    )  # fmt: skip
    elsewhere.resync_mfa_device(**named, **device.two_codes())
    elsewhere.deactivate_mfa_device(**named)
    elsewhere.delete_virtual_mfa_device(SerialNumber=serial)
    elsewhere.delete_user(UserName="holder")


def test_a_session_with_a_code_may_do_what_others_may_not(cluster):
    key = new_user_key(cluster, "careful")
    iam = cluster.iam(1)
    allowed = document(Action="iam:*", Resource="*", Condition=PROVEN)
    iam.put_user_policy(UserName="careful", PolicyName="may", PolicyDocument=allowed)
    device = device_of(cluster, "careful")
    assert refusal(of(cluster, "iam", 1, key).list_users)[:2] == ("AccessDenied", 403)
    sts = of(cluster, "sts", 2, key, prefix="~all")
    given = {"SerialNumber": device.serial, "TokenCode": device.code()}
    session = Credentials.of(sts.get_session_token(**given)["Credentials"])
    for number in (1, 3):
        of(cluster, "iam", number, session).list_users()
    # The step is used up at every node.
    for number in (1, 2, 3):
        assert refusal(of(cluster, "sts", number, key).get_session_token, **given) == (
            "AccessDenied", 403, WRONG_CODE,
        )  # fmt: skip
    only = {"SerialNumber": device.serial}
    assert refusal(of(cluster, "sts", 1, key).get_session_token, **only)[0] == "AccessDenied"
    gone = iam.deactivate_mfa_device(UserName="careful", SerialNumber=device.serial)
    cluster.wait("--token", token_of(gone))
    assert refusal(of(cluster, "iam", 3, session).list_users)[:2] == ("AccessDenied", 403)


def test_a_role_asks_for_a_second_factor_with_the_aws_cli(cluster):
    key = new_user_key(cluster, "climber")
    iam = cluster.iam(1)
    account = cluster.account_id
    role = f"arn:aws:iam::{account}:role/summit"
    trust = document(Principal={"AWS": account}, Action="sts:AssumeRole", Condition=PROVEN)
    iam.create_role(RoleName="summit", AssumeRolePolicyDocument=trust)
    allowed = document(Action="sts:AssumeRole", Resource=role)
    iam.put_user_policy(UserName="climber", PolicyName="may", PolicyDocument=allowed)
    device = device_of(cluster, "climber")
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }
    assume = ("sts", "assume-role", "--role-arn", role, "--role-session-name", "top")
    without = cluster.aws(3, *assume, env=environment)
    assert "AccessDenied" in without.stderr
    wrong = cluster.aws(
        3, *assume, "--serial-number", device.serial, "--token-code", "000000", env=environment
    )
    assert WRONG_CODE in wrong.stderr
    done = cluster.aws(
        3, *assume, "--serial-number", device.serial, "--token-code", device.code(), env=environment
    )
    assert done.returncode == 0, done.stderr
    session = Credentials.of(json.loads(done.stdout)["Credentials"])
    arn = of(cluster, "sts", 1, session).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{account}:assumed-role/summit/top"


def test_wrong_codes_in_a_row_make_the_next_wait(cluster):
    key = new_user_key(cluster, "guesser")
    device = device_of(cluster, "guesser")
    sts = of(cluster, "sts", 1, key)
    for guess in range(5):
        given = {"SerialNumber": device.serial, "TokenCode": f"{guess:06}"}
        assert refusal(sts.get_session_token, **given) == ("AccessDenied", 403, WRONG_CODE)
    right = {"SerialNumber": device.serial, "TokenCode": device.code()}
    code, status, message = refusal(sts.get_session_token, **right)
    assert (code, status) == ("AccessDenied", 403)
    assert "Try again in" in message
