//! TLS by rustls: connections are accepted and encrypted here, and then handed to the server.
//!
//! ```text
//! cargo run -p socketio-examples --bin tls
//!
//! // node, with npm's socket.io-client; the certificate is made at the start, so nobody trusts it
//! const io = require("socket.io-client");
//! const socket = io("https://localhost:3443/", { rejectUnauthorized: false });
//! socket.emit("secure?", (yes) => console.log(yes)); // true
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use socketio_tokio::{Ack, ServerBuilder, Socket};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
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

/// A certificate for `localhost` that nobody signed. Yours comes from a file, or from an authority.
fn config() -> Result<ServerConfig, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?;
    // Websockets need HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Who does not say anything does not hold a connection either.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
