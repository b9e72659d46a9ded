//! See [`socketio_fuzz::webtransport`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::webtransport(data));
