//! The archives that browsers save: every request of a page, with the messages of its websockets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use socketio_core::engine::Revision;
use socketio_core::engine::http::Query;

use super::capture::{Content, Direction};
use super::{Transcript, shared};

#[derive(Deserialize)]
struct Har {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Response,
    #[serde(default, rename = "_webSocketMessages")]
    messages: Vec<WebsocketMessage>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    #[serde(rename = "postData")]
    post: Option<Body>,
}

#[derive(Deserialize)]
struct Response {
    status: i32,
    content: Body,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    text: String,
    #[serde(default)]
    encoding: String,
}

#[derive(Deserialize)]
struct WebsocketMessage {
    #[serde(rename = "type")]
    kind: String,
    opcode: u8,
    data: String,
}

/// Adds every Engine.IO request of an archive, in its order, under a line that names it.
///
/// # Errors
/// When it is no archive, or has no such request; the message says which.
pub fn add(har: &str, to: &mut Transcript) -> Result<(), String> {
    let har: Har = serde_json::from_str(har).map_err(|error| format!("not a HAR file: {error}"))?;
    let mut found = false;
    for entry in har.log.entries {
        let query = Query::of_target(&entry.request.url);
        let (Some(revision), Some(_)) = (query.get("EIO"), query.get("transport")) else { continue };
        let revision = if revision == "4" { Revision::V4 } else { Revision::V3 };
        found = true;
        let status = entry.response.status;
        to.begin(&format!("{} {} {status}", entry.request.method, entry.request.url), revision);
        for message in entry.messages {
            let direction = if message.kind == "send" { Direction::ToServer } else { Direction::ToClient };
            let encoding = if message.opcode == 2 { "base64" } else { "" };
            to.add(direction, content(message.data, encoding)?);
        }
        if let Some(post) = entry.request.post {
            to.add(Direction::ToServer, content(post.text, &post.encoding)?);
        } else if status == 200 {
            to.add(
                Direction::ToClient,
                content(entry.response.content.text, &entry.response.content.encoding)?,
            );
        } else if !entry.response.content.text.is_empty() {
            to.note(&entry.response.content.text);
        }
    }
    if found {
        Ok(())
    } else {
        Err("no request in the HAR file has EIO and transport in its query".to_owned())
    }
}

fn content(text: String, encoding: &str) -> Result<Content, String> {
    if encoding != "base64" {
        return Ok(Content::Text(shared(text)));
    }
    let bytes = STANDARD.decode(text).map_err(|error| format!("bad base64 in the HAR file: {error}"))?;
    Ok(Content::Binary(bytes.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use socketio_core::socket::Codec;

    use super::*;

    fn transcript(har: &serde_json::Value) -> Result<String, String> {
        let mut transcript = Transcript::new(Revision::V4, Codec::Text);
        add(&har.to_string(), &mut transcript).map(|()| transcript.take_text())
    }

    #[test]
    fn polls_posts_and_websockets_are_found() {
        let url = "http://localhost/socket.io/?EIO=4&transport=polling&sid=a";
        let har = json!({ "log": { "entries": [
            { "request": { "method": "GET", "url": "http://localhost/app.js" },
              "response": { "status": 200, "content": { "text": "x" } } },
            { "request": { "method": "GET", "url": url },
              "response": { "status": 200, "content": { "text": "40{\"sid\":\"b\"}\u{1e}6" } } },
            { "request": { "method": "POST", "url": url, "postData": { "text": "42[\"a\"]" } },
              "response": { "status": 200, "content": { "text": "ok" } } },
            { "request": { "method": "GET", "url": url },
              "response": { "status": 400, "content": { "text": "{\"code\":1}" } } },
            { "request": { "method": "GET", "url": "ws://localhost/socket.io/?EIO=4&transport=websocket" },
              "response": { "status": 101, "content": {} },
              "_webSocketMessages": [
                { "type": "send", "opcode": 1, "data": "451-[\"b\",{\"_placeholder\":true,\"num\":0}]" },
                { "type": "receive", "opcode": 1, "data": "2" },
                { "type": "send", "opcode": 2, "data": "AQ==" }
              ] }
        ] } });
        let expected = "\
# GET http://localhost/socket.io/?EIO=4&transport=polling&sid=a 200
< CONNECT       / {\"sid\":\"b\"}
< noop
# POST http://localhost/socket.io/?EIO=4&transport=polling&sid=a 200
> EVENT         / \"a\"
# GET http://localhost/socket.io/?EIO=4&transport=polling&sid=a 400
< {\"code\":1}
# GET ws://localhost/socket.io/?EIO=4&transport=websocket 101
> (part)        51-[\"b\",{\"_placeholder\":true,\"num\":0}]
< ping
> EVENT         / \"b\" <1 bytes: 01>
";
        assert_eq!(transcript(&har).as_deref(), Ok(expected));
    }

    #[test]
    fn what_is_no_archive_is_said_to_be_none() {
        assert!(transcript(&json!([])).unwrap_err().starts_with("not a HAR file: "));
        let empty = json!({ "log": { "entries": [] } });
        assert_eq!(
            transcript(&empty).unwrap_err(),
            "no request in the HAR file has EIO and transport in its query"
        );
    }
}
