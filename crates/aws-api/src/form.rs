//! The parameters of a query-protocol request: strict parsing, and typed reading that reports every
//! wrong value at once, as AWS does.
//!
//! **Invariants.** No parameter occurs twice, and none is left unread: [`Params::finish`] refuses
//! what the action does not have. A request has at most [`PARAMETERS_MAX`] parameters; its length
//! is bounded by who read it from the network. A secret parameter's value shows in no error.
//!
//! **Must not know:** the parameters of any action.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    str::FromStr,
};

use model::{Constraint, Secret};

use crate::{ApiError, Service, percent, shape::Shape};

/// The greatest number of parameters of one request.
pub const PARAMETERS_MAX: usize = 2_000;
/// A longer value is left out of the message about it.
const VALUE_SHOWN_CHARS_MAX: usize = 512;
/// What AWS puts in its message when `Version` is missing.
const NO_VERSION: &str = "NO_VERSION_SPECIFIED";

/// A form's parameters, each once.
pub struct Form {
    parameters: BTreeMap<String, String>,
}

impl fmt::Debug for Form {
    /// Names only: values may be passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.parameters.keys()).finish()
    }
}

impl Form {
    /// Parses a request's body. Refuses another content type, broken escapes, invalid UTF-8, a pair
    /// without `=`, a name that occurs twice and more than [`PARAMETERS_MAX`] parameters.
    pub fn parse(content_type: &str, body: &[u8]) -> Result<Self, ApiError> {
        check_content_type(content_type)?;
        let mut parameters = BTreeMap::new();
        if body.is_empty() {
            return Ok(Self { parameters });
        }
        for (count, pair) in body.split(|byte| *byte == b'&').enumerate() {
            if count == PARAMETERS_MAX {
                let message = format!("A request has at most {PARAMETERS_MAX} parameters");
                return Err(ApiError::malformed_query_string(message));
            }
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
                return Err(ApiError::malformed_query_string("A parameter has no equal-sign"));
            };
            let (name, value) = (decode(name)?, decode(value)?);
            if parameters.contains_key(&name) {
                let message = format!("The parameter {name} occurs more than once");
                return Err(ApiError::malformed_query_string(message));
            }
            parameters.insert(name, value);
        }
        Ok(Self { parameters })
    }

    /// The action's name.
    pub fn action(&self) -> Result<&str, ApiError> {
        let action = self.parameters.get("Action").filter(|action| !action.is_empty());
        action.map(String::as_str).ok_or_else(ApiError::missing_action)
    }

    /// The API version as given, or AWS's word for none.
    pub fn version(&self) -> &str {
        self.parameters.get("Version").map_or(NO_VERSION, String::as_str)
    }

    /// The service that has this version.
    pub fn service(&self) -> Result<Service, ApiError> {
        Service::from_version(self.version()).ok_or_else(|| self.unknown_action())
    }

    /// What to answer when the version does not have the action.
    pub fn unknown_action(&self) -> ApiError {
        match self.action() {
            Ok(action) => ApiError::invalid_action(action, self.version()),
            Err(missing) => missing,
        }
    }

    /// A reader of the action's own parameters.
    pub fn params(&self) -> Params<'_> {
        let mut params = Params {
            form: self,
            prefix: String::new(),
            shown: String::new(),
            used: BTreeSet::new(),
            violations: Vec::new(),
        };
        for name in ["Action", "Version"] {
            params.take(name);
        }
        params
    }

    fn starts(&self, prefix: &str) -> bool {
        let mut from = self.parameters.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }
}

fn check_content_type(content_type: &str) -> Result<(), ApiError> {
    let mut parts = content_type.split(';').map(str::trim);
    let form = "application/x-www-form-urlencoded";
    let is_form = parts.next().is_some_and(|part| part.eq_ignore_ascii_case(form));
    let is_utf8 = parts.all(|part| {
        ["charset=utf-8", "charset=\"utf-8\""].iter().any(|utf8| part.eq_ignore_ascii_case(utf8))
    });
    let message = || format!("Content-Type must be {form}, in UTF-8");
    (is_form && is_utf8).then_some(()).ok_or_else(|| ApiError::malformed_query_string(message()))
}

fn decode(bytes: &[u8]) -> Result<String, ApiError> {
    let decoded = percent::decode(bytes)
        .map_err(|error| ApiError::malformed_query_string(error.to_string()))?;
    String::from_utf8(decoded)
        .map_err(|_| ApiError::malformed_query_string("A parameter is not valid UTF-8"))
}

/// A value that fails its constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    member: String,
    value: Value,
    constraint: Constraint,
}

/// The offending value, as far as the message may show it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Hidden,
    Shown(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, value, constraint } = self;
        match value {
            Value::Null => write!(f, "Value null")?,
            Value::Hidden => write!(f, "Value")?,
            Value::Shown(text) => write!(f, "Value '{text}'")?,
        }
        write!(f, " at '{member}' failed to satisfy constraint: {constraint}")
    }
}

impl From<Violation> for ApiError {
    fn from(violation: Violation) -> Self {
        violations_error(&[violation])
    }
}

fn violations_error(violations: &[Violation]) -> ApiError {
    let noun = if violations.len() == 1 { "error" } else { "errors" };
    let texts: Vec<String> = violations.iter().map(Violation::to_string).collect();
    let count = violations.len();
    ApiError::validation(format!("{count} validation {noun} detected: {}", texts.join("; ")))
}

/// Reads the parameters of one action, or of one member of a list.
///
/// Every method returns the value or its [`Violation`], and remembers the violation, so that a noun
/// reads all its parameters first and then asks for all of them at once:
///
/// ```
/// # use aws_api::{ApiError, form::Form};
/// # use model::{Path, UserName};
/// struct CreateUser {
///     user_name: UserName,
///     path: Option<Path>,
/// }
///
/// fn create_user(form: &Form) -> Result<CreateUser, ApiError> {
///     let mut params = form.params();
///     let user_name = params.required("UserName");
///     let path = params.optional("Path");
///     params.finish()?;
///     Ok(CreateUser { user_name: user_name?, path: path? })
/// }
/// # let form = Form::parse("application/x-www-form-urlencoded", b"UserName=bob")?;
/// # assert_eq!(create_user(&form)?.user_name.as_str(), "bob");
/// # Ok::<(), ApiError>(())
/// ```
#[derive(Debug)]
pub struct Params<'a> {
    form: &'a Form,
    /// What stands before a name: empty, or `Tags.member.1.`.
    prefix: String,
    /// The same as AWS's messages show it: empty, or `tags.1.member.`.
    shown: String,
    used: BTreeSet<&'a str>,
    violations: Vec<Violation>,
}

impl<'a> Params<'a> {
    /// A parameter that must be there.
    pub fn required<T: FromStr<Err = Constraint>>(&mut self, name: &str) -> Result<T, Violation> {
        let value = self.optional(name)?;
        self.not_null(name, value)
    }

    /// A parameter that may be missing. An empty value is a value.
    pub fn optional<T: FromStr<Err = Constraint>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Violation> {
        self.read(name, show, str::parse)
    }

    /// Free text that must be there, with its least and greatest length in characters.
    pub fn required_text(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<String, Violation> {
        let value = self.optional_text(name, min, max)?;
        self.not_null(name, value)
    }

    /// Free text that may be missing.
    pub fn optional_text(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
    ) -> Result<Option<String>, Violation> {
        self.read(name, show, |text| check_length(text, min, max).map(|()| text.to_owned()))
    }

    /// A parameter that must be there and is at most `max` characters long, fewer than its type
    /// takes.
    pub(crate) fn required_up_to<T: FromStr<Err = Constraint>>(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<T, Violation> {
        let value = self.optional_up_to(name, max)?;
        self.not_null(name, value)
    }

    /// The same, which may be missing.
    pub(crate) fn optional_up_to<T: FromStr<Err = Constraint>>(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<Option<T>, Violation> {
        self.read(name, show, |text| {
            check_length(text, 0, max)?;
            text.parse()
        })
    }

    /// A text of a shape that must be there.
    pub(crate) fn required_shape(
        &mut self,
        name: &str,
        shape: &Shape,
    ) -> Result<String, Violation> {
        let value = self.optional_shape(name, shape)?;
        self.not_null(name, value)
    }

    /// A text of a shape that may be missing.
    pub(crate) fn optional_shape(
        &mut self,
        name: &str,
        shape: &Shape,
    ) -> Result<Option<String>, Violation> {
        self.read(name, show, |text| shape.check(text).map(|()| text.to_owned()))
    }

    /// A secret that must be there. No message shows it.
    pub(crate) fn required_secret(
        &mut self,
        name: &str,
        shape: &Shape,
    ) -> Result<Secret<String>, Violation> {
        let value = self.optional_secret(name, shape)?;
        self.not_null(name, value)
    }

    /// A secret that may be missing.
    pub(crate) fn optional_secret(
        &mut self,
        name: &str,
        shape: &Shape,
    ) -> Result<Option<Secret<String>>, Violation> {
        self.read(
            name,
            |_| Value::Hidden,
            |text| shape.check(text).map(|()| Secret::new(text.to_owned())),
        )
    }

    /// A whole number that must be there, with its least and greatest value.
    pub fn required_integer(&mut self, name: &str, min: i64, max: i64) -> Result<i64, Violation> {
        let value = self.optional_integer(name, min, max)?;
        self.not_null(name, value)
    }

    /// A whole number that may be missing.
    pub fn optional_integer(
        &mut self,
        name: &str,
        min: i64,
        max: i64,
    ) -> Result<Option<i64>, Violation> {
        self.read(name, show, |text| check_integer(text, min, max))
    }

    /// `true` or `false`, or missing.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Violation> {
        self.read(name, show, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Constraint::Enum(&["true", "false"])),
        })
    }

    /// A list of structures, `name.member.N.Field`, `N` from 1 without gaps. `member` reads one of
    /// them by its fields' names. Without members the list is empty.
    pub fn list<T>(
        &mut self,
        name: &str,
        max: usize,
        mut member: impl FnMut(&mut Self) -> Result<T, Violation>,
    ) -> Result<Vec<T>, Violation> {
        self.members(name, max, |params, index| {
            let prefix = format!("{}{name}.member.{index}.", params.prefix);
            if !params.form.starts(&prefix) {
                return None;
            }
            let shown = format!("{}{}.{index}.member.", params.shown, camel(name));
            let (outer_prefix, outer_shown) = (
                std::mem::replace(&mut params.prefix, prefix),
                std::mem::replace(&mut params.shown, shown),
            );
            let item = member(params);
            (params.prefix, params.shown) = (outer_prefix, outer_shown);
            Some(item)
        })
    }

    /// A list of plain values, `name.member.N`.
    pub fn string_list<T: FromStr<Err = Constraint>>(
        &mut self,
        name: &str,
        max: usize,
    ) -> Result<Vec<T>, Violation> {
        self.members(name, max, |params, index| {
            let member = format!("{name}.member.{index}");
            let text = params.take(&member)?;
            let shown = format!("{}{}.{index}.member", params.shown, camel(name));
            Some(text.parse().map_err(|constraint| params.violated(shown, show(text), constraint)))
        })
    }

    /// All violations at once, or else the first parameter that nobody read.
    pub fn finish(self) -> Result<(), ApiError> {
        if !self.violations.is_empty() {
            return Err(violations_error(&self.violations));
        }
        let unread = self.form.parameters.keys().find(|name| !self.used.contains(name.as_str()));
        unread.map_or(Ok(()), |name| Err(ApiError::unknown_parameter(name)))
    }

    /// Reads members until there are no more. Fails with the first violation, after all are read.
    fn members<T>(
        &mut self,
        name: &str,
        max: usize,
        mut read: impl FnMut(&mut Self, usize) -> Option<Result<T, Violation>>,
    ) -> Result<Vec<T>, Violation> {
        let full = format!("{}{name}", self.prefix);
        // botocore sends an empty list as `name=`.
        if self.form.parameters.get(&full).is_some_and(String::is_empty) {
            self.take(name);
        }
        let mut members = Vec::new();
        let mut index = 1;
        while let Some(member) = read(self, index) {
            members.push(member);
            index += 1;
        }
        if members.len() > max {
            let shown = format!("{}{}", self.shown, camel(name));
            return Err(self.violated(shown, Value::Hidden, Constraint::MaxLength(max)));
        }
        members.into_iter().collect()
    }

    fn read<T>(
        &mut self,
        name: &str,
        show: impl FnOnce(&str) -> Value,
        parse: impl FnOnce(&str) -> Result<T, Constraint>,
    ) -> Result<Option<T>, Violation> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let shown = format!("{}{}", self.shown, camel(name));
        let value = parse(text);
        value.map(Some).map_err(|constraint| self.violated(shown, show(text), constraint))
    }

    fn not_null<T>(&mut self, name: &str, value: Option<T>) -> Result<T, Violation> {
        let shown = format!("{}{}", self.shown, camel(name));
        value.ok_or_else(|| self.violated(shown, Value::Null, Constraint::NotNull))
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let form = self.form;
        let full = format!("{}{name}", self.prefix);
        let (name, value) = form.parameters.get_key_value(&full)?;
        self.used.insert(name);
        Some(value)
    }

    fn violated(&mut self, member: String, value: Value, constraint: Constraint) -> Violation {
        let violation = Violation { member, value, constraint };
        self.violations.push(violation.clone());
        violation
    }
}

fn show(text: &str) -> Value {
    if text.chars().nth(VALUE_SHOWN_CHARS_MAX).is_some() {
        return Value::Hidden;
    }
    Value::Shown(text.to_owned())
}

fn check_length(text: &str, min: usize, max: usize) -> Result<(), Constraint> {
    let count = text.chars().count();
    if count < min {
        return Err(Constraint::MinLength(min));
    }
    if count > max {
        return Err(Constraint::MaxLength(max));
    }
    Ok(())
}

fn check_integer(text: &str, min: i64, max: i64) -> Result<i64, Constraint> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Constraint::Pattern("-?[0-9]+"));
    }
    // What does not fit 64 bits lies beyond every limit.
    let overflow = if digits.len() < text.len() { i64::MIN } else { i64::MAX };
    let number = text.parse().unwrap_or(overflow);
    if number < min {
        return Err(Constraint::MinValue(min));
    }
    if number > max {
        return Err(Constraint::MaxValue(max));
    }
    Ok(number)
}

/// A parameter's name as AWS's messages show it: `UserName` is `userName`.
fn camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_ascii_lowercase(), chars.as_str())
    })
}

#[cfg(test)]
mod tests;
