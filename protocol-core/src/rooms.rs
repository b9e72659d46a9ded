//! Who is in which room, and who gets a broadcast: as pure data (REFERENCE 4.4).
//!
//! A [`Registry`] holds the sockets of one namespace, or a shard of them, under keys the caller chooses. It knows
//! neither packets nor connections. Everything it returns is in key order, so nothing depends on hashing.
//!
//! ```
//! use socketio_core::rooms::{Registry, Selector};
//!
//! let mut registry = Registry::new();
//! registry.insert(1, "alice".into());
//! registry.insert(2, "bob".into());
//! registry.insert(3, "carol".into());
//! registry.join(1, "tea");
//! registry.join(2, "tea");
//!
//! let everyone = Selector::default();
//! assert_eq!(registry.select(&everyone), [1, 2, 3]);
//! let drinkers = Selector::default().to("tea").except("bob");
//! assert_eq!(registry.select(&drinkers), [1]);
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::Sid;

/// The name of a room.
pub type Room = Arc<str>;

/// Which sockets of a namespace are meant: those in any of some rooms, without those in any of others.
///
/// A socket's id is a room that it is in from the start, so a single socket is named like a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The union of these rooms, or the whole namespace if there are none.
    pub rooms: Vec<Room>,
    /// Sockets in any of these rooms are left out.
    pub except: Vec<Room>,
}

impl Selector {
    /// Adds a room to the union.
    #[must_use]
    pub fn to(mut self, room: impl Into<Room>) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// Leaves out the sockets of a room.
    #[must_use]
    pub fn except(mut self, room: impl Into<Room>) -> Self {
        self.except.push(room.into());
        self
    }
}

/// A change that brought a room into being or to its end, which adapters of a cluster subscribe by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing changed: the socket is unknown, or was (not) in the room already.
    None,
    /// The socket joined or left; the room lives.
    Member,
    /// The first member joined, or the last one left.
    Room,
}

/// The sockets of a namespace and their rooms.
#[derive(Debug)]
pub struct Registry<K> {
    sockets: BTreeMap<K, Entry>,
    /// Each socket's own room, kept apart from `rooms` because it has one member for ever: a set for each would
    /// double what an idle socket costs.
    ids: BTreeMap<Sid, K>,
    rooms: BTreeMap<Room, BTreeSet<K>>,
}

#[derive(Debug)]
struct Entry {
    id: Sid,
    rooms: Vec<Room>,
}

impl<K> Default for Registry<K> {
    fn default() -> Self {
        Self { sockets: BTreeMap::new(), ids: BTreeMap::new(), rooms: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Registry<K> {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a socket, which is in the room named by its `id` from now on. Returns whether it was new.
    pub fn insert(&mut self, key: K, id: Sid) -> bool {
        if self.sockets.contains_key(&key) {
            return false;
        }
        self.ids.insert(id.clone(), key);
        self.sockets.insert(key, Entry { id, rooms: Vec::new() });
        true
    }

    /// Removes a socket from all its rooms. Returns the rooms that ended with it, in name order.
    pub fn remove(&mut self, key: K) -> Vec<Room> {
        let Some(entry) = self.sockets.remove(&key) else { return Vec::new() };
        if self.ids.get(&entry.id) == Some(&key) {
            self.ids.remove(&entry.id);
        }
        let mut ended: Vec<Room> =
            entry.rooms.into_iter().filter(|room| self.remove_member(room, key) == Change::Room).collect();
        ended.sort_unstable();
        ended
    }

    /// Puts a socket into a room.
    pub fn join(&mut self, key: K, room: &str) -> Change {
        let Some(entry) = self.sockets.get_mut(&key) else { return Change::None };
        if entry.rooms.iter().any(|joined| **joined == *room) {
            return Change::None;
        }
        if entry.id.as_str() == room {
            // Its own room, which it is in unless it left it.
            return if self.ids.insert(entry.id.clone(), key).is_none() {
                Change::Room
            } else {
                Change::None
            };
        }
        let change = match self.rooms.get_key_value(room) {
            Some((name, _)) => {
                entry.rooms.push(name.clone());
                Change::Member
            }
            None => {
                entry.rooms.push(room.into());
                Change::Room
            }
        };
        if let Some(name) = entry.rooms.last() {
            self.rooms.entry(name.clone()).or_default().insert(key);
        }
        change
    }

    /// Takes a socket out of a room.
    pub fn leave(&mut self, key: K, room: &str) -> Change {
        let Some(entry) = self.sockets.get_mut(&key) else { return Change::None };
        if entry.id.as_str() == room {
            return if self.ids.remove(room).is_some() { Change::Room } else { Change::None };
        }
        let Some(position) = entry.rooms.iter().position(|joined| **joined == *room) else {
            return Change::None;
        };
        entry.rooms.remove(position);
        self.remove_member(room, key)
    }

    fn remove_member(&mut self, room: &str, key: K) -> Change {
        let Some(members) = self.rooms.get_mut(room) else { return Change::None };
        members.remove(&key);
        if members.is_empty() {
            self.rooms.remove(room);
            return Change::Room;
        }
        Change::Member
    }

    /// The rooms a socket is in: its own id first, then in the order of joining.
    pub fn rooms_of(&self, key: K) -> Vec<Room> {
        let Some(entry) = self.sockets.get(&key) else { return Vec::new() };
        let own = self.ids.contains_key(&entry.id).then(|| Room::from(entry.id.as_str()));
        own.into_iter().chain(entry.rooms.iter().cloned()).collect()
    }

    /// The sockets meant by `selector`, each once, in key order. Costs no more than the rooms named in it.
    pub fn select(&self, selector: &Selector) -> Vec<K> {
        let is_excepted = |key: &K| selector.except.iter().any(|room| self.is_member(*key, room));
        match &selector.rooms[..] {
            [] => self.sockets.keys().copied().filter(|key| !is_excepted(key)).collect(),
            [room] => self.members(room).filter(|key| !is_excepted(key)).collect(),
            rooms => {
                let union: BTreeSet<K> = rooms.iter().flat_map(|room| self.members(room)).collect();
                union.into_iter().filter(|key| !is_excepted(key)).collect()
            }
        }
    }

    /// The sockets in a room, in key order, except that the socket whose id the room is named by comes first.
    fn members(&self, room: &str) -> impl Iterator<Item = K> {
        let own = self.ids.get(room).copied();
        let others = self.rooms.get(room).into_iter().flatten().copied();
        own.into_iter().chain(others)
    }

    fn is_member(&self, key: K, room: &str) -> bool {
        self.ids.get(room) == Some(&key) || self.rooms.get(room).is_some_and(|members| members.contains(&key))
    }

    /// Whether a room has a member.
    pub fn has_room(&self, room: &str) -> bool {
        self.ids.contains_key(room) || self.rooms.contains_key(room)
    }

    /// The socket with this id.
    pub fn key_of(&self, id: &str) -> Option<K> {
        let key = *self.ids.get(id)?;
        Some(key)
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Every room with a member, without the sockets' own, in name order.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.keys()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn registry() -> Registry<u32> {
        let mut registry = Registry::new();
        for (key, id) in [(1, "a"), (2, "b"), (3, "c")] {
            assert!(registry.insert(key, id.into()));
        }
        registry
    }

    #[test]
    fn a_socket_in_several_rooms_is_selected_once() {
        let mut registry = registry();
        registry.join(2, "x");
        registry.join(2, "y");
        registry.join(1, "y");
        assert_eq!(registry.select(&Selector::default().to("x").to("y")), [1, 2]);
        assert_eq!(registry.select(&Selector::default().to("x").to("b")), [2]);
    }

    #[test]
    fn an_id_is_a_room_until_it_is_left() {
        let mut registry = registry();
        assert_eq!(registry.select(&Selector::default().to("b")), [2]);
        assert_eq!(registry.select(&Selector::default().except("b")), [1, 3]);
        assert_eq!(registry.rooms_of(2), vec![Room::from("b")]);
        assert_eq!(registry.leave(2, "b"), Change::Room);
        assert_eq!(registry.leave(2, "b"), Change::None);
        assert!(registry.select(&Selector::default().to("b")).is_empty());
        assert_eq!(registry.join(2, "b"), Change::Room);
        assert_eq!(registry.join(2, "b"), Change::None);
    }

    #[test]
    fn another_socket_may_join_a_room_named_like_an_id() {
        let mut registry = registry();
        registry.join(1, "b");
        assert_eq!(registry.select(&Selector::default().to("b").to("zzz")), [1, 2]);
        assert_eq!(registry.select(&Selector::default().except("b")), [3]);
        registry.remove(2);
        assert_eq!(registry.select(&Selector::default().to("b")), [1]);
    }

    #[test]
    fn rooms_begin_with_their_first_member_and_end_with_their_last() {
        let mut registry = registry();
        assert_eq!(registry.join(1, "x"), Change::Room);
        assert_eq!(registry.join(1, "x"), Change::None);
        assert_eq!(registry.join(2, "x"), Change::Member);
        assert_eq!(registry.join(9, "x"), Change::None);
        assert_eq!(registry.leave(1, "x"), Change::Member);
        assert_eq!(registry.leave(1, "x"), Change::None);
        assert_eq!(registry.remove(2), vec![Room::from("x")]);
        assert_eq!(registry.rooms().count(), 0);
    }

    #[test]
    fn a_removed_socket_leaves_nothing_behind() {
        let mut registry = registry();
        registry.join(1, "x");
        for key in [1, 2, 3, 3] {
            registry.remove(key);
        }
        assert!(registry.is_empty() && registry.ids.is_empty() && registry.rooms.is_empty());
    }

    #[test]
    fn a_whole_namespace_except_some_rooms() {
        let mut registry = registry();
        registry.join(1, "x");
        registry.join(3, "y");
        assert_eq!(registry.select(&Selector::default().except("x").except("y")), [2]);
    }
}
