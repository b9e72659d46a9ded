//! The opening handshake of a websocket, and its frames.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::future::join;
use socketio_core::engine::buffer::Compression;
use socketio_core::engine::packet::Frame;
use socketio_core::{Instant, Lane, Str};
use tungstenite::handshake::derive_accept_key;

use super::*;
use crate::io::timeout;
use crate::ws::Ws;

const LANE: Lane = Lane(7);

/// The value of a header of a request.
fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub(super) fn switching(head: &str, more: &str) -> String {
    let accept = derive_accept_key(value(head, "sec-websocket-key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

async fn next(ws: &mut Ws) -> Frame {
    let mut frames = Vec::new();
    while frames.is_empty() {
        poll_fn(|cx| ws.poll_read(cx, Instant::ZERO, |frame| frames.push(frame))).await.unwrap();
    }
    assert_eq!(frames.len(), 1, "{frames:?}");
    frames.remove(0)
}

/// The frame of a client: opcode, mask and payload without it.
async fn frame(peer: &mut Peer) -> (u8, [u8; 4], Vec<u8>) {
    let head = peer.bytes(2).await;
    assert_eq!(head[1] & 0x80, 0x80, "masked");
    let length = match head[1] & 0x7F {
        126 => usize::from(u16::from_be_bytes(peer.bytes(2).await.try_into().unwrap())),
        127 => panic!("too long for these tests"),
        short => usize::from(short),
    };
    let mask: [u8; 4] = peer.bytes(4).await.try_into().unwrap();
    let mut payload = peer.bytes(length).await;
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    (head[0], mask, payload)
}

#[test]
fn frames_travel_both_ways_and_none_behind_the_response_is_lost() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            let mut ws = network.websocket(LANE, "/socket.io/?EIO=4".into()).await.unwrap();
            assert_eq!(ws.lane, LANE);
            assert_eq!(next(&mut ws).await, Frame::Text(Str::from_static("0{}")));
            ws.queue(&Frame::Text(Str::from_static("2probe")), Compression::Forbidden);
            ws.queue(&Frame::Binary(Bytes::from(vec![7; 300])), Compression::Allowed);
            poll_fn(|cx| ws.poll_write(cx)).await.unwrap();
            assert_eq!(next(&mut ws).await, Frame::Binary(Bytes::from_static(b"abc")));
        };
        let server = async {
            let mut peer = scene.accept().await;
            let head = peer.head().await;
            assert!(head.starts_with("GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: server.test\r\n"), "{head}");
            for (name, expected) in
                [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
            {
                assert_eq!(value(&head, name), Some(expected), "{head}");
            }
            assert_eq!(value(&head, "sec-websocket-protocol"), None);
            assert_eq!(value(&head, "accept"), None);
            peer.say([switching(&head, "").as_bytes(), b"\x81\x030{}"].concat()).await;
            let (text, mask, payload) = frame(&mut peer).await;
            assert_eq!((text, payload.as_slice()), (0x81, &b"2probe"[..]));
            let (binary, other_mask, payload) = frame(&mut peer).await;
            assert_eq!((binary, payload), (0x82, vec![7; 300]));
            assert_ne!(mask, other_mask);
            peer.say(b"\x82\x03abc").await;
            assert!(!peer.more().await);
        };
        join(client, server).await;
    });
}

#[test]
fn a_close_frame_is_masked_and_empty() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            let mut ws = network.websocket(LANE, "/".into()).await.unwrap();
            ws.close(Instant::ZERO);
            poll_fn(|cx| ws.poll_write(cx)).await.unwrap();
            while poll_fn(|cx| ws.poll_read(cx, Instant::ZERO, |_| {})).await.is_ok() {}
            assert!(ws.is_done(Instant::ZERO));
        };
        let server = async {
            let mut peer = scene.accept().await;
            let head = peer.head().await;
            peer.say(switching(&head, "")).await;
            let (opcode, _, payload) = frame(&mut peer).await;
            assert_eq!((opcode, payload), (0x88, Vec::new()));
            peer.say(b"\x88\x00").await;
        };
        join(client, server).await;
    });
}

#[test]
fn a_server_that_closes_is_answered_and_not_waited_for() {
    for (close, answer) in [(&b"\x88\x00"[..], &b""[..]), (b"\x88\x02\x03\xE8", b"\x03\xE8")] {
        play(|mut scene| async move {
            let network = scene.network.clone();
            let client = async {
                let mut ws = network.websocket(LANE, "/".into()).await.unwrap();
                let end = loop {
                    match poll_fn(|cx| ws.poll_read(cx, Instant::ZERO, |_| panic!("a frame"))).await {
                        Ok(()) => {}
                        Err(end) => break end,
                    }
                };
                assert_eq!(end, crate::ws::End::Closed);
                assert!(!ws.is_done(Instant::ZERO), "the answer is still to be written");
                poll_fn(|cx| ws.poll_write(cx)).await.unwrap();
                assert!(ws.is_done(Instant::ZERO));
            };
            let server = async {
                let mut peer = scene.accept().await;
                let head = peer.head().await;
                peer.say(switching(&head, "")).await;
                peer.say(close).await;
                let (opcode, _, payload) = frame(&mut peer).await;
                assert_eq!((opcode, payload.as_slice()), (0x88, answer));
                assert!(!peer.more().await);
            };
            join(client, server).await;
        });
    }
}

/// What becomes of a handshake that is answered with `answer`, then the end.
fn handshake(config: NetworkConfig, answer: impl Fn(&str) -> String) -> Result<(), Failure> {
    let outcomes = std::cell::RefCell::new(Vec::new());
    play_with(config, |mut scene| {
        let (outcomes, answer) = (&outcomes, &answer);
        async move {
            let network = scene.network.clone();
            let server = async {
                let mut peer = scene.accept().await;
                let head = peer.head().await;
                peer.say(answer(&head)).await;
                let _ = crate::io::shutdown(&mut *peer.io).await;
                while peer.more().await {}
            };
            let client = async { network.websocket(LANE, "/".into()).await.map(drop) };
            let (outcome, ()) = join(client, server).await;
            outcomes.borrow_mut().push(outcome);
        }
    });
    let mut outcomes = outcomes.into_inner();
    assert!(outcomes.windows(2).all(|two| two[0] == two[1]), "{outcomes:?}");
    outcomes.pop().unwrap()
}

#[test]
fn a_handshake_that_is_cut_anywhere_fails() {
    let length = switching("sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "").len();
    assert_eq!(handshake(plain(), |head| switching(head, "")), Ok(()));
    for cut in 0..length {
        let outcome = handshake(plain(), |head| switching(head, "")[..cut].to_owned());
        assert_eq!(outcome, Err(Failure::Connection), "{cut}");
    }
}

#[test]
fn an_answer_that_does_not_fit_the_question_is_refused() {
    let refused = |from: &'static str, to: &'static str| {
        handshake(plain(), move |head| {
            let right = switching(head, "");
            assert!(right.contains(from));
            right.replace(from, to)
        })
    };
    assert_eq!(refused("WebSocket", "h2c"), Err(Failure::Connection));
    assert_eq!(refused("keep-alive, Upgrade", "keep-alive"), Err(Failure::Connection));
    assert_eq!(refused("Accept: ", "Accept: x"), Err(Failure::Connection));
    assert_eq!(refused("Sec-WebSocket-Accept", "X"), Err(Failure::Connection));
    let more = |line: &'static str| handshake(plain(), move |head| switching(head, line));
    assert_eq!(more("Sec-WebSocket-Extensions: permessage-deflate\r\n"), Err(Failure::Connection));
    assert_eq!(more("Sec-WebSocket-Protocol: chat\r\n"), Err(Failure::Connection));
}

#[test]
fn the_servers_words_on_a_refusal_are_kept() {
    let refusal = |text: &'static str| handshake(plain(), move |_| text.to_owned());
    let page = "HTTP/1.1 400 Bad Request\r\nContent-Length: 24\r\n\r\n{\"code\":0,\"message\":\"x\"}";
    assert_eq!(refusal(page), Err(Failure::status(400, b"{\"code\":0,\"message\":\"x\"}")));
    assert_eq!(refusal("HTTP/1.1 200 OK\r\n\r\nhi"), Err(Failure::status(200, b"hi")));
    assert_eq!(refusal("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"), Err(Failure::status(302, b"")));
}

#[test]
fn one_of_the_offered_subprotocols_must_be_chosen() {
    let offer = || NetworkConfig { protocols: vec!["a".into(), "b".into()], ..plain() };
    let chosen = |line: &'static str| {
        handshake(offer(), move |head| {
            assert_eq!(value(head, "sec-websocket-protocol"), Some("a, b"));
            switching(head, line)
        })
    };
    assert_eq!(chosen("Sec-WebSocket-Protocol: b\r\n"), Ok(()));
    assert_eq!(chosen("Sec-WebSocket-Protocol: c\r\n"), Err(Failure::Connection));
    assert_eq!(chosen("Sec-WebSocket-Protocol: a, b\r\n"), Err(Failure::Connection));
    assert_eq!(chosen(""), Err(Failure::Connection));
}

#[test]
fn giving_a_handshake_up_closes_its_connection() {
    play(|mut scene| async move {
        let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
        let given_up = timeout(&*rt, Duration::from_secs(1), network.websocket(LANE, "/".into())).await;
        assert!(given_up.is_none());
        let mut peer = scene.accept().await;
        peer.head().await;
        assert!(!peer.more().await);
    });
}

#[test]
fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let config = NetworkConfig { max_message_bytes: 10, ..plain() };
    play_with(config, |mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            let mut ws = network.websocket(LANE, "/".into()).await.unwrap();
            let mut frames = Vec::new();
            let end = loop {
                match poll_fn(|cx| ws.poll_read(cx, Instant::ZERO, |frame| frames.push(frame))).await {
                    Ok(()) => {}
                    Err(end) => break end,
                }
            };
            assert_eq!(frames, [Frame::Binary(Bytes::from_static(b"0123456789"))]);
            let fault = socketio_core::engine::close::TransportFault::MessageTooLarge;
            assert_eq!(end, crate::ws::End::Fault(fault));
        };
        let server = async {
            let mut peer = scene.accept().await;
            let head = peer.head().await;
            peer.say(switching(&head, "")).await;
            peer.say(b"\x82\x0a0123456789\x82\x0b01234567890").await;
            while peer.more().await {}
        };
        join(client, server).await;
    });
}
