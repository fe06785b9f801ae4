//! What policies would decide. AWS: `SimulateCustomPolicy`, `SimulatePrincipalPolicy`,
//! `GetContextKeysForCustomPolicy`, `GetContextKeysForPrincipalPolicy`.
//!
//! **Invariants.** One result for each pair of action and resource, which says the same once more
//! as the resource's own if it names one. `ResourceHandlingOption`, which is about EC2, is refused.
//!
//! **Must not know:** how a decision is made.

use std::str::FromStr;

use identity::{
    Listing, Query,
    simulate::{
        KeysOfPolicies, KeysOfPrincipal, SimulatePrincipal, Simulated, SimulatedStatement,
        Simulation, UserArn,
    },
};
use model::{AccountId, Arn, Constraint};
use policy::{Position, SourceLabel, Verdict};

use crate::{
    ApiError,
    call::{Action, Call, listing, page},
    form::{PARAMETERS_MAX, Params, Violation},
    policy::arn_text,
    shape::POLICY_DOCUMENT,
    tag::not_null,
    xml::Xml,
};

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("SimulateCustomPolicy", |mut params| {
        let simulation = simulation(&mut params, Policies::Required);
        params.finish()?;
        Ok(Call::Query(Query::SimulateCustomPolicy(simulation?)))
    }),
    Action::new("SimulatePrincipalPolicy", |mut params| {
        let source = arn_text(&mut params, "PolicySourceArn");
        let simulation = simulation(&mut params, Policies::Optional);
        params.finish()?;
        let query = SimulatePrincipal { source: parse_source(&source?)?, simulation: simulation? };
        Ok(Call::Query(Query::SimulatePrincipalPolicy(query)))
    }),
    Action::new("GetContextKeysForCustomPolicy", |mut params| {
        let policies = policies(&mut params, Policies::Required);
        params.finish()?;
        let query = KeysOfPolicies { policies: policies? };
        Ok(Call::Query(Query::GetContextKeysForCustomPolicy(query)))
    }),
    Action::new("GetContextKeysForPrincipalPolicy", |mut params| {
        let source = arn_text(&mut params, "PolicySourceArn");
        let policies = policies(&mut params, Policies::Optional);
        params.finish()?;
        let query = KeysOfPrincipal { source: parse_source(&source?)?, policies: policies? };
        Ok(Call::Query(Query::GetContextKeysForPrincipalPolicy(query)))
    }),
];

/// Whether a call must bring policies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policies {
    Required,
    Optional,
}

/// A text of so many characters.
struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> FromStr for Text<MIN, MAX> {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        match text.chars().count() {
            count if count < MIN => Err(Constraint::MinLength(MIN)),
            count if count > MAX => Err(Constraint::MaxLength(MAX)),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// AWS: `ActionNameType`.
type ActionName = Text<3, 128>;
/// AWS: `ResourceNameType`.
type ResourceName = Text<1, 2048>;
/// AWS: `ContextKeyNameType`.
type ContextKeyName = Text<5, 256>;
/// AWS: `ContextKeyValueType`, which has no limit.
type ContextKeyValue = Text<0, { usize::MAX }>;

/// AWS: `policyDocumentType`.
struct DocumentText(String);

impl FromStr for DocumentText {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        POLICY_DOCUMENT.check(text).map(|()| Self(text.to_owned()))
    }
}

/// AWS: `ContextKeyTypeEnum`. The operator of a condition says how a value is read.
struct ContextKeyType;

impl FromStr for ContextKeyType {
    type Err = Constraint;

    fn from_str(text: &str) -> Result<Self, Constraint> {
        const WORDS: &[&str] = &[
            "string",
            "stringList",
            "numeric",
            "numericList",
            "boolean",
            "booleanList",
            "ip",
            "ipList",
            "binary",
            "binaryList",
            "date",
            "dateList",
        ];
        WORDS.contains(&text).then_some(Self).ok_or(Constraint::Enum(WORDS))
    }
}

fn documents(params: &mut Params<'_>, name: &str) -> Result<Vec<String>, Violation> {
    let documents = params.string_list(name, PARAMETERS_MAX)?;
    Ok(documents.into_iter().map(|DocumentText(text)| text).collect())
}

fn policies(params: &mut Params<'_>, need: Policies) -> Result<Vec<String>, Violation> {
    let policies = documents(params, "PolicyInputList");
    if need == Policies::Required {
        not_null(params, "PolicyInputList", &policies);
    }
    policies
}

fn parse_source(text: &str) -> Result<Arn, ApiError> {
    let unclear = |_| {
        let message =
            format!("Invalid Entity Arn: {text} does not clearly define entity type and name.");
        ApiError::invalid_input(message)
    };
    text.parse().map_err(unclear)
}

/// AWS: only the ARN of a user.
fn parse_caller(text: &str) -> Result<UserArn, ApiError> {
    let user = text.parse().ok().and_then(UserArn::of);
    let refusal = || ApiError::invalid_input(format!("CallerArn is not the ARN of a user: {text}"));
    user.ok_or_else(refusal)
}

/// AWS: `arn:aws:iam::AWS-account-ID:root`.
fn parse_owner(text: &str) -> Result<AccountId, ApiError> {
    let account = text.parse().ok().and_then(|arn: Arn| {
        let account = arn.account().parse().ok()?;
        (arn == Arn::iam(account, "root")).then_some(account)
    });
    let refusal =
        || ApiError::invalid_input(format!("ResourceOwner is not the ARN of an account: {text}"));
    account.ok_or_else(refusal)
}

fn simulation(params: &mut Params<'_>, need: Policies) -> Result<Simulation, ApiError> {
    let policies = policies(params, need);
    let boundaries = documents(params, "PermissionsBoundaryPolicyInputList");
    let actions = params.string_list("ActionNames", PARAMETERS_MAX);
    not_null(params, "ActionNames", &actions);
    let resources = params.string_list("ResourceArns", PARAMETERS_MAX);
    let context = params.list("ContextEntries", PARAMETERS_MAX, |entry| {
        let key = entry.optional("ContextKeyName");
        let values = entry.string_list("ContextKeyValues", PARAMETERS_MAX);
        let kind = entry.optional("ContextKeyType");
        let _: Option<ContextKeyType> = kind?;
        let values = values?.into_iter().map(|Text(value): ContextKeyValue| value);
        Ok(key?.map(|Text(key): ContextKeyName| (key, values.collect())))
    });
    let caller = params.optional("CallerArn");
    let resource_policy = params.optional("ResourcePolicy");
    let owner = params.optional("ResourceOwner");
    let page = page(params);
    Ok(Simulation {
        actions: actions?.into_iter().map(|Text(text): ActionName| text).collect(),
        resources: resources?.into_iter().map(|Text(text): ResourceName| text).collect(),
        policies: policies?,
        boundaries: boundaries?,
        context: context?.into_iter().flatten().collect(),
        caller: caller?.map(|Text(text): ResourceName| parse_caller(&text)).transpose()?,
        resource_policy: resource_policy?.map(|DocumentText(text)| text),
        resource_owner: owner?.map(|Text(text): ResourceName| parse_owner(&text)).transpose()?,
        page: page?,
    })
}

/// The answer to `SimulateCustomPolicy` and `SimulatePrincipalPolicy`.
pub(crate) fn write_simulated(xml: &mut Xml, results: &Listing<Simulated>) {
    listing(xml, "EvaluationResults", results, write_result);
}

/// The answer to `GetContextKeysForCustomPolicy` and `GetContextKeysForPrincipalPolicy`.
pub(crate) fn write_keys(xml: &mut Xml, keys: &[String]) {
    xml.texts("ContextKeyNames", keys);
}

fn write_result(xml: &mut Xml, result: &Simulated) {
    let Simulated { action, resource, verdict, statements, missing, boundary_allows: _ } = result;
    xml.text("EvalActionName", action);
    xml.text("EvalResourceName", resource);
    xml.text("EvalDecision", decision(*verdict));
    xml.list("MatchedStatements", statements, write_statement);
    // AWS: what a result for named resources misses is told with each of them.
    let (here, there): (&[String], _) =
        if resource == "*" { (missing, None) } else { (&[], Some(result)) };
    xml.texts("MissingContextValues", here);
    write_boundary(xml, result);
    if let Some(result) = there {
        xml.list("ResourceSpecificResults", &[result], |xml, result| write_specific(xml, result));
    }
}

/// AWS: `ResourceSpecificResult`.
fn write_specific(xml: &mut Xml, result: &Simulated) {
    let Simulated { action: _, resource, verdict, statements, missing, boundary_allows: _ } =
        result;
    xml.text("EvalResourceName", resource);
    xml.text("EvalResourceDecision", decision(*verdict));
    xml.list("MatchedStatements", statements, write_statement);
    xml.texts("MissingContextValues", missing);
    write_boundary(xml, result);
}

fn write_boundary(xml: &mut Xml, result: &Simulated) {
    if let Some(allows) = result.boundary_allows {
        xml.element("PermissionsBoundaryDecisionDetail", |xml| {
            xml.text("AllowedByPermissionsBoundary", allows);
        });
    }
}

fn decision(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allowed",
        Verdict::ExplicitDeny { layer: _ } => "explicitDeny",
        Verdict::ImplicitDeny { layer: _ } => "implicitDeny",
    }
}

fn write_statement(xml: &mut Xml, SimulatedStatement { label, position }: &SimulatedStatement) {
    let last = |arn: &str| arn.rsplit('/').next().unwrap_or(arn).to_owned();
    let (id, kind) = match label {
        SourceLabel::Managed { arn } if arn.starts_with("arn:aws:iam::aws:") => {
            (last(arn), "aws-managed")
        }
        SourceLabel::Managed { arn } => (last(arn), "user-managed"),
        SourceLabel::Inline { owner_arn, name } => (name.clone(), owner_kind(owner_arn)),
        SourceLabel::Input { name } => (name.clone(), "none"),
        SourceLabel::Resource => ("ResourcePolicy".to_owned(), "resource"),
        SourceLabel::Session | SourceLabel::Trust => (String::new(), "none"),
    };
    xml.text("SourcePolicyId", id);
    xml.text("SourcePolicyType", kind);
    if let Some((start, end)) = position {
        write_position(xml, "StartPosition", *start);
        write_position(xml, "EndPosition", *end);
    }
}

/// AWS: `PolicySourceType` of an inline policy.
fn owner_kind(owner_arn: &str) -> &'static str {
    let resource = owner_arn.rsplit(':').next().unwrap_or_default();
    match resource.split('/').next() {
        Some("user") => "user",
        Some("group") => "group",
        Some("role") => "role",
        Some(_) | None => "none",
    }
}

fn write_position(xml: &mut Xml, name: &'static str, Position { line, column }: Position) {
    xml.element(name, |xml| {
        xml.text("Line", line);
        xml.text("Column", column);
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::Reply;
    use policy::Layer;

    use super::*;
    use crate::call::testing::{check_calls, check_replies};

    const SOURCE: &str = "PolicySourceArn=arn:aws:iam::123456789012:user/bob";

    #[test]
    fn calls_are_read() {
        check_calls(
            &[
                "Action=SimulateCustomPolicy&PolicyInputList.member.1=%7B%7D\
           &ActionNames.member.1=s3:GetObject",
                &format!(
                    "Action=SimulatePrincipalPolicy&{SOURCE}&PolicyInputList.member.1=%7B%7D\
           &PermissionsBoundaryPolicyInputList.member.1=%7B%7D\
           &ActionNames.member.1=s3:GetObject&ActionNames.member.2=s3:PutObject\
           &ResourceArns.member.1=arn:aws:s3:::b&ContextEntries.member.1.ContextKeyName=aws:x\
           &ContextEntries.member.1.ContextKeyValues.member.1=a\
           &ContextEntries.member.1.ContextKeyValues.member.2=b\
           &ContextEntries.member.1.ContextKeyType=stringList&MaxItems=1\
           &ResourcePolicy=%7B%7D&CallerArn=arn:aws:iam::123456789012:user/x/eve\
           &ResourceOwner=arn:aws:iam::222222222222:root"
                ),
                "Action=GetContextKeysForCustomPolicy&PolicyInputList.member.1=%7B%7D",
                &format!("Action=GetContextKeysForPrincipalPolicy&{SOURCE}"),
            ],
            expect_file!["../testdata/simulate-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let with = |rest: &str| {
            format!("Action=SimulatePrincipalPolicy&{SOURCE}&ActionNames.member.1=s3:Get{rest}")
        };
        check_calls(
            &[
                "Action=SimulateCustomPolicy",
                "Action=SimulatePrincipalPolicy&ActionNames.member.1=ab",
                "Action=GetContextKeysForCustomPolicy&PolicyInputList.member.1=%C4%80",
                "Action=GetContextKeysForPrincipalPolicy&PolicySourceArn=a-user-of-mine-called-bob",
                &with("&ContextEntries.member.1.ContextKeyType=text"),
                &with("&ContextEntries.member.1.ContextKeyName=a:bc"),
                &with("&ResourceArns.member.1="),
                &with("&ResourcePolicy="),
                &with("&CallerArn=arn:aws:iam::123456789012:role/eve"),
                &with("&CallerArn=eve"),
                &with("&ResourceOwner=123456789012"),
                &with("&ResourceOwner=arn:aws:iam::123456789012:user/eve"),
                &with("&ResourceHandlingOption=EC2-VPC-EBS"),
            ],
            expect_file!["../testdata/simulate-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let place = |column| Position { line: 1, column };
        let statement =
            |label| SimulatedStatement { label, position: Some((place(37), place(90))) };
        let inline = |kind: &str| SourceLabel::Inline {
            owner_arn: format!("arn:aws:iam::123456789012:{kind}/x/bob"),
            name: "in".to_owned(),
        };
        let managed = |arn: &str| SourceLabel::Managed { arn: arn.to_owned() };
        let labels = vec![
            inline("user"),
            inline("group"),
            inline("role"),
            managed("arn:aws:iam::aws:policy/ReadOnlyAccess"),
            managed("arn:aws:iam::123456789012:policy/x/mine"),
            SourceLabel::Input { name: "PolicyInputList.1".to_owned() },
            SourceLabel::Resource,
        ];
        let allowed = Simulated {
            action: "s3:GetObject".to_owned(),
            resource: "*".to_owned(),
            verdict: Verdict::Allow,
            statements: labels.into_iter().map(statement).collect(),
            missing: Vec::new(),
            boundary_allows: Some(true),
        };
        let denied = |verdict, boundary_allows| Simulated {
            verdict,
            statements: Vec::new(),
            missing: vec!["aws:x".to_owned()],
            boundary_allows,
            ..allowed.clone()
        };
        let implicit = denied(Verdict::ImplicitDeny { layer: Layer::Boundary }, Some(false));
        let explicit = denied(Verdict::ExplicitDeny { layer: Layer::Identity }, None);
        let named = Simulated { resource: "arn:aws:s3:::b".to_owned(), ..implicit.clone() };
        let results = Listing { items: vec![allowed, implicit], next: Some("1".to_owned()) };
        let one = Listing { items: vec![explicit, named], next: None };
        let keys = vec!["aws:x".to_owned(), "aws:y".to_owned()];
        check_replies(
            [
                ("SimulatePrincipalPolicy", Reply::SimulatePrincipalPolicy(results)),
                ("SimulateCustomPolicy", Reply::SimulateCustomPolicy(one)),
                ("GetContextKeysForCustomPolicy", Reply::GetContextKeysForCustomPolicy(keys)),
                (
                    "GetContextKeysForPrincipalPolicy",
                    Reply::GetContextKeysForPrincipalPolicy(Vec::new()),
                ),
            ],
            expect_file!["../testdata/simulate-replies.txt"],
        );
    }
}
