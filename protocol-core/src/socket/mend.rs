//! Halves of surrogate pairs, which the strings of JavaScript can hold and those of Rust cannot.
//!
//! They come from texts that were cut by their UTF-16 length. Whoever passes JSON on passes them on as well; for who wants
//! text they become U+FFFD, as in every conversion of JavaScript's own.

use alloc::string::String;

/// Valid `json` with U+FFFD in the place of each half of a surrogate pair. `None` if there is no such half.
#[cold]
pub(super) fn mend(json: &str) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(distance) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let escape = at + distance;
        at = match unit(bytes, escape) {
            // A backslash and the one character that it escapes.
            None => escape + 2,
            Some(0xD800..=0xDBFF) if matches!(unit(bytes, escape + UNIT), Some(0xDC00..=0xDFFF)) => {
                escape + 2 * UNIT
            }
            Some(0xD800..=0xDFFF) => {
                mended.push_str(&json[copied..escape]);
                mended.push('\u{FFFD}');
                copied = escape + UNIT;
                copied
            }
            Some(_) => escape + UNIT,
        };
    }
    if copied == 0 {
        return None;
    }
    mended.push_str(&json[copied..]);
    Some(mended)
}

/// The UTF-16 code unit that is escaped here, if one is.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + UNIT)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()
}

/// The length of `\uXXXX`.
const UNIT: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_replaced_and_nothing_else_is() {
        for (json, mended) in [
            (r#""\ud800""#, "\"\u{FFFD}\""),
            (r#"["\uDC00x","\udbff\ud83d\ude00"]"#, "[\"\u{FFFD}x\",\"\u{FFFD}\\ud83d\\ude00\"]"),
            (r#""\ud800\ud800\n\udfff""#, "\"\u{FFFD}\u{FFFD}\\n\u{FFFD}\""),
            (r#""\ud83d\\ude00""#, "\"\u{FFFD}\\\\ude00\""),
        ] {
            assert_eq!(mend(json).as_deref(), Some(mended));
        }
        for whole in
            ["", "1", r#""a""#, r#""\ud83d\ude00""#, r#""\\ud800""#, r#""\u00e9\"\\""#, r#""\ue000\ud7ff""#]
        {
            assert_eq!(mend(whole), None, "{whole}");
        }
    }

    proptest! {
        #[test]
        fn what_is_mended_is_whole(units in proptest::collection::vec(prop_oneof![0xD7FE_u16..=0xE001, 0x20_u16..=0x7E], 0..8)) {
            let mut json = String::from("\"");
            for unit in &units {
                json.push_str(&alloc::format!("\\u{unit:04x}"));
            }
            json.push('"');
            let mended = mend(&json);
            prop_assert_eq!(mended.is_some(), String::from_utf16(&units).is_err());
            let text: String = serde_json::from_str(mended.as_deref().unwrap_or(&json)).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }

        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = mend(&text);
            let _ = mend(&alloc::format!("{text}\\"));
        }
    }
}
