//! Lists that a turn fills and empties: kept by the thread, so that an idle client owns none.

use std::cell::Cell;
use std::collections::VecDeque;

use socketio_core::engine::server::{EngineEvent, Input};
use socketio_core::peer::Output;
use socketio_core::socket::server as protocol;

use crate::ack::Waiter;

/// What a pump has in hand while it runs.
#[derive(Default)]
pub(super) struct Scratch {
    /// For the core.
    pub(super) inputs: Vec<Input>,
    /// Of the core.
    pub(super) outputs: Vec<Output<Waiter>>,
    /// Of its sockets, all of them behind what is in `outputs`.
    pub(super) events: VecDeque<protocol::Event<Waiter>>,
    /// For who watches.
    pub(super) engine_events: Vec<EngineEvent>,
}

impl Scratch {
    /// Empty lists.
    pub(super) fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_default()
    }

    /// For whichever client is next on this thread.
    pub(super) fn give_back(mut self: Box<Self>) {
        debug_assert!(self.outputs.is_empty() && self.events.is_empty(), "all of it is carried out");
        self.inputs.clear();
        let largest = self.inputs.capacity().max(self.events.capacity()).max(self.engine_events.capacity());
        if largest <= MAX_KEPT {
            SCRATCH.set(Some(self));
        }
    }
}

thread_local! {
    /// In a box, which is handed out and back without a copy.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// As many as the frames that are plausible in one read.
const MAX_KEPT: usize = 1024;
