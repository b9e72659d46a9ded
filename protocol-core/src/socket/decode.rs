//! From messages to packets.

use alloc::boxed::Box;
use core::mem;
use core::ops::Range;

use bytes::Bytes;
use thiserror::Error;

use super::attachments::Gathered;
use super::parser::Contained;
use super::text::{self, Outline};
use super::{Body, Codec, Event, Limits, Packet, msgpack};
use crate::Str;
use crate::engine::packet::Message;

/// Puts the packets of one connection together: text, then the attachments it announced (REFERENCE 3.1, 3.2).
///
/// ```
/// use socketio_core::Bytes;
/// use socketio_core::engine::packet::Message;
/// use socketio_core::socket::{Body, Codec, Decoder, Limits};
///
/// let mut decoder = Decoder::new(Codec::Text, Limits::default());
/// let head = r#"51-7["upload",{"_placeholder":true,"num":0},"a.png"]"#;
/// assert_eq!(decoder.push(Message::Text(head.into())), Ok(None)); // one attachment to come
/// let packet = decoder.push(Message::Binary(Bytes::from_static(b"..."))).unwrap().unwrap();
///
/// let Body::Event(event) = packet.body else { unreachable!() };
/// assert_eq!(event.name(), "upload");
/// let (file, name): (Bytes, &str) = event.args().decode().unwrap();
/// assert_eq!((&file[..], name), (&b"..."[..], "a.png"));
/// ```
///
/// After an error every further message gives the same error: the connection is to be closed (REFERENCE 3.3). It
/// keeps no time: whoever owns it bounds how long a packet may stay incomplete.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    limits: Limits,
    state: State,
}

/// A codec as it reads.
#[derive(Debug)]
enum Format {
    Text,
    Msgpack,
    Custom(Box<Contained>),
}

#[derive(Debug)]
enum State {
    /// Between two packets.
    Ready,
    /// Waiting for attachments. In a box, for connections that are idle or never see one.
    Reconstructing(Box<Reconstruction>),
    Failed(DecodeError),
}

#[derive(Debug)]
struct Reconstruction {
    packet: Packet,
    /// How many attachments are to come.
    missing: usize,
    received: Gathered,
    bytes: usize,
}

/// What is wrong with a message. Whatever it is, the peer has broken the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The packet type is not one of those the parser knows.
    #[error("unknown packet type")]
    UnknownType,
    /// The number of attachments of a binary packet is missing, zero, or not a decimal number.
    #[error("illegal attachments")]
    IllegalAttachments,
    /// More attachments than [`Limits::max_attachments`].
    #[error("too many attachments")]
    TooManyAttachments,
    /// The attachments of one packet add up to more than [`Limits::max_attachment_bytes`].
    #[error("attachments are too large")]
    AttachmentsTooLarge,
    /// The acknowledgement id is not a number of 64 bits.
    #[error("invalid packet id")]
    InvalidAckId,
    /// The namespace is not a string.
    #[error("invalid namespace")]
    InvalidNamespace,
    /// The data is malformed, or not of the kind that the packet type asks for.
    #[error("invalid payload")]
    InvalidPayload,
    /// An event whose name belongs to the library ([`is_reserved_event`](super::is_reserved_event)).
    #[error("invalid payload: reserved event name")]
    ReservedEvent,
    /// Deeper than [`Limits::max_nesting`].
    #[error("payload is nested too deeply")]
    NestingTooDeep,
    /// A placeholder whose `num` is not the index of an attachment.
    #[error("illegal placeholder")]
    IllegalPlaceholder,
    /// Text where an attachment is due; and to the msgpack parser, any text.
    #[error("got plaintext data when reconstructing a packet")]
    UnexpectedText,
    /// Binary data where no attachment is due.
    #[error("got binary data when not reconstructing a packet")]
    UnexpectedBinary,
    /// What a [`Parser`](super::Parser) of the application's own has against it, where nothing above says it.
    #[error("{reason}")]
    Parser {
        /// In its words.
        reason: Box<str>,
    },
}

/// What scanners find wrong with bytes. One byte in a register, unlike a [`DecodeError`], which may hold words: they return
/// it from the smallest of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    IllegalPlaceholder,
    InvalidAckId,
    InvalidPayload,
    NestingTooDeep,
    ReservedEvent,
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::IllegalPlaceholder => Self::IllegalPlaceholder,
            Fault::InvalidAckId => Self::InvalidAckId,
            Fault::InvalidPayload => Self::InvalidPayload,
            Fault::NestingTooDeep => Self::NestingTooDeep,
            Fault::ReservedEvent => Self::ReservedEvent,
        }
    }
}

impl Decoder {
    /// A decoder for a new connection.
    pub fn new(codec: Codec, limits: Limits) -> Self {
        let (format, state) = match codec {
            Codec::Text => (Format::Text, State::Ready),
            Codec::Msgpack => (Format::Msgpack, State::Ready),
            Codec::Custom(custom) => match custom.decoder(&limits) {
                Ok(decoder) => (Format::Custom(Box::new(decoder)), State::Ready),
                Err(error) => (Format::Text, State::Failed(error)),
            },
        };
        Self { format, limits, state }
    }

    /// Takes the next message. `None`: the packet lacks attachments, which must be the next messages.
    ///
    /// # Errors
    /// [`DecodeError`], for every violation of REFERENCE 3.2; and the same one again ever after.
    pub fn push(&mut self, mut message: Message) -> Result<Option<Packet>, DecodeError> {
        let mut outline = Outline::default();
        let range = 0..message.len();
        match self.scan(&message, range.clone(), &mut outline) {
            Ok(true) => Ok(Some(outline.into_packet(&mut message))),
            Ok(false) => self.push_other(&mut message, range),
            Err(fault) => self.fail(fault),
        }
    }

    /// Whether what is in `range` of a message, if that is text, is a plain packet, which is left to be made. Otherwise it is
    /// for [`push_other`](Self::push_other).
    ///
    /// # Errors
    /// For [`fail`](Self::fail).
    #[inline(always)] // and so the places in it stay in registers
    pub(super) fn scan(
        &self,
        message: &Message,
        range: Range<usize>,
        outline: &mut Outline,
    ) -> Result<bool, Fault> {
        match (&self.state, &self.format, message) {
            (State::Ready, Format::Text, Message::Text(text)) => outline.scan(text, range, &self.limits),
            _ => Ok(false),
        }
    }

    /// Takes what is no plain packet, or comes while attachments are due, or after an error.
    #[inline(never)]
    pub(super) fn push_other(
        &mut self,
        message: &mut Message,
        range: Range<usize>,
    ) -> Result<Option<Packet>, DecodeError> {
        match (&mut self.state, &mut self.format, message) {
            (State::Reconstructing(_), _, Message::Binary(next)) => self.attach(mem::take(next)),
            (State::Reconstructing(_), _, Message::Text(_)) => self.fail(DecodeError::UnexpectedText),
            (State::Failed(error), _, _) => Err(error.clone()),
            (State::Ready, Format::Text, Message::Text(text)) => {
                let (text, start) = cut(text, range);
                self.decode_text(text, start)
            }
            (State::Ready, Format::Text, Message::Binary(_)) => self.fail(DecodeError::UnexpectedBinary),
            (State::Ready, Format::Msgpack, Message::Text(_)) => self.fail(DecodeError::UnexpectedText),
            (State::Ready, Format::Msgpack, Message::Binary(bytes)) => {
                msgpack::decode(bytes, &self.limits).or_else(|error| self.fail(error))
            }
            (State::Ready, Format::Custom(decoder), message) => {
                let message = match message {
                    Message::Text(text) => Message::Text(text.slice_ref(&text[range])),
                    Message::Binary(bytes) => Message::Binary(mem::take(bytes)),
                };
                decoder.add(message, &self.limits).or_else(|error| self.fail(error))
            }
        }
    }

    fn decode_text(&mut self, text: Str, start: usize) -> Result<Option<Packet>, DecodeError> {
        let mut missing = 0;
        match text::decode(text, start, &self.limits, &mut missing) {
            Ok(packet) if missing == 0 => Ok(Some(packet)),
            Ok(packet) => {
                self.state = State::Reconstructing(Box::new(Reconstruction {
                    packet,
                    missing,
                    received: Gathered::default(),
                    bytes: 0,
                }));
                Ok(None)
            }
            Err(error) => self.fail(error),
        }
    }

    /// Keeps the error for ever.
    #[cold]
    pub(super) fn fail(&mut self, error: impl Into<DecodeError>) -> Result<Option<Packet>, DecodeError> {
        let error = error.into();
        self.state = State::Failed(error.clone());
        Err(error)
    }

    /// Whether a packet waits for attachments.
    pub const fn is_reconstructing(&self) -> bool {
        match (&self.state, &self.format) {
            (State::Ready, Format::Custom(decoder)) => decoder.is_reconstructing(),
            (state, _) => matches!(state, State::Reconstructing(_)),
        }
    }

    fn attach(&mut self, next: Bytes) -> Result<Option<Packet>, DecodeError> {
        let State::Reconstructing(mut partial) = mem::replace(&mut self.state, State::Ready) else {
            return self.fail(DecodeError::UnexpectedBinary);
        };
        partial.bytes = partial.bytes.saturating_add(next.len());
        if partial.bytes > self.limits.max_attachment_bytes {
            return self.fail(DecodeError::AttachmentsTooLarge);
        }
        partial.received.push(next);
        partial.missing -= 1;
        if partial.missing > 0 {
            self.state = State::Reconstructing(partial);
            return Ok(None);
        }
        if let Body::Event(Event { args, .. }) | Body::Ack { args, .. } = &mut partial.packet.body {
            args.attach(partial.received.into());
        }
        Ok(Some(partial.packet))
    }
}

/// A part of a text: all of it and where the part begins, if it goes to the end.
fn cut(text: &mut Str, range: Range<usize>) -> (Str, usize) {
    if range.end == text.len() { (mem::take(text), range.start) } else { (text.slice_ref(&text[range]), 0) }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::{ArgsError, Nsp, Raw, Variadic};
    use super::*;
    use crate::AckId;

    fn decoder() -> Decoder {
        Decoder::new(Codec::Text, Limits::default())
    }

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    fn binary(bytes: &'static [u8]) -> Message {
        Message::Binary(Bytes::from_static(bytes))
    }

    fn decode(input: &str) -> Result<Option<Packet>, DecodeError> {
        decoder().push(text(input))
    }

    /// The arguments of a packet, all together and from the first one on.
    fn values(packet: &Packet) -> Option<(Vec<Value>, Option<Value>)> {
        let (Body::Event(Event { args, .. }) | Body::Ack { args, .. }) = &packet.body else { return None };
        Some((args.decode::<Variadic<Value>>().unwrap().0, args.decode().unwrap()))
    }

    /// A packet in words, to compare with.
    fn shown(input: &str) -> String {
        let packet = match decode(input) {
            Ok(Some(packet)) => packet,
            Ok(None) => return "more".into(),
            Err(error) => return format!("{error:?}"),
        };
        let payload = |payload: &Option<super::super::Payload>| match payload {
            Some(payload) => match payload.raw() {
                Raw::Json(text) => text.to_string(),
                Raw::Msgpack(_) => "msgpack".into(),
            },
            None => "-".into(),
        };
        let args = |args: &super::super::Args| match args.raw() {
            Raw::Json(text) => format!("{}:{text}", args.len()),
            Raw::Msgpack(_) => "msgpack".into(),
        };
        let id = |id: Option<AckId>| id.map_or("-".into(), |id| id.to_string());
        let body = match &packet.body {
            Body::Connect(data) => format!("CONNECT {}", payload(data)),
            Body::Disconnect => "DISCONNECT".into(),
            Body::Event(event) => format!("EVENT {} {} {}", id(event.ack), event.name(), args(event.args())),
            Body::Unnamed => "UNNAMED".into(),
            Body::Ack { id: ack, args: list } => format!("ACK {} {}", id(*ack), args(list)),
            Body::ConnectError(data) => format!("CONNECT_ERROR {}", payload(data)),
        };
        format!("{} {body}", packet.nsp)
    }

    #[test]
    fn every_row_of_the_decoder_table() {
        let rows = [
            // Type.
            ("", "UnknownType"),
            ("7", "UnknownType"),
            ("a", "UnknownType"),
            (" 2[\"a\"]", "UnknownType"),
            ("é", "UnknownType"),
            // Attachments.
            ("5", "IllegalAttachments"),
            ("5-[\"a\"]", "IllegalAttachments"),
            ("5[\"a\"]", "IllegalAttachments"),
            ("51[\"a\"]", "IllegalAttachments"),
            ("50-[\"a\"]", "IllegalAttachments"),
            ("5 1-[\"a\"]", "IllegalAttachments"),
            ("5+1-[\"a\"]", "IllegalAttachments"),
            ("5-1-[\"a\"]", "IllegalAttachments"),
            ("51.0-[\"a\"]", "IllegalAttachments"),
            ("51e0-[\"a\"]", "IllegalAttachments"),
            ("50x1-[\"a\"]", "IllegalAttachments"),
            ("510-[\"a\"]", "more"),
            ("511-[\"a\"]", "TooManyAttachments"),
            ("5999999-[\"a\"]", "TooManyAttachments"),
            ("599999999999999999999999999999-[\"a\"]", "TooManyAttachments"),
            ("61-", "more"),
            ("51-[{\"_placeholder\":true,\"num\":0}]", "InvalidPayload"),
            // Namespace.
            ("0/admin", "/admin CONNECT -"),
            ("0/admin,", "/admin CONNECT -"),
            ("0/a{\"x\":1}", "/a{\"x\":1} CONNECT -"),
            ("0/foo?x=1,{}", "/foo?x=1 CONNECT {}"),
            ("2/,[\"a\"]", "/ EVENT - a 0:"),
            ("2/admin,[\"a,b\"]", "/admin EVENT - a,b 0:"),
            ("1/admin,", "/admin DISCONNECT"),
            ("0admin", "InvalidPayload"),
            // Acknowledgement id.
            ("2/admin,456[\"project:delete\",123]", "/admin EVENT 456 project:delete 1:123"),
            ("20[\"a\"]", "/ EVENT 0 a 0:"),
            ("2007[\"a\"]", "/ EVENT 7 a 0:"),
            ("218446744073709551615[\"a\"]", "/ EVENT 18446744073709551615 a 0:"),
            ("218446744073709551616[\"a\"]", "InvalidAckId"),
            ("2-1[\"a\"]", "InvalidPayload"),
            ("2+1[\"a\"]", "InvalidPayload"),
            ("21.5[\"a\"]", "InvalidPayload"),
            ("21e3[\"a\"]", "InvalidPayload"),
            ("2 [\"a\"]", "/ EVENT - a 0:"),
            // JSON.
            ("2[\"a\"] \n\t\r", "/ EVENT - a 0:"),
            ("2[ \"a\" , 1 , [ 2 ] ]", "/ EVENT - a 2:1 , [ 2 ] "),
            ("2[\"a\"", "InvalidPayload"),
            ("2[\"a\",]", "InvalidPayload"),
            ("2[\"a\" 1]", "InvalidPayload"),
            ("2[,\"a\"]", "InvalidPayload"),
            ("2[\"a\"]]", "InvalidPayload"),
            ("2[\"a\"]x", "InvalidPayload"),
            ("2[\"a\",nul]", "InvalidPayload"),
            ("2[\"a\",01]", "InvalidPayload"),
            ("2[\"a\",NaN]", "InvalidPayload"),
            ("2[\"a\n\"]", "InvalidPayload"),
            ("2[\"\\x\"]", "InvalidPayload"),
            ("2\u{a0}[\"a\"]", "InvalidPayload"),
            // No JSON.
            ("2", "/ UNNAMED"),
            ("27", "/ UNNAMED"),
            ("2/n,", "/n UNNAMED"),
            ("3", "/ ACK - 0:"),
            ("31", "/ ACK 1 0:"),
            ("4", "/ CONNECT_ERROR -"),
            // CONNECT.
            ("0", "/ CONNECT -"),
            ("0{}", "/ CONNECT {}"),
            ("0{\"token\":\"x\"} ", "/ CONNECT {\"token\":\"x\"}"),
            ("05{}", "/ CONNECT {}"),
            ("0[]", "InvalidPayload"),
            ("0null", "InvalidPayload"),
            ("0\"x\"", "InvalidPayload"),
            ("0{}{}", "InvalidPayload"),
            // DISCONNECT.
            ("1", "/ DISCONNECT"),
            ("1{}", "InvalidPayload"),
            ("1null", "InvalidPayload"),
            // EVENT.
            ("2{}", "InvalidPayload"),
            ("2null", "InvalidPayload"),
            ("2\"a\"", "InvalidPayload"),
            ("2[]", "InvalidPayload"),
            ("2[ ]", "InvalidPayload"),
            ("2[null]", "InvalidPayload"),
            ("2[true]", "InvalidPayload"),
            ("2[{}]", "InvalidPayload"),
            ("2[{\"toString\":\"foo\"}]", "InvalidPayload"),
            ("2[[]]", "InvalidPayload"),
            ("2[1.5,2]", "/ EVENT - 1.5 1:2"),
            ("2[\"\"]", "/ EVENT -  0:"),
            ("2[\"\\u00e9\\n\",1]", "/ EVENT - é\n 1:1"),
            ("2[\"\\ud800\"]", "/ EVENT - \u{fffd}\u{fffd}\u{fffd} 0:"),
            ("2[\"connect\"]", "ReservedEvent"),
            ("2[\"connect_error\"]", "ReservedEvent"),
            ("2[\"disconnect\"]", "ReservedEvent"),
            ("2[\"disconnecting\"]", "ReservedEvent"),
            ("2[\"newListener\"]", "ReservedEvent"),
            ("2[\"removeListener\"]", "ReservedEvent"),
            ("2[\"conne\\u0063t\"]", "ReservedEvent"),
            ("2[\"error\"]", "/ EVENT - error 0:"),
            ("2[\"connection\"]", "/ EVENT - connection 0:"),
            ("2[\"message\",1]", "/ EVENT - message 1:1"),
            ("2[\"__proto__\"]", "/ EVENT - __proto__ 0:"),
            // ACK.
            ("3/n,0[]", "/n ACK 0 0:"),
            ("31[1,\"x\"]", "/ ACK 1 2:1,\"x\""),
            ("31{}", "InvalidPayload"),
            ("31null", "InvalidPayload"),
            ("31\"a\"", "InvalidPayload"),
            // CONNECT_ERROR.
            ("4{\"message\":\"m\"}", "/ CONNECT_ERROR {\"message\":\"m\"}"),
            ("4/n,\"m\"", "/n CONNECT_ERROR \"m\""),
            ("4[]", "InvalidPayload"),
            ("4null", "InvalidPayload"),
            ("4 1", "InvalidPayload"),
        ];
        for (input, expected) in rows {
            assert_eq!(shown(input), expected, "{input:?}");
        }
    }

    #[test]
    fn attachments_take_their_places() {
        let mut decoder = decoder();
        let head = r#"52-5["a",{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]"#;
        assert_eq!(decoder.push(text(head)), Ok(None));
        assert!(decoder.is_reconstructing());
        assert_eq!(decoder.push(binary(&[1])), Ok(None));
        let packet = decoder.push(binary(&[2, 3])).unwrap().unwrap();
        assert!(!decoder.is_reconstructing());
        let Body::Event(event) = packet.body else { panic!("event expected") };
        assert_eq!((event.ack, event.name()), (Some(AckId(5)), "a"));
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct B {
            b: Bytes,
        }
        let b = B { b: Bytes::from_static(&[2, 3]) };
        assert_eq!(event.args().decode(), Ok((Bytes::from_static(&[1]), b)));
        // The next packet is a new one.
        assert!(decoder.push(text("2[\"a\"]")).unwrap().is_some());
    }

    #[test]
    fn a_binary_packet_without_data_waits_for_its_attachments_too() {
        let mut decoder = decoder();
        assert_eq!(decoder.push(text("61-8")), Ok(None));
        let packet = decoder.push(binary(&[1])).unwrap().unwrap();
        let Body::Ack { id, args } = packet.body else { panic!("ack expected") };
        assert_eq!((id, args.len()), (Some(AckId(8)), 0));
        assert_eq!(decoder.push(text("51-")), Ok(None));
        let packet = decoder.push(binary(&[1])).unwrap().unwrap();
        assert_eq!(packet, Packet { nsp: Nsp::ROOT, body: Body::Unnamed });
    }

    #[test]
    fn messages_out_of_turn_are_refused_and_the_decoder_stays_failed() {
        let mut out_of_turn = decoder();
        assert_eq!(out_of_turn.push(binary(&[1])), Err(DecodeError::UnexpectedBinary));
        assert_eq!(out_of_turn.push(text("2[\"a\"]")), Err(DecodeError::UnexpectedBinary));

        let mut interrupted = decoder();
        assert_eq!(interrupted.push(text(r#"51-["a",{"_placeholder":true,"num":0}]"#)), Ok(None));
        assert_eq!(interrupted.push(text("2[\"a\"]")), Err(DecodeError::UnexpectedText));
        assert!(!interrupted.is_reconstructing());
        assert_eq!(interrupted.push(binary(&[1])), Err(DecodeError::UnexpectedText));
    }

    #[test]
    fn placeholders_must_name_an_attachment() {
        let placeholder = |num: &str| format!(r#"52-["a",{{"_placeholder":true,"num":{num}}}]"#);
        for num in ["0", "1", "1.0", "-0"] {
            assert_eq!(decode(&placeholder(num)), Ok(None), "{num}");
        }
        for num in ["2", "-1", "0.5", "\"splice\"", "null", "99999999999999999999", "[]"] {
            assert_eq!(decode(&placeholder(num)), Err(DecodeError::IllegalPlaceholder), "{num}");
        }
        assert_eq!(decode(r#"51-["a",{"_placeholder":true}]"#), Err(DecodeError::IllegalPlaceholder));
        assert_eq!(decode(r#"51-["a",{"_placeholder":1,"num":5}]"#), Ok(None));
        // Without attachments it is plain data.
        assert!(decode(r#"2["a",{"_placeholder":true,"num":5}]"#).unwrap().is_some());
    }

    #[test]
    fn placeholders_of_any_spelling_and_repeated_ones_are_resolved() {
        let mut decoder = decoder();
        let head = r#"52-["\u0061",{"num":0,"_placeholder":true},[{"_placeholder":true,"num":0,"x":[1]}],{"_placeholder":0}]"#;
        assert_eq!(decoder.push(text(head)), Ok(None));
        assert_eq!(decoder.push(binary(b"x")), Ok(None));
        let packet = decoder.push(binary(b"dropped")).unwrap().unwrap();
        let Body::Event(event) = packet.body else { panic!("event expected") };
        assert_eq!(event.name(), "a");
        let x = Bytes::from_static(b"x");
        assert_eq!(event.args().decode(), Ok((x.clone(), vec![x], json!({"_placeholder": 0}))));
    }

    #[test]
    fn attachments_are_limited_in_bytes() {
        let limits = Limits { max_attachment_bytes: 4, ..Limits::default() };
        let head = text(r#"52-["a"]"#);
        let mut at_limit = Decoder::new(Codec::Text, limits.clone());
        assert_eq!(at_limit.push(head.clone()), Ok(None));
        assert_eq!(at_limit.push(binary(&[0; 2])), Ok(None));
        assert!(at_limit.push(binary(&[0; 2])).unwrap().is_some());
        let mut above = Decoder::new(Codec::Text, limits);
        assert_eq!(above.push(head), Ok(None));
        assert_eq!(above.push(binary(&[0; 2])), Ok(None));
        assert_eq!(above.push(binary(&[0; 3])), Err(DecodeError::AttachmentsTooLarge));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("2[\"a\",{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(decode(&nested(128)).is_ok());
        assert_eq!(decode(&nested(129)), Err(DecodeError::NestingTooDeep));
        assert_eq!(decode(&format!("0{}", "{\"a\":".repeat(1000))), Err(DecodeError::NestingTooDeep));
        // The cap holds whatever the limit says.
        let limits = Limits { max_nesting: usize::MAX, ..Limits::default() };
        assert_eq!(
            Decoder::new(Codec::Text, limits).push(text(&nested(129))),
            Err(DecodeError::NestingTooDeep)
        );
    }

    #[test]
    fn values_that_rust_cannot_hold_are_an_error_of_the_type_not_of_the_packet() {
        let packet = decode(r#"2["a","\ud800",1e999]"#).unwrap().unwrap();
        let Body::Event(event) = packet.body else { panic!("event expected") };
        assert!(matches!(event.args().decode::<String>(), Err(ArgsError::Invalid { argument: 1, .. })));
        assert!(matches!(event.args().decode::<((), Value)>(), Err(ArgsError::Invalid { argument: 1, .. })));
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let pieces = prop_oneof![
            "[0-6]",
            "[0-9]{0,3}",
            Just("-".into()),
            Just("/n,".into()),
            Just("[\"a\",".into()),
            Just("[".into()),
            Just("{\"_placeholder\":true,\"num\":0}".into()),
            Just("{\"num\":1,\"_placeholder\":true}".into()),
            Just("]".into()),
            Just(",".into()),
            Just("{".into()),
            Just("\"k\":".into()),
            Just("}".into()),
            ".{0,4}",
        ];
        prop_oneof![
            3 => ("[0-6]([12]-)?(/n,)?[0-9]?", proptest::collection::vec(pieces, 0..10))
                .prop_map(|(head, rest)| Message::Text((head + &rest.concat()).into())),
            1 => any::<String>().prop_map(|text| Message::Text(text.into())),
            2 => any::<vec::Vec<u8>>().prop_map(|bytes| Message::Binary(bytes.into())),
        ]
    }

    proptest! {
        // Packets that are scanned before they are made, and those for which that gives up half-way.
        #[test]
        fn a_plain_packet_is_what_it_would_be_apart(
            input in prop_oneof![
                r#"[23](/[a-z?]{0,3},)?[0-9]{0,3}\["[a-zé]{0,20}(\\n)?"(,("[a-z é]{0,40}"|-?[1-9]|\{\}|\[\[\]\])){0,3}\]"#,
                r#"[0-7]([0-9]-)?(/[a-z]{0,2},?)?[0-9]{0,2} ?\[ ?("(connect|a|a\\n|\\)"|7|null)?( ?, ?("[a-z \\n]{0,20}"|[0-9]{1,2}))*,? ?\]? ?"#,
                r#"[0-7]([0-9]{1,2}-)?(/[a-z]{0,2},?)?([0-9]{0,2}|[0-9]{21}) ?\{?\}?"#,
            ],
            nesting in prop_oneof![Just(128_usize), 0_usize..3],
        ) {
            let limits = Limits { max_nesting: nesting, ..Limits::default() };
            let mut missing = 0;
            let apart = text::decode(input.as_str().into(), 0, &limits, &mut missing);
            let expected = apart.map(|packet| (missing == 0).then_some(packet));
            let mut decoder = Decoder::new(Codec::Text, limits.clone());
            prop_assert_eq!(decoder.push(text(&input)), expected.clone());
            // Where the session leaves it: behind the type of an Engine.IO packet, and before another one.
            let framed = Message::Text(["4", &input, "\u{1e}42[\"b\"]"].concat().into());
            let mut outline = Outline::default();
            let scanned = Decoder::new(Codec::Text, limits).scan(&framed, 1..1 + input.len(), &mut outline);
            match (scanned, &expected) {
                (Ok(true), Ok(Some(packet))) => {
                    let outlined = outline.into_packet(&mut framed.clone());
                    prop_assert_eq!(&outlined, packet);
                    prop_assert_eq!(values(&outlined), values(packet));
                }
                (Ok(false), _) => {}
                (Err(fault), Err(error)) => prop_assert_eq!(&DecodeError::from(fault), error),
                (scanned, _) => prop_assert!(false, "{scanned:?}, but {expected:?}"),
            }
            // It ends in the same state, too.
            if let Err(error) = expected {
                prop_assert_eq!(decoder.push(text("2[\"a\"]")), Err(error));
            } else if missing > 0 {
                prop_assert_eq!(decoder.push(text("2[\"a\"]")), Err(DecodeError::UnexpectedText));
            }
        }

        #[test]
        fn no_sequence_of_messages_panics(messages in proptest::collection::vec(any_message(), 1..8)) {
            let mut decoder = decoder();
            let mut failed = None;
            for message in messages {
                let result = decoder.push(message);
                if let Some(failed) = &failed {
                    prop_assert_eq!(&result, failed);
                }
                match result {
                    Ok(Some(packet)) => {
                        if let Body::Event(event) = &packet.body {
                            let args = event.args();
                            prop_assert_eq!(args.iter().count(), args.len());
                            let _ = args.decode::<(Value, Option<Bytes>)>();
                            let _ = args.decode::<Value>();
                            let forwarded = Codec::Text.event_raw(&Nsp::ROOT, None, event.name(), args).unwrap();
                            let _ = Codec::Text.event(&Nsp::ROOT, None, event.name(), args);
                            let _ = forwarded.with_offset("x");
                        }
                    }
                    Ok(None) => prop_assert!(decoder.is_reconstructing()),
                    Err(_) => failed = Some(result),
                }
            }
        }
    }
}
