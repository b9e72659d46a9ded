//! A scripted client: cases say line by line what it sends and what must come.
//!
//! It is written against the protocol and not against our core: it builds its own requests, frames and packets, as
//! text, so that a case shows what is on the wire and can send what no client would. Every byte it sends is decided by
//! the script: in simulation a case is the same run each time.
//!
//! Methods that read like prose panic when something else happens than what they say; those that return a [`Gone`]
//! are for scripts in which losing the connection is part of the plan.
//!
//! It does nothing by itself: it polls, and answers heartbeats, while something is read.

mod http;
mod websocket;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use socketio_driver::runtime::Runtime;

pub use http::{Http, Response};
pub use websocket::{Frame, WebSocket, encode, head};

use crate::io::timeout;

/// How a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By HTTP long-polling, and it stays there.
    Polling,
    /// On a websocket from the start.
    Websocket,
    /// By polling, and then it upgrades.
    Upgrade,
}

impl How {
    /// Every way to come in.
    pub const ALL: [Self; 3] = [Self::Polling, Self::Websocket, Self::Upgrade];
}

/// A message of the engine: a Socket.IO packet, or an attachment of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A packet, as text.
    Text(String),
    /// An attachment.
    Binary(Vec<u8>),
}

/// Why nothing more comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The server closed the session with a packet `1`.
    ClosePacket,
    /// The server sent a close frame, with this code if it had one.
    CloseFrame(Option<u16>),
    /// The connection ended.
    End,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// A request was refused with this status and body.
    Refused(u16, String),
}

impl From<io::Error> for Gone {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::End,
            kind => Self::Broken(kind),
        }
    }
}

/// One session with a server.
#[derive(Debug)]
pub struct Client {
    rt: Arc<dyn Runtime>,
    at: SocketAddr,
    handshake: Value,
    link: Link,
    inbox: VecDeque<Message>,
    gone: Option<Gone>,
    answers_pings: bool,
    pings: usize,
}

#[derive(Debug)]
enum Link {
    Polling { get: Http, is_polling: bool, post: Http },
    Websocket(WebSocket),
}

impl Client {
    /// Opens a session.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(rt: &Arc<dyn Runtime>, at: SocketAddr, how: How) -> Self {
        let mut client = match how {
            How::Websocket => Self::try_websocket(rt, at, "").await.expect("a session on a websocket"),
            How::Polling | How::Upgrade => Self::try_polling(rt, at, "").await.expect("a polling session"),
        };
        if how == How::Upgrade {
            client.upgrade().await;
        }
        client
    }

    /// Opens a session on a websocket, with `query` appended to that of the handshake.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_websocket(rt: &Arc<dyn Runtime>, at: SocketAddr, query: &str) -> Result<Self, Gone> {
        let target = format!("{PATH}?EIO=4&transport=websocket{query}");
        let mut ws = WebSocket::open(&**rt, at, &target).await?;
        match ws.frame().await? {
            Frame::Text(text) => Ok(Self::new(rt, at, &text, Link::Websocket(ws))),
            frame => panic!("a handshake, not {frame:?}"),
        }
    }

    /// Opens a polling session, with `query` appended to that of the handshake.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_polling(rt: &Arc<dyn Runtime>, at: SocketAddr, query: &str) -> Result<Self, Gone> {
        let (mut get, post) = (Http::connect(&**rt, at).await?, Http::connect(&**rt, at).await?);
        get.get(&format!("{PATH}?EIO=4&transport=polling{query}")).await?;
        let response = get.response().await?;
        if response.status != 200 {
            return Err(Gone::Refused(response.status, response.text()));
        }
        Ok(Self::new(rt, at, &response.text(), Link::Polling { get, is_polling: false, post }))
    }

    fn new(rt: &Arc<dyn Runtime>, at: SocketAddr, open: &str, link: Link) -> Self {
        let handshake = open.strip_prefix('0').and_then(|json| serde_json::from_str(json).ok());
        let handshake = handshake.unwrap_or_else(|| panic!("a handshake, not {open}"));
        let (rt, inbox) = (Arc::clone(rt), VecDeque::new());
        Self { rt, at, handshake, link, inbox, gone: None, answers_pings: true, pings: 0 }
    }

    /// What the server said about the session: `sid`, `upgrades`, `pingInterval` and so on.
    pub fn handshake(&self) -> &Value {
        &self.handshake
    }

    /// The secret id of the session.
    pub fn sid(&self) -> &str {
        self.handshake["sid"].as_str().expect("a sid")
    }

    /// The target of the polling requests of this session.
    pub fn target(&self) -> String {
        format!("{PATH}?EIO=4&transport=polling&sid={}", self.sid())
    }

    /// From now on heartbeats are read and not answered.
    pub fn ignore_pings(&mut self) {
        self.answers_pings = false;
    }

    /// How many heartbeats have come.
    pub fn pings(&self) -> usize {
        self.pings
    }

    // Namespaces

    /// Joins a namespace and returns the id of the socket.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn connect(&mut self, nsp: &str) -> String {
        match self.connect_with(nsp, &Value::Null).await {
            Ok(id) => id,
            Err(error) => panic!("{nsp} was refused with {error}"),
        }
    }

    /// Asks to join a namespace with these credentials, `null` for none: the id of the socket, or the data of the
    /// refusal.
    ///
    /// # Errors
    /// The data of CONNECT_ERROR.
    ///
    /// # Panics
    /// When the answer is neither.
    pub async fn connect_with(&mut self, nsp: &str, auth: &Value) -> Result<String, Value> {
        let auth = if auth.is_null() { String::new() } else { auth.to_string() };
        self.send(&format!("0{}{auth}", prefix(nsp))).await;
        let answer = self.packet().await;
        let (kind, rest) = answer.split_at(1);
        let data = rest.strip_prefix(&prefix(nsp)).unwrap_or_else(|| panic!("{answer} is not for {nsp}"));
        let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("no JSON in {answer}"));
        match kind {
            "0" => Ok(data["sid"].as_str().expect("a sid").to_owned()),
            "4" => Err(data),
            _ => panic!("{answer} is no answer to CONNECT"),
        }
    }

    // Packets

    /// Sends an event in `/`; `args` is the array of its arguments.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn emit(&mut self, event: &str, args: Value) {
        self.send(&event_packet("", event, args)).await;
    }

    /// Sends an event in `/` that asks for the acknowledgement `id`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn emit_with_ack(&mut self, id: u64, event: &str, args: Value) {
        self.send(&event_packet(&id.to_string(), event, args)).await;
    }

    /// Sends a packet, as it is written in the protocol: `2["hi"]`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn send(&mut self, packet: &str) {
        self.try_send(packet).await.unwrap_or_else(|gone| panic!("{packet} is not sent: {gone:?}"));
    }

    /// Sends several packets in one request, or in one write.
    ///
    /// # Panics
    /// When they cannot be sent.
    pub async fn send_all(&mut self, packets: &[String]) {
        let frames: Vec<_> = packets.iter().map(|packet| format!("4{packet}")).collect();
        self.try_send_frames(&frames).await.expect("packets are sent");
    }

    /// Sends an attachment.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn send_binary(&mut self, bytes: &[u8]) {
        self.try_send_binary(bytes).await.expect("bytes are sent");
    }

    /// Sends an attachment.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_send_binary(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        match &mut self.link {
            Link::Websocket(ws) => Ok(ws.send(&Frame::Binary(bytes.to_vec())).await?),
            Link::Polling { .. } => self.try_send_frames(&[format!("b{}", base64(bytes))]).await,
        }
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_send(&mut self, packet: &str) -> Result<(), Gone> {
        self.try_send_frames(&[format!("4{packet}")]).await
    }

    /// Sends packets of the engine, as they are written in its protocol: `4` before a message.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_send_frames(&mut self, frames: &[String]) -> Result<(), Gone> {
        let target = self.target();
        match &mut self.link {
            Link::Websocket(ws) => {
                let frames: Vec<_> = frames.iter().map(|frame| Frame::Text(frame.clone())).collect();
                Ok(ws.send_all(&frames).await?)
            }
            Link::Polling { post, .. } => {
                post.post(&target, frames.join("\x1e").as_bytes()).await?;
                match post.response().await? {
                    Response { status: 200, .. } => Ok(()),
                    response => Err(Gone::Refused(response.status, response.text())),
                }
            }
        }
    }

    /// The next packet.
    ///
    /// # Panics
    /// When it is an attachment, or the session is over.
    pub async fn packet(&mut self) -> String {
        match self.try_recv().await {
            Ok(Message::Text(text)) => text,
            other => panic!("a packet, not {other:?}"),
        }
    }

    /// The next message, which must be an attachment.
    ///
    /// # Panics
    /// When it is a packet, or the session is over.
    pub async fn attachment(&mut self) -> Vec<u8> {
        match self.try_recv().await {
            Ok(Message::Binary(bytes)) => bytes,
            other => panic!("an attachment, not {other:?}"),
        }
    }

    /// The next packet must be this one.
    ///
    /// # Panics
    /// When it is another, or the session is over.
    pub async fn expect(&mut self, packet: &str) {
        assert_eq!(self.packet().await, packet);
    }

    /// Nothing may come for `duration`. Heartbeats are answered meanwhile.
    ///
    /// # Panics
    /// When something comes, or the session is over.
    pub async fn expect_nothing_for(&mut self, duration: Duration) {
        let rt = Arc::clone(&self.rt);
        if let Some(other) = timeout(&*rt, duration, self.try_recv()).await {
            panic!("nothing, not {other:?}");
        }
    }

    /// Nothing more comes but the end of the session. Returns how it ended.
    ///
    /// # Panics
    /// When something comes.
    pub async fn expect_end(&mut self) -> Gone {
        match self.try_recv().await {
            Ok(message) => panic!("the end, not {message:?}"),
            Err(gone) => gone,
        }
    }

    /// Reads to the end of the session. Returns what came and how it ended.
    pub async fn read_to_end(&mut self) -> (Vec<Message>, Gone) {
        let mut messages = Vec::new();
        loop {
            match self.try_recv().await {
                Ok(message) => messages.push(message),
                Err(gone) => return (messages, gone),
            }
        }
    }

    /// The next message, once it is there. On a websocket it may be dropped at any time and called again; while
    /// polling, at any time but that of answering a heartbeat.
    ///
    /// # Errors
    /// [`Gone`], from then on.
    pub async fn try_recv(&mut self) -> Result<Message, Gone> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            if let Some(gone) = &self.gone {
                return Err(gone.clone());
            }
            if let Err(gone) = self.receive().await {
                self.gone = Some(gone);
            }
        }
    }

    /// Takes what comes next into the inbox.
    async fn receive(&mut self) -> Result<(), Gone> {
        let target = self.target();
        let frames = match &mut self.link {
            Link::Websocket(ws) => vec![ws.frame().await?],
            Link::Polling { get, is_polling, .. } => {
                if !*is_polling {
                    *is_polling = true;
                    get.get(&target).await?;
                }
                let response = get.response().await?;
                *is_polling = false;
                if response.status != 200 {
                    return Err(Gone::Refused(response.status, response.text()));
                }
                response.text().split('\x1e').map(frame_of_payload).collect()
            }
        };
        let pings = self.pings;
        frames.into_iter().try_for_each(|frame| self.take(frame))?;
        if self.answers_pings && self.pings > pings {
            self.try_send_frames(&vec!["3".to_owned(); self.pings - pings]).await?;
        }
        Ok(())
    }

    fn take(&mut self, frame: Frame) -> Result<(), Gone> {
        match frame {
            Frame::Binary(bytes) => self.inbox.push_back(Message::Binary(bytes)),
            Frame::Text(text) => match text.split_at_checked(1) {
                Some(("4", packet)) => self.inbox.push_back(Message::Text(packet.to_owned())),
                Some(("2", "")) => self.pings += 1,
                Some(("6", "")) => {}
                Some(("1", "")) => return Err(Gone::ClosePacket),
                _ => panic!("no packet of the engine: {text:?}"),
            },
            Frame::Ping | Frame::Pong => {}
            Frame::Close(code) => return Err(Gone::CloseFrame(code)),
        }
        Ok(())
    }

    /// Ends the session: by ending the websocket, or by a packet `1`, because nobody notices when a polling client is
    /// gone.
    pub async fn quit(mut self) {
        match self.link {
            // It may be over already.
            Link::Polling { .. } => drop(self.try_send_frames(&["1".to_owned()]).await),
            Link::Websocket(ws) => ws.end().await,
        }
    }

    // Transports

    /// Leaves polling for a websocket as the official client does: probes, lets the pending GET return, commits.
    ///
    /// # Panics
    /// When any step fails.
    pub async fn upgrade(&mut self) {
        self.try_upgrade().await.expect("an upgrade");
    }

    /// Leaves polling for a websocket.
    ///
    /// # Errors
    /// [`Gone`], wherever that may be.
    pub async fn try_upgrade(&mut self) -> Result<(), Gone> {
        let target = self.target();
        if let Link::Polling { get, is_polling, .. } = &mut self.link
            && !*is_polling
        {
            *is_polling = true;
            get.get(&target).await?;
        }
        let mut ws = self.try_open_probe().await?;
        ws.send(&Frame::text("2probe")).await?;
        match ws.frame().await? {
            Frame::Text(text) if text == "3probe" => {}
            Frame::Close(code) => return Err(Gone::CloseFrame(code)),
            frame => panic!("the answer to a probe, not {frame:?}"),
        }
        if matches!(&self.link, Link::Polling { is_polling: true, .. }) {
            self.receive().await?;
        }
        ws.send(&Frame::text("5")).await?;
        self.link = Link::Websocket(ws);
        Ok(())
    }

    /// A websocket for this session, nothing sent on it yet.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn try_open_probe(&mut self) -> Result<WebSocket, Gone> {
        let target = format!("{PATH}?EIO=4&transport=websocket&sid={}", self.sid());
        let (rt, at) = (Arc::clone(&self.rt), self.at);
        WebSocket::open(&*rt, at, &target).await
    }

    /// Starts a GET and does not wait for the answer.
    ///
    /// # Panics
    /// On a websocket, or when there is no connection.
    pub async fn start_poll(&mut self) {
        let target = self.target();
        let Link::Polling { get, is_polling, .. } = &mut self.link else { panic!("not polling") };
        assert!(!*is_polling, "a GET is pending");
        *is_polling = true;
        get.get(&target).await.expect("a GET is sent");
    }

    /// The websocket the session is on.
    ///
    /// # Panics
    /// When it is polling.
    pub fn ws(&mut self) -> &mut WebSocket {
        match &mut self.link {
            Link::Websocket(ws) => ws,
            Link::Polling { .. } => panic!("not on a websocket"),
        }
    }
}

/// Where the server under test is.
pub const PATH: &str = "/socket.io/";

/// The text of an event packet in `/`.
pub fn event_packet(ack: &str, event: &str, args: Value) -> String {
    let Value::Array(mut list) = args else { panic!("the arguments are an array: {args}") };
    list.insert(0, event.into());
    format!("2{ack}{}", Value::Array(list))
}

/// How a namespace stands in a packet.
fn prefix(nsp: &str) -> String {
    if nsp == "/" { String::new() } else { format!("{nsp},") }
}

fn frame_of_payload(packet: &str) -> Frame {
    match packet.strip_prefix('b') {
        Some(encoded) => Frame::Binary(from_base64(encoded)),
        None => Frame::text(packet),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Vec<u8> {
    let (mut bytes, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("{digit:#x} is no digit of base 64"),
        };
        group = group << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_goes_both_ways() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe", "//4=")]
        {
            assert_eq!(base64(bytes), text);
            assert_eq!(from_base64(text), bytes);
        }
    }
}
