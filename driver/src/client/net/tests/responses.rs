//! What a request looks like, and every way in which it can be answered or not.

use std::time::Duration;

use futures_util::future::join;

use super::*;
use crate::io::{sleep, timeout};

#[test]
fn requests_are_those_of_the_reference() {
    let config = NetworkConfig {
        headers: vec![("X-Token".into(), "abc".into()), ("x-token".into(), "def".into())],
        ..plain()
    };
    play_at("http://al:pw@server.test", config, |mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            assert_eq!(network.get("/socket.io/?EIO=4".into()).await, body("a"));
            assert_eq!(network.post("/socket.io/?sid=1".into(), "40".into()).await, body("ok"));
        };
        let server = async {
            let mut peer = scene.accept().await;
            let head = peer.answer("a").await;
            assert_eq!(
                head,
                "GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: server.test\r\nauthorization: Basic YWw6cHc=\r\n\
                 x-token: abc\r\nx-token: def\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\n\r\n"
            );
            let head = peer.head().await;
            assert!(head.starts_with("POST /socket.io/?sid=1 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-type: text/plain;charset=UTF-8\r\n"), "{head}");
            assert!(head.contains("\r\ncontent-length: 2\r\n"), "{head}");
            assert_eq!(peer.bytes(2).await, b"40");
            peer.say(ok("ok")).await;
        };
        join(client, server).await;
    });
}

#[test]
fn a_user_can_replace_what_is_not_the_connections_own() {
    let headers = [("host", "other.test"), ("Accept", "text/html"), ("authorization", "Bearer 1")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    play_at("http://a:b@server.test", NetworkConfig { headers, ..plain() }, |mut scene| async move {
        let network = scene.network.clone();
        let server = async {
            let head = scene.accept().await.answer("").await;
            for line in ["host: other.test", "accept: text/html", "authorization: Bearer 1"] {
                assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{head}");
                let name = line.split(':').next().unwrap();
                assert_eq!(head.matches(&format!("\r\n{name}:")).count(), 1, "{head}");
            }
        };
        let (answer, ()) = join(network.get("/".into()), server).await;
        assert_eq!(answer, body(""));
    });
}

/// Answers one GET with these bytes and ends the connection.
fn answered(config: &NetworkConfig, response: &[u8]) -> Answered {
    let answers = std::cell::RefCell::new(Vec::new());
    play_with(config.clone(), |mut scene| {
        let answers = &answers;
        async move {
            let network = scene.network.clone();
            let server = async {
                let mut peer = scene.accept().await;
                peer.head().await;
                peer.say(response).await;
                let _ = crate::io::shutdown(&mut *peer.io).await;
                // Not a reset, which might overtake what was said.
                while peer.more().await {}
            };
            let (answer, ()) = join(network.get("/".into()), server).await;
            answers.borrow_mut().push(answer);
        }
    });
    let mut answers = answers.into_inner();
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    answers.pop().unwrap()
}

#[test]
fn every_form_of_a_body_is_read() {
    let config = plain();
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
    ] {
        assert_eq!(answered(&config, response.as_bytes()), body("hello"), "{response}");
    }
}

#[test]
fn a_response_that_is_cut_anywhere_is_no_response() {
    let config = plain();
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        for length in 0..whole.len() {
            let answer = answered(&config, &whole.as_bytes()[..length]);
            assert_eq!(answer, Err(Failure::Connection), "{:?}", &whole[..length]);
        }
    }
}

#[test]
fn garbage_is_no_response() {
    let config = plain();
    for response in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\na",
    ] {
        assert_eq!(answered(&config, response.as_bytes()), Err(Failure::Connection), "{response}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(answered(&config, endless.as_bytes()), Err(Failure::Connection));
}

#[test]
fn a_status_comes_with_the_beginning_of_its_page() {
    let config = plain();
    let page =
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 34\r\n\r\n{\"code\":1,\"message\":\"x\"}0123456789";
    assert_eq!(
        answered(&config, page.as_bytes()),
        Ok((400, "{\"code\":1,\"message\":\"x\"}0123456789".into()))
    );
    // Redirects are not followed.
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered(&config, moved.as_bytes()), Ok((302, Bytes::new())));
    // Nor is more read than is kept, even if the rest is missing.
    let endless = format!("HTTP/1.1 500 Oops\r\nContent-Length: 99999999\r\n\r\n{}", "e".repeat(5000));
    assert_eq!(answered(&config, endless.as_bytes()), Ok((500, "e".repeat(1024).into())));
    let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(answered(&config, switched.as_bytes()).map(|(status, _)| status), Ok(101));
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let config = NetworkConfig { max_message_bytes: 1000, ..plain() };
    for (size, fits) in [(1000, true), (1001, false), (5000, false)] {
        let text = "x".repeat(size);
        let expected = if fits { body(&text) } else { Err(Failure::TooLarge) };
        for head in ["\r\n".to_owned(), format!("Content-Length: {size}\r\n\r\n")] {
            let response = format!("HTTP/1.1 200 OK\r\n{head}{text}");
            assert_eq!(answered(&config, response.as_bytes()), expected, "{size}");
        }
        let chunked =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{text}\r\n0\r\n\r\n");
        assert_eq!(answered(&config, chunked.as_bytes()), expected, "{size}");
    }
}

#[test]
fn a_large_body_arrives_whole() {
    let text = "0123456789".repeat(30_000);
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    assert_eq!(answered(&plain(), response.as_bytes()), body(&text));
}

#[test]
fn a_request_times_out_wherever_it_hangs() {
    let limit = Duration::from_secs(5);
    let config = NetworkConfig { request_timeout: Some(limit), ..plain() };
    for said in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"] {
        play_with(config.clone(), |mut scene| async move {
            let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
            let client = async {
                let start = rt.now();
                assert_eq!(network.get("/".into()).await, Err(Failure::TimedOut));
                assert_eq!(rt.now().saturating_since(start), limit);
            };
            let server = async {
                let mut peer = scene.accept().await;
                peer.head().await;
                peer.say(said).await;
                assert!(!peer.more().await, "the connection is closed");
            };
            join(client, server).await;
        });
    }
    // Nobody accepts a connection.
    play_with(config, |scene| async move {
        scene.net.set_reach(([127, 0, 0, 1], 80).into(), crate::sim::Reach::Silent);
        assert_eq!(scene.network.get("/".into()).await, Err(Failure::TimedOut));
    });
}

#[test]
fn who_cannot_be_reached_is_said() {
    play(|scene| async move {
        scene.net.set_reach(([127, 0, 0, 1], 80).into(), crate::sim::Reach::Refused);
        assert_eq!(scene.network.get("/".into()).await, Err(Failure::Refused));
        assert_eq!(
            scene.network.websocket(socketio_core::Lane(1), "/".into()).await.err(),
            Some(Failure::Refused)
        );
    });
    play_at("http://nowhere.test", plain(), |scene| async move {
        assert_eq!(scene.network.get("/".into()).await, Err(Failure::Unresolved));
    });
}

#[test]
fn giving_a_request_up_closes_its_connection() {
    play(|mut scene| async move {
        let rt = Arc::clone(&scene.rt);
        let given_up = timeout(&*rt, Duration::from_secs(1), scene.network.get("/".into()));
        assert_eq!(given_up.await, None);
        let mut peer = scene.accept().await;
        peer.head().await;
        assert!(!peer.more().await, "closed");
        drop(peer);
        sleep(&*rt, Duration::from_secs(1)).await;
        assert_eq!(scene.connections(), 0);
    });
}
