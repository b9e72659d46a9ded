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

use alloc::collections::BTreeSet;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;

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

    /// The sockets in the rooms it names, each once, in key order: what `take` makes of them. `members` looks a room up.
    ///
    /// Whoever has [`Rooms`] in shards selects by this; it knows nothing of the sockets that are meant where no room is
    /// named, so it finds none there.
    ///
    /// ```
    /// use socketio_core::rooms::{Roster, Rooms, Selector};
    ///
    /// let (mut roster, mut rooms) = (Roster::new(), Rooms::new());
    /// roster.insert(1, "alice".into(), &mut rooms);
    /// roster.insert(2, "bob".into(), &mut rooms);
    /// let selector = Selector::default().to("bob").to("alice");
    /// assert_eq!(selector.pick(|room| rooms.members(room), |key| key * 10), [10, 20]);
    /// ```
    pub fn pick<'a, K: Ord + 'a, T>(
        &self,
        members: impl Fn(&str) -> Members<'a, K>,
        take: impl Fn(&K) -> T,
    ) -> Vec<T> {
        let is_excepted = self.is_excepted(&members);
        if let [room] = &self.rooms[..] {
            let members = members(room);
            let mut taken = Vec::with_capacity(members.len());
            taken.extend(members.iter().filter(|key| !is_excepted(key)).map(take));
            return taken;
        }
        let union: BTreeSet<&K> = self.rooms.iter().flat_map(|room| members(room).iter()).collect();
        union.into_iter().filter(|key| !is_excepted(key)).map(take).collect()
    }

    /// Whether a socket is left out. `members` looks a room up.
    pub fn is_excepted<'a, K: Ord + 'a, F: Fn(&str) -> Members<'a, K>>(
        &self,
        members: F,
    ) -> impl Fn(&K) -> bool + use<'a, K, F> {
        let except: Vec<Members<'a, K>> = self.except.iter().map(|room| members(room)).collect();
        move |key| except.iter().any(|members| members.contains(key))
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

/// The sockets of a namespace and their rooms: a [`Roster`] and its [`Rooms`] in one.
#[derive(Debug)]
pub struct Registry<K> {
    roster: Roster<K>,
    rooms: Rooms<K>,
}

impl<K> Default for Registry<K> {
    fn default() -> Self {
        Self { roster: Roster::default(), rooms: Rooms::default() }
    }
}

impl<K: Clone + Ord> Registry<K> {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a socket, which is in the room named by its `id` from now on. Returns whether it was new.
    pub fn insert(&mut self, key: K, id: Sid) -> bool {
        let before = self.len();
        self.roster.insert(key, id, &mut self.rooms);
        self.len() > before
    }

    /// Removes a socket from all its rooms. Returns the rooms that ended with it, in name order, without its own.
    pub fn remove(&mut self, key: K) -> Vec<Room> {
        let mut left = self.roster.remove(&key);
        if let Some(own) = left.next() {
            self.rooms.leave(&own, &key);
        }
        let mut ended: Vec<Room> = left.filter(|room| self.rooms.leave(room, &key) == Change::Room).collect();
        ended.sort_unstable();
        ended
    }

    /// Puts a socket into a room.
    pub fn join(&mut self, key: K, room: &str) -> Change {
        self.roster.join(&key, room, &mut self.rooms)
    }

    /// Takes a socket out of a room.
    pub fn leave(&mut self, key: K, room: &str) -> Change {
        self.roster.leave(&key, room, &mut self.rooms)
    }

    /// The rooms a socket is in: its own id first, then in the order of joining.
    pub fn rooms_of(&self, key: K) -> Vec<Room> {
        self.roster.rooms_of(&key, &self.rooms)
    }

    /// The sockets meant by `selector`, each once, in key order. Costs no more than the rooms named in it.
    pub fn select(&self, selector: &Selector) -> Vec<K> {
        let members = |room: &str| self.rooms.members(room);
        if selector.rooms.is_empty() {
            let is_excepted = selector.is_excepted(members);
            return self.roster.keys().filter(|key| !is_excepted(key)).cloned().collect();
        }
        selector.pick(members, K::clone)
    }

    /// Whether a room has a member.
    pub fn has_room(&self, room: &str) -> bool {
        !self.rooms.members(room).is_empty()
    }

    /// The socket with this id, if it is in its own room.
    pub fn key_of(&self, id: &str) -> Option<K> {
        self.rooms.owner(id).cloned()
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.roster.len()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.roster.is_empty()
    }

    /// Every room with a member, without the sockets' own, in name order.
    pub fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.names()
    }
}

/// Who is here, and which rooms each is in: the half of a [`Registry`] that is found by socket.
///
/// Rosters and [`Rooms`] may be sharded, each in its own way: a method that is about a room takes the `Rooms` which that
/// room belongs to.
///
/// ```
/// use socketio_core::rooms::{Roster, Rooms};
///
/// let (mut roster, mut teas, mut ids) = (Roster::new(), Rooms::new(), Rooms::new());
/// roster.insert(1, "alice".into(), &mut ids);
/// roster.join(&1, "tea", &mut teas);
/// assert_eq!(roster.rooms_of(&1, &ids), ["alice".into(), "tea".into()]);
///
/// for room in roster.remove(&1) {
///     let rooms = if &*room == "alice" { &mut ids } else { &mut teas };
///     rooms.leave(&room, &1);
/// }
/// assert!(teas.members("tea").is_empty());
/// ```
#[derive(Debug)]
pub struct Roster<K> {
    seats: BTreeMap<K, Seat>,
}

#[derive(Debug)]
struct Seat {
    id: Sid,
    /// Without its own.
    rooms: Vec<Room>,
}

impl<K> Default for Roster<K> {
    fn default() -> Self {
        Self { seats: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> Roster<K> {
    /// An empty roster.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a socket, which is in the room named by its `id` from now on: `rooms` is where that belongs. What it
    /// returns is about that room: nothing changed, too, where a socket of the same id was there, which is not any more.
    pub fn insert(&mut self, key: K, id: Sid, rooms: &mut Rooms<K>) -> Change {
        let Entry::Vacant(seat) = self.seats.entry(key) else { return Change::None };
        let change = rooms.claim(&id, seat.key().clone());
        seat.insert(Seat { id, rooms: Vec::new() });
        change
    }

    /// Removes a socket. Returns the rooms that it has to [leave](Rooms::leave) now, its own first.
    pub fn remove(&mut self, key: &K) -> impl Iterator<Item = Room> + use<K> {
        let seat = self.seats.remove(key);
        seat.into_iter().flat_map(|seat| iter::once(seat.id.into()).chain(seat.rooms))
    }

    /// Puts a socket into a room, which belongs to `rooms`.
    pub fn join(&mut self, key: &K, room: &str, rooms: &mut Rooms<K>) -> Change {
        let Some(seat) = self.seats.get_mut(key) else { return Change::None };
        if seat.id.as_str() == room {
            // It is in it unless it left it.
            return rooms.claim(&seat.id, key.clone());
        }
        if seat.rooms.iter().any(|joined| **joined == *room) {
            return Change::None;
        }
        let (name, change) = rooms.join(room, key.clone());
        seat.rooms.push(name);
        change
    }

    /// Takes a socket out of a room, which belongs to `rooms`.
    pub fn leave(&mut self, key: &K, room: &str, rooms: &mut Rooms<K>) -> Change {
        let Some(seat) = self.seats.get_mut(key) else { return Change::None };
        seat.rooms.retain(|joined| **joined != *room);
        rooms.leave(room, key)
    }

    /// The rooms a socket is in: its own id first, which belongs to `rooms`, then in the order of joining.
    pub fn rooms_of(&self, key: &K, rooms: &Rooms<K>) -> Vec<Room> {
        let Some(seat) = self.seats.get(key) else { return Vec::new() };
        let own = (rooms.owner(seat.id.as_str()) == Some(key)).then(|| seat.id.clone().into());
        own.into_iter().chain(seat.rooms.iter().cloned()).collect()
    }

    /// Every socket, in key order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.seats.keys()
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is no socket.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }
}

/// Which sockets each room has: the half of a [`Registry`] that is found by room. Sockets come in by a [`Roster`].
#[derive(Debug)]
pub struct Rooms<K> {
    /// All members of each room that has others than the socket whose id it is named by.
    shared: BTreeMap<Room, BTreeSet<K>>,
    /// Each socket's own room, kept apart because it has one member for ever: a set for each would double what an
    /// idle socket costs.
    own: BTreeMap<Sid, K>,
}

impl<K> Default for Rooms<K> {
    fn default() -> Self {
        Self { shared: BTreeMap::new(), own: BTreeMap::new() }
    }
}

impl<K: Clone + Ord> Rooms<K> {
    /// No rooms.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a socket into its own room.
    fn claim(&mut self, id: &Sid, key: K) -> Change {
        let previous = self.own.insert(id.clone(), key.clone());
        let members = self.shared.get_mut(id.as_str());
        let change = match (&previous, &members) {
            // It was there, or one of the same id, which is now another socket.
            (Some(_), _) => Change::None,
            (None, Some(_)) => Change::Member,
            (None, None) => Change::Room,
        };
        if let Some(members) = members {
            previous.map(|previous| members.remove(&previous));
            members.insert(key);
        }
        change
    }

    /// Puts a socket into a room that is not its own. Returns the name that all its members share.
    fn join(&mut self, room: &str, key: K) -> (Room, Change) {
        if let Some((name, _)) = self.shared.get_key_value(room) {
            let name = name.clone();
            self.shared.entry(name.clone()).or_default().insert(key);
            return (name, Change::Member);
        }
        let (name, owner) = (Room::from(room), self.own.get(room).cloned());
        let change = if owner.is_none() { Change::Room } else { Change::Member };
        self.shared.insert(name.clone(), owner.into_iter().chain([key]).collect());
        (name, change)
    }

    /// Takes a socket out of a room that its [`Roster`] does not have it in any more.
    pub fn leave(&mut self, room: &str, key: &K) -> Change {
        let is_owner = self.owner(room) == Some(key);
        if is_owner {
            self.own.remove(room);
        }
        let Some(members) = self.shared.get_mut(room) else {
            return if is_owner { Change::Room } else { Change::None };
        };
        if !members.remove(key) {
            return Change::None;
        }
        let is_over = members.is_empty();
        if members.len() == usize::from(self.own.contains_key(room)) {
            self.shared.remove(room);
        }
        if is_over { Change::Room } else { Change::Member }
    }

    /// The sockets in a room.
    pub fn members(&self, room: &str) -> Members<'_, K> {
        match self.shared.get(room) {
            Some(members) => Members(Kind::Shared(members)),
            None => Members(Kind::Own(self.own.get(room))),
        }
    }

    /// The socket with this id, if it is in its own room.
    pub fn owner(&self, id: &str) -> Option<&K> {
        self.own.get(id)
    }

    /// Every room with a member, without the sockets' own, in name order.
    pub fn names(&self) -> impl Iterator<Item = &Room> {
        self.shared.keys()
    }
}

/// The sockets in a room: looked up once, asked often.
#[derive(Debug)]
pub struct Members<'a, K>(Kind<'a, K>);

#[derive(Debug)]
enum Kind<'a, K> {
    Own(Option<&'a K>),
    Shared(&'a BTreeSet<K>),
}

// Derived, they would ask the same of `K`.
impl<K> Clone for Members<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Members<'_, K> {}

impl<K> Clone for Kind<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Kind<'_, K> {}

impl<K> Default for Members<'_, K> {
    /// Nobody.
    fn default() -> Self {
        Self(Kind::Own(None))
    }
}

impl<'a, K: Ord> Members<'a, K> {
    /// Whether this socket is one of them.
    pub fn contains(&self, key: &K) -> bool {
        match self.0 {
            Kind::Own(owner) => owner == Some(key),
            Kind::Shared(members) => members.contains(key),
        }
    }

    /// All of them, in key order.
    pub fn iter(&self) -> impl Iterator<Item = &'a K> + use<'a, K> {
        let (owner, members) = match self.0 {
            Kind::Own(owner) => (owner, None),
            Kind::Shared(members) => (None, Some(members)),
        };
        owner.into_iter().chain(members.into_iter().flatten())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Kind::Own(owner) => usize::from(owner.is_some()),
            Kind::Shared(members) => members.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

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
        assert!(registry.is_empty() && registry.rooms.own.is_empty() && registry.rooms.shared.is_empty());
    }

    #[test]
    fn a_whole_namespace_except_some_rooms() {
        let mut registry = registry();
        registry.join(1, "x");
        registry.join(3, "y");
        assert_eq!(registry.select(&Selector::default().except("x").except("y")), [2]);
    }

    #[test]
    fn a_room_named_like_an_id_is_in_key_order_and_lives_as_long_as_anybody_is_in_it() {
        let mut registry = registry();
        assert_eq!(registry.join(1, "b"), Change::Member);
        assert_eq!(registry.join(3, "b"), Change::Member);
        assert_eq!(registry.select(&Selector::default().to("b")), [1, 2, 3]);
        assert_eq!(registry.leave(2, "b"), Change::Member);
        assert_eq!(registry.select(&Selector::default().to("b")), [1, 3]);
        assert_eq!(registry.join(2, "b"), Change::Member);
        assert_eq!(registry.remove(1), []);
        assert_eq!(registry.rooms().count(), 1);
        assert_eq!(registry.leave(3, "b"), Change::Member);
        assert_eq!(registry.rooms().count(), 0);
        assert_eq!(registry.select(&Selector::default().to("b")), [2]);
    }

    #[test]
    fn who_comes_back_under_its_id_has_the_room_before_the_old_one_is_gone() {
        let mut registry = registry();
        registry.join(1, "b");
        assert!(registry.insert(4, "b".into()));
        assert_eq!(registry.select(&Selector::default().to("b")), [1, 4]);
        assert_eq!(
            registry.roster.insert(5, "c".into(), &mut registry.rooms),
            Change::None,
            "the room has its id in it"
        );
        assert_eq!(registry.remove(2), []);
        assert_eq!(registry.select(&Selector::default().to("b")), [1, 4]);
        assert_eq!(registry.rooms_of(4), [Room::from("b")]);
    }

    /// Who is in which rooms, and nothing else.
    #[derive(Default)]
    struct Model(BTreeMap<u32, Vec<Room>>);

    impl Model {
        fn is_member(&self, key: u32, room: &Room) -> bool {
            self.0.get(&key).is_some_and(|rooms| rooms.contains(room))
        }

        fn count(&self, room: &Room) -> usize {
            self.0.keys().filter(|key| self.is_member(**key, room)).count()
        }

        fn select(&self, selector: &Selector) -> Vec<u32> {
            let is_in = |key, rooms: &[Room]| rooms.iter().any(|room| self.is_member(key, room));
            let is_meant = |key| selector.rooms.is_empty() || is_in(key, &selector.rooms);
            let keys = self.0.keys().copied();
            keys.filter(|key| is_meant(*key) && !is_in(*key, &selector.except)).collect()
        }

        /// Changes who is in `room` and says what that did.
        fn change(&mut self, room: &Room, change: impl FnOnce(&mut Self)) -> Change {
            let before = self.count(room);
            change(self);
            match (before, self.count(room)) {
                (before, after) if before == after => Change::None,
                (0, _) | (_, 0) => Change::Room,
                _ => Change::Member,
            }
        }
    }

    /// The first are the ids of the sockets with these keys.
    fn room(number: u32) -> Room {
        format!("r{number}").into()
    }

    fn rooms() -> impl Strategy<Value = Vec<Room>> {
        proptest::collection::vec((0..9_u32).prop_map(room), 0..4)
    }

    proptest! {
        #[test]
        fn a_registry_is_what_it_seems(
            steps in proptest::collection::vec((0..8, 0..6_u32, 0..9_u32), 0..60),
            selectors in proptest::collection::vec((rooms(), rooms()), 8),
        ) {
            let (mut registry, mut model) = (Registry::new(), Model::default());
            for (step, key, number) in steps {
                let (own, name) = (room(key), room(number));
                match step {
                    0..=1 => {
                        let is_new = !model.0.contains_key(&key);
                        model.0.entry(key).or_insert_with(|| vec![own.clone()]);
                        prop_assert_eq!(registry.insert(key, (&*own).into()), is_new);
                    }
                    2 => {
                        let mut ended = model.0.remove(&key).unwrap_or_default();
                        ended.retain(|room| *room != own && model.count(room) == 0);
                        ended.sort_unstable();
                        prop_assert_eq!(registry.remove(key), ended);
                    }
                    3..=5 => {
                        let change = model.change(&name, |model| match model.0.get_mut(&key) {
                            Some(rooms) if !rooms.contains(&name) => rooms.push(name.clone()),
                            _ => {}
                        });
                        prop_assert_eq!(registry.join(key, &name), change);
                    }
                    _ => {
                        let change = model.change(&name, |model| {
                            model.0.entry(key).and_modify(|rooms| rooms.retain(|joined| *joined != name));
                        });
                        prop_assert_eq!(registry.leave(key, &name), change);
                    }
                }
            }
            for (rooms, except) in selectors {
                let selector = Selector { rooms, except };
                prop_assert_eq!(registry.select(&selector), model.select(&selector));
            }
            for number in 0..9 {
                let name = room(number);
                prop_assert_eq!(registry.has_room(&name), model.count(&name) > 0);
                let others = model.0.iter().filter(|(key, rooms)| **key != number && rooms.contains(&name)).count();
                prop_assert_eq!(registry.rooms().any(|room| *room == name), others > 0);
            }
            for key in 0..6 {
                // Its own is the first, also when it came back to it.
                let mut rooms = model.0.remove(&key).unwrap_or_default();
                rooms.sort_by_key(|joined| *joined != room(key));
                prop_assert_eq!(registry.rooms_of(key), rooms);
            }
        }
    }
}
