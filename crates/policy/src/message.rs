//! Refusals in AWS's words. AWS: "Troubleshoot access denied error messages".
//!
//! **Invariants.** The text depends on the decision's verdict only, and names no policy.
//!
//! **Must not know:** how a decision was made.

use std::fmt;

use crate::{Decision, Layer, Verdict};

/// The message of AWS's `AccessDenied` error for a decision that refuses. For one that allows it is
/// the bare refusal without a reason, as AWS gives for checks that are outside all policies.
pub fn denial_message(decision: &Decision, user_arn: &str, action: &str, resource: &str) -> String {
    let refusal =
        format!("User: {user_arn} is not authorized to perform: {action} on resource: {resource}");
    match decision.verdict {
        Verdict::Allow => refusal,
        Verdict::ImplicitDeny { layer } => {
            format!("{refusal} because no {layer} allows the {action} action")
        }
        Verdict::ExplicitDeny { layer } => {
            let article = match layer {
                Layer::Identity => "an",
                Layer::GuardRail | Layer::Boundary | Layer::Session | Layer::Resource => "a",
                Layer::Trust => "the",
            };
            format!("{refusal} with an explicit deny in {article} {layer}")
        }
    }
}

/// What AWS calls a policy of the layer.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GuardRail => "service control policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
            Self::Trust => "role trust policy",
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn every_form_reads_as_awss() {
        let mut text = String::new();
        for layer in [
            Layer::GuardRail,
            Layer::Identity,
            Layer::Boundary,
            Layer::Session,
            Layer::Resource,
            Layer::Trust,
        ] {
            for verdict in [Verdict::ImplicitDeny { layer }, Verdict::ExplicitDeny { layer }] {
                let decision = Decision::new(verdict, Vec::new());
                text += &denial_message(&decision, "U", "iam:GetUser", "R");
                text += "\n";
            }
        }
        expect![[r#"
            User: U is not authorized to perform: iam:GetUser on resource: R because no service control policy allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in a service control policy
            User: U is not authorized to perform: iam:GetUser on resource: R because no identity-based policy allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in an identity-based policy
            User: U is not authorized to perform: iam:GetUser on resource: R because no permissions boundary allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in a permissions boundary
            User: U is not authorized to perform: iam:GetUser on resource: R because no session policy allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in a session policy
            User: U is not authorized to perform: iam:GetUser on resource: R because no resource-based policy allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in a resource-based policy
            User: U is not authorized to perform: iam:GetUser on resource: R because no role trust policy allows the iam:GetUser action
            User: U is not authorized to perform: iam:GetUser on resource: R with an explicit deny in the role trust policy
        "#]].assert_eq(&text);
    }
}
