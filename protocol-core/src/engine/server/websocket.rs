//! WebSockets: the probe, the upgrade and what follows.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::{Closing, EngineEvent, Event, Link, Output, Session, Timer, Websocket};
use crate::engine::buffer::Compression;
use crate::engine::close::CloseReason;
use crate::engine::packet::{Arrived, BinaryEncoding, Frame, Packet, Purpose};
use crate::engine::{Revision, Transport};
use crate::{Instant, Lane};

impl Session {
    pub(super) fn handle_ws_open(&mut self, lane: Lane, binary: BinaryEncoding, now: Instant) {
        match &mut self.link {
            Link::Polling { probe: probe @ None, .. } => {
                *probe = Some(Websocket::new(lane, binary));
                self.timers.set(Timer::Upgrade, now + self.config.upgrade_timeout);
            }
            // A second websocket, while one is probed or after the upgrade, never harms the session.
            _ => self.outputs.push_back(Output::WsClose(lane)),
        }
    }

    pub(super) fn handle_ws_frame(
        &mut self,
        lane: Lane,
        frame: Frame,
        now: Instant,
        hear: &mut impl FnMut(&mut VecDeque<Output>, &mut Arrived),
    ) {
        let revision = self.format.revision;
        if let Link::Websocket { current, .. } = &self.link
            && current.lane == lane
            && let Some(start) = Arrived::start_in(revision, &frame)
        {
            return self.handle_message(&mut Arrived::of_frame(frame, start), now, hear);
        }
        let packet = Packet::decode(revision, frame);
        match &mut self.link {
            Link::Polling { probe: Some(probe), .. } if probe.lane == lane => match packet {
                Ok(Packet::Ping(Purpose::Probe)) if probe.has_room() => {
                    let answer = Packet::Pong(Purpose::Probe).encode();
                    probe.hand_out(&answer);
                    self.observed.note(|| EngineEvent::Upgrading(Transport::Websocket));
                    self.outputs.push_back(Output::WsSend(lane, answer, Compression::Forbidden));
                    if !self.timers.is_set(Timer::Noop) {
                        self.timers.set(Timer::Noop, now + NOOP_INTERVAL);
                    }
                }
                Ok(Packet::Upgrade) => self.complete_upgrade(now),
                // Also a client that asks and asks without reading the answers.
                _ => self.drop_probe(),
            },
            Link::Websocket { current, .. } if current.lane == lane => {
                if let Err(reason) = self.handle_packet(packet, Transport::Websocket, now, hear) {
                    self.end(reason, Packet::Close);
                }
            }
            _ => {}
        }
    }

    /// A websocket is no more: the end of the session if it was the session's, of the attempt if it was probed.
    pub(super) fn handle_ws_end(&mut self, lane: Lane, reason: CloseReason) {
        match &mut self.link {
            Link::Polling { probe, .. } if probe.is_some_and(|probe| probe.lane == lane) => {
                *probe = None;
                self.stop_probing();
            }
            Link::Websocket { current, posting } if current.lane == lane => {
                self.outputs.extend(posting.take().map(|posting| Output::Abort(posting.lane)));
                self.finish(reason);
            }
            _ => {}
        }
    }

    fn complete_upgrade(&mut self, now: Instant) {
        let Link::Polling { parked, posting, probe } = &mut self.link else { return };
        let (Some(current), parked) = (*probe, parked.take()) else { return };
        // A POST on its way keeps its right to be read: its client was promised that nothing is lost.
        self.link = Link::Websocket { current, posting: *posting };
        if let Some(parked) = parked {
            self.respond(parked, &[Packet::Close.encode()]);
        }
        self.stop_probing();
        // A heartbeat on its way may have died with the polling transport. The reference forgets its deadline here,
        // and with it a client that is gone; a full new wait is as lenient and ends.
        if self.timers.is_set(Timer::Silence) {
            self.restart_heartbeat_wait(now);
        }
        if self.closing.is_some() {
            self.closing = Some(Closing::Draining);
        }
        self.observed.note(|| EngineEvent::Upgrade(Transport::Websocket));
        self.outputs.push_back(Output::Event(Event::Upgraded(Transport::Websocket)));
    }

    fn restart_heartbeat_wait(&mut self, now: Instant) {
        match self.format.revision {
            Revision::V3 => self.restart_heartbeat(now),
            Revision::V4 => self.timers.set(Timer::Silence, now + self.config.ping_timeout),
        }
    }

    /// Gives up an upgrade. The session lives on by polling.
    pub(super) fn drop_probe(&mut self) {
        if let Link::Polling { probe, .. } = &mut self.link
            && let Some(probe) = probe.take()
        {
            self.outputs.push_back(Output::WsClose(probe.lane));
        }
        self.stop_probing();
    }

    fn stop_probing(&mut self) {
        self.timers.clear(Timer::Upgrade);
        self.timers.clear(Timer::Noop);
    }

    /// Answers the pending GET with a noop, past the buffer, so that the client can stop polling; again and again,
    /// because a client may open one more GET before it hears of the probe's success.
    pub(super) fn free_pending_poll(&mut self, now: Instant) {
        if self.buffer.is_empty()
            && let Link::Polling { parked, .. } = &mut self.link
            && let Some(lane) = parked.take()
        {
            self.respond(lane, &[Packet::Noop.encode()]);
        }
        self.timers.set(Timer::Noop, now + NOOP_INTERVAL);
    }
}

/// How often a pending GET is freed while a websocket is probed (REFERENCE 1.14).
pub(super) const NOOP_INTERVAL: Duration = Duration::from_millis(100);
