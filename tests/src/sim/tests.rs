use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use socketio_driver::runtime::AddressFamily;

use super::*;
use crate::io::{accept, read, read_bytes, read_to_end, shutdown, sleep, timeout, write_all};

const AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

const SECOND: Duration = Duration::from_secs(1);

/// A listener, and both ends of one connection to it.
async fn pair(rt: &dyn Runtime) -> (Box<dyn Listener>, Box<dyn Io>, Box<dyn Io>) {
    let mut listener = rt.listen(AT).await.unwrap();
    let client = rt.connect(Connect::new("localhost", 80)).await.unwrap();
    let (server, _) = accept(&mut *listener).await.unwrap();
    (listener, client, server)
}

fn with_pair<F: Future<Output = ()>>(
    seed: u64,
    link: Link,
    test: impl FnOnce(Arc<dyn Runtime>, Connection, Box<dyn Io>, Box<dyn Io>) -> F,
) {
    let mut sim = Sim::new(seed);
    sim.net().set_link(link);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        let (_listener, client, server) = pair(&*rt).await;
        let conn = net.connections().remove(0);
        test(Arc::clone(&rt), conn, client, server).await;
    });
    assert!(sim.net().connections().is_empty(), "both ends were dropped");
}

fn panic_of(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a text")).to_owned(),
    }
}

#[test]
fn time_stands_still_until_nothing_can_run_and_then_jumps() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let start = rt.now();
        sleep(&*rt, 3600 * SECOND).await;
        assert_eq!(rt.now().saturating_since(start), 3600 * SECOND);
        assert_eq!(rt.unix_time(), UNIX_START + 3600 * SECOND);
    });
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        let rt = sim.runtime();
        let order = Arc::new(Mutex::new(Vec::new()));
        for seconds in [3, 1, 2] {
            let (rt, order) = (sim.runtime(), Arc::clone(&order));
            sim.runtime().spawn(Box::pin(async move {
                sleep(&*rt, seconds * SECOND).await;
                order.lock().unwrap().push(seconds);
            }));
        }
        sim.block_on(sleep(&*rt, 5 * SECOND));
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
        assert_eq!(sim.tasks(), 0);
    }
}

#[test]
fn the_seed_decides_the_order_of_what_is_ready() {
    let order_of = |seed| {
        let mut sim = Sim::new(seed);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..6 {
            let order = Arc::clone(&order);
            sim.runtime().spawn(Box::pin(async move { order.lock().unwrap().push(number) }));
        }
        sim.run_for(SECOND);
        let order = order.lock().unwrap().clone();
        assert_eq!(order.len(), 6);
        order
    };
    assert_eq!(order_of(7), order_of(7));
    assert!((0..10).any(|seed| order_of(seed) != order_of(7)));
}

#[test]
fn a_timer_follows_its_resets_both_ways() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let start = rt.now();
        let passed = || rt.now().saturating_since(start).as_secs();
        let mut timer = rt.timer(start + 20 * SECOND);
        assert!(timeout(&*rt, SECOND, timer.as_mut()).await.is_none());
        timer.as_mut().reset(start + 5 * SECOND);
        timer.as_mut().await;
        assert_eq!(passed(), 5);
        timer.as_mut().await; // fired stays fired
        timer.as_mut().reset(start + 10 * SECOND);
        assert!(timeout(&*rt, SECOND, timer.as_mut()).await.is_none());
        timer.as_mut().reset(Instant::from_micros(u64::MAX));
        timer.as_mut().reset(start + 30 * SECOND);
        timer.as_mut().await;
        assert_eq!(passed(), 30);
    });
}

#[test]
fn a_byte_takes_the_latency_of_its_link() {
    with_pair(
        1,
        Link { latency: 40 * SECOND / 1000, ..Link::default() },
        |rt, _, mut client, mut server| async move {
            let start = rt.now();
            write_all(&mut *client, b"ping").await.unwrap();
            assert_eq!(rt.now(), start, "writing does not wait");
            assert_eq!(read(&mut *server).await.unwrap(), b"ping");
            assert_eq!(rt.now().saturating_since(start).as_millis(), 40);
        },
    );
}

#[test]
fn connecting_takes_a_round_trip() {
    let mut sim = Sim::new(1);
    sim.net().set_link(Link { latency: SECOND, ..Link::default() });
    let rt = sim.runtime();
    sim.block_on(async {
        let _pair = pair(&*rt).await;
        assert_eq!(rt.now(), Instant::ZERO + 2 * SECOND);
    });
}

#[test]
fn a_slow_link_delays_what_is_behind() {
    let link = Link { latency: SECOND, bytes_per_second: Some(1000), ..Link::default() };
    with_pair(1, link, |rt, _, mut client, mut server| async move {
        let start = rt.now();
        write_all(&mut *client, &[0; 3000]).await.unwrap();
        write_all(&mut *client, b"last").await.unwrap();
        read_bytes(&mut *server, 3000).await.unwrap();
        assert_eq!(rt.now().saturating_since(start).as_millis(), 4000);
        assert_eq!(read(&mut *server).await.unwrap(), b"last");
        assert_eq!(rt.now().saturating_since(start).as_millis(), 4004);
    });
}

#[test]
fn a_full_window_makes_the_writer_wait_for_the_reader() {
    with_pair(
        1,
        Link { window_bytes: 100, ..Link::default() },
        |rt, conn, mut client, mut server| async move {
            assert!(timeout(&*rt, SECOND, write_all(&mut *client, &[1; 101])).await.is_none());
            assert_eq!(conn.written_bytes(Side::Client), 100);
            assert_eq!(read(&mut *server).await.unwrap(), [1; 100]);
            write_all(&mut *client, &[1; 100]).await.unwrap();
            assert_eq!(read(&mut *server).await.unwrap(), [1; 100]);
        },
    );
}

#[test]
fn a_ragged_link_cuts_reads_and_writes_up_and_loses_nothing() {
    let all: Vec<u8> = (0..=255).cycle().take(5000).collect();
    with_pair(
        3,
        Link { ragged: true, window_bytes: 1000, ..Link::default() },
        |rt, _, mut client, mut server| {
            let sent = all.clone();
            async move {
                rt.spawn(Box::pin(async move {
                    write_all(&mut *client, &sent).await.unwrap();
                }));
                let mut parts = Vec::new();
                loop {
                    let part = read(&mut *server).await.unwrap();
                    if part.is_empty() {
                        break;
                    }
                    parts.push(part);
                }
                assert!(parts.len() > 5, "{} parts", parts.len());
                assert_eq!(parts.concat(), all);
            }
        },
    );
}

#[test]
fn a_half_closed_connection_carries_the_other_half() {
    with_pair(1, Link::default(), |_, _, mut client, mut server| async move {
        write_all(&mut *client, b"request").await.unwrap();
        shutdown(&mut *client).await.unwrap();
        assert_eq!(read_to_end(&mut *server).await.unwrap(), b"request");
        write_all(&mut *server, b"response").await.unwrap();
        drop(server);
        assert_eq!(read_to_end(&mut *client).await.unwrap(), b"response");
        assert_eq!(write_all(&mut *client, b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_test_can_half_close_what_the_code_under_test_holds() {
    with_pair(1, Link::default(), |_, conn, mut client, mut server| async move {
        conn.half_close(Side::Client);
        assert_eq!(read(&mut *server).await.unwrap(), b"");
        write_all(&mut *server, b"still here").await.unwrap();
        assert_eq!(read(&mut *client).await.unwrap(), b"still here");
    });
}

#[test]
fn a_cut_connection_is_reset_for_both_and_loses_what_was_under_way() {
    with_pair(1, Link::default(), |rt, conn, mut client, mut server| async move {
        write_all(&mut *client, b"lost").await.unwrap();
        let (told, server_read) = (rt.now(), read(&mut *server));
        conn.cut();
        assert_eq!(server_read.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(read(&mut *client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(write_all(&mut *client, b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(rt.now(), told);
    });
}

#[test]
fn a_cut_wakes_who_waits() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        let (_listener, mut client, _server) = pair(&*rt).await;
        let clock = Arc::clone(&rt);
        rt.spawn(Box::pin(async move {
            sleep(&*clock, SECOND).await;
            net.cut_all();
        }));
        assert_eq!(read(&mut *client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_is_held_arrives_after_the_release_in_order() {
    with_pair(1, Link::default(), |rt, conn, mut client, mut server| async move {
        write_all(&mut *client, b"one ").await.unwrap();
        conn.blackhole();
        write_all(&mut *client, b"two").await.unwrap();
        drop(client);
        assert!(timeout(&*rt, 60 * SECOND, read(&mut *server)).await.is_none());
        conn.heal();
        assert_eq!(read_to_end(&mut *server).await.unwrap(), b"one two");
    });
}

#[test]
fn writing_to_a_socket_that_is_gone_is_answered_by_a_reset() {
    with_pair(1, Link::default(), |rt, _, client, mut server| async move {
        drop(client);
        assert_eq!(read(&mut *server).await.unwrap(), b"");
        write_all(&mut *server, b"into the void").await.unwrap();
        sleep(&*rt, SECOND).await;
        assert_eq!(write_all(&mut *server, b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read(&mut *server).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn closing_with_unread_bytes_resets_after_what_was_sent() {
    with_pair(1, Link::default(), |rt, _, mut client, mut server| async move {
        write_all(&mut *client, b"a large body").await.unwrap();
        sleep(&*rt, SECOND).await;
        write_all(&mut *server, b"413").await.unwrap();
        drop(server);
        assert_eq!(read(&mut *client).await.unwrap(), b"413");
        assert_eq!(read(&mut *client).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn nobody_listening_refuses() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let error = rt.connect(Connect::new("127.0.0.1", 81)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains("127.0.0.1:81"), "{error}");
        let error = rt.connect(Connect::new("nowhere.test", 81)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn an_address_in_use_is_named_and_free_again_after_the_listener() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let listener = rt.listen(AT).await.unwrap();
        let error = rt.listen(AT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("127.0.0.1:80"), "{error}");
        drop(listener);
        rt.listen(AT).await.unwrap();
    });
}

#[test]
fn a_dropped_listener_closes_what_nobody_accepted() {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let listener = rt.listen(AT).await.unwrap();
        let mut client = rt.connect(Connect::new("localhost", 80)).await.unwrap();
        drop(listener);
        assert_eq!(read(&mut *client).await.unwrap(), b"");
    });
}

#[test]
fn a_connection_can_be_refused_or_left_without_an_answer() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    sim.block_on(async {
        let _listener = rt.listen("0.0.0.0:80".parse().unwrap()).await.unwrap();
        net.set_reach(AT, Reach::Refused);
        let error = rt.connect(Connect::new("localhost", 80)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        net.set_reach(AT, Reach::Silent);
        let mut connecting = rt.connect(Connect::new("localhost", 80));
        assert!(timeout(&*rt, 60 * SECOND, &mut connecting).await.is_none());
        net.set_reach(AT, Reach::Open);
        connecting.await.unwrap();
    });
}

#[test]
fn every_address_of_a_name_is_tried() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    net.set_name("two.test", &["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
    sim.block_on(async {
        let _listener = rt.listen(AT).await.unwrap();
        rt.connect(Connect::new("two.test", 80)).await.unwrap();
        assert_eq!(net.connections().len(), 1, "the end in the backlog");
    });
}

#[test]
fn of_the_addresses_of_a_name_one_family_can_be_chosen() {
    let mut sim = Sim::new(1);
    let (rt, net) = (sim.runtime(), sim.net());
    net.set_name("two.test", &["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
    sim.block_on(async {
        let mut listeners =
            [rt.listen(AT).await.unwrap(), rt.listen("[::1]:80".parse().unwrap()).await.unwrap()];
        let mut to = Connect::new("two.test", 80);
        for (listener, family, local) in [
            (1, None, None),
            (0, Some(AddressFamily::V4), None),
            (1, Some(AddressFamily::V6), None),
            (0, None, Some(IpAddr::from([127, 0, 0, 9]))),
        ] {
            let listener = &mut listeners[listener];
            (to.family, to.local_address) = (family, local);
            let _client = rt.connect(to.clone()).await.unwrap();
            let (_, peer) = timeout(&*rt, SECOND, accept(&mut **listener)).await.expect("arrived").unwrap();
            assert_eq!(peer.ip(), local.unwrap_or(listener.local_addr().unwrap().ip()));
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut sim = Sim::new(seed);
        sim.net().set_link(Link { ragged: true, ..Link::default() });
        let rt = sim.runtime();
        sim.block_on(async {
            let mut listener = rt.listen(AT).await.unwrap();
            for _ in 0..3 {
                let client = Arc::clone(&rt);
                rt.spawn(Box::pin(async move {
                    let mut io = client.connect(Connect::new("localhost", 80)).await.unwrap();
                    let mut noise = [0; 50];
                    client.fill_random(&mut noise);
                    write_all(&mut *io, &noise).await.unwrap();
                    shutdown(&mut *io).await.unwrap();
                    assert_eq!(read_to_end(&mut *io).await.unwrap(), noise);
                }));
            }
            for _ in 0..3 {
                let (mut io, _) = accept(&mut *listener).await.unwrap();
                rt.spawn(Box::pin(async move {
                    loop {
                        let bytes = read(&mut *io).await.unwrap();
                        if bytes.is_empty() {
                            break;
                        }
                        write_all(&mut *io, &bytes).await.unwrap();
                    }
                }));
            }
            sleep(&*rt, SECOND).await;
        });
        assert_eq!(sim.tasks(), 0);
        (sim.transcript(), sim.fingerprint())
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn waiting_for_nothing_is_a_deadlock() {
    let told = panic_of(|| Sim::new(1).block_on(std::future::pending()));
    assert!(told.starts_with("deadlock"), "{told}");
    let told = panic_of(|| {
        let mut sim = Sim::new(1);
        let never = sim.runtime().timer(Instant::from_micros(u64::MAX));
        sim.block_on(never);
    });
    assert!(told.starts_with("deadlock"), "{told}");
}

#[test]
fn time_that_does_not_pass_is_a_livelock() {
    let told = panic_of(|| {
        Sim::new(1).block_on(std::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    });
    assert!(told.starts_with("livelock"), "{told}");
}

#[test]
fn a_future_that_takes_more_than_the_limit_fails() {
    let told = panic_of(|| {
        let mut sim = Sim::new(1);
        sim.set_limit(60 * SECOND);
        let rt = sim.runtime();
        sim.block_on(async {
            loop {
                sleep(&*rt, SECOND).await;
            }
        });
    });
    assert!(told.starts_with("not done after 60s"), "{told}");
}

#[test]
fn a_panic_in_a_task_fails_the_simulation() {
    let told = panic_of(|| {
        let mut sim = Sim::new(1);
        sim.runtime().spawn(Box::pin(async { panic!("in a task") }));
        sim.run_for(SECOND);
    });
    assert_eq!(told, "in a task");
}

#[test]
fn what_is_spawned_is_dropped_with_the_simulation() {
    let mut sim = Sim::new(1);
    let alive = Arc::new(());
    let (held, rt) = (Arc::clone(&alive), sim.runtime());
    sim.runtime().spawn(Box::pin(async move {
        let (_listener, _client, _server) = pair(&*rt).await;
        std::future::pending::<()>().await;
        drop(held);
    }));
    sim.run_for(SECOND);
    assert_eq!((sim.tasks(), sim.net().connections().len()), (1, 1));
    let net = sim.net();
    drop(sim);
    assert_eq!((Arc::strong_count(&alive), net.connections().len()), (1, 0));
}
