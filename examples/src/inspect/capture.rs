//! What one line of a capture says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use socketio_core::{Bytes, Str};

use super::shared;

/// Who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The client.
    ToServer,
    /// The server.
    ToClient,
    /// The capture does not say.
    Unknown,
}

/// A frame or a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text.
    Text(Str),
    /// Bytes.
    Binary(Bytes),
}

/// Why a line cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureError {
    /// After `base64:` comes something else.
    Base64(base64::DecodeError),
    /// After `hex:` comes something else.
    HexDigit(char),
    /// Half a byte at the end.
    OddHex,
}

impl std::fmt::Display for CaptureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Base64(error) => write!(f, "base64: {error}"),
            Self::HexDigit(found) => write!(f, "hex: {found:?} is no digit of it"),
            Self::OddHex => f.write_str("hex: an odd number of digits"),
        }
    }
}

impl std::error::Error for CaptureError {}

impl Direction {
    /// As it stands at the beginning of a line.
    pub const fn arrow(self) -> char {
        match self {
            Self::ToServer => '>',
            Self::ToClient => '<',
            Self::Unknown => ' ',
        }
    }
}

/// Reads a line: `>` or `<` if the direction is known, then `hex:` and bytes, `base64:` and bytes, or text as it was
/// sent, in which `\x1e` stands for the separator of payloads. A line of white space is `None`, and so is one that
/// begins with `#`.
///
/// # Errors
/// [`CaptureError`], for bytes that are none.
pub fn parse(line: &str) -> Result<Option<(Direction, Content)>, CaptureError> {
    let line = line.trim_end_matches(['\r', '\n']);
    let (direction, rest) = match line.trim_start() {
        comment if comment.is_empty() || comment.starts_with('#') => return Ok(None),
        sent if sent.starts_with('>') => (Direction::ToServer, sent[1..].trim_start()),
        received if received.starts_with('<') => (Direction::ToClient, received[1..].trim_start()),
        unknown => (Direction::Unknown, unknown),
    };
    let content = if let Some(digits) = rest.strip_prefix("hex:") {
        Content::Binary(hex(digits)?.into())
    } else if let Some(text) = rest.strip_prefix("base64:") {
        Content::Binary(STANDARD.decode(text.trim()).map_err(CaptureError::Base64)?.into())
    } else {
        Content::Text(shared(rest.replace("\\x1e", "\x1e")))
    };
    Ok(Some((direction, content)))
}

fn hex(digits: &str) -> Result<Vec<u8>, CaptureError> {
    let nibbles: Vec<u8> = digits
        .chars()
        .filter(|digit| !digit.is_whitespace())
        .map(|digit| digit.to_digit(16).map(|nibble| nibble as u8).ok_or(CaptureError::HexDigit(digit)))
        .collect::<Result<_, _>>()?;
    if nibbles.len() % 2 == 1 {
        return Err(CaptureError::OddHex);
    }
    Ok(nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Content {
        Content::Text(shared(text))
    }

    #[test]
    fn a_line_says_who_and_what() {
        for (line, direction, content) in [
            ("> 2probe", Direction::ToServer, text("2probe")),
            ("<42[\"a b\"] ", Direction::ToClient, text("42[\"a b\"] ")),
            ("  6\r\n", Direction::Unknown, text("6")),
            ("< 2\\x1e6", Direction::ToClient, text("2\u{1e}6")),
            ("hex:00 fF", Direction::Unknown, Content::Binary(Bytes::from_static(&[0, 255]))),
            ("> base64: AP8=", Direction::ToServer, Content::Binary(Bytes::from_static(&[0, 255]))),
        ] {
            assert_eq!(parse(line), Ok(Some((direction, content))), "{line}");
        }
        for nothing in ["", "  ", "# comment"] {
            assert_eq!(parse(nothing), Ok(None));
        }
    }

    #[test]
    fn bytes_that_are_none_are_refused() {
        assert_eq!(parse("hex:0"), Err(CaptureError::OddHex));
        assert_eq!(parse("hex:0g"), Err(CaptureError::HexDigit('g')));
        assert!(matches!(parse("base64:?"), Err(CaptureError::Base64(_))));
    }
}
