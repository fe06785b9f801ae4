//! What is wrong with a policy that can be read, or likely to be. AWS: "IAM Access Analyzer policy
//! check reference", whose checks the codes are named after.
//!
//! **Invariants.** A text that [`Document::parse`] refuses has one finding, that refusal. Each
//! finding stands where the text gives rise to it. Comparing patterns with each other takes at most
//! the steps of one decision; past them nothing is called redundant or unreachable.
//!
//! **Must not know:** who a document is attached to.

mod statement;

pub(crate) use self::statement::inside;

use std::fmt;

use model::fold;

use crate::{
    Document, DocumentKind, Effect, Position,
    budget::{Budget, DECISION_STEPS_MAX},
    json::{self, Json, Value},
    key::{self, KeyType, Kind},
};
use statement::{Condition, Element, Statement, covers};

/// How much a finding matters. AWS: "Errors", "Security warnings", "Warnings", "Suggestions".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A part of the policy does not work.
    Error,
    /// The policy allows more than most people would want.
    SecurityWarning,
    /// The policy may not do what it seems to say.
    Warning,
    /// The policy could say the same in a better way.
    Suggestion,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::SecurityWarning => "security warning",
            Self::Warning => "warning",
            Self::Suggestion => "suggestion",
        })
    }
}

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Which check it is of.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where.
    pub position: Option<Position>,
}

/// Checks a text, in its order.
///
/// ```
/// use policy::{DocumentKind, Severity, lint};
///
/// let text = r#"{
///     "Version": "2012-10-17",
///     "Statement": {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
/// }"#;
/// let findings = lint(text, DocumentKind::Identity);
/// assert_eq!(findings[0].severity, Severity::SecurityWarning);
/// assert_eq!(findings[0].code, "pass-role-with-star-in-resource");
/// assert_eq!(findings[0].position.map(|at| at.line), Some(3));
/// ```
pub fn lint(text: &str, kind: DocumentKind) -> Vec<Finding> {
    if let Err(error) = Document::parse(text, kind) {
        return vec![Finding {
            severity: Severity::Error,
            code: "malformed-policy-document",
            message: error.to_string(),
            position: error.position(),
        }];
    }
    // What parses as a policy parses as JSON.
    let Ok(Json { at, value: Value::Object(members) }) = json::read(text) else {
        return Vec::new();
    };
    let mut linter = Linter { found: Vec::new(), variables: false };
    let member = |name: &str| members.iter().find(|member| member.key == name);
    match member("Version").map(|member| &member.value) {
        Some(Json { at: _, value: Value::String(version) }) if version == "2012-10-17" => {
            linter.variables = true;
        }
        Some(version) => linter.add(Severity::Warning, "old-version", version.at, || {
            "the language of 2008-10-17 has no policy variables; use 2012-10-17".to_owned()
        }),
        None => linter.add(Severity::Warning, "missing-version", at, || {
            "without a Version this is the language of 2008-10-17, which has no policy variables"
                .to_owned()
        }),
    }
    let statements: Vec<Statement<'_>> =
        member("Statement").map(|member| statement::read(&member.value)).unwrap_or_default();
    for statement in &statements {
        linter.statement(statement, kind);
    }
    linter.compare(&statements);
    linter.into_findings(text)
}

struct Linter {
    found: Vec<(usize, Severity, &'static str, String)>,
    /// Whether the document's version has policy variables.
    variables: bool,
}

impl Linter {
    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        at: usize,
        text: impl Fn() -> String,
    ) {
        self.found.push((at, severity, code, text()));
    }

    fn into_findings(mut self, text: &str) -> Vec<Finding> {
        self.found.sort_by_key(|(at, severity, ..)| (*at, *severity));
        let mut place = crate::survey::Place::new(text);
        let finding = |(at, severity, code, message)| Finding {
            severity,
            code,
            message,
            position: Some(place.advance(at)),
        };
        self.found.into_iter().map(finding).collect()
    }

    fn statement(&mut self, statement: &Statement<'_>, kind: DocumentKind) {
        if let Some(at) = statement.empty_sid {
            self.add(Severity::Suggestion, "empty-sid-value", at, || {
                "an empty Sid names nothing".to_owned()
            });
        }
        if statement.effect == Effect::Allow {
            self.wide(statement, kind);
        }
        for text in statement.actions.texts().chain(statement.resources.texts()) {
            self.variables_in(text);
        }
        if let Some(at) = statement.empty_condition {
            self.add(Severity::Suggestion, "empty-object-condition", at, || {
                "an empty object is no condition".to_owned()
            });
        }
        for condition in &statement.conditions {
            self.condition(condition, statement.effect);
        }
    }

    /// An `Allow` that allows much.
    fn wide(&mut self, statement: &Statement<'_>, kind: DocumentKind) {
        let Statement { actions, resources, conditions, .. } = statement;
        if kind == DocumentKind::Trust {
            if let Some(at) = statement.anyone.filter(|_| conditions.is_empty()) {
                self.add(Severity::SecurityWarning, "allow-with-any-principal", at, || {
                    "everybody whose own policies allow it can assume the role".to_owned()
                });
            }
            return;
        }
        if let Some(at) = statement.anyone.filter(|_| conditions.is_empty()) {
            self.add(Severity::SecurityWarning, "allow-with-any-principal", at, || {
                "everybody, those of other accounts too, can do these actions".to_owned()
            });
        }
        let all = resources.is_everything();
        if actions.negated && all && conditions.is_empty() {
            self.add(Severity::Warning, "allow-with-not-action", actions.at, || {
                "NotAction allows all actions of all services but these, future ones too".to_owned()
            });
        }
        let passed_to = |one: &Condition<'_>| fold(one.key) == "iam:passedtoservice";
        if !actions.matches("iam:passrole") || conditions.iter().any(passed_to) {
            return;
        }
        let code = match (actions.negated, resources.negated) {
            _ if !all && !resources.negated => return,
            (true, _) => "pass-role-with-star-in-not-action-and-resource",
            (false, true) => "pass-role-with-not-resource",
            (false, false) if actions.texts().any(|(text, _)| text == "*") => {
                "pass-role-with-star-in-action-and-resource"
            }
            (false, false) => "pass-role-with-star-in-resource",
        };
        self.add(Severity::SecurityWarning, code, resources.at, || {
            "iam:PassRole on every role hands out whatever any role may do; name the roles, or the \
             service with iam:PassedToService"
                .to_owned()
        });
    }

    fn condition(&mut self, condition: &Condition<'_>, effect: Effect) {
        let Condition { operator, key, key_at, values, .. } = condition;
        let folded = fold(key);
        let known = key::find(&folded);
        if folded.starts_with("aws:") && known.is_none() {
            self.add(Severity::Error, "invalid-global-condition-key", *key_at, || {
                format!("`{key}` is no global condition key, so that it is always absent")
            });
        }
        if let Some(KeyType { kind, many }) = known {
            self.key_type(condition, kind);
            if effect == Effect::Allow && operator.starts_with("ForAllValues:") && !many {
                let severity = Severity::SecurityWarning;
                self.add(severity, "for-all-values-with-single-valued-key", *key_at, || {
                    format!("`{operator}` also holds for a request without `{key}`")
                });
            }
            if !condition.is_quantified() && many && condition.base() != "Null" {
                self.add(Severity::Warning, "missing-set-operator", *key_at, || {
                    format!("`{key}` has several values: say ForAnyValue: or ForAllValues:")
                });
            }
        }
        if values.is_empty() {
            self.add(Severity::Suggestion, "empty-array-condition", *key_at, || {
                format!("`{key}` is compared with no values")
            });
        }
        for text in values {
            self.variables_in(*text);
            let (value, at) = *text;
            let plain = value.replace("${*}", "").replace("${?}", "");
            if condition.compares_whole() && plain.contains(['*', '?']) {
                self.add(Severity::Warning, "wildcard-without-like-operator", at, || {
                    format!(
                        "`{operator}` takes `*` and `?` as characters; StringLike has wildcards"
                    )
                });
            }
        }
    }

    fn key_type(&mut self, condition: &Condition<'_>, kind: Kind) {
        let fits = match condition.family() {
            "String" => matches!(kind, Kind::Text | Kind::Arn),
            "Arn" => kind == Kind::Arn,
            "Numeric" => matches!(kind, Kind::Number | Kind::Epoch),
            "Date" => matches!(kind, Kind::Date | Kind::Epoch),
            "Bool" => kind == Kind::Bool,
            "Ip" => kind == Kind::Ip,
            "Binary" => false,
            _ => true,
        };
        if !fits {
            let Condition { operator, key, operator_at, .. } = condition;
            self.add(Severity::Error, "type-mismatch", *operator_at, || {
                format!("`{operator}` does not compare {}, which `{key}` holds", kind.words())
            });
        }
    }

    /// Variables that are none, or none that anybody sets.
    fn variables_in(&mut self, (text, at): (&str, usize)) {
        for after in text.split("${").skip(1) {
            let Some((body, _)) = after.split_once('}') else { continue };
            let name = body.split(',').next().unwrap_or(body).trim();
            if matches!(name, "*" | "?" | "$") {
                continue;
            }
            let folded = fold(name);
            if !self.variables {
                self.add(Severity::Warning, "variable-in-old-version", at, || {
                    format!("`${{{body}}}` is plain text without Version 2012-10-17")
                });
            } else if folded.starts_with("aws:") && key::find(&folded).is_none() {
                self.add(Severity::Error, "invalid-variable", at, || {
                    format!("`{name}` is no global condition key, so that nothing matches")
                });
            } else if key::find(&folded).is_some_and(|key| key.many) {
                self.add(Severity::Error, "unsupported-variable", at, || {
                    format!("`{name}` has several values and cannot stand for one")
                });
            }
        }
    }

    /// Holds patterns and statements against each other.
    fn compare(&mut self, statements: &[Statement<'_>]) {
        let budget = Budget::new(DECISION_STEPS_MAX);
        for statement in statements {
            self.redundant("redundant-action", &statement.actions, &budget);
            self.redundant("redundant-resource", &statement.resources, &budget);
        }
        for (number, statement) in statements.iter().enumerate() {
            let Statement { effect, actions, resources, at, .. } = statement;
            let wider = |(other_number, other): &(usize, &Statement<'_>)| {
                *other_number != number
                    && other.conditions.is_empty()
                    && other.principals_text == statement.principals_text
                    && covers(&other.actions, actions, &budget)
                    && covers(&other.resources, resources, &budget)
            };
            let mut others = statements.iter().enumerate();
            let denied = *effect == Effect::Allow
                && others
                    .clone()
                    .filter(|(_, other)| other.effect == Effect::Deny)
                    .any(|o| wider(&o));
            if denied {
                self.add(Severity::Warning, "unreachable-statement", *at, || {
                    "another statement denies all that this one allows".to_owned()
                });
                continue;
            }
            // Of two that say the same, the second is one too many.
            let repeated = others.any(|(other_number, other)| {
                let same = || {
                    statement.conditions.is_empty()
                        && covers(actions, &other.actions, &budget)
                        && covers(resources, &other.resources, &budget)
                };
                other.effect == *effect
                    && wider(&(other_number, other))
                    && (other_number < number || !same())
            });
            if repeated {
                self.add(Severity::Suggestion, "redundant-statement", *at, || {
                    "another statement says all that this one does".to_owned()
                });
            }
        }
    }

    fn redundant(&mut self, code: &'static str, element: &Element<'_>, budget: &Budget) {
        for (number, one) in element.patterns.iter().enumerate() {
            let by = element.patterns.iter().enumerate().find(|(other_number, other)| {
                *other_number != number
                    && other.covers(one, budget)
                    && (*other_number < number || !one.covers(other, budget))
            });
            if let Some((_, by)) = by {
                let (one, by) = (one, by.text);
                self.add(Severity::Suggestion, code, one.at, || {
                    format!("`{}` is part of `{by}`", one.text)
                });
            }
        }
    }
}
