//! Our client against a server that is another process: in the interop run (`SERVER_CMD`) the reference under Node.js, and
//! python-socketio's; our own otherwise. What passes against all of them is what they have in common.

mod acks;
mod endings;
mod events;
mod namespaces;
mod recovery;
mod restarts;
mod support;
mod transports;

/// Makes two tests, on tokio and on async-std, of each `async fn name(rt: Arc<dyn Runtime>)` named.
macro_rules! on_real_runtimes {
    ($($case:ident),+ $(,)?) => {$(
        mod $case {
            #[test]
            fn tokio() {
                socketio_tests::every_runtime::on_tokio(concat!(module_path!(), "::tokio"), super::$case);
            }

            #[test]
            fn async_std() {
                socketio_tests::every_runtime::on_async_std(concat!(module_path!(), "::async_std"), super::$case);
            }
        }
    )+};
}
pub(crate) use on_real_runtimes;
