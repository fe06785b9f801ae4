//! Forms as clients send them, at their limits and past them.

use expect_test::{Expect, expect};
use model::{Path, SessionName, TagKey, TagValue, UserName};

use super::*;
use crate::shape::PASSWORD;

const FORM: &str = "application/x-www-form-urlencoded";

/// Reads the parameters of an action that has one of each kind.
fn read(form: &Form) -> Result<String, ApiError> {
    let mut params = form.params();
    let user_name = params.required::<UserName>("UserName");
    let path = params.optional::<Path>("Path");
    let text = params.optional_text("Text", 2, 4);
    let password = params.optional_secret("Password", &PASSWORD);
    let duration = params.optional_integer("DurationSeconds", 900, 3600);
    let enable = params.boolean("Enable");
    let tags = params.list("Tags", 2, |tag| {
        let key = tag.required::<TagKey>("Key");
        let value = tag.required::<TagValue>("Value");
        Ok((key?, value?))
    });
    let names = params.string_list::<SessionName>("SessionNames", 2);
    params.finish()?;
    let mut read = format!("{}", user_name?);
    read += &path?.map_or_else(String::new, |path| format!(" {path}"));
    read += &text?.map_or_else(String::new, |text| format!(" {text:?}"));
    read += &password?.map_or_else(String::new, |secret| format!(" {secret:?}"));
    read += &duration?.map_or_else(String::new, |seconds| format!(" {seconds}"));
    read += &enable?.map_or_else(String::new, |enable| format!(" {enable}"));
    for (key, value) in tags? {
        read += &format!(" {key}={value}");
    }
    for name in names? {
        read += &format!(" {name}");
    }
    Ok(read)
}

fn check(body: &str, expected: Expect) {
    let form = Form::parse(FORM, body.as_bytes());
    expected.assert_eq(&match form.and_then(|form| read(&form)) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    });
}

#[test]
fn well_formed_requests_are_read() {
    check("Action=X&Version=2010-05-08&UserName=bob", expect!["bob"]);
    check(
        "UserName=a%2Bb&Path=%2Fx%2F&Text=a+%C3%BC&Password=%26%3D",
        expect![[r#"a+b /x/ "a ü" Secret(..)"#]],
    );
    check("UserName=a&DurationSeconds=900&Enable=true", expect!["a 900 true"]);
    check("UserName=a&DurationSeconds=3600&Enable=false", expect!["a 3600 false"]);
    check(
        "Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=b&Tags.member.2.Value=2\
         &UserName=a&SessionNames.member.1=ab&SessionNames.member.2=cd",
        expect!["a a= b=2 ab cd"],
    );
    check("UserName=a&Tags=&SessionNames=", expect!["a"]);
}

#[test]
fn every_violation_is_reported_at_once() {
    check(
        "",
        expect![
            "ValidationError (400): 1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"
        ],
    );
    check(
        "UserName=",
        expect![
            "ValidationError (400): 1 validation error detected: Value '' at 'userName' failed to satisfy constraint: Member must have length greater than or equal to 1"
        ],
    );
    check(
        "UserName=a%20b",
        expect![[
            r#"ValidationError (400): 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+"#
        ]],
    );
    check(
        "UserName=a&Enable=yes",
        expect![
            "ValidationError (400): 1 validation error detected: Value 'yes' at 'enable' failed to satisfy constraint: Member must satisfy enum value set: [true, false]"
        ],
    );
    check(
        "UserName=a&Text=1&Password=",
        expect![
            "ValidationError (400): 2 validation errors detected: Value '1' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 2; Value at 'password' failed to satisfy constraint: Member must have length greater than or equal to 1"
        ],
    );
    check(
        &format!("UserName=a&Text=12345&Password={}", "x".repeat(129)),
        expect![
            "ValidationError (400): 2 validation errors detected: Value '12345' at 'text' failed to satisfy constraint: Member must have length less than or equal to 4; Value at 'password' failed to satisfy constraint: Member must have length less than or equal to 128"
        ],
    );
}

#[test]
fn integers_have_limits() {
    check(
        "UserName=a&DurationSeconds=899",
        expect![
            "ValidationError (400): 1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"
        ],
    );
    check(
        "UserName=a&DurationSeconds=3601",
        expect![
            "ValidationError (400): 1 validation error detected: Value '3601' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 3600"
        ],
    );
    check(
        "UserName=a&DurationSeconds=99999999999999999999",
        expect![
            "ValidationError (400): 1 validation error detected: Value '99999999999999999999' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to 3600"
        ],
    );
    check(
        "UserName=a&DurationSeconds=-99999999999999999999",
        expect![
            "ValidationError (400): 1 validation error detected: Value '-99999999999999999999' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900"
        ],
    );
    check(
        "UserName=a&DurationSeconds=%2B900",
        expect![
            "ValidationError (400): 1 validation error detected: Value '+900' at 'durationSeconds' failed to satisfy constraint: Member must satisfy regular expression pattern: -?[0-9]+"
        ],
    );
    check(
        "UserName=a&DurationSeconds=",
        expect![
            "ValidationError (400): 1 validation error detected: Value '' at 'durationSeconds' failed to satisfy constraint: Member must satisfy regular expression pattern: -?[0-9]+"
        ],
    );
}

#[test]
fn violations_in_lists_name_the_member() {
    check(
        "Path=x&Tags.member.1.Key=*&Tags.member.2.Value=*",
        expect![[
            r#"ValidationError (400): 6 validation errors detected: Value null at 'userName' failed to satisfy constraint: Member must not be null; Value 'x' at 'path' failed to satisfy constraint: Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F); Value '*' at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+; Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null; Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null; Value '*' at 'tags.2.member.value' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"#
        ]],
    );
    check(
        "UserName=a&SessionNames.member.1=ab&SessionNames.member.2=a",
        expect![
            "ValidationError (400): 1 validation error detected: Value 'a' at 'sessionNames.2.member' failed to satisfy constraint: Member must have length greater than or equal to 2"
        ],
    );
    check(
        "UserName=a&SessionNames.member.1=ab&SessionNames.member.2=ab&SessionNames.member.3=ab",
        expect![
            "ValidationError (400): 1 validation error detected: Value at 'sessionNames' failed to satisfy constraint: Member must have length less than or equal to 2"
        ],
    );
}

#[test]
fn long_values_are_not_echoed() {
    for (length, shown) in [(VALUE_SHOWN_CHARS_MAX, true), (VALUE_SHOWN_CHARS_MAX + 1, false)] {
        let body = format!("UserName={}", "a".repeat(length));
        let error = read(&Form::parse(FORM, body.as_bytes()).unwrap()).unwrap_err();
        assert_eq!(error.message.contains("aaa"), shown);
    }
}

#[test]
fn parameters_that_nobody_reads_are_refused() {
    check(
        "UserName=a&Username=b",
        expect!["UnknownParameter (400): The parameter Username is not recognized"],
    );
    check(
        "UserName=a&Tags=x",
        expect!["UnknownParameter (400): The parameter Tags is not recognized"],
    );
    check(
        "UserName=a&Tags.member.2.Key=a&Tags.member.2.Value=b",
        expect!["UnknownParameter (400): The parameter Tags.member.2.Key is not recognized"],
    );
    check(
        "UserName=a&Tags.member.01.Key=a&Tags.member.01.Value=b",
        expect!["UnknownParameter (400): The parameter Tags.member.01.Key is not recognized"],
    );
    check(
        "UserName=a&Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.1.X=c",
        expect!["UnknownParameter (400): The parameter Tags.member.1.X is not recognized"],
    );
    check(
        "UserName=a&SessionNames.member.3=ab",
        expect!["UnknownParameter (400): The parameter SessionNames.member.3 is not recognized"],
    );
}

#[test]
fn malformed_bodies_are_refused() {
    check(
        "UserName=a&UserName=b",
        expect!["MalformedQueryString (400): The parameter UserName occurs more than once"],
    );
    check(
        "UserName=a&User%4eame=b",
        expect!["MalformedQueryString (400): The parameter UserName occurs more than once"],
    );
    check("UserName", expect!["MalformedQueryString (400): A parameter has no equal-sign"]);
    check("UserName=a&", expect!["MalformedQueryString (400): A parameter has no equal-sign"]);
    check(
        "UserName=%zz",
        expect!["MalformedQueryString (400): Illegal hex character in escape % pattern"],
    );
    check(
        "UserName=%F",
        expect!["MalformedQueryString (400): Incomplete trailing escape % sequence"],
    );
    check("UserName=%FF", expect!["MalformedQueryString (400): A parameter is not valid UTF-8"]);
}

#[test]
fn the_number_of_parameters_is_bounded() {
    let body = |count: usize| {
        (0..count).map(|n| format!("p{n}=")).collect::<Vec<_>>().join("&").into_bytes()
    };
    assert!(Form::parse(FORM, &body(PARAMETERS_MAX)).is_ok());
    let error = Form::parse(FORM, &body(PARAMETERS_MAX + 1)).unwrap_err();
    expect!["MalformedQueryString (400): A request has at most 2000 parameters"]
        .assert_eq(&error.to_string());
}

#[test]
fn only_forms_in_utf8_are_read() {
    for good in [FORM, "application/x-www-form-urlencoded; charset=utf-8"] {
        assert!(Form::parse(good, b"").is_ok(), "{good}");
    }
    assert!(Form::parse("Application/X-WWW-Form-Urlencoded;charset=UTF-8", b"").is_ok());
    for bad in ["", "application/json", "text/plain", "multipart/form-data; boundary=x"] {
        assert!(Form::parse(bad, b"").is_err(), "{bad}");
    }
    assert!(Form::parse("application/x-www-form-urlencoded; charset=latin1", b"").is_err());
}

fn check_action(body: &str, expected: Expect) {
    let form = Form::parse(FORM, body.as_bytes()).unwrap();
    let service = form.service().and_then(|service| Ok((service, form.action()?)));
    expected.assert_eq(&match service {
        Ok((service, action)) => format!("{} {action}", service.name()),
        Err(error) => error.to_string(),
    });
}

#[test]
fn the_version_tells_the_service() {
    check_action("Action=A&Version=2010-05-08", expect!["iam A"]);
    check_action("Action=A&Version=2011-06-15", expect!["sts A"]);
    check_action(
        "Action=A&Version=2011-06-16",
        expect!["InvalidAction (400): Could not find operation A for version 2011-06-16"],
    );
    check_action(
        "Action=A",
        expect!["InvalidAction (400): Could not find operation A for version NO_VERSION_SPECIFIED"],
    );
    check_action(
        "Version=2010-05-08",
        expect!["MissingAction (400): The request must contain the parameter Action."],
    );
    check_action(
        "Action=&Version=2010-05-08",
        expect!["MissingAction (400): The request must contain the parameter Action."],
    );
}

#[test]
fn debug_shows_no_values() {
    let form = Form::parse(FORM, b"Password=hunter2").unwrap();
    assert_eq!(format!("{form:?}"), r#"{"Password"}"#);
    assert!(!format!("{:?}", form.params()).contains("hunter2"));
}
