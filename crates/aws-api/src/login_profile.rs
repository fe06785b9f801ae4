//! Passwords of users. AWS: `CreateLoginProfile`, `GetLoginProfile`, `UpdateLoginProfile`,
//! `DeleteLoginProfile`, `ChangePassword`.
//!
//! **Invariants.** No answer and no error shows a password.
//!
//! **Must not know:** what a password must be like.

use identity::{
    Command, Password, Query,
    login_profile::{
        ChangePassword, CreateLoginProfile, LoginProfile, OneLoginProfile, Reset,
        UpdateLoginProfile,
    },
};
use model::UserName;

use crate::{
    ApiError,
    call::{Action, Call},
    form::{Params, Violation},
    shape::PASSWORD,
    user::USER_NAME_CHARS_MAX,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateLoginProfile", create),
    Action::new("GetLoginProfile", |p| one(p).map(Query::GetLoginProfile).map(Call::Query)),
    Action::new("UpdateLoginProfile", update),
    Action::new("DeleteLoginProfile", |p| {
        one(p).map(Command::DeleteLoginProfile).map(Call::Command)
    }),
    Action::new("ChangePassword", change),
];

fn user(params: &mut Params<'_>) -> Result<Option<UserName>, Violation> {
    params.optional_up_to("UserName", USER_NAME_CHARS_MAX)
}

fn password(params: &mut Params<'_>) -> Result<Option<Password>, Violation> {
    Ok(params.optional_secret("Password", &PASSWORD)?.map(Password::new))
}

fn reset(params: &mut Params<'_>) -> Result<Option<Reset>, Violation> {
    let required = params.boolean("PasswordResetRequired")?;
    Ok(required.map(|required| if required { Reset::Required } else { Reset::NotRequired }))
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = user(&mut params);
    let password = password(&mut params);
    let reset = reset(&mut params);
    params.finish()?;
    let reset = reset?.unwrap_or_default();
    let command = CreateLoginProfile { user: user?, password: password?, reset };
    Ok(Call::Command(Command::CreateLoginProfile(command)))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.required_up_to("UserName", USER_NAME_CHARS_MAX);
    let password = password(&mut params);
    let reset = reset(&mut params);
    params.finish()?;
    let command = UpdateLoginProfile { user: user?, password: password?, reset: reset? };
    Ok(Call::Command(Command::UpdateLoginProfile(command)))
}

fn one(mut params: Params<'_>) -> Result<OneLoginProfile, ApiError> {
    let user = user(&mut params);
    params.finish()?;
    Ok(OneLoginProfile { user: user? })
}

fn change(mut params: Params<'_>) -> Result<Call, ApiError> {
    let old = params.required_secret("OldPassword", &PASSWORD);
    let new = params.required_secret("NewPassword", &PASSWORD);
    params.finish()?;
    let command = ChangePassword { old: Password::new(old?), new: Password::new(new?) };
    Ok(Call::Command(Command::ChangePassword(command)))
}

/// The answer to `CreateLoginProfile` and `GetLoginProfile`.
pub(crate) fn write(xml: &mut Xml, profile: &LoginProfile) {
    let LoginProfile { user, created, reset } = profile;
    xml.element("LoginProfile", |xml| {
        xml.text("UserName", user);
        xml.text("CreateDate", created);
        xml.text("PasswordResetRequired", *reset == Reset::Required);
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
                "Action=CreateLoginProfile&UserName=bob&Password=hunter2",
                "Action=CreateLoginProfile&UserName=bob&Password=hunter2&PasswordResetRequired=true",
                "Action=CreateLoginProfile",
                "Action=GetLoginProfile&UserName=bob",
                "Action=UpdateLoginProfile&UserName=bob&PasswordResetRequired=false",
                "Action=UpdateLoginProfile&UserName=bob&Password=hunter2",
                "Action=DeleteLoginProfile&UserName=bob",
                "Action=ChangePassword&OldPassword=hunter2&NewPassword=hunter3",
            ],
            expect_file!["../testdata/login_profile-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UpdateLoginProfile",
                "Action=CreateLoginProfile&UserName=bob&Password=&PasswordResetRequired=maybe",
                "Action=CreateLoginProfile&UserName=bob&Password=%C4%80hunter2",
                &format!("Action=CreateLoginProfile&UserName=bob&Password={}", "x".repeat(129)),
                "Action=ChangePassword&OldPassword=hunter2",
                "Action=ChangePassword&UserName=bob&OldPassword=hunter2&NewPassword=hunter3",
            ],
            expect_file!["../testdata/login_profile-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let profile = LoginProfile {
            user: "bob".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
            reset: Reset::Required,
        };
        let kept = LoginProfile { reset: Reset::NotRequired, ..profile.clone() };
        check_replies(
            [
                ("CreateLoginProfile", Reply::CreateLoginProfile(profile)),
                ("GetLoginProfile", Reply::GetLoginProfile(kept)),
            ],
            expect_file!["../testdata/login_profile-replies.txt"],
        );
    }
}
