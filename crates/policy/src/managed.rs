//! The managed policies that every account has from the start. AWS: "AWS managed policies for job
//! functions"; the meaning is AWS's, with Writ's own API (`writ:`) added.
//!
//! **Invariants.** Each document parses; a test reads them all.
//!
//! **Must not know:** accounts, attachments.

use std::sync::{Arc, LazyLock};

use model::Timestamp;

use crate::{Document, DocumentKind};

/// A managed policy that nobody can change.
#[derive(Clone, Debug)]
pub struct ManagedPolicy {
    /// Its name.
    pub name: &'static str,
    /// Its path, `/`.
    pub path: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// The document's text.
    pub document: &'static str,
    /// The document, read.
    pub parsed: Arc<Document>,
    /// When AWS made it.
    pub created: Timestamp,
    /// When its meaning last changed.
    pub updated: Timestamp,
    /// The only version it has, `v1`.
    pub default_version: &'static str,
}

impl ManagedPolicy {
    /// `arn:aws:iam::aws:policy/NAME`.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::aws:policy/{}", self.name)
    }
}

/// All of them, by name.
pub fn managed() -> &'static [ManagedPolicy] {
    static MANAGED: LazyLock<Vec<ManagedPolicy>> = LazyLock::new(|| {
        let read = |(name, created, description, document)| ManagedPolicy {
            name,
            path: "/",
            description,
            document,
            parsed: Arc::new(
                Document::parse(document, DocumentKind::Identity)
                    .expect("the texts below are constants that a test parses"),
            ),
            created: Timestamp::from_secs(created),
            updated: Timestamp::from_secs(created),
            default_version: "v1",
        };
        POLICIES.into_iter().map(read).collect()
    });
    &MANAGED
}

/// Name, creation in seconds since the epoch, description, document.
const POLICIES: [(&str, u64, &str, &str); 6] = [
    (
        "AdministratorAccess",
        1_423_247_986,
        "Everything, on every resource.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
}"#,
    ),
    (
        "IAMFullAccess",
        1_423_248_038,
        "Everything in IAM, and reading the organization that the account is in.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Identities", "Effect": "Allow", "Action": "iam:*", "Resource": "*"},
    {
      "Sid": "ReadOrganization",
      "Effect": "Allow",
      "Action": ["organizations:Describe*", "organizations:List*"],
      "Resource": "*"
    }
  ]
}"#,
    ),
    (
        "IAMReadOnlyAccess",
        1_423_248_039,
        "Reading all of IAM, its reports and its policy simulator.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["iam:Get*", "iam:List*", "iam:Generate*", "iam:Simulate*"],
      "Resource": "*"
    }
  ]
}"#,
    ),
    (
        "IAMUserChangePassword",
        1_479_169_516,
        "Changing one's own password, and reading the rules for it.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "OwnPassword",
      "Effect": "Allow",
      "Action": "iam:ChangePassword",
      "Resource": "arn:aws:iam::*:user/${aws:username}"
    },
    {
      "Sid": "PasswordRules",
      "Effect": "Allow",
      "Action": "iam:GetAccountPasswordPolicy",
      "Resource": "*"
    }
  ]
}"#,
    ),
    (
        "PowerUserAccess",
        1_423_247_987,
        "Everything but the management of identities, of the account and of its organization.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AllButIdentities",
      "Effect": "Allow",
      "NotAction": ["account:*", "iam:*", "organizations:*", "writ:*"],
      "Resource": "*"
    },
    {
      "Sid": "ServiceRoles",
      "Effect": "Allow",
      "Action": [
        "account:GetAccountInformation",
        "account:ListRegions",
        "iam:CreateServiceLinkedRole",
        "iam:DeleteServiceLinkedRole",
        "iam:ListRoles",
        "organizations:DescribeOrganization",
        "writ:Check",
        "writ:Get*",
        "writ:List*"
      ],
      "Resource": "*"
    }
  ]
}"#,
    ),
    (
        "ReadOnlyAccess",
        1_423_247_988,
        "Reading every service that Writ's clients commonly use.",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "Identities",
      "Effect": "Allow",
      "Action": [
        "access-analyzer:Get*",
        "access-analyzer:List*",
        "iam:Generate*",
        "iam:Get*",
        "iam:List*",
        "iam:Simulate*",
        "organizations:Describe*",
        "organizations:List*",
        "sts:GetAccessKeyInfo",
        "sts:GetCallerIdentity",
        "sts:GetSessionToken",
        "writ:Check",
        "writ:Get*",
        "writ:List*"
      ],
      "Resource": "*"
    },
    {
      "Sid": "Services",
      "Effect": "Allow",
      "Action": [
        "acm:Describe*",
        "acm:Get*",
        "acm:List*",
        "autoscaling:Describe*",
        "cloudformation:Describe*",
        "cloudformation:Get*",
        "cloudformation:List*",
        "cloudtrail:Describe*",
        "cloudtrail:Get*",
        "cloudtrail:List*",
        "cloudtrail:LookupEvents",
        "cloudwatch:Describe*",
        "cloudwatch:Get*",
        "cloudwatch:List*",
        "dynamodb:BatchGet*",
        "dynamodb:Describe*",
        "dynamodb:Get*",
        "dynamodb:List*",
        "dynamodb:Query",
        "dynamodb:Scan",
        "ec2:Describe*",
        "ec2:Get*",
        "ecr:BatchCheck*",
        "ecr:BatchGet*",
        "ecr:Describe*",
        "ecr:Get*",
        "ecr:List*",
        "ecs:Describe*",
        "ecs:List*",
        "eks:Describe*",
        "eks:List*",
        "elasticloadbalancing:Describe*",
        "events:Describe*",
        "events:List*",
        "kms:Describe*",
        "kms:Get*",
        "kms:List*",
        "lambda:Get*",
        "lambda:List*",
        "logs:Describe*",
        "logs:Filter*",
        "logs:Get*",
        "logs:List*",
        "rds:Describe*",
        "rds:List*",
        "route53:Get*",
        "route53:List*",
        "s3:Get*",
        "s3:List*",
        "secretsmanager:Describe*",
        "secretsmanager:List*",
        "sns:Get*",
        "sns:List*",
        "sqs:Get*",
        "sqs:List*",
        "ssm:Describe*",
        "ssm:Get*",
        "ssm:List*",
        "tag:Get*"
      ],
      "Resource": "*"
    }
  ]
}"#,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parses_and_they_are_in_order() {
        let names: Vec<&str> = managed().iter().map(|policy| policy.name).collect();
        assert!(names.is_sorted() && names.len() == 6, "{names:?}");
        for policy in managed() {
            assert_eq!(policy.parsed.text(), policy.document);
            assert!(policy.parsed.chars() <= model::limits::MANAGED_POLICY_CHARS_MAX);
            assert!(policy.created.to_string().starts_with("201"));
        }
        assert_eq!(
            managed().first().map(ManagedPolicy::arn).as_deref(),
            Some("arn:aws:iam::aws:policy/AdministratorAccess")
        );
    }
}
