//! Long random orders of events. A failure tells the seed, which replays it, and the steps.

use super::chaos::{Chaos, STEPS, Step};
use super::model::{Action, Budget, Random, World};
use super::*;

const SEEDS: u64 = 100;
const STEPS_PER_SEED: usize = 1_000;

fn client(random: &mut Random) -> World {
    let often = STEPS_PER_SEED;
    let budget = Budget {
        sends: often,
        says: often,
        closes: random.below(4) / 3,
        client_closes: random.below(4) / 3,
        websockets: random.below(4),
        breaks: random.below(3),
        timeouts: often,
        // Some fill the window of a websocket at once.
        padding: [0, 0, 1_000, 40_000, 70_000][random.below(5)],
    };
    let revision = [Revision::V4, Revision::V3][random.below(4) / 3];
    World::new(revision, budget)
}

#[test]
fn a_client_that_keeps_to_the_rules_loses_no_message_on_a_long_walk() {
    let mut upgrades = 0;
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut world = client(&mut random);
        for _ in 0..STEPS_PER_SEED {
            let mut actions = world.actions();
            // What a session is offered most often must not be its end.
            actions.retain(|action| match action {
                Action::Close | Action::ClientClose | Action::BreakWebsocket => random.below(50) == 0,
                Action::Timeout => random.below(8) == 0,
                Action::OpenWebsocket => random.below(20) == 0,
                _ => true,
            });
            actions.push(Action::Wait(Duration::from_millis(random.below(8) as u64)));
            let action = actions[random.below(actions.len())];
            if let Err(why) = world.apply(action) {
                panic!("seed {seed}: {why}\nafter {:?}", world.trail);
            }
            if world.is_over() {
                upgrades += usize::from(world.has_upgraded);
                world = client(&mut random);
            }
        }
        upgrades += usize::from(world.has_upgraded);
        let trail = world.trail.clone();
        if let Err(why) = world.settle() {
            panic!("seed {seed}: {why}\nafter {trail:?}");
        }
    }
    assert!(upgrades > SEEDS as usize, "only {upgrades} upgrades: the walk goes elsewhere");
}

#[test]
fn no_long_walk_breaks_a_session() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        for _ in 0..STEPS_PER_SEED / 20 {
            let revision = [Revision::V4, Revision::V3][random.below(2)];
            let transport = [Transport::Polling, Transport::Websocket][random.below(3) / 2];
            let mut chaos = Chaos::new(revision, transport);
            // A driver may give many inputs before it asks for outputs.
            chaos.is_lazy = random.below(2) == 0;
            for _ in 0..random.below(60) {
                let step = STEPS[random.below(STEPS.len())];
                if matches!(step, Step::Abort) && random.below(10) > 0 {
                    continue;
                }
                if let Err(why) = chaos.apply(step) {
                    panic!("seed {seed}: {why}\nafter {:?}\n{chaos:#?}", chaos.trail);
                }
            }
            let trail = chaos.trail.clone();
            if let Err(why) = chaos.settle() {
                panic!("seed {seed}: {why}\nin the future of {trail:?}");
            }
        }
    }
}
