//! A server, and clients of it.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_driver::client::{DisconnectReason, Events, Received};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Client, ClientBuilder, FromArgs, Transport};
use socketio_tests::fixture::Fixture;
use socketio_tests::io::{sleep, timeout};
use socketio_tokio::Tokio;

/// The ways to come in, by the transports that a client is given.
pub(crate) const WAYS: [&[Transport]; 3] =
    [&[Transport::Polling], &[Transport::Websocket], &[Transport::Polling, Transport::Websocket]];

/// A server, on the runtime of a case.
pub(crate) struct World {
    pub(crate) rt: Arc<dyn Runtime>,
    pub(crate) server: Fixture,
}

impl World {
    pub(crate) fn new(rt: Arc<dyn Runtime>) -> Self {
        Self::with(rt, &[])
    }

    pub(crate) fn with(rt: Arc<dyn Runtime>, options: &[(&str, &str)]) -> Self {
        Self { rt, server: Fixture::start(options) }
    }

    /// A client of a namespace that has not begun to connect.
    pub(crate) fn client(&self, nsp: &str, options: impl FnOnce(Builder) -> Builder) -> Client {
        let builder = ClientBuilder::new(format!("{}{nsp}", self.server.url()))
            .reconnection_delay(Duration::from_millis(50))
            .reconnection_delay_max(Duration::from_millis(200));
        options(builder).build_on(self.rt.clone()).expect("a client")
    }

    /// A client that is connected.
    pub(crate) async fn connected(&self, nsp: &str, options: impl FnOnce(Builder) -> Builder) -> Client {
        let client = self.client(nsp, options);
        client.connect();
        self.soon("connected", client.connected()).await.expect("connected");
        client
    }

    /// A client that is connected, and what it does from now on.
    pub(crate) async fn followed(
        &self,
        nsp: &str,
        options: impl FnOnce(Builder) -> Builder,
    ) -> (Client, Notes) {
        let client = self.client(nsp, options);
        let notes = follow(&client);
        client.connect();
        // `connected` may be known before those who handle it have run.
        self.until("connected", || notes.has("connect")).await;
        notes.clear();
        (client, notes)
    }

    /// What a future gives, which it must do in time.
    pub(crate) async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        timeout(&*self.rt, PATIENCE, future).await.unwrap_or_else(|| panic!("never: {what}"))
    }

    /// The arguments of the next event, which must have this name.
    pub(crate) async fn next<T: FromArgs>(&self, events: &mut Events, name: &str) -> T {
        let received =
            self.soon(name, events.next()).await.unwrap_or_else(|| panic!("no more events, but {name}"));
        assert_eq!(received.event.name(), name);
        args(&received)
    }

    /// Waits for the server to have forgotten everybody.
    pub(crate) async fn is_empty_after(&self, clients: impl IntoIterator<Item = Client>) {
        for client in clients {
            self.soon("the end of a client", client.shutdown()).await;
        }
        self.until("nobody is left", || self.server.stats() == [0; 3]).await;
    }

    /// Waits for a condition.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = self.rt.now() + PATIENCE;
        while !holds() {
            assert!(self.rt.now() < end, "never: {what}");
            sleep(&*self.rt, Duration::from_millis(5)).await;
        }
    }
}

pub(crate) type Builder = ClientBuilder<Tokio>;

/// The arguments of an event.
pub(crate) fn args<T: FromArgs>(received: &Received) -> T {
    T::from_args(received.event.args()).unwrap_or_else(|error| panic!("{}: {error}", received.event.name()))
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().unwrap().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(crate) fn has(&self, note: &str) -> bool {
        self.0.lock().unwrap().iter().any(|known| known == note)
    }
}

/// Notes the life of a client: connected, refused, disconnected and why, and what its connection does.
pub(crate) fn follow(client: &Client) -> Notes {
    let notes = Notes::default();
    let note = |notes: &Notes| {
        let notes = notes.clone();
        move |line: String| notes.add(line)
    };
    let add = note(&notes);
    client.on_connect(move |_| {
        add("connect".into());
        async {}
    });
    let add = note(&notes);
    client.on_connect_error(move |_, error| {
        add(format!("connect_error: {error}"));
        async {}
    });
    let add = note(&notes);
    client.on_disconnect(move |_, reason: DisconnectReason| {
        add(format!("disconnect: {reason}"));
        async {}
    });
    let add = note(&notes);
    client.on_manager(move |event| {
        add(short(&event));
        async {}
    });
    notes
}

/// The name of an event, without what is in it.
fn short(event: &impl Debug) -> String {
    let text = format!("{event:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

/// Far longer than anything takes on any machine.
const PATIENCE: Duration = Duration::from_secs(20);
