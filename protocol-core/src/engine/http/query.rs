//! Query parameters, as `URLSearchParams` of the WHATWG reads them (REFERENCE 1.3).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::word;

/// The parameters that Engine.IO knows, and access to the rest. Of several parameters of one name the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    raw: &'a str,
    /// `EIO`, the protocol revision.
    pub eio: Option<Cow<'a, str>>,
    /// `transport`.
    pub transport: Option<Cow<'a, str>>,
    /// `sid`, the session id. An empty one counts as absent.
    pub sid: Option<Cow<'a, str>>,
    /// `j`, the index of a JSONP callback. May be empty.
    pub j: Option<Cow<'a, str>>,
    /// Whether `b64` has a value: the client takes no binary.
    pub b64: bool,
}

impl<'a> Query<'a> {
    /// Reads the query of a request target.
    pub fn of_target(target: &'a str) -> Self {
        let target = split_at(target, b'#').map_or(target, |(target, _)| target);
        Self::parse(split_at(target, b'?').map_or("", |(_, query)| query))
    }

    /// Reads a query without its question mark.
    pub fn parse(raw: &'a str) -> Self {
        let mut query = Self { raw, eio: None, transport: None, sid: None, j: None, b64: false };
        for (name, value) in query.pairs() {
            match &*name {
                "EIO" => query.eio = Some(value),
                "transport" => query.transport = Some(value),
                "sid" => query.sid = Some(value),
                "j" => query.j = Some(value),
                "b64" => query.b64 = !value.is_empty(),
                _ => {}
            }
        }
        query.sid = query.sid.take().filter(|sid| !sid.is_empty());
        query
    }

    /// The query as it was sent.
    pub const fn as_str(&self) -> &'a str {
        self.raw
    }

    /// The value of a parameter; the last one counts where there are several.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }

    /// All parameters in the order they were sent, duplicates included: what `handshake.query` is made of.
    pub fn pairs(&self) -> Pairs<'a> {
        Pairs::of(self.raw)
    }
}

/// Names and values of a form-encoded text. See [`Query::pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    rest: &'a str,
    /// Whether there are characters that stand for others.
    is_coded: bool,
}

impl<'a> Pairs<'a> {
    /// The pairs of a form-encoded text: a query, or a body of `application/x-www-form-urlencoded`.
    pub fn of(text: &'a str) -> Self {
        Self { rest: text, is_coded: is_coded(text) }
    }

    /// What stands before the byte of ASCII at `end`, or all there is.
    #[inline]
    fn take(&mut self, end: Option<usize>) -> &'a str {
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        // Between two separators there may be nothing.
        while let Some(rest) = self.rest.strip_prefix('&') {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let end = position([b'=', b'&'], self.rest.as_bytes());
        let name = self.take(end);
        let value = match self.rest.strip_prefix('=') {
            Some(rest) => {
                self.rest = rest;
                self.take(position([b'&'; 2], rest.as_bytes()))
            }
            None => "",
        };
        Some(match self.is_coded {
            false => (Cow::Borrowed(name), Cow::Borrowed(value)),
            true => (read(name), read(value)),
        })
    }
}

/// Where the first of two bytes is. Names and values are mostly shorter than it takes to set out a search by vectors, so they
/// are looked at eight bytes at a time; what a body holds is not.
#[inline]
fn position(needles: [u8; 2], bytes: &[u8]) -> Option<usize> {
    let [one, other] = needles;
    let mut at = 0;
    while at < SHORT
        && let Some(eight) = bytes[at..].first_chunk()
    {
        let eight = u64::from_le_bytes(*eight);
        let found = word::equal(eight, one) | word::equal(eight, other);
        if found != 0 {
            return Some(at + word::first(found));
        }
        at += 8;
    }
    let rest = &bytes[at..];
    let found = if rest.len() < 8 {
        rest.iter().position(|byte| needles.contains(byte))
    } else {
        memchr::memchr2(one, other, rest)
    };
    found.map(|found| at + found)
}

/// The length up to which bytes are looked at in words.
const SHORT: usize = 32;

/// What stands before and after the first `separator`, an ASCII character. `str::split_once` takes some hundred
/// instructions to set out.
fn split_at(text: &str, separator: u8) -> Option<(&str, &str)> {
    let position = memchr::memchr(separator, text.as_bytes())?;
    Some((&text[..position], &text[position + 1..]))
}

/// A name or a value.
fn read(text: &str) -> Cow<'_, str> {
    if is_coded(text) { Cow::Owned(decode(text)) } else { Cow::Borrowed(text) }
}

fn is_coded(text: &str) -> bool {
    memchr::memchr2(b'+', b'%', text.as_bytes()).is_some()
}

/// `+` is a space and `%XX` a byte; a `%` without two hexadecimal digits stands for itself, and what is then not UTF-8
/// becomes U+FFFD.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest
            }
            [b, rest @ ..] => {
                bytes.push(*b);
                rest
            }
        };
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// The value of a hexadecimal digit.
const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_wherever_it_is(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'='), Just(b'&'), Just(b'<'), Just(b'\''), Just(0xBD), Just(b'a'), any::<u8>()], 0..20
            ),
            plain in 0_usize..50,
        ) {
            let bytes = [alloc::vec![b'a'; plain], bytes].concat();
            for needles in [[b'=', b'&'], [b'&'; 2]] {
                prop_assert_eq!(position(needles, &bytes), bytes.iter().position(|byte| needles.contains(byte)));
            }
        }
    }

    fn pairs(text: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        Pairs::of(text).collect()
    }

    #[test]
    fn the_last_of_several_wins() {
        let query = Query::parse("EIO=3&sid=a&transport=polling&EIO=4&sid=b&transport=websocket&j=1&j=");
        assert_eq!(query.eio.as_deref(), Some("4"));
        assert_eq!(query.sid.as_deref(), Some("b"));
        assert_eq!(query.transport.as_deref(), Some("websocket"));
        assert_eq!(query.j.as_deref(), Some(""));
    }

    #[test]
    fn an_empty_sid_is_absent() {
        assert_eq!(Query::parse("sid=").sid, None);
        assert_eq!(Query::parse("sid=a&sid").sid, None);
    }

    #[test]
    fn base64_is_asked_for_by_any_value() {
        assert!(Query::parse("b64=1").b64);
        assert!(Query::parse("b64=0").b64);
        assert!(!Query::parse("b64=").b64);
        assert!(!Query::parse("b64=1&b64").b64);
        assert!(!Query::parse("").b64);
    }

    #[test]
    fn names_are_case_sensitive_and_decoded() {
        let query = Query::parse("eio=4&Transport=polling&SID=a&%45IO=%34");
        assert_eq!(query.eio.as_deref(), Some("4"));
        assert_eq!(query.transport, None);
        assert_eq!(query.sid, None);
    }

    #[test]
    fn values_end_at_the_next_separator_however_long_they_are() {
        for len in (0..70).chain([1000]) {
            let value = "v".repeat(len);
            let text = alloc::format!("d={value}&a={value}");
            let expected = [("d", &*value), ("a", &*value)];
            assert_eq!(pairs(&text), expected.map(|(name, value)| (name.into(), value.into())), "{len}");
        }
    }

    #[test]
    fn a_semicolon_does_not_separate() {
        assert_eq!(Query::parse("EIO=4;transport=polling").eio.as_deref(), Some("4;transport=polling"));
    }

    #[test]
    fn pairs_are_read_as_by_the_whatwg() {
        let read = pairs("a=b%20c+d&&e&=f&g=h=i&%zz=%&%e2%82%ac=%ff&k=%E2%82%AC%4");
        let expected = [
            ("a", "b c d"),
            ("e", ""),
            ("", "f"),
            ("g", "h=i"),
            ("%zz", "%"),
            ("€", "\u{FFFD}"),
            ("k", "€%4"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn clean_values_are_borrowed() {
        assert!(
            pairs("EIO=4&sid=lv_VI97HAXpY6yYWAAAC")
                .iter()
                .all(|(_, value)| matches!(value, Cow::Borrowed(_)))
        );
    }

    #[test]
    fn the_target_is_cut_at_question_mark_and_hash() {
        assert_eq!(Query::of_target("/a?b=c?d#e?f").as_str(), "b=c?d");
        assert_eq!(Query::of_target("/a#?b").as_str(), "");
        assert_eq!(Query::of_target("/a").as_str(), "");
    }

    proptest! {
        #[test]
        fn arbitrary_targets_never_panic(target: String, noisy in "[%+&=?#a-f0-9€]{0,40}") {
            for target in [&target, &noisy] {
                Query::of_target(target).pairs().for_each(drop);
            }
        }
    }
}
