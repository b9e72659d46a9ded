//! The opening handshake of a WebSocket, as far as it is a request: the checks of REFERENCE 1.6 that come after all
//! others. The answer, which needs SHA-1, is the driver's.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::{Header, Request, Response, is_token, list};

/// A valid request for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebsocketRequest<'a> {
    /// `Sec-WebSocket-Key`: 24 characters of base64.
    pub key: &'a [u8],
    /// The subprotocol to answer with: the first one offered. Engine.IO has none of its own.
    pub protocol: Option<&'a str>,
}

/// Checks the request for a WebSocket.
///
/// # Errors
///
/// The refusal, after which the connection is closed: 405 if the method is not GET; 400 if the `Upgrade` field is not
/// `websocket`, the key is not one, the version is neither 13 nor 8 (the versions are then named), or a subprotocol is
/// not a token or is named twice.
pub fn check_websocket<'a>(request: &Request<'a>) -> Result<WebsocketRequest<'a>, Response> {
    let refuse = |status, text: &str| Err(Response::html_close(status, text.to_string()));
    let header = |name| request.headers.get(name).map(<[u8]>::trim_ascii);
    if request.method != "GET" {
        return refuse(405, "Invalid HTTP method");
    }
    if !header("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case(b"websocket")) {
        return refuse(400, "Invalid Upgrade header");
    }
    let mut keys = 0;
    request.headers.each("sec-websocket-key", &mut |_| keys += 1);
    let Some(key) = header("sec-websocket-key").filter(|key| is_key(key) && keys == 1) else {
        return refuse(400, "Missing or invalid Sec-WebSocket-Key header");
    };
    if !matches!(header("sec-websocket-version"), Some(b"13" | b"8")) {
        let version = Header::new("Sec-WebSocket-Version", "13, 8");
        return refuse(400, "Missing or invalid Sec-WebSocket-Version header")
            .map_err(|refusal| refusal.with([version]));
    }
    let mut protocols = Vec::new();
    request
        .headers
        .each("sec-websocket-protocol", &mut |value| protocols.extend(list(value).map(<[u8]>::to_vec)));
    let named = protocols.len();
    let valid = protocols.iter().all(|protocol| is_token(protocol));
    protocols.sort_unstable();
    protocols.dedup();
    if !valid || protocols.len() < named {
        return refuse(400, "Invalid Sec-WebSocket-Protocol header");
    }
    let protocol = header("sec-websocket-protocol").and_then(|value| list(value).next());
    Ok(WebsocketRequest { key, protocol: protocol.and_then(|protocol| core::str::from_utf8(protocol).ok()) })
}

/// 16 bytes in base64. The last bits of the last character are not looked at, as in the reference.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==");
    digits.is_some_and(|digits| {
        digits.len() == 22 && digits.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: [(&str, &str); 3] =
        [("Upgrade", "WebSocket"), ("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Version", "13")];

    fn status(method: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        check_websocket(&Request { method, target: "/", headers: &headers.to_vec() })
            .map(drop)
            .map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_valid_request_gives_its_key_and_first_protocol() {
        let mut headers = GOOD.to_vec();
        let request = Request { method: "GET", target: "/", headers: &headers };
        assert_eq!(check_websocket(&request), Ok(WebsocketRequest { key: KEY.as_bytes(), protocol: None }));
        headers[2].1 = "8";
        headers.push(("Sec-WebSocket-Protocol", "a, b"));
        let request = Request { method: "GET", target: "/", headers: &headers };
        assert_eq!(
            check_websocket(&request),
            Ok(WebsocketRequest { key: KEY.as_bytes(), protocol: Some("a") })
        );
    }

    #[test]
    fn each_fault_has_its_status() {
        assert_eq!(status("POST", &GOOD), Err(405));
        assert_eq!(status("GET", &GOOD[1..]), Err(400));
        assert_eq!(status("GET", &[]), Err(400));
        for (at, bad) in [
            (0, "h2c"),
            (1, ""),
            (1, "dGhlIHNhbXBsZSBub25jZQ="),
            (1, "dGhlIHNhbXBsZSBub25jZQA=="),
            (1, "dGhlIHNhbXBsZSBub25j_Q=="),
            (2, "12"),
            (2, ""),
        ] {
            let mut headers = GOOD;
            headers[at].1 = bad;
            assert_eq!(status("GET", &headers), Err(400), "{bad}");
        }
        assert_eq!(status("GET", &[&GOOD[..], &[GOOD[1]]].concat()), Err(400), "two keys");
        let twice = [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b, a")];
        assert_eq!(status("GET", &[&GOOD[..], &twice].concat()), Err(400), "a protocol twice");
        for bad in ["", "a,", "a, a", "a b", "a;b"] {
            let headers = [&GOOD[..], &[("Sec-WebSocket-Protocol", bad)]].concat();
            assert_eq!(status("GET", &headers), Err(400), "{bad}");
        }
    }

    #[test]
    fn a_wrong_version_is_told_the_right_ones() {
        let headers = [GOOD[0], GOOD[1], ("Sec-WebSocket-Version", "7")];
        let request = Request { method: "GET", target: "/", headers: &headers };
        assert_eq!(
            check_websocket(&request).unwrap_err().fields().last(),
            Some(("Sec-WebSocket-Version", b"13, 8".as_slice()))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_headers_never_panic(values: [Vec<u8>; 4]) {
            let names = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "connection"];
            let mut headers: Vec<_> = names.into_iter().zip(values).collect();
            headers.push(("upgrade", b"websocket".to_vec()));
            let request = Request { method: "GET", target: "/", headers: &headers };
            let _ = (check_websocket(&request), request.is_upgrade());
        }
    }
}
