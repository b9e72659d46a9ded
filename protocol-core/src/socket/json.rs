//! Checks JSON in one pass: strict syntax, nesting, and, where a packet has attachments, its placeholders.
//!
//! `serde_json` could do the first, but then the end of the event's name, the number of arguments, the depth and
//! the placeholders would each cost another pass, and its stack of brackets an allocation. What is accepted is
//! exactly what `serde_json` accepts for a value it skips (a property test compares them). Nothing is converted
//! here: numbers of any size and halves of surrogate pairs pass, as they do in JavaScript.

use core::ops::Range;

use super::decode::DecodeError;
use super::placeholder;

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
    /// Where the name is, quotes included.
    pub(super) name_range: Range<usize>,
    /// Whether the name is a string with escapes.
    pub(super) name_escaped: bool,
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
    text: &'a str,
    at: usize,
    max_nesting: usize,
    attachments: Option<usize>,
    irregular: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at byte `at` of `text`. With `attachments`, their number, placeholders are checked against it.
    pub(super) fn new(text: &'a str, at: usize, max_nesting: usize, attachments: Option<usize>) -> Self {
        Self { text, at, max_nesting, attachments, irregular: false }
    }

    /// Where the scanner is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether there may be placeholders that are not written as the reference writes them: such text is
    /// [normalised](placeholder::normalise).
    pub(super) fn irregular(&self) -> bool {
        self.irregular
    }

    /// Checks a whole argument list and that nothing follows it; `named` lists begin with an event's name. What is
    /// found goes to `found`, so that it is not copied from one result to the next.
    pub(super) fn list(&mut self, named: bool, found: &mut List) -> Result<(), DecodeError> {
        self.space();
        let start = self.at;
        self.expect(b'[')?;
        if self.max_nesting == 0 {
            return Err(DecodeError::NestingTooDeep);
        }
        self.space();
        let mut elements = 0;
        let mut first = None;
        if self.peek() != Some(b']') {
            loop {
                let at = self.at;
                if named && elements == 0 {
                    let kind = self.kind()?;
                    match kind {
                        Kind::String => found.name_escaped = self.string()?,
                        _ => {
                            self.value(1)?;
                        }
                    }
                    found.name = Some(kind);
                    found.name_range = at..self.at;
                } else {
                    self.value(1)?;
                    first = first.or(Some(at));
                }
                elements += 1;
                self.space();
                if self.peek() != Some(b',') {
                    break;
                }
                self.at += 1;
                self.space();
            }
        }
        let end = self.at;
        self.expect(b']')?;
        self.finish()?;
        if u32::try_from(end).is_err() {
            return Err(DecodeError::InvalidPayload);
        }
        // Nothing here is beyond the end.
        found.span = Span {
            start: start as u32,
            first: first.unwrap_or(end) as u32,
            end: end as u32,
            len: elements - u32::from(found.name.is_some()),
        };
        Ok(())
    }

    /// Checks one value and that nothing follows it.
    pub(super) fn single(&mut self) -> Result<(Kind, Range<usize>), DecodeError> {
        self.space();
        let start = self.at;
        let kind = self.value(0)?;
        let range = start..self.at;
        self.finish()?;
        Ok((kind, range))
    }

    /// Moves past one character of one byte.
    pub(super) fn step(&mut self) {
        self.at += 1;
    }

    /// Moves past white space.
    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Moves past one value, which begins here and lies within `nesting` brackets.
    #[inline]
    pub(super) fn value(&mut self, nesting: usize) -> Result<Kind, DecodeError> {
        let kind = self.kind()?;
        match kind {
            Kind::Array | Kind::Object => self.nested(nesting)?,
            _ => self.scalar(kind)?,
        }
        Ok(kind)
    }

    fn scalar(&mut self, kind: Kind) -> Result<(), DecodeError> {
        match kind {
            Kind::String => self.string().map(drop),
            Kind::Number => self.number(),
            Kind::Null => self.literal("null"),
            _ if self.peek() == Some(b't') => self.literal("true"),
            _ => self.literal("false"),
        }
    }

    /// Moves past an array or an object.
    fn nested(&mut self, nesting: usize) -> Result<(), DecodeError> {
        let mut depth = nesting;
        // One bit per open bracket, 1 for an object; `NESTING_CAP` of them fit.
        let mut open = 0_u128;
        loop {
            match self.kind()? {
                Kind::Array | Kind::Object if depth >= self.max_nesting => {
                    return Err(DecodeError::NestingTooDeep);
                }
                Kind::Object if self.placeholder()? => {}
                bracket @ (Kind::Array | Kind::Object) => {
                    let (object, close) = match bracket {
                        Kind::Object => (1, b'}'),
                        _ => (0, b']'),
                    };
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(close) {
                        self.at += 1;
                    } else {
                        depth += 1;
                        open = open << 1 | object;
                        if object == 1 {
                            self.key()?;
                        }
                        continue;
                    }
                }
                kind => self.scalar(kind)?,
            }
            // After a value: leave what ends here, or go on with the next one.
            loop {
                if depth == nesting {
                    return Ok(());
                }
                self.space();
                let object = open & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ => return Err(DecodeError::InvalidPayload),
                }
                self.at += 1;
                depth -= 1;
                open >>= 1;
            }
        }
    }

    /// Moves past a string, which begins here; whether it has escapes.
    pub(super) fn string(&mut self) -> Result<bool, DecodeError> {
        self.expect(b'"')?;
        let mut escaped = false;
        loop {
            self.at += plain(&self.bytes()[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                // A control character, or the end of the text.
                _ => return Err(DecodeError::InvalidPayload),
            }
        }
    }

    fn escape(&mut self) -> Result<(), DecodeError> {
        let length = match self.bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match self.bytes().get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => 6,
                _ => return Err(DecodeError::InvalidPayload),
            },
            _ => return Err(DecodeError::InvalidPayload),
        };
        self.at += length;
        Ok(())
    }

    fn key(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        let escaped = self.string()?;
        if self.attachments.is_some() && (escaped || &self.text[start..self.at] == placeholder::KEY) {
            self.irregular = true;
        }
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// Moves past a placeholder in the reference's spelling, if one begins here.
    fn placeholder(&mut self) -> Result<bool, DecodeError> {
        let Some(count) = self.attachments else { return Ok(false) };
        let Some((num, length)) = placeholder::canonical(&self.bytes()[self.at..]) else { return Ok(false) };
        if num >= count {
            return Err(DecodeError::IllegalPlaceholder);
        }
        self.at += length;
        Ok(true)
    }

    fn number(&mut self) -> Result<(), DecodeError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(DecodeError::InvalidPayload) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str) -> Result<(), DecodeError> {
        if !self.bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(DecodeError::InvalidPayload);
        }
        self.at += word.len();
        Ok(())
    }

    fn kind(&self) -> Result<Kind, DecodeError> {
        Ok(match self.peek() {
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(DecodeError::InvalidPayload),
        })
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.peek() != Some(byte) {
            return Err(DecodeError::InvalidPayload);
        }
        self.at += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DecodeError> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(DecodeError::InvalidPayload) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }
}

/// How many bytes go by before a quote, a backslash or a control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The high bit of every byte that is below `limit`, and perhaps of bytes after the first such one.
    const fn below(word: u64, limit: u8) -> u64 {
        word.wrapping_sub(ONES * limit as u64) & !word & HIGH
    }
    const fn special(byte: u8) -> bool {
        // Not a `match`, which would become a table and keep the blocks below from becoming vectors.
        (byte < b' ') | (byte == b'"') | (byte == b'\\')
    }

    let mut at = 0;
    // Most strings are short: eight bytes together, without branching on each.
    while let Some(word) = bytes[at..].first_chunk() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = below(word, b' ') | below(quote, 1) | below(backslash, 1);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
        // Long ones, in blocks that the compiler makes vectors of.
        if at % 32 == 0 {
            while let Some(block) = bytes[at..].first_chunk::<32>()
                && !block.iter().fold(false, |found, &byte| found | special(byte))
            {
                at += 32;
            }
        }
    }
    let tail = bytes[at..].iter().position(|&byte| special(byte));
    tail.map_or(bytes.len(), |tail| at + tail)
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn check(text: &str) -> Result<(), DecodeError> {
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
            assert_eq!(check(&text), Err(DecodeError::NestingTooDeep));
        }
        let list = |text: &str, limit| Scanner::new(text, 0, limit, None).list(false, &mut List::default());
        assert_eq!(list(&nested(3), 3), Ok(()));
        assert_eq!(list(&nested(3), 2), Err(DecodeError::NestingTooDeep));
        assert_eq!(list("[]", 0), Err(DecodeError::NestingTooDeep));
    }

    #[test]
    fn brackets_must_match() {
        for text in ["[}", "{]", "[[}]", "[{\"a\":1]]", "{\"a\":[1}}", "]", "[1]]", "{\"a\"}", "[,]", "{,}"] {
            assert_eq!(check(text), Err(DecodeError::InvalidPayload), "{text}");
        }
    }
}
