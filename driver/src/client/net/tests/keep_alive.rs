//! Connections that are used again, and those that must not be.

use std::time::Duration;

use futures_util::future::join;

use super::*;
use crate::io::sleep;

#[test]
fn requests_one_after_the_other_share_a_connection() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            for n in 0..5 {
                assert_eq!(network.get(format!("/{n}")).await, body("a"));
                assert_eq!(network.post(format!("/{n}"), "b".into()).await, body("c"));
            }
        };
        let server = async {
            let mut peer = scene.accept().await;
            for _ in 0..5 {
                peer.answer("a").await;
                peer.head().await;
                peer.bytes(1).await;
                peer.say(ok("c")).await;
            }
            peer
        };
        let ((), _peer) = join(client, server).await;
        assert_eq!(scene.connections(), 1);
    });
}

#[test]
fn a_get_and_a_post_at_once_have_a_connection_each_and_keep_both() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let client = async {
            for _ in 0..3 {
                let both = join(network.get("/get".into()), network.post("/post".into(), "".into()));
                assert_eq!(both.await, (body("x"), body("x")));
            }
        };
        let server = async {
            let (mut one, mut two) = (scene.accept().await, scene.accept().await);
            for _ in 0..3 {
                let heads = join(one.head(), two.head()).await;
                assert_ne!(heads.0[..4], heads.1[..4]);
                join(one.say(ok("x")), two.say(ok("x"))).await;
            }
            (one, two)
        };
        let ((), (mut one, mut two)) = join(client, server).await;
        assert_eq!(scene.connections(), 2);
        scene.network.close_idle();
        assert!(!one.more().await && !two.more().await, "closed when nothing more is coming");
    });
}

#[test]
fn a_connection_closed_between_requests_is_not_used_again() {
    for post in [false, true] {
        play(|mut scene| async move {
            let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
            let client = async {
                assert_eq!(network.get("/1".into()).await, body("1"));
                sleep(&*rt, Duration::from_secs(1)).await;
                let second =
                    if post { network.post("/2".into(), "p".into()) } else { network.get("/2".into()) };
                assert_eq!(second.await, body("2"));
            };
            let server = async {
                scene.accept().await.answer("1").await;
                let mut peer = scene.accept().await;
                peer.answer("2").await;
            };
            join(client, server).await;
        });
    }
}

#[test]
fn a_connection_is_trusted_no_longer_than_the_server_says() {
    for (hint, trusted) in
        [("", 3900), ("Keep-Alive: max=9, timeout=60\r\n", 58_900), ("Keep-Alive: timeout=1\r\n", 0)]
    {
        for (pause, reused) in [(trusted, trusted > 0), (trusted + 200, false)] {
            play(|mut scene| async move {
                let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
                let client = async {
                    assert_eq!(network.get("/1".into()).await, body("1"));
                    sleep(&*rt, Duration::from_millis(pause)).await;
                    assert_eq!(network.get("/2".into()).await, body("2"));
                };
                let server = async {
                    let mut peer = scene.accept().await;
                    peer.head().await;
                    peer.say(ok("1").replacen("\r\n", &format!("\r\n{hint}"), 1)).await;
                    if !reused {
                        peer = scene.accept().await;
                    }
                    peer.answer("2").await;
                };
                join(client, server).await;
            });
        }
    }
}

#[test]
fn what_a_server_wants_closed_is_closed() {
    for response in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1",
        // More than was announced: what follows would be taken for the next response.
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        play(|mut scene| async move {
            let (network, rt) = (scene.network.clone(), Arc::clone(&scene.rt));
            let client = async {
                assert_eq!(network.get("/1".into()).await, body("1"));
                sleep(&*rt, Duration::from_secs(1)).await;
                assert_eq!(network.get("/2".into()).await, body("2"));
            };
            let server = async {
                let mut first = scene.accept().await;
                first.head().await;
                first.say(response).await;
                let mut second = scene.accept().await;
                second.answer("2").await;
                assert!(!first.more().await);
            };
            join(client, server).await;
        });
    }
}

#[test]
fn a_request_that_may_have_been_processed_is_not_sent_again() {
    // The server takes the second request on a connection it has answered on before, and hangs up at every stage.
    let whole = ok("2");
    for stage in 0..whole.len() {
        for post in [false, true] {
            let whole = &whole;
            play(|mut scene| async move {
                let network = scene.network.clone();
                let client = async {
                    assert_eq!(network.get("/1".into()).await, body("1"));
                    let second =
                        if post { network.post("/2".into(), "p".into()) } else { network.get("/2".into()) };
                    assert_eq!(second.await, Err(Failure::Connection));
                };
                let server = async {
                    let mut peer = scene.accept().await;
                    peer.answer("1").await;
                    peer.head().await;
                    if post {
                        peer.bytes(1).await;
                    }
                    peer.say(&whole[..stage]).await;
                };
                join(client, server).await;
                sleep(&*scene.rt, Duration::from_secs(1)).await;
                assert_eq!(scene.connections(), 0, "nothing was tried again");
            });
        }
    }
}

#[test]
fn an_answer_before_the_body_has_been_read_counts() {
    play(|mut scene| async move {
        let network = scene.network.clone();
        let large = Bytes::from(vec![b'x'; 1 << 20]);
        let client = async {
            assert_eq!(network.post("/1".into(), large).await, Ok((413, "no".into())));
            assert_eq!(network.get("/2".into()).await, body("2"));
        };
        let server = async {
            let mut peer = scene.accept().await;
            peer.head().await;
            peer.say("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno").await;
            scene.accept().await.answer("2").await;
        };
        join(client, server).await;
    });
}
