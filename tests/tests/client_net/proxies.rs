//! Through proxies that alone know where the server is.

use std::net::SocketAddr;
use std::sync::Arc;

use socketio_driver::runtime::{Io, Runtime};
use socketio_driver::{Proxy, Transport};
use socketio_tests::io::{accept, read_bytes, write_all};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{LOOPBACK, Log, Stage};

use super::relay::{head, relay};
use super::{client, echo, talks};

/// A proxy to `server`, whatever it is asked for, and its log.
async fn proxy(rt: &Arc<dyn Runtime>, server: SocketAddr) -> (SocketAddr, Log) {
    let mut listener = rt.listen(LOOPBACK).await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let log = Log::default();
    let (spawner, seen) = (Arc::clone(rt), log.clone());
    rt.spawn(Box::pin(async move {
        while let Ok((io, _)) = accept(&mut *listener).await {
            let (rt, log) = (Arc::clone(&spawner), seen.clone());
            spawner.spawn(Box::pin(async move {
                serve(&*rt, io, server, &log).await;
            }));
        }
    }));
    (at, log)
}

async fn serve(rt: &dyn Runtime, mut io: Box<dyn Io>, server: SocketAddr, log: &Log) -> Option<()> {
    let first = read_bytes(&mut *io, 1).await.ok()?;
    let mut upstream = rt.connect(server.into()).await.ok()?;
    if first == [5] {
        let methods = read_bytes(&mut *io, 1).await.ok()?;
        read_bytes(&mut *io, methods[0].into()).await.ok()?;
        write_all(&mut *io, &[5, 2]).await.ok()?;
        let user = read_bytes(&mut *io, 2).await.ok()?[1];
        let user = read_bytes(&mut *io, user.into()).await.ok()?;
        let password = read_bytes(&mut *io, 1).await.ok()?[0];
        let password = read_bytes(&mut *io, password.into()).await.ok()?;
        assert_eq!((&*user, &*password), (&b"me"[..], &b"secret"[..]));
        write_all(&mut *io, &[1, 0]).await.ok()?;
        let request = read_bytes(&mut *io, 5).await.ok()?;
        let name = read_bytes(&mut *io, usize::from(request[4]) + 2).await.ok()?;
        log.add(format_args!("SOCKS {}", String::from_utf8_lossy(&name[..name.len() - 2])));
        write_all(&mut *io, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.ok()?;
    } else {
        let mut read = first;
        let head = head(&mut *io, &mut read).await?;
        assert!(head.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");
        let (line, rest) = head.split_once("\r\n")?;
        log.add(line.split('?').next()?);
        if line.starts_with("CONNECT ") {
            write_all(&mut *io, b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        } else {
            // One request for each connection is enough for a proxy of a test.
            let line = line.replace("http://hidden.test:81", "");
            write_all(&mut *upstream, format!("{line}\r\nConnection: close\r\n{rest}").as_bytes())
                .await
                .ok()?;
        }
        write_all(&mut *upstream, &read).await.ok()?;
    }
    relay(io, upstream).await;
    Some(())
}

async fn a_client_gets_through(rt: Arc<dyn Runtime>, scheme: &str, transports: &[Transport], seen: &[&str]) {
    let stage = Stage::new(Arc::clone(&rt)).await;
    echo(&stage.server.of("/"));
    let (at, log) = proxy(&rt, stage.at).await;
    let proxy = Proxy::url(format!("{scheme}://me:secret@{at}"));
    let client = client(&rt, "http://hidden.test:81", |builder| builder.proxy(proxy).transports(transports));
    talks(&*rt, &client, *transports.last().expect("a transport")).await;
    client.shutdown().await;
    stage.is_empty_after(()).await;
    let mut lines = log.lines();
    lines.sort();
    lines.dedup();
    assert_eq!(lines, seen);
}

const POLLS: [&str; 2] = ["GET http://hidden.test:81/socket.io/", "POST http://hidden.test:81/socket.io/"];

async fn polling_is_passed_on(rt: Arc<dyn Runtime>) {
    a_client_gets_through(rt, "http", &[Transport::Polling], &POLLS).await;
}

async fn a_websocket_is_tunnelled(rt: Arc<dyn Runtime>) {
    a_client_gets_through(rt, "http", &[Transport::Websocket], &["CONNECT hidden.test:81 HTTP/1.1"]).await;
}

async fn an_upgrade_takes_both_ways(rt: Arc<dyn Runtime>) {
    let ways = [Transport::Polling, Transport::Websocket];
    a_client_gets_through(rt, "http", &ways, &["CONNECT hidden.test:81 HTTP/1.1", POLLS[0], POLLS[1]]).await;
}

async fn socks_takes_everything(rt: Arc<dyn Runtime>) {
    let ways = [Transport::Polling, Transport::Websocket];
    a_client_gets_through(rt, "socks5", &ways, &["SOCKS hidden.test"]).await;
}

on_every_runtime!(
    a_websocket_is_tunnelled,
    an_upgrade_takes_both_ways,
    polling_is_passed_on,
    socks_takes_everything,
);
