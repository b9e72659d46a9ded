//! HTTP/1.1 as far as a Socket.IO server needs it: request heads, and bodies with a length or in chunks. Bytes in, pieces
//! out; it neither reads nor writes.

use httparse::Status;
use socketio_core::engine::http::Request;

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    /// What follows it.
    pub framing: Framing,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(u64),
    /// After a chunk without data.
    Chunked,
}

/// The bytes are not HTTP/1.1, or too many: the connection cannot be made sense of any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Head {
    /// The first head in `input` and how long it is there, or `None` if it is not complete.
    ///
    /// # Errors
    /// [`Malformed`], also for a head longer than 16 KiB or with more than 100 fields.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let len = match parsed.parse(input) {
            Ok(Status::Complete(len)) if len <= MAX_HEAD_BYTES => len,
            Ok(Status::Partial) if input.len() <= MAX_HEAD_BYTES => return Ok(None),
            Ok(_) | Err(_) => return Err(Malformed),
        };
        let mut head = Self {
            method: parsed.method.unwrap_or_default().to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: parsed
                .headers
                .iter()
                .map(|field| (field.name.to_owned(), field.value.to_vec()))
                .collect(),
            framing: Framing::Length(0),
            keep_alive: parsed.version == Some(1),
        };
        for (name, value) in &head.headers {
            if name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed);
                }
                head.framing = Framing::Chunked;
            } else if name.eq_ignore_ascii_case("content-length") && head.framing != Framing::Chunked {
                let length = std::str::from_utf8(value).ok().and_then(|length| length.trim().parse().ok());
                head.framing = Framing::Length(length.ok_or(Malformed)?);
            } else if name.eq_ignore_ascii_case("connection") {
                head.keep_alive &= !value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some((head, len)))
    }

    /// As the core wants it.
    pub fn request(&self) -> Request<'_> {
        Request { method: &self.method, target: &self.target, headers: &self.headers }
    }

    /// The header fields, in order.
    pub fn headers(&self) -> &[(String, Vec<u8>)] {
        &self.headers
    }
}

/// How far a body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// This much is left.
    Length(u64),
    /// Before the size of a chunk.
    ChunkSize,
    /// This much is left of a chunk.
    Chunk(u64),
    /// Before the line break behind a chunk.
    ChunkEnd,
    /// In the fields behind the last chunk.
    Trailer,
}

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of its bytes.
    Data(&'a [u8]),
    /// Its end.
    End,
    /// Nothing yet: more must be received.
    Partial,
}

impl Body {
    /// The beginning of a body.
    pub const fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::ChunkSize,
        }
    }

    /// Takes the next piece from the front of `input`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Malformed> {
        loop {
            match self {
                Self::Length(0) => return Ok(Piece::End),
                Self::Length(left) | Self::Chunk(left @ 1..) => {
                    let len = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    if len == 0 {
                        return Ok(Piece::Partial);
                    }
                    *left -= len as u64;
                    return Ok(Piece::Data(take(input, len)));
                }
                Self::Chunk(_) => *self = Self::ChunkEnd,
                Self::ChunkSize => match httparse::parse_chunk_size(input) {
                    Ok(Status::Complete((len, size))) => {
                        take(input, len);
                        *self = if size == 0 { Self::Trailer } else { Self::Chunk(size) };
                    }
                    Ok(Status::Partial) if input.len() <= MAX_LINE_BYTES => return Ok(Piece::Partial),
                    Ok(Status::Partial) | Err(_) => return Err(Malformed),
                },
                Self::ChunkEnd => match input {
                    [b'\r', b'\n', ..] => {
                        take(input, 2);
                        *self = Self::ChunkSize;
                    }
                    [] | [b'\r'] => return Ok(Piece::Partial),
                    _ => return Err(Malformed),
                },
                Self::Trailer => match input.iter().position(|byte| *byte == b'\n') {
                    Some(end) if take(input, end + 1).trim_ascii().is_empty() => return Ok(Piece::End),
                    Some(_) => {}
                    None if input.len() <= MAX_LINE_BYTES => return Ok(Piece::Partial),
                    None => return Err(Malformed),
                },
            }
        }
    }
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(len);
    *input = rest;
    taken
}

/// As Node.js has it.
const MAX_HEAD_BYTES: usize = 16 * 1024;

const MAX_FIELDS: usize = 100;

const MAX_LINE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Option<(Head, usize)>, Malformed> {
        Head::parse(head.as_bytes())
    }

    #[test]
    fn a_head_is_there_when_its_last_byte_is() {
        let text = "POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), Ok(None));
        }
        let (head, len) = parse(&format!("{text}body")).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("POST", "/socket.io/?EIO=4"));
        assert_eq!((head.framing, head.keep_alive, len), (Framing::Length(12), true, text.len()));
        assert_eq!(head.request().headers.get("host"), Some(b"a".as_slice()));
    }

    #[test]
    fn connections_end_where_they_should() {
        for (head, keep_alive) in [
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
        ] {
            assert_eq!(parse(head).unwrap().unwrap().0.keep_alive, keep_alive, "{head}");
        }
    }

    #[test]
    fn nonsense_is_malformed() {
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD_BYTES));
        for head in [
            "\x00",
            "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
            &long,
        ] {
            assert_eq!(parse(head), Err(Malformed), "{head}");
        }
    }

    /// Reads a body that arrives `step` bytes at a time; the second value is what follows it.
    fn read(framing: Framing, text: &str, step: usize) -> Result<Option<(String, String)>, Malformed> {
        let (mut body, mut buffer, mut data) = (Body::new(framing), Vec::new(), Vec::new());
        for part in text.as_bytes().chunks(step) {
            buffer.extend_from_slice(part);
            let mut rest = &buffer[..];
            loop {
                match body.next(&mut rest)? {
                    Piece::Data(bytes) => data.extend_from_slice(bytes),
                    Piece::Partial => break,
                    Piece::End => {
                        let rest = String::from_utf8(rest.to_vec()).unwrap();
                        return Ok(Some((String::from_utf8(data).unwrap(), rest)));
                    }
                }
            }
            buffer = rest.to_vec();
        }
        Ok(None)
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let chunked = "4\r\nabcd\r\n1;x=y\r\ne\r\n0\r\nA: b\r\n\r\n";
        for step in 1..=chunked.len() {
            assert_eq!(read(Framing::Chunked, chunked, step), Ok(Some(("abcde".into(), String::new()))));
            assert_eq!(read(Framing::Length(5), "abcde", step), Ok(Some(("abcde".into(), String::new()))));
        }
        assert_eq!(read(Framing::Length(3), "abcGET", 6), Ok(Some(("abc".into(), "GET".into()))));
        assert_eq!(read(Framing::Chunked, "4\r\nab", 9), Ok(None));
    }

    #[test]
    fn bad_chunks_are_malformed() {
        for body in ["x\r\n", "1\r\nab", "fffffffffffffffff\r\n", &"0".repeat(MAX_LINE_BYTES + 1)] {
            assert_eq!(read(Framing::Chunked, body, body.len()), Err(Malformed), "{body}");
        }
    }
}
