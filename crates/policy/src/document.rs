//! Policy documents, from text to statements. AWS: "Grammar of the IAM JSON policy language".
//!
//! **Invariants.** A [`Document`] was understood to its last element: whatever the language has and
//! this crate does not support is refused here. The text is kept as it came in.
//!
//! **Must not know:** who a document is attached to.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use model::{UniqueId, limits::POLICY_DOCUMENT_CHARS_MAX};

use crate::{
    Flaw, ParseError, Principal, Problem,
    block::Block,
    condition,
    json::{self, Json, Member, Value},
    pattern::{Pattern, Reading},
    principal,
    statement::{self, Actions, Effect, Principals, Resources, Statement},
};

/// What a document is used for, which decides the elements it must and must not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A managed or inline policy, or a permissions boundary: has resources, no principals.
    Identity,
    /// A role's trust policy: has principals, no resources.
    Trust,
    /// A session policy: as [`DocumentKind::Identity`].
    Session,
    /// A policy of a resource: has principals and resources. `NotPrincipal` is for denials.
    Resource,
}

impl DocumentKind {
    /// Whether its statements may allow whoever it is attached to. A trust policy's name no
    /// resource and would allow on every one; a resource policy's are about those they name.
    pub(crate) fn allows_its_owner(self) -> bool {
        match self {
            Self::Identity | Self::Session => true,
            Self::Trust | Self::Resource => false,
        }
    }
}

/// A policy document that was understood.
#[derive(Clone)]
pub struct Document {
    text: String,
    kind: DocumentKind,
    id: Option<String>,
    statements: Vec<Statement>,
    /// Made of the statements when it is first asked for.
    block: OnceLock<Arc<Block>>,
}

/// What it is made of: all else follows from that, some of it when it is first asked for.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, kind, id: _, statements: _, block: _ } = self;
        f.debug_struct("Document").field("kind", kind).field("text", text).finish()
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        let Self { text, kind, id: _, statements: _, block: _ } = self;
        (text, kind) == (&other.text, &other.kind)
    }
}

impl Eq for Document {}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Whatever is wrong first, in AWS's words: the JSON, the syntax, then statement by statement.
    pub fn parse(text: &str, kind: DocumentKind) -> Result<Self, ParseError> {
        if text.chars().nth(POLICY_DOCUMENT_CHARS_MAX).is_some() {
            return Err(ParseError::whole(Problem::TooLong));
        }
        Parser { text, kind, variables: false }.document()
    }

    /// The text as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is used for.
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// The `Id` element.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its characters without white space, as AWS's quotas count them.
    pub fn chars(&self) -> usize {
        self.text.chars().filter(|c| !c.is_whitespace()).count()
    }

    /// Its statements, in order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Its statements, prepared for all sets of policies that it will be in.
    pub(crate) fn block(&self) -> &Arc<Block> {
        self.block.get_or_init(|| Arc::new(Block::new(&self.statements)))
    }

    /// How many bytes its [`Compiled`](crate::Compiled) form takes that all sets share.
    pub fn compiled_bytes(&self) -> usize {
        self.block().bytes()
    }

    /// All principals of its statements, in order. Empty unless it is a trust or resource policy.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.statements.iter().flat_map(Statement::principals)
    }

    /// Binds each principal given as the ARN of a user, role or role session to the unique id that
    /// `resolve` knows for it, once each, in order. The result is saved beside the document, so
    /// that who takes a deleted principal's name does not take its grants (DESIGN §4). `resolve`
    /// gets the ARN as written; a role session's (`assumed-role/ROLE/SESSION`) is bound to its
    /// role's unique id. What it does not know stays unbound, and an unbound ARN is granted
    /// nothing.
    pub fn bind_principals(
        &self,
        resolve: impl Fn(&str) -> Option<UniqueId>,
    ) -> Vec<(String, UniqueId)> {
        let mut bindings: Vec<(String, UniqueId)> = Vec::new();
        for arn in self.principals().filter_map(Principal::bindable_arn) {
            if bindings.iter().any(|(bound, _)| bound == arn) {
                continue;
            }
            if let Some(id) = resolve(arn) {
                bindings.push((arn.to_owned(), id));
            }
        }
        bindings
    }
}

struct Parser<'a> {
    text: &'a str,
    kind: DocumentKind,
    variables: bool,
}

/// The elements of a statement, by name.
#[derive(Default)]
struct Elements<'a> {
    sid: Option<&'a Json>,
    effect: Option<&'a Json>,
    action: Option<&'a Member>,
    not_action: Option<&'a Member>,
    resource: Option<&'a Member>,
    not_resource: Option<&'a Member>,
    principal: Option<&'a Member>,
    not_principal: Option<&'a Member>,
    condition: Option<&'a Json>,
}

impl Parser<'_> {
    fn fail<T>(&self, problem: Problem, at: usize) -> Result<T, ParseError> {
        Err(ParseError::at(problem, self.text, at))
    }

    fn syntax<T>(&self, flaw: Flaw, found: &str, at: usize) -> Result<T, ParseError> {
        self.fail(Problem::Syntax { flaw, found: found.to_owned() }, at)
    }

    fn document(mut self) -> Result<Document, ParseError> {
        let json = json::read(self.text)?;
        let Value::Object(members) = &json.value else {
            return self.syntax(Flaw::Type, "policy", json.at);
        };
        let (mut version, mut id, mut statement) = (None, None, None);
        for member in members {
            match member.key.as_str() {
                "Version" => version = Some(&member.value),
                "Id" => id = Some(self.string(&member.value, "Id")?.to_owned()),
                "Statement" => statement = Some(&member.value),
                other => return self.syntax(Flaw::Element, other, member.at),
            }
        }
        // AWS: the default is the older language, which has no variables.
        self.variables = match version {
            None => false,
            Some(json) => match self.string(json, "Version")? {
                "2012-10-17" => true,
                "2008-10-17" => false,
                _ => return self.fail(Problem::Version, json.at),
            },
        };
        let Some(statement) = statement else {
            return self.syntax(Flaw::Missing, "Statement", json.at);
        };
        let statements = match &statement.value {
            Value::Array(items) if !items.is_empty() => {
                items.iter().map(|item| self.statement(item)).collect::<Result<Vec<_>, _>>()?
            }
            Value::Object(_) => vec![self.statement(statement)?],
            Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => return self.syntax(Flaw::Type, "Statement", statement.at),
        };
        self.check_sids(&statements, statement.at)?;
        let (text, block) = (self.text.to_owned(), OnceLock::new());
        Ok(Document { text, kind: self.kind, id, statements, block })
    }

    fn check_sids(&self, statements: &[Statement], at: usize) -> Result<(), ParseError> {
        let mut sids: Vec<&str> = statements.iter().filter_map(Statement::sid).collect();
        sids.sort_unstable();
        let count = sids.len();
        sids.dedup();
        if sids.len() == count { Ok(()) } else { self.fail(Problem::DuplicateSid, at) }
    }

    fn statement(&self, json: &Json) -> Result<Statement, ParseError> {
        let elements = self.elements(json)?;
        let sid = elements.sid.map(|sid| self.sid(sid)).transpose()?.flatten();
        let Some(effect) = elements.effect else {
            return self.syntax(Flaw::Missing, "Effect", json.at);
        };
        let effect = match self.string(effect, "Effect")? {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            other => return self.syntax(Flaw::Value, other, effect.at),
        };
        let actions = self.actions(&elements, json.at)?;
        let (resources, principals) = match self.kind {
            DocumentKind::Identity | DocumentKind::Session => {
                if let Some(principal) = elements.principal {
                    return self.fail(Problem::Principal, principal.at);
                }
                (self.resources(&elements, json.at)?, Principals::Any(Vec::new()))
            }
            DocumentKind::Trust => {
                if let Some(member) = elements.resource {
                    return self.fail(Problem::Prohibited("Resource"), member.at);
                }
                if let Some(member) = elements.not_resource {
                    return self.fail(Problem::Prohibited("NotResource"), member.at);
                }
                (Resources::All, self.principals(&elements, json.at)?)
            }
            DocumentKind::Resource => {
                let principals = self.principals(&elements, json.at)?;
                // AWS: it would allow everyone else, those that nobody has signed in as included.
                if let (Effect::Allow, Some(member)) = (effect, elements.not_principal) {
                    return self.fail(Problem::Prohibited("NotPrincipal"), member.at);
                }
                (self.resources(&elements, json.at)?, principals)
            }
        };
        let conditions = match elements.condition {
            None => Vec::new(),
            Some(json) => condition::parse(json, self.text, self.variables)?,
        };
        Ok(Statement { sid, effect, actions, resources, principals, conditions: conditions.into() })
    }

    fn elements<'j>(&self, json: &'j Json) -> Result<Elements<'j>, ParseError> {
        let Value::Object(members) = &json.value else {
            return self.syntax(Flaw::Type, "Statement", json.at);
        };
        let mut elements = Elements::default();
        for member in members {
            match member.key.as_str() {
                "Sid" => elements.sid = Some(&member.value),
                "Effect" => elements.effect = Some(&member.value),
                "Action" => elements.action = Some(member),
                "NotAction" => elements.not_action = Some(member),
                "Resource" => elements.resource = Some(member),
                "NotResource" => elements.not_resource = Some(member),
                "Principal" => elements.principal = Some(member),
                "Condition" => elements.condition = Some(&member.value),
                // AWS: neither identity-based nor trust policies may have it.
                "NotPrincipal" => match self.kind {
                    DocumentKind::Identity | DocumentKind::Session => {
                        return self.fail(Problem::Principal, member.at);
                    }
                    DocumentKind::Trust => {
                        return self.fail(Problem::Prohibited("NotPrincipal"), member.at);
                    }
                    DocumentKind::Resource => elements.not_principal = Some(member),
                },
                other => return self.syntax(Flaw::Element, other, member.at),
            }
        }
        Ok(elements)
    }

    fn sid(&self, json: &Json) -> Result<Option<String>, ParseError> {
        let sid = self.string(json, "Sid")?;
        if !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return self.fail(Problem::Sid, json.at);
        }
        Ok((!sid.is_empty()).then(|| sid.to_owned()))
    }

    fn actions(&self, elements: &Elements<'_>, at: usize) -> Result<Actions, ParseError> {
        let (member, negated) = match (elements.action, elements.not_action) {
            (Some(_), Some(both)) => return self.syntax(Flaw::Both, "NotAction", both.at),
            (Some(member), None) => (member, false),
            (None, Some(member)) => (member, true),
            (None, None) => return self.fail(Problem::NoActions, at),
        };
        if negated && self.kind == DocumentKind::Trust {
            return self.fail(Problem::Prohibited("NotAction"), member.at);
        }
        let reading = Reading { wildcards: true, variables: false, fold: true };
        let mut patterns = Vec::new();
        for (text, at) in self.strings(member)? {
            let trust = self.kind == DocumentKind::Trust;
            statement::check_action(text, trust)
                .and_then(|()| Pattern::parse(text, reading))
                .map(|pattern| patterns.push(pattern))
                .or_else(|problem| self.fail(problem, at))?;
        }
        if patterns.is_empty() {
            return self.fail(Problem::NoActions, member.at);
        }
        Ok(if negated { Actions::AllBut(patterns) } else { Actions::Any(patterns) })
    }

    fn resources(&self, elements: &Elements<'_>, at: usize) -> Result<Resources, ParseError> {
        let (member, negated) = match (elements.resource, elements.not_resource) {
            (Some(_), Some(both)) => return self.syntax(Flaw::Both, "NotResource", both.at),
            (Some(member), None) => (member, false),
            (None, Some(member)) => (member, true),
            (None, None) => return self.fail(Problem::NoResources, at),
        };
        let reading = Reading { wildcards: true, variables: self.variables, fold: false };
        let mut patterns = Vec::new();
        for (text, at) in self.strings(member)? {
            let pattern = Pattern::parse(text, reading)
                .and_then(|pattern| {
                    statement::check_resource(text, &pattern.skeleton()).map(|()| pattern)
                })
                .or_else(|problem| self.fail(problem, at))?;
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return self.fail(Problem::NoResources, member.at);
        }
        Ok(if negated { Resources::AllBut(patterns) } else { Resources::Any(patterns) })
    }

    fn principals(&self, elements: &Elements<'_>, at: usize) -> Result<Principals, ParseError> {
        match (elements.principal, elements.not_principal) {
            (Some(_), Some(both)) => self.syntax(Flaw::Both, "NotPrincipal", both.at),
            (Some(member), None) => self.principal_list(member).map(Principals::Any),
            (None, Some(member)) => self.principal_list(member).map(Principals::AllBut),
            (None, None) => self.fail(Problem::NoPrincipal, at),
        }
    }

    fn principal_list(&self, principal: &Member) -> Result<Vec<Principal>, ParseError> {
        let kinds = match &principal.value.value {
            Value::String(text) if text == "*" => return Ok(vec![Principal::Anyone]),
            Value::Object(kinds) if !kinds.is_empty() => kinds,
            Value::Object(_)
            | Value::String(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_) => return self.syntax(Flaw::Value, "Principal", principal.value.at),
        };
        let mut principals = Vec::new();
        for member in kinds {
            let texts = self.strings(member)?;
            if texts.is_empty() {
                return self.syntax(Flaw::Missing, &member.key, member.value.at);
            }
            for (text, at) in texts {
                let principal = principal::parse(&member.key, text)
                    .and_then(|principal| self.check_principal(&member.key, text, principal))
                    .or_else(|problem| self.fail(problem, at))?;
                principals.push(principal);
            }
        }
        Ok(principals)
    }

    /// Refuses what only resource policies may name.
    fn check_principal(
        &self,
        kind: &str,
        text: &str,
        principal: Principal,
    ) -> Result<Principal, Problem> {
        match (&principal, self.kind) {
            (Principal::Canonical(_), DocumentKind::Resource) => Ok(principal),
            (Principal::Canonical(_), _) => {
                Err(Problem::InvalidPrincipal { kind: kind.to_owned(), value: text.to_owned() })
            }
            _ => Ok(principal),
        }
    }

    fn string<'j>(&self, json: &'j Json, element: &str) -> Result<&'j str, ParseError> {
        match &json.value {
            Value::String(text) => Ok(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => self.syntax(Flaw::Type, element, json.at),
        }
    }

    /// A string or a list of strings, with their places.
    fn strings<'j>(&self, member: &'j Member) -> Result<Vec<(&'j str, usize)>, ParseError> {
        let items = match &member.value.value {
            Value::Array(items) => items.as_slice(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => std::slice::from_ref(&member.value),
        };
        items.iter().map(|item| Ok((self.string(item, &member.key)?, item.at))).collect()
    }
}
