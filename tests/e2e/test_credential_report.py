"""An auditor reads who has which credentials, at one node.

Each test's names are its own, since the tests of a module share a cluster.
"""

import csv
import io

from conftest import token_of
from test_mfa import device_of, refusal


def test_a_report_is_made_kept_and_read(cluster):
    iam = cluster.iam(2)
    assert refusal(iam.get_credential_report)[:2] == ("ReportNotPresent", 410)
    iam.create_user(UserName="audited,with-a-comma")
    made = iam.create_user(UserName="audited")
    cluster.wait("--token", token_of(made))
    device_of(cluster, "audited")
    key = iam.create_access_key(UserName="audited")["AccessKey"]
    iam.update_access_key(UserName="audited", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    answer = iam.get_credential_report()
    assert answer["ReportFormat"] == "text/csv"
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(answer["Content"].decode()))}
    root = rows["<root_account>"]
    assert root["arn"] == f"arn:aws:iam::{cluster.account_id}:root"
    assert root["access_key_1_active"] == "true"
    audited = rows["audited"]
    assert (audited["mfa_active"], audited["password_enabled"]) == ("true", "false")
    assert (audited["access_key_1_active"], audited["access_key_1_last_used_date"]) == ("false", "N/A")
    assert rows["audited,with-a-comma"]["arn"].endswith(":user/audited,with-a-comma")
    # Each node has its own.
    assert refusal(cluster.iam(1).get_credential_report)[:2] == ("ReportNotPresent", 410)
