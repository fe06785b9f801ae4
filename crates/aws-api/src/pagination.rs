//! Pages of lists: `MaxItems`, `Marker`, `IsTruncated`.
//!
//! **Invariants.** A page resumes after the last key that was shown, so entries that come or go
//! between two pages neither repeat nor hide others. A marker is at most 320 characters of
//! base64url, which satisfies AWS's pattern `[ -ÿ]+`.
//!
//! **Must not know:** what is listed.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::limits::{MAX_ITEMS_DEFAULT, MAX_ITEMS_MAX};
use sha2::{Digest, Sha256};

use crate::{ApiError, form::Params, shape::MARKER};

/// The greatest length of a marker in characters (AWS: `markerType`).
pub const MARKER_CHARS_MAX: usize = MARKER.max;
/// The longest key that fits a marker as a whole: 240 bytes make 320 characters, one is the form.
const KEY_BYTES_MAX: usize = 239;
/// What is kept of a longer key, beside the hash of all of it.
const PREFIX_BYTES: usize = KEY_BYTES_MAX - HASH_BYTES;
const HASH_BYTES: usize = 32;

/// Where a list goes on: after this key. Opaque to clients, and not authenticated: a forged one
/// only starts somewhere else in a list that the caller may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker(Position);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    /// Form 1: the key.
    Key(Vec<u8>),
    /// Form 2, for keys that are too long: how the key starts, and its SHA-256.
    Long { prefix: Vec<u8>, hash: [u8; HASH_BYTES] },
}

impl Marker {
    /// The marker that goes on after `key`.
    pub fn after(key: &str) -> Self {
        let key = key.as_bytes();
        if key.len() <= KEY_BYTES_MAX {
            return Self(Position::Key(key.to_vec()));
        }
        let prefix = key.iter().copied().take(PREFIX_BYTES).collect();
        Self(Position::Long { prefix, hash: Sha256::digest(key).into() })
    }

    /// Reads a marker that [`Marker`]'s `Display` wrote.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::validation("Invalid Marker.");
        if text.len() > MARKER_CHARS_MAX {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let position = match bytes.split_first() {
            Some((1, key)) => Position::Key(key.to_vec()),
            Some((2, rest)) => {
                let (hash, prefix) = rest.split_first_chunk().ok_or_else(invalid)?;
                if prefix.len() != PREFIX_BYTES {
                    return Err(invalid());
                }
                Position::Long { prefix: prefix.to_vec(), hash: *hash }
            }
            Some(_) | None => return Err(invalid()),
        };
        Ok(Self(position))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.0 {
            Position::Key(key) => [&[1], key.as_slice()].concat(),
            Position::Long { prefix, hash } => [&[2], hash.as_slice(), prefix].concat(),
        };
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Which page the caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    marker: Option<Marker>,
    max_items: usize,
}

impl PageRequest {
    /// Reads `Marker` and `MaxItems`.
    pub fn read(params: &mut Params<'_>) -> Result<Self, ApiError> {
        let marker = params.optional_shape("Marker", &MARKER);
        let greatest = i64::try_from(MAX_ITEMS_MAX).expect("1000 fits");
        let max_items = params.optional_integer("MaxItems", 1, greatest);
        let marker = marker?.as_deref().map(Marker::parse).transpose()?;
        let max_items = max_items?.map_or(MAX_ITEMS_DEFAULT, |items| {
            usize::try_from(items).expect("between 1 and 1000 was checked")
        });
        Ok(Self { marker, max_items })
    }

    /// The same for a listing that the core cuts.
    ///
    /// Only keys of tags can be longer than a marker holds. After such a one the list goes on
    /// before it, and to its end: entries may repeat, and none is left out.
    pub fn into_page(self) -> identity::Page {
        match self.marker.map(|Marker(position)| position) {
            None => identity::Page { marker: None, max_items: self.max_items },
            Some(Position::Key(key)) => {
                let key = String::from_utf8_lossy(&key).into_owned();
                identity::Page { marker: Some(key), max_items: self.max_items }
            }
            Some(Position::Long { prefix, hash: _ }) => {
                let valid = prefix.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                identity::Page { marker: Some(valid.to_owned()), max_items: MAX_ITEMS_MAX }
            }
        }
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What it shows.
    pub items: Vec<T>,
    /// Where the next one starts; `None` on the last page.
    pub marker: Option<Marker>,
}

/// Cuts the page out of entries that come in strictly ascending order of their keys' bytes.
///
/// A key over 239 bytes whose entry was deleted between two pages makes the next page start at the
/// first key with the same 207 bytes: entries may then repeat, and none is left out.
pub fn page<K: AsRef<str>, T>(
    entries: impl IntoIterator<Item = (K, T)>,
    request: &PageRequest,
) -> Page<T> {
    let mut rest = remaining(entries, request.marker.as_ref()).peekable();
    let mut items = Vec::new();
    while let Some((key, item)) = rest.next() {
        items.push(item);
        if items.len() == request.max_items {
            let marker = rest.peek().map(|_| Marker::after(key.as_ref()));
            return Page { items, marker };
        }
    }
    Page { items, marker: None }
}

/// The entries after the marker. Those that share a long key's prefix wait in `tied` until it is
/// known whether the key itself is still among them.
fn remaining<K: AsRef<str>, T>(
    entries: impl IntoIterator<Item = (K, T)>,
    marker: Option<&Marker>,
) -> impl Iterator<Item = (K, T)> {
    let mut entries = entries.into_iter().peekable();
    let mut tied = Vec::new();
    match marker.map(|marker| &marker.0) {
        None => {}
        Some(Position::Key(last)) => {
            while entries.next_if(|(key, _)| key.as_ref().as_bytes() <= last.as_slice()).is_some() {
            }
        }
        Some(Position::Long { prefix, hash }) => {
            while entries.next_if(|(key, _)| key.as_ref().as_bytes() < prefix.as_slice()).is_some()
            {
            }
            let starts = |key: &K| key.as_ref().as_bytes().starts_with(prefix);
            while let Some(entry) = entries.next_if(|(key, _)| starts(key)) {
                let digest: [u8; HASH_BYTES] = Sha256::digest(entry.0.as_ref()).into();
                tied.push(entry);
                if digest == *hash {
                    tied.clear();
                    break;
                }
            }
        }
    }
    tied.into_iter().chain(entries)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::form::Form;

    fn request(body: &str) -> Result<PageRequest, ApiError> {
        let body =
            ["Action=X&Version=2010-05-08", body].join(if body.is_empty() { "" } else { "&" });
        let form = Form::parse("application/x-www-form-urlencoded", body.as_bytes())?;
        let mut params = form.params();
        let page = PageRequest::read(&mut params);
        params.finish()?;
        page
    }

    fn pages(
        mut keys: Vec<String>,
        max_items: usize,
        mut between: impl FnMut(&mut Vec<String>),
    ) -> Vec<String> {
        let mut shown = Vec::new();
        let mut request = PageRequest { marker: None, max_items };
        loop {
            keys.sort();
            let page = page(keys.iter().map(|key| (key, key.clone())), &request);
            assert!(page.items.len() <= max_items);
            shown.extend(page.items);
            let Some(marker) = page.marker else { return shown };
            let text = marker.to_string();
            assert!(text.len() <= MARKER_CHARS_MAX);
            assert_eq!(Marker::parse(&text), Ok(marker.clone()));
            request.marker = Some(marker);
            between(&mut keys);
        }
    }

    fn keys(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("user-{n:03}")).collect()
    }

    #[test]
    fn pages_together_show_every_entry_once() {
        for (count, max_items) in [(0, 1), (1, 1), (2, 1), (9, 3), (10, 3), (11, 3), (3, 1000)] {
            assert_eq!(pages(keys(count), max_items, |_| ()), keys(count), "{count}/{max_items}");
        }
    }

    #[test]
    fn entries_that_come_and_go_hide_no_others() {
        // The last key that was shown goes, one before it comes: neither moves what follows.
        let mut next = 2;
        let shown = pages(keys(9), 3, |keys| {
            keys.retain(|key| *key != format!("user-{next:03}"));
            keys.push("a-new-one-at-the-front".to_owned());
            next += 3;
        });
        assert_eq!(shown, keys(9));
    }

    #[test]
    fn keys_over_the_markers_length_page_as_well() {
        for length in [KEY_BYTES_MAX - 1, KEY_BYTES_MAX, KEY_BYTES_MAX + 200] {
            let keys: Vec<String> = (0..7).map(|n| format!("{:x<length$}{n}", "")).collect();
            assert_eq!(pages(keys.clone(), 2, |_| ()), keys);
        }
        let long: Vec<String> = (0..4).map(|n| format!("{:x<300}{n}", "")).collect();
        let mut deletions = 1;
        let shown = pages(long, 2, |keys| {
            if deletions > 0 {
                keys.remove(1);
                deletions -= 1;
            }
        });
        let last: Vec<char> = shown.iter().filter_map(|key| key.chars().last()).collect();
        assert_eq!(last, ['0', '1', '0', '2', '3']);
    }

    fn check(body: &str, expected: Expect) {
        expected.assert_eq(&match request(body) {
            Ok(PageRequest { marker, max_items }) => format!("{max_items} after {marker:?}"),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn page_requests_are_checked() {
        check("", expect!["100 after None"]);
        check("MaxItems=1", expect!["1 after None"]);
        check(
            "MaxItems=1000&Marker=AWJvYg",
            expect!["1000 after Some(Marker(Key([98, 111, 98])))"],
        );
        check(
            "MaxItems=0",
            expect![
                "ValidationError (400): 1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"
            ],
        );
        check(
            "MaxItems=1001",
            expect![
                "ValidationError (400): 1 validation error detected: Value '1001' at 'maxItems' failed to satisfy constraint: Member must have value less than or equal to 1000"
            ],
        );
        check(
            "MaxItems=ten",
            expect![
                "ValidationError (400): 1 validation error detected: Value 'ten' at 'maxItems' failed to satisfy constraint: Member must satisfy regular expression pattern: -?[0-9]+"
            ],
        );
        check(
            "Marker=",
            expect![
                "ValidationError (400): 1 validation error detected: Value '' at 'marker' failed to satisfy constraint: Member must have length greater than or equal to 1"
            ],
        );
        check("Marker=AWJvYg%3D%3D", expect!["ValidationError (400): Invalid Marker."]);
        check("Marker=A2JvYg", expect!["ValidationError (400): Invalid Marker."]);
        check("Marker=Ag", expect!["ValidationError (400): Invalid Marker."]);
        check(
            &format!("Marker={}", "A".repeat(321)),
            expect![
                "ValidationError (400): 1 validation error detected: Value 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' at 'marker' failed to satisfy constraint: Member must have length less than or equal to 320"
            ],
        );
    }
}
