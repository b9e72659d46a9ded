//! Clients on every real runtime, encrypted, against a server on tokio.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use hyper_util::rt::TokioIo;
use socketio_driver::client::{ConnectError, Failure, TlsFault, TransportError};
use socketio_driver::runtime::Runtime;
use socketio_driver::{Roots, ServerBuilder, Tls, Transport};
use socketio_tests::every_runtime::{on_async_std, on_smol, on_tokio};
use socketio_tests::io::timeout;
use socketio_tests::stage::{Log, PATIENCE};
use socketio_tokio::Tokio;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::{client, echo, talks};

/// A server for `localhost` in a thread of its own, which ends with this.
struct SecureServer {
    at: SocketAddr,
    certificate: Vec<u8>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SecureServer {
    fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().to_vec();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.into()], key).unwrap();
        let (tell, told) = channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, TlsAcceptor::from(Arc::new(config))) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { at: told.recv().unwrap(), certificate, stop: Some(stop), thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.at.port())
    }
}

impl Drop for SecureServer {
    fn drop(&mut self) {
        self.stop.take();
        // Its panic has been printed.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let server = ServerBuilder::<Tokio>::new().max_http_buffer_size(1 << 20).build();
    echo(&server.of("/"));
    loop {
        let (stream, address) = listener.accept().await.unwrap();
        let (server, acceptor) = (server.clone(), acceptor.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                server.serve_secure_connection(TokioIo::new(stream), Some(address)).await;
            }
        });
    }
}

/// Runs a case on every runtime with sockets.
fn on_each<F: Future<Output = ()>>(name: &str, case: impl Fn(Arc<dyn Runtime>) -> F + Copy + Send + 'static) {
    on_tokio(name, case);
    on_async_std(name, case);
    on_smol(name, case);
}

#[test]
fn a_client_is_encrypted_on_every_transport() {
    on_each("a_client_is_encrypted_on_every_transport", |rt| async move {
        let server = SecureServer::start();
        let tls = Tls::new().roots(Roots::None).add_root(server.certificate.clone());
        for transports in
            [&[Transport::Polling][..], &[Transport::Websocket], &[Transport::Polling, Transport::Websocket]]
        {
            let client =
                client(&rt, &server.url(), |builder| builder.tls(tls.clone()).transports(transports));
            talks(&*rt, &client, *transports.last().unwrap()).await;
            client.shutdown().await;
        }
    });
}

#[test]
fn a_server_nobody_vouches_for_is_refused_and_said_to_be() {
    on_each("a_server_nobody_vouches_for_is_refused_and_said_to_be", |rt| async move {
        let server = SecureServer::start();
        let bundled = Tls::new().roots(Roots::Bundled);
        let client = client(&rt, &server.url(), |builder| builder.tls(bundled).reconnection(false));
        let log = Log::default();
        let seen = log.clone();
        client.on_connect_error(move |_, error| {
            let untrusted = TransportError::Poll(Failure::Tls(TlsFault::UnknownIssuer));
            assert_eq!(error, ConnectError::Transport(untrusted));
            let mut source: &dyn std::error::Error = &error;
            while let Some(cause) = source.source() {
                source = cause;
            }
            seen.add(source);
            async {}
        });
        client.connect();
        let refused = timeout(&*rt, PATIENCE, client.connected()).await.expect("in time");
        assert!(refused.is_err());
        client.shutdown().await;
        let said = "the certificate is issued by an authority that is not trusted; \
                    add that authority's certificate to the roots";
        assert_eq!(log.lines(), [said]);
    });
}
