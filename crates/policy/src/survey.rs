//! What a document's text mentions: the condition keys in it, and where its statements stand.
//!
//! **Invariants.** Keys are as they are written first; they compare without case. A text that is no
//! policy mentions nothing.
//!
//! **Must not know:** what a key means.

use std::collections::BTreeMap;

use model::fold;

use crate::{
    Document, Position,
    json::{self, Json, Value},
};

impl Document {
    /// The condition keys that its conditions and policy variables name, by folded key. AWS:
    /// `GetContextKeysForCustomPolicy`.
    pub fn context_keys(&self) -> BTreeMap<String, String> {
        let mut keys = BTreeMap::new();
        statements(self.text()).iter().for_each(|statement| add_keys(&mut keys, statement));
        keys
    }

    /// Where each statement begins, and where its last character stands.
    pub fn statement_positions(&self) -> Vec<(Position, Position)> {
        let text = self.text();
        let mut place = Place::new(text);
        let position = |Json { at, value: _ }: Json| {
            let len = object_len(text.get(at..)?)?;
            Some((place.advance(at), place.advance(at + len - 1)))
        };
        statements(text).into_iter().map_while(position).collect()
    }
}

/// A place in a text that only moves on, so that all places cost one walk.
pub(crate) struct Place<'a> {
    text: &'a str,
    at: usize,
    position: Position,
}

impl<'a> Place<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, position: Position { line: 1, column: 1 } }
    }

    pub(crate) fn advance(&mut self, at: usize) -> Position {
        for c in self.text.get(self.at..at).unwrap_or_default().chars() {
            self.position = match c {
                '\n' => Position { line: self.position.line + 1, column: 1 },
                _ => Position { column: self.position.column + 1, ..self.position },
            };
        }
        self.at = at;
        self.position
    }
}

/// The statements as JSON.
fn statements(text: &str) -> Vec<Json> {
    let Ok(json) = json::read(text) else { return Vec::new() };
    let Value::Object(elements) = json.value else { return Vec::new() };
    let statement = elements.into_iter().find(|member| member.key == "Statement");
    let Some(Json { at, value }) = statement.map(|member| member.value) else { return Vec::new() };
    match value {
        Value::Array(items) => items,
        Value::Object(_) => vec![Json { at, value }],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

pub(crate) fn members(json: &Json) -> impl Iterator<Item = (&str, &Json)> {
    let members = match &json.value {
        Value::Object(members) => members.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => &[],
    };
    members.iter().map(|member| (member.key.as_str(), &member.value))
}

/// The statements as JSON, each with the condition keys that it names.
pub(crate) fn statements_with_keys(text: &str) -> Vec<(Json, Vec<String>)> {
    let keys = |statement: &Json| {
        let mut keys = BTreeMap::new();
        add_keys(&mut keys, statement);
        keys.into_values().collect()
    };
    statements(text)
        .into_iter()
        .map(|statement| {
            let keys = keys(&statement);
            (statement, keys)
        })
        .collect()
}

/// A text, or those of a list.
pub(crate) fn texts(json: &Json) -> Vec<String> {
    match &json.value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn add_keys(keys: &mut BTreeMap<String, String>, statement: &Json) {
    for (name, value) in members(statement) {
        match name {
            "Condition" => add_conditions(keys, value),
            "Resource" | "NotResource" => add_variables(keys, value),
            _ => {}
        }
    }
}

fn add(keys: &mut BTreeMap<String, String>, key: &str) {
    keys.entry(fold(key)).or_insert_with(|| key.to_owned());
}

fn add_conditions(keys: &mut BTreeMap<String, String>, conditions: &Json) {
    for (_operator, tests) in members(conditions) {
        for (key, values) in members(tests) {
            add(keys, key);
            add_variables(keys, values);
        }
    }
}

/// The keys of `${key}` and `${key, 'default'}` in a text or in each of a list.
fn add_variables(keys: &mut BTreeMap<String, String>, json: &Json) {
    match &json.value {
        Value::Array(items) => items.iter().for_each(|item| add_variables(keys, item)),
        Value::String(text) => {
            for after in text.split("${").skip(1) {
                let Some((body, _)) = after.split_once('}') else { continue };
                let key = body.split(',').next().unwrap_or(body).trim();
                // `${*}`, `${?}` and `${$}` are characters.
                if !matches!(key, "*" | "?" | "$" | "") {
                    add(keys, key);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

/// The bytes of the object that a text begins with.
fn object_len(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentKind;

    const TEXT: &str = r#"{"Version":"2012-10-17","Statement":[
  {"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/${*}",
   "Condition":{"StringEquals":{"aws:PrincipalTag/T":["${ aws:userid , 'x' }","}\"{"]},
                "Bool":{"AWS:SecureTransport":"true"}}},
  {"Effect":"Deny","Action":"s3:*","NotResource":["*"],
   "Condition":{"Bool":{"aws:securetransport":"false"}}}]}"#;

    #[test]
    fn keys_of_conditions_and_variables_are_found_once() {
        let document = Document::parse(TEXT, DocumentKind::Identity).unwrap();
        let keys: Vec<String> = document.context_keys().into_values().collect();
        let expected = ["aws:PrincipalTag/T", "AWS:SecureTransport", "aws:userid", "aws:username"];
        assert_eq!(keys, expected);
    }

    #[test]
    fn statements_stand_where_their_braces_do() {
        let document = Document::parse(TEXT, DocumentKind::Identity).unwrap();
        let show = |index: usize| {
            let positions = document.statement_positions();
            let (start, end) = positions.get(index)?;
            Some([(start.line, start.column), (end.line, end.column)])
        };
        assert_eq!(show(0), Some([(2, 3), (4, 55)]));
        assert_eq!(show(1), Some([(5, 3), (6, 56)]));
        assert_eq!(show(2), None);
        let single = r#"{"Statement": {"Effect":"Allow","Action":"*","Resource":"*"}}"#;
        let document = Document::parse(single, DocumentKind::Identity).unwrap();
        let (start, end) = document.statement_positions().pop().unwrap();
        assert_eq!((start.column, end.column), (15, single.len() - 1));
    }
}
