//! The chat, on tokio. `chat-async-std.rs` is the same on async-std: one line differs.

use {socketio_tokio::ServerBuilder, tokio::main};

#[main]
async fn main() -> std::process::ExitCode {
    socketio_examples::chat::run(ServerBuilder::new()).await
}
