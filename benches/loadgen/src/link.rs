//! A TCP connection with a read buffer of its own.
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) path: String,
}

pub(crate) fn error<T>(message: impl Into<String>) -> io::Result<T> {
    Err(io::Error::other(message.into()))
}

pub(crate) struct Writer(OwnedWriteHalf);

impl Writer {
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.0.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// For small frames outside the task that owns the connection.
    pub(crate) fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        if self.0.try_write(bytes)? == bytes.len() { Ok(()) } else { error("short write of a small frame") }
    }
}

pub(crate) struct Reader {
    half: OwnedReadHalf,
    buffer: Vec<u8>,
    pub(crate) start: usize,
    end: usize,
}

impl Reader {
    /// What has been read and not been taken.
    pub(crate) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// A part of the buffer, by its place there; valid until the next `fill`.
    pub(crate) fn at(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
        let count = self.half.read(&mut self.buffer[self.end..]).await?;
        if count == 0 {
            return error("connection closed by the server");
        }
        self.end += count;
        Ok(())
    }

    /// Where `needle` is in the data; waits for it.
    pub(crate) async fn find(&mut self, needle: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = self.data().windows(needle.len()).position(|window| window == needle) {
                return Ok(at);
            }
            self.fill().await?;
        }
    }
}

/// Connects, with patience for a backlog that is full.
pub(crate) async fn dial(target: &Target, capacity: usize) -> io::Result<(Reader, Rc<Writer>)> {
    let mut tries = 0;
    let stream = loop {
        match TcpStream::connect(&target.addr).await {
            Ok(stream) => break stream,
            Err(error) if tries == 20 => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        tries += 1;
    };
    stream.set_nodelay(true)?;
    let (half, writer) = stream.into_split();
    Ok((Reader { half, buffer: vec![0; capacity], start: 0, end: 0 }, Rc::new(Writer(writer))))
}
