//! One source for a case that must hold on tokio, on async-std, on smol and in simulation.

use std::env;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use socketio_async_std::AsyncStd;
use socketio_driver::runtime::Runtime;
use socketio_smol::Smol;
use socketio_tokio::Tokio;

use crate::sim::{Link, Sim};

/// Makes four tests, `name::tokio`, `name::async_std`, `name::smol` and `name::sim`, of each `async fn name(rt: Arc<dyn Runtime>)`
/// named.
///
/// On the real runtimes a case that takes longer than [`GUARD`] fails. In simulation it runs with each of [`SEEDS`]
/// seeds (`on_every_runtime!(2, seeds: name)`: of two), or with the one in the environment variable `SIM_SEED` alone.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use socketio_driver::runtime::Runtime;
/// # use socketio_tests::{io::sleep, on_every_runtime};
/// async fn time_passes(rt: Arc<dyn Runtime>) {
///     let start = rt.now();
///     sleep(&*rt, Duration::from_millis(5)).await;
///     assert!(rt.now() > start);
/// }
///
/// on_every_runtime!(time_passes);
/// ```
#[macro_export]
macro_rules! on_every_runtime {
    ($($case:ident),+ $(,)?) => {
        $crate::on_every_runtime!($crate::every_runtime::SEEDS, seeds: $($case),+);
    };
    ($seeds:expr, seeds: $($case:ident),+ $(,)?) => {$(
        mod $case {
            #[test]
            fn tokio() {
                $crate::every_runtime::on_tokio(concat!(module_path!(), "::tokio"), super::$case);
            }

            #[test]
            fn async_std() {
                $crate::every_runtime::on_async_std(concat!(module_path!(), "::async_std"), super::$case);
            }

            #[test]
            fn smol() {
                $crate::every_runtime::on_smol(concat!(module_path!(), "::smol"), super::$case);
            }

            #[test]
            fn sim() {
                $crate::every_runtime::in_simulation($seeds, super::$case);
            }
        }
    )+};
}

/// Runs `case` on a tokio runtime of its own with two threads.
///
/// # Panics
/// When the case does, or takes longer than [`GUARD`].
pub fn on_tokio<F: Future<Output = ()>>(
    name: &str,
    case: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static,
) {
    guarded(name, GUARD, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads for a tokio runtime");
        runtime.block_on(case(Arc::new(Tokio)));
        // Tasks that do not end are the case's to notice, not this function's to wait for.
        runtime.shutdown_background();
    });
}

/// Runs `case` on async-std.
///
/// # Panics
/// When the case does, or takes longer than [`GUARD`].
pub fn on_async_std<F: Future<Output = ()>>(
    name: &str,
    case: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static,
) {
    guarded(name, GUARD, move || async_std::task::block_on(case(Arc::new(AsyncStd))));
}

/// Runs `case` on smol.
///
/// # Panics
/// When the case does, or takes longer than [`GUARD`].
pub fn on_smol<F: Future<Output = ()>>(
    name: &str,
    case: impl FnOnce(Arc<dyn Runtime>) -> F + Send + 'static,
) {
    guarded(name, GUARD, move || smol::block_on(case(Arc::new(Smol))));
}

/// Runs `case` in simulation with seeds 1 to `count`, or with the one in the environment variable `SIM_SEED`. On even
/// seeds all reads and writes are [cut up](Link::ragged).
///
/// # Panics
/// When the case does, or [the simulation](Sim::block_on) does; the seed is printed.
pub fn in_simulation<F: Future<Output = ()>>(count: u64, case: impl Fn(Arc<dyn Runtime>) -> F) {
    for seed in seeds(count) {
        let mut sim = Sim::new(seed);
        sim.net().set_link(Link { ragged: seed % 2 == 0, ..Link::default() });
        sim.block_on(case(sim.runtime()));
    }
}

/// The seeds to run a simulation with: 1 to `count`, or the one in the environment variable `SIM_SEED`.
///
/// # Panics
/// When that is not a number.
pub fn seeds(count: u64) -> std::ops::RangeInclusive<u64> {
    match env::var("SIM_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("SIM_SEED is a number");
            seed..=seed
        }
        Err(_) => 1..=count,
    }
}

fn guarded(name: &str, limit: Duration, run: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let thread = thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // Dropped by a panic too.
            let _done = done;
            run();
        })
        .expect("a thread for the test");
    match ended.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("{name} is not done after {limit:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
    }
    if let Err(panic) = thread.join() {
        resume_unwind(panic);
    }
}

/// How long a case may take on a real runtime: far longer than any does, on any machine.
pub const GUARD: Duration = Duration::from_secs(60);

/// How many seeds a case runs with in simulation.
pub const SEEDS: u64 = 8;

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_case_that_hangs_fails_with_its_name() {
        let hanging =
            || guarded("the::case", Duration::from_millis(20), || thread::sleep(Duration::from_secs(1)));
        let panic = catch_unwind(hanging).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "the::case is not done after 20ms");
    }

    #[test]
    fn a_case_that_panics_fails_with_its_own_words() {
        let panic = catch_unwind(|| on_tokio("case", |_| async { panic!("its own") })).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "its own");
        let panic = catch_unwind(|| on_async_std("case", |_| async { panic!("its own") })).unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "its own");
    }
}
