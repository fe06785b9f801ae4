//! Replies of the AWS query protocol, as XML.
//!
//! **Invariants.** What comes out is well-formed, whatever text goes in: elements close by scope,
//! names are literals, text is escaped, and a character that XML 1.0 cannot hold becomes U+FFFD.
//!
//! **Must not know:** what the elements mean, HTTP.

use std::fmt::{self, Display, Write};

use crate::{
    ApiError, Service,
    pagination::Marker,
    percent::{encode, is_unreserved},
};

/// The inside of an element that is being written.
#[derive(Debug, Default)]
pub struct Xml {
    out: String,
}

impl Xml {
    /// `<name>text</name>`. `bool`, numbers and timestamps have AWS's form as their `Display`.
    pub fn text(&mut self, name: &'static str, text: impl Display) {
        self.element(name, |xml| xml.raw_text(text));
    }

    /// [`Xml::text`], or nothing.
    pub fn optional(&mut self, name: &'static str, text: Option<impl Display>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// `<name>…</name>` around what `inside` writes.
    pub fn element(&mut self, name: &'static str, inside: impl FnOnce(&mut Self)) {
        self.tag("<", name, ">");
        inside(self);
        self.tag("</", name, ">");
    }

    /// A list of structures: each item's fields in a `<member>`. An empty list is an empty element.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for one in items {
                xml.element("member", |xml| item(xml, one));
            }
        });
    }

    /// A list of plain texts.
    pub fn texts(&mut self, name: &'static str, texts: impl IntoIterator<Item = impl Display>) {
        self.list(name, texts, |xml, text| xml.raw_text(text));
    }

    /// A policy document, which IAM returns percent-encoded (RFC 3986).
    pub fn policy_document(&mut self, name: &'static str, document: &str) {
        self.text(name, encode(document.as_bytes(), is_unreserved));
    }

    /// The end of a page: `<IsTruncated>`, and the `<Marker>` of the next page if there is one.
    pub fn page_end(&mut self, next: Option<&Marker>) {
        self.text("IsTruncated", next.is_some());
        self.optional("Marker", next);
    }

    fn tag(&mut self, open: &str, name: &str, close: &str) {
        self.out.push_str(open);
        self.out.push_str(name);
        self.out.push_str(close);
    }

    fn raw_text(&mut self, text: impl Display) {
        write!(Escaped(&mut self.out), "{text}").expect("a string takes whatever is written");
    }
}

/// Escapes what passes through.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // A parser turns a bare carriage return into a line feed (XML 1.0, 2.11).
                '\r' => self.0.push_str("&#xD;"),
                '\t' | '\n' => self.0.push(c),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

/// The reply to one action that succeeded.
#[derive(Debug)]
pub struct Reply {
    service: Service,
    action: &'static str,
    xml: Xml,
}

impl Reply {
    /// A reply without a result element, as for every operation without output.
    pub fn new(service: Service, action: &'static str) -> Self {
        Self { service, action, xml: Xml::default() }
    }

    /// Adds the result element around what `inside` writes.
    #[must_use]
    pub fn with_result(mut self, inside: impl FnOnce(&mut Xml)) -> Self {
        self.xml.tag("<", self.action, "Result>");
        inside(&mut self.xml);
        self.xml.tag("</", self.action, "Result>");
        self
    }

    /// The whole body.
    pub fn finish(self, request_id: &str) -> String {
        let Self { service, action, xml: inside } = self;
        let mut xml = Xml::default();
        open_root(&mut xml, action, "Response", service);
        xml.out.push_str(&inside.out);
        xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        xml.tag("</", action, "Response>");
        xml.out
    }
}

/// The body of a refusal.
pub fn error_response(service: Service, error: &ApiError, request_id: &str) -> String {
    let ApiError { code, status: _, fault, message, encoded_message } = error;
    let mut xml = Xml::default();
    open_root(&mut xml, "Error", "Response", service);
    xml.element("Error", |xml| {
        xml.text("Type", fault);
        xml.text("Code", code);
        xml.text("Message", message);
        xml.optional("EncodedMessage", encoded_message.as_ref());
    });
    xml.text("RequestId", request_id);
    xml.tag("</", "Error", "Response>");
    xml.out
}

fn open_root(xml: &mut Xml, name: &str, suffix: &str, service: Service) {
    xml.tag("<", name, suffix);
    xml.tag(" xmlns=\"", service.namespace(), "\">");
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use quick_xml::{Reader, events::Event};

    use super::*;

    fn check(reply: Reply, expected: Expect) {
        expected.assert_eq(&reply.finish("11111111-2222-3333-4444-555555555555"));
    }

    #[test]
    fn replies_have_awss_shape() {
        check(
            Reply::new(Service::Iam, "DeleteUser"),
            expect![[
                r#"<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>11111111-2222-3333-4444-555555555555</RequestId></ResponseMetadata></DeleteUserResponse>"#
            ]],
        );
        let reply = Reply::new(Service::Sts, "GetCallerIdentity").with_result(|xml| {
            xml.text("Arn", "arn:aws:iam::1:user/a&b");
            xml.optional("Path", None::<&str>);
            xml.optional("Count", Some(3));
        });
        check(
            reply,
            expect![[
                r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/a&amp;b</Arn><Count>3</Count></GetCallerIdentityResult><ResponseMetadata><RequestId>11111111-2222-3333-4444-555555555555</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#
            ]],
        );
        let reply = Reply::new(Service::Iam, "ListThings").with_result(|xml| {
            xml.list("Things", [1, 2], |xml, n| xml.text("Number", n));
            xml.texts("Names", ["a", "b"]);
            xml.texts("None", [""; 0]);
            xml.policy_document("PolicyDocument", r#"{"a": "ü*~"}"#);
            xml.page_end(Some(&Marker::after("bob")));
        });
        check(
            reply,
            expect![[
                r#"<ListThingsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListThingsResult><Things><member><Number>1</Number></member><member><Number>2</Number></member></Things><Names><member>a</member><member>b</member></Names><None></None><PolicyDocument>%7B%22a%22%3A%20%22%C3%BC%2A~%22%7D</PolicyDocument><IsTruncated>true</IsTruncated><Marker>AWJvYg</Marker></ListThingsResult><ResponseMetadata><RequestId>11111111-2222-3333-4444-555555555555</RequestId></ResponseMetadata></ListThingsResponse>"#
            ]],
        );
    }

    #[test]
    fn errors_have_awss_shape() {
        let error = ApiError::no_such_entity("The user with name <x> cannot be found.");
        expect![[
            r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The user with name &lt;x&gt; cannot be found.</Message></Error><RequestId>r</RequestId></ErrorResponse>"#
        ]]
        .assert_eq(&error_response(Service::Iam, &error, "r"));
        let encoded_message = Some("Cg".to_owned());
        let error = ApiError { encoded_message, ..ApiError::access_denied("no") };
        expect![[
            r#"<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message><EncodedMessage>Cg</EncodedMessage></Error><RequestId>r</RequestId></ErrorResponse>"#
        ]]
        .assert_eq(&error_response(Service::Iam, &error, "r"));
        let error = ApiError::service_failure(Service::Sts, "x");
        expect![[
            r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>InternalFailure</Code><Message>x</Message></Error><RequestId>r</RequestId></ErrorResponse>"#
        ]]
        .assert_eq(&error_response(Service::Sts, &error, "r"));
    }

    #[test]
    fn whatever_text_goes_in_a_parser_reads_it_back() {
        let text: String = (0..0x1_1000).filter_map(char::from_u32).collect();
        let body = Reply::new(Service::Iam, "X").with_result(|xml| xml.text("T", &text)).finish("");
        let is_legal = |c: &char| *c >= ' ' && !"\u{fffe}\u{ffff}".contains(*c);
        let expected: String = text
            .chars()
            .map(|c| if is_legal(&c) || "\t\n\r".contains(c) { c } else { '\u{fffd}' })
            .collect();
        assert_eq!(text_of(&body), expected);
    }

    fn text_of(body: &str) -> String {
        let mut reader = Reader::from_str(body);
        let mut text = String::new();
        loop {
            let event = reader.read_event().unwrap();
            if let Event::Text(part) = &event {
                text.push_str(part);
            } else if let Event::GeneralRef(name) = &event {
                text.push(match &**name {
                    "lt" => '<',
                    "gt" => '>',
                    "amp" => '&',
                    "quot" => '"',
                    "apos" => '\'',
                    "#xD" => '\r',
                    other => panic!("{other}"),
                });
            } else if event == Event::Eof {
                return text;
            }
        }
    }
}
