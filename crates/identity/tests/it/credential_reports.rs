//! Credential reports.

use expect_test::expect;
use identity::{Query, Reply, credential_report as cr};

use crate::history::History;

/// The report as rows of values that are named, without those that do not apply.
fn report(history: &History, caller: &str) -> String {
    let caller = history.caller(0, caller);
    let made = history.query(0, &caller, &Query::GenerateCredentialReport(cr::Generate));
    let Ok(Reply::GenerateCredentialReport(cr::Generated::New(report))) = made else {
        return format!("{made:?}");
    };
    let mut lines = report.text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(names.len(), 22);
    let row = |line: &str| {
        let values = names.iter().zip(line.split(','));
        let told = values.filter(|(_, value)| !["N/A", "false", "not_supported"].contains(value));
        told.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    lines.map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_report_tells_who_has_which_credentials() {
    let mut history = History::new();
    history.run(
        "root CreateUser ann
        root CreateAccessKey ann
        root CreateAccessKey ann
        root NoteKeyUse key1 iam us-east-1
        root UpdateAccessKey ann key1 Inactive
        root CreateUser bob
        root UpdateAccountPasswordPolicy 8 age:30
        root CreateLoginProfile bob Correct1horse
        root UploadSigningCertificate bob certificate-1.pem
        root CreateVirtualMFADevice phone
        root EnableMFADevice bob phone key4@1 key4@2
        root CreateAccessKey",
    );
    expect![[r#"
        user=<root_account> arn=arn:aws:iam::123456789012:root user_creation_time=2001-09-09T01:46:40+00:00 access_key_1_active=true access_key_1_last_rotated=2023-11-14T22:13:32+00:00
        user=ann arn=arn:aws:iam::123456789012:user/ann user_creation_time=2023-11-14T22:13:21+00:00 access_key_1_last_rotated=2023-11-14T22:13:22+00:00 access_key_1_last_used_date=2023-11-14T22:13:24+00:00 access_key_1_last_used_region=us-east-1 access_key_1_last_used_service=iam access_key_2_active=true access_key_2_last_rotated=2023-11-14T22:13:23+00:00
        user=bob arn=arn:aws:iam::123456789012:user/bob user_creation_time=2023-11-14T22:13:26+00:00 password_enabled=true password_last_used=no_information password_last_changed=2023-11-14T22:13:28+00:00 password_next_rotation=2023-12-14T22:13:28+00:00 mfa_active=true cert_1_active=true cert_1_last_rotated=2023-11-14T22:13:29+00:00"#]].assert_eq(&report(&history, "root"));
    expect![[r#"Err(AccessDenied { message: "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:GenerateCredentialReport on resource: * because no identity-based policy allows the iam:GenerateCredentialReport action" })"#]].assert_eq(&report(&history, "ann"));
}

#[test]
fn a_name_with_a_comma_is_quoted() {
    let mut history = History::new();
    history.run("root CreateUser a,b");
    let root = history.caller(0, "root");
    let made = history.query(0, &root, &Query::GenerateCredentialReport(cr::Generate));
    let Ok(Reply::GenerateCredentialReport(cr::Generated::New(report))) = made else {
        panic!("{made:?}")
    };
    let last = report.text.lines().last().unwrap();
    assert!(last.starts_with(r#""a,b","arn:aws:iam::123456789012:user/a,b",2023-"#), "{last}");
}

#[test]
fn what_is_contested_cannot_be_used() {
    let mut history = History::new();
    history.run(
        "root CreateUser bob
        root CreateAccessKey bob
        root CreateLoginProfile bob Correct1horse
        sync
        a: root UpdateAccessKey bob key1 Inactive
        b: root UpdateAccessKey bob key1 Active
        a: root UpdateLoginProfile bob Correct2horse
        b: root UpdateLoginProfile bob Correct3horse
        sync",
    );
    expect![[r#"
        user=<root_account> arn=arn:aws:iam::123456789012:root user_creation_time=2001-09-09T01:46:40+00:00
        user=bob arn=arn:aws:iam::123456789012:user/bob user_creation_time=2023-11-14T22:13:21+00:00 access_key_1_last_rotated=2023-11-14T22:13:22+00:00"#]].assert_eq(&report(&history, "root"));
}
