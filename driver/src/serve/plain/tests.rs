//! What a client sees is the same, byte for byte, whether hyper serves all of its connection or only what is not plain.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socketio_core::Sid;
use socketio_core::engine::http::{Cors, Origin};

use super::{Next, is_clean, serve};
use crate::io::{accept, read, sleep, timeout, write_all};
use crate::runtime::{Connect, Io, Runtime};
use crate::serve::accept::serve_with_hyper;
use crate::serve::service::From;
use crate::serve::stall::Impatient;
use crate::sim::Sim;
use crate::still::Still;
use crate::{Server, ServerBuilder, Socket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Hyper,
    Plain,
}

type Builder = ServerBuilder<Still>;

/// What sets an option.
type Set = fn(Builder) -> Builder;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Without the time in `date` fields.
    text: String,
    ended: bool,
}

/// A server with one connection, and the other end of that.
struct Served {
    rt: Arc<dyn Runtime>,
    server: Server,
    client: Box<dyn Io>,
    /// Whether hyper serves it.
    by_hyper: Arc<AtomicBool>,
}

impl Served {
    async fn new(by: By, rt: Arc<dyn Runtime>) -> Self {
        Self::with(by, rt, |builder| builder).await
    }

    async fn with(by: By, rt: Arc<dyn Runtime>, set: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = ServerBuilder::<Still>::new() // which stands for another one
            .generate_id(|_| async { Ok(Sid::from("fixed")) })
            .max_http_buffer_size(1000);
        let server = set(builder).build_on(Arc::clone(&rt));
        server.on("echo", async |socket: Socket, text: String| {
            let _ = socket.emit("echo", text);
        });
        let mut listener = rt.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let client = rt.connect(Connect::from(listener.local_addr().unwrap())).await.unwrap();
        let (io, peer) = accept(&mut *listener).await.unwrap();
        let from = From { address: Some(peer), secure: false };
        let hub = Arc::clone(&server.hub);
        let by_hyper = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&by_hyper);
        rt.spawn(Box::pin(async move {
            let io = Impatient::new(io, Arc::clone(&hub.runtime));
            let next = match by {
                By::Hyper => Next::Hyper(io),
                By::Plain => serve(&hub, io, from).await,
            };
            if let Next::Hyper(io) = next {
                told.store(true, Ordering::Relaxed);
                serve_with_hyper(&hub, io, from).await;
            }
        }));
        Self { rt, server, client, by_hyper }
    }

    async fn send(&mut self, part: &[u8]) {
        // The server may have hung up.
        let _ = write_all(&mut *self.client, part).await;
        sleep(&*self.rt, Duration::from_millis(1)).await;
    }

    /// Reads until the server hangs up, as it does with all who are silent.
    async fn listen(mut self) -> Seen {
        let mut bytes = Vec::new();
        let mut ended = false;
        let reading = async {
            loop {
                match read(&mut *self.client).await {
                    Ok(some) if !some.is_empty() => bytes.extend_from_slice(&some),
                    _ => return ended = true,
                }
            }
        };
        let _ = timeout(&*self.rt, Duration::from_secs(200), reading).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let responses = text.matches("HTTP/1.").count() - text.matches("HTTP/1.1 100 ").count();
        assert_eq!(text.matches("\r\ndate: ").count(), responses);
        let lines: Vec<_> = text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
        Seen { text: lines.join("\r\n"), ended }
    }
}

/// Sends these parts, each in a packet of its own, and says no more. Whether hyper was needed comes second.
fn seen(by: By, parts: &[&[u8]]) -> (Seen, bool) {
    let mut sim = Sim::new(1);
    let rt = sim.runtime();
    sim.block_on(async {
        let mut served = Served::new(by, rt).await;
        for part in parts {
            served.send(part).await;
        }
        let by_hyper = Arc::clone(&served.by_hyper);
        (served.listen().await, by_hyper.load(Ordering::Relaxed))
    })
}

fn assert_same(parts: &[&[u8]]) -> bool {
    let (plain, handed_over) = seen(By::Plain, parts);
    let (hyper, _) = seen(By::Hyper, parts);
    let sent: Vec<_> = parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
    assert_eq!(plain, hyper, "{sent:#?}");
    handed_over
}

const OPEN: &str = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n";
const GET: &str = "GET /socket.io/?EIO=4&transport=polling&sid=fixed HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(body: &str) -> String {
    format!(
        "POST /socket.io/?EIO=4&transport=polling&sid=fixed HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A session, and what it says and hears.
fn conversation() -> String {
    [OPEN, &post("40"), GET, &post("42[\"echo\",\"a\"]"), GET].concat()
}

#[test]
fn a_conversation_needs_no_hyper() {
    let (connect, echo) = (post("40"), post("42[\"echo\",\"a\"]"));
    for agent in
        ["", "User-Agent: x;MSIE 8\r\n", "Connection: keep-alive\r\nAccept: */*\r\nOrigin: http://a\r\n"]
    {
        let parts = [OPEN, &*connect, GET, &*echo, GET]
            .map(|part| part.replace("Host: a\r\n", &format!("Host: a\r\n{agent}")));
        let parts: Vec<_> = parts.iter().map(String::as_bytes).collect();
        assert!(!assert_same(&parts), "{agent}");
    }
}

#[test]
fn options_of_the_server_make_no_difference() {
    let set: [(&str, Set); 3] = [
        ("cors", |builder| builder.cors(Cors::new(Origin::Any).unwrap())),
        ("cors_for", |builder| builder.cors_for(|_| async { Some(Cors::new(Origin::Any).unwrap()) })),
        ("http_compression", |builder| builder.http_compression(Some(1))),
    ];
    for (name, set) in set {
        let field = "Host: a\r\nOrigin: http://a\r\nAccept-Encoding: gzip\r\n";
        let unknown = GET.replace("sid=fixed", "sid=other");
        let text =
            [conversation(), unknown, GET.replace("GET", "PUT")].concat().replace("Host: a\r\n", field);
        let seen = [By::Plain, By::Hyper].map(|by| {
            let mut sim = Sim::new(1);
            let rt = sim.runtime();
            sim.block_on(async {
                let mut served = Served::with(by, rt, set).await;
                served.send(text.as_bytes()).await;
                served.listen().await
            })
        });
        assert_eq!(seen[0], seen[1], "{name}");
        assert!(seen[0].text.contains("fixed") || name == "http_compression", "{name}");
    }
}

#[test]
fn a_client_that_goes_while_its_poll_waits_is_missed() {
    for by in [By::Plain, By::Hyper] {
        let mut sim = Sim::new(1);
        let rt = sim.runtime();
        sim.block_on(async {
            let mut served = Served::new(by, Arc::clone(&rt)).await;
            served.send(conversation().as_bytes()).await;
            served.send(GET.as_bytes()).await;
            assert_eq!(served.server.hub.len(), 1);
            let Served { client, server, .. } = served;
            drop(client);
            sleep(&*rt, Duration::from_secs(1)).await;
            assert_eq!(server.hub.len(), 0, "{by:?}");
        });
    }
}

#[test]
fn a_server_that_closes_answers_whoever_waits() {
    let seen = |by, parts: &[&str]| {
        let mut sim = Sim::new(1);
        let rt = sim.runtime();
        sim.block_on(async {
            let mut served = Served::new(by, rt).await;
            for part in parts {
                served.send(part.as_bytes()).await;
            }
            served.server.close();
            served.listen().await
        })
    };
    for parts in [&[][..], &[OPEN], &[&conversation(), GET], &[&conversation(), &[GET, GET].concat()]] {
        assert_eq!(seen(By::Plain, parts), seen(By::Hyper, parts), "{parts:#?}");
    }
}

#[test]
fn requests_may_come_together() {
    assert!(!assert_same(&[conversation().as_bytes()]));
    // A POST while a GET waits, and too many of each.
    for more in [[GET, GET].concat(), [GET, &post("2")].concat(), [GET, GET, &post("1"), GET].concat()] {
        assert_same(&[conversation().as_bytes(), more.as_bytes()]);
        assert_same(&[[conversation(), more].concat().as_bytes()]);
    }
}

#[test]
fn wherever_a_conversation_is_cut_the_answers_are_the_same() {
    let whole = conversation();
    for at in 1..whole.len() {
        let (one, other) = whole.as_bytes().split_at(at);
        assert_same(&[one, other]);
    }
}

#[test]
fn whatever_is_not_plain_is_answered_as_hyper_answers_it() {
    let long = "x".repeat(70_000);
    let medium = "x".repeat(9000);
    let post_with = |fields: &str, body: &str| {
        format!("POST /socket.io/?EIO=4&transport=polling&sid=fixed HTTP/1.1\r\n{fields}\r\n{body}")
    };
    let get_with =
        |fields: &str| format!("GET /socket.io/?EIO=4&transport=polling&sid=fixed HTTP/1.1\r\n{fields}\r\n");
    let mut odd = vec![
        post_with("Host: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n", "400"),
        post_with("Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\nContent-Length: 2, 2\r\n", "40"),
        post_with("Host: a\r\nContent-Length: +2\r\n", "40"),
        post_with("Host: a\r\nContent-Length: 0x2\r\n", "40"),
        post_with("Host: a\r\nContent-Length: -2\r\n", "40"),
        post_with("Host: a\r\nContent-Length:\r\n", "40"),
        post_with("Host: a\r\nContent-Length: 00002\r\n", "40"),
        post_with("Host: a\r\nContent-Length: 99999999999999999999\r\n", "40"),
        post_with("Host: a\r\nContent-Length : 2\r\n", "40"),
        post_with("Host: a\r\nContent-Length\t: 2\r\n", "40"),
        post_with("Host: a\r\n Content-Length: 2\r\n", "40"),
        post_with("Host: a\r\nX: y\r\n folded\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\nContent-Length: 2\n", "40"),
        post_with("Host: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n", "2\r\n40\r\n0\r\n\r\n"),
        post_with("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2\r\n40\r\n0\r\n\r\n"),
        post_with("Host: a\r\nTransfer-Encoding: chunked\r\n", "2\r\n40\r\n0\r\n\r\n"),
        post_with("Host: a\r\nTransfer-Encoding: xchunked\r\n", "2\r\n40\r\n0\r\n\r\n"),
        post_with("Host: a\r\nTransfer-Encoding: chunked, identity\r\n", "40"),
        post_with("Host: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\nTE: trailers\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\nTrailer: x\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\nConnection: close\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\nConnection: keep-alive, close\r\nContent-Length: 2\r\n", "40"),
        post_with("Host: a\r\n", ""),
        post_with("Host: a\r\nContent-Length: 1001\r\n", &"4".repeat(1001)),
        post_with("Host: a\r\nContent-Length: 9000\r\n", &medium),
        post_with("Host: a\r\nContent-Length: 70000\r\n", &long),
        post_with("Host: a\r\nContent-Length: 2\r\nContent-Type: application/octet-stream\r\n", "40"),
        get_with("Host: a\r\nContent-Length: 2\r\n") + "40",
        get_with("Host: a\r\nContent-Length: 0\r\n"),
        get_with(""),
        get_with("Host: a\r\nHost: b\r\n"),
        get_with("Host: a\r\nX y: z\r\n"),
        get_with("Host: a\r\nX: \u{0}\r\n"),
        get_with("Host: a\r\nX: \u{e9}\r\n"),
        get_with("Host: a\r\nX:y\r\nY:   z  \r\n"),
        get_with("Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
        get_with("Host: a\r\nConnection: upgrade\r\n"),
        get_with("Host: a\r\nUpgrade: h2c\r\n"),
        get_with(&format!("Host: a\r\nX: {medium}\r\n")),
        get_with(&format!("Host: a\r\nX: {long}\r\n")),
        get_with(&(String::from("Host: a\r\n") + &"X: y\r\n".repeat(30))),
        get_with(&(String::from("Host: a\r\n") + &"X: y\r\n".repeat(40))),
        get_with(&(String::from("Host: a\r\n") + &"X: y\r\n".repeat(99))),
        get_with(&(String::from("Host: a\r\n") + &"X: y\r\n".repeat(100))),
        "\r\n".to_owned() + GET,
        "\n\n".to_owned() + GET,
        GET.replace("GET", "get"),
        GET.replace("GET", "HEAD"),
        GET.replace("GET", "OPTIONS"),
        GET.replace("GET", "PUT"),
        GET.replace("GET", "G(T"),
        GET.replace("GET /", "GET http://a/"),
        GET.replace("GET /", "GET  /"),
        GET.replace("HTTP/1.1", "HTTP/1.0"),
        GET.replace("HTTP/1.1", "HTTP/2.0"),
        GET.replace("HTTP/1.1", "HTTP/1.1 "),
        GET.replace("fixed", "fi%78ed"),
        GET.replace("fixed", "fixed#x"),
        GET.replace("fixed", "\u{e9}"),
        GET.replace("fixed", "fi\"xed"),
        GET.replace("fixed", "fi<xed"),
        GET.replace("fixed", "unknown"),
        GET.replace("EIO=4", "EIO=3"),
        GET.replace("polling", "websocket"),
        GET.replace("polling", "nothing"),
        GET.replace("/socket.io/", "/socket.io/x"),
        GET.replace("/socket.io/", "/"),
        OPEN.replace("EIO=4", "EIO=3"),
        OPEN.replace("EIO=4", "EIO=5"),
        OPEN.to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}".to_owned(),
        "GET".to_owned(),
        String::new(),
    ];
    for field in
        ["Accept-Encoding: gzip", "Cookie: a=b", "Origin: \u{1}", "Access-Control-Request-Headers: x"]
    {
        odd.push(get_with(&format!("Host: a\r\n{field}\r\n")));
    }
    for request in odd {
        assert_same(&[request.as_bytes()]);
        let smuggled = [&*request, &*post("41"), GET].concat();
        assert_same(&[conversation().as_bytes(), smuggled.as_bytes()]);
    }
}

#[test]
fn targets_are_clean_that_have_nothing_but_letters_digits_and_a_few_signs() {
    for byte in 0..=255_u8 {
        let wanted = byte.is_ascii_alphanumeric() || b"/?=&-._~%+:".contains(&byte);
        for len in 1..50 {
            for at in [0, len / 2, len - 1] {
                let mut target = vec![b'a'; len];
                target[at] = byte;
                assert_eq!(is_clean(&target), wanted, "{byte:#x} at {at} of {len}");
            }
        }
    }
}
