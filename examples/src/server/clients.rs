//! The clients of a server: which request belongs to whom, and what each of them has to say.
//!
//! This is what an embedder builds around the core's [`Peer`]: a table of sessions, numbers for requests and websockets,
//! and one place that drains every peer it has touched. It reads no clock and knows nothing of connections but the
//! numbers their owner gave them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use socketio_core::engine::Transport;
use socketio_core::engine::http::{
    self, HandshakeRequest, Header, Kind, Refusal, Request, Response, Route, RouteConfig, check_websocket,
    post_form,
};
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::peer::{Config, Event, Output, Peer};
use socketio_core::socket::server as socket;
use socketio_core::{Instant, Lane, Sid, fields};
use tungstenite::handshake::derive_accept_key;

use super::connection::ConnectionId;
use super::deadlines::Deadlines;
use super::http1::Head;

/// Who is let in, and on which terms.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Paths, transports, CORS.
    pub routes: RouteConfig,
    /// Whether clients are invited to leave polling.
    pub allow_upgrades: bool,
    /// Whether clients of the third revision are let in.
    pub allow_eio3: bool,
    /// What the core wants to know.
    pub config: Arc<Config>,
    /// What the clock on the wall showed at [`Instant::ZERO`]: time since 1970.
    pub started: Duration,
}

/// The request that opened a session, for the application to look at.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The request target.
    pub url: String,
    /// The header fields.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Where it came from.
    pub address: IpAddr,
    /// When it arrived: time since 1970.
    pub issued: Duration,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Next {
    /// It is answered.
    Respond(Response),
    /// It will be, by a [`Wire::Respond`] or [`Wire::Abort`] on this lane.
    Wait(Lane),
    /// The same; meanwhile its body is awaited.
    ReadBody(Lane),
    /// The connection becomes a websocket: this one, or one that is closed at once.
    Upgrade(Accept, Option<Lane>),
    /// Not for this server, and nobody else here answers upgrades: the connection ends after a while.
    ForeignUpgrade,
}

/// What the answer to a request for a websocket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// `Sec-WebSocket-Accept`.
    pub key: String,
    /// `Sec-WebSocket-Protocol`, if the client offered any.
    pub protocol: Option<String>,
}

/// What is to be done on a connection.
#[derive(Debug)]
pub enum Wire {
    /// Answer a request.
    Respond(Lane, Response),
    /// Break the connection of a request.
    Abort,
    /// Send a message.
    Send(Frame),
    /// Send a close frame.
    Close,
}

/// What [`Clients`] has to say.
#[derive(Debug)]
pub enum Said<W> {
    /// To a connection.
    Wire(ConnectionId, Wire),
    /// To the application, about a socket of this session.
    Event(Sid, socket::Event<W>),
}

/// Every client of a server. `W` is what the application wants back with an acknowledgement.
#[derive(Debug)]
pub struct Clients<W> {
    settings: Settings,
    clients: BTreeMap<Sid, Client<W>>,
    /// Requests and websockets that are not done, and where they are.
    lanes: HashMap<Lane, (Sid, ConnectionId)>,
    /// Clients that may have something to say.
    touched: VecDeque<Sid>,
    deadlines: Deadlines<Sid>,
    next_lane: u64,
    next_id: u32,
}

#[derive(Debug)]
struct Client<W> {
    peer: Peer<W>,
    handshake: Arc<Handshake>,
}

impl<W> Clients<W> {
    /// A server without clients.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            clients: BTreeMap::new(),
            lanes: HashMap::new(),
            touched: VecDeque::new(),
            deadlines: Deadlines::default(),
            next_lane: 0,
            next_id: 0,
        }
    }

    /// What the core was told.
    pub fn config(&self) -> &Config {
        &self.settings.config
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The client of a session, to be asked or told something; what it has to say afterwards is in
    /// [`poll`](Self::poll).
    pub fn peer(&mut self, sid: &Sid) -> Option<&mut Peer<W>> {
        if self.clients.contains_key(sid) {
            self.touch(sid.clone());
        }
        self.clients.get_mut(sid).map(|client| &mut client.peer)
    }

    /// The request that opened a session.
    pub fn handshake(&self, sid: &Sid) -> Option<Arc<Handshake>> {
        self.clients.get(sid).map(|client| client.handshake.clone())
    }

    /// A new id: for a session or for a socket.
    ///
    /// # Panics
    /// When the operating system has no randomness: an id that can be guessed is worse than none.
    pub fn generate_id(&mut self) -> Sid {
        let mut entropy = [0; Sid::ENTROPY];
        getrandom::fill(&mut entropy).expect("the operating system has a random generator");
        self.next_id = self.next_id.wrapping_add(1);
        Sid::generate(entropy, self.next_id)
    }

    /// The header fields that go on every answer to this request.
    pub fn extra_headers(&self, head: &Head) -> Vec<Header> {
        let request = head.request();
        let mut headers = match &self.settings.routes.cors {
            Some(cors) => cors.headers(&request),
            None => Vec::new(),
        };
        headers.extend(http::xss_protection(request.headers));
        headers
    }

    /// Takes the head of a request that arrived on a connection.
    pub fn request(&mut self, at: ConnectionId, head: &Head, address: IpAddr, now: Instant) -> Next {
        self.route(at, head, address, now).unwrap_or_else(Next::Respond)
    }

    fn route(
        &mut self,
        at: ConnectionId,
        head: &Head,
        address: IpAddr,
        now: Instant,
    ) -> Result<Next, Response> {
        let request = head.request();
        let is_upgrade = self.settings.routes.is_upgrade(&request);
        let refused =
            |refusal: Refusal| if is_upgrade { refusal.upgrade_response() } else { refusal.response() };
        match http::route(&self.settings.routes, &request) {
            Route::NotOurs if request.is_upgrade() => Ok(Next::ForeignUpgrade),
            Route::NotOurs => Err(not_found()),
            Route::Preflight(response) => Err(response),
            Route::Refuse(refusal) => Err(refused(refusal)),
            Route::Handshake(handshake) => {
                handshake.check_revision(self.settings.allow_eio3).map_err(refused)?;
                if !is_upgrade {
                    return Ok(Next::Wait(self.open(at, &handshake, head, address, now)));
                }
                let accept = accept(&request)?;
                let is_websocket = handshake.transport == Transport::Websocket;
                let lane = is_websocket.then(|| self.open(at, &handshake, head, address, now));
                Ok(Next::Upgrade(accept, lane))
            }
            Route::Existing(existing) => {
                let client = self.clients.get(&*existing.sid);
                let session =
                    client.and_then(|client| Some((client.peer.transport()?, client.peer.revision())));
                existing.check(session).map_err(refused)?;
                let sid = Sid::from(&*existing.sid);
                match existing.kind {
                    Kind::Get => {
                        let lane = self.next_lane(&sid, at);
                        self.handle(Input::Poll(lane), now);
                        Ok(Next::Wait(lane))
                    }
                    Kind::Post => {
                        let lane = self.next_lane(&sid, at);
                        self.handle(Input::Post(lane, post_form(request.headers)), now);
                        Ok(Next::ReadBody(lane))
                    }
                    Kind::Upgrade => {
                        let accept = accept(&request)?;
                        if existing.transport != Transport::Websocket {
                            return Ok(Next::Upgrade(accept, None));
                        }
                        let lane = self.next_lane(&sid, at);
                        self.handle(Input::WsOpen(lane, existing.binary), now);
                        Ok(Next::Upgrade(accept, Some(lane)))
                    }
                    Kind::OtherMethod => Err(Response::method_not_supported()),
                }
            }
        }
    }

    fn open(
        &mut self,
        at: ConnectionId,
        handshake: &HandshakeRequest<'_>,
        head: &Head,
        address: IpAddr,
        now: Instant,
    ) -> Lane {
        let upgrades = match self.settings.allow_upgrades {
            true => self.settings.routes.transports.upgrades(handshake.transport),
            false => Vec::new(),
        };
        let sid = self.generate_id();
        let lane = self.next_lane(&sid, at);
        let opening = Opening { sid: sid.clone(), format: handshake.format(), upgrades };
        let config = self.settings.config.clone();
        let peer = if handshake.transport == Transport::Polling {
            Peer::polling(config, opening, lane, now)
        } else {
            Peer::websocket(config, opening, lane, now)
        };
        let handshake = Handshake {
            url: head.request().target.to_owned(),
            headers: head.headers().to_vec(),
            address,
            issued: self.settings.started + now.saturating_since(Instant::ZERO),
        };
        self.clients.insert(sid.clone(), Client { peer, handshake: Arc::new(handshake) });
        self.touch(sid);
        lane
    }

    fn next_lane(&mut self, sid: &Sid, at: ConnectionId) -> Lane {
        self.next_lane += 1;
        self.lanes.insert(Lane(self.next_lane), (sid.clone(), at));
        Lane(self.next_lane)
    }

    /// Takes what happened on a lane. One that is done is ignored: its news crossed our answer.
    pub fn handle(&mut self, input: Input, now: Instant) {
        let lane = input.lane();
        let known = match input {
            Input::LaneGone(_) | Input::WsFault(..) => self.lanes.remove(&lane),
            _ => self.lanes.get(&lane).cloned(),
        };
        if let Some((sid, _)) = known
            && let Some(peer) = self.peer(&sid)
        {
            peer.handle(input, now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(sid) = self.deadlines.take_due(now) {
            if let Some(peer) = self.peer(&sid) {
                peer.handle_timeout(now);
            }
        }
    }

    /// Closes every session at once.
    pub fn shut_down(&mut self, now: Instant) {
        let sids: Vec<Sid> = self.clients.keys().cloned().collect();
        for sid in sids {
            if let Some(peer) = self.peer(&sid) {
                peer.shut_down(now);
            }
        }
    }

    /// The next thing to do. Call until `None` after every other call that takes `&mut self`.
    pub fn poll(&mut self) -> Option<Said<W>> {
        while let Some(sid) = self.touched.front() {
            let output = self.clients.get_mut(sid).and_then(|client| client.peer.poll_output());
            let (lane, wire) = match output {
                Some(Output::Respond(lane, response)) => (lane, Wire::Respond(lane, response)),
                Some(Output::Abort(lane)) => (lane, Wire::Abort),
                Some(Output::WsSend(lane, frame, _)) => (lane, Wire::Send(frame)),
                Some(Output::WsClose(lane)) => (lane, Wire::Close),
                Some(Output::Event(Event::Socket(event))) => return Some(Said::Event(sid.clone(), event)),
                Some(Output::Event(Event::Upgraded(_) | Event::Drained)) => continue,
                Some(Output::Event(Event::Closed(_))) => {
                    self.clients.remove(sid);
                    continue;
                }
                None => {
                    let deadline = self.clients.get(sid).and_then(|client| client.peer.poll_timeout());
                    self.deadlines.set(sid, deadline);
                    self.touched.pop_front();
                    continue;
                }
            };
            let at = match wire {
                Wire::Send(_) => self.lanes.get(&lane).cloned(),
                _ => self.lanes.remove(&lane),
            };
            if let Some((_, at)) = at {
                return Some(Said::Wire(at, wire));
            }
        }
        None
    }

    fn touch(&mut self, sid: Sid) {
        if self.touched.back() != Some(&sid) {
            self.touched.push_back(sid);
        }
    }
}

fn accept(request: &Request<'_>) -> Result<Accept, Response> {
    let websocket = check_websocket(request)?;
    let protocol = websocket.protocol.map(str::to_owned);
    Ok(Accept { key: derive_accept_key(websocket.key), protocol })
}

fn not_found() -> Response {
    let headers = fields!("Content-Type": "text/plain; charset=utf-8");
    Response { status: 404, headers, extra: Vec::new(), body: "not found\n".into(), compressible: false }
}
