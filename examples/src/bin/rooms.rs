//! Rooms and namespaces: readers of a newspaper subscribe to its sections, and its editors publish in a namespace of
//! their own.
//!
//! ```text
//! cargo run -p socketio-examples --bin rooms
//!
//! // node, with npm's socket.io-client
//! const io = require("socket.io-client");
//! const reader = io("http://localhost:3000/");
//! reader.emit("subscribe", ["sports", "science"], (sections) => console.log(sections));
//! reader.on("article", (section, title) => console.log(section, title));
//! const editor = io("http://localhost:3000/editors");
//! editor.emit("publish", ["science"], "Water on the moon", (readers) => console.log(`${readers} readers`));
//! ```

use socketio_tokio::{Ack, DisconnectReason, Room, Server, ServerBuilder, Socket};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = ServerBuilder::new().build();
    readers(&io);
    editors(&io);
    println!("listening on {}", io.listen("127.0.0.1:3000").await?);
    io.closed().await;
    Ok(())
}

/// The namespace `/`. Its handlers are set once, for all sockets.
fn readers(io: &Server) {
    io.on("subscribe", |socket: Socket, sections: Vec<String>| async move {
        socket.join(sections);
        Ack(subscriptions(&socket))
    });
    io.on("unsubscribe", |socket: Socket, section: String| async move {
        socket.leave(section);
        Ack(subscriptions(&socket))
    });
    io.on_disconnecting(|socket: Socket, reason: DisconnectReason| async move {
        // Its rooms are still known here, and no more in `on_disconnect`.
        println!("{} leaves {:?}: {reason}", socket.id(), subscriptions(&socket));
    });
}

/// Every socket is in a room named like its id: that one is no section.
fn subscriptions(socket: &Socket) -> Vec<String> {
    let is_section = |room: &Room| **room != *socket.id().as_str();
    socket.rooms().iter().filter(|room| is_section(room)).map(|room| room.to_string()).collect()
}

/// `/editors` shares the connection with `/`, and nothing else.
fn editors(io: &Server) {
    let readers = io.of("/");
    let editors = io.of("/editors");
    editors.on("publish", move |editor: Socket, (sections, title): (Vec<String>, String)| {
        let readers = readers.clone();
        async move {
            // A reader of several of the sections is counted once.
            let count = readers.to(&sections[..]).sockets().len();
            for section in &sections {
                // Whoever reads an earlier section has it already.
                let earlier: Vec<&str> =
                    sections.iter().map(String::as_str).take_while(|other| other != section).collect();
                readers.to(section).except(earlier).emit("article", (section, &title)).ok();
            }
            // Everybody in `/editors` but the one who published.
            editor.broadcast().emit("published", &title).ok();
            Ack(count)
        }
    });
}
