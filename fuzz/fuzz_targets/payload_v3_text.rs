//! See [`socketio_fuzz::payload_v3_text`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::payload_v3_text(data));
