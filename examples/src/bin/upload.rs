//! File upload in pieces: each one is acknowledged with what has arrived, which is both the progress bar of the client
//! and its brake: it sends no further piece before. Over one connection, beside everything else.
//!
//! ```text
//! cargo run -p socketio-examples --bin upload
//!
//! // node, with npm's socket.io-client
//! const socket = require("socket.io-client")("http://localhost:3000/");
//! async function upload(name, file, size = 256 * 1024) {
//!   const { id, error } = await socket.emitWithAck("begin", { name, size: file.length });
//!   if (error) throw new Error(error);
//!   for (let at = 0; at < file.length; at += size) {
//!     const { received, error } = await socket.emitWithAck("piece", id, file.subarray(at, at + size));
//!     if (error) throw new Error(error);
//!     console.log(`${Math.round((100 * received) / file.length)} %`);
//!   }
//! }
//! upload("demo.bin", Buffer.alloc(5_000_000)).then(() => process.exit());
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use socketio_tokio::{Bytes, ServerBuilder, Socket};

#[derive(Deserialize)]
struct Announced {
    name: String,
    size: usize,
}

#[derive(Serialize)]
struct Begun {
    id: u32,
}

#[derive(Serialize)]
struct Progress {
    received: usize,
}

/// `Result<_, Refused>` is an acknowledgement as well: `{ error: "…" }`.
#[derive(Serialize)]
struct Refused {
    error: String,
}

fn refuse<T>(error: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { error: error.into() })
}

/// The uploads of one socket. Kept in its handlers, it goes when the socket does, finished or not.
#[derive(Default)]
struct Uploads {
    next: u32,
    open: HashMap<u32, (Announced, Vec<u8>)>,
}

impl Uploads {
    fn begin(&mut self, file: Announced) -> Result<Begun, Refused> {
        if file.size > MAX_SIZE || self.open.len() == MAX_OPEN {
            return refuse(format!("{} is too large, or one too many", file.name));
        }
        self.next += 1;
        self.open.insert(self.next, (file, Vec::new()));
        Ok(Begun { id: self.next })
    }

    fn piece(&mut self, id: u32, piece: &[u8]) -> Result<Progress, Refused> {
        let Some((file, content)) = self.open.get_mut(&id) else { return refuse("no such upload") };
        if content.len() + piece.len() > file.size {
            self.open.remove(&id);
            return refuse("more than was announced");
        }
        content.extend_from_slice(piece);
        let received = content.len();
        if received == file.size {
            println!("{}: {received} bytes", file.name); // here it would be stored
            self.open.remove(&id);
        }
        Ok(Progress { received })
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let io = ServerBuilder::new().max_http_buffer_size(1_000_000).build(); // of one piece
    io.on_connection(|socket: Socket| async move {
        let uploads = Arc::new(Mutex::new(Uploads::default()));
        let begun = uploads.clone();
        socket.on("begin", move |_: Socket, file: Announced| {
            let answer = begun.lock().unwrap_or_else(PoisonError::into_inner).begin(file);
            async { answer }
        });
        socket.on("piece", move |_: Socket, (id, piece): (u32, Bytes)| {
            let answer = uploads.lock().unwrap_or_else(PoisonError::into_inner).piece(id, &piece);
            async { answer }
        });
    });
    println!("listening on {}", io.listen("127.0.0.1:3000").await?);
    io.closed().await;
    Ok(())
}

const MAX_SIZE: usize = 50_000_000;
const MAX_OPEN: usize = 4;
