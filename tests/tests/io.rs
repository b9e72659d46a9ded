//! What the driver asks of any runtime: sockets, timers, and hyper on top of both.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use socketio_driver::runtime::{AddressFamily, Connect, Io, Runtime};
use socketio_tests::io::{accept, read, read_bytes, read_to_end, shutdown, sleep, timeout, write_all};
use socketio_tests::on_every_runtime;

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn pair(rt: &dyn Runtime) -> (Box<dyn Io>, Box<dyn Io>) {
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let at = listener.local_addr().unwrap();
    assert_ne!(at.port(), 0);
    let client = rt.connect(Connect::new("localhost", at.port())).await.unwrap();
    let (server, peer) = accept(&mut *listener).await.unwrap();
    assert_eq!(peer.ip(), at.ip());
    (client, server)
}

async fn what_is_written_arrives_in_order(rt: Arc<dyn Runtime>) {
    let (mut client, mut server) = pair(&*rt).await;
    let expected: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let sent = expected.clone();
    rt.spawn(Box::pin(async move {
        assert!(read_to_end(&mut *server).await.unwrap() == expected);
        write_all(&mut *server, b"all here").await.unwrap();
    }));
    write_all(&mut *client, &sent).await.unwrap();
    shutdown(&mut *client).await.unwrap();
    assert_eq!(read_to_end(&mut *client).await.unwrap(), b"all here");
}

async fn a_reader_is_woken_by_what_arrives_later(rt: Arc<dyn Runtime>) {
    let (mut client, mut server) = pair(&*rt).await;
    let clock = Arc::clone(&rt);
    rt.spawn(Box::pin(async move {
        sleep(&*clock, Duration::from_millis(20)).await;
        write_all(&mut *client, b"late").await.unwrap();
        sleep(&*clock, Duration::from_millis(20)).await;
    }));
    assert_eq!(read_bytes(&mut *server, 4).await.unwrap(), b"late");
    assert_eq!(read(&mut *server).await.unwrap(), b"");
}

async fn a_name_without_an_address_is_not_found(rt: Arc<dyn Runtime>) {
    // A label that long no resolver asks anybody for.
    let error = rt.connect(Connect::new(format!("{}.invalid", "x".repeat(64)), 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn a_connection_comes_from_the_address_it_is_to_come_from(rt: Arc<dyn Runtime>) {
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let mut to = Connect::from(listener.local_addr().unwrap());
    // All of 127.0.0.0/8 is this machine's, at least on Linux.
    let local = if cfg!(target_os = "linux") { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
    to.local_address = Some(local.into());
    let mut client = rt.connect(to.clone()).await.unwrap();
    let (mut server, peer) = accept(&mut *listener).await.unwrap();
    assert_eq!(peer.ip(), IpAddr::from(local));
    write_all(&mut *client, b"ping").await.unwrap();
    assert_eq!(read_bytes(&mut *server, 4).await.unwrap(), b"ping");
    to.local_address = Some(Ipv4Addr::UNSPECIFIED.into());
    let _client = rt.connect(to).await.unwrap();
    let (_server, peer) = accept(&mut *listener).await.unwrap();
    assert_eq!(peer.ip(), LOOPBACK.ip());
}

async fn what_goes_wrong_from_a_local_address_is_told(rt: Arc<dyn Runtime>) {
    let listener = rt.listen(LOOPBACK).await.unwrap();
    let mut to = Connect::from(listener.local_addr().unwrap());
    // It is nobody's (RFC 5737).
    to.local_address = Some([192, 0, 2, 1].into());
    let error = rt.connect(to.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
    assert!(error.to_string().contains(&format!("cannot connect to {}:{}", to.host, to.port)), "{error}");
    drop(listener);
    to.local_address = Some(LOOPBACK.ip());
    let error = rt.connect(to).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
}

async fn an_address_of_another_family_is_not_connected_to(rt: Arc<dyn Runtime>) {
    let listener = rt.listen(LOOPBACK).await.unwrap();
    let mut to = Connect::from(listener.local_addr().unwrap());
    to.family = Some(AddressFamily::V4);
    rt.connect(to.clone()).await.unwrap();
    to.family = Some(AddressFamily::V6);
    let error = rt.connect(to.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    (to.family, to.local_address) = (None, Some(Ipv6Addr::LOCALHOST.into()));
    let error = rt.connect(to).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn an_acceptor_is_woken_by_each_connection(rt: Arc<dyn Runtime>) {
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for number in 0..10_u8 {
        let client = Arc::clone(&rt);
        rt.spawn(Box::pin(async move {
            let mut io = client.connect(Connect::new("127.0.0.1", port)).await.unwrap();
            write_all(&mut *io, &[number]).await.unwrap();
        }));
    }
    let mut numbers = Vec::new();
    for _ in 0..10 {
        let (mut io, _) = accept(&mut *listener).await.unwrap();
        numbers.extend(read_to_end(&mut *io).await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

async fn a_timer_can_be_moved_while_it_is_waited_for(rt: Arc<dyn Runtime>) {
    let start = rt.now();
    let mut timer = rt.timer(start + Duration::from_secs(3600));
    assert!(timeout(&*rt, Duration::from_millis(1), timer.as_mut()).await.is_none());
    timer.as_mut().reset(start + Duration::from_millis(5));
    timer.as_mut().reset(start + Duration::from_millis(30));
    timer.as_mut().await;
    let passed = rt.now().saturating_since(start);
    assert!(passed >= Duration::from_millis(30) && passed < Duration::from_secs(3600), "{passed:?}");
}

async fn random_bytes_differ(rt: Arc<dyn Runtime>) {
    let mut bytes = [[0; 20]; 2];
    bytes.iter_mut().for_each(|bytes| rt.fill_random(bytes));
    assert_ne!(bytes[0], bytes[1]);
}

/// The server's whole way: hyper over a boxed connection, an upgrade, and the connection back with what was read
/// beyond the request.
async fn hyper_upgrades_and_gives_the_connection_back(rt: Arc<dyn Runtime>) {
    let (mut client, server) = pair(&*rt).await;
    let spawner = Arc::clone(&rt);
    let service = service_fn(move |request: Request<Incoming>| {
        let spawner = Arc::clone(&spawner);
        async move {
            assert_eq!(request.uri(), "/socket.io/?EIO=4");
            spawner.spawn(Box::pin(async move {
                let upgraded = hyper::upgrade::on(request).await.unwrap();
                let parts = upgraded.downcast::<Box<dyn Io>>().expect("the box that was served");
                let mut io = parts.io;
                let early = parts.read_buf.len();
                let late = read_bytes(&mut *io, 5 - early).await.unwrap();
                write_all(&mut *io, &[&parts.read_buf[..], &late].concat()).await.unwrap();
            }));
            let response = Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header(CONNECTION, "upgrade")
                .header(UPGRADE, "echo")
                .body(Empty::<Bytes>::new())
                .unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    rt.spawn(Box::pin(async move {
        http1::Builder::new().serve_connection(server, service).with_upgrades().await.unwrap();
    }));
    let request =
        b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nprobe";
    write_all(&mut *client, request).await.unwrap();
    let response = String::from_utf8(read_to_end(&mut *client).await.unwrap()).unwrap();
    assert!(response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nprobe"), "{response}");
}

on_every_runtime!(
    a_connection_comes_from_the_address_it_is_to_come_from,
    a_name_without_an_address_is_not_found,
    a_reader_is_woken_by_what_arrives_later,
    a_timer_can_be_moved_while_it_is_waited_for,
    an_acceptor_is_woken_by_each_connection,
    an_address_of_another_family_is_not_connected_to,
    hyper_upgrades_and_gives_the_connection_back,
    random_bytes_differ,
    what_goes_wrong_from_a_local_address_is_told,
    what_is_written_arrives_in_order,
);
