//! Texts of AWS's service models: their lengths and patterns.
//!
//! **Invariants.** A shape's lengths and the text of its pattern are those of AWS's model, which
//! `tests/e2e/test_model.py` holds them against, character by character.
//!
//! **Must not know:** which action has a member of which shape.

use identity::authorization_message::ENCODED_CHARS_MAX;
use model::Constraint;

/// A text that needs no type of its own further in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The least length in characters.
    pub(crate) min: usize,
    /// The greatest length in characters.
    pub(crate) max: usize,
    /// The regular expression as AWS's messages show it.
    pub(crate) pattern: &'static str,
    /// Whether a character may stand in it.
    pub(crate) accepts: fn(char) -> bool,
}

impl Shape {
    /// Checks a text, its length first.
    pub(crate) fn check(&self, text: &str) -> Result<(), Constraint> {
        let count = text.chars().count();
        if count < self.min {
            return Err(Constraint::MinLength(self.min));
        }
        if count > self.max {
            return Err(Constraint::MaxLength(self.max));
        }
        let ok = text.chars().all(self.accepts);
        ok.then_some(()).ok_or(Constraint::Pattern(self.pattern))
    }
}

/// `\w` is ASCII there.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// AWS: `arnType`.
pub(crate) const ARN: Shape = Shape {
    min: 20,
    max: 2048,
    pattern: r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    accepts: |c| match c {
        '\t' | '\n' | '\r' | '\u{85}' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    },
};

/// AWS: `markerType`.
pub(crate) const MARKER: Shape = Shape {
    min: 1,
    max: 320,
    pattern: r"[\u0020-\u00FF]+",
    accepts: |c| matches!(c, ' '..='\u{ff}'),
};

/// AWS: `accessKeyIdType`.
pub(crate) const ACCESS_KEY_ID: Shape =
    Shape { min: 16, max: 128, pattern: r"[\w]+", accepts: is_word };

/// AWS: STS's `accessKeyIdType`.
pub(crate) const STS_ACCESS_KEY_ID: Shape = Shape { pattern: r"[\w]*", ..ACCESS_KEY_ID };

/// AWS: STS's `clientTokenType`.
pub(crate) const WEB_IDENTITY_TOKEN: Shape =
    Shape { min: 4, max: 20_000, pattern: "", accepts: |_| true };

/// AWS: STS's `encodedMessageType`.
pub(crate) const ENCODED_MESSAGE: Shape =
    Shape { min: 1, max: ENCODED_CHARS_MAX, pattern: "", accepts: |_| true };

/// AWS: STS's `sessionPolicyDocumentType`.
pub(crate) const SESSION_POLICY: Shape =
    Shape { max: model::limits::SESSION_POLICY_CHARS_MAX, ..POLICY_DOCUMENT };

/// AWS: `passwordType`.
pub(crate) const PASSWORD: Shape = Shape { max: 128, ..POLICY_DOCUMENT };

/// AWS: `publicKeyIdType`, `serviceSpecificCredentialId`.
pub(crate) const CREDENTIAL_ID: Shape =
    Shape { min: 20, max: 128, pattern: r"[\w]+", accepts: is_word };

/// AWS: `publicKeyMaterialType`.
pub(crate) const PUBLIC_KEY_MATERIAL: Shape = Shape { max: 16_384, ..POLICY_DOCUMENT };

/// AWS: `certificateIdType`.
pub(crate) const CERTIFICATE_ID: Shape =
    Shape { min: 24, max: 128, pattern: r"[\w]+", accepts: is_word };

/// AWS: `certificateBodyType`.
pub(crate) const CERTIFICATE_BODY: Shape = PUBLIC_KEY_MATERIAL;

/// AWS: `privateKeyType`.
pub(crate) const PRIVATE_KEY: Shape = PUBLIC_KEY_MATERIAL;

/// AWS: `certificateChainType`. A request is shorter than that.
pub(crate) const CERTIFICATE_CHAIN: Shape = Shape { max: 2_097_152, ..PUBLIC_KEY_MATERIAL };

/// AWS: `SAMLMetadataDocumentType`. A request is shorter than that.
pub(crate) const SAML_METADATA: Shape =
    Shape { min: 1000, max: 10_000_000, pattern: "", accepts: |_| true };

/// AWS: `serialNumberType`.
pub(crate) const SERIAL_NUMBER: Shape = Shape {
    min: 9,
    max: SERIAL_NUMBER_CHARS_MAX,
    pattern: r"[\w+=/:,.@-]+",
    accepts: |c| is_word(c) || "+=/:,.@-".contains(c),
};

/// The longest serial number.
pub(crate) const SERIAL_NUMBER_CHARS_MAX: usize = 256;

/// AWS: STS's `serialNumberType`.
pub(crate) const STS_SERIAL_NUMBER: Shape = Shape { pattern: r"[\w+=/:,.@-]*", ..SERIAL_NUMBER };

/// AWS: `authenticationCodeType`.
pub(crate) const AUTHENTICATION_CODE: Shape =
    Shape { min: 6, max: 6, pattern: r"[\d]+", accepts: |c| c.is_ascii_digit() };

/// AWS: STS's `tokenCodeType`.
pub(crate) const TOKEN_CODE: Shape = Shape { pattern: r"[\d]*", ..AUTHENTICATION_CODE };

/// AWS: `policyDocumentType`.
pub(crate) const POLICY_DOCUMENT: Shape = Shape {
    min: 1,
    max: model::limits::POLICY_DOCUMENT_CHARS_MAX,
    pattern: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    accepts: |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};
