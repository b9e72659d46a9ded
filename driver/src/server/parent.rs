//! Namespaces made on demand: a parent decides which names exist (REFERENCE 3.7).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use socketio_core::socket::server::Slot;
use socketio_core::socket::{DisconnectReason, EncodeError, Event, FromArgs, Nsp, Payload};

use crate::ack::AckSender;
use crate::dispatch::{BoxError, Done, ListenerId, SocketError, Task, survive};
use crate::reply::Reply;
use crate::server::hub::{Entered, Hub};
use crate::server::namespace::{ConnectError, Namespace};
use crate::server::room_events::RoomEvent;
use crate::server::socket::Socket;

/// A family of namespaces, its children. It is no namespace itself: nobody is ever in it.
///
/// Handlers and middlewares registered here are those of every child that is made from then on, beside what is
/// registered on a child. To tell its children apart, ask [`Socket::namespace`].
#[derive(Clone)]
pub struct ParentNamespace {
    template: Namespace,
    matcher: Matcher,
}

/// Which names a parent's children may have.
#[derive(Clone)]
enum Matcher {
    ByName(Arc<NameMatcher>),
    ByRequest(Arc<RequestMatcher>),
}

type NameMatcher = dyn Fn(&str) -> bool + Send + Sync;
type RequestMatcher = dyn Fn(String, Payload) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

impl ParentNamespace {
    pub(crate) fn by_request<F, Fut>(template: Namespace, matcher: F) -> Self
    where
        F: Fn(String, Payload) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let matcher = Arc::new(move |name, auth| -> Pin<Box<dyn Future<Output = bool> + Send>> {
            Box::pin(matcher(name, auth))
        });
        Self { template, matcher: Matcher::ByRequest(matcher) }
    }

    pub(crate) fn by_name(
        template: Namespace,
        matcher: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { template, matcher: Matcher::ByName(Arc::new(matcher)) }
    }

    /// Whether it takes a child of this name, whoever asks for it.
    pub(crate) fn takes(&self, name: &str) -> bool {
        matches!(&self.matcher, Matcher::ByName(matcher) if matcher(name))
    }

    async fn takes_for(&self, name: &Nsp, auth: &Payload) -> bool {
        let ask = async {
            match &self.matcher {
                Matcher::ByName(matcher) => matcher(name),
                Matcher::ByRequest(matcher) => matcher(name.as_str().to_owned(), auth.clone()).await,
            }
        };
        survive("matcher", ask).await == Some(true)
    }

    pub(crate) fn child(&self, nsp: Nsp, hub: &Arc<Hub>) -> Namespace {
        Namespace::child(nsp, hub, &self.template)
    }

    /// Drops its handlers: it will have no more children.
    pub(crate) fn retire(&self) {
        self.template.retire();
    }

    /// The children that exist now, in name order.
    pub fn children(&self) -> Vec<Namespace> {
        let Some(hub) = self.template.hub() else { return Vec::new() };
        hub.namespaces().into_iter().filter(|nsp| nsp.is_child_of(&self.template)).collect()
    }

    /// Sends an event to every socket of every child.
    ///
    /// # Errors
    /// [`EncodeError`] when the name is reserved or the arguments do not serialize.
    pub fn emit<T: Serialize>(&self, event: &str, args: T) -> Result<(), EncodeError> {
        self.children().iter().try_for_each(|child| child.emit(event, &args))
    }

    // What the children begin with

    /// See [`Namespace::on`].
    pub fn on<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.template.on(event, handler)
    }

    /// See [`Namespace::on_with_ack`].
    pub fn on_with_ack<F, T, Fut>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(Socket, T, AckSender) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_with_ack(event, handler)
    }

    /// See [`Namespace::on_any`].
    pub fn on_any<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_any(handler)
    }

    /// See [`Namespace::on_any_outgoing`].
    pub fn on_any_outgoing<F>(&self, handler: F) -> ListenerId
    where
        F: Fn(&Socket, &Event) + Send + Sync + 'static,
    {
        self.template.on_any_outgoing(handler)
    }

    /// See [`Namespace::on_error`].
    pub fn on_error<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, Arc<SocketError>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_error(handler)
    }

    /// See [`Namespace::on_connection`].
    pub fn on_connection<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_connection(handler)
    }

    /// See [`Namespace::on_disconnecting`].
    pub fn on_disconnecting<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_disconnecting(handler)
    }

    /// See [`Namespace::on_disconnect`].
    pub fn on_disconnect<F, Fut>(&self, handler: F) -> ListenerId
    where
        F: Fn(Socket, DisconnectReason) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.template.on_disconnect(handler)
    }

    /// See [`Namespace::on_server_side`].
    pub fn on_server_side<F, T, Fut, R>(&self, event: &str, handler: F) -> ListenerId
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        T: FromArgs + 'static,
        Fut: Future<Output = R> + Send + 'static,
        R: Reply,
    {
        self.template.on_server_side(event, handler)
    }

    /// See [`Namespace::on_room_event`].
    pub fn on_room_event(&self, handler: impl Fn(&RoomEvent) + Send + Sync + 'static) -> ListenerId {
        self.template.on_room_event(handler)
    }

    /// See [`Namespace::use_middleware`].
    pub fn use_middleware<F, Fut>(&self, middleware: F)
    where
        F: Fn(Socket) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ConnectError>> + Send + 'static,
    {
        self.template.use_middleware(middleware);
    }

    /// See [`Namespace::use_event_middleware`].
    pub fn use_event_middleware<F, Fut>(&self, middleware: F)
    where
        F: Fn(Socket, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.template.use_event_middleware(middleware);
    }

    /// Takes a handler away from the children that are made from now on. Returns whether it was there.
    pub fn off(&self, listener: ListenerId) -> bool {
        self.template.off(listener)
    }
}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParentNamespace").field(&self.template.name()).finish()
    }
}

/// Asks every parent for a namespace, in the order of registration.
pub(crate) fn look_up(hub: Arc<Hub>, slot: Slot, nsp: Nsp, auth: Payload) -> Task {
    Box::pin(async move {
        let mut entered = None;
        for parent in hub.parents() {
            if parent.takes_for(&nsp, &auth).await {
                if !hub.has_room_for_child() {
                    tracing::warn!(%nsp, "too many dynamic namespaces: refused one more");
                    break;
                }
                let (child, is_new) = hub.enter_or_insert(&nsp, || parent.child(nsp.clone(), &hub));
                if is_new {
                    survive("on_new_namespace", async { hub.announce(child.namespace()) }).await;
                }
                entered = Some(child);
                break;
            }
        }
        // No parent's, but others may have made it meanwhile.
        let entered = entered.or_else(|| hub.enter(&nsp));
        if let Some(entered) = &entered {
            // Made by somebody else, who still tells of it.
            entered.namespace().ready().await;
        }
        Done::Lookup(slot, nsp, auth, entered)
    })
}

/// Waits until a namespace that is entered can be joined.
pub(crate) fn wait(entered: Entered, slot: Slot, nsp: Nsp, auth: Payload) -> Task {
    Box::pin(async move {
        entered.namespace().ready().await;
        Done::Lookup(slot, nsp, auth, Some(entered))
    })
}
