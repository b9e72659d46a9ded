//! Clients on networks as they are: proxies, load balancers, TLS. What each can do wrong, the driver's own tests show; here
//! whole clients get through to whole servers.

mod balancer;
mod proxies;
mod relay;
mod tls;

use std::sync::Arc;

use socketio_driver::runtime::Runtime;
use socketio_driver::{Ack, Client, ClientBuilder, Namespace, Transport};
use socketio_tests::io::{sleep, timeout};
use socketio_tests::stage::PATIENCE;
use socketio_tokio::Tokio;

/// How many bytes are more than any buffer on the way holds.
const LARGE: usize = 300_000;

/// A server that sends back whatever it gets.
fn echo(namespace: &Namespace) {
    namespace.on("echo", |_, data: bytes::Bytes| async move { Ack(data) });
}

/// A client of `url`, at rest.
fn client(
    rt: &Arc<dyn Runtime>,
    url: &str,
    options: impl FnOnce(ClientBuilder<Tokio>) -> ClientBuilder<Tokio>,
) -> Client {
    options(ClientBuilder::new(url)).build_on(Arc::clone(rt)).expect("a client")
}

/// Connects, and says on this transport what is echoed.
async fn talks(rt: &dyn Runtime, client: &Client, transport: Transport) {
    client.connect();
    let connected = timeout(rt, PATIENCE, client.connected()).await;
    connected.expect("connected in time").expect("connected");
    let deadline = rt.now() + PATIENCE;
    while client.transport() != Some(transport) {
        assert!(rt.now() < deadline, "never on {}", transport.name());
        sleep(rt, std::time::Duration::from_millis(1)).await;
    }
    for size in [0, 1, LARGE] {
        let data = bytes::Bytes::from(vec![7; size]);
        let answer =
            timeout(rt, PATIENCE, client.emit_with_ack::<bytes::Bytes, _>("echo", data.clone())).await;
        assert!(answer.expect("answered in time").expect("answered") == data, "{size} bytes");
    }
}
