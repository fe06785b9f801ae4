//! What someone with a few rights tries in order to get more.

use expect_test::expect;

use crate::history::check_history;

/// Everything of IAM, but nothing on what is tagged `locked`.
const UNLOCKED: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"iam:*","Resource":"*"},
    {"Effect":"Deny","Action":"iam:*","Resource":"*",
     "Condition":{"StringEquals":{"aws:ResourceTag/Größe_Ω":"locked"}}}]}"#;

/// A document as one word of a step.
fn word(document: &str) -> String {
    let word: String = document.lines().map(str::trim).collect();
    assert!(!word.contains(' '), "{word}");
    word
}

#[test]
fn a_call_on_oneself_meets_the_conditions_that_ones_name_would() {
    let steps = "quiet root CreateUser bob
        quiet root PutUserPolicy bob in POLICY
        quiet bob CreateAccessKey
        bob UpdateAccessKey - key1 Active
        quiet root TagUser bob GRÖSSE=locked
        quiet root TagUser bob gRÖßE_ω=locked
        bob GetUser
        bob ListAccessKeys bob
        bob ListAccessKeys
        bob CreateAccessKey
        bob UpdateAccessKey - key1 Inactive
        bob DeleteAccessKey - key1
        bob UntagUser bob gRÖßE_ω
        quiet root UntagUser bob gRÖßE_ω
        bob DeleteAccessKey - key1";
    let policy = word(UNLOCKED);
    check_history(
        &steps.replace("POLICY", &policy),
        expect![[r#"
            bob UpdateAccessKey - key1 Active
                done
            bob GetUser
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:GetUser on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob ListAccessKeys bob
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob ListAccessKeys
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListAccessKeys on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob CreateAccessKey
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob UpdateAccessKey - key1 Inactive
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:UpdateAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob DeleteAccessKey - key1
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:DeleteAccessKey on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob UntagUser bob gRÖßE_ω
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:UntagUser on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
            bob DeleteAccessKey - key1
                done
        "#]],
    );
}
