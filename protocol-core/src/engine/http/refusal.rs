//! Why a request is refused: the codes, names and messages of REFERENCE 1.6.

use alloc::string::{String, ToString as _};

use bytes::Bytes;

use super::Response;
use crate::engine::handshake::push_json;
use crate::engine::{Revision, Transport};
use crate::{Sid, Str};

/// A refused request. The data of a variant is the context of the `connection_error` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Code 0: `transport` is missing, unknown, not enabled, or `webtransport`, which HTTP cannot carry.
    UnknownTransport {
        /// The value of the parameter.
        transport: Option<Str>,
    },
    /// Code 1: no live session has this id.
    UnknownSid {
        /// The value of the parameter.
        sid: Sid,
    },
    /// Code 2: a request without a session id is not a GET.
    BadHandshakeMethod {
        /// The method.
        method: Str,
    },
    /// Code 3.
    BadRequest(BadRequest),
    /// Code 4: the application refused (`allowRequest`).
    Forbidden {
        /// What the application has to say to the client; by default `Forbidden`.
        message: Option<Str>,
    },
    /// Code 5: a handshake of revision 3, which is not enabled.
    UnsupportedProtocolVersion,
}

/// The reasons that share code 3. To the client they look alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// `INVALID_ORIGIN`: the `Origin` field holds a character that no header value may have.
    InvalidOrigin {
        /// The value of the field.
        origin: Bytes,
    },
    /// `TRANSPORT_MISMATCH`: not an upgrade, and for another transport than the session's.
    TransportMismatch {
        /// The transport of the request.
        transport: Transport,
        /// The transport of the session.
        previous_transport: Transport,
    },
    /// `PROTOCOL_MISMATCH`: another revision than the session's.
    ProtocolMismatch {
        /// The revision of the request.
        protocol: Revision,
        /// The revision of the session.
        previous_protocol: Revision,
    },
    /// `TRANSPORT_HANDSHAKE_ERROR`: `transport=websocket` without an upgrade, or the transport could not be opened.
    TransportHandshakeError {
        /// What went wrong, unless it was the missing upgrade.
        error: Option<Str>,
    },
    /// `ID_GENERATION_ERROR`: the application's id generator failed.
    IdGenerationError {
        /// What it said.
        error: Str,
    },
    /// `MIDDLEWARE_FAILURE`: a middleware of the application failed.
    MiddlewareFailure,
}

impl Refusal {
    /// The code, 0 to 5.
    pub const fn code(&self) -> u8 {
        match self {
            Self::UnknownTransport { .. } => 0,
            Self::UnknownSid { .. } => 1,
            Self::BadHandshakeMethod { .. } => 2,
            Self::BadRequest(_) => 3,
            Self::Forbidden { .. } => 4,
            Self::UnsupportedProtocolVersion => 5,
        }
    }

    /// The message sent to the client.
    pub fn message(&self) -> &str {
        match self {
            Self::UnknownTransport { .. } => "Transport unknown",
            Self::UnknownSid { .. } => "Session ID unknown",
            Self::BadHandshakeMethod { .. } => "Bad handshake method",
            Self::BadRequest(_) => "Bad request",
            Self::Forbidden { message } => message.as_deref().unwrap_or("Forbidden"),
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// The status of the response to a plain request. A refused upgrade has 400 for every code.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Forbidden { .. } => 403,
            _ => 400,
        }
    }

    /// The body of the response to a plain request.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{\"code\":");
        json.push_str(&self.code().to_string());
        json.push_str(",\"message\":");
        push_json(self.message(), &mut json);
        json.push('}');
        json
    }

    /// The answer to a plain request: JSON.
    pub fn response(&self) -> Response {
        Response::json(self.status(), self.to_json())
    }

    /// The answer to a request for an upgrade, after which the connection is closed: the message alone, with status 400
    /// for every code. Code 5, which the reference writes into the upgraded stream, is answered here like the others.
    pub fn upgrade_response(&self) -> Response {
        Response::html_close(400, self.message().to_string())
    }
}

impl BadRequest {
    /// The name in the context of `connection_error`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::InvalidOrigin { .. } => "INVALID_ORIGIN",
            Self::TransportMismatch { .. } => "TRANSPORT_MISMATCH",
            Self::ProtocolMismatch { .. } => "PROTOCOL_MISMATCH",
            Self::TransportHandshakeError { .. } => "TRANSPORT_HANDSHAKE_ERROR",
            Self::IdGenerationError { .. } => "ID_GENERATION_ERROR",
            Self::MiddlewareFailure => "MIDDLEWARE_FAILURE",
        }
    }
}

impl From<BadRequest> for Refusal {
    fn from(reason: BadRequest) -> Self {
        Self::BadRequest(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [Refusal; 7] {
        [
            Refusal::UnknownTransport { transport: None },
            Refusal::UnknownSid { sid: "x".into() },
            Refusal::BadHandshakeMethod { method: "PUT".into() },
            BadRequest::MiddlewareFailure.into(),
            Refusal::Forbidden { message: None },
            Refusal::UnsupportedProtocolVersion,
            Refusal::Forbidden { message: Some("say \"please\"\n".into()) },
        ]
    }

    #[test]
    fn bodies_and_statuses_are_those_of_the_table() {
        let expected = [
            (400, "{\"code\":0,\"message\":\"Transport unknown\"}"),
            (400, "{\"code\":1,\"message\":\"Session ID unknown\"}"),
            (400, "{\"code\":2,\"message\":\"Bad handshake method\"}"),
            (400, "{\"code\":3,\"message\":\"Bad request\"}"),
            (403, "{\"code\":4,\"message\":\"Forbidden\"}"),
            (400, "{\"code\":5,\"message\":\"Unsupported protocol version\"}"),
            (403, "{\"code\":4,\"message\":\"say \\\"please\\\"\\n\"}"),
        ];
        for (refusal, (status, body)) in all().iter().zip(expected) {
            let response = refusal.response();
            assert_eq!((response.status, &*response.body), (status, body.as_bytes()));
            assert_eq!(response.headers.as_slice(), [("Content-Type", "application/json")]);
        }
    }

    #[test]
    fn a_refused_upgrade_is_always_400_with_the_bare_message() {
        for refusal in all() {
            let response = refusal.upgrade_response();
            assert_eq!((response.status, &*response.body), (400, refusal.message().as_bytes()));
        }
        assert_eq!(
            Refusal::Forbidden { message: None }.upgrade_response().to_http1(),
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
              Content-Length: 9\r\n\r\nForbidden"
        );
    }

    #[test]
    fn the_reasons_of_code_3_have_the_names_of_the_reference() {
        let names = [
            BadRequest::InvalidOrigin { origin: Bytes::new() },
            BadRequest::TransportMismatch {
                transport: Transport::Polling,
                previous_transport: Transport::Websocket,
            },
            BadRequest::ProtocolMismatch { protocol: Revision::V3, previous_protocol: Revision::V4 },
            BadRequest::TransportHandshakeError { error: None },
            BadRequest::IdGenerationError { error: "".into() },
            BadRequest::MiddlewareFailure,
        ]
        .map(|reason| reason.name());
        assert_eq!(
            names,
            [
                "INVALID_ORIGIN",
                "TRANSPORT_MISMATCH",
                "PROTOCOL_MISMATCH",
                "TRANSPORT_HANDSHAKE_ERROR",
                "ID_GENERATION_ERROR",
                "MIDDLEWARE_FAILURE"
            ]
        );
    }
}
