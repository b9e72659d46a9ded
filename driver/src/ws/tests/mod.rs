mod compressed;

use hyper::rt::ReadBufCursor;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame as WireFrame, FrameHeader};

use super::*;
use crate::still::Still;

/// A connection on which nothing happens: the tests hand over the bytes themselves.
#[derive(Debug)]
struct Silence;

impl hyper::rt::Read for Silence {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl hyper::rt::Write for Silence {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

const MAX_BYTES: usize = 70_000;

fn ws() -> Ws {
    Ws::server(Lane(0), Box::new(Silence), Bytes::new(), MAX_BYTES)
}

/// A frame as a client writes it.
fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { opcode, is_final, mask: Some([1, 2, 3, 250]), ..FrameHeader::default() };
    let mut wire = Vec::new();
    WireFrame::from_payload(header, payload.to_vec().into()).format(&mut wire).unwrap();
    wire
}

const TEXT: OpCode = OpCode::Data(Data::Text);
const BINARY: OpCode = OpCode::Data(Data::Binary);
const REST: OpCode = OpCode::Data(Data::Continue);
const PING: OpCode = OpCode::Control(Control::Ping);

/// What is heard when `wire` arrives in pieces of `size` bytes.
fn hear(ws: &mut Ws, wire: &[u8], size: usize) -> (Vec<Frame>, Result<(), End>) {
    let mut heard = Vec::new();
    let end =
        wire.chunks(size).try_for_each(|piece| ws.decode(piece, Instant::ZERO, |frame| heard.push(frame)));
    (heard, end)
}

fn text(text: &'static str) -> Frame {
    Frame::Text(Str::from_static(text))
}

#[test]
fn the_longest_length_there_is_breaks_nothing_where_there_is_no_limit() {
    let mut ws = Ws::server(Lane(0), Box::new(Silence), Bytes::new(), usize::MAX);
    let wire = [&[0x82, 0xFF][..], &[0xFF; 8], &[1, 2, 3, 4], b"abc"].concat();
    assert!(hear(&mut ws, &wire, wire.len()).1.is_err());
}

#[test]
fn messages_are_the_same_however_they_are_cut_into_frames_and_reads() {
    let long = vec![7; MAX_BYTES];
    let mut wire = frame(TEXT, true, b"4plain");
    wire.extend(frame(TEXT, true, b""));
    wire.extend(frame(TEXT, false, "4in \u{1f9}".as_bytes()));
    wire.extend(frame(PING, true, b"in between"));
    wire.extend(frame(REST, false, b" three"));
    wire.extend(frame(REST, true, b" parts"));
    wire.extend(frame(BINARY, true, &[9; 126]));
    wire.extend(frame(BINARY, true, &long));
    wire.extend(frame(TEXT, true, b"4last"));
    let expected = [
        text("4plain"),
        text(""),
        text("4in \u{1f9} three parts"),
        Frame::Binary(vec![9; 126].into()),
        Frame::Binary(long.into()),
        text("4last"),
    ];
    for size in (1..300).chain([4096, wire.len()]) {
        let mut ws = ws();
        let (heard, end) = hear(&mut ws, &wire, size);
        assert_eq!((&heard[..], end), (&expected[..], Ok(())), "in pieces of {size}");
        assert_eq!(ws.out, b"\x8a\x0ain between", "the ping is answered");
    }
}

#[test]
fn what_breaks_the_rules_is_answered_with_its_close_code() {
    let mut unmasked = frame(TEXT, true, b"4a");
    unmasked[1] &= 0x7F;
    let mut reserved = frame(TEXT, true, b"4a");
    reserved[0] |= 0x40;
    let mut interrupted = frame(TEXT, false, b"4a");
    interrupted.extend(frame(TEXT, true, b"4b"));
    let too_large = &frame(BINARY, true, &vec![0; MAX_BYTES + 1])[..14];
    let mut too_large_in_parts = frame(BINARY, false, &vec![0; MAX_BYTES]);
    too_large_in_parts.extend(frame(REST, true, &[0]));
    for (wire, code) in [
        (&frame(TEXT, true, &[0x34, 0xFF])[..], 1007),
        (&unmasked, 1002),
        (&reserved, 1002),
        (&interrupted, 1002),
        (&frame(REST, true, b"4a"), 1002),
        (too_large, 1009),
        (&too_large_in_parts, 1009),
    ] {
        let mut after_some = frame(TEXT, true, b"4heard");
        after_some.extend(wire);
        for size in [1, 7, after_some.len()] {
            let mut ws = ws();
            let (heard, end) = hear(&mut ws, &after_some, size);
            assert_eq!(heard, [text("4heard")]);
            assert!(matches!(end, Err(End::Fault(_))), "{end:?}");
            let [first, second] = u16::to_be_bytes(code);
            assert_eq!(ws.out, [0x88, 2, first, second], "close code {code}");
        }
    }
}

#[test]
fn what_follows_a_close_frame_is_not_heard() {
    let mut wire = frame(TEXT, true, b"4heard");
    wire.extend(frame(OpCode::Control(Control::Close), true, b""));
    wire.extend(frame(TEXT, true, b"4late"));
    let (heard, end) = hear(&mut ws(), &wire, wire.len());
    assert_eq!((heard, end), (vec![text("4heard")], Err(End::Closed)));
}

#[test]
fn what_a_server_writes_a_client_reads_and_the_other_way_round() {
    let frames =
        [text(""), text("4a"), Frame::Binary(vec![3; 126].into()), Frame::Binary(vec![4; 0x1_0000].into())];
    let runtime: Arc<dyn Runtime> = Arc::new(Still::default());
    let mut client = Ws::client(Lane(0), Box::new(Silence), Bytes::new(), MAX_BYTES, runtime);
    let mut server = ws();
    for (from, to) in [(0, 1), (1, 0)] {
        let both = [&mut client, &mut server];
        frames.iter().for_each(|frame| both[from].queue(frame, Compression::Allowed));
        let wire = std::mem::take(&mut both[from].out);
        assert_eq!(hear(both[to], &wire, 1000), (frames.to_vec(), Ok(())));
    }
}
