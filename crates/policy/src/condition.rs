//! Conditions: operators on the values of a request's keys.
//! AWS: "JSON policy elements: Condition operators", "Multivalued context keys".
//!
//! All conditions of a statement must hold; of the values of one, any may match, and a negated
//! operator wants that none does. An absent key matches nothing, so that it satisfies a negated
//! operator only. `IfExists` is satisfied by an absent key, so is `ForAllValues:`; `ForAnyValue:`
//! is not.
//!
//! **Invariants.** What cannot be read is [`Truth::Unknown`]: a contested key, a value of the wrong
//! type, a key with several values where the operator takes one.
//!
//! **Must not know:** effects, layers.

use std::{cmp::Ordering, net::IpAddr, sync::Arc};

use model::{Timestamp, fold};

use crate::{
    ContextValue, Flaw, ParseError, Problem,
    budget::Scope,
    json::{Json, Value},
    matcher::Matcher,
    name::hash,
    operand::{Binary, Decimal, Network, parse_date},
    pattern::{Pattern, Reading},
    truth::Truth,
};

/// The most values that one condition is an example for.
const EXAMPLES_MAX: usize = 8;

/// How the values of a key are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    One,
    ForAll,
    ForAny,
}

/// One key of one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Folded.
    key: String,
    /// The key's number.
    number: u32,
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    test: Test,
}

/// The operator's family with the policy's values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Text(Vec<Pattern>),
    Arn(Vec<Pattern>),
    Binary(Vec<Binary>),
    Bool(Vec<bool>),
    Ip(Vec<Network>),
    Number(Comparison, Vec<Decimal>),
    Date(Comparison, Vec<Timestamp>),
    /// Whether the key must be absent.
    Null(Vec<bool>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl Condition {
    /// The key, folded.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Values of the key, `None` for absence, with which the condition may come out otherwise;
    /// first those that it names.
    pub(crate) fn examples(&self, scope: Scope<'_>) -> Vec<Option<String>> {
        let mut examples: Vec<Option<String>> =
            self.test.examples(scope).into_iter().take(EXAMPLES_MAX).map(Some).collect();
        examples.push(None);
        examples
    }

    /// Whether the condition holds in a context.
    pub(crate) fn holds(&self, scope: Scope<'_>) -> Truth {
        self.holds_as(scope, |value| self.test.matches(value, scope))
    }

    /// [`Self::holds`], with `matches` for the test of one value.
    fn holds_as(&self, scope: Scope<'_>, matches: impl Fn(&str) -> Truth) -> Truth {
        if !scope.budget.spend(self.key.len()) {
            return Truth::Unknown;
        }
        let found = scope.context.get_numbered(&self.key, self.number);
        if let Test::Null(wanted) = &self.test {
            return match found {
                Some(ContextValue::Unknown) => Truth::Unknown,
                None => wanted.contains(&true).into(),
                Some(ContextValue::Known(_)) => wanted.contains(&false).into(),
            };
        }
        let values = match found {
            Some(ContextValue::Unknown) => return Truth::Unknown,
            None if self.if_exists => return Truth::True,
            None => {
                return match self.quantifier {
                    Quantifier::One => self.negated.into(),
                    Quantifier::ForAll => Truth::True,
                    Quantifier::ForAny => Truth::False,
                };
            }
            Some(ContextValue::Known(values)) => values,
        };
        let mut truths = values.iter().map(|value| {
            let matched = matches(value);
            if !self.negated {
                return matched;
            }
            matched.not().unless(|| self.test.leaves_open(value, scope))
        });
        match self.quantifier {
            Quantifier::One if values.len() > 1 => Truth::Unknown,
            Quantifier::One => truths.next().unwrap_or(Truth::Unknown),
            Quantifier::ForAll => Truth::all(truths),
            Quantifier::ForAny => Truth::any(truths),
        }
    }
}

/// A condition prepared for many decisions: patterns of text are compared as bytes.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    conditions: Arc<[Condition]>,
    at: usize,
    text: Option<PreparedText>,
}

/// The patterns of a text operator.
#[derive(Clone, Debug)]
struct PreparedText {
    matchers: Box<[Matcher]>,
    /// Whether values compare without case.
    fold: bool,
}

impl Prepared {
    /// The conditions of a statement.
    pub(crate) fn all(conditions: &Arc<[Condition]>) -> Box<[Self]> {
        let text = |condition: &Condition| match &condition.test {
            Test::Text(patterns) => Some(PreparedText {
                matchers: patterns.iter().map(Matcher::new).collect(),
                fold: patterns.iter().any(Pattern::folds),
            }),
            Test::Arn(_)
            | Test::Binary(_)
            | Test::Bool(_)
            | Test::Ip(_)
            | Test::Number(_, _)
            | Test::Date(_, _)
            | Test::Null(_) => None,
        };
        let each = |(at, condition)| Self {
            conditions: Arc::clone(conditions),
            at,
            text: text(condition),
        };
        conditions.iter().enumerate().map(each).collect()
    }

    /// What [`Condition::holds`] gives.
    pub(crate) fn holds(&self, scope: Scope<'_>) -> Truth {
        // A place that is not there would be a bug here; unknown is the narrow answer.
        let Some(condition) = self.conditions.get(self.at) else { return Truth::Unknown };
        let Some(PreparedText { matchers, fold: folds }) = &self.text else {
            return condition.holds(scope);
        };
        condition.holds_as(scope, |value| {
            if !scope.budget.spend(value.len() + matchers.len()) {
                return Truth::Unknown;
            }
            let any = |text: &str| Truth::any(matchers.iter().map(|m| m.matches(text, scope)));
            if *folds { any(&fold(value)) } else { any(value) }
        })
    }
}

impl Test {
    /// As [`Pattern::leaves_open`], of one of the policy's values.
    fn leaves_open(&self, value: &str, scope: Scope<'_>) -> bool {
        let open = |pattern: &Pattern| {
            if !pattern.folds() {
                return pattern.leaves_open(value, scope);
            }
            !scope.budget.spend(value.len()) || pattern.leaves_open(&fold(value), scope)
        };
        match self {
            Self::Text(patterns) | Self::Arn(patterns) => patterns.iter().any(open),
            Self::Binary(_)
            | Self::Bool(_)
            | Self::Ip(_)
            | Self::Number(_, _)
            | Self::Date(_, _)
            | Self::Null(_) => false,
        }
    }

    /// Whether one of the policy's values matches the request's.
    fn matches(&self, value: &str, scope: Scope<'_>) -> Truth {
        fn any<T>(read: Option<T>, accepts: impl Fn(T) -> bool) -> Truth {
            read.map_or(Truth::Unknown, |value| accepts(value).into())
        }
        if !scope.budget.spend(value.len() + self.operands()) {
            return Truth::Unknown;
        }
        match self {
            Self::Text(patterns) => Truth::any(patterns.iter().map(|p| p.matches(value, scope))),
            Self::Arn(patterns) => Truth::any(patterns.iter().map(|p| p.matches_arn(value, scope))),
            Self::Binary(wanted) => any(Binary::parse(value), |value| wanted.contains(&value)),
            Self::Bool(wanted) => any(parse_bool(value), |value| wanted.contains(&value)),
            Self::Ip(networks) => any(value.parse::<IpAddr>().ok(), |address| {
                networks.iter().any(|network| network.contains(address))
            }),
            Self::Number(comparison, wanted) => any(Decimal::parse(value), |value| {
                wanted.iter().any(|wanted| comparison.accepts(value.cmp(wanted)))
            }),
            Self::Date(comparison, wanted) => any(parse_date(value), |value| {
                wanted.iter().any(|wanted| comparison.accepts(value.cmp(wanted)))
            }),
            Self::Null(_) => Truth::Unknown,
        }
    }

    /// Values that match one of the policy's, or are beside it.
    fn examples(&self, scope: Scope<'_>) -> Vec<String> {
        match self {
            Self::Text(patterns) | Self::Arn(patterns) => {
                patterns.iter().filter_map(|pattern| pattern.example(scope, "")).collect()
            }
            Self::Binary(values) => values.iter().map(Binary::to_string).collect(),
            Self::Bool(wanted) => {
                let others = [true, false].into_iter().filter(|value| !wanted.contains(value));
                wanted.iter().copied().chain(others).map(|value| value.to_string()).collect()
            }
            Self::Ip(networks) => {
                networks.iter().map(|network| network.first().to_string()).collect()
            }
            Self::Number(_, wanted) => wanted.iter().flat_map(Decimal::around).collect(),
            Self::Date(_, wanted) => {
                let around = |time: &Timestamp| {
                    let secs = time.secs();
                    [secs, secs.saturating_sub(1), secs + 1].map(Timestamp::from_secs)
                };
                wanted.iter().flat_map(around).map(|time| time.to_string()).collect()
            }
            // Any value at all is what it asks for.
            Self::Null(_) => vec!["true".to_owned()],
        }
    }

    /// How many values the policy gives.
    fn operands(&self) -> usize {
        match self {
            Self::Text(patterns) | Self::Arn(patterns) => patterns.len(),
            Self::Binary(values) => values.len(),
            Self::Bool(values) | Self::Null(values) => values.len(),
            Self::Ip(networks) => networks.len(),
            Self::Number(_, values) => values.len(),
            Self::Date(_, values) => values.len(),
        }
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// What an operator's name says.
#[derive(Clone, Copy)]
struct Operator {
    quantifier: Quantifier,
    if_exists: bool,
    negated: bool,
    family: Family,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Text { wildcards: bool, fold: bool },
    Arn,
    Binary,
    Bool,
    Ip,
    Number(Comparison),
    Date(Comparison),
    Null,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some(("ForAllValues", rest)) => (Quantifier::ForAll, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::ForAny, rest),
            Some(_) => return None,
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (family, negated) = family(base)?;
        // AWS: `Null` asks for existence itself and takes neither.
        if family == Family::Null && (if_exists || quantifier != Quantifier::One) {
            return None;
        }
        Some(Self { quantifier, if_exists, negated, family })
    }
}

/// The family of an operator without prefix and suffix, and whether it is negated.
fn family(base: &str) -> Option<(Family, bool)> {
    let text = |wildcards, fold| Family::Text { wildcards, fold };
    Some(match base {
        "StringEquals" => (text(false, false), false),
        "StringNotEquals" => (text(false, false), true),
        "StringEqualsIgnoreCase" => (text(false, true), false),
        "StringNotEqualsIgnoreCase" => (text(false, true), true),
        "StringLike" => (text(true, false), false),
        "StringNotLike" => (text(true, false), true),
        "ArnEquals" | "ArnLike" => (Family::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Family::Arn, true),
        "BinaryEquals" => (Family::Binary, false),
        "Bool" => (Family::Bool, false),
        "IpAddress" => (Family::Ip, false),
        "NotIpAddress" => (Family::Ip, true),
        "NumericEquals" => (Family::Number(Comparison::Equal), false),
        "NumericNotEquals" => (Family::Number(Comparison::Equal), true),
        "NumericLessThan" => (Family::Number(Comparison::Less), false),
        "NumericLessThanEquals" => (Family::Number(Comparison::LessOrEqual), false),
        "NumericGreaterThan" => (Family::Number(Comparison::Greater), false),
        "NumericGreaterThanEquals" => (Family::Number(Comparison::GreaterOrEqual), false),
        "DateEquals" => (Family::Date(Comparison::Equal), false),
        "DateNotEquals" => (Family::Date(Comparison::Equal), true),
        "DateLessThan" => (Family::Date(Comparison::Less), false),
        "DateLessThanEquals" => (Family::Date(Comparison::LessOrEqual), false),
        "DateGreaterThan" => (Family::Date(Comparison::Greater), false),
        "DateGreaterThanEquals" => (Family::Date(Comparison::GreaterOrEqual), false),
        "Null" => (Family::Null, false),
        _ => return None,
    })
}

/// Reads a `Condition` element. `variables` is whether the document's version has them.
pub(crate) fn parse(
    json: &Json,
    text: &str,
    variables: bool,
) -> Result<Vec<Condition>, ParseError> {
    let syntax = |flaw, found: &str, at| {
        ParseError::at(Problem::Syntax { flaw, found: found.to_owned() }, text, at)
    };
    let Value::Object(operators) = &json.value else {
        return Err(syntax(Flaw::Type, "Condition", json.at));
    };
    let mut conditions = Vec::new();
    for member in operators {
        let operator = Operator::parse(&member.key)
            .ok_or_else(|| syntax(Flaw::Operator, &member.key, member.at))?;
        let Value::Object(keys) = &member.value.value else {
            return Err(syntax(Flaw::Type, &member.key, member.value.at));
        };
        for key in keys {
            check_key(&key.key).map_err(|problem| ParseError::at(problem, text, key.at))?;
            let mut values = Vec::new();
            for item in items(&key.value) {
                let value = scalar(item).ok_or_else(|| syntax(Flaw::Type, &key.key, item.at))?;
                values.push((value, item.at));
            }
            let test = operands(operator, &values, variables)
                .map_err(|(problem, at)| ParseError::at(problem, text, at))?;
            conditions.push(Condition {
                number: hash(fold(&key.key).as_bytes()),
                key: fold(&key.key),
                quantifier: operator.quantifier,
                if_exists: operator.if_exists,
                negated: operator.negated,
                test,
            });
        }
    }
    Ok(conditions)
}

/// A list's items, or the one value itself.
fn items(json: &Json) -> &[Json] {
    match &json.value {
        Value::Array(items) => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(json)
        }
    }
}

fn scalar(json: &Json) -> Option<String> {
    match &json.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `vendor:name`; the vendor of a web identity's key is a host and path, and a tag's key may have
/// further colons.
fn check_key(key: &str) -> Result<(), Problem> {
    let parts = key.split_once(':').filter(|(vendor, name)| !vendor.is_empty() && !name.is_empty());
    if parts.is_none() {
        return Err(Problem::NoVendor);
    }
    if key.chars().any(char::is_control) || key.contains(['*', '?', '$']) {
        return Err(Problem::Syntax { flaw: Flaw::Value, found: key.to_owned() });
    }
    Ok(())
}

fn operands(
    operator: Operator,
    values: &[(String, usize)],
    variables: bool,
) -> Result<Test, (Problem, usize)> {
    fn read<T>(
        values: &[(String, usize)],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, (Problem, usize)> {
        let refuse = |text: &str| Problem::Syntax { flaw: Flaw::Value, found: text.to_owned() };
        let each = |(text, at): &(String, usize)| parse(text).ok_or_else(|| (refuse(text), *at));
        values.iter().map(each).collect()
    }
    let patterns = |wildcards, fold| {
        let reading = Reading { wildcards, variables, fold };
        let each = |(text, at): &(String, usize)| {
            Pattern::parse(text, reading).map_err(|problem| (problem, *at))
        };
        values.iter().map(each).collect::<Result<Vec<_>, _>>()
    };
    Ok(match operator.family {
        Family::Text { wildcards, fold } => Test::Text(patterns(wildcards, fold)?),
        Family::Arn => Test::Arn(patterns(true, false)?),
        Family::Binary => Test::Binary(read(values, Binary::parse)?),
        Family::Bool => Test::Bool(read(values, parse_bool)?),
        Family::Ip => Test::Ip(read(values, Network::parse)?),
        Family::Number(comparison) => Test::Number(comparison, read(values, Decimal::parse)?),
        Family::Date(comparison) => Test::Date(comparison, read(values, parse_date)?),
        Family::Null => Test::Null(read(values, parse_bool)?),
    })
}
