//! The handlers of `tests/interop/FIXTURE.md`, written against the core: what an application looks like without a driver.
//!
//! Everything here is a reaction to an event: nothing waits. What would be an `await` elsewhere (an acknowledgement, a slow
//! middleware) is a value that comes back: a [`Waiter`], a deadline.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::env;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_core::engine::handshake::Transports;
use socketio_core::engine::http::{RouteConfig, TrailingSlash};
use socketio_core::engine::server as engine;
use socketio_core::peer::{Config, Delivery};
use socketio_core::rooms::{Registry, Room, Selector};
use socketio_core::socket::server::{self as socket, AckError, Slot};
use socketio_core::socket::{Args, Codec, DisconnectReason, Nsp, Payload, Value, Variadic};
use socketio_core::{AckId, Bytes, Instant, Sid};

use super::clients::{Clients, Settings};
use super::deadlines::Deadlines;

/// How the server is set up.
pub type Options = Settings;

/// The options of FIXTURE.md that are in the environment; `started` is what the clock on the wall showed at
/// [`Instant::ZERO`].
pub fn options_from_env(started: Duration) -> Options {
    fn var<T: std::str::FromStr>(name: &str) -> Option<T> {
        env::var(name).ok()?.parse().ok()
    }
    let millis = |name, default| var(name).map_or(default, Duration::from_millis);
    let (engine, socket) = (engine::Config::default(), socket::Config::default());
    let engine = engine::Config {
        ping_interval: millis("PING_INTERVAL", engine.ping_interval),
        ping_timeout: millis("PING_TIMEOUT", engine.ping_timeout),
        upgrade_timeout: millis("UPGRADE_TIMEOUT", engine.upgrade_timeout),
        max_payload_bytes: var("MAX_HTTP_BUFFER_SIZE").unwrap_or(engine.max_payload_bytes),
        ..engine
    };
    let codec = if env::var("PARSER").as_deref() == Ok("msgpack") { Codec::Msgpack } else { Codec::Text };
    let connect_timeout = millis("CONNECT_TIMEOUT", socket.connect_timeout);
    let socket = socket::Config { codec, connect_timeout, ..socket };
    let mut routes = RouteConfig::new("/socket.io", TrailingSlash::Append);
    if let Ok(names) = env::var("TRANSPORTS") {
        let has = |name| names.split(',').any(|listed| listed == name);
        routes.transports =
            Transports { polling: has("polling"), websocket: has("websocket"), webtransport: false };
    }
    Settings {
        routes,
        allow_upgrades: var("ALLOW_UPGRADES").unwrap_or(true),
        allow_eio3: var("ALLOW_EIO3").unwrap_or(false),
        config: Arc::new(Config { engine: Arc::new(engine), socket }),
        started,
    }
}

/// The port of FIXTURE.md: 0, for any, unless it is in the environment.
pub fn port_from_env() -> u16 {
    env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0)
}

/// What is printed when the server is closed.
pub(super) const CLOSED: &str = r#"{"closed":true}"#;

/// The application.
#[derive(Debug)]
pub struct Fixture {
    clients: Clients<Waiter>,
    codec: Codec,
    namespaces: BTreeMap<&'static str, Namespace>,
    sockets: BTreeMap<Key, Socket>,
    by_slot: HashMap<(Sid, Slot), Key>,
    /// Sockets whose middleware takes its time.
    slow: Deadlines<Key>,
    collections: HashMap<u64, Collection>,
    lines: VecDeque<String>,
    /// For keys and for collections.
    next: u64,
}

/// The number of a socket. Older sockets have smaller ones.
type Key = u64;

#[derive(Debug)]
struct Namespace {
    nsp: Nsp,
    registry: Registry<Key>,
    next_ack: u64,
}

#[derive(Debug)]
struct Socket {
    session: Sid,
    slot: Slot,
    id: Sid,
    namespace: &'static str,
    auth: Payload,
    data: serde_json::Value,
    is_joined: bool,
}

/// Who waits for an acknowledgement: comes back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// `ask`: this socket hears all answers.
    Ask(Key),
    /// `ask-promise`: this socket hears the first answer.
    AskPromise(Key),
    /// `ask-all`: one answer of many.
    Collection(u64),
}

/// The answers to a broadcast.
#[derive(Debug)]
struct Collection {
    for_whom: Key,
    ack: Option<AckId>,
    pending: usize,
    answers: Vec<Value>,
    is_complete: bool,
}

/// Whom a test wants to reach.
#[derive(Deserialize)]
struct Target {
    from: String,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    volatile: bool,
    #[serde(default)]
    timeout: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Fixture {
    /// An application without clients.
    pub fn new(options: Options) -> Self {
        let namespaces = ["/", "/custom", "/quiet", "/auth", "/slow", "/early"].map(|name| {
            let nsp = Nsp::new(name).unwrap_or_else(|error| unreachable!("{name}: {error}"));
            (name, Namespace { nsp, registry: Registry::new(), next_ack: 0 })
        });
        Self {
            codec: options.config.socket.codec,
            clients: Clients::new(options),
            namespaces: namespaces.into(),
            sockets: BTreeMap::new(),
            by_slot: HashMap::new(),
            slow: Deadlines::default(),
            collections: HashMap::new(),
            lines: VecDeque::new(),
            next: 0,
        }
    }

    pub(super) const fn clients(&mut self) -> &mut Clients<Waiter> {
        &mut self.clients
    }

    /// Takes a command.
    pub(super) fn command(&mut self, line: &str) {
        if line == "stats" {
            let rooms: usize =
                self.namespaces.values().map(|namespace| namespace.registry.rooms().count()).sum();
            let sockets = self.namespaces.values().map(|namespace| namespace.registry.len()).sum::<usize>();
            let stats =
                json!({ "engines": self.clients.len(), "sockets": sockets, "rooms": sockets + rooms });
            self.print(&json!({ "stats": stats }));
        }
    }

    pub(super) fn shut_down(&mut self, now: Instant) {
        self.clients.shut_down(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.slow.next(), self.clients.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.slow.take_due(now) {
            self.accept(key);
        }
        self.clients.handle_timeout(now);
    }

    pub(super) fn poll_line(&mut self) -> Option<String> {
        self.lines.pop_front()
    }

    fn print(&mut self, line: &serde_json::Value) {
        self.lines.push_back(line.to_string());
    }

    /// Takes an event of a session.
    pub(super) fn handle_event(&mut self, session: &Sid, event: socket::Event<Waiter>, now: Instant) {
        match event {
            socket::Event::ConnectRequest { slot, nsp, auth } => {
                self.connect_request(session, slot, &nsp, auth, now);
            }
            socket::Event::Emit { slot, event } => {
                if let Some(key) = self.by_slot.get(&(session.clone(), slot)).copied() {
                    self.emit(key, event.name(), event.ack, event.args(), now);
                }
            }
            socket::Event::Acked { waiter, args } => self.acknowledged(waiter, Ok(&args)),
            socket::Event::AckFailed { waiter, error } => self.acknowledged(waiter, Err(error)),
            socket::Event::Left { slot, reason } => self.left(session, slot, reason),
            // The close of the connection follows.
            socket::Event::Violation(_) => {}
        }
    }

    fn connect_request(&mut self, session: &Sid, slot: Slot, nsp: &Nsp, auth: Option<Payload>, now: Instant) {
        let Some((name, _)) = self.namespaces.get_key_value(&**nsp) else {
            if let Some(peer) = self.clients.peer(session) {
                let _ = peer.refuse_unknown(slot);
            }
            return;
        };
        let namespace = *name;
        // Kept for longer than the packet it came in.
        let auth = auth.map_or(Payload::EMPTY_OBJECT, |auth| auth.detached());
        let mut data = json!({});
        if namespace == "/auth" {
            match auth.decode::<serde_json::Value>().unwrap_or_default()["token"].as_str() {
                Some("secret") => data = json!({ "user": "alice" }),
                Some("plain") => return self.refuse(session, slot, "plain refusal", None),
                _ => {
                    let hint = json!({ "code": 401, "hint": "bring a token" });
                    return self.refuse(session, slot, "not authorized", Some(&hint));
                }
            }
        }
        self.next += 1;
        let key = self.next;
        let generated = self.clients.generate_id();
        let Some(peer) = self.clients.peer(session) else { return };
        let id = peer.socket_id(nsp, || generated);
        let session = session.clone();
        self.by_slot.insert((session.clone(), slot), key);
        self.sockets.insert(key, Socket { session, slot, id, namespace, auth, data, is_joined: false });
        match namespace {
            "/slow" => self.slow.set(&key, Some(now + SLOW)),
            "/early" => {
                self.send(key, Delivery::Reliable, "early", &"before CONNECT");
                self.accept(key);
            }
            _ => self.accept(key),
        }
    }

    fn refuse(&mut self, session: &Sid, slot: Slot, message: &str, data: Option<&serde_json::Value>) {
        if let Some(peer) = self.clients.peer(session) {
            // It fails when the client is gone, who then has no use for a refusal.
            let _ = peer.refuse(slot, message, data);
        }
    }

    fn accept(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(&key) else { return };
        let Some(peer) = self.clients.peer(&socket.session) else { return };
        if peer.accept(socket.slot, &socket.id, None).is_err() {
            return;
        }
        socket.is_joined = true;
        if let Some(namespace) = self.namespaces.get_mut(socket.namespace) {
            namespace.registry.insert(key, socket.id.clone());
        }
        if matches!(socket.namespace, "/" | "/custom") {
            let auth: Value = socket.auth.decode().unwrap_or_default();
            self.send(key, Delivery::Reliable, "auth", &auth);
        }
    }

    fn left(&mut self, session: &Sid, slot: Slot, reason: DisconnectReason) {
        let Some(key) = self.by_slot.remove(&(session.clone(), slot)) else { return };
        let Some(socket) = self.sockets.remove(&key) else { return };
        self.slow.set(&key, None);
        if let Some(namespace) = self.namespaces.get_mut(socket.namespace) {
            namespace.registry.remove(key);
        }
        if socket.is_joined {
            let (nsp, id) = (socket.namespace, socket.id.as_str());
            self.print(&json!({ "disconnect": { "nsp": nsp, "id": id, "reason": reason.to_string() } }));
        }
    }

    /// The common handlers. Arguments of the wrong kind are no event of ours.
    fn emit(&mut self, key: Key, name: &str, ack: Option<AckId>, args: &Args, now: Instant) {
        match name {
            "message" | "message-uncompressed" => self.echo(key, Delivery::Reliable, args),
            "message-volatile" => self.echo(key, Delivery::Volatile, args),
            "message-with-ack" => {
                if let Ok(args) = args.decode::<Variadic<Value>>() {
                    self.answer(key, ack, &args);
                }
            }
            "burst" => {
                if let Ok((count, binary_every)) = args.decode::<(u32, Option<u32>)>() {
                    self.burst(key, count, binary_every.unwrap_or(0));
                }
            }
            "ask" => self.ask(key, args, Waiter::Ask(key), now),
            "ask-promise" => self.ask(key, args, Waiter::AskPromise(key), now),
            "join" => match args.decode() {
                Ok(OneOrMore::One(room)) => self.join(key, ack, &[room]),
                Ok(OneOrMore::More(rooms)) => self.join(key, ack, &rooms),
                Err(_) => {}
            },
            "leave" => {
                if let Ok(room) = args.decode::<String>() {
                    self.leave(key, ack, &room);
                }
            }
            "send-to" => {
                if let Ok((target, args)) = args.decode::<(Target, Vec<Value>)>() {
                    self.send_to(key, &target, Variadic(args), now);
                    self.answer(key, ack, &());
                }
            }
            "ask-all" => {
                if let Ok((target, args)) = args.decode::<(Target, Vec<Value>)>() {
                    self.ask_all(key, ack, &target, Variadic(args), now);
                }
            }
            "whoami" => {
                let who = self.whoami(key);
                self.answer(key, ack, &who);
            }
            "disconnect-me" => {
                let close = args.decode::<Option<bool>>().ok().flatten() == Some(true);
                self.disconnect(key, close, now);
            }
            _ => {}
        }
    }

    /// Sends an event to one socket.
    fn send<T: Serialize + ?Sized>(&mut self, key: Key, delivery: Delivery, event: &str, args: &T) {
        let Some(socket) = self.sockets.get(&key) else { return };
        let Some(namespace) = self.namespaces.get(socket.namespace) else { return };
        let Ok(encoded) = self.codec.event(&namespace.nsp, None, event, args) else { return };
        if let Some(peer) = self.clients.peer(&socket.session) {
            // A test that fills the queue of its own client gets what it asked for.
            let _ = peer.send(socket.slot, &encoded, delivery);
        }
    }

    /// Acknowledges an event, if that is wanted.
    fn answer<T: Serialize + ?Sized>(&mut self, key: Key, ack: Option<AckId>, args: &T) {
        let (Some(socket), Some(ack)) = (self.sockets.get(&key), ack) else { return };
        let Some(namespace) = self.namespaces.get(socket.namespace) else { return };
        let Ok(encoded) = self.codec.ack(&namespace.nsp, ack, args) else { return };
        if let Some(peer) = self.clients.peer(&socket.session) {
            let _ = peer.send(socket.slot, &encoded, Delivery::Reliable);
        }
    }

    fn echo(&mut self, key: Key, delivery: Delivery, args: &Args) {
        if let Ok(args) = args.decode::<Variadic<Value>>() {
            self.send(key, delivery, "message-back", &args);
        }
    }

    fn burst(&mut self, key: Key, count: u32, binary_every: u32) {
        for i in 0..count {
            if binary_every > 0 && i % binary_every == 0 {
                self.send(key, Delivery::Reliable, "burst", &(i, Bytes::from(vec![i as u8])));
            } else {
                self.send(key, Delivery::Reliable, "burst", &i);
            }
        }
    }

    fn ask(&mut self, key: Key, args: &Args, waiter: Waiter, now: Instant) {
        let Ok(Variadic(mut args)) = args.decode::<Variadic<Value>>() else { return };
        if args.is_empty() {
            return;
        }
        let Value::Number(millis) = args.remove(0) else { return };
        let deadline = now + Duration::from_millis(millis.as_u64().unwrap_or_default());
        let Some(socket) = self.sockets.get(&key) else { return };
        let Some(namespace) = self.namespaces.get_mut(socket.namespace) else { return };
        let id = namespace.next_ack();
        let Ok(encoded) = self.codec.event(&namespace.nsp, Some(id), "question", &Variadic(args)) else {
            return;
        };
        if let Some(peer) = self.clients.peer(&socket.session) {
            let _ = peer.send_with_ack(socket.slot, &encoded, id, waiter, Some(deadline));
        }
    }

    fn acknowledged(&mut self, waiter: Waiter, answer: Result<&Args, AckError>) {
        match (waiter, answer.map(|args| args.decode::<Variadic<Value>>().unwrap_or_default())) {
            (Waiter::Ask(key), Ok(Variadic(mut answers))) => {
                answers.insert(0, Value::Null);
                self.send(key, Delivery::Reliable, "answered", &Variadic(answers));
            }
            (Waiter::Ask(key), Err(error)) => {
                self.send(key, Delivery::Reliable, "answered", &error.to_string());
            }
            (Waiter::AskPromise(key), Ok(Variadic(answers))) => {
                let first = answers.into_iter().next().unwrap_or_default();
                self.send(key, Delivery::Reliable, "answered", &(Value::Null, first));
            }
            (Waiter::AskPromise(_), Err(_)) => {}
            (Waiter::Collection(number), answer) => {
                if let Some(collection) = self.collections.get_mut(&number) {
                    collection.pending -= 1;
                    match answer {
                        Ok(Variadic(answers)) => collection.answers.extend(answers.into_iter().next()),
                        Err(_) => collection.is_complete = false,
                    }
                    self.finish_collection(number);
                }
            }
        }
    }

    fn join(&mut self, key: Key, ack: Option<AckId>, rooms: &[String]) {
        if let Some(registry) = self.registry_of(key) {
            for room in rooms {
                registry.join(key, room);
            }
        }
        self.answer_rooms(key, ack);
    }

    fn leave(&mut self, key: Key, ack: Option<AckId>, room: &str) {
        if let Some(registry) = self.registry_of(key) {
            registry.leave(key, room);
        }
        self.answer_rooms(key, ack);
    }

    fn answer_rooms(&mut self, key: Key, ack: Option<AckId>) {
        let rooms = self.registry_of(key).map(|registry| registry.rooms_of(key)).unwrap_or_default();
        let mut rooms: Vec<&str> = rooms.iter().map(|room| &**room).collect();
        rooms.sort_unstable();
        self.answer(key, ack, &rooms);
    }

    fn registry_of(&mut self, key: Key) -> Option<&mut Registry<Key>> {
        let socket = self.sockets.get(&key)?;
        Some(&mut self.namespaces.get_mut(socket.namespace)?.registry)
    }

    /// The sockets a test wants to reach.
    fn select(&mut self, key: Key, target: &Target) -> Vec<Key> {
        let own = self.sockets.get(&key).map(|socket| Room::from(socket.id.as_str()));
        let mut selector = Selector {
            rooms: target.to.iter().map(|room| Room::from(&**room)).collect(),
            except: target.except.iter().map(|room| Room::from(&**room)).collect(),
        };
        if target.from == "socket" {
            selector.except.extend(own);
        }
        self.registry_of(key).map(|registry| registry.select(&selector)).unwrap_or_default()
    }

    /// A broadcast: encoded once, however many it is for.
    fn send_to(&mut self, key: Key, target: &Target, args: Variadic<Value>, now: Instant) {
        let recipients = self.select(key, target);
        let Some(namespace) = self.sockets.get(&key).and_then(|socket| self.namespaces.get(socket.namespace))
        else {
            return;
        };
        let Ok(encoded) = self.codec.event(&namespace.nsp, None, "news", &args) else { return };
        let delivery = if target.volatile { Delivery::Volatile } else { Delivery::Reliable };
        for socket in recipients.iter().filter_map(|recipient| self.sockets.get(recipient)) {
            if let Some(peer) = self.clients.peer(&socket.session)
                && peer.send(socket.slot, &encoded, delivery).is_err()
            {
                // It must not go on with a gap that it does not know of.
                peer.give_up(now);
            }
        }
    }

    fn ask_all(
        &mut self,
        key: Key,
        ack: Option<AckId>,
        target: &Target,
        args: Variadic<Value>,
        now: Instant,
    ) {
        let recipients = self.select(key, target);
        let Some(namespace) =
            self.sockets.get(&key).and_then(|socket| self.namespaces.get_mut(socket.namespace))
        else {
            return;
        };
        let id = namespace.next_ack();
        let Ok(encoded) = self.codec.event(&namespace.nsp, Some(id), "question", &args) else { return };
        self.next += 1;
        let number = self.next;
        let mut collection =
            Collection { for_whom: key, ack, pending: 0, answers: Vec::new(), is_complete: true };
        let deadline = now + Duration::from_millis(target.timeout);
        for socket in recipients.iter().filter_map(|recipient| self.sockets.get(recipient)) {
            let waiter = Waiter::Collection(number);
            let asked = self.clients.peer(&socket.session).is_some_and(|peer| {
                peer.send_with_ack(socket.slot, &encoded, id, waiter, Some(deadline)).is_ok()
            });
            collection.pending += usize::from(asked);
            collection.is_complete &= asked;
        }
        self.collections.insert(number, collection);
        self.finish_collection(number);
    }

    fn finish_collection(&mut self, number: u64) {
        if self.collections.get(&number).is_none_or(|collection| collection.pending > 0) {
            return;
        }
        if let Some(Collection { for_whom, ack, answers, is_complete, .. }) = self.collections.remove(&number)
        {
            let error = if is_complete { None } else { Some(AckError::TimedOut.to_string()) };
            self.answer(for_whom, ack, &(error, answers));
        }
    }

    fn disconnect(&mut self, key: Key, close: bool, now: Instant) {
        let Some(socket) = self.sockets.get(&key) else { return };
        let Some(peer) = self.clients.peer(&socket.session) else { return };
        if close {
            peer.disconnect(now);
        } else {
            peer.leave(socket.slot, now);
        }
    }

    fn whoami(&mut self, key: Key) -> serde_json::Value {
        let Some(socket) = self.sockets.get(&key) else { return serde_json::Value::Null };
        let Some(handshake) = self.clients.handshake(&socket.session) else { return serde_json::Value::Null };
        let transport = self.clients.peer(&socket.session).and_then(|peer| peer.transport());
        let query = socketio_core::engine::http::Query::of_target(&handshake.url);
        let query: serde_json::Map<_, _> =
            query.pairs().map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect();
        let headers: serde_json::Map<_, _> = handshake
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into()))
            .collect();
        json!({
            "id": socket.id.as_str(),
            "transport": transport.map(|transport| transport.name()),
            "recovered": false,
            "data": socket.data,
            "handshake": {
                "xdomain": headers.contains_key("origin"),
                "headers": headers,
                "query": query,
                "auth": socket.auth.decode::<serde_json::Value>().unwrap_or_default(),
                "address": handshake.address.to_string(),
                "secure": false,
                "issued": handshake.issued.as_millis() as u64,
                "url": handshake.url,
                "time": httpdate::fmt_http_date(UNIX_EPOCH + handshake.issued),
            },
        })
    }
}

impl Namespace {
    /// Acknowledgement ids count per namespace, as in the reference.
    const fn next_ack(&mut self) -> AckId {
        let id = AckId(self.next_ack);
        self.next_ack += 1;
        id
    }
}

/// How long the middleware of `/slow` takes.
const SLOW: Duration = Duration::from_millis(200);
