//! Patterns: text with `*`, `?` and policy variables.
//!
//! `*` matches any run of characters, `?` any one. **Rule for resources:** the pattern is matched
//! against the whole resource as one string, so a `*` may also span `:` and `/` (AWS: "JSON policy
//! elements: Resource": a `*` at the end of a segment can match beyond colon boundaries). The ARN
//! condition operators instead compare the six parts one by one ([`Pattern::matches_arn`]).
//!
//! **Invariants.** A match takes at most `pattern × text` steps, whatever the pattern, each of them
//! taken from the decision's budget; without it the answer is unknown. Wildcards in a variable's
//! *value* are plain characters: who chooses a tag's value does not choose a pattern.
//!
//! **Must not know:** statements, operators.

use std::borrow::Cow;

use model::fold;

use crate::{
    ContextValue, Flaw, Problem,
    budget::{Budget, Scope},
    truth::Truth,
};

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
    body: Body,
    fold: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// Without variables: most patterns, and four bytes a character.
    Plain(Vec<Token>),
    Template(Vec<Piece>),
}

/// What follows the literal beginning of a pattern.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    /// The text must end here.
    Nothing,
    /// `*`
    Anything,
    Pattern(Pattern),
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
        let tokens: Option<Vec<Token>> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Token(token) => Some(*token),
                Piece::Variable { key: _, default: _ } => None,
            })
            .collect();
        let body = tokens.map_or(Body::Template(pieces), Body::Plain);
        Ok(Self { body, fold: reading.fold })
    }

    /// The text with `v` for each variable, to check a pattern's shape by.
    pub(crate) fn skeleton(&self) -> String {
        let token = |token: &Token| match token {
            Token::Char(c) => *c,
            Token::One => '?',
            Token::Many => '*',
        };
        let piece = |piece: &Piece| match piece {
            Piece::Token(plain) => token(plain),
            Piece::Variable { key: _, default: _ } => 'v',
        };
        match &self.body {
            Body::Plain(tokens) => tokens.iter().map(token).collect(),
            Body::Template(pieces) => pieces.iter().map(piece).collect(),
        }
    }

    /// Whether letters compare without case.
    pub(crate) fn folds(&self) -> bool {
        self.fold
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str, scope: Scope<'_>) -> Truth {
        if !self.fold {
            return self.matches_folded(text, scope);
        }
        if !scope.budget.spend(text.len()) {
            return Truth::Unknown;
        }
        self.matches_folded(&fold(text), scope)
    }

    /// Whether the whole of `text`, whose letters are folded already if the pattern's are, matches.
    pub(crate) fn matches_folded(&self, text: &str, scope: Scope<'_>) -> Truth {
        // No value of a variable makes up for another beginning, not even one that is contested.
        if !self.may_begin(text, scope.budget) {
            return Truth::False;
        }
        match self.resolve(scope) {
            Resolved::Nothing => Truth::False,
            Resolved::Unknown => Truth::Unknown,
            Resolved::Tokens(tokens) => glob(&tokens, text, scope.budget),
        }
    }

    /// Whether it has a variable without a value. Such a pattern matches nothing; but what is said
    /// of all that it does not match is said of nobody knows what.
    pub(crate) fn is_unresolved(&self, scope: Scope<'_>) -> bool {
        let Body::Template(pieces) = &self.body else { return false };
        let unresolved = |piece: &Piece| match piece {
            Piece::Token(_) | Piece::Variable { key: _, default: Some(_) } => false,
            Piece::Variable { key, default: None } => scope.context.get_folded(key).is_none(),
        };
        !scope.budget.spend(pieces.len()) || pieces.iter().any(unresolved)
    }

    /// Whether it has a variable without a value, some value of which might make `text` match.
    pub(crate) fn leaves_open(&self, text: &str, scope: Scope<'_>) -> bool {
        self.is_unresolved(scope) && self.may_begin(text, scope.budget)
    }

    /// Whether `text` begins with what stands before the first wildcard or variable of a template.
    fn may_begin(&self, text: &str, budget: &Budget) -> bool {
        let Body::Template(pieces) = &self.body else { return true };
        let mut text = text.chars();
        for piece in pieces {
            // Without budget nothing is ruled out; what follows then says that it is unknown.
            if !budget.spend(1) {
                return true;
            }
            match piece {
                Piece::Token(Token::Char(c)) if text.next() == Some(*c) => {}
                Piece::Token(Token::Char(_)) => return false,
                Piece::Token(Token::One | Token::Many) | Piece::Variable { key: _, default: _ } => {
                    return true;
                }
            }
        }
        true
    }

    /// The characters before the first wildcard or variable, and the pattern of what follows.
    pub(crate) fn split_literal(&self) -> (String, Rest) {
        let mut literal = String::new();
        let literals = |token: &Token| match token {
            Token::Char(c) => Some(*c),
            Token::One | Token::Many => None,
        };
        let body = match &self.body {
            Body::Plain(tokens) => {
                literal.extend(tokens.iter().map_while(literals));
                let rest = tokens.iter().skip_while(|token| literals(token).is_some());
                Body::Plain(rest.copied().collect())
            }
            Body::Template(pieces) => {
                let literals = |piece: &Piece| match piece {
                    Piece::Token(token) => literals(token),
                    Piece::Variable { key: _, default: _ } => None,
                };
                literal.extend(pieces.iter().map_while(literals));
                let rest = pieces.iter().skip_while(|piece| literals(piece).is_some());
                Body::Template(rest.cloned().collect())
            }
        };
        let rest = match &body {
            Body::Plain(tokens) if tokens.is_empty() => Rest::Nothing,
            Body::Plain(tokens) if *tokens == [Token::Many] => Rest::Anything,
            Body::Plain(_) | Body::Template(_) => Rest::Pattern(Self { body, fold: self.fold }),
        };
        (literal, rest)
    }

    /// A text that matches, with `many` for each `*`; none if a variable has no one value.
    pub(crate) fn example(&self, scope: Scope<'_>, many: &str) -> Option<String> {
        let Resolved::Tokens(tokens) = self.resolve(scope) else { return None };
        let mut text = String::new();
        for token in &*tokens {
            match token {
                Token::Char(c) => text.push(*c),
                Token::One => text.push('x'),
                Token::Many => text.push_str(many),
            }
        }
        Some(text)
    }

    /// The pattern as text, if its only wildcards are `*` and each `*` in it is one.
    pub(crate) fn stars(&self) -> Option<String> {
        let Body::Plain(tokens) = &self.body else { return None };
        let each = |token: &Token| match token {
            Token::Many => Some('*'),
            Token::Char('*') | Token::One => None,
            Token::Char(c) => Some(*c),
        };
        tokens.iter().map(each).collect()
    }

    /// Whether `text` matches part by part, both being ARNs: a wildcard stays within its part,
    /// except in the last, which has all that follows the fifth colon. Text that is no ARN is
    /// unreadable.
    pub(crate) fn matches_arn(&self, text: &str, scope: Scope<'_>) -> Truth {
        let tokens = match self.resolve(scope) {
            Resolved::Nothing => return Truth::False,
            Resolved::Unknown => return Truth::Unknown,
            Resolved::Tokens(tokens) => tokens,
        };
        if !scope.budget.spend(text.len() + tokens.len()) {
            return Truth::Unknown;
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        if parts.len() != 6 {
            return Truth::Unknown;
        }
        if *tokens == [Token::Many] {
            return Truth::True;
        }
        let patterns: Vec<&[Token]> = tokens.splitn(6, |t| *t == Token::Char(':')).collect();
        if patterns.len() != 6 {
            return Truth::False;
        }
        let pairs = patterns.iter().zip(parts);
        Truth::all(pairs.map(|(pattern, part)| glob(pattern, part, scope.budget)))
    }

    fn resolve(&self, scope: Scope<'_>) -> Resolved<'_> {
        let pieces = match &self.body {
            Body::Plain(tokens) => return Resolved::Tokens(Cow::Borrowed(tokens)),
            Body::Template(pieces) => pieces,
        };
        if !scope.budget.spend(pieces.len()) {
            return Resolved::Unknown;
        }
        let mut tokens = Vec::new();
        let mut unknown = false;
        for piece in pieces {
            let (key, default) = match piece {
                Piece::Token(token) => {
                    tokens.push(*token);
                    continue;
                }
                Piece::Variable { key, default } => (key, default),
            };
            let value = match scope.context.get_folded(key) {
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
            if !scope.budget.spend(value.len()) {
                return Resolved::Unknown;
            }
            if self.fold {
                tokens.extend(value.chars().flat_map(char::to_lowercase).map(Token::Char));
            } else {
                tokens.extend(value.chars().map(Token::Char));
            }
        }
        if unknown { Resolved::Unknown } else { Resolved::Tokens(Cow::Owned(tokens)) }
    }
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
    pieces.push(Piece::Variable { key: fold(key), default });
    Some(())
}

/// Matches by two pointers and one place to go back to: the last `*`. An earlier `*` never needs
/// another try, since the last one can take whatever the earlier would.
fn glob(pattern: &[Token], text: &str, budget: &Budget) -> Truth {
    let mut pattern = pattern.iter();
    let mut text = text.chars();
    let mut retry: Option<(std::slice::Iter<'_, Token>, std::str::Chars<'_>)> = None;
    loop {
        if !budget.spend(1) {
            return Truth::Unknown;
        }
        let mut ahead = text.clone();
        let wanted = pattern.next();
        let matched = match (wanted, ahead.next()) {
            // The last `*` takes all that is left.
            (Some(Token::Many), _) if pattern.as_slice().is_empty() => return Truth::True,
            (Some(Token::Many), _) => {
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            (None, None) => return Truth::True,
            // What is missing at the end no other split of the text can provide.
            (Some(Token::Char(_) | Token::One), None) => return Truth::False,
            (Some(Token::Char(wanted)), Some(found)) => *wanted == found,
            (Some(Token::One), Some(_)) => true,
            (None, Some(_)) => false,
        };
        if matched {
            text = ahead;
            continue;
        }
        let Some((after_star, mut from)) = retry else { return Truth::False };
        // There is a character to give up: the one that did not match lies at or after it.
        from.next();
        pattern = after_star.clone();
        text = from.clone();
        retry = Some((after_star, from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DECISION_STEPS_MAX};

    const LIKE: Reading = Reading { wildcards: true, variables: true, fold: false };

    fn matches(pattern: &str, text: &str) -> bool {
        let pattern = Pattern::parse(pattern, LIKE).unwrap();
        within(&Context::new(), |scope| pattern.matches(text, scope)) == Truth::True
    }

    fn within(context: &Context, test: impl Fn(Scope<'_>) -> Truth) -> Truth {
        test(Scope { context, budget: &Budget::new(DECISION_STEPS_MAX) })
    }

    /// Every text over `a`, `b`, `*` and `?` of up to `length` characters.
    fn words(alphabet: &[char], length: usize) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut last = words.clone();
        for _ in 0..length {
            last = last
                .iter()
                .flat_map(|word| alphabet.iter().map(move |c| format!("{word}{c}")))
                .collect();
            words.extend(last.clone());
        }
        words
    }

    /// The meaning of a pattern, written down without regard to cost.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some(('*', after)), None) => naive(after, text),
            (Some(('*', after)), Some((_, rest))) => naive(after, text) || naive(pattern, rest),
            (Some(_), None) => false,
            (Some((p, after)), Some((t, rest))) => (*p == '?' || p == t) && naive(after, rest),
        }
    }

    #[test]
    fn all_small_patterns_match_what_they_mean() {
        let texts = words(&['a', 'b'], 5);
        for pattern in words(&['a', 'b', '*', '?'], 4) {
            let chars: Vec<char> = pattern.chars().collect();
            for text in &texts {
                let expected = naive(&chars, &text.chars().collect::<Vec<_>>());
                assert_eq!(matches(&pattern, text), expected, "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_pattern_without_wildcard_is_no_prefix() {
        assert!(matches("arn:x:bucket", "arn:x:bucket"));
        assert!(!matches("arn:x:bucket", "arn:x:bucket2"));
        assert!(!matches("arn:x:bucket2", "arn:x:bucket"));
        assert!(!matches("arn:x:bucket/*", "arn:x:bucket"));
        assert!(matches("arn:x:*/c", "arn:x:a:b/c"));
        assert!(matches("a?c", "aéc"));
    }

    #[test]
    fn cost_is_at_most_the_product_of_the_lengths() {
        for (pattern, text) in [
            ("a*".repeat(40) + "b", "a".repeat(2_000)),
            ("*a".repeat(40) + "*b", "a".repeat(2_000)),
            ("*".repeat(1_000) + "b", "a".repeat(2_000)),
            (format!("*{}b", "a".repeat(500)), "a".repeat(2_000)),
            ("?*".repeat(100) + "b", "a".repeat(2_000)),
        ] {
            let parsed = Pattern::parse(&pattern, LIKE).unwrap();
            let Body::Plain(tokens) = parsed.body else { panic!("{pattern} has no variable") };
            let bound = (tokens.len() + 1) * (text.len() + 1);
            let budget = Budget::new(bound.try_into().unwrap());
            assert_eq!(glob(&tokens, &text, &budget), Truth::False, "{pattern}");
        }
    }

    #[test]
    fn length_is_limited() {
        assert!(Pattern::parse(&"a".repeat(PATTERN_CHARS_MAX), LIKE).is_ok());
        assert!(Pattern::parse(&"a".repeat(PATTERN_CHARS_MAX + 1), LIKE).is_err());
    }

    #[test]
    fn variables_are_filled_in_and_their_wildcards_are_plain() {
        let mut context = Context::new();
        context.insert("aws:username", "bob");
        context.insert("aws:PrincipalTag/star", "*");
        context.insert_many("aws:TagKeys", ["a", "b"]);
        context.insert_unknown("aws:PrincipalTag/contested");
        for (pattern, text, expected) in [
            ("x/${aws:UserName}/*", "x/bob/y", Truth::True),
            ("x/${aws:username}", "x/eve", Truth::False),
            ("${ aws:username }", "bob", Truth::True),
            ("${aws:PrincipalTag/star}", "*", Truth::True),
            ("${aws:PrincipalTag/star}", "anything", Truth::False),
            ("${*}${?}${$}{x}", "*?${x}", Truth::True),
            ("${*}", "anything", Truth::False),
            ("${aws:none}*", "anything", Truth::False),
            ("*${aws:none, 'dev'}", "team-dev", Truth::True),
            ("${aws:username, 'dev'}", "dev", Truth::False),
            ("${aws:PrincipalTag/contested}", "x", Truth::Unknown),
            ("${aws:PrincipalTag/contested}${aws:none}", "x", Truth::False),
            ("${aws:TagKeys}", "a", Truth::Unknown),
            ("x/${aws:PrincipalTag/contested}", "x/y", Truth::Unknown),
            ("x/${aws:PrincipalTag/contested}", "y/y", Truth::False),
            ("?/${aws:PrincipalTag/contested}", "x", Truth::Unknown),
            ("$x$", "$x$", Truth::True),
        ] {
            let parsed = Pattern::parse(pattern, LIKE).unwrap();
            assert_eq!(within(&context, |s| parsed.matches(text, s)), expected, "{pattern} {text}");
        }
        for text in ["${", "${aws:username", "${}", "${username}", "${a:b, x}", "${a:}", "${a:b*}"]
        {
            assert!(Pattern::parse(text, LIKE).is_err(), "{text}");
        }
        let old = Reading { variables: false, ..LIKE };
        let parsed = Pattern::parse("${aws:username}", old).unwrap();
        let found = within(&context, |scope| parsed.matches("${aws:username}", scope));
        assert_eq!(found, Truth::True);
    }

    #[test]
    fn arn_wildcards_stay_in_their_part() {
        for (pattern, text, expected) in [
            ("arn:aws:iam::*:role/*", "arn:aws:iam::1:role/a:b/c", true),
            ("arn:aws:*:role/x", "arn:aws:iam::1:role/x", false),
            ("arn:*:iam::1:x", "arn:aws:s3:iam::1:x", false),
            ("arn:aws:iam::1:role/x", "arn:aws:iam::1:role/x2", false),
            ("*", "arn:aws:iam::1:role/x", true),
            ("arn:aws:iam::1", "arn:aws:iam::1:role/x", false),
        ] {
            let parsed = Pattern::parse(pattern, LIKE).unwrap();
            let found = within(&Context::new(), |scope| parsed.matches_arn(text, scope));
            assert_eq!(found, expected.into(), "{pattern} {text}");
        }
        let parsed = Pattern::parse("*", LIKE).unwrap();
        let found = within(&Context::new(), |scope| parsed.matches_arn("arn:aws:iam::1", scope));
        assert_eq!(found, Truth::Unknown);
    }
}
