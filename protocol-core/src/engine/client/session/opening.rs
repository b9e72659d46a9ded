//! From the first request to the handshake.

use bytes::Bytes;

use super::{Link, Polling, Session, Terms, Upgrade};
use crate::engine::client::{CloseReason, Event, Output, TransportError};
use crate::engine::handshake::Handshake;
use crate::engine::packet::{DecodeError, Packet};
use crate::engine::{Transport, payload};
use crate::{Instant, Lane};

impl Session {
    pub(super) fn start(&mut self, transport: Transport) {
        let (lane, target) = self.new_request(transport);
        self.outputs.push_back(match transport {
            Transport::Polling => Output::Get(lane, target),
            Transport::Websocket | Transport::Webtransport => Output::WsConnect(lane, target),
        });
        self.link = Link::Opening { lane, transport };
    }

    pub(super) fn read_first_payload(
        &self,
        body: Bytes,
    ) -> Result<(Handshake, payload::Decode), TransportError> {
        let old = is_revision_3(&body);
        let mut packets = self.read_payload(body);
        match read_handshake(packets.next()) {
            Ok(handshake) => Ok((handshake, packets)),
            Err(TransportError::NotEngineIo) if old => Err(TransportError::OldServer),
            Err(error) => Err(error),
        }
    }

    pub(super) fn open_polling(&mut self, handshake: Handshake, packets: payload::Decode, now: Instant) {
        let probe = self.config.upgrade
            && self.transports.contains(&Transport::Websocket)
            && handshake.upgrades.contains(&Transport::Websocket);
        let terms = Terms::of(&handshake);
        self.link = Link::Polling(Polling { terms, get: None, post: None, upgrade: Upgrade::Idle });
        self.restart_heartbeat(now);
        if self.closing {
            return self.settle();
        }
        self.websocket_worked = false;
        self.outputs.push_back(Output::Event(Event::Opened(handshake.sid)));
        if probe {
            self.probe(now);
        }
        self.handle_payload(packets, now);
    }

    pub(super) fn open_websocket(&mut self, lane: Lane, handshake: &Handshake, now: Instant) {
        self.websocket_worked = true;
        self.link = Link::Websocket { terms: Terms::of(handshake), lane, unflushed: 0 };
        self.restart_heartbeat(now);
        self.outputs.push_back(Output::Event(Event::Opened(handshake.sid.clone())));
    }

    /// The transport that was tried first does not work: the next one, or the end.
    pub(super) fn fail_opening(&mut self, error: TransportError) {
        let Link::Opening { lane, transport } = self.link else { return };
        self.websocket_worked = false;
        self.transports.retain(|&other| other != transport);
        match self.transports.first() {
            Some(&next) if self.config.try_all_transports && !self.closing => {
                if transport != Transport::Polling {
                    self.outputs.push_back(Output::WsClose(lane));
                }
                self.start(next);
            }
            _ if self.closing => self.end(CloseReason::ForcedClose),
            _ => self.end(CloseReason::TransportError(error)),
        }
    }
}

pub(super) fn read_handshake(
    first: Option<Result<Packet, DecodeError>>,
) -> Result<Handshake, TransportError> {
    match first {
        Some(Ok(Packet::Open(json))) => Handshake::from_json(&json).map_err(TransportError::Handshake),
        _ => Err(TransportError::NotEngineIo),
    }
}

/// Whether the body begins as a handshake of revision 3 does: with the length of its first packet.
fn is_revision_3(body: &[u8]) -> bool {
    let digits = body.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && body[digits..].starts_with(b":0{")
}
