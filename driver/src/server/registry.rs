//! The sockets of one namespace and their rooms, for many cores: the halves of the core's registry, each in shards.
//!
//! A [`Roster`] is found by a socket's number, so that sockets that come and go on several cores do not queue for one lock.
//! [`Rooms`] are found by a room's name, so that a broadcast to a room looks for it in one place.
//!
//! ```text
//!   join, leave, insert, remove ──► roster of the socket ──► rooms of one name, then of the next
//!   select the whole namespace  ──► each roster in turn  ──► rooms of all names that are left out
//!   select rooms                ─────────────────────────► rooms of all names together
//! ```
//!
//! Locks are taken in this order: at most one roster, then rooms, several of them by their index. Whoever changes a
//! socket's rooms holds its roster, so a socket that was removed is in no room and joins none any more. A selection
//! holds everything it asks about one socket at once: who changes rooms meanwhile is seen before or after. Only one that
//! is being removed may be found in some of its rooms and not in others; nothing that is sent to it arrives any more.
//!
//! No socket is dropped for good under a lock: who removes one has it.

use std::cmp::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socketio_core::Sid;
use socketio_core::rooms::{Change, Members, Room, Rooms, Roster, Selector};

use crate::server::socket::Socket;

/// See the module.
pub(crate) struct Registry<M = Member> {
    rosters: [Mutex<Roster<M>>; SHARDS],
    rooms: [Mutex<Rooms<M>>; SHARDS],
}

/// What is registered: ordered by its number, which is that of joining.
pub(crate) trait Numbered: Clone + Ord {
    fn number(&self) -> u64;
    fn id(&self) -> &Sid;
}

/// A socket with its number at hand: to compare two, neither is touched.
#[derive(Clone)]
pub(crate) struct Member {
    number: u64,
    pub(crate) socket: Socket,
}

impl From<&Socket> for Member {
    fn from(socket: &Socket) -> Self {
        Self { number: socket.key(), socket: socket.clone() }
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Member {}

impl PartialOrd for Member {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Member {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

impl Numbered for Member {
    fn number(&self) -> u64 {
        self.number
    }

    fn id(&self) -> &Sid {
        self.socket.id()
    }
}

impl<M> Default for Registry<M> {
    fn default() -> Self {
        Self { rosters: Default::default(), rooms: Default::default() }
    }
}

impl<M: Numbered> Registry<M> {
    /// Adds a member, which is in the room named by its id from now on. What it returns is about that room.
    pub(crate) fn insert(&self, member: &M) -> Change {
        let id = member.id();
        self.roster(member).insert(member.clone(), id.clone(), &mut self.rooms(id.as_str()))
    }

    /// Removes a member from all its rooms, and tells `left` of each, its own first. That must not ask back.
    pub(crate) fn remove(&self, member: &M, mut left: impl FnMut(Room, Change)) {
        let mut roster = self.roster(member);
        for room in roster.remove(member) {
            let change = self.rooms(&room).leave(&room, member);
            left(room, change);
        }
    }

    pub(crate) fn join(&self, member: &M, room: &str) -> Change {
        self.roster(member).join(member, room, &mut self.rooms(room))
    }

    pub(crate) fn leave(&self, member: &M, room: &str) -> Change {
        self.roster(member).leave(member, room, &mut self.rooms(room))
    }

    /// The rooms a member is in: its own id first, then in the order of joining.
    pub(crate) fn rooms_of(&self, member: &M) -> Vec<Room> {
        self.roster(member).rooms_of(member, &self.rooms(member.id().as_str()))
    }

    /// The members meant by `selector`, each once, in the order of joining: what `take` makes of them.
    pub(crate) fn select<T>(&self, selector: &Selector, take: impl Fn(&M) -> T) -> Vec<T> {
        if selector.rooms.is_empty() {
            return self.everyone(selector, take);
        }
        let named = self.named(selector);
        selector.pick(|room| named.members(room), take)
    }

    fn everyone<T>(&self, selector: &Selector, take: impl Fn(&M) -> T) -> Vec<T> {
        let mut everyone = Vec::new();
        for roster in &self.rosters {
            let roster = lock(roster);
            let named = self.named(selector);
            let is_excepted = selector.is_excepted(|room| named.members(room));
            let members = roster.keys().filter(|member| !is_excepted(member));
            everyone.extend(members.map(|member| (member.number(), take(member))));
        }
        // Stable, because that finds the runs of each roster and only merges them.
        everyone.sort_by_key(|(number, _)| *number);
        everyone.into_iter().map(|(_, taken)| taken).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rosters.iter().map(|roster| lock(roster).len()).sum()
    }

    /// Every room with a member, without the members' own, in name order.
    pub(crate) fn names(&self) -> Vec<Room> {
        let mut names = Vec::new();
        for rooms in &self.rooms {
            names.extend(lock(rooms).names().cloned());
        }
        names.sort_unstable();
        names
    }

    fn roster(&self, member: &M) -> MutexGuard<'_, Roster<M>> {
        lock(&self.rosters[(member.number() % SHARDS as u64) as usize])
    }

    fn rooms(&self, name: &str) -> MutexGuard<'_, Rooms<M>> {
        lock(&self.rooms[shard_of(name)])
    }

    /// Locks all rooms that `selector` names.
    fn named(&self, selector: &Selector) -> Named<'_, M> {
        let mut is_named = [false; SHARDS];
        for name in selector.rooms.iter().chain(&selector.except) {
            is_named[shard_of(name)] = true;
        }
        Named(std::array::from_fn(|index| is_named[index].then(|| lock(&self.rooms[index]))))
    }
}

/// The rooms that a selector names, while nobody changes them.
struct Named<'a, M>([Option<MutexGuard<'a, Rooms<M>>>; SHARDS]);

impl<M: Numbered> Named<'_, M> {
    fn members(&self, room: &str) -> Members<'_, M> {
        self.0[shard_of(room)].as_ref().map(|rooms| rooms.members(room)).unwrap_or_default()
    }
}

/// FNV-1a. Which shard a room is in matters to nobody: there are few, and inside one it is found by its name.
fn shard_of(room: &str) -> usize {
    let hash =
        room.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash as usize % SHARDS
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 8;

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use socketio_core::rooms;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Guest(u64, Sid);

    impl Guest {
        fn new(number: u64) -> Self {
            Self(number, name(number).as_str().into())
        }
    }

    impl Numbered for Guest {
        fn number(&self) -> u64 {
            self.0
        }

        fn id(&self) -> &Sid {
            &self.1
        }
    }

    /// A room by number: those of the guests' ids come first.
    fn name(number: u64) -> String {
        format!("r{number}")
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Remove(u64),
        Join(u64, u64),
        Leave(u64, u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let (guest, room) = (0..GUESTS, 0..ROOMS);
        prop_oneof![
            2 => guest.clone().prop_map(Op::Insert),
            1 => guest.clone().prop_map(Op::Remove),
            4 => (guest.clone(), room.clone()).prop_map(|(guest, room)| Op::Join(guest, room)),
            2 => (guest, room).prop_map(|(guest, room)| Op::Leave(guest, room)),
        ]
    }

    fn selector() -> impl Strategy<Value = Selector> {
        let rooms = || proptest::collection::vec((0..ROOMS).prop_map(|room| Room::from(name(room))), 0..4);
        (rooms(), rooms()).prop_map(|(rooms, except)| Selector { rooms, except })
    }

    proptest! {
        #[test]
        fn in_shards_or_not_is_the_same(
            ops in proptest::collection::vec(op(), 0..80),
            selectors in proptest::collection::vec(selector(), 8),
        ) {
            let (sharded, mut plain) = (Registry::default(), rooms::Registry::new());
            for op in ops {
                match op {
                    Op::Insert(guest) => {
                        let guest = Guest::new(guest);
                        let is_new = plain.insert(guest.clone(), guest.1.clone());
                        prop_assert_eq!(sharded.insert(&guest) != Change::None, is_new);
                    }
                    Op::Remove(guest) => {
                        let guest = Guest::new(guest);
                        let mut ended = Vec::new();
                        sharded.remove(&guest, |room, change| {
                            if change == Change::Room && *room != *guest.1.as_str() {
                                ended.push(room);
                            }
                        });
                        ended.sort_unstable();
                        prop_assert_eq!(ended, plain.remove(guest));
                    }
                    Op::Join(guest, room) => {
                        let (guest, room) = (Guest::new(guest), name(room));
                        prop_assert_eq!(sharded.join(&guest, &room), plain.join(guest, &room));
                    }
                    Op::Leave(guest, room) => {
                        let (guest, room) = (Guest::new(guest), name(room));
                        prop_assert_eq!(sharded.leave(&guest, &room), plain.leave(guest, &room));
                    }
                }
            }
            for selector in selectors {
                prop_assert_eq!(sharded.select(&selector, Guest::clone), plain.select(&selector));
            }
            for guest in (0..GUESTS).map(Guest::new) {
                prop_assert_eq!(sharded.rooms_of(&guest), plain.rooms_of(guest));
            }
            prop_assert_eq!(sharded.len(), plain.len());
            prop_assert_eq!(sharded.names(), plain.rooms().cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_was_removed_joins_no_room() {
        let (registry, guest) = (Registry::default(), Guest::new(1));
        registry.insert(&guest);
        registry.remove(&guest, |_, _| {});
        assert_eq!(registry.join(&guest, "x"), Change::None);
        assert_eq!(registry.join(&guest, "r1"), Change::None);
        assert!(is_empty(&registry));
    }

    #[test]
    fn whoever_joins_while_it_is_removed_leaves_nothing_behind() {
        let registry = Registry::default();
        for round in 0..ROUNDS {
            let guest = Guest::new(round);
            registry.insert(&guest);
            thread::scope(|scope| {
                for room in ["x", "y", guest.1.as_str()] {
                    let (registry, guest) = (&registry, &guest);
                    scope.spawn(move || {
                        registry.join(guest, room);
                        registry.select(&Selector::default().to("x").except("y"), Guest::clone);
                        registry.select(&Selector::default().except("x"), Guest::clone);
                        registry.leave(guest, "x");
                        registry.join(guest, room);
                    });
                }
                registry.remove(&guest, |_, _| {});
            });
            assert!(is_empty(&registry));
        }
    }

    fn is_empty(registry: &Registry<Guest>) -> bool {
        let rooms = |number| registry.rooms(&name(number)).members(&name(number)).is_empty();
        registry.len() == 0 && registry.names().is_empty() && (0..ROUNDS).all(rooms)
    }

    const GUESTS: u64 = 12;
    const ROOMS: u64 = 18;
    const ROUNDS: u64 = 100;
}
