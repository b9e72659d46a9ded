//! A chat whose page comes from another origin: the development server of React, Vue or whatever at port 5173.
//!
//! ```text
//! cargo run -p socketio-examples --bin cross-origin                          # or another: ORIGIN=https://app.example
//! ```
//!
//! ```js
//! // in the page
//! import { useEffect, useState } from "react";
//! import { io } from "socket.io-client";
//! const socket = io("http://localhost:3000", { withCredentials: true });
//! export function Chat() {
//!   const [lines, setLines] = useState([]);
//!   useEffect(() => {
//!     socket.emit("history", setLines);
//!     const add = (line) => setLines((lines) => [...lines, line]);
//!     socket.on("line", add);
//!     return () => socket.off("line", add);
//!   }, []);
//!   const say = (event) => event.key === "Enter" && socket.emit("say", event.target.value);
//!   return <><ul>{lines.map((line, i) => <li key={i}>{line}</li>)}</ul><input onKeyDown={say} /></>;
//! }
//! ```

use std::collections::VecDeque;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use socketio_tokio::{Ack, Cors, Handshake, Origin, ServerBuilder, Socket};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = env::var("ORIGIN").unwrap_or_else(|_| "http://localhost:5173".into());
    // For cookies to be sent, the origin must be named: "*" is not enough.
    let cors = Cors::new(Origin::List(vec![origin.clone()]))?.credentials(true);
    let io = ServerBuilder::new()
        .cors(cors)
        // CORS stops a browser from reading answers, not from opening a websocket: this does.
        .allow_request(move |request: Handshake| {
            let is_ours = request.header("origin").is_none_or(|sent| sent == origin);
            async move { if is_ours { Ok(()) } else { Err("this origin is not allowed".into()) } }
        })
        .build();

    let history: Arc<Mutex<VecDeque<String>>> = Arc::default();
    let past = history.clone();
    io.on("history", move |_: Socket, ()| {
        let lines = past.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async { Ack((lines,)) } // one argument that is a list
    });
    let everyone = io.everyone();
    io.on("say", move |_: Socket, line: String| {
        if line.len() <= MAX_LINE {
            let mut lines = history.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_back(line.clone());
            if lines.len() > MAX_LINES {
                lines.pop_front();
            }
            // Under the lock: everybody sees the lines in the order of the history.
            everyone.emit("line", line).ok();
        }
        async {}
    });
    println!("listening on {}", io.listen("127.0.0.1:3000").await?);
    io.closed().await;
    Ok(())
}

const MAX_LINE: usize = 1_000;
const MAX_LINES: usize = 100;
