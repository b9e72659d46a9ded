//! Order: of messages on every transport and across the change of it, and of the handlers they start.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Bytes, Socket};
use socketio_tests::client::{Client, How, Message, event_packet};
use socketio_tests::io::sleep;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

const BURST: u32 = 200;

/// Reads until all of a burst is there.
async fn burst(client: &mut Client) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < BURST as usize {
        let packet = client.packet().await;
        let number = packet.strip_prefix(r#"2["n","#).and_then(|rest| rest.strip_suffix(']'));
        numbers.push(number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{packet}")));
    }
    numbers
}

fn in_order() -> Vec<u32> {
    (0..BURST).collect()
}

async fn a_burst_from_the_server_arrives_in_order(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        in_order().iter().for_each(|number| socket.emit("n", number).unwrap());
        assert_eq!(burst(&mut c).await, in_order(), "{how:?}");
        stage.is_empty_after((c, socket)).await;
    }
}

async fn a_burst_from_the_client_is_handled_in_order(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("n", move |_: Socket, number: u32| {
        seen.add(number);
        async {}
    });
    let expected: Vec<_> = in_order().iter().map(ToString::to_string).collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let packets: Vec<_> = in_order().iter().map(|n| event_packet("", "n", json!([n]))).collect();
        // In one piece, in several, and one by one.
        c.send_all(&packets[..100]).await;
        c.send_all(&packets[100..150]).await;
        for packet in &packets[150..] {
            c.send(packet).await;
        }
        log.expect(&stage, &expected).await;
        stage.is_empty_after(c).await;
    }
}

/// The server emits all the time while the client leaves polling.
async fn nothing_is_lost_or_reordered_by_an_upgrade(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let clock = Arc::clone(&stage.rt);
    stage.server.on_connection(move |socket: Socket| {
        let clock = Arc::clone(&clock);
        async move {
            for number in 0..BURST {
                socket.emit("n", number).unwrap();
                sleep(&*clock, Duration::from_micros(u64::from(number % 3) * 500)).await;
            }
        }
    });
    let log = Log::default();
    let seen = log.clone();
    stage.server.on("n", move |_: Socket, number: u32| {
        seen.add(number);
        async {}
    });
    let mut c = stage.joined_by(How::Polling).await;
    let packets: Vec<_> = in_order().iter().map(|n| event_packet("", "n", json!([n]))).collect();
    c.send_all(&packets[..100]).await;
    c.upgrade().await;
    c.send_all(&packets[100..]).await;
    assert_eq!(burst(&mut c).await, in_order());
    let expected: Vec<_> = in_order().iter().map(ToString::to_string).collect();
    log.expect(&stage, &expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    stage.is_empty_after(c).await;
}

async fn attachments_keep_to_their_packets_in_a_burst(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let socket = stage.server.sockets().remove(0);
        for number in 0..50_u8 {
            socket.emit("file", Bytes::from(vec![number])).unwrap();
            socket.emit("text", number).unwrap();
        }
        for number in 0..50_u8 {
            c.expect(r#"51-["file",{"_placeholder":true,"num":0}]"#).await;
            assert_eq!(c.try_recv().await.unwrap(), Message::Binary(vec![number]));
            c.expect(&format!(r#"2["text",{number}]"#)).await;
        }
        stage.is_empty_after((c, socket)).await;
    }
}

async fn handlers_start_in_the_order_of_arrival_and_run_to_their_first_await(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let (seen, clock) = (log.clone(), Arc::clone(&stage.rt));
    stage.server.on("step", move |_: Socket, (name, millis): (String, u64)| {
        let (seen, clock) = (seen.clone(), Arc::clone(&clock));
        async move {
            seen.add(format!("{name} begins"));
            // Ready at once: no reason to stop here.
            async {}.await;
            seen.add(format!("{name} goes on"));
            sleep(&*clock, Duration::from_millis(millis)).await;
            seen.add(format!("{name} ends"));
        }
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let packets =
            [("a", 80), ("b", 40), ("c", 0)].map(|(name, ms)| event_packet("", "step", json!([name, ms])));
        c.send_all(&packets).await;
        let expected = [
            "a begins",
            "a goes on",
            "b begins",
            "b goes on",
            "c begins",
            "c goes on",
            "c ends",
            "b ends",
            "a ends",
        ];
        log.expect(&stage, &expected).await;
        stage.is_empty_after(c).await;
    }
}

/// What the connection handler does before its first await is done before any event of that client.
async fn the_connection_handler_comes_before_the_first_event(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        let seen = seen.clone();
        seen.add("connection");
        socket.on("first", move |_: Socket, (): ()| {
            seen.add("first");
            async {}
        });
        socket.emit("welcome", ()).unwrap();
        async {}
    });
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        c.emit("first", json!([])).await;
        c.expect(r#"2["welcome"]"#).await;
        log.expect(&stage, &["connection", "first"]).await;
        stage.is_empty_after(c).await;
    }
}

on_every_runtime!(
    a_burst_from_the_client_is_handled_in_order,
    a_burst_from_the_server_arrives_in_order,
    attachments_keep_to_their_packets_in_a_burst,
    handlers_start_in_the_order_of_arrival_and_run_to_their_first_await,
    nothing_is_lost_or_reordered_by_an_upgrade,
    the_connection_handler_comes_before_the_first_event,
);
