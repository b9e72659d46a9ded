//! The benchmark's server on async-std, with `ASYNC_STD_THREAD_COUNT` threads, or as many as there are cores.

use std::io;

use socketio_async_std::ServerBuilder;

fn main() -> io::Result<()> {
    async_std::task::block_on(socketio_bench_servers::serve(ServerBuilder::new()))
}
