//! Namespaces made on demand: a parent decides which names exist (REFERENCE 3.7).

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use socketio_core::socket::server::Slot;
use socketio_core::socket::{EncodeError, Nsp, Payload};

use crate::dispatch::{Done, Task, survive};
use crate::hub::Hub;
use crate::namespace::Namespace;

/// A family of namespaces. What is registered here every child has that is made from then on.
#[derive(Clone)]
pub struct ParentNamespace {
    template: Namespace,
    matcher: Arc<Matcher>,
}

type Matcher = dyn Fn(String, Payload) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync;

impl ParentNamespace {
    pub(crate) fn new<F, Fut>(template: Namespace, matcher: F) -> Self
    where
        F: Fn(String, Payload) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        Self { template, matcher: Arc::new(move |name, auth| Box::pin(matcher(name, auth))) }
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
}

impl Deref for ParentNamespace {
    type Target = Namespace;

    /// The template of the children, for handlers and middlewares. No socket ever joins it.
    fn deref(&self) -> &Namespace {
        &self.template
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
        for parent in hub.parents() {
            let ask = async { (parent.matcher)(nsp.as_str().to_owned(), auth.clone()).await };
            if survive("matcher", ask).await == Some(true) {
                let child = || Namespace::child(nsp.clone(), &hub, &parent.template);
                // User code hears of it.
                let made = survive("on_new_namespace", async { hub.namespace_or_insert(&nsp, child) }).await;
                drop(made);
                break;
            }
        }
        // Entered by name even if it was just made: others may have come and gone meanwhile.
        let namespace = hub.enter(&nsp);
        Done::Lookup(slot, nsp, auth, namespace)
    })
}
