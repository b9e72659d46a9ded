//! Captured frames and payloads, made readable: one line per packet, in both layers' words.
//!
//! It reads what anybody would copy out of a browser's network panel, a log or a test. What cannot be read is a line that says
//! why, and the transcript goes on behind it.

pub mod capture;
pub mod har;

use std::fmt::Write;

use socketio_core::engine::Revision;
use socketio_core::engine::handshake::Handshake;
use socketio_core::engine::packet::{DecodeError, Frame, Message, Packet, Purpose};
use socketio_core::engine::{payload, payload_v3};
use socketio_core::socket::{self, Args, Body, Codec, Decoder, Event, Limits, Raw, Value, Variadic};
use socketio_core::{Bytes, Str};

use capture::{Content, Direction};

/// Turns captures into lines.
#[derive(Debug)]
pub struct Transcript {
    revision: Revision,
    codec: Codec,
    /// Attachments follow their packet in the same direction. Captures without a direction are one stream.
    decoders: [Decoder; 3],
    text: String,
    errors: usize,
}

impl Transcript {
    /// An empty transcript of a connection that speaks this revision of Engine.IO and uses this parser.
    pub fn new(revision: Revision, codec: Codec) -> Self {
        let decoders = [(); 3].map(|()| decoder(codec));
        Self { revision, codec, decoders, text: String::new(), errors: 0 }
    }

    /// How many captures, or parts of them, could not be read.
    pub const fn errors(&self) -> usize {
        self.errors
    }

    /// What was written since the last call.
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Begins another connection, with a line above it.
    pub fn begin(&mut self, title: &str, revision: Revision) {
        self.finish();
        self.revision = revision;
        self.text.push_str("# ");
        self.text.push_str(title);
        self.text.push('\n');
    }

    /// Says what is missing at the end.
    pub fn finish(&mut self) {
        for direction in [Direction::ToServer, Direction::ToClient, Direction::Unknown] {
            let replaced = std::mem::replace(&mut self.decoders[direction as usize], decoder(self.codec));
            if replaced.is_reconstructing() {
                self.error(direction, "the capture ends before the attachments of a packet");
            }
        }
    }

    /// Takes a frame, or a payload: they are told apart by how they begin.
    pub fn add(&mut self, direction: Direction, content: Content) {
        match (self.revision, content) {
            (Revision::V4, Content::Text(text)) => self.packets(direction, payload::decode(text)),
            (Revision::V4, Content::Binary(bytes)) => self.frame(direction, Frame::Binary(bytes)),
            (Revision::V3, Content::Text(text)) if begins_with_length(&text) => {
                self.packets(direction, payload_v3::decode_text(text));
            }
            (Revision::V3, Content::Text(text)) => self.frame(direction, Frame::Text(text)),
            // A payload begins with 0 or 1, a frame with the packet type, 4.
            (Revision::V3, Content::Binary(bytes)) if matches!(bytes.first(), Some(0 | 1)) => {
                self.packets(direction, payload_v3::decode_binary(bytes));
            }
            (Revision::V3, Content::Binary(bytes)) => self.frame(direction, Frame::Binary(bytes)),
        }
    }

    /// Takes a line that says what it is itself: see [`capture::parse`].
    pub fn add_line(&mut self, line: &str) {
        match capture::parse(line) {
            Ok(None) => {}
            Ok(Some((direction, content))) => self.add(direction, content),
            Err(error) => self.error(Direction::Unknown, &error.to_string()),
        }
    }

    /// Adds something the server said that is no packet: a refusal.
    pub fn note(&mut self, text: &str) {
        self.text.push_str("< ");
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn frame(&mut self, direction: Direction, frame: Frame) {
        self.packets(direction, [Packet::decode(self.revision, frame)]);
    }

    fn packets(
        &mut self,
        direction: Direction,
        packets: impl IntoIterator<Item = Result<Packet, DecodeError>>,
    ) {
        for packet in packets {
            match packet {
                Ok(packet) => self.packet(direction, packet),
                Err(error) => {
                    let hint = match error {
                        DecodeError::UnknownType { found: '_' | 'd' } => {
                            " (JSONP? copy what is inside the quotes)"
                        }
                        _ if self.revision == Revision::V4 => " (if the client is older than 3.0, try --v3)",
                        _ => "",
                    };
                    self.error(direction, &format!("not an Engine.IO packet: {error}{hint}"));
                }
            }
        }
    }

    fn packet(&mut self, direction: Direction, packet: Packet) {
        let purpose = |purpose| if purpose == Purpose::Probe { "probe" } else { "" };
        match packet {
            Packet::Open(json) => match Handshake::from_json(&json) {
                Ok(handshake) => self.line(direction, "open", &describe(&handshake)),
                Err(error) => self.error(direction, &format!("open: {error}: {json}")),
            },
            Packet::Close => self.line(direction, "close", ""),
            Packet::Ping(what) => self.line(direction, "ping", purpose(what)),
            Packet::Pong(what) => self.line(direction, "pong", purpose(what)),
            Packet::Upgrade => self.line(direction, "upgrade", ""),
            Packet::Noop => self.line(direction, "noop", ""),
            Packet::Message(message) => self.message(direction, message),
        }
    }

    fn message(&mut self, direction: Direction, message: Message) {
        let part = match &message {
            Message::Text(text) => text.to_string(),
            Message::Binary(bytes) => binary(bytes),
        };
        match self.decoders[direction as usize].push(message) {
            Ok(Some(packet)) => self.socket_packet(direction, &packet),
            Ok(None) => self.line(direction, "(part)", &part),
            Err(error) => {
                // What follows may be fine again, in a capture that has a gap.
                self.decoders[direction as usize] = decoder(self.codec);
                let hint = match (&error, self.codec) {
                    (socket::DecodeError::UnexpectedBinary, Codec::Text) => {
                        " (an attachment whose packet was not captured? with the msgpack parser, try --msgpack)"
                    }
                    (socket::DecodeError::UnexpectedText, Codec::Msgpack) => {
                        " (not msgpack: try without --msgpack)"
                    }
                    _ => "",
                };
                self.error(direction, &format!("not a Socket.IO packet: {error}{hint}: {part}"));
            }
        }
    }

    fn socket_packet(&mut self, direction: Direction, packet: &socket::Packet) {
        let nsp = &packet.nsp;
        let with = |payload: &Option<socket::Payload>| match payload {
            Some(payload) => format!("{nsp} {}", raw(payload.raw(), &[])),
            None => nsp.to_string(),
        };
        match &packet.body {
            Body::Connect(payload) => self.line(direction, "CONNECT", &with(payload)),
            Body::ConnectError(payload) => self.line(direction, "CONNECT_ERROR", &with(payload)),
            Body::Disconnect => self.line(direction, "DISCONNECT", nsp),
            Body::Event(event) => self.line(direction, "EVENT", &format!("{nsp} {}", describe_event(event))),
            Body::Unnamed => self.line(direction, "EVENT", &format!("{nsp} without a name")),
            Body::Ack { id, args } => {
                let id = id.map_or("without an id".to_owned(), |id| format!("#{id}"));
                self.line(direction, "ACK", format!("{nsp} {id} {}", list(args)).trim_end());
            }
        }
    }

    fn error(&mut self, direction: Direction, message: &str) {
        self.errors += 1;
        self.line(direction, "error", message);
    }

    fn line(&mut self, direction: Direction, kind: &str, rest: &str) {
        let line = format!("{} {kind:<13} {rest}", direction.arrow());
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

fn decoder(codec: Codec) -> Decoder {
    // Whoever looks for a bug wants to see the packet that a server would refuse.
    Decoder::new(codec, Limits { max_attachments: MAX_ATTACHMENTS, ..Limits::default() })
}

/// A payload of revision 3 is `length:packet`, over and over; no packet has a colon there.
fn begins_with_length(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(length, _)| !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_digit()))
}

fn describe(handshake: &Handshake) -> String {
    let upgrades: Vec<&str> = handshake.upgrades.iter().map(|transport| transport.name()).collect();
    let mut text = format!("sid {}, ", handshake.sid);
    if !upgrades.is_empty() {
        let _ = write!(text, "may upgrade to {}, ", upgrades.join(" or "));
    }
    let _ =
        write!(text, "heartbeat every {:?}, timeout {:?}", handshake.ping_interval, handshake.ping_timeout);
    if let Some(max_payload) = handshake.max_payload {
        let _ = write!(text, ", at most {max_payload} bytes");
    }
    text
}

fn describe_event(event: &Event) -> String {
    let mut text = format!("{:?}", event.name());
    if !event.args().is_empty() {
        let _ = write!(text, " {}", list(event.args()));
    }
    if let Some(id) = event.ack {
        let _ = write!(text, " (wants answer #{id})");
    }
    text
}

/// Arguments as they were sent, with attachments where their placeholders were.
fn list(args: &Args) -> String {
    match args.raw() {
        raw_args @ Raw::Json(_) => raw(raw_args, args.attachments()),
        Raw::Msgpack(_) => match args.decode::<Variadic<Value>>() {
            Ok(Variadic(values)) => values.iter().map(value).collect::<Vec<_>>().join(","),
            Err(error) => error.to_string(),
        },
    }
}

fn raw(raw: Raw<'_>, attachments: &[Bytes]) -> String {
    match raw {
        Raw::Json(json) => {
            let mut text = json.to_owned();
            for (at, bytes) in attachments.iter().enumerate() {
                text = text.replace(&format!(r#"{{"_placeholder":true,"num":{at}}}"#), &binary(bytes));
            }
            text
        }
        Raw::Msgpack(bytes) => binary(bytes),
    }
}

fn value(of: &Value) -> String {
    match of {
        Value::Binary(bytes) => binary(bytes),
        Value::Array(values) => format!("[{}]", values.iter().map(value).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, member)| format!("{name:?}:{}", value(member))).collect();
            format!("{{{}}}", members.join(","))
        }
        scalar => serde_json::to_string(scalar).unwrap_or_default(),
    }
}

fn binary(bytes: &[u8]) -> String {
    let mut text = format!("<{} bytes", bytes.len());
    for (i, byte) in bytes.iter().take(SHOWN_BYTES).enumerate() {
        let _ = write!(text, "{}{byte:02x}", if i == 0 { ": " } else { " " });
    }
    text.push_str(if bytes.len() > SHOWN_BYTES { " …>" } else { ">" });
    text
}

/// Text as the core holds it.
fn shared(text: impl Into<String>) -> Str {
    text.into().into()
}

const MAX_ATTACHMENTS: usize = 10_000;

const SHOWN_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(revision: Revision, codec: Codec, lines: &[&str]) -> (String, usize) {
        let mut transcript = Transcript::new(revision, codec);
        lines.iter().for_each(|line| transcript.add_line(line));
        transcript.finish();
        (transcript.take_text(), transcript.errors())
    }

    #[test]
    fn a_connection_reads_like_a_story() {
        let lines = [
            r#"< 0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
            r#"> 40/chat,{"token":"x"}"#,
            r#"< 40/chat,{"sid":"def"}"#,
            "> 2probe",
            "< 3probe",
            "> 5",
            r#"> 42/chat,7["say","hi",{"to":[1]}]"#,
            r#"< 43/chat,7[true]"#,
            r#"< 44/admin,{"message":"no"}"#,
            "> 41/chat,",
        ];
        let expected = "\
< open          sid abc, may upgrade to websocket, heartbeat every 25s, timeout 20s, at most 1000000 bytes
> CONNECT       /chat {\"token\":\"x\"}
< CONNECT       /chat {\"sid\":\"def\"}
> ping          probe
< pong          probe
> upgrade
> EVENT         /chat \"say\" \"hi\",{\"to\":[1]} (wants answer #7)
< ACK           /chat #7 true
< CONNECT_ERROR /admin {\"message\":\"no\"}
> DISCONNECT    /chat
";
        assert_eq!(transcript(Revision::V4, Codec::Text, &lines), (expected.into(), 0));
    }

    #[test]
    fn attachments_are_put_in_place_for_each_direction() {
        let lines = [
            r#"> 452-["up",{"_placeholder":true,"num":0},{"a":{"_placeholder":true,"num":1}}]"#,
            r#"< 451-["down",{"_placeholder":true,"num":0}]"#,
            "> hex:01 02",
            "< bAwQ=",
            "> base64:Bf8=",
        ];
        let (text, errors) = transcript(Revision::V4, Codec::Text, &lines);
        let complete: Vec<_> = text.lines().filter(|line| line.contains("EVENT")).collect();
        assert_eq!(
            complete,
            [
                r#"< EVENT         / "down" <2 bytes: 03 04>"#,
                r#"> EVENT         / "up" <2 bytes: 01 02>,{"a":<2 bytes: 05 ff>}"#
            ]
        );
        assert_eq!((errors, text.matches("(part)").count()), (0, 3));
    }

    #[test]
    fn payloads_are_taken_apart() {
        let (text, _) = transcript(Revision::V4, Codec::Text, &[r#"< 40{"sid":"a"}\x1e42["x"]\x1e6"#]);
        assert_eq!(text, "< CONNECT       / {\"sid\":\"a\"}\n< EVENT         / \"x\"\n< noop\n");
        let (text, _) =
            transcript(Revision::V3, Codec::Text, &[r#"< 2:407:42["x"]1:6"#, "hex:00 02 ff 34 30", "2"]);
        assert_eq!(text, "< CONNECT       /\n< EVENT         / \"x\"\n< noop\n  CONNECT       /\n  ping\n");
    }

    #[test]
    fn msgpack_is_read_when_it_is_said_to_be() {
        // {"type":2,"data":["hi",1],"nsp":"/"}
        let packet = "> hex:83a474797065 02 a46461746192a2686901 a36e7370a12f";
        let (text, errors) = transcript(Revision::V4, Codec::Msgpack, &[packet]);
        assert_eq!((text.as_str(), errors), ("> EVENT         / \"hi\" 1\n", 0));
        let (text, errors) = transcript(Revision::V4, Codec::Text, &[packet]);
        assert!(text.contains("try --msgpack"), "{text}");
        assert_eq!(errors, 1);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_the_rest_is_read() {
        let lines = ["x", "42{}", r#"42["ok"]"#, "hex:zz", "451-[\"a\",1]"];
        let (text, errors) = transcript(Revision::V4, Codec::Text, &lines);
        let expected = "  \
  error         not an Engine.IO packet: unknown packet type 'x' (if the client is older than 3.0, try --v3)
  error         not a Socket.IO packet: invalid payload: 2{}
  EVENT         / \"ok\"
  error         hex: 'z' is no digit of it
  (part)        51-[\"a\",1]
  error         the capture ends before the attachments of a packet
";
        assert_eq!((text, errors), (expected.into(), 4));
    }
}
