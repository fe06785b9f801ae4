//! What the linter finds, and where.

use expect_test::{Expect, expect};
use policy::{DocumentKind, Severity, lint, managed};

/// The findings on statements, each in a document of its own.
fn check(statements: &[&str], expect: Expect) {
    let document = |statement: &&str| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        format!("{statement}\n{}", show(&text, DocumentKind::Identity))
    };
    expect.assert_eq(&statements.iter().map(document).collect::<String>());
}

fn show(text: &str, kind: DocumentKind) -> String {
    let line = |finding: policy::Finding| {
        let at = finding.position.map(|at| format!("{}:{}", at.line, at.column));
        let at = at.unwrap_or_else(|| "-".to_owned());
        format!("  {at} {} {}: {}\n", finding.severity, finding.code, finding.message)
    };
    lint(text, kind).into_iter().map(line).collect()
}

#[test]
fn documents() {
    let documents = [
        "{",
        r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:username}"}}"#,
        "{\"Version\":\"2008-10-17\",\n \"Statement\":[{\"Effect\":\"Permit\"}]}",
        "{\"Version\":\n \"2008-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"*\"}]}",
    ];
    let each = |text: &&str| format!("{text}\n{}", show(text, DocumentKind::Identity));
    expect![[r#"
        {
          1:2 error malformed-policy-document: This policy contains invalid Json
        {"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::b/${aws:username}"}}
          1:1 warning missing-version: without a Version this is the language of 2008-10-17, which has no policy variables
          1:62 warning variable-in-old-version: `${aws:username}` is plain text without Version 2012-10-17
        {"Version":"2008-10-17",
         "Statement":[{"Effect":"Permit"}]}
          2:25 error malformed-policy-document: Syntax errors in policy.
        {"Version":
         "2008-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}
          2:2 warning old-version: the language of 2008-10-17 has no policy variables; use 2012-10-17
    "#]].assert_eq(&documents.iter().map(each).collect::<String>());
}

#[test]
fn what_allows_much() {
    check(
        &[
            r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Action":"iam:Pass*","Resource":["arn:aws:iam::1:role/a","*"]}"#,
            r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::1:role/a"}"#,
            r#"{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}"#,
            r#"{"Effect":"Allow","Action":"iam:PassRole","NotResource":"arn:aws:iam::1:role/a"}"#,
            r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#,
            r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}"#,
            r#"{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}"#,
        ],
        expect![[r#"
            {"Effect":"Allow","Action":"*","Resource":"*"}
              1:69 security warning pass-role-with-star-in-action-and-resource: iam:PassRole on every role hands out whatever any role may do; name the roles, or the service with iam:PassedToService
            {"Effect":"Allow","Action":"iam:Pass*","Resource":["arn:aws:iam::1:role/a","*"]}
              1:77 security warning pass-role-with-star-in-resource: iam:PassRole on every role hands out whatever any role may do; name the roles, or the service with iam:PassedToService
              1:89 suggestion redundant-resource: `arn:aws:iam::1:role/a` is part of `*`
            {"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::1:role/a"}
            {"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}
            {"Effect":"Allow","Action":"iam:PassRole","NotResource":"arn:aws:iam::1:role/a"}
              1:80 security warning pass-role-with-not-resource: iam:PassRole on every role hands out whatever any role may do; name the roles, or the service with iam:PassedToService
            {"Effect":"Allow","NotAction":"iam:*","Resource":"*"}
              1:56 warning allow-with-not-action: NotAction allows all actions of all services but these, future ones too
            {"Effect":"Allow","NotAction":"s3:*","Resource":"*"}
              1:56 warning allow-with-not-action: NotAction allows all actions of all services but these, future ones too
              1:75 security warning pass-role-with-star-in-not-action-and-resource: iam:PassRole on every role hands out whatever any role may do; name the roles, or the service with iam:PassedToService
            {"Effect":"Deny","NotAction":"s3:*","Resource":"*"}
        "#]],
    );
    let trust = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":
{"AWS":["123456789012","*"]},"Action":"sts:AssumeRole"}}"#;
    let anyone = "  2:24 security warning allow-with-any-principal: everybody whose own policies allow it can assume the role\n";
    assert_eq!(show(trust, DocumentKind::Trust), anyone);
    let narrowed = trust
        .replace(r#""Action""#, r#""Condition":{"StringEquals":{"sts:ExternalId":"x"}},"Action""#);
    assert_eq!(show(&narrowed, DocumentKind::Trust), "");
}

#[test]
fn conditions() {
    let with = |condition: &str| {
        format!(r#"{{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{condition}}}"#)
    };
    let mut statements: Vec<String> = [
        r#"{}"#,
        r#"{"StringEquals":{"aws:username":[]}}"#,
        r#"{"StringEquals":{"aws:UserNames":"bob"}}"#,
        r#"{"StringEquals":{"aws:SourceIp":"192.0.2.1"}}"#,
        r#"{"StringEqualsIfExists":{"aws:PrincipalArn":"arn:aws:iam::1:user/*"}}"#,
        r#"{"Bool":{"aws:username":"true"}}"#,
        r#"{"DateLessThan":{"aws:EpochTime":"1"},"NumericLessThan":{"aws:EpochTime":"1","aws:CurrentTime":"1"}}"#,
        r#"{"ArnLike":{"aws:SourceAccount":"arn:aws:iam::1:user/*"}}"#,
        r#"{"BinaryEquals":{"aws:userid":"AA=="}}"#,
        r#"{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"},"Null":{"aws:TagKeys":"true"}}"#,
        r#"{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"red"}}"#,
        r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}"#,
        r#"{"StringEquals":{"aws:TagKeys":"a"}}"#,
        r#"{"StringEquals":{"s3:prefix":["a/*","${*}","b?"]}}"#,
        r#"{"StringLike":{"s3:prefix":["a/*"]}}"#,
        r#"{"StringLike":{"s3:prefix":["${aws:usernme}","${aws:TagKeys}","${aws:username, 'x'}"]}}"#,
    ]
    .map(with)
    .to_vec();
    let all = r#"{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"red"}}"#;
    let any = r#"{"ForAnyValue:StringEquals":{"aws:PrincipalTag/team":"red"}}"#;
    statements.extend([all, any].map(|condition| with(condition).replace("Deny", "Allow")));
    check(
        &statements.iter().map(String::as_str).collect::<Vec<_>>(),
        expect![[r#"
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{}}
              1:98 suggestion empty-object-condition: an empty object is no condition
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:username":[]}}}
              1:115 suggestion empty-array-condition: `aws:username` is compared with no values
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:UserNames":"bob"}}}
              1:115 error invalid-global-condition-key: `aws:UserNames` is no global condition key, so that it is always absent
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceIp":"192.0.2.1"}}}
              1:99 error type-mismatch: `StringEquals` does not compare addresses, which `aws:SourceIp` holds
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEqualsIfExists":{"aws:PrincipalArn":"arn:aws:iam::1:user/*"}}}
              1:142 warning wildcard-without-like-operator: `StringEqualsIfExists` takes `*` and `?` as characters; StringLike has wildcards
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:username":"true"}}}
              1:99 error type-mismatch: `Bool` does not compare strings, which `aws:username` holds
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"DateLessThan":{"aws:EpochTime":"1"},"NumericLessThan":{"aws:EpochTime":"1","aws:CurrentTime":"1"}}}
              1:136 error type-mismatch: `NumericLessThan` does not compare dates, which `aws:CurrentTime` holds
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"ArnLike":{"aws:SourceAccount":"arn:aws:iam::1:user/*"}}}
              1:99 error type-mismatch: `ArnLike` does not compare strings, which `aws:SourceAccount` holds
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"BinaryEquals":{"aws:userid":"AA=="}}}
              1:99 error type-mismatch: `BinaryEquals` does not compare strings, which `aws:userid` holds
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"},"Null":{"aws:TagKeys":"true"}}}
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"red"}}}
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}}
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:TagKeys":"a"}}}
              1:115 warning missing-set-operator: `aws:TagKeys` has several values: say ForAnyValue: or ForAllValues:
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"s3:prefix":["a/*","${*}","b?"]}}}
              1:128 warning wildcard-without-like-operator: `StringEquals` takes `*` and `?` as characters; StringLike has wildcards
              1:141 warning wildcard-without-like-operator: `StringEquals` takes `*` and `?` as characters; StringLike has wildcards
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"s3:prefix":["a/*"]}}}
            {"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"s3:prefix":["${aws:usernme}","${aws:TagKeys}","${aws:username, 'x'}"]}}}
              1:126 error invalid-variable: `aws:usernme` is no global condition key, so that nothing matches
              1:143 error unsupported-variable: `aws:TagKeys` has several values and cannot stand for one
            {"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"red"}}}
              1:129 security warning for-all-values-with-single-valued-key: `ForAllValues:StringEquals` also holds for a request without `aws:PrincipalTag/team`
            {"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:PrincipalTag/team":"red"}}}
        "#]],
    );
}

#[test]
fn what_is_said_twice_or_in_vain() {
    let read = r#"{"Sid":"","Effect":"Allow","Action":["s3:Get*","S3:GetObject","s3:get*","s3:List?"],"Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b/c/*","arn:aws:s3:::${aws:username}"]}"#;
    let statement = |effect: &str, action: &str, resource: &str| {
        format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#)
    };
    let pair = |one: String, other: String| format!("{one},{other}");
    let narrow = || statement("Allow", "s3:GetObject", "arn:aws:s3:::b/*");
    let conditional =
        narrow().replace("}", r#","Condition":{"Bool":{"aws:SecureTransport":"true"}}}"#);
    let statements = [
        read.to_owned(),
        pair(narrow(), statement("Allow", "s3:*", "*")),
        pair(narrow(), narrow()),
        pair(conditional.clone(), narrow()),
        pair(narrow(), conditional),
        pair(narrow(), statement("Deny", "s3:Get*", "*")),
        pair(narrow(), statement("Deny", "s3:Get*", "arn:aws:s3:::b/c")),
        pair(narrow(), statement("Deny", "s3:GetObject", "*").replace("Action", "NotAction")),
    ];
    check(
        &statements.iter().map(String::as_str).collect::<Vec<_>>(),
        expect![[r#"
        {"Sid":"","Effect":"Allow","Action":["s3:Get*","S3:GetObject","s3:get*","s3:List?"],"Resource":["arn:aws:s3:::b/*","arn:aws:s3:::b/c/*","arn:aws:s3:::${aws:username}"]}
          1:45 suggestion empty-sid-value: an empty Sid names nothing
          1:85 suggestion redundant-action: `S3:GetObject` is part of `s3:Get*`
          1:100 suggestion redundant-action: `s3:get*` is part of `s3:Get*`
          1:153 suggestion redundant-resource: `arn:aws:s3:::b/c/*` is part of `arn:aws:s3:::b/*`
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Allow","Action":"s3:*","Resource":"*"}
          1:38 suggestion redundant-statement: another statement says all that this one does
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}
          1:111 suggestion redundant-statement: another statement says all that this one does
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}
          1:38 suggestion redundant-statement: another statement says all that this one does
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}
          1:111 suggestion redundant-statement: another statement says all that this one does
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Deny","Action":"s3:Get*","Resource":"*"}
          1:38 warning unreachable-statement: another statement denies all that this one allows
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Deny","Action":"s3:Get*","Resource":"arn:aws:s3:::b/c"}
        {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},{"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"}
    "#]],
    );
}

#[test]
fn the_managed_policies_have_no_errors() {
    for policy in managed() {
        let findings = lint(policy.document, DocumentKind::Identity);
        assert!(
            findings.iter().all(|f| f.severity > Severity::Error),
            "{} {findings:?}",
            policy.name
        );
    }
}

#[test]
fn a_hostile_document_costs_no_more_than_its_budget() {
    let pattern = |n: usize| format!(r#""s3:{}b{n}""#, "*a".repeat(1_000));
    let patterns: Vec<String> = (0..60).map(pattern).collect();
    let statement =
        format!(r#"{{"Effect":"Allow","Action":[{}],"Resource":"*"}}"#, patterns.join(","));
    let text = format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#);
    assert!(text.len() < model::limits::POLICY_DOCUMENT_CHARS_MAX);
    assert_eq!(lint(&text, DocumentKind::Identity), []);
}

#[test]
fn resource_policies() {
    let statements = [
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}"#,
        r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"*"},
           {"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*"}"#,
        r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"*"},
           {"Effect":"Deny","Principal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*"}"#,
    ];
    let each = |statements: &&str| {
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        format!("{statements}\n{}", show(&text, DocumentKind::Resource))
    };
    expect![[r#"
        {"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}
          1:68 security warning allow-with-any-principal: everybody, those of other accounts too, can do these actions
        {"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"*"},
                   {"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*"}
        {"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"*"},
                   {"Effect":"Deny","Principal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*"}
          1:38 warning unreachable-statement: another statement denies all that this one allows
    "#]].assert_eq(&statements.iter().map(each).collect::<String>());
}
