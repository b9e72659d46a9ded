//! A message there and back: an event answered by an event, by an acknowledgement, or with an attachment.
use std::io;
use std::rc::Rc;
use std::time::Instant;

use serde_json::Value;

use super::{dial_idle, dial_many, number_at, numbered};
use crate::Args;
use crate::link::error;
use crate::order::Awaited;
use crate::tally::{RING, Tally};
use crate::ws::{BINARY, TEXT, Ws, push_frame};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Echo,
    Ack,
    Binary,
}

pub(crate) async fn run(args: &Args, kind: Kind) -> io::Result<Value> {
    let capacity = (args.window * (args.size + 64) + 512).next_power_of_two().max(4096);
    dial_idle(&args.target, args.idle).await?;
    let connections = dial_many(&args.target, args.conns, capacity).await?;
    let tally = Tally::new(args, 1, args.conns * args.window);
    let messages = Rc::new(Messages::new(kind, args.size));
    for ws in connections {
        let (tally, messages, window) = (tally.clone(), messages.clone(), args.window);
        tokio::task::spawn_local(async move {
            let client = Client { ws, tally: tally.clone(), messages, sent: 0, open: Awaited::new() };
            tally.end(client.run(window).await);
        });
    }
    tally.report(args).await
}

/// What is sent and what has to come back, by its number in the ring; made once, so that sending is a copy.
struct Messages {
    kind: Kind,
    frames: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    /// Acknowledgements have an id before what is in the frames.
    payload: Vec<String>,
}

const BINARY_HEAD: &[u8] = b"451-[\"bin\",{\"_placeholder\":true,\"num\":0}]";

impl Messages {
    fn new(kind: Kind, size: usize) -> Self {
        let payload: Vec<_> = (0..RING).map(|number| numbered(number, size)).collect();
        let answer = |payload: &String| match kind {
            Kind::Echo => format!("42[\"echo\",\"{payload}\"]").into_bytes(),
            Kind::Ack => format!("[\"{payload}\"]").into_bytes(),
            Kind::Binary => payload.clone().into_bytes(),
        };
        let answers: Vec<_> = payload.iter().map(answer).collect();
        let frame = |answer: &Vec<u8>| {
            let mut frame = Vec::new();
            if kind == Kind::Binary {
                push_frame(&mut frame, TEXT, BINARY_HEAD);
                push_frame(&mut frame, BINARY, answer);
            } else {
                push_frame(&mut frame, TEXT, answer);
            }
            frame
        };
        let frames = answers.iter().map(frame).collect();
        Self { kind, frames, answers, payload }
    }
}

struct Client {
    ws: Ws,
    tally: Rc<Tally>,
    messages: Rc<Messages>,
    sent: u64,
    /// What is under way, and when it was sent.
    open: Awaited<Instant>,
}

impl Client {
    async fn run(mut self, window: usize) -> io::Result<()> {
        let now = Instant::now();
        (0..window).for_each(|_| self.send(now));
        self.ws.flush().await?;
        let mut head_seen = false;
        while !self.open.is_empty() {
            self.ws.fill().await?;
            self.tally.read();
            let now = Instant::now();
            while let Some((opcode, range)) = self.ws.next()? {
                let message = self.ws.at(range);
                let expected = if self.messages.kind == Kind::Binary && head_seen { BINARY } else { TEXT };
                if self.messages.kind == Kind::Binary && !head_seen {
                    if opcode != TEXT || message != BINARY_HEAD {
                        return error(format!("bad head {}", String::from_utf8_lossy(message)));
                    }
                    head_seen = true;
                    continue;
                }
                head_seen = false;
                let Some(number) = self.answered(message).filter(|_| opcode == expected) else {
                    return error(format!("bad answer {}", String::from_utf8_lossy(message)));
                };
                let Some(answered) = self.open.answered(number) else {
                    return error(format!("answer {number} was not awaited"));
                };
                self.tally.complete(now - answered.what, answered.overtook);
                self.send(now);
            }
            self.ws.flush().await?;
        }
        std::future::pending().await // open until the process ends
    }

    fn send(&mut self, now: Instant) {
        if !self.tally.take() {
            return;
        }
        let slot = (self.sent % RING) as usize;
        let number = if self.messages.kind == Kind::Ack {
            let text = format!("42{}[\"ack\",\"{}\"]", self.sent, self.messages.payload[slot]);
            push_frame(&mut self.ws.out, TEXT, text.as_bytes());
            self.sent
        } else {
            self.ws.out.extend_from_slice(&self.messages.frames[slot]);
            slot as u64
        };
        self.open.sent(number, now);
        self.sent += 1;
    }

    /// Which message is answered; `None` when it is not, to the byte, what it should be.
    fn answered(&self, message: &[u8]) -> Option<u64> {
        let (number, slot, answer) = match self.messages.kind {
            Kind::Echo => {
                let number = number_at(message, b"42[\"echo\",\"".len())?;
                (number, number, message)
            }
            Kind::Binary => {
                let number = number_at(message, 0)?;
                (number, number, message)
            }
            Kind::Ack => {
                let rest = message.strip_prefix(b"43")?;
                let end = rest.iter().position(|byte| *byte == b'[')?;
                let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
                (number, number % RING, &rest[end..])
            }
        };
        (self.messages.answers.get(slot as usize)? == answer).then_some(number)
    }
}
