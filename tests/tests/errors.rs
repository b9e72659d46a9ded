//! Errors that a person reads: they say what is wrong and where.

use std::net::SocketAddr;
use std::sync::Arc;

use socketio_driver::ServerBuilder;
use socketio_driver::runtime::Runtime;
use socketio_tests::on_every_runtime;
use socketio_tests::stage::LOOPBACK;
use socketio_tokio::Tokio;

async fn a_port_in_use_is_named(rt: Arc<dyn Runtime>) {
    let first = ServerBuilder::<Tokio>::new().build_on(Arc::clone(&rt));
    let at = first.listen(LOOPBACK).await.unwrap();
    let second = ServerBuilder::<Tokio>::new().build_on(Arc::clone(&rt));
    let error = second.listen(at).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&at.to_string()), "{error}");
    // Where several addresses are given, the first that can be bound is.
    let other = second.listen(&[at, LOOPBACK][..]).await.unwrap();
    assert_ne!(other, at);
    first.close();
    second.close();
}

async fn nothing_to_listen_on_is_an_error(rt: Arc<dyn Runtime>) {
    let server = ServerBuilder::<Tokio>::new().build_on(Arc::clone(&rt));
    let error = server.listen(&[][..] as &[SocketAddr]).await.unwrap_err();
    assert_eq!(error.to_string(), "no address to listen on");
}

on_every_runtime!(a_port_in_use_is_named, nothing_to_listen_on_is_an_error);

/// Outside any runtime, on a bare thread.
#[test]
fn tokio_without_a_runtime_says_what_to_do() {
    let server = ServerBuilder::<Tokio>::new().build();
    let error =
        std::thread::spawn(move || async_std::task::block_on(server.listen(LOOPBACK))).join().unwrap();
    let error = error.unwrap_err();
    assert!(error.to_string().contains("#[tokio::main]"), "{error}");
}

#[test]
fn async_std_needs_no_runtime_to_be_started() {
    let server = socketio_async_std::ServerBuilder::new().build();
    let at = async_std::task::block_on(server.listen(LOOPBACK)).unwrap();
    assert_ne!(at.port(), 0);
    server.close();
}

#[test]
fn smol_needs_no_runtime_to_be_started() {
    let server = socketio_smol::ServerBuilder::new().build();
    let at = smol::block_on(server.listen(LOOPBACK)).unwrap();
    assert_ne!(at.port(), 0);
    server.close();
}

#[test]
#[should_panic(expected = "/a,b")]
fn a_namespace_that_cannot_be_written_is_refused_by_name() {
    ServerBuilder::<Tokio>::new().build().of("/a,b");
}
