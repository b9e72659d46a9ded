//! The behaviour of a server, each case on tokio, on async-std and in simulation.

mod aborts;
mod acks;
mod bad_input;
mod broadcasts;
mod conn;
mod cuts;
mod deadlines;
mod disconnect;
mod engine_events;
mod events;
mod handshake;
mod lifetimes;
mod listeners;
mod middleware;
mod namespaces;
mod options;
mod order;
mod panics;
mod parsers;
mod recovery;
mod rooms;
mod shutdown;
mod slow_consumers;
mod traps;
