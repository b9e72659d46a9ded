//! The benchmark's server on tokio, with `WORKERS` threads, or as many as there are cores; 0 is the runtime of one thread,
//! which has no queues to steal from.

use std::io;

use socketio_tokio::ServerBuilder;
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let workers = std::env::var("WORKERS").ok().and_then(|workers| workers.parse().ok());
    let mut runtime =
        if workers == Some(0) { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if let Some(workers) = workers.filter(|workers| *workers > 0) {
        runtime.worker_threads(workers);
    }
    runtime.enable_all().build()?.block_on(socketio_bench_servers::serve(ServerBuilder::new()))
}
