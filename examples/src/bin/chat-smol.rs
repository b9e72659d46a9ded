//! The chat, on smol, which has no attribute for `main`.

use socketio_smol::ServerBuilder;

fn main() -> std::process::ExitCode {
    smol::block_on(socketio_examples::chat::run(ServerBuilder::new()))
}
