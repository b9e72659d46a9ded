//! What is known of the request that opened a session (REFERENCE 4.5, 9.37).

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use socketio_core::engine::http::Query;
use socketio_core::socket::{Payload, PayloadError};

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
        self.auth.decode()
    }

    /// The client's address, if the server it came through knows it.
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
}
