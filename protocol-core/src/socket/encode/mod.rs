//! From values to frames.

mod encoded;
mod json;
mod text;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::{fmt, mem};

use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;

pub use self::encoded::Encoded;
use super::{
    Args, Attachments, Body, Custom, Event, Followed, Guard, Nsp, Packet, Parser, Payload, Raw,
    is_reserved_event, msgpack,
};
use crate::AckId;

/// How packets are written: one parser per server, and its clients must use the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// The default parser: JSON text, with attachments behind it (REFERENCE 3.1).
    #[default]
    Text,
    /// socket.io-msgpack-parser: one binary message for each packet (REFERENCE 3.8).
    Msgpack,
    /// One of the application's own: [`Codec::custom`].
    Custom(Custom),
}

/// Why a value cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The name of the event belongs to the library ([`is_reserved_event`]).
    #[error("a reserved event name")]
    ReservedEvent,
    /// The value's `Serialize` failed, or it has a map key that is no string.
    #[error("{reason}")]
    Serialize {
        /// What it had to say.
        reason: Box<str>,
    },
}

/// Room for a small packet: most never grow out of it.
const SMALL: usize = 128;

impl Codec {
    /// A parser of the application's own: a `static`, or any value that lives as long as the program.
    pub const fn custom(parser: &'static dyn Parser) -> Self {
        Self::Custom(Custom::new(parser))
    }

    /// The same, with the panics of a parser of the application's own contained by `guard`.
    #[must_use]
    pub const fn guarded(self, guard: Guard) -> Self {
        match self {
            Self::Custom(custom) => Self::Custom(custom.guarded(guard)),
            built_in => built_in,
        }
    }

    /// An EVENT.
    ///
    /// `args` follows the rule of [`Args::decode`]: a tuple, a tuple struct or a fixed-size array is the argument
    /// list, `()` is no arguments, everything else (a `Vec` too) is one argument. Whatever serializes as bytes,
    /// as [`Bytes`] does, becomes an attachment, numbered depth first.
    ///
    /// # Errors
    /// [`EncodeError::ReservedEvent`] and [`EncodeError::Serialize`].
    pub fn event<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        ack: Option<AckId>,
        name: &str,
        args: &T,
    ) -> Result<Encoded, EncodeError> {
        List { nsp, id: ack, name: Some(name), args }.encode(self)
    }

    /// Like [`event`](Self::event), but appends the head to a buffer of the caller, which may be reused: in one that was
    /// emptied a small event costs no allocation with a built-in parser. After an error the buffer is as it was.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn event_into<T: Serialize + ?Sized>(
        self,
        out: &mut Vec<u8>,
        nsp: &Nsp,
        ack: Option<AckId>,
        name: &str,
        args: &T,
    ) -> Result<Attachments, EncodeError> {
        List { nsp, id: ack, name: Some(name), args }.encode_into(self, out)
    }

    /// Like [`event`](Self::event), by way of a buffer of the caller, which may be reused: the packet keeps a copy of the
    /// right size. What `buffer` held is lost.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    #[inline]
    pub fn event_by<T: Serialize + ?Sized>(
        self,
        buffer: &mut Vec<u8>,
        nsp: &Nsp,
        ack: Option<AckId>,
        name: &str,
        args: &T,
    ) -> Result<Encoded, EncodeError> {
        List { nsp, id: ack, name: Some(name), args }.encode_by(self, buffer)
    }

    /// An EVENT with arguments that were received, which are not looked into when they are of the same encoding.
    ///
    /// # Errors
    /// As [`event`](Self::event).
    pub fn event_raw(
        self,
        nsp: &Nsp,
        ack: Option<AckId>,
        name: &str,
        args: &Args,
    ) -> Result<Encoded, EncodeError> {
        if is_reserved_event(name) {
            return Err(EncodeError::ReservedEvent);
        }
        match (self, args.raw()) {
            (Self::Text, Raw::Json(raw)) => {
                let attachments = args.shared_attachments();
                let head = text::raw_list(nsp, ack, Some(name), raw, attachments.len());
                Ok(Encoded::text(head.into(), attachments))
            }
            (Self::Msgpack, Raw::Msgpack(raw)) => {
                Ok(Encoded::msgpack(msgpack::raw_list(nsp, ack, Some(name), raw, args.len()).into()))
            }
            (Self::Custom(custom), _) => custom_event(custom, nsp, ack, name, args.clone()),
            _ => self.event(nsp, ack, name, args),
        }
    }

    /// An ACK, with `args` as in [`event`](Self::event).
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn ack<T: Serialize + ?Sized>(self, nsp: &Nsp, id: AckId, args: &T) -> Result<Encoded, EncodeError> {
        List { nsp, id: Some(id), name: None, args }.encode(self)
    }

    /// Like [`ack`](Self::ack), into a buffer of the caller, as [`event_into`](Self::event_into) does it.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub fn ack_into<T: Serialize + ?Sized>(
        self,
        out: &mut Vec<u8>,
        nsp: &Nsp,
        id: AckId,
        args: &T,
    ) -> Result<Attachments, EncodeError> {
        List { nsp, id: Some(id), name: None, args }.encode_into(self, out)
    }

    /// Like [`ack`](Self::ack), by way of a buffer of the caller, as [`event_by`](Self::event_by) does it.
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    #[inline]
    pub fn ack_by<T: Serialize + ?Sized>(
        self,
        buffer: &mut Vec<u8>,
        nsp: &Nsp,
        id: AckId,
        args: &T,
    ) -> Result<Encoded, EncodeError> {
        List { nsp, id: Some(id), name: None, args }.encode_by(self, buffer)
    }

    /// An ACK with arguments that were received; see [`event_raw`](Self::event_raw).
    ///
    /// # Errors
    /// As [`ack`](Self::ack).
    pub fn ack_raw(self, nsp: &Nsp, id: AckId, args: &Args) -> Result<Encoded, EncodeError> {
        match (self, args.raw()) {
            (Self::Text, Raw::Json(raw)) => {
                let attachments = args.shared_attachments();
                let head = text::raw_list(nsp, Some(id), None, raw, attachments.len());
                Ok(Encoded::text(head.into(), attachments))
            }
            (Self::Msgpack, Raw::Msgpack(raw)) => {
                Ok(Encoded::msgpack(msgpack::raw_list(nsp, Some(id), None, raw, args.len()).into()))
            }
            (Self::Custom(custom), _) => custom_ack(custom, nsp, Some(id), args.clone()),
            _ => self.ack(nsp, id, args),
        }
    }

    /// A CONNECT: from a client with its credentials, from a server with the ids of the socket. This packet has no
    /// attachments, so the text parser writes bytes in it as an array of numbers.
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn connect<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        payload: Option<&T>,
    ) -> Result<Encoded, EncodeError> {
        match self {
            Self::Text => {
                let head = text::payload(text::CONNECT, nsp, payload)?;
                Ok(Encoded::text(head.into(), Attachments::NONE))
            }
            Self::Msgpack => Ok(Encoded::msgpack(msgpack::connect(nsp, payload)?.into())),
            Self::Custom(custom) => {
                let payload = payload.map(custom_payload).transpose()?;
                custom.encode(&Packet { nsp: nsp.clone(), body: Body::Connect(payload) })
            }
        }
    }

    /// A DISCONNECT.
    ///
    /// # Errors
    /// What a parser of the application's own has against it; the built-in ones write it always.
    pub fn disconnect(self, nsp: &Nsp) -> Result<Encoded, EncodeError> {
        match self {
            Self::Text => Ok(Encoded::text(text::disconnect(nsp), Attachments::NONE)),
            Self::Msgpack => Ok(Encoded::msgpack(msgpack::disconnect(nsp).into())),
            Self::Custom(custom) => custom.encode(&Packet { nsp: nsp.clone(), body: Body::Disconnect }),
        }
    }

    /// A CONNECT_ERROR with the reason: an object `{"message", "data"?}`, or what revision 3 sends in its place.
    /// Bytes are written as in [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`EncodeError::Serialize`].
    pub fn connect_error<T: Serialize + ?Sized>(
        self,
        nsp: &Nsp,
        payload: &T,
    ) -> Result<Encoded, EncodeError> {
        match self {
            Self::Text => {
                let head = text::payload(text::CONNECT_ERROR, nsp, Some(payload))?;
                Ok(Encoded::text(head.into(), Attachments::NONE))
            }
            Self::Msgpack => Ok(Encoded::msgpack(msgpack::connect_error(nsp, payload)?.into())),
            Self::Custom(custom) => {
                let body = Body::ConnectError(Some(custom_payload(payload)?));
                custom.encode(&Packet { nsp: nsp.clone(), body })
            }
        }
    }

    /// The same event with `offset` behind its arguments, as connection state recovery wants it (REFERENCE 4.8).
    /// Whatever cannot be written so stays as it is.
    pub fn with_offset(self, event: &Encoded, offset: &str) -> Encoded {
        match self {
            Self::Text | Self::Msgpack => event.with_offset(offset),
            Self::Custom(custom) => followed(custom, event, offset).unwrap_or_else(|| event.clone()),
        }
    }
}

/// An EVENT, which has a name, or an ACK.
struct List<'a, T: ?Sized> {
    nsp: &'a Nsp,
    id: Option<AckId>,
    name: Option<&'a str>,
    args: &'a T,
}

impl<T: Serialize + ?Sized> List<'_, T> {
    fn encode(&self, codec: Codec) -> Result<Encoded, EncodeError> {
        self.check()?;
        match codec {
            Codec::Text => {
                let mut head = String::with_capacity(SMALL);
                let attachments = self.write_text(&mut head)?;
                Ok(Encoded::text(head.into(), attachments))
            }
            Codec::Msgpack => {
                let mut packet = Vec::with_capacity(SMALL);
                self.write_msgpack(&mut packet)?;
                Ok(Encoded::msgpack(packet.into()))
            }
            Codec::Custom(custom) => self.custom(custom),
        }
    }

    /// Appends the head to what is in the buffer.
    fn encode_into(&self, codec: Codec, out: &mut Vec<u8>) -> Result<Attachments, EncodeError> {
        self.check()?;
        match codec {
            Codec::Text if out.is_empty() => with_text(out, |text| self.write_text(text)),
            Codec::Text => {
                let mut text = String::new();
                let attachments = self.write_text(&mut text)?;
                out.extend_from_slice(text.as_bytes());
                Ok(attachments)
            }
            Codec::Msgpack => self.write_msgpack(out).map(|()| Attachments::NONE),
            Codec::Custom(custom) => Ok(self.custom(custom)?.append_to(out)),
        }
    }

    /// By way of a buffer, what is kept having the right size.
    #[inline] // a packet that comes out of a call is moved by whoever called
    fn encode_by(&self, codec: Codec, buffer: &mut Vec<u8>) -> Result<Encoded, EncodeError> {
        self.check()?;
        buffer.clear();
        match codec {
            Codec::Text => with_text(buffer, |text| {
                let attachments = self.write_text(text)?;
                Ok(Encoded::text(text.as_str().into(), attachments))
            }),
            Codec::Msgpack => {
                self.write_msgpack(buffer)?;
                Ok(Encoded::msgpack(Bytes::copy_from_slice(buffer)))
            }
            Codec::Custom(custom) => self.custom(custom),
        }
    }

    fn check(&self) -> Result<(), EncodeError> {
        if self.name.is_some_and(is_reserved_event) { Err(EncodeError::ReservedEvent) } else { Ok(()) }
    }

    fn write_text(&self, out: &mut String) -> Result<Attachments, EncodeError> {
        text::list(out, self.nsp, self.id, self.name, self.args)
    }

    fn write_msgpack(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        msgpack::list(out, self.nsp, self.id, self.name, self.args)
    }

    fn custom(&self, custom: Custom) -> Result<Encoded, EncodeError> {
        let args = Args::encode(self.args)?;
        match self.name {
            Some(name) => custom_event(custom, self.nsp, self.id, name, args),
            None => custom_ack(custom, self.nsp, self.id, args),
        }
    }
}

/// Writes text to a buffer that is empty, and so holds nothing that is no text.
#[inline]
fn with_text<R>(buffer: &mut Vec<u8>, write: impl FnOnce(&mut String) -> R) -> R {
    let mut text = String::from_utf8(mem::take(buffer)).unwrap_or_default();
    let result = write(&mut text);
    *buffer = text.into_bytes();
    result
}

fn custom_event(
    custom: Custom,
    nsp: &Nsp,
    ack: Option<AckId>,
    name: &str,
    args: Args,
) -> Result<Encoded, EncodeError> {
    let body = Body::Event(Event::new(name, args).with_ack(ack));
    custom.encode(&Packet { nsp: nsp.clone(), body })
}

fn followed(custom: Custom, event: &Encoded, last: &str) -> Option<Encoded> {
    let Packet { nsp, body: Body::Event(event) } = event.to_packet(Codec::Custom(custom))? else {
        return None;
    };
    let args = Args::encode(&Followed(event.args(), last)).ok()?;
    custom_event(custom, &nsp, event.ack, event.name(), args).ok()
}

fn custom_ack(custom: Custom, nsp: &Nsp, id: Option<AckId>, args: Args) -> Result<Encoded, EncodeError> {
    custom.encode(&Packet { nsp: nsp.clone(), body: Body::Ack { id, args } })
}

fn custom_payload<T: Serialize + ?Sized>(payload: &T) -> Result<Payload, EncodeError> {
    Payload::encode(payload).map_err(|error| EncodeError::Serialize { reason: error.reason })
}

impl serde::ser::Error for EncodeError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Serialize { reason: reason.to_string().into() }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec;

    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::engine::packet::Frame;

    const CODEC: Codec = Codec::Text;

    fn nsp(name: &str) -> Nsp {
        Nsp::new(name).unwrap()
    }

    fn head(encoded: &Encoded) -> &str {
        match encoded.head() {
            Frame::Text(text) => text,
            Frame::Binary(_) => panic!("text expected"),
        }
    }

    fn event<T: Serialize>(args: T) -> String {
        head(&CODEC.event(&Nsp::ROOT, None, "a", &args).unwrap()).into()
    }

    const BYTES: Bytes = Bytes::from_static(&[1, 2, 3]);

    #[test]
    fn the_rows_of_the_grammar_are_written_as_the_reference_writes_them() {
        let admin = nsp("/admin");
        let id = |id| Some(AckId(id));
        let rows = [
            (CODEC.event(&admin, id(456), "project:delete", &123), r#"42/admin,456["project:delete",123]"#),
            (
                CODEC.event(&Nsp::ROOT, id(5), "a", &(&BYTES, BTreeMap::from([("b", &BYTES)]))),
                r#"452-5["a",{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]"#,
            ),
            (CODEC.ack(&Nsp::ROOT, AckId(8), &BYTES), r#"461-8[{"_placeholder":true,"num":0}]"#),
            (CODEC.ack(&nsp("/n"), AckId(0), &()), "43/n,0[]"),
            (
                CODEC.event(&admin, id(3), "b", &[&BYTES]),
                r#"451-/admin,3["b",{"_placeholder":true,"num":0}]"#,
            ),
            (CODEC.connect(&Nsp::ROOT, None::<&()>), "40"),
            (CODEC.connect(&admin, None::<&()>), "40/admin,"),
            (CODEC.connect(&admin, Some(&json!({"token": "x"}))), r#"40/admin,{"token":"x"}"#),
            (CODEC.connect_error(&admin, &json!({"message": "m"})), r#"44/admin,{"message":"m"}"#),
            (CODEC.connect_error(&admin, "plainerr"), r#"44/admin,"plainerr""#),
            (CODEC.disconnect(&Nsp::ROOT), "41"),
            (CODEC.disconnect(&admin), "41/admin,"),
        ];
        for (encoded, text) in rows {
            assert_eq!(head(&encoded.unwrap()), text);
        }
    }

    #[test]
    fn a_tuple_is_the_argument_list_and_everything_else_is_one_argument() {
        #[derive(Serialize)]
        struct Newtype<T>(T);
        #[derive(Serialize)]
        struct Pair(u8, u8);
        #[derive(Serialize)]
        struct Unit;
        #[derive(Serialize)]
        enum Choice {
            One,
            Two(u8, u8),
            Three { x: u8 },
            Four(u8),
        }
        assert_eq!(event(()), r#"42["a"]"#);
        assert_eq!(event(Unit), r#"42["a"]"#);
        assert_eq!(event((1, "x")), r#"42["a",1,"x"]"#);
        assert_eq!(event([1, 2]), r#"42["a",1,2]"#);
        assert_eq!(event([0_u8; 0]), r#"42["a"]"#);
        assert_eq!(event(Pair(1, 2)), r#"42["a",1,2]"#);
        assert_eq!(event(Newtype((1, 2))), r#"42["a",1,2]"#);
        assert_eq!(event(Newtype(())), r#"42["a"]"#);
        assert_eq!(event(((), 1)), r#"42["a",null,1]"#);
        assert_eq!(event(vec![1, 2]), r#"42["a",[1,2]]"#);
        assert_eq!(event(vec![(1, 2)]), r#"42["a",[[1,2]]]"#);
        assert_eq!(event(Some((1, 2))), r#"42["a",[1,2]]"#);
        assert_eq!(event(None::<u8>), r#"42["a",null]"#);
        assert_eq!(event(f64::NAN), r#"42["a",null]"#);
        assert_eq!(event("x"), r#"42["a","x"]"#);
        assert_eq!(event(Choice::One), r#"42["a","One"]"#);
        assert_eq!(event(Choice::Two(1, 2)), r#"42["a",{"Two":[1,2]}]"#);
        assert_eq!(event(Choice::Three { x: 1 }), r#"42["a",{"Three":{"x":1}}]"#);
        assert_eq!(event(Choice::Four(1)), r#"42["a",{"Four":1}]"#);
        assert_eq!(head(&CODEC.ack(&Nsp::ROOT, AckId(1), &(1, "x")).unwrap()), r#"431[1,"x"]"#);
        assert_eq!(head(&CODEC.ack(&Nsp::ROOT, AckId(1), "x").unwrap()), r#"431["x"]"#);
    }

    #[test]
    fn attachments_are_numbered_depth_first() {
        #[derive(Serialize)]
        enum Choice {
            Whole(Bytes),
            Part { of: Bytes },
        }
        let bytes = |n: u8| Bytes::copy_from_slice(&[n]);
        let args = (vec![Some(bytes(0))], Choice::Whole(bytes(1)), Choice::Part { of: bytes(2) }, bytes(3));
        let encoded = CODEC.event(&Nsp::ROOT, None, "a", &args).unwrap();
        let num = |n: u8| alloc::format!(r#"{{"_placeholder":true,"num":{n}}}"#);
        let text = alloc::format!(
            r#"454-["a",[{}],{{"Whole":{}}},{{"Part":{{"of":{}}}}},{}]"#,
            num(0),
            num(1),
            num(2),
            num(3)
        );
        assert_eq!(head(&encoded), text);
        let frames: Vec<_> = encoded.frames().collect();
        assert_eq!(frames.len(), encoded.frame_count());
        assert_eq!(frames[1..], [0, 1, 2, 3].map(|n| Frame::Binary(bytes(n))));
        assert_eq!(encoded.bytes_len(), text.len() + 4);
    }

    #[test]
    fn reserved_names_are_refused_and_error_is_not_one() {
        for name in
            ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
        {
            assert_eq!(CODEC.event(&Nsp::ROOT, None, name, &()), Err(EncodeError::ReservedEvent));
            assert_eq!(
                CODEC.event_raw(&Nsp::ROOT, None, name, &Args::default()),
                Err(EncodeError::ReservedEvent)
            );
        }
        for name in ["error", "connection", "message", "__proto__"] {
            assert!(CODEC.event(&Nsp::ROOT, None, name, &()).is_ok());
        }
    }

    #[test]
    fn a_key_that_is_no_string_is_refused_and_the_buffer_is_left_alone() {
        let mut out = b"before".to_vec();
        let args = BTreeMap::from([(vec![1], 1)]);
        let result = CODEC.event_into(&mut out, &Nsp::ROOT, None, "a", &args);
        assert_eq!(result, Err(EncodeError::Serialize { reason: "key must be a string".into() }));
        assert_eq!(out, b"before");
        assert_eq!(event(BTreeMap::from([(1, true)])), r#"42["a",{"1":true}]"#);
        assert_eq!(event(BTreeMap::from([(true, 1)])), r#"42["a",{"true":1}]"#);
        assert_eq!(event(BTreeMap::from([('"', 1)])), r#"42["a",{"\"":1}]"#);
    }

    #[test]
    fn a_buffer_of_the_caller_is_appended_to() {
        let mut out = Vec::new();
        let attachments = CODEC.event_into(&mut out, &Nsp::ROOT, None, "a", &1).unwrap();
        assert!(attachments.is_empty());
        let attachments = CODEC.ack_into(&mut out, &Nsp::ROOT, AckId(2), &BYTES).unwrap();
        assert_eq!(attachments[..], [BYTES]);
        assert_eq!(out, br#"42["a",1]461-2[{"_placeholder":true,"num":0}]"#);
    }

    #[test]
    fn by_way_of_a_buffer_a_packet_is_the_same() {
        let mut buffer = b"from before".to_vec();
        for codec in [Codec::Text, Codec::Msgpack] {
            let args = ("é", BYTES);
            let event = codec.event_by(&mut buffer, &nsp("/n"), Some(AckId(1)), "a", &args);
            assert_eq!(event, codec.event(&nsp("/n"), Some(AckId(1)), "a", &args));
            let ack = codec.ack_by(&mut buffer, &Nsp::ROOT, AckId(2), &args);
            assert_eq!(ack, codec.ack(&Nsp::ROOT, AckId(2), &args));
            let frames: Vec<_> = event.iter().flat_map(Encoded::frames).collect();
            assert_eq!(event.unwrap().into_frames().collect::<Vec<_>>(), frames);
        }
        assert!(CODEC.event_by(&mut buffer, &Nsp::ROOT, None, "connect", &()).is_err());
    }

    #[test]
    fn an_offset_is_one_more_argument_of_an_event() {
        let with_offset = |encoded: Encoded| String::from(head(&encoded.with_offset("Q7\"g")));
        let event = CODEC.event(&Nsp::ROOT, None, "a", &1).unwrap();
        assert_eq!(with_offset(event), r#"42["a",1,"Q7\"g"]"#);
        let bare = CODEC.event(&nsp("/n"), None, "a", &()).unwrap();
        assert_eq!(with_offset(bare), r#"42/n,["a","Q7\"g"]"#);
        let binary = CODEC.event(&Nsp::ROOT, None, "a", &BYTES).unwrap();
        assert_eq!(binary.with_offset("x").attachments(), [BYTES]);
        assert_eq!(with_offset(binary), r#"451-["a",{"_placeholder":true,"num":0},"Q7\"g"]"#);
        let ack = CODEC.ack(&Nsp::ROOT, AckId(1), &1).unwrap();
        assert_eq!(ack.with_offset("x"), ack);
        let connect = CODEC.connect(&Nsp::ROOT, Some(&json!({"token": []}))).unwrap();
        assert_eq!(connect.with_offset("x"), connect);
    }

    #[test]
    fn raw_json_goes_through_as_it_is() {
        let raw = serde_json::value::RawValue::from_string("{ \"x\" : 1e2 }".into()).unwrap();
        assert_eq!(event((&raw, 2)), r#"42["a",{ "x" : 1e2 },2]"#);
        assert_eq!(event(&*raw), r#"42["a",{ "x" : 1e2 }]"#);
    }
}
