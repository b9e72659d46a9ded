//! In place of `tls.rs`, in a build without TLS.

use std::error::Error;
use std::sync::Arc;

use socketio_core::engine::client::TlsFault;

use super::SetupError;
use crate::runtime::{Io, Runtime};

/// There is nothing to set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls(());

/// There is none.
#[derive(Debug)]
pub(super) enum Connector {}

impl Connector {
    pub(super) fn new(_: &Tls, _: Arc<dyn Runtime>) -> Result<Self, SetupError> {
        Err(SetupError::NoTls)
    }

    pub(super) fn check_host(_: &str) -> Result<(), SetupError> {
        Err(SetupError::NoTls)
    }

    #[expect(clippy::unused_async, reason = "the other one waits")]
    pub(super) async fn connect(&self, _: &str, _: Box<dyn Io>) -> Result<Box<dyn Io>, TlsFault> {
        match *self {}
    }
}

pub(super) fn alert(_: &(dyn Error + 'static)) -> Option<TlsFault> {
    None
}
