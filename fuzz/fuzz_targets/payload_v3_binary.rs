//! See [`socketio_fuzz::payload_v3_binary`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::payload_v3_binary(data));
