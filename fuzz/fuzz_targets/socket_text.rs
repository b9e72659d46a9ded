//! See [`socketio_fuzz::socket_text`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::socket_text(data));
