//! From polling to a websocket: the probe, the pause, the switch (REFERENCE 1.14).

use super::{Link, Polling, Session, Timer, Upgrade};
use crate::engine::Transport;
use crate::engine::buffer::{Compression, FRAME_OVERHEAD};
use crate::engine::client::{Event, Output, UpgradeError};
use crate::engine::packet::Packet;
use crate::{Instant, Lane};

impl Session {
    /// Opens a websocket beside polling, to see whether it works.
    pub(super) fn probe(&mut self, now: Instant) {
        let (lane, target) = self.new_request(Transport::Websocket);
        let Link::Polling(polling) = &mut self.link else { return };
        polling.upgrade = Upgrade::Probing(lane);
        self.timers.set(Timer::Upgrade, now + self.config.upgrade_timeout);
        self.outputs.push_back(Output::WsConnect(lane, target));
    }

    pub(super) fn pause(&mut self, lane: Lane) {
        if let Link::Polling(polling) = &mut self.link
            && polling.upgrade == Upgrade::Probing(lane)
        {
            polling.upgrade = Upgrade::Pausing(lane);
            self.websocket_worked = true;
            self.settle();
        }
    }

    pub(super) fn complete_upgrade(&mut self, lane: Lane) {
        let Link::Polling(Polling { terms, .. }) = core::mem::replace(&mut self.link, Link::Closed) else {
            return;
        };
        self.timers.clear(Timer::Upgrade);
        let frame = Packet::Upgrade.encode();
        self.link = Link::Websocket { terms, lane, unflushed: frame.len() + FRAME_OVERHEAD };
        self.outputs.push_back(Output::WsSend(lane, frame, Compression::Forbidden));
        self.outputs.push_back(Output::Event(Event::Upgraded(Transport::Websocket)));
    }

    /// Whatever happens to a probe, the session lives on; what was paused goes on.
    pub(super) fn fail_upgrade(&mut self, error: UpgradeError) {
        let Link::Polling(polling) = &mut self.link else { return };
        let Some(lane) = polling.upgrade.lane() else { return };
        polling.upgrade = Upgrade::Idle;
        self.websocket_worked = false;
        self.timers.clear(Timer::Upgrade);
        self.outputs.push_back(Output::WsClose(lane));
        self.outputs.push_back(Output::Event(Event::UpgradeFailed(error)));
        self.settle();
    }
}
