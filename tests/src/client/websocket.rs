//! One websocket: frames of RFC 6455, the wrong ones included.
//!
//! Framing is written here and not taken from a library: the server's library would agree with its own mistakes, no
//! library sends what is malformed, and all of them draw masks from a generator that no seed decides.

use std::io;
use std::net::SocketAddr;

use socketio_driver::runtime::{Io, Runtime};

use super::Gone;
use super::http::Http;
use crate::io::{read, shutdown, write_all};

/// A frame that was sent whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A close, with its code if it has one.
    Close(Option<u16>),
    /// A ping of the websocket, not of the engine.
    Ping,
    /// A pong of the websocket.
    Pong,
}

impl Frame {
    /// A text message.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => encode(0x81, text.as_bytes()),
            Self::Binary(bytes) => encode(0x82, bytes),
            Self::Close(None) => encode(0x88, &[]),
            Self::Close(Some(code)) => encode(0x88, &code.to_be_bytes()),
            Self::Ping => encode(0x89, &[]),
            Self::Pong => encode(0x8a, &[]),
        }
    }
}

/// The client's end of a websocket.
#[derive(Debug)]
pub struct WebSocket {
    io: Box<dyn Io>,
    unread: Vec<u8>,
}

impl WebSocket {
    /// Opens a websocket.
    ///
    /// # Errors
    /// [`Gone`]; [`Gone::Refused`] when the answer is not 101.
    pub async fn open(rt: &dyn Runtime, at: SocketAddr, target: &str) -> Result<Self, Gone> {
        Self::over(Http::connect(rt, at).await?, target).await
    }

    /// Turns a connection into a websocket.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn over(http: Http, target: &str) -> Result<Self, Gone> {
        Self::over_with(http, target, &[]).await
    }

    /// Turns a connection into a websocket, with frames sent in one write with the request, before it is answered.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn over_with(mut http: Http, target: &str, frames: &[Frame]) -> Result<Self, Gone> {
        let mut request = upgrade_request(target).into_bytes();
        request.extend(frames.iter().flat_map(Frame::encode));
        http.send(&request).await?;
        let response = http.response().await?;
        if response.status != 101 {
            return Err(Gone::Refused(response.status, response.text()));
        }
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let (io, unread) = http.into_io();
        Ok(Self { io, unread })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.send_bytes(&frame.encode()).await
    }

    /// Sends frames in one write.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send_all(&mut self, frames: &[Frame]) -> io::Result<()> {
        self.send_bytes(&frames.iter().flat_map(Frame::encode).collect::<Vec<_>>()).await
    }

    /// Sends bytes that need not be a frame.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(&mut *self.io, bytes).await
    }

    /// The next frame. May be dropped at any time and called again.
    ///
    /// # Errors
    /// [`Gone::End`] and [`Gone::Broken`]; a close is a frame.
    ///
    /// # Panics
    /// When the server breaks the rules: it masks, or sends a fragment or an unknown opcode.
    pub async fn frame(&mut self) -> Result<Frame, Gone> {
        loop {
            if let Some((frame, len)) = parse(&self.unread) {
                self.unread.drain(..len);
                return Ok(frame);
            }
            let bytes = read(&mut *self.io).await?;
            if bytes.is_empty() {
                return Err(Gone::End);
            }
            self.unread.extend(bytes);
        }
    }

    /// Ends the connection in an orderly way, without a close frame. To drop it with something unread would break it.
    pub async fn end(mut self) {
        if shutdown(&mut *self.io).await.is_ok() {
            while read(&mut *self.io).await.is_ok_and(|bytes| !bytes.is_empty()) {}
        }
    }

    /// The next frame must be a close; answers it, and waits for the end of the connection. Returns the code.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn expect_close(&mut self) -> Option<u16> {
        let code = match self.frame().await {
            Ok(Frame::Close(code)) => code,
            other => panic!("a close, not {other:?}"),
        };
        // The server may be gone already.
        let _ = self.send(&Frame::Close(code)).await;
        match self.frame().await {
            Err(Gone::End | Gone::Broken(_)) => code,
            other => panic!("the end, not {other:?}"),
        }
    }
}

/// The request for a websocket, with the key of the example in RFC 6455.
fn upgrade_request(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A masked frame; `first` is its first byte.
pub fn encode(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, payload.len());
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The head of a masked frame that announces a payload of `len` bytes.
pub fn head(first: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![first];
    match u16::try_from(len) {
        Ok(len @ 0..126) => frame.push(0x80 | len as u8),
        Ok(len) => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame at the beginning of `bytes`, and how many of them it is.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (len, start) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, 10),
        len => (usize::from(len), 2),
    };
    let payload = bytes.get(start..start + len)?;
    let frame = match first {
        0x81 => Frame::Text(String::from_utf8(payload.to_vec()).expect("text")),
        0x82 => Frame::Binary(payload.to_vec()),
        0x88 => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        0x89 => Frame::Ping,
        0x8a => Frame::Pong,
        _ => panic!("first byte {first:#x}"),
    };
    Some((frame, start + len))
}
