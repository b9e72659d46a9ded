//! Several nodes with sockets, in virtual time, on a bus that takes its time and keeps no order.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::{format, vec};

use super::*;
use crate::rooms::Room;

struct World {
    now: Instant,
    random: u64,
    nodes: BTreeMap<usize, Side>,
    /// What is under way, by arrival.
    flights: BTreeMap<(Instant, u64), (usize, Flight)>,
    next_flight: u64,
    membership: Membership,
    max_delay: u64,
}

enum Flight {
    Bus(Envelope),
    Local(Input),
}

/// A server: a node, and the sockets it would have.
struct Side {
    node: Node<u32>,
    sockets: BTreeMap<String, Socket>,
    completed: BTreeMap<u32, (Answers, Option<Shortfall>)>,
    server_side: Vec<String>,
}

#[derive(Default)]
struct Socket {
    rooms: BTreeSet<Room>,
    events: Vec<String>,
    /// Milliseconds until it acknowledges, or never.
    patience: Option<u64>,
}

impl World {
    fn new(seed: u64, membership: Membership, nodes: usize) -> Self {
        let mut world = Self {
            now: at(0),
            random: seed,
            nodes: BTreeMap::new(),
            flights: BTreeMap::new(),
            next_flight: 0,
            membership,
            max_delay: 40,
        };
        (0..nodes).for_each(|index| world.add_node(index));
        world.run(200);
        world
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn add_node(&mut self, index: usize) {
        let config = Config { membership: self.membership, ..Config::default() };
        let node = Node::new(config, Nsp::ROOT, (self.random ^ index as u64).to_be_bytes());
        let mut side =
            Side { node, sockets: BTreeMap::new(), completed: BTreeMap::new(), server_side: vec![] };
        for socket in 0..2 {
            let mut rooms = BTreeSet::from([Room::from("all")]);
            rooms.insert(if socket == 0 { "even".into() } else { "odd".into() });
            let patience = Some(10 + self.draw(30));
            side.sockets.insert(format!("{index}.{socket}"), Socket { rooms, events: vec![], patience });
        }
        self.nodes.insert(index, side);
        let now = self.now;
        self.with(index, |side| side.node.start(now));
    }

    fn with<R>(&mut self, index: usize, act: impl FnOnce(&mut Side) -> R) -> R {
        let result = act(self.nodes.get_mut(&index).unwrap());
        self.drain(index);
        result
    }

    fn fly(&mut self, to: usize, delay: u64, flight: Flight) {
        self.next_flight += 1;
        self.flights.insert((self.now + Duration::from_millis(delay), self.next_flight), (to, flight));
    }

    fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes.get_mut(&index).and_then(|side| side.node.poll_output()) {
            match output {
                Output::Publish(to, envelope) => {
                    for other in self.nodes.keys().copied().collect::<Vec<_>>() {
                        // A bus may deliver too much: to the sender, and to nodes that are not meant.
                        let meant = match &to {
                            Destination::All => true,
                            Destination::Node(uid) => {
                                self.nodes[&other].node.uid() == uid || self.draw(2) == 0
                            }
                        };
                        let delay = self.draw(self.max_delay) + 1;
                        if meant {
                            self.fly(other, delay, Flight::Bus(envelope.clone()));
                        }
                    }
                }
                Output::Apply(operation) => self.apply(index, operation),
                Output::Ask(ask, query) => self.answer(index, ask, query),
                Output::CountServers(key) => {
                    let delay = self.draw(self.max_delay) + 1;
                    let servers = self.nodes.len();
                    self.fly(index, delay, Flight::Local(Input::Servers(key, servers)));
                }
                Output::Completed(Completed { waiter, answers, shortfall }) => {
                    let side = self.nodes.get_mut(&index).unwrap();
                    assert!(side.completed.insert(waiter, (answers, shortfall)).is_none(), "completed twice");
                }
                Output::Joined(_) | Output::Left(_) => {}
                Output::Overloaded(uid) => panic!("{uid} is too much"),
            }
        }
    }

    fn apply(&mut self, index: usize, operation: Operation) {
        let side = self.nodes.get_mut(&index).unwrap();
        match operation {
            Operation::Broadcast(event, options) => {
                for (_, socket) in side.select(&options.selector) {
                    socket.events.push(event.name().into());
                }
            }
            Operation::Join(selector, rooms) => {
                side.select(&selector).for_each(|(_, socket)| socket.rooms.extend(rooms.clone()));
            }
            Operation::Leave(selector, rooms) => {
                side.select(&selector)
                    .for_each(|(_, socket)| socket.rooms.retain(|room| !rooms.contains(room)));
            }
            Operation::Disconnect(selector, _) => {
                let ids: Vec<_> = side.select(&selector).map(|(id, _)| id.clone()).collect();
                ids.iter().for_each(|id| drop(side.sockets.remove(id)));
            }
            Operation::ServerSideEmit(event) => side.server_side.push(event.name().into()),
        }
    }

    fn answer(&mut self, index: usize, ask: AskId, query: Query) {
        let side = self.nodes.get_mut(&index).unwrap();
        let mut answers = vec![];
        match query {
            Query::Broadcast(event, options) => {
                let mut acks = vec![];
                for (id, socket) in side.select(&options.selector) {
                    socket.events.push(event.name().into());
                    acks.push((id.clone(), socket.patience));
                }
                answers.push((0, Input::Clients(ask, acks.len() as u64)));
                for (id, patience) in acks {
                    if let Some(patience) = patience {
                        let answer = Args::encode(&(id, "second")).unwrap();
                        answers.push((patience, Input::Acknowledged(ask, answer)));
                    }
                }
            }
            Query::FetchSockets(selector) => {
                let sockets = side.select(&selector).map(|(id, _)| details(id)).collect();
                answers.push((0, Input::Sockets(ask, sockets)));
            }
            Query::ServerSideEmit(event) => {
                side.server_side.push(event.name().into());
                let answer = Args::encode(&(format!("from {index}"), 2)).unwrap();
                answers.push((self.draw(30), Input::Replied(ask, answer)));
            }
        }
        for (delay, input) in answers {
            self.fly(index, delay, Flight::Local(input));
        }
    }

    /// Lets this many milliseconds pass.
    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        loop {
            let flight = self.flights.keys().next().copied();
            let timer =
                self.nodes.iter().filter_map(|(index, side)| Some((side.node.poll_timeout()?, *index))).min();
            let next = flight.map(|(at, _)| at).into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next >= self.now, "time goes forward");
            self.now = next;
            let now = self.now;
            if let Some((_, index)) = timer.filter(|(at, _)| *at == next) {
                self.with(index, |side| side.node.handle_timeout(now));
                assert!(self.nodes[&index].node.poll_timeout().is_none_or(|at| at > now));
            } else if let Some(key) = flight
                && let Some((to, flight)) = self.flights.remove(&key)
                && self.nodes.contains_key(&to)
            {
                let input = match flight {
                    Flight::Bus(envelope) => Input::Received(there_and_back(envelope)),
                    Flight::Local(input) => input,
                };
                self.with(to, |side| side.node.handle(input, now));
            }
        }
        self.now = end;
    }

    /// A node is gone without a word.
    fn kill(&mut self, index: usize) {
        self.nodes.remove(&index);
    }

    fn result(&mut self, index: usize, waiter: u32) -> Option<(Vec<String>, Option<Shortfall>)> {
        let (answers, shortfall) = self.nodes.get_mut(&index).unwrap().completed.remove(&waiter)?;
        let mut words: Vec<String> = match answers {
            Answers::Sockets(sockets) => sockets.iter().map(|socket| socket.id.as_str().into()).collect(),
            Answers::Acks(acks) | Answers::Replies(acks) => {
                acks.iter().map(|ack| ack.decode().unwrap()).collect()
            }
        };
        words.sort_unstable();
        Some((words, shortfall))
    }

    fn assert_nothing_is_left(&self) {
        for side in self.nodes.values() {
            assert_eq!(side.node.pending(), 0);
            assert!(side.completed.is_empty());
        }
    }
}

impl Side {
    fn select<'a>(
        &'a mut self,
        selector: &'a Selector,
    ) -> impl Iterator<Item = (&'a String, &'a mut Socket)> {
        self.sockets.iter_mut().filter(|(id, socket)| {
            let is_in = |room: &Room| socket.rooms.contains(room) || **room == ***id;
            (selector.rooms.is_empty() || selector.rooms.iter().any(is_in))
                && !selector.except.iter().any(is_in)
        })
    }
}

/// What travels is bytes.
fn there_and_back(envelope: Envelope) -> Envelope {
    let wire = if envelope.message.has_binary() {
        crate::engine::packet::Message::Binary(envelope.to_msgpack().unwrap())
    } else {
        crate::engine::packet::Message::Text(envelope.to_json().unwrap())
    };
    let read = Envelope::decode(&wire).unwrap();
    assert_eq!(read, envelope);
    read
}

/// Both ways of knowing who is there, with several seeds.
fn worlds(nodes: usize) -> impl Iterator<Item = World> {
    [Membership::Counted, Membership::HEARTBEAT]
        .into_iter()
        .flat_map(move |membership| (1..=8).map(move |seed| World::new(seed, membership, nodes)))
}

#[test]
fn an_event_reaches_the_sockets_of_every_node_once() {
    for mut world in worlds(3) {
        let options = || Options::from(Selector::default().to("even").to("1.0").except("2.0"));
        let now = world.now;
        world.with(0, |side| side.node.broadcast(event("e"), options(), now));
        // What it means here is the caller's business.
        world.apply(0, Operation::Broadcast(event("e"), options()));
        world.run(100);
        let got: Vec<_> = world
            .nodes
            .values()
            .flat_map(|side| side.sockets.iter().filter(|(_, socket)| !socket.events.is_empty()))
            .map(|(id, socket)| (id.as_str(), socket.events.len()))
            .collect();
        assert_eq!(got, [("0.0", 1), ("1.0", 1)]);
    }
}

#[test]
fn requests_bring_the_answers_of_every_node() {
    for mut world in worlds(3) {
        let now = world.now;
        let even = || Options::from(Selector::default().to("even"));
        world.with(0, |side| {
            side.node.fetch_sockets(even(), 1, now).unwrap();
            side.node.broadcast_with_ack(event("e"), Options::default(), 2, now).unwrap();
            side.node.server_side_emit_with_ack(event("s"), 3, now).unwrap();
        });
        world.with(2, |side| side.node.fetch_sockets(Options::default(), 4, now).unwrap());
        world.run(400);
        let strings = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect::<Vec<_>>();
        assert_eq!(world.result(0, 1), Some((strings(&["0.0", "1.0", "2.0"]), None)));
        let all = strings(&["0.0", "0.1", "1.0", "1.1", "2.0", "2.1"]);
        assert_eq!(world.result(0, 2), Some((all.clone(), None)));
        assert_eq!(world.result(0, 3), Some((strings(&["from 1", "from 2"]), None)));
        assert_eq!(world.result(2, 4), Some((all, None)));
        assert!(world.nodes[&0].server_side.is_empty(), "not to the sender");
        world.run(10_000);
        world.assert_nothing_is_left();
    }
}

#[test]
fn clients_that_do_not_acknowledge_leave_a_partial_answer() {
    for mut world in worlds(2) {
        world.nodes.get_mut(&1).unwrap().sockets.get_mut("1.1").unwrap().patience = None;
        let now = world.now;
        let mut options = Options::default();
        options.flags.timeout = Some(Duration::from_millis(700));
        world.with(0, |side| side.node.broadcast_with_ack(event("e"), options, 1, now).unwrap());
        world.run(699);
        assert_eq!(world.result(0, 1), None);
        world.run(1);
        let expected = ["0.0", "0.1", "1.0"].map(String::from).to_vec();
        assert_eq!(world.result(0, 1), Some((expected, Some(Shortfall::TimedOut))));
        world.run(10_000);
        world.assert_nothing_is_left();
    }
}

#[test]
fn a_node_that_dies_in_the_middle_of_a_request_is_not_waited_for_longer_than_its_heartbeat() {
    for seed in 1..=8 {
        let mut world = World::new(seed, Membership::HEARTBEAT, 3);
        let now = world.now;
        let mut options = Options::default();
        options.flags.timeout = Some(Duration::from_secs(60));
        world.kill(2);
        world.with(0, |side| {
            side.node.fetch_sockets(options.clone(), 1, now).unwrap();
            side.node.broadcast_with_ack(event("e"), options, 2, now).unwrap();
        });
        world.run(5000);
        assert_eq!(world.result(0, 1), None);
        world.run(5100);
        let rest = ["0.0", "0.1", "1.0", "1.1"].map(String::from).to_vec();
        assert_eq!(world.result(0, 1), Some((rest.clone(), None)));
        assert_eq!(world.result(0, 2), Some((rest, None)));
        assert_eq!(world.nodes[&0].node.others().count(), 1);
        world.run(60_000);
        world.assert_nothing_is_left();
    }
}

#[test]
fn where_the_bus_counts_a_dead_node_costs_the_timeout() {
    for seed in 1..=8 {
        let mut world = World::new(seed, Membership::Counted, 3);
        let now = world.now;
        world.with(0, |side| side.node.fetch_sockets(Options::default(), 1, now).unwrap());
        // Counted a moment ago, dead before it heard the question.
        let counts: Vec<_> = world.flights.keys().copied().collect();
        for key in counts {
            if world.flights[&key].0 == 2 {
                world.flights.remove(&key);
            }
        }
        world.run(4999);
        assert_eq!(world.result(0, 1), None);
        world.run(1);
        let (sockets, shortfall) = world.result(0, 1).unwrap();
        assert_eq!(sockets, ["0.0", "0.1", "1.0", "1.1"]);
        assert_eq!(shortfall, Some(Shortfall::MissingAnswers { received: 1, expected: 2 }));
    }
}

#[test]
fn a_node_that_says_goodbye_is_not_waited_for() {
    for seed in 1..=8 {
        let mut world = World::new(seed, Membership::HEARTBEAT, 3);
        let now = world.now;
        let never = |side: &mut Side| side.sockets.values_mut().for_each(|socket| socket.patience = None);
        world.with(2, never);
        world.with(0, |side| side.node.broadcast_with_ack(event("e"), Options::default(), 1, now).unwrap());
        world.run(200);
        assert_eq!(world.result(0, 1), None);
        let now = world.now;
        world.with(2, |side| side.node.close(now));
        world.kill(2);
        world.run(100);
        let rest = ["0.0", "0.1", "1.0", "1.1"].map(String::from).to_vec();
        assert_eq!(world.result(0, 1), Some((rest, Some(Shortfall::Lost))));
    }
}

#[test]
fn nodes_that_come_late_are_found() {
    for seed in 1..=8 {
        let mut world = World::new(seed, Membership::HEARTBEAT, 1);
        for count in 1..4 {
            world.add_node(count);
            world.run(100);
            for side in world.nodes.values() {
                assert_eq!(side.node.others().count(), count);
            }
        }
        // And stay found, with nothing but heartbeats.
        world.run(60_000);
        assert!(world.nodes.values().all(|side| side.node.others().count() == 3));
    }
}

#[test]
fn any_mess_leaves_nothing_behind() {
    for mut world in worlds(4) {
        for waiter in 1..=200 {
            let index = world.draw(4) as usize;
            let (now, kind) = (world.now, world.draw(8));
            let mut options = Options::default();
            options.flags.timeout = (kind % 2 == 0).then_some(Duration::from_millis(50));
            if world.nodes.contains_key(&index) {
                world.with(index, |side| match kind {
                    0 | 1 => drop(side.node.fetch_sockets(options, waiter, now).unwrap()),
                    2 | 3 => drop(side.node.broadcast_with_ack(event("e"), options, waiter, now).unwrap()),
                    4 => drop(side.node.server_side_emit_with_ack(event("s"), waiter, now).unwrap()),
                    5 => side.node.sockets_join(options, vec!["new".into()], now),
                    6 => {
                        let key = side.node.fetch_sockets(options, waiter, now).unwrap();
                        assert_eq!(side.node.forget(key), Some(waiter));
                    }
                    _ => side.node.handle(if waiter % 2 == 0 { Input::BusUp } else { Input::BusDown }, now),
                });
            }
            match world.draw(40) {
                0 if world.nodes.len() > 2 => world.kill(index),
                1 if !world.nodes.contains_key(&index) => world.add_node(index),
                _ => {}
            }
            let pause = world.draw(30);
            world.run(pause);
        }
        world.run(120_000);
        world.nodes.values_mut().for_each(|side| side.completed.clear());
        world.assert_nothing_is_left();
    }
}
