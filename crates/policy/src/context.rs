//! What is known about a request: condition keys and their values.
//!
//! **Invariants.** Keys compare without case, by [`model::fold`], as the tags do whose keys are in
//! them. A key without a value is absent.
//!
//! **Must not know:** which keys exist, or what they mean.

use model::fold;

use crate::name::hash;

/// Keys of more entries are searched by halves.
const SCANNED_MAX: usize = 48;

/// What a context holds for a key that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextValue {
    /// At least one value.
    Known(Vec<String>),
    /// There may be values, but which ones is contested (DESIGN §4): a condition on it never
    /// satisfies an `Allow` and always satisfies a `Deny`.
    Unknown,
}

/// The condition keys of one request. AWS: "Global condition context keys".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// In order of the keys, which are folded.
    values: Vec<(String, ContextValue)>,
    /// The number of each key, beside each other.
    hashes: Vec<u32>,
    /// Folded.
    unknown_prefixes: Vec<String>,
}

impl Context {
    /// A context without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key to one value, in place of what it was.
    pub fn insert(&mut self, key: &str, value: impl Into<String>) {
        self.insert_many(key, [value]);
    }

    /// Sets a key to several values, in place of what it was. No values make the key absent.
    pub fn insert_many<V: Into<String>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.is_empty() {
            self.set(fold(key), None);
        } else {
            self.set(fold(key), Some(ContextValue::Known(values)));
        }
    }

    fn set(&mut self, key: String, value: Option<ContextValue>) {
        match (self.place(&key), value) {
            (Ok(at), Some(value)) => {
                if let Some((_, old)) = self.values.get_mut(at) {
                    *old = value;
                }
            }
            (Ok(at), None) => {
                self.values.remove(at);
                self.hashes.remove(at);
            }
            (Err(at), Some(value)) => {
                self.hashes.insert(at, hash(key.as_bytes()));
                self.values.insert(at, (key, value));
            }
            (Err(_), None) => {}
        }
    }

    /// Where a folded key is, or belongs.
    fn place(&self, key: &str) -> Result<usize, usize> {
        self.values.binary_search_by(|(other, _)| other.as_str().cmp(key))
    }

    fn find(&self, key: &str, number: u32) -> Option<&ContextValue> {
        if self.hashes.len() > SCANNED_MAX {
            let at = self.place(key).ok()?;
            return self.values.get(at).map(|(_, value)| value);
        }
        let alike = self.hashes.iter().zip(&self.values).filter(|(other, _)| **other == number);
        alike.map(|(_, entry)| entry).find(|(other, _)| other == key).map(|(_, value)| value)
    }

    /// Says that a key's values are contested.
    pub fn insert_unknown(&mut self, key: &str) {
        self.set(fold(key), Some(ContextValue::Unknown));
    }

    /// Says that any key which begins with `prefix` may have values that nobody knows, in place of
    /// those that it has.
    pub fn insert_unknown_under(&mut self, prefix: &str) {
        let prefix = fold(prefix);
        self.values.retain(|(key, _)| !key.starts_with(&prefix));
        self.hashes = self.values.iter().map(|(key, _)| hash(key.as_bytes())).collect();
        self.unknown_prefixes.push(prefix);
    }

    /// What a key holds, `None` if it is absent.
    pub fn get(&self, key: &str) -> Option<&ContextValue> {
        let found = self.find(key, hash(key.as_bytes())).or_else(|| {
            let key = fold(key);
            self.find(&key, hash(key.as_bytes()))
        });
        if found.is_some() || self.unknown_prefixes.is_empty() {
            return found;
        }
        let key = fold(key);
        let unknown = self.unknown_prefixes.iter().any(|prefix| key.starts_with(prefix));
        unknown.then_some(&ContextValue::Unknown)
    }

    /// What a key holds that is folded already; allocates nothing.
    pub(crate) fn get_folded(&self, key: &str) -> Option<&ContextValue> {
        self.get_numbered(key, hash(key.as_bytes()))
    }

    /// [`Self::get_folded`] of a key whose number is known.
    pub(crate) fn get_numbered(&self, key: &str, number: u32) -> Option<&ContextValue> {
        self.find(key, number).or_else(|| {
            let unknown = self.unknown_prefixes.iter().any(|prefix| key.starts_with(prefix));
            unknown.then_some(&ContextValue::Unknown)
        })
    }

    /// All keys that were set, folded, with what they hold, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ContextValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_found_as_few_are() {
        let mut context = Context::new();
        let keys: Vec<String> =
            (0..3 * SCANNED_MAX).map(|n| format!("k:{}", n * 7 % 150)).collect();
        for (count, key) in keys.iter().enumerate() {
            assert_eq!(context.get(key), None, "{key} of {count}");
            context.insert(key, key.clone());
            for known in keys.iter().take(count + 1) {
                assert_eq!(context.get(known), Some(&ContextValue::Known(vec![known.clone()])));
            }
        }
        assert!(context.iter().map(|(key, _)| key).is_sorted());
        for key in &keys {
            context.insert_many(key, Vec::<String>::new());
            assert_eq!(context.get(key), None);
        }
        assert_eq!(context, Context::new());
    }

    #[test]
    fn keys_ignore_case_and_empty_lists_are_absence() {
        let mut context = Context::new();
        context.insert("aws:UserName", "Bob");
        let bob = ContextValue::Known(vec!["Bob".to_owned()]);
        assert_eq!(context.get("AWS:username"), Some(&bob));
        context.insert_unknown("aws:username");
        assert_eq!(context.get("aws:UserName"), Some(&ContextValue::Unknown));
        context.insert_many("AWS:USERNAME", Vec::<String>::new());
        assert_eq!(context.get("aws:UserName"), None);
    }

    #[test]
    fn a_key_under_an_unknown_prefix_is_unknown_whatever_it_was_until_it_is_set() {
        let mut context = Context::new();
        context.insert("a:tag/x", "1");
        context.insert("a:tags", "1");
        context.insert_unknown_under("A:Tag/");
        for (key, unknown) in [("a:tag/x", true), ("a:TAG/y", true), ("a:tags", false)] {
            assert_eq!(context.get(key) == Some(&ContextValue::Unknown), unknown, "{key}");
        }
        assert_eq!(context.get("a:tag"), None);
        context.insert("a:tag/y", "2");
        assert_eq!(context.get("a:tag/y"), Some(&ContextValue::Known(vec!["2".to_owned()])));
    }

    #[test]
    fn a_tag_is_found_by_every_key_that_the_tags_owner_holds_for_the_same() {
        let keys = ["Team", "tEAM", "GRÖSSE", "größe", "gröSSe", "ΟΔΟΣ", "οδος", "οδοσ", "İ", "i"];
        for set in keys {
            let mut context = Context::new();
            context.insert(&format!("aws:ResourceTag/{set}"), "x");
            for asked in keys {
                let tag = |key: &str| key.parse::<model::TagKey>().unwrap().fold();
                let found = context.get(&format!("AWS:resourcetag/{asked}")).is_some();
                assert_eq!(found, tag(set) == tag(asked), "{set} {asked}");
            }
        }
    }
}
