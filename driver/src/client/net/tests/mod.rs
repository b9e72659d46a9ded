//! The network half of a client against servers that follow a script, in simulation.

mod cookies;
mod keep_alive;
mod proxies;
mod responses;
#[cfg(feature = "tls")]
mod tls;
mod websockets;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use socketio_core::Bytes;
use socketio_core::engine::client::Failure;

use super::{Endpoint, Network, NetworkConfig, Proxy};
use crate::io::{self, accept, write_all};
use crate::runtime::{Io, Listener, Runtime};
use crate::sim::{Link, Net, Sim};

/// The answer of a request.
type Answered = Result<(u16, Bytes), Failure>;

/// One case: a server that does what the case says, and a client.
struct Scene {
    rt: Arc<dyn Runtime>,
    net: Net,
    listener: Box<dyn Listener>,
    network: Network,
}

/// Runs a case in several interleavings; on even seeds all reads and writes are cut up.
fn play<F: Future<Output = ()>>(case: impl Fn(Scene) -> F) {
    play_with(plain(), case);
}

fn play_with<F: Future<Output = ()>>(config: NetworkConfig, case: impl Fn(Scene) -> F) {
    play_at("http://server.test", config, case);
}

/// The settings of most cases, which do not depend on the environment.
fn plain() -> NetworkConfig {
    NetworkConfig { proxy: Proxy::none(), ..NetworkConfig::default() }
}

fn play_at<F: Future<Output = ()>>(url: &str, config: NetworkConfig, case: impl Fn(Scene) -> F) {
    play_behind(url, Endpoint::parse(url).unwrap().port(), config, case);
}

/// With the server, or a proxy in front of it, at another port.
fn play_behind<F: Future<Output = ()>>(
    url: &str,
    port: u16,
    config: NetworkConfig,
    case: impl Fn(Scene) -> F,
) {
    for seed in 1..=8 {
        let mut sim = Sim::new(seed);
        sim.net().set_link(Link { ragged: seed % 2 == 0, ..Link::default() });
        for name in ["server.test", "proxy.test"] {
            sim.net().set_name(name, &[[127, 0, 0, 1].into()]);
        }
        let (rt, net) = (sim.runtime(), sim.net());
        let network = Network::new(Arc::clone(&rt), Endpoint::parse(url).unwrap(), config.clone()).unwrap();
        sim.block_on(async {
            let at = SocketAddr::from(([127, 0, 0, 1], port));
            let listener = rt.listen(at).await.unwrap();
            case(Scene { rt: Arc::clone(&rt), net, listener, network }).await;
        });
        assert_eq!(sim.tasks(), 0, "nothing of the network runs by itself");
    }
}

impl Scene {
    /// The next connection of the client.
    async fn accept(&mut self) -> Peer {
        let (io, _) = accept(&mut *self.listener).await.unwrap();
        Peer { io, read: Vec::new() }
    }

    /// How many connections exist.
    fn connections(&self) -> usize {
        self.net.connections().len()
    }
}

/// The server's end of a connection.
struct Peer {
    io: Box<dyn Io>,
    /// What is read and not asked for yet.
    read: Vec<u8>,
}

impl Peer {
    /// The head of the next request; nothing at the end of the connection.
    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            if !self.more().await {
                return String::new();
            }
        }
    }

    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count && self.more().await {}
        let rest = self.read.split_off(count.min(self.read.len()));
        std::mem::replace(&mut self.read, rest)
    }

    async fn more(&mut self) -> bool {
        let bytes = io::read(&mut *self.io).await.unwrap_or_default();
        self.read.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has left is the case's to notice.
        let _ = write_all(&mut *self.io, bytes.as_ref()).await;
    }

    /// Answers the next request with 200 and `body`, and says what it was.
    async fn answer(&mut self, body: &str) -> String {
        let head = self.head().await;
        self.say(ok(body)).await;
        head
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn body(text: &str) -> Answered {
    Ok((200, Bytes::copy_from_slice(text.as_bytes())))
}
