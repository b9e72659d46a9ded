//! One message to many connections. Deliveries are counted, not emissions; latency is from the emission to a delivery.
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{dial_idle, dial_many, number_at, numbered};
use crate::Args;
use crate::link::{Writer, error};
use crate::order::Deliveries;
use crate::tally::{RING, Tally};
use crate::ws::{TEXT, Ws, push_frame};

/// One connection makes the server emit to all of them.
pub(crate) async fn everybody(args: &Args) -> io::Result<Value> {
    let connections = open(args).await?;
    let tally = tally(args, args.conns, 1);
    let group = Group::new(
        args.conns,
        "42[\"bcast\",\"",
        vec![route(&connections[0], "42[\"bcast\",\"")],
        args,
        &tally,
    );
    measure(args, tally, connections, |_| group.clone()).await
}

/// `--rooms` rooms that share the connections, each with its own emitter: all rooms are busy at once.
pub(crate) async fn one_emitter_per_room(args: &Args) -> io::Result<Value> {
    let mut connections = open(args).await?;
    let size = args.conns / args.rooms;
    for (i, ws) in connections.iter_mut().enumerate() {
        join(ws, &[i / size]).await?;
    }
    let tally = tally(args, size, args.rooms);
    let route = |room: usize| route(&connections[room * size], &format!("42[\"room\",\"room{room}\",\""));
    let groups: Vec<_> =
        (0..args.rooms).map(|room| Group::new(size, DELIVERY, vec![route(room)], args, &tally)).collect();
    measure(args, tally, connections, |i| groups[(i / size).min(args.rooms - 1)].clone()).await
}

/// `--rooms` rooms of ten; a connection may be in many. One message at a time, to one room after the other: the load is
/// the same whatever the number of rooms.
pub(crate) async fn one_room_after_the_other(args: &Args) -> io::Result<Value> {
    const SIZE: usize = 10;
    let mut connections = open(args).await?;
    let member = |room: usize, i: usize| (room * SIZE + i) % args.conns;
    let mut joined = vec![Vec::new(); args.conns];
    for room in 0..args.rooms {
        (0..SIZE).for_each(|i| joined[member(room, i)].push(room));
    }
    for (ws, rooms) in connections.iter_mut().zip(&joined) {
        join(ws, rooms).await?;
    }
    let tally = tally(args, SIZE, 1);
    let route = |room: usize| route(&connections[member(room, 0)], &format!("42[\"room\",\"room{room}\",\""));
    let group = Group::new(SIZE, DELIVERY, (0..args.rooms).map(route).collect(), args, &tally);
    measure(args, tally, connections, |_| group.clone()).await
}

const DELIVERY: &str = "42[\"room\",\"";

async fn open(args: &Args) -> io::Result<Vec<Ws>> {
    dial_idle(&args.target, args.idle).await?;
    dial_many(&args.target, args.conns, 2048).await
}

async fn join(ws: &mut Ws, rooms: &[usize]) -> io::Result<()> {
    for room in rooms {
        ws.send_text(&format!("420[\"join\",\"room{room}\"]")).await?;
        ws.expect("430[").await?;
    }
    Ok(())
}

fn tally(args: &Args, size: usize, emitters: usize) -> Rc<Tally> {
    let emissions = emitters * args.window;
    let tally = Tally::new(args, size as u64, size * emissions);
    // Something is under way until the last delivery that counts.
    tally.allow(args.warm + args.total + 2 * emissions as u64);
    tally
}

async fn measure(
    args: &Args,
    tally: Rc<Tally>,
    connections: Vec<Ws>,
    group: impl Fn(usize) -> Rc<Group>,
) -> io::Result<Value> {
    // What a connect leaves behind (first pings, garbage) settles.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut groups: Vec<Rc<Group>> = Vec::new();
    for (i, ws) in connections.into_iter().enumerate() {
        let group = group(i);
        if !groups.iter().any(|known| Rc::ptr_eq(known, &group)) {
            groups.push(group.clone());
        }
        let tally = tally.clone();
        tokio::task::spawn_local(async move { tally.end(receive(ws, &group).await) });
    }
    tokio::task::yield_now().await;
    for _ in 0..args.window {
        groups.iter().for_each(|group| group.emit(Instant::now()));
    }
    tally.report(args).await
}

/// Who emits a message, and what is before the payload then.
type Route = (Rc<Writer>, String);

fn route(ws: &Ws, prefix: &str) -> Route {
    (ws.writer.clone(), prefix.to_owned())
}

/// Connections that receive the same.
struct Group {
    size: usize,
    /// Deliveries of the oldest message under way that are still missing.
    missing: Cell<usize>,
    routes: Vec<Route>,
    emitted: Cell<u64>,
    sent: RefCell<Vec<Instant>>,
    payloads: Vec<String>,
    delivery: &'static str,
    tally: Rc<Tally>,
}

impl Group {
    fn new(
        size: usize,
        delivery: &'static str,
        routes: Vec<Route>,
        args: &Args,
        tally: &Rc<Tally>,
    ) -> Rc<Self> {
        Rc::new(Self {
            size,
            missing: Cell::new(size),
            routes,
            emitted: Cell::new(0),
            sent: RefCell::new(vec![Instant::now(); RING as usize]),
            payloads: (0..RING).map(|number| numbered(number, args.size)).collect(),
            delivery,
            tally: tally.clone(),
        })
    }

    fn emit(&self, now: Instant) {
        if !self.tally.take() {
            return;
        }
        let emitted = self.emitted.get();
        self.emitted.set(emitted + 1);
        let slot = (emitted % RING) as usize;
        self.sent.borrow_mut()[slot] = now;
        let (writer, prefix) = &self.routes[emitted as usize % self.routes.len()];
        let mut frame = Vec::with_capacity(256);
        push_frame(&mut frame, TEXT, format!("{prefix}{}\"]", self.payloads[slot]).as_bytes());
        self.tally.end(writer.write_now(&frame));
    }

    /// The number of the message that was delivered, if it is what it should be.
    fn delivered(&self, message: &[u8]) -> Option<u64> {
        let number = number_at(message, self.delivery.len())?;
        let payload = message.strip_prefix(self.delivery.as_bytes())?.strip_suffix(b"\"]")?;
        (self.payloads.get(number as usize)?.as_bytes() == payload).then_some(number)
    }
}

async fn receive(mut ws: Ws, group: &Group) -> io::Result<()> {
    let mut deliveries = Deliveries::default();
    loop {
        ws.fill().await?;
        group.tally.read();
        let now = Instant::now();
        while let Some((opcode, range)) = ws.next()? {
            let message = ws.at(range);
            let Some(number) = group.delivered(message).filter(|_| opcode == TEXT) else {
                return error(format!("bad delivery {}", String::from_utf8_lossy(message)));
            };
            // With a room after the other a connection does not get every message, and one is under way at a time.
            let overtook = if group.routes.len() == 1 { deliveries.delivered(number) } else { Some(false) };
            let Some(overtook) = overtook else {
                return error(format!("message {number} was delivered twice"));
            };
            let sent = group.sent.borrow()[number as usize];
            group.tally.complete(now - sent, overtook);
            group.missing.set(group.missing.get() - 1);
            if group.missing.get() == 0 {
                group.missing.set(group.size);
                group.emit(now);
            }
        }
        ws.flush().await?;
    }
}
