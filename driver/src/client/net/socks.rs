//! SOCKS version 5 (RFC 1928), with user name and password (RFC 1929). No library has it without a runtime.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

use hyper::rt::{Read as _, ReadBuf, Write as _};
use socketio_core::engine::client::{Failure, ProxyFault};

use super::SetupError;
use crate::runtime::Io;

/// As the proxy gets them; each of at most 255 bytes.
pub(super) struct Credentials {
    user: Vec<u8>,
    password: Vec<u8>,
}

impl Credentials {
    pub(super) fn new((user, password): (&str, &str)) -> Result<Self, SetupError> {
        if user.len() > 255 || password.len() > 255 {
            return Err(SetupError::ProxyCredentials);
        }
        Ok(Self { user: user.into(), password: password.into() })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// A connection to `host` through one to the proxy, which resolves the name.
pub(super) async fn connect(
    mut io: Box<dyn Io>,
    credentials: Option<&Credentials>,
    host: &str,
    port: u16,
) -> Result<Box<dyn Io>, Failure> {
    let proxy = Failure::Proxy;
    let broken = |_: io::Error| Failure::Proxy(ProxyFault::Connection);
    let offer: &[u8] =
        if credentials.is_some() { &[VERSION, 2, OPEN, PASSWORD] } else { &[VERSION, 1, OPEN] };
    write(&mut io, offer).await.map_err(broken)?;
    match (read(&mut io).await.map_err(broken)?, credentials) {
        ([VERSION, OPEN], _) => {}
        ([VERSION, PASSWORD], Some(credentials)) => {
            write(&mut io, &subnegotiation(credentials)).await.map_err(broken)?;
            let [_, status] = read(&mut io).await.map_err(broken)?;
            if status != 0 {
                return Err(proxy(ProxyFault::Credentials));
            }
        }
        ([VERSION, _], _) => return Err(proxy(ProxyFault::Credentials)),
        _ => return Err(proxy(ProxyFault::Connection)),
    }
    write(&mut io, &request(host, port).ok_or(Failure::Unresolved)?).await.map_err(broken)?;
    let [version, reply, _, kind] = read(&mut io).await.map_err(broken)?;
    match (version, reply) {
        (VERSION, 0) => {}
        // Network and host unreachable, and expired on the way.
        (VERSION, 3 | 6) => return Err(Failure::Unreachable),
        // Most say so of names without an address, too.
        (VERSION, 4) => return Err(Failure::Unreachable),
        (VERSION, 5) => return Err(Failure::Refused),
        (VERSION, reply) => return Err(proxy(ProxyFault::Refused(reply.into()))),
        _ => return Err(proxy(ProxyFault::Connection)),
    }
    // The address it connects from, which nobody needs.
    match kind {
        V4 => read::<6>(&mut io).await.map(|_| ()),
        V6 => read::<18>(&mut io).await.map(|_| ()),
        NAME => {
            let [length] = read(&mut io).await.map_err(broken)?;
            let mut rest = vec![0; usize::from(length) + 2];
            fill(&mut io, &mut rest).await
        }
        _ => return Err(proxy(ProxyFault::Connection)),
    }
    .map_err(broken)?;
    Ok(io)
}

fn subnegotiation(Credentials { user, password }: &Credentials) -> Vec<u8> {
    let mut message = vec![1];
    for part in [user, password] {
        message.push(u8::try_from(part.len()).expect("checked when they were made"));
        message.extend_from_slice(part);
    }
    message
}

fn request(host: &str, port: u16) -> Option<Vec<u8>> {
    let mut message = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            message.push(V4);
            message.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            message.push(V6);
            message.extend_from_slice(&address.octets());
        }
        Err(_) => {
            message.extend_from_slice(&[NAME, u8::try_from(host.len()).ok()?]);
            message.extend_from_slice(host.as_bytes());
        }
    }
    message.extend_from_slice(&port.to_be_bytes());
    Some(message)
}

async fn write(io: &mut Box<dyn Io>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    poll_fn(|cx| Pin::new(&mut *io).poll_flush(cx)).await
}

/// Not a byte more: what follows is the server's.
async fn read<const N: usize>(io: &mut Box<dyn Io>) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(io, &mut bytes).await?;
    Ok(bytes)
}

async fn fill(io: &mut Box<dyn Io>, bytes: &mut [u8]) -> io::Result<()> {
    let wanted = bytes.len();
    let mut buffer = ReadBuf::new(bytes);
    while buffer.filled().len() < wanted {
        let before = buffer.filled().len();
        poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buffer.unfilled())).await?;
        if buffer.filled().len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

const VERSION: u8 = 5;

// Methods of authentication.
const OPEN: u8 = 0;
const PASSWORD: u8 = 2;

const CONNECT: u8 = 1;

// Kinds of addresses.
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;
