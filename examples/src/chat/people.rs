//! Who is here, under which name, and in which rooms. Knows nothing of sockets but their ids.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::Serialize;

use super::rules::{LOBBY, MAX_ROOMS, Refusal};

/// Everybody who is signed in, in order of arrival. `S` is the id of a socket.
#[derive(Debug)]
pub struct People<S> {
    people: BTreeMap<u64, Person<S>>,
    /// In lower case.
    by_name: HashMap<String, u64>,
    by_socket: HashMap<S, u64>,
    arrivals: u64,
}

#[derive(Debug)]
struct Person<S> {
    name: String,
    socket: S,
    tab_key: Option<String>,
    rooms: Vec<String>,
}

/// How somebody came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival<S> {
    /// Nobody had the name.
    New,
    /// The page had the name already, on this socket, which has lost it.
    TookOver(S),
}

/// A room, and how many are in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoomInfo {
    name: String,
    members: usize,
}

impl<S> Default for People<S> {
    fn default() -> Self {
        Self { people: BTreeMap::new(), by_name: HashMap::new(), by_socket: HashMap::new(), arrivals: 0 }
    }
}

impl<S: Clone + Eq + Hash> People<S> {
    /// Signs a socket in, and puts it into the lobby. A page that comes back with the `tab_key` it had gets its name
    /// back, and its place in the order of arrival.
    ///
    /// # Errors
    /// [`Refusal::AlreadySignedIn`], [`Refusal::NameTaken`].
    pub fn sign_in(&mut self, socket: &S, name: &str, tab_key: Option<&str>) -> Result<Arrival<S>, Refusal> {
        if self.by_socket.contains_key(socket) {
            return Err(Refusal::AlreadySignedIn);
        }
        let person = Person {
            name: name.to_owned(),
            socket: socket.clone(),
            tab_key: tab_key.map(str::to_owned),
            rooms: vec![LOBBY.to_owned()],
        };
        let place = match self.by_name.get(&name.to_lowercase()) {
            None => {
                self.arrivals += 1;
                self.arrivals
            }
            Some(place) => match self.people.get(place) {
                Some(holder) if tab_key.is_none() || holder.tab_key.as_deref() != tab_key => {
                    return Err(Refusal::NameTaken(holder.name.clone()));
                }
                _ => *place,
            },
        };
        self.by_name.insert(name.to_lowercase(), place);
        self.by_socket.insert(socket.clone(), place);
        Ok(match self.people.insert(place, person) {
            None => Arrival::New,
            Some(previous) => {
                self.by_socket.remove(&previous.socket);
                Arrival::TookOver(previous.socket)
            }
        })
    }

    /// Forgets a socket. Returns the name it had.
    pub fn sign_out(&mut self, socket: &S) -> Option<String> {
        let person = self.people.remove(&self.by_socket.remove(socket)?)?;
        self.by_name.remove(&person.name.to_lowercase());
        Some(person.name)
    }

    /// The name of a socket.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`].
    pub fn name_of(&self, socket: &S) -> Result<&str, Refusal> {
        let place = self.by_socket.get(socket).ok_or(Refusal::NotSignedIn)?;
        self.people.get(place).map(|person| &*person.name).ok_or(Refusal::NotSignedIn)
    }

    /// Puts a socket into a room. Returns whether it was not there before.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`], [`Refusal::TooManyRooms`].
    pub fn join(&mut self, socket: &S, room: &str) -> Result<bool, Refusal> {
        let person = self.person(socket)?;
        if person.rooms.iter().any(|joined| joined == room) {
            return Ok(false);
        }
        if person.rooms.len() == MAX_ROOMS {
            return Err(Refusal::TooManyRooms);
        }
        person.rooms.push(room.to_owned());
        Ok(true)
    }

    /// Takes a socket out of a room. Returns whether it was there.
    ///
    /// # Errors
    /// [`Refusal::NotSignedIn`], [`Refusal::LobbyLeft`].
    pub fn leave(&mut self, socket: &S, room: &str) -> Result<bool, Refusal> {
        let person = self.person(socket)?;
        if room == LOBBY {
            return Err(Refusal::LobbyLeft);
        }
        let before = person.rooms.len();
        person.rooms.retain(|joined| joined != room);
        Ok(person.rooms.len() < before)
    }

    fn person(&mut self, socket: &S) -> Result<&mut Person<S>, Refusal> {
        let place = self.by_socket.get(socket).ok_or(Refusal::NotSignedIn)?;
        self.people.get_mut(place).ok_or(Refusal::NotSignedIn)
    }

    /// Checks that a socket may speak in a room.
    ///
    /// # Errors
    /// [`Refusal::NotInRoom`].
    pub fn check_member(&self, socket: &S, room: &str) -> Result<(), Refusal> {
        let person = self.by_socket.get(socket).and_then(|place| self.people.get(place));
        match person.is_some_and(|person| person.rooms.iter().any(|joined| joined == room)) {
            true => Ok(()),
            false => Err(Refusal::NotInRoom(room.to_owned())),
        }
    }

    /// Somebody other than this socket: the name as it is spelled, and the socket.
    ///
    /// # Errors
    /// [`Refusal::UserUnknown`].
    pub fn other(&self, socket: &S, name: &str) -> Result<(&str, &S), Refusal> {
        let person = self.by_name.get(&name.to_lowercase()).and_then(|place| self.people.get(place));
        match person {
            Some(person) if person.socket != *socket => Ok((&person.name, &person.socket)),
            _ => Err(Refusal::UserUnknown(name.to_owned())),
        }
    }

    /// Everybody's name, in order of arrival.
    pub fn names(&self) -> Vec<String> {
        self.people.values().map(|person| person.name.clone()).collect()
    }

    /// The rooms with members, in name order behind the lobby, which is there even if nobody is in it.
    pub fn rooms(&self) -> Vec<RoomInfo> {
        let mut members = BTreeMap::from([(LOBBY, 0)]);
        for room in self.people.values().flat_map(|person| &person.rooms) {
            *members.entry(room).or_default() += 1;
        }
        let mut rooms: Vec<_> =
            members.into_iter().map(|(name, members)| RoomInfo { name: name.to_owned(), members }).collect();
        rooms.sort_by_key(|room| room.name != LOBBY);
        rooms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(names: &[&str]) -> People<usize> {
        let mut people = People::default();
        for (socket, name) in names.iter().enumerate() {
            assert_eq!(people.sign_in(&socket, name, Some(&format!("key of {name}"))), Ok(Arrival::New));
        }
        people
    }

    fn rooms(people: &People<usize>) -> Vec<(String, usize)> {
        people.rooms().into_iter().map(|room| (room.name, room.members)).collect()
    }

    #[test]
    fn a_name_is_taken_whatever_its_case() {
        let mut people = with(&["Ada"]);
        for key in [None, Some("another")] {
            assert_eq!(people.sign_in(&9, "aDA", key), Err(Refusal::NameTaken("Ada".into())));
        }
        assert_eq!(people.sign_in(&0, "Bob", None), Err(Refusal::AlreadySignedIn));
    }

    #[test]
    fn without_keys_nobody_is_the_same_page() {
        let mut people = People::default();
        people.sign_in(&0, "Ada", None).unwrap();
        assert_eq!(people.sign_in(&1, "Ada", None), Err(Refusal::NameTaken("Ada".into())));
    }

    #[test]
    fn a_page_that_comes_back_takes_its_name_and_place_over() {
        let mut people = with(&["Ada", "Bob"]);
        people.join(&0, "tea").unwrap();
        assert_eq!(people.sign_in(&7, "ada", Some("key of Ada")), Ok(Arrival::TookOver(0)));
        assert_eq!(people.names(), ["ada", "Bob"]);
        assert_eq!(people.name_of(&0), Err(Refusal::NotSignedIn));
        assert_eq!(people.sign_out(&0), None);
        assert_eq!(rooms(&people), [("lobby".into(), 2)]);
        assert_eq!(people.sign_out(&7).as_deref(), Some("ada"));
        assert_eq!(people.names(), ["Bob"]);
    }

    #[test]
    fn rooms_are_counted_with_the_lobby_first() {
        let mut people = with(&["Ada", "Bob"]);
        assert_eq!(people.join(&0, "tea"), Ok(true));
        assert_eq!(people.join(&0, "tea"), Ok(false));
        assert_eq!(people.join(&1, "tea"), Ok(true));
        assert_eq!(people.join(&1, "art"), Ok(true));
        assert_eq!(rooms(&people), [("lobby".into(), 2), ("art".into(), 1), ("tea".into(), 2)]);
        assert_eq!(people.leave(&1, "art"), Ok(true));
        assert_eq!(people.leave(&1, "art"), Ok(false));
        people.sign_out(&1);
        people.sign_out(&0);
        assert_eq!(rooms(&people), [("lobby".into(), 0)]);
        assert!(people.by_name.is_empty() && people.by_socket.is_empty());
    }

    #[test]
    fn eight_rooms_are_the_limit_and_the_lobby_is_one_of_them() {
        let mut people = with(&["Ada"]);
        for n in 1..MAX_ROOMS {
            assert_eq!(people.join(&0, &n.to_string()), Ok(true));
        }
        assert_eq!(people.join(&0, "more"), Err(Refusal::TooManyRooms));
        assert_eq!(people.join(&0, "1"), Ok(false));
        assert_eq!(people.leave(&0, "1"), Ok(true));
        assert_eq!(people.join(&0, "more"), Ok(true));
        assert_eq!(people.leave(&0, LOBBY), Err(Refusal::LobbyLeft));
    }

    #[test]
    fn only_members_speak_in_a_room() {
        let mut people = with(&["Ada", "Bob"]);
        people.join(&0, "tea").unwrap();
        assert_eq!(people.check_member(&0, "tea"), Ok(()));
        assert_eq!(people.check_member(&1, "tea"), Err(Refusal::NotInRoom("tea".into())));
        assert_eq!(people.check_member(&9, LOBBY), Err(Refusal::NotInRoom(LOBBY.into())));
    }

    #[test]
    fn others_are_found_by_name() {
        let people = with(&["Ada", "Bob"]);
        assert_eq!(people.other(&0, "bob"), Ok(("Bob", &1)));
        for name in ["ada", "Eve"] {
            assert_eq!(people.other(&0, name), Err(Refusal::UserUnknown(name.into())));
        }
    }
}
