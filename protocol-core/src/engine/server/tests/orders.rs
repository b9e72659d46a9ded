//! Every order of events: each state that can be reached is visited once, by a client with a budget to the end, by one
//! without rules up to a depth.

use alloc::collections::VecDeque;
use core::fmt::Debug;

use super::chaos::{Chaos, STEPS};
use super::model::{Budget, World};
use super::*;

/// Something that can be in many states and may not be in some.
trait Explored: Clone + Debug {
    type Step: Copy + Debug;

    fn steps(&self) -> Vec<Self::Step>;
    fn apply(&mut self, step: Self::Step) -> Result<(), String>;
    /// What must hold for its future.
    fn settle(self) -> Result<(), String>;
    fn print(&self) -> u64;
    fn trail(&self) -> &[Self::Step];
}

/// Visits every state that can be reached within `depth` steps, and settles each. Returns how many there are.
fn explore<E: Explored>(start: E, depth: usize) -> usize {
    let mut seen = BTreeSet::from([start.print()]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        if let Err(why) = state.clone().settle() {
            panic!("{why}\nin the future of {:?}\n{state:#?}", state.trail());
        }
        if state.trail().len() == depth {
            continue;
        }
        for step in state.steps() {
            let mut next = state.clone();
            if let Err(why) = next.apply(step) {
                panic!("{why}\nafter {:?}\n{next:#?}", next.trail());
            }
            if seen.insert(next.print()) {
                queue.push_back(next);
            }
        }
    }
    seen.len()
}

impl Explored for World {
    type Step = model::Action;

    fn steps(&self) -> Vec<Self::Step> {
        self.actions()
    }

    fn apply(&mut self, step: Self::Step) -> Result<(), String> {
        Self::apply(self, step)
    }

    fn settle(self) -> Result<(), String> {
        Self::settle(self)
    }

    fn print(&self) -> u64 {
        Self::print(self)
    }

    fn trail(&self) -> &[Self::Step] {
        &self.trail
    }
}

impl Explored for Chaos {
    type Step = chaos::Step;

    fn steps(&self) -> Vec<Self::Step> {
        STEPS.to_vec()
    }

    fn apply(&mut self, step: Self::Step) -> Result<(), String> {
        Self::apply(self, step)
    }

    fn settle(self) -> Result<(), String> {
        Self::settle(self)
    }

    fn print(&self) -> u64 {
        Self::print(self)
    }

    fn trail(&self) -> &[Self::Step] {
        &self.trail
    }
}

const NOTHING: Budget = Budget {
    sends: 0,
    says: 0,
    closes: 0,
    client_closes: 0,
    websockets: 0,
    breaks: 0,
    timeouts: 0,
    padding: 0,
};

/// Visits everything a client with this budget can lead a session to. Fewer states than `at_least` mean that the
/// model has lost its way.
fn explore_client(revision: Revision, budget: Budget, at_least: usize) {
    let states = explore(World::new(revision, budget), usize::MAX);
    assert!(states >= at_least, "only {states} states");
}

#[test]
fn an_upgrade_loses_no_message_in_any_order() {
    let budget = Budget { sends: 2, says: 1, websockets: 1, timeouts: 2, ..NOTHING };
    explore_client(Revision::V4, budget, 20_000);
}

#[test]
fn an_upgrade_of_revision_3_loses_no_message_in_any_order() {
    let budget = Budget { sends: 1, says: 1, websockets: 1, timeouts: 2, ..NOTHING };
    explore_client(Revision::V3, budget, 2_000);
}

#[test]
fn an_upgrade_that_fails_loses_no_message_in_any_order() {
    let budget = Budget { sends: 1, says: 1, websockets: 2, breaks: 1, timeouts: 1, ..NOTHING };
    explore_client(Revision::V4, budget, 10_000);
}

#[test]
fn a_close_of_the_server_loses_no_message_in_any_order() {
    let budget = Budget { sends: 2, says: 1, closes: 1, websockets: 1, timeouts: 1, ..NOTHING };
    explore_client(Revision::V4, budget, 20_000);
}

#[test]
fn a_close_of_the_client_loses_none_of_its_messages_in_any_order() {
    let budget = Budget { sends: 1, says: 2, client_closes: 1, websockets: 1, timeouts: 1, ..NOTHING };
    explore_client(Revision::V4, budget, 5_000);
}

#[test]
fn no_order_of_inputs_breaks_a_session_that_polls() {
    for revision in [Revision::V3, Revision::V4] {
        let states = explore(Chaos::new(revision, Transport::Polling), 7);
        assert!(states > 10_000, "only {states} states");
    }
}

#[test]
fn no_order_of_inputs_breaks_a_session_on_a_websocket() {
    for revision in [Revision::V3, Revision::V4] {
        let states = explore(Chaos::new(revision, Transport::Websocket), 8);
        assert!(states > 1_500, "only {states} states");
    }
}
