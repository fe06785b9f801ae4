//! Permissions boundaries. AWS: `PutUserPermissionsBoundary`, `DeleteUserPermissionsBoundary` and
//! their kin.
//!
//! **Invariants.** A boundary is named by its policy's ARN, here and in every answer.
//!
//! **Must not know:** what a policy says.

use identity::{
    Command, EntityName,
    boundary::{DeleteBoundary, PutBoundary},
    policy::PolicyArn,
};

use crate::{
    ApiError,
    attachment::attached_owner,
    call::{Action, Call},
    form::Params,
    policy::{arn_text, parse_arn},
    shape::ARN,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("PutUserPermissionsBoundary", |p| {
        put(p).map(Command::PutUserPermissionsBoundary).map(Call::Command)
    }),
    Action::new("PutRolePermissionsBoundary", |p| {
        put(p).map(Command::PutRolePermissionsBoundary).map(Call::Command)
    }),
    Action::new("DeleteUserPermissionsBoundary", |p| {
        delete(p).map(Command::DeleteUserPermissionsBoundary).map(Call::Command)
    }),
    Action::new("DeleteRolePermissionsBoundary", |p| {
        delete(p).map(Command::DeleteRolePermissionsBoundary).map(Call::Command)
    }),
];

const NAME: &str = "PermissionsBoundary";

fn put<N: EntityName>(mut params: Params<'_>) -> Result<PutBoundary<N>, ApiError> {
    let owner = attached_owner(&mut params);
    let policy = arn_text(&mut params, NAME);
    params.finish()?;
    Ok(PutBoundary { owner: owner?, policy: parse_arn(&policy?)? })
}

fn delete<N: EntityName>(mut params: Params<'_>) -> Result<DeleteBoundary<N>, ApiError> {
    let owner = attached_owner(&mut params);
    params.finish()?;
    Ok(DeleteBoundary { owner: owner? })
}

/// The boundary that `CreateUser` and `CreateRole` may set.
pub(crate) fn read(params: &mut Params<'_>) -> Result<Option<PolicyArn>, ApiError> {
    let text = params.optional_shape(NAME, &ARN)?;
    text.as_deref().map(parse_arn).transpose()
}

/// A user's or role's boundary, if it has one. AWS: `AttachedPermissionsBoundary`, whose type has
/// one word in AWS's model.
pub(crate) fn write(xml: &mut Xml, boundary: Option<&String>) {
    if let Some(arn) = boundary {
        xml.element(NAME, |xml| {
            xml.text("PermissionsBoundaryType", "PermissionsBoundaryPolicy");
            xml.text("PermissionsBoundaryArn", arn);
        });
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::call::testing::check_calls;

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=PutUserPermissionsBoundary&UserName=bob\
           &PermissionsBoundary=arn:aws:iam::aws:policy/Read",
                "Action=PutRolePermissionsBoundary&RoleName=deploy\
           &PermissionsBoundary=arn:aws:iam::123456789012:policy/x/Read",
                "Action=DeleteUserPermissionsBoundary&UserName=bob",
                "Action=DeleteRolePermissionsBoundary&RoleName=deploy",
            ],
            expect_file!["../testdata/boundary-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let long = |length: usize| {
            let arn = "arn:aws:iam::aws:policy/";
            format!(
                "Action=PutUserPermissionsBoundary&UserName=bob&PermissionsBoundary={arn}{}/a",
                "p".repeat(length - arn.len() - 2)
            )
        };
        check_calls(
            &[
                "Action=PutUserPermissionsBoundary",
                "Action=PutRolePermissionsBoundary&RoleName=deploy",
                "Action=PutUserPermissionsBoundary&UserName=b%2F\
           &PermissionsBoundary=arn:aws:iam::aws:po",
                "Action=PutUserPermissionsBoundary&UserName=bob\
           &PermissionsBoundary=arn:aws:iam::aws:pol",
                "Action=PutUserPermissionsBoundary&UserName=bob\
           &PermissionsBoundary=arn:aws:iam::123456789012:user/bob",
                &format!("Action=DeleteUserPermissionsBoundary&UserName={}", "a".repeat(64)),
                &format!("Action=DeleteUserPermissionsBoundary&UserName={}", "a".repeat(65)),
                &long(ARN.max),
                &long(ARN.max + 1),
                "Action=DeleteUserPermissionsBoundary",
                "Action=DeleteRolePermissionsBoundary&RoleName=deploy&UserName=bob",
            ],
            expect_file!["../testdata/boundary-refusals.txt"],
        );
    }
}
