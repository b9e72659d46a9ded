//! What the example programs share. The programs themselves are in `src/bin`.

#![forbid(unsafe_code)]

#[cfg(feature = "tls")]
pub mod certificates;
#[cfg(feature = "chat")]
pub mod chat;
pub mod clock;
pub mod inspect;
pub mod server;

#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
pub struct Embedding;
