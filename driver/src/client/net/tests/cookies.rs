//! Cookies between requests.

use std::time::Duration;

use futures_util::future::join;
use socketio_core::Lane;

use super::*;
use crate::io::sleep;

fn with_cookies() -> NetworkConfig {
    NetworkConfig { cookies: true, ..plain() }
}

/// What a request says of cookies.
fn cookies(head: &str) -> &str {
    assert!(head.matches("\r\ncookie: ").count() <= 1, "one header, RFC 6265, 5.4: {head}");
    head.lines().find_map(|line| line.strip_prefix("cookie: ")).unwrap_or_default()
}

/// A server answers the first request with these `Set-Cookie`; the cookies of a request for `target` after `pause`.
fn replayed(url: &str, set: &[&str], target: &str, pause: Duration) -> String {
    let seen = std::cell::RefCell::new(String::new());
    play_at(url, with_cookies(), |mut scene| {
        let seen = &seen;
        async move {
            let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
            let client = async {
                assert_eq!(network.get("/socket.io/?EIO=4".into()).await, body("1"));
                sleep(&*rt, pause).await;
                assert_eq!(network.get(target.into()).await, body("2"));
            };
            let server = async {
                let mut peer = scene.accept().await;
                assert_eq!(cookies(&peer.head().await), "");
                let set: String = set.iter().map(|cookie| format!("Set-Cookie: {cookie}\r\n")).collect();
                peer.say(ok("1").replacen("\r\n", &format!("\r\nConnection: close\r\n{set}"), 1)).await;
                let head = scene.accept().await.answer("2").await;
                cookies(&head).clone_into(&mut seen.borrow_mut());
            };
            join(client, server).await;
        }
    });
    seen.into_inner()
}

fn kept(set: &str) -> bool {
    match &*replayed("http://server.test", &[set], "/socket.io/?EIO=4", Duration::ZERO) {
        "" => false,
        "a=1" => true,
        other => panic!("{other}"),
    }
}

#[test]
fn what_is_set_is_sent_with_polls_posts_and_the_upgrade() {
    play_with(with_cookies(), |mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            assert_eq!(network.get("/socket.io/".into()).await, Ok((400, Bytes::new())));
            assert_eq!(network.post("/socket.io/".into(), "40".into()).await, body("ok"));
            let refused = network.websocket(Lane(1), "/socket.io/".into()).await.err();
            assert_eq!(refused, Some(Failure::status(503, b"")));
            assert_eq!(network.get("/socket.io/".into()).await, body(""));
        };
        let server = async {
            let mut peer = scene.accept().await;
            peer.head().await;
            peer.say("HTTP/1.1 400 No\r\nSet-Cookie: AWSALB=x+/=; Path=/\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(cookies(&peer.head().await), "AWSALB=x+/=");
            peer.bytes(2).await;
            peer.say(ok("ok").replacen("\r\n", "\r\nset-cookie: io=2; HttpOnly; SameSite=Strict\r\n", 1))
                .await;
            let mut other = scene.accept().await;
            assert_eq!(cookies(&other.head().await), "io=2; AWSALB=x+/=");
            other.say("HTTP/1.1 503 No\r\nSet-Cookie: AWSALB=y; Path=/\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(cookies(&peer.answer("").await), "io=2; AWSALB=y");
        };
        join(client, server).await;
    });
}

#[test]
fn a_websocket_may_set_some_too() {
    play_with(with_cookies(), |mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            network.websocket(Lane(1), "/socket.io/".into()).await.unwrap();
            assert_eq!(network.get("/socket.io/".into()).await, body(""));
        };
        let server = async {
            let mut peer = scene.accept().await;
            let head = peer.head().await;
            peer.say(super::websockets::switching(&head, "Set-Cookie: a=1\r\n")).await;
            assert_eq!(cookies(&scene.accept().await.answer("").await), "a=1");
        };
        join(client, server).await;
    });
}

#[test]
fn nothing_is_kept_unless_wanted() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            network.get("/".into()).await.unwrap();
            network.get("/".into()).await.unwrap();
        };
        let server = async {
            let mut peer = scene.accept().await;
            peer.head().await;
            peer.say(ok("").replacen("\r\n", "\r\nSet-Cookie: a=1\r\n", 1)).await;
            assert_eq!(cookies(&peer.answer("").await), "");
        };
        join(client, server).await;
    });
}

#[test]
fn a_users_own_cookies_come_first() {
    let headers = vec![("Cookie".into(), "me=1; too=2".into())];
    play_with(NetworkConfig { headers, ..with_cookies() }, |mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            network.get("/".into()).await.unwrap();
            network.get("/".into()).await.unwrap();
        };
        let server = async {
            let mut peer = scene.accept().await;
            assert_eq!(cookies(&peer.head().await), "me=1; too=2");
            peer.say(ok("").replacen("\r\n", "\r\nSet-Cookie: a=1\r\n", 1)).await;
            assert_eq!(cookies(&peer.answer("").await), "me=1; too=2; a=1");
        };
        join(client, server).await;
    });
}

#[test]
fn a_cookie_is_for_its_path_and_what_is_below() {
    let set = [
        "root=1; Path=/",
        "here=2",
        "io=3; Path=/socket.io",
        "deep=4; Path=/socket.io/deep/",
        "odd=5; Path=odd",
    ];
    let at = |target| replayed("http://server.test", &set, target, Duration::ZERO);
    // Without a path it is for that of the request: `/socket.io`.
    assert_eq!(at("/socket.io/?a=/socket.io/deep/"), "here=2; io=3; odd=5; root=1");
    assert_eq!(at("/socket.io"), "here=2; io=3; odd=5; root=1");
    assert_eq!(at("/socket.io/deep/er?x"), "deep=4; here=2; io=3; odd=5; root=1");
    assert_eq!(at("/socket.io2/"), "root=1");
    assert_eq!(at("/?x=/socket.io/"), "root=1");
}

#[test]
fn a_cookie_is_for_its_domain() {
    for mine in ["", "; Domain=server.test", "; domain=.SERVER.test", "; Domain=test", "; Domain="] {
        assert!(kept(&format!("a=1{mine}")), "{mine}");
    }
    for other in ["other.test", "a.server.test", "ver.test", ".er.test", "127.0.0.1"] {
        assert!(!kept(&format!("a=1; Domain={other}")), "{other}");
    }
    let at_address = |set| replayed("http://127.0.0.1", &[set], "/socket.io/", Duration::ZERO);
    assert_eq!(at_address("a=1; Domain=127.0.0.1"), "a=1");
    assert_eq!(at_address("a=1; Domain=0.0.1"), "");
}

#[test]
fn a_secure_cookie_is_not_sent_in_the_clear() {
    assert!(!kept("a=1; Secure"));
}

#[test]
fn cookies_expire() {
    let after =
        |set, seconds| replayed("http://server.test", &[set], "/socket.io/", Duration::from_secs(seconds));
    // The simulation begins on the first of January 2026, and a few milliseconds have passed.
    for (set, lives) in [
        ("a=1; Max-Age=60", 59),
        ("a=1; Expires=Thu, 01 Jan 2026 00:01:00 GMT", 59),
        ("a=1; Expires=Thu, 01-Jan-2026 00:01:00 GMT", 59),
        ("a=1; Max-Age=60; Expires=Thu, 01 Jan 2020 00:00:00 GMT", 59),
        ("a=1; Expires=Fri, 01 Jan 2027 00:00:00 GMT; Max-Age=60", 59),
    ] {
        assert_eq!(after(set, lives), "a=1", "{set}");
        assert_eq!(after(set, lives + 2), "", "{set}");
    }
    for gone in ["a=1; Max-Age=0", "a=1; Max-Age=-1", "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        assert_eq!(after(gone, 0), "", "{gone}");
    }
    assert_eq!(after("a=1; Max-Age=99999999999999999999999", 3600), "a=1");
    assert_eq!(after("a=1; Expires=yesterday", 3600), "a=1", "not a date, so for the session");
}

#[test]
fn a_cookie_replaces_its_namesake_and_can_take_it_away() {
    let with = |set: &[&str]| replayed("http://server.test", set, "/socket.io/", Duration::ZERO);
    assert_eq!(with(&["a=1", "b=2", "a=3"]), "b=2; a=3");
    assert_eq!(with(&["a=1", "b=2", "a=; Max-Age=0"]), "b=2");
    assert_eq!(with(&["a=1", "a=2; Path=/"]), "a=1; a=2");
}

#[test]
fn a_jar_holds_so_much_and_no_more() {
    let many: Vec<String> = (0..60).map(|n| format!("c{n}=x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let kept = replayed("http://server.test", &many, "/socket.io/", Duration::ZERO);
    assert!(kept.starts_with("c10=x; c11=x") && kept.ends_with("c59=x"), "the oldest go: {kept}");
    assert_eq!(kept.split("; ").count(), 50);

    // With its name and the path `/socket.io`.
    let fits = format!("a={}", "x".repeat(4096 - 11));
    assert_eq!(replayed("http://server.test", &[&fits], "/socket.io/", Duration::ZERO), fits);
    let over = format!("{fits}x");
    assert_eq!(replayed("http://server.test", &[&over, "b=1"], "/socket.io/", Duration::ZERO), "b=1");

    let large: Vec<String> = (0..6).map(|n| format!("{n}={}", "x".repeat(4000))).collect();
    let large: Vec<&str> = large.iter().map(String::as_str).collect();
    let kept = replayed("http://server.test", &large, "/socket.io/", Duration::ZERO);
    assert_eq!(kept.split("; ").map(|one| &one[..1]).collect::<String>(), "345");
}

#[test]
fn what_is_no_cookie_is_passed_over() {
    let with = |set: &[&str]| replayed("http://server.test", set, "/socket.io/", Duration::ZERO);
    assert_eq!(with(&["", "=", "novalue", ";;;", "a=1"]), "a=1");
    assert_eq!(with(&["a=\"quoted\"; Path=\"/\"", "b=ä"]), "a=\"quoted\"; b=ä");
}
