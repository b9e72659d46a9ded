//! Connection state recovery (REFERENCE 4.8): what a client missed while it was away, and who it was.
//!
//! A [`Log`] belongs to one namespace. It knows neither connections nor where messages go; the caller records what it
//! broadcasts, under the same lock under which it hands it out, so that the order here is the order on every wire.
//!
//! ```text
//!   record ─► [entry][entry][entry] ─► too old, or too many: dropped
//!                 ▲ offset of a client that left
//!   persist(pid) ─┴─ restore(pid, offset) ─► what it was, and the entries behind the offset meant for it
//! ```

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use super::{Codec, Encoded};
use crate::rooms::{Room, Selector};
use crate::time::earliest;
use crate::{Instant, Sid};

/// Bounds of a [`Log`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a client may be away. Default: 2 minutes.
    pub max_disconnection_duration: Duration,
    /// Whether a client that comes back passes the middlewares of its namespace unasked. Default: yes.
    pub skip_middlewares: bool,
    /// Most bytes of events kept. The oldest are dropped first; a client that needs them gets a new session instead of
    /// a gap. Default: 64 MiB.
    pub max_log_bytes: usize,
    /// Most clients remembered. The one that left first is forgotten first. Default: 100,000.
    pub max_sessions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: true,
            max_log_bytes: 64 << 20,
            max_sessions: 100_000,
        }
    }
}

/// A client that left, as it was. `D` is whatever the application keeps with a socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Session<D> {
    /// Its public id.
    pub sid: Sid,
    /// Its private id, by which it is found again. Whoever knows it is taken for the client.
    pub pid: Sid,
    /// Its rooms, its own id among them.
    pub rooms: Vec<Room>,
    /// The application's data.
    pub data: D,
    /// Where the log stood when the client joined: where it begins if it received nothing.
    pub since: Position,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

/// A client that is back: what it was, and the place behind the last event it received.
pub type Restored<D> = (Session<D>, Position);

/// The events of a namespace, for as long as a client may be away.
#[derive(Debug)]
pub struct Log<D> {
    config: Config,
    codec: Codec,
    /// Tells our offsets from those of another log, or of this one before a restart.
    epoch: String,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The position behind the last entry.
    next: u64,
    sessions: BTreeMap<Sid, (Instant, Session<D>)>,
    /// The same by age. May name sessions that are gone, or that have left once more since.
    ages: VecDeque<(Instant, Sid)>,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    selector: Selector,
    event: Encoded,
}

impl<D> Log<D> {
    /// An empty log of events that `codec` writes. `epoch` is text that no other log has, without a dot.
    pub fn new(config: Config, codec: Codec, epoch: &str) -> Self {
        Self {
            config,
            codec,
            epoch: epoch.into(),
            entries: VecDeque::new(),
            bytes: 0,
            next: 0,
            sessions: BTreeMap::new(),
            ages: VecDeque::new(),
        }
    }

    /// What the log was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the log stands.
    pub fn position(&self) -> Position {
        Position(self.next)
    }

    /// Keeps an event meant for `selector`. Returns it with its offset behind its arguments, which is the form to
    /// send.
    pub fn record(&mut self, selector: &Selector, event: &Encoded, now: Instant) -> Encoded {
        self.expire(now);
        let mut offset = self.epoch.clone();
        // Writing to a string does not fail.
        let _ = write!(offset, ".{}", self.next);
        let event = self.codec.with_offset(event, &offset);
        self.next += 1;
        self.bytes += event.bytes_len() + ENTRY_OVERHEAD;
        self.entries.push_back(Entry { at: now, selector: selector.clone(), event: event.clone() });
        while self.bytes > self.config.max_log_bytes {
            self.drop_oldest();
        }
        event
    }

    /// Remembers a client that left for a reason it is not to blame for.
    pub fn persist(&mut self, session: Session<D>, now: Instant) {
        self.expire(now);
        self.ages.push_back((now, session.pid.clone()));
        self.sessions.insert(session.pid.clone(), (now, session));
        while self.sessions.len() > self.config.max_sessions {
            self.forget_oldest();
        }
    }

    /// The client `pid` is back, `offset` being that of the last event it received, if any. `None`, and nothing
    /// forgotten, if it is unknown, was away for too long, or the log does not reach back to its offset.
    pub fn restore(&mut self, pid: &str, offset: Option<&str>, now: Instant) -> Option<Restored<D>> {
        self.expire(now);
        let (_, session) = self.sessions.get(pid)?;
        let from = match offset {
            // Nothing from before it was let in, whatever it says.
            Some(offset) => (self.parse(offset)? + 1).max(session.since.0),
            None => session.since.0,
        };
        self.index(Position(from))?;
        // Used once: a private id that leaked is worth nothing after its owner came back.
        let (_, session) = self.sessions.remove(pid)?;
        Some((session, Position(from)))
    }

    /// The events from `position` on that were meant for a socket in `rooms`, in order, each with its offset. `None` if
    /// some that might have been are dropped already.
    pub fn missed(&self, position: Position, rooms: &[Room]) -> Option<Vec<Encoded>> {
        let entries = self.entries.iter().skip(self.index(position)?);
        Some(
            entries
                .filter(|entry| is_meant(&entry.selector, rooms))
                .map(|entry| entry.event.clone())
                .collect(),
        )
    }

    /// Forgets what is too old at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to forget, or `None` if there is nothing.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let event = self.entries.front().map(|entry| entry.at);
        let client = self.ages.front().map(|(at, _)| *at);
        let kept_for = self.config.max_disconnection_duration + Duration::from_micros(1);
        earliest(event, client).map(|at| at + kept_for)
    }

    /// Forgets everything. Who comes back is somebody new.
    pub fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = 0;
        self.sessions = BTreeMap::new();
        self.ages = VecDeque::new();
    }

    fn index(&self, position: Position) -> Option<usize> {
        let first = self.next - self.entries.len() as u64;
        usize::try_from(position.0.checked_sub(first)?).ok()
    }

    /// The position of the entry with this offset, if it is still here.
    fn parse(&self, offset: &str) -> Option<u64> {
        let (epoch, position) = offset.split_once('.')?;
        let position = position.parse().ok().filter(|position| *position < self.next)?;
        (epoch == self.epoch).then_some(position)
    }

    fn expire(&mut self, now: Instant) {
        let kept_for = self.config.max_disconnection_duration;
        let is_over = |at: Instant| at + kept_for < now;
        while self.entries.front().is_some_and(|entry| is_over(entry.at)) {
            self.drop_oldest();
        }
        while self.ages.front().is_some_and(|(at, _)| is_over(*at)) {
            self.forget_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.event.bytes_len() + ENTRY_OVERHEAD;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((left, pid)) = self.ages.pop_front()
            && self.sessions.get(&pid).is_some_and(|(at, _)| *at == left)
        {
            self.sessions.remove(&pid);
        }
    }
}

/// Whether a socket that was in `rooms` would have received a message to `selector`.
fn is_meant(selector: &Selector, rooms: &[Room]) -> bool {
    let in_any = |named: &[Room]| named.iter().any(|room| rooms.contains(room));
    (selector.rooms.is_empty() || in_any(&selector.rooms)) && !in_any(&selector.except)
}

/// What an entry costs beside its event.
const ENTRY_OVERHEAD: usize = core::mem::size_of::<Entry>();

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::engine::packet::Frame;
    use crate::socket::Nsp;

    const START: Instant = Instant::ZERO;

    fn log(config: Config) -> Log<()> {
        Log::new(config, Codec::Text, "epoch")
    }

    fn event(name: &str) -> Encoded {
        Codec::Text.event(&Nsp::ROOT, None, name, &()).unwrap()
    }

    fn session(log: &Log<()>, pid: &str, rooms: &[&str]) -> Session<()> {
        let rooms = rooms.iter().map(|room| Room::from(*room)).collect();
        Session { sid: "sid".into(), pid: pid.into(), rooms, data: (), since: log.position() }
    }

    fn texts(missed: &[Encoded]) -> Vec<&str> {
        missed
            .iter()
            .map(|encoded| match encoded.head() {
                Frame::Text(text) => &**text,
                Frame::Binary(_) => "binary",
            })
            .collect()
    }

    #[test]
    fn a_client_gets_what_it_missed_and_was_meant_for_it_in_order() {
        let mut log = log(Config::default());
        let client = session(&log, "pid", &["sid", "tea"]);
        log.record(&Selector::default(), &event("before"), START);
        log.persist(client.clone(), START);
        log.record(&Selector::default(), &event("all"), START);
        log.record(&Selector::default().to("coffee"), &event("others"), START);
        log.record(&Selector::default().to("tea"), &event("tea"), START);
        log.record(&Selector::default().except("tea"), &event("not tea"), START);
        log.record(&Selector::default().to("sid"), &event("private"), START);
        let (restored, position) = log.restore("pid", Some("epoch.0"), START).unwrap();
        assert_eq!(restored, client);
        assert_eq!(
            texts(&log.missed(position, &restored.rooms).unwrap()),
            [r#"42["all","epoch.1"]"#, r#"42["tea","epoch.3"]"#, r#"42["private","epoch.5"]"#]
        );
    }

    #[test]
    fn a_client_that_received_nothing_begins_where_it_joined() {
        let mut log = log(Config::default());
        log.record(&Selector::default(), &event("before its time"), START);
        let client = session(&log, "pid", &["sid"]);
        log.record(&Selector::default(), &event("missed"), START);
        log.persist(client, START);
        let (restored, position) = log.restore("pid", None, START).unwrap();
        assert_eq!(texts(&log.missed(position, &restored.rooms).unwrap()), [r#"42["missed","epoch.1"]"#]);
    }

    #[test]
    fn an_unknown_client_or_offset_is_not_restored_and_costs_nobody_his_session() {
        let mut log = log(Config::default());
        log.record(&Selector::default(), &event("x"), START);
        log.persist(session(&log, "pid", &[]), START);
        for (pid, offset) in
            [("who", "epoch.0"), ("pid", "other.0"), ("pid", "epoch.1"), ("pid", "epoch.x"), ("pid", "junk")]
        {
            assert_eq!(log.restore(pid, Some(offset), START), None, "{pid} {offset}");
        }
        assert!(log.restore("pid", Some("epoch.0"), START).is_some());
        assert_eq!(log.restore("pid", Some("epoch.0"), START), None, "a second time");
    }

    #[test]
    fn sessions_and_events_are_kept_until_the_duration_is_over() {
        let config = Config::default();
        let over = config.max_disconnection_duration;
        let mut log = log(config);
        log.record(&Selector::default(), &event("x"), START);
        log.persist(session(&log, "a", &[]), START);
        log.persist(session(&log, "b", &[]), START);
        assert!(log.restore("a", Some("epoch.0"), START + over).is_some());
        assert_eq!(log.restore("b", Some("epoch.0"), START + over + Duration::from_micros(1)), None);
        assert_eq!((log.entries.len(), log.bytes, log.sessions.len(), log.ages.len()), (0, 0, 0, 0));
    }

    #[test]
    fn it_says_when_there_is_something_to_forget() {
        let config = Config::default();
        let over = config.max_disconnection_duration + Duration::from_micros(1);
        let later = START + Duration::from_secs(1);
        let mut log = log(config);
        assert_eq!(log.poll_timeout(), None);
        log.persist(session(&log, "a", &[]), START);
        log.record(&Selector::default(), &event("x"), later);
        assert_eq!(log.poll_timeout(), Some(START + over));
        log.handle_timeout(START + over);
        assert_eq!((log.entries.len(), log.sessions.len(), log.ages.len()), (1, 0, 0));
        assert_eq!(log.poll_timeout(), Some(later + over));
        log.handle_timeout(later + over);
        assert_eq!((log.entries.len(), log.bytes, log.poll_timeout()), (0, 0, None));
        // Whoever was away when all is forgotten is somebody new, and nobody gets a gap.
        log.record(&Selector::default(), &event("x"), later);
        log.persist(session(&log, "b", &[]), later);
        log.clear();
        assert_eq!((log.entries.len(), log.bytes, log.poll_timeout()), (0, 0, None));
        assert_eq!(log.restore("b", None, later), None);
    }

    #[test]
    fn leaving_again_starts_the_time_anew() {
        let mut log = log(Config::default());
        let half = Duration::from_secs(60);
        log.persist(session(&log, "pid", &[]), START);
        assert!(log.restore("pid", None, START + half).is_some());
        log.persist(session(&log, "pid", &[]), START + half);
        assert!(log.restore("pid", None, START + half * 3).is_some());
    }

    #[test]
    fn the_log_is_bounded_and_a_client_that_needs_more_is_not_given_a_gap() {
        let one = event("x").with_offset("epoch.0").bytes_len() + ENTRY_OVERHEAD;
        let mut log = log(Config { max_log_bytes: 2 * one, ..Config::default() });
        let client = session(&log, "pid", &[]);
        for _ in 0..2 {
            log.record(&Selector::default(), &event("x"), START);
        }
        log.persist(client.clone(), START);
        let (_, position) = log.restore("pid", None, START).unwrap();
        assert_eq!(log.missed(position, &[]).unwrap().len(), 2);
        log.persist(client.clone(), START);
        log.record(&Selector::default(), &event("x"), START);
        assert_eq!(log.entries.len(), 2);
        assert_eq!(log.missed(position, &[]), None);
        assert_eq!(log.restore("pid", None, START), None);
        let (_, position) = log.restore("pid", Some("epoch.0"), START).unwrap();
        assert_eq!(log.missed(position, &[]).unwrap().len(), 2);
    }

    #[test]
    fn sessions_are_bounded_and_the_oldest_goes_first() {
        let mut log = log(Config { max_sessions: 2, ..Config::default() });
        for pid in ["a", "b", "c"] {
            log.persist(session(&log, pid, &[]), START);
        }
        let known: Vec<_> = log.sessions.keys().map(Sid::as_str).collect();
        assert_eq!(known, vec!["b", "c"]);
    }
}
