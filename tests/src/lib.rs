//! What the behaviour suites stand on: a simulated runtime, one source for a case that must hold on every runtime, a
//! scripted client, and a server that is asked at the end of each case what is left.

#![forbid(unsafe_code)]

pub mod client;
pub mod dice;
pub mod every_runtime;
pub mod fixture;
pub mod io;
pub mod logs;
// The core's own tests use it too.
pub mod pipe;
pub mod proxy;
pub mod replay;
pub mod sim;
pub mod stage;
pub mod tap;
#[path = "../../protocol-core/tests/support/telegrams.rs"]
pub mod telegrams;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The examples of the page for those who come from JavaScript compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-javascript.md")]
pub struct FromJavascript;
