//! See [`socketio_fuzz::http_route`].

#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_fuzz::http_route(data));
