//! A server for tests, which can be told to answer in the wrong order.
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::link::Target;

#[derive(Clone, Copy)]
pub(crate) enum Order {
    Kept,
    /// Of two events the second is served first.
    PairsSwapped,
}

/// Serves `echo`, `ack` and `bcast` on websockets, until the process ends.
pub(crate) fn serve(order: Order) -> io::Result<Target> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?.to_string();
    let everybody = Arc::new(Mutex::new(Vec::new()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let everybody = everybody.clone();
            thread::spawn(move || connection(stream, order, &everybody));
        }
    });
    Ok(Target { addr, path: "/socket.io/".into() })
}

fn connection(mut stream: TcpStream, order: Order, everybody: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")?;
    send(&stream, "0{}")?;
    let mut held: Option<String> = None;
    loop {
        let text = receive(&mut stream)?;
        if text == "40" {
            everybody.lock().unwrap().push(stream.try_clone()?);
            send(&stream, "40{}")?;
            continue;
        }
        if matches!(order, Order::PairsSwapped) && held.is_none() {
            held = Some(text);
            continue;
        }
        for text in [Some(text), held.take()].into_iter().flatten() {
            handle(&text, &stream, everybody)?;
        }
    }
}

fn handle(event: &str, stream: &TcpStream, everybody: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    if event.starts_with("42[\"bcast\"") {
        return everybody.lock().unwrap().iter().try_for_each(|stream| send(stream, event));
    }
    match event.split_once("[\"ack\",") {
        Some((id, rest)) => send(stream, &format!("43{}[{rest}", &id["42".len()..])),
        None => send(stream, event),
    }
}

/// Short frames only.
fn send(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    assert!(text.len() < 126, "{text}");
    let mut frame = vec![0x81, text.len() as u8];
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame)
}

fn receive(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = [0; 6];
    stream.read_exact(&mut head)?;
    let [_, len, mask @ ..] = head;
    assert!(len & 0x7f < 126, "{head:?}");
    let mut payload = vec![0; usize::from(len & 0x7f)];
    stream.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    String::from_utf8(payload).map_err(io::Error::other)
}
