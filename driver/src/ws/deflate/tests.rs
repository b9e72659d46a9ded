//! Compression alone; with frames around it, see the tests of the websocket.

use super::*;

const MAX_BYTES: usize = 10_000;

fn stream(takeover: bool) -> Stream {
    Stream { window: WindowBits::Fifteen, takeover }
}

fn deflate_with(takeover: bool) -> Deflate {
    let agreement = Agreement { send: Some(stream(takeover)), receive: stream(takeover) };
    Deflate::new(&PerMessageDeflate { threshold: 10, ..PerMessageDeflate::default() }, agreement)
}

fn frame(text: &str) -> Frame {
    Frame::Text(text.into())
}

fn compressed(deflate: &mut Deflate, frame: &Frame) -> Option<Vec<u8>> {
    let mut out = None;
    let is_compressed = deflate.compress(frame, |bytes| out = Some(bytes.to_vec()));
    assert_eq!(is_compressed, out.is_some());
    out
}

fn inflated(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, Fault> {
    inflate(&mut Decompress::new(false), bytes, max_bytes)
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7692, 7.2.3: one block, no compression, BFINAL, two blocks.
    for bytes in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        assert_eq!(inflated(bytes, 5), Ok(b"Hello".to_vec()), "{bytes:x?}");
    }
    // 7.2.3.2: the second message is a reference into the first.
    let mut decompressor = Decompress::new(false);
    for bytes in [&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        assert_eq!(inflate(&mut decompressor, bytes, 5), Ok(b"Hello".to_vec()));
    }
    assert_eq!(inflated(&[0x00], 5), Ok(Vec::new()));
}

#[test]
fn a_message_that_ends_the_stream_is_followed_by_others() {
    let mut decompressor = Decompress::new(false);
    for _ in 0..3 {
        let bytes = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        assert_eq!(inflate(&mut decompressor, &bytes, 5), Ok(b"Hello".to_vec()));
    }
}

#[test]
fn what_is_too_large_is_refused_before_there_is_room_for_it() {
    let mut bomb = Vec::new();
    assert!(deflate(&mut compressor(WindowBits::Fifteen, Level::best()), &vec![0; 20 << 20], &mut bomb));
    assert!(bomb.len() < 60_000, "{}", bomb.len());
    assert_eq!(inflated(&bomb, MAX_BYTES), Err(Fault::TooLarge));

    let text = vec![b'x'; MAX_BYTES];
    let mut exact = Vec::new();
    assert!(deflate(&mut compressor(WindowBits::Fifteen, Level::best()), &text, &mut exact));
    let read = inflated(&exact, MAX_BYTES).unwrap();
    assert_eq!((read.len(), read.capacity() <= MAX_BYTES + 1), (MAX_BYTES, true));
    assert_eq!(inflated(&exact, MAX_BYTES - 1), Err(Fault::TooLarge));
    assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 0), Err(Fault::TooLarge));
}

#[test]
fn what_is_no_compressed_data_is_told() {
    for bytes in [&[0x07][..], &[0xff; 20], &[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48]] {
        assert_eq!(inflated(bytes, MAX_BYTES), Err(Fault::Corrupt), "{bytes:x?}");
    }
}

#[test]
fn only_what_reaches_the_threshold_and_becomes_shorter_is_compressed() {
    for takeover in [false, true] {
        let mut deflate = deflate_with(takeover);
        assert_eq!(compressed(&mut deflate, &frame("aaaaaaaaa")), None);
        assert!(compressed(&mut deflate, &frame("aaaaaaaaaa")).is_some());
        // Later messages may refer to it, so with takeover it has to go through the window.
        let random: Vec<u8> = (0..200_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(compressed(&mut deflate, &Frame::Binary(random.into())).is_some(), takeover);
    }
    let mut deflate = Deflate::new(
        &PerMessageDeflate { threshold: 0, ..PerMessageDeflate::default() },
        Agreement { send: Some(stream(true)), receive: stream(true) },
    );
    assert_eq!(compressed(&mut deflate, &frame("")), None);
    deflate.send = None;
    assert_eq!(compressed(&mut deflate, &frame("aaaaaaaaaaaaaaaaaaaa")), None);
}

#[test]
fn a_window_is_kept_only_where_that_was_agreed() {
    let text = r#"42["an event","words that come again, words that come again, words that come again"]"#;
    let event = frame(text);
    let lengths = |takeover| {
        let mut deflate = deflate_with(takeover);
        let again = frame(text);
        let both = [&event, &again].map(|frame| compressed(&mut deflate, frame).unwrap().len());
        assert_eq!(deflate.compressor.is_some(), takeover);
        both
    };
    let [first, second] = lengths(true);
    assert!(second < first / 2, "{first} {second}");
    let [first, second] = lengths(false);
    assert_eq!(first, second);
}

#[test]
fn a_frame_that_goes_to_many_is_compressed_once() {
    let [a, b] = ["a", "b"].map(|text| frame(&text.repeat(100)));
    let work = || SHARED.with_borrow(|shared| shared.compressor.as_ref().map(|(.., one)| one.total_in()));
    let mut many = [deflate_with(false), deflate_with(false)];
    let first = compressed(&mut many[0], &a);
    assert_eq!(work(), Some(100));
    // A trace that a second time would erase.
    SHARED.with_borrow_mut(|shared| {
        let (.., compressor) = shared.compressor.as_mut().unwrap();
        compressor.reset();
    });
    assert_eq!(compressed(&mut many[1], &a.clone()), first);
    assert_eq!(work(), Some(0), "it was compressed again");
    let other = compressed(&mut many[1], &b);
    assert_ne!(other, first);
    assert_eq!(work(), Some(100));
    assert_eq!(compressed(&mut many[0], &a), first);
}

#[test]
fn what_one_websocket_gets_never_goes_to_another() {
    let (shared, private) = (frame(&"for everybody ".repeat(9)), frame(&"for one alone ".repeat(9)));
    let (mut first, mut keeps, mut second) = (deflate_with(false), deflate_with(true), deflate_with(false));
    compressed(&mut first, &shared).unwrap();
    compressed(&mut keeps, &private).unwrap();
    let bytes = compressed(&mut second, &shared).unwrap();
    assert_eq!(inflated(&bytes, 1 << 20).as_deref(), Ok(bytes_of(&shared)));
}

#[test]
fn websockets_of_different_terms_do_not_mix() {
    let event = frame(&"words, and more of them. ".repeat(2000));
    let narrow = Agreement {
        send: Some(Stream { window: WindowBits::Nine, takeover: false }),
        receive: Stream { window: WindowBits::Nine, takeover: true },
    };
    let options = PerMessageDeflate::default();
    let mut narrow = Deflate::new(&options, narrow);
    let mut wide = deflate_with(false);
    for _ in 0..3 {
        for deflate in [&mut narrow, &mut wide] {
            let bytes = compressed(deflate, &event).unwrap();
            assert_eq!(inflated(&bytes, 1 << 20).as_deref(), Ok(bytes_of(&event)));
        }
        // The other side has no larger window than was agreed.
        let bytes = compressed(&mut narrow, &event).unwrap();
        let mut small = Decompress::new_with_window_bits(false, 9);
        assert_eq!(inflate(&mut small, &bytes, 1 << 20).as_deref(), Ok(bytes_of(&event)));
    }
}

#[test]
fn a_large_message_leaves_nothing_behind() {
    let mut deflate = deflate_with(false);
    let large = frame(&"x".repeat(MAX_KEPT_BYTES + 1));
    assert!(compressed(&mut deflate, &large).is_some());
    SHARED.with_borrow(|shared| assert_eq!((shared.last.is_none(), shared.scratch.capacity()), (true, 0)));
}
