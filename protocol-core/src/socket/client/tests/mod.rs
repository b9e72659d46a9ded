use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::engine::Revision;
use crate::engine::client::{self as engine, Failure, Input, TlsFault, TransportError};
use crate::engine::packet::{Frame, Packet};
use crate::socket::{Body, Codec, DecodeError, Decoder, EncodeError, Encoded, Limits, Nsp, Raw};
use crate::{AckId, Instant, Lane};

mod chaos;
mod connecting;
mod leaving;
mod reconnecting;
mod recovery;
mod refusals;
mod retries;
mod sending;

const HANDSHAKE: &str = r#"0{"sid":"S","upgrades":[],"pingInterval":60000,"pingTimeout":20000}"#;

fn nsp(name: &str) -> Nsp {
    Nsp::new(name).unwrap()
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A manager on websockets, whose server is the test.
struct Client {
    manager: Manager<&'static str>,
    now: Instant,
    /// The websocket in use.
    lane: Lane,
    /// Websockets that are no more: closing them is not worth a word.
    gone: Vec<Lane>,
    ticket: Option<(Slot, Ticket)>,
    replies: Vec<Reply>,
}

const ROOT: Slot = Slot(0);

impl Client {
    /// A manager with a socket for `/` that rests.
    fn new(config: Config) -> Self {
        Self::with(config, SocketConfig::default())
    }

    fn with(config: Config, socket: SocketConfig) -> Self {
        let engine = engine::Config { transports: vec![Transport::Websocket], ..engine::Config::default() };
        let mut manager = Manager::new(Arc::new(Config { engine: Arc::new(engine), ..config }), 42);
        assert_eq!(manager.socket(&Nsp::ROOT, socket), ROOT);
        Self { manager, now: at(0), lane: Lane(0), gone: Vec::new(), ticket: None, replies: Vec::new() }
    }

    /// Connected to `/` as `A`.
    fn connected(config: Config) -> Self {
        let mut client = Self::new(config);
        client.reach("A");
        client
    }

    /// Connects `/`, from wherever it is.
    fn reach(&mut self, sid: &str) {
        self.manager.connect(ROOT, self.now);
        self.drain();
        self.welcome();
        self.server(&format!("40{{\"sid\":\"{sid}\"}}"));
        self.drain();
        assert!(self.manager.is_connected(ROOT));
    }

    /// The session opens, and the socket sends its CONNECT.
    fn welcome(&mut self) {
        self.server(HANDSHAKE);
        self.drain();
        self.authenticate(None);
        self.drain();
    }

    fn authenticate(&mut self, auth: Option<serde_json::Value>) {
        let (slot, ticket) = self.ticket.take().unwrap();
        self.manager.authenticate(slot, ticket, auth.as_ref()).unwrap();
    }

    fn server(&mut self, frame: &str) {
        self.handle(Input::WsFrame(self.lane, Frame::Text(frame.into())));
    }

    fn cut(&mut self) {
        self.gone.push(self.lane);
        self.handle(Input::WsClosed(self.lane));
    }

    fn refuse(&mut self) {
        self.drain();
        self.gone.push(self.lane);
        self.handle(Input::Failed(self.lane, Failure::Unreachable));
    }

    fn handle(&mut self, input: Input) {
        self.manager.handle(input, self.now);
    }

    fn emit(&mut self, name: &str, args: u32) {
        self.manager.emit(ROOT, name, &args, Delivery::Reliable, self.now).unwrap();
    }

    fn ask(&mut self, name: &'static str, timeout: Option<u64>) {
        let result = self.manager.emit_with_ack(
            ROOT,
            (name, &()),
            Delivery::Reliable,
            name,
            timeout.map(ms),
            self.now,
        );
        result.unwrap();
    }

    /// Lets time pass up to the next deadline, and says how much it was.
    fn skip(&mut self) -> u64 {
        let next = self.manager.poll_timeout().unwrap();
        let skipped = next.saturating_since(self.now);
        self.wait(u64::try_from(skipped.as_millis()).unwrap());
        u64::try_from(skipped.as_millis()).unwrap()
    }

    fn wait(&mut self, millis: u64) {
        self.now += ms(millis);
        self.manager.handle_timeout(self.now);
        assert!(self.manager.poll_timeout().is_none_or(|next| next > self.now));
    }

    fn drain(&mut self) -> Vec<String> {
        let mut shown = Vec::new();
        while let Some(output) = self.manager.poll_output() {
            if !matches!(output, Output::WsClose(lane) if self.gone.contains(&lane)) {
                shown.push(self.show(output));
            }
        }
        shown
    }

    /// An output in a few words. Written frames count as flushed at once.
    fn show(&mut self, output: Output<&'static str>) -> String {
        match output {
            Output::WsConnect(lane, _) => {
                self.lane = lane;
                format!("ws {}", lane.0 >> 32)
            }
            Output::WsSend(lane, frame, _) => {
                self.handle(Input::Flushed(lane));
                match frame {
                    Frame::Text(text) => text.to_string(),
                    Frame::Binary(data) => format!("{data:?}"),
                }
            }
            Output::WsClose(_) => "close".into(),
            Output::Event(event) => self.show_event(event),
            output => panic!("{output:?}"),
        }
    }

    fn show_event(&mut self, event: Event<&'static str>) -> String {
        let of = |slot: Slot| if slot == ROOT { String::new() } else { format!("[{}]", slot.0) };
        match event {
            Event::Error(error) => format!("error: {error}"),
            Event::Close(reason) => format!("closed: {reason}"),
            Event::ReconnectError(error) => format!("reconnect error: {error}"),
            Event::AuthNeeded { slot, ticket } => {
                self.ticket = Some((slot, ticket));
                format!("auth?{}", of(slot))
            }
            Event::Connected { slot, sid, recovered } => {
                format!("connected{} {sid}{}", of(slot), if recovered { " recovered" } else { "" })
            }
            Event::ConnectError { slot, error } => format!("connect error{}: {error}", of(slot)),
            Event::Disconnected { slot, reason } => format!("disconnected{}: {reason}", of(slot)),
            Event::Emit { slot, event, reply } => {
                let shown = format!("event{} {} {}", of(slot), event.name(), show_args(event.args()));
                self.replies.extend(reply);
                shown
            }
            Event::Acked { waiter, args } => format!("acked {waiter} {}", show_args(&args)),
            Event::AckFailed { waiter, error } => format!("ack failed {waiter}: {error}"),
            event => format!("{event:?}"),
        }
    }
}

fn show_args(args: &Args) -> String {
    match args.raw() {
        Raw::Json(text) => format!("[{text}]"),
        Raw::Msgpack(bytes) => format!("{bytes:?}"),
    }
}

impl Client {
    fn reach_with_output(&mut self, expected: &[&str]) {
        self.manager.connect(ROOT, self.now);
        self.drain();
        self.welcome();
        self.server(r#"40{"sid":"A"}"#);
        assert_eq!(self.drain(), expected);
    }
}

const RETRIES: SocketConfig = SocketConfig {
    ack_timeout: None,
    retries: Some(Retries { count: 2, ack_timeout: Duration::from_millis(100) }),
};
