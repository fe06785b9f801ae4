//! Percent-encoding (RFC 3986, section 2.1), as queries, forms and policy documents use it.
//!
//! **Invariants.** What [`encode`] writes, [`decode`] reads back.
//!
//! **Must not know:** what the text means.

use thiserror::Error;

/// An escape that is none. The texts are AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum EscapeError {
    #[error("Illegal hex character in escape % pattern")]
    IllegalHex,
    #[error("Incomplete trailing escape % sequence")]
    Incomplete,
}

/// RFC 3986's unreserved characters, which are never escaped.
pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Escapes every byte that `keep` does not hold, with upper-case digits.
pub(crate) fn encode(bytes: &[u8], keep: impl Fn(u8) -> bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if keep(*byte) {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            for nibble in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16");
                text.push(digit.to_ascii_uppercase());
            }
        }
    }
    text
}

/// Undoes escapes; `+` is a space, as HTML forms have it and as AWS reads a query.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<u8>, EscapeError> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    let hex = |byte: u8| char::from(byte).to_digit(16).ok_or(EscapeError::IllegalHex);
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().ok_or(EscapeError::Incomplete)?;
                let low = rest.next().ok_or(EscapeError::Incomplete)?;
                let value = hex(*high)? * 16 + hex(*low)?;
                u8::try_from(value).expect("two hex digits fit a byte")
            }
            other => *other,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&bytes, is_unreserved).as_bytes()), Ok(bytes));
        assert_eq!(encode("a b/ü~".as_bytes(), is_unreserved), "a%20b%2F%C3%BC~");
    }

    #[test]
    fn broken_escapes_are_refused() {
        assert_eq!(decode(b"a%2"), Err(EscapeError::Incomplete));
        assert_eq!(decode(b"%"), Err(EscapeError::Incomplete));
        assert_eq!(decode(b"%+1"), Err(EscapeError::IllegalHex));
        assert_eq!(decode(b"%g1"), Err(EscapeError::IllegalHex));
    }
}
