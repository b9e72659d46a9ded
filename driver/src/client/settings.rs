//! What can be changed about a client that exists: what it says who it is, and how its connection is made again.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use socketio_core::socket::client::Reconnection;

use super::auth::Auth;
use super::net::SetupError;
use super::socket::Socket;
use crate::dispatch::BoxError;

impl Socket {
    /// Sets what is sent with CONNECT from the next one on, in the place of the client's.
    pub fn set_auth<T: Serialize + Send + Sync + 'static>(&self, auth: T) {
        self.own.set_auth(Auth::value(auth));
    }

    /// Sets who is asked for what is sent with CONNECT: see
    /// [`ClientBuilder::auth_with`](crate::ClientBuilder::auth_with).
    pub fn set_auth_with<F, Fut, T, E>(&self, ask: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<BoxError>,
    {
        self.own.set_auth(Auth::ask(ask));
    }

    // Of the connection, for all sockets that share it

    /// Sets whether, and how, the connection is made again (`io.reconnection(false)`, `io.reconnectionDelay(…)`). The time of
    /// an attempt that is waited for stands; with `None` it is not made, which is a
    /// [`ReconnectFailed`](super::ManagerEvent::ReconnectFailed).
    pub fn set_reconnection(&self, reconnection: impl Into<Option<Reconnection>>) {
        self.cell.with_manager(|manager, _| manager.set_reconnection(reconnection.into()));
    }

    /// Sets how long the next attempt to make the connection, and those after it, may take (`io.timeout(…)`); `None` for
    /// no limit.
    pub fn set_connect_timeout(&self, timeout: impl Into<Option<Duration>>) {
        self.cell.with_manager(|manager, _| manager.set_timeout(timeout.into()));
    }

    /// Sets the parameters of the requests, in the place of those that were there, from the next connection on
    /// (`io.opts.query = …`). An attempt has begun when a handler hears of it: what the next one is to carry is set at
    /// the [`Close`](super::ManagerEvent::Close) or [`Error`](super::ManagerEvent::Error) before it.
    pub fn set_query<N: Into<String>, V: Into<String>>(&self, query: impl IntoIterator<Item = (N, V)>) {
        let query = owned(query);
        self.cell.with_manager(|manager, _| manager.set_query(query));
    }

    /// Sets the headers of the requests to come, in the place of those of
    /// [`extra_header`](crate::ClientBuilder::extra_header): a token that expires, for a gateway (`io.opts.extraHeaders = …`).
    /// A websocket that is open, or a poll that is waiting, stays as it is.
    ///
    /// ```
    /// # use socketio_driver::client::Socket;
    /// # async fn token() -> String { String::new() }
    /// # fn f(socket: Socket) {
    /// socket.on_connect_error(|socket, _| async move {
    ///     let token = token().await;
    ///     socket.set_extra_headers([("authorization", format!("Bearer {token}"))]).expect("a header");
    /// });
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SetupError::Header`] or [`SetupError::ReservedHeader`]; nothing is changed then.
    pub fn set_extra_headers<N: Into<String>, V: Into<String>>(
        &self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<(), SetupError> {
        self.cell.headers.set(&owned(headers))
    }
}

fn owned<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}
