//! Requests of sessions that poll, past hyper: those that are plain beyond doubt and came whole.
//!
//! Nearly every request of such a session is. The first one that is anything else makes its connection hyper's for the
//! rest of its life, with all that was read and not answered: nothing here answers what it does not understand, waits
//! for the rest of something, or knows what is wrong with a request. It knows no packet and no session either.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::mem::{self, MaybeUninit};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, UNIX_EPOCH};
use std::{io, iter};

use http::request::Parts;
use hyper::rt::{Read as _, ReadBuf, Write as _};
use socketio_core::Instant;
use socketio_core::engine::http::{Header, Headers, Response, is_header_value};

use crate::alarm::Alarm;
use crate::serve::accept::HEADER_TIMEOUT;
use crate::serve::service::{From, Head};
use crate::serve::stall::Impatient;
use crate::serve::whole;
use crate::server::hub::Hub;

/// What becomes of a connection after its plain requests.
pub(super) enum Next {
    /// It is hyper's, and begins with a request that is not plain, or not all there.
    Hyper(Impatient),
    Over,
}

/// Serves a connection as long as its requests are plain.
pub(super) async fn serve(hub: &Arc<Hub>, io: Impatient, from: From) -> Next {
    if hub.admission.hooks.edit_headers() {
        return Next::Hyper(io);
    }
    let now = hub.now();
    let alarm = Alarm::new(&*hub.runtime, now);
    let mut connection = Connection { hub, io, unread: Vec::new(), now, alarm, unbroken: 0 };
    let mut date = Date::default();
    let mut closing = pin!(hub.closing.raised());
    // Once is enough to be woken: the waker of a task does not change.
    let _ = poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx))).await;
    loop {
        if !connection.arrival().await {
            return connection.end().await;
        }
        let mut bytes = mem::take(&mut connection.unread);
        let answer = {
            let mut room = [MaybeUninit::uninit(); MAX_FIELDS];
            let Some(request) = Request::parse(&bytes, &mut room, hub.admission.routes.path()) else {
                return Next::Hyper(connection.io.rewound(bytes.into()));
            };
            connection.unread.extend_from_slice(&bytes[request.len..]);
            let body = &bytes[request.head_len..request.len];
            let mut answering = whole::answer(hub, &request, body, from, connection.now);
            let mut waited = false;
            let answer = Inlined(|cx: &mut Context<'_>| {
                if let Poll::Ready(answer) = answering.poll(cx) {
                    return Poll::Ready(answer);
                }
                waited = true;
                // A client that goes away is noticed by reading. Who sends more is still there, and waits.
                if ready!(connection.poll_arrival(cx)) { Poll::Pending } else { Poll::Ready(None) }
            });
            let answer = answer.await;
            connection.look_at_clock_if(waited);
            answer
        };
        let Some(response) = answer else { return Next::Over };
        bytes.clear();
        let is_last = write(&response, hub.closing.is_raised(), date.at(hub, connection.now), &mut bytes);
        let is_short = response.body.len() <= MAX_COPIED;
        if is_short {
            bytes.extend_from_slice(&response.body);
        }
        let rest = if is_short { None } else { Some(&response.body[..]) };
        for part in iter::once(&bytes[..]).chain(rest) {
            if connection.write(part).await.is_err() {
                return Next::Over;
            }
        }
        if is_last {
            return connection.end().await;
        }
        if connection.unread.is_empty() && bytes.capacity() <= MAX_KEPT {
            bytes.clear();
            connection.unread = bytes;
        }
    }
}

struct Connection<'a> {
    hub: &'a Arc<Hub>,
    io: Impatient,
    unread: Vec<u8>,
    /// As of when somebody was last waited for: it takes a while to look at a clock, and until then next to none passes.
    now: Instant,
    alarm: Alarm,
    /// How many requests came without a pause.
    unbroken: u32,
}

impl Connection<'_> {
    /// Waits for the next request. False when there will be none any more, or none that is to be answered.
    fn arrival(&mut self) -> impl Future<Output = bool> {
        let deadline = self.now + HEADER_TIMEOUT;
        self.unbroken += 1;
        let mut waited = false;
        Inlined(move |cx: &mut Context<'_>| {
            if self.hub.closing.is_raised() {
                return Poll::Ready(false);
            }
            if self.unbroken >= MAX_UNBROKEN {
                // A client that never pauses does not starve the others.
                self.unbroken = 0;
                waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Poll::Ready(arrived) = self.poll_arrival(cx) {
                self.look_at_clock_if(waited);
                return Poll::Ready(arrived);
            }
            self.unbroken = 0;
            let now = if waited { self.hub.now() } else { self.now };
            waited = true;
            if self.alarm.set(Some(deadline), cx, now) { Poll::Pending } else { Poll::Ready(false) }
        })
    }

    fn look_at_clock_if(&mut self, waited: bool) {
        if waited {
            self.now = self.hub.now();
        }
    }

    /// Waits for something unread. False when there will be nothing any more.
    #[inline(always)]
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.unread.is_empty() {
            return Poll::Ready(true);
        }
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut room);
        let outcome = ready!(Pin::new(&mut self.io).poll_read(cx, read.unfilled()));
        self.unread.extend_from_slice(read.filled());
        Poll::Ready(outcome.is_ok() && !self.unread.is_empty())
    }

    fn write<'b>(&'b mut self, mut bytes: &'b [u8]) -> impl Future<Output = io::Result<()>> + 'b {
        let mut waited = false;
        Inlined(move |cx: &mut Context<'_>| {
            while !bytes.is_empty() {
                match Pin::new(&mut self.io).poll_write(cx, bytes)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(written) => bytes = &bytes[written..],
                    Poll::Pending => {
                        waited = true;
                        return Poll::Pending;
                    }
                }
            }
            let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
            self.look_at_clock_if(waited);
            Poll::Ready(flushed)
        })
    }

    async fn end(mut self) -> Next {
        // It is over either way.
        let _ = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
        Next::Over
    }
}

/// As [`poll_fn`], and part of the future that waits for it: `stall.rs` has what a call too many costs.
struct Inlined<F>(F);

impl<T, F: FnMut(&mut Context<'_>) -> Poll<T> + Unpin> Future for Inlined<F> {
    type Output = T;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        (self.0)(cx)
    }
}

/// A plain request.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    fields: &'a [httparse::Header<'a>],
    head_len: usize,
    /// With the body.
    len: usize,
}

impl<'a> Request<'a> {
    /// The request that `bytes` begin with, if it is plain and all there.
    fn parse(bytes: &'a [u8], room: &'a mut [MaybeUninit<httparse::Header<'a>>], path: &str) -> Option<Self> {
        let mut head = httparse::Request::new(&mut []);
        let httparse::Status::Complete(head_len) = head.parse_with_uninit_headers(bytes, room).ok()? else {
            return None;
        };
        let (method, target) = (head.method?, head.path?);
        // Anything else at the server's path is no request of a session.
        let is_ours =
            target.starts_with('/') && target.strip_prefix(path).is_some_and(|rest| rest.starts_with('?'));
        if head.version != Some(1) || !is_ours || !is_clean(target.as_bytes()) {
            return None;
        }
        let body_len = match (method, body_len(head.headers)?) {
            ("GET", None | Some(0)) => 0,
            ("POST", Some(len)) => len,
            _ => return None,
        };
        let len = head_len + body_len;
        (len <= bytes.len()).then_some(Self { method, target, fields: head.headers, head_len, len })
    }
}

impl Headers for Request<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let field = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        field.map(|field| field.value)
    }

    fn each(&self, name: &str, visit: &mut dyn FnMut(&[u8])) {
        let named = self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.for_each(|field| visit(field.value));
    }
}

impl Head for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &str {
        self.target
    }

    fn parts(&self) -> Cow<'_, Parts> {
        let mut request = http::Request::builder().method(self.method).uri(self.target);
        for field in self.fields {
            request = request.header(field.name, field.value);
        }
        let (parts, ()) = request.body(()).unwrap_or_default().into_parts();
        Cow::Owned(parts)
    }
}

/// Whether nobody can disagree about what a target says.
fn is_clean(target: &[u8]) -> bool {
    // In blocks that the compiler makes vectors of; the last one covers what is left, and some bytes once more.
    let is_clean_block =
        |block: &[u8; 16]| block.iter().fold(true, |clean, &byte| clean & is_clean_byte(byte));
    match target.last_chunk() {
        Some(last) => target.as_chunks().0.iter().all(is_clean_block) && is_clean_block(last),
        None => target.iter().copied().all(is_clean_byte),
    }
}

/// Letters, digits, and `/?=&-._~%+:`. Without a table and without branches, of which no vectors could be made.
const fn is_clean_byte(byte: u8) -> bool {
    let small = byte | 0x20;
    let is_letter = (small >= b'a') & (small <= b'z');
    let is_digit_or_near = (byte >= b'-') & (byte <= b':'); // with `-`, `.`, `/` and `:`
    let is_sign = (byte == b'?') | (byte == b'=') | (byte == b'&') | (byte == b'_');
    is_letter | is_digit_or_near | is_sign | (byte == b'~') | (byte == b'%') | (byte == b'+')
}

/// The length of the body that these fields announce, if they announce one. `None` if they are not those of a plain
/// request.
fn body_len(fields: &[httparse::Header<'_>]) -> Option<Option<usize>> {
    let mut hosts = 0;
    let mut len = None;
    for httparse::Header { name, value } in fields {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            hosts += 1;
        } else if is("content-length") {
            if len.is_some()
                || value.is_empty()
                || value.len() > MAX_DIGITS
                || !value.iter().all(u8::is_ascii_digit)
            {
                return None;
            }
            len = Some(value.iter().fold(0, |len, digit| len * 10 + usize::from(digit - b'0')));
        } else if UNUSUAL.iter().any(|unusual| is(unusual))
            || is("connection") && !value.eq_ignore_ascii_case(b"keep-alive")
        {
            return None;
        }
    }
    (hosts == 1).then_some(len)
}

/// Writes the head of a response, as hyper would. Returns whether it is the last one of its connection.
fn write(response: &Response, is_last: bool, date_field: &str, out: &mut Vec<u8>) -> bool {
    out.reserve(HEAD_BYTES + response.body.len().min(MAX_COPIED));
    let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    match response.status {
        200 => push(&[b"HTTP/1.1 200 OK\r\n"]),
        status => {
            let status =
                http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
            let reason = status.canonical_reason().unwrap_or_default();
            push(&[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"]);
        }
    }
    push(&[response.headers.as_lines()]);
    for Header { name, value } in response.extra.iter().filter(|extra| is_header_value(&extra.value)) {
        push(&[name.to_ascii_lowercase().as_bytes(), b": ", value, b"\r\n"]);
    }
    let closes = response.fields().any(|(name, _)| name.eq_ignore_ascii_case("connection"));
    if is_last && !closes {
        push(&[b"connection: close\r\n"]);
    }
    let mut digits = itoa::Buffer::new();
    let len = digits.format(response.body.len());
    push(&[b"content-length: ", len.as_bytes(), b"\r\n", date_field.as_bytes(), b"\r\n"]);
    closes || is_last
}

/// The date of responses as a field of theirs, which changes once a second.
#[derive(Default)]
struct Date {
    field: String,
    until: Instant,
}

impl Date {
    fn at(&mut self, hub: &Hub, now: Instant) -> &str {
        if self.until <= now {
            let date = hub.runtime.unix_time();
            self.field = format!("date: {}\r\n", httpdate::fmt_http_date(UNIX_EPOCH + date));
            self.until = now + (Duration::from_secs(1) - Duration::from_nanos(date.subsec_nanos().into()));
        }
        &self.field
    }
}

/// Fields that make more of a request than a head and a body of a known length.
const UNUSUAL: [&str; 5] = ["expect", "te", "trailer", "transfer-encoding", "upgrade"];

/// Most fields of a plain request: more than browsers send.
const MAX_FIELDS: usize = 32;

/// Digits of the length of a body: more than can be read at once.
const MAX_DIGITS: usize = 6;

/// Requests without a pause before other tasks get a turn: as many as hyper serves.
const MAX_UNBROKEN: u32 = 16;

/// Most that is read at once, and so the longest request that is plain.
const READ_BYTES: usize = 8 * 1024;

/// Enough for the head of nearly every response.
const HEAD_BYTES: usize = 256;

/// The longest body that is copied to be written with its head.
const MAX_COPIED: usize = 16 * 1024;

/// The largest buffer that a connection keeps between two requests.
const MAX_KEPT: usize = 4 * 1024;

#[cfg(test)]
mod tests;
