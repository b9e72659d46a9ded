//! Socket.IO and Engine.IO as a sans-IO state machine: it decides, and somebody else does.
//!
//! Requests, websocket messages and the current time go in; responses, websocket messages, events and the time of the
//! next timeout come out. There is no socket in here, no clock, no thread, no lock and no runtime, and `std` is not
//! needed. Most people want a crate that has all that: `socketio-tokio`, `socketio-async-std` or `socketio-smol`. This one is for a
//! server of one's own, for tools that look into packets, and for tests that want the protocol without the network.
//!
//! ```text
//!     what arrived                      what the application wants
//!     handle(input, now)                accept, refuse, send, leave, close …
//!           │                                        │
//!   ┌─ peer ▼────────────────────────────────────────▼─────────┐
//!   │  engine::server::Session ──messages─► socket::server::   │     rooms::Registry
//!   │  polling, upgrade, websocket,         Connection         │     who gets a broadcast
//!   │  heartbeat                 ◄─packets─ namespaces, acks   │
//!   └───────┬────────────────────────────────────────┬─────────┘     engine::http
//!           ▼                                        ▼               which request is for whom
//!     poll_output()                            poll_timeout()
//!     responses, frames, events                when handle_timeout(now) is due
//! ```
//!
//! # The run loop
//!
//! A [`Peer`](peer::Peer) is one client. Whatever happens, the same three things follow: carry out what it has to say,
//! wait until something arrives or is due, tell it. Here a client opens a session by polling, joins the namespace `/`, and
//! asks for an answer; `docs/embedding.md` in the repository goes through the same with websockets and several clients.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//!
//! use socketio_core::engine::format::Format;
//! use socketio_core::engine::payload_v3::Form;
//! use socketio_core::engine::server::{Input, Opening};
//! use socketio_core::peer::{Config, Delivery, Event, Output, Peer};
//! use socketio_core::socket::{Codec, Nsp, server as socket};
//! use socketio_core::{Instant, Lane, Sid};
//!
//! // A GET without a session id arrived: request number 1. Real ids take real randomness.
//! let opening = Opening { sid: Sid::generate([7; 12], 1), format: Format::V4, upgrades: vec![] };
//! let mut peer = Peer::<()>::polling(Arc::new(Config::default()), opening, Lane(1), Instant::ZERO);
//!
//! // What will arrive: CONNECT and EVENT, each in a POST, then a GET for the answers.
//! let mut arriving = VecDeque::from([
//!     Input::Post(Lane(2), Form::Text),
//!     Input::PostBody(Lane(2), "40".into()),
//!     Input::Post(Lane(3), Form::Text),
//!     Input::PostBody(Lane(3), "420[\"sum\",2,3]".into()),
//!     Input::Poll(Lane(4)),
//! ]);
//! let mut written = Vec::new();
//! loop {
//!     // 1. Carry out what it has to say. Commands in between are fine: what they cause comes out as well.
//!     while let Some(output) = peer.poll_output() {
//!         match output {
//!             Output::Respond(Lane(request), response) => written.push((request, response.body)),
//!             Output::Event(Event::Socket(socket::Event::ConnectRequest { slot, .. })) => {
//!                 peer.accept(slot, &Sid::from("public-id"), None).expect("it is still there");
//!             }
//!             Output::Event(Event::Socket(socket::Event::Emit { slot, event })) => {
//!                 let (a, b): (u32, u32) = event.args().decode().expect("two numbers");
//!                 let id = event.ack.expect("it asked for an answer");
//!                 let answer = Codec::Text.ack(&Nsp::ROOT, id, &(a + b)).expect("a number");
//!                 peer.send(slot, &answer, Delivery::Reliable).expect("the queue has room");
//!             }
//!             other => panic!("not in this story: {other:?}"),
//!         }
//!     }
//!     // 2. Wait: for something to arrive, and no longer than until `peer.poll_timeout()`. 3. Tell it.
//!     match arriving.pop_front() {
//!         Some(input) => peer.handle(input, Instant::from_micros(100)),
//!         None => break, // or, when a timeout is due: peer.handle_timeout(now)
//!     }
//! }
//! assert_eq!(written[1], (2, "ok".into()));
//! assert_eq!(written[2], (3, "ok".into()));
//! assert_eq!(written[3], (4, "40{\"sid\":\"public-id\"}\u{1e}430[5]".into()));
//! assert_eq!(peer.poll_timeout(), Some(Instant::from_micros(25_000_000))); // the first heartbeat
//! ```
//!
//! # What holds everywhere
//!
//! - Every machine has the same verbs: `handle(input, now)` and `handle_timeout(now)` take, `poll_output()` and
//!   `poll_timeout()` give, and commands are named for what they do. Any order, any number between two drains.
//! - `handle` cannot fail: what a peer does wrong becomes outputs and, at the worst, one
//!   [`Closed`](peer::Event::Closed). Commands return errors, all of which the caller can do something about.
//! - No bytes from a peer cause a panic. Every count and size a peer controls has a limit, and every state a deadline.
//! - Outputs come in causal order, and `Closed` is the last. After `handle_timeout(now)`, `poll_timeout()` is later than
//!   `now`.
//! - Payloads are slices of what was received; an event sent to many is encoded once.
//!
//! # Where to look
//!
//! | module | what it is |
//! |---|---|
//! | [`peer`] | one accepted client: where an embedder begins |
//! | [`engine`] | Engine.IO: packets, payloads, handshake, HTTP rules ([`engine::http`]), the session |
//! | [`socket`] | Socket.IO: packets and their parser, arguments, acknowledgements, namespaces |
//! | [`rooms`] | who is in which room, and who gets a broadcast |

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod cluster;
pub mod engine;
mod id;
pub mod peer;
mod random;
pub mod rooms;
pub mod socket;
mod time;
mod word;

/// Text checked for UTF-8 once and shared by reference: cloning and slicing never copy.
///
/// A slice keeps the buffer it was cut from alive, so whatever outlives the request it came with is copied first.
pub type Str = bytestring::ByteString;

pub use bytes::Bytes;
pub use id::{AckId, Lane, Sid};
pub use time::Instant;
