//! What can be measured.
mod connect;
mod fan;
mod heartbeat;
mod idle;
mod polling;
mod round_trip;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::Args;
use crate::link::{Target, error};
use crate::ws::Ws;
use round_trip::Kind;

pub(crate) async fn run(args: &Args) -> io::Result<Value> {
    match args.scenario.as_str() {
        "echo" => round_trip::run(args, Kind::Echo).await,
        "ack" => round_trip::run(args, Kind::Ack).await,
        "bin" => round_trip::run(args, Kind::Binary).await,
        "bcast" => fan::everybody(args).await,
        "room" => fan::one_emitter_per_room(args).await,
        "rooms" => fan::one_room_after_the_other(args).await,
        "connect-ws" => connect::run(args, false).await,
        "connect-upgrade" => connect::run(args, true).await,
        "polling" => polling::run(args).await,
        "idle" => idle::run(args).await,
        "heartbeat" => heartbeat::run(args).await,
        other => error(format!("unknown scenario {other}")),
    }
}

/// Opens `count` connections, at most 64 at once.
async fn dial_many(target: &Target, count: usize, capacity: usize) -> io::Result<Vec<Ws>> {
    let open = Rc::new(RefCell::new(Vec::with_capacity(count)));
    let left = Rc::new(Cell::new(count));
    let dial = || {
        let (target, open, left) = (target.clone(), open.clone(), left.clone());
        async move {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let ws = Ws::connect(&target, capacity).await?;
                open.borrow_mut().push(ws);
            }
            io::Result::Ok(())
        }
    };
    let dialling: Vec<_> = (0..count.min(64)).map(|_| tokio::task::spawn_local(dial())).collect();
    for task in dialling {
        task.await??;
    }
    Ok(open.take())
}

/// Opens connections that only answer heartbeats.
async fn dial_idle(target: &Target, count: usize) -> io::Result<()> {
    hold(target, count, &Rc::default()).await.map(drop)
}

/// Opens connections that only answer heartbeats, which are counted in `heartbeats`; each is there as long as its task.
async fn hold(target: &Target, count: usize, heartbeats: &Rc<Cell<u64>>) -> io::Result<Vec<JoinHandle<()>>> {
    let open = dial_many(target, count, 512).await?;
    Ok(open.into_iter().map(|ws| tokio::task::spawn_local(ws.idle(heartbeats.clone()))).collect())
}

/// A message of `size` letters, the first two of which are its number in the ring.
fn numbered(number: u64, size: usize) -> String {
    let letters = (2..size).map(|i| char::from(b'a' + (i % 26) as u8));
    format!("{:02}", number % crate::tally::RING).chars().chain(letters).collect()
}

/// The number of such a message, which begins at `at`.
fn number_at(message: &[u8], at: usize) -> Option<u64> {
    std::str::from_utf8(message.get(at..at + 2)?).ok()?.parse().ok()
}
