//! Rooms and broadcasts: who gets a message, and that everybody gets it once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Bytes, RoomEvent, Socket};
use socketio_tests::client::{Client, How};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

/// Three clients, each by another way, and their sockets.
async fn three(stage: &Stage) -> (Vec<Client>, Vec<Socket>) {
    let mut clients = Vec::new();
    for how in How::ALL {
        clients.push(stage.joined_by(how).await);
    }
    (clients, stage.server.sockets())
}

/// Each client gets exactly these messages of one broadcast after the other: a last one to all shows that no more came.
async fn expect_each(stage: &Stage, clients: &mut [Client], expected: [&[&str]; 3]) {
    stage.server.emit("end", ()).unwrap();
    for (number, (client, expected)) in clients.iter_mut().zip(expected).enumerate() {
        for name in expected {
            assert_eq!(client.packet().await, format!(r#"2["{name}"]"#), "client {number}");
        }
        assert_eq!(client.packet().await, r#"2["end"]"#, "client {number}");
    }
}

async fn a_message_reaches_whom_it_is_for_once(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    sockets[0].join(["red", "blue"]);
    sockets[1].join("red");
    sockets[2].join("green");
    let io = &stage.server;
    io.emit("all", ()).unwrap();
    expect_each(&stage, &mut clients, [&["all"], &["all"], &["all"]]).await;
    io.to("red").emit("red", ()).unwrap();
    expect_each(&stage, &mut clients, [&["red"], &["red"], &[]]).await;
    io.to(["red", "blue", "red"]).to("green").emit("union", ()).unwrap();
    expect_each(&stage, &mut clients, [&["union"], &["union"], &["union"]]).await;
    io.to(["red", "green"]).except("blue").emit("some", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &["some"], &["some"]]).await;
    io.except(["red", "nobody"]).emit("others", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &[], &["others"]]).await;
    io.to("nobody").emit("none", ()).unwrap();
    io.to(sockets[2].id()).emit("private", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &[], &["private"]]).await;
    stage.is_empty_after((clients, sockets)).await;
}

/// Counts how often it is written.
struct Counted(AtomicUsize);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.fetch_add(1, Ordering::SeqCst) as u64)
    }
}

async fn a_broadcast_is_encoded_once_for_all(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    let counted = Counted(AtomicUsize::new(0));
    stage.server.emit("count", &counted).unwrap();
    for client in &mut clients {
        client.expect(r#"2["count",0]"#).await;
    }
    let acks = stage.server.timeout(Duration::from_secs(5)).emit_with_ack::<u32, _>("ask", &counted).unwrap();
    for client in &mut clients {
        let packet = client.packet().await;
        assert!(packet.ends_with(r#"["ask",1]"#), "{packet}");
        let id = packet.trim_start_matches('2').split('[').next().unwrap();
        client.send(&format!("3{id}[1]")).await;
    }
    assert_eq!(acks.await.unwrap(), [1, 1, 1]);
    assert_eq!(counted.0.load(Ordering::SeqCst), 2);
    stage.is_empty_after((clients, sockets)).await;
}

async fn what_happens_to_rooms_is_told_in_order(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let mut names = Vec::new();
    let (seen, server) = (log.clone(), stage.server.clone());
    let listener = stage.server.on_room_event(move |event| {
        seen.add(format!("{event:?}"));
        // What a handler does comes after what it is told of.
        if matches!(event, RoomEvent::Create(room) if **room == *"red") {
            server.sockets()[0].join("seen red");
        }
    });
    let mut clients = Vec::new();
    for how in [How::Websocket, How::Polling] {
        let mut c = stage.client(how).await;
        names.push(c.connect("/").await);
        clients.push(c);
    }
    stage.until("both are in", || stage.server.sockets_count() == 2).await;
    let (a, b) = (&names[0], &names[1]);
    let own = |id: &str| [format!("Create({id:?})"), format!("Join({id:?}, {id:?})")];
    let joined = [own(a), own(b)].concat();
    log.expect(&stage, &joined.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let sockets = stage.server.sockets();
    let by_id = |id: &str| sockets.iter().find(|socket| socket.id().as_str() == id).unwrap();
    by_id(a).join(["red", "red"]);
    by_id(b).join("red");
    by_id(a).leave(["red", "blue"]);
    let expected = [
        "Create(\"red\")".to_owned(),
        format!("Join(\"red\", {a:?})"),
        "Create(\"seen red\")".to_owned(),
        format!("Join(\"seen red\", {a:?})"),
        format!("Join(\"red\", {b:?})"),
        format!("Leave(\"red\", {a:?})"),
    ];
    log.expect(&stage, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // A room ends with its last member, however that goes.
    clients.pop().unwrap().quit().await;
    let expected = [
        format!("Leave({b:?}, {b:?})"),
        format!("Delete({b:?})"),
        format!("Leave(\"red\", {b:?})"),
        "Delete(\"red\")".to_owned(),
    ];
    log.expect(&stage, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(stage.server.off(listener));
    by_id(a).join("unheard");
    stage.is_empty_after((clients, sockets.clone())).await;
    assert!(log.is_empty());
}

async fn a_broadcast_of_a_socket_leaves_it_out(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    sockets[0].join("room");
    sockets[1].join("room");
    sockets[0].broadcast().emit("broadcast", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &["broadcast"], &["broadcast"]]).await;
    sockets[0].to("room").emit("to", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &["to"], &[]]).await;
    sockets[2].to("room").emit("from outside", ()).unwrap();
    expect_each(&stage, &mut clients, [&["from outside"], &["from outside"], &[]]).await;
    sockets[0].except(sockets[1].id()).emit("except", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &[], &["except"]]).await;
    sockets[0].to(sockets[0].id()).emit("self", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &[], &[]]).await;
    stage.is_empty_after((clients, sockets)).await;
}

async fn a_socket_knows_its_rooms_and_leaves_them(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut c = stage.joined().await;
    let socket = stage.server.sockets().remove(0);
    let id = socket.id().as_str().to_owned();
    socket.join("b");
    socket.join(vec!["a".to_owned(), "b".to_owned()]);
    let names = |rooms: Vec<socketio_driver::Room>| rooms.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(socket.rooms()), [&*id, "b", "a"]);
    assert_eq!(names(stage.server.rooms()), ["a", "b"]);
    socket.leave("b");
    socket.leave("never joined");
    assert_eq!(names(stage.server.rooms()), ["a"]);
    stage.server.to("b").emit("x", ()).unwrap();
    stage.server.to("a").emit("y", ()).unwrap();
    c.expect(r#"2["y"]"#).await;
    c.send("1").await;
    stage.until("gone", || !socket.is_connected()).await;
    assert_eq!(names(socket.rooms()), [""; 0]);
    socket.join("c");
    assert_eq!(names(stage.server.rooms()), [""; 0], "joining after leaving does nothing");
    stage.is_empty_after((c, socket)).await;
}

async fn an_operator_moves_and_disconnects_many(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    let io = &stage.server;
    io.everyone().sockets_join(["x", "y"]);
    io.to(sockets[0].id()).sockets_leave("x");
    assert_eq!(io.to("x").sockets(), sockets[1..]);
    io.to("x").emit("x", ()).unwrap();
    expect_each(&stage, &mut clients, [&[], &["x"], &["x"]]).await;
    io.to("x").disconnect_sockets();
    for client in &mut clients[1..] {
        client.expect("1").await;
    }
    stage.until("one left", || io.sockets_count() == 1).await;
    assert_eq!(io.sockets(), sockets[..1]);
    stage.is_empty_after((clients, sockets)).await;
}

/// What an operator for everybody does can be said shorter, as in the reference.
async fn a_namespace_moves_disconnects_and_messages_everybody(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    let io = &stage.server;
    io.sockets_join(["x", "y"]);
    io.sockets_leave("y");
    assert_eq!((io.to("x").sockets(), io.to("y").sockets()), (sockets.clone(), Vec::new()));
    io.send(("all", 1)).unwrap();
    sockets[0].send("one").unwrap();
    for client in &mut clients {
        client.expect(r#"2["message","all",1]"#).await;
    }
    clients[0].expect(r#"2["message","one"]"#).await;
    let other = io.of("/other");
    clients[0].connect("/other").await;
    other.disconnect_sockets();
    clients[0].expect("1/other,").await;
    stage.until("it has left", || other.sockets_count() == 0).await;
    assert_eq!(io.sockets_count(), 3);
    io.disconnect_sockets_all();
    for client in &mut clients {
        client.expect("1").await;
        client.expect_end().await;
    }
    stage.is_empty_in_after(&["/other"], (clients, sockets)).await;
}

async fn attachments_are_broadcast_too(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut clients, sockets) = three(&stage).await;
    let log = Log::default();
    stage.server.emit("file", ("name", Bytes::from_static(b"\x00\x01"), json!({ "n": 1 }))).unwrap();
    for client in &mut clients {
        client.expect(r#"51-["file","name",{"_placeholder":true,"num":0},{"n":1}]"#).await;
        assert_eq!(client.attachment().await, [0, 1]);
        log.add("got it");
    }
    log.expect(&stage, &["got it"; 3]).await;
    stage.is_empty_after((clients, sockets)).await;
}

/// Everybody talks to everybody at the same time, while others come and go.
async fn in_a_crowd_everybody_hears_everybody_once_and_in_order(rt: Arc<dyn Runtime>) {
    const CLIENTS: u32 = 6;
    const MESSAGES: u32 = 40;

    let stage = Stage::new(rt).await;
    stage.server.on("say", |socket: Socket, (who, number): (u32, u32)| async move {
        socket.to(["room", "also"]).emit("said", (who, number)).unwrap();
    });
    let mut clients = Vec::new();
    for who in 0..CLIENTS {
        clients.push(stage.joined_by(How::ALL[who as usize % 3]).await);
    }
    stage.server.everyone().sockets_join(["room", "also"]);
    let talk = clients.into_iter().enumerate().map(|(who, mut client)| async move {
        let mut next = [0; CLIENTS as usize];
        let mut heard = 0;
        for number in 0..MESSAGES {
            client.emit("say", json!([who, number])).await;
            if number % 4 == 3 {
                heard += hear(&mut client, &mut next).await;
            }
        }
        while heard < (CLIENTS - 1) * MESSAGES {
            heard += hear(&mut client, &mut next).await;
        }
        assert_eq!(next[who], 0, "its own words");
        client
    });
    let passers_by = async {
        for how in How::ALL.into_iter().cycle().take(6) {
            let c = stage.joined_by(how).await;
            stage.server.sockets().last().unwrap().join("room");
            c.quit().await;
        }
    };
    let (clients, ()) = futures_util::join!(futures_util::future::join_all(talk), passers_by);
    stage.is_empty_after(clients).await;
}

/// Takes one message, which must be the next of who said it.
async fn hear(client: &mut Client, next: &mut [u32]) -> u32 {
    let packet = client.packet().await;
    let said: (String, u32, u32) = serde_json::from_str(&packet[1..]).unwrap();
    assert_eq!((said.0.as_str(), said.2), ("said", next[said.1 as usize]), "from {}", said.1);
    next[said.1 as usize] += 1;
    1
}

on_every_runtime!(
    what_happens_to_rooms_is_told_in_order,
    a_broadcast_is_encoded_once_for_all,
    a_broadcast_of_a_socket_leaves_it_out,
    a_message_reaches_whom_it_is_for_once,
    a_socket_knows_its_rooms_and_leaves_them,
    a_namespace_moves_disconnects_and_messages_everybody,
    an_operator_moves_and_disconnects_many,
    attachments_are_broadcast_too,
    in_a_crowd_everybody_hears_everybody_once_and_in_order,
);
