//! What arrives on an open connection, and which socket it is for (REFERENCE 3.6, 5.4).

use alloc::boxed::Box;

use super::{Manager, State};
use crate::Instant;
use crate::engine::packet::Message;
use crate::socket::client::Event;
use crate::socket::client::error::{ConnectError, DisconnectReason, ProtocolError, Refusal};
use crate::socket::client::socket::{Phase, Then};
use crate::socket::{Body, Packet};

impl<W> Manager<W> {
    pub(super) fn handle_message(&mut self, message: Message, now: Instant) -> Result<(), ProtocolError> {
        let State::Open(open) = &mut self.state else { return Ok(()) };
        let packet = open.decoder.push(message)?;
        open.attachment_deadline = match packet {
            Some(_) => None,
            None => open.attachment_deadline.or(Some(now + self.config.attachment_timeout)),
        };
        let Some(packet) = packet else { return Ok(()) };
        if self.config.report_packets {
            self.event(Event::Packet(Box::new(packet.clone())));
        }
        self.handle_packet(packet, now)
    }

    /// A packet for a socket; one for a namespace that nobody asked for is ignored (REFERENCE 5.4).
    fn handle_packet(&mut self, packet: Packet, now: Instant) -> Result<(), ProtocolError> {
        let Some(index) = self.sockets.iter().position(|socket| socket.nsp == packet.nsp) else {
            return Ok(());
        };
        let phase = &self.sockets[index].phase;
        match (packet.body, phase) {
            (Body::Connect(answer), Phase::Connecting) => {
                self.with(index, |socket, cx| socket.handle_connect(answer.as_ref(), cx, now))?;
            }
            (Body::Connect(_), Phase::Abandoned(then)) => {
                let then = *then;
                if let Ok(encoded) = self.config.codec.disconnect(&packet.nsp) {
                    self.with(index, |_, cx| cx.send(&encoded));
                }
                self.answered(index, then);
            }
            // A server of old times lets the client in unasked.
            (Body::Connect(None), Phase::Authorizing(_)) => {
                let slot = self.sockets[index].slot;
                self.event(Event::ConnectError { slot, error: ConnectError::OldServer });
            }
            (Body::Disconnect, Phase::Connected { .. } | Phase::Connecting) => {
                self.sockets[index].phase = Phase::Inactive;
                self.stop_if_idle(now);
                self.disconnected(index, DisconnectReason::IoServerDisconnect);
            }
            (Body::ConnectError(payload), Phase::Connecting) => {
                self.refuse(index, ConnectError::Refused(Refusal::new(payload.as_ref())), now);
            }
            (Body::Disconnect | Body::ConnectError(_), Phase::Abandoned(then)) => {
                let then = *then;
                self.answered(index, then);
            }
            (Body::Event(event), _) => self.with(index, |socket, cx| socket.handle_event(event, cx))?,
            (Body::Ack { id: Some(id), args }, Phase::Connected { .. }) => {
                self.with(index, |socket, cx| socket.handle_ack(id, args, cx, now));
            }
            (Body::Connect(_) | Body::Disconnect | Body::ConnectError(_), _) => {}
            (Body::Ack { .. } | Body::Unnamed, _) => {}
        }
        Ok(())
    }

    /// The answer that an abandoned socket had to wait for has come.
    fn answered(&mut self, index: usize, then: Then) {
        match then {
            Then::Rest => self.sockets[index].reset(Phase::Inactive),
            Then::Connect => self.authorize(index),
        }
    }
}
