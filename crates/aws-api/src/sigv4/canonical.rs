//! The canonical form of a request, which is what a signature covers.
//! AWS: "Create a signed AWS API request", step 1.
//!
//! **Invariants.** Computed from the request as it is on the wire, and from nothing else.
//!
//! **Must not know:** keys, dates, scopes.

use std::collections::BTreeMap;

use super::{AuthError, HttpRequest};
use crate::percent::{decode, encode, is_unreserved};

/// A request's headers by name.
pub(super) struct Headers<'a>(BTreeMap<&'a str, Vec<&'a [u8]>>);

impl<'a> Headers<'a> {
    pub(super) fn new(headers: impl IntoIterator<Item = &'a (String, Vec<u8>)>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for (name, value) in headers {
            by_name.entry(name).or_default().push(value);
        }
        Self(by_name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }

    /// The values of all headers of this name.
    pub(super) fn get(&self, name: &str) -> &[&'a [u8]] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first header of this name, as text.
    pub(super) fn text(&self, name: &str) -> Option<Result<&'a str, std::str::Utf8Error>> {
        self.get(name).first().map(|value| std::str::from_utf8(value))
    }
}

pub(super) fn canonical_request(
    request: &HttpRequest<'_>,
    headers: &Headers<'_>,
    signed: &[&str],
    hash: &str,
) -> Result<Vec<u8>, AuthError> {
    let mut canonical = Vec::new();
    for line in [request.method, &canonical_path(request.path), &canonical_query(request.query)?] {
        canonical.extend_from_slice(line.as_bytes());
        canonical.push(b'\n');
    }
    for name in signed {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        let values: Vec<Vec<u8>> = headers.get(name).iter().map(|value| trim_all(value)).collect();
        canonical.extend_from_slice(&values.join(&b','));
        canonical.push(b'\n');
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(signed.join(";").as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(hash.as_bytes());
    Ok(canonical)
}

/// Without empty, `.` and `..` segments, and escaped once more than on the wire, as all services
/// but S3 have it.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        normal.push('/');
    }
    encode(normal.as_bytes(), |byte| is_unreserved(byte) || byte == b'/')
}

/// Sorted by escaped name and value, each escaped in exactly one way.
fn canonical_query(query: &str) -> Result<String, AuthError> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let escape =
            |text: &str| decode(text.as_bytes()).map(|plain| encode(&plain, is_unreserved));
        pairs.push((escape(name)?, escape(value)?));
    }
    pairs.sort();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(pairs.join("&"))
}

/// No white space around the value, single spaces inside.
fn trim_all(value: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> =
        value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}
