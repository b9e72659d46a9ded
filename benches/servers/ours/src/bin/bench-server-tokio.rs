//! The benchmark's server on tokio, with `WORKERS` threads, or as many as there are cores.

use std::io;

use socketio_tokio::ServerBuilder;
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let mut runtime = Builder::new_multi_thread();
    if let Some(workers) = std::env::var("WORKERS").ok().and_then(|workers| workers.parse().ok()) {
        runtime.worker_threads(workers);
    }
    runtime.enable_all().build()?.block_on(socketio_bench_servers::serve(ServerBuilder::new()))
}
