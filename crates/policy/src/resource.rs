//! The policy of the resource: whom it names, and how far it lets them do without other policies.
//! AWS: "Policy evaluation logic", "JSON policy elements: Principal" and "NotPrincipal".
//!
//! **Invariants.** As in [`crate::evaluate_trust`], an ARN stands for the unique id it is bound to.
//! A document that is no resource policy allows nothing here. Across accounts a resource's policy
//! is one of two sides that must allow.
//!
//! **Must not know:** the principal's own policies.

use std::sync::Arc;

use model::{AccountId, UniqueId, UniqueIdKind};

use crate::{
    Document, DocumentKind, Effect, Layer, Principal, Request, Source, Statement, TrustCaller,
    TrustGrant, budget::Budget, evaluate::Found, statement::Principals, trust::names, truth::Truth,
};

/// The policy of the resource of a request, and how the caller stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLayer {
    /// Its policy; several if it has more than one. Without any, a caller of another account is
    /// refused.
    pub sources: Vec<Source>,
    /// What the ARNs of its principals stand for: [`Document::bind_principals`].
    pub bindings: Vec<(String, UniqueId)>,
    /// Who asks.
    pub caller: TrustCaller,
    /// Whether the caller asks through a session, whatever its kind.
    pub session: CallerSession,
    /// The account that the resource belongs to.
    pub owner: AccountId,
}

/// Whether a caller acts through temporary credentials, which may have been given to it with less
/// than its principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerSession {
    /// A user or root with a long-term credential.
    None,
    /// A role's session, or one of a user.
    Temporary,
}

/// How far a policy of the resource lets its caller do without others, within one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// It leaves it to the account: the identity policies must allow too.
    Account,
    /// Identity policies need not allow; a permissions boundary and session policies must.
    Principal,
    /// Of the caller's policies only guard rails must allow.
    Whole,
}

/// Whether a grant makes up for what a layer of the caller's policies does not allow.
pub(crate) fn is_spared(layer: Layer, granted: Option<Grant>) -> bool {
    match layer {
        Layer::GuardRail | Layer::Resource | Layer::Trust => false,
        Layer::Identity => granted >= Some(Grant::Principal),
        Layer::Boundary | Layer::Session => granted >= Some(Grant::Whole),
    }
}

impl ResourceLayer {
    /// Whether the resource is of another account, so that both sides must allow.
    pub(crate) fn is_foreign(&self) -> bool {
        self.owner != self.caller.account
    }

    /// The statements of any alternative that deny, or may.
    pub(crate) fn denies(&self, request: &Request<'_>, budget: &Budget) -> Vec<Found<'_>> {
        let names = |statement: &Statement| self.names_within(statement, budget).0;
        self.sources.iter().flat_map(|source| source.denies_as(request, budget, names)).collect()
    }

    /// The statements that grant something, of each source the furthest, and the furthest grant.
    pub(crate) fn allows(
        &self,
        request: &Request<'_>,
        budget: &Budget,
    ) -> (Vec<Found<'_>>, Option<Grant>) {
        let (mut grant, mut found) = (None, Vec::new());
        for source in &self.sources {
            if let Some((given, statements)) = self.source_allows(source, request, budget) {
                grant = grant.max(Some(given));
                found.extend(statements);
            }
        }
        (found, grant)
    }

    /// The least of what the alternatives of a source grant, if it is certain and each grants
    /// something.
    pub(crate) fn source_allows<'a>(
        &self,
        source: &'a Source,
        request: &Request<'_>,
        budget: &Budget,
    ) -> Option<(Grant, Vec<Found<'a>>)> {
        if !source.certain {
            return None;
        }
        let furthest = |document: &'a Arc<Document>| {
            let mut best: Option<(Grant, Found<'a>)> = None;
            for (index, statement) in document.statements().iter().enumerate() {
                if document.kind() != DocumentKind::Resource || statement.effect() != Effect::Allow
                {
                    continue;
                }
                let (named, grant) = self.names_within(statement, budget);
                if named == Truth::True
                    && best.as_ref().is_none_or(|(other, _)| *other < grant)
                    && statement.applies(request, budget) == Truth::True
                {
                    best = Some((grant, source.found(document, index, statement)));
                }
            }
            best
        };
        let found = source.alternatives.iter().map(furthest).collect::<Option<Vec<_>>>()?;
        let grant = found.iter().map(|(grant, _)| *grant).min()?;
        Some((grant, found.into_iter().map(|(_, found)| found).collect()))
    }

    pub(crate) fn names_within(&self, statement: &Statement, budget: &Budget) -> (Truth, Grant) {
        // Each principal is looked for among the bindings.
        let steps = statement.principals().len().saturating_mul(1 + self.bindings.len());
        if budget.spend(steps) { self.names(statement) } else { (Truth::Unknown, Grant::Account) }
    }

    /// Whether a statement is about the caller, and how far it then grants.
    pub(crate) fn names(&self, statement: &Statement) -> (Truth, Grant) {
        let named = |principal| names(principal, &self.bindings, &self.caller).0;
        match &statement.principals {
            Principals::Any(principals) => {
                let truth = Truth::any(principals.iter().map(named));
                let certain = principals.iter().filter(|one| named(one) == Truth::True);
                let furthest = certain.map(|one| self.grant(one)).max();
                (truth, furthest.unwrap_or(Grant::Account))
            }
            Principals::AllBut(principals) => (self.is_exempt(principals).not(), Grant::Account),
        }
    }

    /// AWS: who is spared by `NotPrincipal` is listed with every name it acts under: its account,
    /// its user or role, and the session if it is one.
    fn is_exempt(&self, principals: &[Principal]) -> Truth {
        let any = |wanted: fn(&Principal) -> bool| {
            let those = principals.iter().filter(|principal| wanted(principal));
            Truth::any(those.map(|one| names(one, &self.bindings, &self.caller).0))
        };
        let account = any(|one| matches!(one, Principal::Account(_)));
        let principal = match self.caller.unique_id.kind() {
            // Root has no name but its account's.
            Some(UniqueIdKind::Root) => account,
            _ => any(|one| matches!(one, Principal::Arn(_) | Principal::UniqueId(_))),
        };
        let session = if self.caller.unique_id.kind() == Some(UniqueIdKind::Role) {
            any(|one| matches!(one, Principal::Session(_)))
        } else {
            Truth::True
        };
        let anyone = any(|one| *one == Principal::Anyone);
        Truth::any([anyone, Truth::all([account, principal, session])])
    }

    /// How far a principal that is the caller is granted what a statement allows.
    fn grant(&self, principal: &Principal) -> Grant {
        match names(principal, &self.bindings, &self.caller).1 {
            TrustGrant::Account if *principal != Principal::Anyone => Grant::Account,
            // AWS does not say how far a session goes by what anyone may do: no further than by
            // what its principal may do.
            TrustGrant::Account | TrustGrant::Direct => match (principal, self.session) {
                (Principal::Session(_), _) | (_, CallerSession::None) => Grant::Whole,
                // The grant is its principal's, from which the session has what it was given.
                (_, CallerSession::Temporary) => Grant::Principal,
            },
        }
    }
}
