//! TLS by rustls: connections are accepted and encrypted here, and then handed to the server.
//!
//! ```text
//! cargo run -p socketio-examples --bin tls                                 # --cert cert.pem --key key.pem for your own
//!
//! // node, with npm's socket.io-client; without them a certificate is made at the start, which nobody trusts
//! const io = require("socket.io-client");
//! const socket = io("https://localhost:3443/", { rejectUnauthorized: false });
//! socket.emit("secure?", (yes) => console.log(yes)); // true
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use socketio_examples::certificates;
use socketio_tokio::{Ack, ServerBuilder, Socket};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let io = ServerBuilder::new().build();
    io.on("secure?", |socket: Socket, ()| async move { Ack(socket.handshake().is_secure()) });

    let acceptor = TlsAcceptor::from(Arc::new(config()?));
    let listener = TcpListener::bind("127.0.0.1:3443").await?;
    println!("listening on https://localhost:3443/");
    loop {
        // An error here is one of this connection, or a lack of file descriptors: others may still come.
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        stream.set_nodelay(true).ok();
        let (io, acceptor) = (io.clone(), acceptor.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => io.serve_secure_connection(TokioIo::new(stream), Some(address)).await,
                Ok(Err(error)) => eprintln!("{address}: {error}"),
                Err(_) => eprintln!("{address}: no handshake in time"),
            }
        });
    }
}

/// From `--cert` and `--key`, or made up.
fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let mut args = pico_args::Arguments::from_env();
    let certificate: Option<PathBuf> = args.opt_value_from_str("--cert")?;
    let key: Option<PathBuf> = args.opt_value_from_str("--key")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(certificates::from_files(&certificate, &key)?),
        (None, None) => certificates::made_up(),
        _ => Err("--cert and --key belong together: a certificate is of no use without its key".into()),
    }
}

/// Who does not say anything does not hold a connection either.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
