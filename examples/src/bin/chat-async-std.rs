//! The chat, on async-std. `chat.rs` is the same on tokio: one line differs.

use {async_std::main, socketio_async_std::ServerBuilder};

#[main]
async fn main() -> std::process::ExitCode {
    socketio_examples::chat::run(ServerBuilder::new()).await
}
