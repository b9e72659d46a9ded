//! See [`socketio_fuzz::engine_packet`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::engine_packet(data));
