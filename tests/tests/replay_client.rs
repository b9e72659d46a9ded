//! What is logged at trace level of our own clients happens again in a manager without any IO. In a process of its own:
//! whoever logs first decides what is kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_core::engine::client::Input;
use socketio_driver::client::{Client, Reconnection};
use socketio_driver::runtime::Runtime;
use socketio_driver::transcript::Mismatch;
use socketio_driver::transcript::client::{Command, Entry, Line, Out};
use socketio_driver::{
    Ack, AckError, Bytes, ClientBuilder, Codec, ConnectError, RecoveryConfig, Socket, Transport,
};
use socketio_tests::io::{sleep, timeout};
use socketio_tests::logs;
use socketio_tests::replay::{Fault, client_transcripts, replay};
use socketio_tests::sim::{Connection, Link, Net, Sim};
use socketio_tests::stage::{PATIENCE, Stage};
use socketio_tokio::Tokio;
use tracing::Level;

const SEEDS: u64 = 8;

#[test]
fn what_a_client_goes_through_replays() {
    logs::keep_up_to(Level::TRACE);
    let mut seen = 0;
    for seed in 1..=SEEDS {
        let mut sim = Sim::new(seed);
        sim.net().set_link(Link { ragged: seed % 2 == 0, ..Link::default() });
        let (rt, net) = (sim.runtime(), sim.net());
        sim.block_on(play(rt, net, seed));
        // Each server of a process counts its clients for itself.
        let log = logs::containing("").split_off(seen);
        seen += log.len();
        let log = log.join("\n");
        let replayed = replay(&log).unwrap_or_else(|failure| panic!("{failure}\n{log}"));
        assert_eq!((replayed.connections, replayed.ended), (1, 1 + replayed.clients), "{replayed}");
    }
    let log = logs::containing("").join("\n");
    let parts = [
        r#""in":{"response":["#,
        r#""in":{"ws_frame":["#,
        r#""in":{"flushed":"#,
        r#""in":{"failed":["#,
        r#""due":{}"#,
        r#""do":{"socket":{"nsp":"/""#,
        r#""do":{"remove":"#,
        r#""do":"open""#,
        r#""do":"close""#,
        r#""do":"close_engine""#,
        r#""do":{"connect":"#,
        r#""do":{"disconnect":"#,
        r#""do":{"discard":"#,
        r#""do":{"set_reconnection":{"#,
        r#""do":{"set_reconnection":null}"#,
        r#""do":{"set_timeout":null}"#,
        r#""do":{"set_query":[["a","b"]]}"#,
        r#""do":{"authenticate":"#,
        r#""do":{"fail_authentication":"#,
        r#""do":{"send":"#,
        r#""do":{"send_with_ack":"#,
        r#""do":{"forget_ack":"#,
        r#""do":{"send_reply":"#,
        r#""failed":"#,
        r#""out":{"get":"#,
        r#""out":{"post":"#,
        r#""out":{"abort":"#,
        r#""out":{"ws_connect":"#,
        r#""out":{"ws_send":"#,
        r#""out":{"ws_close":"#,
        r#""out":{"event":{"reconnect_attempt":1}"#,
        r#""out":{"event":{"upgraded":"websocket"}"#,
        r#""out":{"event":{"connected":{"slot":0,"#,
        r#""recovered":true"#,
        r#""out":{"event":{"acked":"#,
        r#""out":{"event":{"ack_failed":"operation has timed out"}"#,
        r#"Refusal { message: \"not today\""#,
    ];
    let missing: Vec<_> = parts.into_iter().filter(|part| !log.contains(part)).collect();
    assert!(missing.is_empty(), "{missing:?} is not in\n{log}");
    differences_are_found(&log);
}

/// Every way in, both parsers, with retries and without; what is held back, asked, answered, refused, cut and changed.
async fn play(rt: Arc<dyn Runtime>, net: Net, seed: u64) {
    let codec = if seed % 4 < 2 { Codec::Text } else { Codec::Msgpack };
    let stage = Stage::with(Arc::clone(&rt), |options| {
        options.parser(codec).connection_state_recovery(RecoveryConfig::default())
    });
    let stage = stage.await;
    let io = &stage.server;
    io.on("echo", |socket: Socket, (text, data): (String, Bytes)| async move {
        let doubled = socket.emit_with_ack::<u32, _>("double", 21).await;
        Ack((data, text, doubled.unwrap_or_default()))
    });
    let clock = Arc::clone(&rt);
    io.on("silence", move |_: Socket, ()| {
        let clock = Arc::clone(&clock);
        async move { sleep(&*clock, Duration::from_secs(5)).await }
    });
    io.on("n", |_: Socket, n: u32| async move { Ack(n) });
    io.of("/closed").use_middleware(|_: Socket| async {
        Err(ConnectError::new("not today").with_data(json!({ "until": 8 })))
    });
    let transports = match seed % 3 {
        0 => vec![Transport::Polling],
        1 => vec![Transport::Websocket],
        _ => vec![Transport::Polling, Transport::Websocket],
    };
    let client = ClientBuilder::<Tokio>::new(format!("http://{}", stage.at))
        .transports(transports)
        .parser(codec)
        .auth(json!({ "token": 5 }))
        .randomization_factor(0.1 + 0.2)
        .ack_timeout(Duration::from_secs(3));
    let client = if seed.is_multiple_of(2) { client.retries(2, Duration::from_millis(700)) } else { client };
    let client = client.build_on(Arc::clone(&rt)).expect("a client");
    client.on("double", |_, n: u32| async move { Ack(2 * n) });
    client.emit("n", 0).unwrap();
    assert_eq!(client.discard_buffered(), 1);
    client.emit("n", 1).unwrap();
    client.open();
    client.connect();
    is_connected(&*rt, &client).await;
    talk(&client).await;
    for name in ["/closed", "/nowhere"] {
        let other = client.of(name);
        other.connect();
        other.connected().await.unwrap_err();
    }
    let secret = client.of("/secret");
    secret.set_auth_with(|| async { Err::<(), _>("who knows") });
    secret.connect();
    secret.connected().await.unwrap_err();
    let silence = client.timeout(Duration::from_millis(300)).emit_with_ack::<(), _>("silence", ());
    assert!(matches!(silence.await, Err(AckError::TimedOut)));
    drop(timeout(&*rt, Duration::from_millis(10), client.emit_with_ack::<(), _>("silence", ())).await);
    client.set_query([("a", "b")]);
    client.set_reconnection(Reconnection { delay: Duration::from_millis(40), ..Reconnection::default() });
    client.set_connect_timeout(None);
    net.cut_all();
    client.volatile().emit("n", 2).unwrap();
    client.emit("n", 3).unwrap();
    sleep(&*rt, Duration::from_millis(1)).await;
    is_connected(&*rt, &client).await;
    // Nobody answers the goodbye; the server misses the heartbeat.
    net.connections().iter().for_each(Connection::blackhole);
    client.close_engine();
    is_connected(&*rt, &client).await;
    talk(&client).await;
    sleep(&*rt, Duration::from_secs(60)).await;
    client.set_reconnection(None);
    client.close();
    client.connect();
    is_connected(&*rt, &client).await;
    client.disconnect();
    // Gone while it is on its way in.
    client.connect();
    client.shutdown().await;
    drop(secret);
    stage.keeping().is_empty_in_after(&["/closed"], ()).await;
}

async fn is_connected(rt: &dyn Runtime, client: &Client) {
    let connected = async { while client.connected().await.is_err() {} };
    timeout(rt, PATIENCE, connected).await.expect("connected in time");
}

async fn talk(client: &Client) {
    let answer =
        client.emit_with_ack::<(Bytes, String, u32), _>("echo", ("naïve", Bytes::from_static(&[1, 2, 3])));
    assert_eq!(answer.await.unwrap(), (Bytes::from_static(&[1, 2, 3]), "naïve".to_owned(), 42));
}

/// What was recorded is the same to the last bit, and what is changed in it does not replay.
fn differences_are_found(log: &str) {
    let all = client_transcripts(log).unwrap();
    let lines = |change: &dyn Fn(Line) -> Option<Line>| {
        let lines = all[&1].iter().filter_map(|(_, line)| change(line.clone()));
        lines.map(|line| line.to_string()).collect::<Vec<_>>().join("\n")
    };
    assert!(replay(&lines(&Some)).is_ok());
    for line in log.lines().filter(|line| line.contains(r#"{"connection":"#)) {
        let text = &line[line.find('{').unwrap()..];
        assert_eq!(serde_json::from_str::<Line>(text).unwrap().to_string(), text);
    }
    // A frame less, a command less, another answer, lines without their beginning.
    let failure = replay(&lines(&|line| match line.entry {
        Entry::In(Input::WsFrame(..) | Input::Response(..)) => None,
        _ => Some(line),
    }));
    assert!(failure.unwrap_err().to_string().contains("the replay nothing"));
    let failure = replay(&lines(&|line| match line.entry {
        Entry::Do(Command::Connect { .. }) => None,
        _ => Some(line),
    }));
    assert!(matches!(failure.unwrap_err().fault, Fault::Mismatch(_)));
    let failure = replay(&lines(&|line| match line.entry {
        Entry::Made(_) => None,
        _ => Some(line),
    }));
    let out_of_place = Fault::Mismatch(Mismatch::<Out>::OutOfPlace.to_string());
    assert_eq!(failure.unwrap_err().fault, out_of_place);
}
