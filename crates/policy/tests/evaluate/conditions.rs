//! Condition operators, of what is known, absent, a set, or contested.

use expect_test::{Expect, expect};
use policy::evaluate;

use crate::support::{ANY, context, document, identity, request, source, statement};

/// What each condition makes of an `Allow` and of a `Deny` that has it, both ways round in a line.
fn check_conditions(conditions: &[&str], expect: Expect) {
    let context = context();
    let line = |condition: &&str| {
        let allow = statement("Allow", condition);
        let deny = statement("Deny", condition);
        let ask = |statements: &[&str]| {
            let layers = identity(vec![source(&document(statements))]);
            evaluate(&layers, &request("s3:GetObject", "arn:aws:s3:::b/k", &context)).is_allowed()
        };
        let truth = match (ask(&[&allow]), !ask(&[ANY, &deny])) {
            (true, true) => "true",
            (false, false) => "false",
            (false, true) => "unknown",
            (true, false) => "BROKEN",
        };
        format!("{truth:8}{condition}\n")
    };
    expect.assert_eq(&conditions.iter().map(line).collect::<String>());
}

#[test]
fn string_operators() {
    check_conditions(
        &[
            r#"{"StringEquals":{"aws:UserName":"Bob"}}"#,
            r#"{"StringEquals":{"AWS:username":["eve","Bob"]}}"#,
            r#"{"StringEquals":{"aws:username":"bob"}}"#,
            r#"{"StringEquals":{"aws:username":"B*"}}"#,
            r#"{"StringEquals":{"aws:username":[]}}"#,
            r#"{"StringEquals":{"t:none":"Bob"}}"#,
            r#"{"StringNotEquals":{"aws:username":"eve"}}"#,
            r#"{"StringNotEquals":{"aws:username":["eve","Bob"]}}"#,
            r#"{"StringNotEquals":{"t:none":"Bob"}}"#,
            r#"{"StringEqualsIgnoreCase":{"aws:username":"bOB"}}"#,
            r#"{"StringNotEqualsIgnoreCase":{"aws:username":"bOB"}}"#,
            r#"{"StringNotEqualsIgnoreCase":{"aws:username":"eve"}}"#,
            r#"{"StringLike":{"aws:username":"B?b"}}"#,
            r#"{"StringLike":{"aws:username":"b*"}}"#,
            r#"{"StringNotLike":{"aws:username":"B*"}}"#,
            r#"{"StringNotLike":{"aws:username":"E*"}}"#,
        ],
        expect![[r#"
            true    {"StringEquals":{"aws:UserName":"Bob"}}
            true    {"StringEquals":{"AWS:username":["eve","Bob"]}}
            false   {"StringEquals":{"aws:username":"bob"}}
            false   {"StringEquals":{"aws:username":"B*"}}
            false   {"StringEquals":{"aws:username":[]}}
            false   {"StringEquals":{"t:none":"Bob"}}
            true    {"StringNotEquals":{"aws:username":"eve"}}
            false   {"StringNotEquals":{"aws:username":["eve","Bob"]}}
            true    {"StringNotEquals":{"t:none":"Bob"}}
            true    {"StringEqualsIgnoreCase":{"aws:username":"bOB"}}
            false   {"StringNotEqualsIgnoreCase":{"aws:username":"bOB"}}
            true    {"StringNotEqualsIgnoreCase":{"aws:username":"eve"}}
            true    {"StringLike":{"aws:username":"B?b"}}
            false   {"StringLike":{"aws:username":"b*"}}
            false   {"StringNotLike":{"aws:username":"B*"}}
            true    {"StringNotLike":{"aws:username":"E*"}}
        "#]],
    );
}

#[test]
fn other_operators() {
    check_conditions(
        &[
            r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/*"}}"#,
            r#"{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}"#,
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}"#,
            r#"{"BinaryEquals":{"t:bytes":"/+8="}}"#,
            r#"{"BinaryEquals":{"t:bytes":["AA==","/+8="]}}"#,
            r#"{"BinaryEquals":{"t:bytes":"/+4="}}"#,
            r#"{"BinaryEquals":{"t:none":"/+8="}}"#,
            r#"{"BinaryEqualsIfExists":{"t:none":"/+8="}}"#,
            r#"{"BinaryEquals":{"aws:SourceIp":"/+8="}}"#,
            r#"{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
            r#"{"Bool":{"aws:MultiFactorAuthPresent":false}}"#,
            r#"{"Bool":{"t:none":"false"}}"#,
            r#"{"Bool":{"aws:username":"true"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}"#,
            r#"{"NotIpAddress":{"aws:username":"192.0.2.0/24"}}"#,
            r#"{"IpAddress":{"t:ipv6":"2001:db8::/32"}}"#,
            r#"{"NumericEquals":{"aws:MultiFactorAuthAge":"3600.0"}}"#,
            r#"{"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericLessThanEquals":{"aws:MultiFactorAuthAge":3600}}"#,
            r#"{"NumericGreaterThan":{"aws:MultiFactorAuthAge":3599.5}}"#,
            r#"{"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":3601}}"#,
            r#"{"NumericNotEquals":{"t:none":1}}"#,
            r#"{"NumericLessThan":{"t:none":1}}"#,
            r#"{"NumericLessThan":{"aws:username":1}}"#,
            r#"{"DateEquals":{"aws:CurrentTime":"1767225600"}}"#,
            r#"{"DateNotEquals":{"aws:CurrentTime":"2026-01-01"}}"#,
            r#"{"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            r#"{"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
            r#"{"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T23:59:59.999Z"}}"#,
            r#"{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00.001Z"}}"#,
        ],
        expect![[r#"
            true    {"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}
            false   {"ArnLike":{"aws:PrincipalArn":"arn:aws:*:user/*"}}
            true    {"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}
            false   {"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/*"}}
            true    {"BinaryEquals":{"t:bytes":"/+8="}}
            true    {"BinaryEquals":{"t:bytes":["AA==","/+8="]}}
            false   {"BinaryEquals":{"t:bytes":"/+4="}}
            false   {"BinaryEquals":{"t:none":"/+8="}}
            true    {"BinaryEqualsIfExists":{"t:none":"/+8="}}
            unknown {"BinaryEquals":{"aws:SourceIp":"/+8="}}
            true    {"Bool":{"aws:MultiFactorAuthPresent":"true"}}
            false   {"Bool":{"aws:MultiFactorAuthPresent":false}}
            false   {"Bool":{"t:none":"false"}}
            unknown {"Bool":{"aws:username":"true"}}
            true    {"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}
            false   {"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}
            false   {"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}
            true    {"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}
            unknown {"NotIpAddress":{"aws:username":"192.0.2.0/24"}}
            true    {"IpAddress":{"t:ipv6":"2001:db8::/32"}}
            true    {"NumericEquals":{"aws:MultiFactorAuthAge":"3600.0"}}
            false   {"NumericNotEquals":{"aws:MultiFactorAuthAge":3600}}
            false   {"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}
            true    {"NumericLessThanEquals":{"aws:MultiFactorAuthAge":3600}}
            true    {"NumericGreaterThan":{"aws:MultiFactorAuthAge":3599.5}}
            false   {"NumericGreaterThanEquals":{"aws:MultiFactorAuthAge":3601}}
            true    {"NumericNotEquals":{"t:none":1}}
            false   {"NumericLessThan":{"t:none":1}}
            unknown {"NumericLessThan":{"aws:username":1}}
            true    {"DateEquals":{"aws:CurrentTime":"1767225600"}}
            false   {"DateNotEquals":{"aws:CurrentTime":"2026-01-01"}}
            false   {"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}
            true    {"DateLessThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}}
            true    {"DateGreaterThan":{"aws:CurrentTime":"2025-12-31T23:59:59.999Z"}}
            false   {"DateGreaterThanEquals":{"aws:CurrentTime":"2026-01-01T00:00:00.001Z"}}
        "#]],
    );
}

#[test]
fn absence_and_sets() {
    check_conditions(
        &[
            r#"{"Null":{"t:none":"true"}}"#,
            r#"{"Null":{"t:none":false}}"#,
            r#"{"Null":{"aws:username":"false"}}"#,
            r#"{"Null":{"aws:username":"true"}}"#,
            r#"{"StringEqualsIfExists":{"t:none":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:username":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:username":"Bob"}}"#,
            r#"{"BoolIfExists":{"t:none":"true"}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}"#,
            r#"{"ForAllValues:StringEquals":{"t:none":["a"]}}"#,
            r#"{"ForAllValues:StringNotEquals":{"aws:TagKeys":["c"]}}"#,
            r#"{"ForAllValues:StringNotLike":{"aws:TagKeys":["b*"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}}"#,
            r#"{"ForAnyValue:StringEquals":{"t:none":["z"]}}"#,
            r#"{"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}}"#,
            r#"{"ForAnyValue:StringNotEquals":{"t:none":["a"]}}"#,
            r#"{"ForAnyValue:StringEqualsIfExists":{"t:none":["a"]}}"#,
            r#"{"StringEquals":{"aws:TagKeys":"a"}}"#,
            r#"{"StringNotEquals":{"aws:TagKeys":"z"}}"#,
        ],
        expect![[r#"
            true    {"Null":{"t:none":"true"}}
            false   {"Null":{"t:none":false}}
            true    {"Null":{"aws:username":"false"}}
            false   {"Null":{"aws:username":"true"}}
            true    {"StringEqualsIfExists":{"t:none":"x"}}
            false   {"StringEqualsIfExists":{"aws:username":"x"}}
            true    {"StringEqualsIfExists":{"aws:username":"Bob"}}
            true    {"BoolIfExists":{"t:none":"true"}}
            true    {"ForAllValues:StringEquals":{"aws:TagKeys":["a","b","c"]}}
            false   {"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}}
            true    {"ForAllValues:StringEquals":{"t:none":["a"]}}
            true    {"ForAllValues:StringNotEquals":{"aws:TagKeys":["c"]}}
            false   {"ForAllValues:StringNotLike":{"aws:TagKeys":["b*"]}}
            true    {"ForAnyValue:StringEquals":{"aws:TagKeys":["b","z"]}}
            false   {"ForAnyValue:StringEquals":{"aws:TagKeys":["z"]}}
            false   {"ForAnyValue:StringEquals":{"t:none":["z"]}}
            true    {"ForAnyValue:StringNotEquals":{"aws:TagKeys":["a"]}}
            false   {"ForAnyValue:StringNotEquals":{"t:none":["a"]}}
            true    {"ForAnyValue:StringEqualsIfExists":{"t:none":["a"]}}
            unknown {"StringEquals":{"aws:TagKeys":"a"}}
            unknown {"StringNotEquals":{"aws:TagKeys":"z"}}
        "#]],
    );
}

#[test]
fn contested_keys_and_variables() {
    check_conditions(
        &[
            r#"{"StringEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringNotEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringEqualsIfExists":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"Null":{"aws:PrincipalTag/team":"true"}}"#,
            r#"{"Null":{"aws:PrincipalTag/team":"false"}}"#,
            r#"{"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"x"}}"#,
            r#"{"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}"#,
            r#"{"StringEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}"#,
            r#"{"StringNotEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}"#,
            r#"{"StringEquals":{"aws:PrincipalTag/team":"x","aws:username":"eve"}}"#,
            r#"{"StringEquals":{"aws:username":"${aws:UserName}"}}"#,
            r#"{"StringEquals":{"aws:username":"${t:none}"}}"#,
            r#"{"StringNotEquals":{"aws:username":"${t:none}"}}"#,
            r#"{"StringEquals":{"aws:username":"${t:none, 'Bob'}"}}"#,
            r#"{"StringLike":{"t:star":"${*}"}}"#,
            r#"{"StringLike":{"aws:username":"${*}"}}"#,
            r#"{"StringLike":{"aws:username":"${t:star}"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:user/${aws:username}"}}"#,
        ],
        expect![[r#"
            unknown {"StringEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringNotEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringEqualsIfExists":{"aws:PrincipalTag/team":"x"}}
            unknown {"Null":{"aws:PrincipalTag/team":"true"}}
            unknown {"Null":{"aws:PrincipalTag/team":"false"}}
            unknown {"ForAllValues:StringEquals":{"aws:PrincipalTag/team":"x"}}
            unknown {"StringEquals":{"aws:username":"${aws:PrincipalTag/team}"}}
            true    {"StringEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}
            false   {"StringNotEquals":{"aws:username":["${aws:PrincipalTag/team}","Bob"]}}
            false   {"StringEquals":{"aws:PrincipalTag/team":"x","aws:username":"eve"}}
            true    {"StringEquals":{"aws:username":"${aws:UserName}"}}
            false   {"StringEquals":{"aws:username":"${t:none}"}}
            unknown {"StringNotEquals":{"aws:username":"${t:none}"}}
            true    {"StringEquals":{"aws:username":"${t:none, 'Bob'}"}}
            true    {"StringLike":{"t:star":"${*}"}}
            false   {"StringLike":{"aws:username":"${*}"}}
            false   {"StringLike":{"aws:username":"${t:star}"}}
            true    {"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1:user/${aws:username}"}}
        "#]],
    );
}
