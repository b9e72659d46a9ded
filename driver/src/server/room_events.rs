//! What happens to the rooms of a namespace, told in order to whoever wants to hear it (REFERENCE 4.7).
//!
//! Where somebody listens, changes are made one at a time, and their events told afterwards, without any lock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socketio_core::Sid;
use socketio_core::rooms::{Change, Room};

/// Something that happened to a room. The room of a socket's own id is one as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomEvent {
    /// A room has its first member: a [`Join`](Self::Join) follows.
    Create(Room),
    /// A socket has joined a room.
    Join(Room, Sid),
    /// A socket has left a room.
    Leave(Room, Sid),
    /// A room has no member any more.
    Delete(Room),
}

/// Events that are to be told.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<Queue>);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: VecDeque<RoomEvent>,
    /// Whether somebody tells already: the order is kept by there being one.
    telling: bool,
}

impl Events {
    /// Changes are made under this lock, one at a time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what there is to tell, unless somebody does already. To be called without the lock.
    pub(crate) fn tell(&self, listener: impl Fn(&RoomEvent)) {
        {
            let mut queue = self.lock();
            if std::mem::replace(&mut queue.telling, true) {
                return;
            }
        }
        while let Some(event) = self.next() {
            listener(&event);
        }
    }

    fn next(&self) -> Option<RoomEvent> {
        let mut queue = self.lock();
        let next = queue.events.pop_front();
        queue.telling = next.is_some();
        next
    }
}

impl Queue {
    /// What a socket's joining did to a room.
    pub(crate) fn entered(&mut self, room: Room, id: &Sid, change: Change) {
        if change == Change::Room {
            self.events.push_back(RoomEvent::Create(room.clone()));
        }
        if change != Change::None {
            self.events.push_back(RoomEvent::Join(room, id.clone()));
        }
    }

    /// What a socket's leaving did to a room.
    pub(crate) fn left(&mut self, room: Room, id: &Sid, change: Change) {
        if change != Change::None {
            self.events.push_back(RoomEvent::Leave(room.clone(), id.clone()));
        }
        if change == Change::Room {
            self.events.push_back(RoomEvent::Delete(room));
        }
    }
}
