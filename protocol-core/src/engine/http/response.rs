//! Responses: a status, header fields, a body.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use thiserror::Error;

use super::Headers;
use crate::engine::payload_v3::Form;

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, spelled as the reference spells it.
    pub name: &'static str,
    /// The value, which holds no character that could end the field ([`is_header_value`]).
    pub value: Bytes,
}

impl Header {
    pub(crate) fn new(name: &'static str, value: impl Into<Bytes>) -> Self {
        Self { name, value: value.into() }
    }
}

/// A header value with a character that no header value may have: a control character other than TAB, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a valid header value")]
pub struct InvalidHeaderValue;

/// Whether `value` may stand in a header field: no control character but TAB.
pub const fn is_header_value(value: &[u8]) -> bool {
    let mut at = 0;
    while at < value.len() && (value[at] == b'\t' || (value[at] >= b' ' && value[at] != 0x7F)) {
        at += 1;
    }
    at == value.len()
}

/// Whether `name` may be the name of a header field (RFC 9110, section 5.6.2).
const fn is_token(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() && is_token_byte(name[at]) {
        at += 1;
    }
    at > 0 && at == name.len()
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Header fields that are known beforehand: as names and values, and as lines. Made by [`fields!`](crate::fields).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    fields: &'static [(&'static str, &'static str)],
    lines: &'static [u8],
}

/// [`Fields`](crate::engine::http::Fields) from names and values, both literals, put together by the compiler.
///
/// ```
/// use socketio_core::engine::http::Fields;
/// use socketio_core::fields;
///
/// const PLAIN: Fields = fields!("Content-Type": "text/plain", "cache-control": "no-store");
/// assert_eq!(PLAIN.as_slice()[0], ("Content-Type", "text/plain"));
/// assert_eq!(PLAIN.as_lines(), b"content-type: text/plain\r\ncache-control: no-store\r\n");
/// ```
///
/// A control character in a value does not compile, and neither does a name that is no token:
///
/// ```compile_fail
/// socketio_core::fields!("X-Split": "a\r\nX-Other: b");
/// ```
///
/// ```compile_fail
/// socketio_core::fields!("X Split": "a");
/// ```
#[macro_export]
macro_rules! fields {
    ($($name:literal: $value:literal),* $(,)?) => {{
        const TEXT: &str = concat!($($name, ": ", $value, "\r\n"),*);
        const LINES: &[u8] = &$crate::engine::http::Fields::lower_names::<{ TEXT.len() }>(TEXT);
        const FIELDS: $crate::engine::http::Fields =
            $crate::engine::http::Fields::from_parts(&[$(($name, $value)),*], LINES);
        FIELDS
    }};
}

impl Fields {
    /// None.
    pub const NONE: Self = fields!();

    /// `Connection: close`.
    pub const CLOSE: Self = fields!("Connection": "close");

    #[doc(hidden)] // of `fields!`, which makes both of the same, and has the compiler do it
    pub const fn from_parts(fields: &'static [(&'static str, &'static str)], lines: &'static [u8]) -> Self {
        let mut at = 0;
        while at < fields.len() {
            let (name, value) = fields[at];
            assert!(is_token(name.as_bytes()), "the name of a field is no token");
            assert!(is_header_value(value.as_bytes()), "a control character in a field");
            at += 1;
        }
        Self { fields, lines }
    }

    /// `text` with the names in lower case.
    #[doc(hidden)] // of `fields!`
    pub const fn lower_names<const LEN: usize>(text: &str) -> [u8; LEN] {
        let mut lines = [0; LEN];
        let mut is_name = true;
        let mut at = 0;
        while at < LEN {
            let byte = text.as_bytes()[at];
            lines[at] = if is_name { byte.to_ascii_lowercase() } else { byte };
            is_name = byte == b'\n' || is_name && byte != b':';
            at += 1;
        }
        lines
    }

    /// Names, spelled as the reference spells them, and values.
    pub const fn as_slice(self) -> &'static [(&'static str, &'static str)] {
        self.fields
    }

    /// The lines that HTTP/1.1 makes of them, each with its end, and with names in lower case: for who writes responses
    /// without looking at every field.
    pub const fn as_lines(self) -> &'static [u8] {
        self.lines
    }
}

/// An HTTP response. `Content-Length` is left to the HTTP library, as only that knows whether the body is compressed on
/// the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields that every response of this kind has.
    pub headers: Fields,
    /// Those of this one: CORS, cookie.
    pub extra: Vec<Header>,
    /// The body.
    pub body: Bytes,
    /// Whether the body may be compressed, if the client and the size agree.
    pub compressible: bool,
}

impl Response {
    /// The answer to a poll (REFERENCE 1.5, 2.3). Only revision 3 has the binary form.
    pub const fn poll(form: Form, body: Bytes) -> Self {
        let headers = match form {
            Form::Text => fields!("Content-Type": "text/plain; charset=UTF-8", "cache-control": "no-store"),
            Form::Binary => fields!("Content-Type": "application/octet-stream", "cache-control": "no-store"),
        };
        Self { status: 200, headers, extra: Vec::new(), body, compressible: false }
    }

    /// The answer to a POST, given once its packets are processed, whatever became of them (REFERENCE 1.5).
    pub const fn post_ok() -> Self {
        Self {
            status: 200,
            headers: fields!("Content-Type": "text/html", "cache-control": "no-store"),
            extra: Vec::new(),
            body: Bytes::from_static(b"ok"),
            compressible: false,
        }
    }

    /// 400 without a body: a second GET or POST while one is in progress, or an octet-stream POST in revision 4. The
    /// session is closed with it.
    pub const fn bad_request() -> Self {
        Self::empty(400)
    }

    /// 413: the body of a POST exceeds `maxHttpBufferSize`. The session is not closed.
    pub const fn payload_too_large() -> Self {
        Self::empty(413)
    }

    /// 500 without a body: a method other than GET and POST for a session, which is left as it is.
    pub const fn method_not_supported() -> Self {
        Self::empty(500)
    }

    pub(super) const fn empty(status: u16) -> Self {
        Self { status, headers: Fields::NONE, extra: Vec::new(), body: Bytes::new(), compressible: false }
    }

    pub(super) fn json(status: u16, body: String) -> Self {
        let headers = fields!("Content-Type": "application/json");
        Self { status, headers, extra: Vec::new(), body: body.into(), compressible: false }
    }

    /// The short text that refuses an upgrade and ends the connection.
    pub(in crate::engine) fn html_close(status: u16, body: String) -> Self {
        let headers = fields!("Connection": "close", "Content-type": "text/html");
        Self { status, headers, extra: Vec::new(), body: body.into(), compressible: false }
    }

    /// This response with more header fields.
    #[must_use]
    pub fn with(mut self, headers: impl IntoIterator<Item = Header>) -> Self {
        self.extra.extend(headers);
        self
    }

    /// All header fields: name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let fixed = self.headers.as_slice().iter().map(|&(name, value)| (name, value.as_bytes()));
        fixed.chain(self.extra.iter().map(|header| (header.name, &*header.value)))
    }

    /// The response as HTTP/1.1 text, with `Content-Length`, for a server without an HTTP library.
    pub fn to_http1(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        let digits = [100, 10, 1].map(|unit| (self.status / unit % 10) as u8 + b'0');
        push(&[b"HTTP/1.1 ", &digits, b" ", reason(self.status).as_bytes(), b"\r\n"]);
        for (name, value) in self.fields() {
            push(&[name.as_bytes(), b": ", value, b"\r\n"]);
        }
        let length = alloc::format!("{}", self.body.len());
        push(&[b"Content-Length: ", length.as_bytes(), b"\r\n\r\n", &self.body]);
        out
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Payload Too Large",
        500 => "Internal Server Error",
        _ => "",
    }
}

/// The form that a POST claims for its body. The comparison is exact, as in the reference: with parameters
/// (`application/octet-stream; charset=x`), and for anything else, the body is text. The binary form is an error in
/// revision 4 (REFERENCE 1.5).
pub fn post_form(headers: &dyn Headers) -> Form {
    match headers.get("content-type") {
        Some(b"application/octet-stream") => Form::Binary,
        _ => Form::Text,
    }
}

/// `X-XSS-Protection: 0`, which old versions of Internet Explorer need on polling responses in order not to block them
/// (REFERENCE 1.5).
pub fn xss_protection(headers: &dyn Headers) -> Option<Header> {
    let agent = headers.get("user-agent")?;
    let is_ie = [b";MSIE".as_slice(), b"Trident/"].iter().any(|ie| memchr::memmem::find(agent, ie).is_some());
    is_ie.then(|| Header::new("X-XSS-Protection", "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successful_responses_have_the_headers_of_the_reference() {
        let text = Response::poll(Form::Text, Bytes::from_static(b"6"));
        assert_eq!((text.status, &*text.body), (200, b"6".as_slice()));
        assert_eq!(
            text.headers.as_slice(),
            [("Content-Type", "text/plain; charset=UTF-8"), ("cache-control", "no-store")]
        );
        let binary = Response::poll(Form::Binary, Bytes::new());
        assert_eq!(
            binary.headers.as_slice(),
            [("Content-Type", "application/octet-stream"), ("cache-control", "no-store")]
        );
        let ok = Response::post_ok();
        assert_eq!((ok.status, &*ok.body), (200, b"ok".as_slice()));
        assert_eq!(ok.headers.as_slice(), [("Content-Type", "text/html"), ("cache-control", "no-store")]);
    }

    #[test]
    fn fields_are_lines_as_well() {
        let lines = Response::post_ok().headers.as_lines();
        assert_eq!(lines, b"content-type: text/html\r\ncache-control: no-store\r\n");
        let headers = fields!("X-Time": "a: B", "Y": "C");
        assert_eq!(headers.as_lines(), b"x-time: a: B\r\ny: C\r\n");
        assert_eq!(Fields::NONE.as_lines(), b"");
    }

    #[test]
    fn failures_without_a_body_have_no_headers() {
        for (response, status) in [
            (Response::bad_request(), 400),
            (Response::payload_too_large(), 413),
            (Response::method_not_supported(), 500),
        ] {
            assert_eq!(
                response,
                Response {
                    status,
                    headers: Fields::NONE,
                    extra: Vec::new(),
                    body: Bytes::new(),
                    compressible: false
                }
            );
        }
    }

    #[test]
    fn a_response_can_be_written_without_a_library() {
        let response = Response::post_ok().with([Header::new("Vary", "Origin")]);
        assert_eq!(
            response.to_http1(),
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\ncache-control: no-store\r\nVary: Origin\r\n\
              Content-Length: 2\r\n\r\nok"
        );
    }

    #[test]
    fn only_the_exact_media_type_is_binary() {
        for (value, form) in [
            ("application/octet-stream", Form::Binary),
            ("application/octet-stream; charset=x", Form::Text),
            ("Application/Octet-Stream", Form::Text),
            ("text/plain;charset=UTF-8", Form::Text),
        ] {
            assert_eq!(post_form(&[("content-type", value)]), form, "{value}");
        }
        assert_eq!(post_form(&[("a", "b")]), Form::Text);
    }

    #[test]
    fn old_internet_explorer_is_calmed() {
        for (agent, calmed) in [
            ("Mozilla/4.0 (compatible;MSIE 8.0)", true),
            ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0)", true),
            ("Mozilla/5.0 (X11; Linux)", false),
        ] {
            assert_eq!(xss_protection(&[("User-Agent", agent)]).is_some(), calmed, "{agent}");
        }
        assert_eq!(xss_protection(&[("a", ";MSIE")]), None);
    }

    #[test]
    fn header_values_have_no_control_characters_but_tab() {
        for b in 0..=u8::MAX {
            let valid = matches!(b, b'\t' | 0x20..=0x7E | 0x80..=0xFF);
            assert_eq!(is_header_value(&[b'a', b]), valid, "{b}");
        }
    }
}
