//! JSON with the place of every value. A library decodes the strings and numbers; the structure is
//! read here because a policy must be refused when a key is given twice (parsers that keep the
//! first and parsers that keep the last would then read different policies), and refused with its
//! place.
//!
//! **Invariants.** Recursion is at most [`DEPTH_MAX`] deep. Every byte of the text is read once.
//!
//! **Must not know:** what a policy is.

use std::collections::BTreeSet;

use crate::{DEPTH_MAX, Flaw, ParseError, Problem};

/// A JSON value and the byte it begins at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Json {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<Member>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    /// The byte the key begins at.
    pub(crate) at: usize,
    pub(crate) value: Json,
}

/// Reads a whole text as one value.
pub(crate) fn read(text: &str) -> Result<Json, ParseError> {
    let mut reader = Reader { text, at: 0 };
    let json = reader.value(0)?;
    reader.skip_space();
    if reader.at != text.len() {
        return Err(reader.invalid());
    }
    Ok(json)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn invalid(&self) -> ParseError {
        ParseError::at(Problem::Json, self.text, self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ParseError> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(self.invalid());
        }
        self.at += 1;
        Ok(())
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn value(&mut self, depth: usize) -> Result<Json, ParseError> {
        self.skip_space();
        if depth > DEPTH_MAX {
            return Err(self.invalid());
        }
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Json { at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.expect(b'{')?;
        let mut members = Vec::new();
        let mut keys = BTreeSet::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let at = self.at;
            let key = self.string()?;
            if !keys.insert(key.clone()) {
                let problem = Problem::Syntax { flaw: Flaw::DuplicateKey, found: key };
                return Err(ParseError::at(problem, self.text, at));
            }
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            members.push(Member { key, at, value });
            if !self.take(b',') {
                self.expect(b'}')?;
                return Ok(Value::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if !self.take(b',') {
                self.expect(b']')?;
                return Ok(Value::Array(items));
            }
        }
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let from = self.at;
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => break,
                // Whatever is escaped is not the closing quote; the library checks the rest.
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.invalid()),
            }
        }
        self.at += 1;
        let literal = self.text.get(from..self.at);
        literal
            .and_then(|literal| serde_json::from_str(literal).ok())
            .ok_or_else(|| ParseError::at(Problem::Json, self.text, from))
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let from = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let literal = self.text.get(from..self.at).unwrap_or_default();
        serde_json::from_str::<serde_json::Number>(literal)
            .map(|_| Value::Number(literal.to_owned()))
            .map_err(|_| ParseError::at(Problem::Json, self.text, from))
    }

    fn word(&mut self) -> Result<Value, ParseError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let words =
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        for (word, value) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library reads, to compare structures with.
    fn plain(json: &Json) -> serde_json::Value {
        match &json.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => {
                let pairs = members.iter().map(|m| (m.key.clone(), plain(&m.value)));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }

    #[test]
    fn accepts_and_refuses_what_the_library_does() {
        for text in [
            "{}",
            " [ ] ",
            "{\"a\":[1,-2.5e3,\"\\u00e9\\\"\\\\\",true,false,null,{\"b\":{}}]}",
            "\"\\ud83d\\ude00\"",
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "\"\\ud83d\"",
            "\"a",
            "\"\\",
            "\"\\\"",
            "\"\n\"",
            "tru",
            "truee",
            "[1 2]",
            "{} {}",
            "\u{feff}{}",
            "'a'",
            "NaN",
        ] {
            let library = serde_json::from_str::<serde_json::Value>(text).ok();
            assert_eq!(read(text).ok().map(|json| plain(&json)), library, "{text}");
        }
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_place() {
        let error = read("{\"a\": 1,\n \"é\": 2, \"\\u0061\": 3}").unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(2), Some(10)));
        let found = "a".to_owned();
        assert_eq!(error.problem, Problem::Syntax { flaw: Flaw::DuplicateKey, found });
    }

    #[test]
    fn depth_is_limited() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(DEPTH_MAX + 1)).is_ok());
        let error = read(&nested(DEPTH_MAX + 2)).unwrap_err();
        assert_eq!(error.column(), Some(DEPTH_MAX + 2));
        for hostile in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
            let error = read(&hostile).unwrap_err();
            assert!(error.column().unwrap() < 300, "it is refused where it gets too deep");
        }
    }
}
