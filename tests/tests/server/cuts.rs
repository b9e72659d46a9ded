//! Connections that break at any point, over hundreds of seeds: nothing leaks, nothing hangs, nothing panics.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, ConnectError, Socket};
use socketio_tests::client::{Client, Gone, How, event_packet};
use socketio_tests::dice::Dice;
use socketio_tests::io::{sleep, timeout};
use socketio_tests::sim::{Link, Net, Side, Sim};
use socketio_tests::stage::{Stage, Tasks};

/// How many seeds a run tries, unless `SIM_SEED` names one.
const SEEDS: u64 = 300;

/// A server on which everything happens: rooms, broadcasts, awaited acknowledgements, slow middlewares, binary.
async fn lively(rt: Arc<dyn Runtime>) -> Stage {
    let stage = Stage::with(rt, |options| options.max_http_buffer_size(20_000)).await;
    let clock = Arc::clone(&stage.rt);
    for name in ["/", "/slow"] {
        let namespace = stage.server.of(name);
        namespace.on_connection(|socket: Socket| async move {
            socket.join(["a", "b"]);
            let _ = socket.to("a").emit("joined", socket.id().as_str());
            let answer = socket.timeout(Duration::from_secs(2)).emit_with_ack::<u32, _>("hello", ()).await;
            if answer.is_err() {
                socket.leave("b");
            }
        });
        namespace.on("echo", |_: Socket, value: (u32, Bytes)| async move { Ack(value) });
        namespace.on("shout", |socket: Socket, number: u32| async move {
            let _ = socket.broadcast().emit("shouted", (number, Bytes::from(vec![7; 300])));
            let _ = socket.emit("much", "x".repeat(5000));
        });
        let slow = Arc::clone(&clock);
        namespace.on("work", move |socket: Socket, millis: u64| {
            let slow = Arc::clone(&slow);
            async move {
                sleep(&*slow, Duration::from_millis(millis)).await;
                let _ = socket.emit("done", millis);
                Ack(millis)
            }
        });
        namespace.on("kick", |socket: Socket, (): ()| async move { socket.disconnect() });
        namespace.on("close", |socket: Socket, (): ()| async move { socket.disconnect_all() });
        namespace.on_disconnect(|socket: Socket, _| async move {
            let _ = socket.broadcast().emit("left", ());
        });
    }
    let slow = Arc::clone(&clock);
    stage.server.of("/slow").use_middleware(move |socket: Socket| {
        let slow = Arc::clone(&slow);
        async move {
            sleep(&*slow, Duration::from_millis(20)).await;
            if socket.id().as_str().as_bytes()[0].is_multiple_of(4) {
                Err(ConnectError::new("no"))
            } else {
                Ok(())
            }
        }
    });
    stage
}

/// What a client does with its life, until it is over.
async fn live(rt: Arc<dyn Runtime>, at: std::net::SocketAddr, mut dice: Dice) -> Result<(), Gone> {
    let mut c = match dice.below(2) {
        0 => Client::try_websocket(&rt, at, "").await?,
        _ => Client::try_polling(&rt, at, "").await?,
    };
    let mut may_upgrade = c.handshake()["upgrades"] == json!(["websocket"]);
    c.try_send("0").await?;
    c.try_recv().await?;
    for _ in 0..dice.below(20) {
        match dice.below(10) {
            0 if may_upgrade => {
                may_upgrade = false;
                c.try_upgrade().await?;
            }
            1 => c.try_send("0/slow,").await?,
            2 => c.try_send(&event_packet("7", "work", json!([dice.below(50)]))).await?,
            3 => c.try_send(&event_packet("", "shout", json!([1]))).await?,
            4 => {
                c.try_send(r#"51-8["echo",1,{"_placeholder":true,"num":0}]"#).await?;
                c.try_send_binary(&[1; 500]).await?;
            }
            5 => c.try_send("30[1]").await?,
            6 => {
                c.try_send(&event_packet("", if dice.below(4) == 0 { "close" } else { "kick" }, json!([])))
                    .await?
            }
            _ => {
                // Reading may be given up on a websocket at any time, while polling not in the middle of an answer.
                let _ = timeout(&*rt, dice.millis(20), c.try_recv()).await.transpose()?;
            }
        }
    }
    if dice.below(2) == 0 {
        c.quit().await;
    }
    Ok(())
}

/// Does something bad to a connection now and then.
async fn misfortune(rt: Arc<dyn Runtime>, net: Net, mut dice: Dice) {
    for _ in 0..dice.below(8) + 1 {
        sleep(&*rt, dice.millis(40)).await;
        let connections = net.connections();
        if connections.is_empty() {
            continue;
        }
        let connection = &connections[dice.below(connections.len() as u64) as usize];
        match dice.below(7) {
            0..=3 => connection.cut(),
            4 => connection.half_close(Side::Client),
            5 => connection.half_close(Side::Server),
            _ => connection.blackhole(),
        }
    }
}

fn seeds() -> std::ops::RangeInclusive<u64> {
    match std::env::var("SIM_SEED") {
        Ok(_) => socketio_tests::every_runtime::seeds(socketio_tests::every_runtime::SEEDS),
        Err(_) => 1..=SEEDS,
    }
}

#[test]
fn whatever_breaks_leaves_nothing_behind() {
    for seed in seeds() {
        let mut sim = Sim::new(seed);
        let (rt, net) = (sim.runtime(), sim.net());
        let mut dice = Dice(seed);
        net.set_link(Link {
            latency: dice.millis(5),
            ragged: dice.below(2) == 0,
            window_bytes: 1 << (10 + dice.below(9)),
            bytes_per_second: (dice.below(3) == 0).then_some(200_000),
        });
        let stage = sim.block_on(lively(Arc::clone(&rt)));
        let (counting, clients) = socketio_tests::stage::Counting::new(Arc::clone(&rt));
        sim.block_on(async {
            let spawner: Arc<dyn Runtime> = Arc::new(counting);
            for number in 0..1 + dice.below(5) {
                let (rt, at, dice) = (Arc::clone(&rt), stage.at, Dice(seed * 1000 + number));
                spawner.spawn(Box::pin(async move {
                    // However it ends, it ends: a client that waits for ever is unplugged, and times out.
                    let _ = timeout(&*rt, Duration::from_secs(60), live(Arc::clone(&rt), at, dice)).await;
                }));
            }
            misfortune(Arc::clone(&rt), net.clone(), Dice(seed ^ 0xBAD)).await;
            done(&rt, &clients).await;
            // Nobody is left but those who do not know it yet.
            sleep(&*rt, Duration::from_secs(200)).await;
            stage.is_empty_in_after(&["/slow"], ()).await;
            assert_eq!(stage.tasks(), 1, "only the task that accepts");
        });
        assert_eq!(sim.tasks(), 1);
        assert!(sim.net().connections().is_empty(), "{:?}", sim.net().connections());
        stage.server.close();
        sim.run_for(Duration::from_secs(1));
        assert_eq!(sim.tasks(), 0);
    }
}

async fn done(rt: &Arc<dyn Runtime>, clients: &Tasks) {
    while clients.count() > 0 {
        sleep(&**rt, Duration::from_millis(100)).await;
    }
}

/// The server closes while all of this goes on.
#[test]
fn a_server_that_closes_in_the_middle_of_everything_leaves_nothing_behind() {
    for seed in seeds().step_by(3) {
        let mut sim = Sim::new(seed);
        let (rt, net) = (sim.runtime(), sim.net());
        let mut dice = Dice(seed);
        net.set_link(Link { latency: dice.millis(5), ragged: dice.below(2) == 0, ..Link::default() });
        sim.block_on(async {
            let stage = lively(Arc::clone(&rt)).await;
            let (counting, clients) = socketio_tests::stage::Counting::new(Arc::clone(&rt));
            for number in 0..4 {
                let (clock, at, dice) = (Arc::clone(&rt), stage.at, Dice(seed * 1000 + number));
                counting.spawn(Box::pin(async move {
                    let _ =
                        timeout(&*clock, Duration::from_secs(60), live(Arc::clone(&clock), at, dice)).await;
                }));
            }
            sleep(&*rt, dice.millis(100)).await;
            stage.server.close();
            assert_eq!(stage.server.closed().await, ());
            done(&rt, &clients).await;
            sleep(&*rt, Duration::from_secs(100)).await;
            assert_eq!((stage.server.clients_count(), stage.server.sockets_count()), (0, 0));
            assert_eq!(stage.tasks(), 0, "not even the one that accepts");
        });
        assert_eq!(sim.tasks(), 0);
        assert!(sim.net().connections().is_empty());
    }
}

/// The same seed is the same run: otherwise no failure above could be repeated.
#[test]
fn a_seed_decides_everything() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        let rt = sim.runtime();
        sim.block_on(async {
            let stage = lively(Arc::clone(&rt)).await;
            for number in 0..3 {
                let _ = timeout(
                    &*rt,
                    Duration::from_secs(60),
                    live(Arc::clone(&rt), stage.at, Dice(seed + number)),
                )
                .await;
            }
            sleep(&*rt, Duration::from_secs(60)).await;
            let c = stage.joined_by(How::Upgrade).await;
            stage.is_empty_in_after(&["/slow"], c).await;
        });
        sim.fingerprint()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
