//! The behaviour of a client against our own server, each case on tokio, on async-std and in simulation.

mod chaos;
mod compression;
mod connecting;
mod events;
mod lifetimes;
mod offline;
mod options;
mod reconnection;
mod settings;
mod streams;
mod support;
mod threads;
