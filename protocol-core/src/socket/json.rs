//! Checks JSON in one pass: strict syntax, nesting, and, where a packet has attachments, its placeholders.
//!
//! `serde_json` could do the first, but then the end of the event's name, the number of arguments, the depth and
//! the placeholders would each cost another pass, and its stack of brackets an allocation. What is accepted is
//! exactly what `serde_json` accepts for a value it skips (a property test compares them). Nothing is converted
//! here: numbers of any size and halves of surrogate pairs pass, as they do in JavaScript.

use core::ops::Range;

use super::decode::Fault;
use super::placeholder;
use crate::word;

/// What a value is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Bool,
    Null,
    Number,
    Object,
    String,
}

/// An argument list in its packet, as [`Scanner::list`] has found it.
#[derive(Debug, Default)]
pub(super) struct List {
    /// What the first element is, if it was to be the name of an event.
    pub(super) name: Option<Kind>,
    /// Where the name begins and ends, quotes included.
    pub(super) name_start: usize,
    pub(super) name_end: usize,
    /// Whether the name is a string with escapes.
    pub(super) name_escaped: bool,
    /// Whether there is one argument, a string without escapes, and no space behind it.
    pub(super) verbatim: bool,
    pub(super) span: Span,
}

/// Where an argument list is. Packets are moved about, so it is small; text of more than 4 GiB is refused.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// The opening bracket.
    pub(super) start: u32,
    /// Where the first argument begins; the closing bracket when there is none.
    pub(super) first: u32,
    /// The closing bracket.
    pub(super) end: u32,
    /// How many arguments there are.
    pub(super) len: u32,
}

/// A position in JSON text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    max_nesting: usize,
    attachments: Option<usize>,
    irregular: bool,
}

// Whatever scans takes the place where it begins and gives the place where it ends, so that places stay in registers.
impl<'a> Scanner<'a> {
    /// A scanner at byte `at` of `text`. With `attachments`, their number, placeholders are checked against it.
    pub(super) const fn new(
        text: &'a str,
        at: usize,
        max_nesting: usize,
        attachments: Option<usize>,
    ) -> Self {
        Self { bytes: text.as_bytes(), at, max_nesting, attachments, irregular: false }
    }

    /// Where the scanner is.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Whether there may be placeholders that are not written as the reference writes them: such text is
    /// [normalised](placeholder::normalise).
    pub(super) const fn irregular(&self) -> bool {
        self.irregular
    }

    /// Checks a whole argument list and that nothing follows it; `named` lists begin with an event's name. What is
    /// found goes to `found`.
    #[inline(always)] // and so `found` stays in registers
    pub(super) fn list(&mut self, named: bool, found: &mut List) -> Result<(), Fault> {
        let bytes = self.bytes;
        let start = space(bytes, self.at);
        let mut at = expect(bytes, start, b'[')?;
        if self.max_nesting == 0 {
            return Err(Fault::NestingTooDeep);
        }
        at = space(bytes, at);
        let mut len = 0;
        let mut first = None;
        let mut escaped = false;
        if bytes.get(at) != Some(&b']') {
            if named {
                let (kind, end) = match bytes.get(at) {
                    Some(b'"') => (Kind::String, string_here(bytes, at, &mut found.name_escaped)?),
                    _ => self.value_at(at, 1)?,
                };
                found.name = Some(kind);
                (found.name_start, found.name_end) = (at, end);
                at = space(bytes, end);
            }
            // After a name a comma is due, and after a comma a value.
            let mut more = !named;
            loop {
                if !more {
                    if bytes.get(at) != Some(&b',') {
                        break;
                    }
                    at = space(bytes, at + 1);
                }
                more = false;
                first = first.or(Some(at));
                let end = match bytes.get(at) {
                    Some(b'"') => string_here(bytes, at, &mut escaped)?,
                    _ => self.value_at(at, 1)?.1,
                };
                at = space(bytes, end);
                len += 1;
            }
        }
        let end = at;
        finish(bytes, expect(bytes, end, b']')?)?;
        if u32::try_from(end).is_err() {
            return Err(Fault::InvalidPayload);
        }
        found.verbatim = len == 1 && !escaped && bytes[end - 1] == b'"';
        // Nothing here is beyond the end.
        found.span = Span { start: start as u32, first: first.unwrap_or(end) as u32, end: end as u32, len };
        Ok(())
    }

    /// Checks one value and that nothing follows it.
    pub(super) fn single(&mut self) -> Result<(Kind, Range<usize>), Fault> {
        let start = space(self.bytes, self.at);
        let (kind, end) = self.value_at(start, 0)?;
        finish(self.bytes, end)?;
        Ok((kind, start..end))
    }

    /// Moves past one character of one byte.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Moves past white space.
    pub(super) fn space(&mut self) {
        self.at = space(self.bytes, self.at);
    }

    /// Moves past one value, which begins here and lies within `nesting` brackets.
    pub(super) fn value(&mut self, nesting: usize) -> Result<Kind, Fault> {
        let (kind, end) = self.value_at(self.at, nesting)?;
        self.at = end;
        Ok(kind)
    }

    #[inline]
    fn value_at(&mut self, at: usize, nesting: usize) -> Result<(Kind, usize), Fault> {
        let kind = kind(self.bytes, at)?;
        let end = match kind {
            Kind::String => string(self.bytes, at, &mut false)?,
            Kind::Array | Kind::Object => self.nested(at, nesting)?,
            _ => scalar(self.bytes, at, kind)?,
        };
        Ok((kind, end))
    }

    /// The end of an array or an object.
    fn nested(&mut self, mut at: usize, nesting: usize) -> Result<usize, Fault> {
        let bytes = self.bytes;
        let mut depth = nesting;
        // One bit per open bracket, 1 for an object; `NESTING_CAP` of them fit.
        let mut open = 0_u128;
        loop {
            at = match kind(bytes, at)? {
                Kind::Array | Kind::Object if depth >= self.max_nesting => {
                    return Err(Fault::NestingTooDeep);
                }
                bracket @ (Kind::Array | Kind::Object) => {
                    let (object, close) = if bracket == Kind::Object { (1, b'}') } else { (0, b']') };
                    if object == 1
                        && let Some(end) = self.placeholder(at)?
                    {
                        end
                    } else {
                        at = space(bytes, at + 1);
                        if bytes.get(at) == Some(&close) {
                            at + 1
                        } else {
                            depth += 1;
                            open = open << 1 | object;
                            if object == 1 {
                                at = self.key(at)?;
                            }
                            continue;
                        }
                    }
                }
                Kind::String => string(bytes, at, &mut false)?,
                kind => scalar(bytes, at, kind)?,
            };
            // After a value: leave what ends here, or go on with the next one.
            loop {
                if depth == nesting {
                    return Ok(at);
                }
                at = space(bytes, at);
                let object = open & 1 == 1;
                match bytes.get(at) {
                    Some(b',') => {
                        at = space(bytes, at + 1);
                        if object {
                            at = self.key(at)?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(Fault::InvalidPayload),
                }
                at += 1;
                depth -= 1;
                open >>= 1;
            }
        }
    }

    /// Where the value of a member begins, whose key is at `start`.
    #[inline]
    fn key(&mut self, start: usize) -> Result<usize, Fault> {
        let mut escaped = false;
        let end = string(self.bytes, start, &mut escaped)?;
        if self.attachments.is_some() && (escaped || &self.bytes[start..end] == placeholder::KEY.as_bytes()) {
            self.irregular = true;
        }
        let colon = space(self.bytes, end);
        Ok(space(self.bytes, expect(self.bytes, colon, b':')?))
    }

    /// The end of a placeholder in the reference's spelling, if one begins here.
    #[inline]
    fn placeholder(&self, at: usize) -> Result<Option<usize>, Fault> {
        let Some(count) = self.attachments else { return Ok(None) };
        match placeholder::canonical(&self.bytes[at..]) {
            None => Ok(None),
            Some((num, length)) if num < count => Ok(Some(at + length)),
            Some(_) => Err(Fault::IllegalPlaceholder),
        }
    }
}

#[inline]
fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// What is after `byte`, which is due.
#[inline]
fn expect(bytes: &[u8], at: usize, byte: u8) -> Result<usize, Fault> {
    if bytes.get(at) == Some(&byte) { Ok(at + 1) } else { Err(Fault::InvalidPayload) }
}

/// Whether nothing but white space follows.
#[inline]
fn finish(bytes: &[u8], at: usize) -> Result<(), Fault> {
    if space(bytes, at) == bytes.len() { Ok(()) } else { Err(Fault::InvalidPayload) }
}

#[inline]
fn kind(bytes: &[u8], at: usize) -> Result<Kind, Fault> {
    Ok(match bytes.get(at) {
        Some(b'"') => Kind::String,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => return Err(Fault::InvalidPayload),
    })
}

/// The end of a number, of `null` or of a boolean.
fn scalar(bytes: &[u8], at: usize, kind: Kind) -> Result<usize, Fault> {
    match kind {
        Kind::Number => number(bytes, at),
        Kind::Null => literal(bytes, at, "null"),
        _ if bytes.get(at) == Some(&b't') => literal(bytes, at, "true"),
        _ => literal(bytes, at, "false"),
    }
}

/// The end of a string. Sets `escaped` if it has escapes.
#[inline]
fn string(bytes: &[u8], at: usize, escaped: &mut bool) -> Result<usize, Fault> {
    let end = plain_from(bytes, expect(bytes, at, b'"')?);
    string_end(bytes, end, escaped)
}

/// The same for names and arguments, most of which are short.
#[inline(always)] // and so `escaped` stays in a register, with all that is beside it
fn string_here(bytes: &[u8], at: usize, escaped: &mut bool) -> Result<usize, Fault> {
    let start = expect(bytes, at, b'"')?;
    let end = plain_word(bytes, start).unwrap_or_else(|| plain_further(bytes, start));
    string_end(bytes, end, escaped)
}

/// The end of a string, of which the first byte that is not plain is at `end`.
#[inline(always)]
fn string_end(bytes: &[u8], end: usize, escaped: &mut bool) -> Result<usize, Fault> {
    if bytes.get(end) == Some(&b'"') {
        return Ok(end + 1);
    }
    *escaped = true;
    escapes(bytes, end)
}

/// The end of a string, from its first escape on.
#[inline(never)]
fn escapes(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {}
            // A control character, or the end of the text.
            _ => return Err(Fault::InvalidPayload),
        }
        at += match bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match bytes.get(at + 2..at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => 6,
                _ => return Err(Fault::InvalidPayload),
            },
            _ => return Err(Fault::InvalidPayload),
        };
        at = plain_from(bytes, at);
    }
}

fn number(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at) {
        Some(b'0') => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    Ok(at)
}

#[inline]
fn digits(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start;
    while let Some(b'0'..=b'9') = bytes.get(at) {
        at += 1;
    }
    if at == start { Err(Fault::InvalidPayload) } else { Ok(at) }
}

fn literal(bytes: &[u8], at: usize, word: &str) -> Result<usize, Fault> {
    if bytes[at..].starts_with(word.as_bytes()) { Ok(at + word.len()) } else { Err(Fault::InvalidPayload) }
}

/// How many bytes go by before a quote, a backslash or a control character.
#[inline]
pub(super) fn plain(bytes: &[u8]) -> usize {
    plain_from(bytes, 0)
}

/// Where the first quote, backslash or control character from `start` on is; the end when there is none.
#[inline]
fn plain_from(bytes: &[u8], start: usize) -> usize {
    // Most strings are short: eight bytes together, without branching on each.
    for at in [start, start + 8] {
        let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return plain_tail(bytes, at);
        };
        let found = specials(u64::from_le_bytes(*eight));
        if found != 0 {
            return at + word::first(found);
        }
    }
    plain_long(bytes, start + 16)
}

/// The same within eight bytes, if there are so many.
#[inline(always)]
fn plain_word(bytes: &[u8], start: usize) -> Option<usize> {
    let eight = bytes.get(start..)?.first_chunk()?;
    let found = specials(u64::from_le_bytes(*eight));
    (found != 0).then(|| start + word::first(found))
}

/// The same where [`plain_word`] has found none.
#[inline(never)]
fn plain_further(bytes: &[u8], start: usize) -> usize {
    if bytes.len() < start + 8 { plain_tail(bytes, start) } else { plain_from(bytes, start + 8) }
}

/// The same, for strings that are not short: in blocks that the compiler makes vectors of.
#[inline(never)]
fn plain_long(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<32>)
        && block.iter().fold(0, |found, &byte| found | u8::from(special(byte))) == 0
    {
        at += 32;
    }
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = specials(u64::from_le_bytes(*eight));
        if found != 0 {
            return at + word::first(found);
        }
        at += 8;
    }
    plain_tail(bytes, at)
}

/// The same, where fewer than eight bytes are left.
#[inline]
fn plain_tail(bytes: &[u8], at: usize) -> usize {
    let left = bytes.len().saturating_sub(at);
    if left == 0 {
        return bytes.len();
    }
    // As the end of a word. What is shifted in behind them is zero, a control character.
    if let Some(eight) = bytes.last_chunk() {
        let found = specials(u64::from_le_bytes(*eight) >> (8 * (8 - left)));
        return at + word::first(found);
    }
    let tail = bytes[at..].iter().position(|&byte| special(byte));
    tail.map_or(bytes.len(), |tail| at + tail)
}

/// The high bit of every byte that is a quote, a backslash or a control character, and perhaps of bytes after the first
/// such one.
#[inline]
const fn specials(bytes: u64) -> u64 {
    word::below(bytes, b' ') | word::equal(bytes, b'"') | word::equal(bytes, b'\\')
}

#[inline]
const fn special(byte: u8) -> bool {
    // Not a `match`, which would become a table and keep the blocks from becoming vectors.
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn check(text: &str) -> Result<(), Fault> {
        Scanner::new(text, 0, 128, None).single().map(drop)
    }

    /// Text that is nearly JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(":"),
            Just(","),
            Just("\""),
            Just("\"a\""),
            Just("\"\\u00e9\\n\""),
            Just("\\"),
            Just("\\u12"),
            Just("0"),
            Just("-"),
            Just("12"),
            Just("."),
            Just("1.5e-3"),
            Just("E+"),
            Just("true"),
            Just("false"),
            Just("null"),
            Just("nul"),
            Just(" "),
            Just("\t"),
            Just("é"),
            Just("\u{1}"),
            Just("\"aaaaaaaaaaaaaaaaaaa\""),
        ];
        proptest::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(String::from("null")),
            any::<bool>().prop_map(|b| alloc::format!("{b}")),
            any::<i64>().prop_map(|n| alloc::format!("{n}")),
            any::<f64>()
                .prop_filter("JSON has no NaN", |n| n.is_finite())
                .prop_map(|n| alloc::format!("{n:e}")),
            any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| alloc::format!("[{}]", items.join(" , "))),
                proptest::collection::vec((any::<String>(), inner), 0..5).prop_map(|entries| {
                    let entries: Vec<_> = entries
                        .iter()
                        .map(|(key, value)| {
                            alloc::format!("{} :{value}", serde_json::to_string(key).unwrap())
                        })
                        .collect();
                    alloc::format!("{{{}}}", entries.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_that_is_nearly_json_is_judged_as_serde_json_does(text in nearly_json()) {
            prop_assert_eq!(check(&text).is_ok(), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn a_list_that_is_nearly_one_is_judged_as_serde_json_does(text in nearly_json(), named in any::<bool>()) {
            for text in [alloc::format!("[{text}"), alloc::format!("[\"a\"{text}]")] {
                let mut list = List::default();
                let checked = Scanner::new(&text, 0, 128, None).list(named, &mut list);
                let values = serde_json::from_str::<Vec<IgnoredAny>>(&text);
                let len = list.span.len as usize + usize::from(list.name.is_some());
                prop_assert_eq!(checked.map(|()| len).ok(), values.map(|values| values.len()).ok());
            }
        }

        #[test]
        fn json_is_accepted(text in json()) {
            prop_assert_eq!(check(&text), Ok(()));
        }

        #[test]
        fn json_with_one_byte_changed_is_judged_as_serde_json_does(
            text in json(), at in any::<prop::sample::Index>(), byte in 0_u8..128,
        ) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(text) = core::str::from_utf8(&bytes) {
                prop_assert_eq!(check(text).is_ok(), serde_json::from_str::<IgnoredAny>(text).is_ok());
            }
        }

        #[test]
        fn the_end_of_plain_text_is_found_wherever_it_is(
            bytes in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b' '), Just(0xC3), any::<u8>()], 0..40)
        ) {
            let expected =
                bytes.iter().position(|&b| b == b'"' || b == b'\\' || b < 0x20).unwrap_or(bytes.len());
            prop_assert_eq!(plain(&bytes), expected);
        }
    }

    #[test]
    fn nesting_is_allowed_to_its_limit_and_no_further() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let objects = |depth: usize| "{\"a\":".repeat(depth - 1) + "{}" + &"}".repeat(depth - 1);
        for text in [nested(128), objects(128)] {
            assert_eq!(check(&text), Ok(()));
        }
        for text in [nested(129), objects(129)] {
            assert_eq!(check(&text), Err(Fault::NestingTooDeep));
        }
        let list = |text: &str, limit| Scanner::new(text, 0, limit, None).list(false, &mut List::default());
        assert_eq!(list(&nested(3), 3), Ok(()));
        assert_eq!(list(&nested(3), 2), Err(Fault::NestingTooDeep));
        assert_eq!(list("[]", 0), Err(Fault::NestingTooDeep));
    }

    #[test]
    fn brackets_must_match() {
        for text in ["[}", "{]", "[[}]", "[{\"a\":1]]", "{\"a\":[1}}", "]", "[1]]", "{\"a\"}", "[,]", "{,}"] {
            assert_eq!(check(text), Err(Fault::InvalidPayload), "{text}");
        }
    }
}
