//! What the behaviour suites stand on: a simulated runtime, and one source for a case that must hold on every runtime.

#![forbid(unsafe_code)]

pub mod every_runtime;
pub mod io;
pub mod sim;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
