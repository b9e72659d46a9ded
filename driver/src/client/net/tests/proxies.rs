//! Connections through proxies.

use std::process::Command;

use futures_util::future::join;
use socketio_core::Lane;
use socketio_core::engine::client::ProxyFault;

use super::*;
use crate::client::net::SetupError;

/// A server that only the proxy knows, at port 3128 of `proxy.test`.
fn through<F: Future<Output = ()>>(proxy: Proxy, url: &str, case: impl Fn(Scene) -> F) {
    play_behind(url, 3128, NetworkConfig { proxy, ..plain() }, case);
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[test]
fn polling_in_the_clear_is_passed_on_by_the_proxy() {
    through(
        Proxy::url("http://me:secret@proxy.test:3128"),
        "http://u:p@behind.test:8080",
        |mut scene| async move {
            let network = scene.network.clone();
            let client = async {
                assert_eq!(network.get("/socket.io/?EIO=4".into()).await, body("a"));
                assert_eq!(network.post("/socket.io/?EIO=4".into(), "40".into()).await, body("b"));
            };
            let server = async {
                let mut peer = scene.accept().await;
                let head = peer.answer("a").await;
                assert!(
                    head.starts_with("GET http://behind.test:8080/socket.io/?EIO=4 HTTP/1.1\r\n"),
                    "{head}"
                );
                assert!(head.contains("\r\nhost: behind.test:8080\r\n"), "{head}");
                assert!(head.contains("\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
                assert!(head.contains("\r\nauthorization: Basic dTpw\r\n"), "{head}");
                let head = peer.head().await;
                assert!(
                    head.starts_with("POST http://behind.test:8080/socket.io/?EIO=4 HTTP/1.1\r\n"),
                    "{head}"
                );
                peer.bytes(2).await;
                peer.say(ok("b")).await;
            };
            join(client, server).await;
        },
    );
}

#[test]
fn a_websocket_goes_through_a_tunnel() {
    through(Proxy::url("me:secret@proxy.test:3128"), "ws://u:p@behind.test", |mut scene| async move {
        let network = scene.network.clone();
        let client = async { network.websocket(Lane(1), "/socket.io/".into()).await.unwrap() };
        let server = async {
            let mut peer = scene.accept().await;
            assert_eq!(
                peer.head().await,
                "CONNECT behind.test:80 HTTP/1.1\r\nhost: behind.test:80\r\n\
                 proxy-authorization: Basic bWU6c2VjcmV0\r\n\r\n",
                "and nothing that is meant for the server"
            );
            peer.say(ESTABLISHED).await;
            let head = peer.head().await;
            assert!(head.starts_with("GET /socket.io/ HTTP/1.1\r\nhost: behind.test\r\n"), "{head}");
            assert!(!head.contains("proxy"), "{head}");
            peer.say(super::websockets::switching(&head, "")).await;
        };
        join(client, server).await;
    });
}

/// What becomes of a websocket whose proxy answers the CONNECT with `answer` and ends.
fn tunnel(answer: &str) -> Option<Failure> {
    let outcome = std::cell::RefCell::new(None);
    through(Proxy::url("http://proxy.test:3128"), "ws://[::1]:99", |mut scene| {
        let outcome = &outcome;
        async move {
            let network = scene.network.clone();
            let server = async {
                let mut peer = scene.accept().await;
                assert!(peer.head().await.starts_with("CONNECT [::1]:99 HTTP/1.1\r\nhost: [::1]:99\r\n"));
                peer.say(answer).await;
                let _ = crate::io::shutdown(&mut *peer.io).await;
                while peer.more().await {}
            };
            let client = async { network.websocket(Lane(1), "/".into()).await.err() };
            let (failure, ()) = join(client, server).await;
            *outcome.borrow_mut() = failure;
        }
    });
    outcome.into_inner()
}

#[test]
fn what_a_proxy_says_instead_of_connecting_is_told() {
    let refused = |answer| tunnel(answer);
    let fault = |fault| Some(Failure::Proxy(fault));
    let asks = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(refused(asks), fault(ProxyFault::Credentials));
    assert_eq!(refused("HTTP/1.1 403 Forbidden\r\n\r\nno"), fault(ProxyFault::Refused(403)));
    assert_eq!(refused("HTTP/1.1 502 Bad Gateway\r\n\r\n"), fault(ProxyFault::Refused(502)));
    assert_eq!(refused("HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n"), fault(ProxyFault::Refused(301)));
    assert_eq!(refused("SSH-2.0-x\r\n"), fault(ProxyFault::Connection));
    assert_eq!(
        refused("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Me first\r\n\r\n"),
        fault(ProxyFault::Connection)
    );
    for cut in 0..ESTABLISHED.len() {
        assert_eq!(refused(&ESTABLISHED[..cut]), fault(ProxyFault::Connection), "{cut}");
    }
    // The tunnel stands, and the server says nothing.
    assert_eq!(refused(ESTABLISHED), Some(Failure::Connection));
}

#[test]
fn a_proxy_that_passes_on_can_ask_for_credentials_too() {
    through(Proxy::url("http://proxy.test:3128"), "http://behind.test", |mut scene| async move {
        let network = scene.network.clone();
        let server = async {
            let mut peer = scene.accept().await;
            peer.head().await;
            peer.say("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").await;
        };
        let (answer, ()) = join(network.get("/".into()), server).await;
        assert_eq!(answer, Err(Failure::Proxy(ProxyFault::Credentials)));
    });
    // Without a proxy it is a status as any other.
    play(|mut scene| async move {
        let network = scene.network.clone();
        let server = async {
            let mut peer = scene.accept().await;
            peer.head().await;
            peer.say("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n").await;
        };
        let (answer, ()) = join(network.get("/".into()), server).await;
        assert_eq!(answer, Ok((407, Bytes::new())));
    });
}

#[test]
fn a_proxy_that_cannot_be_reached_is_not_taken_for_the_server() {
    for (proxy, fault) in
        [("http://nowhere.test", ProxyFault::Unresolved), ("http://proxy.test:1", ProxyFault::Unreachable)]
    {
        for url in ["http://server.test", "ws://server.test"] {
            through(Proxy::url(proxy), url, |scene| async move {
                assert_eq!(scene.network.get("/".into()).await, Err(Failure::Proxy(fault)));
                let websocket = scene.network.websocket(Lane(1), "/".into()).await.err();
                assert_eq!(websocket, Some(Failure::Proxy(fault)));
            });
        }
    }
}

#[test]
fn hosts_can_be_excepted() {
    for except in ["server.test", "a.test, test", ".test", "*", "127.0.0.0/8, SERVER.test"] {
        let proxy = Proxy::url("http://proxy.test:3128").except(except);
        play_with(NetworkConfig { proxy, ..plain() }, |mut scene| async move {
            let network = scene.network.clone();
            let server = async { scene.accept().await.answer("direct").await };
            let (answer, head) = join(network.get("/".into()), server).await;
            assert_eq!(answer, body("direct"));
            assert!(head.starts_with("GET / "), "{head}");
        });
    }
    let proxy = Proxy::url("http://proxy.test:3128").except("ver.test,other.test,10.0.0.0/8,");
    through(proxy, "http://server.test", |mut scene| async move {
        let network = scene.network.clone();
        let server = async { scene.accept().await.answer("proxied").await };
        assert_eq!(join(network.get("/".into()), server).await.0, body("proxied"));
    });
}

/// Speaks SOCKS with a client: expects the first of each pair, says the second.
fn socks(proxy: &str, url: &str, talk: &[(&[u8], &[u8])]) -> Answered {
    let outcome = std::cell::RefCell::new(None);
    through(Proxy::url(proxy), url, |mut scene| {
        let outcome = &outcome;
        async move {
            let network = scene.network.clone();
            let server = async {
                let mut peer = scene.accept().await;
                for (expected, said) in talk {
                    assert_eq!(peer.bytes(expected.len()).await, *expected);
                    peer.say(said).await;
                }
                let _ = crate::io::shutdown(&mut *peer.io).await;
                while peer.more().await {}
            };
            let (answer, ()) = join(network.get("/".into()), server).await;
            *outcome.borrow_mut() = Some(answer);
        }
    });
    outcome.into_inner().unwrap()
}

const GREETING: &[u8] = b"\x05\x01\x00";
const TO_NAME: &[u8] = b"\x05\x01\x00\x03\x0bbehind.test\x1f\x90";

#[test]
fn socks_takes_names_and_addresses() {
    let http: (&[u8], &[u8]) = (b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n\r\nhi");
    for (url, request, bound) in [
        ("http://behind.test:8080", TO_NAME, &b"\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50"[..]),
        ("http://10.0.0.1", b"\x05\x01\x00\x01\x0A\x00\x00\x01\x00\x50", b"\x05\x00\x00\x03\x02ab\x00\x50"),
        (
            "http://[::1]",
            b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
            b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
        ),
    ] {
        for scheme in ["socks5", "socks5h"] {
            let proxy = format!("{scheme}://proxy.test:3128");
            assert_eq!(
                socks(&proxy, url, &[(GREETING, b"\x05\x00"), (request, bound), http]),
                body("hi"),
                "{url}"
            );
        }
    }
}

#[test]
fn socks_credentials_are_given_where_they_are_asked_for() {
    let talk = |answer: &'static [u8], verdict: &'static [u8]| {
        let talk: [(&[u8], &[u8]); 2] = [(b"\x05\x02\x00\x02", answer), (b"\x01\x02me\x06sec@et", verdict)];
        socks(
            "socks5://me:sec%40et@proxy.test:3128",
            "http://behind.test:8080",
            &talk[..if verdict.is_empty() { 1 } else { 2 }],
        )
    };
    let refused = Err(Failure::Proxy(ProxyFault::Credentials));
    assert_eq!(talk(b"\x05\x02", b"\x01\x01"), refused);
    assert_eq!(talk(b"\x05\xFF", b""), refused);
    assert_eq!(talk(b"\x05\x02", b"\x01"), Err(Failure::Proxy(ProxyFault::Connection)));
    let none = |answer| socks("socks5://proxy.test:3128", "http://behind.test:8080", &[(GREETING, answer)]);
    assert_eq!(none(b"\x05\x02"), refused, "which were not offered");
    assert_eq!(none(b"\x05\xFF"), refused);
    assert_eq!(none(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Err(Failure::Proxy(ProxyFault::Connection)));
    // With success the request follows at once.
    let whole: [(&[u8], &[u8]); 4] = [
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (b"\x01\x02me\x06sec@et", b"\x01\x00"),
        (TO_NAME, b"\x05\x00\x00\x01\0\0\0\0\0\0"),
        (b"GET / ", b"HTTP/1.1 200 OK\r\n\r\nhi"),
    ];
    assert_eq!(socks("socks5://me:sec%40et@proxy.test:3128", "http://behind.test:8080", &whole), body("hi"));
}

#[test]
fn what_socks_says_instead_of_connecting_is_told() {
    let reply = |reply: &[u8]| {
        socks(
            "socks5://proxy.test:3128",
            "http://behind.test:8080",
            &[(GREETING, b"\x05\x00"), (TO_NAME, reply)],
        )
    };
    for (code, failure) in [
        (1, Failure::Proxy(ProxyFault::Refused(1))),
        (2, Failure::Proxy(ProxyFault::Refused(2))),
        (3, Failure::Unreachable),
        (4, Failure::Unreachable),
        (5, Failure::Refused),
        (6, Failure::Unreachable),
        (8, Failure::Proxy(ProxyFault::Refused(8))),
    ] {
        assert_eq!(reply(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]), Err(failure), "{code}");
    }
    for cut in 0..10 {
        let answer = reply(&b"\x05\x00\x00\x01\0\0\0\0\0\0"[..cut]);
        assert_eq!(answer, Err(Failure::Proxy(ProxyFault::Connection)), "{cut}");
    }
    assert_eq!(reply(b"\x05\x00\x00\x09\0\0\0\0\0\0"), Err(Failure::Proxy(ProxyFault::Connection)));
    assert_eq!(reply(b"\x04\x00\x00\x01\0\0\0\0\0\0"), Err(Failure::Proxy(ProxyFault::Connection)));
}

#[test]
fn the_local_address_is_for_the_way_to_the_proxy() {
    for (proxy, local, expected) in [
        ("http://proxy.test:3128", [127, 0, 0, 5], Failure::Connection),
        // None of this machine's, which is not the proxy's fault.
        ("http://proxy.test:3128", [192, 0, 2, 1], Failure::LocalAddress),
        ("socks5://proxy.test:3128", [192, 0, 2, 1], Failure::LocalAddress),
    ] {
        let local_address = Some(local.into());
        let config = NetworkConfig { local_address, proxy: Proxy::url(proxy), ..plain() };
        play_behind("http://behind.test", 3128, config, |mut scene| {
            let expected = expected.clone();
            async move {
                let network = scene.network.clone();
                let client = network.get("/socket.io/?EIO=4".into());
                let server = async {
                    if expected != Failure::LocalAddress {
                        let (_, from) = accept(&mut *scene.listener).await.unwrap();
                        assert_eq!(Some(from.ip()), local_address);
                    }
                };
                assert_eq!(join(client, server).await.0, Err(expected));
            }
        });
    }
}

#[test]
fn what_is_no_proxy_is_said_at_once() {
    let setup = |proxy: &str| {
        let sim = Sim::new(1);
        let config = NetworkConfig { proxy: Proxy::url(proxy), ..plain() };
        Network::new(sim.runtime(), Endpoint::parse("http://server.test").unwrap(), config).unwrap_err()
    };
    for proxy in ["", "http://", "ftp://proxy", "http://a b", "http://me:secret@proxy:port"] {
        let error = setup(proxy);
        assert!(matches!(error, SetupError::Proxy { .. }), "{proxy}: {error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert!(matches!(setup("socks4://proxy"), SetupError::ProxyScheme { scheme } if scheme == "socks4"));
    assert!(matches!(setup(&format!("socks5://{}@proxy", "x".repeat(256))), SetupError::ProxyCredentials));
    assert!(!format!("{:?}", Proxy::url("http://me:secret@proxy")).contains("secret"));
}

/// Runs `environment_of_a_process` in a process of its own, whose environment it can be.
fn in_environment(variables: &[(&str, &str)], url: &str) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "client::net::tests::proxies::environment_of_a_process", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(variables.iter().copied()).env("PROXY_OF", url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let proxy = text.split_once("proxy: ").expect(&text).1.lines().next().unwrap();
    proxy.to_owned()
}

#[test]
fn environment_of_a_process() {
    // Only where `in_environment` has asked.
    if let Ok(url) = std::env::var("PROXY_OF") {
        let via = Proxy::default().resolve(&Endpoint::parse(&url).unwrap());
        let via = via.map(|via| via.map(|via| format!("{:?} {}:{}", via.kind, via.host, via.port)));
        println!("proxy: {via:?}");
    }
}

#[test]
fn the_environment_names_proxies() {
    let all = [
        ("HTTP_PROXY", "http://plain.test:1"),
        ("https_proxy", "secure.test:2"),
        ("ALL_PROXY", "socks5://[::1]"),
        ("NO_PROXY", "direct.test,10.0.0.0/8"),
    ];
    for (url, proxy) in [
        ("http://a.test", r#"Ok(Some("Http plain.test:1"))"#),
        ("ws://a.test", r#"Ok(Some("Http plain.test:1"))"#),
        ("https://a.test", r#"Ok(Some("Http secure.test:2"))"#),
        ("wss://a.test", r#"Ok(Some("Http secure.test:2"))"#),
        ("http://direct.test", "Ok(None)"),
        ("https://x.direct.test", "Ok(None)"),
        ("http://10.1.2.3", "Ok(None)"),
        ("http://localhost:3000", "Ok(None)"),
        ("http://a.localhost", "Ok(None)"),
        ("http://127.0.0.2", "Ok(None)"),
        ("http://[::1]", "Ok(None)"),
    ] {
        assert_eq!(in_environment(&all, url), proxy, "{url}");
    }
    assert_eq!(in_environment(&all[2..], "https://a.test"), r#"Ok(Some("Socks5 ::1:1080"))"#);
    assert_eq!(in_environment(&[], "https://a.test"), "Ok(None)");
    assert_eq!(
        in_environment(&[("all_proxy", "socks4://a.test")], "http://b.test"),
        r#"Err(ProxyScheme { scheme: "socks4" })"#
    );
}
