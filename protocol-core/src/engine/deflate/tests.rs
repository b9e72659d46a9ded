use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::WindowBits::{Fifteen, Nine, Ten, Twelve};
use super::*;

/// No wishes: with windows that are kept, as in the reference.
const PLAIN: PerMessageDeflate = PerMessageDeflate {
    threshold: 1024,
    level: 6,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: None,
    client_max_window_bits: None,
};

fn headers(value: &str) -> [(&str, &str); 1] {
    [("Sec-WebSocket-Extensions", value)]
}

/// The parameters of the answer, or how there is none.
fn answer(offer: &str, wanted: &PerMessageDeflate) -> String {
    match accept(&headers(offer), wanted) {
        Ok(Some((_, header))) => {
            let parameters = header.strip_prefix("permessage-deflate").unwrap();
            parameters.strip_prefix("; ").unwrap_or(parameters).into()
        }
        Ok(None) => "declined".into(),
        Err(refusal) => refusal.status.to_string(),
    }
}

fn checked(value: &str, wanted: &PerMessageDeflate) -> Result<Agreement, BadAnswer> {
    check_answer(&headers(value), Some(wanted)).map(Option::unwrap)
}

const fn stream(window: WindowBits, takeover: bool) -> Stream {
    Stream { window, takeover }
}

#[test]
fn each_parameter_of_an_offer_has_its_answer() {
    for (offer, expected) in [
        ("", ""),
        ("; client_max_window_bits", ""),
        ("; client_max_window_bits=12", "client_max_window_bits=12"),
        ("; client_max_window_bits=8", "client_max_window_bits=8"),
        ("; server_max_window_bits=12", "server_max_window_bits=12"),
        ("; server_max_window_bits=\"12\"", "server_max_window_bits=12"),
        ("; server_max_window_bits=\"1\\2\"", "server_max_window_bits=12"),
        ("; server_no_context_takeover", "server_no_context_takeover"),
        ("; client_no_context_takeover", "client_no_context_takeover"),
        (
            " ;\tclient_no_context_takeover ; server_max_window_bits=9 ",
            "client_no_context_takeover; server_max_window_bits=9",
        ),
        ("; server_max_window_bits=8", "declined"),
    ] {
        assert_eq!(answer(&format!("permessage-deflate{offer}"), &PLAIN), expected, "{offer}");
    }
}

#[test]
fn what_the_server_wants_is_met_or_the_offer_declined() {
    let server = |bits| PerMessageDeflate { server_max_window_bits: Some(bits), ..PLAIN };
    let client = |bits| PerMessageDeflate { client_max_window_bits: Some(bits), ..PLAIN };
    let bounded = PerMessageDeflate::default();
    for (offer, wanted, expected) in [
        ("", bounded, "server_no_context_takeover; client_no_context_takeover"),
        ("; client_max_window_bits", bounded, "server_no_context_takeover; client_no_context_takeover"),
        ("", server(Ten), "server_max_window_bits=10"),
        ("; server_max_window_bits=12", server(Ten), "server_max_window_bits=10"),
        ("; server_max_window_bits=9", server(Ten), "server_max_window_bits=9"),
        // A client that did not say that its window may be set must not be told to.
        ("", client(Ten), "declined"),
        ("; client_max_window_bits", client(Ten), "client_max_window_bits=10"),
        ("; client_max_window_bits=12", client(Ten), "client_max_window_bits=10"),
        ("; client_max_window_bits=8", client(Ten), "client_max_window_bits=8"),
    ] {
        assert_eq!(answer(&format!("permessage-deflate{offer}"), &wanted), expected, "{offer} {wanted:?}");
    }
}

#[test]
fn an_offer_with_what_is_unknown_double_or_out_of_range_is_declined() {
    for parameters in [
        "unknown",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=x",
        "SERVER_NO_CONTEXT_TAKEOVER",
    ] {
        assert_eq!(answer(&format!("permessage-deflate; {parameters}"), &PLAIN), "declined", "{parameters}");
        // The next one may do.
        let second =
            format!("permessage-deflate; {parameters}, permessage-deflate; server_max_window_bits=11");
        assert_eq!(answer(&second, &PLAIN), "server_max_window_bits=11", "{parameters}");
    }
}

#[test]
fn other_extensions_are_passed_over_and_nothing_is_no_offer() {
    assert_eq!(answer("x-webkit-deflate-frame", &PLAIN), "declined");
    assert_eq!(answer("a; b=\"c\", permessage-deflate; client_max_window_bits", &PLAIN), "");
    assert_eq!(accept(&[("host", "a")], &PLAIN), Ok(None));
}

#[test]
fn several_fields_are_one_list() {
    let fields = [
        ("sec-websocket-extensions", "other"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=9"),
    ];
    let (agreement, header) = accept(&fields, &PLAIN).unwrap().unwrap();
    assert_eq!(header, "permessage-deflate; server_max_window_bits=9");
    assert_eq!(agreement.send, Some(stream(Nine, true)));
}

#[test]
fn a_header_that_cannot_be_read_is_refused() {
    for value in [
        "",
        ",",
        "permessage-deflate,",
        ", permessage-deflate",
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits= 10",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"1 0\"",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"10\\\"",
        "permessage deflate",
        "permessage-deflate; a b",
        "permessage-deflate; a=\"b,c\"",
        "caf\u{e9}",
    ] {
        assert_eq!(answer(value, &PLAIN), "400", "{value}");
        assert_eq!(checked(value, &PLAIN), Err(BadAnswer::Malformed), "{value}");
    }
}

#[test]
fn the_terms_of_a_server_are_those_of_its_answer() {
    let terms = |offer, wanted: PerMessageDeflate| accept(&headers(offer), &wanted).unwrap().unwrap().0;
    let agreement = terms("permessage-deflate", PLAIN);
    assert_eq!(agreement, Agreement { send: Some(stream(Fifteen, true)), receive: stream(Fifteen, true) });
    let agreement = terms("permessage-deflate", PerMessageDeflate::default());
    assert_eq!(agreement, Agreement { send: Some(stream(Fifteen, false)), receive: stream(Fifteen, false) });
    let agreement = terms(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=12; client_max_window_bits=10",
        PLAIN,
    );
    assert_eq!(agreement, Agreement { send: Some(stream(Twelve, false)), receive: stream(Ten, true) });
    let agreement = terms("permessage-deflate; client_max_window_bits=8", PLAIN);
    assert_eq!(agreement.receive, stream(Nine, true));
}

#[test]
fn an_offer_says_what_is_wanted() {
    assert_eq!(offer(&PLAIN), "permessage-deflate; client_max_window_bits");
    assert_eq!(
        offer(&PerMessageDeflate::default()),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    let small =
        PerMessageDeflate { server_max_window_bits: Some(Nine), client_max_window_bits: Some(Ten), ..PLAIN };
    assert_eq!(offer(&small), "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10");
}

#[test]
fn an_answer_is_held_against_the_offer() {
    use BadAnswer::{Conflict, NotOffered, Parameters};

    let no_takeover = PerMessageDeflate { server_no_context_takeover: true, ..PLAIN };
    let server_ten = PerMessageDeflate { server_max_window_bits: Some(Ten), ..PLAIN };
    let client_ten = PerMessageDeflate { client_max_window_bits: Some(Ten), ..PLAIN };
    for (parameters, wanted, expected) in [
        ("", no_takeover, Err(Conflict)),
        ("; server_no_context_takeover", no_takeover, Ok(())),
        ("; server_no_context_takeover", PLAIN, Ok(())),
        ("", server_ten, Err(Conflict)),
        ("; server_max_window_bits=11", server_ten, Err(Conflict)),
        ("; server_max_window_bits=10", server_ten, Ok(())),
        ("; server_max_window_bits=9", server_ten, Ok(())),
        ("; server_max_window_bits=9", PLAIN, Ok(())),
        ("", client_ten, Ok(())),
        ("; client_max_window_bits=11", client_ten, Err(Conflict)),
        ("; client_max_window_bits=10", client_ten, Ok(())),
        ("; client_max_window_bits", PLAIN, Err(Parameters)),
        ("; client_max_window_bits=16", PLAIN, Err(Parameters)),
        ("; server_max_window_bits", PLAIN, Err(Parameters)),
        ("; server_no_context_takeover=1", PLAIN, Err(Parameters)),
        ("; a", PLAIN, Err(Parameters)),
        ("; client_no_context_takeover; client_no_context_takeover", PLAIN, Err(Parameters)),
        (", permessage-deflate", PLAIN, Err(NotOffered)),
        (", other", PLAIN, Err(NotOffered)),
    ] {
        let answer = format!("permessage-deflate{parameters}");
        assert_eq!(checked(&answer, &wanted).map(drop), expected, "{answer} {wanted:?}");
    }
    assert_eq!(checked("other", &PLAIN), Err(NotOffered));
    assert_eq!(check_answer(&headers("permessage-deflate"), None), Err(NotOffered));
    assert_eq!(check_answer(&[("a", "b")], Some(&PLAIN)), Ok(None));
    assert_eq!(check_answer(&[("a", "b")], None), Ok(None));
}

#[test]
fn the_terms_of_a_client_are_those_of_the_answer_and_its_own_promises() {
    let agreement = checked("permessage-deflate; server_max_window_bits=10", &PLAIN).unwrap();
    assert_eq!(agreement, Agreement { send: Some(stream(Fifteen, true)), receive: stream(Ten, true) });
    let promised =
        PerMessageDeflate { client_no_context_takeover: true, client_max_window_bits: Some(Twelve), ..PLAIN };
    let agreement = checked("permessage-deflate", &promised).unwrap();
    assert_eq!(agreement.send, Some(stream(Twelve, false)));
    let agreement = checked("permessage-deflate; client_max_window_bits=9", &promised).unwrap();
    assert_eq!(agreement.send, Some(stream(Nine, false)));
    // No zlib has so small a window, and what is not compressed is always allowed.
    assert_eq!(checked("permessage-deflate; client_max_window_bits=8", &PLAIN).unwrap().send, None);
}

fn any_bits() -> impl Strategy<Value = Option<WindowBits>> {
    prop::option::of((9u8..=15).prop_map(|bits| WindowBits::of(Bits(bits)).unwrap()))
}

prop_compose! {
    fn any_wishes()(
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits in any_bits(),
        client_max_window_bits in any_bits(),
    ) -> PerMessageDeflate {
        PerMessageDeflate {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            ..PLAIN
        }
    }
}

proptest! {
    /// Whatever a client of ours and a server of ours want, they agree: what one sends the other can read, and nobody
    /// gets less than it asked for.
    #[test]
    fn both_sides_come_to_the_same_terms(ours in any_wishes(), theirs in any_wishes()) {
        let (server, answer) = accept(&headers(&offer(&ours)), &theirs).unwrap().unwrap();
        let client = check_answer(&headers(&answer), Some(&ours)).unwrap().unwrap();
        prop_assert_eq!(client.send, Some(server.receive));
        prop_assert_eq!(server.send, Some(client.receive));
        for wishes in [&ours, &theirs] {
            prop_assert!(!(wishes.server_no_context_takeover && client.receive.takeover));
            prop_assert!(!(wishes.client_no_context_takeover && server.receive.takeover));
            prop_assert!(wishes.server_max_window_bits.is_none_or(|most| client.receive.window <= most));
            prop_assert!(wishes.client_max_window_bits.is_none_or(|most| server.receive.window <= most));
        }
    }

    #[test]
    fn arbitrary_headers_never_panic(
        bytes: Vec<u8>,
        noisy in "(permessage-deflate|[;,=\"\\\\ ]|(server|client)_(max_window_bits|no_context_takeover)|1?[0-9]){0,20}",
        wanted in any_wishes(),
    ) {
        for value in [bytes, noisy.into_bytes()] {
            let fields = [("sec-websocket-extensions", value)];
            let _ = (accept(&fields, &wanted), check_answer(&fields, Some(&wanted)));
        }
    }

    /// An answer always is one that its own grammar reads, and that is not over the offer.
    #[test]
    fn an_answer_never_goes_past_the_offer(offered in "(; (server|client)_(max_window_bits=(8|9|1[0-5])|no_context_takeover)){0,4}", wanted in any_wishes()) {
        let header = format!("permessage-deflate{offered}");
        if let Some((_, answer)) = accept(&headers(&header), &wanted).unwrap() {
            let parse = |value, is_offer| {
                Parameters::parse(&elements(&headers(value)).unwrap()[0], is_offer).unwrap()
            };
            let (offer, answer) = (parse(&header, true), parse(&answer, false));
            prop_assert!(answer.server_no_context_takeover || !offer.server_no_context_takeover);
            prop_assert!(answer.client_max_window_bits.is_none() || offer.client_max_window_bits.is_some());
            prop_assert!(offer.server_max_window_bits.is_none_or(|most| answer.server_max_window_bits.unwrap() <= most));
        }
    }
}
