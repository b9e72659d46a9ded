//! Long-polling: the GET and the POST of a session.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::{Closing, Link, Output, Posting, Session};
use crate::engine::close::{CloseReason, TransportFault};
use crate::engine::http::{BadRequest, Refusal, Response};
use crate::engine::packet::{Arrived, Packet};
use crate::engine::payload::Posted;
use crate::engine::payload_v3::Form;
use crate::engine::{Revision, Transport};
use crate::{Instant, Lane};

impl Session {
    pub(super) fn handle_poll(&mut self, lane: Lane) {
        let overlap = match &mut self.link {
            Link::Polling { .. } if self.closing == Some(Closing::Deferred) => {
                self.respond(lane, &[Packet::Noop.encode(), Packet::Close.encode()]);
                return self.end(CloseReason::ForcedClose, Packet::Close);
            }
            Link::Polling { parked: Some(_), .. } => true,
            Link::Polling { parked, .. } => {
                *parked = Some(lane);
                false
            }
            Link::Websocket { .. } | Link::Closed => return self.refuse(lane),
        };
        if overlap {
            self.outputs.push_back(Output::Respond(lane, Response::bad_request()));
            self.end(CloseReason::TransportError(TransportFault::PollOverlap), Packet::Close);
        }
    }

    pub(super) fn handle_post(&mut self, lane: Lane, form: Form) {
        let Link::Polling { posting, .. } = &mut self.link else {
            return self.refuse(lane);
        };
        let fault = if posting.is_some() {
            TransportFault::PostOverlap
        } else if form == Form::Binary && self.format.revision == Revision::V4 {
            TransportFault::Content
        } else {
            *posting = Some(Posting { lane, form });
            return;
        };
        self.outputs.push_back(Output::Respond(lane, Response::bad_request()));
        self.end(CloseReason::TransportError(fault), Packet::Close);
    }

    pub(super) fn handle_post_body(
        &mut self,
        lane: Lane,
        body: Bytes,
        now: Instant,
        hear: &mut impl FnMut(&mut VecDeque<Output>, &mut Arrived),
    ) {
        let Some(posting) = self.take_posting(lane) else { return };
        let packets = self.format.decode_post(posting.form, body, self.config.max_payload_packets);
        let end = packets.each(|packet| match packet {
            Posted::Text(mut message) => {
                self.handle_message(&mut message, now, hear);
                Ok(())
            }
            Posted::Other(packet) => self.handle_packet(packet, Transport::Polling, now, hear),
        });
        // The answer says only that the body was read (REFERENCE 9.4), and it comes before the news of the close.
        self.outputs.push_back(Output::Respond(lane, Response::post_ok()));
        match end {
            Ok(()) => {}
            Err(reason @ CloseReason::TransportClose) => self.end(reason, Packet::Noop),
            Err(reason) => self.end(reason, Packet::Close),
        }
    }
    /// Refuses a polling request on a session that no longer polls, or no longer lives.
    pub(super) fn refuse(&mut self, lane: Lane) {
        let refusal = match self.transport() {
            Some(previous_transport) => {
                BadRequest::TransportMismatch { transport: Transport::Polling, previous_transport }.into()
            }
            None => Refusal::UnknownSid { sid: self.sid.as_str().into() },
        };
        self.outputs.push_back(Output::Respond(lane, refusal.response()));
    }

    pub(super) fn take_posting(&mut self, lane: Lane) -> Option<Posting> {
        match &mut self.link {
            Link::Polling { posting, .. } | Link::Websocket { posting, .. } => {
                posting.take_if(|posting| posting.lane == lane)
            }
            Link::Closed => None,
        }
    }
}
