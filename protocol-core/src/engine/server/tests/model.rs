//! A client that keeps to the rules, as the official one does, with a network that delays at will; and one that does
//! not.
//!
//! Both offer the actions that are possible in their state; the tests beside this choose. What must come of it is
//! checked at every step.

use alloc::collections::VecDeque;
use core::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;
use crate::engine::payload::Posted;

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    // The application on either side.
    /// The server's application sends the next message.
    Send,
    /// The client's application does.
    Say,
    Close,
    ClientClose,
    // The client's transports.
    OpenWebsocket,
    BreakWebsocket,
    // The network.
    /// Part of an HTTP request reaches the server.
    Request(Lane),
    /// What the client did next on a websocket reaches the server.
    Frame(Lane),
    /// What the server said first on this lane reaches the client.
    Answer(Lane),
    // The driver.
    Timeout,
    Wait(Duration),
}

/// How often each thing may still be done.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) sends: usize,
    pub(super) says: usize,
    pub(super) closes: usize,
    pub(super) client_closes: usize,
    pub(super) websockets: usize,
    pub(super) breaks: usize,
    pub(super) timeouts: usize,
    /// Bytes that make a message long.
    pub(super) padding: usize,
}

/// A session, its client, and what is on the way between them.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) session: Session,
    now: Instant,
    lanes: Lanes,
    pub(super) trail: Vec<Action>,
    pub(super) budget: Budget,
    client: Client,
    requests: BTreeMap<Lane, Request>,
    frames: BTreeMap<Lane, VecDeque<ClientFrame>>,
    answers: BTreeMap<Lane, VecDeque<Answer>>,
    /// Messages the server's application has sent, and received.
    sent: usize,
    taken: usize,
    /// The session's end, and whether a deadline was the cause.
    end: Option<(CloseReason, bool)>,
    pub(super) has_upgraded: bool,
}

#[derive(Clone, Debug)]
enum Request {
    Get,
    PostHead(String),
    PostBody(String),
}

#[derive(Clone, Debug)]
enum ClientFrame {
    Open,
    Text(String),
    Gone,
}

#[derive(Clone, Debug)]
enum Answer {
    Response(Response),
    Broken,
    Frame(String),
    Close,
}

/// The official client's rules: one GET at a time and one POST; after `3probe` no new one, and `5` when both are
/// back; what is to be sent meanwhile waits and follows on the websocket.
#[derive(Clone, Debug)]
struct Client {
    next_lane: u64,
    get: Option<Lane>,
    post: Option<Lane>,
    websocket: Option<(Lane, Phase)>,
    outgoing: VecDeque<String>,
    said: usize,
    received: usize,
    is_leaving: bool,
    is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `2probe` is sent.
    Probing,
    /// `3probe` is here: polling comes to an end.
    Pausing,
    /// `5` is sent.
    Committed,
}

impl World {
    pub(super) fn new(revision: Revision, budget: Budget) -> Self {
        // Short enough for every deadline to be met within a few steps.
        let config = Config {
            ping_interval: Duration::from_millis(350),
            ping_timeout: Duration::from_millis(250),
            upgrade_timeout: Duration::from_millis(240),
            ..Config::default()
        };
        let rig = Rig::open(config, Format { revision, ..Format::V4 }, Transport::Polling);
        let mut world = Self {
            session: rig.session,
            now: rig.now,
            lanes: rig.lanes,
            trail: Vec::new(),
            budget,
            client: Client {
                next_lane: 1,
                get: None,
                post: None,
                websocket: None,
                outgoing: VecDeque::new(),
                said: 0,
                received: 0,
                is_leaving: false,
                is_over: false,
            },
            requests: BTreeMap::new(),
            frames: BTreeMap::new(),
            answers: BTreeMap::new(),
            sent: 0,
            taken: 0,
            end: None,
            has_upgraded: false,
        };
        world.client_acts();
        world
    }

    /// Everything that can happen now.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = self.deliveries();
        let mut offer = |possible: bool, action| {
            if possible {
                actions.push(action);
            }
        };
        let (client, budget) = (&self.client, &self.budget);
        let active = !client.is_over && !client.is_leaving;
        offer(self.session.is_open() && budget.sends > 0, Action::Send);
        offer(active && budget.says > 0, Action::Say);
        offer(self.session.is_open() && budget.closes > 0, Action::Close);
        // The client closes when an upgrade has succeeded or failed, not in between.
        let settled = client.websocket.is_none_or(|(_, phase)| phase == Phase::Committed);
        offer(active && settled && budget.client_closes > 0, Action::ClientClose);
        offer(active && client.websocket.is_none() && budget.websockets > 0, Action::OpenWebsocket);
        offer(!client.is_over && client.websocket.is_some() && budget.breaks > 0, Action::BreakWebsocket);
        offer(self.session.poll_timeout().is_some() && budget.timeouts > 0, Action::Timeout);
        actions
    }

    fn deliveries(&self) -> Vec<Action> {
        let requests = self.requests.keys().map(|lane| Action::Request(*lane));
        let frames = self.frames.keys().map(|lane| Action::Frame(*lane));
        let answers = self.answers.keys().map(|lane| Action::Answer(*lane));
        requests.chain(frames).chain(answers).collect()
    }

    pub(super) fn apply(&mut self, action: Action) -> Result<(), String> {
        self.trail.push(action);
        match action {
            Action::Send => {
                self.budget.sends -= 1;
                let text = format!("{}:{}", self.sent, "x".repeat(self.budget.padding));
                let frame = Packet::Message(Message::Text(text.into())).encode();
                let bytes = frame.len();
                if self.session.send(core::iter::once(frame), bytes).is_ok() {
                    self.sent += 1;
                }
            }
            Action::Say => {
                self.budget.says -= 1;
                self.client.outgoing.push_back(format!("4{}", self.client.said));
                self.client.said += 1;
            }
            Action::Close => {
                self.budget.closes -= 1;
                self.session.close(self.now);
            }
            Action::ClientClose => {
                self.budget.client_closes -= 1;
                self.client.is_leaving = true;
                if let Some((lane, _)) = self.client.websocket {
                    self.client_acts();
                    self.frames.entry(lane).or_default().push_back(ClientFrame::Gone);
                    self.client.is_over = true;
                } else {
                    self.client.outgoing.push_back("1".into());
                }
            }
            Action::OpenWebsocket => {
                self.budget.websockets -= 1;
                let lane = self.client.lane();
                self.client.websocket = Some((lane, Phase::Probing));
                let opening = [ClientFrame::Open, ClientFrame::Text("2probe".into())];
                self.frames.insert(lane, opening.into());
            }
            Action::BreakWebsocket => {
                self.budget.breaks -= 1;
                let (lane, phase) = self.client.websocket.ok_or("no websocket")?;
                self.answers.remove(&lane);
                self.client.lose_websocket(phase);
                // What was on the way is lost; it is not in the orders that deliver it before this.
                let frames = self.frames.entry(lane).or_default();
                frames.retain(|frame| matches!(frame, ClientFrame::Open));
                frames.push_back(ClientFrame::Gone);
            }
            Action::Request(lane) => self.request(lane)?,
            Action::Frame(lane) => self.frame(lane)?,
            Action::Answer(lane) => self.answer(lane)?,
            Action::Timeout => {
                self.budget.timeouts -= 1;
                self.now = self.now.max(self.session.poll_timeout().unwrap_or(self.now));
                self.wake()?;
            }
            Action::Wait(time) => {
                self.now += time;
                self.wake()?;
            }
        }
        self.drain(false)?;
        self.client_acts();
        self.check()
    }

    fn wake(&mut self) -> Result<(), String> {
        self.session.handle_timeout(self.now);
        if self.session.poll_timeout().is_some_and(|next| next <= self.now) {
            return Err("a deadline stayed behind".into());
        }
        self.drain(true)
    }

    fn request(&mut self, lane: Lane) -> Result<(), String> {
        let input = match self.requests.remove(&lane).ok_or("no such request")? {
            Request::Get => {
                self.lanes.open(lane, Kind::Get, &self.session);
                Input::Poll(lane)
            }
            Request::PostHead(body) => {
                self.requests.insert(lane, Request::PostBody(body));
                self.lanes.open(lane, Kind::Post, &self.session);
                Input::Post(lane, Form::Text)
            }
            Request::PostBody(body) => Input::PostBody(lane, body.into()),
        };
        self.session.handle(input, self.now);
        Ok(())
    }

    fn frame(&mut self, lane: Lane) -> Result<(), String> {
        let frames = self.frames.get_mut(&lane).ok_or("no such websocket")?;
        let frame = frames.pop_front().ok_or("no frame")?;
        if frames.is_empty() {
            self.frames.remove(&lane);
        }
        let input = match frame {
            ClientFrame::Open => {
                self.lanes.open(lane, Kind::Ws, &self.session);
                Input::WsOpen(lane, BinaryEncoding::Raw)
            }
            ClientFrame::Text(text) => Input::WsFrame(lane, Frame::Text(text.into())),
            ClientFrame::Gone => {
                self.lanes.end(lane);
                self.answers.remove(&lane);
                Input::LaneGone(lane)
            }
        };
        self.session.handle(input, self.now);
        Ok(())
    }

    fn answer(&mut self, lane: Lane) -> Result<(), String> {
        let answers = self.answers.get_mut(&lane).ok_or("no such answer")?;
        let answer = answers.pop_front().ok_or("no answer")?;
        if answers.is_empty() {
            self.answers.remove(&lane);
            self.session.handle(Input::Flushed(lane), self.now);
        }
        let client = &mut self.client;
        if client.is_over {
            return Ok(());
        }
        match answer {
            Answer::Response(response) if client.get == Some(lane) => {
                client.get = None;
                if response.status != 200 {
                    // The session ended while the request was on its way.
                    client.is_over = true;
                    return self.end.map(|_| ()).ok_or_else(|| format!("a poll was answered {response:?}"));
                }
                let body = response.body.clone();
                let packets = self.session.format_packets(&body);
                packets.iter().try_for_each(|packet| client.packet(packet))
            }
            Answer::Response(response) if client.post == Some(lane) => {
                client.post = None;
                client.is_over |= client.is_leaving && client.outgoing.is_empty();
                match (response.status, self.end) {
                    (200, _) | (_, Some(_)) => Ok(()),
                    _ => Err(format!("a POST was answered {response:?}")),
                }
            }
            Answer::Response(response) => Err(format!("{response:?} for nobody")),
            Answer::Broken => {
                client.is_over = true;
                self.end.map(|_| ()).ok_or_else(|| "a request was broken".into())
            }
            Answer::Frame(text) => match &mut client.websocket {
                Some((current, phase @ Phase::Probing)) if *current == lane && text == "3probe" => {
                    *phase = Phase::Pausing;
                    Ok(())
                }
                Some((current, Phase::Committed)) if *current == lane => client.packet(&text),
                Some((current, phase)) if *current == lane => Err(format!("{text} while {phase:?}")),
                // The client has left it.
                _ => Ok(()),
            },
            Answer::Close => {
                if let Some((current, phase)) = client.websocket
                    && current == lane
                {
                    client.lose_websocket(phase);
                }
                Ok(())
            }
        }
    }

    /// What the client does without being asked: poll, send what waits, commit to the upgrade.
    fn client_acts(&mut self) {
        let client = &mut self.client;
        if client.is_over {
            return;
        }
        match client.websocket {
            Some((lane, Phase::Committed)) => {
                if !client.outgoing.is_empty() {
                    let frames = self.frames.entry(lane).or_default();
                    frames.extend(client.outgoing.drain(..).map(ClientFrame::Text));
                }
                return;
            }
            Some((lane, Phase::Pausing)) if client.get.is_none() && client.post.is_none() => {
                client.websocket = Some((lane, Phase::Committed));
                self.frames.entry(lane).or_default().push_back(ClientFrame::Text("5".into()));
                return self.client_acts();
            }
            Some((_, Phase::Pausing)) => return,
            Some((_, Phase::Probing)) | None => {}
        }
        if client.get.is_none() {
            let lane = client.lane();
            client.get = Some(lane);
            self.requests.insert(lane, Request::Get);
        }
        if client.post.is_none() && !client.outgoing.is_empty() {
            let packets: Vec<_> = client.outgoing.drain(..).collect();
            let body = match self.session.revision() {
                Revision::V3 => packets.iter().map(|packet| format!("{}:{packet}", packet.len())).collect(),
                Revision::V4 => packets.join("\x1E"),
            };
            let lane = client.lane();
            client.post = Some(lane);
            self.requests.insert(lane, Request::PostHead(body));
        }
    }

    fn drain(&mut self, by_deadline: bool) -> Result<(), String> {
        loop {
            let promised = self.session.has_output();
            let output = self.session.poll_output();
            if promised != output.is_some() {
                return Err("has_output lies".into());
            }
            let Some(output) = output else { break };
            self.lanes.check(&output)?;
            let (lane, answer) = match output {
                Output::Respond(lane, response) => (lane, Answer::Response(response)),
                Output::Abort(lane) => (lane, Answer::Broken),
                Output::WsSend(lane, Frame::Text(text), _) => (lane, Answer::Frame(text.to_string())),
                Output::WsSend(_, Frame::Binary(_), _) => return Err("binary from nowhere".into()),
                Output::WsClose(lane) => (lane, Answer::Close),
                Output::Event(event) => {
                    self.event(event, by_deadline)?;
                    continue;
                }
            };
            self.answers.entry(lane).or_default().push_back(answer);
        }
        Ok(())
    }

    fn event(&mut self, event: Event, by_deadline: bool) -> Result<(), String> {
        match event {
            Event::Message(Message::Text(text)) if text == *self.taken.to_string() => self.taken += 1,
            Event::Message(message) => return Err(format!("{message:?} instead of {}", self.taken)),
            Event::Upgraded(_) => self.has_upgraded = true,
            Event::Drained => {}
            Event::Closed(reason) => {
                let allowed = match reason {
                    CloseReason::ForcedClose => true,
                    CloseReason::PingTimeout => by_deadline,
                    CloseReason::TransportClose => {
                        // A client that says goodbye has said everything before; unless nobody listened any more.
                        let listened = self.taken == self.client.said || self.sent_away();
                        (self.client.is_over || self.client.is_leaving) && listened
                    }
                    CloseReason::ParseError | CloseReason::TransportError(_) => false,
                };
                self.end = Some((reason, by_deadline));
                if !allowed {
                    return Err(format!("closed: {reason:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether the server's application closed the session, or the client lost a websocket it had moved to.
    fn sent_away(&self) -> bool {
        self.trail.iter().any(|action| matches!(action, Action::Close | Action::BreakWebsocket))
    }

    fn check(&self) -> Result<(), String> {
        let closed = self.session.transport().is_none();
        if closed != self.end.is_some() {
            return Err("the end and its news differ".into());
        }
        if closed && (self.session.poll_timeout().is_some() || self.session.buffered_bytes() > 0) {
            return Err("something stayed behind".into());
        }
        if self.client.is_over {
            return Ok(());
        }
        // Orderly closed: whatever was accepted is with the client, or on its way.
        if let Some((CloseReason::ForcedClose, false)) = self.end {
            let on_the_way: usize = self.answers.values().flatten().map(|answer| self.messages(answer)).sum();
            if self.client.received + on_the_way < self.sent {
                return Err(format!("{} of {} messages arrived", self.client.received, self.sent));
            }
        }
        Ok(())
    }

    fn messages(&self, answer: &Answer) -> usize {
        match answer {
            Answer::Response(response) => {
                let packets = self.session.format_packets(&response.body);
                packets.iter().filter(|packet| packet.starts_with('4')).count()
            }
            Answer::Frame(text) => usize::from(text.starts_with('4')),
            Answer::Broken | Answer::Close => 0,
        }
    }

    /// Whether nothing can happen any more that is worth waiting for.
    pub(super) fn is_over(&self) -> bool {
        self.client.is_over && self.end.is_some()
    }

    /// From here, with a network that only does its duty: everything arrives soon, both ways, and an upgrade that has
    /// begun ends. If the session is closing, it ends.
    pub(super) fn settle(mut self) -> Result<(), String> {
        let start = self.now;
        self.budget.timeouts = usize::MAX;
        loop {
            while let Some(delivery) = self.deliveries().first().copied() {
                self.apply(delivery)?;
            }
            let client = &self.client;
            if self.end.is_some() || client.is_over {
                break;
            }
            let undecided = client.websocket.is_some_and(|(_, phase)| phase != Phase::Committed);
            if client.received == self.sent
                && self.taken == client.said
                && !undecided
                && self.session.is_open()
            {
                break;
            }
            // That a GET is freed is all that anything may have to wait for.
            self.apply(Action::Timeout)?;
            if self.now.saturating_since(start) > websocket::NOOP_INTERVAL {
                return Err(format!("stuck: {self:#?}"));
            }
        }
        Ok(())
    }

    /// States that behave alike have the same print: lanes by the order in which they are met, deadlines from now on.
    pub(super) fn print(&self) -> u64 {
        let text = format!(
            "{} {:?} {:?} {:?} {:?} {} {} {:?} {:?}",
            self.session.print(self.now),
            self.lanes,
            Client { next_lane: 0, ..self.client.clone() },
            self.requests,
            (&self.frames, &self.answers),
            self.sent,
            self.taken,
            self.end,
            self.budget
        );
        hash(&text)
    }
}

impl Client {
    fn lane(&mut self) -> Lane {
        self.next_lane += 1;
        Lane(self.next_lane)
    }

    fn packet(&mut self, packet: &str) -> Result<(), String> {
        match packet.as_bytes() {
            [b'1'] if self.websocket.is_none_or(|(_, phase)| phase != Phase::Committed) => {
                self.is_over = true
            }
            [b'1' | b'6'] => {}
            [b'2'] => self.outgoing.push_back("3".into()),
            [b'4', ..] => {
                let number = packet[1..].split(':').next();
                if number != Some(&*self.received.to_string()) {
                    return Err(format!("{packet:.9} instead of {}", self.received));
                }
                self.received += 1;
            }
            _ => return Err(format!("{packet:.9} from a server")),
        }
        Ok(())
    }

    /// It goes back to polling, if it had not left.
    fn lose_websocket(&mut self, phase: Phase) {
        self.websocket = None;
        self.is_over |= phase == Phase::Committed;
    }
}

impl Session {
    /// The packets of a response, as text.
    fn format_packets(&self, body: &Bytes) -> Vec<String> {
        let text = |packet| match packet {
            Ok(packet) => match Packet::encode(&packet) {
                Frame::Text(text) => text.to_string(),
                Frame::Binary(_) => "binary".into(),
            },
            Err(error) => format!("{error:?}"),
        };
        let mut packets = Vec::new();
        let Ok(()) = self.format.decode_post(Form::Text, body.clone(), usize::MAX).each(|packet| {
            packets.push(text(match packet {
                Posted::Text(message) => Ok(Packet::Message(message.to_message())),
                Posted::Other(packet) => packet,
            }));
            Ok::<_, Infallible>(())
        });
        packets
    }

    /// What its behaviour depends on, but for the numbers of its lanes.
    pub(super) fn print(&self, now: Instant) -> String {
        format!(
            "{:?} {:?} {:?} {} {:?}",
            self.link,
            self.closing,
            self.buffer,
            self.extension_left,
            self.timers.remaining(now)
        )
    }
}

/// The hash of a text in which the numbers of lanes do not count, only which are the same.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut met = Vec::new();
    for (index, part) in text.split("Lane(").enumerate() {
        let mut rest = part;
        if index > 0
            && let Some((number, after)) = part.split_once(')')
        {
            let position = met.iter().position(|known| *known == number).unwrap_or_else(|| {
                met.push(number);
                met.len() - 1
            });
            position.hash(&mut hasher);
            rest = after;
        }
        rest.hash(&mut hasher);
    }
    hasher.finish()
}

/// Numbers that look random, the same for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}
