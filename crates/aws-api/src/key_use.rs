//! When access keys were last used. AWS: `GetAccessKeyLastUsed`.
//!
//! **Invariants.** A key that was not used, as far as is known, has AWS's `N/A` for what is not
//! known, and no date.
//!
//! **Must not know:** who notes uses.

use identity::{
    Query,
    key_use::{GetKeyLastUsed, LastUsed},
};

use crate::{
    call::{Action, Call},
    shape::ACCESS_KEY_ID,
    xml::Xml,
};

/// What AWS says for what is not known.
const UNKNOWN: &str = "N/A";

pub(crate) const ACTIONS: &[Action] = &[Action::new("GetAccessKeyLastUsed", |mut params| {
    let key_id = params.required_shape("AccessKeyId", &ACCESS_KEY_ID);
    params.finish()?;
    Ok(Call::Query(Query::GetAccessKeyLastUsed(GetKeyLastUsed { key_id: key_id? })))
})];

/// The answer to `GetAccessKeyLastUsed`.
pub(crate) fn write(xml: &mut Xml, LastUsed { user, used }: &LastUsed) {
    xml.optional("UserName", user.as_ref());
    xml.element("AccessKeyLastUsed", |xml| {
        let some = |text: &String| if text.is_empty() { UNKNOWN.to_owned() } else { text.clone() };
        xml.optional("LastUsedDate", used.as_ref().map(|used| used.at));
        let service = used.as_ref().map(|used| some(&used.service));
        xml.text("ServiceName", service.as_deref().unwrap_or(UNKNOWN));
        let region = used.as_ref().map(|used| some(&used.region));
        xml.text("Region", region.as_deref().unwrap_or(UNKNOWN));
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, key_use::KeyUse};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=GetAccessKeyLastUsed&AccessKeyId=AKIAIOSFODNN7EXAMPLE",
                "Action=GetAccessKeyLastUsed",
                "Action=GetAccessKeyLastUsed&AccessKeyId=AKIA&UserName=bob",
            ],
            expect_file!["../testdata/key_use-calls.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let used = KeyUse {
            at: Timestamp::from_secs(1_700_000_000),
            service: "iam".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let nowhere = KeyUse { region: String::new(), ..used.clone() };
        let user = Some("bob".parse().unwrap());
        let action = "GetAccessKeyLastUsed";
        let last = |user, used| (action, Reply::GetAccessKeyLastUsed(LastUsed { user, used }));
        check_replies(
            [last(user.clone(), Some(used)), last(user, None), last(None, Some(nowhere))],
            expect_file!["../testdata/key_use-replies.txt"],
        );
    }
}
