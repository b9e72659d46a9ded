//! What every server of the benchmark does, on ours: the same handlers on any runtime, with the settings a user gets.
//!
//! - `echo(s)`: emit `echo(s)` to the sender. `bin(buffer)`: the same with an attachment.
//! - `ack(s)`: acknowledge with `s`.
//! - `bcast(s)`: emit `bcast(s)` to everybody, the sender too.
//! - `join(room)`: enter the room and acknowledge. `room(room, s)`: emit `room(s)` to everybody in it.

use std::net::Ipv4Addr;
use std::time::Duration;
use std::{env, io};

use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Bytes, Namespace, ServerBuilder, Socket};

/// Serves on `PORT` of the loopback interface (4000 unless it is set), for ever; with a heartbeat every `PING_INTERVAL_MS`
/// instead of the default when that is set.
///
/// # Errors
/// When it cannot listen there.
pub async fn serve<R: Runtime + Default>(server: ServerBuilder<R>) -> io::Result<()> {
    let port: u16 = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(4000);
    let interval = env::var("PING_INTERVAL_MS").ok().and_then(|interval| interval.parse().ok());
    let server = match interval {
        Some(interval) => server.ping_interval(Duration::from_millis(interval)),
        None => server,
    };
    let io = server.build();
    register(&io);
    io.listen((Ipv4Addr::LOCALHOST, port)).await?;
    io.closed().await;
    Ok(())
}

/// Registers the handlers.
fn register(namespace: &Namespace) {
    namespace.on("echo", async |socket: Socket, text: String| {
        let _ = socket.emit("echo", text);
    });
    namespace.on("ack", async |_: Socket, text: String| Ack(text));
    namespace.on("bin", async |socket: Socket, bytes: Bytes| {
        let _ = socket.emit("bin", bytes);
    });
    namespace.on("bcast", async |socket: Socket, text: String| {
        let _ = socket.namespace().emit("bcast", text);
    });
    namespace.on("join", async |socket: Socket, room: String| {
        socket.join(room);
        Ack(())
    });
    namespace.on("room", async |socket: Socket, (room, text): (String, String)| {
        let _ = socket.namespace().to(room).emit("room", text);
    });
}
