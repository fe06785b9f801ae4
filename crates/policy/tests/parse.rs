//! What is refused, in which words and where.

use expect_test::{Expect, expect};
use policy::{DEPTH_MAX, Document, DocumentKind, ParseError, Problem};

/// A line for each document: the message, the place, and what AWS leaves unsaid.
fn check(kind: DocumentKind, documents: &[&str], expect: Expect) {
    let line = |text: &&str| match Document::parse(text, kind) {
        Ok(document) => format!("ok, {} statement(s)\n", document.statements().len()),
        Err(error) => {
            let mut unsaid = String::new();
            if let Problem::Syntax { flaw, found } = &error.problem {
                unsaid = format!(" ({flaw:?} `{found}`)");
            }
            format!("{} {error}{}\n", place(&error), unsaid)
        }
    };
    expect.assert_eq(&documents.iter().map(line).collect::<String>());
}

fn place(error: &ParseError) -> String {
    error.position().map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column))
}

/// A statement with these elements in a document of the newest version.
fn with(elements: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{elements}}}]}}"#)
}

fn check_elements(kind: DocumentKind, elements: &[&str], expect: Expect) {
    let documents: Vec<String> = elements.iter().map(|text| with(text)).collect();
    check(kind, &documents.iter().map(String::as_str).collect::<Vec<_>>(), expect);
}

fn check_values(kind: DocumentKind, template: &str, values: &[&str], expect: Expect) {
    let elements: Vec<String> = values.iter().map(|value| template.replace("@", value)).collect();
    check_elements(kind, &elements.iter().map(String::as_str).collect::<Vec<_>>(), expect);
}

#[test]
fn the_document() {
    const S: &str = r#"{"Effect":"Allow","Action":"a:b","Resource":"*"}"#;
    let documents = [
        "".to_owned(),
        "{".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"Statement":{S}}}"#),
        format!(r#"{{"Version":"2008-10-17","Id":"x","Statement":[{S},{S}]}}"#),
        format!("{{\"Version\":\n \"2012-10-18\",\"Statement\":[{S}]}}"),
        format!(r#"{{"Version":2012,"Statement":[{S}]}}"#),
        format!(r#"{{"Version":"2012-10-17","Statement":[{S}],"Statement":[{S}]}}"#),
        format!(r#"{{"version":"2012-10-17","Statement":[{S}]}}"#),
        r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
        r#"{"Version":"2012-10-17","Statement":["x"]}"#.to_owned(),
        format!(r#"{{"Id":7,"Statement":{S}}}"#),
    ];
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    check(
        DocumentKind::Identity,
        &documents,
        expect![[r#"
        1:1 This policy contains invalid Json
        1:2 This policy contains invalid Json
        1:1 Syntax errors in policy. (Type `policy`)
        1:1 Syntax errors in policy. (Missing `Statement`)
        ok, 1 statement(s)
        ok, 2 statement(s)
        2:2 Policy document must be version 2012-10-17 or greater.
        1:12 Syntax errors in policy. (Type `Version`)
        1:88 Syntax errors in policy. (DuplicateKey `Statement`)
        1:2 Syntax errors in policy. (Element `version`)
        1:37 Syntax errors in policy. (Type `Statement`)
        1:38 Syntax errors in policy. (Type `Statement`)
        1:7 Syntax errors in policy. (Type `Id`)
    "#]],
    );
}

#[test]
fn the_statement() {
    let elements = [
        r#""Effect":"Allow","Action":"a:b","Resource":"*""#,
        r#""Effect":"Deny","NotAction":["a:b"],"NotResource":["arn:aws:s3:::b"]"#,
        r#""Action":"a:b","Resource":"*""#,
        r#""Effect":"allow","Action":"a:b","Resource":"*""#,
        r#""Effect":"Allow","Resource":"*""#,
        r#""Effect":"Allow","Action":[],"Resource":"*""#,
        r#""Effect":"Allow","Action":"a:b""#,
        r#""Effect":"Allow","Action":"a:b","Resource":[]"#,
        r#""Effect":"Allow","Action":"a:b","NotAction":"a:c","Resource":"*""#,
        r#""Effect":"Allow","Action":"a:b","Resource":"*","NotResource":"*""#,
        r#""Effect":"Allow","Action":{},"Resource":"*""#,
        r#""Effect":"Allow","Action":"a:b","Resource":"*","Extra":1"#,
        r#""Effect":"Allow","Action":"a:b","Resource":"*","Principal":"*""#,
        r#""Effect":"Allow","Action":"a:b","Resource":"*","NotPrincipal":"*""#,
        r#""Sid":"a b","Effect":"Allow","Action":"a:b","Resource":"*""#,
        r#""Sid":"A","Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"*","Resource":"*""#,
        r#""Sid":"","Effect":"Allow","Action":"a:b","Resource":"*"},{"Sid":"","Effect":"Deny","Action":"*","Resource":"*""#,
    ];
    check_elements(
        DocumentKind::Identity,
        &elements,
        expect![[r#"
            ok, 1 statement(s)
            ok, 1 statement(s)
            1:38 Syntax errors in policy. (Missing `Effect`)
            1:48 Syntax errors in policy. (Value `allow`)
            1:38 Policy statement must contain actions.
            1:56 Policy statement must contain actions.
            1:38 Policy statement must contain resources.
            1:71 Policy statement must contain resources.
            1:71 Syntax errors in policy. (Both `NotAction`)
            1:86 Syntax errors in policy. (Both `NotResource`)
            1:65 Syntax errors in policy. (Type `Action`)
            1:86 Syntax errors in policy. (Element `Extra`)
            1:86 Policy document should not specify a principal.
            1:86 Policy document should not specify a principal.
            1:45 Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*
            1:37 Statement IDs (SID) in a single policy must be unique.
            ok, 2 statement(s)
        "#]],
    );
}

#[test]
fn the_action() {
    let template = r#""Effect":"Allow","Action":"@","Resource":"*""#;
    let values = [
        "*",
        "iam:*",
        "IAM:get?ser",
        "*:*",
        "iam",
        "",
        "iam:a:b",
        ":a",
        "a a:b",
        "i*m:a",
        "iam:",
        "iam:a b",
        "iam:${a:b}",
    ];
    check_values(
        DocumentKind::Identity,
        template,
        &values,
        expect![[r#"
        ok, 1 statement(s)
        ok, 1 statement(s)
        ok, 1 statement(s)
        ok, 1 statement(s)
        1:65 Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.
        1:65 Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.
        1:65 Actions/Condition can contain only one colon.
        1:65 Vendor  is not valid
        1:65 Vendor a a is not valid
        1:65 Vendor i*m is not valid
        1:65 The policy failed legacy parsing
        1:65 The policy failed legacy parsing
        1:65 Actions/Condition can contain only one colon.
    "#]],
    );
}

#[test]
fn the_resource() {
    let template = r#""Effect":"Allow","Action":"a:b","Resource":"@""#;
    let values = [
        "arn:aws:s3:::b/${aws:username}/*",
        "arn:*:s3:::b",
        "arn:aws:iam::*:user/*",
        "arn:aws:iam::1:*",
        "arn:aws:iam::1:us*",
        "arn:aws:iam::1:root",
        "",
        "b",
        "**",
        "arn:aws:s3",
        "arn:aws:s3:::",
        "arn:aws::::b",
        "arn:b:s3:::b",
        "arn:aws:s*:::b",
        "arn:aws:iam:eu-1:1:user/x",
        "arn:aws:iam::1:users/x",
        "arn:aws:iam::1:user",
        "${aws:PrincipalTag/arn}",
        "arn:aws:s3:::${aws:username",
        "arn:aws:s3:::${username}",
    ];
    check_values(
        DocumentKind::Session,
        template,
        &values,
        expect![[r#"
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            1:82 Resource  must be in ARN format or "*".
            1:82 Resource b must be in ARN format or "*".
            1:82 Resource ** must be in ARN format or "*".
            1:82 Resource arn:aws:s3 must be in ARN format or "*".
            ok, 1 statement(s)
            1:82 Resource arn:aws::::b must be in ARN format or "*".
            1:82 Partition "b" is not valid for resource "arn:b:s3:::b".
            1:82 Resource vendor must be fully qualified and cannot contain regexes.
            1:82 IAM resource arn:aws:iam:eu-1:1:user/x cannot contain region information.
            1:82 IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.
            1:82 IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/.
            1:82 Resource ${aws:PrincipalTag/arn} must be in ARN format or "*".
            1:82 Syntax errors in policy. (Variable `arn:aws:s3:::${aws:username`)
            1:82 Syntax errors in policy. (Variable `arn:aws:s3:::${username}`)
        "#]],
    );
}

#[test]
fn the_condition() {
    let template = r#""Effect":"Allow","Action":"a:b","Resource":"*","Condition":@"#;
    let values = [
        r#"{}"#,
        r#"{"StringEquals":{}}"#,
        r#"{"StringEquals":{"a:b":[]}}"#,
        r#"{"ForAllValues:StringLikeIfExists":{"a:b":["x",1,true]}}"#,
        r#"[]"#,
        r#"{"StringEquals":"x"}"#,
        r#"{"stringEquals":{"a:b":"x"}}"#,
        r#"{"BinaryEquals":{"a:b":"eA=="}}"#,
        r#"{"BinaryEquals":{"a:b":"eA"}}"#,
        r#"{"BinaryEquals":{"a:b":"eB=="}}"#,
        r#"{"ForAnyValue:BinaryEqualsIfExists":{"a:b":["eA==",""]}}"#,
        r#"{"BinaryNotEquals":{"a:b":"eA=="}}"#,
        r#"{"ForSomeValues:StringEquals":{"a:b":"x"}}"#,
        r#"{"NullIfExists":{"a:b":"true"}}"#,
        r#"{"ForAnyValue:Null":{"a:b":"true"}}"#,
        r#"{"Null":{"a:b":"maybe"}}"#,
        r#"{"Bool":{"a:b":"1"}}"#,
        r#"{"Bool":{"a:b":"${aws:x}"}}"#,
        r#"{"IpAddress":{"a:b":"10.0.0.0/33"}}"#,
        r#"{"NumericEquals":{"a:b":"1e3"}}"#,
        r#"{"DateEquals":{"a:b":"tomorrow"}}"#,
        r#"{"StringEquals":{"b":"x"}}"#,
        r#"{"StringEquals":{"a:*":"x"}}"#,
        r#"{"StringEquals":{"a:b":null}}"#,
        r#"{"StringEquals":{"a:b":[["x"]]}}"#,
        r#"{"StringEquals":{"a:b":"x","a:b":"y"}}"#,
        r#"{"StringEquals":{"a:b":"${x"}}"#,
    ];
    check_values(
        DocumentKind::Identity,
        template,
        &values,
        expect![[r#"
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            ok, 1 statement(s)
            1:98 Syntax errors in policy. (Type `Condition`)
            1:114 Syntax errors in policy. (Type `StringEquals`)
            1:99 Syntax errors in policy. (Operator `stringEquals`)
            ok, 1 statement(s)
            1:121 Syntax errors in policy. (Value `eA`)
            1:121 Syntax errors in policy. (Value `eB==`)
            ok, 1 statement(s)
            1:99 Syntax errors in policy. (Operator `BinaryNotEquals`)
            1:99 Syntax errors in policy. (Operator `ForSomeValues:StringEquals`)
            1:99 Syntax errors in policy. (Operator `NullIfExists`)
            1:99 Syntax errors in policy. (Operator `ForAnyValue:Null`)
            1:113 Syntax errors in policy. (Value `maybe`)
            1:113 Syntax errors in policy. (Value `1`)
            1:113 Syntax errors in policy. (Value `${aws:x}`)
            1:118 Syntax errors in policy. (Value `10.0.0.0/33`)
            1:122 Syntax errors in policy. (Value `1e3`)
            1:119 Syntax errors in policy. (Value `tomorrow`)
            1:115 Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.
            1:115 Syntax errors in policy. (Value `a:*`)
            1:121 Syntax errors in policy. (Type `a:b`)
            1:122 Syntax errors in policy. (Type `a:b`)
            1:125 Syntax errors in policy. (DuplicateKey `a:b`)
            1:121 Syntax errors in policy. (Variable `${x`)
        "#]],
    );
}

#[test]
fn the_trust_policy() {
    let elements = [
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":["1","*"]}"#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":["*"],"Service":"a.b"}"#,
        r#""Effect":"Allow","Action":["STS:*"],"Principal":"*""#,
        r#""Effect":"Allow","Action":"sts:AssumeRole""#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{}"#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":[]}"#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Aws":"*"}"#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":["*"]"#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*""#,
        r#""Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","NotResource":"*""#,
        r#""Effect":"Allow","Action":"iam:GetUser","Principal":"*""#,
        r#""Effect":"Allow","Action":"*","Principal":"*""#,
        r#""Effect":"Allow","NotAction":"sts:TagSession","Principal":"*""#,
        r#""Effect":"Deny","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"*"}"#,
    ];
    check_elements(
        DocumentKind::Trust,
        &elements,
        expect![[r#"
            1:102 Invalid principal in policy: "AWS":"1"
            ok, 1 statement(s)
            ok, 1 statement(s)
            1:38 Missing required field Principal
            1:94 Syntax errors in policy. (Value `Principal`)
            1:101 Syntax errors in policy. (Missing `AWS`)
            1:101 Invalid principal in policy: "Aws":"*"
            1:94 Syntax errors in policy. (Value `Principal`)
            1:98 Has prohibited field Resource
            1:98 Has prohibited field NotResource
            1:65 AssumeRole policy may only specify STS AssumeRole actions.
            1:65 AssumeRole policy may only specify STS AssumeRole actions.
            1:56 Has prohibited field NotAction
            1:81 Has prohibited field NotPrincipal
        "#]],
    );
}

#[test]
fn the_resource_policy() {
    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let canonical = format!(
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":{{"CanonicalUser":"{HEX}"}}"#
    );
    let elements = [
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":{"AWS":"123456789012"}"#,
        r#""Effect":"Deny","NotAction":"s3:Get*","NotResource":"arn:aws:s3:::b","Principal":"*""#,
        r#""Effect":"Deny","Action":"s3:*","Resource":"*","NotPrincipal":{"AWS":"123456789012"}"#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","NotPrincipal":{"AWS":"123456789012"}"#,
        r#""Effect":"Deny","Action":"s3:*","Resource":"*","Principal":"*","NotPrincipal":"*""#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*""#,
        r#""Effect":"Allow","Action":"s3:*","Principal":"*""#,
        &canonical,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":{"CanonicalUser":"abc"}"#,
    ];
    check_elements(
        DocumentKind::Resource,
        &elements,
        expect![[r#"
        ok, 1 statement(s)
        ok, 1 statement(s)
        ok, 1 statement(s)
        1:87 Has prohibited field NotPrincipal
        1:102 Syntax errors in policy. (Both `NotPrincipal`)
        1:38 Missing required field Principal
        1:38 Policy statement must contain resources.
        ok, 1 statement(s)
        1:116 Invalid principal in policy: "CanonicalUser":"abc"
    "#]],
    );
    let elements = canonical.replace(r#","Resource":"*""#, "").replace("s3:*", "sts:AssumeRole");
    check_elements(
        DocumentKind::Trust,
        &[&elements],
        expect![[r#"
        1:111 Invalid principal in policy: "CanonicalUser":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "#]],
    );
}

#[test]
fn size_is_limited() {
    let max = model::limits::POLICY_DOCUMENT_CHARS_MAX;
    let document = with(r#""Effect":"Allow","Action":"a:b","Resource":"*""#);
    let padded = |chars: usize| " ".repeat(chars - document.len()) + &document;
    let parsed = Document::parse(&padded(max), DocumentKind::Identity).expect("it is at the limit");
    assert_eq!(parsed.chars(), document.len());
    let error = Document::parse(&padded(max + 1), DocumentKind::Identity).unwrap_err();
    assert_eq!(error.problem, Problem::TooLong);
}

#[test]
fn depth_is_limited_whatever_the_length() {
    let error = Document::parse(&"[".repeat(100_000), DocumentKind::Identity).unwrap_err();
    assert_eq!((error.problem.clone(), error.column()), (Problem::Json, Some(DEPTH_MAX + 2)));
}

#[test]
fn damaged_documents_are_refused_at_a_place_inside_them() {
    let condition = r#""Condition":{"StringLike":{"aws:é":["${aws:x, 'ü'}\\u00e9",-1.5,true]}}"#;
    let elements =
        format!(r#""Effect":"Allow","Action":["a:b"],"Resource":"arn:aws:s3:::é",{condition}"#);
    let document = with(&elements);
    assert!(Document::parse(&document, DocumentKind::Identity).is_ok());
    for (at, _) in document.char_indices() {
        let (before, after) = document.split_at(at);
        let error = Document::parse(before, DocumentKind::Identity).unwrap_err();
        let column = error.column().expect("it is one line");
        assert!(error.line() == Some(1) && column <= before.chars().count() + 1, "{before}");
        for damage in ["\\", "\"", "{", "}", "\0", "é"] {
            // Some damage leaves a policy, as in a name; none may panic.
            if let Ok(parsed) =
                Document::parse(&format!("{before}{damage}{after}"), DocumentKind::Identity)
            {
                assert_eq!(parsed.statements().len(), 1);
            }
        }
    }
}

/// Reads real policies where the corpus lies beside the checkout; elsewhere there is nothing to
/// read.
#[test]
fn the_corpus_parses() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpus/managed-policies.jsonl");
    let Ok(corpus) = std::fs::read_to_string(path) else { return };
    let (mut count, mut refused) = (0, Vec::new());
    for line in corpus.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let document = &entry["document"];
        let text = document.as_str().map_or_else(|| document.to_string(), str::to_owned);
        // A few of AWS's own are longer than AWS lets a customer send.
        if text.chars().count() > model::limits::POLICY_DOCUMENT_CHARS_MAX {
            continue;
        }
        if let Err(error) = Document::parse(&text, DocumentKind::Identity) {
            refused.push(format!("{}: {error}", entry["name"]));
        }
        count += 1;
    }
    assert_eq!(refused, Vec::<String>::new());
    assert!(count > 1_000, "{count}");
}
