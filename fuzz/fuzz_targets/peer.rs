//! See [`socketio_fuzz::peer`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::peer(data));
