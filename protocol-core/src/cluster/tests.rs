//! Nodes one by one, and several of them in virtual time, over a bus that delays and reorders.

mod wire;
mod world;

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::Instant;
use crate::rooms::Selector;
use crate::socket::{Args, Event, Nsp, Value};

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn args(number: u64) -> Args {
    Args::encode(&number).unwrap()
}

fn event(name: &str) -> Event {
    Event::new(name, Args::default())
}

fn counted() -> Config {
    Config { membership: Membership::Counted, ..Config::default() }
}

fn node(config: Config) -> Node<&'static str> {
    Node::new(config, Nsp::ROOT, 1_u64.to_be_bytes())
}

fn from(uid: &str, message: Message) -> Input {
    Input::Received(Envelope { message, uid: uid.into(), nsp: Some(Nsp::ROOT) })
}

fn outputs<W>(node: &mut Node<W>) -> Vec<Output<W>> {
    core::iter::from_fn(|| node.poll_output()).collect()
}

/// A node that knows these others, with nothing to say.
fn among(config: Config, others: &[&str]) -> Node<&'static str> {
    let mut node = node(config);
    for uid in others {
        node.handle(from(uid, Message::Heartbeat), at(0));
    }
    outputs(&mut node);
    node
}

fn details(id: &str) -> Details {
    Details {
        id: id.into(),
        handshake: Value::Object(vec![]),
        rooms: vec![id.into()],
        data: Value::Object(vec![]),
    }
}

/// The request id and the ask of the request that was just made.
fn requested<W>(outputs: &[Output<W>]) -> (Option<RequestId>, Option<AskId>) {
    let id = outputs.iter().find_map(|output| match output {
        Output::Publish(_, envelope) => match &envelope.message {
            Message::Broadcast { request, .. } | Message::ServerSideEmit { request, .. } => request.clone(),
            Message::FetchSockets { request, .. } => Some(request.clone()),
            _ => None,
        },
        _ => None,
    });
    let ask = outputs.iter().find_map(|output| match output {
        Output::Ask(ask, _) => Some(*ask),
        _ => None,
    });
    (id, ask)
}

fn completed<W>(outputs: Vec<Output<W>>) -> Option<(Answers, Option<Shortfall>)> {
    outputs.into_iter().find_map(|output| match output {
        Output::Completed(completed) => Some((completed.answers, completed.shortfall)),
        _ => None,
    })
}

fn published<W>(outputs: Vec<Output<W>>) -> Vec<(Destination, Message)> {
    let publish = |output| match output {
        Output::Publish(to, envelope) => Some((to, envelope.message)),
        _ => None,
    };
    outputs.into_iter().filter_map(publish).collect()
}

#[test]
fn its_id_is_its_entropy_in_hexadecimal_digits() {
    let node = Node::<()>::new(counted(), Nsp::ROOT, [0xab, 0x4b, 0xd5, 0x75, 0x62, 0xc3, 0xa1, 0x19]);
    assert_eq!(node.uid().as_str(), "ab4bd57562c3a119");
}

#[test]
fn its_own_messages_and_those_of_other_namespaces_are_ignored() {
    let mut node = node(counted());
    let join = || Message::SocketsJoin { options: Options::default(), rooms: vec!["a".into()] };
    let own = node.uid().as_str().to_owned();
    node.handle(from(&own, join()), at(0));
    let elsewhere = Envelope { message: join(), uid: "b".into(), nsp: Some(Nsp::new("/x").unwrap()) };
    node.handle(Input::Received(elsewhere), at(0));
    assert_eq!(outputs(&mut node), []);
    // No namespace: it is that of the channel.
    node.handle(Input::Received(Envelope { message: join(), uid: "b".into(), nsp: None }), at(0));
    let applied = Operation::Join(Selector::default(), vec!["a".into()]);
    assert_eq!(outputs(&mut node), [Output::Apply(applied)]);
}

#[test]
fn commands_are_published_and_messages_applied() {
    let mut sender = node(counted());
    let mut receiver = Node::<()>::new(counted(), Nsp::ROOT, [2; 8]);
    let options = || Options::from(Selector::default().to("x"));
    sender.broadcast(event("e"), options(), at(0));
    sender.sockets_join(options(), vec!["a".into()], at(0));
    sender.sockets_leave(options(), vec!["a".into()], at(0));
    sender.disconnect_sockets(options(), true, at(0));
    sender.server_side_emit(event("s"), at(0));
    for (to, message) in published(outputs(&mut sender)) {
        assert_eq!(to, Destination::All);
        receiver.handle(from(sender.uid().as_str(), message), at(0));
    }
    let selector = options().selector;
    let expected = [
        Operation::Broadcast(event("e"), options()),
        Operation::Join(selector.clone(), vec!["a".into()]),
        Operation::Leave(selector.clone(), vec!["a".into()]),
        Operation::Disconnect(selector, true),
        Operation::ServerSideEmit(event("s")),
    ];
    assert_eq!(outputs(&mut receiver), expected.map(Output::Apply));
}

#[test]
fn a_node_introduces_itself_answers_introductions_and_says_goodbye() {
    let mut node = node(Config::default());
    node.start(at(0));
    assert_eq!(published(outputs(&mut node)), [(Destination::All, Message::InitialHeartbeat)]);
    node.handle(from("b", Message::InitialHeartbeat), at(1));
    let said = outputs(&mut node);
    assert_eq!(said[0], Output::Joined("b".into()));
    assert_eq!(published(said), [(Destination::All, Message::Heartbeat)]);
    assert_eq!(node.others().map(NodeId::as_str).collect::<Vec<_>>(), ["b"]);
    node.handle(from("b", Message::AdapterClose), at(2));
    assert_eq!(outputs(&mut node), [Output::Left("b".into())]);
    node.close(at(3));
    assert_eq!(published(outputs(&mut node)), [(Destination::All, Message::AdapterClose)]);
    node.handle(from("b", Message::InitialHeartbeat), at(4));
    node.broadcast(event("e"), Options::default(), at(4));
    assert_eq!((outputs(&mut node), node.poll_timeout()), (vec![], None));
}

#[test]
fn where_the_bus_counts_there_are_no_heartbeats() {
    let mut node = node(counted());
    node.start(at(0));
    node.handle(from("b", Message::InitialHeartbeat), at(0));
    node.handle(from("b", Message::AdapterClose), at(0));
    node.handle(Input::BusUp, at(0));
    node.close(at(0));
    assert_eq!((outputs(&mut node), node.poll_timeout()), (vec![], None));
}

#[test]
fn a_heartbeat_follows_an_idle_interval_and_anything_said_replaces_it() {
    let mut node = node(Config::default());
    node.start(at(0));
    assert_eq!(node.poll_timeout(), Some(at(5000)));
    node.broadcast(event("e"), Options::default(), at(4000));
    outputs(&mut node);
    assert_eq!(node.poll_timeout(), Some(at(9000)));
    node.handle_timeout(at(8999));
    assert_eq!(outputs(&mut node), []);
    node.handle_timeout(at(9000));
    assert_eq!(published(outputs(&mut node)), [(Destination::All, Message::Heartbeat)]);
    assert_eq!(node.poll_timeout(), Some(at(14_000)));
}

#[test]
fn a_node_that_is_silent_for_the_timeout_is_gone() {
    let mut node = among(Config::default(), &["b", "c"]);
    node.handle(from("c", Message::Heartbeat), at(3000));
    node.handle_timeout(at(9999));
    assert!(!outputs(&mut node).contains(&Output::Left("b".into())));
    node.handle_timeout(at(10_000));
    assert!(outputs(&mut node).contains(&Output::Left("b".into())));
    assert_eq!(node.others().count(), 1);
}

#[test]
fn silence_means_nothing_while_the_bus_is_down() {
    let mut node = among(Config::default(), &["b"]);
    node.start(at(0));
    outputs(&mut node);
    node.handle(Input::BusDown, at(1000));
    assert_eq!(node.poll_timeout(), None);
    node.handle_timeout(at(60_000));
    assert_eq!(outputs(&mut node), []);
    node.handle(Input::BusUp, at(61_000));
    assert_eq!(published(outputs(&mut node)), [(Destination::All, Message::InitialHeartbeat)]);
    node.handle_timeout(at(70_999));
    assert!(!outputs(&mut node).contains(&Output::Left("b".into())));
    node.handle_timeout(at(71_000));
    assert!(outputs(&mut node).contains(&Output::Left("b".into())));
}

#[test]
fn an_emitter_is_no_node() {
    let mut node = among(Config::default(), &[NodeId::EMITTER]);
    assert_eq!(node.others().count(), 0);
    node.handle(
        from(
            NodeId::EMITTER,
            Message::Broadcast { event: event("e"), request: None, options: Options::default() },
        ),
        at(0),
    );
    assert_eq!(outputs(&mut node).len(), 1);
}

#[test]
fn only_so_many_nodes_are_known() {
    let config = Config { max_nodes: 2, ..Config::default() };
    let mut node = among(config, &["b", "c"]);
    assert_eq!(node.others().count(), 2);
    node.handle(from("d", Message::Heartbeat), at(0));
    assert_eq!(outputs(&mut node), [Output::Overloaded("d".into())]);
    assert_eq!(node.others().count(), 2);
}

#[test]
fn sockets_of_all_nodes_come_together_with_the_own_first() {
    let mut node = among(Config::default(), &["b", "c"]);
    node.fetch_sockets(Options::default(), "w", at(0)).unwrap();
    let (id, ask) = requested(&outputs(&mut node));
    let (id, ask) = (id.unwrap(), ask.unwrap());
    let answer = |sockets| Message::FetchSocketsResponse { request: id.clone(), sockets };
    node.handle(Input::Sockets(ask, vec![details("a1")]), at(0));
    node.handle(from("c", answer(vec![details("c1"), details("c2")])), at(1));
    // Twice is once.
    node.handle(from("c", answer(vec![details("c1")])), at(1));
    assert_eq!(outputs(&mut node), []);
    node.handle(from("b", answer(vec![])), at(2));
    let all = ["a1", "c1", "c2"].map(details).to_vec();
    let done = Completed { waiter: "w", answers: Answers::Sockets(all), shortfall: None };
    assert_eq!(outputs(&mut node), [Output::Completed(done)]);
    // Nothing is left of it.
    node.handle(from("b", answer(vec![details("late")])), at(3));
    node.handle_timeout(at(9000));
    assert!(completed(outputs(&mut node)).is_none());
}

#[test]
fn a_node_alone_asks_nobody() {
    let mut node = node(Config::default());
    node.fetch_sockets(Options::default(), "w", at(0)).unwrap();
    let out = outputs(&mut node);
    let [Output::Ask(ask, Query::FetchSockets(_))] = &out[..] else { panic!("{out:?}") };
    node.handle(Input::Sockets(*ask, vec![details("a1")]), at(0));
    assert_eq!(completed(outputs(&mut node)), Some((Answers::Sockets(vec![details("a1")]), None)));
    node.server_side_emit_with_ack(event("s"), "w", at(0)).unwrap();
    assert_eq!(completed(outputs(&mut node)), Some((Answers::Replies(vec![]), None)));
}

#[test]
fn what_is_missing_at_the_timeout_is_told_in_the_words_of_the_reference() {
    let mut node = among(Config::default(), &["b", "c", "d"]);
    node.fetch_sockets(Options::default(), "w", at(0)).unwrap();
    let (id, ask) = requested(&outputs(&mut node));
    node.handle(Input::Sockets(ask.unwrap(), vec![details("a1")]), at(0));
    node.handle(
        from("c", Message::FetchSocketsResponse { request: id.unwrap(), sockets: vec![details("c1")] }),
        at(1),
    );
    node.handle_timeout(at(4999));
    assert!(completed(outputs(&mut node)).is_none());
    node.handle_timeout(at(5000));
    let (answers, shortfall) = completed(outputs(&mut node)).unwrap();
    assert_eq!(answers, Answers::Sockets(vec![details("a1"), details("c1")]));
    assert_eq!(shortfall, Some(Shortfall::MissingNodes { missing: 2 }));
    assert_eq!(shortfall.unwrap().to_string(), "timeout reached: missing 2 responses");
}

#[test]
fn the_bus_may_count_before_or_after_the_answers() {
    for early in [true, false] {
        let mut node = node(counted());
        let key = node.server_side_emit_with_ack(event("s"), "w", at(0)).unwrap();
        let out = outputs(&mut node);
        assert!(out.contains(&Output::CountServers(key)));
        let id = requested(&out).0.unwrap();
        let answer = |uid: &str, number| {
            from(uid, Message::ServerSideEmitResponse { request: id.clone(), answer: args(number) })
        };
        if early {
            node.handle(Input::Servers(key, 3), at(0));
        }
        node.handle(answer("b", 1), at(0));
        node.handle(answer("c", 2), at(0));
        if !early {
            assert_eq!(outputs(&mut node), []);
            node.handle(Input::Servers(key, 3), at(0));
        }
        let replies = Answers::Replies(vec![args(1), args(2)]);
        assert_eq!(completed(outputs(&mut node)), Some((replies, None)));
    }
}

#[test]
fn missing_answers_are_counted_where_the_bus_counts() {
    let mut node = node(counted());
    let key = node.server_side_emit_with_ack(event("s"), "w", at(0)).unwrap();
    let id = requested(&outputs(&mut node)).0.unwrap();
    node.handle(Input::Servers(key, 3), at(0));
    node.handle(from("b", Message::ServerSideEmitResponse { request: id, answer: args(1) }), at(0));
    node.handle_timeout(at(5000));
    let (answers, shortfall) = completed(outputs(&mut node)).unwrap();
    assert_eq!(answers, Answers::Replies(vec![args(1)]));
    let text = "timeout reached: only 1 responses received out of 2";
    assert_eq!(shortfall.unwrap().to_string(), text);
    // A bus that cannot count is no reason to wait for ever.
    node.server_side_emit_with_ack(event("s"), "w", at(5000)).unwrap();
    node.handle_timeout(at(10_000));
    assert_eq!(completed(outputs(&mut node)).unwrap().1, Some(Shortfall::TimedOut));
}

#[test]
fn a_broadcast_is_complete_with_every_count_and_every_acknowledgement() {
    let mut node = among(Config::default(), &["b", "c"]);
    node.broadcast_with_ack(event("e"), Options::default(), "w", at(0)).unwrap();
    let (id, ask) = requested(&outputs(&mut node));
    let (id, ask) = (id.unwrap(), ask.unwrap());
    let count = |clients| Message::BroadcastClientCount { request: id.clone(), clients };
    let ack = |number| Message::BroadcastAck { request: id.clone(), answer: args(number) };
    // An acknowledgement may overtake the count.
    node.handle(from("b", ack(1)), at(0));
    node.handle(Input::Clients(ask, 1), at(0));
    node.handle(from("b", count(2)), at(0));
    node.handle(from("b", count(0)), at(0)); // the first one counts
    node.handle(Input::Acknowledged(ask, Args::encode(&(7, "second")).unwrap()), at(0));
    node.handle(from("b", ack(2)), at(0));
    node.handle(from("b", ack(3)), at(0)); // nobody is left there
    assert_eq!(outputs(&mut node), []);
    node.handle(from("c", count(0)), at(0));
    let (answers, shortfall) = completed(outputs(&mut node)).unwrap();
    let Answers::Acks(acks) = answers else { panic!("{answers:?}") };
    let values: Vec<u64> = acks.iter().map(|ack| ack.decode().unwrap()).collect();
    assert_eq!((values, shortfall), (vec![1, 7, 2], None));
    assert_eq!(acks[1].len(), 1, "the first argument alone");
}

#[test]
fn a_broadcast_that_reaches_nobody_is_complete() {
    let mut node = node(Config::default());
    node.broadcast_with_ack(event("e"), Options::default(), "w", at(0)).unwrap();
    let (_, ask) = requested(&outputs(&mut node));
    node.handle(Input::Clients(ask.unwrap(), 0), at(0));
    assert_eq!(completed(outputs(&mut node)), Some((Answers::Acks(vec![]), None)));
}

#[test]
fn a_broadcast_that_times_out_gives_what_came() {
    let mut node = among(Config::default(), &["b"]);
    let mut options = Options::default();
    options.flags.timeout = Some(Duration::from_millis(200));
    node.broadcast_with_ack(event("e"), options, "w", at(0)).unwrap();
    let (id, ask) = requested(&outputs(&mut node));
    node.handle(Input::Clients(ask.unwrap(), 2), at(0));
    node.handle(Input::Acknowledged(ask.unwrap(), args(1)), at(0));
    node.handle_timeout(at(200));
    let (answers, shortfall) = completed(outputs(&mut node)).unwrap();
    assert_eq!(answers, Answers::Acks(vec![args(1)]));
    assert_eq!(shortfall.unwrap().to_string(), "operation has timed out");
    // Late ones are ignored.
    node.handle(Input::Acknowledged(ask.unwrap(), args(2)), at(201));
    node.handle(from("b", Message::BroadcastAck { request: id.unwrap(), answer: args(3) }), at(201));
    assert_eq!(outputs(&mut node), []);
}

#[test]
fn a_client_that_leaves_makes_a_broadcast_short_at_once() {
    let mut node = node(Config::default());
    node.broadcast_with_ack(event("e"), Options::default(), "w", at(0)).unwrap();
    let (_, ask) = requested(&outputs(&mut node));
    node.handle(Input::Clients(ask.unwrap(), 2), at(0));
    node.handle(Input::Unacknowledged(ask.unwrap()), at(0));
    node.handle(Input::Acknowledged(ask.unwrap(), args(1)), at(0));
    let expected = (Answers::Acks(vec![args(1)]), Some(Shortfall::Lost));
    assert_eq!(completed(outputs(&mut node)), Some(expected));
}

#[test]
fn a_node_that_dies_counts_as_answered() {
    let mut node = among(Config::default(), &["b", "c"]);
    node.fetch_sockets(Options::default(), "fetch", at(0)).unwrap();
    let (id, ask) = requested(&outputs(&mut node));
    node.handle(Input::Sockets(ask.unwrap(), vec![]), at(0));
    let answer = Message::FetchSocketsResponse { request: id.unwrap(), sockets: vec![details("c1")] };
    node.handle(from("c", answer), at(0));
    node.handle(from("b", Message::AdapterClose), at(1));
    let expected = (Answers::Sockets(vec![details("c1")]), None);
    assert_eq!(completed(outputs(&mut node)), Some(expected));
}

#[test]
fn the_clients_of_a_node_that_dies_are_lost_if_it_had_counted_them() {
    for (counted, expected) in [(None, None), (Some(1), None), (Some(2), Some(Shortfall::Lost))] {
        let mut node = among(Config::default(), &["b"]);
        node.broadcast_with_ack(event("e"), Options::default(), "w", at(0)).unwrap();
        let (id, ask) = requested(&outputs(&mut node));
        let id = id.unwrap();
        node.handle(Input::Clients(ask.unwrap(), 0), at(0));
        node.handle(from("b", Message::BroadcastAck { request: id.clone(), answer: args(1) }), at(0));
        if let Some(clients) = counted {
            node.handle(from("b", Message::BroadcastClientCount { request: id, clients }), at(0));
        }
        node.handle(from("b", Message::AdapterClose), at(1));
        assert_eq!(completed(outputs(&mut node)).map(|done| done.1), Some(expected));
    }
}

#[test]
fn a_broadcast_of_another_node_is_counted_and_its_acknowledgements_passed_on() {
    let mut node = among(Config::default(), &["b"]);
    let request = RequestId::from("whatever they like");
    let broadcast = || Message::Broadcast {
        event: event("e"),
        request: Some(request.clone()),
        options: Options::default(),
    };
    node.handle(from("b", broadcast()), at(0));
    let out = outputs(&mut node);
    let [Output::Ask(ask, Query::Broadcast(..))] = &out[..] else { panic!("{out:?}") };
    // Before the count none is expected.
    node.handle(Input::Acknowledged(*ask, args(0)), at(0));
    assert_eq!(outputs(&mut node), []);
    node.handle(Input::Clients(*ask, 3), at(0));
    node.handle(Input::Clients(*ask, 9), at(0));
    node.handle(Input::Acknowledged(*ask, Args::encode(&(1, 2)).unwrap()), at(0));
    node.handle(Input::Unacknowledged(*ask), at(0));
    node.handle(Input::Acknowledged(*ask, args(3)), at(0));
    node.handle(Input::Acknowledged(*ask, args(4)), at(0));
    let b = || Destination::Node("b".into());
    let ack = |number| Message::BroadcastAck { request: request.clone(), answer: args(number) };
    let count = Message::BroadcastClientCount { request: request.clone(), clients: 3 };
    assert_eq!(published(outputs(&mut node)), [(b(), count), (b(), ack(1)), (b(), ack(3))]);
    assert_eq!(node.pending(), 0);
}

#[test]
fn what_others_ask_for_is_forgotten_when_they_have_lost_patience() {
    let mut node = among(Config::default(), &["b"]);
    let emit = Message::ServerSideEmit { request: Some("r".into()), event: event("s") };
    node.handle(from("b", emit), at(0));
    let (_, ask) = requested(&outputs(&mut node));
    node.handle_timeout(at(5000));
    outputs(&mut node);
    node.handle(Input::Replied(ask.unwrap(), args(1)), at(5001));
    assert_eq!(outputs(&mut node), []);
    assert_eq!(node.pending(), 0);
}

#[test]
fn the_first_reply_of_several_handlers_counts() {
    let mut node = among(Config::default(), &["b"]);
    let emit = Message::ServerSideEmit { request: Some("r".into()), event: event("s") };
    node.handle(from("b", emit), at(0));
    let (_, ask) = requested(&outputs(&mut node));
    node.handle(Input::Replied(ask.unwrap(), args(1)), at(0));
    node.handle(Input::Replied(ask.unwrap(), args(2)), at(0));
    let reply = Message::ServerSideEmitResponse { request: "r".into(), answer: args(1) };
    assert_eq!(published(outputs(&mut node)), [(Destination::Node("b".into()), reply)]);
}

#[test]
fn requests_and_answers_have_limits() {
    let config = Config { max_requests: 2, max_answers: 2, ..Config::default() };
    let mut node = among(config, &["b"]);
    let first = node.fetch_sockets(Options::default(), "1", at(0)).unwrap();
    node.fetch_sockets(Options::default(), "2", at(0)).unwrap();
    let refused = node.server_side_emit_with_ack(event("s"), "3", at(0));
    assert_eq!(refused, Err((CommandError::TooManyRequests, "3")));
    assert_eq!(node.forget(first), Some("1"));
    assert_eq!(node.forget(first), None);
    node.fetch_sockets(Options::default(), "3", at(0)).unwrap();
    outputs(&mut node);

    let fetch = || Message::FetchSockets { options: Options::default(), request: "r".into() };
    for _ in 0..2 {
        node.handle(from("b", fetch()), at(0));
    }
    assert_eq!(outputs(&mut node).len(), 2);
    node.handle(from("b", fetch()), at(0));
    assert_eq!(outputs(&mut node), [Output::Overloaded("b".into())]);
}

#[test]
fn a_closed_node_ends_every_request() {
    let mut node = among(Config::default(), &["b"]);
    node.fetch_sockets(Options::default(), "w", at(0)).unwrap();
    outputs(&mut node);
    node.close(at(1));
    node.close(at(1));
    let out = outputs(&mut node);
    assert_eq!(out.len(), 2);
    assert_eq!(completed(out), Some((Answers::Sockets(vec![]), Some(Shortfall::Closed))));
    let refused = node.fetch_sockets(Options::default(), "w", at(2));
    assert_eq!(refused, Err((CommandError::Closed, "w")));
    assert_eq!((node.pending(), node.poll_timeout()), (0, None));
}

#[test]
fn answers_to_requests_of_others_are_ignored() {
    let mut node = among(Config::default(), &["b"]);
    node.fetch_sockets(Options::default(), "w", at(0)).unwrap();
    let id = requested(&outputs(&mut node)).0.unwrap();
    let upper = id.as_str().to_uppercase();
    for id in ["", "+1", "zz", "123456789", "ffffffffffffffffffff", &upper] {
        if id == upper && !upper.contains(char::is_alphabetic) {
            continue;
        }
        node.handle(from("b", Message::FetchSocketsResponse { request: id.into(), sockets: vec![] }), at(0));
    }
    // An answer of another kind is none for this request.
    node.handle(from("b", Message::BroadcastAck { request: id, answer: args(1) }), at(0));
    assert_eq!(outputs(&mut node), []);
}
