//! The page: a handful of files, in the program itself so that it runs from anywhere, and the browser's client.

use socketio_driver::Bytes;
use socketio_driver::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use socketio_driver::http::{Method, Request, Response, StatusCode};

/// What is served besides Socket.IO.
#[derive(Debug)]
pub struct Pages {
    client: Option<Bytes>,
}

impl Pages {
    /// Pages with the client `socket.io.min.js`. Without one the page loads it from a public server.
    pub const fn new(client: Option<Bytes>) -> Self {
        Self { client }
    }

    /// Answers a request.
    pub fn answer(&self, request: &Request<()>) -> Response<Bytes> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let Some((content_type, body)) = self.find(request.uri().path()) else {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    fn find(&self, path: &str) -> Option<(&'static str, Bytes)> {
        if path == "/client/socket.io.min.js" {
            return Some((SCRIPT, self.client.clone()?));
        }
        let (_, content_type, body) = FILES.iter().find(|(name, ..)| *name == path)?;
        Some((content_type, Bytes::from_static(body)))
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../chat/public/", $name))
    };
}

const FILES: [(&str, &str, &[u8]); 6] = [
    ("/", "text/html; charset=utf-8", file!("index.html")),
    ("/app.js", SCRIPT, file!("app.js")),
    ("/view.js", SCRIPT, file!("view.js")),
    ("/picture.js", SCRIPT, file!("picture.js")),
    ("/style.css", "text/css; charset=utf-8", file!("style.css")),
    ("/icon.svg", "image/svg+xml", file!("icon.svg")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Response<Bytes> {
        Pages::new(None).answer(&Request::get(path).body(()).unwrap())
    }

    #[test]
    fn the_page_and_its_files_are_found() {
        let page = get("/?transports=polling");
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        for (name, ..) in FILES {
            assert_eq!(get(name).headers()[CACHE_CONTROL], "no-cache");
        }
    }

    #[test]
    fn the_client_is_there_if_it_was_given() {
        let request = Request::get("/client/socket.io.min.js").body(()).unwrap();
        assert_eq!(Pages::new(None).answer(&request).status(), StatusCode::NOT_FOUND);
        let pages = Pages::new(Some(Bytes::from_static(b"io")));
        assert_eq!(*pages.answer(&request).body(), "io");
    }

    #[test]
    fn other_paths_are_not_found_and_other_methods_not_allowed() {
        assert_eq!(get("/../Cargo.toml").status(), StatusCode::NOT_FOUND);
        let post = Request::post("/").body(()).unwrap();
        assert_eq!(Pages::new(None).answer(&post).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
