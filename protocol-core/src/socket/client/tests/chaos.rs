//! Any order of anything.

use super::*;

/// What a server that is no server, or a hostile one, might say.
const NOISE: [&str; 28] = [
    HANDSHAKE,
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":1,"pingTimeout":1,"maxPayload":0}"#,
    r#"0{"sid":"S","upgrades":["websocket"],"pingInterval":18446744073709551615,"pingTimeout":18446744073709551615}"#,
    "0{}",
    "1",
    "2",
    "2probe",
    "3probe",
    "3probe",
    "5",
    "6",
    "",
    "4",
    "<html>",
    "96:0{\"sid\":1}",
    "40",
    r#"40{"sid":"A","pid":"P"}"#,
    r#"40{"sid":{}}"#,
    r#"40/a,{"sid":"B"}"#,
    "41",
    "41/a,",
    r#"44{"message":1}"#,
    r#"44/a,"no""#,
    r#"42["a",1,"o"]"#,
    r#"421["a"]"#,
    "430[]",
    r#"451-["a",{"_placeholder":true,"num":0}]"#,
    "bAQ==",
];

#[test]
fn no_order_of_inputs_and_commands_breaks_the_machines() {
    for seed in 0..1500 {
        let mut random = crate::random::Random::new(seed);
        let mut below = |bound: u64| random.next() % bound;
        let engine = engine::Config {
            transports: match below(3) {
                0 => vec![Transport::Websocket],
                1 => vec![Transport::Polling],
                _ => vec![Transport::Polling, Transport::Websocket],
            },
            try_all_transports: below(2) == 0,
            remember_upgrade: below(2) == 0,
            ..engine::Config::default()
        };
        let queue = QueueLimits { max_packets: 4, max_bytes: 200 };
        let config = Config {
            engine: Arc::new(engine),
            send_queue: queue,
            receive_queue: queue,
            timeout: Some(ms(below(3000))),
            max_pending_acks: 3,
            ..Config::default()
        };
        let mut manager = Manager::<u32>::new(Arc::new(config), seed);
        let retries = Some(Retries { count: 1, ack_timeout: ms(below(500)) });
        let slots = [
            manager.socket(&Nsp::ROOT, SocketConfig { retries: None, ..SocketConfig::default() }),
            manager.socket(&nsp("/a"), SocketConfig { retries, ..SocketConfig::default() }),
        ];
        let (mut now, mut lanes, mut tickets, mut replies) = (at(0), vec![Lane(0)], Vec::new(), Vec::new());
        let mut waiting = alloc::collections::BTreeSet::new();
        for step in 0..120_u32 {
            let slot = slots[below(2) as usize];
            let lane = lanes[below(lanes.len() as u64) as usize];
            let noise = NOISE[below(NOISE.len() as u64) as usize];
            match below(20) {
                0..2 => manager.connect(slot, now),
                2 => manager.disconnect(slot, now),
                3 if below(4) == 0 => manager.close(now),
                3 => manager.close_engine(now),
                4 => manager.open(now),
                5..7 => {
                    let wanted = manager.emit_with_ack(
                        slot,
                        ("e", &step),
                        if below(3) == 0 { Delivery::Volatile } else { Delivery::Reliable },
                        step,
                        (below(2) == 0).then_some(ms(below(1000))),
                        now,
                    );
                    if wanted.is_ok() {
                        waiting.insert(step);
                    }
                }
                7 => drop(manager.emit(slot, "e", &noise, Delivery::Reliable, now)),
                8 => {
                    if let Some((slot, ticket)) = tickets.pop() {
                        let _ = manager.authenticate(slot, ticket, Some(&json!({ "a": 1 })));
                    }
                }
                9 => {
                    if let Some(reply) = replies.pop() {
                        let _ = manager.reply(reply, &noise);
                    }
                }
                10..14 => manager.handle(Input::WsFrame(lane, Frame::Text(noise.into())), now),
                14 => {
                    let body = [noise, NOISE[below(28) as usize]].join("\x1e");
                    manager.handle(Input::Response(lane, 200, body.into()), now);
                }
                15 => manager.handle(Input::Response(lane, 200, noise.into()), now),
                16 => manager.handle(Input::WsOpened(lane), now),
                17 => manager.handle(Input::Flushed(lane), now),
                18 if below(3) == 0 => match below(4) {
                    0 => manager.handle(Input::WsClosed(lane), now),
                    1 => manager.handle(Input::Failed(lane, Failure::Tls(TlsFault::Expired)), now),
                    2 => manager.handle(Input::WsFrame(lane, Frame::Binary(Bytes::from_static(b"x"))), now),
                    _ => manager.handle(Input::Response(lane, 400, Bytes::new()), now),
                },
                19 if below(4) == 0 => match below(2) {
                    0 => drop(manager.discard(slot)),
                    _ => manager.set_reconnection((below(2) == 0).then(Reconnection::default)),
                },
                _ => {
                    now += ms(below(800));
                    manager.handle_timeout(now);
                    assert!(manager.poll_timeout().is_none_or(|next| next > now), "seed {seed}, step {step}");
                }
            }
            if below(3) == 0 {
                // Inputs may pile up between drains.
                continue;
            }
            while let Some(output) = manager.poll_output() {
                match output {
                    Output::Get(lane, _) | Output::Post(lane, ..) | Output::WsConnect(lane, _) => {
                        assert!(!lanes.contains(&lane) || lane == Lane(0), "seed {seed}: {lane:?} twice");
                        lanes.push(lane);
                    }
                    Output::Event(Event::AuthNeeded { slot, ticket }) => tickets.push((slot, ticket)),
                    Output::Event(Event::Emit { reply, .. }) => replies.extend(reply),
                    Output::Event(Event::Acked { waiter, .. } | Event::AckFailed { waiter, .. }) => {
                        assert!(waiting.remove(&waiter), "seed {seed}: {waiter} was settled twice");
                    }
                    _ => {}
                }
            }
            assert!(!manager.has_output(), "seed {seed}, step {step}: there is more");
        }
        // However it stands, closing ends it: nothing is due but acknowledgements.
        manager.close(now);
        now += Duration::from_secs(10);
        manager.handle_timeout(now);
        while manager.poll_output().is_some() {}
        assert_eq!((manager.leaving(), manager.status()), (0, Status::Stopped), "seed {seed}");
    }
}
