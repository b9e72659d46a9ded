//! Compressed websockets (RFC 7692), on the wire between our client and our server.

use std::sync::Arc;

use socketio_driver::client::Socket as Mine;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, PerMessageDeflate, Socket, WindowBits};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Log, Stage};
use socketio_tests::tap::{Both, Tap};

use crate::support::{Guest, Way, url};

const BOUNDED: PerMessageDeflate = PerMessageDeflate {
    threshold: 100,
    level: 6,
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

const TAKEOVER: PerMessageDeflate = PerMessageDeflate {
    threshold: 1,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    ..BOUNDED
};

const NARROW: PerMessageDeflate = PerMessageDeflate {
    server_max_window_bits: Some(WindowBits::Nine),
    client_max_window_bits: Some(WindowBits::Ten),
    ..TAKEOVER
};

/// A server, a tap before it, and a client that has gone through it.
struct Scene {
    stage: Stage,
    tap: Tap,
    guest: Guest,
}

impl Scene {
    async fn new(
        rt: &Arc<dyn Runtime>,
        way: Way,
        theirs: Option<PerMessageDeflate>,
        ours: Option<PerMessageDeflate>,
    ) -> Self {
        Self::limited(rt, way, theirs, ours, 1 << 20).await
    }

    async fn limited(
        rt: &Arc<dyn Runtime>,
        way: Way,
        theirs: Option<PerMessageDeflate>,
        ours: Option<PerMessageDeflate>,
        max_bytes: usize,
    ) -> Self {
        let stage = Stage::with(Arc::clone(rt), |options| {
            options.per_message_deflate(theirs).max_http_buffer_size(max_bytes)
        })
        .await;
        stage.server.on("echo", |_: Socket, (text, data): (String, Bytes)| async move { Ack((text, data)) });
        let tap = Tap::new(rt, stage.at).await;
        let guest = Guest::at(rt, &url(tap.at), |builder| {
            way.choose(builder).per_message_deflate(ours).max_message_bytes(max_bytes).reconnection(false)
        });
        guest.enter(way).await;
        guest.expect(&["connect"]).await;
        Self { stage, tap, guest }
    }

    async fn echo(&self, text: &str, data: &Bytes) {
        let echo = self.guest.client.emit_with_ack::<(String, Bytes), _>("echo", (text, data));
        assert_eq!(echo.await.unwrap(), (text.to_owned(), data.clone()));
    }

    /// What has passed; everybody leaves.
    async fn end(self) -> Both {
        let seen = self.tap.take();
        self.guest.leave().await;
        self.stage.is_empty_after(()).await;
        seen
    }
}

/// Text without sense in which little repeats, of this length.
fn words(len: usize, mut state: u32) -> String {
    let word = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", *state >> 8)
    };
    let mut text = String::new();
    while text.len() < len {
        text += &word(&mut state);
    }
    text.truncate(len);
    text
}

async fn messages_are_compressed_both_ways(rt: Arc<dyn Runtime>) {
    for options in [BOUNDED, TAKEOVER, NARROW] {
        for way in [Way::Websocket, Way::Upgrade] {
            let scene = Scene::new(&rt, way, Some(options), Some(options)).await;
            // The first one comes behind whatever belongs to the opening.
            scene.echo("", &Bytes::new()).await;
            scene.tap.take();
            let large = words(100_000, 1);
            let data = Bytes::from(words(100_000, 2));
            scene.echo(&large, &data).await;
            let seen = scene.tap.take();
            // The event and its attachment.
            for way in [seen.up, seen.down] {
                assert_eq!((way.compressed, way.plain), (2, 0), "{options:?}");
                assert!((1000..80_000).contains(&way.largest), "{way:?} {options:?}");
            }
            for n in 0..200 {
                scene.echo(&words(120, n / 4), &Bytes::from(words(120, n / 5))).await;
            }
            let seen = scene.end().await;
            let all = if options == BOUNDED { 0 } else { 400 };
            for way in [seen.up, seen.down] {
                assert!(way.compressed >= all && way.compressed + way.plain == 400, "{way:?} {options:?}");
            }
        }
    }
}

async fn only_who_asks_and_is_answered_compresses(rt: Arc<dyn Runtime>) {
    let needs_client_window =
        PerMessageDeflate { server_max_window_bits: Some(WindowBits::Twelve), ..TAKEOVER };
    for (theirs, ours, compresses) in [
        (None, None, false),
        (Some(BOUNDED), None, false),
        (None, Some(BOUNDED), false),
        (Some(BOUNDED), Some(TAKEOVER), true),
        (Some(TAKEOVER), Some(BOUNDED), true),
        (Some(needs_client_window), Some(NARROW), true),
        (Some(NARROW), Some(needs_client_window), true),
    ] {
        let scene = Scene::new(&rt, Way::Websocket, theirs, ours).await;
        scene.tap.take();
        scene.echo(&"text ".repeat(1000), &Bytes::from(vec![7; 5000])).await;
        let Both { up, down } = scene.end().await;
        let expected = if compresses { (2, 0) } else { (0, 2) };
        assert_eq!([up, down].map(|way| (way.compressed, way.plain)), [expected; 2], "{theirs:?} {ours:?}");
    }
}

async fn what_is_short_or_must_not_be_is_not_compressed(rt: Arc<dyn Runtime>) {
    let scene = Scene::new(&rt, Way::Websocket, Some(BOUNDED), Some(BOUNDED)).await;
    let long = "long ".repeat(100);
    let (client, server) = (&scene.guest.client, &scene.stage.server);
    client.on("ask", |_: Mine, text: String| async move { Ack(text) });
    server.on("ask", |_: Socket, text: String| async move { Ack(text) });
    let peer = server.sockets().remove(0);
    let sorted = |seen: Both| [seen.up, seen.down].map(|way| (way.compressed, way.plain));
    scene.tap.take();

    let ask = client.compress(false).emit_with_ack::<String, _>("ask", &long).await;
    assert_eq!(ask.unwrap(), long);
    assert_eq!(sorted(scene.tap.take()), [(0, 1), (1, 0)], "the acknowledgement is compressed");
    let ask = client.compress(true).emit_with_ack::<String, _>("ask", &long).await;
    assert_eq!(ask.unwrap(), long);
    assert_eq!(sorted(scene.tap.take()), [(1, 0), (1, 0)]);
    let ask = client.emit_with_ack::<String, _>("ask", "short").await;
    assert_eq!(ask.unwrap(), "short");
    assert_eq!(sorted(scene.tap.take()), [(0, 1), (0, 1)]);

    let ask = peer.compress(false).emit_with_ack::<String, _>("ask", &long).await;
    assert_eq!(ask.unwrap(), long);
    assert_eq!(sorted(scene.tap.take()), [(1, 0), (0, 1)]);
    server.compress(false).emit("broadcast", &long).unwrap();
    server.emit("broadcast", &long).unwrap();
    // What was sent before it has arrived with its answer.
    assert_eq!(peer.emit_with_ack::<String, _>("ask", "short").await.unwrap(), "short");
    drop(peer);
    assert_eq!(sorted(scene.end().await), [(0, 1), (1, 2)]);
}

async fn nothing_overtakes_what_takes_longer(rt: Arc<dyn Runtime>) {
    let scene = Scene::new(&rt, Way::Websocket, Some(BOUNDED), Some(BOUNDED)).await;
    let heard = Log::default();
    let seen = heard.clone();
    scene.guest.client.on("number", move |_: Mine, (number, _): (u32, String)| {
        seen.add(number);
        async {}
    });
    let peer = scene.stage.server.sockets().remove(0);
    for number in 0..200 {
        let text = "long ".repeat(number * 7 % 50);
        peer.compress(number % 3 > 0).emit("number", (number, text)).unwrap();
    }
    scene.stage.until("all are there", || heard.len() == 200).await;
    assert!(heard.lines().iter().enumerate().all(|(at, number)| *number == at.to_string()));
    drop(peer);
    let down = scene.end().await.down;
    assert!(down.compressed > 60 && down.plain > 60, "{down:?}");
}

/// A client that sends again what is not acknowledged remembers how.
async fn a_flag_outlives_the_wait_for_a_connection(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(Arc::clone(&rt), |options| options.per_message_deflate(BOUNDED)).await;
    stage.server.on("ask", |_: Socket, text: String| async move { Ack(text.len()) });
    let long = "long ".repeat(100);
    for retries in [0, 3] {
        let tap = Tap::new(&rt, stage.at).await;
        let guest = Guest::at(&rt, &url(tap.at), |builder| {
            let builder = Way::Websocket.choose(builder).per_message_deflate(BOUNDED);
            builder.retries(retries, std::time::Duration::from_secs(5))
        });
        let early = guest.client.compress(false).emit_with_ack::<usize, _>("ask", &long);
        let other = guest.client.emit_with_ack::<usize, _>("ask", &long);
        guest.enter(Way::Websocket).await;
        assert_eq!((early.await.unwrap(), other.await.unwrap()), (500, 500));
        let seen = tap.take();
        // CONNECT is plain, too.
        assert_eq!((seen.up.compressed, seen.up.plain), (1, 2), "retries: {retries}");
        guest.leave().await;
    }
    stage.is_empty_after(()).await;
}

/// However small it is on the wire: the limit is for what a message is.
async fn a_message_that_grows_over_the_limit_ends_the_connection(rt: Arc<dyn Runtime>) {
    for options in [BOUNDED, TAKEOVER] {
        for from_client in [true, false] {
            let scene = Scene::limited(&rt, Way::Websocket, Some(options), Some(options), 10_000).await;
            scene.echo("fits", &Bytes::from(vec![0; 9_000])).await;
            let bomb = Bytes::from(vec![0; 1 << 20]);
            match from_client {
                true => scene.guest.client.emit("bomb", &bomb).unwrap(),
                false => scene.stage.server.emit("bomb", &bomb).unwrap(),
            }
            let reason = if from_client { "transport close" } else { "transport error" };
            scene.guest.expect(&[&format!("disconnect {reason}")]).await;
            let seen = scene.end().await;
            assert!(seen.up.largest.max(seen.down.largest) < 10_000, "{seen:?}");
        }
    }
}

on_every_runtime!(
    messages_are_compressed_both_ways,
    nothing_overtakes_what_takes_longer,
    only_who_asks_and_is_answered_compresses,
    what_is_short_or_must_not_be_is_not_compressed,
    a_flag_outlives_the_wait_for_a_connection,
    a_message_that_grows_over_the_limit_ends_the_connection,
);
