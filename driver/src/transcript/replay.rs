//! From a transcript back to a peer.

use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use socketio_core::engine::buffer::Compression;
use socketio_core::engine::format::Format;
use socketio_core::engine::http::Jsonp;
use socketio_core::engine::packet::BinaryEncoding;
use socketio_core::engine::server::Opening;
use socketio_core::engine::{Revision, Transport};
use socketio_core::peer::{Config, Delivery, Peer, SendError};
use socketio_core::socket::Encoded;
use socketio_core::socket::server::Slot;
use socketio_core::{AckId, Instant, Lane};

use super::line::{Command, Data, Entry, Line, Opened, Out, Packet};

/// A client of a transcript, lived again: feed it the lines of one client, in order.
///
/// ```
/// # use socketio_driver::transcript::{Line, Replay};
/// # fn check(lines: &[Line]) -> Result<(), Box<dyn std::error::Error>> {
/// let mut replay = Replay::default();
/// for line in lines {
///     replay.step(line)?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Replay {
    peer: Option<Peer<()>>,
    /// Why the last command failed.
    failed: Option<String>,
}

/// Where a peer does not do what the transcript says it did.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Mismatch<O: Debug + Serialize = Out> {
    /// It says something else, or nothing.
    #[error("the transcript has {}, the replay {}", shown(expected), found.as_ref().map_or("nothing".into(), shown))]
    Output {
        /// What the transcript has.
        expected: Box<O>,
        /// What it says instead.
        found: Option<Box<O>>,
    },
    /// It has more to say after the end.
    #[error("the transcript ends here, the replay goes on with {}", shown(found))]
    More {
        /// What it says.
        found: Box<O>,
    },
    /// A command ends differently.
    #[error("the command {}, in the replay it {}", ending(expected.as_ref()), ending(found.as_ref()))]
    Result {
        /// Why it failed in the transcript, if it did.
        expected: Option<String>,
        /// Why it fails now, if it does.
        found: Option<String>,
    },
    /// Something has happened before the beginning, or there are two: lines are missing, or those of
    /// several clients are mixed.
    #[error("not the next line of this client")]
    OutOfPlace,
    /// The server had no room to write down more.
    #[error("the transcript is broken off here")]
    BrokenOff,
    /// A value that no transcript has: an unknown transport, a revision that is neither 3 nor 4.
    #[error("{0} is not known")]
    Unknown(&'static str),
}

impl Replay {
    /// Lives through one more line.
    ///
    /// # Errors
    /// [`Mismatch`], after which there is no sense in going on.
    pub fn step(&mut self, line: &Line) -> Result<(), Mismatch> {
        let expected = match &line.entry {
            Entry::Failed(reason) => Some(reason),
            _ => None,
        };
        compare_results(expected, self.failed.take())?;
        let peer = match (&line.entry, &mut self.peer) {
            (Entry::Open(opened), None) => {
                self.peer = Some(opened.peer(line.at)?);
                return Ok(());
            }
            (Entry::Open(_), Some(_)) | (_, None) => return Err(Mismatch::OutOfPlace),
            (_, Some(peer)) => peer,
        };
        match &line.entry {
            Entry::Open(_) | Entry::Failed(_) => {}
            Entry::In(input) => peer.handle(input.clone(), line.at),
            Entry::Due {} => peer.handle_timeout(line.at),
            Entry::Do(command) => self.failed = command.run(peer, line.at)?,
            Entry::Out(expected) => {
                compare_outputs(expected, peer.poll_output().map(|output| Out::of(&output)))?;
            }
            Entry::BrokenOff {} => return Err(Mismatch::BrokenOff),
        }
        Ok(())
    }

    /// What it would say next and no line has asked for. In a transcript that ends with its client there is nothing.
    pub fn rest(mut self) -> Vec<Out> {
        let mut rest = Vec::new();
        while let Some(output) = self.peer.as_mut().and_then(Peer::poll_output) {
            rest.push(Out::of(&output));
        }
        rest
    }
}

impl Opened {
    fn peer(&self, now: Instant) -> Result<Peer<()>, Mismatch> {
        let config =
            Config { engine: Arc::new(self.config.engine.clone()), socket: self.config.socket.clone() };
        let opening = Opening {
            sid: self.sid.as_str().into(),
            format: Format {
                revision: match self.revision {
                    3 => Revision::V3,
                    4 => Revision::V4,
                    _ => return Err(Mismatch::Unknown("the revision")),
                },
                binary: if self.base64 { BinaryEncoding::Base64 } else { BinaryEncoding::Raw },
                jsonp: self.jsonp.as_deref().map(Jsonp::new),
            },
            upgrades: self.upgrades.iter().map(|name| transport(name)).collect::<Result<_, _>>()?,
        };
        let lane = Lane(self.lane);
        match transport(&self.transport)? {
            Transport::Polling => Ok(Peer::polling(Arc::new(config), opening, lane, now)),
            Transport::Websocket => Ok(Peer::websocket(Arc::new(config), opening, lane, now)),
            Transport::Webtransport => Err(Mismatch::Unknown("the transport")),
        }
    }
}

impl Command {
    /// Why it fails, if it does.
    fn run(&self, peer: &mut Peer<()>, now: Instant) -> Result<Option<String>, Mismatch> {
        let result = match self {
            Self::Accept { slot, sid, pid } => {
                let pid = pid.as_deref().map(Into::into);
                peer.accept(Slot(*slot), &sid.as_str().into(), pid.as_ref())
                    .map_err(|error| error.to_string())
            }
            Self::Refuse { slot, message, data } => {
                peer.refuse(Slot(*slot), message, data.as_ref()).map_err(|error| error.to_string())
            }
            Self::RefuseUnknown { slot } => {
                peer.refuse_unknown(Slot(*slot)).map_err(|error| error.to_string())
            }
            Self::Send { slot, packet, volatile } => {
                let delivery = if *volatile { Delivery::Volatile } else { Delivery::Reliable };
                peer.send(Slot(*slot), packet.encoded(), delivery).map_err(|error| error.to_string())
            }
            Self::SendLatest { slot, name, packet } => {
                peer.send_latest(Slot(*slot), name, &packet.encoded()).map_err(|error| error.to_string())
            }
            Self::SendWithAck { slot, packet, id, deadline } => {
                let deadline = deadline.map(Instant::from_micros);
                peer.send_with_ack(Slot(*slot), &packet.encoded(), AckId(*id), (), deadline)
                    .map_err(|(error, ()): (SendError, ())| error.to_string())
            }
            Self::ForgetAck { slot, id } => {
                peer.forget_ack(Slot(*slot), AckId(*id));
                Ok(())
            }
            Self::Leave { slot } => {
                peer.leave(Slot(*slot), now);
                Ok(())
            }
            Self::Disconnect => {
                peer.disconnect(now);
                Ok(())
            }
            Self::Close => {
                peer.close(now);
                Ok(())
            }
            Self::ShutDown => {
                peer.shut_down(now);
                Ok(())
            }
            Self::WindDown => {
                peer.wind_down(now);
                Ok(())
            }
            Self::GiveUp => {
                peer.give_up(now);
                Ok(())
            }
        };
        Ok(result.err())
    }
}

/// How the last command ended, there and here.
pub(super) fn compare_results<O: Debug + Serialize>(
    expected: Option<&String>,
    found: Option<String>,
) -> Result<(), Mismatch<O>> {
    if expected == found.as_ref() {
        return Ok(());
    }
    Err(Mismatch::Result { expected: expected.cloned(), found })
}

/// What was said, there and here.
pub(super) fn compare_outputs<O: Clone + Debug + PartialEq + Serialize>(
    expected: &O,
    found: Option<O>,
) -> Result<(), Mismatch<O>> {
    if found.as_ref() == Some(expected) {
        return Ok(());
    }
    Err(Mismatch::Output { expected: Box::new(expected.clone()), found: found.map(Box::new) })
}

impl Packet {
    pub(super) fn encoded(&self) -> Encoded {
        let attachments = self.attachments.iter().cloned().map(Data::into_bytes).collect();
        let compression = if self.uncompressed { Compression::Forbidden } else { Compression::Allowed };
        Encoded::from_frames(self.head.clone().into_frame(), attachments).with_compression(compression)
    }
}

pub(super) fn transport<O: Debug + Serialize>(name: &str) -> Result<Transport, Mismatch<O>> {
    let all = [Transport::Polling, Transport::Websocket, Transport::Webtransport];
    all.into_iter().find(|transport| transport.name() == name).ok_or(Mismatch::Unknown("the transport"))
}

fn shown(out: &impl Serialize) -> String {
    serde_json::to_string(out).unwrap_or_default()
}

fn ending(failed: Option<&String>) -> String {
    failed.map_or("was carried out".into(), |reason| format!("failed ({reason})"))
}
