//! A request that waits for other nodes: who has answered, and what.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use thiserror::Error;

use super::{AskId, Details, NodeId};
use crate::Instant;
use crate::socket::Args;

/// Names a request of a node. Its [`RequestId`](super::RequestId) is the same number as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey(pub(super) u64);

/// A request is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed<W> {
    /// Who waits for it.
    pub waiter: W,
    /// What came, in the order of arrival.
    pub answers: Answers,
    /// Why that is not all, if it is not.
    pub shortfall: Option<Shortfall>,
}

/// What a request has brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Answers {
    /// The acknowledgements of a broadcast: the first argument of each, or nothing.
    Acks(Vec<Args>),
    /// Sockets; those of the node itself come first.
    Sockets(Vec<Details>),
    /// The answers of other servers: the first argument of each, or nothing.
    Replies(Vec<Args>),
}

/// Why a request brought less than was asked for. The texts are the reference's (REFERENCE 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Shortfall {
    /// Not every client acknowledged a broadcast in time, or it is not known how many nodes there are.
    #[error("operation has timed out")]
    TimedOut,
    /// Nodes that are known did not answer in time.
    #[error("timeout reached: missing {missing} responses")]
    MissingNodes {
        /// How many.
        missing: usize,
    },
    /// Fewer nodes than the bus has counted answered in time.
    #[error("timeout reached: only {received} responses received out of {expected}")]
    MissingAnswers {
        /// How many did.
        received: usize,
        /// How many there are, without the node itself.
        expected: usize,
    },
    /// Clients left, or their node did, before they acknowledged a broadcast.
    #[error("clients left without an acknowledgement")]
    Lost,
    /// The node was closed.
    #[error("the server is closed")]
    Closed,
}

/// A request of this node.
#[derive(Debug)]
pub(super) struct Request<W> {
    pub(super) waiter: W,
    pub(super) deadline: Instant,
    pub(super) answers: Answers,
    /// What was asked of the node itself, until it has answered.
    pub(super) ask: Option<AskId>,
    own: Tally,
    others: BTreeMap<NodeId, Tally>,
    expected: Expected,
    /// Whether some acknowledgement will never come.
    lost: bool,
}

/// How many nodes a request waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// As many as were known: each has its tally from the start.
    Known,
    /// As many as the bus will say, without this one.
    Counted(Option<usize>),
}

/// How far one node has answered. What is no broadcast has no clients to wait for.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// How many clients will acknowledge, once the node has said so.
    clients: Option<u64>,
    /// How many have.
    acknowledged: u64,
}

impl Tally {
    const DONE: Self = Self { clients: Some(0), acknowledged: 0 };

    fn is_done(&self) -> bool {
        self.clients.is_some_and(|clients| self.acknowledged >= clients)
    }

    /// Takes a client count. Returns whether it was the first.
    fn announce(&mut self, clients: u64) -> bool {
        let first = self.clients.is_none();
        self.clients.get_or_insert(clients);
        first
    }

    /// Takes an acknowledgement. Returns whether one was to come.
    fn acknowledge(&mut self) -> bool {
        let due = self.clients.is_none_or(|clients| self.acknowledged < clients);
        self.acknowledged += u64::from(due);
        due
    }
}

impl<W> Request<W> {
    /// A request that `known` nodes must answer, and the node itself if `ask` says so.
    pub(super) fn new(
        waiter: W,
        deadline: Instant,
        answers: Answers,
        ask: Option<AskId>,
        known: Option<Vec<NodeId>>,
    ) -> Self {
        let expected = if known.is_some() { Expected::Known } else { Expected::Counted(None) };
        let others = known.into_iter().flatten().map(|uid| (uid, Tally::default())).collect();
        let own = if ask.is_some() { Tally::default() } else { Tally::DONE };
        Self { waiter, deadline, answers, ask, own, others, expected, lost: false }
    }

    /// The bus has counted this many nodes, this one included.
    pub(super) fn set_servers(&mut self, servers: usize) {
        if let Expected::Counted(count) = &mut self.expected {
            *count = Some(servers.saturating_sub(1));
        }
    }

    // Whatever answers another kind of request than this one is no answer.

    /// A node, or this one, tells how many clients got a broadcast.
    pub(super) fn announce(&mut self, uid: Option<&NodeId>, clients: u64) {
        if let Answers::Acks(_) = self.answers {
            self.tally(uid).announce(clients);
        }
    }

    /// A client acknowledged.
    pub(super) fn acknowledge(&mut self, uid: Option<&NodeId>, answer: Args) {
        if let Answers::Acks(_) = self.answers
            && self.tally(uid).acknowledge()
            && let Answers::Acks(acks) = &mut self.answers
        {
            acks.push(answer);
        }
    }

    /// A client of this node will not acknowledge any more.
    pub(super) fn lose(&mut self) {
        self.lost |= self.own.acknowledge();
    }

    /// A node, or this one, tells its sockets.
    pub(super) fn add_sockets(&mut self, uid: Option<&NodeId>, found: Vec<Details>) {
        if let Answers::Sockets(_) = self.answers
            && self.tally(uid).announce(0)
            && let Answers::Sockets(sockets) = &mut self.answers
        {
            sockets.extend(found);
        }
    }

    /// A node answers an event.
    pub(super) fn add_reply(&mut self, uid: &NodeId, answer: Args) {
        if let Answers::Replies(_) = self.answers
            && self.tally(Some(uid)).announce(0)
            && let Answers::Replies(replies) = &mut self.answers
        {
            replies.push(answer);
        }
    }

    /// A node is gone: nothing more will come from it, which counts as an answer.
    pub(super) fn release(&mut self, uid: &NodeId) {
        if let Some(tally) = self.others.get_mut(uid) {
            self.lost |= tally.clients.is_some() && !tally.is_done();
            tally.clients = Some(tally.acknowledged);
        }
    }

    fn tally(&mut self, uid: Option<&NodeId>) -> &mut Tally {
        match uid {
            Some(uid) => self.others.entry(uid.clone()).or_default(),
            None => &mut self.own,
        }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_complete(&self) -> bool {
        let enough = match self.expected {
            Expected::Known => true,
            Expected::Counted(count) => count.is_some_and(|count| self.others.len() >= count),
        };
        enough && self.own.is_done() && self.others.values().all(Tally::is_done)
    }

    /// The end of a request that is complete.
    pub(super) fn complete(self) -> Completed<W> {
        let shortfall = self.lost.then_some(Shortfall::Lost);
        Completed { waiter: self.waiter, answers: self.answers, shortfall }
    }

    /// The end of a request whose time is up.
    pub(super) fn time_out(self) -> Completed<W> {
        let done = self.others.values().filter(|tally| tally.is_done()).count();
        let shortfall = match (&self.answers, self.expected) {
            (Answers::Acks(_), _) | (_, Expected::Counted(None)) => Shortfall::TimedOut,
            (_, Expected::Known) => Shortfall::MissingNodes { missing: self.others.len() - done },
            (_, Expected::Counted(Some(expected))) => Shortfall::MissingAnswers { received: done, expected },
        };
        self.end(shortfall)
    }

    /// The end of a request for this reason.
    pub(super) fn end(self, shortfall: Shortfall) -> Completed<W> {
        Completed { waiter: self.waiter, answers: self.answers, shortfall: Some(shortfall) }
    }
}
