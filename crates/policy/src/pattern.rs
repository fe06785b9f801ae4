//! Patterns: text with `*`, `?` and policy variables.
//!
//! `*` matches any run of characters, `?` any one. **Rule for resources:** the pattern is matched
//! against the whole resource as one string, so a `*` may also span `:` and `/` (AWS: "JSON policy
//! elements: Resource": a `*` at the end of a segment can match beyond colon boundaries). The ARN
//! condition operators instead compare the six parts one by one ([`Pattern::matches_arn`]).
//!
//! **Invariants.** A match takes at most `pattern × text` steps, whatever the pattern. Wildcards in a
//! variable's *value* are plain characters: who chooses a tag's value does not choose a pattern.
//!
//! **Must not know:** statements, operators.

use std::borrow::Cow;

use crate::{Context, ContextValue, Flaw, Problem, truth::Truth};

/// The most characters one pattern or value of a policy may have.
pub const PATTERN_CHARS_MAX: usize = 4_096;

/// One step of a pattern without variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Token(Token),
    /// The value of a condition key, or the default if it has none.
    Variable {
        key: String,
        default: Option<String>,
    },
}

/// How the characters of a pattern are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Whether `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// Whether `${…}` is a variable: language version 2012-10-17 and later.
    pub(crate) variables: bool,
    /// Whether letters compare without case.
    pub(crate) fold: bool,
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece>,
    /// The tokens, if there is no variable.
    tokens: Option<Vec<Token>>,
    fold: bool,
}

/// A pattern with its variables filled in.
enum Resolved<'a> {
    Tokens(Cow<'a, [Token]>),
    /// A variable has no value: the pattern matches nothing. AWS: "Policy variables with no value".
    Nothing,
    /// A variable's value is contested, or there are several of which none is meant.
    Unknown,
}

impl Pattern {
    pub(crate) fn parse(text: &str, reading: Reading) -> Result<Self, Problem> {
        let refuse = |flaw| Problem::Syntax { flaw, found: text.chars().take(80).collect() };
        if text.chars().count() > PATTERN_CHARS_MAX {
            return Err(refuse(Flaw::Pattern));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if reading.variables
                && let Some(body) = rest.strip_prefix("${")
            {
                let (inner, after) = body.split_once('}').ok_or(refuse(Flaw::Variable))?;
                push_variable(&mut pieces, inner, reading).ok_or(refuse(Flaw::Variable))?;
                rest = after;
                continue;
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            match c {
                '*' if reading.wildcards => {
                    if pieces.last() != Some(&Piece::Token(Token::Many)) {
                        pieces.push(Piece::Token(Token::Many));
                    }
                }
                '?' if reading.wildcards => pieces.push(Piece::Token(Token::One)),
                c => push_literal(&mut pieces, c, reading.fold),
            }
        }
        let tokens = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Token(token) => Some(*token),
                Piece::Variable { key: _, default: _ } => None,
            })
            .collect();
        Ok(Self { pieces, tokens, fold: reading.fold })
    }

    /// The text with `v` for each variable, to check a pattern's shape by.
    pub(crate) fn skeleton(&self) -> String {
        let shape = |piece: &Piece| match piece {
            Piece::Token(Token::Char(c)) => *c,
            Piece::Token(Token::One) => '?',
            Piece::Token(Token::Many) => '*',
            Piece::Variable { key: _, default: _ } => 'v',
        };
        self.pieces.iter().map(shape).collect()
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> Truth {
        match self.resolve(context) {
            Resolved::Nothing => Truth::False,
            Resolved::Unknown => Truth::Unknown,
            Resolved::Tokens(tokens) if self.fold => glob(&tokens, &fold(text), &mut 0).into(),
            Resolved::Tokens(tokens) => glob(&tokens, text, &mut 0).into(),
        }
    }

    /// Whether `text` matches part by part, both being ARNs: a wildcard stays within its part, except
    /// in the last, which has all that follows the fifth colon.
    pub(crate) fn matches_arn(&self, text: &str, context: &Context) -> Truth {
        let tokens = match self.resolve(context) {
            Resolved::Nothing => return Truth::False,
            Resolved::Unknown => return Truth::Unknown,
            Resolved::Tokens(tokens) => tokens,
        };
        let patterns: Vec<&[Token]> = tokens.splitn(6, |t| *t == Token::Char(':')).collect();
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        if patterns.len() != 6 {
            // A lone `*` stands for any ARN.
            return Truth::from(*tokens == [Token::Many] && parts.len() == 6);
        }
        let same = parts.len() == 6
            && patterns.iter().zip(parts).all(|(pattern, part)| glob(pattern, part, &mut 0));
        same.into()
    }

    fn resolve(&self, context: &Context) -> Resolved<'_> {
        if let Some(tokens) = &self.tokens {
            return Resolved::Tokens(Cow::Borrowed(tokens));
        }
        let mut tokens = Vec::new();
        let mut unknown = false;
        for piece in &self.pieces {
            let (key, default) = match piece {
                Piece::Token(token) => {
                    tokens.push(*token);
                    continue;
                }
                Piece::Variable { key, default } => (key, default),
            };
            let value = match context.get(key) {
                None => match default {
                    None => return Resolved::Nothing,
                    Some(default) => default.as_str(),
                },
                Some(ContextValue::Unknown) => {
                    unknown = true;
                    continue;
                }
                Some(ContextValue::Known(values)) => match values.as_slice() {
                    [value] => value.as_str(),
                    _ => {
                        unknown = true;
                        continue;
                    }
                },
            };
            if self.fold {
                tokens.extend(value.chars().flat_map(char::to_lowercase).map(Token::Char));
            } else {
                tokens.extend(value.chars().map(Token::Char));
            }
        }
        if unknown { Resolved::Unknown } else { Resolved::Tokens(Cow::Owned(tokens)) }
    }
}

/// Text in the form that case-insensitive patterns are kept in.
fn fold(text: &str) -> String {
    // Character by character, as patterns are: `str::to_lowercase` treats a final sigma by its place.
    text.chars().flat_map(char::to_lowercase).collect()
}

fn push_literal(pieces: &mut Vec<Piece>, c: char, fold: bool) {
    if fold {
        pieces.extend(c.to_lowercase().map(|c| Piece::Token(Token::Char(c))));
    } else {
        pieces.push(Piece::Token(Token::Char(c)));
    }
}

/// Adds what stands between `${` and `}`: an escaped character, or a key with or without a default.
fn push_variable(pieces: &mut Vec<Piece>, inner: &str, reading: Reading) -> Option<()> {
    if let "*" | "?" | "$" = inner {
        for c in inner.chars() {
            push_literal(pieces, c, reading.fold);
        }
        return Some(());
    }
    let (key, default) = match inner.split_once(',') {
        None => (inner, None),
        Some((key, default)) => {
            let quoted = default.trim();
            let text = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
            (key, Some(text.to_owned()))
        }
    };
    let key = key.trim();
    let (vendor, name) = key.split_once(':')?;
    let readable = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    if vendor.is_empty() || name.is_empty() || !key.chars().all(readable) {
        return None;
    }
    pieces.push(Piece::Variable { key: key.to_ascii_lowercase(), default });
    Some(())
}

/// Matches by two pointers and one place to go back to: the last `*`. An earlier `*` never needs
/// another try, since the last one can take whatever the earlier would. `steps` counts the work.
fn glob(pattern: &[Token], text: &str, steps: &mut usize) -> bool {
    let mut pattern = pattern.iter();
    let mut text = text.chars();
    let mut retry: Option<(std::slice::Iter<'_, Token>, std::str::Chars<'_>)> = None;
    loop {
        *steps += 1;
        let mut ahead = text.clone();
        let wanted = pattern.next();
        let matched = match (wanted, ahead.next()) {
            (Some(Token::Many), _) => {
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            (None, None) => return true,
            // What is missing at the end no other split of the text can provide.
            (Some(Token::Char(_) | Token::One), None) => return false,
            (Some(Token::Char(wanted)), Some(found)) => *wanted == found,
            (Some(Token::One), Some(_)) => true,
            (None, Some(_)) => false,
        };
        if matched {
            text = ahead;
            continue;
        }
        let Some((after_star, mut from)) = retry else { return false };
        if from.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        text = from.clone();
        retry = Some((after_star, from));
    }
}
