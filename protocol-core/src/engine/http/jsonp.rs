//! JSONP: polling by script tags and forms, for browsers without XMLHttpRequest across origins (REFERENCE 1.15, 2.4).

use alloc::string::String;
use alloc::vec::Vec;

use super::Pairs;
use crate::Str;

/// The JSONP callback of a session: the index its handshake had in `j`, for as long as it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jsonp {
    index: Str,
}

impl Jsonp {
    /// Digits kept of an index. Clients count from zero, so no honest one has more than a `u64`; the index is held for the
    /// life of the session.
    pub const MAX_DIGITS: usize = 20;

    /// From the parameter `j`. What is not a digit is left out, so that nothing but a number gets into the script.
    pub fn new(j: &str) -> Self {
        let index: String = j.chars().filter(char::is_ascii_digit).take(Self::MAX_DIGITS).collect();
        Self { index: index.into() }
    }

    /// The index: digits, or nothing.
    pub fn index(&self) -> &str {
        &self.index
    }

    /// Appends the script that hands `payload` (UTF-8) to the client: `___eio[<index>]("<payload>");`. The content type
    /// is that of any text payload.
    pub fn wrap(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(payload.len() + 40);
        out.extend_from_slice(b"___eio[");
        out.extend_from_slice(self.index.as_bytes());
        out.extend_from_slice(b"](\"");
        let mut rest = payload;
        while let [first, tail @ ..] = rest {
            rest = tail;
            match first {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', *first]),
                0x08 => out.extend_from_slice(b"\\b"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\n' => out.extend_from_slice(b"\\n"),
                0x0C => out.extend_from_slice(b"\\f"),
                b'\r' => out.extend_from_slice(b"\\r"),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    out.extend([first >> 4, first & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
                }
                // U+2028 and U+2029 are text to JSON and line ends to (older) JavaScript.
                0xE2 => match tail {
                    [0x80, last @ (0xA8 | 0xA9), tail @ ..] => {
                        rest = tail;
                        out.extend_from_slice(if *last == 0xA8 { b"\\u2028" } else { b"\\u2029" });
                    }
                    _ => out.push(*first),
                },
                _ => out.push(*first),
            }
        }
        out.extend_from_slice(b"\");");
    }

    /// The payload in the body of a POST: field `d` of the form, its newlines restored.
    ///
    /// `None` if there is no such field, or several: the POST is then answered as usual, and has no packets.
    pub fn unwrap(body: &str) -> Option<Str> {
        let mut fields = Pairs::of(body).filter(|(name, _)| name == "d");
        let (_, data) = fields.next()?;
        if fields.next().is_some() {
            return None;
        }
        // The client writes a line feed as backslash and n, as some browsers alter line feeds in a form, and doubles the
        // backslash of a backslash and n that was there before.
        let mut payload = String::with_capacity(data.len());
        let mut rest = &*data;
        while let Some(at) = rest.find('\\') {
            payload.push_str(&rest[..at]);
            rest = &rest[at..];
            let (text, taken) = if rest.starts_with("\\\\n") {
                ("\\n", 3)
            } else if rest.starts_with("\\n") {
                ("\n", 2)
            } else {
                ("\\", 1)
            };
            payload.push_str(text);
            rest = &rest[taken..];
        }
        payload.push_str(rest);
        Some(payload.into())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    fn wrapped(j: &str, payload: &str) -> String {
        let mut out = Vec::new();
        Jsonp::new(j).wrap(payload.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn only_digits_of_the_index_are_kept() {
        assert_eq!(wrapped("7", "2"), "___eio[7](\"2\");");
        assert_eq!(wrapped("0](alert(1))//1", "2"), "___eio[011](\"2\");");
        assert_eq!(wrapped("", "2"), "___eio[](\"2\");");
        assert_eq!(wrapped("٣", "2"), "___eio[](\"2\");");
        let nines = "9".repeat(Jsonp::MAX_DIGITS);
        assert_eq!(Jsonp::new(&nines).index, nines);
        assert_eq!(Jsonp::new(&format!("{nines}9")).index, nines);
    }

    #[test]
    fn the_payload_is_a_javascript_string() {
        assert_eq!(
            wrapped("0", "42[\"\\€\u{2028}\u{2029}\u{2027}\"]\x1e4\u{8}\t\n\u{c}\r\u{7f}</script>"),
            "___eio[0](\"42[\\\"\\\\€\\u2028\\u2029\u{2027}\\\"]\\u001e4\\b\\t\\n\\f\\r\u{7f}</script>\");"
        );
    }

    #[test]
    fn newlines_are_restored() {
        for (sent, read) in [
            ("d=4hello", "4hello"),
            ("d=4%5Cn", "4\n"),
            ("d=4%5C%5Cn", "4\\n"),
            ("d=4%5C%5C%5Cn", "4\\\\n"),
            ("d=4%5C%5Cx%5C", "4\\\\x\\"),
            ("d=4a+b%2B%E2%82%AC", "4a b+€"),
            ("x=1&d=2:40&y=", "2:40"),
            ("d=", ""),
        ] {
            assert_eq!(Jsonp::unwrap(sent), Some(read.into()), "{sent}");
        }
    }

    #[test]
    fn a_form_without_one_field_d_has_no_payload() {
        for form in ["", "D=4", "4", "d=4&d=4"] {
            assert_eq!(Jsonp::unwrap(form), None, "{form}");
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_json(payload: String) {
            let script = wrapped("1", &payload);
            let literal = script.strip_prefix("___eio[1](").unwrap().strip_suffix(");").unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(literal).unwrap(), payload);
            let line_ends = script.contains(['\u{2028}', '\u{2029}', '\n']);
            prop_assert!(!line_ends);
        }

        #[test]
        fn arbitrary_forms_never_panic(body: String, noisy in "(d=)?[\\\\n%5C&d=]{0,40}") {
            Jsonp::unwrap(&body);
            Jsonp::unwrap(&noisy);
        }
    }
}
