//! What an account's passwords must be like. AWS: `UpdateAccountPasswordPolicy`,
//! `GetAccountPasswordPolicy`, `DeleteAccountPasswordPolicy`.
//!
//! **Invariants.** An update replaces the whole policy: what it does not name takes AWS's default.
//!
//! **Must not know:** passwords.

use identity::{
    Command, Query,
    password_policy::{DeletePasswordPolicy, GetPasswordPolicy, PasswordPolicy},
};

use crate::{
    ApiError,
    call::{Action, Call},
    form::{Params, Violation},
    xml::Xml,
};

/// AWS: the least length if an update names none.
const MINIMUM_LENGTH_DEFAULT: u32 = 6;

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("UpdateAccountPasswordPolicy", update),
    Action::new("GetAccountPasswordPolicy", |params| {
        params.finish()?;
        Ok(Call::Query(Query::GetAccountPasswordPolicy(GetPasswordPolicy)))
    }),
    Action::new("DeleteAccountPasswordPolicy", |params| {
        params.finish()?;
        Ok(Call::Command(Command::DeleteAccountPasswordPolicy(DeletePasswordPolicy)))
    }),
];

fn number(
    params: &mut Params<'_>,
    name: &str,
    min: i64,
    max: i64,
) -> Result<Option<u32>, Violation> {
    let number = params.optional_integer(name, min, max)?;
    Ok(number.map(|number| u32::try_from(number).expect("its bounds were checked")))
}

fn update(mut params: Params<'_>) -> Result<Call, ApiError> {
    let minimum_length = number(&mut params, "MinimumPasswordLength", 6, 128);
    let mut flag = |name| params.boolean(name).map(Option::unwrap_or_default);
    let require_symbols = flag("RequireSymbols");
    let require_numbers = flag("RequireNumbers");
    let require_uppercase = flag("RequireUppercaseCharacters");
    let require_lowercase = flag("RequireLowercaseCharacters");
    let allow_users_to_change = flag("AllowUsersToChangePassword");
    let hard_expiry = flag("HardExpiry");
    let max_age_days = number(&mut params, "MaxPasswordAge", 1, 1095);
    let reuse_prevention = number(&mut params, "PasswordReusePrevention", 1, 24);
    params.finish()?;
    Ok(Call::Command(Command::UpdateAccountPasswordPolicy(PasswordPolicy {
        minimum_length: minimum_length?.unwrap_or(MINIMUM_LENGTH_DEFAULT),
        require_symbols: require_symbols?,
        require_numbers: require_numbers?,
        require_uppercase: require_uppercase?,
        require_lowercase: require_lowercase?,
        allow_users_to_change: allow_users_to_change?,
        max_age_days: max_age_days?,
        reuse_prevention: reuse_prevention?,
        hard_expiry: hard_expiry?,
    })))
}

/// The answer to `GetAccountPasswordPolicy`.
pub(crate) fn write(xml: &mut Xml, policy: &PasswordPolicy) {
    let PasswordPolicy {
        minimum_length,
        require_symbols,
        require_numbers,
        require_uppercase,
        require_lowercase,
        allow_users_to_change,
        max_age_days,
        reuse_prevention,
        hard_expiry,
    } = policy;
    xml.element("PasswordPolicy", |xml| {
        xml.text("MinimumPasswordLength", minimum_length);
        xml.text("RequireSymbols", require_symbols);
        xml.text("RequireNumbers", require_numbers);
        xml.text("RequireUppercaseCharacters", require_uppercase);
        xml.text("RequireLowercaseCharacters", require_lowercase);
        xml.text("AllowUsersToChangePassword", allow_users_to_change);
        xml.text("ExpirePasswords", max_age_days.is_some());
        xml.optional("MaxPasswordAge", max_age_days.as_ref());
        xml.optional("PasswordReusePrevention", reuse_prevention.as_ref());
        xml.text("HardExpiry", hard_expiry);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::Reply;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=UpdateAccountPasswordPolicy",
                "Action=UpdateAccountPasswordPolicy&MinimumPasswordLength=128&RequireSymbols=true\
           &RequireNumbers=true&RequireUppercaseCharacters=true&RequireLowercaseCharacters=false\
           &AllowUsersToChangePassword=true&MaxPasswordAge=1095&PasswordReusePrevention=24\
           &HardExpiry=true",
                "Action=GetAccountPasswordPolicy",
                "Action=DeleteAccountPasswordPolicy",
            ],
            expect_file!["../testdata/password_policy-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        check_calls(
            &[
                "Action=UpdateAccountPasswordPolicy&MinimumPasswordLength=5&MaxPasswordAge=0\
           &PasswordReusePrevention=25&HardExpiry=1",
                "Action=UpdateAccountPasswordPolicy&MinimumPasswordLength=129&MaxPasswordAge=1096\
           &PasswordReusePrevention=0",
                "Action=GetAccountPasswordPolicy&Account=1",
            ],
            expect_file!["../testdata/password_policy-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let policy = PasswordPolicy {
            minimum_length: 14,
            require_symbols: true,
            require_numbers: false,
            require_uppercase: true,
            require_lowercase: false,
            allow_users_to_change: true,
            max_age_days: Some(90),
            reuse_prevention: Some(24),
            hard_expiry: false,
        };
        let bare = PasswordPolicy { max_age_days: None, reuse_prevention: None, ..policy.clone() };
        check_replies(
            [
                ("GetAccountPasswordPolicy", Reply::GetAccountPasswordPolicy(policy)),
                ("GetAccountPasswordPolicy", Reply::GetAccountPasswordPolicy(bare)),
            ],
            expect_file!["../testdata/password_policy-replies.txt"],
        );
    }
}
