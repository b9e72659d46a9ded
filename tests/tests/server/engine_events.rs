//! Sessions as who watches them sees them: the events of the reference's `io.engine` and `socket.conn`.

use std::sync::Arc;

use socketio_driver::core::engine::packet::Frame;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Conn, DisconnectReason, EngineEvent, EnginePacket, Socket};
use socketio_tests::client::How;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};

fn text(packet: &EnginePacket) -> String {
    match packet.encode() {
        Frame::Text(text) if text.starts_with('0') => "open".into(),
        // A socket's id is in it.
        Frame::Text(text) if text.starts_with("40{") => "40".into(),
        Frame::Text(text) => text.to_string(),
        Frame::Binary(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn line(event: &EngineEvent) -> String {
    match event {
        EngineEvent::Packet(packet) => format!("packet {}", text(packet)),
        EngineEvent::PacketCreate(packet) => format!("create {}", text(packet)),
        EngineEvent::Flush(packets) => {
            format!("flush {}", packets.iter().map(text).collect::<Vec<_>>().join(" "))
        }
        EngineEvent::Close(reason) => format!("close: {reason}"),
        event => format!("{event:?}"),
    }
}

async fn watched(rt: Arc<dyn Runtime>, wanted: fn(&EngineEvent) -> bool) -> (Stage, Log) {
    let log = Log::default();
    let seen = log.clone();
    let see = move |_: &Conn, event: &EngineEvent| {
        if wanted(event) {
            seen.add(line(event));
        }
    };
    let stage = Stage::with(rt, move |options| options.on_engine_event(see)).await;
    let heard = log.clone();
    stage.server.on("hi", move |socket: Socket, (): ()| {
        heard.add("on hi");
        socket.emit("you", ()).unwrap();
        async {}
    });
    let heard = log.clone();
    stage.server.on_disconnect(move |_: Socket, reason: DisconnectReason| {
        heard.add(format!("disconnect: {reason}"));
        async {}
    });
    (stage, log)
}

async fn everything_is_seen_before_what_follows_from_it(rt: Arc<dyn Runtime>) {
    let (stage, log) = watched(rt, |_| true).await;
    let mut c = stage.joined().await;
    let opening = ["Connection", "create open", "flush open", "Drain"];
    let joining = ["packet 40", "create 40", "flush 40", "Drain"];
    log.expect(&stage, &[opening, joining].concat()).await;
    c.send(r#"2["hi"]"#).await;
    c.expect(r#"2["you"]"#).await;
    let answered = [r#"create 42["you"]"#, r#"flush 42["you"]"#, "Drain"];
    log.expect(&stage, &[&[r#"packet 42["hi"]"#, "on hi"][..], &answered].concat()).await;
    c.send("1").await;
    log.expect(&stage, &["packet 41", "disconnect: client namespace disconnect"]).await;
    c.connect("/").await;
    log.expect(&stage, &joining).await;
    drop(c);
    log.expect(&stage, &["close: transport close", "disconnect: transport close"]).await;
}

async fn packets_are_seen_on_every_transport(rt: Arc<dyn Runtime>) {
    let of_packets = |event: &EngineEvent| {
        use EngineEvent::{Close, Flush, Packet, PacketCreate, Upgrade, Upgrading};
        let is_packet = matches!(event, Packet(_) | PacketCreate(_) | Upgrading(_) | Upgrade(_) | Close(_));
        is_packet || matches!(event, Flush(packets) if packets.len() > 1)
    };
    let (stage, log) = watched(rt, of_packets).await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        let opening = ["create open"].into_iter();
        let upgrade = ["Upgrading(Websocket)", "Upgrade(Websocket)"].into_iter();
        let joining = ["packet 40", "create 40"];
        let lines: Vec<_> = opening.chain(upgrade.filter(|_| how == How::Upgrade)).chain(joining).collect();
        log.expect(&stage, &lines).await;
        c.send(r#"2["hi"]"#).await;
        c.expect(r#"2["you"]"#).await;
        log.expect(&stage, &[r#"packet 42["hi"]"#, "on hi", r#"create 42["you"]"#]).await;
        // Nothing else happens.
        c.try_send_frames(&["6".to_owned()]).await.unwrap();
        log.expect(&stage, &["packet 6"]).await;
        stage.is_empty_after(c).await;
        let lines = log.take();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("close: ") && lines[1].starts_with("disconnect: "), "{lines:?}");
    }
}

async fn a_watcher_that_panics_harms_nobody(rt: Arc<dyn Runtime>) {
    let log = Log::default();
    let seen = log.clone();
    let stage = Stage::with(rt, move |options| {
        options
            .on_engine_event(|_, event| assert!(*event != EngineEvent::Drain, "on purpose"))
            .on_engine_event(move |conn, event| {
                if *event == EngineEvent::Connection {
                    seen.add(conn.request().url());
                }
            })
    })
    .await;
    for how in How::ALL {
        let mut c = stage.joined_by(how).await;
        stage.server.emit("all", ()).unwrap();
        c.expect(r#"2["all"]"#).await;
        let urls = log.take();
        assert!(urls.len() == 1 && urls[0].contains("EIO=4"), "{urls:?}");
        stage.is_empty_after(c).await;
    }
}

on_every_runtime!(
    a_watcher_that_panics_harms_nobody,
    everything_is_seen_before_what_follows_from_it,
    packets_are_seen_on_every_transport,
);
