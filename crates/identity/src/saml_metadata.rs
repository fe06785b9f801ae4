//! SAML metadata: what an identity provider says of itself.
//!
//! **Invariants.** One document of one entity. What the XML reader would have to resolve is
//! refused: document types, entities, prefixes that nobody declared. Depth is bounded, and so is
//! length by who calls.
//!
//! **Must not know:** whose a document is; assertions.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Timestamp;
use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesStart, Event},
    name::{Namespace, ResolveResult},
};

use crate::certificate::Certificate;

const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// How many elements may be around one.
const DEPTH_MAX: usize = 32;
/// The longest entity id, in characters (SAML 2.0 metadata, 2.2.1).
const ENTITY_ID_CHARS_MAX: usize = 1024;

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SamlMetadata {
    /// Who it is about.
    pub(crate) entity_id: String,
    /// With which keys that one signs, at least one.
    pub(crate) signing: Vec<Certificate>,
    /// Until when it holds: as it says itself, and while one of the certificates is valid.
    pub(crate) expires: Timestamp,
}

/// Where in a document the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Entity,
    IdentityProvider,
    SigningKey,
    KeyInfo,
    X509Data,
    Certificate,
    Elsewhere,
}

/// Reads a document; `None` if it is none, or lacks what a provider needs.
pub(crate) fn parse(text: &str) -> Option<SamlMetadata> {
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.enable_all_checks(true);
    config.expand_empty_elements = true;
    let mut found = Found::default();
    let mut places: Vec<Place> = Vec::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        match event {
            Event::Start(element) => {
                let namespace = match namespace {
                    ResolveResult::Bound(Namespace(name)) => name,
                    ResolveResult::Unbound => "",
                    ResolveResult::Unknown(_) => return None,
                };
                let place = found.enter(places.last().copied(), namespace, &element)?;
                places.push(place);
                if places.len() > DEPTH_MAX {
                    return None;
                }
            }
            Event::End(_) => {
                if places.pop() == Some(Place::Certificate) {
                    found.end_certificate()?;
                }
            }
            Event::Text(text) => found.read(&places, &text.xml10_content())?,
            Event::CData(text) => found.read(&places, &text.xml10_content())?,
            Event::GeneralRef(_) if places.last() == Some(&Place::Elsewhere) => {}
            Event::GeneralRef(_) | Event::DocType(_) | Event::Empty(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if places.is_empty() => return found.finish(),
            Event::Eof => return None,
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Found {
    entity_id: Option<String>,
    says_until: Option<Timestamp>,
    encoded: String,
    signing: Vec<Certificate>,
}

impl Found {
    /// What an element within `around` is; `None` if it must not be there.
    fn enter(
        &mut self,
        around: Option<Place>,
        namespace: &str,
        element: &BytesStart<'_>,
    ) -> Option<Place> {
        let name = element.local_name();
        let place = match (around, namespace, name.as_ref()) {
            (None, METADATA, "EntityDescriptor") if self.entity_id.is_none() => Place::Entity,
            (None, ..) => return None,
            (Some(Place::Entity), METADATA, "IDPSSODescriptor") => Place::IdentityProvider,
            (Some(Place::IdentityProvider), METADATA, "KeyDescriptor") => {
                match attribute(element, "use")?.as_deref() {
                    None | Some("signing") => Place::SigningKey,
                    Some(_) => Place::Elsewhere,
                }
            }
            (Some(Place::SigningKey), SIGNATURE, "KeyInfo") => Place::KeyInfo,
            (Some(Place::KeyInfo), SIGNATURE, "X509Data") => Place::X509Data,
            (Some(Place::X509Data), SIGNATURE, "X509Certificate") => Place::Certificate,
            // An element within a certificate's text would leave two readings of it.
            (Some(Place::Certificate), ..) => return None,
            (Some(_), ..) => Place::Elsewhere,
        };
        if place == Place::Entity {
            self.entity_id = Some(attribute(element, "entityID")??);
        }
        if let Place::Entity | Place::IdentityProvider = place
            && let Some(until) = attribute(element, "validUntil")?
        {
            let until = moment(&until)?;
            self.says_until = Some(self.says_until.map_or(until, |other| other.min(until)));
        }
        Some(place)
    }

    fn read(&mut self, places: &[Place], text: &str) -> Option<()> {
        match places.last() {
            Some(Place::Certificate) => self.encoded.push_str(text),
            None if !text.trim().is_empty() => return None,
            Some(_) | None => {}
        }
        Some(())
    }

    fn end_certificate(&mut self) -> Option<()> {
        let encoded = std::mem::take(&mut self.encoded);
        let encoded: String = encoded.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        self.signing.push(Certificate::parse_der(&STANDARD.decode(encoded).ok()?)?);
        Some(())
    }

    fn finish(self) -> Option<SamlMetadata> {
        let Self { entity_id, says_until, encoded: _, signing } = self;
        let entity_id = entity_id.filter(|id| !id.is_empty())?;
        let expires = signing.iter().map(Certificate::expires).max()?;
        let expires = says_until.map_or(expires, |until| until.min(expires));
        let fits = entity_id.chars().count() <= ENTITY_ID_CHARS_MAX;
        fits.then_some(SamlMetadata { entity_id, signing, expires })
    }
}

/// An attribute without a prefix, if it is there; `None` if the element's attributes are malformed.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<Option<String>> {
    let mut found = None;
    for attribute in element.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            found = Some(value.into_owned());
        }
    }
    Some(found)
}

/// A moment of XML Schema, in UTC; fractions of a second are passed over.
fn moment(text: &str) -> Option<Timestamp> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return Timestamp::parse_iso8601(text);
    };
    let digits = fraction.strip_suffix('Z')?;
    let digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Timestamp::parse_iso8601(&format!("{whole}Z")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA_1: &str = include_str!("../testdata/metadata-1.xml");

    #[test]
    fn a_document_tells_its_entity_its_keys_and_its_end() {
        let SamlMetadata { entity_id, signing, expires } = parse(METADATA_1).unwrap();
        assert_eq!(entity_id, "https://idp.example.com/saml?a=1&b=2");
        // Of the keys those that are for signatures, or for anything.
        assert_eq!(signing.len(), 2);
        assert_eq!(expires.to_string(), "2090-01-01T00:00:00Z");
        let unlimited = METADATA_1.replace(r#" validUntil="2090-01-01T00:00:00.5Z""#, "");
        assert_eq!(parse(&unlimited).unwrap().expires.to_string(), "2120-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_metadata_of_one_provider_is_refused() {
        let without = |a: &str| METADATA_1.replace(a, "");
        let with = |a: &str, b: &str| METADATA_1.replacen(a, b, 1);
        let deep = "<x>".repeat(DEPTH_MAX) + &"</x>".repeat(DEPTH_MAX);
        let twice = METADATA_1.trim_start_matches(r#"<?xml version="1.0"?>"#).repeat(2);
        for (why, text) in [
            ("nothing", String::new()),
            ("text", "idp.example.com".to_owned()),
            ("a document type", format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{METADATA_1}")),
            ("another namespace", with("SAML:2.0:metadata", "SAML:1.0:metadata")),
            ("an undeclared prefix", with("<md:Organization>", "<x:y/><md:Organization>")),
            ("no entity id", with("entityID", "id")),
            ("an empty entity id", with("https://idp.example.com/saml?a=1&amp;b=2", "")),
            ("an entity of its own", with("a=1&amp;b=2", "a=1&b;")),
            ("no provider", with("<md:IDPSSODescriptor", "<md:SPSSODescriptor")),
            ("no keys", without("X509Certificate")),
            ("a key that is none", with("MII", "AII")),
            ("an element in a key", with("MII", "<a/>MII")),
            ("a reference in a key", with("MII", "&#77;II")),
            ("an end that is none", with("2090-01-01T00:00:00.5Z", "soon")),
            ("an open element", with("</md:EntityDescriptor>", "")),
            ("two of them", twice),
            ("text behind", format!("{METADATA_1}more")),
            ("depth", with("<md:Organization>", &format!("{deep}<md:Organization>"))),
            ("an attribute twice", with("entityID", r#"entityID="a" entityID"#)),
        ] {
            assert_eq!(parse(&text), None, "{why}");
        }
    }
}
