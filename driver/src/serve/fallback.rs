//! What is served besides Socket.IO: the hook for requests to other paths.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::StatusCode;
use http_body_util::Full;
use socketio_core::Bytes;

use crate::serve::service::empty;

type Answer = dyn Fn(&http::Request<()>) -> http::Response<Bytes> + Send + Sync;

/// Answers the requests that are not for the server; with 404, unless the application does.
#[derive(Clone, Default)]
pub(crate) struct Fallback(Option<Arc<Answer>>);

impl Fallback {
    pub(crate) fn new(
        answer: impl Fn(&http::Request<()>) -> http::Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(answer)))
    }

    pub(crate) fn answer(&self, head: http::request::Parts) -> http::Response<Full<Bytes>> {
        let Some(answer) = &self.0 else { return empty(StatusCode::NOT_FOUND) };
        let request = http::Request::from_parts(head, ());
        match catch_unwind(AssertUnwindSafe(|| answer(&request))) {
            Ok(response) => response.map(Full::new),
            Err(_) => {
                // The message itself went to the panic hook.
                tracing::error!(path = request.uri().path(), "the fallback panicked");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fallback").field(&self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(fallback: &Fallback, path: &str) -> StatusCode {
        let (head, ()) = http::Request::get(path).body(()).unwrap().into_parts();
        fallback.answer(head).status()
    }

    #[test]
    fn without_a_fallback_nothing_is_found() {
        assert_eq!(status(&Fallback::default(), "/"), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_fallback_that_panics_is_an_internal_error() {
        let fallback = Fallback::new(|request| match request.uri().path() {
            "/" => http::Response::new(Bytes::from_static(b"here")),
            path => panic!("{path}"),
        });
        assert_eq!(status(&fallback, "/"), StatusCode::OK);
        assert_eq!(status(&fallback, "/x"), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
