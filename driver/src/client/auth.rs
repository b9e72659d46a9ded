//! Where the credentials of a socket come from: they are asked for at every CONNECT.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::dispatch::{BoxError, survive};

type Answer = Pin<Box<dyn Future<Output = Result<Value, BoxError>> + Send>>;

/// What to send with CONNECT.
#[derive(Clone, Default)]
pub(crate) struct Auth(Option<Arc<dyn Fn() -> Answer + Send + Sync>>);

impl Auth {
    pub(crate) fn value(value: impl Serialize + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(move || {
            let value = serde_json::to_value(&value).map_err(BoxError::from);
            Box::pin(std::future::ready(value))
        })))
    }

    pub(crate) fn ask<F, Fut, T, E>(ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Into<BoxError>,
    {
        Self(Some(Arc::new(move || {
            let asked = ask();
            Box::pin(async move { Ok(serde_json::to_value(asked.await.map_err(Into::into)?)?) })
        })))
    }

    /// The credentials, or why there are none.
    pub(crate) async fn credentials(self) -> Result<Option<Value>, String> {
        let Some(ask) = self.0 else { return Ok(None) };
        match survive("auth", async { ask().await }).await {
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the function that was asked for them panicked".to_owned()),
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("is_set", &self.0.is_some()).finish()
    }
}
