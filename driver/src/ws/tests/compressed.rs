//! Compressed messages among frames of all kinds.

use proptest::prelude::*;
use socketio_core::engine::deflate::{Agreement, PerMessageDeflate, Stream, WindowBits};

use super::*;

fn agreement(takeover: bool) -> Agreement {
    let stream = Stream { window: WindowBits::Fifteen, takeover };
    Agreement { send: Some(stream), receive: stream }
}

/// Compresses whatever there is.
fn deflate(takeover: bool) -> Deflate {
    Deflate::new(&PerMessageDeflate { threshold: 0, ..PerMessageDeflate::default() }, agreement(takeover))
}

fn server(takeover: bool) -> Ws {
    ws().with_deflate(Some(deflate(takeover)))
}

/// What a message of a client comes to when it is compressed.
fn compressed(deflate: &mut Deflate, frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(deflate.compress(frame, |bytes| out.extend_from_slice(bytes)));
    out
}

/// A frame with RSV1, as a client writes it.
fn rsv1(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mut wire = frame(opcode, is_final, payload);
    wire[0] |= COMPRESSED;
    wire
}

#[test]
fn both_sides_read_what_the_other_compresses() {
    let long = "a text that goes on ".repeat(3000);
    let frames = [
        text("4a short one"),
        Frame::Text(long.clone().into()),
        Frame::Binary(long.into_bytes().into()),
        text(""),
        text("4a short one"),
    ];
    for takeover in [false, true] {
        let runtime: Arc<dyn Runtime> = Arc::new(Still::default());
        let client = Ws::client(Lane(0), Box::new(Silence), Bytes::new(), MAX_BYTES, runtime);
        let mut client = client.with_deflate(Some(deflate(takeover)));
        let mut server = server(takeover);
        for (from, to) in [(0, 1), (1, 0)] {
            let both = [&mut client, &mut server];
            frames.iter().for_each(|frame| both[from].queue(frame, Compression::Allowed));
            let wire = std::mem::take(&mut both[from].out);
            assert!(wire.len() < 2000, "{}", wire.len());
            assert_eq!(hear(both[to], &wire, 100), (frames.to_vec(), Ok(())));
        }
    }
}

#[test]
fn what_must_not_be_compressed_leaves_as_it_is() {
    let mut server = server(false);
    let frame = Frame::Text("x".repeat(100).into());
    server.queue(&frame, Compression::Forbidden);
    assert_eq!((server.out[0], server.out.len()), (0x81, 102));
    server.out.clear();
    server.queue(&frame, Compression::Allowed);
    assert_eq!((server.out[0], server.out.len() < 20), (0xC1, true));
}

#[test]
fn what_breaks_the_rules_of_compression_is_answered_with_its_close_code() {
    let mut by = deflate(false);
    let whole = compressed(&mut by, &Frame::Text("4a text ".repeat(30).into()));
    let not_utf8 = compressed(&mut by, &Frame::Binary(vec![0xFF; 30].into()));
    let bomb = compressed(&mut by, &Frame::Binary(vec![0; MAX_BYTES + 1].into()));
    let begun = rsv1(TEXT, false, &whole[..3]);
    let then = |rest: Vec<u8>| [begun.clone(), rest].concat();
    let mut unmasked = rsv1(TEXT, true, b"");
    unmasked[1] &= 0x7F;
    let mut rsv2 = rsv1(TEXT, true, &whole);
    rsv2[0] |= 0x20;
    let mut large_in_parts = rsv1(BINARY, false, &vec![0; MAX_BYTES]);
    large_in_parts.extend(frame(REST, true, &[0]));
    for (name, wire, code) in [
        ("text that is none", rsv1(TEXT, true, &not_utf8), 1007),
        ("no compressed data", rsv1(TEXT, true, &[0xFF; 9]), 1007),
        ("a bomb", rsv1(BINARY, true, &bomb), 1009),
        ("a bomb in parts", [rsv1(BINARY, false, &bomb[..9]), frame(REST, true, &bomb[9..])].concat(), 1009),
        ("too large a frame", rsv1(BINARY, true, &vec![0; MAX_BYTES + 1])[..14].to_vec(), 1009),
        ("too many bytes", large_in_parts, 1009),
        ("RSV1 on a ping", rsv1(PING, true, b""), 1002),
        ("RSV1 on a continuation", then(rsv1(REST, true, &whole[3..])), 1002),
        ("RSV1 on a continuation of nothing", rsv1(REST, true, &whole), 1002),
        (
            "RSV1 amid an uncompressed message",
            [frame(TEXT, false, b"4"), rsv1(REST, true, b"a")].concat(),
            1002,
        ),
        (
            "a compressed one amid an uncompressed",
            [frame(TEXT, false, b"4"), rsv1(TEXT, true, &whole)].concat(),
            1002,
        ),
        ("another message amid a compressed one", then(frame(TEXT, true, b"4a")), 1002),
        ("another compressed one amid it", then(rsv1(TEXT, true, &whole)), 1002),
        ("RSV2", rsv2, 1002),
        ("no mask", unmasked, 1002),
        ("a reserved opcode", then(frame(OpCode::Data(Data::Reserved(3)), true, b"")), 1002),
    ] {
        for size in [1, 5, wire.len()] {
            let mut server = server(false);
            let (heard, end) = hear(&mut server, &wire, size);
            assert_eq!((heard, matches!(end, Err(End::Fault(_)))), (vec![], true), "{name}: {end:?}");
            let [first, second] = u16::to_be_bytes(code);
            assert_eq!(server.out, [0x88, 2, first, second], "{name}: close code {code}");
        }
    }
}

#[test]
fn what_was_not_agreed_is_refused() {
    let whole = compressed(&mut deflate(false), &Frame::Text("4a".repeat(30).into()));
    let mut plain = ws();
    let (heard, end) = hear(&mut plain, &rsv1(TEXT, true, &whole), 1000);
    assert!(heard.is_empty() && end.is_err());
    assert_eq!(plain.out, [0x88, 2, 3, 234], "1002");
}

#[test]
fn a_ping_amid_a_compressed_message_is_answered_at_once() {
    let event = Frame::Text("4words words words".into());
    let whole = compressed(&mut deflate(false), &event);
    let mut server = server(false);
    let (heard, end) =
        hear(&mut server, &[rsv1(TEXT, false, &whole[..4]), frame(PING, true, b"?")].concat(), 3);
    assert_eq!((heard, end), (vec![], Ok(())));
    assert_eq!(server.out, [0x8A, 1, b'?']);
    assert_eq!(hear(&mut server, &frame(REST, true, &whole[4..]), 3), (vec![event], Ok(())));
}

/// A message, and how it travels.
#[derive(Clone, Debug)]
struct Sent {
    frame: Frame,
    compressed: bool,
    /// Where its payload is cut into fragments.
    cuts: Vec<prop::sample::Index>,
    /// Whether a ping follows each of them.
    pings: bool,
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let frame = prop_oneof![
        "[a-c\u{e9}]{0,300}".prop_map(|text| Frame::Text(text.as_str().into())),
        prop::collection::vec(0_u8..4, 0..300).prop_map(|bytes| Frame::Binary(bytes.into())),
    ];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    (frame, any::<bool>(), cuts, any::<bool>()).prop_map(|(frame, compressed, cuts, pings)| Sent {
        frame,
        compressed,
        cuts,
        pings,
    })
}

fn wire_of(sent: &Sent, by: &mut Deflate) -> Vec<u8> {
    let (opcode, plain) = match &sent.frame {
        Frame::Text(text) => (TEXT, text.as_bytes().to_vec()),
        Frame::Binary(bytes) => (BINARY, bytes.to_vec()),
    };
    let mut is_compressed = false;
    let mut payload = plain;
    if sent.compressed {
        let mut shorter = None;
        is_compressed = by.compress(&sent.frame, |bytes| shorter = Some(bytes.to_vec()));
        payload = shorter.unwrap_or(payload);
    }
    let mut cuts: Vec<_> = sent.cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
    cuts.sort_unstable();
    let ends = cuts.iter().copied().chain([payload.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let mut wire = Vec::new();
    for (index, (start, end)) in starts.zip(ends).enumerate() {
        let is_last = index == cuts.len();
        let mut fragment = frame(if index == 0 { opcode } else { REST }, is_last, &payload[start..end]);
        if index == 0 && is_compressed {
            fragment[0] |= COMPRESSED;
        }
        wire.extend(fragment);
        if sent.pings {
            wire.extend(frame(PING, true, b"p"));
        }
    }
    wire
}

proptest! {
    #[test]
    fn messages_are_the_same_however_they_are_compressed_cut_and_mixed(
        sent in prop::collection::vec(any_sent(), 1..8),
        takeover: bool,
        size in 1_usize..400,
    ) {
        let mut by = deflate(takeover);
        let wire: Vec<u8> = sent.iter().flat_map(|sent| wire_of(sent, &mut by)).collect();
        let mut server = server(takeover);
        let (heard, end) = hear(&mut server, &wire, size);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(heard, sent.iter().map(|sent| sent.frame.clone()).collect::<Vec<_>>());
        let pings: usize = sent.iter().filter(|sent| sent.pings).map(|sent| sent.cuts.len() + 1).sum();
        prop_assert_eq!(server.out, [0x8A, 1, b'p'].repeat(pings));
    }

    /// Whatever comes, nothing panics and nothing larger than it may be is heard, in any cut the same.
    #[test]
    fn garbage_is_refused_alike_in_every_cut(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 1..6),
        takeover: bool,
        size in 1_usize..50,
    ) {
        let wire: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload)| {
                let mut wire = frame(TEXT, true, payload);
                wire[0] = *first;
                wire
            })
            .collect();
        let mut whole = server(takeover);
        let mut cut = server(takeover);
        prop_assert_eq!(hear(&mut whole, &wire, wire.len()), hear(&mut cut, &wire, size));
        prop_assert_eq!(whole.out, cut.out);
    }
}
