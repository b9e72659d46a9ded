//! What lives how long: servers without handles, and what handlers capture.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Namespace, Server, ServerBuilder, Socket};
use socketio_tests::client::{Client, How};
use socketio_tests::every_runtime::on_tokio;
use socketio_tests::io::{sleep, timeout};
use socketio_tests::on_every_runtime;
use socketio_tests::stage::{Counting, LOOPBACK, Log, PATIENCE, SETTLED, Stage, Tasks};
use socketio_tokio::Tokio;

/// A server whose handlers hold `token`, and the count of its tasks.
fn server(rt: &Arc<dyn Runtime>, token: &Arc<()>) -> (Server, Tasks) {
    let (counting, tasks) = Counting::new(Arc::clone(rt));
    let server = ServerBuilder::<Tokio>::new().build_on(Arc::new(counting));
    let held = Arc::clone(token);
    server.on("echo", move |_: Socket, number: u32| {
        let _ = &held;
        async move { Ack(number) }
    });
    (server, tasks)
}

async fn until(rt: &Arc<dyn Runtime>, what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            sleep(&**rt, Duration::from_millis(1)).await;
        }
    };
    timeout(&**rt, PATIENCE, holds).await.unwrap_or_else(|| panic!("never: {what}"));
}

async fn a_server_that_listens_lives_without_handles(rt: Arc<dyn Runtime>) {
    let token = Arc::new(());
    let (server, tasks) = server(&rt, &token);
    let at = server.listen(LOOPBACK).await.unwrap();
    let mut before = Client::open(&rt, at, How::Websocket).await;
    before.connect("/").await;
    drop(server);
    let mut after = Client::open(&rt, at, How::Polling).await;
    after.connect("/").await;
    for client in [&mut before, &mut after] {
        client.emit_with_ack(1, "echo", json!([5])).await;
        client.expect("31[5]").await;
    }
    before.quit().await;
    after.quit().await;
    until(&rt, "only the task that accepts is left", || tasks.count() == 1).await;
}

async fn a_server_that_is_closed_and_dropped_is_freed(rt: Arc<dyn Runtime>) {
    let token = Arc::new(());
    let (server, tasks) = server(&rt, &token);
    let at = server.listen(LOOPBACK).await.unwrap();
    let mut c = Client::open(&rt, at, How::Websocket).await;
    c.connect("/").await;
    let socket = server.sockets().remove(0);
    server.close();
    c.read_to_end().await;
    drop((c, server));
    until(&rt, "no task is left", || tasks.count() == 0).await;
    drop(socket);
    until(&rt, "what its handlers held is freed", || Arc::strong_count(&token) == 1).await;
}

async fn a_server_that_only_serves_connections_goes_with_the_last_one(rt: Arc<dyn Runtime>) {
    let token = Arc::new(());
    let (server, tasks) = server(&rt, &token);
    let mut listener = rt.listen(LOOPBACK).await.unwrap();
    let at = listener.local_addr().unwrap();
    let opening = Client::open(&rt, at, How::Websocket);
    let accepting = async {
        let (io, address) = socketio_tests::io::accept(&mut *listener).await.unwrap();
        server.serve_connection(io, Some(address)).await;
    };
    let (mut c, ()) = futures_util::join!(opening, accepting);
    c.connect("/").await;
    drop(server);
    c.emit_with_ack(1, "echo", json!([6])).await;
    c.expect("31[6]").await;
    assert_eq!(Arc::strong_count(&token), 2);
    drop(c);
    until(&rt, "no task is left", || tasks.count() == 0).await;
    until(&rt, "the server is freed", || Arc::strong_count(&token) == 1).await;
}

/// A client's place is given back on every path, also when its task does not live to see the end of the session.
async fn a_client_whose_task_is_let_go_gives_its_place_back(rt: Arc<dyn Runtime>) {
    for how in How::ALL {
        let token = Arc::new(());
        let (counting, tasks) = Counting::new(Arc::clone(&rt));
        let builder = ServerBuilder::<Tokio>::new().cleanup_empty_child_namespaces(true);
        let server = builder.build_on(Arc::new(counting));
        server.of_matching(|name| name == "/child");
        let held = Arc::clone(&token);
        server.on_connection(move |socket: Socket| {
            let captured = (socket.clone(), Arc::clone(&held));
            socket.on("e", move |_: Socket, (): ()| {
                let _ = &captured;
                async {}
            });
            async {}
        });
        let at = server.listen(LOOPBACK).await.unwrap();
        let mut c = Client::open(&rt, at, how).await;
        c.connect("/").await;
        c.connect("/child").await;
        let socket = server.sockets().remove(0);
        socket.join("room");
        assert_eq!((server.clients_count(), server.namespaces().len()), (1, 2));

        tasks.let_go();
        until(&rt, "no task is left", || tasks.count() == 0).await;
        assert_eq!((server.clients_count(), server.sockets_count()), (0, 0));
        assert_eq!((server.rooms(), server.namespaces().len()), (Vec::new(), 1));
        assert!(!socket.is_connected() && socket.emit("x", ()).is_err());
        assert_eq!(Arc::strong_count(&token), 2, "the case's and the connection handler's");
        drop((c, socket, server));
        assert_eq!(Arc::strong_count(&token), 1, "nothing holds the server");
    }
}

/// A second client wants a namespace that the application is still being told of, and is let go while it waits.
#[test]
fn a_client_that_is_let_go_on_its_way_into_a_namespace_is_not_waited_for() {
    on_tokio("a_client_that_is_let_go_on_its_way_into_a_namespace_is_not_waited_for", async |rt| {
        let (counting, tasks) = Counting::new(Arc::clone(&rt));
        let builder = ServerBuilder::<Tokio>::new().cleanup_empty_child_namespaces(true);
        let server = builder.build_on(Arc::new(counting));
        server.of_matching(|name| name == "/new");
        let (told, is_told) = channel();
        let (go_on, may_go_on) = channel();
        let may_go_on = Mutex::new(may_go_on);
        server.on_new_namespace(move |_: &Namespace| {
            told.send(()).unwrap();
            tokio::task::block_in_place(|| may_go_on.lock().unwrap().recv().unwrap());
        });
        let at = server.listen(LOOPBACK).await.unwrap();
        let mut first = Client::open(&rt, at, How::Websocket).await;
        let mut second = Client::open(&rt, at, How::Websocket).await;
        first.send("0/new,").await;
        until(&rt, "the application is told", || is_told.try_recv().is_ok()).await;
        second.send("0/new,").await;
        sleep(&*rt, SETTLED).await;
        let before = tasks.count();
        tasks.let_go();
        until(&rt, "the second is gone", || tasks.count() < before && server.clients_count() == 1).await;
        go_on.send(()).unwrap();
        until(&rt, "no task is left", || tasks.count() == 0).await;
        assert_eq!(server.namespaces().len(), 1, "nobody is in the child, nor on the way");
        drop((first, second));
    });
}

/// Handlers of a socket often capture that socket: such a ring must break when it leaves.
async fn what_the_handlers_of_a_socket_capture_goes_with_it(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let token = Arc::new(());
    let (held, clock) = (Arc::clone(&token), Arc::clone(&stage.rt));
    let log = Log::default();
    let seen = log.clone();
    stage.server.on_connection(move |socket: Socket| {
        let (held, clock, seen) = (Arc::clone(&held), Arc::clone(&clock), seen.clone());
        let capture = move |socket: &Socket| {
            let captured = (socket.clone(), Arc::clone(&held));
            move || drop(captured.clone())
        };
        let early = capture(&socket);
        socket.on("early", move |_: Socket, (): ()| {
            early();
            async {}
        });
        let early = capture(&socket);
        socket.on_disconnect(move |_: Socket, _| {
            early();
            async {}
        });
        async move {
            while socket.is_connected() {
                sleep(&*clock, Duration::from_millis(1)).await;
            }
            let late = capture(&socket);
            socket.on_any(move |_: Socket, _| {
                late();
                async {}
            });
            seen.add("it has left");
        }
    });
    for how in How::ALL {
        let c = stage.joined_by(how).await;
        c.quit().await;
        log.expect(&stage, &["it has left"]).await;
        stage.is_empty_after(()).await;
        assert_eq!(Arc::strong_count(&token), 2, "the case's and the connection handler's");
    }
}

/// Handlers often capture the namespace or the server that they are set on: such rings must break when they are over.
async fn what_holds_itself_by_its_handlers_is_freed(rt: Arc<dyn Runtime>) {
    let stage = Stage::with(rt, |options| options.cleanup_empty_child_namespaces(true)).await;
    let (server, token) = (&stage.server, Arc::new(()));
    let parent = server.of_matching(|name| name.starts_with("/child"));
    let set = |space: Namespace| {
        let (held, server, captured) = (Arc::clone(&token), server.clone(), space.clone());
        space.on("e", move |_: Socket, (): ()| {
            let _ = (&held, &server, &captured);
            async {}
        });
    };
    // A child, when it is cleaned up.
    let child = server.of("/child");
    set(child.clone());
    let mut c = stage.joined().await;
    c.connect("/child").await;
    assert_eq!(Arc::strong_count(&token), 2);
    c.send("1/child,").await;
    stage.until("what the child's handlers held is freed", || Arc::strong_count(&token) == 1).await;
    // Nor does a handle that is left over bring it back to life.
    set(child);
    assert_eq!(Arc::strong_count(&token), 1);

    // Everything else, when the server is closed and the last one has gone.
    let log = Log::default();
    let seen = log.clone();
    server.on_disconnect(move |_: Socket, reason| {
        seen.add(reason);
        async {}
    });
    ["/", "/other", "/child"].into_iter().for_each(|name| set(server.of(name)));
    let (held, server, captured) = (Arc::clone(&token), server.clone(), parent.clone());
    parent.on_connection(move |_: Socket| {
        let _ = (&held, &server, &captured);
        async {}
    });
    let (held, server) = (Arc::clone(&token), stage.server.clone());
    stage.server.on_new_namespace(move |_| drop((Arc::clone(&held), server.clone())));
    let (held, server) = (Arc::clone(&token), stage.server.clone());
    stage.server.of_dynamic(move |_, _| {
        let _ = (&held, &server);
        async { false }
    });
    assert_eq!(Arc::strong_count(&token), 7);
    stage.server.close();
    drop(c);
    log.expect(&stage, &["server shutting down"]).await;
    stage.until("what all handlers held is freed", || Arc::strong_count(&token) == 1).await;
    set(stage.server.of("/"));
    assert_eq!(Arc::strong_count(&token), 1);
}

/// Who does not go at once may be there for half a minute more, but no handler will be called for it.
async fn a_closed_server_does_not_keep_handlers_for_who_lingers(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    let (token, log) = (Arc::new(()), Log::default());
    let (held, seen) = (Arc::clone(&token), log.clone());
    stage.server.on_disconnect(move |_: Socket, reason| {
        let _ = &held;
        seen.add(reason);
        async {}
    });
    // It does not read, and so never answers the frame that closes its websocket.
    let lingering = stage.joined().await;
    stage.server.close();
    log.expect(&stage, &["server shutting down"]).await;
    stage.until("what the handlers held is freed", || Arc::strong_count(&token) == 1).await;
    stage.until("nothing accepts", || stage.tasks() < 2).await;
    assert_eq!(stage.tasks(), 1, "its task waits for it still");
    drop(lingering);
    stage.until("no task is left", || stage.tasks() == 0).await;
}

async fn a_closed_server_opens_nothing(rt: Arc<dyn Runtime>) {
    let stage = Stage::new(rt).await;
    stage.server.close();
    stage.server.closed().await;
    stage.until("nothing accepts", || stage.tasks() == 0).await;
    assert!(Client::try_websocket(&stage.rt, stage.at, "").await.is_err());
    assert!(Client::try_polling(&stage.rt, stage.at, "").await.is_err());
    // A listener that is asked for now, too, closes at once.
    let _ = stage.server.listen(LOOPBACK).await;
    stage.until("nothing accepts", || stage.tasks() == 0).await;
}

on_every_runtime!(
    a_client_whose_task_is_let_go_gives_its_place_back,
    a_closed_server_does_not_keep_handlers_for_who_lingers,
    a_closed_server_opens_nothing,
    a_server_that_is_closed_and_dropped_is_freed,
    a_server_that_listens_lives_without_handles,
    a_server_that_only_serves_connections_goes_with_the_last_one,
    what_holds_itself_by_its_handlers_is_freed,
    what_the_handlers_of_a_socket_capture_goes_with_it,
);
