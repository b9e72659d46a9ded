//! See [`socketio_fuzz::session`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::session(data));
