//! What is written is read back as it was.

use std::time::Duration;

use socketio_core::engine::Transport;
use socketio_core::engine::client::{self as engine, Failure, Input, ProxyFault, Timestamps, TlsFault};
use socketio_core::engine::packet::{BinaryEncoding, Frame};
use socketio_core::socket::client::{Config, QueueLimits, Reconnection, Retries, SocketConfig};
use socketio_core::socket::{Codec, Limits};
use socketio_core::{Instant, Lane};

use super::{Command, Entry, Line, Made};

fn check(entry: Entry) -> Entry {
    let line = Line { connection: 7, at: Instant::from_micros(u64::MAX), entry };
    let text = line.to_string();
    let read: Line = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(format!("{read:?}"), format!("{line:?}"));
    read.entry
}

#[test]
fn every_input() {
    let lane = Lane(u64::MAX);
    let tls = [
        TlsFault::UnknownIssuer,
        TlsFault::WrongName,
        TlsFault::Expired,
        TlsFault::NotYetValid,
        TlsFault::BadCertificate,
        TlsFault::Refused,
        TlsFault::NotTls,
        TlsFault::Other,
    ];
    let proxy = [
        ProxyFault::Unresolved,
        ProxyFault::Unreachable,
        ProxyFault::Tls(TlsFault::Expired),
        ProxyFault::Credentials,
        ProxyFault::Refused(403),
        ProxyFault::Connection,
    ];
    let failures = [
        Failure::Unresolved,
        Failure::Refused,
        Failure::LocalAddress,
        Failure::Unreachable,
        Failure::Connection,
        Failure::status(502, b"<h1>\"bad\" gateway \xff</h1>"),
        Failure::TooLarge,
        Failure::TimedOut,
    ];
    let failures = failures.into_iter().chain(tls.map(Failure::Tls)).chain(proxy.map(Failure::Proxy));
    let inputs = [
        Input::Response(lane, 200, "40\u{1e}42".into()),
        Input::Response(lane, 500, vec![0xff, 0].into()),
        Input::WsOpened(lane),
        Input::WsFrame(lane, Frame::Text("2naïve".into())),
        Input::WsFrame(lane, Frame::Binary(vec![4, 0xff].into())),
        Input::Flushed(lane),
        Input::WsClosed(lane),
    ];
    let inputs = inputs.into_iter().chain(failures.map(|failure| Input::Failed(lane, failure)));
    inputs.for_each(|input| drop(check(Entry::In(input))));
}

#[test]
fn everything_that_can_be_set() {
    let pairs = vec![("a b".to_owned(), "\"".to_owned())];
    let own = engine::TransportConfig { path: Some("/ws/".into()), query: Some(pairs.clone()) };
    let engine = engine::Config {
        path: "/x/".into(),
        query: pairs,
        transport_options: vec![
            (Transport::Websocket, own),
            (Transport::Polling, engine::TransportConfig::default()),
        ],
        transports: vec![Transport::Websocket, Transport::Polling, Transport::Webtransport],
        try_all_transports: true,
        upgrade: false,
        remember_upgrade: true,
        upgrade_timeout: Duration::from_micros(3),
        timestamps: Timestamps::All,
        timestamp_param: "now".into(),
        binary: BinaryEncoding::Base64,
        request_timeout: Some(Duration::from_nanos(1)),
        ..engine::Config::default()
    };
    let reconnection = Reconnection { max_attempts: Some(3), jitter: 0.1 + 0.2, ..Reconnection::default() };
    let config = Config {
        engine: engine.into(),
        codec: Codec::Msgpack,
        limits: Limits { max_nesting: 3, ..Limits::default() },
        report_packets: true,
        reconnection: Some(reconnection),
        timeout: None,
        send_queue: QueueLimits { max_packets: 1, max_bytes: 2 },
        ..Config::default()
    };
    let Entry::Made(made) = check(Entry::Made(Made::new(&config, u64::MAX).into())) else { panic!("made") };
    assert_eq!(format!("{:?}", made.config.config()), format!("{config:?}"));
    let none = Config { reconnection: None, ..Config::default() };
    check(Entry::Made(Made::new(&none, 0).into()));
    let retries = Some(Retries { count: 1, ack_timeout: Duration::from_nanos(1) });
    for retries in [None, retries] {
        let config = SocketConfig { ack_timeout: Some(Duration::MAX), retries };
        check(Command::Socket { nsp: "/a".into(), config }.into());
    }
}
