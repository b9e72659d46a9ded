//! The negotiation of compression: whatever is offered and answered, both sides mean the same by it.

use socketio_core::engine::deflate::{
    Agreement, BadAnswer, PerMessageDeflate, Stream, WindowBits, accept, check_answer, offer,
};

/// Two bytes for what the client wants, two for the server, then a header field in each line.
pub fn deflate(data: &[u8]) {
    let Some((&[a, b, c, d], lines)) = data.split_first_chunk() else { return };
    let (client, server) = (wanted(a, b), wanted(c, d));

    let field = [(FIELD.to_owned(), offer(&client).into_bytes())];
    let answer = accept(&field, &server).expect("a client's offer can be read");
    if let Some((theirs, answer)) = answer {
        let field = [(FIELD.to_owned(), answer.into_bytes())];
        let ours = check_answer(&field, Some(&client)).expect("what was offered is answered").unwrap();
        reads(ours.receive, theirs.send);
        reads(theirs.receive, ours.send);
        is_within(&client, &server, &theirs);
        assert_eq!(check_answer(&field, None), Err(BadAnswer::NotOffered));
    }

    let fields: Vec<_> = lines.split(|&b| b == b'\n').map(|line| (FIELD.to_owned(), line.to_vec())).collect();
    match accept(&fields, &server) {
        Ok(None) => {}
        Ok(Some((_, answer))) => {
            let field = [(FIELD.to_owned(), answer.into_bytes())];
            assert!(matches!(check_answer(&field, Some(&ANYTHING)), Ok(Some(_))), "{field:?}");
        }
        Err(refusal) => assert_eq!(refusal.status, 400),
    }
    // What a server makes up is refused or means something.
    if let Ok(Some(ours)) = check_answer(&fields, Some(&client)) {
        assert!(!client.client_no_context_takeover || ours.send.is_none_or(|stream| !stream.takeover));
        assert!(!client.server_no_context_takeover || !ours.receive.takeover);
    }
}

/// Whoever reads has at least the window of whoever writes.
fn reads(reader: Stream, writer: Option<Stream>) {
    if let Some(writer) = writer {
        assert!(writer.window <= reader.window, "{writer:?} {reader:?}");
        assert!(writer.takeover <= reader.takeover, "{writer:?} {reader:?}");
    }
}

/// Nobody was talked into more than it wants.
fn is_within(client: &PerMessageDeflate, server: &PerMessageDeflate, agreed: &Agreement) {
    for wanted in [client, server] {
        if let Some(send) = agreed.send {
            assert!(wanted.server_max_window_bits.is_none_or(|most| send.window <= most));
            assert!(!(wanted.server_no_context_takeover && send.takeover));
        }
        assert!(wanted.client_max_window_bits.is_none_or(|most| agreed.receive.window <= most));
        assert!(!(wanted.client_no_context_takeover && agreed.receive.takeover));
    }
}

fn wanted(flags: u8, bits: u8) -> PerMessageDeflate {
    PerMessageDeflate {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: window(bits & 0xF),
        client_max_window_bits: window(bits >> 4),
        ..ANYTHING
    }
}

fn window(bits: u8) -> Option<WindowBits> {
    use WindowBits::{Eleven, Fifteen, Fourteen, Nine, Ten, Thirteen, Twelve};
    [Nine, Ten, Eleven, Twelve, Thirteen, Fourteen, Fifteen].into_iter().find(|window| window.bits() == bits)
}

/// No wish that an answer could miss.
const ANYTHING: PerMessageDeflate = PerMessageDeflate {
    threshold: 0,
    level: 6,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

const FIELD: &str = "sec-websocket-extensions";
