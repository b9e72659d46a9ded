//! A client, or a driver, that keeps to no rule: any input on any lane at any time.

use super::*;

/// What may happen to a session, with the lanes that are known of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Poll,
    Post(Form),
    /// What comes behind the head of the newest POST.
    Body(&'static str),
    TooLarge,
    Open,
    /// A frame on the newest websocket but that many.
    Frame(usize, &'static str),
    Fault(usize),
    Flushed(usize),
    Gone(Kind),
    Send,
    Close,
    Abort,
    Timeout,
    /// Just before the deadline.
    Wait,
}

/// What is tried in every state: with revision 4, and as good as nonsense in revision 3.
pub(super) const STEPS: &[Step] = &[
    Step::Poll,
    Step::Post(Form::Text),
    Step::Post(Form::Binary),
    Step::Body("4"),
    Step::Body("2"),
    Step::Body("3"),
    Step::Body("1"),
    Step::Body("x"),
    Step::TooLarge,
    Step::Open,
    Step::Frame(0, "2probe"),
    Step::Frame(0, "5"),
    Step::Frame(0, "4"),
    Step::Frame(0, "3"),
    Step::Frame(0, "x"),
    Step::Frame(1, "5"),
    Step::Frame(1, "4"),
    Step::Fault(0),
    Step::Fault(1),
    Step::Flushed(0),
    Step::Gone(Kind::Get),
    Step::Gone(Kind::Post),
    Step::Gone(Kind::Ws),
    Step::Send,
    Step::Close,
    Step::Abort,
    Step::Timeout,
    Step::Wait,
];

/// A session in bad company.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    pub(super) session: Session,
    now: Instant,
    lanes: Lanes,
    next_lane: u64,
    get: Option<Lane>,
    post: Option<Lane>,
    /// The newest first.
    websockets: [Option<Lane>; 2],
    pub(super) trail: Vec<Step>,
    /// Whether outputs are taken only when they must be.
    pub(super) is_lazy: bool,
}

impl Chaos {
    pub(super) fn new(revision: Revision, transport: Transport) -> Self {
        let config = Config {
            ping_interval: Duration::from_millis(350),
            ping_timeout: Duration::from_millis(250),
            upgrade_timeout: Duration::from_millis(240),
            buffer: BufferLimits { max_frames: 2, max_bytes: 100 },
            ..Config::default()
        };
        let rig = Rig::open(config, Format { revision, ..Format::V4 }, transport);
        let websocket = (transport == Transport::Websocket).then_some(Lane(0));
        Self {
            session: rig.session,
            now: rig.now,
            lanes: rig.lanes,
            next_lane: 1,
            get: None,
            post: None,
            websockets: [websocket, None],
            trail: Vec::new(),
            is_lazy: false,
        }
    }

    fn lane(&mut self, kind: Kind) -> Lane {
        self.next_lane += 1;
        let lane = Lane(self.next_lane);
        self.lanes.open(lane, kind, &self.session);
        lane
    }

    /// Does a step, if there is anything to do it with.
    pub(super) fn apply(&mut self, step: Step) -> Result<(), String> {
        self.trail.push(step);
        if matches!(step, Step::Gone(_) | Step::Fault(_)) {
            // What was said on a lane before its end is no mistake.
            self.drain()?;
        }
        let input = match step {
            Step::Poll => {
                let lane = self.lane(Kind::Get);
                self.get = Some(lane);
                Some(Input::Poll(lane))
            }
            Step::Post(form) => {
                let lane = self.lane(Kind::Post);
                self.post = Some(lane);
                Some(Input::Post(lane, form))
            }
            Step::Body(body) => {
                self.post.map(|lane| Input::PostBody(lane, Bytes::from_static(body.as_bytes())))
            }
            Step::TooLarge => self.post.map(Input::PostTooLarge),
            Step::Open => {
                let lane = self.lane(Kind::Ws);
                self.websockets = [Some(lane), self.websockets[0]];
                Some(Input::WsOpen(lane, BinaryEncoding::Raw))
            }
            Step::Frame(index, text) => {
                self.websockets[index].map(|lane| Input::WsFrame(lane, Frame::Text(text.into())))
            }
            Step::Fault(index) => self.websockets[index].take().map(|lane| {
                self.lanes.end(lane);
                Input::WsFault(lane, TransportFault::Connection)
            }),
            Step::Flushed(index) => self.websockets[index].map(Input::Flushed),
            Step::Gone(kind) => {
                let lane = match kind {
                    Kind::Get => self.get.take(),
                    Kind::Post => self.post.take(),
                    Kind::Ws => self.websockets[0].take(),
                };
                lane.map(|lane| {
                    self.lanes.end(lane);
                    Input::LaneGone(lane)
                })
            }
            Step::Send => {
                let frame = Packet::Message(Message::Text("x".into())).encode();
                let was_open = self.session.is_open();
                let sent = self.session.send(core::iter::once(frame), 2);
                if was_open == (sent == Err(SendError::Closed)) {
                    return Err(format!("open: {was_open}, but {sent:?}"));
                }
                None
            }
            Step::Close => {
                self.session.close(self.now);
                None
            }
            Step::Abort => {
                self.session.abort(CloseReason::ForcedClose);
                None
            }
            Step::Timeout => {
                self.now = self.now.max(self.session.poll_timeout().unwrap_or(self.now));
                self.wake()?;
                None
            }
            Step::Wait => {
                if let Some(next) = self.session.poll_timeout() {
                    self.now = Instant::from_micros(self.now.as_micros().max(next.as_micros() - 1));
                }
                self.wake()?;
                None
            }
        };
        if let Some(input) = input {
            self.session.handle(input, self.now);
        }
        if self.is_lazy && step != Step::Timeout { Ok(()) } else { self.drain() }
    }

    fn wake(&mut self) -> Result<(), String> {
        self.session.handle_timeout(self.now);
        match self.session.poll_timeout() {
            Some(next) if next <= self.now => Err("a deadline stayed behind".into()),
            _ => Ok(()),
        }
    }

    fn drain(&mut self) -> Result<(), String> {
        loop {
            let promised = self.session.has_output();
            let output = self.session.poll_output();
            if promised != output.is_some() {
                return Err("has_output lies".into());
            }
            let Some(output) = output else { break };
            self.lanes.check(&output)?;
        }
        let closed = self.session.transport().is_none();
        if closed != self.lanes.is_closed {
            return Err("the end and its news differ".into());
        }
        if closed && (self.session.poll_timeout().is_some() || self.session.buffered_bytes() > 0) {
            return Err("something stayed behind".into());
        }
        // The limit, and what the machine says itself: a ping.
        if self.session.buffered_bytes() > 2 * 2 + 1 {
            return Err("more is queued than the limit".into());
        }
        Ok(())
    }

    /// Whoever says nothing more is gone after every deadline has passed.
    pub(super) fn settle(mut self) -> Result<(), String> {
        self.drain()?;
        for _ in 0..1_000 {
            if self.session.poll_timeout().is_none() {
                return if self.lanes.is_closed { Ok(()) } else { Err("it would stay for ever".into()) };
            }
            self.apply(Step::Timeout)?;
        }
        Err("it never ends".into())
    }

    /// See [`World::print`](super::model::World::print).
    pub(super) fn print(&self) -> u64 {
        super::model::hash(&format!(
            "{} {:?} {:?} {:?} {:?}",
            self.session.print(self.now),
            self.lanes,
            self.get,
            self.post,
            self.websockets
        ))
    }
}
