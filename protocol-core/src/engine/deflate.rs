//! Compressed websocket messages: the negotiation of permessage-deflate (RFC 7692, section 7).
//!
//! Header values in, a decision out. What compresses is the driver's; which side may use how large a window, and whether
//! it may refer to earlier messages, is decided here, for the server that answers an offer and for the client that made it.

mod extensions;

use alloc::string::String;
use core::fmt::Write as _;

use self::extensions::{Element, Malformed, elements};
use super::http::{Headers, Response};

/// Compression of websocket messages, as one side wants it (`perMessageDeflate`).
///
/// The default bounds memory: no side keeps a window between messages, so a connection costs nothing while it is idle, and
/// all connections of a thread share one compressor and one decompressor. The reference keeps windows by default: smaller
/// messages on the wire, but some 420 KiB for each connection that sends and receives: 370 to compress, 46 to decompress. A
/// smaller window saves at most 125 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerMessageDeflate {
    /// Messages of fewer bytes are sent as they are. Default: 1024. An empty message never is compressed.
    pub threshold: usize,
    /// How hard to try, from 0 (not at all) to 9, which is also what more means. Default: 6.
    pub level: u8,
    /// The server compresses every message on its own, which costs bytes on the wire and saves memory on both sides.
    /// Default: true.
    pub server_no_context_takeover: bool,
    /// The client does. Default: true. As a client's own wish it binds the client, whatever the server says.
    pub client_no_context_takeover: bool,
    /// The largest window the server may use. Default: none is said, which means [`WindowBits::Fifteen`].
    pub server_max_window_bits: Option<WindowBits>,
    /// The largest window the client may use. A server that has it declines an offer that does not allow it to say so.
    /// Default: none is said.
    pub client_max_window_bits: Option<WindowBits>,
}

impl Default for PerMessageDeflate {
    fn default() -> Self {
        Self {
            threshold: DEFAULT_THRESHOLD,
            level: 6,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: None,
            client_max_window_bits: None,
        }
    }
}

/// The base-2 logarithm of a window in bytes. RFC 7692 also knows 8, with which no zlib compresses: an offer that asks a
/// server for it is declined, and a client of which it is asked sends its messages as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum WindowBits {
    /// 512 bytes.
    Nine = 9,
    /// 1 KiB.
    Ten,
    /// 2 KiB.
    Eleven,
    /// 4 KiB.
    Twelve,
    /// 8 KiB.
    Thirteen,
    /// 16 KiB.
    Fourteen,
    /// 32 KiB, the most there is.
    Fifteen,
}

impl WindowBits {
    /// As a number.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Of a number of RFC 7692, unless it is 8.
    const fn of(bits: Bits) -> Option<Self> {
        Some(match bits.0 {
            9 => Self::Nine,
            10 => Self::Ten,
            11 => Self::Eleven,
            12 => Self::Twelve,
            13 => Self::Thirteen,
            14 => Self::Fourteen,
            15 => Self::Fifteen,
            _ => return None,
        })
    }
}

/// What both sides agreed on, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// How to compress; `None`: the other side asked for what cannot be done, and messages leave as they are, which is
    /// always allowed.
    pub send: Option<Stream>,
    /// How the other side compresses.
    pub receive: Stream,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The largest window.
    pub window: WindowBits,
    /// Whether a message may refer to those before it, for which both sides keep a window.
    pub takeover: bool,
}

/// Decides on the offers in a request for a websocket: the first one that can be taken is. Gives the terms, and the value
/// of `Sec-WebSocket-Extensions` in the answer. `None`: none was made, or none can be taken; the websocket then goes on
/// without.
///
/// # Errors
/// The refusal (400) of a header that breaks the grammar of RFC 6455 (9.1), after which the connection is closed.
pub fn accept(
    headers: &dyn Headers,
    wanted: &PerMessageDeflate,
) -> Result<Option<(Agreement, String)>, Response> {
    let offers = elements(headers).map_err(|Malformed| {
        Response::html_close(400, "Invalid or unacceptable Sec-WebSocket-Extensions header".into())
    })?;
    let taken = offers.iter().filter(|offer| offer.name == NAME).find_map(|offer| {
        let offer = Parameters::parse(offer, true)?;
        offer.answer(wanted)
    });
    Ok(taken.map(|answer| (answer.agreement(Side::Server), answer.header())))
}

/// The value of `Sec-WebSocket-Extensions` with which a client asks. It always lets the server choose the client's window
/// (REFERENCE 5.1).
pub fn offer(wanted: &PerMessageDeflate) -> String {
    let wanted_of_client = wanted.client_max_window_bits;
    let offer = Parameters {
        server_no_context_takeover: wanted.server_no_context_takeover,
        client_no_context_takeover: wanted.client_no_context_takeover,
        server_max_window_bits: wanted.server_max_window_bits.map(Bits::from),
        client_max_window_bits: Some(wanted_of_client.map_or(Window::Any, |bits| Window::Most(bits.into()))),
    };
    offer.header()
}

/// Checks a server's answer to [`offer`]. `None`: it does without.
///
/// # Errors
/// [`BadAnswer`]; the websocket must not be used (RFC 7692, 7.1; RFC 6455, 4.1).
pub fn check_answer(
    headers: &dyn Headers,
    wanted: Option<&PerMessageDeflate>,
) -> Result<Option<Agreement>, BadAnswer> {
    if headers.get(FIELD).is_none() {
        return Ok(None);
    }
    let wanted = wanted.ok_or(BadAnswer::NotOffered)?;
    let answers = elements(headers).map_err(|Malformed| BadAnswer::Malformed)?;
    let [answer] = &answers[..] else { return Err(BadAnswer::NotOffered) };
    if answer.name != NAME {
        return Err(BadAnswer::NotOffered);
    }
    let answer = Parameters::parse(answer, false).ok_or(BadAnswer::Parameters)?;
    let over = |most: Option<WindowBits>, bits: Option<Bits>| match (most, bits) {
        (Some(most), Some(bits)) => bits > most.into(),
        _ => false,
    };
    let client_bits = answer.client_max_window_bits.and_then(Window::most);
    if (wanted.server_no_context_takeover && !answer.server_no_context_takeover)
        || (wanted.server_max_window_bits.is_some() && answer.server_max_window_bits.is_none())
        || over(wanted.server_max_window_bits, answer.server_max_window_bits)
        || over(wanted.client_max_window_bits, client_bits)
    {
        return Err(BadAnswer::Conflict);
    }
    // What a client announced about itself holds, whether the server repeats it or not.
    let answer = Parameters {
        client_no_context_takeover: answer.client_no_context_takeover || wanted.client_no_context_takeover,
        client_max_window_bits: answer
            .client_max_window_bits
            .or(wanted.client_max_window_bits.map(|bits| Window::Most(bits.into()))),
        ..answer
    };
    Ok(Some(answer.agreement(Side::Client)))
}

/// What is wrong with a server's `Sec-WebSocket-Extensions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It names an extension that was not asked for, or more than one.
    #[error("a websocket extension that was not offered")]
    NotOffered,
    /// It breaks the grammar of RFC 6455 (9.1).
    #[error("a Sec-WebSocket-Extensions that cannot be read")]
    Malformed,
    /// A parameter that permessage-deflate does not have, that is there twice, or with a value that is none.
    #[error("a parameter of permessage-deflate that does not exist, is there twice or has a wrong value")]
    Parameters,
    /// The parameters allow the server, or ask of the client, what the offer did not.
    #[error("parameters of permessage-deflate that the offer does not allow")]
    Conflict,
}

/// The parameters of an offer or an answer (RFC 7692, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<Bits>,
    client_max_window_bits: Option<Window>,
}

/// 8 to 15, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bits(u8);

impl From<WindowBits> for Bits {
    fn from(window: WindowBits) -> Self {
        Self(window.bits())
    }
}

/// `client_max_window_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// Without a value, which only an offer may: the server may choose.
    Any,
    Most(Bits),
}

impl Window {
    const fn most(self) -> Option<Bits> {
        match self {
            Self::Any => None,
            Self::Most(bits) => Some(bits),
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Server,
    Client,
}

impl Parameters {
    /// `None`: one is unknown, there twice, or has a value that it must not have. Whoever gets such an offer declines it;
    /// whoever gets such an answer fails.
    fn parse(element: &Element, is_offer: bool) -> Option<Self> {
        let mut parsed = Self::default();
        for (name, value) in &element.parameters {
            let value = value.as_deref();
            let is_new = match name.as_str() {
                "server_no_context_takeover" if value.is_none() => {
                    !core::mem::replace(&mut parsed.server_no_context_takeover, true)
                }
                "client_no_context_takeover" if value.is_none() => {
                    !core::mem::replace(&mut parsed.client_no_context_takeover, true)
                }
                "server_max_window_bits" => parsed.server_max_window_bits.replace(bits(value?)?).is_none(),
                "client_max_window_bits" => {
                    let window = match value {
                        Some(value) => Window::Most(bits(value)?),
                        None if is_offer => Window::Any,
                        None => return None,
                    };
                    parsed.client_max_window_bits.replace(window).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(parsed)
    }

    /// A server's answer to this offer; `None` declines it.
    fn answer(&self, wanted: &PerMessageDeflate) -> Option<Self> {
        // Declined where it asks for a window that no zlib has.
        let asked_of_server = match self.server_max_window_bits {
            Some(bits) => Some(WindowBits::of(bits)?),
            None => None,
        };
        let server = [asked_of_server, wanted.server_max_window_bits].into_iter().flatten().min();
        let client = match (self.client_max_window_bits, wanted.client_max_window_bits) {
            (None, Some(_)) => return None,
            (None, None) | (Some(Window::Any), None) => None,
            (Some(Window::Any), Some(most)) => Some(most.into()),
            (Some(Window::Most(bits)), most) => Some(most.map_or(bits, |most| bits.min(most.into()))),
        };
        Some(Self {
            server_no_context_takeover: self.server_no_context_takeover || wanted.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || wanted.client_no_context_takeover,
            server_max_window_bits: server.map(Bits::from),
            client_max_window_bits: client.map(Window::Most),
        })
    }

    /// What this, as an answer, means to one of the sides.
    fn agreement(&self, side: Side) -> Agreement {
        let server = (self.server_max_window_bits, !self.server_no_context_takeover);
        let client = (self.client_max_window_bits.and_then(Window::most), !self.client_no_context_takeover);
        let (ours, theirs) = match side {
            Side::Server => (server, client),
            Side::Client => (client, server),
        };
        let window = |bits: Option<Bits>| bits.map_or(Some(WindowBits::Fifteen), WindowBits::of);
        Agreement {
            send: window(ours.0).map(|window| Stream { window, takeover: ours.1 }),
            // A window that is larger than the other side's reads what it writes.
            receive: Stream { window: window(theirs.0).unwrap_or(WindowBits::Nine), takeover: theirs.1 },
        }
    }

    fn header(&self) -> String {
        let mut value = String::from(NAME);
        if self.server_no_context_takeover {
            value.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            value.push_str("; client_no_context_takeover");
        }
        if let Some(Bits(bits)) = self.server_max_window_bits {
            let _ = write!(value, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            Some(Window::Most(Bits(bits))) => drop(write!(value, "; client_max_window_bits={bits}")),
            Some(Window::Any) => value.push_str("; client_max_window_bits"),
            None => {}
        }
        value
    }
}

/// "a decimal integer value without leading zeroes between 8 to 15 inclusive" (RFC 7692, 7.1.2).
fn bits(value: &str) -> Option<Bits> {
    let bits =
        (8..=15).zip(["8", "9", "10", "11", "12", "13", "14", "15"]).find(|(_, text)| *text == value)?.0;
    Some(Bits(bits))
}

const NAME: &str = "permessage-deflate";

/// The header field of offers and answers.
const FIELD: &str = "sec-websocket-extensions";

/// Messages of fewer bytes are sent as they are (REFERENCE 1.9).
const DEFAULT_THRESHOLD: usize = 1024;

#[cfg(test)]
mod tests;
