//! See [`socketio_fuzz::cluster`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::cluster(data));
