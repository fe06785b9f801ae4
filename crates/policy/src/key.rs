//! The global condition keys that AWS documents, and what they hold. AWS: "AWS global condition
//! context keys".
//!
//! **Must not know:** who sets them. A policy may name others; those are always absent.

/// What a key's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Arn,
    Bool,
    Number,
    Date,
    /// Seconds since the epoch: a number and a date.
    Epoch,
    Ip,
}

impl Kind {
    /// In the plural.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Text => "strings",
            Self::Arn => "ARNs",
            Self::Bool => "truth values",
            Self::Number => "numbers",
            Self::Date | Self::Epoch => "dates",
            Self::Ip => "addresses",
        }
    }
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyType {
    pub(crate) kind: Kind,
    /// Whether it has several values.
    pub(crate) many: bool,
}

/// A global key, folded.
pub(crate) fn find(key: &str) -> Option<KeyType> {
    let (name, many) = match key.strip_prefix("aws:")? {
        // A tag's key follows.
        name if ["principaltag/", "requesttag/", "resourcetag/"]
            .iter()
            .any(|tag| name.strip_prefix(tag).is_some_and(|key| !key.is_empty())) =>
        {
            return Some(KeyType { kind: Kind::Text, many: false });
        }
        name => (name, MANY.contains(&name)),
    };
    if many {
        return Some(KeyType { kind: Kind::Text, many });
    }
    let (_, kind) = ONE.iter().find(|(one, _)| *one == name)?;
    Some(KeyType { kind: *kind, many })
}

const MANY: [&str; 6] = [
    "calledvia",
    "principalorgpaths",
    "principalservicenameslist",
    "resourceorgpaths",
    "sourceorgpaths",
    "tagkeys",
];

const ONE: [(&str, Kind); 38] = [
    ("assumedroot", Kind::Bool),
    ("calledviafirst", Kind::Text),
    ("calledvialast", Kind::Text),
    ("chatbotsourcearn", Kind::Arn),
    ("currenttime", Kind::Date),
    ("ec2instancesourceprivateipv4", Kind::Ip),
    ("ec2instancesourcevpc", Kind::Text),
    ("epochtime", Kind::Epoch),
    ("federatedprovider", Kind::Text),
    ("multifactorauthage", Kind::Number),
    ("multifactorauthpresent", Kind::Bool),
    ("principalaccount", Kind::Text),
    ("principalarn", Kind::Arn),
    ("principalisawsservice", Kind::Bool),
    ("principalorgid", Kind::Text),
    ("principalservicename", Kind::Text),
    ("principaltype", Kind::Text),
    ("referer", Kind::Text),
    ("requestedregion", Kind::Text),
    ("resourceaccount", Kind::Text),
    ("resourceorgid", Kind::Text),
    ("securetransport", Kind::Bool),
    ("sourceaccount", Kind::Text),
    ("sourcearn", Kind::Arn),
    ("sourceidentity", Kind::Text),
    ("sourceip", Kind::Ip),
    ("sourceorgid", Kind::Text),
    ("sourcevpc", Kind::Text),
    ("sourcevpcarn", Kind::Arn),
    ("sourcevpce", Kind::Text),
    ("tokenissuetime", Kind::Date),
    ("useragent", Kind::Text),
    ("userid", Kind::Text),
    ("username", Kind::Text),
    ("viaawsservice", Kind::Bool),
    ("vpceaccount", Kind::Text),
    ("vpceorgid", Kind::Text),
    ("vpcsourceip", Kind::Ip),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_by_their_folded_names() {
        assert!(ONE.is_sorted_by_key(|(name, _)| name) && MANY.is_sorted());
        for (key, expected) in [
            ("aws:sourceip", Some((Kind::Ip, false))),
            ("aws:tagkeys", Some((Kind::Text, true))),
            ("aws:principaltag/team", Some((Kind::Text, false))),
            ("aws:principaltag/", None),
            ("aws:sourceips", None),
            ("s3:prefix", None),
        ] {
            let found = find(key).map(|KeyType { kind, many }| (kind, many));
            assert_eq!(found, expected, "{key}");
        }
    }
}
