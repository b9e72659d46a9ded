//! A client behind a network that goes wrong at each stage in turn. Whatever it is, the client comes back, does not hammer at
//! the server meanwhile, and what was acknowledged is not sent again.
//!
//! What happens by chance, over many seeds, is in `client/chaos`; here every combination has its turn.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use socketio_driver::client::QueueLimits;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, AckError, ClientBuilder, EmitError, Socket, Transport};
use socketio_tests::client::Client;
use socketio_tests::io::{sleep, timeout};
use socketio_tests::on_every_runtime;
use socketio_tests::proxy::{Fault, Plan, Proxy, Stage};
use socketio_tests::stage::Stage as Server;
use socketio_tokio::Tokio;

const POLLING: &[Transport] = &[Transport::Polling];
const WEBSOCKET: &[Transport] = &[Transport::Websocket];
const UPGRADE: &[Transport] = &[Transport::Polling, Transport::Websocket];

/// Everywhere a client gets to, on every way: the first frame of a websocket that another transport moves to is its probe,
/// the second commits to it, and what follows are messages.
const PLACES: &[(&[Transport], Stage, usize)] = &[
    (POLLING, Stage::Handshake, 1),
    (POLLING, Stage::Poll, 1),
    (POLLING, Stage::Poll, 3),
    (POLLING, Stage::Post, 1),
    (POLLING, Stage::Post, 3),
    (WEBSOCKET, Stage::Open, 1),
    (WEBSOCKET, Stage::Frame, 1),
    (WEBSOCKET, Stage::Frame, 3),
    (UPGRADE, Stage::Handshake, 1),
    (UPGRADE, Stage::Poll, 1),
    (UPGRADE, Stage::Post, 1),
    (UPGRADE, Stage::Open, 1),
    (UPGRADE, Stage::Frame, 1),
    (UPGRADE, Stage::Frame, 2),
    (UPGRADE, Stage::Frame, 4),
];

async fn a_delay_is_waited_out(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::Delay).await;
}

async fn a_cut_before_the_server_heard_it_is_overcome(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::CutBefore).await;
}

async fn a_cut_after_the_server_heard_it_is_overcome(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::CutAfter).await;
}

async fn half_a_connection_is_none(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::EndForClient).await;
}

async fn the_other_half_is_none_either(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::EndForServer).await;
}

async fn silence_is_noticed(rt: Arc<dyn Runtime>) {
    everywhere(rt, Fault::Blackhole).await;
}

/// Each place, once, and where a client begins also five times in a row.
async fn everywhere(rt: Arc<dyn Runtime>, fault: Fault) {
    let plans = PLACES.iter().flat_map(|&(way, stage, nth)| {
        let times: &[usize] = if nth == 1 { &[1, 5] } else { &[1] };
        times.iter().map(move |&times| (way, Plan { stage, nth, fault, times }))
    });
    join_all(plans.map(|(way, plan)| survive(Arc::clone(&rt), way, plan))).await;
}

async fn survive(rt: Arc<dyn Runtime>, way: &'static [Transport], plan: Plan) {
    let server = server(&rt).await;
    let arrivals = Arc::<Mutex<Vec<u32>>>::default();
    let seen = Arc::clone(&arrivals);
    server.server.on("n", move |_: Socket, n: u32| {
        seen.lock().unwrap().push(n);
        async move { Ack(n) }
    });
    let proxy = Proxy::new(&rt, server.at, plan).await;
    let client = ClientBuilder::<Tokio>::new(format!("http://{}", proxy.at))
        .transports(way)
        .timeout(Duration::from_secs(1))
        .close_timeout(Duration::from_secs(1))
        .upgrade_timeout(Duration::from_millis(700))
        .reconnection_delay(Duration::from_millis(100))
        .reconnection_delay_max(Duration::from_millis(300))
        .retries(1000, Duration::from_secs(1))
        .build_on(Arc::clone(&rt))
        .unwrap();
    let start = rt.now();
    client.connect();
    let mut answers = Vec::new();
    for n in 0..COUNT {
        answers.push(client.emit_with_ack::<u32, _>("n", n));
        sleep(&*rt, Duration::from_millis(20)).await;
    }
    let answered = timeout(&*rt, PATIENCE, join_all(answers)).await;
    let answered = answered.unwrap_or_else(|| panic!("{way:?} {plan:?}: never acknowledged: {arrivals:?}"));
    for (n, answer) in (0..).zip(answered) {
        assert_eq!(answer.unwrap_or_else(|error| panic!("{way:?} {plan:?}: {error}")), n);
    }
    // The rest of what goes wrong, if it has not all happened yet: a client that is idle has heartbeats.
    let seconds = rt.now().saturating_since(start).as_secs();
    let (before, requests) = (arrivals.lock().unwrap().clone(), proxy.requests());
    sleep(&*rt, Duration::from_secs(1)).await;
    assert!(proxy.struck() > 0, "{way:?} {plan:?}: it never went wrong");
    let bound = 60 + 40 * (seconds as usize + 1);
    assert!(requests <= bound, "{way:?} {plan:?}: {requests} requests in {seconds} s");

    // Each of them, in order for the first time, and nothing more once all were acknowledged.
    let mut first = Vec::new();
    for n in &before {
        if !first.contains(n) {
            first.push(*n);
        }
    }
    assert_eq!(first, (0..COUNT).collect::<Vec<_>>(), "{way:?} {plan:?}: {before:?}");
    assert_eq!(*arrivals.lock().unwrap(), before, "{way:?} {plan:?}: sent again");

    let back = timeout(&*rt, PATIENCE, client.emit_with_ack::<u32, _>("n", COUNT)).await;
    assert_eq!(back.expect("an answer").unwrap(), COUNT, "{way:?} {plan:?}");
    timeout(&*rt, PATIENCE, client.shutdown()).await.unwrap_or_else(|| panic!("{way:?} {plan:?}: no end"));
    // Where a connection has vanished, the server has 30 s to hear of its end, which is long for a test.
    if plan.fault != Fault::Blackhole {
        server.is_empty_after(Vec::<Client>::new()).await;
    }
}

/// A server that is not there for a while: what is emitted waits, up to a bound that has a name.
async fn what_waits_for_a_connection_has_a_bound(rt: Arc<dyn Runtime>) {
    let server = server(&rt).await;
    let arrivals = Arc::<Mutex<Vec<u32>>>::default();
    let seen = Arc::clone(&arrivals);
    server.server.on("n", move |_: Socket, n: u32| {
        seen.lock().unwrap().push(n);
        async {}
    });
    let plan = Plan { stage: Stage::Handshake, nth: 1, fault: Fault::CutBefore, times: 4 };
    let proxy = Proxy::new(&rt, server.at, plan).await;
    let limits = QueueLimits { max_packets: 10, ..QueueLimits::default() };
    let client = ClientBuilder::<Tokio>::new(format!("http://{}", proxy.at))
        .reconnection_delay(Duration::from_millis(20))
        .reconnection_delay_max(Duration::from_millis(50))
        .send_queue(limits)
        .build_on(Arc::clone(&rt))
        .unwrap();
    client.connect();
    for n in 0..10_u32 {
        client.emit("n", n).unwrap();
    }
    assert!(matches!(client.emit("n", 10), Err(EmitError::Full(_))));
    let asked = client.emit_with_ack::<(), _>("n", 10).await;
    assert!(matches!(asked, Err(AckError::Emit(EmitError::Full(_)))), "{asked:?}");
    let connected = async { while client.connected().await.is_err() {} };
    timeout(&*rt, PATIENCE, connected).await.expect("connected");
    server.until("all of them are there", || arrivals.lock().unwrap().len() == 10).await;
    assert_eq!(*arrivals.lock().unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(proxy.struck(), 4);
    timeout(&*rt, PATIENCE, client.shutdown()).await.expect("the end");
    server.is_empty_after(Vec::<Client>::new()).await;
}

/// A server that is quick to notice.
async fn server(rt: &Arc<dyn Runtime>) -> Server {
    Server::with(Arc::clone(rt), |builder| {
        builder
            .ping_interval(Duration::from_millis(400))
            .ping_timeout(Duration::from_millis(600))
            .upgrade_timeout(Duration::from_millis(700))
    })
    .await
}

on_every_runtime!(
    2, seeds:
    a_delay_is_waited_out,
    a_cut_before_the_server_heard_it_is_overcome,
    a_cut_after_the_server_heard_it_is_overcome,
    half_a_connection_is_none,
    the_other_half_is_none_either,
    silence_is_noticed,
    what_waits_for_a_connection_has_a_bound,
);

const COUNT: u32 = 12;

/// Five silences take ten seconds, and machines are slow.
const PATIENCE: Duration = Duration::from_secs(40);
