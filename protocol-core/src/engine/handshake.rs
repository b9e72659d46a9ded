//! The handshake: what the server tells the client in the first packet of a session (REFERENCE 1.2), and the set of
//! transports both draw on.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::Transport;
use super::packet::Packet;
use crate::Sid;

/// The data of the open packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The session id.
    pub sid: Sid,
    /// The transports the client may upgrade to. Of those a server names, the ones unknown here are left out.
    pub upgrades: Vec<Transport>,
    /// How often the server pings (milliseconds on the wire).
    pub ping_interval: Duration,
    /// How long the peer may stay silent after a ping was due (milliseconds on the wire).
    pub ping_timeout: Duration,
    /// The largest polling body or message the server takes, in bytes. Servers older than Engine.IO 6 do not tell it.
    pub max_payload: Option<usize>,
}

/// Why the data of an open packet is not a handshake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The data is not JSON, or not an object.
    #[error("the handshake is not a JSON object")]
    NotAnObject,
    /// A field is absent.
    #[error("the handshake has no {0}")]
    Missing(&'static str),
    /// A field has a value it cannot have: another type, an empty `sid`, a negative number.
    #[error("the handshake has an invalid {0}")]
    Invalid(&'static str),
}

impl Handshake {
    /// The JSON text, fields in the order of the reference.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(128);
        json.push_str("{\"sid\":");
        push_json(self.sid.as_str(), &mut json);
        json.push_str(",\"upgrades\":[");
        for (i, transport) in self.upgrades.iter().enumerate() {
            if i > 0 {
                json.push(',');
            }
            json.extend(["\"", transport.name(), "\""]);
        }
        // Writing to a string cannot fail.
        let _ = write!(
            json,
            "],\"pingInterval\":{},\"pingTimeout\":{}",
            self.ping_interval.as_millis(),
            self.ping_timeout.as_millis()
        );
        if let Some(max_payload) = self.max_payload {
            let _ = write!(json, ",\"maxPayload\":{max_payload}");
        }
        json.push('}');
        json
    }

    /// The open packet that carries this handshake.
    pub fn to_packet(&self) -> Packet {
        Packet::Open(self.to_json().into())
    }

    /// Reads the data of an open packet. Fields that are not known are ignored.
    ///
    /// # Errors
    ///
    /// Any [`HandshakeError`]. All fields but `maxPayload` must be there.
    pub fn from_json(json: &str) -> Result<Self, HandshakeError> {
        let Ok(Value::Object(fields)) = serde_json::from_str(json) else {
            return Err(HandshakeError::NotAnObject);
        };
        let field = |name| fields.get(name).ok_or(HandshakeError::Missing(name));
        let millis = |name| {
            let millis = field(name)?.as_u64().ok_or(HandshakeError::Invalid(name))?;
            Ok(Duration::from_millis(millis))
        };
        let sid = field("sid")?.as_str().filter(|sid| !sid.is_empty());
        let upgrades = field("upgrades")?.as_array().ok_or(HandshakeError::Invalid("upgrades"))?;
        let max_payload = match fields.get("maxPayload") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let bytes = value.as_u64().ok_or(HandshakeError::Invalid("maxPayload"))?;
                Some(usize::try_from(bytes).unwrap_or(usize::MAX))
            }
        };
        Ok(Self {
            sid: sid.ok_or(HandshakeError::Invalid("sid"))?.into(),
            upgrades: upgrades.iter().filter_map(Value::as_str).filter_map(Transport::from_name).collect(),
            ping_interval: millis("pingInterval")?,
            ping_timeout: millis("pingTimeout")?,
            max_payload,
        })
    }
}

impl Transport {
    /// The transport of this name, which is case sensitive.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Polling, Self::Websocket, Self::Webtransport]
            .into_iter()
            .find(|transport| transport.name() == name)
    }
}

/// A set of transports. The default is that of the reference: polling and websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// Whether polling is in the set.
    pub polling: bool,
    /// Whether websocket is in the set.
    pub websocket: bool,
    /// Whether webtransport is in the set.
    pub webtransport: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { polling: true, websocket: true, webtransport: false }
    }
}

impl Transports {
    /// Whether `transport` is in the set.
    pub const fn contains(self, transport: Transport) -> bool {
        match transport {
            Transport::Polling => self.polling,
            Transport::Websocket => self.websocket,
            Transport::Webtransport => self.webtransport,
        }
    }

    /// What a session on `current` may upgrade to, in the order of the handshake: polling to the others, these to none.
    pub fn upgrades(self, current: Transport) -> Vec<Transport> {
        match current {
            Transport::Polling => [Transport::Websocket, Transport::Webtransport]
                .into_iter()
                .filter(|&transport| self.contains(transport))
                .collect(),
            Transport::Websocket | Transport::Webtransport => Vec::new(),
        }
    }
}

/// Appends `text` as a JSON string literal.
pub(crate) fn push_json(text: &str, out: &mut String) {
    // A string is always valid JSON data.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn handshake() -> Handshake {
        Handshake {
            sid: "lv_VI97HAXpY6yYWAAAC".into(),
            upgrades: Transports::default().upgrades(Transport::Polling),
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            max_payload: Some(1_000_000),
        }
    }

    #[test]
    fn the_json_is_that_of_the_reference() {
        assert_eq!(
            handshake().to_json(),
            "{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\
             \"pingTimeout\":20000,\"maxPayload\":1000000}"
        );
        assert_eq!(handshake().to_packet(), Packet::Open(handshake().to_json().into()));
    }

    #[test]
    fn an_id_the_application_chose_is_escaped() {
        let odd = Handshake { sid: "\"\\\n€".into(), ..handshake() };
        assert_eq!(Handshake::from_json(&odd.to_json()), Ok(odd));
    }

    #[test]
    fn unknown_fields_and_upgrades_are_ignored() {
        let read = Handshake::from_json(
            "{\"new\":[{}],\"pingTimeout\":1,\"pingInterval\":2,\"upgrades\":[\"carrier pigeon\",\"webtransport\",7],\
             \"sid\":\"s\"}",
        );
        assert_eq!(
            read,
            Ok(Handshake {
                sid: "s".into(),
                upgrades: vec![Transport::Webtransport],
                ping_interval: Duration::from_millis(2),
                ping_timeout: Duration::from_millis(1),
                max_payload: None,
            })
        );
    }

    #[test]
    fn each_fault_is_named() {
        let good = handshake().to_json();
        for (from, to, error) in [
            ("\"sid\"", "\"id\"", HandshakeError::Missing("sid")),
            ("\"lv_VI97HAXpY6yYWAAAC\"", "\"\"", HandshakeError::Invalid("sid")),
            ("\"lv_VI97HAXpY6yYWAAAC\"", "7", HandshakeError::Invalid("sid")),
            ("upgrades", "downgrades", HandshakeError::Missing("upgrades")),
            ("[\"websocket\"]", "\"websocket\"", HandshakeError::Invalid("upgrades")),
            ("pingInterval", "interval", HandshakeError::Missing("pingInterval")),
            ("25000", "-1", HandshakeError::Invalid("pingInterval")),
            ("20000", "\"20000\"", HandshakeError::Invalid("pingTimeout")),
            ("1000000", "1.5", HandshakeError::Invalid("maxPayload")),
            ("}", "", HandshakeError::NotAnObject),
        ] {
            assert_eq!(Handshake::from_json(&good.replacen(from, to, 1)), Err(error), "{from} -> {to}");
        }
        for bad in ["", "null", "[]", "<html>", "{} {}"] {
            assert_eq!(Handshake::from_json(bad), Err(HandshakeError::NotAnObject), "{bad}");
        }
    }

    #[test]
    fn upgrades_are_offered_on_polling_only_and_in_order() {
        let all = Transports { polling: true, websocket: true, webtransport: true };
        assert_eq!(all.upgrades(Transport::Polling), [Transport::Websocket, Transport::Webtransport]);
        assert_eq!(all.upgrades(Transport::Websocket), []);
        assert_eq!(all.upgrades(Transport::Webtransport), []);
        let polling = Transports { websocket: false, ..Transports::default() };
        assert_eq!(polling.upgrades(Transport::Polling), []);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(json: String) {
            let _ = Handshake::from_json(&json);
        }

        #[test]
        fn any_handshake_survives_the_wire(sid in "\\PC+", interval: u32, timeout: u32, max: Option<u32>) {
            let sent = Handshake {
                sid: sid.as_str().into(),
                ping_interval: Duration::from_millis(interval.into()),
                ping_timeout: Duration::from_millis(timeout.into()),
                max_payload: max.map(|max| max as usize),
                ..handshake()
            };
            prop_assert_eq!(Handshake::from_json(&sent.to_json()), Ok(sent));
        }
    }
}
