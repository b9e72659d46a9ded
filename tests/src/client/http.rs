//! One HTTP/1.1 connection: requests as they are written, responses as far as cases ask.

use std::io;
use std::net::SocketAddr;

use socketio_driver::runtime::{Io, Runtime};

use crate::io::{read, write_all};

/// A connection that is kept alive.
#[derive(Debug)]
pub struct Http {
    io: Box<dyn Io>,
    /// What was read and not yet asked for.
    unread: Vec<u8>,
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a body of text")
    }

    /// The first value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Http {
    /// Connects.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn connect(rt: &dyn Runtime, at: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(rt.connect(at.into()).await?))
    }

    /// Talks over a connection that exists.
    pub fn over(io: Box<dyn Io>) -> Self {
        Self { io, unread: Vec::new() }
    }

    /// The connection, and what was read beyond the last response.
    pub fn into_io(self) -> (Box<dyn Io>, Vec<u8>) {
        (self.io, self.unread)
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn get(&mut self, target: &str) -> io::Result<()> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: server\r\n\r\n").as_bytes()).await
    }

    /// Sends a POST with this body.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn post(&mut self, target: &str, body: &[u8]) -> io::Result<()> {
        let mut request = post_head(target, body.len());
        request.extend_from_slice(body);
        self.send(&request).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(&mut *self.io, bytes).await
    }

    /// The next response. May be dropped at any time and called again.
    ///
    /// # Errors
    /// Those of the connection; `UnexpectedEof` when it ends before a whole response.
    pub async fn response(&mut self) -> io::Result<Response> {
        loop {
            if let Some((response, len)) = parse(&self.unread) {
                self.unread.drain(..len);
                return Ok(response);
            }
            let bytes = read(&mut *self.io).await?;
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend(bytes);
        }
    }

    /// Sends a GET and takes the response.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn fetch(&mut self, target: &str) -> io::Result<Response> {
        self.get(target).await?;
        self.response().await
    }

    /// Waits for the end of the connection. Returns what came before it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let bytes = read(&mut *self.io).await?;
            if bytes.is_empty() {
                return Ok(std::mem::take(&mut self.unread));
            }
            self.unread.extend(bytes);
        }
    }
}

/// The head of a POST that announces a body of this length.
pub(crate) fn post_head(target: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: server\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n"
    );
    head.into_bytes()
}

/// A response at the beginning of `bytes`, and how many of them it is.
fn parse(bytes: &[u8]) -> Option<(Response, usize)> {
    let head_len = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_len - 4]).expect("a head of text");
    let (status_line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let headers: Vec<_> = fields
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse().expect("a length"));
    let body = bytes.get(head_len..head_len + length)?.to_vec();
    Some((Response { status, headers, body }, head_len + length))
}
