//! The credential report of an account. AWS: `GenerateCredentialReport`, `GetCredentialReport`.
//!
//! **Invariants.** What was asked for is made at once: a report is `STARTED` in the answer that it
//! was made for, and `COMPLETE` in the next.
//!
//! **Must not know:** what is in a report, how long it is kept.

use base64::{Engine, engine::general_purpose::STANDARD};
use identity::{
    Query,
    credential_report::{CredentialReport, Generate, Generated, Get, Report},
};

use crate::{
    call::{Action, Call},
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("GenerateCredentialReport", |params| {
        params.finish()?;
        Ok(Call::Query(Query::GenerateCredentialReport(Generate)))
    }),
    Action::new("GetCredentialReport", |params| {
        params.finish()?;
        Ok(Call::Query(Query::GetCredentialReport(Get)))
    }),
];

/// The answer to `GenerateCredentialReport`.
pub(crate) fn write_generated(xml: &mut Xml, generated: &Generated) {
    match generated {
        Generated::New(_) => {
            xml.text("State", "STARTED");
            let started = "No report exists. Starting a new report generation task";
            xml.text("Description", started);
        }
        Generated::Kept => xml.text("State", "COMPLETE"),
    }
}

/// The answer to `GetCredentialReport`.
pub(crate) fn write(xml: &mut Xml, report: &Report) {
    let Report::Kept(CredentialReport { made, text }) = report else { return };
    xml.text("Content", STANDARD.encode(text));
    xml.text("ReportFormat", "text/csv");
    xml.text("GeneratedTime", made);
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
                "Action=GenerateCredentialReport",
                "Action=GetCredentialReport",
                "Action=GetCredentialReport&UserName=bob",
            ],
            expect_file!["../testdata/credential_report-calls.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let report = CredentialReport {
            made: Timestamp::from_secs(1_700_000_000),
            text: "user,arn\n".to_owned(),
        };
        let (generate, get) = ("GenerateCredentialReport", "GetCredentialReport");
        let new = Generated::New(report.clone());
        check_replies(
            [
                (generate, Reply::GenerateCredentialReport(new)),
                (generate, Reply::GenerateCredentialReport(Generated::Kept)),
                (get, Reply::GetCredentialReport(Report::Kept(report))),
            ],
            expect_file!["../testdata/credential_report-replies.txt"],
        );
    }
}
