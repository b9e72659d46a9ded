//! Events that are sent until they are acknowledged.

use super::*;

fn retrying() -> Client {
    let mut client = Client::with(Config::default(), RETRIES);
    client.reach("A");
    client
}

#[test]
fn with_retries_one_event_at_a_time_is_sent_until_it_is_acknowledged() {
    let mut client = retrying();
    client.emit("a", 1);
    client.ask("b", None);
    client.manager.emit(ROOT, "v", &(), Delivery::Volatile, client.now).unwrap();
    assert_eq!(client.drain(), [r#"420["a",1]"#]);
    client.wait(100);
    assert_eq!(client.drain(), [r#"421["a",1]"#]);
    // An answer to the first try comes too late.
    client.server("430[]");
    assert_eq!(client.drain(), [""; 0]);
    client.server("431[]");
    assert_eq!(client.drain(), [r#"422["b"]"#]);
    client.server("432[7]");
    assert_eq!(client.drain(), ["acked b [7]"]);
    client.wait(1000);
    assert_eq!(client.drain(), [""; 0]);
}

#[test]
fn after_the_last_retry_the_event_is_given_up_and_the_next_one_sent() {
    let mut client = retrying();
    client.ask("a", Some(30));
    client.emit("b", 1);
    assert_eq!(client.drain(), [r#"420["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), [r#"421["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), [r#"422["a"]"#]);
    client.wait(30);
    assert_eq!(client.drain(), ["ack failed a: operation has timed out", r#"423["b",1]"#]);
}

#[test]
fn a_disconnect_counts_as_a_try_and_the_event_is_sent_again_on_the_next_connection() {
    let mut client = retrying();
    client.ask("a", None);
    client.emit("b", 1);
    client.drain();
    for (id, sid) in [(1, "B"), (2, "C")] {
        client.cut();
        client.skip();
        client.drain();
        client.welcome();
        client.server(&format!("40{{\"sid\":\"{sid}\"}}"));
        assert_eq!(client.drain(), [format!("connected {sid}"), format!("42{id}[\"a\"]")]);
    }
    client.cut();
    let lost = [
        "closed: transport close",
        "disconnected: transport close",
        "ack failed a: socket has been disconnected",
    ];
    assert_eq!(client.drain(), lost);
    client.skip();
    client.drain();
    client.welcome();
    client.server(r#"40{"sid":"D"}"#);
    assert_eq!(client.drain(), ["connected D", r#"423["b",1]"#]);
}

#[test]
fn the_queue_of_retries_is_bounded() {
    let send_queue = QueueLimits { max_packets: 2, max_bytes: 1000 };
    let mut client = Client::with(Config { send_queue, ..Config::default() }, RETRIES);
    client.emit("a", 1);
    client.emit("a", 2);
    let refused = client.manager.emit_with_ack(ROOT, ("a", &3), Delivery::Reliable, "w", None, client.now);
    assert_eq!(refused, Err((EmitError::Full, "w")));
    client.reach("A");
    client.server("430[]");
    assert_eq!(client.drain(), ["Drained { slot: Slot(0) }", r#"421["a",2]"#]);
}
