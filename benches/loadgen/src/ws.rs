//! The client end of a websocket: RFC 6455 by hand, never compressed.
use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::rc::Rc;

use crate::http::Http;
use crate::link::{Reader, Target, Writer, dial, error};

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Always the same and not zero: the server has to unmask all the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends one masked frame.
pub(crate) fn push_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let at = out.len();
    out.extend_from_slice(payload);
    for chunk in out[at..].chunks_mut(4) {
        chunk.iter_mut().zip(MASK).for_each(|(byte, mask)| *byte ^= mask);
    }
}

pub(crate) struct Ws {
    reader: Reader,
    pub(crate) writer: Rc<Writer>,
    /// Frames to send with the next flush.
    pub(crate) out: Vec<u8>,
}

impl Ws {
    /// The TCP connection and the upgrade of HTTP.
    async fn open(target: &Target, sid: Option<&str>, capacity: usize) -> io::Result<Self> {
        let (mut reader, writer) = dial(target, capacity).await?;
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let request = format!(
            "GET {}?EIO=4&transport=websocket{sid} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            target.path, target.addr
        );
        writer.write_all(request.as_bytes()).await?;
        let end = reader.find(b"\r\n\r\n").await?;
        if !reader.data().starts_with(b"HTTP/1.1 101") {
            return error(format!("no upgrade: {}", String::from_utf8_lossy(reader.data())));
        }
        reader.start += end + 4;
        Ok(Self { reader, writer, out: Vec::new() })
    }

    /// A Socket.IO connection by websocket alone.
    pub(crate) async fn connect(target: &Target, capacity: usize) -> io::Result<Self> {
        let mut ws = Self::open(target, None, capacity).await?;
        ws.expect("0{").await?;
        ws.send_text("40").await?;
        ws.expect("40{").await?;
        Ok(ws)
    }

    /// Handshake by polling, probe, upgrade, and then the Socket.IO connection.
    pub(crate) async fn connect_upgrade(target: &Target, capacity: usize) -> io::Result<Self> {
        let mut http = Http::dial(target).await?;
        let sid = http.handshake().await?;
        let mut ws = Self::open(target, Some(&sid), capacity).await?;
        ws.send_text("2probe").await?;
        ws.expect("3probe").await?;
        ws.send_text("5").await?;
        ws.send_text("40").await?;
        loop {
            match ws.expect("").await?.as_str() {
                text if text.starts_with("40{") => return Ok(ws),
                "6" => {}
                text => return error(format!("expected 40, got {text}")),
            }
        }
    }

    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.reader.fill().await
    }

    /// The next complete message in the buffer. Heartbeats are answered with the next flush.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u8, Range<usize>)>> {
        loop {
            let data = self.reader.data();
            let &[first, second, ref rest @ ..] = data else { return Ok(None) };
            if first & 0xf0 != 0x80 || second & 0x80 != 0 {
                return error(format!("unexpected frame header {first:02x} {second:02x}"));
            }
            let (header, len) = match (second, rest) {
                (126, &[a, b, ..]) => (4, usize::from(u16::from_be_bytes([a, b]))),
                (127, &[a, b, c, d, e, f, g, h, ..]) => {
                    (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
                }
                (126 | 127, _) => return Ok(None),
                (len, _) => (2, usize::from(len)),
            };
            if data.len() < header + len {
                return Ok(None);
            }
            let start = self.reader.start + header;
            let range = start..start + len;
            self.reader.start = range.end;
            match first & 0x0f {
                TEXT if self.reader.at(range.clone()) == b"2" => push_frame(&mut self.out, TEXT, b"3"),
                opcode @ (TEXT | BINARY) => return Ok(Some((opcode, range))),
                PING => push_frame(&mut self.out, PONG, self.reader.at(range)),
                CLOSE => return error("server sent a close frame"),
                opcode => return error(format!("unexpected opcode {opcode}")),
            }
        }
    }

    /// A message, by the range that `next` gave.
    pub(crate) fn at(&self, range: Range<usize>) -> &[u8] {
        self.reader.at(range)
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.writer.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }

    pub(crate) async fn send_text(&mut self, text: &str) -> io::Result<()> {
        push_frame(&mut self.out, TEXT, text.as_bytes());
        self.flush().await
    }

    /// Waits for a text message, which must start with `prefix`.
    pub(crate) async fn expect(&mut self, prefix: &str) -> io::Result<String> {
        loop {
            if let Some((opcode, range)) = self.next()? {
                let text = String::from_utf8_lossy(self.at(range)).into_owned();
                if opcode == TEXT && text.starts_with(prefix) {
                    return Ok(text);
                }
                return error(format!("expected {prefix}, got {text}"));
            }
            self.flush().await?;
            self.fill().await?;
        }
    }

    /// Answers heartbeats, and counts them, until the connection ends.
    pub(crate) async fn idle(mut self, heartbeats: Rc<Cell<u64>>) {
        while self.fill().await.is_ok() && matches!(self.next(), Ok(None)) {
            heartbeats.set(heartbeats.get() + u64::from(!self.out.is_empty()));
            if self.flush().await.is_err() {
                break;
            }
        }
    }
}
