//! A client of `socketio-core` without `std`.
//!
//! It brings a panic handler and an allocator of its own. If anything it links brought `std`, there would be two panic
//! handlers, and the compiler refuses that: this crate proves on any machine what a bare-metal target would. That it
//! compiles is the test; what it does is only there to use the core from one end to the other.

#![no_std]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr::null_mut;

use socketio_core::engine::format::Format;
use socketio_core::engine::packet::Frame;
use socketio_core::engine::server::{Input, Opening};
use socketio_core::peer::{Config, Event, Output, Peer};
use socketio_core::socket::server as socket;
use socketio_core::{Bytes, Instant, Lane, Sid};

/// Serves one client on one websocket: accepts whatever namespace it asks for, and reports how many events it sent.
///
/// # Safety
/// `frame` points to `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn serve_one_frame(entropy: u32, frame: *const u8, length: usize, micros: u64) -> u32 {
    // SAFETY: the caller's promise.
    let frame = Bytes::copy_from_slice(unsafe { core::slice::from_raw_parts(frame, length) });
    let now = Instant::from_micros(micros);
    let sid = Sid::generate([entropy as u8; Sid::ENTROPY], entropy);
    let opening = Opening { sid, format: Format::V4, upgrades: Vec::new() };
    let mut peer = Peer::<()>::websocket(Arc::new(Config::default()), opening, Lane(0), now);
    peer.handle(Input::WsFrame(Lane(0), Frame::Binary(frame)), now);
    peer.handle_timeout(now);
    let mut events = 0;
    while let Some(output) = peer.poll_output() {
        match output {
            Output::Event(Event::Socket(socket::Event::ConnectRequest { slot, .. })) => {
                let _ = peer.accept(slot, &Sid::generate([0; Sid::ENTROPY], entropy), None);
            }
            Output::Event(Event::Socket(socket::Event::Emit { event, .. })) => {
                events += u32::from(event.args().decode::<(&str,)>().is_ok());
            }
            _ => {}
        }
    }
    events
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// Memory is out from the start: nobody runs this.
struct Nothing;

// SAFETY: null is the answer of an allocator that has nothing to give, and nothing can be given back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;
