//! The bundles of the JavaScript client, served beside the engine (REFERENCE 4.9).
//!
//! They are read once, from a directory the application names, and kept; what a client sends decides which of eight
//! names it gets, and never a path. They are compressed when they are first asked for. There is no `br`: it would take
//! a dependency of its own for files that caches hold.

use std::io;
use std::path::Path;
use std::str;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use http_body_util::Full;
use socketio_core::Bytes;
use socketio_core::engine::http::{self as rules, ContentEncoding, Headers, Request, RouteConfig};

use crate::serve::body::compress;
use crate::serve::service::{add, empty};

/// The bundles that were found.
#[derive(Clone, Debug)]
pub(crate) struct ClientFiles {
    files: Arc<[File]>,
    /// As it stands in `ETag`: in quotes.
    etag: Arc<str>,
}

#[derive(Debug)]
struct File {
    name: &'static str,
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    deflate: OnceLock<Bytes>,
}

impl ClientFiles {
    /// Reads what there is of the eight bundles. Their version is what the comment at the top of a script says.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let in_dir = |kind, what| io::Error::new(kind, format!("{what} in {}", dir.display()));
        let mut files = Vec::new();
        for name in NAMES {
            match std::fs::read(dir.join(name)) {
                Ok(bytes) => files.push(File::new(name, bytes.into())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(in_dir(error.kind(), format!("{name}: {error}"))),
            }
        }
        if files.is_empty() {
            return Err(in_dir(io::ErrorKind::NotFound, "no client bundle".to_owned()));
        }
        let version = files.iter().find_map(|file| version(&file.plain));
        let version = version.ok_or_else(|| {
            in_dir(io::ErrorKind::InvalidData, "no bundle that says its version".to_owned())
        })?;
        Ok(Self { etag: format!("\"{version}\"").into(), files: files.into() })
    }

    /// The answer to a request for a bundle, whatever its method; `None` for any other request, and for a CORS
    /// preflight, which is answered as everywhere else.
    pub(crate) fn answer(
        &self,
        routes: &RouteConfig,
        request: &Request<'_>,
    ) -> Option<http::Response<Full<Bytes>>> {
        let file = self.find(routes, request.target)?;
        let is_preflight = routes.cors.is_some() && request.method == "OPTIONS";
        if is_preflight || request.is_upgrade() {
            return None;
        }
        let mut response = if self.is_known(request.headers) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            self.send(file, request)
        };
        for field in routes.cors.as_ref().map(|cors| cors.headers(request)).unwrap_or_default() {
            add(response.headers_mut(), field.name, &field.value);
        }
        Some(response)
    }

    fn find(&self, routes: &RouteConfig, target: &str) -> Option<&File> {
        let path = routes.path();
        let name = target.strip_prefix(path.strip_suffix('/').unwrap_or(path))?.strip_prefix('/')?;
        let name = name.split_once('?').map_or(name, |(name, _)| name);
        self.files.iter().find(|file| file.name == name)
    }

    /// Whether the client has this version. One tag is understood and not a list, as in the reference.
    fn is_known(&self, headers: &dyn Headers) -> bool {
        headers.get("if-none-match").is_some_and(|tag| {
            let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == self.etag.as_bytes()
        })
    }

    fn send(&self, file: &File, request: &Request<'_>) -> http::Response<Full<Bytes>> {
        let kind = if file.name.ends_with(".map") { "json" } else { "javascript" };
        let encoding = rules::negotiate(request.headers);
        let mut response = empty(StatusCode::OK);
        let headers = response.headers_mut();
        add(headers, "cache-control", b"public, max-age=0");
        add(headers, "content-type", format!("application/{kind}; charset=utf-8").as_bytes());
        add(headers, "etag", self.etag.as_bytes());
        if let Some(encoding) = encoding {
            add(headers, "content-encoding", encoding.name().as_bytes());
        }
        *response.body_mut() = Full::new(file.body(encoding));
        response
    }
}

impl File {
    fn new(name: &'static str, plain: Bytes) -> Self {
        Self { name, plain, gzip: OnceLock::new(), deflate: OnceLock::new() }
    }

    fn body(&self, encoding: Option<ContentEncoding>) -> Bytes {
        let compressed = match encoding {
            None => return self.plain.clone(),
            Some(ContentEncoding::Gzip) => &self.gzip,
            Some(ContentEncoding::Deflate) => &self.deflate,
        };
        compressed
            .get_or_init(|| encoding.map_or_else(Bytes::new, |encoding| compress(&self.plain, encoding)))
            .clone()
    }
}

/// The version in the comment that every script of the client begins with: `Socket.IO v4.8.4`.
fn version(script: &[u8]) -> Option<&str> {
    let head = &script[..script.len().min(HEAD_LEN)];
    let at = head.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let version = head[at..].split(u8::is_ascii_whitespace).next()?;
    let is_version = |byte: &u8| byte.is_ascii_alphanumeric() || b".-+".contains(byte);
    // It goes into a header.
    (!version.is_empty() && version.iter().all(is_version)).then(|| str::from_utf8(version).ok()).flatten()
}

/// What is served. `socket.io.esm.js` is not, in the reference either.
const NAMES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

const MARK: &[u8] = b"Socket.IO v";

/// How far the comment is looked for.
const HEAD_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;
    use socketio_core::engine::http::{Cors, TrailingSlash};

    use super::*;

    const SCRIPT: &str = "/*!\n * Socket.IO v4.8.4\n * (c)\n */\nio()";

    struct Fields<'a>(&'a [(&'a str, &'a str)]);

    impl Headers for Fields<'_> {
        fn get(&self, name: &str) -> Option<&[u8]> {
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
        }

        fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
            self.0.iter().filter(|(known, _)| *known == name).for_each(|(_, value)| visit(value.as_bytes()));
        }
    }

    fn files() -> ClientFiles {
        let script = |name| File::new(name, Bytes::from_static(SCRIPT.as_bytes()));
        let map = File::new("socket.io.js.map", Bytes::from_static(b"{}"));
        ClientFiles { files: [script("socket.io.js"), map].into(), etag: "\"4.8.4\"".into() }
    }

    fn routes() -> RouteConfig {
        RouteConfig::new("/socket.io", TrailingSlash::Append)
    }

    fn ask(target: &str, headers: &[(&str, &str)]) -> Option<http::Response<Full<Bytes>>> {
        files().answer(&routes(), &Request { method: "GET", target, headers: &Fields(headers) })
    }

    fn header<'a>(response: &'a http::Response<Full<Bytes>>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn body(response: http::Response<Full<Bytes>>) -> Bytes {
        let collected = response.into_body().collect();
        let mut collected = std::pin::pin!(collected);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::future::Future::poll(collected.as_mut(), &mut cx) {
            std::task::Poll::Ready(Ok(body)) => body.to_bytes(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bundle_has_its_headers() {
        let script = ask("/socket.io/socket.io.js?x=1", &[]).unwrap();
        assert_eq!(header(&script, "content-type"), Some("application/javascript; charset=utf-8"));
        assert_eq!(header(&script, "cache-control"), Some("public, max-age=0"));
        assert_eq!(header(&script, "etag"), Some("\"4.8.4\""));
        assert_eq!(header(&script, "content-encoding"), None);
        assert_eq!(body(script), SCRIPT);
        let map = ask("/socket.io/socket.io.js.map", &[]).unwrap();
        assert_eq!(header(&map, "content-type"), Some("application/json; charset=utf-8"));
    }

    #[test]
    fn other_names_are_the_engines() {
        for target in [
            "/socket.io/",
            "/socket.io/socket.io.esm.js",
            "/socket.io/socket.io.min.js", // one of the eight, but not there
            "/socket.io/socket.io.js/",
            "/socket.io/../socket.io/socket.io.js",
            "/socket.io//socket.io.js",
            "/socket.ioX/socket.io.js",
            "/socket.io.js",
        ] {
            assert!(ask(target, &[]).is_none(), "{target}");
        }
    }

    #[test]
    fn a_version_that_is_known_is_not_sent_again() {
        for tag in ["\"4.8.4\"", "W/\"4.8.4\""] {
            let response = ask("/socket.io/socket.io.js", &[("if-none-match", tag)]).unwrap();
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
            assert!(response.headers().is_empty());
            assert_eq!(body(response), "");
        }
        for tag in ["\"4.8.3\"", "4.8.4", "*", "\"4.8.4\", \"4.8.3\""] {
            let response = ask("/socket.io/socket.io.js", &[("if-none-match", tag)]).unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{tag}");
        }
    }

    #[test]
    fn a_client_gets_the_coding_it_likes_best() {
        let gzip = ask("/socket.io/socket.io.js", &[("accept-encoding", "gzip, br")]).unwrap();
        assert_eq!(header(&gzip, "content-encoding"), Some("gzip"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*body(gzip)).read_to_string(&mut text).unwrap();
        assert_eq!(text, SCRIPT);
        let deflate = ask("/socket.io/socket.io.js", &[("accept-encoding", "gzip;q=0.5, deflate")]).unwrap();
        assert_eq!(header(&deflate, "content-encoding"), Some("deflate"));
        text.clear();
        flate2::read::ZlibDecoder::new(&*body(deflate)).read_to_string(&mut text).unwrap();
        assert_eq!(text, SCRIPT);
        let plain = ask("/socket.io/socket.io.js", &[("accept-encoding", "br")]).unwrap();
        assert_eq!(header(&plain, "content-encoding"), None);
    }

    #[test]
    fn cors_holds_for_bundles_too() {
        let mut cors = routes();
        cors.cors = Some(Cors::new(rules::Origin::Any).unwrap());
        let ask = |method, tag| {
            let headers = Fields(&[("origin", "https://a.example"), ("if-none-match", tag)]);
            files().answer(&cors, &Request { method, target: "/socket.io/socket.io.js", headers: &headers })
        };
        for tag in ["", "\"4.8.4\""] {
            assert_eq!(header(&ask("GET", tag).unwrap(), "access-control-allow-origin"), Some("*"));
        }
        assert!(ask("OPTIONS", "").is_none(), "a preflight");
    }

    #[test]
    fn the_version_is_in_the_first_comment() {
        assert_eq!(version(SCRIPT.as_bytes()), Some("4.8.4"));
        assert_eq!(version(b"/*! Socket.IO v5.0.0-beta.1"), Some("5.0.0-beta.1"));
        for script in
            [&b""[..], b"io()", b"Socket.IO v", b"Socket.IO v\n", b"Socket.IO v\"x", b"Socket.IO v\xff"]
        {
            assert_eq!(version(script), None);
        }
        let far = format!("{}Socket.IO v4.8.4", " ".repeat(HEAD_LEN));
        assert_eq!(version(far.as_bytes()), None);
    }

    #[test]
    fn a_directory_without_bundles_is_named() {
        let error = ClientFiles::read(Path::new("src")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("in src"), "{error}");
    }
}
