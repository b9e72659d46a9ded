//! Placeholders: objects that stand in JSON text for attachments (REFERENCE 3.1, 3.2).
//!
//! Everybody writes `{"_placeholder":true,"num":0}`, and the scanner and the typed decoder know this spelling only.
//! The rule of the reference is wider: any object whose `_placeholder` is `true`, whatever else is in it and in
//! whichever order. Text which might make use of that is rewritten once, when it arrives.

use alloc::string::String;
use alloc::vec::Vec;

use super::decode::DecodeError;
use super::json::{Kind, Scanner};

/// The key that marks a placeholder, as JSON.
pub(super) const KEY: &str = "\"_placeholder\"";

const START: &str = "{\"_placeholder\":true,\"num\":";

/// The index in a placeholder of the usual spelling at the start of `text`, and the length of the placeholder.
pub(super) fn canonical(text: &[u8]) -> Option<(usize, usize)> {
    let digits = text.strip_prefix(START.as_bytes())?;
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // More than nine digits, or a leading zero, is not what an encoder writes.
    if digits.get(count) != Some(&b'}') || count == 0 || count > 9 || (count > 1 && digits[0] == b'0') {
        return None;
    }
    let num = digits[..count].iter().fold(0, |num, digit| num * 10 + usize::from(digit - b'0'));
    Some((num, START.len() + count + 1))
}

/// Appends a placeholder in the usual spelling.
pub(super) fn write(out: &mut String, num: usize) {
    out.push_str(START);
    out.push_str(itoa::Buffer::new().format(num));
    out.push('}');
}

/// Rewrites every placeholder in `json` to the usual spelling and checks its index; `json` is valid.
///
/// Linear: each character is copied once. Where a key occurs twice the last one counts, as in JavaScript.
///
/// # Errors
/// [`DecodeError::IllegalPlaceholder`]: `num` is missing, not a whole number, or not below `attachments`.
pub(super) fn normalise(json: &str, attachments: usize) -> Result<String, DecodeError> {
    let mut out = String::with_capacity(json.len());
    let mut open: Vec<Bracket<'_>> = Vec::new();
    let mut scanner = Scanner::new(json, 0, usize::MAX, None);
    while let Some(&byte) = json.as_bytes().get(scanner.at()) {
        let start = scanner.at();
        match byte {
            b'{' | b'[' => {
                if let Some(object) = open.last_mut() {
                    object.value("");
                }
                open.push(Bracket { start: out.len(), object: byte == b'{', ..Bracket::default() });
                scanner.step();
            }
            b'}' | b']' => {
                scanner.step();
                let closed = open.pop().unwrap_or_default();
                if closed.marked {
                    out.truncate(closed.start);
                    write(&mut out, index(closed.num, attachments)?);
                    continue;
                }
            }
            b',' => {
                if let Some(bracket) = open.last_mut() {
                    bracket.key = bracket.object.then_some(Key::Expected);
                }
                scanner.step();
            }
            b':' | b' ' | b'\n' | b'\t' | b'\r' => scanner.step(),
            _ => {
                let kind = scanner.value(0)?;
                let token = &json[start..scanner.at()];
                if let Some(bracket) = open.last_mut() {
                    if bracket.expects_key() {
                        bracket.key = Some(Key::of(token));
                    } else {
                        bracket.value(if kind == Kind::String { "" } else { token });
                    }
                }
            }
        }
        out.push_str(&json[start..scanner.at()]);
    }
    Ok(out)
}

/// An array or object that has been opened.
#[derive(Default)]
struct Bracket<'a> {
    /// Where it begins in the output.
    start: usize,
    object: bool,
    /// The key of the value that comes next.
    key: Option<Key>,
    /// Whether `_placeholder` is `true`.
    marked: bool,
    /// The value of `num`, empty if it is not a scalar.
    num: &'a str,
}

#[derive(Clone, Copy, PartialEq)]
enum Key {
    Expected,
    Marker,
    Num,
    Other,
}

impl Key {
    fn of(token: &str) -> Self {
        if token.contains('\\') {
            return match serde_json::from_str::<String>(token).as_deref() {
                Ok("_placeholder") => Self::Marker,
                Ok("num") => Self::Num,
                _ => Self::Other,
            };
        }
        match token {
            KEY => Self::Marker,
            "\"num\"" => Self::Num,
            _ => Self::Other,
        }
    }
}

impl<'a> Bracket<'a> {
    fn expects_key(&self) -> bool {
        self.object && matches!(self.key, None | Some(Key::Expected))
    }

    fn value(&mut self, scalar: &'a str) {
        match self.key {
            Some(Key::Marker) => self.marked = scalar == "true",
            Some(Key::Num) => self.num = scalar,
            _ => {}
        }
    }
}

/// The index in the value of `num`. `1.0` and `1e0` are whole numbers in JavaScript and so they are here.
fn index(num: &str, attachments: usize) -> Result<usize, DecodeError> {
    let number: f64 = match num.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => num.parse().map_err(|_| DecodeError::IllegalPlaceholder)?,
        _ => return Err(DecodeError::IllegalPlaceholder),
    };
    // The cast saturates and drops fractions, neither of which survives the comparison.
    let index = number as usize;
    if index < attachments && index as f64 == number {
        Ok(index)
    } else {
        Err(DecodeError::IllegalPlaceholder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_usual_spelling_is_canonical() {
        assert_eq!(canonical(br#"{"_placeholder":true,"num":0},1"#), Some((0, 29)));
        assert_eq!(canonical(br#"{"_placeholder":true,"num":12}"#), Some((12, 30)));
        for text in [
            r#"{"_placeholder":true,"num":}"#,
            r#"{"_placeholder":true,"num":00}"#,
            r#"{"_placeholder":true,"num":0,"a":1}"#,
            r#"{"_placeholder":true,"num":0"#,
            r#"{"_placeholder": true,"num":0}"#,
            r#"{"_placeholder":true,"num":1234567890}"#,
        ] {
            assert_eq!(canonical(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn any_spelling_of_a_placeholder_is_normalised() {
        let usual = r#"[{"_placeholder":true,"num":1}]"#;
        for text in [
            r#"[{"num":1,"_placeholder":true}]"#,
            r#"[{ "num" : 1.0 , "_placeholder" : true }]"#,
            r#"[{"_placeholder":true,"num":1,"more":[{"a":1},{"num":7}]}]"#,
            r#"[{"\u005fplaceholder":true,"n\u0075m":1e0}]"#,
            r#"[{"_placeholder":false,"num":9,"_placeholder":true,"num":1}]"#,
        ] {
            assert_eq!(normalise(text, 2).as_deref(), Ok(usual), "{text}");
        }
    }

    #[test]
    fn an_object_whose_marker_is_not_true_is_plain_data() {
        for text in [
            r#"[{"_placeholder":false,"num":0}]"#,
            r#"[{"_placeholder":"true","num":0}]"#,
            r#"[{"_placeholder":[true],"num":0}]"#,
            r#"[{"_placeholder":{"_placeholder":1}}]"#,
            r#"[{"_placeholder":true,"num":0,"_placeholder":1}]"#,
            r#"["_placeholder", true, {"a":"_placeholder"}]"#,
        ] {
            assert_eq!(normalise(text, 1).as_deref(), Ok(text), "{text}");
        }
    }

    #[test]
    fn an_illegal_index_is_refused() {
        for num in ["1", "-1", "0.5", "\"0\"", "null", "[0]", "{}", "true", "1e99", "1e999"] {
            let text = alloc::format!(r#"[{{"num":{num},"_placeholder":true}}]"#);
            assert_eq!(normalise(&text, 1), Err(DecodeError::IllegalPlaceholder), "{text}");
        }
        assert_eq!(normalise(r#"[{"_placeholder":true}]"#, 1), Err(DecodeError::IllegalPlaceholder));
    }
}
