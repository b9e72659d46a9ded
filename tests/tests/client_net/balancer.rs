//! Two servers behind a load balancer that knows a session's one by a cookie.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::SET_COOKIE;
use socketio_driver::http;
use socketio_driver::runtime::{Io, Runtime};
use socketio_driver::{Client, Transport};
use socketio_tests::io::{accept, timeout, write_all};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{LOOPBACK, PATIENCE, Stage};

use super::relay::{head, relay};
use super::{client, echo, talks};

/// Gives every connection to the server whose number its first request has in a cookie; without one, the first
/// connection to the first server, and all others to the second.
async fn balancer(rt: &Arc<dyn Runtime>, servers: [SocketAddr; 2]) -> SocketAddr {
    let mut listener = rt.listen(LOOPBACK).await.expect("a port");
    let at = listener.local_addr().expect("an address");
    let spawner = Arc::clone(rt);
    rt.spawn(Box::pin(async move {
        let mut other = 0;
        while let Ok((io, _)) = accept(&mut *listener).await {
            let (rt, next) = (Arc::clone(&spawner), std::mem::replace(&mut other, 1));
            spawner.spawn(Box::pin(async move {
                serve(&*rt, io, servers, next).await;
            }));
        }
    }));
    at
}

async fn serve(rt: &dyn Runtime, mut io: Box<dyn Io>, servers: [SocketAddr; 2], next: usize) -> Option<()> {
    let mut read = Vec::new();
    let head = head(&mut *io, &mut read).await?;
    let known = |node: &usize| head.contains(&format!("\r\ncookie: node={node}\r\n"));
    let server = servers[(0..2).find(known).unwrap_or(next)];
    let mut upstream = rt.connect(server.into()).await.ok()?;
    write_all(&mut *upstream, &[head.as_bytes(), &read].concat()).await.ok()?;
    relay(io, upstream).await;
    Some(())
}

async fn node(rt: &Arc<dyn Runtime>, number: usize) -> Stage {
    let cookie = HeaderValue::try_from(format!("node={number}; Path=/; HttpOnly; SameSite=Lax")).unwrap();
    let stage = Stage::with(Arc::clone(rt), |builder| {
        builder.initial_headers(move |headers, _| {
            headers.insert(SET_COOKIE, cookie.clone());
        })
    });
    let stage = stage.await;
    echo(&stage.server.of("/"));
    stage
}

async fn behind(rt: &Arc<dyn Runtime>, with_credentials: bool) -> (Client, [Stage; 2]) {
    let nodes = [node(rt, 0).await, node(rt, 1).await];
    let at = balancer(rt, [nodes[0].at, nodes[1].at]).await;
    let client = client(rt, &format!("http://{at}"), |builder| {
        builder.with_credentials(with_credentials).reconnection(false)
    });
    (client, nodes)
}

async fn with_cookies_a_session_stays_where_it_is(rt: Arc<dyn Runtime>) {
    let (client, nodes) = behind(&rt, true).await;
    talks(&*rt, &client, Transport::Websocket).await;
    client.shutdown().await;
    for node in nodes {
        node.is_empty_after(()).await;
    }
}

async fn without_them_it_is_lost(rt: Arc<dyn Runtime>) {
    let (client, _nodes) = behind(&rt, false).await;
    client.connect();
    let lost = timeout(&*rt, PATIENCE, client.connected()).await.expect("in time");
    assert!(lost.is_err());
    client.shutdown().await;
}

on_every_runtime!(with_cookies_a_session_stays_where_it_is, without_them_it_is_lost);
