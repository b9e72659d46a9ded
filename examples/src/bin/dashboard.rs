//! A dashboard: one task measures, everybody who looks gets the newest values, and nobody who is slow gets old ones.
//! Ends in order on Ctrl+C.
//!
//! ```text
//! CLIENT_DIR=path/to/node_modules/socket.io-client/dist cargo run -p socketio-examples --bin dashboard
//! open http://localhost:3000/
//! ```

use std::env;
use std::time::Duration;

use serde::Serialize;
use socketio_tokio::http::{HeaderValue, Response, StatusCode, header};
use socketio_tokio::{Bytes, Server, ServerBuilder, Socket};

#[derive(Clone, Serialize)]
struct Sample {
    uptime: u64,
    viewers: usize,
    load: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = ServerBuilder::new().fallback(|request| {
        let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        if request.uri().path() != "/" {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    });
    if let Some(dir) = env::var_os("CLIENT_DIR") {
        builder = builder.serve_client(dir)?; // http://localhost:3000/socket.io/socket.io.min.js
    }
    let io = builder.build();
    io.on_connection(|socket: Socket| async move {
        // Details are for those who ask: a room each.
        socket.on("watch", |socket: Socket, host: String| async move { socket.join(host) });
    });
    tokio::spawn(measure(io.clone()));
    println!("listening on http://{}/", io.listen("127.0.0.1:3000").await?);

    tokio::signal::ctrl_c().await?;
    let report = io.shutdown(Duration::from_secs(5)).await;
    println!("{} viewers left, {} were cut off", report.left, report.cut);
    Ok(())
}

async fn measure(io: Server) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    for uptime in 0_u64.. {
        tick.tick().await;
        let load = (uptime as f64 / 10.0).sin().abs(); // stands for a measurement
        let sample = Sample { uptime, viewers: io.sockets_count(), load };
        // Volatile: who cannot take it now wants the next one, not this.
        io.volatile().emit("sample", &sample).ok();
        if load > 0.9 {
            io.to("web-1").emit("alarm", ("web-1", load)).ok();
        }
    }
}

const PAGE: &str = r#"<!doctype html><title>Dashboard</title>
<script src="/socket.io/socket.io.min.js"></script>
<h1 id="load">…</h1><p id="more"></p>
<script>
  const socket = io();
  socket.on("connect", () => socket.emit("watch", "web-1"));
  socket.on("sample", ({ uptime, viewers, load }) => {
    document.getElementById("load").textContent = `${Math.round(load * 100)} %`;
    document.getElementById("more").textContent = `up ${uptime} s, ${viewers} viewers`;
  });
  socket.on("alarm", (host, load) => console.warn(host, load));
</script>
"#;
