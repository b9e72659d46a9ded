//! How the packets of one session are written and read: fixed by its handshake, the same for its whole life.

use alloc::vec::Vec;

use bytes::Bytes;

use super::http::{Jsonp, Response};
use super::packet::{BinaryEncoding, Frame};
use super::payload::Posted;
use super::payload_v3::{self, Form};
use super::{Revision, payload};

/// The dialect of one session.
#[derive(Clone, Debug)]
pub struct Format {
    /// The protocol revision.
    pub revision: Revision,
    /// What becomes of binary data on the transport that the session begins with, and in every answer to a poll, where they
    /// could carry bytes. A websocket that comes later [says for itself](super::server::Input::WsOpen).
    pub binary: BinaryEncoding,
    /// The callback of a session that polls with script tags.
    pub jsonp: Option<Jsonp>,
}

impl Format {
    /// The dialect of current clients.
    pub const V4: Self = Self { revision: Revision::V4, binary: BinaryEncoding::Raw, jsonp: None };

    /// The answer to a poll.
    pub(crate) fn poll_response<'a>(&self, frames: impl Iterator<Item = &'a Frame> + Clone) -> Response {
        let mut body = Vec::new();
        let form = match self.revision {
            Revision::V3 => payload_v3::encode(frames, self.binary, &mut body),
            Revision::V4 => {
                body.reserve_exact(payload::encoded_len(frames.clone()));
                payload::encode(frames, &mut body);
                Form::Text
            }
        };
        if let Some(jsonp) = &self.jsonp {
            let mut script = Vec::new();
            jsonp.wrap(&body, &mut script);
            body = script;
        }
        Response::poll(form, body.into())
    }

    /// The packets in the body of a POST, up to and including the first error.
    pub(crate) fn decode_post(&self, form: Form, body: Bytes, max_packets: usize) -> Packets {
        if form == Form::Binary {
            return Packets::V3Binary(payload_v3::decode_binary(body).with_max_packets(max_packets));
        }
        let text = payload::text(body);
        let text = if self.jsonp.is_some() { Jsonp::unwrap(&text) } else { Some(text) };
        match (text, self.revision) {
            (None, _) => Packets::None,
            (Some(text), Revision::V3) => {
                Packets::V3Text(payload_v3::decode_text(text).with_max_packets(max_packets))
            }
            (Some(text), Revision::V4) => Packets::V4(payload::decode(text).with_max_packets(max_packets)),
        }
    }
}

/// The packets of a payload, in whichever form it came.
pub(crate) enum Packets {
    None,
    V3Binary(payload_v3::DecodeBinary),
    V3Text(payload_v3::DecodeText),
    V4(payload::Decode),
}

impl Packets {
    /// Hands them to `then` until it fails.
    pub(crate) fn each<E>(self, then: impl FnMut(Posted) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::None => Ok(()),
            Self::V3Binary(packets) => packets.map(Posted::Other).try_for_each(then),
            Self::V3Text(packets) => packets.map(Posted::Other).try_for_each(then),
            Self::V4(packets) => packets.each_within(then),
        }
    }
}
