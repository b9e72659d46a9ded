//! The behaviour of a server, each case on tokio, on async-std and in simulation.

mod acks;
mod bad_input;
mod disconnect;
mod events;
mod handshake;
mod middleware;
mod namespaces;
mod order;
mod panics;
mod rooms;
mod slow_consumers;
