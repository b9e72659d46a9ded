//! A Node.js program with Express, quoted line by line, and the same with axum.
//!
//! ```text
//! cargo run -p socketio-examples --bin express-to-axum
//! curl http://localhost:3000/api/online
//! ```
//!
//! ```js
//! const express = require("express");
//! const { createServer } = require("http");
//! const { Server } = require("socket.io");
//! ```
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use socketio_tokio::{Ack, DisconnectReason, Server, ServerBuilder, Socket};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // const app = express();
    // app.use(express.json());
    // const server = createServer(app);
    // const io = new Server(server);
    let io = ServerBuilder::new().build();
    sockets(&io);

    // app.get("/api/online", …); app.post("/api/rooms/:room/:event", …);
    let app = Router::new()
        .route("/api/online", get(online))
        .route("/api/rooms/{room}/{event}", post(publish))
        .route_service("/socket.io/", io.service())
        .with_state(io.clone());

    // server.listen(3000, () => console.log("listening"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await
}

fn sockets(io: &Server) {
    // io.on("connection", (socket) => {
    io.on_connection(|socket: Socket| async move {
        // socket.data.name = "somebody";
        socket.set_data("somebody").ok();
        // socket.on("name", (name) => { socket.data.name = name; });
        socket.on("name", |socket: Socket, name: String| async move {
            socket.set_data(name).ok();
        });
        // socket.on("join", (room, callback) => { socket.join(room); callback([...socket.rooms]); });
        socket.on("join", |socket: Socket, room: String| async move {
            socket.join(room);
            Ack(socket.rooms().iter().map(|room| room.to_string()).collect::<Vec<_>>())
        });
        // socket.on("say", (room, text) => socket.to(room).emit("said", socket.data.name, text));
        socket.on("say", |socket: Socket, (room, text): (String, String)| async move {
            let name: String = socket.data().unwrap_or_default();
            socket.to(room).emit("said", (name, text)).ok();
        });
        // socket.on("disconnect", (reason) => console.log(socket.id, reason));
        socket.on_disconnect(|socket: Socket, reason: DisconnectReason| async move {
            println!("{} {reason}", socket.id());
        });
    });
    // });
}

// app.get("/api/online", (req, res) => res.json({ online: io.sockets.sockets.size }));
async fn online(State(io): State<Server>) -> Json<Value> {
    Json(json!({ "online": io.sockets_count() }))
}

// app.post("/api/rooms/:room/:event", (req, res) => {
//   try { io.to(req.params.room).emit(req.params.event, req.body); res.sendStatus(202); }
//   catch { res.sendStatus(400); } // a reserved event name
// });
async fn publish(
    State(io): State<Server>,
    Path((room, event)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> StatusCode {
    match io.to(room).emit(&event, body) {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::BAD_REQUEST,
    }
}
