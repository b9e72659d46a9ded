//! Several servers that act as one, each case on tokio, on async-std and in simulation.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socketio_core::cluster::{Destination, Envelope, NodeId};
use socketio_core::socket::Nsp;
use socketio_driver::runtime::{BoxFuture, Runtime};
use socketio_driver::{
    Ack, AckError, Args, ArgsError, Bus, Bytes, Codec, EncodeError, IncompleteReason, LocalBus, Membership,
    RemoteSocket, ServerBuilder, Shortfall, Socket, Subscriber, Value,
};
use socketio_tests::client::Client;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage, never};
use socketio_tokio::Tokio;

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(20);

/// Servers on one bus.
struct Cluster {
    stages: Vec<Stage>,
    bus: LocalBus,
}

impl Cluster {
    async fn new(rt: &Arc<dyn Runtime>, count: usize) -> Self {
        Self::with(rt, count, LocalBus::new()).await
    }

    async fn with(rt: &Arc<dyn Runtime>, count: usize, bus: LocalBus) -> Self {
        let mut stages = Vec::new();
        for _ in 0..count {
            stages.push(Stage::with(Arc::clone(rt), |builder| builder.bus(bus.clone())).await);
        }
        Self { stages, bus }
    }

    /// Both ways in which nodes know of each other.
    async fn both(rt: &Arc<dyn Runtime>, count: usize) -> [Self; 2] {
        let counted = LocalBus::with_membership(Membership::Counted);
        [Self::new(rt, count).await, Self::with(rt, count, counted).await]
    }

    /// A client of each server, and its socket.
    async fn clients(&self) -> (Vec<Client>, Vec<Socket>) {
        let (mut clients, mut sockets) = (Vec::new(), Vec::new());
        for stage in &self.stages {
            clients.push(stage.joined().await);
            sockets.push(stage.server.sockets().remove(0));
        }
        (clients, sockets)
    }

    /// Closes every server, and waits until nothing is left of it. The clients go first.
    async fn close<T>(self, clients: T) {
        drop(clients);
        for stage in &self.stages {
            stage.server.close();
        }
        for stage in &self.stages {
            stage.until("no task", || stage.tasks() == 0).await;
            assert_eq!(stage.server.clients_count(), 0);
        }
        assert_eq!(self.bus.nodes(), 0);
    }
}

/// Each client gets exactly these messages: a last one to all shows that no more came.
async fn expect_each(cluster: &Cluster, clients: &mut [Client], expected: &[&[&str]]) {
    cluster.stages[0].server.emit("end", ()).unwrap();
    for (number, (client, expected)) in clients.iter_mut().zip(expected).enumerate() {
        for name in *expected {
            assert_eq!(client.packet().await, format!(r#"2["{name}"]"#), "client {number}");
        }
        assert_eq!(client.packet().await, r#"2["end"]"#, "client {number}");
    }
}

fn ids(sockets: &[RemoteSocket]) -> Vec<&str> {
    sockets.iter().map(|socket| socket.id().as_str()).collect()
}

async fn a_broadcast_reaches_the_clients_of_every_server(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 3).await {
        let (mut clients, sockets) = cluster.clients().await;
        let io = &cluster.stages[1].server;
        sockets[0].join(["red", "blue"]);
        sockets[1].join("red");
        sockets[2].join("green");
        io.emit("all", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&["all"], &["all"], &["all"]]).await;
        io.to(["red", "blue"]).emit("red", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&["red"], &["red"], &[]]).await;
        io.to(["red", "green"]).except("blue").emit("some", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&[], &["some"], &["some"]]).await;
        io.to(sockets[2].id()).emit("private", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&[], &[], &["private"]]).await;
        sockets[0].broadcast().emit("others", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&[], &["others"], &["others"]]).await;
        io.local().emit("local", ()).unwrap();
        sockets[2].local().emit("nobody", ()).unwrap();
        io.to("red").local().emit("local", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&[], &["local", "local"], &[]]).await;
        sockets[0].emit("own", ()).unwrap();
        expect_each(&cluster, &mut clients, &[&["own"], &[], &[]]).await;
        cluster.close(clients).await;
    }
}

async fn what_one_server_sends_arrives_in_order(rt: Arc<dyn Runtime>) {
    let cluster = Cluster::new(&rt, 2).await;
    let (mut clients, _) = cluster.clients().await;
    for number in 0..200 {
        cluster.stages[0].server.emit("n", number).unwrap();
    }
    for client in &mut clients {
        for number in 0..200 {
            client.expect(&format!(r#"2["n",{number}]"#)).await;
        }
    }
    cluster.close(clients).await;
}

async fn arguments_travel_between_parsers(rt: Arc<dyn Runtime>) {
    let bus = LocalBus::new();
    let text = Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone())).await;
    let packed =
        Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone()).parser(Codec::Msgpack)).await;
    let mut reader = text.joined().await;
    let mut other = packed.websocket().await;
    other.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    other.attachment().await;

    let args = || ("name", Bytes::from_static(b"\x00\x01"), json!({ "n": 1 }));
    packed.server.emit("file", args()).unwrap();
    reader.expect(r#"51-["file","name",{"_placeholder":true,"num":0},{"n":1}]"#).await;
    assert_eq!(reader.attachment().await, [0, 1]);
    let own = other.attachment().await;
    text.server.emit("file", args()).unwrap();
    assert_eq!(other.attachment().await, own);
    Cluster { stages: vec![text, packed], bus }.close((reader, other)).await;
}

async fn acknowledgements_of_all_servers_come_together(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 3).await {
        let (mut clients, _) = cluster.clients().await;
        let io = &cluster.stages[0].server;
        let sent = io.timeout(LONG).emit_with_ack::<u32, _>("ask", "x").unwrap();
        for (number, client) in clients.iter_mut().enumerate().rev() {
            client.expect(r#"20["ask","x"]"#).await;
            client.send(&format!(r#"30[{number},"more"]"#)).await;
        }
        let mut answers = sent.await.unwrap();
        answers.sort_unstable();
        assert_eq!(answers, [0, 1, 2]);
        // Nobody is no reason to wait.
        let none: Vec<u32> = io.to("nobody").timeout(LONG).emit_with_ack("ask", ()).unwrap().await.unwrap();
        assert!(none.is_empty());
        // This server alone.
        let sent = io.local().timeout(LONG).emit_with_ack::<u32, _>("here", ()).unwrap();
        clients[0].expect(r#"22["here"]"#).await;
        clients[0].send("32[7]").await;
        assert_eq!(sent.await.unwrap(), [7]);
        cluster.close(clients).await;
    }
}

async fn a_timeout_leaves_the_acknowledgements_that_came(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 2).await {
        let (mut clients, _) = cluster.clients().await;
        let sent = cluster.stages[0].server.timeout(SHORT).emit_with_ack::<u32, _>("ask", ()).unwrap();
        clients[1].expect(r#"20["ask"]"#).await;
        clients[1].send("30[1]").await;
        let error = sent.await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.responses), ("operation has timed out", vec![1]));
        // The late one goes nowhere.
        clients[0].expect(r#"20["ask"]"#).await;
        clients[0].send("30[0]").await;
        cluster.close(clients).await;
    }
}

async fn sockets_of_all_servers_are_found(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 3).await {
        let (clients, sockets) = cluster.clients().await;
        sockets[0].join("room");
        sockets[2].join(["room", "other"]);
        sockets[2].set_data(json!({ "name": "carol", "tags": [1, null] })).unwrap();
        let io = &cluster.stages[1].server;
        let all = io.fetch_sockets().await.unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].id(), sockets[1].id(), "the own ones come first");
        let found = io.to("room").fetch_sockets().await.unwrap();
        let expected = [sockets[0].id().as_str(), sockets[2].id().as_str()];
        assert_eq!(ids(&found), expected);
        let carol = &found[1];
        let rooms: Vec<_> = carol.rooms().iter().map(|room| &**room).collect();
        assert_eq!(rooms, [sockets[2].id().as_str(), "room", "other"]);
        assert_eq!(carol.data::<serde_json::Value>().unwrap(), json!({ "name": "carol", "tags": [1, null] }));
        assert_eq!(found[0].data::<serde_json::Value>().unwrap(), json!({}));
        assert!(matches!(carol.data::<Vec<u8>>(), Err(ArgsError::Invalid { .. })));
        let (there, here) = (carol.handshake(), sockets[2].handshake());
        assert_eq!((there.url(), there.time()), (here.url(), here.time()));
        assert_eq!(there.query("EIO").as_deref(), Some("4"));
        assert_eq!(there.header("host"), here.header("host"));
        assert_eq!(there.auth::<serde_json::Value>().unwrap(), json!({}));
        assert_eq!(ids(&io.local().fetch_sockets().await.unwrap()), [sockets[1].id().as_str()]);
        cluster.close(clients).await;
    }
}

async fn a_socket_is_reached_wherever_it_is(rt: Arc<dyn Runtime>) {
    let cluster = Cluster::new(&rt, 2).await;
    let (mut clients, sockets) = cluster.clients().await;
    let (io, there) = (&cluster.stages[0].server, &cluster.stages[1]);
    let remote = io.to(sockets[1].id()).fetch_sockets().await.unwrap().remove(0);
    remote.emit("hello", (1, Bytes::from_static(b"b"))).unwrap();
    clients[1].expect(r#"51-["hello",1,{"_placeholder":true,"num":0}]"#).await;
    clients[1].attachment().await;
    remote.join(["a", "b"]);
    remote.leave("a");
    assert_eq!(there.server.rooms().iter().map(|room| &**room).collect::<Vec<_>>(), ["b"]);

    let answered = remote.emit_with_ack::<String, _>("ask", (), LONG);
    let client = async {
        clients[1].expect(r#"20["ask"]"#).await;
        clients[1].send(r#"30["yes","more"]"#).await;
    };
    let (answer, ()) = futures_join(answered, client).await;
    assert_eq!(answer.unwrap(), "yes");
    let late = remote.emit_with_ack::<u32, _>("ask", (), SHORT).await;
    assert!(matches!(late, Err(AckError::TimedOut)), "{late:?}");
    clients[1].expect(r#"21["ask"]"#).await;
    let refused = remote.emit_with_ack::<u32, _>("disconnect", (), SHORT).await;
    assert!(matches!(refused, Err(AckError::Emit(_))), "{refused:?}");

    remote.disconnect();
    clients[1].expect("1").await;
    there.until("gone", || there.server.sockets_count() == 0).await;
    let gone = remote.emit_with_ack::<u32, _>("ask", (), LONG).await;
    assert!(matches!(gone, Err(AckError::Disconnected)), "{gone:?}");
    cluster.close(clients).await;
}

async fn an_operator_moves_and_disconnects_sockets_everywhere(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 2).await {
        let (mut clients, sockets) = cluster.clients().await;
        let io = &cluster.stages[0].server;
        io.everyone().sockets_join(["x", "y"]);
        io.local().sockets_join("z");
        io.to(sockets[1].id()).sockets_leave("x");
        io.local().sockets_leave("y");
        let rooms =
            |socket: &Socket| socket.rooms().iter().skip(1).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            (rooms(&sockets[0]), rooms(&sockets[1])),
            (vec!["x".into(), "z".into()], vec!["y".into()])
        );
        io.to("y").disconnect_sockets();
        clients[1].expect("1").await;
        cluster.stages[1].until("gone", || cluster.stages[1].server.sockets_count() == 0).await;
        assert!(sockets[0].is_connected());
        clients[1].connect("/").await;
        cluster.stages[1].server.everyone().disconnect_sockets_all();
        for client in &mut clients {
            client.expect("1").await;
            client.expect_end().await;
        }
        cluster.close(clients).await;
    }
}

async fn servers_send_events_to_each_other(rt: Arc<dyn Runtime>) {
    for cluster in Cluster::both(&rt, 3).await {
        let log = Log::default();
        for (number, stage) in cluster.stages.iter().enumerate() {
            let seen = log.clone();
            stage.server.on_server_side("say", move |(text, bytes): (String, Option<Bytes>)| {
                let seen = seen.clone();
                async move { seen.add(format_args!("{number} {text} {}", bytes.unwrap_or_default().len())) }
            });
            stage.server.on_server_side("sum", move |numbers: Vec<usize>| async move {
                Ack((numbers.iter().sum::<usize>() + number, "more"))
            });
            stage.server.on_server_side("check", move |even: bool| async move {
                if even == (number % 2 == 0) { Ok(number) } else { Err("no") }
            });
        }
        let io = &cluster.stages[0].server;
        io.server_side_emit("say", ("a", Bytes::from_static(b"123"))).unwrap();
        io.server_side_emit("say", "b").unwrap();
        io.server_side_emit("unheard", ()).unwrap();
        io.server_side_emit("say", 7).unwrap();
        cluster.stages[0].until("all heard", || log.len() == 4).await;
        let mut lines = log.lines();
        lines.sort_by_key(|line| line.as_bytes()[0]);
        assert_eq!(lines, ["1 a 3", "1 b 0", "2 a 3", "2 b 0"]);

        let mut sums: Vec<usize> = io.server_side_emit_with_ack("sum", vec![10, 20]).unwrap().await.unwrap();
        sums.sort_unstable();
        assert_eq!(sums, [31, 32]);
        let mut checks: Vec<Value> = io.server_side_emit_with_ack("check", true).unwrap().await.unwrap();
        checks.sort_by_key(|value| matches!(value, Value::String(_)));
        assert_eq!(checks, [Value::Number(2.into()), Value::String("no".into())]);
        let wrong = io.server_side_emit_with_ack::<String, _>("sum", vec![1]).unwrap().await.unwrap_err();
        assert!(matches!(wrong.reason, IncompleteReason::Decode(_)) && wrong.answers.is_empty());
        for name in ["connect", "connection", "new_namespace"] {
            assert_eq!(io.server_side_emit(name, ()), Err(EncodeError::ReservedEvent));
        }
        cluster.close(()).await;
    }
}

async fn handlers_of_servers_start_in_order_and_can_be_taken_off(rt: Arc<dyn Runtime>) {
    let cluster = Cluster::new(&rt, 2).await;
    let (log, io) = (Log::default(), &cluster.stages[0].server);
    let there = &cluster.stages[1];
    let (first, clock) = (log.clone(), Arc::clone(&there.rt));
    let slow = there.server.on_server_side("n", move |number: u32| {
        let (log, clock) = (first.clone(), Arc::clone(&clock));
        async move {
            log.add(format_args!("start {number}"));
            socketio_tests::io::sleep(&*clock, SHORT).await;
            log.add(format_args!("end {number}"));
        }
    });
    there.server.on_server_side("panics", |(): ()| async {
        if true {
            panic!("on purpose");
        }
    });
    io.server_side_emit("panics", ()).unwrap();
    for number in 0..3 {
        io.server_side_emit("n", number).unwrap();
    }
    log.expect(there, &["start 0", "start 1", "start 2", "end 0", "end 1", "end 2"]).await;
    assert!(there.server.off(slow) && !there.server.off(slow));
    io.server_side_emit("n", 9).unwrap();
    there.wait(SHORT).await;
    assert!(log.is_empty());
    cluster.close(()).await;
}

async fn a_server_alone_gets_an_answer_at_once(rt: Arc<dyn Runtime>) {
    let alone = Stage::new(Arc::clone(&rt)).await;
    let cluster = Cluster::new(&rt, 1).await;
    for stage in [&alone, &cluster.stages[0]] {
        let client = stage.joined().await;
        let io = &stage.server;
        io.server_side_emit("x", ()).unwrap();
        let none: Vec<u32> = io.server_side_emit_with_ack("x", ()).unwrap().await.unwrap();
        assert!(none.is_empty());
        let found = io.fetch_sockets().await.unwrap();
        assert_eq!(ids(&found), [io.sockets()[0].id().as_str()]);
        assert_eq!(found[0].handshake().url(), io.sockets()[0].handshake().url());
        client.quit().await;
    }
    alone.is_empty_after(()).await;
    cluster.close(()).await;
}

async fn a_closed_server_is_not_waited_for(rt: Arc<dyn Runtime>) {
    let mut cluster = Cluster::new(&rt, 3).await;
    let (mut clients, _) = cluster.clients().await;
    cluster.stages[1].server.on_server_side("never", |(): ()| never());
    let io = &cluster.stages[0].server;
    let asked = io.server_side_emit_with_ack::<u32, _>("never", ()).unwrap();
    let sent = io.timeout(LONG).emit_with_ack::<u32, _>("ask", ()).unwrap();
    clients[0].expect(r#"20["ask"]"#).await;
    clients[0].send("30[0]").await;
    clients[1].expect(r#"20["ask"]"#).await;
    cluster.stages[1].server.close();
    cluster.stages[2].server.close();
    let start = rt.now();
    assert!(asked.await.unwrap().is_empty());
    assert_eq!(sent.await.unwrap_err().responses, [0]);
    assert_eq!(io.fetch_sockets().await.unwrap().len(), 1);
    assert!(rt.now().saturating_since(start) < Duration::from_secs(4));
    assert_eq!(cluster.bus.nodes(), 1);
    // And the other way round: a server that closes waits for nobody.
    let closed = &cluster.stages[1].server;
    let error = closed.fetch_sockets().await.unwrap_err();
    assert_eq!(error.to_string(), "the server is closed");
    closed.emit("x", ()).unwrap();
    // The handler that never ends goes with its server's task.
    let hanging = cluster.stages.remove(1);
    drop(hanging);
    cluster.close(clients).await;
}

async fn a_dropped_server_leaves_the_bus(rt: Arc<dyn Runtime>) {
    let bus = LocalBus::new();
    let here = Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone())).await;
    let build = || ServerBuilder::<Tokio>::new().bus(bus.clone()).build_on(Arc::clone(&rt));
    let there = build();
    let kept = there.of("/kept");
    assert_eq!(bus.nodes(), 3);
    drop(there);
    assert_eq!(bus.nodes(), 1);
    kept.emit("x", ()).unwrap();
    assert!(here.server.fetch_sockets().await.unwrap().is_empty());
    Cluster { stages: vec![here], bus }.close(()).await;
}

async fn namespaces_are_joined_by_name(rt: Arc<dyn Runtime>) {
    let bus = LocalBus::new();
    let options =
        |builder: ServerBuilder<Tokio>| builder.bus(bus.clone()).cleanup_empty_child_namespaces(true);
    let mut stages = Vec::new();
    for _ in 0..2 {
        let stage = Stage::with(Arc::clone(&rt), options).await;
        stage.server.of_dynamic(|name, _| async move { name.starts_with("/room-") });
        stages.push(stage);
    }
    assert_eq!(bus.nodes(), 2, "parents are on no bus");
    let mut clients = Vec::new();
    for stage in &stages {
        let mut client = stage.websocket().await;
        client.connect("/room-1").await;
        clients.push(client);
    }
    let mut elsewhere = stages[1].websocket().await;
    elsewhere.connect("/room-2").await;
    assert_eq!(bus.nodes(), 5);
    stages[0].server.of("/room-1").emit("x", ()).unwrap();
    for client in &mut clients {
        client.expect(r#"2/room-1,["x"]"#).await;
    }
    stages[0].server.of("/room-2").emit("y", ()).unwrap();
    elsewhere.expect(r#"2/room-2,["y"]"#).await;
    assert_eq!(stages[0].server.of("/room-2").fetch_sockets().await.unwrap().len(), 1);
    for client in clients.into_iter().chain([elsewhere]) {
        client.quit().await;
    }
    // What was asked for by name stays; the children that only clients asked for go.
    stages[0].until("cleaned up", || bus.nodes() == 3).await;
    Cluster { stages, bus }.close(()).await;
}

/// A bus that can be made to lose everything one node says, and to forget how to count.
#[derive(Debug)]
struct Faulty {
    inner: LocalBus,
    mute: Mutex<Vec<NodeId>>,
    seen: Mutex<Vec<NodeId>>,
    uncountable: AtomicBool,
}

#[derive(Clone, Debug)]
struct FaultyBus(Arc<Faulty>);

impl FaultyBus {
    fn new(membership: Membership) -> Self {
        Self(Arc::new(Faulty {
            inner: LocalBus::with_membership(membership),
            mute: Mutex::default(),
            seen: Mutex::default(),
            uncountable: AtomicBool::new(false),
        }))
    }

    /// Loses what the node says that subscribed in this place.
    fn mute(&self, place: usize) {
        self.0.mute.lock().unwrap().push(self.0.seen.lock().unwrap()[place].clone());
    }
}

impl Bus for FaultyBus {
    fn membership(&self) -> Membership {
        self.0.inner.membership()
    }

    fn subscribe(&self, subscriber: Subscriber) {
        self.0.seen.lock().unwrap().push(subscriber.uid().clone());
        self.0.inner.subscribe(subscriber);
    }

    fn unsubscribe(&self, nsp: &Nsp, uid: &NodeId) {
        self.0.inner.unsubscribe(nsp, uid);
    }

    fn publish(&self, to: Destination, envelope: Envelope) {
        let is_mute = self.0.mute.lock().unwrap().contains(&envelope.uid);
        if !is_mute {
            self.0.inner.publish(to, envelope);
        }
    }

    fn count_servers(&self, nsp: &Nsp) -> BoxFuture<io::Result<usize>> {
        if self.0.uncountable.load(Ordering::Relaxed) {
            return Box::pin(async { Err(io::Error::other("lost count")) });
        }
        self.0.inner.count_servers(nsp)
    }
}

async fn a_server_that_says_nothing_costs_the_timeout(rt: Arc<dyn Runtime>) {
    for membership in [Membership::Counted, Membership::HEARTBEAT] {
        let bus = FaultyBus::new(membership);
        let mut stages = Vec::new();
        for _ in 0..3 {
            stages.push(Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone())).await);
        }
        let cluster = Cluster { stages, bus: bus.0.inner.clone() };
        let (clients, _) = cluster.clients().await;
        bus.mute(2);
        let error = cluster.stages[0].server.timeout(SHORT).fetch_sockets().await.unwrap_err();
        assert_eq!(error.answers.len(), 2);
        let expected = match membership {
            Membership::Counted => Shortfall::MissingAnswers { received: 1, expected: 2 },
            Membership::Heartbeat { .. } => Shortfall::MissingNodes { missing: 1 },
        };
        assert_eq!(error.reason, IncompleteReason::Shortfall(expected));
        cluster.close(clients).await;
    }
}

async fn a_bus_that_cannot_count_costs_the_timeout(rt: Arc<dyn Runtime>) {
    let bus = FaultyBus::new(Membership::Counted);
    let mut stages = Vec::new();
    for _ in 0..2 {
        stages.push(Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone())).await);
    }
    let cluster = Cluster { stages, bus: bus.0.inner.clone() };
    let (clients, _) = cluster.clients().await;
    bus.0.uncountable.store(true, Ordering::Relaxed);
    let error = cluster.stages[0].server.timeout(SHORT).fetch_sockets().await.unwrap_err();
    assert_eq!(error.reason, IncompleteReason::Shortfall(Shortfall::TimedOut));
    assert_eq!(error.answers.len(), 2);
    cluster.close(clients).await;
}

async fn a_server_hears_that_another_is_gone_by_its_silence(rt: Arc<dyn Runtime>) {
    let (interval, timeout) = (Duration::from_millis(60), Duration::from_millis(300));
    let bus = FaultyBus::new(Membership::Heartbeat { interval, timeout });
    let mut stages = Vec::new();
    for _ in 0..3 {
        stages.push(Stage::with(Arc::clone(&rt), |builder| builder.bus(bus.clone())).await);
    }
    let cluster = Cluster { stages, bus: bus.0.inner.clone() };
    let (clients, _) = cluster.clients().await;
    // As long as they beat, everybody is there.
    cluster.stages[0].wait(timeout * 2).await;
    assert_eq!(cluster.stages[0].server.fetch_sockets().await.unwrap().len(), 3);
    bus.mute(2);
    let found = cluster.stages[0].server.timeout(LONG).fetch_sockets().await.unwrap();
    assert_eq!(found.len(), 2);
    cluster.close(clients).await;
}

async fn a_request_that_is_dropped_is_forgotten(rt: Arc<dyn Runtime>) {
    let cluster = Cluster::new(&rt, 2).await;
    let (mut clients, _) = cluster.clients().await;
    drop(cluster.stages[0].server.timeout(LONG).emit_with_ack::<Args, _>("ask", ()).unwrap());
    for client in &mut clients {
        client.expect(r#"20["ask"]"#).await;
        client.send("30[1]").await;
    }
    expect_each(&cluster, &mut clients, &[&[], &[]]).await;
    cluster.close(clients).await;
}

async fn any_number_of_requests_at_once_all_end(rt: Arc<dyn Runtime>) {
    let cluster = Cluster::new(&rt, 3).await;
    let (clients, _) = cluster.clients().await;
    let log = Log::default();
    for stage in &cluster.stages {
        stage.server.on_server_side("double", |number: u32| async move { Ack(number * 2) });
    }
    for number in 0..60 {
        let (io, done) = (cluster.stages[number as usize % 3].server.clone(), log.clone());
        cluster.stages[0].rt.spawn(Box::pin(async move {
            assert_eq!(io.fetch_sockets().await.unwrap().len(), 3);
            let doubled: Vec<u32> = io.server_side_emit_with_ack("double", number).unwrap().await.unwrap();
            assert_eq!(doubled, [number * 2; 2]);
            let nobody = io.to("nobody").emit_with_ack::<u32, _>("x", ()).unwrap().await.unwrap();
            assert!(nobody.is_empty());
            io.emit("n", number).unwrap();
            io.everyone().sockets_join("room");
            done.add(number);
        }));
    }
    cluster.stages[0].until("all done", || log.len() == 60).await;
    assert_eq!(cluster.stages[1].server.to("room").fetch_sockets().await.unwrap().len(), 3);
    cluster.close(clients).await;
}

async fn only_so_many_server_side_events_are_handled_at_once(rt: Arc<dyn Runtime>) {
    const LIMIT: usize = 16_384;
    let cluster = Cluster::new(&rt, 2).await;
    let (log, io, there) = (Log::default(), &cluster.stages[0].server, &cluster.stages[1]);
    let (seen, open) = (log.clone(), Arc::new(AtomicBool::new(false)));
    let gate = Arc::clone(&open);
    there.server.on_server_side("wait", move |(): ()| {
        seen.add("");
        let gate = Arc::clone(&gate);
        std::future::poll_fn(move |_| match gate.load(Ordering::Relaxed) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
    });
    for _ in 0..LIMIT + 1 {
        io.server_side_emit("wait", ()).unwrap();
    }
    there.until("as many as may be", || log.len() == LIMIT).await;
    io.server_side_emit("wait", ()).unwrap();
    there.wait(SHORT).await;
    assert_eq!(log.len(), LIMIT);
    // Nothing but the server's end frees handlers that are never woken.
    open.store(true, Ordering::Relaxed);
    drop((log, cluster));
}

/// Both outputs.
async fn futures_join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut done_a, mut done_b) = (None, None);
    std::future::poll_fn(move |cx| {
        use std::task::Poll;
        if done_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            done_a = Some(output);
        }
        if done_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            done_b = Some(output);
        }
        match (done_a.take(), done_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (done_a, done_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

on_every_runtime!(
    a_broadcast_reaches_the_clients_of_every_server,
    a_bus_that_cannot_count_costs_the_timeout,
    a_closed_server_is_not_waited_for,
    a_dropped_server_leaves_the_bus,
    a_request_that_is_dropped_is_forgotten,
    a_server_alone_gets_an_answer_at_once,
    a_server_hears_that_another_is_gone_by_its_silence,
    a_server_that_says_nothing_costs_the_timeout,
    a_socket_is_reached_wherever_it_is,
    a_timeout_leaves_the_acknowledgements_that_came,
    acknowledgements_of_all_servers_come_together,
    any_number_of_requests_at_once_all_end,
    an_operator_moves_and_disconnects_sockets_everywhere,
    arguments_travel_between_parsers,
    handlers_of_servers_start_in_order_and_can_be_taken_off,
    namespaces_are_joined_by_name,
    only_so_many_server_side_events_are_handled_at_once,
    servers_send_events_to_each_other,
    sockets_of_all_servers_are_found,
    what_one_server_sends_arrives_in_order,
);
