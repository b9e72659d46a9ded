//! The targets of a client's requests: path and query (REFERENCE 1.3, 5.2).

use alloc::string::String;

use super::Config;
use crate::Sid;
use crate::engine::Transport;
use crate::engine::packet::BinaryEncoding;
use crate::random::Random;

/// Which requests carry a parameter that no cache has seen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timestamps {
    /// Polling requests.
    #[default]
    Polling,
    /// Polling requests and WebSockets.
    All,
    /// None.
    None,
}

/// The target of the next request. The user's query comes first, then `EIO` and `transport`; the rest stands in the
/// order in which the reference's transports add it.
pub(super) fn target(
    config: &Config,
    transport: Transport,
    sid: Option<&Sid>,
    random: &mut Random,
) -> String {
    let (path, query) = config.of(transport);
    let mut target = String::with_capacity(path.len() + 64);
    target.push_str(path);
    target.push('?');
    for (name, value) in query {
        push_component(name, &mut target);
        target.push('=');
        push_component(value, &mut target);
        target.push('&');
    }
    target.push_str("EIO=4&transport=");
    target.push_str(transport.name());
    let base64 = config.binary == BinaryEncoding::Base64;
    if transport == Transport::Polling {
        if config.timestamps != Timestamps::None {
            push_timestamp(config, random, &mut target);
        }
        match sid {
            Some(sid) => push_sid(sid, &mut target),
            None if base64 => target.push_str("&b64=1"),
            None => {}
        }
    } else {
        if let Some(sid) = sid {
            push_sid(sid, &mut target);
        }
        if config.timestamps == Timestamps::All {
            push_timestamp(config, random, &mut target);
        }
        if base64 {
            target.push_str("&b64=1");
        }
    }
    target
}

fn push_sid(sid: &Sid, target: &mut String) {
    target.push_str("&sid=");
    push_component(sid.as_str(), target);
}

/// Eight base-36 characters, as in the reference; there five of them come from the clock, which the core does not have.
fn push_timestamp(config: &Config, random: &mut Random, target: &mut String) {
    target.push('&');
    push_component(&config.timestamp_param, target);
    target.push('=');
    let mut chance = random.next();
    for _ in 0..8 {
        target.push(char::from(BASE_36[(chance % 36) as usize]));
        chance /= 36;
    }
}

/// What `encodeURIComponent` of JavaScript does.
fn push_component(text: &str, target: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            target.push(char::from(byte));
        } else {
            target.push('%');
            target.push(char::from(HEX[usize::from(byte >> 4)]));
            target.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

const BASE_36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;
    use crate::engine::client::TransportConfig;

    fn targets(config: &Config) -> [String; 4] {
        let sid = Sid::from("S/1");
        let mut random = Random::new(1);
        [
            target(config, Transport::Polling, None, &mut random),
            target(config, Transport::Polling, Some(&sid), &mut random),
            target(config, Transport::Websocket, None, &mut random),
            target(config, Transport::Websocket, Some(&sid), &mut random),
        ]
    }

    #[test]
    fn parameters_stand_in_the_order_of_the_reference() {
        let config = Config { query: vec![("a".to_string(), "b c".to_string())], ..Config::default() };
        let [first, poll, direct, probe] = targets(&config);
        let (start, t) = first.split_at("/socket.io/?a=b%20c&EIO=4&transport=polling&t=".len());
        assert_eq!(start, "/socket.io/?a=b%20c&EIO=4&transport=polling&t=");
        assert!(t.len() == 8 && t.bytes().all(|b| BASE_36.contains(&b)), "{t}");
        assert!(poll.starts_with(start) && poll.ends_with("&sid=S%2F1"), "{poll}");
        assert_eq!(poll.len(), first.len() + "&sid=S%2F1".len());
        assert_ne!(poll[start.len()..][..8], *t);
        assert_eq!(direct, "/socket.io/?a=b%20c&EIO=4&transport=websocket");
        assert_eq!(probe, "/socket.io/?a=b%20c&EIO=4&transport=websocket&sid=S%2F1");
    }

    #[test]
    fn base64_is_asked_for_on_the_polling_handshake_and_on_every_websocket() {
        let binary = BinaryEncoding::Base64;
        let config = Config { binary, timestamps: Timestamps::None, path: "/".into(), ..Config::default() };
        assert_eq!(
            targets(&config),
            [
                "/?EIO=4&transport=polling&b64=1",
                "/?EIO=4&transport=polling&sid=S%2F1",
                "/?EIO=4&transport=websocket&b64=1",
                "/?EIO=4&transport=websocket&sid=S%2F1&b64=1",
            ]
        );
    }

    #[test]
    fn a_transport_may_have_a_path_and_a_query_of_its_own() {
        let query = |value: &str| vec![("a".to_string(), value.to_string())];
        let own = |path: Option<&str>, value: Option<&str>| TransportConfig {
            path: path.map(ToString::to_string),
            query: value.map(query),
        };
        let config = |transport_options| Config {
            transport_options,
            query: query("all"),
            timestamps: Timestamps::None,
            ..Config::default()
        };
        let (polling, websocket) = (Transport::Polling, Transport::Websocket);
        let both = vec![
            (websocket, own(None, None)),
            (websocket, own(Some("/ws"), None)),
            (polling, own(None, Some("own"))),
        ];
        assert_eq!(
            targets(&config(both)),
            [
                "/socket.io/?a=own&EIO=4&transport=polling",
                "/socket.io/?a=own&EIO=4&transport=polling&sid=S%2F1",
                "/ws?a=all&EIO=4&transport=websocket",
                "/ws?a=all&EIO=4&transport=websocket&sid=S%2F1",
            ]
        );
    }

    #[test]
    fn timestamps_go_where_they_are_asked_for() {
        let config =
            Config { timestamps: Timestamps::All, timestamp_param: "t&".into(), ..Config::default() };
        assert!(targets(&config).iter().all(|target| target.contains("&t%26=")));
        assert!(targets(&config)[3].contains("&sid=S%2F1&t%26="));
    }
}
