//! Sessions of whom an OpenID Connect provider vouches for. AWS STS: `AssumeRoleWithWebIdentity`.
//!
//! **Invariants.** No error shows a token. `ProviderId`, which is for access tokens of providers
//! that are not OpenID Connect's, is refused.
//!
//! **Must not know:** what a token looks like.

use identity::web_identity::{AssumeRoleWithWebIdentity, WebIdentitySession};
use model::limits::ATTACHED_POLICIES_MAX;

use crate::{
    ApiError,
    call::{Action, Call},
    form::{Form, Params},
    policy::{arn_text, parse_arn},
    shape::{SESSION_POLICY, WEB_IDENTITY_TOKEN},
    sts::{duration, role, write_credentials},
    xml::Xml,
};

const NAME: &str = "AssumeRoleWithWebIdentity";

pub(crate) const ACTIONS: &[Action] = &[Action::new(NAME, assume)];

/// Whether a request is for an action that nobody signs.
pub fn is_unsigned(form: &Form) -> bool {
    form.action().is_ok_and(|action| action == NAME)
}

fn assume(mut params: Params<'_>) -> Result<Call, ApiError> {
    let role_arn = arn_text(&mut params, "RoleArn");
    let session_name = params.required("RoleSessionName");
    let token = params.required_secret("WebIdentityToken", &WEB_IDENTITY_TOKEN);
    let policy_arns =
        params.list("PolicyArns", ATTACHED_POLICIES_MAX, |policy| arn_text(policy, "arn"));
    let policy = params.optional_shape("Policy", &SESSION_POLICY);
    let duration = duration(&mut params);
    params.finish()?;
    Ok(Call::Federated(AssumeRoleWithWebIdentity {
        role_arn: role(&role_arn?)?,
        session_name: session_name?,
        token: token?,
        duration: duration?,
        policy: policy?,
        policy_arns: policy_arns?.iter().map(|arn| parse_arn(arn)).collect::<Result<_, _>>()?,
    }))
}

/// The answer to `AssumeRoleWithWebIdentity`.
pub(crate) fn write(xml: &mut Xml, session: &WebIdentitySession) {
    let WebIdentitySession {
        credentials,
        subject,
        arn,
        assumed_role_id,
        packed_policy_size,
        provider,
        audience,
        source_identity,
    } = session;
    write_credentials(xml, credentials);
    xml.text("SubjectFromWebIdentityToken", subject);
    xml.element("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", assumed_role_id);
        xml.text("Arn", arn);
    });
    xml.optional("PackedPolicySize", packed_policy_size.as_ref());
    xml.text("Provider", provider);
    xml.text("Audience", audience);
    xml.optional("SourceIdentity", source_identity.as_ref());
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, sts::Credentials};
    use model::{Secret, Timestamp};

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const NAMED: &str = "Action=AssumeRoleWithWebIdentity\
        &RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                &format!("{NAMED}&WebIdentityToken=hunter2"),
                &format!(
                    "{NAMED}&WebIdentityToken=hunter2&DurationSeconds=900&Policy=%7B%7D\
                    &PolicyArns.member.1.arn=arn:aws:iam::aws:policy/Read"
                ),
            ],
            expect_file!["../testdata/web_identity-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=AssumeRoleWithWebIdentity",
                &format!("{NAMED}&WebIdentityToken=abc&DurationSeconds=43201"),
                &format!("{NAMED}&WebIdentityToken={}", "t".repeat(20_001)),
                &format!("{NAMED}&WebIdentityToken=hunter2&ProviderId=www.amazon.com"),
            ],
            expect_file!["../testdata/web_identity-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let session = WebIdentitySession {
            credentials: Credentials {
                access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().unwrap(),
                secret_access_key: Secret::new("wJalr/+EXAMPLE".to_owned()),
                session_token: Secret::new("token==".to_owned()),
                expires: Timestamp::from_secs(1_700_000_000),
            },
            subject: "repo:a/b".to_owned(),
            arn: "arn:aws:sts::123456789012:assumed-role/deploy/ci".parse().unwrap(),
            assumed_role_id: "AROAQ3EGRIM6LD2W5YX7A:ci".to_owned(),
            packed_policy_size: Some(6),
            provider: "arn:aws:iam::123456789012:oidc-provider/idp.example.com".parse().unwrap(),
            audience: "sts.amazonaws.com".to_owned(),
            source_identity: Some("bob".to_owned()),
        };
        let bare = WebIdentitySession {
            packed_policy_size: None,
            source_identity: None,
            ..session.clone()
        };
        check_replies(
            [session, bare].map(|one| (NAME, Reply::AssumeRoleWithWebIdentity(Box::new(one)))),
            expect_file!["../testdata/web_identity-replies.txt"],
        );
    }
}
