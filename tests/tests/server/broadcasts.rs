//! Broadcasts to clients that sleep: written for them without waking them, whole and in order whatever else they do.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::Socket;
use socketio_driver::runtime::Runtime;
use socketio_tests::client::{Client, How, event_packet};
use socketio_tests::on_every_runtime;
use socketio_tests::sim::Sim;
use socketio_tests::stage::{SETTLED, Stage};

/// In simulation, where every poll of a task of the server is counted.
#[test]
fn a_broadcast_wakes_nobody_whom_others_write_for() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let stage = Stage::new(rt).await;
        let mut clients = Vec::new();
        for _ in 0..10 {
            clients.push(stage.joined().await);
        }
        let tasks = stage.tasks();
        // Who is new sleeps without its websocket, too.
        for round in 0..3 {
            stage.wait(SETTLED).await;
            let before = stage.polls();
            stage.server.emit("round", round).unwrap();
            for client in &mut clients {
                client.expect(&format!(r#"2["round",{round}]"#)).await;
            }
            stage.wait(SETTLED).await;
            assert_eq!(stage.tasks(), tasks, "nobody is begun for a round");
            assert_eq!(stage.polls() - before, 7, "in round {round}");
        }
        // One that speaks is heard, and sleeps as before.
        stage.server.on("say", async |socket: Socket, word: String| {
            let _ = socket.emit("said", word);
        });
        clients[3].send(r#"2["say","a"]"#).await;
        clients[3].expect(r#"2["said","a"]"#).await;
        stage.server.emit("round", 3).unwrap();
        for client in &mut clients {
            client.expect(r#"2["round",3]"#).await;
        }
        stage.is_empty_after(clients).await;
    });
}

/// Everybody says things that everybody hears, and gets answers of its own between.
async fn what_many_broadcast_arrives_whole_and_in_order_of_each(rt: Arc<dyn Runtime>) {
    const SPEAKERS: usize = 6;
    const WORDS: usize = 40;
    let stage = Stage::new(rt).await;
    stage.server.on("say", |socket: Socket, (who, word): (usize, usize)| {
        socket.namespace().emit("heard", (who, word)).unwrap();
        socket.emit("done", word).unwrap();
        async {}
    });
    let mut clients = Vec::new();
    for _ in 0..SPEAKERS {
        clients.push(stage.joined().await);
    }
    for word in 0..WORDS {
        for (who, client) in clients.iter_mut().enumerate() {
            client.send(&event_packet("", "say", json!([who, word]))).await;
        }
        if word % 10 == 9 {
            stage.wait(Duration::from_millis(2)).await;
        }
    }
    for client in &mut clients {
        let mut next = [0; SPEAKERS];
        let mut done = 0;
        while next.iter().sum::<usize>() < SPEAKERS * WORDS || done < WORDS {
            let packet = client.packet().await;
            let (name, args): (String, serde_json::Value) = parse(&packet);
            if name == "done" {
                assert_eq!(args, json!([done]));
                done += 1;
            } else {
                let (who, word): (usize, usize) = serde_json::from_value(args).unwrap();
                assert_eq!(word, next[who], "of {who}: {packet}");
                next[who] += 1;
            }
        }
    }
    stage.is_empty_after(clients).await;
}

fn parse(packet: &str) -> (String, serde_json::Value) {
    let mut event: Vec<serde_json::Value> = serde_json::from_str(&packet[1..]).unwrap();
    let name = event.remove(0).as_str().unwrap().to_owned();
    (name, event.into())
}

/// What does not fit into its connection waits, and its pump takes over.
async fn a_client_that_reads_late_gets_all_of_it(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (mut late, mut early) = (stage.joined().await, stage.joined().await);
    let text = "x".repeat(20_000);
    for round in 0..40 {
        stage.server.emit("long", (round, &text)).unwrap();
        early.expect(&format!(r#"2["long",{round},"{text}"]"#)).await;
    }
    for round in 0..40 {
        late.expect(&format!(r#"2["long",{round},"{text}"]"#)).await;
    }
    stage.server.emit("after", ()).unwrap();
    late.expect(r#"2["after"]"#).await;
    early.expect(r#"2["after"]"#).await;
    stage.is_empty_after((late, early)).await;
}

/// Whoever others wrote for is found gone, told to go and closed like anybody else.
async fn those_who_sleep_go_like_others(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..4 {
        clients.push(stage.joined_by(How::Websocket).await);
    }
    for round in 0..3 {
        stage.wait(SETTLED).await;
        stage.server.emit("round", round).unwrap();
        for client in &mut clients {
            client.expect(&format!(r#"2["round",{round}]"#)).await;
        }
    }
    let (told, quits) = (clients.pop().unwrap(), clients.pop().unwrap());
    // What was said before is heard before.
    stage.server.emit("last", ()).unwrap();
    let sockets = stage.server.sockets();
    sockets.last().unwrap().disconnect_all();
    let mut told = told;
    told.expect(r#"2["last"]"#).await;
    told.expect("1").await;
    quits.quit().await;
    stage.until("two are left", || stage.server.clients_count() == 2).await;
    stage.server.emit("rest", ()).unwrap();
    for client in &mut clients {
        client.expect(r#"2["last"]"#).await;
        client.expect(r#"2["rest"]"#).await;
    }
    drop(sockets);
    stage.is_empty_after((clients, told)).await;
}

on_every_runtime!(
    a_client_that_reads_late_gets_all_of_it,
    those_who_sleep_go_like_others,
    what_many_broadcast_arrives_whole_and_in_order_of_each,
);
