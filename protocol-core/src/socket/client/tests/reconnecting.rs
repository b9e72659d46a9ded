//! A connection that is lost and made again, or not.

use super::*;

#[test]
fn the_delays_between_attempts_follow_from_the_seed() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.drain();
    let mut delays = Vec::new();
    for attempt in 0..6 {
        client.refuse();
        let outputs = client.drain();
        let error = "error: websocket error";
        let head = [error, "connect error: websocket error"];
        assert_eq!(outputs[..2], head);
        assert_eq!(
            outputs.get(2).map(String::as_str),
            (attempt > 0).then_some("reconnect error: websocket error")
        );
        assert!(matches!(client.manager.status(), Status::Waiting { .. }));
        delays.push(client.skip());
        let again = [format!("ReconnectAttempt({})", attempt + 1), format!("ws {}", attempt + 1)];
        assert_eq!(client.drain(), again);
    }
    // The manager draws one number for each session as well.
    let mut random = crate::random::Random::new(42);
    let expected: Vec<u64> = (0..6)
        .map(|attempt| {
            random.next();
            let (base, chance) = (1000_u64 << attempt, random.fraction());
            let deviation = (chance * 0.5 * base as f64) as u64;
            let odd = ((chance * 10.0) as u64) % 2 == 1;
            (if odd { base + deviation } else { base - deviation }).min(5000)
        })
        .collect();
    assert_eq!(delays, expected);
    assert_eq!(delays, [1079, 2344, 2264, 4798, 5000, 5000]);
    // Success begins the count anew.
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(6)"]);
    client.cut();
    client.drain();
    assert!((500..=1500).contains(&client.skip()));
    assert_eq!(client.drain()[0], "ReconnectAttempt(1)");
}

#[test]
fn how_the_connection_is_made_again_can_be_changed_meanwhile() {
    let mut client = Client::connected(Config::default());
    client.cut();
    client.drain();
    // The time that is waited already stands.
    let changed = Reconnection { delay: ms(50), jitter: 0.0, ..Reconnection::default() };
    client.manager.set_reconnection(Some(changed));
    assert!(client.skip() >= 500);
    client.refuse();
    client.drain();
    assert_eq!(client.skip(), 100);
    client.refuse();
    client.drain();
    // No more of it.
    client.manager.set_reconnection(None);
    assert_eq!(client.drain(), ["ReconnectFailed"]);
    assert_eq!((client.manager.status(), client.manager.poll_timeout()), (Status::Stopped, None));
    client.reach("B");
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    assert_eq!(client.manager.status(), Status::Stopped);
    // And again, without a word since nobody waits.
    client.manager.set_reconnection(None);
    client.manager.set_reconnection(Some(changed));
    assert_eq!(client.drain(), [""; 0]);
    client.reach("C");
    client.cut();
    client.drain();
    assert_eq!(client.skip(), 50);
}

#[test]
fn the_timeout_and_the_query_can_be_changed_for_the_next_attempt() {
    let mut client = Client::new(Config { reconnection: None, ..Config::default() });
    let target = |client: &mut Client| {
        client.manager.connect(ROOT, client.now);
        match client.manager.poll_output() {
            Some(Output::WsConnect(_, target)) => target,
            other => panic!("{other:?}"),
        }
    };
    client.manager.set_query(vec![("token".into(), "a b".into())]);
    client.manager.set_timeout(Some(ms(30)));
    assert_eq!(target(&mut client), "/socket.io/?token=a%20b&EIO=4&transport=websocket");
    client.manager.set_timeout(None);
    client.manager.set_query(Vec::new());
    assert_eq!(client.skip(), 30);
    assert_eq!(client.drain()[0], "close");
    assert_eq!(target(&mut client), "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn after_the_last_attempt_nothing_happens_until_somebody_connects() {
    let reconnection = Some(Reconnection { max_attempts: Some(2), ..Reconnection::default() });
    let mut client = Client::new(Config { reconnection, ..Config::default() });
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.refuse();
    client.skip();
    client.refuse();
    client.skip();
    client.drain();
    client.refuse();
    assert_eq!(
        client.drain(),
        [
            "error: websocket error",
            "connect error: websocket error",
            "ReconnectFailed",
            "reconnect error: websocket error"
        ]
    );
    assert_eq!(client.manager.poll_timeout(), None);
    assert!(client.manager.is_active(ROOT));
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), ["ws 3"]);
    client.refuse();
    client.skip();
    client.drain();
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?", "Reconnect(1)"]);
}

#[test]
fn without_reconnection_a_connection_is_not_made_again() {
    let mut client = Client::connected(Config { reconnection: None, ..Config::default() });
    client.cut();
    assert_eq!(client.drain(), ["closed: transport close", "disconnected: transport close"]);
    assert_eq!(client.manager.status(), Status::Stopped);
    client.manager.connect(ROOT, client.now);
    client.drain();
    client.refuse();
    assert_eq!(client.drain(), ["error: websocket error", "connect error: websocket error"]);
    assert_eq!(client.manager.status(), Status::Stopped);
}

#[test]
fn a_connection_that_is_not_made_in_time_has_failed() {
    let mut client = Client::new(Config { timeout: Some(ms(300)), ..Config::default() });
    client.manager.connect(ROOT, client.now);
    client.drain();
    assert_eq!(client.skip(), 300);
    assert_eq!(client.drain(), ["close", "error: timeout", "connect error: timeout"]);
    let old = client.lane;
    client.skip();
    assert_eq!(client.drain(), ["ReconnectAttempt(1)", "ws 1"]);
    // What the given-up attempt still says is not taken for the new one's.
    client.handle(Input::WsFrame(old, Frame::Text(HANDSHAKE.into())));
    assert_eq!(client.drain(), [""; 0]);
    client.skip();
    assert_eq!(
        client.drain(),
        ["close", "error: timeout", "connect error: timeout", "reconnect error: timeout"]
    );
}

#[test]
fn waiting_ends_early_when_somebody_opens_and_for_good_when_somebody_closes() {
    let mut client = Client::new(Config::default());
    client.manager.connect(ROOT, client.now);
    client.refuse();
    client.drain();
    client.manager.connect(ROOT, client.now);
    assert_eq!(client.drain(), [""; 0]);
    client.manager.open(client.now);
    assert_eq!(client.drain(), ["ReconnectAttempt(1)", "ws 1"]);
    client.refuse();
    client.drain();
    client.manager.disconnect(ROOT, client.now);
    assert_eq!(client.drain(), ["closed: forced close"]);
    assert_eq!(client.manager.poll_timeout(), None);
}

#[test]
fn closing_is_for_good_but_closing_the_engine_is_not() {
    let mut client = Client::connected(Config::default());
    client.manager.close_engine(client.now);
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected: forced close"]);
    assert_eq!(client.drain(), [""; 0]);
    client.skip();
    client.drain();
    client.welcome();
    client.manager.close(client.now);
    assert_eq!(client.drain(), ["close", "closed: forced close", "disconnected: forced close"]);
    assert_eq!(client.manager.poll_timeout(), None);
    assert!(client.manager.is_active(ROOT));
    client.manager.open(client.now);
    assert_eq!(client.drain(), ["ws 2"]);
    client.server(HANDSHAKE);
    assert_eq!(client.drain(), ["Open", "auth?"]);
}
