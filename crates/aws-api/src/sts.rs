//! Sessions. AWS STS: `GetCallerIdentity`, `AssumeRole`, `GetSessionToken`, `GetFederationToken`;
//! `GetAccessKeyInfo`, `DecodeAuthorizationMessage`.
//!
//! **Invariants.** Secrets are written in the answers that hand them out, and nowhere else.
//! Parameters that would narrow a session in a way that is not supported (transitive tags,
//! provided contexts) are refused, never ignored.
//!
//! **Must not know:** how sessions are sealed.

use std::collections::BTreeSet;

use identity::{
    Command, Query, WithCode,
    authorization_message::DecodeAuthorizationMessage,
    federated_user::{FederatedUser, GetFederationToken},
    mfa_device::SerialNumber,
    sts::{
        AssumeRole, AssumedRole, CallerIdentity, Credentials, Duration, GetAccessKeyInfo,
        GetCallerIdentity, GetSessionToken,
    },
    tag::Tag,
};
use model::{Arn, Secret, limits::ATTACHED_POLICIES_MAX};

use crate::{
    ApiError,
    call::{Action, Call},
    form::{Params, Violation},
    policy::{arn_text, optional_document, parse_arn},
    shape::{ENCODED_MESSAGE, SESSION_POLICY, STS_ACCESS_KEY_ID, STS_SERIAL_NUMBER, TOKEN_CODE},
    tag,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("GetCallerIdentity", |params| {
        params.finish()?;
        Ok(Call::Query(Query::GetCallerIdentity(GetCallerIdentity)))
    }),
    Action::new("AssumeRole", assume_role),
    Action::new("GetSessionToken", session_token),
    Action::new("GetFederationToken", federation_token),
    Action::new("GetAccessKeyInfo", |mut params| {
        let key_id = params.required_shape("AccessKeyId", &STS_ACCESS_KEY_ID);
        params.finish()?;
        Ok(Call::Query(Query::GetAccessKeyInfo(GetAccessKeyInfo { key_id: key_id? })))
    }),
    Action::new("DecodeAuthorizationMessage", |mut params| {
        let message = params.required_shape("EncodedMessage", &ENCODED_MESSAGE);
        params.finish()?;
        let decode = DecodeAuthorizationMessage { message: message? };
        Ok(Call::Query(Query::DecodeAuthorizationMessage(decode)))
    }),
];

/// Reads `DurationSeconds`.
pub(crate) fn duration<const MAX: u32>(
    params: &mut Params<'_>,
) -> Result<Option<Duration<MAX>>, Violation> {
    let secs = params.optional_integer("DurationSeconds", 900, i64::from(MAX))?;
    Ok(secs.map(|secs| Duration::new(secs).expect("its bounds were checked")))
}

fn assume_role(mut params: Params<'_>) -> Result<Call, ApiError> {
    let role_arn = arn_text(&mut params, "RoleArn");
    let session_name = params.required("RoleSessionName");
    let policy_arns =
        params.list("PolicyArns", ATTACHED_POLICIES_MAX, |policy| arn_text(policy, "arn"));
    let policy = optional_document(&mut params, "Policy");
    let duration = duration(&mut params);
    let tags = tag::read(&mut params);
    let external_id = params.optional("ExternalId");
    let source_identity = params.optional("SourceIdentity");
    let code = read_code(&mut params);
    params.finish()?;
    let call = AssumeRole {
        role_arn: role(&role_arn?)?,
        session_name: session_name?,
        duration: duration?,
        policy: policy?,
        policy_arns: policy_arns?.iter().map(|arn| parse_arn(arn)).collect::<Result<_, _>>()?,
        tags: distinct(tags?)?,
        external_id: external_id?,
        source_identity: source_identity?,
    };
    Ok(match code?.in_both()? {
        None => Call::Query(Query::AssumeRole(call)),
        Some((serial, code)) => Call::Command(Command::AssumeRole(WithCode { call, serial, code })),
    })
}

/// The parameters of a second factor, as far as they are there.
struct Code {
    serial: Option<String>,
    code: Option<Secret<String>>,
}

fn read_code(params: &mut Params<'_>) -> Result<Code, Violation> {
    let serial = params.optional_shape("SerialNumber", &STS_SERIAL_NUMBER);
    let code = params.optional_secret("TokenCode", &TOKEN_CODE);
    Ok(Code { serial: serial?, code: code? })
}

impl Code {
    /// Both parameters, or none.
    fn in_both(self) -> Result<Option<(SerialNumber, Secret<String>)>, ApiError> {
        match (self.serial, self.code) {
            (None, None) => Ok(None),
            (Some(serial), Some(code)) => Ok(Some((SerialNumber(serial), code))),
            (Some(_), None) | (None, Some(_)) => Err(ApiError::access_denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one \
                 time pass code.",
            )),
        }
    }
}

/// The ARN that a role is named by.
pub(crate) fn role(text: &str) -> Result<Arn, ApiError> {
    text.parse().map_err(|_| ApiError::validation("Request ARN is invalid"))
}

/// Refuses tag keys that are equal without case. The core does so too, in IAM's words; STS has
/// another code.
fn distinct(tags: Vec<Tag>) -> Result<Vec<Tag>, ApiError> {
    let keys: BTreeSet<String> = tags.iter().map(|tag| tag.key.fold()).collect();
    if keys.len() < tags.len() {
        return Err(ApiError::invalid_parameter_value(
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ));
    }
    Ok(tags)
}

fn session_token(mut params: Params<'_>) -> Result<Call, ApiError> {
    let duration = duration(&mut params);
    let code = read_code(&mut params);
    params.finish()?;
    let call = GetSessionToken { duration: duration? };
    Ok(match code?.in_both()? {
        None => Call::Query(Query::GetSessionToken(call)),
        Some((serial, code)) => {
            Call::Command(Command::GetSessionToken(WithCode { call, serial, code }))
        }
    })
}

fn federation_token(mut params: Params<'_>) -> Result<Call, ApiError> {
    let name = params.required("Name");
    let policy_arns =
        params.list("PolicyArns", ATTACHED_POLICIES_MAX, |policy| arn_text(policy, "arn"));
    let policy = params.optional_shape("Policy", &SESSION_POLICY);
    let duration = duration(&mut params);
    let tags = tag::read(&mut params);
    params.finish()?;
    Ok(Call::Query(Query::GetFederationToken(GetFederationToken {
        name: name?,
        duration: duration?,
        policy: policy?,
        policy_arns: policy_arns?.iter().map(|arn| parse_arn(arn)).collect::<Result<_, _>>()?,
        tags: distinct(tags?)?,
    })))
}

/// The answer to `GetCallerIdentity`.
pub(crate) fn write_caller(xml: &mut Xml, caller: &CallerIdentity) {
    let CallerIdentity { user_id, account, arn } = caller;
    xml.text("UserId", user_id);
    xml.text("Account", account);
    xml.text("Arn", arn);
}

/// The answer to `AssumeRole`.
pub(crate) fn write_assumed(xml: &mut Xml, assumed: &AssumedRole) {
    let AssumedRole { credentials, arn, assumed_role_id, packed_policy_size, source_identity } =
        assumed;
    write_credentials(xml, credentials);
    xml.element("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", assumed_role_id);
        xml.text("Arn", arn);
    });
    xml.optional("PackedPolicySize", packed_policy_size.as_ref());
    xml.optional("SourceIdentity", source_identity.as_ref());
}

/// The answer to `GetFederationToken`.
pub(crate) fn write_federated(xml: &mut Xml, user: &FederatedUser) {
    let FederatedUser { credentials, arn, federated_user_id, packed_policy_size } = user;
    write_credentials(xml, credentials);
    xml.element("FederatedUser", |xml| {
        xml.text("FederatedUserId", federated_user_id);
        xml.text("Arn", arn);
    });
    xml.optional("PackedPolicySize", packed_policy_size.as_ref());
}

/// The answer to `GetSessionToken`.
pub(crate) fn write_credentials(xml: &mut Xml, credentials: &Credentials) {
    let Credentials { access_key_id, secret_access_key, session_token, expires } = credentials;
    xml.element("Credentials", |xml| {
        xml.text("AccessKeyId", access_key_id);
        xml.text("SecretAccessKey", secret_access_key.expose());
        xml.text("SessionToken", session_token.expose());
        xml.text("Expiration", expires);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::Reply;
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=GetCallerIdentity",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &DurationSeconds=900&Policy=%7B%7D&ExternalId=x1&SourceIdentity=bob\
           &PolicyArns.member.1.arn=arn:aws:iam::aws:policy/Read\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetSessionToken",
                "Action=GetSessionToken&DurationSeconds=129600",
                "Action=GetSessionToken&SerialNumber=arn:aws:iam::123456789012:mfa/bob\
           &TokenCode=123456",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &SerialNumber=arn:aws:iam::123456789012:mfa/bob&TokenCode=123456",
                "Action=GetFederationToken&Name=bo",
                "Action=GetFederationToken&Name=web&DurationSeconds=900&Policy=%7B%7D\
           &PolicyArns.member.1.arn=arn:aws:iam::aws:policy/Read\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                "Action=GetAccessKeyInfo&AccessKeyId=ASIAIOSFODNN7EXAMPLE",
                "Action=DecodeAuthorizationMessage&EncodedMessage=Cg",
            ],
            expect_file!["../testdata/sts-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=AssumeRole",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=c\
           &DurationSeconds=43201&ExternalId=x&SourceIdentity=a:b",
                "Action=AssumeRole&RoleArn=a-role-that-is-no-arn-at-all&RoleSessionName=ci",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &PolicyArns.member.1.arn=arn:aws:s3:::bucket/key",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.2.Key=A&Tags.member.2.Value=b",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &SerialNumber=arn:aws:iam::123456789012:mfa/bob&TokenCode=12345",
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/deploy&RoleSessionName=ci\
           &TransitiveTagKeys.member.1=a",
                "Action=GetSessionToken&DurationSeconds=899",
                "Action=GetSessionToken&DurationSeconds=129601",
                "Action=GetSessionToken&TokenCode=123456",
                "Action=GetFederationToken",
                "Action=GetFederationToken&Name=b&DurationSeconds=129601&Policy=",
                "Action=GetFederationToken&Name=a/b",
                "Action=GetFederationToken&Name=a-name-that-is-one-over-the-limit",
                "Action=GetFederationToken&Name=web&PolicyArns.member.1.arn=arn:aws:s3:::bucket/key",
                "Action=GetFederationToken&Name=web\
           &Tags.member.1.Key=a&Tags.member.1.Value=b&Tags.member.2.Key=A&Tags.member.2.Value=b",
                "Action=GetFederationToken&Name=web&SerialNumber=GAHT12345678",
                "Action=GetAccessKeyInfo",
                "Action=GetAccessKeyInfo&AccessKeyId=ASIAIOSFODNN7-X",
                "Action=DecodeAuthorizationMessage",
                "Action=DecodeAuthorizationMessage&EncodedMessage=",
            ],
            expect_file!["../testdata/sts-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let caller = CallerIdentity {
            user_id: "AROAQ3EGRIM6LD2W5YX7A:ci".to_owned(),
            account: "012345678901".parse().unwrap(),
            arn: "arn:aws:sts::012345678901:assumed-role/deploy/ci".parse().unwrap(),
        };
        let credentials = Credentials {
            access_key_id: "ASIAIOSFODNN7EXAMPLE".parse().unwrap(),
            secret_access_key: Secret::new("wJalr/+EXAMPLE".to_owned()),
            session_token: Secret::new("token==".to_owned()),
            expires: Timestamp::from_secs(1_700_000_000),
        };
        let assumed = AssumedRole {
            credentials: credentials.clone(),
            arn: "arn:aws:sts::123456789012:assumed-role/deploy/ci".parse().unwrap(),
            assumed_role_id: "AROAQ3EGRIM6LD2W5YX7A:ci".to_owned(),
            packed_policy_size: Some(6),
            source_identity: Some("bob".to_owned()),
        };
        let federated = FederatedUser {
            credentials: credentials.clone(),
            arn: "arn:aws:sts::012345678901:federated-user/web".parse().unwrap(),
            federated_user_id: "012345678901:web".to_owned(),
            packed_policy_size: Some(6),
        };
        let bare =
            AssumedRole { packed_policy_size: None, source_identity: None, ..assumed.clone() };
        check_replies(
            [
                ("GetCallerIdentity", Reply::GetCallerIdentity(caller)),
                ("GetSessionToken", Reply::GetSessionToken(credentials)),
                ("AssumeRole", Reply::AssumeRole(assumed)),
                ("AssumeRole", Reply::AssumeRole(bare)),
                ("GetFederationToken", Reply::GetFederationToken(federated)),
                ("GetAccessKeyInfo", Reply::GetAccessKeyInfo("012345678901".parse().unwrap())),
                (
                    "DecodeAuthorizationMessage",
                    Reply::DecodeAuthorizationMessage(r#"{"allowed":false}"#.to_owned()),
                ),
            ],
            expect_file!["../testdata/sts-replies.txt"],
        );
    }
}
