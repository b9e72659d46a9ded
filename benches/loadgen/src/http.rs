//! A client that polls: HTTP/1.1 by hand, one request after the other on one connection.
use std::io;
use std::rc::Rc;

use crate::link::{Reader, Target, Writer, dial, error};

pub(crate) struct Http {
    reader: Reader,
    writer: Rc<Writer>,
    target: Target,
    request: Vec<u8>,
    body: Vec<u8>,
    sid: String,
}

impl Http {
    pub(crate) async fn dial(target: &Target) -> io::Result<Self> {
        let (reader, writer) = dial(target, 4096).await?;
        let target = target.clone();
        Ok(Self { reader, writer, target, request: Vec::new(), body: Vec::new(), sid: String::new() })
    }

    /// Opens a session; returns its id.
    pub(crate) async fn handshake(&mut self) -> io::Result<String> {
        self.get().await?;
        let body = String::from_utf8_lossy(&self.body);
        let Some(sid) = body.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split('"').next()) else {
            return error(format!("bad open packet {body}"));
        };
        self.sid = sid.to_owned();
        Ok(self.sid.clone())
    }

    /// A Socket.IO connection that stays with polling.
    pub(crate) async fn connect(&mut self) -> io::Result<()> {
        self.handshake().await?;
        self.post(b"40").await?;
        self.poll_until(b"40{").await.map(drop)
    }

    pub(crate) async fn post(&mut self, body: &[u8]) -> io::Result<()> {
        self.request.clear();
        let head = format!(
            "POST {}?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {}\r\n\r\n",
            self.target.path,
            self.sid,
            self.target.addr,
            body.len()
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.exchange().await?;
        if !self.body.eq_ignore_ascii_case(b"ok") {
            return error(format!("POST was answered {}", String::from_utf8_lossy(&self.body)));
        }
        Ok(())
    }

    /// Polls until packets that start with `prefix` come, answering pings; how many there were.
    pub(crate) async fn poll_until(&mut self, prefix: &[u8]) -> io::Result<usize> {
        loop {
            self.get().await?;
            let (mut hits, mut ping) = (0, false);
            for packet in self.body.split(|byte| *byte == 0x1e) {
                match packet {
                    b"2" => ping = true,
                    b"6" => {}
                    _ if packet.starts_with(prefix) => hits += 1,
                    _ => return error(format!("unexpected packet {}", String::from_utf8_lossy(packet))),
                }
            }
            if ping {
                self.post(b"3").await?;
            }
            if hits > 0 {
                return Ok(hits);
            }
        }
    }

    async fn get(&mut self) -> io::Result<()> {
        self.request.clear();
        let sid = if self.sid.is_empty() { String::new() } else { format!("&sid={}", self.sid) };
        let head = format!(
            "GET {}?EIO=4&transport=polling{sid} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.target.path, self.target.addr
        );
        self.request.extend_from_slice(head.as_bytes());
        self.exchange().await
    }

    async fn exchange(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.request).await?;
        let end = self.reader.find(b"\r\n\r\n").await? + 4;
        let head = String::from_utf8_lossy(&self.reader.data()[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return error(format!("HTTP: {}", String::from_utf8_lossy(self.reader.data())));
        }
        self.reader.start += end;
        self.body.clear();
        if let Some((_, rest)) = head.split_once("content-length:") {
            let len = rest.split('\r').next().unwrap_or_default().trim().parse();
            return self.take(len.map_err(io::Error::other)?).await;
        }
        if !head.contains("transfer-encoding: chunked") {
            return error("response without a length");
        }
        loop {
            let line = self.reader.find(b"\r\n").await?;
            let size = String::from_utf8_lossy(&self.reader.data()[..line]).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
            self.reader.start += line + 2;
            self.take(size).await?;
            self.reader.find(b"\r\n").await?;
            self.reader.start += 2;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Moves `len` bytes to the body.
    async fn take(&mut self, len: usize) -> io::Result<()> {
        while self.reader.data().len() < len {
            self.reader.fill().await?;
        }
        self.body.extend_from_slice(&self.reader.data()[..len]);
        self.reader.start += len;
        Ok(())
    }
}
