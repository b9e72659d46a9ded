//! What is known of the request that opened a session (REFERENCE 4.5, 9.37).

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use socketio_core::engine::http::Query;
use socketio_core::socket::{Payload, PayloadError, Value};

use crate::cluster::remote::value_of;

/// The first request of a session, as it was then, and the credentials of one socket.
///
/// Everything is copied out of the request: headers kept as slices would keep the connection's whole read buffer
/// alive.
#[derive(Clone, Debug)]
pub struct Handshake {
    pub(crate) request: std::sync::Arc<RequestInfo>,
    pub(crate) auth: Payload,
}

/// The part that all sockets of a session share.
#[derive(Debug)]
pub(crate) struct RequestInfo {
    url: Box<str>,
    /// `name\0value\n`…: one allocation instead of a map.
    headers: Box<[u8]>,
    address: Option<SocketAddr>,
    issued: Duration,
    secure: bool,
}

impl RequestInfo {
    pub(crate) fn new(
        url: &str,
        headers: &HeaderMap,
        address: Option<SocketAddr>,
        secure: bool,
        issued: Duration,
    ) -> Self {
        let mut flat = Vec::with_capacity(headers.iter().map(|(n, v)| n.as_str().len() + v.len() + 2).sum());
        for (name, value) in headers {
            flat.extend_from_slice(name.as_str().as_bytes());
            flat.push(0);
            flat.extend_from_slice(value.as_bytes());
            flat.push(b'\n');
        }
        Self { url: url.into(), headers: flat.into(), address, issued, secure }
    }
}

impl Handshake {
    /// The request target, with its query.
    pub fn url(&self) -> &str {
        &self.request.url
    }

    /// The first value of a header, or `None` if there is none or it is not UTF-8. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(n, _)| *n == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Every header, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // Neither a name nor a value can contain NUL or LF.
        self.request.headers.split(|byte| *byte == b'\n').filter_map(|line| {
            let end = line.iter().position(|byte| *byte == 0)?;
            Some((std::str::from_utf8(&line[..end]).ok()?, &line[end + 1..]))
        })
    }

    /// The last value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.request.url.split_once('?')?;
        Query::parse(query).get(name).map(|value| value.into_owned())
    }

    /// Every query parameter, decoded, in the order of the request.
    pub fn queries(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.request.url.split_once('?').map_or("", |(_, query)| query);
        Query::parse(query).pairs().map(|(name, value)| (name.into_owned(), value.into_owned()))
    }

    /// The credentials in the CONNECT packet, decoded; `{}` if there were none.
    ///
    /// # Errors
    /// When they are not a `T`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        self.auth.decode_owned()
    }

    /// The client's address, if the server it came through knows it. Other servers tell it without the port, which is
    /// 0 then.
    pub fn address(&self) -> Option<SocketAddr> {
        self.request.address
    }

    /// When the request arrived: time since the Unix epoch.
    pub fn issued(&self) -> Duration {
        self.request.issued
    }

    /// The same for people, as JavaScript prints it: `Sat Nov 21 2026 01:13:24 GMT+0000 (Coordinated Universal Time)`.
    pub fn time(&self) -> String {
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + self.request.issued);
        // `Sat, 21 Nov 2026 01:13:24 GMT`, always of this width.
        let (weekday, day, month, year, time) =
            (&date[..3], &date[5..7], &date[8..11], &date[12..16], &date[17..25]);
        format!("{weekday} {month} {day} {year} {time} GMT+0000 (Coordinated Universal Time)")
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.request.secure
    }

    /// Whether the request came from a page of some origin (it had an `Origin` header).
    pub fn is_cross_domain(&self) -> bool {
        self.header("origin").is_some()
    }

    /// The object of REFERENCE 4.5, as other servers get to know it. Bytes that are no text are replaced.
    pub(crate) fn to_value(&self) -> Value {
        #[derive(Serialize)]
        struct Written<'a> {
            headers: Members,
            time: String,
            address: String,
            xdomain: bool,
            secure: bool,
            issued: u128,
            url: &'a str,
            query: Members,
            auth: Value,
        }
        let mut headers = Members::default();
        for (name, value) in self.headers() {
            headers.add(name, &String::from_utf8_lossy(value), ", ");
        }
        let mut query = Members::default();
        self.queries().for_each(|(name, value)| query.set(&name, value));
        value_of(&Written {
            headers,
            time: self.time(),
            address: self.address().map(|address| address.ip().to_string()).unwrap_or_default(),
            xdomain: self.is_cross_domain(),
            secure: self.is_secure(),
            issued: self.issued().as_millis(),
            url: self.url(),
            query,
            auth: self.auth().unwrap_or_default(),
        })
    }

    /// What another server says of a socket's request. Whatever is missing or odd is left empty.
    pub(crate) fn from_value(value: &Value) -> Self {
        let text = |name| match value.get(name) {
            Some(Value::String(text)) => text.as_str(),
            _ => "",
        };
        let mut headers = Vec::new();
        if let Some(Value::Object(members)) = value.get("headers") {
            for (name, value) in members {
                if let Value::String(value) = value
                    && !name.contains(['\0', '\n'])
                    && !value.contains('\n')
                {
                    headers.extend_from_slice(name.as_bytes());
                    headers.push(0);
                    headers.extend_from_slice(value.as_bytes());
                    headers.push(b'\n');
                }
            }
        }
        let issued = match value.get("issued") {
            Some(Value::Number(number)) => number.as_u64().or(number.as_f64().map(|issued| issued as u64)),
            _ => None,
        };
        let request = RequestInfo {
            url: text("url").into(),
            headers: headers.into(),
            address: text("address").parse().ok().map(|ip| SocketAddr::new(ip, 0)),
            // Not beyond what a calendar holds.
            issued: Duration::from_millis(issued.unwrap_or_default().min(MAX_ISSUED_MILLIS)),
            secure: value.get("secure") == Some(&Value::Bool(true)),
        };
        let auth = value.get("auth").and_then(|auth| Payload::encode(auth).ok());
        Self { request: request.into(), auth: auth.unwrap_or(Payload::EMPTY_OBJECT) }
    }
}

/// The members of an object, in the order in which they were named first.
#[derive(Default)]
struct Members(Vec<(String, String)>);

impl Members {
    fn member(&mut self, name: &str) -> Option<&mut String> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The last value counts.
    fn set(&mut self, name: &str, value: String) {
        match self.member(name) {
            Some(known) => *known = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// All values count.
    fn add(&mut self, name: &str, value: &str, separator: &str) {
        match self.member(name) {
            Some(known) => known.extend([separator, value]),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The last second of the year 9999.
const MAX_ISSUED_MILLIS: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;

    use super::*;

    fn handshake() -> Handshake {
        let mut headers = HeaderMap::new();
        headers.insert("origin", HeaderValue::from_static("http://a.test"));
        headers.append("x-many", HeaderValue::from_static("1"));
        headers.append("x-many", HeaderValue::from_static("2"));
        headers.insert("x-bytes", HeaderValue::from_bytes(b"\xFF").unwrap());
        let address = Some("127.0.0.1:4000".parse().unwrap());
        let url = "/socket.io/?EIO=4&a=1&a=2";
        let issued = Duration::from_millis(1_795_223_604_250);
        let request = RequestInfo::new(url, &headers, address, true, issued);
        let auth = Payload::encode(&BTreeMap::from([("token", 7)])).unwrap();
        Handshake { request: request.into(), auth }
    }

    #[test]
    fn other_servers_are_told_the_object_of_the_reference() {
        let told = serde_json::to_string(&handshake().to_value()).unwrap();
        let expected = concat!(
            r#"{"headers":{"origin":"http://a.test","x-many":"1, 2","x-bytes":""#,
            "\u{FFFD}",
            r#""},"time":"Sat Nov 21 2026 01:13:24 GMT+0000 (Coordinated Universal Time)","#,
            r#""address":"127.0.0.1","xdomain":true,"secure":true,"issued":1795223604250,"#,
            r#""url":"/socket.io/?EIO=4&a=1&a=2","query":{"EIO":"4","a":"2"},"auth":{"token":7}}"#,
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_told_is_understood() {
        let (here, there) = (handshake(), Handshake::from_value(&handshake().to_value()));
        assert_eq!(there.url(), here.url());
        assert_eq!(there.time(), here.time());
        assert_eq!(there.header("x-many"), Some("1, 2"));
        assert_eq!(there.query("a"), here.query("a"));
        assert_eq!(there.address().map(|address| address.ip()), here.address().map(|address| address.ip()));
        assert!(there.is_secure() && there.is_cross_domain());
        assert_eq!(there.auth::<serde_json::Value>(), here.auth());
    }

    #[test]
    fn nonsense_is_an_empty_handshake() {
        let nonsense =
            BTreeMap::from([("issued", f64::MAX), ("url", 1.0), ("headers", 2.0), ("address", 3.0)]);
        for value in [Value::Null, value_of(&nonsense)] {
            let handshake = Handshake::from_value(&value);
            assert_eq!((handshake.url(), handshake.headers().count(), handshake.address()), ("", 0, None));
            assert!(!handshake.time().is_empty() && !handshake.is_secure());
            assert_eq!(handshake.auth::<serde_json::Value>(), Ok(serde_json::json!({})));
        }
    }
}
