//! Statements as the linter reads them: each text with its place.
//!
//! **Must not know:** what is wrong with them.

use model::fold;

use crate::{
    Effect,
    budget::Budget,
    json::{Json, Member, Value},
};

/// One statement.
pub(super) struct Statement<'a> {
    pub(super) at: usize,
    pub(super) effect: Effect,
    pub(super) empty_sid: Option<usize>,
    pub(super) actions: Element<'a>,
    /// Without patterns in a trust policy.
    pub(super) resources: Element<'a>,
    /// Where a principal is `*`.
    pub(super) anyone: Option<usize>,
    /// All principals, to compare statements by.
    pub(super) principals_text: Vec<&'a str>,
    pub(super) conditions: Vec<Condition<'a>>,
    pub(super) empty_condition: Option<usize>,
}

/// `Action`, `Resource` or their negation.
#[derive(Default)]
pub(super) struct Element<'a> {
    pub(super) at: usize,
    pub(super) negated: bool,
    pub(super) patterns: Vec<Text<'a>>,
}

/// A pattern, folded if it is an action's.
pub(super) struct Text<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    folded: String,
}

/// One key of one operator.
pub(super) struct Condition<'a> {
    pub(super) operator: &'a str,
    pub(super) operator_at: usize,
    pub(super) key: &'a str,
    pub(super) key_at: usize,
    pub(super) values: Vec<(&'a str, usize)>,
}

impl Condition<'_> {
    /// The operator without prefix and suffix.
    pub(super) fn base(&self) -> &str {
        let base = self.operator.split_once(':').map_or(self.operator, |(_, base)| base);
        base.strip_suffix("IfExists").unwrap_or(base)
    }

    pub(super) fn is_quantified(&self) -> bool {
        self.operator.contains(':')
    }

    /// What the operator compares.
    pub(super) fn family(&self) -> &'static str {
        let families = ["String", "Arn", "Numeric", "Date", "Bool", "Binary"];
        let base = self.base();
        match families.into_iter().find(|family| base.starts_with(family)) {
            Some(family) => family,
            None if base.ends_with("IpAddress") => "Ip",
            None => "",
        }
    }

    /// Whether it compares text that has no wildcards.
    pub(super) fn compares_whole(&self) -> bool {
        self.family() == "String" && !self.base().ends_with("Like")
    }
}

impl<'a> Element<'a> {
    fn read(member: &'a Member, ignore_case: bool) -> Self {
        let text = |(text, at): (&'a str, usize)| {
            let folded = if ignore_case { fold(text) } else { text.to_owned() };
            Text { text, at, folded }
        };
        Self {
            at: member.at,
            negated: member.key.starts_with("Not"),
            patterns: strings(&member.value).map(text).collect(),
        }
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.patterns.iter().map(|pattern| (pattern.text, pattern.at))
    }

    /// Whether it is `*`.
    pub(super) fn is_everything(&self) -> bool {
        !self.negated && self.patterns.iter().any(|pattern| pattern.text == "*")
    }

    /// Whether one action, given folded, is meant.
    pub(super) fn matches(&self, action: &'a str) -> bool {
        let action = Text { text: action, at: 0, folded: action.to_owned() };
        let budget = Budget::new(u64::MAX);
        self.patterns.iter().any(|pattern| pattern.covers(&action, &budget)) != self.negated
    }
}

impl Text<'_> {
    /// Whether this pattern matches all that the other one does; no if that is hard to say.
    pub(super) fn covers(&self, other: &Self, budget: &Budget) -> bool {
        let variable = |text: &Self| text.text.contains("${");
        if variable(self) || variable(other) {
            return self.text == other.text || self.text == "*";
        }
        inside(&self.folded, &other.folded, budget)
    }
}

/// Whether all that the second means, the first does; no if that is hard to say.
pub(super) fn covers(wide: &Element<'_>, narrow: &Element<'_>, budget: &Budget) -> bool {
    let each = |wide: &Element<'_>, narrow: &Element<'_>| {
        let mut patterns = narrow.patterns.iter();
        patterns.all(|one| wide.patterns.iter().any(|other| other.covers(one, budget)))
    };
    match (wide.negated, narrow.negated) {
        (false, false) => each(wide, narrow),
        // What is left out of the wide one must be left out of the narrow one.
        (true, true) => each(narrow, wide),
        (false, true) => wide.is_everything(),
        (true, false) => false,
    }
}

/// Whether every text that `narrow` matches is one that `wide` does: the narrow pattern is matched
/// as if it were a text, of which a `*` matches only a `*`. A walk with one place to go back to, as
/// matching itself. Without steps the answer is no.
pub(crate) fn inside(wide: &str, narrow: &str, budget: &Budget) -> bool {
    let (mut pattern, mut text) = (wide.chars(), narrow.chars());
    let mut back: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        if !budget.spend(1) {
            return false;
        }
        let (mut next_pattern, mut next_text) = (pattern.clone(), text.clone());
        match (next_pattern.next(), next_text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                back = Some((next_pattern.clone(), text.clone()));
                pattern = next_pattern;
                continue;
            }
            (Some('?'), Some(c)) if c != '*' => {
                (pattern, text) = (next_pattern, next_text);
                continue;
            }
            (Some(p), Some(c)) if p == c => {
                (pattern, text) = (next_pattern, next_text);
                continue;
            }
            (None | Some(_), _) => {}
        }
        // The last `*` takes one character more.
        let Some((after, taken)) = &mut back else { return false };
        if taken.next().is_none() {
            return false;
        }
        (pattern, text) = (after.clone(), taken.clone());
    }
}

/// The statements of a `Statement` element.
pub(super) fn read(json: &Json) -> Vec<Statement<'_>> {
    match &json.value {
        Value::Array(items) => items.iter().map(statement).collect(),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            vec![statement(json)]
        }
    }
}

fn statement(json: &Json) -> Statement<'_> {
    let mut statement = Statement {
        at: json.at,
        effect: Effect::Allow,
        empty_sid: None,
        actions: Element::default(),
        resources: Element::default(),
        anyone: None,
        principals_text: Vec::new(),
        conditions: Vec::new(),
        empty_condition: None,
    };
    for member in members(json) {
        let first = || strings(&member.value).next();
        match member.key.as_str() {
            "Sid" => {
                statement.empty_sid = first().filter(|(sid, _)| sid.is_empty()).map(|(_, at)| at)
            }
            "Effect" if first().is_some_and(|(effect, _)| effect == "Deny") => {
                statement.effect = Effect::Deny;
            }
            "Action" | "NotAction" => statement.actions = Element::read(member, true),
            "Resource" | "NotResource" => statement.resources = Element::read(member, false),
            "Principal" => {
                let kinds = members(&member.value).iter().flat_map(|kind| strings(&kind.value));
                let all: Vec<_> = strings(&member.value).chain(kinds).collect();
                statement.anyone = all.iter().find(|(text, _)| *text == "*").map(|(_, at)| *at);
                statement.principals_text = all.into_iter().map(|(text, _)| text).collect();
            }
            "NotPrincipal" => {
                let kinds = members(&member.value).iter().flat_map(|kind| strings(&kind.value));
                let all = strings(&member.value).chain(kinds).map(|(text, _)| text);
                // No principal is this word: those it names are not those that others name.
                statement.principals_text = ["NotPrincipal"].into_iter().chain(all).collect();
            }
            "Condition" => {
                let operators = members(&member.value);
                statement.empty_condition = operators.is_empty().then_some(member.value.at);
                statement.conditions = operators.iter().flat_map(conditions).collect();
            }
            _ => {}
        }
    }
    statement
}

fn conditions(operator: &Member) -> impl Iterator<Item = Condition<'_>> {
    members(&operator.value).iter().map(|key| Condition {
        operator: &operator.key,
        operator_at: operator.at,
        key: &key.key,
        key_at: key.at,
        values: scalars(&key.value),
    })
}

fn members(json: &Json) -> &[Member] {
    match &json.value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => &[],
    }
}

fn items(json: &Json) -> &[Json] {
    match &json.value {
        Value::Array(items) => items,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(json)
        }
    }
}

/// The strings of a list, or the one that it is.
fn strings(json: &Json) -> impl Iterator<Item = (&str, usize)> {
    items(json).iter().filter_map(|item| match &item.value {
        Value::String(text) => Some((text.as_str(), item.at)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    })
}

fn scalars(json: &Json) -> Vec<(&str, usize)> {
    fn scalar(item: &Json) -> Option<(&str, usize)> {
        match &item.value {
            Value::String(text) | Value::Number(text) => Some((text.as_str(), item.at)),
            Value::Bool(value) => Some((if *value { "true" } else { "false" }, item.at)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
    items(json).iter().filter_map(scalar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text of up to `length` characters of `alphabet`.
    fn words(alphabet: &[char], length: usize) -> Vec<String> {
        let mut last = vec![String::new()];
        let mut words = last.clone();
        for _ in 0..length {
            let longer = |word: &String| alphabet.iter().map(|c| format!("{word}{c}")).collect();
            last = last.iter().flat_map::<Vec<String>, _>(longer).collect();
            words.extend(last.clone());
        }
        words
    }

    #[test]
    fn what_one_pattern_is_said_to_cover_it_matches() {
        let budget = Budget::new(u64::MAX);
        let texts = words(&['a', 'b'], 4);
        let patterns = words(&['a', 'b', '*', '?'], 3);
        let mut covered = 0;
        for narrow in &patterns {
            let meant: Vec<&String> =
                texts.iter().filter(|text| inside(narrow, text, &budget)).collect();
            for wide in &patterns {
                if inside(wide, narrow, &budget) {
                    covered += 1;
                    assert!(
                        meant.iter().all(|text| inside(wide, text, &budget)),
                        "{wide} {narrow}"
                    );
                }
            }
        }
        assert!(covered > patterns.len() * 3, "{covered}");
        for (wide, narrow, expected) in
            [("*", "a?*", true), ("a*", "a*b*", true), ("?", "*", false), ("a*", "*", false)]
        {
            assert_eq!(inside(wide, narrow, &budget), expected, "{wide} {narrow}");
        }
    }
}
