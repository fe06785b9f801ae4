//! Golden signatures are botocore's: `testdata/make_sigv4.py`.

use expect_test::{Expect, expect};
use serde_json::Value;

use super::*;
use crate::ApiError;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const NOW: &str = "20260101T000509Z";
const SERVICES: &[&str] = &["iam", "sts", "writ"];

#[test]
fn signatures_of_botocore_verify() {
    for case in golden() {
        let signed = SignedRequest::parse(&case.request(), SERVICES);
        let signed = signed.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(signed.access_key_id(), KEY, "{}", case.name);
        assert_eq!(signed.scope().region, case.region, "{}", case.name);
        assert_eq!(signed.scope().service, case.service, "{}", case.name);
        assert_eq!(signed.session_token(), case.token.as_ref(), "{}", case.name);
        assert_eq!(signed.day(), "20260101");
        assert_eq!(verify(&signed), Ok(()), "{}: {}", case.name, signed.string_to_sign());
    }
}

#[test]
fn signing_gives_botocores_signatures() {
    for case in golden().into_iter().filter(|case| case.name != "date header") {
        let secret = Secret::new(SECRET.to_owned());
        let credentials = SigningCredentials {
            access_key_id: KEY,
            secret_access_key: &secret,
            session_token: case.token.as_ref(),
        };
        let scope = Scope { region: &case.region, service: &case.service };
        let added = sign(&case.request(), credentials, scope, now()).unwrap();
        for header in added {
            assert!(case.headers.contains(&header), "{}: {}", case.name, header.0);
        }
    }
}

#[test]
fn whatever_is_signed_cannot_change() {
    let case = golden().into_iter().find(|case| case.name == "inner and outer spaces").unwrap();
    let changes: [(&str, Change); 9] = [
        ("method", |case| case.method = "PUT".to_owned()),
        ("path", |case| case.path = "/~all/".to_owned()),
        ("query", |case| case.query = "a=1".to_owned()),
        ("body", |case| case.body.push(' ')),
        ("host", |case| case.set("host", "evil")),
        ("content type", |case| case.set("content-type", "text/plain")),
        ("other header", |case| case.set("x-amz-meta", "a b d")),
        ("date", |case| case.set("x-amz-date", "20260101T000510Z")),
        ("second value", |case| case.headers.push(("x-other".to_owned(), b"x".to_vec()))),
    ];
    for (what, change) in changes {
        let mut case = case.clone();
        change(&mut case);
        let signed = SignedRequest::parse(&case.request(), SERVICES).unwrap();
        assert_eq!(verify(&signed), Err(AuthError::SignatureDoesNotMatch), "{what}");
    }
}

#[test]
fn a_key_of_another_day_region_service_or_secret_does_not_verify() {
    let case = plain();
    let signed = SignedRequest::parse(&case.request(), SERVICES).unwrap();
    let secret = Secret::new(SECRET.to_owned());
    let derive = |secret: &Secret<String>, day, region, service| {
        SigningKey::derive(secret, day, Scope { region, service })
    };
    let right = derive(&secret, "20260101", "us-east-1", "iam");
    let handed_over = SigningKey::from_bytes(right.bytes().clone());
    assert_eq!(signed.verify(&handed_over, now()), Ok(()));
    for wrong in [
        derive(&secret, "20260102", "us-east-1", "iam"),
        derive(&secret, "20260101", "us-east-2", "iam"),
        derive(&secret, "20260101", "us-east-1", "sts"),
        derive(&Secret::new(String::new()), "20260101", "us-east-1", "iam"),
    ] {
        assert_eq!(signed.verify(&wrong, now()), Err(AuthError::SignatureDoesNotMatch));
    }
}

fn check_time(now: &str, expected: Expect) {
    let signed = SignedRequest::parse(&plain().request(), SERVICES).unwrap();
    let now = Timestamp::parse_iso8601(now).unwrap();
    let key = signed.signing_key(&Secret::new(SECRET.to_owned()));
    expected.assert_eq(&outcome(signed.verify(&key, now)));
}

#[test]
fn a_signature_holds_for_five_minutes_both_ways() {
    check_time("20260101T001009Z", expect!["ok"]);
    check_time(
        "20260101T001010Z",
        expect![
            "SignatureDoesNotMatch (403): Signature expired: 20260101T000509Z is now earlier than 20260101T000510Z (20260101T001010Z - 5 min.)"
        ],
    );
    check_time("20260101T000009Z", expect!["ok"]);
    check_time(
        "20260101T000008Z",
        expect![
            "SignatureDoesNotMatch (403): Signature not yet current: 20260101T000509Z is still later than 20260101T000508Z (20260101T000008Z + 5 min.)"
        ],
    );
    check_time(
        "19700101T000000Z",
        expect![
            "SignatureDoesNotMatch (403): Signature not yet current: 20260101T000509Z is still later than 19700101T000500Z (19700101T000000Z + 5 min.)"
        ],
    );
}

fn check(change: impl FnOnce(&mut Golden), expected: Expect) {
    let mut case = plain();
    change(&mut case);
    let signed = SignedRequest::parse(&case.request(), API_SERVICES);
    expected.assert_eq(&outcome(signed.and_then(|signed| verify(&signed))));
}

fn check_authorization(authorization: &str, expected: Expect) {
    check(|case| case.set("authorization", authorization), expected);
}

#[test]
fn authorization_headers_that_are_none_are_refused() {
    check(
        |case| case.headers.retain(|(name, _)| name != "authorization"),
        expect!["MissingAuthenticationToken (403): Request is missing Authentication Token"],
    );
    check_authorization(
        "",
        expect![
            "IncompleteSignature (400): Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"
        ],
    );
    check_authorization(
        "Bearer x",
        expect![
            "IncompleteSignature (400): Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA512 Credential=x",
        expect![
            "IncompleteSignature (400): Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA256",
        expect![
            "IncompleteSignature (400): Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=host",
        expect![
            "IncompleteSignature (400): Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter."
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA256 Credential",
        expect![
            "IncompleteSignature (400): Authorization header is not a list of distinct key=value pairs"
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA256 Credential=a, Credential=a",
        expect![
            "IncompleteSignature (400): Authorization header is not a list of distinct key=value pairs"
        ],
    );
    check_authorization(
        "AWS4-HMAC-SHA256 X=a",
        expect![
            "IncompleteSignature (400): Authorization header is not a list of distinct key=value pairs"
        ],
    );
    check(
        |case| {
            case.headers.retain(|(name, _)| name != "x-amz-date");
            case.set("authorization", "AWS4-HMAC-SHA256 Signature=x");
        },
        expect![
            "IncompleteSignature (400): Authorization header requires 'Credential' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        ],
    );
}

#[test]
fn headers_that_must_be_clear_are_given_once() {
    check(
        |case| case.headers.push(("authorization".to_owned(), b"x".to_vec())),
        expect!["IncompleteSignature (400): The header 'authorization' occurs more than once"],
    );
    check(
        |case| case.headers.push(("x-amz-date".to_owned(), b"x".to_vec())),
        expect!["IncompleteSignature (400): The header 'x-amz-date' occurs more than once"],
    );
    check(
        |case| case.headers.push(("host".to_owned(), b"x".to_vec())),
        expect!["IncompleteSignature (400): The header 'host' occurs more than once"],
    );
    check(
        |case| case.set("authorization", "\u{ff}"),
        expect![
            "IncompleteSignature (400): Unsupported AWS 'algorithm': only AWS4-HMAC-SHA256 is accepted"
        ],
    );
}

#[test]
fn separators_may_lack_their_space() {
    check(|case| case.replace("authorization", ", ", ","), expect!["ok"]);
}

#[test]
fn scopes_that_do_not_fit_are_refused() {
    let scope = "20260101/us-east-1/iam/aws4_request";
    check(
        |case| case.replace("authorization", scope, "20260101/us-east-1/iam"),
        expect![
            "IncompleteSignature (400): Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        ],
    );
    check(
        |case| case.replace("authorization", scope, &format!("{scope}/x")),
        expect![
            "IncompleteSignature (400): Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term"
        ],
    );
    check(
        |case| case.replace("authorization", "aws4_request", "aws5"),
        expect![
            "SignatureDoesNotMatch (403): Credential should be scoped with a valid terminator: 'aws4_request'"
        ],
    );
    check(
        |case| case.replace("authorization", "20260101", "20260102"),
        expect![
            "SignatureDoesNotMatch (403): Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20260102' != '20260101', from '20260101T000509Z'."
        ],
    );
    check(
        |case| case.replace("authorization", "/iam/", "/s3/"),
        expect![
            "SignatureDoesNotMatch (403): Credential should be scoped to correct service: 'iam'. "
        ],
    );
    check(
        |case| case.replace("authorization", "/iam/", "/writ/"),
        expect![
            "SignatureDoesNotMatch (403): Credential should be scoped to correct service: 'iam'. "
        ],
    );
    check(
        |case| case.replace("authorization", "/iam/", "/sts/"),
        expect![
            "SignatureDoesNotMatch (403): The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        ],
    );
    check(
        |case| case.replace("authorization", KEY, ""),
        expect![
            "InvalidClientTokenId (403): The security token included in the request is invalid."
        ],
    );
    check(
        |case| case.replace("authorization", KEY, "A-B"),
        expect![
            "InvalidClientTokenId (403): The security token included in the request is invalid."
        ],
    );
    check(
        |case| case.replace("authorization", KEY, &"A".repeat(129)),
        expect![
            "InvalidClientTokenId (403): The security token included in the request is invalid."
        ],
    );
    check(|case| case.replace("authorization", KEY, &"A".repeat(128)), expect!["ok"]);
}

#[test]
fn dates_that_are_none_are_refused() {
    check(
        |case| case.set("x-amz-date", "2026-01-01T00:05:09Z"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    check(
        |case| case.set("x-amz-date", "20260230T000509Z"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    check(
        |case| case.set("x-amz-date", "Thu, 01 Jan 2026 00:05:09 GMT"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    let date_only = |date: &'static str| {
        move |case: &mut Golden| {
            case.headers.retain(|(name, _)| name != "x-amz-date");
            case.replace("authorization", ";x-amz-date", "");
            case.headers.push(("date".to_owned(), date.into()));
        }
    };
    check(
        date_only("Thu, 01 Jan 2026 00:05:09 +0100"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    check(
        date_only("Thu, 01 Foo 2026 00:05:09 GMT"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    check(
        date_only("01 Jan 2026 00:05:09 GMT"),
        expect!["IncompleteSignature (400): Date must be in ISO-8601 'basic format'"],
    );
    // Read, and then not what was signed.
    check(
        date_only("Thu, 01 Jan 2026 00:05:09 GMT"),
        expect![
            "SignatureDoesNotMatch (403): The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        ],
    );
    check(
        date_only("20260101T000509Z"),
        expect![
            "SignatureDoesNotMatch (403): The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        ],
    );
}

#[test]
fn what_must_be_signed_is_signed() {
    let signed = "content-type;host;x-amz-date";
    let unsigned = |list: &'static str| {
        move |case: &mut Golden| {
            case.replace("authorization", signed, list);
        }
    };
    check(
        unsigned("content-type;x-amz-date"),
        expect![
            "SignatureDoesNotMatch (403): 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        ],
    );
    check(
        unsigned("content-type;host"),
        expect![
            "SignatureDoesNotMatch (403): There were headers present in the request which were not signed: x-amz-date"
        ],
    );
    check(
        unsigned("host;content-type;x-amz-date"),
        expect!["SignatureDoesNotMatch (403): SignedHeaders is not canonicalized."],
    );
    check(
        unsigned("content-type;host;host;x-amz-date"),
        expect!["SignatureDoesNotMatch (403): SignedHeaders is not canonicalized."],
    );
    check(
        unsigned("content-type;Host;x-amz-date"),
        expect!["SignatureDoesNotMatch (403): SignedHeaders is not canonicalized."],
    );
    check(
        unsigned("content-type;;host;x-amz-date"),
        expect!["SignatureDoesNotMatch (403): SignedHeaders is not canonicalized."],
    );
    check(
        unsigned("content-type;host;x-absent;x-amz-date"),
        expect![
            "SignatureDoesNotMatch (403): The signed header 'x-absent' is missing from the request"
        ],
    );
    check(
        |case| case.set("x-amz-security-token", "x"),
        expect![
            "SignatureDoesNotMatch (403): There were headers present in the request which were not signed: x-amz-security-token"
        ],
    );
    check(
        |case| case.set("x-amz-target", "x"),
        expect![
            "SignatureDoesNotMatch (403): There were headers present in the request which were not signed: x-amz-target"
        ],
    );
    check(|case| case.set("x-amzn-trace-id", "x"), expect!["ok"]);
    check(
        unsigned("host;x-amz-date"),
        expect![
            "SignatureDoesNotMatch (403): The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        ],
    );
}

#[test]
fn the_payload_is_hashed() {
    let with_hash = |hash: &'static str| {
        move |case: &mut Golden| {
            case.set("x-amz-content-sha256", hash);
            case.replace("authorization", ";x-amz-date", ";x-amz-content-sha256;x-amz-date");
        }
    };
    check(
        with_hash("UNSIGNED-PAYLOAD"),
        expect![
            "SignatureDoesNotMatch (403): Unsigned and streaming payloads are not supported: 'x-amz-content-sha256' must be the hash of the body"
        ],
    );
    check(
        with_hash("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        expect![
            "SignatureDoesNotMatch (403): Unsigned and streaming payloads are not supported: 'x-amz-content-sha256' must be the hash of the body"
        ],
    );
    check(
        with_hash("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        expect![
            "SignatureDoesNotMatch (403): Unsigned and streaming payloads are not supported: 'x-amz-content-sha256' must be the hash of the body"
        ],
    );
    check(
        with_hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        expect![
            "SignatureDoesNotMatch (403): The provided 'x-amz-content-sha256' header does not match what was computed."
        ],
    );
    let body = plain().body;
    let hash = hex(&Sha256::digest(body.as_bytes())).into_bytes();
    let mut case = plain();
    case.headers.push(("x-amz-content-sha256".to_owned(), hash));
    let secret = Secret::new(SECRET.to_owned());
    let credentials =
        SigningCredentials { access_key_id: KEY, secret_access_key: &secret, session_token: None };
    let scope = Scope { region: "", service: "iam" };
    for (name, value) in sign(&case.request(), credentials, scope, now()).unwrap() {
        case.set(&name, std::str::from_utf8(&value).unwrap());
    }
    let signed = SignedRequest::parse(&case.request(), API_SERVICES).unwrap();
    assert_eq!(verify(&signed), Ok(()));
}

#[test]
fn credentials_in_the_query_are_refused() {
    for query in ["X-Amz-Signature=x", "a=1&x%2Damz%2Dcredential=", "AWSAccessKeyId=A", "Signature"]
    {
        check(
            |case| case.query = query.to_owned(),
            expect![
                "MissingAuthenticationToken (403): Authentication in the query string is not supported: send an Authorization header instead"
            ],
        );
    }
    check(
        |case| case.query = "X-Amz=1".to_owned(),
        expect![
            "SignatureDoesNotMatch (403): The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        ],
    );
    check(
        |case| case.query = "a=%".to_owned(),
        expect!["MalformedQueryString (400): Incomplete trailing escape % sequence"],
    );
    check(
        |case| case.query = "%zz".to_owned(),
        expect!["MalformedQueryString (400): Illegal hex character in escape % pattern"],
    );
}

#[test]
fn debug_shows_no_secret() {
    let case = golden().into_iter().find(|case| case.token.is_some()).unwrap();
    let signed = SignedRequest::parse(&case.request(), SERVICES).unwrap();
    let key = signed.signing_key(&Secret::new(SECRET.to_owned()));
    let shown = format!("{signed:?} {key:?}");
    let token = case.token.unwrap();
    for hidden in [token.expose(), signed.signature.expose(), &SECRET.to_owned()] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

type Change = fn(&mut Golden);

/// A request that botocore signed.
#[derive(Clone)]
struct Golden {
    name: String,
    method: String,
    path: String,
    query: String,
    body: String,
    region: String,
    service: String,
    token: Option<Secret<String>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Golden {
    fn request(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.into()));
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let (_, value) = self.headers.iter().find(|(other, _)| other == name).unwrap();
        let value = String::from_utf8(value.clone()).unwrap();
        assert!(value.contains(from));
        self.set(name, &value.replace(from, to));
    }
}

fn plain() -> Golden {
    golden().into_iter().find(|case| case.name == "plain").unwrap()
}

fn golden() -> Vec<Golden> {
    let cases: Value = serde_json::from_str(include_str!("../../testdata/sigv4.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let header = |pair: &Value| (text(&pair[0]), text(&pair[1]).into_bytes());
    let read = |case: &Value| Golden {
        name: text(&case["name"]),
        method: text(&case["method"]),
        path: text(&case["path"]),
        query: text(&case["query"]),
        body: text(&case["body"]),
        region: text(&case["region"]),
        service: text(&case["service"]),
        token: case["token"].as_str().map(|token| Secret::new(token.to_owned())),
        headers: case["headers"].as_array().unwrap().iter().map(header).collect(),
    };
    cases.as_array().unwrap().iter().map(read).collect()
}

fn now() -> Timestamp {
    Timestamp::parse_iso8601(NOW).unwrap()
}

fn verify(signed: &SignedRequest) -> Result<(), AuthError> {
    signed.verify(&signed.signing_key(&Secret::new(SECRET.to_owned())), now())
}

fn outcome(result: Result<(), AuthError>) -> String {
    result.map_or_else(|error| ApiError::from(error).to_string(), |()| "ok".to_owned())
}
